// SPDX-License-Identifier: GPL-2.0-only
/*
 * V4: the list of free blocks, kept in the file while nobody writes it.
 *
 * Duty: store the list when a layer comes to rest, take it over when it is
 * written again, with the blocks of a seal, so that nothing leaks but by a crash.
 * May block, and then the engine's thread is at work meanwhile: of its sets only
 * room.list and its pages are used here, or, before the layer is written,
 * room.loaded and room.given.
 *
 * Invariants:
 *  - The list is stored in free blocks that no reader can have pinned, durably,
 *    before a header refers to it.
 *  - A list that was taken over stays in the durable header until the next
 *    commit. That is no harm: blocks that are used meanwhile belong to nobody
 *    by that header, and the list's own blocks are not used before the next one
 *    is durable.
 */
#include <string.h>
#include "engine.h"

static bool sane(const struct layer *layer, uint64_t block, uint64_t count)
{
	return block >= COW_V4_FIRST_BLOCK && block < layer->hdr.v4.end &&
	       count <= layer->hdr.v4.end - block;
}

/* ---- storing ----------------------------------------------------------- */

/* Write one page, which names up to COW_LIST_ROOM of the extents. */
static int store_page(struct layer *layer, struct cow_disk_page *page,
		      uint64_t index, uint64_t *next)
{
	const struct cow_env *env = &layer->chain->env;
	struct extents *list = &layer->room->list;
	uint64_t block = layer->room->list_page++;
	unsigned int i;
	int ret;

	layer->room->list_pages--;
	memset(page, 0, sizeof(*page));
	page->entry[0] = cow_be64(*next << COW_ENTRY_SHIFT);
	for (i = 1; i <= COW_LIST_ROOM && !cow_extents_empty(list); i++) {
		const struct extent *ext = &list->ext[--list->end];

		page->entry[i] = cow_be64(ext->start << COW_ENTRY_SHIFT |
					  (ext->count - 1));
	}
	cow_page_seal(page, layer->hdr.v4.uuid, COW_LIST_LEVEL, index, block,
		      layer->hdr.v4.generation + 1);
	ret = env->io->pwrite(env->ctx, cow_data_fd(layer), page, sizeof(*page),
			      block << COW_BLOCK_SHIFT);
	*next = block;
	return ret;
}

int cow_free_store(struct layer *layer)
{
	const struct cow_env *env = &layer->chain->env;
	struct cow_disk_page *page;
	uint64_t index = 0, next = 0;
	int ret = 0;

	if (!layer->room || !layer->room->list_pages)
		return 0;
	page = env->alloc(sizeof(*page));
	if (!page)
		return -ENOMEM;
	while (!ret && layer->room->list_pages)
		ret = store_page(layer, page, index++, &next);
	env->free(page, sizeof(*page));
	if (!ret)
		ret = env->io->sync(env->ctx, cow_data_fd(layer));
	if (!ret)
		layer->hdr.v4.free_list = next;
	return ret;
}

/* ---- taking over ------------------------------------------------------- */

static int load_page(struct layer *layer, struct cow_disk_page *page,
		     unsigned int level, uint64_t block)
{
	const struct cow_env *env = &layer->chain->env;
	int64_t got;

	got = env->io->pread(env->ctx, cow_data_fd(layer), page, sizeof(*page),
			     block << COW_BLOCK_SHIFT);
	if (got < (int64_t)sizeof(*page))
		return got < 0 ? (int)got : -EBADMSG;
	return cow_page_check(page, layer->hdr.v4.uuid, level,
			      cow_be64(page->index), block);
}

static void take_page(struct layer *layer, const struct cow_disk_page *page)
{
	struct extents *loaded = &layer->room->loaded;
	unsigned int i;

	for (i = 1; i <= COW_LIST_ROOM; i++) {
		uint64_t entry = cow_be64(page->entry[i]);
		uint64_t block = entry >> COW_ENTRY_SHIFT;
		uint32_t count = (entry & COW_ENTRY_STATES) + 1;

		if (sane(layer, block, count))
			cow_extents_add(loaded, block, count, false);
	}
}

int cow_free_load(struct layer *layer)
{
	const struct cow_env *env = &layer->chain->env;
	uint64_t block = layer->hdr.v4.free_list;
	struct cow_disk_page *page;
	uint64_t last = UINT64_MAX;

	if (!block)
		return 0;
	page = env->alloc(sizeof(*page));
	if (!page)
		return -ENOMEM;
	layer->hdr.v4.free_list = 0;
	/*
	 * A list that can not be read only costs room. Positions fall towards
	 * its end, which rules out a circle.
	 */
	while (sane(layer, block, 1) &&
	       !load_page(layer, page, COW_LIST_LEVEL, block) &&
	       cow_be64(page->index) < last) {
		last = cow_be64(page->index);
		cow_block_give(layer, block);
		take_page(layer, page);
		block = cow_be64(page->entry[0]) >> COW_ENTRY_SHIFT;
	}
	env->free(page, sizeof(*page));
	return 0;
}

static bool is_sealed(struct layer *layer, const struct cow_disk_v4 *old,
		      struct cow_disk_page *page, uint64_t index)
{
	return !load_page(layer, page, COW_SEAL_LEVEL, old->seal + index) &&
	       cow_be64(page->index) == index;
}

void cow_free_unsealed(struct layer *layer, const struct cow_disk_v4 *old)
{
	const struct cow_env *env = &layer->chain->env;
	struct cow_disk_page *page = env->alloc(sizeof(*page));
	uint64_t block = old->seal, left = old->seal_pages;

	cow_extents_move(&layer->room->loaded, &layer->room->given);
	/* Blocks that are not what the header says may be in use. */
	if (!page || !is_sealed(layer, old, page, 0) ||
	    !is_sealed(layer, old, page, left - 1))
		left = 0;
	while (left) {
		uint64_t count = left < COW_EXTENT_LONGEST ?
				 left : COW_EXTENT_LONGEST;

		cow_extents_add(&layer->room->loaded, block, count, false);
		block += count;
		left -= count;
	}
	if (page)
		env->free(page, sizeof(*page));
}

void cow_free_collect(struct layer *layer)
{
	if (layer->room && !layer->failed && !cow_commit_needed(layer))
		cow_room_collect(layer, false);
}

void cow_free_close(struct layer *layer)
{
	const struct cow_env *env = &layer->chain->env;
	struct cow_disk_v4 v4;
	int ret;

	if (!layer->room || !layer->room->list_pages || cow_free_store(layer))
		return;
	layer->hdr.v4.generation++;
	v4 = layer->hdr.v4;
	v4.owned = layer->staged;
	/* A foreign header may have counted wrongly. */
	if (v4.owned > layer->sectors)
		v4.owned = layer->sectors;
	/* Should that fail, the older slot stands and the blocks have leaked */
	ret = cow_v4_put_slot(env, cow_data_fd(layer), &v4);
	if (ret)
		layer->failed = ret;
}
