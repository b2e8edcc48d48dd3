// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tasks in bounded steps.
 *
 * Duty: cow_task.step() for every task, and the ways a task may wait.
 *
 * Invariants: see work.h.
 */
#include "work.h"

static void work_answer(struct cow_wait *wait)
{
	struct work *work = cow_container_of(wait, struct work, wait);

	work->pending = false;
	work->answer = wait->result;
	if (work->task.wake)
		work->task.wake(&work->task);
}

static int pend(struct work *work)
{
	work->pending = true;
	work->wait.run = work_answer;
	return -EINPROGRESS;
}

int cow_work_wait(struct work *work, struct cow_queue *queue)
{
	cow_queue_add(queue, &work->wait);
	return pend(work);
}

int cow_work_flush(struct work *work)
{
	pend(work);
	cow_flush(work->chain, &work->wait);
	return -EINPROGRESS;
}

/* 0 if no flush is under way; then none begins until cow_flush_unblock(). */
int cow_work_hold(struct work *work)
{
	return cow_flush_hold(work->chain, &work->wait) ? 0 : pend(work);
}

int cow_work_commit(struct work *work, struct layer *layer)
{
	pend(work);
	cow_commit(layer, &work->wait);
	return -EINPROGRESS;
}

int cow_work_page(struct work *work, struct ipage *page)
{
	pend(work);
	cow_wait_page(work->chain, page, &work->wait);
	return -EINPROGRESS;
}

/* Bytes moved are no answer of a state: they stay in work->call. */
static void call_answer(struct work *work)
{
	int64_t result = work->call.result;

	cow_wake_one(work->chain, &work->wait, result < 0 ? (int)result : 0);
}

static void call_done(struct io_desc *io)
{
	struct work *work = cow_container_of(io, struct work, call);

	call_answer(work);
	cow_run(work->chain);
}

int cow_work_io(struct work *work)
{
	const struct cow_env *env = &work->chain->env;
	int ret;

	pend(work);
	work->call.done = call_done;
	ret = env->io->submit(env->ctx, &work->call);
	if (ret != -EINPROGRESS)
		call_answer(work);
	return -EINPROGRESS;
}

int cow_work_call(struct work *work, int (*fn)(void *work))
{
	work->call = (struct io_desc){
		.op = IO_CALL,
		.fd = -1,
		.call = fn,
		.arg = work,
	};
	return cow_work_io(work);
}

static enum cow_step work_step(struct cow_task *task)
{
	struct work *work = cow_container_of(task, struct work, task);
	int answer = work->answer;
	int ret;

	if (work->done)
		return COW_STEP_DONE;
	if (work->pending)
		return COW_STEP_WAIT;
	work->answer = 0;
	ret = work->advance(work, answer);
	cow_run(work->chain);
	if (ret == -EINPROGRESS)
		return work->pending ? COW_STEP_WAIT : COW_STEP_AGAIN;
	if (!ret)
		return COW_STEP_AGAIN;
	task->result = ret < 0 ? ret : 0;
	work->done = true;
	work->chain->task = NULL;
	return COW_STEP_DONE;
}

void cow_work_init(struct work *work, struct chain *chain,
		   int (*advance)(struct work *work, int answer))
{
	work->task.step = work_step;
	work->chain = chain;
	work->advance = advance;
	chain->task = &work->task;
}
