/* SPDX-License-Identifier: GPL-2.0-only */
/* Interfaces between the source files of vfio_spapr_tce2_kvmplay. */
#ifndef PLAY_H
#define PLAY_H

#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/srcu.h>
#include <linux/types.h>

#include <asm/barrier.h>

#include "kvmplay.h"

struct iommu_table;
struct mm_struct;

/**
 * struct play_table - an IOMMU table attached to a guest's table
 * @next: entry in play_guest.tables or play_guest.leaked
 * @rcu: for the SRCU and RCU callbacks that put the reference to @tbl
 * @kref: counts the groups that have attached @tbl
 * @tbl: the IOMMU table
 */
struct play_table {
	struct list_head next;
	struct rcu_head rcu;
	struct kref kref;
	struct iommu_table *tbl;
};

/**
 * struct play_guest - TCE table of a guest, one for each open file
 * @lock: protects @page_shift to @leaked while tables are attached and detached
 * @mm: mm of the process that opened the file; hypercalls look up memory in it
 * @page_shift: log2 of the page size of the guest's TCEs, 0 before the first ATTACH
 * @start: first bus address of the guest's table
 * @size: bytes that the guest's table covers
 * @tables: struct play_table, read under play_srcu, changed under @lock
 * @leaked: struct play_table of references that KVM would never put
 * @stopped: a call has stopped
 * @release: the stopped call may continue
 */
struct play_guest {
	struct mutex lock;	/* protects page_shift to leaked */
	struct mm_struct *mm;
	unsigned int page_shift;
	u64 start;
	u64 size;
	struct list_head tables;
	struct list_head leaked;
	bool stopped;
	bool release;
};

extern struct srcu_struct play_srcu;

/* Set a flag that a stopped call and the thread that controls it share */
static inline void play_set(bool *flag, bool value)
{
	/* The reader of the flag sees all earlier stores */
	smp_store_release(flag, value);
}

static inline bool play_is_set(const bool *flag)
{
	/* Pairs with play_set() */
	return smp_load_acquire(flag);
}

/* Functions of hcall.c, whose caller holds play_srcu for reading */
int play_call(struct play_guest *guest, struct kvmplay_call *call);
int play_storm(struct play_guest *guest, struct kvmplay_storm *storm);
int play_raw(struct play_guest *guest, struct kvmplay_raw *raw);

#endif /* PLAY_H */
