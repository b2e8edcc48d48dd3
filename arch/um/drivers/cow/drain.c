// SPDX-License-Identifier: GPL-2.0-only
/*
 * Drain: the top gives its sectors to its parent, which is the top at the end.
 *
 * Duty: what a drain has of its own, and its order on disk. Around it see
 * merge.c.
 *
 *	FLUSH      nothing is left of what was staged before
 *	ACTIVATE   from here on writes go to the parent
 *	WRITERS    writes that began before finish on the top
 *	HOLD       writes to the window wait; those under way finish
 *	EMPTY      flush: the parent first, then what the top gave away
 *	MARK_EMPTY the top says durably that it is a name for its parent
 *	UNLINK     the parent forgets its successor; durable
 *	SWAP       the parent is the top
 *	IDLE       reads that were resolved to the old top finish
 *	REMOVE     the emptied file is deleted, if that was asked for; else a V4
 *	           file gives its room back
 *
 * A top that is discarded begins with EMPTY. To give a drain up:
 *
 *	BACK_HOLD  all writes wait; those under way finish
 *	BACK_SWAP  writes go to the top again
 *
 * Invariants:
 *  - A sector that the top gave away is on disk in the parent before the top's
 *    metadata says so (commit.c, BELOW).
 *  - No work is ever added: writes never give the top a sector.
 *  - From BACK_SWAP until the parent has come to rest, a flush covers both.
 */
#include "merge.h"

enum {
	DRAIN_FLUSH = MERGE_OWN,
	DRAIN_ACTIVATE,
	DRAIN_WRITERS,
	DRAIN_HOLD,
	DRAIN_EMPTY,
	DRAIN_MARK_EMPTY,
	DRAIN_UNLINK,
	DRAIN_SWAP,
	DRAIN_IDLE,
	DRAIN_REMOVE,
	DRAIN_DONE,
	DRAIN_BACK_HOLD,
	DRAIN_BACK_SWAP,
};

static int activate(struct merge *merge)
{
	struct chain *chain = merge->work.chain;

	if (cow_work_hold(&merge->work))
		return -EINPROGRESS;
	chain->drain.active = true;
	chain->drain.total = merge->top->owned;
	merge->progress->total = merge->top->owned << COW_SECTOR_SHIFT;
	cow_chain_relinked(chain);
	cow_flush_unblock(chain);
	merge->work.state = DRAIN_WRITERS;
	return 0;
}

static int writers(struct merge *merge)
{
	if (merge->top->writers)
		return cow_work_wait(&merge->work, &merge->top->idle);
	merge->work.state = MERGE_FIND;
	return 0;
}

static int hold(struct merge *merge)
{
	struct chain *chain = merge->work.chain;
	struct drain *drain = &chain->drain;

	drain->start = merge->start;
	drain->end = merge->end;
	if (cow_writes_in(chain, drain->start, drain->end))
		return cow_work_wait(&merge->work, &drain->window_idle);
	merge->work.state = MERGE_COPY;
	return 0;
}

static void release(struct merge *merge)
{
	struct chain *chain = merge->work.chain;

	chain->drain.start = 0;
	chain->drain.end = 0;
	cow_wake(chain, &chain->drain.held, 0);
}

static int unlink_call(void *arg)
{
	return cow_record_thaw(cow_merge_of(arg)->parent);
}

static int unlink_successor(struct merge *merge)
{
	struct layer *parent = merge->parent;

	if (!(parent->record.state & COW_IS_FROZEN))
		return 0;
	merge->marking = parent;
	if (parent->hdr.format != COW_V4)
		return cow_work_call(&merge->work, unlink_call);
	cow_v4_unlink(&parent->hdr.v4);
	parent->header_dirty = true;
	return cow_work_commit(&merge->work, parent);
}

static int swap(struct merge *merge)
{
	struct chain *chain = merge->work.chain;

	/* A flush under way still speaks of both layers. */
	if (cow_work_hold(&merge->work))
		return -EINPROGRESS;
	chain->drain.active = false;
	chain->top = merge->parent;
	merge->parent->state = COW_STATE_TOP;
	merge->swapped = true;
	merge->parent->record.state &= ~COW_IS_FROZEN;
	cow_chain_relinked(chain);
	cow_flush_unblock(chain);
	merge->work.state = DRAIN_IDLE;
	return 0;
}

static int idle(struct merge *merge)
{
	if (merge->top->inflight)
		return cow_work_wait(&merge->work, &merge->top->idle);
	cow_pages_drop(merge->top);
	merge->work.state = DRAIN_REMOVE;
	return 0;
}

/* ---- giving up --------------------------------------------------------- */

static int back_hold(struct merge *merge)
{
	merge->start = 0;
	merge->end = merge->work.chain->top->sectors;
	if (hold(merge))
		return -EINPROGRESS;
	merge->work.state = DRAIN_BACK_SWAP;
	return 0;
}

/* What waits has not been begun, or its pieces are back: it has a new target. */
static int back_swap(struct merge *merge)
{
	struct chain *chain = merge->work.chain;

	if (cow_work_hold(&merge->work))
		return -EINPROGRESS;
	chain->drain.active = false;
	chain->drain.leaving = true;
	cow_writes_move(chain, merge->parent, merge->top);
	cow_chain_relinked(chain);
	cow_flush_unblock(chain);
	release(merge);
	merge->work.state = MERGE_BACK_SYNC;
	return 0;
}

static void back_end(struct merge *merge)
{
	struct chain *chain = merge->work.chain;

	chain->drain.leaving = false;
	cow_chain_relinked(chain);
}

/* ---- the row of states ------------------------------------------------- */

/* Steps that are over when they have been answered. */
static int begin_once(struct merge *merge)
{
	struct work *work = &merge->work;

	switch (work->state++) {
	case DRAIN_FLUSH:
	case DRAIN_EMPTY:
		return cow_work_flush(work);
	case DRAIN_MARK_EMPTY:
		return cow_merge_empty(merge);
	case DRAIN_UNLINK:
		return unlink_successor(merge);
	case DRAIN_REMOVE:
		return cow_merge_dispose(merge);
	}
	return 1;
}

/* Steps that stay where they are until they say otherwise. */
static int begin(struct merge *merge)
{
	switch (merge->work.state) {
	case DRAIN_ACTIVATE:
		return activate(merge);
	case DRAIN_WRITERS:
		return writers(merge);
	case DRAIN_HOLD:
		return hold(merge);
	case DRAIN_SWAP:
		return swap(merge);
	case DRAIN_IDLE:
		return idle(merge);
	case DRAIN_BACK_HOLD:
		return back_hold(merge);
	case DRAIN_BACK_SWAP:
		return back_swap(merge);
	}
	return begin_once(merge);
}

const struct merge_way cow_drain_way = {
	.marked = DRAIN_FLUSH,
	.again = DRAIN_WRITERS,
	.window = DRAIN_HOLD,
	.copied = DRAIN_EMPTY,
	.back = DRAIN_BACK_HOLD,
	.begin = begin,
	.release = release,
	.back_end = back_end,
};
