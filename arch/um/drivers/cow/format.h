/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * On-disk layouts of all COW versions, and the pure functions over them.
 *
 * Duty: the structs that Documentation/cow-format.rst describes byte by byte,
 * held to it by static asserts, and struct cow_header, the one in-memory form
 * that the rest of the engine knows.
 *
 * Invariants: nothing here does I/O or takes memory; a header that
 * cow_header_parse() accepts has every field in range, so that no product or
 * sum of its fields overflows 63 bits.
 */
#ifndef COW_FORMAT_H
#define COW_FORMAT_H

#include "cow.h"

#define COW_MAGIC_BE		0x4f4f4f4du	/* bytes "OOOM" read big endian */
#define COW_MAGIC_LE		0x4d4f4f4fu	/* bytes "MOOO" read big endian */
#define COW_INDEX_MAGIC		0x4f4f4f49u	/* "OOOI" */
#define COW_RECORD_MAGIC	0x4f4f4f52u	/* "OOOR" */
#define COW_CHILDREN_MAGIC	0x4f4f4f43u	/* "OOOC" */

#define COW_PATH_V1		256
#define COW_ALIGN_V3		4096

/* Enough to parse any header: the broken V3 is the longest. */
#define COW_HEADER_MAX		4136

struct cow_disk_v1 {
	uint32_t magic;
	uint32_t version;
	char path[COW_PATH_V1];
	uint32_t mtime;
	uint64_t size;
	uint32_t sectorsize;
} __attribute__((packed));

struct cow_disk_v2 {
	uint32_t magic;
	uint32_t version;
	char path[COW_PATH_MAX];
	uint32_t mtime;
	uint64_t size;
	uint32_t sectorsize;
} __attribute__((packed));

struct cow_disk_v3 {
	uint32_t magic;
	uint32_t version;
	uint32_t mtime;
	uint64_t size;
	uint32_t sectorsize;
	uint32_t alignment;
	uint32_t cow_format;
	char path[COW_PATH_MAX];
} __attribute__((packed));

/* As 64-bit programs wrote it until December 2005. */
struct cow_disk_v3_broken {
	uint32_t magic;
	uint32_t version;
	uint32_t mtime;
	uint32_t mtime_pad;
	uint64_t size;
	uint32_t sectorsize;
	uint32_t alignment;
	uint32_t cow_format;
	char path[COW_PATH_MAX];
	uint32_t pad;
} __attribute__((packed));

/*
 * V4. Blocks of 4 KiB. Block 0 and 1 hold a header slot each in their first
 * sector, blocks 2 and 3 the two copies of the parent's name, blocks 4 and 5
 * those of the successor's; 6 and 7 are reserved. Data blocks and index pages
 * follow in the order in which they were needed.
 */
#define COW_BLOCK_SHIFT		12
#define COW_BLOCK_SIZE		4096u
#define COW_BLOCK_SECTORS	8u
#define COW_V4_PARENT_BLOCK	2
#define COW_V4_SUCCESSOR_BLOCK	4
#define COW_V4_FIRST_BLOCK	8
#define COW_V4_MAX_LEVELS	6
#define COW_V4_WORN		(1ull << 62)	/* generation: no more writes */

struct cow_disk_name {
	uint32_t copy;		/* 0 or 1: which of the two blocks */
	uint32_t len;		/* bytes without NUL; 0 = no name */
	uint32_t crc;		/* CRC32C of these bytes */
	uint32_t reserved;
};

struct cow_disk_id {
	uint64_t dev;
	uint64_t ino;
	uint64_t birth_sec;
	uint32_t birth_nsec;
	uint32_t reserved;
};

