// SPDX-License-Identifier: GPL-2.0-only
/*
 * V4: are the header slots, the index and the blocks sane?
 *
 * Duty: walk the index of the slot in force. Every page is whole, in its place
 * and no younger than the header, every block that is named lies between the
 * header and the end and is named once, every state is known, data stands in
 * the file, and the header counts as many owned sectors as there are.
 *
 * Invariants: the file is not trusted: nothing that it says leads to a loop, or
 * to memory beyond two bits for each of its blocks.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

/* Reserved blocks may lie behind the end of the file; not arbitrarily far. */
#define BEHIND	65536u

/**
 * struct walk - where the walk is
 * @page: the page of each level
 * @index: its position among those of its level
 * @next: the entry to look at next
 * @last: data block of the entry before
 */
struct walk {
	struct check *check;
	struct check_map *map;
	const struct cow_disk_v4 *v4;
	struct cow_disk_page *page;
	uint64_t index[COW_V4_MAX_LEVELS];
	unsigned int next[COW_V4_MAX_LEVELS];
	uint64_t last;
};

static bool test_and_set(struct check_map *map, uint64_t block)
{
	bool was;

	if (block >= map->top)
		map->top = block + 1;
	if (block >= map->blocks)
		return false;
	was = check_bit(map->used, block);
	check_set_bit(map->used, block);
	return was;
}

/*
 * A block behind the end that is in the file was handed out all the same: it is
 * the end that is wrong, for a page with the right checksum names the block.
 */
static bool in_range(struct walk *walk, uint64_t block, const char *what,
		     uint64_t index)
{
	bool here = block << COW_BLOCK_SHIFT < walk->check->probe->st.size;

	if (block >= COW_V4_FIRST_BLOCK && block < walk->v4->end)
		return true;
	here = here && block >= COW_V4_FIRST_BLOCK;
	check_found(walk->check, here ? CHECK_COUNT : CHECK_LASTS,
		    "%s %llu lies at block %llu, outside of the %llu in use",
		    what, (unsigned long long)index, (unsigned long long)block,
		    (unsigned long long)walk->v4->end);
	return here;
}

