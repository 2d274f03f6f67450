// SPDX-License-Identifier: GPL-2.0-only
/*
 * The simulated kernel's list of regions, see kernel_list.h. The list behaves as
 * arch/powerpc/mm/book3s64/iommu_api.c of Linux 6.12, but has no device memory.
 *
 * A region goes through three states: listed, retired (removed from the list, waiting
 * for a grace period) and gone. The structure is kept until the next test, to
 * detect any use of a region that is gone.
 */
#include <stdlib.h>

#include <asm/mmu_context.h>
#include <linux/atomic.h>
#include <linux/bitops.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/rculist.h>

#include "kernel_list.h"
#include "sim.h"

enum state {
	LISTED,
	RETIRED,
	GONE
};

/**
 * struct mm_iommu_table_group_mem_t - a region
 * @link: link in the process's list
 * @next: the previously made region, of any process and in any state
 * @mm: the process
 * @ua: first user address
 * @pages: number of pages
 * @shift: log2 of the size of the largest IOMMU page that may map the region
 * @users: number of references; protected by the list's mutex
 * @mapped: 1 plus the number of counted entries; 0 once the region is retired
 * @state: see the head of this file
 * @hpa: physical address of each page
 * @rcu: for the grace period
 */
struct mm_iommu_table_group_mem_t {
	struct list_head link;
	struct mm_iommu_table_group_mem_t *next;
	struct mm_struct *mm;
	u64 ua;
	u64 pages;
	unsigned int shift;
	u64 users;
	atomic64_t mapped;
	enum state state;
	u64 *hpa;
	struct rcu_head rcu;
};

static DEFINE_MUTEX(list_mutex);
static struct mm_iommu_table_group_mem_t *regions;

void kernel_list_reset(void)
{
	while (regions) {
		struct mm_iommu_table_group_mem_t *mem = regions;

		regions = mem->next;
		free(mem->hpa);
		free(mem);
	}
}

static void check(const struct mm_iommu_table_group_mem_t *mem, const char *who)
{
	if (READ_ONCE(mem->state) == GONE)
		sim_bug("%s: the kernel's region of %llx is gone", who,
			mem->ua);
}

static u64 bytes_of(u64 pages)
{
	return pages << PAGE_SHIFT;
}

static u64 end_of(const struct mm_iommu_table_group_mem_t *mem)
{
	return mem->ua + bytes_of(mem->pages);
}

static struct mm_iommu_table_group_mem_t *find(struct mm_struct *mm, u64 ua,
					       u64 bytes, bool whole)
{
	struct list_head *link;

	list_for_each_rcu(link, &mm->context.iommu_group_mem_list) {
		struct mm_iommu_table_group_mem_t *mem;

		mem = list_entry(link, struct mm_iommu_table_group_mem_t, link);
		if (whole ? mem->ua <= ua && ua + bytes <= end_of(mem)
			  : mem->ua < ua + bytes && ua < end_of(mem))
			return mem;
	}
	return NULL;
}

/*
 * mm_iommu_new(): pinning and listing a region
 */

static void unpin(struct mm_iommu_table_group_mem_t *mem)
{
	while (mem->pages)
		sim_kernel_unpin(PHYS_PFN(mem->hpa[--mem->pages]));
}

/* Returns log2 of the size of the hugepage that contains @page, else PAGE_SHIFT */
static unsigned int backing_shift(struct page *page)
{
	struct folio *folio = page_folio(page);

	if (!folio_test_hugetlb(folio))
		return PAGE_SHIFT;
	return PAGE_SHIFT + __builtin_ctzl(folio_nr_pages(folio));
}

