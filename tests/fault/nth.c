// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every place of a workload at which a host can fail, see nth.h.
 *
 * A failure prints NTH="..."; that in the environment plays this case alone.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nth.h"
#include "tap.h"

/* A workload that has more operations has no end. */
#define MOST	2000u
#define WHOLE	8u	/* one in so many looks at everything at the end */

static const struct kind engine_kinds[] = {
	{ .name = "EIO", .fault = {
		.error = -EIO, .classes = (1u << FC_ALLOC) - 1,
	} },
	{ .name = "EIO of what was done", .fault = {
		.error = -EIO, .effect = FAULT_HALF,
		.classes = FC(WRITE) | FC(SYNC) | FC(PUNCH) | FC(ZERO) |
			   FC(COPY) | FC(PWRITE) | FC(NAME) | FC(UNLINK) |
			   FC(SETATTR),
	} },
	{ .name = "ENOSPC", .fault = {
		.error = -ENOSPC,
		.classes = FC(WRITE) | FC(ZERO) | FC(COPY) | FC(PWRITE) |
			   FC(TRUNCATE) | FC(CREATE) | FC(NAME) | FC(SETATTR),
	} },
	{ .name = "ENOSPC of a sync", .fault = {
		.error = -ENOSPC, .classes = FC(SYNC) | FC(FSYNC),
	} },
	{ .name = "EAGAIN", .fault = {
		.error = -EAGAIN,
		.classes = FC(READ) | FC(WRITE) | FC(SYNC) | FC(PUNCH) |
			   FC(ZERO) | FC(COPY) | FC(OPEN) | FC(LOCK),
	} },
	{ .name = "a short read", .fault = {
		.error = -EIO, .effect = FAULT_SHORT, .classes = FC(READ),
	} },
	{ .name = "no memory", .fault = {
		.error = -ENOMEM, .classes = FC(ALLOC),
	} },
};

static unsigned long runs;

/* ---- faults of system calls -------------------------------------------- */

/* What the engine takes the failure of such a call for. */
static const unsigned int taken_for[CALL_CLASSES] = {
	[CALL_OPEN] = FC(OPEN) | FC(CREATE) | FC(NAME) | FC(UNLINK),
	[CALL_STAT] = FC(STAT) | FC(OPEN) | FC(CREATE) | FC(ZERO) | FC(PUNCH),
	[CALL_READ] = FC(READ) | FC(PREAD) | FC(COPY),
	[CALL_WRITE] = FC(WRITE) | FC(PWRITE) | FC(COPY) | FC(ZERO) |
		       FC(PUNCH),
	[CALL_SYNC] = FC(SYNC) | FC(FSYNC) | FC(NAME) | FC(SETATTR),
	[CALL_ALLOCATE] = FC(ZERO) | FC(PUNCH),
	[CALL_COPY] = FC(COPY),
	[CALL_SIZE] = FC(TRUNCATE),
	[CALL_GETATTR] = FC(GETATTR),
	[CALL_SETATTR] = FC(SETATTR),
	[CALL_NAME] = FC(NAME) | FC(UNLINK),
	[CALL_LOCK] = FC(LOCK),
	[CALL_RIGHTS] = FC(CREATE),
	[CALL_RANDOM] = FC(RANDOM) | FC(CREATE),
	[CALL_LINK] = FC(NAME) | FC(STAT),
	[CALL_MAP] = FC(ALLOC) | FC(COPY) | FC(CREATE) | FC(NAME) |
		     FC(UNLINK),
};

static struct faulty *host;

static void sync_failed(int fd)
{
	faulty_lose(host, fd);
}

static void met(enum call_class class)
{
	host->hits++;
	host->hit |= taken_for[class];
}

static void arm(struct stand *stand, const struct kind *kind,
		const struct fault *fault)
{
	struct call_fault call = kind->call;

	host = &stand->host;
	faulty_arm(host, fault);
	if (!call.classes)
		return;
	host->fault.error = -call.error;
	host->below_all = true;
	interpose.met = met;
	interpose.sync_failed = sync_failed;
	call.nth = fault->nth;
	if (fault->sticky)
		call.how = call.error == EINTR ? CALL_OTHER : CALL_STICKY;
	interpose_arm(&call);
}

static void must_be_absorbed(struct stand *stand)
{
	unsigned int i;

	for (i = 0; i < V_VICTIMS; i++) {
		if (stand->told[i])
			stand_fail(stand, "somebody noticed (%u)", i);
	}
}

/* ---- one case, and all of them ----------------------------------------- */

/* True if the fault was met. */
static bool one(const struct workload *work, const struct layout *layout,
		const struct kind *kind, const struct fault *fault, bool async,
		char *text, size_t len)
{
	/* The same work in every case of this program. */
	const uint64_t seed = 20 + fault->sticky * 2 + async;
	static struct stand stand;
	bool hit;

	stand_begin(&stand, layout, seed, async);
	if (!stand.failed && !work->opens)
		stand_open(&stand);
	arm(&stand, kind, fault);
	if (!stand.failed)
		work->run(&stand);
	if (kind->absorbed)
		must_be_absorbed(&stand);
	if (!stand.failed)
		stand_judge(&stand, fault->nth % WHOLE == 1);
	interpose_mend();
	hit = stand.host.hits;
	stand_end(&stand);
	if (stand.failed)
		snprintf(text, len, "%s", stand.text);
	runs++;
	return hit;
}

/* The Nth for each N. False if one of them fails. */
static bool each(const struct workload *work, const struct layout *layout,
		 const struct kind *kind, bool sticky, bool async)
{
	const char *only = getenv("NTH");
	struct fault fault = kind->fault;
	char text[400] = "", name[160];

	fault.sticky = sticky;
	for (fault.nth = 1; fault.nth < MOST; fault.nth++) {
		bool hit;

		snprintf(name, sizeof(name), "%s, %s, %s %s %lu", layout->name,
			 kind->name, async ? "async" : "sync",
			 sticky ? "from" : "at", fault.nth);
		if (only && strcmp(only, name))
			continue;
		hit = one(work, layout, kind, &fault, async, text,
			  sizeof(text));
		if (*text) {
			diag("NTH=\"%s\": %s", name, text);
			return false;
		}
		if (!hit)
			return true;
		/* All are concerned, from the first one on. */
		if (sticky && kind->absorbed)
			return true;
	}
	return only;
}

static void every_way(const struct workload *work, const struct layout *layout,
		      const struct kind *kind)
{
	unsigned long before = runs;
	unsigned int how, ways = work->in_order ? 2 : 4;
	bool good = true;

	for (how = 0; how < ways; how++)
		good &= each(work, layout, kind, how & 1, how & 2);
	ok(good, "%s, %s, %s: %lu runs", work->name, layout->name, kind->name,
	   runs - before);
}

int nth_all(const struct workload *work)
{
	const struct kind *kinds = work->kinds ? work->kinds : engine_kinds;
	unsigned int nkinds = work->kinds ? work->nkinds :
					    ARRAY_SIZE(engine_kinds);
	unsigned int i, k;

	for (i = 0; i < work->nlayouts; i++)
		for (k = 0; k < nkinds; k++)
			every_way(work, &work->layouts[i], &kinds[k]);
	diag("%s: %lu runs", work->name, runs);
	return plan_done();
}
