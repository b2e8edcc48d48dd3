// SPDX-License-Identifier: GPL-2.0-only
/*
 * V4: write what mends a file.
 *
 * Duty: a header with what was counted, a new list of free blocks, and no tail
 * behind the last block in use.
 *
 * Invariants: each header goes to the slot that is not in force, once all that
 * it refers to is durable. Nothing that the index uses is written. The list's
 * pages are written only when no durable header has a list, so that an old list
 * never leads into pages of the new one; the tail is cut off only when no
 * durable header that could come to be used counts it in.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "record.h"

/**
 * struct mend - a repair on its way
 * @v4: the header that was written last, or is to be written next
 * @above: free blocks below this one hold the list
 * @below: free blocks from here on are in the list
 * @page: the page of the list that is being written
 */
struct mend {
	const struct check *check;
	const struct cow_env *env;
	int fd;
	struct cow_disk_v4 v4;
	uint64_t above;
	uint64_t below;
	struct cow_disk_page *page;
};

static int put_header(struct mend *mend)
{
	mend->v4.generation++;
	return cow_v4_put_slot(mend->env, mend->fd, &mend->v4);
}

/* ---- the list ---------------------------------------------------------- */

static bool is_free(const struct mend *mend, uint64_t block)
{
	return block >= mend->above &&
	       !check_bit(mend->check->map.used, block);
}

/* The next free block downwards, or 0. */
static uint64_t take_free(struct mend *mend)
{
	while (mend->below > mend->above) {
		if (is_free(mend, --mend->below))
			return mend->below;
	}
	return 0;
}

/* Upwards: what is written does not make the file longer if it need not. */
static uint64_t take_low(struct mend *mend)
{
	while (mend->above < mend->below) {
		bool found = is_free(mend, mend->above);

		mend->above++;
		if (found)
			return mend->above - 1;
	}
	return 0;
}

/* The next piece downwards, as an entry of the list, or 0. */
static uint64_t take_piece(struct mend *mend)
{
	uint64_t block = take_free(mend);
	uint64_t more = 0;

	if (!block)
		return 0;
	while (more < COW_ENTRY_STATES && is_free(mend, block - 1)) {
		block--;
		more++;
	}
	mend->below = block;
	return block << COW_ENTRY_SHIFT | more;
}

/* A page of the list, in a free block of its own, that leads to @next. */
static int write_page(struct mend *mend, uint64_t block, uint64_t index,
		      uint64_t next)
{
	struct cow_disk_page *page = mend->page;
	unsigned int i;

	memset(page, 0, sizeof(*page));
	page->entry[0] = cow_be64(next << COW_ENTRY_SHIFT);
	for (i = 1; i < COW_PAGE_ENTRIES; i++)
		page->entry[i] = cow_be64(take_piece(mend));
	cow_page_seal(page, mend->v4.uuid, COW_LIST_LEVEL, index, block,
		      mend->v4.generation + 1);
	return mend->env->io->pwrite(mend->env->ctx, mend->fd, page,
				     sizeof(*page), block << COW_BLOCK_SHIFT);
}

static int write_list(struct mend *mend)
{
	uint64_t block, index = 0, next = 0;
	int ret = 0;

	mend->above = COW_V4_FIRST_BLOCK;
	mend->below = moo_min(mend->v4.end, mend->check->map.blocks);
	while (!ret && (block = take_low(mend))) {
		ret = write_page(mend, block, index++, next);
		next = block;
	}
	if (!ret && next)
		ret = mend->env->io->sync(mend->env->ctx, mend->fd);
	if (!ret)
		mend->v4.free_list = next;
	return ret;
}

/* ---- the file ---------------------------------------------------------- */

static int cut_tail(struct mend *mend)
{
	const struct io_stat *st = &mend->check->probe->st;
	uint64_t end = mend->v4.end << COW_BLOCK_SHIFT;
	int ret;

	if (st->kind != IO_KIND_FILE || st->size <= end)
		return 0;
	ret = mend->env->io->truncate(mend->env->ctx, mend->fd, end);
	return ret ? ret : mend->env->io->sync(mend->env->ctx, mend->fd);
}

static int mend_list(struct mend *mend)
{
	int ret;

	mend->v4.end = mend->check->map.top;
	mend->v4.free_list = 0;
	ret = put_header(mend);
	if (!ret)
		ret = write_list(mend);
	if (!ret && mend->v4.free_list)
		ret = put_header(mend);
	return ret ? ret : cut_tail(mend);
}

/* All that does not depend on what is free. */
static void mend_fields(struct mend *mend, unsigned int what)
{
	const struct check_map *map = &mend->check->map;

	/* Which copy it stood in is what the next one has to know. */
	if (what & CHECK_LINK)
		mend->v4.successor.len = 0;
	if (what & CHECK_SEAL)
		cow_v4_unseal(&mend->v4);
	if (!(what & CHECK_COUNT))
		return;
	mend->v4.owned = map->owned;
	if (mend->v4.end < map->top)
		mend->v4.end = map->top;
}

int repair_v4(const struct check *check, int fd, unsigned int mend,
	      struct cow_error *err)
{
	struct mend work = {
		.check = check,
		.env = &check->probe->env,
		.fd = fd,
		.v4 = check->probe->hdr.v4,
		.page = malloc(sizeof(*work.page)),
	};
	int ret = -ENOMEM;

	if (work.page) {
		mend_fields(&work, mend);
		ret = mend & CHECK_LIST ? mend_list(&work) : put_header(&work);
	}
	free(work.page);
	if (ret)
		return moo_fail(err, ret, "%s: can not be repaired: %s; it reads as before",
				check->probe->name, strerror(-ret));
	return 0;
}
