// SPDX-License-Identifier: GPL-2.0-only
/*
 * What open(2), ioctl(2), read(2) and write(2) say of the disks of a guest.
 *
 * Duty: geometry, size, sectors, read-only disks, zeroing, discarding, and what
 * O_DIRECT asks for. Output is TAP; README.rst has the environment.
 *
 * Invariant: only the disk in UBD_SCRATCH is written.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/hdreg.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define SKIP_ALL	4	/* as the runner of self-tests knows it */
#define BLOCK		4096u
#define AREA		(16 * BLOCK)

static unsigned int points, failures, skipped;

/* One point; why it failed is told by errno where @why is not NULL. */
static void ok(bool good, const char *name, const char *why)
{
	points++;
	printf("%sok %u - %s\n", good ? "" : "not ", points, name);
	if (good)
		return;
	failures++;
	if (why)
		printf("# %s: %s\n", why, strerror(errno));
}

static void skip(const char *name, const char *variable)
{
	points++;
	skipped++;
	printf("ok %u - %s # SKIP %s is not set\n", points, name, variable);
}

/* The disk of that variable, or -1 and the test is skipped. */
static int open_disk(const char *variable, int flags, const char *name)
{
	const char *disk = getenv(variable);
	char path[64];
	int fd;

	if (!disk) {
		skip(name, variable);
		return -1;
	}
	snprintf(path, sizeof(path), "/dev/%s", disk);
	fd = open(path, flags | O_CLOEXEC);
	if (fd < 0)
		ok(false, name, path);
	return fd;
}

/* ---- size and shape ---------------------------------------------------- */

static uint64_t size_of(int fd)
{
	uint64_t size = 0;

	return ioctl(fd, BLKGETSIZE64, &size) ? 0 : size;
}

static int sector_of(int fd)
{
	int size = 0;

	return ioctl(fd, BLKSSZGET, &size) ? 0 : size;
}

static void shape(void)
{
	int fd = open_disk("UBD_SCRATCH", O_RDONLY, "shape");
	struct hd_geometry geo = { 0 };
	unsigned long sectors = 0;
	uint64_t size;
	int ro = -1;

	if (fd < 0)
		return;
	size = size_of(fd);
	ok(size >= 1 << 20 && size % 512 == 0, "BLKGETSIZE64", NULL);
	ok(!ioctl(fd, BLKGETSIZE, &sectors) && sectors == size / 512,
	   "BLKGETSIZE says the same", "BLKGETSIZE");
	ok(sector_of(fd) == 512, "a sector has 512 bytes", NULL);
	ok(!ioctl(fd, BLKROGET, &ro) && ro == 0, "it can be written",
	   "BLKROGET");
	ok(!ioctl(fd, HDIO_GETGEO, &geo) && geo.heads == 128 &&
	   geo.sectors == 32 && geo.start == 0 &&
	   geo.cylinders == size / 512 / 128 / 32,
	   "HDIO_GETGEO: 128 heads of 32 sectors", "HDIO_GETGEO");
	close(fd);
}

static void geometry(void)
{
	int fd = open_disk("UBD_GEOMETRY", O_RDONLY, "geometry");
	struct hd_geometry geo = { 0 };
	uint16_t id[256] = { 0 };

	if (fd < 0)
		return;
	ok(!ioctl(fd, HDIO_GETGEO, &geo) && geo.cylinders == 5 &&
	   geo.heads == 16 && geo.sectors == 63,
	   "HDIO_GETGEO says what was asked for", "HDIO_GETGEO");
	ok(!ioctl(fd, HDIO_GET_IDENTITY, id) && id[1] == 5 && id[3] == 16 &&
	   id[6] == 63, "HDIO_GET_IDENTITY says the same", "HDIO_GET_IDENTITY");
	close(fd);
}

static void read_only(void)
{
	int fd = open_disk("UBD_READONLY", O_RDONLY, "read-only");
	char block[BLOCK] = { 0 };
	char path[64];
	int ro = 0;

	if (fd < 0)
		return;
	ok(!ioctl(fd, BLKROGET, &ro) && ro == 1, "flag R: it says read-only",
	   "BLKROGET");
	close(fd);
	snprintf(path, sizeof(path), "/dev/%s", getenv("UBD_READONLY"));
	fd = open(path, O_RDWR | O_CLOEXEC);
	ok(fd < 0 || pwrite(fd, block, sizeof(block), 0) < 0,
	   "flag R: it is not written", NULL);
	if (fd >= 0)
		close(fd);
}

/* ---- content ----------------------------------------------------------- */

static uint8_t *buffer(void)
{
	void *mem;

	if (posix_memalign(&mem, BLOCK, AREA))
		exit(1);
	return mem;
}

/* Each block its own byte, never 0. */
static void fill(uint8_t *mem)
{
	unsigned int i;

	for (i = 0; i < AREA / BLOCK; i++)
		memset(mem + i * BLOCK, i + 1, BLOCK);
}

