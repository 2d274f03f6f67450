/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Functions that the examples share: a container with one group, and memory.
 *
 * The examples show how a program uses include/uapi/vfio_spapr_tce2.h, and how it works with
 * a driver that does not have these requests. They need a POWER host, the number of a group
 * whose devices are bound to vfio-pci, and the right to lock 64 MiB of memory.
 */
#ifndef EXAMPLES_COMMON_H
#define EXAMPLES_COMMON_H

#include <err.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>

#include <linux/vfio.h>

#include "../../include/uapi/vfio_spapr_tce2.h"

#define READ_WRITE	(VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE)
#define IOMMU_PAGE	4096		/* of the default window */
#define PAGES		512
#define REPEATS		64

/* Opens a container with the group of argv[1] */
static inline int open_container(int argc, char **argv)
{
	int container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC), group;
	char path[64];

	if (argc != 2)
		errx(2, "usage: %s GROUP", argv[0]);
	snprintf(path, sizeof(path), "/dev/vfio/%s", argv[1]);
	group = open(path, O_RDWR | O_CLOEXEC);
	if (container < 0)
		err(1, "cannot open /dev/vfio/vfio");
	if (group < 0)
		err(1, "cannot open %s: is the device bound to vfio-pci?", path);
	if (ioctl(group, VFIO_GROUP_SET_CONTAINER, &container))
		err(1, "VFIO_GROUP_SET_CONTAINER");
	if (ioctl(container, VFIO_SET_IOMMU, VFIO_SPAPR_TCE_v2_IOMMU))
		err(1, "VFIO_SET_IOMMU");
	return container;
}

/* Allocates and registers memory of @size bytes */
static inline uint8_t *registered(int container, uint64_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct vfio_iommu_spapr_register_memory request = {
		.argsz = sizeof(request), .vaddr = (uintptr_t)memory, .size = size,
	};

	if (memory == MAP_FAILED)
		err(1, "mmap");
	if (ioctl(container, VFIO_IOMMU_SPAPR_REGISTER_MEMORY, &request))
		err(1, "VFIO_IOMMU_SPAPR_REGISTER_MEMORY");
	return memory;
}

/* Carries out requests one by one, as with any driver */
static inline void run_singly(int container, const struct vfio_tce2_range *range, uint32_t count)
{
	for (; count--; range++) {
		struct vfio_iommu_type1_dma_map map = {
			.argsz = sizeof(map), .flags = range->flags,
			.vaddr = range->vaddr, .iova = range->iova, .size = range->size,
		};
		struct vfio_iommu_type1_dma_unmap unmap = {
			.argsz = sizeof(unmap), .iova = range->iova, .size = range->size,
		};

		if (range->op == VFIO_TCE2_OP_MAP && ioctl(container, VFIO_IOMMU_MAP_DMA, &map))
			err(1, "VFIO_IOMMU_MAP_DMA");
		if (range->op == VFIO_TCE2_OP_UNMAP &&
		    ioctl(container, VFIO_IOMMU_UNMAP_DMA, &unmap))
			err(1, "VFIO_IOMMU_UNMAP_DMA");
	}
}

/* Carries out requests in one call, up to VFIO_TCE2_MAX_RANGES */
static inline void run_together(int container, const struct vfio_tce2_range *range,
				uint32_t count)
{
	struct vfio_tce2_ranges vector = {
		.argsz = sizeof(vector), .ranges = (uintptr_t)range, .count = count,
	};

	if (ioctl(container, VFIO_IOMMU_TCE2_RANGES, &vector))
		err(1, "VFIO_IOMMU_TCE2_RANGES: request %u", vector.done);
}

/* Runs requests again and again; returns nanoseconds for each request */
static inline double time_of(void (*run)(int, const struct vfio_tce2_range *, uint32_t),
			     int container, const struct vfio_tce2_range *range, uint32_t count)
{
	struct timespec from, to;

	run(container, range, count);
	clock_gettime(CLOCK_MONOTONIC, &from);
	for (int i = 0; i < REPEATS; i++)
		run(container, range, count);
	clock_gettime(CLOCK_MONOTONIC, &to);
	return ((to.tv_sec - from.tv_sec) * 1e9 + to.tv_nsec - from.tv_nsec) / REPEATS / count;
}

/* Measures requests in single calls and, if the driver can, in one call */
static inline void compare(int container, const struct vfio_tce2_range *range, uint32_t count)
{
	double singly = time_of(run_singly, container, range, count), together;

	printf("%u calls: %.0f ns a request\n", count, singly);
	if (ioctl(container, VFIO_CHECK_EXTENSION, VFIO_TCE2_RANGES) <= 0) {
		puts("this driver has no VFIO_IOMMU_TCE2_RANGES");
		return;
	}
	together = time_of(run_together, container, range, count);
	printf("1 call: %.0f ns a request, %.1f times faster\n", together, singly / together);
}

#endif /* EXAMPLES_COMMON_H */
