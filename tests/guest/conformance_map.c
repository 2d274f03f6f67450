// SPDX-License-Identifier: GPL-2.0-only
/*
 * Conformance: MAP_DMA and UNMAP_DMA. The device reaches mapped memory and nothing else.
 *
 * No test here shows defects 14, 16 and 17, and the first half of defect 19, of the
 * in-tree driver. Defects 14, 16 and 19 need a failed allocation in the kernel, which
 * these tests cannot cause. The tests of replaced entries cover the counts that defect 16
 * gets wrong. Defect 17 needs device memory in the kernel's list of registered memory,
 * which the emulated machines do not have.
 */
#define _GNU_SOURCE
#include "conformance.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define SIZE	MIB(1)

#define MAP_FULL	sizeof(struct vfio_iommu_type1_dma_map)
#define UNMAP_FULL	sizeof(struct vfio_iommu_type1_dma_unmap)

struct map_row {
	const char *row;
	uint32_t argsz;
	uint32_t flags;
	uint64_t vaddr;
	uint64_t iova;
	uint64_t size;
	int want;
};

struct unmap_row {
	const char *row;
	uint32_t argsz;
	uint32_t flags;
	uint64_t iova;
	uint64_t size;
	int want;
};

static bool map_rows_hold(struct vfio *v, const struct map_row *row,
			  size_t rows)
{
	bool ok = true;

	for (; rows--; row++) {
		struct vfio_iommu_type1_dma_map map = {
			.argsz = row->argsz,
			.flags = row->flags,
			.vaddr = row->vaddr,
			.iova = row->iova,
			.size = row->size,
		};

		ok &= row_is(row->row, call(v->fd, VFIO_IOMMU_MAP_DMA, &map),
			     row->want);
	}
	return ok;
}

static bool unmap_rows_hold(struct vfio *v, const struct unmap_row *row,
			    size_t rows)
{
	bool ok = true;

	for (; rows--; row++) {
		struct vfio_iommu_type1_dma_unmap unmap = {
			.argsz = row->argsz,
			.flags = row->flags,
			.iova = row->iova,
			.size = row->size,
		};

		ok &= row_is(row->row,
			     call(v->fd, VFIO_IOMMU_UNMAP_DMA, &unmap),
			     row->want);
	}
	return ok;
}

TEST(map_and_unmap_before_any_registration_return_eperm)
{
	uint8_t *ua = memory(base_page());

	expect(dma_map(v->fd, IOVA, ua, base_page(), READ_WRITE), -EPERM);
	expect(dma_unmap(v->fd, IOVA, base_page()), -EPERM);
	expect(call(v->fd, VFIO_IOMMU_MAP_DMA, NULL), -EPERM);
	expect(call(v->fd, VFIO_IOMMU_UNMAP_DMA, NULL), -EPERM);
}

TEST(the_device_copies_both_ways_in_the_default_window)
{
	uint8_t *ua = mapped(v, IOVA, SIZE);
	size_t last = SIZE - TCE_4K;

	device_reaches(v, 0, IOVA, ua);
	device_reaches(v, 0, IOVA + last, ua + last);
}

/* Transfer across two pages that are not adjacent in physical memory */
TEST(a_dma_may_cross_page_boundaries)
{
	uint8_t *ua = mem_scattered(MIB(2));
	size_t border = base_page() - PROBE / 2;

	expect(spapr_register(v->fd, ua, MIB(2)), 0);
	expect(dma_map(v->fd, IOVA, ua, MIB(2), READ_WRITE), 0);
	device_reaches(v, 0, IOVA + border, ua + border);
}

TEST(the_first_and_the_last_page_of_the_default_window_work)
{
	uint64_t end = info_of(v).dma32_window_size;
	uint8_t *first = mapped(v, 0, base_page());
	uint8_t *last = mapped(v, end - base_page(), base_page());

	device_reaches(v, 0, 0, first);
	device_reaches(v, 0, end - TCE_4K, last + base_page() - TCE_4K);
}

