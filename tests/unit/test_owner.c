// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of src/owner.c: a process takes over the containers of another process. The memory of
 * both processes has the same page frames at the same user addresses, as shared memory has.
 */
#include <string.h>

#include <linux/pid.h>
#include <linux/sched.h>

#include <asm/mmu_context.h>

#include "client.h"
#include "kernel_list.h"
#include "kvm_calls.h"
#include "sim_trace.h"
#include "sim_user.h"
#include "tce2_kvm.h"
#include "tce2_mirrors.h"
#include "tce2_owner.h"
#include "tce2_page.h"
#include "tce2_track.h"
#include "tce2_uapi.h"
#include "uapi/vfio_spapr_tce2.h"

#define SIZE PAGES(MEMORY_PAGES)
#define FIRST_PFN 16
#define READONLY_UA (UA + GIB(1))
#define READONLY_PFN 4096
/* READ_ONCE() in the hook that begins to map, at which its first check of the process is done */
#define HOOK_READS 8

static struct mm_struct *old, *new;
static void *second_cookie;
static struct tce2_container *second;

/* Maps page frames in a process at the given user address */
static u64 *map_frames(struct mm_struct *mm, u64 ua, u64 pages, u64 pfn, bool writable)
{
	u64 *frame = sim_mmap(mm, ua, PAGES(pages), PAGE_SHIFT, writable);

	for (u64 i = 0; i < pages; i++)
		frame[i] = pfn + i;
	return frame;
}

/* Switches to a new process, which maps the same memory as the old process */
static u64 *be_heir(void)
{
	u64 *frames;

	be_another_process();
	new = sim_task()->mm;
	frames = map_frames(new, UA, MEMORY_PAGES, FIRST_PFN, true);
	map_frames(new, READONLY_UA, 1, READONLY_PFN, false);
	return frames;
}

static int create_window(u64 size, u32 levels)
{
	struct tce2_window_spec spec = { size, 12, levels };
	struct tce2_creation creation;

	return tce2_container_create_window(container, &spec, &creation) ?:
	       tce2_container_publish_window(container, &creation);
}

FIXTURE(owner);

/*
 * The old process has two containers, with a default window each, and one with a window of
 * several levels. Both have registered memory and mapped part of it.
 */
FIXTURE_SETUP(owner)
{
	begin_client(1);
	/* As on powernv, where KVM maps */
	platform.no_flush = true;
	old = sim.mm;
	map_frames(old, READONLY_UA, 1, READONLY_PFN, false);
	second_cookie = tce2_container_open();
	second = tce2_container_get(second_cookie);
	group[1] = platform_group(3);
	expect(tce2_container_attach(second, &group[1]->group), 0);
	expect(tce2_container_register(container, UA, SIZE), 0);
	expect(tce2_container_register(second, UA, SIZE), 0);
	expect(tce2_container_register(second, READONLY_UA, PAGE_SIZE), 0);
	expect(create_window(TIB(1), 3), 0);
	expect(tce2_container_map(container, REQUEST(0, UA, SIZE, RW)), 0);
	expect(tce2_container_map(container, REQUEST(NOWHERE, UA, PAGES(2), RW)), 0);
	expect(tce2_container_map(second, REQUEST(0, READONLY_UA, PAGE_SIZE,
						  TCE2_PERM_READ)), 0);
}

static void close_second(void)
{
	tce2_container_release(second_cookie);
	second_cookie = NULL;
}

FIXTURE_TEARDOWN(owner)
{
	be_first_process();
	sim_fail_nothing();
	if (second_cookie)
		close_second();
	tce2_container_put(second);
	close_container();
	expect(sim_charged(old), 0);
	if (new)
		expect(sim_charged(new), 0);
	new = NULL;
	end_client();
}

static int take(void)
{
	return tce2_errno(tce2_owner_take(container));
}

static int take_why(enum tce2_why why)
{
	int ret = tce2_owner_take(container);

	expect(tce2_why_of(ret), why);
	return tce2_errno(ret);
}

static int offer(bool offered)
{
	return tce2_errno(tce2_owner_offer(container, offered));
}

static const struct tce2_window *window_of(const struct tce2_container *of, int slot)
{
	return of->ddw.window[slot];
}

