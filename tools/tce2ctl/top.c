// SPDX-License-Identifier: GPL-2.0-only
/*
 * Command "top": requests of each container in a second, repeatedly.
 *
 * On a terminal the picture is drawn with ncurses. Otherwise, or with --batch, each picture
 * is a table, or an object of JSON on one line.
 *
 * Calls: records, table, json, ncurses.
 */
#include <curses.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tce2ctl.h"

#define DELAY_DEFAULT	2.0

static const char * const counters[] = {
	"map", "unmap", "register", "unregister", "create", "refused",
};

enum { COUNTERS = ARRAY_SIZE(counters) };

/* State at one time */
struct sample {
	struct records containers;
	struct records windows;
	double time;
};

/* Row of the picture; a rate is below 0 if it is unknown */
struct row {
	const struct record *record;
	double rate[COUNTERS];
	uint64_t mapped;
};

struct rows {
	struct row *row;
	size_t count;
};

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

static void sample_read(struct sample *sample, const struct request *request)
{
	records_read(&sample->containers, &request->source, FILE_CONTAINERS);
	records_read(&sample->windows, &request->source, FILE_WINDOWS);
	sample->time = now();
}

static void sample_free(struct sample *sample)
{
	records_free(&sample->containers);
	records_free(&sample->windows);
}

/* Finds the same container in the previous sample, or returns NULL. */
static const struct record *find_before(const struct sample *before,
					const struct record *record)
{
	size_t i;

	for (i = 0; i < before->containers.count; i++) {
		const struct record *other = &before->containers.record[i];

		if (record_value(other, "container") ==
		    record_value(record, "container"))
			return other;
	}
	return NULL;
}

static uint64_t count_mapped(const struct records *windows, uint64_t container)
{
	uint64_t mapped = 0;
	size_t i;

	for (i = 0; i < windows->count; i++) {
		if (record_value(&windows->record[i], "container") == container)
			mapped += record_value(&windows->record[i], "mapped");
	}
	return mapped;
}

static double get_rate(const struct record *before, const struct record *record,
		       const char *key, double seconds)
{
	uint64_t first, last;

	if (!before || seconds <= 0 || !record_number(before, key, &first) ||
	    !record_number(record, key, &last) || last < first)
		return -1;
	return (last - first) / seconds;
}

static int compare_rows(const void *a, const void *b)
{
	const struct row *first = a, *second = b;
	double by = second->rate[0] + second->rate[1] - first->rate[0] -
		    first->rate[1];
	uint64_t one = record_value(first->record, "container");
	uint64_t two = record_value(second->record, "container");

	if (by > 0 || by < 0)
		return by > 0 ? 1 : -1;
	return (one > two) - (one < two);
}

static void make_rows(struct rows *rows, const struct request *request,
		      const struct sample *before, const struct sample *sample)
{
	const struct record *other;
	struct row row;
	size_t i, j;

	*rows = (struct rows){ 0 };
	for (i = 0; i < sample->containers.count; i++) {
		row.record = &sample->containers.record[i];
		if (!is_chosen(request, row.record))
			continue;
		other = find_before(before, row.record);
		for (j = 0; j < COUNTERS; j++)
			row.rate[j] = get_rate(other, row.record, counters[j],
					       sample->time - before->time);
		row.mapped = count_mapped(&sample->windows,
					  record_value(row.record, "container"));
		rows->row = grow(rows->row, rows->count, sizeof(row));
		rows->row[rows->count++] = row;
	}
	if (rows->count)
		qsort(rows->row, rows->count, sizeof(row), compare_rows);
}

static void add_row(struct table *table, const struct row *row)
{
	uint64_t limit, locked = record_value(row->record, "locked");
	char text[24];
	size_t i;

	table_add(table, "%s", record_get(row->record, "container") ?: "?");
	table_add(table, "%s", record_get(row->record, "pid") ?: "?");
	table_add(table, "%s", record_get(row->record, "comm") ?: "?");
	for (i = 0; i < COUNTERS; i++) {
		if (row->rate[i] < 0)
			table_add(table, "-");
		else
			table_add(table, "%.*f", row->rate[i] < 10 ? 1 : 0,
				  row->rate[i]);
	}
	table_add(table, "%llu", (unsigned long long)row->mapped);
	table_add(table, "%s", size_text(locked, text));
	if (record_number(row->record, "limit", &limit))
		table_add(table, "%llu%%",
			  (unsigned long long)percent(locked, limit));
	else
		table_add(table, "-");
}

static void make_table(struct table *table, const struct rows *rows)
{
	static const char * const titles[] = {
		"CONTAINER", "PID", "COMMAND", "MAP/s", "UNMAP/s", "REG/s",
		"UNREG/s", "CREATE/s", "REFUSED/s", "TCES", "LOCKED", "LIMIT",
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(titles); i++)
		table_title(table, titles[i], i != 2);
	for (i = 0; i < rows->count; i++)
		add_row(table, &rows->row[i]);
}