/* Each row has one bad member. The other members are a valid request for other memory. */
TEST(bad_map_requests_change_nothing, .intree = "defects 1, 9, 11", .crashes = true)
{
	uint8_t *ua = mapped(v, IOVA, SIZE), *area = memory(3 * SIZE);
	uint64_t at = (uintptr_t)area + SIZE;
	const struct map_row rows[] = {
		{ "argsz 0", 0, 3, at, IOVA, SIZE, -EINVAL },
		{ "argsz one short", MAP_FULL - 1, 3, at, IOVA, SIZE, -EINVAL },
		{ "neither READ nor WRITE", MAP_FULL, 0, at, IOVA, SIZE,
		  -EINVAL },
		{ "VADDR flag", MAP_FULL, 4, at, IOVA, SIZE, -EINVAL },
		{ "READ, WRITE and VADDR", MAP_FULL, 7, at, IOVA, SIZE,
		  -EINVAL },
		{ "flag 31", MAP_FULL, 3 | 1U << 31, at, IOVA, SIZE, -EINVAL },
		{ "size 0", MAP_FULL, 3, at, IOVA, 0, -EINVAL },
		{ "size 1", MAP_FULL, 3, at, IOVA, 1, -EINVAL },
		{ "size half a TCE", MAP_FULL, 3, at, IOVA, 2048, -EINVAL },
		{ "size one short", MAP_FULL, 3, at, IOVA, SIZE - 1, -EINVAL },
		{ "size one more", MAP_FULL, 3, at, IOVA, SIZE + 1, -EINVAL },
		{ "size 2^63", MAP_FULL, 3, at, IOVA, 1ULL << 63, -EINVAL },
		{ "iova + size is 2^64", MAP_FULL, 3, at, IOVA, -IOVA,
		  -EINVAL },
		{ "iova + size wraps", MAP_FULL, 3, at, IOVA, -TCE_4K,
		  -EINVAL },
		{ "iova one more", MAP_FULL, 3, at, IOVA + 1, SIZE, -EINVAL },
		{ "iova half a TCE more", MAP_FULL, 3, at, IOVA + 2048, SIZE,
		  -EINVAL },
		{ "address one more", MAP_FULL, 3, at + 1, IOVA, TCE_4K,
		  -EINVAL },
		{ "address half a TCE more", MAP_FULL, 3, at + 2048, IOVA,
		  TCE_4K, -EINVAL },
		{ "address 0", MAP_FULL, 3, 0, IOVA, SIZE, -EINVAL },
		{ "kernel address", MAP_FULL, 3, 0xc000000000000000ULL, IOVA,
		  SIZE, -EINVAL },
		{ "address + size is 2^64", MAP_FULL, 3, -TCE_4K, IOVA, TCE_4K,
		  -EINVAL },
		{ "address + size wraps", MAP_FULL, 3, -TCE_4K, IOVA,
		  2 * TCE_4K, -EINVAL },
		{ "not registered", MAP_FULL, 3, at + SIZE, IOVA, SIZE,
		  -EINVAL },
		{ "begins before the region", MAP_FULL, 3, at - TCE_4K, IOVA,
		  SIZE, -EINVAL },
		{ "ends after the region", MAP_FULL, 3, at + TCE_4K, IOVA, SIZE,
		  -EINVAL },
	};
	bool ok;

	expect(spapr_register(v->fd, area + SIZE, SIZE), 0);
	ok = map_rows_hold(v, rows, ARRAY_SIZE(rows));
	expect_bad_pointers_fault(v->fd, VFIO_IOMMU_MAP_DMA);
	unregister_ok(v, area + SIZE, SIZE);
	device_reaches(v, 0, IOVA, ua);
	device_reaches(v, 0, IOVA + SIZE - TCE_4K, ua + SIZE - TCE_4K);
	if (!ok)
		fail("requests returned unexpected answers, see above");
}

