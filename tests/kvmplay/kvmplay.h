/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Ioctls of /dev/tce2-kvmplay, which plays KVM's part in TCE hypercalls.
 * Included by the module (tests/kvmplay) and by programs of the emulated machine.
 *
 * Each open file is the TCE table of a guest, bound to the mm of the process that
 * opened the file. IOMMU tables are attached to the guest's table. A hypercall changes
 * all attached tables through the hooks of struct iommu_table_ops, in KVM's order.
 */
#ifndef KVMPLAY_H
#define KVMPLAY_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define KVMPLAY_DEVICE		"/dev/tce2-kvmplay"

/* Results of a hypercall, as in asm/hvcall.h */
#define KVMPLAY_SUCCESS		0
#define KVMPLAY_TOO_HARD	9999
#define KVMPLAY_PARAMETER	(-4)

/* Maximum number of TCEs in one H_PUT_TCE_INDIRECT, LoPAR 14.5.4.2.3 */
#define KVMPLAY_LIST		512

/* Longest stop: the stopped call spins with interrupts on, and no other task runs on its CPU */
#define KVMPLAY_STOP_MS		2000

/**
 * struct kvmplay_attach - attach the first matching IOMMU table, or detach a group
 * @group: number of the IOMMU group
 * @page_shift: log2 of the page size of the guest's TCEs
 * @start: first bus address of the guest's table
 * @size: bytes that the guest's table covers
 *
 * KVMPLAY_DETACH reads only @group. Like KVM, it detaches only tables that the group still
 * has, and puts their references in RCU callbacks.
 */
struct kvmplay_attach {
	__u32 group;
	__u32 page_shift;
	__u64 start;
	__u64 size;
};

enum kvmplay_op {
	KVMPLAY_PUT,		/* H_PUT_TCE, once for each page */
	KVMPLAY_INDIRECT,	/* H_PUT_TCE_INDIRECT */
	KVMPLAY_STUFF,		/* H_STUFF_TCE */
};

/**
 * enum kvmplay_step - steps of a hypercall, which are counted, and at which a call can stop
 * @KVMPLAY_NOWHERE: no step: do not stop
 * @KVMPLAY_VALIDATE: check of one TCE, before any change
 * @KVMPLAY_M1: useraddrptr(alloc=true)
 * @KVMPLAY_LOOKUP: mm_iommu_lookup() for a map
 * @KVMPLAY_INC: mm_iommu_mapped_inc()
 * @KVMPLAY_X1: iommu_tce_xchg_no_kill() of a map
 * @KVMPLAY_STORE: store of the user address through the pointer from useraddrptr()
 * @KVMPLAY_K: iommu_tce_kill()
 * @KVMPLAY_X0: iommu_tce_xchg_no_kill() of an unmap
 * @KVMPLAY_U: useraddrptr(alloc=false), for the old entry
 * @KVMPLAY_XR: iommu_tce_xchg_no_kill() that restores an entry
 * @KVMPLAY_ZAP: iommu_tce_xchg_no_kill() of the cleanup after an error
 * @KVMPLAY_STEPS: number of steps
 */
enum kvmplay_step {
	KVMPLAY_NOWHERE,
	KVMPLAY_VALIDATE,
	KVMPLAY_M1,
	KVMPLAY_LOOKUP,
	KVMPLAY_INC,
	KVMPLAY_X1,
	KVMPLAY_STORE,
	KVMPLAY_K,
	KVMPLAY_X0,
	KVMPLAY_U,
	KVMPLAY_XR,
	KVMPLAY_ZAP,
	KVMPLAY_STEPS,
};

