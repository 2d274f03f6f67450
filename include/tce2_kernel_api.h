/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The only list of the kernel's structure members and functions that this module uses.
 *
 * The list has four users, so a new member needs a line only here:
 *
 *	src/probes		compiles each entry against the kernel's headers
 *	src/probes/exports	names the symbols that Module.symvers must have
 *	src/layout.c		writes each member's offset into the built module
 *	tools/preflight		looks up the structures in a kernel's type information
 *
 * An entry has one of the kinds below. Probed entries are compiled by src/probes;
 * recorded entries are written into the built module by src/layout.c.
 *
 *	KERNEL_STRUCT(kind, structure)
 *		kind: name from enum tce2_layout_kind, without the prefix TCE2_LAYOUT_;
 *		the structure's members follow this entry
 *	KERNEL_MEMBER(structure, member, type)
 *		probed and recorded
 *	KERNEL_PROBED(structure's type, member, type)
 *		probed only, because a CRC covers the structure
 *	KERNEL_ENUM(enumeration)
 *		the enumerators follow this entry
 *	KERNEL_VALUE(enumeration, enumerator)
 *		recorded
 *	KERNEL_FUNCTION(name, prototype)
 *		probed, and must be exported
 *	KERNEL_INLINE(name, prototype)
 *		probed only
 *	KERNEL_EXPORT(name)
 *		must be exported; any prototype is valid, because prototypes differ
 *		among kernels
 *
 * Before a file includes this list, it defines the kinds that it needs as macros,
 * and TCE2_API_ALL or the name of one part. Each part has a probe file. The kinds
 * are undefined at the end of the list, and there is no include guard, so a file
 * may include the list several times.
 *
 * The list omits the values of constants, and members whose type differs among
 * kernels (take_ownership). Separate probe files check them.
 *
 * This list is included by kernel code, by programs in user space, and by a file that is
 * only preprocessed (src/probes/exports). So the list includes no other file.
 */

#ifndef KERNEL_STRUCT
#define KERNEL_STRUCT(...)
#endif
#ifndef KERNEL_MEMBER
#define KERNEL_MEMBER(...)
#endif
#ifndef KERNEL_PROBED
#define KERNEL_PROBED(...)
#endif
#ifndef KERNEL_ENUM
#define KERNEL_ENUM(...)
#endif
#ifndef KERNEL_VALUE
#define KERNEL_VALUE(...)
#endif
#ifndef KERNEL_FUNCTION
#define KERNEL_FUNCTION(...)
#endif
#ifndef KERNEL_INLINE
#define KERNEL_INLINE(...)
#endif
#ifndef KERNEL_EXPORT
#define KERNEL_EXPORT(...)
#endif

#if defined(TCE2_API_VFIO_OPS) || defined(TCE2_API_ALL)
KERNEL_STRUCT(GIVEN, vfio_iommu_driver_ops)
KERNEL_MEMBER(vfio_iommu_driver_ops, name, char *)
KERNEL_MEMBER(vfio_iommu_driver_ops, owner, struct module *)
KERNEL_MEMBER(vfio_iommu_driver_ops, open, void *(*)(unsigned long))
KERNEL_MEMBER(vfio_iommu_driver_ops, release, void (*)(void *))
KERNEL_MEMBER(vfio_iommu_driver_ops, ioctl,
	      long (*)(void *, unsigned int, unsigned long))
KERNEL_MEMBER(vfio_iommu_driver_ops, attach_group,
	      int (*)(void *, struct iommu_group *, enum vfio_group_type))
KERNEL_MEMBER(vfio_iommu_driver_ops, detach_group,
	      void (*)(void *, struct iommu_group *))
KERNEL_MEMBER(vfio_iommu_driver_ops, pin_pages,
	      int (*)(void *, struct iommu_group *, dma_addr_t, int, int,
		      struct page **))
KERNEL_MEMBER(vfio_iommu_driver_ops, unpin_pages,
	      void (*)(void *, dma_addr_t, int))
KERNEL_MEMBER(vfio_iommu_driver_ops, register_device,
	      void (*)(void *, struct vfio_device *))
KERNEL_MEMBER(vfio_iommu_driver_ops, unregister_device,
	      void (*)(void *, struct vfio_device *))
KERNEL_MEMBER(vfio_iommu_driver_ops, dma_rw,
	      int (*)(void *, dma_addr_t, void *, size_t, bool))
KERNEL_MEMBER(vfio_iommu_driver_ops, group_iommu_domain,
	      struct iommu_domain *(*)(void *, struct iommu_group *))
#ifdef TCE2_API_ALL
/* The module sets notify for every kernel. Not probed, because Linux 6.3 removed it. */
KERNEL_MEMBER(vfio_iommu_driver_ops, notify, void (*)(void *, int))
#endif

KERNEL_ENUM(vfio_group_type)
KERNEL_VALUE(vfio_group_type, VFIO_IOMMU)
KERNEL_VALUE(vfio_group_type, VFIO_EMULATED_IOMMU)
KERNEL_VALUE(vfio_group_type, VFIO_NO_IOMMU)

KERNEL_FUNCTION(vfio_register_iommu_driver,
		int (const struct vfio_iommu_driver_ops *ops))
KERNEL_FUNCTION(vfio_unregister_iommu_driver,
		void (const struct vfio_iommu_driver_ops *ops))
#endif

#if defined(TCE2_API_VFIO_DEVICE) || defined(TCE2_API_ALL)
KERNEL_STRUCT(READ, vfio_device)
KERNEL_MEMBER(vfio_device, ops, const struct vfio_device_ops *)
KERNEL_MEMBER(vfio_device, iommu_entry, struct list_head)

KERNEL_STRUCT(READ, vfio_device_ops)
KERNEL_MEMBER(vfio_device_ops, dma_unmap, void (*)(struct vfio_device *, u64, u64))
#endif

#if defined(TCE2_API_IOMMU_TABLE) || defined(TCE2_API_ALL)
KERNEL_STRUCT(READ, iommu_table)
KERNEL_MEMBER(iommu_table, it_indirect_levels, unsigned long)
KERNEL_MEMBER(iommu_table, it_level_size, unsigned long)
KERNEL_MEMBER(iommu_table, it_nid, int)
KERNEL_MEMBER(iommu_table, it_index, unsigned long)
KERNEL_MEMBER(iommu_table, it_size, unsigned long)
KERNEL_MEMBER(iommu_table, it_offset, unsigned long)
KERNEL_MEMBER(iommu_table, it_base, unsigned long)
KERNEL_MEMBER(iommu_table, it_page_shift, unsigned long)
KERNEL_MEMBER(iommu_table, it_userspace, __be64 *)
KERNEL_MEMBER(iommu_table, it_ops, struct iommu_table_ops *)
KERNEL_MEMBER(iommu_table, it_kref, struct kref)
#endif

#if defined(TCE2_API_IOMMU_TABLE_OPS) || defined(TCE2_API_ALL)
KERNEL_STRUCT(READ, iommu_table_ops)
KERNEL_MEMBER(iommu_table_ops, set,
	      int (*)(struct iommu_table *, long, long, unsigned long,
		      enum dma_data_direction, unsigned long))
KERNEL_MEMBER(iommu_table_ops, xchg_no_kill,
	      int (*)(struct iommu_table *, long, unsigned long *,
		      enum dma_data_direction *))
KERNEL_MEMBER(iommu_table_ops, tce_kill,
	      void (*)(struct iommu_table *, unsigned long, unsigned long))
KERNEL_MEMBER(iommu_table_ops, useraddrptr,
	      __be64 *(*)(struct iommu_table *, long, bool))
KERNEL_MEMBER(iommu_table_ops, clear,
	      void (*)(struct iommu_table *, long, long))
KERNEL_MEMBER(iommu_table_ops, get,
	      unsigned long (*)(struct iommu_table *, long))
KERNEL_MEMBER(iommu_table_ops, flush, void (*)(struct iommu_table *))
KERNEL_MEMBER(iommu_table_ops, free, void (*)(struct iommu_table *))

KERNEL_ENUM(dma_data_direction)
KERNEL_VALUE(dma_data_direction, DMA_BIDIRECTIONAL)
KERNEL_VALUE(dma_data_direction, DMA_TO_DEVICE)
KERNEL_VALUE(dma_data_direction, DMA_FROM_DEVICE)
KERNEL_VALUE(dma_data_direction, DMA_NONE)
#endif

#if defined(TCE2_API_IOMMU_TABLE_GROUP) || defined(TCE2_API_ALL)
KERNEL_STRUCT(READ, iommu_table_group)
KERNEL_MEMBER(iommu_table_group, tce32_start, __u32)
KERNEL_MEMBER(iommu_table_group, tce32_size, __u32)
KERNEL_MEMBER(iommu_table_group, pgsizes, __u64)
KERNEL_MEMBER(iommu_table_group, max_dynamic_windows_supported, __u32)
KERNEL_MEMBER(iommu_table_group, max_levels, __u32)
KERNEL_MEMBER(iommu_table_group, ops, struct iommu_table_group_ops *)
#endif

#if defined(TCE2_API_IOMMU_TABLE_GROUP_OPS) || defined(TCE2_API_ALL)
KERNEL_STRUCT(READ, iommu_table_group_ops)
KERNEL_MEMBER(iommu_table_group_ops, get_table_size,
	      unsigned long (*)(__u32, __u64, __u32))
KERNEL_MEMBER(iommu_table_group_ops, create_table,
	      long (*)(struct iommu_table_group *, int, __u32, __u64, __u32,
		       struct iommu_table **))
KERNEL_MEMBER(iommu_table_group_ops, set_window,
	      long (*)(struct iommu_table_group *, int, struct iommu_table *))
KERNEL_MEMBER(iommu_table_group_ops, unset_window,
	      long (*)(struct iommu_table_group *, int))
#endif

#if defined(TCE2_API_TABLES) || defined(TCE2_API_ALL)
KERNEL_FUNCTION(iommu_tce_table_get,
		struct iommu_table *(struct iommu_table *tbl))
KERNEL_FUNCTION(iommu_tce_table_put, int (struct iommu_table *tbl))
KERNEL_FUNCTION(iommu_flush_tce, void (struct iommu_table *tbl))
/* Exported, but only if the kernel has CONFIG_PPC_PSERIES. The module then uses it. */
KERNEL_INLINE(plpar_hcall_norets, long (unsigned long opcode, ...))
KERNEL_FUNCTION(iommu_group_get_iommudata, void *(struct iommu_group *group))
KERNEL_FUNCTION(iommu_group_id, int (struct iommu_group *group))
KERNEL_FUNCTION(iommu_group_ref_get,
		struct iommu_group *(struct iommu_group *group))
KERNEL_FUNCTION(iommu_group_put, void (struct iommu_group *group))
KERNEL_FUNCTION(iommu_group_for_each_dev,
		int (struct iommu_group *group, void *data,
		     int (*fn)(struct device *, void *)))
#endif

#if defined(TCE2_API_KERNEL_LIST) || defined(TCE2_API_ALL)
KERNEL_FUNCTION(mm_iommu_new,
		long (struct mm_struct *mm, unsigned long ua,
		      unsigned long entries,
		      struct mm_iommu_table_group_mem_t **pmem))
KERNEL_FUNCTION(mm_iommu_put,
		long (struct mm_struct *mm,
		      struct mm_iommu_table_group_mem_t *mem))
KERNEL_FUNCTION(mm_iommu_lookup,
		struct mm_iommu_table_group_mem_t *(struct mm_struct *mm,
						    unsigned long ua,
						    unsigned long size))
KERNEL_FUNCTION(mm_iommu_ua_to_hpa,
		long (struct mm_iommu_table_group_mem_t *mem, unsigned long ua,
		      unsigned int pageshift, unsigned long *hpa))
KERNEL_FUNCTION(mm_iommu_mapped_dec,
		void (struct mm_iommu_table_group_mem_t *mem))
KERNEL_PROBED(mm_context_t, iommu_group_mem_list, struct list_head)
#endif

#if defined(TCE2_API_EEH) || defined(TCE2_API_ALL)
KERNEL_INLINE(eeh_enabled, bool (void))
KERNEL_FUNCTION(eeh_iommu_group_to_pe,
		struct eeh_pe *(struct iommu_group *group))
KERNEL_FUNCTION(eeh_pe_set_option, int (struct eeh_pe *pe, int option))
KERNEL_FUNCTION(eeh_pe_get_state, int (struct eeh_pe *pe))
KERNEL_FUNCTION(eeh_pe_reset,
		int (struct eeh_pe *pe, int option, bool include_passed))
KERNEL_FUNCTION(eeh_pe_configure, int (struct eeh_pe *pe))
KERNEL_FUNCTION(eeh_pe_inject_err,
		int (struct eeh_pe *pe, int type, int func, unsigned long addr,
		     unsigned long mask))
#endif

#if defined(TCE2_API_PAGES) || defined(TCE2_API_ALL)
KERNEL_FUNCTION(pin_user_pages_fast,
		int (unsigned long start, int nr_pages, unsigned int gup_flags,
		     struct page **pages))
KERNEL_FUNCTION(unpin_user_page, void (struct page *page))
KERNEL_FUNCTION(unpin_user_pages,
		void (struct page **pages, unsigned long npages))
KERNEL_FUNCTION(unpin_user_page_range_dirty_lock,
		void (struct page *page, unsigned long npages, bool make_dirty))
KERNEL_FUNCTION(account_locked_vm,
		int (struct mm_struct *mm, unsigned long pages, bool inc))
KERNEL_EXPORT(__account_locked_vm)
KERNEL_FUNCTION(vmalloc_to_page, struct page *(const void *addr))
KERNEL_STRUCT(READ, page)
KERNEL_MEMBER(page, _refcount, atomic_t)
#endif

#if defined(TCE2_API_MAPPINGS) || defined(TCE2_API_ALL)
KERNEL_FUNCTION(find_vma, struct vm_area_struct *(struct mm_struct *mm,
						  unsigned long addr))
KERNEL_INLINE(mmap_read_lock, void (struct mm_struct *mm))
KERNEL_INLINE(mmap_read_unlock, void (struct mm_struct *mm))
KERNEL_INLINE(mmgrab, void (struct mm_struct *mm))
KERNEL_INLINE(mmdrop, void (struct mm_struct *mm))
KERNEL_PROBED(struct mm_struct, mm_users, atomic_t)
KERNEL_STRUCT(READ, vm_area_struct)
KERNEL_MEMBER(vm_area_struct, vm_start, unsigned long)
KERNEL_MEMBER(vm_area_struct, vm_end, unsigned long)
KERNEL_MEMBER(vm_area_struct, vm_flags, vm_flags_t)
#endif

#if defined(TCE2_API_TREES) || defined(TCE2_API_ALL)
KERNEL_FUNCTION(xa_load, void *(struct xarray *xa, unsigned long index))
KERNEL_FUNCTION(xa_store, void *(struct xarray *xa, unsigned long index,
				 void *entry, gfp_t gfp))
KERNEL_FUNCTION(xa_find, void *(struct xarray *xa, unsigned long *index,
				unsigned long max, xa_mark_t filter))
KERNEL_FUNCTION(xa_erase, void *(struct xarray *xa, unsigned long index))
KERNEL_FUNCTION(xa_destroy, void (struct xarray *xa))
KERNEL_FUNCTION(rb_insert_color,
		void (struct rb_node *node, struct rb_root *root))
KERNEL_FUNCTION(rb_erase, void (struct rb_node *node, struct rb_root *root))
KERNEL_FUNCTION(rb_next, struct rb_node *(const struct rb_node *node))
KERNEL_FUNCTION(rb_first_postorder,
		struct rb_node *(const struct rb_root *root))
KERNEL_FUNCTION(rb_next_postorder,
		struct rb_node *(const struct rb_node *node))
KERNEL_PROBED(struct rb_root, rb_node, struct rb_node *)
KERNEL_PROBED(struct rb_node, rb_left, struct rb_node *)
KERNEL_PROBED(struct rb_node, rb_right, struct rb_node *)
#endif

#ifdef TCE2_API_ALL
/* Not probed, because src/layout.c asserts the type. */
KERNEL_STRUCT(READ, module)
KERNEL_MEMBER(module, name, char [])
#endif

#undef KERNEL_STRUCT
#undef KERNEL_MEMBER
#undef KERNEL_PROBED
#undef KERNEL_ENUM
#undef KERNEL_VALUE
#undef KERNEL_FUNCTION
#undef KERNEL_INLINE
#undef KERNEL_EXPORT
