// SPDX-License-Identifier: GPL-2.0-only
/*
 * Duty: read the records that arch/um/drivers/cow/io_record.c makes.
 *
 *	iorec list RECORD		one line for each entry
 *	iorec compare RECORD CALLS	against what seam.c saw from outside
 *	iorec replay RECORD DIR		do it again, on the files in DIR
 *
 * To be compared, an operation becomes what is the same whatever number of
 * system calls it took: for each 512 bytes that were read, written (with their
 * content) or copied one item, and one for each sync, lock, name and so on. Both
 * sides' items are sorted, and have to be equal.
 *
 * Invariant: a record that is not sound is refused: no entry is cut off, none is
 * said to have begun after it was written, or to have ended before it began.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "../../../arch/um/drivers/cow/io_record.h"
#include "seam.h"

#define SECTOR	512u
#define FILES	4096
#define SHOWN	10

__attribute__((format(printf, 1, 2), noreturn))
static void die(const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "iorec: ");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\n");
	exit(2);
}

static const char *name_of(uint32_t op)
{
	static const char * const names[] = {
		[IO_RECORD_READ] = "read",
		[IO_RECORD_WRITE] = "write",
		[IO_RECORD_SYNC] = "sync",
		[IO_RECORD_PUNCH] = "punch",
		[IO_RECORD_ZERO] = "zero",
		[IO_RECORD_COPY] = "copy",
		[IO_RECORD_OPEN] = "open",
		[IO_RECORD_REOPEN] = "reopen",
		[IO_RECORD_CLOSE] = "close",
		[IO_RECORD_CREATE] = "create",
		[IO_RECORD_PUBLISH] = "publish",
		[IO_RECORD_REPLACE] = "replace",
		[IO_RECORD_UNLINK] = "unlink",
		[IO_RECORD_TRUNCATE] = "truncate",
		[IO_RECORD_LOCK] = "lock",
		[IO_RECORD_STAT] = "stat",
		[IO_RECORD_LOOKUP] = "lookup",
		[IO_RECORD_REALPATH] = "realpath",
		[IO_RECORD_GETATTR] = "getattr",
		[IO_RECORD_SETATTR] = "setattr",
		[IO_RECORD_NEXT_DATA] = "next_data",
		[SEAM_LINK] = "link",
		[SEAM_RENAME] = "rename",
		[SEAM_DIRSYNC] = "dirsync",
		[SEAM_OTHER] = "other",
	};

	if (op >= sizeof(names) / sizeof(*names) || !names[op])
		die("%u: no such operation", op);
	return names[op];
}

/* ---- reading ----------------------------------------------------------- */

struct input {
	const unsigned char *at;
	size_t left;
};

static struct input map_file(const char *name)
{
	struct input in = { 0 };
	struct stat st;
	int fd = open(name, O_RDONLY);

	if (fd < 0 || fstat(fd, &st))
		die("%s: %s", name, strerror(errno));
	in.left = (size_t)st.st_size;
	if (in.left)
		in.at = mmap(NULL, in.left, PROT_READ, MAP_PRIVATE, fd, 0);
	if (in.at == MAP_FAILED)
		die("%s: %s", name, strerror(errno));
	close(fd);
	return in;
}

static const void *take(struct input *in, size_t len)
{
	const void *at = in->at;

	if (in->left < len)
		die("an entry is cut off");
	in->at += len;
	in->left -= len;
	return at;
}

static struct input open_record(const char *name)
{
	struct input in = map_file(name);
	const struct io_record_head *head = take(&in, sizeof(*head));

	if (memcmp(head->magic, IO_RECORD_MAGIC, sizeof(head->magic)) ||
	    head->version != IO_RECORD_VERSION ||
	    head->entry_size != sizeof(struct io_record_entry))
		die("%s: not a record of version %u", name, IO_RECORD_VERSION);
	return in;
}

static const struct io_record_entry *next_entry(struct input *in, uint64_t n,
						const void **extra)
{
	const struct io_record_entry *entry;

	if (!in->left)
		return NULL;
	entry = take(in, sizeof(*entry));
	*extra = take(in, entry->extra);
	take(in, -entry->extra & 7);
	if (entry->after > n || entry->done < entry->begun)
		die("entry %llu began later than it ended",
		    (unsigned long long)n);
	name_of(entry->op);
	return entry;
}

