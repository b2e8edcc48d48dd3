// SPDX-License-Identifier: GPL-2.0-only
/*
 * The power fails: what is left is opened, looked at, and may go on.
 *
 * Duty: the choice of crash states, and the verdict on each.
 *
 * Invariants: the disk whose power fails is only looked at. The world behind a
 * crash begins with what it read as durable, since nothing else is there.
 */
#include <stdlib.h>
#include <string.h>

#include "seal.h"
#include "seen.h"
#include "tap.h"
#include "world.h"

#define EXHAUST		10	/* pieces up to which all subsets are tried */
#define MAX_PAIRS	100
#define MAX_RANDOM	35

static uint64_t choose(struct world *w, uint64_t n)
{
	return tap_random(&w->check_seed) % n;
}

/* ---- the verdict ------------------------------------------------------- */

/* The content of a sector that a snapshot froze never changes. */
static void check_frozen(struct world *w, const struct frozen *frozen)
{
	struct cow_open_args args = {
		.name = frozen->name,
		.read_only = true,
		.no_follow = true,
	};
	struct cow_error err = { "" };
	struct common_file *file;
	uint64_t *id, i;

	if (common_open(&w->env, &args, &file, &err)) {
		world_fail(w, "frozen %s does not open: %s", frozen->name,
			   err.text);
		return;
	}
	id = world_read(w, file);
	for (i = 0; id && i < w->sectors; i++) {
		const struct frozen_sector *want = &frozen->content[i];

		if (id[i] == want->id ||
		    (want->or_zeros && id[i] == ORACLE_ZEROS))
			continue;
		world_fail(w, "frozen %s has changed: sector %llu is %llx",
			   frozen->name, (unsigned long long)i,
			   (unsigned long long)id[i]);
	}
	free(id);
	common_close(file);
}

static void check_sectors(struct world *w, const struct oracle *oracle,
			  const uint64_t *id)
{
	uint64_t i;

	for (i = 0; i < w->sectors; i++) {
		const char *why = oracle_after_crash(oracle, i, id[i]);

		if (why) {
			world_fail(w, "sector %llu shows %s (%llx), its floor is %llx",
				   (unsigned long long)i, why,
				   (unsigned long long)id[i],
				   (unsigned long long)oracle->sector[i]
					.version[oracle->sector[i].floor].id);
			return;
		}
	}
}

/* ---- life after the crash ---------------------------------------------- */

/* Finish the merge that was under way: nothing may look different. */
static void resume(struct world *w)
{
	w->run->resumed++;
	w->meanwhile = !choose(w, 3);
	world_merge(w);
	while (w->task && !w->run->failed) {
		if (w->meanwhile)
			world_step(w);
		else
			world_step_task(w);
		world_power(w);
	}
	world_settle(w);
	if (!w->run->failed)
		world_compare(w, "after the merge was resumed");
}

static void go_on(struct world *w)
{
	unsigned int steps = 4 + choose(w, 20);

	vdisk_async(w->disk, choose(w, 2), choose(w, 100));
	w->checks = w->depth < WORLD_DEPTH;
	if (w->checks)
		vdisk_hook(w->disk, world_hook, w);
	w->meanwhile = true;
	if (cow_merge_pending(w->file, NULL))
		resume(w);
	while (steps-- && w->file && !w->run->failed)
		world_step(w);
	vdisk_hook(w->disk, NULL, NULL);
	w->checks = false;
	if (!w->file)
		return;
	world_end(w);
	if (!w->run->failed)
		world_compare(w, "at its end");
}

static bool shall_go_on(struct world *w)
{
	if (w->run->failed)
		return false;
	if (cow_merge_pending(w->file, NULL))
		return !choose(w, w->depth < WORLD_DEPTH ? 2 : 6);
	return !choose(w, w->depth < WORLD_DEPTH ? 12 : 30);
}

/* ---- one state --------------------------------------------------------- */

static void inherit(struct world *to, struct world *from, struct vdisk *disk)
{
	unsigned int i;

	to->run = from->run;
	to->disk = disk;
	to->env = from->env;
	to->env.ctx = disk;
	to->seed = tap_random(&from->check_seed);
	to->check_seed = tap_random(&from->check_seed);
	to->sectors = from->sectors;
	to->depth = from->depth + 1;
	to->check_percent = from->check_percent;
	to->two_names = from->two_names;
	to->durable = from->durable;
	to->direct = from->direct;
	to->names = from->names;
	strcpy(to->boot, from->boot);
	strcpy(to->boot_parent, from->boot_parent);
	to->nfrozen = from->nfrozen;
	for (i = 0; i < from->nfrozen; i++) {
		to->frozen[i] = from->frozen[i];
		to->frozen[i].borrowed = true;
	}
}

static void look_at(struct world *w, const struct oracle *before)
{
	uint64_t *id;
	unsigned int i;

	seal_check(w);
	if (w->run->failed || world_open(w))
		return;
	id = world_read(w, w->file);
	if (id)
		check_sectors(w, before, id);
	for (i = 0; i < w->nfrozen && !w->run->failed; i++)
		check_frozen(w, &w->frozen[i]);
	if (!w->run->failed && shall_go_on(w)) {
		world_flights(w);
		oracle_init(&w->oracle, w->sectors, before->next_id, id);
		go_on(w);
	}
	free(id);
	common_close(w->file);
}

