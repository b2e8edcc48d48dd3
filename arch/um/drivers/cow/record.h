/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * State records, V4 header slots and names: small metadata of one file.
 *
 * Duty: what record.c offers to the engine's other files, and to tools that
 * look at a file without opening its chain. Everything here may block, on any
 * thread; memory comes from @env.
 */
#ifndef COW_RECORD_H
#define COW_RECORD_H

#include "format.h"

/**
 * cow_record_load() - read the state record of a V1 to V3 or raw file
 * @fd: the file
 * @path: its name, to find the sidecar beside it
 * @rec: filled on success
 *
 * Return: 0, -ENODATA if there is none, -EBADMSG or -EINVAL if it is damaged,
 * or what the host said.
 */
int cow_record_load(const struct cow_env *env, int fd, const char *path,
		    struct cow_record *rec);

/**
 * cow_record_store() - write a state record; durable on return
 *
 * The extended attribute user.moo, or the sidecar @path.moo where the file
 * system has none or no room in them. A crash shows the old record or the new.
 *
 * Return: 0, -EOPNOTSUPP for a block device, or what the host said.
 */
int cow_record_store(const struct cow_env *env, int fd, const char *path,
		     const struct cow_record *rec);

/**
 * cow_record_remove() - forget the record, wherever it stands; durable
 */
int cow_record_remove(const struct cow_env *env, int fd, const char *path);

/**
 * cow_record_unlink() - the file has no successor, and is not frozen; durable
 * @state: what its record says; that a snapshot made it is kept
 * @id: the file
 */
int cow_record_unlink(const struct cow_env *env, int fd, const char *path,
		      uint32_t state, const struct io_id *id);

/**
 * cow_record_leave() - before a file with a record is deleted: what would be left
 * of the record; durable
 *
 * A sidecar would be taken for that of the next file of this name. An attribute
 * goes with the file, and should that stay, it still tells what the file is.
 */
int cow_record_leave(const struct cow_env *env, const char *path);

/**
 * cow_record_about() - is a record that names @recorded about the file @st, and
 * not about one that it was copied from with its bytes?
 *
 * The device number may change with a reboot of the host, the time of birth not:
 * but for a file of an overlay, which is known by its inode number alone.
 */
bool cow_record_about(const struct io_id *recorded, const struct io_stat *st);

/**
 * cow_v4_put_slot() - write the slot of @v4's generation; durable on return
 *
 * Nobody else may be writing headers of that file.
 */
int cow_v4_put_slot(const struct cow_env *env, int fd,
		    const struct cow_disk_v4 *v4);

/**
 * cow_v4_load() - the header in force: the whole slot of the higher generation
 * @v4: filled, in host byte order, on success
 * @why: on failure a constant half sentence for people
 *
 * Return: 0, -EBADMSG if neither slot is whole, -EINVAL, -ENOTSUP, -EIO.
 */
int cow_v4_load(const struct cow_env *env, int fd, struct cow_disk_v4 *v4,
		const char **why);

/**
 * cow_v4_name() - read the name that @ref refers to, from @block or the next
 *
 * Return: 0 (@name is "" if there is none), -EBADMSG, or what the host said.
 */
int cow_v4_name(const struct cow_env *env, int fd,
		const struct cow_disk_name *ref, unsigned int block,
		char name[COW_PATH_MAX]);

/**
 * cow_v4_put_name() - store @name in the copy that @old does not refer to
 * @ref: what the next header has to say
 *
 * Durable on return, in force only with that header.
 */
int cow_v4_put_name(const struct cow_env *env, int fd, unsigned int block,
		    const struct cow_disk_name *old, const char *name,
		    struct cow_disk_name *ref);

/**
 * cow_v4_name_parent() - in memory: by what @v4 knows its parent, but its name
 * @parent: the parent's header; of a raw file, the format alone
 * @st: the parent's file
 */
void cow_v4_name_parent(struct cow_disk_v4 *v4, const struct cow_header *parent,
			const struct io_stat *st);

/**
 * cow_v4_format() - make an empty V4 file of the file behind @fd
 * @hdr: parent, size, and of v4 the state, the sector size (0: 512), and the
 *	parent's identity are used; the rest is filled in
 *
 * Both slots and the parent's name; durable on return.
 */
int cow_v4_format(const struct cow_env *env, int fd, struct cow_header *hdr);

#endif
