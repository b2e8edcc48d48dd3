/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Descriptors for a back end whose Nth answer, or submission, is met.
 *
 * Duty: what the tests of libaio's and io_uring's answers have in common:
 * writes, reads of the same, and what each of them has to come to. They differ
 * in how they get between the host and the back end.
 */
#ifndef ANSWERS_H
#define ANSWERS_H

#include "io.h"

#define ANSWERS_PIECES	6u
#define ANSWERS_BYTES	12288u
#define ANSWERS_MOST	1000u	/* runs, after which something is wrong */

/**
 * struct answer_kind - what becomes of an answer
 * @answer: a negative errno, or 0: half of it
 * @result: what the descriptor shall come to; 1: all
 */
struct answer_kind {
	const char *name;
	int answer;
	int result;
};

#define ANSWER_KINDS	5u
extern const struct answer_kind answer_kinds[ANSWER_KINDS];

/**
 * struct answers - a test under way
 * @direct: past the host's cache; else a sync stands between writes and reads
 * @collect: called before what has come in is collected, may be NULL
 * @await: called before the first is collected, may be NULL
 * @kind: what is to happen to an answer; NULL: nothing
 * @refusal: what a submission is refused with; 0: none is
 * @nth: which one is met
 * @seen: how many there have been
 * @victim: whose answer was met
 * @refused: a submission was
 */
struct answers {
	struct io_backend *backend;
	bool direct;
	void (*collect)(void);
	void (*await)(unsigned int n);
	const struct answer_kind *kind;
	int refusal;
	unsigned int nth;
	unsigned int seen;
	const struct io_desc *victim;
	bool refused;
	unsigned int pending;
};

extern struct answers answers;

/* Writes, a sync, reads of the same; true if all came to what it should. */
bool answers_one(int fd);

/* With each answer in turn, or each submission: how many runs, 0 if one was bad. */
unsigned int answers_each(int fd, const struct answer_kind *kind);
unsigned int answers_refuse(int fd, int error);

#endif
