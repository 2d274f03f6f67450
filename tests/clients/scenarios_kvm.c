// SPDX-License-Identifier: GPL-2.0-only
/*
 * Scenarios with QEMU and KVM: Debian's QEMU assigns an NVMe disk to a guest through
 * vfio-pci, and the guest (inner.sh) reads and writes the disk.
 */
#define _GNU_SOURCE
#include "lib.h"
#include "scenarios.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BOOT_SECONDS	120
#define DIMM_KB		262144
#define DIMM_MEMORY_KB	131072	/* lower bound of MemTotal for 256 MiB */
#define MOST_RESIDENT_KB 2000000
/* Maximum VmLck without the disk: KVM still charges its TCE table of 2 MiB */
#define MOST_UNPLUGGED_KB 4096
#define BOOT_TRIES	5

/*
 * Commands to unplug and plug the disk: 0x40000008 is the slot of QEMU's addr=1. They call
 * drmgr because the guest has no rtas_errd, which would call it.
 */
#define DRMGR_REMOVE	"drmgr -c pci -r -s 0x40000008 -n"
#define DRMGR_ADD	"drmgr -c pci -a -s 0x40000008 -n"

/* Return QEMU's option for the first disk */
static const char *first_disk(void)
{
	static char device[64];
	char address[MOST_DISKS][PCI_ADDRESS] = { "" };

	disks(address);
	snprintf(device, sizeof(device), "vfio-pci,host=%s,id=disk,addr=1", address[0]);
	return device;
}

/* Start a guest with the first disk */
void boot_with_disk(const char *arguments)
{
	struct guest guest = { .processors = 1, .arguments = arguments };

	guest_start(&guest, first_disk());
}

/* Return the kernel arguments for a guest with or without a dynamic DMA window */
static const char *dma_arguments(const char *option)
{
	return strcmp(option, "on") ? "disable_ddw" : "";
}

static void judge_boot(void)
{
	judge("guest boots", guest_boots(BOOT_SECONDS));
	judge_handled("the container");
}

static bool reads_content(void)
{
	return ask(120, "read_content %s", settings.sum);
}

void judge_io(void)
{
	judge("guest reads the known content", reads_content());
	judge("guest writes a copy", ask(120, "write_copy"));
	judge("guest reads the copy back", ask(120, "read_copy %s", settings.sum));
}

void judge_guest_log(void)
{
	judge("kernel log of the guest is free of warnings", ask(30, "no_complaints"));
}

void judge_copy_on_disk(void)
{
	judge("the copy is on the disk", copy_is_on_disk());
}

static void end_with_copy(void)
{
	judge_guest_log();
	guest_stop();
	scenario_ends();
	judge_copy_on_disk();
}

/* Print the duration of a command in the guest, in seconds */
static void timed(const char *name, const char *command)
{
	if (ask(120, "seconds %s", command))
		figure_text(name, answer("SECONDS"));
}

static void boot_figures(void)
{
	/* Wait until the kernel has read the partition table of the new disk */
	ask(30, "await_disk && sleep 0.5");
	figure_text("booted-seconds", answer("READY"));
	figure("locked-kB", guest_kilobytes("VmLck"));
	phase_ends("boot");
}

/*
 * Read and write the disk. The option "on" gives the guest a dynamic DMA window, and "off"
 * does not. With "hidden" the guest has no dynamic DMA window, and QEMU does not use KVM's
 * in-kernel TCE tables.
 */
void scenario_io(const char *option)
{
	struct guest guest = {
		.processors = 1,
		.arguments = dma_arguments(option),
		.hide_kvm_tces = !strcmp(option, "hidden"),
	};
	long long maps;

	scenario_begins("ddw", option);
	forget_hypercalls();
	guest_start(&guest, first_disk());
	judge_boot();
	boot_figures();
	judge_io();
	timed("small-reads", "small_reads 2000");
	timed("read-64M", "read_64M");
	maps = phase_ends("io");
	if (!guest.hide_kvm_tces)
		judge("I/O makes no MAP_DMA ioctl", !maps);
	judge_guest_log();
	hypercall_figures();
	guest_stop();
	scenario_ends();
	judge_copy_on_disk();
}

/* Reboot the guest twice: QEMU resets it, then the guest reboots itself */
void scenario_reboot(const char *option)
{
	scenario_begins("reboot", option);
	boot_with_disk("disable_ddw");
	judge_boot();
	monitor("system_reset");
	judge("guest boots after a reset", guest_boots(BOOT_SECONDS));
	judge("guest reads the known content", reads_content());
	tell("reboot -f");
	judge("guest boots after its own reboot", guest_boots(BOOT_SECONDS));
	judge_io();
	end_with_copy();
}

static bool disk_is_gone(long long unused)
{
	char *output;
	bool gone;

	(void)unused;
	monitor("info pci");
	usleep(500000);
	output = monitor_output();
	gone = !strstr(last_lines(output, 8), "id \"disk\"");
	free(output);
	return gone;
}

