// SPDX-License-Identifier: GPL-2.0-only
/*
 * A line on the terminal that tells how far work is.
 *
 * Invariant: nothing is written unless standard error is a terminal, and the
 * line is wiped at the end.
 */
#include <time.h>
#include <unistd.h>

#include "moo.h"

#define NSEC		1000000000ull
#define INTERVAL	(NSEC / 5)

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NSEC + ts.tv_nsec;
}

void moo_progress_begin(struct moo_progress *p, const char *what,
			uint64_t total)
{
	*p = (struct moo_progress){
		.what = what,
		.total = total,
		.start = now(),
		.on = isatty(STDERR_FILENO),
	};
}

void moo_progress_at(struct moo_progress *p, uint64_t done)
{
	char rate[MOO_HUMAN];
	uint64_t t;

	if (!p->on)
		return;
	t = now();
	if (t - (p->shown ? p->shown : p->start) < INTERVAL)
		return;
	p->shown = t;
	moo_human(done * (double)NSEC / (t - p->start), rate);
	fprintf(stderr, "\r%s: %5.1f %%, %s/s \033[K", p->what,
		p->total ? 100.0 * done / p->total : 100.0, rate);
}

void moo_progress_end(struct moo_progress *p)
{
	if (p->shown)
		fputs("\r\033[K", stderr);
	p->shown = 0;
}
