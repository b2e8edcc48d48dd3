// SPDX-License-Identifier: GPL-2.0-only
/*
 * A snapshot, with requests meanwhile, on a host on which the Nth operation
 * fails.
 */
#include "nth.h"
#include "tap.h"

static const struct layout layouts[] = {
	{ .name = "raw" },
	{ .name = "V3 on raw", .delta = 3 },
	{ .name = "on V3 on raw", .snapshot = true, .delta = 3 },
	{ .name = "V3", .version = { 3 } },
	{ .name = "V4", .version = { 4 } },
	{ .name = "V4, direct", .version = { 4 }, .direct = true },
	{ .name = "V4 on V3", .version = { 3, 4 } },
	{ .name = "an alias", .version = { 4 }, .snapshot = true,
	  .alias = true },
};

static void run(struct stand *stand)
{
	unsigned int i;

	for (i = 0; i < 4; i++)
		stand_mix(stand);
	stand_snapshot(stand, "new",
		       stand->layout->snapshot ? 0 : stand->layout->delta);
	for (i = 0; i < 4 && !stand->failed; i++)
		stand_mix(stand);
}

int main(void)
{
	const struct workload work = {
		.name = "snapshot", .layouts = layouts,
		.nlayouts = ARRAY_SIZE(layouts), .run = run,
	};

	return nth_all(&work);
}
