// SPDX-License-Identifier: GPL-2.0-only
/*
 * TCE hypercalls as KVM carries them out (arch/powerpc/kvm/book3s_64_vio.c). All hooks of
 * struct iommu_table_ops and all functions of mm_iommu are called in KVM's order. Each of
 * these calls is a step; enum kvmplay_step names the steps (M1, X1, K and so on).
 *
 * Guest memory is the memory of the process that opened the file. TCEs contain user
 * addresses, so there are no memslots. Like KVM, this code holds neither RCU nor a
 * reference between two hooks. A call can stop before or after a step, so that a test can
 * make another request meanwhile. The stopped call spins and does not sleep, like KVM.
 */
#include <linux/delay.h>
#include <linux/dma-direction.h>
#include <linux/ktime.h>
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/timekeeping.h>
#include <linux/uaccess.h>

#include <asm/iommu.h>
#include <asm/mmu_context.h>
#include <asm/tce.h>
#include <asm/time.h>

#include "play.h"

#define PERM	((u64)(TCE_PCI_READ | TCE_PCI_WRITE))

/**
 * struct play_run - a running hypercall
 * @guest: TCE table of the guest
 * @flags: flags of struct kvmplay_call
 * @stop: step at which to stop; set to KVMPLAY_NOWHERE by the stop, so that it happens once
 * @tce: index of the current TCE
 * @subpage: index of the current IOMMU page in this TCE
 * @list: TCEs of H_PUT_TCE_INDIRECT in user memory
 * @klist: TCEs of H_PUT_TCE_INDIRECT in kernel memory, for random hypercalls (a storm)
 * @steps: number of times that each enum kvmplay_step was carried out
 * @odds: number of unexpected events, by enum kvmplay_odd
 */
struct play_run {
	struct play_guest *guest;
	u32 flags;
	struct kvmplay_stop stop;
	u32 tce;
	u32 subpage;
	const u64 __user *list;
	const u64 *klist;
	u32 steps[KVMPLAY_STEPS];
	u32 odds[KVMPLAY_ODDS];
};

/*
 * Stops at a step, and checks of the hooks' side effects
 */

static noinline void stop_here(struct play_run *run)
{
	struct play_guest *guest = run->guest;
	u64 end = ktime_get_mono_fast_ns() +
		  min_t(u64, run->stop.ms, KVMPLAY_STOP_MS) * NSEC_PER_MSEC;

	run->stop.step = KVMPLAY_NOWHERE;
	play_set(&guest->release, false);
	play_set(&guest->stopped, true);
	while (!play_is_set(&guest->release) && ktime_get_mono_fast_ns() < end)
		cpu_relax();
	play_set(&guest->stopped, false);
}

static bool is_stop(const struct play_run *run, bool after)
{
	return run->stop.after == after && run->stop.tce == run->tce &&
	       run->stop.subpage == run->subpage;
}

static void before(struct play_run *run, enum kvmplay_step step)
{
	run->steps[step]++;
	if (unlikely(run->stop.step == step) && is_stop(run, false))
		stop_here(run);
}

static void after(struct play_run *run, enum kvmplay_step step)
{
	if (unlikely(run->stop.step == step) && is_stop(run, true))
		stop_here(run);
}

/* State of the task that the hooks must not change */
struct play_mark {
	int preempt;
	int rcu;
	int locks;
	unsigned long switches;
};

/*
 * Return the number of context switches that this task has requested. Without kernel
 * preemption, the task has requested all of its switches.
 */
static unsigned long own_switches(void)
{
	return current->nvcsw +
	       (IS_ENABLED(CONFIG_PREEMPTION) ? 0 : current->nivcsw);
}

static void begin_hooks(struct play_run *run, struct play_mark *mark)
{
	if (run->flags & KVMPLAY_UNCHECKED)
		return;
	if (run->flags & KVMPLAY_ATOMIC)
		preempt_disable();
	mark->preempt = preempt_count();
	mark->rcu = rcu_preempt_depth();
	mark->locks = lockdep_depth(current);
	mark->switches = own_switches();
}

