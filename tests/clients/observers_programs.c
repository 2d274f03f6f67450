// SPDX-License-Identifier: GPL-2.0-only
/*
 * Run the programs of administrators, print their output, and compare it with the requests
 * of the clients.
 */
#define _GNU_SOURCE
#include "observers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

/* Print a text with a prefix before each line, which keeps the text out of the TAP */
static void print_lines(const char *prefix, const char *text)
{
	while (*text) {
		int length = strcspn(text, "\n");

		printf("# %s%.*s\n", prefix, length, text);
		text += length + (text[length] == '\n');
	}
}

/*
 * Run a command of a shell, and print its output. Return the output, which the caller frees.
 * @status receives the exit status, or -1.
 */
char *run(const char *command, int *status)
{
	size_t size = 0;
	char *text = NULL, *all;
	int ended;
	FILE *f;

	printf("# $ %s\n", command);
	fflush(stdout);
	*status = -1;
	if (asprintf(&all, "{ %s; } 2>&1 </dev/null", command) < 0)
		return strdup("");
	f = popen(all, "re");
	free(all);
	if (!f || getdelim(&text, &size, 0, f) < 0) {
		free(text);
		text = strdup("");
	}
	ended = f ? pclose(f) : -1;
	if (WIFEXITED(ended))
		*status = WEXITSTATUS(ended);
	print_lines("| ", text);
	return text;
}

/* Run a command, and compare its status and its output; print the differences */
bool look(const struct look *look)
{
	int status;
	char *text = run(look->command, &status);
	bool ok = status == look->status;

	if (!ok)
		printf("# exit status %d, expected %d\n", status, look->status);
	for (size_t i = 0; i < MOST_WORDS && look->words[i]; i++) {
		if (strstr(text, look->words[i]))
			continue;
		printf("# missing: %s\n", look->words[i]);
		ok = false;
	}
	free(text);
	return tap(look->claim, ok);
}

void look_at_all(const struct look *looks, size_t count)
{
	for (size_t i = 0; i < count; i++)
		look(&looks[i]);
}

/* Find a line of @text that has the name of an event and later its fields */
static bool has_event(const char *text, const char *event, const char *fields)
{
	const char *at = text, *end, *found;

	while ((at = strstr(at, event))) {
		at += strlen(event);
		end = at + strcspn(at, "\n");
		found = *at == ':' ? strstr(at, fields) : NULL;
		if (found && found + strlen(fields) <= end)
			return true;
	}
	return false;
}

/*
 * Run a command that prints events. Check that the output has each line of the file EXPECTED,
 * which are the name of an event, a space, and the text of its fields.
 */
void tap_events(const char *claim, const char *command)
{
	int status;
	char *text = run(command, &status), *expected, *rest, *line, *fields;
	bool ok = !status && read_whole(EXPECTED, &expected) && *expected;

	rest = ok ? expected : NULL;
	while ((line = strsep(&rest, "\n"))) {
		fields = strchr(line, ' ');
		if (!fields)
			continue;
		*fields++ = '\0';
		if (has_event(text, line, fields))
			continue;
		printf("# missing: %s: %s\n", line, fields);
		ok = false;
	}
	free(text);
	tap(claim, ok);
}

/* Print the report of tce2ctl, which a test of tests/tce2ctl can read */
void print_report(const char *name)
{
	char *text;

	if (system("tce2ctl report --output=/tmp/report >/dev/null 2>&1") < 0 ||
	    !read_whole("/tmp/report", &text))
		return;
	printf("# report %s\n", name);
	print_lines("> ", text);
	free(text);
}
