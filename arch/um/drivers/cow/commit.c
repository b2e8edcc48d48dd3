// SPDX-License-Identifier: GPL-2.0-only
/*
 * From staged to durable: one layer's commit, and the flush of a chain.
 *
 * Duty: the order of writes on which every crash promise rests.
 *
 *	STAGE      V4: changed index pages, lowest level first, are copied and
 *	           written to blocks that no durable header refers to.
 *	           V1 to V3: changed bitmap pages are copied.
 *	BELOW      of a top that drains: the parent's own commit.
 *	DATA_SYNC  fdatasync: the data, and what STAGE wrote.
 *	META       V4: the header slot of the other parity.
 *	           V1 to V3: the copied bitmap pages, in place.
 *	META_SYNC  fdatasync.
 *
 * Invariants:
 *  - Metadata on disk never points at data that is not durable: a page is
 *    copied before DATA_SYNC begins, and an entry in it was set only after its
 *    data had been written.
 *  - Blocks of the old index are free only after META_SYNC.
 *  - A failed sync is kept in layer.failed and answers every later commit.
 *  - A draining top gives up on disk only what the parent has there: of a sector
 *    that is given up in what STAGE took, the parent was written before, and
 *    its commit begins after that.
 */
#include <string.h>
#include "engine.h"

static void commit_step(struct layer *layer);

/* A header in two slots, also of a disk whose data needs no index. */
static bool has_slots(const struct layer *layer)
{
	return layer->hdr.format == COW_V4;
}

static bool pages_dirty(const struct layer *layer)
{
	unsigned int level;

	for (level = 0; level < COW_V4_MAX_LEVELS; level++) {
		if (layer->dirty[level])
			return true;
	}
	return false;
}

static bool metadata_staged(const struct layer *layer)
{
	return layer->header_dirty || pages_dirty(layer);
}

bool cow_commit_needed(const struct layer *layer)
{
	return layer->unsynced || metadata_staged(layer);
}

/* ---- one I/O at a time: sync, header slot ------------------------------ */

static void single_done(struct io_desc *io)
{
	struct commit *commit = cow_container_of(io, struct commit, io);
	struct layer *layer = cow_container_of(commit, struct layer, commit);

	layer->inflight--;
	commit->answered = true;
	cow_wake_one(layer->chain, &commit->self, 0);
	cow_run(layer->chain);
}

/* Submit commit->io, or take the answer to it; -EINPROGRESS in between. */
static int single_io(struct layer *layer, const struct io_desc *io)
{
	const struct cow_env *env = &layer->chain->env;
	struct commit *commit = &layer->commit;
	int ret;

	if (commit->answered) {
		commit->answered = false;
		return commit->io.result < 0 ? (int)commit->io.result : 0;
	}
	commit->io = *io;
	commit->io.fd = cow_data_fd(layer);
	commit->io.direct = cow_is_direct(layer);
	commit->io.done = single_done;
	layer->inflight++;
	ret = env->io->submit(env->ctx, &commit->io);
	if (ret == -EINPROGRESS)
		return ret;
	layer->inflight--;
	return commit->io.result < 0 ? (int)commit->io.result : 0;
}

static int sync_layer(struct layer *layer)
{
	const struct io_desc io = { .op = IO_SYNC };
	int ret;

	if (!layer->commit.answered)
		layer->unsynced = false;
	ret = single_io(layer, &io);
	if (ret < 0 && ret != -EINPROGRESS)
		layer->failed = ret;
	return ret;
}

/* ---- many I/Os: copies of pages ---------------------------------------- */

static void stage_over(struct stage *stage)
{
	struct layer *layer = stage->layer;
	struct commit *commit = &layer->commit;

	commit->stage_free[commit->nfree++] = stage - commit->stage;
	if (stage->io.result < 0) {
		commit->error = stage->io.result;
		cow_page_dirty(stage->page);
	}
	cow_page_unpin(stage->page);
}