static void end_hooks(struct play_run *run, const struct play_mark *mark)
{
	if (run->flags & KVMPLAY_UNCHECKED)
		return;
	if (mark->preempt != preempt_count() ||
	    mark->rcu != rcu_preempt_depth() ||
	    mark->locks != lockdep_depth(current))
		run->odds[KVMPLAY_UNBALANCED]++;
	if (mark->switches != own_switches())
		run->odds[KVMPLAY_SLEPT]++;
	if (run->flags & KVMPLAY_ATOMIC)
		preempt_enable();
}

/*
 * One IOMMU page
 */

static bool is_writable(enum dma_data_direction dir)
{
	return dir == DMA_FROM_DEVICE || dir == DMA_BIDIRECTIONAL;
}

/*
 * Exchange an entry: step X1, X0, XR or ZAP. If the hook returns a writable direction for
 * the old entry, the kernel marks the old page dirty.
 */
static long exchange(struct play_run *run, enum kvmplay_step step,
		     struct iommu_table *tbl, unsigned long entry,
		     unsigned long *hpa, enum dma_data_direction *dir)
{
	long ret;

	before(run, step);
	ret = iommu_tce_xchg_no_kill(run->guest->mm, tbl, entry, hpa, dir);
	if (!ret && is_writable(*dir))
		run->odds[KVMPLAY_DIRTIED]++;
	after(run, step);
	return ret;
}

/* Decrement the old entry's count in the kernel's list */
static long drop_old(struct play_run *run, struct iommu_table *tbl,
		     unsigned long entry)
{
	struct mm_iommu_table_group_mem_t *mem;
	__be64 *pua;

	before(run, KVMPLAY_U);
	pua = IOMMU_TABLE_USERSPACE_ENTRY_RO(tbl, entry);
	after(run, KVMPLAY_U);
	if (!pua)
		return H_SUCCESS;
	mem = mm_iommu_lookup(run->guest->mm, be64_to_cpu(*pua),
			      IOMMU_PAGE_SIZE(tbl));
	if (!mem)
		return H_TOO_HARD;
	mm_iommu_mapped_dec(mem);
	*pua = 0;
	return H_SUCCESS;
}

static long unmap_page(struct play_run *run, struct iommu_table *tbl,
		       unsigned long entry)
{
	enum dma_data_direction dir = DMA_NONE;
	unsigned long hpa = 0;

	if (exchange(run, KVMPLAY_X0, tbl, entry, &hpa, &dir)) {
		run->odds[KVMPLAY_WARN_X0]++;
		return H_TOO_HARD;
	}
	if (dir == DMA_NONE || drop_old(run, tbl, entry) == H_SUCCESS)
		return H_SUCCESS;
	exchange(run, KVMPLAY_XR, tbl, entry, &hpa, &dir);
	return H_TOO_HARD;
}

/* Find the page to map, and count it in the kernel's list */
static struct mm_iommu_table_group_mem_t *
take_page(struct play_run *run, struct iommu_table *tbl, unsigned long ua,
	  unsigned long *hpa)
{
	struct mm_iommu_table_group_mem_t *mem;
	long ret;

	before(run, KVMPLAY_LOOKUP);
	mem = mm_iommu_lookup(run->guest->mm, ua, IOMMU_PAGE_SIZE(tbl));
	after(run, KVMPLAY_LOOKUP);
	if (!mem)
		return NULL;
	if (mm_iommu_ua_to_hpa(mem, ua, tbl->it_page_shift, hpa)) {
		run->odds[KVMPLAY_WARN_HPA]++;
		return NULL;
	}
	before(run, KVMPLAY_INC);
	ret = mm_iommu_mapped_inc(mem);
	after(run, KVMPLAY_INC);
	return ret ? NULL : mem;
}

static long map_page(struct play_run *run, struct iommu_table *tbl,
		     unsigned long entry, unsigned long ua,
		     enum dma_data_direction dir)
{
	struct mm_iommu_table_group_mem_t *mem;
	unsigned long hpa;
	__be64 *pua;

