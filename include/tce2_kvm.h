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
 * struct tce2_kvm - the hooks that KVM calls for a window's table
 * @ops: the table's it_ops: the platform's operations, except xchg_no_kill,
 *	tce_kill, useraddrptr and free, which are hooks of src/kvm.c; immutable
 * @platform: the platform's operations, immutable
 * @kill: the platform's tce_kill; NULL if the platform also needs a flush before
 *	devices see an entry; immutable
 * @tbl: the table, immutable
 * @window: the window, with a reference, immutable
 * @cache: the window's region cache; a hook uses the cache only while the hook has
 *	locked a leaf of the window's view; immutable
 * @entries: number of TCEs of the window; the table may have more; immutable
 * @slow_bits: kvm_tce_kill() takes the slow path if one of these bits is set in the
 *	user address. They are the bits below the IOMMU page size, or ALWAYS_SLOW
 *	if IOMMU pages are larger than the kernel's pages; immutable
 * @mm: mm of the process whose memory is mapped, with a reference (mmgrab()). Changed by a
 *	thread that has locked all leaves of the window's view (tce2_kvm_move()). A hook
 *	that changes an entry reads @mm with the entry's leaf locked
 * @refs: number of references. The table has one until it is freed, and the owner of
 *	the window has one
 * @platform_refs: number of references to the table that the platform and this
 *	module have; written under the lock of the window's owner (struct tce2_ddw)
 * @charge: the charge to refund when the table is freed; set by the owner before
 *	the owner puts its reference
 * @no_region: a user address in no region; kvm_useraddrptr() returns a pointer to
 *	it after a declined unmap
 * @called: KVM has called the hook to unmap, or a hook has declined a map
 * @counted: KVM has mapped in the window, so kvm_windows counts the window
 * @tripped: the hooks decline all maps, because KVM called them in an unexpected
 *	order or for memory that only another driver has registered
 * @work: frees the hooks and refunds the charge in process context, because the
 *	last reference may be put in a softirq
 *
 * KVM gets references to the table, not to the window. KVM may call hooks after
 * the window is removed or the container is closed, so the hooks live as long as
 * the table.
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
u64 tce2_kvm_move(struct tce2_kvm *kvm, struct mm_struct *mm);
void tce2_kvm_release(struct tce2_kvm *kvm, struct tce2_charge charge);
void tce2_kvm_break_off(void);
bool tce2_kvm_maps(struct tce2_kvm *kvm);

/**
 * tce2_kvm_expect() - set the expected number of references to a table, except KVM's
 * @kvm: the hooks at the table
 * @refs: number of references of the platform and this module
 *
 * Context: the caller holds the lock of the window's owner for writing.
 */
static inline void tce2_kvm_expect(struct tce2_kvm *kvm, unsigned int refs)
{
	WRITE_ONCE(kvm->platform_refs, refs);
}

/* True after KVM has mapped in a window for the first time; never cleared */
extern bool tce2_kvm_in_use;

/**
 * tce2_kvm_settle() - end a mapping that KVM has begun in this thread and not completed
 *
 * Every request calls this function before it takes a lock or sleeps. While KVM maps an
 * entry, KVM's thread has an open bracket (src/kvm.c), which keeps the entry's leaf locked.
 * KVM normally closes the bracket before its thread can make a request. If KVM called the
 * hooks in an unexpected order, the bracket may still be open. Then the request would wait
 * for a leaf that its own thread has locked.
 *
 * Context: process context, no lock held.
 */
static inline void tce2_kvm_settle(void)
{
	if (unlikely(READ_ONCE(tce2_kvm_in_use)))
		tce2_kvm_break_off();
}

/**
 * tce2_kvm_refs() - count KVM's references to a table
 * @kvm: the hooks at the table
 *
 * Context: any. While a group joins or leaves, the result may be too high by one.
 * Return: number of references that neither the platform nor this module has.
 */
static inline unsigned int tce2_kvm_refs(const struct tce2_kvm *kvm)
{
	unsigned int refs = kref_read(&kvm->tbl->it_kref);
	unsigned int expected = READ_ONCE(kvm->platform_refs);

	return refs > expected ? refs - expected : 0;
}

/**
 * tce2_kvm_attached() - guess whether KVM uses a table
 * @kvm: the hooks at the table
 *
 * KVM attaches to a table without notice: KVM_DEV_VFIO_GROUP_SET_SPAPR_TCE only gets a
 * reference to the table. If the guess is wrong, mirrors are made too late or
 * without need.
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
