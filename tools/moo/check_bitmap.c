// SPDX-License-Identifier: GPL-2.0-only
/*
 * V1 to V3: is the bitmap sane?
 *
 * Duty: every bit that is set belongs to a sector of the device, and that
 * sector's data stands in the file. What the header says of size and alignment
 * is held against the file: where they are wrong, the bitmap and the data are
 * looked for in wrong places, and there is no checksum to tell.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

/* Number of bits set, and the highest of them. */
struct bits {
	uint64_t count;
	uint64_t past;
	uint64_t highest;
};

static void look_at_byte(struct bits *bits, uint8_t byte, uint64_t first,
			 uint64_t sectors)
{
	unsigned int i;

	for (i = 0; byte >> i; i++) {
		if (!(byte >> i & 1))
			continue;
		if (first + i >= sectors) {
			bits->past++;
			continue;
		}
		bits->count++;
		bits->highest = first + i;
	}
}

/* Holes are skipped: they cost nothing to make, however large. */
static uint64_t next_bits(const struct check *check, uint64_t at)
{
	const struct moo_probe *p = check->probe;
	uint64_t begin = p->hdr.bitmap_offset;
	int64_t data = p->env.io->next_data(p->env.ctx, p->fd, begin + at);

	return moo_min((uint64_t)data - begin, p->hdr.bitmap_len);
}

/* Most bytes are zero; words pass quickly over them. */
static uint64_t next_byte(const uint8_t *buf, uint64_t at, uint64_t len)
{
	uint64_t word;

	for (; at + sizeof(word) <= len; at += sizeof(word)) {
		memcpy(&word, buf + at, sizeof(word));
		if (word)
			break;
	}
	while (at < len && !buf[at])
		at++;
	return at;
}

static int read_bits(struct check *check, struct bits *bits, uint8_t *buf,
		     struct cow_error *err)
{
	const struct cow_header *hdr = &check->probe->hdr;
	uint64_t at, len, i;
	int ret;

	for (at = 0; at < hdr->bitmap_len; at += len) {
		at = next_bits(check, at);
		len = moo_min(COW_BITS_PART, hdr->bitmap_len - at);
		ret = check_read(check, buf, len, hdr->bitmap_offset + at,
				 err);
		if (ret)
			return ret;
		for (i = next_byte(buf, 0, len); i < len;
		     i = next_byte(buf, i + 1, len))
			look_at_byte(bits, buf[i], (at + i) * 8, check->total);
	}
	return 0;
}

static void judge(struct check *check, const struct bits *bits)
{
	const struct moo_probe *p = check->probe;
	uint64_t end;

	check->allocated = bits->count;
	check->end = p->st.size;
	if (bits->past)
		check_found(check, CHECK_BITS,
			    "its bitmap has %llu bits past the last sector",
			    (unsigned long long)bits->past);
	if (!bits->count)
		return;
	end = p->hdr.data_offset + ((bits->highest + 1) << COW_SECTOR_SHIFT);
	if (end > p->st.size)
		check_found(check, CHECK_LASTS,
			    "ends before the data of sector %llu, which it owns",
			    (unsigned long long)bits->highest);
}

/* Is there nothing but zeros from byte @at to byte @end? */
static int check_zeros(struct check *check, uint8_t *buf, uint64_t at,
		       uint64_t end, struct cow_error *err)
{
	uint64_t len, i;
	int ret;

	for (; at < end; at += len) {
		len = moo_min(MOO_BUFFER, end - at);
		ret = check_read(check, buf, len, at, err);
		if (ret)
			return ret;
		for (i = 0; i < len; i++) {
			if (!buf[i])
				continue;
			check_found(check, CHECK_LASTS,
				    "there is something beside its bitmap, at byte %llu: its alignment, %u, may be wrong",
				    (unsigned long long)(at + i),
				    check->probe->hdr.alignment);
			return 0;
		}
	}
	return 0;
}

/*
 * No program writes before or behind the bitmap of V3; but some round it up to
 * words of 64 bits.
 */
static int check_padding(struct check *check, uint8_t *buf,
			 struct cow_error *err)
{
	const struct cow_header *hdr = &check->probe->hdr;
	uint64_t behind = hdr->bitmap_offset + moo_round_up(hdr->bitmap_len, 8);
	uint64_t header = hdr->broken ? sizeof(struct cow_disk_v3_broken) :
					sizeof(struct cow_disk_v3);
	int ret;

	if (hdr->format != COW_V3)
		return 0;
	ret = check_zeros(check, buf, header, hdr->bitmap_offset, err);
	if (!ret)
		ret = check_zeros(check, buf, behind, hdr->data_offset, err);
	return ret;
}

/* A file may be shorter than header and device, but is never longer. */
static void check_length(struct check *check)
{
	const struct moo_probe *p = check->probe;
	uint64_t end = p->hdr.data_offset + p->device;

	if (p->st.kind == IO_KIND_FILE && p->st.size > end)
		check_found(check, CHECK_LASTS,
			    "is %llu bytes longer than its header makes it: the header's size or alignment may be wrong",
			    (unsigned long long)(p->st.size - end));
}

int check_bitmap(struct check *check, struct cow_error *err)
{
	struct bits bits = { 0 };
	uint8_t *buf = malloc(MOO_BUFFER);
	int ret;

	if (!buf)
		return moo_fail(err, -ENOMEM, "%s: out of memory",
				check->probe->name);
	check->total = check->probe->device >> COW_SECTOR_SHIFT;
	ret = check_padding(check, buf, err);
	if (!ret)
		ret = read_bits(check, &bits, buf, err);
	free(buf);
	if (ret)
		return ret;
	judge(check, &bits);
	check_length(check);
	return 0;
}
