// SPDX-License-Identifier: GPL-2.0-only
/*
 * The engine against a naive twin: random chains, random requests, snapshots,
 * merges and reopens, compared byte for byte with a plain array.
 *
 * SEQUENCES=n sets how many sequences run, SEED=n which ones; a failure prints
 * the seed of its own sequence, and SEQUENCES=1 SEED=that plays it again. Every
 * other sequence asks for direct I/O, with DIRECT=1 all of them do.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rig.h"
#include "tap.h"

#define MAX_DISK	(6u << 20)
#define MAX_LAYERS	12
#define MAX_FLIGHT	8

/* A request that has been submitted and not yet been answered. */
struct flight {
	struct common_io io;
	struct cow_vec vec[4];
	uint8_t *mem;
	uint8_t *buf;
	bool busy;
	bool over;
};

struct frozen {
	char name[300];
	uint8_t *content;
};

struct world {
	struct rig rig;
	struct common_file *file;
	uint64_t seed;
	uint64_t size;		/* of the device */
	bool flat;		/* the base is a V4 disk */
	char boot[300];
	char boot_parent[300];
	bool direct;
	uint8_t *twin;
	uint8_t *scratch;
	struct frozen frozen[MAX_LAYERS];
	unsigned int nfrozen;
	unsigned int names;
	unsigned int built;
	unsigned int taken;
	unsigned int merged;
	struct flight flight[MAX_FLIGHT];
	const char *failure;
	char detail[200];
};

static uint64_t pick(struct world *w, uint64_t n)
{
	return tap_random(&w->seed) % n;
}

static void fail(struct world *w, const char *what)
{
	if (!w->failure)
		w->failure = what;
}

static void name_of(struct world *w, char name[300], const char *kind)
{
	snprintf(name, 300, "%s/%s%u", rig_dir(), kind, w->names++);
}

static void fill(struct world *w, uint8_t *buf, uint64_t len)
{
	uint64_t i;

	for (i = 0; i < len; i += 8) {
		uint64_t v = tap_random(&w->seed);

		memcpy(buf + i, &v, 8);
	}
}

static void make(struct world *w, struct cow_create_args *args)
{
	struct cow_error err = { "" };

	args->mode = 0600;
	args->gid = ~0u;
	if (cow_create(&w->rig.env, args, &err)) {
		snprintf(w->detail, sizeof(w->detail), "%s", err.text);
		fail(w, "a file can not be made");
	}
}

/* The first @bytes of the twin, @behind the end of what is there. */
static void put_base(struct world *w, const char *name, uint64_t bytes,
		     int64_t behind)
{
	int fd = open(name, O_CREAT | O_WRONLY, 0644);
	off_t end = lseek(fd, 0, SEEK_END);

	if (fd < 0 || pwrite(fd, w->twin, bytes, end + behind) !=
		      (ssize_t)bytes)
		fail(w, "the base can not be written");
	close(fd);
}

/* Of V4, with its data in place. */
static void make_disk(struct world *w, const char *name)
{
	struct cow_create_args args = {
		.name = name,
		.disk = true,
		.size = w->size,
		.padding = pick(w, 2) ? 65536 : 0,
	};

	make(w, &args);
	put_base(w, name, w->size, -(int64_t)w->size);
}

static void make_raw(struct world *w, const char *name)
{
	uint64_t bytes = w->size;

	/* Now and then a size that is no multiple of a sector. */
	if (pick(w, 4) == 0)
		bytes -= 1 + pick(w, 511);
	memset(w->twin + bytes, 0, w->size - bytes);
	put_base(w, name, bytes, 0);
}

static void make_base(struct world *w, char name[300])
{
	fill(w, w->twin, w->size);
	/* Some zeros, so that absent and zero are told apart. */
	if (pick(w, 2))
		memset(w->twin + w->size / 3 / 512 * 512, 0, w->size / 4);
	w->twin[0] = 'x';
	name_of(w, name, "base");
	w->flat = pick(w, 4) == 0;
	if (w->flat)
		make_disk(w, name);
	else
		make_raw(w, name);
}