struct cow_disk_v4 {
	uint32_t magic;
	uint32_t version;
	uint32_t crc;		/* of these 512 bytes, with this field 0 */
	uint32_t header_len;	/* 512 */
	uint64_t generation;	/* of this slot; slot = generation & 1 */
	uint64_t incompatible;
	uint64_t compatible;
	uint64_t ro_compatible;
	uint8_t uuid[16];
	uint64_t size;
	uint64_t content;	/* content generation */
	uint64_t root;		/* block of the top index page, 0 = empty */
	uint32_t levels;	/* of the index; 1 = the root is a leaf */
	uint32_t block_shift;	/* 12 */
	uint64_t end;		/* first block that was never handed out */
	uint64_t owned;		/* sectors owned, data or zero */
	uint32_t kind;
	uint32_t state;
	uint32_t sectorsize;	/* that the guest sees: 512 to 4096 */
	uint32_t parent_format;
	uint8_t parent_uuid[16];
	uint64_t parent_content;
	uint64_t parent_size;
	uint64_t parent_mtime_sec;
	uint32_t parent_mtime_nsec;
	uint32_t reserved0;
	struct cow_disk_name parent;
	struct cow_disk_name successor;
	struct cow_disk_id self;	/* of the file, when it was frozen */
	uint32_t cylinders;
	uint32_t heads;
	uint32_t sectors;
	uint32_t padding;
	uint64_t free_list;	/* 0: no list of free blocks is stored */
	uint64_t seal;		/* these four count if COW_RO_SEALED is set: */
	uint64_t seal_pages;	/* blocks of the seal, in sequence from @seal */
	uint64_t sealed;	/* blocks of data that it has a checksum of */
	uint64_t seal_content;	/* content generation that it is of */
	uint8_t reserved1[216];
};

_Static_assert(sizeof(struct cow_disk_v1) == 280, "V1 is 280 bytes");
_Static_assert(sizeof(struct cow_disk_v2) == 4120, "V2 is 4120 bytes");
_Static_assert(sizeof(struct cow_disk_v3) == 4128, "V3 is 4128 bytes");
_Static_assert(sizeof(struct cow_disk_v3_broken) == 4136, "4136 bytes");
_Static_assert(sizeof(struct cow_disk_v4) == 512, "a V4 slot is a sector");
_Static_assert(offsetof(struct cow_disk_v4, uuid) == 48, "uuid at 48");
_Static_assert(offsetof(struct cow_disk_v4, kind) == 112, "kind at 112");
_Static_assert(offsetof(struct cow_disk_v4, parent) == 176, "names at 176");
_Static_assert(offsetof(struct cow_disk_v4, self) == 208, "self at 208");
_Static_assert(offsetof(struct cow_disk_v4, free_list) == 256, "256");
_Static_assert(offsetof(struct cow_disk_v4, seal) == 264, "seal at 264");

/* cow_disk_v4.kind */
#define COW_KIND_COW		1u
#define COW_KIND_DISK		2u
#define COW_KIND_HEADER		3u

/* cow_disk_v4.state and struct cow_record.state */
#define COW_IS_PROVISIONAL	1u	/* parent not yet complete */
#define COW_IS_FROZEN		2u	/* a successor takes the writes */
#define COW_IS_DRAINING		4u	/* being emptied into its parent */
#define COW_IS_DRAINED		8u	/* empty: a name for its parent */
#define COW_IS_SNAPSHOT		16u	/* made by snapshot: parent is its own */
#define COW_IS_PROTECTED	32u	/* never written: records only */
#define COW_IS_PAUSED		64u	/* its merge waits for a word */
#define COW_IS_PARTIAL		128u	/* part of it is in its parent */
#define COW_STATES		(31u | COW_IS_PAUSED | COW_IS_PARTIAL) /* of a header */
#define COW_RECORD_STATES	(COW_STATES | COW_IS_PROTECTED)

/* cow_disk_v4.parent_format */
#define COW_PARENT_NONE		0u
#define COW_PARENT_RAW		1u
#define COW_PARENT_COW		2u	/* V1 to V3: known by its file's identity */
#define COW_PARENT_V4		3u	/* known by UUID and content generation */

/* cow_disk_v4.ro_compatible */
#define COW_RO_SEALED		1u	/* there are checksums of its data */
#define COW_RO_PROTECTED	2u	/* never written */
#define COW_RO_KNOWN		3u

