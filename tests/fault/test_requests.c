// SPDX-License-Identifier: GPL-2.0-only
/*
 * Requests on a host on which the Nth operation fails.
 */
#include "nth.h"
#include "tap.h"

#define REQUESTS	28u

static const struct layout layouts[] = {
	{ .name = "raw" },
	{ .name = "V1", .version = { 1 } },
	{ .name = "V3", .version = { 3 } },
	{ .name = "V4", .version = { 4 } },
	{ .name = "V4 on V3", .version = { 3, 4 } },
	{ .name = "V4 on V4", .version = { 4, 4 } },
	{ .name = "V4 on V3, direct", .version = { 3, 4 }, .direct = true },
};

static void run(struct stand *stand)
{
	unsigned int i;

	for (i = 0; i < REQUESTS && !stand->failed; i++) {
		stand_mix(stand);
		if (i % 8 == 7)
			stand_flush(stand);
	}
}

int main(void)
{
	const struct workload work = {
		.name = "requests", .layouts = layouts,
		.nlayouts = ARRAY_SIZE(layouts), .run = run,
	};

	return nth_all(&work);
}