/* The pins and TCEs are as before, and @owner is charged for all of them */
static void expect_owner(struct mm_struct *owner, struct sim_counts before)
{
	struct mm_struct *other = owner == old ? new : old;

	expect(container->cache->mm == owner, true);
	expect(sim_charged(owner), before.charged);
	if (other)
		expect(sim_charged(other), 0);
	expect(sim.now.pinned, before.pinned);
	expect(sim.now.charged, before.charged);
	for (int slot = 0; slot < 2; slot++) {
		expect(window_of(container, slot)->table.charge.mm == owner, true);
		expect(window_of(container, slot)->kvm->mm == owner, true);
	}
	expect(window_of(second, 0)->table.charge.mm == owner, true);
	expect(platform_tce(window_of(container, 0)->table.tbl, 0),
	       PFN_PHYS(FIRST_PFN) | RW);
	expect(platform_tce(window_of(second, 0)->table.tbl, 0),
	       PFN_PHYS(READONLY_PFN) | TCE2_PERM_READ);
}

/* The current process can use both containers */
static void expect_usable(void)
{
	struct tce2_container *got;

	expect(tce2_container_check_process(container), 0);
	expect(tce2_container_check_process(second), 0);
	expect(tce2_container_map(container, REQUEST(NOWHERE + GIB(64), UA, PAGES(2), RW)), 0);
	expect(tce2_container_unmap(container, NOWHERE + GIB(64), PAGES(2)), 0);
	expect(tce2_container_unmap_page(cookie, SIZE - IOVA(1), IOVA(1), &got), 0);
	expect(tce2_container_map_page(cookie, SIZE - IOVA(1), UA + SIZE - IOVA(1), IOVA(1),
				       RW, &got), 0);
	expect(tce2_container_unregister(second, UA, SIZE), 0);
	expect(tce2_container_register(second, UA, SIZE), 0);
}

/* Requests of the current process that began before the change of owner return EPERM */
static void expect_late_requests_refused(void)
{
	struct tce2_window_spec spec = { MIB(64), 12, 1 };
	struct tce2_region *region;
	struct tce2_creation creation;
	struct tce2_container *got = NULL;
	struct tce2_cache *cache = container->cache;
	struct vfio_eeh_pe_op eeh = { .op = VFIO_EEH_PE_ENABLE };
	struct tce2_track track = {};

	expect(tce2_errno(tce2_container_check_process(container)), -EPERM);
	expect(tce2_errno(tce2_container_check_process(second)), -EPERM);
	expect(tce2_errno(tce2_ddw_map(&container->ddw, cache,
				       REQUEST(0, UA, PAGES(1), RW))), -EPERM);
	expect(tce2_errno(tce2_ddw_unmap(&container->ddw, 0, PAGES(1))), -EPERM);
	expect(tce2_errno(tce2_ddw_unmap_window(&container->ddw, 0)), -EPERM);
	expect(tce2_errno(tce2_ddw_copy(&container->ddw, cache, PAGES(1), 0, PAGES(1))), -EPERM);
	expect(tce2_errno(tce2_ddw_eeh(&container->ddw, &eeh)), -EPERM);
	expect(tce2_errno(tce2_ddw_create(&second->ddw, cache, &spec, &creation)), -EPERM);
	expect(tce2_errno(tce2_ddw_remove(&container->ddw, 0)), -EPERM);
	expect(tce2_errno(tce2_ddw_track(&container->ddw, cache, 0)), -EPERM);
	expect(tce2_errno(tce2_ddw_untrack(&container->ddw, 0)), -EPERM);
	expect(tce2_errno(tce2_ddw_get_dirty(&container->ddw, 0, PAGES(1), &track)), -EPERM);
	expect(tce2_errno(tce2_region_register(cache, UA, SIZE, &region)), -EPERM);
	expect(tce2_errno(tce2_region_unregister(tce2_region_find(cache, UA, 0))), -EPERM);
	expect(tce2_container_map_page(cookie, 0, UA, IOVA(1), RW, &got), TCE2_NOT_BRIEF);
	tce2_container_put(got);
	expect(tce2_container_unmap_page(cookie, 0, IOVA(1), &got), TCE2_NOT_BRIEF);
	tce2_container_put(got);
}

TEST_F(owner, after_exec_the_new_program_takes_over_all_containers)
{
	struct sim_counts before = sim.now;

	sim_exit(old);
	be_heir();
	expect(take(), 0);
	expect_owner(new, before);
	expect_usable();
	expect(take(), 0);
	be_first_process();
	expect_late_requests_refused();
}

TEST_F(owner, a_process_that_has_not_offered_its_containers_keeps_them)
{
	struct sim_counts before = sim.now;

	be_heir();
	expect(take_why(TCE2_WHY_NOT_OFFERED), -EPERM);
	expect(offer(true), -EPERM);
	expect(take(), -EPERM);
	be_first_process();
	expect(offer(true), 0);
	expect(offer(false), 0);
	expect_usable();
	before = sim.now;
	be_heir();
	expect(take(), -EPERM);
	expect_owner(old, before);
}

