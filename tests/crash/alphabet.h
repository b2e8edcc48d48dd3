/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The operations that sequences are made of: requests of every kind at every
 * place, and what else can happen to a chain.
 *
 * Invariants: an operation that makes no sense at the time does nothing.
 */
#ifndef ALPHABET_H
#define ALPHABET_H

#include <stddef.h>

#include "sequence.h"

void alphabet_run(struct world *w, unsigned int op);
void alphabet_name(unsigned int op, char *name, size_t len);

#endif
