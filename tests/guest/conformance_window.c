// SPDX-License-Identifier: GPL-2.0-only
/*
 * Conformance: TCE_GET_INFO, TCE_CREATE and TCE_REMOVE. The tests check which windows can
 * be created, their starts and charges, and the effect of TCE_REMOVE on mappings.
 */
#define _GNU_SOURCE
#include "conformance.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define CREATE_FULL	sizeof(struct vfio_iommu_spapr_tce_create)
#define REMOVE_FULL	sizeof(struct vfio_iommu_spapr_tce_remove)
#define INFO_SHORT	offsetof(struct vfio_iommu_spapr_tce_info, ddw)

/* A window with far more TCEs than clients map */
struct huge {
	unsigned int shift;
	unsigned int levels;
	uint64_t size;
};

/*
 * On pseries the only level is allocated at once: a table in the hypervisor, and a copy
 * in Linux. So the window is smaller there.
 */
static struct huge huge_window(void)
{
	if (under_hypervisor())
		return (struct huge){ 12, 1, 1ULL << 36 };
	return (struct huge){ 12, 3, 1ULL << 48 };
}

TEST(get_info_describes_the_platform)
{
	struct vfio_iommu_spapr_tce_info info = info_of(v);

	expect(info.flags, VFIO_IOMMU_SPAPR_INFO_DDW);
	expect(info.dma32_window_start, 0);
	if (!info.dma32_window_size)
		fail("expected a default window, saw dma32_window_size 0");
	expect(info.ddw.max_dynamic_windows_supported, 2);
	if (under_hypervisor()) {
		expect(info.dma32_window_size, GIB(1));
		expect(info.ddw.pgsizes, KIB(4) | KIB(64) | MIB(2) | MIB(16));
		expect(info.ddw.levels, 1);
	} else {
		expect(info.dma32_window_size, GIB(2));
		expect(info.ddw.pgsizes, KIB(4) | KIB(64) | MIB(2) | GIB(1));
		expect(info.ddw.levels, 5);
	}
}

TEST(get_info_without_the_ddw_part_writes_nothing_after_argsz)
{
	struct vfio_iommu_spapr_tce_info full = info_of(v), info;

	memset(&info, 0xa5, sizeof(info));
	info.argsz = INFO_SHORT;
	expect(call(v->fd, VFIO_IOMMU_SPAPR_TCE_GET_INFO, &info), 0);
	expect(info.dma32_window_start, full.dma32_window_start);
	expect(info.dma32_window_size, full.dma32_window_size);
	for (size_t i = INFO_SHORT; i < sizeof(info); i++)
		expect(((uint8_t *)&info)[i], 0xa5);
}

TEST(get_info_with_an_incomplete_ddw_part_fills_in_only_the_short_part)
{
	struct vfio_iommu_spapr_tce_info info;

	memset(&info, 0xa5, sizeof(info));
	info.argsz = sizeof(info) - 1;
	expect(call(v->fd, VFIO_IOMMU_SPAPR_TCE_GET_INFO, &info), 0);
	for (size_t i = INFO_SHORT; i < sizeof(info); i++)
		expect(((uint8_t *)&info)[i], 0xa5);
}

TEST(get_info_with_a_larger_argsz_is_accepted)
{
	struct vfio_iommu_spapr_tce_info full = info_of(v);
	struct vfio_iommu_spapr_tce_info in = { .argsz = ~0U }, *info;

	info = at_page_end(&in, sizeof(in));
	expect(call(v->fd, VFIO_IOMMU_SPAPR_TCE_GET_INFO, info), 0);
	expect(memcmp(&info->ddw, &full.ddw, sizeof(full.ddw)), 0);
}

TEST(bad_get_info_requests_are_refused)
{
	struct vfio_iommu_spapr_tce_info info = { .argsz = 0 };
	void *read_only;

	expect(call(v->fd, VFIO_IOMMU_SPAPR_TCE_GET_INFO, &info), -EINVAL);
	info.argsz = INFO_SHORT - 1;
	expect(call(v->fd, VFIO_IOMMU_SPAPR_TCE_GET_INFO, &info), -EINVAL);
	expect_bad_pointers_fault(v->fd, VFIO_IOMMU_SPAPR_TCE_GET_INFO);
	info.argsz = sizeof(info);
	read_only = memcpy(memory(base_page()), &info, sizeof(info));
	mprotect(read_only, base_page(), PROT_READ);
	expect(call(v->fd, VFIO_IOMMU_SPAPR_TCE_GET_INFO, read_only), -EFAULT);
}

