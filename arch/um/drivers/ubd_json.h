/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A writer of JSON text.
 *
 * Duty: commas, indentation and escapes, as in tools/moo/json.c. Invariant: what
 * comes out is valid JSON in UTF-8, whatever bytes a file name holds, unless
 * the buffer was too short: see seq_buf_has_overflowed().
 */
#ifndef UBD_JSON_H
#define UBD_JSON_H

#include <linux/seq_buf.h>
#include <linux/types.h>

/**
 * struct ubd_json - a text being written
 * @out: where to
 * @level: how many brackets are open
 * @members: something stands in the innermost one
 */
struct ubd_json {
	struct seq_buf out;
	unsigned int level;
	bool members;
};

/* In an array, or at the top, @key is NULL. */
void ubd_json_open(struct ubd_json *json, const char *key, char bracket);
void ubd_json_close(struct ubd_json *json, char bracket);
void ubd_json_string(struct ubd_json *json, const char *key,
		     const char *value);
void ubd_json_number(struct ubd_json *json, const char *key, u64 value);
void ubd_json_bool(struct ubd_json *json, const char *key, bool value);

#endif