static void stage_done(struct io_desc *io)
{
	struct stage *stage = cow_container_of(io, struct stage, io);
	struct layer *layer = stage->layer;

	layer->inflight--;
	layer->commit.pending--;
	stage_over(stage);
	/* One waiter for all: the others find the queue entry taken. */
	if (!layer->commit.pending || layer->commit.starved) {
		if (!layer->commit.woken)
			cow_wake_one(layer->chain, &layer->commit.self, 0);
		layer->commit.woken = true;
	}
	cow_run(layer->chain);
}

static void stage_write(struct stage *stage, uint64_t offset, size_t len)
{
	struct layer *layer = stage->layer;
	const struct cow_env *env = &layer->chain->env;
	int ret;

	stage->vec.base = stage->data;
	stage->vec.len = len;
	stage->io = (struct io_desc){
		.op = IO_WRITE,
		.fd = cow_data_fd(layer),
		.direct = cow_is_direct(layer),
		.offset = offset,
		.len = len,
		.vec = &stage->vec,
		.nvec = 1,
		.done = stage_done,
	};
	layer->inflight++;
	layer->commit.pending++;
	ret = env->io->submit(env->ctx, &stage->io);
	if (ret == -EINPROGRESS)
		return;
	layer->inflight--;
	layer->commit.pending--;
	stage_over(stage);
}

/* A copy of @page, which counts as clean from here on but stays in memory. */
static struct stage *stage_copy(struct layer *layer, struct ipage *page)
{
	struct commit *commit = &layer->commit;
	struct stage *stage;

	stage = &commit->stage[commit->stage_free[--commit->nfree]];
	memcpy(stage->data, page->data, IPAGE_SIZE);
	stage->page = page;
	cow_page_pin(page);
	cow_page_cleaned(page);
	return stage;
}

/* ---- V4: index pages go to new places ---------------------------------- */

static void tell_parent(struct layer *layer, struct ipage *page,
			unsigned int level, uint64_t index)
{
	struct commit *commit = &layer->commit;
	struct ipage *parent = page->parent;
	struct cow_disk_page *disk;

	if (!parent) {
		layer->hdr.v4.root = page->block;
		return;
	}
	disk = (struct cow_disk_page *)parent->data;
	disk->entry[index % COW_PAGE_ENTRIES] =
		cow_be64(page->block << COW_ENTRY_SHIFT);
	if (parent->dirty)
		return;
	cow_page_dirty(parent);
	/* It belongs to this commit: move it over. */
	layer->dirty[level + 1] = parent->dirty_next;
	parent->dirty_next = commit->pages[level + 1];
	commit->pages[level + 1] = parent;
}

static int write_index_page(struct layer *layer, struct ipage *page)
{
	unsigned int level = page->key >> 56;
	uint64_t index = page->key & ~(0xffull << 56);
	uint64_t generation = layer->hdr.v4.generation + 1;
	struct stage *stage;
	uint64_t block;
	int err;

	err = cow_block_take(layer, false, &block);
	if (err)
		return err;
	if (page->block)
		cow_block_leave(layer, page->block);
	page->block = block;
	page->generation = generation;
	layer->staged += page->owned;
	layer->staged -= page->staged;
	page->staged = page->owned;
	tell_parent(layer, page, level, index);
	stage = stage_copy(layer, page);
	cow_page_seal((struct cow_disk_page *)stage->data, layer->hdr.v4.uuid,
		      level, index, page->block, generation);
	stage_write(stage, page->block << COW_BLOCK_SHIFT, IPAGE_SIZE);
	return 0;
}

static int stage_isam(struct layer *layer)
{
	struct commit *commit = &layer->commit;
	struct ipage *page;
	int err;

	commit->starved = false;
	while (commit->level < layer->hdr.v4.levels) {
		page = commit->pages[commit->level];
		if (!page) {
			commit->level++;
			continue;
		}
		if (!commit->nfree) {
			commit->starved = true;
			return -EINPROGRESS;
		}
		commit->pages[commit->level] = page->dirty_next;
		commit->meta = true;
		err = write_index_page(layer, page);
		if (err) {
			commit->pages[commit->level] = page;
			commit->error = err;
			break;
		}
	}
	commit->staged = true;
	return commit->pending ? -EINPROGRESS : commit->error;
}

