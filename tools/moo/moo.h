/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of moo say to each other.
 *
 * Duty: the contract of a verb (its options and arguments), an open chain, a
 * new file that appears only when it is complete, and the few things that
 * every verb needs: errors, sizes, progress, cancelling.
 *
 * Invariants:
 *  - Functions return 0 or a negative errno and fill struct cow_error; only a
 *    verb's run() and main() write to standard error.
 *  - An output bears its name only once it is complete and durable.
 */
#ifndef MOO_H
#define MOO_H

#include <stdio.h>

#include "cow.h"
#include "format.h"

#ifndef MOO_VERSION
#define MOO_VERSION	"0.1"
#endif

#define ARRAY_SIZE(array)	(sizeof(array) / sizeof((array)[0]))
#define __printf(text, first)	__attribute__((__format__(printf, text, first)))

/* Exit codes; those of check are qemu-img's. */
enum moo_exit {
	MOO_OK = 0,
	MOO_FAILED = 1,
	MOO_CORRUPT = 2,
	MOO_LEAKS = 3,
	MOO_UNSUPPORTED = 63,
};

/* ---- verbs and options ------------------------------------------------- */

enum moo_opt {
	MOO_OPT_VERSION,
	MOO_OPT_FORCE,
	MOO_OPT_BASE,
	MOO_OPT_SHARE,
	MOO_OPT_RAW,
	MOO_OPT_SIZE,
	MOO_OPT_CHAIN,
	MOO_OPT_OUTPUT,
	MOO_OPT_IN_PLACE,
	MOO_OPT_DELETE,
	MOO_OPT_HEADER,
	MOO_OPT_FLAT,
	MOO_OPT_PADDING,
	MOO_OPT_SECTOR,
	MOO_OPT_GEOMETRY,
	MOO_OPT_REPAIR,
	MOO_OPT_DATA,
	MOO_OPT_UNSAFE,
	MOO_OPT_SHRINK,
	MOO_OPT_OFF,
	MOO_OPT_DISCARD,
	MOO_OPTS,
};

/**
 * struct moo_use - an option that a verb takes
 * @opt: which one
 * @help: what it does for this verb; one line or several
 */
struct moo_use {
	enum moo_opt opt;
	const char *help;
};

/* What -r names. */
enum moo_repair {
	MOO_REPAIR_NOTHING,
	MOO_REPAIR_LEAKS,
	MOO_REPAIR_ALL,
};

/**
 * struct moo_args - what the command line said
 * @version: of -V, valid if @version_set
 * @size: of --size in bytes, valid if @size_set
 * @padding: of --padding in bytes, or 0
 * @sector_size: of --sector-size in bytes, or 0
 * @geometry: of --geometry, or zeros
 * @repair: of -r
 * @base: of -b, or NULL
 * @file: the arguments that are no options
 * @files: how many; within the verb's bounds
 */
struct moo_args {
	bool force;
	bool share;
	bool raw;
	bool chain;
	bool json;
	bool in_place;
	bool header;
	bool flat;
	bool remove;
	bool data;
	bool unsafe;
	bool shrink;
	bool off;
	bool discard;
	bool version_set;
	bool size_set;
	unsigned int version;
	uint64_t size;
	uint64_t padding;
	uint32_t sector_size;
	struct cow_geometry geometry;
	enum moo_repair repair;
	const char *base;
	char **file;
	int files;
};

/**
 * struct moo_verb - one word that moo understands
 * @name: the word
 * @synopsis: what follows it, one line for each form
 * @brief: for the list of verbs
 * @text: for its own help
 * @uses: its options, @nuses of them
 * @min: least number of files
 * @max: greatest number of files
 * @misuse: exit code for wrong arguments; 0 stands for MOO_FAILED
 * @amount: the last argument may be a number with a sign
 * @run: do it; returns the exit code
 */
struct moo_verb {
	const char *name;
	const char *synopsis;
	const char *brief;
	const char *text;
	const struct moo_use *uses;
	unsigned int nuses;
	int min;
	int max;
	int misuse;
	bool amount;
	int (*run)(const struct moo_args *args);
};

extern const struct moo_verb moo_create;
extern const struct moo_verb moo_info;
extern const struct moo_verb moo_map;
extern const struct moo_verb moo_merge;
extern const struct moo_verb moo_check;
extern const struct moo_verb moo_convert;
extern const struct moo_verb moo_diff;
extern const struct moo_verb moo_rebase;
extern const struct moo_verb moo_adopt;
extern const struct moo_verb moo_dump;
extern const struct moo_verb moo_restore;
extern const struct moo_verb moo_resize;
extern const struct moo_verb moo_compact;
extern const struct moo_verb moo_seal;
extern const struct moo_verb moo_protect;
extern const struct moo_verb moo_rollback;

