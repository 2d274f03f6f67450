/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The record of the kernel's layout that a built module carries.
 *
 * No CRC covers struct vfio_iommu_driver_ops, which vfio.ko keeps to itself,
 * and none is sure to cover what the module reads of the platform's tables. The
 * compiler writes into the module what it took for granted of them, and
 * tools/preflight compares that with the types of the kernel that it is to run
 * on.
 *
 * Included by src/layout.c and by tools/preflight; includes only what both the
 * kernel and programs have.
 */
#ifndef TCE2_LAYOUT_H
#define TCE2_LAYOUT_H

#include <linux/types.h>

/* Freed after the module is loaded, as everything whose name begins so. */
#define TCE2_LAYOUT_SECTION	".init.tce2_layout"

#define TCE2_LAYOUT_MAGIC	0x32656374	/* "tce2" */
#define TCE2_LAYOUT_VERSION	2

/**
 * enum tce2_layout_kind - what a record is about
 * @TCE2_LAYOUT_MEMBER: a member: where it is, how large, of which type
 * @TCE2_LAYOUT_READ: a structure that the kernel makes and the module reads
 * @TCE2_LAYOUT_GIVEN: a structure that the module makes and the kernel reads,
 *	so that the kernel must not know a member that the module doesn't
 * @TCE2_LAYOUT_ENUM: an enumeration
 * @TCE2_LAYOUT_VALUE: an enumerator of one: which value it has
 */
enum tce2_layout_kind {
	TCE2_LAYOUT_MEMBER,
	TCE2_LAYOUT_READ,
	TCE2_LAYOUT_GIVEN,
	TCE2_LAYOUT_ENUM,
	TCE2_LAYOUT_VALUE,
};

/**
 * struct tce2_layout_header - what the section begins with
 * @magic: TCE2_LAYOUT_MAGIC
 * @version: TCE2_LAYOUT_VERSION; another one means another record
 * @record_size: bytes a record
 * @records: how many follow
 * @page_shift: of the kernel the module was built for
 * @reserved: 0
 *
 * All numbers are little-endian, as the module is.
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
 * struct tce2_layout_record - a structure or a member of one, or an enumeration
 * @object: name of the structure or the enumeration
 * @member: name of the member or enumerator; empty for the object itself
 * @type: the member's type as C spells it
 * @kind: an enum tce2_layout_kind
 * @offset: of the member, in bytes; an enumerator's value
 * @size: of the member or the object, in bytes
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
