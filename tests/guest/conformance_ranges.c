// SPDX-License-Identifier: GPL-2.0-only
/*
 * Conformance: requests that the in-tree driver does not have, include/uapi/vfio_spapr_tce2.h:
 * the capabilities of GET_INFO, vectors of requests, and copies of mappings.
 */
#define _GNU_SOURCE
#include "conformance.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char no_such_request[] = "the in-tree driver has no such request";

#define ONLY_OURS	.intree = no_such_request

/* Buffer for the capabilities of any container */
#define CAPS_SIZE	512

union answer {
	struct vfio_tce2_info info;
	uint8_t bytes[CAPS_SIZE];
};

static int ask(int fd, union answer *answer, uint32_t argsz)
{
	memset(answer, 0xa5, sizeof(*answer));
	answer->info.info.argsz = argsz;
	answer->info.magic = VFIO_TCE2_INFO_MAGIC;
	return call(fd, VFIO_IOMMU_SPAPR_TCE_GET_INFO, answer);
}

static const void *find_cap(const union answer *answer, uint16_t id)
{
	uint32_t offset = answer->info.cap_offset;

	while (offset && offset < CAPS_SIZE) {
		const struct vfio_info_cap_header *header =
			(const void *)(answer->bytes + offset);

		if (header->id == id)
			return header;
		offset = header->next;
	}
	fail("no capability %#x", id);
}

static const struct vfio_tce2_info_cap_windows *windows_of(struct vfio *v,
							   union answer *answer)
{
	expect(ask(v->fd, answer, sizeof(*answer)), 0);
	expect(answer->info.info.flags ==
	       (VFIO_IOMMU_SPAPR_INFO_DDW | VFIO_TCE2_INFO_CAPS), true);
	return find_cap(answer, VFIO_TCE2_INFO_CAP_WINDOWS);
}

TEST(check_extension_tells_which_requests_exist, ONLY_OURS)
{
	expect(check_extension(v->fd, VFIO_TCE2_API), VFIO_TCE2_VERSION);
	expect(check_extension(v->fd, VFIO_TCE2_INFO), 1);
	expect(check_extension(v->fd, VFIO_TCE2_RANGES), 1);
	expect(check_extension(v->fd, VFIO_TCE2_COPY), 1);
	expect(check_extension(v->fd, VFIO_TCE2_API + 0x100), 0);
}

/* A client that does not know the capabilities, whatever its argsz is */
TEST(get_info_without_the_magic_writes_32_bytes)
{
	const uint32_t sizes[] = { 32, 33, 40, 64, 512, ~0U };
	union answer answer;

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		memset(&answer, 0xa5, sizeof(answer));
		answer.info.info.argsz = sizes[i];
		expect(call(v->fd, VFIO_IOMMU_SPAPR_TCE_GET_INFO, &answer), 0);
		expect(answer.info.info.flags, VFIO_IOMMU_SPAPR_INFO_DDW);
		expect(answer.info.info.argsz == sizes[i], true);
		for (size_t k = 32; k < sizeof(answer); k++)
			expect(answer.bytes[k], 0xa5);
	}
}

