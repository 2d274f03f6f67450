// SPDX-License-Identifier: GPL-2.0-only
/*
 * Find memory leaked by the module with kmemleak. While the module is loaded, kmemleak
 * prints the names of its functions. After the unload it prints only addresses, so each
 * address range at which the module was loaded is recorded.
 */
#define _GNU_SOURCE
#include "lib.h"
#include "machine.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* kmemleak reports no object that is younger than five seconds */
#define OLD_ENOUGH	6
#define PAGE_BITS	16	/* log2 of the largest page size; a module begins at a page */
#define MOST_PLACES	4096
/* The common prefix of all vmalloc() and module addresses */
#define VMALLOC_BITS	48
#define VMALLOC_START	0xc008

/* Each address range in which the module's .text was loaded; the last range is current */
static uint64_t places[MOST_PLACES];
static size_t place_count;
static uint64_t last_place;

static bool is_known(uint64_t place)
{
	for (size_t i = 0; i < place_count; i++)
		if (places[i] == place)
			return true;
	return false;
}

void note_place_of_ours(void)
{
	char line[32];

	last_place = 0;
	if (!read_line("/sys/module/" OUR_MODULE "/sections/.text", line,
		       sizeof(line)))
		return;
	last_place = strtoull(line, NULL, 16);
	if (!is_known(last_place) && place_count < MOST_PLACES)
		places[place_count++] = last_place;
}

/**
 * struct symbol - a line of /proc/kallsyms
 * @address: its first field
 * @kind: its second field
 * @name: its third field
 * @module: its fourth field with the brackets, or ""
 */
struct symbol {
	uint64_t address;
	char kind;
	char name[256];
	char module[64];
};

static bool next_symbol(FILE *symbols, struct symbol *symbol)
{
	char line[512];

	symbol->module[0] = 0;
	return fgets(line, sizeof(line), symbols) &&
	       sscanf(line, "%" SCNx64 " %c %255s %63s", &symbol->address,
		      &symbol->kind, symbol->name, symbol->module) >= 3;
}

/* Find the address range of a kernel function, which ends at the next symbol */
bool text_of_function(const char *name, struct text *text)
{
	FILE *symbols = fopen("/proc/kallsyms", "re");
	struct symbol symbol;
	bool found = false;

	while (symbols && !found && next_symbol(symbols, &symbol))
		found = !strcmp(symbol.name, name);
	if (found) {
		text->first = symbol.address;
		found = next_symbol(symbols, &symbol);
		text->end = symbol.address;
	}
	if (symbols)
		fclose(symbols);
	return found;
}

/* Find the range of the module's text; it ends at a page, where another module may begin */
bool text_of_ours(struct text *text)
{
	FILE *symbols = fopen("/proc/kallsyms", "re");
	struct symbol symbol;
	uint64_t last = 0;

	text->first = UINT64_MAX;
	while (symbols && next_symbol(symbols, &symbol)) {
		if (strcmp(symbol.module, "[" OUR_MODULE "]") ||
		    (symbol.kind != 't' && symbol.kind != 'T'))
			continue;
		if (symbol.address < text->first)
			text->first = symbol.address;
		if (symbol.address > last)
			last = symbol.address;
	}
	if (symbols)
		fclose(symbols);
	text->end = (last | ((1 << PAGE_BITS) - 1)) + 1;
	return last;
}

/* Scan twice, because one scan may miss the pointer of a running function to its object */
bool find_leaks(void)
{
	sleep(OLD_ENOUGH);
	return write_text(KMEMLEAK, "scan") && write_text(KMEMLEAK, "scan");
}

static void print_lines(char *text)
{
	char *line;

	while ((line = strsep(&text, "\n")))
		if (*line)
			printf("# %s\n", line);
}

bool ours_has_no_leaks(void)
{
	char *leaks;
	bool none;

	if (!read_whole(KMEMLEAK, &leaks))
		return false;
	none = !strstr(leaks, "[" OUR_MODULE);
	if (!none)
		print_lines(leaks);
	free(leaks);
	return none;
}

/* Check that a word is an address, with no other character, in a range */
static bool is_address_in(const char *word, const struct text *text)
{
	uint64_t address;
	char *end;

	if (!strncmp(word, "0x", 2))
		word += 2;
	address = strtoull(word, &end, 16);
	return !*end && end - word == 16 && address >= text->first &&
	       address < text->end;
}

/*
 * Check one kmemleak record, split into words. The address of a module whose load failed
 * is unknown. So any function without a name counts as the module's in records of the
 * LOADER process, which loads such modules.
 */
static bool is_left_by(char *record, const struct text *text)
{
	static const struct text anywhere = {
		.first = (uint64_t)VMALLOC_START << VMALLOC_BITS,
		.end = (uint64_t)(VMALLOC_START + 1) << VMALLOC_BITS,
	};
	char *line;

	while ((line = strsep(&record, "\n"))) {
		char *word;

		if (strstr(line, "comm \"" LOADER "\""))
			text = &anywhere;
		while ((word = strsep(&line, " \t()[]<>")))
			if (is_address_in(word, text))
				return true;
	}
	return false;
}

/* Print the objects leaked by code in a range; return true if there are any */
static bool left_behind(const struct text *text)
{
	static const char begin[] = "unreferenced";
	char *leaks, *record, *next;
	bool found = false;

	if (!read_whole(KMEMLEAK, &leaks))
		return true;
	for (record = strstr(leaks, begin); record; record = next) {
		char *copy;

		next = strstr(record + 1, begin);
		copy = next ? strndup(record, next - record) : strdup(record);
		if (copy && is_left_by(copy, text)) {
			found = true;
			free(copy);
			copy = next ? strndup(record, next - record) : strdup(record);
			print_lines(copy);
		}
		free(copy);
	}
	free(leaks);
	return found;
}

/*
 * Check that no allocation made in any recorded range is leaked. @text is the module's
 * text in the last recorded range. Fail if that range is unknown or does not match
 * @text, or if the list of ranges is full.
 */
bool ours_left_nothing(const struct text *text)
{
	/* The module's first function is in the first page of .text */
	if (!last_place || text->first >> PAGE_BITS != last_place >> PAGE_BITS ||
	    place_count == MOST_PLACES || !find_leaks())
		return false;
	for (size_t i = 0; i < place_count; i++) {
		struct text here = {
			.first = places[i],
			.end = places[i] + (text->end - last_place),
		};

		if (left_behind(&here))
			return false;
	}
	return true;
}
