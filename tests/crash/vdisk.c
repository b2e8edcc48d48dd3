// SPDX-License-Identifier: GPL-2.0-only
/*
 * The file system in memory that can lose power, see vdisk.h.
 *
 * Duty: files as images of 4 KiB chunks that copies of a disk share, the log,
 * the queue of descriptors, and the blocking operations.
 *
 * Invariants: a chunk with more than one user is never written.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "format.h"
#include "tap.h"
#include "vdisk.h"

#define CHUNK		4096u
#define MAX_FILES	64
#define MAX_FDS		128
#define MAX_NAME	64
#define MAX_ATTR	512
#define ATTRS		2
#define MAX_QUEUE	2048
#define SECOND		1000000000ull

struct chunk {
	unsigned int users;
	uint8_t data[CHUNK];
};

struct image {
	struct chunk **chunk;	/* NULL: zeros */
	uint64_t nchunk;
	uint64_t size;
};

/* What a file's inode says, hardened as one. */
struct inode {
	uint64_t mtime;
	uint8_t attr[ATTRS][MAX_ATTR];
	unsigned int attr_len[ATTRS];
};

struct file {
	struct io_id id;
	uint32_t mode;
	uint32_t gid;
	char name[MAX_NAME];
	unsigned int opens;
	struct image now;
	struct image durable;
	struct inode inode;
	struct inode durable_inode;
};

struct piece {
	struct file *file;
	uint64_t number;
	uint64_t group;		/* those of one group share their fate */
	bool resize;
	bool metadata;
	uint64_t sector;	/* or the size */
	uint8_t data[COW_SECTOR_SIZE];
};

struct open_file {
	struct file *file;
	unsigned int flags;
	enum io_lock lock;
};

struct queued {
	struct io_desc *desc;
	uint64_t log_end;	/* IO_SYNC: what came later is not meant */
	bool over;
};

struct vdisk {
	uint64_t seed;
	uint64_t clock;
	uint64_t next_ino;
	struct file *file[MAX_FILES];
	struct open_file fd[MAX_FDS];
	struct piece *log;
	unsigned int nlog;
	unsigned int log_room;
	uint64_t next_piece;
	struct queued queue[MAX_QUEUE];
	unsigned int nqueue;
	bool async;
	unsigned int inline_percent;
	bool in_call;
	void (*hook)(void *arg);
	void *hook_arg;
	bool hardens;
	uint64_t window;
	unsigned int grain;
	unsigned int (*choose)(void *arg, unsigned int n);
	void *choose_arg;
	bool no_attributes;
	enum vdisk_fault fault;
	uint64_t victim;
};

/* ---- images ------------------------------------------------------------ */

static void chunk_put(struct chunk *chunk)
{
	if (chunk && !--chunk->users)
		free(chunk);
}

static void image_clear(struct image *image)
{
	uint64_t i;

	for (i = 0; i < image->nchunk; i++)
		chunk_put(image->chunk[i]);
	free(image->chunk);
	memset(image, 0, sizeof(*image));
}

static void image_copy(struct image *to, const struct image *from)
{
	uint64_t i;

	*to = *from;
	to->chunk = calloc(from->nchunk + 1, sizeof(*to->chunk));
	for (i = 0; i < from->nchunk; i++) {
		to->chunk[i] = from->chunk[i];
		if (to->chunk[i])
			to->chunk[i]->users++;
	}
}

static void image_grow(struct image *image, uint64_t nchunk)
{
	if (nchunk <= image->nchunk)
		return;
	image->chunk = realloc(image->chunk, nchunk * sizeof(*image->chunk));
	memset(image->chunk + image->nchunk, 0,
	       (nchunk - image->nchunk) * sizeof(*image->chunk));
	image->nchunk = nchunk;
}

static const uint8_t *image_sector(const struct image *image, uint64_t sector)
{
	static const uint8_t zeros[COW_SECTOR_SIZE];
	uint64_t at = sector * COW_SECTOR_SIZE;

	if (at / CHUNK >= image->nchunk || !image->chunk[at / CHUNK])
		return zeros;
	return image->chunk[at / CHUNK]->data + at % CHUNK;
}

