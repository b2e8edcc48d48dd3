// SPDX-License-Identifier: GPL-2.0-only
/*
 * Headers, index pages and state records of all COW versions, as bytes.
 *
 * Duty: turn bytes from a file into host values and back. This is the one
 * place that decides whether bytes are a good header; the layouts are those of
 * Documentation/cow-format.rst.
 *
 * Invariants:
 *  - Pure functions on buffers: no I/O, no memory, no state, so any thread may
 *    call them and a fuzzer can include this file.
 *  - Every byte is hostile until it was checked. What is accepted lies in the
 *    range that format.h promises; on refusal the result is undefined.
 *  - Checks answer NULL or a constant half sentence for people, which fits
 *    behind the name of the file: "x.cow: its alignment is 0".
 */
#include "format.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

/* Above every alignment in use, below all that could overflow a sum. */
#define ALIGN_MAX		0x1000000u

/* Largest offset that the host's calls can express. */
#define OFFSET_MAX		((uint64_t)INT64_MAX)

/* An entry has this much room for a block's number. */
#define BLOCK_MAX		(UINT64_MAX >> COW_ENTRY_SHIFT)

#define NSEC_PER_SEC		1000000000u

#define RECORD_VERSION		1u
#define CHILDREN_VERSION	1u

/* ---- bytes ------------------------------------------------------------- */

/* Big or little endian to host order; its own inverse. */
static uint32_t order32(uint32_t v, bool little_endian)
{
	v = cow_be32(v);
	return little_endian ? __builtin_bswap32(v) : v;
}

static uint64_t order64(uint64_t v, bool little_endian)
{
	v = cow_be64(v);
	return little_endian ? __builtin_bswap64(v) : v;
}

/* The compiler's builtin would need its run-time library. */
static unsigned int ones(uint64_t v)
{
	v -= v >> 1 & 0x5555555555555555ull;
	v = (v & 0x3333333333333333ull) + (v >> 2 & 0x3333333333333333ull);
	v = (v + (v >> 4)) & 0x0f0f0f0f0f0f0f0full;
	return v * 0x0101010101010101ull >> 56;
}

uint64_t cow_count_bits(const void *buf, size_t len)
{
	const uint8_t *bytes = buf;
	uint64_t word, n = 0;
	size_t at;

	for (at = 0; len - at >= sizeof(word); at += sizeof(word)) {
		memcpy(&word, bytes + at, sizeof(word));
		if (word)
			n += ones(word);
	}
	for (; at < len; at++)
		n += ones(bytes[at]);
	return n;
}

/* The checksum of @buf as if the four bytes at @field were 0. */
static uint32_t crc_without(const void *buf, size_t len, size_t field)
{
	static const uint32_t zero;
	const uint8_t *bytes = buf;
	size_t rest = field + sizeof(zero);
	uint32_t crc;

	crc = cow_crc32c(0, bytes, field);
	crc = cow_crc32c(crc, &zero, sizeof(zero));
	return cow_crc32c(crc, bytes + rest, len - rest);
}

static bool has_magic(const void *buf, bool little_endian)
{
	uint32_t magic;

	memcpy(&magic, buf, sizeof(magic));
	return order32(magic, little_endian) == COW_MAGIC_BE;
}

int cow_header_version(const void *buf, size_t len)
{
	const struct cow_disk_v1 *disk = buf;
	uint32_t version;

	if (len < sizeof(disk->magic) || !cow_is_magic(buf))
		return 0;
	if (len < offsetof(struct cow_disk_v1, path))
		return -EINVAL;
	version = order32(disk->version, has_magic(buf, true));
	if (!version || version > INT_MAX)
		return -EINVAL;
	return version;
}

/* ---- V1 to V3 ---------------------------------------------------------- */

static uint64_t round_up_to(uint64_t value, uint32_t unit)
{
	return (value + unit - 1) / unit * unit;
}

static uint64_t sectors_of(const struct cow_header *hdr)
{
	return (hdr->size + COW_SECTOR_SIZE - 1) >> COW_SECTOR_SHIFT;
}

static size_t header_len(const struct cow_header *hdr)
{
	switch (hdr->format) {
	case COW_V1:
		return sizeof(struct cow_disk_v1);
	case COW_V2:
		return sizeof(struct cow_disk_v2);
	case COW_V3:
		return hdr->broken ? sizeof(struct cow_disk_v3_broken) :
				     sizeof(struct cow_disk_v3);
	default:
		return 0;
	}
}

