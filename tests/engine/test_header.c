// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of header.c and crc32c.c: what is good survives a round trip, what is
 * hostile is refused or harmless.
 *
 * Every buffer that is parsed is a heap block of exactly its length, so that
 * the address sanitizer sees each byte read beyond it.
 */
#include <errno.h>
#include <string.h>

#include "format.h"
#include "tap.h"

#define MUTATIONS	200000
#define HUGE_FILE	((uint64_t)INT64_MAX)

static uint64_t seed;

/* ---- helpers ----------------------------------------------------------- */

/* A field of a header: where it stands, how wide it is. */
struct field {
	const char *name;
	size_t offset;
	size_t size;
};

#define F32(type, member)	{ #member, offsetof(struct type, member), 4 }
#define F64(type, member)	{ #member, offsetof(struct type, member), 8 }

static void poke(uint8_t *buf, const struct field *field, uint64_t value,
		 bool little_endian)
{
	size_t i;

	for (i = 0; i < field->size; i++) {
		size_t at = little_endian ? i : field->size - 1 - i;

		buf[field->offset + at] = value >> (8 * i);
	}
}

static int parse(const uint8_t *buf, size_t len, uint64_t file_size,
		 struct cow_header *hdr, const char **why)
{
	uint8_t *copy = malloc(len ? len : 1);
	int ret;

	memcpy(copy, buf, len);
	*why = NULL;
	ret = cow_header_parse(copy, len, file_size, hdr, why);
	free(copy);
	return ret;
}

static struct cow_header make(enum cow_format format, bool special,
			      uint64_t size)
{
	struct cow_header hdr = {
		.format = format,
		.little_endian = format == COW_V1 && special,
		.broken = format == COW_V3 && special,
		.size = size,
		.mtime = 0x12345678,
		.parent = "/some/where/base.img",
	};

	return hdr;
}

static const char *kind_name(const struct cow_header *hdr)
{
	switch (hdr->format) {
	case COW_V1:
		return hdr->little_endian ? "V1 little endian" :
					    "V1 big endian";
	case COW_V2:
		return "V2";
	default:
		return hdr->broken ? "broken V3" : "V3";
	}
}

/* What format.h promises of an accepted header; NULL, or what is broken. */
static const char *out_of_range(const struct cow_header *hdr)
{
	uint64_t sectors = hdr->size / 512 + !!(hdr->size % 512);
	uint64_t bits = hdr->bitmap_len * 8;

	if (!hdr->size || hdr->size > INT64_MAX)
		return "size";
	if (hdr->sectorsize != 512)
		return "sectorsize";
	if (hdr->bitmap_len > UINT64_C(1) << 52)
		return "bitmap_len";
	if (bits < sectors && !hdr->tail_on_data)
		return "sectors without bits";
	if (hdr->tail_on_data && (hdr->format == COW_V3 || bits + 8 < sectors))
		return "tail_on_data";
	if (hdr->bitmap_offset < 280 || hdr->bitmap_offset > 1u << 25)
		return "bitmap_offset";
	if (hdr->data_offset < hdr->bitmap_offset + hdr->bitmap_len)
		return "data_offset";
	if (hdr->data_offset > INT64_MAX - sectors * 512)
		return "end of data";
	if (!hdr->parent[0] || !memchr(hdr->parent, 0, sizeof(hdr->parent)))
		return "parent";
	return NULL;
}

/* ---- checksum ---------------------------------------------------------- */

static uint32_t slow_crc32c(uint32_t crc, const uint8_t *p, size_t len)
{
	int bit;

	crc = ~crc;
	for (; len; len--, p++) {
		crc ^= *p;
		for (bit = 0; bit < 8; bit++)
			crc = crc & 1 ? crc >> 1 ^ 0x82f63b78 : crc >> 1;
	}
	return ~crc;
}

/* By the processor's instruction, where there is one; and without. */
static uint32_t (*crc32c)(uint32_t crc, const void *buf, size_t len);

static void test_crc_vectors(void)
{
	uint8_t buf[32];
	int i;

	is(crc32c(0, "123456789", 9), 0xe3069283, "crc of 123456789");
	is(crc32c(0, "", 0), 0, "crc of nothing");
	memset(buf, 0, sizeof(buf));
	is(crc32c(0, buf, 32), 0x8a9136aa, "crc of 32 zeros");
	memset(buf, 0xff, sizeof(buf));
	is(crc32c(0, buf, 32), 0x62a8ab43, "crc of 32 ones");
	for (i = 0; i < 32; i++)
		buf[i] = i;
	is(crc32c(0, buf, 32), 0x46dd794e, "crc of 0 to 31");
}

/* Each table entry is used by some single byte value at some position. */
static void test_crc_every_entry(void)
{
	uint8_t buf[16];
	unsigned int pos, value, bad = 0;

	for (pos = 0; pos < sizeof(buf); pos++) {
		for (value = 0; value < 256; value++) {
			memset(buf, 0xff, sizeof(buf));
			buf[pos] = value;
			bad += crc32c(7, buf, sizeof(buf)) !=
			       slow_crc32c(7, buf, sizeof(buf));
		}
	}
	is(bad, 0, "crc of each byte value at each position");
}

static void test_crc_lengths(void)
{
	uint8_t buf[96];
	unsigned int start, len, bad = 0;
	uint32_t whole, part;

	for (len = 0; len < sizeof(buf); len++)
		buf[len] = tap_random(&seed);
	for (start = 0; start < 16; start++) {
		for (len = 0; start + len <= sizeof(buf); len++) {
			whole = crc32c(0, buf + start, len);
			part = crc32c(0, buf + start, len / 3);
			part = crc32c(part, buf + start + len / 3,
				      len - len / 3);
			bad += whole != slow_crc32c(0, buf + start, len);
			bad += whole != part;
		}
	}
	is(bad, 0, "crc at each alignment and length, whole and in parts");
}

static void test_crc(uint32_t (*function)(uint32_t crc, const void *buf, size_t len))
{
	crc32c = function;
	test_crc_vectors();
	test_crc_every_entry();
	test_crc_lengths();
}

/* ---- which version ----------------------------------------------------- */

