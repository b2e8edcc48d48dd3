// SPDX-License-Identifier: GPL-2.0-only
/*
 * Merge: a layer gives its sectors to its parent while the guest runs.
 *
 * Duty: what is common to the drain of the top (drain.c) and the fold of a frozen
 * layer (fold.c).
 *
 *	GUARD      what would become sector 0 of a raw file is looked at
 *	MARK       the layer says durably that it is being merged, so that a
 *	           parent that has changed is no reason to refuse the chain
 *	FIND       the next stretch that the layer still owns is the next window
 *	LOOK       where the layer's bitmap has a hole, FIND passes over it
 *	COPY       the window is copied; ownership changes as pieces succeed
 *	SETTLE     all pieces are back: go to FIND
 *	PAUSE      the layer says durably that the merge waits
 *	PAUSED     for another wish
 *	GO_ON      it says durably that it does not
 *
 * and, when it is given up:
 *
 *	BACK_SYNC    all that the parent was given is durable
 *	BACK_HARDEN  and its identity is final
 *	BACK_LIST    V4: the list of its free blocks is durable
 *	BACK_NAME    the layer names that identity; durable
 *	BACK_CHILD   who knows the layer by its time names that; durable
 *	BACK_RECORD  the layer says that part of it was moved, and that it is not
 *	             being merged any more; durable, of V4 together with BACK_NAME
 *	BACK_END     the chain is as it was
 *
 * Invariants:
 *  - Before MARK is durable nothing has moved; after it any crash opens and may
 *    be merged again from the start, which copies the same bytes.
 *  - A wish is obeyed in FIND alone, where no write is held and no piece is under
 *    way.
 */
#include <string.h>
#include "merge.h"

#define WINDOW_SECTORS	2048u

/* Whoever writes to a window waits for it. */
#define WINDOW_BUSY	256u

/* Bits that say how far a merge is. */
#define MERGE_STATES	(COW_IS_DRAINING | COW_IS_DRAINED | COW_IS_PAUSED)

/* ---- where it may block ------------------------------------------------ */

static int put_mtime(const struct layer *layer, uint32_t mtime)
{
	const struct cow_env *env = &layer->chain->env;
	const uint32_t disk = layer->hdr.little_endian ?
			      mtime : cow_be32(mtime);
	int ret;

	ret = cow_header_patch(layer, cow_header_mtime_at(&layer->hdr), &disk,
			       sizeof(disk));
	return ret ? ret : cow_sync_now(env, cow_data_fd(layer));
}

static int record_call(void *arg)
{
	struct merge *merge = cow_merge_of(arg);
	const struct layer *top = merge->top;

	return cow_record_store(&top->chain->env, top->fd, top->path,
				&merge->record);
}

/* The record first, since it keeps what the header is about to lose. */
static int mark_call(void *arg)
{
	int ret = record_call(arg);

	return ret ? ret : put_mtime(cow_merge_of(arg)->top, 0);
}

/* The layer's own time changes with its header. */
static int back_name_call(void *arg)
{
	struct merge *merge = cow_merge_of(arg);
	const struct cow_env *env = &merge->work.chain->env;
	struct layer *top = merge->top;
	int ret = put_mtime(top, merge->parent->st.mtime_sec);

	return ret ? ret : env->io->stat(env->ctx, top->fd, &top->st);
}

/* The header of a child that is frozen, which nobody else writes. */
static int put_slot_call(void *arg)
{
	struct layer *child = cow_merge_of(arg)->child;

	child->hdr.v4.generation++;
	return cow_v4_put_slot(&child->chain->env, cow_data_fd(child),
			       &child->hdr.v4);
}

static int harden_call(void *arg)
{
	struct merge *merge = cow_merge_of(arg);
	const struct cow_env *env = &merge->work.chain->env;
	struct layer *parent = merge->parent;
	int ret;

	/* If the list can not be stored, blocks leak; that is all. */
	if (parent->hdr.format == COW_V4) {
		cow_free_store(parent);
		return 0;
	}
	/* The time that the child will name must not be lost by a crash. */
	ret = cow_sync_now(env, cow_data_fd(parent));
	return ret ? ret : env->io->stat(env->ctx, parent->fd, &parent->st);
}

