// SPDX-License-Identifier: GPL-2.0-only
/*
 * V4: the way of a block from its last user to the next one.
 *
 * Duty: blocks that an index page or data has left are kept until nobody can
 * come upon them any more, give their room back to the host, and are then handed
 * out again.
 *
 *	GIVEN      no entry in memory refers to it
 *	LEAVING    nor does an entry of the commit that is running
 *	SETTLED    nor does the durable header
 *	GRACE      a reader beside us may have pinned an older header: then later;
 *	           I/O that began earlier may still be under way: it is waited for
 *	PUNCH      longer pieces become holes, so that the host has them meanwhile
 *	free       room.pool, or room.list when the layer comes to rest
 *
 * Invariants: a block is in one place only. It becomes free when the header
 * without it is durable, nobody has pinned a header from before that, and all I/O
 * that was resolved to it is over.
 */
#include "engine.h"

#define PUNCH_BLOCKS	16u	/* 64 KiB: less is not worth a call */

static void grace_begin(struct layer *layer);

void cow_block_give(struct layer *layer, uint64_t block)
{
	cow_extents_add(&layer->room->given, block, 1, true);
}

void cow_block_leave(struct layer *layer, uint64_t block)
{
	cow_extents_add(&layer->room->leaving, block, 1, false);
}

int cow_block_take(struct layer *layer, bool data, uint64_t *block)
{
	struct extents *pool = &layer->room->pool;

	if (cow_extents_empty(pool)) {
		cow_extents_move(&layer->room->settled, &layer->room->loaded);
		grace_begin(layer);
	}
	if (cow_extents_empty(pool)) {
		if (layer->hdr.v4.end >= 1ull << (64 - COW_ENTRY_SHIFT))
			return -EFBIG;
		*block = layer->hdr.v4.end++;
	} else if (data) {
		*block = cow_extents_take_first(pool);
	} else {
		*block = cow_extents_take_last(pool);
	}
	return 0;
}

void cow_room_commits(struct layer *layer)
{
	struct room *room = layer->room;

	if (room)
		cow_extents_move(&room->leaving, &room->given);
}

/* ---- punching ---------------------------------------------------------- */

/* Longer pieces that held data. */
static struct extent *next_to_punch(struct room *room)
{
	while (room->punched < room->grace.end) {
		struct extent *ext = &room->grace.ext[room->punched++];

		if (ext->data && ext->count >= PUNCH_BLOCKS)
			return ext;
	}
	return NULL;
}

static void punch(struct layer *layer);

static void punch_done(struct io_desc *io)
{
	struct room *room = cow_container_of(io, struct room, io);
	struct layer *layer = room->layer;

	layer->inflight--;
	punch(layer);
	cow_run(layer->chain);
}

static int punch_one(struct layer *layer, const struct extent *ext)
{
	const struct cow_env *env = &layer->chain->env;
	struct room *room = layer->room;
	int ret;

	room->io = (struct io_desc){
		.op = IO_PUNCH,
		.fd = cow_data_fd(layer),
		.direct = cow_is_direct(layer),
		.offset = ext->start << COW_BLOCK_SHIFT,
		.len = (uint64_t)ext->count << COW_BLOCK_SHIFT,
		.done = punch_done,
	};
	layer->inflight++;
	ret = env->io->submit(env->ctx, &room->io);
	if (ret != -EINPROGRESS)
		layer->inflight--;
	return ret;
}

/* A host that can not punch keeps the room, and the block is free all the same. */
static void punch(struct layer *layer)
{
	struct room *room = layer->room;
	struct extent *ext;

	room->punching = true;
	while ((ext = next_to_punch(room))) {
		if (punch_one(layer, ext) == -EINPROGRESS)
			return;
	}
	room->punching = false;
	cow_extents_merge(&room->pool, &room->grace, &room->spare);
	grace_begin(layer);
	cow_wake(layer->chain, &layer->idle, 0);
}

/* ---- grace ------------------------------------------------------------- */

/* All I/O that began before is over. */
static void grace_over(struct layer *layer)
{
	struct room *room = layer->room;

	room->waiting = false;
	room->punched = 0;
	cow_extents_sort(&room->grace);
	punch(layer);
}

static int ask_call(void *arg)
{
	const struct room *room = arg;
	const struct cow_env *env = &room->layer->chain->env;

	return env->io->lock(env->ctx, room->layer->fd, IO_PINNED);
}

