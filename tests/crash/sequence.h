/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Short sequences of operations, all of them.
 *
 * Duty: an alphabet of operations, the chains that they are applied to, and one
 * run of a sequence, with the power failing in every way.
 *
 * Invariants: a run follows from its struct sequence and its order alone; the
 * same beginning leads to the same states, which are looked at once.
 */
#ifndef SEQUENCE_H
#define SEQUENCE_H

#include "world.h"

#define SEQUENCE_MAX	16
#define ORDER_MAX	64

/**
 * struct sequence - what is done, and on what
 * @chain: number of a chain, below sequence_chains()
 * @op: numbers of operations, below sequence_ops()
 * @async: answers come later
 * @grain: what a crash takes or leaves as one, bytes
 */
struct sequence {
	unsigned int chain;
	unsigned int n;
	unsigned int op[SEQUENCE_MAX];
	bool async;
	unsigned int grain;
};

/**
 * struct order - the order in which the answers of an asynchronous run come
 * @pick: which one of those that were due, at each choice
 * @of: among how many
 */
struct order {
	unsigned int n;
	uint8_t pick[ORDER_MAX];
	uint8_t of[ORDER_MAX];
};

unsigned int sequence_chains(void);
const char *sequence_chain(unsigned int chain);
unsigned int sequence_ops(void);

void sequence_run(struct run *run, const struct sequence *seq,
		  struct order *order);

/* The order that follows @order, which was run; false if there is none. */
bool order_next(struct order *order);

/* "V3 async 512: write aligned, flush", and back: false if it makes no sense. */
void sequence_print(const struct sequence *seq, char *text, size_t len);
bool sequence_parse(struct sequence *seq, const char *text);

#endif
