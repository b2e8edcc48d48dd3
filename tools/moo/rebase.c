// SPDX-License-Identifier: GPL-2.0-only
/*
 * moo rebase - a layer over another parent.
 *
 * Duty: copy into the layer what it has from its old parent and the new one has
 * differently, then store the new parent.
 *
 * Invariants: the new parent stays locked from the first comparison until the
 * header names it. Until then the layer reads as before over its old parent;
 * from then on, over the new one. Nothing is compared with -u.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pair.h"
#include "relink.h"

static const struct moo_use uses[] = {
	{ MOO_OPT_BASE, "the new parent; needed" },
	{ MOO_OPT_UNSAFE, "change the name alone, and compare nothing: the parent\n"
			  "was moved, or its old content is not wanted" },
	{ MOO_OPT_FORCE, "with -u: although TOP is frozen; also, the new parent\n"
			 "may be smaller than TOP, and others may be built on TOP" },
	{ MOO_OPT_RAW, "the new parent is raw data, whatever it begins with" },
};

/* ---- copying ----------------------------------------------------------- */

/* Has the layer to be given anything of this stretch? */
static bool wanted(const struct moo_pair *pair)
{
	const struct moo_extent *old = &pair->ext[0], *new = &pair->ext[1];

	/* It has its own. */
	if (old->present && !old->depth)
		return false;
	return (old->data || new->data) && !moo_pair_same(pair);
}

static int copy_all(struct moo_pair *pair, struct moo_progress *progress,
		    uint8_t *buf, struct cow_error *err)
{
	uint64_t at;
	int ret = 0;

	for (at = 0; !ret; at += pair->length) {
		moo_progress_at(progress, at);
		if (moo_cancel_due())
			return moo_fail(err, -EINTR,
					"%s: cancelled; it has its old parent",
					pair->chain[0]->name);
		ret = moo_pair_at(pair, at, err);
		/* What lies behind the layer's end is none of its own. */
		if (ret || !pair->ext[0].length)
			break;
		if (wanted(pair))
			ret = moo_pair_copy(pair, pair->chain[0], buf, err);
	}
	return ret ? ret : moo_flush(pair->chain[0], err);
}

static int copy_chain(struct moo_chain *top, struct moo_chain *parent,
		      struct cow_error *err)
{
	struct moo_pair pair = { .chain = { top, parent } };
	uint8_t *buf = top->env.alloc(MOO_BUFFER);
	struct moo_progress progress;
	int ret;

	if (!buf)
		return moo_fail(err, -ENOMEM, "%s: out of memory", top->name);
	moo_progress_begin(&progress, top->name, top->file->size);
	ret = copy_all(&pair, &progress, buf, err);
	moo_progress_end(&progress);
	top->env.free(buf, MOO_BUFFER);
	return ret;
}

/* Afterwards the layer reads the same over its old parent and over the new. */
static int copy_difference(const char *name, struct moo_chain *parent,
			   struct cow_error *err)
{
	struct cow_open_args open = { .name = name, .no_follow = true };
	struct moo_chain top;
	int ret;

	ret = moo_chain_open(&top, &open, NULL, err);
	if (ret)
		return ret;
	if (top.file->read_only)
		ret = moo_fail(err, -EROFS, "%s: can not be written", name);
	else
		ret = copy_chain(&top, parent, err);
	moo_chain_close(&top);
	return ret;
}

/* ---- the header -------------------------------------------------------- */

/**
 * struct before - what the layer said of itself when it was compared
 * @id: its file
 * @hdr: its header
 */
struct before {
	struct io_id id;
	struct cow_header hdr;
};

