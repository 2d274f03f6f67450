/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Declarations for the tests of src/tce_v2.c, table.c, ddw*.c and range.c: groups and windows
 * without a container, on the simulated machine and platform (sim.h, sim_platform.h).
 * A test begins with begin() and ends with finish(), which removes all windows and
 * groups, unregisters all memory and checks for leaks.
 */
#ifndef UNIT_ENGINE_H
#define UNIT_ENGINE_H

#include "sim_platform.h"
#include "tce2_compat.h"
#include "tce2_ddw.h"
#include "tce2_tce_v2.h"
#include "unit.h"

#define SHIFT	12 /* default log2 of the size of IOMMU pages */
#define RW	TCE2_PERM_RW
#define LEAF	TCE2_VIEW_LEAF
#define NOWHERE (1ULL << 59) /* first bus address of the second window */
#define IOVA(n) ((u64)(n) << SHIFT)

/* Pointer to a map request. Arguments: bus address, user address, bytes, TCE2_PERM_* */
#define REQUEST(...)	(&(const struct tce2_map_request){ __VA_ARGS__ })

extern struct tce2_ddw ddw;
extern struct tce2_counts page_counts;
extern struct tce2_cache *proc;
extern struct fake_group *group[MAX_GROUPS];

/* Attaches groups. Nothing is registered, and the default window is pending. */
void begin(unsigned int groups, u32 max_levels);
void finish(void);

/* Registers contiguous memory; the second half is not contiguous if @scattered is set */
extern bool scattered;
struct tce2_region *memory(u64 ua, u64 pages);
/* Makes finish() unregister @region instead of the region of call number @nth of memory() */
void replace_region(struct tce2_region *region, unsigned int nth);
/* Registers large pages of 16 MiB from UA on. Their frames descend: no two are contiguous. */
struct tce2_region *large_memory(u64 bytes);
/* Registers a large page of 16 MiB from UA on, followed by 16 MiB in base pages */
void mixed_memory(void);

int create(u64 size, u32 shift, u32 levels, u64 *start);
/* Replaces the default window by a window that begins at bus address 0 */
struct tce2_window *only_window(u64 size, u32 levels);

/*
 * Map or unmap @count IOMMU pages from entry @index on; page 0 is at UA. All requests first
 * try src/page.c or src/pages.c, as in src/container.c, unless @with_ranges is set. @by_page
 * and @by_pages count the requests that src/page.c and src/pages.c served.
 */
extern bool with_ranges;
extern u64 by_page, by_pages;
int map(struct tce2_window *window, u64 index, u64 page, u64 count, u64 perm);
int unmap(struct tce2_window *window, u64 index, u64 count);
u64 view_at(struct tce2_window *window, u64 index);

/* Returns the physical address of a user address */
u64 hpa_at(u64 ua);

/* Ends the test unless the hardware's first @count entries match the view */
void expect_in_step(struct tce2_window *window, u64 count);

#endif /* UNIT_ENGINE_H */
