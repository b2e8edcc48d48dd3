// SPDX-License-Identifier: GPL-2.0-only
/*
 * Cancelling by a signal.
 *
 * Duty: let work end at a point of its own choice and clean up, and the
 * process end by the signal all the same, so that a shell sees why.
 * Invariants: no handler, and so no state that a handler would share. What asks
 * last before something can not be undone asks moo_cancelled().
 */
#include <errno.h>
#include <signal.h>
#include <time.h>

#include "moo.h"

/*
 * A signal that is ignored, as under nohup, stays out: held back it would
 * count as pending.
 */
static void cancel_signals(sigset_t *set)
{
	static const int numbers[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction old;
	unsigned int i;

	sigemptyset(set);
	for (i = 0; i < ARRAY_SIZE(numbers); i++)
		if (!sigaction(numbers[i], NULL, &old) &&
		    old.sa_handler != SIG_IGN)
			sigaddset(set, numbers[i]);
}

void moo_cancel_begin(void)
{
	sigset_t set;

	cancel_signals(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

bool moo_cancelled(void)
{
	sigset_t pending;

	sigpending(&pending);
	return sigismember(&pending, SIGINT) ||
	       sigismember(&pending, SIGTERM) ||
	       sigismember(&pending, SIGHUP);
}

/* The coarse clock is read without a system call, and ticks every few ms. */
bool moo_cancel_due(void)
{
	static struct timespec last;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	if (now.tv_nsec == last.tv_nsec && now.tv_sec == last.tv_sec)
		return false;
	last = now;
	return moo_cancelled();
}

int moo_cancel(const char *name, struct cow_error *err)
{
	return moo_fail(err, -EINTR, "%s: cancelled; nothing was made", name);
}

void moo_cancel_end(void)
{
	sigset_t set;

	cancel_signals(&set);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}
