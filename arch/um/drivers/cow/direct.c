// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which layers are read and written past the host's cache (flag A).
 *
 * Duty: to look at a layer's layout, to open the second descriptor, and to say
 * so where that can not be. May block.
 *
 * Invariants: a page that is written past the host's cache must not be dirty in
 * it, or the host may bring the old bytes back. So a direct layer is written by
 * its second descriptor only, from when the chain is at work until it is closed:
 * data, copies of a merge, index pages, bitmaps, header slots, names and lists of
 * free blocks. What is read through the cache (headers, by whoever may block) is
 * clean there, and the host drops it when it is written past it.
 */
#include <string.h>
#include "engine.h"
#include "layer.h"

static bool fits(uint64_t place)
{
	return !(place % COW_SECTOR_SIZE);
}

/* What is in the way, in the file itself; or NULL. */
static const char *obstacle(const struct layer *layer)
{
	const struct cow_header *hdr = &layer->hdr;

	if (!fits(layer->st.size))
		return "its size is no multiple of 512 bytes";
	if (!fits(hdr->data_offset))
		return "its data does not begin at a multiple of 512 bytes";
	/* The end of a bitmap is written up to the next sector: data follows. */
	if (layer->ops == &cow_bitmap_ops && !fits(hdr->bitmap_offset))
		return "its bitmap does not begin at a multiple of 512 bytes";
	return NULL;
}

static const char *open_direct(struct layer *layer, bool write)
{
	const struct cow_env *env = &layer->chain->env;
	const char *why = obstacle(layer);
	int fd;

	if (why)
		return why;
	fd = env->io->reopen(env->ctx, layer->fd, IO_OPEN_DIRECT |
			     (write ? IO_OPEN_WRITE : 0));
	if (fd == -EOPNOTSUPP)
		return "its file system or disk can not do that in units of 512 bytes";
	if (fd < 0)
		return cow_reason(fd);
	layer->direct_fd = fd;
	return NULL;
}

void cow_layer_direct(struct layer *layer, bool write)
{
	const struct cow_env *env = &layer->chain->env;
	const char *why = open_direct(layer, write);
	struct cow_error *line;

	if (!why || !env->say)
		return;
	line = env->alloc(sizeof(*line));
	if (!line)
		return;
	cow_fail(line, 0, "%s: flag A can not go past the host's cache here: %s",
		 layer->path, why);
	env->say(line->text);
	env->free(line, sizeof(*line));
}

void cow_chain_direct(struct chain *chain)
{
	struct layer *layer;

	for (layer = chain->top; layer; layer = layer->parent)
		cow_layer_direct(layer, layer->writable);
}

/* A direct layer is V3: its first sector is the header's alone. */
static int patch_direct(const struct layer *layer, size_t place,
			const void *buf, size_t len)
{
	uint8_t all[COW_SECTOR_SIZE] __attribute__((aligned(COW_SECTOR_SIZE)));
	const struct cow_env *env = &layer->chain->env;
	int64_t got;

	got = env->io->pread(env->ctx, layer->direct_fd, all, sizeof(all), 0);
	if (got < (int64_t)sizeof(all))
		return got < 0 ? (int)got : -EIO;
	memcpy(all + place, buf, len);
	return env->io->pwrite(env->ctx, layer->direct_fd, all, sizeof(all), 0);
}

/* In V1, the bitmap may be written in the same sector meanwhile. */
int cow_header_patch(const struct layer *layer, size_t place, const void *buf,
		     size_t len)
{
	const struct cow_env *env = &layer->chain->env;

	if (cow_is_direct(layer))
		return patch_direct(layer, place, buf, len);
	return env->io->pwrite(env->ctx, layer->fd, buf, len, place);
}