TEST(get_info_describes_the_windows_and_the_usable_ranges, ONLY_OURS)
{
	struct vfio_iommu_spapr_tce_info info = info_of(v);
	const struct vfio_iommu_type1_info_cap_iova_range *ranges;
	const struct vfio_tce2_info_cap_windows *windows;
	union answer answer;
	uint64_t start;

	windows = windows_of(v, &answer);
	expect(windows->nr_windows, 1);
	expect(windows->windows[0].start == info.dma32_window_start, true);
	expect(windows->windows[0].size == info.dma32_window_size, true);
	expect(windows->windows[0].page_shift, 12);
	expect(windows->windows[0].flags, VFIO_TCE2_WINDOW_PENDING);
	expect(windows->free_windows, info.ddw.max_dynamic_windows_supported - 1);
	ranges = find_cap(&answer, VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE);
	expect(ranges->nr_iovas, 1);
	expect(ranges->iova_ranges[0].start == info.dma32_window_start, true);
	expect(ranges->iova_ranges[0].end ==
	       (uint64_t)info.dma32_window_start + info.dma32_window_size - 1, true);

	/* The answer does not make the default window, but a second window does */
	start = new_window(v, 16, GIB(1), 1);
	windows = windows_of(v, &answer);
	expect(windows->nr_windows, 2);
	expect(windows->free_windows, 0);
	expect(windows->windows[0].flags, 0);
	expect(windows->windows[1].start == start, true);
	expect(windows->windows[1].size == GIB(1), true);
	expect(windows->windows[1].page_shift, 16);
	expect(windows->windows[1].levels, 1);
	expect((int64_t)(windows->windows[0].charged + windows->windows[1].charged), vmlck());
	expect(window_remove(v->fd, start), 0);
	expect(window_remove(v->fd, info.dma32_window_start), 0);
	windows = windows_of(v, &answer);
	expect(windows->nr_windows, 0);
	ranges = find_cap(&answer, VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE);
	expect(ranges->nr_iovas, 0);
}

/* On powernv, a window over the hole is usable below and above it */
TEST(the_usable_ranges_leave_out_the_hole, ONLY_OURS)
{
	const struct vfio_iommu_type1_info_cap_iova_range *ranges, *holes;
	struct vfio_iommu_spapr_tce_info info = info_of(v);
	union answer answer;

	expect(ask(v->fd, &answer, sizeof(answer)), 0);
	holes = find_cap(&answer, VFIO_TCE2_INFO_CAP_HOLES);
	if (under_hypervisor()) {
		expect(holes->nr_iovas, 0);
		return;
	}
	expect(holes->nr_iovas, 1);
	expect(holes->iova_ranges[0].start == info.dma32_window_size, true);
	/* The emulated host bridge takes accesses to its last 64 KiB as MSIs */
	expect(holes->iova_ranges[0].end == GIB(4) - 1, true);
	expect(window_remove(v->fd, 0), 0);
	expect(new_window(v, 16, GIB(64), 1), 0);
	expect(ask(v->fd, &answer, sizeof(answer)), 0);
	ranges = find_cap(&answer, VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE);
	expect(ranges->nr_iovas, 2);
	expect(ranges->iova_ranges[0].start, 0);
	expect(ranges->iova_ranges[0].end == info.dma32_window_size - 1, true);
	expect(ranges->iova_ranges[1].start == GIB(4), true);
	expect(ranges->iova_ranges[1].end == GIB(64) - 1, true);
}

/* The formula of vfio_spapr_tce2.h, for a window of 2^@entries entries */
static int64_t charge_of(const struct vfio_tce2_info_cap_create *create, unsigned int entries,
			 unsigned int levels)
{
	uint64_t table = 8ULL << ((entries + levels - 1) / levels);

	if (table < create->table_least)
		table = create->table_least;
	return create->table_copies * table & ~(uint64_t)(base_page() - 1);
}

TEST(the_formula_gives_the_locked_memory_of_a_window, ONLY_OURS)
{
	static const unsigned int sizes[] = { 28, 30, 34 }; /* log2 of bytes */
	struct vfio_iommu_spapr_tce_info info = info_of(v);
	const struct vfio_tce2_info_cap_create *create;
	union answer answer;

	expect(ask(v->fd, &answer, sizeof(answer)), 0);
	create = find_cap(&answer, VFIO_TCE2_INFO_CAP_CREATE);
	expect(create->pgsizes == info.ddw.pgsizes, true);
	expect(create->levels, info.ddw.levels);
	expect(window_remove(v->fd, info.dma32_window_start), 0);
	/* Three levels of 64K tables would translate too many bits */
	for (unsigned int levels = 1; levels <= create->levels && levels <= 2; levels++) {
		for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
			uint64_t start;
			int ret = window_create(v->fd, 16, 1ULL << sizes[i], levels, &start);

			if (ret == -ENOSPC && under_hypervisor())
				continue;
			expect(ret, 0);
			expect(vmlck(), charge_of(create, sizes[i] - 16, levels));
			expect(window_remove(v->fd, start), 0);
			expect(vmlck(), 0);
		}
	}
}

