// SPDX-License-Identifier: GPL-2.0-only
/*
 * Opening a chain: successors are followed, parents found, compared and locked.
 *
 * Duty: common_open() and closing. May block; nobody else sees the chain yet.
 *
 * Invariants:
 *  - Only files are opened that the administrator named or that a header or
 *    record written by this software names.
 *  - A frozen layer is never opened for writing, except at the administrator's
 *    word (args.force).
 *  - A parent that is not what its child was made over is refused, unless the
 *    child says that it is being merged into it.
 */
#include <string.h>
#include "engine.h"
#include "layer.h"

struct opening {
	struct chain *chain;
	const struct cow_open_args *args;
	struct cow_error *err;
	struct io_id *trail;	/* frozen files that were followed */
	unsigned int ntrail;
	unsigned int followed;	/* files followed in all, aliases too */
	bool write;
};

#define TRAIL_MAX	COW_MAX_DEPTH

/* ---- following --------------------------------------------------------- */

/* Place of @id on the trail, or -1. */
static int on_trail(const struct opening *open, const struct io_id *id)
{
	unsigned int i;

	for (i = 0; i < open->ntrail; i++) {
		if (cow_same_file(&open->trail[i], id))
			return i;
	}
	return -1;
}

/* Geometry alone: the disk is the raw file that it names. */
static bool is_header(const struct layer *layer)
{
	return layer->hdr.format == COW_V4 &&
	       layer->hdr.v4.kind == COW_KIND_HEADER;
}

static int add_trail(struct opening *open, const struct layer *layer)
{
	if (++open->followed >= TRAIL_MAX || on_trail(open, &layer->st.id) >= 0)
		return cow_fail(open->err, -ELOOP,
				"%s: its successors lead in a circle; start from a copy of the layer that you want",
				layer->path);
	if (!(layer->record.state & COW_IS_DRAINED) && !is_header(layer))
		open->trail[open->ntrail++] = layer->st.id;
	return 0;
}

/*
 * An alias whose parent is on the trail: the machine stopped after the merge
 * was complete but before the parent's successor was forgotten.
 */
static void thaw(struct layer *layer)
{
	layer->thawed = true;
	layer->record.state &= ~COW_IS_FROZEN;
	cow_v4_unlink(&layer->hdr.v4);
}

static bool follows(const struct opening *open, const struct layer *layer)
{
	if (is_header(layer))
		return true;
	if (open->args->no_follow)
		return false;
	if (layer->record.state & COW_IS_DRAINED)
		return true;
	return (layer->record.state & COW_IS_FROZEN) && open->write;
}

enum cow_expect cow_parent_expect(const struct layer *layer)
{
	if (layer->hdr.format == COW_V4 &&
	    layer->hdr.v4.parent_format != COW_PARENT_RAW)
		return COW_EXPECT_COW;
	return COW_EXPECT_RAW;
}

static void say(const struct opening *open, const char *fmt, const char *a,
		const char *b)
{
	const struct cow_env *env = &open->chain->env;
	struct cow_error *line = env->alloc(sizeof(*line));

	if (!line)
		return;
	cow_fail(line, 0, fmt, a, b);
	if (env->say)
		env->say(line->text);
	env->free(line, sizeof(*line));
}

/* Why one file leads to the next. */
struct lead {
	const char *name;
	enum cow_expect expect;
	const char *why;	/* "%s: <why>, but %s can not be opened" */
	const char *said;	/* "%s <said> %s", for the administrator */
};

static struct lead lead_from(struct layer *layer)
{
	if (is_header(layer))
		return (struct lead){
			layer->hdr.parent, COW_EXPECT_RAW,
			"it is the header of a disk image", NULL,
		};
	if (layer->record.state & COW_IS_DRAINED)
		return (struct lead){
			layer->hdr.parent, cow_parent_expect(layer),
			"it was merged into its parent",
			"%s was merged into its parent: using %s",
		};
	return (struct lead){
		layer->record.successor, COW_EXPECT_COW,
		"it is frozen and has a successor",
		"%s is frozen by a snapshot: using its successor %s",
	};
}

