/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DUP_BUILD_BUG_H
#define DUP_BUILD_BUG_H

#define BUILD_BUG_ON(condition) _Static_assert(!(condition), #condition)

/* Values of the configuration options that src/ checks */
#define IS_ENABLED(option)	 (option)
#define CONFIG_SPARSEMEM_VMEMMAP 1
#define CONFIG_FLATMEM		 0
#define CONFIG_DEBUG_VIRTUAL	 0
#define CONFIG_PPC_PSERIES	 1
#define CONFIG_HUGETLB_PAGE_OPTIMIZE_VMEMMAP 0

#endif /* DUP_BUILD_BUG_H */