/*
 * V1 and V2 round the bitmap's length down. The bits of the last sectors come
 * right behind it: in padding, or else in the first byte of data.
 */
static void lay_out_floored(struct cow_header *hdr)
{
	uint64_t sectors = sectors_of(hdr);
	uint64_t end;

	hdr->bitmap_offset = header_len(hdr);
	hdr->bitmap_len = sectors / 8;
	end = hdr->bitmap_offset + hdr->bitmap_len;
	hdr->data_offset = round_up_to(end, COW_SECTOR_SIZE);
	hdr->tail_on_data = sectors % 8 && end == hdr->data_offset;
	if (sectors % 8 && !hdr->tail_on_data)
		hdr->bitmap_len++;
}

static void lay_out_aligned(struct cow_header *hdr)
{
	hdr->bitmap_offset = round_up_to(header_len(hdr), hdr->alignment);
	hdr->bitmap_len = (sectors_of(hdr) + 7) / 8;
	hdr->data_offset = round_up_to(hdr->bitmap_offset + hdr->bitmap_len,
				       hdr->alignment);
	hdr->tail_on_data = false;
}

/* The size comes first: what follows would overflow without it. */
static const char *lay_out(struct cow_header *hdr)
{
	if (!hdr->size)
		return "its size is 0";
	if (hdr->size > OFFSET_MAX)
		return "its size is too large";
	if (hdr->sectorsize != COW_SECTOR_SIZE)
		return "its sector size is not 512";
	if (hdr->format == COW_V3) {
		if (!hdr->alignment)
			return "its alignment is 0";
		if (hdr->alignment > ALIGN_MAX)
			return "its alignment is too large";
		lay_out_aligned(hdr);
	} else {
		lay_out_floored(hdr);
	}
	if (sectors_of(hdr) << COW_SECTOR_SHIFT > OFFSET_MAX - hdr->data_offset)
		return "its size is too large";
	return NULL;
}

/*
 * The bits of a floored bitmap's last sectors are left out: a file that ends
 * before them owns none of these sectors.
 */
static const char *check_file_size(const struct cow_header *hdr,
				   uint64_t file_size)
{
	uint64_t len = hdr->bitmap_len;

	if (hdr->format != COW_V3)
		len = sectors_of(hdr) / 8;
	if (file_size < hdr->bitmap_offset + len)
		return "the file ends within its bitmap";
	return NULL;
}

static const char *take_path(struct cow_header *hdr, const void *buf,
			     size_t offset, size_t size)
{
	const char *path = (const char *)buf + offset;
	size_t len = strnlen(path, size);

	if (len == size)
		return "the name of its backing file has no end";
	if (!len)
		return "it names no backing file";
	memcpy(hdr->parent, path, len + 1);
	return NULL;
}

static const char *take_v1(struct cow_header *hdr, const void *buf)
{
	const struct cow_disk_v1 *disk = buf;

	hdr->size = order64(disk->size, hdr->little_endian);
	hdr->sectorsize = order32(disk->sectorsize, hdr->little_endian);
	hdr->mtime = order32(disk->mtime, hdr->little_endian);
	return take_path(hdr, buf, offsetof(struct cow_disk_v1, path),
			 sizeof(disk->path));
}

static const char *take_v2(struct cow_header *hdr, const void *buf)
{
	const struct cow_disk_v2 *disk = buf;

	hdr->size = cow_be64(disk->size);
	hdr->sectorsize = cow_be32(disk->sectorsize);
	hdr->mtime = cow_be32(disk->mtime);
	return take_path(hdr, buf, offsetof(struct cow_disk_v2, path),
			 sizeof(disk->path));
}

static const char *take_v3(struct cow_header *hdr, const void *buf)
{
	const struct cow_disk_v3 *disk = buf;

	if (disk->cow_format)
		return "its cow_format is not 0";
	hdr->size = cow_be64(disk->size);
	hdr->sectorsize = cow_be32(disk->sectorsize);
	hdr->alignment = cow_be32(disk->alignment);
	hdr->mtime = cow_be32(disk->mtime);
	return take_path(hdr, buf, offsetof(struct cow_disk_v3, path),
			 sizeof(disk->path));
}