/* The image of a header is as large as the header says. */
static int take_header(struct opening *open, const struct layer *header,
		       const struct layer *image)
{
	const struct cow_disk_v4 *v4 = &header->hdr.v4;

	if (image->sectors << COW_SECTOR_SHIFT != v4->size)
		return cow_fail(open->err, -ESTALE,
				"%s: its image %s has %llu bytes, and not %llu; make a new header",
				header->path, image->path,
				(unsigned long long)image->st.size,
				(unsigned long long)v4->size);
	open->chain->geometry = (struct cow_geometry){
		v4->cylinders, v4->heads, v4->sectors,
	};
	open->chain->sector_size = v4->sectorsize;
	return 0;
}

/* The next file on the way from a header, a frozen layer or an alias. */
static int follow_one(struct opening *open, struct layer **layer)
{
	struct layer *from = *layer;
	struct lead lead = lead_from(from);
	struct layer *to;
	int ret;

	ret = add_trail(open, from);
	if (ret)
		return ret;
	ret = cow_layer_open(open->chain, lead.name, lead.expect, &to,
			     open->err);
	if (ret)
		return cow_fail(open->err, ret,
				"%s: %s, but %s can not be opened (%s); bring it back, or start from a copy of this file, or read-only (flag r)",
				from->path, lead.why, lead.name,
				cow_reason(ret));
	if (lead.said)
		say(open, lead.said, from->path, to->path);
	if (is_header(from))
		ret = take_header(open, from, to);
	if (from->record.state & COW_IS_DRAINED &&
	    on_trail(open, &to->st.id) >= 0) {
		open->ntrail = on_trail(open, &to->st.id);
		thaw(to);
	}
	cow_layer_put(from);
	*layer = to;
	return ret;
}

/* ---- parents ----------------------------------------------------------- */

static bool identity_excused(const struct layer *layer)
{
	uint32_t excused = COW_IS_DRAINING | COW_IS_DRAINED;

	if (layer->hdr.format == COW_V4)
		excused |= COW_IS_PROVISIONAL;
	return layer->record.state & excused;
}

static bool v4_parent_fits(const struct layer *layer,
			   const struct layer *parent)
{
	const struct cow_disk_v4 *v4 = &layer->hdr.v4;
	struct cow_disk_v4 now = { 0 };

	cow_v4_identify(&now, parent);
	if (now.parent_format != v4->parent_format)
		return false;
	if (now.parent_format == COW_PARENT_V4)
		return now.parent_content == v4->parent_content &&
		       !memcmp(now.parent_uuid, v4->parent_uuid,
			       sizeof(now.parent_uuid));
	return now.parent_size == v4->parent_size &&
	       now.parent_mtime_sec == v4->parent_mtime_sec &&
	       now.parent_mtime_nsec == v4->parent_mtime_nsec;
}

static bool parent_fits(const struct layer *layer, const struct layer *parent)
{
	if (layer->hdr.format == COW_V4)
		return v4_parent_fits(layer, parent);
	return layer->hdr.size == parent->st.size &&
	       layer->hdr.mtime == (uint32_t)parent->st.mtime_sec;
}

static int changed_parent(struct opening *open, const struct layer *layer,
			  const struct layer *parent)
{
	const struct cow_disk_v4 *v4 = &layer->hdr.v4;
	bool is_v4 = layer->hdr.format == COW_V4;

	if (!is_v4 && !layer->hdr.mtime &&
	    layer->record.state & COW_IS_PROVISIONAL)
		return cow_fail(open->err, -ESTALE,
				"%s: the snapshot that made it did not come to its end; start from %s, which has all that was flushed",
				layer->path, parent->path);
	if (is_v4 && v4->parent_format == COW_PARENT_V4)
		return cow_fail(open->err, -ESTALE,
				"%s: its parent %s was written since, or is another file; bring the old one back",
				layer->path, parent->path);
	return cow_fail(open->err, -ESTALE,
			"%s: its parent %s has changed since (size %llu, time %lld; was size %llu, time %lld); bring the old one back, or accept this one with moo adopt",
			layer->path, parent->path,
			(unsigned long long)parent->st.size,
			(long long)parent->st.mtime_sec,
			(unsigned long long)(is_v4 ? v4->parent_size :
						     layer->hdr.size),
			(long long)(is_v4 ? (int64_t)v4->parent_mtime_sec :
					    layer->hdr.mtime));
}

