// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device on a host that fails, see bench.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench.h"
#include "io.h"
#include "tap.h"

/* ---- faults ------------------------------------------------------------ */

static int fail_call(void *arg)
{
	return (int)(intptr_t)arg;
}

static int told_of_loss(struct bench *bench, int fd)
{
	if (bench->lost_fd != fd)
		return 0;
	bench->lost_fd = -1;
	return -EIO;
}

static int fault_of(struct bench *bench, const struct io_desc *desc)
{
	if (bench->fail_left && desc->op == bench->fail_op) {
		bench->fail_left--;
		return bench->fail_error;
	}
	return desc->op == IO_SYNC ? told_of_loss(bench, desc->fd) : 0;
}

/* What shall fail is queued as all others, and fails when its turn comes. */
static int submit(void *ctx, struct io_desc *desc)
{
	struct bench *bench = ctx;
	int error = fault_of(bench, desc);

	if (error) {
		desc->op = IO_CALL;
		desc->call = fail_call;
		desc->arg = (void *)(intptr_t)error;
	}
	return bench->submit(ctx, desc);
}

static int sync_file(void *ctx, int fd)
{
	int ret = cow_io_sync.sync(ctx, fd);

	return ret ? ret : told_of_loss(ctx, fd);
}

/* It is durable on return, and so syncs, even if there are no attributes. */
static int set_attribute(void *ctx, int fd, enum io_attr attr, const void *buf,
			 size_t len)
{
	int ret = cow_io_sync.setattr(ctx, fd, attr, buf, len);
	int error = told_of_loss(ctx, fd);

	return error ? error : ret;
}

void bench_fail(struct bench *bench, enum io_op op, int error,
		unsigned int times)
{
	bench->fail_op = op;
	bench->fail_error = error;
	bench->fail_left = times;
}

void bench_lose(struct bench *bench, int fd)
{
	bench->lost_fd = fd;
}

/* ---- a case ------------------------------------------------------------ */

static void bail_out(const char *why)
{
	printf("Bail out! %s\n", why);
	exit(1);
}

void bench_init(struct bench *bench)
{
	static uint64_t seed;
	static unsigned int cases;

	if (!cases)
		seed = tap_seed();
	memset(bench, 0, sizeof(*bench));
	rig_init(&bench->rig, tap_random(&seed));
	bench->ops = *bench->rig.env.io;
	bench->submit = bench->ops.submit;
	bench->ops.submit = submit;
	bench->ops.sync = sync_file;
	bench->ops.setattr = set_attribute;
	bench->rig.env.io = &bench->ops;
	bench->lost_fd = -1;
	snprintf(bench->dir, sizeof(bench->dir), "%s/%u", rig_dir(), cases++);
	if (mkdir(bench->dir, 0700))
		bail_out(bench->dir);
}

void bench_path(const struct bench *bench, char path[BENCH_NAME],
		const char *name)
{
	if (snprintf(path, BENCH_NAME, "%s/%s", bench->dir, name) >= BENCH_NAME)
		bail_out(name);
}

static void make_base(const char *path, uint64_t size)
{
	int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0644);

	if (fd < 0 || ftruncate(fd, size))
		bail_out(path);
	close(fd);
}

void bench_over_base(struct bench *bench, unsigned int version)
{
	char base[BENCH_NAME], top[BENCH_NAME];
	struct cow_create_args args = {
		.name = top,
		.parent = base,
		.version = version,
		.mode = 0600,
		.gid = ~0u,
	};
	struct cow_error err = { "" };

	bench_path(bench, base, "base");
	bench_path(bench, top, "top");
	if (cow_create(&bench->rig.env, &args, &err))
		bail_out(err.text);
}

void bench_make(struct bench *bench, unsigned int version, uint64_t size)
{
	char base[BENCH_NAME];

	bench_path(bench, base, "base");
	make_base(base, size);
	if (version)
		bench_over_base(bench, version);
}

int bench_try_open(struct bench *bench, const char *name,
		   struct common_file **file)
{
	char path[BENCH_NAME];
	struct cow_open_args args = { .name = path };
	struct cow_error err = { "" };
	bool async = bench->rig.async;
	int ret;

	bench_path(bench, path, name);
	bench->rig.async = false;
	ret = common_open(&bench->rig.env, &args, file, &err);
	bench->rig.async = async;
	if (ret && !bench->rig.quiet)
		diag("open: %s", err.text);
	return ret;
}

struct common_file *bench_open(struct bench *bench, const char *name)
{
	struct common_file *file;

	if (bench_try_open(bench, name, &file))
		bail_out(name);
	return file;
}

struct common_file *bench_disk(struct bench *bench, unsigned int version,
			       uint64_t size)
{
	bench_make(bench, version, size);
	return bench_open(bench, version ? "top" : "base");
}

/* ---- requests ---------------------------------------------------------- */

int bench_put(struct bench *bench, struct common_file *file, uint64_t offset,
	      uint8_t byte, unsigned int flags)
{
	uint8_t buf[BENCH_BLOCK];

	memset(buf, byte, sizeof(buf));
	return rig_rw(&bench->rig, file, COMMON_WRITE, buf, offset,
		      sizeof(buf), flags);
}

int bench_get(struct bench *bench, struct common_file *file, uint64_t offset)
{
	uint8_t buf[BENCH_BLOCK];
	int ret;

	ret = rig_rw(&bench->rig, file, COMMON_READ, buf, offset, sizeof(buf),
		     0);
	return ret ? ret : buf[0];
}

int bench_flush(struct bench *bench, struct common_file *file)
{
	return rig_rw(&bench->rig, file, COMMON_FLUSH, NULL, 0, 0, 0);
}

static void io_done(struct common_io *common)
{
	struct bench_io *io = (struct bench_io *)common;

	io->over = true;
	io->result = common->result;
}

void bench_start(struct bench_io *io, struct common_file *file,
		 enum common_op op, void *buf, uint64_t offset, uint64_t len,
		 unsigned int flags)
{
	memset(io, 0, sizeof(*io));
	io->vec = (struct cow_vec){ buf, len };
	io->io = (struct common_io){
		.op = op,
		.flags = flags,
		.offset = offset,
		.len = len,
		.vec = &io->vec,
		.nvec = 1,
		.done = io_done,
	};
	io->result = file->ops->submit(file, &io->io);
	io->over = io->result != -EINPROGRESS;
}