	before(run, KVMPLAY_M1);
	pua = IOMMU_TABLE_USERSPACE_ENTRY(tbl, entry);
	after(run, KVMPLAY_M1);
	if (!pua)
		return H_TOO_HARD;
	mem = take_page(run, tbl, ua, &hpa);
	if (!mem)
		return H_TOO_HARD;
	if (exchange(run, KVMPLAY_X1, tbl, entry, &hpa, &dir)) {
		run->odds[KVMPLAY_WARN_X1]++;
		mm_iommu_mapped_dec(mem);
		return H_TOO_HARD;
	}
	if (dir != DMA_NONE)
		drop_old(run, tbl, entry);
	before(run, KVMPLAY_STORE);
	*pua = cpu_to_be64(ua);
	after(run, KVMPLAY_STORE);
	return H_SUCCESS;
}

/*
 * Hypercalls for one TCE of the guest, which may cover several IOMMU pages
 */

static unsigned long subpages(const struct play_guest *guest,
			      const struct iommu_table *tbl)
{
	return 1UL << (guest->page_shift - tbl->it_page_shift);
}

static void kill(struct play_run *run, struct iommu_table *tbl,
		 unsigned long entry, unsigned long pages)
{
	run->subpage = 0;
	before(run, KVMPLAY_K);
	iommu_tce_kill(tbl, entry, pages);
	after(run, KVMPLAY_K);
}

static long unmap_tce(struct play_run *run, struct iommu_table *tbl,
		      unsigned long entry)
{
	unsigned long i, pages = subpages(run->guest, tbl);
	struct play_mark mark = {};
	long ret = H_SUCCESS;

	entry *= pages;
	begin_hooks(run, &mark);
	for (i = 0; i < pages && ret == H_SUCCESS; i++) {
		run->subpage = i;
		ret = unmap_page(run, tbl, entry + i);
	}
	kill(run, tbl, entry, pages);
	end_hooks(run, &mark);
	return ret;
}

static long map_tce(struct play_run *run, struct iommu_table *tbl,
		    unsigned long entry, u64 tce)
{
	unsigned long i, pages = subpages(run->guest, tbl);
	enum dma_data_direction dir = iommu_tce_direction(tce);
	struct play_mark mark = {};
	long ret = H_SUCCESS;

	entry *= pages;
	begin_hooks(run, &mark);
	for (i = 0; i < pages && ret == H_SUCCESS; i++) {
		run->subpage = i;
		ret = map_page(run, tbl, entry + i,
			       (tce & ~PERM) + i * IOMMU_PAGE_SIZE(tbl), dir);
	}
	kill(run, tbl, entry, pages);
	end_hooks(run, &mark);
	return ret;
}

/* Clean up after an error. Like KVM, drop no count and invalidate no TCE cache. */
static void zap_tce(struct play_run *run, struct iommu_table *tbl,
		    unsigned long entry)
{
	unsigned long i, pages = subpages(run->guest, tbl);
	struct play_mark mark = {};

	begin_hooks(run, &mark);
	for (i = 0; i < pages; i++) {
		enum dma_data_direction dir = DMA_NONE;
		unsigned long hpa = 0;

		run->subpage = i;
		exchange(run, KVMPLAY_ZAP, tbl, entry * pages + i, &hpa, &dir);
	}
	end_hooks(run, &mark);
}

/*
 * Hypercalls
 */

#define for_each_table(table, guest) \
	list_for_each_entry_srcu(table, &(guest)->tables, next, \
				 srcu_read_lock_held(&play_srcu))

/* Check that the page can be mapped in every table; change nothing */
static bool is_known(struct play_run *run, unsigned long ua)
{
	struct mm_iommu_table_group_mem_t *mem;
	struct play_table *table;
	unsigned long hpa;
	bool known = true;

	rcu_read_lock();
	for_each_table(table, run->guest) {
		mem = mm_iommu_lookup(run->guest->mm, ua,
				      IOMMU_PAGE_SIZE(table->tbl));
		known = mem && !mm_iommu_ua_to_hpa(mem, ua,
						   table->tbl->it_page_shift,
						   &hpa);
		if (!known)
			break;
	}
	rcu_read_unlock();
	return known;
}

static long validate(struct play_run *run, u64 tce)
{
	bool valid;

	if (!(tce & PERM) || (run->flags & KVMPLAY_NO_VALIDATE))
		return H_SUCCESS;
	if (iommu_tce_check_gpa(IOMMU_PAGE_SHIFT_4K, tce & ~PERM))
		return H_TOO_HARD;
	before(run, KVMPLAY_VALIDATE);
	valid = is_known(run, tce & ~PERM);
	after(run, KVMPLAY_VALIDATE);
	return valid ? H_SUCCESS : H_TOO_HARD;
}

