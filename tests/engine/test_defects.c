// SPDX-License-Identifier: GPL-2.0-only
/*
 * What random requests on a host without faults do not reach: a host that fails
 * at one place, a guest that changes its memory under way, other machines, and
 * orders of events that are rare.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench.h"
#include "engine.h"
#include "io.h"
#include "tap.h"

#define MIB	(1ull << 20)
#define GIB	(1ull << 30)
#define DISK	(16 * MIB)

static struct bench bench;

static int top_fd(const struct common_file *file)
{
	return cow_chain(file)->top->fd;
}

static int open_path(const char *name, int flags)
{
	char path[BENCH_NAME];
	int fd;

	bench_path(&bench, path, name);
	fd = open(path, flags | O_CREAT, 0600);
	if (fd < 0)
		diag("%s: %s", path, strerror(errno));
	return fd;
}

/* First byte at @offset of a file on the host, or -1. */
static int host_byte(const char *name, uint64_t offset)
{
	int fd = open_path(name, O_RDONLY);
	uint8_t byte;
	int ret = -1;

	if (pread(fd, &byte, 1, offset) == 1)
		ret = byte;
	close(fd);
	return ret;
}

/* A raw device with a snapshot "snap" on it, which holds a block of @byte. */
static struct common_file *snapshot_with(uint8_t byte)
{
	struct common_file *file = bench_disk(&bench, 0, DISK);

	if (rig_snapshot(&bench.rig, file, "snap") ||
	    bench_put(&bench, file, 0, byte, COMMON_FUA))
		diag("no snapshot to begin with");
	return file;
}

/* ---- a merge under load ------------------------------------------------ */

#define WRITERS		4u
#define PATIENCE	20000u

/* One that writes a block, syncs, writes, syncs, and never rests. */
struct writer {
	struct bench_io io;
	uint64_t offset;
	bool syncs;
};

/* The host has the data in memory, so that there is a sync at any time. */
static int data_at_once(void *ctx, struct io_desc *desc)
{
	if (desc->op == IO_READ || desc->op == IO_WRITE)
		return cow_io_sync.submit(NULL, desc);
	return bench.submit(ctx, desc);
}

static void go_on(struct writer *writer, struct common_file *file)
{
	static uint8_t buf[BENCH_BLOCK];

	while (writer->io.over) {
		if (writer->syncs)
			bench_start(&writer->io, file, COMMON_FLUSH, NULL, 0,
				    0, 0);
		else
			bench_start(&writer->io, file, COMMON_WRITE, buf,
				    writer->offset, sizeof(buf), 0);
		writer->syncs = !writer->syncs;
	}
}

static void all_go_on(struct writer *writer, struct common_file *file)
{
	unsigned int i;

	for (i = 0; i < WRITERS; i++)
		go_on(&writer[i], file);
}

static bool ends_under_load(struct common_file *file, struct cow_task *task)
{
	static struct writer writer[WRITERS];
	enum cow_step step = COW_STEP_AGAIN;
	unsigned int i;

	for (i = 0; i < WRITERS; i++) {
		writer[i].io.over = true;
		writer[i].offset = (2 + i) * BENCH_BLOCK;
		writer[i].syncs = false;
	}
	/* An interrupt, the guest's answer to it, then the task's thread. */
	for (i = 0; i < PATIENCE && step != COW_STEP_DONE; i++) {
		all_go_on(writer, file);
		rig_pump(&bench.rig);
		all_go_on(writer, file);
		step = cow_task_step(task);
	}
	rig_drain(&bench.rig);
	return step == COW_STEP_DONE;
}

static void merge_ends_while_others_sync_all_the_time(void)
{
	static struct cow_merge_progress progress;
	const struct cow_merge_args args = { .remove = true };
	struct common_file *file;
	struct cow_error err = { "" };
	struct cow_task *task;

	bench_init(&bench);
	file = snapshot_with(7);
	bench.rig.async = true;
	bench.ops.submit = data_at_once;
	if (cow_merge_start(file, &args, &progress, &task, &err)) {
		ok(false, "a merge begins: %s", err.text);
		return;
	}
	ok(ends_under_load(file, task), "a merge ends under a load of syncs");
	is(rig_task(&bench.rig, task), 0, "with success");
	cow_merge_end(task);
	bench.rig.async = false;
	is(bench_flush(&bench, file), 0, "syncs go on after it");
	is(bench_get(&bench, file, 0), 7, "what it moved is there");
	rig_close(&bench.rig, file);
}