TEST_F(owner, an_offer_ends_with_the_change_of_owner)
{
	struct sim_counts before = sim.now;

	expect(offer(true), 0);
	be_heir();
	expect(take(), 0);
	expect_owner(new, before);
	be_first_process();
	expect_late_requests_refused();
	expect(offer(false), -EPERM);
	expect(take_why(TCE2_WHY_NOT_OFFERED), -EPERM);
}

/* The old process may own other containers afterwards, and even take these back */
TEST_F(owner, containers_can_change_their_owner_repeatedly)
{
	static struct task_struct heir;
	struct sim_counts before = sim.now;

	expect(offer(true), 0);
	be_heir();
	heir = *sim_task();
	expect(take(), 0);
	for (int i = 0; i < 3; i++) {
		expect(offer(true), 0);
		be_first_process();
		expect(take(), 0);
		expect_owner(old, before);
		expect(offer(true), 0);
		sim_switch_to(&heir);
		expect(take(), 0);
		expect_owner(new, before);
	}
}

TEST(a_container_that_is_not_bound_has_no_owner_to_change)
{
	begin_client(1);
	expect(take_why(TCE2_WHY_NOT_BOUND), -EINVAL);
	expect(offer(true), -EINVAL);
	end_client();
}

TEST_F(owner, a_process_without_exactly_the_same_pages_is_refused)
{
	static const u64 differing[] = { 0, 1, MEMORY_PAGES / 2, MEMORY_PAGES - 1 };
	struct sim_counts before = sim.now;
	u64 *frames;

	expect(offer(true), 0);
	frames = be_heir();
	for (size_t i = 0; i < ARRAY_SIZE(differing); i++) {
		u64 at = differing[i];

		frames[at] += 1000;
		expect(take_why(TCE2_WHY_OTHER_PAGES), -EFAULT);
		expect_owner(old, before);
		frames[at] = (FIRST_PFN + at) | SIM_UNPINNABLE;
		expect(take_why(TCE2_WHY_OTHER_PAGES), -EFAULT);
		expect_owner(old, before);
		frames[at] = FIRST_PFN + at;
	}
	/* The last region is compared, too */
	*sim_vma(new, READONLY_UA)->pfn += 1;
	expect(take_why(TCE2_WHY_OTHER_PAGES), -EFAULT);
	*sim_vma(new, READONLY_UA)->pfn -= 1;
	/* A hole */
	sim_vma(new, UA)->vm_end -= PAGE_SIZE;
	expect(take_why(TCE2_WHY_OTHER_PAGES), -EFAULT);
	sim_vma(new, UA)->vm_end += PAGE_SIZE;
	/* Devices may write to the memory, but the process may not */
	sim_vma(new, UA)->vm_flags &= ~VM_WRITE;
	expect(take_why(TCE2_WHY_OTHER_PAGES), -EFAULT);
	expect_owner(old, before);
	sim_vma(new, UA)->vm_flags |= VM_WRITE;
	expect(take(), 0);
	expect_owner(new, before);
}

/* The kernel may pin fewer pages than requested */
TEST_F(owner, pages_are_compared_when_few_can_be_pinned_at_once)
{
	struct sim_counts before = sim.now;
	u64 *frames;

	expect(offer(true), 0);
	frames = be_heir();
	sim.pin_at_most = 3;
	frames[MEMORY_PAGES - 1]++;
	expect(take(), -EFAULT);
	frames[MEMORY_PAGES - 1]--;
	expect(take(), 0);
	sim.pin_at_most = 1 << 30;
	expect_owner(new, before);
}

TEST_F(owner, the_limit_of_the_new_process_must_allow_all_charges)
{
	struct sim_counts before = sim.now;

	expect(offer(true), 0);
	be_heir();
	sim_limit(new, before.charged - 1);
	expect(take_why(TCE2_WHY_MEMLOCK), -ENOMEM);
	expect_owner(old, before);
	sim_limit(new, before.charged);
	expect(take(), 0);
	expect_owner(new, before);
}

TEST_F(owner, a_process_that_has_used_another_container_is_refused)
{
	struct sim_counts before = sim.now;
	struct tce2_container *third;
	void *third_cookie;

	expect(offer(true), 0);
	be_heir();
	third_cookie = tce2_container_open();
	third = tce2_container_get(third_cookie);
	expect(tce2_container_register(third, UA, SIZE), 0);
	expect(take_why(TCE2_WHY_OWNS_OTHERS), -EBUSY);
	tce2_container_put(third);
	tce2_container_release(third_cookie);
	expect_owner(old, before);
	expect(take(), 0);
	expect_owner(new, before);
}

