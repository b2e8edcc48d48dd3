// SPDX-License-Identifier: GPL-2.0-only
/*
 * moo diff - in which ranges two disks differ.
 *
 * Duty: what layers own that only one of two chains has, or, with --data, what
 * reads differently; as a table or in JSON in the manner of qemu-img map.
 *
 * Invariants: by ownership nothing but metadata is read. Ranges come in order,
 * and neighbours that are alike are joined. Exit codes are those of cmp.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "ubd_json.h"
#include "pair.h"

enum diff_exit {
	DIFF_EQUAL = 0,
	DIFF_DIFFERS = 1,
	DIFF_TROUBLE = 2,
};

static const struct moo_use uses[] = {
	{ MOO_OPT_DATA, "compare what A and B contain, which need not be related" },
	{ MOO_OPT_OUTPUT, "human (the default) or json" },
	{ MOO_OPT_RAW, "A and B are raw data, whatever they begin with" },
	{ MOO_OPT_SHARE, "look although a running machine writes to them; what is\n"
			 "shown may then be out of date" },
};

/**
 * struct diff - a comparison under way
 * @pair: the disks
 * @own: by ownership: how many layers are in that chain alone
 * @held: a range that differs and may go on; length 0: none
 * @differs: some range does
 * @buf: for moo_pair_read(); NULL: by ownership
 */
struct diff {
	struct moo_chain chain[2];
	struct moo_pair pair;
	unsigned int own[2];
	struct moo_pair held;
	bool differs;
	bool as_json;
	struct ubd_json json;
	uint8_t *buf;
};

/* ---- what is shown ----------------------------------------------------- */

static void show_json(struct diff *diff, const struct moo_pair *part)
{
	struct ubd_json *json = &diff->json;

	ubd_json_open(json, NULL, '{');
	ubd_json_number(json, "start", part->start);
	ubd_json_number(json, "length", part->length);
	if (part->ext[0].length) {
		ubd_json_number(json, "depth", part->ext[0].depth);
		ubd_json_bool(json, "zero", part->ext[0].zero);
	}
	if (part->ext[1].length) {
		ubd_json_number(json, "other-depth", part->ext[1].depth);
		ubd_json_bool(json, "other-zero", part->ext[1].zero);
	}
	ubd_json_close(json, '}');
}

#define DEPTH	16

/* The layer that @ext comes from, as the table has it. */
static const char *depth_text(const struct moo_extent *ext, char text[DEPTH])
{
	if (!ext->length)
		return "-";
	snprintf(text, DEPTH, "%u", ext->depth);
	return text;
}

static void show_line(const struct moo_pair *part)
{
	char a[DEPTH], b[DEPTH];

	printf("%#-18llx %#-18llx %-6s %s\n", (unsigned long long)part->start,
	       (unsigned long long)part->length, depth_text(&part->ext[0], a),
	       depth_text(&part->ext[1], b));
}

static void show_held(struct diff *diff)
{
	if (!diff->held.length)
		return;
	if (diff->as_json)
		show_json(diff, &diff->held);
	else
		show_line(&diff->held);
	diff->held.length = 0;
}

static bool alike(const struct moo_extent *a, const struct moo_extent *b)
{
	if (!a->length || !b->length)
		return !a->length && !b->length;
	return a->depth == b->depth && a->zero == b->zero;
}

/* @length bytes of the stretch, from @skip on, differ. */
static void found(struct diff *diff, uint64_t skip, uint64_t length)
{
	struct moo_pair *held = &diff->held;
	uint64_t start = diff->pair.start + skip;

	diff->differs = true;
	if (held->length && held->start + held->length == start &&
	    alike(&held->ext[0], &diff->pair.ext[0]) &&
	    alike(&held->ext[1], &diff->pair.ext[1])) {
		held->length += length;
		return;
	}
	show_held(diff);
	*held = diff->pair;
	held->start = start;
	held->length = length;
}

/* ---- by ownership ------------------------------------------------------ */

/* Does a layer have the stretch that only one of the disks has? */
static void compare_owners(struct diff *diff)
{
	const struct moo_extent *ext = diff->pair.ext;
	bool own = false;
	unsigned int n;

	for (n = 0; n < 2; n++)
		own |= !ext[n].length ||
		       (ext[n].present && ext[n].depth < diff->own[n]);
	if (own)
		found(diff, 0, diff->pair.length);
}

/* ---- by content -------------------------------------------------------- */

