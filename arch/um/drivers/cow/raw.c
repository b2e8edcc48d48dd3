// SPDX-License-Identifier: GPL-2.0-only
/*
 * V0, a raw file, and a V4 disk: it owns every sector, each at its own place.
 *
 * Duty: layer_ops of such a layer.
 *
 * Invariants: nothing is ever absent and nothing is ever staged.
 */
#include "engine.h"

static int raw_map(struct layer *layer, uint64_t sector, uint64_t count,
		   struct cow_run *run, struct ipage **page)
{
	(void)page;
	run->state = COW_DATA;
	run->sector = sector;
	run->count = count;
	run->place = layer->hdr.data_offset + (sector << COW_SECTOR_SHIFT);
	return 0;
}

static void raw_set(struct layer *layer, struct ipage *page, uint64_t sector,
		    uint64_t count, enum cow_run_state state)
{
	(void)layer;
	(void)page;
	(void)sector;
	(void)count;
	(void)state;
}

static int raw_loaded(struct ipage *page)
{
	(void)page;
	return -EINVAL;
}

const struct layer_ops cow_raw_ops = {
	.map = raw_map,
	.reserve = raw_map,
	.prepare_set = raw_map,
	.set = raw_set,
	.loaded = raw_loaded,
};