/* The record of dirty pages belongs to the window */
TEST_F(owner, dirty_pages_are_tracked_across_the_change)
{
	u64 bits[SIZE >> 12 >> 6] = {};
	struct tce2_track track = { .bits = bits, .clear = true };

	expect(tce2_container_track(container, 0), 0);
	expect(tce2_container_unmap(container, 0, SIZE), 0);
	expect(offer(true), 0);
	be_heir();
	expect(take(), 0);
	expect(tce2_container_map(container, REQUEST(IOVA(1), UA, IOVA(1), TCE2_PERM_READ)), 0);
	expect(tce2_container_get_dirty(container, 0, SIZE, &track), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bits); i++)
		expect(bits[i], ~0ULL);
	track = (struct tce2_track){ .bits = memset(bits, 0, sizeof(bits)) };
	expect(tce2_container_get_dirty(container, 0, SIZE, &track), 0);
	expect(bits[0], 0);
}

/* After the change the old process gets a new cache */
TEST_F(owner, the_old_process_may_use_new_containers)
{
	struct tce2_container *third;
	struct sim_counts before = sim.now;
	void *third_cookie;

	expect(offer(true), 0);
	be_heir();
	expect(take(), 0);
	be_first_process();
	third_cookie = tce2_container_open();
	third = tce2_container_get(third_cookie);
	expect(tce2_container_register(third, UA, SIZE), 0);
	expect(third->cache == container->cache, false);
	expect(sim_charged(old), MEMORY_PAGES);
	expect(sim_charged(new), before.charged);
	tce2_container_put(third);
	tce2_container_release(third_cookie);
	expect_owner(new, before);
}

/* Memory that is registered in a taken container is not pinned again in another container */
TEST_F(owner, further_containers_of_the_new_process_share_the_memory)
{
	struct tce2_container *third;
	struct sim_counts before = sim.now;
	void *third_cookie;

	expect(offer(true), 0);
	be_heir();
	expect(take(), 0);
	third_cookie = tce2_container_open();
	third = tce2_container_get(third_cookie);
	expect(tce2_container_register(third, UA, SIZE), 0);
	expect(third->cache == container->cache, true);
	expect(sim.now.pinned, before.pinned);
	expect(sim_charged(new), before.charged);
	tce2_container_put(third);
	tce2_container_release(third_cookie);
	expect_owner(new, before);
}

/* A map request of the old process goes on to make mirrors after it has mapped */
TEST_F(owner, the_old_process_makes_no_mirrors_after_the_change)
{
	struct sim_counts before = sim.now;

	expect(offer(true), 0);
	be_heir();
	expect(take(), 0);
	be_first_process();
	tce2_cache_mirror(container->cache);
	expect(container->cache->mirrors, 0);
	expect(container->cache->mirrors_due, true);
	expect_owner(new, before);
}

TEST_F(owner, files_in_debugfs_name_the_new_process)
{
	struct tce2_owner owner;

	expect(offer(true), 0);
	be_heir();
	snprintf(sim_task()->comm, sizeof(sim_task()->comm), "heir");
	expect(take(), 0);
	tce2_journal_owner(&second->journal, &owner);
	expect(strcmp(owner.comm, "heir"), 0);
	put_pid(owner.pid);
}

TEST_F(owner, memory_or_windows_that_other_modules_use_are_refused)
{
	struct sim_counts before = sim.now;
	struct tce2_window *handle;
	struct tce2_cache *cache;

	expect(offer(true), 0);
	cache = tce2_cache_get(old);
	be_heir();
	expect(take_why(TCE2_WHY_OWNER_BUSY), -EBUSY);
	tce2_cache_put(cache);
	handle = tce2_window_get(window_of(second, 0)->table.tbl);
	expect(take_why(TCE2_WHY_OWNER_BUSY), -EBUSY);
	tce2_window_put(handle);
	expect_owner(old, before);
	expect(take(), 0);
}

TEST_F(owner, a_window_that_is_not_published_is_refused)
{
	struct tce2_window_spec spec = { MIB(64), 12, 1 };
	struct tce2_creation creation;

	expect(tce2_container_create_window(second, &spec, &creation), 0);
	expect(offer(true), 0);
	be_heir();
	expect(take_why(TCE2_WHY_OWNER_BUSY), -EBUSY);
	be_first_process();
	tce2_container_cancel_window(second, &creation);
	be_heir();
	expect(take(), 0);
}

