// SPDX-License-Identifier: GPL-2.0-only
/*
 * Says what header.c makes of a file, for comparison with NAME.expect.
 *
 * usage: read FILE
 *
 * Duty: print the header and each sector that the file owns, by the engine's
 * parsers and nothing else of the engine. It reads whole small files.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format.h"

#define FILE_MAX	(16u << 20)

static uint8_t *file;
static size_t file_len;

static void fail(const char *what)
{
	printf("refused: %s\n", what);
	exit(1);
}

static const void *at(uint64_t offset, size_t len)
{
	if (offset > file_len || len > file_len - offset)
		fail("the file is too short");
	return file + offset;
}

static void load(const char *name)
{
	FILE *in = fopen(name, "rb");

	file = malloc(FILE_MAX);
	if (!in || !file)
		fail("can not be read");
	file_len = fread(file, 1, FILE_MAX, in);
	fclose(in);
}

static void print_sector(unsigned long long n, const char *state,
			 unsigned long long place)
{
	printf("sector %llu %s", n, state);
	if (place)
		printf(" %llu", place);
	printf("\n");
}

static void print_header(const struct cow_header *hdr)
{
	printf("format %d\n", hdr->format);
	printf("little_endian %d\n", hdr->little_endian);
	printf("broken %d\n", hdr->broken);
	printf("tail_on_data %d\n", hdr->tail_on_data);
	printf("size %llu\n", (unsigned long long)hdr->size);
	printf("mtime %u\n", hdr->mtime);
	printf("parent %s\n", hdr->parent);
	printf("bitmap %llu %llu\n", (unsigned long long)hdr->bitmap_offset,
	       (unsigned long long)hdr->bitmap_len);
	printf("data %llu\n", (unsigned long long)hdr->data_offset);
}

/* Equal up to the name's end; what stock leaves behind it is anything. */
static bool comes_back(struct cow_header *hdr)
{
	uint8_t buf[COW_HEADER_MAX];
	int len = cow_header_emit(hdr, buf);
	size_t i;

	if (len < 0)
		return false;
	at(0, len);
	for (i = 0; i < (size_t)len; i++) {
		if (buf[i] != file[i] && buf[i])
			return false;
	}
	return true;
}

static void read_bitmap(void)
{
	struct cow_header hdr;
	const char *why;
	uint64_t n;

	if (cow_header_parse(file, file_len, file_len, &hdr, &why))
		fail(why);
	print_header(&hdr);
	printf("header %s\n", comes_back(&hdr) ? "comes back" : "differs");
	for (n = 0; n < hdr.bitmap_len * 8; n++) {
		const uint8_t *byte = at(hdr.bitmap_offset + n / 8, 1);

		if (*byte >> (n % 8) & 1)
			print_sector(n, "data", hdr.data_offset + n * 512);
	}
}

static void read_leaf(const struct cow_disk_page *page, uint64_t index)
{
	unsigned int i, n;

	for (i = 0; i < COW_PAGE_ENTRIES; i++) {
		uint64_t entry = cow_be64(page->entry[i]);
		uint64_t place = (entry >> COW_ENTRY_SHIFT) * COW_BLOCK_SIZE;
		uint64_t first = (index * COW_PAGE_ENTRIES + i) * 8;

		for (n = 0; n < 8; n++) {
			unsigned int state = entry >> (2 * n) & 3;

			if (state == COW_SECTOR_DATA)
				print_sector(first + n, "data",
					     place + 512 * n);
			else if (state == COW_SECTOR_ZERO)
				print_sector(first + n, "zero", 0);
		}
	}
}

static const struct cow_disk_page *get_page(const struct cow_disk_v4 *v4,
					    unsigned int level, uint64_t index,
					    uint64_t block)
{
	const struct cow_disk_page *page = at(block * COW_BLOCK_SIZE,
					      COW_BLOCK_SIZE);

	if (cow_page_check(page, v4->uuid, level, index, block))
		fail("an index page is wrong");
	return page;
}

/* One level or two: more make no small image. */
static void read_index(const struct cow_disk_v4 *v4)
{
	const struct cow_disk_page *root;
	uint64_t i, block;

	root = get_page(v4, v4->levels - 1, 0, v4->root);
	if (v4->levels == 1) {
		read_leaf(root, 0);
		return;
	}
	for (i = 0; i < COW_PAGE_ENTRIES; i++) {
		block = cow_be64(root->entry[i]) >> COW_ENTRY_SHIFT;
		if (block)
			read_leaf(get_page(v4, 0, i, block), i);
	}
}

