// SPDX-License-Identifier: GPL-2.0-only
/*
 * State records, V4 header slots and names: small metadata, read and written
 * with blocking calls.
 *
 * Duty: everything about a file's state that lies outside the commit path: the
 * record of a raw or V1 to V3 file (extended attribute, or a sidecar file where
 * there are none), the choice between two V4 slots, names stored in blocks.
 *
 * Invariants: a record or name is complete and durable before anything refers
 * to it; one that fails its checksum is an error, never a guess.
 */
#include <stdio.h>
#include <string.h>
#include "engine.h"

#define SIDECAR	".moo"
#define UNNAMED	"~"	/* behind the name of a sidecar that is being made */

static int sidecar_name(const char *path, char name[COW_PATH_MAX])
{
	size_t len = strlen(path);

	if (len + sizeof(SIDECAR UNNAMED) > COW_PATH_MAX)
		return -ENAMETOOLONG;
	memcpy(name, path, len);
	memcpy(name + len, SIDECAR, sizeof(SIDECAR));
	return 0;
}

struct record_buf {
	char name[COW_PATH_MAX];
	uint8_t bytes[COW_RECORD_MAX + 1];
};

static int sidecar_load(const struct cow_env *env, const char *path,
			struct record_buf *buf)
{
	int64_t len;
	int fd, err;

	err = sidecar_name(path, buf->name);
	if (err)
		return -ENODATA;
	fd = env->io->open(env->ctx, buf->name, 0);
	if (fd < 0)
		return fd == -ENOENT ? -ENODATA : fd;
	len = env->io->pread(env->ctx, fd, buf->bytes, sizeof(buf->bytes), 0);
	env->io->close(env->ctx, fd);
	return len;
}

int cow_record_load(const struct cow_env *env, int fd, const char *path,
		    struct cow_record *rec)
{
	struct record_buf *buf = env->alloc(sizeof(*buf));
	int len;

	if (!buf)
		return -ENOMEM;
	len = env->io->getattr(env->ctx, fd, IO_ATTR_STATE, buf->bytes,
			       sizeof(buf->bytes));
	if (len == -ENODATA || len == -EOPNOTSUPP || len == -EPERM)
		len = sidecar_load(env, path, buf);
	if (len >= 0)
		len = cow_record_parse(buf->bytes, len, rec);
	env->free(buf, sizeof(*buf));
	return len;
}

/* The name to be replaced is in use: the new file is made beside it. */
static int sidecar_create(const struct cow_env *env, char name[COW_PATH_MAX])
{
	size_t len = strlen(name);
	int fd;

	memcpy(name + len, UNNAMED, sizeof(UNNAMED));
	fd = env->io->create(env->ctx, name, 0600, ~0u);
	name[len] = 0;
	return fd;
}

static int sidecar_store(const struct cow_env *env, const char *path,
			 struct record_buf *buf, size_t len)
{
	int fd, err;

	err = sidecar_name(path, buf->name);
	if (err)
		return err;
	fd = sidecar_create(env, buf->name);
	if (fd < 0)
		return fd;
	err = env->io->pwrite(env->ctx, fd, buf->bytes, len, 0);
	if (!err)
		err = env->io->sync(env->ctx, fd);
	if (!err)
		err = env->io->replace(env->ctx, fd, buf->name);
	env->io->close(env->ctx, fd);
	return err;
}

static int forget_attribute(const struct cow_env *env, int fd)
{
	int err = env->io->setattr(env->ctx, fd, IO_ATTR_STATE, NULL, 0);

	return err == -ENODATA || err == -EOPNOTSUPP ? 0 : err;
}

/* An attribute hides a sidecar: an older one goes, but not before. */
int cow_record_store(const struct cow_env *env, int fd, const char *path,
		     const struct cow_record *rec)
{
	struct record_buf *buf;
	struct io_stat st;
	size_t len;
	int err;

	err = env->io->stat(env->ctx, fd, &st);
	if (err)
		return err;
	if (st.kind != IO_KIND_FILE)
		return -EOPNOTSUPP;
	buf = env->alloc(sizeof(*buf));
	if (!buf)
		return -ENOMEM;
	len = cow_record_emit(rec, buf->bytes);
	err = env->io->setattr(env->ctx, fd, IO_ATTR_STATE, buf->bytes, len);
	if (err == -EOPNOTSUPP) {
		err = sidecar_store(env, path, buf, len);
		if (!err)
			err = forget_attribute(env, fd);
	}
	env->free(buf, sizeof(*buf));
	return err;
}

