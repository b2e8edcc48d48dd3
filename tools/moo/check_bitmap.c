// SPDX-License-Identifier: GPL-2.0-only
/*
 * V1 to V3: is the bitmap sane?
 *
 * Duty: every bit that is set belongs to a sector of the device, and that
 * sector's data stands in the file.
 */
#include <errno.h>
#include <stdlib.h>

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

static int read_bits(struct check *check, struct bits *bits, uint8_t *buf,
		     struct cow_error *err)
{
	const struct cow_header *hdr = &check->probe->hdr;
	uint64_t at, len, i;
	int ret;

	for (at = 0; at < hdr->bitmap_len; at += len) {
		len = moo_min(MOO_BUFFER, hdr->bitmap_len - at);
		ret = check_read(check, buf, len, hdr->bitmap_offset + at,
				 err);
		if (ret)
			return ret;
		for (i = 0; i < len; i++)
			if (buf[i])
				look_at_byte(bits, buf[i], (at + i) * 8,
					     check->total);
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
		check_found(check, "its bitmap has %llu bits past the last sector",
			    (unsigned long long)bits->past);
	if (!bits->count)
		return;
	end = p->hdr.data_offset + ((bits->highest + 1) << COW_SECTOR_SHIFT);
	if (end > p->st.size)
		check_found(check, "ends before the data of sector %llu, which it owns",
			    (unsigned long long)bits->highest);
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
	ret = read_bits(check, &bits, buf, err);
	free(buf);
	if (!ret)
		judge(check, &bits);
	return ret;
}
