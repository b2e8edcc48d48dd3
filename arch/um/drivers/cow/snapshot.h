/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Snapshots of several devices as one: what snapshot.c and group.c share.
 *
 * Duty: a snapshot is always a member of a group, if of one that has no others.
 *
 * Invariants:
 *  - No top is swapped before each member is ready, and then all of them are in
 *    one step. A member that fails before that, or is called off, fails all.
 *  - No member writes its link before each of the others has adopted, or can not
 *    for now or for good.
 */
#ifndef COW_SNAPSHOT_H
#define COW_SNAPSHOT_H

#include "work.h"

/**
 * struct group - the snapshots that are one
 * @count: members that there were
 * @left: members that there are, in @member
 * @ready: members that wait for the swap
 * @behind: members for which links wait
 * @swapped: it is too late to fail all
 * @error: what the first one failed of, before that; @why: the line for people
 */
struct group {
	struct cow_env env;
	unsigned int count;
	unsigned int left;
	unsigned int ready;
	unsigned int behind;
	bool swapped;
	int error;
	struct cow_error why;
	struct snapshot *member[];
};

/**
 * struct snapshot - one device's part
 * @turn: where it waits for the others
 * @swapped: @top is the top
 * @passed: no link waits for it
 * @error: what it failed of before that, and is being undone for
 */
struct snapshot {
	struct work work;
	struct group *group;
	struct cow_queue turn;
	struct layer *old;
	struct layer *top;
	struct cow_disk_name link;
	struct io_stat frozen;
	struct cow_record record;
	struct cow_snapshot_result *result;
	bool swapped;
	bool passed;
	int error;
	char name[COW_PATH_MAX];
};

/*
 * May block: make the file, and what else can fail. On failure nothing of it is
 * left.
 */
int cow_snapshot_prepare(struct group *group, struct common_file *file,
			 const struct cow_snapshot_args *args,
			 struct cow_snapshot_result *result,
			 struct cow_error *err);

/* May block: take back what that did; no step was taken. */
void cow_snapshot_undo(struct snapshot *snap);

/* The new layer becomes the top. */
void cow_snapshot_swap(struct snapshot *snap);

void cow_group_join(struct group *group, struct snapshot *snap);
void cow_group_leave(struct snapshot *snap);

/* 0: all tops are swapped. -EINPROGRESS: @snap is woken then. Or an error. */
int cow_group_swap(struct snapshot *snap);

/* Before that: @snap failed, so all do. Its task gets the line for people. */
void cow_group_fail(struct snapshot *snap, int error);

/* 0: links may be written. -EINPROGRESS: @snap is woken then. */
int cow_group_adopted(struct snapshot *snap);

/* Links need not wait for @snap. */
void cow_group_pass(struct snapshot *snap);

#endif
