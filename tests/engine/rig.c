// SPDX-License-Identifier: GPL-2.0-only
/*
 * The test stand, see rig.h.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "io.h"
#include "rig.h"
#include "tap.h"

static int rig_submit(void *ctx, struct io_desc *desc)
{
	struct rig *rig = ctx;

	if (!rig->async || tap_random(&rig->seed) % 100 < rig->inline_percent)
		return cow_io_sync.submit(NULL, desc);
	assert(rig->queued < RIG_QUEUE);
	rig->queue[rig->queued++] = desc;
	return -EINPROGRESS;
}

bool rig_pump(struct rig *rig)
{
	struct io_desc *desc;
	unsigned int i;

	if (!rig->queued)
		return false;
	i = tap_random(&rig->seed) % rig->queued;
	desc = rig->queue[i];
	rig->queue[i] = rig->queue[--rig->queued];
	cow_io_sync.submit(NULL, desc);
	desc->done(desc);
	return true;
}

void rig_drain(struct rig *rig)
{
	while (rig_pump(rig))
		;
}

void rig_close(struct rig *rig, struct common_file *file)
{
	if (!file)
		return;
	rig_drain(rig);
	assert(cow_idle(file));
	common_close(file);
}

static void *aligned_alloc_zeroed(size_t len)
{
	void *mem;

	if (posix_memalign(&mem, len < 4096 ? sizeof(void *) : 4096, len))
		return NULL;
	return memset(mem, 0, len);
}

#define LARGE	65536u
#define GUARD	4096u

/*
 * Small pieces come from the sanitizer's malloc. Large ones, of which little is
 * touched, are mapped, with a page behind them that must not be.
 */
static void *rig_alloc(size_t len)
{
	size_t room = (len + GUARD - 1) / GUARD * GUARD;
	char *mem;

	if (len < LARGE)
		return aligned_alloc_zeroed(len);
	mem = mmap(NULL, room + GUARD, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (mem == MAP_FAILED)
		return NULL;
	mprotect(mem + room, GUARD, PROT_NONE);
	return mem;
}

static void rig_free(void *mem, size_t len)
{
	size_t room = (len + GUARD - 1) / GUARD * GUARD;

	if (len < LARGE)
		free(mem);
	else
		munmap(mem, room + GUARD);
}

static void rig_say(const char *line)
{
	(void)line;
}

void rig_init(struct rig *rig, uint64_t seed)
{
	static struct io_ops ops;

	ops = cow_io_sync;
	ops.name = "rig";
	ops.submit = rig_submit;
	memset(rig, 0, sizeof(*rig));
	rig->seed = seed;
	rig->env = (struct cow_env){
		.io = &ops,
		.ctx = rig,
		.alloc = rig_alloc,
		.free = rig_free,
		.say = rig_say,
		.index_bytes = 1 << 20,
	};
}

static bool io_over;

static void rig_done(struct common_io *io)
{
	(void)io;
	io_over = true;
}

int rig_io(struct rig *rig, struct common_file *file, struct common_io *io)
{
	int ret;

	io->done = rig_done;
	io_over = false;
	ret = file->ops->submit(file, io);
	if (ret != -EINPROGRESS)
		return ret;
	while (!io_over) {
		if (!rig_pump(rig))
			return -EDEADLK;
	}
	return io->result;
}

int rig_rw(struct rig *rig, struct common_file *file, enum common_op op,
	   void *buf, uint64_t offset, uint64_t len, unsigned int flags)
{
	struct cow_vec vec = { buf, len };
	struct common_io io = {
		.op = op,
		.flags = flags,
		.offset = offset,
		.len = len,
		.vec = &vec,
		.nvec = 1,
	};

	return rig_io(rig, file, &io);
}

int rig_task(struct rig *rig, struct cow_task *task)
{
	enum cow_step step;

	while ((step = cow_task_step(task)) != COW_STEP_DONE) {
		if (step == COW_STEP_WAIT && !rig_pump(rig))
			return -EDEADLK;
	}
	return task->result;
}

int rig_snapshot_as(struct rig *rig, struct common_file *file,
		    const char *name, unsigned int version)
{
	static struct cow_snapshot_result result;
	struct cow_snapshot_args args = { .name = name, .version = version };
	struct cow_error err = { "" };
	struct cow_task *task;
	int ret;

	ret = cow_snapshot_start(file, &args, &result, &task, &err);
	if (!ret) {
		ret = rig_task(rig, task);
		err = task->error;
		cow_snapshot_end(task);
	}
	if (ret && !rig->quiet)
		diag("snapshot: %s", err.text);
	return ret;
}

int rig_snapshot(struct rig *rig, struct common_file *file, const char *name)
{
	return rig_snapshot_as(rig, file, name, 0);
}

int rig_merge(struct rig *rig, struct common_file *file, bool force,
	      bool remove)
{
	static struct cow_merge_progress progress;
	struct cow_merge_args args = { .force = force, .remove = remove };
	struct cow_error err = { "" };
	struct cow_task *task;
	int ret;

	ret = cow_merge_start(file, &args, &progress, &task, &err);
	if (!ret) {
		ret = rig_task(rig, task);
		err = task->error;
		cow_merge_end(task);
	}
	if (ret && !rig->quiet)
		diag("merge: %s", err.text);
	return ret;
}

enum { IN_MEMORY, ON_DISK, DIRS };

static char dirs[DIRS][256];

static void remove_dirs(void)
{
	char cmd[sizeof(dirs[0]) + 16];
	int i;

	for (i = 0; i < DIRS; i++) {
		snprintf(cmd, sizeof(cmd), "rm -rf '%.255s'", dirs[i]);
		if (dirs[i][0] && system(cmd))
			fprintf(stderr, "%s stays\n", dirs[i]);
	}
}

static const char *dir_in(int which, const char *base)
{
	char *dir = dirs[which];

	if (dir[0])
		return dir;
	snprintf(dir, sizeof(dirs[which]), "%s/moo-test.XXXXXX", base);
	if (!mkdtemp(dir)) {
		perror(dir);
		exit(1);
	}
	if (!dirs[!which][0])
		atexit(remove_dirs);
	return dir;
}

const char *rig_dir(void)
{
	const char *base = getenv("TMPDIR");

	/* Memory where there is some: these tests sync thousands of times. */
	if (!base)
		base = access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm";
	return dir_in(IN_MEMORY, base);
}

const char *rig_disk_dir(void)
{
	const char *base = getenv("DISKDIR");

	return dir_in(ON_DISK, base ? base : "/var/tmp");
}
