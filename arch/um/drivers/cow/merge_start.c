// SPDX-License-Identifier: GPL-2.0-only
/*
 * The beginning and the end of a merge.
 *
 * Duty: what stands in its way, the files that have to be ours alone for it, and
 * what is asked of it meanwhile.
 *
 * Invariants: a merge that is refused has changed nothing, and nobody is kept from
 * the files any more. Of one that was begun and has not come to its end the files
 * are kept.
 */
#include <string.h>
#include "children.h"
#include "merge.h"

/* ---- what stands in its way -------------------------------------------- */

static bool is_merging(const struct layer *layer)
{
	return layer->record.state & COW_IS_DRAINING;
}

/* What a layer above or below has begun has to come to its end first. */
static int other_merge(const struct chain *chain, const struct layer *layer,
		       struct cow_error *err)
{
	const struct layer *at;

	for (at = chain->top; at; at = at->parent)
		if (at != layer && is_merging(at))
			return cow_fail(err, -EBUSY,
					"%s: its own merge has not come to its end; finish that first",
					at->path);
	return 0;
}

static int may_discard(const struct chain *chain, const struct layer *layer,
		       struct cow_error *err)
{
	if (layer != chain->top)
		return cow_fail(err, -EINVAL,
				"%s: only the top can be discarded",
				layer->path);
	if (layer->record.state & (COW_IS_DRAINING | COW_IS_PARTIAL))
		return cow_fail(err, -EINVAL,
				"%s: part of it was merged into %s, so that there is no state to go back to; merge it instead",
				layer->path, layer->parent->path);
	if (chain->requests)
		return cow_fail(err, -EBUSY,
				"%s: the device is in use; unmount it first",
				layer->path);
	return 0;
}

static int may_merge(const struct chain *chain, const struct layer *layer,
		     const struct cow_merge_args *args, struct cow_error *err)
{
	int ret;

	if (!layer->parent)
		return cow_fail(err, -EINVAL,
				"%s: there is no layer below it to merge into",
				layer->path);
	if (chain->file.read_only)
		return cow_fail(err, -EROFS, "%s: it is open read-only",
				layer->path);
	if (chain->unlocked)
		return cow_fail(err, -EOPNOTSUPP,
				"%s: it is shared with other machines (flag c); a merge would tear it",
				layer->path);
	if (chain->task)
		return cow_fail(err, -EBUSY,
				"%s: a snapshot or merge is under way; wait for its end",
				layer->path);
	ret = other_merge(chain, layer, err);
	if (!ret && args->discard)
		ret = may_discard(chain, layer, err);
	if (!ret && !(layer->record.state & COW_IS_SNAPSHOT) &&
	    !is_merging(layer) && !args->force)
		ret = cow_fail(err, -EPERM,
			       "%s: no snapshot made it, and %s may be shared by others; say force to merge into it",
			       layer->path, layer->parent->path);
	return ret;
}

/* Is another file than @layer recorded as what takes the parent's writes? */
static bool other_successor(const struct layer *layer,
			    const struct layer *parent,
			    const struct layer *child)
{
	const struct cow_env *env = &layer->chain->env;
	struct io_stat st;

	return (parent->record.state & COW_IS_FROZEN) &&
	       !env->io->lookup(env->ctx, parent->record.successor, &st) &&
	       !cow_same_file(&st.id, &layer->st.id) &&
	       !(child && cow_same_file(&st.id, &child->st.id));
}

/* Where the layer's name is to lead when it is one for its parent. */
static int may_link(const struct layer *top, const struct layer *parent,
		    const struct cow_merge_args *args, struct cow_error *err)
{
	bool recordable = parent->hdr.format == COW_V4 ||
			  parent->st.kind == IO_KIND_FILE;

	if (!args->layer || !(top->record.state & COW_IS_FROZEN) ||
	    args->remove || (recordable && !parent->st.fleeting))
		return 0;
	return cow_fail(err, -EOPNOTSUPP,
			"%s: no successor can be recorded there, so that %s would lead to an older state; say delete to fold it and delete it",
			parent->path, top->path);
}

