/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The index of a V4 file that is held, written anew where it has to change:
 * what moo resize and moo compact share.
 */
#ifndef MOO_TREE_H
#define MOO_TREE_H

#include "check.h"
#include "hold.h"

/**
 * struct moo_tree - an index that is being changed
 * @check: who uses which block; blocks that are taken are marked there
 * @v4: the header that is to be written next
 * @sectors: what the index has of sectors from here on is dropped
 * @limit: blocks from here on are moved before it, as long as there is room
 * @low: no block before this one is free
 * @spread: pages that change go behind the end, as what is free is for data
 * @changed: the header refers to something else than before
 * @page: the page of each level
 * @index: its position among those of its level
 * @block: where it stands
 * @next: the entry to look at next
 * @dirty: it is not what stands there
 * @data: a block of data
 */
struct moo_tree {
	struct moo_hold *hold;
	struct check check;
	struct cow_disk_v4 v4;
	uint64_t sectors;
	uint64_t limit;
	uint64_t low;
	bool spread;
	bool changed;
	struct cow_disk_page *page;
	uint64_t index[COW_V4_MAX_LEVELS];
	uint64_t block[COW_V4_MAX_LEVELS];
	unsigned int next[COW_V4_MAX_LEVELS];
	bool dirty[COW_V4_MAX_LEVELS];
	uint8_t *data;
};

/**
 * moo_tree_begin() - look at the file, which must be sound
 *
 * The list of free blocks and the seal are given up, durably, since their blocks
 * are used.
 * End it with moo_tree_end(), also after a failure.
 */
int moo_tree_begin(struct moo_tree *tree, struct moo_hold *hold,
		   struct cow_error *err);
void moo_tree_end(struct moo_tree *tree);

/**
 * moo_tree_walk() - write what changes to blocks that nobody uses
 *
 * By @sectors, @limit and @spread. Fills in root and owned of the next header,
 * for an index of as many levels as that says.
 */
int moo_tree_walk(struct moo_tree *tree, struct cow_error *err);

/**
 * moo_tree_raise() - put pages above the root, up to @levels
 */
int moo_tree_raise(struct moo_tree *tree, unsigned int levels,
		   struct cow_error *err);

/**
 * moo_tree_commit() - make it durable, if anything changed
 */
int moo_tree_commit(struct moo_tree *tree, struct cow_error *err);

/**
 * moo_tree_tidy() - list what is free, and cut off what is so at the end
 *
 * No tree is under way.
 */
int moo_tree_tidy(struct moo_hold *hold, struct cow_error *err);

#endif
