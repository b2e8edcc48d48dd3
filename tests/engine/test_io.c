// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every operation of every back end, on a file system with a page cache of its
 * own and on one that lives in memory; and the functions that name files.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io.h"
#include "tap.h"

#define KIB		1024u
#define FILE_BYTES	(256 * KIB)
#define MANY		600u

static const char *label;
static const struct io_ops *io;
static struct io_backend *backend;
static void *ctx;
static unsigned int pending;
static char dir[512];

static void done(struct io_desc *desc)
{
	desc->next = NULL;
	pending--;
}

static void collect(void)
{
	struct pollfd pfd = { .fd = backend->fd, .events = POLLIN };

	if (poll(&pfd, 1, 20000) == 1) {
		backend->collect(backend);
		return;
	}
	printf("Bail out! %s: nothing completes\n", label);
	exit(1);
}

static void submit(struct io_desc *desc)
{
	int ret;

	desc->done = done;
	ret = io->submit(ctx, desc);
	if (ret == -EINPROGRESS)
		pending++;
	else if (ret != desc->result)
		ok(false, "%s: answers the result", label);
}

static void wait_all(void)
{
	io->kick(ctx);
	while (pending)
		collect();
}

static int64_t run(struct io_desc *desc)
{
	submit(desc);
	wait_all();
	return desc->result;
}

static const char *in_dir(const char *name)
{
	static char path[2][600];
	static unsigned int turn;

	turn ^= 1;
	snprintf(path[turn], sizeof(path[turn]), "%s/%s", dir, name);
	return path[turn];
}

static uint8_t pattern(uint64_t at)
{
	return (uint8_t)(at * 2654435761u >> 24) | 1;
}

static void fill(uint8_t *buf, uint64_t at, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		buf[i] = pattern(at + i);
}

static bool matches(const uint8_t *buf, uint64_t at, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (buf[i] != pattern(at + i))
			return false;
	return true;
}

static bool all_zero(const uint8_t *buf, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (buf[i])
			return false;
	return true;
}

/* A file of FILE_BYTES of the pattern. */
static int pattern_file(const char *name)
{
	static uint8_t buf[FILE_BYTES];
	int fd = open(in_dir(name), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC,
		      0600);

	fill(buf, 0, sizeof(buf));
	if (fd < 0 || write(fd, buf, sizeof(buf)) != sizeof(buf)) {
		printf("Bail out! %s: %s\n", in_dir(name), strerror(errno));
		exit(1);
	}
	return fd;
}

static uint64_t size_of(int fd)
{
	struct io_stat st;

	return io->stat(ctx, fd, &st) ? 0 : st.size;
}

/* ---- data -------------------------------------------------------------- */

static void test_read(int fd)
{
	static uint8_t buf[16 * KIB];
	struct cow_vec vec[3] = {
		{ buf, 512 }, { buf + 4096, 1024 }, { buf + 8192, 4096 },
	};
	struct io_desc desc = {
		.op = IO_READ, .fd = fd, .offset = 3 * KIB, .len = 5632,
		.vec = vec, .nvec = 3,
	};

	is(run(&desc), 5632, "%s: read of three segments", label);
	ok(matches(buf, 3 * KIB, 512) &&
	   matches(buf + 4096, 3 * KIB + 512, 1024) &&
	   matches(buf + 8192, 3 * KIB + 1536, 4096),
	   "%s: each segment has its bytes", label);

	memset(buf, 0, sizeof(buf));
	desc.skip = 1024;
	desc.len = 1024;
	is(run(&desc), 1024, "%s: read of a part of the segments", label);
	ok(all_zero(buf, 4608) && matches(buf + 4608, 3 * KIB, 512) &&
	   matches(buf + 8192, 3 * KIB + 512, 512) &&
	   all_zero(buf + 8704, 4096),
	   "%s: only that part is filled", label);

	desc.skip = 0;
	desc.len = 5632;
	desc.offset = FILE_BYTES - 700;
	is(run(&desc), 700, "%s: read across the end is short", label);
	desc.offset = FILE_BYTES + 512;
	is(run(&desc), 0, "%s: read behind the end is empty", label);
	desc.fd = -1;
	is(run(&desc), -EBADF, "%s: read without a file", label);
}

