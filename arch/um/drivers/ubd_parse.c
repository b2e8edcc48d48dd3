// SPDX-License-Identifier: GPL-2.0-only
/*
 * Words of boot arguments and of mconsole commands, see ubd_parse.h.
 *
 * Built against the C library, on the host side of the driver and in tests: it
 * needs nothing of the kernel.
 */
#include <errno.h>
#include <string.h>

#include "ubd_parse.h"

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* ---- devices ----------------------------------------------------------- */

int ubd_parse_unit(const char **text)
{
	unsigned int unit = 0, digits;

	if (**text >= 'a' && **text < 'a' + UBD_DEVICES)
		return *(*text)++ - 'a';
	for (digits = 0; digits < 2 && is_digit(**text); digits++)
		unit = unit * 10 + *(*text)++ - '0';
	return digits && unit < UBD_DEVICES && !is_digit(**text) ? (int)unit :
	       -EINVAL;
}

/* "ubda" or "ubd0", and nothing else. */
static int parse_name(const char *name)
{
	int unit;

	if (strncmp(name, "ubd", 3))
		return -EINVAL;
	name += 3;
	unit = ubd_parse_unit(&name);
	return *name ? -EINVAL : unit;
}

/* ---- boot arguments ---------------------------------------------------- */

#define NO_FLAG \
	"expected '=' or a flag, once: A R S W c d t L V0 V3 V4 C<n> H<n> S<n> M<n> Ma P<n> B<n>"

/* A number from 1 to @max, said once. */
static const char *parse_number(const char *text, uint32_t max,
				uint32_t *number)
{
	uint32_t n = 0;

	if (*number || !is_digit(*text))
		return NULL;
	while (is_digit(*text) && n <= max)
		n = n * 10 + *text++ - '0';
	*number = n;
	return n && n <= max ? text : NULL;
}

/* "a" for all of it, or a bound. */
static const char *parse_index(struct ubd_config *config, const char *text)
{
	if (*text != 'a')
		return parse_number(text, UBD_INDEX_MAX, &config->index_mib);
	if (config->index_mib)
		return NULL;
	config->index_mib = UBD_INDEX_ALL;
	return text + 1;
}

static const char *parse_version(struct ubd_config *config, const char *text)
{
	if (config->version_given || !*text || !strchr("034", *text))
		return NULL;
	config->version_given = true;
	config->version = *text - '0';
	if (!config->version)
		config->raw = true;
	return text + 1;
}

static bool *plain_flag(struct ubd_config *config, char flag)
{
	switch (flag) {
	case 'r':
	case 'R':
		return &config->read_only;
	case 's':
	case 'S':
		return &config->durable;
	case 'c':
		return &config->unlocked;
	case 'd':
		return &config->raw;
	case 't':
		return &config->no_trim;
	case 'L':
		return &config->keep_link;
	case 'A':
		return &config->direct;
	case 'W':
		return &config->hold;
	}
	return NULL;
}

/* What stands behind the flag, or NULL. */
static const char *parse_flag(struct ubd_config *config, const char *flag)
{
	struct cow_geometry *geometry = &config->geometry;
	bool *plain;

	switch (*flag) {
	case 'C':
		return parse_number(flag + 1, UINT16_MAX, &geometry->cylinders);
	case 'H':
		return parse_number(flag + 1, UINT8_MAX, &geometry->heads);
	case 'S':
		if (is_digit(flag[1]))
			return parse_number(flag + 1, UINT8_MAX,
					    &geometry->sectors);
		break;
	case 'M':
		return parse_index(config, flag + 1);
	case 'P':
		return parse_number(flag + 1, COW_PADDING_MAX,
				    &config->padding);
	case 'B':
		return parse_number(flag + 1, UBD_SECTOR_MAX,
				    &config->sector_size);
	case 'V':
		return parse_version(config, flag + 1);
	}
	plain = plain_flag(config, *flag);
	if (!plain)
		return NULL;
	*plain = true;
	return flag + 1;
}

static char *parse_file(char **text)
{
	char *name = strsep(text, ",:");

	return name && *name ? name : NULL;
}

char *ubd_parse_device(char *text, unsigned int *unit,
		       struct ubd_config *config)
{
	const char *at = text;
	int ret = ubd_parse_unit(&at);

	if (ret < 0)
		return "expected a device, 0 to 15 or a to p, behind \"ubd\"";
	*unit = ret;
	while (*at && *at != '=') {
		at = parse_flag(config, at);
		if (!at)
			return NO_FLAG;
	}
	if (!*at)
		return "expected '=' and a file";
	text = (char *)at + 1;
	config->file = parse_file(&text);
	config->parent = parse_file(&text);
	config->serial = parse_file(&text);
	return config->file ? NULL : "expected a file behind '='";
}

