/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Format of the layout record in a built module.
 *
 * No CRC covers struct vfio_iommu_driver_ops, which is private to vfio.ko. The
 * structures of the platform's tables may also lack a CRC. So the module
 * contains a record of the layout that the compiler used for these structures.
 * tools/preflight compares the record with the types of the kernel on which the
 * module will run.
 *
 * src/layout.c and tools/preflight include this header. It includes only headers
 * that both the kernel and programs have.
 */
#ifndef TCE2_LAYOUT_H
#define TCE2_LAYOUT_H

#include <linux/types.h>

/* The kernel frees .init.* sections after it has loaded a module. */
#define TCE2_LAYOUT_SECTION	".init.tce2_layout"

#define TCE2_LAYOUT_MAGIC	0x32656374	/* "tce2" */
#define TCE2_LAYOUT_VERSION	2

/**
 * enum tce2_layout_kind - kind of a layout record
 * @TCE2_LAYOUT_MEMBER: offset, size and type of a structure's member
 * @TCE2_LAYOUT_READ: a structure that the kernel makes and the module reads
 * @TCE2_LAYOUT_GIVEN: a structure that the module makes and the kernel reads;
 *	the kernel's structure must have no member that the module's structure lacks
 * @TCE2_LAYOUT_ENUM: an enumeration
 * @TCE2_LAYOUT_VALUE: value of an enumerator
 */
enum tce2_layout_kind {
	TCE2_LAYOUT_MEMBER,
	TCE2_LAYOUT_READ,
	TCE2_LAYOUT_GIVEN,
	TCE2_LAYOUT_ENUM,
	TCE2_LAYOUT_VALUE,
};

/**
 * struct tce2_layout_header - header at the beginning of the section
 * @magic: TCE2_LAYOUT_MAGIC
 * @version: TCE2_LAYOUT_VERSION; any other version has another record format
 * @record_size: size of a record in bytes
 * @records: number of records after the header
 * @page_shift: PAGE_SHIFT of the kernel that the module was built for
 * @reserved: 0
 *
 * All numbers are little-endian, like the module.
 */
struct tce2_layout_header {
	__u32 magic;
	__u32 version;
	__u32 record_size;
	__u32 records;
	__u32 page_shift;
	__u32 reserved;
};

/**
 * struct tce2_layout_record - a structure, a member, an enumeration or an enumerator
 * @object: name of the structure or the enumeration
 * @member: name of the member or enumerator; empty for the object itself
 * @type: the member's type in C syntax
 * @kind: an enum tce2_layout_kind
 * @offset: offset of the member in bytes, or value of the enumerator
 * @size: size of the member or the object in bytes
 * @reserved: 0
 */
struct tce2_layout_record {
	char object[32];
	char member[32];
	char type[128];
	__u32 kind;
	__u32 offset;
	__u32 size;
	__u32 reserved;
};

#endif /* TCE2_LAYOUT_H */
