// SPDX-License-Identifier: GPL-2.0-only
/*
 * moo adopt - take the parent as it is.
 *
 * Duty: the way out for a layer that is refused because its parent was written
 * or touched.
 *
 * Invariant: the parent stays the file that the layer names; only by what it is
 * known is stored anew.
 */
#include "record.h"
#include "relink.h"

static const struct moo_use uses[] = {
	{ MOO_OPT_FORCE, "although TOP is frozen; also, the parent may be smaller\n"
			 "than TOP" },
};

static int adopt_parent(struct moo_hold *hold, struct moo_chain *parent,
			const struct moo_args *args, struct cow_error *err)
{
	struct cow_layer_info info;
	int ret;

	ret = moo_relink_refuse(hold->probe, parent, args->force, err);
	if (ret)
		return ret;
	if (!moo_parent_is_raw(hold->probe) &&
	    !cow_layer(parent->file, 0, &info) && info.format == COW_RAW)
		return moo_fail(err, -EINVAL,
				"%s: its parent %s is no COW file any more; bring the old one back",
				hold->name, parent->name);
	return moo_relink(hold, parent, NULL, err);
}

static int adopt_held(struct moo_hold *hold, const struct moo_args *args,
		      struct cow_error *err)
{
	struct cow_open_args open = {
		.name = hold->probe->hdr.parent,
		.read_only = true,
		.no_follow = true,
		.raw = moo_parent_is_raw(hold->probe),
	};
	struct moo_chain parent;
	int ret;

	if (!*open.name)
		return moo_fail(err, -EINVAL, "%s: has no parent", hold->name);
	ret = moo_chain_open(&parent, &open, NULL, err);
	if (ret)
		return ret;
	ret = adopt_parent(hold, &parent, args, err);
	moo_chain_close(&parent);
	return ret;
}

static int run(const struct moo_args *args)
{
	struct cow_error err = { "" };
	struct moo_hold hold;
	int ret;

	ret = moo_hold(&hold, args->file[0], false, &err);
	if (!ret)
		ret = adopt_held(&hold, args, &err);
	moo_hold_end(&hold);
	return moo_finish(ret, &err);
}

const struct moo_verb moo_adopt = {
	.name = "adopt",
	.synopsis = "[-f] TOP",
	.brief = "accept a parent that was changed",
	.text = "Accept the parent of the layer TOP as it is, though it was written or touched.\n"
		"TOP reads as its own sectors over what the parent has by now.",
	.uses = uses,
	.nuses = ARRAY_SIZE(uses),
	.min = 1,
	.max = 1,
	.run = run,
};
