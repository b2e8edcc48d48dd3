/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who is built on a file: the list of children that the file carries.
 *
 * Duty: what children.c offers to the engine's other files and to tools.
 * Everything here may block, on any thread; memory comes from @env.
 */
#ifndef COW_CHILDREN_H
#define COW_CHILDREN_H

#include "format.h"

/* Room for the names of dependents in a line for people. */
#define COW_DEPENDENTS_LEN	512

/**
 * cow_children_add() - note in a parent that a file is going to be built on it
 * @fd: the parent, open for reading or writing
 * @child: absolute name that the child is about to have, or has
 *
 * To be called before the child has its name or names this parent. Durable on
 * return: a crash leaves at worst a name that does not count. Names that do not
 * count are dropped on the way.
 *
 * Return: a descriptor of the parent which keeps everybody else from changing
 * the list, and from claiming the parent, to be closed by the caller once the
 * child is what it says; or a negative errno, if the file can not have a list, or
 * none that is longer, or may not be written. The child may be made all the same,
 * only nobody will know of it.
 */
int cow_children_add(const struct cow_env *env, int fd, const char *child);

/**
 * cow_dependents() - the files that are known to be built on a file
 * @fd: the file
 * @except: a child that is not meant, or NULL
 * @names: filled for people, in one line: "/a, /b and 3 more"; empty if there
 *	are none
 *
 * A name of the list counts unless it is known not to: no regular file is there,
 * or it has no parent, another one, or was merged away. What can not be looked
 * at counts. Nothing but regular files is opened.
 *
 * Return: how many; one more if the list says that there are others for whose
 * names it had no room; or -EBADMSG if it is damaged, or what the host said.
 */
int cow_dependents(const struct cow_env *env, int fd,
		   const struct io_id *except, char names[COW_DEPENDENTS_LEN]);

struct layer;

/**
 * cow_dependents_refuse() - before the content of a layer is changed
 * @except: a child that is not meant, or NULL
 *
 * Return: 0, -EBUSY if files are known to be built on it, -EBADMSG, or what the
 * host said; @err says how to go on all the same.
 */
int cow_dependents_refuse(const struct layer *layer, const struct io_id *except,
			  struct cow_error *err);

/**
 * cow_absolute() - the name of a file from the root on
 * @given: a name, absolute or from the working directory; need not exist
 *
 * Return: 0, -ENAMETOOLONG, or what the host said.
 */
int cow_absolute(const struct cow_env *env, const char *given,
		 char name[COW_PATH_MAX]);

#endif
