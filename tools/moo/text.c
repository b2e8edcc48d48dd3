// SPDX-License-Identifier: GPL-2.0-only
/*
 * The text form of a COW file: its fields, and sectors in base64.
 *
 * Duty: one table of fields for each version, from which both directions
 * follow. Pure: nothing here reads or writes a COW file.
 *
 * Invariant: a value has one spelling, so that equal files have equal texts.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

#define FIELD(kind, label, member)					\
	{ .name = label, .type = TEXT_##kind,				\
	  .offset = offsetof(struct moo_text, member) }
#define BYTES(label, member, length)					\
	{ .name = label, .type = TEXT_BYTES, .size = length,		\
	  .offset = offsetof(struct moo_text, member) }

static const struct text_field v1[] = {
	FIELD(FLAG, "little_endian", hdr.little_endian),
	FIELD(NAME, "path", hdr.parent),
	FIELD(U32, "mtime", hdr.mtime),
	FIELD(U64, "size", hdr.size),
	{ .name = NULL },
};

static const struct text_field v2[] = {
	FIELD(NAME, "path", hdr.parent),
	FIELD(U32, "mtime", hdr.mtime),
	FIELD(U64, "size", hdr.size),
	{ .name = NULL },
};

static const struct text_field v3[] = {
	FIELD(FLAG, "broken", hdr.broken),
	FIELD(U32, "mtime", hdr.mtime),
	FIELD(U64, "size", hdr.size),
	FIELD(U32, "alignment", hdr.alignment),
	FIELD(NAME, "path", hdr.parent),
	{ .name = NULL },
};

static const struct text_field v4[] = {
	FIELD(U64, "generation", hdr.v4.generation),
	FIELD(U64, "incompatible", hdr.v4.incompatible),
	FIELD(U64, "compatible", hdr.v4.compatible),
	FIELD(U64, "ro_compatible", hdr.v4.ro_compatible),
	BYTES("uuid", hdr.v4.uuid, 16),
	FIELD(U64, "size", hdr.v4.size),
	FIELD(U64, "content", hdr.v4.content),
	FIELD(U64, "owned", hdr.v4.owned),
	FIELD(U32, "kind", hdr.v4.kind),
	FIELD(U32, "state", hdr.v4.state),
	FIELD(U32, "sectorsize", hdr.v4.sectorsize),
	FIELD(U32, "parent_format", hdr.v4.parent_format),
	BYTES("parent_uuid", hdr.v4.parent_uuid, 16),
	FIELD(U64, "parent_content", hdr.v4.parent_content),
	FIELD(U64, "parent_size", hdr.v4.parent_size),
	FIELD(S64, "parent_mtime_sec", hdr.v4.parent_mtime_sec),
	FIELD(U32, "parent_mtime_nsec", hdr.v4.parent_mtime_nsec),
	BYTES("reserved0", hdr.v4.reserved0, 4),
	FIELD(NAME, "parent", hdr.parent),
	FIELD(NAME, "successor", record.successor),
	FIELD(U64, "self.dev", hdr.v4.self.dev),
	FIELD(U64, "self.ino", hdr.v4.self.ino),
	FIELD(S64, "self.birth_sec", hdr.v4.self.birth_sec),
	FIELD(U32, "self.birth_nsec", hdr.v4.self.birth_nsec),
	BYTES("self.reserved", hdr.v4.self.reserved, 4),
	FIELD(U32, "cylinders", hdr.v4.cylinders),
	FIELD(U32, "heads", hdr.v4.heads),
	FIELD(U32, "sectors", hdr.v4.sectors),
	FIELD(U32, "padding", hdr.v4.padding),
	BYTES("reserved1", hdr.v4.seal, 248),
	{ .name = NULL },
};

/* Of a disk whose data stands in place, where it begins. */
static const struct text_field v4_disk[] = {
	FIELD(U64, "end", hdr.v4.end),
	{ .name = NULL },
};

