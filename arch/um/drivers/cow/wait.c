// SPDX-License-Identifier: GPL-2.0-only
/*
 * Waiting without threads: queues of callbacks, and the loop that runs them.
 *
 * Duty: everything that a completion sets off goes through chain.run.
 *
 * Invariants: cow_run() is the only place that calls a waiter, and it does not
 * nest, so the stack stays as deep as one request however long a chain of
 * completions is.
 */
#include "engine.h"

void cow_queue_add(struct cow_queue *queue, struct cow_wait *wait)
{
	wait->next = NULL;
	if (queue->head)
		queue->last->next = wait;
	else
		queue->head = wait;
	queue->last = wait;
}

struct cow_wait *cow_queue_take(struct cow_queue *queue)
{
	struct cow_wait *wait = queue->head;

	if (wait)
		queue->head = wait->next;
	return wait;
}

void cow_wake_one(struct chain *chain, struct cow_wait *wait, int result)
{
	wait->result = result;
	cow_queue_add(&chain->run, wait);
}

void cow_wake(struct chain *chain, struct cow_queue *queue, int result)
{
	struct cow_wait *wait;

	while ((wait = cow_queue_take(queue)))
		cow_wake_one(chain, wait, result);
}

void cow_run(struct chain *chain)
{
	struct cow_wait *wait;

	if (chain->running)
		return;
	chain->running = true;
	while ((wait = cow_queue_take(&chain->run)))
		wait->run(wait);
	chain->running = false;
}
