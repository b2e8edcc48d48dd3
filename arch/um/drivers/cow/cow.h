/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The COW engine's public interface: the only header of this directory that
 * the driver and the tools include.
 *
 * Duty: name the requests that a block device sends (struct common_io), the
 * host that carries them out (struct io_ops), and the operations on a chain of
 * layers: open, close, describe, snapshot, merge.
 *
 * Invariants:
 *  - The engine runs on one thread and never sleeps. Its caller serialises
 *    every entry point below unless it is marked "any thread".
 *  - All memory comes from struct cow_env, never from the C library.
 *  - All I/O goes through struct io_ops; no other file issues a system call.
 *  - Sizes and offsets are bytes unless a name says sectors; a sector is 512.
 *  - Functions return 0 or a negative errno. For people there is one line of
 *    text in struct cow_error, which always names the file.
 */
#ifndef COW_H
#define COW_H

#if defined(__KERNEL__) && !defined(__UM_HOST__)
#include <linux/types.h>
#else
#include <stdbool.h>
#include <stddef.h>
#include <errno.h>
#include <stdint.h>
#include <sys/types.h>
#endif

#define COW_SECTOR_SHIFT	9
#define COW_SECTOR_SIZE		512u
#define COW_PATH_MAX		4096
#define COW_MAX_DEPTH		1024

/* One stretch of memory; laid out like struct iovec. */
struct cow_vec {
	void *base;
	size_t len;
};

/* ---- errors for people ------------------------------------------------- */

#define COW_ERROR_LEN		1024

/**
 * struct cow_error - one line that says what is wrong and what to do
 * @text: NUL-terminated, without newline; empty when nothing went wrong
 */
struct cow_error {
	char text[COW_ERROR_LEN];
};

/* ---- the host ---------------------------------------------------------- */

enum io_op {
	IO_READ,	/* vec <- fd; the result is short only at end of file */
	IO_WRITE,	/* vec -> fd; the result is all of len or an error */
	IO_SYNC,	/* fdatasync */
	IO_PUNCH,	/* the range reads as zeros, room may be given back */
	IO_ZERO,	/* the range reads as zeros, the file may grow */
	IO_COPY,	/* src_fd -> fd, by the host; -EIO if the source ends */
	IO_CALL,	/* call(arg) on a thread that may block */
};

/**
 * struct io_piece - one of many stretches that are copied together
 * @src_offset: byte offset in the file to copy from
 * @offset: byte offset in the file to copy to
 * @base: memory of @len bytes, on the way between the two
 * @len: bytes
 * @read: the back end's own
 */
struct io_piece {
	uint64_t src_offset;
	uint64_t offset;
	char *base;
	uint32_t len;
	bool read;
};

/**
 * struct io_desc - one plain I/O for a back end
 * @op: what to do
 * @fd: the file
 * @direct: @fd, or IO_COPY's @src_fd, was opened with IO_OPEN_DIRECT: offsets,
 *	lengths and memory are multiples of 512, or it costs a copy
 * @offset: byte offset in @fd
 * @len: bytes to move, clear or copy
 * @vec: memory for IO_READ and IO_WRITE; stays valid until completion
 * @nvec: elements in @vec
 * @skip: bytes of @vec that lie before this I/O's own part
 * @src_fd: IO_COPY: file to copy from
 * @src_offset: IO_COPY: byte offset in @src_fd
 * @piece: IO_COPY, not @direct: short stretches, instead of @offset, @len and
 *	@src_offset; all are read before the first is written. NULL: there is one
 * @npieces: elements in @piece
 * @early: IO_COPY, @piece: the host may begin at once to bring them to its disk,
 *	so that the next sync finds little to do
 * @call: IO_CALL: function to run
 * @arg: IO_CALL: its argument
 * @result: bytes moved (IO_READ, IO_WRITE), 0, or a negative errno
 * @done: called once on the engine's thread, only after submit() answered
 *	-EINPROGRESS
 * @next: for the back end while it holds the descriptor, else the engine's
 *
 * Owned by the engine; a back end holds it from submit() until @done.
 */
struct io_desc {
	enum io_op op;
	int fd;
	bool direct;
	uint64_t offset;
	uint64_t len;
	const struct cow_vec *vec;
	unsigned int nvec;
	size_t skip;
	int src_fd;
	uint64_t src_offset;
	struct io_piece *piece;
	unsigned int npieces;
	bool early;
	int (*call)(void *arg);
	void *arg;
	int64_t result;
	void (*done)(struct io_desc *desc);
	struct io_desc *next;
};

