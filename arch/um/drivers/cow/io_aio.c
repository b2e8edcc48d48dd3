// SPDX-License-Identifier: GPL-2.0-only
/*
 * The back end that is made of the host's asynchronous I/O (libaio).
 *
 * Duty: reads and writes of files that are opened past the host's cache go to
 * the host in batches, all else to a pool of threads.
 *
 * io_submit() is to return at once. Where the host would have to wait first (for
 * room in the file, a lock, or its own metadata) it says EAGAIN instead, as
 * RWF_NOWAIT asks for, and a thread does the waiting. On a file that does not know
 * that flag, reads go without it; writes, which wait more often, go to the threads.
 *
 * Invariants:
 *  - Only the engine's thread touches the context and the entries.
 *  - An entry is taken from when its descriptor comes until its event is read, so
 *    there are never more events than the context has room for.
 *  - What the host took in part is carried on from where it ended.
 */
#include <errno.h>
#include <libaio.h>
#include <sys/uio.h>

#include "io.h"

#define ENTRIES		256u
#define SEGMENTS	256u
#define EVENTS		64
#define FILES		64u

struct entry {
	struct iocb iocb;
	struct entry *next;
	struct iovec segments[SEGMENTS];
};

/**
 * struct aio - the back end
 * @bell: the host counts there what has completed
 * @free: entries that nobody uses
 * @batch: entries for the next io_submit()
 * @deaf: descriptors plus one of files that do not know RWF_NOWAIT; several may
 *	share a place, which costs time at worst
 */
struct aio {
	struct io_backend be;
	struct io_inline in;
	struct io_port port;
	struct io_pool *pool;
	io_context_t context;
	struct io_bell bell;
	struct entry *free;
	unsigned int gathered;
	struct iocb *batch[ENTRIES];
	int deaf[FILES];
	struct io_event events[EVENTS];
	struct entry entries[ENTRIES];
};

static struct entry *entry_of(struct iocb *iocb)
{
	return (struct entry *)iocb;
}

static void entry_put(struct aio *aio, struct entry *entry)
{
	entry->next = aio->free;
	aio->free = entry;
}

static bool is_deaf(const struct aio *aio, int fd)
{
	return aio->deaf[(unsigned int)fd % FILES] == fd + 1;
}

/* Is this the answer of a file that does not know the flag? */
static bool learn(struct aio *aio, const struct iocb *iocb, int error)
{
	unsigned int fd = (unsigned int)iocb->aio_fildes;

	if (error != -EOPNOTSUPP || !iocb->aio_rw_flags)
		return false;
	aio->deaf[fd % FILES] = (int)fd + 1;
	return true;
}

static void prepare(struct aio *aio, struct entry *entry, struct io_desc *desc)
{
	uint64_t offset = desc->offset + (uint64_t)desc->result;
	unsigned int n = io_gather(desc, entry->segments, SEGMENTS);
	struct iovec *iov = entry->segments;
	struct iocb *iocb = &entry->iocb;

	if (desc->op == IO_READ && n == 1)
		io_prep_pread(iocb, desc->fd, iov->iov_base, iov->iov_len,
			      (long long)offset);
	else if (desc->op == IO_READ)
		io_prep_preadv(iocb, desc->fd, iov, (int)n, (long long)offset);
	else if (n == 1)
		io_prep_pwrite(iocb, desc->fd, iov->iov_base, iov->iov_len,
			       (long long)offset);
	else
		io_prep_pwritev(iocb, desc->fd, iov, (int)n, (long long)offset);
	if (!is_deaf(aio, desc->fd))
		iocb->aio_rw_flags = RWF_NOWAIT;
	io_set_eventfd(iocb, aio->bell.event);
	iocb->data = desc;
}

static bool is_for_aio(const struct aio *aio, const struct io_desc *desc)
{
	if (!desc->direct || !io_direct_fits(desc))
		return false;
	return desc->op == IO_READ ||
	       (desc->op == IO_WRITE && !is_deaf(aio, desc->fd));
}

/* Whatever finds no entry is done by a thread. */
static void put(struct aio *aio, struct io_desc *desc)
{
	struct entry *entry = is_for_aio(aio, desc) ? aio->free : NULL;

	if (!entry) {
		io_pool_put(aio->pool, desc);
		return;
	}
	aio->free = entry->next;
	prepare(aio, entry, desc);
	aio->batch[aio->gathered++] = &entry->iocb;
}

/*
 * The host does not take this one now, or not at all: a thread finds out which,
 * and answers with the error if it is one.
 */
