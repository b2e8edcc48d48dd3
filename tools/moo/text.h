/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The text form of a COW file: what moo dump writes and moo restore reads.
 *
 * A text is a sequence of lines. Empty ones, and those that begin with "#",
 * have no meaning. The first one is TEXT_MAGIC, the second "format = N". Then
 * come the fields of the header, "name = value", all of them in the order of
 * moo_text_fields(), with the names that Documentation/cow-format.rst gives
 * them; for a V4 disk "end = N"; for V1 to V3 "record = 0" or "record = 1", and
 * then the fields of the state record. Then, in rising order of sectors, what the file owns:
 *
 * - "data SECTOR", then a line for each sector from this one on: 512 bytes in
 *   base64, or "0" for zeros; then "sum COUNT CRC", with CRC32C over the bytes of
 *   all these sectors;
 * - "hole SECTOR COUNT": sectors of data in a hole of the file;
 * - "zero SECTOR COUNT": of V4, sectors in the state zero.
 *
 * The last line is "end".
 *
 * Numbers are decimal, bytes and CRC hexadecimal. In names, control characters
 * and the backslash are written \xHH.
 */
#ifndef MOO_TEXT_H
#define MOO_TEXT_H

#include "moo.h"

#define TEXT_MAGIC	"moo dump 1"

/* A sector in base64. */
#define TEXT_SECTOR	((COW_SECTOR_SIZE + 2) / 3 * 4)

/**
 * struct moo_text - all of a file but what it owns
 * @recorded: V1 to V3: it has a state record
 */
struct moo_text {
	struct cow_header hdr;
	struct cow_record record;
	bool recorded;
};

enum text_type {
	TEXT_FLAG,	/* bool */
	TEXT_U32,
	TEXT_U64,
	TEXT_S64,
	TEXT_BYTES,
	TEXT_NAME,	/* with a NUL, in COW_PATH_MAX bytes */
};

/**
 * struct text_field - a line "name = value"
 * @offset: of the value in struct moo_text
 * @size: TEXT_BYTES: how many
 */
struct text_field {
	const char *name;
	enum text_type type;
	size_t offset;
	size_t size;
};

/**
 * moo_text_fields() - the lines for a header, and those for a state record
 * @format: which header, COW_RAW stands for the record
 *
 * Return: the first one; the last one has no name.
 */
const struct text_field *moo_text_fields(enum cow_format format);

/**
 * moo_text_place() - the lines that follow those of the header
 *
 * Where its data begins, of a file that has it in place; of others none.
 */
const struct text_field *moo_text_place(const struct moo_text *text);

/**
 * moo_text_show() - write the line for a field
 */
void moo_text_show(FILE *out, const struct moo_text *text,
		   const struct text_field *field);

/**
 * moo_text_take() - understand the value in the line for a field
 * Return: 0 or -EINVAL.
 */
int moo_text_take(struct moo_text *text, const struct text_field *field,
		  const char *value);

/**
 * moo_text_number() - a decimal number, and nothing else
 * @end: behind it; NULL: nothing may be there
 *
 * Return: 0 or -EINVAL.
 */
int moo_text_number(const char *value, uint64_t *number, const char **end);

void moo_text_encode(const uint8_t sector[COW_SECTOR_SIZE],
		     char line[TEXT_SECTOR + 1]);

/**
 * moo_text_decode() - the only line that moo_text_encode() makes of a sector
 * Return: 0 or -EINVAL.
 */
int moo_text_decode(const char *line, uint8_t sector[COW_SECTOR_SIZE]);

#endif
