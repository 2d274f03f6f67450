// SPDX-License-Identifier: GPL-2.0-only
/*
 * Conformance: the backend of a container, its extensions, and attaching and detaching
 * groups.
 *
 * Two cases can't be tested here. In a container without a group the backend would return
 * ENXIO, but VFIO has removed the backend and returns EINVAL itself. The backend refuses a
 * group with an emulated IOMMU or of another platform, but the machines have no such group.
 */
#define _GNU_SOURCE
#include "conformance.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define INTREE_MODULE	"vfio_iommu_spapr_tce"

/* Number of modules that use the module vfio */
static int vfio_holders(void)
{
	DIR *dir = opendir("/sys/module/vfio/holders");
	struct dirent *entry;
	int holders = 0;

	expect(!dir, 0);
	while ((entry = readdir(dir)))
		holders += entry->d_name[0] != '.';
	closedir(dir);
	return holders;
}

/* True if the types of the module vfio have the function with which tce2ctl finds its mount */
static bool vfio_has_mount(int types)
{
	static const char function[] = "vfio_fs_init_fs_context";
	static char text[MIB(1)];
	size_t size = 0;
	ssize_t got;

	while ((got = read(types, text + size, sizeof(text) - size)) > 0)
		size += got;
	return memmem(text, size, function, sizeof(function));
}

TEST(the_backend_under_test_handles_the_container, .setup = BARE)
{
	int before;

	if (!backend_module)
		skip("--backend any names no module to check");
	before = module_refs(backend_module);
	expect(vfio_open(v), 0);
	expect(vfio_attach(v, 0), 0);
	expect(module_refs(backend_module), before);
	expect(vfio_set_iommu(v, VFIO_SPAPR_TCE_v2_IOMMU), 0);
	expect(module_refs(backend_module), before + 1);
	vfio_close(v);
	expect(module_refs(backend_module), before);
}

/* tools/tce2ctl/process.c depends on these numbers */
TEST(each_open_file_of_vfio_raises_the_use_count_of_vfio_by_a_known_number, .setup = BARE)
{
	int rest = module_refs("vfio");
	int types = open("/sys/kernel/btf/vfio", O_RDONLY | O_CLOEXEC);

	if (rest < 0)
		skip("VFIO is no module");
	if (types >= 0) {
		expect(rest, vfio_holders() + vfio_has_mount(types));
		close(types);
	}
	expect(vfio_open(v), 0);
	expect(module_refs("vfio"), rest + 1);
	expect(vfio_attach(v, 0), 0);
	expect(module_refs("vfio"), rest + 3);
	expect(vfio_set_iommu(v, VFIO_SPAPR_TCE_v2_IOMMU), 0);
	expect(module_refs("vfio"), rest + 3);
	expect(vfio_open_device(v, 0), 0);
	expect(module_refs("vfio"), rest + 4);
	vfio_close(v);
	expect(module_refs("vfio"), rest);
}

TEST(v1_containers_fall_through_to_the_in_tree_driver, .setup = BARE)
{
	int ours = module_refs("vfio_spapr_tce2");
	int theirs = module_refs(INTREE_MODULE);

	if (theirs < 0)
		skip("vfio_iommu_spapr_tce is not loaded");
	expect(vfio_open(v), 0);
	expect(vfio_attach(v, 0), 0);
	expect(vfio_set_iommu(v, VFIO_SPAPR_TCE_IOMMU), 0);
	expect(module_refs(INTREE_MODULE), theirs + 1);
	expect(module_refs("vfio_spapr_tce2"), ours);
}

TEST(check_extension_offers_v2_before_a_backend_is_chosen, .setup = BARE)
{
	expect(vfio_open(v), 0);
	expect(check_extension(v->fd, VFIO_SPAPR_TCE_v2_IOMMU), 1);
	expect(vfio_attach(v, 0), 0);
	expect(check_extension(v->fd, VFIO_SPAPR_TCE_v2_IOMMU), 1);
}