static const struct text_field record[] = {
	FIELD(U32, "state", record.state),
	FIELD(U64, "self.dev", record.self.dev),
	FIELD(U64, "self.ino", record.self.ino),
	FIELD(S64, "self.birth_sec", record.self.birth_sec),
	FIELD(U32, "self.birth_nsec", record.self.birth_nsec),
	FIELD(U64, "parent_size", record.parent_size),
	FIELD(U32, "parent_mtime", record.parent_mtime),
	FIELD(NAME, "successor", record.successor),
	{ .name = NULL },
};

_Static_assert(sizeof(bool) == 1, "a flag is a byte");
/* Of a file that is not sealed, all behind the free list is reserved. */
_Static_assert(sizeof(struct cow_disk_v4) -
	       offsetof(struct cow_disk_v4, seal) == 248, "248");

const struct text_field *moo_text_place(const struct moo_text *text)
{
	if (text->hdr.format == COW_V4 && text->hdr.v4.kind == COW_KIND_DISK)
		return v4_disk;
	return &v4_disk[ARRAY_SIZE(v4_disk) - 1];
}

const struct text_field *moo_text_fields(enum cow_format format)
{
	switch (format) {
	case COW_V1:
		return v1;
	case COW_V2:
		return v2;
	case COW_V3:
		return v3;
	case COW_V4:
		return v4;
	default:
		return record;
	}
}

/* ---- written ----------------------------------------------------------- */

static void show_name(FILE *out, const char *name)
{
	const unsigned char *s = (const unsigned char *)name;

	for (; *s; s++) {
		if (*s < 0x20 || *s == 0x7f || *s == '\\')
			fprintf(out, "\\x%02x", *s);
		else
			putc(*s, out);
	}
}

static void show_bytes(FILE *out, const uint8_t *bytes, size_t size)
{
	size_t i;

	for (i = 0; i < size; i++)
		fprintf(out, "%02x", bytes[i]);
}

void moo_text_show(FILE *out, const struct moo_text *text,
		   const struct text_field *field)
{
	const void *value = (const char *)text + field->offset;

	fprintf(out, "%s = ", field->name);
	switch (field->type) {
	case TEXT_FLAG:
		fprintf(out, "%d", *(const bool *)value);
		break;
	case TEXT_U32:
		fprintf(out, "%u", *(const uint32_t *)value);
		break;
	case TEXT_U64:
		fprintf(out, "%llu",
			(unsigned long long)*(const uint64_t *)value);
		break;
	case TEXT_S64:
		fprintf(out, "%lld", (long long)*(const int64_t *)value);
		break;
	case TEXT_BYTES:
		show_bytes(out, value, field->size);
		break;
	case TEXT_NAME:
		show_name(out, value);
		break;
	}
	putc('\n', out);
}

/* ---- read -------------------------------------------------------------- */

int moo_text_number(const char *value, uint64_t *number, const char **end)
{
	const char *s = value;
	char *stop;

	if (*s < '0' || *s > '9' || (*s == '0' && s[1] >= '0' && s[1] <= '9'))
		return -EINVAL;
	errno = 0;
	*number = strtoull(s, &stop, 10);
	if (errno || (!end && *stop))
		return -EINVAL;
	if (end)
		*end = stop;
	return 0;
}

static int take_below(const char *text, uint64_t max, uint64_t *number)
{
	int ret = moo_text_number(text, number, NULL);

	return ret || *number <= max ? ret : -EINVAL;
}

