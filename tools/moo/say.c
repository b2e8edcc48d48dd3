// SPDX-License-Identifier: GPL-2.0-only
/*
 * Words and numbers for people.
 *
 * Duty: errors as one line each, sizes read and written.
 * Invariant: what is printed is one line, even if a file name has more.
 */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "moo.h"

/* A file name may hold control characters; a line for people may not. */
static void make_printable(char *text)
{
	for (; *text; text++) {
		if (iscntrl((unsigned char)*text))
			*text = '?';
	}
}

int moo_fail(struct cow_error *err, int error, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(err->text, sizeof(err->text), format, ap);
	va_end(ap);
	return error;
}

void moo_complain(const char *format, ...)
{
	char text[COW_ERROR_LEN];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	make_printable(text);
	fflush(stdout);
	fprintf(stderr, "%s: %s\n", program_invocation_short_name, text);
}

int moo_finish(int ret, const struct cow_error *err)
{
	if (ret < 0)
		moo_complain("%s", err->text);
	else if (fflush(stdout) || ferror(stdout))
		moo_complain("standard output: %s", strerror(errno));
	else
		return MOO_OK;
	return MOO_FAILED;
}

/* What can not be written is told at the end, by moo_finish(). */
void moo_print(void *out, const char *bytes, size_t len)
{
	fwrite(bytes, 1, len, out);
}

/* The factor that a unit stands for, 0 if it is none. */
static uint64_t unit_factor(const char *unit)
{
	static const char letters[] = "bkmgtpe";
	const char *letter;

	if (!*unit)
		return 1;
	letter = strchr(letters, tolower((unsigned char)*unit));
	if (!letter)
		return 0;
	if (unit[1] && strcasecmp(unit + 1, "b") && strcasecmp(unit + 1, "ib"))
		return 0;
	return 1ull << 10 * (letter - letters);
}

/* "1.5G": a double holds exactly what people write so. */
static int parse_fraction(const char *text, uint64_t *size)
{
	char *end;
	double n = strtod(text, &end);
	uint64_t factor = unit_factor(end);

	if (!factor)
		return -EINVAL;
	n *= (double)factor;
	if (!(n < 0x1p63))
		return -ERANGE;
	*size = (uint64_t)n;
	return 0;
}

int moo_parse_size(const char *text, uint64_t *size)
{
	uint64_t n, factor;
	char *end;

	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	errno = 0;
	n = strtoull(text, &end, 10);
	factor = unit_factor(end);
	if (!factor)
		return parse_fraction(text, size);
	if (errno || n > INT64_MAX / factor)
		return -ERANGE;
	*size = n * factor;
	return 0;
}

const char *moo_human(uint64_t bytes, char buf[MOO_HUMAN])
{
	static const char * const unit[] = {
		"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB",
	};
	unsigned int u = 0;
	double n = bytes;

	while (n >= 1000 && u < 6) {
		n /= 1024;
		u++;
	}
	snprintf(buf, MOO_HUMAN, "%.3g %s", n, unit[u]);
	return buf;
}
