// SPDX-License-Identifier: GPL-2.0-only
/*
 * One file for us alone.
 *
 * Duty: open, lock and look at a file that is to be changed without a chain
 * being opened over it; beside readers, where only what it says of itself is.
 *
 * Invariant: what is known of the file was read under the lock.
 */
#include <errno.h>
#include <string.h>

#include "hold.h"
#include "record.h"

static int lock_file(struct moo_hold *hold, struct cow_error *err)
{
	const struct io_ops *io = hold->env.io;
	int ret;

	ret = io->lock(hold->env.ctx, hold->fd, IO_EXCLUSIVE);
	/* A reader may have pinned blocks that are free by now. */
	if (!ret)
		ret = io->lock(hold->env.ctx, hold->fd, IO_PINNED);
	if (ret == -EAGAIN)
		return moo_fail(err, -EBUSY,
				"%s: in use; stop the machine or tool that has it open",
				hold->name);
	if (ret)
		return moo_fail(err, ret, "%s: can not be locked: %s",
				hold->name, strerror(-ret));
	return 0;
}

int moo_hold_again(struct moo_hold *hold, struct cow_error *err)
{
	struct io_stat st;
	int ret;

	moo_probe_end(hold->probe);
	ret = moo_probe(hold->name, hold->raw, true, &hold->probe, err);
	if (ret)
		return ret;
	ret = hold->env.io->stat(hold->env.ctx, hold->fd, &st);
	if (!ret && !moo_same_file(&st.id, &hold->probe->st.id))
		ret = -ESTALE;
	if (ret)
		moo_fail(err, ret, "%s: %s", hold->name, strerror(-ret));
	return ret;
}

/* Who reads it has a shared lock, too; whoever writes it, another. */
static int lock_beside(struct moo_hold *hold, struct cow_error *err)
{
	const struct io_ops *io = hold->env.io;
	int ret;

	ret = io->lock(hold->env.ctx, hold->fd, IO_SHARED);
	if (ret == -EAGAIN)
		return moo_fail(err, -EBUSY,
				"%s: in use by a running machine or tool that writes it; take a snapshot and name this layer then",
				hold->name);
	if (!ret)
		ret = io->lock(hold->env.ctx, hold->fd, IO_SEAL);
	if (ret == -EAGAIN)
		return moo_fail(err, -EBUSY,
				"%s: somebody else is about to seal or mark it; try again when that is done",
				hold->name);
	if (ret)
		return moo_fail(err, ret, "%s: can not be locked: %s",
				hold->name, strerror(-ret));
	return 0;
}

static int hold_file(struct moo_hold *hold, const char *name, bool raw,
		     int (*lock)(struct moo_hold *hold, struct cow_error *err),
		     struct cow_error *err)
{
	int ret;

	*hold = (struct moo_hold){ .name = name, .raw = raw };
	moo_host(&hold->env);
	hold->fd = hold->env.io->open(hold->env.ctx, name, IO_OPEN_WRITE);
	if (hold->fd < 0)
		return moo_fail(err, hold->fd,
				"%s: can not be opened for writing: %s", name,
				strerror(-hold->fd));
	ret = lock(hold, err);
	return ret ? ret : moo_hold_again(hold, err);
}

int moo_hold(struct moo_hold *hold, const char *name, bool raw,
	     struct cow_error *err)
{
	return hold_file(hold, name, raw, lock_file, err);
}

int moo_hold_beside(struct moo_hold *hold, const char *name, bool raw,
		    struct cow_error *err)
{
	return hold_file(hold, name, raw, lock_beside, err);
}

void moo_hold_end(struct moo_hold *hold)
{
	moo_probe_end(hold->probe);
	if (hold->fd >= 0)
		hold->env.io->close(hold->env.ctx, hold->fd);
	hold->probe = NULL;
	hold->fd = -1;
}

int moo_hold_writable(const struct moo_probe *p, bool force,
		      struct cow_error *err)
{
	if (p->state & COW_IS_PROTECTED)
		return moo_fail(err, -EROFS,
				"%s: protected; lift that with moo protect --off first",
				p->name);
	return moo_hold_markable(p, force, err);
}

int moo_hold_markable(const struct moo_probe *p, bool force,
		      struct cow_error *err)
{
	if (p->state & COW_IS_FROZEN && !force)
		return moo_fail(err, -EBUSY,
				"%s: frozen, %s is built on it; give -f if it is to be changed all the same",
				p->name, p->successor);
	if (p->state & COW_IS_DRAINED)
		return moo_fail(err, -EINVAL,
				"%s: was merged into its parent %s and is only a name for it; use that",
				p->name, p->hdr.parent);
	if (p->state & COW_IS_DRAINING)
		return moo_fail(err, -EBUSY,
				"%s: is being merged into its parent; finish that first, with moo merge --in-place",
				p->name);
	if (p->hdr.tail_on_data)
		return moo_fail(err, -EROFS,
				"%s: its last bits lie on data; mend it with moo convert -V 3 first",
				p->name);
	if (p->hdr.format != COW_V4)
		return 0;
	if (cow_v4_foreign(&p->hdr.v4))
		return moo_fail(err, -EROFS,
				"%s: it has features that only a later version may write",
				p->name);
	if (p->hdr.v4.generation >= COW_V4_WORN)
		return moo_fail(err, -EROFS,
				"%s: its generations are used up; make a new one with moo convert",
				p->name);
	return 0;
}

int moo_hold_unseal(struct moo_hold *hold, struct cow_error *err)
{
	struct cow_disk_v4 v4 = hold->probe->hdr.v4;
	int ret;

	if (!cow_v4_sealed(&v4))
		return 0;
	cow_v4_unseal(&v4);
	v4.generation++;
	ret = cow_v4_put_slot(&hold->env, hold->fd, &v4);
	return ret ? moo_hold_failed(hold, ret, err) : moo_hold_again(hold, err);
}

int moo_hold_failed(const struct moo_hold *hold, int ret,
		    struct cow_error *err)
{
	return moo_fail(err, ret, "%s: can not be written: %s", hold->name,
			strerror(-ret));
}
