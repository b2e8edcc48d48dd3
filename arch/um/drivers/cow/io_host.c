// SPDX-License-Identifier: GPL-2.0-only
/*
 * Files of the host: opening, naming, locking, describing; all of it blocking.
 *
 * Duty: the functions that every back end has in common.
 *
 * Invariants:
 *  - Any thread. No allocator: scratch memory is mapped, and no function of
 *    the C library that may allocate is called.
 *  - A name appears complete and durable, or not at all (as an empty file first,
 *    where a file system can do neither of what that takes); a name that exists
 *    is replaced by io_host_replace() only.
 *  - A file without a name, or with a temporary one, leaves nothing behind when
 *    it is closed.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "io.h"
#include "io_host.h"

#define FD_LINK_LEN	32
#define TEMP_LEN	32
#define NSEC_PER_SEC	1000000000ull

static int fail(void)
{
	return -errno;
}

static void fd_link(char link[FD_LINK_LEN], int fd)
{
	snprintf(link, FD_LINK_LEN, "/proc/self/fd/%d", fd);
}

/* ---- opening ----------------------------------------------------------- */

static int kind_allowed(mode_t mode)
{
	if (S_ISREG(mode) || S_ISBLK(mode))
		return 0;
	if (S_ISLNK(mode))
		return -ELOOP;
	return S_ISDIR(mode) ? -EISDIR : -EINVAL;
}

/*
 * O_NONBLOCK only keeps open() itself from waiting. It has to go afterwards,
 * since io_uring would answer such a file with EAGAIN instead of waiting.
 */
static int settle(int fd)
{
	struct stat st;
	int flags, ret = 0;

	flags = fcntl(fd, F_GETFL);
	if (fstat(fd, &st) || flags < 0 ||
	    fcntl(fd, F_SETFL, flags & ~O_NONBLOCK))
		ret = fail();
	else
		ret = kind_allowed(st.st_mode);
	if (!ret)
		return fd;
	close(fd);
	return ret;
}

int io_host_open(void *ctx, const char *path, unsigned int flags)
{
	int how = O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
	struct stat st;
	int fd, ret;

	(void)ctx;
	how |= flags & IO_OPEN_WRITE ? O_RDWR : O_RDONLY;
	if (flags & IO_OPEN_NOFOLLOW)
		how |= O_NOFOLLOW;
	if (flags & IO_OPEN_DIRECT)
		how |= O_DIRECT;
	/* Opening can have effects of its own on what is neither. */
	if (fstatat(AT_FDCWD, path, &st,
		    flags & IO_OPEN_NOFOLLOW ? AT_SYMLINK_NOFOLLOW : 0))
		return fail();
	ret = kind_allowed(st.st_mode);
	if (ret)
		return ret;
	do {
		fd = open(path, how);
	} while (fd < 0 && errno == EINTR);
	return fd < 0 ? fail() : settle(fd);
}

static int reopen_direct(const char *link, unsigned int flags)
{
	int fd = io_host_open(NULL, link, flags);
	int ret;

	/* What open() says of a file system that has no direct I/O. */
	if (fd == -EINVAL)
		return -EOPNOTSUPP;
	if (fd < 0)
		return fd;
	ret = io_direct_probe(fd);
	if (!ret)
		return fd;
	close(fd);
	return ret;
}

int io_host_reopen(void *ctx, int fd, unsigned int flags)
{
	char link[FD_LINK_LEN];

	fd_link(link, fd);
	flags &= ~IO_OPEN_NOFOLLOW;
	if (flags & IO_OPEN_DIRECT)
		return reopen_direct(link, flags);
	return io_host_open(ctx, link, flags);
}

/* ---- describing -------------------------------------------------------- */

static enum io_kind kind_of(mode_t mode)
{
	if (S_ISREG(mode))
		return IO_KIND_FILE;
	return S_ISBLK(mode) ? IO_KIND_BLOCK : IO_KIND_OTHER;
}

/* A block device is known by its number, whatever node it was opened by. */
static void describe(const struct statx *stx, struct io_stat *st)
{
	memset(st, 0, sizeof(*st));
	st->kind = kind_of(stx->stx_mode);
	st->mtime_sec = stx->stx_mtime.tv_sec;
	st->mtime_nsec = stx->stx_mtime.tv_nsec;
	st->mode = stx->stx_mode & 07777;
	st->gid = stx->stx_gid;
	if (st->kind == IO_KIND_BLOCK) {
		st->id.dev = makedev(stx->stx_rdev_major, stx->stx_rdev_minor);
		return;
	}
	st->id.dev = makedev(stx->stx_dev_major, stx->stx_dev_minor);
	st->id.ino = stx->stx_ino;
	st->size = stx->stx_size;
	st->allocated = stx->stx_blocks * COW_SECTOR_SIZE;
	if (stx->stx_mask & STATX_BTIME) {
		st->id.birth_sec = stx->stx_btime.tv_sec;
		st->id.birth_nsec = stx->stx_btime.tv_nsec;
	}
}

