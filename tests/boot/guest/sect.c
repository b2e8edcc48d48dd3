// SPDX-License-Identifier: GPL-2.0-only
/*
 * Duty: write sectors that say who they are, and tell afterwards what stands
 * in each. Runs in the guest on block devices and on the host on images.
 *
 * A pattern sector is 32 records of an 8-byte tag and its own sector number
 * (little endian), so that zeros, an older content, another sector's content
 * and a torn one are told apart.
 *
 * Invariant: block devices are opened with O_DIRECT, so one call is one
 * request and the guest's page cache never hides the device.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/hdreg.h>
#include <linux/types.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define SECTOR		512u
#define RECORDS		32
#define MAX_CHUNK	2048
#define STORM_BATCH	16
#define NAME_LEN	40

struct record {
	char tag[8];
	__u64 sector;
};

static unsigned char *buffer;

static void die(const char *fmt, ...)
{
	int saved = errno;
	va_list ap;

	fprintf(stderr, "sect: ");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, ": %s\n", strerror(saved));
	exit(1);
}

static __u64 number(const char *text)
{
	char *end;
	__u64 value = strtoull(text, &end, 0);

	if (*end || end == text) {
		errno = EINVAL;
		die("%s", text);
	}
	return value;
}

static int open_file(const char *name, int flags)
{
	struct stat st;
	int fd;

	if (!stat(name, &st) && S_ISBLK(st.st_mode))
		flags |= O_DIRECT;
	fd = open(name, flags);
	if (fd < 0)
		die("%s", name);
	return fd;
}

static void fill(unsigned char *at, const char *tag, __u64 sector)
{
	struct record rec = { .sector = htole64(sector) };
	int i;

	memcpy(rec.tag, tag, strnlen(tag, sizeof(rec.tag)));
	for (i = 0; i < RECORDS; i++)
		memcpy(at + i * sizeof(rec), &rec, sizeof(rec));
}

/* "zero", TAG, TAG@+n for a sector that belongs n further down, or "junk" */
static void name_of(const unsigned char *at, __u64 sector, char *name)
{
	static const unsigned char zeros[SECTOR];
	struct record rec;
	__s64 shift;
	int i;

	if (!memcmp(at, zeros, SECTOR)) {
		snprintf(name, NAME_LEN, "zero");
		return;
	}
	memcpy(&rec, at, sizeof(rec));
	for (i = 1; i < RECORDS; i++)
		if (memcmp(at + i * sizeof(rec), &rec, sizeof(rec)))
			break;
	if (i < RECORDS || rec.tag[0] < '!' || rec.tag[0] > '~') {
		snprintf(name, NAME_LEN, "junk");
		return;
	}
	shift = (__s64)(le64toh(rec.sector) - sector);
	if (shift)
		snprintf(name, NAME_LEN, "%.8s@%+lld", rec.tag, shift);
	else
		snprintf(name, NAME_LEN, "%.8s", rec.tag);
}

static int transfer(int fd, int out, __u64 first, unsigned int count)
{
	ssize_t want = (ssize_t)count * SECTOR;
	ssize_t got = out ? pwrite(fd, buffer, want, first * SECTOR) :
			    pread(fd, buffer, want, first * SECTOR);

	if (got >= 0 && got != want) {
		errno = EIO;
		return -1;
	}
	return got < 0 ? -1 : 0;
}

static unsigned int chunk_arg(int argc, char **argv, int at)
{
	__u64 chunk = argc > at ? number(argv[at]) : 64;

	return chunk && chunk <= MAX_CHUNK ? chunk : 64;
}

static int cmd_put(int argc, char **argv)
{
	__u64 first = number(argv[2]), left = number(argv[3]), i, n;
	unsigned int chunk = chunk_arg(argc, argv, 4);
	int fd = open_file(argv[0], O_WRONLY);

	for (; left; first += n, left -= n) {
		n = left < chunk ? left : chunk;
		for (i = 0; i < n; i++)
			fill(buffer + i * SECTOR, argv[1], first + i);
		if (transfer(fd, 1, first, n))
			die("%s: write %llu+%llu", argv[0], first, n);
	}
	return close(fd);
}

static void print_run(__u64 from, __u64 to, const char *name)
{
	static int words;

	if (to > from)
		printf("%s%llu+%llu=%s", words++ ? " " : "",
		       from, to - from, name);
}

static int cmd_map(int argc, char **argv)
{
	__u64 first = number(argv[1]), end = first + number(argv[2]);
	__u64 run = first, i, n;
	unsigned int chunk = chunk_arg(argc, argv, 3);
	int fd = open_file(argv[0], O_RDONLY);
	char name[NAME_LEN], last[NAME_LEN] = "";

	for (; first < end; first += n) {
		n = end - first < chunk ? end - first : chunk;
		memset(buffer, 0xee, n * SECTOR);
		if (transfer(fd, 0, first, n))
			die("%s: read %llu+%llu", argv[0], first, n);
		for (i = 0; i < n; i++) {
			name_of(buffer + i * SECTOR, first + i, name);
			if (!strcmp(name, last))
				continue;
			print_run(run, first + i, last);
			run = first + i;
			memcpy(last, name, sizeof(last));
		}
	}
	print_run(run, end, last);
	printf("\n");
	return close(fd);
}