/* ---- a sync that fails where it may block ------------------------------ */

static void snapshot_that_meets_a_lost_write(unsigned int version)
{
	const char *kind = version ? "V4" : "raw";
	struct common_file *file;

	bench_init(&bench);
	file = bench_disk(&bench, version, DISK);
	bench_put(&bench, file, 0, 7, 0);
	bench_lose(&bench, top_fd(file));
	bench.rig.quiet = true;
	is(rig_snapshot(&bench.rig, file, "snap"), -EIO,
	   "%s: a snapshot is told that a write was lost", kind);
	is(bench_flush(&bench, file), -EIO,
	   "%s: and so is the guest when it syncs", kind);
	rig_close(&bench.rig, file);
}

static void merge_that_meets_a_lost_write(void)
{
	struct common_file *file;

	bench_init(&bench);
	file = bench_disk(&bench, 3, DISK);
	bench_put(&bench, file, 0, 7, 0);
	bench_lose(&bench, top_fd(file));
	bench.rig.quiet = true;
	is(rig_merge(&bench.rig, file, true, false), -EIO,
	   "a merge is told that a write was lost");
	is(bench_flush(&bench, file), -EIO,
	   "and so is the guest when it syncs");
	rig_close(&bench.rig, file);
}

/* ---- another machine --------------------------------------------------- */

static int merged_elsewhere;

/* Who holds the lock merges the file, and lets it go. */
static int lock_after_merge(void *ctx, int fd, enum io_lock lock)
{
	struct common_file *file;

	if (lock == IO_EXCLUSIVE) {
		bench.ops.lock = cow_io_sync.lock;
		file = bench_open(&bench, "snap");
		merged_elsewhere = rig_merge(&bench.rig, file, false, false);
		rig_close(&bench.rig, file);
	}
	return cow_io_sync.lock(ctx, fd, lock);
}

static void file_merged_away_while_its_lock_was_awaited(void)
{
	struct common_file *file = NULL;

	bench_init(&bench);
	rig_close(&bench.rig, snapshot_with(7));
	bench.ops.lock = lock_after_merge;
	bench.rig.quiet = true;
	if (!is(bench_try_open(&bench, "snap", &file), -EAGAIN,
		"a file that was merged away meanwhile is not opened"))
		rig_close(&bench.rig, file);
	is(merged_elsewhere, 0, "the other machine has merged it");
	file = bench_open(&bench, "snap");
	is(cow_depth(file), 1, "the next time it leads to its parent");
	is(bench_put(&bench, file, 0, 9, COMMON_FUA), 0, "which is written");
	rig_close(&bench.rig, file);
	file = bench_open(&bench, "snap");
	is(bench_get(&bench, file, 0), 9, "what was written stays");
	rig_close(&bench.rig, file);
}

/* ---- half a merge ------------------------------------------------------ */

static int removal_error;

static int refuse_one_removal(void *ctx, int fd, enum io_attr attr,
			      const void *buf, size_t len)
{
	int error = removal_error;

	if (len || !error)
		return cow_io_sync.setattr(ctx, fd, attr, buf, len);
	removal_error = 0;
	return error;
}

static void successor_that_can_not_be_forgotten(int error)
{
	struct common_file *file;
	int again;

	bench_init(&bench);
	file = snapshot_with(7);
	bench.ops.setattr = refuse_one_removal;
	bench.rig.quiet = true;
	removal_error = error;
	is(rig_merge(&bench.rig, file, false, true), error,
	   "%s: the parent can not forget its successor", strerror(-error));
	/* What the disk says after a failed sync is not known. */
	again = rig_merge(&bench.rig, file, false, true);
	is(again, error == -EIO ? -EIO : 0, "%s: the merge once more",
	   strerror(-error));
	rig_close(&bench.rig, file);
	if (!ok(!bench_try_open(&bench, "base", &file),
		"%s: the parent does not name what was deleted",
		strerror(-error)))
		return;
	is(cow_depth(file), 1, "%s: it stands alone", strerror(-error));
	is(bench_get(&bench, file, 0), 7, "%s: and the data is there",
	   strerror(-error));
	rig_close(&bench.rig, file);
}

