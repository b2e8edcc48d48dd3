/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Seals of V4 files on a vdisk: made, and held against the data.
 *
 * Duty: a second opinion on Documentation/cow-format.rst, for files that are
 * small enough to be looked at as a whole.
 */
#ifndef SEAL_H
#define SEAL_H

#include "world.h"

/*
 * Seal the file @name as moo does, while others may read it. Nothing is done if
 * that makes no sense: it is no V4 file, or somebody writes it.
 */
void seal_file(struct world *w, const char *name);

/* The same for all layers below the top. */
void seal_layers(struct world *w);

/*
 * Each index is sound, and the header knows what it owns; of each file that is
 * sealed the data is what was sealed.
 */
void seal_check(struct world *w);

#endif
