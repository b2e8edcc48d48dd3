// SPDX-License-Identifier: GPL-2.0-only
/*
 * Descriptors for a back end whose Nth answer is met, see answers.h.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answers.h"
#include "tap.h"

#define PIECES	ANSWERS_PIECES
#define BYTES	ANSWERS_BYTES

struct answers answers;

const struct answer_kind answer_kinds[ANSWER_KINDS] = {
	{ "EINTR", -EINTR, 1 },
	{ "EAGAIN", -EAGAIN, 1 },
	{ "half", 0, 1 },
	{ "EIO", -EIO, -EIO },
	{ "ENOSPC", -ENOSPC, -ENOSPC },
};

struct memory {
	uint8_t data[PIECES][BYTES];
	struct cow_vec vec[PIECES][2];
};

static struct memory mem __attribute__((aligned(4096)));

static void done(struct io_desc *desc)
{
	(void)desc;
	answers.pending--;
}

static void collect(void)
{
	struct pollfd pfd = { .fd = answers.backend->fd, .events = POLLIN };

	if (poll(&pfd, 1, 20000) != 1) {
		printf("Bail out! nothing completes\n");
		exit(1);
	}
	if (answers.collect)
		answers.collect();
	answers.backend->collect(answers.backend);
}

/* All at once: answers come in any order. */
static void run(struct io_desc *desc, unsigned int n)
{
	struct io_backend *be = answers.backend;
	unsigned int i;

	answers.pending = n;
	for (i = 0; i < n; i++) {
		desc[i].done = done;
		if (be->ops.submit(be, &desc[i]) != -EINPROGRESS)
			answers.pending--;
	}
	be->ops.kick(be);
	if (answers.await)
		answers.await(n);
	while (answers.pending)
		collect();
}

static uint8_t byte_of(unsigned int piece, unsigned int at)
{
	return piece * 41 + at / 7 + 1;
}

static void prepare(struct io_desc *desc, enum io_op op, int fd)
{
	unsigned int i;

	for (i = 0; i < PIECES; i++) {
		mem.vec[i][0] = (struct cow_vec){ mem.data[i], 512 };
		mem.vec[i][1] = (struct cow_vec){ mem.data[i] + 512,
						  BYTES - 512 };
		desc[i] = (struct io_desc){
			.op = op, .fd = fd, .direct = answers.direct,
			.offset = i * BYTES, .len = BYTES,
			.vec = mem.vec[i], .nvec = 2,
		};
	}
}

static bool is_right(const struct io_desc *desc)
{
	int64_t all = desc->op == IO_SYNC ? 0 : (int64_t)desc->len;
	int want = desc == answers.victim ? answers.kind->result : 1;

	if (desc->result == (want == 1 ? all : want))
		return true;
	diag("descriptor at %llu: %lld", (unsigned long long)desc->offset,
	     (long long)desc->result);
	return false;
}

static bool is_read(const struct io_desc *desc, unsigned int piece)
{
	unsigned int at;

	if (desc->result < 0)
		return true;
	for (at = 0; at < BYTES; at++) {
		if (mem.data[piece][at] != byte_of(piece, at))
			return false;
	}
	return true;
}

static bool all_right(const struct io_desc *desc, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++) {
		if (!is_right(&desc[i]))
			return false;
	}
	for (i = 0; i < PIECES; i++) {
		if (!is_read(&desc[PIECES + i], i))
			return false;
	}
	return true;
}

bool answers_one(int fd)
{
	struct io_desc desc[2 * PIECES + 1];
	unsigned int i, at, n = 2 * PIECES;

	answers.seen = 0;
	answers.victim = NULL;
	answers.refused = false;
	for (i = 0; i < PIECES; i++)
		for (at = 0; at < BYTES; at++)
			mem.data[i][at] = byte_of(i, at);
	prepare(desc, IO_WRITE, fd);
	run(desc, PIECES);
	if (!answers.direct) {
		desc[n] = (struct io_desc){ .op = IO_SYNC, .fd = fd };
		run(&desc[n++], 1);
	}
	memset(mem.data, 0, sizeof(mem.data));
	prepare(desc + PIECES, IO_READ, fd);
	run(desc + PIECES, PIECES);
	return all_right(desc, n);
}

/* Until the one that is to be met does not come any more. */
static unsigned int each(int fd)
{
	for (answers.nth = 1; answers.nth < ANSWERS_MOST; answers.nth++) {
		if (!answers_one(fd))
			return 0;
		if (!answers.victim && !answers.refused)
			return answers.nth;
	}
	return 0;
}

unsigned int answers_each(int fd, const struct answer_kind *kind)
{
	unsigned int runs;

	answers.kind = kind;
	runs = each(fd);
	answers.kind = NULL;
	return runs;
}

unsigned int answers_refuse(int fd, int error)
{
	unsigned int runs;

	answers.refusal = error;
	runs = each(fd);
	answers.refusal = 0;
	return runs;
}
