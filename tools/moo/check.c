// SPDX-License-Identifier: GPL-2.0-only
/*
 * moo check - is a file sound?
 *
 * Duty: header, names and chain; the parts behind the header are looked at in
 * check_bitmap.c, check_v4.c, check_seal.c and check_list.c, and mended in
 * repair.c. Exit codes and JSON are those of qemu-img check.
 *
 * Invariant: nothing is written without -r.
 */
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "check.h"
#include "ubd_json.h"

/* More lines than this help nobody. */
#define TELL	50

static const struct moo_use uses[] = {
	{ MOO_OPT_DATA, "FILE is sealed: compare its data, too" },
	{ MOO_OPT_OUTPUT, "human (the default) or json, as qemu-img check has it" },
	{ MOO_OPT_REPAIR, "leaks: give back what nothing uses;\n"
			  "all: mend also all else that can be mended without\n"
			  "changing what the machine reads" },
	{ MOO_OPT_SHARE, "look although a running machine writes to it; what is\n"
			 "found may then be no fault" },
};

void check_found(struct check *check, enum check_mend mend,
		 const char *format, ...)
{
	char text[256];
	va_list ap;

	check->mend |= mend;
	if (mend == CHECK_LASTS)
		check->lasting++;
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
	case -EISDIR:
	case -ELOOP:
	case -ENAMETOOLONG:
	case -ENOENT:
	case -ENOTDIR:
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
	check->chain = true;
	return 0;
}

/* Only a frozen layer has a successor, and it always does. */
static void check_state(struct check *check)
{
	const struct moo_probe *p = check->probe;

	if (p->state & COW_IS_FROZEN && !p->successor[0])
		check_found(check, CHECK_LASTS,
			    "is frozen, yet names no successor");
}

int check_file(struct check *check, bool beside, struct cow_error *err)
{
	int ret;

	check_state(check);
	if (check->probe->hdr.format == COW_V4)
		ret = check_v4(check, err);
	else
		ret = check_bitmap(check, err);
	if (!ret)
		ret = check_chain(check, beside, err);
	return ret;
}

void check_end(struct check *check)
{
	const struct check_map *map = &check->map;

	if (!check->probe)
		return;
	check->probe->env.free(map->used, map->blocks / 8 + 1);
	check->probe->env.free(map->listed, map->blocks / 8 + 1);
}

/* ---- the report -------------------------------------------------------- */

static void show_json(const struct check *check)
{
	struct ubd_json json = { .put = moo_print, .out = stdout };

	ubd_json_open(&json, NULL, '{');
	ubd_json_string(&json, "filename", check->probe->name);
	ubd_json_string(&json, "format",
			moo_format_name(check->probe->hdr.format));
	ubd_json_number(&json, "check-errors", 0);
	ubd_json_number(&json, "image-end-offset", check->end);
	ubd_json_number(&json, "corruptions", check->corruptions);
	ubd_json_number(&json, "leaks", check->leaks);
	if (check->data) {
		ubd_json_number(&json, "verified-clusters", check->verified);
		ubd_json_number(&json, "bad-clusters", check->bad);
	}
	if (check->fixed) {
		ubd_json_number(&json, "corruptions-fixed",
				check->corruptions_fixed);
		ubd_json_number(&json, "leaks-fixed", check->leaks_fixed);
	}
	ubd_json_number(&json, "total-clusters", check->total);
	ubd_json_number(&json, "allocated-clusters", check->allocated);
	ubd_json_number(&json, "fragmented-clusters", check->fragmented);
	ubd_json_close(&json, '}');
}

static double percent(uint64_t part, uint64_t all)
{
	return all ? 100.0 * part / all : 0;
}

/* What there is to say of @check->corruptions. */
static const char *advice(const struct check *check)
{
	if (check->lasting || !(check->mend & ~CHECK_SLOT))
		return "do not write to it";
	return "moo check -r all mends what is wrong in it";
}

/* Blocks that a damaged index has are nobody's until it is read. */
static const char *of_leaks(const struct check *check)
{
	if (check->lasting)
		return " that can be read";
	if (check->mend & ~CHECK_SLOT)
		return "";
	return "; moo check -r leaks gives them back";
}

static void show_fixed(const struct check *check)
{
	if (!check->corruptions_fixed && !check->leaks_fixed)
		return;
	puts("The following inconsistencies were found and repaired:\n");
	printf("    %llu leaked clusters\n",
	       (unsigned long long)check->leaks_fixed);
	printf("    %llu corruptions\n\n",
	       (unsigned long long)check->corruptions_fixed);
	puts("The repaired file was looked at again:");
}

