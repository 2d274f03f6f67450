// SPDX-License-Identifier: GPL-2.0-only
/*
 * tce2-scenarios ours|intree SUM SCENARIO...: run scenarios with clients of VFIO, QEMU and
 * DPDK, in the emulated POWER9, with this module or with the in-tree driver. SUM is the MD5
 * sum of the first 32 MiB of each disk. A SCENARIO may have an option after a colon. Prints
 * TAP and lines "# figure SCENARIO NAME VALUE".
 */
#include "lib.h"
#include "scenarios.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct settings settings = { .patience = 1 };

static const struct scenario {
	const char *name;
	void (*run)(const char *option);
} scenarios[] = {
	{ "io", scenario_io },
	{ "reboot", scenario_reboot },
	{ "unplug", scenario_unplug },
	{ "killed", scenario_killed },
	{ "dimm", scenario_dimm },
	{ "groups", scenario_groups },
	{ "hostile", scenario_hostile },
	{ "testpmd", scenario_testpmd },
	{ "both", scenario_both },
};

static const struct scenario *find_scenario(const char *word)
{
	size_t len = strcspn(word, ":");

	for (size_t i = 0; i < ARRAY_SIZE(scenarios); i++)
		if (strlen(scenarios[i].name) == len &&
		    !strncmp(scenarios[i].name, word, len))
			return &scenarios[i];
	return NULL;
}

static void run_scenario(const char *word)
{
	const char *option = word + strcspn(word, ":");

	find_scenario(word)->run(*option ? option + 1 : option);
}

static void take_patience(void)
{
	static const char name[] = "tce2.patience=";
	char line[4096], *at;

	if (!read_line("/proc/cmdline", line, sizeof(line)))
		return;
	at = strstr(line, name);
	if (at && atoi(at + strlen(name)) > 0)
		settings.patience = atoi(at + strlen(name));
}

static bool take_arguments(int argc, char **argv)
{
	if (argc < 3 || (strcmp(argv[1], "ours") && strcmp(argv[1], "intree")))
		return false;
	for (int i = 3; i < argc; i++)
		if (!find_scenario(argv[i]))
			return false;
	settings.backend = argv[1];
	settings.is_ours = !strcmp(argv[1], "ours");
	settings.module = settings.is_ours ? OUR_MODULE : IN_TREE_MODULE;
	settings.sum = argv[2];
	take_patience();
	return true;
}

static bool load_backend(void)
{
	if (settings.is_ours)
		return load_backends();
	return load_module(IN_TREE_MODULE) && load_module("vfio-pci");
}

static bool disks_to_vfio(void)
{
	char address[MOST_DISKS][PCI_ADDRESS];
	size_t count = disks(address);

	for (size_t i = 0; i < count; i++)
		if (!give(address[i], "vfio-pci"))
			return false;
	return true;
}

static void tap_before(void)
{
	char name[64];

	set_scenario("start", "");
	snprintf(name, sizeof(name), "the modules load: %s", settings.backend);
	tap(name, load_backend());
	tap("KVM loads", load_module("kvm_hv"));
	/* Counting hypercalls is optional: a debug kernel may lack trace histograms */
	if (!trace_hypercalls())
		puts("# hypercalls are not traced");
	load_module("nvme");
	tap("the disks can be bound to vfio-pci", disks_to_vfio());
	if (has_cards())
		tap("the network cards can be bound to vfio-pci", cards_to_vfio());
}

static bool no_complaints(void)
{
	figure("warnings", log_count_lines("WARNING:|BUG:|Oops:"));
	return !log_print_complaints("# ", ANY_COMPLAINT);
}

static void tap_after(void)
{
	set_scenario("end", "");
	if (kvm_leak())
		tap_known("the module of the backend unloads", kvm_leak());
	else
		judge("the module of the backend unloads", unload_module(settings.module));
	judge("kernel log is free of warnings, BUGs and Oopses", no_complaints());
	judge("the kernel log is complete", log_is_whole());
	judge("the kernel is not tainted by a warning", no_new_taint());
}

int main(int argc, char **argv)
{
	if (!take_arguments(argc, argv)) {
		fputs("usage: tce2-scenarios ours|intree SUM SCENARIO...\n", stderr);
		return 2;
	}
	/* QEMU and DPDK come from Debian's packages, which install programs in /usr/bin */
	setenv("PATH", "/bin:/sbin:/usr/bin", 1);
	tap_begin();
	tap_before();
	for (int i = 3; i < argc; i++)
		run_scenario(argv[i]);
	tap_after();
	return tap_end();
}
