// SPDX-License-Identifier: GPL-2.0-only
/*
 * Errors for people: one line that names the file, what is wrong, what to do.
 *
 * Duty: format such a line, and say in words what an errno means for a file.
 */
#include <stdarg.h>
#include <stdio.h>
#include "engine.h"

int cow_fail(struct cow_error *err, int ret, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, args);
	va_end(args);
	return ret;
}

static const struct {
	int error;
	const char *text;
} reasons[] = {
	{ ENOENT, "there is no such file" },
	{ EEXIST, "it exists already; choose another name" },
	{ EACCES, "permission denied" },
	{ EPERM, "the host does not permit it" },
	{ ENOSPC, "no space is left on its file system" },
	{ EDQUOT, "the disk quota is exceeded" },
	{ EROFS, "its file system is read-only" },
	{ EISDIR, "it is a directory" },
	{ ENOTDIR, "a part of its name is not a directory" },
	{ ELOOP, "too many symbolic links" },
	{ EINVAL, "it is neither a file nor a block device" },
	{ EAGAIN, "it is in use elsewhere; stop that machine or tool first" },
	{ EMFILE, "too many files are open" },
	{ ENOMEM, "no memory is left" },
	{ EIO, "the host could not read or write it" },
	{ EBADMSG, "its metadata is damaged; look at it with moo check" },
	{ ENAMETOOLONG, "its name is too long" },
	{ EOPNOTSUPP, "its file system can not do that" },
	{ EFBIG, "it would become too large" },
};

const char *cow_reason(int error)
{
	size_t i;

	for (i = 0; i < sizeof(reasons) / sizeof(*reasons); i++) {
		if (reasons[i].error == -error)
			return reasons[i].text;
	}
	return "the host reports an error";
}

const char *cow_reason_new(int error)
{
	if (error == -ENOENT)
		return "its directory does not exist";
	return cow_reason(error);
}
