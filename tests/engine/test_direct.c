// SPDX-License-Identifier: GPL-2.0-only
/*
 * Files past the host's cache: every back end on them, and which layers of a
 * chain are such files. On a disk, since what lives in memory takes anything for
 * aligned.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io.h"
#include "rig.h"
#include "tap.h"

#define SECTOR		512u
#define SECTORS		2048u
#define FILE_BYTES	(SECTORS * SECTOR)
#define CROWD		600u

static const char *label;
static const struct io_ops *io;
static struct io_backend *backend;
static unsigned int pending;
static uint64_t seed;

static const char *path_of(const char *name)
{
	static char path[4][300];
	static unsigned int turn;

	turn = (turn + 1) % 4;
	snprintf(path[turn], sizeof(path[turn]), "%s/%s", rig_disk_dir(), name);
	return path[turn];
}

static uint64_t pick(uint64_t n)
{
	return tap_random(&seed) % n;
}

/* ---- descriptors ------------------------------------------------------- */

static void done(struct io_desc *desc)
{
	(void)desc;
	pending--;
}

static void submit(struct io_desc *desc)
{
	desc->done = done;
	if (io->submit(backend, desc) == -EINPROGRESS)
		pending++;
}

static void wait_all(void)
{
	io->kick(backend);
	while (pending) {
		struct pollfd pfd = { .fd = backend->fd, .events = POLLIN };

		if (poll(&pfd, 1, 20000) != 1) {
			printf("Bail out! %s: nothing completes\n", label);
			exit(1);
		}
		backend->collect(backend);
	}
}

static int64_t run(struct io_desc *desc)
{
	submit(desc);
	wait_all();
	return desc->result;
}

/* ---- files ------------------------------------------------------------- */

static uint8_t content[2 * FILE_BYTES] __attribute__((aligned(4096)));
static uint8_t back[2 * FILE_BYTES] __attribute__((aligned(4096)));

static void scramble(uint8_t *buf, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		buf[i] = (uint8_t)(tap_random(&seed) >> 32);
}

/* A buffered descriptor of a file with fresh content. */
static int make_file(const char *name, size_t bytes)
{
	int fd = open(path_of(name), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC,
		      0600);

	scramble(content, bytes);
	if (fd < 0 || cow_io_sync.pwrite(NULL, fd, content, bytes, 0)) {
		printf("Bail out! %s: %s\n", path_of(name), strerror(errno));
		exit(1);
	}
	return fd;
}

static int direct(int fd)
{
	return cow_io_sync.reopen(NULL, fd, IO_OPEN_WRITE | IO_OPEN_DIRECT);
}

/* Through the cache: what is in the file from 0 on. */
static bool file_is(int fd, const uint8_t *want, size_t bytes)
{
	return cow_io_sync.pread(NULL, fd, back, sizeof(back), 0) ==
	       (int64_t)bytes && !memcmp(back, want, bytes);
}

/* ---- a back end -------------------------------------------------------- */

struct piece {
	struct io_desc desc;
	struct cow_vec vec[3];
	uint8_t *mem;
};

/* Cut at sectors; memory is at any place where @odd. */
static void prepare(struct piece *piece, enum io_op op, int fd, uint64_t sector,
		    uint64_t count, bool odd)
{
	uint64_t cut = pick(count + 1);

	piece->mem = aligned_alloc(4096, (count + 8) * SECTOR / 4096 * 4096 +
				   4096);
	memset(piece->mem, 0xa5, count * SECTOR + 64);
	piece->vec[0] = (struct cow_vec){ piece->mem + odd, cut * SECTOR };
	piece->vec[1] = (struct cow_vec){ piece->mem + odd + cut * SECTOR,
					  (count - cut) * SECTOR };
	piece->desc = (struct io_desc){
		.op = op, .fd = fd, .direct = true, .offset = sector * SECTOR,
		.len = count * SECTOR, .vec = piece->vec, .nvec = 2,
	};
}

