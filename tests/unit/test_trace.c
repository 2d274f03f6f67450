// SPDX-License-Identifier: GPL-2.0-only
/* Tests of the calls of the tracepoints, with a substitute for src/trace.c. */
#include <string.h>

#include <linux/ktime.h>
#include <linux/vfio.h>
#include <linux/wait.h>

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

/* No request gets a reference to the container, so none takes the general path */
TEST_F(client, a_traced_request_for_one_page_keeps_its_short_path)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map), .flags = 1, .vaddr = UA, .iova = 4096, .size = 4096,
	};
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = offsetof(struct vfio_iommu_type1_dma_unmap, size) + 8,
		.iova = 4096, .size = 4096,
	};
	char want[200];

	expect(tce2_container_register(container, UA, PAGES(4)), 0);
	expect(tce2_container_map(container, REQUEST(0, UA, 4096, 1)), 0);
	sim_trace(true);
	/* The general path would lock the groups and windows */
	down_write(&container->ddw.lock);
	map.vaddr += 4096;
	expect(SEND(VFIO_IOMMU_MAP_DMA, map), 0);
	expect(SEND(VFIO_IOMMU_UNMAP_DMA, unmap), 0);
	up_write(&container->ddw.lock);
	snprintf(want, sizeof(want), "map #I 1000 %llx 1000 1 0\nunmap #I 1000 1000 0\n",
		 UA + 4096);
	expect_events(want);
	sim_trace(false);
	expect(SEND(VFIO_IOMMU_MAP_DMA, map), 0);
	expect(strcmp(sim_events, ""), 0);
}

/* On a hypervisor, the platform may refuse an entry of a brief request */
TEST(a_refused_request_for_one_page_is_traced_as_a_refusal)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map), .flags = 1, .vaddr = UA + 4096, .size = 4096,
	};
	struct tce2_window_spec spec = { MIB(64), 12, 1 };
	struct tce2_creation creation;
	char want[200];

	platform_kind = PLATFORM_HYPERVISOR;
	begin_client(0);
	group[0] = platform_group(1);
	expect(tce2_container_attach(container, &group[0]->group), 0);
	expect(tce2_container_remove_window(container, 0), 0);
	expect(tce2_container_create_window(container, &spec, &creation), 0);
	expect(tce2_container_publish_window(container, &creation), 0);
	expect(tce2_container_register(container, UA, PAGES(4)), 0);
	expect(tce2_container_map(container, REQUEST(creation.start, UA, 4096, 1)), 0);
	map.iova = creation.start + 4096;
	sim_trace(true);
	platform_fail(PLATFORM_XCHG, 1, 1);
	down_write(&container->ddw.lock);
	expect(SEND(VFIO_IOMMU_MAP_DMA, map), -EIO);
	up_write(&container->ddw.lock);
	platform_fail_nothing();
	snprintf(want, sizeof(want), "map #I %llx %llx 1000 1 -5\nrefusal #I %d -5 %d\n",
		 map.iova, UA + 4096, TCE2_REQUEST_MAP, 0);
	expect_events(want);
	sim_trace(false);
	end_client();
}

TEST_F(client, waits_for_groups_and_windows_are_traced)
{
	struct tce2_window_spec spec = { MIB(64), 12, 1 };
	static const bool killed = true;
	struct tce2_creation creation;

	expect(tce2_container_register(container, UA, PAGES(4)), 0);
	expect(tce2_container_map(container, REQUEST(0, UA, 4096, 1)), 0);
	sim_trace(true);
	sim_ns = 5;
	expect(tce2_container_unmap(container, 0, 4096), 0);
	expect_events("");
	expect(tce2_container_create_window(container, &spec, &creation), 0);
	tce2_container_cancel_window(container, &creation);
	expect_events("");
	group[1] = platform_group(3);
	expect(tce2_container_attach(container, &group[1]->group), 0);
	expect_events("wait 1 0\n");
	/* VFIO waits for requests to end, so a request waits for VFIO, until it is killed */
	atomic_inc(&container->ddw.hurry.turning_away);
	atomic_inc(&container->ddw.hurry.stopping);
	wait_killed = &killed;
	wait_for_others = true;
	expect(tce2_container_unmap(container, 0, 4096), -EINTR);
	expect_events("wait 2 0\n");
	expect(tce2_container_create_window(container, &spec, &creation), -EINTR);
	expect_events("wait 2 0\n");
	wait_for_others = false;
	wait_killed = NULL;
	atomic_dec(&container->ddw.hurry.stopping);
	atomic_dec(&container->ddw.hurry.turning_away);
	/* A writer has the lock */
	down_write(&container->ddw.lock);
	sim_fail(SIM_KILL, 1);
	expect(tce2_container_unmap(container, 0, 4096), -EINTR);
	sim_fail_nothing();
	up_write(&container->ddw.lock);
	expect_events("wait 2 0\n");
	sim_trace(false);
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
