// SPDX-License-Identifier: GPL-2.0-only
/*
 * The index of a V4 file, written anew where it has to change.
 *
 * Duty: one walk over the index, which drops what lies behind the last sector,
 * moves blocks towards the head, and writes each page that has changed to
 * another block, leaves first.
 *
 * Invariants: nothing is written to a block that the durable header refers to;
 * one header brings all of it into force. Stopped before that, the file reads as
 * before and has lost blocks, which moo check -r finds.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "record.h"
#include "tree.h"

#define LEAF_SECTORS	((uint64_t)COW_PAGE_ENTRIES * COW_BLOCK_SECTORS)

/* First sector that entry @n of level @level is about. */
static uint64_t first_sector(unsigned int level, uint64_t n)
{
	uint64_t sector = n * COW_BLOCK_SECTORS;

	while (level--)
		sector *= COW_PAGE_ENTRIES;
	return sector;
}

/* ---- blocks ------------------------------------------------------------ */

/* A block that nobody uses, before @limit, or 0. */
static uint64_t take_below(struct moo_tree *tree, uint64_t limit)
{
	struct check_map *map = &tree->check.map;
	uint64_t end = moo_min(moo_min(limit, tree->v4.end), map->blocks);

	for (; tree->low < end; tree->low++) {
		if (check_bit(map->used, tree->low))
			continue;
		check_set_bit(map->used, tree->low);
		return tree->low++;
	}
	return 0;
}

static uint64_t take_any(struct moo_tree *tree)
{
	uint64_t block = tree->spread ? 0 : take_below(tree, UINT64_MAX);

	if (block)
		return block;
	block = tree->v4.end++;
	if (block < tree->check.map.blocks)
		check_set_bit(tree->check.map.used, block);
	return block;
}

static int write_block(struct moo_tree *tree, const void *buf, uint64_t block)
{
	const struct moo_hold *hold = tree->hold;

	return hold->env.io->pwrite(hold->env.ctx, hold->fd, buf,
				    COW_BLOCK_SIZE, block << COW_BLOCK_SHIFT);
}

/* Zeros need no room. */
static int clear_block(struct moo_tree *tree, uint64_t block)
{
	struct io_desc desc = {
		.op = IO_PUNCH,
		.fd = tree->hold->fd,
		.offset = block << COW_BLOCK_SHIFT,
		.len = COW_BLOCK_SIZE,
	};

	return tree->hold->env.io->submit(tree->hold->env.ctx, &desc);
}

static int copy_block(struct moo_tree *tree, uint64_t from, uint64_t to,
		      struct cow_error *err)
{
	static const uint8_t zeros[COW_BLOCK_SIZE];
	int ret;

	ret = check_read(&tree->check, tree->data, COW_BLOCK_SIZE,
			 from << COW_BLOCK_SHIFT, err);
	if (ret)
		return ret;
	if (memcmp(tree->data, zeros, COW_BLOCK_SIZE))
		ret = write_block(tree, tree->data, to);
	else
		ret = clear_block(tree, to);
	return ret ? moo_hold_failed(tree->hold, ret, err) : 0;
}

/* ---- entries ----------------------------------------------------------- */

static void set_entry(struct moo_tree *tree, unsigned int level,
		      unsigned int at, uint64_t entry)
{
	uint64_t *slot = &tree->page[level].entry[at];

	if (cow_be64(*slot) == entry)
		return;
	*slot = cow_be64(entry);
	tree->dirty[level] = true;
}

/* @entry without the sectors that are dropped, and without a block for none. */
static uint64_t keep_sectors(const struct moo_tree *tree, uint64_t n,
			     uint64_t entry)
{
	uint64_t first = n * COW_BLOCK_SECTORS;
	uint64_t keep = 0;

	if (first < tree->sectors)
		keep = moo_min(tree->sectors - first, COW_BLOCK_SECTORS);
	if (keep < COW_BLOCK_SECTORS)
		entry &= ~(uint64_t)COW_ENTRY_STATES |
			 ((1ull << 2 * keep) - 1);
	return entry & COW_ENTRY_ALL_DATA ? entry : entry & COW_ENTRY_STATES;
}

static unsigned int count_owned(uint64_t entry)
{
	return __builtin_popcount((entry | entry >> 1) & COW_ENTRY_ALL_DATA);
}

static int leaf_entry(struct moo_tree *tree, unsigned int at,
		      struct cow_error *err)
{
	uint64_t n = tree->index[0] * COW_PAGE_ENTRIES + at;
	uint64_t entry, block, to = 0;
	int ret;