static void test_version(void)
{
	uint8_t buf[8] = "\x4f\x4f\x4f\x4d\0\0\0\x03";
	uint8_t little[8] = "\x4d\x4f\x4f\x4f\x01\0\0\0";

	is(cow_header_version("\x53\xef\0\0\0\0\0\0", 8), 0, "raw");
	is(cow_header_version(buf, 3), 0, "three bytes are raw");
	is(cow_header_version("", 0), 0, "an empty file is raw");
	is(cow_header_version(buf, 4), -EINVAL, "magic without version");
	is(cow_header_version(buf, 7), -EINVAL, "half a version");
	is(cow_header_version(buf, 8), 3, "big endian 3");
	is(cow_header_version(little, 8), 1, "little endian 1");
	buf[7] = 9;
	is(cow_header_version(buf, 8), 9, "an unknown version is named");
	buf[7] = 0;
	is(cow_header_version(buf, 8), -EINVAL, "version 0 is not raw");
	buf[4] = 0x80;
	is(cow_header_version(buf, 8), -EINVAL, "version 2^31");
}

static void test_unknown_version(void)
{
	struct cow_header hdr = make(COW_V3, false, 1 << 20);
	uint8_t buf[COW_HEADER_MAX];
	const char *why;
	int len = cow_header_emit(&hdr, buf);

	buf[7] = 4;
	is(parse(buf, len, HUGE_FILE, &hdr, &why), -ENOTSUP, "V4 is not V3");
	buf[7] = 200;
	is(parse(buf, len, HUGE_FILE, &hdr, &why), -ENOTSUP, "version 200");
	buf[0] = 'x';
	is(parse(buf, len, HUGE_FILE, &hdr, &why), -EINVAL, "no magic");
	hdr = make(COW_V2, false, 1 << 20);
	len = cow_header_emit(&hdr, buf);
	memcpy(buf, "\x4d\x4f\x4f\x4f\x02\0\0\0", 8);
	is(parse(buf, len, HUGE_FILE, &hdr, &why), -ENOTSUP,
	   "V2 has no little-endian form");
}

/* ---- layout ------------------------------------------------------------ */

/* Worked out by hand from cow-format.rst. */
static const struct {
	enum cow_format format;
	bool special;
	unsigned long long size;
	uint32_t alignment;
	uint64_t bitmap_offset;
	uint64_t bitmap_len;
	uint64_t data_offset;
	bool tail_on_data;
} layouts[] = {
	/* 2048 sectors: a bitmap of 256 bytes, nothing is left over */
	{ COW_V1, false, 1 << 20, 0, 280, 256, 1024, false },
	{ COW_V1, true, 1 << 20, 0, 280, 256, 1024, false },
	{ COW_V2, false, 1 << 20, 0, 4120, 256, 4608, false },
	{ COW_V3, false, 1 << 20, 4096, 8192, 256, 12288, false },
	{ COW_V3, true, 1 << 20, 4096, 8192, 256, 12288, false },
	{ COW_V3, false, 1 << 20, 512, 4608, 256, 5120, false },
	{ COW_V3, false, 1 << 20, 1, 4128, 256, 4384, false },
	{ COW_V3, true, 1 << 20, 1, 4136, 256, 4392, false },
	{ COW_V3, false, 1 << 20, 1000, 5000, 256, 6000, false },
	/* 1954 sectors, the last one partial: 244 bytes and 2 sectors */
	{ COW_V1, true, 1000100, 0, 280, 245, 1024, false },
	{ COW_V2, false, 1000100, 0, 4120, 245, 4608, false },
	{ COW_V3, false, 1000100, 4096, 8192, 245, 12288, false },
	/* 1859 sectors: 280 + 232 = 512 */
	{ COW_V1, true, 951808, 0, 280, 232, 512, true },
	{ COW_V1, false, 1856 * 512, 0, 280, 232, 512, false },
	/* 3905 sectors: 4120 + 488 = 4608 */
	{ COW_V2, false, 3905 * 512, 0, 4120, 488, 4608, true },
	{ COW_V2, false, 3904 * 512, 0, 4120, 488, 4608, false },
	/* less than a byte of bitmap */
	{ COW_V1, false, 1, 0, 280, 1, 512, false },
	{ COW_V3, false, 1, 4096, 8192, 1, 12288, false },
	/* about the largest that fits */
	{ COW_V3, false, 0x7ff8000000000000, 4096, 8192, 0x7ff8000000000,
	  0x7ff8000002000, false },
};

static void test_layouts(void)
{
	uint8_t buf[COW_HEADER_MAX];
	struct cow_header good, hdr;
	const char *why;
	size_t i;
	int len, ret;

	for (i = 0; i < ARRAY_SIZE(layouts); i++) {
		good = make(layouts[i].format, layouts[i].special,
			    layouts[i].size);
		good.alignment = layouts[i].alignment;
		len = cow_header_emit(&good, buf);
		ret = len < 0 ? len : parse(buf, len, HUGE_FILE, &hdr, &why);
		ok(!ret && hdr.bitmap_offset == layouts[i].bitmap_offset &&
		   hdr.bitmap_len == layouts[i].bitmap_len &&
		   hdr.data_offset == layouts[i].data_offset &&
		   hdr.tail_on_data == layouts[i].tail_on_data,
		   "layout of %s, %llu bytes, alignment %u",
		   kind_name(&good), layouts[i].size, layouts[i].alignment);
	}
}

/* ---- round trips ------------------------------------------------------- */

static void random_path(char *path, size_t room)
{
	size_t len = 1 + tap_random(&seed) % (room - 1);
	size_t i;

	for (i = 0; i < len; i++)
		path[i] = 1 + tap_random(&seed) % 255;
	path[len] = 0;
}

static bool same_header(const struct cow_header *a, const struct cow_header *b)
{
	return a->format == b->format && a->little_endian == b->little_endian &&
	       a->broken == b->broken && a->tail_on_data == b->tail_on_data &&
	       a->size == b->size && a->sectorsize == b->sectorsize &&
	       a->mtime == b->mtime && a->alignment == b->alignment &&
	       a->bitmap_offset == b->bitmap_offset &&
	       a->bitmap_len == b->bitmap_len &&
	       a->data_offset == b->data_offset &&
	       !strcmp(a->parent, b->parent);
}

static bool round_trip(enum cow_format format, bool special)
{
	struct cow_header hdr = make(format, special, 0), back;
	uint8_t buf[COW_HEADER_MAX];
	const char *why;
	int len;

	hdr.size = 1 + (tap_random(&seed) >> (2 + tap_random(&seed) % 60));
	hdr.mtime = tap_random(&seed);
	if (format == COW_V3)
		hdr.alignment = tap_random(&seed) % 3 * 512;
	random_path(hdr.parent, format == COW_V1 ? 256 : COW_PATH_MAX);
	len = cow_header_emit(&hdr, buf);
	return len > 0 && !parse(buf, len, HUGE_FILE, &back, &why) &&
	       same_header(&hdr, &back) && !out_of_range(&back);
}