TEST_F(owner, memory_and_windows_that_kvm_uses_are_refused)
{
	struct iommu_table *tbl = window_of(container, 0)->table.tbl;

	expect(offer(true), 0);
	iommu_tce_table_get(tbl);
	be_heir();
	expect(take_why(TCE2_WHY_KVM_USES_MEMORY), -EBUSY);
	be_first_process();
	iommu_tce_table_put(tbl);
	be_heir();
	expect(take(), 0);
}

static struct mm_iommu_table_group_mem_t *find_mirror(void)
{
	struct mm_iommu_table_group_mem_t *mem = kernel_list_at(old, UA);

	expect(!mem, false);
	return mem;
}

/* The in-tree driver of the old process may count pages of a mirror, too */
TEST_F(owner, memory_that_another_driver_counts_is_refused)
{
	struct mm_iommu_table_group_mem_t *mem;
	struct sim_counts before;

	sim.charge_moves = true;
	tce2_cache_mirror(container->cache);
	before = sim.now;
	mem = find_mirror();
	expect(mm_iommu_mapped_inc(mem), 0);
	expect(offer(true), 0);
	be_heir();
	expect(take_why(TCE2_WHY_KVM_USES_MEMORY), -EBUSY);
	expect(tce2_errno(tce2_owner_take(container)), -EBUSY);
	expect(sim_charged(old), before.charged);
	expect(sim_charged(new), 0);
	mm_iommu_mapped_dec(mem);
	expect(take(), 0);
	expect(sim_charged(old), 0);
	expect(sim_charged(new), before.charged);
}

/* Mirrors of another process's memory are not removed without its consent */
TEST_F(owner, mirrors_stay_without_an_offer)
{
	sim.charge_moves = true;
	tce2_cache_mirror(container->cache);
	be_heir();
	expect(take_why(TCE2_WHY_NOT_OFFERED), -EPERM);
	find_mirror();
}

/* Makes the kernel's list know the regions, and makes it forget them again */
TEST_F(owner, after_its_mirrors_are_gone_memory_may_change_its_owner)
{
	struct sim_counts before = sim.now;

	expect(offer(true), 0);
	sim.charge_moves = true;
	tce2_cache_mirror(container->cache);
	expect(tce2_container_unmap(container, 0, SIZE), 0);
	expect(tce2_container_unmap(container, NOWHERE, PAGES(2)), 0);
	expect(tce2_container_unregister(second, UA, SIZE), 0);
	expect(tce2_container_unregister(container, UA, SIZE), 0);
	sim_grace_period();
	expect(container->cache->mirrored, true);
	be_heir();
	expect(take(), 0);
	expect(container->cache->mirrored, false);
	expect(container->cache->mirrors_due, true);
	expect(sim_charged(new), before.charged - MEMORY_PAGES);
	expect(sim_charged(old), 0);
}

/* Each call of a kind fails in turn; then nothing has changed, and the old process goes on */
static void fail_each(enum sim_fault fault)
{
	struct sim_counts before = sim.now;
	unsigned int nth, failed = 0;
	int ret;

	expect(offer(true), 0);
	be_heir();
	for (nth = 1; ; nth++) {
		sim_fail(fault, nth);
		ret = take();
		if (!sim.fired)
			break;
		sim_fail_nothing();
		if (!ret)
			break;
		failed++;
		expect_owner(old, before);
		be_first_process();
		expect(tce2_container_map(container, REQUEST(0, UA, SIZE, RW)), 0);
		be_heir();
		expect(offer(true), -EPERM);
	}
	sim_fail_nothing();
	expect(ret, 0);
	expect(failed > 0, true);
	expect_owner(new, before);
	expect_usable();
}

TEST_F(owner, a_change_of_owner_without_memory_changes_nothing)
{
	fail_each(SIM_ALLOC);
}

TEST_F(owner, a_change_of_owner_whose_pages_are_not_pinned_changes_nothing)
{
	fail_each(SIM_PIN);
}

TEST_F(owner, a_change_of_owner_that_is_not_charged_changes_nothing)
{
	fail_each(SIM_CHARGE);
}

TEST_F(owner, a_fatal_signal_while_pages_are_compared_changes_nothing)
{
	fail_each(SIM_SIGNAL);
}

TEST_F(owner, a_fatal_signal_while_a_change_of_owner_waits_changes_nothing)
{
	fail_each(SIM_KILL);
}

static int other_ret;

static void grow(void)
{
	other_ret = tce2_container_map(container,
				       REQUEST(NOWHERE + GIB(512), UA, PAGES(2), RW));
}

