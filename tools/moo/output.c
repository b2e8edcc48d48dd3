// SPDX-License-Identifier: GPL-2.0-only
/*
 * A new file that appears only when it is complete.
 *
 * Duty: keep a raw file without a name, or a layer under a temporary one, in
 * the directory where it is to stand; publish it, or remove every trace.
 *
 * Invariants: an old file of that name stays as it is, and locked, until the
 * new one replaces it; one in use, frozen, protected or built on is never replaced.
 */
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io_host.h"
#include "moo.h"

static int refuse_old(const struct moo_output *out, const struct stat *st,
		      struct cow_error *err)
{
	if (!out->force)
		return moo_fail(err, -EEXIST,
				"%s: exists already; choose another name, or give -f to replace it",
				out->path);
	if (!S_ISREG(st->st_mode))
		return moo_fail(err, -EINVAL,
				"%s: not a regular file; choose another name",
				out->path);
	return 0;
}

/* Whoever replaces a file that others build on destroys them, too. */
static int refuse_needed(const char *path, struct cow_error *err)
{
	struct moo_probe *probe;
	struct cow_error ignored;
	int ret;

	if (moo_probe(path, false, true, &probe, &ignored))
		return 0;
	if (probe->state & COW_IS_PROTECTED)
		ret = moo_fail(err, -EROFS,
			       "%s: protected; choose another name", path);
	else if (probe->state & COW_IS_FROZEN)
		ret = moo_fail(err, -EBUSY,
			       "%s: frozen, %s builds on it; choose another name",
			       path, probe->successor);
	else
		ret = moo_dependents_refuse(&probe->env, path, probe->fd, NULL,
					    "choose another name", err);
	moo_probe_end(probe);
	return ret;
}

static int lock_old(struct moo_output *out, struct cow_error *err)
{
	const struct cow_env *env = out->env;
	int ret;

	out->old = env->io->open(env->ctx, out->path, IO_OPEN_WRITE);
	if (out->old < 0)
		return moo_fail(err, out->old, "%s: can not be replaced: %s",
				out->path, strerror(-out->old));
	ret = env->io->lock(env->ctx, out->old, IO_EXCLUSIVE);
	if (ret)
		return moo_fail(err, -EBUSY,
				"%s: in use; choose another name", out->path);
	return refuse_needed(out->path, err);
}

/* An output that is a layer of its own source would destroy it. */
static int refuse_own_layer(const struct moo_output *out,
			    const struct moo_chain *chain,
			    struct cow_error *err)
{
	struct cow_layer_info info;
	struct io_stat st;
	unsigned int n;

	if (!chain || out->env->io->lookup(out->env->ctx, out->path, &st))
		return 0;
	for (n = 0; !cow_layer(chain->file, n, &info); n++) {
		if (moo_same_file(&st.id, &info.id))
			return moo_fail(err, -EBUSY,
					"%s: %s is made of it; choose another name",
					out->path, chain->name);
	}
	return 0;
}

int moo_output_begin(struct moo_output *out, const struct cow_env *env,
		     const char *path, bool force,
		     const struct moo_chain *chain, struct cow_error *err)
{
	struct stat st;
	int ret;

	*out = (struct moo_output){
		.env = env, .path = path, .force = force, .old = -1, .fd = -1,
	};
	if (lstat(path, &st)) {
		if (errno == ENOENT)
			return 0;
		ret = -errno;
		return moo_fail(err, ret, "%s: %s", path, strerror(-ret));
	}
	ret = refuse_old(out, &st, err);
	if (!ret)
		ret = refuse_own_layer(out, chain, err);
	if (!ret)
		ret = lock_old(out, err);
	if (ret)
		moo_output_end(out);
	return ret;
}

/* A name beside @path that nobody else has in mind; the caller frees it. */
static char *temp_name(const struct moo_output *out)
{
	const char *slash = strrchr(out->path, '/');
	int dir = slash ? (int)(slash - out->path) + 1 : 0;
	uint64_t id;
	char *name;

	if (out->env->io->random(out->env->ctx, &id, sizeof(id)))
		return NULL;
	if (asprintf(&name, "%.*s.%.64s.%016llx", dir, out->path,
		     out->path + dir, (unsigned long long)id) < 0)
		return NULL;
	return name;
}

