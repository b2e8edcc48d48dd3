/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A back end that passes everything on to another one, and writes down every
 * operation on a file of the host.
 *
 * Duty: to show from inside all that the engine asks of the host, in the order
 * in which it was completed, with the bytes written. Whoever replays a record
 * onto copies of the files gets the same bytes.
 *
 * The format, in the host's byte order: one struct io_record_head, then entries
 * without gaps. Each is a struct io_record_entry, @extra bytes that belong to
 * it, and zeros up to the next multiple of 8. A record that ends within an entry
 * was cut off there.
 *
 * The place of an entry, counted from 0, is its number. Entries stand in the
 * order of completion; @after says how many of them stood there when the
 * operation began. So a sync covers the writes with numbers below its own
 * @after, and operations may have met on the host if neither is below the
 * other's. A read, write or sync that the back end carries out in several system
 * calls is one entry; what opens or closes inside others is none. Stretches that
 * are copied together through memory are reads and writes, all begun at once.
 *
 * Files are named by descriptors. A descriptor stands for a file from the entry
 * that opened it (IO_RECORD_OPEN, _REOPEN, _CREATE; the descriptor is @result)
 * to its IO_RECORD_CLOSE, which is written before the file is closed.
 */
#ifndef COW_IO_RECORD_H
#define COW_IO_RECORD_H

#include "io.h"

#define IO_RECORD_MAGIC		"moo-iorc"
#define IO_RECORD_VERSION	1u

/**
 * struct io_record_head - the beginning of a record
 * @magic: IO_RECORD_MAGIC, without its NUL
 * @version: IO_RECORD_VERSION
 * @entry_size: bytes of a struct io_record_entry
 */
struct io_record_head {
	char magic[8];
	uint32_t version;
	uint32_t entry_size;
};

/* The extra bytes are in brackets; a path ends with a NUL. */
enum io_record_op {
	IO_RECORD_READ = 1,
	IO_RECORD_WRITE = 2,		/* [data] */
	IO_RECORD_SYNC = 3,		/* data; len 1: times, too */
	IO_RECORD_PUNCH = 4,
	IO_RECORD_ZERO = 5,		/* may move the end of the file */
	IO_RECORD_COPY = 6,		/* src_fd, src_offset -> fd, offset */
	IO_RECORD_OPEN = 7,		/* flags in len [path] */
	IO_RECORD_REOPEN = 8,		/* fd again, flags in len */
	IO_RECORD_CLOSE = 9,
	IO_RECORD_CREATE = 10,		/* without a name, mode in len [path] */
	IO_RECORD_PUBLISH = 11,		/* gets its name, durably [path] */
	IO_RECORD_REPLACE = 12,		/* the same, over an old file [path] */
	IO_RECORD_UNLINK = 13,		/* loses it, durably [path] */
	IO_RECORD_TRUNCATE = 14,	/* to offset */
	IO_RECORD_LOCK = 15,		/* enum io_lock in len */
	IO_RECORD_STAT = 16,
	IO_RECORD_LOOKUP = 17,		/* [path] */
	IO_RECORD_REALPATH = 18,	/* [path] */
	IO_RECORD_GETATTR = 19,		/* enum io_attr in offset */
	IO_RECORD_SETATTR = 20,		/* same, durably; len 0 removes [value] */
	IO_RECORD_NEXT_DATA = 21,	/* from offset */
};

/**
 * struct io_record_entry - one operation
 * @after: entries that stood in the record when it began
 * @begun: nanoseconds of a monotonic clock
 * @done: the same
 * @op: enum io_record_op
 * @fd: on which file; -1 where a path says it
 * @offset: bytes
 * @len: bytes that were asked for, or what the operation says
 * @result: bytes moved, a descriptor, 0, or a negative errno
 * @src_offset: IO_RECORD_COPY
 * @src_fd: IO_RECORD_COPY
 * @extra: bytes behind this struct
 * @dev: which file was opened or created: its device,
 * @ino: and its inode
 */
struct io_record_entry {
	uint64_t after;
	uint64_t begun;
	uint64_t done;
	uint32_t op;
	int32_t fd;
	uint64_t offset;
	uint64_t len;
	int64_t result;
	uint64_t src_offset;
	int32_t src_fd;
	uint32_t extra;
	uint64_t dev;
	uint64_t ino;
};

_Static_assert(sizeof(struct io_record_head) == 16, "layout of a record");
_Static_assert(sizeof(struct io_record_entry) == 88, "layout of an entry");

/**
 * io_record_start() - put a recorder in front of a back end
 * @be: started; replaced on success by one that owns it
 * @path: the record, a file that does not exist yet; stays valid
 * @say: told in one line if the record has to end early; any thread
 *
 * Only the owner may read the record: it holds what the guest writes. The back
 * end waits for the record to be written. Where that fails, it goes on alone.
 *
 * Return: 0 or a negative errno, and @be as it was.
 */
int io_record_start(struct io_backend **be, const char *path,
		    void (*say)(const char *line));

/**
 * io_record_share() - put a recorder in front of a second back end
 * @be: as for io_record_start()
 * @recorder: what that made; both write to one record, until both have stopped
 *
 * Return: 0 or a negative errno, and @be as it was.
 */
int io_record_share(struct io_backend **be, struct io_backend *recorder);

#endif
