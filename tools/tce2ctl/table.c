// SPDX-License-Identifier: GPL-2.0-only
/*
 * Prints tables with aligned columns, sizes and findings.
 *
 * Calls: text.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include "tce2ctl.h"

/**
 * text_width() - count the columns of a terminal that a text needs
 * @text: the text, from clean_text()
 *
 * Return: the number of columns
 */
size_t text_width(const char *text)
{
	mbstate_t state = { 0 };
	size_t width = 0, length;
	wchar_t wide;
	int columns;

	while (*text) {
		length = mbrtowc(&wide, text, MB_CUR_MAX, &state);
		if (length == 0 || length > MB_CUR_MAX)
			return width + strlen(text);
		columns = wcwidth(wide);
		width += columns > 0 ? columns : 0;
		text += length;
	}
	return width;
}

/**
 * size_text() - write a number of bytes for a reader
 * @bytes: the number
 * @text: receives the text: a binary unit and at most four digits
 *
 * Return: @text
 */
char *size_text(uint64_t bytes, char text[24])
{
	static const char * const units[] = {
		"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB",
	};
	uint64_t whole = bytes, rest = 0;
	size_t unit = 0;

	while (whole >= 1024) {
		rest = whole % 1024 * 10 / 1024;
		whole /= 1024;
		unit++;
	}
	if (rest && whole < 100)
		snprintf(text, 24, "%d.%d %s", (int)whole, (int)rest,
			 units[unit]);
	else
		snprintf(text, 24, "%d %s", (int)whole, units[unit]);
	return text;
}

/**
 * terminal_width() - find the width of the terminal
 *
 * Return: the number of columns, or 0 if standard output is no terminal
 */
size_t terminal_width(void)
{
	struct winsize size;

	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) ? 0 : size.ws_col;
}

/**
 * percent() - compute a percentage
 * @part: the part
 * @whole: the whole
 *
 * Return: the percentage, rounded down; 0 if the whole is 0
 */
uint64_t percent(uint64_t part, uint64_t whole)
{
	if (part > UINT64_MAX / 100)
		return whole / 100 ? part / (whole / 100) : 0;
	return whole ? part * 100 / whole : 0;
}

/**
 * table_title() - add a column to an empty table
 * @table: the table
 * @title: title of the column
 * @right: true to align the column to the right
 */
void table_title(struct table *table, const char *title, bool right)
{
	table->right |= (uint64_t)right << table->columns++;
	table_add(table, "%s", title);
}

/**
 * table_add() - add a cell
 * @table: the table
 * @format: text of the cell, as for printf()
 */
void table_add(struct table *table, const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	text = format_text(format, args);
	va_end(args);
	table->cell = grow(table->cell, table->cells, sizeof(*table->cell));
	table->cell[table->cells++] = clean_text(text);
	free(text);
}

static void print_cell(const struct table *table, size_t i, size_t width,
		       FILE *out)
{
	size_t column = i % table->columns;
	int pad = width - text_width(table->cell[i]);

	if (table->right >> column & 1)
		fprintf(out, "%*s%s", pad, "", table->cell[i]);
	else if (column + 1 < table->columns)
		fprintf(out, "%s%*s", table->cell[i], pad, "");
	else
		fputs(table->cell[i], out);
	fputs(column + 1 < table->columns ? "  " : "\n", out);
}

static void print_cells(const struct table *table, FILE *out)
{
	size_t *width = grow(NULL, 0, table->columns * sizeof(*width));
	size_t i, column, this_width;

	memset(width, 0, table->columns * sizeof(*width));
	for (i = 0; i < table->cells; i++) {
		column = i % table->columns;
		this_width = text_width(table->cell[i]);
		if (width[column] < this_width)
			width[column] = this_width;
	}
	for (i = 0; i < table->cells; i++)
		print_cell(table, i, width[i % table->columns], out);
	free(width);
}

/**
 * table_end() - print a table if wanted, and free its memory
 * @table: the table
 * @print: true to print it
 */
void table_end(struct table *table, bool print)
{
	size_t i;

	if (print)
		print_cells(table, stdout);
	for (i = 0; i < table->cells; i++)
		free(table->cell[i]);
	free(table->cell);
	*table = (struct table){ 0 };
}

/**
 * table_print() - print a table, and free its memory
 * @table: the table
 */
