/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A device on a faulty host, its twin, and the verdict.
 *
 * Duty: a chain of files for one case, requests to it that are held against the
 * twin, snapshots and merges with requests meanwhile; and at the end: no hang,
 * nothing lost of memory and descriptors, errors only for those concerned, all
 * files sound, the content as it has to be, and it goes on.
 *
 * Invariants: all that happens follows from the seed, and until the fault is
 * met it is the same whatever the fault.
 */
#ifndef STAND_H
#define STAND_H

#include "faulty.h"
#include "twin.h"

#define STAND_NAME	300
#define STAND_LAYERS	3
#define STAND_FLIGHTS	4
#define STAND_SECTORS	4100u	/* two windows of a merge, and two V4 leaves */

/* Who was told of an error. */
enum victim {
	V_READ,
	V_WRITE,
	V_FLUSH,
	V_DISCARD,
	V_ZEROES,
	V_FUA,
	V_TASK,
	V_OPEN,
	V_VICTIMS,
};

/**
 * struct layout - files to begin with, from the base up
 * @version: of the layers above the base; 0 ends them
 * @snapshot: a snapshot, "snap", lies on top
 * @delta: version of what snapshots make, 0: what they choose
 * @stopped: its merge was begun, and came to a half
 * @alias: it was merged and kept
 * @made: the device has two names, and the first one's file is to be made
 * @direct: past the host's cache
 */
struct layout {
	const char *name;
	unsigned int version[STAND_LAYERS];
	bool snapshot;
	unsigned int delta;
	bool stopped;
	bool alias;
	bool made;
	bool direct;
};

struct stand_flight {
	struct common_io io;
	struct cow_vec vec;
	uint8_t *buf;
	unsigned int index;	/* in the twin */
	unsigned int count;
	uint32_t value;
	bool busy;
	bool over;
};

struct stand {
	struct faulty host;
	struct twin twin;
	const struct layout *layout;
	struct common_file *file;
	char dir[STAND_NAME];
	char boot[32];
	char boot_parent[32];
	uint64_t seed;
	uint32_t values;
	unsigned int told[V_VICTIMS];
	int wrong_error;	/* an error that nobody injected */
	unsigned int quiet_turns;
	struct twin_set *frozen; /* what a snapshot has to hold, or NULL */
	struct stand_flight flight[STAND_FLIGHTS];
	int first_fd;
	size_t memory;
	bool failed;
	char text[400];
};

/* A case: files on a sound host. */
void stand_begin(struct stand *stand, const struct layout *layout,
		 uint64_t seed, bool async);
void stand_end(struct stand *stand);

__attribute__((format(printf, 2, 3)))
void stand_fail(struct stand *stand, const char *fmt, ...);

uint64_t stand_pick(struct stand *stand, uint64_t n);
void stand_path(const struct stand *stand, char path[STAND_NAME],
		const char *name);

/* Open as the first boot did; counts as a victim if it fails. */
int stand_open(struct stand *stand);
void stand_close(struct stand *stand);

/* A random request begins; some answers come. */
void stand_mix(struct stand *stand);
/* All requests have come to their end. */
void stand_settle(struct stand *stand);
int stand_flush(struct stand *stand);

/* From start to end, with requests meanwhile. */
int stand_snapshot(struct stand *stand, const char *name, unsigned int version);
int stand_merge(struct stand *stand, bool remove);

/* Read all: as the twin has it; @found: it was opened since. */
void stand_compare(struct stand *stand, bool found, const char *when);

/* A lack that may pass, after which nothing is lost. */
bool stand_may_wait(const struct faulty *host);

/* The host is sound again. */
void stand_mend(struct stand *stand);

/* That, then judge what is there, and go on. */
void stand_judge(struct stand *stand, bool whole);

/* check.c: 0, or the exit code of "moo check" if it is not sound. */
int stand_check(const char *path);

/* A number for all that is in the directory. */
uint64_t stand_sum(const struct stand *stand);

#endif