static const struct {
	enum cow_format format;
	bool special;
	int len;
} kinds[] = {
	{ COW_V1, false, 280 },
	{ COW_V1, true, 280 },
	{ COW_V2, false, 4120 },
	{ COW_V3, false, 4128 },
	{ COW_V3, true, 4136 },
};

#define KINDS	ARRAY_SIZE(kinds)

static void test_round_trips(void)
{
	struct cow_header hdr;
	uint8_t buf[COW_HEADER_MAX];
	unsigned int i, good;
	size_t k;

	for (k = 0; k < KINDS; k++) {
		for (i = good = 0; i < 1000; i++)
			good += round_trip(kinds[k].format, kinds[k].special);
		hdr = make(kinds[k].format, kinds[k].special, 1 << 20);
		is(good, 1000, "%s: round trips", kind_name(&hdr));
		is(cow_header_emit(&hdr, buf), kinds[k].len, "%s: length",
		   kind_name(&hdr));
	}
}

static void test_emit_refuses(void)
{
	struct cow_header hdr = make(COW_V1, true, 1 << 20);
	uint8_t buf[COW_HEADER_MAX];

	memset(hdr.parent, 'a', 255);
	hdr.parent[255] = 0;
	is(cow_header_emit(&hdr, buf), 280, "V1: 255 bytes of name fit");
	memcpy(hdr.parent + 255, "b", 2);
	is(cow_header_emit(&hdr, buf), -ENAMETOOLONG, "V1: 256 do not");
	hdr = make(COW_V3, false, 1 << 20);
	memset(hdr.parent, 'a', sizeof(hdr.parent));
	is(cow_header_emit(&hdr, buf), -ENAMETOOLONG, "V3: name without end");
	hdr.parent[0] = 0;
	is(cow_header_emit(&hdr, buf), -EINVAL, "V3: no name");
	hdr = make(COW_V3, false, 0);
	is(cow_header_emit(&hdr, buf), -EINVAL, "V3: no size");
	hdr = make(COW_V4, false, 1 << 20);
	is(cow_header_emit(&hdr, buf), -EINVAL, "V4 is not for this function");
}

/* ---- hostile V1 to V3 -------------------------------------------------- */

static const struct field v1_fields[] = {
	F32(cow_disk_v1, magic), F32(cow_disk_v1, version),
	F32(cow_disk_v1, mtime), F64(cow_disk_v1, size),
	F32(cow_disk_v1, sectorsize), { 0 },
};

static const struct field v2_fields[] = {
	F32(cow_disk_v2, magic), F32(cow_disk_v2, version),
	F32(cow_disk_v2, mtime), F64(cow_disk_v2, size),
	F32(cow_disk_v2, sectorsize), { 0 },
};

static const struct field v3_fields[] = {
	F32(cow_disk_v3, magic), F32(cow_disk_v3, version),
	F32(cow_disk_v3, mtime), F64(cow_disk_v3, size),
	F32(cow_disk_v3, sectorsize), F32(cow_disk_v3, alignment),
	F32(cow_disk_v3, cow_format), { 0 },
};

static const struct field v3_broken_fields[] = {
	F32(cow_disk_v3_broken, magic), F32(cow_disk_v3_broken, version),
	F32(cow_disk_v3_broken, mtime), F32(cow_disk_v3_broken, mtime_pad),
	F64(cow_disk_v3_broken, size),
	F32(cow_disk_v3_broken, sectorsize),
	F32(cow_disk_v3_broken, alignment),
	F32(cow_disk_v3_broken, cow_format), { 0 },
};

static const struct field *fields_of(enum cow_format format, bool special)
{
	switch (format) {
	case COW_V1:
		return v1_fields;
	case COW_V2:
		return v2_fields;
	default:
		return special ? v3_broken_fields : v3_fields;
	}
}

static const uint64_t hostile[] = {
	0, 1, 2, 3, 7, 8, 255, 256, 511, 512, 513, 1000, 4095, 4096, 4097,
	0x7fff, 0x8000, 0xffff, 0x10000, 0xffffff, 0x1000000, 0x1000001,
	0x40000000, 0x7fffffff, 0x80000000, 0x80000001, 0xfffff000, 0xffffffff,
	0x100000000, 0x100000001, 0x7ffffffff, 0x1000000000000, 0xffffffffffff,
	0x1000000000001, 0x3fffffffffffffff, 0x4000000000000000,
	0x7ff7ffffffffffff, 0x7fffffffffff0000, 0x7ffffffffffffe00,
	0x7fffffffffffffff, 0x8000000000000000, 0x8000000000000001,
	0xfffffffffffff000, 0xfffffffffffffe00, 0xfffffffffffffe01,
	0xffffffffffffffff,
};

#define HOSTILE	ARRAY_SIZE(hostile)

/* Each field at each value: refused with a reason, or all in range. */
static void sweep(enum cow_format format, bool special)
{
	const struct field *field = fields_of(format, special);
	struct cow_header good = make(format, special, 1 << 20), hdr;
	uint8_t buf[COW_HEADER_MAX];
	const char *why;
	size_t i;
	int len, ret, bad;

	for (; field->name; field++) {
		for (i = bad = 0; i < HOSTILE; i++) {
			len = cow_header_emit(&good, buf);
			poke(buf, field, hostile[i], good.little_endian);
			ret = parse(buf, len, HUGE_FILE, &hdr, &why);
			bad += ret ? !why : !!out_of_range(&hdr);
		}
		is(bad, 0, "%s: hostile %s", kind_name(&good), field->name);
	}
}

static void expect(enum cow_format format, bool special, const char *name,
		   unsigned long long value, int want)
{
	const struct field *field = fields_of(format, special);
	struct cow_header good = make(format, special, 1 << 20), hdr;
	uint8_t buf[COW_HEADER_MAX];
	const char *why;
	int len = cow_header_emit(&good, buf);
	int ret;

	while (field->name && strcmp(field->name, name))
		field++;
	poke(buf, field, value, good.little_endian);
	ret = parse(buf, len, HUGE_FILE, &hdr, &why);
	is(ret, want, "%s: %s %llu%s%s", kind_name(&good), name, value,
	   why ? ": " : "", why ? why : "");
}

