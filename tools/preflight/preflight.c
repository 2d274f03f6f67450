// SPDX-License-Identifier: GPL-2.0-only
/*
 * tce2-preflight: checks before an upgrade that the module will work on a
 * kernel. See tce2-preflight(8).
 *
 * This file parses the command line and runs the checks in order.
 *
 * Calls: module, target, types, the checks, report.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "preflight.h"

#define PROGRAM	"tce2-preflight"
#define MODULE	"vfio_spapr_tce2"

/* Documented in tce2-preflight(8); scripts rely on the values. */
enum { EXIT_OK, EXIT_FAIL, EXIT_UNKNOWN, EXIT_USAGE };

static void print_usage(FILE *out)
{
	fputs("usage: " PROGRAM " [OPTION]... VERSION|DIRECTORY\n"
	      "Checks whether " MODULE " will work on a kernel, without loading it.\n\n"
	      "  -m, --module=FILE    the module (default: the module installed for the kernel)\n"
	      "  -r, --root=DIR       root directory with /lib/modules, /boot, /etc/modprobe.d\n"
	      "  -b, --build=DIR      the kernel's build tree (Module.symvers, .config)\n"
	      "      --symvers=FILE   the kernel's Module.symvers\n"
	      "      --config=FILE    the kernel's configuration\n"
	      "      --vmlinux=FILE   the kernel's image, with BTF\n"
	      "      --machine=NAME   powernv or pseries (default: support for one is enough)\n"
	      "      --accept-unknown-crcs\n"
	      "                       accept symbols of which the kernel has no CRC\n"
	      "  -j, --json           print JSON\n"
	      "  -v, --verbose        also print each symbol and each member\n"
	      "  -h, --help           print this help\n"
	      "  -V, --version        print the version\n\n"
	      "Exit status: 0 will work, 1 will not work, 2 unknown, 3 wrong usage.\n",
	      out);
}

enum {
	OPTION_SYMVERS = 256,
	OPTION_CONFIG,
	OPTION_VMLINUX,
	OPTION_MACHINE,
	OPTION_ACCEPT,
};

static const struct option options[] = {
	{ "module", required_argument, NULL, 'm' },
	{ "root", required_argument, NULL, 'r' },
	{ "build", required_argument, NULL, 'b' },
	{ "symvers", required_argument, NULL, OPTION_SYMVERS },
	{ "config", required_argument, NULL, OPTION_CONFIG },
	{ "vmlinux", required_argument, NULL, OPTION_VMLINUX },
	{ "machine", required_argument, NULL, OPTION_MACHINE },
	{ "accept-unknown-crcs", no_argument, NULL, OPTION_ACCEPT },
	{ "json", no_argument, NULL, 'j' },
	{ "verbose", no_argument, NULL, 'v' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ NULL, 0, NULL, 0 },
};

static void take_option(struct request *request, int option)
{
	switch (option) {
	case 'm':
		request->module = optarg;
		break;
	case 'r':
		request->root = optarg;
		break;
	case 'b':
		request->build = optarg;
		break;
	case OPTION_SYMVERS:
		request->symvers = optarg;
		break;
	case OPTION_CONFIG:
		request->config = optarg;
		break;
	case OPTION_VMLINUX:
		request->vmlinux = optarg;
		break;
	case OPTION_MACHINE:
		request->machine = optarg;
		break;
	case OPTION_ACCEPT:
		request->accept_unknown_crcs = true;
		break;
	case 'j':
		request->json = true;
		break;
	case 'v':
		request->verbose = true;
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

static struct request read_command_line(int argc, char **argv)
{
	struct request request = { 0 };
	int option;

	while ((option = getopt_long(argc, argv, "m:r:b:jvhV", options,
				     NULL)) != -1)
		take_option(&request, option);
	if (argc - optind != 1 || !*argv[optind]) {
		print_usage(stderr);
		exit(EXIT_USAGE);
	}
	if (request.machine && strcmp(request.machine, "powernv") &&
	    strcmp(request.machine, "pseries")) {
		fprintf(stderr, PROGRAM ": --machine=%s: must be powernv or pseries\n",
			request.machine);
		exit(EXIT_USAGE);
	}
	request.target = argv[optind];
	return request;
}

static void run_checks(struct report *report, struct module *module,
		       struct target *target, const struct request *request)
{
	struct error err;
	struct types *types = types_open(target, &err);

	check_symbols(report, module, target, request);
	check_vermagic(report, module, target);
	check_config(report, module, target);
	check_signature(report, module, target);
	check_layout(report, module, types, err.text);
	check_vfio(report, target, types, request);
	check_order(report, module, target);
	types_close(types);
}

static int report_all(struct module *module, struct target *target,
		      const struct request *request)
{
	static const int exits[] = {
		[STATUS_OK]		= EXIT_OK,
		[STATUS_UNKNOWN]	= EXIT_UNKNOWN,
		[STATUS_FAIL]		= EXIT_FAIL,
	};
	struct report report = { 0 };
	int ret;

	run_checks(&report, module, target, request);
	if (request->json)
		report_json(&report, module, target);
	else
		report_human(&report, module, target, request->verbose);
	ret = exits[report_verdict(&report)];
	report_free(&report);
	return ret;
}

static int look(const struct request *request, struct error *err)
{
	static struct target target;
	struct module module = { 0 };
	char installed[PATH_SIZE];
	int ret = -1;

	if (target_find(&target, request, err))
		goto out;
	if (!request->module &&
	    order_find_module(&target, MODULE, installed, err))
		goto out;
	if (!module_open(&module, request->module ?: installed, err))
		ret = report_all(&module, &target, request);
out:
	module_close(&module);
	target_free(&target);
	return ret;
}

int main(int argc, char **argv)
{
	struct request request = read_command_line(argc, argv);
	struct error err;
	int ret = look(&request, &err);

	if (ret < 0) {
		fprintf(stderr, PROGRAM ": %s\n", err.text);
		if (request.json)
			report_json_error(err.text);
		ret = EXIT_UNKNOWN;
	}
	if (fflush(stdout) || ferror(stdout)) {
		fprintf(stderr, PROGRAM ": cannot write the result: %s\n",
			strerror(errno));
		return EXIT_UNKNOWN;
	}
	return ret;
}
