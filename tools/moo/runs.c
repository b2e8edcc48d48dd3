// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which sectors one file owns.
 *
 * Duty: runs of sectors from a bitmap or an index, without a chain: the parent
 * may be missing.
 *
 * Invariants: nothing is written. Every page is checked, and every place that it
 * names lies between the header and the end.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "record.h"
#include "runs.h"

#define LEAF_SECTORS	((uint64_t)COW_PAGE_ENTRIES * COW_BLOCK_SECTORS)
#define BITS_LEN	COW_BLOCK_SIZE

static uint64_t sectors_of(const struct moo_runs *runs)
{
	return runs->probe->device >> COW_SECTOR_SHIFT;
}

/* All of @len bytes, or an error. */
static int read_all(struct moo_runs *runs, void *buf, size_t len,
		    uint64_t offset, const char *what, struct cow_error *err)
{
	const struct moo_probe *p = runs->probe;
	int64_t got = p->env.io->pread(p->env.ctx, p->fd, buf, len, offset);

	if (got == (int64_t)len)
		return 0;
	return moo_fail(err, got < 0 ? got : -EIO,
			"%s: its %s can not be read at byte %llu: %s", p->name,
			what, (unsigned long long)offset,
			got < 0 ? strerror(-got) : "the file ends there");
}

/* ---- V1 to V3 ---------------------------------------------------------- */

static bool bits_loaded(const struct moo_runs *runs, uint64_t byte)
{
	return byte >= runs->bits_at &&
	       byte - runs->bits_at < runs->bits_len;
}

/* End of the hole of the file that byte @byte of the bitmap is in, or @byte. */
static uint64_t bits_hole(const struct moo_runs *runs, uint64_t byte)
{
	const struct moo_probe *p = runs->probe;
	uint64_t begin = p->hdr.bitmap_offset;
	int64_t data = p->env.io->next_data(p->env.ctx, p->fd, begin + byte);
	struct io_stat st;

	/* What was cut off is no hole. */
	if (data == INT64_MAX)
		data = p->env.io->stat(p->env.ctx, p->fd, &st) ? 0 : st.size;
	if (data < (int64_t)(begin + byte))
		return byte;
	return moo_min(data - begin, p->hdr.bitmap_len);
}

/* Bits behind the end of a file, of the last sectors, are 0. */
static int load_bits(struct moo_runs *runs, uint64_t byte,
		     struct cow_error *err)
{
	const struct cow_header *hdr = &runs->probe->hdr;
	uint64_t at = byte / BITS_LEN * BITS_LEN;
	uint64_t len = moo_min(BITS_LEN, hdr->bitmap_len - at);
	uint64_t here = runs->probe->st.size - hdr->bitmap_offset;

	if (bits_loaded(runs, byte))
		return 0;
	memset(runs->bits, 0, BITS_LEN);
	runs->bits_at = at;
	runs->bits_len = len;
	return read_all(runs, runs->bits, moo_min(len, here - at),
			hdr->bitmap_offset + at, "bitmap", err);
}

static bool bit_at(const struct moo_runs *runs, uint64_t sector)
{
	uint64_t byte = sector / 8 - runs->bits_at;

	return runs->bits[byte] >> sector % 8 & 1;
}

/* The first sector behind @sector whose bit is another one, or @end. */
static uint64_t other_bit(const struct moo_runs *runs, uint64_t sector,
			  uint64_t end)
{
	bool owned = bit_at(runs, sector);
	uint8_t same = owned ? 0xff : 0;

	for (;;) {
		if (sector >= end || bit_at(runs, sector) != owned)
			return sector < end ? sector : end;
		if (sector % 8 == 0 &&
		    runs->bits[sector / 8 - runs->bits_at] == same)
			sector += 8;
		else
			sector++;
	}
}

static int bitmap_at(struct moo_runs *runs, uint64_t sector,
		     struct cow_run *run, struct cow_error *err)
{
	const struct cow_header *hdr = &runs->probe->hdr;
	uint64_t end, hole;
	bool owned;
	int ret;

