// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of src/query.c, and of the structure with which a client asks for capabilities. Sizes
 * and offsets are written as numbers, because they are part of the interface.
 */
#include <string.h>

#include <linux/log2.h>
#include <linux/vfio.h>

#include "client.h"
#include "sim_user.h"
#include "tce2_uapi.h"
#include "uapi/vfio_spapr_tce2.h"

/* The least argsz, and the argsz that suffices for any container */
#define LEAST	40
#define ENOUGH	512

static unsigned char answer[ENOUGH];

static struct vfio_tce2_info *info(void)
{
	return (struct vfio_tce2_info *)answer;
}

/* Asks for capabilities with a buffer of @size bytes, the last @size bytes of user memory */
static long ask_at(size_t size, u32 argsz, u32 magic)
{
	u64 arg;
	long ret;

	memset(answer, 0xa5, sizeof(answer));
	info()->info.argsz = argsz;
	info()->magic = magic;
	arg = user_place(answer, size);
	ret = tce2_uapi_ioctl(cookie, VFIO_IOMMU_SPAPR_TCE_GET_INFO, arg);
	user_look(answer, size);
	return ret;
}

static long ask(u32 argsz)
{
	return ask_at(argsz, argsz, VFIO_TCE2_INFO_MAGIC);
}

/* Finds a capability in the last answer, which must have it */
static const void *cap(u16 id)
{
	u32 offset = info()->cap_offset;

	while (offset) {
		const struct vfio_info_cap_header *header =
			(const struct vfio_info_cap_header *)(answer + offset);

		expect(offset >= LEAST && offset % 8 == 0 && offset < ENOUGH, true);
		expect(header->version, 1);
		if (header->id == id)
			return header;
		expect(!header->next || header->next > offset, true);
		offset = header->next;
	}
	sim_bug("no capability %#x", id);
}

/* The last answer has these ranges of bus addresses: pairs of first and last address */
static void expect_ranges(u16 id, unsigned int nr, const u64 *want)
{
	const struct vfio_iommu_type1_info_cap_iova_range *ranges = cap(id);

	expect(ranges->nr_iovas, nr);
	expect(ranges->reserved, 0);
	for (unsigned int i = 0; i < nr; i++) {
		expect(ranges->iova_ranges[i].start, want[2 * i]);
		expect(ranges->iova_ranges[i].end, want[2 * i + 1]);
	}
}

#define RANGES(id, ...) \
	expect_ranges(id, ARRAY_SIZE(((u64[]){ __VA_ARGS__ })) / 2, (u64[]){ __VA_ARGS__ })
#define USABLE(...)	RANGES(VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, __VA_ARGS__)
#define HOLES(...)	RANGES(VFIO_TCE2_INFO_CAP_HOLES, __VA_ARGS__)

static void expect_window(unsigned int i, u64 start, u64 size, u32 page_shift, u16 levels,
			  u16 flags)
{
	const struct vfio_tce2_info_cap_windows *windows = cap(VFIO_TCE2_INFO_CAP_WINDOWS);

	expect(windows->windows[i].start, start);
	expect(windows->windows[i].size, size);
	expect(windows->windows[i].page_shift, page_shift);
	expect(windows->windows[i].levels, levels);
	expect(windows->windows[i].flags, flags);
}

static void expect_windows(unsigned int nr, unsigned int free)
{
	const struct vfio_tce2_info_cap_windows *windows = cap(VFIO_TCE2_INFO_CAP_WINDOWS);

	expect(windows->nr_windows, nr);
	expect(windows->free_windows, free);
}

static int create_window(u64 size, u32 page_shift, u32 levels)
{
	const struct tce2_window_spec spec = {
		.size = size, .page_shift = page_shift, .levels = levels,
	};
	struct tce2_creation creation;

	return tce2_container_create_window(container, &spec, &creation) ?:
	       tce2_container_publish_window(container, &creation);
}

TEST(the_structures_of_the_interface_have_these_sizes)
{
	expect(sizeof(struct vfio_tce2_info), 40);
	expect(sizeof(struct vfio_info_cap_header), 8);
	expect(sizeof(struct vfio_iommu_type1_info_cap_iova_range), 16);
	expect(sizeof(struct vfio_tce2_info_cap_windows), 16);
	expect(sizeof(struct vfio_tce2_window), 32);
	expect(sizeof(struct vfio_tce2_info_cap_create), 32);
	expect(VFIO_TCE2_INFO_MAGIC, 0x7ce2ca95);
	expect(VFIO_TCE2_INFO_CAPS, 1U << 31);
}

