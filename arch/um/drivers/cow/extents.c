// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sets of blocks, as extents.
 *
 * Duty: gather blocks in the order in which they are given up, sort them, and
 * hand them out again.
 *
 * Invariants: no call takes memory, sleeps or recurses. A set that is full
 * forgets what does not fit: its blocks are lost until the file is repaired.
 */
#include <string.h>
#include "extents.h"

static void swap(struct extent *a, struct extent *b)
{
	struct extent c = *a;

	*a = *b;
	*b = c;
}

/* Let the extent at @i of a heap of @n sink to its place. */
static void sink(struct extent *heap, unsigned int i, unsigned int n)
{
	unsigned int child;

	while ((child = 2 * i + 1) < n) {
		if (child + 1 < n && heap[child].start < heap[child + 1].start)
			child++;
		if (heap[i].start >= heap[child].start)
			return;
		swap(&heap[i], &heap[child]);
		i = child;
	}
}

void cow_extents_sort(struct extents *set)
{
	struct extent *heap = set->ext + set->first;
	unsigned int n = set->end - set->first;
	unsigned int i;

	for (i = n / 2; i; i--)
		sink(heap, i - 1, n);
	for (i = n; i > 1; i--) {
		swap(&heap[0], &heap[i - 1]);
		sink(heap, 0, i - 1);
	}
}

static struct extent *last_of(struct extents *set)
{
	return set->first < set->end ? &set->ext[set->end - 1] : NULL;
}

/* Does the last one become longer? */
static bool join(struct extents *set, uint64_t start, uint32_t count, bool data)
{
	struct extent *last = last_of(set);

	if (!last || last->start + last->count != start || last->data != data ||
	    last->count > COW_EXTENT_LONGEST - count)
		return false;
	last->count += count;
	return true;
}

/* What came in any order may well lie in sequence. */
static void pack(struct extents *set)
{
	unsigned int i = set->first, end = set->end;

	cow_extents_sort(set);
	set->end = set->first;
	for (; i < end; i++) {
		struct extent ext = set->ext[i];

		if (!join(set, ext.start, ext.count, ext.data))
			set->ext[set->end++] = ext;
	}
	set->stuck = set->end - set->first > COW_EXTENTS / 8 * 7;
}

void cow_extents_add(struct extents *set, uint64_t start, uint32_t count,
		     bool data)
{
	if (join(set, start, count, data))
		return;
	if (set->end == COW_EXTENTS && !set->stuck)
		pack(set);
	if (set->end < COW_EXTENTS)
		set->ext[set->end++] = (struct extent){ start, count, data };
}

void cow_extents_move(struct extents *to, struct extents *from)
{
	unsigned int i;

	for (i = from->first; i < from->end; i++)
		cow_extents_add(to, from->ext[i].start, from->ext[i].count,
				from->ext[i].data);
	cow_extents_clear(from);
}

/* The one of two sorted sets that comes next. */
static struct extent *take_lower(struct extents *a, struct extents *b)
{
	if (a->first == a->end)
		return &b->ext[b->first++];
	if (b->first == b->end || a->ext[a->first].start < b->ext[b->first].start)
		return &a->ext[a->first++];
	return &b->ext[b->first++];
}

void cow_extents_merge(struct extents *to, struct extents *from,
		       struct extents *spare)
{
	struct extent *ext = to->ext;

	while (to->first < to->end || from->first < from->end) {
		struct extent *next = take_lower(to, from);

		cow_extents_add(spare, next->start, next->count, false);
	}
	cow_extents_clear(from);
	*to = *spare;
	spare->ext = ext;
	cow_extents_clear(spare);
}

uint64_t cow_extents_take_first(struct extents *set)
{
	struct extent *ext = &set->ext[set->first];
	uint64_t block = ext->start++;

	if (!--ext->count)
		set->first++;
	return block;
}

uint64_t cow_extents_take_last(struct extents *set)
{
	struct extent *ext = &set->ext[set->end - 1];

	if (!--ext->count) {
		set->end--;
		return ext->start;
	}
	return ext->start + ext->count;
}