/* The mark is on disk, but the merge did not become active. */
static void no_room_between_mark_and_merge(void)
{
	struct common_file *file;

	bench_init(&bench);
	file = bench_disk(&bench, 3, DISK);
	bench_put(&bench, file, 0, 7, 0);
	bench_fail(&bench, IO_WRITE, -ENOSPC, 1000);
	bench.rig.quiet = true;
	is(rig_merge(&bench.rig, file, true, false), -ENOSPC,
	   "a merge is marked, then there is no room");
	bench_fail(&bench, IO_WRITE, 0, 0);
	is(bench_flush(&bench, file), 0, "there is room again");
	is(rig_snapshot(&bench.rig, file, "snap"), -EBUSY,
	   "a snapshot of a file so marked is refused");
	rig_close(&bench.rig, file);
	if (!ok(!bench_try_open(&bench, "top", &file), "the chain opens"))
		return;
	is(bench_get(&bench, file, 0), 7, "with its data");
	is(rig_merge(&bench.rig, file, true, false), 0, "and can be merged");
	rig_close(&bench.rig, file);
	is(host_byte("base", 0), 7, "into its base");
}

static void truncated_file_is_not_merged_as_zeros(void)
{
	const uint8_t five = 5;
	struct common_file *file;
	int fd;

	bench_init(&bench);
	bench_make(&bench, 0, DISK);
	fd = open_path("base", O_WRONLY);
	is(pwrite(fd, &five, 1, DISK / 2), 1, "a byte in the base");
	close(fd);
	bench_over_base(&bench, 3);
	file = bench_open(&bench, "top");
	bench_put(&bench, file, DISK / 2, 7, COMMON_FUA);
	rig_close(&bench.rig, file);
	fd = open_path("top", O_WRONLY);
	is(ftruncate(fd, MIB), 0, "the file above it is cut");
	close(fd);
	file = bench_open(&bench, "top");
	is(bench_get(&bench, file, DISK / 2), -EIO,
	   "what was cut off can not be read");
	bench.rig.quiet = true;
	is(rig_merge(&bench.rig, file, true, false), -EIO, "nor merged");
	rig_close(&bench.rig, file);
	is(host_byte("base", DISK / 2), five, "and the base keeps its byte");
}

/* ---- a copy of a frozen file ------------------------------------------- */

static bool copy_file(const char *from, const char *to)
{
	int in = open_path(from, O_RDONLY), out = open_path(to, O_WRONLY);
	struct stat st;
	bool good;

	good = !fstat(in, &st) && sendfile(out, in, NULL, st.st_size) ==
				  st.st_size;
	close(in);
	close(out);
	return good;
}

/* @name as it is on disk once its first snapshot has been prepared. */
static bool crash_in_snapshot(const char *name, const char *crashed)
{
	static struct cow_snapshot_result result;
	/* Of another length than the name that the copy came with. */
	const struct cow_snapshot_args args = { .name = "another-name" };
	struct common_file *file = bench_open(&bench, name);
	struct cow_error err = { "" };
	struct cow_task *task;
	bool good = false;

	if (!cow_snapshot_start(file, &args, &result, &task, &err)) {
		good = copy_file(name, crashed);
		good = !rig_task(&bench.rig, task) && good;
		cow_snapshot_end(task);
	}
	rig_close(&bench.rig, file);
	return good;
}

static void copy_of_a_frozen_file_survives_its_first_snapshot(void)
{
	struct common_file *file;

	bench_init(&bench);
	file = bench_disk(&bench, 4, DISK);
	bench_put(&bench, file, 0, 7, 0);
	is(rig_snapshot(&bench.rig, file, "snap"), 0, "a file is frozen");
	rig_close(&bench.rig, file);
	ok(copy_file("top", "copy"), "and copied");
	ok(crash_in_snapshot("copy", "crashed"), "a snapshot of the copy");
	if (!ok(!bench_try_open(&bench, "crashed", &file),
		"after a crash in it the copy opens"))
		return;
	is(bench_get(&bench, file, 0), 7, "with its data");
	rig_close(&bench.rig, file);
}

/* ---- sector 0 ---------------------------------------------------------- */

#define QUEUE	6u

static const char *const magics[] = { "OOOM", "MOOO" };

static bool base_has_magic(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(magics); i++) {
		unsigned int n = 0;

		while (n < 4 && host_byte("base", n) == magics[i][n])
			n++;
		if (n == 4)
			return true;
	}
	return false;
}

