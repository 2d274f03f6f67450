// SPDX-License-Identifier: GPL-2.0-only
/* Replaces src/eeh.c, and the contents of pages, in programs whose tests use neither. */
#include <errno.h>

#include <linux/highmem.h>

#include "sim.h"
#include "tce2_eeh.h"

int tce2_eeh_pe_op(struct iommu_group *group, const struct vfio_eeh_pe_op *op)
{
	sim_bug("a test requests an EEH operation");
	return -EINVAL;
}

void memcpy_to_page(struct page *page, size_t offset, const void *from, size_t bytes)
{
	sim_bug("a test writes to memory");
}

void memcpy_from_page(void *to, struct page *page, size_t offset, size_t bytes)
{
	sim_bug("a test reads memory");
}