/* The old process makes levels of a table after the charge was computed */
TEST_F(owner, tables_that_grow_meanwhile_are_charged_to_the_new_process)
{
	struct sim_counts before = sim.now;

	expect(offer(true), 0);
	be_heir();
	sim_when(SIM_AT_PIN, 1, grow);
	other_ret = -1;
	expect(take(), 0);
	expect(other_ret, 0);
	expect(sim.now.charged > before.charged, true);
	expect(sim_charged(old), 0);
	expect(sim_charged(new), sim.now.charged);
	expect(sim.now.pinned, before.pinned);
}

TEST_F(owner, tables_that_grow_past_the_limit_of_the_new_process_are_refused)
{
	struct sim_counts before = sim.now;

	expect(offer(true), 0);
	be_heir();
	sim_limit(new, before.charged);
	sim_when(SIM_AT_PIN, 1, grow);
	expect(take_why(TCE2_WHY_MEMLOCK), -ENOMEM);
	expect(other_ret, 0);
	expect(sim_charged(new), 0);
	expect(sim_charged(old), sim.now.charged);
	expect(container->cache->mm == old, true);
	sim_limit(new, sim.now.charged);
	expect(take(), 0);
}

static void withdraw(void)
{
	other_ret = tce2_owner_offer(container, false);
}

static void unregister(void)
{
	other_ret = tce2_container_unmap(second, 0, PAGE_SIZE) ?:
		    tce2_container_unregister(second, READONLY_UA, PAGE_SIZE);
}

TEST_F(owner, an_offer_that_is_withdrawn_meanwhile_ends_the_change)
{
	struct sim_counts before = sim.now;

	expect(offer(true), 0);
	be_heir();
	sim_when(SIM_AT_PIN, 1, withdraw);
	expect(take(), -EPERM);
	expect(other_ret, 0);
	expect_owner(old, before);
}

TEST_F(owner, memory_that_is_unregistered_meanwhile_is_not_charged)
{
	struct sim_counts before = sim.now;

	expect(offer(true), 0);
	be_heir();
	sim_when(SIM_AT_PIN, 1, unregister);
	expect(take(), 0);
	expect(other_ret, 0);
	expect(sim_charged(old), 0);
	expect(sim_charged(new), before.charged - 1);
	expect(sim.now.charged, before.charged - 1);
}

/* VFIO may close a container at any time */
TEST_F(owner, a_container_that_is_closed_meanwhile_is_not_charged)
{
	struct sim_counts counts = sim.now;
	u64 pages = window_of(second, 0)->table.charge.pages + 1;

	expect(offer(true), 0);
	be_heir();
	sim_when(SIM_AT_PIN, 1, close_second);
	expect(take(), 0);
	sim_grace_period();
	expect(sim_charged(old), 0);
	expect(sim_charged(new), counts.charged - pages);
	expect(sim.now.charged, counts.charged - pages);
}

static struct task_struct rival;

static void take_as_rival(void)
{
	struct task_struct *self = sim_switch_to(&rival);

	/* The first taker has locked all registrations, so this one would wait */
	sim_fail(SIM_KILL, 1);
	other_ret = take();
	sim_fail_nothing();
	sim_switch_to(self);
}

/* Once the first process has taken the containers over, they are not offered any more */
TEST_F(owner, the_second_process_that_takes_over_gets_eperm)
{
	struct sim_counts before = sim.now;
	struct mm_struct *third = sim_process();

	sim.mm = old;
	map_frames(third, UA, MEMORY_PAGES, FIRST_PFN, true);
	map_frames(third, READONLY_UA, 1, READONLY_PFN, false);
	sim_task_init(&rival, third);
	expect(offer(true), 0);
	be_heir();
	sim_when(SIM_AT_PIN, 1, take_as_rival);
	expect(take(), 0);
	expect(other_ret, -EINTR);
	expect_owner(new, before);
	sim_switch_to(&rival);
	expect(take_why(TCE2_WHY_NOT_OFFERED), -EPERM);
	expect(sim_charged(third), 0);
	expect_owner(new, before);
}

/* A region whose last page was dropped by a thread that can't sleep awaits a worker */
static void make_dying(void)
{
	struct tce2_region *region;
	u64 hpa;

	expect(tce2_region_register(container->cache, READONLY_UA + GIB(1), PAGE_SIZE,
				    &region), 0);
	expect(tce2_page_hold(container->cache, READONLY_UA + GIB(1), PAGE_SHIFT, true, &hpa),
	       true);
	tce2_region_unregister_nofail(region);
	tce2_page_drop(container->cache, READONLY_UA + GIB(1), PAGE_SHIFT);
}