TEST(v2_is_the_only_iommu_type_of_the_container, .intree = "offers v1 in a v2 container")
{
	static const unsigned long others[] = {
		0, VFIO_TYPE1_IOMMU, VFIO_SPAPR_TCE_IOMMU, VFIO_TYPE1v2_IOMMU,
		VFIO_DMA_CC_IOMMU, VFIO_TYPE1_NESTING_IOMMU, 8, 9, 10, 11, 12,
		0x80000007, 0x100000007, ~0UL,
	};
	bool ok = true;
	char row[32];

	expect(check_extension(v->fd, VFIO_SPAPR_TCE_v2_IOMMU), 1);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		snprintf(row, sizeof(row), "extension %#lx", others[i]);
		ok &= row_is(row, check_extension(v->fd, others[i]), 0);
	}
	if (!ok)
		fail("CHECK_EXTENSION offers types that the container does not support");
}

TEST(check_extension_offers_eeh_exactly_where_it_is_enabled)
{
	expect(check_extension(v->fd, VFIO_EEH), eeh_is_enabled());
}

/*
 * The list leaves out VFIO_IOMMU_GET_INFO and VFIO_IOMMU_DIRTY_PAGES of type1, which have
 * the numbers of SPAPR_TCE_GET_INFO and SPAPR_REGISTER_MEMORY.
 */
TEST(enable_disable_and_unknown_ioctls_return_enotty)
{
	static const unsigned long unknown[] = {
		VFIO_IOMMU_ENABLE, VFIO_IOMMU_DISABLE,
		_IO(VFIO_TYPE, VFIO_BASE + 22), _IO(VFIO_TYPE, VFIO_BASE + 23),
		_IO(VFIO_TYPE, 255), _IO('?', 0), 0xffffffff,
	};
	bool ok = true;
	char row[32];

	for (size_t i = 0; i < ARRAY_SIZE(unknown); i++) {
		snprintf(row, sizeof(row), "ioctl %#lx", unknown[i]);
		ok &= row_is(row, call(v->fd, unknown[i], NULL), -ENOTTY);
	}
	registered(v, base_page());
	ok &= row_is("VFIO_IOMMU_ENABLE with memory registered",
		     call(v->fd, VFIO_IOMMU_ENABLE, NULL), -ENOTTY);
	if (!ok)
		fail("expected ENOTTY for each call, saw another answer");
}

/* The VFIO core refuses the request before it calls the backend */
TEST(attaching_a_group_twice_is_refused)
{
	uint8_t *ua = mapped(v, IOVA, base_page());

	expect(call(v->group[0], VFIO_GROUP_SET_CONTAINER, &v->fd), -EINVAL);
	device_reaches(v, 0, IOVA, ua);
}

TEST(setting_the_iommu_twice_is_refused)
{
	expect(vfio_set_iommu(v, VFIO_SPAPR_TCE_v2_IOMMU), -EINVAL);
	mapped(v, IOVA, base_page());
}

TEST(two_groups_share_windows_and_mappings, .setup = TWO_GROUPS)
{
	uint8_t *low = mapped(v, IOVA, base_page());
	uint64_t start = new_window(v, 12, GIB(1), 1);
	uint8_t *high = mapped(v, start + IOVA, base_page());

	for (int slot = 0; slot < SLOTS; slot++) {
		device_reaches(v, slot, IOVA, low);
		device_reaches(v, slot, start + IOVA, high);
	}
}

TEST(removing_a_window_removes_it_from_both_groups, .setup = TWO_GROUPS)
{
	struct sink sink = sink_at(v, SINK_IOVA);
	uint64_t start = new_window(v, 12, GIB(1), 1);
	uint8_t *ua = mapped(v, start + IOVA, base_page());

	expect(window_remove(v->fd, start), 0);
	for (int slot = 0; slot < SLOTS; slot++)
		device_cannot_reach(v, slot, start + IOVA, ua, &sink);
	unregister_ok(v, ua, base_page());
}

TEST(a_device_of_a_group_attached_later_reaches_existing_mappings)
{
	uint8_t *low, *high;
	uint64_t start;

	need_groups_that_share();
	low = mapped(v, IOVA, base_page());
	start = new_window(v, 12, GIB(1), 1);
	high = mapped(v, start + IOVA, base_page());
	device_reaches(v, 0, IOVA, low);
	expect(vfio_attach(v, 1), 0);
	device_reaches(v, 1, IOVA, low);
	device_reaches(v, 1, start + IOVA, high);
	device_reaches(v, 0, start + IOVA, high);
}

