// SPDX-License-Identifier: GPL-2.0-only
/*
 * A host on which the Nth operation fails, see faulty.h.
 */
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "engine.h"
#include "faulty.h"
#include "io.h"

static struct faulty *current;
static struct cow_env plain;
static size_t taken;

/* ---- is it this one? --------------------------------------------------- */

static const struct layer *layer_of(const struct faulty *host, int fd)
{
	const struct layer *layer = NULL;

	if (host->file)
		layer = cow_chain(host->file)->top;
	while (layer && layer->fd != fd)
		layer = layer->parent;
	return layer;
}

/*
 * A V4 layer that was frozen and is durable has nothing to lose but the list
 * of its free blocks.
 */
static bool is_loss(const struct faulty *host, int fd)
{
	const struct layer *layer = layer_of(host, fd);

	if (!layer)
		return false;
	return layer->hdr.format != COW_V4 || !layer->parent ||
	       !cow_chain(host->file)->flush.blocked;
}

void faulty_lose(struct faulty *host, int fd)
{
	if (is_loss(host, fd))
		host->lost = true;
}

static bool fails(struct faulty *host, enum fault_class class)
{
	const struct fault *fault = &host->fault;

	if (host->below_all || !fault->nth || !(fault->classes & 1u << class))
		return false;
	host->seen++;
	if (fault->sticky ? host->seen < fault->nth :
			    host->seen != fault->nth)
		return false;
	host->hits++;
	host->hit |= 1u << class;
	return true;
}

static bool half(const struct faulty *host)
{
	return host->fault.effect == FAULT_HALF;
}

/* ---- descriptors ------------------------------------------------------- */

static int fail_call(void *arg)
{
	return (int)(intptr_t)arg;
}

/* At least a sector less than was asked for. */
static uint64_t part_of(uint64_t len)
{
	return len / 2 / COW_SECTOR_SIZE * COW_SECTOR_SIZE;
}

static int read_part(void *arg)
{
	struct io_desc part = *(struct io_desc *)arg;

	part.op = IO_READ;
	part.len = part_of(part.len);
	return cow_io_sync.submit(NULL, &part);
}

/* A single sector is written or not. */
static void do_half(const struct io_desc *desc)
{
	struct io_desc part = *desc;

	if (desc->op == IO_WRITE && desc->len > COW_SECTOR_SIZE)
		part.len = part_of(desc->len);
	cow_io_sync.submit(NULL, &part);
}

/* It is queued as all others, and fails when its turn comes. */
static void spoil(struct faulty *host, struct io_desc *desc)
{
	if (host->fault.effect == FAULT_SHORT) {
		desc->call = read_part;
		desc->arg = desc;
	} else {
		if (half(host))
			do_half(desc);
		desc->call = fail_call;
		desc->arg = (void *)(intptr_t)host->fault.error;
	}
	if (desc->op == IO_SYNC)
		faulty_lose(host, desc->fd);
	desc->op = IO_CALL;
}

static int submit(void *ctx, struct io_desc *desc)
{
	struct faulty *host = ctx;

	if (desc->op != IO_CALL && fails(host, (enum fault_class)desc->op))
		spoil(host, desc);
	return host->below.submit(ctx, desc);
}

/* ---- what may block ---------------------------------------------------- */

static int open_file(void *ctx, const char *path, unsigned int flags)
{
	struct faulty *host = ctx;

	return fails(host, FC_OPEN) ? host->fault.error :
				      host->below.open(ctx, path, flags);
}

static int reopen(void *ctx, int fd, unsigned int flags)
{
	struct faulty *host = ctx;

	return fails(host, FC_OPEN) ? host->fault.error :
				      host->below.reopen(ctx, fd, flags);
}

static int stat_file(void *ctx, int fd, struct io_stat *st)
{
	struct faulty *host = ctx;

	return fails(host, FC_STAT) ? host->fault.error :
				      host->below.stat(ctx, fd, st);
}

static int lookup(void *ctx, const char *path, struct io_stat *st)
{
	struct faulty *host = ctx;

	return fails(host, FC_STAT) ? host->fault.error :
				      host->below.lookup(ctx, path, st);
}

static int real_path(void *ctx, const char *path, char buf[COW_PATH_MAX])
{
	struct faulty *host = ctx;

	return fails(host, FC_STAT) ? host->fault.error :
				      host->below.realpath(ctx, path, buf);
}

static int64_t next_data(void *ctx, int fd, uint64_t off)
{
	struct faulty *host = ctx;

	return fails(host, FC_STAT) ? host->fault.error :
				      host->below.next_data(ctx, fd, off);
}

static int64_t read_at(void *ctx, int fd, void *buf, size_t len, uint64_t off)
{
	struct faulty *host = ctx;

	return fails(host, FC_PREAD) ?
	       host->fault.error : host->below.pread(ctx, fd, buf, len, off);
}

static int write_at(void *ctx, int fd, const void *buf, size_t len,
		    uint64_t off)
{
	struct faulty *host = ctx;

	if (!fails(host, FC_PWRITE))
		return host->below.pwrite(ctx, fd, buf, len, off);
	if (half(host))
		host->below.pwrite(ctx, fd, buf, len > COW_SECTOR_SIZE ?
				   part_of(len) : len, off);
	return host->fault.error;
}

