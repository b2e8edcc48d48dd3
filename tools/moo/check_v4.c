// SPDX-License-Identifier: GPL-2.0-only
/*
 * V4: are the header slots, the index and the blocks sane?
 *
 * Duty: walk the index of the slot in force. Every page is whole and in its
 * place, every block that is named lies between the header and the end and is
 * named once, every state is known, data stands in the file, and the header
 * counts as many owned sectors as there are.
 *
 * Invariants: the file is not trusted: nothing that it says leads to a loop, or
 * to memory beyond a bit for each of its blocks.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

/* Reserved blocks may lie behind the end of the file; not arbitrarily far. */
#define BEHIND	65536u

/**
 * struct walk - where the walk is
 * @used: a bit for each block, @blocks of them
 * @page: the page of each level
 * @index: its position among those of its level
 * @next: the entry to look at next
 * @last: data block of the entry before
 * @owned: sectors seen that the layer owns
 */
struct walk {
	struct check *check;
	const struct cow_disk_v4 *v4;
	uint8_t *used;
	uint64_t blocks;
	struct cow_disk_page *page;
	uint64_t index[COW_V4_MAX_LEVELS];
	unsigned int next[COW_V4_MAX_LEVELS];
	uint64_t last;
	uint64_t owned;
};

static bool test_and_set(struct walk *walk, uint64_t block)
{
	uint8_t mask = 1u << block % 8;
	bool was;

	if (block >= walk->blocks)
		return false;
	was = walk->used[block / 8] & mask;
	walk->used[block / 8] |= mask;
	return was;
}

/* Is @block one that may be named, and was it not named before? */
static bool take_block(struct walk *walk, uint64_t block, const char *what,
		       uint64_t index)
{
	if (block < COW_V4_FIRST_BLOCK || block >= walk->v4->end) {
		check_found(walk->check, "%s %llu lies at block %llu, outside of the %llu in use",
			    what, (unsigned long long)index,
			    (unsigned long long)block,
			    (unsigned long long)walk->v4->end);
		return false;
	}
	if (test_and_set(walk, block)) {
		check_found(walk->check, "%s %llu lies at block %llu, which is used twice",
			    what, (unsigned long long)index,
			    (unsigned long long)block);
		return false;
	}
	return true;
}

/* ---- leaves ------------------------------------------------------------ */

static void data_sector(struct walk *walk, uint64_t block, uint64_t sector)
{
	uint64_t end = (block << COW_BLOCK_SHIFT) +
		       ((sector % COW_BLOCK_SECTORS + 1) << COW_SECTOR_SHIFT);

	if (end > walk->check->probe->st.size)
		check_found(walk->check, "ends before the data of sector %llu, which it owns",
			    (unsigned long long)sector);
}

static bool one_sector(struct walk *walk, uint64_t block, uint64_t sector,
		       unsigned int state)
{
	if (state == COW_SECTOR_ABSENT)
		return false;
	if (state > COW_SECTOR_ZERO) {
		check_found(walk->check, "sector %llu has a state that does not exist",
			    (unsigned long long)sector);
		return false;
	}
	if (sector >= walk->v4->size >> COW_SECTOR_SHIFT) {
		check_found(walk->check, "owns sector %llu past its last one",
			    (unsigned long long)sector);
		return false;
	}
	walk->owned++;
	if (state == COW_SECTOR_ZERO)
		return false;
	if (!block)
		check_found(walk->check, "sector %llu has data but no block",
			    (unsigned long long)sector);
	else
		data_sector(walk, block, sector);
	return true;
}

static void leaf_entry(struct walk *walk, uint64_t n, uint64_t entry)
{
	uint64_t block = entry >> COW_ENTRY_SHIFT;
	bool data = false;
	unsigned int i;

	if (block)
		take_block(walk, block, "data block", n);
	for (i = 0; i < COW_BLOCK_SECTORS; i++)
		data |= one_sector(walk, block, n * COW_BLOCK_SECTORS + i,
				   entry >> (2 * i) & 3);
	if (!data)
		return;
	walk->check->allocated++;
	if (walk->last && block != walk->last + 1)
		walk->check->fragmented++;
	walk->last = block;
}

/* ---- the tree ---------------------------------------------------------- */

/* Read the page of @level at @block; it is skipped if it is not sound. */
static int enter_page(struct walk *walk, unsigned int *level,
		      unsigned int child, uint64_t index, uint64_t block,
		      struct cow_error *err)
{
	struct cow_disk_page *page = &walk->page[child];
	int ret;

	if (!take_block(walk, block, "index page", index))
		return 0;
	ret = check_read(walk->check, page, sizeof(*page),
			 block << COW_BLOCK_SHIFT, err);
	if (ret)
		return ret;
	if (cow_page_check(page, walk->v4->uuid, child, index, block)) {
		check_found(walk->check, "index page %llu of level %u, at block %llu, is damaged",
			    (unsigned long long)index, child,
			    (unsigned long long)block);
		return 0;
	}
	walk->index[child] = index;
	walk->next[child] = 0;
	*level = child;
	return 0;
}

static int inner_entry(struct walk *walk, unsigned int *level, uint64_t n,
		       uint64_t entry, struct cow_error *err)
{
	if (!entry)
		return 0;
	if (entry & COW_ENTRY_STATES) {
		check_found(walk->check, "the entry for index page %llu of level %u is not one",
			    (unsigned long long)n, *level - 1);
		return 0;
	}
	return enter_page(walk, level, *level - 1, n, entry >> COW_ENTRY_SHIFT,
			  err);
}

