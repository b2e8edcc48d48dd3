/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the back ends share; the driver's host side and the tools start them
 * through this header.
 *
 * Duty: constructors of the back ends, the one function that carries out a
 * descriptor and may block, and the way completions take to the engine.
 *
 * Invariants:
 *  - A back end never touches engine state: it fills desc->result and hands
 *    the descriptor back through a port.
 *  - Memory of the back ends comes from mmap(), so that no thread of theirs
 *    ever calls an allocator that belongs to the guest's kernel.
 *  - While a back end holds a descriptor, desc->result counts the bytes that
 *    have been moved, so that any other may carry on where the last one ended.
 */
#ifndef COW_IO_H
#define COW_IO_H

#include "cow.h"

/* ---- blocking ---------------------------------------------------------- */

/* Tools: submit() carries everything out at once. Its ctx is not used. */
extern const struct io_ops cow_io_sync;

/**
 * io_perform() - carry out one descriptor, however long it takes
 * @desc: desc->result bytes of a read or write have been moved before
 *
 * The one place where interrupted calls are repeated, short transfers are
 * completed, and operations that the host lacks are made from others. Any
 * thread.
 *
 * Return: what desc->result shall be.
 */
int64_t io_perform(struct io_desc *desc);

/**
 * io_transfer() - one system call's worth of a read or a write
 * @desc: IO_READ or IO_WRITE; desc->result bytes have been moved before
 * @nowait: IO_READ: only what the host has in memory; may be refused
 *
 * Return: bytes moved, possibly fewer than remain; 0 at end of file; or a
 * negative errno, never -EINTR.
 */
int64_t io_transfer(const struct io_desc *desc, bool nowait);

struct iovec;

/**
 * io_gather() - the memory that a read or write has still to fill or send
 * @desc: IO_READ or IO_WRITE; desc->result bytes have been moved before
 * @iov: filled in
 * @max: room in @iov
 *
 * Return: number of elements, which may stand for only a part of what remains.
 */
unsigned int io_gather(const struct io_desc *desc, struct iovec *iov,
		       unsigned int max);

/**
 * io_copy() - carry out an IO_COPY
 *
 * Blocks; any thread. Return: 0 or a negative errno; parts may have been copied
 * then.
 */
int io_copy(const struct io_desc *desc);

/**
 * io_map() - zeroed memory of the host, whatever the calling thread
 */
void *io_map(size_t len);
void io_unmap(void *mem, size_t len);

/* ---- past the host's cache --------------------------------------------- */

/**
 * io_direct_probe() - can the host read @fd, opened with O_DIRECT, by sectors?
 *
 * May block. Return: 0, -EOPNOTSUPP, or what the host says.
 */
int io_direct_probe(int fd);

/**
 * io_direct_fits() - true if offset, length and memory are as the host wants them
 * @desc: IO_READ or IO_WRITE with desc->direct
 */
bool io_direct_fits(const struct io_desc *desc);

/**
 * io_direct_bounce() - carry out what does not fit, through memory that does
 * @desc: as for io_direct_fits(); offset and length fit
 *
 * Blocks; any thread. Return: as io_perform() does.
 */
int64_t io_direct_bounce(struct io_desc *desc);

/* ---- at once, if the host can ------------------------------------------ */

#define IO_INLINE_FILES	64u

/**
 * struct io_inline - which files answer at once
 * @off: hand everything over
 * @file: by descriptor; several may share an entry, which costs time at worst
 *
 * Only the engine's thread writes it.
 */
struct io_inline {
	bool off;
	struct io_inline_file {
		uint64_t until;		/* hand over until then */
		uint64_t watch;		/* look closer until then */
		uint64_t hold;		/* how long the next time */
		int fd;
		enum { IO_READ_NOWAIT, IO_READ_PLAIN, IO_READ_NEVER } read;
	} file[IO_INLINE_FILES];
};

