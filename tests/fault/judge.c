// SPDX-License-Identifier: GPL-2.0-only
/*
 * The verdict on a case, see stand.h.
 *
 * Duty: whom the error reached, what the files are, what they hold, and that
 * the device goes on when the host is sound again.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine.h"
#include "place.h"
#include "stand.h"

#define V(name)		(1u << V_##name)
#define TRIES		3u

/* ---- whom the error reached -------------------------------------------- */

/* What failed where it may block can have been the sync of a layer. */
#define BLOCKING	(V(TASK) | V(OPEN) | V(FLUSH) | V(FUA))

static const unsigned int concerned[FC_CLASSES] = {
	[FC_READ] = V(READ) | V(WRITE) | V(FUA) | V(ZEROES) | V(DISCARD) |
		    V(TASK),
	[FC_WRITE] = V(WRITE) | V(FUA) | V(FLUSH) | V(TASK),
	[FC_SYNC] = V(FLUSH) | V(FUA) | V(TASK),
	[FC_PUNCH] = V(DISCARD),
	[FC_ZERO] = V(ZEROES) | V(FUA) | V(TASK),
	[FC_COPY] = V(TASK),
	[FC_OPEN] = BLOCKING,
	[FC_STAT] = BLOCKING,
	[FC_PREAD] = BLOCKING,
	[FC_PWRITE] = BLOCKING,
	[FC_FSYNC] = BLOCKING,
	[FC_TRUNCATE] = BLOCKING,
	[FC_CREATE] = BLOCKING,
	[FC_NAME] = BLOCKING,
	[FC_UNLINK] = BLOCKING,
	[FC_LOCK] = BLOCKING,
	[FC_GETATTR] = BLOCKING,
	[FC_SETATTR] = BLOCKING,
	[FC_RANDOM] = BLOCKING,
	[FC_ALLOC] = BLOCKING,
};

/* Without an answer, somebody would believe what is not so. */
#define MUST_BE_TOLD	(FC(READ) | FC(PUNCH) | FC(ZERO) | FC(COPY))

/* What a page lacks may be zeros. */
static bool must_be_told(const struct faulty *host)
{
	return host->hit & MUST_BE_TOLD && !host->below_all &&
	       host->fault.effect != FAULT_SHORT;
}

static void audit(struct stand *stand)
{
	const struct faulty *host = &stand->host;
	unsigned int class, victim, allowed = 0, told = 0;

	for (class = 0; class < FC_CLASSES; class++) {
		if (host->hit & 1u << class)
			allowed |= concerned[class];
	}
	for (victim = 0; victim < V_VICTIMS; victim++) {
		if (stand->told[victim])
			told |= 1u << victim;
	}
	if (told & ~allowed)
		stand_fail(stand, "errors reached %#x, and only %#x is concerned",
			   told, allowed);
	if (must_be_told(host) && !told)
		stand_fail(stand, "nobody was told");
	if (stand->wrong_error)
		stand_fail(stand, "the error became %d", stand->wrong_error);
}

/* ---- files ------------------------------------------------------------- */

static bool is_left_over(const char *name)
{
	return name[0] == '.' || strchr(name, '~');
}

/* V3, of a snapshot that came to no end: it is refused, by stock as well. */
static bool is_provisional(const char *path)
{
	static struct cow_record rec;
	struct cow_disk_v3 hdr = { 0 };
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct rig rig;

	rig_init(&rig, 0);
	if (pread(fd, &hdr, offsetof(struct cow_disk_v3, path), 0) < 0 ||
	    cow_record_load(&rig.env, fd, path, &rec))
		rec.state = 0;
	close(fd);
	return hdr.version == cow_be32(3) && !hdr.mtime &&
	       !(rec.state & (COW_IS_DRAINING | COW_IS_DRAINED));
}

static void check_file(struct stand *stand, const char *name, const char *when)
{
	char path[STAND_NAME];
	int ret;

	if (!strcmp(name, "base") || strstr(name, ".moo"))
		return;
	stand_path(stand, path, name);
	ret = stand_check(path);
	if (ret && !is_provisional(path))
		stand_fail(stand, "%s: moo check of %s says %d", when, name,
			   ret);
}

/* The layers of the chain: others were left behind by it, and are stale. */
static void check_layers(struct stand *stand)
{
	char name[STAND_LAYERS + 2][64];
	struct cow_layer_info info;
	unsigned int n = 0;

	while (!cow_layer(stand->file, n, &info)) {
		snprintf(name[n++], sizeof(name[0]), "%s",
			 strrchr(info.path, '/') + 1);
	}
	stand_close(stand);
	while (n-- && !stand->failed)
		check_file(stand, name[n], "at the end");
}

static void check_files(struct stand *stand, const char *when)
{
	DIR *dir = opendir(stand->dir);
	struct dirent *entry;

	while ((entry = readdir(dir))) {
		const char *name = entry->d_name;

		if (!strcmp(name, ".") || !strcmp(name, ".."))
			continue;
		if (is_left_over(name))
			stand_fail(stand, "%s: %s is left", when, name);
		else
			check_file(stand, name, when);
	}
	closedir(dir);
}

static uint64_t mix_in(uint64_t sum, const void *data, size_t len)
{
	const uint8_t *byte = data;

	while (len--)
		sum = (sum ^ *byte++) * 0x100000001b3ull;
	return sum;
}

static uint64_t sum_data(int fd, uint64_t sum)
{
	static uint8_t buf[65536];
	off_t at = 0, end;
	ssize_t len;

	while ((at = lseek(fd, at, SEEK_DATA)) >= 0) {
		end = lseek(fd, at, SEEK_HOLE);
		for (; at < end; at += len) {
			len = end - at < (off_t)sizeof(buf) ?
			      end - at : (off_t)sizeof(buf);
			len = pread(fd, buf, len, at);
			if (len <= 0)
				return sum;
			sum = mix_in(sum, &at, sizeof(at));
			sum = mix_in(sum, buf, len);
		}
	}
	return sum;
}