/* Which file this is, whatever its name: compared, stored in records. */
struct io_id {
	uint64_t dev;
	uint64_t ino;
	int64_t birth_sec;	/* 0 where the host does not know it */
	uint32_t birth_nsec;
};

enum io_kind { IO_KIND_FILE, IO_KIND_BLOCK, IO_KIND_OTHER };

/**
 * struct io_stat - what the host says of a file
 * @fleeting: @id is another one when the file system has been mounted again, so
 *	nothing can be recorded about the file; only of an open one
 * @reborn: the time of birth in @id is another one when the file has been written
 *	for the first time, so that it says nothing; only of an open one
 */
struct io_stat {
	struct io_id id;
	bool fleeting;
	bool reborn;
	enum io_kind kind;
	uint64_t size;		/* bytes; of a block device its capacity */
	uint64_t allocated;	/* bytes that the host set aside for it */
	int64_t mtime_sec;
	uint32_t mtime_nsec;
	uint32_t mode;		/* permission bits */
	uint32_t gid;
};

enum io_lock {
	IO_UNLOCK,
	IO_SHARED,
	IO_EXCLUSIVE,
	IO_PIN,		/* beside the writer: see @lock */
	IO_PINNED,
	IO_SEAL,
	IO_LIST,
};

/* Extended attributes of a file. */
enum io_attr {
	IO_ATTR_STATE,		/* user.moo: a state record */
	IO_ATTR_CHILDREN,	/* user.moo.children: who is built on it */
};

#define IO_OPEN_WRITE		1u	/* else read only */
#define IO_OPEN_NOFOLLOW	2u	/* fail on a symbolic link */
#define IO_OPEN_DIRECT		4u	/* past the host's cache: see @reopen */

/**
 * struct io_ops - a back end: everything that the engine asks of the host
 *
 * submit() and kick() belong to the data path: they do not block, and are
 * called on the engine's thread. All others may block; they are called by
 * tools, by cow_open() and from IO_CALL, on any thread that may sleep.
 * Everything answers a negative errno on failure; interrupted calls are
 * repeated and short transfers completed inside.
 *
 * @submit: carry out @desc at once and return its result, or return
 *	-EINPROGRESS and call desc->done later
 * @kick: hand over what submit() may have gathered
 * @open: open a file or block device; close-on-exec; -EISDIR, -EINVAL for what
 *	is neither (a FIFO must not block)
 * @sync: fsync: data, size and times; IO_SYNC need not harden times
 * @create: new unnamed file in the directory of @path, mode and group given;
 *	@path has to be free (-EEXIST)
 * @publish: give the file from @create the name @path, replacing nothing, and
 *	make the name durable
 * @replace: the same, but an old @path is replaced atomically
 * @unlink: remove a name and make that durable
 * @lock: open-file-description lock of the whole file, never waits: -EAGAIN.
 *	IO_PIN, which nobody refuses: let no block be used again that can be come
 *	upon from a header read later, until the file is closed. IO_PINNED takes
 *	nothing: -EAGAIN if somebody else has pinned. IO_SEAL, beside IO_SHARED:
 *	be the only one who seals the file. IO_LIST, beside anything: be the only
 *	one who changes the list of its children
 * @reopen: a second descriptor, with other rights, of the very same file.
 *	IO_OPEN_DIRECT: data goes past the host's cache, in units of 512 bytes;
 *	-EOPNOTSUPP where the host can not
 * @getattr: an extended attribute: its length, -ENODATA; -EOPNOTSUPP where there
 *	are none; -ERANGE if it is longer than @len
 * @setattr: set one (@len 0 removes it); durable on return. -EOPNOTSUPP:
 *	the file can have none; -EIO: nobody knows what is on disk
 * @realpath: absolute name without symbolic links; -ENOENT
 * @next_data: the first byte at or behind @off that may be other than zero:
 *	@off where the host can not tell, INT64_MAX if there is none
 * @random: fill @buf with unpredictable bytes
 * @now: a monotonic clock, nanoseconds; any thread
 * @nap: sleep for about @ms milliseconds
 */
struct io_ops {
	const char *name;
	int (*submit)(void *ctx, struct io_desc *desc);
	void (*kick)(void *ctx);

