// SPDX-License-Identifier: GPL-2.0-only
/*
 * Layout: records the layout of the kernel's structures in the built module.
 *
 * Owns the layout record, which is made from the list include/tce2_kernel_api.h.
 * include/tce2_layout.h defines the format. tools/preflight reads the record from
 * the built module. The record contains no code, and .init.* sections are freed
 * after module load.
 *
 * The record omits take_ownership and release_ownership. The module uses these
 * members only on kernels before 6.4, where they have other types. Those kernels
 * have no type information with which the record could be compared.
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
#include <linux/vfio.h>

#include <asm/iommu.h>
#include <asm/page.h>

#include "tce2_compat.h"
#include "tce2_layout.h"

#define TCE2_API_ALL

/*
 * Assert that each string fits into its array, and that each member has the type
 * that the list names.
 */
#define FITS(_text, _array)						\
	static_assert(sizeof(_text) <=					\
		      sizeof_field(struct tce2_layout_record, _array))

#define KERNEL_STRUCT(_kind, _object)					\
	FITS(#_object, object);

#define KERNEL_MEMBER(_object, _member, _type)				\
	static_assert(__same_type(((struct _object *)0)->_member,	\
				  *(typeof(_type) *)0));		\
	FITS(#_member, member);						\
	FITS(#_type, type);

#define KERNEL_ENUM(_object)						\
	FITS(#_object, object);

#define KERNEL_VALUE(_object, _value)					\
	FITS(#_value, member);

#include "tce2_kernel_api.h"

/* Number the records; the last enumerator is the number of records */
enum {
#define KERNEL_STRUCT(_kind, _object)		RECORD_##_object,
#define KERNEL_MEMBER(_object, _member, _type)	RECORD_##_object##__##_member,
#define KERNEL_ENUM(_object)			RECORD_##_object,
#define KERNEL_VALUE(_object, _value)		RECORD_##_object##__##_value,
#include "tce2_kernel_api.h"
	RECORDS
};

#define KERNEL_STRUCT(_kind, _object)					\
	{								\
		.object	= #_object,					\
		.kind	= TCE2_LAYOUT_##_kind,				\
		.size	= sizeof(struct _object),			\
	},

#define KERNEL_MEMBER(_object, _member, _type)				\
	{								\
		.object	= #_object,					\
		.member	= #_member,					\
		.type	= #_type,					\
		.kind	= TCE2_LAYOUT_MEMBER,				\
		.offset	= offsetof(struct _object, _member),		\
		.size	= sizeof_field(struct _object, _member),	\
	},

#define KERNEL_ENUM(_object)						\
	{								\
		.object	= #_object,					\
		.kind	= TCE2_LAYOUT_ENUM,				\
		.size	= sizeof(enum _object),				\
	},

#define KERNEL_VALUE(_object, _value)					\
	{								\
		.object	= #_object,					\
		.member	= #_value,					\
		.kind	= TCE2_LAYOUT_VALUE,				\
		.offset	= _value,					\
		.size	= sizeof(enum _object),				\
	},

static const struct {
	struct tce2_layout_header header;
	struct tce2_layout_record records[RECORDS];
} tce2_layout __used __section(TCE2_LAYOUT_SECTION) = {
	.header = {
		.magic		= TCE2_LAYOUT_MAGIC,
		.version	= TCE2_LAYOUT_VERSION,
		.record_size	= sizeof(struct tce2_layout_record),
		.records	= RECORDS,
		.page_shift	= PAGE_SHIFT,
	},
	.records = {
#include "tce2_kernel_api.h"
	},
};
