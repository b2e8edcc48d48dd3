// SPDX-License-Identifier: GPL-2.0-only
/*
 * moo rollback - what was written since a snapshot, dropped.
 *
 * Duty: the top of a chain, which is not in use, and its frozen parent; in the
 * order of the end of a merge, only that nothing was moved before:
 *
 *	DROP    the top says durably that it is a name for its parent
 *	THAW    the parent forgets its successor; durable
 *	EMPTY   the top gives its room back, or is deleted
 *
 * Invariants: nothing is lost before DROP is durable, and all of the top with it.
 * After it the names of both files lead to the parent. Stopped at any point, the
 * same command goes on.
 *
 * A machine lets the engine do that (drain.c), with a chain that is open. Here it
 * need not open: that a base is missing, that the parent's time or the top's size
 * is another, is no reason to be left with a state that nobody wants. Of the parent
 * the header alone is written, so that it keeps its seal.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hold.h"
#include "record.h"

static const struct moo_use uses[] = {
	{ MOO_OPT_DISCARD, "what TOP owns is to be lost" },
	{ MOO_OPT_DELETE, "delete TOP at the end" },
	{ MOO_OPT_FORCE, "although other files are built on TOP, or on its parent" },
};

/**
 * struct rollback - two files for us alone
 * @top: what is dropped
 * @parent: what takes the writes again
 */
struct rollback {
	struct moo_hold top;
	struct moo_hold parent;
};

/* ---- may it be? -------------------------------------------------------- */

/* Is @top what the parent says that takes its writes? 1, 0, or an error. */
static int is_successor(const struct moo_probe *parent,
			const struct moo_probe *top)
{
	const struct cow_env *env = &parent->env;
	struct io_stat st;
	int ret;

	if (!(parent->state & COW_IS_FROZEN))
		return 0;
	ret = env->io->lookup(env->ctx, parent->successor, &st);
	if (ret == -ENOENT || ret == -ENOTDIR)
		return 0;
	return ret ? ret : moo_same_file(&st.id, &top->st.id);
}

static int refuse_layer(const struct moo_probe *top, struct cow_error *err)
{
	if (top->hdr.format == COW_V4 && top->hdr.v4.kind == COW_KIND_HEADER)
		return moo_fail(err, -EINVAL,
				"%s: the header of a disk image, and no layer; name the layer over that image",
				top->name);
	if (!top->hdr.parent[0])
		return moo_fail(err, -EINVAL, "%s: has no parent", top->name);
	/* It was dropped, and what is left is to be done. */
	if (top->state & COW_IS_DRAINED)
		return 0;
	return moo_hold_writable(top, false, err);
}

static int refuse_dependents(const struct rollback *back,
			     struct cow_error *err)
{
	static const char how[] = "give -f if that may be spoilt";
	const struct moo_probe *top = back->top.probe;
	const struct moo_probe *parent = back->parent.probe;
	int ret;

	ret = moo_dependents_refuse(&top->env, top->path, top->fd, NULL, how,
				    err);
	if (ret)
		return ret;
	return moo_dependents_refuse(&parent->env, parent->path, parent->fd,
				     &top->st.id, how, err);
}

static int refuse_loss(const struct moo_probe *top, struct cow_error *err)
{
	char human[MOO_HUMAN];
	uint64_t owned;
	int ret = moo_owned(top, &owned, err);

	if (ret || !owned)
		return ret;
	return moo_fail(err, -EINVAL,
			"%s: %s that were written since the snapshot would be lost; give --discard if that is meant",
			top->name, moo_human(owned, human));
}

static int refuse(const struct rollback *back, const struct moo_args *args,
		  struct cow_error *err)
{
	const struct moo_probe *top = back->top.probe;
	const struct moo_probe *parent = back->parent.probe;
	int ret = is_successor(parent, top);

	if (ret < 0)
		return moo_fail(err, ret, "%s: %s", parent->successor,
				strerror(-ret));
	if (!ret)
		return moo_fail(err, -EINVAL,
				"%s: is not what a snapshot put over %s; delete it if it is not wanted",
				top->name, parent->path);
	ret = moo_hold_writable(parent, true, err);
	if (!ret && !args->force)
		ret = refuse_dependents(back, err);
	if (!ret && !args->discard)
		ret = refuse_loss(top, err);
	return ret;
}

/* ---- the top ----------------------------------------------------------- */

static int drop_v4(const struct moo_hold *top)
{
	struct cow_disk_v4 v4 = top->probe->hdr.v4;

	cow_v4_unseal(&v4);
	v4.state &= ~COW_IS_PROVISIONAL;
	v4.state |= COW_IS_DRAINED;
	v4.root = 0;
	v4.owned = 0;
	v4.free_list = 0;
	v4.end = COW_V4_FIRST_BLOCK;
	v4.content++;
	v4.generation++;
	return cow_v4_put_slot(&top->env, top->fd, &v4);
}

