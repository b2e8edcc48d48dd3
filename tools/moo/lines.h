/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The lines of a text, from a file or from standard input.
 */
#ifndef MOO_LINES_H
#define MOO_LINES_H

#include "moo.h"

/* Longer ones are refused; the longest that is written has an escaped name. */
#define MOO_LINE_MAX	0x8000u

/**
 * struct moo_lines - a text that is being read
 * @name: for people
 * @fd: open for reading
 * @number: of the line that was read last
 * @at: first byte of @buf that was not taken yet
 * @have: bytes in @buf
 */
struct moo_lines {
	const char *name;
	int fd;
	unsigned long number;
	size_t at;
	size_t have;
	char buf[MOO_LINE_MAX];
};

/**
 * moo_lines_open() - begin to read
 * @name: a file; "-" is standard input
 */
int moo_lines_open(struct moo_lines *lines, const char *name,
		   struct cow_error *err);
void moo_lines_close(struct moo_lines *lines);

/**
 * moo_lines_next() - the next line that is neither empty nor a comment
 * @text: without its newline, valid until the next call; NULL at the end
 *
 * Return: 0, -EINVAL for what is no text, -EINTR if cancelled, or what the host
 * said.
 */
int moo_lines_next(struct moo_lines *lines, char **text,
		   struct cow_error *err);

/**
 * moo_lines_bad() - the error for the line that was read last
 * Return: -EINVAL.
 */
int moo_lines_bad(const struct moo_lines *lines, struct cow_error *err,
		  const char *format, ...)
	__printf(3, 4);

#endif
