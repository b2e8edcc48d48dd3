// SPDX-License-Identifier: GPL-2.0-only
/*
 * The power fails while a top is discarded.
 *
 * Duty: a chain at work, a snapshot, more work, all of it durable; then the top is
 * discarded. Before every change of a file, and behind every step, what a power
 * failure leaves is opened by the name of the frozen layer and by that of the top:
 * the disk is wholly what it was before, or wholly what it was at the snapshot, and
 * both names agree; once the task is done it is the latter.
 *
 * Environment: SEED, SECONDS of processor time, WORKLOADS at most.
 */
#include <stdlib.h>
#include <string.h>

#include "left.h"
#include "tap.h"

#define PATIENCE	100000u

/**
 * struct discard - one workload
 * @top: name of what is discarded
 * @before, @after: what the disk holds
 * @back: crash states in which it held @after
 * @removed: the file of the top is deleted at the end
 * @done: the task has ended
 */
struct discard {
	struct run run;
	struct left left;
	struct world *w;
	char top[WORLD_NAME];
	uint64_t *before;
	uint64_t *after;
	unsigned long back;
	bool removed;
	bool done;
	uint64_t seed;
};

static uint64_t choose(struct discard *d, uint64_t n)
{
	return tap_random(&d->seed) % n;
}

/* ---- the verdict ------------------------------------------------------- */

static bool shows(const struct discard *d, const uint64_t *id,
		  const uint64_t *want)
{
	return !memcmp(id, want, d->w->sectors * sizeof(*id));
}

/* True if the disk is as at the snapshot. */
static bool check_name(struct discard *d, struct vdisk *disk, const char *name)
{
	const struct cow_open_args args = { .name = name };
	unsigned int depth;
	uint64_t *id = left_content(d->w, disk, &args, &depth);
	bool back = id && shows(d, id, d->after);

	if (id && !back && (d->done || !shows(d, id, d->before)))
		world_fail(d->w, "%s shows what the disk never was", name);
	free(id);
	return back;
}

static bool has(struct vdisk *disk, const char *name)
{
	struct io_stat st;

	return !vdisk_ops.lookup(disk, name, &st);
}

static void look(void *arg, struct vdisk *disk)
{
	struct discard *d = arg;
	bool back = check_name(d, disk, d->w->boot);

	if (has(disk, d->top)) {
		if (!d->run.failed && check_name(d, disk, d->top) != back)
			world_fail(d->w, "the two names do not agree");
	} else if (!d->removed) {
		world_fail(d->w, "%s is gone", d->top);
	}
	d->back += back;
}

/* ---- the machine ------------------------------------------------------- */

static void some_work(struct discard *d)
{
	unsigned int steps = 5 + choose(d, 30);

	while (steps-- && !d->run.failed)
		world_mix(d->w);
	world_flush(d->w);
}

static void take_snapshot(struct discard *d)
{
	struct world *w = d->w;

	world_snapshot(w, world_top_is_raw(w) ? 3 + choose(d, 2) : 4);
	while (w->task && !d->run.failed)
		world_step_task(w);
}

static void begin(struct discard *d, uint64_t seed)
{
	static const unsigned int chains[][2] = {
		{ 0, 0 }, { 3, 0 }, { 4, 0 }, { 3, 4 }, { 4, 4 },
	};
	const unsigned int *chain;
	struct world *w;
	unsigned int n;

	memset(d, 0, sizeof(*d));
	d->seed = seed;
	w = world_new(&d->run, tap_random(&seed));
	d->w = w;
	chain = chains[choose(d, ARRAY_SIZE(chains))];
	w->sectors = 1 + choose(d, 60);
	w->direct = !choose(d, 3);
	oracle_init(&w->oracle, w->sectors, 1, NULL);
	world_base(w, "/base");
	for (n = 0; n < 2 && chain[n]; n++)
		world_layer(w, chain[n]);
	if (world_open(w))
		return;
	vdisk_async(w->disk, choose(d, 4), choose(d, 100));
	some_work(d);
	d->after = world_read(w, w->file);
	take_snapshot(d);
	some_work(d);
	d->before = world_read(w, w->file);
}

static void drop(struct discard *d)
{
	const struct cow_merge_args args = {
		.discard = true,
		.remove = choose(d, 2),
	};
	struct world *w = d->w;
	struct left *left = &d->left;
	struct cow_layer_info info;
	struct cow_error err = { "" };
	unsigned int patience = PATIENCE;
	struct cow_task *task;

	cow_layer(w->file, 0, &info);
	strcpy(d->top, info.path);
	d->removed = args.remove;
	if (cow_merge_start(w->file, &args, &w->progress, &task, &err)) {
		world_fail(w, "it can not be discarded: %s", err.text);
		return;
	}
	*left = (struct left){
		.disk = w->disk, .look = look, .arg = d,
		.run = &d->run, .seed = &d->seed,
	};
	vdisk_hook(w->disk, left_power_fails, left);
	while (!d->done && --patience && !d->run.failed) {
		d->done = cow_task_step(task) == COW_STEP_DONE;
		left_power_fails(left);
		vdisk_pump(w->disk);
	}
	vdisk_hook(w->disk, NULL, NULL);
	if (!patience || (d->done && task->result))
		world_fail(w, "the task %s", patience ? task->error.text :
							"hangs");
	cow_merge_end(task);
}

static void end(struct discard *d)
{
	uint64_t *id = world_read(d->w, d->w->file);

	if (!shows(d, id, d->after))
		world_fail(d->w, "it is not what it was at the snapshot");
	free(id);
	free(d->before);
	free(d->after);
	world_delete(d->w);
}

/* ---- all of it --------------------------------------------------------- */

int main(void)
{
	unsigned long workloads = tap_number("WORKLOADS", ~0ul), n;
	unsigned long states = 0, back = 0;
	uint64_t seed = tap_seed();
	static struct discard d;
	bool good = true;

	for (n = 0; good && n < workloads && !tap_time_is_over(5); n++) {
		begin(&d, seed);
		if (!d.run.failed)
			drop(&d);
		if (!d.run.failed)
			end(&d);
		good = !d.run.failed;
		if (!good)
			diag("WORKLOADS=1 SEED=%llu: %s",
			     (unsigned long long)seed, d.run.text);
		states += d.run.states;
		back += d.back;
		tap_random(&seed);
	}
	ok(good && n, "every crash state is one of the two");
	ok(back && back < states, "and there were both");
	diag("workloads %lu, states %lu, as at the snapshot %lu", n, states,
	     back);
	return plan_done();
}
