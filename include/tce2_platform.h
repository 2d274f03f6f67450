/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TCE2_PLATFORM_H
#define TCE2_PLATFORM_H

#include <linux/types.h>

#include <asm/iommu.h>

/*
 * IOMMU page size of the default window: PAPR's 32-bit window has 4 KiB pages
 * (LoPAR 7.3.27, R1-7.3.27-4). On powernv the in-tree driver chooses the same size
 * (tce_iommu_create_default_window()).
 */
#define TCE2_DEFAULT_PAGE_SHIFT		12

/**
 * struct tce2_window_spec - the window that a client requests
 * @size: size of the window in bytes
 * @page_shift: log2 of the IOMMU page size in bytes
 * @levels: number of levels of the TCE table
 */
struct tce2_window_spec {
	u64 size;
	u32 page_shift;
	u32 levels;
};

/**
 * struct tce2_platform_caps - properties of a platform that clients can query
 * @table_copies: number of times that the bytes of a table are charged
 * @table_least: least number of bytes of a table
 * @hole_start: first bus address of which accesses may not reach a window
 * @hole_size: number of these bus addresses, 0 if the platform has no such addresses
 */
struct tce2_platform_caps {
	u32 table_copies;
	u32 table_least;
	u64 hole_start;
	u64 hole_size;
};

bool tce2_platform_is_papr(const struct iommu_table_group *tg);
int tce2_platform_check_group(const struct iommu_table_group *tg);
bool tce2_platform_can_share(const struct iommu_table_group *tg,
			     const struct iommu_table_group *other);
unsigned int tce2_platform_slot_refs(const struct iommu_table_group *tg);
int tce2_platform_clear_slots(struct iommu_table_group *tg);

int tce2_platform_check_spec(const struct iommu_table_group *tg,
			     const struct tce2_window_spec *spec, u64 pgsizes,
			     u32 max_levels);
int tce2_platform_check_place(const struct iommu_table_group *tg,
			      const struct tce2_window_spec *spec, int slot,
			      bool taken);

unsigned int tce2_platform_count_places(const struct iommu_table_group *tg,
					unsigned int free, bool taken);
void tce2_platform_get_caps(const struct iommu_table_group *tg,
			    struct tce2_platform_caps *caps);

bool tce2_platform_can_allocate(u64 bytes, unsigned int tables);
unsigned long tce2_platform_table_pages(const struct iommu_table_group *tg,
					const struct tce2_window_spec *spec);
int tce2_platform_create_table(struct iommu_table_group *tg, int slot,
			       const struct tce2_window_spec *spec,
			       struct iommu_table **tbl);

int tce2_platform_set_slot(struct iommu_table_group *tg, int slot,
			   struct iommu_table *tbl, bool *set);
bool tce2_platform_unset_slot(struct iommu_table_group *tg, int slot,
			      struct iommu_table *tbl);

#endif /* TCE2_PLATFORM_H */
