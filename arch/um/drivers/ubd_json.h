/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A writer of JSON text.
 *
 * Duty: commas, indentation and escapes, for the driver and for moo. Invariant:
 * what comes out is valid JSON in UTF-8, whatever bytes a file name holds.
 */
#ifndef UBD_JSON_H
#define UBD_JSON_H

#include "cow/cow.h"

/**
 * struct ubd_json - a text being written
 * @put: takes the next bytes of it
 * @out: for @put
 * @level: how many brackets are open; not 0 to begin with if the text is a part
 *	of another, and else a line ends with the last one
 * @members: something stands in the innermost one
 */
struct ubd_json {
	void (*put)(void *out, const char *bytes, size_t len);
	void *out;
	unsigned int level;
	bool members;
};

/* In an array, or at the top, @key is NULL. */
void ubd_json_open(struct ubd_json *json, const char *key, char bracket);
void ubd_json_close(struct ubd_json *json, char bracket);
void ubd_json_string(struct ubd_json *json, const char *key,
		     const char *value);
void ubd_json_number(struct ubd_json *json, const char *key, uint64_t value);
void ubd_json_bool(struct ubd_json *json, const char *key, bool value);

#endif