/* Is @block one that may be named, and was it not named before? */
static bool take_block(struct walk *walk, uint64_t block, const char *what,
		       uint64_t index)
{
	if (!in_range(walk, block, what, index))
		return false;
	if (test_and_set(walk->map, block)) {
		check_found(walk->check, CHECK_LASTS,
			    "%s %llu lies at block %llu, which is used twice",
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
		check_found(walk->check, CHECK_LASTS,
			    "ends before the data of sector %llu, which it owns",
			    (unsigned long long)sector);
}

static bool one_sector(struct walk *walk, uint64_t block, uint64_t sector,
		       unsigned int state)
{
	if (state == COW_SECTOR_ABSENT)
		return false;
	if (state > COW_SECTOR_ZERO) {
		check_found(walk->check, CHECK_LASTS,
			    "sector %llu has a state that does not exist",
			    (unsigned long long)sector);
		return false;
	}
	if (sector >= walk->v4->size >> COW_SECTOR_SHIFT) {
		check_found(walk->check, CHECK_LASTS,
			    "owns sector %llu past its last one",
			    (unsigned long long)sector);
		return false;
	}
	walk->map->owned++;
	if (state == COW_SECTOR_ZERO)
		return false;
	if (!block)
		check_found(walk->check, CHECK_LASTS,
			    "sector %llu has data but no block",
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

/* Is the page that was read the one that was asked for? */
static bool page_good(struct walk *walk, unsigned int level, uint64_t index,
		      uint64_t block)
{
	const struct cow_disk_page *page = &walk->page[level];
	const char *why = NULL;

	if (!check_block_whole(walk->check, block))
		why = "is cut off by the end of the file";
	else if (cow_page_check(page, walk->v4->uuid, level, index, block))
		why = "is damaged";
	else if (cow_be64(page->generation) > walk->v4->generation)
		why = "is younger than the header";
	if (why)
		check_found(walk->check, CHECK_LASTS,
			    "index page %llu of level %u, at block %llu, %s",
			    (unsigned long long)index, level,
			    (unsigned long long)block, why);
	return !why;
}

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
	if (ret || !page_good(walk, child, index, block))
		return ret;
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
		check_found(walk->check, CHECK_LASTS,
			    "the entry for index page %llu of level %u is not one",
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

static int walk_index(struct check *check, struct cow_error *err)
{
	struct walk walk = {
		.check = check,
		.map = &check->map,
		.v4 = &check->probe->hdr.v4,
		.page = malloc(COW_V4_MAX_LEVELS * sizeof(*walk.page)),
	};
	int ret = 0;

	if (!walk.page)
		return moo_fail(err, -ENOMEM, "%s: out of memory",
				check->probe->name);
	if (walk.v4->root)
		ret = walk_tree(&walk, err);
	free(walk.page);
	if (!ret && walk.map->owned != walk.v4->owned)
		check_found(check, CHECK_COUNT,
			    "owns %llu sectors, but its header says %llu",
			    (unsigned long long)walk.map->owned,
			    (unsigned long long)walk.v4->owned);
	return ret;
}

/* ---- header ------------------------------------------------------------ */

/* Beside a writer the other slot may have become the one in force meanwhile. */
static bool fits(const struct check *check, const struct cow_disk_v4 *other)
{
	uint64_t now = check->probe->hdr.v4.generation;

	return other->generation + 1 == now ||
	       (check->share && other->generation > now);
}

static void check_other(struct check *check, const struct cow_disk_v4 *other)
{
	const struct cow_disk_v4 *now = &check->probe->hdr.v4;

	if (memcmp(other->uuid, now->uuid, sizeof(now->uuid)))
		check_found(check, CHECK_SLOT,
			    "its header slots are those of two files");
	else if (!fits(check, other))
		check_found(check, CHECK_SLOT,
			    "its header slots have generations %llu and %llu",
			    (unsigned long long)now->generation,
			    (unsigned long long)other->generation);
}

/* The slot that is not in force may be torn: a crash leaves it so. */
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
	if (ret)
		return ret;
	if (cow_v4_parse(buf, slot, &v4, &why)) {
		check->torn = true;
		check->mend |= CHECK_SLOT;
		return 0;
	}
	check_other(check, &v4);
	return 0;
}

/* Fields that are each in range, but not together. */
static void check_fields(struct check *check)
{
	const struct cow_disk_v4 *v4 = &check->probe->hdr.v4;
	const uint32_t layer = COW_IS_PROVISIONAL | COW_IS_DRAINING |
			       COW_IS_DRAINED | COW_IS_SNAPSHOT |
			       COW_IS_PAUSED | COW_IS_PARTIAL;

	if (v4->kind != COW_KIND_COW && v4->state & layer)
		check_found(check, CHECK_LASTS,
			    "is no layer, yet has the state of one");
	if (v4->kind == COW_KIND_HEADER && (v4->root || v4->owned))
		check_found(check, CHECK_LASTS,
			    "is the header of an image, yet has data");
	/* Until a fold is over the layer keeps what its parent has, too. */
	if (v4->state & COW_IS_DRAINED && !(v4->state & COW_IS_DRAINING) &&
	    v4->owned)
		check_found(check, CHECK_LASTS,
			    "was merged into its parent, yet has data");
	if (v4->successor.len && !(v4->state & COW_IS_FROZEN))
		check_found(check, CHECK_LINK,
			    "names a successor, yet is not frozen");
	if (v4->generation > INT64_MAX - 4)
		check_found(check, CHECK_LASTS,
			    "its generation leaves no room for another");
}

/* ---- all of it --------------------------------------------------------- */

static int map_begin(struct check *check, struct cow_error *err)
{
	const struct moo_probe *p = check->probe;
	struct check_map *map = &check->map;
	uint64_t here = moo_round_up(p->st.size, COW_BLOCK_SIZE) >>
			COW_BLOCK_SHIFT;
	uint64_t end = p->hdr.v4.end;

	map->top = COW_V4_FIRST_BLOCK;
	map->blocks = moo_min(end > here ? end : here, here + BEHIND);
	map->used = p->env.alloc(map->blocks / 8 + 1);
	map->listed = p->env.alloc(map->blocks / 8 + 1);
	if (map->used && map->listed)
		return 0;
	return moo_fail(err, -ENOMEM, "%s: out of memory", p->name);
}

/* No index, and no block that could be used by nothing. */
static void check_disk(struct check *check)
{
	const struct moo_probe *p = check->probe;

	check->allocated = check->total;
	check->end += p->device;
	if (p->st.size < check->end)
		check_found(check, CHECK_LASTS, "ends before its data does");
}

int check_v4(struct check *check, struct cow_error *err)
{
	const struct moo_probe *p = check->probe;
	int ret;

	check->total = moo_round_up(p->device, COW_BLOCK_SIZE) >>
		       COW_BLOCK_SHIFT;
	check->end = p->hdr.v4.end << COW_BLOCK_SHIFT;
	check_fields(check);
	ret = check_slots(check, err);
	if (!ret && p->hdr.v4.kind == COW_KIND_DISK) {
		check_disk(check);
		return check_seal(check, err);
	}
	if (!ret)
		ret = map_begin(check, err);
	if (!ret)
		ret = walk_index(check, err);
	if (!ret)
		ret = check_seal(check, err);
	if (!ret)
		ret = check_list(check, err);
	return ret;
}