/* The base is named by one that has no data. */
static void add_header(struct world *w)
{
	char base[300];
	struct cow_create_args args = {
		.name = w->boot,
		.parent = base,
		.header = true,
	};

	strcpy(base, w->boot);
	name_of(w, w->boot, "head");
	make(w, &args);
}

static int open_chain(struct world *w)
{
	struct cow_open_args args = {
		.name = w->boot,
		.parent = w->boot_parent[0] ? w->boot_parent : NULL,
		.create = true,
		.direct = w->direct,
	};
	struct cow_error err = { "" };
	bool async = w->rig.async;
	int ret;

	w->rig.async = false;
	ret = common_open(&w->rig.env, &args, &w->file, &err);
	w->rig.async = async;
	if (ret) {
		snprintf(w->detail, sizeof(w->detail), "%s", err.text);
		fail(w, "the chain does not open");
		w->file = NULL;
	}
	return ret;
}

static void add_layer(struct world *w, const char *parent, char name[300])
{
	struct cow_create_args args = {
		.name = name,
		.parent = parent,
	};

	name_of(w, name, "layer");
	if (pick(w, 2))
		args.version = 4;
	make(w, &args);
}

static void build(struct world *w)
{
	unsigned int layers = pick(w, 4);
	char parent[300];
	struct stat st;

	w->size = (1 + pick(w, pick(w, 4) ? 200 : MAX_DISK / 512)) * 512;
	make_base(w, parent);
	strcpy(w->boot, parent);
	w->boot_parent[0] = 0;
	w->built = layers;
	if (!layers && !w->flat && pick(w, 2))
		add_header(w);
	while (layers-- && !w->failure) {
		add_layer(w, parent, w->boot);
		strcpy(w->boot_parent, pick(w, 2) ? parent : "");
		strcpy(parent, w->boot);
	}
	if (stat(w->boot, &st))
		fail(w, "the top is missing");
}

/* ---- requests ---------------------------------------------------------- */

static void flight_done(struct common_io *io)
{
	struct flight *flight = (struct flight *)io;

	flight->over = true;
}

/* Random stretch; most are small, some touch the last sector. */
static void stretch(struct world *w, uint64_t *offset, uint64_t *len)
{
	uint64_t sectors = w->size / 512;
	uint64_t first = pick(w, sectors);
	uint64_t max = pick(w, 3) ? 16 : 2048;
	uint64_t count = 1 + pick(w, max);

	if (count > sectors - first)
		count = sectors - first;
	if (pick(w, 10) == 0)
		first = sectors - count;
	*offset = first * 512;
	*len = count * 512;
}

/* Cut the buffer into up to four pieces at sector boundaries. */
static void cut(struct world *w, struct flight *f)
{
	uint64_t left = f->io.len, at = 0;
	unsigned int n = 0;

	while (left && n < 3 && pick(w, 2)) {
		uint64_t len = (1 + pick(w, left / 512)) * 512;

		f->vec[n].base = f->buf + at;
		f->vec[n++].len = len;
		left -= len;
		at += len;
	}
	if (left) {
		f->vec[n].base = f->buf + at;
		f->vec[n++].len = left;
	}
	f->io.vec = f->vec;
	f->io.nvec = n;
}

static bool overlaps(struct world *w, uint64_t offset, uint64_t len)
{
	unsigned int i;

	for (i = 0; i < MAX_FLIGHT; i++) {
		struct flight *f = &w->flight[i];

		if (f->busy && f->io.op != COMMON_FLUSH &&
		    offset < f->io.offset + f->io.len &&
		    f->io.offset < offset + len)
			return true;
	}
	return false;
}