#define NO_OPTION \
	"expected sync, threads, uring, noinline, record=FILE or hook=PROGRAM behind \"ubd=\""

/* What stands behind @name and '=', or NULL. */
static const char *value_of(const char *word, const char *name)
{
	size_t len = strlen(name);

	return !strncmp(word, name, len) && word[len] == '=' ? word + len + 1 :
	       NULL;
}

static char *parse_option(const char *word, struct ubd_options *options)
{
	if (!strcmp(word, "sync"))
		options->durable = true;
	else if (!strcmp(word, "threads"))
		options->host |= UBD_THREADS;
	else if (!strcmp(word, "uring"))
		options->host |= UBD_URING;
	else if (!strcmp(word, "noinline"))
		options->host |= UBD_NOINLINE;
	else if (value_of(word, "record"))
		options->record = value_of(word, "record");
	else if (value_of(word, "hook"))
		options->hook = value_of(word, "hook");
	else
		return NO_OPTION;
	return NULL;
}

char *ubd_parse_options(char *text, struct ubd_options *options)
{
	char *word, *error = NULL;

	while (!error && (word = strsep(&text, ",")))
		error = parse_option(word, options);
	return error;
}

/* ---- commands ---------------------------------------------------------- */

/* "V" and digits: meant as a version, if perhaps of another program. */
static bool is_version(const char *word)
{
	return word[0] == 'V' && is_digit(word[1]) &&
	       !word[1 + strspn(word + 1, "0123456789")];
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Cut blanks off the end, of what lies between @text and @end. */
static void cut_at(const char *text, char *end)
{
	while (end > text && is_blank(end[-1]))
		end--;
	*end = '\0';
}

static bool wrong_word(struct ubd_snapshot_words *words, const char *word,
		       const char *error)
{
	if (!words->error) {
		words->unknown = word;
		words->error = error;
	}
	return true;
}

static bool take_version(struct ubd_snapshot_words *words, const char *word)
{
	if (words->version_given || !is_version(word))
		return false;
	words->version_given = true;
	if (strcmp(word, "V3") && strcmp(word, "V4"))
		return wrong_word(words, word,
				  "no format that a snapshot can have: V3 or V4");
	words->version = word[1] - '0';
	return true;
}

static bool take_mode(struct ubd_snapshot_words *words, const char *word)
{
	if (words->mode_given)
		return false;
	words->crash = !strcmp(word, "crash");
	words->mode_given = words->crash || !strcmp(word, "freeze");
	return words->mode_given;
}

static bool take_limit(struct ubd_snapshot_words *words, const char *word)
{
	const char *text = value_of(word, "limit");
	uint32_t limit = 0;

	if (words->limit || !text)
		return false;
	text = parse_number(text, UBD_LIMIT_MAX, &limit);
	words->limit = UBD_LIMIT;
	if (!text || *text)
		return wrong_word(words, word,
				  "no time limit: 1 to 3600 seconds");
	words->limit = limit;
	return true;
}

/* Words behind the last name; the first that is none of them belongs to it. */
static void take_options(char *text, struct ubd_snapshot_words *words)
{
	char *word;

	for (;;) {
		word = text + strlen(text);
		while (word > text && !is_blank(word[-1]))
			word--;
		if (word == text || (!take_version(words, word) &&
				     !take_mode(words, word) &&
				     !take_limit(words, word)))
			break;
		cut_at(text, word);
	}
	if (!words->limit)
		words->limit = UBD_LIMIT;
}

/* "ubd", whatever it is that follows, and '='; or "all=". */
static bool begins_device(const char *word)
{
	if (value_of(word, "all"))
		return true;
	if (strncmp(word, "ubd", 3))
		return false;
	word += 3;
	while (is_digit(*word) || (*word >= 'a' && *word <= 'z'))
		word++;
	return *word == '=';
}

/* The blank before the word that begins the next device, or NULL. */
static char *next_device(char *text)
{
	while (*text && !(is_blank(*text) && begins_device(text + 1)))
		text++;
	return *text ? text : NULL;
}

static void take_target(struct ubd_snapshot_words *words, char *text)
{
	struct ubd_target *target = &words->target[words->count];
	char *file = strchr(text, '=');
	unsigned int i;

	if (words->count == UBD_DEVICES) {
		wrong_word(words, text, "more devices than there are");
		return;
	}
	if (file)
		*file++ = '\0';
	*target = (struct ubd_target){
		.device = text,
		.unit = parse_name(text),
		.file = file,
	};
	for (i = 0; i < words->count; i++)
		if (target->unit >= 0 && words->target[i].unit == target->unit)
			wrong_word(words, text, "it is named twice");
	words->count++;
}

/* "all" is no device, and wants none beside it. */
static void take_all(struct ubd_snapshot_words *words)
{
	unsigned int i;

	for (i = 0; i < words->count; i++) {
		if (strcmp(words->target[i].device, "all"))
			continue;
		words->all = words->target[i].file;
		if (words->count > 1)
			wrong_word(words, words->target[i].device,
				   "no other device beside it");
	}
}

void ubd_parse_snapshot(char *text, struct ubd_snapshot_words *words)
{
	char *next;

	*words = (struct ubd_snapshot_words){ .device = text };
	words->unit = parse_name(text);
	if (!strchr(text, '='))
		return;
	take_options(text, words);
	do {
		next = next_device(text);
		if (next)
			cut_at(text, next++);
		take_target(words, text);
		text = next;
	} while (text);
	take_all(words);
}

/* Words that every kind of merge has. */
static bool parse_word(struct ubd_words *words, const char *word)
{
	if (!strcmp(word, "nowait"))
		words->nowait = true;
	else if (!strcmp(word, "delete"))
		words->remove = true;
	else if (!strcmp(word, "force"))
		words->force = true;
	else
		return false;
	return true;
}

static bool parse_unsnapshot_word(struct ubd_words *words, const char *word)
{
	if (strcmp(word, "discard"))
		return parse_word(words, word);
	words->discard = true;
	return true;
}

/* @name, which ends in '=', and a number of up to nine digits. */
static bool parse_assigned(const char *word, const char *name, uint32_t *value)
{
	size_t len = strlen(name), digits;
	uint32_t n = 0;

	if (strncmp(word, name, len))
		return false;
	word += len;
	for (digits = 0; digits < 9 && is_digit(*word); digits++)
		n = n * 10 + *word++ - '0';
	if (!digits || *word)
		return false;
	*value = n;
	return true;
}

static bool parse_merge_word(struct ubd_words *words, const char *word)
{
	if (!strcmp(word, "pause"))
		words->wish = COW_MERGE_PAUSE;
	else if (!strcmp(word, "resume"))
		words->wish = COW_MERGE_RUN;
	else if (!strcmp(word, "cancel"))
		words->wish = COW_MERGE_CANCEL;
	else
		return parse_word(words, word) ||
		       parse_assigned(word, "speed=", &words->speed) ||
		       parse_assigned(word, "auto=", &words->depth);
	return true;
}

static void parse_words(char *text, struct ubd_words *words,
			bool (*parse)(struct ubd_words *words,
				      const char *word))
{
	char *word;

	while (!words->unknown && (word = strsep(&text, " \t")))
		if (*word && !parse(words, word))
			words->unknown = word;
}

void ubd_parse_unsnapshot(char *text, struct ubd_words *words)
{
	*words = (struct ubd_words){ .device = strsep(&text, " \t") };
	words->unit = parse_name(words->device);
	parse_words(text, words, parse_unsnapshot_word);
}

/* Cut known words off behind a file's name, from the last one on. */
static void take_words(char *file, struct ubd_words *words)
{
	for (;;) {
		char *word = file + strlen(file);

		while (word > file && !strchr(" \t", word[-1]))
			word--;
		if (word == file || !parse_word(words, word))
			return;
		while (word > file && strchr(" \t", word[-1]))
			word--;
		*word = '\0';
	}
}

void ubd_parse_merge(char *text, struct ubd_words *words)
{
	char *end = text + strcspn(text, "= \t");
	bool named = *end == '=';

	*words = (struct ubd_words){
		.device = text,
		.wish = UBD_NO_WISH,
		.speed = UBD_NO_NUMBER,
		.depth = UBD_NO_NUMBER,
	};
	if (*end)
		*end++ = '\0';
	words->unit = parse_name(words->device);
	if (named) {
		words->file = end;
		take_words(end, words);
	} else {
		parse_words(end, words, parse_merge_word);
	}
}

static void parse_hold_words(char *text, bool has_off, struct ubd_words *words)
{
	char *word;

	*words = (struct ubd_words){ .device = strsep(&text, " \t") };
	words->unit = parse_name(words->device);
	while (!words->unknown && (word = strsep(&text, " \t"))) {
		if (has_off && !strcmp(word, "off"))
			words->off = true;
		else if (*word)
			words->unknown = word;
	}
}

void ubd_parse_hold(char *text, struct ubd_words *words)
{
	parse_hold_words(text, true, words);
}

void ubd_parse_resume(char *text, struct ubd_words *words)
{
	parse_hold_words(text, false, words);
}

bool ubd_parse_json(char *text)
{
	static const char json[] = "--json";
	size_t len = strlen(text), cut = sizeof(json) - 1;

	if (strchr(text, '=') || len < cut || strcmp(text + len - cut, json))
		return false;
	len -= cut;
	if (len && !strchr(" \t", text[len - 1]))
		return false;
	while (len && strchr(" \t", text[len - 1]))
		len--;
	text[len] = '\0';
	return true;
}