static const char *take_v3_broken(struct cow_header *hdr, const void *buf)
{
	const struct cow_disk_v3_broken *disk = buf;

	hdr->size = cow_be64(disk->size);
	hdr->sectorsize = cow_be32(disk->sectorsize);
	hdr->alignment = cow_be32(disk->alignment);
	hdr->mtime = cow_be32(disk->mtime);
	return take_path(hdr, buf, offsetof(struct cow_disk_v3_broken, path),
			 sizeof(disk->path));
}

/* The broken layout's cow_format, always 0, stands where V3 has the path. */
static bool is_broken(const void *buf, size_t len)
{
	const struct cow_disk_v3_broken *disk = buf;

	return len >= offsetof(struct cow_disk_v3_broken, path) &&
	       !disk->cow_format;
}

static const char *take(struct cow_header *hdr, const void *buf)
{
	switch (hdr->format) {
	case COW_V1:
		return take_v1(hdr, buf);
	case COW_V2:
		return take_v2(hdr, buf);
	default:
		return hdr->broken ? take_v3_broken(hdr, buf) :
				     take_v3(hdr, buf);
	}
}

int cow_header_parse(const void *buf, size_t len, uint64_t file_size,
		     struct cow_header *hdr, const char **why)
{
	int version = cow_header_version(buf, len);

	memset(hdr, 0, sizeof(*hdr));
	if (version <= 0) {
		*why = "it does not begin with a COW header";
		return -EINVAL;
	}
	hdr->little_endian = has_magic(buf, true);
	if (version > COW_V3 || (hdr->little_endian && version != COW_V1)) {
		*why = "its version is unknown";
		return -ENOTSUP;
	}
	hdr->format = version;
	hdr->broken = hdr->format == COW_V3 && is_broken(buf, len);
	if (len < header_len(hdr))
		*why = "its header is cut short";
	else
		*why = take(hdr, buf);
	if (!*why)
		*why = lay_out(hdr);
	if (!*why)
		*why = check_file_size(hdr, file_size);
	return *why ? -EINVAL : 0;
}

static void put_v1(const struct cow_header *hdr, void *buf)
{
	struct cow_disk_v1 *disk = buf;

	disk->magic = order32(COW_MAGIC_BE, hdr->little_endian);
	disk->version = order32(COW_V1, hdr->little_endian);
	memcpy(disk->path, hdr->parent, strlen(hdr->parent));
	disk->mtime = order32(hdr->mtime, hdr->little_endian);
	disk->size = order64(hdr->size, hdr->little_endian);
	disk->sectorsize = order32(hdr->sectorsize, hdr->little_endian);
}

static void put_v2(const struct cow_header *hdr, void *buf)
{
	struct cow_disk_v2 *disk = buf;

	disk->magic = cow_be32(COW_MAGIC_BE);
	disk->version = cow_be32(COW_V2);
	memcpy(disk->path, hdr->parent, strlen(hdr->parent));
	disk->mtime = cow_be32(hdr->mtime);
	disk->size = cow_be64(hdr->size);
	disk->sectorsize = cow_be32(hdr->sectorsize);
}

static void put_v3(const struct cow_header *hdr, void *buf)
{
	struct cow_disk_v3 *disk = buf;

	disk->magic = cow_be32(COW_MAGIC_BE);
	disk->version = cow_be32(COW_V3);
	disk->mtime = cow_be32(hdr->mtime);
	disk->size = cow_be64(hdr->size);
	disk->sectorsize = cow_be32(hdr->sectorsize);
	disk->alignment = cow_be32(hdr->alignment);
	memcpy(disk->path, hdr->parent, strlen(hdr->parent));
}

static void put_v3_broken(const struct cow_header *hdr, void *buf)
{
	struct cow_disk_v3_broken *disk = buf;

	disk->magic = cow_be32(COW_MAGIC_BE);
	disk->version = cow_be32(COW_V3);
	disk->mtime = cow_be32(hdr->mtime);
	disk->size = cow_be64(hdr->size);
	disk->sectorsize = cow_be32(hdr->sectorsize);
	disk->alignment = cow_be32(hdr->alignment);
	memcpy(disk->path, hdr->parent, strlen(hdr->parent));
}

static void put(const struct cow_header *hdr, void *buf)
{
	switch (hdr->format) {
	case COW_V1:
		put_v1(hdr, buf);
		break;
	case COW_V2:
		put_v2(hdr, buf);
		break;
	default:
		if (hdr->broken)
			put_v3_broken(hdr, buf);
		else
			put_v3(hdr, buf);
	}
}

