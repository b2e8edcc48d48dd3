// SPDX-License-Identifier: GPL-2.0-only
/*
 * The blocks of a V4 file that hold data, and their checksums.
 *
 * Duty: put blocks together from runs of sectors, whatever part of them holds
 * data.
 *
 * Invariants: memory does not depend on the file. A sector that holds no data
 * has no influence on a checksum, whatever stands in its place.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "blocks.h"

int moo_blocks_begin(struct moo_blocks *blocks, const struct moo_probe *probe,
		     bool data, struct cow_error *err)
{
	*blocks = (struct moo_blocks){
		.data = data,
		.buf = malloc(MOO_BUFFER),
		.block = malloc(COW_BLOCK_SIZE),
	};
	if (!blocks->buf || !blocks->block)
		return moo_fail(err, -ENOMEM, "%s: out of memory", probe->name);
	return moo_runs_begin(&blocks->runs, probe, false, err);
}

void moo_blocks_end(struct moo_blocks *blocks)
{
	moo_runs_end(&blocks->runs);
	free(blocks->buf);
	free(blocks->block);
}

/* Have some data in blocks->run, unless there is none behind blocks->at. */
static int find_data(struct moo_blocks *blocks, struct cow_error *err)
{
	const struct moo_probe *p = blocks->runs.probe;
	uint64_t sectors = p->device >> COW_SECTOR_SHIFT;
	int ret;

	while (!blocks->run.count && blocks->at < sectors) {
		ret = moo_runs_at(&blocks->runs, blocks->at, &blocks->run, err);
		if (ret)
			return ret;
		blocks->at += blocks->run.count;
		if (blocks->run.state != COW_DATA)
			blocks->run.count = 0;
	}
	return 0;
}

static int64_t read_at(struct moo_blocks *blocks, void *buf, size_t len,
		       uint64_t place)
{
	const struct moo_probe *p = blocks->runs.probe;

	return p->env.io->pread(p->env.ctx, p->fd, buf, len, place);
}

/* Where one of many bytes can not be read, each block is tried by itself. */
static void read_along(struct moo_blocks *blocks, uint64_t place)
{
	uint64_t len = moo_min(blocks->run.count << COW_SECTOR_SHIFT,
			       MOO_BUFFER);
	int64_t got = read_at(blocks, blocks->buf, len, place);

	blocks->buf_at = place;
	blocks->buf_len = got < 0 ? 0 : got;
	if (got < (int64_t)len)
		blocks->alone = place + len;
}

/* The first @len bytes of blocks->run. */
static int read_data(struct moo_blocks *blocks, uint8_t *to, size_t len)
{
	uint64_t place = blocks->run.place;
	int64_t got;

	blocks->read += len;
	if ((place < blocks->buf_at ||
	     place + len > blocks->buf_at + blocks->buf_len) &&
	    place >= blocks->alone)
		read_along(blocks, place);
	if (place >= blocks->buf_at &&
	    place + len <= blocks->buf_at + blocks->buf_len) {
		memcpy(to, blocks->buf + (place - blocks->buf_at), len);
		return 0;
	}
	got = read_at(blocks, to, len, place);
	if (got < 0)
		return got;
	return got < (int64_t)len ? -ENODATA : 0;
}

/* The sectors of blocks->run that lie in its first block. */
static void take_part(struct moo_blocks *blocks, struct moo_block *block)
{
	struct cow_run *run = &blocks->run;
	unsigned int first = run->sector % COW_BLOCK_SECTORS;
	uint64_t part = moo_min(run->count, COW_BLOCK_SECTORS - first);
	size_t offset = first << COW_SECTOR_SHIFT;
	size_t len = part << COW_SECTOR_SHIFT;
	int err = 0;

	block->place = run->place - offset;
	if (blocks->data)
		err = read_data(blocks, blocks->block + offset, len);
	if (err)
		block->error = err;
	run->sector += part;
	run->place += len;
	run->count -= part;
}

int moo_blocks_next(struct moo_blocks *blocks, struct moo_block *block,
		    struct cow_error *err)
{
	int ret = find_data(blocks, err);

	if (ret || !blocks->run.count)
		return ret;
	*block = (struct moo_block){
		.n = blocks->run.sector / COW_BLOCK_SECTORS,
	};
	memset(blocks->block, 0, COW_BLOCK_SIZE);
	while (!ret && blocks->run.count &&
	       blocks->run.sector / COW_BLOCK_SECTORS == block->n) {
		take_part(blocks, block);
		ret = find_data(blocks, err);
	}
	if (ret)
		return ret;
	if (blocks->data)
		block->crc = cow_crc32c(0, blocks->block, COW_BLOCK_SIZE);
	return 1;
}
