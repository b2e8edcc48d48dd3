/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The engine's inner structures: chain, layer, index page, request, commit.
 *
 * Duty: what the engine's own files share; nothing outside includes it but the
 * engine's tests.
 *
 * Invariants:
 *  - One thread at a time. What completes later is queued on chain.run and
 *    carried on by cow_run(), so that no completion recurses into another.
 *  - A layer's ops map sectors and stage metadata; only request.c, commit.c,
 *    page.c, copy.c and merge.c submit I/O.
 *  - An index page that is dirty, or has children in memory, is never evicted.
 *  - Header slots of a layer that is written are written by commit.c alone.
 */
#ifndef COW_ENGINE_H
#define COW_ENGINE_H

#include "cow.h"
#include "extents.h"
#include "format.h"
#include "record.h"

struct chain;
struct layer;
struct ipage;
struct req;

/* ---- waiting ----------------------------------------------------------- */

/* Somebody who is called on when what it waits for has happened. */
struct cow_wait {
	struct cow_wait *next;
	void (*run)(struct cow_wait *wait);
	int result;
};

struct cow_queue {
	struct cow_wait *head;
	struct cow_wait *last;
};

static inline bool cow_queue_empty(const struct cow_queue *queue)
{
	return !queue->head;
}

void cow_queue_add(struct cow_queue *queue, struct cow_wait *wait);
struct cow_wait *cow_queue_take(struct cow_queue *queue);

/* Let everybody on @queue run soon, in order, with @result. */
void cow_wake(struct chain *chain, struct cow_queue *queue, int result);

/* Let @wait run soon. */
void cow_wake_one(struct chain *chain, struct cow_wait *wait, int result);

/* Run all that was woken; does nothing when called from inside itself. */
void cow_run(struct chain *chain);

#define cow_container_of(ptr, type, member) \
	((type *)((char *)(ptr) - offsetof(type, member)))

/* ---- index pages ------------------------------------------------------- */

#define IPAGE_SIZE	COW_BLOCK_SIZE

enum ipage_state { IPAGE_FREE, IPAGE_LOADING, IPAGE_VALID };

/**
 * struct ipage - one page of a layer's index in memory, bytes as on disk
 * @key: bitmap: page number; V4: level << 56 | position
 * @parent: V4: the page with the entry for this one; holds it in memory
 * @children: pages in memory whose parent this is
 * @pins: requests that will change it when their data is written
 * @block: V4: where it was last written, 0 = nowhere yet
 * @owned: V4 leaf: sectors owned by what is in memory
 * @staged: V4 leaf: the same for what was last copied to be written
 * @generation: V4: of the header that first refers to @block
 * @need: while it is read: bytes that have to be there
 */
struct ipage {
	struct ipage *hash_next;
	struct ipage *prev;
	struct ipage *next;
	struct ipage *dirty_next;
	struct layer *layer;
	uint64_t key;
	uint8_t *data;
	struct ipage *parent;
	unsigned int children;
	unsigned int pins;
	enum ipage_state state;
	bool dirty;
	bool listed;		/* evictable, on the LRU list */
	uint64_t block;
	uint64_t generation;
	unsigned int owned;
	unsigned int staged;
	struct cow_queue waiters;
	size_t need;
	struct io_desc io;
	struct cow_vec vec;
};

struct ipage_cache {
	struct chain *chain;
	struct ipage *pages;
	uint8_t *memory;
	unsigned int count;
	unsigned int used;	/* of pages[], handed out at least once */
	unsigned int dirty;
	unsigned int spare;	/* free or evictable */
	unsigned int hash_mask;
	struct ipage **hash;
	struct ipage *free;
	struct ipage lru;	/* list head: next is the oldest */
	struct cow_queue waiters; /* for a page to become evictable */
};

/*
 * When the layers are open, and before any of their pages is asked for. The owners'
 * cache, which shares the bound, comes with it.
 */
int cow_cache_init(struct chain *chain, struct cow_error *err);
void cow_cache_exit(struct chain *chain);

