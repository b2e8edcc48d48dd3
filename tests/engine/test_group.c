// SPDX-License-Identifier: GPL-2.0-only
/*
 * Snapshots of several devices as one: all of one instant or none, whatever fails
 * and whoever calls them off.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "engine.h"
#include "io.h"
#include "tap.h"

#define DISK	(64u * BENCH_BLOCK)
#define DISKS	3u

static const char *const names[DISKS] = { "a", "b", "c" };
static const char *const tops[DISKS] = { "one", "two", "three" };

static struct bench bench;
static struct common_file *file[DISKS];
static struct cow_member member[DISKS];
static struct cow_snapshot_result result[DISKS];
static struct cow_error err;
static unsigned int no_room;	/* for so many records */
static unsigned int links;	/* records written since the swap */
static unsigned int early;	/* of them, before all had adopted */

/* ---- what the host sees ------------------------------------------------ */

static bool has_swapped(unsigned int i)
{
	return cow_depth(file[i]) == 2;
}

static bool has_adopted(unsigned int i)
{
	const struct layer *top = cow_chain(file[i])->top;

	return !(top->hdr.v4.state & COW_IS_PROVISIONAL) &&
	       !top->header_dirty && top->commit.phase == COMMIT_IDLE;
}

static int set_attribute(void *ctx, int fd, enum io_attr attr, const void *buf,
			 size_t len)
{
	unsigned int i;

	if (attr != IO_ATTR_STATE)
		return cow_io_sync.setattr(ctx, fd, attr, buf, len);
	if (has_swapped(0) && no_room && no_room--)
		return -ENOSPC;
	if (has_swapped(0)) {
		links++;
		for (i = 0; i < DISKS; i++)
			early += !has_adopted(i);
	}
	return cow_io_sync.setattr(ctx, fd, attr, buf, len);
}

static bool exists(const char *name)
{
	char path[BENCH_NAME];

	bench_path(&bench, path, name);
	return !access(path, F_OK);
}

static unsigned int files_left(void)
{
	unsigned int i, n = 0;

	for (i = 0; i < DISKS; i++)
		n += exists(tops[i]);
	return n;
}

static void make(const char *name)
{
	char path[BENCH_NAME];
	int fd;

	bench_path(&bench, path, name);
	fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0644);
	if (fd < 0 || ftruncate(fd, DISK))
		diag("%s can not be made", path);
	close(fd);
}

static void begin(void)
{
	unsigned int i;

	bench_init(&bench);
	bench.ops.setattr = set_attribute;
	no_room = 0;
	links = 0;
	early = 0;
	memset(member, 0, sizeof(member));
	memset(&err, 0, sizeof(err));
	for (i = 0; i < DISKS; i++) {
		make(names[i]);
		file[i] = bench_open(&bench, names[i]);
		bench_put(&bench, file[i], 0, 1 + i, 0);
		member[i].file = file[i];
		member[i].args.name = tops[i];
		member[i].result = &result[i];
	}
}

static void end(void)
{
	unsigned int i;

	for (i = 0; i < DISKS; i++)
		rig_close(&bench.rig, file[i]);
}

/* ---- steps ------------------------------------------------------------- */

static bool started(void)
{
	int ret = cow_group_start(member, DISKS, &err);

	if (ret)
		diag("%s", err.text);
	return !ret;
}

/* One step of each that is not done, from number @first on; how many go on. */
static unsigned int step_each(unsigned int first)
{
	unsigned int i, left = 0;

	for (i = 0; i < DISKS; i++) {
		struct cow_member *one = &member[(first + i) % DISKS];

		left += cow_task_step(one->task) != COW_STEP_DONE;
	}
	return left;
}

/* Until nothing moves any more: how many go on. */
static unsigned int step_all(void)
{
	unsigned int left = DISKS, idle = 0, turn = 0;

	while (left && idle < 10) {
		left = step_each(turn++);
		idle = rig_pump(&bench.rig) ? 0 : idle + 1;
	}
	return left;
}

static unsigned int ended_with(int error)
{
	unsigned int i, n = 0;

	for (i = 0; i < DISKS; i++) {
		n += member[i].task->result == error;
		if (member[i].task->result)
			diag("%s", member[i].task->error.text);
		cow_snapshot_end(member[i].task);
	}
	return n;
}

static unsigned int swapped(void)
{
	unsigned int i, n = 0;

	for (i = 0; i < DISKS; i++)
		n += has_swapped(i);
	return n;
}

/* All of them can be snapshotted, and their data is what it was. */
static void as_if_nothing_had_been(void)
{
	unsigned int i, good = 0;

	is(files_left(), 0, "no file is left");
	is(swapped(), 0, "no top was swapped");
	for (i = 0; i < DISKS; i++)
		good += !rig_snapshot(&bench.rig, file[i], tops[i]) &&
			bench_get(&bench, file[i], 0) == (int)(1 + i);
	is(good, DISKS, "each can be snapshotted");
}

/* ---- cases ------------------------------------------------------------- */

