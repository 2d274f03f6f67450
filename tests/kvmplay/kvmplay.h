/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The ioctls of /dev/tce2-kvmplay, which plays KVM's part in TCE hypercalls.
 * Included by the module (tests/kvmplay) and by the guest's programs.
 *
 * Each open file is one TCE table of a guest, bound to the opener's mm. A table of
 * a guest has IOMMU tables attached; each hypercall is carried out in all of them,
 * by the hooks of struct iommu_table_ops, in KVM's order.
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

/* TCEs of one H_PUT_TCE_INDIRECT, LoPAR 14.5.4.2.3 */
#define KVMPLAY_LIST		512

/* A thread never stops for longer: interrupts are on, but nothing else runs */
#define KVMPLAY_STOP_MS		2000

/**
 * struct kvmplay_attach - attach the first IOMMU table that fits, or detach a group
 * @group: number of the IOMMU group
 * @page_shift: log2 of the page size of the guest's TCEs
 * @start: first bus address
 * @size: bytes
 *
 * DETACH reads only @group. Like KVM it drops tables that the group still has, and
 * the reference is put in an RCU callback.
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
 * enum kvmplay_step - where a hypercall can be stopped; how often it came there
 * @KVMPLAY_NOWHERE: do not stop
 * @KVMPLAY_VALIDATE: check of one TCE, before anything is changed
 * @KVMPLAY_M1: useraddrptr(alloc=true)
 * @KVMPLAY_LOOKUP: mm_iommu_lookup() for a map
 * @KVMPLAY_INC: mm_iommu_mapped_inc()
 * @KVMPLAY_X1: iommu_tce_xchg_no_kill() of a map
 * @KVMPLAY_STORE: store of the user address
 * @KVMPLAY_K: iommu_tce_kill()
 * @KVMPLAY_X0: iommu_tce_xchg_no_kill() of an unmap
 * @KVMPLAY_U: useraddrptr(alloc=false), for the old entry
 * @KVMPLAY_XR: iommu_tce_xchg_no_kill() that puts an entry back
 * @KVMPLAY_ZAP: iommu_tce_xchg_no_kill() of the cleanup after an error
 * @KVMPLAY_STEPS: how many there are
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
 * enum kvmplay_odd - what a hypercall met that KVM would warn about, or should
 * @KVMPLAY_WARN_HPA: WARN_ON_ONCE: a registered address that does not translate
 * @KVMPLAY_WARN_X1: WARN_ON_ONCE: X1 failed
 * @KVMPLAY_WARN_X0: WARN_ON_ONCE: X0 failed
 * @KVMPLAY_WARN_STUFF: WARN_ON_ONCE: H_STUFF_TCE failed with an odd result
 * @KVMPLAY_DIRTIED: the kernel marked a page dirty on the word of a hook
 * @KVMPLAY_SLEPT: a hook slept or rescheduled
 * @KVMPLAY_UNBALANCED: a hook left preemption or RCU nested after K
 * @KVMPLAY_ODDS: how many there are
 *
 * The platform's own ops cause DIRTIED for every writable entry that they replace.
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
#define KVMPLAY_NO_VALIDATE	1	/* as if the list changed after the check */
#define KVMPLAY_ATOMIC		2	/* hooks run with preemption disabled */
#define KVMPLAY_UNCHECKED	4	/* do not look for SLEPT and UNBALANCED */

/**
 * struct kvmplay_stop - where a call is to stop once, until RELEASE
 * @step: enum kvmplay_step
 * @after: after the step, not before it
 * @tce: at this TCE of the call
 * @subpage: at this IOMMU page of that TCE
 * @ms: at most so long
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
 * @tce: for PUT: user address and permissions of the first page; the address
 *	grows by a page for each further one unless there are no permissions
 * @list: for INDIRECT: address of so many TCEs of that form, __u64 each
 * @npages: pages
 * @ret: answer: result of the last hypercall
 * @stop: where to stop
 * @done: answer: TCEs put, or for STUFF all or none
 * @reserved: 0
 * @odds: answer: by enum kvmplay_odd
 * @steps: answer: by enum kvmplay_step
 * @ticks: answer: time base ticks of the hypercalls' bodies
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
 * struct kvmplay_storm - random hypercalls for some time
 * @ioba: first bus address
 * @ua: first user address
 * @ua_size: bytes of memory
 * @entries: pages of the guest's table to use, at most KVMPLAY_LIST in one call
 * @flags: as of a call
 * @ms: how long
 * @seed: of the random numbers
 * @calls: answer: hypercalls made
 * @success: answer: of these, H_SUCCESS
 * @too_hard: answer: of these, H_TOO_HARD
 * @maps: answer: IOMMU pages mapped (X1)
 * @unmaps: answer: IOMMU pages unmapped or found empty (X0)
 * @odds: answer: by enum kvmplay_odd
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
 * struct kvmplay_raw_step - one hook alone, in an order that KVM does not have
 * @step: KVMPLAY_M1, KVMPLAY_X1, KVMPLAY_STORE, KVMPLAY_X0 or KVMPLAY_K
 * @pages: for K
 * @ioba: bus address
 * @tce: for X1 and STORE: user address and permissions
 * @ret: answer: for M1 whether there is a pointer, for X1 and X0 their result
 * @direction: answer: old enum dma_data_direction of X1 and X0
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
 * struct kvmplay_raw - hooks of the first table, one after the other
 * @count: how many
 * @reserved: 0
 * @step: the hooks; a last K, for the last M1, is made where there is none
 * @odds: answer: by enum kvmplay_odd
 */
struct kvmplay_raw {
	__u32 count;
	__u32 reserved;
	struct kvmplay_raw_step step[KVMPLAY_RAW_STEPS];
	__u32 odds[KVMPLAY_ODDS + 1];
};

/**
 * struct kvmplay_read - a hardware entry
 * @ioba: bus address
 * @table: which of the attached tables
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
 * struct kvmplay_lookup - the kernel's list of registered memory
 * @ua: user address
 * @size: bytes
 * @found: answer: one region of the list has it all
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
/* Argument: milliseconds to wait for. ETIME: no call has stopped */
#define KVMPLAY_WAIT_STOPPED	_IO(KVMPLAY_IOC, 7)
/* Lets the stopped call go on. ENOENT: no call is stopped */
#define KVMPLAY_RELEASE		_IO(KVMPLAY_IOC, 8)
/* Puts all tables before it returns, including tables that KVM would leak */
#define KVMPLAY_DETACH_ALL	_IO(KVMPLAY_IOC, 9)

#endif /* KVMPLAY_H */
