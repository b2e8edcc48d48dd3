/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The sectors that requests go to: where something begins or ends.
 *
 * Duty: numbers without gaps, the twin's, for the start of the device, the
 * border between two windows of a merge, that between two V4 leaves, and the
 * device's end.
 */
#ifndef PLACE_H
#define PLACE_H

#include <stdint.h>

#define PLACE_COUNT	64u
#define PLACE_LONGEST	24u

struct place_range {
	unsigned int index;
	unsigned int sector;
	unsigned int count;
};

static const struct place_range place_ranges[] = {
	{ 0, 0, 24 }, { 24, 2040, 16 }, { 40, 4024, 16 }, { 56, 4092, 8 },
};

static inline const struct place_range *place_of(unsigned int index)
{
	const struct place_range *range = place_ranges;

	while (index >= range->index + range->count)
		range++;
	return range;
}

static inline uint64_t place_sector(unsigned int index)
{
	const struct place_range *range = place_of(index);

	return range->sector + (index - range->index);
}

/* Sectors from @index to the end of its range. */
static inline unsigned int place_left(unsigned int index)
{
	const struct place_range *range = place_of(index);

	return range->index + range->count - index;
}

#endif
