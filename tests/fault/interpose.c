// SPDX-License-Identifier: GPL-2.0-only
/*
 * System calls that fail, see interpose.h.
 *
 * The functions have the names that programs call when off_t has 64 bits.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "interpose.h"

struct interpose interpose;

void interpose_arm(const struct call_fault *fault)
{
	interpose.seen = 0;
	interpose.fault = *fault;
}

void interpose_mend(void)
{
	interpose.fault.nth = 0;
}

static bool is_turn(unsigned long seen)
{
	const struct call_fault *fault = &interpose.fault;

	if (seen < fault->nth)
		return false;
	switch (fault->how) {
	case CALL_ONCE:
		return seen == fault->nth;
	case CALL_OTHER:
		return (seen - fault->nth) % 2 == 0;
	case CALL_STICKY:
		break;
	}
	return true;
}

static bool meets(enum call_class class)
{
	const struct call_fault *fault = &interpose.fault;

	if (!fault->nth || !(fault->classes & 1u << class))
		return false;
	if (!is_turn(__atomic_add_fetch(&interpose.seen, 1, __ATOMIC_SEQ_CST)))
		return false;
	if (interpose.met)
		interpose.met(class);
	return true;
}

bool interpose_fails(enum call_class class)
{
	if (!meets(class))
		return false;
	errno = interpose.fault.error;
	return true;
}

/* True: it fails. Else *len may have become less. */
static bool lessens(enum call_class class, size_t *len)
{
	if (!meets(class))
		return false;
	errno = interpose.fault.error;
	if (errno)
		return true;
	*len = (*len + 1) / 2;
	return false;
}

/* ---- names and descriptors --------------------------------------------- */

static mode_t mode_of(int flags, va_list args)
{
	return flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
}

