// SPDX-License-Identifier: GPL-2.0-only
/*
 * moo dump - a COW file as text.
 *
 * Duty: everything that a file says and owns, in the form of text.h. Its parent
 * is not opened.
 *
 * Invariant: where blocks lie in the file has no influence on the text.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runs.h"
#include "text.h"

static const struct moo_use uses[] = {
	{ MOO_OPT_SHARE, "although a running machine writes to FILE; its data may\n"
			 "then be of different times" },
	{ MOO_OPT_FORCE, "replace TEXT if it exists" },
};

enum kind { KIND_NONE, KIND_DATA, KIND_HOLE, KIND_ZERO };

/**
 * struct dump - a text on its way
 * @kind: of the sectors that were written last
 * @first: the first of them
 * @next: the one behind them
 * @crc: over their data
 * @buf: data
 */
struct dump {
	FILE *out;
	const struct moo_probe *probe;
	struct moo_runs runs;
	enum kind kind;
	uint64_t first;
	uint64_t next;
	uint32_t crc;
	uint8_t *buf;
};

/* ---- what it says ------------------------------------------------------ */

static void show_fields(FILE *out, const struct moo_text *text,
			const struct text_field *field)
{
	for (; field->name; field++)
		moo_text_show(out, text, field);
}

static int show_header(struct dump *dump, struct cow_error *err)
{
	const struct moo_probe *p = dump->probe;
	struct moo_text *text = calloc(1, sizeof(*text));

	if (!text)
		return moo_fail(err, -ENOMEM, "%s: out of memory", p->name);
	text->hdr = p->hdr;
	text->hdr.v4 = dump->runs.v4;
	/* Where its pages lie, like all places, is the file's own matter. */
	if (cow_v4_sealed(&text->hdr.v4))
		cow_v4_unseal(&text->hdr.v4);
	text->record = p->record;
	text->recorded = p->hdr.format != COW_V4 &&
			 (p->record.state || p->record.self.ino);
	fprintf(dump->out, TEXT_MAGIC "\nformat = %d\n", p->hdr.format);
	show_fields(dump->out, text, moo_text_fields(p->hdr.format));
	show_fields(dump->out, text, moo_text_place(text));
	if (p->hdr.format != COW_V4)
		fprintf(dump->out, "record = %d\n", text->recorded);
	if (text->recorded)
		show_fields(dump->out, text, moo_text_fields(COW_RAW));
	free(text);
	return 0;
}

/* ---- what it owns ------------------------------------------------------ */

static void end_kind(struct dump *dump)
{
	unsigned long long count = dump->next - dump->first;

	if (dump->kind == KIND_DATA)
		fprintf(dump->out, "sum %llu %08x\n", count, dump->crc);
	else if (dump->kind != KIND_NONE)
		fprintf(dump->out, "%s %llu %llu\n",
			dump->kind == KIND_HOLE ? "hole" : "zero",
			(unsigned long long)dump->first, count);
	dump->kind = KIND_NONE;
}

/* @count sectors of @kind from @sector on come next. */
static void begin_kind(struct dump *dump, enum kind kind, uint64_t sector,
		       uint64_t count)
{
	if (dump->kind != kind || dump->next != sector) {
		end_kind(dump);
		dump->kind = kind;
		dump->first = sector;
		dump->crc = 0;
		if (kind == KIND_DATA)
			fprintf(dump->out, "data %llu\n",
				(unsigned long long)sector);
	}
	dump->next = sector + count;
}

static void show_sector(struct dump *dump, const uint8_t *sector)
{
	static const uint8_t zeros[COW_SECTOR_SIZE];
	char line[TEXT_SECTOR + 1];

	dump->crc = cow_crc32c(dump->crc, sector, COW_SECTOR_SIZE);
	if (memcmp(sector, zeros, COW_SECTOR_SIZE)) {
		moo_text_encode(sector, line);
		fprintf(dump->out, "%s\n", line);
	} else {
		fputs("0\n", dump->out);
	}
}