/* The answer to @f is there: compare, or make it true of the twin. */
static void land(struct world *w, struct flight *f)
{
	struct common_io *io = &f->io;
	uint64_t i;

	f->busy = false;
	if (io->result) {
		snprintf(w->detail, sizeof(w->detail), "op %d, result %d",
			 io->op, io->result);
		fail(w, "a request failed");
	}
	switch (io->op) {
	case COMMON_READ:
		if (memcmp(f->buf, w->twin + io->offset, io->len)) {
			for (i = 0; i < io->len; i++)
				if (f->buf[i] != w->twin[io->offset + i])
					break;
			snprintf(w->detail, sizeof(w->detail),
				 "sector %llu of %llu",
				 (unsigned long long)(io->offset + i) / 512,
				 (unsigned long long)w->size / 512);
			fail(w, "read something else");
		}
		break;
	case COMMON_WRITE:
		memcpy(w->twin + io->offset, f->buf, io->len);
		break;
	case COMMON_ZEROES:
		memset(w->twin + io->offset, 0, io->len);
		break;
	default:
		break;
	}
}

static void pump(struct world *w, unsigned int n)
{
	unsigned int i;

	while (n--)
		rig_pump(&w->rig);
	for (i = 0; i < MAX_FLIGHT; i++) {
		if (w->flight[i].busy && w->flight[i].over)
			land(w, &w->flight[i]);
	}
}

static void settle(struct world *w)
{
	unsigned int i;

	do {
		pump(w, 1);
	} while (w->rig.queued);
	for (i = 0; i < MAX_FLIGHT; i++) {
		if (w->flight[i].busy)
			fail(w, "a request hangs");
		w->flight[i].busy = false;
	}
}

static void start(struct world *w, enum common_op op)
{
	uint64_t offset = 0, len = 0;
	struct flight *f = NULL;
	unsigned int i;
	int ret;

	for (i = 0; i < MAX_FLIGHT && !f; i++)
		f = w->flight[i].busy ? NULL : &w->flight[i];
	if (op != COMMON_FLUSH)
		stretch(w, &offset, &len);
	if (!f || overlaps(w, offset, len))
		return;
	f->io = (struct common_io){
		.op = op,
		.offset = offset,
		.len = len,
		.done = flight_done,
	};
	if (op == COMMON_WRITE || op == COMMON_ZEROES)
		f->io.flags = pick(w, 5) ? 0 : COMMON_FUA;
	if (len)
		cut(w, f);
	if (op == COMMON_WRITE) {
		fill(w, f->buf, len);
		f->buf[0] = 'w';
	} else {
		memset(f->buf, 0xa5, len);
	}
	f->busy = true;
	f->over = false;
	ret = w->file->ops->submit(w->file, &f->io);
	if (ret != -EINPROGRESS) {
		f->io.result = ret;
		land(w, f);
	}
}

/* Discarded sectors may read as zeros or as before: ask, and believe it. */
static void discard(struct world *w)
{
	uint64_t offset, len, i;

	stretch(w, &offset, &len);
	settle(w);
	if (rig_rw(&w->rig, w->file, COMMON_DISCARD, NULL, offset, len, 0))
		fail(w, "a discard failed");
	if (rig_rw(&w->rig, w->file, COMMON_READ, w->scratch, offset, len, 0))
		fail(w, "a read after a discard failed");
	for (i = 0; i < len; i += 512) {
		uint8_t zero[512] = { 0 };

		if (memcmp(w->scratch + i, zero, 512) &&
		    memcmp(w->scratch + i, w->twin + offset + i, 512))
			fail(w, "a discarded sector shows something else");
		memcpy(w->twin + offset + i, w->scratch + i, 512);
	}
}

/* ---- whole-chain operations -------------------------------------------- */

static void compare_all(struct world *w, struct common_file *file,
			const uint8_t *twin, const char *what)
{
	if (rig_rw(&w->rig, file, COMMON_READ, w->scratch, 0, w->size, 0) ||
	    memcmp(w->scratch, twin, w->size))
		fail(w, what);
}