static void test_hostile_headers(void)
{
	size_t k;

	for (k = 0; k < KINDS; k++) {
		enum cow_format format = kinds[k].format;
		bool special = kinds[k].special;

		sweep(format, special);
		expect(format, special, "size", 0, -EINVAL);
		expect(format, special, "size", 1, 0);
		expect(format, special, "size", INT64_MAX, -EINVAL);
		expect(format, special, "size", UINT64_C(1) << 63, -EINVAL);
		expect(format, special, "size", UINT64_MAX, -EINVAL);
		expect(format, special, "sectorsize", 0, -EINVAL);
		expect(format, special, "sectorsize", 1 << 30, -EINVAL);
		expect(format, special, "sectorsize", 4096, -EINVAL);
		expect(format, special, "mtime", UINT32_MAX, 0);
		if (format != COW_V3)
			continue;
		expect(format, special, "alignment", 0, -EINVAL);
		expect(format, special, "alignment", 1, 0);
		expect(format, special, "alignment", 1000, 0);
		expect(format, special, "alignment", 1 << 24, 0);
		expect(format, special, "alignment", (1 << 24) + 1, -EINVAL);
		expect(format, special, "alignment", UINT32_MAX, -EINVAL);
	}
	expect(COW_V3, false, "cow_format", 1, -EINVAL);
}

/* The first byte of a path field is where @good's name begins. */
static size_t path_at(const uint8_t *buf, const struct cow_header *good)
{
	size_t at = 0;

	while (memcmp(buf + at, good->parent, strlen(good->parent)))
		at++;
	return at;
}

static void test_paths(void)
{
	uint8_t buf[COW_HEADER_MAX];
	struct cow_header good, hdr;
	const char *why;
	size_t k, at, room;
	int len;

	for (k = 0; k < KINDS; k++) {
		good = make(kinds[k].format, kinds[k].special, 1 << 20);
		room = good.format == COW_V1 ? COW_PATH_V1 : COW_PATH_MAX;
		len = cow_header_emit(&good, buf);
		at = path_at(buf, &good);
		memset(buf + at, '/', room);
		is(parse(buf, len, HUGE_FILE, &hdr, &why), -EINVAL,
		   "%s: a path without NUL", kind_name(&good));
		buf[at + room - 1] = 0;
		ok(!parse(buf, len, HUGE_FILE, &hdr, &why) &&
		   strlen(hdr.parent) == room - 1,
		   "%s: the longest path", kind_name(&good));
		memset(buf + at, 0, room);
		is(parse(buf, len, HUGE_FILE, &hdr, &why), -EINVAL,
		   "%s: an empty path", kind_name(&good));
		memcpy(buf + at, "/a\0garbage", 10);
		memset(buf + at + 10, 0xa5, room - 10);
		ok(!parse(buf, len, HUGE_FILE, &hdr, &why) &&
		   !strcmp(hdr.parent, "/a"),
		   "%s: what follows the NUL is nothing", kind_name(&good));
	}
}

static void test_truncation(void)
{
	uint8_t buf[COW_HEADER_MAX];
	struct cow_header good, hdr;
	const char *why;
	size_t k;
	int len, cut, bad;
	uint64_t end;

	for (k = 0; k < KINDS; k++) {
		good = make(kinds[k].format, kinds[k].special, 1 << 20);
		len = cow_header_emit(&good, buf);
		for (cut = bad = 0; cut < len; cut++)
			bad += parse(buf, cut, HUGE_FILE, &hdr, &why) !=
			       -EINVAL || !why;
		is(bad, 0, "%s: cut at every byte", kind_name(&good));
		end = good.bitmap_offset + good.bitmap_len;
		is(parse(buf, len, end, &hdr, &why), 0,
		   "%s: a file that ends with its bitmap", kind_name(&good));
		is(parse(buf, len, end - 1, &hdr, &why), -EINVAL,
		   "%s: a file that ends within it", kind_name(&good));
		is(parse(buf, len, len, &hdr, &why), -EINVAL,
		   "%s: a file that is its header", kind_name(&good));
	}
	good = make(COW_V2, false, 1000100);
	len = cow_header_emit(&good, buf);
	end = good.bitmap_offset + good.bitmap_len;
	is(parse(buf, len, end - 1, &hdr, &why), 0,
	   "V2: the tail's bits may lie behind the end of the file");
	is(parse(buf, len, end - 2, &hdr, &why), -EINVAL, "V2: others may not");
}

/* Change some bytes, mostly those that are not the name. */
static void mutate(uint8_t *buf, size_t len, size_t numbers)
{
	unsigned int n = 1 + tap_random(&seed) % 4;

	while (n--) {
		size_t room = tap_random(&seed) % 8 ? numbers : len;
		size_t at = tap_random(&seed) % room;

		switch (tap_random(&seed) % 4) {
		case 0:
			buf[at] ^= 1u << tap_random(&seed) % 8;
			break;
		case 1:
			buf[at] = 0xff;
			break;
		case 2:
			buf[at] = 0;
			break;
		default:
			buf[at] = tap_random(&seed);
		}
	}
}

static void test_mutations(void)
{
	uint8_t buf[COW_HEADER_MAX];
	unsigned int i, taken = 0, bad = 0;
	struct cow_header hdr;
	const char *why;
	uint64_t size;
	int len, ret;

	for (i = 0; i < MUTATIONS; i++) {
		size_t k = i % KINDS;

		hdr = make(kinds[k].format, kinds[k].special,
			   tap_random(&seed) >> tap_random(&seed) % 60);
		len = cow_header_emit(&hdr, buf);
		if (len < 0)
			continue;
		mutate(buf, len, 40);
		mutate(buf + len - 24, 24, 24);
		size = tap_random(&seed) >> (1 + tap_random(&seed) % 40);
		ret = parse(buf, len, size, &hdr, &why);
		taken += !ret;
		bad += ret ? !why : !!out_of_range(&hdr);
	}
	is(bad, 0, "mutated headers: refused, or in range");
	ok(taken > MUTATIONS / 100, "%u of them accepted", taken);
}

/* ---- V4 ---------------------------------------------------------------- */

static struct cow_disk_v4 make_v4(void)
{
	struct cow_disk_v4 v4 = {
		.generation = 7,
		.uuid = "0123456789abcde",
		.size = 1 << 20,
		.content = 3,
		.root = 9,
		.levels = 1,
		.block_shift = 12,
		.end = 100,
		.owned = 17,
		.kind = COW_KIND_COW,
		.state = COW_IS_SNAPSHOT,
		.sectorsize = 512,
		.parent_format = COW_PARENT_V4,
		.parent_uuid = "fedcba987654321",
		.parent_content = 12,
		.parent_size = 1 << 20,
		.parent_mtime_sec = -5,
		.parent_mtime_nsec = 999999999,
		.parent = { .copy = 1, .len = 9, .crc = 0x1234 },
		.successor = { .copy = 0, .len = 4095, .crc = 0x4321 },
		.self = { .dev = 2049, .ino = 12345, .birth_sec = 1000000000,
			  .birth_nsec = 1 },
		.cylinders = 1, .heads = 255, .sectors = 63,
		.free_list = 99,
		.ro_compatible = COW_RO_SEALED,
		.seal = 95,
		.seal_pages = 4,
		.sealed = 3,
		.seal_content = 16,
		.reserved1 = { [215] = 0xee },
	};

