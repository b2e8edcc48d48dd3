// SPDX-License-Identifier: GPL-2.0-only
/*
 * moo protect - a file that nobody writes any more.
 *
 * Duty: the mark of a file of any version, set or lifted.
 *
 * Invariants: machines may read the file meanwhile, but nobody writes it, and
 * nobody else marks it. Its content, its time and its other states stay. One
 * header slot or one record is written, so that the mark is there or not.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "hold.h"
#include "record.h"

static const struct moo_use uses[] = {
	{ MOO_OPT_OFF, "lift the protection" },
	{ MOO_OPT_RAW, "FILE is raw data, whatever it begins with" },
};

static int mark_v4(const struct moo_hold *hold, bool on)
{
	struct cow_disk_v4 v4 = hold->probe->hdr.v4;

	v4.ro_compatible &= ~(uint64_t)COW_RO_PROTECTED;
	if (on)
		v4.ro_compatible |= COW_RO_PROTECTED;
	v4.generation++;
	return cow_v4_put_slot(&hold->env, hold->fd, &v4);
}

/* What the record says of another file does not become true of this one. */
static int mark_record(const struct moo_hold *hold, bool on)
{
	const struct moo_probe *p = hold->probe;
	struct cow_record *rec = malloc(sizeof(*rec));
	int ret;

	if (!rec)
		return -ENOMEM;
	*rec = p->record;
	rec->self = p->st.id;
	rec->state = p->state & ~COW_IS_PROTECTED;
	memcpy(rec->successor, p->successor, sizeof(rec->successor));
	if (on)
		rec->state |= COW_IS_PROTECTED;
	if (rec->state)
		ret = cow_record_store(&hold->env, hold->fd, p->path, rec);
	else
		ret = cow_record_remove(&hold->env, hold->fd, p->path);
	free(rec);
	return ret;
}

static int mark(const struct moo_hold *hold, bool on, struct cow_error *err)
{
	const struct moo_probe *p = hold->probe;
	bool is_on = p->state & COW_IS_PROTECTED;
	int ret;

	if (is_on == on)
		return 0;
	ret = p->hdr.format == COW_V4 ? mark_v4(hold, on) :
					mark_record(hold, on);
	return ret ? moo_hold_failed(hold, ret, err) : 0;
}

static int refuse(const struct moo_probe *p, struct cow_error *err)
{
	if (p->hdr.format == COW_V4 && p->hdr.v4.kind == COW_KIND_HEADER)
		return moo_fail(err, -EINVAL,
				"%s: the header of %s, which holds the data; protect that",
				p->name, p->hdr.parent);
	if (p->st.kind != IO_KIND_FILE && p->hdr.format != COW_V4)
		return moo_fail(err, -EOPNOTSUPP,
				"%s: a device keeps no state; let nobody write it by its permissions",
				p->name);
	return moo_hold_markable(p, true, err);
}

static int protect_file(const struct moo_args *args, const char *name,
			struct cow_error *err)
{
	struct moo_hold hold;
	int ret;

	ret = moo_hold_beside(&hold, name, args->raw, err);
	if (!ret)
		ret = refuse(hold.probe, err);
	if (!ret)
		ret = mark(&hold, !args->off, err);
	moo_hold_end(&hold);
	return ret;
}

/* One that can not be marked does not keep the others from it. */
static int run(const struct moo_args *args)
{
	struct cow_error err = { "" };
	int status = 0, i;

	for (i = 0; i < args->files; i++)
		if (moo_finish(protect_file(args, args->file[i], &err), &err))
			status = MOO_FAILED;
	return status;
}

const struct moo_verb moo_protect = {
	.name = "protect",
	.synopsis = "[--raw] FILE...\n"
		    "--off [--raw] FILE...",
	.brief = "let nobody write a file, nor merge into it",
	.text = "Mark FILE, raw or COW, so that nothing is merged into it, neither by moo nor\n"
		"by a running machine, whatever is forced; nor is it written in any other way.\n"
		"Layers can be put over it. Machines may read FILE meanwhile.",
	.uses = uses,
	.nuses = ARRAY_SIZE(uses),
	.min = 1,
	.max = INT_MAX,
	.run = run,
};
