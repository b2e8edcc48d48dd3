// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two disks side by side.
 *
 * Duty: stretches of two chains that end at the same bytes, and whether both
 * chains have them from the same place.
 *
 * Invariant: a layer is known by its file, not by its name or its depth.
 */
#include <string.h>

#include "pair.h"

static int extent_at(struct moo_chain *chain, uint64_t start,
		     struct moo_extent *ext, struct cow_error *err)
{
	*ext = (struct moo_extent){ .start = start };
	if (start >= chain->file->size)
		return 0;
	return moo_chain_next(chain, COW_MAP_CHAIN, start, ext, err);
}

int moo_pair_at(struct moo_pair *pair, uint64_t start, struct cow_error *err)
{
	struct moo_extent *ext = pair->ext;
	unsigned int n;
	int ret;

	pair->start = start;
	pair->length = UINT64_MAX;
	for (n = 0; n < 2; n++) {
		ret = extent_at(pair->chain[n], start, &ext[n], err);
		if (ret)
			return ret;
		if (ext[n].length)
			pair->length = moo_min(pair->length, ext[n].length);
	}
	if (!ext[0].length && !ext[1].length)
		pair->length = 0;
	for (n = 0; n < 2; n++)
		ext[n].length = moo_min(ext[n].length, pair->length);
	return 0;
}

bool moo_pair_same(const struct moo_pair *pair)
{
	const struct moo_extent *a = &pair->ext[0], *b = &pair->ext[1];
	struct cow_layer_info from[2];

	if (!a->length || !b->length)
		return false;
	if (!a->data && !b->data)
		return true;
	if (!a->data || !b->data || a->offset != b->offset ||
	    cow_layer(pair->chain[0]->file, a->depth, &from[0]) ||
	    cow_layer(pair->chain[1]->file, b->depth, &from[1]))
		return false;
	return moo_same_file(&from[0].id, &from[1].id);
}

static int read_one(const struct moo_pair *pair, unsigned int n, void *buf,
		    struct cow_error *err)
{
	if (pair->ext[n].data)
		return moo_chain_read(pair->chain[n], pair->start, buf,
				      pair->length, err);
	memset(buf, 0, pair->length);
	return 0;
}

int moo_pair_read(struct moo_pair *pair, uint8_t *buf, struct cow_error *err)
{
	int ret;

	pair->length = moo_min(pair->length, MOO_PAIR);
	ret = read_one(pair, 0, buf, err);
	return ret ? ret : read_one(pair, 1, buf + MOO_PAIR, err);
}

bool moo_pair_common(const struct moo_pair *pair, unsigned int depth[2])
{
	struct cow_layer_info a, b;
	unsigned int i, j;

	for (i = 0; !cow_layer(pair->chain[0]->file, i, &a); i++) {
		for (j = 0; !cow_layer(pair->chain[1]->file, j, &b); j++) {
			if (!moo_same_file(&a.id, &b.id))
				continue;
			depth[0] = i;
			depth[1] = j;
			return true;
		}
	}
	return false;
}
