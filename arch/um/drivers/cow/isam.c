// SPDX-License-Identifier: GPL-2.0-only
/*
 * V4: an index of 8-byte entries over 4 KiB blocks that were appended in the
 * order in which they were first needed.
 *
 * Duty: layer_ops over the paged tree. An entry gives a block its place and
 * each of its eight sectors a state of its own, so that one sector is written
 * without reading its neighbours.
 *
 * Invariants:
 *  - A page in memory keeps all its ancestors in memory (ipage.children).
 *  - A page that has no place on disk is dirty.
 *  - An entry's block may be set while none of its sectors holds data: that is a
 *    reservation, which costs nothing when it is never used.
 */
#include <string.h>
#include "engine.h"

#define LEAF_SECTORS	((uint64_t)COW_PAGE_ENTRIES * COW_BLOCK_SECTORS)

static uint64_t page_key(unsigned int level, uint64_t index)
{
	return (uint64_t)level << 56 | index;
}

static struct cow_disk_page *disk_page(struct ipage *page)
{
	return (struct cow_disk_page *)page->data;
}

static uint64_t get_entry(struct ipage *page, unsigned int n)
{
	return cow_be64(disk_page(page)->entry[n]);
}

static void put_entry(struct ipage *page, unsigned int n, uint64_t entry)
{
	disk_page(page)->entry[n] = cow_be64(entry);
}

/* Index at each level of the page that leads to leaf @leaf. */
static void path_of(uint64_t leaf, unsigned int levels, uint64_t *index)
{
	unsigned int level;

	for (level = 0; level < levels; level++) {
		index[level] = leaf;
		leaf /= COW_PAGE_ENTRIES;
	}
}

/* First sector behind the part of the disk that page (@level, @index) maps. */
static uint64_t page_end(unsigned int level, uint64_t index)
{
	uint64_t end = (index + 1) * LEAF_SECTORS;

	while (level--)
		end *= COW_PAGE_ENTRIES;
	return end;
}

/*
 * Page @index of @level, below @at, is absent: the first sector behind it that
 * some other page may map; what lies behind @end is of no interest. A page in
 * memory need not stand in the entry that leads to it.
 */
static uint64_t hole_end(struct layer *layer, struct ipage *at,
			 unsigned int level, uint64_t index, uint64_t end)
{
	uint64_t next = index + 1;

	if (!at)
		return page_end(level, index);
	while (next % COW_PAGE_ENTRIES && page_end(level, next - 1) < end &&
	       !get_entry(at, next % COW_PAGE_ENTRIES))
		next++;
	if (at->children)
		next = cow_page_next(layer, page_key(level, index + 1),
				     page_key(level, next));
	return page_end(level, next - 1);
}

/* Make an empty page, or begin to read the one at @block. */
static int bring_page(struct layer *layer, unsigned int level, uint64_t index,
		      uint64_t block, struct ipage *parent, struct ipage **out)
{
	struct ipage *page = cow_page_new(layer, page_key(level, index),
					  parent);
	int err;

	*out = page;
	if (!page)
		return -EAGAIN;
	page->block = block;
	if (!block) {
		memset(page->data, 0, IPAGE_SIZE);
		page->generation = layer->hdr.v4.generation + 1;
		cow_page_valid(page);
		cow_page_dirty(page);
		return 0;
	}
	err = cow_page_load(page, block << COW_BLOCK_SHIFT, IPAGE_SIZE,
			    IPAGE_SIZE);
	if (err && err != -EAGAIN)
		cow_page_drop(page);
	return err;
}

/*
 * Lowest page in memory on the way to a leaf: its level, or @levels if not even
 * the root is. -EAGAIN if that page is under way.
 */
static int lowest_page(struct layer *layer, const uint64_t *index,
		       struct ipage **page)
{
	unsigned int levels = layer->hdr.v4.levels;
	unsigned int level;

	for (level = 0; level < levels; level++) {
		*page = cow_page_find(layer, page_key(level, index[level]));
		if (!*page)
			continue;
		if ((*page)->state == IPAGE_LOADING)
			return -EAGAIN;
		break;
	}
	return level;
}

/*
 * The leaf of @sector. Without @make, *page is NULL where there is none, and
 * *hole, at first the sector behind those asked for, is the first one that some
 * other leaf may map.
 */
static int find_leaf(struct layer *layer, uint64_t sector, bool make,
		     struct ipage **page, uint64_t *hole)
{
	uint64_t index[COW_V4_MAX_LEVELS];
	unsigned int levels = layer->hdr.v4.levels;
	struct ipage *at = NULL;
	int level, err;

