// SPDX-License-Identifier: GPL-2.0-only
/*
 * Draws the windows as a picture in SVG, for `tce2ctl map --svg`.
 *
 * Calls: cells, map (for titles), list, text.
 */
#include <stdlib.h>

#include "tce2ctl.h"

#define MARGIN		20
#define BAR_WIDTH	960
#define BAR_HEIGHT	28
#define WIDTH		(BAR_WIDTH + 2 * MARGIN)
/* Heights of the text line of a container, of a window with its scale, of the legend */
#define TITLE_HEIGHT	34
#define WINDOW_HEIGHT	84
#define LEGEND_HEIGHT	50

/* Colours of page sizes, as page_color() numbers them; distinct for the colour-blind */
static const struct {
	const char *color;
	const char *name;
} pages[] = {
	{ "#0072b2", "pages of 4 KiB" },
	{ "#009e73", "64 KiB" },
	{ "#e69f00", "1 to 16 MiB" },
	{ "#cc79a7", "larger pages" },
};

static void print_text(int x, int y, const char *class, const char *text)
{
	char *clean = xml_text(text);

	printf("<text x=\"%d\" y=\"%d\" class=\"%s\">%s</text>\n", x, y, class,
	       clean);
	free(clean);
}

/* Returns the opacity in percent, so that a cell with a single TCE can be seen. */
static unsigned int opacity(unsigned int part)
{
	return part == 100 ? 100 : 25 + part / 2;
}

static void print_run(const struct cells *cells, int y, size_t from, size_t to)
{
	unsigned int part = cells_percent(cells, from);
	uint64_t first, last, unused;
	double scale = (double)BAR_WIDTH / cells->count;

	if (!part)
		return;
	cells_place(cells, from, &first, &unused);
	cells_place(cells, to - 1, &unused, &last);
	printf("<rect x=\"%.2f\" y=\"%d\" width=\"%.2f\" height=\"%d\" fill=\"%s\" fill-opacity=\"%u%%\"><title>0x%llx to 0x%llx: %u%% mapped%s</title></rect>\n",
	       MARGIN + from * scale, y, (to - from) * scale, BAR_HEIGHT,
	       pages[page_color(cells->page)].color, opacity(part),
	       (unsigned long long)first, (unsigned long long)last, part,
	       cells->writable[from] ? "" : ", read-only");
}

/* Draws equal adjacent cells as one rectangle. */
static void print_runs(const struct cells *cells, int y)
{
	size_t from = 0, i;

	for (i = 1; i <= cells->count; i++) {
		if (i < cells->count &&
		    cells_percent(cells, i) == cells_percent(cells, from) &&
		    cells->writable[i] == cells->writable[from])
			continue;
		print_run(cells, y, from, i);
		from = i;
	}
}

static void print_window(const struct map *map, const struct record *window,
			 int y)
{
	char *title = window_title(window), address[24];
	struct cells cells;

	print_text(MARGIN, y + 18, "w", title);
	free(title);
	if (cells_make(&cells, window, &map->mappings, BAR_WIDTH)) {
		printf("<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" class=\"f\"/>\n",
		       MARGIN, y + 26, BAR_WIDTH, BAR_HEIGHT);
		print_runs(&cells, y + 26);
		snprintf(address, sizeof(address), "0x%llx",
			 (unsigned long long)cells.start);
		print_text(MARGIN, y + 68, "a", address);
		snprintf(address, sizeof(address), "0x%llx",
			 (unsigned long long)(cells.start + cells.size - 1));
		print_text(MARGIN + BAR_WIDTH, y + 68, "a e", address);
	}
	cells_free(&cells);
}

static void print_legend(int y)
{
	int x = MARGIN, i;

	for (i = 0; i < ARRAY_SIZE(pages); i++) {
		printf("<rect x=\"%d\" y=\"%d\" width=\"14\" height=\"14\" fill=\"%s\"/>\n",
		       x, y, pages[i].color);
		print_text(x + 20, y + 12, "w", pages[i].name);
		x += 150;
	}
	printf("<rect x=\"%d\" y=\"%d\" width=\"14\" height=\"14\" class=\"f\"/>\n",
	       x, y);
	print_text(x + 20, y + 12, "w", "free; pale: partly mapped");
}

/* True if a window is of another container than the previous window */
static bool is_new(const struct record *window, uint64_t *last)
{
	uint64_t number = record_value(window, "container");
	bool is_other = number != *last;

	*last = number;
	return is_other;
}

static int picture_height(const struct request *request, const struct map *map)
{
	uint64_t last = UINT64_MAX;
	int height = MARGIN + LEGEND_HEIGHT;
	size_t i;

	for (i = 0; i < map->windows.count; i++) {
		if (!is_chosen(request, &map->windows.record[i]))
			continue;
		height += WINDOW_HEIGHT;
		if (is_new(&map->windows.record[i], &last))
			height += TITLE_HEIGHT;
	}
	return last == UINT64_MAX ? height + TITLE_HEIGHT : height;
}

/**
 * svg_print() - print the windows as SVG
 * @request: the command line
 * @map: the state
 */
void svg_print(const struct request *request, const struct map *map)
{
	int height = picture_height(request, map), y = MARGIN;
	uint64_t last = UINT64_MAX;
	char *title;
	size_t i;

	printf("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
	       "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\">\n"
	       "<style>text{font-family:sans-serif;fill:#222}.c{font-size:17px;font-weight:bold}.w{font-size:13px}.a{font-size:12px;font-family:monospace}.e{text-anchor:end}.f{fill:#f2f2f2;stroke:#999}</style>\n"
	       "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n",
	       WIDTH, height, WIDTH, height);
	for (i = 0; i < map->windows.count; i++) {
		const struct record *window = &map->windows.record[i];

		if (!is_chosen(request, window))
			continue;
		if (is_new(window, &last)) {
			title = container_title(&map->containers, last);
			print_text(MARGIN, y + 20, "c", title);
			free(title);
			y += TITLE_HEIGHT;
		}
		print_window(map, window, y);
		y += WINDOW_HEIGHT;
	}
	if (last == UINT64_MAX) {
		print_text(MARGIN, y + 20, "c", "no windows");
		y += TITLE_HEIGHT;
	}
	print_legend(y + 10);
	puts("</svg>");
}