TEST(a_second_window_starts_at_bit_59)
{
	uint8_t *low = mapped(v, IOVA, base_page()), *high;

	expect(new_window(v, 12, GIB(1), 1), WINDOW1_START);
	high = mapped(v, WINDOW1_START + IOVA, base_page());
	device_reaches(v, 0, WINDOW1_START + IOVA, high);
	device_reaches(v, 0, IOVA, low);
}

/* No request has made the pending default window, but another window can't start at 0 */
TEST(the_pending_default_window_keeps_address_zero)
{
	uint8_t *ua;

	expect(new_window(v, 12, GIB(1), 1), WINDOW1_START);
	ua = mapped(v, IOVA, base_page());
	device_reaches(v, 0, IOVA, ua);
}

TEST(removing_the_pending_default_window_frees_address_zero)
{
	uint8_t *ua = registered(v, base_page());

	expect(window_remove(v->fd, info_of(v).dma32_window_start), 0);
	expect(dma_map(v->fd, IOVA, ua, base_page(), READ_WRITE), -ENXIO);
	expect(dma_unmap(v->fd, IOVA, base_page()), -ENXIO);
	expect(window_remove(v->fd, 0), -EINVAL);
	expect(new_window(v, 12, GIB(1), 1), 0);
	expect(dma_map(v->fd, IOVA, ua, base_page(), READ_WRITE), 0);
	device_reaches(v, 0, IOVA, ua);
}

TEST(a_removed_default_window_can_be_replaced_by_a_larger_one)
{
	uint8_t *ua = mapped(v, IOVA, base_page());
	uint64_t start = first_start(v, 12, GIB(4));

	expect(window_remove(v->fd, 0), 0);
	unregister_ok(v, ua, base_page());
	expect(new_window(v, 12, GIB(4), 1), start);
	/* The last 64 KiB below 4 GiB are the 32-bit MSI addresses of the host bridge */
	ua = mapped(v, start + GIB(4) - MIB(1), base_page());
	device_reaches(v, 0, start + GIB(4) - MIB(1), ua);
}

TEST(a_smaller_default_window_ends_at_the_requested_size)
{
	uint8_t *ua;

	expect(window_remove(v->fd, 0), 0);
	expect(new_window(v, 12, MIB(256), 1), 0);
	ua = mapped(v, MIB(256) - base_page(), base_page());
	device_reaches(v, 0, MIB(256) - base_page(), ua);
	expect(dma_map(v->fd, MIB(256), ua, TCE_4K, READ_WRITE), -ENXIO);
}

TEST(a_third_window_returns_enospc)
{
	int64_t locked;

	new_window(v, 12, GIB(1), 1);
	locked = vmlck();
	expect(window_create(v->fd, 12, GIB(1), 1, NULL), -ENOSPC);
	expect(vmlck(), locked);
	expect(window_remove(v->fd, WINDOW1_START), 0);
	expect(new_window(v, 12, GIB(1), 1), WINDOW1_START);
	expect(window_create(v->fd, 12, GIB(1), 1, NULL), -ENOSPC);
	expect(vmlck(), locked);
}

/*
 * On pseries the default window can be created again only while there is no other window,
 * because its creation would remove the other window (spapr_tce_create_table()).
 */
TEST(a_removed_default_window_can_be_created_again)
{
	uint8_t *ua = registered(v, base_page());
	uint64_t start = new_window(v, 12, GIB(1), 1);
	bool alone = under_hypervisor();
	int64_t locked;

	expect(dma_map(v->fd, start, ua, base_page(), READ_WRITE), 0);
	expect(window_remove(v->fd, 0), 0);
	locked = vmlck();
	if (alone) {
		expect(window_create(v->fd, 12, GIB(1), 1, NULL), -EPERM);
		expect(window_create(v->fd, 16, GIB(4), 1, NULL), -ENOSPC);
		expect(vmlck(), locked);
		device_reaches(v, 0, start, ua);
		expect(window_remove(v->fd, start), 0);
	}
	expect(new_window(v, 12, GIB(1), 1), 0);
	expect(dma_map(v->fd, IOVA, ua, base_page(), READ_WRITE), 0);
	device_reaches(v, 0, IOVA, ua);
	if (alone)
		expect(new_window(v, 12, GIB(1), 1), start);
	expect(window_create(v->fd, 12, GIB(1), 1, NULL), -ENOSPC);
}

