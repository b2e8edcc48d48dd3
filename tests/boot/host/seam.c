// SPDX-License-Identifier: GPL-2.0-only
/*
 * Duty: write down every system call that a UML makes on the files below one
 * directory, as seen from outside of its kernel.
 *
 * Preloaded; takes the place of the C library's wrappers, syscall() among them.
 * SEAM_DIR is the directory, an absolute name without symbolic links; SEAM_LOG
 * the file to write to, see seam.h. Which files are watched is found when they
 * are opened, by the name that the host then has for the descriptor.
 *
 * Invariants: nothing is allocated (malloc belongs to the guest's kernel), and
 * no function of the C library is called that this file replaces. An entry is
 * one append, so that those of several threads do not mix.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "../../../arch/um/drivers/cow/io_record.h"
#include "seam.h"

#define FILES	4096
#define VECS	64

enum { NOT_WATCHED, WATCHED_FILE, WATCHED_DIR };

static unsigned char watched[FILES];
static const char *dir;
static size_t dir_len;
static int log_fd = -1;

/* ---- the host ---------------------------------------------------------- */

static long raw(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 asm("r10") = d;
	register long r8 asm("r8") = e;
	register long r9 asm("r9") = f;
	long ret;

	asm volatile("syscall" : "=a" (ret)
		     : "a" (nr), "D" (a), "S" (b), "d" (c), "r" (r10),
		       "r" (r8), "r" (r9)
		     : "rcx", "r11", "memory");
	return ret;
}

#define raw1(nr, a)		raw(nr, a, 0, 0, 0, 0, 0)
#define raw2(nr, a, b)		raw(nr, a, b, 0, 0, 0, 0)
#define raw3(nr, a, b, c)	raw(nr, a, b, c, 0, 0, 0)
#define raw4(nr, a, b, c, d)	raw(nr, a, b, c, d, 0, 0)

static long answer(long ret)
{
	if (ret >= 0)
		return ret;
	errno = (int)-ret;
	return -1;
}

