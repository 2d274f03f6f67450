// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads the records that the module shows in debugfs.
 *
 * The first line of a file is "vfio_spapr_tce2 NAME 1", where 1 is the version of the
 * format. Each further line is a record: KEY=VALUE, with a space between two pairs.
 * In texts a backslash and three octal digits stand for a byte, and "-" for an empty
 * text. Unknown keys are ignored, and absent keys are shown as unknown.
 *
 * Calls: source, text.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tce2ctl.h"

#define FORMAT	1

const char * const file_names[FILES] = {
	[FILE_VERSION]		= "version",
	[FILE_CONTAINERS]	= "containers",
	[FILE_GROUPS]		= "groups",
	[FILE_WINDOWS]		= "windows",
	[FILE_REGIONS]		= "regions",
	[FILE_MAPPINGS]		= "mappings",
	[FILE_REFUSALS]		= "refusals",
};

static const struct key version_keys[] = {
	{ "module", KIND_TEXT, "MODULE" },
	{ "parameter", KIND_TEXT, "PARAMETER" },
	{ "value", KIND_TEXT, "VALUE" },
	{ NULL }
};

static const struct key container_keys[] = {
	{ "container", KIND_NUMBER, "CONTAINER" },
	{ "pid", KIND_NUMBER, "PID" },
	{ "comm", KIND_TEXT, "COMMAND" },
	{ "state", KIND_WORD, "STATE" },
	{ "groups", KIND_NUMBER, "GROUPS" },
	{ "windows", KIND_NUMBER, "WINDOWS" },
	{ "regions", KIND_NUMBER, "REGIONS" },
	{ "charged", KIND_BYTES, "CHARGED" },
	{ "locked", KIND_BYTES, "LOCKED" },
	{ "limit", KIND_LIMIT, "LIMIT" },
	{ "register", KIND_NUMBER, NULL },
	{ "unregister", KIND_NUMBER, NULL },
	{ "map", KIND_NUMBER, "MAPS" },
	{ "unmap", KIND_NUMBER, "UNMAPS" },
	{ "create", KIND_NUMBER, NULL },
	{ "remove", KIND_NUMBER, NULL },
	{ "ranges", KIND_NUMBER, "VECTORS" },
	{ "copy", KIND_NUMBER, "COPIES" },
	{ "refused", KIND_NUMBER, "REFUSED" },
	{ "pin", KIND_NUMBER, NULL },
	{ "access", KIND_NUMBER, NULL },
	{ "pinned", KIND_NUMBER, NULL },
	{ "notified", KIND_NUMBER, NULL },
	{ "rules", KIND_COUNTS, NULL },
	{ NULL }
};

static const struct key group_keys[] = {
	{ "container", KIND_NUMBER, "CONTAINER" },
	{ "group", KIND_NUMBER, "GROUP" },
	{ "devices", KIND_LIST, "DEVICES" },
	{ NULL }
};

static const struct key window_keys[] = {
	{ "container", KIND_NUMBER, "CONTAINER" },
	{ "slot", KIND_NUMBER, "SLOT" },
	{ "start", KIND_ADDRESS, "START" },
	{ "size", KIND_BYTES, "SIZE" },
	{ "page", KIND_BYTES, "PAGE" },
	{ "levels", KIND_NUMBER, "LEVELS" },
	{ "mapped", KIND_NUMBER, "TCES" },
	{ "use", KIND_USE, "USE" },
	{ "table", KIND_BYTES, "TABLE" },
	{ "view", KIND_BYTES, "VIEW" },
	{ "kvm", KIND_NUMBER, "KVM" },
	{ "published", KIND_FLAG, NULL },
	{ "tracked", KIND_FLAG, NULL },
	{ NULL }
};

static const struct key region_keys[] = {
	{ "container", KIND_NUMBER, "CONTAINER" },
	{ "ua", KIND_ADDRESS, "ADDRESS" },
	{ "size", KIND_BYTES, "SIZE" },
	{ "extents", KIND_NUMBER, "EXTENTS" },
	{ "page", KIND_BYTES, "PAGE" },
	{ "used", KIND_NUMBER, "USED" },
	{ "mapped", KIND_NUMBER, "TCES" },
	{ "readonly", KIND_FLAG, "READ-ONLY" },
	{ "mirrored", KIND_FLAG, "MIRRORED" },
	{ NULL }
};

