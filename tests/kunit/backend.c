// SPDX-License-Identifier: GPL-2.0-only
/*
 * The back end that the driver has chosen, below the engine.
 *
 * Duty: plain descriptors, one by one and many at a time, submitted as the
 * engine does it and completed by the interrupt; what they did is looked at in
 * the file itself.
 */
#include <kunit/test.h>
#include <linux/completion.h>
#include <linux/sizes.h>
#include "files.h"
#include "ubd.h"

#define FILE_SIZE	SZ_1M
#define BLOCK		4096u
#define CROWD		200u

/* A descriptor on its way, and a stretch of memory for it. */
struct errand {
	struct io_desc desc;
	struct cow_vec vec;
	struct completion over;
	unsigned int completions;
};

struct bench {
	int fd;
	int other;
	u8 *buf;
	struct errand *crowd;
};

/* ---- errands ----------------------------------------------------------- */

static void errand_done(struct io_desc *desc)
{
	struct errand *errand = container_of(desc, struct errand, desc);

	errand->completions++;
	complete(&errand->over);
}

static void prepare(struct errand *errand, enum io_op op, int fd, u64 offset,
		    u8 *buf, size_t len)
{
	memset(errand, 0, sizeof(*errand));
	init_completion(&errand->over);
	errand->vec = (struct cow_vec){ buf, len };
	errand->desc.op = op;
	errand->desc.fd = fd;
	errand->desc.offset = offset;
	errand->desc.len = len;
	errand->desc.vec = &errand->vec;
	errand->desc.nvec = 1;
	errand->desc.done = errand_done;
}

/* Under ubd_enter(). */
static void submit(struct errand *errand)
{
	int ret = ubd_host_submit(&errand->desc);

	if (ret == -EINPROGRESS)
		return;
	errand->desc.result = ret;
	errand_done(&errand->desc);
}

static s64 run(struct errand *errand)
{
	unsigned long flags = ubd_enter();

	submit(errand);
	ubd_leave(flags);
	wait_for_completion(&errand->over);
	return errand->desc.result;
}

static s64 run_one(struct kunit *test, enum io_op op, u64 offset, u8 *buf,
		   size_t len)
{
	struct bench *bench = test->priv;
	struct errand errand;

	prepare(&errand, op, bench->fd, offset, buf, len);
	return run(&errand);
}

/* ---- one by one -------------------------------------------------------- */

static void pattern(u8 *buf, size_t len, u8 seed)
{
	size_t i;

	for (i = 0; i < len; i++)
		buf[i] = seed + i * 11 + (i >> 8);
}

static void expect_file(struct kunit *test, int fd, u64 offset, const u8 *right,
			size_t len)
{
	u8 *got = kunit_kzalloc(test, len, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, got);
	KUNIT_EXPECT_EQ(test, io_host_pread(NULL, fd, got, len, offset),
			(s64)len);
	KUNIT_EXPECT_TRUE(test, !memcmp(got, right, len));
	kunit_kfree(test, got);
}

static void write_and_read(struct kunit *test)
{
	struct bench *bench = test->priv;
	u8 *in = bench->buf, *out = bench->buf + SZ_64K;

	pattern(out, SZ_64K, 1);
	KUNIT_EXPECT_EQ(test, run_one(test, IO_WRITE, BLOCK, out, SZ_64K),
			SZ_64K);
	expect_file(test, bench->fd, BLOCK, out, SZ_64K);
	KUNIT_EXPECT_EQ(test, run_one(test, IO_SYNC, 0, NULL, 0), 0);
	KUNIT_EXPECT_EQ(test, run_one(test, IO_READ, BLOCK, in, SZ_64K),
			SZ_64K);
	KUNIT_EXPECT_TRUE(test, !memcmp(in, out, SZ_64K));
}

/* Only the end of the file makes a read short. */
static void end_of_file(struct kunit *test)
{
	struct bench *bench = test->priv;

	KUNIT_EXPECT_EQ(test, run_one(test, IO_READ, FILE_SIZE - 512,
				      bench->buf, BLOCK), 512);
	KUNIT_EXPECT_EQ(test, run_one(test, IO_READ, FILE_SIZE, bench->buf,
				      BLOCK), 0);
}

static void skipped_part(struct kunit *test)
{
	struct bench *bench = test->priv;
	struct errand errand;

	pattern(bench->buf, BLOCK, 2);
	prepare(&errand, IO_WRITE, bench->fd, 0, bench->buf, BLOCK);
	errand.desc.skip = 1024;
	errand.desc.len = 512;
	KUNIT_EXPECT_EQ(test, run(&errand), 512);
	expect_file(test, bench->fd, 0, bench->buf + 1024, 512);
}

static void cleared(struct kunit *test)
{
	static const enum io_op ops[] = { IO_PUNCH, IO_ZERO };
	struct bench *bench = test->priv;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ops); i++) {
		pattern(bench->buf, 4 * BLOCK, 3);
		KUNIT_EXPECT_EQ(test, run_one(test, IO_WRITE, 0, bench->buf,
					      4 * BLOCK), 4 * BLOCK);
		KUNIT_EXPECT_EQ(test, run_one(test, ops[i], 512, NULL,
					      2 * BLOCK), 0);
		memset(bench->buf + 512, 0, 2 * BLOCK);
		expect_file(test, bench->fd, 0, bench->buf, 4 * BLOCK);
	}
}

