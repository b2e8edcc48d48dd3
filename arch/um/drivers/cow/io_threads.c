// SPDX-License-Identifier: GPL-2.0-only
/*
 * A bounded pool of threads that carry out descriptors, and the back end that
 * is made of it.
 *
 * Invariants:
 *  - The threads never call into the guest's kernel, nor an allocator: they
 *    run io_perform() on stacks of their own with all signals blocked, so that
 *    signals keep going to the thread that the guest runs on.
 *  - That thread gathers without a lock and takes the lock only to hand over,
 *    with the guest's interrupts off: its signal handler never meets it held.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "io.h"

/* common_open() and its sisters run here, as IO_CALL. */
#define STACK_BYTES	(256u << 10)
#define NAME_LEN	16

struct io_queue {
	struct io_desc *head;
	struct io_desc *last;
	unsigned int count;
};

struct io_pool {
	struct io_port *port;
	struct io_queue gathered;
	pthread_mutex_t lock;
	pthread_cond_t work;
	struct io_queue queue;		/* from here on: under the lock */
	unsigned int idle;
	bool stop;
	unsigned int threads;
	unsigned long thread[IO_POOL_MAX];
};

static void queue_add(struct io_queue *queue, struct io_desc *desc)
{
	desc->next = NULL;
	if (queue->head)
		queue->last->next = desc;
	else
		queue->head = desc;
	queue->last = desc;
	queue->count++;
}

static void queue_join(struct io_queue *to, struct io_queue *from)
{
	if (to->head)
		to->last->next = from->head;
	else
		to->head = from->head;
	to->last = from->last;
	to->count += from->count;
	from->head = NULL;
	from->count = 0;
}

static struct io_desc *queue_take(struct io_queue *queue)
{
	struct io_desc *desc = queue->head;

	if (desc) {
		queue->head = desc->next;
		queue->count--;
	}
	return desc;
}

/* ---- threads ----------------------------------------------------------- */

int io_thread_start(unsigned long *thread, const char *name,
		    void *(*main)(void *arg), void *arg)
{
	pthread_attr_t attr;
	sigset_t all, old;
	int ret;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	ret = pthread_create(thread, &attr, main, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	if (!ret)
		pthread_setname_np(*thread, name);
	return -ret;
}

static void *pool_main(void *arg)
{
	struct io_pool *pool = arg;
	struct io_desc *desc;

	pthread_mutex_lock(&pool->lock);
	for (;;) {
		desc = queue_take(&pool->queue);
		if (!desc && pool->stop)
			break;
		if (!desc) {
			pool->idle++;
			pthread_cond_wait(&pool->work, &pool->lock);
			pool->idle--;
			continue;
		}
		pthread_mutex_unlock(&pool->lock);
		desc->result = io_perform(desc);
		io_port_post(pool->port, desc);
		pthread_mutex_lock(&pool->lock);
	}
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

static unsigned int start_threads(struct io_pool *pool, unsigned int threads,
				  int *ret)
{
	char name[NAME_LEN];
	unsigned int i;

	for (i = 0; i < threads && i < IO_POOL_MAX; i++) {
		snprintf(name, sizeof(name), "ubd-io%u", i);
		*ret = io_thread_start(&pool->thread[i], name, pool_main, pool);
		if (*ret)
			break;
	}
	return i;
}

int io_pool_start(struct io_pool **pool, struct io_port *port,
		  unsigned int threads)
{
	struct io_pool *new = io_map(sizeof(*new));
	int ret = -EINVAL;

	if (!new)
		return -ENOMEM;
	new->port = port;
	pthread_mutex_init(&new->lock, NULL);
	pthread_cond_init(&new->work, NULL);
	new->threads = start_threads(new, threads, &ret);
	if (!new->threads) {
		io_unmap(new, sizeof(*new));
		return ret;
	}
	*pool = new;
	return 0;
}

void io_pool_stop(struct io_pool *pool)
{
	unsigned int i;

	io_pool_kick(pool);
	pthread_mutex_lock(&pool->lock);
	pool->stop = true;
	pthread_cond_broadcast(&pool->work);
	pthread_mutex_unlock(&pool->lock);
	for (i = 0; i < pool->threads; i++)
		pthread_join(pool->thread[i], NULL);
	pthread_cond_destroy(&pool->work);
	pthread_mutex_destroy(&pool->lock);
	io_unmap(pool, sizeof(*pool));
}

void io_pool_put(struct io_pool *pool, struct io_desc *desc)
{
	queue_add(&pool->gathered, desc);
}

void io_pool_kick(struct io_pool *pool)
{
	unsigned int wake = pool->gathered.count;

	if (!wake)
		return;
	pthread_mutex_lock(&pool->lock);
	queue_join(&pool->queue, &pool->gathered);
	if (wake > pool->idle)
		wake = pool->idle;
	while (wake--)
		pthread_cond_signal(&pool->work);
	pthread_mutex_unlock(&pool->lock);
}

/* ---- the back end ------------------------------------------------------ */

struct threads {
	struct io_backend be;
	struct io_inline in;
	struct io_port port;
	struct io_pool *pool;
};

static int threads_submit(void *ctx, struct io_desc *desc)
{
	struct threads *threads = ctx;

	if (io_inline(&threads->in, desc))
		return (int)desc->result;
	io_pool_put(threads->pool, desc);
	return -EINPROGRESS;
}

static void threads_kick(void *ctx)
{
	struct threads *threads = ctx;

	io_pool_kick(threads->pool);
}

static void threads_collect(struct io_backend *be)
{
	io_port_deliver(&((struct threads *)be)->port);
}

static void threads_stop(struct io_backend *be)
{
	struct threads *threads = (struct threads *)be;

	io_pool_stop(threads->pool);
	io_port_close(&threads->port);
	io_unmap(threads, sizeof(*threads));
}

int io_threads_start(struct io_backend **be, unsigned int count,
		     unsigned int flags)
{
	struct threads *threads = io_map(sizeof(*threads));
	int ret;

	if (!threads)
		return -ENOMEM;
	ret = io_port_open(&threads->port);
	if (ret)
		goto free;
	ret = io_pool_start(&threads->pool, &threads->port, count);
	if (ret)
		goto close;
	threads->in.off = flags & IO_NO_INLINE;
	threads->be.ops = cow_io_sync;
	threads->be.ops.name = "threads";
	threads->be.ops.submit = threads_submit;
	threads->be.ops.kick = threads_kick;
	threads->be.fd = threads->port.fd[0];
	threads->be.collect = threads_collect;
	threads->be.stop = threads_stop;
	*be = &threads->be;
	return 0;
close:
	io_port_close(&threads->port);
free:
	io_unmap(threads, sizeof(*threads));
	return ret;
}
