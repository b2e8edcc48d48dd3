/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * System calls that fail, are interrupted, or do less than was asked for.
 *
 * Duty: to stand before the C library for every call that the engine's back
 * ends and moo make, to count those of the chosen classes, and let the Nth
 * fail. Linked into a test, or loaded before the C library (host/preload.c).
 *
 * Invariants: any thread; a call that is not to fail is the host's own. A call
 * that does less does at least something.
 */
#ifndef INTERPOSE_H
#define INTERPOSE_H

#include <stdbool.h>

enum call_class {
	CALL_OPEN,
	CALL_STAT,
	CALL_READ,
	CALL_WRITE,
	CALL_SYNC,
	CALL_ALLOCATE,
	CALL_COPY,
	CALL_SIZE,
	CALL_GETATTR,
	CALL_SETATTR,
	CALL_NAME,
	CALL_LOCK,
	CALL_RIGHTS,
	CALL_RANDOM,
	CALL_LINK,
	CALL_MAP,
	CALL_HEAP,
	CALL_CLASSES,
};

#define CALL(name)	(1u << CALL_##name)

enum call_how {
	CALL_ONCE,		/* the Nth */
	CALL_STICKY,		/* it and all that follow */
	CALL_OTHER,		/* it and every second one that follows */
};

/**
 * struct call_fault - what is to fail
 * @error: errno; 0: less is done than was asked for
 * @nth: 1 is the first call of one of @classes; 0: none
 */
struct call_fault {
	unsigned int classes;
	int error;
	enum call_how how;
	unsigned long nth;
};

/**
 * struct interpose - what happened since the last interpose_arm()
 * @met: called for each of them; or NULL
 * @sync_failed: called for a descriptor whose sync failed; or NULL
 */
struct interpose {
	struct call_fault fault;
	unsigned long seen;
	void (*met)(enum call_class class);
	void (*sync_failed)(int fd);
};

extern struct interpose interpose;

void interpose_arm(const struct call_fault *fault);
void interpose_mend(void);

/* Does this call fail? Then errno is set, unless it shall do less. */
bool interpose_fails(enum call_class class);

#endif