int cow_record_leave(const struct cow_env *env, const char *path)
{
	char *name = env->alloc(COW_PATH_MAX);
	int err;

	if (!name)
		return -ENOMEM;
	err = sidecar_name(path, name);
	if (!err)
		err = env->io->unlink(env->ctx, name);
	env->free(name, COW_PATH_MAX);
	return err == -ENOENT || err == -ENAMETOOLONG ? 0 : err;
}

/* An old sidecar that an attribute hid must not come to light. */
int cow_record_remove(const struct cow_env *env, int fd, const char *path)
{
	int err = cow_record_leave(env, path);

	return err ? err : forget_attribute(env, fd);
}

int cow_record_unlink(const struct cow_env *env, int fd, const char *path,
		      uint32_t state, const struct io_id *id)
{
	struct cow_record *rec;
	int err;

	if (!(state & COW_IS_SNAPSHOT))
		return cow_record_remove(env, fd, path);
	rec = env->alloc(sizeof(*rec));
	if (!rec)
		return -ENOMEM;
	rec->state = COW_IS_SNAPSHOT;
	rec->self = *id;
	err = cow_record_store(env, fd, path, rec);
	env->free(rec, sizeof(*rec));
	return err;
}

int cow_record_thaw(const struct layer *layer)
{
	return cow_record_unlink(&layer->chain->env, layer->fd, layer->path,
				 layer->record.state, &layer->st.id);
}

bool cow_record_about(const struct io_id *recorded, const struct io_stat *st)
{
	const struct io_id *id = &st->id;

	if (recorded->ino != id->ino)
		return false;
	if (st->reborn)
		return true;
	if (!recorded->birth_sec || !id->birth_sec)
		return recorded->dev == id->dev;
	return recorded->birth_sec == id->birth_sec &&
	       recorded->birth_nsec == id->birth_nsec;
}

/* ---- V4 ---------------------------------------------------------------- */

static int load_slot(const struct cow_env *env, int fd, unsigned int slot,
		     struct cow_disk_v4 *v4, const char **why)
{
	uint8_t buf[COW_SECTOR_SIZE];
	int64_t got;

	*why = NULL;
	got = env->io->pread(env->ctx, fd, buf, sizeof(buf),
			     (uint64_t)slot << COW_BLOCK_SHIFT);
	if (got < 0)
		return got;
	*why = "its header is cut short";
	if (got < (int64_t)sizeof(buf))
		return -EBADMSG;
	return cow_v4_parse(buf, slot, v4, why);
}

int cow_v4_load(const struct cow_env *env, int fd, struct cow_disk_v4 *v4,
		const char **why)
{
	struct cow_disk_v4 other;
	const char *why1;
	int err0, err1;

	err0 = load_slot(env, fd, 0, v4, why);
	err1 = load_slot(env, fd, 1, &other, &why1);
	/* Only a slot that was torn may be passed over for the other one. */
	if (err0 && err0 != -EBADMSG)
		return err0;
	if (err1 && err1 != -EBADMSG) {
		*why = why1;
		return err1;
	}
	if (!err1 && (err0 || other.generation > v4->generation)) {
		*v4 = other;
		return 0;
	}
	return err0;
}

int cow_v4_name(const struct cow_env *env, int fd,
		const struct cow_disk_name *ref, unsigned int block,
		char name[COW_PATH_MAX])
{
	uint64_t offset = (uint64_t)(block + ref->copy) << COW_BLOCK_SHIFT;
	int64_t got;

	name[0] = 0;
	if (!ref->len)
		return 0;
	if (ref->len >= COW_PATH_MAX || ref->copy > 1)
		return -EBADMSG;
	got = env->io->pread(env->ctx, fd, name, ref->len, offset);
	if (got < 0)
		return got;
	name[ref->len] = 0;
	if (got < ref->len || cow_crc32c(0, name, ref->len) != ref->crc ||
	    strlen(name) != ref->len || *name != '/')
		return -EBADMSG;
	return 0;
}

/* Whole sectors, since @fd may be past the host's cache. */
static int write_name(const struct cow_env *env, int fd, unsigned int block,
		      const char *name, size_t len)
{
	const size_t unit = COW_SECTOR_SIZE;
	char *buf = env->alloc(COW_BLOCK_SIZE);
	int err;

	if (!buf)
		return -ENOMEM;
	memcpy(buf, name, len);
	err = env->io->pwrite(env->ctx, fd, buf, (len + unit - 1) / unit * unit,
			      (uint64_t)block << COW_BLOCK_SHIFT);
	env->free(buf, COW_BLOCK_SIZE);
	return err ? err : cow_sync_now(env, fd);
}

