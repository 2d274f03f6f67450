// SPDX-License-Identifier: GPL-2.0-only
/*
 * Change of owner: the windows of a container move to another process.
 *
 * Checks that the windows may move, and moves them. src/owner.c has the other steps of the
 * change. It freezes the requests of the container before, and thaws them afterwards
 * (tce2_ddw_freeze() and tce2_ddw_thaw(), with the other functions for locks in src/ddw.c).
 *
 * Owns @taker of struct tce2_ddw. Locks: lock of struct tce2_ddw, for reading to check and for
 * writing to move. It is taken without the counts of writers, because the requests are frozen.
 * tce2_ddw_uncount() comes before, and locks for reading like a request.
 * Calls: ddw, kvm, tce_v2.
 */
#include <linux/refcount.h>
#include <linux/rwsem.h>
#include <linux/sched/signal.h>

#include "tce2_ddw.h"
#include "tce2_ddw_request.h"
#include "tce2_kvm.h"
#include "tce2_tce_v2.h"
#include "tce2_why.h"

/* Checks that a window may move to another process */
static int ddw_check_movable(const struct tce2_window *window)
{
	if (tce2_kvm_refs(window->kvm))
		return tce2_refuse(-EBUSY, TCE2_WHY_KVM_USES_MEMORY);
	/*
	 * Two references: of the owner and of KVM's hooks. Another module may have further
	 * references, and so does the TCE_CREATE that will publish the window.
	 */
	if (refcount_read(&window->refs) > 2)
		return tce2_refuse(-EBUSY, TCE2_WHY_OWNER_BUSY);
	return 0;
}

/**
 * tce2_ddw_check_move() - check that the windows may move to another process
 * @ddw: the groups and windows
 * @charge: the number of pages that are charged for the tables is added to it
 *
 * Context: may sleep.
 * Return: 0; -EBUSY if a TCE_CREATE is running, or if KVM or another module uses a window;
 * -EINTR after a fatal signal.
 */
int tce2_ddw_check_move(struct tce2_ddw *ddw, u64 *charge)
{
	int slot, ret = 0;

	if (down_read_killable(&ddw->lock))
		return -EINTR;
	for (slot = 0; slot < TCE2_NR_SLOTS && !ret; slot++) {
		struct tce2_window *window = ddw->window[slot];

		if (!window)
			continue;
		ret = ddw_check_movable(window);
		*charge += READ_ONCE(window->table.charge.pages);
	}
	up_read(&ddw->lock);
	return ret;
}

/* Undoes KVM's counts in one leaf; returns the value of tce2_window_uncount(), or an error */
static int ddw_uncount_some(struct tce2_ddw *ddw, int slot, u64 *index,
			    enum tce2_patience patience)
{
	int ret = tce2_ddw_begin_request(ddw);

	if (ret)
		return ret;
	if (ddw->window[slot])
		ret = tce2_window_uncount(ddw->window[slot], index, patience);
	tce2_ddw_end_request(ddw);
	return ret;
}

static int ddw_uncount_window(struct tce2_ddw *ddw, int slot)
{
	enum tce2_patience patience = TCE2_YIELDS;
	u64 index = 0;
	int ret, seen;

	do {
		if (fatal_signal_pending(current))
			return -EINTR;
		seen = atomic_read(&ddw->writes);
		ret = ddw_uncount_some(ddw, slot, &index, patience);
		if (ret == -EAGAIN) {
			patience = TCE2_YIELDS_TO_VFIO;
			ret = tce2_ddw_wait_for_writer(ddw, seen) ?: 1;
		}
		cond_resched();
	} while (ret > 0);
	return ret;
}

/**
 * tce2_ddw_uncount() - undo KVM's counts of the pages that the windows map
 * @ddw: the groups and windows
 *
 * The mappings stay. If KVM maps meanwhile, its new counts may stay.
 *
 * Context: may sleep; a fatal signal interrupts it.
 * Return: 0 or -EINTR.
 */
int tce2_ddw_uncount(struct tce2_ddw *ddw)
{
	int slot, ret = 0;

	for (slot = 0; slot < TCE2_NR_SLOTS && !ret; slot++)
		ret = ddw_uncount_window(ddw, slot);
	return ret;
}

/**
 * tce2_ddw_move() - make the windows the windows of another process
 * @ddw: the groups and windows, frozen
 * @mm: the process's mm, to which the caller has charged the tables
 *
 * The mappings and the tables do not change, so devices continue. Requests of the old process
 * that wait for @lock return -EPERM afterwards.
 *
 * Context: may sleep; can't be interrupted.
 * Return: number of pages that are charged for the tables. The caller refunds them to the old
 * process.
 */
u64 tce2_ddw_move(struct tce2_ddw *ddw, struct mm_struct *mm)
{
	u64 pages = 0;
	int slot;

	down_write(&ddw->lock);
	ddw->taker = mm;
	for (slot = 0; slot < TCE2_NR_SLOTS; slot++) {
		if (ddw->window[slot])
			pages += tce2_kvm_move(ddw->window[slot]->kvm, mm);
	}
	up_write(&ddw->lock);
	return pages;
}
