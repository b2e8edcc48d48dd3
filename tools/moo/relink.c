// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which parent a layer has, changed in its header.
 *
 * Duty: whether a layer can stand on a chain, and the name and identity of its
 * parent written into a header of any version.
 *
 * Invariants: the parent's times are durable before a header names them. V4
 * changes with one slot. A header of V1 to V3 changes within one sector, or else
 * it fits no parent while it is neither the old one nor the new one.
 */
#include <sys/stat.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "children.h"
#include "record.h"
#include "relink.h"

/* ---- may it be? -------------------------------------------------------- */

static int refuse_kind(const struct moo_probe *top, struct cow_error *err)
{
	if (top->hdr.format == COW_V4 && top->hdr.v4.kind == COW_KIND_HEADER)
		return moo_fail(err, -EINVAL,
				"%s: the header of a disk image, and no layer; make a new one with moo create",
				top->name);
	if (!top->hdr.parent[0])
		return moo_fail(err, -EINVAL, "%s: has no parent", top->name);
	return 0;
}

static int refuse_loop(const struct moo_probe *top, struct moo_chain *parent,
		       struct cow_error *err)
{
	struct cow_layer_info info;
	unsigned int n;

	for (n = 0; !cow_layer(parent->file, n, &info); n++)
		if (moo_same_file(&info.id, &top->st.id))
			return moo_fail(err, -ELOOP,
					"%s: is itself a part of %s; choose another parent",
					top->name, parent->name);
	return 0;
}

/* What looks like a COW file is refused as a parent of V1 to V3. */
static int refuse_magic(const struct moo_probe *top, struct moo_chain *parent,
			struct cow_error *err)
{
	uint8_t sector[COW_SECTOR_SIZE];
	int ret = moo_chain_read(parent, 0, sector, sizeof(sector), err);

	if (ret || !cow_is_magic(sector))
		return ret;
	return moo_fail(err, -EINVAL,
			"%s: %s begins like a COW file, over which V%d can not stand; make V4 of it with moo convert first",
			top->name, parent->name, top->hdr.format);
}

/* Below V1 to V3 lies raw data of just that many sectors. */
static int refuse_stock(const struct moo_probe *top, struct moo_chain *parent,
			const struct cow_layer_info *info,
			struct cow_error *err)
{
	if (info->format != COW_RAW)
		return moo_fail(err, -EINVAL,
				"%s: V%d can only stand over a raw file, and %s is a COW; make V4 of it with moo convert first",
				top->name, top->hdr.format, parent->name);
	if (info->size != top->device)
		return moo_fail(err, -EINVAL,
				"%s: V%d needs a parent of %llu bytes, and %s has %llu; make V4 of it with moo convert first",
				top->name, top->hdr.format,
				(unsigned long long)top->device, parent->name,
				(unsigned long long)info->size);
	return refuse_magic(top, parent, err);
}

static int refuse_size(const struct moo_probe *top, struct moo_chain *parent,
		       const struct cow_layer_info *info, bool force,
		       struct cow_error *err)
{
	if (force || info->size >= top->device)
		return 0;
	return moo_fail(err, -EINVAL,
			"%s: %s has only %llu of its %llu bytes; give -f if the rest is to read as zeros",
			top->name, parent->name,
			(unsigned long long)info->size,
			(unsigned long long)top->device);
}

/* Who is on the way into a parent, or has gone there, is none. */
static int refuse_leaving(const struct moo_probe *top,
			  const struct cow_layer_info *info,
			  struct cow_error *err)
{
	struct moo_probe *probe;
	int ret;

	ret = moo_probe(info->path, info->format == COW_RAW, true, &probe, err);
	if (ret)
		return ret;
	if (probe->state & (COW_IS_DRAINING | COW_IS_DRAINED))
		ret = moo_fail(err, -EINVAL,
			       "%s: %s was merged into its parent %s, or is about to be; use that one",
			       top->name, info->path, probe->hdr.parent);
	moo_probe_end(probe);
	return ret;
}

int moo_relink_refuse(const struct moo_probe *top, struct moo_chain *parent,
		      bool force, struct cow_error *err)
{
	struct cow_layer_info info;
	int ret;

	ret = refuse_kind(top, err);
	if (!ret)
		ret = moo_hold_writable(top, force, err);
	if (!ret)
		ret = refuse_loop(top, parent, err);
	if (ret)
		return ret;
	if (cow_layer(parent->file, 0, &info))
		return moo_fail(err, -EINVAL, "%s: has no layer", parent->name);
	ret = refuse_leaving(top, &info, err);
	if (ret)
		return ret;
	if (top->hdr.format != COW_V4)
		return refuse_stock(top, parent, &info, err);
	return refuse_size(top, parent, &info, force, err);
}

