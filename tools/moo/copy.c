// SPDX-License-Identifier: GPL-2.0-only
/*
 * Moving content: a chain into a raw file, a layer into another layer, the
 * difference of two chains into a layer.
 *
 * Invariants: ownership is carried over sector by sector; holes stay holes; the
 * magic of a COW file never gets to the first sector of a raw file unless that
 * was asked for.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pair.h"

/* From how many bytes on the host, which may share them, is asked to copy. */
#define BY_HOST	(64u << 10)

static void *take_buffer(const struct moo_chain *chain, struct cow_error *err)
{
	void *buf = chain->env.alloc(MOO_BUFFER);

	if (!buf)
		moo_fail(err, -ENOMEM, "%s: out of memory", chain->name);
	return buf;
}

/* ---- into a raw file --------------------------------------------------- */

static int refuse_magic(const struct moo_output *out, const uint8_t *buf,
			uint64_t offset, struct cow_error *err)
{
	if (offset || !cow_is_magic(buf))
		return 0;
	return moo_fail(err, -EPERM,
			"%s: would begin with the magic of a COW file and be taken for one; give --raw if that is meant",
			out->path);
}

static int write_raw(const struct moo_output *out, const void *buf, size_t len,
		     uint64_t offset, struct cow_error *err)
{
	const struct cow_env *env = out->env;
	int ret = env->io->pwrite(env->ctx, out->fd, buf, len, offset);

	if (ret)
		moo_fail(err, ret, "%s: can not be written: %s", out->path,
			 strerror(-ret));
	return ret;
}

/* Short ones are quicker read and written. The first sector is looked at. */
static bool copied_by_host(struct moo_chain *chain,
			   const struct moo_output *out, bool magic,
			   const struct moo_extent *ext)
{
	return ext->length >= BY_HOST && (magic || ext->start) &&
	       !moo_chain_copy(chain, ext, out->fd, ext->start);
}

/* Copy @ext, or its first part; answers in @ext how much it was. */
static int flatten_part(struct moo_chain *chain, const struct moo_output *out,
			bool magic, uint8_t *buf, struct moo_extent *ext,
			struct cow_error *err)
{
	int ret;

	if (!ext->data)
		return 0;
	ext->length = moo_min(ext->length, MOO_BUFFER);
	if (copied_by_host(chain, out, magic, ext))
		return 0;
	ret = moo_chain_read(chain, ext->start, buf, ext->length, err);
	if (!ret && !magic)
		ret = refuse_magic(out, buf, ext->start, err);
	if (!ret)
		ret = write_raw(out, buf, ext->length, ext->start, err);
	return ret;
}

static int flatten_all(struct moo_chain *chain, const struct moo_output *out,
		       bool magic, uint8_t *buf, struct cow_error *err)
{
	uint64_t size = chain->file->size;
	struct moo_progress progress;
	struct moo_extent ext;
	uint64_t at;
	int ret = 0;

	moo_progress_begin(&progress, out->path, size);
	for (at = 0; at < size && !ret; at += ext.length) {
		if (moo_cancel_due())
			ret = moo_cancel(out->path, err);
		if (!ret)
			ret = moo_chain_next(chain, COW_MAP_CHAIN, at, &ext,
					     err);
		if (!ret)
			ret = flatten_part(chain, out, magic, buf, &ext, err);
		if (ret)
			break;
		moo_progress_at(&progress, at);
	}
	moo_progress_end(&progress);
	return ret;
}

/*
 * A raw base need not end on a sector, and the result ends where it did; but
 * not if somebody has written to the rest of its last sector.
 */
static int flatten_size(struct moo_chain *chain, const struct moo_output *out,
			uint8_t *buf, struct cow_error *err)
{
	const struct cow_env *env = out->env;
	uint64_t size = chain->file->size;
	uint64_t bytes, at;
	int ret;

	ret = moo_chain_bytes(chain, &bytes, err);
	if (ret)
		return ret;
	if (bytes < size) {
		ret = moo_chain_read(chain, size - COW_SECTOR_SIZE, buf,
				     COW_SECTOR_SIZE, err);
		if (ret)
			return ret;
		for (at = bytes % COW_SECTOR_SIZE; at < COW_SECTOR_SIZE; at++)
			if (buf[at])
				bytes = size;
	}
	ret = env->io->truncate(env->ctx, out->fd, bytes);
	if (ret)
		moo_fail(err, ret, "%s: can not be written: %s", out->path,
			 strerror(-ret));
	return ret;
}

int moo_flatten(struct moo_chain *chain, const struct moo_output *out,
		bool magic, struct cow_error *err)
{
	uint8_t *buf = take_buffer(chain, err);
	int ret;

	if (!buf)
		return -ENOMEM;
	ret = flatten_all(chain, out, magic, buf, err);
	if (!ret)
		ret = flatten_size(chain, out, buf, err);
	chain->env.free(buf, MOO_BUFFER);
	return ret;
}

/* ---- into a layer ------------------------------------------------------ */

static int change_layer(struct moo_chain *to,
			int (*call)(struct common_file *file,
				    struct common_io *io),
			uint64_t offset, void *buf, uint64_t len,
			struct cow_error *err)
{
	int ret = moo_chain_submit(to, call, offset, buf, len);

	if (ret == -EPERM && !offset)
		return moo_fail(err, ret,
				"%s: its first sector would begin with the magic of a COW file, which is refused",
				to->name);
	if (ret)
		moo_fail(err, ret, "%s: can not be written: %s", to->name,
			 strerror(-ret));
	return ret;
}

