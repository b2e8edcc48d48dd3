// SPDX-License-Identifier: GPL-2.0-only
/*
 * A block device from its configuration to its removal, as a client of
 * mconsole and the block layer see it.
 *
 * Duty: bios on one side, bytes in the host's file on the other.
 *
 * Invariant: the device is the last one, which is free before each case and
 * after it.
 */
#include <kunit/test.h>
#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/kthread.h>
#include <linux/major.h>
#include <linux/part_stat.h>
#include <linux/sizes.h>
#include "console.h"

#define UNIT		"ubdp"
#define DEVICE		MKDEV(UBD_MAJOR, 15 << 4)
#define DISK		SZ_4M
#define SECTORS		(DISK >> SECTOR_SHIFT)
#define PAGES		256u		/* 1 MiB */
#define REQUEST		(PAGES << PAGE_SHIFT)
#define SOME_WRITES	50u
#define WIDE		SZ_256M		/* its bitmap has 16 pages */
#define MIDDLE		(WIDE / 2 >> SECTOR_SHIFT)

/**
 * struct bench - the device under test
 * @path: the host's file
 * @host: the same, open
 * @file: the device, open
 * @page: memory for a request, no two of them beside each other
 * @buf: as large as a request
 */
struct bench {
	struct console *console;
	const char *path;
	int host;
	struct file *file;
	struct page *page[PAGES];
	u8 *buf;
	struct task_struct *writer;
	unsigned int written;
	int error;
};

/* ---- device ------------------------------------------------------------ */

static void configure(struct kunit *test, const char *flags, const char *files)
{
	struct bench *bench = test->priv;

	console_ask(test, bench->console, mconsole_config, "config " UNIT "%s=%s",
		    flags, files);
	KUNIT_ASSERT_EQ_MSG(test, bench->console->error, 0u, "%s",
			    bench->console->text);
}

static struct block_device *open_device(struct kunit *test, blk_mode_t mode)
{
	struct bench *bench = test->priv;
	struct file *file = bdev_file_open_by_dev(DEVICE, mode, NULL, NULL);

	KUNIT_ASSERT_FALSE_MSG(test, IS_ERR(file), "error %ld", PTR_ERR(file));
	bench->file = file;
	return file_bdev(file);
}

static struct block_device *open_raw(struct kunit *test, const char *flags)
{
	struct bench *bench = test->priv;

	configure(test, flags, bench->path);
	return open_device(test, BLK_OPEN_READ | BLK_OPEN_WRITE);
}

static void close_device(struct bench *bench)
{
	if (bench->file)
		bdev_fput(bench->file);
	bench->file = NULL;
}

static void remove_device(struct kunit *test)
{
	struct bench *bench = test->priv;

	close_device(bench);
	console_ask(test, bench->console, mconsole_remove, "remove " UNIT);
	KUNIT_EXPECT_EQ_MSG(test, bench->console->error, 0u, "%s",
			    bench->console->text);
}

/* ---- bios -------------------------------------------------------------- */

static int submit(struct bench *bench, struct block_device *bdev, blk_opf_t opf,
		  sector_t sector, unsigned int pages)
{
	struct bio *bio = bio_alloc(bdev, pages, opf, GFP_KERNEL);
	unsigned int i;
	int ret;

	bio->bi_iter.bi_sector = sector;
	for (i = 0; i < pages; i++)
		__bio_add_page(bio, bench->page[i], PAGE_SIZE, 0);
	ret = submit_bio_wait(bio);
	bio_put(bio);
	return ret;
}

/* Each page its own pattern, each byte but a few its own value. */
static void fill_pages(struct bench *bench, unsigned int pages, u8 seed)
{
	unsigned int i, j;

	for (i = 0; i < pages; i++) {
		u8 *to = page_address(bench->page[i]);

		for (j = 0; j < PAGE_SIZE; j++)
			to[j] = seed + i * 7 + j * 13 + (j >> 8);
	}
}