void table_print(struct table *table)
{
	table_end(table, true);
}

/**
 * table_text() - write a table to a string, and free the memory of the table
 * @table: the table
 *
 * Return: the text, which the caller frees
 */
char *table_text(struct table *table)
{
	char *text;
	size_t size;
	FILE *out = open_string(&text, &size);

	print_cells(table, out);
	fclose(out);
	table_end(table, false);
	return text;
}

static const char * const grade_names[] = { "ok", "note", "unknown", "fail" };

/**
 * finding_add() - add a finding
 * @findings: the findings
 * @grade: severity
 * @topic: subject in one word
 * @format: the fact and the advice, as for printf()
 */
void finding_add(struct findings *findings, enum grade grade,
		 const char *topic, const char *format, ...)
{
	struct finding finding = { .grade = grade, .topic = topic };
	va_list args;

	va_start(args, format);
	finding.text = format_text(format, args);
	va_end(args);
	findings->finding = grow(findings->finding, findings->count,
				 sizeof(finding));
	findings->finding[findings->count++] = finding;
}

/**
 * findings_exit() - choose the exit status
 * @findings: the findings
 *
 * Return: EXIT_PROBLEM if a finding is a problem; otherwise EXIT_UNKNOWN if a finding
 * is unknown; otherwise EXIT_OK
 */
int findings_exit(const struct findings *findings)
{
	static const int exits[] = {
		[GRADE_OK]	= EXIT_OK,
		[GRADE_NOTE]	= EXIT_OK,
		[GRADE_UNKNOWN]	= EXIT_UNKNOWN,
		[GRADE_FAIL]	= EXIT_PROBLEM,
	};
	enum grade worst = GRADE_OK;
	size_t i;

	for (i = 0; i < findings->count; i++) {
		if (findings->finding[i].grade > worst)
			worst = findings->finding[i].grade;
	}
	return exits[worst];
}

/* Columns before the text of a finding */
#define FINDING_INDENT	23
/* A narrower terminal gets unbroken lines. */
#define FINDING_LEAST	60

/* Prints a text, broken at blanks for a terminal of this width. */
static void print_wrapped(const char *text, size_t width)
{
	char *clean = clean_text(text), *rest = clean, *word;
	size_t column = FINDING_INDENT, length;

	while ((word = strsep(&rest, " "))) {
		length = text_width(word);
		if (column > FINDING_INDENT && column + 1 + length > width) {
			printf("\n%*s", FINDING_INDENT, "");
			column = FINDING_INDENT;
		} else if (column > FINDING_INDENT) {
			putchar(' ');
			column++;
		}
		fputs(word, stdout);
		column += length;
	}
	putchar('\n');
	free(clean);
}

static void print_finding(const struct finding *finding, size_t width)
{
	printf("  %-8s %-11s ", grade_names[finding->grade], finding->topic);
	if (width >= FINDING_LEAST) {
		print_wrapped(finding->text, width);
	} else {
		print_clean(finding->text);
		putchar('\n');
	}
}

/**
 * findings_print() - print the findings, the most severe first
 * @findings: the findings
 *
 * Long lines are broken only on a terminal, so that programs see one line for each.
 */
void findings_print(const struct findings *findings)
{
	size_t width = terminal_width(), i;
	int grade;

	for (grade = GRADE_FAIL; grade >= GRADE_OK; grade--) {
		for (i = 0; i < findings->count; i++) {
			if (findings->finding[i].grade == grade)
				print_finding(&findings->finding[i], width);
		}
	}
}

/**
 * findings_json() - make the JSON of findings
 * @findings: the findings
 *
 * Return: an array
 */
struct json_object *findings_json(const struct findings *findings)
{
	struct json_object *array = json_array_new();
	struct json_object *object;
	size_t i;

	for (i = 0; i < findings->count; i++) {
		const struct finding *finding = &findings->finding[i];

		object = json_object_start();
		json_add(object, "topic", json_string_new(finding->topic));
		json_add(object, "status",
			 json_string_new(grade_names[finding->grade]));
		json_add(object, "text", json_string_new(finding->text));
		json_append(array, object);
	}
	return array;
}

/**
 * findings_free() - free the memory of findings
 * @findings: the findings
 */
void findings_free(struct findings *findings)
{
	while (findings->count)
		free(findings->finding[--findings->count].text);
	free(findings->finding);
}
