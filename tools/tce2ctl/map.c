// SPDX-License-Identifier: GPL-2.0-only
/*
 * Command "map": draws the windows in the terminal, as SVG, or as numbers in JSON.
 *
 * Calls: cells, svg, records, list, output, json.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tce2ctl.h"

#define WIDTH_DEFAULT	80
#define WIDTH_LEAST	20
#define WIDTH_MOST	1000
/* Columns of the legend on one line */
#define LEGEND_WIDTH	52

/* Characters for free, up to 33%, up to 66%, above, and full */
static const char * const blocks[] = { "·", "░", "▒", "▓", "█" };
static const char * const ascii[] = { ".", "-", "+", "*", "#" };

struct style {
	const char * const *glyphs;
	bool color;
	size_t width;
};

static size_t map_width(const struct request *request)
{
	const char *columns = getenv("COLUMNS");
	uint64_t width = request->width ?: terminal_width();

	if (!width && (!columns || !parse_number(columns, &width)))
		width = WIDTH_DEFAULT;
	if (width < WIDTH_LEAST)
		return WIDTH_LEAST;
	return width < WIDTH_MOST ? width : WIDTH_MOST;
}

/* no-color.org: any text in NO_COLOR switches colours off. */
static bool wants_color(const struct request *request)
{
	const char *never = getenv("NO_COLOR"), *term = getenv("TERM");

	if (request->color != COLOR_AUTO)
		return request->color == COLOR_ALWAYS;
	return isatty(STDOUT_FILENO) && !(never && *never) && term &&
	       strcmp(term, "dumb");
}

/**
 * page_color() - choose the colour of an IOMMU page size
 * @page: size of the page
 *
 * Return: index in the tables of colours: 4 KiB, 64 KiB, up to 16 MiB, larger
 */
int page_color(uint64_t page)
{
	return page < 64 * KIB ? 0 : page < MIB ? 1 : page <= 16 * MIB ? 2 : 3;
}

static int glyph_index(unsigned int part)
{
	if (part == 0 || part == 100)
		return part ? 4 : 0;
	return part <= 33 ? 1 : part <= 66 ? 2 : 3;
}

static void print_bar(const struct style *style, const struct cells *cells)
{
	static const int colors[] = { 34, 32, 33, 35 };
	int now = 0, next;
	unsigned int part;
	size_t i;

	fputs("  |", stdout);
	for (i = 0; i < cells->count; i++) {
		part = cells_percent(cells, i);
		next = part ? colors[page_color(cells->page)] : 90;
		if (style->color && next != now)
			printf("\033[%dm", next);
		now = next;
		fputs(style->glyphs[glyph_index(part)], stdout);
	}
	puts(style->color ? "\033[0m|" : "|");
}

/* Prints the first and the last address below the ends of the bar. */
static void print_scale(const struct cells *cells)
{
	char first[24], last[24];
	int pad;

	snprintf(first, sizeof(first), "0x%llx",
		 (unsigned long long)cells->start);
	snprintf(last, sizeof(last), "0x%llx",
		 (unsigned long long)(cells->start + cells->size - 1));
	pad = (int)cells->count + 2 - (int)strlen(first);
	printf("  %s%*s\n", first, pad > (int)strlen(last) ? pad :
	       (int)strlen(last) + 1, last);
}

/**
 * window_title() - describe a window
 * @window: record of the window
 *
 * Return: the text, which the caller frees
 */
char *window_title(const struct record *window)
{
	uint64_t page = record_value(window, "page");
	uint64_t size = record_value(window, "size");
	uint64_t tces = page ? size / page : 0;
	uint64_t mapped = record_value(window, "mapped");
	char text[2][24], *title = NULL;

	if (asprintf(&title, "window %llu: %s, pages of %s, %llu of %llu TCEs in use (%llu%%)",
		     (unsigned long long)record_value(window, "slot"),
		     size_text(size, text[0]), size_text(page, text[1]),
		     (unsigned long long)mapped, (unsigned long long)tces,
		     (unsigned long long)percent(mapped, tces)) < 0)
		return copy_text("window");
	return title;
}

/**
 * container_title() - describe a container and its owner
 * @containers: all containers
 * @number: the container
 *
 * Return: the text, which the caller frees
 */