static void sector_0_is_written_as_it_was_checked(const char *magic)
{
	uint8_t buf[BENCH_BLOCK];
	struct common_file *file;
	struct bench_io io;

	bench_init(&bench);
	file = bench_disk(&bench, 0, DISK);
	bench.rig.async = true;
	memset(buf, 'x', sizeof(buf));
	bench_start(&io, file, COMMON_WRITE, buf, 0, sizeof(buf), COMMON_FUA);
	memcpy(buf, magic, 4);
	rig_drain(&bench.rig);
	ok(io.over, "%s: a write whose memory changes is answered", magic);
	ok(!base_has_magic(), "%s: it does not come into sector 0", magic);
	is(io.result, 0, "%s: what was checked is written", magic);
	is(host_byte("base", 0), 'x', "%s: sector 0", magic);
	is(host_byte("base", sizeof(buf) - 1), 'x', "%s: last sector", magic);
	bench.rig.async = false;
	rig_close(&bench.rig, file);
}

static unsigned int count_results(const struct bench_io *io, int result)
{
	unsigned int i, n = 0;

	for (i = 0; i < QUEUE; i++)
		n += io[i].over && io[i].result == result;
	return n;
}

/* While they wait for each other, the memory of @bad of them changes. */
static void writers_of_sector_0_wait_for_each_other(unsigned int bad,
						    unsigned int failing)
{
	static uint8_t buf[QUEUE][BENCH_BLOCK];
	static struct bench_io io[QUEUE];
	struct common_file *file;
	unsigned int i;

	bench_init(&bench);
	file = bench_disk(&bench, 0, DISK);
	bench.rig.async = true;
	bench_fail(&bench, IO_WRITE, -EIO, failing);
	for (i = 0; i < QUEUE; i++) {
		memset(buf[i], 'a' + i, sizeof(buf[i]));
		bench_start(&io[i], file, COMMON_WRITE, buf[i], 0, 512, 0);
	}
	for (i = 1; i <= bad; i++)
		memcpy(buf[i], magics[i % 2], 4);
	rig_drain(&bench.rig);
	is(count_results(io, 0), QUEUE - bad - failing,
	   "%u of %u writers of sector 0 are done", QUEUE - bad - failing,
	   QUEUE);
	is(count_results(io, -EPERM), bad, "%u that changed are refused", bad);
	is(count_results(io, -EIO), failing, "%u failed", failing);
	ok(!base_has_magic(), "no magic got there");
	bench.rig.async = false;
	is(bench_put(&bench, file, 0, 'z', 0), 0, "the way is free again");
	rig_close(&bench.rig, file);
}

/* ---- no room on the host ----------------------------------------------- */

/* Until the new layer is the top. */
static struct cow_task *snapshot_up_to_the_swap(struct common_file *file)
{
	static struct cow_snapshot_result result;
	const struct cow_snapshot_args args = { .name = "snap" };
	const struct layer *old = cow_chain(file)->top;
	struct cow_error err = { "" };
	struct cow_task *task = NULL;

	if (cow_snapshot_start(file, &args, &result, &task, &err))
		diag("%s", err.text);
	while (task && cow_chain(file)->top == old)
		cow_task_step(task);
	return task;
}

static void snapshot_waits_for_room(unsigned int version)
{
	struct common_file *file;
	struct bench_io flush;
	struct cow_task *task;

	bench_init(&bench);
	file = bench_disk(&bench, version, DISK);
	bench_put(&bench, file, 0, 1, COMMON_FUA);
	bench_put(&bench, file, BENCH_BLOCK, 2, 0);
	task = snapshot_up_to_the_swap(file);
	bench_put(&bench, file, 0, 3, 0);
	bench_fail(&bench, IO_WRITE, -ENOSPC, 1000);
	is(rig_task(&bench.rig, task), -EDEADLK,
	   "V%u: without room a snapshot that was swapped waits", version);
	ok(strstr(task->error.text, "make room"), "and says so: %s",
	   task->error.text);
	bench_start(&flush, file, COMMON_FLUSH, NULL, 0, 0, 0);
	is(rig_task(&bench.rig, task), -EDEADLK, "it still waits");
	ok(flush.over && flush.result == -ENOSPC, "the guest's flush is told");
	is(bench_get(&bench, file, 0), 3, "reads go on");
	bench_fail(&bench, IO_WRITE, 0, 0);
	is(bench_put(&bench, file, 2 * BENCH_BLOCK, 4, 0), 0, "there is room");
	cow_background(file);
	is(rig_task(&bench.rig, task), 0, "the snapshot has settled");
	cow_snapshot_end(task);
	is(bench_flush(&bench, file), 0, "flushes succeed again");
	rig_close(&bench.rig, file);
	file = bench_open(&bench, version ? "top" : "base");
	is(bench_get(&bench, file, 0), 3, "all is there: the new");
	is(bench_get(&bench, file, BENCH_BLOCK), 2, "the old");
	is(bench_get(&bench, file, 2 * BENCH_BLOCK), 4, "the late");
	rig_close(&bench.rig, file);
}