/* Its own header may be changed for that, and so its time. */
static bool is_merging(const struct layer *layer)
{
	return layer->record.state & COW_IS_DRAINING;
}

/* A layer whose fold is not over has all that it had. */
static bool is_alias(const struct layer *layer)
{
	return layer->record.state & COW_IS_DRAINED && !is_merging(layer);
}

static int check_parent(struct opening *open, const struct layer *layer,
			const struct layer *parent)
{
	if (is_header(parent))
		return cow_fail(open->err, -EINVAL,
				"%s: its parent %s is the header of a disk image; make it over the image",
				layer->path, parent->path);
	if (is_alias(parent) && !open->args->no_follow)
		return cow_fail(open->err, -ESTALE,
				"%s: its parent %s was merged away; start from a file above it",
				layer->path, parent->path);
	if (identity_excused(layer) || is_merging(parent) ||
	    parent_fits(layer, parent))
		return 0;
	return changed_parent(open, layer, parent);
}

static int check_loop(struct opening *open, const struct layer *parent)
{
	const struct layer *layer;

	for (layer = open->chain->top; layer != parent; layer = layer->parent) {
		if (cow_same_file(&layer->st.id, &parent->st.id))
			return cow_fail(open->err, -ELOOP,
					"%s: it is its own parent; the chain has no base",
					parent->path);
	}
	return 0;
}

/*
 * Below V1 to V3 lies raw data. What begins like a COW file was hardly meant
 * so: refused rather than shown byte for byte. It is never opened as one.
 */
static int check_plain(struct opening *open, const struct layer *layer,
		       const struct layer *parent)
{
	if (layer->hdr.format == COW_V4 || open->args->raw ||
	    !cow_layer_has_magic(parent))
		return 0;
	return cow_fail(open->err, -EINVAL,
			"%s: its parent %s is a COW file, and V%u can only lie on raw data; make a V4 file over it",
			layer->path, parent->path, layer->hdr.format);
}

static int open_parent(struct opening *open, struct layer *layer)
{
	struct layer *parent;
	int ret;

	ret = cow_layer_open(open->chain, layer->hdr.parent,
			     cow_parent_expect(layer), &parent, open->err);
	if (ret == -ENOENT)
		return cow_fail(open->err, ret,
				"%s: its parent %s is missing; bring it back, or name it with moo rebase -u",
				layer->path, layer->hdr.parent);
	if (ret)
		return ret;
	layer->parent = parent;
	ret = check_loop(open, parent);
	if (!ret)
		ret = cow_layer_share(parent, open->args->lock_retry_ms,
				      open->err);
	if (!ret)
		ret = cow_layer_identify(parent, cow_parent_expect(layer),
					 open->err);
	if (!ret)
		ret = check_plain(open, layer, parent);
	if (!ret)
		ret = check_parent(open, layer, parent);
	return ret;
}

static int open_parents(struct opening *open)
{
	struct chain *chain = open->chain;
	struct layer *layer = chain->top;
	int ret;

	for (chain->depth = 1; cow_has_parent(layer); chain->depth++) {
		if (chain->depth == COW_MAX_DEPTH)
			return cow_fail(open->err, -ELOOP,
					"%s: more than %u layers; merge some of them",
					chain->top->path, COW_MAX_DEPTH);
		ret = open_parent(open, layer);
		if (ret)
			return ret;
		layer = layer->parent;
	}
	return 0;
}

/* Every frozen file that led here has to be part of the chain. */
static int check_trail(struct opening *open)
{
	unsigned int i;

	for (i = 0; i < open->ntrail; i++) {
		const struct layer *layer = open->chain->top;

		while (layer && !cow_same_file(&layer->st.id, &open->trail[i]))
			layer = layer->parent;
		if (!layer)
			return cow_fail(open->err, -ESTALE,
					"%s: %s is named as successor but is not built on it; bring the right one back, or start from a copy of the frozen file",
					open->args->name,
					open->chain->top->path);
	}
	return 0;
}

/* ---- the size of a sector ---------------------------------------------- */

int cow_sector_size_check(const char *name, uint32_t size,
			  struct cow_error *err)
{
	if (!size || cow_is_sector_size(size))
		return 0;
	return cow_fail(err, -EINVAL,
			"%s: a sector can not have %u bytes; choose 512, 1024, 2048 or 4096",
			name, size);
}

