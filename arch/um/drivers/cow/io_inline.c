// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads and writes in the submitting context, where the host answers at once.
 *
 * Duty: to find out which files do, and to stop asking those that do not.
 *
 * What the host has cached is read with RWF_NOWAIT. File systems that refuse
 * that flag are asked plainly if they live in memory, else not at all. Writes
 * go to the host's page cache, but a host that throttles its writers makes them
 * wait. A call that took long is the reason to look closer for a second: it may
 * just have lost the CPU to others. If another one takes long, and did wait,
 * everything is handed over for a while, twice as long each time that the host
 * is still slow when it is tried again.
 *
 * Invariant: never blocks but in a plain call, and that is timed.
 */
#include <errno.h>
#include <linux/magic.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "io.h"
#include "io_host.h"

#define MSEC		1000000ull
#define SLOW		(2 * MSEC)
#define WATCH		(1000 * MSEC)
#define HOLD_FIRST	(100 * MSEC)
#define HOLD_MOST	(6400 * MSEC)

static struct io_inline_file *file_of(struct io_inline *in, int fd)
{
	struct io_inline_file *file;

	file = &in->file[(unsigned int)fd % IO_INLINE_FILES];
	if (file->fd != fd || !file->hold) {
		file->fd = fd;
		file->until = 0;
		file->watch = 0;
		file->hold = HOLD_FIRST;
		file->read = IO_READ_NOWAIT;
	}
	return file;
}

/*
 * How often this thread gave up the CPU because it had to wait. Not by the C
 * library: the guest's kernel has a getrusage() of its own.
 */
static long waits(void)
{
	struct rusage usage;

	if (syscall(SYS_getrusage, RUSAGE_THREAD, &usage))
		return 0;
	return usage.ru_nvcsw;
}

static void hold(struct io_inline_file *file, uint64_t now)
{
	file->until = now + file->hold;
	if (file->hold < HOLD_MOST)
		file->hold *= 2;
}

/* True if all was moved. A remainder is left to somebody who may wait. */
static bool move(struct io_desc *desc, bool nowait)
{
	while ((uint64_t)desc->result < desc->len) {
		int64_t moved = io_transfer(desc, nowait);

		if (moved <= 0) {
			errno = (int)-moved;
			return false;
		}
		desc->result += moved;
	}
	return true;
}

static bool move_plainly(struct io_inline_file *file, struct io_desc *desc)
{
	uint64_t end, start = io_host_now(NULL);
	bool watched = start < file->watch;
	long before;
	bool done;

	if (start < file->until)
		return false;
	before = watched ? waits() : 0;
	done = move(desc, false);
	end = io_host_now(NULL);
	if (end - start < SLOW) {
		if (!watched)
			file->hold = HOLD_FIRST;
		return done;
	}
	if (watched && waits() != before)
		hold(file, end);
	file->watch = (file->until > end ? file->until : end) + WATCH;
	return done;
}

static void learn(struct io_inline_file *file, int fd)
{
	struct statfs fs;

	if (!fstatfs(fd, &fs) && fs.f_type == TMPFS_MAGIC)
		file->read = IO_READ_PLAIN;
	else
		file->read = IO_READ_NEVER;
}

static bool read_inline(struct io_inline_file *file, struct io_desc *desc)
{
	if (file->read == IO_READ_NOWAIT) {
		if (move(desc, true))
			return true;
		if (errno != EOPNOTSUPP)
			return false;
		learn(file, desc->fd);
	}
	return file->read == IO_READ_PLAIN && move_plainly(file, desc);
}

bool io_inline(struct io_inline *in, struct io_desc *desc)
{
	desc->result = 0;
	/* Past its cache the host has nothing at hand. */
	if (in->off || desc->direct)
		return false;
	switch (desc->op) {
	case IO_READ:
		return read_inline(file_of(in, desc->fd), desc);
	case IO_WRITE:
		return move_plainly(file_of(in, desc->fd), desc);
	default:
		return false;
	}
}
