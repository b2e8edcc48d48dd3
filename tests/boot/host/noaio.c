// SPDX-License-Identifier: GPL-2.0-only
/*
 * Duty: preloaded to a machine, a host that has no room for asynchronous I/O.
 */
#include <errno.h>

int io_setup(int events, void *context);

int io_setup(int events, void *context)
{
	(void)events;
	(void)context;
	return -EAGAIN;
}