/* What the file says that was named, if it is a header, and the top. */
static int read_sector_size(struct opening *open)
{
	const struct layer *top = open->chain->top;
	uint32_t *size = &open->chain->sector_size;

	if (top->hdr.format != COW_V4)
		return 0;
	if (*size && *size != top->hdr.v4.sectorsize)
		return cow_fail(open->err, -EINVAL,
				"%s: its header says that sectors have %u bytes, and %s says %u; make a new header",
				open->args->name, *size, top->path,
				top->hdr.v4.sectorsize);
	*size = top->hdr.v4.sectorsize;
	return 0;
}

/* Files without a place for it have what was asked for. */
static int take_sector_size(struct opening *open)
{
	const struct layer *top = open->chain->top;
	uint32_t *size = &open->chain->sector_size;
	uint32_t asked = open->args->sector_size;
	int ret = read_sector_size(open);

	if (ret)
		return ret;
	if (asked && *size && asked != *size)
		return cow_fail(open->err, -EINVAL,
				"%s: its header says that sectors have %u bytes, not %u; leave flag B out",
				top->hdr.format == COW_V4 ? top->path :
							    open->args->name,
				*size, asked);
	if (!*size)
		*size = asked ? asked : COW_SECTOR_SIZE;
	if ((top->sectors << COW_SECTOR_SHIFT) % *size)
		return cow_fail(open->err, -EINVAL,
				"%s: its %llu bytes are no multiple of the sector size %u; choose a smaller one",
				top->path,
				(unsigned long long)top->sectors <<
				COW_SECTOR_SHIFT, *size);
	return 0;
}

unsigned int cow_sector_size(const struct common_file *file)
{
	return cow_chain(file)->sector_size;
}

/* ---- the two-name form ------------------------------------------------- */

/*
 * Is the second name one for the file @id: of a layer that was folded into it, or
 * its header?
 */
static bool stands_for(const struct opening *open, const struct io_id *id)
{
	const struct cow_env *env = &open->chain->env;
	struct cow_error *ignored = env->alloc(sizeof(*ignored));
	struct layer *said = NULL;
	struct io_stat st;
	bool yes;

	yes = ignored &&
	      !cow_layer_open(open->chain, open->args->parent, COW_EXPECT_COW,
			      &said, ignored) &&
	      (said->record.state & COW_IS_DRAINED || is_header(said)) &&
	      !env->io->lookup(env->ctx, said->hdr.parent, &st) &&
	      cow_same_file(&st.id, id);
	cow_layer_put(said);
	if (ignored)
		env->free(ignored, sizeof(*ignored));
	return yes;
}

/* The second name has to be the file that the first one's header names. */
static int check_second_name(struct opening *open, const struct layer *layer)
{
	const struct cow_env *env = &open->chain->env;
	struct io_stat said, stored;
	int ret;

	if (!cow_has_parent(layer))
		return cow_fail(open->err, -EINVAL,
				"%s: it is not a COW file, but was given a parent; name it alone",
				layer->path);
	ret = env->io->lookup(env->ctx, open->args->parent, &said);
	if (ret)
		return cow_fail(open->err, ret, "%s: %s", open->args->parent,
				cow_reason(ret));
	ret = env->io->lookup(env->ctx, layer->hdr.parent, &stored);
	if (!ret && (cow_same_file(&said.id, &stored.id) ||
		     stands_for(open, &stored.id)))
		return 0;
	return cow_fail(open->err, -EINVAL,
			"%s: its parent is %s, not %s; name the right one, or make a new COW file",
			layer->path, layer->hdr.parent, open->args->parent);
}

/* ---- the top ----------------------------------------------------------- */

