// SPDX-License-Identifier: GPL-2.0-only
/*
 * Power failures, enumerated: all sequences of one and two operations of the
 * alphabet, on every format, with answers at once and in every order, pieces of
 * 512 and of 4096 bytes; then longer ones by seed. Before anything is hardened
 * and behind each operation the power fails in every way: all subsets of up to
 * 12 unsynced pieces, a choice of those of more.
 *
 * STATES=n (2,000,000) ends the longer ones; SEARCH_SECONDS=n (a day) ends all of
 * it, and says so. PAIRS=n takes one in n of the sequences of two, by seed.
 * SUBSETS=n is the 12 above, for sequences longer than one. ORDERS=n (24) bounds
 * the orders of answers of one sequence. CHAIN=name (raw, V3, V4-V3) looks at no
 * other one. JOBS=n processes share the work (one for each processor); each of
 * them stops after STOP=n violations (10). A failure prints its sequence;
 * SEQUENCE="that" plays it again, with TRACE=1 step by step.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "seen.h"
#include "sequence.h"
#include "tap.h"

#define ENOUGH	10	/* violations, in one process */
#define LENGTH	8	/* of longer sequences, at most */
#define SUBSETS	12

struct sum {
	unsigned long states;
	unsigned long windows;
	unsigned long sequences;
	unsigned long runs;
	unsigned long cut;	/* not all orders of answers */
	unsigned long bad;
	bool whole;		/* all that was to be enumerated */
};

static struct {
	unsigned long states;
	unsigned long orders;
	unsigned long pairs;
	unsigned int subsets;
	unsigned long enough;
	time_t end;
	unsigned int jobs;
	unsigned int job;
} limits;

/* CHAIN names the only one, or none does. */
static bool wanted(unsigned int chain)
{
	const char *name = getenv("CHAIN");

	return !name || !strcmp(name, sequence_chain(chain));
}

static bool out_of_time(const struct sum *sum)
{
	return sum->bad >= limits.enough || time(NULL) >= limits.end;
}

static void tell(const struct sequence *seq, const struct order *order,
		 const struct run *run)
{
	char text[512];
	unsigned int i;

	sequence_print(seq, text, sizeof(text));
	printf("# SEQUENCE=\"%s\"", text);
	for (i = 0; i < order->n; i++)
		printf("%s%u", i ? "," : " ORDER=", order->pick[i]);
	printf(": %s\n", run->text);
	fflush(stdout);
}

/* In all orders of answers, as far as they go. */
static void all_orders(struct sum *sum, const struct sequence *seq,
		       struct seen *seen)
{
	struct order order = { 0 };
	unsigned long n = 0;
	bool more;

	sum->sequences++;
	do {
		struct run run = {
			.left = 1 << 30,
			.arena = true,
			.seen = seen,
			.subsets = seq->n == 1 ? SUBSETS : limits.subsets,
		};

		sequence_run(&run, seq, &order);
		sum->states += run.states;
		sum->windows += run.windows;
		sum->runs++;
		if (run.failed) {
			sum->bad++;
			tell(seq, &order, &run);
			return;
		}
		more = order_next(&order);
	} while (more && ++n < limits.orders && !out_of_time(sum));
	sum->cut += more;
}

/* ---- all short ones ---------------------------------------------------- */

static uint64_t pick(uint64_t *seed, uint64_t n)
{
	return tap_random(seed) % n;
}

/* Each process has its own known states: they follow from how it begins. */
static void short_ones(struct sum *sum, struct sequence *seq,
		       struct seen *seen, uint64_t *seed)
{
	unsigned int a, b, ops = sequence_ops();

	for (a = limits.job; a < ops && !out_of_time(sum); a += limits.jobs) {
		seq->op[0] = a;
		seq->n = 1;
		all_orders(sum, seq, seen);
		seq->n = 2;
		for (b = 0; b < ops && !out_of_time(sum); b++) {
			seq->op[1] = b;
			if (!pick(seed, limits.pairs))
				all_orders(sum, seq, seen);
		}
	}
}

static void all_short_ones(struct sum *sum, uint64_t *seed)
{
	static const struct {
		bool async;
		unsigned int grain;
	} ways[] = { { false, 512 }, { true, 512 }, { false, 4096 } };
	struct sequence seq;
	struct seen *seen;
	unsigned int way;

	for (way = 0; way < ARRAY_SIZE(ways); way++) {
		for (seq.chain = 0; seq.chain < sequence_chains();
		     seq.chain++) {
			if (!wanted(seq.chain))
				continue;
			seen = seen_new();
			seq.async = ways[way].async;
			seq.grain = ways[way].grain;
			short_ones(sum, &seq, seen, seed);
			seen_free(seen);
		}
	}
	sum->whole = !out_of_time(sum);
}

