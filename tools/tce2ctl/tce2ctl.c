// SPDX-License-Identifier: GPL-2.0-only
/*
 * tce2ctl: shows and explains the state of vfio_spapr_tce2. See tce2ctl(8).
 *
 * This file parses the command line and calls the command.
 *
 * Calls: source, the commands.
 */
#include <errno.h>
#include <getopt.h>
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
	      "  explain --dpdk ...        the same for a program with these arguments of DPDK\n\n"
	      "  -r, --root=DIR            read the state below DIR instead of /\n"
	      "  -f, --from=FILE           read the state from a report or a directory\n"
	      "  -c, --container=NUMBER    show only this container\n"
	      "  -j, --json                print JSON\n"
	      "  -d, --delay=SECONDS       top: seconds between two pictures (default: 2)\n"
	      "  -n, --count=NUMBER        top, trace: end after this many pictures or events\n"
	      "      --batch               top: print text, even on a terminal\n"
	      "  -o, --output=FILE         metrics, report: write to FILE\n"
	      "      --svg=FILE            map: write a picture in SVG\n"
	      "      --width=COLUMNS       map: width of the picture in the terminal\n"
	      "      --ascii               map: draw with ASCII only\n"
	      "      --color=WHEN          map: auto, always or never\n"
	      "  -h, --help                print this help\n"
	      "  -V, --version             print the version\n\n"
	      "Exit status: 0 no problem, 1 a problem, 2 unknown, 3 wrong usage.\n",
	      out);
}

#define LETTERS	"r:f:c:d:n:o:jhV"

enum {
	OPTION_GUEST = 256,
	OPTION_DPDK,
	OPTION_SVG,
	OPTION_WIDTH,
	OPTION_ASCII,
	OPTION_COLOR,
	OPTION_BATCH,
};

static const struct option options[] = {
	{ "root", required_argument, NULL, 'r' },
	{ "from", required_argument, NULL, 'f' },
	{ "container", required_argument, NULL, 'c' },
	{ "json", no_argument, NULL, 'j' },
	{ "delay", required_argument, NULL, 'd' },
	{ "count", required_argument, NULL, 'n' },
	{ "batch", no_argument, NULL, OPTION_BATCH },
	{ "output", required_argument, NULL, 'o' },
	{ "svg", required_argument, NULL, OPTION_SVG },
	{ "width", required_argument, NULL, OPTION_WIDTH },
	{ "ascii", no_argument, NULL, OPTION_ASCII },
	{ "color", required_argument, NULL, OPTION_COLOR },
	{ "guest", no_argument, NULL, OPTION_GUEST },
	{ "dpdk", no_argument, NULL, OPTION_DPDK },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ NULL, 0, NULL, 0 },
};

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

static double read_delay(const char *text)
{
	double seconds;
	char *end;

	seconds = strtod(text, &end);
	if (end == text || *end || !(seconds >= 0.01 && seconds <= 86400))
		refuse("--delay must be 0.01 to 86400 seconds", text);
	return seconds;
}

static enum color read_color(const char *text)
{
	static const char * const words[] = {
		[COLOR_AUTO]	= "auto",
		[COLOR_ALWAYS]	= "always",
		[COLOR_NEVER]	= "never",
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(words); i++) {
		if (!strcmp(text, words[i]))
			return i;
	}
	refuse("--color must be auto, always or never", text);
}

static const char *from;

static void take_option(struct request *request, int option)
{
	switch (option) {
	case 'r':
	case 'f':
		from = optarg;
		break;
	case 'c':
		request->container = read_number("--container", optarg);
		break;
	case 'j':
		request->json = true;
		break;
	case 'd':
		request->delay = read_delay(optarg);
		break;
	case 'n':
		request->count = read_number("--count", optarg);
		break;
	case OPTION_BATCH:
		request->batch = true;
		break;
	case 'o':
		request->output = optarg;
		break;
	case OPTION_SVG:
		request->svg = optarg;
		break;
	case OPTION_WIDTH:
		request->width = read_number("--width", optarg);
		break;
	case OPTION_ASCII:
		request->ascii = true;
		break;
	case OPTION_COLOR:
		request->color = read_color(optarg);
		break;
	case OPTION_GUEST:
		request->program = PROGRAM_GUEST;
		break;
	case OPTION_DPDK:
		request->program = PROGRAM_DPDK;
		break;
	case 'h':
		print_usage(stdout);
		exit(EXIT_OK);
	case 'V':
		puts(PROGRAM " " TCE2_VERSION);
		exit(EXIT_OK);
	default:
		print_usage(stderr);
		exit(EXIT_USAGE);
	}
}

/*
 * Parses options. With "+" in @letters, the first word that is no option ends them. The
 * arguments of another program follow --guest and --dpdk.
 */
static void parse_options(struct request *request, const char *letters,
			  int argc, char **argv)
{
	int option;

	while ((option = getopt_long(argc, argv, letters, options, NULL)) != -1) {
		take_option(request, option);
		if (request->program != PROGRAM_RUNNING)
			return;
	}
}

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

	parse_options(request, "+" LETTERS, argc, argv);
	if (request->program != PROGRAM_RUNNING)
		refuse("--guest and --dpdk follow the command explain", NULL);
	if (optind == argc)
		refuse("a command is missing", NULL);
	command = find_command(argv[optind]);
	argc -= optind;
	argv += optind;
	optind = 1;
	if (!command->own_options) {
		/* 0 makes getopt_long() start again, without "+" */
		optind = 0;
		parse_options(request, LETTERS, argc, argv);
	}
	request->argc = argc - optind;
	request->argv = argv + optind;
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
	if (source_open(&request.source, from, &err)) {
		char *clean = clean_text(err.text);

		fprintf(stderr, PROGRAM ": %s\n", clean);
		free(clean);
	} else {
		ret = command->run(&request);
	}
	source_close(&request.source);
	if (fflush(stdout) || ferror(stdout)) {
		fprintf(stderr, PROGRAM ": cannot write the result: %s\n",
			strerror(errno));
		return EXIT_UNKNOWN;
	}
	return ret;
}