/* Check the first and the last page of a window, and that the window ends there */
static void both_ends_work(struct vfio *v, unsigned int shift, uint64_t size)
{
	uint64_t start = new_window(v, shift, size, 1), page = 1ULL << shift;
	uint8_t *ua;

	expect(start, WINDOW1_START);
	if (page < base_page())
		page = base_page();
	ua = contiguous_memory(page);
	expect(spapr_register(v->fd, ua, page), 0);
	expect(dma_map(v->fd, start, ua, page, READ_WRITE), 0);
	expect(dma_map(v->fd, start + size - page, ua, page, READ_WRITE), 0);
	device_reaches(v, 0, start, ua);
	device_reaches(v, 0, start + page - TCE_4K, ua + page - TCE_4K);
	device_reaches(v, 0, start + size - page, ua);
	device_reaches(v, 0, start + size - TCE_4K, ua + page - TCE_4K);
	expect(dma_map(v->fd, start + size, ua, page, READ_WRITE), -ENXIO);
	expect(window_remove(v->fd, start), 0);
	unregister_ok(v, ua, page);
}

TEST(windows_of_every_offered_page_size_work)
{
	struct vfio_iommu_spapr_tce_info info = info_of(v);

	for (unsigned int shift = 12; shift < 64; shift++)
		if (info.ddw.pgsizes & (1ULL << shift))
			both_ends_work(v, shift, 1ULL << (shift + 16));
}

#define DPDK_WINDOW	(1ULL << 47)	/* bytes, for user addresses */

/*
 * Search for the number of levels as DPDK does. On powernv the table of one level is too
 * large to be allocated. On pseries the hypervisor allocates it.
 */
TEST(dpdks_search_for_levels_ends_in_a_window, .intree = "defects 6, 13")
{
	struct vfio_iommu_spapr_tce_info info = info_of(v);
	uint64_t want = first_start(v, 21, DPDK_WINDOW), start = ~0ULL;
	int64_t locked;
	int ret = -1;

	if (!has_page_shift(v, 21))
		skip("the platform offers no 2 MiB IOMMU pages");
	expect(window_remove(v->fd, info.dma32_window_start), 0);
	locked = vmlck();
	for (uint32_t levels = 1; ret && levels <= info.ddw.levels; levels++) {
		ret = window_create(v->fd, 21, DPDK_WINDOW, levels, &start);
		if (ret)
			expect(vmlck(), locked);
	}
	expect(ret, 0);
	expect(start, want);
	/* A one-level table, as on pseries, is charged in full: 8 bytes for each TCE */
	if (info.ddw.levels == 1)
		expect(vmlck() - locked, DPDK_WINDOW >> 21 << 3);
	else if (vmlck() - locked > (int64_t)MIB(64))
		fail("expected at most 64 MiB charged for an empty window, saw %lld bytes",
		     (long long)(vmlck() - locked));
}

/* Search for the number of levels as QEMU does for a guest's default window */
TEST(qemus_search_for_levels_ends_in_a_window_at_the_expected_start)
{
	struct vfio_iommu_spapr_tce_info info = info_of(v);
	unsigned int shift = 63 - __builtin_clzll(info.ddw.pgsizes &
						  (2 * base_page() - 1));
	uint64_t want = first_start(v, shift, GIB(1)), start = ~0ULL;
	int ret = -1;

	expect(window_remove(v->fd, 0), 0);
	for (uint32_t levels = 1; ret && levels <= info.ddw.levels; levels++)
		ret = window_create(v->fd, shift, GIB(1), levels, &start);
	expect(ret, 0);
	expect(start, want);
}

struct create_row {
	const char *row;
	uint32_t argsz;
	uint32_t flags;
	uint32_t shift;
	uint64_t size;
	uint32_t levels;
};

