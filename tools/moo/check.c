// SPDX-License-Identifier: GPL-2.0-only
/*
 * moo check - is a file sound?
 *
 * Duty: header, names and chain; the parts behind the header are looked at in
 * check_bitmap.c and check_v4.c. Exit codes and JSON are those of qemu-img
 * check.
 *
 * Invariant: nothing is written.
 */
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "check.h"
#include "json.h"

/* More lines than this help nobody. */
#define TELL	50

static const struct moo_use uses[] = {
	{ MOO_OPT_OUTPUT, "human (the default) or json, as qemu-img check has it" },
	{ MOO_OPT_SHARE, "look although a running machine writes to it; what is\n"
			 "found may then be no fault" },
};

void check_found(struct check *check, const char *format, ...)
{
	char text[256];
	va_list ap;

	if (check->corruptions++ >= TELL)
		return;
	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	moo_complain("%s: %s", check->probe->name, text);
}

int check_read(const struct check *check, void *buf, size_t len,
	       uint64_t offset, struct cow_error *err)
{
	const struct moo_probe *p = check->probe;
	int64_t got = p->env.io->pread(p->env.ctx, p->fd, buf, len, offset);

	if (got < 0)
		return moo_fail(err, got, "%s: can not be read at byte %llu: %s",
				p->name, (unsigned long long)offset,
				strerror(-got));
	memset((char *)buf + got, 0, len - got);
	return 0;
}

/* What the engine says of files; all else tells of the host's state. */
static bool is_finding(int error)
{
	switch (error) {
	case -EBADMSG:
	case -EINVAL:
	case -ELOOP:
	case -ENAMETOOLONG:
	case -ENOENT:
	case -ENOTSUP:
	case -ESTALE:
		return true;
	}
	return false;
}

static int check_chain(struct check *check, bool share, struct cow_error *err)
{
	struct cow_open_args open = {
		.name = check->probe->name,
		.read_only = true,
		.no_follow = true,
		.peek = share,
	};
	struct moo_chain chain;
	int ret;

	ret = moo_chain_open(&chain, &open, NULL, err);
	if (!ret) {
		moo_chain_close(&chain);
		return 0;
	}
	if (!is_finding(ret))
		return ret;
	moo_complain("%s", err->text);
	check->corruptions++;
	return 0;
}

static int check_file(struct check *check, bool share, struct cow_error *err)
{
	int ret;

	if (check->probe->hdr.format == COW_V4)
		ret = check_v4(check, err);
	else
		ret = check_bitmap(check, err);
	if (!ret)
		ret = check_chain(check, share, err);
	return ret;
}

/* ---- the report -------------------------------------------------------- */

static void show_json(const struct check *check)
{
	struct json json = { .out = stdout };

	json_open(&json, NULL, '{');
	json_string(&json, "filename", check->probe->name);
	json_string(&json, "format",
		    moo_format_name(check->probe->hdr.format));
	json_number(&json, "check-errors", 0);
	json_number(&json, "image-end-offset", check->end);
	json_number(&json, "corruptions", check->corruptions);
	json_number(&json, "leaks", check->leaks);
	json_number(&json, "total-clusters", check->total);
	json_number(&json, "allocated-clusters", check->allocated);
	json_number(&json, "fragmented-clusters", check->fragmented);
	json_close(&json, '}');
}

static double percent(uint64_t part, uint64_t all)
{
	return all ? 100.0 * part / all : 0;
}

static void show_text(const struct check *check)
{
	if (check->corruptions)
		printf("%llu errors were found; do not write to it.\n",
		       (unsigned long long)check->corruptions);
	if (check->leaks)
		printf("%llu blocks are used by nothing; moo convert leaves them out.\n",
		       (unsigned long long)check->leaks);
	if (!check->corruptions && !check->leaks)
		puts("No errors were found.");
	if (check->probe->hdr.tail_on_data)
		puts("Its last bits lie on data, so that it is read-only; moo convert mends that.");
	printf("%llu/%llu = %.2f%% allocated, %.2f%% fragmented\n",
	       (unsigned long long)check->allocated,
	       (unsigned long long)check->total,
	       percent(check->allocated, check->total),
	       percent(check->fragmented, check->allocated));
	printf("Image end offset: %llu\n", (unsigned long long)check->end);
}

/* The exit code for a file whose header was not even understood. */
static int refuse(int error, const struct cow_error *err)
{
	moo_complain("%s", err->text);
	switch (error) {
	case -ENOTSUP:
		return MOO_UNSUPPORTED;
	case -EINVAL:
	case -EBADMSG:
		return MOO_CORRUPT;
	}
	return MOO_FAILED;
}

static int verdict(const struct check *check)
{
	if (check->corruptions)
		return MOO_CORRUPT;
	return check->leaks ? MOO_LEAKS : MOO_OK;
}

static int report(const struct check *check, bool json)
{
	int status;

	if (json)
		show_json(check);
	else
		show_text(check);
	status = moo_finish(0, NULL);
	return status ? status : verdict(check);
}

static int check_probe(const struct moo_probe *probe,
		       const struct moo_args *args, struct cow_error *err)
{
	struct check check = { .probe = probe };
	int ret;

	if (probe->hdr.format == COW_RAW) {
		moo_complain("%s: a raw file; there is nothing to check",
			     probe->name);
		return MOO_UNSUPPORTED;
	}
	ret = check_file(&check, args->share, err);
	if (ret)
		return moo_finish(ret, err);
	return report(&check, args->json);
}

static int run(const struct moo_args *args)
{
	struct cow_error err = { "" };
	struct moo_probe *probe;
	int ret;

	ret = moo_probe(args->file[0], false, args->share, &probe, &err);
	if (ret)
		return refuse(ret, &err);
	ret = check_probe(probe, args, &err);
	moo_probe_end(probe);
	return ret;
}

const struct moo_verb moo_check = {
	.name = "check",
	.synopsis = "[-U] [--output=json] FILE",
	.brief = "look for faults in a layer; never writes",
	.text = "Look for faults in the layer FILE: header, index, and whether its parents are\n"
		"there and unchanged. Exit code 0: none; 1: could not look; 2: faults; 3: only\n"
		"space that is not used; 63: not a format that can be checked.",
	.uses = uses,
	.nuses = ARRAY_SIZE(uses),
	.min = 1,
	.max = 1,
	.run = run,
};