TEST_F(owner, a_region_that_is_being_destroyed_is_charged_to_the_new_process)
{
	struct sim_counts before = sim.now;

	map_frames(old, READONLY_UA + GIB(1), 1, 5000, true);
	make_dying();
	expect(offer(true), 0);
	/* The new process does not map its page */
	be_heir();
	expect(take(), 0);
	expect(sim_charged(old), 0);
	expect(sim_charged(new), before.charged + 1);
	sim_run_work();
	sim_grace_period();
	expect_owner(new, before);
}

/* A registration has unlinked the region, so the region's charge does not move */
TEST_F(owner, a_region_that_has_left_the_cache_is_refunded_to_the_old_process)
{
	u64 before = sim.now.charged;

	map_frames(old, READONLY_UA + GIB(1), 1, 5000, true);
	make_dying();
	expect(tce2_container_register(second, READONLY_UA + GIB(1), PAGE_SIZE), 0);
	expect(offer(true), 0);
	be_heir();
	map_frames(new, READONLY_UA + GIB(1), 1, 5000, true);
	expect(take(), 0);
	expect(sim_charged(old), 1);
	expect(sim_charged(new), before + 1);
	sim_run_work();
	sim_grace_period();
	expect(sim_charged(old), 0);
	expect(sim_charged(new), before + 1);
}

static struct vcpu vcpu;

static void take_as_heir(void)
{
	struct task_struct *self = sim_task();

	be_heir();
	other_ret = take();
	sim_switch_to(self);
}

/* Sends a hypercall that clears an entry of the first window, for the old process's guest */
static bool clear_for_guest(u64 entry)
{
	vcpu_call(&vcpu, KVM_STUFF, window_of(container, 0)->table.tbl, 0, entry, 1);
	return vcpu_finish(&vcpu);
}

static bool is_mapped(u64 entry)
{
	return platform_tce(window_of(container, 0)->table.tbl, entry);
}

/* Sends a hypercall that maps a page of the old process in the first window */
static bool put_for_guest(u64 entry, u64 ua)
{
	vcpu_call(&vcpu, KVM_PUT, window_of(container, 0)->table.tbl, 0, entry, 1);
	vcpu.tce[0] = (struct kvm_tce){ ua, DMA_BIDIRECTIONAL };
	return vcpu_finish(&vcpu);
}

/* The old program has closed its guest, whose mappings stay, as a VMM's live update does */
TEST_F(owner, after_kvm_has_left_the_windows_its_mappings_change_their_owner)
{
	struct iommu_table *tbl = window_of(container, 0)->table.tbl;
	struct sim_counts before = sim.now;

	sim.charge_moves = true;
	iommu_tce_table_get(tbl);
	tce2_cache_mirror(container->cache);
	vcpu_init(&vcpu, old);
	expect(put_for_guest(3, UA), true);
	expect(put_for_guest(5, UA + PAGE_SIZE), true);
	expect(offer(true), 0);
	be_heir();
	expect(take_why(TCE2_WHY_KVM_USES_MEMORY), -EBUSY);
	be_first_process();
	iommu_tce_table_put(tbl);
	be_heir();
	expect(take(), 0);
	expect(!kernel_list_at(old, UA), true);
	expect(sim_charged(old), 0);
	expect(sim_charged(new), before.charged);
	expect(is_mapped(3), true);
	expect(platform_tce(tbl, 5), platform_tce(tbl, PAGE_SIZE >> 12));
	/* The counts are gone: an unmap takes no count from a mirror of the new process */
	tce2_cache_mirror(container->cache);
	expect(kernel_list_mapped(kernel_list_at(new, UA)), 1);
	expect(tce2_container_unmap(container, 0, SIZE), 0);
	expect(kernel_list_mapped(kernel_list_at(new, UA)), 1);
	expect(tce2_container_unmap(container, NOWHERE, PAGES(2)), 0);
	expect(tce2_container_unregister(second, UA, SIZE), 0);
	expect(tce2_container_unregister(container, UA, SIZE), 0);
}

/* An orphan stays in the list while KVM counts its pages: the request undoes the counts */
TEST_F(owner, a_repeated_request_succeeds_after_the_worker_has_removed_an_orphan)
{
	sim.charge_moves = true;
	tce2_cache_mirror(container->cache);
	vcpu_init(&vcpu, old);
	expect(put_for_guest(3, UA), true);
	expect(tce2_container_unregister(container, UA, SIZE), 0);
	close_second();
	tce2_container_put(second);
	second = tce2_container_get(cookie);
	expect(tce2_cache_has_orphans(container->cache), true);
	expect(offer(true), 0);
	sim_run_work();
	be_heir();
	expect(take_why(TCE2_WHY_KVM_USES_MEMORY), -EBUSY);
	sim_run_work();
	expect(take(), 0);
	expect(is_mapped(3), true);
}