static void image_set(struct image *image, uint64_t sector, const void *data)
{
	uint64_t at = sector * COW_SECTOR_SIZE;
	struct chunk **place, *old;

	image_grow(image, at / CHUNK + 1);
	place = &image->chunk[at / CHUNK];
	old = *place;
	if (!old || old->users > 1) {
		*place = malloc(sizeof(**place));
		(*place)->users = 1;
		if (old)
			memcpy((*place)->data, old->data, CHUNK);
		else
			memset((*place)->data, 0, CHUNK);
		chunk_put(old);
	}
	memcpy((*place)->data + at % CHUNK, data, COW_SECTOR_SIZE);
}

/* What lies beyond the end is zeros, should the file grow again. */
static void image_resize(struct image *image, uint64_t size)
{
	uint64_t sector = size / COW_SECTOR_SIZE;
	uint8_t data[COW_SECTOR_SIZE];

	for (; size < image->size && sector * COW_SECTOR_SIZE < image->size;
	     sector++) {
		uint64_t keep = size > sector * COW_SECTOR_SIZE ?
				size - sector * COW_SECTOR_SIZE : 0;

		memcpy(data, image_sector(image, sector), sizeof(data));
		memset(data + keep, 0, sizeof(data) - keep);
		image_set(image, sector, data);
	}
	image->size = size;
}

/* ---- files ------------------------------------------------------------- */

static struct file *file_new(struct vdisk *disk)
{
	struct file *file = calloc(1, sizeof(*file));
	unsigned int i = 0;

	while (disk->file[i])
		i++;
	assert(i < MAX_FILES - 1);
	disk->file[i] = file;
	file->id.dev = 7;
	file->id.ino = ++disk->next_ino;
	file->id.birth_sec = disk->clock / SECOND;
	file->id.birth_nsec = disk->clock % SECOND;
	file->inode.mtime = disk->clock;
	file->durable_inode = file->inode;
	return file;
}

static void file_free(struct file *file)
{
	image_clear(&file->now);
	image_clear(&file->durable);
	free(file);
}

/* A file without name and descriptor is gone, with all that it had. */
static void file_release(struct vdisk *disk, struct file *file)
{
	unsigned int i, n = 0;

	if (file->opens || file->name[0])
		return;
	for (i = 0; i < disk->nlog; i++) {
		if (disk->log[i].file != file)
			disk->log[n++] = disk->log[i];
	}
	disk->nlog = n;
	for (i = 0; i < MAX_FILES; i++) {
		if (disk->file[i] == file)
			disk->file[i] = NULL;
	}
	file_free(file);
}

static struct file *find(const struct vdisk *disk, const char *name)
{
	unsigned int i;

	for (i = 0; i < MAX_FILES; i++) {
		if (disk->file[i] && disk->file[i]->name[0] &&
		    !strcmp(disk->file[i]->name, name))
			return disk->file[i];
	}
	return NULL;
}

static struct file *file_of(const struct vdisk *disk, int fd)
{
	assert(fd >= 0 && fd < MAX_FDS && disk->fd[fd].file);
	return disk->fd[fd].file;
}

static bool is_direct(const struct vdisk *disk, int fd)
{
	return disk->fd[fd].flags & IO_OPEN_DIRECT;
}

/*
 * What is open past the host's cache must not be written through it, but by a
 * tool that seals: its shared lock says that nobody else writes meanwhile.
 */
static bool writes_agree(const struct vdisk *disk, int fd)
{
	int i;

	if (disk->fd[fd].lock == IO_SHARED)
		return true;
	for (i = 0; i < MAX_FDS; i++) {
		if (disk->fd[i].file == disk->fd[fd].file && is_direct(disk, i) &&
		    !is_direct(disk, fd))
			return false;
	}
	return true;
}

static struct file *writable(const struct vdisk *disk, int fd)
{
	assert(disk->fd[fd].flags & IO_OPEN_WRITE);
	assert(writes_agree(disk, fd));
	return file_of(disk, fd);
}

/* Past the host's cache all is told in sectors. */
static void check_units(const struct vdisk *disk, int fd, uint64_t off,
			uint64_t len)
{
	assert(!is_direct(disk, fd) || !((off | len) % COW_SECTOR_SIZE));
}

static int new_fd(struct vdisk *disk, struct file *file, unsigned int flags)
{
	int fd = 0;

	while (disk->fd[fd].file)
		fd++;
	assert(fd < MAX_FDS - 1);
	disk->fd[fd] = (struct open_file){ .file = file, .flags = flags };
	file->opens++;
	return fd;
}

