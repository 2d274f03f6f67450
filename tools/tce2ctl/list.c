// SPDX-License-Identifier: GPL-2.0-only
/*
 * Commands that print the records of one file: "containers", "windows" and others.
 *
 * Calls: records, table, json.
 */
#include <stdlib.h>
#include <string.h>

#include "tce2ctl.h"

/* Returns the percentage of a window's TCEs that are in use, rounded down. */
static uint64_t window_use(const struct record *record)
{
	uint64_t page = record_value(record, "page");

	return page ? percent(record_value(record, "mapped"),
			      record_value(record, "size") / page) : 0;
}

static void add_list(struct table *table, const char *list)
{
	char *copy = copy_text(list), *rest = copy, *name;
	char *text = copy_text("");

	while (strcmp(list, "-") && (name = strsep(&rest, ","))) {
		char *longer = NULL;

		unescape(name);
		if (asprintf(&longer, "%s%s%s", text, *text ? ", " : "",
			     name) < 0)
			break;
		free(text);
		text = longer;
	}
	table_add(table, "%s", text);
	free(text);
	free(copy);
}

static void add_number(struct table *table, enum kind kind, uint64_t number)
{
	const char *name;
	char text[24];

	switch (kind) {
	case KIND_BYTES:
	case KIND_LIMIT:
		table_add(table, "%s", size_text(number, text));
		break;
	case KIND_TIME:
		table_add(table, "%llu.%llu s",
			  (unsigned long long)number / 1000,
			  (unsigned long long)number / 100 % 10);
		break;
	case KIND_FLAG:
		table_add(table, "%s", number ? "yes" : "no");
		break;
	case KIND_ERRNO:
		name = number < 4096 ? strerrorname_np(number) : NULL;
		table_add(table, "%s", name ?: "?");
		break;
	default:
		table_add(table, "%llu", (unsigned long long)number);
	}
}

/**
 * list_cell() - add the cell of a record to a table
 * @table: the table
 * @record: the record
 * @key: key of the cell
 */
void list_cell(struct table *table, const struct record *record,
	       const struct key *key)
{
	const char *value = record_get(record, key->name);
	uint64_t number;

	if (key->kind == KIND_USE)
		table_add(table, "%llu%%",
			  (unsigned long long)window_use(record));
	else if (!value || !*value)
		table_add(table, "-");
	else if (key->kind == KIND_LIST)
		add_list(table, value);
	else if (key->kind == KIND_TEXT || key->kind == KIND_WORD ||
		 key->kind == KIND_ADDRESS || !parse_number(value, &number))
		table_add(table, "%s", value);
	else
		add_number(table, key->kind, number);
}

static bool is_right(enum kind kind)
{
	return kind != KIND_TEXT && kind != KIND_WORD && kind != KIND_LIST &&
	       kind != KIND_FLAG && kind != KIND_ERRNO;
}

/**
 * is_chosen() - check that a record is of the container that the user chose
 * @request: the command line
 * @record: the record
 *
 * Return: true if the command shows the record
 */
bool is_chosen(const struct request *request, const struct record *record)
{
	return request->container < 0 ||
	       record_value(record, "container") == request->container;
}

/**
 * list_table() - print the chosen records as a table
 * @request: the command line
 * @records: the records
 */
void list_table(const struct request *request, const struct records *records)
{
	struct table table = { 0 };
	const struct key *key;
	bool is_empty = true;
	size_t i;

	for (key = file_keys(records->id); key->name; key++) {
		if (key->title)
			table_title(&table, key->title, is_right(key->kind));
	}
	for (i = 0; i < records->count; i++) {
		if (!is_chosen(request, &records->record[i]))
			continue;
		is_empty = false;
		for (key = file_keys(records->id); key->name; key++) {
			if (key->title)
				list_cell(&table, &records->record[i], key);
		}
	}
	if (is_empty)
		printf("no %s\n", file_names[records->id]);
	table_end(&table, !is_empty);
}

/**
 * list_json() - make the JSON of the chosen records
 * @request: the command line
 * @records: the records
 *
 * Return: an array
 */
struct json_object *list_json(const struct request *request,
			      const struct records *records)
{
	struct json_object *array = json_array_new(), *object;
	size_t i;

	for (i = 0; i < records->count; i++) {
		if (!is_chosen(request, &records->record[i]))
			continue;
		object = json_record(records, &records->record[i]);
		if (records->id == FILE_WINDOWS)
			json_add(object, "use",
				 json_number_new(window_use(&records->record[i])));
		json_append(array, object);
	}
	return array;
}

/**
 * report_unreadable() - print why the state cannot be read
 * @request: the command line
 * @command: name of the command
 * @why: the reason
 *
 * Return: EXIT_UNKNOWN
 */
int report_unreadable(const struct request *request, const char *command,
		      const struct error *why)
{
	struct json_object *object;
	char *clean = clean_text(why->text);

	fprintf(stderr, "tce2ctl: %s\n", clean);
	free(clean);
	if (request->json) {
		object = json_begin(command);
		json_add(object, "error", json_string_new(why->text));
		/* These commands print one object in each line. */
		if (!strcmp(command, "top") || !strcmp(command, "trace"))
			json_end_line(object);
		else
			json_end(object);
	}
	return EXIT_UNKNOWN;
}

/* Prints the records of one file. */
static int run_list(const struct request *request, enum file_id id)
{
	struct json_object *object;
	struct records records;
	int ret = EXIT_OK;

	records_read(&records, &request->source, id);
	if (records.error) {
		ret = report_unreadable(request, file_names[id], &records.why);
	} else if (request->json) {
		object = json_begin(file_names[id]);
		json_add(object, "error", NULL);
		json_add(object, file_names[id], list_json(request, &records));
		json_end(object);
	} else {
		list_table(request, &records);
	}
	records_free(&records);
	return ret;
}

/**
 * run_containers() - list the containers of the module
 * @request: the command line
 *
 * Return: the exit status
 */
int run_containers(const struct request *request)
{
	return run_list(request, FILE_CONTAINERS);
}

/**
 * run_groups() - list the IOMMU groups and their devices
 * @request: the command line
 *
 * Return: the exit status
 */
int run_groups(const struct request *request)
{
	return run_list(request, FILE_GROUPS);
}

/**
 * run_windows() - list the windows
 * @request: the command line
 *
 * Return: the exit status
 */
int run_windows(const struct request *request)
{
	return run_list(request, FILE_WINDOWS);
}

/**
 * run_regions() - list the registered regions
 * @request: the command line
 *
 * Return: the exit status
 */
int run_regions(const struct request *request)
{
	return run_list(request, FILE_REGIONS);
}

/**
 * run_mappings() - list the mappings, with adjacent mappings joined
 * @request: the command line
 *
 * Return: the exit status
 */
int run_mappings(const struct request *request)
{
	return run_list(request, FILE_MAPPINGS);
}

/**
 * run_refusals() - list the last refused requests
 * @request: the command line
 *
 * Return: the exit status
 */
int run_refusals(const struct request *request)
{
	return run_list(request, FILE_REFUSALS);
}
