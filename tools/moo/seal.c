// SPDX-License-Identifier: GPL-2.0-only
/*
 * moo seal - checksums of what a V4 file holds, kept in the file.
 *
 * Duty: read all data, write the pages of the seal where nothing stands, and
 * have the header refer to them.
 *
 * Invariants: machines may read the file meanwhile, but nobody writes it, and
 * nobody else seals it. Pages are durable before a header refers to them;
 * stopped before that, the file says what it said before, and was made no longer.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "blocks.h"
#include "check.h"
#include "hold.h"
#include "record.h"
#include "seal.h"

/**
 * struct work - a seal on its way
 * @hold: the file
 * @v4: the header that is to refer to it
 * @blocks: what it is of
 * @out: its pages
 */
struct work {
	const struct moo_hold *hold;
	struct cow_disk_v4 v4;
	struct moo_blocks blocks;
	struct moo_seal_out out;
};

/* ---- may it be? -------------------------------------------------------- */

static int refuse(const struct moo_probe *p, struct cow_error *err)
{
	if (p->hdr.format == COW_RAW)
		return moo_fail(err, -EINVAL,
				"%s: a raw file has no room for checksums; make V4 of it first, with moo convert -V 4",
				p->name);
	if (p->hdr.format != COW_V4)
		return moo_fail(err, -EINVAL,
				"%s: V%d has no room for checksums; make V4 of it first, with moo convert -V 4",
				p->name, p->hdr.format);
	if (p->hdr.v4.kind == COW_KIND_HEADER)
		return moo_fail(err, -EINVAL,
				"%s: the header of %s, which holds the data; make V4 of that, with moo convert -V 4",
				p->name, p->hdr.parent);
	return moo_hold_markable(p, true, err);
}

/* Of an index with faults nobody knows which data is right. */
static int look(const struct moo_hold *hold, struct cow_error *err)
{
	struct check check = { .probe = hold->probe };
	int ret = check_v4(&check, err);

	if (!ret && check.corruptions)
		ret = moo_fail(err, -EBADMSG,
			       "%s: has faults, so it was not sealed; look at it with moo check",
			       hold->name);
	check_end(&check);
	return ret;
}

/* ---- the work ---------------------------------------------------------- */

static int bad_block(const struct moo_hold *hold,
		     const struct moo_block *block, struct cow_error *err)
{
	return moo_fail(err, block->error,
			"%s: the data at byte %llu can not be read: %s; it was not sealed",
			hold->name, (unsigned long long)block->place,
			strerror(-block->error));
}

static int add_blocks(struct work *work, struct cow_error *err)
{
	const struct moo_hold *hold = work->hold;
	struct moo_progress progress;
	struct moo_block block;
	int ret;

	moo_progress_begin(&progress, hold->name,
			   work->v4.owned << COW_SECTOR_SHIFT);
	while ((ret = moo_blocks_next(&work->blocks, &block, err)) > 0) {
		moo_progress_at(&progress, work->blocks.read);
		if (block.error)
			ret = bad_block(hold, &block, err);
		else if (moo_cancelled())
			ret = moo_fail(err, -EINTR,
				       "%s: cancelled; it was not sealed",
				       hold->name);
		else
			ret = moo_seal_add(&work->out, block.n, block.crc);
		if (ret)
			break;
	}
	moo_progress_end(&progress);
	return ret;
}

static int write_pages(struct work *work, struct cow_error *err)
{
	const struct moo_hold *hold = work->hold;
	int ret;

	ret = moo_blocks_begin(&work->blocks, hold->probe, true, err);
	if (!ret)
		ret = moo_seal_begin(&work->out, &hold->env, hold->fd,
				     &work->v4);
	if (!ret)
		ret = add_blocks(work, err);
	if (!ret)
		ret = moo_seal_end(&work->out);
	moo_seal_free(&work->out);
	moo_blocks_end(&work->blocks);
	return ret ? ret : hold->env.io->sync(hold->env.ctx, hold->fd);
}

/* What was written is no part of the file, unless it was that long before. */
static void cut_off(const struct moo_hold *hold)
{
	const struct io_stat *was = &hold->probe->st;
	struct io_stat now;

	if (was->kind == IO_KIND_FILE &&
	    !hold->env.io->stat(hold->env.ctx, hold->fd, &now) &&
	    now.size > was->size)
		hold->env.io->truncate(hold->env.ctx, hold->fd, was->size);
}

/* The next header refers to what was written. */
static void refer(struct cow_disk_v4 *v4)
{
	v4->ro_compatible |= COW_RO_SEALED;
	v4->seal_content = v4->content;
	if (v4->kind != COW_KIND_DISK)
		v4->end = v4->seal + v4->seal_pages;
}

static int seal_work(struct work *work, struct cow_error *err)
{
	const struct moo_hold *hold = work->hold;
	int ret;

	work->v4.generation++;
	work->v4.seal = moo_seal_first(&work->v4);
	ret = write_pages(work, err);
	if (ret) {
		cut_off(hold);
		return ret;
	}
	/* Should that fail, it may be in force all the same. */
	refer(&work->v4);
	return cow_v4_put_slot(&hold->env, hold->fd, &work->v4);
}

static int seal(const struct moo_hold *hold, struct cow_error *err)
{
	struct work *work = calloc(1, sizeof(*work));
	int ret = -ENOMEM;

	err->text[0] = '\0';
	if (work) {
		work->hold = hold;
		work->v4 = hold->probe->hdr.v4;
		ret = seal_work(work, err);
	}
	free(work);
	if (ret && !err->text[0])
		moo_hold_failed(hold, ret, err);
	return ret;
}

static int seal_file(const char *name, struct cow_error *err)
{
	struct moo_hold hold;
	int ret;

	ret = moo_hold_beside(&hold, name, false, err);
	if (!ret)
		ret = refuse(hold.probe, err);
	if (!ret)
		ret = look(&hold, err);
	if (!ret && !cow_v4_sealed(&hold.probe->hdr.v4))
		ret = seal(&hold, err);
	moo_hold_end(&hold);
	return ret;
}

/* One that can not be sealed does not keep the others from it. */
static int run(const struct moo_args *args)
{
	struct cow_error err = { "" };
	int status = 0, ret, i;

	moo_cancel_begin();
	for (i = 0; i < args->files && !moo_cancelled(); i++) {
		ret = seal_file(args->file[i], &err);
		if (moo_finish(ret, &err))
			status = MOO_FAILED;
	}
	if (status || i < args->files)
		moo_cancel_end();
	return status;
}

const struct moo_verb moo_seal = {
	.name = "seal",
	.synopsis = "FILE...",
	.brief = "keep checksums of what a V4 file holds in it",
	.text = "Keep checksums of all that the V4 file FILE holds in the file, for moo check\n"
		"--data. Machines may read FILE meanwhile, as they do a layer that a snapshot\n"
		"froze. Who opens it to write to it gives the checksums up.",
	.min = 1,
	.max = INT_MAX,
	.run = run,
};