/* The page in memory (then most recently used), or NULL. */
struct ipage *cow_page_find(struct layer *layer, uint64_t key);

/* The least key from @key on whose page is in memory; @end if none below is. */
uint64_t cow_page_next(struct layer *layer, uint64_t key, uint64_t end);

/* A page for @key, holding nothing; NULL if none can be evicted. */
struct ipage *cow_page_new(struct layer *layer, uint64_t key,
			   struct ipage *parent);

/*
 * Read a page from @cow_page_new() into memory; layer->ops->loaded() checks it.
 * At least @need of the @len bytes have to be in the file; others are zero.
 * Returns 0 if it is valid at once, -EAGAIN if it is under way, or an error.
 */
int cow_page_load(struct ipage *page, uint64_t offset, size_t len, size_t need);

/* A freshly made page is complete. */
void cow_page_valid(struct ipage *page);
void cow_page_dirty(struct ipage *page);
void cow_page_pin(struct ipage *page);
void cow_page_unpin(struct ipage *page);

/* Are so many dirty that nobody should wait until somebody asks for a commit? */
bool cow_pages_crowd(const struct chain *chain);

/* Stop being dirty: @page is as the disk is about to be. */
void cow_page_cleaned(struct ipage *page);

/* Forget a page that failed to load, or all pages of @layer. */
void cow_page_drop(struct ipage *page);
void cow_pages_drop(struct layer *layer);

/* ---- layers ------------------------------------------------------------ */

/**
 * struct layer_ops - one format: maps, reserves, stages; does no I/O
 * @map: the first stretch of equal state in [sector, sector + count); -EAGAIN
 *	if an index page has to come first: *page then says which, or is NULL
 *	when there is no memory for it at the moment
 * @reserve: room for the first stretch of sectors at @sector that are not
 *	COW_DATA; *page is pinned until set() has been called or given up with
 *	cow_page_unpin(); -EAGAIN as for map
 * @set: sectors of one stretch, on one page, change state in memory; stages
 * @prepare_set: find and pin the page for set() without reserving room
 * @loaded: check a page that was read
 */
struct layer_ops {
	int (*map)(struct layer *layer, uint64_t sector, uint64_t count,
		   struct cow_run *run, struct ipage **page);
	int (*reserve)(struct layer *layer, uint64_t sector, uint64_t count,
		       struct cow_run *run, struct ipage **page);
	int (*prepare_set)(struct layer *layer, uint64_t sector, uint64_t count,
			   struct cow_run *run, struct ipage **page);
	void (*set)(struct layer *layer, struct ipage *page, uint64_t sector,
		    uint64_t count, enum cow_run_state state);
	int (*loaded)(struct ipage *page);
};

extern const struct layer_ops cow_raw_ops;
extern const struct layer_ops cow_bitmap_ops;
extern const struct layer_ops cow_isam_ops;

/**
 * struct look - does the file have a hole where the bits of a sector are?
 * @first: page of the bitmap to look from
 * @end: page before which the hole ends, if there is one
 */
struct look {
	struct layer *layer;
	uint64_t first;
	uint64_t end;
};

/*
 * Bitmaps: let map() pass over a hole of the file at once, not page by page.
 * True if the file has to be asked: cow_look_host() does that, which may block
 * and run on any thread, and cow_look_end() keeps what it said. In between the
 * layer is given no sector.
 */
bool cow_look_begin(struct layer *layer, uint64_t sector, struct look *look);
void cow_look_host(struct look *look);
void cow_look_end(const struct look *look);

enum commit_phase {
	COMMIT_IDLE,
	COMMIT_STAGE,		/* take copies; V4: write them to new places */
	COMMIT_BELOW,		/* a draining top: its parent's commit */
	COMMIT_DATA_SYNC,
	COMMIT_META,		/* bitmap pages, or the header slot */
	COMMIT_META_SYNC,
};

#define STAGE_PAGES	256

