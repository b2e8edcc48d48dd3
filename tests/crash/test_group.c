// SPDX-License-Identifier: GPL-2.0-only
/*
 * The power fails in a snapshot of two devices as one.
 *
 * Duty: two chains of one disk at work, random requests on both, a group of
 * snapshots; before every change of a file, and behind every step, what a power
 * failure leaves is opened by the old names. Each device holds what was flushed; a
 * layer that has a successor is what its device was at the swap, and that is one
 * instant for both; once the answer is given, both have one.
 *
 * Environment: SEED, SECONDS of processor time, WORKLOADS at most.
 */
#include <stdlib.h>
#include <string.h>

#include "left.h"
#include "tap.h"

#define DEVICES		2u
#define ALL		((1u << DEVICES) - 1)
#define PATIENCE	100000u

/**
 * struct pair - two devices on one disk, and their snapshot
 * @state: counts crash states by how many of the devices had a successor in them
 * @depth: of the chains before the snapshot
 * @at_swap: what the devices held when the first top was swapped
 * @done: the tasks that have ended, a bit each
 */
struct pair {
	struct run run;
	struct left left;
	struct vdisk *disk;
	struct world *world[DEVICES];
	struct cow_member member[DEVICES];
	struct cow_snapshot_result result[DEVICES];
	struct frozen_sector *at_swap[DEVICES];
	unsigned int depth[DEVICES];
	unsigned int done;
	uint64_t seed;
	unsigned long state[DEVICES + 1];
};

static uint64_t choose(struct pair *pair, uint64_t n)
{
	return tap_random(&pair->seed) % n;
}

/* ---- the verdict ------------------------------------------------------- */

static void check_flushed(struct pair *pair, unsigned int i, const uint64_t *id)
{
	struct world *w = pair->world[i];
	uint64_t s;

	for (s = 0; s < w->sectors; s++) {
		const char *why = oracle_after_crash(&w->oracle, s, id[s]);

		if (why)
			world_fail(w, "%s: sector %llu shows %s (%llx)",
				   w->boot, (unsigned long long)s, why,
				   (unsigned long long)id[s]);
	}
}

static void check_frozen(struct pair *pair, unsigned int i, struct vdisk *disk)
{
	struct world *w = pair->world[i];
	const struct cow_open_args args = {
		.name = w->boot,
		.read_only = true,
		.no_follow = true,
	};
	unsigned int depth;
	uint64_t *id, s;

	if (!pair->at_swap[i]) {
		world_fail(w, "%s has a successor before the swap", w->boot);
		return;
	}
	id = left_content(w, disk, &args, &depth);
	for (s = 0; id && s < w->sectors; s++) {
		const struct frozen_sector *want = &pair->at_swap[i][s];

		if (id[s] != want->id &&
		    !(want->or_zeros && id[s] == ORACLE_ZEROS))
			world_fail(w, "%s is not what it was at the swap: sector %llu is %llx",
				   w->boot, (unsigned long long)s,
				   (unsigned long long)id[s]);
	}
	free(id);
}

/* True if it has a successor. */
static bool check_device(struct pair *pair, unsigned int i, struct vdisk *disk)
{
	struct world *w = pair->world[i];
	const struct cow_open_args args = { .name = w->boot };
	unsigned int depth = 0;
	uint64_t *id = left_content(w, disk, &args, &depth);
	bool linked = depth > pair->depth[i];

	if (id)
		check_flushed(pair, i, id);
	free(id);
	if (linked && !w->run->failed)
		check_frozen(pair, i, disk);
	return linked;
}

static void look(void *arg, struct vdisk *disk)
{
	struct pair *pair = arg;
	unsigned int i, linked = 0;

	for (i = 0; i < DEVICES && !pair->run.failed; i++)
		linked += check_device(pair, i, disk);
	if (pair->done == ALL && linked != DEVICES)
		world_fail(pair->world[0], "the answer was given, and %u have a successor",
			   linked);
	pair->state[linked]++;
}

/* ---- the machine ------------------------------------------------------- */

static void build(struct pair *pair, unsigned int i)
{
	static const unsigned int chains[][2] = {
		{ 0, 0 }, { 3, 0 }, { 4, 0 }, { 3, 4 }, { 4, 4 },
	};
	const unsigned int *chain = chains[choose(pair, ARRAY_SIZE(chains))];
	struct world *w = pair->world[i];
	unsigned int n;

	w->sectors = 1 + choose(pair, 60);
	w->direct = !choose(pair, 3);
	w->names = 100 * i;
	oracle_init(&w->oracle, w->sectors, 1, NULL);
	world_base(w, i ? "/b" : "/a");
	for (n = 0; n < 2 && chain[n]; n++)
		world_layer(w, chain[n]);
	if (!world_open(w))
		pair->depth[i] = cow_depth(w->file);
}

