// SPDX-License-Identifier: GPL-2.0-only
/* Tests of the calls of the tracepoints, with a substitute for src/trace.c. */
#include <string.h>

#include <linux/vfio.h>

#include "client.h"
#include "sim_trace.h"
#include "sim_user.h"
#include "tce2_mirrors.h"
#include "tce2_uapi.h"
#include "tce2_why.h"

/* The events since the last call are @want, where #I stands for the container's number */
static void expect_events(const char *want)
{
	char text[400] = "", number[24];

	snprintf(number, sizeof(number), "%llu", container->id);
	for (; *want; want++) {
		if (!strncmp(want, "#I", 2)) {
			strcat(text, number);
			want++;
		} else {
			strncat(text, want, 1);
		}
	}
	if (strcmp(sim_events, text))
		sim_bug("expected the events\n%ssaw\n%s", text, sim_events);
	sim_trace(true);
}

/* Sends a request, whose first member is its size */
#define SEND(cmd, request) \
	tce2_uapi_ioctl(cookie, cmd, user_place(&(request), sizeof(request)))

TEST_F(client, each_request_is_traced_while_a_tracepoint_is_on)
{
	struct vfio_iommu_spapr_register_memory memory = {
		.argsz = sizeof(memory), .vaddr = UA, .size = PAGES(4),
	};
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map), .flags = 3, .vaddr = UA, .iova = PAGES(1),
		.size = PAGES(1),
	};
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = offsetof(struct vfio_iommu_type1_dma_unmap, size) + 8,
		.iova = PAGES(1), .size = PAGES(1),
	};
	struct vfio_iommu_spapr_tce_create create = {
		.argsz = sizeof(create), .page_shift = 16, .window_size = MIB(64),
		.levels = 1,
	};
	struct vfio_iommu_spapr_tce_remove remove = {
		.argsz = sizeof(remove), .start_addr = 1ULL << 59,
	};
	char want[400];

	expect(SEND(VFIO_IOMMU_SPAPR_REGISTER_MEMORY, memory), 0);
	expect(strcmp(sim_events, ""), 0);
	sim_trace(true);
	expect(SEND(VFIO_IOMMU_SPAPR_REGISTER_MEMORY, memory), -EBUSY);
	snprintf(want, sizeof(want), "register #I %llx %llx -16\nrefusal #I %d -16 %d\n",
		 UA, PAGES(4), TCE2_REQUEST_REGISTER, TCE2_WHY_ALREADY_REGISTERED);
	expect_events(want);
	expect(SEND(VFIO_IOMMU_MAP_DMA, map), 0);
	snprintf(want, sizeof(want), "map #I %llx %llx %llx 3 0\n", PAGES(1), UA, PAGES(1));
	expect_events(want);
	expect(SEND(VFIO_IOMMU_UNMAP_DMA, unmap), 0);
	snprintf(want, sizeof(want), "unmap #I %llx %llx 0\n", PAGES(1), PAGES(1));
	expect_events(want);
	expect(SEND(VFIO_IOMMU_SPAPR_TCE_CREATE, create), 0);
	expect_events("create #I 800000000000000 4000000 16 1 0\n");
	expect(SEND(VFIO_IOMMU_SPAPR_TCE_REMOVE, remove), 0);
	expect_events("remove #I 800000000000000 0\n");
	create.levels = 9;
	expect(SEND(VFIO_IOMMU_SPAPR_TCE_CREATE, create), -EINVAL);
	snprintf(want, sizeof(want), "create #I 0 4000000 16 9 -22\nrefusal #I %d -22 %d\n",
		 TCE2_REQUEST_CREATE, TCE2_WHY_LEVELS);
	expect_events(want);
	expect(SEND(VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY, memory), 0);
	snprintf(want, sizeof(want), "unregister #I %llx %llx 0\n", UA, PAGES(4));
	expect_events(want);
	memory.argsz = 8;
	expect(SEND(VFIO_IOMMU_SPAPR_REGISTER_MEMORY, memory), -EINVAL);
	snprintf(want, sizeof(want), "refusal #I %d -22 %d\n", TCE2_REQUEST_REGISTER,
		 TCE2_WHY_ARGSZ);
	expect_events(want);
	sim_trace(false);
	memory.argsz = sizeof(memory);
	expect(SEND(VFIO_IOMMU_SPAPR_REGISTER_MEMORY, memory), 0);
	expect(strcmp(sim_events, ""), 0);
}

TEST_F(client, the_mirror_of_each_region_is_traced)
{
	char want[100];

	expect(tce2_container_register(container, UA, PAGES(4)), 0);
	/* The kernel's list pins the memory again */
	sim.charge_moves = true;
	sim_trace(true);
	tce2_cache_mirror(container->cache);
	snprintf(want, sizeof(want), "mirror %llx %llx 1\n", UA, PAGES(4));
	expect_events(want);
	/* The second call finds no region without a mirror */
	tce2_cache_mirror(container->cache);
	expect_events("");
	sim_trace(false);
}
