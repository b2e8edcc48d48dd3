/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Checksums over fuzzed bytes.
 *
 * Duty: nearly every change of a V4 file breaks a checksum, and all behind it
 * would never be reached. So those are made right that stand where some are
 * expected: slots, names, index pages.
 */
#ifndef FIX_H
#define FIX_H

#include <stddef.h>
#include <stdint.h>

/* @image: bytes of a file, changed in place. */
void fix_checksums(uint8_t *image, size_t len);

#endif