	entry = keep_sectors(tree, n, cow_be64(tree->page[0].entry[at]));
	block = entry >> COW_ENTRY_SHIFT;
	tree->v4.owned += count_owned(entry);
	if (block >= tree->limit)
		to = take_below(tree, tree->limit);
	if (to) {
		ret = copy_block(tree, block, to, err);
		if (ret)
			return ret;
		entry = to << COW_ENTRY_SHIFT | (entry & COW_ENTRY_STATES);
	}
	set_entry(tree, 0, at, entry);
	return 0;
}

/* ---- pages ------------------------------------------------------------- */

static int enter(struct moo_tree *tree, unsigned int level, uint64_t index,
		 uint64_t block, struct cow_error *err)
{
	struct cow_disk_page *page = &tree->page[level];
	int ret;

	ret = check_read(&tree->check, page, sizeof(*page),
			 block << COW_BLOCK_SHIFT, err);
	if (ret)
		return ret;
	if (cow_page_check(page, tree->v4.uuid, level, index, block))
		return moo_fail(err, -EBADMSG,
				"%s: index page %llu of level %u is damaged; look at it with moo check",
				tree->hold->name, (unsigned long long)index,
				level);
	tree->index[level] = index;
	tree->block[level] = block;
	tree->next[level] = 0;
	tree->dirty[level] = false;
	return 0;
}

static bool is_empty(const struct cow_disk_page *page)
{
	unsigned int i;

	for (i = 0; i < COW_PAGE_ENTRIES; i++)
		if (page->entry[i])
			return false;
	return true;
}

static int write_page(struct moo_tree *tree, unsigned int level,
		      uint64_t block, struct cow_error *err)
{
	struct cow_disk_page *page = &tree->page[level];
	int ret;

	cow_page_seal(page, tree->v4.uuid, level, tree->index[level], block,
		      tree->v4.generation + 1);
	tree->changed = true;
	ret = write_block(tree, page, block);
	return ret ? moo_hold_failed(tree->hold, ret, err) : 0;
}

/* All entries of the page were looked at: in *@block where it stands now. */
static int leave(struct moo_tree *tree, unsigned int level, uint64_t *block,
		 struct cow_error *err)
{
	uint64_t to = 0;

	*block = tree->block[level];
	if (is_empty(&tree->page[level])) {
		tree->changed = true;
		*block = 0;
		return 0;
	}
	if (tree->dirty[level])
		to = take_any(tree);
	else if (*block >= tree->limit && !tree->spread)
		to = take_below(tree, tree->limit);
	if (!to)
		return 0;
	*block = to;
	return write_page(tree, level, to, err);
}

/* Entry @at of a page that is no leaf: go down, or drop it. */
static int inner_entry(struct moo_tree *tree, unsigned int *level,
		       unsigned int at, struct cow_error *err)
{
	uint64_t n = tree->index[*level] * COW_PAGE_ENTRIES + at;
	uint64_t entry = cow_be64(tree->page[*level].entry[at]);
	int ret;

	if (first_sector(*level, n) >= tree->sectors)
		entry = 0;
	set_entry(tree, *level, at, entry);
	if (!entry)
		return 0;
	ret = enter(tree, *level - 1, n, entry >> COW_ENTRY_SHIFT, err);
	if (!ret)
		(*level)--;
	return ret;
}

/* Between two leaves there is time to look up. */
static int pause_at(struct moo_tree *tree, struct moo_progress *progress,
		    struct cow_error *err)
{
	moo_progress_at(progress, tree->index[0] * LEAF_SECTORS *
				  COW_SECTOR_SIZE);
	if (!moo_cancelled())
		return 0;
	return moo_fail(err, -EINTR,
			"%s: stopped before the end; it reads as before, and the same command goes on with it",
			tree->hold->name);
}

static int walk_pages(struct moo_tree *tree, unsigned int top,
		      struct moo_progress *progress, struct cow_error *err)
{
	unsigned int level = top, at;
	uint64_t block;
	int ret = 0;

	while (!ret) {
		at = tree->next[level]++;
		if (at < COW_PAGE_ENTRIES) {
			ret = level ? inner_entry(tree, &level, at, err) :
				      leaf_entry(tree, at, err);
			continue;
		}
		ret = leave(tree, level, &block, err);
		if (!ret && !level)
			ret = pause_at(tree, progress, err);
		if (ret || level == top)
			break;
		level++;
		set_entry(tree, level, tree->next[level] - 1,
			  block << COW_ENTRY_SHIFT);
	}
	if (!ret)
		tree->v4.root = block;
	return ret;
}

/* A smaller disk needs fewer levels: all that is left is below entry 0. */
static int lower_root(struct moo_tree *tree, struct cow_error *err)
{
	unsigned int level = tree->hold->probe->hdr.v4.levels;
	int ret;

	while (--level >= tree->v4.levels && tree->v4.root) {
		ret = enter(tree, level, 0, tree->v4.root, err);
		if (ret)
			return ret;
		tree->v4.root = cow_be64(tree->page[level].entry[0]) >>
				COW_ENTRY_SHIFT;
		tree->changed = true;
	}
	return 0;
}