uint64_t cow_header_mtime_at(const struct cow_header *hdr)
{
	if (hdr->format == COW_V1)
		return offsetof(struct cow_disk_v1, mtime);
	if (hdr->format == COW_V2)
		return offsetof(struct cow_disk_v2, mtime);
	return offsetof(struct cow_disk_v3, mtime);
}

int cow_header_emit(struct cow_header *hdr, void *buf)
{
	size_t room = hdr->format == COW_V1 ? COW_PATH_V1 : COW_PATH_MAX;
	size_t len = strnlen(hdr->parent, COW_PATH_MAX);

	if (len >= room)
		return -ENAMETOOLONG;
	if (!header_len(hdr) || !len)
		return -EINVAL;
	hdr->sectorsize = COW_SECTOR_SIZE;
	if (hdr->format == COW_V3 && !hdr->alignment)
		hdr->alignment = COW_ALIGN_V3;
	if (lay_out(hdr))
		return -EINVAL;
	memset(buf, 0, COW_HEADER_MAX);
	put(hdr, buf);
	return header_len(hdr);
}

/* ---- V4 header slots --------------------------------------------------- */

unsigned int cow_v4_levels(uint64_t size)
{
	uint64_t blocks = (size >> COW_BLOCK_SHIFT) +
			  !!(size & (COW_BLOCK_SIZE - 1));
	uint64_t reach = COW_PAGE_ENTRIES;
	unsigned int levels = 1;

	while (reach < blocks && levels < COW_V4_MAX_LEVELS) {
		reach *= COW_PAGE_ENTRIES;
		levels++;
	}
	return levels;
}

static void name_order(struct cow_disk_name *name)
{
	name->copy = cow_be32(name->copy);
	name->len = cow_be32(name->len);
	name->crc = cow_be32(name->crc);
}

static void id_order(struct cow_disk_id *id)
{
	id->dev = cow_be64(id->dev);
	id->ino = cow_be64(id->ino);
	id->birth_sec = cow_be64(id->birth_sec);
	id->birth_nsec = cow_be32(id->birth_nsec);
}

/* Disk to host order, and back: reserved fields keep their bytes. */
static void v4_order(struct cow_disk_v4 *v4)
{
	v4->magic = cow_be32(v4->magic);
	v4->version = cow_be32(v4->version);
	v4->crc = cow_be32(v4->crc);
	v4->header_len = cow_be32(v4->header_len);
	v4->generation = cow_be64(v4->generation);
	v4->incompatible = cow_be64(v4->incompatible);
	v4->compatible = cow_be64(v4->compatible);
	v4->ro_compatible = cow_be64(v4->ro_compatible);
	v4->size = cow_be64(v4->size);
	v4->content = cow_be64(v4->content);
	v4->root = cow_be64(v4->root);
	v4->levels = cow_be32(v4->levels);
	v4->block_shift = cow_be32(v4->block_shift);
	v4->end = cow_be64(v4->end);
	v4->owned = cow_be64(v4->owned);
	v4->kind = cow_be32(v4->kind);
	v4->state = cow_be32(v4->state);
	v4->sectorsize = cow_be32(v4->sectorsize);
	v4->parent_format = cow_be32(v4->parent_format);
	v4->parent_content = cow_be64(v4->parent_content);
	v4->parent_size = cow_be64(v4->parent_size);
	v4->parent_mtime_sec = cow_be64(v4->parent_mtime_sec);
	v4->parent_mtime_nsec = cow_be32(v4->parent_mtime_nsec);
	name_order(&v4->parent);
	name_order(&v4->successor);
	id_order(&v4->self);
	v4->cylinders = cow_be32(v4->cylinders);
	v4->heads = cow_be32(v4->heads);
	v4->sectors = cow_be32(v4->sectors);
	v4->free_list = cow_be64(v4->free_list);
	v4->seal = cow_be64(v4->seal);
	v4->seal_pages = cow_be64(v4->seal_pages);
	v4->sealed = cow_be64(v4->sealed);
	v4->seal_content = cow_be64(v4->seal_content);
}