TEST(bad_unmap_requests_change_nothing, .intree = "defect 11", .crashes = true)
{
	uint8_t *ua = mapped(v, IOVA, SIZE);
	const struct unmap_row rows[] = {
		{ "argsz 0", 0, 0, IOVA, SIZE, -EINVAL },
		{ "argsz one short", UNMAP_FULL - 1, 0, IOVA, SIZE, -EINVAL },
		{ "dirty bitmap flag", UNMAP_FULL, 1, IOVA, SIZE, -EINVAL },
		{ "ALL flag", UNMAP_FULL, 2, 0, 0, -EINVAL },
		{ "VADDR flag", UNMAP_FULL, 4, IOVA, SIZE, -EINVAL },
		{ "flag 31", UNMAP_FULL, 1U << 31, IOVA, SIZE, -EINVAL },
		{ "size 0", UNMAP_FULL, 0, IOVA, 0, -EINVAL },
		{ "size 1", UNMAP_FULL, 0, IOVA, 1, -EINVAL },
		{ "size one short", UNMAP_FULL, 0, IOVA, SIZE - 1, -EINVAL },
		{ "size one more", UNMAP_FULL, 0, IOVA, SIZE + 1, -EINVAL },
		{ "size 2^63", UNMAP_FULL, 0, IOVA, 1ULL << 63, -EINVAL },
		{ "iova + size is 2^64", UNMAP_FULL, 0, IOVA, -IOVA, -EINVAL },
		{ "iova + size wraps", UNMAP_FULL, 0, IOVA, -TCE_4K, -EINVAL },
		{ "iova one more", UNMAP_FULL, 0, IOVA + 1, SIZE, -EINVAL },
		{ "iova half a TCE more", UNMAP_FULL, 0, IOVA + 2048, TCE_4K,
		  -EINVAL },
	};
	bool ok = unmap_rows_hold(v, rows, ARRAY_SIZE(rows));

	expect_bad_pointers_fault(v->fd, VFIO_IOMMU_UNMAP_DMA);
	device_reaches(v, 0, IOVA, ua);
	device_reaches(v, 0, IOVA + SIZE - TCE_4K, ua + SIZE - TCE_4K);
	if (!ok)
		fail("requests returned unexpected answers, see above");
}

TEST(map_and_unmap_accept_a_larger_argsz)
{
	uint8_t *ua = registered(v, SIZE);
	struct vfio_iommu_type1_dma_map map = {
		.argsz = ~0U,
		.flags = READ_WRITE,
		.vaddr = (uintptr_t)ua,
		.iova = IOVA,
		.size = SIZE,
	};
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = ~0U,
		.iova = IOVA,
		.size = SIZE,
	};

	expect(call(v->fd, VFIO_IOMMU_MAP_DMA, at_page_end(&map, sizeof(map))),
	       0);
	expect(call(v->fd, VFIO_IOMMU_UNMAP_DMA,
		    at_page_end(&unmap, sizeof(unmap))), 0);
	unregister_ok(v, ua, SIZE);
}

TEST(an_iova_outside_each_window_returns_enxio)
{
	uint64_t end = info_of(v).dma32_window_size;
	const uint64_t nowhere[] = {
		end, end + TCE_4K, GIB(4), 1ULL << 48, WINDOW1_START,
		WINDOW1_START + IOVA, 1ULL << 60, 1ULL << 63, -TCE_4K,
	};
	uint8_t *ua = registered(v, base_page());
	bool ok = true;
	char row[48];

	for (size_t i = 0; i < ARRAY_SIZE(nowhere); i++) {
		snprintf(row, sizeof(row), "iova %#llx",
			 (unsigned long long)nowhere[i]);
		ok &= row_is(row, dma_map(v->fd, nowhere[i], ua, TCE_4K,
					  READ_WRITE), -ENXIO);
		ok &= row_is(row, dma_unmap(v->fd, nowhere[i], TCE_4K), -ENXIO);
	}
	if (!ok)
		fail("expected ENXIO outside each window, see above");
	unregister_ok(v, ua, base_page());
}

/*
 * Try ranges past the end of a window (defect 1). The last page stays mapped to the old
 * memory, and the device reaches nothing after the window.
 */
