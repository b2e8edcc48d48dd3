// SPDX-License-Identifier: GPL-2.0-only
/*
 * The pure functions of format.h, as they are linked into the kernel.
 *
 * Duty: known answers, worked out from Documentation/cow-format.rst or taken
 * from the literature, so that what the kernel's compiler flags make of the
 * engine is held to the same bytes as the tools are.
 */
#include <kunit/test.h>
#include <linux/sizes.h>
#include <linux/string.h>
#include "cow/format.h"

/* ---- checksum ---------------------------------------------------------- */

static void crc_known(struct kunit *test)
{
	u8 buf[32];
	unsigned int i;

	KUNIT_EXPECT_EQ(test, cow_crc32c(0, "", 0), 0u);
	KUNIT_EXPECT_EQ(test, cow_crc32c(0, "123456789", 9), 0xe3069283u);
	/* RFC 3720, B.4 */
	memset(buf, 0, sizeof(buf));
	KUNIT_EXPECT_EQ(test, cow_crc32c(0, buf, 32), 0x8a9136aau);
	memset(buf, 0xff, sizeof(buf));
	KUNIT_EXPECT_EQ(test, cow_crc32c(0, buf, 32), 0x62a8ab43u);
	for (i = 0; i < 32; i++)
		buf[i] = i;
	KUNIT_EXPECT_EQ(test, cow_crc32c(0, buf, 32), 0x46dd794eu);
	for (i = 0; i < 32; i++)
		buf[i] = 31 - i;
	KUNIT_EXPECT_EQ(test, cow_crc32c(0, buf, 32), 0x113fdb5cu);
}

/* Wherever it is cut, and however it is aligned. */
static void crc_in_pieces(struct kunit *test)
{
	u8 buf[72];
	unsigned int start, cut;
	u32 whole, crc;

	for (start = 0; start < 8; start++) {
		for (cut = 0; cut < 64; cut++)
			buf[start + cut] = cut * 37;
		whole = cow_crc32c(0, buf + start, 64);
		for (cut = 0; cut <= 64; cut++) {
			crc = cow_crc32c(0, buf + start, cut);
			crc = cow_crc32c(crc, buf + start + cut, 64 - cut);
			KUNIT_EXPECT_EQ(test, crc, whole);
		}
	}
}

/* ---- V3 ---------------------------------------------------------------- */

#define V3_LEN	4128

/* Over 1 MiB: 2048 sectors, hence 256 bytes of bitmap at 8192. */
static const u8 v3_golden[] = {
	0x4f, 0x4f, 0x4f, 0x4d,				/* magic */
	0x00, 0x00, 0x00, 0x03,				/* version */
	0x12, 0x34, 0x56, 0x78,				/* mtime */
	0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x00, 0x00,	/* size */
	0x00, 0x00, 0x02, 0x00,				/* sectorsize */
	0x00, 0x00, 0x10, 0x00,				/* alignment */
	0x00, 0x00, 0x00, 0x00,				/* cow_format */
	'/', 'b', 'a', 's', 'e',
};

static u8 *v3_buffer(struct kunit *test)
{
	u8 *buf = kunit_kzalloc(test, COW_HEADER_MAX, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, buf);
	memcpy(buf, v3_golden, sizeof(v3_golden));
	return buf;
}

static struct cow_header *header(struct kunit *test)
{
	struct cow_header *hdr = kunit_kzalloc(test, sizeof(*hdr), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, hdr);
	return hdr;
}

static void v3_parse(struct kunit *test)
{
	struct cow_header *hdr = header(test);
	u8 *buf = v3_buffer(test);
	const char *why = "";
	int ret;

	KUNIT_EXPECT_EQ(test, cow_header_version(buf, V3_LEN), 3);
	ret = cow_header_parse(buf, COW_HEADER_MAX, SZ_2M, hdr, &why);
	KUNIT_ASSERT_EQ_MSG(test, ret, 0, "%s", why);
	KUNIT_EXPECT_EQ(test, hdr->format, COW_V3);
	KUNIT_EXPECT_FALSE(test, hdr->broken);
	KUNIT_EXPECT_EQ(test, hdr->mtime, 0x12345678u);
	KUNIT_EXPECT_EQ(test, hdr->size, (u64)SZ_1M);
	KUNIT_EXPECT_EQ(test, hdr->sectorsize, 512u);
	KUNIT_EXPECT_EQ(test, hdr->alignment, 4096u);
	KUNIT_EXPECT_EQ(test, hdr->bitmap_offset, 8192ull);
	KUNIT_EXPECT_EQ(test, hdr->bitmap_len, 256ull);
	KUNIT_EXPECT_EQ(test, hdr->data_offset, 12288ull);
	KUNIT_EXPECT_STREQ(test, hdr->parent, "/base");
}

static void v3_emit(struct kunit *test)
{
	u8 *buf = kunit_kzalloc(test, COW_HEADER_MAX, GFP_KERNEL);
	struct cow_header *hdr = header(test);

	KUNIT_ASSERT_NOT_NULL(test, buf);
	hdr->format = COW_V3;
	hdr->size = SZ_1M;
	hdr->mtime = 0x12345678;
	strscpy(hdr->parent, "/base", sizeof(hdr->parent));
	KUNIT_EXPECT_EQ(test, cow_header_emit(hdr, buf), V3_LEN);
	KUNIT_EXPECT_MEMEQ(test, buf, v3_buffer(test), V3_LEN);
}

