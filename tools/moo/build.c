// SPDX-License-Identifier: GPL-2.0-only
/*
 * A COW file of any version, made from its header and what it owns.
 *
 * Duty: lay out data, bitmap or index, and header in a file that nobody knows
 * yet. The engine could not: it would need the parent, and give the file a UUID
 * and a generation of its own.
 *
 * Invariants: sectors come in rising order, so that each page is written once,
 * and no more than one page of each level is in memory.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "build.h"
#include "record.h"

#define PART_BITS	(COW_BLOCK_SIZE * 8ull)

static bool is_disk(const struct moo_build *build)
{
	return build->hdr->format == COW_V4 &&
	       build->hdr->v4.kind == COW_KIND_DISK;
}

static bool is_index(const struct moo_build *build)
{
	return build->hdr->format == COW_V4 && !is_disk(build);
}

/* ---- data -------------------------------------------------------------- */

static int write_at(struct moo_build *build, const void *buf, size_t len,
		    uint64_t offset)
{
	return build->env->io->pwrite(build->env->ctx, build->fd, buf, len,
				      offset);
}

static int write_behind(struct moo_build *build)
{
	size_t len = build->buf_len;

	build->buf_len = 0;
	return len ? write_at(build, build->buf, len, build->buf_at) : 0;
}

/* @len bytes for the place @offset, some time. */
static int put(struct moo_build *build, const uint8_t *data, size_t len,
	       uint64_t offset)
{
	int ret;

	if (build->buf_at + build->buf_len != offset ||
	    build->buf_len + len > MOO_BUFFER) {
		ret = write_behind(build);
		if (ret)
			return ret;
		build->buf_at = offset;
	}
	memcpy(build->buf + build->buf_len, data, len);
	build->buf_len += len;
	return 0;
}

/* ---- V1 to V3 ---------------------------------------------------------- */

static int finish_bits(struct moo_build *build)
{
	const struct cow_header *hdr = build->hdr;
	uint64_t at = build->index[0] * COW_BLOCK_SIZE;

	if (!build->used[0])
		return 0;
	build->used[0] = false;
	return write_at(build, build->page,
			moo_min(COW_BLOCK_SIZE, hdr->bitmap_len - at),
			hdr->bitmap_offset + at);
}

/* @count sectors of one byte. */
static int own_bits(struct moo_build *build, uint64_t sector,
		    unsigned int count)
{
	uint8_t *bits = (uint8_t *)build->page;
	uint64_t part = sector / PART_BITS;
	int ret;

	if (sector / 8 >= build->hdr->bitmap_len)
		return -EINVAL;
	if (!build->used[0] || build->index[0] != part) {
		ret = finish_bits(build);
		if (ret)
			return ret;
		memset(bits, 0, COW_BLOCK_SIZE);
		build->index[0] = part;
		build->used[0] = true;
	}
	bits[sector % PART_BITS / 8] |= ((1u << count) - 1) << sector % 8;
	return 0;
}

/* ---- V4 ---------------------------------------------------------------- */

static int finish_page(struct moo_build *build, unsigned int level);

/* Have the page of @level with position @index at hand. */
static int turn_to(struct moo_build *build, unsigned int level, uint64_t index)
{
	int ret;

	if (build->used[level] && build->index[level] == index)
		return 0;
	ret = finish_page(build, level);
	if (ret)
		return ret;
	memset(&build->page[level], 0, sizeof(build->page[level]));
	build->index[level] = index;
	build->used[level] = true;
	return 0;
}

/* Write the page of @level, and have the one above refer to it. */
static int finish_page(struct moo_build *build, unsigned int level)
{
	struct cow_disk_v4 *v4 = &build->hdr->v4;
	uint64_t index = build->index[level], block;
	int ret = 0;

	if (!build->used[level])
		return 0;
	block = v4->end++;
	build->used[level] = false;
	if (level + 1 == v4->levels)
		v4->root = block;
	else
		ret = turn_to(build, level + 1, index / COW_PAGE_ENTRIES);
	if (ret)
		return ret;
	if (level + 1 < v4->levels)
		build->page[level + 1].entry[index % COW_PAGE_ENTRIES] =
			cow_be64(block << COW_ENTRY_SHIFT);
	cow_page_seal(&build->page[level], v4->uuid, level, index, block,
		      v4->generation);
	return write_at(build, &build->page[level], COW_BLOCK_SIZE,
			block << COW_BLOCK_SHIFT);
}

