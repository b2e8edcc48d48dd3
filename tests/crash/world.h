/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A machine on a vdisk: a chain at work, power failures, and the verdict.
 *
 * Duty: workloads over the engine; before every change of a file, and between
 * requests, the power may fail: the copy of the disk that is left is opened by
 * the arguments of the first boot and held against the oracle, and may go on
 * to work and fail again.
 *
 * Invariants: all that happens follows from the seed.
 */
#ifndef WORLD_H
#define WORLD_H

#include "oracle.h"
#include "vdisk.h"

#define WORLD_FLIGHTS	8
#define WORLD_FROZEN	12
#define WORLD_NAME	32
#define WORLD_DEPTH	2	/* power failures in a row */

/**
 * struct run - what one workload comes to
 * @fault: how its host breaks its word
 * @fault_on_parent: of a merge, while it is under way; else of the first top
 * @states: crash states that were opened and looked at
 * @sealed: sealed files that were found in them
 * @left: how many more may be looked at
 * @seen: thorough runs: what could be left by a crash, and is known
 * @arena: the engine's large pieces of memory come from the arena
 * @subsets: and unsynced pieces up to which all subsets are tried
 * @windows: and how often there was something that was not known
 * @failed: something is wrong, see @text
 */
struct run {
	enum vdisk_fault fault;
	bool fault_on_parent;
	bool trace;
	bool arena;
	unsigned long states;
	unsigned long merges;
	unsigned long snapshots;
	unsigned long resumed;
	unsigned long sealed;
	long left;
	struct seen *seen;
	unsigned int subsets;
	unsigned long windows;
	bool failed;
	char text[1600];
};

struct flight {
	struct common_io io;
	struct cow_vec vec;
	uint8_t *buf;
	uint64_t flush;
	bool busy;
	bool over;
};

struct frozen {
	char name[WORLD_NAME];
	struct frozen_sector *content;
	bool borrowed;		/* from the world before the power failure */
};

enum world_task { TASK_NONE, TASK_SNAPSHOT, TASK_MERGE };

struct world {
	struct run *run;
	struct vdisk *disk;
	struct cow_env env;
	struct common_file *file;
	struct oracle oracle;
	uint64_t seed;
	uint64_t check_seed;
	uint64_t sectors;
	unsigned int depth;	/* power failures so far */
	unsigned int names;
	unsigned int check_percent;
	bool two_names;
	bool durable;
	bool direct;		/* past the host's cache */
	bool checks;		/* the power may fail */
	bool thorough;		/* and does, in every way; see power.c */
	bool meanwhile;		/* requests come at any time */
	bool nested;
	char boot[WORLD_NAME];
	char boot_parent[WORLD_NAME];
	struct flight flight[WORLD_FLIGHTS];
	struct frozen frozen[WORLD_FROZEN];
	unsigned int nfrozen;
	enum world_task doing;
	struct cow_task *task;
	enum cow_merge_wish wish;
	bool ended;		/* the merge was told to */
	bool swapped;
	char old_top[WORLD_NAME];
	struct frozen_sector *at_swap;
	struct cow_snapshot_result snapshot;
	struct cow_merge_progress progress;
};

/* One workload from an empty disk to its end. */
void world_run(struct run *run, uint64_t seed);

/* An empty disk, and its end. In between: oracle_init(), a base, layers. */
struct world *world_new(struct run *run, uint64_t seed);
void world_delete(struct world *w);
void world_base(struct world *w, const char *name);
/* That, as a V4 disk: the same data behind a header. */
void world_disk(struct world *w);
/* A header of that; it is named from now on. */
void world_header(struct world *w);
void world_layer(struct world *w, unsigned int version);

uint64_t world_pick(struct world *w, uint64_t n);

__attribute__((format(printf, 2, 3)))
void world_fail(struct world *w, const char *fmt, ...);

__attribute__((format(printf, 2, 3)))
void world_trace(struct world *w, const char *fmt, ...);

/* work.c: the machine while it has power. */
int world_open(struct world *w);
void world_mix(struct world *w);	/* one request, some answers */
void world_step(struct world *w);	/* that, or something else */
void world_end(struct world *w);	/* tasks and requests come to their end */
void world_merge(struct world *w);
void world_wish(struct world *w, enum cow_merge_wish wish);
bool world_may_delete(const struct world *w, unsigned int layer);
void world_hook(void *world);	/* before every change on the disk */
void world_step_task(struct world *w);
void world_settle(struct world *w);
void world_flush(struct world *w);
void world_compare(struct world *w, const char *what);
uint64_t *world_read(struct world *w, struct common_file *file);
void world_flights(struct world *w);
void world_forget(struct world *w);

void world_start(struct world *w, enum common_op op, unsigned int flags,
		 uint64_t first, uint64_t count);
/* @version 3 only if the top is raw. */
void world_snapshot(struct world *w, unsigned int version);
bool world_top_is_raw(const struct world *w);
void world_merge_args(struct world *w, const struct cow_merge_args *args);
void world_reopen(struct world *w);
void world_reopen_sealed(struct world *w);	/* the top was sealed */

/* power.c: the power may fail here; it does fail. */
void world_power(struct world *w);
void world_crash(struct world *w);

#endif