static int block_size(int fd, struct io_stat *st)
{
	uint64_t size;

	if (ioctl(fd, BLKGETSIZE64, &size))
		return fail();
	st->size = size;
	st->allocated = size;
	return 0;
}

/*
 * FAT has no inodes. Of those in user space some make numbers up, too; who knows
 * when a file was made is taken for one that does not. An overlay copies a file
 * from below when it is opened to be written: the number stays, the copy is young.
 */
static void describe_home(int fd, struct io_stat *st)
{
	struct statfs fs;

	if (fstatfs(fd, &fs))
		return;
	switch (fs.f_type) {
	case MSDOS_SUPER_MAGIC:
	case EXFAT_SUPER_MAGIC:
		st->fleeting = true;
		break;
	case FUSE_SUPER_MAGIC:
		st->fleeting = !st->id.birth_sec;
		break;
	case OVERLAYFS_SUPER_MAGIC:
		st->reborn = true;
		break;
	}
}

int io_host_stat(void *ctx, int fd, struct io_stat *st)
{
	struct statx stx;

	(void)ctx;
	if (statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, &stx))
		return fail();
	describe(&stx, st);
	if (st->kind == IO_KIND_BLOCK)
		return block_size(fd, st);
	describe_home(fd, st);
	return 0;
}

int io_host_lookup(void *ctx, const char *path, struct io_stat *st)
{
	struct statx stx;
	int fd, ret;

	if (statx(AT_FDCWD, path, 0, STATX_BASIC_STATS | STATX_BTIME, &stx))
		return fail();
	describe(&stx, st);
	if (st->kind != IO_KIND_BLOCK)
		return 0;
	fd = io_host_open(ctx, path, 0);
	if (fd < 0)
		return fd;
	ret = io_host_stat(ctx, fd, st);
	close(fd);
	return ret;
}

int64_t io_host_next_data(void *ctx, int fd, uint64_t off)
{
	off_t data = lseek(fd, off, SEEK_DATA);

	(void)ctx;
	if (data >= 0)
		return data;
	/* Not every file system knows, and no block device does. */
	return errno == ENXIO ? INT64_MAX : (int64_t)off;
}

int io_host_realpath(void *ctx, const char *path, char buf[COW_PATH_MAX])
{
	char link[FD_LINK_LEN];
	ssize_t len;
	int fd, ret = 0;

	(void)ctx;
	fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return fail();
	fd_link(link, fd);
	len = readlink(link, buf, COW_PATH_MAX);
	if (len < 0)
		ret = fail();
	else if (len == COW_PATH_MAX)
		ret = -ENAMETOOLONG;
	else
		buf[len] = '\0';
	close(fd);
	return ret;
}

/* ---- data -------------------------------------------------------------- */

int64_t io_host_pread(void *ctx, int fd, void *buf, size_t len, uint64_t off)
{
	size_t done = 0;

	(void)ctx;
	while (done < len) {
		ssize_t got = pread(fd, (char *)buf + done, len - done,
				    (off_t)(off + done));

		if (!got)
			break;
		if (got > 0)
			done += (size_t)got;
		else if (errno != EINTR)
			return fail();
	}
	return (int64_t)done;
}

int io_host_pwrite(void *ctx, int fd, const void *buf, size_t len, uint64_t off)
{
	size_t done = 0;

	(void)ctx;
	while (done < len) {
		ssize_t put = pwrite(fd, (const char *)buf + done, len - done,
				     (off_t)(off + done));

		if (!put)
			return -ENOSPC;
		if (put > 0)
			done += (size_t)put;
		else if (errno != EINTR)
			return fail();
	}
	return 0;
}

int io_host_sync(void *ctx, int fd)
{
	int ret;

	(void)ctx;
	do {
		ret = fsync(fd);
	} while (ret && errno == EINTR);
	return ret ? fail() : 0;
}

int io_host_datasync(int fd)
{
	int ret;

	do {
		ret = fdatasync(fd);
	} while (ret && errno == EINTR);
	return ret ? fail() : 0;
}