/**
 * moo_parse() - understand the command line of a verb
 * @argv: argv[0] is the verb
 * @args: filled on success
 * @status: exit code when the answer is false
 *
 * Return: true if the verb is to be run; false after --help or a mistake,
 * which has been reported.
 */
bool moo_parse(const struct moo_verb *verb, int argc, char **argv,
	       struct moo_args *args, int *status);

/* The old tools' own argument forms. */
int moo_uml_moo(int argc, char **argv);
int moo_uml_mkcow(int argc, char **argv);

/* ---- errors and numbers ------------------------------------------------ */

/**
 * moo_fail() - put a line for people into @err
 * Return: @error.
 */
int moo_fail(struct cow_error *err, int error, const char *format, ...)
	__printf(3, 4);

/**
 * moo_complain() - one line to standard error, behind the program's name
 */
void moo_complain(const char *format, ...)
	__printf(1, 2);

/**
 * moo_print() - bytes of JSON, see struct ubd_json
 * @out: where they go, a FILE
 */
void moo_print(void *out, const char *bytes, size_t len);

/**
 * moo_finish() - the exit code for @ret, its error reported
 */
int moo_finish(int ret, const struct cow_error *err);

/**
 * moo_parse_size() - "10", "64k", "1.5G": bytes
 * Return: 0, -EINVAL or -ERANGE.
 */
int moo_parse_size(const char *text, uint64_t *size);

#define MOO_HUMAN	24
/**
 * moo_human() - bytes as people read them, "1.5 GiB"
 * Return: @buf.
 */
const char *moo_human(uint64_t bytes, char buf[MOO_HUMAN]);

static inline uint64_t moo_min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t moo_round_up(uint64_t n, uint64_t unit)
{
	return (n + unit - 1) / unit * unit;
}

/* ---- the host ---------------------------------------------------------- */

/* How much is moved at a time. */
#define MOO_BUFFER	0x100000u

/**
 * moo_host() - an environment for the engine: the C library and plain calls
 */
void moo_host(struct cow_env *env);

/**
 * struct moo_moved - a parent that does not stand where its child says
 * @io: cow_io_sync, but that the name @from leads to the file @to
 */
struct moo_moved {
	struct io_ops io;
	const char *from;
	const char *to;
};

/**
 * moo_move() - let @env find the file @to where @from is named
 * @moved: lives as long as @env
 */
void moo_move(struct cow_env *env, struct moo_moved *moved, const char *from,
	      const char *to);

/**
 * moo_mode() - permission bits of a new file
 */
uint32_t moo_mode(void);

static inline bool moo_same_file(const struct io_id *a, const struct io_id *b)
{
	return a->dev == b->dev && a->ino == b->ino;
}

/* ---- cancelling and progress ------------------------------------------- */

/**
 * moo_cancel_begin() - from here on SIGINT, SIGTERM and SIGHUP are held back
 *
 * Work asks moo_cancelled() between its steps, answers moo_cancel() and cleans
 * up. What failed ends with moo_cancel_end(), which lets the signal have its
 * usual effect; what was done before the signal could stop it is done.
 * moo_cancel_due() is for steps that may be short: it asks a few hundred times a
 * second at most.
 */
void moo_cancel_begin(void);
bool moo_cancelled(void);
bool moo_cancel_due(void);
int moo_cancel(const char *name, struct cow_error *err);
void moo_cancel_end(void);

/**
 * struct moo_progress - a line on the terminal that tells how far work is
 * @what: what is worked on
 * @total: bytes
 * @start: when it began, nanoseconds
 * @shown: when it was last printed; 0 = never
 * @on: standard error is a terminal
 */
struct moo_progress {
	const char *what;
	uint64_t total;
	uint64_t start;
	uint64_t shown;
	bool on;
};

void moo_progress_begin(struct moo_progress *p, const char *what,
			uint64_t total);
void moo_progress_at(struct moo_progress *p, uint64_t done);
void moo_progress_end(struct moo_progress *p);

/* ---- a chain ----------------------------------------------------------- */

