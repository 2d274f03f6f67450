// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of src/platform.c and of its use by src/ddw*.c. For each limit of a window, the tests
 * try the last accepted and the first refused value. Other tests check that a hypervisor's
 * group gets at most one window besides the default window, and combine groups that differ.
 */
#include <linux/mmzone.h>
#include <linux/vfio.h>

#include <asm/firmware.h>

#include "tce2_compat.h"
#include "engine.h"

#define SIZE GIB(1) /* size of the default window */

/* log2 of the largest level in bytes: in a table of several levels, and of a single level */
#define LEVEL_SHIFT  19
#define SINGLE_SHIFT (PAGE_SHIFT + MAX_PAGE_ORDER)

#define PGSIZES (BIT_ULL(12) | BIT_ULL(16) | BIT_ULL(24))

/* Kind of the group for which the window is made */
enum offers { LEVELS_5, LEVELS_3, HYPERVISOR };

struct spec_row {
	const char *row;
	enum offers group;
	u64 size;
	u32 page_shift, levels;
	int want;
};

static const struct spec_row spec_rows[] = {
	{ "one level", LEVELS_5, SIZE, 12, 1, 0 },
	{ "no level", LEVELS_5, SIZE, 12, 0, -EINVAL },
	{ "one level too many", LEVELS_5, SIZE, 12, 6, -EINVAL },
	{ "all of 3 levels", LEVELS_3, SIZE, 12, 3, 0 },
	{ "one more than 3 levels", LEVELS_3, SIZE, 12, 4, -EINVAL },
	{ "most levels that fit into 32 bits", LEVELS_5, SIZE, 12, ~0U, -EINVAL },
	{ "second level of a hypervisor", HYPERVISOR, SIZE, 12, 2, -EINVAL },

	{ "page size of 64 KiB", LEVELS_5, SIZE, 16, 1, 0 },
	{ "largest page size", LEVELS_5, SIZE, 24, 1, 0 },
	{ "page size that is not offered", LEVELS_5, SIZE, 13, 1, -EINVAL },
	{ "page size below the offered sizes", LEVELS_5, SIZE, 11, 1, -EINVAL },
	{ "page size above the offered sizes", LEVELS_5, SIZE, 25, 1, -EINVAL },
	{ "page size of 1 byte", LEVELS_5, SIZE, 0, 1, -EINVAL },
	{ "page size of 2^64 bytes", LEVELS_5, SIZE, 64, 1, -EINVAL },
	{ "page shift that is 12 in its low 6 bits", LEVELS_5, SIZE, 64 + 12, 1, -EINVAL },
	{ "page shift that is 12 in its low 5 bits", LEVELS_5, SIZE, 32 + 12, 1, -EINVAL },

	{ "size of 0", LEVELS_5, 0, 12, 1, -EINVAL },
	{ "size that is not a power of 2", LEVELS_5, 3 * SIZE, 12, 1, -EINVAL },
	{ "size of all ones", LEVELS_5, ~0ULL, 12, 1, -EINVAL },
	{ "size of one page", LEVELS_5, 1ULL << 12, 12, 1, 0 },
	{ "size of one large IOMMU page", LEVELS_5, 1ULL << 24, 24, 1, 0 },
	{ "size of half a page", LEVELS_5, 1ULL << 11, 12, 1, -EINVAL },
	{ "size of half a large IOMMU page", LEVELS_5, 1ULL << 23, 24, 1, -EINVAL },

	{ "54 bits of bus address", LEVELS_5, 1ULL << 54, 12, 3, 0 },
	{ "55 bits", LEVELS_5, 1ULL << 55, 12, 3, -EINVAL },
	{ "63 bits", LEVELS_5, 1ULL << 63, 12, 3, -EINVAL },
	{ "54 bits in large IOMMU pages", LEVELS_5, 1ULL << 54, 24, 2, 0 },
	{ "55 bits in large IOMMU pages", LEVELS_5, 1ULL << 55, 24, 1, -EINVAL },
	/* 38 index bits are rounded up to 3 levels of 13 bits; with the 16 page bits: 55 */
	{ "55 bits by rounding up", LEVELS_5, 1ULL << 54, 16, 3, -EINVAL },
	/* A level takes at least one kernel page: 13 bits with 64 KiB pages */
	{ "55 bits by page size", LEVELS_5, 1ULL << 52, 16, 3,
	  PAGE_SHIFT == 16 ? -EINVAL : 0 },
	{ "54 bits of a hypervisor", HYPERVISOR, 1ULL << 54, 12, 1, 0 },
	{ "55 bits of a hypervisor", HYPERVISOR, 1ULL << 55, 12, 1, -EINVAL },

	{ "largest single level", LEVELS_5, 1ULL << (12 - 3 + SINGLE_SHIFT), 12, 1, 0 },
	{ "single level too large", LEVELS_5, 2ULL << (12 - 3 + SINGLE_SHIFT), 12, 1,
	  -ENOMEM },
	{ "largest of 2 levels", LEVELS_5, 1ULL << (12 + 2 * (LEVEL_SHIFT - 3)), 12, 2,
	  0 },
	{ "2 levels too large", LEVELS_5, 2ULL << (12 + 2 * (LEVEL_SHIFT - 3)), 12, 2,
	  -ENOMEM },
	{ "the same size with 3 levels", LEVELS_5, 2ULL << (12 + 2 * (LEVEL_SHIFT - 3)), 12, 3,
	  0 },
	/* A hypervisor allocates the table, so the level limit does not apply */
	{ "large table of a hypervisor", HYPERVISOR, 1ULL << 48, 12, 1, 0 },
	/* -ENOMEM makes clients retry with more levels, so -EINVAL must come first */
	{ "too large, and too many levels", LEVELS_3, 1ULL << 48, 12, 4, -EINVAL },
};

