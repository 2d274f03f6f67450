// SPDX-License-Identifier: GPL-2.0-only
//
// An array indexed by a field of a structure that userspace has filled. A processor
// may read behind the array before it knows that the field was refused, and what it
// has read shows in the caches: array_index_nospec() keeps it from that.
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
