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
 * Calls: kvm.
 */
#include <linux/refcount.h>
#include <linux/rwsem.h>

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