static void past_the_end(struct vfio *v, uint64_t end, struct sink *sink)
{
	uint64_t p = base_page();
	uint8_t *ua = mapped(v, end - p, p), *other = registered(v, 4 * p);

	expect(dma_map(v->fd, end - p, other, 2 * p, READ_WRITE), -EINVAL);
	expect(dma_map(v->fd, end - p, other, p + TCE_4K, READ_WRITE), -EINVAL);
	expect(dma_map(v->fd, end - 2 * p, other, 4 * p, READ_WRITE), -EINVAL);
	expect(dma_unmap(v->fd, end - p, 2 * p), -EINVAL);
	expect(dma_unmap(v->fd, end - p, p + TCE_4K), -EINVAL);
	unregister_ok(v, other, 4 * p);
	device_reaches(v, 0, end - p, ua);
	device_cannot_reach(v, 0, end, other + p, sink);
	expect(dma_unmap(v->fd, end - p, p), 0);
	unregister_ok(v, ua, p);
}

TEST(a_range_past_the_end_of_the_default_window_is_refused,
     .intree = "defect 1", .crashes = true)
{
	struct sink sink = sink_at(v, SINK_IOVA);

	past_the_end(v, info_of(v).dma32_window_size, &sink);
}

TEST(a_range_past_the_end_of_a_second_window_is_refused,
     .intree = "defect 1", .crashes = true)
{
	struct sink sink = sink_at(v, SINK_IOVA);
	uint64_t start = new_window(v, 12, GIB(4), 1);

	past_the_end(v, start + GIB(4), &sink);
}

TEST(a_range_past_the_end_of_a_multi_level_window_is_refused,
     .intree = "defect 1", .crashes = true)
{
	struct sink sink = sink_at(v, SINK_IOVA);
	uint64_t start;

	if (under_hypervisor())
		skip("on pseries tables have one level");
	start = new_window(v, 12, GIB(64), 2);
	past_the_end(v, start + GIB(64), &sink);
}

/* SPDK maps without REGISTER_MEMORY: nothing is mapped, and the device reaches nothing */
TEST(unregistered_memory_is_refused_and_not_reached)
{
	struct sink sink = sink_at(v, SINK_IOVA);
	uint8_t *ua = memory(base_page());

	expect(dma_map(v->fd, IOVA, ua, base_page(), READ_WRITE), -EINVAL);
	device_cannot_reach(v, 0, IOVA, ua, &sink);
}

TEST(memory_unregistered_before_the_map_is_refused_and_not_reached)
{
	struct sink sink = sink_at(v, SINK_IOVA);
	uint8_t *ua = registered(v, base_page());

	unregister_ok(v, ua, base_page());
	expect(dma_map(v->fd, IOVA, ua, base_page(), READ_WRITE), -EINVAL);
	device_cannot_reach(v, 0, IOVA, ua, &sink);
}

TEST(a_partly_registered_range_is_refused_and_not_reached)
{
	struct sink sink = sink_at(v, SINK_IOVA);
	uint8_t *ua = memory(SIZE);

	expect(spapr_register(v->fd, ua, SIZE / 2), 0);
	expect(dma_map(v->fd, IOVA, ua, SIZE, READ_WRITE), -EINVAL);
	device_cannot_reach(v, 0, IOVA, ua, &sink);
	unregister_ok(v, ua, SIZE / 2);
}

/* A failed MAP_DMA changes no entry (defect 9) */
TEST(a_failed_map_keeps_the_whole_earlier_mapping, .intree = "defect 9")
{
	uint8_t *ua = mapped(v, IOVA, SIZE), *other = memory(SIZE);
	size_t last = SIZE - TCE_4K;

	expect(spapr_register(v->fd, other, SIZE / 2), 0);
	expect(dma_map(v->fd, IOVA, other, SIZE, READ_WRITE), -EINVAL);
	unregister_ok(v, other, SIZE / 2);
	device_reaches(v, 0, IOVA, ua);
	device_reaches(v, 0, IOVA + SIZE / 2 - TCE_4K,
		       ua + SIZE / 2 - TCE_4K);
	device_reaches(v, 0, IOVA + last, ua + last);
	expect(spapr_unregister(v->fd, ua, SIZE), -EBUSY);
	expect(dma_unmap(v->fd, IOVA, SIZE), 0);
	unregister_ok(v, ua, SIZE);
}