/* Whoever pins from now on reads the durable header or a later one. */
static void asked(struct layer *layer)
{
	struct room *room = layer->room;

	room->asking = false;
	if (room->io.result == -EAGAIN) {
		cow_extents_move(&room->settled, &room->grace);
		cow_wake(layer->chain, &layer->idle, 0);
		return;
	}
	room->waiting = true;
	layer->phase = !layer->phase;
	cow_room_quiet(layer);
}

static void ask_done(struct io_desc *io)
{
	struct room *room = cow_container_of(io, struct room, io);
	struct layer *layer = room->layer;

	layer->inflight--;
	asked(layer);
	cow_run(layer->chain);
}

/* Once for each header: a pin may last. */
static void grace_begin(struct layer *layer)
{
	const struct cow_env *env = &layer->chain->env;
	struct room *room = layer->room;

	if (cow_room_busy(layer) || cow_extents_empty(&room->settled) ||
	    room->asked == layer->hdr.v4.generation)
		return;
	room->asked = layer->hdr.v4.generation;
	room->asking = true;
	cow_extents_move(&room->grace, &room->settled);
	room->io = (struct io_desc){
		.op = IO_CALL,
		.fd = -1,
		.call = ask_call,
		.arg = room,
		.done = ask_done,
	};
	layer->inflight++;
	if (env->io->submit(env->ctx, &room->io) == -EINPROGRESS)
		return;
	layer->inflight--;
	asked(layer);
}

void cow_room_quiet(struct layer *layer)
{
	struct room *room = layer->room;

	if (room && room->waiting && !layer->io_of_phase[!layer->phase])
		grace_over(layer);
}

void cow_room_durable(struct layer *layer)
{
	struct room *room = layer->room;

	if (!room)
		return;
	cow_extents_move(&room->settled, &room->leaving);
	grace_begin(layer);
}

/*
 * Blocks in sequence for the pages of the list itself: of the pool, or behind all
 * others. A reader beside us may have pinned a header that still refers to any of
 * the rest.
 */
static void take_list_pages(struct layer *layer)
{
	struct room *room = layer->room;
	struct extents *pool = &room->pool;
	unsigned int i, extents;

	extents = cow_extents_count(&room->list) + cow_extents_count(pool);
	room->list_pages = (extents + COW_LIST_ROOM - 1) / COW_LIST_ROOM;
	if (cow_extents_empty(pool) ||
	    pool->ext[pool->first].count < room->list_pages) {
		room->list_page = layer->hdr.v4.end;
		layer->hdr.v4.end += room->list_pages;
		return;
	}
	room->list_page = pool->ext[pool->first].start;
	for (i = 0; i < room->list_pages; i++)
		cow_extents_take_first(pool);
}

void cow_room_collect(struct layer *layer, bool commit_follows)
{
	struct room *room = layer->room;

	if (!commit_follows && !cow_extents_empty(&room->given))
		return;
	cow_extents_move(&room->list, &room->given);
	cow_extents_move(&room->list, &room->leaving);
	cow_extents_move(&room->list, &room->settled);
	cow_extents_move(&room->list, &room->loaded);
	take_list_pages(layer);
	cow_extents_move(&room->list, &room->pool);
}

bool cow_room_busy(const struct layer *layer)
{
	const struct room *room = layer->room;

	return room && (room->asking || room->waiting || room->punching);
}

/* ---- memory ------------------------------------------------------------ */

static struct extents *set_of(struct room *room, unsigned int n)
{
	struct extents *const sets[] = {
		&room->given, &room->leaving, &room->settled,
		&room->grace, &room->pool, &room->spare,
		&room->list, &room->loaded,
	};

	return n < sizeof(sets) / sizeof(sets[0]) ? sets[n] : NULL;
}

int cow_room_new(struct layer *layer)
{
	const struct cow_env *env = &layer->chain->env;
	struct extents *set;
	unsigned int n;

	layer->room = env->alloc(sizeof(*layer->room));
	if (!layer->room)
		return -ENOMEM;
	layer->room->layer = layer;
	for (n = 0; (set = set_of(layer->room, n)); n++) {
		set->ext = env->alloc(COW_EXTENTS * sizeof(*set->ext));
		if (!set->ext)
			return -ENOMEM;
	}
	return 0;
}

void cow_room_free(struct layer *layer)
{
	const struct cow_env *env = &layer->chain->env;
	struct extents *set;
	unsigned int n;

	if (!layer->room)
		return;
	for (n = 0; (set = set_of(layer->room, n)); n++) {
		if (set->ext)
			env->free(set->ext, COW_EXTENTS * sizeof(*set->ext));
	}
	env->free(layer->room, sizeof(*layer->room));
	layer->room = NULL;
}
