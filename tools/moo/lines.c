// SPDX-License-Identifier: GPL-2.0-only
/*
 * The lines of a text.
 *
 * Duty: lines with their numbers, for errors that name them.
 *
 * Invariant: whoever waits for a terminal or a pipe can be cancelled.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "lines.h"

/* A signal that is held back wakes nobody: look again after so many ms. */
#define PATIENCE	100

int moo_lines_open(struct moo_lines *lines, const char *name,
		   struct cow_error *err)
{
	bool given = !strcmp(name, "-");

	lines->name = given ? "standard input" : name;
	lines->number = 0;
	lines->at = 0;
	lines->have = 0;
	lines->fd = given ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC);
	if (lines->fd < 0)
		return moo_fail(err, -errno, "%s: can not be opened: %s",
				name, strerror(errno));
	return 0;
}

void moo_lines_close(struct moo_lines *lines)
{
	if (lines->fd > STDIN_FILENO)
		close(lines->fd);
	lines->fd = -1;
}

int moo_lines_bad(const struct moo_lines *lines, struct cow_error *err,
		  const char *format, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	return moo_fail(err, -EINVAL, "%s: line %lu: %s", lines->name,
			lines->number, text);
}

static int failed(const struct moo_lines *lines, int ret,
		  struct cow_error *err)
{
	return moo_fail(err, ret, "%s: can not be read: %s", lines->name,
			strerror(-ret));
}

/* More bytes behind those that there are; 0 at the end. */
static ssize_t read_more(struct moo_lines *lines, struct cow_error *err)
{
	struct pollfd wait = { .fd = lines->fd, .events = POLLIN };
	ssize_t got;

	do {
		if (moo_cancelled())
			return moo_cancel(lines->name, err);
	} while (!poll(&wait, 1, PATIENCE));
	got = read(lines->fd, lines->buf + lines->have,
		   sizeof(lines->buf) - lines->have);
	if (got < 0)
		return failed(lines, -errno, err);
	lines->have += got;
	return got;
}

/* The end of the line at @at, or NULL if there is nothing more. */
static int find_end(struct moo_lines *lines, char **end, struct cow_error *err)
{
	ssize_t got;

	for (;;) {
		*end = memchr(lines->buf + lines->at, '\n',
			      lines->have - lines->at);
		if (*end)
			return 0;
		memmove(lines->buf, lines->buf + lines->at,
			lines->have - lines->at);
		lines->have -= lines->at;
		lines->at = 0;
		if (lines->have == sizeof(lines->buf)) {
			lines->number++;
			return moo_lines_bad(lines, err, "it is too long");
		}
		got = read_more(lines, err);
		if (got <= 0)
			return got;
	}
}

static int one_line(struct moo_lines *lines, char **text,
		    struct cow_error *err)
{
	char *end;
	int ret = find_end(lines, &end, err);

	*text = NULL;
	if (ret)
		return ret;
	if (!end && lines->at == lines->have)
		return 0;
	lines->number++;
	if (!end)
		return moo_lines_bad(lines, err, "it has no end");
	*end = '\0';
	*text = lines->buf + lines->at;
	lines->at = end + 1 - lines->buf;
	if (strlen(*text) != (size_t)(end - *text))
		return moo_lines_bad(lines, err, "it is no text");
	return 0;
}

int moo_lines_next(struct moo_lines *lines, char **text,
		   struct cow_error *err)
{
	int ret;

	do {
		ret = one_line(lines, text, err);
	} while (!ret && *text && (!**text || **text == '#'));
	return ret;
}
