/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Sets of blocks, as extents.
 *
 * Duty: what the V4 layer knows of the room in its file that nobody uses.
 *
 * Invariants: extents do not overlap. Those of a set that was sorted or merged
 * into are in ascending order, and stay so while blocks are taken.
 */
#ifndef COW_EXTENTS_H
#define COW_EXTENTS_H

#include <stdbool.h>
#include <stdint.h>

#define COW_EXTENTS		32768u	/* of one set */
#define COW_EXTENT_LONGEST	65536u	/* blocks: what an entry on disk holds */

/**
 * struct extent - blocks in sequence
 * @data: they held data, not index pages
 */
struct extent {
	uint64_t start;
	uint32_t count;
	bool data;
};

/**
 * struct extents - a set
 * @ext: [COW_EXTENTS]
 * @first, @end: where in @ext it begins and ends
 * @stuck: full, and packing it is of little use
 */
struct extents {
	struct extent *ext;
	unsigned int first;
	unsigned int end;
	bool stuck;
};

static inline bool cow_extents_empty(const struct extents *set)
{
	return set->first == set->end;
}

static inline unsigned int cow_extents_count(const struct extents *set)
{
	return set->end - set->first;
}

static inline void cow_extents_clear(struct extents *set)
{
	set->first = 0;
	set->end = 0;
	set->stuck = false;
}

/* Behind the last one, which becomes longer if @start follows it. */
void cow_extents_add(struct extents *set, uint64_t start, uint32_t count,
		     bool data);

/* Add all of @from, in its order; @from is empty then. */
void cow_extents_move(struct extents *to, struct extents *from);

void cow_extents_sort(struct extents *set);

/* Both are sorted, and @to stays so; @from and @spare are empty then. */
void cow_extents_merge(struct extents *to, struct extents *from,
		       struct extents *spare);

/* One block of a set that is not empty. */
uint64_t cow_extents_take_first(struct extents *set);
uint64_t cow_extents_take_last(struct extents *set);

#endif
