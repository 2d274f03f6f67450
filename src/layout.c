// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the module takes for granted of the kernel's structures, as data.
 *
 * Owns the one list of the members that the other files use and that no CRC
 * covers; include/tce2_layout.h has the format, tools/preflight reads it from
 * the built module. Nothing in it runs, and it is freed after the load.
 *
 * The members that only kernels before 6.4 have used (take_ownership and
 * release_ownership, which took another form there) are left out: those
 * kernels describe no types that it could be compared with.
 *
 * Locks: none.
 * Calls: nothing.
 */
#include <linux/build_bug.h>
#include <linux/compiler.h>
#include <linux/dma-direction.h>
#include <linux/mm_types.h>
#include <linux/module.h>
#include <linux/stddef.h>

#include <asm/iommu.h>
#include <asm/page.h>

#include "tce2_compat.h"
#include "tce2_layout.h"

/*
 * S(kind, structure), then M(structure, member, type) for what is used of it;
 * E(enumeration), then V(enumeration, enumerator).
 * (checkpatch takes the list for statements and its arguments for values. It has
 * neither: these are macros, and make initializers or assertions of it.)
 */
#define TCE2_LAYOUT(S, M, E, V)						\
	S(GIVEN, vfio_iommu_driver_ops)					\
	M(vfio_iommu_driver_ops, name, char *)				\
	M(vfio_iommu_driver_ops, owner, struct module *)		\
	M(vfio_iommu_driver_ops, open, void *(*)(unsigned long))	\
	M(vfio_iommu_driver_ops, release, void (*)(void *))		\
	M(vfio_iommu_driver_ops, ioctl,					\
	  long (*)(void *, unsigned int, unsigned long))		\
	M(vfio_iommu_driver_ops, attach_group,				\
	  int (*)(void *, struct iommu_group *, enum vfio_group_type))	\
	M(vfio_iommu_driver_ops, detach_group,				\
	  void (*)(void *, struct iommu_group *))			\
	M(vfio_iommu_driver_ops, pin_pages,				\
	  int (*)(void *, struct iommu_group *, dma_addr_t, int, int,	\
		  struct page **))					\
	M(vfio_iommu_driver_ops, unpin_pages,				\
	  void (*)(void *, dma_addr_t, int))				\
	M(vfio_iommu_driver_ops, register_device,			\
	  void (*)(void *, struct vfio_device *))			\
	M(vfio_iommu_driver_ops, unregister_device,			\
	  void (*)(void *, struct vfio_device *))			\
	M(vfio_iommu_driver_ops, dma_rw,				\
	  int (*)(void *, dma_addr_t, void *, size_t, bool))		\
	M(vfio_iommu_driver_ops, group_iommu_domain,			\
	  struct iommu_domain *(*)(void *, struct iommu_group *))	\
	M(vfio_iommu_driver_ops, notify, void (*)(void *, int))		\
									\
	S(READ, iommu_table)						\
	M(iommu_table, it_indirect_levels, unsigned long)		\
	M(iommu_table, it_level_size, unsigned long)			\
	M(iommu_table, it_offset, unsigned long)			\
	M(iommu_table, it_base, unsigned long)				\
	M(iommu_table, it_page_shift, unsigned long)			\
	M(iommu_table, it_userspace, __be64 *)				\
	M(iommu_table, it_ops, struct iommu_table_ops *)		\
	M(iommu_table, it_kref, struct kref)				\
									\
	S(READ, iommu_table_ops)					\
	M(iommu_table_ops, set,						\
	  int (*)(struct iommu_table *, long, long, unsigned long,	\
		  enum dma_data_direction, unsigned long))		\
	M(iommu_table_ops, xchg_no_kill,				\
	  int (*)(struct iommu_table *, long, unsigned long *,		\
		  enum dma_data_direction *))				\
	M(iommu_table_ops, tce_kill,					\
	  void (*)(struct iommu_table *, unsigned long, unsigned long))	\
	M(iommu_table_ops, useraddrptr,					\
	  __be64 *(*)(struct iommu_table *, long, bool))		\
	M(iommu_table_ops, clear,					\
	  void (*)(struct iommu_table *, long, long))			\
	M(iommu_table_ops, get,						\
	  unsigned long (*)(struct iommu_table *, long))		\
	M(iommu_table_ops, flush, void (*)(struct iommu_table *))	\
	M(iommu_table_ops, free, void (*)(struct iommu_table *))	\
									\
	S(READ, iommu_table_group)					\
	M(iommu_table_group, tce32_start, __u32)			\
	M(iommu_table_group, tce32_size, __u32)				\
	M(iommu_table_group, pgsizes, __u64)				\
	M(iommu_table_group, max_dynamic_windows_supported, __u32)	\
	M(iommu_table_group, max_levels, __u32)				\
	M(iommu_table_group, ops, struct iommu_table_group_ops *)	\
									\
	S(READ, iommu_table_group_ops)					\
	M(iommu_table_group_ops, get_table_size,			\
	  unsigned long (*)(__u32, __u64, __u32))			\
	M(iommu_table_group_ops, create_table,				\
	  long (*)(struct iommu_table_group *, int, __u32, __u64,	\
		   __u32, struct iommu_table **))			\
	M(iommu_table_group_ops, set_window,				\
	  long (*)(struct iommu_table_group *, int,			\
		   struct iommu_table *))				\
	M(iommu_table_group_ops, unset_window,				\
	  long (*)(struct iommu_table_group *, int))			\
									\
	S(READ, page)							\
	M(page, _refcount, atomic_t)					\
									\
	S(READ, vm_area_struct)						\
	M(vm_area_struct, vm_start, unsigned long)			\
	M(vm_area_struct, vm_end, unsigned long)			\
	M(vm_area_struct, vm_flags, vm_flags_t)				\
									\
	S(READ, module)							\
	M(module, name, char [])					\
									\
	E(vfio_group_type)						\
	V(vfio_group_type, VFIO_IOMMU)					\
	V(vfio_group_type, VFIO_EMULATED_IOMMU)				\
	V(vfio_group_type, VFIO_NO_IOMMU)				\
									\
	E(dma_data_direction)						\
	V(dma_data_direction, DMA_BIDIRECTIONAL)			\
	V(dma_data_direction, DMA_TO_DEVICE)				\
	V(dma_data_direction, DMA_FROM_DEVICE)				\
	V(dma_data_direction, DMA_NONE)