TEST(a_map_may_span_two_adjacent_regions, .intree = "defect 3")
{
	uint8_t *ua = memory(SIZE);

	expect(spapr_register(v->fd, ua, SIZE / 2), 0);
	expect(spapr_register(v->fd, ua + SIZE / 2, SIZE / 2), 0);
	expect(dma_map(v->fd, IOVA, ua, SIZE, READ_WRITE), 0);
	device_reaches(v, 0, IOVA, ua);
	device_reaches(v, 0, IOVA + SIZE / 2, ua + SIZE / 2);
	expect(spapr_unregister(v->fd, ua, SIZE / 2), -EBUSY);
	expect(spapr_unregister(v->fd, ua + SIZE / 2, SIZE / 2), -EBUSY);
	expect(dma_unmap(v->fd, IOVA, SIZE), 0);
	unregister_ok(v, ua, SIZE / 2);
	unregister_ok(v, ua + SIZE / 2, SIZE / 2);
}

TEST(mapping_a_mapped_entry_replaces_it, .intree = "defect 3")
{
	uint8_t *old = mapped(v, IOVA, base_page());
	uint8_t *new = registered(v, base_page());

	device_reaches(v, 0, IOVA, old);
	pattern_fill(old, PROBE, 1);
	expect(dma_map(v->fd, IOVA, new, base_page(), READ_WRITE), 0);
	device_reaches(v, 0, IOVA, new);
	if (!pattern_is(old, PROBE, 1))
		fail("expected the replaced memory unchanged, it was written");
	unregister_ok(v, old, base_page());
	expect(spapr_unregister(v->fd, new, base_page()), -EBUSY);
	expect(dma_unmap(v->fd, IOVA, base_page()), 0);
	unregister_ok(v, new, base_page());
}

/* Each count belongs to the region that is mapped now (defect 16) */
TEST(replaced_entries_are_counted_exactly, .intree = "defect 3")
{
	uint8_t *a = mapped(v, IOVA, SIZE), *b = registered(v, SIZE);

	for (int i = 0; i < 3; i++)
		expect(dma_map(v->fd, IOVA, a, SIZE, READ_WRITE), 0);
	expect(dma_map(v->fd, IOVA + SIZE / 4, b, SIZE / 2, READ_WRITE), 0);
	expect(spapr_unregister(v->fd, a, SIZE), -EBUSY);
	expect(dma_map(v->fd, IOVA, b, SIZE, READ_WRITE), 0);
	unregister_ok(v, a, SIZE);
	expect(spapr_unregister(v->fd, b, SIZE), -EBUSY);
	expect(dma_unmap(v->fd, IOVA, SIZE), 0);
	unregister_ok(v, b, SIZE);
}

TEST(memory_may_be_mapped_at_several_addresses, .intree = "defect 3")
{
	uint8_t *ua = mapped(v, IOVA, base_page());

	expect(dma_map(v->fd, IOVA + SIZE, ua, base_page(), READ_WRITE), 0);
	device_reaches(v, 0, IOVA, ua);
	device_reaches(v, 0, IOVA + SIZE, ua);
	expect(dma_unmap(v->fd, IOVA, base_page()), 0);
	device_reaches(v, 0, IOVA + SIZE, ua);
	expect(spapr_unregister(v->fd, ua, base_page()), -EBUSY);
	expect(dma_unmap(v->fd, IOVA + SIZE, base_page()), 0);
	unregister_ok(v, ua, base_page());
}

TEST(an_address_never_mapped_reaches_nothing)
{
	struct sink sink = sink_at(v, SINK_IOVA);
	uint8_t *ua = mapped(v, IOVA, base_page());

	device_cannot_reach(v, 0, IOVA + base_page(), ua, &sink);
	device_cannot_reach(v, 0, IOVA - TCE_4K, ua, &sink);
}

TEST(an_unmapped_address_reaches_nothing)
{
	struct sink sink = sink_at(v, SINK_IOVA);
	uint8_t *ua = mapped(v, IOVA, base_page());

	device_reaches(v, 0, IOVA, ua);
	expect(dma_unmap(v->fd, IOVA, base_page()), 0);
	device_cannot_reach(v, 0, IOVA, ua, &sink);
}

