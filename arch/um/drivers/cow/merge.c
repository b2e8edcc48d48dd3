// SPDX-License-Identifier: GPL-2.0-only
/*
 * Drain: the top gives its sectors to its parent, window by window, while the
 * guest runs; at the end the parent is the top.
 *
 * Duty: the protocol and its order on disk.
 *
 *	GUARD      what would become sector 0 of a raw file is looked at
 *	MARK       the top says durably that it is being drained, so that a
 *	           parent that has changed is no reason to refuse the chain
 *	FLUSH      nothing is left of what was staged before
 *	ACTIVATE   from here on writes go to the parent
 *	WRITERS    writes that began before finish on the top
 *	FIND       the next stretch that the top still owns is the next window
 *	LOOK       where the top's bitmap has a hole, FIND passes over it
 *	HOLD       writes to the window wait; those under way finish
 *	COPY       the window is copied; ownership changes as pieces succeed
 *	SETTLE     all pieces are back: release the window, go to FIND
 *	EMPTY      flush: the parent first, then what the top gave away
 *	MARK_EMPTY the top says durably that it is a name for its parent
 *	UNLINK     the parent forgets its successor; durable
 *	SWAP       the parent is the top
 *	IDLE       reads that were resolved to the old top finish
 *	REMOVE     the emptied file is deleted, if that was asked for; else a V4
 *	           file gives its room back
 *
 * Invariants:
 *  - Before MARK is durable nothing has moved; after it any crash opens and may
 *    be drained again from the start, which copies the same bytes.
 *  - A sector that the top gave away is on disk in the parent before the top's
 *    metadata says so (commit.c, hold_flips).
 *  - No work is ever added: writes never give the top a sector.
 */
#include <string.h>
#include "layer.h"
#include "merge.h"

#define WINDOW_SECTORS	2048u

enum {
	MERGE_GUARD,
	MERGE_GUARD_READ,
	MERGE_MARK,
	MERGE_FLUSH,
	MERGE_ACTIVATE,
	MERGE_WRITERS,
	MERGE_FIND,
	MERGE_LOOK,
	MERGE_HOLD,
	MERGE_COPY,
	MERGE_SETTLE,
	MERGE_EMPTY,
	MERGE_MARK_EMPTY,
	MERGE_UNLINK,
	MERGE_SWAP,
	MERGE_IDLE,
	MERGE_REMOVE,
	MERGE_DONE,
};

static struct merge *merge_of(struct work *work)
{
	return cow_container_of(work, struct merge, work);
}

/* ---- where it may block ------------------------------------------------ */

/* Where in a V1 to V3 header the base's time stands. */
static uint64_t mtime_place(const struct cow_header *hdr)
{
	if (hdr->format == COW_V1)
		return offsetof(struct cow_disk_v1, mtime);
	if (hdr->format == COW_V2)
		return offsetof(struct cow_disk_v2, mtime);
	return offsetof(struct cow_disk_v3, mtime);
}

/* The record first, since it keeps what the header is about to lose. */
static int mark_call(void *arg)
{
	struct merge *merge = merge_of(arg);
	const struct cow_env *env = &merge->work.chain->env;
	const uint32_t never = 0;
	struct layer *top = merge->top;
	int ret;

	ret = cow_record_store(env, top->fd, top->path, &merge->record);
	if (!ret)
		ret = cow_header_patch(top, mtime_place(&top->hdr), &never,
				       sizeof(never));
	return ret ? ret : cow_sync_now(env, cow_data_fd(top));
}

static int mark_empty_call(void *arg)
{
	struct merge *merge = merge_of(arg);
	const struct cow_env *env = &merge->work.chain->env;

	merge->record.state = COW_IS_DRAINED;
	merge->record.self = merge->top->st.id;
	return cow_record_store(env, merge->top->fd, merge->top->path,
				&merge->record);
}

static int unlink_call(void *arg)
{
	return cow_record_thaw(merge_of(arg)->parent);
}

/* An emptied V4 file that is kept gives its room back. */
static int shrink_call(void *arg)
{
	struct merge *merge = merge_of(arg);
	const struct cow_env *env = &merge->work.chain->env;
	struct cow_disk_v4 *v4 = &merge->top->hdr.v4;
	int ret;

	v4->generation++;
	v4->root = 0;
	v4->owned = 0;
	v4->end = COW_V4_FIRST_BLOCK;
	ret = cow_v4_put_slot(env, cow_data_fd(merge->top), v4);
	if (!ret)
		ret = env->io->truncate(env->ctx, cow_data_fd(merge->top),
					(uint64_t)COW_V4_FIRST_BLOCK <<
					COW_BLOCK_SHIFT);
	return ret;
}

