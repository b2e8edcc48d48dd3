/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a device may hold after requests that failed.
 *
 * Duty: for each sector the values that a read may show, and those that may be
 * found when the device is opened again.
 *
 * Rules:
 *  - A write that failed leaves each of its sectors old or new.
 *  - What is found later is a value of the last flush that was acknowledged, or
 *    one issued since.
 *  - A read tells which of the values it is: it stays that one.
 */
#ifndef TWIN_H
#define TWIN_H

#include <stdbool.h>
#include <stdint.h>

#define TWIN_VALUES	24u

struct twin_set {
	uint32_t value[TWIN_VALUES];
	unsigned int count;
};

struct twin_sector {
	struct twin_set live;
	struct twin_set disk;
};

struct twin {
	struct twin_sector *sector;
	uint64_t sectors;
};

void twin_init(struct twin *twin, uint64_t sectors);
void twin_free(struct twin *twin);

/* The content of @sector with @value; 0 are zeros. */
void twin_fill(uint8_t *data, uint64_t sector, uint32_t value);

/* The value in @data: false if it is no content of @sector. */
bool twin_value(const uint8_t *data, uint64_t sector, uint32_t *value);

/* @sector certainly has @value, also on disk. */
void twin_set(struct twin *twin, uint64_t sector, uint32_t value);

/* A write (a clearing, with 0) of @count sectors begins, and ends. */
void twin_issue(struct twin *twin, uint64_t first, uint64_t count,
		uint32_t value);
void twin_written(struct twin *twin, uint64_t first, uint64_t count,
		  uint32_t value, bool durable);
void twin_unsure(struct twin *twin, uint64_t first, uint64_t count,
		 uint32_t value);

/* A flush, begun when nothing was under way, has ended well. */
void twin_flushed(struct twin *twin);

/* A read, and the first one after it was opened again: may it show @value? */
bool twin_read(struct twin *twin, uint64_t sector, uint32_t value);
bool twin_found(struct twin *twin, uint64_t sector, uint32_t value);

void twin_add(struct twin_set *set, uint32_t value);
bool twin_has(const struct twin_set *set, uint32_t value);

#endif
