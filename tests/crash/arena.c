// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory for engines that live for a moment, see arena.h.
 *
 * Invariants: pieces stand one above the other. What is given out is zero: the
 * room above the highest piece in use is new, or was emptied. So a piece that is
 * freed is given out again when those above it are free too.
 */
#include <stdlib.h>
#include <sys/mman.h>

#include "arena.h"

#define LARGE	65536u
#define ROOM	(64u << 20)
#define PAGE	4096u
#define PIECES	256u

static struct {
	char *room;
	size_t end[PIECES + 1];		/* end[0] is 0 */
	bool freed[PIECES + 1];
	unsigned int n;
	void *(*alloc)(size_t len);
	void (*free)(void *mem, size_t len);
} arena;

static bool in_arena(const char *mem)
{
	return mem >= arena.room && mem < arena.room + ROOM;
}

static void *arena_alloc(size_t len)
{
	size_t at = arena.end[arena.n];
	size_t room = (len + PAGE - 1) / PAGE * PAGE;

	if (len < LARGE || room > ROOM - at || arena.n == PIECES)
		return arena.alloc(len);
	arena.n++;
	arena.end[arena.n] = at + room;
	arena.freed[arena.n] = false;
	return arena.room + at;
}

static void arena_pop(void)
{
	size_t top = arena.end[arena.n], at;

	while (arena.n && arena.freed[arena.n])
		arena.n--;
	at = arena.end[arena.n];
	if (at < top && madvise(arena.room + at, top - at, MADV_DONTNEED))
		abort();
}

static void arena_free(void *mem, size_t len)
{
	unsigned int i = arena.n;

	if (!in_arena(mem)) {
		arena.free(mem, len);
		return;
	}
	while (arena.end[i - 1] != (size_t)((char *)mem - arena.room))
		i--;
	arena.freed[i] = true;
	arena_pop();
}

void arena_use(struct cow_env *env)
{
	if (!arena.room) {
		arena.room = mmap(NULL, ROOM, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (arena.room == MAP_FAILED)
			abort();
		madvise(arena.room, ROOM, MADV_NOHUGEPAGE);
	}
	arena.alloc = env->alloc;
	arena.free = env->free;
	env->alloc = arena_alloc;
	env->free = arena_free;
}