/* ---- the log ----------------------------------------------------------- */

static void tick(struct vdisk *disk)
{
	uint64_t n = tap_random(&disk->seed);

	/* Time stands still between some changes, as a coarse clock does. */
	if (n % 4)
		disk->clock += n % 64 == 1 ? 3 * SECOND / 2 : n % 100000;
}

static void before(struct vdisk *disk, bool hardens)
{
	disk->hardens = hardens;
	if (disk->hook)
		disk->hook(disk->hook_arg);
	tick(disk);
}

/* What is about to be written may be lost. */
static void before_change(struct vdisk *disk)
{
	before(disk, false);
}

static uint64_t mix(uint64_t hash, uint64_t word)
{
	hash = (hash ^ word) * 0x9e3779b97f4a7c15ull;
	return hash ^ hash >> 29;
}

/* What is about to happen lasts. */
static void before_hardening(struct vdisk *disk, const struct file *file)
{
	before(disk, true);
	disk->window = mix(disk->window, file->id.ino + disk->next_piece);
}

static void remember(struct vdisk *disk, const struct piece *piece)
{
	uint64_t word;
	size_t i;

	disk->window = mix(disk->window, piece->file->id.ino);
	disk->window = mix(disk->window, piece->sector * 2 + piece->resize);
	for (i = 0; i < sizeof(piece->data); i += sizeof(word)) {
		memcpy(&word, piece->data + i, sizeof(word));
		disk->window = mix(disk->window, word);
	}
}

static struct piece *log_piece(struct vdisk *disk, struct file *file)
{
	struct piece *piece;

	if (disk->nlog == disk->log_room) {
		disk->log_room = disk->log_room * 2 + 64;
		disk->log = realloc(disk->log,
				    disk->log_room * sizeof(*disk->log));
	}
	piece = &disk->log[disk->nlog++];
	memset(piece, 0, sizeof(*piece));
	piece->file = file;
	piece->number = disk->next_piece++;
	return piece;
}

static void apply(struct image *image, const struct piece *piece)
{
	if (piece->resize)
		image_resize(image, piece->sector);
	else
		image_set(image, piece->sector, piece->data);
}

static void log_resize(struct vdisk *disk, struct file *file, uint64_t size)
{
	struct piece *piece;

	if (size == file->now.size)
		return;
	piece = log_piece(disk, file);
	piece->resize = true;
	piece->metadata = true;
	piece->sector = size;
	piece->group = piece->number;
	remember(disk, piece);
	apply(&file->now, piece);
}

/* Change bytes of a file; @data NULL stands for zeros. */
static void change(struct vdisk *disk, struct file *file, const uint8_t *data,
		   uint64_t off, uint64_t len, bool metadata)
{
	uint64_t block = ~0ull, group = 0;

	file->inode.mtime = disk->clock;
	if (off + len > file->now.size)
		log_resize(disk, file, off + len);
	while (len) {
		uint64_t sector = off / COW_SECTOR_SIZE;
		uint64_t skip = off % COW_SECTOR_SIZE;
		uint64_t n = COW_SECTOR_SIZE - skip;
		struct piece *piece = log_piece(disk, file);

		if (n > len)
			n = len;
		if (off / disk->grain != block)
			group = piece->number;
		block = off / disk->grain;
		piece->group = group;
		piece->sector = sector;
		piece->metadata = metadata;
		memcpy(piece->data, image_sector(&file->now, sector),
		       COW_SECTOR_SIZE);
		if (data)
			memcpy(piece->data + skip, data, n);
		else
			memset(piece->data + skip, 0, n);
		remember(disk, piece);
		apply(&file->now, piece);
		data = data ? data + n : NULL;
		off += n;
		len -= n;
	}
}

/* Harden the pieces of @file with numbers below @end. */
static void harden(struct vdisk *disk, struct file *file, uint64_t end)
{
	bool metadata_only = disk->fault == VDISK_SYNC_METADATA;
	unsigned int i, n = 0;

	for (i = 0; i < disk->nlog; i++) {
		struct piece *piece = &disk->log[i];

		if (piece->file == file && piece->number < end &&
		    (piece->metadata || !metadata_only))
			apply(&file->durable, piece);
		else
			disk->log[n++] = *piece;
	}
	disk->nlog = n;
}