	int (*open)(void *ctx, const char *path, unsigned int flags);
	int (*close)(void *ctx, int fd);
	int (*stat)(void *ctx, int fd, struct io_stat *st);
	int (*lookup)(void *ctx, const char *path, struct io_stat *st);
	int64_t (*pread)(void *ctx, int fd, void *buf, size_t len, uint64_t off);
	int (*pwrite)(void *ctx, int fd, const void *buf, size_t len,
		      uint64_t off);
	int (*sync)(void *ctx, int fd);
	int (*truncate)(void *ctx, int fd, uint64_t size);
	int (*create)(void *ctx, const char *path, uint32_t mode, uint32_t gid);
	int (*publish)(void *ctx, int fd, const char *path);
	int (*replace)(void *ctx, int fd, const char *path);
	int (*unlink)(void *ctx, const char *path);
	int (*lock)(void *ctx, int fd, enum io_lock lock);
	int (*reopen)(void *ctx, int fd, unsigned int flags);
	int (*getattr)(void *ctx, int fd, enum io_attr attr, void *buf,
		       size_t len);
	int (*setattr)(void *ctx, int fd, enum io_attr attr, const void *buf,
		       size_t len);
	int (*realpath)(void *ctx, const char *path, char buf[COW_PATH_MAX]);
	int64_t (*next_data)(void *ctx, int fd, uint64_t off);
	int (*random)(void *ctx, void *buf, size_t len);
	uint64_t (*now)(void *ctx);
	void (*nap)(void *ctx, unsigned int ms);
};

/**
 * struct cow_env - what a chain lives in
 * @io: the back end
 * @ctx: handed to each of its functions
 * @alloc: @len bytes, zeroed, page-aligned when @len is a page or more, or
 *	NULL; any thread; only called from functions that may block
 * @free: give back what @alloc gave; any thread
 * @say: one line for the host's administrator; any thread
 * @index_bytes: bound on the memory for index pages of one chain; 0 chooses
 * @index_all: as much as the whole index of the layers needs that are opened, and
 *	that of one more delta, so that no page is ever read twice; where that is
 *	more than @index_bytes the open is refused
 */
struct cow_env {
	const struct io_ops *io;
	void *ctx;
	void *(*alloc)(size_t len);
	void (*free)(void *mem, size_t len);
	void (*say)(const char *line);
	size_t index_bytes;
	bool index_all;
};

/* ---- requests ---------------------------------------------------------- */

enum common_op {
	COMMON_READ,
	COMMON_WRITE,
	COMMON_FLUSH,
	COMMON_DISCARD,
	COMMON_ZEROES,
};

#define COMMON_FUA	1u	/* durable before it is acknowledged */

#define COMMON_IO_PRIVATE	24	/* words that a submitter reserves */

/**
 * struct common_io - one request to anything that can stand in a chain
 * @op: set by common_pread() and its sisters
 * @flags: COMMON_FUA
 * @offset: bytes, a multiple of 512
 * @len: bytes, a multiple of 512; 0 for a flush
 * @vec: memory, @len bytes altogether; every element a multiple of 512 long
 * @nvec: elements in @vec
 * @result: 0 or a negative errno, once complete
 * @done: called once on the engine's thread if the call was -EINPROGRESS
 * @priv: the implementation's own state while it holds the request
 *
 * The submitter owns the memory and leaves it alone until completion.
 */
struct common_io {
	enum common_op op;
	unsigned int flags;
	uint64_t offset;
	uint64_t len;
	const struct cow_vec *vec;
	unsigned int nvec;
	int result;
	void (*done)(struct common_io *io);
	uint64_t priv[COMMON_IO_PRIVATE];
};

struct common_file;

/**
 * struct common_ops - whatever offers these can take the place of any part
 * @submit: take one request: its result, or -EINPROGRESS and io->done later;
 *	-EAGAIN when no memory is at hand (submit again after some completion)
 * @close: give everything back; no request is under way; may block
 */
struct common_ops {
	int (*submit)(struct common_file *file, struct common_io *io);
	void (*close)(struct common_file *file);
};

struct common_file {
	const struct common_ops *ops;
	uint64_t size;		/* bytes, a multiple of 512 */
	bool read_only;
};

static inline int common_pread(struct common_file *file, struct common_io *io)
{
	io->op = COMMON_READ;
	return file->ops->submit(file, io);
}

static inline int common_pwrite(struct common_file *file, struct common_io *io)
{
	io->op = COMMON_WRITE;
	return file->ops->submit(file, io);
}