/* One page's copy on its way to disk. */
struct stage {
	struct io_desc io;
	struct cow_vec vec;
	struct layer *layer;
	struct ipage *page;
	uint8_t *data;
};

/**
 * struct commit - one layer's way from staged to durable
 * @waiters: those whom the running commit answers
 * @next: those who came too late for it
 * @pages: dirty pages of the running commit, by level
 * @staged: true from the moment when the set can not grow any more
 */
struct commit {
	enum commit_phase phase;
	unsigned int pending;
	int error;
	bool meta;
	bool staged;
	bool answered;		/* io is complete, its result not yet taken */
	bool starved;		/* waits for a free stage */
	bool woken;		/* self is queued */
	unsigned int level;
	struct ipage *pages[COW_V4_MAX_LEVELS];
	unsigned int nstage;
	struct stage *stage;
	unsigned int *stage_free;
	struct stage **order;
	unsigned int nfree;
	uint8_t *slot;
	struct cow_vec slot_vec;
	struct io_desc io;
	struct cow_wait self;
	struct cow_wait below;
	struct cow_queue waiters;
	struct cow_queue next;
};

/**
 * struct room - V4: blocks that nobody uses, on their way to the next user
 * @given, @leaving, @settled, @grace: see room.c
 * @pool: free
 * @list: what a layer that comes to rest writes down
 * @list_page, @list_pages: where it writes that down
 * @loaded: what the file's list named
 * @asking: is anything pinned?
 * @asked: generation of the header for which that was asked last
 * @waiting: @grace waits for I/O that began before the phase changed
 * @punching: @grace is being punched
 * @punched: how far
 */
struct room {
	struct layer *layer;
	struct extents given;
	struct extents leaving;
	struct extents settled;
	struct extents grace;
	struct extents pool;
	struct extents spare;
	struct extents list;
	uint64_t list_page;
	unsigned int list_pages;
	struct extents loaded;
	bool asking;
	uint64_t asked;
	bool waiting;
	bool punching;
	unsigned int punched;
	struct io_desc io;
};

/**
 * struct layer - one open file of a chain
 * @fd: for whoever may block; without @direct_fd, for all
 * @spare_fd: the read-only one from before the layer was writable, or -1
 * @direct_fd: for data, index pages and header slots of a chain at work, past the
 *	host's cache; -1: there is none
 * @spare_direct_fd: as @spare_fd
 * @inflight: I/O under way that uses @fd or @direct_fd
 * @writers: requests under way whose target this layer is
 * @idle: is woken whenever @inflight or @writers has come to 0, or @room is not
 *	busy any more
 * @failed: sticky errno of a failed sync
 * @unsynced: data was written since the last sync began
 * @counted: content generation was raised since the layer became writable
 * @header_dirty: V4: the header waits for a commit
 * @dirty: V4 and bitmap: dirty pages by level
 * @hole: bitmap: sectors whose bits are in a hole of the file, and were not set
 *	since
 * @phase: changes when blocks wait for the I/O that is under way
 * @io_of_phase: pieces of requests and merges under way, by the phase in which
 *	they began
 */
struct layer {
	const struct layer_ops *ops;
	struct chain *chain;
	struct layer *parent;
	int fd;
	int spare_fd;
	int direct_fd;
	int spare_direct_fd;
	bool writable;
	char *path;
	struct io_stat st;
	struct cow_header hdr;
	enum cow_state state;
	struct cow_record record;
	bool thawed;		/* its successor was merged back: not frozen */
	uint64_t sectors;
	uint64_t owned;		/* sectors */
	uint64_t staged;	/* V4: of them, by the pages last staged */
	unsigned int inflight;
	unsigned int writers;
	struct cow_queue idle;
	int failed;
	bool unsynced;
	bool counted;
	bool header_dirty;
	struct ipage *dirty[COW_V4_MAX_LEVELS];
	struct {
		uint64_t start;
		uint64_t end;
	} hole;
	struct room *room;
	unsigned int phase;
	unsigned int io_of_phase[2];
	struct commit commit;
};