static void test_write(int fd)
{
	static uint8_t buf[8 * KIB], back[8 * KIB];
	struct cow_vec vec[2] = { { buf, 1024 }, { buf + 1024, 7 * KIB } };
	struct io_desc desc = {
		.op = IO_WRITE, .fd = fd, .offset = FILE_BYTES - 512,
		.len = 4096, .vec = vec, .nvec = 2, .skip = 512,
	};

	fill(buf, 77, sizeof(buf));
	is(run(&desc), 4096, "%s: write across the end", label);
	is((long long)size_of(fd), FILE_BYTES + 3584, "%s: the file grew",
	   label);
	is(io->pread(ctx, fd, back, 4096, FILE_BYTES - 512), 4096,
	   "%s: read back", label);
	ok(matches(back, 77 + 512, 4096), "%s: what was written", label);
	is(io->pread(ctx, fd, back, 512, FILE_BYTES - 1024), 512,
	   "%s: read before it", label);
	ok(matches(back, FILE_BYTES - 1024, 512), "%s: is as it was", label);
	desc = (struct io_desc){ .op = IO_SYNC, .fd = fd };
	is(run(&desc), 0, "%s: sync", label);
	desc.fd = -1;
	is(run(&desc), -EBADF, "%s: sync without a file", label);
}

/* More segments than one system call or ring entry takes. */
static void test_segments(int fd)
{
	static uint8_t buf[MANY * 512];
	static struct cow_vec vec[MANY];
	struct io_desc desc = {
		.op = IO_WRITE, .fd = fd, .len = sizeof(buf), .vec = vec,
		.nvec = MANY,
	};
	unsigned int i;

	for (i = 0; i < MANY; i++)
		vec[i] = (struct cow_vec){ buf + (MANY - 1 - i) * 512, 512 };
	for (i = 0; i < MANY; i++)
		fill(vec[i].base, i * 512, 512);
	is(run(&desc), sizeof(buf), "%s: write of %u segments", label, MANY);
	memset(buf, 0, sizeof(buf));
	desc.op = IO_READ;
	is(run(&desc), sizeof(buf), "%s: read of %u segments", label, MANY);
	for (i = 0; i < MANY; i++)
		if (!matches(vec[i].base, i * 512, 512))
			break;
	is(i, MANY, "%s: each has its bytes", label);
}

static void test_clear(int fd, enum io_op op, const char *name)
{
	static uint8_t buf[16 * KIB];
	uint64_t size = size_of(fd);
	struct io_desc desc = {
		.op = op, .fd = fd, .offset = 8 * KIB + 512, .len = 5 * KIB,
	};

	is(run(&desc), 0, "%s: %s", label, name);
	is(io->pread(ctx, fd, buf, sizeof(buf), 4 * KIB), sizeof(buf),
	   "%s: read back", label);
	ok(matches(buf, 4 * KIB, 4 * KIB + 512), "%s: what precedes is kept",
	   label);
	ok(all_zero(buf + 4 * KIB + 512, 5 * KIB), "%s: the range is zero",
	   label);
	ok(matches(buf + 9 * KIB + 512, 13 * KIB + 512, 2 * KIB),
	   "%s: what follows is kept", label);

	desc.offset = size - 512;
	desc.len = 4 * KIB;
	is(run(&desc), 0, "%s: %s across the end", label, name);
	is((long long)size_of(fd), (long long)(op == IO_ZERO ?
	   size + 3584 : size), "%s: the file's size after it", label);
	is(io->pread(ctx, fd, buf, 4 * KIB, size - 512),
	   op == IO_ZERO ? 4 * KIB : 512, "%s: bytes there", label);
	ok(all_zero(buf, 512), "%s: they are zero", label);
	desc.fd = -1;
	ok(run(&desc) < 0, "%s: %s without a file fails", label, name);
}

