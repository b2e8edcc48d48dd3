/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What seam.c saw, for iorec.c: entries without gaps, each a struct seam_call
 * and @extra bytes.
 */
#ifndef SEAM_H
#define SEAM_H

#include <stdint.h>

/* IO_RECORD_LOCK: no lock was taken, but asked for; else len is its type. */
#define SEAM_ASKED	100

/* Beyond enum io_record_op, of which the others are. */
enum {
	SEAM_LINK = 100,	/* [name without directory] */
	SEAM_RENAME,		/* the same, of the new name */
	SEAM_DIRSYNC,
	SEAM_OTHER,		/* nothing that the engine ought to call; in len */
};

/**
 * struct seam_call - one system call on a watched file
 * @op: enum io_record_op, or from above
 * @extra: bytes behind it: data, a value, a name
 * @dev: which file
 * @ino: the same
 * @offset: bytes
 * @len: bytes that it was asked for, or what else the operation says
 * @result: what it returned, or a negative errno
 */
struct seam_call {
	uint32_t op;
	uint32_t extra;
	uint64_t dev;
	uint64_t ino;
	uint64_t offset;
	uint64_t len;
	int64_t result;
};

#endif