TEST_F(client, the_default_window_is_usable_before_its_first_use)
{
	const struct vfio_tce2_info_cap_create *create;

	expect(ask(ENOUGH), 0);
	expect(info()->info.argsz, ENOUGH);
	expect(info()->info.flags == (VFIO_IOMMU_SPAPR_INFO_DDW | VFIO_TCE2_INFO_CAPS), true);
	expect(info()->info.dma32_window_size, GIB(1));
	expect(info()->info.ddw.levels, 3);
	expect(info()->magic, VFIO_TCE2_INFO_MAGIC);
	expect(info()->cap_offset, LEAST);
	USABLE(0, GIB(1) - 1);
	HOLES(GIB(1), GIB(4) - 1);
	expect_windows(1, 1);
	expect_window(0, 0, GIB(1), 12, 1, VFIO_TCE2_WINDOW_PENDING);
	create = cap(VFIO_TCE2_INFO_CAP_CREATE);
	expect(create->pgsizes, BIT_ULL(12) | BIT_ULL(16) | BIT_ULL(24));
	expect(create->levels, 3);
	expect(create->table_copies, 2);
	expect(create->table_least, PAGE_SIZE);
	expect(create->reserved, 0);
	/* The question does not make the window, and binds no process */
	expect(!container->ddw.window[0], true);
	expect(!container->cache, true);
}

TEST_F(client, usable_ranges_are_the_windows_without_the_hole)
{
	const struct vfio_tce2_info_cap_windows *windows;

	expect(create_window(MIB(64), 16, 1), 0);
	expect(ask(ENOUGH), 0);
	USABLE(0, GIB(1) - 1, NOWHERE, NOWHERE + MIB(64) - 1);
	expect_windows(2, 0);
	expect_window(0, 0, GIB(1), 12, 1, 0);
	expect_window(1, NOWHERE, MIB(64), 16, 1, 0);
	windows = cap(VFIO_TCE2_INFO_CAP_WINDOWS);
	expect(windows->windows[0].charged,
	       (u64)container->ddw.window[0]->table.charge.pages << PAGE_SHIFT);
	expect(windows->windows[0].charged > 0, true);

	/* The hole is in the middle of a window, at its end, or beyond its end */
	expect(tce2_container_remove_window(container, 0), 0);
	expect(create_window(GIB(8), 16, 2), 0);
	expect(ask(ENOUGH), 0);
	USABLE(0, GIB(1) - 1, GIB(4), GIB(8) - 1, NOWHERE, NOWHERE + MIB(64) - 1);
	expect_window(0, 0, GIB(8), 16, 2, 0);
	expect(tce2_container_remove_window(container, 0), 0);
	expect(create_window(GIB(2), 16, 1), 0);
	expect(ask(ENOUGH), 0);
	USABLE(0, GIB(1) - 1, NOWHERE, NOWHERE + MIB(64) - 1);
	expect(tce2_container_remove_window(container, 0), 0);
	expect(create_window(MIB(64), 16, 1), 0);
	expect(ask(ENOUGH), 0);
	USABLE(0, MIB(64) - 1, NOWHERE, NOWHERE + MIB(64) - 1);
	HOLES(GIB(1), GIB(4) - 1);

	expect(tce2_container_remove_window(container, 0), 0);
	expect(tce2_container_remove_window(container, NOWHERE), 0);
	expect(ask(ENOUGH), 0);
	expect_ranges(VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, 0, NULL);
	expect_windows(0, 2);
}

TEST_F(client, a_platform_without_room_below_4_gib_has_no_hole)
{
	group[0]->tg.tce32_size = 0xffffffff;
	expect(ask(ENOUGH), 0);
	HOLES(0xffffffff, 0xffffffff);
	group[0]->tg.tce32_start = 1;
	expect(ask(ENOUGH), 0);
	expect_ranges(VFIO_TCE2_INFO_CAP_HOLES, 0, NULL);
	group[0]->tg.tce32_start = 0;
	group[0]->tg.tce32_size = GIB(1);
}

