// SPDX-License-Identifier: GPL-2.0-only
/*
 * tce2ctl: shows and explains the state of vfio_spapr_tce2. See tce2ctl(8).
 *
 * This file parses the command line and calls the command.
 *
 * Calls: source, the commands, options.
 */
#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tce2ctl.h"

#define PROGRAM	"tce2ctl"

static int run_preflight(const struct request *request);

/*
 * The bash completion and the tests read the names from this table. A command that
 * parses its own options gets all arguments unchanged.
 */
static const struct command {
	const char *name;
	const char *arguments;
	const char *help;
	int (*run)(const struct request *request);
	bool own_options;
	bool no_json;
} commands[] = {
	{ "status", "", "modules, versions, and the backend of each container",
	  run_status },
	{ "explain", " PID", "limit of locked memory, need, setting, and refusals",
	  run_explain },
	{ "containers", "", "containers, their owners, charges and requests",
	  run_containers },
	{ "groups", "", "IOMMU groups and devices of the containers", run_groups },
	{ "windows", "", "windows, their tables, and the part in use",
	  run_windows },
	{ "map", "", "picture of the windows: free and mapped parts", run_map },
	{ "regions", "", "registered memory", run_regions },
	{ "mappings", "", "mappings, with adjacent mappings joined",
	  run_mappings },
	{ "refusals", "", "last refused requests, with the rule in words",
	  run_refusals },
	{ "top", "", "requests of each container in a second", run_top },
	{ "trace", "", "events of the module as lines", run_trace },
	{ "metrics", "", "metrics as OpenMetrics, for a textfile collector",
	  run_metrics, .no_json = true },
	{ "report", "", "state for a bug report, which --from reads", run_report,
	  .no_json = true },
	{ "preflight", " ...", "run tce2-preflight(8)", run_preflight, true },
};

static const struct tool tool;

static void print_usage(FILE *out)
{
	size_t i;

	fputs("usage: " PROGRAM " [OPTION]... COMMAND [ARGUMENT]...\n"
	      "Shows and explains the state of " MODULE ".\n\n", out);
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(out, "  %s%-*s %s\n", commands[i].name,
			(int)(25 - strlen(commands[i].name)),
			commands[i].arguments, commands[i].help);
	fputs("\n"
	      "  explain --guest ...       the same for a guest with these arguments of QEMU\n"
	      "  explain --dpdk ...        the same for a program with these arguments of DPDK\n\n",
	      out);
	options_print(&tool, out);
	fputs("\nExit status: 0 no problem, 1 a problem, 2 unknown, 3 wrong usage.\n", out);
}

static void __attribute__((__noreturn__)) refuse(const char *what,
						 const char *word)
{
	fprintf(stderr, PROGRAM ": %s", what);
	if (word) {
		char *clean = clean_text(word);

		fprintf(stderr, ": %s", clean);
		free(clean);
	}
	fputs("; try " PROGRAM " --help\n", stderr);
	exit(EXIT_USAGE);
}

static long read_number(const char *option, const char *text)
{
	uint64_t number;

	if (!parse_number(text, &number) || number > INT32_MAX)
		refuse(option, text);
	return number;
}

static void take_container(void *request, const char *text)
{
	((struct request *)request)->container = read_number("--container", text);
}

static void take_count(void *request, const char *text)
{
	((struct request *)request)->count = read_number("--count", text);
}

static void take_width(void *request, const char *text)
{
	((struct request *)request)->width = read_number("--width", text);
}

static void take_delay(void *request, const char *text)
{
	double seconds;
	char *end;

	seconds = strtod(text, &end);
	if (end == text || *end || !(seconds >= 0.01 && seconds <= 86400))
		refuse("--delay must be 0.01 to 86400 seconds", text);
	((struct request *)request)->delay = seconds;
}

static void take_color(void *request, const char *text)
{
	static const char * const words[] = {
		[COLOR_AUTO]	= "auto",
		[COLOR_ALWAYS]	= "always",
		[COLOR_NEVER]	= "never",
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(words); i++) {
		if (!strcmp(text, words[i])) {
			((struct request *)request)->color = i;
			return;
		}
	}
	refuse("--color must be auto, always or never", text);
}

static void take_guest(void *request, const char *text)
{
	(void)text;
	((struct request *)request)->program = PROGRAM_GUEST;
}

