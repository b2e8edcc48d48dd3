// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a program writes to its files, in order.
 *
 * Duty: a library to be loaded before the C library. RECORD=FILE names where
 * each change goes: a letter, two numbers of 64 bits, and for 'W' the bytes.
 *
 *	W offset length		written
 *	T size 0		cut off, or made longer
 *	S 0 0			durable
 *	O 0 0			any other change of bytes
 */
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int record = -1;

__attribute__((constructor))
static void begin(void)
{
	const char *name = getenv("RECORD");

	if (name)
		record = syscall(SYS_openat, AT_FDCWD, name,
				 O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC,
				 0600);
}

static void put(const void *buf, size_t len)
{
	if (record >= 0 && syscall(SYS_write, record, buf, len) != (long)len)
		abort();
}

static void note(char what, uint64_t a, uint64_t b)
{
	char line[1 + 2 * sizeof(uint64_t)] = { what };

	memcpy(line + 1, &a, sizeof(a));
	memcpy(line + 1 + sizeof(a), &b, sizeof(b));
	put(line, sizeof(line));
}

ssize_t pwrite64(int fd, const void *buf, size_t len, off64_t at)
{
	ssize_t done = syscall(SYS_pwrite64, fd, buf, len, at);

	if (done >= 0) {
		note('W', at, done);
		put(buf, done);
	}
	return done;
}

ssize_t pwritev64(int fd, const struct iovec *iov, int n, off64_t at)
{
	note('O', 0, 0);
	return syscall(SYS_pwritev, fd, iov, n, at, 0);
}

int ftruncate64(int fd, off64_t size)
{
	note('T', size, 0);
	return syscall(SYS_ftruncate, fd, size);
}

int fallocate64(int fd, int mode, off64_t at, off64_t len)
{
	note('O', 0, 0);
	return syscall(SYS_fallocate, fd, mode, at, len);
}

static int synced(int ret)
{
	if (!ret)
		note('S', 0, 0);
	return ret;
}

int fsync(int fd)
{
	return synced(syscall(SYS_fsync, fd));
}

int fdatasync(int fd)
{
	return synced(syscall(SYS_fdatasync, fd));
}