static int refuse_create(const struct moo_output *out, int ret,
			 struct cow_error *err)
{
	return moo_fail(err, ret, "%s: can not be created: %s", out->path,
			strerror(-ret));
}

int moo_output_raw(struct moo_output *out, struct cow_error *err)
{
	const struct cow_env *env = out->env;
	char *name = temp_name(out);

	if (!name)
		return refuse_create(out, -ENOMEM, err);
	out->fd = env->io->create(env->ctx, name, moo_mode(), getegid());
	free(name);
	if (out->fd < 0)
		return refuse_create(out, out->fd, err);
	return 0;
}

/* People know the file by the name that it is going to have. */
void moo_output_named(const struct moo_output *out, struct cow_error *err)
{
	size_t len = strlen(out->temp);
	char *rest;

	if (strncmp(err->text, out->temp, len))
		return;
	rest = strdup(err->text + len);
	if (rest)
		moo_fail(err, 0, "%s%s", out->path, rest);
	free(rest);
}

int moo_output_layer(struct moo_output *out, struct cow_create_args *args,
		     struct cow_error *err)
{
	int ret;

	out->temp = temp_name(out);
	if (!out->temp)
		return refuse_create(out, -ENOMEM, err);
	args->name = out->temp;
	args->mode = moo_mode();
	args->gid = ~0u;
	args->unlisted = true;
	if (!args->header)
		out->parent = args->parent;
	ret = cow_create(out->env, args, err);
	if (ret) {
		moo_output_named(out, err);
		free(out->temp);
		out->temp = NULL;
	}
	return ret;
}

static int open_directory(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *dir = slash ? strndup(path, slash - path + 1) : strdup(".");
	int fd;

	if (!dir)
		return -ENOMEM;
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		fd = -errno;
	free(dir);
	return fd;
}

/* Some file systems can not sync a directory, and need no sync. */
static int sync_directory(int dir)
{
	int ret;

	do {
		ret = fsync(dir);
	} while (ret && errno == EINTR);
	return ret && errno != EINVAL ? -errno : 0;
}

static int name_layer(struct moo_output *out, int dir)
{
	int ret = 0;

	if (out->old < 0)
		ret = io_host_rename_new(out->temp, out->path);
	else if (rename(out->temp, out->path))
		ret = -errno;
	if (ret)
		return ret;
	free(out->temp);
	out->temp = NULL;
	ret = sync_directory(dir);
	/* One that may not last is not left for others to find. */
	if (ret && out->old < 0)
		unlink(out->path);
	return ret;
}

static int publish_layer(struct moo_output *out)
{
	int dir, ret;

	dir = open_directory(out->path);
	if (dir < 0)
		return dir;
	ret = name_layer(out, dir);
	close(dir);
	return ret;
}

static int publish_raw(struct moo_output *out)
{
	const struct cow_env *env = out->env;

	if (out->old < 0)
		return env->io->publish(env->ctx, out->fd, out->path);
	return env->io->replace(env->ctx, out->fd, out->path);
}

/* Where its parent can not know of it, it is made all the same. */
static int publish(struct moo_output *out)
{
	const struct cow_env *env = out->env;
	int list = -ENODATA, ret = 0;

	if (!out->temp)
		ret = env->io->sync(env->ctx, out->fd);
	if (ret)
		return ret;
	if (moo_cancelled())
		return -EINTR;
	if (out->parent)
		list = moo_children_add(env, out->parent, out->path);
	ret = out->temp ? publish_layer(out) : publish_raw(out);
	if (list >= 0)
		env->io->close(env->ctx, list);
	return ret;
}

int moo_output_publish(struct moo_output *out, struct cow_error *err)
{
	int ret = publish(out);

	if (ret == -EINTR)
		return moo_cancel(out->path, err);
	if (ret)
		return refuse_create(out, ret, err);
	return 0;
}

void moo_output_end(struct moo_output *out)
{
	const struct cow_env *env = out->env;

	if (out->temp)
		unlink(out->temp);
	free(out->temp);
	out->temp = NULL;
	if (out->fd >= 0)
		env->io->close(env->ctx, out->fd);
	if (out->old >= 0)
		env->io->close(env->ctx, out->old);
	out->fd = -1;
	out->old = -1;
}