static int take_signed(void *value, const char *text)
{
	bool minus = *text == '-';
	uint64_t number;
	int ret = moo_text_number(text + minus, &number, NULL);

	if (ret || number > (uint64_t)INT64_MAX || (minus && !number))
		return -EINVAL;
	*(int64_t *)value = minus ? -(int64_t)number : (int64_t)number;
	return 0;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int hex_byte(const char *text)
{
	int high = hex_digit(text[0]);
	int low = high < 0 ? -1 : hex_digit(text[1]);

	return low < 0 ? -1 : high << 4 | low;
}

static int take_bytes(uint8_t *bytes, size_t size, const char *text)
{
	size_t i;
	int byte;

	for (i = 0; i < size; i++, text += 2) {
		byte = hex_byte(text);
		if (byte < 0)
			return -EINVAL;
		bytes[i] = byte;
	}
	return *text ? -EINVAL : 0;
}

/* The next byte of a name, or -1; only what has to be is escaped. */
static int take_char(const char **text)
{
	unsigned char c = *(*text)++;
	int byte;

	if (c < 0x20 || c == 0x7f)
		return -1;
	if (c != '\\')
		return c;
	if (*(*text)++ != 'x')
		return -1;
	byte = hex_byte(*text);
	*text += 2;
	if (byte <= 0 || (byte >= 0x20 && byte != 0x7f && byte != '\\'))
		return -1;
	return byte;
}

static int take_name(char *name, const char *text)
{
	size_t len = 0;
	int c;

	while (*text) {
		c = take_char(&text);
		if (c < 0 || len == COW_PATH_MAX - 1)
			return -EINVAL;
		name[len++] = c;
	}
	name[len] = '\0';
	return 0;
}

int moo_text_take(struct moo_text *text, const struct text_field *field,
		  const char *value)
{
	void *to = (char *)text + field->offset;
	uint64_t number = 0;
	int ret = 0;

	switch (field->type) {
	case TEXT_FLAG:
		ret = take_below(value, 1, &number);
		*(bool *)to = number;
		break;
	case TEXT_U32:
		ret = take_below(value, UINT32_MAX, &number);
		*(uint32_t *)to = number;
		break;
	case TEXT_U64:
		ret = take_below(value, UINT64_MAX, to);
		break;
	case TEXT_S64:
		ret = take_signed(to, value);
		break;
	case TEXT_BYTES:
		ret = take_bytes(to, field->size, value);
		break;
	case TEXT_NAME:
		ret = take_name(to, value);
		break;
	}
	return ret;
}

/* ---- sectors ----------------------------------------------------------- */

static const char digits[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void moo_text_encode(const uint8_t sector[COW_SECTOR_SIZE],
		     char line[TEXT_SECTOR + 1])
{
	uint32_t three;
	size_t i;

	for (i = 0; i < COW_SECTOR_SIZE; i += 3) {
		three = sector[i] << 16;
		if (i + 1 < COW_SECTOR_SIZE)
			three |= sector[i + 1] << 8;
		if (i + 2 < COW_SECTOR_SIZE)
			three |= sector[i + 2];
		*line++ = digits[three >> 18];
		*line++ = digits[three >> 12 & 63];
		*line++ = i + 1 < COW_SECTOR_SIZE ? digits[three >> 6 & 63] :
						    '=';
		*line++ = i + 2 < COW_SECTOR_SIZE ? digits[three & 63] : '=';
	}
	*line = '\0';
}

static int digit_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	return c == '/' ? 63 : -1;
}

int moo_text_decode(const char *line, uint8_t sector[COW_SECTOR_SIZE])
{
	uint8_t out[TEXT_SECTOR / 4 * 3];
	size_t i, len = 0;
	uint32_t four = 0;
	int value;

	/* 512 bytes leave one digit of the last four empty. */
	for (i = 0; i < TEXT_SECTOR; i++) {
		value = i == TEXT_SECTOR - 1 ? 0 : digit_value(line[i]);
		if (value < 0)
			return -EINVAL;
		four = four << 6 | value;
		if (i % 4 != 3)
			continue;
		out[len++] = four >> 16;
		out[len++] = four >> 8;
		out[len++] = four;
	}
	/* So has the one before it spare bits. */
	if (strcmp(line + TEXT_SECTOR - 1, "=") || out[COW_SECTOR_SIZE])
		return -EINVAL;
	memcpy(sector, out, COW_SECTOR_SIZE);
	return 0;
}