/* More at a time than there are entries, each on its own part of the file. */
static void test_crowd(int fd, int direct_fd)
{
	static struct piece pieces[CROWD];
	const uint64_t each = SECTORS / CROWD;
	unsigned int i, good = 0;

	for (i = 0; i < CROWD; i++) {
		struct piece *piece = &pieces[i];
		bool odd = i % 5 == 0;

		prepare(piece, i % 2 ? IO_READ : IO_WRITE, direct_fd, i * each,
			1 + pick(each), odd);
		if (i % 2 == 0) {
			scramble(piece->mem + odd, piece->desc.len);
			memcpy(content + piece->desc.offset, piece->mem + odd,
			       piece->desc.len);
		}
		submit(&piece->desc);
		if (i % 7 == 0)
			io->kick(backend);
	}
	wait_all();
	for (i = 0; i < CROWD; i++) {
		struct io_desc *desc = &pieces[i].desc;

		good += desc->result == (int64_t)desc->len &&
			!memcmp(pieces[i].vec[0].base, content + desc->offset,
				desc->len);
		free(pieces[i].mem);
	}
	is(good, CROWD, "%s: a crowd of reads and writes", label);
	ok(file_is(fd, content, FILE_BYTES), "%s: the file is as it should be",
	   label);
}

/* More segments than one entry takes. */
static void test_segments(int direct_fd)
{
	static struct cow_vec vec[SECTORS];
	struct io_desc desc = {
		.op = IO_READ, .fd = direct_fd, .direct = true,
		.len = FILE_BYTES, .vec = vec, .nvec = SECTORS,
	};
	unsigned int i, good = 0;

	for (i = 0; i < SECTORS; i++)
		vec[i] = (struct cow_vec){
			back + (SECTORS - 1 - i) * SECTOR, SECTOR,
		};
	is(run(&desc), FILE_BYTES, "%s: read of %u segments", label, SECTORS);
	for (i = 0; i < SECTORS; i++)
		good += !memcmp(vec[i].base, content + i * SECTOR, SECTOR);
	is(good, SECTORS, "%s: each has its bytes", label);
}

static void test_end(int fd, int direct_fd)
{
	struct cow_vec vec = { back, 8 * SECTOR };
	struct io_desc desc = {
		.op = IO_READ, .fd = direct_fd, .direct = true,
		.offset = FILE_BYTES - 3 * SECTOR, .len = 8 * SECTOR,
		.vec = &vec, .nvec = 1,
	};
	struct io_stat st;

	is(run(&desc), 3 * SECTOR, "%s: a read across the end is short", label);
	desc.offset = FILE_BYTES + SECTOR;
	is(run(&desc), 0, "%s: a read behind it is empty", label);
	desc.fd = -1;
	is(run(&desc), -EBADF, "%s: a read without a file", label);
	desc.op = IO_WRITE;
	is(run(&desc), -EBADF, "%s: a write without a file", label);
	desc.fd = direct_fd;
	desc.offset = FILE_BYTES - SECTOR;
	vec.base = content + desc.offset;
	scramble(vec.base, desc.len);
	is(run(&desc), 8 * SECTOR, "%s: a write across the end", label);
	cow_io_sync.stat(NULL, fd, &st);
	is((long long)st.size, FILE_BYTES + 7 * SECTOR, "%s: the file grew",
	   label);
	desc = (struct io_desc){ .op = IO_SYNC, .fd = direct_fd };
	is(run(&desc), 0, "%s: sync", label);
	ok(file_is(fd, content, FILE_BYTES + 7 * SECTOR),
	   "%s: the file is as it should be", label);
}

static void test_clear(int fd, int direct_fd, enum io_op op)
{
	uint64_t size = FILE_BYTES + 7 * SECTOR;
	struct io_desc desc = {
		.op = op, .fd = direct_fd, .direct = true,
		.offset = 9 * SECTOR, .len = 21 * SECTOR,
	};

	is(run(&desc), 0, "%s: %s", label, op == IO_ZERO ? "zero" : "punch");
	memset(content + desc.offset, 0, desc.len);
	desc.offset = size - SECTOR;
	desc.len = 5 * SECTOR;
	is(run(&desc), 0, "%s: across the end", label);
	memset(content + desc.offset, 0, desc.len);
	if (op == IO_ZERO)
		size += 4 * SECTOR;
	ok(file_is(fd, content, size), "%s: the file is as it should be",
	   label);
	if (ftruncate(fd, FILE_BYTES + 7 * SECTOR))
		ok(false, "%s: truncate", label);
}

