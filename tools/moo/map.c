// SPDX-License-Identifier: GPL-2.0-only
/*
 * moo map - where the bytes of a disk come from.
 *
 * Duty: the extents of a chain, neighbours joined, as a table or in the JSON of
 * qemu-img map.
 */
#include "ubd_json.h"
#include "moo.h"

static const struct moo_use uses[] = {
	{ MOO_OPT_OUTPUT, "human (the default) or json, as qemu-img map has it" },
	{ MOO_OPT_RAW, "FILE is raw data, whatever it begins with" },
	{ MOO_OPT_SHARE, "look although a running machine writes to it; what is\n"
			 "shown may then be out of date" },
};

struct map {
	struct moo_chain chain;
	struct ubd_json json;
	bool as_json;
};

static bool joins(const struct moo_extent *a, const struct moo_extent *b)
{
	return a->depth == b->depth && a->present == b->present &&
	       a->zero == b->zero && a->data == b->data &&
	       a->mapped == b->mapped &&
	       (!a->mapped || a->offset + a->length == b->offset);
}

static void show_json(struct map *map, const struct moo_extent *ext)
{
	struct ubd_json *json = &map->json;

	ubd_json_open(json, NULL, '{');
	ubd_json_number(json, "start", ext->start);
	ubd_json_number(json, "length", ext->length);
	ubd_json_number(json, "depth", ext->depth);
	ubd_json_bool(json, "present", ext->present);
	ubd_json_bool(json, "zero", ext->zero);
	ubd_json_bool(json, "data", ext->data);
	if (ext->mapped)
		ubd_json_number(json, "offset", ext->offset);
	ubd_json_close(json, '}');
}

static void show_line(struct map *map, const struct moo_extent *ext)
{
	struct cow_layer_info info;

	if (!ext->data || cow_layer(map->chain.file, ext->depth, &info))
		return;
	printf("%#-18llx %#-18llx %-6u %#-18llx %s\n",
	       (unsigned long long)ext->start, (unsigned long long)ext->length,
	       ext->depth, (unsigned long long)ext->offset, info.path);
}

static void show(struct map *map, const struct moo_extent *ext)
{
	if (!ext->length)
		return;
	if (map->as_json)
		show_json(map, ext);
	else
		show_line(map, ext);
}

static int walk(struct map *map, struct cow_error *err)
{
	struct moo_extent held = { .length = 0 }, ext;
	uint64_t at;
	int ret;

	for (at = 0; at < map->chain.file->size; at += ext.length) {
		ret = moo_chain_next(&map->chain, COW_MAP_CHAIN, at, &ext,
				     err);
		if (ret)
			return ret;
		if (joins(&held, &ext)) {
			held.length += ext.length;
			continue;
		}
		show(map, &held);
		held = ext;
	}
	show(map, &held);
	return 0;
}

static int print_map(struct map *map, struct cow_error *err)
{
	int ret;

	if (!map->as_json) {
		printf("%-18s %-18s %-6s %-18s %s\n", "Offset", "Length",
		       "Depth", "Mapped to", "File");
		return walk(map, err);
	}
	ubd_json_open(&map->json, NULL, '[');
	ret = walk(map, err);
	ubd_json_close(&map->json, ']');
	return ret;
}

static int run(const struct moo_args *args)
{
	struct cow_open_args open = {
		.name = args->file[0],
		.read_only = true,
		.no_follow = true,
		.raw = args->raw,
		.peek = args->share,
	};
	struct map map = {
		.as_json = args->json,
		.json = { .put = moo_print, .out = stdout },
	};
	struct cow_error err = { "" };
	int ret;

	ret = moo_chain_open(&map.chain, &open, NULL, &err);
	if (!ret) {
		ret = print_map(&map, &err);
		moo_chain_close(&map.chain);
	}
	return moo_finish(ret, &err);
}

const struct moo_verb moo_map = {
	.name = "map",
	.synopsis = "[-U] [--raw] [--output=json] FILE",
	.brief = "show which layer each part of a disk comes from",
	.text = "Show which layer each part of the disk FILE comes from, and where it stands\n"
		"there. Depth 0 is FILE itself, 1 its parent. The table leaves out what reads\n"
		"as zeros.",
	.uses = uses,
	.nuses = ARRAY_SIZE(uses),
	.min = 1,
	.max = 1,
	.run = run,
};
