// SPDX-License-Identifier: GPL-2.0-only
/*
 * moo compact - give back the room in a V4 file that nothing uses.
 *
 * Duty: blocks from the end of the file are moved to free ones before it, until
 * there are none, and the end is cut off.
 *
 * Invariant: each round is one commit. Stopped at any point, the file reads as
 * before, and the same command goes on with it.
 */
#include <errno.h>

#include "tree.h"

/*
 * Data moves in the first round, index pages in the following ones; whoever is
 * above a page that moves has to move, too, until the root is the only one.
 */
#define ROUNDS	(2 * COW_V4_MAX_LEVELS + 4)

static uint64_t count_used(const struct check_map *map)
{
	uint64_t n = 0, block;

	for (block = COW_V4_FIRST_BLOCK; block < map->blocks; block++)
		n += check_bit(map->used, block);
	return n;
}

static int walk_once(struct moo_tree *tree, unsigned int n, bool *more,
		     struct cow_error *err)
{
	const struct check_map *map = &tree->check.map;
	int ret;

	tree->limit = COW_V4_FIRST_BLOCK + count_used(map);
	tree->spread = !n;
	/* Reservations are found by looking. */
	*more = !n || map->top > tree->limit;
	if (!*more)
		return 0;
	ret = moo_tree_walk(tree, err);
	*more = tree->changed || !n;
	return ret ? ret : moo_tree_commit(tree, err);
}

static int one_round(struct moo_hold *hold, unsigned int n, bool *more,
		     struct cow_error *err)
{
	struct moo_tree tree;
	int ret;

	ret = moo_tree_begin(&tree, hold, err);
	if (!ret)
		ret = walk_once(&tree, n, more, err);
	moo_tree_end(&tree);
	return ret ? ret : moo_hold_again(hold, err);
}

static int refuse(const struct moo_probe *p, struct cow_error *err)
{
	if (p->hdr.format == COW_V4 && p->hdr.v4.kind == COW_KIND_COW)
		return moo_hold_writable(p, true, err);
	return moo_fail(err, -EINVAL,
			"%s: its data has a place of its own, and none to spare; only layers of V4 can be compacted",
			p->name);
}

static int compact(struct moo_hold *hold, struct cow_error *err)
{
	bool more = true;
	unsigned int n;
	int ret;

	ret = refuse(hold->probe, err);
	for (n = 0; !ret && more && n < ROUNDS; n++)
		ret = one_round(hold, n, &more, err);
	return ret ? ret : moo_tree_tidy(hold, err);
}

static int run(const struct moo_args *args)
{
	struct cow_error err = { "" };
	struct moo_hold hold;
	int ret;

	moo_cancel_begin();
	ret = moo_hold(&hold, args->file[0], false, &err);
	if (!ret)
		ret = compact(&hold, &err);
	moo_hold_end(&hold);
	ret = moo_finish(ret, &err);
	if (ret)
		moo_cancel_end();
	return ret;
}

const struct moo_verb moo_compact = {
	.name = "compact",
	.synopsis = "FILE",
	.brief = "give back room in a V4 file that nothing uses",
	.text = "Move what the V4 file FILE holds towards its head, and cut off its end. What it\n"
		"owns does not change.",
	.min = 1,
	.max = 1,
	.run = run,
};
