/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The common part of tasks: wait for one thing at a time, then go on.
 *
 * Duty: what snapshot.c and merge.c share.
 *
 * Invariants: a work waits for at most one thing, and whatever it waits for
 * ends with work_answer() through chain.run.
 */
#ifndef COW_WORK_H
#define COW_WORK_H

#include "engine.h"

/**
 * struct work - a task that is a row of states
 * @pending: something is under way that will wake it
 * @answer: what it came to
 * @state: belongs to the task; starts at 0
 * @advance: begin what the state asks for, given the answer to the state
 *	before: -EINPROGRESS, 0 to be called again, 1 when done, or an error
 */
struct work {
	struct cow_task task;
	struct chain *chain;
	struct cow_wait wait;
	struct io_desc call;
	bool pending;
	bool done;
	int answer;
	int state;
	int (*advance)(struct work *work, int answer);
};

void cow_work_init(struct work *work, struct chain *chain,
		   int (*advance)(struct work *work, int answer));

/* Wait to be woken through @queue. Returns -EINPROGRESS. */
int cow_work_wait(struct work *work, struct cow_queue *queue);
int cow_work_flush(struct work *work);
int cow_work_hold(struct work *work);
int cow_work_commit(struct work *work, struct layer *layer);

/* Run fn(@work) where it may block; its result is the next answer. */
int cow_work_call(struct work *work, int (*fn)(void *work));

/* Submit work->call, which the caller has filled in but for done. */
int cow_work_io(struct work *work);

/* Wait for @page, or for memory if it is NULL. */
int cow_work_page(struct work *work, struct ipage *page);

#endif