__attribute__((constructor)) static void begin(void)
{
	const char *log = getenv("SEAM_LOG");

	dir = getenv("SEAM_DIR");
	if (!dir || !log)
		return;
	dir_len = strlen(dir);
	log_fd = (int)raw4(SYS_openat, AT_FDCWD, (long)log,
			   O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

/* ---- which files ------------------------------------------------------- */

static int below(const char *path)
{
	return !strncmp(path, dir, dir_len) &&
	       (!path[dir_len] || path[dir_len] == '/');
}

static void fd_link(char link[32], int fd)
{
	char digits[12];
	int n = 0;

	strcpy(link, "/proc/self/fd/");
	link += strlen(link);
	do {
		digits[n++] = (char)('0' + fd % 10);
		fd /= 10;
	} while (fd);
	while (n)
		*link++ = digits[--n];
	*link = '\0';
}

static int kind(int fd)
{
	return log_fd >= 0 && fd >= 0 && fd < FILES ? watched[fd] : NOT_WATCHED;
}

static void describe(struct seam_call *call, int fd)
{
	struct stat st;

	if (raw2(SYS_fstat, fd, (long)&st))
		return;
	call->dev = st.st_dev;
	call->ino = st.st_ino;
}

static void watch(int fd)
{
	char link[32], path[4096];
	struct stat st;
	long len;

	if (log_fd < 0 || fd < 0 || fd >= FILES)
		return;
	fd_link(link, fd);
	len = raw3(SYS_readlink, (long)link, (long)path, sizeof(path) - 1);
	if (len < 0)
		return;
	path[len] = '\0';
	if (!below(path) || raw2(SYS_fstat, fd, (long)&st))
		return;
	watched[fd] = S_ISDIR(st.st_mode) ? WATCHED_DIR : WATCHED_FILE;
}

/* ---- writing it down --------------------------------------------------- */

/* @iov has room in front for the entry itself. */
static void put(struct seam_call *call, struct iovec *iov, int n, uint64_t extra)
{
	call->extra = (uint32_t)extra;
	iov[0].iov_base = call;
	iov[0].iov_len = sizeof(*call);
	raw3(SYS_writev, log_fd, (long)iov, n + 1);
}

static void note(int op, int fd, uint64_t offset, uint64_t len, long result)
{
	struct seam_call call = {
		.op = (uint32_t)op,
		.offset = offset,
		.len = len,
		.result = result,
	};
	struct iovec iov[1];

	if (!kind(fd))
		return;
	describe(&call, fd);
	put(&call, iov, 0, 0);
}

static void note_bytes(int op, int fd, uint64_t offset, const void *bytes,
		       size_t len, long result)
{
	struct seam_call call = {
		.op = (uint32_t)op,
		.offset = offset,
		.len = len,
		.result = result,
	};
	struct iovec iov[2] = {
		{ 0 },
		{ .iov_base = (void *)bytes, .iov_len = len },
	};

	if (fd >= 0)
		describe(&call, fd);
	put(&call, iov, 1, len);
}

static void note_writev(int fd, const struct iovec *from, int n, uint64_t offset,
			long result)
{
	struct seam_call call = {
		.op = IO_RECORD_WRITE,
		.offset = offset,
		.result = result,
	};
	struct iovec iov[VECS + 1];
	int i;

	if (!kind(fd) || result <= 0 || n > VECS)
		return;
	for (i = 0; i < n; i++) {
		iov[i + 1] = from[i];
		call.len += from[i].iov_len;
	}
	describe(&call, fd);
	put(&call, iov, n, call.len);
}

static void note_name(int op, int at, const char *path, long result)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;

	if (log_fd < 0 || result < 0)
		return;
	if (slash ? below(path) : kind(at) == WATCHED_DIR)
		note_bytes(op, -1, 0, name, strlen(name), result);
}

/* ---- opening and closing ----------------------------------------------- */

static int opened(long fd, int flags)
{
	if (fd < 0 || flags & O_PATH)
		return (int)answer(fd);
	watch((int)fd);
	if (kind((int)fd) == WATCHED_FILE)
		note(IO_RECORD_OPEN, (int)fd, 0, 0, 0);
	return (int)fd;
}

static int mode_of(int flags, va_list ap)
{
	return flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, int) : 0;
}

int open64(const char *path, int flags, ...)
{
	va_list ap;
	int mode;

	va_start(ap, flags);
	mode = mode_of(flags, ap);
	va_end(ap);
	return opened(raw4(SYS_openat, AT_FDCWD, (long)path, flags, mode),
		      flags);
}

int openat64(int at, const char *path, int flags, ...)
{
	va_list ap;
	int mode;

	va_start(ap, flags);
	mode = mode_of(flags, ap);
	va_end(ap);
	return opened(raw4(SYS_openat, at, (long)path, flags, mode), flags);
}

int close(int fd)
{
	if (kind(fd) == WATCHED_FILE)
		note(IO_RECORD_CLOSE, fd, 0, 0, 0);
	if (kind(fd))
		watched[fd] = NOT_WATCHED;
	return (int)answer(raw1(SYS_close, fd));
}

/* ---- data -------------------------------------------------------------- */

ssize_t pread64(int fd, void *buf, size_t len, off64_t offset)
{
	long ret = raw4(SYS_pread64, fd, (long)buf, (long)len, offset);

	note(IO_RECORD_READ, fd, (uint64_t)offset, len, ret);
	return answer(ret);
}

ssize_t preadv64(int fd, const struct iovec *iov, int n, off64_t offset)
{
	long ret = raw4(SYS_preadv, fd, (long)iov, n, offset);

	note(IO_RECORD_READ, fd, (uint64_t)offset, 0, ret);
	return answer(ret);
}

ssize_t preadv64v2(int fd, const struct iovec *iov, int n, off64_t offset,
		   int flags)
{
	long ret = raw(SYS_preadv2, fd, (long)iov, n, offset, 0, flags);

	note(IO_RECORD_READ, fd, (uint64_t)offset, 0, ret);
	return answer(ret);
}