static int remove_call(void *arg)
{
	struct merge *merge = merge_of(arg);
	const struct cow_env *env = &merge->work.chain->env;

	if (merge->top->hdr.format != COW_V4)
		cow_record_leave(env, merge->top->path);
	return env->io->unlink(env->ctx, merge->top->path);
}

/* ---- the steps --------------------------------------------------------- */

/* Known from here on: also of a mark that failed, part may be on disk. */
static int mark(struct merge *merge)
{
	struct layer *top = merge->top;

	if (top->hdr.format != COW_V4) {
		merge->record.state = COW_IS_DRAINING;
		merge->record.self = top->st.id;
		merge->record.parent_size = top->hdr.size;
		if (!(top->record.state & COW_IS_DRAINING))
			merge->record.parent_mtime = top->hdr.mtime;
		top->record = merge->record;
		return cow_work_call(&merge->work, mark_call);
	}
	top->record.state |= COW_IS_DRAINING;
	top->hdr.v4.state |= COW_IS_DRAINING;
	top->header_dirty = true;
	return cow_work_commit(&merge->work, top);
}

static int activate(struct merge *merge)
{
	struct chain *chain = merge->work.chain;

	chain->drain.active = true;
	chain->drain.total = merge->top->owned;
	merge->progress->total = merge->top->owned << COW_SECTOR_SHIFT;
	cow_chain_relinked(chain);
	cow_flush_unblock(chain);
	return 0;
}

/* A COW header must not come into sector 0 of a raw file this way either. */
static int guard(struct merge *merge)
{
	struct work *work = &merge->work;
	struct chain *chain = work->chain;
	struct ipage *page = NULL;
	struct cow_run run;
	int ret;

	work->state = MERGE_MARK;
	if (chain->raw)
		return 0;
	ret = merge->top->ops->map(merge->top, 0, 1, &run, &page);
	if (ret == -EAGAIN) {
		work->state = MERGE_GUARD;
		return cow_work_page(work, page);
	}
	if (ret || run.state != COW_DATA)
		return ret;
	work->state = MERGE_GUARD_READ;
	merge->vec.base = merge->sector;
	merge->vec.len = COW_SECTOR_SIZE;
	work->call = (struct io_desc){
		.op = IO_READ,
		.fd = cow_data_fd(merge->top),
		.direct = cow_is_direct(merge->top),
		.offset = run.place,
		.len = COW_SECTOR_SIZE,
		.vec = &merge->vec,
		.nvec = 1,
	};
	return cow_work_io(work);
}

static int guard_read(struct merge *merge)
{
	merge->work.state = MERGE_MARK;
	if (merge->work.call.result < 0)
		return merge->work.call.result;
	return cow_is_magic(merge->sector) ? -EPERM : 0;
}

static int look_call(void *arg)
{
	struct merge *merge = merge_of(arg);

	cow_look_host(&merge->look);
	return 0;
}

static void open_window(struct merge *merge)
{
	struct drain *drain = &merge->work.chain->drain;

	drain->start = merge->cursor;
	drain->end = merge->cursor + WINDOW_SECTORS -
		     merge->cursor % WINDOW_SECTORS;
	if (drain->end > merge->top->sectors)
		drain->end = merge->top->sectors;
	merge->copied = drain->start;
	merge->work.state = MERGE_HOLD;
}

static int find_window(struct merge *merge)
{
	struct layer *top = merge->top;
	struct ipage *page = NULL;
	struct cow_run run;
	int ret;

	ret = top->ops->map(top, merge->cursor, top->sectors - merge->cursor,
			    &run, &page);
	if (ret == -EAGAIN)
		return cow_work_page(&merge->work, page);
	if (ret)
		return ret;
	if (run.state == COW_ABSENT)
		merge->cursor += run.count;
	else
		open_window(merge);
	return 0;
}

