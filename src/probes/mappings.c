// SPDX-License-Identifier: GPL-2.0-only
/*
 * a process's mappings
 *
 * Since "mm: introduce vma->vm_flags wrapper functions" (Linux 6.3), vm_flags may be
 * written only by wrapper functions. The sources only read vm_flags.
 */
#include <linux/mm.h>
#include <linux/sched/mm.h>

#include "probe.h"

#define TCE2_API_MAPPINGS
#include "tce2_kernel_api.h"