TEST(get_info_returns_the_size_that_the_capabilities_need, ONLY_OURS)
{
	union answer answer;
	uint8_t *page = memory(2 * base_page()), *end = page + base_page();
	struct vfio_tce2_info *last = (struct vfio_tce2_info *)end - 1;
	uint32_t needed;

	expect(ask(v->fd, &answer, sizeof(answer.info)), 0);
	expect(answer.info.cap_offset, 0);
	needed = answer.info.info.argsz;
	expect(needed > sizeof(answer.info) && needed <= CAPS_SIZE, true);
	expect(ask(v->fd, &answer, needed), 0);
	expect(answer.info.cap_offset, sizeof(answer.info));
	expect(answer.bytes[needed], 0xa5);
	/* The capabilities do not fit before the end of the memory */
	expect(mprotect(end, base_page(), PROT_NONE), 0);
	last->info.argsz = needed;
	last->magic = VFIO_TCE2_INFO_MAGIC;
	expect(call(v->fd, VFIO_IOMMU_SPAPR_TCE_GET_INFO, last), -EFAULT);
	/* The structure ends before the magic: no capabilities, and no error */
	last = (struct vfio_tce2_info *)(end - 32);
	last->info.argsz = needed;
	expect(call(v->fd, VFIO_IOMMU_SPAPR_TCE_GET_INFO, last), 0);
	expect(last->info.flags, VFIO_IOMMU_SPAPR_INFO_DDW);
}

/*
 * Vectors
 */

#define MOST	VFIO_TCE2_MAX_RANGES

static struct vfio_tce2_range range[MOST];
static int32_t result[MOST];

/* Every page of a vector is reached by the device, and then by no device */
TEST(a_vector_maps_and_unmaps_512_pages, ONLY_OURS)
{
	uint8_t *ua = registered(v, MOST * TCE_4K);
	struct sink sink = sink_at(v, SINK_IOVA);
	uint32_t done;

	for (int i = 0; i < MOST; i++)
		range[i] = map_range(IOVA + i * TCE_4K, ua + (MOST - 1 - i) * TCE_4K, TCE_4K,
				     READ_WRITE);
	expect(run_ranges(v->fd, range, MOST, 0, result, &done), 0);
	expect(done, MOST);
	for (int i = 0; i < MOST; i++)
		expect(result[i], 0);
	for (int i = 0; i < MOST; i += 73)
		device_reaches(v, 0, IOVA + i * TCE_4K, ua + (MOST - 1 - i) * TCE_4K);
	for (int i = 0; i < MOST; i++)
		range[i] = unmap_range(IOVA + i * TCE_4K, TCE_4K);
	expect(run_ranges(v->fd, range, MOST, 0, NULL, &done), 0);
	expect(done, MOST);
	for (int i = 0; i < MOST; i += 73)
		device_cannot_reach(v, 0, IOVA + i * TCE_4K, ua + (MOST - 1 - i) * TCE_4K,
				    &sink);
	unregister_ok(v, ua, MOST * TCE_4K);
}

struct bad_range {
	const char *row;
	struct vfio_tce2_range range;
	int want;
};

