/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A device on the rig, on a host that fails where the test says.
 *
 * Duty: files for one case in a directory of their own, requests that are under
 * way together, and two ways for the host to fail:
 *
 *	bench_fail()	descriptors of one kind get an error
 *	bench_lose()	what was written to a file could not be written back;
 *			as Linux does, the host says so to one sync only
 *
 * Invariant: bench.rig is the context of the back end, bench.ops its functions;
 * a test may replace any of them.
 */
#ifndef BENCH_H
#define BENCH_H

#include "rig.h"

#define BENCH_NAME	300
#define BENCH_BLOCK	4096u

struct bench {
	struct rig rig;
	struct io_ops ops;
	int (*submit)(void *ctx, struct io_desc *desc);	/* the rig's */
	enum io_op fail_op;
	int fail_error;
	unsigned int fail_left;
	int lost_fd;		/* -1: none */
	char dir[BENCH_NAME];
};

/* A request under way. */
struct bench_io {
	struct common_io io;
	struct cow_vec vec;
	bool over;
	int result;
};

/* Begin a case: no file, no fault, answers at once. */
void bench_init(struct bench *bench);

/* The next @times descriptors of kind @op fail with @error. */
void bench_fail(struct bench *bench, enum io_op op, int error,
		unsigned int times);

/* The next sync of @fd finds out that what was written to it is lost. */
void bench_lose(struct bench *bench, int fd);

void bench_path(const struct bench *bench, char path[BENCH_NAME],
		const char *name);

/* Make "base", of @size bytes, and over it "top" unless @version is 0. */
void bench_make(struct bench *bench, unsigned int version, uint64_t size);

/* Only "top", over a base that is there. */
void bench_over_base(struct bench *bench, unsigned int version);

/* Open for writing: 0, or an error, which is printed unless rig.quiet. */
int bench_try_open(struct bench *bench, const char *name,
		   struct common_file **file);

/* The same; ends the program if it fails. */
struct common_file *bench_open(struct bench *bench, const char *name);

/* bench_make() and bench_open() of what is the top then. */
struct common_file *bench_disk(struct bench *bench, unsigned int version,
			       uint64_t size);

/* Write a block full of @byte and wait; the block's first byte, or an error. */
int bench_put(struct bench *bench, struct common_file *file, uint64_t offset,
	      uint8_t byte, unsigned int flags);
int bench_get(struct bench *bench, struct common_file *file, uint64_t offset);
int bench_flush(struct bench *bench, struct common_file *file);

/* Submit without waiting: io->over says when io->result counts. */
void bench_start(struct bench_io *io, struct common_file *file,
		 enum common_op op, void *buf, uint64_t offset, uint64_t len,
		 unsigned int flags);

#endif
