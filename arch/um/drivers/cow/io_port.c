// SPDX-License-Identifier: GPL-2.0-only
/*
 * Completed descriptors on their way to the engine's thread.
 *
 * Duty: a list that any thread adds to, and a pipe that tells of it; for hosts
 * that tell by an eventfd a thread that rings; what an answer in part comes to.
 *
 * Invariants: adding never blocks and takes no lock, since the engine's thread
 * may be interrupted while it takes the list. A byte follows every addition to
 * an empty list, so whoever empties first the pipe and then the list misses
 * none.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "io.h"

int io_port_open(struct io_port *port)
{
	port->done = NULL;
	return pipe2(port->fd, O_CLOEXEC | O_NONBLOCK) ? -errno : 0;
}

void io_port_close(struct io_port *port)
{
	close(port->fd[0]);
	close(port->fd[1]);
}

/* A full pipe (EAGAIN) rings as well as any. */
void io_port_ring(struct io_port *port)
{
	ssize_t ret;

	do {
		ret = write(port->fd[1], "", 1);
	} while (ret < 0 && errno == EINTR);
}

void io_port_post(struct io_port *port, struct io_desc *desc)
{
	struct io_desc *old = __atomic_load_n(&port->done, __ATOMIC_RELAXED);

	do {
		desc->next = old;
	} while (!__atomic_compare_exchange_n(&port->done, &old, desc, true,
					      __ATOMIC_RELEASE,
					      __ATOMIC_RELAXED));
	if (!old)
		io_port_ring(port);
}

void io_port_drain(struct io_port *port)
{
	char buf[64];
	ssize_t ret;

	do {
		ret = read(port->fd[0], buf, sizeof(buf));
	} while (ret > 0 || (ret < 0 && errno == EINTR));
}

struct io_desc *io_port_take(struct io_port *port)
{
	struct io_desc *last, *first = NULL;

	last = __atomic_exchange_n(&port->done, NULL, __ATOMIC_ACQUIRE);
	while (last) {
		struct io_desc *desc = last;

		last = desc->next;
		desc->next = first;
		first = desc;
	}
	return first;
}

void io_port_deliver(struct io_port *port)
{
	struct io_desc *desc, *next;

	io_port_drain(port);
	for (desc = io_port_take(port); desc; desc = next) {
		next = desc->next;
		desc->done(desc);
	}
}

/* ---- a bell ------------------------------------------------------------ */

static void *bell_main(void *arg)
{
	struct io_bell *bell = arg;
	uint64_t count;

	while (!__atomic_load_n(&bell->stop, __ATOMIC_ACQUIRE)) {
		if (read(bell->event, &count, sizeof(count)) > 0)
			io_port_ring(bell->port);
	}
	return NULL;
}

int io_bell_open(struct io_bell *bell, struct io_port *port, const char *name)
{
	int ret;

	bell->port = port;
	bell->event = eventfd(0, EFD_CLOEXEC);
	if (bell->event < 0)
		return -errno;
	ret = io_thread_start(&bell->thread, name, bell_main, bell);
	if (ret)
		close(bell->event);
	return ret;
}

void io_bell_close(struct io_bell *bell)
{
	uint64_t one = 1;

	__atomic_store_n(&bell->stop, true, __ATOMIC_RELEASE);
	while (write(bell->event, &one, sizeof(one)) < 0 && errno == EINTR)
		;
	pthread_join(bell->thread, NULL);
	close(bell->event);
}

/* ---- answers ----------------------------------------------------------- */

bool io_moved(struct io_desc *desc, int64_t res)
{
	if (res < 0) {
		desc->result = res;
		return true;
	}
	if (!res) {
		if (desc->op == IO_WRITE)
			desc->result = -ENOSPC;
		return true;
	}
	desc->result += res;
	return (uint64_t)desc->result >= desc->len;
}