#define STRUCTURE_RECORD(_kind, _object)				\
	{								\
		.object	= #_object,					\
		.kind	= TCE2_LAYOUT_##_kind,				\
		.size	= sizeof(struct _object),			\
	},

#define MEMBER_RECORD(_object, _member, _type)				\
	{								\
		.object	= #_object,					\
		.member	= #_member,					\
		.type	= #_type,					\
		.kind	= TCE2_LAYOUT_MEMBER,				\
		.offset	= offsetof(struct _object, _member),		\
		.size	= sizeof_field(struct _object, _member),	\
	},

#define ENUM_RECORD(_object)						\
	{								\
		.object	= #_object,					\
		.kind	= TCE2_LAYOUT_ENUM,				\
		.size	= sizeof(enum _object),				\
	},

#define VALUE_RECORD(_object, _value)					\
	{								\
		.object	= #_object,					\
		.member	= #_value,					\
		.kind	= TCE2_LAYOUT_VALUE,				\
		.offset	= _value,					\
		.size	= sizeof(enum _object),				\
	},

/* The strings are true, and end within their arrays. */
#define STRUCTURE_CHECK(_kind, _object)					\
	static_assert(sizeof(#_object) <=				\
		      sizeof_field(struct tce2_layout_record, object));

#define MEMBER_CHECK(_object, _member, _type)				\
	static_assert(__same_type(((struct _object *)0)->_member,	\
				  *(typeof(_type) *)0));		\
	static_assert(sizeof(#_member) <=				\
		      sizeof_field(struct tce2_layout_record, member)); \
	static_assert(sizeof(#_type) <=					\
		      sizeof_field(struct tce2_layout_record, type));

#define ENUM_CHECK(_object)						\
	static_assert(sizeof(#_object) <=				\
		      sizeof_field(struct tce2_layout_record, object));

#define VALUE_CHECK(_object, _value)					\
	static_assert(sizeof(#_value) <=				\
		      sizeof_field(struct tce2_layout_record, member));

TCE2_LAYOUT(STRUCTURE_CHECK, MEMBER_CHECK, ENUM_CHECK, VALUE_CHECK)

#define COUNT_ONE(...)	+ 1

static const struct {
	struct tce2_layout_header header;
	struct tce2_layout_record records[TCE2_LAYOUT(COUNT_ONE, COUNT_ONE,
						      COUNT_ONE, COUNT_ONE)];
} tce2_layout __used __section(TCE2_LAYOUT_SECTION) = {
	.header = {
		.magic		= TCE2_LAYOUT_MAGIC,
		.version	= TCE2_LAYOUT_VERSION,
		.record_size	= sizeof(struct tce2_layout_record),
		.records	= ARRAY_SIZE(tce2_layout.records),
		.page_shift	= PAGE_SHIFT,
	},
	.records = {
		TCE2_LAYOUT(STRUCTURE_RECORD, MEMBER_RECORD,
			    ENUM_RECORD, VALUE_RECORD)
	},
};
