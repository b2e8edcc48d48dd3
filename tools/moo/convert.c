// SPDX-License-Identifier: GPL-2.0-only
/*
 * moo convert - the same content in another format.
 *
 * Duty: a layer stays a layer, over the same parent and owning the same
 * sectors; format 0 is the whole chain in one raw file; a raw file and a parent
 * become the layer that is their difference.
 */
#include <errno.h>

#include "moo.h"

static const struct moo_use uses[] = {
	{ MOO_OPT_VERSION, "format of OUT: 0 (raw, without parent), 3 or 4" },
	{ MOO_OPT_BASE, "the parent of IN, where that has been moved; if IN is\n"
			"raw: the parent of OUT, which owns what differs" },
	{ MOO_OPT_FORCE, "replace OUT if it exists and is neither in use nor\n"
			 "frozen" },
	{ MOO_OPT_RAW, "with -V 0: OUT may begin with the magic of a COW file" },
};

/* What is to be filled: the new layer under its temporary name. */
static int open_new(struct moo_chain *to, const struct moo_output *out,
		    struct cow_error *err)
{
	struct cow_open_args open = { .name = out->temp, .no_follow = true };

	int ret = moo_chain_open(to, &open, NULL, err);

	if (ret)
		moo_output_named(out, err);
	return ret;
}

static int fill(struct moo_chain *from, struct moo_output *out,
		int (*copy)(struct moo_chain *from, struct moo_chain *to,
			    struct cow_error *err),
		struct cow_error *err)
{
	struct moo_chain to;
	int ret;

	ret = open_new(&to, out, err);
	if (ret)
		return ret;
	/* People know it by the name that it is going to have. */
	to.name = out->path;
	if (to.file->size == from->file->size)
		ret = copy(from, &to, err);
	else
		ret = moo_fail(err, -EINVAL,
			       "%s: has not the size of the new parent; name one that has with -b",
			       from->name);
	moo_chain_close(&to);
	return ret;
}

static int make_layer(struct moo_chain *from, struct cow_create_args *create,
		      const struct moo_args *args,
		      int (*copy)(struct moo_chain *from, struct moo_chain *to,
				  struct cow_error *err),
		      struct cow_error *err)
{
	struct moo_output out;
	int ret;

	ret = moo_output_begin(&out, &from->env, args->file[1], args->force,
			       from, err);
	if (ret)
		return ret;
	moo_cancel_begin();
	ret = moo_output_layer(&out, create, err);
	if (!ret)
		ret = fill(from, &out, copy, err);
	if (!ret)
		ret = moo_output_publish(&out, err);
	moo_output_end(&out);
	return ret;
}

/* The parent stays, and is taken for what it was. */
static int same_parent(struct moo_chain *from, const struct moo_args *args,
		       struct cow_create_args *create, struct cow_error *err)
{
	struct cow_layer_info parent;

	if (cow_layer(from->file, 1, &parent)) {
		create->size = from->file->size;
		if (args->version == 4)
			return 0;
		return moo_fail(err, -EINVAL,
				"%s: has no parent, which format 3 needs; give -V 0, or -b with a parent",
				from->name);
	}
	if (parent.format != COW_RAW && args->version == 3)
		return moo_fail(err, -EINVAL,
				"%s: its parent %s is a COW, over which only format 4 can stand; give -V 4",
				from->name, parent.path);
	create->parent = parent.path;
	create->parent_raw = parent.format == COW_RAW;
	return 0;
}

static int convert_layer(struct moo_chain *from, const struct moo_args *args,
			 struct cow_error *err)
{
	struct cow_create_args create = {
		.version = args->version,
		.sector_size = args->version == 4 ?
			       cow_sector_size(from->file) : 0,
	};
	int ret;

	ret = same_parent(from, args, &create, err);
	if (ret)
		return ret;
	return make_layer(from, &create, args, moo_copy_layer, err);
}

static int subtract(struct moo_chain *from, const struct moo_args *args,
		    struct cow_error *err)
{
	struct cow_create_args create = {
		.version = args->version, .parent = args->base,
	};

	return make_layer(from, &create, args, moo_copy_difference, err);
}

static int is_raw(const char *name, bool *raw, struct cow_error *err)
{
	struct moo_probe *probe;
	int ret = moo_probe(name, false, false, &probe, err);

	if (ret)
		return ret;
	*raw = probe->hdr.format == COW_RAW;
	moo_probe_end(probe);
	return 0;
}

static int convert(const struct moo_args *args, struct cow_error *err)
{
	struct cow_open_args open = {
		.name = args->file[0],
		.read_only = true,
		.no_follow = true,
	};
	struct moo_chain from;
	bool raw;
	int ret;

	if (!args->version_set || args->version == 1 || args->version == 2)
		return moo_fail(err, -EINVAL,
				"%s: say with -V which format to make: 0, 3 or 4",
				args->file[1]);
	if (!args->version)
		return moo_write_raw(args, args->file[0], args->file[1], err);
	ret = is_raw(args->file[0], &raw, err);
	if (ret)
		return ret;
	ret = moo_chain_open(&from, &open, raw ? NULL : args->base, err);
	if (ret)
		return ret;
	if (raw && args->base)
		ret = subtract(&from, args, err);
	else
		ret = convert_layer(&from, args, err);
	moo_chain_close(&from);
	return ret;
}

static int run(const struct moo_args *args)
{
	struct cow_error err = { "" };
	int ret = moo_finish(convert(args, &err), &err);

	if (ret)
		moo_cancel_end();
	return ret;
}

const struct moo_verb moo_convert = {
	.name = "convert",
	.synopsis = "-V 0|3|4 [-f] [-b FILE] [--raw] IN OUT",
	.brief = "write a layer in another format",
	.text = "Write IN to the new file OUT in another format. A layer stays a layer over the\n"
		"same parent; format 0 takes the whole chain together. A file of format 1 or 2\n"
		"whose last sectors have no bits becomes a sound one.",
	.uses = uses,
	.nuses = ARRAY_SIZE(uses),
	.min = 2,
	.max = 2,
	.run = run,
};