static const u32 levels_of[] = {
	[LEVELS_5] = 5, [LEVELS_3] = 3, [HYPERVISOR] = 1,
};

TEST(check_spec_accepts_each_limit_and_refuses_the_next_value)
{
	begin(0, 5);
	for (size_t i = 0; i < ARRAY_SIZE(spec_rows); i++) {
		const struct spec_row *r = &spec_rows[i];
		const struct tce2_window_spec spec = { r->size, r->page_shift,
						       r->levels };
		const struct iommu_table_group tg = {
			.max_levels = levels_of[r->group],
		};

		row = r->row;
		expect(tce2_platform_check_spec(&tg, &spec, PGSIZES, tg.max_levels),
		       r->want);
	}
	finish();
}

/* All groups offer only this page size, or all page sizes except this one */
TEST(check_spec_accepts_only_page_sizes_that_all_groups_offer)
{
	const struct iommu_table_group tg = { .max_levels = 5 };
	struct tce2_window_spec spec = { SIZE, 0, 1 };

	begin(0, 5);
	for (u32 shift = 12; shift <= 30; shift++) {
		spec.page_shift = shift;
		expect(tce2_platform_check_spec(&tg, &spec, BIT_ULL(shift), 5), 0);
		expect(tce2_platform_check_spec(&tg, &spec, ~BIT_ULL(shift), 5),
		       -EINVAL);
		expect(tce2_platform_check_spec(&tg, &spec, 0, 5), -EINVAL);
	}
	finish();
}

/* On pseries a device whose request for a window has failed can't make another window */
TEST(an_invalid_window_never_reaches_the_platform)
{
	struct sim_counts before;
	u64 start = 7;

	begin(2, 5);
	before = sim.now;
	for (size_t i = 0; i < ARRAY_SIZE(spec_rows); i++) {
		const struct spec_row *r = &spec_rows[i];

		row = r->row;
		if (r->group != LEVELS_5 || !r->want)
			continue;
		expect(create(r->size, r->page_shift, r->levels, &start), r->want);
		expect(platform.calls_to[PLATFORM_CREATE], 0);
		expect(ddw.default_pending, true);
		expect_counts(before);
	}
	expect(start, 7);
	finish();
}

/* The platform refuses the window, because a table this large would take long to make */
TEST(a_window_at_a_limit_reaches_the_platform)
{
	unsigned int asked = 0;
	u64 start;

	begin(1, 5);
	expect(tce2_ddw_remove(&ddw, 0), 0);
	for (size_t i = 0; i < ARRAY_SIZE(spec_rows); i++) {
		const struct spec_row *r = &spec_rows[i];

		row = r->row;
		if (r->group != LEVELS_5 || r->want)
			continue;
		platform_fail(PLATFORM_CREATE, 1, 1);
		platform.error = -EPERM;
		expect(create(r->size, r->page_shift, r->levels, &start), -EPERM);
		expect(platform.calls_to[PLATFORM_CREATE], ++asked);
	}
	finish();
}

