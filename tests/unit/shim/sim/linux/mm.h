/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SIM_SHIM_MM_H
#define SIM_SHIM_MM_H

#include <errno.h>

#include <asm/barrier.h>
#include <asm/page.h>
#include <linux/array_size.h>
#include <linux/atomic.h>
#include <linux/bug.h>
#include <linux/build_bug.h>
#include <linux/compiler.h>
#include <linux/err.h>
#include <linux/list.h>
#include <linux/lockdep.h>
#include <linux/minmax.h>
#include <linux/printk.h>
#include <linux/slab.h>
#include <linux/types.h>

#define VM_READ	 0x1UL
#define VM_WRITE 0x2UL

#define FOLL_WRITE    0x1U
#define FOLL_LONGTERM 0x100U

#define PAGE_ALIGNED(addr) (!((addr) & (PAGE_SIZE - 1)))

#define PFN_PHYS(pfn) ((u64)(pfn) << PAGE_SHIFT)
#define PHYS_PFN(hpa) ((unsigned long)((hpa) >> PAGE_SHIFT))

/**
 * struct page - a page descriptor
 * @unused: of no use here
 * @head: 0; in all but the first page of a large one the first's address,
 *	plus 1
 * @_refcount: references, and pins; in a large page's first descriptor alone
 *
 * Their array is at addresses where nothing is: who wants to look into one has
 * to find out where it is (vmalloc_to_page()), and gets there through the
 * linear mapping. The address itself goes with the page frame number.
 */
struct page {
	u64 unused[6];
	unsigned long head;
	atomic_t _refcount;
};

#define SIM_VMEMMAP 0xc00c000000000000UL

static inline struct page *pfn_to_page(unsigned long pfn)
{
	return (struct page *)(SIM_VMEMMAP + pfn * sizeof(struct page));
}

static inline unsigned long page_to_pfn(const struct page *page)
{
	return ((uintptr_t)page - SIM_VMEMMAP) / sizeof(*page);
}

/* May be called with a descriptor's address in either mapping */
struct page *compound_head(struct page *page);
/* Returns the backing page of an address in the array, NULL if it can't be found */
struct page *vmalloc_to_page(const void *address);

/* A large page, of hugetlbfs or not, or a base page: its first page, again */
struct folio {
	struct page page;
};

struct folio *page_folio(struct page *page);
bool folio_test_hugetlb(const struct folio *folio);
unsigned long folio_nr_pages(const struct folio *folio);

static inline unsigned long folio_page_idx(const struct folio *folio,
					   const struct page *page)
{
	return page_to_pfn(page) - page_to_pfn(&folio->page);
}

/**
 * struct vm_area_struct - a mapping of a simulated process
 * @vm_start: first user address
 * @vm_end: the one after the last
 * @vm_flags: VM_READ, VM_WRITE
 * @shift: log2 of the size in bytes of its pages, PAGE_SHIFT at the least
 * @pfn: the first page frame of each; see SIM_UNPINNABLE
 */
struct vm_area_struct {
	unsigned long vm_start;
	unsigned long vm_end;
	unsigned long vm_flags;
	unsigned int shift;
	u64 *pfn;
};

#define SIM_MAX_VMAS 640

/**
 * struct mm_struct - a simulated process
 * @context: the kernel's region list (../../../kernel_list.c)
 * @refs: users of this structure, 1 of them the process itself
 * @readers: holders of mmap_lock
 * @writer: one of them holds it for writing
 * @locked: pages charged to locked_vm
 * @limit: the most that may be
 * @vmas: how many of @vma there are
 * @vma: the mappings, by address
 */
struct mm_struct {
	struct {
		struct list_head iommu_group_mem_list;
	} context;
	int refs;
	int readers;
	bool writer;
	u64 locked;
	u64 limit;
	unsigned int vmas;
	struct vm_area_struct vma[SIM_MAX_VMAS];
};

void mmap_read_lock(struct mm_struct *mm);
void mmap_read_unlock(struct mm_struct *mm);
struct vm_area_struct *find_vma(struct mm_struct *mm, unsigned long ua);
void mmap_write_lock(struct mm_struct *mm);
void mmap_write_unlock(struct mm_struct *mm);
int account_locked_vm(struct mm_struct *mm, unsigned long pages, bool inc);
struct task_struct;
int __account_locked_vm(struct mm_struct *mm, unsigned long pages, bool inc,
			struct task_struct *task, bool bypass_rlim);

int pin_user_pages_fast(unsigned long ua, int want, unsigned int gup_flags,
			struct page **pages);
void unpin_user_page(struct page *page);
void unpin_user_pages(struct page **pages, unsigned long count);
void unpin_user_pages_dirty_lock(struct page **pages, unsigned long count,
				 bool dirty);
void unpin_user_page_range_dirty_lock(struct page *page, unsigned long count,
				      bool dirty);

#endif /* SIM_SHIM_MM_H */
