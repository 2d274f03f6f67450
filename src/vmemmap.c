// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page descriptors: finds the physical address of struct page of each registered page.
 *
 * Owns struct tce2_vmemmap. Code that runs with the data MMU off can't follow the
 * virtual addresses of page descriptors. So this file looks up the pages that back the
 * descriptors in virtual mode, when memory is registered. src/realmode.c reads the
 * index. A cache has no index until another module calls tce2_cache_find_pages().
 *
 * Locks: none. The caller holds the cache lock.
 * Calls: the kernel's mm; inlines of extents.
 */
#include <linux/err.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include <asm/barrier.h>
#include <asm/mmu.h>
#include <asm/page.h>

#include "tce2_extents.h"
#include "tce2_vmemmap.h"

/*
 * Returns true if this module can find page descriptors, in the linear mapping or
 * through the kernel's page tables. The hash MMU does not use page tables for the array
 * (hash__vmemmap_create_mapping()). With CONFIG_DEBUG_VIRTUAL, vmalloc_to_page()
 * refuses addresses outside vmalloc. With CONFIG_HUGETLB_PAGE_OPTIMIZE_VMEMMAP,
 * compound_head() computes the first descriptor of a page from virtual addresses, which
 * code in real mode can't use.
 */
static bool vmemmap_can_find(void)
{
	if (IS_ENABLED(CONFIG_FLATMEM))
		return true;
	return IS_ENABLED(CONFIG_SPARSEMEM_VMEMMAP) &&
	       !IS_ENABLED(CONFIG_DEBUG_VIRTUAL) &&
	       !IS_ENABLED(CONFIG_HUGETLB_PAGE_OPTIMIZE_VMEMMAP) &&
	       radix_enabled();
}

/**
 * tce2_vmemmap_create() - make an empty index
 *
 * Context: may sleep.
 * Return: the index; ERR_PTR(-EOPNOTSUPP) if this module can't find the kernel's page
 * descriptors; ERR_PTR(-ENOMEM).
 */
struct tce2_vmemmap *tce2_vmemmap_create(void)
{
	struct tce2_vmemmap *index;

	if (!vmemmap_can_find())
		return ERR_PTR(-EOPNOTSUPP);
	index = kzalloc(sizeof(*index), GFP_KERNEL_ACCOUNT);
	if (!index)
		return ERR_PTR(-ENOMEM);
	index->base = (unsigned long)pfn_to_page(0);
	index->linear = !IS_ENABLED(CONFIG_SPARSEMEM_VMEMMAP);
	return index;
}

static void vmemmap_free_node(void **node, unsigned int level)
{
	unsigned int i;

	if (!node)
		return;
	for (i = 0; level && i < TCE2_VMEMMAP_SLOTS; i++)
		vmemmap_free_node(node[i], level - 1);
	kfree(node);
	if (level)
		cond_resched();
}

/**
 * tce2_vmemmap_destroy() - free an index
 * @index: the index, with no readers any more, or NULL
 *
 * Context: may sleep.
 */
void tce2_vmemmap_destroy(struct tce2_vmemmap *index)
{
	if (!index)
		return;
	vmemmap_free_node(index->root, TCE2_VMEMMAP_LEVELS - 1);
	kfree(index);
}

/* Finds the entry of a backing page, and makes missing nodes */
static void **vmemmap_make_slot(struct tce2_vmemmap *index, u64 nr)
{
	unsigned int level = TCE2_VMEMMAP_LEVELS;
	void **slot = &index->root;

	while (level--) {
		if (!*slot) {
			void **node = kcalloc(TCE2_VMEMMAP_SLOTS, sizeof(*node),
					      GFP_KERNEL_ACCOUNT);

			if (!node)
				return NULL;
			/* Zero the node before tce2_vmemmap_backing() can find it */
			smp_store_release(slot, node);
		}
		slot = tce2_vmemmap_slot(*slot, level, nr);
	}
	return slot;
}

/* Enters the backing page of page number @nr of the array */
static int vmemmap_add_backing(struct tce2_vmemmap *index, u64 nr)
{
	struct page *page = vmalloc_to_page((void *)index->base +
					    (nr << PAGE_SHIFT));
	void **slot;

	/* The kernel maps the array in an unknown way: real mode finds no descriptor */
	if (!page)
		return 0;
	slot = vmemmap_make_slot(index, nr);
	if (!slot)
		return -ENOMEM;
	WRITE_ONCE(*slot, __va(PFN_PHYS(page_to_pfn(page))));
	return 0;
}

/* Returns the number of the array's page that contains a byte of a descriptor */
static u64 vmemmap_page_nr(const struct tce2_vmemmap *index, const void *byte)
{
	return ((unsigned long)byte - index->base) >> PAGE_SHIFT;
}

/*
 * Enters the backing pages of adjacent descriptors. Skips page number *@known, which was
 * entered last: most descriptors share a page with the preceding descriptor.
 */
static int vmemmap_add_descriptors(struct tce2_vmemmap *index,
				   const struct page *first, const struct page *end,
				   u64 *known)
{
	u64 nr = vmemmap_page_nr(index, first);
	u64 last = vmemmap_page_nr(index, (const char *)end - 1);

	for (; nr <= last; nr++) {
		int ret;

		if (nr == *known)
			continue;
		ret = vmemmap_add_backing(index, nr);
		if (ret)
			return ret;
		*known = nr;
		if (!(nr % 64))
			cond_resched();
	}
	return 0;
}

/**
 * tce2_vmemmap_add() - enter the descriptors of a range of user memory
 * @index: the index
 * @ext: the physical addresses of the range, which is pinned
 *
 * Also enters the first descriptor of a large page, even outside the range, because the
 * first descriptor has the reference count.
 *
 * Context: may sleep.
 * Return: 0; -ENOMEM, after which all earlier entries are still valid.
 */
int tce2_vmemmap_add(struct tce2_vmemmap *index,
		     const struct tce2_extents *ext)
{
	u64 ua = ext->ua, end = ext->ua + ext->filled, bytes;
	u64 known = ~0ULL, known_head = ~0ULL;
	unsigned int blocks = 0;

	if (index->linear)
		return 0;
	for (; ua < end; ua += bytes) {
		struct page *page, *head;
		u64 hpa, flags;
		int ret;

		bytes = tce2_extents_run(ext, ua, &hpa, &flags);
		page = pfn_to_page(PHYS_PFN(hpa));
		head = compound_head(page);
		ret = vmemmap_add_descriptors(index, head, head + 1, &known_head);
		if (!ret)
			ret = vmemmap_add_descriptors(index, page,
						      page + (bytes >> PAGE_SHIFT),
						      &known);
		if (ret)
			return ret;
		if (!(++blocks % 512))
			cond_resched();
	}
	return 0;
}
