// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fuzz target: the parsers of headers, slots, records and lists of children. What
 * one of them has accepted, it accepts again when it was emitted.
 */
#include <stdlib.h>
#include <string.h>

#include "fix.h"
#include "format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void must(int good)
{
	if (!good)
		abort();
}

static void one_bitmap(const uint8_t *data, size_t len)
{
	static struct cow_header hdr, again;
	static uint8_t buf[COW_HEADER_MAX];
	const char *why = NULL;
	uint64_t size = ~0ull >> 1;
	int ret;

	if (len >= 8)
		memcpy(&size, data + len - 8, sizeof(size));
	ret = cow_header_parse(data, len, size >> 1, &hdr, &why);
	must(!ret == !why);
	if (ret)
		return;
	must(hdr.data_offset <= INT64_MAX && hdr.bitmap_len <= INT64_MAX);
	ret = cow_header_emit(&hdr, buf);
	must(ret > 0);
	must(!cow_header_parse(buf, sizeof(buf), size >> 1, &again, &why));
	must(again.size == hdr.size && again.data_offset == hdr.data_offset &&
	     !strcmp(again.parent, hdr.parent));
}

static void one_slot(uint8_t *data, size_t len)
{
	struct cow_disk_v4 v4, again;
	uint8_t buf[COW_SECTOR_SIZE];
	const char *why = NULL;

	if (len < COW_SECTOR_SIZE)
		return;
	fix_checksums(data, len);
	if (cow_v4_parse(data, 0, &v4, &why))
		return;
	must(v4.size && v4.size <= INT64_MAX && v4.levels <= COW_V4_MAX_LEVELS);
	cow_v4_emit(&v4, buf);
	must(!cow_v4_parse(buf, 0, &again, &why));
	must(again.generation == v4.generation && again.end == v4.end);
}

static void one_record(const uint8_t *data, size_t len)
{
	static struct cow_record rec, again;
	static uint8_t buf[COW_RECORD_MAX];

	if (cow_record_parse(data, len, &rec))
		return;
	must(!cow_record_parse(buf, cow_record_emit(&rec, buf), &again));
	must(!strcmp(rec.successor, again.successor));
}

/* The names, which come from @data, are walked as children.c does it. */
static void one_list(uint8_t *data, size_t len)
{
	size_t at = sizeof(struct cow_disk_children);
	unsigned int names = 0;
	uint32_t flags;

	if (len < at)
		return;
	cow_children_seal(data, len, *data & COW_CHILDREN_MORE);
	if (cow_children_parse(data, len, &flags))
		return;
	for (; at < len; at += strlen((char *)data + at) + 1, names++)
		must(data[at] == '/');
	must(at == len && names <= COW_CHILDREN_NAMES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint8_t *copy = malloc(len + 1);

	memcpy(copy, data, len);
	cow_header_version(copy, len);
	one_bitmap(copy, len);
	one_record(copy, len);
	one_slot(copy, len);
	one_list(copy, len);
	free(copy);
	return 0;
}