static void one_state(struct world *w, enum vdisk_policy policy, uint64_t param)
{
	static const char *const names[] = {
		[VDISK_NONE] = "none",
		[VDISK_ALL] = "all",
		[VDISK_PREFIX] = "prefix",
		[VDISK_DROP_ONE] = "drop one",
		[VDISK_KEEP_ONE] = "keep one",
		[VDISK_RANDOM] = "random",
		[VDISK_MASK] = "subset",
		[VDISK_DROP_PAIR] = "drop pair",
		[VDISK_KEEP_PAIR] = "keep pair",
		[VDISK_REGIONS] = "regions",
	};
	struct world *after;

	if (w->run->failed || w->run->left <= 0)
		return;
	w->run->states++;
	w->run->left--;
	after = calloc(1, sizeof(*after));
	inherit(after, w, vdisk_crash(w->disk, choose(w, ~0ull), policy,
				      param));
	look_at(after, &w->oracle);
	if (w->run->failed) {
		size_t len = strlen(w->run->text);

		snprintf(w->run->text + len, sizeof(w->run->text) - len,
			 "; crash %u: %s 0x%llx of %u pieces", after->depth,
			 names[policy], (unsigned long long)param,
			 vdisk_unsynced(w->disk));
	}
	world_forget(after);
	vdisk_free(after->disk);
	free(after);
}

/* ---- which states, at random ------------------------------------------- */

static void all_subsets(struct world *w, unsigned int pieces)
{
	uint64_t mask;

	for (mask = 0; mask < 1ull << pieces; mask++)
		one_state(w, VDISK_MASK, mask);
}

static void some_subsets(struct world *w, unsigned int pieces)
{
	static const enum vdisk_policy counted[] = {
		VDISK_PREFIX, VDISK_DROP_ONE, VDISK_KEEP_ONE,
	};
	unsigned int n;

	one_state(w, VDISK_NONE, 0);
	if (!choose(w, 2))
		one_state(w, VDISK_ALL, 0);
	for (n = choose(w, 3); n; n--)
		one_state(w, counted[choose(w, ARRAY_SIZE(counted))],
			  choose(w, pieces));
	for (n = choose(w, 4); n; n--)
		one_state(w, VDISK_RANDOM, 1 + choose(w, 7));
}

/* One in how many times all subsets of so many pieces are tried. */
static bool exhaust(struct world *w, unsigned int pieces)
{
	if (pieces <= 3)
		return true;
	return pieces <= EXHAUST && !choose(w, 1ull << (pieces - 3));
}

void world_crash(struct world *w)
{
	unsigned int pieces = vdisk_unsynced(w->disk);

	w->checks = false;
	world_trace(w, "the power fails, %u pieces", pieces);
	if (exhaust(w, pieces))
		all_subsets(w, pieces);
	else
		some_subsets(w, pieces);
}

/* ---- which states, thoroughly ------------------------------------------ */

static void pairs(struct world *w, unsigned int pieces)
{
	unsigned int all = pieces * (pieces - 1) / 2;
	uint64_t a, b;

	for (a = 1; a < pieces; a++) {
		for (b = 0; b < a; b++) {
			if (all > MAX_PAIRS && choose(w, all) >= MAX_PAIRS)
				continue;
			one_state(w, VDISK_DROP_PAIR, a << 32 | b);
			one_state(w, VDISK_KEEP_PAIR, a << 32 | b);
		}
	}
}

static void many_subsets(struct world *w, unsigned int pieces)
{
	unsigned int i;

	one_state(w, VDISK_NONE, 0);
	one_state(w, VDISK_ALL, 0);
	for (i = 0; i < pieces; i++) {
		one_state(w, VDISK_PREFIX, 1 + i);
		one_state(w, VDISK_DROP_ONE, i);
		one_state(w, VDISK_KEEP_ONE, i);
	}
	pairs(w, pieces);
	for (i = 1; i < (1u << VDISK_NREGIONS) - 1; i++)
		one_state(w, VDISK_REGIONS, i);
	for (i = 0; i < MAX_RANDOM; i++)
		one_state(w, VDISK_RANDOM, 1 + i % 7);
}

/*
 * What a crash may leave only grows while nothing is hardened, and what it must
 * not take only with an answer. So it is enough to look before something is
 * hardened, and behind each operation.
 */
static void thorough(struct world *w)
{
	unsigned int pieces = vdisk_unsynced(w->disk);

	if (!seen_add(w->run->seen, vdisk_window(w->disk) ^
				    oracle_window(&w->oracle)))
		return;
	w->run->windows++;
	w->checks = false;
	world_trace(w, "the power fails, %u pieces", pieces);
	if (pieces <= w->run->subsets)
		all_subsets(w, pieces);
	else
		many_subsets(w, pieces);
	w->checks = true;
}

void world_power(struct world *w)
{
	unsigned int odds = w->check_percent * (w->doing ? 3 : 1);

	if (!w->checks || w->run->failed)
		return;
	if (w->thorough) {
		thorough(w);
	} else if (choose(w, 100) < odds) {
		world_crash(w);
		w->checks = true;
	}
}
