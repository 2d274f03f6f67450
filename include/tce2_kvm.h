/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TCE2_KVM_H
#define TCE2_KVM_H

#include <linux/compiler.h>
#include <linux/kref.h>
#include <linux/refcount.h>
#include <linux/types.h>
#include <linux/workqueue.h>

#include <asm/iommu.h>

#include "tce2_table.h"

struct mm_struct;
struct tce2_cache;
struct tce2_window;

/**
 * struct tce2_kvm - KVM's hooks at a window's table
 * @ops: the table's it_ops: the platform's operations, except xchg_no_kill,
 *	tce_kill, useraddrptr and free, which are hooks of src/kvm.c; immutable
 * @platform: the platform's operations, immutable
 * @kill: the platform's tce_kill; NULL if devices see an entry only after a
 *	flush, too; immutable
 * @tbl: the table, immutable
 * @window: the window, with a reference, immutable
 * @cache: the window's region cache; a hook uses it only while it has a leaf of
 *	the window locked; immutable
 * @entries: TCEs of the window; its table may have more, immutable
 * @slow_bits: tce_kill() takes the slow path for a user address with one of
 *	these bits: the bits below the IOMMU page size; ALWAYS_SLOW if IOMMU
 *	pages are larger than the kernel's; immutable
 * @mm: mm of the process whose memory is mapped, with a reference (mmgrab()),
 *	immutable
 * @refs: one for the table, until the table is freed, and one for the owner of
 *	the window
 * @platform_refs: references to the table that the platform and this module
 *	have; written under the owner's lock
 * @charge: the charge to refund when the table is freed; set by the owner before it
 *	drops its reference
 * @no_region: a user address in no region, which useraddrptr returns where KVM
 *	has nothing to undo
 * @called: KVM has called a hook
 * @counted: KVM has mapped in the window, which kvm_windows counts
 * @tripped: hooks decline all maps, because KVM called them in an unexpected
 *	order or for memory that only another driver has registered
 * @work: frees the hooks and refunds the charge, because the last reference may
 *	be dropped in a softirq
 *
 * KVM gets references to the table, not to the window. It goes on calling hooks
 * after the window is removed or the container closed, so the hooks live as
 * long as the table.
 */
struct tce2_kvm {
	struct iommu_table_ops ops;
	const struct iommu_table_ops *platform;
	void (*kill)(struct iommu_table *tbl, unsigned long index,
		     unsigned long pages);
	struct iommu_table *tbl;
	struct tce2_window *window;
	struct tce2_cache *cache;
	u64 entries;
	u64 slow_bits;
	struct mm_struct *mm;
	refcount_t refs;
	unsigned int platform_refs;
	struct tce2_charge charge;
	__be64 no_region;
	bool called;
	bool counted;
	bool tripped;
	struct work_struct work;
};

struct tce2_kvm *tce2_kvm_alloc(void);
int tce2_kvm_install(struct tce2_kvm *kvm, struct tce2_window *window,
		     unsigned int platform_refs);
void tce2_kvm_release(struct tce2_kvm *kvm, struct tce2_charge charge);
void tce2_kvm_break_off(void);
bool tce2_kvm_maps(struct tce2_kvm *kvm);

/**
 * tce2_kvm_expect() - set how many references to a table are not KVM's
 * @kvm: the operations at the table
 * @refs: references of the platform and this module
 *
 * Context: the window's owner is locked for writing.
 */
static inline void tce2_kvm_expect(struct tce2_kvm *kvm, unsigned int refs)
{
	WRITE_ONCE(kvm->platform_refs, refs);
}

/* KVM has mapped in a window; set once */
extern bool tce2_kvm_in_use;

/**
 * tce2_kvm_settle() - end the bracket that KVM should have ended
 *
 * A thread that makes a request is not between begin and commit, unless KVM calls the
 * hooks in an unknown order. Then the request would wait for a leaf that its own
 * thread has locked.
 *
 * Context: process context, no lock held.
 */
static inline void tce2_kvm_settle(void)
{
	if (unlikely(READ_ONCE(tce2_kvm_in_use)))
		tce2_kvm_break_off();
}

/**
 * tce2_kvm_attached() - guess whether KVM uses a table
 * @kvm: the operations at the table
 *
 * KVM does not announce itself: KVM_DEV_VFIO_GROUP_SET_SPAPR_TCE only gets a
 * reference to the table. If the guess is wrong, mirrors are made too late or
 * in vain.
 *
 * Context: any.
 * Return: true if KVM seems to use the table.
 */
static inline bool tce2_kvm_attached(const struct tce2_kvm *kvm)
{
	return READ_ONCE(kvm->called) ||
	       kref_read(&kvm->tbl->it_kref) > READ_ONCE(kvm->platform_refs);
}

#endif /* TCE2_KVM_H */
