// SPDX-License-Identifier: GPL-2.0-only
/*
 * The set of seen.h: a hash table with open addresses, at most half full.
 */
#include <stdlib.h>

#include "seen.h"

struct seen {
	uint64_t *slot;		/* 0: free */
	uint64_t mask;
	uint64_t count;
};

struct seen *seen_new(void)
{
	struct seen *seen = calloc(1, sizeof(*seen));

	seen->mask = 1023;
	seen->slot = calloc(seen->mask + 1, sizeof(*seen->slot));
	return seen;
}

void seen_free(struct seen *seen)
{
	free(seen->slot);
	free(seen);
}

static uint64_t *place_of(const struct seen *seen, uint64_t number)
{
	uint64_t at = number;

	while (seen->slot[at & seen->mask] &&
	       seen->slot[at & seen->mask] != number)
		at++;
	return &seen->slot[at & seen->mask];
}

static void grow(struct seen *seen)
{
	uint64_t *old = seen->slot, i, n = seen->mask + 1;

	seen->mask = 2 * n - 1;
	seen->slot = calloc(2 * n, sizeof(*seen->slot));
	for (i = 0; i < n; i++) {
		if (old[i])
			*place_of(seen, old[i]) = old[i];
	}
	free(old);
}

bool seen_add(struct seen *seen, uint64_t number)
{
	uint64_t *place;

	number += !number;
	if (seen->count > seen->mask / 2)
		grow(seen);
	place = place_of(seen, number);
	if (*place)
		return false;
	*place = number;
	seen->count++;
	return true;
}