static int take_top(struct opening *open, struct layer *layer)
{
	enum cow_expect expect = layer->hdr.format == COW_RAW ?
				 COW_EXPECT_RAW : COW_EXPECT_COW;
	uint32_t state = layer->record.state;
	int ret;

	if (!open->write) {
		ret = cow_layer_share(layer, open->args->lock_retry_ms,
				      open->err);
	} else {
		ret = cow_layer_claim(layer, open->args->lock_retry_ms,
				      open->err);
		if (ret == -EROFS || ret == -EACCES || ret == -EPERM) {
			say(open, "%s is opened read-only: %s", layer->path,
			    cow_reason(ret));
			open->write = false;
			ret = cow_layer_share(layer,
					      open->args->lock_retry_ms,
					      open->err);
		}
	}
	if (!ret)
		ret = cow_layer_identify(layer, expect, open->err);
	if (!ret && layer->thawed)
		thaw(layer);
	if (!ret && (state ^ layer->record.state) &
		    (COW_IS_FROZEN | COW_IS_DRAINED | COW_IS_PROTECTED))
		ret = cow_fail(open->err, -EAGAIN,
			       "%s: it changed while it was opened; try again",
			       layer->path);
	return ret;
}

static int open_top(struct opening *open)
{
	const struct cow_open_args *args = open->args;
	enum cow_expect expect = args->raw && !args->parent ?
				 COW_EXPECT_RAW : COW_EXPECT_ANY;
	struct layer *layer;
	int ret;

	ret = cow_layer_open(open->chain, args->name, expect, &layer,
			     open->err);
	if (ret)
		return ret;
	if (args->parent)
		ret = check_second_name(open, layer);
	while (!ret && follows(open, layer))
		ret = follow_one(open, &layer);
	if (!ret && open->write && !args->force &&
	    layer->record.state & COW_IS_FROZEN)
		ret = cow_fail(open->err, -EROFS,
			       "%s: it is frozen by a snapshot, %s is built on it; write a copy of it instead",
			       layer->path, layer->record.successor);
	if (!ret && open->write && layer->record.state & COW_IS_PROTECTED) {
		say(open, "%s is opened read-only: %s", layer->path,
		    "it is protected; lift that with moo protect --off");
		open->write = false;
	}
	if (!ret && open->write && cow_v4_foreign(&layer->hdr.v4)) {
		say(open, "%s is opened read-only: %s", layer->path,
		    "it has features that only a later version may write");
		open->write = false;
	}
	if (!ret && open->write && layer->hdr.v4.generation >= COW_V4_WORN) {
		say(open, "%s is opened read-only: %s", layer->path,
		    "its generations are used up; make a new one with moo convert");
		open->write = false;
	}
	if (!ret && open->write && layer->hdr.tail_on_data) {
		say(open, "%s is opened read-only: %s", layer->path,
		    "its last sectors have no bits; make a right one with moo convert");
		open->write = false;
	}
	if (!ret)
		ret = take_top(open, layer);
	if (ret) {
		cow_layer_put(layer);
		return ret;
	}
	open->chain->top = layer;
	layer->state = COW_STATE_TOP;
	return 0;
}

/* ---- creation on the way ----------------------------------------------- */

/* With two names, make the first if it is missing. */
static int create_missing(struct opening *open)
{
	const struct cow_open_args *args = open->args;
	const struct cow_env *env = &open->chain->env;
	struct cow_create_args create = {
		.name = args->name,
		.parent = args->parent,
		.version = args->version,
		.parent_raw = args->raw,
		.keep_link = args->keep_link,
		.geometry = args->geometry,
		.padding = args->padding,
		.sector_size = args->sector_size,
		.mode = 0644,
		.gid = ~0u,
	};
	struct io_stat st;
	struct layer *parent;
	int ret;

	if (!args->parent || !args->create || args->read_only)
		return 0;
	if (env->io->lookup(env->ctx, args->name, &st) != -ENOENT)
		return 0;
	ret = cow_layer_open(open->chain, args->parent,
			     args->raw ? COW_EXPECT_RAW : COW_EXPECT_ANY,
			     &parent, open->err);
	if (ret)
		return ret;
	if (parent->record.state & COW_IS_FROZEN)
		ret = cow_fail(open->err, -EEXIST,
			       "%s: it is missing, and %s has the successor %s; bring it back, or name the successor alone, or make a clone with moo create",
			       args->name, parent->path,
			       parent->record.successor);
	cow_layer_put(parent);
	return ret ? ret : cow_create(env, &create, open->err);
}

/* ---- a chain's memory -------------------------------------------------- */