static bool is_inside(const struct play_guest *guest, u64 ioba, u64 npages)
{
	unsigned int shift = guest->page_shift;

	return npages && !iommu_tce_check_ioba(shift, guest->start >> shift,
					       guest->size >> shift, ioba,
					       npages);
}

static long map_in_tables(struct play_run *run, unsigned long entry, u64 tce)
{
	struct play_table *table;
	long ret = H_SUCCESS;

	for_each_table(table, run->guest) {
		ret = map_tce(run, table->tbl, entry, tce);
		if (ret != H_SUCCESS) {
			zap_tce(run, table->tbl, entry);
			break;
		}
	}
	return ret;
}

static long unmap_in_tables(struct play_run *run, unsigned long entry)
{
	struct play_table *table;
	long ret = H_SUCCESS;

	for_each_table(table, run->guest) {
		ret = unmap_tce(run, table->tbl, entry);
		if (ret != H_SUCCESS) {
			zap_tce(run, table->tbl, entry);
			break;
		}
	}
	return ret;
}

static long put_tce(struct play_run *run, u64 ioba, u64 tce)
{
	unsigned long entry = ioba >> run->guest->page_shift;
	long ret;

	if (!is_inside(run->guest, ioba, 1))
		return H_PARAMETER;
	ret = validate(run, tce);
	if (ret != H_SUCCESS)
		return ret;
	return tce & PERM ? map_in_tables(run, entry, tce) :
			    unmap_in_tables(run, entry);
}

/*
 * Read a TCE of the list. Like KVM, the hypercall reads each TCE twice: to check it, and to
 * map it. The guest may change the TCE between the reads.
 */
static bool read_list(struct play_run *run, u32 i, u64 *tce)
{
	if (run->list)
		return !get_user(*tce, run->list + i);
	*tce = READ_ONCE(run->klist[i]);
	return true;
}

static long put_tce_indirect(struct play_run *run, u64 ioba, u32 npages)
{
	unsigned long entry = ioba >> run->guest->page_shift;
	long ret = H_SUCCESS;
	u64 tce;
	u32 i;

	if (npages > KVMPLAY_LIST || !is_inside(run->guest, ioba, npages))
		return H_PARAMETER;
	for (i = 0; i < npages && ret == H_SUCCESS; i++) {
		run->tce = i;
		if (!read_list(run, i, &tce))
			return H_TOO_HARD;
		ret = validate(run, tce);
	}
	for (i = 0; i < npages && ret == H_SUCCESS; i++) {
		run->tce = i;
		if (!read_list(run, i, &tce))
			return H_TOO_HARD;
		ret = map_in_tables(run, entry + i, tce);
	}
	/* The caller reports run->tce as the number of TCEs put */
	if (ret == H_SUCCESS)
		run->tce = npages;
	return ret;
}

static long stuff_tce(struct play_run *run, u64 ioba, u64 npages)
{
	unsigned long entry = ioba >> run->guest->page_shift;
	struct play_table *table;
	long ret = H_SUCCESS;
	u32 i;

	if (!is_inside(run->guest, ioba, npages))
		return H_PARAMETER;
	for_each_table(table, run->guest) {
		for (i = 0; i < npages; i++) {
			run->tce = i;
			ret = unmap_tce(run, table->tbl, entry + i);
			if (ret == H_TOO_HARD)
				return ret;
			if (ret == H_SUCCESS)
				continue;
			run->odds[KVMPLAY_WARN_STUFF]++;
			zap_tce(run, table->tbl, entry + i);
		}
	}
	return ret;
}

/* Make an H_PUT_TCE for each of several adjacent pages */
static long put_series(struct play_run *run, const struct kvmplay_call *call)
{
	u64 page = 1ULL << run->guest->page_shift;
	u64 step = call->tce & PERM ? page : 0;
	long ret = H_SUCCESS;
	u32 i;

	for (i = 0; i < call->npages && ret == H_SUCCESS; i++) {
		run->tce = i;
		ret = put_tce(run, call->ioba + i * page,
			      call->tce + i * step);
	}
	if (ret == H_SUCCESS)
		run->tce = call->npages;
	return ret;
}