static int pin(struct mm_iommu_table_group_mem_t *mem, u64 pages)
{
	unsigned int shift = PAGE_SHIFT;

	mem->shift = __builtin_ctzll(mem->ua | bytes_of(pages));
	for (mem->pages = 0; mem->pages < pages; mem->pages++) {
		u64 ua = mem->ua + bytes_of(mem->pages);
		struct page *page = sim_kernel_pin(ua);

		if (!page)
			return -EFAULT;
		mem->hpa[mem->pages] = PFN_PHYS(page_to_pfn(page));
		/*
		 * Kernel defect: a base page after a hugepage is treated as a
		 * hugepage (mm_iommu_do_alloc())
		 */
		if (mem->shift > PAGE_SHIFT && backing_shift(page) > PAGE_SHIFT)
			shift = backing_shift(page);
		if (shift < mem->shift)
			mem->shift = shift;
	}
	return 0;
}

static void discard(struct mm_iommu_table_group_mem_t *mem)
{
	unpin(mem);
	free(mem->hpa);
	free(mem);
}

static struct mm_iommu_table_group_mem_t *make(struct mm_struct *mm, u64 ua,
					       u64 pages)
{
	struct mm_iommu_table_group_mem_t *mem = calloc(1, sizeof(*mem));

	if (!mem)
		abort();
	mem->mm = mm;
	mem->ua = ua;
	mem->users = 1;
	atomic64_set(&mem->mapped, 1);
	mem->hpa = calloc(pages, sizeof(*mem->hpa));
	if (!mem->hpa)
		abort();
	return mem;
}

static long enter(struct mm_iommu_table_group_mem_t *mem)
{
	long ret = 0;

	mutex_lock(&list_mutex);
	if (find(mem->mm, mem->ua, bytes_of(mem->pages), false)) {
		ret = -EINVAL;
	} else {
		mem->next = regions;
		regions = mem;
		list_add_rcu(&mem->link,
			     &mem->mm->context.iommu_group_mem_list);
	}
	mutex_unlock(&list_mutex);
	return ret;
}

long mm_iommu_new(struct mm_struct *mm, unsigned long ua, unsigned long entries,
		  struct mm_iommu_table_group_mem_t **pmem)
{
	struct mm_iommu_table_group_mem_t *mem;
	long ret;

	/* src/ has refunded its own charge, because the list charges the same pages */
	sim.charge_moves = true;
	ret = account_locked_vm(mm, entries, true);
	if (ret)
		return ret;
	if (sim_fails(SIM_ALLOC)) {
		account_locked_vm(mm, entries, false);
		return -ENOMEM;
	}
	mem = make(mm, ua, entries);
	ret = pin(mem, entries);
	if (!ret)
		ret = enter(mem);
	if (ret) {
		discard(mem);
		account_locked_vm(mm, entries, false);
		return ret;
	}
	*pmem = mem;
	return 0;
}

/*
 * mm_iommu_put() and mm_iommu_get(): references to a region
 */

static void free_region(struct rcu_head *rcu)
{
	struct mm_iommu_table_group_mem_t *mem =
		container_of(rcu, struct mm_iommu_table_group_mem_t, rcu);

	unpin(mem);
	free(mem->hpa);
	mem->hpa = NULL;
	WRITE_ONCE(mem->state, GONE);
}

/* The caller holds the list's mutex. Returns the pages to refund, or an error. */
static long drop_user(struct mm_iommu_table_group_mem_t *mem)
{
	if (mem->state != LISTED || !mem->users)
		sim_bug("the kernel's region of %llx has no reference to be put",
			mem->ua);
	if (mem->users > 1) {
		mem->users--;
		return 0;
	}
	if (atomic64_cmpxchg(&mem->mapped, 1, 0) != 1)
		return -EBUSY;
	mem->users = 0;
	WRITE_ONCE(mem->state, RETIRED);
	list_del_rcu(&mem->link);
	call_rcu(&mem->rcu, free_region);
	return mem->pages;
}

long mm_iommu_put(struct mm_struct *mm, struct mm_iommu_table_group_mem_t *mem)
{
	long pages;

	mutex_lock(&list_mutex);
	check(mem, __func__);
	if (mem->mm != mm)
		sim_bug("the kernel's region of %llx is put with another process's mm",
			mem->ua);
	pages = drop_user(mem);
	mutex_unlock(&list_mutex);
	if (pages > 0)
		account_locked_vm(mm, pages, false);
	return pages < 0 ? pages : 0;
}