static int write_layer(struct moo_chain *to, uint64_t offset, void *buf,
		       size_t len, struct cow_error *err)
{
	return change_layer(to, common_pwrite, offset, buf, len, err);
}

int moo_flush(struct moo_chain *to, struct cow_error *err)
{
	return change_layer(to, common_flush, 0, NULL, 0, err);
}

/* The sectors become zeros, without room in the file where that can be. */
static int zero_layer(struct moo_chain *to, uint64_t offset, uint64_t len,
		      struct cow_error *err)
{
	int ret;

	/* What a disk without parent does not own is zero. */
	if (to->depth == 1)
		return 0;
	ret = change_layer(to, common_zeroes, offset, NULL, len, err);
	if (!ret)
		ret = change_layer(to, common_discard, offset, NULL, len, err);
	return ret;
}

/* Copy @ext, or its first part; answers in @ext how much it was. */
static int copy_part(struct moo_chain *from, struct moo_chain *to,
		     struct moo_extent *ext, void *buf, struct cow_error *err)
{
	int ret;

	if (!ext->present)
		return 0;
	if (ext->zero)
		return zero_layer(to, ext->start, ext->length, err);
	ext->length = moo_min(ext->length, MOO_BUFFER);
	ret = moo_chain_read(from, ext->start, buf, ext->length, err);
	if (!ret)
		ret = write_layer(to, ext->start, buf, ext->length, err);
	return ret;
}

/* One stretch at @at: what is done with it, and in *@len how long it was. */
typedef int carry_fn(struct moo_chain *from, struct moo_chain *to, uint64_t at,
		     uint64_t *len, uint8_t *buf, struct cow_error *err);

static int carry_all(struct moo_chain *from, struct moo_chain *to,
		     carry_fn *carry, uint8_t *buf, struct cow_error *err)
{
	uint64_t size = from->file->size;
	struct moo_progress progress;
	uint64_t at = 0, len;
	int ret = 0;

	moo_progress_begin(&progress, from->name, size);
	while (at < size && !ret) {
		if (moo_cancel_due()) {
			ret = moo_cancel(from->name, err);
			break;
		}
		ret = carry(from, to, at, &len, buf, err);
		at += len;
		moo_progress_at(&progress, at);
	}
	if (!ret)
		ret = moo_flush(to, err);
	moo_progress_end(&progress);
	return ret;
}

/* From the first byte to the last, durable at the end. */
static int carry_layer(struct moo_chain *from, struct moo_chain *to,
		       carry_fn *carry, struct cow_error *err)
{
	void *buf = take_buffer(from, err);
	int ret;

	if (!buf)
		return -ENOMEM;
	ret = carry_all(from, to, carry, buf, err);
	from->env.free(buf, MOO_BUFFER);
	return ret;
}

static int copy_next(struct moo_chain *from, struct moo_chain *to, uint64_t at,
		     uint64_t *len, uint8_t *buf, struct cow_error *err)
{
	struct moo_extent ext;
	int ret = moo_chain_next(from, 0, at, &ext, err);

	if (!ret)
		ret = copy_part(from, to, &ext, buf, err);
	*len = ret ? 0 : ext.length;
	return ret;
}

int moo_copy_layer(struct moo_chain *from, struct moo_chain *to,
		   struct cow_error *err)
{
	return carry_layer(from, to, copy_next, err);
}

/* ---- the difference ---------------------------------------------------- */

enum sector { SECTOR_SAME, SECTOR_ZERO, SECTOR_DATA };

static enum sector compare_sector(const uint8_t *new, const uint8_t *old)
{
	static const uint8_t zeros[COW_SECTOR_SIZE];

	if (!memcmp(new, old, COW_SECTOR_SIZE))
		return SECTOR_SAME;
	if (!memcmp(new, zeros, COW_SECTOR_SIZE))
		return SECTOR_ZERO;
	return SECTOR_DATA;
}

/* Write the sectors of @new that are not those of @old. */
static int write_difference(struct moo_chain *to, uint64_t offset, uint8_t *new,
			    const uint8_t *old, size_t len,
			    struct cow_error *err)
{
	size_t at = 0, first;
	enum sector kind;
	int ret = 0;

	while (at < len && !ret) {
		first = at;
		kind = compare_sector(new + at, old + at);
		do {
			at += COW_SECTOR_SIZE;
		} while (at < len && compare_sector(new + at, old + at) == kind);
		if (kind == SECTOR_DATA)
			ret = write_layer(to, offset + first, new + first,
					  at - first, err);
		else if (kind == SECTOR_ZERO)
			ret = zero_layer(to, offset + first, at - first, err);
	}
	return ret;
}

int moo_pair_copy(struct moo_pair *pair, struct moo_chain *to, uint8_t *buf,
		  struct cow_error *err)
{
	int ret = moo_pair_read(pair, buf, err);

	return ret ? ret : write_difference(to, pair->start, buf,
					    buf + MOO_PAIR, pair->length, err);
}

/* Where both have zeros, or the same bytes of a file, nothing is read. */
static int compare_next(struct moo_chain *from, struct moo_chain *to,
			uint64_t at, uint64_t *len, uint8_t *buf,
			struct cow_error *err)
{
	struct moo_pair pair = { .chain = { from, to } };
	int ret;

	ret = moo_pair_at(&pair, at, err);
	if (!ret && !moo_pair_same(&pair))
		ret = moo_pair_copy(&pair, to, buf, err);
	*len = ret ? 0 : pair.length;
	return ret;
}

int moo_copy_difference(struct moo_chain *from, struct moo_chain *to,
			struct cow_error *err)
{
	return carry_layer(from, to, compare_next, err);
}