static const struct {
	unsigned int offset;
	u8 value;
	const char *what;
} v3_damage[] = {
	{ 0, 'x', "magic" },
	{ 7, 9, "version" },
	{ 12, 0x80, "size beyond 63 bits" },
	{ 17, 0x00, "size 0" },
	{ 23, 0x01, "sectorsize 513" },
	{ 26, 0x00, "alignment 0" },
	{ 31, 0x01, "cow_format" },
	{ 32, 0x00, "no name" },
};

static void v3_damaged(struct kunit *test)
{
	struct cow_header *hdr = header(test);
	const char *why;
	unsigned int i;
	u8 *buf;

	for (i = 0; i < ARRAY_SIZE(v3_damage); i++) {
		buf = v3_buffer(test);
		buf[v3_damage[i].offset] = v3_damage[i].value;
		KUNIT_EXPECT_LT_MSG(test,
				    cow_header_parse(buf, COW_HEADER_MAX,
						     SZ_2M, hdr, &why),
				    0, "%s", v3_damage[i].what);
	}
	/* The bitmap ends behind 8448. */
	buf = v3_buffer(test);
	KUNIT_EXPECT_EQ(test, cow_header_parse(buf, COW_HEADER_MAX, 8447, hdr,
					       &why), -EINVAL);
}

/* ---- V4 ---------------------------------------------------------------- */

static const struct cow_disk_v4 v4_values = {
	.generation = 6,
	.uuid = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 },
	.size = SZ_8M,
	.content = 5,
	.root = 9,
	.levels = 2,
	.block_shift = 12,
	.end = 12,
	.owned = 8,
	.kind = COW_KIND_COW,
	.sectorsize = 512,
	.parent_format = COW_PARENT_RAW,
	.parent_size = SZ_8M,
	.parent = { .len = 5, .crc = 0xe3069283 },
};

/* Packed by a script of its own from the tables of cow-format.rst. */
#define V4_CRC	0xbc6b9c95u

static void v4_emit(struct kunit *test)
{
	struct cow_disk_v4 *disk = kunit_kzalloc(test, 512, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, disk);
	cow_v4_emit(&v4_values, disk);
	KUNIT_EXPECT_TRUE(test, cow_is_magic(disk));
	KUNIT_EXPECT_EQ(test, cow_header_version(disk, 512), 4);
	KUNIT_EXPECT_EQ(test, cow_be32(disk->crc), V4_CRC);
}

static void v4_parse(struct kunit *test)
{
	struct cow_disk_v4 *disk = kunit_kzalloc(test, 512, GFP_KERNEL);
	struct cow_disk_v4 *v4 = kunit_kzalloc(test, 512, GFP_KERNEL);
	const char *why = "";
	int ret;

	KUNIT_ASSERT_NOT_NULL(test, disk);
	KUNIT_ASSERT_NOT_NULL(test, v4);
	cow_v4_emit(&v4_values, disk);
	ret = cow_v4_parse(disk, 0, v4, &why);
	KUNIT_ASSERT_EQ_MSG(test, ret, 0, "%s", why);
	KUNIT_EXPECT_EQ(test, v4->generation, 6ull);
	KUNIT_EXPECT_EQ(test, v4->root, 9ull);
	KUNIT_EXPECT_EQ(test, v4->size, (u64)SZ_8M);
	KUNIT_EXPECT_EQ(test, v4->parent.crc, 0xe3069283u);
	KUNIT_EXPECT_MEMEQ(test, v4->uuid, v4_values.uuid, 16);
	/* An even generation belongs to slot 0. */
	KUNIT_EXPECT_EQ(test, cow_v4_parse(disk, 1, v4, &why), -EBADMSG);
}

/* No bit of a slot can change without being noticed. */
static void v4_damaged(struct kunit *test)
{
	struct cow_disk_v4 *v4 = kunit_kzalloc(test, 512, GFP_KERNEL);
	u8 *disk = kunit_kzalloc(test, 512, GFP_KERNEL);
	const char *why;
	unsigned int bit;

	KUNIT_ASSERT_NOT_NULL(test, v4);
	KUNIT_ASSERT_NOT_NULL(test, disk);
	cow_v4_emit(&v4_values, disk);
	for (bit = 0; bit < 512 * 8; bit++) {
		disk[bit / 8] ^= 1 << bit % 8;
		KUNIT_EXPECT_LT_MSG(test, cow_v4_parse(disk, 0, v4, &why), 0,
				    "bit %u", bit);
		disk[bit / 8] ^= 1 << bit % 8;
	}
}

static struct kunit_case format_cases[] = {
	KUNIT_CASE(crc_known),
	KUNIT_CASE(crc_in_pieces),
	KUNIT_CASE(v3_parse),
	KUNIT_CASE(v3_emit),
	KUNIT_CASE(v3_damaged),
	KUNIT_CASE(v4_emit),
	KUNIT_CASE(v4_parse),
	KUNIT_CASE(v4_damaged),
	{}
};

static struct kunit_suite format_suite = {
	.name = "cow-format",
	.test_cases = format_cases,
};

kunit_test_suite(format_suite);

MODULE_DESCRIPTION("KUnit tests of the COW formats");
MODULE_LICENSE("GPL");
