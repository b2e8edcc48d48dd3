// SPDX-License-Identifier: GPL-2.0-only
/*
 * A snapshot of several devices as one, on a host on which the Nth operation
 * fails: all of them or none.
 *
 * A failure prints NTH="..."; that in the environment plays this case alone.
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
#include "faulty.h"
#include "tap.h"

#define DISKS		3u
#define SIZE		(64u * 4096u)
#define NAME		300
#define MOST		500u	/* operations; there are less */
#define PATIENCE	2000u

/* The tops to begin with: 0 is raw. */
static const unsigned int versions[DISKS] = { 0, 3, 4 };

static const struct {
	const char *name;
	struct fault fault;
} kinds[] = {
	{ "EIO", { .error = -EIO, .classes = (1u << FC_ALLOC) - 1 } },
	{ "EIO of what was done", {
		.error = -EIO, .effect = FAULT_HALF,
		.classes = FC(WRITE) | FC(SYNC) | FC(PWRITE) | FC(NAME) |
			   FC(UNLINK) | FC(SETATTR),
	} },
	{ "ENOSPC", {
		.error = -ENOSPC,
		.classes = FC(WRITE) | FC(ZERO) | FC(PWRITE) | FC(TRUNCATE) |
			   FC(CREATE) | FC(NAME) | FC(SETATTR),
	} },
	{ "no memory", { .error = -ENOMEM, .classes = FC(ALLOC) } },
};

/**
 * struct trial - one case
 * @ended: without error
 * @wrong: what is wrong, or ""
 */
struct trial {
	struct faulty host;
	char dir[NAME];
	char name[DISKS][NAME + 8];
	struct common_file *file[DISKS];
	struct cow_member member[DISKS];
	struct cow_snapshot_result result[DISKS];
	char fresh[DISKS][NAME + 8];
	struct cow_error err;
	unsigned int ended;
	bool swapped;
	char wrong[1100];
};

static struct trial trial;

static void wrong(const char *what, unsigned int i)
{
	if (!*trial.wrong)
		snprintf(trial.wrong, sizeof(trial.wrong), "%s (%u)", what, i);
}

/* ---- files ------------------------------------------------------------- */

static void make_disk(unsigned int i)
{
	char base[NAME + 8];
	const struct cow_create_args args = {
		.name = trial.name[i],
		.parent = base,
		.version = versions[i],
		.mode = 0600,
		.gid = ~0u,
	};
	int fd;

	snprintf(base, sizeof(base), "%s/base%u", trial.dir, i);
	snprintf(trial.name[i], sizeof(trial.name[i]), "%s/%s%u", trial.dir,
		 versions[i] ? "top" : "base", i);
	snprintf(trial.fresh[i], sizeof(trial.fresh[i]), "%s/new%u", trial.dir,
		 i);
	fd = open(base, O_CREAT | O_EXCL | O_WRONLY, 0644);
	if (fd < 0 || ftruncate(fd, SIZE))
		wrong("a base can not be made", i);
	close(fd);
	if (versions[i] && cow_create(&trial.host.rig.env, &args, &trial.err))
		wrong("a top can not be made", i);
}

static void open_disk(unsigned int i)
{
	const struct cow_open_args args = { .name = trial.name[i] };

	trial.file[i] = NULL;
	if (common_open(&trial.host.rig.env, &args, &trial.file[i],
			&trial.err))
		wrong(trial.err.text, i);
}

static int write_all(unsigned int i, uint8_t byte, uint64_t offset)
{
	static uint8_t buf[4096];

	memset(buf, byte, sizeof(buf));
	return rig_rw(&trial.host.rig, trial.file[i], COMMON_WRITE, buf, offset,
		      sizeof(buf), 0);
}

static int read_byte(unsigned int i, uint64_t offset)
{
	static uint8_t buf[4096];

	if (rig_rw(&trial.host.rig, trial.file[i], COMMON_READ, buf, offset,
		   sizeof(buf), 0))
		return -1;
	return buf[0];
}

static int flush(unsigned int i)
{
	struct common_io io = { .op = COMMON_FLUSH };

	return rig_io(&trial.host.rig, trial.file[i], &io);
}

static void remove_dir(void)
{
	DIR *dir = opendir(trial.dir);
	struct dirent *entry;

	while ((entry = readdir(dir)))
		unlinkat(dirfd(dir), entry->d_name, 0);
	closedir(dir);
	rmdir(trial.dir);
}

/* ---- a case ------------------------------------------------------------ */

static void begin(void)
{
	static unsigned int cases;
	unsigned int i;

	memset(&trial, 0, sizeof(trial));
	faulty_init(&trial.host, 1);
	snprintf(trial.dir, sizeof(trial.dir), "%s/g%u", rig_dir(), cases++);
	if (mkdir(trial.dir, 0700))
		wrong("no directory", 0);
	for (i = 0; i < DISKS; i++) {
		make_disk(i);
		open_disk(i);
		if (*trial.wrong)
			return;
		write_all(i, 1 + i, 0);
		flush(i);
		write_all(i, 0x11 + i, 4096);
		trial.member[i].file = trial.file[i];
		trial.member[i].args.name = trial.fresh[i];
		trial.member[i].result = &trial.result[i];
	}
}

