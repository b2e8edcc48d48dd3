// SPDX-License-Identifier: GPL-2.0-only
/*
 * The copying of a merge: one stretch of a layer's sectors into its parent.
 *
 * Duty: room in the parent, the I/O, and the change of ownership when that has
 * succeeded. A long stretch is an IO_COPY of its own, which the host may carry
 * out by sharing blocks. Short ones of a window are gathered to one IO_COPY: a
 * thread's turn for each of them would cost more than the copy.
 *
 * Invariants: in a drain both layers change in memory at the same instant, when the
 * data is written; in a fold the layer keeps what it has. A piece that failed changes
 * nothing; of those that were gathered, all fail together.
 */
#include "merge.h"

/* From here on an IO_COPY of its own. */
#define LONG_SECTORS	128u

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

/* ---- the end of a copy ------------------------------------------------- */

static void flip(struct merge *merge, const struct copied *copied,
		 enum cow_run_state state)
{
	if (copied->page)
		merge->parent->ops->set(merge->parent, copied->page,
					copied->sector, copied->count, state);
	if (copied->clear)
		merge->top->ops->set(merge->top, copied->clear, copied->sector,
				     copied->count, COW_ABSENT);
	else
		merge->work.chain->fold.moved += copied->count;
}

static void unpin(const struct copied *copied)
{
	if (copied->page)
		cow_page_unpin(copied->page);
	if (copied->clear)
		cow_page_unpin(copied->clear);
}

/* All of them have one state, and one result. */
static void copy_over(struct sub *sub, const struct copied *copied,
		      unsigned int count)
{
	struct merge *merge = sub->owner;
	struct drain *drain = &sub->chain->drain;

	for (; count; count--, copied++) {
		if (sub->io.result < 0)
			unpin(copied);
		else
			flip(merge, copied, sub->state);
	}
	merge->parent->unsynced = true;
	if (sub->io.result < 0)
		merge->error = sub->io.result;
	cow_merge_report(merge);
	cow_sub_put(sub);
	drain->copies--;
	if (!drain->copies)
		cow_wake(merge->work.chain, &drain->window_idle, 0);
}

static void copy_finish(struct sub *sub)
{
	const struct copied copied = {
		.sector = sub->sector,
		.count = sub->count,
		.page = sub->page,
		.clear = sub->clear,
	};

	copy_over(sub, &copied, 1);
}

static void gather_finish(struct sub *sub)
{
	struct merge *merge = sub->owner;
	struct gather *gather = &merge->gather;
	unsigned int count = gather->count;

	gather->sub = NULL;
	gather->busy = false;
	gather->count = 0;
	copy_over(sub, gather->copied, count);
}

/* ---- its beginning ----------------------------------------------------- */

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

/* An I/O between the two files, for one piece or many. */
static void copy_submit(struct merge *merge, struct sub *sub,
			void (*finish)(struct sub *sub))
{
	sub->owner = merge;
	sub->finish = finish;
	sub->io.fd = cow_data_fd(merge->parent);
	sub->io.direct = cow_is_direct(merge->parent) ||
			 cow_is_direct(merge->top);
	sub->io.src_fd = cow_data_fd(merge->top);
	sub->source = merge->top;
	sub->target = merge->parent;
	cow_sub_submit(sub);
}

static void copy_alone(struct merge *merge, struct sub *sub,
		       const struct cow_run *from, const struct cow_run *to,
		       const struct copied *copied)
{
	bool zero = from->state == COW_ZERO;

	sub->sector = copied->sector;
	sub->count = copied->count;
	sub->page = copied->page;
	sub->clear = copied->clear;
	sub->state = from->state;
	merge->work.chain->drain.copies++;
	if (zero && merge->parent->ops == &cow_isam_ops) {
		/* No I/O: the balance of cow_sub_submit() is not touched. */
		sub->owner = merge;
		copy_finish(sub);
		return;
	}
	sub->io.op = zero ? IO_ZERO : IO_COPY;
	sub->io.offset = to->place;
	sub->io.len = copied->count << COW_SECTOR_SHIFT;
	sub->io.src_offset = from->place;
	copy_submit(merge, sub, copy_finish);
}

/* ---- many together ----------------------------------------------------- */