static int cmd_list(char **argv)
{
	struct input in = open_record(argv[0]);
	const struct io_record_entry *entry;
	const void *extra;
	uint64_t n = 0;

	for (; (entry = next_entry(&in, n, &extra)); n++) {
		printf("%llu after %llu: %s fd %d offset %llu len %llu",
		       (unsigned long long)n, (unsigned long long)entry->after,
		       name_of(entry->op), entry->fd,
		       (unsigned long long)entry->offset,
		       (unsigned long long)entry->len);
		if (entry->op == IO_RECORD_COPY)
			printf(" from fd %d offset %llu", entry->src_fd,
			       (unsigned long long)entry->src_offset);
		printf(" = %lld\n", (long long)entry->result);
	}
	return 0;
}

/* ---- comparing --------------------------------------------------------- */

struct item {
	uint64_t op;
	uint64_t dev;
	uint64_t ino;
	uint64_t offset;
	uint64_t len;
	uint64_t hash;
};

struct items {
	struct item *item;
	size_t count;
	size_t room;
};

static uint64_t hash(const void *bytes, size_t len)
{
	const unsigned char *at = bytes;
	uint64_t sum = 0xcbf29ce484222325ull;

	while (len--)
		sum = (sum ^ *at++) * 0x100000001b3ull;
	return sum;
}

static void add(struct items *items, struct item item)
{
	if (items->count == items->room) {
		items->room = items->room ? 2 * items->room : 4096;
		items->item = realloc(items->item,
				      items->room * sizeof(*items->item));
		if (!items->item)
			die("no memory");
	}
	items->item[items->count++] = item;
}

/* One for each sector, or part of one; @data may be NULL. */
static void add_range(struct items *items, struct item item, uint64_t len,
		      const unsigned char *data)
{
	while (len) {
		item.len = SECTOR - item.offset % SECTOR;
		if (item.len > len)
			item.len = len;
		item.hash = data ? hash(data, item.len) : 0;
		add(items, item);
		item.offset += item.len;
		len -= item.len;
		if (data)
			data += item.len;
	}
}

static void add_name(struct items *items, uint32_t op, const char *name,
		     size_t len)
{
	struct item item = { .op = op, .hash = hash(name, len) };

	add(items, item);
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

struct identity {
	uint64_t dev;
	uint64_t ino;
};

static void add_durable_name(struct items *items,
			     const struct io_record_entry *entry,
			     const char *path)
{
	static const uint32_t ops[] = {
		[IO_RECORD_PUBLISH] = SEAM_LINK,
		[IO_RECORD_REPLACE] = SEAM_RENAME,
		[IO_RECORD_UNLINK] = IO_RECORD_UNLINK,
	};

	if (entry->result < 0)
		return;
	path = base_name(path);
	add_name(items, ops[entry->op], path, strlen(path));
	add(items, (struct item){ .op = SEAM_DIRSYNC });
}

static uint64_t moved(const struct io_record_entry *entry)
{
	return entry->op == IO_RECORD_READ ? (uint64_t)entry->result :
	       entry->len;
}

/* As io_host_lock() does it; the pin lies behind all that a file can hold. */
static void add_lock(struct items *items, struct item item, uint64_t lock)
{
	static const struct {
		uint64_t len;
		uint64_t offset;
	} locks[] = {
		[IO_UNLOCK] = { F_UNLCK, 0 },
		[IO_SHARED] = { F_RDLCK, 0 },
		[IO_EXCLUSIVE] = { F_WRLCK, 0 },
		[IO_PIN] = { F_RDLCK, 1ull << 62 },
		[IO_PINNED] = { SEAM_ASKED, 1ull << 62 },
		[IO_SEAL] = { F_WRLCK, (1ull << 62) + 1 },
		[IO_LIST] = { F_WRLCK, (1ull << 62) + 2 },
	};

	if (lock >= sizeof(locks) / sizeof(*locks))
		die("%llu: no such lock", (unsigned long long)lock);
	item.len = locks[lock].len;
	item.offset = locks[lock].offset;
	add(items, item);
}

static void add_entry(struct items *items, struct identity *files,
		      const struct io_record_entry *entry, const void *extra)
{
	struct item item = { .op = entry->op, .offset = entry->offset };

	if (entry->fd >= 0 && entry->fd < FILES) {
		item.dev = files[entry->fd].dev;
		item.ino = files[entry->fd].ino;
	}
	switch (entry->op) {
	case IO_RECORD_READ:
	case IO_RECORD_COPY:
		if (entry->result >= 0)
			add_range(items, item, moved(entry), NULL);
		break;
	case IO_RECORD_WRITE:
		if (entry->result >= 0)
			add_range(items, item, entry->len, extra);
		break;
	case IO_RECORD_OPEN:
	case IO_RECORD_REOPEN:
	case IO_RECORD_CREATE:
		if (entry->result < 0 || entry->result >= FILES)
			break;
		files[entry->result].dev = entry->dev;
		files[entry->result].ino = entry->ino;
		item.op = IO_RECORD_OPEN;
		item.dev = entry->dev;
		item.ino = entry->ino;
		add(items, item);
		break;
	case IO_RECORD_PUBLISH:
	case IO_RECORD_REPLACE:
	case IO_RECORD_UNLINK:
		add_durable_name(items, entry, extra);
		break;
	case IO_RECORD_SETATTR:
		if (entry->result < 0)
			break;
		item.len = entry->len;
		item.hash = hash(extra, entry->extra);
		add(items, item);
		item.op = IO_RECORD_SYNC;
		item.offset = 0;
		item.len = 1;
		item.hash = 0;
		add(items, item);
		break;
	case IO_RECORD_STAT:
	case IO_RECORD_LOOKUP:
	case IO_RECORD_REALPATH:
	case IO_RECORD_NEXT_DATA:
		break;
	case IO_RECORD_LOCK:
		add_lock(items, item, entry->len);
		break;
	default:
		item.len = entry->len;
		add(items, item);
	}
}

static void add_call(struct items *items, const struct seam_call *call,
		     const void *extra)
{
	struct item item = { .op = call->op, .dev = call->dev,
			     .ino = call->ino, .offset = call->offset };

	switch (call->op) {
	case IO_RECORD_READ:
	case IO_RECORD_COPY:
		if (call->result > 0)
			add_range(items, item, (uint64_t)call->result, NULL);
		break;
	case IO_RECORD_WRITE:
		add_range(items, item, (uint64_t)call->result, extra);
		break;
	case SEAM_LINK:
	case SEAM_RENAME:
	case IO_RECORD_UNLINK:
		add_name(items, call->op, extra, call->extra);
		break;
	case SEAM_DIRSYNC:
		add(items, (struct item){ .op = call->op });
		break;
	default:
		item.len = call->len;
		if (call->op == IO_RECORD_SETATTR)
			item.hash = hash(extra, call->extra);
		add(items, item);
	}
}

static uint64_t load_entries(struct items *items, const char *name)
{
	static struct identity files[FILES];
	struct input in = open_record(name);
	const struct io_record_entry *entry;
	const void *extra;
	uint64_t n = 0;

	for (; (entry = next_entry(&in, n, &extra)); n++)
		add_entry(items, files, entry, extra);
	return n;
}

static uint64_t load_calls(struct items *items, const char *name)
{
	struct input in = map_file(name);
	uint64_t n;

	for (n = 0; in.left; n++) {
		struct seam_call call;

		memcpy(&call, take(&in, sizeof(call)), sizeof(call));
		add_call(items, &call, take(&in, call.extra));
	}
	return n;
}

static int by_bytes(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct item));
}

