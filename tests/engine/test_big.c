// SPDX-License-Identifier: GPL-2.0-only
/*
 * What small random disks do not reach: more index pages than fit in memory,
 * chains of hundreds of layers, disks of terabytes, one sector per page.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io.h"
#include "rig.h"
#include "tap.h"

#define MIB	(1ull << 20)
#define GIB	(1ull << 30)
#define TIB	(1ull << 40)

static struct rig rig;

static void name_of(char name[300], const char *kind, unsigned int n)
{
	snprintf(name, 300, "%s/%s%u", rig_dir(), kind, n);
}

static bool sparse_base(const char *name, uint64_t size)
{
	int fd = open(name, O_CREAT | O_TRUNC | O_WRONLY, 0644);
	bool good = fd >= 0 && !ftruncate(fd, size);

	close(fd);
	return good;
}

static struct common_file *open_or_die(const char *name)
{
	struct cow_open_args args = { .name = name };
	struct common_file *file = NULL;
	struct cow_error err = { "" };
	bool async = rig.async;

	rig.async = false;
	if (common_open(&rig.env, &args, &file, &err)) {
		printf("Bail out! %s\n", err.text);
		exit(1);
	}
	rig.async = async;
	return file;
}

static bool make(const char *name, const char *parent, unsigned int version)
{
	struct cow_create_args args = {
		.name = name,
		.parent = parent,
		.version = version,
		.mode = 0600,
		.gid = ~0u,
	};
	struct cow_error err = { "" };

	if (!cow_create(&rig.env, &args, &err))
		return true;
	diag("%s", err.text);
	return false;
}

/* A sector that says which it is, and in which round it was written. */
static void stamp(uint8_t buf[512], uint64_t sector, uint64_t round)
{
	unsigned int i;

	for (i = 0; i < 512; i += 16) {
		memcpy(buf + i, &sector, 8);
		memcpy(buf + i + 8, &round, 8);
	}
	buf[511] = 1;
}

static bool put(struct common_file *file, uint64_t sector, uint64_t round)
{
	uint8_t buf[512];

	stamp(buf, sector, round);
	return !rig_rw(&rig, file, COMMON_WRITE, buf, sector * 512, 512, 0);
}

static bool has(struct common_file *file, uint64_t sector, uint64_t round)
{
	uint8_t want[512], got[512];

	stamp(want, sector, round);
	return !rig_rw(&rig, file, COMMON_READ, got, sector * 512, 512, 0) &&
	       !memcmp(want, got, 512);
}

static bool empty(struct common_file *file, uint64_t sector)
{
	const uint8_t zero[512] = { 0 };
	uint8_t got[512];

	return !rig_rw(&rig, file, COMMON_READ, got, sector * 512, 512, 0) &&
	       !memcmp(zero, got, 512);
}

/* The i-th of @n places that are @stride sectors apart, in a scattered order */
static uint64_t place(uint64_t i, uint64_t n, uint64_t stride)
{
	return (i * 7919 % n) * stride + i % stride;
}

static uint64_t count_places(struct common_file *file, uint64_t n,
			     uint64_t stride)
{
	uint64_t i, good = 0;

	for (i = 0; i < n; i++)
		good += has(file, place(i, n, stride), 1);
	return good;
}

static uint64_t fill_places(struct common_file *file, uint64_t n,
			    uint64_t stride)
{
	uint64_t i, good = 0;

	for (i = 0; i < n; i++)
		good += put(file, place(i, n, stride), 1);
	return good;
}

static uint64_t file_size(const char *name)
{
	struct stat st;

	return stat(name, &st) ? 0 : st.st_size;
}

/* More pages than the 256 of the smallest cache, all of them dirty. */
static void more_pages_than_memory(unsigned int version, uint64_t size,
				   uint64_t n, bool async)
{
	uint64_t stride = size / 512 / n;
	struct common_file *file;
	char base[300], top[300];

	rig.async = async;
	name_of(base, "base", version);
	name_of(top, "top", version * 2 + async);
	ok(sparse_base(base, size) && make(top, base, version),
	   "V%u over %llu GiB", version, (unsigned long long)(size / GIB));
	file = open_or_die(top);
	is(fill_places(file, n, stride), n, "V%u: %llu sectors on as many pages",
	   version, (unsigned long long)n);
	is(count_places(file, n, stride), n, "V%u: all are there", version);
	ok(empty(file, size / 512 - 1), "V%u: the rest is the base", version);
	is(rig_rw(&rig, file, COMMON_FLUSH, NULL, 0, 0, 0), 0, "flush");
	rig.async = false;
	rig_close(&rig, file);
	file = open_or_die(top);
	is(count_places(file, n, stride), n, "V%u: also when opened again",
	   version);
	rig.async = async;
	is(rig_merge(&rig, file, true, true), 0, "V%u: merge", version);
	is(count_places(file, n, stride), n, "V%u: also when merged", version);
	rig.async = false;
	rig_close(&rig, file);
	unlink(base);
}