static int find(struct merge *merge)
{
	struct work *work = &merge->work;

	/* The whole index is looked at: a foreign header may count wrongly. */
	if (merge->cursor >= merge->top->sectors) {
		cow_merge_report(merge);
		work->state = MERGE_EMPTY;
		return 0;
	}
	if (!cow_look_begin(merge->top, merge->cursor, &merge->look))
		return find_window(merge);
	work->state = MERGE_LOOK;
	return cow_work_call(work, look_call);
}

static int look(struct merge *merge)
{
	cow_look_end(&merge->look);
	merge->work.state = MERGE_FIND;
	return find_window(merge);
}

static int hold(struct merge *merge)
{
	struct chain *chain = merge->work.chain;
	struct drain *drain = &chain->drain;

	if (cow_writes_in(chain, drain->start, drain->end))
		return cow_work_wait(&merge->work, &drain->window_idle);
	merge->work.state = MERGE_COPY;
	return 0;
}

static int copy(struct merge *merge)
{
	struct work *work = &merge->work;
	struct drain *drain = &work->chain->drain;
	struct ipage *need;
	int64_t n;

	while (merge->copied < drain->end && !merge->error) {
		n = cow_merge_copy(merge, merge->copied,
				   drain->end - merge->copied, &need);
		if (n == -EAGAIN)
			return cow_work_page(work, need);
		if (n == -ENOBUFS)
			return cow_work_wait(work, &work->chain->sub_waiters);
		if (n < 0)
			merge->error = n;
		else
			merge->copied += n;
	}
	work->state = MERGE_SETTLE;
	return 0;
}

static void release_window(struct chain *chain)
{
	chain->drain.start = 0;
	chain->drain.end = 0;
	cow_wake(chain, &chain->drain.held, 0);
}

static int settle(struct merge *merge)
{
	struct work *work = &merge->work;
	struct drain *drain = &work->chain->drain;

	if (drain->copies)
		return cow_work_wait(work, &drain->window_idle);
	merge->cursor = drain->end;
	release_window(work->chain);
	work->state = MERGE_FIND;
	return merge->error;
}

static int mark_empty(struct merge *merge)
{
	struct layer *top = merge->top;

	if (top->hdr.format != COW_V4)
		return cow_work_call(&merge->work, mark_empty_call);
	top->hdr.v4.state &= ~COW_IS_DRAINING;
	top->hdr.v4.state |= COW_IS_DRAINED;
	top->header_dirty = true;
	return cow_work_commit(&merge->work, top);
}

static int unlink_successor(struct merge *merge)
{
	struct layer *parent = merge->parent;
	struct cow_disk_v4 *v4 = &parent->hdr.v4;

	if (!(parent->record.state & COW_IS_FROZEN))
		return 0;
	if (parent->hdr.format != COW_V4)
		return cow_work_call(&merge->work, unlink_call);
	v4->state &= ~COW_IS_FROZEN;
	v4->successor.len = 0;
	memset(&v4->self, 0, sizeof(v4->self));
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
	merge->work.state = MERGE_IDLE;
	return 0;
}

static int idle(struct merge *merge)
{
	if (merge->top->inflight)
		return cow_work_wait(&merge->work, &merge->top->idle);
	cow_pages_drop(merge->top);
	merge->work.state = MERGE_REMOVE;
	return 0;
}

/* Steps that stay where they are until they say otherwise. */
static int begin(struct merge *merge)
{
	struct work *work = &merge->work;

	switch (work->state) {
	case MERGE_GUARD:
		return guard(merge);
	case MERGE_GUARD_READ:
		return guard_read(merge);
	case MERGE_FIND:
		return find(merge);
	case MERGE_LOOK:
		return look(merge);
	case MERGE_HOLD:
		return hold(merge);
	case MERGE_COPY:
		return copy(merge);
	case MERGE_SETTLE:
		return settle(merge);
	case MERGE_SWAP:
		return swap(merge);
	case MERGE_IDLE:
		return idle(merge);
	case MERGE_ACTIVATE:
		if (cow_work_hold(work))
			return -EINPROGRESS;
		work->state = MERGE_WRITERS;
		return activate(merge);
	case MERGE_WRITERS:
		if (merge->top->writers)
			return cow_work_wait(work, &merge->top->idle);
		work->state = MERGE_FIND;
		return 0;
	}
	return 1;
}

