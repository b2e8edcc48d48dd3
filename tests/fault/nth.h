/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every place of a workload at which a host can fail.
 *
 * Duty: run a workload with the Nth operation failing, for N = 1, 2, ... until
 * the run meets no fault; for every kind of fault, once and for good, with
 * answers at once and in random orders, on every layout of files.
 */
#ifndef NTH_H
#define NTH_H

#include "interpose.h"
#include "stand.h"

/**
 * struct kind - a kind of fault, at one of two places
 * @fault: between the engine and its back end; or
 * @call: between the back end and the host
 * @absorbed: nobody is to notice
 */
struct kind {
	const char *name;
	struct fault fault;
	struct call_fault call;
	bool absorbed;
};

/**
 * struct workload - what is done on the faulty host
 * @kinds: NULL: all of those between engine and back end
 * @in_order: answers in random orders make no difference
 * @run: the device is closed when it begins if @opens, else open
 */
struct workload {
	const char *name;
	const struct layout *layouts;
	unsigned int nlayouts;
	const struct kind *kinds;
	unsigned int nkinds;
	bool opens;
	bool in_order;
	void (*run)(struct stand *stand);
};

/* A point for each layout and kind of fault, and the plan: main()'s result. */
int nth_all(const struct workload *work);

#endif
