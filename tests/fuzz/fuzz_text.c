// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fuzz target: moo restore of a text of any bytes. What it takes is written down
 * again by moo dump, and that text is restored to a file with the same text.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../tools/moo/moo.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Longer numbers ask for files that take minutes; all else is in shorter ones. */
#define DIGITS_MAX	6

static char dir[32] = "/dev/shm/fuzz.XXXXXX";
static char text[8] = "text", once[8] = "once", twice[8] = "twice";
static char first[8] = "first", second[8] = "second";

static void remove_files(void)
{
	unlink(text);
	unlink(once);
	unlink(twice);
	unlink(first);
	unlink(second);
	rmdir(dir);
}

static void begin(void)
{
	static bool begun;

	if (begun)
		return;
	begun = true;
	if (!mkdtemp(dir) || chdir(dir))
		abort();
	atexit(remove_files);
}

static void put_text(const uint8_t *data, size_t len)
{
	FILE *file = fopen(text, "w");

	if (!file || fwrite(data, 1, len, file) != len || fclose(file))
		abort();
}

static int restore(char *from, char *to)
{
	char *file[2] = { from, to };
	struct moo_args args = { .file = file, .files = 2, .force = true };
	int status = moo_restore.run(&args);

	moo_cancel_end();
	return status;
}

/* 0, or what moo dump says of a file that restore has made. */
static int dump(char *from, const char *to)
{
	struct moo_args args = { .file = &from, .files = 1 };
	int status;

	if (!freopen(to, "w", stdout))
		abort();
	status = moo_dump.run(&args);
	if (fflush(stdout))
		abort();
	return status;
}

static void same_texts(void)
{
	FILE *a = fopen(first, "r"), *b = fopen(second, "r");
	int c;

	if (!a || !b)
		abort();
	do {
		c = getc(a);
		if (c != getc(b))
			abort();
	} while (c != EOF);
	fclose(a);
	fclose(b);
}

static bool has_long_number(const uint8_t *line, size_t len)
{
	unsigned int digits = 0;
	size_t i;

	for (i = 0; i < len && digits <= DIGITS_MAX; i++)
		digits = isdigit(line[i]) ? digits + 1 : 0;
	return digits > DIGITS_MAX;
}

/* Does the line ask for room? */
static bool is_size(const uint8_t *line, size_t len)
{
	static const char * const words[] = {
		"size = ", "end = ", "data ", "hole ", "zero ",
	};
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(*words); i++) {
		if (len > strlen(words[i]) &&
		    !memcmp(line, words[i], strlen(words[i])))
			return true;
	}
	return false;
}

static bool is_long(const uint8_t *data, size_t len)
{
	while (len) {
		const uint8_t *end = memchr(data, '\n', len);
		size_t line = end ? (size_t)(end - data) : len;

		if (is_size(data, line) && has_long_number(data, line))
			return true;
		len -= end ? line + 1 : line;
		data += end ? line + 1 : line;
	}
	return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (is_long(data, len))
		return 0;
	begin();
	put_text(data, len);
	if (restore(text, once) || dump(once, first))
		return 0;
	if (restore(first, twice) || dump(twice, second))
		abort();
	same_texts();
	return 0;
}
