// SPDX-License-Identifier: GPL-2.0-only
/*
 * Power failures: random workloads on a disk that may lose, at any moment, any
 * subset of what was not synced, and the checker that every promise is held
 * against; then hosts that break their word, which the checker has to notice.
 *
 * SECONDS=n sets how much CPU time is spent (15), or STATES=n how many crash
 * states are looked at; a failure prints the seed of its own workload, and
 * WORKLOADS=1 SEED=that plays it again, with TRACE=1 step by step. After STOP=n
 * failures (10) there are no more.
 */
#include <stdlib.h>
#include <time.h>

#include "tap.h"
#include "world.h"

#define STATES_OF_ONE	500	/* crash states of one workload */
#define ENOUGH		10

const char *__asan_default_options(void);

/* Every crash state is a disk of its own: what is freed must not pile up. */
const char *__asan_default_options(void)
{
	return "quarantine_size_mb=16";
}

struct control {
	const char *name;
	enum vdisk_fault fault;
	bool on_parent;
};

static const struct control controls[] = {
	{ "a sync of the top that does nothing", VDISK_SYNC_LOST, false },
	{ "a sync that hardens another file", VDISK_SYNC_ELSEWHERE, false },
	{ "metadata that is durable before data", VDISK_SYNC_METADATA, false },
	{ "a parent that is not synced while it takes sectors",
	  VDISK_SYNC_LOST, true },
	{ "a state record that is lost", VDISK_ATTR_LOST, false },
};

static struct run new_run(void)
{
	return (struct run){
		.left = STATES_OF_ONE,
		.trace = getenv("TRACE"),
	};
}

static void sound_host(uint64_t seed)
{
	unsigned long workloads = tap_number("WORKLOADS", ~0ul);
	unsigned long states = tap_number("STATES", ~0ul);
	unsigned long seconds = getenv("STATES") ? 1000000 : 15;
	unsigned long enough = tap_number("STOP", ENOUGH);
	unsigned long n = 0, bad = 0;
	struct run sum = { .fault = VDISK_SOUND };

	while (n < workloads && sum.states < states && bad < enough &&
	       !tap_time_is_over(seconds)) {
		struct run run = new_run();

		world_run(&run, seed);
		if (run.failed && ++bad)
			diag("WORKLOADS=1 SEED=%llu: %s",
			     (unsigned long long)seed, run.text);
		sum.states += run.states;
		sum.snapshots += run.snapshots;
		sum.merges += run.merges;
		sum.resumed += run.resumed;
		sum.sealed += run.sealed;
		n++;
		tap_random(&seed);
	}
	ok(!bad && sum.states,
	   "every crash state holds what was promised");
	diag("states %lu, workloads %lu, violations %lu", sum.states, n, bad);
	diag("snapshots %lu, merges %lu, merges resumed after a crash %lu",
	     sum.snapshots, sum.merges, sum.resumed);
	diag("sealed files in these states %lu", sum.sealed);
}

/* Workloads on a broken host until the checker notices. */
static void broken_host(const struct control *control, uint64_t seed)
{
	unsigned long n = 0, states = 0;
	bool noticed = false;

	while (!noticed && n < 200) {
		struct run run = new_run();

		run.trace = false;
		run.fault = control->fault;
		run.fault_on_parent = control->on_parent;
		world_run(&run, seed);
		noticed = run.failed;
		states += run.states;
		n++;
		tap_random(&seed);
	}
	ok(noticed, "noticed: %s (state %lu, workload %lu)", control->name,
	   states, n);
}

int main(void)
{
	uint64_t seed = tap_seed();
	size_t i;

	sound_host(seed);
	if (getenv("WORKLOADS"))
		return plan_done();
	for (i = 0; i < ARRAY_SIZE(controls); i++)
		broken_host(&controls[i], seed);
	return plan_done();
}
