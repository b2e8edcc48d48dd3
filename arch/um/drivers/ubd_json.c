// SPDX-License-Identifier: GPL-2.0-only
/*
 * A writer of JSON text: see ubd_json.h.
 */
#include <linux/kernel.h>
#include "ubd_json.h"

/* Length of the UTF-8 sequence at @s, 0 if it is none. */
static unsigned int utf8_length(const u8 *s)
{
	static const u32 least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	unsigned int len, i;
	u32 c;

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

static void put_string(struct seq_buf *out, const char *text)
{
	const u8 *s = (const u8 *)text;
	unsigned int len;

	seq_buf_putc(out, '"');
	while (*s) {
		len = utf8_length(s);
		if (!len)
			seq_buf_puts(out, "\\ufffd");
		else if (*s == '"' || *s == '\\')
			seq_buf_printf(out, "\\%c", *s);
		else if (*s < 0x20 || *s == 0x7f)
			seq_buf_printf(out, "\\u%04x", *s);
		else
			seq_buf_putmem(out, s, len);
		s += len ?: 1;
	}
	seq_buf_putc(out, '"');
}

static void new_line(struct ubd_json *json)
{
	if (json->level || json->out.len)
		seq_buf_printf(&json->out, "\n%*s", 4 * (int)json->level, "");
}

static void begin_value(struct ubd_json *json, const char *key)
{
	if (json->members)
		seq_buf_putc(&json->out, ',');
	new_line(json);
	json->members = true;
	if (!key)
		return;
	put_string(&json->out, key);
	seq_buf_puts(&json->out, ": ");
}

void ubd_json_open(struct ubd_json *json, const char *key, char bracket)
{
	begin_value(json, key);
	seq_buf_putc(&json->out, bracket);
	json->level++;
	json->members = false;
}

void ubd_json_close(struct ubd_json *json, char bracket)
{
	json->level--;
	if (json->members)
		new_line(json);
	seq_buf_putc(&json->out, bracket);
	json->members = true;
}

void ubd_json_string(struct ubd_json *json, const char *key, const char *value)
{
	begin_value(json, key);
	put_string(&json->out, value);
}

void ubd_json_number(struct ubd_json *json, const char *key, u64 value)
{
	begin_value(json, key);
	seq_buf_printf(&json->out, "%llu", value);
}

void ubd_json_bool(struct ubd_json *json, const char *key, bool value)
{
	begin_value(json, key);
	seq_buf_puts(&json->out, value ? "true" : "false");
}