static void test_copy(int fd)
{
	static uint8_t buf[FILE_BYTES];
	int to = open(in_dir("copy"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC,
		      0600);
	struct io_desc desc = {
		.op = IO_COPY, .fd = to, .offset = 512, .len = 128 * KIB,
		.src_fd = fd, .src_offset = 64 * KIB + 512,
	};

	is(run(&desc), 0, "%s: copy", label);
	is(io->pread(ctx, to, buf, FILE_BYTES, 512), 128 * KIB,
	   "%s: read the copy", label);
	ok(matches(buf, 64 * KIB + 512, 128 * KIB), "%s: it is equal", label);

	desc.offset = 0;
	desc.len = 8 * KIB;
	desc.src_offset = FILE_BYTES - 512;
	is(run(&desc), -EIO, "%s: bytes that the source lacks are an error",
	   label);
	close(to);
}

#define PIECES	5

/*
 * Out of order in the source; the second and third are neighbours in both files
 * and in memory, the fourth in memory only.
 */
static const struct {
	uint64_t from, to;
	size_t at;
	uint32_t len;
} piece_plan[PIECES] = {
	{ 200 * KIB, 8 * KIB, 8 * KIB, 4 * KIB },
	{ 16 * KIB, 12 * KIB, 12 * KIB, 4 * KIB },
	{ 20 * KIB, 16 * KIB, 16 * KIB, 512 },
	{ 100 * KIB + 512, 32 * KIB, 16 * KIB + 512, 8 * KIB },
	{ 0, 64 * KIB, 64 * KIB, 60 * KIB },
};

static void plan_pieces(struct io_piece *piece, char *mem)
{
	unsigned int i;

	for (i = 0; i < PIECES; i++)
		piece[i] = (struct io_piece){
			.src_offset = piece_plan[i].from,
			.offset = piece_plan[i].to,
			.base = mem + piece_plan[i].at,
			.len = piece_plan[i].len,
			.read = true,
		};
}

static void test_pieces(int fd)
{
	static char mem[128 * KIB];
	static uint8_t buf[FILE_BYTES];
	struct io_piece piece[PIECES];
	int to = open(in_dir("copy"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC,
		      0600);
	struct io_desc desc = {
		.op = IO_COPY, .fd = to, .src_fd = fd,
		.piece = piece, .npieces = PIECES, .early = true,
	};
	bool equal = true;
	unsigned int i;

	plan_pieces(piece, mem);
	is(run(&desc), 0, "%s: copy pieces", label);
	is(io->pread(ctx, to, buf, FILE_BYTES, 0), 124 * KIB,
	   "%s: read the copies", label);
	for (i = 0; i < PIECES; i++)
		equal &= matches(buf + piece[i].offset, piece[i].src_offset,
				 piece[i].len);
	ok(equal, "%s: they are equal", label);
	ok(all_zero(buf, 8 * KIB), "%s: nothing else is written", label);

	if (ftruncate(to, 0))
		ok(false, "%s: truncate", label);
	plan_pieces(piece, mem);
	piece[PIECES - 1].src_offset = FILE_BYTES - 512;
	is(run(&desc), -EIO, "%s: a piece that the source lacks is an error",
	   label);
	is((long long)size_of(to), 0, "%s: nothing is written then", label);
	close(to);
}

/* copy_file_range() refuses files that append; a pread/pwrite loop does not */
static void test_copy_by_hand(int fd)
{
	static uint8_t buf[FILE_BYTES];
	int to = open(in_dir("copy"), O_RDWR | O_CREAT | O_TRUNC | O_APPEND |
		      O_CLOEXEC, 0600);
	struct io_desc desc = {
		.op = IO_COPY, .fd = to, .len = FILE_BYTES, .src_fd = fd,
	};

	is(run(&desc), 0, "%s: copy by hand", label);
	is(io->pread(ctx, to, buf, FILE_BYTES, 0), FILE_BYTES,
	   "%s: read the copy", label);
	ok(matches(buf, 0, FILE_BYTES), "%s: it is equal", label);
	close(to);
}

/* ---- calls and crowds -------------------------------------------------- */

static pthread_t caller;

static int call(void *arg)
{
	caller = pthread_self();
	return *(int *)arg;
}

static int count(void *arg)
{
	__atomic_fetch_add((unsigned int *)arg, 1, __ATOMIC_SEQ_CST);
	return 0;
}

static void test_call(void)
{
	int answer = -ENOTTY;
	struct io_desc desc = { .op = IO_CALL, .call = call, .arg = &answer };

	is(run(&desc), -ENOTTY, "%s: a call's answer", label);
	ok(!pthread_equal(caller, pthread_self()) == !!backend,
	   "%s: where it ran", label);
}

/* Many at a time, of all kinds, each on its own part of the file. */
static void test_crowd(int fd)
{
	static uint8_t buf[MANY][512];
	static struct io_desc desc[MANY];
	static struct cow_vec vec[MANY];
	unsigned int i, calls = 0, good = 0;

	for (i = 0; i < MANY; i++) {
		static const enum io_op ops[] = {
			IO_WRITE, IO_WRITE, IO_SYNC, IO_CALL,
		};

		fill(buf[i], i * 512, 512);
		vec[i] = (struct cow_vec){ buf[i], 512 };
		desc[i] = (struct io_desc){
			.op = ops[i % 4], .fd = fd, .offset = i * 512,
			.len = 512, .vec = &vec[i], .nvec = 1, .call = count,
			.arg = &calls,
		};
		submit(&desc[i]);
		if (i % 7 == 0)
			io->kick(ctx);
	}
	wait_all();
	for (i = 0; i < MANY; i++)
		good += desc[i].result == (i % 4 < 2 ? 512 : 0);
	is(good, MANY, "%s: a crowd of mixed operations", label);
	is(calls, MANY / 4, "%s: each call was made once", label);

	memset(buf, 0, sizeof(buf));
	for (i = 0; i < MANY; i++) {
		desc[i].op = IO_READ;
		submit(&desc[i]);
	}
	wait_all();
	for (i = 0, good = 0; i < MANY; i++)
		good += i % 4 > 1 || matches(buf[i], i * 512, 512);
	is(good, MANY, "%s: a crowd of reads finds what was written", label);
}

static void test_data(void)
{
	int fd = pattern_file("data");

	test_read(fd);
	test_write(fd);
	test_segments(fd);
	close(fd);
	fd = pattern_file("data");
	test_clear(fd, IO_PUNCH, "punch");
	close(fd);
	fd = pattern_file("data");
	test_clear(fd, IO_ZERO, "zero");
	close(fd);
	fd = pattern_file("data");
	test_copy(fd);
	test_copy_by_hand(fd);
	test_pieces(fd);
	test_call();
	test_crowd(fd);
	close(fd);
	unlink(in_dir("data"));
	unlink(in_dir("copy"));
}

/* ---- names, locks, attributes ------------------------------------------ */

static unsigned int names(void)
{
	char cmd[600];
	unsigned int count = 0;
	FILE *list;

	snprintf(cmd, sizeof(cmd), "ls -A '%s' | wc -l", dir);
	list = popen(cmd, "r");
	if (!list || fscanf(list, "%u", &count) != 1)
		count = ~0u;
	if (list)
		pclose(list);
	return count;
}

static void test_publish(void)
{
	struct io_stat a, b;
	int fd;

	fd = io->create(ctx, in_dir("new"), 0640, ~0u);
	ok(fd >= 0, "%s: create", label);
	is(io->lookup(ctx, in_dir("new"), &a), -ENOENT, "%s: it has no name",
	   label);
	is(io->publish(ctx, fd, in_dir("new")), 0, "%s: publish", label);
	is(io->stat(ctx, fd, &a), 0, "%s: stat", label);
	is(io->lookup(ctx, in_dir("new"), &b), 0, "%s: lookup", label);
	ok(a.id.ino == b.id.ino && a.id.dev == b.id.dev && a.mode == 0640 &&
	   a.kind == IO_KIND_FILE, "%s: it is that file", label);
	is(io->close(ctx, fd), 0, "%s: close", label);
	is(io->create(ctx, in_dir("new"), 0600, ~0u), -EEXIST,
	   "%s: create where there is one", label);

	fd = io->create(ctx, in_dir("other"), 0600, ~0u);
	is(io->publish(ctx, fd, in_dir("new")), -EEXIST,
	   "%s: publish replaces nothing", label);
	is(io->replace(ctx, fd, in_dir("new")), 0, "%s: replace", label);
	io->lookup(ctx, in_dir("new"), &b);
	ok(b.id.ino != a.id.ino && b.mode == 0600,
	   "%s: it is the other file", label);
	is(names(), 1, "%s: and the only one", label);
	io->close(ctx, fd);
	is(io->unlink(ctx, in_dir("new")), 0, "%s: unlink", label);
	is(io->unlink(ctx, in_dir("new")), -ENOENT, "%s: unlink again", label);

	fd = io->create(ctx, in_dir("new"), 0600, ~0u);
	io->close(ctx, fd);
	is(names(), 0, "%s: an unpublished file leaves nothing", label);
	is(io->create(ctx, in_dir("no/new"), 0600, ~0u), -ENOENT,
	   "%s: create without a directory", label);
	is(io->create(ctx, in_dir(""), 0600, ~0u), -EISDIR,
	   "%s: create without a name", label);
}

static void test_open(void)
{
	char buf[COW_PATH_MAX], self[COW_PATH_MAX];
	int fd = pattern_file("file");

	close(fd);
	fd = io->open(ctx, in_dir("file"), 0);
	ok(fd >= 0, "%s: open", label);
	is(io->pwrite(ctx, fd, "x", 1, 0), -EBADF, "%s: it is read only",
	   label);
	is(fcntl(fd, F_GETFL) & O_NONBLOCK, 0, "%s: it waits", label);
	is(fcntl(fd, F_GETFD), FD_CLOEXEC, "%s: it does not survive exec",
	   label);
	is(io->reopen(ctx, fd, IO_OPEN_WRITE), fd + 1, "%s: reopen", label);
	is(io->pwrite(ctx, fd + 1, "x", 1, 0), 0, "%s: that one is writable",
	   label);
	is(io->truncate(ctx, fd + 1, 100), 0, "%s: truncate", label);
	is((long long)size_of(fd), 100, "%s: it is the same file", label);
	io->close(ctx, fd + 1);
	io->close(ctx, fd);

	is(symlink("file", in_dir("link")), 0, "%s: symlink", label);
	is(io->open(ctx, in_dir("link"), IO_OPEN_NOFOLLOW), -ELOOP,
	   "%s: open does not follow", label);
	is(io->realpath(ctx, in_dir("link"), buf), 0, "%s: realpath", label);
	io->realpath(ctx, in_dir("file"), self);
	ok(!strcmp(buf, self) && buf[0] == '/', "%s: it is the file's", label);
	is(io->realpath(ctx, in_dir("none"), buf), -ENOENT,
	   "%s: realpath of nothing", label);
	is(io->open(ctx, in_dir("none"), 0), -ENOENT, "%s: open of nothing",
	   label);
	is(io->open(ctx, dir, 0), -EISDIR, "%s: open of a directory", label);
	is(mkfifo(in_dir("fifo"), 0600), 0, "%s: mkfifo", label);
	is(io->open(ctx, in_dir("fifo"), 0), -EINVAL, "%s: open of a FIFO",
	   label);
	unlink(in_dir("fifo"));
	unlink(in_dir("link"));
	unlink(in_dir("file"));
}

static void test_lock(void)
{
	int fd = pattern_file("lock");
	int a = io->open(ctx, in_dir("lock"), IO_OPEN_WRITE);
	int b = io->open(ctx, in_dir("lock"), IO_OPEN_WRITE);

	is(io->lock(ctx, a, IO_SHARED), 0, "%s: shared lock", label);
	is(io->lock(ctx, b, IO_SHARED), 0, "%s: another", label);
	is(io->lock(ctx, a, IO_EXCLUSIVE), -EAGAIN, "%s: no upgrade", label);
	close(fd);
	is(io->lock(ctx, b, IO_EXCLUSIVE), -EAGAIN,
	   "%s: closing a third descriptor unlocks nothing", label);
	is(io->lock(ctx, a, IO_UNLOCK), 0, "%s: unlock", label);
	is(io->lock(ctx, b, IO_EXCLUSIVE), 0, "%s: exclusive lock", label);
	is(io->lock(ctx, a, IO_SHARED), -EAGAIN, "%s: it excludes", label);
	io->close(ctx, a);
	io->close(ctx, b);
	unlink(in_dir("lock"));
}

static void test_attr(enum io_attr attr)
{
	enum io_attr other = attr == IO_ATTR_STATE ? IO_ATTR_CHILDREN :
						     IO_ATTR_STATE;
	char buf[64];
	int fd = pattern_file("attr");
	int ret = io->getattr(ctx, fd, attr, buf, sizeof(buf));

	if (ret == -EOPNOTSUPP) {
		diag("%s: no extended attributes here", label);
	} else {
		is(ret, -ENODATA, "%s: no attribute", label);
		is(io->setattr(ctx, fd, attr, "record", 6), 0, "%s: set",
		   label);
		is(io->getattr(ctx, fd, attr, buf, sizeof(buf)), 6, "%s: get",
		   label);
		ok(!memcmp(buf, "record", 6), "%s: it is equal", label);
		is(io->getattr(ctx, fd, attr, buf, 5), -ERANGE,
		   "%s: too long", label);
		is(io->getattr(ctx, fd, other, buf, sizeof(buf)), -ENODATA,
		   "%s: it is no other one", label);
		is(io->setattr(ctx, fd, attr, NULL, 0), 0, "%s: remove",
		   label);
		is(io->setattr(ctx, fd, attr, NULL, 0), 0, "%s: again", label);
		is(io->getattr(ctx, fd, attr, buf, sizeof(buf)), -ENODATA,
		   "%s: it is gone", label);
	}
	close(fd);
	unlink(in_dir("attr"));
}

static void test_rest(void)
{
	uint64_t a = 0, b = 0, start = io->now(ctx);

	is(io->random(ctx, &a, sizeof(a)), 0, "%s: random", label);
	io->random(ctx, &b, sizeof(b));
	ok(a != b, "%s: two numbers differ", label);
	ok(io->now(ctx) >= start && start, "%s: the clock is monotonic",
	   label);
}

/* ---- all of them ------------------------------------------------------- */

static void use(const char *name, struct io_backend *be)
{
	label = name;
	backend = be;
	io = be ? &be->ops : &cow_io_sync;
	ctx = be;
	test_data();
	if (be)
		be->stop(be);
}

static void use_threads(const char *name, unsigned int flags)
{
	struct io_backend *be;
	int ret = io_threads_start(&be, 4, flags);

	if (is(ret, 0, "%s: start", name))
		use(name, be);
}

static void use_rings(const char *name, unsigned int flags)
{
	struct io_backend *be;
	int ret = io_rings_start(&be, 2, flags);

	if (!ret)
		use(name, be);
	else
		ok(true, "%s # SKIP the host says %s", name, strerror(-ret));
}

static void use_aio(const char *name, unsigned int flags)
{
	struct io_backend *be;
	int ret = io_aio_start(&be, 4, flags);

	if (!ret)
		use(name, be);
	else
		ok(true, "%s # SKIP the host says %s", name, strerror(-ret));
}

static void test_in(const char *where)
{
	snprintf(dir, sizeof(dir), "%s/test_io.XXXXXX", where);
	if (!mkdtemp(dir)) {
		diag("%s: %s", dir, strerror(errno));
		return;
	}
	diag("in %s", dir);
	use("sync", NULL);
	test_publish();
	test_open();
	test_lock();
	test_attr(IO_ATTR_STATE);
	test_attr(IO_ATTR_CHILDREN);
	test_rest();
	use_threads("threads", 0);
	use_threads("threads, nothing inline", IO_NO_INLINE);
	use_rings("io_uring", 0);
	use_rings("io_uring, nothing inline", IO_NO_INLINE);
	use_aio("libaio", 0);
	use_aio("libaio, nothing inline", IO_NO_INLINE);
	is(rmdir(dir), 0, "nothing was left behind");
}

int main(void)
{
	const char *tmp = getenv("TMPDIR");

	test_in(tmp ? tmp : "/tmp");
	if (!access("/dev/shm", W_OK))
		test_in("/dev/shm");
	return plan_done();
}