static void show_data(const struct check *check)
{
	printf("%llu blocks of data were held against the seal; ",
	       (unsigned long long)check->verified);
	printf("%llu are not what was sealed.\n",
	       (unsigned long long)check->bad);
}

static void show_text(const struct check *check)
{
	show_fixed(check);
	if (check->corruptions)
		printf("%llu errors were found; %s.\n",
		       (unsigned long long)check->corruptions, advice(check));
	if (check->leaks)
		printf("%llu blocks are used by nothing%s.\n",
		       (unsigned long long)check->leaks, of_leaks(check));
	if (!check->corruptions && !check->leaks)
		puts("No errors were found.");
	if (check->data)
		show_data(check);
	if (check->torn)
		puts("One of its header slots is torn, as by a crash; the other one is in force.");
	if (check->probe->hdr.tail_on_data)
		puts("Its last bits lie on data, so that it is read-only; moo convert mends that.");
	printf("%llu/%llu = %.2f%% allocated, %.2f%% fragmented\n",
	       (unsigned long long)check->allocated,
	       (unsigned long long)check->total,
	       percent(check->allocated, check->total),
	       percent(check->fragmented, check->allocated));
	printf("Image end offset: %llu\n", (unsigned long long)check->end);
}

int check_refuse(int error, const struct cow_error *err)
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

/* What looks like a second header may be a guest's data: it is only told of. */
int check_raw(const struct moo_probe *probe)
{
	uint8_t magic[4];
	int64_t got = probe->env.io->pread(probe->env.ctx, probe->fd, magic,
					   sizeof(magic), COW_BLOCK_SIZE);

	if (got == sizeof(magic) && cow_is_magic(magic))
		moo_complain("%s: a raw file, or a V4 file whose byte 0 was overwritten",
			     probe->name);
	else
		moo_complain("%s: a raw file; there is nothing to check",
			     probe->name);
	return MOO_UNSUPPORTED;
}

int check_refuse_data(const struct moo_probe *p, const struct moo_args *args,
		      struct cow_error *err)
{
	if (!args->data || (p->hdr.format == COW_V4 &&
			    cow_v4_sealed(&p->hdr.v4)))
		return 0;
	return moo_fail(err, -ENODATA,
			"%s: is not sealed, so there is nothing to hold its data against; moo seal does that",
			p->name);
}

static int check_probe(const struct moo_probe *probe,
		       const struct moo_args *args, struct cow_error *err)
{
	struct check check = {
		.probe = probe,
		.share = args->share,
		.data = args->data,
	};
	int ret;

	if (probe->hdr.format == COW_RAW)
		return check_raw(probe);
	ret = check_refuse_data(probe, args, err);
	if (ret)
		return moo_finish(ret, err);
	ret = check_file(&check, args->share, err);
	if (ret)
		ret = moo_finish(ret, err);
	else
		ret = report(&check, args->json);
	check_end(&check);
	return ret;
}

static int look(const struct moo_args *args)
{
	struct cow_error err = { "" };
	struct moo_probe *probe;
	int ret;

	ret = moo_probe(args->file[0], false, args->share, &probe, &err);
	if (ret)
		return check_refuse(ret, &err);
	ret = check_probe(probe, args, &err);
	moo_probe_end(probe);
	return ret;
}

static int run(const struct moo_args *args)
{
	if (!args->repair)
		return look(args);
	if (!args->share)
		return check_repair(args, report);
	moo_complain("%s: -r writes to it, which -U does not allow for; give one of them",
		     args->file[0]);
	return MOO_FAILED;
}

const struct moo_verb moo_check = {
	.name = "check",
	.synopsis = "[-U] [--data] [--output=json] FILE\n"
		    "-r leaks|all [--data] [--output=json] FILE",
	.brief = "look for faults in a layer; -r mends some of them",
	.text = "Look for faults in the layer FILE: header, index, and whether its parents are\n"
		"there and unchanged. Nothing is written without -r. Exit code 0: none; 1: could\n"
		"not look, or not write; 2: faults; 3: only space that is not used; 63: not a\n"
		"format that can be checked. With -r it is about what is left.",
	.uses = uses,
	.nuses = ARRAY_SIZE(uses),
	.min = 1,
	.max = 1,
	.run = run,
};