static int walk_tree(struct walk *walk, struct cow_error *err)
{
	unsigned int top = walk->v4->levels, level = top;
	uint64_t n, entry;
	unsigned int at;
	int ret;

	ret = enter_page(walk, &level, top - 1, 0, walk->v4->root, err);
	while (!ret && level < top) {
		at = walk->next[level]++;
		if (at == COW_PAGE_ENTRIES) {
			level++;
			continue;
		}
		entry = cow_be64(walk->page[level].entry[at]);
		n = walk->index[level] * COW_PAGE_ENTRIES + at;
		if (level)
			ret = inner_entry(walk, &level, n, entry, err);
		else
			leaf_entry(walk, n, entry);
	}
	return ret;
}

/* A piece of the list of free blocks: its lower bits are the length less one. */
static void free_entry(struct walk *walk, unsigned int n, uint64_t entry)
{
	uint64_t block = entry >> COW_ENTRY_SHIFT;
	uint64_t end = block + (entry & COW_ENTRY_STATES) + 1;

	if (!block)
		return;
	while (block < end && take_block(walk, block, "free block", n))
		block++;
}

/* Blocks that the list of free ones names are neither used nor leaked. */
static int walk_list(struct walk *walk, struct cow_error *err)
{
	struct cow_disk_page *page = walk->page;
	uint64_t block = walk->v4->free_list;
	unsigned int i;
	int ret;

	while (block && take_block(walk, block, "free list", 0)) {
		ret = check_read(walk->check, page, sizeof(*page),
				 block << COW_BLOCK_SHIFT, err);
		if (ret)
			return ret;
		if (cow_page_check(page, walk->v4->uuid, COW_LIST_LEVEL,
				   cow_be64(page->index), block)) {
			check_found(walk->check, "the list of free blocks is damaged at block %llu",
				    (unsigned long long)block);
			return 0;
		}
		for (i = 1; i < COW_PAGE_ENTRIES; i++)
			free_entry(walk, i, cow_be64(page->entry[i]));
		block = cow_be64(page->entry[0]) >> COW_ENTRY_SHIFT;
	}
	return 0;
}

static void count_leaks(struct walk *walk)
{
	uint64_t blocks = moo_round_up(walk->check->probe->st.size,
				       COW_BLOCK_SIZE) >> COW_BLOCK_SHIFT;
	uint64_t end = moo_min(moo_min(walk->v4->end, blocks), walk->blocks);
	uint64_t block;

	for (block = COW_V4_FIRST_BLOCK; block < end; block++)
		if (!(walk->used[block / 8] >> block % 8 & 1))
			walk->check->leaks++;
}

static int walk_index(struct walk *walk, struct cow_error *err)
{
	int ret = 0;

	if (walk->v4->root)
		ret = walk_tree(walk, err);
	if (!ret)
		ret = walk_list(walk, err);
	if (ret)
		return ret;
	if (walk->owned != walk->v4->owned)
		check_found(walk->check, "owns %llu sectors, but its header says %llu",
			    (unsigned long long)walk->owned,
			    (unsigned long long)walk->v4->owned);
	count_leaks(walk);
	return 0;
}

/* ---- slots ------------------------------------------------------------- */

/* The slot that is not in force may be torn, or never have been written. */
static int check_slots(struct check *check, struct cow_error *err)
{
	const struct cow_disk_v4 *now = &check->probe->hdr.v4;
	uint8_t buf[COW_SECTOR_SIZE];
	struct cow_disk_v4 v4;
	const char *why;
	unsigned int slot = !(now->generation & 1);
	int ret;

	ret = check_read(check, buf, sizeof(buf),
			 (uint64_t)slot << COW_BLOCK_SHIFT, err);
	if (ret || cow_v4_parse(buf, slot, &v4, &why))
		return ret;
	if (memcmp(v4.uuid, now->uuid, sizeof(v4.uuid)))
		check_found(check, "its header slots are those of two files");
	else if (v4.generation + 1 != now->generation)
		check_found(check, "its header slots have generations %llu and %llu",
			    (unsigned long long)now->generation,
			    (unsigned long long)v4.generation);
	return 0;
}

int check_v4(struct check *check, struct cow_error *err)
{
	const struct moo_probe *p = check->probe;
	struct walk walk = { .check = check, .v4 = &p->hdr.v4 };
	uint64_t room;
	int ret;

	ret = check_slots(check, err);
	if (ret)
		return ret;
	check->total = moo_round_up(p->device, COW_BLOCK_SIZE) >>
		       COW_BLOCK_SHIFT;
	check->end = walk.v4->end << COW_BLOCK_SHIFT;
	walk.blocks = moo_min(walk.v4->end,
			      (p->st.size >> COW_BLOCK_SHIFT) + BEHIND);
	room = walk.blocks / 8 + 1;
	walk.used = p->env.alloc(room);
	walk.page = malloc(COW_V4_MAX_LEVELS * sizeof(*walk.page));
	if (walk.used && walk.page)
		ret = walk_index(&walk, err);
	else
		ret = moo_fail(err, -ENOMEM, "%s: out of memory", p->name);
	free(walk.page);
	p->env.free(walk.used, room);
	return ret;
}