/*
 * Index page: header of 64 bytes, then entries. Pages of the list of free blocks
 * and of a seal have levels of their own.
 */
#define COW_LIST_LEVEL		255u
#define COW_SEAL_LEVEL		254u
#define COW_PAGE_ENTRIES	504u
#define COW_LIST_ROOM		(COW_PAGE_ENTRIES - 1)	/* entry 0: next page */

struct cow_disk_page {
	uint32_t magic;
	uint32_t crc;		/* of the 4096 bytes, with this field 0 */
	uint64_t generation;	/* of the header that first refers to it */
	uint64_t index;		/* position among the pages of its level */
	uint64_t block;		/* where it was written */
	uint32_t level;		/* 0 = leaf */
	uint32_t reserved0;
	uint8_t uuid[16];
	uint64_t reserved1;
	uint64_t entry[COW_PAGE_ENTRIES];
};

_Static_assert(sizeof(struct cow_disk_page) == 4096, "a page is a block");

/*
 * An entry: block number << 16. In a leaf the low 16 bits hold two bits of
 * state for each of the eight sectors, sector 0 lowest.
 */
#define COW_ENTRY_SHIFT		16
#define COW_ENTRY_STATES	0xffffu
#define COW_ENTRY_ALL_DATA	0x5555u
#define COW_ENTRY_ALL_ZERO	0xaaaau
#define COW_SECTOR_ABSENT	0u
#define COW_SECTOR_DATA		1u
#define COW_SECTOR_ZERO		2u

/*
 * A run in a page of a seal: number of the first disk block << 12 | blocks. The
 * CRC32C of each of them follows, the first one of two in the upper half.
 */
#define COW_SEAL_SHIFT		12
#define COW_SEAL_COUNT		0xfffu
#define COW_SEAL_MAX		((COW_PAGE_ENTRIES - 1) * 2)	/* of a run */
#define COW_SEAL_PAGES		0x80000000u			/* of a seal */

/*
 * The state record of a V1 to V3 file or of a raw one: the value of the
 * extended attribute user.moo, or the content of the sidecar NAME.moo. The
 * successor's name follows it, @name_len bytes without NUL.
 */
struct cow_disk_record {
	uint32_t magic;
	uint32_t version;	/* 1 */
	uint32_t crc;		/* of header and name, with this field 0 */
	uint32_t state;
	struct cow_disk_id self;
	uint64_t parent_size;	/* what a disabled V3 header said */
	uint32_t parent_mtime;
	uint32_t name_len;
};

_Static_assert(sizeof(struct cow_disk_record) == 64, "record is 64 bytes");

/*
 * The files that are built on one, of any version: the value of the extended
 * attribute user.moo.children. Their absolute names follow, each with its NUL.
 */
struct cow_disk_children {
	uint32_t magic;
	uint32_t version;	/* 1 */
	uint32_t crc;		/* of header and names, with this field 0 */
	uint32_t flags;
};

_Static_assert(sizeof(struct cow_disk_children) == 16, "list is 16 bytes");

#define COW_CHILDREN_MORE	1u		/* there was no room for some */
#define COW_CHILDREN_MAX	0x10000u	/* bytes in all */
#define COW_CHILDREN_NAMES	1024u

/* ---- in memory --------------------------------------------------------- */

/**
 * struct cow_header - any version's header, in host byte order
 * @format: which layout it had
 * @little_endian: V1 only: written by a little-endian machine
 * @broken: V3 only: the layout with 64-bit padding
 * @tail_on_data: V1, V2: the last sectors have no bits of their own, and those
 *	that stock would use lie on data sector 0
 * @size: bytes of the device, as stored (V1 to V3: the base's st_size)
 * @sectorsize: V1 to V3: bytes, always 512 here
 * @mtime: V1 to V3: of the base, seconds, 32 bits
 * @alignment: V3: of bitmap and data, any number of bytes
 * @bitmap_offset: V1 to V3: bytes
 * @bitmap_len: V1 to V3: bytes that hold bits, the tail included; of V1 and V2
 *	the last one may lie beyond the end of the file, and is zero then
 * @data_offset: V1 to V3: bytes
 * @parent: name of the layer below; "" if there is none
 * @v4: everything that only V4 has, in host byte order; names apart
 */
