// SPDX-License-Identifier: GPL-2.0-only
/*
 * "moo check" from inside: its own sources, without a process for each file.
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "../../tools/moo/moo.h"
#include "stand.h"

static int muffle(int fd, int null)
{
	int saved = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	dup2(null, fd);
	return saved;
}

static void restore(int fd, int saved)
{
	dup2(saved, fd);
	close(saved);
}

/* Blocks that nothing refers to are no fault after one of the host's. */
int stand_check(const char *path)
{
	char *file = (char *)path;
	const struct moo_args args = { .file = &file, .files = 1 };
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	int out, err, status;

	fflush(stdout);
	fflush(stderr);
	out = muffle(STDOUT_FILENO, null);
	err = muffle(STDERR_FILENO, null);
	status = moo_check.run(&args);
	fflush(stdout);
	fflush(stderr);
	restore(STDOUT_FILENO, out);
	restore(STDERR_FILENO, err);
	close(null);
	return status == MOO_LEAKS ? MOO_OK : status;
}