static int write_slot(struct layer *layer)
{
	struct commit *commit = &layer->commit;
	struct cow_disk_v4 v4 = layer->hdr.v4;
	struct io_desc io = {
		.op = IO_WRITE,
		.len = COW_SECTOR_SIZE,
		.vec = &commit->slot_vec,
		.nvec = 1,
	};

	if (!commit->answered) {
		v4.generation++;
		v4.owned = layer->staged;
		/* A foreign header may have counted wrongly. */
		if (v4.owned > layer->sectors)
			v4.owned = layer->sectors;
		cow_v4_emit(&v4, commit->slot);
		commit->slot_vec.base = commit->slot;
		commit->slot_vec.len = COW_SECTOR_SIZE;
		layer->header_dirty = false;
	}
	io.offset = (v4.generation & 1) << COW_BLOCK_SHIFT;
	return single_io(layer, &io);
}

/* The header is durable: what only the old one referred to is free. */
static void slot_durable(struct layer *layer)
{
	layer->hdr.v4.generation++;
	cow_room_durable(layer);
}

/* ---- a draining top: first the parent ---------------------------------- */

static void below_done(struct cow_wait *wait)
{
	struct commit *commit = cow_container_of(wait, struct commit, below);

	commit->answered = true;
	commit_step(cow_container_of(commit, struct layer, commit));
}

/* The top has given sectors to its parent, and not all of that is durable. */
static bool drains(const struct chain *chain)
{
	return chain->drain.active || chain->drain.leaving;
}

/* Begin the parent's commit, or take the answer to it. */
static int commit_below(struct layer *layer)
{
	struct chain *chain = layer->chain;
	struct commit *commit = &layer->commit;

	if (commit->answered) {
		commit->answered = false;
		return commit->below.result;
	}
	if (!drains(chain) || layer != chain->top)
		return 0;
	commit->below.run = below_done;
	cow_commit(layer->parent, &commit->below);
	return -EINPROGRESS;
}

/* ---- V1 to V3: bitmap pages are written in place ----------------------- */

static int stage_bitmap(struct layer *layer)
{
	struct commit *commit = &layer->commit;
	struct ipage *page;

	commit->nstage = 0;
	while (commit->pages[0] && commit->nfree) {
		page = commit->pages[0];
		commit->pages[0] = page->dirty_next;
		commit->order[commit->nstage++] = stage_copy(layer, page);
		commit->meta = true;
	}
	commit->staged = !commit->pages[0];
	return 0;
}

static int write_bitmap(struct layer *layer)
{
	struct commit *commit = &layer->commit;

	while (commit->nstage) {
		struct stage *stage = commit->order[--commit->nstage];
		uint64_t offset = stage->page->key * IPAGE_SIZE;
		uint64_t left = layer->hdr.bitmap_len - offset;

		stage_write(stage, layer->hdr.bitmap_offset + offset,
			    cow_direct_len(layer, left < IPAGE_SIZE ?
					   left : IPAGE_SIZE));
	}
	return commit->pending ? -EINPROGRESS : commit->error;
}

/* ---- the commit as a whole --------------------------------------------- */

static int do_phase(struct layer *layer)
{
	struct commit *commit = &layer->commit;

	switch (commit->phase) {
	case COMMIT_STAGE:
		if (layer->failed)
			return layer->failed;
		if (has_slots(layer))
			return stage_isam(layer);
		return stage_bitmap(layer);
	case COMMIT_BELOW:
		return commit_below(layer);
	case COMMIT_DATA_SYNC:
		if (!layer->unsynced && !commit->meta && !commit->answered)
			return 0;
		return sync_layer(layer);
	case COMMIT_META:
		return has_slots(layer) ? write_slot(layer) : write_bitmap(layer);
	case COMMIT_META_SYNC:
		return sync_layer(layer);
	case COMMIT_IDLE:
		break;
	}
	return -EINVAL;
}

/* Pages that were not copied wait for the next commit. */
static void put_back(struct layer *layer)
{
	struct commit *commit = &layer->commit;
	unsigned int level;

	while (commit->nstage) {
		struct stage *stage = commit->order[--commit->nstage];

		stage->io.result = -EIO;
		stage_over(stage);
	}
	for (level = 0; level < COW_V4_MAX_LEVELS; level++) {
		struct ipage *page;

		while ((page = commit->pages[level])) {
			commit->pages[level] = page->dirty_next;
			page->dirty_next = layer->dirty[level];
			layer->dirty[level] = page;
		}
	}
}

