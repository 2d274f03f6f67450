/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * KVM's TCE hypercalls, as arch/powerpc/kvm/book3s_64_vio.c carries them out, divided
 * into steps. A step makes at most one call of the table's it_ops or of the kernel's
 * region list. Between two steps of a virtual CPU, any other task may run.
 *
 * The test fails if the kernel would print a warning, or would mark a page dirty that is
 * not pinned.
 */
#ifndef UNIT_KVM_CALLS_H
#define UNIT_KVM_CALLS_H

#include <linux/dma-direction.h>
#include <linux/types.h>

#include "sim.h"

struct iommu_table;
struct mm_iommu_table_group_mem_t;

enum kvm_kind {
	KVM_PUT,	/* H_PUT_TCE */
	KVM_INDIRECT,	/* H_PUT_TCE_INDIRECT */
	KVM_STUFF,	/* H_STUFF_TCE */
};

/* Next step of a virtual CPU */
enum kvm_step {
	KVM_IDLE,
	KVM_VALIDATE,	/* look up a guest's page in the list and translate it */
	KVM_BEGIN,	/* useraddrptr(alloc = true) */
	KVM_LOOKUP,	/* find the user address in the list */
	KVM_TRANSLATE,	/* mm_iommu_ua_to_hpa() */
	KVM_COUNT,	/* mm_iommu_mapped_inc() */
	KVM_NOTE,	/* xchg_no_kill(hpa, direction) */
	KVM_STORE,	/* store the user address at the pointer from useraddrptr() */
	KVM_COMMIT,	/* tce_kill() */
	KVM_CLEAR,	/* xchg_no_kill(0, DMA_NONE) */
	KVM_UNCOUNT,	/* useraddrptr(alloc = false), lookup, mm_iommu_mapped_dec() */
	KVM_PUT_BACK,	/* xchg_no_kill() with the entry's old address and direction */
	KVM_CLEARED,	/* tce_kill() */
	KVM_ZAP,	/* xchg_no_kill(0, DMA_NONE), result ignored */
	KVM_STEPS,
};

/* A guest's TCE: its user address, and the access that devices have */
struct kvm_tce {
	u64 ua;
	enum dma_data_direction direction;
};

#define KVM_MAX_TCES 8

/**
 * struct vcpu - a virtual CPU and its current hypercall
 * @task: the thread that runs the virtual CPU
 * @step: the next step
 * @kind: the hypercall
 * @tbl: the table
 * @subpages_shift: log2 of the number of IOMMU pages in a page of the guest's table
 * @entry: first entry, in pages of the guest's table
 * @count: number of entries
 * @tce: the TCEs to be written; not for KVM_STUFF
 * @hard: the hypercall returns H_TOO_HARD
 * @page: number of the current page of the guest's table, from @entry on
 * @subpage: number of the current IOMMU page in that page
 * @pua: pointer returned by useraddrptr()
 * @mem: region found by the lookup
 * @hpa: address passed to xchg_no_kill(), or returned by it
 * @direction: direction passed to xchg_no_kill(), or returned by it
 * @running: a step is running
 * @unordered: the virtual CPU has stored a TCE, and no mb() followed
 * @unused: keeps the tasks of an array far apart, like real task structures. Tasks less than
 *	336 bytes apart could get the same bracket, see bracket_of_current() in src/kvm.c
 */
struct vcpu {
	struct task_struct task;
	enum kvm_step step;
	enum kvm_kind kind;
	struct iommu_table *tbl;
	unsigned int subpages_shift;
	u64 entry;
	u64 count;
	struct kvm_tce tce[KVM_MAX_TCES];
	bool hard;
	u64 page;
	u64 subpage;
	__be64 *pua;
	struct mm_iommu_table_group_mem_t *mem;
	unsigned long hpa;
	enum dma_data_direction direction;
	bool running;
	bool unordered;
	char unused[1024];
};

/**
 * struct kvm_counts - counts of steps and results of a thread's virtual CPUs
 * @steps: steps of each kind
 * @done: hypercalls that returned H_SUCCESS
 * @hard: hypercalls that returned H_TOO_HARD
 * @declined: KVM_BEGIN steps in which useraddrptr() returned NULL
 * @vetoed: KVM_CLEAR steps in which the hook declined: it returned a direction, so that
 *	KVM continues with KVM_UNCOUNT
 */
struct kvm_counts {
	u64 steps[KVM_STEPS];
	u64 done;
	u64 hard;
	u64 declined;
	u64 vetoed;
};

extern __thread struct kvm_counts kvm_counts;

void vcpu_init(struct vcpu *vcpu, struct mm_struct *mm);

/* Begins a hypercall; except for KVM_STUFF the caller fills in @tce */
void vcpu_call(struct vcpu *vcpu, enum kvm_kind kind, struct iommu_table *tbl,
	       unsigned int subpages_shift, u64 entry, u64 count);

void vcpu_step(struct vcpu *vcpu);
/* Runs until the next step is @step, or until the hypercall has ended */
void vcpu_run_to(struct vcpu *vcpu, enum kvm_step step);
/* Ends the hypercall. Returns true if the result is H_SUCCESS. */
bool vcpu_finish(struct vcpu *vcpu);
/* Returns true between the first useraddrptr() and tce_kill() */
bool vcpu_maps(const struct vcpu *vcpu);

#endif /* UNIT_KVM_CALLS_H */
