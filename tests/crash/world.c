// SPDX-License-Identifier: GPL-2.0-only
/*
 * One workload from an empty disk to its end.
 *
 * Duty: the chain to begin with, and the frame around random steps.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format.h"
#include "rig.h"
#include "tap.h"
#include "arena.h"
#include "world.h"

#define LEAF		4032u	/* sectors that one V4 index page maps */

uint64_t world_pick(struct world *w, uint64_t n)
{
	return tap_random(&w->seed) % n;
}

void world_fail(struct world *w, const char *fmt, ...)
{
	va_list args;

	if (w->run->failed)
		return;
	va_start(args, fmt);
	vsnprintf(w->run->text, sizeof(w->run->text), fmt, args);
	va_end(args);
	w->run->failed = true;
}

void world_trace(struct world *w, const char *fmt, ...)
{
	va_list args;

	if (!w->run->trace)
		return;
	va_start(args, fmt);
	printf("#%*s", 1 + 4 * (int)w->depth, "");
	vprintf(fmt, args);
	printf("\n");
	va_end(args);
}

/* ---- memory: large pieces are mapped, where no sanitizer counts them ----- */

static struct cow_env plain_env;
static size_t in_use;

static void *counting_alloc(size_t len)
{
	void *mem = plain_env.alloc(len);

	in_use += mem ? len : 0;
	return mem;
}

static void counting_free(void *mem, size_t len)
{
	in_use -= len;
	plain_env.free(mem, len);
}

/* ---- the chain to begin with ------------------------------------------- */

void world_base(struct world *w, const char *name)
{
	uint64_t len = w->sectors * COW_SECTOR_SIZE, i;
	uint8_t *data = malloc(len);

	for (i = 0; i < w->sectors; i++)
		content_make(data + i * COW_SECTOR_SIZE, i,
			     w->oracle.sector[i].version[0].id);
	vdisk_put(w->disk, name, data, len);
	free(data);
	strcpy(w->boot, name);
}

/* What each layer has before the next one is put on it. */
static void populate(struct world *w)
{
	unsigned int n = world_pick(w, 12);

	if (world_open(w))
		return;
	while (n-- && !w->run->failed)
		world_mix(w);
	world_flush(w);
	if (!w->run->failed)
		world_compare(w, "while it was made");
	common_close(w->file);
	w->file = NULL;
}

static void make_file(struct world *w, struct cow_create_args args)
{
	struct cow_error err = { "" };

	args.mode = 0600;
	args.gid = ~0u;
	if (cow_create(&w->env, &args, &err))
		world_fail(w, "%s can not be made: %s", args.name, err.text);
}

void world_disk(struct world *w)
{
	const struct cow_create_args args = {
		.name = "/empty",
		.version = 4,
		.disk = true,
		.size = w->sectors * COW_SECTOR_SIZE,
	};
	const uint64_t front = COW_V4_FIRST_BLOCK * COW_BLOCK_SIZE;
	uint8_t *data = malloc(front + args.size);
	int empty, base;

	make_file(w, args);
	empty = vdisk_ops.open(w->disk, args.name, 0);
	base = vdisk_ops.open(w->disk, w->boot, 0);
	vdisk_ops.pread(w->disk, empty, data, front, 0);
	vdisk_ops.pread(w->disk, base, data + front, args.size, 0);
	vdisk_ops.close(w->disk, empty);
	vdisk_ops.close(w->disk, base);
	strcpy(w->boot, "/disk");
	vdisk_put(w->disk, w->boot, data, front + args.size);
	free(data);
}

void world_header(struct world *w)
{
	const struct cow_create_args args = {
		.name = "/header",
		.parent = w->boot,
		.version = 4,
		.header = true,
	};

	make_file(w, args);
	strcpy(w->boot, args.name);
}

void world_layer(struct world *w, unsigned int version)
{
	const struct cow_create_args args = {
		.name = w->boot,
		.parent = w->boot_parent,
		.version = version,
	};

	strcpy(w->boot_parent, w->boot);
	snprintf(w->boot, sizeof(w->boot), "/layer%u", w->names++);
	make_file(w, args);
}

static void build(struct world *w)
{
	static const unsigned int chains[][2] = {
		{ 0, 0 }, { 3, 0 }, { 4, 0 }, { 3, 4 }, { 4, 4 },
	};
	const unsigned int *chain = chains[world_pick(w, ARRAY_SIZE(chains))];
	unsigned int i;

	world_base(w, "/base");
	for (i = 0; i < 2 && chain[i] && !w->run->failed; i++) {
		world_layer(w, chain[i]);
		/* Its name is durable, and so is what stands behind it. */
		world_crash(w);
		populate(w);
	}
	w->two_names = w->boot_parent[0] && world_pick(w, 2);
	w->durable = !world_pick(w, 10);
	w->direct = !world_pick(w, 3);
	world_trace(w, "seed %llu: %llu sectors, chain raw %u %u",
		    (unsigned long long)w->seed,
		    (unsigned long long)w->sectors, chain[0], chain[1]);
}

/* ---- the workload ------------------------------------------------------ */

static void break_host(struct world *w)
{
	struct cow_layer_info info;

	if (w->run->fault_on_parent)
		return;
	cow_layer(w->file, 0, &info);
	vdisk_fault(w->disk, w->run->fault, info.id.ino);
}

static void work(struct world *w)
{
	unsigned int steps = 10 + world_pick(w, 120);

	vdisk_async(w->disk, world_pick(w, 4), world_pick(w, 100));
	if (world_open(w))
		return;
	break_host(w);
	vdisk_hook(w->disk, world_hook, w);
	w->checks = true;
	w->meanwhile = true;
	while (steps-- && w->file && !w->run->failed)
		world_step(w);
	w->checks = w->file && !w->run->failed;
	if (!w->file)
		return;
	world_end(w);
	world_power(w);
	w->checks = false;
	vdisk_hook(w->disk, NULL, NULL);
	if (!w->run->failed)
		world_compare(w, "at the end");
}

struct world *world_new(struct run *run, uint64_t seed)
{
	struct world *w = calloc(1, sizeof(*w));
	struct rig rig;

	rig_init(&rig, 0);
	w->run = run;
	w->seed = seed;
	w->check_seed = ~seed;
	w->disk = vdisk_new(seed ^ 0x5eed);
	plain_env = rig.env;
	if (run->arena)
		arena_use(&plain_env);
	w->env = rig.env;
	w->env.alloc = counting_alloc;
	w->env.free = counting_free;
	w->env.io = &vdisk_ops;
	w->env.ctx = w->disk;
	world_flights(w);
	return w;
}

void world_delete(struct world *w)
{
	common_close(w->file);
	if (in_use)
		world_fail(w, "%zu bytes of memory are lost", in_use);
	in_use = 0;
	world_forget(w);
	vdisk_free(w->disk);
	free(w);
}

void world_run(struct run *run, uint64_t seed)
{
	struct world *w = world_new(run, seed);

	w->sectors = 1 + world_pick(w, 200);
	if (!world_pick(w, 12))
		w->sectors = LEAF + 1 + world_pick(w, 2 * LEAF);
	w->check_percent = 1 + world_pick(w, 10);
	if (!world_pick(w, 4))
		vdisk_grain(w->disk, COW_BLOCK_SIZE);
	if (!world_pick(w, 10))
		vdisk_no_attributes(w->disk);
	oracle_init(&w->oracle, w->sectors, 1, NULL);
	build(w);
	if (!run->failed)
		work(w);
	world_delete(w);
}
