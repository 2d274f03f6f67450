// SPDX-License-Identifier: GPL-2.0-only
/*
 * Processes, files, modules and PCI devices of the emulated machine.
 */
#define _GNU_SOURCE
#include "lib.h"
#include "machine.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PCI_DEVICES	"/sys/bus/pci/devices"
#define PATH_SIZE	320
#define DISK_TRIES	100

/*
 * Processes and files
 */

static int wait_for(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Run a program of PATH; return its status, or -1 if it ended by a signal */
int run_command(const char *path, char *const argv[])
{
	pid_t pid;

	fflush(stdout);
	if (posix_spawnp(&pid, path, NULL, NULL, argv, environ))
		return -1;
	return wait_for(pid);
}

/* Call a function in a child process, which exits without cleaning up */
bool succeeds_in_child(bool (*run)(void *arg), void *arg)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		bool ok = run(arg);

		fflush(stdout);
		_exit(!ok);
	}
	return pid > 0 && !wait_for(pid);
}

/* Read a file, also one of /proc whose size is unknown; the caller frees the text */
bool read_whole(const char *path, char **text)
{
	size_t size = 0;
	FILE *f = fopen(path, "re");
	ssize_t len;
	bool ok;

	*text = NULL;
	if (!f)
		return false;
	len = getdelim(text, &size, 0, f);
	ok = len >= 0 || !ferror(f);
	fclose(f);
	if (len < 0) {
		/* The buffer has no text if the file is empty */
		free(*text);
		*text = ok ? strdup("") : NULL;
	}
	return *text;
}

/*
 * Modules
 */

bool load_module(const char *name)
{
	char *const argv[] = { "modprobe", (char *)name, NULL };

	return !run_command(argv[0], argv);
}

bool unload_module(const char *name)
{
	return !syscall(SYS_delete_module, name, O_NONBLOCK);
}

bool module_is_loaded(const char *name)
{
	char path[PATH_SIZE];

	snprintf(path, sizeof(path), "/sys/module/%s", name);
	return !access(path, F_OK);
}

bool load_ours(void)
{
	if (!load_module(OUR_MODULE))
		return false;
	note_place_of_ours();
	return true;
}

bool load_backends(void)
{
	return load_module(IN_TREE_MODULE) && load_module("vfio-pci") &&
	       load_ours();
}

/*
 * PCI devices
 */

static const char *device_path(const char *address, const char *file)
{
	static char path[PATH_SIZE];

	snprintf(path, sizeof(path), PCI_DEVICES "/%s/%s", address, file);
	return path;
}

/* Return the last path component of a device's symbolic link, or "" */
static const char *link_of(const char *address, const char *file)
{
	static char target[PATH_SIZE];
	ssize_t len = readlink(device_path(address, file), target,
			       sizeof(target) - 1);
	char *slash;

	target[len > 0 ? len : 0] = 0;
	slash = strrchr(target, '/');
	return slash ? slash + 1 : target;
}

typedef bool device_fn(const char *address);

/* Find the devices that a function accepts, in order of their addresses */
static size_t find_devices(device_fn *accepts, char addresses[][PCI_ADDRESS],
			   size_t most)
{
	struct dirent **entry;
	int n = scandir(PCI_DEVICES, &entry, NULL, alphasort);
	size_t found = 0;

	for (int i = 0; i < n; i++) {
		const char *name = entry[i]->d_name;

		if (found < most && name[0] != '.' && accepts(name))
			snprintf(addresses[found++], PCI_ADDRESS, "%.15s", name);
		free(entry[i]);
	}
	if (n >= 0)
		free(entry);
	return found;
}

static unsigned int class_wanted;

static bool has_class_wanted(const char *address)
{
	return read_number(device_path(address, "class")) == class_wanted;
}

size_t devices_of_class(unsigned int class, char addresses[][PCI_ADDRESS], size_t most)
{
	class_wanted = class;
	return find_devices(has_class_wanted, addresses, most);
}

/* Find the first device of a class */
bool device_of_class(unsigned int class, char address[PCI_ADDRESS])
{
	char found[1][PCI_ADDRESS];

	if (!devices_of_class(class, found, 1))
		return false;
	memcpy(address, found[0], PCI_ADDRESS);
	return true;
}

size_t find_edus(char addresses[][PCI_ADDRESS], size_t most)
{
	return find_devices(is_edu, addresses, most);
}

bool remove_device(const char *address)
{
	return write_text(device_path(address, "remove"), "1");
}

static bool probe_with(const char *address, const char *driver)
{
	return write_text(device_path(address, "driver_override"), driver) &&
	       write_text("/sys/bus/pci/drivers_probe", address) &&
	       !strcmp(link_of(address, "driver"), driver);
}

/* Unbind a device from its driver and bind it to another driver */
bool give(const char *address, const char *driver)
{
	if (!access(device_path(address, "driver"), F_OK) &&
	    !write_text(device_path(address, "driver/unbind"), address))
		return false;
	return probe_with(address, driver);
}

/* Bind all edu devices to vfio-pci; print the address and the group of each */
bool bind_edus(const char *prefix)
{
	char edu[SLOTS][PCI_ADDRESS];
	size_t found = find_edus(edu, SLOTS);

	for (size_t i = 0; i < found; i++) {
		/*
		 * Disable the reset at each open: it resets the bus below the bridge,
		 * which takes a second. Kernels without this file do not reset.
		 */
		write_text(device_path(edu[i], "reset_method"), "\n");
		if (!probe_with(edu[i], "vfio-pci"))
			return false;
		printf("%s%s %d\n", prefix, edu[i], group_of(edu[i]));
	}
	return found;
}

bool edus_are_bound(size_t count)
{
	char edu[SLOTS][PCI_ADDRESS];
	size_t found = find_edus(edu, SLOTS), bound = 0;

	for (size_t i = 0; i < found; i++)
		bound += !strcmp(link_of(edu[i], "driver"), "vfio-pci");
	return bound == count;
}

/* Wait for the disk, which the driver finds some time after it was bound to the device */
bool await_disk(void)
{
	struct stat disk;

	for (int i = 0; i < DISK_TRIES; i++) {
		if (!stat(DISK, &disk) && S_ISBLK(disk.st_mode))
			return true;
		usleep(100000);
	}
	return false;
}

/* Load the disk's driver, and wait for the disk if the machine has one */
bool load_disk(void)
{
	char address[PCI_ADDRESS];

	return load_module("nvme") &&
	       (!device_of_class(DISK_CLASS, address) || await_disk());
}

static bool reserve_pages(unsigned int kilobytes, unsigned int count)
{
	char path[PATH_SIZE];
	int len = snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/hugepages-%ukB",
			   kilobytes);

	if (access(path, F_OK))
		return true;
	snprintf(path + len, sizeof(path) - len, "/nr_hugepages");
	return write_number(path, count) && read_number(path) == count;
}

/* Reserve hugepages of each size that the kernel supports */
bool reserve_hugepages(unsigned int of_2m, unsigned int of_1g)
{
	bool ok = reserve_pages(2048, of_2m);

	return reserve_pages(1048576, of_1g) && ok;
}