/* One of both files, or both, past the cache. */
static void test_copy(int fd, int direct_fd)
{
	int to = make_file("copy", SECTOR), direct_to = direct(to), way;

	cow_io_sync.pread(NULL, fd, content, FILE_BYTES, 0);
	for (way = 0; way < 3; way++) {
		struct io_desc desc = {
			.op = IO_COPY, .direct = true,
			.src_fd = way == 1 ? fd : direct_fd,
			.fd = way == 2 ? to : direct_to,
			.src_offset = 3 * SECTOR, .len = FILE_BYTES / 2,
		};

		if (ftruncate(to, 0))
			ok(false, "%s: truncate", label);
		is(run(&desc), 0, "%s: copy", label);
		ok(file_is(to, content + 3 * SECTOR, FILE_BYTES / 2),
		   "%s: it is equal", label);
		desc.src_offset = 4 * FILE_BYTES;
		is(run(&desc), -EIO,
		   "%s: bytes that the source lacks are an error", label);
	}
	close(direct_to);
	close(to);
}

static void use(const char *name, struct io_backend *be)
{
	int fd = make_file("data", FILE_BYTES), direct_fd = direct(fd);

	label = name;
	backend = be;
	io = be ? &be->ops : &cow_io_sync;
	ok(fcntl(direct_fd, F_GETFL) & O_DIRECT, "%s: the file is opened",
	   label);
	test_crowd(fd, direct_fd);
	test_segments(direct_fd);
	test_end(fd, direct_fd);
	test_clear(fd, direct_fd, IO_PUNCH);
	test_clear(fd, direct_fd, IO_ZERO);
	test_copy(fd, direct_fd);
	close(direct_fd);
	close(fd);
	if (be)
		be->stop(be);
}

static void backends(void)
{
	struct io_backend *be;

	use("sync", NULL);
	if (!io_threads_start(&be, 4, 0))
		use("threads", be);
	if (!io_rings_start(&be, 2, 0))
		use("io_uring", be);
	else
		ok(true, "io_uring # SKIP the host does not allow it");
	if (!io_aio_start(&be, 4, 0))
		use("libaio", be);
	else
		ok(true, "libaio # SKIP the host does not allow it");
}

/* ---- layers ------------------------------------------------------------ */

static struct rig rig;
static unsigned int moved, astray;	/* descriptors past the cache, and not */
static unsigned int said;
static char line[COW_ERROR_LEN];

/* Is each descriptor what its file says? */
static int look(void *ctx, struct io_desc *desc)
{
	bool is_direct = fcntl(desc->fd, F_GETFL) & O_DIRECT;

	(void)ctx;
	if (desc->op == IO_READ || desc->op == IO_WRITE) {
		if (is_direct != desc->direct ||
		    (is_direct && !io_direct_fits(desc)))
			printf("Bail out! descriptor and file differ\n");
		moved += is_direct;
		astray += !is_direct;
	}
	return cow_io_sync.submit(NULL, desc);
}

static void say(const char *text)
{
	said++;
	snprintf(line, sizeof(line), "%s", text);
}

static struct common_file *open_chain(const char *name, const char *parent)
{
	struct cow_open_args args = {
		.name = name, .parent = parent, .direct = true,
	};
	struct cow_error err = { "" };
	struct common_file *file = NULL;

	moved = 0;
	astray = 0;
	said = 0;
	if (common_open(&rig.env, &args, &file, &err))
		printf("Bail out! %s\n", err.text);
	return file;
}

/* Writes here and there, flushed; true if all reads as it should. */
static bool works(struct common_file *file)
{
	static uint8_t buf[64 * SECTOR] __attribute__((aligned(4096)));
	unsigned int i;
	bool good = true;

	for (i = 0; i < 40 && good; i++) {
		uint64_t len = (1 + pick(64)) * SECTOR;
		uint64_t at = pick(SECTORS - 64) * SECTOR;

		scramble(buf, len);
		buf[0] = 'x';
		memcpy(content + at, buf, len);
		good = !rig_rw(&rig, file, COMMON_WRITE, buf, at, len,
			       i % 8 ? 0 : COMMON_FUA);
	}
	return good && !rig_rw(&rig, file, COMMON_FLUSH, NULL, 0, 0, 0) &&
	       !rig_rw(&rig, file, COMMON_READ, back, 0, FILE_BYTES, 0) &&
	       !memcmp(back, content, FILE_BYTES);
}