TEST_F(client, windows_ascend_by_bus_address)
{
	group[0]->tg.tce32_start = 0;
	expect(tce2_container_remove_window(container, 0), 0);
	platform.elsewhere = true;
	expect(create_window(MIB(64), 16, 1), 0);
	platform.elsewhere = false;
	expect(ask(ENOUGH), 0);
	expect_windows(1, 1);
	expect_window(0, NOWHERE, MIB(64), 16, 1, 0);
	/* Slot 0 has the higher address if the default window is pending again */
	container->ddw.default_pending = true;
	expect(ask(ENOUGH), 0);
	expect_window(0, 0, GIB(1), 12, 1, VFIO_TCE2_WINDOW_PENDING);
	expect_window(1, NOWHERE, MIB(64), 16, 1, 0);
	container->ddw.default_pending = false;
}

/* A window whose address the client does not know yet takes a slot, but is not usable */
TEST_F(client, a_window_that_is_not_published_is_not_usable)
{
	const struct tce2_window_spec spec = {
		.size = MIB(64), .page_shift = 16, .levels = 1,
	};
	struct tce2_creation creation;

	expect(tce2_container_create_window(container, &spec, &creation), 0);
	expect(ask(ENOUGH), 0);
	USABLE(0, GIB(1) - 1);
	expect_windows(1, 0);
	tce2_container_cancel_window(container, &creation);
}

TEST(a_hypervisor_has_one_dynamic_window_and_no_hole)
{
	const struct vfio_tce2_info_cap_create *create;

	platform_kind = PLATFORM_HYPERVISOR;
	begin_client(0);
	platform.hypervisor = true;
	platform.elsewhere = true;
	group[0] = platform_group(1);
	expect(tce2_container_attach(container, &group[0]->group), 0);
	expect(ask(ENOUGH), 0);
	expect_ranges(VFIO_TCE2_INFO_CAP_HOLES, 0, NULL);
	expect_windows(1, 1);
	create = cap(VFIO_TCE2_INFO_CAP_CREATE);
	expect(create->table_copies, 1);
	expect(create->table_least, 0);
	expect(create->levels, 1);
	/* Both slots are free, but Linux makes a single dynamic window */
	expect(tce2_container_remove_window(container, 0), 0);
	expect(ask(ENOUGH), 0);
	expect_windows(0, 1);
	expect(create_window(MIB(64), 16, 1), 0);
	expect(ask(ENOUGH), 0);
	expect_windows(1, 0);
	USABLE(NOWHERE, NOWHERE + MIB(64) - 1);
	end_client();
	platform_kind = PLATFORM_MEMORY;
}

/* The formula of include/uapi/vfio_spapr_tce2.h */
static u64 charge_of(const struct vfio_tce2_info_cap_create *create, u64 entries, u32 levels)
{
	u64 table = 8ULL << ((ilog2(entries) + levels - 1) / levels);

	table = max_t(u64, table, create->table_least);
	return create->table_copies * table & ~(PAGE_SIZE - 1);
}

TEST_F(client, the_formula_gives_the_locked_memory_of_a_window)
{
	const struct vfio_tce2_info_cap_create *create;
	const u32 shifts[] = { 12, 16, 24 };

	expect(ask(ENOUGH), 0);
	create = cap(VFIO_TCE2_INFO_CAP_CREATE);
	for (u32 levels = 1; levels <= create->levels; levels++) {
		for (size_t i = 0; i < ARRAY_SIZE(shifts); i++) {
			for (u64 size = MIB(16); size <= TIB(64); size *= 2) {
				const struct tce2_window_spec spec = {
					.size = size, .page_shift = shifts[i],
					.levels = levels,
				};
				u64 entries = size >> shifts[i];

				if (tce2_platform_check_spec(&group[0]->tg, &spec,
							     ~0ULL, levels))
					continue;
				expect(charge_of(create, entries, levels),
				       (u64)tce2_platform_table_pages(&group[0]->tg,
								      &spec)
					       << PAGE_SHIFT);
			}
		}
	}
}

