// SPDX-License-Identifier: GPL-2.0-only
/*
 * Divides a window into cells of equal size, and counts the mapped bytes of each.
 *
 * Calls: records.
 */
#include <stdlib.h>
#include <string.h>

#include "tce2ctl.h"

/* Returns the offset of the first byte of a cell, without an overflow. */
static uint64_t cell_start(const struct cells *cells, size_t i)
{
	return cells->size / cells->count * i +
	       cells->size % cells->count * i / cells->count;
}

/**
 * cells_place() - find the bus addresses of a cell
 * @cells: the cells
 * @i: index of the cell
 * @first: receives the first address
 * @last: receives the last address
 */
void cells_place(const struct cells *cells, size_t i, uint64_t *first,
		 uint64_t *last)
{
	*first = cells->start + cell_start(cells, i);
	*last = cells->start + cell_start(cells, i + 1) - 1;
}

static void add_range(struct cells *cells, uint64_t from, uint64_t to,
		      bool is_writable)
{
	size_t i = from / (cells->size / cells->count + 1);
	uint64_t first, end;

	while (cell_start(cells, i + 1) <= from)
		i++;
	for (; i < cells->count && cell_start(cells, i) < to; i++) {
		first = cell_start(cells, i);
		end = cell_start(cells, i + 1);
		cells->used[i] += (to < end ? to : end) -
				  (from > first ? from : first);
		cells->writable[i] |= is_writable;
	}
}

static void add_mapping(struct cells *cells, const struct record *record)
{
	uint64_t from = record_value(record, "iova");
	uint64_t size = record_value(record, "size");
	const char *perm = record_get(record, "perm") ?: "";

	if (from < cells->start || !strcmp(perm, "none"))
		return;
	from -= cells->start;
	if (from >= cells->size)
		return;
	if (size > cells->size - from)
		size = cells->size - from;
	add_range(cells, from, from + size, strchr(perm, 'w'));
}

/**
 * cells_make() - divide a window into cells
 * @cells: receives the cells; the caller frees them with cells_free()
 * @window: record of the window
 * @mappings: all mappings
 * @most: largest number of cells
 *
 * Return: true, or false if the record of the window is damaged
 */
bool cells_make(struct cells *cells, const struct record *window,
		const struct records *mappings, size_t most)
{
	uint64_t container = record_value(window, "container");
	uint64_t slot = record_value(window, "slot"), tces;
	size_t i;

	*cells = (struct cells){
		.start = record_value(window, "start"),
		.size = record_value(window, "size"),
		.page = record_value(window, "page"),
	};
	tces = cells->page ? cells->size / cells->page : 0;
	if (!tces || cells->start + cells->size - 1 < cells->start)
		return false;
	cells->count = tces < most ? tces : most;
	cells->used = calloc(cells->count, sizeof(*cells->used));
	cells->writable = calloc(cells->count, sizeof(*cells->writable));
	if (!cells->used || !cells->writable)
		return false;
	for (i = 0; i < mappings->count; i++) {
		if (record_value(&mappings->record[i], "container") == container &&
		    record_value(&mappings->record[i], "slot") == slot)
			add_mapping(cells, &mappings->record[i]);
	}
	return true;
}

/**
 * cells_percent() - compute the percentage of a cell that is mapped
 * @cells: the cells
 * @i: index of the cell
 *
 * Return: 0 only for a free cell, 100 only for a full cell
 */
unsigned int cells_percent(const struct cells *cells, size_t i)
{
	uint64_t size = cell_start(cells, i + 1) - cell_start(cells, i);
	uint64_t used = cells->used[i];
	unsigned int part;

	if (!used || used >= size)
		return used ? 100 : 0;
	part = percent(used, size);
	return part < 1 ? 1 : part > 99 ? 99 : part;
}

/**
 * cells_free() - free the memory of cells
 * @cells: the cells
 */
void cells_free(struct cells *cells)
{
	free(cells->used);
	free(cells->writable);
}
