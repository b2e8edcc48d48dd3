// SPDX-License-Identifier: GPL-2.0-only
/*
 * No room: neither for index pages in memory, nor for them on the host, nor a
 * way to make them durable. Whoever waits for room gets an answer.
 *
 * Clearing whole GiBs of a V4 device needs many index pages and writes no data:
 * one of them is twice what the smallest cache holds.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "io.h"
#include "tap.h"

#define GIB		(1ull << 30)
#define DISK		(16 * GIB)
#define MANY		16u
#define FOR_EVER	20000u	/* ends, so that a retry without end fails */
#define TICKS		10u

static struct bench bench;

static void start_clearing(struct bench_io *io, struct common_file *file,
			   unsigned int gib)
{
	bench_start(io, file, COMMON_ZEROES, NULL, gib * GIB, GIB, 0);
}

/* Nothing moves, even if the timer of staged metadata runs. */
static bool at_rest(struct common_file *file)
{
	if (rig_pump(&bench.rig))
		return false;
	cow_background(file);
	return !bench.rig.queued;
}

/* Wait for @io, while the timer runs a few times. */
static void await(struct common_file *file, struct bench_io *io)
{
	unsigned int i;

	rig_drain(&bench.rig);
	for (i = 0; !io->over && i < TICKS; i++) {
		cow_background(file);
		rig_drain(&bench.rig);
	}
}

/* Step until it is done, or nothing moves any more. */
static enum cow_step step_to_rest(struct common_file *file,
				  struct cow_task *task)
{
	enum cow_step step = COW_STEP_AGAIN;

	do {
		if (step != COW_STEP_DONE)
			step = cow_task_step(task);
	} while (step == COW_STEP_AGAIN || !at_rest(file));
	return step;
}

static unsigned int count_good(const struct bench_io *io, unsigned int n)
{
	unsigned int i, good = 0;

	for (i = 0; i < n; i++)
		good += io[i].over && !io[i].result;
	return good;
}

static struct cow_task *start_snapshot(struct common_file *file)
{
	static struct cow_snapshot_result result;
	const struct cow_snapshot_args args = { .name = "snap" };
	struct cow_error err = { "" };
	struct cow_task *task = NULL;

	if (cow_snapshot_start(file, &args, &result, &task, &err))
		diag("%s", err.text);
	return task;
}

/*
 * The writes wait for clean index pages, the snapshot for the writes: so pages
 * have to become clean before the snapshot is durable.
 */
static void writes_that_a_snapshot_waits_for_get_index_pages(void)
{
	static struct bench_io io[MANY];
	struct common_file *file;
	struct cow_task *task;
	enum cow_step step;
	unsigned int i;

	bench_init(&bench);
	file = bench_disk(&bench, 4, DISK);
	bench.rig.async = true;
	task = start_snapshot(file);
	if (!ok(task, "a snapshot begins"))
		return;
	for (i = 0; i < MANY; i++)
		start_clearing(&io[i], file, i);
	step = step_to_rest(file, task);
	is(count_good(io, MANY), MANY,
	   "requests that fill the index memory are answered");
	if (!ok(step == COW_STEP_DONE, "and the snapshot comes to its end"))
		return;
	is(task->result, 0, "with success");
	cow_snapshot_end(task);
	bench.rig.async = false;
	rig_close(&bench.rig, file);
}

static void sync_failed_for_good(bool async)
{
	const char *kind = async ? "async" : "sync";
	static uint8_t buf[BENCH_BLOCK];
	static struct bench_io io, read;
	struct common_file *file;

	bench_init(&bench);
	file = bench_disk(&bench, 4, DISK);
	bench.rig.async = async;
	bench_put(&bench, file, 0, 7, 0);
	bench_fail(&bench, IO_SYNC, -EIO, FOR_EVER);
	is(bench_flush(&bench, file), -EIO, "%s: a sync fails", kind);
	start_clearing(&io, file, 1);
	await(file, &io);
	ok(io.over, "%s: then one that fills the index memory is answered",
	   kind);
	is(io.result, -EIO, "%s: with the error", kind);
	bench_start(&read, file, COMMON_READ, buf, 8 * GIB, sizeof(buf), 0);
	await(file, &read);
	ok(read.over, "%s: a read is answered", kind);
	if (io.over && read.over)
		rig_close(&bench.rig, file);
}

static void no_room_for_index_pages(bool async)
{
	const char *kind = async ? "async" : "sync";
	static struct bench_io io;
	struct common_file *file;

	bench_init(&bench);
	file = bench_disk(&bench, 4, DISK);
	bench.rig.async = async;
	bench_fail(&bench, IO_WRITE, -ENOSPC, FOR_EVER);
	start_clearing(&io, file, 0);
	await(file, &io);
	ok(bench.fail_left, "%s: a full host is not asked for ever", kind);
	is(io.result, -ENOSPC, "%s: what needs room for its index gets ENOSPC",
	   kind);
	bench_fail(&bench, IO_WRITE, 0, 0);
	start_clearing(&io, file, 0);
	await(file, &io);
	is(io.result, 0, "%s: and succeeds when there is room", kind);
	is(bench_flush(&bench, file), 0, "%s: as does a flush", kind);
	bench.rig.async = false;
	rig_close(&bench.rig, file);
}

/* ---- writes all over a large disk --------------------------------------- */

#define LARGE		(16384 * GIB)
#define WRITERS		64u
#define EVENTS		20000u
#define READS_AT_ONCE	(WRITERS * 64)

static unsigned int reads;

/* Index pages are in the host's memory; all else takes its time. */
static int reads_at_once(void *ctx, struct io_desc *desc)
{
	if (desc->op != IO_READ)
		return bench.submit(ctx, desc);
	/* The engine goes round and round, and nothing else gets its turn. */
	if (++reads == READS_AT_ONCE) {
		ok(false, "index pages push one another out for ever");
		exit(1);
	}
	return cow_io_sync.submit(NULL, desc);
}

static void write_somewhere(struct bench_io *io, struct common_file *file)
{
	static uint8_t buf[BENCH_BLOCK];
	uint64_t block = tap_random(&bench.rig.seed) % (LARGE / BENCH_BLOCK);

	bench_start(io, file, COMMON_WRITE, buf, block * BENCH_BLOCK,
		    sizeof(buf), 0);
}

static void writes_that_need_two_pages_each_find_them(void)
{
	static struct bench_io io[WRITERS];
	struct common_file *file;
	unsigned int i, n, written = 0;

	bench_init(&bench);
	bench.rig.env.index_bytes = 1;
	file = bench_disk(&bench, 4, LARGE);
	bench.ops.submit = reads_at_once;
	bench.rig.async = true;
	for (i = 0; i < WRITERS; i++)
		write_somewhere(&io[i], file);
	for (n = 0; n < EVENTS; n++) {
		reads = 0;
		if (!rig_pump(&bench.rig))
			cow_background(file);
		for (i = 0; i < WRITERS; i++) {
			if (!io[i].over)
				continue;
			written += !io[i].result;
			write_somewhere(&io[i], file);
		}
	}
	ok(written > EVENTS / 8, "%u writes all over a large disk are answered",
	   written);
	bench.ops.submit = bench.submit;
	bench.rig.async = false;
	rig_close(&bench.rig, file);
}

int main(void)
{
	writes_that_a_snapshot_waits_for_get_index_pages();
	sync_failed_for_good(false);
	sync_failed_for_good(true);
	no_room_for_index_pages(false);
	no_room_for_index_pages(true);
	writes_that_need_two_pages_each_find_them();
	return plan_done();
}
