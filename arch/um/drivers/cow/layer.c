// SPDX-License-Identifier: GPL-2.0-only
/*
 * One file as a layer: open it, understand it, make it writable, close it.
 *
 * Duty: from a name and what is expected behind it to a struct layer. May
 * block; nothing here runs on the data path.
 *
 * Invariants: what a file is comes from its own header only where the
 * administrator named the file; where another header names it, that header has
 * recorded what it is (enum expect). A failure changes nothing.
 */
#include <string.h>
#include "engine.h"
#include "layer.h"

/* ---- life -------------------------------------------------------------- */

static char *copy_path(const struct cow_env *env, const char *path)
{
	size_t len = strlen(path) + 1;
	char *copy = env->alloc(len);

	if (copy)
		memcpy(copy, path, len);
	return copy;
}

void cow_layer_rest(struct layer *layer)
{
	const struct cow_env *env = &layer->chain->env;
	struct commit *commit = &layer->commit;

	if (commit->stage) {
		env->free(commit->stage[0].data,
			  (size_t)STAGE_PAGES * IPAGE_SIZE);
		env->free(commit->stage, STAGE_PAGES * sizeof(*commit->stage));
	}
	if (commit->stage_free)
		env->free(commit->stage_free,
			  STAGE_PAGES * sizeof(*commit->stage_free));
	if (commit->order)
		env->free(commit->order, STAGE_PAGES * sizeof(*commit->order));
	if (commit->slot)
		env->free(commit->slot, COW_BLOCK_SIZE);
	memset(commit, 0, sizeof(*commit));
}

static void put_fd(const struct layer *layer, int fd)
{
	const struct cow_env *env = &layer->chain->env;

	if (fd >= 0)
		env->io->close(env->ctx, fd);
}

void cow_layer_put(struct layer *layer)
{
	const struct cow_env *env;

	if (!layer)
		return;
	env = &layer->chain->env;
	cow_layer_rest(layer);
	cow_room_free(layer);
	put_fd(layer, layer->fd);
	put_fd(layer, layer->spare_fd);
	put_fd(layer, layer->direct_fd);
	put_fd(layer, layer->spare_direct_fd);
	if (layer->path)
		env->free(layer->path, strlen(layer->path) + 1);
	env->free(layer, sizeof(*layer));
}

static int commit_memory(struct layer *layer)
{
	const struct cow_env *env = &layer->chain->env;
	struct commit *commit = &layer->commit;
	uint8_t *data;
	unsigned int i;

	data = env->alloc((size_t)STAGE_PAGES * IPAGE_SIZE);
	if (!data)
		return -ENOMEM;
	commit->stage = env->alloc(STAGE_PAGES * sizeof(*commit->stage));
	if (!commit->stage) {
		env->free(data, (size_t)STAGE_PAGES * IPAGE_SIZE);
		return -ENOMEM;
	}
	commit->stage[0].data = data;
	commit->stage_free = env->alloc(STAGE_PAGES *
					sizeof(*commit->stage_free));
	commit->order = env->alloc(STAGE_PAGES * sizeof(*commit->order));
	commit->slot = env->alloc(COW_BLOCK_SIZE);
	if (!commit->stage_free || !commit->order || !commit->slot) {
		cow_layer_rest(layer);
		return -ENOMEM;
	}
	for (i = 0; i < STAGE_PAGES; i++) {
		commit->stage[i].data = data + (size_t)i * IPAGE_SIZE;
		commit->stage[i].layer = layer;
		commit->stage_free[i] = i;
	}
	commit->nfree = STAGE_PAGES;
	return 0;
}

/*
 * Durably, before the first byte of what the seal has checksums of can change.
 * The list of free blocks was taken over, and is given up with it.
 */
static int unseal(struct layer *layer)
{
	struct cow_disk_v4 v4 = layer->hdr.v4;
	int err;

	cow_v4_unseal(&v4);
	v4.generation++;
	err = cow_v4_put_slot(&layer->chain->env, cow_data_fd(layer), &v4);
	cow_layer_suspect(layer, err);
	if (err)
		return err;
	if (layer->room)
		cow_free_unsealed(layer, &layer->hdr.v4);
	layer->hdr.v4 = v4;
	return 0;
}