TEST(platform_errors_are_errnos_or_become_eio)
{
	static const int errors[][2] = {
		{ -ENOMEM, -ENOMEM }, { -EINVAL, -EINVAL }, { -ENODEV, -ENODEV },
		{ -EPERM, -EPERM }, { -EIO, -EIO }, { -EBUSY, -EIO },
		{ -ENOSPC, -EIO }, { H_NOT_ENOUGH_RESOURCES, -EIO }, { 5, -EIO },
	};
	u64 start;

	begin(1, 5);
	expect(tce2_ddw_remove(&ddw, 0), 0);
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		for (int set = 0; set < 2; set++) {
			platform_fail(set ? PLATFORM_SET : PLATFORM_CREATE, 1, 1);
			platform.error = errors[i][0];
			expect(create(SIZE, SHIFT, 1, &start), errors[i][1]);
			expect(sim.now.charged, 0);
		}
	}
	finish();
}

/* The platform would print an error if memory is short. A hypervisor uses its own memory. */
TEST(memory_for_a_table_and_its_copy_is_checked_beforehand)
{
	const struct tce2_window_spec spec = { SIZE, SHIFT, 1 };
	struct iommu_table *tbl;

	for (u32 max_levels = 1; max_levels <= 2; max_levels++) {
		const bool memory = max_levels > 1;
		u64 before;

		platform_kind = memory ? PLATFORM_MEMORY : PLATFORM_HYPERVISOR;
		begin(0, max_levels);
		group[0] = platform_group(max_levels);
		for (unsigned int nth = 1; nth <= 3; nth++) {
			const bool enough = !memory || nth > 2;

			platform_fail(PLATFORM_CREATE, 1, 1);
			platform.error = -EPERM;
			sim_fail(SIM_ALLOC, nth);
			before = sim.unaccounted;
			expect(tce2_platform_create_table(&group[0]->tg, 0, &spec, &tbl),
			       enough ? -EPERM : -ENOMEM);
			expect(platform.fired, enough);
			expect(sim.unaccounted - before,
			       !memory ? 0 : enough ? 2 : nth);
			sim_fail_nothing();
			platform_fail_nothing();
		}
		finish();
	}
}

/* The platform allocates the table (with several levels, its root) and the kernel's copy */
TEST(a_new_table_is_charged_for_the_pages_the_platform_allocates)
{
	u64 start;

	begin(1, 5);
	expect(tce2_ddw_remove(&ddw, 0), 0);
	for (u32 levels = 1; levels <= 3; levels++) {
		for (u64 size = MIB(1); size <= GIB(1); size *= 32) {
			expect(create(size, SHIFT, levels, &start), 0);
			expect(sim.now.charged, platform.pages);
			expect(ddw.window[0]->table.charge.pages, platform.pages);
			expect(tce2_ddw_remove(&ddw, start), 0);
			expect(sim.now.charged, 0);
		}
	}
	finish();
}

TEST(check_place_refuses_a_second_window_of_a_hypervisor_only)
{
	static const struct {
		const char *row;
		u32 max_levels;
		u64 size;
		u32 page_shift;
		int slot;
		bool taken;
		int want;
	} rows[] = {
		{ "default window", 1, SIZE, 12, 0, false, 0 },
		{ "other window", 1, SIZE, 16, 1, false, 0 },
		{ "default window beside the other", 1, SIZE, 12, 0, true, -EPERM },
		{ "default window's format in slot 1", 1, SIZE, 12, 1, true, -ENOSPC },
		{ "larger", 1, 2 * SIZE, 12, 0, true, -ENOSPC },
		{ "smaller", 1, SIZE / 2, 12, 0, true, -ENOSPC },
		{ "larger pages", 1, SIZE, 16, 0, true, -ENOSPC },
		{ "second other window, in slot 1", 1, SIZE, 16, 1, true, -ENOSPC },
		{ "without dynamic windows", 0, SIZE, 16, 1, true, -ENOSPC },
		{ "no hypervisor", 2, SIZE, 12, 0, true, 0 },
		{ "no hypervisor, slot 1", 5, SIZE, 16, 1, true, 0 },
	};

	begin(0, 1);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct iommu_table_group tg = {
			.max_levels = rows[i].max_levels, .tce32_size = SIZE,
		};
		const struct tce2_window_spec spec = {
			rows[i].size, rows[i].page_shift, 1,
		};

		row = rows[i].row;
		expect(tce2_platform_check_place(&tg, &spec, rows[i].slot,
						 rows[i].taken), rows[i].want);
	}
	finish();
}