static int drop_record(const struct moo_hold *top)
{
	const struct moo_probe *p = top->probe;
	struct cow_record *rec = calloc(1, sizeof(*rec));
	int ret;

	if (!rec)
		return -ENOMEM;
	rec->state = COW_IS_DRAINED;
	rec->self = p->st.id;
	rec->parent_size = p->hdr.size;
	rec->parent_mtime = p->hdr.mtime;
	ret = cow_record_store(&top->env, top->fd, p->path, rec);
	free(rec);
	return ret;
}

/* Programs that know nothing of records are to refuse it, too. */
static int disable(const struct moo_hold *top)
{
	const uint32_t never = 0;
	int ret;

	if (!top->probe->hdr.mtime)
		return 0;
	ret = top->env.io->pwrite(top->env.ctx, top->fd, &never, sizeof(never),
				  cow_header_mtime_at(&top->probe->hdr));
	return ret ? ret : top->env.io->sync(top->env.ctx, top->fd);
}

static int drop(const struct moo_hold *top)
{
	bool dropped = top->probe->state & COW_IS_DRAINED;
	int ret = 0;

	if (top->probe->hdr.format == COW_V4)
		return dropped ? 0 : drop_v4(top);
	if (!dropped)
		ret = drop_record(top);
	return ret ? ret : disable(top);
}

static int clear_bitmap(const struct moo_hold *top)
{
	struct io_desc desc = {
		.op = IO_PUNCH,
		.fd = top->fd,
		.offset = top->probe->hdr.bitmap_offset,
		.len = top->probe->hdr.bitmap_len,
	};
	int ret = top->env.io->submit(top->env.ctx, &desc);

	return ret ? ret : top->env.io->sync(top->env.ctx, top->fd);
}

/* A bit must not outlast the data that it speaks of. */
static int empty(const struct moo_hold *top)
{
	uint64_t size = COW_V4_FIRST_BLOCK << COW_BLOCK_SHIFT;
	int ret = 0;

	if (top->probe->hdr.format != COW_V4) {
		size = top->probe->hdr.data_offset;
		ret = clear_bitmap(top);
	}
	if (!ret)
		ret = top->env.io->truncate(top->env.ctx, top->fd, size);
	return ret ? ret : top->env.io->sync(top->env.ctx, top->fd);
}

static int delete(const struct moo_hold *top)
{
	const char *path = top->probe->path;
	int ret = 0;

	if (top->probe->hdr.format != COW_V4)
		ret = cow_record_leave(&top->env, path);
	return ret ? ret : top->env.io->unlink(top->env.ctx, path);
}

/* ---- the parent -------------------------------------------------------- */

static int thaw_v4(const struct moo_hold *parent)
{
	struct cow_disk_v4 v4 = parent->probe->hdr.v4;

	cow_v4_unlink(&v4);
	v4.generation++;
	return cow_v4_put_slot(&parent->env, parent->fd, &v4);
}

static int thaw(const struct moo_hold *parent)
{
	const struct moo_probe *p = parent->probe;

	if (p->hdr.format == COW_V4)
		return thaw_v4(parent);
	return cow_record_unlink(&parent->env, parent->fd, p->path, p->state,
				 &p->st.id);
}

/* ---- all of it --------------------------------------------------------- */

static int failed(const struct moo_hold *hold, int ret, struct cow_error *err)
{
	return moo_fail(err, ret,
			"%s: can not be written: %s; the same command goes on with it",
			hold->name, strerror(-ret));
}

static int roll_back(const struct rollback *back, const struct moo_args *args,
		     struct cow_error *err)
{
	const struct moo_hold *top = &back->top, *parent = &back->parent;
	int ret = drop(top);

	if (ret)
		return failed(top, ret, err);
	ret = is_successor(parent->probe, top->probe);
	if (ret > 0)
		ret = thaw(parent);
	if (ret)
		return failed(parent, ret, err);
	ret = args->remove ? delete(top) : empty(top);
	return ret ? failed(top, ret, err) : 0;
}

static int with_parent(struct rollback *back, const struct moo_args *args,
		       struct cow_error *err)
{
	const struct moo_probe *top = back->top.probe;
	int ret;

	ret = moo_hold(&back->parent, top->hdr.parent, moo_parent_is_raw(top),
		       err);
	if (!ret && !(top->state & COW_IS_DRAINED))
		ret = refuse(back, args, err);
	if (!ret)
		ret = roll_back(back, args, err);
	moo_hold_end(&back->parent);
	return ret;
}

static int run(const struct moo_args *args)
{
	struct cow_error err = { "" };
	struct rollback back;
	int ret;

	ret = moo_hold(&back.top, args->file[0], false, &err);
	if (!ret)
		ret = refuse_layer(back.top.probe, &err);
	if (!ret)
		ret = with_parent(&back, args, &err);
	moo_hold_end(&back.top);
	return moo_finish(ret, &err);
}

const struct moo_verb moo_rollback = {
	.name = "rollback",
	.synopsis = "[--discard] [--delete] [-f] TOP",
	.brief = "drop what was written since a snapshot",
	.text = "Drop the layer TOP, which a snapshot made: its parent, frozen by the snapshot,\n"
		"takes the writes again, as it was then. TOP becomes an empty name for it.",
	.uses = uses,
	.nuses = ARRAY_SIZE(uses),
	.min = 1,
	.max = 1,
	.run = run,
};
