// SPDX-License-Identifier: GPL-2.0-only
/*
 * Example: carry out the requests of a guest with an IOMMU, as QEMU does. The guest maps and
 * unmaps single pages all over its memory, in any order. A VMM that gathers these requests
 * for a moment can send them together. The results tell it which request of the guest
 * failed.
 *
 * Usage: viommu GROUP
 */
#include "common.h"

static struct vfio_tce2_range range[PAGES];
static int32_t result[PAGES];

/* The guest maps a page outside its memory: only this request fails */
static void show_results(int container)
{
	struct vfio_tce2_ranges vector = {
		.argsz = sizeof(vector), .flags = VFIO_TCE2_RANGES_CONTINUE,
		.ranges = (uintptr_t)range, .results = (uintptr_t)result, .count = PAGES,
	};

	range[100].vaddr = 0;
	if (!ioctl(container, VFIO_IOMMU_TCE2_RANGES, &vector))
		errx(1, "a page that is not registered was mapped");
	printf("%u of %u requests were carried out; request 100 returned %d\n", vector.done,
	       vector.count, result[100]);
}

int main(int argc, char **argv)
{
	int container = open_container(argc, argv);
	uint8_t *memory = registered(container, PAGES * 65536);

	/* Map a page, and unmap another that the guest has mapped before */
	for (uint32_t i = 0; i < PAGES; i++) {
		uint64_t page = i / 2 * 237 % (PAGES / 2);

		range[i] = (struct vfio_tce2_range){
			.iova = page * 16 * IOMMU_PAGE, .size = IOMMU_PAGE,
			.vaddr = (uintptr_t)memory + page * 65536,
			.op = VFIO_TCE2_OP_MAP, .flags = READ_WRITE,
		};
		if (i % 2 == 0)
			continue;
		range[i] = (struct vfio_tce2_range){
			.iova = range[i - 1].iova, .size = IOMMU_PAGE,
			.op = VFIO_TCE2_OP_UNMAP,
		};
	}
	puts("mapping and unmapping 256 pages:");
	compare(container, range, PAGES);
	if (ioctl(container, VFIO_CHECK_EXTENSION, VFIO_TCE2_RANGES) > 0)
		show_results(container);
	puts("done");
	return 0;
}