/* The order of names does not matter. */
uint64_t stand_sum(const struct stand *stand)
{
	DIR *dir = opendir(stand->dir);
	struct dirent *entry;
	uint64_t all = 0;

	while ((entry = readdir(dir))) {
		char path[STAND_NAME];
		struct stat st;
		uint64_t sum;
		int fd;

		if (entry->d_name[0] == '.')
			continue;
		stand_path(stand, path, entry->d_name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		sum = mix_in(1, entry->d_name, strlen(entry->d_name));
		if (!fstat(fd, &st))
			sum = mix_in(sum, &st.st_size, sizeof(st.st_size));
		all += sum_data(fd, sum);
		close(fd);
	}
	closedir(dir);
	return all;
}

/* ---- content ----------------------------------------------------------- */

/* The frozen layer, from the time at which another one took the writes. */
static void compare_frozen(struct stand *stand)
{
	const struct layout *layout = stand->layout;
	bool snap = layout->snapshot && !layout->alias;
	static uint8_t buf[PLACE_COUNT * COW_SECTOR_SIZE];
	char name[STAND_NAME];
	const struct cow_open_args args = {
		.name = name, .read_only = true, .no_follow = true,
	};
	struct cow_error err = { "" };
	struct common_file *file;
	unsigned int i;

	stand_path(stand, name, snap ? "snap" : stand->boot);
	if (common_open(&stand->host.rig.env, &args, &file, &err)) {
		stand_fail(stand, "the frozen file does not open: %s",
			   err.text);
		return;
	}
	for (i = 0; i < PLACE_COUNT; i++) {
		uint64_t sector = place_sector(i);
		uint32_t value;

		if (rig_rw(&stand->host.rig, file, COMMON_READ, buf,
			   sector * COW_SECTOR_SIZE, COW_SECTOR_SIZE, 0) ||
		    !twin_value(buf, sector, &value) ||
		    !twin_has(&stand->frozen[i], value))
			stand_fail(stand, "sector %llu of the frozen file",
				   (unsigned long long)sector);
	}
	common_close(file);
}

/* All that no request went to: zeros. */
static void compare_rest(struct stand *stand)
{
	static uint8_t buf[STAND_SECTORS * COW_SECTOR_SIZE];
	unsigned int i;
	int ret;

	ret = rig_rw(&stand->host.rig, stand->file, COMMON_READ, buf, 0,
		     sizeof(buf), 0);
	for (i = 0; i < PLACE_COUNT; i++)
		memset(buf + place_sector(i) * COW_SECTOR_SIZE, 0,
		       COW_SECTOR_SIZE);
	if (ret || buf[0] || memcmp(buf, buf + 1, sizeof(buf) - 1))
		stand_fail(stand, "what nobody wrote has changed");
}

/* ---- the machine that met the fault ------------------------------------ */

/* Lack of room is over when there is room; a failed sync is not. */
static bool recoverable(const struct faulty *host)
{
	return stand_may_wait(host) && !(host->hit & (FC(SYNC) | FC(FSYNC)));
}

static void try_flush(struct stand *stand)
{
	unsigned int tries = 0;
	int ret;

	do {
		ret = stand_flush(stand);
	} while (ret && ++tries < TRIES && !stand->failed);
	if (stand->host.lost && !ret)
		stand_fail(stand, "a flush succeeds after a sync that failed");
	if (recoverable(&stand->host) && ret)
		stand_fail(stand, "there is room again, but a flush answers %d",
			   ret);
}

static void judge_machine(struct stand *stand)
{
	if (!stand->file)
		return;
	stand_settle(stand);
	stand_flush(stand);
	audit(stand);
	stand_mend(stand);
	if (stand->failed)
		return;
	try_flush(stand);
	if (!stand->failed)
		stand_compare(stand, false, "while it runs");
	stand_close(stand);
}

/* ---- the machine after it ---------------------------------------------- */

static void must(struct stand *stand, int ret, const char *what)
{
	if (ret)
		stand_fail(stand, "then %s answers %d", what, ret);
}

static void go_on(struct stand *stand)
{
	unsigned int i;

	if (cow_merge_pending(&stand->file[0], NULL))
		must(stand, stand_merge(stand, false), "the merge");
	for (i = 0; i < 4 && !stand->failed; i++)
		stand_mix(stand);
	must(stand, stand_flush(stand), "a flush");
	if (stand->failed)
		return;
	must(stand, stand_snapshot(stand, "again", 0), "a snapshot");
	for (i = 0; i < 4 && !stand->failed; i++)
		stand_mix(stand);
	must(stand, stand_flush(stand), "a flush on it");
	if (stand->failed)
		return;
	must(stand, stand_merge(stand, true), "its merge");
	must(stand, stand_flush(stand), "a last flush");
	if (!stand->failed)
		stand_compare(stand, false, "as it goes on");
}

void stand_judge(struct stand *stand, bool whole)
{
	judge_machine(stand);
	stand_mend(stand);
	stand->host.rig.async = false;
	if (stand->failed)
		return;
	check_files(stand, "after the fault");
	if (stand->frozen)
		compare_frozen(stand);
	if (stand->failed)
		return;
	if (stand_open(stand)) {
		stand_fail(stand, "it does not open: %s", stand->text);
		return;
	}
	stand_compare(stand, true, "opened again");
	if (whole && !stand->failed)
		compare_rest(stand);
	if (!stand->failed)
		go_on(stand);
	if (whole && !stand->failed)
		check_layers(stand);
}