static const struct key mapping_keys[] = {
	{ "container", KIND_NUMBER, "CONTAINER" },
	{ "slot", KIND_NUMBER, "SLOT" },
	{ "iova", KIND_ADDRESS, "BUS ADDRESS" },
	{ "size", KIND_BYTES, "SIZE" },
	{ "ua", KIND_ADDRESS, "ADDRESS" },
	{ "perm", KIND_WORD, "ACCESS" },
	{ NULL }
};

static const struct key refusal_keys[] = {
	{ "container", KIND_NUMBER, "CONTAINER" },
	{ "pid", KIND_NUMBER, "PID" },
	{ "comm", KIND_TEXT, "COMMAND" },
	{ "released", KIND_FLAG, NULL },
	{ "seq", KIND_NUMBER, NULL },
	{ "age", KIND_TIME, "AGO" },
	{ "request", KIND_WORD, "REQUEST" },
	{ "errno", KIND_ERRNO, "ERROR" },
	{ "rule", KIND_WORD, "RULE" },
	{ "text", KIND_TEXT, "REASON" },
	{ NULL }
};

/**
 * file_keys() - list the keys of a file that this program knows
 * @id: the file
 *
 * Return: the keys; the last one has no name
 */
const struct key *file_keys(enum file_id id)
{
	static const struct key * const keys[FILES] = {
		[FILE_VERSION]		= version_keys,
		[FILE_CONTAINERS]	= container_keys,
		[FILE_GROUPS]		= group_keys,
		[FILE_WINDOWS]		= window_keys,
		[FILE_REGIONS]		= region_keys,
		[FILE_MAPPINGS]		= mapping_keys,
		[FILE_REFUSALS]		= refusal_keys,
	};

	return keys[id];
}

static bool is_octal(const char *text)
{
	int i;

	for (i = 0; i < 3; i++) {
		if (text[i] < '0' || text[i] > (i ? '7' : '3'))
			return false;
	}
	return true;
}

/**
 * unescape() - replace each escape in a text by its byte
 * @text: the text, which is changed
 *
 * Return: the end of the text, which may contain NULs
 */
char *unescape(char *text)
{
	char *to = text;

	while (*text) {
		if (*text == '\\' && is_octal(text + 1)) {
			*to++ = (text[1] - '0') << 6 | (text[2] - '0') << 3 |
				(text[3] - '0');
			text += 4;
		} else {
			*to++ = *text++;
		}
	}
	*to = '\0';
	return to;
}

/* Unescapes a text of a record. A NUL in it becomes a question mark. */
static void read_text(char *value)
{
	char *end;

	if (!strcmp(value, "-")) {
		*value = '\0';
		return;
	}
	for (end = unescape(value); value < end; value++) {
		if (!*value)
			*value = '?';
	}
}

static enum kind key_kind(enum file_id id, const char *name)
{
	const struct key *key;

	for (key = file_keys(id); key->name; key++) {
		if (!strcmp(key->name, name))
			return key->kind;
	}
	return KIND_WORD;
}

static size_t count_bytes(const char *text, char byte)
{
	size_t count = 0;

	for (; *text; text++)
		count += *text == byte;
	return count;
}

/* Splits a line. A pair without "=" is ignored. */
static void parse_line(struct records *records, char *line, size_t *pairs)
{
	struct record record = {
		.key = records->keys + *pairs,
		.value = records->values + *pairs,
	};
	char *pair, *value;

	while ((pair = strsep(&line, " "))) {
		value = strchr(pair, '=');
		if (!value)
			continue;
		*value++ = '\0';
		if (key_kind(records->id, pair) == KIND_TEXT)
			read_text(value);
		record.key[record.count] = pair;
		record.value[record.count++] = value;
	}
	if (!record.count)
		return;
	*pairs += record.count;
	records->record = grow(records->record, records->count,
			       sizeof(*records->record));
	records->record[records->count++] = record;
}

static int parse_first(const char *line, enum file_id id, struct error *err)
{
	char begin[64];
	uint64_t format;

	snprintf(begin, sizeof(begin), MODULE " %s ", file_names[id]);
	if (strncmp(line, begin, strlen(begin)) ||
	    !parse_number(line + strlen(begin), &format))
		return fail(err, "/" DEBUGFS "/%s is damaged: the first line is wrong",
			    file_names[id]);
	if (format != FORMAT)
		return fail(err, "/" DEBUGFS "/%s has format %llu, but this tce2ctl knows format %d: install the tools of the module's version",
			    file_names[id], (unsigned long long)format, FORMAT);
	return 0;
}