static void judge_unplugged(void)
{
	long long locked = guest_kilobytes("VmLck");

	judge("no page is left pinned without the disk", no_page_left_pinned());
	judge("the container is released", is_unused());
	figure("locked-unplugged-kB", locked);
	judge("no guest memory is charged without the disk",
	      locked >= 0 && locked < MOST_UNPLUGGED_KB);
}

/* Unplug and plug the disk with device_del and device_add while the guest runs */
void scenario_unplug(const char *option)
{
	scenario_begins("unplug", option);
	boot_with_disk("disable_ddw");
	judge_boot();
	judge("guest reads the known content", reads_content());
	monitor("device_del disk");
	sleep(1);
	judge("guest releases the disk", ask(60, DRMGR_REMOVE));
	judge("QEMU removes the disk", await(60, disk_is_gone, 0));
	settle();
	judge_unplugged();
	monitor("device_add %s", first_disk());
	sleep(1);
	judge_handled("the container again");
	judge("guest configures the disk again", ask(60, DRMGR_ADD));
	judge_io();
	phase_ends("io");
	end_with_copy();
}

static void judge_keeps_reading(void)
{
	judge("guest keeps reading", ask(30, "keep_reading %s", settings.sum));
}

/* Kill QEMU with SIGKILL while the disk writes to the guest's memory */
void scenario_killed(const char *option)
{
	scenario_begins("killed", option);
	boot_with_disk("disable_ddw");
	judge_boot();
	judge_keeps_reading();
	sleep(1);
	guest_kill();
	scenario_ends();
	boot_with_disk("disable_ddw");
	judge("the next guest boots", guest_boots(BOOT_SECONDS));
	judge_io();
	end_with_copy();
}

/* Check the size of the guest's memory, in units of 128 MiB */
static bool memory_is(long long units)
{
	return ask(10, "memory_kilobytes") &&
	       atoll(answer("MEMORY")) / DIMM_MEMORY_KB == units;
}

static bool locked_is(long long kilobytes)
{
	return guest_kilobytes("VmLck") == kilobytes;
}

static void plug_dimm(void)
{
	monitor("object_add memory-backend-ram,id=ram1,size=256M");
	monitor("device_add pc-dimm,id=dimm1,memdev=ram1");
}

static void judge_dimm(void)
{
	long long locked = guest_kilobytes("VmLck");

	judge_keeps_reading();
	plug_dimm();
	judge("guest has the memory of the DIMM", await(60, memory_is, 3));
	judge("the DIMM is charged", locked_is(locked + DIMM_KB));
	figure("locked-dimm-kB", guest_kilobytes("VmLck"));
	sleep(1);
	monitor("device_del dimm1");
	judge("guest releases the DIMM", await(60, memory_is, 1));
	judge("the DIMM is uncharged after the unplug", await(30, locked_is, locked));
	judge("all reads during plug and unplug returned the right data", ask(120, "stop_reading"));
}

/*
 * Plug and unplug a DIMM while the guest reads from the disk. The option "on" gives the
 * guest a dynamic DMA window, and "off" does not.
 */
void scenario_dimm(const char *option)
{
	char arguments[96];

	scenario_begins("dimm", option);
	forget_hypercalls();
	snprintf(arguments, sizeof(arguments), "memhp_default_state=online_movable %s",
		 dma_arguments(option));
	boot_with_disk(arguments);
	judge_boot();
	judge_dimm();
	judge_io();
	phase_ends("io");
	hypercall_figures();
	end_with_copy();
}

/* Print the oops of a failed boot, if the console shows an oops */
static void print_oops(void)
{
	char *text = console(), *rest = text, *line;

	while ((line = strsep(&rest, "\n")))
		if (strstr(line, "Oops") || strstr(line, "panic"))
			printf("# con.log: %s\n", line);
	free(text);
}

/*
 * Start a guest, and start it again if its boot fails. An emulated KVM guest with two
 * processors or two disks may stall or oops at an MMIO access during its boot, with each of
 * the two backends. The guest runs the command @probe to wait for its devices.
 */
static bool boots_at_last(const struct guest *guest, const char *probe)
{
	for (int i = 0; i < BOOT_TRIES; i++) {
		bool ok;

		guest_start(guest, first_disk());
		guest_quiet(true);
		ok = guest_boots(60) && ask(60, "%s", probe);
		guest_quiet(false);
		if (ok)
			return true;
		print_oops();
		puts("# the guest failed in its boot, starting it again");
		guest_kill();
	}
	return false;
}

static void judge_content_of(const char *node)
{
	char name[64];

	snprintf(name, sizeof(name), "guest reads the known content of %s", node);
	judge(name, ask(120, "read_content %s %s", settings.sum, node));
}

/* Add a second disk to the guest, on the same host bridge or on another host bridge */
static void add_second_disk(struct guest *guest, bool shared)
{
	static char device[64];
	char address[MOST_DISKS][PCI_ADDRESS] = { "", "" };
	size_t n = 0;

	disks(address);
	snprintf(device, sizeof(device), "vfio-pci,host=%s,id=disk2%s", address[1],
		 shared ? "" : ",bus=other.0");
	if (!shared) {
		guest->options[n++] = "-device";
		guest->options[n++] = "spapr-pci-host-bridge,index=1,id=other";
	}
	guest->options[n++] = "-device";
	guest->options[n++] = device;
}