static struct file *elsewhere(struct vdisk *disk, struct file *file)
{
	unsigned int i;

	for (i = 0; i < disk->nlog; i++) {
		if (disk->log[i].file != file)
			return disk->log[i].file;
	}
	return NULL;
}

static void sync_file(struct vdisk *disk, struct file *file, uint64_t end)
{
	before_hardening(disk, file);
	if (disk->fault == VDISK_SYNC_LOST && file->id.ino == disk->victim)
		return;
	if (disk->fault == VDISK_SYNC_ELSEWHERE) {
		file = elsewhere(disk, file);
		if (!file)
			return;
	}
	harden(disk, file, end);
}

/* ---- plain I/O --------------------------------------------------------- */

static int64_t read_file(const struct file *file, uint8_t *buf, uint64_t len,
			 uint64_t off)
{
	uint64_t done = 0;

	if (off >= file->now.size)
		return 0;
	if (len > file->now.size - off)
		len = file->now.size - off;
	while (done < len) {
		uint64_t at = off + done;
		uint64_t skip = at % COW_SECTOR_SIZE;
		uint64_t n = COW_SECTOR_SIZE - skip;

		if (n > len - done)
			n = len - done;
		memcpy(buf + done, image_sector(&file->now,
						at / COW_SECTOR_SIZE) + skip,
		       n);
		done += n;
	}
	return done;
}

/* Headers, bitmaps and index pages: only VDISK_SYNC_METADATA cares. */
static bool is_metadata(const struct file *file, uint64_t off, const void *buf,
			uint64_t len)
{
	static const uint8_t index_magic[] = { 0x4f, 0x4f, 0x4f, 0x49 };
	const uint8_t *head = image_sector(&file->now, 0);

	if (!cow_is_magic(head) && off)
		return false;
	if (len >= sizeof(index_magic) &&
	    !memcmp(buf, index_magic, sizeof(index_magic)))
		return true;
	return len % COW_SECTOR_SIZE || cow_is_magic(buf);
}

static void write_file(struct vdisk *disk, struct file *file, const void *buf,
		       uint64_t off, uint64_t len)
{
	before_change(disk);
	change(disk, file, buf, off, len, is_metadata(file, off, buf, len));
}

/* Between a descriptor's memory and a plain buffer. */
static void transfer(const struct io_desc *desc, uint8_t *buf, uint64_t len)
{
	uint64_t skip = desc->skip, done = 0;
	unsigned int i;

	for (i = 0; i < desc->nvec && done < len; i++) {
		uint8_t *mem = desc->vec[i].base;
		uint64_t n = desc->vec[i].len;

		if (skip >= n) {
			skip -= n;
			continue;
		}
		mem += skip;
		n -= skip;
		skip = 0;
		if (n > len - done)
			n = len - done;
		if (desc->op == IO_READ)
			memcpy(mem, buf + done, n);
		else
			memcpy(buf + done, mem, n);
		done += n;
	}
	assert(done == len);
}

static int64_t do_transfer(struct vdisk *disk, const struct io_desc *desc)
{
	uint8_t *buf = malloc(desc->len);
	int64_t got = desc->len;

	assert(desc->direct == is_direct(disk, desc->fd));
	check_units(disk, desc->fd, desc->offset, desc->len);
	if (desc->op == IO_READ) {
		got = read_file(file_of(disk, desc->fd), buf, desc->len,
				desc->offset);
		transfer(desc, buf, got);
	} else {
		transfer(desc, buf, desc->len);
		write_file(disk, writable(disk, desc->fd), buf, desc->offset,
			   desc->len);
	}
	free(buf);
	return got;
}

static int64_t do_copy(struct vdisk *disk, const struct io_desc *desc)
{
	uint8_t *buf = calloc(1, desc->len);

	assert(desc->direct == (is_direct(disk, desc->fd) ||
				is_direct(disk, desc->src_fd)));
	before_change(disk);
	read_file(file_of(disk, desc->src_fd), buf, desc->len,
		  desc->src_offset);
	change(disk, writable(disk, desc->fd), buf, desc->offset, desc->len,
	       false);
	free(buf);
	return 0;
}