TEST(a_refused_element_changes_nothing, ONLY_OURS)
{
	uint8_t *ua = registered(v, MIB(1));
	uint64_t va = (uintptr_t)ua;
	struct sink sink = sink_at(v, SINK_IOVA);
	struct vfio_iommu_spapr_tce_info info = info_of(v);
	uint64_t end = (uint64_t)info.dma32_window_start + info.dma32_window_size;
	const struct bad_range rows[] = {
		{ "unknown operation", { IOVA, va, TCE_4K, 77, 3, 0 }, -EINVAL },
		{ "operation 0", { IOVA, va, TCE_4K, 0, 3, 0 }, -EINVAL },
		{ "reserved field", { IOVA, va, TCE_4K, 1, 3, 1 }, -EINVAL },
		{ "unknown flag", { IOVA, va, TCE_4K, 1, 7, 0 }, -EINVAL },
		{ "no permission", { IOVA, va, TCE_4K, 1, 0, 0 }, -EINVAL },
		{ "empty", { IOVA, va, 0, 1, 3, 0 }, -EINVAL },
		{ "odd iova", { IOVA + 1, va, TCE_4K, 1, 3, 0 }, -EINVAL },
		{ "odd vaddr", { IOVA, va + 1, TCE_4K, 1, 3, 0 }, -EINVAL },
		{ "odd size", { IOVA, va, TCE_4K - 1, 1, 3, 0 }, -EINVAL },
		{ "vaddr wraps", { IOVA, -TCE_4K, 2 * TCE_4K, 1, 3, 0 }, -EINVAL },
		{ "past the window", { end - TCE_4K, va, 2 * TCE_4K, 1, 3, 0 }, -EINVAL },
		{ "in no window", { end, va, TCE_4K, 1, 3, 0 }, -ENXIO },
		{ "not registered", { IOVA, va + MIB(1), TCE_4K, 1, 3, 0 }, -EINVAL },
		{ "partly registered", { IOVA, va + MIB(1) - TCE_4K, 2 * TCE_4K, 1, 3, 0 },
		  -EINVAL },
		{ "unmap with vaddr", { IOVA, va, TCE_4K, 2, 0, 0 }, -EINVAL },
		{ "unmap with flag", { IOVA, 0, TCE_4K, 2, 1, 0 }, -EINVAL },
		{ "unmap nothing", { IOVA, 0, 0, 2, 0, 0 }, -EINVAL },
		{ "unmap in no window", { end, 0, TCE_4K, 2, 0, 0 }, -ENXIO },
		{ "unmap window with size", { 0, 0, TCE_4K, 3, 0, 0 }, -EINVAL },
		{ "unmap window not at its start", { IOVA, 0, 0, 3, 0, 0 }, -EINVAL },
		{ "unmap window that is none", { end, 0, 0, 3, 0, 0 }, -ENXIO },
	};
	bool ok = true;
	uint32_t done;

	expect(dma_map(v->fd, IOVA, ua + MIB(1) / 2, TCE_4K, READ_WRITE), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		range[0] = rows[i].range;
		ok &= row_is(rows[i].row,
			     run_ranges(v->fd, range, 1, i % 2, result, &done), rows[i].want);
		expect(result[0], rows[i].want);
		expect(done, 0);
	}
	expect(ok, true);
	device_reaches(v, 0, IOVA, ua + MIB(1) / 2);
	device_cannot_reach(v, 0, IOVA + TCE_4K, ua, &sink);
}