/* Between two locks somebody may have given it a third parent. */
static int refuse_changed(const struct before *before,
			  const struct moo_probe *now, struct cow_error *err)
{
	const struct cow_disk_v4 *a = &before->hdr.v4, *b = &now->hdr.v4;

	if (moo_same_file(&before->id, &now->st.id) &&
	    !strcmp(before->hdr.parent, now->hdr.parent) &&
	    before->hdr.mtime == now->hdr.mtime &&
	    before->hdr.size == now->hdr.size &&
	    a->size == b->size && a->parent_format == b->parent_format &&
	    !memcmp(a->parent_uuid, b->parent_uuid, sizeof(a->parent_uuid)) &&
	    a->parent_content == b->parent_content &&
	    a->parent_size == b->parent_size &&
	    a->parent_mtime_sec == b->parent_mtime_sec &&
	    a->parent_mtime_nsec == b->parent_mtime_nsec)
		return 0;
	return moo_fail(err, -EAGAIN,
			"%s: it was changed meanwhile; try again", now->name);
}

static int store_parent(const struct before *before,
			const struct moo_args *args, struct moo_chain *parent,
			struct cow_error *err)
{
	struct cow_layer_info info;
	struct moo_hold hold;
	int ret;

	ret = moo_hold(&hold, args->file[0], false, err);
	if (!ret)
		ret = refuse_changed(before, hold.probe, err);
	if (!ret)
		ret = moo_relink_refuse(hold.probe, parent, args->force, err);
	if (!ret && !cow_layer(parent->file, 0, &info))
		ret = moo_relink(&hold, parent, info.path, err);
	moo_hold_end(&hold);
	return ret;
}

/* A probe keeps others from writing, hence ourselves. */
static int look_before(struct before *before, struct moo_chain *parent,
		       const struct moo_args *args, struct cow_error *err)
{
	struct moo_probe *top;
	int ret;

	ret = moo_probe(args->file[0], false, true, &top, err);
	if (ret)
		return ret;
	ret = moo_relink_refuse(top, parent, args->force, err);
	if (!ret && !args->force)
		ret = moo_dependents_refuse(&top->env, top->name, top->fd,
					    NULL, "give -f if that may be spoilt",
					    err);
	before->id = top->st.id;
	before->hdr = top->hdr;
	moo_probe_end(top);
	return ret;
}

static int rebase_over(struct moo_chain *parent, const struct moo_args *args,
		       struct cow_error *err)
{
	struct before *before = malloc(sizeof(*before));
	int ret;

	if (!before)
		return moo_fail(err, -ENOMEM, "%s: out of memory",
				args->file[0]);
	ret = look_before(before, parent, args, err);
	if (!ret && !args->unsafe)
		ret = copy_difference(args->file[0], parent, err);
	if (!ret)
		ret = store_parent(before, args, parent, err);
	free(before);
	return ret;
}

static int rebase(const struct moo_args *args, struct cow_error *err)
{
	struct cow_open_args open = {
		.name = args->base,
		.read_only = true,
		.no_follow = true,
		.raw = args->raw,
	};
	struct moo_chain parent;
	int ret;

	if (!args->base)
		return moo_fail(err, -EINVAL,
				"%s: name its new parent with -b",
				args->file[0]);
	ret = moo_chain_open(&parent, &open, NULL, err);
	if (ret)
		return ret;
	moo_cancel_begin();
	ret = rebase_over(&parent, args, err);
	moo_chain_close(&parent);
	return ret;
}

static int run(const struct moo_args *args)
{
	struct cow_error err = { "" };
	int ret = moo_finish(rebase(args, &err), &err);

	if (ret)
		moo_cancel_end();
	return ret;
}

const struct moo_verb moo_rebase = {
	.name = "rebase",
	.synopsis = "-b FILE [-f] [--raw] TOP\n"
		    "-u -b FILE [-f] [--raw] TOP",
	.brief = "put a layer over another parent",
	.text = "Put the layer TOP over the parent FILE. It reads the same as before: what the\n"
		"two parents have differently is copied into it. With -u nothing is compared,\n"
		"and TOP reads as its own sectors over FILE.",
	.uses = uses,
	.nuses = ARRAY_SIZE(uses),
	.min = 1,
	.max = 1,
	.run = run,
};
