// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is built on a file: the list of children that it carries.
 *
 * Duty: the list of a parent that is known by its name, and the line for people
 * where something on the list is in the way.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "children.h"
#include "moo.h"

int moo_children_add(const struct cow_env *env, const char *parent,
		     const char *child)
{
	char *name = malloc(COW_PATH_MAX);
	int fd, ret;

	if (!name)
		return -ENOMEM;
	ret = cow_absolute(env, child, name);
	fd = ret ? ret : env->io->open(env->ctx, parent, 0);
	if (fd >= 0) {
		ret = cow_children_add(env, fd, name);
		env->io->close(env->ctx, fd);
	} else {
		ret = fd;
	}
	free(name);
	return ret;
}

int moo_dependents_refuse(const struct cow_env *env, const char *name, int fd,
			  const struct io_id *except, const char *how,
			  struct cow_error *err)
{
	char names[COW_DEPENDENTS_LEN];
	int ret = cow_dependents(env, fd, except, names);

	if (ret > 0)
		return moo_fail(err, -EBUSY, "%s: %s; built on it: %s", name,
				how, names);
	if (ret == -EBADMSG)
		return moo_fail(err, ret,
				"%s: its list of children (attribute user.moo.children) is damaged; %s",
				name, how);
	if (ret)
		return moo_fail(err, ret,
				"%s: its list of children can not be read: %s",
				name, strerror(-ret));
	return 0;
}