/* The next bytes of @run, @done of them apart: how many are in the buffer. */
static int64_t read_part(struct dump *dump, const struct cow_run *run,
			 uint64_t done, struct cow_error *err)
{
	const struct moo_probe *p = dump->probe;
	uint64_t len = (run->count << COW_SECTOR_SHIFT) - done;
	int64_t got;

	len = moo_min(len, MOO_BUFFER);
	got = p->env.io->pread(p->env.ctx, p->fd, dump->buf, len,
			       run->place + done);
	if (got == (int64_t)len)
		return got;
	return moo_fail(err, got < 0 ? got : -EIO,
			"%s: the data of sector %llu, which it owns, can not be read: %s",
			p->name, (unsigned long long)
			(run->sector + (done >> COW_SECTOR_SHIFT)),
			got < 0 ? strerror(-got) : "the file ends there");
}

static int show_data(struct dump *dump, const struct cow_run *run,
		     struct cow_error *err)
{
	uint64_t bytes = run->count << COW_SECTOR_SHIFT, done;
	int64_t got, at;

	begin_kind(dump, KIND_DATA, run->sector, run->count);
	for (done = 0; done < bytes; done += got) {
		got = read_part(dump, run, done, err);
		if (got < 0)
			return got;
		for (at = 0; at < got; at += COW_SECTOR_SIZE)
			show_sector(dump, dump->buf + at);
	}
	return 0;
}

/* Cut @run where a hole of the file begins or ends; answers if it is one. */
static bool split_at_hole(struct dump *dump, struct cow_run *run)
{
	const struct moo_probe *p = dump->probe;
	uint64_t end = run->place + (run->count << COW_SECTOR_SHIFT);
	off_t data, hole;

	/* What lies behind the file's end is no hole, but a fault. */
	if (end > p->st.size)
		return false;
	data = p->env.io->next_data(p->env.ctx, p->fd, run->place);
	if (data >= (off_t)(run->place + COW_SECTOR_SIZE)) {
		end = moo_min(end, data / COW_SECTOR_SIZE * COW_SECTOR_SIZE);
		run->count = (end - run->place) >> COW_SECTOR_SHIFT;
		return true;
	}
	hole = lseek(p->fd, run->place, SEEK_HOLE);
	if (hole > (off_t)run->place)
		end = moo_min(end, moo_round_up(hole, COW_SECTOR_SIZE));
	run->count = (end - run->place) >> COW_SECTOR_SHIFT;
	return false;
}

static int show_run(struct dump *dump, struct cow_run *run,
		    struct cow_error *err)
{
	switch (run->state) {
	case COW_ABSENT:
		return 0;
	case COW_ZERO:
		begin_kind(dump, KIND_ZERO, run->sector, run->count);
		return 0;
	case COW_DATA:
		if (!split_at_hole(dump, run))
			return show_data(dump, run, err);
		begin_kind(dump, KIND_HOLE, run->sector, run->count);
		return 0;
	}
	return 0;
}

static int show_all(struct dump *dump, struct moo_progress *progress,
		    struct cow_error *err)
{
	uint64_t sectors = dump->probe->device >> COW_SECTOR_SHIFT, at;
	struct cow_run run;
	int ret;

	for (at = 0; at < sectors && !ferror(dump->out); at += run.count) {
		moo_progress_at(progress, at << COW_SECTOR_SHIFT);
		if (moo_cancel_due())
			return moo_fail(err, -EINTR, "%s: cancelled",
					dump->probe->name);
		ret = moo_runs_at(&dump->runs, at, &run, err);
		if (!ret)
			ret = show_run(dump, &run, err);
		if (ret)
			return ret;
	}
	end_kind(dump);
	return 0;
}

static int show_owned(struct dump *dump, struct cow_error *err)
{
	struct moo_progress progress;
	int ret;

	moo_progress_begin(&progress, dump->probe->name, dump->probe->device);
	/* The text is on the terminal itself. */
	if (isatty(fileno(dump->out)))
		progress.on = false;
	ret = show_all(dump, &progress, err);
	moo_progress_end(&progress);
	return ret;
}