static void clear_pages(struct bench *bench, unsigned int pages)
{
	unsigned int i;

	for (i = 0; i < pages; i++)
		memset(page_address(bench->page[i]), 0, PAGE_SIZE);
}

/* The pages hold what the buffer does. */
static void expect_pages(struct kunit *test, unsigned int pages)
{
	struct bench *bench = test->priv;
	unsigned int i;

	for (i = 0; i < pages; i++)
		if (memcmp(page_address(bench->page[i]),
			   bench->buf + i * PAGE_SIZE, PAGE_SIZE)) {
			KUNIT_FAIL(test, "page %u differs", i);
			return;
		}
}

static void read_host(struct kunit *test, u64 offset, size_t len)
{
	struct bench *bench = test->priv;

	KUNIT_ASSERT_EQ(test, io_host_pread(NULL, bench->host, bench->buf, len,
					    offset), (s64)len);
}

static void expect_zeros(struct kunit *test, size_t len)
{
	struct bench *bench = test->priv;

	KUNIT_EXPECT_NULL(test, memchr_inv(bench->buf, 0, len));
}

/* ---- cases: requests --------------------------------------------------- */

static void limits(struct kunit *test)
{
	struct block_device *bdev = open_raw(test, "");
	struct request_queue *queue = bdev_get_queue(bdev);

	KUNIT_EXPECT_EQ(test, bdev_nr_bytes(bdev), DISK);
	KUNIT_EXPECT_FALSE(test, bdev_read_only(bdev));
	KUNIT_EXPECT_EQ(test, bdev_logical_block_size(bdev), 512u);
	KUNIT_EXPECT_GE(test, queue_max_sectors(queue), REQUEST >> 9);
	KUNIT_EXPECT_GE(test, queue_max_segments(queue), PAGES);
	KUNIT_EXPECT_TRUE(test, bdev_write_cache(bdev));
	KUNIT_EXPECT_TRUE(test, bdev_fua(bdev));
	KUNIT_EXPECT_GT(test, bdev_max_discard_sectors(bdev), 0u);
	KUNIT_EXPECT_GT(test, bdev_write_zeroes_sectors(bdev), 0u);
	remove_device(test);

	bdev = open_raw(test, "t");
	KUNIT_EXPECT_EQ(test, bdev_max_discard_sectors(bdev), 0u);
	remove_device(test);
}

static unsigned long requests(struct block_device *bdev, int group)
{
	return part_stat_read(bdev, ios[group]);
}

/* The largest request, scattered, travels as one. */
static void scatter_list(struct kunit *test)
{
	struct block_device *bdev = open_raw(test, "");
	unsigned long before = requests(bdev, STAT_WRITE);
	struct bench *bench = test->priv;

	fill_pages(bench, PAGES, 1);
	KUNIT_EXPECT_EQ(test, submit(bench, bdev, REQ_OP_WRITE | REQ_FUA, 2048,
				     PAGES), 0);
	KUNIT_EXPECT_EQ(test, requests(bdev, STAT_WRITE), before + 1);
	read_host(test, SZ_1M, REQUEST);
	expect_pages(test, PAGES);

	clear_pages(bench, PAGES);
	before = requests(bdev, STAT_READ);
	KUNIT_EXPECT_EQ(test, submit(bench, bdev, REQ_OP_READ, 2048, PAGES), 0);
	KUNIT_EXPECT_EQ(test, requests(bdev, STAT_READ), before + 1);
	expect_pages(test, PAGES);
	read_host(test, 0, SZ_1M);
	expect_zeros(test, SZ_1M);
}