/* ---- V4 ---------------------------------------------------------------- */

/*
 * A snapshot made the layer over its old parent: the next one may have others.
 * Either is complete.
 */
static uint32_t states_left(uint32_t state, const char *name)
{
	return state & ~(COW_IS_PROVISIONAL | (name ? COW_IS_SNAPSHOT : 0));
}

static int relink_v4(const struct moo_hold *top, const struct moo_probe *parent,
		     const char *name)
{
	const struct cow_disk_v4 *old = &top->probe->hdr.v4;
	struct cow_disk_v4 v4 = *old;
	int ret = 0;

	cow_v4_name_parent(&v4, &parent->hdr, &parent->st);
	v4.state = states_left(v4.state, name);
	if (name && strcmp(name, top->probe->hdr.parent))
		ret = cow_v4_put_name(&top->env, top->fd, COW_V4_PARENT_BLOCK,
				      &old->parent, name, &v4.parent);
	if (ret || !memcmp(&v4, old, sizeof(v4)))
		return ret;
	v4.generation++;
	return cow_v4_put_slot(&top->env, top->fd, &v4);
}

/* ---- V1 to V3 ---------------------------------------------------------- */

/**
 * struct stock - a header of V1 to V3 that is being changed
 * @top: the file
 * @now: what stands in the file
 * @next: what is to stand there
 * @len: bytes of it
 */
struct stock {
	const struct moo_hold *top;
	uint8_t now[COW_HEADER_MAX];
	uint8_t next[COW_HEADER_MAX];
	int len;
};

/* The bytes that differ, from *@first to before *@end. */
static void changed(const struct stock *stock, int *first, int *end)
{
	*first = 0;
	*end = stock->len;
	while (*end && stock->now[*end - 1] == stock->next[*end - 1])
		(*end)--;
	while (*first < *end && stock->now[*first] == stock->next[*first])
		(*first)++;
}

static int emit(struct stock *stock, struct cow_header *hdr)
{
	struct cow_header *copy = malloc(sizeof(*copy));
	int len = -ENOMEM;

	if (copy) {
		*copy = *hdr;
		len = cow_header_emit(copy, stock->next);
	}
	free(copy);
	if (len < 0)
		return len;
	stock->len = len;
	return 0;
}

static int write_changed(struct stock *stock)
{
	const struct moo_hold *top = stock->top;
	int first, end, ret;

	changed(stock, &first, &end);
	if (first == end)
		return 0;
	ret = top->env.io->pwrite(top->env.ctx, top->fd, stock->next + first,
				  end - first, first);
	if (!ret)
		ret = top->env.io->sync(top->env.ctx, top->fd);
	memcpy(stock->now, stock->next, stock->len);
	return ret;
}

/* A time that is neither @a nor @b, nor likely to be a file's. */
static uint32_t no_time(uint32_t a, uint32_t b)
{
	uint32_t time = UINT32_MAX;

	while (time == a || time == b)
		time--;
	return time;
}

/* A name over several sectors is written while the time fits no parent. */
static int write_stepwise(struct stock *stock, const struct cow_header *old,
			  const struct cow_header *new)
{
	struct cow_header *step = malloc(sizeof(*step));
	int ret;

	if (!step)
		return -ENOMEM;
	*step = *old;
	step->mtime = no_time(old->mtime, new->mtime);
	ret = emit(stock, step);
	if (!ret)
		ret = write_changed(stock);
	memcpy(step->parent, new->parent, sizeof(step->parent));
	if (!ret)
		ret = emit(stock, step);
	if (!ret)
		ret = write_changed(stock);
	free(step);
	return ret;
}

static int write_stock(struct stock *stock, const struct cow_header *old,
		       struct cow_header *new)
{
	int first, end, ret;

	ret = emit(stock, new);
	if (ret)
		return ret;
	changed(stock, &first, &end);
	if (first < end && first / COW_SECTOR_SIZE !=
			   (end - 1) / COW_SECTOR_SIZE) {
		ret = write_stepwise(stock, old, new);
		if (!ret)
			ret = emit(stock, new);
	}
	return ret ? ret : write_changed(stock);
}

