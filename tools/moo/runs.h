/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which sectors one file owns, whether its parent can be opened or not.
 */
#ifndef MOO_RUNS_H
#define MOO_RUNS_H

#include "moo.h"

/**
 * struct moo_runs - a look at the bitmap or the index of one file
 * @probe: the file
 * @v4: the header whose index is read
 * @page: V4: the page of each level that was read last
 * @place: V4: the block that it stands in; 0: none was read
 * @bits: V1 to V3: a part of the bitmap
 * @bits_at: byte of the bitmap that the part begins with
 * @bits_len: bytes of it
 */
struct moo_runs {
	const struct moo_probe *probe;
	struct cow_disk_v4 v4;
	struct cow_disk_page *page;
	uint64_t place[COW_V4_MAX_LEVELS];
	uint8_t *bits;
	uint64_t bits_at;
	uint64_t bits_len;
};

/**
 * moo_runs_begin() - begin to look
 * @beside: somebody may be writing: see one generation of the index
 *
 * End it with moo_runs_end(), also after a failure.
 */
int moo_runs_begin(struct moo_runs *runs, const struct moo_probe *probe,
		   bool beside, struct cow_error *err);
void moo_runs_end(struct moo_runs *runs);

/**
 * moo_runs_at() - the sectors from @sector on that are alike and in sequence
 * @sector: below the number of sectors
 *
 * What follows may be alike, too.
 */
int moo_runs_at(struct moo_runs *runs, uint64_t sector, struct cow_run *run,
		struct cow_error *err);

#endif