/* What finds others on their way goes alone, so that nothing waits for them. */
static bool is_gathered(const struct merge *merge, const struct cow_run *from,
			const struct cow_run *to)
{
	uint64_t place = from->sector % GATHER_SECTORS;

	return from->state == COW_DATA && to->count < LONG_SECTORS &&
	       place + to->count <= GATHER_SECTORS && !merge->gather.busy &&
	       merge->gather.count < GATHER_SECTORS &&
	       !cow_is_direct(merge->parent) && !cow_is_direct(merge->top);
}

static void gather_add(struct merge *merge, const struct cow_run *from,
		       const struct cow_run *to, const struct copied *copied)
{
	struct gather *gather = &merge->gather;
	uint64_t place = copied->sector % GATHER_SECTORS;

	gather->copied[gather->count] = *copied;
	gather->piece[gather->count] = (struct io_piece){
		.src_offset = from->place,
		.offset = to->place,
		.base = &gather->memory[place << COW_SECTOR_SHIFT],
		.len = copied->count << COW_SECTOR_SHIFT,
	};
	gather->count++;
}

/* Send off what was gathered. */
static void gather_go(struct merge *merge)
{
	struct gather *gather = &merge->gather;
	struct sub *sub = gather->sub;

	if (!sub || gather->busy)
		return;
	if (!gather->count) {
		gather->sub = NULL;
		cow_sub_put(sub);
		return;
	}
	gather->busy = true;
	merge->work.chain->drain.copies++;
	sub->state = COW_DATA;
	sub->io.op = IO_COPY;
	sub->io.piece = gather->piece;
	sub->io.npieces = gather->count;
	/* A disk that is busy makes this window wait, and who writes to it. */
	sub->io.early = !merge->work.chain->writes;
	copy_submit(merge, sub, gather_finish);
}

/* ------------------------------------------------------------------------ */

static struct sub *sub_for(struct merge *merge, bool gathered)
{
	struct gather *gather = &merge->gather;

	if (!gathered)
		return cow_sub_get(merge->work.chain);
	if (!gather->sub)
		gather->sub = cow_sub_get(merge->work.chain);
	return gather->sub;
}

/* A drain: pin what says that the layer owns the stretch. */
static int pin_clear(struct merge *merge, struct copied *copied,
		     struct ipage **need)
{
	struct layer *top = merge->top;
	struct cow_run run;
	int ret;

	if (merge->child)
		return 0;
	ret = top->ops->prepare_set(top, copied->sector, copied->count, &run,
				    need);
	if (ret)
		return ret;
	copied->clear = *need;
	if (run.count < copied->count)
		copied->count = run.count;
	return 0;
}

static int64_t copy_run(struct merge *merge, const struct cow_run *from,
			const struct cow_run *to, struct ipage *page,
			struct ipage **need)
{
	struct copied copied = {
		.sector = from->sector,
		.count = to->count,
		.page = page,
	};
	bool gathered = is_gathered(merge, from, to);
	struct sub *sub = sub_for(merge, gathered);
	int ret;

	if (!sub)
		return -ENOBUFS;
	ret = pin_clear(merge, &copied, need);
	if (ret) {
		if (!gathered)
			cow_sub_put(sub);
		return ret;
	}
	if (gathered)
		gather_add(merge, from, to, &copied);
	else
		copy_alone(merge, sub, from, to, &copied);
	return (int64_t)copied.count;
}

static int64_t copy_next(struct merge *merge, uint64_t sector, uint64_t count,
			 struct ipage **need)
{
	struct layer *top = merge->top;
	struct cow_run from, to;
	struct ipage *page;
	int64_t n;

	*need = NULL;
	n = top->ops->map(top, sector, count, &from, need);
	if (n || from.state == COW_ABSENT)
		return n ? n : (int64_t)from.count;
	n = copy_room(merge, &from, &to, &page, need);
	if (n)
		return n;
	n = copy_run(merge, &from, &to, page, need);
	if (n < 0 && page)
		cow_page_unpin(page);
	return n;
}

int64_t cow_merge_copy(struct merge *merge, uint64_t sector, uint64_t count,
		       struct ipage **need)
{
	int64_t n = copy_next(merge, sector, count, need);

	if (n < 0 || (uint64_t)n == count || merge->error)
		gather_go(merge);
	return n;
}
