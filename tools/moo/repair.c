// SPDX-License-Identifier: GPL-2.0-only
/*
 * moo check -r - look at a file, mend it, and look again.
 *
 * Duty: the file for us alone, and what of the faults is to be mended; how is
 * in repair_v4.c and repair_bitmap.c.
 *
 * Invariants: where one fault of the file itself would last nothing is written,
 * since what nothing uses is known only of a whole index, and an index that is
 * damaged may be the wrong one. What the layer contains does not change, nor
 * does by what the layers made over it know it.
 */
#include <errno.h>
#include <string.h>

#include "check.h"

/**
 * struct repair - a file that is looked at and mended
 * @env: what it lives in
 * @name: as the user gave it
 * @fd: for writing, and holds the lock
 * @args: what the user wants
 * @probe: what it says of itself
 */
struct repair {
	struct cow_env env;
	const char *name;
	int fd;
	const struct moo_args *args;
	struct moo_probe *probe;
};

/* ---- the file ---------------------------------------------------------- */

/* A reader beside us may have pinned blocks that are free by now. */
static int lock_file(struct repair *rep, struct cow_error *err)
{
	const struct io_ops *io = rep->env.io;
	int ret;

	ret = io->lock(rep->env.ctx, rep->fd, IO_EXCLUSIVE);
	if (!ret)
		ret = io->lock(rep->env.ctx, rep->fd, IO_PINNED);
	if (ret == -EAGAIN)
		return moo_fail(err, -EBUSY,
				"%s: in use; stop the machine or tool that has it open",
				rep->name);
	if (ret)
		return moo_fail(err, ret, "%s: can not be locked: %s",
				rep->name, strerror(-ret));
	return 0;
}

static int open_file(struct repair *rep, struct cow_error *err)
{
	rep->fd = rep->env.io->open(rep->env.ctx, rep->name, IO_OPEN_WRITE);
	if (rep->fd < 0)
		return moo_fail(err, rep->fd,
				"%s: can not be opened for writing: %s",
				rep->name, strerror(-rep->fd));
	return lock_file(rep, err);
}

/* The lock is ours: what is read beside it stays as it is. */
static int probe_file(struct repair *rep, struct cow_error *err)
{
	struct io_stat st;
	int ret;

	moo_probe_end(rep->probe);
	ret = moo_probe(rep->name, false, true, &rep->probe, err);
	if (ret)
		return ret;
	ret = rep->env.io->stat(rep->env.ctx, rep->fd, &st);
	if (!ret && !moo_same_file(&st.id, &rep->probe->st.id))
		ret = -ESTALE;
	if (ret)
		moo_fail(err, ret, "%s: %s", rep->name, strerror(-ret));
	return ret;
}

/* ---- what is to be done ------------------------------------------------ */

/* A header without a checksum is believed only if all that can be compared fits. */
static const char *refuse_bitmap(const struct check *check)
{
	const uint32_t merged = COW_IS_DRAINING | COW_IS_DRAINED;
	uint32_t state = check->probe->state;

	if (state & COW_IS_FROZEN)
		return "it is frozen, and what is built on it knows it by its time";
	if (state & merged)
		return "it is being merged into its parent; let that end first";
	if (check->chain)
		return "its header may be wrong, so nothing is repaired";
	return NULL;
}

/* Why this file is not written, or NULL. */
static const char *refusal(const struct check *check)
{
	const struct cow_header *hdr = &check->probe->hdr;

	if (check->probe->state & COW_IS_PROTECTED)
		return "it is protected; lift that with moo protect --off";
	if (check->lasting)
		return "not all of it can be repaired, so nothing was; restore it from a copy";
	if (hdr->format != COW_V4)
		return refuse_bitmap(check);
	if (cow_v4_foreign(&hdr->v4))
		return "it has features that only a later version may write";
	return NULL;
}

/* Sum of CHECK_*: what the user wants. A leak is one only if all else is right. */
static unsigned int wanted(const struct repair *rep, const struct check *check)
{
	unsigned int leaks = check->leaks ? CHECK_LIST : 0;

	if (rep->args->repair == MOO_REPAIR_ALL)
		return check->mend | leaks;
	if (!(check->mend & ~CHECK_SLOT))
		return leaks;
	if (leaks && !check->lasting)
		moo_complain("%s: its leaks stay as long as it has faults; give -r all",
			     rep->name);
	return 0;
}

/* Sum of CHECK_*: what is to be done. */
static unsigned int plan(const struct repair *rep, const struct check *check)
{
	unsigned int mend = wanted(rep, check);
	const char *why = NULL;

	if (mend || check->lasting)
		why = refusal(check);
	if (!why)
		return mend;
	moo_complain("%s: %s", rep->name, why);
	return 0;
}

static int apply(const struct repair *rep, const struct check *check,
		 unsigned int mend, struct cow_error *err)
{
	if (check->probe->hdr.format == COW_V4)
		return repair_v4(check, rep->fd, mend, err);
	return repair_bitmap(check, rep->fd, err);
}

/* What @before had and @after has not. */
static void count_fixed(struct check *after, const struct check *before)
{
	uint64_t was = before->corruptions + before->torn;
	uint64_t is = after->corruptions + after->torn;

	after->fixed = true;
	after->corruptions_fixed = was > is ? was - is : 0;
	if (before->leaks > after->leaks)
		after->leaks_fixed = before->leaks - after->leaks;
}

/* Was it of use? @check is what there was before, and is what there is now. */
static int look_again(struct repair *rep, struct check *check,
		      struct cow_error *err)
{
	const struct check before = *check;
	int ret;

	check_end(check);
	*check = (struct check){ 0 };
	ret = probe_file(rep, err);
	if (ret)
		return ret;
	check->probe = rep->probe;
	check->data = rep->args->data && cow_v4_sealed(&rep->probe->hdr.v4);
	ret = check_file(check, true, err);
	count_fixed(check, &before);
	return ret;
}

static int mend_file(struct repair *rep, struct check *check,
		     struct cow_error *err)
{
	unsigned int mend;
	int ret;

	ret = check_file(check, true, err);
	if (ret)
		return ret;
	check->fixed = true;
	mend = plan(rep, check);
	if (!mend)
		return 0;
	ret = apply(rep, check, mend, err);
	return ret ? ret : look_again(rep, check, err);
}

static int run(struct repair *rep,
	       int (*report)(const struct check *check, bool json))
{
	struct cow_error err = { "" };
	struct check check = { 0 };
	int ret;

	ret = open_file(rep, &err);
	if (ret)
		return moo_finish(ret, &err);
	ret = probe_file(rep, &err);
	if (ret)
		return check_refuse(ret, &err);
	if (rep->probe->hdr.format == COW_RAW)
		return check_raw(rep->probe);
	check.probe = rep->probe;
	check.data = rep->args->data;
	ret = check_refuse_data(rep->probe, rep->args, &err);
	if (!ret)
		ret = mend_file(rep, &check, &err);
	if (ret)
		ret = moo_finish(ret, &err);
	else
		ret = report(&check, rep->args->json);
	check_end(&check);
	return ret;
}

int check_repair(const struct moo_args *args,
		 int (*report)(const struct check *check, bool json))
{
	struct repair rep = {
		.name = args->file[0],
		.fd = -1,
		.args = args,
	};
	int ret;

	moo_host(&rep.env);
	ret = run(&rep, report);
	moo_probe_end(rep.probe);
	if (rep.fd >= 0)
		rep.env.io->close(rep.env.ctx, rep.fd);
	return ret;
}