/* ---- longer ones ------------------------------------------------------- */

static void longer_ones(struct sum *sum, uint64_t *seed)
{
	struct seen *seen = seen_new();
	struct sequence seq;
	unsigned int i;

	while (sum->states < limits.states / limits.jobs && !out_of_time(sum)) {
		do
			seq.chain = pick(seed, sequence_chains());
		while (!wanted(seq.chain));
		seq.async = pick(seed, 2);
		seq.grain = pick(seed, 4) ? 512 : 4096;
		seq.n = 3 + pick(seed, LENGTH - 2);
		for (i = 0; i < seq.n; i++)
			seq.op[i] = pick(seed, sequence_ops());
		all_orders(sum, &seq, seen);
	}
	seen_free(seen);
}

/* ---- processes --------------------------------------------------------- */

static struct sum work(uint64_t seed)
{
	struct sum sum = { 0 };
	unsigned int i;

	for (i = 0; i <= limits.job; i++)
		tap_random(&seed);
	all_short_ones(&sum, &seed);
	longer_ones(&sum, &seed);
	return sum;
}

static int begin(uint64_t seed)
{
	struct sum sum;
	int fd[2];
	pid_t pid;

	if (pipe(fd))
		exit(1);
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		exit(1);
	if (pid) {
		close(fd[1]);
		return fd[0];
	}
	sum = work(seed);
	_exit(write(fd[1], &sum, sizeof(sum)) != sizeof(sum));
}

static struct sum all_jobs(uint64_t seed)
{
	struct sum sum = { .whole = true }, part;
	int fd[64], status;
	unsigned int i;

	for (i = 0; i < limits.jobs; i++) {
		limits.job = i;
		fd[i] = begin(seed);
	}
	for (i = 0; i < limits.jobs; i++) {
		if (read(fd[i], &part, sizeof(part)) != sizeof(part))
			part = (struct sum){ .bad = 1 };
		sum.states += part.states;
		sum.windows += part.windows;
		sum.sequences += part.sequences;
		sum.runs += part.runs;
		sum.cut += part.cut;
		sum.bad += part.bad;
		sum.whole &= part.whole;
		wait(&status);
	}
	return sum;
}

/* ---- one again --------------------------------------------------------- */

static void play_again(const char *text)
{
	struct run run = {
		.left = 1 << 30,
		.trace = getenv("TRACE"),
		.subsets = tap_number("SUBSETS", SUBSETS),
	};
	const char *at = getenv("ORDER");
	struct order order = { 0 };
	struct sequence seq;

	for (; at && *at; at += *at == ',')
		order.pick[order.n++] = strtoul(at, (char **)&at, 10);
	if (!sequence_parse(&seq, text)) {
		ok(false, "SEQUENCE makes no sense: %s", text);
		return;
	}
	run.seen = seen_new();
	sequence_run(&run, &seq, &order);
	seen_free(run.seen);
	ok(!run.failed, "%s: %s", text, run.text);
	diag("%lu states", run.states);
}

int main(void)
{
	const char *again = getenv("SEQUENCE");
	uint64_t seed = tap_seed();
	struct sum sum;

	if (again) {
		play_again(again);
		return plan_done();
	}
	limits.states = tap_number("STATES", 2000000);
	limits.orders = tap_number("ORDERS", 24);
	limits.pairs = tap_number("PAIRS", 1);
	limits.subsets = tap_number("SUBSETS", SUBSETS);
	limits.enough = tap_number("STOP", ENOUGH);
	limits.end = time(NULL) + tap_number("SEARCH_SECONDS", 86400);
	limits.jobs = tap_number("JOBS", sysconf(_SC_NPROCESSORS_ONLN));
	if (!limits.jobs || limits.jobs > 64)
		limits.jobs = 1;
	sum = all_jobs(seed);
	ok(!sum.bad, "every crash state holds what was promised");
	ok(sum.states, "states were looked at");
	diag("%lu states, %lu windows, %lu sequences in %lu orders", sum.states,
	     sum.windows, sum.sequences, sum.runs);
	diag("%u operations on %u chains, violations %lu", sequence_ops(),
	     sequence_chains(), sum.bad);
	diag("all sequences of one operation, and one in %lu of those of two: %s",
	     limits.pairs, sum.whole ? "yes" : "no, the time is over");
	diag("sequences of which not all orders of answers were tried: %lu",
	     sum.cut);
	return plan_done();
}
