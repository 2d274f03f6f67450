// SPDX-License-Identifier: GPL-2.0-only
/*
 * a process's mappings
 *
 * Follows: "mm: introduce vma->vm_flags wrapper functions" (Linux 6.3): since
 * then vm_flags may be read, which is all that is asked of it; and "gup:
 * Introduce fault_in_safe_writeable" (Linux 5.16).
 */
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>

#include "probe.h"

PROBE_FUNCTION(find_vma, struct vm_area_struct *(struct mm_struct *mm,
						 unsigned long addr));
PROBE_FUNCTION(fault_in_safe_writeable,
	       size_t (const char __user *uaddr, size_t size));
PROBE_FUNCTION(mmap_read_lock, void (struct mm_struct *mm));
PROBE_FUNCTION(mmap_read_unlock, void (struct mm_struct *mm));
PROBE_FUNCTION(mmgrab, void (struct mm_struct *mm));
PROBE_FUNCTION(mmdrop, void (struct mm_struct *mm));
PROBE_MEMBER(struct vm_area_struct, vm_start, unsigned long);
PROBE_MEMBER(struct vm_area_struct, vm_end, unsigned long);
PROBE_MEMBER(struct vm_area_struct, vm_flags, vm_flags_t);
