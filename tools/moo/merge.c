// SPDX-License-Identifier: GPL-2.0-only
/*
 * moo merge - a chain into a new file, or a delta into its parent.
 *
 * Invariant: whatever stops a merge in place, the delta opens afterwards and
 * reads as before; the same command goes on with it.
 */
#include <errno.h>
#include <stdlib.h>

#include "moo.h"

static const struct moo_use uses[] = {
	{ MOO_OPT_BASE, "the parent of DELTA, where that has been moved" },
	{ MOO_OPT_IN_PLACE, "write what DELTA owns into its parent" },
	{ MOO_OPT_DELETE, "with --in-place: delete DELTA at the end" },
	{ MOO_OPT_FORCE, "replace OUT if it exists; with --in-place: although\n"
			 "DELTA is frozen, or others build on the parent" },
	{ MOO_OPT_RAW, "OUT may begin with the magic of a COW file" },
};

int moo_write_raw(const struct moo_args *args, const char *source,
		  const char *path, struct cow_error *err)
{
	struct cow_open_args open = {
		.name = source,
		.read_only = true,
		.no_follow = true,
	};
	struct moo_chain chain;
	struct moo_output out;
	int ret;

	ret = moo_chain_open(&chain, &open, args->base, err);
	if (ret)
		return ret;
	ret = moo_output_begin(&out, &chain.env, path, args->force, &chain,
			       err);
	if (!ret) {
		moo_cancel_begin();
		ret = moo_output_raw(&out, err);
		if (!ret)
			ret = moo_flatten(&chain, &out, args->raw, err);
		if (!ret)
			ret = moo_output_publish(&out, err);
		moo_output_end(&out);
	}
	moo_chain_close(&chain);
	return ret;
}

/* ---- in place ---------------------------------------------------------- */

static int step_merge(struct moo_chain *chain, struct cow_task *task,
		      const struct cow_merge_progress *done,
		      struct cow_error *err)
{
	struct moo_progress progress;
	enum cow_step step;

	moo_progress_begin(&progress, chain->name, done->total);
	do {
		step = cow_task_step(task);
		progress.total = done->total;
		moo_progress_at(&progress, done->done);
	} while (step != COW_STEP_DONE && !moo_cancel_due());
	moo_progress_end(&progress);
	if (step != COW_STEP_DONE)
		return moo_fail(err, -EINTR,
				"%s: stopped before the end; the same command goes on with it",
				chain->name);
	if (task->result)
		*err = task->error;
	return task->result;
}

static int merge_layer(struct moo_chain *chain,
		       const struct cow_merge_args *args, struct cow_error *err)
{
	struct cow_merge_progress *progress = calloc(1, sizeof(*progress));
	struct cow_task *task;
	int ret;

	if (!progress)
		return moo_fail(err, -ENOMEM, "%s: out of memory",
				chain->name);
	ret = cow_merge_start(chain->file, args, progress, &task, err);
	if (!ret) {
		ret = step_merge(chain, task, progress, err);
		cow_merge_end(task);
	}
	free(progress);
	return ret;
}

/* A machine may have left layers below that were being folded. */
static int drain(struct moo_chain *chain, const struct moo_args *args,
		 struct cow_error *err)
{
	struct cow_merge_args merge;
	int ret = 0;

	while (!ret && cow_merge_pending(chain->file, &merge) && merge.layer) {
		merge.paused = false;
		ret = merge_layer(chain, &merge, err);
	}
	merge = (struct cow_merge_args){
		.force = true,
		.remove = args->remove,
	};
	return ret ? ret : merge_layer(chain, &merge, err);
}

/* Is @parent known to have another child than @top? */
static int find_sibling(const struct moo_probe *parent,
			const struct cow_layer_info *top,
			struct cow_error *err)
{
	const struct cow_env *env = &parent->env;
	struct io_stat st;

	if (!(parent->state & COW_IS_FROZEN) ||
	    env->io->lookup(env->ctx, parent->successor, &st) ||
	    moo_same_file(&st.id, &top->id))
		return 0;
	return moo_fail(err, -EBUSY,
			"%s: %s is built on it, too; give -f if that may be spoilt",
			parent->path, parent->successor);
}