/* Each request returns EINVAL (defects 6 and 8) */
TEST(bad_create_requests_change_nothing, .intree = "defects 6, 8", .crashes = true)
{
	struct vfio_iommu_spapr_tce_info info = info_of(v), after;
	uint32_t more = info.ddw.levels + 1;
	const struct create_row rows[] = {
		{ "argsz 0", 0, 0, 12, GIB(1), 1 },
		{ "argsz one short", CREATE_FULL - 1, 0, 12, GIB(1), 1 },
		{ "flag 0", CREATE_FULL, 1, 12, GIB(1), 1 },
		{ "all flags", CREATE_FULL, ~0U, 12, GIB(1), 1 },
		{ "page shift 0", CREATE_FULL, 0, 0, GIB(1), 1 },
		{ "page shift 1", CREATE_FULL, 0, 1, GIB(1), 1 },
		{ "page shift 11", CREATE_FULL, 0, 11, GIB(1), 1 },
		{ "page shift 13", CREATE_FULL, 0, 13, GIB(1), 1 },
		{ "page shift 20", CREATE_FULL, 0, 20, GIB(1), 1 },
		{ "page shift 31", CREATE_FULL, 0, 31, 1ULL << 40, 1 },
		{ "page shift 32", CREATE_FULL, 0, 32, 1ULL << 40, 1 },
		{ "page shift 63", CREATE_FULL, 0, 63, 1ULL << 63, 1 },
		{ "page shift 64", CREATE_FULL, 0, 64, GIB(1), 1 },
		{ "page shift 76", CREATE_FULL, 0, 76, GIB(1), 1 },
		{ "page shift 140", CREATE_FULL, 0, 140, GIB(1), 1 },
		{ "page shift 144", CREATE_FULL, 0, 144, GIB(1), 1 },
		{ "page shift 268", CREATE_FULL, 0, 268, GIB(1), 1 },
		{ "page shift 2^31 + 12", CREATE_FULL, 0, (1U << 31) + 12,
		  GIB(1), 1 },
		{ "page shift 2^32 - 1", CREATE_FULL, 0, ~0U, GIB(1), 1 },
		{ "size 0", CREATE_FULL, 0, 12, 0, 1 },
		{ "size 1", CREATE_FULL, 0, 12, 1, 1 },
		{ "size half a page", CREATE_FULL, 0, 12, 2048, 1 },
		{ "size half a large IOMMU page", CREATE_FULL, 0, 21, MIB(1), 1 },
		{ "size no power of two", CREATE_FULL, 0, 12, GIB(3), 1 },
		{ "size one short", CREATE_FULL, 0, 12, GIB(1) - 1, 1 },
		{ "size one page more", CREATE_FULL, 0, 12, GIB(1) + 4096, 1 },
		{ "size 2^64 - 1", CREATE_FULL, 0, 12, ~0ULL, 1 },
		{ "levels 0", CREATE_FULL, 0, 12, GIB(1), 0 },
		{ "levels one too many", CREATE_FULL, 0, 12, GIB(1), more },
		{ "levels 64", CREATE_FULL, 0, 12, GIB(1), 64 },
		{ "levels 2^31", CREATE_FULL, 0, 12, GIB(1), 1U << 31 },
		{ "levels 2^32 - 1", CREATE_FULL, 0, 12, GIB(1), ~0U },
	};
	int64_t locked = vmlck();
	bool ok = true;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct vfio_iommu_spapr_tce_create create = {
			.argsz = rows[i].argsz,
			.flags = rows[i].flags,
			.page_shift = rows[i].shift,
			.window_size = rows[i].size,
			.levels = rows[i].levels,
		};

		ok &= row_is(rows[i].row,
			     call(v->fd, VFIO_IOMMU_SPAPR_TCE_CREATE, &create),
			     -EINVAL);
		ok &= row_is("VmLck after the request", vmlck(), locked);
	}
	expect_bad_pointers_fault(v->fd, VFIO_IOMMU_SPAPR_TCE_CREATE);
	after = info_of(v);
	expect(memcmp(&info, &after, sizeof(info)), 0);
	if (!ok)
		fail("requests returned unexpected answers, see above");
	expect(new_window(v, 12, GIB(1), 1), WINDOW1_START);
	expect(window_create(v->fd, 12, GIB(1), 1, NULL), -ENOSPC);
}