int cow_v4_put_name(const struct cow_env *env, int fd, unsigned int block,
		    const struct cow_disk_name *old, const char *name,
		    struct cow_disk_name *ref)
{
	size_t len = strlen(name);

	memset(ref, 0, sizeof(*ref));
	if (!len)
		return 0;
	if (len >= COW_PATH_MAX)
		return -ENAMETOOLONG;
	/* A name that was forgotten in memory may still stand on disk. */
	ref->copy = old->len || old->crc ? !old->copy : 0;
	ref->len = len;
	ref->crc = cow_crc32c(0, name, len);
	return write_name(env, fd, block + ref->copy, name, len);
}

int cow_v4_put_slot(const struct cow_env *env, int fd,
		    const struct cow_disk_v4 *v4)
{
	uint8_t buf[COW_SECTOR_SIZE] __attribute__((aligned(COW_SECTOR_SIZE)));
	int err;

	cow_v4_emit(v4, buf);
	err = env->io->pwrite(env->ctx, fd, buf, sizeof(buf),
			      (v4->generation & 1) << COW_BLOCK_SHIFT);
	return err ? err : cow_sync_now(env, fd);
}

int cow_v4_format(const struct cow_env *env, int fd, struct cow_header *hdr)
{
	const struct cow_disk_name none = { 0 };
	struct cow_disk_v4 *v4 = &hdr->v4;
	uint8_t buf[COW_SECTOR_SIZE];
	int err;

	err = env->io->random(env->ctx, v4->uuid, sizeof(v4->uuid));
	if (err)
		return err;
	v4->generation = 2;
	v4->content = 1;
	if (!v4->end)
		v4->end = COW_V4_FIRST_BLOCK;
	v4->size = hdr->size;
	if (!v4->kind)
		v4->kind = COW_KIND_COW;
	if (v4->kind == COW_KIND_DISK)
		v4->owned = hdr->size >> COW_SECTOR_SHIFT;
	else
		v4->levels = cow_v4_levels(hdr->size);
	v4->block_shift = COW_BLOCK_SHIFT;
	if (!v4->sectorsize)
		v4->sectorsize = COW_SECTOR_SIZE;
	err = env->io->truncate(env->ctx, fd, (v4->end << COW_BLOCK_SHIFT) +
				(v4->kind == COW_KIND_DISK ? hdr->size : 0));
	if (!err)
		err = cow_v4_put_name(env, fd, COW_V4_PARENT_BLOCK, &none,
				      hdr->parent, &v4->parent);
	if (err)
		return err;
	cow_v4_emit(v4, buf);
	err = env->io->pwrite(env->ctx, fd, buf, sizeof(buf), 0);
	if (err)
		return err;
	/* The other slot, one generation older, says the same. */
	v4->generation--;
	cow_v4_emit(v4, buf);
	v4->generation++;
	err = env->io->pwrite(env->ctx, fd, buf, sizeof(buf), COW_BLOCK_SIZE);
	return err ? err : env->io->sync(env->ctx, fd);
}

void cow_v4_name_parent(struct cow_disk_v4 *v4, const struct cow_header *parent,
			const struct io_stat *st)
{
	v4->parent_size = st->size;
	v4->parent_mtime_sec = st->mtime_sec;
	v4->parent_mtime_nsec = st->mtime_nsec;
	v4->parent_content = 0;
	memset(v4->parent_uuid, 0, sizeof(v4->parent_uuid));
	if (parent->format == COW_RAW) {
		v4->parent_format = COW_PARENT_RAW;
	} else if (parent->format != COW_V4) {
		v4->parent_format = COW_PARENT_COW;
	} else {
		v4->parent_format = COW_PARENT_V4;
		v4->parent_content = parent->v4.content;
		memcpy(v4->parent_uuid, parent->v4.uuid,
		       sizeof(v4->parent_uuid));
	}
}

void cow_v4_identify(struct cow_disk_v4 *v4, const struct layer *parent)
{
	cow_v4_name_parent(v4, &parent->hdr, &parent->st);
}

void cow_v4_link(struct layer *layer, const struct cow_disk_name *successor)
{
	struct cow_disk_v4 *v4 = &layer->hdr.v4;
	const struct io_id *id = &layer->st.id;

	v4->state |= COW_IS_FROZEN;
	v4->successor = *successor;
	v4->self.dev = id->dev;
	v4->self.ino = id->ino;
	v4->self.birth_sec = id->birth_sec;
	v4->self.birth_nsec = id->birth_nsec;
	layer->header_dirty = true;
}
