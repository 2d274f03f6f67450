// SPDX-License-Identifier: GPL-2.0-only
/*
 * Virtual CPUs for tests, see kvm_calls.h.
 */
#include <asm/iommu.h>
#include <asm/mmu_context.h>
#include <linux/mm.h>
#include <linux/rcupdate.h>

#include "kvm_calls.h"
#include "sim_platform.h"
#include "sim.h"

__thread struct kvm_counts kvm_counts;

void vcpu_init(struct vcpu *vcpu, struct mm_struct *mm)
{
	*vcpu = (struct vcpu){ .step = KVM_IDLE };
	sim_task_init(&vcpu->task, mm);
}

/*
 * The current entry, user address and page of a hypercall
 */

static u64 subpages(const struct vcpu *vcpu)
{
	return 1ULL << vcpu->subpages_shift;
}

static u64 page_bytes(const struct vcpu *vcpu)
{
	return 1ULL << vcpu->tbl->it_page_shift;
}

static unsigned long first_index(const struct vcpu *vcpu)
{
	return vcpu->tbl->it_offset +
	       ((vcpu->entry + vcpu->page) << vcpu->subpages_shift);
}

static const struct kvm_tce *this_tce(const struct vcpu *vcpu)
{
	return &vcpu->tce[vcpu->page];
}

static u64 this_ua(const struct vcpu *vcpu)
{
	return this_tce(vcpu)->ua + (vcpu->subpage << vcpu->tbl->it_page_shift);
}

/* Returns true for an unmap, and for a TCE without permission (KVM_INDIRECT) */
static bool maps_nothing(const struct vcpu *vcpu)
{
	return vcpu->kind == KVM_STUFF || this_tce(vcpu)->direction == DMA_NONE;
}

/*
 * Calls of the table's operations
 */

static __be64 *call_useraddrptr(struct vcpu *vcpu, bool alloc)
{
	unsigned long index = first_index(vcpu) + vcpu->subpage;
	__be64 *pua;

	sim_atomic(true);
	pua = vcpu->tbl->it_ops->useraddrptr(vcpu->tbl, index, alloc);
	sim_atomic(false);
	return pua;
}

static void call_tce_kill(struct vcpu *vcpu)
{
	sim_atomic(true);
	vcpu->tbl->it_ops->tce_kill(vcpu->tbl, first_index(vcpu),
				    subpages(vcpu));
	sim_atomic(false);
}

/* Acts as iommu_tce_xchg_no_kill(), which marks the old page dirty if it was writable */
static void call_xchg(struct vcpu *vcpu, unsigned long *hpa,
		      enum dma_data_direction *direction)
{
	unsigned long index = first_index(vcpu) + vcpu->subpage;
	int ret;

	sim_atomic(true);
	ret = vcpu->tbl->it_ops->xchg_no_kill(vcpu->tbl, index, hpa, direction);
	sim_atomic(false);
	if (ret)
		sim_bug("KVM warns: xchg_no_kill returns %d", ret);
	if (*direction == DMA_FROM_DEVICE || *direction == DMA_BIDIRECTIONAL)
		sim_set_dirty(*hpa >> PAGE_SHIFT);
}

/* Undoes KVM's count of an entry. Returns false if the hypercall must end with H_TOO_HARD. */
static bool uncount(struct vcpu *vcpu)
{
	__be64 *pua = call_useraddrptr(vcpu, false);
	struct mm_iommu_table_group_mem_t *mem;

	if (!pua)
		return true;
	mem = mm_iommu_lookup(vcpu->task.mm, be64_to_cpu(*pua),
			      page_bytes(vcpu));
	if (!mem)
		return false;
	mm_iommu_mapped_dec(mem);
	*pua = 0;
	return true;
}

/*
 * The steps of a hypercall
 */

static void end_call(struct vcpu *vcpu)
{
	if (vcpu->hard)
		kvm_counts.hard++;
	else
		kvm_counts.done++;
	vcpu->step = KVM_IDLE;
}

