/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One file for us alone, to be changed where the engine has no function for it.
 */
#ifndef MOO_HOLD_H
#define MOO_HOLD_H

#include "moo.h"

/**
 * struct moo_hold - a file that nobody else has open, or writes
 * @env: what it lives in
 * @name: as the user gave it
 * @raw: it is taken as raw data
 * @fd: for writing, and holds the lock
 * @probe: what it says of itself
 */
struct moo_hold {
	struct cow_env env;
	const char *name;
	bool raw;
	int fd;
	struct moo_probe *probe;
};

/**
 * moo_hold() - open and lock @name, and look at it
 * @raw: take it as raw data, whatever it begins with
 *
 * If anybody else has it open, be it to read beside a writer, it is refused.
 * End it with moo_hold_end(), also after a failure.
 */
int moo_hold(struct moo_hold *hold, const char *name, bool raw,
	     struct cow_error *err);
/**
 * moo_hold_beside() - open @name beside those who read it, and look at it
 *
 * Nobody writes it meanwhile, and nobody else marks or seals it. As moo_hold().
 */
int moo_hold_beside(struct moo_hold *hold, const char *name, bool raw,
		    struct cow_error *err);

/**
 * moo_hold_again() - look at what the file says after it was changed
 */
int moo_hold_again(struct moo_hold *hold, struct cow_error *err);
void moo_hold_end(struct moo_hold *hold);

/**
 * moo_hold_writable() - refuse what must not be changed
 * @force: a frozen layer may be
 *
 * That is a frozen layer, one that is protected, on its way into its parent, or
 * that only a later version may write.
 */
int moo_hold_writable(const struct moo_probe *probe, bool force,
		      struct cow_error *err);

/**
 * moo_hold_markable() - refuse what must not be changed in its header either
 * @force: a frozen layer may be
 *
 * As moo_hold_writable(), but that a protected file passes: for what leaves the
 * content and its place alone.
 */
int moo_hold_markable(const struct moo_probe *probe, bool force,
		      struct cow_error *err);

/**
 * moo_hold_unseal() - durably give up the seal of a V4 file, if it has one
 */
int moo_hold_unseal(struct moo_hold *hold, struct cow_error *err);

/**
 * moo_hold_failed() - the line for a failed write to a file that is held
 * Return: @ret.
 */
int moo_hold_failed(const struct moo_hold *hold, int ret,
		    struct cow_error *err);

#endif