static inline int common_flush(struct common_file *file, struct common_io *io)
{
	io->op = COMMON_FLUSH;
	return file->ops->submit(file, io);
}

static inline int common_discard(struct common_file *file, struct common_io *io)
{
	io->op = COMMON_DISCARD;
	return file->ops->submit(file, io);
}

static inline int common_zeroes(struct common_file *file, struct common_io *io)
{
	io->op = COMMON_ZEROES;
	return file->ops->submit(file, io);
}

static inline void common_close(struct common_file *file)
{
	if (file)
		file->ops->close(file);
}

/* ---- opening a chain --------------------------------------------------- */

enum cow_format {
	COW_RAW = 0,
	COW_V1 = 1,
	COW_V2 = 2,
	COW_V3 = 3,
	COW_V4 = 4,
};

/**
 * struct cow_geometry - what a disk's partitioning tools are told; 0: not set
 *
 * V4 files keep it; it says nothing about where data is.
 */
struct cow_geometry {
	uint32_t cylinders;
	uint32_t heads;
	uint32_t sectors;	/* of a track */
};

/**
 * struct cow_open_args - which chain, and how
 * @name: file to open as the top
 * @parent: second name of a two-name form, or NULL
 * @read_only: writes are refused; a recorded successor is not followed
 * @raw: flag d: @name (or, creating, @parent) is raw data, do not look at it
 * @unlocked: flag c: take no locks, refuse snapshots
 * @durable: flag s: every write is durable before it is acknowledged
 * @no_follow: look at @name itself even if it has a successor
 * @force: write a frozen layer; tools only, at the administrator's word
 * @peek: read beside a running writer: only pin the state that is read;
 *	implies read_only
 * @create: with @parent: make @name if there is none
 * @version: format of a file to create: 3, 4, or 0 to choose by the parent
 * @keep_link: flag L: a file to create names @parent as it is given, and does
 *	not follow a symbolic link
 * @geometry: of a V4 file to create
 * @padding: of a V3 file to create, see struct cow_create_args
 * @sector_size: flag B: bytes of a sector as the guest is to see it; 0: as the
 *	files say, or else 512. Not what a V4 file says: refused
 * @direct: flag A: read and write the data of each layer past the host's cache,
 *	where its layout and the host allow it; the others are named by env.say
 * @lock_retry_ms: how long to try again for locks held by others
 */
struct cow_open_args {
	const char *name;
	const char *parent;
	bool read_only;
	bool raw;
	bool unlocked;
	bool durable;
	bool no_follow;
	bool force;
	bool peek;
	bool create;
	unsigned int version;
	bool keep_link;
	struct cow_geometry geometry;
	uint32_t padding;
	uint32_t sector_size;
	bool direct;
	unsigned int lock_retry_ms;
};

/**
 * common_open() - open a chain of layers as one device
 * @env: copied; what it points to outlives the device
 * @args: which chain, and how
 * @file: the device, on success
 * @err: filled on failure, and naming the file at fault
 *
 * May block; any thread, and nobody else sees the device until it returns.
 * Nothing on disk is changed by a failure. A missing, looping, foreign or
 * changed layer is refused.
 *
 * Return: 0 or a negative errno.
 */
int common_open(const struct cow_env *env, const struct cow_open_args *args,
		struct common_file **file, struct cow_error *err);

/* ---- looking at a chain ------------------------------------------------ */

enum cow_state {
	COW_STATE_TOP,		/* takes the writes */
	COW_STATE_FROZEN,	/* never written again */
	COW_STATE_DRAINING,	/* gives its sectors to its parent */
	COW_STATE_FOLDING,	/* frozen, and its parent gets its sectors, too */
};

/**
 * struct cow_layer_info - one layer of an open chain
 * @path: absolute name; belongs to the chain, valid until its next change
 * @format: of the file
 * @state: its part in this chain
 * @size: bytes of the device that it describes
 * @owned: bytes of sectors that it owns
 * @drained: percent given away, while draining or folding
 * @paused: its merge waits until somebody says to go on
 * @id: which file it is
 */
struct cow_layer_info {
	const char *path;
	enum cow_format format;
	enum cow_state state;
	uint64_t size;
	uint64_t owned;
	unsigned int drained;
	bool paused;
	struct io_id id;
};

/**
 * cow_depth() - number of layers of an open chain, the base included
 */
unsigned int cow_depth(const struct common_file *file);

