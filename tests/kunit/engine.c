// SPDX-License-Identifier: GPL-2.0-only
/*
 * The engine in its place: chains on real files of the host, through the
 * driver's own back end, its completion interrupt and its lock.
 *
 * Duty: to compare chains with an array that says, for each sector, which
 * write it holds, under random requests, and while snapshot and merge go on.
 *
 * Invariant: a sector's content names the sector and the write, so that any
 * other sector, and any older state, is told from what is right.
 */
#include <kunit/test.h>
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/jhash.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/prandom.h>
#include <linux/sizes.h>
#include "files.h"
#include "ubd.h"

#define DISK		SZ_8M
#define SECTORS		(DISK / COW_SECTOR_SIZE)
#define LONGEST		128u		/* sectors of a request */
#define PIECE		(LONGEST * COW_SECTOR_SIZE)
#define WORDS		(COW_SECTOR_SIZE / sizeof(u64))
#define ZEROED		(~0u)		/* instead of the number of a write */
#define REQUESTS	1500
#define SEED		0x6d6f6f20u
#define WRITERS		3u
#define SHARE		(SECTORS / WRITERS)
#define SOME_WRITES	200u
#define ROUNDS		5u		/* of snapshot and merge */
#define BURST		256u		/* writes without a rest */
#define PATIENCE	(120 * HZ)

/**
 * struct writer - a thread that writes its share of the disk without end
 * @done: number of writes so far; the n-th is always at the same place
 */
struct writer {
	struct world *world;
	struct task_struct *thread;
	unsigned int number;
	unsigned int done;
	int error;
	u8 *buf;
};

/**
 * struct world - what a test case works on
 * @args: how its chain is opened
 * @live: set aside while a frozen layer of it is looked at
 * @twin: for each sector the number of the last write to it
 * @later: requests that were answered by the completion interrupt
 */
struct world {
	struct cow_open_args args;
	struct common_file *file;
	struct common_file *live;
	u32 *twin;
	u8 *buf;
	struct rnd_state rnd;
	unsigned int later;
	struct writer writers[WRITERS];
};

/* ---- sectors ----------------------------------------------------------- */

static void fill(u8 *buf, u32 sector, unsigned int count, u32 number)
{
	u64 *word = (u64 *)buf;
	unsigned int i;

	for (i = 0; i < count * WORDS; i++)
		word[i] = number == ZEROED ? 0 :
			  ((u64)number << 32 | (sector + i / WORDS + 1)) ^
			  (u64)(i % WORDS) << 56;
}

static u32 number_of(const u8 *buf)
{
	u64 word = *(const u64 *)buf;

	return word ? word >> 32 : ZEROED;
}

static bool holds(const u8 *buf, u32 sector, u32 number)
{
	u8 right[COW_SECTOR_SIZE];

	fill(right, sector, 1, number);
	return !memcmp(buf, right, sizeof(right));
}

static void note(struct world *world, u32 sector, unsigned int count,
		 u32 number)
{
	while (count--)
		world->twin[sector++] = number;
}

/* ---- requests ---------------------------------------------------------- */

struct call {
	struct common_io io;
	struct completion done;
};

static void call_done(struct common_io *io)
{
	complete(&container_of(io, struct call, io)->done);
}

static int submit(struct common_file *file, struct common_io *io)
{
	switch (io->op) {
	case COMMON_READ:
		return common_pread(file, io);
	case COMMON_WRITE:
		return common_pwrite(file, io);
	case COMMON_FLUSH:
		return common_flush(file, io);
	case COMMON_DISCARD:
		return common_discard(file, io);
	case COMMON_ZEROES:
		return common_zeroes(file, io);
	}
	return -EOPNOTSUPP;
}

static int perform_once(struct world *world, struct call *call)
{
	unsigned long flags;
	int ret;

	init_completion(&call->done);
	call->io.done = call_done;
	flags = ubd_enter();
	ret = submit(world->file, &call->io);
	if (ret == -EINPROGRESS)
		world->later++;
	ubd_leave(flags);
	if (ret != -EINPROGRESS)
		return ret;
	wait_for_completion(&call->done);
	return call->io.result;
}

static int perform(struct world *world, struct call *call)
{
	int ret;

	while ((ret = perform_once(world, call)) == -EAGAIN)
		msleep(20);
	return ret;
}