int open64(const char *path, int flags, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = mode_of(flags, args);
	va_end(args);
	if (interpose_fails(CALL_OPEN))
		return -1;
	return syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int openat64(int dir, const char *path, int flags, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = mode_of(flags, args);
	va_end(args);
	if (interpose_fails(CALL_OPEN))
		return -1;
	return syscall(SYS_openat, dir, path, flags, mode);
}

int statx(int dir, const char *restrict path, int flags, unsigned int mask,
	  struct statx *restrict st)
{
	if (interpose_fails(CALL_STAT))
		return -1;
	return syscall(SYS_statx, dir, path, flags, mask, st);
}

int fstat64(int fd, struct stat64 *st)
{
	if (interpose_fails(CALL_STAT))
		return -1;
	return syscall(SYS_newfstatat, fd, "", st, AT_EMPTY_PATH);
}

int fstatat64(int dir, const char *restrict path, struct stat64 *restrict st,
	      int flags)
{
	if (interpose_fails(CALL_STAT))
		return -1;
	return syscall(SYS_newfstatat, dir, path, st, flags);
}

int lstat64(const char *restrict path, struct stat64 *restrict st)
{
	return fstatat64(AT_FDCWD, path, st, AT_SYMLINK_NOFOLLOW);
}

ssize_t readlink(const char *restrict path, char *restrict buf, size_t len)
{
	if (interpose_fails(CALL_LINK))
		return -1;
	return syscall(SYS_readlink, path, buf, len);
}

int linkat(int from, const char *old, int to, const char *new, int flags)
{
	if (interpose_fails(CALL_NAME))
		return -1;
	return syscall(SYS_linkat, from, old, to, new, flags);
}

int link(const char *old, const char *new)
{
	return linkat(AT_FDCWD, old, AT_FDCWD, new, 0);
}

int renameat2(int from, const char *old, int to, const char *new,
	      unsigned int flags)
{
	if (interpose_fails(CALL_NAME))
		return -1;
	return syscall(SYS_renameat2, from, old, to, new, flags);
}

int renameat(int from, const char *old, int to, const char *new)
{
	return renameat2(from, old, to, new, 0);
}

int rename(const char *old, const char *new)
{
	return renameat2(AT_FDCWD, old, AT_FDCWD, new, 0);
}

int unlinkat(int dir, const char *path, int flags)
{
	if (interpose_fails(CALL_NAME))
		return -1;
	return syscall(SYS_unlinkat, dir, path, flags);
}

int unlink(const char *path)
{
	return unlinkat(AT_FDCWD, path, 0);
}

int fchmod(int fd, mode_t mode)
{
	if (interpose_fails(CALL_RIGHTS))
		return -1;
	return syscall(SYS_fchmod, fd, mode);
}

int fchown(int fd, uid_t owner, gid_t group)
{
	if (interpose_fails(CALL_RIGHTS))
		return -1;
	return syscall(SYS_fchown, fd, owner, group);
}

int fcntl64(int fd, int cmd, ...)
{
	va_list args;
	void *arg;

	va_start(args, cmd);
	arg = va_arg(args, void *);
	va_end(args);
	if (cmd == F_OFD_SETLK && interpose_fails(CALL_LOCK))
		return -1;
	return syscall(SYS_fcntl, fd, cmd, arg);
}

/* ---- data -------------------------------------------------------------- */

ssize_t pread64(int fd, void *buf, size_t len, off64_t offset)
{
	if (lessens(CALL_READ, &len))
		return -1;
	return syscall(SYS_pread64, fd, buf, len, offset);
}

ssize_t pwrite64(int fd, const void *buf, size_t len, off64_t offset)
{
	if (lessens(CALL_WRITE, &len))
		return -1;
	return syscall(SYS_pwrite64, fd, buf, len, offset);
}

/* Less is a part of the first piece. */
ssize_t preadv64v2(int fd, const struct iovec *iov, int n, off64_t offset,
		   int flags)
{
	struct iovec first = *iov;

	if (lessens(CALL_READ, &first.iov_len))
		return -1;
	if (first.iov_len != iov->iov_len) {
		iov = &first;
		n = 1;
	}
	return syscall(SYS_preadv2, fd, iov, n, offset, 0, flags);
}

ssize_t preadv64(int fd, const struct iovec *iov, int n, off64_t offset)
{
	return preadv64v2(fd, iov, n, offset, 0);
}

ssize_t pwritev64(int fd, const struct iovec *iov, int n, off64_t offset)
{
	struct iovec first = *iov;

	if (lessens(CALL_WRITE, &first.iov_len))
		return -1;
	if (first.iov_len != iov->iov_len) {
		iov = &first;
		n = 1;
	}
	return syscall(SYS_pwritev, fd, iov, n, offset, 0);
}

static int sync_call(long number, int fd)
{
	if (!interpose_fails(CALL_SYNC))
		return syscall(number, fd);
	if (errno != EINTR && interpose.sync_failed)
		interpose.sync_failed(fd);
	errno = interpose.fault.error;
	return -1;
}

int fsync(int fd)
{
	return sync_call(SYS_fsync, fd);
}

int fdatasync(int fd)
{
	return sync_call(SYS_fdatasync, fd);
}

int fallocate64(int fd, int mode, off64_t offset, off64_t len)
{
	if (interpose_fails(CALL_ALLOCATE))
		return -1;
	return syscall(SYS_fallocate, fd, mode, offset, len);
}

ssize_t copy_file_range(int from, off64_t *from_offset, int to,
			off64_t *to_offset, size_t len, unsigned int flags)
{
	if (lessens(CALL_COPY, &len))
		return -1;
	return syscall(SYS_copy_file_range, from, from_offset, to, to_offset,
		       len, flags);
}

int ftruncate64(int fd, off64_t size)
{
	if (interpose_fails(CALL_SIZE))
		return -1;
	return syscall(SYS_ftruncate, fd, size);
}

/* ---- the rest ---------------------------------------------------------- */

ssize_t fgetxattr(int fd, const char *name, void *value, size_t size)
{
	if (interpose_fails(CALL_GETATTR))
		return -1;
	return syscall(SYS_fgetxattr, fd, name, value, size);
}

int fsetxattr(int fd, const char *name, const void *value, size_t size,
	      int flags)
{
	if (interpose_fails(CALL_SETATTR))
		return -1;
	return syscall(SYS_fsetxattr, fd, name, value, size, flags);
}

int fremovexattr(int fd, const char *name)
{
	if (interpose_fails(CALL_SETATTR))
		return -1;
	return syscall(SYS_fremovexattr, fd, name);
}

ssize_t getrandom(void *buf, size_t len, unsigned int flags)
{
	if (lessens(CALL_RANDOM, &len))
		return -1;
	return syscall(SYS_getrandom, buf, len, flags);
}

void *mmap64(void *addr, size_t len, int prot, int flags, int fd,
	     off64_t offset)
{
	if (interpose_fails(CALL_MAP))
		return MAP_FAILED;
	return (void *)syscall(SYS_mmap, addr, len, prot, flags, fd, offset);
}
