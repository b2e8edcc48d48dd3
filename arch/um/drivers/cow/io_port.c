// SPDX-License-Identifier: GPL-2.0-only
/*
 * Completed descriptors on their way to the engine's thread.
 *
 * Duty: a list that any thread adds to, and a pipe that tells of it.
 *
 * Invariants: adding never blocks and takes no lock, since the engine's thread
 * may be interrupted while it takes the list. A byte follows every addition to
 * an empty list, so whoever empties first the pipe and then the list misses
 * none.
 */
#include <errno.h>
#include <fcntl.h>
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