/* Steps that are over when they have been answered. */
static int begin_once(struct merge *merge)
{
	struct work *work = &merge->work;

	switch (work->state++) {
	case MERGE_MARK:
		return mark(merge);
	case MERGE_FLUSH:
	case MERGE_EMPTY:
		return cow_work_flush(work);
	case MERGE_MARK_EMPTY:
		return mark_empty(merge);
	case MERGE_UNLINK:
		return unlink_successor(merge);
	case MERGE_REMOVE:
		if (merge->remove)
			return cow_work_call(work, remove_call);
		if (merge->top->hdr.format == COW_V4)
			return cow_work_call(work, shrink_call);
		return 0;
	}
	return 1;
}

static int fail(struct merge *merge, int error)
{
	struct chain *chain = merge->work.chain;

	merge->error = error;
	/* The state is the one after that which failed. */
	if (merge->work.state == MERGE_FLUSH ||
	    merge->work.state == MERGE_UNLINK)
		cow_layer_suspect(merge->top, error);
	if (merge->work.state == MERGE_SWAP)
		cow_layer_suspect(merge->parent, error);
	if (chain->drain.copies)
		return cow_work_wait(&merge->work, &chain->drain.window_idle);
	release_window(chain);
	if (chain->flush.held)
		cow_flush_unblock(chain);
	if (merge->swapped)
		return cow_fail(&merge->work.task.error, error,
				"%s: it was merged, but could not be deleted or emptied: %s",
				merge->top->path, cow_reason(error));
	if (error == -EPERM)
		return cow_fail(&merge->work.task.error, error,
				"%s: its first sector holds a COW header, which must not come into %s; only a raw device (flag d) may hold one",
				merge->top->path, merge->parent->path);
	return cow_fail(&merge->work.task.error, error,
			"%s: the merge into %s stopped: %s; start it again to go on",
			merge->top->path, merge->parent->path,
			cow_reason(error));
}

static int merge_advance(struct work *work, int answer)
{
	struct merge *merge = merge_of(work);
	int ret = answer;

	if (merge->error && work->state != MERGE_SETTLE)
		return fail(merge, merge->error);
	if (!ret)
		ret = begin(merge);
	if (!answer && ret == 1)
		ret = begin_once(merge);
	if (ret < 0 && ret != -EINPROGRESS)
		return fail(merge, ret);
	return ret;
}

/* ---- prepare ----------------------------------------------------------- */

static int may_merge(const struct chain *chain,
		     const struct cow_merge_args *args, struct cow_error *err)
{
	const struct layer *top = chain->top;

	if (!top->parent)
		return cow_fail(err, -EINVAL,
				"%s: there is no layer below it to merge into",
				top->path);
	if (chain->file.read_only)
		return cow_fail(err, -EROFS, "%s: it is open read-only",
				top->path);
	if (chain->unlocked)
		return cow_fail(err, -EOPNOTSUPP,
				"%s: it is shared with other machines (flag c); a merge would tear it",
				top->path);
	if (chain->task)
		return cow_fail(err, -EBUSY,
				"%s: a snapshot or merge is under way; wait for its end",
				top->path);
	if (!(top->record.state & (COW_IS_SNAPSHOT | COW_IS_DRAINING)) &&
	    !args->force)
		return cow_fail(err, -EPERM,
				"%s: no snapshot made it, and %s may be shared by others; say force to merge into it",
				top->path, top->parent->path);
	return 0;
}

/* Is another file than @top recorded as what takes the parent's writes? */
static bool other_successor(const struct layer *top,
			    const struct layer *parent)
{
	const struct cow_env *env = &top->chain->env;
	struct io_stat st;

	return (parent->record.state & COW_IS_FROZEN) &&
	       !env->io->lookup(env->ctx, parent->record.successor, &st) &&
	       !cow_same_file(&st.id, &top->st.id);
}