static int differs(const struct item *item, const char *where)
{
	static int shown;

	if (shown++ < SHOWN)
		printf("only %s: %s inode %llu offset %llu len %lld\n", where,
		       name_of((uint32_t)item->op),
		       (unsigned long long)item->ino,
		       (unsigned long long)item->offset,
		       (long long)item->len);
	return 1;
}

static int cmd_compare(char **argv)
{
	struct items in = { 0 }, out = { 0 };
	uint64_t entries = load_entries(&in, argv[0]);
	uint64_t calls = load_calls(&out, argv[1]);
	size_t i = 0, o = 0, bad = 0;

	qsort(in.item, in.count, sizeof(*in.item), by_bytes);
	qsort(out.item, out.count, sizeof(*out.item), by_bytes);
	while (i < in.count || o < out.count) {
		int order = i == in.count ? 1 : -1;

		if (i < in.count && o < out.count)
			order = by_bytes(&in.item[i], &out.item[o]);
		if (order < 0)
			bad += differs(&in.item[i], "inside");
		if (order > 0)
			bad += differs(&out.item[o], "outside");
		i += order <= 0;
		o += order >= 0;
	}
	printf("%llu entries, %llu system calls, %zu items, %zu differ\n",
	       (unsigned long long)entries, (unsigned long long)calls,
	       in.count, bad);
	return bad || !in.count;
}

/* ---- replaying --------------------------------------------------------- */

static int replayed[FILES];
static int replay_dir;

static int file_of(int32_t fd)
{
	if (fd < 0 || fd >= FILES || !replayed[fd])
		die("%d: no such descriptor in the record", fd);
	return replayed[fd] - 1;
}

static void replay_open(const struct io_record_entry *entry, int fd)
{
	if (fd < 0 || entry->result >= FILES)
		die("descriptor %lld: %s", (long long)entry->result,
		    strerror(errno));
	replayed[entry->result] = fd + 1;
}