/* All are read before the first is written. */
static int64_t do_pieces(struct vdisk *disk, const struct io_desc *desc)
{
	struct file *from = file_of(disk, desc->src_fd);
	struct file *to = writable(disk, desc->fd);
	unsigned int i;

	assert(!is_direct(disk, desc->fd) && !is_direct(disk, desc->src_fd));
	for (i = 0; i < desc->npieces; i++) {
		const struct io_piece *piece = &desc->piece[i];

		memset(piece->base, 0, piece->len);
		read_file(from, (uint8_t *)piece->base, piece->len,
			  piece->src_offset);
	}
	for (i = 0; i < desc->npieces; i++) {
		const struct io_piece *piece = &desc->piece[i];

		before_change(disk);
		change(disk, to, (const uint8_t *)piece->base, piece->offset,
		       piece->len, false);
	}
	return 0;
}

static int64_t do_clear(struct vdisk *disk, const struct io_desc *desc)
{
	struct file *file = writable(disk, desc->fd);
	uint64_t size = file->now.size;
	uint64_t len = desc->len;

	if (desc->op == IO_PUNCH) {
		if (desc->offset >= size)
			return 0;
		if (len > size - desc->offset)
			len = size - desc->offset;
	}
	before_change(disk);
	change(disk, file, NULL, desc->offset, len, false);
	return 0;
}

static void carry_out(struct vdisk *disk, struct io_desc *desc,
		      uint64_t log_end)
{
	desc->result = 0;
	switch (desc->op) {
	case IO_READ:
	case IO_WRITE:
		desc->result = do_transfer(disk, desc);
		break;
	case IO_SYNC:
		sync_file(disk, file_of(disk, desc->fd), log_end);
		break;
	case IO_PUNCH:
	case IO_ZERO:
		desc->result = do_clear(disk, desc);
		break;
	case IO_COPY:
		desc->result = desc->piece ? do_pieces(disk, desc) :
					     do_copy(disk, desc);
		break;
	case IO_CALL:
		desc->result = desc->call(desc->arg);
		break;
	}
}

/* ---- the queue --------------------------------------------------------- */

static int v_submit(void *ctx, struct io_desc *desc)
{
	struct vdisk *disk = ctx;

	if (!disk->async ||
	    tap_random(&disk->seed) % 100 < disk->inline_percent) {
		carry_out(disk, desc, disk->next_piece);
		return (int)desc->result;
	}
	assert(disk->nqueue < MAX_QUEUE);
	disk->queue[disk->nqueue++] = (struct queued){
		.desc = desc,
		.log_end = disk->next_piece,
	};
	return -EINPROGRESS;
}

static void v_kick(void *ctx)
{
	(void)ctx;
}

static unsigned int next_answer(struct vdisk *disk)
{
	if (disk->nqueue == 1)
		return 0;
	if (disk->choose)
		return disk->choose(disk->choose_arg, disk->nqueue);
	return tap_random(&disk->seed) % disk->nqueue;
}

bool vdisk_pump(struct vdisk *disk)
{
	struct queued *queued, taken;

	if (!disk->nqueue)
		return false;
	queued = &disk->queue[next_answer(disk)];
	taken = *queued;
	*queued = disk->queue[--disk->nqueue];
	if (!taken.over) {
		bool call = taken.desc->op == IO_CALL;

		disk->in_call |= call;
		carry_out(disk, taken.desc, taken.log_end);
		if (call)
			disk->in_call = false;
		/* Done, but nobody has heard of it. */
		if (!disk->choose && tap_random(&disk->seed) % 3 == 0) {
			taken.over = true;
			disk->queue[disk->nqueue++] = taken;
			return true;
		}
	}
	taken.desc->done(taken.desc);
	return true;
}

void vdisk_async(struct vdisk *disk, bool async, unsigned int inline_percent)
{
	disk->async = async;
	disk->inline_percent = inline_percent;
}

bool vdisk_in_call(const struct vdisk *disk)
{
	return disk->in_call;
}

void vdisk_hook(struct vdisk *disk, void (*hook)(void *arg), void *arg)
{
	disk->hook = hook;
	disk->hook_arg = arg;
}

bool vdisk_hardens(const struct vdisk *disk)
{
	return disk->hardens;
}

uint64_t vdisk_window(const struct vdisk *disk)
{
	return disk->window;
}