static void commit_begin(struct layer *layer)
{
	struct commit *commit = &layer->commit;

	commit->phase = COMMIT_STAGE;
	commit->error = 0;
	commit->staged = false;
	commit->answered = false;
	commit->level = 0;
	memcpy(commit->pages, layer->dirty, sizeof(commit->pages));
	memset(layer->dirty, 0, sizeof(layer->dirty));
	if (has_slots(layer))
		cow_room_commits(layer);
	if (has_slots(layer) && (commit->pages[0] ||
				 (layer->unsynced && !layer->counted))) {
		layer->hdr.v4.content++;
		layer->header_dirty = true;
		layer->counted = true;
	}
	commit->meta = layer->header_dirty;
}

static void commit_end(struct layer *layer, int result)
{
	struct chain *chain = layer->chain;
	struct commit *commit = &layer->commit;

	if (result) {
		/*
		 * A slot that failed to be written may still reach the disk:
		 * blocks that it refers to must not be used again. Lack of room
		 * is told before anything is written.
		 */
		if (has_slots(layer) && commit->phase == COMMIT_META &&
		    result != -ENOSPC && result != -EDQUOT)
			layer->failed = result;
		put_back(layer);
		/* What was staged without reaching the disk has to try again */
		if (has_slots(layer) && commit->meta)
			layer->header_dirty = true;
		if (!layer->failed)
			layer->unsynced = true;
	}
	commit->phase = COMMIT_IDLE;
	cow_wake(chain, &commit->waiters, result);
	/* Who waits for clean pages would wait for ever. */
	cow_wake(chain, &chain->cache.waiters, result);
	if (cow_queue_empty(&commit->next))
		return;
	commit->waiters = commit->next;
	commit->next.head = NULL;
	commit_begin(layer);
	cow_wake_one(chain, &commit->self, 0);
}

/* The phase is over without error: which one is next, or is that all? */
static bool next_phase(struct layer *layer)
{
	struct commit *commit = &layer->commit;

	switch (commit->phase) {
	case COMMIT_STAGE:
		commit->phase = COMMIT_BELOW;
		return true;
	case COMMIT_BELOW:
		commit->phase = COMMIT_DATA_SYNC;
		return true;
	case COMMIT_DATA_SYNC:
		commit->phase = COMMIT_META;
		return commit->meta;
	case COMMIT_META:
		commit->phase = COMMIT_META_SYNC;
		return true;
	case COMMIT_META_SYNC:
		if (has_slots(layer))
			slot_durable(layer);
		commit->phase = COMMIT_STAGE;
		return !commit->staged;
	case COMMIT_IDLE:
		break;
	}
	return false;
}

static void commit_step(struct layer *layer)
{
	int ret;

	do {
		ret = do_phase(layer);
		if (ret == -EINPROGRESS)
			return;
	} while (!ret && next_phase(layer));
	commit_end(layer, ret);
}

static void commit_self(struct cow_wait *wait)
{
	struct commit *commit = cow_container_of(wait, struct commit, self);
	struct layer *layer = cow_container_of(commit, struct layer, commit);

	commit->woken = false;
	commit_step(layer);
}

void cow_commit(struct layer *layer, struct cow_wait *wait)
{
	struct commit *commit = &layer->commit;

	if (commit->phase != COMMIT_IDLE) {
		cow_queue_add(&commit->next, wait);
		return;
	}
	if (layer->failed || !cow_commit_needed(layer)) {
		if (layer->failed)
			cow_wake(layer->chain, &layer->chain->cache.waiters,
				 layer->failed);
		cow_wake_one(layer->chain, wait, layer->failed);
		return;
	}
	commit->self.run = commit_self;
	cow_queue_add(&commit->waiters, wait);
	commit_begin(layer);
	commit_step(layer);
}

/* ---- the flush of a chain ---------------------------------------------- */

static void cycle_begin(struct chain *chain);