/**
 * io_inline() - try to carry out a descriptor without blocking
 * @in: what is known of the host's files
 * @desc: any
 *
 * Return: true if it is done, with the outcome in desc->result; else
 * desc->result counts the bytes that were moved.
 */
bool io_inline(struct io_inline *in, struct io_desc *desc);

/* ---- completions ------------------------------------------------------- */

/**
 * struct io_port - completed descriptors on their way to the engine's thread
 * @done: last one first
 * @fd: a pipe: an event on it raises SIGIO, which an eventfd does not
 *
 * Whoever makes the list non-empty writes one byte, so that a batch costs one
 * interrupt.
 */
struct io_port {
	struct io_desc *done;
	int fd[2];
};

int io_port_open(struct io_port *port);
void io_port_close(struct io_port *port);

/* Any thread. */
void io_port_post(struct io_port *port, struct io_desc *desc);
void io_port_ring(struct io_port *port);

/* The engine's thread: empty the pipe; take all, in the order of completion. */
void io_port_drain(struct io_port *port);
struct io_desc *io_port_take(struct io_port *port);

/* The engine's thread: the two, and done() of each. */
void io_port_deliver(struct io_port *port);

/**
 * struct io_bell - an eventfd that the host counts up, and a port that is rung then
 * @event: the eventfd, which raises no SIGIO itself
 * @port: a pipe, which does
 */
struct io_bell {
	int event;
	struct io_port *port;
	bool stop;
	unsigned long thread;
};

/* @name: of the thread that listens. */
int io_bell_open(struct io_bell *bell, struct io_port *port, const char *name);
void io_bell_close(struct io_bell *bell);

/**
 * io_moved() - take the host's answer to a part of a read or write
 * @desc: desc->result bytes had been moved before
 * @res: bytes moved, or a negative errno
 *
 * Return: true if the descriptor is complete, false if more remains to be moved.
 */
bool io_moved(struct io_desc *desc, int64_t res);

/* ---- threads ----------------------------------------------------------- */

#define IO_POOL_MAX	32u

struct io_pool;

/**
 * io_pool_start() - start threads that carry out descriptors
 * @pool: the pool, on success
 * @port: where completed descriptors go
 * @threads: how many; fewer are a success, none is not
 */
int io_pool_start(struct io_pool **pool, struct io_port *port,
		  unsigned int threads);

/* Finish what is queued, end the threads. */
void io_pool_stop(struct io_pool *pool);

/* The engine's thread: gather, then hand over all that was gathered. */
void io_pool_put(struct io_pool *pool, struct io_desc *desc);
void io_pool_kick(struct io_pool *pool);

/* A thread with a bounded stack, a name, and all signals blocked. */
int io_thread_start(unsigned long *thread, const char *name,
		    void *(*main)(void *arg), void *arg);

/* ---- back ends that complete later ------------------------------------- */

#define IO_NO_INLINE	1u	/* nothing is done in the submitting context */

/**
 * struct io_backend - a started back end; their ctx is the struct itself
 * @ops: for struct cow_env
 * @fd: becomes readable when something has completed
 * @collect: call done() of everything that has completed; engine's thread,
 *	with the lock that serialises the engine
 * @stop: wait for what is under way, give everything back
 */
struct io_backend {
	struct io_ops ops;
	int fd;
	void (*collect)(struct io_backend *be);
	void (*stop)(struct io_backend *be);
};

int io_threads_start(struct io_backend **be, unsigned int threads,
		     unsigned int flags);

/* -ENOSYS, -EPERM, -ENOMEM, ... where the host does not allow it. */
int io_rings_start(struct io_backend **be, unsigned int threads,
		   unsigned int flags);

/* -EAGAIN: the host's aio-max-nr is used up. -ENOSYS, -ENOMEM, ... */
int io_aio_start(struct io_backend **be, unsigned int threads,
		 unsigned int flags);

#endif