void vdisk_grain(struct vdisk *disk, unsigned int grain)
{
	disk->grain = grain;
}

void vdisk_choose(struct vdisk *disk, unsigned int (*choose)(void *arg,
							     unsigned int n),
		  void *arg)
{
	disk->choose = choose;
	disk->choose_arg = arg;
}

/* ---- blocking operations ----------------------------------------------- */

static int v_open(void *ctx, const char *path, unsigned int flags)
{
	struct file *file = find(ctx, path);

	return file ? new_fd(ctx, file, flags) : -ENOENT;
}

static int v_reopen(void *ctx, int fd, unsigned int flags)
{
	return new_fd(ctx, file_of(ctx, fd), flags);
}

static int v_close(void *ctx, int fd)
{
	struct vdisk *disk = ctx;
	struct file *file = file_of(disk, fd);

	disk->fd[fd].file = NULL;
	file->opens--;
	file_release(disk, file);
	return 0;
}

static void describe(const struct file *file, struct io_stat *st)
{
	*st = (struct io_stat){
		.id = file->id,
		.kind = IO_KIND_FILE,
		.size = file->now.size,
		.allocated = file->now.size,
		.mtime_sec = file->inode.mtime / SECOND,
		.mtime_nsec = file->inode.mtime % SECOND,
		.mode = file->mode,
		.gid = file->gid,
	};
}

static int v_stat(void *ctx, int fd, struct io_stat *st)
{
	describe(file_of(ctx, fd), st);
	return 0;
}

static int v_lookup(void *ctx, const char *path, struct io_stat *st)
{
	struct file *file = find(ctx, path);

	if (!file)
		return -ENOENT;
	describe(file, st);
	return 0;
}

static int64_t v_next_data(void *ctx, int fd, uint64_t off)
{
	const struct image *image = &file_of(ctx, fd)->now;
	uint64_t n;

	for (n = off / CHUNK; n < image->nchunk; n++)
		if (image->chunk[n])
			return n * CHUNK > off ? n * CHUNK : off;
	return INT64_MAX;
}

static int64_t v_pread(void *ctx, int fd, void *buf, size_t len, uint64_t off)
{
	check_units(ctx, fd, off | (uintptr_t)buf, len);
	return read_file(file_of(ctx, fd), buf, len, off);
}

static int v_pwrite(void *ctx, int fd, const void *buf, size_t len,
		    uint64_t off)
{
	check_units(ctx, fd, off | (uintptr_t)buf, len);
	write_file(ctx, writable(ctx, fd), buf, off, len);
	return 0;
}

static int v_sync(void *ctx, int fd)
{
	struct vdisk *disk = ctx;
	struct file *file = file_of(disk, fd);

	sync_file(disk, file, disk->next_piece);
	file->durable_inode.mtime = file->inode.mtime;
	return 0;
}

static int v_truncate(void *ctx, int fd, uint64_t size)
{
	struct vdisk *disk = ctx;
	struct file *file = writable(disk, fd);

	before_change(disk);
	file->inode.mtime = disk->clock;
	log_resize(disk, file, size);
	return 0;
}

static int v_create(void *ctx, const char *path, uint32_t mode, uint32_t gid)
{
	struct vdisk *disk = ctx;
	struct file *file;

	if (find(disk, path))
		return -EEXIST;
	file = file_new(disk);
	file->mode = mode;
	file->gid = gid;
	return new_fd(disk, file, IO_OPEN_WRITE);
}

static void give_name(struct file *file, const char *path)
{
	assert(strlen(path) < MAX_NAME && !file->name[0]);
	strcpy(file->name, path);
}

static int v_publish(void *ctx, int fd, const char *path)
{
	before_hardening(ctx, file_of(ctx, fd));
	if (find(ctx, path))
		return -EEXIST;
	give_name(file_of(ctx, fd), path);
	return 0;
}

static int v_replace(void *ctx, int fd, const char *path)
{
	struct file *old;

	before_hardening(ctx, file_of(ctx, fd));
	old = find(ctx, path);
	if (old) {
		old->name[0] = 0;
		file_release(ctx, old);
	}
	give_name(file_of(ctx, fd), path);
	return 0;
}

