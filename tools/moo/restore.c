// SPDX-License-Identifier: GPL-2.0-only
/*
 * moo restore - a COW file from its text.
 *
 * Duty: read the form of text.h strictly, and have the file built.
 *
 * Invariants: a file bears its name only if all of the text was understood, its
 * sums were right and it had its end. What the text says of the file's size
 * costs no memory.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "build.h"
#include "lines.h"
#include "record.h"
#include "text.h"

/* Sectors of a hole that are built without looking for signals. */
#define PART	0x100000u

static const struct moo_use uses[] = {
	{ MOO_OPT_FORCE, "replace FILE if it exists and is neither in use nor\n"
			 "frozen" },
};

/**
 * struct restore - a file on its way
 * @env: what it lives in
 * @out: where it goes
 * @next: first sector that was not spoken of
 * @sectors: how many there are
 * @progress: through them
 */
struct restore {
	struct cow_env env;
	struct moo_output out;
	struct cow_error *err;
	struct moo_lines lines;
	struct moo_text text;
	struct moo_build build;
	uint64_t next;
	uint64_t sectors;
	struct moo_progress progress;
};

/* ---- lines ------------------------------------------------------------- */

/* There has to be another one. */
static int next_line(struct restore *res, char **text)
{
	int ret = moo_lines_next(&res->lines, text, res->err);

	if (ret || *text)
		return ret;
	return moo_fail(res->err, -EINVAL,
			"%s: line %lu: the text ends here, without \"end\"",
			res->lines.name, res->lines.number);
}

/* The value in a line "name = value". */
static int next_value(struct restore *res, const char *name, char **value)
{
	size_t len = strlen(name);
	int ret = next_line(res, value);

	if (ret)
		return ret;
	if (strncmp(*value, name, len) || strncmp(*value + len, " = ", 3))
		return moo_lines_bad(&res->lines, res->err,
				     "\"%s = \" is missing here", name);
	*value += len + 3;
	return 0;
}

static int next_number(struct restore *res, const char *name, uint64_t max,
		       uint64_t *number)
{
	char *value;
	int ret = next_value(res, name, &value);

	if (ret)
		return ret;
	if (moo_text_number(value, number, NULL) || *number > max)
		return moo_lines_bad(&res->lines, res->err,
				     "%s is no number up to %llu", name,
				     (unsigned long long)max);
	return 0;
}

static int take_fields(struct restore *res, const struct text_field *field)
{
	char *value;
	int ret;

	for (; field->name; field++) {
		ret = next_value(res, field->name, &value);
		if (ret)
			return ret;
		if (moo_text_take(&res->text, field, value))
			return moo_lines_bad(&res->lines, res->err,
					     "%s has a wrong value",
					     field->name);
	}
	return 0;
}

/* ---- header ------------------------------------------------------------ */

static int take_magic(struct restore *res)
{
	char *text;
	int ret = next_line(res, &text);

	if (ret || !strcmp(text, TEXT_MAGIC))
		return ret;
	return moo_lines_bad(&res->lines, res->err,
			     "it is not \"" TEXT_MAGIC "\", with which a text begins");
}

static int take_record(struct restore *res)
{
	uint64_t recorded;
	int ret = next_number(res, "record", 1, &recorded);

	if (ret || !recorded)
		return ret;
	res->text.recorded = true;
	ret = take_fields(res, moo_text_fields(COW_RAW));
	if (ret || !(res->text.record.state & ~COW_RECORD_STATES))
		return ret;
	return moo_lines_bad(&res->lines, res->err,
			     "the record above has a state that does not exist");
}

static int take_header(struct restore *res)
{
	struct cow_header *hdr = &res->text.hdr;
	uint64_t format = 0;
	int ret;

	ret = take_magic(res);
	if (!ret)
		ret = next_number(res, "format", COW_V4, &format);
	if (!ret && !format)
		ret = moo_lines_bad(&res->lines, res->err,
				    "a raw file has no text");
	if (ret)
		return ret;
	hdr->format = format;
	ret = take_fields(res, moo_text_fields(hdr->format));
	if (!ret)
		ret = take_fields(res, moo_text_place(&res->text));
	if (!ret && hdr->format != COW_V4)
		ret = take_record(res);
	if (hdr->format == COW_V4)
		hdr->size = hdr->v4.size;
	res->sectors = moo_round_up(hdr->size, COW_SECTOR_SIZE) >>
		       COW_SECTOR_SHIFT;
	return ret;
}