static void print_json(const struct rows *rows)
{
	struct json_object *object = json_begin("top");
	struct json_object *array = json_array_new(), *row;
	size_t i, j;

	for (i = 0; i < rows->count; i++) {
		const struct record *record = rows->row[i].record;

		row = json_object_start();
		json_add(row, "container",
			 json_number_new(record_value(record, "container")));
		json_add(row, "pid", json_number_new(record_value(record, "pid")));
		json_add(row, "comm", json_string_new(record_get(record, "comm")));
		for (j = 0; j < COUNTERS; j++)
			json_add(row, counters[j], rows->row[i].rate[j] < 0 ?
				 NULL : json_double_new(rows->row[i].rate[j]));
		json_add(row, "mapped", json_number_new(rows->row[i].mapped));
		json_append(array, row);
	}
	json_add(object, "error", NULL);
	json_add(object, "containers", array);
	json_end_line(object);
}

/* Returns false if the output cannot be written, so that a further picture has no use. */
static bool print_batch(const struct request *request, const struct rows *rows)
{
	struct table table = { 0 };

	if (request->json) {
		print_json(rows);
	} else {
		make_table(&table, rows);
		table_print(&table);
	}
	return !fflush(stdout) && !ferror(stdout);
}

/* Draws the lines of a table that fit on the screen. */
static void draw(const struct rows *rows, const struct sample *sample)
{
	struct table table = { 0 };
	char *text, *rest, *line;
	int y = 2;

	make_table(&table, rows);
	text = table_text(&table);
	rest = text;
	erase();
	mvprintw(0, 0, "tce2ctl top: %zu containers   q: quit",
		 sample->containers.count);
	while ((line = strsep(&rest, "\n")) && *line && y < LINES) {
		if (y == 2)
			attron(A_REVERSE);
		mvaddnstr(y++, 0, line, -1);
		attroff(A_REVERSE);
		/* On a narrow terminal the end of the line is on the next lines. */
		if (y < LINES && !move(y, 0))
			clrtobot();
	}
	refresh();
	free(text);
}

/* Waits for the delay; returns false if the user quits. */
static bool wait_for_key(double delay)
{
	double end = now() + delay, left;
	int key;

	while ((left = end - now()) > 0) {
		timeout(left * 1000 + 1);
		key = getch();
		if (key == 'q' || key == 'Q' || key == 27)
			return false;
		if (key == KEY_RESIZE)
			return true;
	}
	return true;
}

static bool wait_for_time(double delay)
{
	struct timespec time = { delay, (delay - (long)delay) * 1e9 };

	nanosleep(&time, NULL);
	return true;
}

/* Shows pictures until the user quits, or until the wanted number was shown. */
static int show(const struct request *request, bool is_screen)
{
	double delay = request->delay > 0 ? request->delay : DELAY_DEFAULT;
	struct sample before, sample;
	int ret = EXIT_OK;
	bool is_read = true;
	struct rows rows;
	long shown = 0;

	sample_read(&before, request);
	while (is_read && !before.containers.error) {
		if (is_screen && !shown) {
			make_rows(&rows, request, &before, &before);
			draw(&rows, &before);
			free(rows.row);
		}
		if (!(is_screen ? wait_for_key : wait_for_time)(delay))
			break;
		sample_read(&sample, request);
		make_rows(&rows, request, &before, &sample);
		if (is_screen)
			draw(&rows, &sample);
		else if (!sample.containers.error)
			is_read = print_batch(request, &rows);
		free(rows.row);
		sample_free(&before);
		before = sample;
		if (++shown == request->count)
			break;
	}
	if (is_screen)
		endwin();
	if (before.containers.error)
		ret = report_unreadable(request, "top", &before.containers.why);
	sample_free(&before);
	return ret;
}

/**
 * run_top() - show the requests of each container in a second
 * @request: the command line
 *
 * Return: the exit status
 */
int run_top(const struct request *request)
{
	bool is_screen = isatty(STDOUT_FILENO) && isatty(STDIN_FILENO) &&
			 !request->json && !request->batch;
	SCREEN *screen;

	if (!is_screen)
		return show(request, false);
	screen = newterm(NULL, stdout, stdin);
	if (!screen) {
		fputs("tce2ctl: the terminal is unknown: set TERM, or use --batch\n",
		      stderr);
		return EXIT_UNKNOWN;
	}
	noecho();
	cbreak();
	curs_set(0);
	keypad(stdscr, true);
	set_escdelay(50);
	return show(request, true);
}