static void begin_page(struct vcpu *vcpu)
{
	vcpu->subpage = 0;
	if (vcpu->page == vcpu->count)
		end_call(vcpu);
	else if (maps_nothing(vcpu) && vcpu->kind != KVM_INDIRECT)
		vcpu->step = KVM_CLEAR;
	else
		vcpu->step = KVM_BEGIN;
}

/* Ends a page, after tce_kill() was called for it */
static void end_page(struct vcpu *vcpu)
{
	if (!vcpu->hard) {
		vcpu->page++;
		begin_page(vcpu);
		return;
	}
	vcpu->subpage = 0;
	if (vcpu->kind == KVM_STUFF)
		end_call(vcpu);
	else
		vcpu->step = KVM_ZAP;
}

static void end_subpage(struct vcpu *vcpu, enum kvm_step again,
			enum kvm_step end)
{
	vcpu->step = ++vcpu->subpage == subpages(vcpu) ? end : again;
}

/* Makes the hypercall return H_TOO_HARD, and continues with @next, which ends the page */
static void end_too_hard(struct vcpu *vcpu, enum kvm_step next)
{
	vcpu->hard = true;
	vcpu->step = next;
}

static bool is_valid(struct vcpu *vcpu)
{
	struct mm_iommu_table_group_mem_t *mem;
	unsigned long hpa;
	bool valid;

	if (maps_nothing(vcpu))
		return true;
	rcu_read_lock();
	mem = mm_iommu_lookup(vcpu->task.mm, this_ua(vcpu), page_bytes(vcpu));
	valid = mem && !mm_iommu_ua_to_hpa(mem, this_ua(vcpu),
					   vcpu->tbl->it_page_shift, &hpa);
	rcu_read_unlock();
	return valid;
}

/* Validates all TCEs before the first is mapped. A failure changes nothing. */
static void validate(struct vcpu *vcpu)
{
	vcpu->subpage = 0;
	if (!is_valid(vcpu)) {
		vcpu->hard = true;
		end_call(vcpu);
	} else if (++vcpu->page == vcpu->count) {
		vcpu->page = 0;
		begin_page(vcpu);
	}
}

static void look_up(struct vcpu *vcpu)
{
	vcpu->mem =
		mm_iommu_lookup(vcpu->task.mm, this_ua(vcpu), page_bytes(vcpu));
	if (vcpu->mem)
		vcpu->step = KVM_TRANSLATE;
	else
		end_too_hard(vcpu, KVM_COMMIT);
}

static void translate(struct vcpu *vcpu)
{
	if (mm_iommu_ua_to_hpa(vcpu->mem, this_ua(vcpu),
			       vcpu->tbl->it_page_shift, &vcpu->hpa))
		sim_bug("KVM warns: user address %llx has no translation",
			this_ua(vcpu));
	vcpu->step = KVM_COUNT;
}

static void note(struct vcpu *vcpu)
{
	vcpu->direction = this_tce(vcpu)->direction;
	call_xchg(vcpu, &vcpu->hpa, &vcpu->direction);
	vcpu->step = KVM_STORE;
}

static void store(struct vcpu *vcpu)
{
	if (vcpu->direction != DMA_NONE)
		uncount(vcpu);
	*vcpu->pua = cpu_to_be64(this_ua(vcpu));
	end_subpage(vcpu, KVM_BEGIN, KVM_COMMIT);
}

static void clear(struct vcpu *vcpu)
{
	vcpu->hpa = 0;
	vcpu->direction = DMA_NONE;
	call_xchg(vcpu, &vcpu->hpa, &vcpu->direction);
	if (vcpu->direction == DMA_NONE) {
		end_subpage(vcpu, KVM_CLEAR, KVM_CLEARED);
		return;
	}
	kvm_counts.vetoed++;
	vcpu->step = KVM_UNCOUNT;
}