static void refused(struct aio *aio, struct iocb *iocb, int error)
{
	learn(aio, iocb, error);
	io_pool_put(aio->pool, iocb->data);
	entry_put(aio, entry_of(iocb));
}

static void hand_over(struct aio *aio)
{
	unsigned int done = 0;

	while (done < aio->gathered) {
		int ret = io_submit(aio->context, aio->gathered - done,
				    aio->batch + done);

		if (ret > 0)
			done += (unsigned int)ret;
		else
			refused(aio, aio->batch[done++], ret);
	}
	aio->gathered = 0;
}

static int aio_submit(void *ctx, struct io_desc *desc)
{
	struct aio *aio = ctx;

	if (io_inline(&aio->in, desc))
		return (int)desc->result;
	put(aio, desc);
	return -EINPROGRESS;
}

static void aio_kick(void *ctx)
{
	struct aio *aio = ctx;

	hand_over(aio);
	io_pool_kick(aio->pool);
}

/* Nothing was done: somebody who may wait has to do it. */
static bool not_begun(struct aio *aio, const struct iocb *iocb, int64_t res)
{
	return res == -EAGAIN || res == -EINTR || learn(aio, iocb, (int)res);
}

/* Returns true if the descriptor is complete, false if more is under way. */
static bool advance(struct aio *aio, const struct iocb *iocb, int64_t res)
{
	struct io_desc *desc = iocb->data;

	if (not_begun(aio, iocb, res)) {
		io_pool_put(aio->pool, desc);
		return false;
	}
	if (io_moved(desc, res))
		return true;
	put(aio, desc);
	return false;
}

static void arrive(struct aio *aio, const struct io_event *event)
{
	struct iocb *iocb = event->obj;
	struct io_desc *desc = iocb->data;
	bool complete = advance(aio, iocb, (long)event->res);

	entry_put(aio, entry_of(iocb));
	if (complete)
		desc->done(desc);
}

static void reap(struct aio *aio)
{
	struct timespec none = { 0 };
	int i, n;

	do {
		n = io_getevents(aio->context, 0, EVENTS, aio->events, &none);
		for (i = 0; i < n; i++)
			arrive(aio, &aio->events[i]);
	} while (n == EVENTS || n == -EINTR);
}

static void aio_collect(struct io_backend *be)
{
	struct aio *aio = (struct aio *)be;

	io_port_deliver(&aio->port);
	reap(aio);
	aio_kick(aio);
}

/* ---- beginning and end ------------------------------------------------- */

static int context_open(struct aio *aio)
{
	int ret = io_setup(ENTRIES, &aio->context);

	if (ret)
		return ret;
	ret = io_bell_open(&aio->bell, &aio->port, "ubd-aio");
	if (ret)
		io_destroy(aio->context);
	return ret;
}

static void context_close(struct aio *aio)
{
	io_bell_close(&aio->bell);
	io_destroy(aio->context);
}

static void aio_stop(struct io_backend *be)
{
	struct aio *aio = (struct aio *)be;

	context_close(aio);
	io_pool_stop(aio->pool);
	io_port_close(&aio->port);
	io_unmap(aio, sizeof(*aio));
}

static void describe(struct aio *aio, unsigned int flags)
{
	unsigned int i;

	for (i = ENTRIES; i; i--)
		entry_put(aio, &aio->entries[i - 1]);
	aio->in.off = flags & IO_NO_INLINE;
	aio->be.ops = cow_io_sync;
	aio->be.ops.name = "libaio";
	aio->be.ops.submit = aio_submit;
	aio->be.ops.kick = aio_kick;
	aio->be.fd = aio->port.fd[0];
	aio->be.collect = aio_collect;
	aio->be.stop = aio_stop;
}

int io_aio_start(struct io_backend **be, unsigned int threads,
		 unsigned int flags)
{
	struct aio *aio = io_map(sizeof(*aio));
	int ret;

	if (!aio)
		return -ENOMEM;
	ret = io_port_open(&aio->port);
	if (ret)
		goto free;
	ret = io_pool_start(&aio->pool, &aio->port, threads);
	if (ret)
		goto close;
	ret = context_open(aio);
	if (ret)
		goto stop;
	describe(aio, flags);
	*be = &aio->be;
	return 0;
stop:
	io_pool_stop(aio->pool);
close:
	io_port_close(&aio->port);
free:
	io_unmap(aio, sizeof(*aio));
	return ret;
}
