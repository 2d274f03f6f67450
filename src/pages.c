// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page descriptors: where struct page of registered memory is, physically.
 *
 * Owns struct tce2_pages. The kernel keeps its page descriptors in an array of
 * virtual memory (vmemmap), which code that runs with the data MMU off can't
 * follow. So the physical address of each piece of the array is looked up here,
 * in virtual mode, when memory is registered; src/realmode.c reads what was
 * found. Caches that nobody asked it for have no such index.
 *
 * Locks: none. The caller holds the cache lock.
 * Calls: view (which stores the addresses), extents, the kernel's mm.
 */
#include <linux/err.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include <asm/mmu.h>

#include "tce2_extents.h"
#include "tce2_pages.h"

/*
 * In the linear mapping, or behind the kernel's page tables, which the hash MMU
 * does not use for the array. (With CONFIG_DEBUG_VIRTUAL, vmalloc_to_page()
 * takes none but addresses of vmalloc; where hugetlb saves descriptors, a
 * page's first one is computed from addresses that real mode does not have.)
 */
static bool can_find_descriptors(void)
{
	if (IS_ENABLED(CONFIG_FLATMEM))
		return true;
	return IS_ENABLED(CONFIG_SPARSEMEM_VMEMMAP) &&
	       !IS_ENABLED(CONFIG_DEBUG_VIRTUAL) &&
	       !IS_ENABLED(CONFIG_HUGETLB_PAGE_OPTIMIZE_VMEMMAP) &&
	       radix_enabled();
}

/**
 * tce2_pages_create() - make an index without entries
 *
 * Context: may sleep.
 * Return: the index; ERR_PTR(-EOPNOTSUPP) where this kernel does not let a
 * module know where its page descriptors are; ERR_PTR(-ENOMEM).
 */
struct tce2_pages *tce2_pages_create(void)
{
	struct tce2_pages *pages;

	if (!can_find_descriptors())
		return ERR_PTR(-EOPNOTSUPP);
	pages = kzalloc(sizeof(*pages), GFP_KERNEL_ACCOUNT);
	if (!pages)
		return ERR_PTR(-ENOMEM);
	pages->base = (unsigned long)pfn_to_page(0);
	pages->linear = !IS_ENABLED(CONFIG_SPARSEMEM_VMEMMAP);
	tce2_view_init(&pages->chunks, TCE2_DESCRIPTOR_BYTES >> PAGE_SHIFT,
		       PAGE_SHIFT);
	pages->chunks.watched = true;
	return pages;
}

/**
 * tce2_pages_destroy() - free an index
 * @pages: the index, which nobody reads any more, or NULL
 */
void tce2_pages_destroy(struct tce2_pages *pages)
{
	if (!pages)
		return;
	tce2_view_free(&pages->chunks);
	kfree(pages);
}

/* Enters where a page of the array of descriptors is, unless that is known */
static int add_chunk(struct tce2_pages *pages, u64 chunk)
{
	struct page *page = vmalloc_to_page((void *)pages->base +
					    (chunk << PAGE_SHIFT));
	struct tce2_view_run run = {
		.index = chunk, .count = 1, .perm = TCE2_VIEW_READ,
	};
	struct tce2_view_run old;
	int ret;

	/* Not how this kernel maps them: real mode will find it too hard */
	if (!page)
		return 0;
	run.ua = PFN_PHYS(page_to_pfn(page));
	if (tce2_view_next(&pages->chunks, chunk, chunk + 1, &old) &&
	    old.ua == run.ua)
		return 0;
	ret = tce2_view_prepare(&pages->chunks, &run);
	if (ret < 0)
		return ret;
	tce2_view_set(&pages->chunks, &run);
	return 0;
}

/* The page of the array of descriptors that has a byte of one */
static u64 chunk_of(const struct tce2_pages *pages, const void *byte)
{
	return ((unsigned long)byte - pages->base) >> PAGE_SHIFT;
}

/*
 * Enters those of some descriptors in a row, but for @known, which was the last
 * to be entered: most descriptors are beside that of the page before
 */
static int add_chunks(struct tce2_pages *pages, const struct page *first,
		      const struct page *end, u64 *known)
{
	u64 chunk = chunk_of(pages, first);
	u64 last = chunk_of(pages, (const char *)end - 1);

	for (; chunk <= last; chunk++) {
		int ret;

		if (chunk == *known)
			continue;
		ret = add_chunk(pages, chunk);
		if (ret)
			return ret;
		*known = chunk;
		if (!(chunk % 64))
			cond_resched();
	}
	return 0;
}

/**
 * tce2_pages_add() - find the descriptors of a range of user memory
 * @pages: the index
 * @ext: where the range is; all of it is pinned
 *
 * And of a large page also the first one, wherever that is: it has the reference
 * count.
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM, with the index good for what it had before.
 */
int tce2_pages_add(struct tce2_pages *pages, const struct tce2_extents *ext)
{
	u64 ua = ext->ua, end = ext->ua + ext->filled, bytes;
	u64 known = ~0ULL, known_head = ~0ULL;
	unsigned int blocks = 0;

	if (pages->linear)
		return 0;
	for (; ua < end; ua += bytes) {
		struct page *page, *head;
		u64 hpa, flags;
		int ret;

		bytes = tce2_extents_run(ext, ua, &hpa, &flags);
		page = pfn_to_page(PHYS_PFN(hpa));
		head = compound_head(page);
		ret = add_chunks(pages, head, head + 1, &known_head);
		if (!ret)
			ret = add_chunks(pages, page,
					 page + (bytes >> PAGE_SHIFT), &known);
		if (ret)
			return ret;
		if (!(++blocks % 512))
			cond_resched();
	}
	return 0;
}