static void lock_is_given_back_by_a_merge_that_did_not_begin(void)
{
	struct common_file *file, *reader;
	char path[BENCH_NAME];
	struct cow_open_args args = { .name = path, .read_only = true };
	struct cow_error err;
	int i;

	bench_init(&bench);
	file = bench_disk(&bench, 4, DISK);
	bench_put(&bench, file, 0, 1, 0);
	bench_path(&bench, path, "base");
	bench.rig.quiet = true;
	for (i = 0; i < 2; i++) {
		bench_fail(&bench, IO_WRITE, -ENOSPC, 1000);
		is(rig_merge(&bench.rig, file, true, false), -ENOSPC,
		   "a merge that finds no room for its mark");
		is(common_open(&bench.rig.env, &args, &reader, &err), 0,
		   "does not keep readers from its parent");
		rig_close(&bench.rig, reader);
	}
	bench_fail(&bench, IO_WRITE, 0, 0);
	is(rig_merge(&bench.rig, file, true, false), 0, "with room it is done");
	rig_close(&bench.rig, file);
}

/* ---- free blocks ------------------------------------------------------- */

static unsigned int blocks_in(const struct extents *set)
{
	unsigned int i, n = 0;

	for (i = set->first; i < set->end; i++)
		n += set->ext[i].count;
	return n;
}

static unsigned int free_blocks(const struct common_file *file)
{
	const struct room *room = cow_chain(file)->top->room;

	return blocks_in(&room->pool) + blocks_in(&room->loaded);
}

#define LEAVES	30u

/* Ten flushes, each of all index pages, and commits in between: some are left. */
static void write_and_commit(struct common_file *file)
{
	unsigned int i, n;

	for (n = 0; n < 10; n++) {
		for (i = 0; i < LEAVES; i++)
			bench_put(&bench, file, i * 4 * MIB + n * BENCH_BLOCK,
				  7, 0);
		bench_flush(&bench, file);
	}
}

static void free_blocks_survive_opens_without_a_commit(void)
{
	unsigned int i, first, same = 0;
	struct common_file *file;

	bench_init(&bench);
	file = bench_disk(&bench, 4, GIB);
	write_and_commit(file);
	rig_close(&bench.rig, file);
	file = bench_open(&bench, "top");
	first = free_blocks(file);
	rig_close(&bench.rig, file);
	ok(first, "%u blocks are free", first);
	for (i = 0; i < 60; i++) {
		file = bench_open(&bench, "top");
		same += free_blocks(file) == first;
		rig_close(&bench.rig, file);
	}
	is(same, 60, "and are each time that the file is opened again");
}

static void room_of_discarded_data_is_used_again(void)
{
	struct cow_vec vec = { NULL, 8 * MIB };
	struct bench_io io;
	struct common_file *file;
	uint64_t end, old;
	unsigned int n;

	bench_init(&bench);
	file = bench_disk(&bench, 4, GIB);
	vec.base = calloc(1, vec.len);
	rig_rw(&bench.rig, file, COMMON_WRITE, vec.base, 0, vec.len, 0);
	bench_flush(&bench, file);
	end = cow_chain(file)->top->hdr.v4.end;
	for (n = 1; n < 20; n++) {
		old = (n - 1) * vec.len;
		bench_start(&io, file, COMMON_DISCARD, NULL, old, vec.len, 0);
		bench_flush(&bench, file);
		rig_rw(&bench.rig, file, COMMON_WRITE, vec.base,
		       old + vec.len, vec.len, 0);
		bench_flush(&bench, file);
	}
	free(vec.base);
	end = cow_chain(file)->top->hdr.v4.end - end;
	ok(end < 200, "19 times 8 MiB later the file is %llu blocks longer",
	   (unsigned long long)end);
	is(bench_get(&bench, file, 0), 0, "what was discarded is zeros");
	rig_close(&bench.rig, file);
}

