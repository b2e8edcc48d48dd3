/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A writer of JSON text.
 *
 * Duty: commas, indentation and escapes. Invariant: what comes out is valid
 * JSON in UTF-8, whatever bytes a file name holds.
 */
#ifndef MOO_JSON_H
#define MOO_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/**
 * struct json - a text being written
 * @out: where to
 * @level: how many brackets are open
 * @members: something stands in the innermost one
 */
struct json {
	FILE *out;
	unsigned int level;
	bool members;
};

/* In an array, or at the top, @key is NULL. */
void json_open(struct json *json, const char *key, char bracket);
void json_close(struct json *json, char bracket);
void json_string(struct json *json, const char *key, const char *value);
void json_number(struct json *json, const char *key, uint64_t value);
void json_bool(struct json *json, const char *key, bool value);

#endif