static void mix(struct world *w)
{
	static const enum common_op ops[] = {
		COMMON_READ, COMMON_READ, COMMON_WRITE, COMMON_WRITE,
		COMMON_WRITE, COMMON_ZEROES, COMMON_FLUSH,
	};

	start(w, ops[pick(w, ARRAY_SIZE(ops))]);
	pump(w, pick(w, 4));
}

/* Step a task while requests come and go. */
static int drive(struct world *w, struct cow_task *task)
{
	enum cow_step step;
	unsigned int idle = 0;

	while ((step = cow_task_step(task)) != COW_STEP_DONE) {
		if (pick(w, 3) == 0)
			mix(w);
		if (step == COW_STEP_WAIT)
			pump(w, 1);
		if (w->rig.queued || step == COW_STEP_AGAIN) {
			idle = 0;
		} else if (++idle > 1000) {
			fail(w, "a task hangs");
			return -EDEADLK;
		}
	}
	return task->result;
}

static void snapshot(struct world *w)
{
	static struct cow_snapshot_result result;
	struct frozen *frozen = &w->frozen[w->nfrozen];
	struct cow_snapshot_args args;
	struct cow_error err = { "" };
	struct cow_layer_info info;
	struct cow_task *task;
	char name[300];
	int ret;

	if (w->nfrozen == MAX_LAYERS)
		return;
	/* Quiet, so that the twin knows on which side each write lies. */
	settle(w);
	cow_layer(w->file, 0, &info);
	snprintf(frozen->name, sizeof(frozen->name), "%s", info.path);
	memcpy(frozen->content, w->twin, w->size);
	name_of(w, name, "snap");
	args.name = name;
	ret = cow_snapshot_start(w->file, &args, &result, &task, &err);
	if (ret == -EBUSY)
		return;
	if (!ret) {
		/* Writes before the swap would belong to the frozen layer. */
		while (!strcmp(info.path, frozen->name) &&
		       cow_task_step(task) != COW_STEP_DONE) {
			pump(w, 1);
			cow_layer(w->file, 0, &info);
		}
		ret = drive(w, task);
		err = task->error;
		cow_snapshot_end(task);
	}
	if (ret) {
		snprintf(w->detail, sizeof(w->detail), "%s", err.text);
		fail(w, "a snapshot failed");
		return;
	}
	w->nfrozen++;
	w->taken++;
}

static void unsnapshot(struct world *w)
{
	static struct cow_merge_progress progress;
	struct cow_merge_args args = { .remove = pick(w, 2) };
	struct cow_error err = { "" };
	struct cow_task *task;
	int ret;

	if (!w->nfrozen)
		return;
	ret = cow_merge_start(w->file, &args, &progress, &task, &err);
	if (!ret) {
		ret = drive(w, task);
		err = task->error;
		cow_merge_end(task);
	}
	if (ret) {
		snprintf(w->detail, sizeof(w->detail), "%s", err.text);
		fail(w, "a merge failed");
		return;
	}
	w->nfrozen--;
	w->merged++;
}

static void reopen(struct world *w)
{
	settle(w);
	if (rig_rw(&w->rig, w->file, COMMON_FLUSH, NULL, 0, 0, 0))
		fail(w, "a flush failed");
	rig_close(&w->rig, w->file);
	if (!open_chain(w))
		compare_all(w, w->file, w->twin, "reopened, it reads otherwise");
}

/* A frozen layer, looked at beside the running chain. */
static void look_at_frozen(struct world *w)
{
	struct cow_open_args args = { .read_only = true, .no_follow = true };
	struct cow_error err = { "" };
	struct common_file *file;
	struct frozen *frozen;
	bool async = w->rig.async;

	if (!w->nfrozen)
		return;
	settle(w);
	w->rig.async = false;
	frozen = &w->frozen[pick(w, w->nfrozen)];
	args.name = frozen->name;
	if (common_open(&w->rig.env, &args, &file, &err)) {
		snprintf(w->detail, sizeof(w->detail), "%s", err.text);
		fail(w, "a frozen layer does not open");
	} else {
		compare_all(w, file, frozen->content, "a frozen layer changed");
		rig_close(&w->rig, file);
	}
	w->rig.async = async;
}