struct cow_header {
	enum cow_format format;
	bool little_endian;
	bool broken;
	bool tail_on_data;
	uint64_t size;
	uint32_t sectorsize;
	uint32_t mtime;
	uint32_t alignment;
	uint64_t bitmap_offset;
	uint64_t bitmap_len;
	uint64_t data_offset;
	char parent[COW_PATH_MAX];
	struct cow_disk_v4 v4;
};

/**
 * cow_header_version() - which version the first bytes of a file claim
 * @buf: first @len bytes of the file
 *
 * Return: 0 if they do not begin with either magic (a raw file), else the
 * version number, whatever it is; -EINVAL if magic stands there but no version.
 */
int cow_header_version(const void *buf, size_t len);

/**
 * cow_header_parse() - V1 to V3: understand and check a header
 * @buf: first @len bytes of the file, up to COW_HEADER_MAX
 * @file_size: size of the file: a truncated bitmap or data area is refused
 * @hdr: filled on success
 * @why: on failure a constant half sentence, "its alignment is 0"
 *
 * Pure. Return: 0, -EINVAL, or -ENOTSUP for a version it does not know.
 */
int cow_header_parse(const void *buf, size_t len, uint64_t file_size,
		     struct cow_header *hdr, const char **why);

/**
 * cow_header_emit() - V1 to V3: the bytes of a header
 * @hdr: format, little_endian, broken, size, mtime, alignment (0 stands for
 *	COW_ALIGN_V3) and parent are used
 * @buf: COW_HEADER_MAX bytes
 *
 * Also computes @hdr's layout fields. Pure.
 * Return: length of the header, -ENAMETOOLONG, or -EINVAL for what
 * cow_header_parse() would refuse.
 */
int cow_header_emit(struct cow_header *hdr, void *buf);

/**
 * cow_header_mtime_at() - V1 to V3: where in the file the base's time stands
 */
uint64_t cow_header_mtime_at(const struct cow_header *hdr);

/**
 * cow_v4_parse() - check one V4 slot
 * @buf: 512 bytes
 * @slot: 0 or 1; a generation whose parity is another is refused
 * @v4: filled, in host byte order, on success
 * @why: on failure a constant half sentence
 *
 * Ranges: levels fit size, end >= COW_V4_FIRST_BLOCK and fits 48 bits, root <
 * end, states and formats known, size a multiple of the sector size below 2^63.
 * Return: 0; -EBADMSG if this is no whole slot, so that the other one counts;
 * of a whole slot -EINVAL (a field out of range) or -ENOTSUP (an incompatible
 * feature; ro_compatible ones are left to the caller, see cow_v4_foreign()).
 */
int cow_v4_parse(const void *buf, unsigned int slot, struct cow_disk_v4 *v4,
		 const char **why);

/**
 * cow_v4_emit() - the 512 bytes of a slot, checksum included
 */
void cow_v4_emit(const struct cow_disk_v4 *v4, void *buf);

/* It may be read, but only a later version may write it. */
static inline bool cow_v4_foreign(const struct cow_disk_v4 *v4)
{
	return v4->ro_compatible & ~(uint64_t)COW_RO_KNOWN;
}

static inline bool cow_v4_sealed(const struct cow_disk_v4 *v4)
{
	return v4->ro_compatible & COW_RO_SEALED;
}

static inline bool cow_v4_protected(const struct cow_disk_v4 *v4)
{
	return v4->ro_compatible & COW_RO_PROTECTED;
}

/* What is written next has no seal. */
static inline void cow_v4_unseal(struct cow_disk_v4 *v4)
{
	v4->ro_compatible &= ~(uint64_t)COW_RO_SEALED;
	v4->seal = 0;
	v4->seal_pages = 0;
	v4->sealed = 0;
	v4->seal_content = 0;
}