static const char *check_v4_layout(const struct cow_disk_v4 *v4)
{
	if (v4->generation > OFFSET_MAX)
		return "its generation is out of range";
	if (v4->block_shift != COW_BLOCK_SHIFT)
		return "its block size is not 4096";
	if (!cow_is_sector_size(v4->sectorsize))
		return "its sector size is not 512, 1024, 2048 or 4096";
	if (!v4->size)
		return "its size is 0";
	if (v4->size > OFFSET_MAX || v4->size % COW_SECTOR_SIZE)
		return "its size is not a multiple of 512 below 2^63";
	if (v4->size % v4->sectorsize)
		return "its size is not a multiple of its sector size";
	return NULL;
}

static bool is_block(const struct cow_disk_v4 *v4, uint64_t block)
{
	return block >= COW_V4_FIRST_BLOCK && block < v4->end;
}

/* No index: each sector has its place behind @end. */
static const char *check_v4_disk(const struct cow_disk_v4 *v4)
{
	if (v4->root || v4->levels || v4->free_list)
		return "it is a disk, yet has an index";
	if (v4->owned != v4->size >> COW_SECTOR_SHIFT)
		return "it is a disk, yet does not own all sectors";
	if ((v4->end << COW_BLOCK_SHIFT) > OFFSET_MAX - v4->size)
		return "its data would end behind 2^63";
	return NULL;
}

static const char *check_v4_index(const struct cow_disk_v4 *v4)
{
	if (v4->end < COW_V4_FIRST_BLOCK || v4->end - 1 > BLOCK_MAX)
		return "its end is out of range";
	if (v4->kind == COW_KIND_DISK)
		return check_v4_disk(v4);
	if (v4->levels != cow_v4_levels(v4->size))
		return "its index has not as many levels as its size needs";
	if (v4->root && !is_block(v4, v4->root))
		return "its index lies outside the file";
	if (v4->free_list && !is_block(v4, v4->free_list))
		return "its free list lies outside the file";
	if (v4->owned > v4->size >> COW_SECTOR_SHIFT)
		return "it owns more sectors than it has";
	return NULL;
}

static const char *check_v4_parent(const struct cow_disk_v4 *v4)
{
	bool named = v4->parent.len;

	if (v4->parent_format > COW_PARENT_V4)
		return "its parent's format is unknown";
	if (named && v4->parent_format == COW_PARENT_NONE)
		return "its parent has a name but no format";
	if (!named && v4->parent_format != COW_PARENT_NONE)
		return "its parent has a format but no name";
	if (named && v4->kind == COW_KIND_DISK)
		return "it is a disk, yet names a parent";
	if (v4->kind == COW_KIND_HEADER &&
	    (v4->parent_format != COW_PARENT_RAW || v4->root))
		return "it is the header of a raw image, yet more than that";
	if (v4->parent_size > OFFSET_MAX)
		return "its parent's size is too large";
	if (v4->parent_mtime_nsec >= NSEC_PER_SEC)
		return "its parent's time is out of range";
	return NULL;
}

static const char *check_v4_names(const struct cow_disk_v4 *v4)
{
	if (v4->parent.copy > 1 || v4->parent.len >= COW_PATH_MAX)
		return "its parent's name is out of range";
	if (v4->successor.copy > 1 || v4->successor.len >= COW_PATH_MAX)
		return "its successor's name is out of range";
	return NULL;
}

static const char *check_v4_state(const struct cow_disk_v4 *v4)
{
	if (v4->kind < COW_KIND_COW || v4->kind > COW_KIND_HEADER)
		return "its kind is unknown";
	if (v4->state & ~COW_STATES)
		return "its state is unknown";
	if (v4->self.birth_nsec >= NSEC_PER_SEC)
		return "its own time is out of range";
	return NULL;
}

/* First block behind all that the data in its place takes. */
static uint64_t behind_disk(const struct cow_disk_v4 *v4)
{
	uint64_t bytes = (v4->end << COW_BLOCK_SHIFT) + v4->size;

	return (bytes + COW_BLOCK_SIZE - 1) >> COW_BLOCK_SHIFT;
}

/* The rest of the header is in range. */
static const char *check_v4_seal(const struct cow_disk_v4 *v4)
{
	uint64_t first = COW_V4_FIRST_BLOCK, end = v4->end;

	if (!cow_v4_sealed(v4))
		return NULL;
	if (v4->kind == COW_KIND_HEADER)
		return "it is sealed, yet has no data";
	if (v4->kind == COW_KIND_DISK) {
		first = behind_disk(v4);
		end = OFFSET_MAX >> COW_BLOCK_SHIFT;
	}
	if (!v4->seal_pages || v4->seal_pages > COW_SEAL_PAGES)
		return "its seal's length is out of range";
	if (v4->seal < first || v4->seal >= end ||
	    v4->seal_pages > end - v4->seal)
		return "its seal lies outside the file";
	return NULL;
}