static void flush_and_clear(struct kunit *test)
{
	struct block_device *bdev = open_raw(test, "");
	struct bench *bench = test->priv;

	fill_pages(bench, 16, 2);
	KUNIT_EXPECT_EQ(test, submit(bench, bdev, REQ_OP_WRITE, 1024, 16), 0);
	KUNIT_EXPECT_EQ(test, blkdev_issue_flush(bdev), 0);
	KUNIT_EXPECT_EQ(test, blkdev_issue_zeroout(bdev, 1032, 8, GFP_KERNEL,
						   BLKDEV_ZERO_NOFALLBACK), 0);
	KUNIT_EXPECT_EQ(test, blkdev_issue_discard(bdev, 1048, 8, GFP_KERNEL),
			0);
	KUNIT_EXPECT_EQ(test, blkdev_issue_flush(bdev), 0);

	memset(page_address(bench->page[1]), 0, PAGE_SIZE);
	read_host(test, 1048 << SECTOR_SHIFT, PAGE_SIZE);
	/* Zeros, or as it was. */
	if (!memchr_inv(bench->buf, 0, PAGE_SIZE))
		memset(page_address(bench->page[3]), 0, PAGE_SIZE);
	read_host(test, 1024 << SECTOR_SHIFT, 16 * PAGE_SIZE);
	expect_pages(test, 16);
}

static void read_only(struct kunit *test)
{
	struct bench *bench = test->priv;
	struct block_device *bdev;

	configure(test, "r", bench->path);
	bdev = open_device(test, BLK_OPEN_READ);
	KUNIT_EXPECT_TRUE(test, bdev_read_only(bdev));
	fill_pages(bench, 1, 3);
	/* The block layer only warns. */
	KUNIT_EXPECT_NE(test, submit(bench, bdev, REQ_OP_WRITE, 8, 1), 0);
	read_host(test, 0, SZ_1M);
	expect_zeros(test, SZ_1M);
}

/* A guest can not make its disk look like a COW file, unless told so. */
static void no_header(struct kunit *test)
{
	struct block_device *bdev = open_raw(test, "");
	struct bench *bench = test->priv;

	fill_pages(bench, 1, 4);
	memcpy(page_address(bench->page[0]), "OOOM", 4);
	KUNIT_EXPECT_NE(test, submit(bench, bdev, REQ_OP_WRITE, 0, 1), 0);
	read_host(test, 0, PAGE_SIZE);
	expect_zeros(test, PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, submit(bench, bdev, REQ_OP_WRITE, 8, 1), 0);
	remove_device(test);

	bdev = open_raw(test, "d");
	KUNIT_EXPECT_EQ(test, submit(bench, bdev, REQ_OP_WRITE, 0, 1), 0);
	read_host(test, 0, PAGE_SIZE);
	expect_pages(test, 1);
}

/* ---- cases: configuration ---------------------------------------------- */

static void configured_twice(struct kunit *test)
{
	struct bench *bench = test->priv;
	struct console *console = bench->console;

	configure(test, "", bench->path);
	console_ask(test, console, mconsole_config, "config " UNIT "=other");
	KUNIT_EXPECT_NE(test, console->error, 0u);
	KUNIT_EXPECT_STREQ(test, console->text,
			   "the device is already configured");
	console_ask(test, console, mconsole_config, "config " UNIT);
	KUNIT_EXPECT_STREQ(test, console->text, bench->path);
}

static void removed_while_open(struct kunit *test)
{
	struct block_device *bdev = open_raw(test, "");
	struct bench *bench = test->priv;
	struct console *console = bench->console;
	struct file *file;

	console_ask(test, console, mconsole_remove, "remove " UNIT);
	KUNIT_EXPECT_NE(test, console->error, 0u);
	KUNIT_EXPECT_STREQ(test, console->text, "Device is currently open");
	fill_pages(bench, 1, 5);
	KUNIT_EXPECT_EQ(test, submit(bench, bdev, REQ_OP_WRITE, 8, 1), 0);
	read_host(test, PAGE_SIZE, PAGE_SIZE);
	expect_pages(test, 1);

	remove_device(test);
	file = bdev_file_open_by_dev(DEVICE, BLK_OPEN_READ, NULL, NULL);
	KUNIT_EXPECT_TRUE(test, IS_ERR(file));
	if (!IS_ERR(file))
		bench->file = file;
	console_ask(test, console, mconsole_remove, "remove " UNIT);
	KUNIT_EXPECT_STREQ(test, console->text, "Device doesn't exist");
}

