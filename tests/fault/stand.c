// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device on a faulty host: files, requests, tasks; see stand.h.
 */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine.h"
#include "interpose.h"
#include "place.h"
#include "stand.h"
#include "tap.h"

#define BASE_VALUE	1u
#define TIMER		8u	/* turns between those of the timer */
#define PATIENCE	2000u	/* turns in which nothing comes to its end */

uint64_t stand_pick(struct stand *stand, uint64_t n)
{
	return tap_random(&stand->seed) % n;
}

void stand_fail(struct stand *stand, const char *fmt, ...)
{
	va_list args;

	if (stand->failed)
		return;
	va_start(args, fmt);
	vsnprintf(stand->text, sizeof(stand->text), fmt, args);
	va_end(args);
	stand->failed = true;
}

void stand_path(const struct stand *stand, char path[STAND_NAME],
		const char *name)
{
	int len = snprintf(path, STAND_NAME, "%s/%s", stand->dir, name);

	assert(len < STAND_NAME);
}

/* ---- who was told ------------------------------------------------------ */

/* One's own lock may be in the way if the host does not take it back. */
static bool is_expected(const struct faulty *host, int error)
{
	if (error == host->fault.error || error == -EIO)
		return true;
	if (error == -EBADMSG)
		return host->fault.effect == FAULT_SHORT;
	return error == -EAGAIN && host->hit & FC(LOCK);
}

static void tell(struct stand *stand, enum victim victim, int error)
{
	if (!error)
		return;
	stand->told[victim]++;
	if (!stand->host.hits)
		stand_fail(stand, "error %d without a fault", error);
	else if (!is_expected(&stand->host, error))
		stand->wrong_error = error;
}

static enum victim victim_of(const struct common_io *io)
{
	switch (io->op) {
	case COMMON_READ:
		return V_READ;
	case COMMON_FLUSH:
		return V_FLUSH;
	case COMMON_DISCARD:
		return V_DISCARD;
	default:
		if (io->flags & COMMON_FUA)
			return V_FUA;
		return io->op == COMMON_ZEROES ? V_ZEROES : V_WRITE;
	}
}

/* ---- requests ---------------------------------------------------------- */

static void flight_done(struct common_io *io)
{
	struct stand_flight *f = (struct stand_flight *)io;

	f->over = true;
}

static void read_landed(struct stand *stand, struct stand_flight *f)
{
	unsigned int i;

	for (i = 0; i < f->count; i++) {
		uint64_t sector = place_sector(f->index + i);
		uint32_t value;

		if (!twin_value(f->buf + i * COW_SECTOR_SIZE, sector, &value))
			stand_fail(stand, "sector %llu reads as none of its own",
				   (unsigned long long)sector);
		else if (!twin_read(&stand->twin, f->index + i, value))
			stand_fail(stand, "sector %llu reads as %u",
				   (unsigned long long)sector, value);
	}
}

static void land(struct stand *stand, struct stand_flight *f)
{
	bool durable = f->io.flags & COMMON_FUA;
	int error = f->io.result;

	f->busy = false;
	tell(stand, victim_of(&f->io), error);
	if (f->io.op == COMMON_FLUSH)
		return;
	if (f->io.op == COMMON_READ) {
		if (!error)
			read_landed(stand, f);
	} else if (error || f->io.op == COMMON_DISCARD) {
		twin_unsure(&stand->twin, f->index, f->count, f->value);
	} else {
		twin_written(&stand->twin, f->index, f->count, f->value,
			     durable);
	}
}

static void land_all(struct stand *stand)
{
	unsigned int i;

	for (i = 0; i < STAND_FLIGHTS; i++) {
		if (stand->flight[i].busy && stand->flight[i].over)
			land(stand, &stand->flight[i]);
	}
}

static bool free_for(const struct stand *stand, unsigned int index,
		     unsigned int count)
{
	unsigned int i;

	for (i = 0; i < STAND_FLIGHTS; i++) {
		const struct stand_flight *f = &stand->flight[i];

		if (f->busy && f->io.op != COMMON_FLUSH &&
		    index < f->index + f->count && f->index < index + count)
			return false;
	}
	return true;
}

static struct stand_flight *free_flight(struct stand *stand)
{
	unsigned int i;

	for (i = 0; i < STAND_FLIGHTS; i++) {
		if (!stand->flight[i].busy)
			return &stand->flight[i];
	}
	return NULL;
}