ssize_t pwrite64(int fd, const void *buf, size_t len, off64_t offset)
{
	struct iovec iov = { .iov_base = (void *)buf, .iov_len = len };
	long ret = raw4(SYS_pwrite64, fd, (long)buf, (long)len, offset);

	note_writev(fd, &iov, 1, (uint64_t)offset, ret);
	return answer(ret);
}

ssize_t pwritev64(int fd, const struct iovec *iov, int n, off64_t offset)
{
	long ret = raw4(SYS_pwritev, fd, (long)iov, n, offset);

	note_writev(fd, iov, n, (uint64_t)offset, ret);
	return answer(ret);
}

int fallocate64(int fd, int mode, off64_t offset, off64_t len)
{
	long ret = raw4(SYS_fallocate, fd, mode, offset, len);
	int op = SEAM_OTHER;

	if (mode & FALLOC_FL_PUNCH_HOLE)
		op = IO_RECORD_PUNCH;
	else if (mode & FALLOC_FL_ZERO_RANGE)
		op = IO_RECORD_ZERO;
	note(op, fd, (uint64_t)offset, (uint64_t)len, ret);
	return (int)answer(ret);
}

ssize_t copy_file_range(int from, off64_t *from_off, int to, off64_t *to_off,
			size_t len, unsigned int flags)
{
	uint64_t offset = to_off ? (uint64_t)*to_off : 0;
	long ret = raw(SYS_copy_file_range, from, (long)from_off, to,
		       (long)to_off, (long)len, flags);

	note(IO_RECORD_COPY, to, offset, len, ret);
	return answer(ret);
}

int fdatasync(int fd)
{
	long ret = raw1(SYS_fdatasync, fd);

	note(IO_RECORD_SYNC, fd, 0, 0, ret);
	return (int)answer(ret);
}

int fsync(int fd)
{
	long ret = raw1(SYS_fsync, fd);
	int op = kind(fd) == WATCHED_DIR ? SEAM_DIRSYNC : IO_RECORD_SYNC;

	note(op, fd, 0, 1, ret);
	return (int)answer(ret);
}

int ftruncate64(int fd, off64_t size)
{
	long ret = raw2(SYS_ftruncate, fd, size);

	note(IO_RECORD_TRUNCATE, fd, (uint64_t)size, 0, ret);
	return (int)answer(ret);
}

/* ---- names ------------------------------------------------------------- */

int linkat(int old_at, const char *old, int at, const char *name, int flags)
{
	long ret = raw(SYS_linkat, old_at, (long)old, at, (long)name, flags, 0);

	note_name(SEAM_LINK, at, name, ret);
	return (int)answer(ret);
}

int unlinkat(int at, const char *name, int flags)
{
	long ret = raw3(SYS_unlinkat, at, (long)name, flags);

	note_name(IO_RECORD_UNLINK, at, name, ret);
	return (int)answer(ret);
}

int unlink(const char *name)
{
	return unlinkat(AT_FDCWD, name, 0);
}

int renameat2(int old_at, const char *old, int at, const char *name,
	      unsigned int flags)
{
	long ret = raw(SYS_renameat2, old_at, (long)old, at, (long)name, flags,
		       0);

	note_name(SEAM_RENAME, at, name, ret);
	return (int)answer(ret);
}

int renameat(int old_at, const char *old, int at, const char *name)
{
	return renameat2(old_at, old, at, name, 0);
}

int rename(const char *old, const char *name)
{
	return renameat2(AT_FDCWD, old, AT_FDCWD, name, 0);
}

/* ---- locks and attributes ---------------------------------------------- */