/**
 * enum kvmplay_odd - unexpected events in a hypercall, which are counted
 * @KVMPLAY_WARN_HPA: a registered address does not translate (WARN_ON_ONCE of KVM)
 * @KVMPLAY_WARN_X1: X1 failed (WARN_ON_ONCE of KVM)
 * @KVMPLAY_WARN_X0: X0 failed (WARN_ON_ONCE of KVM)
 * @KVMPLAY_WARN_STUFF: H_STUFF_TCE failed with an unexpected result (WARN_ON_ONCE of KVM)
 * @KVMPLAY_DIRTIED: the kernel marked a page dirty because of a hook's result
 * @KVMPLAY_SLEPT: a hook slept or rescheduled
 * @KVMPLAY_UNBALANCED: hooks left preemption, RCU or lock nesting changed after K
 * @KVMPLAY_ODDS: number of these events
 *
 * With the platform's own iommu_table_ops, KVMPLAY_DIRTIED counts every writable entry that
 * is replaced.
 */
enum kvmplay_odd {
	KVMPLAY_WARN_HPA,
	KVMPLAY_WARN_X1,
	KVMPLAY_WARN_X0,
	KVMPLAY_WARN_STUFF,
	KVMPLAY_DIRTIED,
	KVMPLAY_SLEPT,
	KVMPLAY_UNBALANCED,
	KVMPLAY_ODDS,
};

/* Flags of calls and storms */
#define KVMPLAY_NO_VALIDATE	1	/* skip the check, as if the list changed after the check */
#define KVMPLAY_ATOMIC		2	/* hooks run with preemption disabled */
#define KVMPLAY_UNCHECKED	4	/* do not check for SLEPT and UNBALANCED */

/**
 * struct kvmplay_stop - a step where a call stops once, until KVMPLAY_RELEASE
 * @step: enum kvmplay_step
 * @after: stop after the step, not before it
 * @tce: index of the TCE in the call
 * @subpage: index of the IOMMU page in this TCE
 * @ms: longest duration of the stop in milliseconds
 * @reserved: 0
 */
struct kvmplay_stop {
	__u32 step;
	__u32 after;
	__u32 tce;
	__u32 subpage;
	__u32 ms;
	__u32 reserved;
};

/**
 * struct kvmplay_call - one hypercall, or a series of H_PUT_TCE
 * @op: enum kvmplay_op
 * @flags: KVMPLAY_NO_VALIDATE, KVMPLAY_ATOMIC, KVMPLAY_UNCHECKED
 * @ioba: first bus address
 * @tce: for PUT: user address and permissions of the first page. With permissions, the
 *	address grows by a page for each following page.
 * @list: for INDIRECT: address of @npages TCEs, each a __u64 like @tce
 * @npages: number of pages
 * @ret: answer: result of the last hypercall
 * @stop: step at which to stop
 * @done: answer: number of TCEs put; for STUFF @npages or 0
 * @reserved: 0
 * @odds: answer: number of unexpected events, by enum kvmplay_odd
 * @steps: answer: number of steps carried out, by enum kvmplay_step
 * @ticks: answer: duration of the hypercalls without the ioctl, in time base ticks
 */
struct kvmplay_call {
	__u32 op;
	__u32 flags;
	__u64 ioba;
	__u64 tce;
	__u64 list;
	__u32 npages;
	__s32 ret;
	struct kvmplay_stop stop;
	__u32 done;
	__u32 reserved;
	__u32 odds[KVMPLAY_ODDS + 1];
	__u32 steps[KVMPLAY_STEPS];
	__u64 ticks;
};

/**
 * struct kvmplay_storm - make random hypercalls for some time
 * @ioba: first bus address
 * @ua: first user address
 * @ua_size: bytes of user memory to map
 * @entries: pages of the guest's table to use, at most KVMPLAY_LIST in one call
 * @flags: flags of each hypercall, as in struct kvmplay_call
 * @ms: duration in milliseconds
 * @seed: seed of the random numbers
 * @calls: answer: hypercalls made
 * @success: answer: hypercalls that returned H_SUCCESS
 * @too_hard: answer: hypercalls that returned H_TOO_HARD
 * @maps: answer: IOMMU pages mapped (X1)
 * @unmaps: answer: IOMMU pages unmapped or found empty (X0)
 * @odds: answer: number of unexpected events, by enum kvmplay_odd
 */
