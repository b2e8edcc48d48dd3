/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A host on which the Nth operation fails.
 *
 * Duty: struct io_ops and an allocator around those of the rig; they count the
 * operations of the chosen classes and let the Nth of them fail, it alone or
 * with all that follow.
 *
 * Invariants:
 *  - An operation that fails has had no effect, unless the fault says
 *    FAULT_HALF: then some or all of it was done, and the host says it failed.
 *  - Interrupted calls and short writes do not come to the engine: they end in
 *    the back ends, and interpose.h makes those.
 */
#ifndef FAULTY_H
#define FAULTY_H

#include "rig.h"

enum fault_class {
	/* Descriptors, numbered as enum io_op. */
	FC_READ,
	FC_WRITE,
	FC_SYNC,
	FC_PUNCH,
	FC_ZERO,
	FC_COPY,
	/* What may block. */
	FC_OPEN,
	FC_STAT,
	FC_PREAD,
	FC_PWRITE,
	FC_FSYNC,
	FC_TRUNCATE,
	FC_CREATE,
	FC_NAME,
	FC_UNLINK,
	FC_LOCK,
	FC_GETATTR,
	FC_SETATTR,
	FC_RANDOM,
	FC_ALLOC,
	FC_CLASSES,
};

#define FC(name)	(1u << FC_##name)

enum fault_effect {
	FAULT_CLEAN,
	FAULT_HALF,
	FAULT_SHORT,		/* a read ends early, without an error */
};

/**
 * struct fault - what is to fail
 * @nth: 1 is the first operation of one of @classes; 0: none
 */
struct fault {
	unsigned int classes;
	int error;
	enum fault_effect effect;
	bool sticky;
	unsigned long nth;
};

/**
 * struct faulty - the host
 * @rig: has to be first: it is the context of the back end
 * @seen: operations of the fault's classes
 * @hits: of them, those that failed
 * @hit: their classes
 * @file: the chain at work, if any
 * @below_all: it fails below the back end, which may know another way
 * @lost: a sync of one of its layers failed
 */
struct faulty {
	struct rig rig;
	struct io_ops ops;
	struct io_ops below;
	struct fault fault;
	unsigned long seen;
	unsigned long hits;
	unsigned int hit;
	struct common_file *file;
	bool below_all;
	bool lost;
};

/* One at a time, since memory knows no context. */
void faulty_init(struct faulty *host, uint64_t seed);

/* From here on count, and fail. */
void faulty_arm(struct faulty *host, const struct fault *fault);

/* The host is sound again; what was counted stays. */
void faulty_mend(struct faulty *host);

/* A sync of @fd failed. */
void faulty_lose(struct faulty *host, int fd);

/* Bytes that were taken from env.alloc and not given back. */
size_t faulty_memory(void);

#endif