static void begin(struct pair *pair, uint64_t seed)
{
	unsigned int i;

	memset(pair, 0, sizeof(*pair));
	pair->seed = seed;
	for (i = 0; i < DEVICES; i++)
		pair->world[i] = world_new(&pair->run, tap_random(&seed));
	pair->disk = pair->world[0]->disk;
	vdisk_free(pair->world[1]->disk);
	pair->world[1]->disk = pair->disk;
	pair->world[1]->env.ctx = pair->disk;
	pair->left = (struct left){
		.disk = pair->disk, .look = look, .arg = pair,
		.run = &pair->run, .seed = &pair->seed,
	};
	for (i = 0; i < DEVICES && !pair->run.failed; i++)
		build(pair, i);
}

static void end(struct pair *pair)
{
	unsigned int i;

	vdisk_hook(pair->disk, NULL, NULL);
	for (i = 0; i < DEVICES; i++) {
		common_close(pair->world[i]->file);
		pair->world[i]->file = NULL;
		free(pair->at_swap[i]);
	}
	world_forget(pair->world[1]);
	free(pair->world[1]);
	world_delete(pair->world[0]);
}

static bool begin_snapshots(struct pair *pair)
{
	static const char *const names[DEVICES] = { "/new-a", "/new-b" };
	struct cow_error err = { "" };
	unsigned int i;

	for (i = 0; i < DEVICES; i++) {
		pair->member[i].file = pair->world[i]->file;
		pair->member[i].args.name = names[i];
		pair->member[i].result = &pair->result[i];
	}
	if (!cow_group_start(pair->member, DEVICES, &err))
		return true;
	world_fail(pair->world[0], "no snapshot: %s", err.text);
	return false;
}

/* The instant is the same for both. */
static void watch(struct pair *pair)
{
	unsigned int i, swapped = 0;

	for (i = 0; i < DEVICES; i++)
		swapped += cow_depth(pair->world[i]->file) > pair->depth[i];
	for (i = 0; i < DEVICES && swapped && !pair->at_swap[i]; i++)
		pair->at_swap[i] = oracle_freeze(&pair->world[i]->oracle);
}

static void step(struct pair *pair, unsigned int i)
{
	struct cow_task *task = pair->member[i].task;

	if (pair->done & 1u << i)
		return;
	if (cow_task_step(task) == COW_STEP_DONE)
		pair->done |= 1u << i;
	watch(pair);
	if (pair->done & 1u << i && task->result)
		world_fail(pair->world[i], "a task failed: %s",
			   task->error.text);
}

static void something(struct pair *pair)
{
	unsigned int i = choose(pair, DEVICES), n = choose(pair, 10);

	if (n < 5 && pair->member[i].task)
		step(pair, i);
	else if (n < 9)
		world_mix(pair->world[i]);
	else
		cow_background(pair->world[i]->file);
	left_power_fails(&pair->left);
	vdisk_pump(pair->disk);
}

/* Some work, the snapshot with work meanwhile, and some more behind it. */
static void work(struct pair *pair)
{
	unsigned int steps, patience = PATIENCE;

	vdisk_async(pair->disk, choose(pair, 4), choose(pair, 100));
	for (steps = choose(pair, 30); steps; steps--)
		world_mix(pair->world[choose(pair, DEVICES)]);
	vdisk_hook(pair->disk, left_power_fails, &pair->left);
	if (!begin_snapshots(pair))
		return;
	while (pair->done != ALL && --patience && !pair->run.failed)
		something(pair);
	if (!patience)
		world_fail(pair->world[0], "a task hangs");
	for (steps = choose(pair, 20); steps && !pair->run.failed; steps--)
		something(pair);
}

static void finish(struct pair *pair)
{
	unsigned int i;

	for (i = 0; i < DEVICES; i++)
		world_settle(pair->world[i]);
	for (i = 0; i < DEVICES && pair->member[i].task; i++)
		cow_snapshot_end(pair->member[i].task);
	for (i = 0; i < DEVICES && !pair->run.failed; i++)
		world_compare(pair->world[i], "at the end");
}

/* ---- all of it --------------------------------------------------------- */

int main(void)
{
	unsigned long workloads = tap_number("WORKLOADS", ~0ul), n;
	unsigned long states = 0, partly = 0, whole = 0;
	uint64_t seed = tap_seed();
	static struct pair pair;
	bool good = true;

	for (n = 0; good && n < workloads && !tap_time_is_over(10); n++) {
		begin(&pair, seed);
		if (!pair.run.failed)
			work(&pair);
		if (!pair.run.failed)
			finish(&pair);
		good = !pair.run.failed;
		if (good)
			end(&pair);
		else
			diag("WORKLOADS=1 SEED=%llu: %s",
			     (unsigned long long)seed, pair.run.text);
		states += pair.run.states;
		partly += pair.state[1];
		whole += pair.state[DEVICES];
		tap_random(&seed);
	}
	ok(good && n, "every crash state holds what was promised");
	ok(whole, "some of them in the midst of it, with both snapshots");
	diag("workloads %lu, states %lu: one snapshot %lu, both %lu", n,
	     states, partly, whole);
	return plan_done();
}