static void expect_not_asked(u64 size, u32 page_shift, int error)
{
	u64 asked = platform.calls_to[PLATFORM_CREATE], start = 7;

	expect(create(size, page_shift, 1, &start), error);
	expect(platform.calls_to[PLATFORM_CREATE], asked);
	expect(start, 7);
}

/* The other window is in slot 1, the default window in slot 0 */
TEST(a_second_window_is_refused_without_a_call_to_the_hypervisor)
{
	u64 start, other;

	platform_kind = PLATFORM_HYPERVISOR;
	begin(1, 1);
	expect(create(MIB(64), SHIFT, 1, &start), 0);
	expect(start, NOWHERE);
	expect_not_asked(MIB(128), SHIFT, -ENOSPC);
	expect(tce2_ddw_remove(&ddw, 0), 0);
	/* While the other window exists, the default window can't be made again */
	expect_not_asked(SIZE, SHIFT, -EPERM);
	expect_not_asked(SIZE, 16, -ENOSPC);
	expect_not_asked(MIB(128), SHIFT, -ENOSPC);
	expect(tce2_ddw_remove(&ddw, start), 0);
	expect(create(SIZE, SHIFT, 1, &other), 0);
	expect(other, 0);
	expect(create(MIB(128), 16, 1, &other), 0);
	expect(other, NOWHERE);
	finish();
}

/* If a window in slot 0 is unlike the default window, it begins at 1 << 59, as in slot 1 */
TEST(a_hypervisor_window_in_slot_0_takes_the_only_place)
{
	u64 start, other;

	platform_kind = PLATFORM_HYPERVISOR;
	begin(1, 1);
	platform.elsewhere = true;
	expect(tce2_ddw_remove(&ddw, 0), 0);
	expect(create(MIB(64), 16, 1, &start), 0);
	expect(start, NOWHERE);
	expect(ddw.window[0]->start, NOWHERE);
	expect_not_asked(SIZE, SHIFT, -ENOSPC);
	expect_not_asked(MIB(128), SHIFT, -ENOSPC);
	expect(tce2_ddw_remove(&ddw, start), 0);
	expect(create(SIZE, SHIFT, 1, &other), 0);
	expect(other, 0);
	expect(create(MIB(64), 16, 1, &start), 0);
	expect(start, NOWHERE);
	finish();
}

/* In the window of slot 1, a refused entry must be noticed as in slot 0 */
TEST(a_hypervisor_window_in_slot_1_maps_unmaps_and_rolls_back)
{
	static const unsigned long features[] = {
		FW_FEATURE_PUT_TCE_IND | FW_FEATURE_STUFF_TCE,
		FW_FEATURE_STUFF_TCE, 0,
	};

	for (size_t i = 0; i < ARRAY_SIZE(features); i++) {
		struct tce2_window *window;
		u64 start;

		platform_kind = PLATFORM_HYPERVISOR;
		begin(1, 1);
		platform.features = features[i];
		memory(UA, 2000);
		expect(create(MIB(64), SHIFT, 1, &start), 0);
		window = ddw.window[1];
		expect(map(window, 1, 3, 1200, RW), 0);
		expect(map(window, 700, 9, 20, TCE2_PERM_READ), 0);
		expect_in_step(window, 2000);
		platform.refused = hpa_at(UA + IOVA(7));
		expect(map(window, 500, 0, 600, RW), -EIO);
		platform_fail_nothing();
		expect_in_step(window, 2000);
		expect(platform.held, 1200);
		expect(unmap(window, 700, 1), 0);
		expect_in_step(window, 2000);
		platform_fail(PLATFORM_CLEAR, 1, 1 << 20);
		platform_fail(PLATFORM_XCHG, 1, 1 << 20);
		expect(unmap(window, 0, 2000), -EIO);
		platform_fail_nothing();
		expect(platform.held, 1199);
		expect_in_step(window, 2000);
		expect(unmap(window, 0, 2000), 0);
		expect(platform_mapped(window->table.tbl), 0);
		expect(platform.held, 0);
		expect(!ddw.window[0], false);
		finish();
	}
}