static void print_v4(const struct cow_disk_v4 *v4)
{
	const struct cow_disk_name *name = &v4->parent;
	const char *text = at((COW_V4_PARENT_BLOCK + name->copy) *
			      COW_BLOCK_SIZE, name->len);

	if (name->len && cow_crc32c(0, text, name->len) != name->crc)
		fail("its parent's name is damaged");
	printf("format 4\n");
	printf("generation %llu\n", (unsigned long long)v4->generation);
	printf("size %llu\n", (unsigned long long)v4->size);
	printf("content %llu\n", (unsigned long long)v4->content);
	printf("root %llu\n", (unsigned long long)v4->root);
	printf("levels %u\n", v4->levels);
	printf("end %llu\n", (unsigned long long)v4->end);
	printf("owned %llu\n", (unsigned long long)v4->owned);
	printf("kind %u\n", v4->kind);
	printf("state %u\n", v4->state);
	printf("parent %.*s\n", (int)name->len, text);
}

static void print_seal(const struct cow_disk_v4 *v4)
{
	unsigned int i, k;
	uint64_t n;

	printf("seal %llu %llu %llu %llu\n", (unsigned long long)v4->seal,
	       (unsigned long long)v4->seal_pages,
	       (unsigned long long)v4->sealed,
	       (unsigned long long)v4->seal_content);
	for (n = 0; n < v4->seal_pages; n++) {
		const struct cow_disk_page *page =
			get_page(v4, COW_SEAL_LEVEL, n, v4->seal + n);

		for (i = 0; i < COW_PAGE_ENTRIES && page->entry[i];) {
			uint64_t run = cow_be64(page->entry[i++]);

			for (k = 0; k < (run & COW_SEAL_COUNT); k++) {
				uint64_t word = cow_be64(page->entry[i + k / 2]);

				printf("checksum %llu %08x\n",
				       (unsigned long long)
				       (run >> COW_SEAL_SHIFT) + k,
				       (uint32_t)(k % 2 ? word : word >> 32));
			}
			i += (k + 1) / 2;
		}
	}
}

static void read_disk(const struct cow_disk_v4 *v4)
{
	uint64_t i;

	for (i = 0; i < v4->owned; i++)
		printf("sector %llu data %llu\n", (unsigned long long)i,
		       (unsigned long long)(v4->end * COW_BLOCK_SIZE +
					    i * 512));
}

static void read_v4(void)
{
	struct cow_disk_v4 slot[2];
	const char *why;
	bool good[2];
	int i, best;

	for (i = 0; i < 2; i++)
		good[i] = !cow_v4_parse(at(i * COW_BLOCK_SIZE, 512), i,
					&slot[i], &why);
	if (!good[0] && !good[1])
		fail(why);
	best = good[1] && (!good[0] ||
			   slot[1].generation > slot[0].generation);
	print_v4(&slot[best]);
	if (slot[best].kind == COW_KIND_DISK)
		read_disk(&slot[best]);
	if (slot[best].root)
		read_index(&slot[best]);
	if (cow_v4_sealed(&slot[best]))
		print_seal(&slot[best]);
}

static void read_record(void)
{
	struct cow_record rec;

	if (cow_record_parse(file, file_len, &rec))
		fail("it is no record");
	printf("record %u\n", rec.state);
	printf("self %llu %llu %lld %u\n", (unsigned long long)rec.self.dev,
	       (unsigned long long)rec.self.ino, (long long)rec.self.birth_sec,
	       rec.self.birth_nsec);
	printf("parent %llu %u\n", (unsigned long long)rec.parent_size,
	       rec.parent_mtime);
	printf("successor %s\n", rec.successor);
}

int main(int argc, char **argv)
{
	if (argc != 2)
		fail("usage: read FILE");
	load(argv[1]);
	switch (cow_header_version(file, file_len)) {
	case 0:
		read_record();
		break;
	case COW_V4:
		read_v4();
		break;
	default:
		read_bitmap();
	}
	free(file);
	return 0;
}