TEST(unmap_may_remove_the_middle_of_a_mapping, .intree = "defect 3")
{
	struct sink sink = sink_at(v, SINK_IOVA);
	uint8_t *ua = mapped(v, IOVA, SIZE);
	size_t last = SIZE - TCE_4K;

	expect(dma_unmap(v->fd, IOVA + TCE_4K, SIZE - 2 * TCE_4K), 0);
	device_reaches(v, 0, IOVA, ua);
	device_reaches(v, 0, IOVA + last, ua + last);
	device_cannot_reach(v, 0, IOVA + TCE_4K, ua + TCE_4K, &sink);
	device_cannot_write(v, 0, IOVA + last - TCE_4K, ua + last - TCE_4K,
			    &sink);
	expect(spapr_unregister(v->fd, ua, SIZE), -EBUSY);
	expect(dma_unmap(v->fd, IOVA, SIZE), 0);
	unregister_ok(v, ua, SIZE);
}

TEST(unmap_may_remove_several_mappings_at_once)
{
	uint8_t *a = mapped(v, IOVA, SIZE), *b = mapped(v, IOVA + SIZE, SIZE);
	uint8_t *c = mapped(v, IOVA + 4 * SIZE, SIZE);

	expect(dma_unmap(v->fd, IOVA, 8 * SIZE), 0);
	unregister_ok(v, a, SIZE);
	unregister_ok(v, b, SIZE);
	unregister_ok(v, c, SIZE);
}

TEST(unmap_of_addresses_never_mapped_succeeds)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.iova = IOVA,
		.size = SIZE,
	};

	registered(v, base_page());
	expect(call(v->fd, VFIO_IOMMU_UNMAP_DMA, &unmap), 0);
	expect(unmap.size, SIZE);
	expect(call(v->fd, VFIO_IOMMU_UNMAP_DMA, &unmap), 0);
}

TEST(unmap_does_not_write_back_the_unmapped_size)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.iova = IOVA,
		.size = 2 * SIZE,
	}, before = unmap;

	mapped(v, IOVA, SIZE);
	expect(call(v->fd, VFIO_IOMMU_UNMAP_DMA, &unmap), 0);
	expect(memcmp(&unmap, &before, sizeof(unmap)), 0);
}

TEST(unmap_of_the_whole_default_window_removes_each_mapping)
{
	uint64_t end = info_of(v).dma32_window_size;
	uint8_t *a = mapped(v, 0, SIZE), *b = mapped(v, end - SIZE, SIZE);
	uint64_t begin = now_ms();

	expect(dma_unmap(v->fd, 0, end), 0);
	expect(dma_unmap(v->fd, 0, end), 0);
	if (now_ms() - begin > patient_ms(2000))
		fail("unmapping the window took too long: %llu ms",
		     (unsigned long long)(now_ms() - begin));
	unregister_ok(v, a, SIZE);
	unregister_ok(v, b, SIZE);
}

/* A lower table maps 16 MiB on a kernel with 4K pages, 32 MiB with 64K pages */
TEST(a_map_may_span_two_lower_tables, .intree = "defect 3")
{
	uint64_t p = base_page(), border = MIB(32), start;
	uint8_t *old = registered(v, 2 * p), *new = registered(v, 2 * p);

	if (under_hypervisor())
		skip("on pseries tables have one level");
	start = new_window(v, 12, GIB(64), 2);
	expect(dma_map(v->fd, start + border - p, old, 2 * p, READ_WRITE), 0);
	expect(dma_map(v->fd, start + 2 * border, old, p, READ_WRITE), 0);
	expect(dma_map(v->fd, start + border - p, new, 2 * p, READ_WRITE), 0);
	device_reaches(v, 0, start + border - p, new);
	device_reaches(v, 0, start + border, new + p);
	device_reaches(v, 0, start + 2 * border, old);
	/* The second half of the range is in a lower table that does not exist yet */
	expect(dma_map(v->fd, start + 3 * border - p, new, 2 * p, READ_WRITE),
	       0);
	device_reaches(v, 0, start + 3 * border - p, new);
	device_reaches(v, 0, start + 3 * border, new + p);
	expect(dma_unmap(v->fd, start, GIB(64)), 0);
	unregister_ok(v, old, 2 * p);
	unregister_ok(v, new, 2 * p);
}

