// SPDX-License-Identifier: GPL-2.0-only
/*
 * An open chain, as verbs want it: bytes, and where they come from.
 *
 * Duty: hold the engine's device and, for each layer, a descriptor to look for
 * holes in its file.
 *
 * Invariant: extents tile the device in order; each begins and ends on a
 * sector.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "moo.h"

/* Tries before memory that the engine can not find is given up. */
#define TRIES	100

/* Let the parent be found where it stands now. */
static int find_moved(struct moo_chain *chain, const char *base,
		      struct cow_error *err)
{
	int ret = moo_probe(chain->name, false, true, &chain->top, err);

	if (ret)
		return ret;
	if (!chain->top->hdr.parent[0])
		return moo_fail(err, -EINVAL,
				"%s: has no parent; leave -b out", chain->name);
	moo_move(&chain->env, &chain->moved, chain->top->hdr.parent, base);
	return 0;
}

static int open_chain(struct moo_chain *chain,
		      const struct cow_open_args *args, const char *base,
		      struct cow_error *err)
{
	unsigned int i;
	int ret = 0;

	if (base)
		ret = find_moved(chain, base, err);
	if (!ret)
		ret = common_open(&chain->env, args, &chain->file, err);
	if (ret)
		return ret;
	chain->fd = malloc(cow_depth(chain->file) * sizeof(*chain->fd));
	if (!chain->fd)
		return moo_fail(err, -ENOMEM, "%s: out of memory", args->name);
	chain->depth = cow_depth(chain->file);
	for (i = 0; i < chain->depth; i++)
		chain->fd[i] = -1;
	return 0;
}

int moo_chain_open(struct moo_chain *chain, const struct cow_open_args *args,
		   const char *base, struct cow_error *err)
{
	int ret;

	*chain = (struct moo_chain){ .name = args->name };
	moo_host(&chain->env);
	ret = open_chain(chain, args, base, err);
	if (ret)
		moo_chain_close(chain);
	return ret;
}

void moo_chain_close(struct moo_chain *chain)
{
	unsigned int i;

	for (i = 0; i < chain->depth; i++)
		if (chain->fd[i] >= 0)
			chain->env.io->close(chain->env.ctx, chain->fd[i]);
	free(chain->fd);
	common_close(chain->file);
	moo_probe_end(chain->top);
	*chain = (struct moo_chain){ 0 };
}

int moo_chain_submit(struct moo_chain *chain,
		     int (*call)(struct common_file *file,
				 struct common_io *io),
		     uint64_t offset, void *buf, uint64_t len)
{
	struct cow_vec vec = { .base = buf, .len = len };
	struct common_io io = {
		.offset = offset, .len = len, .vec = &vec, .nvec = !!buf,
	};
	unsigned int tries = TRIES;
	int ret;

	do {
		ret = call(chain->file, &io);
		/* What is staged may be what takes the memory. */
		if (ret == -EAGAIN)
			cow_background(chain->file);
	} while (ret == -EAGAIN && --tries);
	return ret;
}

int moo_chain_read(struct moo_chain *chain, uint64_t offset, void *buf,
		   size_t len, struct cow_error *err)
{
	int ret = moo_chain_submit(chain, common_pread, offset, buf, len);

	if (ret)
		moo_fail(err, ret, "%s: can not be read at byte %llu: %s",
			 chain->name, (unsigned long long)offset,
			 strerror(-ret));
	return ret;
}

/* A descriptor of layer @n, or a negative errno. */
static int layer_fd(struct moo_chain *chain, unsigned int n)
{
	const struct cow_env *env = &chain->env;
	struct cow_layer_info info;
	struct io_stat st;
	int fd;

	if (chain->fd[n] >= 0)
		return chain->fd[n];
	if (cow_layer(chain->file, n, &info))
		return -ENOENT;
	fd = env->io->open(env->ctx, info.path, 0);
	if (fd < 0)
		return fd;
	/* The name may have been given to another file meanwhile. */
	if (env->io->stat(env->ctx, fd, &st) ||
	    !moo_same_file(&st.id, &info.id)) {
		env->io->close(env->ctx, fd);
		return -ESTALE;
	}
	chain->fd[n] = fd;
	return fd;
}

