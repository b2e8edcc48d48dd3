// SPDX-License-Identifier: GPL-2.0-only
/*
 * V1 to V3: clear the bits of sectors that do not exist.
 *
 * Invariant: one byte is written, and the file keeps its time, by which the
 * layers know it that were made over it.
 */
#include <sys/stat.h>
#include <errno.h>
#include <string.h>

#include "check.h"

static int keep_time(const struct moo_probe *p, int fd)
{
	const struct timespec times[2] = {
		{ .tv_nsec = UTIME_OMIT },
		{ .tv_sec = p->st.mtime_sec, .tv_nsec = p->st.mtime_nsec },
	};

	return futimens(fd, times) ? -errno : 0;
}

/* The bits of the last sectors share a byte with those of no sector. */
static int clear_bits(const struct check *check, int fd)
{
	const struct moo_probe *p = check->probe;
	uint64_t at = p->hdr.bitmap_offset + check->total / 8;
	struct cow_error err;
	uint8_t byte;
	int ret;

	ret = check_read(check, &byte, sizeof(byte), at, &err);
	if (ret)
		return ret;
	byte &= (1u << check->total % 8) - 1;
	ret = p->env.io->pwrite(p->env.ctx, fd, &byte, sizeof(byte), at);
	if (!ret)
		ret = keep_time(p, fd);
	return ret ? ret : p->env.io->sync(p->env.ctx, fd);
}

int repair_bitmap(const struct check *check, int fd, struct cow_error *err)
{
	int ret = clear_bits(check, fd);

	if (ret)
		return moo_fail(err, ret, "%s: can not be repaired: %s; it reads as before",
				check->probe->name, strerror(-ret));
	return 0;
}
