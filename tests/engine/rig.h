/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A stand for the engine in userspace: a back end that answers when and in
 * which order the test says, and helpers to drive chains on it.
 *
 * Duty: struct rig wraps the synchronous back end. With rig.async set every
 * descriptor is queued, and rig_pump() carries out and completes one of those
 * queued, chosen by the seed.
 */
#ifndef RIG_H
#define RIG_H

#include "cow.h"

#define RIG_QUEUE	4096

struct rig {
	struct cow_env env;
	bool async;
	unsigned int inline_percent;	/* answered at once all the same */
	uint64_t seed;
	struct io_desc *queue[RIG_QUEUE];
	unsigned int queued;
	bool quiet;
};

void rig_init(struct rig *rig, uint64_t seed);

/* Complete one queued descriptor; false if there is none. */
bool rig_pump(struct rig *rig);
void rig_drain(struct rig *rig);

/* When all has come to rest, which is what common_close() asks for. */
void rig_close(struct rig *rig, struct common_file *file);

/* Submit and wait: the result. Sets io->done. */
int rig_io(struct rig *rig, struct common_file *file, struct common_io *io);

/* One request over a single buffer. */
int rig_rw(struct rig *rig, struct common_file *file, enum common_op op,
	   void *buf, uint64_t offset, uint64_t len, unsigned int flags);

/* Step a task to its end: its result. */
int rig_task(struct rig *rig, struct cow_task *task);

/* A snapshot or merge from start to end; prints the reason of a failure. */
int rig_snapshot(struct rig *rig, struct common_file *file, const char *name);
int rig_snapshot_as(struct rig *rig, struct common_file *file,
		    const char *name, unsigned int version);
int rig_merge(struct rig *rig, struct common_file *file, bool force,
	      bool remove);

/* A directory for this program's files, made once and removed at exit. */
const char *rig_dir(void);

/* Another one, in DISKDIR or /var/tmp, which hardly lies in memory. */
const char *rig_disk_dir(void);

#endif