int cow_layer_writable(struct layer *layer)
{
	int err = 0;

	if (layer->hdr.format != COW_RAW && !layer->commit.stage)
		err = commit_memory(layer);
	if (!err && layer->ops == &cow_isam_ops && !layer->room) {
		err = cow_room_new(layer);
		if (err)
			cow_room_free(layer);
	}
	if (!err && layer->ops == &cow_isam_ops)
		err = cow_free_load(layer);
	if (!err && layer->hdr.format == COW_V4 &&
	    cow_v4_sealed(&layer->hdr.v4))
		err = unseal(layer);
	if (err)
		return err;
	layer->counted = false;
	layer->writable = true;
	return 0;
}

/* ---- what a file is ---------------------------------------------------- */

/* The bits of the next @size bytes at or behind file offset @at; moves @at. */
static int64_t count_part(struct layer *layer, uint64_t *at, uint8_t *buf,
			  size_t size)
{
	const struct cow_env *env = &layer->chain->env;
	uint64_t end = layer->hdr.bitmap_offset + layer->hdr.bitmap_len;
	int64_t data = env->io->next_data(env->ctx, layer->fd, *at);
	int64_t got;

	if (data < 0)
		return data;
	if ((uint64_t)data >= end) {
		*at = end;
		return 0;
	}
	if (size > end - data)
		size = end - data;
	got = env->io->pread(env->ctx, layer->fd, buf, size, data);
	if (got > 0)
		layer->owned += cow_count_bits(buf, got);
	*at = got > 0 ? (uint64_t)(data + got) : end;
	return got;
}

static int count_bits(struct layer *layer)
{
	const struct cow_env *env = &layer->chain->env;
	uint64_t at = layer->hdr.bitmap_offset;
	const uint64_t end = at + layer->hdr.bitmap_len;
	uint8_t *buf = env->alloc(COW_BITS_PART);
	int64_t got = 0;

	if (!buf)
		return -ENOMEM;
	layer->owned = 0;
	while (got >= 0 && at < end)
		got = count_part(layer, &at, buf, COW_BITS_PART);
	env->free(buf, COW_BITS_PART);
	/* Padding bits of a foreign file may be anything. */
	if (layer->owned > layer->sectors)
		layer->owned = layer->sectors;
	return got < 0 ? (int)got : 0;
}

int cow_layers_count(struct layer *top, struct cow_error *err)
{
	struct layer *layer;
	int ret;

	for (layer = top; layer; layer = layer->parent) {
		if (layer->ops != &cow_bitmap_ops)
			continue;
		ret = count_bits(layer);
		if (ret)
			return cow_fail(err, ret, "%s: its bitmap: %s",
					layer->path, cow_reason(ret));
	}
	return 0;
}

static int bad_header(struct layer *layer, int ret, const char *why,
		      struct cow_error *err)
{
	if (!why)
		return cow_fail(err, ret, "%s: %s", layer->path,
				cow_reason(ret));
	return cow_fail(err, ret,
			"%s: %s; look at it with moo check",
			layer->path, why);
}

static int identify_raw(struct layer *layer, struct cow_error *err)
{
	if (!layer->st.size)
		return cow_fail(err, -EINVAL, "%s: it is empty; give it a size first",
				layer->path);
	layer->ops = &cow_raw_ops;
	layer->hdr.format = COW_RAW;
	layer->hdr.size = layer->st.size;
	layer->sectors = (layer->st.size + COW_SECTOR_SIZE - 1) >>
			 COW_SECTOR_SHIFT;
	layer->owned = layer->sectors;
	return 0;
}

static int identify_bitmap(struct layer *layer, const void *buf, size_t len,
			   struct cow_error *err)
{
	const char *why = NULL;
	int ret;

	ret = cow_header_parse(buf, len, layer->st.size, &layer->hdr, &why);
	if (ret)
		return bad_header(layer, ret, why, err);
	layer->ops = &cow_bitmap_ops;
	layer->sectors = (layer->hdr.size + COW_SECTOR_SIZE - 1) >>
			 COW_SECTOR_SHIFT;
	return 0;
}

static int load_names(struct layer *layer)
{
	const struct cow_env *env = &layer->chain->env;
	const struct cow_disk_v4 *v4 = &layer->hdr.v4;
	int ret;

	ret = cow_v4_name(env, layer->fd, &v4->parent, COW_V4_PARENT_BLOCK,
			  layer->hdr.parent);
	if (!ret)
		ret = cow_v4_name(env, layer->fd, &v4->successor,
				  COW_V4_SUCCESSOR_BLOCK,
				  layer->record.successor);
	return ret;
}

