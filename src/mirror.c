// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mirrors: entries for this module's regions in the kernel's list of registered memory.
 *
 * KVM's H_PUT_TCE looks up a user address in the list of
 * arch/powerpc/mm/book3s64/iommu_api.c, and exits to userspace if the address is not
 * registered there. A mirror is the list's entry for a region, with the same
 * physical pages. KVM increments a count in the list's entry for each page that it
 * maps. The count keeps the entry in the list until the page is unmapped.
 *
 * Owns the entries that this module makes in the list. The functions of the list
 * charge and pin each entry. As long as a region has a mirror, only the
 * mirror is charged, but the pages are pinned twice.
 *
 * Locks: only mmap_lock, which is taken inside.
 * Calls: the kernel's mm_iommu_*(); inlines of extents.
 */
#include <linux/compiler.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include <asm/mmu_context.h>

#include "tce2_extents.h"
#include "tce2_mirror.h"

/**
 * struct orphan - a mirror that a worker will remove from the list
 * @work: tries again to remove the entry
 * @mm: the mm of the list; mmgrab() keeps the struct allocated
 * @mem: the list's entry, to which this module has a reference
 * @gone: called after the entry is removed, may sleep
 * @arg: argument of @gone
 */
struct orphan {
	struct delayed_work work;
	struct mm_struct *mm;
	struct mm_iommu_table_group_mem_t *mem;
	void (*gone)(void *arg);
	void *arg;
};

/**
 * tce2_mirror_recharge() - charge locked_vm again after a refund
 * @mm: the process's mm
 * @pages: number of pages of the kernel's page size
 *
 * Context: may sleep; can't fail, even if another thread has used up RLIMIT_MEMLOCK
 * since the refund.
 */
void tce2_mirror_recharge(struct mm_struct *mm, u64 pages)
{
	mmap_write_lock(mm);
	__account_locked_vm(mm, pages, true, current, true);
	mmap_write_unlock(mm);
}

/**
 * tce2_mirror_create() - enter a range of user memory in the kernel's list
 * @mm: the current process's mm
 * @ua: first user address, a multiple of the page size
 * @pages: number of pages of the kernel's page size, already charged to @mm
 * @mem: set to the list's entry
 *
 * The function refunds the caller's charge first, because mm_iommu_new() charges the
 * entry. An entry of the in-tree driver for the same range is not shared: that driver
 * leaks an entry in which KVM has counted pages.
 *
 * Context: may sleep, for as long as the process delays a page fault. Meanwhile the
 * kernel holds mmap_lock for reading.
 * Return: 0; otherwise an error of mm_iommu_new(), with the caller's charge restored:
 * -ENOMEM, -EINVAL if part of the range is in the list, or -EFAULT.
 */
int tce2_mirror_create(struct mm_struct *mm, u64 ua, u64 pages,
		       struct mm_iommu_table_group_mem_t **mem)
{
	int ret;

	account_locked_vm(mm, pages, false);
	ret = mm_iommu_new(mm, ua, pages, mem);
	if (ret)
		tce2_mirror_recharge(mm, pages);
	return ret;
}

static void mirror_retry_destroy(struct work_struct *work)
{
	struct orphan *orphan = container_of(to_delayed_work(work),
					     struct orphan, work);

	if (mm_iommu_put(orphan->mm, orphan->mem) == -EBUSY) {
		schedule_delayed_work(&orphan->work, HZ);
		return;
	}
	orphan->gone(orphan->arg);
	mmdrop(orphan->mm);
	kfree(orphan);
	/* tce2_exit() waits until this function has returned */
	module_put(THIS_MODULE);
}

/**
 * tce2_mirror_orphan() - have a worker remove a mirror when KVM counts no page in it
 * @mm: the mm of the list
 * @mem: the list's entry, in which pages are counted as mapped
 * @gone: called after the entry is removed, may sleep
 * @arg: argument of @gone
 *
 * Until the removal, the mirror keeps its charge, and the module stays loaded.
 *
 * Context: may sleep; can't fail.
 */
void tce2_mirror_orphan(struct mm_struct *mm,
			struct mm_iommu_table_group_mem_t *mem,
			void (*gone)(void *arg), void *arg)
{
	struct orphan *orphan = kmalloc(sizeof(*orphan),
					GFP_KERNEL_ACCOUNT | __GFP_NOFAIL);

	mmgrab(mm);
	__module_get(THIS_MODULE);
	orphan->mm = mm;
	orphan->mem = mem;
	orphan->gone = gone;
	orphan->arg = arg;
	INIT_DELAYED_WORK(&orphan->work, mirror_retry_destroy);
	schedule_delayed_work(&orphan->work, HZ);
}

/**
 * tce2_mirror_matches() - compare a mirror with the region's physical addresses
 * @mem: the list's entry
 * @ext: the region's extents
 * @ua: first user address to compare, inside the region
 * @end: user address after the compared range, at most the end of the region
 *
 * The physical addresses differ if the process has mapped other memory at a user
 * address since the region was registered.
 *
 * Context: any.
 * Return: true if all physical addresses are equal.
 */
bool tce2_mirror_matches(struct mm_iommu_table_group_mem_t *mem,
			 const struct tce2_extents *ext, u64 ua, u64 end)
{
	while (ua < end) {
		u64 hpa, flags;
		u64 stop = ua + tce2_extents_run(ext, ua, &hpa, &flags);

		for (; ua < min(stop, end); ua += PAGE_SIZE, hpa += PAGE_SIZE) {
			unsigned long theirs;

			if (mm_iommu_ua_to_hpa(mem, ua, PAGE_SHIFT, &theirs) ||
			    theirs != hpa)
				return false;
		}
	}
	return true;
}

/**
 * tce2_mirror_shift() - find the largest IOMMU page that a mirror translates
 * @mem: the list's entry
 * @ua: first user address of the entry
 *
 * KVM warns if a guest maps memory of the mirror by a larger IOMMU page
 * (kvmppc_tce_iommu_do_map()).
 *
 * Context: any.
 * Return: log2 of the page size in bytes.
 */
unsigned int tce2_mirror_shift(struct mm_iommu_table_group_mem_t *mem, u64 ua)
{
	unsigned int shift = PAGE_SHIFT;
	unsigned long hpa;

	while (shift < BITS_PER_LONG - 1 &&
	       !mm_iommu_ua_to_hpa(mem, ua, shift + 1, &hpa))
		shift++;
	return shift;
}

/**
 * tce2_mirror_count() - count a process's entries in the kernel's list
 * @mm: the process's mm
 *
 * Context: RCU read-side section.
 * Return: the number of entries, including the in-tree driver's.
 */
unsigned long tce2_mirror_count(struct mm_struct *mm)
{
	const struct list_head *list = &mm->context.iommu_group_mem_list;
	const struct list_head *entry;
	unsigned long count = 0;

	/* The type of the entries is private to iommu_api.c: walk only the links */
	for (entry = READ_ONCE(list->next); entry != list;
	     entry = READ_ONCE(entry->next))
		count++;
	return count;
}

/**
 * tce2_mirror_drop() - decrement KVM's count of a page in the kernel's list
 * @mm: the mm of the list
 * @ua: user address of the IOMMU page
 * @shift: log2 of the IOMMU page size in bytes
 *
 * KVM's count keeps the entry in the list until this call.
 *
 * Context: any.
 */
void tce2_mirror_drop(struct mm_struct *mm, u64 ua, unsigned int shift)
{
	struct mm_iommu_table_group_mem_t *mem =
		mm_iommu_lookup(mm, ua, 1UL << shift);

	if (mem)
		mm_iommu_mapped_dec(mem);
}