	return v4;
}

static int parse_v4(const struct cow_disk_v4 *v4, struct cow_disk_v4 *back)
{
	uint8_t *buf = malloc(512);
	const char *why = NULL;
	int ret;

	cow_v4_emit(v4, buf);
	ret = cow_v4_parse(buf, v4->generation & 1, back, &why);
	free(buf);
	return !ret == !why ? ret : -ERANGE;
}

static void test_v4_bytes(void)
{
	struct cow_disk_v4 v4 = make_v4(), back;
	uint8_t buf[512];
	const char *why;

	cow_v4_emit(&v4, buf);
	ok(!memcmp(buf, "OOOM\0\0\0\4", 8), "V4: magic and version");
	ok(!memcmp(buf + 12, "\0\0\2\0\0\0\0\0\0\0\0\7", 12),
	   "V4: header_len and generation");
	ok(!memcmp(buf + 48, "0123456789abcde", 16), "V4: uuid");
	is(cow_v4_parse(buf, 1, &back, &why), 0, "V4: accepted");
	is(cow_v4_parse(buf, 0, &back, &why), -EBADMSG, "V4: the other slot");
	back = make_v4();
	cow_v4_parse(buf, 1, &back, &why);
	v4.magic = COW_MAGIC_BE;
	v4.version = 4;
	v4.header_len = 512;
	v4.crc = back.crc;
	ok(!memcmp(&v4, &back, sizeof(v4)), "V4: round trip of every byte");
}

static void test_v4_checksum(void)
{
	struct cow_disk_v4 v4 = make_v4(), back;
	unsigned int bit, missed = 0;
	const char *why;
	uint8_t buf[512];

	cow_v4_emit(&v4, buf);
	for (bit = 0; bit < 512 * 8; bit++) {
		buf[bit / 8] ^= 1u << bit % 8;
		missed += !cow_v4_parse(buf, 1, &back, &why);
		buf[bit / 8] ^= 1u << bit % 8;
	}
	is(missed, 0, "V4: each single flipped bit is noticed");
	buf[300] ^= 1;
	is(cow_v4_parse(buf, 1, &back, &why), -EBADMSG, "V4: checksum");
	memset(buf, 0, sizeof(buf));
	is(cow_v4_parse(buf, 0, &back, &why), -EBADMSG, "V4: an empty slot");
}

#define V32(member)	F32(cow_disk_v4, member)
#define V64(member)	F64(cow_disk_v4, member)

static const struct field v4_fields[] = {
	V32(magic), V32(version), V32(header_len), V64(generation),
	V64(incompatible), V64(compatible), V64(ro_compatible), V64(size),
	V64(content), V64(root), V32(levels), V32(block_shift), V64(end), V64(owned),
	V32(kind), V32(state), V32(sectorsize), V32(parent_format),
	V64(parent_content), V64(parent_size), V64(parent_mtime_sec),
	V32(parent_mtime_nsec), V32(parent.copy), V32(parent.len),
	V32(successor.copy), V32(successor.len), V64(self.dev), V64(self.ino),
	V64(self.birth_sec), V32(self.birth_nsec), V32(cylinders), V32(heads),
	V32(sectors), V64(free_list), V64(seal), V64(seal_pages), V64(sealed),
	V64(seal_content), { 0 },
};

/* Put @value into a sealed slot and seal it again, without our own code. */
static void poke_v4(uint8_t *buf, const struct field *field, uint64_t value)
{
	static const struct field crc = V32(crc);

	poke(buf, field, value, false);
	poke(buf, &crc, 0, false);
	poke(buf, &crc, slow_crc32c(0, buf, 512), false);
}

static bool block_ok(const struct cow_disk_v4 *v4, uint64_t block)
{
	return !block || (block >= 8 && block < v4->end);
}

static const char *v4_out_of_range(const struct cow_disk_v4 *v4)
{
	if (!v4->size || v4->size % 512 || v4->size > INT64_MAX)
		return "size";
	if (v4->end < 8 || v4->end > UINT64_C(1) << 48)
		return "end";
	if (!block_ok(v4, v4->root) || !block_ok(v4, v4->free_list))
		return "blocks";
	if (v4->levels < 1 || v4->levels > COW_V4_MAX_LEVELS)
		return "levels";
	if (v4->owned > v4->size / 512 || v4->incompatible)
		return "owned";
	if (v4->kind < 1 || v4->kind > 3 || v4->state > COW_STATES)
		return "kind";
	if (v4->parent.copy > 1 || v4->parent.len > 4095 ||
	    v4->successor.copy > 1 || v4->successor.len > 4095)
		return "names";
	if (v4->parent_format > 3 || !v4->parent_format != !v4->parent.len)
		return "parent";
	if (v4->parent_mtime_nsec > 999999999 ||
	    v4->self.birth_nsec > 999999999 || v4->parent_size > INT64_MAX)
		return "identity";
	if (v4->ro_compatible & 1 &&
	    (v4->seal < 8 || v4->seal >= v4->end || !v4->seal_pages ||
	     v4->seal_pages > v4->end - v4->seal))
		return "seal";
	if (v4->cylinders > 65535 || v4->heads > 255 || v4->sectors > 255)
		return "geometry";
	return NULL;
}

static void test_v4_sweep(void)
{
	struct cow_disk_v4 good = make_v4(), back;
	const struct field *field;
	uint8_t buf[512];
	const char *why;
	unsigned int bad;
	size_t i;
	int ret;

	for (field = v4_fields; field->name; field++) {
		for (i = bad = 0; i < HOSTILE; i++) {
			cow_v4_emit(&good, buf);
			poke_v4(buf, field, hostile[i]);
			why = NULL;
			ret = cow_v4_parse(buf, buf[23] & 1, &back, &why);
			bad += ret ? !why : !!v4_out_of_range(&back);
		}
		is(bad, 0, "V4: hostile %s", field->name);
	}
}

