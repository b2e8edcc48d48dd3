// SPDX-License-Identifier: GPL-2.0-only
/*
 * The machine while it has power: requests, snapshots, merges, reopens.
 *
 * Duty: random steps, and telling the oracle of them.
 *
 * Invariants: no two requests under way touch the same sector, so that the
 * order of versions is the order of their submission.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "seal.h"
#include "tap.h"
#include "world.h"

#define SPAN		96u	/* sectors of one request */
#define PATIENCE	100000u

/* ---- requests ---------------------------------------------------------- */

void world_flights(struct world *w)
{
	unsigned int i;

	for (i = 0; i < WORLD_FLIGHTS; i++)
		w->flight[i].buf = malloc(SPAN * COW_SECTOR_SIZE);
}

void world_forget(struct world *w)
{
	unsigned int i;

	for (i = 0; i < WORLD_FLIGHTS; i++)
		free(w->flight[i].buf);
	for (i = 0; i < w->nfrozen; i++) {
		if (!w->frozen[i].borrowed)
			free(w->frozen[i].content);
	}
	free(w->at_swap);
	oracle_exit(&w->oracle);
}

static uint64_t first_of(const struct flight *f)
{
	return f->io.offset / COW_SECTOR_SIZE;
}

static uint64_t count_of(const struct flight *f)
{
	return f->io.len / COW_SECTOR_SIZE;
}

static void compare(struct world *w, uint64_t sector, uint64_t id,
		    const char *what)
{
	const char *why = oracle_alive(&w->oracle, sector, id);

	if (why)
		world_fail(w, "%s: sector %llu shows %s (%llx)", what,
			   (unsigned long long)sector, why,
			   (unsigned long long)id);
}

static void land(struct world *w, struct flight *f)
{
	uint64_t first = first_of(f), count = count_of(f), i;

	f->busy = false;
	if (f->io.result) {
		world_fail(w, "request %d failed: %d", f->io.op, f->io.result);
		return;
	}
	switch (f->io.op) {
	case COMMON_READ:
		for (i = 0; i < count; i++)
			compare(w, first + i,
				content_id(f->buf + i * COW_SECTOR_SIZE,
					   first + i), "a read");
		break;
	case COMMON_FLUSH:
		oracle_flushed(&w->oracle, f->flush);
		break;
	default:
		oracle_ack(&w->oracle, first, count,
			   f->io.flags & COMMON_FUA);
	}
	world_trace(w, "answer to %d at %llu + %llu", f->io.op,
		    (unsigned long long)first, (unsigned long long)count);
}

static void flight_done(struct common_io *io)
{
	struct flight *f = (struct flight *)io;

	f->over = true;
}

static void land_all(struct world *w)
{
	unsigned int i;

	for (i = 0; i < WORLD_FLIGHTS; i++) {
		if (w->flight[i].busy && w->flight[i].over)
			land(w, &w->flight[i]);
	}
}

static bool overlaps(struct world *w, uint64_t first, uint64_t count)
{
	unsigned int i;

	for (i = 0; i < WORLD_FLIGHTS; i++) {
		struct flight *f = &w->flight[i];

		if (f->busy && first < first_of(f) + count_of(f) &&
		    first_of(f) < first + count)
			return true;
	}
	return false;
}

/* Most requests are small, and many hit where others have been before. */
static void stretch(struct world *w, uint64_t *first, uint64_t *count)
{
	uint64_t max = world_pick(w, 8) ? 4 : SPAN;

	*first = world_pick(w, w->sectors);
	if (world_pick(w, 2) && w->sectors > 40)
		*first = world_pick(w, 40);
	*count = 1 + world_pick(w, max);
	if (*count > w->sectors - *first)
		*count = w->sectors - *first;
}

/* Tell the oracle; make the bytes of a write. */
static void issue(struct world *w, struct flight *f)
{
	uint64_t first = first_of(f), count = count_of(f), id, i;

	f->flush = oracle_flush(&w->oracle);
	switch (f->io.op) {
	case COMMON_WRITE:
		id = oracle_write(&w->oracle, first, count);
		for (i = 0; i < count; i++)
			content_make(f->buf + i * COW_SECTOR_SIZE, first + i,
				     id + i);
		break;
	case COMMON_ZEROES:
		oracle_zeroes(&w->oracle, first, count);
		break;
	case COMMON_DISCARD:
		oracle_discard(&w->oracle, first, count);
		break;
	default:
		break;
	}
}

