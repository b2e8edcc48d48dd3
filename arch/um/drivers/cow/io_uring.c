// SPDX-License-Identifier: GPL-2.0-only
/*
 * The back end that is made of the host's io_uring.
 *
 * Duty: reads, writes and syncs go to the ring; what blocks in the host's file
 * system code as a matter of course (copying, clearing, calls) goes to a pool.
 *
 * Invariants:
 *  - Only the engine's thread touches the ring.
 *  - Memory that the ring refers to is the descriptor's own, but for the lists
 *    of segments: these are read by the host while it takes an entry, and
 *    there is one for each entry.
 *  - A sync that failed is reported as failed and never tried again.
 */
#include <errno.h>
#include <liburing.h>
#include <sys/uio.h>

#include "io.h"

#define ENTRIES		128u
#define SEGMENTS	256u

struct rings {
	struct io_backend be;
	struct io_inline in;
	struct io_port port;
	struct io_pool *pool;
	struct io_uring ring;
	unsigned int pending;	/* prepared, not yet taken by the host */
	struct io_bell bell;
	struct iovec segments[ENTRIES][SEGMENTS];
};

/* What the host does not take now stays in the ring until the bell is heard. */
static void hand_over(struct rings *rings)
{
	int ret;

	while (rings->pending) {
		ret = io_uring_submit(&rings->ring);
		if (ret == -EINTR)
			continue;
		if (ret <= 0) {
			io_port_ring(&rings->port);
			return;
		}
		rings->pending -= (unsigned int)ret;
	}
}

static struct io_uring_sqe *entry(struct rings *rings)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&rings->ring);

	if (sqe)
		return sqe;
	hand_over(rings);
	return io_uring_get_sqe(&rings->ring);
}

static void prepare_move(struct rings *rings, struct io_uring_sqe *sqe,
			 const struct io_desc *desc)
{
	struct iovec *iov = rings->segments[sqe - rings->ring.sq.sqes];
	uint64_t offset = desc->offset + (uint64_t)desc->result;
	unsigned int n = io_gather(desc, iov, SEGMENTS);

	if (desc->op == IO_READ && n == 1)
		io_uring_prep_read(sqe, desc->fd, iov->iov_base,
				   (unsigned int)iov->iov_len, offset);
	else if (desc->op == IO_READ)
		io_uring_prep_readv(sqe, desc->fd, iov, n, offset);
	else if (n == 1)
		io_uring_prep_write(sqe, desc->fd, iov->iov_base,
				    (unsigned int)iov->iov_len, offset);
	else
		io_uring_prep_writev(sqe, desc->fd, iov, n, offset);
}

/* Whatever finds no place in the ring is done by a thread. */
static void put(struct rings *rings, struct io_desc *desc)
{
	struct io_uring_sqe *sqe;
	bool fits = desc->op == IO_SYNC ||
		    ((desc->op == IO_READ || desc->op == IO_WRITE) &&
		     (!desc->direct || io_direct_fits(desc)));

	sqe = fits ? entry(rings) : NULL;
	if (!sqe) {
		io_pool_put(rings->pool, desc);
		return;
	}
	if (desc->op == IO_SYNC)
		io_uring_prep_fsync(sqe, desc->fd, IORING_FSYNC_DATASYNC);
	else
		prepare_move(rings, sqe, desc);
	io_uring_sqe_set_data(sqe, desc);
	rings->pending++;
}

static int rings_submit(void *ctx, struct io_desc *desc)
{
	struct rings *rings = ctx;

	if (io_inline(&rings->in, desc))
		return (int)desc->result;
	put(rings, desc);
	return -EINPROGRESS;
}

static void rings_kick(void *ctx)
{
	struct rings *rings = ctx;

	hand_over(rings);
	io_pool_kick(rings->pool);
}

/* Nothing was done: somebody who waits for resources has to do it. */
static bool not_begun(int res)
{
	return res == -EAGAIN || res == -EINTR;
}

