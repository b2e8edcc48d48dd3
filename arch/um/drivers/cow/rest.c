// SPDX-License-Identifier: GPL-2.0-only
/*
 * Coming to rest: all that a close would write, while the chain stays open.
 *
 * Duty: for a machine that shuts down with its root file system still mounted,
 * so that its disks can not be closed.
 *
 * Invariants: no commit runs while the list of free blocks is written. Whoever
 * writes to the chain afterwards does no harm: its next commit leaves the list
 * as it is, and takes blocks from the end of the file.
 */
#include "work.h"

enum {
	REST_FLUSH,
	REST_HOLD,
	REST_STORE,
	REST_GO,
};

static int store_call(void *arg)
{
	struct work *work = arg;

	cow_free_close(work->chain->top);
	return 0;
}

static int rest_advance(struct work *work, int answer)
{
	if (answer) {
		cow_flush_unblock(work->chain);
		return cow_fail(&work->task.error, answer, "%s: %s",
				work->chain->top->path, cow_reason(answer));
	}
	switch (work->state) {
	case REST_FLUSH:
		work->state = REST_HOLD;
		return cow_work_flush(work);
	case REST_HOLD:
		if (cow_work_hold(work))
			return -EINPROGRESS;
		work->state = REST_STORE;
		return 0;
	case REST_STORE:
		if (cow_room_busy(work->chain->top))
			return cow_work_wait(work, &work->chain->top->idle);
		work->state = REST_GO;
		cow_free_collect(work->chain->top);
		return cow_work_call(work, store_call);
	}
	cow_flush_unblock(work->chain);
	return 1;
}

int cow_rest_start(struct common_file *file, struct cow_task **task)
{
	struct chain *chain = cow_chain(file);
	struct work *work;

	if (chain->task)
		return -EBUSY;
	work = chain->env.alloc(sizeof(*work));
	if (!work)
		return -ENOMEM;
	cow_work_init(work, chain, rest_advance);
	*task = &work->task;
	return 0;
}

void cow_rest_end(struct cow_task *task)
{
	struct work *work = cow_container_of(task, struct work, task);

	work->chain->env.free(work, sizeof(*work));
}