void cow_layer_put(struct layer *layer);

/* The descriptor for I/O of a chain at work. */
static inline int cow_data_fd(const struct layer *layer)
{
	return layer->direct_fd >= 0 ? layer->direct_fd : layer->fd;
}

static inline bool cow_is_direct(const struct layer *layer)
{
	return layer->direct_fd >= 0;
}

/* Bytes to move for @len of metadata, of which the last unit may be a part. */
static inline size_t cow_direct_len(const struct layer *layer, size_t len)
{
	const size_t unit = COW_SECTOR_SIZE;

	return cow_is_direct(layer) ? (len + unit - 1) / unit * unit : len;
}

/*
 * Take the memory that commits need, or give it back. May block. A layer that is
 * writable has no seal any more, durably.
 */
int cow_layer_writable(struct layer *layer);
void cow_layer_rest(struct layer *layer);

/* V4: memory for free blocks. May block. */
int cow_room_new(struct layer *layer);
void cow_room_free(struct layer *layer);

/* No entry refers to a block of data any more; a page moves out of its block. */
void cow_block_give(struct layer *layer, uint64_t block);
void cow_block_leave(struct layer *layer, uint64_t block);

/* A free block, or one behind all others; -EFBIG. */
int cow_block_take(struct layer *layer, bool data, uint64_t *block);

/* Blocks wait, or are being punched; layer.idle is woken when that is over. */
bool cow_room_busy(const struct layer *layer);

/*
 * The layer comes to rest, and is not busy: all that is not used, for
 * cow_free_store(). Nothing is done where no commit follows and the durable
 * header still has its old list.
 */
void cow_room_collect(struct layer *layer, bool commit_follows);

/* A commit begins; its header is durable; no I/O of the last phase is left. */
void cow_room_commits(struct layer *layer);
void cow_room_durable(struct layer *layer);
void cow_room_quiet(struct layer *layer);

/*
 * V4, may block: write the free blocks down, for the next header to refer to;
 * take over the list that the header refers to.
 */
int cow_free_store(struct layer *layer);
int cow_free_load(struct layer *layer);

/*
 * V4, may block: @old, which was the header, has a seal, and the durable one has
 * neither that nor a list. Their blocks are free.
 */
void cow_free_unsealed(struct layer *layer, const struct cow_disk_v4 *old);

/*
 * The chain comes to rest: take what the list will name, if the header can get
 * one. Then, where it may block and while no commit runs: write it down.
 */
void cow_free_collect(struct layer *layer);
void cow_free_close(struct layer *layer);

/*
 * Where it may block. A sync that failed is a loss, even if the host calls it
 * lack of room: it must not be taken for what may be tried again.
 */
static inline int cow_sync_now(const struct cow_env *env, int fd)
{
	return env->io->sync(env->ctx, fd) ? -EIO : 0;
}

/*
 * Metadata of @layer could not be written where it may block. If that was a
 * failed sync, the host has told it once and will not tell the next commit.
 */
static inline void cow_layer_suspect(struct layer *layer, int error)
{
	if (error == -EIO)
		layer->failed = error;
}

/* Begin a commit, or join the one after the running one. */
void cow_commit(struct layer *layer, struct cow_wait *wait);
bool cow_commit_needed(const struct layer *layer);

/* ---- requests ---------------------------------------------------------- */

#define CHAIN_SUBS	512

/**
 * struct sub - one piece of a request, or of a merge, on its way
 * @owner: whom to tell
 * @source_phase, @target_phase: layer.phase when it began
 * @page: pinned page of @target, to change when the data is written
 * @state: what the sectors become then; COW_ABSENT: nothing changes
 */
struct sub {
	struct io_desc io;
	struct sub *next;
	struct chain *chain;
	void *owner;
	void (*finish)(struct sub *sub);
	struct layer *source;
	struct layer *target;
	unsigned int source_phase;
	unsigned int target_phase;
	struct ipage *page;
	struct ipage *clear;	/* pinned page of a draining top */
	uint64_t sector;
	uint64_t count;
	bool set;
	bool guarded;		/* holds chain.guard */
	enum cow_run_state state;
};