static void deep_chain(unsigned int depth)
{
	char parent[300], name[300];
	struct common_file *file;
	unsigned int i, good = 0;

	name_of(parent, "deep", 0);
	sparse_base(parent, MIB);
	file = open_or_die(parent);
	for (i = 1; i < depth; i++) {
		good += put(file, i, i);
		name_of(name, "deep", i);
		good += !rig_snapshot(&rig, file, name);
	}
	is(good, 2 * (depth - 1), "%u live snapshots", depth - 1);
	is(cow_depth(file), depth, "as many layers");
	rig_close(&rig, file);
	file = open_or_die(parent);
	is(cow_depth(file), depth, "the first name leads to the newest top");
	for (good = 0, i = 1; i < depth; i++)
		good += has(file, i, i);
	is(good, depth - 1, "each layer's sector is found");
	for (good = 0, i = 1; i < depth; i++)
		good += !rig_merge(&rig, file, false, true);
	is(good, depth - 1, "as many merges");
	is(cow_depth(file), 1, "the base is the top again");
	for (good = 0, i = 1; i < depth; i++)
		good += has(file, i, i);
	is(good, depth - 1, "and has every sector");
	rig_close(&rig, file);
}

static uint64_t holes(const char *name)
{
	struct stat st;

	if (stat(name, &st))
		return UINT64_MAX;
	return st.st_blocks * 512 < st.st_size ?
	       st.st_size - st.st_blocks * 512 : 0;
}

static void huge_disk(void)
{
	char base[300], top[300], snap[300];
	struct common_file *file;
	uint64_t n = 2000;
	uint64_t stride = 15 * TIB / 512 / n;

	name_of(base, "huge", 0);
	name_of(top, "huge", 1);
	name_of(snap, "huge", 2);
	if (!sparse_base(base, 15 * TIB)) {
		diag("no sparse file of 15 TiB here");
		return;
	}
	ok(make(top, base, 4), "V4 over 15 TiB");
	file = open_or_die(top);
	is(fill_places(file, n, stride), n, "%llu sectors all over it",
	   (unsigned long long)n);
	is(rig_rw(&rig, file, COMMON_FLUSH, NULL, 0, 0, 0), 0, "flush");
	is(rig_snapshot(&rig, file, snap), 0, "snapshot");
	is(count_places(file, n, stride), n, "through the snapshot");
	rig_close(&rig, file);
	ok(file_size(snap) < MIB, "an empty delta of it has %llu bytes",
	   (unsigned long long)file_size(snap));
	ok(file_size(top) < 64 * MIB, "the full one %llu KiB",
	   (unsigned long long)file_size(top) / 1024);
	/* So it can lie on a file system that knows no holes. */
	ok(holes(top) < 64 << 10, "of which %llu KiB are holes",
	   (unsigned long long)holes(top) / 1024);
}

/* Blocks of old index pages are used again: the file does not grow for ever. */
static uint64_t bytes_read;

static int64_t counting_pread(void *ctx, int fd, void *buf, size_t len,
			      uint64_t off)
{
	bytes_read += len;
	return cow_io_sync.pread(ctx, fd, buf, len, off);
}

/* A header costs nothing to write that asks for a bitmap of a gigabyte. */
static void huge_bitmap(void)
{
	const struct io_ops *plain = rig.env.io;
	struct io_ops ops = *plain;
	struct cow_layer_info info;
	char base[300], top[300];
	struct common_file *file;

	name_of(base, "wide", 0);
	name_of(top, "wide", 1);
	if (!sparse_base(base, 4 * TIB))
		return;
	ok(make(top, base, 3), "V3 over 4 TiB");
	file = open_or_die(top);
	ok(put(file, 4 * TIB / 512 - 1, 1), "its last sector");
	is(rig_rw(&rig, file, COMMON_FLUSH, NULL, 0, 0, 0), 0, "flush");
	rig_close(&rig, file);
	ops.pread = counting_pread;
	rig.env.io = &ops;
	file = open_or_die(top);
	cow_layer(file, 0, &info);
	is(info.owned, 512, "is counted");
	rig_close(&rig, file);
	rig.env.io = plain;
	ok(bytes_read < 16 * MIB, "after %llu KiB were read, not a gigabyte",
	   (unsigned long long)bytes_read / 1024);
}

