/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * KVM's TCE hypercalls, as arch/powerpc/kvm/book3s_64_vio.c carries them out, cut
 * into steps. A step is at most one call of the table's it_ops or of the kernel's
 * region list: between two steps of one virtual CPU anything may happen.
 *
 * Where the kernel would warn, or mark a page dirty that is not pinned, the test
 * ends.
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

/* What a virtual CPU does next */
enum kvm_step {
	KVM_IDLE,
	KVM_VALIDATE,	/* look a guest's page up, translate it */
	KVM_BEGIN,	/* useraddrptr(alloc = true) */
	KVM_LOOKUP,	/* find the user address in the list */
	KVM_TRANSLATE,
	KVM_COUNT,	/* mm_iommu_mapped_inc() */
	KVM_NOTE,	/* xchg_no_kill(hpa, direction) */
	KVM_STORE,	/* the user address, where useraddrptr() said */
	KVM_COMMIT,	/* tce_kill() */
	KVM_CLEAR,	/* xchg_no_kill(0, DMA_NONE) */
	KVM_UNCOUNT,	/* useraddrptr(alloc = false), look up, count down */
	KVM_PUT_BACK,	/* xchg_no_kill() with what the entry was */
	KVM_CLEARED,	/* tce_kill() */
	KVM_ZAP,	/* xchg_no_kill(0, DMA_NONE), its answer ignored */
	KVM_STEPS,
};

/* A guest's TCE: its user address, and the access that devices get */
struct kvm_tce {
	u64 ua;
	enum dma_data_direction direction;
};

#define KVM_MAX_TCES 8

/**
 * struct vcpu - a virtual CPU and the hypercall that it is in
 * @task: its thread
 * @step: what it does next
 * @kind: which hypercall
 * @tbl: the table
 * @subpages_shift: log2 of the IOMMU pages in a page of the guest's table
 * @entry: first entry, in pages of the guest's table
 * @count: how many
 * @tce: what is to be mapped there; KVM_STUFF has none
 * @hard: the answer is H_TOO_HARD
 * @page: the guest's page that it is at
 * @subpage: the IOMMU page of that page
 * @pua: what useraddrptr() returned
 * @mem: what the look-up found
 * @hpa: what goes to xchg_no_kill(), or what came from there
 * @direction: likewise
 * @running: it is within a step
 * @unordered: it stored a TCE and has not said mb()
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
};

/**
 * struct kvm_counts - what virtual CPUs did
 * @steps: steps of each kind
 * @done: hypercalls answered H_SUCCESS
 * @hard: hypercalls answered H_TOO_HARD
 * @declined: KVM_BEGIN steps that got NULL
 * @vetoed: KVM_CLEAR steps that did not clear
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

/* Begins a hypercall; the caller fills in .tce of the first two kinds */
void vcpu_call(struct vcpu *vcpu, enum kvm_kind kind, struct iommu_table *tbl,
	       unsigned int subpages_shift, u64 entry, u64 count);

void vcpu_step(struct vcpu *vcpu);
/* Goes on until the step is @step, or the hypercall has ended */
void vcpu_run_to(struct vcpu *vcpu, enum kvm_step step);
/* Ends the hypercall. Returns whether the answer is H_SUCCESS. */
bool vcpu_finish(struct vcpu *vcpu);
/* It is between useraddrptr() and tce_kill() */
bool vcpu_maps(const struct vcpu *vcpu);

#endif /* UNIT_KVM_CALLS_H */