static void copied(struct kunit *test)
{
	struct bench *bench = test->priv;
	struct errand errand;

	pattern(bench->buf, SZ_64K, 4);
	KUNIT_EXPECT_EQ(test, run_one(test, IO_WRITE, 0, bench->buf, SZ_64K),
			SZ_64K);
	prepare(&errand, IO_COPY, bench->other, BLOCK, NULL, SZ_32K);
	errand.desc.src_fd = bench->fd;
	errand.desc.src_offset = 512;
	KUNIT_EXPECT_EQ(test, run(&errand), 0);
	expect_file(test, bench->other, BLOCK, bench->buf + 512, SZ_32K);
}

static void failed(struct kunit *test)
{
	struct bench *bench = test->priv;
	struct errand errand;

	prepare(&errand, IO_WRITE, -1, 0, bench->buf, BLOCK);
	KUNIT_EXPECT_EQ(test, run(&errand), -EBADF);
	prepare(&errand, IO_SYNC, -1, 0, NULL, 0);
	KUNIT_EXPECT_EQ(test, run(&errand), -EBADF);
}

/* ---- calls ------------------------------------------------------------- */

static void called(struct kunit *test)
{
	const char *path = files_name(test, "missing");

	KUNIT_EXPECT_EQ(test, ubd_call(ubd_host_exists, (void *)path), -ENOENT);
	io_host_close(NULL, files_open(test, path, BLOCK));
	KUNIT_EXPECT_EQ(test, ubd_call(ubd_host_exists, (void *)path), 0);
}

/* ---- many at a time ---------------------------------------------------- */

/* Each writes a block of its own and all are handed over at once. */
static void crowd_prepare(struct bench *bench, enum io_op op)
{
	unsigned int i;

	for (i = 0; i < CROWD; i++)
		prepare(&bench->crowd[i], op, bench->fd, (u64)i * BLOCK,
			bench->buf + i * BLOCK, BLOCK);
}

static void crowd_run(struct kunit *test, s64 result)
{
	struct bench *bench = test->priv;
	unsigned long flags = ubd_enter();
	unsigned int i;

	for (i = 0; i < CROWD; i++)
		submit(&bench->crowd[i]);
	ubd_leave(flags);
	for (i = 0; i < CROWD; i++) {
		wait_for_completion(&bench->crowd[i].over);
		KUNIT_EXPECT_EQ(test, bench->crowd[i].desc.result, result);
		KUNIT_EXPECT_EQ(test, bench->crowd[i].completions, 1u);
	}
}

static void crowd(struct kunit *test)
{
	struct bench *bench = test->priv;

	pattern(bench->buf, CROWD * BLOCK, 5);
	crowd_prepare(bench, IO_WRITE);
	crowd_run(test, BLOCK);
	expect_file(test, bench->fd, 0, bench->buf, CROWD * BLOCK);
	crowd_prepare(bench, IO_SYNC);
	crowd_run(test, 0);
	memset(bench->buf, 0, CROWD * BLOCK);
	crowd_prepare(bench, IO_READ);
	crowd_run(test, BLOCK);
	expect_file(test, bench->fd, 0, bench->buf, CROWD * BLOCK);
}

/* ---- the suite --------------------------------------------------------- */

static int backend_init(struct kunit *test)
{
	struct bench *bench = kunit_kzalloc(test, sizeof(*bench), GFP_KERNEL);

	if (!bench)
		return -ENOMEM;
	bench->buf = kunit_kzalloc(test, FILE_SIZE, GFP_KERNEL);
	bench->crowd = kunit_kcalloc(test, CROWD, sizeof(*bench->crowd),
				     GFP_KERNEL);
	if (!bench->buf || !bench->crowd)
		return -ENOMEM;
	bench->fd = files_open(test, files_name(test, "one"), FILE_SIZE);
	bench->other = files_open(test, files_name(test, "other"), FILE_SIZE);
	test->priv = bench;
	return 0;
}

static void backend_exit(struct kunit *test)
{
	struct bench *bench = test->priv;

	if (!bench)
		return;
	io_host_close(NULL, bench->fd);
	io_host_close(NULL, bench->other);
}

static struct kunit_case backend_cases[] = {
	KUNIT_CASE(write_and_read),
	KUNIT_CASE(end_of_file),
	KUNIT_CASE(skipped_part),
	KUNIT_CASE(cleared),
	KUNIT_CASE(copied),
	KUNIT_CASE(failed),
	KUNIT_CASE(called),
	KUNIT_CASE(crowd),
	{}
};

static struct kunit_suite backend_suite = {
	.name = "ubd-backend",
	.init = backend_init,
	.exit = backend_exit,
	.test_cases = backend_cases,
};

kunit_test_suite(backend_suite);

MODULE_DESCRIPTION("KUnit tests of the block device's back end");
MODULE_LICENSE("GPL");