/* Its answer comes when the disk has long been written again. */
static void late_reader_sees_nobody_elses_data(void)
{
	static uint8_t buf[BENCH_BLOCK];
	struct common_file *file;
	struct bench_io late, discard;

	bench_init(&bench);
	file = bench_disk(&bench, 4, GIB);
	bench_put(&bench, file, 0, 5, COMMON_FUA);
	bench.rig.async = true;
	bench_start(&late, file, COMMON_READ, buf, 0, sizeof(buf), 0);
	bench.rig.async = false;
	bench_start(&discard, file, COMMON_DISCARD, NULL, 0, BENCH_BLOCK, 0);
	bench_flush(&bench, file);
	bench_put(&bench, file, 64 * BENCH_BLOCK, 6, 0);
	bench_put(&bench, file, 65 * BENCH_BLOCK, 6, 0);
	ok(!late.over, "a read is under way");
	rig_drain(&bench.rig);
	ok(late.over && buf[0] == 5 && buf[BENCH_BLOCK - 1] == 5,
	   "its block was not given to another: %u", buf[0]);
	bench_flush(&bench, file);
	rig_close(&bench.rig, file);
}

/* What a reader finds at 16 places of the disk, the sum of the bytes there. */
static int read_all(struct common_file *file)
{
	int i, sum = 0;

	for (i = 0; i < 16; i++)
		sum += bench_get(&bench, file, i * 4 * MIB);
	return sum;
}

/* Every commit moves index pages: without the pin they are soon written over. */
static void reader_beside_a_writer_keeps_its_state(void)
{
	struct common_file *file, *reader;
	char path[BENCH_NAME];
	struct cow_open_args args = { .name = path, .peek = true };
	struct cow_error err = { "" };
	unsigned int free;
	int i, n;

	bench_init(&bench);
	/* Pages are read anew, not remembered. */
	bench.rig.env.index_bytes = 1;
	file = bench_disk(&bench, 4, GIB);
	bench_path(&bench, path, "top");
	for (i = 0; i < 16; i++)
		bench_put(&bench, file, i * 4 * MIB, 1, 0);
	bench_flush(&bench, file);
	is(common_open(&bench.rig.env, &args, &reader, &err), 0,
	   "a reader opens the top beside its writer");
	for (n = 1; n < 20; n++) {
		for (i = 0; i < 16; i++)
			bench_put(&bench, file, i * 4 * MIB + n * BENCH_BLOCK,
				  2, 0);
		bench_flush(&bench, file);
	}
	is(read_all(reader), 16, "it sees all of the state that it opened");
	ok(!blocks_in(&cow_chain(file)->top->room->pool),
	   "no block is used again while it looks");
	rig_close(&bench.rig, reader);
	bench_put(&bench, file, 999 * MIB, 3, COMMON_FUA);
	free = blocks_in(&cow_chain(file)->top->room->pool);
	ok(free > 16 * 18, "afterwards %u are free", free);
	rig_close(&bench.rig, file);
}

/* ---- headers of disk images -------------------------------------------- */

static int truncate_base(uint64_t size)
{
	char path[BENCH_NAME];

	bench_path(&bench, path, "base");
	return truncate(path, size);
}

static int make_header(const char *name, const char *image, uint32_t cylinders)
{
	char path[BENCH_NAME], of[BENCH_NAME];
	const struct cow_create_args args = {
		.name = path,
		.parent = of,
		.header = true,
		.geometry = { .cylinders = cylinders, .heads = 4 },
		.mode = 0644,
		.gid = ~0u,
	};
	struct cow_error err = { "" };

	bench_path(&bench, path, name);
	bench_path(&bench, of, image);
	return cow_create(&bench.rig.env, &args, &err);
}

static void layer_over_a_header(void)
{
	char name[BENCH_NAME], parent[BENCH_NAME];
	struct cow_open_args args = {
		.name = name, .parent = parent, .create = true,
	};
	struct cow_error err = { "" };
	struct common_file *file;
	unsigned int i;

	bench_path(&bench, name, "over");
	bench_path(&bench, parent, "one");
	for (i = 0; i < 2; i++) {
		is(common_open(&bench.rig.env, &args, &file, &err), 0,
		   "a layer and a header: %s", err.text);
		if (*err.text)
			return;
		is(cow_geometry(file).cylinders, 7, "its geometry");
		rig_close(&bench.rig, file);
	}
}