/* Returns true if the descriptor is complete, false if more is under way. */
static bool advance(struct rings *rings, struct io_desc *desc, int res)
{
	if (not_begun(res)) {
		io_pool_put(rings->pool, desc);
		return false;
	}
	if (desc->op == IO_SYNC) {
		desc->result = res;
		return true;
	}
	if (io_moved(desc, res))
		return true;
	put(rings, desc);
	return false;
}

static void reap(struct rings *rings)
{
	struct io_uring_cqe *cqe;

	while (!io_uring_peek_cqe(&rings->ring, &cqe)) {
		struct io_desc *desc = io_uring_cqe_get_data(cqe);
		int res = cqe->res;

		io_uring_cqe_seen(&rings->ring, cqe);
		if (advance(rings, desc, res))
			desc->done(desc);
	}
}

static void rings_collect(struct io_backend *be)
{
	struct rings *rings = (struct rings *)be;

	io_port_deliver(&rings->port);
	reap(rings);
	rings_kick(rings);
}

/* ---- beginning and end ------------------------------------------------- */

/*
 * With COOP_TASKRUN the host does not interrupt the guest for a completion:
 * it is noticed at the next system call, and a thread that sleeps is woken.
 */
static int queue_init(struct io_uring *ring)
{
	int ret = io_uring_queue_init(ENTRIES, ring, IORING_SETUP_COOP_TASKRUN);

	if (ret == -EINVAL)
		ret = io_uring_queue_init(ENTRIES, ring, 0);
	if (ret)
		return ret;
	/* Without these, completions could be lost, or segments change. */
	if ((ring->features & IORING_FEAT_NODROP) &&
	    (ring->features & IORING_FEAT_SUBMIT_STABLE))
		return 0;
	io_uring_queue_exit(ring);
	return -EOPNOTSUPP;
}

static int ring_open(struct rings *rings)
{
	int ret = queue_init(&rings->ring);

	if (ret)
		return ret;
	ret = io_bell_open(&rings->bell, &rings->port, "ubd-uring");
	if (ret)
		goto exit;
	ret = io_uring_register_eventfd(&rings->ring, rings->bell.event);
	if (!ret)
		return 0;
	io_bell_close(&rings->bell);
exit:
	io_uring_queue_exit(&rings->ring);
	return ret;
}

static void ring_close(struct rings *rings)
{
	io_bell_close(&rings->bell);
	io_uring_queue_exit(&rings->ring);
}

static void rings_stop(struct io_backend *be)
{
	struct rings *rings = (struct rings *)be;

	ring_close(rings);
	io_pool_stop(rings->pool);
	io_port_close(&rings->port);
	io_unmap(rings, sizeof(*rings));
}

static void describe(struct rings *rings, unsigned int flags)
{
	rings->in.off = flags & IO_NO_INLINE;
	rings->be.ops = cow_io_sync;
	rings->be.ops.name = "io_uring";
	rings->be.ops.submit = rings_submit;
	rings->be.ops.kick = rings_kick;
	rings->be.fd = rings->port.fd[0];
	rings->be.collect = rings_collect;
	rings->be.stop = rings_stop;
}

int io_rings_start(struct io_backend **be, unsigned int threads,
		   unsigned int flags)
{
	struct rings *rings = io_map(sizeof(*rings));
	int ret;

	if (!rings)
		return -ENOMEM;
	ret = io_port_open(&rings->port);
	if (ret)
		goto free;
	ret = io_pool_start(&rings->pool, &rings->port, threads);
	if (ret)
		goto close;
	ret = ring_open(rings);
	if (ret)
		goto stop;
	describe(rings, flags);
	*be = &rings->be;
	return 0;
stop:
	io_pool_stop(rings->pool);
close:
	io_port_close(&rings->port);
free:
	io_unmap(rings, sizeof(*rings));
	return ret;
}
