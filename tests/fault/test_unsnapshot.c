// SPDX-License-Identifier: GPL-2.0-only
/*
 * A merge, with requests meanwhile, on a host on which the Nth operation fails.
 */
#include "engine.h"
#include "nth.h"
#include "tap.h"

static const struct layout layouts[] = {
	{ .name = "V4 on raw", .snapshot = true },
	{ .name = "V3 on raw", .snapshot = true, .delta = 3 },
	{ .name = "half of V3 on raw", .snapshot = true, .delta = 3,
	  .stopped = true },
	{ .name = "V4 on V2", .version = { 2 }, .snapshot = true },
	{ .name = "V4 on V3", .version = { 3 }, .snapshot = true },
	{ .name = "V4 on V4", .version = { 4 }, .snapshot = true },
	{ .name = "V4 on V3, direct", .version = { 3 }, .snapshot = true,
	  .direct = true },
	{ .name = "half of V4 on V3", .version = { 3 }, .snapshot = true,
	  .stopped = true },
};

/* A merge that did not become active gives the parent back to readers. */
static void look_at_parent(struct stand *stand)
{
	const struct chain *chain = cow_chain(stand->file);
	struct cow_open_args args = { .read_only = true, .no_follow = true };
	struct cow_error err = { "" };
	struct common_file *file;

	if (chain->drain.active || stand->host.hit & FC(LOCK))
		return;
	args.name = chain->top->parent->path;
	if (common_open(&stand->host.rig.env, &args, &file, &err))
		stand_fail(stand, "after a merge that did not begin: %s",
			   err.text);
	else
		common_close(file);
}

/* Again and again, so that something that is lost each time is missed. */
static void begin_again(struct stand *stand)
{
	const struct fault fault = stand->host.fault;
	bool async = stand->host.rig.async;
	unsigned int i;

	for (i = 0; i < 2 && !stand->failed; i++)
		if (!stand_merge(stand, false))
			return;
	stand_settle(stand);
	stand->host.fault.nth = 0;
	stand->host.rig.async = false;
	if (!stand->failed)
		look_at_parent(stand);
	stand->host.rig.async = async;
	stand->host.fault = fault;
}

static void run(struct stand *stand)
{
	const struct layer *top;
	unsigned int i;
	bool remove;

	for (i = 0; i < 2; i++)
		stand_mix(stand);
	top = cow_chain(stand->file)->top;
	remove = stand->host.rig.async == stand->host.fault.sticky;
	if (stand_merge(stand, remove) && !stand->failed &&
	    cow_chain(stand->file)->top == top)
		begin_again(stand);
	for (i = 0; i < 4 && !stand->failed; i++)
		stand_mix(stand);
}

int main(void)
{
	const struct workload work = {
		.name = "merge", .layouts = layouts,
		.nlayouts = ARRAY_SIZE(layouts), .run = run,
	};

	return nth_all(&work);
}
