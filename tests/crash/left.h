/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a power failure leaves, while the machine goes on.
 *
 * Duty: for tests that look before every change of a file: the choice of crash
 * states, and what a disk of such a state holds.
 */
#ifndef LEFT_H
#define LEFT_H

#include "world.h"

/**
 * struct left - who looks at what is left
 * @disk: of the machine
 * @look: looks at one crash state, which it does not keep
 * @arg: for @look
 * @run: counts the states; nothing is looked at once it has failed
 * @seed: what the choice of states follows from
 * @looking: a look is under way
 */
struct left {
	struct vdisk *disk;
	void (*look)(void *arg, struct vdisk *left);
	void *arg;
	struct run *run;
	uint64_t *seed;
	bool looking;
};

/* The power fails, in a few ways. For vdisk_hook(), with a struct left. */
void left_power_fails(void *left);

/*
 * What the device of @w holds when it is opened with @args on @disk, which
 * belongs to a power failure, and how many layers it has; NULL if it does not
 * open. The caller frees it.
 */
uint64_t *left_content(struct world *w, struct vdisk *disk,
		       const struct cow_open_args *args, unsigned int *depth);

#endif