int fcntl64(int fd, int cmd, ...)
{
	struct flock *fl;
	uint64_t start = 0;
	long arg, ret;
	va_list ap;

	va_start(ap, cmd);
	arg = va_arg(ap, long);
	va_end(ap);
	fl = (struct flock *)arg;
	if (cmd == F_OFD_SETLK || cmd == F_OFD_GETLK)
		start = (uint64_t)fl->l_start;
	ret = raw3(SYS_fcntl, fd, cmd, arg);
	if (cmd == F_OFD_SETLK)
		note(IO_RECORD_LOCK, fd, start, (uint64_t)fl->l_type, ret);
	else if (cmd == F_OFD_GETLK)
		note(IO_RECORD_LOCK, fd, start, SEAM_ASKED, ret);
	return (int)answer(ret);
}

static uint64_t attr_of(const char *name)
{
	return strcmp(name, "user.moo") ? IO_ATTR_CHILDREN : IO_ATTR_STATE;
}

ssize_t fgetxattr(int fd, const char *name, void *value, size_t len)
{
	long ret = raw4(SYS_fgetxattr, fd, (long)name, (long)value, (long)len);

	note(IO_RECORD_GETATTR, fd, attr_of(name), len, ret);
	return answer(ret);
}

int fsetxattr(int fd, const char *name, const void *value, size_t len, int flags)
{
	long ret = raw(SYS_fsetxattr, fd, (long)name, (long)value, (long)len,
		       flags, 0);

	if (kind(fd))
		note_bytes(IO_RECORD_SETATTR, fd, attr_of(name), value, len,
			   ret);
	return (int)answer(ret);
}

int fremovexattr(int fd, const char *name)
{
	long ret = raw2(SYS_fremovexattr, fd, (long)name);

	note(IO_RECORD_SETATTR, fd, attr_of(name), 0,
	     ret == -ENODATA ? 0 : ret);
	return (int)answer(ret);
}

/* ---- ways around ------------------------------------------------------- */

ssize_t read(int fd, void *buf, size_t len)
{
	note(SEAM_OTHER, fd, 0, SYS_read, 0);
	return answer(raw3(SYS_read, fd, (long)buf, (long)len));
}

ssize_t write(int fd, const void *buf, size_t len)
{
	note(SEAM_OTHER, fd, 0, SYS_write, 0);
	return answer(raw3(SYS_write, fd, (long)buf, (long)len));
}

ssize_t writev(int fd, const struct iovec *iov, int n)
{
	note(SEAM_OTHER, fd, 0, SYS_writev, 0);
	return answer(raw3(SYS_writev, fd, (long)iov, n));
}

void *mmap64(void *addr, size_t len, int prot, int flags, int fd,
	     off64_t offset)
{
	long ret = raw(SYS_mmap, (long)addr, (long)len, prot, flags, fd,
		       offset);

	note(SEAM_OTHER, fd, 0, SYS_mmap, 0);
	return ret < 0 && ret > -4096 ? (void *)answer(ret) : (void *)ret;
}

/* Not SYS_sync_file_range: it changes nothing, and makes nothing durable. */
static int touches_files(long nr)
{
	static const short calls[] = {
		SYS_read, SYS_write, SYS_pread64, SYS_pwrite64, SYS_readv,
		SYS_writev, SYS_preadv, SYS_pwritev, SYS_preadv2, SYS_pwritev2,
		SYS_fsync, SYS_fdatasync, SYS_ftruncate, SYS_fallocate,
		SYS_copy_file_range, SYS_sendfile, SYS_splice, SYS_syncfs,
		SYS_fsetxattr, SYS_fremovexattr, SYS_close,
	};
	size_t i;

	for (i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		if (calls[i] == nr)
			return 1;
	return 0;
}

long syscall(long nr, ...)
{
	long arg[6];
	va_list ap;
	int i;

	va_start(ap, nr);
	for (i = 0; i < 6; i++)
		arg[i] = va_arg(ap, long);
	va_end(ap);
	if (touches_files(nr))
		note(SEAM_OTHER, (int)arg[0], 0, (uint64_t)nr, 0);
	return answer(raw(nr, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]));
}