/* It has no successor, and is not frozen. */
static inline void cow_v4_unlink(struct cow_disk_v4 *v4)
{
	const struct cow_disk_id none = { 0 };

	v4->state &= ~COW_IS_FROZEN;
	v4->successor.len = 0;
	v4->self = none;
}

/**
 * cow_v4_levels() - levels of index that a disk of @size bytes needs
 */
unsigned int cow_v4_levels(uint64_t size);

/**
 * cow_page_seal() - fill in the header of an index page, checksum last
 */
void cow_page_seal(struct cow_disk_page *page, const uint8_t uuid[16],
		   unsigned int level, uint64_t index, uint64_t block,
		   uint64_t generation);

/**
 * cow_page_check() - is this the page that was asked for, and whole?
 * Return: 0 or -EBADMSG. Entries are not looked at.
 */
int cow_page_check(const struct cow_disk_page *page, const uint8_t uuid[16],
		   unsigned int level, uint64_t index, uint64_t block);

/**
 * struct cow_record - a state record in host byte order
 */
struct cow_record {
	uint32_t state;
	struct io_id self;
	uint64_t parent_size;
	uint32_t parent_mtime;
	char successor[COW_PATH_MAX];
};

#define COW_RECORD_MAX	(sizeof(struct cow_disk_record) + COW_PATH_MAX)

/**
 * cow_record_parse() - check and understand a state record
 * Return: 0, -EINVAL or -EBADMSG.
 */
int cow_record_parse(const void *buf, size_t len, struct cow_record *rec);

/**
 * cow_record_emit() - the bytes of a state record
 * Return: its length, at most COW_RECORD_MAX.
 */
size_t cow_record_emit(const struct cow_record *rec, void *buf);

/**
 * cow_children_parse() - check a list of children
 * @flags: COW_CHILDREN_MORE or 0, on success
 *
 * Every name is absolute, shorter than COW_PATH_MAX, and ends with a NUL; there
 * are at most COW_CHILDREN_NAMES of them. Pure. Return: 0, -EINVAL or -EBADMSG.
 */
int cow_children_parse(const void *buf, size_t len, uint32_t *flags);

/**
 * cow_children_seal() - the header of a list whose names are in their place
 * @buf: @len bytes, of which the header's are filled in
 */
void cow_children_seal(void *buf, size_t len, uint32_t flags);

/**
 * cow_crc32c() - CRC32C (Castagnoli), as iSCSI, ext4 and btrfs have it
 * @crc: 0, or the result for what came before
 */
uint32_t cow_crc32c(uint32_t crc, const void *buf, size_t len);

/**
 * cow_crc32c_portable() - the same, on any processor
 */
uint32_t cow_crc32c_portable(uint32_t crc, const void *buf, size_t len);

/*
 * How much of a bitmap is read at a time: between a few bits that are far from
 * each other little is read in vain.
 */
#define COW_BITS_PART	0x10000u

/**
 * cow_count_bits() - how many bits of a bitmap are set
 */
uint64_t cow_count_bits(const void *buf, size_t len);

static inline uint16_t cow_be16(uint16_t v)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return __builtin_bswap16(v);
#else
	return v;
#endif
}

static inline uint32_t cow_be32(uint32_t v)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return __builtin_bswap32(v);
#else
	return v;
#endif
}

static inline uint64_t cow_be64(uint64_t v)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return __builtin_bswap64(v);
#else
	return v;
#endif
}

/* What V4 takes for the size of a sector, and flag B. */
static inline bool cow_is_sector_size(uint32_t size)
{
	return size >= COW_SECTOR_SIZE && size <= COW_BLOCK_SIZE &&
	       !(size & (size - 1));
}

/* True for the first bytes of a COW header of any version, either order. */
static inline bool cow_is_magic(const void *buf)
{
	const uint8_t *b = buf;
	uint32_t m = (uint32_t)b[0] << 24 | b[1] << 16 | b[2] << 8 | b[3];

	return m == COW_MAGIC_BE || m == COW_MAGIC_LE;
}

#endif
