/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A file system in memory that can lose power: the host of the crash tests.
 *
 * Duty: all of struct io_ops, and for every file two images, the one that
 * programs see and the one on the platter, with a log of what lies between.
 *
 * Invariants:
 *  - The log holds pieces of one sector each, and changes of a file's size, in
 *    the order in which they were made; a sync takes those of its own file out
 *    of it that were made before it was submitted.
 *  - publish, replace, unlink and setattr are durable when they return, and
 *    atomic: the hook, which is called before every change, sees them not
 *    done or done. That is all that a crash can show of io_host.c's link,
 *    rename, unlink and fsetxattr, each of which is followed by the sync of its
 *    directory or file: in between either holds, with any of the pieces.
 *  - A file's time is made durable by sync and setattr; IO_SYNC need not.
 */
#ifndef VDISK_H
#define VDISK_H

#include "cow.h"

/* Which pieces of the log survive a crash. */
enum vdisk_policy {
	VDISK_NONE,
	VDISK_ALL,
	VDISK_PREFIX,		/* the first @param */
	VDISK_DROP_ONE,		/* all but number @param */
	VDISK_KEEP_ONE,		/* only number @param */
	VDISK_RANDOM,		/* each with the odds @param to 8 */
	VDISK_MASK,		/* those whose bit in @param is set */
	VDISK_DROP_PAIR,	/* all but @param % 2^32 and @param / 2^32 */
	VDISK_KEEP_PAIR,	/* only these */
	VDISK_REGIONS,		/* those of regions whose bit in @param is set */
};

/* Of a file: its data, its metadata; of two files each. */
#define VDISK_NREGIONS	4

/* A host that breaks its word, to show that the checker would tell. */
enum vdisk_fault {
	VDISK_SOUND,
	VDISK_SYNC_LOST,	/* sync of file @victim does nothing */
	VDISK_SYNC_ELSEWHERE,	/* sync of one file hardens another one */
	VDISK_SYNC_METADATA,	/* sync hardens index and headers, not data */
	VDISK_ATTR_LOST,	/* setattr is not durable */
};

struct vdisk;

extern const struct io_ops vdisk_ops;	/* ctx is a struct vdisk */

struct vdisk *vdisk_new(uint64_t seed);
void vdisk_free(struct vdisk *disk);

/* What is left after a power failure now; @disk itself goes on. */
struct vdisk *vdisk_crash(const struct vdisk *disk, uint64_t seed,
			  enum vdisk_policy policy, uint64_t param);

/* Pieces in the log. */
unsigned int vdisk_unsynced(const struct vdisk *disk);

/* All that was done is durable. */
void vdisk_settle(struct vdisk *disk);

/* Make a file; its content is durable. */
void vdisk_put(struct vdisk *disk, const char *name, const void *data,
	       uint64_t len);

/*
 * Queue descriptors, and answer in an order that the seed chooses; but
 * @inline_percent of them are carried out at once.
 */
void vdisk_async(struct vdisk *disk, bool async, unsigned int inline_percent);

/* Carry out or complete one queued descriptor; false if there is none. */
bool vdisk_pump(struct vdisk *disk);

/* An IO_CALL from the queue is at work: the engine may be called meanwhile. */
bool vdisk_in_call(const struct vdisk *disk);

/* Call @hook before every change to any file. */
void vdisk_hook(struct vdisk *disk, void (*hook)(void *arg), void *arg);

/* For the hook: the change takes something out of what a crash may lose. */
bool vdisk_hardens(const struct vdisk *disk);

/*
 * Tells what a crash may leave now from what it might have left at any other
 * time, also of another disk with the same seed.
 */
uint64_t vdisk_window(const struct vdisk *disk);

/* Survive or not by blocks of @grain bytes of one write; 512 at first. */
void vdisk_grain(struct vdisk *disk, unsigned int grain);

/* The order of answers is asked for: a number below @n, which is at least 2. */
void vdisk_choose(struct vdisk *disk, unsigned int (*choose)(void *arg,
							     unsigned int n),
		  void *arg);

/* The host has no extended attributes. */
void vdisk_no_attributes(struct vdisk *disk);

void vdisk_fault(struct vdisk *disk, enum vdisk_fault fault, uint64_t victim);

#endif