	path_of(sector / LEAF_SECTORS, levels, index);
	level = lowest_page(layer, index, page);
	if (level < 0)
		return level;
	if (level < (int)levels)
		at = *page;
	while (level > 0) {
		uint64_t block = layer->hdr.v4.root;

		if (at)
			block = get_entry(at, index[level - 1] %
					      COW_PAGE_ENTRIES) >>
				COW_ENTRY_SHIFT;
		level--;
		if (!block && !make) {
			*page = NULL;
			*hole = hole_end(layer, at, level, index[level], *hole);
			return 0;
		}
		err = bring_page(layer, level, index[level], block, at, page);
		if (err)
			return err;
		at = *page;
	}
	return 0;
}

static unsigned int sector_state(uint64_t entry, unsigned int n)
{
	return entry >> (2 * n) & 3;
}

static enum cow_run_state run_state(unsigned int state)
{
	if (state == COW_SECTOR_DATA)
		return COW_DATA;
	return state == COW_SECTOR_ZERO ? COW_ZERO : COW_ABSENT;
}

/* All eight sectors of @entry have @state. */
static bool uniform(uint64_t entry, unsigned int state)
{
	return (entry & COW_ENTRY_STATES) == state * 0x5555u;
}

/* Sectors from @sector on, at most @count, that are alike and in sequence. */
static void leaf_run(struct ipage *page, uint64_t sector, uint64_t count,
		     struct cow_run *run)
{
	uint64_t first = sector % LEAF_SECTORS;
	uint64_t pos = first, end = first + count;
	uint64_t entry = get_entry(page, pos / COW_BLOCK_SECTORS);
	unsigned int state = sector_state(entry, pos % COW_BLOCK_SECTORS);
	uint64_t block = entry >> COW_ENTRY_SHIFT;

	run->sector = sector;
	run->state = run_state(state);
	run->place = (block << COW_BLOCK_SHIFT) +
		     (pos % COW_BLOCK_SECTORS << COW_SECTOR_SHIFT);
	while (pos < end) {
		unsigned int n = pos % COW_BLOCK_SECTORS;

		if (!n) {
			entry = get_entry(page, pos / COW_BLOCK_SECTORS);
			if (pos != first && state == COW_SECTOR_DATA &&
			    entry >> COW_ENTRY_SHIFT != ++block)
				break;
			if (uniform(entry, state) &&
			    end - pos >= COW_BLOCK_SECTORS) {
				pos += COW_BLOCK_SECTORS;
				continue;
			}
		}
		if (sector_state(entry, n) != state)
			break;
		pos++;
	}
	run->count = pos - first;
}

static uint64_t leaf_left(uint64_t sector, uint64_t count)
{
	uint64_t left = LEAF_SECTORS - sector % LEAF_SECTORS;

	return count < left ? count : left;
}

static int isam_map(struct layer *layer, uint64_t sector, uint64_t count,
		    struct cow_run *run, struct ipage **page)
{
	uint64_t hole = sector + count;
	int err;

	err = find_leaf(layer, sector, false, page, &hole);
	if (err)
		return err;
	if (*page) {
		leaf_run(*page, sector, leaf_left(sector, count), run);
		return 0;
	}
	run->state = COW_ABSENT;
	run->sector = sector;
	run->count = hole - sector < count ? hole - sector : count;
	return 0;
}

/* Make sure that entry @n has a block. */
static int give_block(struct layer *layer, struct ipage *page, unsigned int n,
		      uint64_t *block)
{
	uint64_t entry = get_entry(page, n);
	int err;

	*block = entry >> COW_ENTRY_SHIFT;
	if (*block)
		return 0;
	err = cow_block_take(layer, true, block);
	if (err)
		return err;
	put_entry(page, n, *block << COW_ENTRY_SHIFT | entry);
	cow_page_dirty(page);
	return 0;
}

/* Sectors from @pos on within its block, at most @max, that hold no data. */
static unsigned int vacant(uint64_t entry, unsigned int n, uint64_t max)
{
	unsigned int i = n;

	while (i < COW_BLOCK_SECTORS && i - n < max &&
	       sector_state(entry, i) != COW_SECTOR_DATA)
		i++;
	return i - n;
}

static int isam_reserve(struct layer *layer, uint64_t sector, uint64_t count,
			struct cow_run *run, struct ipage **page)
{
	uint64_t pos = sector % LEAF_SECTORS;
	uint64_t end = pos + leaf_left(sector, count);
	uint64_t first, block;
	int err;

