// SPDX-License-Identifier: GPL-2.0-only
/*
 * Seals of V4 files on a vdisk, see seal.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "record.h"
#include "seal.h"
#include "tap.h"

/* One run of one block takes two words. */
#define PAGE_BLOCKS	(COW_PAGE_ENTRIES / 2)

struct sum {
	uint64_t block;
	uint32_t crc;
};

/**
 * struct sums - the checksums of a file
 * @owned: sectors that its index owns
 * @bad: it can not be read as the header says
 */
struct sums {
	struct world *w;
	int fd;
	struct cow_disk_v4 v4;
	struct sum *sum;
	unsigned int n;
	uint64_t owned;
	bool bad;
};

static bool read_at(struct sums *sums, void *buf, size_t len, uint64_t block)
{
	int64_t got;

	memset(buf, 0, len);
	got = vdisk_ops.pread(sums->w->disk, sums->fd, buf, len,
			      block << COW_BLOCK_SHIFT);
	return got == (int64_t)len;
}

/* ---- what the data says ------------------------------------------------ */

static void add(struct sums *sums, uint64_t block, uint32_t crc)
{
	sums->sum = realloc(sums->sum, (sums->n + 1) * sizeof(*sums->sum));
	sums->sum[sums->n++] = (struct sum){ block, crc };
}

/* A block of data at @place; @states says which sectors are. */
static void add_block(struct sums *sums, uint64_t block, uint64_t place,
		      uint64_t states)
{
	uint8_t data[COW_BLOCK_SIZE];
	unsigned int i;

	/* The file may end behind the last sector of data. */
	read_at(sums, data, sizeof(data), place);
	for (i = 0; i < COW_BLOCK_SECTORS; i++)
		if ((states >> 2 * i & 3) != COW_SECTOR_DATA)
			memset(data + i * COW_SECTOR_SIZE, 0, COW_SECTOR_SIZE);
	add(sums, block, cow_crc32c(0, data, sizeof(data)));
}

static void add_entry(struct sums *sums, uint64_t block, uint64_t entry)
{
	uint64_t owned = (entry | entry >> 1) & COW_ENTRY_ALL_DATA;

	sums->owned += __builtin_popcountll(owned);
	if (entry & COW_ENTRY_ALL_DATA)
		add_block(sums, block, entry >> COW_ENTRY_SHIFT, entry);
}

static void add_page(struct sums *sums, unsigned int level, uint64_t index,
		     uint64_t block)
{
	struct cow_disk_page *page = malloc(sizeof(*page));
	unsigned int i;

	if (!read_at(sums, page, sizeof(*page), block) ||
	    cow_page_check(page, sums->v4.uuid, level, index, block))
		sums->bad = true;
	for (i = 0; i < COW_PAGE_ENTRIES && !sums->bad; i++) {
		uint64_t entry = cow_be64(page->entry[i]);
		uint64_t n = index * COW_PAGE_ENTRIES + i;

		if (level && entry)
			add_page(sums, level - 1, n, entry >> COW_ENTRY_SHIFT);
		else if (!level)
			add_entry(sums, n, entry);
	}
	free(page);
}

static void add_disk(struct sums *sums)
{
	uint64_t sectors = sums->v4.size / COW_SECTOR_SIZE, n, left;

	for (n = 0; n * COW_BLOCK_SECTORS < sectors; n++) {
		left = sectors - n * COW_BLOCK_SECTORS;
		add_block(sums, n, sums->v4.end + n, left < COW_BLOCK_SECTORS ?
			  COW_ENTRY_ALL_DATA & ((1u << 2 * left) - 1) :
			  COW_ENTRY_ALL_DATA);
	}
}

static void add_all(struct sums *sums)
{
	if (sums->v4.kind == COW_KIND_DISK)
		add_disk(sums);
	else if (sums->v4.root)
		add_page(sums, sums->v4.levels - 1, 0, sums->v4.root);
}

/* ---- a seal is made ---------------------------------------------------- */

static void write_pages(struct sums *sums)
{
	struct cow_disk_v4 *v4 = &sums->v4;
	struct cow_disk_page *page = malloc(sizeof(*page));
	unsigned int at = 0, i;

	do {
		memset(page, 0, sizeof(*page));
		for (i = 0; i < PAGE_BLOCKS && at < sums->n; i++, at++) {
			const struct sum *sum = &sums->sum[at];

			page->entry[2 * i] =
				cow_be64(sum->block << COW_SEAL_SHIFT | 1);
			page->entry[2 * i + 1] =
				cow_be64((uint64_t)sum->crc << 32);
		}
		cow_page_seal(page, v4->uuid, COW_SEAL_LEVEL, v4->seal_pages,
			      v4->seal + v4->seal_pages, v4->generation);
		vdisk_ops.pwrite(sums->w->disk, sums->fd, page, sizeof(*page),
				 (v4->seal + v4->seal_pages++) <<
				 COW_BLOCK_SHIFT);
	} while (at < sums->n);
	free(page);
}