static void fill(struct stand *stand, struct stand_flight *f)
{
	unsigned int i;

	f->value = 0;
	if (f->io.op == COMMON_WRITE)
		f->value = ++stand->values;
	for (i = 0; i < f->count; i++)
		twin_fill(f->buf + i * COW_SECTOR_SIZE,
			  place_sector(f->index + i), f->value);
	if (f->io.op != COMMON_READ)
		twin_issue(&stand->twin, f->index, f->count, f->value);
}

static void start(struct stand *stand, struct stand_flight *f)
{
	int ret;

	f->vec.base = f->buf;
	f->vec.len = (size_t)f->count * COW_SECTOR_SIZE;
	f->io.len = f->vec.len;
	f->io.offset = f->count ? place_sector(f->index) * COW_SECTOR_SIZE : 0;
	f->io.vec = &f->vec;
	f->io.nvec = 1;
	f->io.done = flight_done;
	f->busy = true;
	f->over = false;
	ret = stand->file->ops->submit(stand->file, &f->io);
	if (ret == -EINPROGRESS)
		return;
	f->io.result = ret;
	land(stand, f);
}

static void start_random(struct stand *stand)
{
	static const enum common_op ops[] = {
		COMMON_READ, COMMON_READ, COMMON_WRITE, COMMON_WRITE,
		COMMON_WRITE, COMMON_WRITE, COMMON_ZEROES, COMMON_DISCARD,
	};
	enum common_op op = ops[stand_pick(stand, ARRAY_SIZE(ops))];
	unsigned int index = stand_pick(stand, PLACE_COUNT);
	unsigned int count = 1 + stand_pick(stand, place_left(index));
	bool fua = stand_pick(stand, 5) == 0;
	struct stand_flight *f = free_flight(stand);

	if (!f || !free_for(stand, index, count))
		return;
	memset(&f->io, 0, sizeof(f->io));
	f->io.op = op;
	if (fua && (op == COMMON_WRITE || op == COMMON_ZEROES))
		f->io.flags = COMMON_FUA;
	f->index = index;
	f->count = count;
	fill(stand, f);
	start(stand, f);
}

/* An answer, or the timer's turn. False: for long there was nothing. */
static bool turn(struct stand *stand)
{
	if (rig_pump(&stand->host.rig))
		stand->quiet_turns = 0;
	else if (!(++stand->quiet_turns % TIMER))
		cow_background(stand->file);
	land_all(stand);
	return stand->quiet_turns < PATIENCE;
}

static bool any_busy(const struct stand *stand)
{
	unsigned int i;

	for (i = 0; i < STAND_FLIGHTS; i++) {
		if (stand->flight[i].busy)
			return true;
	}
	return false;
}

void stand_settle(struct stand *stand)
{
	stand->quiet_turns = 0;
	while (any_busy(stand) || stand->host.rig.queued) {
		if (turn(stand))
			continue;
		stand_fail(stand, "a request hangs");
		return;
	}
}

void stand_mix(struct stand *stand)
{
	unsigned int n = stand_pick(stand, 3);

	start_random(stand);
	while (n--)
		turn(stand);
}

int stand_flush(struct stand *stand)
{
	struct stand_flight *f = &stand->flight[0];

	stand_settle(stand);
	if (stand->failed)
		return -EDEADLK;
	memset(&f->io, 0, sizeof(f->io));
	f->io.op = COMMON_FLUSH;
	f->count = 0;
	start(stand, f);
	stand_settle(stand);
	if (stand->failed)
		return -EDEADLK;
	if (!f->io.result)
		twin_flushed(&stand->twin);
	return f->io.result;
}

/* ---- tasks ------------------------------------------------------------- */

void stand_mend(struct stand *stand)
{
	faulty_mend(&stand->host);
	interpose_mend();
}

bool stand_may_wait(const struct faulty *host)
{
	return host->fault.error == -ENOSPC || host->fault.error == -ENOMEM;
}

/* Room is made, where its lack is what a task has waited for. */
static bool make_room(struct stand *stand)
{
	struct faulty *host = &stand->host;

	if (!host->fault.sticky || !stand_may_wait(host) || !host->fault.nth)
		return false;
	stand_mend(stand);
	stand->quiet_turns = 0;
	return true;
}