static int sync_file(void *ctx, int fd)
{
	struct faulty *host = ctx;

	if (!fails(host, FC_FSYNC))
		return host->below.sync(ctx, fd);
	faulty_lose(host, fd);
	return host->fault.error;
}

static int set_size(void *ctx, int fd, uint64_t size)
{
	struct faulty *host = ctx;

	return fails(host, FC_TRUNCATE) ? host->fault.error :
					  host->below.truncate(ctx, fd, size);
}

static int create(void *ctx, const char *path, uint32_t mode, uint32_t gid)
{
	struct faulty *host = ctx;

	return fails(host, FC_CREATE) ?
	       host->fault.error : host->below.create(ctx, path, mode, gid);
}

static int publish(void *ctx, int fd, const char *path)
{
	struct faulty *host = ctx;

	return fails(host, FC_NAME) ? host->fault.error :
				      host->below.publish(ctx, fd, path);
}

static int replace(void *ctx, int fd, const char *path)
{
	struct faulty *host = ctx;

	if (!fails(host, FC_NAME))
		return host->below.replace(ctx, fd, path);
	if (half(host))
		host->below.replace(ctx, fd, path);
	return host->fault.error;
}

static int unlink_file(void *ctx, const char *path)
{
	struct faulty *host = ctx;

	if (!fails(host, FC_UNLINK))
		return host->below.unlink(ctx, path);
	if (half(host))
		host->below.unlink(ctx, path);
	return host->fault.error;
}

static int lock(void *ctx, int fd, enum io_lock how)
{
	struct faulty *host = ctx;

	return fails(host, FC_LOCK) ? host->fault.error :
				      host->below.lock(ctx, fd, how);
}

static int get_attribute(void *ctx, int fd, enum io_attr attr, void *buf,
			 size_t len)
{
	struct faulty *host = ctx;

	return fails(host, FC_GETATTR) ?
	       host->fault.error :
	       host->below.getattr(ctx, fd, attr, buf, len);
}

/* One that has no room is one that the file can not have: see struct io_ops. */
static int set_attribute(void *ctx, int fd, enum io_attr attr, const void *buf,
			 size_t len)
{
	struct faulty *host = ctx;

	if (!fails(host, FC_SETATTR))
		return host->below.setattr(ctx, fd, attr, buf, len);
	if (half(host))
		host->below.setattr(ctx, fd, attr, buf, len);
	if (host->fault.error == -ENOSPC && len)
		return -EOPNOTSUPP;
	if (host->fault.error == -EIO)
		faulty_lose(host, fd);
	return host->fault.error;
}

static int get_random(void *ctx, void *buf, size_t len)
{
	struct faulty *host = ctx;

	return fails(host, FC_RANDOM) ? host->fault.error :
					host->below.random(ctx, buf, len);
}

/* Patience is not what these tests are about. */
static void nap(void *ctx, unsigned int ms)
{
	(void)ctx;
	(void)ms;
}

/* ---- memory ------------------------------------------------------------ */

static void *alloc(size_t len)
{
	void *mem = fails(current, FC_ALLOC) ? NULL : plain.alloc(len);

	if (mem)
		__atomic_add_fetch(&taken, len, __ATOMIC_RELAXED);
	return mem;
}

static void give_back(void *mem, size_t len)
{
	__atomic_sub_fetch(&taken, len, __ATOMIC_RELAXED);
	plain.free(mem, len);
}

size_t faulty_memory(void)
{
	return taken;
}

/* ------------------------------------------------------------------------ */

void faulty_init(struct faulty *host, uint64_t seed)
{
	memset(host, 0, sizeof(*host));
	rig_init(&host->rig, seed);
	plain = host->rig.env;
	host->below = *plain.io;
	host->ops = host->below;
	host->ops.name = "faulty";
	host->ops.submit = submit;
	host->ops.open = open_file;
	host->ops.reopen = reopen;
	host->ops.stat = stat_file;
	host->ops.lookup = lookup;
	host->ops.realpath = real_path;
	host->ops.next_data = next_data;
	host->ops.pread = read_at;
	host->ops.pwrite = write_at;
	host->ops.sync = sync_file;
	host->ops.truncate = set_size;
	host->ops.create = create;
	host->ops.publish = publish;
	host->ops.replace = replace;
	host->ops.unlink = unlink_file;
	host->ops.lock = lock;
	host->ops.getattr = get_attribute;
	host->ops.setattr = set_attribute;
	host->ops.random = get_random;
	host->ops.nap = nap;
	host->rig.env.io = &host->ops;
	host->rig.env.alloc = alloc;
	host->rig.env.free = give_back;
	host->rig.quiet = true;
	current = host;
}

void faulty_arm(struct faulty *host, const struct fault *fault)
{
	host->fault = *fault;
	host->seen = 0;
	host->hits = 0;
	host->hit = 0;
	host->below_all = false;
	host->lost = false;
}

void faulty_mend(struct faulty *host)
{
	host->fault.nth = 0;
}
