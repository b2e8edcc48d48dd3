/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a layer says of its parent: what moo rebase and moo adopt share.
 */
#ifndef MOO_RELINK_H
#define MOO_RELINK_H

#include "hold.h"

/**
 * moo_relink_refuse() - may @top stand on the chain @parent?
 * @top: what the layer says of itself
 * @parent: the chain below, open
 * @force: as of moo_hold_writable(); also, the parent may be smaller
 */
int moo_relink_refuse(const struct moo_probe *top, struct moo_chain *parent,
		      bool force, struct cow_error *err);

/**
 * moo_relink() - store which parent @top has
 * @parent: the chain below, open
 * @name: the parent's name; NULL: it stays
 *
 * What the layer owns does not change, nor does by what the layers over it know
 * it. Stopped at any point, the layer has its old parent, or the new one, or, of
 * V1 to V3, none that fits, so that it is refused.
 */
int moo_relink(const struct moo_hold *top, struct moo_chain *parent,
	       const char *name, struct cow_error *err);

#endif
