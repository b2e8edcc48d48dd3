/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Requests that the host refused, and that wait for the administrator.
 *
 * Duty: what the request side says to ubd_hold.c.
 *
 * Invariants:
 *  - A request that is held is neither ended nor known to the engine: whatever
 *    waits for requests under way (a snapshot, a merge, a close) does not wait
 *    for it.
 *  - Held are requests that may succeed when they are submitted again: no reads,
 *    and nothing of a chain that has lost what it was told to sync.
 */
#ifndef UBD_HOLD_H
#define UBD_HOLD_H

#include "ubd.h"
#include "ubd_request.h"

/* A device comes, and goes; nothing is held at either time. The latter sleeps. */
void ubd_hold_begin(struct ubd *dev, bool on);
void ubd_hold_end(struct ubd *dev);

/**
 * ubd_hold_keep() - hold a request that failed, if that is its lot
 * @dev: whose it is
 * @ur: answered by the engine with an error
 *
 * Under ubd_engine_lock. Return: true if nobody else must end it.
 */
bool ubd_hold_keep(struct ubd *dev, struct ubd_request *ur);

/**
 * struct ubd_held - what is held
 * @on: requests that the host refuses are held, not reported
 * @count: how many are
 * @why: for people, why the first of them was refused; NULL if there is none
 */
struct ubd_held {
	bool on;
	unsigned int count;
	const char *why;
};

/* Under ubd_engine_lock. */
struct ubd_held ubd_held(struct ubd *dev);

/* The machine halts: what is held is reported, and so is all that follows. */
void ubd_hold_give_up(struct ubd *dev);

#endif
