// SPDX-License-Identifier: GPL-2.0-only
/*
 * Snapshots whose new file is V3: that it is what stock would have made over the
 * frozen file, that nobody takes it for that too early, and that its state, which
 * has no place in its header, is kept.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench.h"
#include "engine.h"
#include "io.h"
#include "tap.h"

#define DISK	(64u * BENCH_BLOCK)

static struct bench bench;
static bool attributes;		/* the host has them */
static unsigned int no_room;	/* for so many records */

static int get_attribute(void *ctx, int fd, enum io_attr attr, void *buf,
			 size_t len)
{
	return attributes ? cow_io_sync.getattr(ctx, fd, attr, buf, len) :
			    -EOPNOTSUPP;
}

static int set_attribute(void *ctx, int fd, enum io_attr attr, const void *buf,
			 size_t len)
{
	if (!attributes)
		return -EOPNOTSUPP;
	if (no_room && no_room--)
		return -ENOSPC;
	return cow_io_sync.setattr(ctx, fd, attr, buf, len);
}

static int replace(void *ctx, int fd, const char *path)
{
	if (no_room && no_room--)
		return -ENOSPC;
	return cow_io_sync.replace(ctx, fd, path);
}

static void begin(void)
{
	bench_init(&bench);
	bench.ops.replace = replace;
	bench.ops.getattr = get_attribute;
	bench.ops.setattr = set_attribute;
}

static bool exists(const char *name)
{
	char path[BENCH_NAME];

	bench_path(&bench, path, name);
	return !access(path, F_OK);
}

static void read_header(const char *name, struct cow_disk_v3 *hdr)
{
	char path[BENCH_NAME];
	FILE *file;

	bench_path(&bench, path, name);
	memset(hdr, 0, sizeof(*hdr));
	file = fopen(path, "rb");
	if (!file || fread(hdr, sizeof(*hdr), 1, file) != 1)
		diag("%s: no header", path);
	if (file)
		fclose(file);
}

/* All that stock looks at. */
static bool stock_takes(const char *name, const char *parent)
{
	struct cow_disk_v3 hdr;
	char path[BENCH_NAME];
	struct stat st;

	read_header(name, &hdr);
	bench_path(&bench, path, parent);
	return !stat(path, &st) && hdr.version == cow_be32(3) &&
	       !strcmp(hdr.path, path) &&
	       cow_be64(hdr.size) == (uint64_t)st.st_size &&
	       cow_be32(hdr.mtime) == (uint32_t)st.st_mtime;
}

static int grow(const char *name, uint64_t size)
{
	char path[BENCH_NAME];

	bench_path(&bench, path, name);
	return truncate(path, size);
}

/* Prepared, and no step taken. */
static struct cow_task *prepared(struct common_file *file, const char *name)
{
	static struct cow_snapshot_result result;
	const struct cow_snapshot_args args = { .name = name, .version = 3 };
	struct cow_error err = { "" };
	struct cow_task *task = NULL;

	if (cow_snapshot_start(file, &args, &result, &task, &err))
		diag("%s", err.text);
	return task;
}

/* ---- cases ------------------------------------------------------------- */

static void there_and_back(void)
{
	struct common_file *file;

	begin();
	file = bench_disk(&bench, 0, DISK);
	bench_put(&bench, file, 0, 1, 0);
	is(rig_snapshot_as(&bench.rig, file, "snap", 3), 0,
	   "a V3 snapshot, %s attributes", attributes ? "with" : "without");
	ok(stock_takes("snap", "base"), "stock takes it");
	is(exists("snap.moo"), !attributes, "its state has its place");
	bench_put(&bench, file, BENCH_BLOCK, 2, COMMON_FUA);
	rig_close(&bench.rig, file);
	ok(stock_takes("snap", "base"), "also when it has been used");
	file = bench_open(&bench, "base");
	is(cow_depth(file), 2, "the old name leads to it");
	is(bench_get(&bench, file, 0), 1, "the old data");
	is(bench_get(&bench, file, BENCH_BLOCK), 2, "and the new");
	is(rig_merge(&bench.rig, file, false, true), 0,
	   "it goes back without force");
	is(bench_get(&bench, file, BENCH_BLOCK), 2, "with its data");
	rig_close(&bench.rig, file);
	ok(!exists("snap") && !exists("snap.moo") && !exists("base.moo"),
	   "and leaves nothing");
}