static const char *check_v4_geometry(const struct cow_disk_v4 *v4)
{
	if (v4->cylinders > UINT16_MAX || v4->heads > UINT8_MAX ||
	    v4->sectors > UINT8_MAX)
		return "its geometry is out of range";
	return NULL;
}

static const char *check_v4(const struct cow_disk_v4 *v4)
{
	const char *why;

	why = check_v4_layout(v4);
	if (!why)
		why = check_v4_index(v4);
	if (!why)
		why = check_v4_state(v4);
	if (!why)
		why = check_v4_names(v4);
	if (!why)
		why = check_v4_parent(v4);
	if (!why)
		why = check_v4_geometry(v4);
	if (!why)
		why = check_v4_seal(v4);
	return why;
}

/* Was this slot written as a whole, and is it a slot at all? */
static const char *check_v4_slot(const void *buf, const struct cow_disk_v4 *v4,
				 unsigned int slot)
{
	if (v4->magic != COW_MAGIC_BE || v4->version != COW_V4)
		return "it has no V4 header";
	if (v4->header_len != sizeof(*v4))
		return "its header's length is not 512";
	if (v4->crc != crc_without(buf, sizeof(*v4),
				   offsetof(struct cow_disk_v4, crc)))
		return "its header's checksum is wrong";
	if ((v4->generation & 1) != slot)
		return "its generation belongs in the other slot";
	return NULL;
}

int cow_v4_parse(const void *buf, unsigned int slot, struct cow_disk_v4 *v4,
		 const char **why)
{
	memcpy(v4, buf, sizeof(*v4));
	v4_order(v4);
	*why = check_v4_slot(buf, v4, slot);
	if (*why)
		return -EBADMSG;
	if (v4->incompatible) {
		*why = "it uses a feature that this program does not know";
		return -ENOTSUP;
	}
	*why = check_v4(v4);
	return *why ? -EINVAL : 0;
}

void cow_v4_emit(const struct cow_disk_v4 *v4, void *buf)
{
	struct cow_disk_v4 disk = *v4;

	disk.magic = COW_MAGIC_BE;
	disk.version = COW_V4;
	disk.crc = 0;
	disk.header_len = sizeof(disk);
	v4_order(&disk);
	disk.crc = cow_be32(cow_crc32c(0, &disk, sizeof(disk)));
	memcpy(buf, &disk, sizeof(disk));
}

/* ---- index pages ------------------------------------------------------- */

void cow_page_seal(struct cow_disk_page *page, const uint8_t uuid[16],
		   unsigned int level, uint64_t index, uint64_t block,
		   uint64_t generation)
{
	page->magic = cow_be32(COW_INDEX_MAGIC);
	page->crc = 0;
	page->generation = cow_be64(generation);
	page->index = cow_be64(index);
	page->block = cow_be64(block);
	page->level = cow_be32(level);
	page->reserved0 = 0;
	memcpy(page->uuid, uuid, sizeof(page->uuid));
	page->reserved1 = 0;
	page->crc = cow_be32(cow_crc32c(0, page, sizeof(*page)));
}

int cow_page_check(const struct cow_disk_page *page, const uint8_t uuid[16],
		   unsigned int level, uint64_t index, uint64_t block)
{
	uint32_t crc;

	/* The cheap ones first: they tell a page of another time or place. */
	if (page->magic != cow_be32(COW_INDEX_MAGIC) ||
	    page->level != cow_be32(level) ||
	    page->index != cow_be64(index) ||
	    page->block != cow_be64(block) ||
	    memcmp(page->uuid, uuid, sizeof(page->uuid)))
		return -EBADMSG;
	crc = crc_without(page, sizeof(*page),
			  offsetof(struct cow_disk_page, crc));
	return page->crc == cow_be32(crc) ? 0 : -EBADMSG;
}

/* ---- state records ----------------------------------------------------- */

static int check_record(const struct cow_disk_record *disk, const char *name,
			size_t name_len)
{
	if (name_len != cow_be32(disk->name_len) || name_len >= COW_PATH_MAX)
		return -EINVAL;
	if (strnlen(name, name_len) != name_len)
		return -EINVAL;
	if (cow_be32(disk->state) & ~COW_RECORD_STATES)
		return -EINVAL;
	if (cow_be32(disk->self.birth_nsec) >= NSEC_PER_SEC)
		return -EINVAL;
	if (cow_be64(disk->parent_size) > OFFSET_MAX)
		return -EINVAL;
	return 0;
}