static void record_of_v4(struct layer *layer)
{
	const struct cow_disk_v4 *v4 = &layer->hdr.v4;

	layer->record.state = v4->state;
	if (cow_v4_protected(v4))
		layer->record.state |= COW_IS_PROTECTED;
	layer->record.self.dev = v4->self.dev;
	layer->record.self.ino = v4->self.ino;
	layer->record.self.birth_sec = v4->self.birth_sec;
	layer->record.self.birth_nsec = v4->self.birth_nsec;
}

static int identify_v4(struct layer *layer, struct cow_error *err)
{
	struct cow_disk_v4 *v4 = &layer->hdr.v4;
	const char *why = NULL;
	int ret;

	ret = cow_v4_load(&layer->chain->env, layer->fd, v4, &why);
	if (!ret)
		ret = load_names(layer);
	if (ret)
		return bad_header(layer, ret, why, err);
	layer->ops = &cow_isam_ops;
	if (v4->kind == COW_KIND_DISK) {
		layer->ops = &cow_raw_ops;
		layer->hdr.data_offset = v4->end << COW_BLOCK_SHIFT;
		if (layer->st.size < layer->hdr.data_offset + v4->size)
			return bad_header(layer, -EBADMSG,
					  "it ends before its data does", err);
	}
	layer->hdr.format = COW_V4;
	layer->hdr.size = v4->size;
	layer->sectors = v4->size >> COW_SECTOR_SHIFT;
	layer->owned = v4->owned;
	layer->staged = v4->owned;
	record_of_v4(layer);
	return 0;
}

static int identify_cow(struct layer *layer, const void *buf, size_t len,
			enum cow_expect expect, struct cow_error *err)
{
	int version = cow_header_version(buf, len);

	if (!version && expect == COW_EXPECT_ANY)
		return identify_raw(layer, err);
	if (version < 0)
		return cow_fail(err, -EINVAL,
				"%s: it begins like a COW file, but has no version that exists; look at it with moo check",
				layer->path);
	if (!version)
		return cow_fail(err, -EINVAL,
				"%s: it is not the COW file that its child names; bring that one back",
				layer->path);
	if (version == COW_V4)
		return identify_v4(layer, err);
	return identify_bitmap(layer, buf, len, err);
}

bool cow_layer_has_magic(const struct layer *layer)
{
	const struct cow_env *env = &layer->chain->env;
	uint8_t magic[4];

	return env->io->pread(env->ctx, layer->fd, magic, sizeof(magic), 0) ==
	       sizeof(magic) && cow_is_magic(magic);
}

bool cow_record_is_mine(const struct layer *layer)
{
	return cow_record_about(&layer->record.self, &layer->st);
}

static int load_record(struct layer *layer, struct cow_error *err)
{
	struct cow_record *rec = &layer->record;
	int ret;

	if (layer->hdr.format != COW_V4) {
		ret = cow_record_load(&layer->chain->env, layer->fd,
				      layer->path, rec);
		if (ret == -ENODATA) {
			memset(rec, 0, sizeof(*rec));
			return 0;
		}
		if (ret)
			return cow_fail(err, ret,
					"%s: its state record (attribute user.moo) can not be read: %s",
					layer->path, cow_reason(ret));
	}
	if (cow_record_is_mine(layer))
		return 0;
	/* It is a copy: what concerns its bytes holds, the successor not. */
	if (rec->state & COW_IS_FROZEN) {
		rec->state &= ~COW_IS_FROZEN;
		rec->successor[0] = 0;
		layer->hdr.v4.state &= ~COW_IS_FROZEN;
		layer->hdr.v4.successor.len = 0;
	}
	return 0;
}

int cow_layer_identify(struct layer *layer, enum cow_expect expect,
		       struct cow_error *err)
{
	const struct cow_env *env = &layer->chain->env;
	uint8_t *buf;
	int64_t len;
	int ret;

	ret = env->io->stat(env->ctx, layer->fd, &layer->st);
	if (ret)
		return cow_fail(err, ret, "%s: %s", layer->path,
				cow_reason(ret));
	if (expect == COW_EXPECT_RAW) {
		ret = identify_raw(layer, err);
		return ret ? ret : load_record(layer, err);
	}
	buf = env->alloc(COW_HEADER_MAX);
	if (!buf)
		return cow_fail(err, -ENOMEM, "%s: %s", layer->path,
				cow_reason(-ENOMEM));
	len = env->io->pread(env->ctx, layer->fd, buf, COW_HEADER_MAX, 0);
	if (len < 0)
		ret = cow_fail(err, len, "%s: %s", layer->path,
			       cow_reason(len));
	else
		ret = identify_cow(layer, buf, len, expect, err);
	env->free(buf, COW_HEADER_MAX);
	return ret ? ret : load_record(layer, err);
}

