/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SIM_SHIM_HIGHMEM_H
#define SIM_SHIM_HIGHMEM_H

#include <linux/mm.h>
#include <linux/types.h>

#define offset_in_page(address) ((unsigned long)(address) & (PAGE_SIZE - 1))

/* Copy from and to the contents of page frames (../../../sim_device.c) */
void memcpy_to_page(struct page *page, size_t offset, const void *from, size_t bytes);
void memcpy_from_page(void *to, struct page *page, size_t offset, size_t bytes);

#endif /* SIM_SHIM_HIGHMEM_H */