/* ---- cases: snapshot --------------------------------------------------- */

/* Write n goes to page n, round and round. */
static int writer_main(void *arg)
{
	struct bench *bench = arg;
	struct block_device *bdev = file_bdev(bench->file);
	unsigned int pages = DISK / PAGE_SIZE;
	unsigned int n;

	while (!kthread_should_stop()) {
		n = bench->written + 1;
		fill_pages(bench, 1, n);
		if (!bench->error)
			bench->error = submit(bench, bdev, REQ_OP_WRITE,
					      n % pages * 8, 1);
		WRITE_ONCE(bench->written, n);
		if (n % 16)
			cond_resched();
		else
			schedule_timeout_uninterruptible(1);
	}
	return 0;
}

static void start_writer(struct kunit *test)
{
	struct bench *bench = test->priv;
	struct task_struct *writer = kthread_run(writer_main, bench, "kunit");

	KUNIT_ASSERT_FALSE(test, IS_ERR(writer));
	bench->writer = writer;
}

static void stop_writer(struct bench *bench)
{
	if (bench->writer)
		kthread_stop(bench->writer);
	bench->writer = NULL;
}

static void await_writes(struct bench *bench)
{
	unsigned int before = READ_ONCE(bench->written);

	while (READ_ONCE(bench->written) - before < SOME_WRITES)
		msleep(20);
}

/* Each page was written last by the write that counting says. */
static void expect_written(struct kunit *test)
{
	struct bench *bench = test->priv;
	struct block_device *bdev = file_bdev(bench->file);
	unsigned int pages = DISK / PAGE_SIZE;
	unsigned int first = bench->written < pages ? 1 :
			     bench->written - pages + 1;
	unsigned int n;

	KUNIT_ASSERT_EQ(test, bench->error, 0);
	for (n = first; n <= bench->written; n++) {
		fill_pages(bench, 1, n);
		memcpy(bench->buf, page_address(bench->page[0]), PAGE_SIZE);
		KUNIT_ASSERT_EQ(test, submit(bench, bdev, REQ_OP_READ,
					     n % pages * 8, 1), 0);
		expect_pages(test, 1);
	}
}

static void snapshot_and_merge(struct kunit *test)
{
	const char *delta = files_name(test, "delta");
	const char *snap = files_name(test, "snap");
	struct bench *bench = test->priv;
	struct console *console = bench->console;

	snprintf(bench->buf, REQUEST, "%s,%s", delta, bench->path);
	configure(test, "", bench->buf);
	open_device(test, BLK_OPEN_READ | BLK_OPEN_WRITE);
	start_writer(test);
	await_writes(bench);
	console_ask(test, console, mconsole_snapshot, "snapshot " UNIT "=%s",
		    kbasename(snap));
	KUNIT_ASSERT_EQ_MSG(test, console->error, 0u, "%s", console->text);
	KUNIT_EXPECT_NOT_NULL(test, strstr(console->text, snap));
	KUNIT_EXPECT_NOT_NULL(test, strstr(console->text, delta));
	await_writes(bench);
	console_ask(test, console, mconsole_snapshot, "snapshot " UNIT);
	KUNIT_EXPECT_EQ(test, console->error, 0u);
	KUNIT_EXPECT_NOT_NULL_MSG(test, strstr(console->text, "frozen"), "%s",
				  console->text);
	console_ask(test, console, mconsole_unsnapshot,
		    "unsnapshot " UNIT " delete");
	KUNIT_EXPECT_EQ_MSG(test, console->error, 0u, "%s", console->text);
	KUNIT_EXPECT_NOT_NULL_MSG(test, strstr(console->text, "top again"),
				  "%s", console->text);
	await_writes(bench);
	stop_writer(bench);
	expect_written(test);
	/* The base was written by nobody. */
	read_host(test, 0, SZ_1M);
	expect_zeros(test, SZ_1M);
}

