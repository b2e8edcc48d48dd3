/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is said to the block device, as words: boot arguments, and the commands
 * of mconsole.
 *
 * Duty: to take strings apart. Nothing comes of them here: no device, no file
 * and no memory is touched but the string itself.
 *
 * Invariants: what is found points into the string, which is cut up for that;
 * what is wrong is a constant line for people.
 */
#ifndef UBD_PARSE_H
#define UBD_PARSE_H

#include "cow/cow.h"

#define UBD_DEVICES	16
#define UBD_INDEX_MAX	65536u	/* MiB */
#define UBD_INDEX_ALL	(~0u)
#define UBD_SECTOR_MAX	4096u	/* bytes */
#define UBD_LIMIT	10u	/* seconds */
#define UBD_LIMIT_MAX	3600u

#define UBD_THREADS	1u	/* ubd=threads: no io_uring */
#define UBD_URING	2u	/* ubd=uring: say so if there is none */
#define UBD_NOINLINE	4u	/* ubd=noinline: a back end sees everything */

/**
 * struct ubd_options - what was asked for all devices
 * @host: UBD_*
 * @record: file to record all operations to, or NULL
 * @hook: program of the guest that is told of snapshots, or NULL
 * @durable: as flag s on every device
 */
struct ubd_options {
	uint32_t host;
	const char *record;
	const char *hook;
	bool durable;
};

/**
 * struct ubd_config - what was asked for a device; of this one time only
 * @text: what @file and the others point into, if it is ours to free
 * @geometry: instead of what the file says; 0: not asked for
 * @index_mib: bound on the memory for its index, or UBD_INDEX_ALL; 0: not asked
 *	for
 * @padding: of a V3 file to create; 0: not asked for
 * @sector_size: that the guest sees; 0: not asked for
 * @direct: flag A: past the host's cache, by libaio
 * @hold: flag W: hold what the host refuses
 */
struct ubd_config {
	char *text;
	char *file;
	char *parent;
	char *serial;
	bool read_only;
	bool durable;
	bool raw;
	bool unlocked;
	bool no_trim;
	bool keep_link;
	bool direct;
	bool hold;
	bool version_given;
	unsigned int version;
	struct cow_geometry geometry;
	uint32_t index_mib;
	uint32_t padding;
	uint32_t sector_size;
};

/**
 * struct ubd_target - a device and the file that shall be its top
 * @device: the word for the device, "" if there is none
 * @unit: its number, or -EINVAL
 * @file: what stands behind '=', or NULL
 */
struct ubd_target {
	const char *device;
	int unit;
	const char *file;
};

/**
 * struct ubd_snapshot_words - "snapshot", behind its name
 * @device: without any '=': the word for the device whose layers are to be shown,
 *	or "" for all
 * @unit: its number, or -EINVAL
 * @count: devices of which one is to be taken, in @target; 0: none
 * @all: the directory of "all=", which then is the only target; or NULL
 * @version: 3 or 4 if a word says it, else 0
 * @crash: the word "crash" was said: no file system is to be frozen
 * @limit: seconds for which file systems may be held
 * @error: what is wrong with the word @unknown, or NULL
 */
struct ubd_snapshot_words {
	const char *device;
	int unit;
	unsigned int count;
	struct ubd_target target[UBD_DEVICES];
	const char *all;
	bool version_given;
	unsigned int version;
	bool mode_given;
	bool crash;
	unsigned int limit;
	const char *unknown;
	const char *error;
};

/**
 * struct ubd_words - a command of mconsole, behind its name
 * @device: the word for the device, "" if there is none
 * @unit: its number, or -EINVAL
 * @file: merge: what stands behind '=', or NULL
 * @unknown: the first word that is none, or NULL
 * @nowait: the word "nowait" was said; and so @remove, of "delete", @force and
 *	@discard
 * @off: hold: the word "off" was said
 * @wish: merge: what a merge under way shall do, or UBD_NO_WISH
 * @speed: merge: MiB in a second, 0 for no limit; or UBD_NO_NUMBER
 * @depth: merge: layers from which on to fold by itself, 0 for never; or
 *	UBD_NO_NUMBER
 */
struct ubd_words {
	const char *device;
	int unit;
	const char *file;
	const char *unknown;
	bool nowait;
	bool remove;
	bool force;
	bool discard;
	bool off;
	int wish;
	uint32_t speed;
	uint32_t depth;
};

#define UBD_NO_WISH	(-1)
#define UBD_NO_NUMBER	(~0u)

/**
 * ubd_parse_unit() - the number of a device
 * @text: "0", "15", "a" ... "p"; moved behind it
 *
 * Return: the number or -EINVAL.
 */
int ubd_parse_unit(const char **text);

/**
 * ubd_parse_device() - a boot argument behind "ubd"
 * @text: "<unit><flags>=<file>[,|:<file2>][,|:<serial>]"
 * @unit: the device, if the answer is not about it
 * @config: zeros, or what is asked for anyway; filled
 *
 * Return: NULL or what is wrong.
 */
char *ubd_parse_device(char *text, unsigned int *unit,
		       struct ubd_config *config);

/**
 * ubd_parse_options() - a boot argument behind "ubd="
 * @text: words with commas between them
 * @options: filled up to the first word that is wrong
 *
 * Return: NULL or what is wrong.
 */
char *ubd_parse_options(char *text, struct ubd_options *options);

/**
 * ubd_parse_snapshot() - "", "ubda", "ubda=FILE ubdb=FILE V3", "all=DIR crash"
 * @text: without blanks around it
 * @words: filled
 *
 * A name may hold blanks, and ends where a word begins the next device. Behind the
 * last one stand a version, "crash" or "freeze", and "limit=SECONDS", in any order
 * and each at most once. If that name ends in such a word, one of the same
 * kind has to follow it: "ubda=my V3 V4" makes "my V3".
 */
void ubd_parse_snapshot(char *text, struct ubd_snapshot_words *words);

/**
 * ubd_parse_unsnapshot() - "ubda [nowait] [delete] [force] [discard]"
 * ubd_parse_merge() - "ubda[=FILE] [nowait] [delete] [force]", "ubda auto=N
 *	[delete]", "ubda pause", "resume", "cancel", "speed=N"
 * @text: without blanks around it
 * @words: filled
 *
 * Of a name behind "merge ubda=", the last words are taken as what they say.
 */
void ubd_parse_unsnapshot(char *text, struct ubd_words *words);
void ubd_parse_merge(char *text, struct ubd_words *words);

/**
 * ubd_parse_hold() - "ubda [off]"
 * ubd_parse_resume() - "ubda"
 * @text: without blanks around it
 * @words: filled
 */
void ubd_parse_hold(char *text, struct ubd_words *words);
void ubd_parse_resume(char *text, struct ubd_words *words);

/**
 * ubd_parse_json() - cut "--json" off the end of what asks for a list
 * @text: as for ubd_parse_snapshot(); the end of a file's name is left alone
 *
 * Return: true if it was there.
 */
bool ubd_parse_json(char *text);

#endif