/* @buf in three parts, since a request's memory seldom is in one. */
static int request(struct world *world, enum common_op op, unsigned int flags,
		   u8 *buf, u32 sector, unsigned int count)
{
	size_t third = count / 3 * COW_SECTOR_SIZE;
	struct cow_vec vec[] = {
		{ buf, third },
		{ buf + third, third },
		{ buf + 2 * third, count * COW_SECTOR_SIZE - 2 * third },
	};
	struct call call = {
		.io = {
			.op = op,
			.flags = flags,
			.offset = (u64)sector * COW_SECTOR_SIZE,
			.len = (u64)count * COW_SECTOR_SIZE,
			.vec = third ? vec : vec + 2,
			.nvec = third ? 3 : 1,
		},
	};

	return perform(world, &call);
}

/* ---- opening and closing ----------------------------------------------- */

static void open_chain(struct kunit *test)
{
	struct ubd_open *open = kunit_kzalloc(test, sizeof(*open), GFP_KERNEL);
	struct world *world = test->priv;
	int ret;

	KUNIT_ASSERT_NOT_NULL(test, open);
	open->args = world->args;
	ret = ubd_call(ubd_host_open, open);
	KUNIT_ASSERT_EQ_MSG(test, ret, 0, "%s", open->err.text);
	KUNIT_ASSERT_EQ(test, open->file->size, (u64)DISK);
	world->file = open->file;
}

static bool idle(struct world *world)
{
	unsigned long flags = ubd_enter();
	bool ret = cow_idle(world->file);

	ubd_leave(flags);
	return ret;
}

static void close_chain(struct world *world)
{
	if (!world->file)
		return;
	request(world, COMMON_FLUSH, 0, world->buf, 0, 0);
	while (!idle(world))
		msleep(20);
	ubd_call(ubd_host_close, world->file);
	world->file = NULL;
}

static void reopen_chain(struct kunit *test)
{
	close_chain(test->priv);
	open_chain(test);
}

/* A raw file whose sectors hold write 0. */
static const char *make_base(struct kunit *test)
{
	const char *path = files_name(test, "base");
	struct world *world = test->priv;
	int fd = files_open(test, path, DISK);
	u32 sector;
	int ret = 0;

	for (sector = 0; sector < SECTORS && !ret; sector += LONGEST) {
		fill(world->buf, sector, LONGEST, 0);
		ret = io_host_pwrite(NULL, fd, world->buf, PIECE,
				     (u64)sector * COW_SECTOR_SIZE);
	}
	io_host_close(NULL, fd);
	KUNIT_ASSERT_EQ(test, ret, 0);
	note(world, 0, SECTORS, 0);
	return path;
}

static void make_delta(struct kunit *test, const char *name,
		       unsigned int version)
{
	struct world *world = test->priv;
	struct cow_layer_info info;

	world->args.parent = world->args.name;
	world->args.name = files_name(test, name);
	world->args.create = true;
	open_chain(test);
	KUNIT_ASSERT_EQ(test, cow_layer(world->file, 0, &info), 0);
	KUNIT_EXPECT_EQ(test, (unsigned int)info.format, version);
	close_chain(world);
}

/* The chain that the case's parameter asks for, open. */
static void make_chain(struct kunit *test)
{
	unsigned int deltas = *(const unsigned int *)test->param_value;
	struct world *world = test->priv;

	world->args.name = make_base(test);
	if (deltas > 0)
		make_delta(test, "v3", COW_V3);
	if (deltas > 1)
		make_delta(test, "v4", COW_V4);
	open_chain(test);
	KUNIT_ASSERT_EQ(test, cow_depth(world->file), deltas + 1);
}

static const unsigned int chains[] = { 0, 1, 2 };

