// SPDX-License-Identifier: GPL-2.0-only
/*
 * The history of every sector, see oracle.h.
 */
#include <stdlib.h>
#include <string.h>

#include "cow.h"
#include "oracle.h"

#define WORDS	(COW_SECTOR_SIZE / sizeof(uint64_t))
#define TAG	0x726f746365732e2eull

static uint64_t word(uint64_t sector, uint64_t id, unsigned int i)
{
	switch (i) {
	case 0:
		return TAG;
	case 1:
		return sector;
	case 2:
		return id;
	}
	return (id * 0x9e3779b97f4a7c15ull ^ sector) + i;
}

void content_make(uint8_t *buf, uint64_t sector, uint64_t id)
{
	uint64_t words[WORDS];
	unsigned int i;

	for (i = 0; i < WORDS; i++)
		words[i] = id == ORACLE_ZEROS ? 0 : word(sector, id, i);
	memcpy(buf, words, sizeof(words));
}

uint64_t content_id(const uint8_t *buf, uint64_t sector)
{
	uint64_t words[WORDS], all = 0;
	unsigned int i;

	memcpy(words, buf, sizeof(words));
	for (i = 0; i < WORDS; i++)
		all |= words[i];
	if (!all)
		return ORACLE_ZEROS;
	for (i = 0; i < WORDS; i++) {
		if (words[i] != word(words[1], words[2], i))
			return ORACLE_GARBAGE;
	}
	return words[1] == sector ? words[2] : ORACLE_FOREIGN;
}

static struct version *add(struct history *history, uint64_t id)
{
	struct version *version;
	unsigned int n = history->count;

	/* Room for 2, 4, 8, ...: full when the count is a power of two. */
	if (!(n & (n - 1)))
		history->version = realloc(history->version,
					   (n ? 2 * n : 1) *
					   sizeof(*history->version));
	version = &history->version[history->count++];
	*version = (struct version){ .id = id };
	return version;
}

void oracle_init(struct oracle *oracle, uint64_t sectors, uint64_t next_id,
		 const uint64_t *id)
{
	uint64_t i;

	memset(oracle, 0, sizeof(*oracle));
	oracle->sectors = sectors;
	oracle->next_id = next_id;
	oracle->now = 1;
	oracle->sector = calloc(sectors, sizeof(*oracle->sector));
	for (i = 0; i < sectors; i++)
		add(&oracle->sector[i],
		    id ? id[i] : oracle->next_id++)->acked = 1;
}

void oracle_exit(struct oracle *oracle)
{
	uint64_t i;

	for (i = 0; i < oracle->sectors; i++)
		free(oracle->sector[i].version);
	free(oracle->sector);
	memset(oracle, 0, sizeof(*oracle));
}

uint64_t oracle_write(struct oracle *oracle, uint64_t first, uint64_t count)
{
	uint64_t id = oracle->next_id;

	oracle->next_id += count;
	while (count--)
		add(&oracle->sector[first + count], id + count);
	return id;
}

void oracle_zeroes(struct oracle *oracle, uint64_t first, uint64_t count)
{
	while (count--)
		add(&oracle->sector[first + count], ORACLE_ZEROS);
}

void oracle_discard(struct oracle *oracle, uint64_t first, uint64_t count)
{
	while (count--)
		add(&oracle->sector[first + count], ORACLE_ZEROS)->discard =
			true;
}

void oracle_ack(struct oracle *oracle, uint64_t first, uint64_t count, bool fua)
{
	oracle->now++;
	for (; count--; first++) {
		struct history *history = &oracle->sector[first];
		unsigned int last = history->count - 1;

		history->version[last].acked = oracle->now;
		if (fua && !history->version[last].discard)
			history->floor = last;
	}
}

uint64_t oracle_flush(struct oracle *oracle)
{
	return oracle->now++;
}

void oracle_flushed(struct oracle *oracle, uint64_t when)
{
	uint64_t s;

	for (s = 0; s < oracle->sectors; s++) {
		struct history *history = &oracle->sector[s];
		unsigned int i;

		for (i = history->count - 1; i > history->floor; i--) {
			const struct version *v = &history->version[i];

			if (!v->discard && v->acked && v->acked <= when)
				history->floor = i;
		}
	}
}

static const char *wrong(const struct history *history, uint64_t id)
{
	unsigned int i;

	if (id == ORACLE_FOREIGN)
		return "another sector's content";
	if (id == ORACLE_GARBAGE)
		return "content that was never written";
	if (id == ORACLE_ZEROS)
		return "zeros";
	for (i = 0; i < history->count; i++) {
		if (history->version[i].id == id)
			return "an old version";
	}
	return "a version from before";
}

static const char *shows(const struct history *history, unsigned int from,
			 uint64_t id)
{
	unsigned int i;

	for (i = from; i < history->count; i++) {
		if (history->version[i].id == id)
			return NULL;
	}
	return wrong(history, id);
}

const char *oracle_after_crash(const struct oracle *oracle, uint64_t sector,
			       uint64_t id)
{
	const struct history *history = &oracle->sector[sector];

	return shows(history, history->floor, id);
}

uint64_t oracle_window(const struct oracle *oracle)
{
	uint64_t hash = 0, s;

	for (s = 0; s < oracle->sectors; s++) {
		const struct history *history = &oracle->sector[s];

		hash = (hash + history->floor) * 0x9e3779b97f4a7c15ull;
		hash ^= hash >> 31;
		hash += history->count;
	}
	return hash;
}

static unsigned int last_version(const struct history *history)
{
	unsigned int last = history->count - 1;

	while (history->version[last].discard)
		last--;
	return last;
}

const char *oracle_alive(const struct oracle *oracle, uint64_t sector,
			 uint64_t id)
{
	const struct history *history = &oracle->sector[sector];

	return shows(history, last_version(history), id);
}

struct frozen_sector *oracle_freeze(const struct oracle *oracle)
{
	struct frozen_sector *frozen;
	uint64_t s;

	frozen = calloc(oracle->sectors, sizeof(*frozen));
	for (s = 0; s < oracle->sectors; s++) {
		const struct history *history = &oracle->sector[s];
		unsigned int last = last_version(history);

		frozen[s].id = history->version[last].id;
		frozen[s].or_zeros = last < history->count - 1;
	}
	return frozen;
}
