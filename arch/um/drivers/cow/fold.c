// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fold: a frozen layer gives its sectors to its parent below a top that goes on.
 *
 * Duty: what a fold has of its own, and its order on disk. Around it see merge.c.
 *
 *	BEGIN       the parent is being changed from here on
 *	WINDOW      the parent is committed when it has changed much of its index
 *	SYNC        all of the layer is durable in the parent
 *	HARDEN      the parent's identity is final
 *	LINK        the name of the child is written where the parent will look for
 *	            its successor
 *	LINK_PARENT the parent has the child as successor; durable
 *	LINKED      the layer says durably that all of it is in the parent, too
 *	NAME        the parent's name is written where the child will look for it
 *	LINK_CHILD  the child names the parent as its own; durable
 *	SWAP        the chain is without the layer
 *	IDLE        reads that were resolved to the layer finish
 *	EMPTY       it says durably that it is a name for its parent
 *	REMOVE      the file is deleted, if that was asked for; else a V4 file gives
 *	            its room back
 *
 * Invariants:
 *  - The layer keeps all that it has until the child does not need it: what the
 *    parent gets lies below it and is not seen.
 *  - After a crash each of the three files leads to the chain by its name: the
 *    parent by its successor; the layer by its successor, and from LINKED on as a
 *    name for its parent; the child with the layer below it, or without.
 *  - No write is held, and the parent's commit is no part of the guest's flushes:
 *    nothing that the guest wrote goes there.
 */
#include <string.h>
#include "children.h"
#include "merge.h"

/* Of the index in memory, dirty, at which the parent is committed. */
#define DIRTY_SHARE	4u

enum {
	FOLD_BEGIN = MERGE_OWN,
	FOLD_WINDOW,
	FOLD_SYNC,
	FOLD_HARDEN,
	FOLD_LINK,
	FOLD_LINK_PARENT,
	FOLD_LINKED,
	FOLD_NAME,
	FOLD_LINK_CHILD,
	FOLD_SWAP,
	FOLD_IDLE,
	FOLD_EMPTY,
	FOLD_REMOVE,
	FOLD_DONE,
};

/* ---- where it may block ------------------------------------------------ */

static int put_successor_call(void *arg)
{
	struct merge *merge = cow_merge_of(arg);
	struct layer *parent = merge->parent;
	const struct cow_env *env = &parent->chain->env;

	if (parent->hdr.format != COW_V4)
		return cow_record_store(env, parent->fd, parent->path,
					&parent->record);
	return cow_v4_put_name(env, cow_data_fd(parent),
			       COW_V4_SUCCESSOR_BLOCK,
			       &parent->hdr.v4.successor, merge->child->path,
			       &merge->link);
}

/* If the parent can not know of the child, it is built on it all the same. */
static int put_parent_call(void *arg)
{
	struct merge *merge = cow_merge_of(arg);
	struct layer *child = merge->child;

	merge->list = cow_children_add(&child->chain->env, merge->parent->fd,
				       child->path);
	return cow_v4_put_name(&child->chain->env, cow_data_fd(child),
			       COW_V4_PARENT_BLOCK, &child->hdr.v4.parent,
			       merge->parent->path, &merge->link);
}

/* ---- the steps --------------------------------------------------------- */

static int fold_begin(struct merge *merge)
{
	struct fold *fold = &merge->work.chain->fold;

	fold->from = merge->top;
	fold->moved = 0;
	fold->total = merge->top->owned;
	/* Also if the layer says that all of it is there: that may be forged. */
	merge->work.state = MERGE_FIND;
	return 0;
}

static int window(struct merge *merge)
{
	const struct ipage_cache *cache = &merge->work.chain->cache;

	if (cache->dirty > cache->count / DIRTY_SHARE &&
	    cow_commit_needed(merge->parent))
		return cow_merge_sync(merge);
	merge->work.state = MERGE_COPY;
	return 0;
}

