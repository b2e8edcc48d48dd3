// SPDX-License-Identifier: GPL-2.0-only
/*
 * The layers of a device as JSON, by the names of "qemu-img info" and "moo info".
 *
 * Duty: to look at a chain at one instant, and to print it.
 *
 * Invariants: nothing is claimed. What the host alone knows of a file is left
 * out if another file has its name by then.
 */
#include <linux/mm.h>
#include <linux/seq_buf.h>
#include <linux/slab.h>
#include <linux/string.h>
#include "ubd_hold.h"
#include "ubd_json.h"
#include "ubd_list_json.h"
#include "ubd_status.h"

/* Of the text, without names: for a device, and for a layer. */
#define TEXT_SIZE	1024
/* A name is printed up to three times, a byte of it as six at most. */
#define NAME_SIZE	(3 * 6)

/**
 * struct look - a chain at one instant
 * @depth: its layers
 * @size: bytes that this takes, the names of the layers included
 */
struct look {
	unsigned int depth;
	u64 virtual_size;
	unsigned int sector_size;
	bool read_only;
	struct ubd_held held;
	size_t size;
	struct cow_layer_info layer[];
};

/* Layers whose names fit into @size bytes; what is needed is look->size. */
static void copy_layers(const struct common_file *file, struct look *look,
			size_t size)
{
	struct cow_layer_info info;
	unsigned int i;

	look->depth = cow_depth(file);
	look->size = struct_size(look, layer, look->depth);
	for (i = 0; !cow_layer(file, i, &info); i++) {
		size_t len = strlen(info.path) + 1;

		if (look->size + len <= size) {
			look->layer[i] = info;
			look->layer[i].path = memcpy((char *)look + look->size,
						     info.path, len);
		}
		look->size += len;
	}
}

static void look_at(struct ubd *dev, struct look *look, size_t size)
{
	unsigned long flags = ubd_enter();
	const struct common_file *file = ubd_file(dev);

	look->depth = 0;
	look->size = sizeof(*look);
	if (file) {
		look->virtual_size = file->size;
		look->sector_size = cow_sector_size(file);
		look->read_only = file->read_only;
		look->held = ubd_held(dev);
		copy_layers(file, look, size);
	}
	ubd_leave(flags);
}

/* Freed with kvfree(), or NULL. */
static struct look *look_new(struct ubd *dev)
{
	size_t size = 4096;
	struct look *look;

	for (;;) {
		look = kvmalloc(size, GFP_KERNEL);
		if (!look)
			return NULL;
		look_at(dev, look, size);
		if (look->size <= size)
			return look;
		size = look->size + 256;
		kvfree(look);
	}
}

/* ---- one layer --------------------------------------------------------- */

static const char *format_name(enum cow_format format)
{
	return format == COW_RAW ? "raw" : "cow";
}

static const char *state_name(enum cow_state state)
{
	static const char * const names[] = {
		[COW_STATE_TOP] = "top",
		[COW_STATE_FROZEN] = "frozen",
		[COW_STATE_DRAINING] = "draining",
		[COW_STATE_FOLDING] = "folding",
	};

	return names[state];
}

static void print_allocated(struct ubd_json *json,
			    const struct cow_layer_info *info)
{
	struct ubd_allocated *allocated;

	allocated = kvzalloc(sizeof(*allocated), GFP_KERNEL);
	if (!allocated)
		return;
	strscpy(allocated->path, info->path, sizeof(allocated->path));
	allocated->id = info->id;
	if (!ubd_call(ubd_host_allocated, allocated))
		ubd_json_number(json, "actual-size", allocated->bytes);
	kvfree(allocated);
}

static void print_parent(struct ubd_json *json,
			 const struct cow_layer_info *info)
{
	ubd_json_string(json, "backing-filename", info->path);
	ubd_json_string(json, "full-backing-filename", info->path);
	ubd_json_string(json, "backing-filename-format",
			format_name(info->format));
}

static void print_specific(struct ubd_json *json,
			   const struct cow_layer_info *info)
{
	ubd_json_open(json, "format-specific", '{');
	ubd_json_string(json, "type", format_name(info->format));
	ubd_json_open(json, "data", '{');
	ubd_json_number(json, "version", info->format);
	ubd_json_string(json, "state", state_name(info->state));
	ubd_json_number(json, "owned", info->owned);
	if (info->state == COW_STATE_DRAINING ||
	    info->state == COW_STATE_FOLDING) {
		ubd_json_number(json, "progress", info->drained);
		ubd_json_bool(json, "paused", info->paused);
	}
	ubd_json_close(json, '}');
	ubd_json_close(json, '}');
}

static void print_layer(struct ubd_json *json, const struct look *look,
			unsigned int n)
{
	const struct cow_layer_info *info = &look->layer[n];

	ubd_json_open(json, NULL, '{');
	ubd_json_string(json, "filename", info->path);
	ubd_json_string(json, "format", format_name(info->format));
	ubd_json_number(json, "virtual-size", info->size);
	print_allocated(json, info);
	if (n + 1 < look->depth)
		print_parent(json, info + 1);
	print_specific(json, info);
	ubd_json_close(json, '}');
}

/* ---- a device ---------------------------------------------------------- */

static void print_status(struct ubd_json *json, struct ubd *dev)
{
	struct ubd_status status;

	ubd_status(dev, &status);
	ubd_json_string(json, "task", status.work);
	if (status.percent >= 0)
		ubd_json_number(json, "progress", status.percent);
	ubd_json_number(json, "snapshots", status.count[UBD_SNAPSHOTS]);
	ubd_json_number(json, "merges", status.count[UBD_MERGES]);
	ubd_json_number(json, "errors", status.count[UBD_ERRORS]);
}

static void print_held(struct ubd_json *json, const struct ubd_held *held)
{
	ubd_json_bool(json, "hold", held->on);
	ubd_json_number(json, "held", held->count);
	if (held->count)
		ubd_json_string(json, "held-reason", held->why);
}

static void print_device(struct ubd_json *json, struct ubd *dev,
			 const struct look *look)
{
	char name[] = "ubda";
	unsigned int i;

	name[3] += ubd_unit(dev);
	ubd_json_open(json, NULL, '{');
	ubd_json_string(json, "device", name);
	ubd_json_number(json, "virtual-size", look->virtual_size);
	ubd_json_number(json, "sector-size", look->sector_size);
	ubd_json_bool(json, "read-only", look->read_only);
	print_status(json, dev);
	print_held(json, &look->held);
	ubd_json_open(json, "layers", '[');
	for (i = 0; i < look->depth; i++)
		print_layer(json, look, i);
	ubd_json_close(json, ']');
	ubd_json_close(json, '}');
}

static void put(void *out, const char *bytes, size_t len)
{
	seq_buf_putmem(out, bytes, len);
}

char *ubd_list_json(struct ubd *dev)
{
	struct look *look = look_new(dev);
	struct seq_buf out;
	struct ubd_json json = { .put = put, .out = &out, .level = 1 };
	size_t size;
	char *text;

	if (!look)
		return NULL;
	size = (look->depth + 1) * TEXT_SIZE + look->size * NAME_SIZE;
	text = kvzalloc(size, GFP_KERNEL);
	if (text && look->depth) {
		seq_buf_init(&out, text, size);
		print_device(&json, dev, look);
		seq_buf_str(&out);
	}
	kvfree(look);
	return text;
}