/*
 * End of the hole at @start, or @start if there is none that can be seen. What
 * lies behind the file's end is no hole: the engine knows what to say of that.
 */
static uint64_t hole_end(int fd, uint64_t start)
{
	off_t data = lseek(fd, start, SEEK_DATA);

	if (data < 0 && errno == ENXIO)
		data = lseek(fd, 0, SEEK_END);
	if (data < (off_t)start)
		return start;
	return data / COW_SECTOR_SIZE * COW_SECTOR_SIZE;
}

static bool in_run(const struct moo_run *run, const struct moo_extent *ext)
{
	return run->layer == ext->depth && ext->offset >= run->start &&
	       ext->offset < run->end;
}

/* Cut @ext where data turns into a hole or a hole into data. */
static void split_at_hole(int fd, struct moo_extent *ext, struct moo_run *run)
{
	uint64_t end;
	off_t hole;

	if (in_run(run, ext)) {
		ext->length = moo_min(ext->length, run->end - ext->offset);
		return;
	}
	end = hole_end(fd, ext->offset);
	if (end > ext->offset) {
		ext->data = false;
		ext->zero = true;
	} else {
		hole = lseek(fd, ext->offset, SEEK_HOLE);
		if (hole < 0)
			return;
		end = moo_round_up(hole, COW_SECTOR_SIZE);
		*run = (struct moo_run){ ext->depth, ext->offset, end };
	}
	ext->length = moo_min(ext->length, end - ext->offset);
}

static void fill_extent(struct moo_extent *ext, const struct cow_run *run,
			unsigned int owner)
{
	bool data = run->state == COW_DATA;

	*ext = (struct moo_extent){
		.start = run->sector << COW_SECTOR_SHIFT,
		.length = run->count << COW_SECTOR_SHIFT,
		.depth = owner,
		.present = run->state != COW_ABSENT,
		.zero = !data,
		.data = data,
		.mapped = data,
		.offset = data ? run->place : 0,
	};
}

int moo_chain_next(struct moo_chain *chain, unsigned int layer, uint64_t start,
		   struct moo_extent *ext, struct cow_error *err)
{
	uint64_t first = start >> COW_SECTOR_SHIFT;
	uint64_t end = chain->file->size >> COW_SECTOR_SHIFT;
	unsigned int owner = layer;
	struct cow_run run;
	int ret, fd;

	ret = cow_map(chain->file, layer, first, end - first, &run, &owner);
	if (ret)
		return moo_fail(err, ret, "%s: its index can not be read: %s",
				chain->name, strerror(-ret));
	fill_extent(ext, &run, owner);
	if (!ext->data)
		return 0;
	fd = layer_fd(chain, owner);
	if (fd >= 0)
		split_at_hole(fd, ext, &chain->run);
	return 0;
}

int moo_chain_copy(struct moo_chain *chain, const struct moo_extent *ext,
		   int fd, uint64_t offset)
{
	struct io_desc desc = {
		.op = IO_COPY,
		.fd = fd,
		.offset = offset,
		.len = ext->length,
		.src_offset = ext->offset,
	};

	desc.src_fd = layer_fd(chain, ext->depth);
	if (desc.src_fd < 0)
		return desc.src_fd;
	return chain->env.io->submit(chain->env.ctx, &desc);
}

int moo_chain_bytes(struct moo_chain *chain, uint64_t *bytes,
		    struct cow_error *err)
{
	const struct cow_env *env = &chain->env;
	struct cow_layer_info base;
	struct io_stat st;
	int fd, ret;

	*bytes = chain->file->size;
	ret = cow_layer(chain->file, chain->depth - 1, &base);
	if (ret)
		return moo_fail(err, ret, "%s: has no base", chain->name);
	if (base.format != COW_RAW)
		return 0;
	fd = layer_fd(chain, chain->depth - 1);
	ret = fd < 0 ? fd : env->io->stat(env->ctx, fd, &st);
	if (ret < 0)
		return moo_fail(err, ret, "%s: %s", base.path, strerror(-ret));
	if (moo_round_up(st.size, COW_SECTOR_SIZE) == *bytes)
		*bytes = st.size;
	return 0;
}