static void many_commits(void)
{
	char base[300], top[300];
	struct common_file *file;
	uint64_t i, size = 0;

	name_of(base, "many", 0);
	name_of(top, "many", 1);
	sparse_base(base, 64 * MIB);
	make(top, base, 4);
	file = open_or_die(top);
	for (i = 0; i < 2000; i++) {
		uint8_t buf[512];

		stamp(buf, i % 8, i);
		rig_rw(&rig, file, COMMON_WRITE, buf, i % 8 * 512, 512,
		       COMMON_FUA);
		rig_rw(&rig, file, COMMON_DISCARD, NULL, i % 8 * 512, 512, 0);
		if (i == 99)
			size = file_size(top);
	}
	is(file_size(top), size, "1900 more commits, not a byte more");
	rig_close(&rig, file);
	for (i = 0; i < 100; i++) {
		if (i == 9)
			size = file_size(top);
		file = open_or_die(top);
		put(file, i % 8, i);
		rig_rw(&rig, file, COMMON_FLUSH, NULL, 0, 0, 0);
		rig_close(&rig, file);
	}
	is(file_size(top), size, "opened and closed 90 times more: the same");
}

/* One request that dirties more index pages than fit, without a flush. */
static void one_request_beyond_memory(void)
{
	char base[300], top[300];
	struct common_file *file;

	name_of(base, "zero", 0);
	name_of(top, "zero", 1);
	sparse_base(base, 2 * GIB);
	make(top, base, 4);
	file = open_or_die(top);
	is(rig_rw(&rig, file, COMMON_ZEROES, NULL, 0, GIB, 0), 0,
	   "1 GiB of zeroes in one request is answered");
	rig_close(&rig, file);
}

/* Sectors that the top owns, and in *@steps the stretches that they took. */
static uint64_t map_owned(struct common_file *file, uint64_t *steps)
{
	uint64_t end = file->size / 512, sector, owned = 0;
	unsigned int owner;
	struct cow_run run;

	*steps = 0;
	for (sector = 0; sector < end; sector += run.count) {
		if (cow_map(file, 0, sector, end - sector, &run, &owner))
			return UINT64_MAX;
		owned += run.state == COW_DATA ? run.count : 0;
		++*steps;
	}
	return owned;
}

/*
 * What a map has learned of holes stays right when sectors are written into
 * them, and when their pages have left memory. It takes as many steps as there
 * are pages, not as the disk is large.
 */
static void map_while_written(unsigned int version)
{
	const uint64_t n = 900, stride = 40000;
	uint64_t i, steps, most = 0, wrong = 0;
	struct common_file *file;
	char base[300], top[300];

	name_of(base, "sparse", version);
	name_of(top, "map", version);
	ok(sparse_base(base, TIB) && make(top, base, version),
	   "V%u over 1 TiB", version);
	file = open_or_die(top);
	is(map_owned(file, &steps), 0, "V%u: a map of nothing", version);
	is(steps, 1, "V%u: is one stretch", version);
	for (i = 0; i < n; i++) {
		wrong += !put(file, place(i, n, stride), 1);
		if (i % 50)
			continue;
		wrong += map_owned(file, &steps) != i + 1;
		if (steps > most)
			most = steps;
	}
	is(wrong, 0, "V%u: each map has what was written", version);
	is(map_owned(file, &steps), n, "V%u: so has the last one", version);
	ok(most <= 6 * n && steps <= 6 * n, "V%u: %llu steps", version,
	   (unsigned long long)steps);
	is(count_places(file, n, stride), n, "V%u: and it can be read",
	   version);
	rig_close(&rig, file);
}

int main(void)
{
	rig_init(&rig, tap_seed());
	rig.inline_percent = 50;
	more_pages_than_memory(4, 2 * GIB, 1000, false);
	more_pages_than_memory(4, 2 * GIB, 1000, true);
	more_pages_than_memory(3, 8 * GIB, 500, false);
	more_pages_than_memory(3, 8 * GIB, 500, true);
	rig.async = false;
	deep_chain(300);
	huge_disk();
	huge_bitmap();
	many_commits();
	one_request_beyond_memory();
	map_while_written(3);
	map_while_written(4);
	return plan_done();
}
