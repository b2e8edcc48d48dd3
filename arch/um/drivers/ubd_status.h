/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a device is at work on, and what it has done: tokens and numbers.
 *
 * Duty: one place for who asks, sysfs and mconsole alike.
 *
 * Invariant: nothing here tells of the host: no names, times or sizes.
 */
#ifndef UBD_STATUS_H
#define UBD_STATUS_H

#include "ubd.h"

/* What a claimed device is at work on. */
enum ubd_work {
	UBD_IDLE,
	UBD_SNAPSHOT,
	UBD_DRAIN,
	UBD_FOLD,
};

/* What is counted from when the device was configured. */
enum ubd_count {
	UBD_SNAPSHOTS,	/* taken */
	UBD_MERGES,	/* come to their end */
	UBD_ERRORS,	/* requests that failed in the guest */
	UBD_COUNTS
};

/**
 * struct ubd_status - a device at one instant
 * @work: a token
 * @percent: of a merge; -1: none is under way
 * @depth: layers; 0: the device is not configured
 * @held: requests that wait for the administrator
 * @hold: requests that the host refuses are held
 * @count: by enum ubd_count
 */
struct ubd_status {
	const char *work;
	int percent;
	unsigned int depth;
	unsigned int held;
	bool hold;
	unsigned int count[UBD_COUNTS];
};

void ubd_status(struct ubd *dev, struct ubd_status *status);

/* The device is configured: it is idle, and has done nothing. */
void ubd_status_begin(struct ubd *dev);

/**
 * ubd_status_work() - say what a device is at work on
 * @dev: claimed; idle again when it is released
 * @work: what
 * @progress: of a merge, valid until the device is idle; or NULL
 */
void ubd_status_work(struct ubd *dev, enum ubd_work work,
		     const struct cow_merge_progress *progress);

/* One more. Any context. */
void ubd_status_count(struct ubd *dev, enum ubd_count count);

#endif
