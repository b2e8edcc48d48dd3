// SPDX-License-Identifier: GPL-2.0-only
/*
 * The writer of JSON: what it makes of any bytes, of nested brackets, as a
 * part of another text, and in a buffer that is too short.
 */
#include <kunit/test.h>
#include <linux/seq_buf.h>
#include "ubd_json.h"

static const struct {
	const char *text;
	const char *json;
} strings[] = {
	{ "", "\"\"" },
	{ "/vm/base.img", "\"/vm/base.img\"" },
	{ "a\"b\\c/", "\"a\\\"b\\\\c/\"" },
	{ "\n\t\x01\x1f\x7f", "\"\\u000a\\u0009\\u0001\\u001f\\u007f\"" },
	{ "\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\xae",
	  "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\xae\"" },
	/* Too short, too long, out of range, half a pair, and no beginning. */
	{ "\xc3", "\"\\ufffd\"" },
	{ "\xe2\x82/", "\"\\ufffd\\ufffd/\"" },
	{ "\xc0\xaf", "\"\\ufffd\\ufffd\"" },
	{ "\xe0\x80\xaf", "\"\\ufffd\\ufffd\\ufffd\"" },
	{ "\xf4\x90\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\"" },
	{ "\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\"" },
	{ "\x80\xff", "\"\\ufffd\\ufffd\"" },
};

static void put(void *out, const char *bytes, size_t len)
{
	seq_buf_putmem(out, bytes, len);
}

static void any_bytes(struct kunit *test)
{
	struct ubd_json json;
	struct seq_buf out;
	char buf[128];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(strings); i++) {
		json = (struct ubd_json){ .put = put, .out = &out };
		seq_buf_init(&out, buf, sizeof(buf));
		ubd_json_string(&json, NULL, strings[i].text);
		KUNIT_EXPECT_STREQ(test, seq_buf_str(&out), strings[i].json);
	}
}

static void write_nest(struct ubd_json *json)
{
	ubd_json_open(json, NULL, '[');
	ubd_json_open(json, NULL, '{');
	ubd_json_number(json, "n", ~0ull);
	ubd_json_bool(json, "yes", true);
	ubd_json_open(json, "none", '[');
	ubd_json_close(json, ']');
	ubd_json_close(json, '}');
	ubd_json_bool(json, NULL, false);
	ubd_json_close(json, ']');
}

static const char nest[] =
	"[\n    {\n        \"n\": 18446744073709551615,\n"
	"        \"yes\": true,\n        \"none\": []\n    },\n"
	"    false\n]\n";

static void nested(struct kunit *test)
{
	struct seq_buf out;
	struct ubd_json json = { .put = put, .out = &out };
	char buf[256];

	seq_buf_init(&out, buf, sizeof(buf));
	write_nest(&json);
	KUNIT_EXPECT_STREQ(test, seq_buf_str(&out), nest);
}

/* A part of another text: it begins with a line, and does not end with one. */
static void part(struct kunit *test)
{
	struct seq_buf out;
	struct ubd_json json = { .put = put, .out = &out, .level = 1 };
	char buf[64];

	seq_buf_init(&out, buf, sizeof(buf));
	ubd_json_open(&json, NULL, '{');
	ubd_json_close(&json, '}');
	KUNIT_EXPECT_STREQ(test, seq_buf_str(&out), "\n    {}");
}

static void too_short(struct kunit *test)
{
	struct seq_buf out;
	struct ubd_json json = { .put = put, .out = &out };
	char buf[32];

	seq_buf_init(&out, buf, sizeof(buf));
	write_nest(&json);
	KUNIT_EXPECT_TRUE(test, seq_buf_has_overflowed(&out));
}

static struct kunit_case json_cases[] = {
	KUNIT_CASE(any_bytes),
	KUNIT_CASE(nested),
	KUNIT_CASE(part),
	KUNIT_CASE(too_short),
	{}
};

static struct kunit_suite json_suite = {
	.name = "ubd-json",
	.test_cases = json_cases,
};

kunit_test_suite(json_suite);

MODULE_DESCRIPTION("KUnit tests of the writer of JSON");
MODULE_LICENSE("GPL");