/* Is it the layer that it was, and one that may be written? */
static bool same_content(const struct cow_disk_v4 *v4,
			 const struct cow_disk_v4 *now)
{
	return !memcmp(now->uuid, v4->uuid, sizeof(now->uuid)) &&
	       now->content == v4->content && now->root == v4->root &&
	       !cow_v4_foreign(now) && now->generation < COW_V4_WORN;
}

int cow_layer_renew(struct layer *layer, struct cow_error *err)
{
	struct cow_disk_v4 *v4 = &layer->hdr.v4, now;
	const char *why = NULL;
	int ret;

	/* One that has not come to rest was never let go. */
	if (layer->hdr.format != COW_V4 || layer->failed ||
	    cow_commit_needed(layer))
		return 0;
	ret = cow_v4_load(&layer->chain->env, layer->fd, &now, &why);
	if (ret)
		return bad_header(layer, ret, why, err);
	if (!same_content(v4, &now))
		return cow_fail(err, -ESTALE,
				"%s: somebody has written it meanwhile; start the machine again",
				layer->path);
	v4->generation = now.generation;
	v4->end = now.end;
	v4->owned = now.owned;
	v4->ro_compatible = now.ro_compatible;
	v4->seal = now.seal;
	v4->seal_pages = now.seal_pages;
	v4->sealed = now.sealed;
	v4->seal_content = now.seal_content;
	return 0;
}

/* Somebody may have protected it while we had it only to read. */
static int load_protection(struct layer *layer)
{
	const struct cow_env *env = &layer->chain->env;
	struct cow_record *rec;
	int ret;

	layer->record.state &= ~COW_IS_PROTECTED;
	if (layer->hdr.format == COW_V4) {
		if (cow_v4_protected(&layer->hdr.v4))
			layer->record.state |= COW_IS_PROTECTED;
		return 0;
	}
	rec = env->alloc(sizeof(*rec));
	if (!rec)
		return -ENOMEM;
	ret = cow_record_load(env, layer->fd, layer->path, rec);
	if (!ret)
		layer->record.state |= rec->state & COW_IS_PROTECTED;
	env->free(rec, sizeof(*rec));
	return ret == -ENODATA ? 0 : ret;
}

int cow_layer_refuse_protected(struct layer *layer, struct cow_error *err)
{
	int ret = load_protection(layer);

	if (ret)
		return cow_fail(err, ret,
				"%s: its state record (attribute user.moo) can not be read: %s",
				layer->path, cow_reason(ret));
	if (!(layer->record.state & COW_IS_PROTECTED))
		return 0;
	return cow_fail(err, -EROFS,
			"%s: it is protected, so nothing is merged into it; lift that with moo protect --off, or merge into a new file",
			layer->path);
}

int cow_layer_open(struct chain *chain, const char *path,
		   enum cow_expect expect, struct layer **out,
		   struct cow_error *err)
{
	const struct cow_env *env = &chain->env;
	struct layer *layer = env->alloc(sizeof(*layer));
	char *full = env->alloc(COW_PATH_MAX);
	int ret = -ENOMEM;

	if (layer) {
		layer->chain = chain;
		layer->fd = -1;
		layer->spare_fd = -1;
		layer->direct_fd = -1;
		layer->spare_direct_fd = -1;
	}
	if (!layer || !full)
		goto fail;
	ret = env->io->realpath(env->ctx, path, full);
	if (ret)
		goto fail;
	ret = -ENOMEM;
	layer->path = copy_path(env, full);
	if (!layer->path)
		goto fail;
	ret = env->io->open(env->ctx, full, 0);
	if (ret < 0)
		goto fail;
	env->free(full, COW_PATH_MAX);
	layer->fd = ret;
	/* Where that can not be had, the pages' checksums are left. */
	if (chain->peek)
		env->io->lock(env->ctx, layer->fd, IO_PIN);
	ret = cow_layer_identify(layer, expect, err);
	if (ret) {
		cow_layer_put(layer);
		return ret;
	}
	layer->state = COW_STATE_FROZEN;
	*out = layer;
	return 0;

fail:
	cow_fail(err, ret, "%s: %s", path, cow_reason(ret));
	if (full)
		env->free(full, COW_PATH_MAX);
	if (layer)
		cow_layer_put(layer);
	return ret;
}