/**
 * cow_layer() - describe layer @n, 0 being the top
 *
 * Does not block. Return: 0 or -ENOENT.
 */
int cow_layer(const struct common_file *file, unsigned int n,
	      struct cow_layer_info *info);

/**
 * cow_geometry() - what the header says that was named, or else the top's; zeros
 *	where that says nothing
 */
struct cow_geometry cow_geometry(const struct common_file *file);

/**
 * cow_sector_size() - bytes of a sector as the guest is to see it
 *
 * 512 to 4096, a power of two. The engine takes requests of 512 bytes all the same.
 */
unsigned int cow_sector_size(const struct common_file *file);

/* ---- work that takes several steps ------------------------------------- */

enum cow_step {
	COW_STEP_DONE = 0,	/* finished, see cow_task.result */
	COW_STEP_AGAIN = 1,	/* call again soon */
	COW_STEP_WAIT = 2,	/* call again after wake() */
};

/**
 * struct cow_task - a piece of work in bounded steps: commit, snapshot, merge
 * @step: do one step; called by cow_task_step()
 * @wake: called on the engine's thread when a step can be taken; may be NULL
 *	with a synchronous back end
 * @owner: of whoever takes the steps, for @wake
 * @result: 0 or a negative errno when finished
 * @error: the line for people when @result is negative; before the end, what the
 *	task waits for, if that needs somebody
 */
struct cow_task {
	enum cow_step (*step)(struct cow_task *task);
	void (*wake)(struct cow_task *task);
	void *owner;
	int result;
	struct cow_error error;
};

static inline enum cow_step cow_task_step(struct cow_task *task)
{
	return task->step(task);
}

/**
 * cow_background() - commit what has been staged for about a second
 *
 * For a timer. Does not block; errors surface at the next flush.
 * Return: true if metadata stays staged, so that the timer should run again.
 */
bool cow_background(struct common_file *file);

/**
 * cow_requests() - how many requests are under way
 */
unsigned int cow_requests(const struct common_file *file);

/**
 * cow_idle() - true if no request, commit, task or I/O is under way
 *
 * Only then may the chain be closed.
 */
bool cow_idle(const struct common_file *file);

/**
 * cow_failed() - has a sync failed, or what is as bad?
 *
 * Return: 0, or the errno that all flushes answer until the chain is opened
 * again. A request that failed then is not to be tried again.
 */
int cow_failed(const struct common_file *file);

/* ---- snapshot ---------------------------------------------------------- */

/**
 * struct cow_snapshot_args - put a fresh delta on top
 * @name: new file; a relative name is beside the old top
 * @version: its format: 4, or 3 over a raw old top; 0 stands for 4
 */
struct cow_snapshot_args {
	const char *name;
	unsigned int version;
};

/**
 * struct cow_snapshot_result - filled when the task is done
 * @top: absolute name of the new top
 * @frozen: absolute name of the layer that was frozen
 * @pause_ns: how long requests were held: the swap, of all devices of a group
 */
struct cow_snapshot_result {
	char top[COW_PATH_MAX];
	char frozen[COW_PATH_MAX];
	uint64_t pause_ns;
};

/**
 * cow_snapshot_start() - begin a snapshot
 * @file: an open chain
 * @args: not needed after the call
 * @result: filled by the time the task is done
 * @task: the task to step, on success; end it with cow_snapshot_end()
 * @err: filled on failure
 *
 * May block (it takes memory); nothing is changed yet. When the task is done
 * without error all that was acknowledged before the swap is durable in the
 * frozen layer. When it fails before the swap nothing is left behind. A crash
 * at any point leaves a chain that opens by its old arguments.
 *
 * Return: 0, -EROFS, -EBUSY (a task is under way), -EEXIST, -ENAMETOOLONG,
 * -EOPNOTSUPP (flag c), -EINVAL (no V3 can be made) or what the host said.
 */
int cow_snapshot_start(struct common_file *file,
		       const struct cow_snapshot_args *args,
		       struct cow_snapshot_result *result,
		       struct cow_task **task, struct cow_error *err);
void cow_snapshot_end(struct cow_task *task);

/**
 * struct cow_member - one device of several that are snapshotted as one
 * @file: an open chain, not the one of another member
 * @args: as cow_snapshot_start()
 * @result: the same
 * @task: the same, on success
 */
struct cow_member {
	struct common_file *file;
	struct cow_snapshot_args args;
	struct cow_snapshot_result *result;
	struct cow_task *task;
};