static long run_call(struct play_run *run, struct kvmplay_call *call)
{
	long ret;

	switch (call->op) {
	case KVMPLAY_PUT:
		ret = put_series(run, call);
		call->done = run->tce;
		return ret;
	case KVMPLAY_INDIRECT:
		ret = put_tce_indirect(run, call->ioba, call->npages);
		call->done = run->tce;
		return ret;
	default:
		ret = stuff_tce(run, call->ioba, call->npages);
		call->done = ret == H_SUCCESS ? call->npages : 0;
		return ret;
	}
}

/**
 * play_call() - carry out a hypercall
 * @guest: TCE table of the guest
 * @call: the hypercall; receives the answer
 *
 * Return: 0; -EINVAL for an unknown call, or if no table was ever attached.
 */
int play_call(struct play_guest *guest, struct kvmplay_call *call)
{
	struct play_run run = {
		.guest = guest, .flags = call->flags, .stop = call->stop,
		.list = u64_to_user_ptr(call->list),
	};
	u64 began;

	if (call->op > KVMPLAY_STUFF || !guest->page_shift)
		return -EINVAL;
	began = mftb();
	call->ret = run_call(&run, call);
	call->ticks = mftb() - began;
	memcpy(call->odds, run.odds, sizeof(run.odds));
	memcpy(call->steps, run.steps, sizeof(run.steps));
	return 0;
}

/*
 * Storms: random hypercalls for some time
 */

/* Return a random number below @limit (Knuth's MMIX generator) */
static u64 random(u64 *state, u64 limit)
{
	*state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (*state >> 24) % limit;
}

static u64 random_tce(const struct play_guest *guest,
		      const struct kvmplay_storm *storm, u64 *state)
{
	u64 pages = storm->ua_size >> guest->page_shift;
	u64 ua = storm->ua + (random(state, pages) << guest->page_shift);

	/* One TCE in eight has no permissions */
	return ua | (random(state, 8) ? 1 + random(state, 3) : 0);
}

static long random_call(struct play_run *run, struct kvmplay_storm *storm,
			u64 *list, u64 *state)
{
	struct play_guest *guest = run->guest;
	u64 first = random(state, storm->entries);
	u64 most = min_t(u64, storm->entries - first, KVMPLAY_LIST);
	u64 npages = 1 + random(state, random(state, 4) ? min(most, 8ULL) : most);
	u64 ioba = storm->ioba + (first << guest->page_shift);
	u64 i;

	switch (random(state, 4)) {
	case 0:
		return stuff_tce(run, ioba, npages);
	case 1:
		for (i = 0; i < npages; i++)
			list[i] = random_tce(guest, storm, state);
		return put_tce_indirect(run, ioba, npages);
	default:
		return put_tce(run, ioba, random_tce(guest, storm, state));
	}
}

static int run_storm(struct play_guest *guest, struct kvmplay_storm *storm,
		     u64 *list)
{
	struct play_run run = {
		.guest = guest, .flags = storm->flags, .klist = list,
	};
	u64 end = ktime_get_ns() + storm->ms * (u64)NSEC_PER_MSEC;
	u64 state = storm->seed;

	while (ktime_get_ns() < end && !signal_pending(current)) {
		long ret = random_call(&run, storm, list, &state);

		storm->calls++;
		storm->success += ret == H_SUCCESS;
		storm->too_hard += ret == H_TOO_HARD;
		cond_resched();
	}
	storm->maps = run.steps[KVMPLAY_X1];
	storm->unmaps = run.steps[KVMPLAY_X0];
	memcpy(storm->odds, run.odds, sizeof(run.odds));
	return 0;
}

/**
 * play_storm() - make random hypercalls for some time
 * @guest: TCE table of the guest
 * @storm: parameters of the hypercalls; receives the counts
 *
 * Return: 0, also if a signal ends the storm; -EINVAL for bad parameters, or if no table
 * was ever attached; -ENOMEM.
 */
