/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Test Anything Protocol for the engine's test programs.
 *
 * Duty: one line per check, a plan at the end, an exit status, and seeded
 * numbers so that a random failure can be played again: SEED=number in the
 * environment.
 *
 * Each program is one translation unit with main(), which ends with
 * "return plan_done();". Not for use from several threads.
 */
#ifndef TAP_H
#define TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ARRAY_SIZE(array)	(sizeof(array) / sizeof((array)[0]))

static unsigned int tap_count;
static unsigned int tap_failed;

/* A line for the reader of the log. */
__attribute__((format(printf, 1, 2),
	       unused))
static void diag(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	printf("# ");
	vprintf(fmt, args);
	printf("\n");
	va_end(args);
	fflush(stdout);
}

__attribute__((format(printf, 4, 5),
	       unused))
static bool tap_check(bool good, const char *file, int line,
		      const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	printf("%sok %u - ", good ? "" : "not ", ++tap_count);
	vprintf(fmt, args);
	printf("\n");
	va_end(args);
	if (!good) {
		tap_failed++;
		diag("failed at %s:%d", file, line);
	}
	fflush(stdout);
	return good;
}

/* One check; @fmt and what follows name it. True if it holds. */
#define ok(cond, ...) \
	tap_check((cond), __FILE__, __LINE__, __VA_ARGS__)

/* Two whole numbers are equal; shows them if not. */
#define is(got, want, ...) \
	tap_is((got), (want), __FILE__, __LINE__, __VA_ARGS__)

__attribute__((format(printf, 5, 6),
	       unused))
static bool tap_is(long long got, long long want, const char *file, int line,
		   const char *fmt, ...)
{
	char name[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(name, sizeof(name), fmt, args);
	va_end(args);
	if (!tap_check(got == want, file, line, "%s", name))
		diag("got %lld, want %lld", got, want);
	return got == want;
}

/* Nothing in this program can run here. */
static inline void skip_all(const char *why)
{
	printf("1..0 # SKIP %s\n", why);
	exit(0);
}

/* The plan, last. Returns main()'s result. */
static inline int plan_done(void)
{
	printf("1..%u\n", tap_count);
	if (tap_failed)
		diag("%u of %u failed", tap_failed, tap_count);
	return tap_failed ? 1 : 0;
}

/* The seed of this run, printed: SEED from the environment, or the clock. */
static inline uint64_t tap_seed(void)
{
	const char *text = getenv("SEED");
	struct timespec now;
	uint64_t seed;

	clock_gettime(CLOCK_REALTIME, &now);
	seed = (uint64_t)now.tv_sec * 1000000007u + now.tv_nsec;
	if (text)
		seed = strtoull(text, NULL, 0);
	diag("SEED=%llu", (unsigned long long)seed);
	return seed;
}

/* A number from the environment. */
static inline unsigned long tap_number(const char *name,
				       unsigned long otherwise)
{
	const char *text = getenv(name);

	return text ? strtoul(text, NULL, 0) : otherwise;
}

/* Has the program used SECONDS of processor time, or else @otherwise? */
static inline bool tap_time_is_over(unsigned long otherwise)
{
	return clock() / CLOCKS_PER_SEC >=
	       (clock_t)tap_number("SECONDS", otherwise);
}

/* The next number of the sequence that @state, at first a seed, stands for. */
static inline uint64_t tap_random(uint64_t *state)
{
	uint64_t v = *state += 0x9e3779b97f4a7c15ull;

	v = (v ^ v >> 30) * 0xbf58476d1ce4e5b9ull;
	v = (v ^ v >> 27) * 0x94d049bb133111ebull;
	return v ^ v >> 31;
}

#endif
