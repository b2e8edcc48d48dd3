// SPDX-License-Identifier: GPL-2.0-only
/*
 * Opening a chain, and closing it, on a host on which the Nth operation fails.
 */
#include "nth.h"
#include "tap.h"

#define REQUESTS	3u

static const struct layout layouts[] = {
	{ .name = "raw" },
	{ .name = "V1", .version = { 1 } },
	{ .name = "V4 on V2", .version = { 2, 4 } },
	{ .name = "V3", .version = { 3 } },
	{ .name = "V4", .version = { 4 } },
	{ .name = "V4 on V4 on V3", .version = { 3, 4, 4 } },
	{ .name = "frozen raw", .snapshot = true },
	{ .name = "frozen V3", .version = { 3 }, .snapshot = true },
	{ .name = "frozen V4", .version = { 4 }, .snapshot = true },
	{ .name = "half a merge", .version = { 4 }, .snapshot = true,
	  .stopped = true },
	{ .name = "a new file on raw", .made = true },
	{ .name = "a new file on V4", .version = { 4 }, .made = true },
	{ .name = "an alias", .version = { 3 }, .snapshot = true,
	  .alias = true },
};

/* Nothing on disk is changed by a failure. */
static void run(struct stand *stand)
{
	uint64_t before = stand_sum(stand);
	unsigned int i;

	if (stand_open(stand)) {
		if (!stand->layout->made && stand_sum(stand) != before)
			stand_fail(stand, "an open that failed changed a file");
		return;
	}
	for (i = 0; i < REQUESTS && !stand->failed; i++)
		stand_mix(stand);
	stand_flush(stand);
	stand_close(stand);
}

int main(void)
{
	const struct workload work = {
		.name = "boot", .layouts = layouts,
		.nlayouts = ARRAY_SIZE(layouts), .opens = true,
		.in_order = true, .run = run,
	};

	return nth_all(&work);
}
