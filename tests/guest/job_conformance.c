// SPDX-License-Identifier: GPL-2.0-only
/*
 * tce2-job_conformance [OPTION...]: run tce2-conformance and further tests. Prints TAP.
 * Loads and unloads the module, rebinds a disk from nvme to vfio-pci and back, runs
 * tce2-conformance with the OPTIONs, and checks the kernel log.
 */
#include "job_conformance.h"
#include "lib.h"
#include "machine.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SELFTEST	OUR_MODULE "_selftest"
#define KVMPLAY		OUR_MODULE "_kvmplay"
#define EMULATED	OUR_MODULE "_emulated"
/* Messages that this module logs: some cases call the hooks in another order than KVM */
#define ODD_HOOKS	"KVM uses the TCE table"
/* ... and in some cases the driver of an emulated device keeps its pages */
#define KEPT_PAGES	"does not unpin pages"

#define DISK_BYTES	MIB(16)

static uint64_t disk_seed;

static bool transfer(int flags, ssize_t (*move)(int fd, uint8_t *data, size_t len),
		     uint8_t *data)
{
	int fd = open(DISK, flags | O_CLOEXEC);
	size_t done = 0;
	ssize_t len = 1;

	while (fd >= 0 && done < DISK_BYTES && len > 0) {
		len = move(fd, data + done, DISK_BYTES - done);
		done += len > 0 ? len : 0;
	}
	if (fd < 0 || (flags == O_WRONLY && fsync(fd)))
		done = 0;
	if (fd >= 0)
		close(fd);
	return done == DISK_BYTES;
}

static ssize_t move_out(int fd, uint8_t *data, size_t len)
{
	return write(fd, data, len);
}

static ssize_t move_in(int fd, uint8_t *data, size_t len)
{
	return read(fd, data, len);
}

/* Write new data to the disk and empty the page cache */
static bool disk_writes(void)
{
	uint8_t *data = malloc(DISK_BYTES);
	bool ok = data && await_disk();

	if (ok)
		pattern_fill(data, DISK_BYTES, ++disk_seed);
	ok = ok && transfer(O_WRONLY, move_out, data) &&
	     write_text("/proc/sys/vm/drop_caches", "3");
	free(data);
	return ok;
}

/* Read back and compare the data of the last disk_writes() */
static bool disk_reads(void)
{
	uint8_t *data = calloc(1, DISK_BYTES);
	bool ok = data && await_disk() && transfer(O_RDONLY, move_in, data) &&
		  pattern_is(data, DISK_BYTES, disk_seed);

	free(data);
	return ok;
}

/* Print the result of a test; %s in the name is replaced with @turn, first or second */
static void tap_of_turn(const char *name, const char *turn, bool ok)
{
	char text[128];

	snprintf(text, sizeof(text), name, turn);
	tap(text, ok);
}

/*
 * Test that nvme works before and after a client of its disk. nvme needs the kernel's DMA
 * windows, so they must be restored after the client.
 */
static void tap_turn(const char *turn, const char *disk)
{
	tap_of_turn("the disk works with nvme before its %s client", turn,
		    disk_writes());
	tap_of_turn("the disk can be bound to vfio-pci for its %s client", turn,
		    give(disk, "vfio-pci"));
	tap_of_turn("the %s client maps the disk's group in two windows", turn,
		    hold_group(group_of(disk)));
	tap_of_turn("nvme can be bound to the disk after its %s client", turn,
		    give(disk, "nvme"));
	tap_of_turn("the disk still has the data written before its %s client", turn,
		    disk_reads());
}

static void tap_device_comes_back(void)
{
	char disk[PCI_ADDRESS] = "";

	device_of_class(DISK_CLASS, disk);
	tap_turn("first", disk);
	tap_turn("second", disk);
	tap("the disk can be written after both clients", disk_writes());
	tap("the disk can be read after both clients", disk_reads());
}

/* Test adding a device to a group in use: powernv then removes the windows of the group */
static void tap_device_joins_group_in_use(void)
{
	char edu[1][PCI_ADDRESS], *function;

	if (under_hypervisor())
		return;
	find_edus(edu, 1);
	function = strrchr(edu[0], '.');
	if (function)
		function[1] = '1';
	tap("the other device of a group is unplugged", remove_device(edu[0]));
	tap("the group's owner can still use it after the device is plugged in again",
	    use_group_while_plugging(edu[0]));
}

/* Reload the in-tree driver; this module must still handle the next container */
static bool in_tree_comes_again(void)
{
	char edu[1][PCI_ADDRESS];

	return unload_module(IN_TREE_MODULE) && load_module(IN_TREE_MODULE) &&
	       find_edus(edu, 1) && hold_group(group_of(edu[0]));
}

/* Return false if the options select one case or only the races */
static bool runs_all_cases(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], "--only") || !strcmp(argv[i], "--stress"))
			return false;
	return true;
}

/* Print the MMU type from /proc/cpuinfo */
static void print_mmu(void)
{
	FILE *f = fopen("/proc/cpuinfo", "re");
	char line[128], mmu[64];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "MMU : %63[^\n]", mmu) == 1)
			printf("# MMU: %s\n", mmu);
	if (f)
		fclose(f);
}

static void tap_before(bool all)
{
	/* A case of tce2-conformance maps the disk with mmap() */
	load_disk();
	tap_load_cycle();
	tap("the self-test of real mode loads", load_module(SELFTEST));
	tap("the module that plays KVM loads", load_module(KVMPLAY));
	tap("the module with emulated devices loads", load_module(EMULATED));
	if (all)
		tap_device_comes_back();
	tap_bind_edus();
	tap("this module handles a container after the in-tree driver is reloaded",
	    in_tree_comes_again());
}

static void tap_after(bool all)
{
	if (all)
		tap_device_joins_group_in_use();
	tap("the self-test of real mode unloads", unload_module(SELFTEST));
	tap("the module that plays KVM unloads", unload_module(KVMPLAY));
	tap("the module with emulated devices unloads", unload_module(EMULATED));
	tap_unload_without_leaks();
	tap_no_complaints();
}

int main(int argc, char **argv)
{
	bool all = runs_all_cases(argc, argv);
	int status;

	print_mmu();
	tap_begin();
	log_expect(ODD_HOOKS);
	log_expect(KEPT_PAGES);
	tap_before(all);

	argv[0] = "tce2-conformance";
	status = run_command(argv[0], argv);
	/* Status 1: a case has failed */
	tap("tce2-conformance runs to its end", status == 0 || status == 1);

	tap_after(all);
	return tap_end() || status;
}