static void cycle_end(struct chain *chain, int result)
{
	struct flush_cycle *flush = &chain->flush;

	flush->running = false;
	flush->failed = result;
	cow_wake(chain, &flush->waiters, result);
	if (cow_queue_empty(&flush->next) || flush->blocked || flush->held) {
		/* Who found no clean page meanwhile could not begin another. */
		if (!cow_queue_empty(&chain->cache.waiters))
			cow_flush_staged(chain);
		return;
	}
	flush->waiters = flush->next;
	flush->next.head = NULL;
	cycle_begin(chain);
}

static void cycle_top_done(struct cow_wait *wait)
{
	struct chain *chain = cow_container_of(wait, struct chain,
					       flush.top_done);

	cycle_end(chain, wait->result);
}

static void cycle_parent_done(struct cow_wait *wait)
{
	struct chain *chain = cow_container_of(wait, struct chain,
					       flush.parent_done);

	if (wait->result)
		cycle_end(chain, wait->result);
	else
		cow_commit(chain->top, &chain->flush.top_done);
}

/*
 * In a drain, until one that was given up is over, and until a snapshot has
 * settled, the parent changes too.
 */
static bool parent_changes(const struct chain *chain)
{
	return drains(chain) || chain->flush.blocked;
}

/* A draining top that has nothing to write would not see to its parent. */
static bool parent_alone(const struct chain *chain)
{
	const struct layer *top = chain->top;

	return drains(chain) && !top->failed &&
	       top->commit.phase == COMMIT_IDLE && !cow_commit_needed(top);
}

static void cycle_begin(struct chain *chain)
{
	struct flush_cycle *flush = &chain->flush;

	flush->running = true;
	flush->parent_done.run = cycle_parent_done;
	flush->top_done.run = cycle_top_done;
	if (flush->blocked)
		cow_commit(chain->top->parent, &flush->parent_done);
	else
		cow_commit(parent_alone(chain) ? chain->top->parent : chain->top,
			   &flush->top_done);
}

void cow_flush(struct chain *chain, struct cow_wait *wait)
{
	struct flush_cycle *flush = &chain->flush;

	if (flush->running || flush->blocked || flush->held) {
		cow_queue_add(&flush->next, wait);
		cow_wake(chain, &flush->again, 0);
		return;
	}
	cow_queue_add(&flush->waiters, wait);
	cycle_begin(chain);
}

void cow_flush_refuse(struct chain *chain, int error)
{
	cow_wake(chain, &chain->flush.next, error);
}

bool cow_flush_hold(struct chain *chain, struct cow_wait *wait)
{
	struct flush_cycle *flush = &chain->flush;

	flush->held = true;
	if (flush->running)
		cow_queue_add(&flush->waiters, wait);
	return !flush->running;
}

void cow_flush_unblock(struct chain *chain)
{
	struct flush_cycle *flush = &chain->flush;

	flush->blocked = false;
	flush->held = false;
	if (flush->running)
		return;
	if (!cow_queue_empty(&flush->next)) {
		flush->waiters = flush->next;
		flush->next.head = NULL;
		cycle_begin(chain);
	} else if (!cow_queue_empty(&chain->cache.waiters)) {
		cow_flush_staged(chain);
	}
}

bool cow_flush_staged(struct chain *chain)
{
	struct flush_cycle *flush = &chain->flush;
	bool staged = metadata_staged(chain->top) ||
		      (parent_changes(chain) &&
		       metadata_staged(chain->top->parent));

	/* Of a snapshot not yet settled, nobody is told that it is durable. */
	if (staged && !flush->running && !flush->held)
		cycle_begin(chain);
	return staged || flush->running;
}

bool cow_background(struct common_file *file)
{
	struct chain *chain = cow_chain(file);
	bool staged = cow_flush_staged(chain) ||
		      !cow_queue_empty(&chain->flush.again);

	cow_wake(chain, &chain->flush.again, 0);
	cow_run(chain);
	return staged;
}

int cow_failed(const struct common_file *file)
{
	const struct chain *chain = cow_chain(file);

	if (!chain->top->failed && parent_changes(chain))
		return chain->top->parent->failed;
	return chain->top->failed;
}