static void nobody_opens_it_too_early(void)
{
	struct common_file *file, *early;
	char path[BENCH_NAME];
	struct cow_open_args args = { .name = path, .read_only = true };
	struct cow_error err = { "" };
	struct cow_task *task;

	begin();
	file = bench_disk(&bench, 0, DISK);
	task = prepared(file, "snap");
	ok(task && exists("snap"), "the file of a snapshot that has just begun");
	ok(!stock_takes("snap", "base"), "stock refuses it");
	bench_path(&bench, path, "snap");
	/* Its lock is held, by us. */
	bench.rig.env.io = &cow_io_sync;
	args.unlocked = true;
	is(common_open(&bench.rig.env, &args, &early, &err), -ESTALE,
	   "so do we");
	ok(strstr(err.text, "did not come to its end") &&
	   strstr(err.text, "/base"), "naming what to start from: %s",
	   err.text);
	bench.rig.env.io = &bench.ops;
	is(rig_task(&bench.rig, task), 0, "it ends");
	cow_snapshot_end(task);
	rig_close(&bench.rig, file);
	file = bench_open(&bench, "snap");
	is(cow_depth(file), 2, "and can be opened");
	rig_close(&bench.rig, file);
}

/* Writes before the swap may make the file a whole number of sectors. */
static void end_of_the_old_top_that_is_not_whole(void)
{
	uint8_t buf[COW_SECTOR_SIZE] = { 7 };
	struct common_file *file;
	struct cow_task *task;

	begin();
	file = bench_disk(&bench, 0, DISK + 100);
	task = prepared(file, "snap");
	is(rig_rw(&bench.rig, file, COMMON_WRITE, buf, DISK, sizeof(buf), 0), 0,
	   "its last sector is written while the snapshot begins");
	is(rig_task(&bench.rig, task), 0, "it ends");
	cow_snapshot_end(task);
	is(rig_rw(&bench.rig, file, COMMON_WRITE, buf, DISK, sizeof(buf), 0), 0,
	   "and again");
	rig_close(&bench.rig, file);
	ok(stock_takes("snap", "base"), "the new file has the right size");
	file = bench_open(&bench, "base");
	is(rig_rw(&bench.rig, file, COMMON_READ, buf, DISK, sizeof(buf), 0), 0,
	   "the last sector");
	is(buf[0], 7, "is there");
	rig_close(&bench.rig, file);
}

static void refused(struct common_file *file, const char *why)
{
	bench.rig.quiet = true;
	is(rig_snapshot_as(&bench.rig, file, "snap", 3), -EINVAL, "%s", why);
	bench.rig.quiet = false;
	ok(!exists("snap") && !exists("snap.moo"), "no file is left");
	is(rig_snapshot_as(&bench.rig, file, "snap", 4), 0, "V4 can be made");
	rig_close(&bench.rig, file);
}

static void where_it_can_not_be(void)
{
	struct common_file *file;

	begin();
	refused(bench_disk(&bench, 3, DISK), "no V3 over V3");
	begin();
	refused(bench_disk(&bench, 4, DISK), "nor over V4");
	begin();
	file = bench_disk(&bench, 0, DISK);
	is(grow("base", 2 * DISK), 0, "a file that somebody made larger");
	refused(file, "nor over what has another size than the device");
}

