/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tests of src/tce_v2.c, table.c, ddw.c and range.c are written in: a container
 * without its file, on the simulated machine and platform (sim.h, sim_platform.h).
 * A test begins with begin() and ends with finish(), which takes everything
 * down and looks whether all of it is gone.
 */
#ifndef UNIT_ENGINE_H
#define UNIT_ENGINE_H

#include "sim_platform.h"
#include "tce2_compat.h"
#include "tce2_ddw.h"
#include "tce2_tce_v2.h"
#include "unit.h"

#define SHIFT	12 /* of the windows' pages, if not said otherwise */
#define RW	TCE2_PERM_RW
#define LEAF	TCE2_VIEW_LEAF
#define NOWHERE (1ULL << 59) /* where the second window begins */
#define IOVA(n) ((u64)(n) << SHIFT)

/* Pointer to a map request. Arguments: bus address, user address, bytes, TCE2_PERM_* */
#define REQUEST(...)	(&(const struct tce2_map_request){ __VA_ARGS__ })

extern struct tce2_ddw ddw;
extern struct tce2_cache *proc;
extern struct fake_group *group[MAX_GROUPS];

/* Groups attached, nothing registered, the default window pending */
void begin(unsigned int groups, u32 max_levels);
void finish(void);

/* Registers contiguous memory; half of it is scattered if @scattered is set */
extern bool scattered;
struct tce2_region *memory(u64 ua, u64 pages);
/* Registers large pages of 16 MiB from UA on, no two of them adjacent in memory */
struct tce2_region *large_memory(u64 bytes);
/* Registers a large page of 16 MiB from UA on, followed by 16 MiB in base pages */
void mixed_memory(void);

int create(u64 size, u32 shift, u32 levels, u64 *start);
/* The only window, from bus address 0 on */
struct tce2_window *only_window(u64 size, u32 levels);

/* In IOMMU pages: entry @index maps page @page from UA on, and so on */
int map(struct tce2_window *window, u64 index, u64 page, u64 count, u64 perm);
int unmap(struct tce2_window *window, u64 index, u64 count);
u64 view_at(struct tce2_window *window, u64 index);

/* The physical address of a user address */
u64 hpa_at(u64 ua);

/* The hardware has exactly what the view says, from entry 0 to @count */
void expect_in_step(struct tce2_window *window, u64 count);

#endif /* UNIT_ENGINE_H */