/* The platform's limits decide whether TCE_CREATE returns EINVAL or ENOMEM */
TEST(a_window_beyond_the_limits_of_the_platform_is_refused, .intree = "defect 6")
{
	uint32_t most = info_of(v).ddw.levels;
	int64_t locked = vmlck();

	for (uint32_t levels = 1; levels <= most; levels++) {
		expect_either(window_create(v->fd, 12, 1ULL << 63, levels,
					    NULL), -EINVAL, -ENOMEM);
		expect_either(window_create(v->fd, 12, 1ULL << 62, levels,
					    NULL), -EINVAL, -ENOMEM);
		expect_either(window_create(v->fd, 16, 1ULL << 61, levels,
					    NULL), -EINVAL, -ENOMEM);
		expect_either(window_create(v->fd, 12, 1ULL << 60, levels,
					    NULL), -EINVAL, -ENOMEM);
		expect(vmlck(), locked);
	}
	expect(new_window(v, 12, GIB(1), 1), WINDOW1_START);
}

/* A table of one level with 2^28 entries can't be allocated (defect 6) */
TEST(a_table_too_large_to_allocate_returns_enomem_and_charges_nothing, .intree = "defect 6")
{
	int64_t locked = vmlck();
	uint8_t *ua;

	if (under_hypervisor())
		skip("on pseries the hypervisor allocates the tables");
	expect(window_create(v->fd, 12, 1ULL << 40, 1, NULL), -ENOMEM);
	expect(window_create(v->fd, 12, 1ULL << 40, 1, NULL), -ENOMEM);
	expect(vmlck(), locked);
	ua = mapped(v, IOVA, base_page());
	device_reaches(v, 0, IOVA, ua);
	expect(new_window(v, 12, GIB(1), 1), WINDOW1_START);
}

/* The request leaves no window, no used slot and no charge (defect 7) */
TEST(a_create_whose_answer_cannot_be_written_leaves_no_window, .intree = "defect 7")
{
	struct vfio_iommu_spapr_tce_create create = {
		.argsz = sizeof(create),
		.page_shift = 12,
		.window_size = GIB(1),
		.levels = 1,
	};
	void *read_only = memcpy(memory(base_page()), &create, sizeof(create));
	int64_t locked;

	mprotect(read_only, base_page(), PROT_READ);
	mapped(v, IOVA, base_page());	/* makes the default window */
	locked = vmlck();
	for (int i = 0; i < 3; i++) {
		expect(call(v->fd, VFIO_IOMMU_SPAPR_TCE_CREATE, read_only),
		       -EFAULT);
		expect(vmlck(), locked);
	}
	expect(dma_unmap(v->fd, WINDOW1_START, TCE_4K), -ENXIO);
	expect(new_window(v, 12, GIB(1), 1), WINDOW1_START);
	expect(window_create(v->fd, 12, GIB(1), 1, NULL), -ENOSPC);
}

TEST(create_ignores_reserved_fields_and_a_larger_argsz)
{
	struct vfio_iommu_spapr_tce_create create = {
		.argsz = ~0U,
		.page_shift = 12,
		.__resv1 = ~0U,
		.window_size = GIB(1),
		.levels = 1,
		.__resv2 = ~0U,
		.start_addr = ~0ULL,
	}, *last = at_page_end(&create, sizeof(create));

	expect(call(v->fd, VFIO_IOMMU_SPAPR_TCE_CREATE, last), 0);
	expect(last->start_addr, WINDOW1_START);
	expect(last->page_shift, 12);
	expect(last->levels, 1);
}

/* Levels that do not exist are not charged (defect 13) */
TEST(a_huge_empty_window_is_charged_little, .intree = "defect 13")
{
	struct huge huge = huge_window();
	uint64_t start = first_start(v, huge.shift, huge.size);
	uint64_t last = start + huge.size - base_page();
	int64_t locked = vmlck();
	uint8_t *ua;

	expect(window_remove(v->fd, 0), 0);
	expect(new_window(v, huge.shift, huge.size, huge.levels), start);
	if (huge.levels == 1)
		expect(vmlck() - locked, huge.size >> huge.shift << 3);
	else if (vmlck() - locked > (int64_t)MIB(64))
		fail("expected at most 64 MiB charged, saw %lld bytes",
		     (long long)(vmlck() - locked));
	ua = mapped(v, last, base_page());
	device_reaches(v, 0, last, ua);
	expect(window_remove(v->fd, start), 0);
	unregister_ok(v, ua, base_page());
	expect(vmlck(), locked);
}

static void expect_quick(const char *what, uint64_t begin)
{
	uint64_t took = now_ms() - begin;

	if (took > patient_ms(1000))
		fail("%s took too long: %llu ms", what,
		     (unsigned long long)took);
}

