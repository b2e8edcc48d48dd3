// SPDX-License-Identifier: GPL-2.0-only
/*
 * Making new layer files.
 *
 * Duty: cow_create(): an empty V3 or V4 layer over a parent, or a V4 disk
 * without one; and the bytes of an empty V3 file. May block.
 *
 * Invariants: the new name appears only when the file behind it is complete and
 * durable, and its parent's list of children has it, if there can be one; a parent
 * is recorded as what it was found to be.
 */
#include <string.h>
#include "children.h"
#include "engine.h"
#include "layer.h"

static int write_v3(const struct cow_env *env, int fd, struct cow_header *hdr,
		    uint8_t *buf)
{
	int len, err;

	len = cow_header_emit(hdr, buf);
	if (len < 0)
		return len;
	err = env->io->truncate(env->ctx, fd, hdr->data_offset + hdr->size);
	if (!err)
		err = env->io->pwrite(env->ctx, fd, buf, len, 0);
	return err ? err : env->io->sync(env->ctx, fd);
}

int cow_v3_format(const struct cow_env *env, int fd, struct cow_header *hdr)
{
	uint8_t *buf = env->alloc(COW_HEADER_MAX);
	int err;

	if (!buf)
		return -ENOMEM;
	hdr->format = COW_V3;
	hdr->sectorsize = COW_SECTOR_SIZE;
	err = write_v3(env, fd, hdr, buf);
	env->free(buf, COW_HEADER_MAX);
	return err;
}

static uint64_t blocks_before(uint64_t padding)
{
	uint64_t blocks = (padding + COW_BLOCK_SIZE - 1) >> COW_BLOCK_SHIFT;

	return blocks < COW_V4_FIRST_BLOCK ? COW_V4_FIRST_BLOCK : blocks;
}

static int fill(const struct cow_env *env, int fd, unsigned int version,
		const struct cow_create_args *args, struct cow_header *hdr)
{
	if (version == COW_V3) {
		hdr->alignment = args->padding;
		return cow_v3_format(env, fd, hdr);
	}
	hdr->v4.cylinders = args->geometry.cylinders;
	hdr->v4.heads = args->geometry.heads;
	hdr->v4.sectors = args->geometry.sectors;
	hdr->v4.end = blocks_before(args->padding);
	return cow_v4_format(env, fd, hdr);
}

int cow_absolute(const struct cow_env *env, const char *given,
		 char name[COW_PATH_MAX])
{
	size_t dir = 0, len = strlen(given) + 1;
	int ret;

	if (given[0] != '/') {
		ret = env->io->realpath(env->ctx, ".", name);
		if (ret)
			return ret;
		dir = strlen(name);
		if (dir > 1)
			name[dir++] = '/';
	}
	if (len > COW_PATH_MAX - dir)
		return -ENAMETOOLONG;
	memcpy(name + dir, given, len);
	return 0;
}

/* Where its parent can not know of it, it is made all the same. */
static int tell_parent(const struct cow_env *env,
		       const struct cow_create_args *args,
		       const struct layer *parent)
{
	char *name;
	int ret;

	if (!parent || args->header || args->unlisted)
		return -ENODATA;
	name = env->alloc(COW_PATH_MAX);
	if (!name)
		return -ENOMEM;
	ret = cow_absolute(env, args->name, name);
	if (!ret)
		ret = cow_children_add(env, parent->fd, name);
	env->free(name, COW_PATH_MAX);
	return ret;
}

static int publish(const struct cow_env *env,
		   const struct cow_create_args *args,
		   const struct layer *parent, int fd)
{
	int list = tell_parent(env, args, parent);
	int ret = env->io->publish(env->ctx, fd, args->name);

	if (list >= 0)
		env->io->close(env->ctx, list);
	return ret;
}

static int write_file(const struct cow_env *env,
		      const struct cow_create_args *args, unsigned int version,
		      const struct layer *parent, struct cow_header *hdr,
		      struct cow_error *err)
{
	int fd, ret;

	fd = env->io->create(env->ctx, args->name, args->mode, args->gid);
	if (fd < 0)
		return cow_fail(err, fd, "%s: %s", args->name,
				cow_reason_new(fd));
	ret = fill(env, fd, version, args, hdr);
	if (!ret)
		ret = publish(env, args, parent, fd);
	env->io->close(env->ctx, fd);
	if (ret)
		cow_fail(err, ret, "%s: %s", args->name, cow_reason(ret));
	return ret;
}

/*
 * What the new file says about its parent must not be lost by a crash. A file
 * system that is read-only has nothing to sync.
 */
static int sync_parent(const struct cow_env *env, const struct layer *parent,
		       struct cow_error *err)
{
	int ret = env->io->sync(env->ctx, parent->fd);

	if (!ret || ret == -EINVAL || ret == -EROFS)
		return 0;
	return cow_fail(err, ret, "%s: %s", parent->path, cow_reason(ret));
}

/* The name that the new file stores: absolute in any case. */
static int name_parent(const struct cow_env *env,
		       const struct cow_create_args *args,
		       const struct layer *parent, char name[COW_PATH_MAX])
{
	return cow_absolute(env, args->keep_link ? args->parent : parent->path,
			    name);
}

static int fits_sector_size(const struct cow_create_args *args, uint64_t size,
			    struct cow_error *err)
{
	if (!args->sector_size || !(size % args->sector_size))
		return 0;
	return cow_fail(err, -EINVAL,
			"%s: its %llu bytes are no multiple of the sector size %u; choose a smaller one",
			args->name, (unsigned long long)size,
			args->sector_size);
}