/* ---- what it owns ------------------------------------------------------ */

static int failed(struct restore *res, int ret)
{
	return moo_fail(res->err, ret, "%s: can not be written: %s",
			res->out.path, strerror(-ret));
}

/* A text can ask for more than anybody waits for. */
static int build_own(struct restore *res, uint64_t sector, uint64_t count,
		     enum cow_run_state state, const uint8_t *data)
{
	uint64_t part;
	int ret = 0;

	for (; !ret && count; count -= part, sector += part) {
		if (!data && moo_cancel_due())
			return -EINTR;
		part = moo_min(count, PART);
		ret = moo_build_own(&res->build, sector, part, state, data);
	}
	return ret;
}

static int own(struct restore *res, uint64_t sector, uint64_t count,
	       enum cow_run_state state, const uint8_t *data)
{
	int ret;

	if (sector < res->next)
		return moo_lines_bad(&res->lines, res->err,
				     "sector %llu comes after a later one",
				     (unsigned long long)sector);
	if (!count || sector >= res->sectors || count > res->sectors - sector)
		return moo_lines_bad(&res->lines, res->err,
				     "there are only %llu sectors",
				     (unsigned long long)res->sectors);
	moo_progress_at(&res->progress, sector << COW_SECTOR_SHIFT);
	res->next = sector + count;
	ret = build_own(res, sector, count, state, data);
	if (ret == -EINTR)
		return moo_cancel(res->out.path, res->err);
	if (ret == -EINVAL)
		return moo_lines_bad(&res->lines, res->err,
				     "a file of this format can not own that");
	return ret ? failed(res, ret) : 0;
}

static int check_sum(struct restore *res, const char *text, uint64_t count,
		     uint32_t crc)
{
	char want[64];

	snprintf(want, sizeof(want), "%llu %08x", (unsigned long long)count,
		 crc);
	if (count && !strcmp(text, want))
		return 0;
	return moo_lines_bad(&res->lines, res->err,
			     "the data above has not this sum");
}

/* Lines of data, up to their sum. */
static int take_data(struct restore *res, const char *text)
{
	uint8_t data[COW_SECTOR_SIZE];
	uint64_t sector, first;
	uint32_t crc = 0;
	char *line;
	int ret;

	if (moo_text_number(text, &first, NULL))
		return moo_lines_bad(&res->lines, res->err,
				     "\"data SECTOR\" needs a number");
	for (sector = first;; sector++) {
		ret = next_line(res, &line);
		if (ret)
			return ret;
		if (!strncmp(line, "sum ", 4))
			return check_sum(res, line + 4, sector - first, crc);
		memset(data, 0, sizeof(data));
		if (strcmp(line, "0") && moo_text_decode(line, data))
			return moo_lines_bad(&res->lines, res->err,
					     "it is neither a sector in base64 nor a sum");
		ret = own(res, sector, 1, COW_DATA, data);
		if (ret)
			return ret;
		crc = cow_crc32c(crc, data, sizeof(data));
	}
}

/* "SECTOR COUNT" without data. */
static int take_range(struct restore *res, enum cow_run_state state,
		      const char *text)
{
	uint64_t sector, count;

	if (moo_text_number(text, &sector, &text) || *text != ' ' ||
	    moo_text_number(text + 1, &count, NULL))
		return moo_lines_bad(&res->lines, res->err,
				     "it needs \"SECTOR COUNT\"");
	return own(res, sector, count, state, NULL);
}

static int take_run(struct restore *res, const char *text)
{
	if (!strncmp(text, "data ", 5))
		return take_data(res, text + 5);
	if (!strncmp(text, "hole ", 5))
		return take_range(res, COW_DATA, text + 5);
	if (!strncmp(text, "zero ", 5))
		return take_range(res, COW_ZERO, text + 5);
	return moo_lines_bad(&res->lines, res->err,
			     "it is neither data, hole, zero nor end");
}