/*
 * Attaching groups that differ from each other
 */

static void begin_apart(void)
{
	begin(0, 5);
	for (int i = 0; i < MAX_GROUPS; i++)
		group[i] = platform_group(5);
}

static int attach(int i)
{
	return tce2_ddw_attach(&ddw, &group[i]->group);
}

static void expect_refused(int i, int error)
{
	struct sim_counts before = sim.now;

	expect(attach(i), error);
	expect(group[i]->owned, false);
	expect(!group[i]->walks[0] && !group[i]->walks[1], true);
	expect_counts(before);
}

static void expect_offer(u64 pgsizes, u32 levels)
{
	struct vfio_iommu_spapr_tce_info info = {};

	expect(tce2_ddw_info(&ddw, &info, NULL), 0);
	expect(info.ddw.pgsizes, pgsizes);
	expect(info.ddw.levels, levels);
}

/* The group that offers less is the first group, or the second group */
TEST(different_groups_offer_their_common_page_sizes_and_levels)
{
	for (int less = 0; less < 2; less++) {
		u64 start;

		begin_apart();
		group[less]->tg.pgsizes = BIT_ULL(12) | BIT_ULL(16);
		group[!less]->tg.pgsizes = BIT_ULL(12) | BIT_ULL(24);
		group[less]->tg.max_levels = 3;
		expect(attach(0), 0);
		expect(attach(1), 0);
		expect(tce2_ddw_remove(&ddw, 0), 0);
		expect_offer(BIT_ULL(12), 3);
		expect(create(SIZE, 16, 1, &start), -EINVAL);
		expect(create(SIZE, 24, 1, &start), -EINVAL);
		expect(create(SIZE, SHIFT, 4, &start), -EINVAL);
		expect(platform.calls_to[PLATFORM_CREATE], 0);
		expect(create(SIZE, SHIFT, 3, &start), 0);
		expect(tce2_ddw_remove(&ddw, start), 0);
		/* After this group is detached, the other group alone decides */
		expect(tce2_ddw_detach(&ddw, &group[less]->group), 0);
		expect_offer(BIT_ULL(12) | BIT_ULL(24), 5);
		expect(create(SIZE, 24, 1, &start), 0);
		finish();
	}
}

TEST(different_groups_offer_the_smallest_number_of_windows)
{
	for (int less = 0; less < 2; less++) {
		u64 start;

		begin_apart();
		group[less]->tg.max_dynamic_windows_supported = 1;
		expect(attach(0), 0);
		expect(attach(1), 0);
		/* The default window uses the only slot */
		expect(create(SIZE, SHIFT, 1, &start), -ENOSPC);
		expect(ddw.default_pending, true);
		expect(tce2_ddw_remove(&ddw, 0), 0);
		expect(create(SIZE, SHIFT, 1, &start), 0);
		expect(start, 0);
		expect(create(SIZE, SHIFT, 1, &start), -ENOSPC);
		expect(platform.calls_to[PLATFORM_CREATE], 1);
		expect(tce2_ddw_detach(&ddw, &group[less]->group), 0);
		expect(create(SIZE, SHIFT, 1, &start), 0);
		expect(start, NOWHERE);
		expect(create(SIZE, SHIFT, 1, &start), -ENOSPC);
		finish();
	}
}

TEST(attach_refuses_a_group_without_the_page_size_of_a_window)
{
	for (int slot = 0; slot < 2; slot++) {
		u64 start;

		begin_apart();
		expect(attach(0), 0);
		expect(tce2_ddw_remove(&ddw, 0), 0);
		expect(create(SIZE, slot ? 12 : 16, 1, &start), 0);
		expect(create(SIZE, slot ? 16 : 12, 1, &start), 0);
		group[1]->tg.pgsizes = BIT_ULL(12) | BIT_ULL(24);
		expect_refused(1, -EPERM);
		/* A group needs only the page sizes of the windows */
		expect(tce2_ddw_remove(&ddw, slot ? NOWHERE : 0), 0);
		expect(attach(1), 0);
		finish();
	}
}