/* Released DPDK versions unmap [0, iova) instead of [iova, iova + size) */
TEST(dpdks_wrong_unmap_is_harmless_and_the_process_can_exit, .intree = "defect 3")
{
	uint8_t *ua = mapped(v, IOVA, SIZE);

	expect(dma_unmap(v->fd, 0, IOVA), 0);
	expect(spapr_unregister(v->fd, ua, SIZE), -EBUSY);
	device_reaches(v, 0, IOVA, ua);
}

TEST(a_read_only_mapping_is_not_written_by_the_device)
{
	struct sink sink = sink_at(v, SINK_IOVA);
	uint8_t *ua = registered(v, base_page());

	expect(dma_map(v->fd, IOVA, ua, base_page(), READ_ONLY), 0);
	pattern_fill(ua, PROBE, 2);
	device_reads(v, 0, IOVA, ua, &sink);
	device_cannot_write(v, 0, IOVA, ua, &sink);
}

TEST(mapping_again_changes_the_permission_both_ways)
{
	struct sink sink = sink_at(v, SINK_IOVA);
	uint8_t *ua = registered(v, base_page());

	expect(dma_map(v->fd, IOVA, ua, base_page(), READ_ONLY), 0);
	device_cannot_write(v, 0, IOVA, ua, &sink);
	expect(dma_map(v->fd, IOVA, ua, base_page(), READ_WRITE), 0);
	device_reaches(v, 0, IOVA, ua);
	expect(dma_map(v->fd, IOVA, ua, base_page(), READ_ONLY), 0);
	device_cannot_write(v, 0, IOVA, ua, &sink);
	expect(dma_unmap(v->fd, IOVA, base_page()), 0);
	unregister_ok(v, ua, base_page());
}

/* IODA2 can't deny reads of an entry that can be written, so only writes are checked */
TEST(a_mapping_for_writing_only_is_written_by_the_device)
{
	struct sink sink = sink_at(v, SINK_IOVA);
	uint8_t *ua = registered(v, base_page());

	expect(dma_map(v->fd, IOVA, ua, base_page(), WRITE_ONLY), 0);
	pattern_fill(sink.ua, PROBE, 3);
	expect(edu_to_device(device(v, 0), sink.iova, 0, PROBE), 0);
	expect(edu_from_device(device(v, 0), IOVA, 0, PROBE), 0);
	if (!pattern_is(ua, PROBE, 3))
		fail("expected the device to write, it did not");
}

/* A 64K base page needs sixteen IOMMU pages, which are mapped in reverse order */
TEST(a_base_page_may_be_mapped_by_4k_iommu_pages)
{
	uint64_t p = base_page(), count = p / TCE_4K;
	uint8_t *ua = registered(v, p);

	for (uint64_t i = 0; i < count; i++)
		expect(dma_map(v->fd, IOVA + i * TCE_4K,
			       ua + (count - 1 - i) * TCE_4K, TCE_4K,
			       READ_WRITE), 0);
	device_reaches(v, 0, IOVA, ua + (count - 1) * TCE_4K);
	device_reaches(v, 0, IOVA + (count - 1) * TCE_4K, ua);
}

/*
 * Large IOMMU pages: a window of 2 MiB pages in slot 1. The sink stays in the default
 * window.
 */
static uint64_t window_of_2m(struct vfio *v)
{
	if (!has_page_shift(v, 21))
		skip("the platform offers no 2 MiB IOMMU pages");
	return new_window(v, 21, GIB(64), 1);
}

TEST(a_tce_larger_than_its_contiguous_memory_is_refused,
     .intree = "returns EPERM instead of EINVAL")
{
	struct sink sink = sink_at(v, SINK_IOVA);
	uint8_t *ua = mem_scattered(MIB(4));
	uint64_t start = window_of_2m(v);

	if (mem_contiguous(ua, MIB(2)))
		skip("the memory happens to be contiguous");
	expect(spapr_register(v->fd, ua, MIB(4)), 0);
	expect(dma_map(v->fd, start, ua, MIB(2), READ_WRITE), -EINVAL);
	expect(dma_map(v->fd, start, ua, MIB(4), READ_WRITE), -EINVAL);
	device_cannot_reach(v, 0, start + base_page(), ua + base_page(), &sink);
	unregister_ok(v, ua, MIB(4));
}

