/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the parts of moo check share: findings, and who looks for them.
 */
#ifndef MOO_CHECK_H
#define MOO_CHECK_H

#include "moo.h"

/**
 * struct check - what was found in one file
 * @probe: the file
 * @corruptions: places where it is wrong
 * @leaks: blocks that nothing refers to
 * @total: units that the device has: sectors, V4 blocks
 * @allocated: how many of them stand in this file
 * @fragmented: how many of these do not follow the one before
 * @end: bytes of the file that are in use
 */
struct check {
	const struct moo_probe *probe;
	uint64_t corruptions;
	uint64_t leaks;
	uint64_t total;
	uint64_t allocated;
	uint64_t fragmented;
	uint64_t end;
};

/**
 * check_found() - count a corruption, and tell of the first ones
 */
void check_found(struct check *check, const char *format, ...)
	__printf(2, 3);

/**
 * check_read() - read all of @len bytes; what lies past the end is zero
 */
int check_read(const struct check *check, void *buf, size_t len,
	       uint64_t offset, struct cow_error *err);

/*
 * Look at what follows the header. Return: 0 even if something was found, or a
 * negative errno if the file could not be looked at.
 */
int check_bitmap(struct check *check, struct cow_error *err);
int check_v4(struct check *check, struct cow_error *err);

#endif