static struct flight *free_flight(struct world *w)
{
	unsigned int i;

	for (i = 0; i < WORLD_FLIGHTS; i++) {
		if (!w->flight[i].busy)
			return &w->flight[i];
	}
	return NULL;
}

void world_start(struct world *w, enum common_op op, unsigned int flags,
		 uint64_t first, uint64_t count)
{
	struct flight *f = free_flight(w);
	int ret;

	if (!f || overlaps(w, first, count))
		return;
	f->io = (struct common_io){
		.op = op,
		.flags = flags,
		.offset = first * COW_SECTOR_SIZE,
		.len = count * COW_SECTOR_SIZE,
		.vec = &f->vec,
		.nvec = count ? 1 : 0,
		.done = flight_done,
	};
	f->vec.base = f->buf;
	f->vec.len = f->io.len;
	f->busy = true;
	f->over = false;
	issue(w, f);
	world_trace(w, "request %d at %llu + %llu%s", op,
		    (unsigned long long)first, (unsigned long long)count,
		    f->io.flags ? " FUA" : "");
	ret = w->file->ops->submit(w->file, &f->io);
	if (ret != -EINPROGRESS) {
		f->io.result = ret;
		land(w, f);
	}
}

static void start(struct world *w, enum common_op op)
{
	uint64_t first = 0, count = 0;
	unsigned int flags = 0;

	if (op != COMMON_FLUSH)
		stretch(w, &first, &count);
	if ((op == COMMON_WRITE || op == COMMON_ZEROES) && !world_pick(w, 6))
		flags = COMMON_FUA;
	world_start(w, op, flags, first, count);
}

void world_mix(struct world *w)
{
	static const enum common_op ops[] = {
		COMMON_READ, COMMON_WRITE, COMMON_WRITE, COMMON_WRITE,
		COMMON_WRITE, COMMON_WRITE, COMMON_ZEROES, COMMON_DISCARD,
		COMMON_FLUSH, COMMON_FLUSH,
	};
	uint64_t n;

	start(w, ops[world_pick(w, ARRAY_SIZE(ops))]);
	for (n = world_pick(w, 4); n; n--)
		vdisk_pump(w->disk);
	land_all(w);
}

/* A blocking call runs on a thread of its own: requests come and go. */
void world_hook(void *world)
{
	struct world *w = world;

	if (!w->thorough || vdisk_hardens(w->disk))
		world_power(w);
	if (!w->meanwhile || w->nested || !vdisk_in_call(w->disk) ||
	    w->run->failed)
		return;
	w->nested = true;
	world_mix(w);
	w->nested = false;
}

void world_settle(struct world *w)
{
	unsigned int i;

	do {
		land_all(w);
	} while (vdisk_pump(w->disk));
	land_all(w);
	for (i = 0; i < WORLD_FLIGHTS; i++) {
		if (w->flight[i].busy)
			world_fail(w, "a request hangs");
		w->flight[i].busy = false;
	}
}

/* ---- the whole device -------------------------------------------------- */

static bool read_over;

static void read_done(struct common_io *io)
{
	(void)io;
	read_over = true;
}

/* The version of every sector; NULL if it can not be read. */
uint64_t *world_read(struct world *w, struct common_file *file)
{
	uint8_t *buf = malloc(w->sectors * COW_SECTOR_SIZE);
	struct cow_vec vec = { buf, w->sectors * COW_SECTOR_SIZE };
	struct common_io io = {
		.len = vec.len,
		.vec = &vec,
		.nvec = 1,
		.done = read_done,
	};
	uint64_t *id = NULL, i;
	int ret;

	read_over = false;
	ret = common_pread(file, &io);
	if (ret == -EINPROGRESS) {
		while (!read_over && vdisk_pump(w->disk))
			;
		ret = read_over ? io.result : -EDEADLK;
	}
	if (ret) {
		world_fail(w, "reading all of it failed: %d", ret);
	} else {
		id = malloc(w->sectors * sizeof(*id));
		for (i = 0; i < w->sectors; i++)
			id[i] = content_id(buf + i * COW_SECTOR_SIZE, i);
	}
	free(buf);
	return id;
}