static int v_unlink(void *ctx, const char *path)
{
	struct file *file = find(ctx, path);

	if (!file)
		return -ENOENT;
	before_hardening(ctx, file);
	file->name[0] = 0;
	file_release(ctx, file);
	return 0;
}

static int v_lock(void *ctx, int fd, enum io_lock lock)
{
	struct vdisk *disk = ctx;
	struct file *file = file_of(disk, fd);
	int i;

	/* Nobody reads beside a writer here, and one at most does the rest. */
	if (lock >= IO_PIN)
		return 0;
	if (lock == IO_EXCLUSIVE && !(disk->fd[fd].flags & IO_OPEN_WRITE))
		return -EBADF;
	for (i = 0; lock != IO_UNLOCK && i < MAX_FDS; i++) {
		enum io_lock held = disk->fd[i].lock;

		if (i == fd || disk->fd[i].file != file || held == IO_UNLOCK)
			continue;
		if (lock == IO_EXCLUSIVE || held == IO_EXCLUSIVE)
			return -EAGAIN;
	}
	disk->fd[fd].lock = lock;
	return 0;
}

static int v_getattr(void *ctx, int fd, enum io_attr attr, void *buf,
		     size_t len)
{
	const struct vdisk *disk = ctx;
	const struct inode *inode = &file_of(disk, fd)->inode;

	if (disk->no_attributes)
		return -EOPNOTSUPP;
	if (!inode->attr_len[attr])
		return -ENODATA;
	if (inode->attr_len[attr] > len)
		return -ERANGE;
	memcpy(buf, inode->attr[attr], inode->attr_len[attr]);
	return (int)inode->attr_len[attr];
}

static int v_setattr(void *ctx, int fd, enum io_attr attr, const void *buf,
		     size_t len)
{
	struct vdisk *disk = ctx;
	struct file *file = file_of(disk, fd);

	if (disk->no_attributes)
		return -EOPNOTSUPP;
	assert(len <= MAX_ATTR);
	before_hardening(disk, file);
	if (len)
		memcpy(file->inode.attr[attr], buf, len);
	file->inode.attr_len[attr] = len;
	if (disk->fault != VDISK_ATTR_LOST)
		file->durable_inode = file->inode;
	return 0;
}

static int v_realpath(void *ctx, const char *path, char buf[COW_PATH_MAX])
{
	if (!find(ctx, path))
		return -ENOENT;
	strcpy(buf, path);
	return 0;
}

static int v_random(void *ctx, void *buf, size_t len)
{
	struct vdisk *disk = ctx;
	uint8_t *byte = buf;

	while (len--)
		*byte++ = tap_random(&disk->seed);
	return 0;
}

static uint64_t v_now(void *ctx)
{
	const struct vdisk *disk = ctx;

	return disk->clock;
}

static void v_nap(void *ctx, unsigned int ms)
{
	struct vdisk *disk = ctx;

	disk->clock += ms * (SECOND / 1000);
}

const struct io_ops vdisk_ops = {
	.name = "vdisk",
	.submit = v_submit,
	.kick = v_kick,
	.open = v_open,
	.close = v_close,
	.stat = v_stat,
	.lookup = v_lookup,
	.pread = v_pread,
	.pwrite = v_pwrite,
	.sync = v_sync,
	.truncate = v_truncate,
	.create = v_create,
	.publish = v_publish,
	.replace = v_replace,
	.unlink = v_unlink,
	.lock = v_lock,
	.reopen = v_reopen,
	.getattr = v_getattr,
	.setattr = v_setattr,
	.realpath = v_realpath,
	.next_data = v_next_data,
	.random = v_random,
	.now = v_now,
	.nap = v_nap,
};

/* ---- life and death ---------------------------------------------------- */

struct vdisk *vdisk_new(uint64_t seed)
{
	struct vdisk *disk = calloc(1, sizeof(*disk));

	disk->seed = seed;
	disk->clock = 1000000 * SECOND;
	disk->grain = COW_SECTOR_SIZE;
	return disk;
}

void vdisk_free(struct vdisk *disk)
{
	unsigned int i;

	for (i = 0; i < MAX_FILES; i++) {
		if (disk->file[i])
			file_free(disk->file[i]);
	}
	free(disk->log);
	free(disk);
}

static unsigned int region_of(const struct piece *piece)
{
	return piece->file->id.ino % 2 * 2 + piece->metadata;
}