struct kvmplay_storm {
	__u64 ioba;
	__u64 ua;
	__u64 ua_size;
	__u32 entries;
	__u32 flags;
	__u32 ms;
	__u32 seed;
	__u64 calls;
	__u64 success;
	__u64 too_hard;
	__u64 maps;
	__u64 unmaps;
	__u32 odds[KVMPLAY_ODDS + 1];
};

/**
 * struct kvmplay_raw_step - one call of a hook, in an order that KVM never uses
 * @step: KVMPLAY_M1, KVMPLAY_X1, KVMPLAY_STORE, KVMPLAY_X0 or KVMPLAY_K
 * @pages: for K: number of IOMMU pages
 * @ioba: bus address
 * @tce: for X1 and STORE: user address and permissions
 * @ret: answer: for M1, 1 if the hook returned a pointer; for X1 and X0, the hook's result
 * @direction: answer: for X1 and X0, enum dma_data_direction of the old entry
 */
struct kvmplay_raw_step {
	__u32 step;
	__u32 pages;
	__u64 ioba;
	__u64 tce;
	__s32 ret;
	__u32 direction;
};

#define KVMPLAY_RAW_STEPS	12

/**
 * struct kvmplay_raw - call hooks of the first attached table, one after the other
 * @count: number of hooks
 * @reserved: 0
 * @step: the hooks; if no K follows the last M1, a K is added at the end
 * @odds: answer: number of unexpected events, by enum kvmplay_odd
 */
struct kvmplay_raw {
	__u32 count;
	__u32 reserved;
	struct kvmplay_raw_step step[KVMPLAY_RAW_STEPS];
	__u32 odds[KVMPLAY_ODDS + 1];
};

/**
 * struct kvmplay_read - read an entry of a table
 * @ioba: bus address
 * @table: index of the attached table
 * @refs: answer: references to that table
 * @tce: answer: the entry as the platform reads it
 */
struct kvmplay_read {
	__u64 ioba;
	__u32 table;
	__u32 refs;
	__u64 tce;
};

/**
 * struct kvmplay_lookup - look up memory in the kernel's list of registered memory
 * @ua: user address
 * @size: bytes of the range
 * @found: answer: 1 if a single region of the list contains the range
 * @hpa: answer: host physical address
 */
struct kvmplay_lookup {
	__u64 ua;
	__u64 size;
	__u64 found;
	__u64 hpa;
};

#define KVMPLAY_IOC		0xb7

#define KVMPLAY_ATTACH		_IOW(KVMPLAY_IOC, 0, struct kvmplay_attach)
#define KVMPLAY_DETACH		_IOW(KVMPLAY_IOC, 1, struct kvmplay_attach)
#define KVMPLAY_CALL		_IOWR(KVMPLAY_IOC, 2, struct kvmplay_call)
#define KVMPLAY_STORM		_IOWR(KVMPLAY_IOC, 3, struct kvmplay_storm)
#define KVMPLAY_RAW		_IOWR(KVMPLAY_IOC, 4, struct kvmplay_raw)
#define KVMPLAY_READ		_IOWR(KVMPLAY_IOC, 5, struct kvmplay_read)
#define KVMPLAY_LOOK		_IOWR(KVMPLAY_IOC, 6, struct kvmplay_lookup)
/* Wait until a call stops; fail with ETIME after as many milliseconds as the argument */
#define KVMPLAY_WAIT_STOPPED	_IO(KVMPLAY_IOC, 7)
/* Let the stopped call continue; fail with ENOENT if no call is stopped */
#define KVMPLAY_RELEASE		_IO(KVMPLAY_IOC, 8)
/* Detach all tables and put all references at once, also references that KVM would leak */
#define KVMPLAY_DETACH_ALL	_IO(KVMPLAY_IOC, 9)

#endif /* KVMPLAY_H */
