// SPDX-License-Identifier: GPL-2.0-only
/*
 * The copying of a merge: one stretch of the top's sectors into its parent.
 *
 * Duty: room in the parent, one IO_COPY or IO_ZERO, and the change of ownership
 * when that has succeeded.
 *
 * Invariants: in a drain both layers change in memory at the same instant, when the
 * data is written; in a fold the layer keeps what it has. A piece that failed changes
 * nothing.
 */
#include "merge.h"

/* What the guest wrote meanwhile is done too: the top has it no more. */
void cow_merge_report(struct merge *merge)
{
	uint64_t left = merge->top->owned << COW_SECTOR_SHIFT;
	struct cow_merge_progress *progress = merge->progress;
	const struct fold *fold = &merge->work.chain->fold;

	if (merge->child)
		left = fold->total > fold->moved ?
		       (fold->total - fold->moved) << COW_SECTOR_SHIFT : 0;
	progress->done = progress->total > left ? progress->total - left : 0;
}

/* A piece is over: what it held is given back. */
static void copy_over(struct sub *sub)
{
	struct chain *chain = sub->chain;

	cow_sub_put(sub);
	chain->drain.copies--;
	if (!chain->drain.copies)
		cow_wake(chain, &chain->drain.window_idle, 0);
}

static void copy_flip(struct sub *sub)
{
	struct merge *merge = sub->owner;

	if (sub->set)
		merge->parent->ops->set(merge->parent, sub->page, sub->sector,
					sub->count, sub->state);
	if (sub->clear)
		merge->top->ops->set(merge->top, sub->clear, sub->sector,
				     sub->count, COW_ABSENT);
	else
		merge->work.chain->fold.moved += sub->count;
	cow_merge_report(merge);
}

static void copy_finish(struct sub *sub)
{
	struct merge *merge = sub->owner;

	merge->parent->unsynced = true;
	if (sub->io.result < 0) {
		merge->error = sub->io.result;
		if (sub->page)
			cow_page_unpin(sub->page);
		if (sub->clear)
			cow_page_unpin(sub->clear);
	} else {
		copy_flip(sub);
	}
	copy_over(sub);
}

/* Room in the parent for a run of the top; pins *page if it will change. */
static int copy_room(struct merge *merge, const struct cow_run *from,
		     struct cow_run *to, struct ipage **page,
		     struct ipage **need)
{
	struct layer *parent = merge->parent;
	int ret;

	*page = NULL;
	*need = NULL;
	if (from->state == COW_ZERO) {
		ret = parent->ops->prepare_set(parent, from->sector,
					       from->count, to, need);
	} else {
		ret = parent->ops->map(parent, from->sector, from->count, to,
				       need);
		if (ret || to->state == COW_DATA)
			return ret;
		ret = parent->ops->reserve(parent, from->sector, to->count, to,
					   need);
	}
	if (!ret && parent->ops != &cow_raw_ops)
		*page = *need;
	return ret;
}

/* A drain: pin the page that says that the layer has the sectors. */
static int copy_clear(struct merge *merge, struct cow_run *to,
		      struct ipage **clear, struct ipage **need)
{
	struct layer *top = merge->top;
	struct cow_run run;
	int ret;

	if (merge->child)
		return 0;
	ret = top->ops->prepare_set(top, to->sector, to->count, &run, need);
	if (ret)
		return ret;
	*clear = *need;
	if (run.count < to->count)
		to->count = run.count;
	return 0;
}

static void copy_submit(struct merge *merge, struct sub *sub,
			const struct cow_run *from, const struct cow_run *to)
{
	bool zero = from->state == COW_ZERO;

	sub->owner = merge;
	sub->finish = copy_finish;
	sub->sector = from->sector;
	sub->count = to->count;
	sub->set = sub->page;
	sub->state = zero ? COW_ZERO : COW_DATA;
	sub->io.op = zero ? IO_ZERO : IO_COPY;
	sub->io.fd = cow_data_fd(merge->parent);
	sub->io.direct = cow_is_direct(merge->parent) ||
			 cow_is_direct(merge->top);
	sub->io.offset = to->place;
	sub->io.len = to->count << COW_SECTOR_SHIFT;
	sub->io.src_fd = cow_data_fd(merge->top);
	sub->io.src_offset = from->place;
	sub->source = merge->top;
	sub->target = merge->parent;
	merge->work.chain->drain.copies++;
	if (zero && merge->parent->ops == &cow_isam_ops) {
		/* No I/O: the balance of cow_sub_submit() is not touched. */
		copy_finish(sub);
		return;
	}
	cow_sub_submit(sub);
}

int64_t cow_merge_copy(struct merge *merge, uint64_t sector, uint64_t count,
		       struct ipage **need)
{
	struct layer *top = merge->top;
	struct cow_run from, to;
	struct ipage *page, *clear;
	struct sub *sub;
	int ret;

	*need = NULL;
	ret = top->ops->map(top, sector, count, &from, need);
	if (ret || from.state == COW_ABSENT)
		return ret ? ret : (int64_t)from.count;
	ret = copy_room(merge, &from, &to, &page, need);
	if (ret)
		return ret;
	sub = cow_sub_get(merge->work.chain);
	clear = NULL;
	ret = sub ? copy_clear(merge, &to, &clear, need) : -ENOBUFS;
	if (ret) {
		if (page)
			cow_page_unpin(page);
		if (sub)
			cow_sub_put(sub);
		return ret;
	}
	sub->page = page;
	sub->clear = clear;
	copy_submit(merge, sub, &from, &to);
	return to.count;
}