static bool all_are(const uint8_t *mem, size_t len, uint8_t byte)
{
	while (len--)
		if (*mem++ != byte)
			return false;
	return true;
}

/* Blocks @first to @last are zeros, or, where @may, as they were; others are. */
static bool is_cleared(const uint8_t *mem, unsigned int first,
		       unsigned int last, bool may)
{
	unsigned int i;

	for (i = 0; i < AREA / BLOCK; i++, mem += BLOCK) {
		bool inside = i >= first && i <= last;

		if (all_are(mem, BLOCK, i + 1) && (!inside || may))
			continue;
		if (!inside || !all_are(mem, BLOCK, 0))
			return false;
	}
	return true;
}

static void clear(int fd, unsigned long request, const char *name, bool may)
{
	uint64_t range[2] = { 4 * BLOCK, 3 * BLOCK };
	uint8_t *mem = buffer();

	fill(mem);
	if (pwrite(fd, mem, AREA, 0) != AREA || ioctl(fd, request, range) ||
	    fsync(fd)) {
		ok(false, name, "write");
	} else {
		memset(mem, 0xff, AREA);
		ok(pread(fd, mem, AREA, 0) == AREA &&
		   is_cleared(mem, 4, 6, may), name, NULL);
	}
	free(mem);
}

static void clearing(void)
{
	int fd = open_disk("UBD_SCRATCH", O_RDWR | O_DIRECT, "clearing");
	uint64_t odd[2] = { 100, 512 }, first[2] = { 0, 512 };

	if (fd < 0)
		return;
	clear(fd, BLKZEROOUT, "BLKZEROOUT: zeros, there and nowhere else",
	      false);
	clear(fd, BLKDISCARD, "BLKDISCARD: zeros or as it was, there alone",
	      true);
	ok(ioctl(fd, BLKZEROOUT, odd) && errno == EINVAL,
	   "BLKZEROOUT of parts of a sector is refused", NULL);
	odd[0] = size_of(fd);
	ok(ioctl(fd, BLKDISCARD, odd) && errno == EINVAL,
	   "BLKDISCARD behind the end is refused", NULL);
	ok(ioctl(fd, BLKSECDISCARD, first) && errno == EOPNOTSUPP,
	   "BLKSECDISCARD is not promised", NULL);
	close(fd);
}

static void no_trim(void)
{
	int fd = open_disk("UBD_NO_TRIM", O_RDWR, "no discard");
	uint64_t range[2] = { 0, BLOCK };

	if (fd < 0)
		return;
	ok(ioctl(fd, BLKDISCARD, range) && errno == EOPNOTSUPP,
	   "flag t: no discard", NULL);
	close(fd);
}

/* ---- O_DIRECT ---------------------------------------------------------- */

static bool refuses(int fd, uint8_t *mem, size_t len, off_t offset)
{
	return pread(fd, mem, len, offset) < 0 && errno == EINVAL;
}

static void direct(const char *variable, size_t sector, const char *what)
{
	int fd = open_disk(variable, O_RDONLY | O_DIRECT, what);
	uint8_t *mem = buffer();
	char name[96];

	if (fd >= 0) {
		ok(sector_of(fd) == (int)sector, what, NULL);
		snprintf(name, sizeof(name), "%s: one can be read", what);
		ok(pread(fd, mem, sector, sector) == (ssize_t)sector, name,
		   "read");
		snprintf(name, sizeof(name), "%s: a part of one can not", what);
		ok(refuses(fd, mem, sector / 2, 0), name, NULL);
		snprintf(name, sizeof(name), "%s: nor from its middle", what);
		ok(refuses(fd, mem, sector, sector / 2), name, NULL);
		close(fd);
	}
	free(mem);
}

static void durable(void)
{
	int fd = open_disk("UBD_SCRATCH", O_RDWR | O_DIRECT | O_DSYNC,
			   "durable writes");
	uint8_t *mem = buffer();

	if (fd >= 0) {
		fill(mem);
		ok(pwrite(fd, mem, AREA, 0) == AREA && !fsync(fd),
		   "O_DSYNC and fsync", "write");
		memset(mem, 0xff, AREA);
		ok(pread(fd, mem, AREA, 0) == AREA &&
		   is_cleared(mem, 1, 0, false), "what was written is read",
		   NULL);
		close(fd);
	}
	free(mem);
}

int main(void)
{
	puts("TAP version 13");
	shape();
	geometry();
	read_only();
	clearing();
	no_trim();
	direct("UBD_SCRATCH", 512, "O_DIRECT, sectors of 512 bytes");
	direct("UBD_SECTOR", 4096, "O_DIRECT, sectors of 4096 bytes");
	durable();
	printf("1..%u\n", points);
	if (points == skipped)
		return SKIP_ALL;
	return failures ? 1 : 0;
}
