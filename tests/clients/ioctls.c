// SPDX-License-Identifier: GPL-2.0-only
/*
 * A library that is preloaded into a client (LD_PRELOAD). It counts the client's VFIO and
 * KVM ioctls in a text file.
 *
 * TCE2_IOCTLS names the file. Each line has a request, the number of calls and the
 * number of failed calls. The counts are written through a shared mapping, so the file is
 * complete even after SIGKILL.
 *
 * TCE2_HIDE_KVM_TCES=1 hides KVM's in-kernel TCE tables for VFIO from the client. KVM's
 * VFIO device must be hidden, too: KVM warns if a group was added to this device without
 * a table (6.12, kvm_vfio_release()).
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/vfio.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define NAME_WIDTH	24
#define NUMBER_WIDTH	10
#define LINE_WIDTH	(NAME_WIDTH + 2 * (1 + NUMBER_WIDTH) + 1)
#define MAX_FDS		1024

#define OTHER(ioctl_number, ioctl_name) \
	{ .number = (ioctl_number), .name = (ioctl_name) }
#define CONTAINER(ioctl_number, ioctl_name) \
	{ .number = (ioctl_number), .name = (ioctl_name), .container = true }

/*
 * Some ioctls of a container have the same number as an ioctl of a device. A number is
 * counted as an ioctl of a container only after VFIO_CHECK_EXTENSION or VFIO_SET_IOMMU
 * was called on the same descriptor.
 */
static struct request {
	unsigned long number;
	const char *name;
	bool container;
	atomic_ulong calls;
	atomic_ulong failures;
} requests[] = {
	OTHER(VFIO_SET_IOMMU, "SET_IOMMU"),
	OTHER(VFIO_GROUP_SET_CONTAINER, "GROUP_SET_CONTAINER"),
	OTHER(VFIO_GROUP_GET_DEVICE_FD, "GROUP_GET_DEVICE_FD"),
	CONTAINER(VFIO_IOMMU_SPAPR_TCE_GET_INFO, "GET_INFO"),
	CONTAINER(VFIO_IOMMU_SPAPR_REGISTER_MEMORY, "REGISTER_MEMORY"),
	CONTAINER(VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY, "UNREGISTER_MEMORY"),
	CONTAINER(VFIO_IOMMU_SPAPR_TCE_CREATE, "TCE_CREATE"),
	CONTAINER(VFIO_IOMMU_SPAPR_TCE_REMOVE, "TCE_REMOVE"),
	CONTAINER(VFIO_IOMMU_MAP_DMA, "MAP_DMA"),
	CONTAINER(VFIO_IOMMU_UNMAP_DMA, "UNMAP_DMA"),
	CONTAINER(VFIO_EEH_PE_OP, "EEH_PE_OP"),
	OTHER(KVM_CREATE_SPAPR_TCE_64, "KVM_CREATE_SPAPR_TCE_64"),
};

#define ARRAY_SIZE(array)	(sizeof(array) / sizeof((array)[0]))
#define REQUESTS		ARRAY_SIZE(requests)

static atomic_bool is_container[MAX_FDS];
static atomic_flag writing = ATOMIC_FLAG_INIT;
static char *text;
static bool hide_kvm_tces;
static int (*next_ioctl)(int fd, unsigned long number, ...);

/* Print a number padded with blanks, because awk reads a number with leading zeros as octal. */
static void print_number(char *end, unsigned long number)
{
	int i;

	for (i = 0; i < NUMBER_WIDTH; i++, number /= 10)
		*--end = number || !i ? '0' + number % 10 : ' ';
}

/* Update the counts in a line. Only digits change, so another reader always sees whole lines. */
static void write_line(size_t index)
{
	char *line = text + index * LINE_WIDTH;

	while (atomic_flag_test_and_set(&writing))
		;
	print_number(line + NAME_WIDTH + 1 + NUMBER_WIDTH,
		     atomic_load(&requests[index].calls));
	print_number(line + LINE_WIDTH - 1, atomic_load(&requests[index].failures));
	atomic_flag_clear(&writing);
}

static void open_file(const char *path)
{
	char *map;
	size_t i;
	int fd;

	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0 || ftruncate(fd, REQUESTS * LINE_WIDTH)) {
		perror(path);
		exit(1);
	}
	map = mmap(NULL, REQUESTS * LINE_WIDTH, PROT_READ | PROT_WRITE, MAP_SHARED,
		   fd, 0);
	close(fd);
	if (map == MAP_FAILED) {
		perror(path);
		exit(1);
	}
	memset(map, ' ', REQUESTS * LINE_WIDTH);
	for (i = 0; i < REQUESTS; i++) {
		memcpy(map + i * LINE_WIDTH, requests[i].name,
		       strlen(requests[i].name));
		map[(i + 1) * LINE_WIDTH - 1] = '\n';
	}
	text = map;
	for (i = 0; i < REQUESTS; i++)
		write_line(i);
}

__attribute__((constructor)) static void start(void)
{
	const char *path = getenv("TCE2_IOCTLS");

	next_ioctl = (__typeof__(next_ioctl))dlsym(RTLD_NEXT, "ioctl");
	hide_kvm_tces = getenv("TCE2_HIDE_KVM_TCES");
	if (path)
		open_file(path);
	/* Do not count the ioctls of programs that the client starts. */
	unsetenv("LD_PRELOAD");
}

static void note_descriptor(int fd, unsigned long number, int result)
{
	if (number == VFIO_GROUP_GET_DEVICE_FD && result >= 0 && result < MAX_FDS)
		atomic_store(&is_container[result], false);
	else if ((number == VFIO_CHECK_EXTENSION || number == VFIO_SET_IOMMU) &&
		 fd >= 0 && fd < MAX_FDS)
		atomic_store(&is_container[fd], true);
}

static void count(int fd, unsigned long number, bool failed)
{
	size_t i;

	for (i = 0; i < REQUESTS; i++) {
		if (requests[i].number != number)
			continue;
		if (requests[i].container &&
		    (fd < 0 || fd >= MAX_FDS || !atomic_load(&is_container[fd])))
			return;
		atomic_fetch_add(&requests[i].calls, 1);
		if (failed)
			atomic_fetch_add(&requests[i].failures, 1);
		write_line(i);
		return;
	}
}

int ioctl(int fd, unsigned long number, ...)
{
	va_list arguments;
	void *argument;
	int result;

	va_start(arguments, number);
	argument = va_arg(arguments, void *);
	va_end(arguments);

	if (hide_kvm_tces && number == KVM_CHECK_EXTENSION &&
	    (unsigned long)argument == KVM_CAP_SPAPR_TCE_VFIO)
		return 0;
	if (hide_kvm_tces && number == KVM_CREATE_DEVICE &&
	    ((struct kvm_create_device *)argument)->type == KVM_DEV_TYPE_VFIO) {
		errno = ENODEV;
		return -1;
	}
	result = next_ioctl(fd, number, argument);
	note_descriptor(fd, number, result);
	if (text)
		count(fd, number, result < 0);
	return result;
}
