// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a device may hold after requests that failed, see twin.h.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "cow.h"
#include "twin.h"

#define WORDS	(COW_SECTOR_SIZE / 8)

void twin_init(struct twin *twin, uint64_t sectors)
{
	uint64_t i;

	twin->sectors = sectors;
	twin->sector = calloc(sectors, sizeof(*twin->sector));
	for (i = 0; i < sectors; i++)
		twin_set(twin, i, 0);
}

void twin_free(struct twin *twin)
{
	free(twin->sector);
	twin->sector = NULL;
}

/* ---- content ----------------------------------------------------------- */

static uint64_t word_of(uint64_t sector, uint32_t value)
{
	return value ? (uint64_t)value << 32 | (sector + 1) : 0;
}

void twin_fill(uint8_t *data, uint64_t sector, uint32_t value)
{
	uint64_t word = word_of(sector, value);
	unsigned int i;

	for (i = 0; i < WORDS; i++)
		memcpy(data + i * sizeof(word), &word, sizeof(word));
}

bool twin_value(const uint8_t *data, uint64_t sector, uint32_t *value)
{
	uint64_t word;

	memcpy(&word, data, sizeof(word));
	*value = word >> 32;
	return word == word_of(sector, *value) &&
	       !memcmp(data, data + sizeof(word),
		       COW_SECTOR_SIZE - sizeof(word));
}

/* ---- sets -------------------------------------------------------------- */

bool twin_has(const struct twin_set *set, uint32_t value)
{
	unsigned int i;

	for (i = 0; i < set->count; i++) {
		if (set->value[i] == value)
			return true;
	}
	return false;
}

void twin_add(struct twin_set *set, uint32_t value)
{
	if (twin_has(set, value))
		return;
	assert(set->count < TWIN_VALUES);
	set->value[set->count++] = value;
}

static void only(struct twin_set *set, uint32_t value)
{
	set->value[0] = value;
	set->count = 1;
}

void twin_set(struct twin *twin, uint64_t sector, uint32_t value)
{
	only(&twin->sector[sector].live, value);
	only(&twin->sector[sector].disk, value);
}

/* ---- events ------------------------------------------------------------ */

void twin_issue(struct twin *twin, uint64_t first, uint64_t count,
		uint32_t value)
{
	uint64_t i;

	for (i = first; i < first + count; i++)
		twin_add(&twin->sector[i].disk, value);
}

void twin_written(struct twin *twin, uint64_t first, uint64_t count,
		  uint32_t value, bool durable)
{
	uint64_t i;

	for (i = first; i < first + count; i++) {
		only(&twin->sector[i].live, value);
		if (durable)
			only(&twin->sector[i].disk, value);
	}
}

void twin_unsure(struct twin *twin, uint64_t first, uint64_t count,
		 uint32_t value)
{
	uint64_t i;

	for (i = first; i < first + count; i++)
		twin_add(&twin->sector[i].live, value);
}

void twin_flushed(struct twin *twin)
{
	uint64_t i;

	for (i = 0; i < twin->sectors; i++)
		twin->sector[i].disk = twin->sector[i].live;
}

bool twin_read(struct twin *twin, uint64_t sector, uint32_t value)
{
	struct twin_set *live = &twin->sector[sector].live;

	if (!twin_has(live, value))
		return false;
	only(live, value);
	return true;
}

bool twin_found(struct twin *twin, uint64_t sector, uint32_t value)
{
	if (!twin_has(&twin->sector[sector].disk, value))
		return false;
	twin_set(twin, sector, value);
	return true;
}