static void compare_sectors(struct diff *diff, size_t len)
{
	const uint8_t *a = diff->buf, *b = diff->buf + MOO_PAIR;
	size_t at;

	for (at = 0; at < len; at += COW_SECTOR_SIZE)
		if (memcmp(a + at, b + at, COW_SECTOR_SIZE))
			found(diff, at, COW_SECTOR_SIZE);
}

/* Compare the stretch, or its first part, and say in the pair how much. */
static int compare_data(struct diff *diff, struct cow_error *err)
{
	struct moo_pair *pair = &diff->pair;
	int ret;

	if (!pair->ext[0].length || !pair->ext[1].length) {
		found(diff, 0, pair->length);
		return 0;
	}
	if (moo_pair_same(pair))
		return 0;
	ret = moo_pair_read(pair, diff->buf, err);
	if (!ret)
		compare_sectors(diff, pair->length);
	return ret;
}

/* ---- all of it --------------------------------------------------------- */

static int walk(struct diff *diff, struct moo_progress *progress,
		struct cow_error *err)
{
	struct moo_pair *pair = &diff->pair;
	uint64_t at = 0;
	int ret;

	for (;;) {
		moo_progress_at(progress, at);
		ret = moo_pair_at(pair, at, err);
		if (ret || !pair->length)
			break;
		if (diff->buf)
			ret = compare_data(diff, err);
		else
			compare_owners(diff);
		if (ret)
			break;
		at += pair->length;
	}
	show_held(diff);
	return ret;
}

static int print(struct diff *diff, struct cow_error *err)
{
	struct moo_progress progress;
	int ret;

	if (diff->as_json)
		ubd_json_open(&diff->json, NULL, '[');
	else
		printf("%-18s %-18s %-6s %s\n", "Offset", "Length", "A", "B");
	moo_progress_begin(&progress, diff->chain[0].name,
			   diff->chain[0].file->size);
	/* The ranges are on the terminal themselves. */
	if (isatty(STDOUT_FILENO))
		progress.on = false;
	ret = walk(diff, &progress, err);
	moo_progress_end(&progress);
	if (diff->as_json)
		ubd_json_close(&diff->json, ']');
	return ret;
}

static int compare_by_data(struct diff *diff, struct cow_error *err)
{
	const struct cow_env *env = &diff->chain[0].env;
	int ret;

	diff->buf = env->alloc(MOO_BUFFER);
	if (!diff->buf)
		return moo_fail(err, -ENOMEM, "%s: out of memory",
				diff->chain[0].name);
	ret = print(diff, err);
	env->free(diff->buf, MOO_BUFFER);
	return ret;
}

static int compare_by_owner(struct diff *diff, struct cow_error *err)
{
	if (moo_pair_common(&diff->pair, diff->own))
		return print(diff, err);
	return moo_fail(err, -EINVAL,
			"%s: has no layer in common with %s; compare what they contain, with --data",
			diff->chain[0].name, diff->chain[1].name);
}

static int open_both(struct diff *diff, const struct moo_args *args,
		     struct cow_error *err)
{
	struct cow_open_args open = {
		.read_only = true,
		.no_follow = true,
		.raw = args->raw,
		.peek = args->share,
	};
	unsigned int n;
	int ret = 0;

	for (n = 0; !ret && n < 2; n++) {
		open.name = args->file[n];
		ret = moo_chain_open(&diff->chain[n], &open, NULL, err);
	}
	return ret;
}

static int run(const struct moo_args *args)
{
	struct diff diff = {
		.pair.chain = { &diff.chain[0], &diff.chain[1] },
		.as_json = args->json,
		.json = { .put = moo_print, .out = stdout },
	};
	struct cow_error err = { "" };
	int ret;

	ret = open_both(&diff, args, &err);
	if (!ret)
		ret = args->data ? compare_by_data(&diff, &err) :
				   compare_by_owner(&diff, &err);
	moo_chain_close(&diff.chain[1]);
	moo_chain_close(&diff.chain[0]);
	if (moo_finish(ret, &err))
		return DIFF_TROUBLE;
	return diff.differs ? DIFF_DIFFERS : DIFF_EQUAL;
}

const struct moo_verb moo_diff = {
	.name = "diff",
	.synopsis = "[-U] [--raw] [--data] [--output=json] A B",
	.brief = "show in which ranges two disks differ",
	.text = "Show the ranges of the disks A and B that they have from layers which are not\n"
		"below both; with --data, in which they read differently. Exit code 0: there are\n"
		"none; 1: there are some; 2: could not tell.",
	.uses = uses,
	.nuses = ARRAY_SIZE(uses),
	.min = 2,
	.max = 2,
	.misuse = DIFF_TROUBLE,
	.run = run,
};