static int may_change_parent(const struct layer *top,
			     const struct layer *parent,
			     const struct layer *child, struct cow_error *err)
{
	if (other_successor(top, parent, child))
		return cow_fail(err, -EBUSY,
				"%s: %s is built on it too, and would be torn; merge into a copy or a new file instead",
				parent->path, parent->record.successor);
	if (parent->hdr.tail_on_data)
		return cow_fail(err, -EROFS,
				"%s: its last sectors have no bits of their own; make a right one with moo convert",
				parent->path);
	if (parent->sectors < top->sectors)
		return cow_fail(err, -EFBIG,
				"%s: it is smaller than %s; merge into a new file instead",
				parent->path, top->path);
	if (parent->hdr.format == COW_V4 &&
	    parent->hdr.v4.sectorsize != top->chain->sector_size)
		return cow_fail(err, -EINVAL,
				"%s: its sectors have %u bytes, and those of the disk %u; merge into a new file instead",
				parent->path, parent->hdr.v4.sectorsize,
				top->chain->sector_size);
	if (parent->hdr.format == COW_V4 && cow_v4_foreign(&parent->hdr.v4))
		return cow_fail(err, -EROFS,
				"%s: it has features that only a later version may write",
				parent->path);
	if (parent->hdr.v4.generation >= COW_V4_WORN)
		return cow_fail(err, -EROFS,
				"%s: its generations are used up; make a new one with moo convert",
				parent->path);
	return 0;
}

/* ---- files ------------------------------------------------------------- */

/* Readers may come again; should that fail, they have to wait. */
static void release_layer(struct layer *layer)
{
	const struct cow_env *env = &layer->chain->env;

	env->io->lock(env->ctx, layer->fd, IO_SHARED);
}

/* A layer that was frozen becomes ours alone, and its header is as on disk. */
static int claim_layer(struct layer *layer, struct cow_error *err)
{
	int ret = cow_layer_claim(layer, 0, err);

	if (ret)
		return ret;
	ret = cow_layer_renew(layer, err);
	if (ret)
		release_layer(layer);
	return ret;
}

/* Is there a reason to leave a layer alone that nobody else has open? */
static int spare(struct layer *layer, const struct layer *except, bool force,
		 struct cow_error *err)
{
	int ret = cow_layer_refuse_protected(layer, err);

	if (ret || force)
		return ret;
	return cow_dependents_refuse(layer, except ? &except->st.id : NULL,
				     err);
}

/* Who is built on a layer has it open for that: they may be who is in the way. */
static int tell_users(const struct layer *layer, const struct layer *except,
		      int error, struct cow_error *err)
{
	const struct cow_env *env = &layer->chain->env;
	char *names = env->alloc(COW_DEPENDENTS_LEN);

	if (names && cow_dependents(env, layer->fd, &except->st.id, names) > 0)
		cow_fail(err, error,
			 "%s: it is in use elsewhere; stop the machines on %s, or whoever else has it open",
			 layer->path, names);
	if (names)
		env->free(names, COW_DEPENDENTS_LEN);
	return error;
}

/* It is ours alone, so that nobody builds on it, and writable. */
static int claim_written(struct layer *layer, const struct layer *except,
			 bool force, struct cow_error *err)
{
	int ret = claim_layer(layer, err);

	if (ret == -EAGAIN)
		return tell_users(layer, except, ret, err);
	if (ret)
		return ret;
	ret = spare(layer, except, force, err);
	if (!ret) {
		ret = cow_layer_writable(layer);
		if (ret)
			cow_fail(err, ret, "%s: %s", layer->path,
				 cow_reason(ret));
	}
	if (ret)
		release_layer(layer);
	return ret;
}

/* Is @merge the continuation of one that has kept its files? */
static bool kept(const struct merge *merge)
{
	const struct chain *chain = merge->work.chain;

	return merge->child ? chain->fold.from == merge->top :
			      chain->drain.active;
}

static bool child_is_frozen(const struct merge *merge)
{
	return merge->child && merge->child != merge->work.chain->top;
}

static void unclaim(struct merge *merge)
{
	if (child_is_frozen(merge))
		release_layer(merge->child);
	if (kept(merge))
		return;
	release_layer(merge->parent);
	cow_layer_rest(merge->parent);
	if (merge->child) {
		release_layer(merge->top);
		cow_layer_rest(merge->top);
	}
}

/*
 * The layer last: being written, it has no seal any more. Once a merge has begun
 * there is nothing left to be spared.
 */
static int claim(struct merge *merge, bool force, struct cow_error *err)
{
	int ret = 0;

	force = force || is_merging(merge->top);
	if (!merge->child && !kept(merge))
		ret = spare(merge->top, NULL, force, err);
	if (!ret && !kept(merge))
		ret = claim_written(merge->parent, merge->top, force, err);
	if (!ret && child_is_frozen(merge)) {
		ret = claim_layer(merge->child, err);
		if (ret && !kept(merge))
			release_layer(merge->parent);
	}
	if (!ret && merge->child && !kept(merge)) {
		ret = claim_written(merge->top, merge->child, force, err);
		if (ret)
			unclaim(merge);
	}
	return ret;
}

/* ---- life -------------------------------------------------------------- */

static struct layer *layer_at(const struct chain *chain, unsigned int n)
{
	return n < chain->depth ? chain->by_rank[chain->depth - 1 - n] : NULL;
}

