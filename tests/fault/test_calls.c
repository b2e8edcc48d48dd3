// SPDX-License-Identifier: GPL-2.0-only
/*
 * A day in a device's life over system calls of which the Nth fails, is
 * interrupted, or does less than was asked for.
 */
#include <errno.h>

#include "nth.h"
#include "tap.h"

static const struct kind kinds[] = {
	{ .name = "EINTR", .absorbed = true, .call = {
		.error = EINTR,
		.classes = CALL(READ) | CALL(WRITE) | CALL(SYNC) |
			   CALL(ALLOCATE) | CALL(COPY) | CALL(SIZE) |
			   CALL(LOCK) | CALL(RANDOM),
	} },
	{ .name = "less than asked for", .absorbed = true, .call = {
		.classes = CALL(READ) | CALL(WRITE) | CALL(COPY) |
			   CALL(RANDOM),
	} },
	{ .name = "no fallocate", .absorbed = true, .call = {
		.error = EOPNOTSUPP, .classes = CALL(ALLOCATE),
	} },
	{ .name = "no copy_file_range", .absorbed = true, .call = {
		.error = EXDEV, .classes = CALL(COPY),
	} },
	{ .name = "EIO", .call = {
		.error = EIO, .classes = (1u << CALL_MAP) - 1,
	} },
	{ .name = "ENOSPC", .call = {
		.error = ENOSPC,
		.classes = CALL(WRITE) | CALL(ALLOCATE) | CALL(COPY) |
			   CALL(SIZE) | CALL(SETATTR) | CALL(NAME) |
			   CALL(OPEN),
	} },
	{ .name = "ENOSPC of a sync", .call = {
		.error = ENOSPC, .classes = CALL(SYNC),
	} },
	{ .name = "no memory", .call = { .error = ENOMEM, .classes = CALL(MAP) } },
};

static const struct layout layouts[] = {
	{ .name = "V3", .version = { 3 } },
	{ .name = "a snapshot of raw", .snapshot = true },
};

static void mix(struct stand *stand, unsigned int requests)
{
	while (requests-- && !stand->failed)
		stand_mix(stand);
}

static void run(struct stand *stand)
{
	if (stand_open(stand))
		return;
	mix(stand, 5);
	stand_flush(stand);
	if (!stand->failed && stand_snapshot(stand, "new", 0) &&
	    !stand->layout->snapshot)
		return;
	mix(stand, 4);
	stand_flush(stand);
	if (!stand->failed)
		stand_merge(stand, true);
	mix(stand, 2);
}

int main(void)
{
	const struct workload work = {
		.name = "a day", .layouts = layouts,
		.nlayouts = ARRAY_SIZE(layouts), .kinds = kinds,
		.nkinds = ARRAY_SIZE(kinds), .opens = true, .run = run,
	};

	return nth_all(&work);
}