static unsigned int swapped(void)
{
	unsigned int i, n = 0;

	for (i = 0; i < DISKS; i++)
		n += !strcmp(cow_chain(trial.file[i])->top->path,
			     trial.fresh[i]);
	return n;
}

/* Room is made when there is nothing else to wait for. */
static void step(void)
{
	unsigned int turn, i, left = DISKS;

	for (turn = 0; left && turn < PATIENCE; turn++) {
		left = 0;
		for (i = 0; i < DISKS; i++) {
			left += cow_task_step(trial.member[i].task) !=
				COW_STEP_DONE;
			if (swapped() % DISKS)
				wrong("some tops are swapped alone", i);
		}
		if (turn > PATIENCE / 2)
			faulty_mend(&trial.host);
		for (i = 0; i < DISKS && turn % 8 == 7; i++)
			cow_background(trial.file[i]);
	}
	if (left)
		wrong("a task hangs", left);
}

static void tasks_end(void)
{
	unsigned int i;

	trial.swapped = swapped();
	for (i = 0; i < DISKS; i++) {
		struct cow_task *task = trial.member[i].task;

		trial.ended += !task->result;
		if (task->result && !*task->error.text)
			wrong("an error without a line", i);
		cow_snapshot_end(task);
	}
	if (trial.ended && !trial.swapped)
		wrong("some ended well, and no top was swapped", trial.ended);
}

static void take(void)
{
	int ret = cow_group_start(trial.member, DISKS, &trial.err);

	if (!ret) {
		step();
		if (!*trial.wrong)
			tasks_end();
	} else if (!*trial.err.text) {
		wrong("refused without a line", 0);
	}
}

/* Before the swap: nothing is left of any, unless it could not be removed. */
static void nothing_left(void)
{
	unsigned int i;

	for (i = 0; i < DISKS && !(trial.host.hit & FC(UNLINK)); i++)
		if (!access(trial.fresh[i], F_OK))
			wrong("a file is left", i);
}

/* What was flushed is there, by the old names; what was not may be. */
static void look(unsigned int i)
{
	int got;

	open_disk(i);
	if (!trial.file[i])
		return;
	got = read_byte(i, 0);
	if (got != (int)(1 + i))
		wrong("what was flushed is lost", i);
	got = read_byte(i, 4096);
	if (got != (int)(0x11 + i) && (got || trial.ended == DISKS))
		wrong("what was written is lost", i);
	if (trial.ended == DISKS && cow_depth(trial.file[i]) !=
				    (versions[i] ? 3 : 2))
		wrong("the snapshot is not there", i);
	common_close(trial.file[i]);
}

static void judge(void)
{
	unsigned int i;

	faulty_mend(&trial.host);
	if (!trial.swapped)
		nothing_left();
	for (i = 0; i < DISKS; i++)
		if (!*trial.wrong)
			common_close(trial.file[i]);
	for (i = 0; i < DISKS && !*trial.wrong; i++)
		look(i);
	if (!*trial.wrong && faulty_memory())
		wrong("memory is lost", faulty_memory());
	remove_dir();
}

/* True if the fault was met. */
static bool one(const struct fault *fault)
{
	bool hit;

	begin();
	faulty_arm(&trial.host, fault);
	if (!*trial.wrong)
		take();
	hit = trial.host.hits;
	judge();
	return hit;
}

static bool is_asked_for(const char *kind, const struct fault *fault)
{
	const char *only = getenv("NTH");
	char name[80];

	snprintf(name, sizeof(name), "%s %s %lu", kind,
		 fault->sticky ? "from" : "at", fault->nth);
	return !only || !strcmp(only, name);
}

static void every(size_t kind, bool sticky)
{
	struct fault fault = kinds[kind].fault;
	unsigned long runs = 0;
	bool good = true;

	fault.sticky = sticky;
	for (fault.nth = 1; good && fault.nth < MOST; fault.nth++) {
		bool hit;

		if (!is_asked_for(kinds[kind].name, &fault))
			continue;
		hit = one(&fault);
		runs++;
		good = !*trial.wrong;
		if (!good)
			diag("NTH=\"%s %s %lu\": %s", kinds[kind].name,
			     sticky ? "from" : "at", fault.nth, trial.wrong);
		if (!hit)
			break;
	}
	ok(good && runs && (fault.nth < MOST || getenv("NTH")),
	   "a group, %s, %s: %lu runs", kinds[kind].name,
	   sticky ? "from the nth on" : "the nth alone", runs);
}

int main(void)
{
	size_t kind;

	for (kind = 0; kind < ARRAY_SIZE(kinds); kind++) {
		every(kind, false);
		every(kind, true);
	}
	return plan_done();
}
