// SPDX-License-Identifier: GPL-2.0-only
/*
 * A chain of layers: order, description, and which layer answers for a sector.
 *
 * Duty: resolve a range to runs, top down and without recursion; have the answers
 * remembered that can not change.
 *
 * Invariants: what is remembered is forgotten whenever the order of layers, or
 * which of them may change, does.
 */
#include "engine.h"

unsigned int cow_rank(const struct layer *layer)
{
	unsigned int rank = 0;

	while ((layer = layer->parent))
		rank++;
	return rank;
}

void cow_chain_relinked(struct chain *chain)
{
	struct layer *layer = chain->top;
	unsigned int rank;

	chain->depth = cow_rank(layer) + 1;
	for (rank = chain->depth; rank--; layer = layer->parent)
		chain->by_rank[rank] = layer;
	cow_owners_forget(chain);
}

/* The uppermost layer that can not change at the moment. */
static struct layer *settled(const struct chain *chain)
{
	struct layer *layer = chain->top->parent;

	if (layer && (chain->drain.active || chain->flush.blocked))
		layer = layer->parent;
	return layer;
}

/* Ask @layer and those below it in turn. */
static int walk(struct layer *layer, uint64_t sector, uint64_t count,
		const struct layer *stop, struct cow_run *run,
		struct layer **owner, struct ipage **page)
{
	int err;

	run->sector = sector;
	run->count = count;
	run->state = COW_ZERO;
	*owner = NULL;
	for (; layer != stop; layer = layer->parent) {
		if (sector >= layer->sectors)
			continue;
		if (count > layer->sectors - sector)
			count = layer->sectors - sector;
		err = layer->ops->map(layer, sector, count, run, page);
		if (err)
			return err;
		if (run->state != COW_ABSENT) {
			*owner = layer;
			return 0;
		}
		count = run->count;
		run->state = COW_ZERO;
	}
	run->count = count;
	return 0;
}

static int resolve_settled(struct chain *chain, struct layer *layer,
			   uint64_t sector, uint64_t count,
			   struct cow_run *run, struct layer **owner,
			   struct ipage **page)
{
	int err;

	if (cow_owners_find(chain, sector, count, run, owner))
		return 0;
	err = walk(layer, sector, count, NULL, run, owner, page);
	if (!err && *owner)
		cow_owners_remember(chain, run, *owner);
	return err;
}

int cow_resolve(struct chain *chain, uint64_t sector, uint64_t count,
		struct cow_run *run, struct layer **owner, struct ipage **page)
{
	struct layer *lower = settled(chain);
	int err;

	/* Remembering pays from two settled layers on. */
	if (lower && !lower->parent)
		lower = NULL;
	err = walk(chain->top, sector, count, lower, run, owner, page);
	if (err || *owner || !lower)
		return err;
	return resolve_settled(chain, lower, sector, run->count, run, owner,
			       page);
}

unsigned int cow_depth(const struct common_file *file)
{
	return cow_chain(file)->depth;
}

static unsigned int percent(uint64_t part, uint64_t whole)
{
	return part < whole ? part * 100 / whole : 100;
}

int cow_layer(const struct common_file *file, unsigned int n,
	      struct cow_layer_info *info)
{
	const struct chain *chain = cow_chain(file);
	const struct layer *layer;

	if (n >= chain->depth)
		return -ENOENT;
	layer = chain->by_rank[chain->depth - 1 - n];
	info->path = layer->path;
	info->format = layer->hdr.format;
	info->state = layer->state;
	info->size = layer->sectors << COW_SECTOR_SHIFT;
	info->owned = layer->owned << COW_SECTOR_SHIFT;
	info->drained = 0;
	info->paused = layer->record.state & COW_IS_PAUSED;
	info->id = layer->st.id;
	if (n == 0 && chain->drain.active) {
		info->state = COW_STATE_DRAINING;
		if (chain->drain.total > layer->owned)
			info->drained = percent(chain->drain.total -
						layer->owned,
						chain->drain.total);
	}
	if (layer == chain->fold.from) {
		info->state = COW_STATE_FOLDING;
		info->drained = percent(chain->fold.moved, chain->fold.total);
	}
	return 0;
}

static void look(struct layer *layer, uint64_t sector)
{
	struct look look;

	if (!cow_look_begin(layer, sector, &look))
		return;
	cow_look_host(&look);
	cow_look_end(&look);
}

/* The owner cache knows of short stretches only, so it is not asked. */
int cow_map(struct common_file *file, unsigned int n, uint64_t sector,
	    uint64_t count, struct cow_run *run, unsigned int *owner)
{
	struct chain *chain = cow_chain(file);
	struct ipage *page = NULL;
	struct layer *layer;
	int err;

	if (n == COW_MAP_CHAIN) {
		for (layer = chain->top; layer; layer = layer->parent)
			look(layer, sector);
		err = walk(chain->top, sector, count, NULL, run, &layer, &page);
		if (!err && !layer)
			run->state = COW_ABSENT;
		if (!err)
			*owner = layer ? chain->depth - 1 - cow_rank(layer) :
					 chain->depth - 1;
	} else {
		if (n >= chain->depth)
			return -ENOENT;
		layer = chain->by_rank[chain->depth - 1 - n];
		look(layer, sector);
		err = layer->ops->map(layer, sector, count, run, &page);
	}
	/* A synchronous back end waits for pages: only memory can be short. */
	return err == -EAGAIN ? -ENOMEM : err;
}

struct cow_geometry cow_geometry(const struct common_file *file)
{
	const struct chain *chain = cow_chain(file);
	const struct cow_disk_v4 *v4 = &chain->top->hdr.v4;

	if (chain->geometry.cylinders || chain->geometry.heads ||
	    chain->geometry.sectors)
		return chain->geometry;
	return (struct cow_geometry){ v4->cylinders, v4->heads, v4->sectors };
}

unsigned int cow_requests(const struct common_file *file)
{
	return cow_chain(file)->requests;
}

bool cow_idle(const struct common_file *file)
{
	const struct chain *chain = cow_chain(file);
	const struct layer *layer;

	/* Behind requests, pages may still be read and holes punched. */
	for (layer = chain->top; layer; layer = layer->parent) {
		if (layer->inflight)
			return false;
	}
	return !chain->requests && !chain->task && !chain->flush.running;
}