static int replay_write(const struct io_record_entry *entry, const char *data)
{
	uint64_t done = 0;

	while (done < entry->len) {
		ssize_t put = pwrite(file_of(entry->fd), data + done,
				     entry->len - done,
				     (off_t)(entry->offset + done));

		if (put <= 0)
			return -1;
		done += (uint64_t)put;
	}
	return 0;
}

static int replay_copy(const struct io_record_entry *entry)
{
	char *data = malloc(entry->len);
	ssize_t got;
	int ret;

	if (!data)
		return -1;
	got = pread(file_of(entry->src_fd), data, entry->len,
		    (off_t)entry->src_offset);
	ret = got == (ssize_t)entry->len ? replay_write(entry, data) : -1;
	free(data);
	return ret;
}

static int replay_clear(const struct io_record_entry *entry, int mode)
{
	return fallocate(file_of(entry->fd), mode, (off_t)entry->offset,
			 (off_t)entry->len);
}

static int replay_name(const struct io_record_entry *entry, const char *path)
{
	char link[32];

	if (entry->op == IO_RECORD_UNLINK)
		return unlinkat(replay_dir, base_name(path), 0);
	if (entry->op == IO_RECORD_REPLACE)
		unlinkat(replay_dir, base_name(path), 0);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", file_of(entry->fd));
	return linkat(AT_FDCWD, link, replay_dir, base_name(path),
		      AT_SYMLINK_FOLLOW);
}

static int replay_attr(const struct io_record_entry *entry, const void *value)
{
	const char *name = entry->offset == IO_ATTR_STATE ?
			   "user.moo" : "user.moo.children";
	int fd = file_of(entry->fd);

	if (entry->len)
		return fsetxattr(fd, name, value, entry->extra, 0);
	return fremovexattr(fd, name) && errno != ENODATA ? -1 : 0;
}

static int replay(const struct io_record_entry *entry, const void *extra)
{
	switch (entry->op) {
	case IO_RECORD_OPEN:
		replay_open(entry, openat(replay_dir, base_name(extra),
					  O_RDWR));
		return 0;
	case IO_RECORD_REOPEN:
		replay_open(entry, dup(file_of(entry->fd)));
		return 0;
	case IO_RECORD_CREATE:
		replay_open(entry, openat(replay_dir, ".", O_RDWR | O_TMPFILE,
					  0600));
		return 0;
	case IO_RECORD_CLOSE:
		close(file_of(entry->fd));
		replayed[entry->fd] = 0;
		return 0;
	case IO_RECORD_WRITE:
		return replay_write(entry, extra);
	case IO_RECORD_COPY:
		return replay_copy(entry);
	case IO_RECORD_PUNCH:
		return replay_clear(entry, FALLOC_FL_PUNCH_HOLE |
				    FALLOC_FL_KEEP_SIZE);
	case IO_RECORD_ZERO:
		return replay_clear(entry, FALLOC_FL_ZERO_RANGE);
	case IO_RECORD_TRUNCATE:
		return ftruncate(file_of(entry->fd), (off_t)entry->offset);
	case IO_RECORD_PUBLISH:
	case IO_RECORD_REPLACE:
	case IO_RECORD_UNLINK:
		return replay_name(entry, extra);
	case IO_RECORD_SETATTR:
		return replay_attr(entry, extra);
	}
	return 0;
}

static int cmd_replay(char **argv)
{
	struct input in = open_record(argv[0]);
	const struct io_record_entry *entry;
	const void *extra;
	uint64_t n = 0, written = 0;

	replay_dir = open(argv[1], O_RDONLY | O_DIRECTORY);
	if (replay_dir < 0)
		die("%s: %s", argv[1], strerror(errno));
	for (; (entry = next_entry(&in, n, &extra)); n++) {
		if (entry->result < 0)
			continue;
		if (replay(entry, extra))
			die("entry %llu: %s: %s", (unsigned long long)n,
			    name_of(entry->op), strerror(errno));
		if (entry->op == IO_RECORD_WRITE || entry->op == IO_RECORD_COPY)
			written += entry->len;
	}
	printf("%llu entries, %llu bytes written\n", (unsigned long long)n,
	       (unsigned long long)written);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "list"))
		return cmd_list(argv + 2);
	if (argc == 4 && !strcmp(argv[1], "compare"))
		return cmd_compare(argv + 2);
	if (argc == 4 && !strcmp(argv[1], "replay"))
		return cmd_replay(argv + 2);
	fprintf(stderr, "usage: iorec list RECORD\n"
			"       iorec compare RECORD CALLS\n"
			"       iorec replay RECORD DIR\n");
	return 2;
}