static int may_change_parent(const struct layer *top,
			     const struct layer *parent, struct cow_error *err)
{
	if (other_successor(top, parent))
		return cow_fail(err, -EBUSY,
				"%s: %s is built on it too, and would be torn; merge into a copy or a new file instead",
				parent->path, parent->record.successor);
	if (parent->hdr.tail_on_data)
		return cow_fail(err, -EROFS,
				"%s: its last sectors have no bits of their own; make a right one with moo convert",
				parent->path);
	if (parent->sectors < top->sectors)
		return cow_fail(err, -EFBIG,
				"%s: it is smaller than %s; merge into a new file instead",
				parent->path, top->path);
	if (parent->hdr.format == COW_V4 &&
	    parent->hdr.v4.sectorsize != top->chain->sector_size)
		return cow_fail(err, -EINVAL,
				"%s: its sectors have %u bytes, and those of the disk %u; merge into a new file instead",
				parent->path, parent->hdr.v4.sectorsize,
				top->chain->sector_size);
	if (parent->hdr.format == COW_V4 && cow_v4_foreign(&parent->hdr.v4))
		return cow_fail(err, -EROFS,
				"%s: it has features that only a later version may write",
				parent->path);
	if (parent->hdr.v4.generation >= COW_V4_WORN)
		return cow_fail(err, -EROFS,
				"%s: its generations are used up; make a new one with moo convert",
				parent->path);
	return 0;
}

/* Readers may come again; should that fail, they have to wait. */
static void release_parent(struct layer *parent)
{
	const struct cow_env *env = &parent->chain->env;

	env->io->lock(env->ctx, parent->fd, IO_SHARED);
}

/* The parent becomes ours alone, and writable. */
static int claim_parent(struct layer *parent, struct cow_error *err)
{
	int ret = cow_layer_claim(parent, 0, err);

	if (ret)
		return ret;
	ret = cow_layer_renew(parent, err);
	if (!ret) {
		ret = cow_layer_writable(parent);
		if (ret)
			cow_fail(err, ret, "%s: %s", parent->path,
				 cow_reason(ret));
	}
	if (ret)
		release_parent(parent);
	return ret;
}

static int prepare(struct chain *chain, const struct cow_merge_args *args,
		   struct cow_error *err)
{
	int ret = may_merge(chain, args, err);

	if (!ret)
		ret = may_change_parent(chain->top, chain->top->parent, err);
	/* A merge that stopped half way has kept the parent. */
	if (!ret && !chain->drain.active)
		ret = claim_parent(chain->top->parent, err);
	return ret;
}

static void merge_free(struct merge *merge)
{
	const struct cow_env *env = &merge->work.chain->env;

	if (merge->sector)
		env->free(merge->sector, COW_BLOCK_SIZE);
	if (merge->swapped)
		cow_layer_put(merge->top);
	else if (!merge->work.chain->drain.active)
		release_parent(merge->parent);
	env->free(merge, sizeof(*merge));
}

static struct merge *merge_new(struct chain *chain)
{
	struct merge *merge = chain->env.alloc(sizeof(*merge));

	if (!merge) {
		if (!chain->drain.active)
			release_parent(chain->top->parent);
		return NULL;
	}
	merge->work.chain = chain;
	merge->top = chain->top;
	merge->parent = chain->top->parent;
	merge->sector = chain->env.alloc(COW_BLOCK_SIZE);
	if (!merge->sector) {
		merge_free(merge);
		return NULL;
	}
	cow_work_init(&merge->work, chain, merge_advance);
	return merge;
}

int cow_merge_start(struct common_file *file, const struct cow_merge_args *args,
		    struct cow_merge_progress *progress,
		    struct cow_task **task, struct cow_error *err)
{
	struct chain *chain = cow_chain(file);
	struct merge *merge;
	int ret;

	ret = prepare(chain, args, err);
	if (ret)
		return ret;
	merge = merge_new(chain);
	if (!merge)
		return cow_fail(err, -ENOMEM, "%s: %s", chain->top->path,
				cow_reason(-ENOMEM));
	merge->record = merge->top->record;
	merge->progress = progress;
	merge->remove = args->remove;
	progress->done = 0;
	progress->total = merge->top->owned << COW_SECTOR_SHIFT;
	memcpy(progress->top, merge->parent->path,
	       strlen(merge->parent->path) + 1);
	memcpy(progress->drained, merge->top->path,
	       strlen(merge->top->path) + 1);
	if (chain->drain.active)
		merge->work.state = MERGE_WRITERS;
	*task = &merge->work.task;
	return 0;
}

void cow_merge_end(struct cow_task *task)
{
	struct work *work = cow_container_of(task, struct work, task);

	merge_free(merge_of(work));
}

bool cow_merge_pending(const struct common_file *file)
{
	const struct layer *top = cow_chain(file)->top;

	return top->parent && (top->record.state & COW_IS_DRAINING);
}
