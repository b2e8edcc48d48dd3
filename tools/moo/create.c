// SPDX-License-Identifier: GPL-2.0-only
/*
 * moo create - a new, empty layer, or a disk of its own.
 */
#include <errno.h>
#include <string.h>

#include "moo.h"

static const struct moo_use uses[] = {
	{ MOO_OPT_VERSION, "format of NEW: 3 (which stock programs know) or 4; by\n"
			   "default 3 over a raw parent, 4 over a COW;\n"
			   "with --size: 0 (raw, the default) or 4" },
	{ MOO_OPT_RAW, "PARENT is raw data, whatever it begins with" },
	{ MOO_OPT_SIZE, "make an empty disk of N bytes, without a parent;\n"
			"N may end with K, M, G, T" },
	{ MOO_OPT_HEADER, "NEW is a name and a geometry for the raw image PARENT,\n"
			  "which stays the disk" },
	{ MOO_OPT_GEOMETRY, "what the guest's partitioning tools are told;\n"
			     "makes NEW a V4" },
	{ MOO_OPT_SECTOR, "what the guest takes for a sector: 512 (the default),\n"
			  "1024, 2048 or 4096 bytes; makes NEW a V4" },
	{ MOO_OPT_FLAT, "with --size: a V4 disk with the data in place, as in a\n"
			"raw file, behind a header" },
	{ MOO_OPT_PADDING, "where that data begins, or what it is aligned to in V3" },
	{ MOO_OPT_FORCE, "replace NEW if it exists and is neither in use nor\n"
			 "frozen" },
};

/* May @out be made, and is it none of the layers that it is to stand on? */
static int begin_over(struct moo_output *out, const struct cow_env *env,
		      const struct cow_create_args *args, const char *path,
		      bool force, struct cow_error *err)
{
	struct cow_open_args open = {
		.name = args->parent,
		.read_only = true,
		.no_follow = true,
		.raw = args->parent_raw,
	};
	struct moo_chain parent;
	int ret;

	if (!args->parent)
		return moo_output_begin(out, env, path, force, NULL, err);
	ret = moo_chain_open(&parent, &open, NULL, err);
	if (ret)
		return ret;
	ret = moo_output_begin(out, env, path, force, &parent, err);
	moo_chain_close(&parent);
	return ret;
}

int moo_create_layer(struct cow_create_args *args, const char *path,
		     bool force, struct cow_error *err)
{
	struct moo_output out;
	struct cow_env env;
	int ret;

	moo_host(&env);
	ret = begin_over(&out, &env, args, path, force, err);
	if (ret)
		return ret;
	ret = moo_output_layer(&out, args, err);
	if (!ret)
		ret = moo_output_publish(&out, err);
	moo_output_end(&out);
	return ret;
}

static int create_raw(const struct moo_args *args, struct cow_error *err)
{
	struct moo_output out;
	struct cow_env env;
	int ret;

	moo_host(&env);
	ret = moo_output_begin(&out, &env, args->file[0], args->force, NULL,
			       err);
	if (ret)
		return ret;
	ret = moo_output_raw(&out, err);
	if (!ret) {
		ret = env.io->truncate(env.ctx, out.fd, args->size);
		if (ret)
			moo_fail(err, ret, "%s: can not have this size: %s",
				 out.path, strerror(-ret));
	}
	if (!ret)
		ret = moo_output_publish(&out, err);
	moo_output_end(&out);
	return ret;
}

static int create_disk(const struct moo_args *args, struct cow_error *err)
{
	struct cow_create_args create = {
		.version = args->version,
		.size = args->size,
		.disk = args->flat,
		.padding = args->padding,
		.sector_size = args->sector_size,
		.geometry = args->geometry,
	};
	bool v4 = args->geometry.heads || args->sector_size;

	if (args->files != 1)
		return moo_fail(err, -EINVAL,
				"%s: a layer has the size of its parent; leave --size or PARENT out",
				args->file[0]);
	if (args->header)
		return moo_fail(err, -EINVAL,
				"%s: a header is that of a raw image; name it and leave --size out",
				args->file[0]);
	if (!args->version_set && (v4 || args->flat))
		create.version = 4;
	if (!create.version && !v4 && !args->padding)
		return create_raw(args, err);
	if (args->padding && !args->flat)
		return moo_fail(err, -EINVAL,
				"%s: padding is for V3 and --flat",
				args->file[0]);
	if (create.version != 4)
		return moo_fail(err, -EINVAL,
				"%s: a disk without parent has format 0 or 4",
				args->file[0]);
	return moo_create_layer(&create, args->file[0], args->force, err);
}

static int create(const struct moo_args *args, struct cow_error *err)
{
	struct cow_create_args create = {
		.version = args->version,
		.parent_raw = args->raw,
		.header = args->header,
		.padding = args->padding,
		.sector_size = args->sector_size,
		.geometry = args->geometry,
	};
	bool v4 = args->geometry.heads || args->sector_size;

	if (args->size_set)
		return create_disk(args, err);
	if (args->files != 2)
		return moo_fail(err, -EINVAL,
				"%s: has neither parent nor size; name a PARENT or give --size",
				args->file[0]);
	if (args->version_set && args->version < 3)
		return moo_fail(err, -EINVAL,
				"%s: new layers have format 3 or 4",
				args->file[0]);
	if (args->flat)
		return moo_fail(err, -EINVAL,
				"%s: a flat disk has no parent; give --size",
				args->file[0]);
	if (v4 && !args->version_set)
		create.version = 4;
	if (v4 && create.version == 3)
		return moo_fail(err, -EINVAL,
				"%s: V3 has no room for a geometry or a sector size; choose V4",
				args->file[0]);
	create.parent = args->file[1];
	return moo_create_layer(&create, args->file[0], args->force, err);
}

static int run(const struct moo_args *args)
{
	struct cow_error err = { "" };

	return moo_finish(create(args, &err), &err);
}

const struct moo_verb moo_create = {
	.name = "create",
	.synopsis = "[-f] [-V 3] [--raw] [--padding=N] NEW PARENT\n"
		    "[-f] [-V 4] [--raw] [GEOMETRY] NEW PARENT\n"
		    "[-f] [-V 0|4] [GEOMETRY] --size=N NEW\n"
		    "[-f] --flat [--padding=N] [GEOMETRY] --size=N NEW\n"
		    "[-f] --header [--raw] [GEOMETRY] NEW IMAGE",
	.brief = "make a new, empty layer or disk",
	.text = "Make the layer NEW over PARENT. It owns nothing yet: it reads as PARENT\n"
		"does, which must not be changed from now on. GEOMETRY is --geometry=C/H/S,\n"
		"--sector-size=N, or both.",
	.uses = uses,
	.nuses = ARRAY_SIZE(uses),
	.min = 1,
	.max = 2,
	.run = run,
};