/* See also get_info_writes_at_most_argsz_bytes in test_uapi.c */
TEST_F(client, without_the_magic_get_info_writes_32_bytes)
{
	unsigned char before[ENOUGH];

	for (u32 argsz = LEAST; argsz <= ENOUGH; argsz += ENOUGH - LEAST) {
		expect(ask_at(ENOUGH, argsz, VFIO_TCE2_INFO_MAGIC ^ 1), 0);
		expect(info()->info.flags, VFIO_IOMMU_SPAPR_INFO_DDW);
		expect(info()->info.argsz, argsz);
		memset(before, 0xa5, sizeof(before));
		((struct vfio_tce2_info *)before)->magic = VFIO_TCE2_INFO_MAGIC ^ 1;
		expect(memcmp(answer + 32, before + 32, ENOUGH - 32), 0);
	}
	/* A buffer that ends before the end of the structure */
	expect(ask_at(LEAST - 8, ~0U, VFIO_TCE2_INFO_MAGIC), 0);
	expect(info()->info.flags == (VFIO_IOMMU_SPAPR_INFO_DDW | VFIO_TCE2_INFO_CAPS), false);
	expect(ask_at(ENOUGH, LEAST - 1, VFIO_TCE2_INFO_MAGIC), 0);
	expect(info()->info.flags, VFIO_IOMMU_SPAPR_INFO_DDW);
	expect(info()->cap_offset, 0xa5a5a5a5);
}

TEST_F(client, a_buffer_that_is_too_small_gets_the_size_it_needs)
{
	unsigned char want = 0xa5;
	u32 needed;

	expect(ask(LEAST), 0);
	expect(info()->cap_offset, 0);
	expect(info()->info.flags == (VFIO_IOMMU_SPAPR_INFO_DDW | VFIO_TCE2_INFO_CAPS), true);
	needed = info()->info.argsz;
	expect(needed > LEAST && needed < ENOUGH, true);
	expect(ask_at(ENOUGH, needed - 1, VFIO_TCE2_INFO_MAGIC), 0);
	expect(info()->cap_offset, 0);
	expect(info()->info.argsz, needed);
	expect(answer[LEAST], want);
	expect(ask_at(ENOUGH, needed, VFIO_TCE2_INFO_MAGIC), 0);
	expect(info()->cap_offset, LEAST);
	expect(answer[needed - 1] == want, false);
	expect(answer[needed], want);
}

TEST_F(client, capabilities_to_unwritable_memory_return_efault)
{
	/* The buffer is shorter than argsz */
	expect(ask_at(LEAST, ENOUGH, VFIO_TCE2_INFO_MAGIC), -EFAULT);
	expect(ask_at(LEAST + 96, ENOUGH, VFIO_TCE2_INFO_MAGIC), -EFAULT);
	/* The largest argsz with a buffer that suffices */
	expect(ask_at(ENOUGH, ~0U, VFIO_TCE2_INFO_MAGIC), 0);
	expect(info()->cap_offset, LEAST);
}

static void make_readonly(void)
{
	user.readonly = true;
}

TEST_F(client, a_buffer_that_becomes_read_only_returns_efault)
{
	for (unsigned int at = 2; at <= 4; at++) {
		u64 arg;

		memset(answer, 0, sizeof(answer));
		info()->info.argsz = ENOUGH;
		info()->magic = VFIO_TCE2_INFO_MAGIC;
		arg = user_place(answer, ENOUGH);
		user.other_at = at;
		user.other = make_readonly;
		expect(tce2_uapi_ioctl(cookie, VFIO_IOMMU_SPAPR_TCE_GET_INFO, arg), -EFAULT);
	}
}

TEST(capabilities_without_a_group_return_enxio)
{
	begin_client(0);
	expect(ask(ENOUGH), -ENXIO);
	end_client();
}

TEST(check_extension_offers_the_version_and_the_requests)
{
	begin_client(0);
	expect(tce2_uapi_ioctl(cookie, VFIO_CHECK_EXTENSION, VFIO_TCE2_API),
	       VFIO_TCE2_VERSION);
	expect(tce2_uapi_ioctl(NULL, VFIO_CHECK_EXTENSION, VFIO_TCE2_API),
	       VFIO_TCE2_VERSION);
	expect(tce2_uapi_ioctl(cookie, VFIO_CHECK_EXTENSION, VFIO_TCE2_INFO), 1);
	expect(tce2_uapi_ioctl(cookie, VFIO_CHECK_EXTENSION, VFIO_TCE2_API - 1), 0);
	expect(tce2_uapi_ioctl(cookie, VFIO_CHECK_EXTENSION,
			       1ULL << 32 | VFIO_TCE2_API), 0);
	end_client();
}