struct sub *cow_sub_get(struct chain *chain);
void cow_sub_put(struct sub *sub);

/* Submit sub->io; finish() is called now or later, result in sub->io. */
void cow_sub_submit(struct sub *sub);

/* ---- who owns what, remembered ----------------------------------------- */

#define OWNER_BLOCKS	64u	/* of a line: 256 KiB of the disk */

struct owner_line {
	uint64_t tag;		/* number of the stretch of OWNER_BLOCKS, + 1 */
	uint64_t epoch;
	uint64_t fact[OWNER_BLOCKS];
};

struct owner_cache {
	struct owner_line *lines;
	uint32_t count;
	uint64_t epoch;
};

/* Bytes that it takes where the index may take @bound in all. */
size_t cow_owners_cost(const struct chain *chain, size_t bound);

int cow_owners_init(struct chain *chain, size_t bound);
void cow_owners_exit(struct chain *chain);
void cow_owners_forget(struct chain *chain);

/*
 * False if nothing is known of @sector; else the stretch that begins with it, at
 * most @count sectors, and its owner.
 */
bool cow_owners_find(struct chain *chain, uint64_t sector, uint64_t count,
		     struct cow_run *run, struct layer **owner);

/* @run of @owner, neither of which can change until the next forgetting. */
void cow_owners_remember(struct chain *chain, const struct cow_run *run,
			 const struct layer *owner);

/* ---- the chain --------------------------------------------------------- */

/**
 * struct drain - the top gives its sectors to its parent
 * @start, @end: sectors of the window that is held, start == end: none
 * @copies: pieces under way
 * @held: writes that wait for the window to be released
 * @leaving: it was given up: writes go to the top, and what its parent was given
 *	is not durable yet
 */
struct drain {
	bool active;
	bool leaving;
	uint64_t start;
	uint64_t end;
	unsigned int copies;
	struct cow_queue held;
	struct cow_queue window_idle;
	uint64_t total;		/* sectors that the top owned at the start */
};

/**
 * struct fold - a layer below the top gives its sectors to its parent
 * @from: the layer; NULL: there is none. It stays when the fold was stopped, since
 *	the files are kept for its continuation
 * @moved, @total: sectors
 */
struct fold {
	struct layer *from;
	uint64_t moved;
	uint64_t total;
};

/**
 * struct flush_cycle - flushes of a chain, one after the other
 * @blocked: a snapshot has not settled: no flush may be answered
 * @held: a merge waits for the end of the running one, to change the order of
 *	layers before the next one begins
 * @failed: the last one did: writes begin no other
 * @again: a snapshot that found no room on the host; it tries again when a
 *	flush asks for it, and now and then
 */
struct flush_cycle {
	bool running;
	bool blocked;
	bool held;
	bool failed;
	struct cow_queue waiters;
	struct cow_queue next;
	struct cow_queue again;
	struct cow_wait parent_done;
	struct cow_wait top_done;
};

/**
 * struct guard - the one way to sector 0 of a device that is not raw
 * @copy: what is written, out of the guest's reach while it is checked
 * @busy: a write of it is under way; others wait
 */
struct guard {
	uint8_t *copy;
	struct cow_vec vec;
	bool busy;
	struct cow_queue waiters;
};

/**
 * struct chain - an open device
 * @by_rank: [COW_MAX_DEPTH]; by_rank[0] is the base
 * @run: those who were woken, for cow_run()
 * @writes: all writes under way
 * @requests: number of requests under way, reads and flushes too
 * @raw: flag d: sector 0 is the guest's own
 * @direct: flag A: layers shall be direct where they can
 * @task: the snapshot or merge under way, or NULL
 * @geometry: of the header that led to the disk
 * @sector_size: as the guest is to see it; while the chain is opened, what the
 *	header said that led to the disk, or 0
 */