static void size_that_changes_in_the_midst(void)
{
	struct common_file *file;
	struct cow_task *task;

	begin();
	file = bench_disk(&bench, 0, DISK);
	bench_put(&bench, file, 0, 1, COMMON_FUA);
	task = prepared(file, "snap");
	is(grow("base", 2 * DISK), 0, "somebody makes the old top larger");
	is(rig_task(&bench.rig, task), -ESTALE, "the snapshot fails");
	ok(strstr(task->error.text, "/base"), "%s", task->error.text);
	is(bench_flush(&bench, file), -ESTALE, "a flush does not wait for it");
	cow_snapshot_end(task);
	rig_close(&bench.rig, file);
	file = bench_open(&bench, "base");
	is(bench_get(&bench, file, 0), 1, "the old top has what was flushed");
	rig_close(&bench.rig, file);
}

/* That a snapshot made it is known for as long as it is a layer. */
static void state_outlives_a_successor(void)
{
	struct common_file *file;

	begin();
	file = bench_disk(&bench, 0, DISK);
	is(rig_snapshot_as(&bench.rig, file, "one", 3), 0, "a V3 snapshot");
	bench.rig.quiet = true;
	is(rig_snapshot(&bench.rig, file, "missing/two"), -ENOENT,
	   "one on it that comes to nothing");
	bench.rig.quiet = false;
	is(rig_snapshot(&bench.rig, file, "two"), 0, "and one that does");
	bench_put(&bench, file, 0, 9, COMMON_FUA);
	is(rig_merge(&bench.rig, file, false, true), 0, "which is taken back");
	rig_close(&bench.rig, file);
	file = bench_open(&bench, "base");
	is(cow_depth(file), 2, "after a boot");
	is(rig_merge(&bench.rig, file, false, true), 0,
	   "the V3 file goes back without force");
	is(bench_get(&bench, file, 0), 9, "with all data");
	rig_close(&bench.rig, file);
}

/* A link that can not be recorded takes back the file, not its old state. */
static void undone_for_want_of_a_record(void)
{
	struct common_file *file;

	begin();
	bench.rig.quiet = true;
	file = bench_disk(&bench, 0, DISK);
	no_room = 1;
	is(rig_snapshot_as(&bench.rig, file, "one", 3), -ENOSPC,
	   "no room for the record of the new file");
	ok(!exists("one"), "it is gone");
	is(rig_snapshot_as(&bench.rig, file, "one", 3), 0, "there is room");
	no_room = 1;
	is(rig_snapshot(&bench.rig, file, "two"), -ENOSPC,
	   "none for the record of the old one");
	ok(!exists("two"), "the new one is gone");
	rig_close(&bench.rig, file);
	file = bench_open(&bench, "base");
	is(rig_merge(&bench.rig, file, false, true), 0,
	   "what the old one's record said is still known");
	rig_close(&bench.rig, file);
}

/* What comes too late for the guest to be spared waits, as with V4. */
static void room_for_the_state_that_goes(void)
{
	struct common_file *file;
	struct cow_task *task;

	begin();
	file = bench_disk(&bench, 0, DISK);
	task = prepared(file, "snap");
	no_room = 1;
	is(rig_task(&bench.rig, task), -EDEADLK, "a lack of room is waited out");
	ok(strstr(task->error.text, "make room"), "%s", task->error.text);
	cow_background(file);
	is(rig_task(&bench.rig, task), 0, "until there is some");
	cow_snapshot_end(task);
	rig_close(&bench.rig, file);
	ok(stock_takes("snap", "base"), "and the file is right");
}

int main(void)
{
	for (attributes = true;; attributes = false) {
		there_and_back();
		nobody_opens_it_too_early();
		end_of_the_old_top_that_is_not_whole();
		where_it_can_not_be();
		size_that_changes_in_the_midst();
		state_outlives_a_successor();
		undone_for_want_of_a_record();
		room_for_the_state_that_goes();
		if (!attributes)
			break;
	}
	return plan_done();
}
