// SPDX-License-Identifier: GPL-2.0-only
/*
 * The layers of the devices, as a table or as JSON (ubd_list_json.c).
 *
 * Duty: the answer of "snapshot" where no new layer is asked for.
 *
 * Invariants: listing claims nothing, so that it can be had at any time.
 */
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>
#include "ubd_hold.h"
#include "ubd_job.h"
#include "ubd_list_json.h"

static const char *format_name(enum cow_format format)
{
	static const char * const names[] = { "raw", "V1", "V2", "V3", "V4" };

	return names[format];
}

static void state_name(const struct cow_layer_info *info, char *buf,
		       size_t len)
{
	const char *paused = info->paused ? ", paused" : "";

	if (info->state == COW_STATE_DRAINING)
		snprintf(buf, len, "draining %u %%%s", info->drained, paused);
	else if (info->state == COW_STATE_FOLDING)
		snprintf(buf, len, "folding %u %%%s", info->drained, paused);
	else
		snprintf(buf, len, "%s",
			 info->state == COW_STATE_TOP ? "top" : "frozen");
}

/* What the top says of requests that it could not take. */
static void held_name(struct ubd *dev, char *buf, size_t len)
{
	struct ubd_held held = ubd_held(dev);

	*buf = '\0';
	if (held.count)
		snprintf(buf, len, ", held: %s, %u request%s", held.why,
			 held.count, held.count == 1 ? "" : "s");
}

/* Width of the column of names. */
static int table_width(const struct common_file *file)
{
	struct cow_layer_info info;
	unsigned int i;
	int width = 4;

	for (i = 0; !cow_layer(file, i, &info); i++)
		width = max_t(int, width, strlen(info.path));
	return width;
}

/*
 * As snprintf(): what would be needed is returned, so that the table can be
 * made in two goes, the first of them without memory. Under ubd_engine_lock.
 */
static size_t table_print(struct ubd *dev, char *buf, size_t size)
{
	const struct common_file *file = ubd_file(dev);
	struct cow_layer_info info;
	unsigned int i, n = 0;
	char state[32], held[96];
	int width;

	if (!file)
		return 0;
	width = table_width(file);
	held_name(dev, held, sizeof(held));
	n = snprintf(buf, size, "ubd%c\n%5s  %-*s  %-6s  %15s  %15s  %s\n",
		     'a' + ubd_unit(dev), "layer", width, "file", "format",
		     "size", "owned", "state");
	for (i = 0; !cow_layer(file, i, &info); i++) {
		state_name(&info, state, sizeof(state));
		n += snprintf(n < size ? buf + n : NULL,
			      n < size ? size - n : 0,
			      "%5u  %-*s  %-6s  %15llu  %15llu  %s%s\n", i,
			      width, info.path, format_name(info.format),
			      info.size, info.owned, state, i ? "" : held);
	}
	return n;
}

static char *table_try(struct ubd *dev, size_t size, size_t *need)
{
	char *buf = kvmalloc(size, GFP_KERNEL);
	unsigned long flags;

	if (!buf)
		return NULL;
	flags = ubd_enter();
	*need = table_print(dev, buf, size);
	ubd_leave(flags);
	return buf;
}

/* The table of one device, freed with kvfree(), or NULL. */
static char *table_of(struct ubd *dev)
{
	size_t size = 4096, need;
	char *buf;

	for (;;) {
		buf = table_try(dev, size, &need);
		if (!buf || need < size)
			break;
		kvfree(buf);
		size = need + 256;
	}
	if (buf && !need)
		*buf = '\0';
	return buf;
}

/**
 * struct list_job - a list on its way
 * @json: as JSON, not as a table
 * @sent: devices so far
 */
struct list_job {
	struct ubd_job job;
	bool json;
	unsigned int sent;
};

static int send_text(struct list_job *list, const char *text)
{
	size_t left = strlen(text);

	while (left) {
		size_t part = min_t(size_t, left, UBD_PIECE);
		int ret = ubd_send_piece(&list->job.req, text, part, 0, 1);

		if (ret)
			return ret;
		text += part;
		left -= part;
	}
	return 0;
}

static void send_device(struct list_job *list, struct ubd *dev)
{
	char *text = list->json ? ubd_list_json(dev) : table_of(dev);

	if (text && *text) {
		if (list->json && list->sent++)
			send_text(list, ",");
		send_text(list, text);
	}
	kvfree(text);
}

/* An answer begins behind the client's "OK", so with a line of its own. */
static int list_main(void *arg)
{
	struct list_job *list = arg;
	struct ubd *only = list->job.dev;
	unsigned int i;

	send_text(list, list->json ? "\n[" : "\n");
	for (i = 0; i < UBD_DEVICES; i++)
		if (!only || only == ubd_device(i))
			send_device(list, ubd_device(i));
	if (list->json)
		send_text(list, "\n]");
	ubd_send_piece(&list->job.req, "", 0, 0, 0);
	kvfree(list);
	return 0;
}

/* All devices if @dev is NULL. Listing claims nothing, a merge goes on. */
void ubd_list_chains(struct mc_request *req, struct ubd *dev, bool json)
{
	struct task_struct *thread = ERR_PTR(-ENOMEM);
	struct list_job *list = NULL;

	if (dev && ubd_refuse_unconfigured(req, dev))
		return;
	list = ubd_job_new(sizeof(*list), dev, req);
	if (list) {
		list->json = json;
		thread = kthread_run(list_main, list, "ubd-list");
	}
	if (!IS_ERR(thread))
		return;
	kvfree(list);
	ubd_refuse(req, "no memory in the guest");
}
