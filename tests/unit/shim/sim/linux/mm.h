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

#define ALIGN(addr, size) (((addr) + (size) - 1) & ~((u64)(size) - 1))
#define PAGE_ALIGNED(addr) (!((addr) & (PAGE_SIZE - 1)))

#define PFN_PHYS(pfn) ((u64)(pfn) << PAGE_SHIFT)
#define PHYS_PFN(hpa) ((unsigned long)((hpa) >> PAGE_SHIFT))

/**
 * struct page - a page descriptor
 * @unused: not used here
 * @head: address of the large page's first descriptor plus 1; 0 in a first descriptor and
 *	in base pages
 * @_refcount: references and pins; only in a large page's first descriptor
 *
 * No memory is mapped at the addresses of the array of descriptors. To read a descriptor,
 * src/ must find its backing page with vmalloc_to_page(), and access this page through the
 * linear mapping. A descriptor's address in the array gives the page frame number.
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

/* Accepts a descriptor's address in the array or in the linear mapping */
struct page *compound_head(struct page *page);
/* Returns the backing page of an address in the array, or NULL */
struct page *vmalloc_to_page(const void *address);

/* The first page of a large page (hugetlbfs or transparent huge page), or a base page */
struct folio {
	struct page page;
};

struct folio *page_folio(struct page *page);
bool folio_test_dirty(const struct folio *folio);
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
 * @vm_end: first user address after the mapping
 * @vm_flags: VM_READ, VM_WRITE
 * @shift: log2 of the size in bytes of its pages, at least PAGE_SHIFT
 * @pfn: first page frame number of each page; may contain the flag SIM_UNPINNABLE
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
 * @refs: references to this structure; the process itself has one
 * @mm_users: 1 until sim_exit()
 * @readers: number of tasks that hold mmap_lock
 * @writer: mmap_lock is held for writing
 * @locked: pages charged to locked_vm
 * @limit: limit of @locked, as RLIMIT_MEMLOCK
 * @vmas: number of mappings in @vma
 * @vma: the mappings, by address
 */
struct mm_struct {
	struct {
		struct list_head iommu_group_mem_list;
	} context;
	int refs;
	atomic_t mm_users;
	int readers;
	bool writer;
	union {
		u64 locked;
		u64 locked_vm;
	};
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
