/* SPDX-License-Identifier: GPL-2.0-only */
/* What the two halves of vfio_spapr_tce2_kvmplay share. */
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
 * @next: in play_guest.tables
 * @rcu: for the callbacks that put the reference to @tbl
 * @kref: groups that have attached it
 * @tbl: the table
 */
struct play_table {
	struct list_head next;
	struct rcu_head rcu;
	struct kref kref;
	struct iommu_table *tbl;
};

/**
 * struct play_guest - TCE table of a guest: an open file
 * @lock: held to attach and detach
 * @mm: the opener's, which hypercalls look memory up in
 * @page_shift: log2 of the page size of the guest's TCEs, 0 before the first ATTACH
 * @start: first bus address
 * @size: bytes
 * @tables: struct play_table, read under play_srcu, changed under @lock
 * @leaked: struct play_table of references that KVM would never put
 * @stopped: a call has stopped
 * @release: it may go on
 */
struct play_guest {
	struct mutex lock;	/* guards page_shift to leaked */
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

/* A flag between a stopped call and the thread that drives it */
static inline void play_set(bool *flag, bool value)
{
	/* Whatever was done before the flag changed is visible to its reader */
	smp_store_release(flag, value);
}

static inline bool play_is_set(const bool *flag)
{
	/* Pairs with play_set() */
	return smp_load_acquire(flag);
}

/* hcall.c: the caller holds play_srcu for reading */
int play_call(struct play_guest *guest, struct kvmplay_call *call);
int play_storm(struct play_guest *guest, struct kvmplay_storm *storm);
int play_raw(struct play_guest *guest, struct kvmplay_raw *raw);

#endif /* PLAY_H */