/* What led through the layer, or to it, has to lead to the child. */
static bool needs_link(const struct merge *merge)
{
	return (merge->top->record.state | merge->parent->record.state) &
		       COW_IS_FROZEN &&
	       (merge->parent->hdr.format == COW_V4 ||
		merge->parent->st.kind == IO_KIND_FILE);
}

static int write_link(struct merge *merge)
{
	struct layer *parent = merge->parent;

	if (!needs_link(merge))
		return 0;
	parent->record.state |= COW_IS_FROZEN;
	parent->record.self = parent->st.id;
	memcpy(parent->record.successor, merge->child->path,
	       strlen(merge->child->path) + 1);
	merge->marking = parent;
	return cow_work_call(&merge->work, put_successor_call);
}

/* Of V4 the header has to refer to the name, and to the free blocks. */
static int link_parent(struct merge *merge)
{
	struct layer *parent = merge->parent;

	if (parent->hdr.format != COW_V4)
		return 0;
	if (needs_link(merge))
		cow_v4_link(parent, &merge->link);
	parent->header_dirty = true;
	return cow_work_commit(&merge->work, parent);
}

static int mark_linked(struct merge *merge)
{
	return cow_merge_state(merge, merge->top->record.state |
				      COW_IS_DRAINING | COW_IS_DRAINED);
}

static int name(struct merge *merge)
{
	merge->marking = merge->child;
	return cow_work_call(&merge->work, put_parent_call);
}

static int link_child(struct merge *merge)
{
	struct layer *child = merge->child;

	child->hdr.v4.parent = merge->link;
	cow_v4_identify(&child->hdr.v4, merge->parent);
	memcpy(child->hdr.parent, merge->parent->path,
	       strlen(merge->parent->path) + 1);
	return cow_merge_child(merge);
}

static int swap(struct merge *merge)
{
	struct chain *chain = merge->work.chain;

	chain->fold.from = NULL;
	merge->child->parent = merge->parent;
	merge->swapped = true;
	cow_chain_relinked(chain);
	merge->work.state = FOLD_IDLE;
	return 0;
}

static int idle(struct merge *merge)
{
	if (merge->top->inflight)
		return cow_work_wait(&merge->work, &merge->top->idle);
	cow_pages_drop(merge->top);
	merge->work.state = FOLD_EMPTY;
	return 0;
}

static void release(struct merge *merge)
{
	(void)merge;
}

static void back_end(struct merge *merge)
{
	merge->work.chain->fold.from = NULL;
}

/* ---- the row of states ------------------------------------------------- */

/* Steps that are over when they have been answered. */
static int begin_once(struct merge *merge)
{
	switch (merge->work.state++) {
	case FOLD_SYNC:
		return cow_merge_sync(merge);
	case FOLD_LINK:
		return write_link(merge);
	case FOLD_LINK_PARENT:
		return link_parent(merge);
	case FOLD_LINKED:
		return mark_linked(merge);
	case FOLD_NAME:
		return name(merge);
	case FOLD_LINK_CHILD:
		return link_child(merge);
	case FOLD_EMPTY:
		return cow_merge_empty(merge);
	case FOLD_REMOVE:
		return cow_merge_dispose(merge);
	}
	return 1;
}

/* Steps that stay where they are until they say otherwise. */
static int begin(struct merge *merge)
{
	switch (merge->work.state) {
	case FOLD_BEGIN:
		return fold_begin(merge);
	case FOLD_WINDOW:
		return window(merge);
	case FOLD_HARDEN:
		return cow_merge_harden(merge, FOLD_LINK);
	case FOLD_SWAP:
		return swap(merge);
	case FOLD_IDLE:
		return idle(merge);
	}
	return begin_once(merge);
}

const struct merge_way cow_fold_way = {
	.marked = FOLD_BEGIN,
	.again = FOLD_BEGIN,
	.window = FOLD_WINDOW,
	.copied = FOLD_SYNC,
	.back = MERGE_BACK_SYNC,
	.begin = begin,
	.release = release,
	.back_end = back_end,
};