static void seal(struct sums *sums)
{
	struct cow_disk_v4 *v4 = &sums->v4;
	uint64_t disk = (v4->size + COW_BLOCK_SIZE - 1) >> COW_BLOCK_SHIFT;

	add_all(sums);
	if (sums->bad)
		return;
	v4->generation++;
	v4->seal = v4->end + (v4->kind == COW_KIND_DISK ? disk : 0);
	v4->seal_pages = 0;
	write_pages(sums);
	vdisk_ops.sync(sums->w->disk, sums->fd);
	v4->sealed = sums->n;
	v4->seal_content = v4->content;
	v4->ro_compatible |= COW_RO_SEALED;
	if (v4->kind != COW_KIND_DISK)
		v4->end = v4->seal + v4->seal_pages;
	cow_v4_put_slot(&sums->w->env, sums->fd, v4);
}

static bool is_v4(struct sums *sums)
{
	uint8_t head[8] = { 0 };
	const char *why;

	vdisk_ops.pread(sums->w->disk, sums->fd, head, sizeof(head), 0);
	return cow_header_version(head, sizeof(head)) == COW_V4 &&
	       !cow_v4_load(&sums->w->env, sums->fd, &sums->v4, &why);
}

void seal_file(struct world *w, const char *name)
{
	struct sums sums = { .w = w };

	sums.fd = vdisk_ops.open(w->disk, name, IO_OPEN_WRITE);
	if (sums.fd < 0)
		return;
	if (!vdisk_ops.lock(w->disk, sums.fd, IO_SHARED) && is_v4(&sums) &&
	    !cow_v4_sealed(&sums.v4) &&
	    !(sums.v4.state & (COW_IS_DRAINING | COW_IS_DRAINED)))
		seal(&sums);
	world_trace(w, "seal %s: %u blocks", name, sums.n);
	vdisk_ops.close(w->disk, sums.fd);
	free(sums.sum);
}

void seal_layers(struct world *w)
{
	struct cow_layer_info info;
	char name[WORLD_NAME];
	unsigned int n;

	for (n = 1; !cow_layer(w->file, n, &info); n++) {
		snprintf(name, sizeof(name), "%s", info.path);
		if (info.format == COW_V4)
			seal_file(w, name);
	}
}

/* ---- and looked at ----------------------------------------------------- */

static void check_sum(struct sums *sums, unsigned int n, uint64_t block,
		      uint32_t crc, const char *name)
{
	if (n < sums->n && sums->sum[n].block == block &&
	    sums->sum[n].crc == crc)
		return;
	world_fail(sums->w, "block %llu of %s is not what was sealed",
		   (unsigned long long)block, name);
}

/* The pages, read from the document as it is, not as write_pages() has it. */
static void check_pages(struct sums *sums, const char *name)
{
	const struct cow_disk_v4 *v4 = &sums->v4;
	struct cow_disk_page *page = malloc(sizeof(*page));
	unsigned int n = 0, i, k;
	uint64_t p;

	for (p = 0; p < v4->seal_pages; p++) {
		if (!read_at(sums, page, sizeof(*page), v4->seal + p) ||
		    cow_page_check(page, v4->uuid, COW_SEAL_LEVEL, p,
				   v4->seal + p))
			world_fail(sums->w, "page %u of the seal of %s is bad",
				   (unsigned int)p, name);
		for (i = 0; i < COW_PAGE_ENTRIES && page->entry[i];) {
			uint64_t run = cow_be64(page->entry[i++]);

			for (k = 0; k < (run & COW_SEAL_COUNT); k++, n++) {
				uint64_t word = cow_be64(page->entry[i + k / 2]);
				uint32_t crc = k % 2 ? word : word >> 32;
				uint64_t b = (run >> COW_SEAL_SHIFT) + k;

				check_sum(sums, n, b, crc, name);
			}
			i += (k + 1) / 2;
		}
	}
	if (n != sums->n || n != v4->sealed || v4->content != v4->seal_content)
		world_fail(sums->w, "the seal of %s is of something else", name);
	free(page);
}

static void check_file(struct world *w, const char *name)
{
	struct sums sums = { .w = w };

	sums.fd = vdisk_ops.open(w->disk, name, 0);
	if (sums.fd < 0)
		return;
	if (is_v4(&sums)) {
		add_all(&sums);
		if (sums.bad)
			world_fail(w, "the index of %s is bad", name);
		else if (sums.v4.kind == COW_KIND_COW &&
			 sums.owned != sums.v4.owned)
			world_fail(w, "%s owns %llu sectors, its header says %llu",
				   name, (unsigned long long)sums.owned,
				   (unsigned long long)sums.v4.owned);
		else if (cow_v4_sealed(&sums.v4))
			check_pages(&sums, name);
		w->run->sealed += cow_v4_sealed(&sums.v4);
	}
	vdisk_ops.close(w->disk, sums.fd);
	free(sums.sum);
}

void seal_check(struct world *w)
{
	char name[WORLD_NAME];
	unsigned int i;

	check_file(w, "/disk");
	for (i = 0; i < w->names && !w->run->failed; i++) {
		snprintf(name, sizeof(name), "/layer%u", i);
		check_file(w, name);
		snprintf(name, sizeof(name), "/s%u", i);
		check_file(w, name);
	}
}