static int drive(struct stand *stand, struct cow_task *task,
		 void (*each)(struct stand *stand))
{
	unsigned int steps, requests = 0;
	enum cow_step step = COW_STEP_AGAIN;

	stand->quiet_turns = 0;
	for (steps = 0; steps < PATIENCE; steps++) {
		step = cow_task_step(task);
		if (each)
			each(stand);
		if (step == COW_STEP_DONE)
			break;
		if (requests < 24 && stand_pick(stand, 3) == 0) {
			requests++;
			stand_mix(stand);
		}
		turn(stand);
		if (steps == PATIENCE / 2 && make_room(stand))
			steps = 0;
	}
	if (step == COW_STEP_DONE)
		return task->result;
	stand_fail(stand, "a task hangs (%s)", task->error.text);
	return -EDEADLK;
}

static void one_line(struct stand *stand, int ret, const struct cow_error *err)
{
	if (ret && ret != -EDEADLK && !*err->text)
		stand_fail(stand, "error %d without a line for people", ret);
	tell(stand, V_TASK, ret);
}

/* What the layer that is frozen has to hold: also what was under way. */
static void freeze(struct stand *stand)
{
	unsigned int i, k;

	stand->frozen = calloc(PLACE_COUNT, sizeof(*stand->frozen));
	for (i = 0; i < PLACE_COUNT; i++)
		stand->frozen[i] = stand->twin.sector[i].live;
	for (i = 0; i < STAND_FLIGHTS; i++) {
		const struct stand_flight *f = &stand->flight[i];

		if (!f->busy || f->io.op == COMMON_READ)
			continue;
		for (k = f->index; k < f->index + f->count; k++)
			twin_add(&stand->frozen[k], f->value);
	}
}

static struct layer *old_top;

static void watch_swap(struct stand *stand)
{
	if (!stand->frozen && cow_chain(stand->file)->top != old_top)
		freeze(stand);
}

/* A failure before the swap leaves no more than what can not be removed. */
static void nothing_left(struct stand *stand, const char *name)
{
	char path[STAND_NAME];

	stand_path(stand, path, name);
	if (cow_chain(stand->file)->top == old_top && !access(path, F_OK) &&
	    !(stand->host.hit & FC(UNLINK)))
		stand_fail(stand, "a snapshot that failed left %s", name);
}

int stand_snapshot(struct stand *stand, const char *name, unsigned int version)
{
	static struct cow_snapshot_result result;
	const struct cow_snapshot_args args = {
		.name = name,
		.version = version,
	};
	struct cow_error err = { "" };
	struct cow_task *task;
	int ret;

	old_top = cow_chain(stand->file)->top;
	free(stand->frozen);
	stand->frozen = NULL;
	ret = cow_snapshot_start(stand->file, &args, &result, &task, &err);
	if (!ret) {
		ret = drive(stand, task, watch_swap);
		err = task->error;
		if (ret != -EDEADLK)
			cow_snapshot_end(task);
	}
	one_line(stand, ret, &err);
	if (ret) {
		free(stand->frozen);
		stand->frozen = NULL;
		nothing_left(stand, name);
	}
	return ret;
}

int stand_merge(struct stand *stand, bool remove)
{
	static struct cow_merge_progress progress;
	const struct cow_merge_args args = { .remove = remove };
	struct cow_error err = { "" };
	struct cow_task *task;
	int ret;

	/* What was frozen is written again. */
	free(stand->frozen);
	stand->frozen = NULL;
	ret = cow_merge_start(stand->file, &args, &progress, &task, &err);
	if (!ret) {
		ret = drive(stand, task, NULL);
		err = task->error;
		if (ret != -EDEADLK)
			cow_merge_end(task);
	}
	one_line(stand, ret, &err);
	return ret;
}

/* ---- content ----------------------------------------------------------- */

static void compare_one(struct stand *stand, unsigned int index,
			const uint8_t *data, bool found, const char *when)
{
	uint64_t sector = place_sector(index);
	const struct twin_sector *twin = &stand->twin.sector[index];
	uint32_t value;

	if (!twin_value(data, sector, &value))
		stand_fail(stand, "%s: sector %llu is none of its own", when,
			   (unsigned long long)sector);
	else if (!(found ? twin_found(&stand->twin, index, value) :
			   twin_read(&stand->twin, index, value)))
		stand_fail(stand, "%s: sector %llu is %u, not %u (of %u)", when,
			   (unsigned long long)sector, value,
			   found ? twin->disk.value[0] : twin->live.value[0],
			   found ? twin->disk.count : twin->live.count);
}

