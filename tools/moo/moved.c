// SPDX-License-Identifier: GPL-2.0-only
/*
 * A parent that does not stand where its child says.
 *
 * Duty: a host in which one name leads to another file, so that the engine
 * opens a chain whose base was moved, or was named from inside a chroot.
 *
 * Invariant: only the name is replaced. Whether the file is the one that the
 * child was made over is for the engine to judge.
 */
#include <string.h>

#include "io.h"
#include "moo.h"

static const char *find(const struct moo_moved *moved, const char *path)
{
	return strcmp(path, moved->from) ? path : moved->to;
}

static int moved_lookup(void *ctx, const char *path, struct io_stat *st)
{
	return cow_io_sync.lookup(NULL, find(ctx, path), st);
}

static int moved_realpath(void *ctx, const char *path, char buf[COW_PATH_MAX])
{
	return cow_io_sync.realpath(NULL, find(ctx, path), buf);
}

void moo_move(struct cow_env *env, struct moo_moved *moved, const char *from,
	      const char *to)
{
	*moved = (struct moo_moved){
		.io = cow_io_sync, .from = from, .to = to,
	};
	moved->io.lookup = moved_lookup;
	moved->io.realpath = moved_realpath;
	env->io = &moved->io;
	env->ctx = moved;
}