static const struct {
	const char *name;
	unsigned long long value;
	int want;
} v4_cases[] = {
	{ "magic", COW_MAGIC_LE, -EBADMSG },
	{ "version", 3, -EBADMSG },
	{ "version", 5, -EBADMSG },
	{ "header_len", 511, -EBADMSG },
	{ "generation", 8, -EBADMSG },
	{ "generation", UINT64_MAX, -EINVAL },
	{ "generation", INT64_MAX, 0 },
	{ "incompatible", 1, -ENOTSUP },
	{ "incompatible", UINT64_C(1) << 63, -ENOTSUP },
	{ "compatible", UINT64_MAX, 0 },
	{ "ro_compatible", UINT64_MAX, 0 },
	{ "ro_compatible", 0, 0 },
	{ "seal", 0, -EINVAL },
	{ "seal", 7, -EINVAL },
	{ "seal", 8, 0 },
	{ "seal", 96, 0 },
	{ "seal", 97, -EINVAL },
	{ "seal", 100, -EINVAL },
	{ "seal", UINT64_MAX, -EINVAL },
	{ "seal_pages", 0, -EINVAL },
	{ "seal_pages", 1, 0 },
	{ "seal_pages", 5, 0 },
	{ "seal_pages", 6, -EINVAL },
	{ "seal_pages", UINT64_MAX, -EINVAL },
	{ "sealed", UINT64_MAX, 0 },
	{ "seal_content", UINT64_MAX, 0 },
	{ "size", 0, -EINVAL },
	{ "size", 511, -EINVAL },
	{ "size", 17 * 512, 0 },
	{ "size", 16 * 512, -EINVAL },
	{ "size", 504 * 4096, 0 },
	{ "size", 504 * 4096 + 512, -EINVAL },
	{ "size", UINT64_C(1) << 63, -EINVAL },
	{ "content", UINT64_MAX, 0 },
	{ "root", 0, 0 },
	{ "root", 1, -EINVAL },
	{ "root", 7, -EINVAL },
	{ "root", 8, 0 },
	{ "root", 100, -EINVAL },
	{ "root", UINT64_MAX, -EINVAL },
	{ "levels", 0, -EINVAL },
	{ "levels", 2, -EINVAL },
	{ "levels", UINT32_MAX, -EINVAL },
	{ "block_shift", 0, -EINVAL },
	{ "block_shift", 63, -EINVAL },
	{ "end", 0, -EINVAL },
	{ "end", 7, -EINVAL },
	{ "end", UINT64_C(1) << 48, 0 },
	{ "end", (UINT64_C(1) << 48) + 1, -EINVAL },
	{ "end", UINT64_MAX, -EINVAL },
	{ "owned", 2048, 0 },
	{ "owned", 2049, -EINVAL },
	{ "kind", 0, -EINVAL },
	{ "kind", COW_KIND_DISK, -EINVAL },
	{ "kind", 4, -EINVAL },
	{ "state", COW_STATES, 0 },
	{ "state", COW_STATES + 1, -EINVAL },
	{ "sectorsize", 0, -EINVAL },
	{ "sectorsize", 256, -EINVAL },
	{ "sectorsize", 1024, 0 },
	{ "sectorsize", 1536, -EINVAL },
	{ "sectorsize", 4096, 0 },
	{ "sectorsize", 8192, -EINVAL },
	{ "sectorsize", UINT32_C(1) << 31, -EINVAL },
	{ "parent_format", COW_PARENT_NONE, -EINVAL },
	{ "parent_format", 4, -EINVAL },
	{ "parent_size", UINT64_C(1) << 63, -EINVAL },
	{ "parent_mtime_nsec", 1000000000, -EINVAL },
	{ "parent.copy", 2, -EINVAL },
	{ "parent.len", 0, -EINVAL },
	{ "parent.len", 4095, 0 },
	{ "parent.len", 4096, -EINVAL },
	{ "successor.copy", 2, -EINVAL },
	{ "successor.len", 0, 0 },
	{ "successor.len", 4096, -EINVAL },
	{ "self.birth_nsec", 1000000000, -EINVAL },
	{ "cylinders", 65535, 0 },
	{ "cylinders", 65536, -EINVAL },
	{ "heads", 256, -EINVAL },
	{ "sectors", 256, -EINVAL },
	{ "free_list", 0, 0 },
	{ "free_list", 5, -EINVAL },
	{ "free_list", 100, -EINVAL },
};

/* What no version up to this one has given a meaning to. */
static void test_v4_future(void)
{
	struct cow_disk_v4 good = make_v4(), v4, back;
	unsigned int bit, wrong = 0;
	uint8_t buf[512];
	const char *why;

	for (bit = 0; bit < 64; bit++) {
		v4 = good;
		v4.incompatible = UINT64_C(1) << bit;
		cow_v4_emit(&v4, buf);
		wrong += cow_v4_parse(buf, good.generation & 1, &back, &why) !=
			 -ENOTSUP;
		v4 = good;
		v4.compatible = UINT64_C(1) << bit;
		v4.ro_compatible = UINT64_C(1) << (63 - bit);
		cow_v4_emit(&v4, buf);
		wrong += cow_v4_parse(buf, good.generation & 1, &back, &why) ||
			 back.compatible != v4.compatible ||
			 back.ro_compatible != v4.ro_compatible;
	}
	is(wrong, 0, "each bit of each word of features");
}

static void test_v4_cases(void)
{
	struct cow_disk_v4 good = make_v4(), back;
	const struct field *field;
	uint8_t buf[512];
	const char *why;
	size_t i;
	int ret;

	for (i = 0; i < ARRAY_SIZE(v4_cases); i++) {
		field = v4_fields;
		while (strcmp(field->name, v4_cases[i].name))
			field++;
		cow_v4_emit(&good, buf);
		poke_v4(buf, field, v4_cases[i].value);
		why = NULL;
		ret = cow_v4_parse(buf, 1, &back, &why);
		is(ret, v4_cases[i].want, "V4: %s %llu%s%s",
		   field->name, v4_cases[i].value, why ? ": " : "",
		   why ? why : "");
	}
}