TEST(a_vector_with_a_bad_field_carries_out_no_element, ONLY_OURS)
{
	uint8_t *ua = memory(MIB(1));
	struct vfio_tce2_ranges *fixed = (void *)memory(base_page());
	struct vfio_tce2_ranges good = {
		.argsz = sizeof(good), .ranges = (uintptr_t)range, .count = 2,
	}, bad;
	struct sink sink;

	range[0] = map_range(IOVA, ua, TCE_4K, READ_WRITE);
	range[1] = map_range(IOVA + TCE_4K, ua, TCE_4K, READ_WRITE);
	expect(call(v->fd, VFIO_IOMMU_TCE2_RANGES, &good), -EPERM);
	expect(spapr_register(v->fd, ua, MIB(1)), 0);
	sink = sink_at(v, SINK_IOVA);
#define BAD(field, value, want) do {					\
		bad = good;						\
		bad.field = (value);					\
		expect(call(v->fd, VFIO_IOMMU_TCE2_RANGES, &bad), want); \
	} while (0)
	BAD(argsz, sizeof(good) - 1, -EINVAL);
	BAD(argsz, 0, -EINVAL);
	BAD(flags, 2, -EINVAL);
	BAD(flags, 1U << 31, -EINVAL);
	BAD(count, 0, -EINVAL);
	BAD(count, MOST + 1, -EINVAL);
	BAD(count, 1U << 27, -EINVAL);
	BAD(count, ~0U, -EINVAL);
	BAD(ranges, 0, -EFAULT);
	BAD(ranges, 0xc000000000000000ULL, -EFAULT);
	BAD(ranges, ~0ULL, -EFAULT);
	BAD(results, 0xc000000000000000ULL, -EFAULT);
	BAD(results, ~0ULL - 2, -EFAULT);
#undef BAD
	*fixed = good;
	expect(mprotect(fixed, base_page(), PROT_READ), 0);
	expect(call(v->fd, VFIO_IOMMU_TCE2_RANGES, fixed), -EFAULT);
	expect_bad_pointers_fault(v->fd, VFIO_IOMMU_TCE2_RANGES);
	device_cannot_reach(v, 0, IOVA, ua, &sink);
	device_cannot_reach(v, 0, IOVA + TCE_4K, ua, &sink);
	/* The structure itself may be larger than this module's */
	good.argsz = sizeof(good) + 64;
	expect(call(v->fd, VFIO_IOMMU_TCE2_RANGES, &good), 0);
	expect(good.done, 2);
}

/* The vector stops at the refused element, or goes on; the results say what happened */
TEST(the_results_of_a_vector_are_exact, ONLY_OURS)
{
	enum { COUNT = 100, BAD = 41 };
	uint8_t *ua = registered(v, MIB(1));
	struct sink sink = sink_at(v, SINK_IOVA);
	uint32_t done;

	for (int goes_on = 0; goes_on < 2; goes_on++) {
		for (int i = 0; i < COUNT; i++)
			range[i] = map_range(IOVA + i * TCE_4K, ua + i * TCE_4K, TCE_4K,
					     READ_WRITE);
		range[BAD].iova = 1ULL << 62;
		expect(run_ranges(v->fd, range, COUNT, goes_on, result, &done), -ENXIO);
		expect(done, goes_on ? COUNT - 1 : BAD);
		for (int i = 0; i < COUNT; i++) {
			int after = goes_on ? 0 : -ECANCELED;

			expect(result[i], i < BAD ? 0 : i == BAD ? -ENXIO : after);
		}
		device_reaches(v, 0, IOVA + (BAD - 1) * TCE_4K, ua + (BAD - 1) * TCE_4K);
		device_cannot_reach(v, 0, IOVA + BAD * TCE_4K, ua + BAD * TCE_4K, &sink);
		if (goes_on)
			device_reaches(v, 0, IOVA + (COUNT - 1) * TCE_4K,
				       ua + (COUNT - 1) * TCE_4K);
		else
			device_cannot_reach(v, 0, IOVA + (COUNT - 1) * TCE_4K,
					    ua + (COUNT - 1) * TCE_4K, &sink);
		expect(dma_unmap(v->fd, IOVA, COUNT * TCE_4K), 0);
	}
	unregister_ok(v, ua, MIB(1));
}

