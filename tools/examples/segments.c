// SPDX-License-Identifier: GPL-2.0-only
/*
 * Example: map the pages of a memory segment, as DPDK does. DPDK gives each page of a segment
 * its own mapping, at a bus address that it chooses. So it maps many pages at start, and
 * unmaps them all at the end.
 *
 * Usage: segments GROUP
 */
#include "common.h"

static struct vfio_tce2_range range[PAGES];

/* Prints the bus addresses that the program may use */
static void print_usable(int container)
{
	union {
		struct vfio_tce2_info info;
		uint8_t bytes[512];
	} answer = {
		.info = { .info.argsz = sizeof(answer), .magic = VFIO_TCE2_INFO_MAGIC },
	};
	uint32_t at;

	if (ioctl(container, VFIO_IOMMU_SPAPR_TCE_GET_INFO, &answer))
		err(1, "VFIO_IOMMU_SPAPR_TCE_GET_INFO");
	if (!(answer.info.info.flags & VFIO_TCE2_INFO_CAPS)) {
		puts("this driver has no capabilities");
		return;
	}
	for (at = answer.info.cap_offset; at;) {
		struct vfio_info_cap_header *header = (void *)(answer.bytes + at);
		struct vfio_iommu_type1_info_cap_iova_range *cap = (void *)header;

		at = header->next;
		if (header->id != VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE)
			continue;
		for (uint32_t i = 0; i < cap->nr_iovas; i++)
			printf("usable: 0x%llx to 0x%llx\n",
			       (unsigned long long)cap->iova_ranges[i].start,
			       (unsigned long long)cap->iova_ranges[i].end);
	}
}

int main(int argc, char **argv)
{
	int container = open_container(argc, argv);
	uint8_t *memory = registered(container, PAGES * 65536);
	struct vfio_tce2_range all = { .op = VFIO_TCE2_OP_UNMAP_WINDOW };

	print_usable(container);
	for (uint32_t i = 0; i < PAGES; i++)
		range[i] = (struct vfio_tce2_range){
			.iova = (uint64_t)i * IOMMU_PAGE, .size = IOMMU_PAGE,
			.vaddr = (uintptr_t)memory + i * 65536,
			.op = VFIO_TCE2_OP_MAP, .flags = READ_WRITE,
		};
	puts("mapping 512 pages:");
	compare(container, range, PAGES);
	if (ioctl(container, VFIO_CHECK_EXTENSION, VFIO_TCE2_RANGES) > 0)
		run_together(container, &all, 1);
	puts("done");
	return 0;
}
