// SPDX-License-Identifier: GPL-2.0-only
/*
 * Check a disk after a guest used it. At its beginning a disk has known content. The guest
 * writes a copy of this content to the disk, and this program checks the copy.
 */
#define _GNU_SOURCE
#include "lib.h"
#include "scenarios.h"

#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NODE_TRIES	20

/* Offset and size of the guest's copy in MiB, as in inner.sh */
#define COPY_AT		64
#define CONTENT		32

/* Get the PCI addresses of the disks; return their number */
size_t disks(char addresses[MOST_DISKS][PCI_ADDRESS])
{
	return devices_of_class(DISK_CLASS, addresses, MOST_DISKS);
}

/*
 * Find the block device of an NVMe disk. With multipath the directory in sysfs is called
 * nvme0c0n1, but the block device is called nvme0n1.
 */
static bool find_node(const char *address, char *node, size_t size)
{
	unsigned int number;
	char pattern[96];
	glob_t found;
	bool ok;

	snprintf(pattern, sizeof(pattern), "/sys/bus/pci/devices/%s/nvme/nvme*/nvme*n1",
		 address);
	ok = !glob(pattern, 0, NULL, &found) &&
	     sscanf(strrchr(found.gl_pathv[0], '/'), "/nvme%u", &number) == 1;
	globfree(&found);
	if (ok)
		snprintf(node, size, "/dev/nvme%un1", number);
	return ok;
}

static bool await_node(const char *address, char *node, size_t size)
{
	struct stat disk;

	for (int i = 0; i < NODE_TRIES; i++) {
		if (find_node(address, node, size) && !stat(node, &disk) &&
		    S_ISBLK(disk.st_mode))
			return true;
		usleep(200000);
	}
	return false;
}

static bool copy_has_sum(const char *node)
{
	char command[160], sum[33] = "";
	FILE *f;

	snprintf(command, sizeof(command),
		 "dd if=%s bs=1M iflag=direct skip=%d count=%d 2>/dev/null | md5sum",
		 node, COPY_AT, CONTENT);
	f = popen(command, "re");
	if (!f || fscanf(f, "%32s", sum) != 1)
		sum[0] = 0;
	if (f)
		pclose(f);
	if (strcmp(sum, settings.sum))
		printf("# %s has %s\n", node, sum);
	return !strcmp(sum, settings.sum);
}

/* Replace the copy by zeros, so that the next scenario has to write it again */
static bool clear_copy(const char *node)
{
	int fd = open(node, O_WRONLY | O_CLOEXEC);
	void *zeros = calloc(1, MIB(1));
	bool ok = fd >= 0 && zeros;

	for (int i = 0; ok && i < CONTENT; i++)
		ok = pwrite(fd, zeros, MIB(1), MIB(COPY_AT + i)) == (ssize_t)MIB(1);
	ok = ok && !fsync(fd);
	free(zeros);
	if (fd >= 0)
		close(fd);
	return ok;
}

/* Check that the first disk has the copy, and then clear the copy */
bool copy_is_on_disk(void)
{
	char address[MOST_DISKS][PCI_ADDRESS], node[32];
	bool ok;

	if (!disks(address))
		return false;
	ok = give(address[0], "nvme") && await_node(address[0], node, sizeof(node));
	if (ok) {
		ok = copy_has_sum(node);
		ok = clear_copy(node) && ok;
	}
	return give(address[0], "vfio-pci") && ok;
}
