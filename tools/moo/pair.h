/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Two disks side by side: what moo diff, convert and rebase share.
 */
#ifndef MOO_PAIR_H
#define MOO_PAIR_H

#include "moo.h"

/**
 * struct moo_pair - the same stretch of two disks
 * @chain: the disks
 * @start: its first byte
 * @length: of the stretch; at the end 0
 * @ext: where each disk has it from; its length is 0 behind the disk's end
 */
struct moo_pair {
	struct moo_chain *chain[2];
	uint64_t start;
	uint64_t length;
	struct moo_extent ext[2];
};

/**
 * moo_pair_at() - the stretch from @start on in which nothing changes
 *
 * It ends where either disk takes its bytes from elsewhere, or ends.
 */
int moo_pair_at(struct moo_pair *pair, uint64_t start, struct cow_error *err);

/**
 * moo_pair_same() - do both take it from one place, or have zeros?
 *
 * False says nothing: the bytes may be equal all the same.
 */
bool moo_pair_same(const struct moo_pair *pair);

/* How much of each disk is read at a time; two fit into MOO_BUFFER. */
#define MOO_PAIR	(MOO_BUFFER / 2)

/**
 * moo_pair_read() - what both disks have in the stretch, or in its first part
 * @buf: MOO_BUFFER bytes: of the first disk, and from MOO_PAIR on of the other
 *
 * The stretch becomes as long as what was read. Behind the end of a disk there
 * are zeros.
 */
int moo_pair_read(struct moo_pair *pair, uint8_t *buf, struct cow_error *err);

/**
 * moo_pair_copy() - give @to the sectors of the first disk that are not those of
 * the other, in the stretch or in its first part
 * @buf: MOO_BUFFER bytes
 *
 * The stretch becomes as long as what was done. In copy.c.
 */
int moo_pair_copy(struct moo_pair *pair, struct moo_chain *to, uint8_t *buf,
		  struct cow_error *err);

/**
 * moo_pair_common() - the uppermost layer that both disks have
 * @depth: its depth in each
 *
 * Return: false if they have none.
 */
bool moo_pair_common(const struct moo_pair *pair, unsigned int depth[2]);

#endif
