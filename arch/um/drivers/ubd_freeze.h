/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The guest's file systems on disks of the block device, frozen for a moment.
 */
#ifndef UBD_FREEZE_H
#define UBD_FREEZE_H

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/types.h>
#include <linux/workqueue.h>

/**
 * struct ubd_freeze - one freeze of all that lies on some disks
 * @units: the devices, a bit each; claimed
 * @limit: seconds for which writes may be held
 * @expire: the limit is over: called on a thread of its own before the file
 *	systems are thawed. True if what they were frozen for does not happen any
 *	more, false if it has happened.
 * @arg: for @expire
 * @held_ns: when it is over, for how long writes were held
 * @count: file systems that were to be frozen
 * @why: what went wrong, or ""
 * @open: what lies on the disks and could not be frozen, or ""
 *
 * The caller fills in @units, @limit, @expire and @arg; other fields are zero.
 */
struct ubd_freeze {
	unsigned long units;
	unsigned int limit;
	bool (*expire)(void *arg);
	void *arg;
	u64 held_ns;
	unsigned int count;
	char why[192];
	char open[192];

	/* private: */
	struct list_head found;
	/* For found.frozen and the two below it. */
	struct mutex lock;
	bool released;
	bool expired;
	u64 start;
	struct delayed_work late;
};

/* Once, before anything else. */
void ubd_freeze_init(struct ubd_freeze *freeze);

/**
 * ubd_freeze_find() - find the file systems and write them out
 *
 * Sleeps for as long as that takes; writes go on meanwhile. To be followed by
 * ubd_freeze_end() whatever it returns, and whatever comes between them.
 *
 * Return: 0 or -ENOMEM.
 */
int ubd_freeze_find(struct ubd_freeze *freeze);

/**
 * ubd_freeze_hold() - freeze what was found
 *
 * Sleeps. From here on until ubd_freeze_release() the caller must not touch a file
 * system, nor wait for anybody who does.
 *
 * Return: 0, or a negative errno: then none of them is frozen.
 */
int ubd_freeze_hold(struct ubd_freeze *freeze);

/* Thaw them; does not wait for it. */
void ubd_freeze_release(struct ubd_freeze *freeze);

/* Sleeps: they are thawed, and not needed any more. */
void ubd_freeze_end(struct ubd_freeze *freeze);

#endif
