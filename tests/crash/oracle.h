/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a device may show: every version of every sector, and which of them a
 * crash may not take away.
 *
 * Duty: contents that say which sector and version they are, and the history
 * against which they are held.
 *
 * Invariants:
 *  - The floor of a sector is the last version that had been acknowledged when
 *    a flush was submitted that has been acknowledged since. It never falls.
 *  - A discard is no version: from then on zeros are right, too.
 */
#ifndef ORACLE_H
#define ORACLE_H

#include <stdbool.h>
#include <stdint.h>

#define ORACLE_ZEROS	0u		/* version of a sector of zeros */
#define ORACLE_FOREIGN	(~0ull)		/* of another sector */
#define ORACLE_GARBAGE	(~0ull - 1)	/* of no version at all */

struct version {
	uint64_t id;
	uint64_t acked;		/* when; 0: not yet */
	bool discard;
};

struct history {
	struct version *version;
	unsigned int count;
	unsigned int floor;
};

struct oracle {
	uint64_t sectors;
	struct history *sector;
	uint64_t now;
	uint64_t next_id;
};

/* What one sector of a frozen layer shows for ever. */
struct frozen_sector {
	uint64_t id;
	bool or_zeros;
};

/* The 512 bytes of a version; and which version 512 bytes are. */
void content_make(uint8_t *buf, uint64_t sector, uint64_t id);
uint64_t content_id(const uint8_t *buf, uint64_t sector);

/* Each sector has the version in @id, or a new one each where that is NULL. */
void oracle_init(struct oracle *oracle, uint64_t sectors, uint64_t next_id,
		 const uint64_t *id);
void oracle_exit(struct oracle *oracle);

/* A write begins: sector @first gets the version returned, the next one more */
uint64_t oracle_write(struct oracle *oracle, uint64_t first, uint64_t count);
void oracle_zeroes(struct oracle *oracle, uint64_t first, uint64_t count);
void oracle_discard(struct oracle *oracle, uint64_t first, uint64_t count);

/* It was acknowledged; @fua: as durable. */
void oracle_ack(struct oracle *oracle, uint64_t first, uint64_t count,
		bool fua);

/* A flush: the moment of its submission, and its answer. */
uint64_t oracle_flush(struct oracle *oracle);
void oracle_flushed(struct oracle *oracle, uint64_t when);

/* NULL if a device may show @id, after a crash or while nothing happens. */
const char *oracle_after_crash(const struct oracle *oracle, uint64_t sector,
			       uint64_t id);
const char *oracle_alive(const struct oracle *oracle, uint64_t sector,
			 uint64_t id);

/* Differs where other versions may be shown after a crash. */
uint64_t oracle_window(const struct oracle *oracle);

/* All sectors as they are; free() it. */
struct frozen_sector *oracle_freeze(const struct oracle *oracle);

#endif