/* The time must depend on the number of mappings, not on the size of the window (defect 13) */
TEST(unmapping_and_removing_a_huge_window_is_quick, .intree = "defect 13")
{
	struct huge huge = huge_window();
	uint64_t begin, start, far;
	uint8_t *ua;

	expect(window_remove(v->fd, 0), 0);
	start = new_window(v, huge.shift, huge.size, huge.levels);
	far = start + (huge.size / 3 & ~(base_page() - 1));
	registered(v, base_page());
	begin = now_ms();
	expect(dma_unmap(v->fd, start, huge.size), 0);
	expect_quick("unmap of an empty window", begin);
	ua = mapped(v, far, base_page());
	begin = now_ms();
	expect(dma_unmap(v->fd, start, huge.size), 0);
	expect_quick("unmap of a nearly empty window", begin);
	unregister_ok(v, ua, base_page());
	ua = mapped(v, far, base_page());
	begin = now_ms();
	expect(window_remove(v->fd, start), 0);
	expect_quick("removal of a nearly empty window", begin);
	unregister_ok(v, ua, base_page());
}

TEST(removing_a_window_clears_its_mappings)
{
	struct sink sink = sink_at(v, SINK_IOVA);
	uint64_t start = new_window(v, 12, GIB(1), 1);
	uint8_t *ua = mapped(v, start + IOVA, MIB(1));

	device_reaches(v, 0, start + IOVA, ua);
	expect(window_remove(v->fd, start), 0);
	device_cannot_reach(v, 0, start + IOVA, ua, &sink);
	expect(dma_map(v->fd, start + IOVA, ua, MIB(1), READ_WRITE), -ENXIO);
	unregister_ok(v, ua, MIB(1));
	expect(window_remove(v->fd, start), -EINVAL);
}

TEST(a_recreated_window_is_empty)
{
	struct sink sink = sink_at(v, SINK_IOVA);
	uint64_t start = new_window(v, 12, GIB(1), 1);
	uint8_t *ua = mapped(v, start + IOVA, base_page());

	expect(window_remove(v->fd, start), 0);
	expect(new_window(v, 12, GIB(1), 1), start);
	device_cannot_reach(v, 0, start + IOVA, ua, &sink);
}

TEST(removing_one_window_keeps_the_mappings_of_the_other, .intree = "defect 3")
{
	uint8_t *low = mapped(v, IOVA, base_page()), *high;
	uint64_t start = new_window(v, 12, GIB(1), 1);

	high = mapped(v, start + IOVA, base_page());
	expect(window_remove(v->fd, 0), 0);
	device_reaches(v, 0, start + IOVA, high);
	unregister_ok(v, low, base_page());
	expect(spapr_unregister(v->fd, high, base_page()), -EBUSY);
}

/* TCE_REMOVE takes only the start of a window (defect 10) */
TEST(an_address_inside_a_window_does_not_remove_it, .intree = "defect 10")
{
	uint64_t start = new_window(v, 12, GIB(1), 1), p = base_page();
	uint8_t *low = mapped(v, IOVA, p), *high = mapped(v, start + IOVA, p);
	uint64_t end = info_of(v).dma32_window_size;

	expect(window_remove(v->fd, 1), -EINVAL);
	expect(window_remove(v->fd, TCE_4K), -EINVAL);
	expect(window_remove(v->fd, IOVA), -EINVAL);
	expect(window_remove(v->fd, end - TCE_4K), -EINVAL);
	expect(window_remove(v->fd, start + 1), -EINVAL);
	expect(window_remove(v->fd, start + IOVA), -EINVAL);
	device_reaches(v, 0, IOVA, low);
	device_reaches(v, 0, start + IOVA, high);
}

struct remove_row {
	const char *row;
	uint32_t argsz;
	uint32_t flags;
	uint64_t start;
};