static void test_v4_kinds(void)
{
	struct cow_disk_v4 v4 = make_v4(), back;

	v4.parent_format = COW_PARENT_NONE;
	v4.parent.len = 0;
	v4.parent.crc = 0;
	v4.kind = COW_KIND_COW;
	is(parse_v4(&v4, &back), 0, "V4: an index without parent");
	v4.kind = COW_KIND_DISK;
	is(parse_v4(&v4, &back), -EINVAL, "V4: a disk with an index");
	v4.root = 0;
	v4.levels = 0;
	v4.free_list = 0;
	cow_v4_unseal(&v4);
	is(parse_v4(&v4, &back), -EINVAL, "V4: a disk that owns a part");
	v4.owned = v4.size >> COW_SECTOR_SHIFT;
	is(parse_v4(&v4, &back), 0, "V4: a disk");
	v4.ro_compatible = COW_RO_SEALED;
	v4.seal_pages = 1;
	v4.seal = 100 + 256;
	is(parse_v4(&v4, &back), 0, "V4: a seal behind the disk");
	v4.seal--;
	is(parse_v4(&v4, &back), -EINVAL, "V4: a seal in the disk");
	v4.size -= 512;
	v4.owned--;
	is(parse_v4(&v4, &back), -EINVAL, "V4: a seal in its last block");
	v4.seal = INT64_MAX >> COW_BLOCK_SHIFT;
	is(parse_v4(&v4, &back), -EINVAL, "V4: a seal behind 2^63");
	v4.seal--;
	is(parse_v4(&v4, &back), 0, "V4: a seal right before that");
	v4.ro_compatible = COW_RO_PROTECTED;
	v4.seal = 1;
	is(parse_v4(&v4, &back), 0, "V4: no seal, but what is reserved");
	v4.end = 1ull << 48;
	v4.size = INT64_MAX / 512 * 512;
	v4.owned = v4.size >> COW_SECTOR_SHIFT;
	is(parse_v4(&v4, &back), -EINVAL, "V4: a disk that ends behind 2^63");
}

static void test_v4_levels(void)
{
	unsigned long long reach = 504ull * 4096;
	unsigned int level;

	is(cow_v4_levels(512), 1, "levels of one sector");
	for (level = 1; level <= 4; level++, reach *= 504) {
		is(cow_v4_levels(reach), level, "levels of %llu", reach);
		is(cow_v4_levels(reach + 1), level + 1, "and of one more");
	}
	is(cow_v4_levels(INT64_MAX), 6, "levels of the largest disk");
	is(cow_v4_levels(UINT64_MAX), 6, "levels are bounded");
}

static void test_v4_mutations(void)
{
	static const struct field any = { "any", 511, 1 };
	struct cow_disk_v4 good = make_v4(), back;
	unsigned int i, taken = 0, bad = 0;
	uint8_t buf[512];
	const char *why;
	int ret;

	for (i = 0; i < MUTATIONS; i++) {
		cow_v4_emit(&good, buf);
		mutate(buf + 16, 496, 256);
		poke_v4(buf, &any, 0);
		why = NULL;
		ret = cow_v4_parse(buf, buf[23] & 1, &back, &why);
		taken += !ret;
		bad += ret ? !why : !!v4_out_of_range(&back);
	}
	is(bad, 0, "V4: mutated slots: refused, or in range");
	ok(taken > MUTATIONS / 100, "%u of them accepted", taken);
}

/* ---- index pages ------------------------------------------------------- */

static void test_pages(void)
{
	static const uint8_t uuid[16] = "0123456789abcde";
	static const uint8_t other[16] = "0123456789abcdf";
	struct cow_disk_page *page = calloc(1, sizeof(*page));
	uint8_t *bytes = (uint8_t *)page;
	unsigned int bit, missed = 0;

	for (bit = 0; bit < COW_PAGE_ENTRIES; bit++)
		page->entry[bit] = tap_random(&seed);
	cow_page_seal(page, uuid, 2, 5, 77, 9);
	is(cow_page_check(page, uuid, 2, 5, 77), 0, "page: whole");
	is(cow_page_check(page, other, 2, 5, 77), -EBADMSG, "page: uuid");
	is(cow_page_check(page, uuid, 1, 5, 77), -EBADMSG, "page: level");
	is(cow_page_check(page, uuid, 2, 4, 77), -EBADMSG, "page: index");
	is(cow_page_check(page, uuid, 2, 5, 78), -EBADMSG, "page: block");
	for (bit = 0; bit < 4096 * 8; bit += 1 + tap_random(&seed) % 8) {
		bytes[bit / 8] ^= 1u << bit % 8;
		missed += !cow_page_check(page, uuid, 2, 5, 77);
		bytes[bit / 8] ^= 1u << bit % 8;
	}
	is(missed, 0, "page: flipped bits are noticed");
	ok(!memcmp(bytes, "OOOI", 4) && bytes[15] == 9 && bytes[23] == 5 &&
	   bytes[31] == 77 && bytes[35] == 2, "page: bytes");
	free(page);
}

/* ---- records ----------------------------------------------------------- */

static struct cow_record make_record(const char *successor)
{
	struct cow_record rec = {
		.state = COW_IS_FROZEN | COW_IS_DRAINING,
		.self = { .dev = 2049, .ino = 1 << 30, .birth_sec = -1,
			  .birth_nsec = 999999999 },
		.parent_size = INT64_MAX,
		.parent_mtime = 0xfedcba98,
	};

	memcpy(rec.successor, successor, strlen(successor) + 1);
	return rec;
}

static int parse_record(const uint8_t *buf, size_t len, struct cow_record *rec)
{
	uint8_t *copy = malloc(len ? len : 1);
	int ret;

	memcpy(copy, buf, len);
	ret = cow_record_parse(copy, len, rec);
	free(copy);
	return ret;
}

static void record_trip(const char *successor, const char *name)
{
	struct cow_record rec = make_record(successor), back;
	uint8_t buf[COW_RECORD_MAX];
	size_t len = cow_record_emit(&rec, buf);

	is(len, 64 + strlen(successor), "record: length, %s", name);
	ok(!parse_record(buf, len, &back) && back.state == rec.state &&
	   !memcmp(&back.self, &rec.self, sizeof(rec.self)) &&
	   back.parent_size == rec.parent_size &&
	   back.parent_mtime == rec.parent_mtime &&
	   !strcmp(back.successor, successor), "record: round trip, %s", name);
}

static void test_records(void)
{
	struct cow_record rec = make_record("/a/b.cow"), back;
	uint8_t buf[COW_RECORD_MAX + 1];
	char longest[COW_PATH_MAX];
	size_t len, cut, bit;
	unsigned int missed = 0;

	memset(longest, 'x', COW_PATH_MAX - 1);
	longest[COW_PATH_MAX - 1] = 0;
	record_trip("", "no successor");
	record_trip("/a/b.cow", "a successor");
	record_trip(longest, "the longest name");
	len = cow_record_emit(&rec, buf);
	for (cut = 0; cut < len; cut++)
		missed += !parse_record(buf, cut, &back);
	is(missed, 0, "record: cut at every byte");
	buf[len] = 0;
	ok(parse_record(buf, len + 1, &back), "record: one byte too many");
	for (bit = 0; bit < len * 8; bit++) {
		buf[bit / 8] ^= 1u << bit % 8;
		missed += !parse_record(buf, len, &back);
		buf[bit / 8] ^= 1u << bit % 8;
	}
	is(missed, 0, "record: each single flipped bit is noticed");
}

