// SPDX-License-Identifier: GPL-2.0-only
/*
 * V1, V2 and V3: one bit per sector says who owns it; the data lies where it
 * would in a raw file, behind the bitmap.
 *
 * Duty: layer_ops over a paged bitmap. A page holds the bits of 32768 sectors.
 *
 * Invariants: a bit changes in memory only in set(), that is after the data
 * write succeeded. Sectors past the bitmap's last bit (old versions count
 * wrongly, see cow-format.rst) belong to the parent.
 */
#include <string.h>
#include "engine.h"

#define PAGE_BITS	(IPAGE_SIZE * 8ull)

static uint64_t min64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t bits_end(const struct layer *layer)
{
	uint64_t bits = layer->hdr.bitmap_len * 8;

	return bits < layer->sectors ? bits : layer->sectors;
}

/* Stock makes V1 and V2 files without it; it is zero then. */
static bool last_byte_may_lack(const struct layer *layer)
{
	return layer->hdr.format != COW_V3 && layer->sectors % 8;
}

/* ---- holes ------------------------------------------------------------- */

static bool in_hole(const struct layer *layer, uint64_t sector)
{
	return sector >= layer->hole.start && sector < layer->hole.end;
}

/* A page that is not in memory is as the file has it. */
bool cow_look_begin(struct layer *layer, uint64_t sector, struct look *look)
{
	uint64_t key = sector / PAGE_BITS;
	uint64_t end;

	if (layer->ops != &cow_bitmap_ops || sector >= bits_end(layer) ||
	    in_hole(layer, sector) || cow_page_find(layer, key))
		return false;
	end = (bits_end(layer) + PAGE_BITS - 1) / PAGE_BITS;
	look->layer = layer;
	look->first = key;
	look->end = cow_page_next(layer, key, end);
	return true;
}

/* End of the hole at file offset @at; of a file that was cut, where that ends. */
static uint64_t file_hole_end(const struct layer *layer, uint64_t at)
{
	const struct cow_env *env = &layer->chain->env;
	int64_t data = env->io->next_data(env->ctx, layer->fd, at);
	struct io_stat st;

	if (data != INT64_MAX)
		return data < 0 ? 0 : data;
	return env->io->stat(env->ctx, layer->fd, &st) ? 0 : st.size;
}

void cow_look_host(struct look *look)
{
	uint64_t begin = look->layer->hdr.bitmap_offset;
	uint64_t end;

	end = file_hole_end(look->layer, begin + look->first * IPAGE_SIZE);
	end = end < begin ? 0 : (end - begin) / IPAGE_SIZE;
	look->end = min64(look->end, end);
}

void cow_look_end(const struct look *look)
{
	struct layer *layer = look->layer;

	layer->hole.start = look->first * PAGE_BITS;
	layer->hole.end = min64(look->end * PAGE_BITS, bits_end(layer));
}

/* ---- pages ------------------------------------------------------------- */

/* Find the page with the bit of @sector, loading it if need be. */
static int bitmap_page(struct layer *layer, uint64_t sector,
		       struct ipage **out)
{
	uint64_t key = sector / PAGE_BITS;
	uint64_t offset = key * IPAGE_SIZE;
	uint64_t left = layer->hdr.bitmap_len - offset;
	struct ipage *page = cow_page_find(layer, key);
	size_t len;
	int err;

	*out = page;
	if (page)
		return page->state == IPAGE_VALID ? 0 : -EAGAIN;
	page = cow_page_new(layer, key, NULL);
	*out = page;
	if (!page)
		return -EAGAIN;
	len = left < IPAGE_SIZE ? left : IPAGE_SIZE;
	/* What follows in the last unit is written back as it is. */
	err = cow_page_load(page, layer->hdr.bitmap_offset + offset,
			    cow_direct_len(layer, len),
			    len - (len == left && last_byte_may_lack(layer)));
	if (err && err != -EAGAIN)
		cow_page_drop(page);
	return err;
}

static bool test_bit(const uint8_t *bits, uint64_t n)
{
	return bits[n / 8] >> (n % 8) & 1;
}

/* Number of bits from @n on, below @end, that equal bit @n. */
static uint64_t run_length(const uint8_t *bits, uint64_t n, uint64_t end)
{
	bool set = test_bit(bits, n);
	uint64_t same = set ? ~0ull : 0;
	uint64_t i = n + 1;

	while (i < end) {
		uint64_t word;

		if (i % 64 == 0 && end - i >= 64) {
			memcpy(&word, bits + i / 8, sizeof(word));
			if (word == same) {
				i += 64;
				continue;
			}
		}
		if (test_bit(bits, i) != set)
			break;
		i++;
	}
	return i - n;
}

static int bitmap_map(struct layer *layer, uint64_t sector, uint64_t count,
		      struct cow_run *run, struct ipage **page)
{
	uint64_t first = sector % PAGE_BITS;
	uint64_t end = bits_end(layer);
	int err;

	run->sector = sector;
	run->state = COW_ABSENT;
	run->count = count;
	if (sector >= end)
		return 0;
	if (in_hole(layer, sector)) {
		run->count = min64(count, layer->hole.end - sector);
		return 0;
	}
	err = bitmap_page(layer, sector, page);
	if (err)
		return err;
	count = min64(count, min64(PAGE_BITS - first, end - sector));
	run->count = run_length((*page)->data, first, first + count);
	if (test_bit((*page)->data, first)) {
		run->state = COW_DATA;
		run->place = layer->hdr.data_offset +
			     (sector << COW_SECTOR_SHIFT);
	}
	return 0;
}

static int bitmap_prepare(struct layer *layer, uint64_t sector, uint64_t count,
			  struct cow_run *run, struct ipage **page)
{
	uint64_t end = bits_end(layer);
	int err;

	/* A tail sector without a bit can not be owned. */
	if (sector >= end)
		return -EROFS;
	err = bitmap_page(layer, sector, page);
	if (err)
		return err;
	run->sector = sector;
	run->count = min64(count, min64(PAGE_BITS - sector % PAGE_BITS,
					end - sector));
	run->place = layer->hdr.data_offset + (sector << COW_SECTOR_SHIFT);
	run->state = COW_DATA;
	cow_page_pin(*page);
	return 0;
}

static void bitmap_set(struct layer *layer, struct ipage *page, uint64_t sector,
		       uint64_t count, enum cow_run_state state)
{
	uint64_t n = sector % PAGE_BITS;
	uint64_t end = n + count;
	bool own = state != COW_ABSENT;

	/* The page may leave memory, once the file has no hole there. */
	if (own && in_hole(layer, sector))
		layer->hole.end = sector - n;
	for (; n < end; n++) {
		uint8_t mask = 1u << (n % 8);

		if (test_bit(page->data, n) == own)
			continue;
		page->data[n / 8] ^= mask;
		layer->owned += own ? 1 : -1;
		cow_page_dirty(page);
	}
	cow_page_unpin(page);
}

static int bitmap_loaded(struct ipage *page)
{
	(void)page;
	return 0;
}

const struct layer_ops cow_bitmap_ops = {
	.map = bitmap_map,
	.reserve = bitmap_prepare,
	.prepare_set = bitmap_prepare,
	.set = bitmap_set,
	.loaded = bitmap_loaded,
};