/**
 * cow_group_start() - begin a snapshot of several devices at one instant
 * @member: the devices; not needed after the call, but for @member->result
 * @count: how many, at least 1
 * @err: filled on failure, and naming the file at fault
 *
 * As cow_snapshot_start(), for all members or for none: if one can not be begun,
 * the others are undone. Each task has to be stepped, in whatever order; those that
 * wait for others are woken. All tops are swapped in one step of one of them. When
 * a task fails before that, all do, and nothing is left behind of any. After it
 * each comes to its own end.
 *
 * A crash at any point leaves chains that open by their old arguments, none of
 * them torn; in between the first link and the last one it leaves some of
 * them with a snapshot and the others without. The set is whole when all tasks
 * are done without error.
 *
 * Return: as cow_snapshot_start().
 */
int cow_group_start(struct cow_member *member, unsigned int count,
		    struct cow_error *err);

/**
 * cow_snapshot_swapped() - true if the new layer has become the top
 *
 * Does not block. Then a failure does not undo the snapshot any more.
 */
bool cow_snapshot_swapped(const struct cow_task *task);

/**
 * cow_snapshot_abort() - call a snapshot off, and with it those of its group
 *
 * Does not block. The tasks are stepped to their end all the same; they fail
 * with -ECANCELED, if none has failed before, and nothing is left behind.
 *
 * Return: false if it is too late, since the tops have been swapped.
 */
bool cow_snapshot_abort(struct cow_task *task);

/* ---- merge ------------------------------------------------------------- */

/**
 * struct cow_merge_args - one layer into its parent
 * @layer: which, 0 being the top: the top is drained, so that its parent takes
 *	the writes at the end; a frozen layer is folded, below a top that goes on
 * @force: also a layer that no snapshot made, whose parent may be shared; also
 *	what other files are known to be built on
 * @remove: delete the file that was merged
 * @discard: the top alone: drop what it holds, do not move it; nobody uses the
 *	device, which is as it was at the snapshot then
 * @paused: begin as if COW_MERGE_PAUSE had been said
 */
struct cow_merge_args {
	unsigned int layer;
	bool force;
	bool remove;
	bool discard;
	bool paused;
};

/**
 * struct cow_merge_progress - how far a merge is
 * @done: bytes moved
 * @total: bytes to move in all
 * @paused: it waits, durably, until COW_MERGE_RUN is said
 * @top: absolute name of the top when the task is done
 * @drained: absolute name of the layer that is merged
 * @parent: absolute name of the layer that it is merged into
 */
struct cow_merge_progress {
	uint64_t done;
	uint64_t total;
	bool paused;
	char top[COW_PATH_MAX];
	char drained[COW_PATH_MAX];
	char parent[COW_PATH_MAX];
};

/**
 * cow_merge_start() - begin to merge a layer into its parent
 * @file: an open chain
 * @args: not needed after the call
 * @progress: kept up to date
 * @task: the task to step; end it with cow_merge_end()
 * @err: filled on failure
 *
 * May block. The device stays usable throughout; what it reads never changes
 * by the merge, unless it is to be discarded. Restartable after a crash at any
 * point.
 *
 * Return: 0, -EINVAL (nothing to merge, or into), -EROFS, -EOPNOTSUPP (flag c),
 * -EBUSY (a task is under way, or somebody else uses a layer that would change),
 * -EPERM (no snapshot made it) or what the host said.
 */
int cow_merge_start(struct common_file *file, const struct cow_merge_args *args,
		    struct cow_merge_progress *progress,
		    struct cow_task **task, struct cow_error *err);
void cow_merge_end(struct cow_task *task);

/**
 * enum cow_merge_wish - what is asked of a merge under way
 * @COW_MERGE_RUN: go on
 * @COW_MERGE_PAUSE: copy no more for the time being, also after a restart
 * @COW_MERGE_CANCEL: give it up: the chain stays as it is, with all layers. What
 *	was copied stays where it is, so that a new merge has less to do
 * @COW_MERGE_STOP: end the task; what it began stays pending
 */
enum cow_merge_wish {
	COW_MERGE_RUN,
	COW_MERGE_PAUSE,
	COW_MERGE_CANCEL,
	COW_MERGE_STOP,
};