struct mm_iommu_table_group_mem_t *
mm_iommu_get(struct mm_struct *mm, unsigned long ua, unsigned long entries)
{
	struct mm_iommu_table_group_mem_t *mem;

	mutex_lock(&list_mutex);
	mem = find(mm, ua, bytes_of(entries), true);
	if (mem && (mem->ua != ua || mem->pages != entries))
		mem = NULL;
	if (mem)
		mem->users++;
	mutex_unlock(&list_mutex);
	return mem;
}

/*
 * Looking up a region, translating its addresses, and counting its mappings
 */

struct mm_iommu_table_group_mem_t *
mm_iommu_lookup(struct mm_struct *mm, unsigned long ua, unsigned long size)
{
	struct mm_iommu_table_group_mem_t *mem;

	rcu_read_lock();
	mem = find(mm, ua, size, true);
	rcu_read_unlock();
	return mem;
}

bool mm_iommu_preregistered(struct mm_struct *mm)
{
	return find(mm, 0, 1ULL << 63, false);
}

long mm_iommu_ua_to_hpa(struct mm_iommu_table_group_mem_t *mem,
			unsigned long ua, unsigned int pageshift,
			unsigned long *hpa)
{
	u64 page = (ua - mem->ua) >> PAGE_SHIFT;

	check(mem, __func__);
	if (page >= mem->pages || pageshift > mem->shift)
		return -EFAULT;
	*hpa = mem->hpa[page] | (ua & (PAGE_SIZE - 1));
	return 0;
}

long mm_iommu_mapped_inc(struct mm_iommu_table_group_mem_t *mem)
{
	check(mem, __func__);
	return atomic64_inc_not_zero(&mem->mapped) ? 0 : -ENXIO;
}

/* The kernel ignores a decrement of a count of 1, and does not warn about it */
void mm_iommu_mapped_dec(struct mm_iommu_table_group_mem_t *mem)
{
	check(mem, __func__);
	if (atomic64_read(&mem->mapped) <= 1)
		sim_bug("a count of the kernel's region of %llx is decremented, but it has no counts",
			mem->ua);
	atomic64_dec(&mem->mapped);
}

/*
 * Functions with which tests inspect the list
 */

unsigned int kernel_list_regions(void)
{
	const struct mm_iommu_table_group_mem_t *mem;
	unsigned int n = 0;

	for (mem = regions; mem; mem = mem->next)
		n += mem->state == LISTED;
	return n;
}

struct mm_iommu_table_group_mem_t *kernel_list_at(struct mm_struct *mm, u64 ua)
{
	struct mm_iommu_table_group_mem_t *mem = find(mm, ua, 1, true);

	return mem && mem->ua == ua ? mem : NULL;
}

u64 kernel_list_users(const struct mm_iommu_table_group_mem_t *mem)
{
	return mem->users;
}

s64 kernel_list_mapped(const struct mm_iommu_table_group_mem_t *mem)
{
	check(mem, __func__);
	return atomic64_read(&mem->mapped);
}

/*
 * Returns true if a listed region overlaps the range of a region that is not
 * listed
 */
static bool is_replaced(const struct mm_iommu_table_group_mem_t *old)
{
	const struct mm_iommu_table_group_mem_t *mem;

	for (mem = regions; mem; mem = mem->next) {
		if (old->state != LISTED && mem->state == LISTED &&
		    mem->ua < end_of(old) && old->ua < end_of(mem))
			return true;
	}
	return false;
}

void kernel_list_expect_counts(s64 (*counts)(u64 ua, u64 bytes))
{
	const struct mm_iommu_table_group_mem_t *mem;

	for (mem = regions; mem; mem = mem->next) {
		s64 want = counts ? counts(mem->ua, bytes_of(mem->pages)) : 0;
		s64 saw = mem->state == LISTED ? kernel_list_mapped(mem) - 1 : 0;

		if (saw != want && !is_replaced(mem))
			sim_bug("the kernel's region of %llx is counted %lld times, not %lld",
				mem->ua, saw, want);
	}
}
