// SPDX-License-Identifier: GPL-2.0-only
/*
 * V4: the seal, and whether the data is what was sealed.
 *
 * Duty: the seal's pages are whole and used by nothing else, and have a checksum
 * of each block with data and of no other; with --data, the right one.
 *
 * Invariants: the walk over the index is over. Blocks come in rising order from
 * both sides, so that no more than one page of each is in memory.
 */
#include <errno.h>
#include <string.h>

#include "blocks.h"
#include "check.h"
#include "seal.h"

/**
 * struct joint - the seal beside what the file holds
 * @in: the seal
 * @sealed: its next block
 * @crc: and the checksum of that
 * @more: there is one
 * @count: how many there were
 * @sound: nothing was wrong with it so far
 */
struct joint {
	struct check *check;
	struct moo_seal_in in;
	uint64_t sealed;
	uint32_t crc;
	bool more;
	uint64_t count;
	bool sound;
};

static int next_sealed(struct joint *joint, struct cow_error *err)
{
	struct check *check = joint->check;
	const char *why = NULL;
	int ret;

	ret = moo_seal_next(&joint->in, &joint->sealed, &joint->crc, &why);
	joint->more = ret > 0;
	joint->count += joint->more;
	if (ret >= 0)
		return 0;
	if (ret != -EBADMSG)
		return moo_fail(err, ret, "%s: its seal can not be read: %s",
				check->probe->name, strerror(-ret));
	joint->sound = false;
	check_found(check, CHECK_SEAL, "page %llu of its seal %s",
		    (unsigned long long)joint->in.pages - 1, why);
	return 0;
}

/* ---- data -------------------------------------------------------------- */

static void bad_block(struct check *check, const struct moo_block *block,
		      uint32_t crc)
{
	uint64_t first = block->n * COW_BLOCK_SECTORS;
	uint64_t last = check->probe->device >> COW_SECTOR_SHIFT;
	char why[64];

	last = moo_min(first + COW_BLOCK_SECTORS, last) - 1;
	check->bad++;
	if (block->error)
		snprintf(why, sizeof(why), "can not be read: %s",
			 strerror(-block->error));
	else
		snprintf(why, sizeof(why), "was sealed as %08x and is %08x",
			 crc, block->crc);
	check_found(check, CHECK_LASTS,
		    "data of sectors %llu to %llu, at byte %llu of the file, %s",
		    (unsigned long long)first, (unsigned long long)last,
		    (unsigned long long)block->place, why);
}

/* @block holds data: what does the seal say? */
static int compare(struct joint *joint, const struct moo_block *block,
		   struct cow_error *err)
{
	struct check *check = joint->check;

	if (!joint->more || joint->sealed != block->n) {
		joint->sound = false;
		check_found(check, CHECK_SEAL,
			    "its seal is not of what it holds: block %llu of the disk",
			    (unsigned long long)(joint->more ?
				moo_min(joint->sealed, block->n) : block->n));
		return 0;
	}
	check->verified += check->data;
	if (check->data && (block->error || block->crc != joint->crc))
		bad_block(check, block, joint->crc);
	return next_sealed(joint, err);
}

static int walk_blocks(struct joint *joint, struct moo_blocks *blocks,
		       struct cow_error *err)
{
	const struct moo_probe *p = joint->check->probe;
	struct moo_progress progress;
	struct moo_block block;
	int ret = 1;

	moo_progress_begin(&progress, p->name,
			   p->hdr.v4.owned << COW_SECTOR_SHIFT);
	while (joint->sound) {
		ret = moo_blocks_next(blocks, &block, err);
		if (ret <= 0)
			break;
		moo_progress_at(&progress, blocks->read);
		ret = compare(joint, &block, err);
		if (ret)
			break;
	}
	moo_progress_end(&progress);
	return ret;
}

static int join_blocks(struct joint *joint, struct cow_error *err)
{
	struct moo_blocks blocks;
	int ret;

	ret = moo_blocks_begin(&blocks, joint->check->probe, joint->check->data,
			       err);
	if (!ret)
		ret = walk_blocks(joint, &blocks, err);
	moo_blocks_end(&blocks);
	return ret;
}

