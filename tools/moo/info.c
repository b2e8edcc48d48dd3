// SPDX-License-Identifier: GPL-2.0-only
/*
 * moo info - what a file is, or each file of a chain.
 *
 * Duty: what the header and the state of a file say, for people or in the JSON
 * of qemu-img info. A single file is shown without its parent being opened.
 */
#include "children.h"
#include "ubd_json.h"
#include "moo.h"

static const struct moo_use uses[] = {
	{ MOO_OPT_CHAIN, "show the layers below, too" },
	{ MOO_OPT_OUTPUT, "human (the default) or json, as qemu-img info has it" },
	{ MOO_OPT_RAW, "FILE is raw data, whatever it begins with" },
	{ MOO_OPT_SHARE, "look although a running machine writes to it; what is\n"
			 "shown may then be out of date" },
};

#define UUID_TEXT	37

static void uuid_text(const uint8_t uuid[16], char text[UUID_TEXT])
{
	unsigned int i;

	for (i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*text++ = '-';
		text += sprintf(text, "%02x", uuid[i]);
	}
}

static const char *state_name(const struct moo_probe *p)
{
	if (p->state & COW_IS_DRAINED)
		return "drained";
	if (p->state & COW_IS_DRAINING)
		return "draining";
	if (p->state & COW_IS_FROZEN)
		return "frozen";
	return "top";
}

static const char *parent_format(const struct moo_probe *p)
{
	return moo_parent_is_raw(p) ? "raw" : "cow";
}

static const char *kind_name(const struct moo_probe *p)
{
	switch (p->hdr.v4.kind) {
	case COW_KIND_DISK:
		return "disk";
	case COW_KIND_HEADER:
		return "header";
	default:
		return "cow";
	}
}

/* ---- json -------------------------------------------------------------- */

static void json_v4(struct ubd_json *json, const struct moo_probe *p)
{
	const struct cow_disk_v4 *v4 = &p->hdr.v4;
	char text[UUID_TEXT];

	ubd_json_string(json, "kind", kind_name(p));
	uuid_text(v4->uuid, text);
	ubd_json_string(json, "uuid", text);
	ubd_json_number(json, "generation", v4->generation);
	ubd_json_number(json, "content-generation", v4->content);
	ubd_json_number(json, "sector-size", v4->sectorsize);
	ubd_json_bool(json, "sealed", cow_v4_sealed(v4));
	if (cow_v4_sealed(v4))
		ubd_json_number(json, "sealed-clusters", v4->sealed);
	if (v4->heads) {
		ubd_json_number(json, "cylinders", v4->cylinders);
		ubd_json_number(json, "heads", v4->heads);
		ubd_json_number(json, "sectors", v4->sectors);
	}
	if (v4->parent_format == COW_PARENT_V4) {
		uuid_text(v4->parent_uuid, text);
		ubd_json_string(json, "backing-uuid", text);
		ubd_json_number(json, "backing-content-generation",
				v4->parent_content);
	}
}

static void json_stock(struct ubd_json *json, const struct moo_probe *p)
{
	/* While it is drained the header is made unfit for stock programs. */
	ubd_json_number(json, "backing-mtime",
			p->state & (COW_IS_DRAINING | COW_IS_DRAINED) ?
			p->record.parent_mtime : p->hdr.mtime);
	ubd_json_number(json, "data-offset", p->hdr.data_offset);
	if (p->hdr.format == COW_V1)
		ubd_json_bool(json, "little-endian", p->hdr.little_endian);
	if (p->hdr.format == COW_V3)
		ubd_json_bool(json, "broken-layout", p->hdr.broken);
	else
		ubd_json_bool(json, "tail-on-data", p->hdr.tail_on_data);
}

static void json_specific(struct ubd_json *json, const struct moo_probe *p,
			  uint64_t owned)
{
	bool raw = p->hdr.format == COW_RAW;

	if (raw && !p->state)
		return;
	ubd_json_open(json, "format-specific", '{');
	ubd_json_string(json, "type", moo_format_name(p->hdr.format));
	ubd_json_open(json, "data", '{');
	ubd_json_number(json, "version", p->hdr.format);
	ubd_json_string(json, "state", state_name(p));
	ubd_json_bool(json, "protected", p->state & COW_IS_PROTECTED);
	if (p->successor[0])
		ubd_json_string(json, "successor", p->successor);
	if (!raw)
		ubd_json_number(json, "owned", owned);
	if (p->hdr.format == COW_V4)
		json_v4(json, p);
	else if (!raw)
		json_stock(json, p);
	ubd_json_close(json, '}');
	ubd_json_close(json, '}');
}

static void show_json(struct ubd_json *json, const struct moo_probe *p,
		      uint64_t owned)
{
	ubd_json_open(json, NULL, '{');
	ubd_json_string(json, "filename", p->name);
	ubd_json_string(json, "format", moo_format_name(p->hdr.format));
	ubd_json_number(json, "virtual-size", p->device);
	ubd_json_number(json, "actual-size", p->st.allocated);
	ubd_json_bool(json, "dirty-flag", false);
	if (p->hdr.format == COW_V4)
		ubd_json_number(json, "cluster-size", COW_BLOCK_SIZE);
	if (p->hdr.parent[0]) {
		ubd_json_string(json, "backing-filename", p->hdr.parent);
		ubd_json_string(json, "full-backing-filename", p->hdr.parent);
		ubd_json_string(json, "backing-filename-format", parent_format(p));
	}
	json_specific(json, p, owned);
	ubd_json_close(json, '}');
}