/* An emptied V4 file that is kept gives its room back. */
static int shrink_call(void *arg)
{
	struct merge *merge = cow_merge_of(arg);
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
	struct merge *merge = cow_merge_of(arg);
	const struct cow_env *env = &merge->work.chain->env;

	if (merge->top->hdr.format != COW_V4)
		cow_record_leave(env, merge->top->path);
	return env->io->unlink(env->ctx, merge->top->path);
}

/* ---- steps that both kinds share --------------------------------------- */

int cow_merge_state(struct merge *merge, uint32_t state)
{
	struct layer *top = merge->top;

	merge->marking = top;
	top->record.state = state;
	if (top->hdr.format == COW_V4) {
		top->hdr.v4.state = state;
		top->header_dirty = true;
		return cow_work_commit(&merge->work, top);
	}
	merge->record.state = state;
	merge->record.self = top->st.id;
	if (!merge->discard)
		return cow_work_call(&merge->work, record_call);
	/* It was not marked before: programs without records have to refuse it. */
	merge->record.parent_size = top->hdr.size;
	merge->record.parent_mtime = top->hdr.mtime;
	return cow_work_call(&merge->work, mark_call);
}

int cow_merge_sync(struct merge *merge)
{
	if (merge->child)
		return cow_work_commit(&merge->work, merge->parent);
	return cow_work_flush(&merge->work);
}

int cow_merge_harden(struct merge *merge, int next)
{
	struct work *work = &merge->work;
	struct layer *parent = merge->parent;

	if (cow_room_busy(parent))
		return cow_work_wait(work, &parent->idle);
	if (parent->room)
		cow_room_collect(parent, true);
	if (parent->hdr.format == COW_V4)
		parent->header_dirty = true;
	work->state = next;
	return cow_work_call(work, harden_call);
}

int cow_merge_child(struct merge *merge)
{
	struct layer *child = merge->child;

	merge->marking = child;
	if (child != merge->work.chain->top)
		return cow_work_call(&merge->work, put_slot_call);
	child->header_dirty = true;
	return cow_work_commit(&merge->work, child);
}

int cow_merge_empty(struct merge *merge)
{
	struct layer *top = merge->top;

	top->hdr.v4.successor.len = 0;
	memset(&top->hdr.v4.self, 0, sizeof(top->hdr.v4.self));
	top->hdr.v4.root = 0;
	top->owned = 0;
	top->staged = 0;
	merge->record.successor[0] = '\0';
	return cow_merge_state(merge, (top->record.state & COW_IS_SNAPSHOT) |
				      COW_IS_DRAINED);
}

int cow_merge_dispose(struct merge *merge)
{
	if (merge->remove)
		return cow_work_call(&merge->work, remove_call);
	if (merge->top->hdr.format == COW_V4)
		return cow_work_call(&merge->work, shrink_call);
	return 0;
}

/* Known from here on: also of a mark that failed, part may be on disk. */
static int mark(struct merge *merge)
{
	struct layer *top = merge->top;
	uint32_t state = top->record.state | COW_IS_DRAINING;
	bool again = top->record.state & COW_IS_DRAINING;

	merge->work.state = merge->way->marked;
	if (merge->wish != COW_MERGE_PAUSE)
		state &= ~COW_IS_PAUSED;
	merge->paused = state & COW_IS_PAUSED;
	if (top->hdr.format == COW_V4)
		return cow_merge_state(merge, state);
	merge->marking = top;
	merge->record = top->record;
	merge->record.state = state;
	merge->record.self = top->st.id;
	merge->record.parent_size = top->hdr.size;
	if (!again)
		merge->record.parent_mtime = top->hdr.mtime;
	top->record = merge->record;
	/*
	 * With what it has kept a layer that is folded is right over its changed
	 * parent, for those too who know nothing of it.
	 */
	return cow_work_call(&merge->work, merge->child ? record_call :
							  mark_call);
}