/* Wherever tasks stand: none of the tops is swapped, or all of them are. */
static void in_one_step(bool async)
{
	unsigned int i, torn = 0, good = 0, turn, left = DISKS;

	begin();
	bench.rig.async = async;
	ok(started(), "three devices, %s", async ? "async" : "sync");
	is(files_left(), DISKS, "all files are there");
	for (turn = 0; left && turn < 10000; turn++) {
		struct cow_member *one = &member[(turn * 7) % DISKS];

		left -= cow_task_step(one->task) == COW_STEP_DONE &&
			!one->args.version++;
		torn += swapped() % DISKS;
		good += cow_snapshot_swapped(one->task) != !!swapped();
		if (turn % 3 == 2)
			rig_pump(&bench.rig);
	}
	is(torn, 0, "never some of the tops alone");
	is(good, 0, "and it is known when");
	is(ended_with(0), DISKS, "they come to their ends");
	ok(links >= DISKS && !early, "links only when all had adopted (%u)",
	   links);
	bench.rig.async = false;
	for (i = 0, good = 0; i < DISKS; i++)
		good += result[i].pause_ns == result[0].pause_ns &&
			strstr(result[i].top, tops[i]) &&
			strstr(result[i].frozen, names[i]) &&
			bench_get(&bench, file[i], 0) == (int)(1 + i);
	is(good, DISKS, "with one pause, names, and data");
	end();
}

/* Of all states in which the first task may be. */
static void the_last_one_comes_late(void)
{
	unsigned int i, steps, waiting = 0;

	begin();
	ok(started(), "two of three are stepped");
	for (steps = 0; steps < 50; steps++)
		for (i = 0; i < 2; i++)
			waiting += cow_task_step(member[i].task) ==
				   COW_STEP_WAIT;
	ok(waiting > 50, "they wait");
	is(swapped(), 0, "for the third");
	bench_put(&bench, file[0], BENCH_BLOCK, 9, COMMON_FUA);
	is(bench_get(&bench, file[0], BENCH_BLOCK), 9,
	   "requests go on meanwhile");
	is(step_all(), 0, "which comes");
	is(ended_with(0), DISKS, "and all end well");
	rig_close(&bench.rig, file[0]);
	is(bench_get(&bench, file[0] = bench_open(&bench, "a"), BENCH_BLOCK), 9,
	   "what was written while they waited is there");
	end();
}

static void one_that_can_not_begin(unsigned int which)
{
	begin();
	make(tops[which]);
	is(cow_group_start(member, DISKS, &err), -EEXIST,
	   "number %u has a name that is taken", which);
	ok(strstr(err.text, tops[which]), "%s", err.text);
	is(files_left(), 1, "no other file is left");
	bench_path(&bench, err.text, tops[which]);
	unlink(err.text);
	as_if_nothing_had_been();
	end();
}

static void the_same_one_twice(void)
{
	begin();
	member[2].file = file[0];
	is(cow_group_start(member, DISKS, &err), -EBUSY, "one device twice");
	diag("%s", err.text);
	as_if_nothing_had_been();
	end();
}

static void one_that_fails_before_the_swap(unsigned int others_first)
{
	unsigned int steps, i;

	begin();
	ok(started(), "a sync that fails, %u steps behind the others",
	   others_first);
	for (steps = 0; steps < others_first; steps++)
		for (i = 1; i < DISKS; i++)
			cow_task_step(member[i].task);
	bench_fail(&bench, IO_SYNC, -EIO, 1);
	is(step_all(), 0, "all end");
	is(ended_with(-EIO), DISKS, "with the same error");
	is(files_left(), 0, "no file is left");
	is(swapped(), 0, "no top was swapped");
	end();
}

/* After @steps of each: before the swap all is undone, behind it nothing. */
static void called_off(unsigned int steps)
{
	unsigned int i;
	bool late;

	begin();
	bench.rig.async = true;
	ok(started(), "called off after %u steps of each", steps);
	for (i = 0; i < steps; i++) {
		step_each(i);
		rig_pump(&bench.rig);
	}
	late = swapped();
	is(cow_snapshot_abort(member[steps % DISKS].task), !late,
	   "%s", late ? "too late" : "in time");
	is(step_all(), 0, "all end");
	is(ended_with(late ? 0 : -ECANCELED), DISKS, "as they should");
	bench.rig.async = false;
	if (!late)
		as_if_nothing_had_been();
	else
		is(swapped(), DISKS, "all are swapped");
	end();
}

/* The others need not wait for what one of them waits for. */
static void one_that_waits_for_room(void)
{
	unsigned int i, good = 0;

	begin();
	ok(started(), "no room for one of the links");
	no_room = 1;
	is(step_all(), 1, "one goes on");
	for (i = 0; i < DISKS; i++)
		good += cow_task_step(member[i].task) == COW_STEP_DONE &&
			!bench_flush(&bench, file[i]);
	is(good, DISKS - 1, "the others are durable");
	for (i = 0; i < DISKS; i++)
		cow_background(file[i]);
	is(step_all(), 0, "which tries again");
	is(ended_with(0), DISKS, "and all end well");
	end();
}

int main(void)
{
	unsigned int i;

	in_one_step(false);
	in_one_step(true);
	the_last_one_comes_late();
	for (i = 0; i < DISKS; i++)
		one_that_can_not_begin(i);
	the_same_one_twice();
	one_that_fails_before_the_swap(0);
	one_that_fails_before_the_swap(20);
	for (i = 0; i < 12; i++)
		called_off(i);
	one_that_waits_for_room();
	return plan_done();
}