/* ---- people ------------------------------------------------------------ */

static void text_size(const char *what, uint64_t bytes)
{
	char human[MOO_HUMAN];

	printf("%s: %s (%llu bytes)\n", what, moo_human(bytes, human),
	       (unsigned long long)bytes);
}

static void text_format(const struct moo_probe *p)
{
	const char *note = "";

	if (p->hdr.format == COW_RAW) {
		puts("file format: raw");
		return;
	}
	if (p->hdr.broken)
		note = ", the layout with 64-bit padding";
	else if (p->hdr.little_endian)
		note = ", little endian";
	else if (p->hdr.format != COW_V4)
		note = "";
	else if (p->hdr.v4.kind == COW_KIND_HEADER)
		note = ", the header of a raw image";
	else if (p->hdr.v4.kind == COW_KIND_DISK)
		note = ", data in place";
	else if (!p->hdr.parent[0])
		note = ", without parent";
	printf("file format: cow (V%d%s)\n", p->hdr.format, note);
}

static void text_state(const struct moo_probe *p)
{
	if (p->state & COW_IS_DRAINED)
		puts("state: emptied; a name for its backing file");
	else if (p->state & COW_IS_DRAINING)
		puts("state: being merged into its backing file");
	if (p->state & COW_IS_FROZEN)
		printf("state: frozen; %s takes the writes\n", p->successor);
	if (p->state & COW_IS_PROTECTED)
		puts("protected: yes");
	if (p->hdr.tail_on_data)
		puts("state: read-only, its last bits lie on data; moo convert mends that");
}

/* A list that can not be read is in nobody's way here. */
static void text_children(const struct moo_probe *p)
{
	char names[COW_DEPENDENTS_LEN];

	if (cow_dependents(&p->env, p->fd, NULL, names) > 0)
		printf("known to be built on it: %s\n", names);
}

static void show_text(const struct moo_probe *p, uint64_t owned)
{
	char text[UUID_TEXT];

	printf("image: %s\n", p->name);
	text_format(p);
	text_size("virtual size", p->device);
	text_size("disk size", p->st.allocated);
	if (p->hdr.format != COW_RAW)
		text_size("owned", owned);
	if (p->hdr.parent[0]) {
		printf("backing file: %s\n", p->hdr.parent);
		printf("backing file format: %s\n", parent_format(p));
	}
	text_state(p);
	text_children(p);
	if (p->hdr.format != COW_V4)
		return;
	if (p->hdr.v4.sectorsize != COW_SECTOR_SIZE)
		printf("sector size: %u bytes\n", p->hdr.v4.sectorsize);
	if (p->hdr.v4.heads)
		printf("geometry: %u cylinders, %u heads, %u sectors\n",
		       p->hdr.v4.cylinders, p->hdr.v4.heads, p->hdr.v4.sectors);
	uuid_text(p->hdr.v4.uuid, text);
	printf("uuid: %s\n", text);
	if (cow_v4_sealed(&p->hdr.v4))
		puts("sealed: yes");
}

/* ---- one file or all --------------------------------------------------- */

static int show(struct ubd_json *json, const char *name, bool raw, bool share,
		struct cow_error *err)
{
	struct moo_probe *p;
	uint64_t owned;
	int ret;

	ret = moo_probe(name, raw, share, &p, err);
	if (ret)
		return ret;
	ret = moo_owned(p, &owned, err);
	if (!ret && json)
		show_json(json, p, owned);
	else if (!ret)
		show_text(p, owned);
	moo_probe_end(p);
	return ret;
}

static int show_chain(struct ubd_json *json, const struct moo_args *args,
		      struct cow_error *err)
{
	struct cow_open_args open = {
		.name = args->file[0],
		.read_only = true,
		.no_follow = true,
		.raw = args->raw,
		.peek = args->share,
	};
	struct cow_layer_info info;
	struct moo_chain chain;
	unsigned int n;
	int ret;

	ret = moo_chain_open(&chain, &open, NULL, err);
	if (ret)
		return ret;
	for (n = 0; !ret && !cow_layer(chain.file, n, &info); n++) {
		if (n && !json)
			putchar('\n');
		ret = show(json, n ? info.path : args->file[0],
			   info.format == COW_RAW, args->share, err);
	}
	moo_chain_close(&chain);
	return ret;
}

static int run(const struct moo_args *args)
{
	struct ubd_json writer = { .put = moo_print, .out = stdout };
	struct ubd_json *json = args->json ? &writer : NULL;
	struct cow_error err = { "" };
	int ret;

	if (args->chain) {
		if (json)
			ubd_json_open(json, NULL, '[');
		ret = show_chain(json, args, &err);
		if (json)
			ubd_json_close(json, ']');
	} else {
		ret = show(json, args->file[0], args->raw, args->share, &err);
	}
	return moo_finish(ret, &err);
}

const struct moo_verb moo_info = {
	.name = "info",
	.synopsis = "[-U] [--raw] [--backing-chain] [--output=json] FILE",
	.brief = "show what a file is",
	.text = "Show what FILE is. A frozen layer is shown as what it is, the state at the\n"
		"snapshot, also while a machine runs on what is above it.",
	.uses = uses,
	.nuses = ARRAY_SIZE(uses),
	.min = 1,
	.max = 1,
	.run = run,
};
