/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A merge under way: what is common to both kinds (merge.c, merge_start.c,
 * copy.c), and what each of them has of its own (drain.c, fold.c).
 */
#ifndef COW_MERGE_H
#define COW_MERGE_H

#include "layer.h"
#include "work.h"

/* States that both kinds have; their own begin at MERGE_OWN. */
enum {
	MERGE_GUARD,
	MERGE_GUARD_READ,
	MERGE_MARK,
	MERGE_FIND,
	MERGE_LOOK,
	MERGE_COPY,
	MERGE_SETTLE,
	MERGE_PAUSE,
	MERGE_PAUSED,
	MERGE_GO_ON,
	MERGE_BACK_SYNC,
	MERGE_BACK_HARDEN,
	MERGE_BACK_LIST,
	MERGE_BACK_NAME,
	MERGE_BACK_CHILD,
	MERGE_BACK_RECORD,
	MERGE_BACK_END,
	MERGE_OWN,
};

struct merge;

#define GATHER_SECTORS	2048u	/* of a window */

/* A stretch that changes hands when its copy is there. */
struct copied {
	uint64_t sector;
	uint64_t count;
	struct ipage *page;	/* pinned page of the parent, or NULL */
	struct ipage *clear;	/* drain: pinned page of the layer */
};

/**
 * struct gather - short stretches of one window that are copied together
 * @sub: what carries them; NULL before the first
 * @busy: they are on their way
 * @count: how many
 * @copied: what changes hands
 * @piece: what is copied
 * @memory: for the sectors of a window, by their place in it
 */
struct gather {
	struct sub *sub;
	bool busy;
	unsigned int count;
	struct copied copied[GATHER_SECTORS];
	struct io_piece piece[GATHER_SECTORS];
	char memory[GATHER_SECTORS << COW_SECTOR_SHIFT];
};

/**
 * struct merge_way - one kind of merge
 * @marked: state when the layer says durably that it is being merged
 * @again: state to begin with when this run of the machine has begun it before
 * @window: state when there is a window to copy
 * @copied: state when there is none left
 * @back: state that begins to give the merge up
 * @begin: do what a state from MERGE_OWN on asks for; as work.advance
 * @release: the window is over, also by an error
 * @back_end: it is given up
 */
struct merge_way {
	int marked;
	int again;
	int window;
	int copied;
	int back;
	int (*begin)(struct merge *merge);
	void (*release)(struct merge *merge);
	void (*back_end)(struct merge *merge);
};

extern const struct merge_way cow_drain_way;
extern const struct merge_way cow_fold_way;

/**
 * struct merge - a layer on its way into its parent
 * @top: the layer
 * @child: fold: the layer above it; a drain has none
 * @record: V1 to V3: what the layer's state record says, or is about to say
 * @remove: delete the file at the end
 * @discard: what the layer holds is dropped
 * @wish: what was asked for last
 * @paused: the layer says durably that the merge is paused
 * @swapped: the layer is no part of the chain any more
 * @marking: whose state is being changed, and may be left unknown by an error
 * @cursor: sectors below it belong to the parent
 * @start, @end: the window
 * @copied: within the window: sectors below it are under way, or done
 * @error: of a piece; the merge stops when all pieces are back
 * @control: waits here for another wish
 * @look: LOOK: what is asked of the layer's file
 * @sector: GUARD: sector 0 of the layer
 * @link: fold: a name, written and not yet referred to
 * @list: fold: descriptor of cow_children_add(), or negative
 * @gather: touched as it is used
 */
struct merge {
	struct work work;
	const struct merge_way *way;
	struct layer *top;
	struct layer *parent;
	struct layer *child;
	struct cow_merge_progress *progress;
	struct cow_record record;
	bool remove;
	bool discard;
	enum cow_merge_wish wish;
	bool paused;
	bool swapped;
	struct layer *marking;
	uint64_t cursor;
	uint64_t start;
	uint64_t end;
	uint64_t copied;
	int error;
	struct cow_queue control;
	struct look look;
	uint8_t *sector;
	struct cow_vec vec;
	struct cow_disk_name link;
	int list;
	struct gather gather;
};

static inline struct merge *cow_merge_of(struct work *work)
{
	return cow_container_of(work, struct merge, work);
}

/* work.advance of both kinds. */
int cow_merge_advance(struct work *work, int answer);

/*
 * Copy the stretch at @sector, at most @count sectors, from the layer to the
 * parent. Returns its length; -EAGAIN with *need set to the page to wait for (or
 * NULL for memory), -ENOBUFS if all pieces are in use, or an error. Short ones
 * are gathered until the call that returns @count or less than 0, or that sets
 * merge->error: whoever begins goes on to one of these.
 */
int64_t cow_merge_copy(struct merge *merge, uint64_t sector, uint64_t count,
		       struct ipage **need);

/* Bring merge->progress up to date. */
void cow_merge_report(struct merge *merge);

/* The layer's state becomes @state, durably; of V4 what else is staged, too. */
int cow_merge_state(struct merge *merge, uint32_t state);

/* All that the parent was given is durable. */
int cow_merge_sync(struct merge *merge);

/*
 * A parent that is written no more comes to rest: its identity becomes final; a
 * V4 one has the list of its free blocks in its next header. Stays in its state
 * until that is so, and then goes to @next.
 */
int cow_merge_harden(struct merge *merge, int next);

/* The child's header says by now what it lies on; durable. */
int cow_merge_child(struct merge *merge);

/* The layer is a name for its parent; its file goes, or gives its room back. */
int cow_merge_empty(struct merge *merge);
int cow_merge_dispose(struct merge *merge);

#endif
