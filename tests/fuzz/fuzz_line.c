// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fuzz target: what is said to the block device. The first byte says to whom:
 * a boot argument of a device or of all, or a command of mconsole. What is
 * found lies within the line, and says what the line said: written down again
 * it is understood as the same.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ubd_parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define LINE_MAX	4096

/* The line is a heap block of exactly its length, for the sanitizer. */
struct line {
	char *text;
	size_t len;
};

static void must(int good)
{
	if (!good)
		abort();
}

static void within(const struct line *line, const char *found)
{
	must(!found || (found >= line->text && found <= line->text + line->len));
}

/* ---- a device ---------------------------------------------------------- */

static int put_number(char *to, char flag, uint32_t number)
{
	return number ? sprintf(to, "%c%u", flag, number) : 0;
}

/* @config as an argument that asks for it. */
static void put_config(char *to, unsigned int unit,
		       const struct ubd_config *config)
{
	to += sprintf(to, "%u%s%s%s%s%s%s%s%s", unit,
		      config->read_only ? "r" : "", config->durable ? "s" : "",
		      config->unlocked ? "c" : "", config->raw ? "d" : "",
		      config->no_trim ? "t" : "", config->keep_link ? "L" : "",
		      config->direct ? "A" : "", config->hold ? "W" : "");
	if (config->version_given)
		to += sprintf(to, "V%u", config->version);
	to += put_number(to, 'C', config->geometry.cylinders);
	to += put_number(to, 'H', config->geometry.heads);
	to += put_number(to, 'S', config->geometry.sectors);
	if (config->index_mib == UBD_INDEX_ALL)
		to += sprintf(to, "Ma");
	else
		to += put_number(to, 'M', config->index_mib);
	to += put_number(to, 'P', config->padding);
	to += put_number(to, 'B', config->sector_size);
	sprintf(to, "=%s,%s,%s", config->file,
		config->parent ? config->parent : "",
		config->serial ? config->serial : "");
}

static void same_name(const char *one, const char *other)
{
	must(!one == !other && (!one || !strcmp(one, other)));
}

static void same_config(const struct ubd_config *one,
			const struct ubd_config *other)
{
	must(one->read_only == other->read_only &&
	     one->durable == other->durable && one->raw == other->raw &&
	     one->unlocked == other->unlocked &&
	     one->no_trim == other->no_trim &&
	     one->keep_link == other->keep_link &&
	     one->direct == other->direct && one->hold == other->hold &&
	     one->version_given == other->version_given &&
	     one->version == other->version &&
	     one->index_mib == other->index_mib &&
	     one->padding == other->padding &&
	     one->sector_size == other->sector_size);
	must(!memcmp(&one->geometry, &other->geometry, sizeof(one->geometry)));
	same_name(one->file, other->file);
	same_name(one->parent, other->parent);
	same_name(one->serial, other->serial);
}

static void one_device(const struct line *line)
{
	static char again[LINE_MAX + 64];
	struct ubd_config config = { 0 }, second = { 0 };
	unsigned int unit = UBD_DEVICES, unit2;

	if (ubd_parse_device(line->text, &unit, &config))
		return;
	must(unit < UBD_DEVICES && config.file && *config.file);
	must(config.geometry.cylinders <= UINT16_MAX &&
	     config.geometry.heads <= UINT8_MAX &&
	     config.geometry.sectors <= UINT8_MAX);
	within(line, config.file);
	within(line, config.parent);
	within(line, config.serial);
	put_config(again, unit, &config);
	must(!ubd_parse_device(again, &unit2, &second) && unit2 == unit);
	same_config(&config, &second);
}

/* ---- all devices ------------------------------------------------------- */

static void one_options(const struct line *line)
{
	struct ubd_options options = { 0 };

	ubd_parse_options(line->text, &options);
	must(!(options.host & ~(UBD_THREADS | UBD_URING | UBD_NOINLINE)));
	within(line, options.record);
}

/* ---- commands ---------------------------------------------------------- */

/* Is it one of the names that a device has, as long as it is spelt at all? */
static int is_device(const char *name, int unit)
{
	char letter[16], number[16], digits[16];

	snprintf(letter, sizeof(letter), "ubd%c", 'a' + unit);
	snprintf(number, sizeof(number), "ubd%d", unit);
	snprintf(digits, sizeof(digits), "ubd%02d", unit);
	return !strcmp(name, letter) || !strcmp(name, number) ||
	       !strcmp(name, digits);
}

static void check_device(const struct line *line, const char *device, int at)
{
	int unit;

	within(line, device);
	for (unit = 0; unit < UBD_DEVICES; unit++)
		must(is_device(device, unit) == (at == unit));
	must(at < UBD_DEVICES);
}

static void check_target(const struct line *line,
			 const struct ubd_target *target)
{
	check_device(line, target->device, target->unit);
	within(line, target->file);
	must(!strchr(target->device, '='));
}

static void one_snapshot(const struct line *line)
{
	struct ubd_snapshot_words words;
	unsigned int i;

	ubd_parse_snapshot(line->text, &words);
	must(words.count <= UBD_DEVICES);
	for (i = 0; i < words.count; i++)
		check_target(line, &words.target[i]);
	if (!words.count) {
		check_device(line, words.device, words.unit);
		must(!words.error && !words.all && !strchr(words.device, '='));
		return;
	}
	within(line, words.all);
	within(line, words.unknown);
	must(!words.version || words.version == 3 || words.version == 4);
	must(words.limit >= 1 && words.limit <= UBD_LIMIT_MAX);
	must(!words.error == !words.unknown);
	must(!words.all || words.count == 1 || words.error);
}

static void one_unsnapshot(const struct line *line)
{
	struct ubd_words words;

	ubd_parse_unsnapshot(line->text, &words);
	check_device(line, words.device, words.unit);
	within(line, words.unknown);
	must(!strpbrk(words.device, " \t"));
	must(!words.unknown ||
	     (*words.unknown && !strpbrk(words.unknown, " \t") &&
	      strcmp(words.unknown, "force")));
}

static void one_merge(const struct line *line)
{
	struct ubd_words words;

	ubd_parse_merge(line->text, &words);
	check_device(line, words.device, words.unit);
	within(line, words.file);
	within(line, words.unknown);
	must(!strpbrk(words.device, " \t="));
	must(!words.file || (words.wish == UBD_NO_WISH &&
			     words.speed == UBD_NO_NUMBER &&
			     words.depth == UBD_NO_NUMBER && !words.unknown));
	must(!words.unknown || strcmp(words.unknown, "pause"));
}

static void one_hold(const struct line *line)
{
	struct ubd_words words;

	ubd_parse_hold(line->text, &words);
	check_device(line, words.device, words.unit);
	within(line, words.unknown);
	must(!words.file && !strpbrk(words.device, " \t"));
	must(!words.unknown || strcmp(words.unknown, "off"));
}

static void one_list(const struct line *line)
{
	if (ubd_parse_json(line->text))
		must(strlen(line->text) + 6 <= line->len &&
		     !strchr(line->text, '='));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static void (*const one[])(const struct line *line) = {
		one_device, one_options, one_snapshot, one_unsnapshot,
		one_hold, one_list, one_merge,
	};
	struct line line;

	if (!len || len > LINE_MAX)
		return 0;
	line.len = len - 1;
	line.text = malloc(len);
	memcpy(line.text, data + 1, line.len);
	line.text[line.len] = '\0';
	one[data[0] % 7](&line);
	free(line.text);
	return 0;
}
