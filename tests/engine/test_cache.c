// SPDX-License-Identifier: GPL-2.0-only
/*
 * The cache of index pages and its bound: with all of the index in memory no page
 * is read twice, not even when a snapshot has added a layer; with less some are;
 * and what would need too much is refused.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bench.h"
#include "engine.h"
#include "tap.h"

#define MIB	(UINT64_C(1) << 20)

/* What one index page maps. */
#define LEAF	((uint64_t)COW_PAGE_ENTRIES * COW_BLOCK_SIZE)
#define BITS	((uint64_t)IPAGE_SIZE * 8 * COW_SECTOR_SIZE)

static struct bench bench;
static const struct chain *watched;
static unsigned long loads;
static int (*submit)(void *ctx, struct io_desc *desc);

/* The sectors that are read here are none of a COW layer. */
static int count_loads(void *ctx, struct io_desc *desc)
{
	const struct layer *layer = watched ? watched->top : NULL;

	for (; layer; layer = layer->parent)
		loads += desc->op == IO_READ && desc->fd == layer->fd &&
			 layer->ops != &cow_raw_ops;
	return submit(ctx, desc);
}

static void begin(uint64_t bound, bool all)
{
	bench_init(&bench);
	submit = bench.ops.submit;
	bench.ops.submit = count_loads;
	bench.rig.env.index_bytes = bound;
	bench.rig.env.index_all = all;
	watched = NULL;
}

/* A sector that no layer has beside each one that the top has. */
static unsigned long read_all(struct common_file *file, uint64_t step)
{
	uint8_t buf[COW_SECTOR_SIZE];
	uint64_t at;

	watched = cow_chain(file);
	loads = 0;
	for (at = step / 2; at < file->size; at += step) {
		if (rig_rw(&bench.rig, file, COMMON_READ, buf, at, sizeof(buf),
			   0))
			diag("a read failed at %llu", (unsigned long long)at);
	}
	return loads;
}

static void write_all(struct common_file *file, uint64_t step)
{
	uint8_t buf[COW_SECTOR_SIZE] = { 1 };
	uint64_t at;

	for (at = 0; at < file->size; at += step)
		rig_rw(&bench.rig, file, COMMON_WRITE, buf, at, sizeof(buf), 0);
	bench_flush(&bench, file);
}

static struct common_file *disk_with(unsigned int version, uint64_t step,
				     unsigned int pages)
{
	struct common_file *file = bench_disk(&bench, version, step * pages);

	write_all(file, step);
	rig_close(&bench.rig, file);
	return bench_open(&bench, "top");
}

/* More pages than the least bound has room for. */
static void each_page_is_read_once(unsigned int version, uint64_t step)
{
	const unsigned int pages = 600;
	struct common_file *file;

	begin(64 * MIB, true);
	file = disk_with(version, step, pages);
	ok(read_all(file, step) >= pages, "V%u: all pages are read", version);
	is(read_all(file, step), 0, "V%u: and none of them again", version);
	is(rig_snapshot(&bench.rig, file, "snap"), 0, "a snapshot");
	write_all(file, step);
	read_all(file, step);
	is(read_all(file, step), 0, "nor with the pages of one more delta");
	is(rig_merge(&bench.rig, file, false, true), 0, "merged");
	read_all(file, step);
	is(read_all(file, step), 0, "nor after that");
	rig_close(&bench.rig, file);

	begin(MIB, false);
	file = disk_with(version, step, pages);
	read_all(file, step);
	ok(read_all(file, step) >= pages / 2, "V%u: with 1 MiB they are",
	   version);
	rig_close(&bench.rig, file);
}

/* Block @n of each leaf is layer @n's own. */
static void write_layer(struct common_file *file, unsigned int n)
{
	uint8_t buf[COW_BLOCK_SIZE];
	uint64_t at;

	memset(buf, n + 1, sizeof(buf));
	for (at = n * COW_BLOCK_SIZE; at < file->size; at += LEAF)
		rig_rw(&bench.rig, file, COMMON_WRITE, buf, at, sizeof(buf), 0);
	bench_flush(&bench, file);
}