int io_host_truncate(void *ctx, int fd, uint64_t size)
{
	int ret;

	(void)ctx;
	do {
		ret = ftruncate(fd, (off_t)size);
	} while (ret && errno == EINTR);
	return ret ? fail() : 0;
}

/* ---- names ------------------------------------------------------------- */

/*
 * Files that had to be given a temporary name, by descriptor plus one; 0 is a
 * free place. More at a time than there are places is an error, not a leak.
 */
#define TEMPORARIES	64u
static int temporary[TEMPORARIES];

static bool swap_temporary(int from, int to)
{
	unsigned int i;

	for (i = 0; i < TEMPORARIES; i++) {
		int expected = from;

		if (__atomic_compare_exchange_n(&temporary[i], &expected, to,
						false, __ATOMIC_SEQ_CST,
						__ATOMIC_SEQ_CST))
			return true;
	}
	return false;
}

static bool is_temporary(int fd)
{
	unsigned int i;

	for (i = 0; i < TEMPORARIES; i++)
		if (__atomic_load_n(&temporary[i], __ATOMIC_SEQ_CST) == fd + 1)
			return true;
	return false;
}

/* A path, taken apart: its directory, open, and the name in it. */
struct place {
	int dir;
	const char *name;
};

static int open_dir(const char *path, size_t len)
{
	char *dir;
	int fd;

	if (len >= COW_PATH_MAX)
		return -ENAMETOOLONG;
	dir = io_map(COW_PATH_MAX);
	if (!dir)
		return -ENOMEM;
	memcpy(dir, path, len);
	fd = open(len ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		fd = fail();
	io_unmap(dir, COW_PATH_MAX);
	return fd;
}

/* The slash stays with the directory, so that "/name" has one, too. */
static int place_open(struct place *place, const char *path)
{
	const char *slash = strrchr(path, '/');

	place->name = slash ? slash + 1 : path;
	if (!*place->name)
		return -EISDIR;
	place->dir = open_dir(path, (size_t)(place->name - path));
	return place->dir < 0 ? place->dir : 0;
}

static void place_close(struct place *place)
{
	close(place->dir);
}

static int place_sync(const struct place *place)
{
	int ret;

	do {
		ret = fsync(place->dir);
	} while (ret && errno == EINTR);
	/* Some file systems can not sync a directory, and need no sync. */
	return ret && errno != EINVAL ? fail() : 0;
}

static int place_is_free(const struct place *place)
{
	struct stat st;

	if (!fstatat(place->dir, place->name, &st, AT_SYMLINK_NOFOLLOW))
		return -EEXIST;
	return errno == ENOENT ? 0 : fail();
}

static int temporary_name(char name[TEMP_LEN])
{
	uint64_t number;
	int ret;

	ret = io_host_random(NULL, &number, sizeof(number));
	if (ret)
		return ret;
	snprintf(name, TEMP_LEN, ".moo-%016llx", (unsigned long long)number);
	return 0;
}

static int create_named(const struct place *place)
{
	char name[TEMP_LEN];
	int fd, ret;

	ret = temporary_name(name);
	if (ret)
		return ret;
	fd = openat(place->dir, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC,
		    0600);
	if (fd < 0)
		return fail();
	if (swap_temporary(0, fd + 1))
		return fd;
	unlinkat(place->dir, name, 0);
	close(fd);
	return -EMFILE;
}

static int create_unnamed(const struct place *place)
{
	int fd = openat(place->dir, ".", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);

	if (fd >= 0)
		return fd;
	if (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL ||
	    errno == ENOENT)
		return create_named(place);
	return fail();
}

/*
 * Where the group can not be given, its rights are not given either: they
 * would go to another group.
 */
static int set_rights(int fd, uint32_t mode, uint32_t gid)
{
	if (gid != ~0u && fchown(fd, (uid_t)-1, gid))
		mode &= ~070u;
	if (!fchmod(fd, mode & 0777))
		return 0;
	/* It is our own: on this file system the rights are those of its mount. */
	return errno == EPERM || errno == EOPNOTSUPP || errno == ENOSYS ?
	       0 : fail();
}

int io_host_create(void *ctx, const char *path, uint32_t mode, uint32_t gid)
{
	struct place place;
	int fd, ret;

	ret = place_open(&place, path);
	if (ret)
		return ret;
	ret = place_is_free(&place);
	fd = ret ? ret : create_unnamed(&place);
	place_close(&place);
	if (fd < 0)
		return fd;
	ret = set_rights(fd, mode, gid);
	if (!ret)
		return fd;
	io_host_close(ctx, fd);
	return ret;
}

/* The present name of a file that has a temporary one. */
static int name_of(int fd, char *buf)
{
	char link[FD_LINK_LEN];
	ssize_t len;

	fd_link(link, fd);
	len = readlink(link, buf, COW_PATH_MAX);
	if (len < 0)
		return fail();
	if (len == COW_PATH_MAX)
		return -ENAMETOOLONG;
	buf[len] = '\0';
	return 0;
}

/* An empty file takes the name, if it is free, and is then replaced. */
static int move_over_empty(const char *old, const struct place *to)
{
	int fd = openat(to->dir, to->name, O_WRONLY | O_CREAT | O_EXCL |
					   O_NOFOLLOW | O_CLOEXEC, 0600);
	int ret;

	if (fd < 0)
		return fail();
	close(fd);
	if (!renameat(AT_FDCWD, old, to->dir, to->name))
		return 0;
	ret = fail();
	unlinkat(to->dir, to->name, 0);
	return ret;
}

/* Not every file system that renames can refuse to replace while doing so. */
static int move_noreplace(const char *old, const struct place *to)
{
	if (!renameat2(AT_FDCWD, old, to->dir, to->name, RENAME_NOREPLACE))
		return 0;
	if (errno != EINVAL)
		return fail();
	if (!linkat(AT_FDCWD, old, to->dir, to->name, 0))
		return unlink(old) ? fail() : 0;
	if (errno != EPERM && errno != EOPNOTSUPP && errno != ENOSYS)
		return fail();
	return move_over_empty(old, to);
}

int io_host_rename_new(const char *old, const char *path)
{
	struct place place;
	int ret;

	ret = place_open(&place, path);
	if (ret)
		return ret;
	ret = move_noreplace(old, &place);
	place_close(&place);
	return ret;
}

static int move(const char *old, const struct place *to, bool replace)
{
	if (!replace)
		return move_noreplace(old, to);
	return renameat(AT_FDCWD, old, to->dir, to->name) ? fail() : 0;
}

static int move_temporary(int fd, const struct place *to, bool replace)
{
	char *old = io_map(COW_PATH_MAX);
	int ret;

	if (!old)
		return -ENOMEM;
	ret = name_of(fd, old);
	if (!ret)
		ret = move(old, to, replace);
	if (!ret)
		swap_temporary(fd + 1, 0);
	io_unmap(old, COW_PATH_MAX);
	return ret;
}

/* The second form needs a privilege, the first a mounted /proc. */
static int link_unnamed(int fd, const struct place *to, const char *name)
{
	char link[FD_LINK_LEN];

	fd_link(link, fd);
	if (!linkat(AT_FDCWD, link, to->dir, name, AT_SYMLINK_FOLLOW))
		return 0;
	if (errno != ENOENT)
		return fail();
	return linkat(fd, "", to->dir, name, AT_EMPTY_PATH) ? fail() : 0;
}

static int replace_by_unnamed(int fd, const struct place *to)
{
	char name[TEMP_LEN];
	int ret;

	ret = temporary_name(name);
	if (!ret)
		ret = link_unnamed(fd, to, name);
	if (ret)
		return ret;
	if (!renameat(to->dir, name, to->dir, to->name))
		return 0;
	ret = fail();
	unlinkat(to->dir, name, 0);
	return ret;
}

static int give_name(int fd, const char *path, bool replace)
{
	struct place place;
	int ret;

	ret = place_open(&place, path);
	if (ret)
		return ret;
	if (is_temporary(fd))
		ret = move_temporary(fd, &place, replace);
	else if (replace)
		ret = replace_by_unnamed(fd, &place);
	else
		ret = link_unnamed(fd, &place, place.name);
	if (!ret) {
		ret = place_sync(&place);
		/* One that may not last is not left for others to find. */
		if (ret && !replace)
			unlinkat(place.dir, place.name, 0);
	}
	place_close(&place);
	return ret;
}

int io_host_publish(void *ctx, int fd, const char *path)
{
	(void)ctx;
	return give_name(fd, path, false);
}

int io_host_replace(void *ctx, int fd, const char *path)
{
	(void)ctx;
	return give_name(fd, path, true);
}

int io_host_unlink(void *ctx, const char *path)
{
	struct place place;
	int ret;

	(void)ctx;
	ret = place_open(&place, path);
	if (ret)
		return ret;
	ret = unlinkat(place.dir, place.name, 0) ? fail() : 0;
	if (!ret)
		ret = place_sync(&place);
	place_close(&place);
	return ret;
}

static void remove_temporary(int fd)
{
	char *name = io_map(COW_PATH_MAX);

	if (name && !name_of(fd, name))
		unlink(name);
	io_unmap(name, COW_PATH_MAX);
}

/* Linux has closed the descriptor even where close() was interrupted. */
int io_host_close(void *ctx, int fd)
{
	(void)ctx;
	if (swap_temporary(fd + 1, 0))
		remove_temporary(fd);
	return close(fd) && errno != EINTR ? fail() : 0;
}

/* ---- locks and attributes ---------------------------------------------- */

/* Behind the last byte that a file can have; pin, seal and list lie beyond. */
#define LOCKED	((off_t)1 << 62)

static int set_lock(int fd, int cmd, struct flock *fl)
{
	int ret;

	do {
		ret = fcntl(fd, cmd, fl);
	} while (ret && errno == EINTR);
	if (!ret)
		return 0;
	return errno == EACCES ? -EAGAIN : fail();
}

static int is_pinned(int fd)
{
	struct flock fl = {
		.l_type = F_WRLCK,
		.l_whence = SEEK_SET,
		.l_start = LOCKED,
		.l_len = 1,
	};
	int ret = set_lock(fd, F_OFD_GETLK, &fl);

	return !ret && fl.l_type != F_UNLCK ? -EAGAIN : ret;
}

int io_host_lock(void *ctx, int fd, enum io_lock lock)
{
	static const short types[] = {
		[IO_UNLOCK] = F_UNLCK,
		[IO_SHARED] = F_RDLCK,
		[IO_EXCLUSIVE] = F_WRLCK,
		[IO_PIN] = F_RDLCK,
		[IO_SEAL] = F_WRLCK,
		[IO_LIST] = F_WRLCK,
	};
	static const short beyond[] = {
		[IO_PIN] = 0,
		[IO_SEAL] = 1,
		[IO_LIST] = 2,
	};
	struct flock fl = { .l_whence = SEEK_SET, .l_len = LOCKED };

	(void)ctx;
	if (lock == IO_PINNED)
		return is_pinned(fd);
	fl.l_type = types[lock];
	if (lock >= IO_PIN) {
		fl.l_start = LOCKED + beyond[lock];
		fl.l_len = 1;
	}
	return set_lock(fd, F_OFD_SETLK, &fl);
}

static const char * const attr_names[] = {
	[IO_ATTR_STATE] = "user.moo",
	[IO_ATTR_CHILDREN] = "user.moo.children",
};

int io_host_getattr(void *ctx, int fd, enum io_attr attr, void *buf, size_t len)
{
	ssize_t ret = fgetxattr(fd, attr_names[attr], buf, len);

	(void)ctx;
	return ret < 0 ? fail() : (int)ret;
}

/* An inode's own room for attributes may be short where the disk's is not. */
static int no_attribute(void)
{
	switch (errno) {
	case E2BIG:
	case ENOSPC:
	case ERANGE:
		return -EOPNOTSUPP;
	}
	return fail();
}

int io_host_setattr(void *ctx, int fd, enum io_attr attr, const void *buf,
		    size_t len)
{
	int ret;

	(void)ctx;
	if (len)
		ret = fsetxattr(fd, attr_names[attr], buf, len, 0);
	else
		ret = fremovexattr(fd, attr_names[attr]);
	if (ret && len)
		return no_attribute();
	if (ret && errno != ENODATA)
		return fail();
	do {
		ret = fsync(fd);
	} while (ret && errno == EINTR);
	return ret ? -EIO : 0;
}

/* ---- the rest ---------------------------------------------------------- */

int io_host_random(void *ctx, void *buf, size_t len)
{
	size_t done = 0;

	(void)ctx;
	while (done < len) {
		ssize_t got = getrandom((char *)buf + done, len - done, 0);

		if (got > 0)
			done += (size_t)got;
		else if (errno != EINTR)
			return fail();
	}
	return 0;
}

uint64_t io_host_now(void *ctx)
{
	struct timespec ts;

	(void)ctx;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

void io_host_nap(void *ctx, unsigned int ms)
{
	struct timespec left = {
		.tv_sec = ms / 1000,
		.tv_nsec = ms % 1000 * 1000000L,
	};

	(void)ctx;
	while (nanosleep(&left, &left) && errno == EINTR)
		;
}