static void one_step(struct world *w)
{
	unsigned int n = pick(w, 100);

	if (n < 75)
		mix(w);
	else if (n < 80)
		discard(w);
	else if (n < 84)
		cow_background(w->file);
	else if (n < 88)
		snapshot(w);
	else if (n < 92)
		unsnapshot(w);
	else if (n < 95)
		look_at_frozen(w);
	else if (n < 97)
		reopen(w);
	else
		settle(w);
}

static bool sequence(struct world *w, uint64_t seed)
{
	unsigned int steps;
	char cmd[300];

	w->seed = seed;
	w->failure = NULL;
	w->detail[0] = 0;
	w->nfrozen = 0;
	w->names = 0;
	w->taken = 0;
	w->merged = 0;
	rig_init(&w->rig, seed ^ 0x5eed);
	build(w);
	w->rig.async = pick(w, 3);
	w->rig.inline_percent = pick(w, 100);
	w->direct = pick(w, 2) || getenv("DIRECT");
	if (!w->failure && !open_chain(w)) {
		for (steps = 5 + pick(w, 60); steps && !w->failure; steps--)
			one_step(w);
		settle(w);
		if (!w->failure)
			compare_all(w, w->file, w->twin,
				    "at the end it reads otherwise");
		if (!w->failure)
			reopen(w);
		if (w->file && !w->failure)
			rig_close(&w->rig, w->file);
	}
	if (getenv("VERBOSE"))
		diag("seed %llu: %llu sectors, %u layers below, %u snapshots, %u merges",
		     (unsigned long long)seed,
		     (unsigned long long)w->size / 512, w->built, w->taken,
		     w->merged);
	if (w->failure)
		diag("SEQUENCES=1 SEED=%llu: %s (%s)", (unsigned long long)seed,
		     w->failure, w->detail);
	snprintf(cmd, sizeof(cmd), "%s/", rig_dir());
	while (w->names--) {
		static const char *const kinds[] = {
			"base", "head", "layer", "snap",
		};
		size_t i;

		for (i = 0; i < ARRAY_SIZE(kinds); i++) {
			snprintf(cmd, sizeof(cmd), "%s/%s%u", rig_dir(),
				 kinds[i], w->names);
			unlink(cmd);
		}
	}
	return !w->failure;
}

/* Every fourth is not where direct I/O wants it. */
static void give_buffer(struct flight *f, unsigned int n)
{
	f->mem = aligned_alloc(4096, 2048 * 512 + 4096);
	f->buf = f->mem + (n % 4 ? 0 : 8);
}

int main(void)
{
	static struct world w;
	unsigned long n = tap_number("SEQUENCES", 2500);
	uint64_t seed = tap_seed();
	unsigned long i, good = 0;

	w.twin = malloc(MAX_DISK);
	w.scratch = malloc(MAX_DISK);
	for (i = 0; i < MAX_LAYERS; i++)
		w.frozen[i].content = malloc(MAX_DISK);
	for (i = 0; i < MAX_FLIGHT; i++)
		give_buffer(&w.flight[i], i);
	for (i = 0; i < n && good == i; i++) {
		good += sequence(&w, seed);
		if (n > 1)
			seed = tap_random(&seed);
	}
	ok(good == n, "%lu of %lu random sequences equal the twin", good, n);
	free(w.twin);
	free(w.scratch);
	for (i = 0; i < MAX_LAYERS; i++)
		free(w.frozen[i].content);
	for (i = 0; i < MAX_FLIGHT; i++)
		free(w.flight[i].mem);
	return plan_done();
}