	err = find_leaf(layer, sector, true, page, NULL);
	if (err)
		return err;
	err = give_block(layer, *page, pos / COW_BLOCK_SECTORS, &first);
	if (err)
		return err;
	run->sector = sector;
	run->state = COW_DATA;
	run->count = 0;
	run->place = (first << COW_BLOCK_SHIFT) +
		     (pos % COW_BLOCK_SECTORS << COW_SECTOR_SHIFT);
	for (block = first; pos < end; first++) {
		unsigned int e = pos / COW_BLOCK_SECTORS;
		unsigned int n = pos % COW_BLOCK_SECTORS;
		unsigned int got = vacant(get_entry(*page, e), n, end - pos);

		if (!got || (run->count &&
			     (give_block(layer, *page, e, &block) ||
			      block != first)))
			break;
		run->count += got;
		pos += got;
		if (pos % COW_BLOCK_SECTORS)
			break;
	}
	cow_page_pin(*page);
	return 0;
}

static int isam_prepare(struct layer *layer, uint64_t sector, uint64_t count,
			struct cow_run *run, struct ipage **page)
{
	int err = find_leaf(layer, sector, true, page, NULL);

	if (err)
		return err;
	run->sector = sector;
	run->count = leaf_left(sector, count);
	cow_page_pin(*page);
	return 0;
}

static unsigned int disk_state(enum cow_run_state state)
{
	if (state == COW_DATA)
		return COW_SECTOR_DATA;
	return state == COW_ZERO ? COW_SECTOR_ZERO : COW_SECTOR_ABSENT;
}

/* Sectors of @entry that are owned. */
static unsigned int entry_owned(uint64_t entry)
{
	uint64_t one = (entry | entry >> 1) & 0x5555u;

	return ((one & 0x3333u) + (one >> 2 & 0x3333u)) % 15;
}

/*
 * A block without data goes, unless a write may be on its way to it: whoever has
 * room reserved on a page holds it pinned.
 */
static uint64_t without_block(struct layer *layer, const struct ipage *page,
			      uint64_t entry)
{
	uint64_t block = entry >> COW_ENTRY_SHIFT;

	if (!block || page->pins > 1 || (entry & 0x5555u))
		return entry;
	cow_block_give(layer, block);
	return entry & COW_ENTRY_STATES;
}

/* Two bits for each of @count sectors from @first on within a block. */
static uint64_t states_mask(unsigned int first, unsigned int count)
{
	return ((1ull << (2 * count)) - 1) << (2 * first);
}

static void isam_set(struct layer *layer, struct ipage *page, uint64_t sector,
		     uint64_t count, enum cow_run_state state)
{
	uint64_t pattern = disk_state(state) * 0x5555u;
	uint64_t pos = sector % LEAF_SECTORS;
	uint64_t end = pos + count;

	while (pos < end) {
		unsigned int first = pos % COW_BLOCK_SECTORS;
		unsigned int n = COW_BLOCK_SECTORS - first;
		unsigned int e = pos / COW_BLOCK_SECTORS;
		uint64_t was = get_entry(page, e);
		uint64_t mask, now;

		if (n > end - pos)
			n = end - pos;
		mask = states_mask(first, n);
		now = (was & ~mask) | (pattern & mask);
		if (state == COW_ZERO)
			now = without_block(layer, page, now);
		pos += n;
		if (now == was)
			continue;
		layer->owned += entry_owned(now);
		layer->owned -= entry_owned(was);
		page->owned += entry_owned(now) - entry_owned(was);
		put_entry(page, e, now);
		cow_page_dirty(page);
	}
	cow_page_unpin(page);
}

/* Every place named lies behind the header and before the end. */
static bool entry_sane(const struct layer *layer, unsigned int level,
		       uint64_t entry)
{
	uint64_t block = entry >> COW_ENTRY_SHIFT;
	uint64_t states = entry & COW_ENTRY_STATES;

	if (block && (block < COW_V4_FIRST_BLOCK || block >= layer->hdr.v4.end))
		return false;
	if (level)
		return !states;
	if ((states & (states >> 1)) & 0x5555u)
		return false;
	return block || !(states & 0x5555u);
}

static int isam_loaded(struct ipage *page)
{
	const struct layer *layer = page->layer;
	unsigned int level = page->key >> 56;
	unsigned int i;
	int err;

	err = cow_page_check(disk_page(page), layer->hdr.v4.uuid, level,
			     page->key & ~(0xffull << 56), page->block);
	if (err)
		return err;
	for (i = 0; i < COW_PAGE_ENTRIES; i++) {
		if (!entry_sane(layer, level, get_entry(page, i)))
			return -EBADMSG;
		if (!level)
			page->owned += entry_owned(get_entry(page, i));
	}
	page->staged = page->owned;
	page->generation = cow_be64(disk_page(page)->generation);
	return 0;
}

const struct layer_ops cow_isam_ops = {
	.map = isam_map,
	.reserve = isam_reserve,
	.prepare_set = isam_prepare,
	.set = isam_set,
	.loaded = isam_loaded,
};
