// SPDX-License-Identifier: GPL-2.0-only
/*
 * A writer of JSON text: see ubd_json.h.
 *
 * Built against the C library, for the driver and for moo: it needs nothing of
 * the kernel.
 */
#include <stdio.h>
#include <string.h>

#include "ubd_json.h"

static void put_text(struct ubd_json *json, const char *text)
{
	json->put(json->out, text, strlen(text));
}

/* Length of the UTF-8 sequence at @s, 0 if it is none. */
static unsigned int utf8_length(const unsigned char *s)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	unsigned int len, i;
	uint32_t c;

	if (s[0] < 0x80)
		return 1;
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	len = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	c = s[0] & (0x7f >> len);
	for (i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return 0;
	return len;
}

static void put_escape(struct ubd_json *json, unsigned char c)
{
	char text[8];

	if (c == '"' || c == '\\')
		snprintf(text, sizeof(text), "\\%c", c);
	else
		snprintf(text, sizeof(text), "\\u%04x", c);
	put_text(json, text);
}

static void put_string(struct ubd_json *json, const char *text)
{
	unsigned int len;
	unsigned char c;

	put_text(json, "\"");
	for (; *text; text += len ? len : 1) {
		c = *text;
		len = utf8_length((const unsigned char *)text);
		if (!len)
			put_text(json, "\\ufffd");
		else if (c == '"' || c == '\\' || c < 0x20 || c == 0x7f)
			put_escape(json, c);
		else
			json->put(json->out, text, len);
	}
	put_text(json, "\"");
}

static void new_line(struct ubd_json *json)
{
	unsigned int i;

	put_text(json, "\n");
	for (i = 0; i < json->level; i++)
		put_text(json, "    ");
}

static void begin_value(struct ubd_json *json, const char *key)
{
	if (json->members)
		put_text(json, ",");
	if (json->level)
		new_line(json);
	json->members = true;
	if (!key)
		return;
	put_string(json, key);
	put_text(json, ": ");
}

static void put_bracket(struct ubd_json *json, char bracket)
{
	json->put(json->out, &bracket, 1);
}

void ubd_json_open(struct ubd_json *json, const char *key, char bracket)
{
	begin_value(json, key);
	put_bracket(json, bracket);
	json->level++;
	json->members = false;
}

void ubd_json_close(struct ubd_json *json, char bracket)
{
	json->level--;
	if (json->members)
		new_line(json);
	put_bracket(json, bracket);
	json->members = true;
	if (!json->level)
		put_text(json, "\n");
}

void ubd_json_string(struct ubd_json *json, const char *key, const char *value)
{
	begin_value(json, key);
	put_string(json, value);
}

void ubd_json_number(struct ubd_json *json, const char *key, uint64_t value)
{
	char digits[24];

	begin_value(json, key);
	snprintf(digits, sizeof(digits), "%llu", (unsigned long long)value);
	put_text(json, digits);
}

void ubd_json_bool(struct ubd_json *json, const char *key, bool value)
{
	begin_value(json, key);
	put_text(json, value ? "true" : "false");
}