/*
 * Use two disks in a guest. The option "phbs" gives each disk a separate host bridge and
 * container. The option "shared" puts both disks into one container.
 */
void scenario_groups(const char *option)
{
	bool shared = !strcmp(option, "shared");
	/*
	 * Align each BAR to 64 KiB. If two BARs share a page, QEMU does not map them, and
	 * KVM must emulate each MMIO access. This emulation fails under TCG.
	 */
	struct guest guest = {
		.processors = 1,
		.arguments = "disable_ddw pci=resource_alignment=16@pci:1b36:0010",
	};

	scenario_begins("groups", option);
	add_second_disk(&guest, shared);
	/*
	 * In 6.12, kvm_spapr_tce_attach_iommu_group() leaks a reference with each backend.
	 * The leak has no effect on the in-tree driver, whose use count does not
	 * include tables.
	 */
	if (shared && settings.is_ours)
		kvm_leaks("KVM leaks a reference to a table that two groups share");
	judge("guest boots with two disks",
	      boots_at_last(&guest, "until [ -b /dev/nvme1n1 ]; do sleep 0.2; done"));
	judge_handled("the containers");
	judge_io();
	judge_content_of("/dev/nvme0n1");
	judge_content_of("/dev/nvme1n1");
	phase_ends("io");
	figure("containers", phase_calls("SET_IOMMU"));
	judge_guest_log();
	guest_stop();
	scenario_ends();
}

static bool plug_and_unplug(void)
{
	plug_dimm();
	if (!await(60, memory_is, 3))
		return false;
	sleep(1);
	monitor("device_del dimm1");
	if (!await(60, memory_is, 1))
		return false;
	usleep(500000);
	monitor("object_del ram1");
	return true;
}

static bool hostile_is_done(long long unused)
{
	(void)unused;
	return console_has("HOSTILE");
}

/*
 * Check that QEMU has freed the memory of the last DIMM, so that the emulated POWER9 has
 * memory for the next DIMM. QEMU frees the memory in its RCU thread, which may have to wait
 * for a lock that busy virtual processors hold.
 */
static bool may_plug_again(long long unused)
{
	return guest_kilobytes("VmRSS") < MOST_RESIDENT_KB || hostile_is_done(unused);
}

static unsigned int plug_until_hostile_is_done(void)
{
	unsigned int plugged = 0;

	while (!hostile_is_done(0) && guest_runs()) {
		if (!plug_and_unplug())
			break;
		plugged++;
		if (!await(600, may_plug_again, 0))
			break;
	}
	return plugged;
}

/* Print the counts of the module's hypercalls, and of its successful hypercalls */
static void hostile_figures(void)
{
	char *text = console(), *rest = text, *line;
	unsigned long long succeeded, parameter, other;
	char name[40], call[24];

	while ((line = strsep(&rest, "\n"))) {
		if (sscanf(line, "CALLS %23s %llu %llu %llu", call, &succeeded,
			   &parameter, &other) != 4)
			continue;
		figure_of("hostile", call, succeeded + parameter + other);
		snprintf(name, sizeof(name), "hostile-%s-done", call);
		figure(name, succeeded);
	}
	free(text);
}

static void judge_hostile(unsigned int seconds, unsigned int seed)
{
	unsigned int plugged;

	judge("the hostile module loads", ask(30, "insmod /lib/hostile.ko"));
	ask(30, "{ echo %u %u >/sys/kernel/debug/hostile; echo HOSTILE ENDED; } &",
	    seconds, seed);
	plugged = plug_until_hostile_is_done();
	judge("guest survives its hypercalls", await(seconds * 3 + 60, hostile_is_done, 0));
	judge("the DIMM is plugged and unplugged meanwhile", plugged);
	ask(30, "cat /sys/kernel/debug/hostile");
	hostile_figures();
	figure("hostile-plugs", plugged);
}

/*
 * Load a module into the guest that makes random hypercalls on two processors. Meanwhile
 * plug and unplug a DIMM. Then kill QEMU during hypercalls. The option is SECONDS:SEED.
 */
void scenario_hostile(const char *option)
{
	static const struct guest guest = {
		.processors = 2,
		.arguments = "disable_ddw tce2.disk=no memhp_default_state=online_movable",
	};
	unsigned int seconds, seed;

	scenario_begins("hostile", "");
	if (sscanf(option, "%u:%u", &seconds, &seed) != 2) {
		tap("hostile has the option SECONDS:SEED", false);
		return;
	}
	forget_hypercalls();
	judge("guest boots with two CPUs", boots_at_last(&guest, "true"));
	judge_handled("the container");
	judge_hostile(seconds, seed);
	phase_ends("hostile");
	hypercall_figures();
	/* Kill QEMU during hypercalls */
	ask(30, "echo 600 %u >/sys/kernel/debug/hostile &", seed);
	sleep(2);
	guest_kill();
	scenario_ends();
}