void stand_compare(struct stand *stand, bool found, const char *when)
{
	static uint8_t buf[PLACE_LONGEST * COW_SECTOR_SIZE];
	unsigned int index, count, i;
	int ret;

	for (index = 0; index < PLACE_COUNT; index += count) {
		count = place_left(index);
		ret = rig_rw(&stand->host.rig, stand->file, COMMON_READ, buf,
			     place_sector(index) * COW_SECTOR_SIZE,
			     (uint64_t)count * COW_SECTOR_SIZE, 0);
		if (ret)
			stand_fail(stand, "%s: a read answers %d", when, ret);
		for (i = 0; i < count && !ret; i++)
			compare_one(stand, index + i,
				    buf + i * COW_SECTOR_SIZE, found, when);
	}
}

/* ---- files ------------------------------------------------------------- */

static void bail_out(const char *why)
{
	printf("Bail out! %s: %s\n", why, strerror(errno));
	exit(1);
}

static void make_base(struct stand *stand)
{
	uint8_t data[COW_SECTOR_SIZE];
	char path[STAND_NAME];
	unsigned int i;
	int fd;

	stand_path(stand, path, "base");
	fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0644);
	if (fd < 0 || ftruncate(fd, STAND_SECTORS * COW_SECTOR_SIZE))
		bail_out(path);
	for (i = 0; i < PLACE_COUNT; i++) {
		twin_fill(data, place_sector(i), BASE_VALUE);
		twin_set(&stand->twin, i, BASE_VALUE);
		if (pwrite(fd, data, sizeof(data),
			   place_sector(i) * sizeof(data)) != sizeof(data))
			bail_out(path);
	}
	close(fd);
}

/*
 * V1 and V2 are not made any more. Their shortest file ends before the bits of
 * the last sectors, which are not a whole byte.
 */
static void make_old(struct stand *stand, const char *name, const char *parent,
		     unsigned int version)
{
	static uint8_t buf[COW_HEADER_MAX];
	struct cow_header hdr = { .format = (enum cow_format)version };
	struct stat st;
	int fd, len;

	fd = open(name, O_CREAT | O_EXCL | O_WRONLY, 0600);
	if (fd < 0 || stat(parent, &st))
		bail_out(name);
	hdr.size = st.st_size;
	hdr.mtime = st.st_mtime;
	snprintf(hdr.parent, sizeof(hdr.parent), "%s", parent);
	len = cow_header_emit(&hdr, buf);
	if (len < 0 || pwrite(fd, buf, len, 0) != len ||
	    ftruncate(fd, hdr.bitmap_offset + STAND_SECTORS / 8))
		stand_fail(stand, "to begin with: no V%u file", version);
	close(fd);
}

static void add_layer(struct stand *stand, unsigned int version, unsigned int n)
{
	char parent[STAND_NAME], name[STAND_NAME];
	const struct cow_create_args args = {
		.name = name,
		.parent = parent,
		.version = version,
		.mode = 0600,
		.gid = ~0u,
	};
	struct cow_error err = { "" };

	stand_path(stand, parent, stand->boot);
	strcpy(stand->boot_parent, stand->boot);
	snprintf(stand->boot, sizeof(stand->boot), "layer%u", n);
	stand_path(stand, name, stand->boot);
	if (version < 3)
		make_old(stand, name, parent, version);
	else if (cow_create(&stand->host.rig.env, &args, &err))
		stand_fail(stand, "to begin with: %s", err.text);
}

static void populate(struct stand *stand, unsigned int requests)
{
	if (stand->failed || stand_open(stand))
		return;
	while (requests--)
		stand_mix(stand);
	stand_flush(stand);
}

/* Some of it is merged, then the machine stops. */
static void stop_merge(struct stand *stand)
{
	static struct cow_merge_progress progress;
	const struct cow_merge_args args = { .remove = false };
	struct cow_error err = { "" };
	struct cow_task *task;

	if (cow_merge_start(stand->file, &args, &progress, &task, &err)) {
		stand_fail(stand, "to begin with: %s", err.text);
		return;
	}
	while (!cow_chain(stand->file)->drain.active || !progress.done)
		cow_task_step(task);
	cow_merge_end(task);
	cow_chain(stand->file)->task = NULL;
}