/* ---- locks and rights -------------------------------------------------- */

#define RETRY_MS	50

static int lock_retry(const struct cow_env *env, int fd, enum io_lock lock,
		      unsigned int patience_ms)
{
	int ret = env->io->lock(env->ctx, fd, lock);

	while (ret == -EAGAIN && patience_ms >= RETRY_MS) {
		env->io->nap(env->ctx, RETRY_MS);
		patience_ms -= RETRY_MS;
		ret = env->io->lock(env->ctx, fd, lock);
	}
	return ret;
}

int cow_layer_share(struct layer *layer, unsigned int patience_ms,
		    struct cow_error *err)
{
	const struct cow_env *env = &layer->chain->env;
	int ret;

	if (layer->chain->unlocked || layer->chain->peek)
		return 0;
	ret = lock_retry(env, layer->fd, IO_SHARED, patience_ms);
	if (ret)
		cow_fail(err, ret, "%s: %s", layer->path, cow_reason(ret));
	return ret;
}

/*
 * A file that was deleted, or replaced, is gone when the machine ends: nothing
 * must be moved into it.
 */
int cow_layer_named(const struct layer *layer, struct cow_error *err)
{
	const struct cow_env *env = &layer->chain->env;
	struct io_stat st;
	int ret = env->io->lookup(env->ctx, layer->path, &st);

	if (!ret && !cow_same_file(&st.id, &layer->st.id))
		ret = -ENOENT;
	if (ret == -ENOENT)
		return cow_fail(err, ret,
				"%s: it was deleted, or another file has its name: what is written to it will be lost; save the disk from inside the guest",
				layer->path);
	return ret ? cow_fail(err, ret, "%s: %s", layer->path,
			      cow_reason(ret)) : 0;
}

int cow_layer_claim(struct layer *layer, unsigned int patience_ms,
		    struct cow_error *err)
{
	const struct cow_env *env = &layer->chain->env;
	int direct_fd = -1;
	struct io_stat st;
	int fd, ret;

	if (layer->chain->top) {
		ret = cow_layer_named(layer, err);
		if (ret)
			return ret;
	}
	/* It was ours before: what is missing is the lock alone. */
	if (layer->writable || layer->spare_fd >= 0) {
		ret = lock_retry(env, layer->fd, IO_EXCLUSIVE, patience_ms);
		return ret ? cow_fail(err, ret, "%s: %s", layer->path,
				      cow_reason(ret)) : 0;
	}
	fd = env->io->reopen(env->ctx, layer->fd, IO_OPEN_WRITE);
	if (fd < 0)
		return cow_fail(err, fd, "%s: %s", layer->path, cow_reason(fd));
	ret = env->io->stat(env->ctx, fd, &st);
	if (!ret && !cow_same_file(&st.id, &layer->st.id))
		ret = -EAGAIN;
	if (!ret && cow_is_direct(layer)) {
		direct_fd = env->io->reopen(env->ctx, fd,
					    IO_OPEN_WRITE | IO_OPEN_DIRECT);
		ret = direct_fd < 0 ? direct_fd : 0;
	}
	if (!ret && !layer->chain->unlocked) {
		/* The shared lock that we hold ourselves would be in the way */
		env->io->lock(env->ctx, layer->fd, IO_UNLOCK);
		ret = lock_retry(env, fd, IO_EXCLUSIVE, patience_ms);
		if (ret && layer->chain->top)
			env->io->lock(env->ctx, layer->fd, IO_SHARED);
	}
	if (ret) {
		put_fd(layer, direct_fd);
		env->io->close(env->ctx, fd);
		return cow_fail(err, ret, "%s: %s", layer->path,
				cow_reason(ret));
	}
	/* In a chain at work, reads may still use the old descriptors. */
	if (cow_is_direct(layer)) {
		layer->spare_direct_fd = layer->direct_fd;
		layer->direct_fd = direct_fd;
	}
	if (layer->chain->top)
		layer->spare_fd = layer->fd;
	else
		env->io->close(env->ctx, layer->fd);
	layer->fd = fd;
	return 0;
}