int cow_record_parse(const void *buf, size_t len, struct cow_record *rec)
{
	struct cow_disk_record disk;
	const char *name = (const char *)buf + sizeof(disk);
	int err;

	memset(rec, 0, sizeof(*rec));
	if (len < sizeof(disk))
		return -EINVAL;
	memcpy(&disk, buf, sizeof(disk));
	if (disk.magic != cow_be32(COW_RECORD_MAGIC) ||
	    disk.version != cow_be32(RECORD_VERSION))
		return -EINVAL;
	if (cow_be32(disk.crc) !=
	    crc_without(buf, len, offsetof(struct cow_disk_record, crc)))
		return -EBADMSG;
	err = check_record(&disk, name, len - sizeof(disk));
	if (err)
		return err;
	id_order(&disk.self);
	rec->state = cow_be32(disk.state);
	rec->self.dev = disk.self.dev;
	rec->self.ino = disk.self.ino;
	rec->self.birth_sec = disk.self.birth_sec;
	rec->self.birth_nsec = disk.self.birth_nsec;
	rec->parent_size = cow_be64(disk.parent_size);
	rec->parent_mtime = cow_be32(disk.parent_mtime);
	memcpy(rec->successor, name, len - sizeof(disk));
	return 0;
}

size_t cow_record_emit(const struct cow_record *rec, void *buf)
{
	size_t name_len = strnlen(rec->successor, COW_PATH_MAX - 1);
	struct cow_disk_record disk = {
		.magic = cow_be32(COW_RECORD_MAGIC),
		.version = cow_be32(RECORD_VERSION),
		.state = cow_be32(rec->state),
		.self.dev = rec->self.dev,
		.self.ino = rec->self.ino,
		.self.birth_sec = rec->self.birth_sec,
		.self.birth_nsec = rec->self.birth_nsec,
		.parent_size = cow_be64(rec->parent_size),
		.parent_mtime = cow_be32(rec->parent_mtime),
		.name_len = cow_be32(name_len),
	};
	uint32_t crc;

	id_order(&disk.self);
	crc = cow_crc32c(0, &disk, sizeof(disk));
	crc = cow_crc32c(crc, rec->successor, name_len);
	disk.crc = cow_be32(crc);
	memcpy(buf, &disk, sizeof(disk));
	memcpy((char *)buf + sizeof(disk), rec->successor, name_len);
	return sizeof(disk) + name_len;
}

/* ---- lists of children ------------------------------------------------- */

static int check_children(const char *name, size_t len)
{
	unsigned int count;
	size_t n;

	for (count = 0; len; count++) {
		n = strnlen(name, len);
		if (n == len || n >= COW_PATH_MAX || *name != '/' ||
		    count == COW_CHILDREN_NAMES)
			return -EINVAL;
		name += n + 1;
		len -= n + 1;
	}
	return 0;
}

int cow_children_parse(const void *buf, size_t len, uint32_t *flags)
{
	struct cow_disk_children disk;

	if (len < sizeof(disk))
		return -EINVAL;
	memcpy(&disk, buf, sizeof(disk));
	if (disk.magic != cow_be32(COW_CHILDREN_MAGIC) ||
	    disk.version != cow_be32(CHILDREN_VERSION))
		return -EINVAL;
	if (cow_be32(disk.crc) !=
	    crc_without(buf, len, offsetof(struct cow_disk_children, crc)))
		return -EBADMSG;
	*flags = cow_be32(disk.flags);
	if (*flags & ~COW_CHILDREN_MORE)
		return -EINVAL;
	return check_children((const char *)buf + sizeof(disk),
			      len - sizeof(disk));
}

void cow_children_seal(void *buf, size_t len, uint32_t flags)
{
	struct cow_disk_children disk = {
		.magic = cow_be32(COW_CHILDREN_MAGIC),
		.version = cow_be32(CHILDREN_VERSION),
		.flags = cow_be32(flags),
	};

	memcpy(buf, &disk, sizeof(disk));
	disk.crc = cow_be32(cow_crc32c(0, buf, len));
	memcpy(buf, &disk, sizeof(disk));
}