/* Elements, then results, end at memory that the process may not use */
TEST(elements_or_results_that_fault_end_a_vector_after_a_known_number, ONLY_OURS)
{
	enum { COUNT = 200 };
	uint8_t *ua = registered(v, MIB(1));
	size_t bytes = 4 * base_page();
	uint8_t *area = memory(bytes + base_page());
	struct vfio_tce2_range *cut;
	int32_t *short_results = (int32_t *)(area + bytes) - 100;
	uint32_t done;

	expect(mprotect(area + bytes, base_page(), PROT_NONE), 0);
	cut = (struct vfio_tce2_range *)(area + bytes) - 100;
	for (int i = 0; i < 100; i++)
		cut[i] = map_range(IOVA + i * TCE_4K, ua, TCE_4K, READ_WRITE);
	expect(run_ranges(v->fd, cut, COUNT, 1, result, &done), -EFAULT);
	expect(done <= 100 && done > 80, true);
	for (uint32_t i = 0; i < done; i++)
		expect(result[i], 0);
	device_reaches(v, 0, IOVA + (done - 1) * TCE_4K, ua);
	expect(dma_unmap(v->fd, IOVA, COUNT * TCE_4K), 0);

	for (int i = 0; i < COUNT; i++)
		range[i] = map_range(IOVA + i * TCE_4K, ua, TCE_4K, READ_WRITE);
	expect(run_ranges(v->fd, range, COUNT, 0, short_results, &done), -EFAULT);
	expect(done >= 100 && done < 120, true);
	device_reaches(v, 0, IOVA + (done - 1) * TCE_4K, ua);
	expect(dma_unmap(v->fd, IOVA, COUNT * TCE_4K), 0);
	unregister_ok(v, ua, MIB(1));
}

TEST(unmap_window_unmaps_one_window_and_keeps_it, ONLY_OURS)
{
	uint8_t *ua = registered(v, MIB(1));
	struct sink sink = sink_at(v, SINK_IOVA);
	uint64_t start = new_window(v, 12, GIB(1), 1);
	struct vfio_iommu_spapr_tce_info info = info_of(v);
	uint32_t done;

	range[0] = map_range(start, ua, MIB(1), READ_WRITE);
	range[1] = map_range(start + GIB(1) - MIB(1), ua, MIB(1), READ_WRITE);
	range[2] = map_range(IOVA, ua, MIB(1), READ_WRITE);
	expect(run_ranges(v->fd, range, 3, 0, NULL, &done), 0);
	range[0] = unmap_window_range(start);
	expect(run_ranges(v->fd, range, 1, 0, NULL, &done), 0);
	device_cannot_reach(v, 0, start, ua, &sink);
	device_cannot_reach(v, 0, start + GIB(1) - MIB(1), ua, &sink);
	device_reaches(v, 0, IOVA, ua);
	range[0] = unmap_window_range(info.dma32_window_start);
	range[1] = map_range(start, ua, MIB(1), READ_WRITE);
	expect(run_ranges(v->fd, range, 2, 0, NULL, &done), 0);
	device_reaches(v, 0, start, ua);
	expect(dma_unmap(v->fd, start, MIB(1)), 0);
	unregister_ok(v, ua, MIB(1));
}

/* A child of fork() has the descriptor, but not the right to use it */
static void send_vector(void *arg)
{
	struct vfio *v = arg;
	uint32_t done;

	expect(run_ranges(v->fd, range, 1, 0, NULL, &done), -EPERM);
	expect(done, 0);
}

TEST(a_child_cannot_send_a_vector, ONLY_OURS)
{
	uint8_t *ua = registered(v, MIB(1));
	uint32_t done;

	range[0] = map_range(IOVA, ua, TCE_4K, READ_WRITE);
	expect(run_ranges(v->fd, range, 1, 0, NULL, &done), 0);
	in_child(send_vector, v);
	expect(dma_unmap(v->fd, IOVA, TCE_4K), 0);
	unregister_ok(v, ua, MIB(1));
}

/*
 * Copies
 */

static int copy(struct vfio *v, uint64_t iova, uint64_t source, uint64_t size)
{
	uint32_t done;

	range[0] = copy_range(iova, source, size);
	return run_ranges(v->fd, range, 1, 0, NULL, &done);
}

