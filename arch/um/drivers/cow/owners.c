// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is known of the layers that can not change: for a block of the disk, which
 * of them owns it, and where in its file.
 *
 * Duty: to keep that for many blocks in few bytes, so that a read of a block that
 * is known asks no layer and touches no index page, however deep the chain is.
 *
 * Invariants:
 *  - Only whole blocks with one owner and in sequence are known.
 *  - All of it is forgotten at once, by counting up an epoch, when the order of
 *    layers, or which of them may change, does.
 *  - It takes at most an eighth of the bound for the index, and no more than the
 *    disk has blocks for.
 */
#include <string.h>
#include "engine.h"

#define LINES_MOST	8192u	/* 2 GiB of the disk in 4 MiB */
#define LINES_LEAST	256u
#define REMEMBER_BLOCKS	256u	/* at once: a request of 1 MiB */

/* A fact: the owner's rank, and the sector of its file, counted from 1. */
#define RANK_SHIFT	54
#define FACT_PLACE	((1ull << RANK_SHIFT) - 1)
#define FACT_ZERO	0ull		/* as a place: reads as zeros */
#define FACT_NONE	UINT64_MAX

_Static_assert(COW_MAX_DEPTH <= 1u << (64 - RANK_SHIFT),
	       "a rank does not fit into a fact");

/* Half as many would do for all of the disk. */
static bool too_many(const struct chain *chain, uint32_t lines)
{
	uint64_t blocks = chain->top->sectors / COW_BLOCK_SECTORS;

	return blocks <= (uint64_t)lines / 2 * OWNER_BLOCKS;
}

size_t cow_owners_cost(const struct chain *chain, size_t bound)
{
	uint32_t lines = LINES_MOST;

	while (lines > LINES_LEAST &&
	       (too_many(chain, lines) ||
		lines * sizeof(struct owner_line) > bound / 8))
		lines /= 2;
	return lines * sizeof(struct owner_line);
}

int cow_owners_init(struct chain *chain, size_t bound)
{
	struct owner_cache *owners = &chain->owners;
	size_t bytes = cow_owners_cost(chain, bound);

	owners->lines = chain->env.alloc(bytes);
	owners->count = bytes / sizeof(*owners->lines);
	return owners->lines ? 0 : -ENOMEM;
}

void cow_owners_exit(struct chain *chain)
{
	struct owner_cache *owners = &chain->owners;

	if (owners->lines)
		chain->env.free(owners->lines,
				owners->count * sizeof(*owners->lines));
}

void cow_owners_forget(struct chain *chain)
{
	chain->owners.epoch++;
}

/* The line for a block: nothing is known of it if it is another's. */
static struct owner_line *line_of(struct chain *chain, uint64_t block)
{
	struct owner_cache *owners = &chain->owners;

	return &owners->lines[block / OWNER_BLOCKS % owners->count];
}

static bool line_valid(const struct chain *chain, const struct owner_line *line,
		       uint64_t block)
{
	return line->tag == block / OWNER_BLOCKS + 1 &&
	       line->epoch == chain->owners.epoch;
}

static uint64_t known(struct chain *chain, uint64_t block)
{
	struct owner_line *line = line_of(chain, block);

	return line_valid(chain, line, block) ?
	       line->fact[block % OWNER_BLOCKS] : FACT_NONE;
}

/* What is known of the block behind one with @fact, if it goes on there. */
static uint64_t sequel(uint64_t fact)
{
	return (fact & FACT_PLACE) == FACT_ZERO ? fact :
						  fact + COW_BLOCK_SECTORS;
}

/* How far, at most @count sectors, blocks follow that with @fact. */
static uint64_t known_length(struct chain *chain, uint64_t sector,
			     uint64_t count, uint64_t fact)
{
	uint64_t n = COW_BLOCK_SECTORS - sector % COW_BLOCK_SECTORS;

	while (n < count) {
		fact = sequel(fact);
		if (known(chain, (sector + n) / COW_BLOCK_SECTORS) != fact)
			break;
		n += COW_BLOCK_SECTORS;
	}
	return n < count ? n : count;
}

bool cow_owners_find(struct chain *chain, uint64_t sector, uint64_t count,
		     struct cow_run *run, struct layer **owner)
{
	uint64_t fact = known(chain, sector / COW_BLOCK_SECTORS);
	uint64_t place = fact & FACT_PLACE;

	if (fact == FACT_NONE)
		return false;
	*owner = chain->by_rank[fact >> RANK_SHIFT];
	run->state = COW_ZERO;
	run->sector = sector;
	run->count = known_length(chain, sector, count, fact);
	if (place != FACT_ZERO) {
		run->state = COW_DATA;
		run->place = (place - 1 + sector % COW_BLOCK_SECTORS)
			     << COW_SECTOR_SHIFT;
	}
	return true;
}

static void set_fact(struct chain *chain, uint64_t block, uint64_t fact)
{
	struct owner_line *line = line_of(chain, block);

	if (!line_valid(chain, line, block)) {
		memset(line->fact, 0xff, sizeof(line->fact));
		line->tag = block / OWNER_BLOCKS + 1;
		line->epoch = chain->owners.epoch;
	}
	line->fact[block % OWNER_BLOCKS] = fact;
}

void cow_owners_remember(struct chain *chain, const struct cow_run *run,
			 const struct layer *owner)
{
	uint64_t block = (run->sector + COW_BLOCK_SECTORS - 1) /
			 COW_BLOCK_SECTORS;
	uint64_t end = (run->sector + run->count) / COW_BLOCK_SECTORS;
	uint64_t fact = (uint64_t)cow_rank(owner) << RANK_SHIFT;

	if (end > block + REMEMBER_BLOCKS)
		end = block + REMEMBER_BLOCKS;
	if (run->state == COW_DATA)
		fact += (run->place >> COW_SECTOR_SHIFT) + 1 +
			block * COW_BLOCK_SECTORS - run->sector;
	for (; block < end; block++) {
		set_fact(chain, block, fact);
		fact = sequel(fact);
	}
}