static int parse(struct records *records, char *text)
{
	char *line = strsep(&text, "\n");
	size_t pairs = 0;

	if (parse_first(line, records->id, &records->why))
		return -EPROTO;
	if (!text)
		return 0;
	pairs = count_bytes(text, '=');
	records->keys = calloc(pairs + 1, sizeof(*records->keys));
	records->values = calloc(pairs + 1, sizeof(*records->values));
	if (!records->keys || !records->values)
		return -ENOMEM;
	pairs = 0;
	while ((line = strsep(&text, "\n")))
		parse_line(records, line, &pairs);
	return 0;
}

/* Explains why a file cannot be read, and gives advice. */
static void explain(struct records *records, const struct source *source)
{
	const char *name = file_names[records->id];
	struct names names;
	bool is_mounted;
	int error;

	if (records->error == -EACCES || records->error == -EPERM) {
		fail(&records->why, "/" DEBUGFS " cannot be read: %s",
		     source->is_live && !geteuid() ?
		     "root has no permission; is this a container?" :
		     "run tce2ctl as root");
		return;
	}
	if (records->error != -ENOENT) {
		fail(&records->why, "/" DEBUGFS "/%s: %s", name,
		     strerror(-records->error));
		return;
	}
	error = source_list(source, "sys/kernel/debug", &names);
	is_mounted = names.count;
	names_free(&names);
	if (error == -EACCES) {
		records->error = -EACCES;
		explain(records, source);
		return;
	}
	error = source_list(source, "sys/module/" MODULE, &names);
	names_free(&names);
	if (error)
		fail(&records->why, MODULE " is not loaded: modprobe " MODULE);
	else if (!is_mounted)
		fail(&records->why, "debugfs is not mounted: mount -t debugfs debugfs /sys/kernel/debug");
	else
		fail(&records->why, "/" DEBUGFS "/%s does not exist: load version %s of the module",
		     name, TCE2_VERSION);
}

/**
 * records_read() - read a file of the module in debugfs
 * @records: receives the records; the caller frees them with records_free()
 * @source: the source
 * @id: the file
 */
void records_read(struct records *records, const struct source *source,
		  enum file_id id)
{
	char path[128];
	size_t size;

	*records = (struct records){ .id = id };
	snprintf(path, sizeof(path), DEBUGFS "/%s", file_names[id]);
	records->error = source_read(source, path, &records->text, &size);
	if (records->error)
		explain(records, source);
	else
		records->error = parse(records, records->text);
	if (records->error == -ENOMEM)
		fail(&records->why, "out of memory");
}

/**
 * records_free() - free the memory of records
 * @records: the records
 */
void records_free(struct records *records)
{
	free(records->record);
	free(records->keys);
	free(records->values);
	free(records->text);
}

/**
 * record_get() - look up a value
 * @record: the record
 * @key: name of the key
 *
 * Return: the value, or NULL if the record has no such key
 */
const char *record_get(const struct record *record, const char *key)
{
	size_t i;

	for (i = 0; i < record->count; i++) {
		if (!strcmp(record->key[i], key))
			return record->value[i];
	}
	return NULL;
}

/**
 * parse_number() - read a number, in decimal or after 0x in hexadecimal
 * @text: the number, without other characters
 * @number: receives the number
 *
 * Return: true if the text is a number of at most 64 bits
 */
bool parse_number(const char *text, uint64_t *number)
{
	bool is_hex = text[0] == '0' && text[1] == 'x';
	char *end;

	text += is_hex ? 2 : 0;
	if (!strchr("0123456789abcdef", *text) || !*text)
		return false;
	errno = 0;
	*number = strtoull(text, &end, is_hex ? 16 : 10);
	return !errno && !*end;
}

/**
 * record_number() - look up a number
 * @record: the record
 * @key: name of the key
 * @number: receives the number
 *
 * Return: true if the record has the key with a number
 */
bool record_number(const struct record *record, const char *key,
		   uint64_t *number)
{
	const char *value = record_get(record, key);

	return value && parse_number(value, number);
}

/**
 * next_count() - split a list of "NAME:NUMBER"
 * @rest: the rest of the list, which is changed
 * @number: receives the number
 *
 * Return: the name; NULL at the end of the list
 */
char *next_count(char **rest, uint64_t *number)
{
	char *name, *colon;

	while ((name = strsep(rest, ","))) {
		colon = strchr(name, ':');
		if (!colon || !parse_number(colon + 1, number))
			continue;
		*colon = '\0';
		return name;
	}
	return NULL;
}

/**
 * record_value() - look up a number
 * @record: the record
 * @key: name of the key
 *
 * Return: the number, or 0 if it is unknown
 */
uint64_t record_value(const struct record *record, const char *key)
{
	uint64_t number = 0;

	return record_number(record, key, &number) ? number : 0;
}