static void build(struct stand *stand)
{
	const struct layout *layout = stand->layout;
	unsigned int i;

	make_base(stand);
	strcpy(stand->boot, "base");
	for (i = 0; i < STAND_LAYERS && layout->version[i]; i++) {
		add_layer(stand, layout->version[i], i);
		populate(stand, 6);
		stand_close(stand);
	}
	if (layout->snapshot) {
		populate(stand, 2);
		if (!stand->failed &&
		    stand_snapshot(stand, "snap", layout->delta))
			stand_fail(stand, "to begin with: no snapshot");
		for (i = 0; i < 8 && !stand->failed; i++)
			stand_mix(stand);
		stand_flush(stand);
		if (layout->stopped)
			stop_merge(stand);
		if (layout->alias)
			stand_merge(stand, false);
		stand_flush(stand);
		stand_close(stand);
	}
	free(stand->frozen);
	stand->frozen = NULL;
	if (layout->made) {
		strcpy(stand->boot_parent, stand->boot);
		strcpy(stand->boot, "made");
	}
}

int stand_open(struct stand *stand)
{
	char name[STAND_NAME], parent[STAND_NAME];
	const struct cow_open_args args = {
		.name = name,
		.parent = stand->layout->made ? parent : NULL,
		.create = true,
		.direct = stand->layout->direct,
	};
	struct cow_error err = { "" };
	bool async = stand->host.rig.async;
	int ret;

	stand_path(stand, name, stand->boot);
	stand_path(stand, parent, stand->boot_parent);
	stand->host.rig.async = false;
	ret = common_open(&stand->host.rig.env, &args, &stand->file, &err);
	stand->host.rig.async = async;
	if (ret && !*err.text)
		stand_fail(stand, "open: error %d without a line", ret);
	tell(stand, V_OPEN, ret);
	if (ret && !stand->failed)
		snprintf(stand->text, sizeof(stand->text), "%s", err.text);
	if (ret)
		stand->file = NULL;
	stand->host.file = stand->file;
	return ret;
}

void stand_close(struct stand *stand)
{
	if (!stand->file)
		return;
	stand_settle(stand);
	if (!stand->failed && !cow_idle(stand->file))
		stand_fail(stand, "it does not come to rest");
	if (stand->failed)
		return;
	common_close(stand->file);
	stand->file = NULL;
	stand->host.file = NULL;
}

static void remove_dir(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;

	while ((entry = readdir(dir)))
		unlinkat(dirfd(dir), entry->d_name, 0);
	closedir(dir);
	rmdir(path);
}

static int next_fd(void)
{
	int fd = dup(STDOUT_FILENO);

	close(fd);
	return fd;
}

void stand_begin(struct stand *stand, const struct layout *layout,
		 uint64_t seed, bool async)
{
	static unsigned int cases;
	unsigned int i;

	memset(stand, 0, sizeof(*stand));
	faulty_init(&stand->host, seed ^ 0x5eed);
	twin_init(&stand->twin, PLACE_COUNT);
	stand->layout = layout;
	stand->seed = seed;
	stand->values = BASE_VALUE;
	for (i = 0; i < STAND_FLIGHTS; i++)
		stand->flight[i].buf = malloc(PLACE_LONGEST * COW_SECTOR_SIZE);
	snprintf(stand->dir, sizeof(stand->dir), "%s/%u", rig_dir(), cases++);
	if (mkdir(stand->dir, 0700))
		bail_out(stand->dir);
	stand->first_fd = next_fd();
	stand->memory = faulty_memory();
	build(stand);
	stand->host.rig.async = async;
	stand->host.rig.inline_percent = async ? 30 : 0;
}

/* Of a chain that hangs, memory and descriptors are lost: the test ends. */
void stand_end(struct stand *stand)
{
	unsigned int i;

	if (stand->file && !stand->failed)
		stand_close(stand);
	if (!stand->failed && faulty_memory() != stand->memory)
		stand_fail(stand, "%zu bytes of memory are lost",
			   faulty_memory() - stand->memory);
	if (!stand->failed && next_fd() != stand->first_fd)
		stand_fail(stand, "a descriptor is lost");
	for (i = 0; i < STAND_FLIGHTS; i++)
		free(stand->flight[i].buf);
	free(stand->frozen);
	twin_free(&stand->twin);
	remove_dir(stand->dir);
}