/* Each request returns EINVAL. The default window is pending. */
TEST(bad_remove_requests_change_nothing, .intree = "defect 10")
{
	static const struct remove_row rows[] = {
		{ "argsz 0", 0, 0, 0 },
		{ "argsz one short", REMOVE_FULL - 1, 0, 0 },
		{ "flag 0", REMOVE_FULL, 1, 0 },
		{ "all flags", REMOVE_FULL, ~0U, 0 },
		{ "inside the pending window", REMOVE_FULL, 0, IOVA },
		{ "address 1", REMOVE_FULL, 0, 1 },
		{ "no such window", REMOVE_FULL, 0, WINDOW1_START },
		{ "2^63", REMOVE_FULL, 0, 1ULL << 63 },
		{ "2^64 - 1", REMOVE_FULL, 0, ~0ULL },
	};
	bool ok = true;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct vfio_iommu_spapr_tce_remove remove = {
			.argsz = rows[i].argsz,
			.flags = rows[i].flags,
			.start_addr = rows[i].start,
		};

		ok &= row_is(rows[i].row,
			     call(v->fd, VFIO_IOMMU_SPAPR_TCE_REMOVE, &remove),
			     -EINVAL);
	}
	expect_bad_pointers_fault(v->fd, VFIO_IOMMU_SPAPR_TCE_REMOVE);
	if (!ok)
		fail("requests returned unexpected answers, see above");
	expect(new_window(v, 12, GIB(1), 1), WINDOW1_START);
}

TEST(remove_accepts_a_larger_argsz)
{
	struct vfio_iommu_spapr_tce_remove remove = { .argsz = ~0U };

	expect(call(v->fd, VFIO_IOMMU_SPAPR_TCE_REMOVE,
		    at_page_end(&remove, sizeof(remove))), 0);
	expect(new_window(v, 12, GIB(1), 1), 0);
}

TEST(creating_and_removing_windows_in_use_leaks_nothing)
{
	uint8_t *ua = registered(v, base_page());
	unsigned int levels = up_to_levels(v, 2);
	int64_t locked;

	expect(dma_map(v->fd, IOVA, ua, base_page(), READ_WRITE), 0);
	locked = vmlck();
	for (int i = 0; i < 20; i++) {
		uint64_t start = new_window(v, 12, GIB(1), 1 + i % levels);

		expect(start, WINDOW1_START);
		expect(dma_map(v->fd, start, ua, base_page(), READ_WRITE), 0);
		expect(window_remove(v->fd, start), 0);
		expect(vmlck(), locked);
	}
	expect(dma_unmap(v->fd, IOVA, base_page()), 0);
	unregister_ok(v, ua, base_page());
}

TEST(the_window_at_zero_can_be_replaced_by_one_with_other_page_size)
{
	uint64_t start = first_start(v, 16, GIB(4));
	uint8_t *ua = registered(v, base_page());

	if (!has_page_shift(v, 16))
		skip("the platform offers no 64 KiB IOMMU pages");
	expect(window_remove(v->fd, 0), 0);
	expect(new_window(v, 16, GIB(4), 1), start);
	expect(dma_map(v->fd, start + IOVA, ua, TCE_4K, READ_WRITE), -EINVAL);
	expect(window_remove(v->fd, start), 0);
	expect(new_window(v, 12, GIB(1), 1), 0);
	expect(dma_map(v->fd, IOVA, ua, TCE_4K, READ_WRITE), 0);
	device_reaches(v, 0, IOVA, ua);
}

#undef TEST_ORDER
#define TEST_ORDER LAST

/*
 * pseries has only one slot for windows that differ from the default window. A request
 * that fails in the hypervisor would make each later request fail, until a reboot.
 */
TEST(a_refused_window_does_not_make_later_ones_fail,
     .intree = "on pseries the device gets no window until a reboot")
{
	uint64_t start = first_start(v, 12, GIB(4));
	uint8_t *ua = registered(v, base_page());

	expect(window_remove(v->fd, 0), 0);
	expect(new_window(v, 12, GIB(4), 1), start);
	expect(dma_map(v->fd, start + IOVA, ua, base_page(), READ_WRITE), 0);
	for (int i = 0; i < 2; i++) {
		int ret = window_create(v->fd, 12, GIB(1), 1, NULL);

		if (under_hypervisor())
			expect_either(ret, -EPERM, -ENOSPC);
		else
			expect(ret, i ? -ENOSPC : 0);
	}
	device_reaches(v, 0, start + IOVA, ua);
	expect(window_remove(v->fd, start), 0);
	expect(new_window(v, 12, GIB(4), 1), start);
	expect(dma_map(v->fd, start + IOVA, ua, base_page(), READ_WRITE), 0);
	device_reaches(v, 0, start + IOVA, ua);

	vfio_close(v);
	open_container(v, 0);
	ua = mapped(v, IOVA, base_page());
	device_reaches(v, 0, IOVA, ua);
	expect(new_window(v, 12, GIB(4), 1), WINDOW1_START);
}