static int take_runs(struct restore *res)
{
	char *text;
	int ret;

	for (;;) {
		ret = next_line(res, &text);
		if (ret)
			return ret;
		if (!strcmp(text, "end"))
			break;
		ret = take_run(res, text);
		if (ret)
			return ret;
	}
	if (res->text.hdr.format == COW_V4 &&
	    res->text.hdr.v4.owned != res->build.owned)
		return moo_lines_bad(&res->lines, res->err,
				     "%llu sectors are owned above, and not %llu as the header says",
				     (unsigned long long)res->build.owned,
				     (unsigned long long)
				     res->text.hdr.v4.owned);
	ret = moo_lines_next(&res->lines, &text, res->err);
	if (!ret && text)
		ret = moo_lines_bad(&res->lines, res->err,
				    "nothing may follow \"end\"");
	return ret;
}

/* ---- the file ---------------------------------------------------------- */

static int begin_build(struct restore *res)
{
	const char *why = NULL;
	int ret;

	ret = moo_build_begin(&res->build, res->out.env, res->out.fd,
			      &res->text.hdr, &why);
	if (ret == -EINVAL || ret == -ENOTSUP)
		return moo_lines_bad(&res->lines, res->err,
				     "the header above is none: %s",
				     why ? why : strerror(-ret));
	return ret ? failed(res, ret) : 0;
}

static int end_build(struct restore *res)
{
	const struct moo_text *text = &res->text;
	int ret = moo_build_end(&res->build, text->record.successor);

	if (!ret && text->recorded)
		ret = cow_record_store(res->out.env, res->out.fd,
				       res->out.path, &text->record);
	return ret ? failed(res, ret) : 0;
}

static int restore_text(struct restore *res)
{
	int ret = take_header(res);

	if (ret)
		return ret;
	ret = begin_build(res);
	moo_progress_begin(&res->progress, res->out.path,
			   res->sectors << COW_SECTOR_SHIFT);
	if (!ret)
		ret = take_runs(res);
	moo_progress_end(&res->progress);
	if (!ret)
		ret = end_build(res);
	moo_build_free(&res->build);
	return ret;
}

/* A record that stands beside the file has its name already. */
static int publish(struct restore *res)
{
	const struct cow_header *hdr = &res->text.hdr;
	int ret;

	if (hdr->parent[0] && (hdr->format != COW_V4 ||
			       hdr->v4.kind != COW_KIND_HEADER))
		res->out.parent = hdr->parent;
	ret = moo_output_publish(&res->out, res->err);
	if (ret && res->text.recorded)
		cow_record_remove(res->out.env, res->out.fd, res->out.path);
	return ret;
}

static int restore_lines(struct restore *res, const struct moo_args *args)
{
	int ret;

	moo_host(&res->env);
	ret = moo_output_begin(&res->out, &res->env, args->file[1],
			       args->force, NULL, res->err);
	if (ret)
		return ret;
	moo_cancel_begin();
	ret = moo_output_raw(&res->out, res->err);
	if (!ret)
		ret = restore_text(res);
	if (!ret)
		ret = publish(res);
	moo_output_end(&res->out);
	return ret;
}

static int restore(const struct moo_args *args, struct cow_error *err)
{
	struct restore *res = calloc(1, sizeof(*res));
	int ret;

	if (!res)
		return moo_fail(err, -ENOMEM, "%s: out of memory",
				args->file[1]);
	res->err = err;
	ret = moo_lines_open(&res->lines, args->file[0], err);
	if (!ret)
		ret = restore_lines(res, args);
	moo_lines_close(&res->lines);
	free(res);
	return ret;
}

static int run(const struct moo_args *args)
{
	struct cow_error err = { "" };
	int ret = moo_finish(restore(args, &err), &err);

	if (ret)
		moo_cancel_end();
	return ret;
}

const struct moo_verb moo_restore = {
	.name = "restore",
	.synopsis = "[-f] TEXT FILE",
	.brief = "make a COW file from what moo dump wrote",
	.text = "Make the COW file FILE from TEXT, which moo dump wrote; - is standard input. Its\n"
		"parent need not be there.",
	.uses = uses,
	.nuses = ARRAY_SIZE(uses),
	.min = 2,
	.max = 2,
	.run = run,
};
