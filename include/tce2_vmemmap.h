/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TCE2_VMEMMAP_H
#define TCE2_VMEMMAP_H

#include <linux/bits.h>
#include <linux/compiler.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/types.h>

struct tce2_extents;

/*
 * Index of the page descriptors (struct page), by addresses in the linear mapping.
 *
 * The kernel keeps its page descriptors in an array in virtual memory (vmemmap).
 * Each page of the array is backed by a page of memory, its backing page. The
 * index is a tree of the backing pages, sorted by position in the array. A node
 * consists of TCE2_VMEMMAP_SLOTS pointers. The lowest nodes point to the backing
 * pages in the linear mapping. Nodes come from the slab allocator, hence from the
 * linear mapping, too. So code that runs with the data MMU off can follow all of
 * these pointers.
 */
#define TCE2_VMEMMAP_SHIFT	7
#define TCE2_VMEMMAP_SLOTS	BIT(TCE2_VMEMMAP_SHIFT)

/* Size limit of the array of page descriptors, in bytes */
#define TCE2_VMEMMAP_BYTES \
	((u64)sizeof(struct page) << (MAX_PHYSMEM_BITS - PAGE_SHIFT))

/* Levels of nodes: enough for every page of the array */
#define TCE2_VMEMMAP_LEVELS \
	(ilog2((TCE2_VMEMMAP_BYTES - 1) >> PAGE_SHIFT) / TCE2_VMEMMAP_SHIFT + 1)

/**
 * struct tce2_vmemmap - index of the page descriptors of registered memory
 * @base: virtual address of page frame 0's descriptor, even if that frame is missing
 * @linear: all descriptors are in the linear mapping, and the tree is not used
 * @root: highest node, NULL while the tree is empty
 *
 * Entries are added under the cache lock. Readers take no lock. Nodes and entries
 * stay until the index is destroyed. An entry is valid as long as a page with a
 * descriptor in the backing page is pinned. Each registration of such a page writes the
 * entry again: memory without pinned pages can be removed from the machine and added
 * again, with another backing page.
 */
struct tce2_vmemmap {
	unsigned long base;
	bool linear;
	void *root;
};

struct tce2_vmemmap *tce2_vmemmap_create(void);
void tce2_vmemmap_destroy(struct tce2_vmemmap *index);
int tce2_vmemmap_add(struct tce2_vmemmap *index,
		     const struct tce2_extents *ext);

/**
 * tce2_vmemmap_slot() - find a node's pointer on the path to a backing page
 * @node: the node
 * @level: the node's level, 0 for the lowest
 * @nr: number of the backing page in the array
 *
 * Return: the pointer's address.
 */
static __always_inline void **tce2_vmemmap_slot(void *node, unsigned int level,
						u64 nr)
{
	return (void **)node + ((nr >> (level * TCE2_VMEMMAP_SHIFT)) &
				(TCE2_VMEMMAP_SLOTS - 1));
}

/**
 * tce2_vmemmap_backing() - find a backing page
 * @index: the index
 * @nr: number of the backing page in the array
 *
 * Context: any, also with the data MMU off.
 * Return: the page's address in the linear mapping, or NULL if the index lacks it.
 */
static __always_inline void *
tce2_vmemmap_backing(const struct tce2_vmemmap *index, u64 nr)
{
	void *at = READ_ONCE(index->root);
	unsigned int level = TCE2_VMEMMAP_LEVELS;

	while (at && level--)
		at = READ_ONCE(*tce2_vmemmap_slot(at, level, nr));
	return at;
}

/**
 * tce2_vmemmap_find() - find a page descriptor in the linear mapping
 * @index: the index
 * @address: virtual address of the descriptor, as pfn_to_page() computes it
 *
 * Context: any, also with the data MMU off.
 * Return: the descriptor's address in the linear mapping; NULL if the index lacks
 * the address, or if @address is outside the array.
 */
static __always_inline struct page *
tce2_vmemmap_find(const struct tce2_vmemmap *index, unsigned long address)
{
	unsigned long offset = address - index->base;
	unsigned long rest = offset & (PAGE_SIZE - 1);
	u64 nr = offset >> PAGE_SHIFT;
	void *backing;

	if (index->linear)
		return (struct page *)address;
	if (offset >= TCE2_VMEMMAP_BYTES)
		return NULL;
	backing = tce2_vmemmap_backing(index, nr);
	if (!backing)
		return NULL;
	/* A descriptor may extend into the next page if its size is no power of two */
	if (rest + sizeof(struct page) > PAGE_SIZE &&
	    tce2_vmemmap_backing(index, nr + 1) != backing + PAGE_SIZE)
		return NULL;
	return backing + rest;
}

#endif /* TCE2_VMEMMAP_H */
