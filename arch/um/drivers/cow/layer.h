/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Opening single layers: what open.c, create.c, snapshot.c and merge.c share.
 *
 * Duty: the blocking half of a layer's life. Everything here may block.
 *
 * Invariants: see layer.c.
 */
#ifndef COW_LAYER_H
#define COW_LAYER_H

#include "engine.h"

/* What stands behind a name, as whoever gave the name knows it. */
enum cow_expect {
	COW_EXPECT_ANY,		/* the administrator named it: look */
	COW_EXPECT_RAW,		/* do not look */
	COW_EXPECT_COW,		/* recorded as a COW of some version */
};

/* Open read-only, without a lock, and understand the header and the record. */
int cow_layer_open(struct chain *chain, const char *path,
		   enum cow_expect expect, struct layer **out,
		   struct cow_error *err);

/* Read header and record again, after the file was locked. */
int cow_layer_identify(struct layer *layer, enum cow_expect expect,
		       struct cow_error *err);

/*
 * Count what the layers with a bitmap own, from @top down. After the chain was
 * found to be one: so the work is bounded by what its files hold.
 */
int cow_layers_count(struct layer *top, struct cow_error *err);

/* Take the shared lock; taking turns with others for up to @patience_ms. */
int cow_layer_share(struct layer *layer, unsigned int patience_ms,
		    struct cow_error *err);

/* Reopen for writing, of the very same file, and lock it for us alone. */
int cow_layer_claim(struct layer *layer, unsigned int patience_ms,
		    struct cow_error *err);

/* 0 if the layer's name still leads to its file, as a chain at work needs it. */
int cow_layer_named(const struct layer *layer, struct cow_error *err);

/*
 * Take the header as it is by now: while others could only read the layer, a tool
 * may have sealed it. To be called once nobody else has a lock of it.
 */
int cow_layer_renew(struct layer *layer, struct cow_error *err);

/*
 * Refuse a layer that nobody may write, as it is by now. To be called behind
 * cow_layer_renew().
 */
int cow_layer_refuse_protected(struct layer *layer, struct cow_error *err);

/*
 * Let the data go past the host's cache, if layout and host allow it; if not,
 * that is told, and is no failure. All layers of a chain that nobody uses yet.
 */
void cow_layer_direct(struct layer *layer, bool write);
void cow_chain_direct(struct chain *chain);

/*
 * Write a few bytes of a V1 to V3 header, which lie in its first sector if the
 * layer is direct. Not durable yet.
 */
int cow_header_patch(const struct layer *layer, size_t place, const void *buf,
		     size_t len);

/* Is the record about this very file, and not one it was copied from? */
bool cow_record_is_mine(const struct layer *layer);

/* Does the file begin like a COW file, whatever it was opened as? */
bool cow_layer_has_magic(const struct layer *layer);

/* What a layer's header says about the layer below it. */
enum cow_expect cow_parent_expect(const struct layer *layer);

/* Has the layer a parent at all? */
static inline bool cow_has_parent(const struct layer *layer)
{
	return layer->hdr.format != COW_RAW && layer->hdr.parent[0];
}

#endif
