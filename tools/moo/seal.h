/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The pages of a seal, written and read one after the other.
 */
#ifndef MOO_SEAL_H
#define MOO_SEAL_H

#include "moo.h"

/**
 * struct moo_seal_out - a seal that is being written
 * @v4: the header that is to refer to it: seal, seal_pages and sealed grow
 * @page: the page that is being filled
 * @used: words of it that are filled
 * @head: the word that its last run begins with
 * @next: the disk block that would follow in that run; 0: there is none
 * @half: the last word has room for another checksum
 */
struct moo_seal_out {
	const struct cow_env *env;
	int fd;
	struct cow_disk_v4 *v4;
	struct cow_disk_page *page;
	unsigned int used;
	unsigned int head;
	uint64_t next;
	bool half;
};

/**
 * moo_seal_begin() - write to the blocks from @v4->seal on
 * @fd: for writing
 *
 * End it with moo_seal_free(), also after a failure.
 */
int moo_seal_begin(struct moo_seal_out *out, const struct cow_env *env, int fd,
		   struct cow_disk_v4 *v4);
void moo_seal_free(struct moo_seal_out *out);

/**
 * moo_seal_add() - the checksum of a block that is behind all others so far
 */
int moo_seal_add(struct moo_seal_out *out, uint64_t block, uint32_t crc);

/**
 * moo_seal_end() - write the last page
 */
int moo_seal_end(struct moo_seal_out *out);

/**
 * struct moo_seal_in - a seal that is being read
 * @probe: the file, which is sealed
 * @page: the page that was read last
 * @pages: how many were read
 * @at: the word to look at next
 * @block: the next block of the run
 * @left: how many are left of the run
 * @half: the next checksum is the second one of its word
 * @above: what comes next is not before this block
 */
struct moo_seal_in {
	const struct moo_probe *probe;
	struct cow_disk_page *page;
	uint64_t pages;
	unsigned int at;
	uint64_t block;
	unsigned int left;
	bool half;
	uint64_t above;
};

/**
 * moo_seal_open() - begin to read
 *
 * End it with moo_seal_close(), also after a failure.
 */
int moo_seal_open(struct moo_seal_in *in, const struct moo_probe *probe,
		  struct cow_error *err);
void moo_seal_close(struct moo_seal_in *in);

/**
 * moo_seal_next() - the next block and its checksum
 * @why: with -EBADMSG, a half sentence that tells what is wrong with the page
 *
 * Nothing is trusted, but that the pages are those of the header.
 * Return: 1, 0 if there are no more, -EBADMSG, or what the host said.
 */
int moo_seal_next(struct moo_seal_in *in, uint64_t *block, uint32_t *crc,
		  const char **why);

/**
 * moo_seal_first() - the block in which the seal of @v4 is to begin
 */
uint64_t moo_seal_first(const struct cow_disk_v4 *v4);

#endif
