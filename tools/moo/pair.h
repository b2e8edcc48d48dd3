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

/**
 * moo_pair_read() - the first @len bytes of the stretch, of one of the disks
 * @n: 0 or 1; behind the end of that disk there are zeros
 */
int moo_pair_read(struct moo_pair *pair, unsigned int n, void *buf, size_t len,
		  struct cow_error *err);

/**
 * moo_pair_common() - the uppermost layer that both disks have
 * @depth: its depth in each
 *
 * Return: false if they have none.
 */
bool moo_pair_common(const struct moo_pair *pair, unsigned int depth[2]);

#endif
