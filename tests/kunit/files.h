/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Files of the host for a test inside the kernel.
 *
 * Duty: names in this machine's own directory, where its mconsole socket
 * stands: no other machine uses it, and it is removed when the machine ends.
 *
 * Invariant: a name is free when a test gets it, and again when that test has
 * ended, together with what the engine may have put beside it.
 */
#ifndef KUNIT_FILES_H
#define KUNIT_FILES_H

#include <kunit/test.h>
#include <linux/string.h>
#include "cow/io_host.h"
#include "mconsole.h"

static inline void files_remove(void *name)
{
	char *record = kasprintf(GFP_KERNEL, "%s.moo", (char *)name);

	io_host_unlink(NULL, name);
	if (record)
		io_host_unlink(NULL, record);
	kfree(record);
}

/* The path of a file called "kunit-@name", which is not made. */
static inline const char *files_name(struct kunit *test, const char *name)
{
	const char *end = strrchr(mconsole_socket_name, '/');
	char *path;

	KUNIT_ASSERT_NOT_NULL_MSG(test, end, "no mconsole, no directory");
	path = kunit_kzalloc(test, COW_PATH_MAX, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, path);
	snprintf(path, COW_PATH_MAX, "%.*s/kunit-%s",
		 (int)(end - mconsole_socket_name), mconsole_socket_name, name);
	files_remove(path);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action(test, files_remove, path));
	return path;
}

/* The same, and a file of @size zeros is there; opened, to be closed. */
static inline int files_open(struct kunit *test, const char *path, u64 size)
{
	int fd = io_host_create(NULL, path, 0600, ~0u);

	KUNIT_ASSERT_GE_MSG(test, fd, 0, "%s", path);
	KUNIT_ASSERT_EQ(test, 0, io_host_truncate(NULL, fd, size));
	KUNIT_ASSERT_EQ(test, 0, io_host_publish(NULL, fd, path));
	return fd;
}

#endif
