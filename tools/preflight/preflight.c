// SPDX-License-Identifier: GPL-2.0-only
/*
 * tce2-preflight: checks before an upgrade that the module will work on a
 * kernel. See tce2-preflight(8).
 *
 * This file parses the command line and runs the checks in order.
 *
 * Calls: module, target, types, the checks, report, options.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "preflight.h"

#define PROGRAM	"tce2-preflight"
#define MODULE	"vfio_spapr_tce2"

static const struct tool tool;

static void print_usage(FILE *out)
{
	fputs("usage: " PROGRAM " [OPTION]... VERSION|DIRECTORY\n"
	      "Checks whether " MODULE " will work on a kernel, without loading it.\n\n",
	      out);
	options_print(&tool, out);
	fputs("\nExit status: 0 will work, 1 will not work, 2 unknown, 3 wrong usage.\n",
	      out);
}

#define MEMBER(name)	offsetof(struct request, name)

static const struct option_row options[] = {
	{ 'm', "--module", "FILE",
	  "the module (default: the module installed for the kernel)",
	  MEMBER(module) },
	{ 'r', "--root", "DIR",
	  "root directory with /lib/modules, /boot, /etc/modprobe.d",
	  MEMBER(root) },
	{ 'b', "--build", "DIR",
	  "the kernel's build tree (Module.symvers, .config)", MEMBER(build) },
	{ 0, "--symvers", "FILE", "the kernel's Module.symvers", MEMBER(symvers) },
	{ 0, "--config", "FILE", "the kernel's configuration", MEMBER(config) },
	{ 0, "--vmlinux", "FILE", "the kernel's image, with BTF",
	  MEMBER(vmlinux) },
	{ 0, "--machine", "NAME",
	  "powernv or pseries (default: support for one is enough)",
	  MEMBER(machine) },
	{ 0, "--accept-unknown-crcs", NULL,
	  "accept symbols of which the kernel has no CRC",
	  MEMBER(accept_unknown_crcs) },
	{ 'j', "--json", NULL, "print JSON", MEMBER(json) },
	{ 'v', "--verbose", NULL, "also print each symbol and each member",
	  MEMBER(verbose) },
	{ 0 },
};

static const struct tool tool = {
	.name = PROGRAM, .options = options, .width = 23,
	.print_usage = print_usage,
};

static struct request read_command_line(int argc, char **argv)
{
	struct request request = { 0 };
	int first = options_parse(&tool, &request, false, argc, argv);

	if (argc - first != 1 || !*argv[first]) {
		print_usage(stderr);
		exit(EXIT_USAGE);
	}
	if (request.machine && strcmp(request.machine, "powernv") &&
	    strcmp(request.machine, "pseries")) {
		fprintf(stderr, PROGRAM ": --machine=%s: must be powernv or pseries\n",
			request.machine);
		exit(EXIT_USAGE);
	}
	request.target = argv[first];
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
		[STATUS_FAIL]		= EXIT_PROBLEM,
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
	return finish(PROGRAM, ret);
}
