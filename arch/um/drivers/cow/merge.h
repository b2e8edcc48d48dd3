/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A merge under way: what its protocol (merge.c) and its copying (copy.c) share.
 */
#ifndef COW_MERGE_H
#define COW_MERGE_H

#include "work.h"

/**
 * struct merge - the top on its way into its parent
 * @record: V1 to V3: what the top's state record says, or is about to say
 * @remove: delete the emptied file at the end
 * @swapped: the parent is the top of the chain
 * @cursor: sectors below it belong to the parent
 * @copied: within the window: sectors below it are under way, or done
 * @error: of a piece; the merge stops when all pieces are back
 * @look: LOOK: what is asked of the top's file
 * @sector: GUARD: sector 0 of the top
 */
struct merge {
	struct work work;
	struct layer *top;
	struct layer *parent;
	struct cow_merge_progress *progress;
	struct cow_record record;
	bool remove;
	bool swapped;
	uint64_t cursor;
	uint64_t copied;
	int error;
	struct look look;
	uint8_t *sector;
	struct cow_vec vec;
};

/*
 * Copy the stretch at @sector, at most @count sectors, from the top to the
 * parent. Returns its length; -EAGAIN with *need set to the page to wait for (or
 * NULL for memory), -ENOBUFS if all pieces are in use, or an error.
 */
int64_t cow_merge_copy(struct merge *merge, uint64_t sector, uint64_t count,
		       struct ipage **need);

/* Bring merge->progress up to date. */
void cow_merge_report(struct merge *merge);

#endif
