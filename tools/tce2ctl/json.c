// SPDX-License-Identifier: GPL-2.0-only
/*
 * Makes JSON with json-c.
 *
 * tce2ctl(8) documents the members. Later versions may add members, but must not
 * change existing members. json-c would copy invalid UTF-8, so text.c writes strings.
 *
 * Calls: records, text, json-c.
 */
#include <json-c/json.h>
#include <json-c/printbuf.h>
#include <stdlib.h>
#include <string.h>

#include "tce2ctl.h"

#define JSON_FORMAT	1

static struct json_object *must(struct json_object *object)
{
	if (object)
		return object;
	fputs("tce2ctl: out of memory\n", stderr);
	exit(EXIT_UNKNOWN);
}

static int write_string(struct json_object *object, struct printbuf *out,
			int level, int flags)
{
	const char *text = json_object_get_userdata(object);

	(void)level;
	(void)flags;
	return printbuf_memappend(out, text, strlen(text));
}

static void free_string(struct json_object *object, void *text)
{
	(void)object;
	free(text);
}

/**
 * json_string_new() - make a string
 * @text: the string, or NULL for null
 *
 * Return: the string, or NULL, which json-c prints as null
 */
struct json_object *json_string_new(const char *text)
{
	struct json_object *object;

	if (!text)
		return NULL;
	object = must(json_object_new_string("-"));
	json_object_set_serializer(object, write_string, json_text(text), free_string);
	return object;
}

/**
 * json_number_new() - make a number
 * @number: the number
 *
 * Return: the number
 */
struct json_object *json_number_new(uint64_t number)
{
	return must(json_object_new_uint64(number));
}

/**
 * json_double_new() - make a number with a fraction
 * @number: the number
 *
 * Return: the number, with at most two digits after the point
 */
struct json_object *json_double_new(double number)
{
	char text[64];

	snprintf(text, sizeof(text), "%.2f", number);
	return must(json_object_new_double_s(number, text));
}

/**
 * json_bool_new() - make a truth value
 * @value: the value
 *
 * Return: the value
 */
struct json_object *json_bool_new(bool value)
{
	return must(json_object_new_boolean(value));
}

/**
 * json_array_new() - make an empty array
 *
 * Return: the array
 */
struct json_object *json_array_new(void)
{
	return must(json_object_new_array());
}

/**
 * json_object_start() - make an object without members
 *
 * Return: the object
 */
struct json_object *json_object_start(void)
{
	return must(json_object_new_object());
}

/**
 * json_append() - add an element to an array
 * @array: the array
 * @value: the element; belongs to @array from now on
 */
void json_append(struct json_object *array, struct json_object *value)
{
	json_object_array_add(array, value);
}

/**
 * json_add() - add a member to an object
 * @object: the object
 * @name: name of the member, which stays valid and unique
 * @value: the value, or NULL for null; belongs to @object from now on
 */
void json_add(struct json_object *object, const char *name,
	      struct json_object *value)
{
	json_object_object_add(object, name, value);
}

/**
 * json_begin() - make the object that a command prints
 * @command: name of the command
 *
 * Return: the object, with the version of the format
 */
struct json_object *json_begin(const char *command)
{
	struct json_object *object = json_object_start();

	json_add(object, "format", json_number_new(JSON_FORMAT));
	json_add(object, "command", json_string_new(command));
	return object;
}

static struct json_object *names_json(const char *list)
{
	struct json_object *array = json_array_new();
	char *copy = copy_text(list);
	char *rest = copy, *name;

	while (strcmp(list, "-") && (name = strsep(&rest, ","))) {
		unescape(name);
		json_append(array, json_string_new(name));
	}
	free(copy);
	return array;
}

/* Makes an object of a list of "NAME:NUMBER". */
static struct json_object *counts_json(const char *list)
{
	struct json_object *object = json_object_start();
	char *copy = copy_text(list), *rest = copy, *name, *clean;
	uint64_t number;

	while ((name = next_count(&rest, &number))) {
		clean = clean_text(name);
		json_add(object, clean, json_number_new(number));
		free(clean);
	}
	free(copy);
	return object;
}

/* Returns NULL, which is null in JSON, for an unknown value. */
static struct json_object *value_json(const struct record *record,
				      const struct key *key)
{
	const char *value = record_get(record, key->name);
	uint64_t number;

	if (!value)
		return NULL;
	if (key->kind == KIND_LIST)
		return names_json(value);
	if (key->kind == KIND_COUNTS)
		return counts_json(value);
	if (key->kind == KIND_TEXT || key->kind == KIND_WORD)
		return json_string_new(value);
	if (key->kind == KIND_LIMIT && !strcmp(value, "unlimited"))
		return json_string_new(value);
	if (!parse_number(value, &number))
		return NULL;
	if (key->kind == KIND_FLAG)
		return json_bool_new(number);
	/* Programs read a number in JSON with 53 bits. */
	if (key->kind == KIND_ADDRESS)
		return json_string_new(value);
	return json_number_new(number);
}

/**
 * json_record() - make an object of a record
 * @records: the records
 * @record: one of them
 *
 * Return: the object, with a member for each known key
 */
struct json_object *json_record(const struct records *records,
				const struct record *record)
{
	struct json_object *object = json_object_start();
	const struct key *key;

	for (key = file_keys(records->id); key->name; key++) {
		if (key->kind == KIND_USE)
			continue;
		json_add(object, key->name, value_json(record, key));
	}
	return object;
}

/**
 * json_end() - print an object, and free it
 * @object: the object
 */
void json_end(struct json_object *object)
{
	puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PRETTY |
					    JSON_C_TO_STRING_SPACED));
	json_object_put(object);
}

/**
 * json_end_line() - print an object on one line, and free it
 * @object: the object
 */
void json_end_line(struct json_object *object)
{
	puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_SPACED));
	json_object_put(object);
}
