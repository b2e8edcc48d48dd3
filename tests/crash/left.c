// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a power failure leaves, while the machine goes on: see left.h.
 */
#include "left.h"
#include "tap.h"

#define RANDOM_STATES	3u	/* at each place where the power fails */

static void one_state(const struct left *left, enum vdisk_policy policy,
		      uint64_t param)
{
	struct vdisk *disk;

	if (left->run->failed)
		return;
	disk = vdisk_crash(left->disk, tap_random(left->seed), policy, param);
	left->look(left->arg, disk);
	vdisk_free(disk);
	left->run->states++;
}

void left_power_fails(void *arg)
{
	struct left *left = arg;
	unsigned int i, pieces = vdisk_unsynced(left->disk);

	if (left->looking)
		return;
	left->looking = true;
	one_state(left, VDISK_NONE, 0);
	one_state(left, VDISK_ALL, 0);
	if (pieces)
		one_state(left, VDISK_DROP_ONE,
			  tap_random(left->seed) % pieces);
	for (i = 0; i < RANDOM_STATES && pieces > 1; i++)
		one_state(left, VDISK_RANDOM, 1 + tap_random(left->seed) % 7);
	left->looking = false;
}

uint64_t *left_content(struct world *w, struct vdisk *disk,
		       const struct cow_open_args *args, unsigned int *depth)
{
	struct cow_error err = { "" };
	struct common_file *file;
	struct world after = *w;
	uint64_t *id;

	after.disk = disk;
	after.env.ctx = disk;
	if (common_open(&after.env, args, &file, &err)) {
		world_fail(w, "%s does not open: %s", args->name, err.text);
		return NULL;
	}
	*depth = cow_depth(file);
	id = world_read(&after, file);
	common_close(file);
	return id;
}