TEST(a_copy_maps_the_same_memory_without_pin_and_charge, ONLY_OURS)
{
	uint8_t *ua = registered(v, MIB(1));
	struct sink sink = sink_at(v, SINK_IOVA);
	uint64_t start = new_window(v, 12, GIB(1), 1);
	struct ledger before;

	/* In reverse order, so that no two pages are adjacent */
	for (int i = 0; i < 64; i++)
		expect(dma_map(v->fd, IOVA + i * TCE_4K, ua + (63 - i) * TCE_4K, TCE_4K,
			       READ_WRITE), 0);
	expect(dma_map(v->fd, start, ua + MIB(1) / 2, TCE_4K, READ_WRITE), 0);
	before = ledger();
	expect(copy(v, start, IOVA, 64 * TCE_4K), 0);
	expect_ledger("after the copy", before, 0);
	for (int i = 0; i < 64; i += 9)
		device_reaches(v, 0, start + i * TCE_4K, ua + (63 - i) * TCE_4K);
	/* The copy does not depend on its source */
	expect(dma_unmap(v->fd, IOVA, 64 * TCE_4K), 0);
	device_cannot_reach(v, 0, IOVA, ua + 63 * TCE_4K, &sink);
	device_reaches(v, 0, start, ua + 63 * TCE_4K);
	expect(spapr_unregister(v->fd, ua, MIB(1)), -EBUSY);
	expect(window_remove(v->fd, start), 0);
	unregister_ok(v, ua, MIB(1));
}

TEST(a_copy_of_a_read_only_mapping_is_read_only, ONLY_OURS)
{
	uint8_t *ua = registered(v, MIB(1));
	struct sink sink = sink_at(v, SINK_IOVA);

	expect(dma_map(v->fd, IOVA, ua, TCE_4K, READ_ONLY), 0);
	expect(dma_map(v->fd, IOVA + TCE_4K, ua + TCE_4K, TCE_4K, READ_WRITE), 0);
	expect(copy(v, IOVA + MIB(64), IOVA, 2 * TCE_4K), 0);
	device_reads(v, 0, IOVA + MIB(64), ua, &sink);
	device_cannot_write(v, 0, IOVA + MIB(64), ua, &sink);
	device_reaches(v, 0, IOVA + MIB(64) + TCE_4K, ua + TCE_4K);
}

TEST(a_refused_copy_leaves_the_destination_as_it_was, ONLY_OURS)
{
	struct vfio_iommu_spapr_tce_info info = info_of(v);
	uint64_t end = (uint64_t)info.dma32_window_start + info.dma32_window_size;
	uint8_t *ua = registered(v, 1024 * TCE_4K), *other = ua + 600 * TCE_4K;
	struct sink sink = sink_at(v, SINK_IOVA);
	uint64_t to = IOVA + MIB(64);

	expect(dma_map(v->fd, to, other, TCE_4K, READ_WRITE), 0);
	for (int i = 0; i < 600; i++)
		expect(dma_map(v->fd, IOVA + i * TCE_4K, ua + (599 - i) * TCE_4K, TCE_4K,
			       READ_WRITE), 0);
	expect(copy(v, to, IOVA, 0), -EINVAL);
	expect(copy(v, to, IOVA, TCE_4K - 1), -EINVAL);
	expect(copy(v, to, IOVA + 1, TCE_4K), -EINVAL);
	expect(copy(v, to + 1, IOVA, TCE_4K), -EINVAL);
	expect(copy(v, to, end, TCE_4K), -ENXIO);
	expect(copy(v, end, IOVA, TCE_4K), -ENXIO);
	expect(copy(v, to, end - TCE_4K, 2 * TCE_4K), -EINVAL);
	expect(copy(v, end - TCE_4K, IOVA, 2 * TCE_4K), -EINVAL);
	expect(copy(v, to, IOVA, -TCE_4K), -EINVAL);
	expect(copy(v, to, IOVA - TCE_4K, 2 * TCE_4K), -ENOENT);
	expect(copy(v, to, IOVA + 599 * TCE_4K, 2 * TCE_4K), -ENOENT);
	expect(copy(v, to, IOVA, 600 * TCE_4K), -E2BIG);
	device_reaches(v, 0, to, other);
	device_cannot_reach(v, 0, to + TCE_4K, ua + 598 * TCE_4K, &sink);
	expect(copy(v, to, IOVA, 512 * TCE_4K), 0);
	device_reaches(v, 0, to, ua + 599 * TCE_4K);
	device_reaches(v, 0, to + 511 * TCE_4K, ua + 88 * TCE_4K);
	/* As memmove(): each page moves by one */
	expect(copy(v, IOVA + TCE_4K, IOVA, 512 * TCE_4K), 0);
	device_reaches(v, 0, IOVA + 512 * TCE_4K, ua + 88 * TCE_4K);
	device_reaches(v, 0, IOVA, ua + 599 * TCE_4K);
	expect(dma_unmap(v->fd, 0, info.dma32_window_size), 0);
	unregister_ok(v, ua, 1024 * TCE_4K);
}