/* A merge that has begun has nothing left to spare. */
static bool has_begun(const struct moo_probe *top)
{
	return top->state & COW_IS_DRAINING;
}

static int refuse_dependents(const struct cow_layer_info *top,
			     const struct moo_probe *parent,
			     struct cow_error *err)
{
	static const char how[] = "moo merge -i -f does it all the same";
	struct moo_probe *probe;
	int ret;

	ret = find_sibling(parent, top, err);
	if (!ret)
		ret = moo_probe(top->path, false, true, &probe, err);
	if (ret)
		return ret;
	if (!has_begun(probe))
		ret = moo_dependents_refuse(&parent->env, parent->path,
					    parent->fd, &top->id, how, err);
	if (!ret && !has_begun(probe))
		ret = moo_dependents_refuse(&probe->env, probe->path,
					    probe->fd, NULL, how, err);
	moo_probe_end(probe);
	return ret;
}

static int refuse_shared(struct moo_chain *chain, const struct moo_args *args,
			 struct cow_error *err)
{
	struct cow_layer_info top, parent;
	struct moo_probe *probe;
	int ret;

	if (cow_layer(chain->file, 0, &top) ||
	    cow_layer(chain->file, 1, &parent))
		return moo_fail(err, -EINVAL,
				"%s: has no parent to be merged into",
				chain->name);
	if (args->force)
		return 0;
	ret = moo_probe(parent.path, parent.format == COW_RAW, true, &probe,
			err);
	if (ret)
		return ret;
	ret = refuse_dependents(&top, probe, err);
	moo_probe_end(probe);
	return ret;
}

/* What the engine would open read-only is refused before it does. */
static int refuse_tail(const char *name, struct cow_error *err)
{
	struct moo_probe *probe;
	int ret = moo_probe(name, false, true, &probe, err);

	if (ret)
		return ret;
	if (probe->hdr.tail_on_data)
		ret = moo_fail(err, -EROFS,
			       "%s: its last bits lie on data; mend it with moo convert -V 3 first",
			       name);
	moo_probe_end(probe);
	return ret;
}

int moo_merge_in_place(const struct moo_args *args, const char *name,
		       struct cow_error *err)
{
	struct cow_open_args open = {
		.name = name,
		.no_follow = true,
		.force = args->force,
	};
	struct moo_chain chain;
	int ret;

	ret = refuse_tail(name, err);
	if (!ret)
		ret = moo_chain_open(&chain, &open, args->base, err);
	if (ret)
		return ret;
	moo_cancel_begin();
	ret = refuse_shared(&chain, args, err);
	if (!ret)
		ret = drain(&chain, args, err);
	moo_chain_close(&chain);
	return ret;
}

static int run(const struct moo_args *args)
{
	struct cow_error err = { "" };
	int ret;

	if (args->files != (args->in_place ? 1 : 2))
		ret = moo_fail(&err, -EINVAL,
			       "%s: give either OUT or --in-place",
			       args->file[0]);
	else if (args->in_place)
		ret = moo_merge_in_place(args, args->file[0], &err);
	else if (args->remove)
		ret = moo_fail(&err, -EINVAL,
			       "%s: --delete goes with --in-place only",
			       args->file[0]);
	else
		ret = moo_write_raw(args, args->file[0], args->file[1], &err);
	ret = moo_finish(ret, &err);
	if (ret)
		moo_cancel_end();
	return ret;
}

const struct moo_verb moo_merge = {
	.name = "merge",
	.synopsis = "[-f] [-b FILE] [--raw] DELTA OUT\n"
		    "--in-place [--delete] [-f] [-b FILE] DELTA",
	.brief = "merge a delta into a new file or into its parent",
	.text = "Write the content of DELTA, with all that is below it, to the new raw file\n"
		"OUT; or write what DELTA owns into its parent. The second form changes the\n"
		"parent: every other layer over it is lost.",
	.uses = uses,
	.nuses = ARRAY_SIZE(uses),
	.min = 1,
	.max = 2,
	.run = run,
};