TEST(a_large_tce_maps_a_hugepage, .intree = "defect 3")
{
	uint64_t start = window_of_2m(v);
	uint8_t *ua = mem_hugetlb(MIB(2), 2);
	size_t last = MIB(4) - TCE_4K;

	if (!ua)
		skip("no 2 MiB hugepage is available");
	expect(spapr_register(v->fd, ua, MIB(4)), 0);
	expect(dma_map(v->fd, start, ua, MIB(4), READ_WRITE), 0);
	device_reaches(v, 0, start, ua);
	device_reaches(v, 0, start + last, ua + last);
	expect(dma_unmap(v->fd, start, MIB(2)), 0);
	expect(spapr_unregister(v->fd, ua, MIB(4)), -EBUSY);
	expect(dma_unmap(v->fd, start + MIB(2), MIB(2)), 0);
	unregister_ok(v, ua, MIB(4));
}

TEST(a_large_tce_maps_a_transparent_hugepage,
     .intree = "maps large IOMMU pages only over hugepages")
{
	uint64_t start = window_of_2m(v);
	uint8_t *ua = mem_thp(MIB(2));
	size_t last = MIB(2) - TCE_4K;

	if (!ua)
		skip("no transparent hugepage is available");
	expect(spapr_register(v->fd, ua, MIB(2)), 0);
	expect(dma_map(v->fd, start, ua, MIB(2), READ_WRITE), 0);
	device_reaches(v, 0, start, ua);
	device_reaches(v, 0, start + last, ua + last);
	expect(dma_unmap(v->fd, start, MIB(2)), 0);
	unregister_ok(v, ua, MIB(2));
}

TEST(requests_misaligned_to_a_large_tce_are_refused, .intree = "defect 11")
{
	uint64_t start = window_of_2m(v), p = base_page();
	uint8_t *ua = mem_hugetlb(MIB(2), 2);
	uint64_t at = (uintptr_t)ua;
	const struct map_row maps[] = {
		{ "size", MAP_FULL, 3, at, start, MIB(2) - p, -EINVAL },
		{ "small size", MAP_FULL, 3, at, start, p, -EINVAL },
		{ "address", MAP_FULL, 3, at + p, start, MIB(2), -EINVAL },
		{ "iova", MAP_FULL, 3, at, start + p, MIB(2), -EINVAL },
	};
	const struct unmap_row unmaps[] = {
		{ "unmap: size", UNMAP_FULL, 0, start, p, -EINVAL },
		{ "unmap: iova", UNMAP_FULL, 0, start + p, MIB(2), -EINVAL },
	};
	bool ok;

	if (!ua)
		skip("no 2 MiB hugepage is available");
	expect(spapr_register(v->fd, ua, MIB(4)), 0);
	expect(dma_map(v->fd, start, ua, MIB(2), READ_WRITE), 0);
	ok = map_rows_hold(v, maps, ARRAY_SIZE(maps));
	ok &= unmap_rows_hold(v, unmaps, ARRAY_SIZE(unmaps));
	if (!ok)
		fail("requests returned unexpected answers, see above");
	expect(dma_unmap(v->fd, start, MIB(2)), 0);
	unregister_ok(v, ua, MIB(4));
}

TEST(small_tces_map_the_inside_of_a_hugepage)
{
	uint8_t *ua = mem_hugetlb(MIB(2), 1);
	size_t odd = MIB(1) + 3 * TCE_4K;

	if (!ua)
		skip("no 2 MiB hugepage is available");
	expect(spapr_register(v->fd, ua, MIB(2)), 0);
	expect(dma_map(v->fd, IOVA, ua + odd, TCE_4K, READ_WRITE), 0);
	device_reaches(v, 0, IOVA, ua + odd);
	expect(dma_map(v->fd, IOVA, ua, MIB(2), READ_WRITE), 0);
	device_reaches(v, 0, IOVA + odd, ua + odd);
}