static void take_dpdk(void *request, const char *text)
{
	(void)text;
	((struct request *)request)->program = PROGRAM_DPDK;
}

#define MEMBER(name)	offsetof(struct request, name)

/* The arguments of another program follow --guest and --dpdk. */
static const struct option_row options[] = {
	{ 'r', "--root", "DIR", "read the state below DIR instead of /",
	  MEMBER(from) },
	{ 'f', "--from", "FILE", "read the state from a report or a directory",
	  MEMBER(from) },
	{ 'c', "--container", "NUMBER", "show only this container",
	  .take = take_container },
	{ 'j', "--json", NULL, "print JSON", MEMBER(json) },
	{ 'd', "--delay", "SECONDS",
	  "top: seconds between two pictures (default: 2)", .take = take_delay },
	{ 'n', "--count", "NUMBER",
	  "top, trace: end after this many pictures or events",
	  .take = take_count },
	{ 0, "--batch", NULL, "top: print text, even on a terminal",
	  MEMBER(batch) },
	{ 'o', "--output", "FILE", "metrics, report: write to FILE",
	  MEMBER(output) },
	{ 0, "--svg", "FILE", "map: write a picture in SVG", MEMBER(svg) },
	{ 0, "--width", "COLUMNS", "map: width of the picture in the terminal",
	  .take = take_width },
	{ 0, "--ascii", NULL, "map: draw with ASCII only", MEMBER(ascii) },
	{ 0, "--color", "WHEN", "map: auto, always or never",
	  .take = take_color },
	{ 0, "--guest", NULL, NULL, .take = take_guest, .is_last = true },
	{ 0, "--dpdk", NULL, NULL, .take = take_dpdk, .is_last = true },
	{ 0 },
};

static const struct tool tool = {
	.name = PROGRAM, .options = options, .width = 28,
	.print_usage = print_usage,
};

static const struct command *find_command(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	}
	refuse("unknown command", name);
}

static const struct command *read_command_line(struct request *request,
					       int argc, char **argv)
{
	const struct command *command;
	int first;

	first = options_parse(&tool, request, true, argc, argv);
	if (request->program != PROGRAM_RUNNING)
		refuse("--guest and --dpdk follow the command explain", NULL);
	if (first == argc)
		refuse("a command is missing", NULL);
	command = find_command(argv[first]);
	argc -= first;
	argv += first;
	first = command->own_options ? 1 :
		options_parse(&tool, request, false, argc, argv);
	request->argc = argc - first;
	request->argv = argv + first;
	if (request->program != PROGRAM_RUNNING && command->run != run_explain)
		refuse("--guest and --dpdk follow the command explain", NULL);
	if (request->json && command->no_json)
		refuse("this command has no JSON", command->name);
	if (!*command->arguments && request->argc)
		refuse("too many arguments", request->argv[0]);
	return command;
}

/*
 * Runs tce2-preflight, a separate program with its own libraries. The one in the
 * directory of this program is preferred to the one in PATH.
 */
static int run_preflight(const struct request *request)
{
	char path[PATH_SIZE], *slash, **argv = request->argv - 1;
	ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 20);

	argv[0] = "tce2-preflight";
	path[length > 0 ? length : 0] = '\0';
	slash = strrchr(path, '/');
	if (slash) {
		memcpy(slash + 1, argv[0], strlen(argv[0]) + 1);
		execv(path, argv);
	}
	execvp(argv[0], argv);
	fprintf(stderr, PROGRAM ": cannot run tce2-preflight: %s\n",
		strerror(errno));
	return EXIT_UNKNOWN;
}

int main(int argc, char **argv)
{
	static struct request request = { .container = -1 };
	const struct command *command;
	struct error err;
	int ret = EXIT_UNKNOWN;

	setlocale(LC_CTYPE, "");
	text_is_ascii = strcmp(nl_langinfo(CODESET), "UTF-8");
	command = read_command_line(&request, argc, argv);
	if (source_open(&request.source, request.from, &err)) {
		char *clean = clean_text(err.text);

		fprintf(stderr, PROGRAM ": %s\n", clean);
		free(clean);
	} else {
		ret = command->run(&request);
	}
	source_close(&request.source);
	return finish(PROGRAM, ret);
}