static void merge_free(struct merge *merge)
{
	const struct cow_env *env = &merge->work.chain->env;

	if (merge->list >= 0)
		env->io->close(env->ctx, merge->list);
	if (merge->sector)
		env->free(merge->sector, COW_BLOCK_SIZE);
	env->free(merge, sizeof(*merge));
}

static struct merge *merge_new(struct chain *chain,
			       const struct cow_merge_args *args)
{
	struct merge *merge = chain->env.alloc(sizeof(*merge));

	if (!merge)
		return NULL;
	merge->work.chain = chain;
	merge->list = -1;
	merge->top = layer_at(chain, args->layer);
	merge->parent = merge->top->parent;
	if (args->layer)
		merge->child = layer_at(chain, args->layer - 1);
	merge->way = &cow_drain_way;
	if (merge->child)
		merge->way = &cow_fold_way;
	merge->remove = args->remove;
	merge->discard = args->discard;
	if (args->paused)
		merge->wish = COW_MERGE_PAUSE;
	merge->record = merge->top->record;
	merge->paused = merge->record.state & COW_IS_PAUSED;
	merge->sector = chain->env.alloc(COW_BLOCK_SIZE);
	if (merge->sector)
		return merge;
	merge_free(merge);
	return NULL;
}

static void put_path(char to[COW_PATH_MAX], const struct layer *layer)
{
	memcpy(to, layer->path, strlen(layer->path) + 1);
}

static void begin_progress(struct merge *merge,
			   struct cow_merge_progress *progress)
{
	merge->progress = progress;
	progress->done = 0;
	progress->total = merge->top->owned << COW_SECTOR_SHIFT;
	progress->paused = false;
	put_path(progress->top, merge->child ? merge->work.chain->top :
					       merge->parent);
	put_path(progress->drained, merge->top);
	put_path(progress->parent, merge->parent);
}

static int first_state(const struct merge *merge)
{
	if (merge->discard)
		return merge->way->copied;
	return kept(merge) ? merge->way->again : MERGE_GUARD;
}

int cow_merge_start(struct common_file *file, const struct cow_merge_args *args,
		    struct cow_merge_progress *progress,
		    struct cow_task **task, struct cow_error *err)
{
	struct chain *chain = cow_chain(file);
	struct layer *layer = layer_at(chain, args->layer);
	struct merge *merge;
	int ret;

	if (!layer)
		return cow_fail(err, -EINVAL, "%s: it has no layer %u",
				chain->top->path, args->layer);
	ret = may_merge(chain, layer, args, err);
	if (ret)
		return ret;
	merge = merge_new(chain, args);
	if (!merge)
		return cow_fail(err, -ENOMEM, "%s: %s", layer->path,
				cow_reason(-ENOMEM));
	ret = may_change_parent(layer, layer->parent, merge->child, err);
	if (!ret)
		ret = may_link(layer, layer->parent, args, err);
	if (!ret)
		ret = claim(merge, args->force, err);
	if (ret) {
		merge_free(merge);
		return ret;
	}
	cow_work_init(&merge->work, chain, cow_merge_advance);
	begin_progress(merge, progress);
	merge->work.state = first_state(merge);
	*task = &merge->work.task;
	return 0;
}

void cow_merge_end(struct cow_task *task)
{
	struct work *work = cow_container_of(task, struct work, task);
	struct merge *merge = cow_merge_of(work);

	if (!merge->swapped) {
		unclaim(merge);
	} else {
		/* A drain's parent is the top, and stays ours. */
		if (merge->child) {
			release_layer(merge->parent);
			cow_layer_rest(merge->parent);
		}
		if (child_is_frozen(merge))
			release_layer(merge->child);
		cow_layer_put(merge->top);
	}
	merge_free(merge);
}

void cow_merge_control(struct cow_task *task, enum cow_merge_wish wish)
{
	struct work *work = cow_container_of(task, struct work, task);
	struct merge *merge = cow_merge_of(work);

	merge->wish = wish;
	cow_wake(work->chain, &merge->control, 0);
	cow_run(work->chain);
}

bool cow_merge_rests(const struct cow_task *task)
{
	const struct work *work = cow_container_of(task, struct work, task);

	return work->state == MERGE_FIND || work->state == MERGE_PAUSED;
}

bool cow_merge_pending(const struct common_file *file,
		       struct cow_merge_args *args)
{
	const struct chain *chain = cow_chain(file);
	const struct layer *layer = chain->top;
	unsigned int n = 0;

	while (layer && !(layer->parent && is_merging(layer))) {
		layer = layer->parent;
		n++;
	}
	if (layer && args)
		*args = (struct cow_merge_args){
			.layer = n,
			.paused = layer->record.state & COW_IS_PAUSED,
		};
	return layer;
}
