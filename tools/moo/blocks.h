/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The blocks of a V4 file that hold data, in the order of the disk, and their
 * checksums: what a seal is of.
 */
#ifndef MOO_BLOCKS_H
#define MOO_BLOCKS_H

#include "runs.h"

/**
 * struct moo_block - a block that holds data
 * @n: which block of the disk: its first sector is 8 * @n
 * @place: byte of the file where the block begins
 * @crc: CRC32C of its 4096 bytes, sectors that hold no data taken as zeros
 * @error: why it could not be read, or 0
 */
struct moo_block {
	uint64_t n;
	uint64_t place;
	uint32_t crc;
	int error;
};

/**
 * struct moo_blocks - a walk over them
 * @runs: where data is
 * @data: read it, too
 * @run: data that was found, and not yet looked at
 * @at: first sector behind it
 * @read: bytes read so far
 * @buf: MOO_BUFFER bytes of the file, from @buf_at on
 * @buf_len: how many of them are there
 * @alone: before this byte blocks are read one by one
 * @block: the one that is put together
 */
struct moo_blocks {
	struct moo_runs runs;
	bool data;
	struct cow_run run;
	uint64_t at;
	uint64_t read;
	uint8_t *buf;
	uint64_t buf_at;
	uint64_t buf_len;
	uint64_t alone;
	uint8_t *block;
};

/**
 * moo_blocks_begin() - begin with the first one
 * @probe: of V4; neither its header nor its index changes until the end
 * @data: read the data; otherwise checksums are 0
 *
 * End it with moo_blocks_end(), also after a failure.
 */
int moo_blocks_begin(struct moo_blocks *blocks, const struct moo_probe *probe,
		     bool data, struct cow_error *err);
void moo_blocks_end(struct moo_blocks *blocks);

/**
 * moo_blocks_next() - the next one
 *
 * Data that can not be read is told in @block->error, and the walk goes on.
 * Return: 1, 0 if there are no more, or a negative errno.
 */
int moo_blocks_next(struct moo_blocks *blocks, struct moo_block *block,
		    struct cow_error *err);

#endif
