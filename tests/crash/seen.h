/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A set of numbers that are as good as random.
 *
 * Duty: to know what has been looked at.
 */
#ifndef SEEN_H
#define SEEN_H

#include <stdbool.h>
#include <stdint.h>

struct seen;

struct seen *seen_new(void);
void seen_free(struct seen *seen);

/* True if @number was not there; it is then. */
bool seen_add(struct seen *seen, uint64_t number);

#endif
