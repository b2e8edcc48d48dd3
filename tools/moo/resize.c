// SPDX-License-Identifier: GPL-2.0-only
/*
 * moo resize - a disk of another size.
 *
 * Duty: the size of a raw file, of a V4 layer, or of a V4 disk.
 *
 * Invariants: nothing is lost without --shrink. A disk that was made smaller and
 * then larger has nothing of its own behind the smaller size. Stopped at any
 * point, it has the old size or the new one.
 */
#include <errno.h>
#include <string.h>

#include "record.h"
#include "tree.h"

static const struct moo_use uses[] = {
	{ MOO_OPT_SHRINK, "the disk may become smaller, and lose what lies behind" },
	{ MOO_OPT_FORCE, "although other files are built on FILE, which are then\n"
			 "refused" },
	{ MOO_OPT_RAW, "FILE is raw data, whatever it begins with" },
};

/* ---- the size ---------------------------------------------------------- */

static int bad_size(const char *text, struct cow_error *err)
{
	return moo_fail(err, -EINVAL,
			"%s: give the size as a multiple of 512 bytes, such as 4G, +512M or -1G",
			text);
}

/* "4G", "+1G" or "-1G", as @text has it, for a disk that has @old bytes. */
static int new_size(const char *text, uint64_t old, uint64_t *size,
		    struct cow_error *err)
{
	char sign = *text == '+' || *text == '-' ? *text : 0;

	if (moo_parse_size(text + !!sign, size) || *size % COW_SECTOR_SIZE)
		return bad_size(text, err);
	if (sign == '-' && *size >= old)
		return moo_fail(err, -EINVAL,
				"%s: nothing would be left of %llu bytes", text,
				(unsigned long long)old);
	if (sign == '-')
		*size = old - *size;
	else if (sign)
		*size += old;
	if (!*size || *size > INT64_MAX || *size % COW_SECTOR_SIZE)
		return bad_size(text, err);
	return 0;
}

/* ---- what is written --------------------------------------------------- */

static int cut(const struct moo_hold *hold, uint64_t size,
	       struct cow_error *err)
{
	int ret = hold->env.io->truncate(hold->env.ctx, hold->fd, size);

	if (!ret)
		ret = hold->env.io->sync(hold->env.ctx, hold->fd);
	return ret ? moo_hold_failed(hold, ret, err) : 0;
}

static int resize_raw(const struct moo_hold *hold, uint64_t size,
		      struct cow_error *err)
{
	if (hold->probe->st.kind != IO_KIND_FILE)
		return moo_fail(err, -EINVAL,
				"%s: no file; a device has the size that it has",
				hold->name);
	return cut(hold, size, err);
}

/* The file has room for all sectors, whichever header is in force. */
static int resize_disk(struct moo_hold *hold, uint64_t size,
		       struct cow_error *err)
{
	struct cow_disk_v4 v4;
	uint64_t start = hold->probe->hdr.v4.end << COW_BLOCK_SHIFT;
	uint64_t old = hold->probe->hdr.v4.size;
	int ret;

	if (size > INT64_MAX - start)
		return bad_size(hold->name, err);
	/* A seal stands where the disk is going to, or is of what goes. */
	ret = moo_hold_unseal(hold, err);
	if (ret)
		return ret;
	v4 = hold->probe->hdr.v4;
	/* What an earlier attempt to make it smaller left is not shown again. */
	if (size > old)
		ret = cut(hold, start + old, err);
	if (!ret && size > old)
		ret = cut(hold, start + size, err);
	if (ret)
		return ret;
	v4.size = size;
	v4.owned = size >> COW_SECTOR_SHIFT;
	v4.content += size < old;
	v4.generation++;
	ret = cow_v4_put_slot(&hold->env, hold->fd, &v4);
	if (ret)
		return moo_hold_failed(hold, ret, err);
	return size < old ? cut(hold, start + size, err) : 0;
}

static int change_index(struct moo_tree *tree, uint64_t size,
			struct cow_error *err)
{
	unsigned int levels = cow_v4_levels(size);
	int ret = 0;