TEST(a_copy_to_larger_pages_needs_contiguous_memory, ONLY_OURS)
{
	uint8_t *ua = contiguous_memory(MIB(2));
	uint64_t start;

	expect(spapr_register(v->fd, ua, MIB(2)), 0);
	start = new_window(v, 16, GIB(1), 1);
	expect(dma_map(v->fd, IOVA, ua, MIB(1), READ_WRITE), 0);
	expect(copy(v, start, IOVA, MIB(1)), 0);
	device_reaches(v, 0, start + MIB(1) - KIB(64), ua + MIB(1) - KIB(64));
	expect(copy(v, start, IOVA + KIB(4), KIB(64)), -EINVAL);
	expect(dma_map(v->fd, IOVA + KIB(8), ua, KIB(4), READ_WRITE), 0);
	expect(copy(v, start, IOVA, KIB(64)), -EINVAL);
	device_reaches(v, 0, start, ua);
}

/* Threads map and unmap the same pages, the even ones by vectors and the others singly */
static void map_and_unmap(struct workers *workers, int number)
{
	struct vfio *v = workers->v;
	uint8_t *ua = workers->arg;
	struct vfio_tce2_range mine[64];
	uint32_t done;

	for (int i = 0; i < 64; i++) {
		uint64_t iova = IOVA + i % 32 * 37 * TCE_4K;

		mine[i] = i < 32 ? map_range(iova, ua + i % 16 * TCE_4K, TCE_4K, READ_WRITE) :
			  unmap_range(iova, TCE_4K);
	}
	if (number % 2 == 0) {
		expect(run_ranges(v->fd, mine, 64, 0, NULL, &done), 0);
		expect(done, 64);
		return;
	}
	for (int i = 0; i < 32; i++)
		expect(dma_map(v->fd, mine[i].iova, (void *)(uintptr_t)mine[i].vaddr, TCE_4K,
			       READ_WRITE), 0);
	for (int i = 0; i < 32; i++)
		expect(dma_unmap(v->fd, mine[i].iova, TCE_4K), 0);
}

/* Meanwhile the second window comes and goes */
TEST(vectors_and_single_requests_for_the_same_pages_race, .race = "vectors, MAP_DMA, TCE_CREATE",
     ONLY_OURS)
{
	uint8_t *ua = registered(v, MIB(1));
	struct workers workers = { .v = v, .arg = ua };

	workers_start(&workers, race_threads(), map_and_unmap);
	while (race_round()) {
		uint64_t start = new_window(v, 16, GIB(1), 1);

		expect(window_remove(v->fd, start), 0);
	}
	workers_stop(&workers);
	/* No page is counted any more */
	expect(dma_unmap(v->fd, IOVA, MIB(64)), 0);
	unregister_ok(v, ua, MIB(1));
}
