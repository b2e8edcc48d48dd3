// SPDX-License-Identifier: GPL-2.0-only
/*
 * Checksums over fuzzed bytes, see fix.h.
 */
#include <string.h>

#include "fix.h"
#include "format.h"

static uint32_t get(const uint8_t *at)
{
	uint32_t n;

	memcpy(&n, at, sizeof(n));
	return cow_be32(n);
}

static void put(uint8_t *at, uint32_t n)
{
	n = cow_be32(n);
	memcpy(at, &n, sizeof(n));
}

/* One that covers itself as 0. */
static void seal(uint8_t *at, size_t len, size_t crc)
{
	put(at + crc, 0);
	put(at + crc, cow_crc32c(0, at, len));
}

static void fix_name(uint8_t *image, size_t len, uint8_t *ref,
		     unsigned int block)
{
	uint32_t copy = get(ref), n = get(ref + 4);
	size_t at;

	if (copy > 1 || !n || n >= COW_PATH_MAX)
		return;
	at = (size_t)(block + copy) << COW_BLOCK_SHIFT;
	if (at + n <= len)
		put(ref + 8, cow_crc32c(0, image + at, n));
}

static void fix_slot(uint8_t *image, size_t len, size_t at)
{
	uint8_t *slot = image + at;

	if (at + COW_SECTOR_SIZE > len || get(slot) != COW_MAGIC_BE)
		return;
	fix_name(image, len, slot + offsetof(struct cow_disk_v4, parent),
		 COW_V4_PARENT_BLOCK);
	fix_name(image, len, slot + offsetof(struct cow_disk_v4, successor),
		 COW_V4_SUCCESSOR_BLOCK);
	seal(slot, COW_SECTOR_SIZE, offsetof(struct cow_disk_v4, crc));
}

void fix_checksums(uint8_t *image, size_t len)
{
	size_t at;

	if (len < 8 || get(image) != COW_MAGIC_BE || get(image + 4) != COW_V4)
		return;
	fix_slot(image, len, 0);
	fix_slot(image, len, COW_BLOCK_SIZE);
	for (at = (size_t)COW_V4_FIRST_BLOCK << COW_BLOCK_SHIFT;
	     at + COW_BLOCK_SIZE <= len; at += COW_BLOCK_SIZE) {
		if (get(image + at) == COW_INDEX_MAGIC)
			seal(image + at, COW_BLOCK_SIZE,
			     offsetof(struct cow_disk_page, crc));
	}
}