	run->sector = sector;
	run->count = sectors_of(runs) - sector;
	run->state = COW_ABSENT;
	/* The last sectors of V1 and V2 may have no bits. */
	if (sector / 8 >= hdr->bitmap_len)
		return 0;
	if (!bits_loaded(runs, sector / 8)) {
		hole = bits_hole(runs, sector / 8) * 8;
		if (hole > sector) {
			run->count = moo_min(hole, sectors_of(runs)) - sector;
			return 0;
		}
	}
	ret = load_bits(runs, sector / 8, err);
	if (ret)
		return ret;
	end = moo_min(sectors_of(runs), (runs->bits_at + runs->bits_len) * 8);
	owned = bit_at(runs, sector);
	run->count = other_bit(runs, sector, end) - sector;
	run->state = owned ? COW_DATA : COW_ABSENT;
	run->place = hdr->data_offset + (sector << COW_SECTOR_SHIFT);
	return 0;
}

/* ---- V4 ---------------------------------------------------------------- */

static int load_page(struct moo_runs *runs, unsigned int level, uint64_t index,
		     uint64_t block, struct cow_error *err)
{
	struct cow_disk_page *page = &runs->page[level];
	int ret;

	if (runs->place[level] == block)
		return 0;
	runs->place[level] = 0;
	ret = read_all(runs, page, sizeof(*page), block << COW_BLOCK_SHIFT,
		       "index", err);
	if (ret)
		return ret;
	if (cow_page_check(page, runs->v4.uuid, level, index, block))
		return moo_fail(err, -EBADMSG,
				"%s: index page %llu of level %u, at block %llu, is damaged; look at it with moo check",
				runs->probe->name, (unsigned long long)index,
				level, (unsigned long long)block);
	runs->place[level] = block;
	return 0;
}

static int entry_at(struct moo_runs *runs, unsigned int level, uint64_t n,
		    uint64_t *entry, struct cow_error *err)
{
	uint64_t block, states, e;

	e = cow_be64(runs->page[level].entry[n % COW_PAGE_ENTRIES]);
	block = e >> COW_ENTRY_SHIFT;
	states = e & COW_ENTRY_STATES;
	*entry = e;
	if ((!block || (block >= COW_V4_FIRST_BLOCK && block < runs->v4.end)) &&
	    (level ? !states : !(states & (states >> 1) & 0x5555u) &&
			       (block || !(states & 0x5555u))))
		return 0;
	return moo_fail(err, -EBADMSG,
			"%s: entry %llu of level %u of its index is wrong; look at it with moo check",
			runs->probe->name, (unsigned long long)n, level);
}

/* How many leaves a page of @level leads to; a leaf to itself. */
static uint64_t leaves_below(unsigned int level)
{
	uint64_t n = 1;

	while (level--)
		n *= COW_PAGE_ENTRIES;
	return n;
}

/*
 * Page @index of @level is absent: how many are that follow each other. The page
 * above, if there is one, is in memory.
 */
static uint64_t absent_pages(const struct moo_runs *runs, unsigned int level,
			     uint64_t index)
{
	uint64_t n = 1;

	if (level + 1 == runs->v4.levels)
		return n;
	while ((index + n) % COW_PAGE_ENTRIES &&
	       !runs->page[level + 1].entry[(index + n) % COW_PAGE_ENTRIES])
		n++;
	return n;
}

/*
 * Read the leaf of @sector. Where there is none *hole is the first sector that
 * some other leaf may map, else 0.
 */
static int load_leaf(struct moo_runs *runs, uint64_t sector, uint64_t *hole,
		     struct cow_error *err)
{
	unsigned int level = runs->v4.levels;
	uint64_t leaf = sector / LEAF_SECTORS;
	uint64_t entry = runs->v4.root << COW_ENTRY_SHIFT;
	uint64_t index;
	int ret = 0;

	while (level--) {
		index = leaf / leaves_below(level);
		if (!entry) {
			index += absent_pages(runs, level, index);
			*hole = index * leaves_below(level) * LEAF_SECTORS;
			return 0;
		}
		ret = load_page(runs, level, index, entry >> COW_ENTRY_SHIFT,
				err);
		if (ret || !level)
			break;
		ret = entry_at(runs, level, leaf / leaves_below(level - 1),
			       &entry, err);
		if (ret)
			break;
	}
	*hole = 0;
	return ret;
}

static enum cow_run_state state_of(uint64_t entry, unsigned int n)
{
	switch (entry >> (2 * n) & 3) {
	case COW_SECTOR_DATA:
		return COW_DATA;
	case COW_SECTOR_ZERO:
		return COW_ZERO;
	}
	return COW_ABSENT;
}