static void chain_free(struct chain *chain)
{
	struct cow_env env = chain->env;

	while (chain->top) {
		struct layer *layer = chain->top;

		chain->top = layer->parent;
		cow_layer_put(layer);
	}
	cow_cache_exit(chain);
	if (chain->guard.copy)
		env.free(chain->guard.copy, COW_BLOCK_SIZE);
	if (chain->by_rank)
		env.free(chain->by_rank,
			 COW_MAX_DEPTH * sizeof(*chain->by_rank));
	if (chain->subs)
		env.free(chain->subs, CHAIN_SUBS * sizeof(*chain->subs));
	env.free(chain, sizeof(*chain));
}

static void chain_close(struct common_file *file)
{
	struct chain *chain = cow_chain(file);

	cow_free_collect(chain->top);
	cow_free_close(chain->top);
	chain_free(chain);
}

static const struct common_ops chain_ops = {
	.submit = cow_submit,
	.close = chain_close,
};

static int chain_memory(struct chain *chain)
{
	const struct cow_env *env = &chain->env;
	unsigned int i;

	chain->subs = env->alloc(CHAIN_SUBS * sizeof(*chain->subs));
	chain->by_rank = env->alloc(COW_MAX_DEPTH * sizeof(*chain->by_rank));
	chain->guard.copy = env->alloc(COW_BLOCK_SIZE);
	if (!chain->subs || !chain->by_rank || !chain->guard.copy)
		return -ENOMEM;
	for (i = 0; i < CHAIN_SUBS; i++) {
		chain->subs[i].chain = chain;
		cow_sub_put(&chain->subs[i]);
	}
	return 0;
}

static struct chain *chain_new(const struct cow_env *env)
{
	struct chain *chain = env->alloc(sizeof(*chain));

	if (!chain)
		return NULL;
	chain->env = *env;
	return chain;
}

/* Make on disk true what thaw() saw. */
static int forget_successor(struct layer *layer, struct cow_error *err)
{
	int ret;

	if (layer->hdr.format == COW_V4) {
		layer->header_dirty = true;
		return 0;
	}
	ret = cow_record_thaw(layer);
	if (ret)
		cow_fail(err, ret, "%s: its state record: %s", layer->path,
			 cow_reason(ret));
	return ret;
}

static int open_all(struct opening *open)
{
	struct chain *chain = open->chain;
	int ret;

	ret = cow_sector_size_check(open->args->name, open->args->sector_size,
				    open->err);
	if (!ret)
		ret = create_missing(open);
	if (!ret)
		ret = open_top(open);
	if (!ret)
		ret = take_sector_size(open);
	if (!ret)
		ret = open_parents(open);
	if (!ret)
		ret = check_trail(open);
	if (!ret)
		ret = cow_layers_count(chain->top, open->err);
	if (!ret)
		ret = cow_cache_init(chain, open->err);
	if (ret)
		return ret;
	ret = chain_memory(chain);
	if (!ret && open->write)
		ret = cow_layer_writable(chain->top);
	if (ret)
		return cow_fail(open->err, ret, "%s: %s", open->args->name,
				cow_reason(ret));
	if (open->write && chain->top->thawed) {
		ret = forget_successor(chain->top, open->err);
		if (ret)
			return ret;
	}
	if (chain->direct)
		cow_chain_direct(chain);
	cow_chain_relinked(chain);
	chain->file.ops = &chain_ops;
	chain->file.size = chain->top->sectors << COW_SECTOR_SHIFT;
	chain->file.read_only = !open->write;
	return 0;
}

int common_open(const struct cow_env *env, const struct cow_open_args *args,
		struct common_file **file, struct cow_error *err)
{
	struct opening open = {
		.args = args,
		.err = err,
		.write = !args->read_only && !args->peek,
	};
	int ret = -ENOMEM;

	open.chain = chain_new(env);
	open.trail = env->alloc(TRAIL_MAX * sizeof(*open.trail));
	if (open.chain && open.trail) {
		open.chain->raw = args->raw;
		open.chain->unlocked = args->unlocked;
		open.chain->durable = args->durable;
		open.chain->peek = args->peek;
		open.chain->direct = args->direct;
		ret = open_all(&open);
	} else {
		cow_fail(err, ret, "%s: %s", args->name, cow_reason(ret));
	}
	if (open.trail)
		env->free(open.trail, TRAIL_MAX * sizeof(*open.trail));
	if (ret) {
		if (open.chain)
			chain_free(open.chain);
		return ret;
	}
	*file = &open.chain->file;
	return 0;
}