static void chain_name(const unsigned int *deltas, char *desc)
{
	static const char * const names[] = {
		"raw", "V3 on raw", "V4 on V3 on raw",
	};

	strscpy(desc, names[*deltas], KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(chain, chains, chain_name);

/* ---- comparing --------------------------------------------------------- */

static bool same(struct kunit *test, u32 sector, unsigned int count)
{
	struct world *world = test->priv;
	int ret = request(world, COMMON_READ, 0, world->buf, sector, count);
	unsigned int i;

	KUNIT_EXPECT_EQ(test, ret, 0);
	for (i = 0; i < count && !ret; i++) {
		u8 *buf = world->buf + i * COW_SECTOR_SIZE;

		if (holds(buf, sector + i, world->twin[sector + i]))
			continue;
		KUNIT_FAIL(test, "sector %u holds %#llx, not write %u",
			   sector + i, *(u64 *)buf, world->twin[sector + i]);
		return false;
	}
	return !ret;
}

static void compare_all(struct kunit *test)
{
	u32 sector;

	for (sector = 0; sector < SECTORS; sector += LONGEST)
		if (!same(test, sector, LONGEST))
			return;
}

/* ---- random requests --------------------------------------------------- */

static u32 pick(struct world *world, u32 n)
{
	return prandom_u32_state(&world->rnd) % n;
}

static int write(struct world *world, u32 sector, unsigned int count,
		 u32 number)
{
	unsigned int flags = pick(world, 16) ? 0 : COMMON_FUA;

	fill(world->buf, sector, count, number);
	note(world, sector, count, number);
	return request(world, COMMON_WRITE, flags, world->buf, sector, count);
}

static int zero(struct world *world, u32 sector, unsigned int count)
{
	note(world, sector, count, ZEROED);
	return request(world, COMMON_ZEROES, 0, NULL, sector, count);
}

/* Each sector reads as zeros from now on, or as before. */
static int discard(struct world *world, u32 sector, unsigned int count)
{
	int ret = request(world, COMMON_DISCARD, 0, NULL, sector, count);
	unsigned int i;

	if (!ret)
		ret = request(world, COMMON_READ, 0, world->buf, sector, count);
	for (i = 0; i < count && !ret; i++)
		if (number_of(world->buf + i * COW_SECTOR_SIZE) == ZEROED)
			note(world, sector + i, 1, ZEROED);
	return ret;
}

static int background(struct world *world)
{
	unsigned long flags = ubd_enter();

	cow_background(world->file);
	ubd_leave(flags);
	return 0;
}

static void one_of_many(struct kunit *test, u32 number)
{
	struct world *world = test->priv;
	unsigned int count = 1 + pick(world, LONGEST);
	u32 sector = pick(world, SECTORS - count + 1);
	u32 kind = pick(world, 100);
	int ret = 0;

	if (kind < 50)
		ret = write(world, sector, count, number);
	else if (kind < 56)
		ret = zero(world, sector, count);
	else if (kind < 62)
		ret = discard(world, sector, count);
	else if (kind < 66)
		ret = request(world, COMMON_FLUSH, 0, world->buf, 0, 0);
	else if (kind < 70)
		ret = background(world);
	else
		same(test, sector, count);
	KUNIT_ASSERT_EQ_MSG(test, ret, 0, "request %u of kind %u", number,
			    kind);
}

static void random_requests(struct kunit *test)
{
	struct world *world = test->priv;
	u32 number;

	make_chain(test);
	for (number = 1; number <= REQUESTS; number++)
		one_of_many(test, number);
	compare_all(test);
	reopen_chain(test);
	compare_all(test);
	/* What is durable was never answered at once. */
	KUNIT_EXPECT_GT(test, world->later, 0u);
}

/* ---- requests that are refused ----------------------------------------- */

static int out_of_place(struct world *world, u64 offset, u64 len)
{
	struct cow_vec vec = { world->buf, len };
	struct call call = {
		.io = {
			.op = COMMON_READ,
			.offset = offset,
			.len = len,
			.vec = &vec,
			.nvec = 1,
		},
	};

	return perform(world, &call);
}

static void refused_requests(struct kunit *test)
{
	struct world *world = test->priv;

	make_chain(test);
	KUNIT_EXPECT_EQ(test, out_of_place(world, 1, 512), -EINVAL);
	KUNIT_EXPECT_EQ(test, out_of_place(world, 0, 511), -EINVAL);
	KUNIT_EXPECT_EQ(test, out_of_place(world, 0, 0), -EINVAL);
	KUNIT_EXPECT_EQ(test, out_of_place(world, DISK, 512), -EINVAL);
	KUNIT_EXPECT_EQ(test, out_of_place(world, DISK - 512, 1024), -EINVAL);
	KUNIT_EXPECT_EQ(test, out_of_place(world, -512ull, 1024), -EINVAL);
	/* Whoever opens the disk by its name next must not see a header. */
	memcpy(world->buf, "OOOM", 4);
	KUNIT_EXPECT_EQ(test, request(world, COMMON_WRITE, 0, world->buf, 0, 8),
			-EPERM);
	compare_all(test);
}

static void read_only(struct kunit *test)
{
	struct world *world = test->priv;

	make_chain(test);
	close_chain(world);
	world->args.read_only = true;
	open_chain(test);
	KUNIT_EXPECT_TRUE(test, world->file->read_only);
	KUNIT_EXPECT_EQ(test, request(world, COMMON_WRITE, 0, world->buf, 8, 8),
			-EROFS);
	KUNIT_EXPECT_EQ(test, request(world, COMMON_ZEROES, 0, NULL, 8, 8),
			-EROFS);
	KUNIT_EXPECT_EQ(test, request(world, COMMON_DISCARD, 0, NULL, 8, 8),
			-EROFS);
	KUNIT_EXPECT_EQ(test, request(world, COMMON_FLUSH, 0, NULL, 0, 0), 0);
	compare_all(test);
}

/* ---- writers ----------------------------------------------------------- */

/* Where a writer's @n-th write goes, n > 0: the same whenever it is asked. */
static void place(const struct writer *writer, u32 n, u32 *sector,
		  unsigned int *count)
{
	u32 hash = jhash_2words(n, writer->number, SEED);

	*count = 1 + (hash >> 16) % LONGEST;
	*sector = writer->number * SHARE + hash % (SHARE - *count + 1);
}

static int write_place(struct writer *writer, u32 n)
{
	struct world *world = writer->world;
	unsigned int count;
	u32 sector;
	int ret;

	place(writer, n, &sector, &count);
	fill(writer->buf, sector, count, n);
	ret = request(world, COMMON_WRITE, n % 32 ? 0 : COMMON_FUA,
		      writer->buf, sector, count);
	note(world, sector, count, n);
	if (!ret && n % 128 == 0)
		ret = request(world, COMMON_FLUSH, 0, NULL, 0, 0);
	return ret;
}

/* Nobody else writes here, so nothing but its own writes may be seen. */
static int read_place(struct writer *writer, u32 n)
{
	struct world *world = writer->world;
	unsigned int count, i;
	u32 sector;
	int ret;

	place(writer, n, &sector, &count);
	ret = request(world, COMMON_READ, 0, writer->buf, sector, count);
	for (i = 0; i < count && !ret; i++)
		if (!holds(writer->buf + i * COW_SECTOR_SIZE, sector + i,
			   world->twin[sector + i]))
			ret = -EILSEQ;
	return ret;
}

static int write_next(struct writer *writer)
{
	u32 n = writer->done + 1;
	int ret;

	ret = write_place(writer, n);
	if (!ret)
		ret = read_place(writer, ~n);
	WRITE_ONCE(writer->done, n);
	return ret;
}

static int writer_main(void *arg)
{
	struct writer *writer = arg;

	while (!kthread_should_stop()) {
		if (!writer->error)
			writer->error = write_next(writer);
		/* A write that was answered at once has not given way. */
		if (writer->done % BURST)
			cond_resched();
		else
			schedule_timeout_uninterruptible(1);
	}
	return 0;
}

static void start_writers(struct kunit *test)
{
	struct world *world = test->priv;
	struct writer *writer;

	for (writer = world->writers; writer < world->writers + WRITERS;
	     writer++) {
		writer->world = world;
		writer->number = writer - world->writers;
		writer->buf = kunit_kzalloc(test, PIECE, GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, writer->buf);
		writer->thread = kthread_run(writer_main, writer, "kunit-%u",
					     writer->number);
		if (IS_ERR(writer->thread))
			writer->thread = NULL;
		KUNIT_ASSERT_NOT_NULL(test, writer->thread);
	}
}

static void stop_writers(struct world *world)
{
	unsigned int i;

	for (i = 0; i < WRITERS; i++) {
		if (world->writers[i].thread)
			kthread_stop(world->writers[i].thread);
		world->writers[i].thread = NULL;
	}
}

/* Each of them goes on, whatever else is going on. */
static void await_writes(struct kunit *test)
{
	struct world *world = test->priv;
	unsigned long end = jiffies + PATIENCE;
	unsigned int i, before;

	for (i = 0; i < WRITERS; i++) {
		before = READ_ONCE(world->writers[i].done);
		while (READ_ONCE(world->writers[i].done) - before <
		       SOME_WRITES && time_before(jiffies, end))
			msleep(20);
		KUNIT_ASSERT_EQ(test, world->writers[i].error, 0);
		KUNIT_ASSERT_GE(test, world->writers[i].done,
				before + SOME_WRITES);
	}
}

/* What the disk holds when each writer has written so often. */
static void replay(struct world *world, const unsigned int done[WRITERS])
{
	unsigned int i, count;
	u32 n, sector;

	note(world, 0, SECTORS, 0);
	for (i = 0; i < WRITERS; i++) {
		for (n = 1; n <= done[i]; n++) {
			place(&world->writers[i], n, &sector, &count);
			note(world, sector, count, n);
		}
	}
}

static void compare_written(struct kunit *test)
{
	struct world *world = test->priv;
	unsigned int done[WRITERS], i;

	for (i = 0; i < WRITERS; i++) {
		KUNIT_EXPECT_EQ(test, world->writers[i].error, 0);
		done[i] = world->writers[i].done;
	}
	replay(world, done);
	compare_all(test);
}

/* ---- tasks ------------------------------------------------------------- */

static DECLARE_COMPLETION(task_woken);

static void task_wake(struct cow_task *task)
{
	complete(&task_woken);
}

static enum cow_step step(struct cow_task *task)
{
	unsigned long flags = ubd_enter();
	enum cow_step ret;

	reinit_completion(&task_woken);
	task->wake = task_wake;
	ret = cow_task_step(task);
	ubd_leave(flags);
	return ret;
}

static void run_task(struct kunit *test, struct cow_task *task)
{
	enum cow_step next;

	while ((next = step(task)) != COW_STEP_DONE) {
		background(test->priv);
		if (next == COW_STEP_WAIT)
			wait_for_completion_timeout(&task_woken, HZ);
		else
			cond_resched();
	}
	KUNIT_EXPECT_EQ_MSG(test, task->result, 0, "%s", task->error.text);
}

static void take_snapshot(struct kunit *test, const char *name)
{
	struct ubd_group *group = kunit_kzalloc(test, sizeof(*group),
						GFP_KERNEL);
	struct cow_snapshot_result *result = kunit_kzalloc(test,
							   sizeof(*result),
							   GFP_KERNEL);
	struct world *world = test->priv;
	int ret;

	KUNIT_ASSERT_NOT_NULL(test, group);
	KUNIT_ASSERT_NOT_NULL(test, result);
	group->count = 1;
	group->member[0].file = world->file;
	group->member[0].args.name = name;
	group->member[0].result = result;
	ret = ubd_call(ubd_host_group, group);
	KUNIT_ASSERT_EQ_MSG(test, ret, 0, "%s", group->err.text);
	run_task(test, group->member[0].task);
	ubd_call(ubd_host_snapshot_end, group->member[0].task);
	KUNIT_EXPECT_STREQ(test, result->top, name);
	KUNIT_EXPECT_STREQ(test, result->frozen, world->args.name);
}

static void merge_back(struct kunit *test)
{
	struct ubd_merge *merge = kunit_kzalloc(test, sizeof(*merge),
						GFP_KERNEL);
	struct world *world = test->priv;
	int ret;

	KUNIT_ASSERT_NOT_NULL(test, merge);
	merge->file = world->file;
	merge->args.remove = true;
	ret = ubd_call(ubd_host_merge, merge);
	KUNIT_ASSERT_EQ_MSG(test, ret, 0, "%s", merge->err.text);
	run_task(test, merge->task);
	ubd_call(ubd_host_merge_end, merge->task);
	/* What is overwritten meanwhile has not to be moved. */
	KUNIT_EXPECT_LE(test, merge->progress.done, merge->progress.total);
	KUNIT_EXPECT_STREQ(test, merge->progress.top, world->args.name);
}

/* ---- snapshot and merge under load ------------------------------------- */

/* How many of each writer's writes the chain holds: the last one shows it. */
static void count_writes(struct kunit *test, unsigned int held[WRITERS])
{
	struct world *world = test->priv;
	unsigned int i;
	u32 sector, n;

	memset(held, 0, WRITERS * sizeof(*held));
	for (sector = 0; sector < SECTORS; sector++) {
		if (sector % LONGEST == 0)
			KUNIT_ASSERT_EQ(test,
					request(world, COMMON_READ, 0,
						world->buf, sector, LONGEST),
					0);
		n = number_of(world->buf + sector % LONGEST * COW_SECTOR_SIZE);
		i = min(sector / SHARE, WRITERS - 1);
		held[i] = max(held[i], n);
	}
}

/*
 * The frozen layer is what the disk was at one instant: of each writer, whose
 * writes follow one another, it holds all up to one, and none behind it.
 */
static void check_frozen(struct kunit *test, const unsigned int before[WRITERS],
			 const unsigned int after[WRITERS])
{
	struct world *world = test->priv;
	unsigned int held[WRITERS], i;

	world->live = world->file;
	world->file = NULL;
	world->args.read_only = true;
	open_chain(test);
	world->args.read_only = false;
	count_writes(test, held);
	for (i = 0; i < WRITERS; i++) {
		KUNIT_EXPECT_GE(test, held[i], before[i]);
		/* One may have been answered but not yet counted. */
		KUNIT_ASSERT_LE(test, held[i], after[i] + 1);
	}
	replay(world, held);
	compare_all(test);
	close_chain(world);
	world->file = world->live;
	world->live = NULL;
}

static void count_done(struct world *world, unsigned int done[WRITERS])
{
	unsigned int i;

	for (i = 0; i < WRITERS; i++)
		done[i] = READ_ONCE(world->writers[i].done);
}

static void snapshot_once(struct kunit *test)
{
	unsigned int before[WRITERS], after[WRITERS];
	struct world *world = test->priv;
	unsigned int depth = cow_depth(world->file);

	start_writers(test);
	await_writes(test);
	count_done(world, before);
	take_snapshot(test, files_name(test, "snapshot"));
	KUNIT_EXPECT_EQ(test, cow_depth(world->file), depth + 1);
	count_done(world, after);
	await_writes(test);
	stop_writers(world);
	check_frozen(test, before, after);
	compare_written(test);
}

static void merge_once(struct kunit *test)
{
	struct world *world = test->priv;
	unsigned int depth = cow_depth(world->file);

	start_writers(test);
	merge_back(test);
	/* At once, before more writes would cover what went wrong. */
	stop_writers(world);
	KUNIT_EXPECT_EQ(test, cow_depth(world->file), depth - 1);
	compare_written(test);
}

static void snapshot_and_merge(struct kunit *test)
{
	unsigned int depth, round;
	struct world *world = test->priv;

	make_chain(test);
	depth = cow_depth(world->file);
	for (round = 0; round < ROUNDS; round++) {
		snapshot_once(test);
		merge_once(test);
	}
	reopen_chain(test);
	KUNIT_EXPECT_EQ(test, cow_depth(world->file), depth);
	compare_written(test);
}

/* ---- the suite --------------------------------------------------------- */

static int engine_init(struct kunit *test)
{
	struct world *world = kunit_kzalloc(test, sizeof(*world), GFP_KERNEL);

	if (!world)
		return -ENOMEM;
	world->twin = kunit_kzalloc(test, SECTORS * sizeof(u32), GFP_KERNEL);
	world->buf = kunit_kzalloc(test, PIECE, GFP_KERNEL);
	if (!world->twin || !world->buf)
		return -ENOMEM;
	prandom_seed_state(&world->rnd, SEED);
	test->priv = world;
	return 0;
}

static void engine_exit(struct kunit *test)
{
	struct world *world = test->priv;

	if (!world)
		return;
	stop_writers(world);
	close_chain(world);
	world->file = world->live;
	close_chain(world);
}

static struct kunit_case engine_cases[] = {
	KUNIT_CASE_PARAM(random_requests, chain_gen_params),
	KUNIT_CASE_PARAM(refused_requests, chain_gen_params),
	KUNIT_CASE_PARAM(read_only, chain_gen_params),
	KUNIT_CASE_PARAM(snapshot_and_merge, chain_gen_params),
	{}
};

static struct kunit_suite engine_suite = {
	.name = "cow-engine",
	.init = engine_init,
	.exit = engine_exit,
	.test_cases = engine_cases,
};

kunit_test_suite(engine_suite);

MODULE_DESCRIPTION("KUnit tests of the COW engine in the kernel");
MODULE_LICENSE("GPL");
