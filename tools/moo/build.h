/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A COW file of any version, made from its header and what it owns.
 */
#ifndef MOO_BUILD_H
#define MOO_BUILD_H

#include "moo.h"

/**
 * struct moo_build - a file that is being made
 * @fd: the file, empty
 * @hdr: the header that it gets; layout, and of V4 root and end, are filled in
 * @owned: sectors that it owns
 * @buf: data that was not written yet
 * @buf_at: its place in the file
 * @buf_len: bytes of it
 * @page: V4: the page of each level that is being filled; V1 to V3: in the first
 *	one a part of the bitmap
 * @index: position of the page among those of its level; of the part of the
 *	bitmap, among such parts
 * @used: there is something on the page
 */
struct moo_build {
	const struct cow_env *env;
	int fd;
	struct cow_header *hdr;
	uint64_t owned;
	uint8_t *buf;
	uint64_t buf_at;
	size_t buf_len;
	struct cow_disk_page *page;
	uint64_t index[COW_V4_MAX_LEVELS];
	bool used[COW_V4_MAX_LEVELS];
};

/**
 * moo_build_begin() - check the header, and begin
 * @why: on -EINVAL a half sentence that says what is wrong with the header
 *
 * End it with moo_build_free(), also after a failure.
 */
int moo_build_begin(struct moo_build *build, const struct cow_env *env, int fd,
		    struct cow_header *hdr, const char **why);
void moo_build_free(struct moo_build *build);

/**
 * moo_build_own() - the file owns these sectors
 * @sector: behind all that it was given before
 * @count: how many; all of them exist
 * @state: COW_DATA; of V4 also COW_ZERO
 * @data: COW_DATA: their bytes, or NULL for a hole
 *
 * Return: 0, -EINVAL if this version has no room for such a state, or what the
 * host said.
 */
int moo_build_own(struct moo_build *build, uint64_t sector, uint64_t count,
		  enum cow_run_state state, const uint8_t *data);

/**
 * moo_build_end() - write what is left, the header last
 *
 * Not durable on return.
 */
int moo_build_end(struct moo_build *build, const char *successor);

#endif