/* The second group attaches before, or after, the first MAP_DMA makes the default window */
TEST(a_second_group_attaches_if_tables_can_be_shared,
     .intree = "defect 5; on pseries the group attaches, then no MAP_DMA works")
{
	int want = under_hypervisor() ? -EPERM : 0;
	uint8_t *ua = registered(v, base_page()), *own;
	struct vfio elsewhere;

	need_two_devices();
	expect(vfio_attach(v, 1), want);
	if (!want)
		expect(vfio_detach(v, 1), 0);
	expect(dma_map(v->fd, IOVA, ua, base_page(), READ_WRITE), 0);
	expect(vfio_attach(v, 1), want);
	if (!want)
		expect(vfio_detach(v, 1), 0);
	device_reaches(v, 0, IOVA, ua);

	open_container(&elsewhere, 1);
	own = mapped(&elsewhere, IOVA, base_page());
	device_reaches(&elsewhere, 1, IOVA, own);
	device_reaches(v, 0, IOVA, ua);
	vfio_close(&elsewhere);
}

/* Detach a group, which then has no mapping; the other group keeps all mappings (defect 5) */
static void detach_one(struct vfio *v, int leaves, int stays)
{
	uint8_t *ua = mapped(v, IOVA, base_page());
	struct vfio elsewhere;
	struct sink sink;

	device_reaches(v, leaves, IOVA, ua);
	expect(vfio_detach(v, leaves), 0);
	device_reaches(v, stays, IOVA, ua);
	expect(spapr_unregister(v->fd, ua, base_page()), -EBUSY);

	open_container(&elsewhere, leaves);
	sink = sink_at(&elsewhere, SINK_IOVA);
	device_cannot_reach(&elsewhere, leaves, IOVA, ua, &sink);
	vfio_close(&elsewhere);

	device_reaches(v, stays, IOVA, ua);
	expect(dma_unmap(v->fd, IOVA, base_page()), 0);
	unregister_ok(v, ua, base_page());
}

TEST(detaching_the_first_group_keeps_the_mappings_of_the_second,
     .setup = TWO_GROUPS, .intree = "defect 5")
{
	detach_one(v, 0, 1);
}

TEST(detaching_the_second_group_keeps_the_mappings_of_the_first,
     .setup = TWO_GROUPS, .intree = "defect 5")
{
	detach_one(v, 1, 0);
}

TEST(a_group_can_be_detached_and_attached_again, .setup = TWO_GROUPS, .intree = "defect 5")
{
	uint8_t *ua = mapped(v, IOVA, base_page());

	expect(vfio_detach(v, 1), 0);
	expect(vfio_attach(v, 1), 0);
	device_reaches(v, 1, IOVA, ua);
	device_reaches(v, 0, IOVA, ua);
}

TEST(detaching_the_last_group_releases_all_resources, .intree = "defect 18: unpins pages late")
{
	struct ledger before = ledger();
	int refs = backend_module ? module_refs(backend_module) : 0;

	mapped(v, IOVA, MIB(1));
	new_window(v, 12, GIB(1), 1);
	expect(vfio_detach(v, 0), 0);
	expect_ledger("after the last group left", before, 0);
	if (backend_module)
		expect(module_refs(backend_module), refs - 1);
	expect(dma_unmap(v->fd, IOVA, MIB(1)), -EINVAL);
}

TEST(a_container_can_be_used_again_after_its_last_group_was_detached)
{
	uint8_t *ua = mapped(v, IOVA, base_page());

	expect(vfio_detach(v, 0), 0);
	expect(vfio_attach(v, 0), 0);
	expect(vfio_set_iommu(v, VFIO_SPAPR_TCE_v2_IOMMU), 0);
	expect(dma_map(v->fd, IOVA, ua, base_page(), READ_WRITE), -EPERM);
	expect(spapr_register(v->fd, ua, base_page()), 0);
	expect(dma_map(v->fd, IOVA, ua, base_page(), READ_WRITE), 0);
	device_reaches(v, 0, IOVA, ua);
}
