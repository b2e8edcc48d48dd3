// SPDX-License-Identifier: GPL-2.0-only
/*
 * The operations that sequences are made of.
 *
 * Duty: each operation as a function on a world; see sequence.h.
 */
#include <string.h>

#include "alphabet.h"
#include "seal.h"
#include "tap.h"

/* ---- places ------------------------------------------------------------ */

struct place {
	const char *name;
	uint64_t first;
	uint64_t count;
};

/* A V4 block has eight sectors. LAST stands for the end of the disk. */
#define LAST	(~0ull)

static const struct place places[] = {
	{ "first", 0, 1 },
	{ "aligned", 8, 8 },
	{ "unaligned", 19, 3 },
	{ "spanning", 22, 5 },
	{ "last", LAST, 1 },
};

#define NPLACES	ARRAY_SIZE(places)

struct kind {
	const char *name;
	enum common_op op;
	unsigned int flags;
};

static const struct kind kinds[] = {
	{ "write", COMMON_WRITE, 0 },
	{ "write-fua", COMMON_WRITE, COMMON_FUA },
	{ "discard", COMMON_DISCARD, 0 },
	{ "zeroes", COMMON_ZEROES, 0 },
};

static void request(struct world *w, const struct kind *kind,
		    const struct place *place)
{
	uint64_t first = place->first == LAST ? w->sectors - 1 : place->first;

	world_start(w, kind->op, kind->flags, first, place->count);
}

/* ---- other operations -------------------------------------------------- */

static void flush(struct world *w)
{
	world_start(w, COMMON_FLUSH, 0, 0, 0);
}

static void background(struct world *w)
{
	cow_background(w->file);
}

static void settle(struct world *w)
{
	world_settle(w);
}

static void snapshot(struct world *w)
{
	if (!w->task && !cow_merge_pending(w->file, NULL))
		world_snapshot(w, 4);
}

static void snapshot_v3(struct world *w)
{
	if (!w->task && !cow_merge_pending(w->file, NULL) && world_top_is_raw(w))
		world_snapshot(w, 3);
}

/* One that has begun goes on; else the layer of that number. */
static void begin_merge(struct world *w, unsigned int layer, bool remove)
{
	struct cow_merge_args args = { .layer = layer };

	if (w->task)
		return;
	cow_merge_pending(w->file, &args);
	args.force = true;
	args.paused = false;
	args.remove = remove && world_may_delete(w, args.layer);
	world_merge_args(w, &args);
}

static void merge(struct world *w)
{
	begin_merge(w, 0, false);
}

static void merge_delete(struct world *w)
{
	begin_merge(w, 0, true);
}

/* The lowest layer of all that lie on something, below the top. */
static void fold(struct world *w)
{
	if (cow_depth(w->file) > 2)
		begin_merge(w, cow_depth(w->file) - 2, false);
}

static void fold_delete(struct world *w)
{
	if (cow_depth(w->file) > 2)
		begin_merge(w, cow_depth(w->file) - 2, true);
}

/* The one below the top, which may lie on another COW. */
static void fold_upper(struct world *w)
{
	if (cow_depth(w->file) > 2)
		begin_merge(w, 1, false);
}

static void pause_merge(struct world *w)
{
	world_wish(w, COW_MERGE_PAUSE);
}

static void run_merge(struct world *w)
{
	world_wish(w, COW_MERGE_RUN);
}

static void cancel_merge(struct world *w)
{
	world_wish(w, COW_MERGE_CANCEL);
}

static void stop_merge(struct world *w)
{
	world_wish(w, COW_MERGE_STOP);
}

static void steps(struct world *w, unsigned int n)
{
	while (n-- && w->task && !w->run->failed)
		world_step_task(w);
}

static void one_step(struct world *w)
{
	steps(w, 1);
}

static void four_steps(struct world *w)
{
	steps(w, 4);
}

static void finish(struct world *w)
{
	if (w->wish == COW_MERGE_PAUSE)
		world_wish(w, COW_MERGE_RUN);
	steps(w, 100000);
	if (w->task)
		world_fail(w, "a task hangs");
}

static void reopen(struct world *w)
{
	finish(w);
	if (!w->run->failed)
		world_reopen(w);
}

static void boot_newest(struct world *w)
{
	struct cow_layer_info info;

	finish(w);
	if (w->run->failed || cow_layer(w->file, 0, &info))
		return;
	strcpy(w->boot, info.path);
	w->two_names = false;
	world_reopen(w);
}

static void snapshot_and_finish(struct world *w)
{
	snapshot(w);
	finish(w);
}

static void snapshot_v3_and_finish(struct world *w)
{
	snapshot_v3(w);
	finish(w);
}

static void merge_and_finish(struct world *w)
{
	merge_delete(w);
	finish(w);
}

static void fold_and_finish(struct world *w)
{
	fold_delete(w);
	finish(w);
}

/* Beside whatever is under way: locks decide. */
static void seal(struct world *w)
{
	seal_layers(w);
}

static void seal_reopen(struct world *w)
{
	finish(w);
	if (!w->run->failed)
		world_reopen_sealed(w);
}

static const struct {
	const char *name;
	void (*run)(struct world *w);
} others[] = {
	{ "flush", flush },
	{ "background", background },
	{ "settle", settle },
	{ "snapshot-begin", snapshot },
	{ "snapshot", snapshot_and_finish },
	{ "snapshot-V3-begin", snapshot_v3 },
	{ "snapshot-V3", snapshot_v3_and_finish },
	{ "merge-begin", merge },
	{ "merge-begin-delete", merge_delete },
	{ "merge", merge_and_finish },
	{ "fold-begin", fold },
	{ "fold-upper-begin", fold_upper },
	{ "fold", fold_and_finish },
	{ "pause", pause_merge },
	{ "run", run_merge },
	{ "cancel", cancel_merge },
	{ "stop", stop_merge },
	{ "step", one_step },
	{ "4-steps", four_steps },
	{ "finish", finish },
	{ "reopen", reopen },
	{ "boot-newest", boot_newest },
	{ "seal", seal },
	{ "seal-reopen", seal_reopen },
};

/* ---- all of them ------------------------------------------------------- */

#define NREQUESTS	(ARRAY_SIZE(kinds) * NPLACES)

unsigned int sequence_ops(void)
{
	return NREQUESTS + ARRAY_SIZE(others);
}

void alphabet_run(struct world *w, unsigned int op)
{
	if (op < NREQUESTS)
		request(w, &kinds[op / NPLACES], &places[op % NPLACES]);
	else
		others[op - NREQUESTS].run(w);
}

void alphabet_name(unsigned int op, char *name, size_t len)
{
	if (op < NREQUESTS)
		snprintf(name, len, "%s-%s", kinds[op / NPLACES].name,
			 places[op % NPLACES].name);
	else
		snprintf(name, len, "%s", others[op - NREQUESTS].name);
}