int play_storm(struct play_guest *guest, struct kvmplay_storm *storm)
{
	u64 *list;
	int ret;

	if (!guest->page_shift || !storm->entries ||
	    !(storm->ua_size >> guest->page_shift))
		return -EINVAL;
	list = kcalloc(KVMPLAY_LIST, sizeof(*list), GFP_KERNEL);
	if (!list)
		return -ENOMEM;
	ret = run_storm(guest, storm, list);
	kfree(list);
	return ret;
}

/*
 * Hooks in an order that KVM never uses
 */

/**
 * struct play_bracket - a map that has begun with step M1 and ends with step K
 * @tbl: the table
 * @pua: pointer that M1 returned, or NULL after K
 * @entry: entry that was passed to M1
 */
struct play_bracket {
	struct iommu_table *tbl;
	__be64 *pua;
	unsigned long entry;
};

static void raw_m1(struct play_bracket *b, unsigned long entry,
		   struct kvmplay_raw_step *step)
{
	b->pua = IOMMU_TABLE_USERSPACE_ENTRY(b->tbl, entry);
	b->entry = entry;
	step->ret = !!b->pua;
}

/* Step X1 without KVM's count in the kernel's list: the page must have no other user */
static void raw_x1(struct play_run *run, struct play_bracket *b,
		   unsigned long entry, struct kvmplay_raw_step *step)
{
	enum dma_data_direction dir = iommu_tce_direction(step->tce);
	struct mm_iommu_table_group_mem_t *mem;
	unsigned long hpa;

	mem = mm_iommu_lookup(run->guest->mm, step->tce & ~PERM,
			      IOMMU_PAGE_SIZE(b->tbl));
	if (!mem || mm_iommu_ua_to_hpa(mem, step->tce & ~PERM,
				       b->tbl->it_page_shift, &hpa)) {
		step->ret = -ENXIO;
		return;
	}
	step->ret = exchange(run, KVMPLAY_X1, b->tbl, entry, &hpa, &dir);
	step->direction = dir;
}

static void raw_x0(struct play_run *run, struct play_bracket *b,
		   unsigned long entry, struct kvmplay_raw_step *step)
{
	enum dma_data_direction dir = DMA_NONE;
	unsigned long hpa = 0;

	step->ret = exchange(run, KVMPLAY_X0, b->tbl, entry, &hpa, &dir);
	step->direction = dir;
}

static int raw_step(struct play_run *run, struct play_bracket *b,
		    struct kvmplay_raw_step *step)
{
	unsigned long entry = step->ioba >> b->tbl->it_page_shift;

	switch (step->step) {
	case KVMPLAY_M1:
		raw_m1(b, entry, step);
		return 0;
	case KVMPLAY_X1:
		raw_x1(run, b, entry, step);
		return 0;
	case KVMPLAY_STORE:
		if (b->pua)
			*b->pua = cpu_to_be64(step->tce & ~PERM);
		return 0;
	case KVMPLAY_X0:
		raw_x0(run, b, entry, step);
		return 0;
	case KVMPLAY_K:
		iommu_tce_kill(b->tbl, entry, step->pages);
		b->pua = NULL;
		return 0;
	}
	return -EINVAL;
}

/**
 * play_raw() - call hooks one by one
 * @guest: TCE table of the guest
 * @raw: the hooks; receives their answers
 *
 * Hooks may hold RCU from M1 to K. If no K follows the last M1, play_raw() calls K.
 *
 * Return: 0; -EINVAL for an unknown hook, or if no table is attached.
 */
int play_raw(struct play_guest *guest, struct kvmplay_raw *raw)
{
	struct play_run run = { .guest = guest, .flags = KVMPLAY_ATOMIC };
	struct play_bracket b = {};
	struct play_table *table;
	struct play_mark mark = {};
	int ret = 0;
	u32 i;

	for_each_table(table, guest) {
		b.tbl = table->tbl;
		break;
	}
	if (!b.tbl || raw->count > KVMPLAY_RAW_STEPS)
		return -EINVAL;
	begin_hooks(&run, &mark);
	for (i = 0; i < raw->count && !ret; i++)
		ret = raw_step(&run, &b, &raw->step[i]);
	if (b.pua)
		iommu_tce_kill(b.tbl, b.entry, 1);
	end_hooks(&run, &mark);
	memcpy(raw->odds, run.odds, sizeof(run.odds));
	return ret;
}