/**
 * struct moo_chain - an open chain of layers; does not move in memory
 * @env: what it lives in
 * @moved: used if the parent of the top has been moved
 * @top: what the top says of itself; only if its parent has been moved
 * @file: the device
 * @name: as the user gave it, for errors
 * @depth: number of layers
 * @fd: a descriptor of our own for each layer, for looking for holes; -1
 *	before it is needed
 * @run: of one layer's file, bytes that were found to be no hole; some hosts look
 *	at each page of them to say where they end
 */
struct moo_chain {
	struct cow_env env;
	struct moo_moved moved;
	struct moo_probe *top;
	struct common_file *file;
	const char *name;
	unsigned int depth;
	int *fd;
	struct moo_run {
		unsigned int layer;
		uint64_t start;
		uint64_t end;
	} run;
};

/**
 * struct moo_extent - a stretch of a device, told apart as qemu-img does
 * @depth: layer that it comes from, 0 being the top
 * @present: some layer has it
 * @zero: reads as zeros
 * @data: stands in a file
 * @mapped: @offset is known
 * @offset: byte offset in that layer's file
 */
struct moo_extent {
	uint64_t start;
	uint64_t length;
	unsigned int depth;
	bool present;
	bool zero;
	bool data;
	bool mapped;
	uint64_t offset;
};

struct moo_probe;

/**
 * moo_chain_open() - open a chain
 * @base: where the parent of the top stands, if not where the top says; or NULL
 */
int moo_chain_open(struct moo_chain *chain, const struct cow_open_args *args,
		   const char *base, struct cow_error *err);
void moo_chain_close(struct moo_chain *chain);

/**
 * moo_chain_submit() - one request, whatever memory it has to wait for
 * @call: common_pread() or one of its sisters
 * @offset: a multiple of 512, as is @len
 * @buf: NULL if @call moves no bytes
 */
int moo_chain_submit(struct moo_chain *chain,
		     int (*call)(struct common_file *file,
				 struct common_io *io),
		     uint64_t offset, void *buf, uint64_t len);

/**
 * moo_chain_read() - bytes of the device
 * @offset: a multiple of 512, as is @len
 */
int moo_chain_read(struct moo_chain *chain, uint64_t offset, void *buf,
		   size_t len, struct cow_error *err);

/**
 * moo_chain_next() - the stretch of equal state that begins at byte @start
 * @layer: layer to ask, 0 being the top, or COW_MAP_CHAIN for the first owner
 *
 * Holes of the layers' files are told apart from data.
 */
int moo_chain_next(struct moo_chain *chain, unsigned int layer, uint64_t start,
		   struct moo_extent *ext, struct cow_error *err);

/**
 * moo_chain_copy() - let the host copy the bytes of @ext to another file
 * @ext: mapped, and its length a multiple of 512
 *
 * Return: 0, or a negative errno for those who try again by moo_chain_read():
 * what of @fd's range is written is then unknown.
 */
int moo_chain_copy(struct moo_chain *chain, const struct moo_extent *ext,
		   int fd, uint64_t offset);

/**
 * moo_chain_bytes() - size to the byte: a raw base need not end on a sector
 */
int moo_chain_bytes(struct moo_chain *chain, uint64_t *bytes,
		    struct cow_error *err);

/* ---- one file ---------------------------------------------------------- */

/**
 * struct moo_probe - what a file says of itself, its chain apart
 * @env: what it lives in
 * @name: as the user gave it
 * @path: absolute name
 * @fd: open for reading
 * @st: of the file
 * @hdr: its header; format COW_RAW if it has none
 * @device: bytes of the device that it describes
 * @record: its state record, whatever file that is about; of V4 the names and
 *	the identity in it
 * @state: COW_IS_* that are in force
 * @successor: who takes the writes of a frozen file, or ""
 */
struct moo_probe {
	struct cow_env env;
	const char *name;
	char path[COW_PATH_MAX];
	int fd;
	struct io_stat st;
	struct cow_header hdr;
	uint64_t device;
	struct cow_record record;
	uint32_t state;
	char successor[COW_PATH_MAX];
};

/**
 * moo_probe() - look at one file
 * @raw: take it as raw data, whatever it begins with
 * @share: look although somebody writes to it
 * @probe: filled on success; end it with moo_probe_end()
 *
 * Return: 0; -EINVAL or -EBADMSG for a header that is damaged, -ENOTSUP for
 * one that this version does not know, or what the host said.
 */
int moo_probe(const char *name, bool raw, bool share, struct moo_probe **probe,
	      struct cow_error *err);
void moo_probe_end(struct moo_probe *probe);

/**
 * moo_owned() - bytes of the sectors that the file owns
 */
