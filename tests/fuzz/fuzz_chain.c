// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fuzz target: a chain whose top is any bytes, opened, read, written, flushed,
 * snapshotted, merged and opened again. The host is in memory, and refuses what
 * lies beyond a gigabyte.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fix.h"
#include "rig.h"
#include "vdisk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define BASE	65536u
#define FAR	(1ull << 30)
#define PATIENCE 4000

static struct io_ops ops;

static bool is_far(const struct io_desc *desc)
{
	unsigned int i;

	if (desc->op == IO_COPY && desc->piece) {
		for (i = 0; i < desc->npieces; i++) {
			if (desc->piece[i].offset > FAR)
				return true;
		}
		return false;
	}
	return desc->offset > FAR || desc->len > FAR;
}

static int near_submit(void *ctx, struct io_desc *desc)
{
	bool writes = desc->op == IO_WRITE || desc->op == IO_ZERO ||
		      desc->op == IO_PUNCH || desc->op == IO_COPY;

	if (writes && is_far(desc)) {
		desc->result = -EFBIG;
		return -EFBIG;
	}
	return vdisk_ops.submit(ctx, desc);
}

static int near_pwrite(void *ctx, int fd, const void *buf, size_t len,
		       uint64_t off)
{
	return off > FAR ? -EFBIG : vdisk_ops.pwrite(ctx, fd, buf, len, off);
}

static int near_truncate(void *ctx, int fd, uint64_t size)
{
	return size > FAR ? -EFBIG : vdisk_ops.truncate(ctx, fd, size);
}

static void touch(struct rig *rig, struct common_file *file)
{
	static uint8_t buf[8192];
	uint64_t size = file->size, at;
	unsigned int i;

	for (i = 0; i < 4; i++) {
		at = i * (size / 4) & ~511ull;
		if (at + sizeof(buf) > size)
			continue;
		rig_rw(rig, file, COMMON_READ, buf, at, sizeof(buf), 0);
		rig_rw(rig, file, COMMON_WRITE, buf, at, 512, 0);
		rig_rw(rig, file, COMMON_DISCARD, NULL, at, sizeof(buf), 0);
		rig_rw(rig, file, COMMON_WRITE, buf, at + 1024, 1024, 0);
	}
	rig_rw(rig, file, COMMON_FLUSH, NULL, 0, 0, 0);
}

/* A disk of exabytes would be merged for ever. */
static void some_steps(struct cow_task *task)
{
	unsigned int i;

	for (i = 0; i < PATIENCE; i++) {
		if (cow_task_step(task) != COW_STEP_AGAIN)
			return;
	}
}

static void merge(struct common_file *file)
{
	const struct cow_merge_args args = { .force = true };
	static struct cow_merge_progress progress;
	struct cow_error err;
	struct cow_task *task;

	if (cow_merge_start(file, &args, &progress, &task, &err))
		return;
	some_steps(task);
	cow_merge_end(task);
}

static void use(struct rig *rig, bool read_only)
{
	const struct cow_open_args args = {
		.name = "/top", .read_only = read_only,
	};
	struct common_file *file;
	struct cow_error err;

	if (common_open(&rig->env, &args, &file, &err))
		return;
	touch(rig, file);
	if (!read_only) {
		rig_snapshot(rig, file, "/snap");
		touch(rig, file);
		if (file->size < FAR)
			merge(file);
	}
	if (cow_idle(file))
		common_close(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static uint8_t base[BASE];
	struct vdisk *disk = vdisk_new(1);
	uint8_t *copy = malloc(len + 1);
	struct rig rig;

	ops = vdisk_ops;
	ops.submit = near_submit;
	ops.pwrite = near_pwrite;
	ops.truncate = near_truncate;
	rig_init(&rig, 1);
	rig.quiet = true;
	rig.env.say = NULL;
	rig.env.index_bytes = 1;
	rig.env.io = &ops;
	rig.env.ctx = disk;
	memcpy(copy, data, len);
	fix_checksums(copy, len);
	vdisk_put(disk, "/base", base, sizeof(base));
	vdisk_put(disk, "/top", copy, len);
	use(&rig, true);
	use(&rig, false);
	use(&rig, false);
	vdisk_free(disk);
	free(copy);
	return 0;
}