/* @count sectors of one block; in @place where that is, if they hold data. */
static int own_entry(struct moo_build *build, uint64_t sector,
		     unsigned int count, enum cow_run_state state,
		     uint64_t *place)
{
	unsigned int first = sector % COW_BLOCK_SECTORS;
	uint64_t n = sector / COW_BLOCK_SECTORS;
	uint64_t *slot, entry, states;
	int ret;

	ret = turn_to(build, 0, n / COW_PAGE_ENTRIES);
	if (ret)
		return ret;
	slot = &build->page[0].entry[n % COW_PAGE_ENTRIES];
	entry = cow_be64(*slot);
	if (state == COW_DATA && !(entry >> COW_ENTRY_SHIFT))
		entry |= build->hdr->v4.end++ << COW_ENTRY_SHIFT;
	states = state == COW_DATA ? COW_ENTRY_ALL_DATA : COW_ENTRY_ALL_ZERO;
	states &= (1u << 2 * count) - 1;
	*slot = cow_be64(entry | states << 2 * first);
	*place = (entry >> COW_ENTRY_SHIFT << COW_BLOCK_SHIFT) +
		 (first << COW_SECTOR_SHIFT);
	return 0;
}

/* ---- all versions ------------------------------------------------------ */

/* Sectors of one group of eight, which share an entry or a byte. */
static int own_group(struct moo_build *build, uint64_t sector,
		     unsigned int count, enum cow_run_state state,
		     const uint8_t *data)
{
	uint64_t place = sector << COW_SECTOR_SHIFT;
	int ret = 0;

	if (is_index(build))
		ret = own_entry(build, sector, count, state, &place);
	else if (state != COW_DATA)
		ret = -EINVAL;
	else if (is_disk(build))
		place += build->hdr->v4.end << COW_BLOCK_SHIFT;
	else
		ret = own_bits(build, sector, count);
	if (build->hdr->format != COW_V4)
		place += build->hdr->data_offset;
	if (!ret && data)
		ret = put(build, data, count << COW_SECTOR_SHIFT, place);
	return ret;
}

int moo_build_own(struct moo_build *build, uint64_t sector, uint64_t count,
		  enum cow_run_state state, const uint8_t *data)
{
	unsigned int part;
	int ret = 0;

	build->owned += count;
	/* The file has its full length from the start: one hole. */
	if (is_disk(build) && state == COW_DATA && !data)
		return 0;
	while (!ret && count) {
		part = moo_min(count, COW_BLOCK_SECTORS -
				      sector % COW_BLOCK_SECTORS);
		ret = own_group(build, sector, part, state, data);
		sector += part;
		count -= part;
		if (data)
			data += part << COW_SECTOR_SHIFT;
	}
	return ret;
}

/* ---- header ------------------------------------------------------------ */

/* What is left to the writer of a V4 file, and what it promises of names. */
static void fill_v4(struct moo_build *build)
{
	struct cow_disk_v4 *v4 = &build->hdr->v4;

	v4->root = 0;
	v4->free_list = 0;
	if (cow_v4_sealed(v4))
		cow_v4_unseal(v4);
	v4->block_shift = COW_BLOCK_SHIFT;
	v4->parent = (struct cow_disk_name){
		.len = strlen(build->hdr->parent),
	};
	v4->successor = (struct cow_disk_name){ .len = 0 };
	if (is_disk(build))
		return;
	v4->end = COW_V4_FIRST_BLOCK;
	v4->levels = cow_v4_levels(v4->size);
}