static void zap(struct vcpu *vcpu)
{
	unsigned long hpa = 0;
	enum dma_data_direction direction = DMA_NONE;

	call_xchg(vcpu, &hpa, &direction);
	if (++vcpu->subpage == subpages(vcpu))
		end_call(vcpu);
}

static void do_step(struct vcpu *vcpu)
{
	switch (vcpu->step) {
	case KVM_VALIDATE:
		validate(vcpu);
		break;
	case KVM_BEGIN:
		vcpu->pua = call_useraddrptr(vcpu, true);
		if (vcpu->pua) {
			vcpu->step = KVM_LOOKUP;
			break;
		}
		kvm_counts.declined++;
		end_too_hard(vcpu, KVM_COMMIT);
		break;
	case KVM_LOOKUP:
		look_up(vcpu);
		break;
	case KVM_TRANSLATE:
		translate(vcpu);
		break;
	case KVM_COUNT:
		if (mm_iommu_mapped_inc(vcpu->mem)) {
			end_too_hard(vcpu, KVM_COMMIT);
			break;
		}
		platform_hold_page(vcpu->hpa, vcpu->tbl->it_page_shift);
		vcpu->step = KVM_NOTE;
		break;
	case KVM_NOTE:
		note(vcpu);
		break;
	case KVM_STORE:
		store(vcpu);
		break;
	case KVM_CLEAR:
		clear(vcpu);
		break;
	case KVM_UNCOUNT:
		if (uncount(vcpu))
			end_subpage(vcpu, KVM_CLEAR, KVM_CLEARED);
		else
			vcpu->step = KVM_PUT_BACK;
		break;
	case KVM_PUT_BACK:
		call_xchg(vcpu, &vcpu->hpa, &vcpu->direction);
		end_too_hard(vcpu, KVM_CLEARED);
		break;
	case KVM_COMMIT:
	case KVM_CLEARED:
		call_tce_kill(vcpu);
		end_page(vcpu);
		break;
	case KVM_ZAP:
		zap(vcpu);
		break;
	default:
		sim_bug("a virtual CPU takes a step outside a hypercall");
	}
}

void vcpu_step(struct vcpu *vcpu)
{
	struct task_struct *self = sim_switch_to(&vcpu->task);
	bool unordered = platform_swap_unordered(vcpu->unordered);

	if (vcpu->running)
		sim_bug("a step of a virtual CPU interrupts a step of the same CPU");
	vcpu->running = true;
	kvm_counts.steps[vcpu->step]++;
	sim_rest();
	do_step(vcpu);
	vcpu->running = false;
	vcpu->unordered = platform_swap_unordered(unordered);
	sim_switch_to(self);
}

void vcpu_call(struct vcpu *vcpu, enum kvm_kind kind, struct iommu_table *tbl,
	       unsigned int subpages_shift, u64 entry, u64 count)
{
	if (vcpu->step != KVM_IDLE || !count || count > KVM_MAX_TCES)
		sim_bug("a virtual CPU can't begin this hypercall");
	vcpu->kind = kind;
	vcpu->tbl = tbl;
	vcpu->subpages_shift = subpages_shift;
	vcpu->entry = entry;
	vcpu->count = count;
	vcpu->hard = false;
	vcpu->page = 0;
	vcpu->subpage = 0;
	vcpu->step = kind == KVM_STUFF ? KVM_CLEAR : KVM_VALIDATE;
}

void vcpu_run_to(struct vcpu *vcpu, enum kvm_step step)
{
	while (vcpu->step != KVM_IDLE && vcpu->step != step)
		vcpu_step(vcpu);
}

bool vcpu_finish(struct vcpu *vcpu)
{
	vcpu_run_to(vcpu, KVM_IDLE);
	return !vcpu->hard;
}

bool vcpu_maps(const struct vcpu *vcpu)
{
	return (vcpu->step == KVM_BEGIN && vcpu->subpage) ||
	       (vcpu->step > KVM_BEGIN && vcpu->step <= KVM_COMMIT);
}