static void headers_lead_to_one_image(void)
{
	struct common_file *file;

	bench_init(&bench);
	bench_make(&bench, 0, DISK);
	is(make_header("one", "base", 7), 0, "a header of a raw image");
	is(make_header("two", "base", 9), 0, "and another one");
	file = bench_open(&bench, "one");
	is(cow_geometry(file).cylinders, 7, "its geometry");
	is(bench_put(&bench, file, 0, 5, COMMON_FUA), 0, "what is written");
	rig_close(&bench.rig, file);
	is(host_byte("base", 0), 5, "stands in the image");
	file = bench_open(&bench, "two");
	is(cow_geometry(file).cylinders, 9, "the other geometry");
	is(bench_get(&bench, file, 0), 5, "of the same disk");
	is(rig_snapshot(&bench.rig, file, "snap"), 0, "a snapshot of it");
	bench_put(&bench, file, 0, 6, COMMON_FUA);
	rig_close(&bench.rig, file);
	file = bench_open(&bench, "one");
	is(bench_get(&bench, file, 0), 6, "either header leads to the newest");
	is(cow_geometry(file).cylinders, 7, "with its own geometry");
	is(rig_merge(&bench.rig, file, false, true), 0, "merged back");
	rig_close(&bench.rig, file);
	is(host_byte("base", 0), 6, "the image has it");
	is(make_header("three", "one", 1), 0, "a header of a header's image");
	layer_over_a_header();
	bench.rig.quiet = true;
	is(truncate_base(DISK / 2), 0, "an image of another size");
	is(bench_try_open(&bench, "one", &file), -ESTALE, "is refused");
	bench_over_base(&bench, 4);
	is(make_header("four", "top", 1), -EINVAL, "not of a COW file");
}

static void list_of_free_blocks_leaves_a_readers_state_alone(void)
{
	struct common_file *file, *reader;
	char path[BENCH_NAME];
	struct cow_open_args args = { .name = path, .peek = true };
	struct cow_error err = { "" };
	int i;

	bench_init(&bench);
	bench.rig.env.index_bytes = 1;
	file = bench_disk(&bench, 4, GIB);
	bench_path(&bench, path, "top");
	for (i = 0; i < 16; i++)
		bench_put(&bench, file, i * 4 * MIB, 1, 0);
	bench_flush(&bench, file);
	is(common_open(&bench.rig.env, &args, &reader, &err), 0,
	   "a reader opens the top beside its writer");
	for (i = 0; i < 16; i++)
		bench_put(&bench, file, i * 4 * MIB + BENCH_BLOCK, 2, 0);
	bench_flush(&bench, file);
	rig_close(&bench.rig, file);
	is(read_all(reader), 16, "it sees its state when the writer has closed");
	rig_close(&bench.rig, reader);
	file = bench_open(&bench, "top");
	ok(free_blocks(file) >= 16, "and %u blocks are free",
	   free_blocks(file));
	rig_close(&bench.rig, file);
}

int main(void)
{
	merge_ends_while_others_sync_all_the_time();
	snapshot_that_meets_a_lost_write(0);
	snapshot_that_meets_a_lost_write(4);
	merge_that_meets_a_lost_write();
	file_merged_away_while_its_lock_was_awaited();
	successor_that_can_not_be_forgotten(-EIO);
	successor_that_can_not_be_forgotten(-EACCES);
	no_room_between_mark_and_merge();
	truncated_file_is_not_merged_as_zeros();
	copy_of_a_frozen_file_survives_its_first_snapshot();
	sector_0_is_written_as_it_was_checked(magics[0]);
	sector_0_is_written_as_it_was_checked(magics[1]);
	writers_of_sector_0_wait_for_each_other(1, 0);
	writers_of_sector_0_wait_for_each_other(2, 1);
	snapshot_waits_for_room(3);
	snapshot_waits_for_room(4);
	lock_is_given_back_by_a_merge_that_did_not_begin();
	free_blocks_survive_opens_without_a_commit();
	room_of_discarded_data_is_used_again();
	late_reader_sees_nobody_elses_data();
	reader_beside_a_writer_keeps_its_state();
	list_of_free_blocks_leaves_a_readers_state_alone();
	headers_lead_to_one_image();
	return plan_done();
}