/* A COW header must not come into sector 0 of a raw file this way either. */
static int guard(struct merge *merge)
{
	struct work *work = &merge->work;
	struct ipage *page = NULL;
	struct cow_run run;
	int ret;

	work->state = MERGE_MARK;
	if (work->chain->raw)
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

/* ---- windows ----------------------------------------------------------- */

static int look_call(void *arg)
{
	struct merge *merge = cow_merge_of(arg);

	cow_look_host(&merge->look);
	return 0;
}

static void open_window(struct merge *merge)
{
	uint64_t sectors = merge->work.chain->writes ? WINDOW_BUSY :
							WINDOW_SECTORS;

	merge->start = merge->cursor;
	merge->end = merge->cursor + sectors - merge->cursor % sectors;
	if (merge->end > merge->top->sectors)
		merge->end = merge->top->sectors;
	merge->copied = merge->start;
	merge->work.state = merge->way->window;
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

/* 1: nothing is asked for that is not being done. */
static int obey(struct merge *merge)
{
	switch (merge->wish) {
	case COW_MERGE_RUN:
		if (!merge->paused)
			return 1;
		merge->work.state = MERGE_GO_ON;
		return 0;
	case COW_MERGE_PAUSE:
		merge->work.state = MERGE_PAUSE;
		return 0;
	case COW_MERGE_CANCEL:
		merge->work.state = merge->way->back;
		return 0;
	case COW_MERGE_STOP:
		break;
	}
	return -ECANCELED;
}

static int find(struct merge *merge)
{
	struct work *work = &merge->work;
	int ret;

	/* The whole index is looked at: a foreign header may count wrongly. */
	if (merge->cursor >= merge->top->sectors) {
		cow_merge_report(merge);
		work->state = merge->way->copied;
		return 0;
	}
	ret = obey(merge);
	if (ret != 1)
		return ret;
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

/*
 * A fold's parent is flushed by nobody else: without memory, its own pages may be
 * what fills it.
 */
static int wait_page(struct merge *merge, struct ipage *need)
{
	if (!need && merge->child && cow_commit_needed(merge->parent))
		return cow_work_commit(&merge->work, merge->parent);
	return cow_work_page(&merge->work, need);
}

static int copy(struct merge *merge)
{
	struct work *work = &merge->work;
	struct ipage *need;
	int64_t n;

	while (merge->copied < merge->end && !merge->error) {
		n = cow_merge_copy(merge, merge->copied,
				   merge->end - merge->copied, &need);
		if (n == -EAGAIN)
			return wait_page(merge, need);
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

static int settle(struct merge *merge)
{
	struct work *work = &merge->work;
	struct drain *drain = &work->chain->drain;

	if (drain->copies)
		return cow_work_wait(work, &drain->window_idle);
	merge->cursor = merge->end;
	merge->way->release(merge);
	work->state = MERGE_FIND;
	return merge->error;
}

/* ---- wishes ------------------------------------------------------------ */

static int begin_pause(struct merge *merge)
{
	merge->work.state = MERGE_PAUSED;
	if (merge->paused)
		return 0;
	merge->paused = true;
	return cow_merge_state(merge, merge->top->record.state | COW_IS_PAUSED);
}

static int paused(struct merge *merge)
{
	merge->progress->paused = true;
	if (merge->wish == COW_MERGE_PAUSE)
		return cow_work_wait(&merge->work, &merge->control);
	merge->progress->paused = false;
	merge->work.state = MERGE_FIND;
	return 0;
}

static int go_on(struct merge *merge)
{
	merge->work.state = MERGE_FIND;
	merge->paused = false;
	return cow_merge_state(merge,
			       merge->top->record.state & ~COW_IS_PAUSED);
}

/* A V4 parent's header with the list; what it has of content does not move. */
static int back_list(struct merge *merge)
{
	merge->work.state = MERGE_BACK_NAME;
	if (merge->parent->hdr.format != COW_V4)
		return 0;
	return cow_work_commit(&merge->work, merge->parent);
}

/* What was moved makes of the parent alone a state that never was. */
static int back_record(struct merge *merge)
{
	const uint32_t state = merge->top->record.state;

	merge->work.state = MERGE_BACK_END;
	merge->record.parent_size = 0;
	merge->record.parent_mtime = 0;
	return cow_merge_state(merge, (state & ~MERGE_STATES) |
				      COW_IS_PARTIAL);
}

static int back_name(struct merge *merge)
{
	struct layer *top = merge->top;

	if (top->hdr.format == COW_V4) {
		cow_v4_identify(&top->hdr.v4, merge->parent);
		return back_record(merge);
	}
	merge->work.state = MERGE_BACK_CHILD;
	merge->marking = top;
	top->hdr.mtime = merge->parent->st.mtime_sec;
	return cow_work_call(&merge->work, back_name_call);
}

static int back_child(struct merge *merge)
{
	merge->work.state = MERGE_BACK_RECORD;
	if (!merge->child)
		return 0;
	cow_v4_identify(&merge->child->hdr.v4, merge->top);
	return cow_merge_child(merge);
}

static int back_end(struct merge *merge)
{
	merge->way->back_end(merge);
	return cow_fail(&merge->work.task.error, -ECANCELED,
			"%s: the merge into %s was given up; what was moved stays there, and the chain is as it was",
			merge->top->path, merge->parent->path);
}

/* ---- the row of states ------------------------------------------------- */

static int shared(struct merge *merge)
{
	switch (merge->work.state) {
	case MERGE_GUARD:
		return guard(merge);
	case MERGE_GUARD_READ:
		return guard_read(merge);
	case MERGE_MARK:
		return mark(merge);
	case MERGE_FIND:
		return find(merge);
	case MERGE_LOOK:
		return look(merge);
	case MERGE_COPY:
		return copy(merge);
	case MERGE_SETTLE:
		return settle(merge);
	case MERGE_PAUSE:
		return begin_pause(merge);
	case MERGE_PAUSED:
		return paused(merge);
	case MERGE_GO_ON:
		return go_on(merge);
	case MERGE_BACK_SYNC:
		merge->work.state = MERGE_BACK_HARDEN;
		return cow_merge_sync(merge);
	case MERGE_BACK_HARDEN:
		return cow_merge_harden(merge, MERGE_BACK_LIST);
	case MERGE_BACK_LIST:
		return back_list(merge);
	case MERGE_BACK_NAME:
		return back_name(merge);
	case MERGE_BACK_CHILD:
		return back_child(merge);
	case MERGE_BACK_RECORD:
		return back_record(merge);
	}
	return back_end(merge);
}

static int tell(struct merge *merge, int error)
{
	struct cow_error *err = &merge->work.task.error;
	const char *top = merge->top->path, *parent = merge->parent->path;

	if (merge->swapped)
		return cow_fail(err, error,
				"%s: it was merged, but could not be deleted or emptied: %s",
				top, cow_reason(error));
	if (error == -EPERM)
		return cow_fail(err, error,
				"%s: its first sector holds a COW header, which must not come into %s; only a raw device (flag d) may hold one",
				top, parent);
	if (error == -ECANCELED)
		return cow_fail(err, error,
				"%s: the merge into %s was stopped; start it again to go on",
				top, parent);
	return cow_fail(err, error,
			"%s: the merge into %s stopped: %s; start it again to go on",
			top, parent, cow_reason(error));
}

static int fail(struct merge *merge, int error)
{
	struct chain *chain = merge->work.chain;

	merge->error = error;
	if (merge->marking)
		cow_layer_suspect(merge->marking, error);
	if (chain->drain.copies)
		return cow_work_wait(&merge->work, &chain->drain.window_idle);
	merge->way->release(merge);
	if (chain->flush.held)
		cow_flush_unblock(chain);
	return tell(merge, error);
}

int cow_merge_advance(struct work *work, int answer)
{
	struct merge *merge = cow_merge_of(work);
	int ret = answer;

	if (merge->error && work->state != MERGE_SETTLE)
		return fail(merge, merge->error);
	if (!ret) {
		merge->marking = NULL;
		ret = work->state < MERGE_OWN ? shared(merge) :
						merge->way->begin(merge);
	}
	if (ret == -ECANCELED && work->state == MERGE_BACK_END)
		return ret;
	if (ret < 0 && ret != -EINPROGRESS)
		return fail(merge, ret);
	return ret;
}