/* ---- cases: held ------------------------------------------------------- */

/**
 * struct pending - a write that may have to wait
 * @cut: the host's file, open, whose index is cut off
 */
struct pending {
	struct bio *bio;
	struct completion done;
	int cut;
};

static void pending_done(struct bio *bio)
{
	complete(bio->bi_private);
}

/* One page in the middle, where nobody looks for partitions. */
static void begin_write(struct bench *bench, struct pending *pending)
{
	struct bio *bio = bio_alloc(file_bdev(bench->file), 1, REQ_OP_WRITE,
				    GFP_KERNEL);

	init_completion(&pending->done);
	bio->bi_iter.bi_sector = MIDDLE;
	bio->bi_end_io = pending_done;
	bio->bi_private = &pending->done;
	__bio_add_page(bio, bench->page[0], PAGE_SIZE, 0);
	pending->bio = bio;
	submit_bio(bio);
}

static blk_status_t end_write(struct kunit *test, struct pending *pending)
{
	blk_status_t status;

	KUNIT_ASSERT_NE(test, wait_for_completion_timeout(&pending->done,
							  CONSOLE_PATIENCE),
			0ul);
	status = pending->bio->bi_status;
	bio_put(pending->bio);
	return status;
}

static void expect_held(struct kunit *test, const char *what)
{
	unsigned long end = jiffies + CONSOLE_PATIENCE;
	struct bench *bench = test->priv;
	struct console *console = bench->console;

	do {
		msleep(20);
		console_ask(test, console, mconsole_snapshot, "snapshot " UNIT);
	} while (!strstr(console->text, what) && time_before(jiffies, end));
	KUNIT_ASSERT_NOT_NULL_MSG(test, strstr(console->text, what), "%s",
				  console->text);
}

static void close_cut(void *arg)
{
	struct pending *pending = arg;

	io_host_close(NULL, pending->cut);
}

/*
 * A new delta of a wide disk, that ends before the bits which say what it owns
 * in the middle: each write there meets EIO.
 */
static struct pending *configure_cut(struct kunit *test, const char *flags)
{
	struct pending *pending = kunit_kzalloc(test, sizeof(*pending),
						GFP_KERNEL);
	const char *wide = files_name(test, "wide");
	const char *delta = files_name(test, "delta");
	struct bench *bench = test->priv;

	KUNIT_ASSERT_NOT_NULL(test, pending);
	io_host_close(NULL, files_open(test, wide, WIDE));
	snprintf(bench->buf, REQUEST, "%s,%s", delta, wide);
	configure(test, flags, bench->buf);
	open_device(test, BLK_OPEN_READ | BLK_OPEN_WRITE);
	pending->cut = io_host_open(NULL, delta, IO_OPEN_WRITE);
	KUNIT_ASSERT_GE(test, pending->cut, 0);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action(test, close_cut, pending));
	KUNIT_ASSERT_EQ(test, 0, io_host_truncate(NULL, pending->cut, SZ_8K));
	return pending;
}

static void ask_well(struct kunit *test, console_handler handler,
		     const char *command, const char *answer)
{
	struct bench *bench = test->priv;
	struct console *console = bench->console;

	console_ask(test, console, handler, "%s " UNIT, command);
	KUNIT_EXPECT_EQ(test, console->error, 0u);
	KUNIT_EXPECT_STREQ(test, console->text, answer);
}