/* A chain has one, so that none changes when layers are merged. */
static int take_sector_size(const struct cow_create_args *args,
			    const struct layer *parent, struct cow_header *hdr,
			    struct cow_error *err)
{
	hdr->v4.sectorsize = args->sector_size;
	if (parent->hdr.format == COW_V4) {
		hdr->v4.sectorsize = parent->hdr.v4.sectorsize;
		if (args->sector_size &&
		    args->sector_size != hdr->v4.sectorsize)
			return cow_fail(err, -EINVAL,
					"%s: its parent %s has sectors of %u bytes, and so it has; leave the sector size out",
					args->name, parent->path,
					hdr->v4.sectorsize);
	}
	return fits_sector_size(args, parent->sectors << COW_SECTOR_SHIFT,
				err);
}

static int over_parent(const struct cow_env *env,
		       const struct cow_create_args *args,
		       const struct layer *parent, struct cow_header *hdr,
		       struct cow_error *err)
{
	unsigned int version = args->version;
	bool raw = parent->hdr.format == COW_RAW;
	bool plain = raw && !cow_layer_has_magic(parent);
	int ret;

	/* Only V4 can say that what looks like a COW file is raw. */
	if (!version)
		version = plain && !args->header ? COW_V3 : COW_V4;
	if (version == COW_V3 && !plain)
		return cow_fail(err, -EINVAL,
				"%s: V3 needs a raw parent, and %s is a COW file or looks like one; choose V4",
				args->name, parent->path);
	if (version == COW_V4 && args->padding)
		return cow_fail(err, -EINVAL,
				"%s: a V4 layer has no padding; choose V3",
				args->name);
	if (args->header && (version == COW_V3 || !raw))
		return cow_fail(err, -EINVAL,
				"%s: the header of a disk image is V4, and %s has to be a raw file",
				args->name, parent->path);
	if (args->header)
		hdr->v4.kind = COW_KIND_HEADER;
	ret = take_sector_size(args, parent, hdr, err);
	if (ret)
		return ret;
	if (parent->sectors >> (63 - COW_SECTOR_SHIFT))
		return cow_fail(err, -EFBIG, "%s: %s", parent->path,
				cow_reason(-EFBIG));
	ret = name_parent(env, args, parent, hdr->parent);
	if (ret)
		return cow_fail(err, ret, "%s: %s", args->parent,
				cow_reason(ret));
	hdr->mtime = parent->st.mtime_sec;
	hdr->size = version == COW_V3 ?
		    parent->st.size : parent->sectors << COW_SECTOR_SHIFT;
	cow_v4_identify(&hdr->v4, parent);
	ret = sync_parent(env, parent, err);
	return ret ? ret : write_file(env, args, version, parent, hdr, err);
}

/* What the header of a disk image says holds for what is built on the image. */
static void inherit(struct cow_create_args *args, const struct chain *parent)
{
	const struct cow_geometry *geometry = &parent->geometry;
	bool said = geometry->heads || parent->sector_size > COW_SECTOR_SIZE;

	if (parent->top->hdr.format != COW_RAW || !said)
		return;
	if (!args->geometry.heads)
		args->geometry = *geometry;
	if (!args->sector_size)
		args->sector_size = parent->sector_size;
	if (!args->version)
		args->version = COW_V4;
}

static int alone(const struct cow_env *env, const struct cow_create_args *args,
		 struct cow_header *hdr, struct cow_error *err)
{
	if (args->version && args->version != COW_V4)
		return cow_fail(err, -EINVAL,
				"%s: only V4 can stand without a parent",
				args->name);
	if (!args->size || args->size % COW_SECTOR_SIZE || args->size >> 63)
		return cow_fail(err, -EINVAL,
				"%s: its size has to be a multiple of 512 bytes, below 2^63",
				args->name);
	if (fits_sector_size(args, args->size, err))
		return -EINVAL;
	hdr->size = args->size;
	hdr->v4.sectorsize = args->sector_size;
	if (args->disk)
		hdr->v4.kind = COW_KIND_DISK;
	return write_file(env, args, COW_V4, NULL, hdr, err);
}

static int check_args(const struct cow_create_args *args, struct cow_error *err)
{
	if (args->version && args->version != COW_V3 && args->version != COW_V4)
		return cow_fail(err, -EINVAL,
				"%s: version %u can not be made; choose 3 or 4",
				args->name, args->version);
	if (args->padding % COW_SECTOR_SIZE || args->padding > COW_PADDING_MAX)
		return cow_fail(err, -EINVAL,
				"%s: padding has to be a multiple of 512 bytes, at most 1 MiB",
				args->name);
	return cow_sector_size_check(args->name, args->sector_size, err);
}

int cow_create(const struct cow_env *env, const struct cow_create_args *args,
	       struct cow_error *err)
{
	struct cow_open_args parent_args = {
		.name = args->parent,
		.read_only = true,
		.raw = args->parent_raw,
		.no_follow = true,
	};
	struct cow_create_args over = *args;
	struct cow_header *hdr;
	struct common_file *parent;
	int ret;

	ret = check_args(args, err);
	if (ret)
		return ret;
	hdr = env->alloc(sizeof(*hdr));
	if (!hdr)
		return cow_fail(err, -ENOMEM, "%s: %s", args->name,
				cow_reason(-ENOMEM));
	if (!args->parent) {
		ret = alone(env, args, hdr, err);
	} else {
		ret = common_open(env, &parent_args, &parent, err);
		if (!ret) {
			inherit(&over, cow_chain(parent));
			ret = over_parent(env, &over, cow_chain(parent)->top,
					  hdr, err);
			common_close(parent);
		}
	}
	env->free(hdr, sizeof(*hdr));
	return ret;
}