/* KVM attaches to a table without notice, even while a hook runs */
TEST_F(owner, a_hook_that_began_before_the_change_unmaps_nothing_afterwards)
{
	vcpu_init(&vcpu, old);
	expect(clear_for_guest(0), true);
	expect(is_mapped(0), false);
	expect(offer(true), 0);
	other_ret = -1;
	sim_when(SIM_AT_SWAP, 1, take_as_heir);
	expect(clear_for_guest(1), false);
	expect(other_ret, 0);
	expect(is_mapped(1), true);
	expect(clear_for_guest(2), false);
	vcpu_init(&vcpu, new);
	expect(clear_for_guest(1), true);
	expect(is_mapped(1), false);
}

/* Calls the hook that begins to map an entry; returns true if it declines */
static bool declines_map(void)
{
	struct iommu_table *tbl = window_of(container, 0)->table.tbl;

	return !tbl->it_ops->useraddrptr(tbl, tbl->it_offset + 3, true);
}

static void expect_declined_after_change(enum sim_point point, unsigned int nth)
{
	expect(offer(true), 0);
	other_ret = -1;
	sim_when(point, nth, take_as_heir);
	expect(declines_map(), true);
	expect(other_ret, 0);
	expect(container->cache->mm == new, true);
}

TEST_F(owner, a_hook_that_began_before_the_change_maps_nothing_afterwards)
{
	vcpu_init(&vcpu, old);
	expect(clear_for_guest(0), true);
	expect_declined_after_change(SIM_AT_READ, HOOK_READS);
}

/* The hook has mapped in the leaf before */
TEST_F(owner, a_hook_with_a_known_leaf_maps_nothing_after_the_change)
{
	struct iommu_table *tbl = window_of(container, 0)->table.tbl;

	vcpu_init(&vcpu, old);
	expect(clear_for_guest(0), true);
	for (int i = 0; i < 2; i++) {
		expect(declines_map(), false);
		tbl->it_ops->tce_kill(tbl, tbl->it_offset + 3, 1);
	}
	expect_declined_after_change(SIM_AT_SWAP, 1);
}

TEST_F(owner, each_attempt_is_traced)
{
	char want[64];

	expect(offer(true), 0);
	be_heir();
	sim_trace(true);
	expect(take(), 0);
	snprintf(want, sizeof(want), "owner %llu 0\n", container->id);
	expect(strcmp(sim_events, want), 0);
	sim_trace(false);
}

static long owner_ioctl(unsigned int cmd, u32 argsz, u32 flags)
{
	struct vfio_tce2_owner request = { .argsz = argsz, .flags = flags };

	return tce2_uapi_ioctl(cookie, cmd, user_place(&request, sizeof(request)));
}

TEST_F(owner, the_ioctls_offer_withdraw_and_take)
{
	expect(tce2_uapi_ioctl(cookie, VFIO_CHECK_EXTENSION, VFIO_TCE2_OWNER), 1);
	expect(owner_ioctl(VFIO_TCE2_OFFER_OWNER, 7, 0), -EINVAL);
	expect(owner_ioctl(VFIO_TCE2_OFFER_OWNER, 8, 2), -EINVAL);
	expect(owner_ioctl(VFIO_TCE2_OFFER_OWNER, 8, 0), 0);
	expect(owner_ioctl(VFIO_TCE2_OFFER_OWNER, 8, VFIO_TCE2_OFFER_WITHDRAW), 0);
	be_heir();
	expect(owner_ioctl(VFIO_TCE2_OFFER_OWNER, 8, 0), -EPERM);
	expect(owner_ioctl(VFIO_TCE2_TAKE_OWNER, 8, 0), -EPERM);
	be_first_process();
	expect(owner_ioctl(VFIO_TCE2_OFFER_OWNER, 8, 0), 0);
	be_heir();
	expect(owner_ioctl(VFIO_TCE2_TAKE_OWNER, 7, 0), -EINVAL);
	expect(owner_ioctl(VFIO_TCE2_TAKE_OWNER, 8, 1), -EINVAL);
	expect(tce2_uapi_ioctl(cookie, VFIO_TCE2_TAKE_OWNER, USER_END - 4), -EFAULT);
	expect(owner_ioctl(VFIO_TCE2_TAKE_OWNER, 8, 0), 0);
	expect(owner_ioctl(VFIO_TCE2_TAKE_OWNER, 8, 0), 0);
	be_first_process();
	expect(owner_ioctl(VFIO_TCE2_OFFER_OWNER, 8, 0), -EPERM);
}