/* Standard input, padded with zeros to whole sectors, goes to one sector on */
static int cmd_raw(int argc, char **argv)
{
	__u64 first = number(argv[1]);
	int fd = open_file(argv[0], O_WRONLY);
	size_t len;

	(void)argc;
	memset(buffer, 0, MAX_CHUNK * SECTOR);
	len = fread(buffer, 1, MAX_CHUNK * SECTOR, stdin);
	if (transfer(fd, 1, first, (len + SECTOR - 1) / SECTOR))
		die("%s: write %llu", argv[0], first);
	return close(fd);
}

static int cmd_flush(int argc, char **argv)
{
	int fd = open_file(argv[0], O_WRONLY);

	(void)argc;
	if (fsync(fd))
		die("%s: flush", argv[0]);
	return close(fd);
}

static int cmd_info(int argc, char **argv)
{
	int fd = open_file(argv[0], O_RDONLY), ro = -1;
	struct hd_geometry geo = { 0 };
	__u64 bytes = 0;

	(void)argc;
	if (ioctl(fd, BLKGETSIZE64, &bytes) || ioctl(fd, BLKROGET, &ro))
		die("%s", argv[0]);
	printf("bytes=%llu ro=%d", bytes, ro);
	if (!ioctl(fd, HDIO_GETGEO, &geo))
		printf(" heads=%d sectors=%d cylinders=%d", geo.heads,
		       geo.sectors, geo.cylinders);
	printf("\n");
	return close(fd);
}

static int cmd_trim(int argc, char **argv)
{
	__u64 range[2] = { number(argv[1]) * SECTOR,
			      number(argv[2]) * SECTOR };
	int zeroes = argc > 3 && !strcmp(argv[3], "zeroes");
	int fd = open_file(argv[0], O_WRONLY);

	if (ioctl(fd, zeroes ? BLKZEROOUT : BLKDISCARD, range))
		die("%s: %s", argv[0], zeroes ? "zero" : "discard");
	return close(fd);
}