void world_compare(struct world *w, const char *what)
{
	uint64_t *id = world_read(w, w->file);
	uint64_t i;

	for (i = 0; id && i < w->sectors; i++)
		compare(w, i, id[i], what);
	free(id);
}

int world_open(struct world *w)
{
	struct cow_open_args args = {
		.name = w->boot,
		.parent = w->two_names ? w->boot_parent : NULL,
		.create = true,
		.durable = w->durable,
		.direct = w->direct,
	};
	struct cow_error err = { "" };
	int ret = common_open(&w->env, &args, &w->file, &err);

	if (!ret && w->file->read_only)
		world_fail(w, "it opens read-only");
	if (ret)
		world_fail(w, "it does not open: %s", err.text);
	return ret;
}

/* ---- tasks ------------------------------------------------------------- */

static void top_name(const struct world *w, unsigned int n, char name[WORLD_NAME])
{
	struct cow_layer_info info;

	name[0] = 0;
	if (!cow_layer(w->file, n, &info))
		snprintf(name, WORLD_NAME, "%s", info.path);
}

bool world_top_is_raw(const struct world *w)
{
	struct cow_layer_info info;

	return !cow_layer(w->file, 0, &info) && info.format == COW_RAW;
}

void world_snapshot(struct world *w, unsigned int version)
{
	struct cow_snapshot_args args = { .version = version };
	struct cow_error err = { "" };
	char name[WORLD_NAME];
	int ret;

	if (w->nfrozen == WORLD_FROZEN)
		return;
	top_name(w, 0, w->old_top);
	snprintf(name, sizeof(name), "/s%u", w->names++);
	args.name = name;
	ret = cow_snapshot_start(w->file, &args, &w->snapshot, &w->task, &err);
	world_trace(w, "snapshot %s V%u: %d", name, version, ret);
	if (!ret) {
		w->doing = TASK_SNAPSHOT;
		w->swapped = false;
		w->run->snapshots++;
	} else if (ret != -EBUSY) {
		world_fail(w, "no snapshot: %s", err.text);
	}
}

/* The layer that takes the sectors of the top is not frozen any more. */
static void thaw(struct world *w, const char *name)
{
	unsigned int i;

	for (i = 0; i < w->nfrozen; i++) {
		struct frozen *frozen = &w->frozen[i];

		if (strcmp(frozen->name, name))
			continue;
		if (!frozen->borrowed)
			free(frozen->content);
		*frozen = w->frozen[--w->nfrozen];
		i--;
	}
}

void world_merge_args(struct world *w, const struct cow_merge_args *args)
{
	struct cow_error err = { "" };
	char layer[WORLD_NAME], parent[WORLD_NAME];
	struct cow_layer_info info;
	int ret;

	if (cow_depth(w->file) < args->layer + 2)
		return;
	top_name(w, args->layer, layer);
	top_name(w, args->layer + 1, parent);
	cow_layer(w->file, args->layer + 1, &info);
	ret = cow_merge_start(w->file, args, &w->progress, &w->task, &err);
	world_trace(w, "merge %s into %s: %d", layer, parent, ret);
	if (ret == -EPERM ||
	    (ret == -EBUSY && cow_merge_pending(w->file, NULL)))
		return;
	if (ret) {
		world_fail(w, "no merge: %s", err.text);
		return;
	}
	w->doing = TASK_MERGE;
	w->wish = COW_MERGE_RUN;
	w->ended = false;
	w->run->merges++;
	thaw(w, parent);
	/* As a name for its parent it would not be one for ever. */
	if (args->layer)
		thaw(w, layer);
	if (w->run->fault_on_parent)
		vdisk_fault(w->disk, w->run->fault, info.id.ino);
}

/* What the boot arguments name, or lead through, has to stay. */
bool world_may_delete(const struct world *w, unsigned int layer)
{
	char name[WORLD_NAME];

	top_name(w, layer, name);
	return name[1] == 's' && w->boot[1] != 's';
}

void world_merge(struct world *w)
{
	struct cow_merge_args args = { 0 };
	unsigned int depth = cow_depth(w->file);

	if (depth < 2)
		return;
	if (!cow_merge_pending(w->file, &args) && depth > 2)
		args.layer = world_pick(w, depth - 1);
	args.paused = false;
	args.remove = world_may_delete(w, args.layer) && world_pick(w, 2);
	args.force = !world_pick(w, 3);
	world_merge_args(w, &args);
}

