// SPDX-License-Identifier: GPL-2.0-only
/*
 * The pages of a seal.
 *
 * Duty: checksums of blocks in rising order, packed into runs and pages, and
 * taken out of them again.
 *
 * Invariants: one page is in memory. What is read is hostile until it was
 * checked: blocks that moo_seal_next() answers rise, so that reading ends.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "seal.h"

/* Highest number of a block that a disk can have, and one more. */
#define BLOCKS		((uint64_t)INT64_MAX >> COW_BLOCK_SHIFT)

uint64_t moo_seal_first(const struct cow_disk_v4 *v4)
{
	if (v4->kind != COW_KIND_DISK)
		return v4->end;
	return v4->end + (moo_round_up(v4->size, COW_BLOCK_SIZE) >>
			  COW_BLOCK_SHIFT);
}

/* ---- written ----------------------------------------------------------- */

int moo_seal_begin(struct moo_seal_out *out, const struct cow_env *env, int fd,
		   struct cow_disk_v4 *v4)
{
	*out = (struct moo_seal_out){
		.env = env,
		.fd = fd,
		.v4 = v4,
		.page = calloc(1, sizeof(*out->page)),
	};
	v4->seal_pages = 0;
	v4->sealed = 0;
	return out->page ? 0 : -ENOMEM;
}

void moo_seal_free(struct moo_seal_out *out)
{
	free(out->page);
}

static int write_page(struct moo_seal_out *out)
{
	struct cow_disk_v4 *v4 = out->v4;
	uint64_t block = v4->seal + v4->seal_pages;
	int ret;

	if (v4->seal_pages == COW_SEAL_PAGES || block >> (64 - COW_ENTRY_SHIFT))
		return -EFBIG;
	cow_page_seal(out->page, v4->uuid, COW_SEAL_LEVEL, v4->seal_pages,
		      block, v4->generation);
	ret = out->env->io->pwrite(out->env->ctx, out->fd, out->page,
				   sizeof(*out->page),
				   block << COW_BLOCK_SHIFT);
	v4->seal_pages++;
	memset(out->page, 0, sizeof(*out->page));
	out->used = 0;
	out->next = 0;
	return ret;
}

/* A run that begins with @block; it needs two words. */
static int begin_run(struct moo_seal_out *out, uint64_t block)
{
	int ret = 0;

	if (out->used + 2 > COW_PAGE_ENTRIES)
		ret = write_page(out);
	out->head = out->used++;
	out->half = false;
	out->page->entry[out->head] = cow_be64(block << COW_SEAL_SHIFT);
	return ret;
}

static void change(uint64_t *word, uint64_t more)
{
	*word = cow_be64(cow_be64(*word) + more);
}

int moo_seal_add(struct moo_seal_out *out, uint64_t block, uint32_t crc)
{
	int ret = 0;

	if (!out->next || out->next != block ||
	    (!out->half && out->used == COW_PAGE_ENTRIES))
		ret = begin_run(out, block);
	if (out->half)
		change(&out->page->entry[out->used - 1], crc);
	else
		change(&out->page->entry[out->used++], (uint64_t)crc << 32);
	out->half = !out->half;
	change(&out->page->entry[out->head], 1);
	out->next = block + 1;
	out->v4->sealed++;
	return ret;
}

int moo_seal_end(struct moo_seal_out *out)
{
	/* One page at least, also if there is no data. */
	return out->used || !out->v4->seal_pages ? write_page(out) : 0;
}

/* ---- read -------------------------------------------------------------- */

int moo_seal_open(struct moo_seal_in *in, const struct moo_probe *probe,
		  struct cow_error *err)
{
	*in = (struct moo_seal_in){
		.probe = probe,
		.page = malloc(sizeof(*in->page)),
		.at = COW_PAGE_ENTRIES,
	};
	if (in->page)
		return 0;
	return moo_fail(err, -ENOMEM, "%s: out of memory", probe->name);
}

void moo_seal_close(struct moo_seal_in *in)
{
	free(in->page);
}

static int read_page(struct moo_seal_in *in, const char **why)
{
	const struct moo_probe *p = in->probe;
	const struct cow_disk_v4 *v4 = &p->hdr.v4;
	uint64_t index = in->pages++, block = v4->seal + index;
	int64_t got;

	*why = NULL;
	got = p->env.io->pread(p->env.ctx, p->fd, in->page, sizeof(*in->page),
			       block << COW_BLOCK_SHIFT);
	if (got < 0)
		return got;
	if (got < (int64_t)sizeof(*in->page))
		*why = "is cut off by the end of the file";
	else if (cow_page_check(in->page, v4->uuid, COW_SEAL_LEVEL, index,
				block))
		*why = "is damaged";
	else if (cow_be64(in->page->generation) > v4->generation)
		*why = "is younger than the header";
	in->at = 0;
	return *why ? -EBADMSG : 0;
}

/* The word that a run begins with, and how many words it takes. */
static int enter_run(struct moo_seal_in *in, uint64_t head, const char **why)
{
	uint64_t first = head >> COW_SEAL_SHIFT;
	unsigned int count = head & COW_SEAL_COUNT;

	*why = NULL;
	if (!count || (count + 1) / 2 > COW_PAGE_ENTRIES - in->at - 1)
		*why = "has a run that does not fit";
	else if (first < in->above)
		*why = "is not in order";
	else if (first > BLOCKS)
		*why = "has a block that no disk has";
	if (*why)
		return -EBADMSG;
	in->at++;
	in->block = first;
	in->left = count;
	in->half = false;
	in->above = first + count;
	return 0;
}

/* The next run, in the pages that follow. */
static int find_run(struct moo_seal_in *in, const char **why)
{
	uint64_t head;
	int ret = 0;

	while (!ret && !in->left) {
		head = in->at < COW_PAGE_ENTRIES ?
		       cow_be64(in->page->entry[in->at]) : 0;
		if (!head && in->pages == in->probe->hdr.v4.seal_pages)
			break;
		ret = head ? enter_run(in, head, why) : read_page(in, why);
	}
	return ret;
}

int moo_seal_next(struct moo_seal_in *in, uint64_t *block, uint32_t *crc,
		  const char **why)
{
	int ret = find_run(in, why);
	uint64_t word;

	if (ret || !in->left)
		return ret;
	word = cow_be64(in->page->entry[in->at]);
	*block = in->block++;
	*crc = in->half ? word : word >> 32;
	in->left--;
	if (in->half || !in->left)
		in->at++;
	in->half = !in->half;
	return 1;
}
