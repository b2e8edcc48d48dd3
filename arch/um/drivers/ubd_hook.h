/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The guest's program that is told of snapshots, so that it can tell a database.
 */
#ifndef UBD_HOOK_H
#define UBD_HOOK_H

#include <linux/types.h>

/**
 * ubd_hook() - run it and wait for its end
 * @program: its path in the guest, not needed after the call
 * @event: the first argument, "freeze" or "thaw"; a constant
 * @units: devices, a bit each: the other arguments
 * @limit: seconds; then it is killed, and not waited for any more
 * @why: filled on failure with what went wrong
 * @size: of @why
 *
 * Sleeps; for a kthread. Return: 0 or a negative errno, -EIO if it says that it
 * failed, -ETIMEDOUT.
 */
int ubd_hook(const char *program, const char *event, unsigned long units,
	     unsigned int limit, char *why, size_t size);

#endif