/* The number of blocks that are wrong from @skip on. */
static unsigned int read_layers(struct common_file *file, unsigned int layers,
				size_t skip)
{
	size_t len = COW_BLOCK_SIZE - skip;
	uint8_t buf[COW_BLOCK_SIZE];
	unsigned int n, wrong = 0;
	uint64_t leaf;

	watched = cow_chain(file);
	loads = 0;
	for (leaf = 0; leaf < file->size; leaf += LEAF) {
		for (n = 0; n < layers; n++) {
			rig_rw(&bench.rig, file, COMMON_READ, buf,
			       leaf + n * COW_BLOCK_SIZE + skip, len, 0);
			wrong += buf[0] != n + 1 ||
				 memcmp(buf, buf + 1, len - 1);
		}
	}
	return wrong;
}

/* The layers have twice as many pages as there is memory for. */
static void depth_costs_no_page(void)
{
	const unsigned int layers = 16, leaves = 32, blocks = 16 * 32;
	struct common_file *file;
	char name[BENCH_NAME];
	unsigned int n;

	begin(MIB, false);
	file = bench_disk(&bench, 4, leaves * LEAF);
	for (n = 0; n < layers; n++) {
		write_layer(file, n);
		snprintf(name, sizeof(name), "snap%u", n);
		is(rig_snapshot(&bench.rig, file, name), 0, "layer %u", n);
	}
	is(read_layers(file, layers, 0), 0, "each answers for its blocks");
	/* The blocks themselves are counted, too. */
	ok(loads > blocks + blocks / 2, "which takes their pages: %lu", loads);
	is(read_layers(file, layers, 3 * COW_SECTOR_SIZE), 0, "and again");
	is(loads, blocks, "which takes none");
	write_layer(file, layers - 1);
	is(rig_merge(&bench.rig, file, false, false), 0, "merged");
	is(read_layers(file, layers, 0), 0, "and with a layer less");
	rig_close(&bench.rig, file);
}

static void refused(unsigned int version, uint64_t size, const char *need)
{
	struct common_file *file;
	char path[BENCH_NAME];
	const struct cow_open_args args = { .name = path };
	struct cow_error err = { "" };

	begin(32 * MIB, false);
	bench_make(&bench, version, size);
	bench.rig.env.index_all = true;
	bench_path(&bench, path, "top");
	is(common_open(&bench.rig.env, &args, &file, &err), -ENOMEM,
	   "V%u, %llu GiB: too much", version,
	   (unsigned long long)(size >> 30));
	ok(strstr(err.text, need) && strstr(err.text, "at most 32"), "%s",
	   err.text);
	bench.rig.env.index_all = false;
	is(common_open(&bench.rig.env, &args, &file, &err), 0,
	   "with a bound it opens");
	rig_close(&bench.rig, file);
}

/* 1020 leaves, twice, are 8 MiB, and what is known of them 1 more. */
static void just_fits(void)
{
	struct common_file *file;

	begin(11 * MIB, true);
	file = bench_disk(&bench, 4, 4 * 255 * LEAF);
	ok(cow_chain(file)->cache.count >= 2 * 4 * 255 &&
	   cow_chain(file)->cache.count <= 11 * MIB / IPAGE_SIZE,
	   "what fits is taken: %u pages", cow_chain(file)->cache.count);
	rig_close(&bench.rig, file);
	begin(9 * MIB, true);
	file = bench_disk(&bench, 0, 16 * MIB);
	is(cow_chain(file)->cache.count, MIB / IPAGE_SIZE,
	   "a raw disk takes the least");
	rig_close(&bench.rig, file);
}

int main(void)
{
	each_page_is_read_once(3, BITS);
	each_page_is_read_once(4, LEAF);
	/* V4's own index, or a bitmap, and that of the delta that may come */
	refused(4, 16ull << 30, "need 72 MiB");
	refused(3, 16ull << 30, "need 42 MiB");
	just_fits();
	depth_costs_no_page();
	return plan_done();
}