/* ---- all of it --------------------------------------------------------- */

/* A header of an image is not where the image's data is. */
static bool has_sectors(const struct moo_probe *p)
{
	return p->hdr.format != COW_V4 || p->hdr.v4.kind != COW_KIND_HEADER;
}

static int dump_runs(struct dump *dump, bool beside, struct cow_error *err)
{
	int ret;

	ret = moo_runs_begin(&dump->runs, dump->probe, beside, err);
	if (!ret)
		ret = show_header(dump, err);
	if (!ret && has_sectors(dump->probe))
		ret = show_owned(dump, err);
	moo_runs_end(&dump->runs);
	if (!ret)
		fputs("end\n", dump->out);
	return ret;
}

static int dump_probe(const struct moo_probe *probe, FILE *out, bool beside,
		      struct cow_error *err)
{
	struct dump dump = { .out = out, .probe = probe };
	int ret;

	if (probe->hdr.format == COW_RAW)
		return moo_fail(err, -EINVAL,
				"%s: a raw file, of which there is nothing to say; copy it",
				probe->name);
	dump.buf = malloc(MOO_BUFFER);
	if (!dump.buf)
		return moo_fail(err, -ENOMEM, "%s: out of memory", probe->name);
	ret = dump_runs(&dump, beside, err);
	free(dump.buf);
	return ret;
}

static int dump_to(const struct moo_args *args, FILE *out,
		   struct cow_error *err)
{
	struct moo_probe *probe;
	int ret;

	ret = moo_probe(args->file[0], false, args->share, &probe, err);
	if (ret)
		return ret;
	ret = dump_probe(probe, out, args->share, err);
	moo_probe_end(probe);
	return ret;
}

/* The stream has the new file's bytes once it is closed without an error. */
static int dump_to_output(const struct moo_args *args, struct moo_output *out,
			  struct cow_error *err)
{
	int fd = dup(out->fd);
	FILE *stream = fd < 0 ? NULL : fdopen(fd, "w");
	int ret;

	if (!stream) {
		ret = -errno;
		if (fd >= 0)
			close(fd);
		return moo_fail(err, ret, "%s: %s", out->path, strerror(-ret));
	}
	ret = dump_to(args, stream, err);
	if (fflush(stream) || ferror(stream))
		ret = ret ? ret : moo_fail(err, -EIO,
					   "%s: can not be written: %s",
					   out->path, strerror(errno));
	fclose(stream);
	return ret;
}

static int dump_to_file(const struct moo_args *args, struct cow_error *err)
{
	struct moo_output out;
	struct cow_env env;
	int ret;

	moo_host(&env);
	ret = moo_output_begin(&out, &env, args->file[1], args->force, NULL,
			       err);
	if (ret)
		return ret;
	moo_cancel_begin();
	ret = moo_output_raw(&out, err);
	if (!ret)
		ret = dump_to_output(args, &out, err);
	if (!ret)
		ret = moo_output_publish(&out, err);
	moo_output_end(&out);
	return ret;
}

static int run(const struct moo_args *args)
{
	struct cow_error err = { "" };
	int ret;

	if (args->files < 2 || !strcmp(args->file[1], "-"))
		ret = dump_to(args, stdout, &err);
	else
		ret = dump_to_file(args, &err);
	ret = moo_finish(ret, &err);
	if (ret)
		moo_cancel_end();
	return ret;
}

const struct moo_verb moo_dump = {
	.name = "dump",
	.synopsis = "[-U] [-f] FILE [TEXT]",
	.brief = "write a COW file as text",
	.text = "Write the COW file FILE as text: header, state, and what it owns. moo restore\n"
		"makes an equal file of it. TEXT is standard output if it is missing or -.",
	.uses = uses,
	.nuses = ARRAY_SIZE(uses),
	.min = 1,
	.max = 2,
	.run = run,
};