char *container_title(const struct records *containers, uint64_t number)
{
	const char *comm = "?", *pid = "?";
	char *title = NULL;
	size_t i;

	for (i = 0; i < containers->count; i++) {
		const struct record *record = &containers->record[i];

		if (record_value(record, "container") != number)
			continue;
		comm = record_get(record, "comm") ?: "?";
		pid = record_get(record, "pid") ?: "?";
	}
	if (asprintf(&title, "container %llu: %s (%s)",
		     (unsigned long long)number, comm, pid) < 0)
		return copy_text("container");
	return title;
}

static void print_window(const struct style *style, const struct map *map,
			 const struct record *window)
{
	char *title = window_title(window);
	struct cells cells;

	printf("  %s\n", title);
	free(title);
	if (cells_make(&cells, window, &map->mappings, style->width - 4)) {
		print_bar(style, &cells);
		print_scale(&cells);
	} else {
		puts("  (damaged record)");
	}
	cells_free(&cells);
}

/* Prints the legend on one line if it fits, else on a line for each character. */
static void print_legend(const struct style *style)
{
	static const char * const texts[] = {
		"free", "up to 33%", "up to 66%", "more", "full",
	};
	const char *end = style->width < LEGEND_WIDTH ? "\n" : "   ";
	size_t i;

	for (i = 0; i < ARRAY_SIZE(texts); i++)
		printf("%s %s%s", style->glyphs[i], texts[i],
		       i + 1 < ARRAY_SIZE(texts) ? end : "\n");
}

static void print_map(const struct request *request, const struct map *map)
{
	struct style style = {
		.glyphs = text_is_ascii || request->ascii ? ascii : blocks,
		.color = wants_color(request),
		.width = map_width(request),
	};
	uint64_t number, last = UINT64_MAX;
	char *title;
	size_t i;

	for (i = 0; i < map->windows.count; i++) {
		const struct record *window = &map->windows.record[i];

		if (!is_chosen(request, window))
			continue;
		number = record_value(window, "container");
		if (number != last) {
			title = container_title(&map->containers, number);
			print_clean(title);
			free(title);
			putchar('\n');
		}
		last = number;
		print_window(&style, map, window);
	}
	if (last == UINT64_MAX)
		puts("no windows");
	else
		print_legend(&style);
}

static struct json_object *cells_json(const struct cells *cells)
{
	struct json_object *array = json_array_new();
	size_t i;

	for (i = 0; i < cells->count; i++)
		json_append(array, json_number_new(cells_percent(cells, i)));
	return array;
}

static void print_json(const struct request *request, const struct map *map)
{
	struct json_object *object = json_begin("map");
	struct json_object *array = json_array_new(), *row;
	struct cells cells;
	size_t i;

	for (i = 0; i < map->windows.count; i++) {
		const struct record *window = &map->windows.record[i];

		if (!is_chosen(request, window))
			continue;
		row = json_record(&map->windows, window);
		json_add(row, "cells", cells_make(&cells, window, &map->mappings,
						  map_width(request)) ?
			 cells_json(&cells) : NULL);
		cells_free(&cells);
		json_append(array, row);
	}
	json_add(object, "error", NULL);
	json_add(object, "windows", array);
	json_end(object);
}

static int write_svg(const struct request *request, const struct map *map)
{
	struct output output;

	if (output_begin(&output, request->svg))
		return EXIT_UNKNOWN;
	svg_print(request, map);
	return output_end(&output, true) ? EXIT_UNKNOWN : EXIT_OK;
}

/**
 * run_map() - draw the windows
 * @request: the command line
 *
 * Return: the exit status
 */
int run_map(const struct request *request)
{
	struct map map;
	int ret = EXIT_OK;

	records_read(&map.containers, &request->source, FILE_CONTAINERS);
	records_read(&map.windows, &request->source, FILE_WINDOWS);
	records_read(&map.mappings, &request->source, FILE_MAPPINGS);
	if (map.windows.error)
		ret = report_unreadable(request, "map", &map.windows.why);
	else if (map.mappings.error)
		ret = report_unreadable(request, "map", &map.mappings.why);
	else if (request->svg)
		ret = write_svg(request, &map);
	else if (request->json)
		print_json(request, &map);
	else
		print_map(request, &map);
	records_free(&map.containers);
	records_free(&map.windows);
	records_free(&map.mappings);
	return ret;
}