/* The sectors from @sector on that lie in its block and are alike. */
static void block_run(uint64_t entry, uint64_t sector, uint64_t end,
		      struct cow_run *run)
{
	unsigned int n = sector % COW_BLOCK_SECTORS;

	run->sector = sector;
	run->state = state_of(entry, n);
	run->place = (entry >> COW_ENTRY_SHIFT << COW_BLOCK_SHIFT) +
		     (n << COW_SECTOR_SHIFT);
	run->count = 0;
	while (n < COW_BLOCK_SECTORS && sector + run->count < end &&
	       state_of(entry, n) == run->state) {
		run->count++;
		n++;
	}
}

static bool follows(const struct cow_run *run, const struct cow_run *next)
{
	return next->state == run->state &&
	       (run->state != COW_DATA ||
		next->place == run->place + (run->count << COW_SECTOR_SHIFT));
}

static int leaf_at(struct moo_runs *runs, uint64_t sector, struct cow_run *run,
		   struct cow_error *err)
{
	uint64_t end = moo_min(sectors_of(runs),
			       moo_round_up(sector + 1, LEAF_SECTORS));
	struct cow_run next;
	uint64_t entry;
	int ret;

	run->count = 0;
	while (sector < end) {
		ret = entry_at(runs, 0, sector / COW_BLOCK_SECTORS, &entry,
			       err);
		if (ret)
			return ret;
		block_run(entry, sector, end, &next);
		if (!run->count)
			*run = next;
		else if (follows(run, &next))
			run->count += next.count;
		else
			break;
		sector += next.count;
	}
	return 0;
}

static int index_at(struct moo_runs *runs, uint64_t sector,
		    struct cow_run *run, struct cow_error *err)
{
	uint64_t hole;
	int ret;

	ret = load_leaf(runs, sector, &hole, err);
	if (ret)
		return ret;
	if (!hole)
		return leaf_at(runs, sector, run, err);
	run->state = COW_ABSENT;
	run->sector = sector;
	run->count = moo_min(hole, sectors_of(runs)) - sector;
	return 0;
}

/* ---- all versions ------------------------------------------------------ */

static void in_place(struct moo_runs *runs, uint64_t before, uint64_t sector,
		     struct cow_run *run)
{
	run->state = COW_DATA;
	run->sector = sector;
	run->count = sectors_of(runs) - sector;
	run->place = before + (sector << COW_SECTOR_SHIFT);
}

int moo_runs_at(struct moo_runs *runs, uint64_t sector, struct cow_run *run,
		struct cow_error *err)
{
	switch (runs->probe->hdr.format) {
	case COW_RAW:
		in_place(runs, 0, sector, run);
		return 0;
	case COW_V4:
		if (runs->v4.kind != COW_KIND_DISK)
			return index_at(runs, sector, run, err);
		in_place(runs, runs->v4.end << COW_BLOCK_SHIFT, sector, run);
		return 0;
	default:
		return bitmap_at(runs, sector, run, err);
	}
}

/* From here on no block that a header names is used again. */
static int pin(struct moo_runs *runs, struct cow_error *err)
{
	const struct moo_probe *p = runs->probe;
	const char *why = NULL;
	int ret;

	p->env.io->lock(p->env.ctx, p->fd, IO_PIN);
	ret = cow_v4_load(&p->env, p->fd, &runs->v4, &why);
	if (!ret)
		return 0;
	return moo_fail(err, ret, "%s: %s", p->name,
			why ? why : strerror(-ret));
}

int moo_runs_begin(struct moo_runs *runs, const struct moo_probe *probe,
		   bool beside, struct cow_error *err)
{
	*runs = (struct moo_runs){
		.probe = probe,
		.v4 = probe->hdr.v4,
		.page = calloc(COW_V4_MAX_LEVELS, sizeof(*runs->page)),
		.bits = malloc(BITS_LEN),
	};
	if (!runs->page || !runs->bits)
		return moo_fail(err, -ENOMEM, "%s: out of memory", probe->name);
	if (beside && probe->hdr.format == COW_V4)
		return pin(runs, err);
	return 0;
}

void moo_runs_end(struct moo_runs *runs)
{
	free(runs->page);
	free(runs->bits);
}