struct chain {
	struct common_file file;
	struct cow_env env;
	struct layer *top;
	unsigned int depth;
	struct layer **by_rank;
	struct ipage_cache cache;
	struct owner_cache owners;
	struct cow_queue run;
	bool running;
	struct sub *subs;
	struct sub *free_subs;
	struct cow_queue sub_waiters;
	struct req *writes;
	unsigned int requests;
	bool raw;
	bool unlocked;
	bool durable;
	bool peek;
	bool direct;
	struct guard guard;
	struct drain drain;
	struct fold fold;
	struct flush_cycle flush;
	struct cow_task *task;
	struct cow_geometry geometry;
	uint32_t sector_size;
};

static inline struct chain *cow_chain(const struct common_file *file)
{
	return cow_container_of(file, struct chain, file);
}

/* Where the layer stands: 0 is the base. */
unsigned int cow_rank(const struct layer *layer);

/* Rebuild by_rank and forget all owners: the order of layers has changed. */
void cow_chain_relinked(struct chain *chain);

/*
 * First stretch of [sector, sector + count) that one layer answers for.
 * Returns as layer_ops.map does; *owner is NULL if no layer has the sectors.
 */
int cow_resolve(struct chain *chain, uint64_t sector, uint64_t count,
		struct cow_run *run, struct layer **owner,
		struct ipage **page);

/* Begin a flush of all that was acknowledged; @wait gets the result. */
void cow_flush(struct chain *chain, struct cow_wait *wait);

/* Those that wait for a snapshot to settle are told that it could not. */
void cow_flush_refuse(struct chain *chain, int error);

/* Commit what is staged, for nobody in particular. False: nothing is staged. */
bool cow_flush_staged(struct chain *chain);

/* Begin no other flush. False: @wait is woken when the running one is over. */
bool cow_flush_hold(struct chain *chain, struct cow_wait *wait);

/* The snapshot has settled, or the merge has done it: let flushes go on. */
void cow_flush_unblock(struct chain *chain);

int cow_submit(struct common_file *file, struct common_io *io);

/* Wait on @page, or for memory if it is NULL. */
void cow_wait_page(struct chain *chain, struct ipage *page,
		   struct cow_wait *wait);

/* Number of writes under way that touch [start, end), and a way to wait. */
unsigned int cow_writes_in(struct chain *chain, uint64_t start, uint64_t end);

/* Those of @from go to @to instead; none of them has a piece under way. */
void cow_writes_move(struct chain *chain, struct layer *from, struct layer *to);

/* ---- errors ------------------------------------------------------------ */

/* Fill @err from a format; returns @ret so that it can be returned at once. */
int cow_fail(struct cow_error *err, int ret, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* A short reason for an errno: "no space left on the host". */
const char *cow_reason(int error);

/* The same, for a file that was to be made. */
const char *cow_reason_new(int error);

static inline bool cow_same_file(const struct io_id *a, const struct io_id *b)
{
	return a->dev == b->dev && a->ino == b->ino;
}

/* 0, or -EINVAL with a line if @size is given, and is none that a sector can have. */
int cow_sector_size_check(const char *name, uint32_t size,
			  struct cow_error *err);

/* Describe @parent in @v4: format, identity. */
void cow_v4_identify(struct cow_disk_v4 *v4, const struct layer *parent);

/* In memory, for the next commit: @layer is frozen, and its successor is there. */
void cow_v4_link(struct layer *layer, const struct cow_disk_name *successor);

/*
 * May block: make an empty V3 file of the file behind @fd, durable. Of @hdr
 * parent, size, mtime and alignment are used, and the layout is filled in.
 */
int cow_v3_format(const struct cow_env *env, int fd, struct cow_header *hdr);

/*
 * May block: on disk @layer, which is not V4, has no successor any more. What
 * its record says besides is kept.
 */
int cow_record_thaw(const struct layer *layer);

#endif
