/* SPDX-License-Identifier: GPL-2.0-only */
/* The platform's interface for TCE tables, faked by ../../../sim_platform.c */
#ifndef SIM_SHIM_ASM_IOMMU_H
#define SIM_SHIM_ASM_IOMMU_H

#include <linux/bits.h>
#include <linux/bug.h>
#include <linux/dma-direction.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/printk.h>
#include <linux/types.h>

#include <asm/page.h>

/* An annotation for sparse */
#define __user

#define __same_type(a, b) \
	__builtin_types_compatible_p(__typeof__(a), __typeof__(b))

typedef u64 dma_addr_t;

void platform_complains(const char *fmt, ...)
	__attribute__((format(printf, 1, 2)));

#define pr_err_ratelimited(fmt, ...) platform_complains(pr_fmt(fmt), __VA_ARGS__)

#define IOMMU_TABLE_GROUP_MAX_TABLES 2

struct iommu_table;
struct iommu_table_group;

struct iommu_table_ops {
	int (*set)(struct iommu_table *tbl, long index, long npages,
		   unsigned long uaddr, enum dma_data_direction direction,
		   unsigned long attrs);
	int (*xchg_no_kill)(struct iommu_table *tbl, long index,
			    unsigned long *hpa,
			    enum dma_data_direction *direction);
	void (*tce_kill)(struct iommu_table *tbl, unsigned long index,
			 unsigned long pages);
	u64 *(*useraddrptr)(struct iommu_table *tbl, long index, bool alloc);
	void (*clear)(struct iommu_table *tbl, long index, long npages);
	unsigned long (*get)(struct iommu_table *tbl, long index);
	void (*flush)(struct iommu_table *tbl);
	void (*free)(struct iommu_table *tbl);
};

struct iommu_table {
	unsigned long it_size;
	unsigned long it_indirect_levels;
	unsigned long it_level_size;
	int it_nid;
	unsigned long it_index;
	unsigned long it_offset;
	unsigned long it_page_shift;
	unsigned long it_base;
	u64 *it_userspace;
	struct iommu_table_ops *it_ops;
	struct kref it_kref;
};

struct iommu_table_group_ops {
	unsigned long (*get_table_size)(u32 page_shift, u64 window_size,
					u32 levels);
	long (*create_table)(struct iommu_table_group *tg, int num,
			     u32 page_shift, u64 window_size, u32 levels,
			     struct iommu_table **tblp);
	long (*set_window)(struct iommu_table_group *tg, int num,
			   struct iommu_table *tbl);
	long (*unset_window)(struct iommu_table_group *tg, int num);
	/* As until Linux 6.3, src/ must make these calls, so that tests can check them */
	void (*take_ownership)(struct iommu_table_group *tg);
	void (*release_ownership)(struct iommu_table_group *tg);
};

struct iommu_table_group {
	u32 tce32_start;
	u32 tce32_size;
	u64 pgsizes;
	u32 max_dynamic_windows_supported;
	u32 max_levels;
	struct iommu_table *tables[IOMMU_TABLE_GROUP_MAX_TABLES];
	struct iommu_table_group_ops *ops;
};

struct iommu_table *iommu_tce_table_get(struct iommu_table *tbl);
int iommu_tce_table_put(struct iommu_table *tbl);
void iommu_tce_kill(struct iommu_table *tbl, unsigned long entry,
		    unsigned long pages);
void iommu_flush_tce(struct iommu_table *tbl);

#endif /* SIM_SHIM_ASM_IOMMU_H */