static bool create(const char *name, const char *parent, unsigned int version,
		   uint64_t padding)
{
	struct cow_create_args args = {
		.name = name, .parent = parent, .version = version,
		.padding = padding, .mode = 0600, .gid = ~0u,
	};
	struct cow_error err = { "" };

	if (!cow_create(&rig.env, &args, &err))
		return true;
	diag("%s", err.text);
	return false;
}

static void make_base(const char *name, size_t bytes)
{
	close(make_file(name, bytes));
	memset(content + bytes, 0, sizeof(content) - bytes);
}

static void layer_of(unsigned int version, uint64_t padding)
{
	char base[300], top[300];
	struct common_file *file;

	snprintf(base, sizeof(base), "%s", path_of("base"));
	snprintf(top, sizeof(top), "%s", path_of("top"));
	make_base("base", FILE_BYTES);
	unlink(top);
	ok(create(top, base, version, padding), "V%u, padding %llu: made",
	   version, (unsigned long long)padding);
	file = open_chain(top, NULL);
	ok(works(file), "V%u: it reads as it was written", version);
	ok(moved && !astray && !said, "V%u: all past the cache", version);
	if (version == 4) {
		unlink(path_of("next"));
		is(rig_snapshot(&rig, file, "next"), 0, "a snapshot");
		ok(works(file), "it reads as it was written");
		is(rig_merge(&rig, file, false, true), 0, "is merged back");
	}
	ok(works(file), "V%u: it reads as it was written", version);
	is(rig_merge(&rig, file, true, true), 0, "V%u: is merged into its base",
	   version);
	ok(works(file), "the base reads as it was written");
	ok(moved && !astray, "all past the cache");
	rig_close(&rig, file);
	file = open_chain(base, NULL);
	ok(works(file) && !astray, "and again when it is opened");
	rig_close(&rig, file);
}

/* A size that is no multiple of a sector: that file alone stays behind. */
static void odd_size(void)
{
	struct common_file *file;
	char base[300], top[300];

	snprintf(base, sizeof(base), "%s", path_of("odd"));
	snprintf(top, sizeof(top), "%s", path_of("top"));
	make_base("odd", FILE_BYTES - 100);
	unlink(top);
	ok(create(top, base, 4, 0), "V4 over a base of an odd size");
	file = open_chain(top, NULL);
	ok(works(file), "it reads as it was written");
	ok(moved && astray, "the layer past the cache, the base not");
	is(said, 1, "which is said once");
	ok(strstr(line, "/odd: flag A ") && strstr(line, "no multiple of 512"),
	   "\"%s\"", line);
	is(rig_merge(&rig, file, true, true), 0, "it is merged");
	ok(works(file), "the base reads as it was written");
	rig_close(&rig, file);
}

/* What was not asked for. */
static void unasked(void)
{
	struct cow_open_args args = { .name = path_of("base") };
	struct cow_error err = { "" };
	struct common_file *file;

	moved = 0;
	make_base("base", FILE_BYTES);
	is(common_open(&rig.env, &args, &file, &err), 0, "without the flag");
	ok(works(file) && !moved, "all goes through the cache");
	rig_close(&rig, file);
}

static void layers(void)
{
	static struct io_ops ops;

	rig_init(&rig, seed);
	ops = cow_io_sync;
	ops.submit = look;
	rig.env.io = &ops;
	rig.env.say = say;
	layer_of(4, 0);
	layer_of(3, 0);
	layer_of(3, SECTOR);
	odd_size();
	unasked();
}

int main(void)
{
	int fd, direct_fd;

	seed = tap_seed();
	fd = make_file("probe", FILE_BYTES);
	direct_fd = direct(fd);
	if (direct_fd < 0)
		skip_all("no direct I/O in /var/tmp; name a directory with DISKDIR");
	close(direct_fd);
	close(fd);
	backends();
	layers();
	return plan_done();
}
