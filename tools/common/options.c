// SPDX-License-Identifier: GPL-2.0-only
/*
 * Options of the command line, and the end of a program.
 *
 * Calls: text.
 */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "common.h"

/* getopt_long() returns this value plus the index of the row */
#define FIRST_VALUE	256

static const struct option_row common_rows[] = {
	{ 'h', "--help", NULL, "print this help" },
	{ 'V', "--version", NULL, "print the version" },
};

static size_t count_rows(const struct tool *tool)
{
	size_t count = 0;

	while (tool->options[count].name)
		count++;
	return count;
}

static const struct option_row *row_at(const struct tool *tool, size_t i)
{
	size_t count = count_rows(tool);

	return i < count ? &tool->options[i] : &common_rows[i - count];
}

/**
 * options_print() - print the options, for the usage of a program
 * @tool: the program
 * @out: stream to print to
 */
void options_print(const struct tool *tool, FILE *out)
{
	size_t count = count_rows(tool) + ARRAY_SIZE(common_rows), i;
	int length, width = tool->width;

	for (i = 0; i < count; i++) {
		const struct option_row *row = row_at(tool, i);

		if (!row->help)
			continue;
		length = row->letter ? fprintf(out, "  -%c, ", row->letter) :
				       fprintf(out, "      ");
		length += fprintf(out, "%s%s%s", row->name, row->value ? "=" : "",
				  row->value ?: "");
		if (length >= width) {
			fputc('\n', out);
			length = 0;
		}
		fprintf(out, "%*s%s\n", width - length, "", row->help);
	}
}

/* The arguments of getopt_long(); the caller frees @options and @letters */
struct syntax {
	struct option *options;
	char *letters;
	size_t count;
};

static struct syntax make_syntax(const struct tool *tool,
				 bool first_word_ends)
{
	struct syntax syntax = {
		.count = count_rows(tool) + ARRAY_SIZE(common_rows),
	};
	char *at;
	size_t i;

	syntax.options = grow(NULL, 0, (syntax.count + 1) * sizeof(*syntax.options));
	syntax.letters = grow(NULL, 0, 2 * syntax.count + 2);
	at = syntax.letters;
	/* With "+", the first word that is no option ends the options */
	if (first_word_ends)
		*at++ = '+';
	for (i = 0; i < syntax.count; i++) {
		const struct option_row *row = row_at(tool, i);

		syntax.options[i] = (struct option){
			.name = row->name + strlen("--"), .val = FIRST_VALUE + i,
			.has_arg = row->value ? required_argument : no_argument,
		};
		if (!row->letter)
			continue;
		*at++ = row->letter;
		if (row->value)
			*at++ = ':';
	}
	*at = '\0';
	syntax.options[i] = (struct option){ 0 };
	return syntax;
}

/* Finds the row of a result of getopt_long(), or NULL for an unknown option. */
static const struct option_row *find_row(const struct tool *tool,
					 size_t count, int value)
{
	size_t i;

	if (value >= FIRST_VALUE)
		return row_at(tool, value - FIRST_VALUE);
	for (i = 0; i < count; i++) {
		if (row_at(tool, i)->letter == value)
			return row_at(tool, i);
	}
	return NULL;
}

static void take(const struct tool *tool, const struct option_row *row,
		 void *request)
{
	char *member = (char *)request + (row ? row->member : 0);

	if (!row) {
		tool->print_usage(stderr);
		exit(EXIT_USAGE);
	}
	if (row == &common_rows[0])
		tool->print_usage(stdout);
	else if (row == &common_rows[1])
		printf("%s " TCE2_VERSION "\n", tool->name);
	if (row == &common_rows[0] || row == &common_rows[1])
		exit(finish(tool->name, EXIT_OK));
	if (row->take)
		row->take(request, optarg);
	else if (row->value)
		memcpy(member, &optarg, sizeof(optarg));
	else
		*(bool *)member = true;
}

/**
 * options_parse() - parse the options of a command line
 * @tool: the program
 * @request: structure with the members that the options set
 * @first_word_ends: true if the first word that is no option ends the options
 * @argc: number of words; the first word is not parsed
 * @argv: words, which are reordered, so that the options come first
 *
 * Exits after --help, --version, or a wrong option. @argv may have other words than in the
 * previous call.
 *
 * Return: index of the first word that is no option
 */
int options_parse(const struct tool *tool, void *request,
		  bool first_word_ends, int argc, char **argv)
{
	struct syntax syntax = make_syntax(tool, first_word_ends);
	const struct option_row *row = NULL;
	int value;

	/* 0 makes getopt_long() start again */
	optind = 0;
	while (!(row && row->is_last) &&
	       (value = getopt_long(argc, argv, syntax.letters, syntax.options,
				    NULL)) != -1) {
		row = find_row(tool, syntax.count, value);
		take(tool, row, request);
	}
	free(syntax.options);
	free(syntax.letters);
	return optind;
}

/**
 * finish() - check that standard output has been written
 * @name: name of the program
 * @status: exit status of the program so far
 *
 * Return: @status, or EXIT_UNKNOWN after an error
 */
int finish(const char *name, int status)
{
	if (!fflush(stdout) && !ferror(stdout))
		return status;
	fprintf(stderr, "%s: cannot write the result: %s\n", name,
		strerror(errno));
	return EXIT_UNKNOWN;
}