#define R32(member)	F32(cow_disk_record, member)
#define R64(member)	F64(cow_disk_record, member)

static const struct {
	struct field field;
	unsigned long long value;
	int want;
} record_cases[] = {
	{ R32(magic), COW_INDEX_MAGIC, -EINVAL },
	{ R32(version), 0, -EINVAL },
	{ R32(version), 2, -EINVAL },
	{ R32(state), 0, 0 },
	{ R32(state), COW_RECORD_STATES, 0 },
	{ R32(state), COW_RECORD_STATES + 1, -EINVAL },
	{ R32(state), UINT32_MAX, -EINVAL },
	{ R32(self.birth_nsec), 1000000000, -EINVAL },
	{ R64(self.ino), UINT64_MAX, 0 },
	{ R64(parent_size), UINT64_C(1) << 63, -EINVAL },
	{ R32(name_len), 0, -EINVAL },
	{ R32(name_len), 7, -EINVAL },
	{ R32(name_len), 9, -EINVAL },
	{ R32(name_len), 4096, -EINVAL },
	{ R32(name_len), UINT32_MAX, -EINVAL },
};

static void test_record_cases(void)
{
	static const struct field crc = R32(crc);
	struct cow_record rec = make_record("/a/b.cow"), back;
	uint8_t buf[COW_RECORD_MAX];
	size_t i, len;

	for (i = 0; i < ARRAY_SIZE(record_cases); i++) {
		len = cow_record_emit(&rec, buf);
		poke(buf, &record_cases[i].field, record_cases[i].value, false);
		poke(buf, &crc, 0, false);
		poke(buf, &crc, slow_crc32c(0, buf, len), false);
		is(parse_record(buf, len, &back), record_cases[i].want,
		   "record: %s %llu", record_cases[i].field.name,
		   record_cases[i].value);
	}
	len = cow_record_emit(&rec, buf);
	buf[66] = 0;
	poke(buf, &crc, 0, false);
	poke(buf, &crc, slow_crc32c(0, buf, len), false);
	is(parse_record(buf, len, &back), -EINVAL, "record: NUL in the name");
}

/* In memory that ends where the list does. */
static int parse_list(const void *buf, size_t len, uint32_t *flags)
{
	uint8_t *copy = malloc(len ? len : 1);
	int ret;

	memcpy(copy, buf, len);
	ret = cow_children_parse(copy, len, flags);
	free(copy);
	return ret;
}

/* The list with these @len bytes of names, its checksum right. */
static int list_of(const char *names, size_t len, uint32_t set)
{
	static uint8_t buf[COW_CHILDREN_NAMES * 3 + COW_PATH_MAX + 64];
	const size_t head = sizeof(struct cow_disk_children);
	uint32_t flags = ~0u;
	int ret;

	memcpy(buf + head, names, len);
	cow_children_seal(buf, head + len, set);
	ret = parse_list(buf, head + len, &flags);
	return ret ? ret : flags != set;
}

#define LIST_OF(names, flags)	list_of(names, sizeof(names) - 1, flags)

static void test_list_cases(void)
{
	static char longest[COW_PATH_MAX + 2];
	static char many[COW_CHILDREN_NAMES * 3 + 3];
	size_t i;

	is(LIST_OF("", 0), 0, "list: no names");
	is(LIST_OF("/a\0", 0), 0, "list: one");
	is(LIST_OF("/a\0/b/c\0", COW_CHILDREN_MORE), 0, "list: two and more");
	is(LIST_OF("/a\0", 2), -EINVAL, "list: an unknown flag");
	is(LIST_OF("/a", 0), -EINVAL, "list: no NUL");
	is(LIST_OF("/a\0/b", 0), -EINVAL, "list: no NUL at the end");
	is(LIST_OF("a\0", 0), -EINVAL, "list: a relative name");
	is(LIST_OF("\0", 0), -EINVAL, "list: an empty name");
	is(LIST_OF("/a\0\0", 0), -EINVAL, "list: an empty name at the end");
	memset(longest, '/', COW_PATH_MAX);
	is(list_of(longest, COW_PATH_MAX + 1, 0), -EINVAL,
	   "list: a name that is too long");
	is(list_of(longest + 1, COW_PATH_MAX, 0), 0, "list: the longest name");
	for (i = 0; i <= COW_CHILDREN_NAMES; i++)
		memcpy(many + 3 * i, "/x", 3);
	is(list_of(many, sizeof(many), 0), -EINVAL, "list: too many names");
	is(list_of(many, sizeof(many) - 3, 0), 0, "list: as many as can be");
}

static void test_lists(void)
{
	static const char names[] = "/some/where/a.cow\0/b.cow";
	uint8_t buf[sizeof(struct cow_disk_children) + sizeof(names)];
	const size_t len = sizeof(buf);
	unsigned int missed = 0;
	size_t cut, bit;
	uint32_t flags;

	memcpy(buf + sizeof(struct cow_disk_children), names, sizeof(names));
	cow_children_seal(buf, len, 0);
	is(parse_list(buf, len, &flags), 0, "list: a round trip");
	for (cut = 0; cut < len; cut++)
		missed += !parse_list(buf, cut, &flags);
	is(missed, 0, "list: cut at every byte");
	for (bit = 0; bit < len * 8; bit++) {
		buf[bit / 8] ^= 1u << bit % 8;
		missed += !parse_list(buf, len, &flags);
		buf[bit / 8] ^= 1u << bit % 8;
	}
	is(missed, 0, "list: each single flipped bit is noticed");
	test_list_cases();
}

int main(void)
{
	seed = tap_seed();
	test_crc(cow_crc32c);
	test_crc(cow_crc32c_portable);
	test_version();
	test_unknown_version();
	test_layouts();
	test_round_trips();
	test_emit_refuses();
	test_hostile_headers();
	test_paths();
	test_truncation();
	test_mutations();
	test_v4_bytes();
	test_v4_checksum();
	test_v4_sweep();
	test_v4_cases();
	test_v4_future();
	test_v4_kinds();
	test_v4_levels();
	test_v4_mutations();
	test_pages();
	test_records();
	test_record_cases();
	test_lists();
	return plan_done();
}