/* Step n of a storm is the same on every run: a place, a length, a tag. */
static __u64 storm_hash(__u64 seed, __u64 step)
{
	__u64 x = seed * 0x9e3779b97f4a7c15ull + step + 1;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

static unsigned int storm_step(__u64 seed, __u64 step, __u64 count,
			       __u64 *at, char *tag)
{
	__u64 x = storm_hash(seed, step);
	unsigned int len = 1 + (x & 15);

	if (len > count)
		len = count;
	*at = (x >> 8) % (count - len + 1);
	snprintf(tag, 9, "#%07x", (unsigned int)(step & 0xfffffff));
	return len;
}

/*
 * Random writes, a flush after each batch, and then (synchronously, to a file
 * of the host) the number of the last step that was flushed.
 */
static int cmd_storm(int argc, char **argv)
{
	__u64 seed = number(argv[2]), first = number(argv[3]);
	__u64 count = number(argv[4]), step, at, i;
	__u64 steps = argc > 5 ? number(argv[5]) : ULLONG_MAX;
	int fd = open_file(argv[0], O_WRONLY);
	int log = open(argv[1], O_WRONLY | O_CREAT | O_TRUNC | O_SYNC, 0644);
	char tag[24], line[32];
	int len;

	if (log < 0)
		die("%s", argv[1]);
	for (step = 0; step < steps && access(argc > 6 ? argv[6] : "", F_OK);
	     step++) {
		unsigned int n = storm_step(seed, step, count, &at, tag);

		for (i = 0; i < n; i++)
			fill(buffer + i * SECTOR, tag, first + at + i);
		if (transfer(fd, 1, first + at, n))
			die("%s: write %llu+%u", argv[0], first + at, n);
		if (step % STORM_BATCH != STORM_BATCH - 1)
			continue;
		if (fsync(fd))
			die("%s: flush", argv[0]);
		len = snprintf(line, sizeof(line), "%019llu\n", step);
		if (pwrite(log, line, len, 0) != len || fsync(log))
			die("%s", argv[1]);
	}
	if (fsync(fd))
		die("%s: flush", argv[0]);
	return close(fd);
}

static __s64 last_flushed(const char *log)
{
	FILE *f = fopen(log, "r");
	__s64 step = -1;

	if (!f)
		die("%s", log);
	if (fscanf(f, "%lld", &step) != 1)
		step = -1;
	fclose(f);
	return step;
}

/* The steps up to the flushed one are certain; those of one batch may be. */
static void storm_expect(__u64 seed, __s64 flushed, __u64 count,
			 __s64 *certain, __u32 *maybe)
{
	__u64 at, i;
	__s64 step;
	char tag[24];
	unsigned int n;

	for (step = 0; step <= flushed + STORM_BATCH; step++) {
		n = storm_step(seed, step, count, &at, tag);
		for (i = at; i < at + n; i++) {
			if (step <= flushed)
				certain[i] = step;
			else
				maybe[i] |= 1u << (step - flushed - 1);
		}
	}
}

static int storm_fits(const char *name, const char *base, __s64 flushed,
		      __s64 certain, __u32 maybe)
{
	__s64 step;

	if (name[0] != '#' || strchr(name, '@'))
		return certain < 0 && !strcmp(name, base);
	step = strtoll(name + 1, NULL, 16);
	if (step == certain)
		return 1;
	return step > flushed && step <= flushed + STORM_BATCH &&
	       (maybe >> (step - flushed - 1) & 1);
}

/* 1 if the sector in memory is none that the storm can have left there */
static int storm_wrong(const unsigned char *at, __u64 sector, const char *base,
		       __s64 flushed, __s64 certain, __u32 maybe)
{
	static int told;
	char name[NAME_LEN];

	name_of(at, sector, name);
	if (storm_fits(name, base, flushed, certain, maybe))
		return 0;
	if (told++ < 5)
		printf("sector %llu: %s, not #%07llx\n", sector, name,
		       certain & 0xfffffff);
	return 1;
}

static int cmd_verify(int argc, char **argv)
{
	__u64 seed = number(argv[2]), first = number(argv[3]);
	__u64 count = number(argv[4]), at, i, n, bad = 0;
	const char *base = argc > 5 ? argv[5] : "zero";
	__s64 flushed = last_flushed(argv[1]);
	__s64 *certain = malloc(count * sizeof(*certain));
	__u32 *maybe = calloc(count, sizeof(*maybe));
	int fd = open_file(argv[0], O_RDONLY);

	if (!certain || !maybe)
		die("memory");
	for (i = 0; i < count; i++)
		certain[i] = -1;
	storm_expect(seed, flushed, count, certain, maybe);
	for (at = 0; at < count; at += n) {
		n = count - at < MAX_CHUNK ? count - at : MAX_CHUNK;
		if (transfer(fd, 0, first + at, n))
			die("%s: read %llu+%llu", argv[0], first + at, n);
		for (i = 0; i < n; i++)
			bad += storm_wrong(buffer + i * SECTOR, first + at + i,
					   base, flushed, certain[at + i],
					   maybe[at + i]);
	}
	printf("%llu of %llu sectors wrong, flushed up to step %lld\n",
	       bad, count, flushed);
	free(certain);
	free(maybe);
	close(fd);
	return bad != 0;
}

/*
 * Numbers from 1 on to the first sector of each file in turn, each when the one
 * before was written, with a flush after every so many.
 */
static int cmd_turns(int argc, char **argv)
{
	__u64 every = number(argv[1]), n;
	int fd[16], files = argc - 2, i;

	if (!every || files > (int)ARRAY_SIZE(fd))
		die("turns: so many files");
	for (i = 0; i < files; i++)
		fd[i] = open_file(argv[2 + i], O_WRONLY);
	memset(buffer, 0, SECTOR);
	for (n = 1; access(argv[0], F_OK); n++) {
		i = n % files;
		memcpy(buffer, &n, sizeof(n));
		if (transfer(fd[i], 1, 0, 1))
			die("%s: number %llu", argv[2 + i], n);
		if (n % every == 0 && fsync(fd[i]))
			die("%s: flush", argv[2 + i]);
	}
	printf("%llu\n", n - 1);
	return 0;
}

static const struct command {
	const char *name;
	int args;
	int (*run)(int argc, char **argv);
	const char *usage;
} commands[] = {
	{ "put", 4, cmd_put, "FILE TAG FIRST COUNT [CHUNK]" },
	{ "map", 3, cmd_map, "FILE FIRST COUNT [CHUNK]" },
	{ "raw", 2, cmd_raw, "FILE FIRST <bytes" },
	{ "flush", 1, cmd_flush, "FILE" },
	{ "info", 1, cmd_info, "FILE" },
	{ "trim", 3, cmd_trim, "FILE FIRST COUNT [zeroes]" },
	{ "storm", 5, cmd_storm, "FILE LOG SEED FIRST COUNT [STEPS [STOP]]" },
	{ "turns", 3, cmd_turns, "STOP EVERY FILE..." },
	{ "verify", 5, cmd_verify, "FILE LOG SEED FIRST COUNT [BASETAG]" },
};

int main(int argc, char **argv)
{
	size_t i;

	if (posix_memalign((void **)&buffer, 4096, MAX_CHUNK * SECTOR))
		die("memory");
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (argc > 1 && !strcmp(argv[1], commands[i].name) &&
		    argc - 2 >= commands[i].args)
			return commands[i].run(argc - 2, argv + 2);
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(stderr, "usage: sect %s %s\n", commands[i].name,
			commands[i].usage);
	return 2;
}