int moo_tree_walk(struct moo_tree *tree, struct cow_error *err)
{
	unsigned int top = tree->v4.levels - 1;
	struct moo_progress progress;
	int ret;

	tree->v4.owned = 0;
	ret = lower_root(tree, err);
	if (ret || !tree->v4.root)
		return ret;
	ret = enter(tree, top, 0, tree->v4.root, err);
	if (ret)
		return ret;
	moo_progress_begin(&progress, tree->hold->name, tree->v4.size);
	ret = walk_pages(tree, top, &progress, err);
	moo_progress_end(&progress);
	return ret;
}

int moo_tree_raise(struct moo_tree *tree, unsigned int levels,
		   struct cow_error *err)
{
	uint64_t block;
	unsigned int level;
	int ret;

	for (level = tree->v4.levels; level < levels && tree->v4.root; level++) {
		memset(&tree->page[level], 0, sizeof(tree->page[level]));
		tree->index[level] = 0;
		set_entry(tree, level, 0, tree->v4.root << COW_ENTRY_SHIFT);
		block = take_any(tree);
		ret = write_page(tree, level, block, err);
		if (ret)
			return ret;
		tree->v4.root = block;
	}
	tree->v4.levels = levels;
	return 0;
}

/* ---- the file ---------------------------------------------------------- */

static int put_header(struct moo_tree *tree, struct cow_error *err)
{
	int ret;

	tree->v4.generation++;
	ret = cow_v4_put_slot(&tree->hold->env, tree->hold->fd, &tree->v4);
	return ret ? moo_hold_failed(tree->hold, ret, err) : 0;
}

int moo_tree_commit(struct moo_tree *tree, struct cow_error *err)
{
	const struct moo_hold *hold = tree->hold;
	int ret;

	if (!tree->changed)
		return 0;
	ret = hold->env.io->sync(hold->env.ctx, hold->fd);
	if (ret)
		return moo_hold_failed(hold, ret, err);
	return put_header(tree, err);
}

static int look(struct check *check, const struct moo_hold *hold,
		struct cow_error *err)
{
	int ret;

	*check = (struct check){ .probe = hold->probe };
	ret = check_v4(check, err);
	if (ret || !check->corruptions)
		return ret;
	return moo_fail(err, -EBADMSG,
			"%s: has faults, so nothing was done; look at it with moo check",
			hold->name);
}

/* The blocks of the seal may be used from here on. */
static int unseal(struct moo_tree *tree, struct cow_error *err)
{
	int ret;

	check_end(&tree->check);
	tree->check = (struct check){ 0 };
	ret = moo_hold_unseal(tree->hold, err);
	if (ret)
		return ret;
	tree->v4 = tree->hold->probe->hdr.v4;
	return look(&tree->check, tree->hold, err);
}

int moo_tree_begin(struct moo_tree *tree, struct moo_hold *hold,
		   struct cow_error *err)
{
	int ret;

	*tree = (struct moo_tree){
		.hold = hold,
		.v4 = hold->probe->hdr.v4,
		.sectors = UINT64_MAX,
		.limit = UINT64_MAX,
		.low = COW_V4_FIRST_BLOCK,
		.page = calloc(COW_V4_MAX_LEVELS, sizeof(*tree->page)),
		.data = malloc(COW_BLOCK_SIZE),
	};
	if (!tree->page || !tree->data)
		return moo_fail(err, -ENOMEM, "%s: out of memory", hold->name);
	ret = look(&tree->check, hold, err);
	if (!ret && cow_v4_sealed(&tree->v4))
		ret = unseal(tree, err);
	if (ret)
		return ret;
	if (tree->v4.free_list) {
		tree->v4.free_list = 0;
		ret = put_header(tree, err);
	}
	/* What was handed out behind all that is used is free as well. */
	tree->v4.end = tree->check.map.top;
	return ret;
}

void moo_tree_end(struct moo_tree *tree)
{
	check_end(&tree->check);
	free(tree->page);
	free(tree->data);
}

int moo_tree_tidy(struct moo_hold *hold, struct cow_error *err)
{
	struct check check;
	int ret;

	ret = moo_hold_again(hold, err);
	if (ret)
		return ret;
	ret = look(&check, hold, err);
	if (!ret && (check.leaks || check.map.top < hold->probe->hdr.v4.end))
		ret = repair_v4(&check, hold->fd, CHECK_LIST, err);
	check_end(&check);
	return ret;
}