/* The layers over it know it by its time. */
static int keep_time(const struct moo_hold *top)
{
	const struct io_stat *st = &top->probe->st;
	const struct timespec times[2] = {
		{ .tv_nsec = UTIME_OMIT },
		{ .tv_sec = st->mtime_sec, .tv_nsec = st->mtime_nsec },
	};

	if (futimens(top->fd, times))
		return -errno;
	return top->env.io->sync(top->env.ctx, top->fd);
}

static int store_state(const struct moo_hold *top, const char *name)
{
	uint32_t state = top->probe->record.state;
	struct cow_record *rec;
	int ret;

	if (states_left(state, name) == state)
		return 0;
	rec = malloc(sizeof(*rec));
	if (!rec)
		return -ENOMEM;
	*rec = top->probe->record;
	rec->state = states_left(state, name);
	if (rec->state)
		ret = cow_record_store(&top->env, top->fd, top->probe->path,
				       rec);
	else
		ret = cow_record_remove(&top->env, top->fd, top->probe->path);
	free(rec);
	return ret;
}

static int change_stock(const struct moo_hold *top,
			const struct moo_probe *parent, const char *name,
			struct stock *stock, struct cow_header *new)
{
	const struct cow_header *old = &top->probe->hdr;
	int64_t got;
	int ret;

	got = top->env.io->pread(top->env.ctx, top->fd, stock->now,
				 sizeof(stock->now), 0);
	if (got < 0)
		return got;
	stock->top = top;
	*new = *old;
	new->mtime = parent->st.mtime_sec;
	new->size = parent->st.size;
	if (name)
		memcpy(new->parent, name, strlen(name) + 1);
	ret = store_state(top, name);
	if (!ret)
		ret = write_stock(stock, old, new);
	return ret ? ret : keep_time(top);
}

static int relink_stock(const struct moo_hold *top,
			const struct moo_probe *parent, const char *name)
{
	struct cow_header *new = malloc(sizeof(*new));
	struct stock *stock = malloc(sizeof(*stock));
	int ret = -ENOMEM;

	if (new && stock)
		ret = change_stock(top, parent, name, stock, new);
	free(stock);
	free(new);
	return ret;
}

/* ---- all versions ------------------------------------------------------ */

/* What the header is going to say must not be lost by a crash. */
static int sync_parent(const struct moo_probe *parent, struct cow_error *err)
{
	int ret = parent->env.io->sync(parent->env.ctx, parent->fd);

	/* A file system that is read-only has nothing to sync. */
	if (!ret || ret == -EINVAL || ret == -EROFS)
		return 0;
	return moo_fail(err, ret, "%s: %s", parent->path, strerror(-ret));
}

/* The parent knows of it before it does; if it can not, that is no reason. */
static int write_header(const struct moo_hold *top,
			const struct moo_probe *parent, const char *name)
{
	int list = cow_children_add(&top->env, parent->fd, top->probe->path);
	int ret;

	if (top->probe->hdr.format == COW_V4)
		ret = relink_v4(top, parent, name);
	else
		ret = relink_stock(top, parent, name);
	if (list >= 0)
		top->env.io->close(top->env.ctx, list);
	return ret;
}

static int relink(const struct moo_hold *top, const struct moo_probe *parent,
		  const char *name, struct cow_error *err)
{
	int ret = sync_parent(parent, err);

	if (ret)
		return ret;
	ret = write_header(top, parent, name);
	if (ret == -ENAMETOOLONG)
		return moo_fail(err, ret,
				"%s: has no room for the name %s; give the parent a shorter one, or make V4 with moo convert",
				top->name, name);
	return ret ? moo_hold_failed(top, ret, err) : 0;
}

int moo_relink(const struct moo_hold *top, struct moo_chain *parent,
	       const char *name, struct cow_error *err)
{
	struct cow_layer_info info;
	struct moo_probe *probe;
	int ret;

	if (cow_layer(parent->file, 0, &info))
		return moo_fail(err, -EINVAL, "%s: has no layer", parent->name);
	/* Its lock is held by the chain. */
	ret = moo_probe(info.path, info.format == COW_RAW, true, &probe, err);
	if (ret)
		return ret;
	ret = relink(top, probe, name, err);
	moo_probe_end(probe);
	return ret;
}