/* Group number @n of the log, of which @piece is the first. */
static bool survives(uint64_t *seed, enum vdisk_policy policy, uint64_t param,
		     uint64_t n, const struct piece *piece)
{
	bool in_pair = n == param >> 32 || n == (uint32_t)param;

	switch (policy) {
	case VDISK_NONE:
		return false;
	case VDISK_ALL:
		return true;
	case VDISK_PREFIX:
		return n < param;
	case VDISK_DROP_ONE:
		return n != param;
	case VDISK_KEEP_ONE:
		return n == param;
	case VDISK_RANDOM:
		return tap_random(seed) % 8 < param;
	case VDISK_MASK:
		return param >> n & 1;
	case VDISK_DROP_PAIR:
		return !in_pair;
	case VDISK_KEEP_PAIR:
		return in_pair;
	case VDISK_REGIONS:
		return param >> region_of(piece) & 1;
	}
	return false;
}

/* A copy as it is on the platter. */
static struct file *file_copy(struct vdisk *to, const struct file *from,
			      enum vdisk_policy policy)
{
	struct file *file = file_new(to);
	bool late = policy == VDISK_ALL;

	if (policy != VDISK_NONE && policy != VDISK_ALL)
		late = tap_random(&to->seed) % 2;
	file->id = from->id;
	file->mode = from->mode;
	file->gid = from->gid;
	strcpy(file->name, from->name);
	image_copy(&file->now, &from->durable);
	file->inode = from->durable_inode;
	if (late)
		file->inode.mtime = from->inode.mtime;
	file->durable_inode = file->inode;
	return file;
}

static bool begins_group(const struct vdisk *disk, unsigned int n)
{
	return !n || disk->log[n].group != disk->log[n - 1].group;
}

/* Which pieces of the log survive. */
static bool *fates(const struct vdisk *disk, uint64_t *seed,
		   enum vdisk_policy policy, uint64_t param)
{
	bool *fate = calloc(disk->nlog + 1, sizeof(*fate));
	unsigned int group = 0, n;

	for (n = 0; n < disk->nlog; n++) {
		if (begins_group(disk, n))
			fate[n] = survives(seed, policy, param, group++,
					   &disk->log[n]);
		else
			fate[n] = fate[n - 1];
	}
	return fate;
}

struct vdisk *vdisk_crash(const struct vdisk *disk, uint64_t seed,
			  enum vdisk_policy policy, uint64_t param)
{
	struct vdisk *to = vdisk_new(seed);
	bool *fate = fates(disk, &to->seed, policy, param);
	unsigned int i, n;

	to->grain = disk->grain;
	to->clock = disk->clock + 10 * SECOND;
	to->no_attributes = disk->no_attributes;
	for (i = 0; i < MAX_FILES; i++) {
		const struct file *from = disk->file[i];
		struct file *file;

		if (!from || !from->name[0])
			continue;
		file = file_copy(to, from, policy);
		for (n = 0; n < disk->nlog; n++) {
			if (disk->log[n].file == from && fate[n])
				apply(&file->now, &disk->log[n]);
		}
		image_copy(&file->durable, &file->now);
	}
	to->next_ino = disk->next_ino;
	free(fate);
	return to;
}

unsigned int vdisk_unsynced(const struct vdisk *disk)
{
	unsigned int i, groups = 0;

	for (i = 0; i < disk->nlog; i++)
		groups += begins_group(disk, i);
	return groups;
}

void vdisk_settle(struct vdisk *disk)
{
	unsigned int i;

	for (i = 0; i < MAX_FILES; i++) {
		struct file *file = disk->file[i];

		if (!file)
			continue;
		harden(disk, file, disk->next_piece);
		file->durable_inode = file->inode;
	}
}

void vdisk_put(struct vdisk *disk, const char *name, const void *data,
	       uint64_t len)
{
	struct file *file = file_new(disk);

	file->mode = 0600;
	give_name(file, name);
	change(disk, file, data, 0, len, false);
	vdisk_settle(disk);
}

void vdisk_no_attributes(struct vdisk *disk)
{
	disk->no_attributes = true;
}

void vdisk_fault(struct vdisk *disk, enum vdisk_fault fault, uint64_t victim)
{
	disk->fault = fault;
	disk->victim = victim;
}