/* ---- without data ------------------------------------------------------ */

/* Data in its place is in every block, so only the seal has to be read. */
static int count_sealed(struct joint *joint, struct cow_error *err)
{
	int ret = 0;

	while (!ret && joint->more && joint->sound) {
		if (joint->check->probe->hdr.v4.kind == COW_KIND_DISK &&
		    joint->sealed != joint->count - 1)
			break;
		ret = next_sealed(joint, err);
	}
	return ret;
}

static bool whole_disk(const struct joint *joint)
{
	const struct check *check = joint->check;

	return check->probe->hdr.v4.kind != COW_KIND_DISK ||
	       joint->count == check->total;
}

/* What holds data is known only then. */
static bool index_sound(const struct check *check)
{
	return !check->lasting && !(check->mend & CHECK_COUNT);
}

static int join(struct joint *joint, struct cow_error *err)
{
	struct check *check = joint->check;
	const struct cow_disk_v4 *v4 = &check->probe->hdr.v4;
	bool disk = v4->kind == COW_KIND_DISK;
	int ret;

	joint->sound = true;
	ret = next_sealed(joint, err);
	if (!ret && joint->sound && index_sound(check) && (check->data || !disk))
		ret = join_blocks(joint, err);
	else if (!ret)
		ret = count_sealed(joint, err);
	if (ret || !joint->sound)
		return ret;
	if (joint->more || joint->count != v4->sealed || !whole_disk(joint)) {
		joint->sound = false;
		check_found(check, CHECK_SEAL,
			    "its seal has other blocks than its header says");
	}
	return 0;
}

/* ---- the pages --------------------------------------------------------- */

static bool page_is_free(struct check *check, uint64_t block)
{
	if (!check_bit(check->map.used, block))
		return true;
	check_found(check, CHECK_SEAL,
		    "its seal has a page at block %llu, which is used twice",
		    (unsigned long long)block);
	return false;
}

static bool pages_free(struct check *check)
{
	const struct cow_disk_v4 *v4 = &check->probe->hdr.v4;
	uint64_t end = v4->seal + v4->seal_pages, block = v4->seal;

	/* Behind a disk in its place there is nothing else. */
	if (v4->kind == COW_KIND_DISK)
		return true;
	while (block < end && page_is_free(check, block))
		block++;
	return block == end;
}

static bool pages_sound(struct check *check)
{
	const struct cow_disk_v4 *v4 = &check->probe->hdr.v4;

	if (v4->seal_content != v4->content) {
		check_found(check, CHECK_SEAL,
			    "its seal is of content generation %llu, and it has %llu",
			    (unsigned long long)v4->seal_content,
			    (unsigned long long)v4->content);
		return false;
	}
	if (!check_block_whole(check, v4->seal + v4->seal_pages - 1)) {
		check_found(check, CHECK_SEAL,
			    "its seal is cut off by the end of the file");
		return false;
	}
	return pages_free(check);
}

/* From here on they are in use; of a seal that is none they are not. */
static void take_pages(struct check *check)
{
	const struct cow_disk_v4 *v4 = &check->probe->hdr.v4;
	uint64_t end = v4->seal + v4->seal_pages, block;

	if (v4->kind == COW_KIND_DISK) {
		check->end = end << COW_BLOCK_SHIFT;
		return;
	}
	for (block = v4->seal; block < end; block++)
		check_set_bit(check->map.used, block);
	if (end > check->map.top)
		check->map.top = end;
}

int check_seal(struct check *check, struct cow_error *err)
{
	struct joint joint = { .check = check };
	int ret;

	if (!cow_v4_sealed(&check->probe->hdr.v4) || !pages_sound(check))
		return 0;
	ret = moo_seal_open(&joint.in, check->probe, err);
	if (!ret)
		ret = join(&joint, err);
	moo_seal_close(&joint.in);
	if (!ret && joint.sound)
		take_pages(check);
	return ret;
}
