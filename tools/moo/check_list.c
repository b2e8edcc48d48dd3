// SPDX-License-Identifier: GPL-2.0-only
/*
 * V4: the list of free blocks, and the blocks that nobody has.
 *
 * Duty: every block that the list names is used by nothing else and named
 * once; what is in the file, and neither used nor named, has leaked.
 *
 * Invariants: the walk over the index is over. Positions of the list's pages
 * fall, so that the walk ends.
 */
#include <errno.h>
#include <stdlib.h>

#include "check.h"

/* Is @block one that the list may have? */
static bool take_block(struct check *check, uint64_t block, const char *what)
{
	struct check_map *map = &check->map;
	uint64_t end = check->probe->hdr.v4.end;

	if (block < COW_V4_FIRST_BLOCK || block >= end) {
		check_found(check, CHECK_LIST,
			    "its list of free blocks has %s at block %llu, outside of the %llu in use",
			    what, (unsigned long long)block,
			    (unsigned long long)end);
		return false;
	}
	if (block >= map->blocks)
		return true;
	if (check_bit(map->used, block) || check_bit(map->listed, block)) {
		check_found(check, CHECK_LIST,
			    "its list of free blocks has %s at block %llu, which is used twice",
			    what, (unsigned long long)block);
		return false;
	}
	check_set_bit(map->listed, block);
	return true;
}

/* A piece of the list: its lower bits are the length less one. */
static void piece(struct check *check, uint64_t entry)
{
	uint64_t block = entry >> COW_ENTRY_SHIFT;
	uint64_t end = block + (entry & COW_ENTRY_STATES) + 1;

	if (!block)
		return;
	while (block < end && take_block(check, block, "a free one"))
		block++;
}

static bool page_good(struct check *check, const struct cow_disk_page *page,
		      uint64_t block, uint64_t last)
{
	const struct cow_disk_v4 *v4 = &check->probe->hdr.v4;
	uint64_t index = cow_be64(page->index);
	const char *why = NULL;

	if (!check_block_whole(check, block))
		why = "is cut off by the end of the file";
	else if (cow_page_check(page, v4->uuid, COW_LIST_LEVEL, index, block))
		why = "is damaged";
	else if (index >= last)
		why = "is not in order";
	else if (cow_be64(page->generation) > v4->generation)
		why = "is younger than the header";
	if (why)
		check_found(check, CHECK_LIST,
			    "its list of free blocks %s at block %llu", why,
			    (unsigned long long)block);
	return !why;
}

static int walk_list(struct check *check, struct cow_disk_page *page,
		     struct cow_error *err)
{
	uint64_t block = check->probe->hdr.v4.free_list;
	uint64_t last = UINT64_MAX;
	unsigned int i;
	int ret;

	while (block && take_block(check, block, "a page")) {
		ret = check_read(check, page, sizeof(*page),
				 block << COW_BLOCK_SHIFT, err);
		if (ret)
			return ret;
		if (!page_good(check, page, block, last))
			return 0;
		for (i = 1; i < COW_PAGE_ENTRIES; i++)
			piece(check, cow_be64(page->entry[i]));
		last = cow_be64(page->index);
		block = cow_be64(page->entry[0]) >> COW_ENTRY_SHIFT;
	}
	return 0;
}

/* Behind the end, too: a writer that stopped has left what is there. */
static void count_leaks(struct check *check)
{
	const struct check_map *map = &check->map;
	uint64_t size = check->probe->st.size, blocks, block;

	blocks = moo_round_up(size, COW_BLOCK_SIZE) >> COW_BLOCK_SHIFT;
	/* A device is as large as it is. */
	if (check->probe->st.kind != IO_KIND_FILE)
		blocks = moo_min(blocks, check->probe->hdr.v4.end);
	for (block = COW_V4_FIRST_BLOCK; block < blocks; block++)
		if (!check_bit(map->used, block) &&
		    !check_bit(map->listed, block))
			check->leaks++;
}

int check_list(struct check *check, struct cow_error *err)
{
	struct cow_disk_page *page = malloc(sizeof(*page));
	int ret;

	if (!page)
		return moo_fail(err, -ENOMEM, "%s: out of memory",
				check->probe->name);
	ret = walk_list(check, page, err);
	free(page);
	if (!ret)
		count_leaks(check);
	return ret;
}
