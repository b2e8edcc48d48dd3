/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The engine's memory, where it is opened thousands of times a second: large
 * pieces come from one mapping, which is emptied when all of them are free. The
 * sanitizers see less then.
 */
#ifndef ARENA_H
#define ARENA_H

#include "cow.h"

/**
 * arena_use() - let an engine take its large pieces from the arena
 * @env: its alloc and free are replaced, and called for the small ones. One
 *       engine at a time, one thread.
 */
void arena_use(struct cow_env *env);

#endif