int moo_owned(const struct moo_probe *probe, uint64_t *owned,
	      struct cow_error *err);

/**
 * moo_parent_is_raw() - a parent of V1 to V3 is, whatever it begins with; of V4
 * if that says so
 */
static inline bool moo_parent_is_raw(const struct moo_probe *probe)
{
	return probe->hdr.format != COW_V4 ||
	       probe->hdr.v4.parent_format == COW_PARENT_RAW;
}

/**
 * moo_format_name() - "raw" or "cow"
 */
const char *moo_format_name(enum cow_format format);

/* ---- new files --------------------------------------------------------- */

/**
 * struct moo_output - a new file on its way
 * @env: what it lives in
 * @path: the name that it is to have
 * @force: an old file of that name may be replaced
 * @old: descriptor that keeps the old file locked, or -1
 * @fd: raw: the new file, still unnamed, or -1
 * @temp: a layer: the name that it has until it is complete, or
 *	NULL
 * @parent: what the new file is built on, to be told of it; or NULL
 */
struct moo_output {
	const struct cow_env *env;
	const char *path;
	bool force;
	int old;
	int fd;
	char *temp;
	const char *parent;
};

/**
 * moo_output_begin() - may the file @path be made?
 * @force: it may replace a file that is neither in use nor frozen
 * @chain: its source, which it must not be a layer of; or NULL
 *
 * End it with moo_output_end(), which removes what was not published.
 */
int moo_output_begin(struct moo_output *out, const struct cow_env *env,
		     const char *path, bool force,
		     const struct moo_chain *chain, struct cow_error *err);
void moo_output_end(struct moo_output *out);

/**
 * moo_output_raw() - make the unnamed file @out->fd
 */
int moo_output_raw(struct moo_output *out, struct cow_error *err);

/**
 * moo_output_layer() - make an empty layer under the name @out->temp
 * @args: its name is filled in here
 */
int moo_output_layer(struct moo_output *out, struct cow_create_args *args,
		     struct cow_error *err);

/**
 * moo_output_named() - put the final name into an error about @out->temp
 */
void moo_output_named(const struct moo_output *out, struct cow_error *err);

/**
 * moo_output_publish() - the new file is complete: give it its name
 */
int moo_output_publish(struct moo_output *out, struct cow_error *err);

/* ---- what is built on a file ------------------------------------------- */

/**
 * moo_children_add() - note in @parent that @child is going to be built on it
 *
 * Return: a descriptor to be closed once it is, or a negative errno: see
 * cow_children_add().
 */
int moo_children_add(const struct cow_env *env, const char *parent,
		     const char *child);

/**
 * moo_dependents_refuse() - before the content of a file is changed
 * @fd: the file
 * @except: a child that is not meant, or NULL
 * @how: what to do if it is meant all the same
 */
int moo_dependents_refuse(const struct cow_env *env, const char *name, int fd,
			  const struct io_id *except, const char *how,
			  struct cow_error *err);

/* ---- work that verbs share --------------------------------------------- */

/**
 * moo_flatten() - the content of a whole chain into the raw file of @out
 * @magic: the first sector may hold the magic of a COW file
 *
 * Return: 0 or a negative errno, -EINTR when cancelled.
 */
int moo_flatten(struct moo_chain *chain, const struct moo_output *out,
		bool magic, struct cow_error *err);

/**
 * moo_copy_layer() - give @to the sectors that the top of @from owns
 */
int moo_copy_layer(struct moo_chain *from, struct moo_chain *to,
		   struct cow_error *err);

/**
 * moo_copy_difference() - give @to what of @from differs from it
 */
int moo_copy_difference(struct moo_chain *from, struct moo_chain *to,
			struct cow_error *err);

/**
 * moo_flush() - make durable what was written to @to
 */
int moo_flush(struct moo_chain *to, struct cow_error *err);

/**
 * moo_write_raw() - a new raw file with the content of the chain of @source
 * @args: base, force, raw and share are used
 */
int moo_write_raw(const struct moo_args *args, const char *source,
		  const char *path, struct cow_error *err);

/**
 * moo_merge_in_place() - merge the delta @name into its parent
 * @args: base, force and remove are used
 */
int moo_merge_in_place(const struct moo_args *args, const char *name,
		       struct cow_error *err);

/**
 * moo_create_layer() - a new, empty layer
 * @args: what to make; its name is filled in here
 * @force: an old file may be replaced
 */
int moo_create_layer(struct cow_create_args *args, const char *path,
		     bool force, struct cow_error *err);

#endif