static void held_until_resumed(struct kunit *test)
{
	struct pending *pending = configure_cut(test, "W");
	struct bench *bench = test->priv;

	fill_pages(bench, 1, 6);
	begin_write(bench, pending);
	expect_held(test, "held: the host can not read or write, 1 request\n");
	console_ask(test, bench->console, mconsole_remove, "remove " UNIT);
	KUNIT_EXPECT_NOT_NULL(test, strstr(bench->console->text, "held"));
	ask_well(test, mconsole_resume, "resume",
		 UNIT ": 1 request submitted again");
	expect_held(test, "1 request\n");
	KUNIT_EXPECT_FALSE(test, completion_done(&pending->done));

	KUNIT_EXPECT_EQ(test, 0, io_host_truncate(NULL, pending->cut,
						  WIDE + SZ_1M));
	ask_well(test, mconsole_resume, "resume",
		 UNIT ": 1 request submitted again");
	KUNIT_EXPECT_EQ(test, end_write(test, pending), BLK_STS_OK);
	memcpy(bench->buf, page_address(bench->page[0]), PAGE_SIZE);
	clear_pages(bench, 1);
	KUNIT_EXPECT_EQ(test, submit(bench, file_bdev(bench->file), REQ_OP_READ,
				     MIDDLE, 1), 0);
	expect_pages(test, 1);
	ask_well(test, mconsole_resume, "resume",
		 UNIT ": 0 requests submitted again");
}

static void held_no_more(struct kunit *test)
{
	struct pending *pending = configure_cut(test, "");
	struct bench *bench = test->priv;

	begin_write(bench, pending);
	KUNIT_EXPECT_EQ(test, end_write(test, pending), BLK_STS_IOERR);
	ask_well(test, mconsole_hold, "hold",
		 UNIT ": requests that the host refuses are held");
	begin_write(bench, pending);
	expect_held(test, "1 request\n");
	console_ask(test, bench->console, mconsole_hold, "hold " UNIT " off");
	KUNIT_EXPECT_STREQ(test, bench->console->text,
			   UNIT ": requests that the host refuses fail, 1 request did");
	KUNIT_EXPECT_EQ(test, end_write(test, pending), BLK_STS_IOERR);
}

/* ---- the suite --------------------------------------------------------- */

/* Every second page of those that there are, so that none can be joined. */
static int alloc_pages_apart(struct kunit *test, struct bench *bench)
{
	u8 *memory = kunit_kzalloc(test, 2 * REQUEST, GFP_KERNEL);
	unsigned int i;

	if (!memory)
		return -ENOMEM;
	for (i = 0; i < PAGES; i++)
		bench->page[i] = virt_to_page(memory + 2 * i * PAGE_SIZE);
	return 0;
}

static int device_init(struct kunit *test)
{
	struct bench *bench = kunit_kzalloc(test, sizeof(*bench), GFP_KERNEL);

	if (!bench)
		return -ENOMEM;
	bench->buf = kunit_kzalloc(test, REQUEST, GFP_KERNEL);
	if (!bench->buf || alloc_pages_apart(test, bench))
		return -ENOMEM;
	bench->console = console_open(test);
	bench->path = files_name(test, "disk");
	bench->host = files_open(test, bench->path, DISK);
	test->priv = bench;
	return 0;
}

static void device_exit(struct kunit *test)
{
	struct bench *bench = test->priv;

	if (!bench)
		return;
	stop_writer(bench);
	close_device(bench);
	/* Most cases end with the device there. */
	console_ask(test, bench->console, mconsole_remove, "remove " UNIT);
	console_ask(test, bench->console, mconsole_config, "config " UNIT);
	KUNIT_EXPECT_STREQ(test, bench->console->text, "");
	io_host_close(NULL, bench->host);
}

static struct kunit_case device_cases[] = {
	KUNIT_CASE(limits),
	KUNIT_CASE(scatter_list),
	KUNIT_CASE(flush_and_clear),
	KUNIT_CASE(read_only),
	KUNIT_CASE(no_header),
	KUNIT_CASE(configured_twice),
	KUNIT_CASE(removed_while_open),
	KUNIT_CASE(snapshot_and_merge),
	KUNIT_CASE(held_until_resumed),
	KUNIT_CASE(held_no_more),
	{}
};

static struct kunit_suite device_suite = {
	.name = "ubd-device",
	.init = device_init,
	.exit = device_exit,
	.test_cases = device_cases,
};

kunit_test_suite(device_suite);

MODULE_DESCRIPTION("KUnit tests of the block device ubd");
MODULE_LICENSE("GPL");