void world_wish(struct world *w, enum cow_merge_wish wish)
{
	if (w->doing != TASK_MERGE)
		return;
	w->wish = wish;
	w->ended |= wish == COW_MERGE_CANCEL || wish == COW_MERGE_STOP;
	cow_merge_control(w->task, wish);
}

static void snapshot_over(struct world *w)
{
	struct frozen *frozen = &w->frozen[w->nfrozen++];

	*frozen = (struct frozen){ .content = w->at_swap };
	strcpy(frozen->name, w->old_top);
	w->at_swap = NULL;
}

static void task_over(struct world *w)
{
	int result = w->task->result;

	world_trace(w, "task %d ends: %d", w->doing, result);
	if (result && !(result == -ECANCELED && w->ended))
		world_fail(w, "a task failed: %s", w->task->error.text);
	if (w->doing == TASK_SNAPSHOT) {
		cow_snapshot_end(w->task);
		if (!result)
			snapshot_over(w);
	} else {
		cow_merge_end(w->task);
		if (w->run->fault_on_parent)
			vdisk_fault(w->disk, VDISK_SOUND, 0);
	}
	w->doing = TASK_NONE;
	w->task = NULL;
}

void world_step_task(struct world *w)
{
	enum cow_step step = cow_task_step(w->task);
	char top[WORLD_NAME];

	world_trace(w, "step of task %d: %d", w->doing, step);
	if (w->doing == TASK_SNAPSHOT && !w->swapped) {
		top_name(w, 0, top);
		w->swapped = strcmp(top, w->old_top);
		if (w->swapped)
			w->at_swap = oracle_freeze(&w->oracle);
	}
	if (step == COW_STEP_DONE)
		task_over(w);
	else if (step == COW_STEP_WAIT)
		vdisk_pump(w->disk);
	land_all(w);
}

/* ---- steps ------------------------------------------------------------- */

/* Everything is acknowledged, and durable. */
void world_flush(struct world *w)
{
	world_settle(w);
	start(w, COMMON_FLUSH);
	world_settle(w);
}

static void close_and_open(struct world *w, const char *seal)
{
	world_flush(w);
	world_trace(w, "reopen %s", w->boot);
	common_close(w->file);
	w->file = NULL;
	if (seal)
		seal_file(w, seal);
	if (!w->run->failed && !world_open(w))
		world_compare(w, "reopened");
}

void world_reopen(struct world *w)
{
	close_and_open(w, NULL);
}

void world_reopen_sealed(struct world *w)
{
	char top[WORLD_NAME];

	top_name(w, 0, top);
	close_and_open(w, top);
}

/* Now and then the administrator names the newest file. */
static void reopen(struct world *w)
{
	if (!world_pick(w, 4)) {
		top_name(w, 0, w->boot);
		w->two_names = false;
	}
	world_reopen(w);
}

void world_step(struct world *w)
{
	uint64_t n = world_pick(w, 100);

	if (w->task && n < 45)
		world_step_task(w);
	else if (w->task && n < 50)
		world_wish(w, world_pick(w, COW_MERGE_STOP + 1));
	else if (w->task || n < 70)
		world_mix(w);
	else if (n < 76)
		cow_background(w->file);
	else if (n < 84)
		world_snapshot(w, world_top_is_raw(w) ? 3 + n % 2 : 4);
	else if (n < 93)
		world_merge(w);
	else if (n < 95)
		reopen(w);
	else if (n < 96)
		world_reopen_sealed(w);
	else if (n < 98)
		seal_layers(w);
	else
		world_settle(w);
	world_power(w);
	/* The back end of a real machine is never asked, it just goes on. */
	if (w->meanwhile && world_pick(w, 2))
		vdisk_pump(w->disk);
	land_all(w);
}

void world_end(struct world *w)
{
	unsigned int patience = PATIENCE;

	if (w->wish == COW_MERGE_PAUSE)
		world_wish(w, COW_MERGE_RUN);
	while (w->task && --patience)
		world_step_task(w);
	if (!patience)
		world_fail(w, "a task hangs");
	world_settle(w);
}