TEST(attach_refuses_a_group_of_another_platform)
{
	struct iommu_table_group_ops other;

	begin_apart();
	other = *group[1]->tg.ops;
	other.create_table = (void *)other.set_window;
	group[1]->tg.ops = &other;
	expect(attach(0), 0);
	expect_refused(1, -EPERM);
	/* The group is refused also while two groups are attached */
	expect(attach(2), 0);
	expect_refused(1, -EPERM);
	/* Groups of a hypervisor can't share tables */
	other = *group[0]->tg.ops;
	group[1]->tg.max_levels = 1;
	expect_refused(1, -EPERM);
	group[1]->tg.max_levels = 2;
	expect(attach(1), 0);
	finish();
}

TEST(attach_refuses_a_group_without_dynamic_windows)
{
	struct iommu_table_group_ops none;
	const struct iommu_table_group_ops *all;

	begin_apart();
	all = group[0]->tg.ops;
	for (int attached = 0; attached < 2; attached++) {
		group[0]->tg.ops = NULL;
		expect_refused(0, -EINVAL);
		group[0]->tg.ops = &none;
		none = *all;
		none.get_table_size = NULL;
		expect_refused(0, -EINVAL);
		none = *all;
		none.create_table = NULL;
		expect_refused(0, -EINVAL);
		none = *all;
		none.set_window = NULL;
		expect_refused(0, -EINVAL);
		none = *all;
		none.unset_window = NULL;
		expect_refused(0, -EINVAL);
		none = *all;
		group[0]->tg.max_dynamic_windows_supported = 0;
		expect_refused(0, -EINVAL);
		group[0]->tg.max_dynamic_windows_supported = 2;
		group[0]->group.data = NULL;
		expect_refused(0, -ENODEV);
		group[0]->group.data = &group[0]->tg;
		if (!attached)
			expect(attach(1), 0);
	}
	group[0]->tg.ops = (struct iommu_table_group_ops *)all;
	expect(attach(0), 0);
	finish();
}

TEST(attach_and_detach_twice_return_errors)
{
	begin_apart();
	expect(tce2_ddw_detach(&ddw, &group[0]->group), -ENOENT);
	for (int i = 0; i < 2; i++) {
		expect(attach(i), 0);
		expect(attach(i), -EBUSY);
		expect(attach(0), -EBUSY);
		expect(group[i]->owned, true);
		expect(tce2_ddw_detach(&ddw, &group[i + 1]->group), -ENOENT);
	}
	for (int i = 0; i < 2; i++) {
		expect(tce2_ddw_detach(&ddw, &group[i]->group), 0);
		expect(tce2_ddw_detach(&ddw, &group[i]->group), -ENOENT);
		expect(group[i]->owned, false);
	}
	finish();
}

/* A group that joins later adds no default window */
TEST(the_default_window_comes_from_the_first_group)
{
	begin_apart();
	group[0]->tg.tce32_size = 0;
	expect(attach(0), 0);
	expect(ddw.default_pending, false);
	expect(attach(1), 0);
	expect(ddw.default_pending, false);
	for (int i = 0; i < 2; i++)
		expect(tce2_ddw_detach(&ddw, &group[i]->group), 0);
	expect(attach(1), 0);
	expect(ddw.default_pending, true);
	expect(tce2_ddw_remove(&ddw, 0), 0);
	expect(attach(2), 0);
	expect(ddw.default_pending, false);
	/* The default window begins at tce32_start of the group */
	for (int i = 1; i < 3; i++)
		expect(tce2_ddw_detach(&ddw, &group[i]->group), 0);
	group[1]->tg.tce32_start = GIB(2);
	expect(attach(1), 0);
	expect(attach(2), 0);
	expect(tce2_ddw_unmap(&ddw, 0, IOVA(1)), -ENXIO);
	expect(tce2_ddw_unmap(&ddw, GIB(2) - IOVA(1), IOVA(1)), -ENXIO);
	expect(tce2_ddw_unmap(&ddw, GIB(2), IOVA(1)), 0);
	expect(tce2_ddw_remove(&ddw, 0), -EINVAL);
	expect(tce2_ddw_remove(&ddw, GIB(2)), 0);
	expect(tce2_ddw_unmap(&ddw, GIB(2), IOVA(1)), -ENXIO);
	finish();
}