/**
 * cow_merge_control() - say what a merge shall do from its next window on
 * @task: of cow_merge_start(), not yet at its end
 * @wish: the last one counts
 *
 * Does not block. Who comes when all is copied comes too late: the merge ends
 * well then. A merge that was given up or stopped ends with -ECANCELED.
 */
void cow_merge_control(struct cow_task *task, enum cow_merge_wish wish);

/**
 * cow_merge_rests() - true if the merge holds no write at the moment
 *
 * Then its next step may be taken as late as one likes.
 */
bool cow_merge_rests(const struct cow_task *task);

/**
 * cow_merge_pending() - was a layer being merged when the chain was opened?
 * @file: an open chain
 * @args: filled so that cow_merge_start() goes on with it; may be NULL
 *
 * A merge that was stopped, or that failed, is pending, too. Several may be: the
 * uppermost is told.
 */
bool cow_merge_pending(const struct common_file *file,
		       struct cow_merge_args *args);

/* ---- shutting down ----------------------------------------------------- */

/**
 * cow_rest_start() - write all that a close would write
 * @file: an open chain; it stays open, and may go on
 * @task: the task to step, on success; end it with cow_rest_end()
 *
 * May block. When the task is done, what was written is durable, and nothing is
 * lost of the file's room if the chain is never closed.
 *
 * Return: 0, -EBUSY (a task is under way) or -ENOMEM.
 */
int cow_rest_start(struct common_file *file, struct cow_task **task);
void cow_rest_end(struct cow_task *task);

/* ---- one file, offline ------------------------------------------------- */

enum cow_run_state { COW_ABSENT, COW_DATA, COW_ZERO };

/**
 * struct cow_run - a stretch of sectors of one layer in one state
 * @state: absent (ask the parent), data, or zero
 * @sector: first sector
 * @count: number of sectors, at least 1
 * @place: COW_DATA: byte offset in the layer's file
 */
struct cow_run {
	enum cow_run_state state;
	uint64_t sector;
	uint64_t count;
	uint64_t place;
};

/**
 * cow_map() - where the bytes of a range come from
 * @file: an open chain on a synchronous back end
 * @layer: layer to ask, 0 being the top; COW_MAP_CHAIN for the first owner
 * @sector: first sector
 * @count: sectors asked about
 * @run: the first stretch of them; COW_ABSENT for a chain: no layer has them,
 *	and they read as zeros
 * @owner: with COW_MAP_CHAIN the layer found, or the lowest one
 *
 * May block. Return: 0 or a negative errno.
 */
#define COW_MAP_CHAIN	(~0u)
int cow_map(struct common_file *file, unsigned int layer, uint64_t sector,
	    uint64_t count, struct cow_run *run, unsigned int *owner);

#define COW_PADDING_MAX	(1u << 20)

/**
 * struct cow_create_args - make a new layer or disk file
 * @name: its name; must be free
 * @parent: layer below, or NULL
 * @version: 3 or 4; 0 chooses 3 over a raw parent and 4 over a COW
 * @parent_raw: do not look whether @parent is a COW
 * @keep_link: name @parent as it is given, a symbolic link too
 * @geometry: of a V4 file
 * @padding: 0, or up to COW_PADDING_MAX: V3: bitmap and data begin at multiples
 *	of it; with @disk the data begins there, at a multiple of 4096
 * @sector_size: of a V4 file, as the guest is to see it: 512, 1024, 2048 or 4096;
 *	0: as the parent, or 512. One that a V4 parent has not is refused
 * @unlisted: @name is not the one that it is going to have: the caller sees to
 *	the parent's list of children
 * @header: geometry alone, for the raw file @parent, which stays the disk
 * @disk: V4 without @parent: all data in place, no index
 * @size: bytes; only without @parent
 * @mode: permission bits
 * @gid: group; ~0 for the caller's own
 */
struct cow_create_args {
	const char *name;
	const char *parent;
	unsigned int version;
	bool parent_raw;
	bool keep_link;
	struct cow_geometry geometry;
	uint64_t padding;
	uint32_t sector_size;
	bool unlisted;
	bool header;
	bool disk;
	uint64_t size;
	uint32_t mode;
	uint32_t gid;
};

/**
 * cow_create() - make a new, empty layer file over @parent
 *
 * Over the header of a disk image it is over the image, and has the geometry and
 * the sector size of that header where @args has none.
 *
 * May block. The name appears only when the file is complete and durable.
 */
int cow_create(const struct cow_env *env, const struct cow_create_args *args,
	       struct cow_error *err);

#endif
