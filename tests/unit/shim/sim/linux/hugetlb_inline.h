/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SIM_SHIM_HUGETLB_INLINE_H
#define SIM_SHIM_HUGETLB_INLINE_H

#include <linux/mm.h>

bool is_vm_hugetlb_page(const struct vm_area_struct *vma);

#endif /* SIM_SHIM_HUGETLB_INLINE_H */