static int begin_v4(struct moo_build *build, const char **why)
{
	struct cow_disk_v4 *v4 = &build->hdr->v4, parsed;
	uint8_t slot[COW_SECTOR_SIZE];
	uint64_t size;
	int ret;

	*why = "its generation is out of range";
	if (v4->generation >> 63)
		return -EINVAL;
	fill_v4(build);
	cow_v4_emit(v4, slot);
	ret = cow_v4_parse(slot, v4->generation & 1, &parsed, why);
	if (ret)
		return ret == -ENOTSUP ? ret : -EINVAL;
	*why = "the name of its parent is not absolute";
	if (build->hdr->parent[0] && build->hdr->parent[0] != '/')
		return -EINVAL;
	size = (v4->end << COW_BLOCK_SHIFT) + (is_disk(build) ? v4->size : 0);
	return build->env->io->truncate(build->env->ctx, build->fd, size);
}

static int begin_stock(struct moo_build *build, const char **why)
{
	struct cow_header *hdr = build->hdr;
	int len;

	*why = "its fields do not fit together";
	hdr->sectorsize = COW_SECTOR_SIZE;
	len = hdr->alignment || hdr->format != COW_V3 ?
	      cow_header_emit(hdr, build->buf) : -EINVAL;
	if (len < 0)
		return -EINVAL;
	return build->env->io->truncate(build->env->ctx, build->fd,
					hdr->data_offset + hdr->size);
}

int moo_build_begin(struct moo_build *build, const struct cow_env *env, int fd,
		    struct cow_header *hdr, const char **why)
{
	*build = (struct moo_build){
		.env = env,
		.fd = fd,
		.hdr = hdr,
		.buf = malloc(MOO_BUFFER),
		.page = calloc(COW_V4_MAX_LEVELS, sizeof(*build->page)),
	};
	if (!build->buf || !build->page)
		return -ENOMEM;
	if (hdr->format == COW_V4)
		return begin_v4(build, why);
	return begin_stock(build, why);
}

void moo_build_free(struct moo_build *build)
{
	free(build->buf);
	free(build->page);
}

static int write_names(struct moo_build *build, const char *successor)
{
	const struct cow_disk_name none = { .len = 0 };
	struct cow_disk_v4 *v4 = &build->hdr->v4;
	int ret;

	ret = cow_v4_put_name(build->env, build->fd, COW_V4_PARENT_BLOCK, &none,
			      build->hdr->parent, &v4->parent);
	if (ret)
		return ret;
	return cow_v4_put_name(build->env, build->fd, COW_V4_SUCCESSOR_BLOCK,
			       &none, successor, &v4->successor);
}

/* Both slots say the same, but that one is a generation older. */
static int write_slots(struct moo_build *build)
{
	struct cow_disk_v4 v4 = build->hdr->v4;
	int ret;

	ret = cow_v4_put_slot(build->env, build->fd, &v4);
	if (ret || !v4.generation)
		return ret;
	v4.generation--;
	return cow_v4_put_slot(build->env, build->fd, &v4);
}

static int end_v4(struct moo_build *build, const char *successor)
{
	struct cow_disk_v4 *v4 = &build->hdr->v4;
	unsigned int level;
	int ret = 0;

	for (level = 0; !ret && level < v4->levels; level++)
		ret = finish_page(build, level);
	/* A hole at the end is in the file, too. */
	if (!ret && !is_disk(build))
		ret = build->env->io->truncate(build->env->ctx, build->fd,
					       v4->end << COW_BLOCK_SHIFT);
	if (!ret)
		ret = write_names(build, successor);
	return ret ? ret : write_slots(build);
}

static int end_stock(struct moo_build *build)
{
	int ret = finish_bits(build);
	int len = cow_header_emit(build->hdr, build->buf);

	if (ret || len < 0)
		return ret ? ret : len;
	return write_at(build, build->buf, len, 0);
}

int moo_build_end(struct moo_build *build, const char *successor)
{
	int ret = write_behind(build);

	if (ret)
		return ret;
	if (build->hdr->format == COW_V4)
		return end_v4(build, successor);
	return end_stock(build);
}