	if (size < tree->v4.size) {
		tree->v4.levels = levels;
		tree->sectors = size >> COW_SECTOR_SHIFT;
		tree->v4.content++;
		ret = moo_tree_walk(tree, err);
	} else {
		ret = moo_tree_raise(tree, levels, err);
	}
	tree->v4.size = size;
	tree->changed = true;
	return ret ? ret : moo_tree_commit(tree, err);
}

static int resize_layer(struct moo_hold *hold, uint64_t size,
			struct cow_error *err)
{
	struct moo_tree tree;
	int ret;

	ret = moo_tree_begin(&tree, hold, err);
	if (!ret)
		ret = change_index(&tree, size, err);
	moo_tree_end(&tree);
	return ret ? ret : moo_tree_tidy(hold, err);
}

/* ---- may it be? -------------------------------------------------------- */

static int refuse_kind(const struct moo_probe *p, struct cow_error *err)
{
	if (p->hdr.format == COW_V4 && p->hdr.v4.kind == COW_KIND_HEADER)
		return moo_fail(err, -EINVAL,
				"%s: the header of %s; resize that, and make a new header",
				p->name, p->hdr.parent);
	if (p->hdr.format != COW_RAW && p->hdr.format != COW_V4)
		return moo_fail(err, -EINVAL,
				"%s: V%d has the size of its parent, which places its data; make V4 of it first, with moo convert",
				p->name, p->hdr.format);
	if (p->state & COW_IS_FROZEN)
		return moo_fail(err, -EBUSY,
				"%s: frozen, %s is built on it; resize that",
				p->name, p->successor);
	return moo_hold_writable(p, false, err);
}

/* A V4 layer that grows is to its children what it was. */
static int refuse_children(const struct moo_probe *p, bool grows, bool force,
			   struct cow_error *err)
{
	if (force || (grows && p->hdr.format == COW_V4))
		return 0;
	return moo_dependents_refuse(&p->env, p->name, p->fd, NULL,
				     "give -f if that may be spoilt", err);
}

static int resize_held(struct moo_hold *hold, const struct moo_args *args,
		       struct cow_error *err)
{
	const struct moo_probe *p = hold->probe;
	uint64_t old = p->hdr.format == COW_RAW ? p->st.size : p->device;
	uint64_t size = old;
	int ret;

	ret = refuse_kind(p, err);
	if (!ret)
		ret = new_size(args->file[1], old, &size, err);
	if (ret || size == old)
		return ret;
	if (p->hdr.format == COW_V4 && size % p->hdr.v4.sectorsize)
		return moo_fail(err, -EINVAL,
				"%s: its sectors have %u bytes, of which %llu is no multiple; give one",
				p->name, p->hdr.v4.sectorsize,
				(unsigned long long)size);
	if (size < old && !args->shrink)
		return moo_fail(err, -EINVAL,
				"%s: has %llu bytes, and would lose what lies behind %llu; give --shrink if that is meant",
				p->name, (unsigned long long)old,
				(unsigned long long)size);
	ret = refuse_children(p, size > old, args->force, err);
	if (ret)
		return ret;
	if (p->hdr.format == COW_RAW)
		return resize_raw(hold, size, err);
	if (p->hdr.v4.kind == COW_KIND_DISK)
		return resize_disk(hold, size, err);
	return resize_layer(hold, size, err);
}

static int run(const struct moo_args *args)
{
	struct cow_error err = { "" };
	struct moo_hold hold;
	int ret;

	ret = moo_hold(&hold, args->file[0], args->raw, &err);
	if (!ret)
		ret = resize_held(&hold, args, &err);
	moo_hold_end(&hold);
	return moo_finish(ret, &err);
}

const struct moo_verb moo_resize = {
	.name = "resize",
	.synopsis = "[--shrink] [-f] [--raw] FILE [+|-]SIZE",
	.brief = "make a disk larger or smaller",
	.text = "Give the disk FILE, raw or V4, SIZE bytes, or so many more or less. SIZE may end\n"
		"with K, M, G, T.",
	.uses = uses,
	.nuses = ARRAY_SIZE(uses),
	.min = 2,
	.max = 2,
	.amount = true,
	.run = run,
};
