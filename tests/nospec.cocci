// SPDX-License-Identifier: GPL-2.0-only
//
// Find arrays that are indexed by a member of a structure from userspace. Even if the code
// refuses an index that is too large, a processor may speculatively read beyond the end of
// the array, and its caches then disclose the data (Spectre v1). array_index_nospec()
// prevents this.
virtual report

@user@
{ struct vfio_eeh_pe_op, struct vfio_eeh_pe_err, struct vfio_iommu_type1_dma_map,
  struct vfio_iommu_type1_dma_unmap, struct vfio_iommu_spapr_register_memory,
  struct vfio_iommu_spapr_tce_create, struct vfio_iommu_spapr_tce_remove,
  struct tce2_window_spec } *request;
expression array;
identifier member;
position at;
@@
array[request->member]@at

@script:python depends on report@
at << user.at;
@@
coccilib.report.print_report(at[0], "WARNING: array indexed by a value from userspace: use array_index_nospec()")
