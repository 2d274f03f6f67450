// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM's hooks: carry out a guest's TCE hypercalls without userspace.
 *
 * KVM's H_PUT_TCE, H_PUT_TCE_INDIRECT and H_STUFF_TCE (arch/powerpc/kvm/
 * book3s_64_vio.c) write to a TCE table through its it_ops. This module gives
 * each window's table its own it_ops, which point to the hooks of this file.
 * Only KVM calls the hooks: this module calls the platform's ops directly.
 * A hook changes an entry as a client's request does in src/tce_v2.c: table,
 * view and counts change together under the leaf's lock.
 *
 *	KVM calls			step	the hook
 *	useraddrptr(alloc = true)	begin	locks the leaf, or declines
 *	xchg_no_kill(hpa, direction)	note	notes the permissions
 *	tce_kill()			commit	maps the entry, unlocks the leaf
 *
 *	xchg_no_kill(0, DMA_NONE)	unmap	unmaps the entry, returns "was
 *						empty"; or declines
 *
 * After a declined unmap KVM calls useraddrptr(alloc = false), which returns a
 * user address in no region. Then KVM calls xchg_no_kill() to restore the
 * entry, which does nothing here.
 *
 * Between begin and note KVM looks up the user address in the kernel's own
 * list, where mirrors stand for regions (src/mirror.c), and counts it there.
 * After note KVM stores the user address where the pointer from begin says. So
 * only commit knows the address, and commit may not fail. From begin to commit
 * KVM runs straight-line code in one thread, without sleeping. If a hook
 * declines, KVM returns H_TOO_HARD: the hypercall exits to userspace, which
 * then calls VFIO_IOMMU_MAP_DMA or VFIO_IOMMU_UNMAP_DMA.
 *
 * No hook returns an error, because KVM would warn. No hook returns an entry's
 * old page: KVM would undo that mapping, and mark a page dirty to which it has
 * no reference.
 *
 * No hook sleeps. On kernels that are not preemptible, this is all that
 * protects the list of tables that KVM is walking.
 *
 * Owns struct tce2_kvm and the brackets. Locks: the leaves of the view, RCU.
 * Calls: tce_v2 (references), table, view, range, mm_iommu, mirror; the kernel's
 * mm_iommu_mapped_dec().
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/atomic.h>
#include <linux/cache.h>
#include <linux/dma-direction.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/string.h>

#include <asm/mmu_context.h>

#include "tce2_kvm.h"
#include "tce2_mirror.h"
#include "tce2_mm_iommu.h"
#include "tce2_tce_v2.h"
#include "tce2_view_format.h"

/*
 * Above all user addresses, so that KVM's lookup finds nothing, and a multiple
 * of any page size, so that the lookup can't wrap
 */
#define NO_REGION	BIT_ULL(63)

/* Attempts to lock a leaf, or to get a bracket, before a hook declines */
#define SPINS		2000

/* At most this many threads are between begin and commit at once */
#define BRACKETS	256

/**
 * struct bracket - one thread's mapping for KVM, from begin to commit
 * @task: the thread between begin and commit, or NULL if the bracket is free
 * @kvm: the hooks at the table in which the thread maps
 * @slot: where the word of the locked leaf is
 * @word: the word to be stored when the leaf is unlocked
 * @tce: where the entry is in the hardware's table
 * @index: index of the entry
 * @perm: permissions that KVM asks for
 * @noted: note has been called for the entry
 * @ua: the user address, stored by KVM
 * @hpa: the host physical address
 * @stale: first entry that was written since the last invalidation
 * @stale_count: entries written since the last invalidation
 *
 * A bracket belongs to the thread in @task.
 */
struct bracket {
	struct task_struct *task;
	struct tce2_kvm *kvm;
	u64 *slot;
	u64 word;
	__be64 *tce;
	u64 index;
	u64 perm;
	bool noted;
	__be64 ua;
	u64 hpa;
	u64 stale;
	u64 stale_count;
} ____cacheline_aligned_in_smp;

static struct bracket brackets[BRACKETS];

bool tce2_kvm_in_use;

static bool maps = true;
static atomic_long_t declined;
static atomic_long_t mapping_windows;

static struct tce2_kvm *to_kvm(const struct iommu_table *tbl)
{
	return container_of(tbl->it_ops, struct tce2_kvm, ops);
}

/* Chosen by the thread's address: all three hooks find it without a search */
static __always_inline struct bracket *my_bracket(void)
{
	struct bracket *bracket = &brackets[((unsigned long)current >>
					     L1_CACHE_SHIFT) % BRACKETS];

	/* Make the compiler keep one address in one register, not its parts */
	OPTIMIZER_HIDE_VAR(bracket);
	return bracket;
}

/* Returns true if the thread is between begin and commit */
static __always_inline bool is_open(const struct bracket *bracket)
{
	return READ_ONCE(bracket->task) == current;
}

/* From now on every map hypercall for this window exits to userspace */
static noinline void trip(struct tce2_kvm *kvm, const char *why)
{
	if (xchg(&kvm->tripped, true))
		return;
	WRITE_ONCE(kvm->is_plain, false);
	pr_err("KVM uses the TCE table at %#lx in a way that is not understood (%s): its guest's mapping goes through userspace now\n",
	       kvm->tbl->it_offset << kvm->tbl->it_page_shift, why);
}

/* Returns where the entry is in the array of its leaf */
static u64 *entry_of(u64 word, u64 index)
{
	return tce2_word_array(word) + (index & TCE2_LEAF_MASK);
}

/*
 * Sets the view's @hooked, so that KVM's hooks may use it. Fails while a
 * request holds any leaf of the view.
 */
static noinline bool hook_view(struct tce2_window *window)
{
	struct tce2_range range;

	if (!tce2_range_trylock(&window->ranges, &range, 0,
				window->size >> window->page_shift))
		return false;
	/*
	 * Pairs with is_hooked() and kvm_useraddrptr(): arrays stay from now on
	 */
	smp_store_release(&window->view.hooked, true);
	tce2_range_unlock(&window->ranges, &range);
	return true;
}

static bool is_hooked(struct tce2_window *window)
{
	/* Pairs with hook_view() */
	return likely(smp_load_acquire(&window->view.hooked)) ||
	       hook_view(window);
}

/*
 * Makes the array that hooks need in a leaf, and locks the leaf. Returns NULL
 * if a request holds the leaf, or without memory.
 */
static noinline u64 *lock_new_array(struct tce2_window *window, u64 index,
				    u64 *word)
{
	struct tce2_range range;
	u64 *slot;

	if (!tce2_range_trylock(&window->ranges, &range,
				index & ~(TCE2_VIEW_LEAF - 1), TCE2_VIEW_LEAF))
		return NULL;
	slot = tce2_view_make_array(&window->view, index, word);
	tce2_range_unlock(&window->ranges, &range);
	return slot;
}

/*
 * Spins for a locked leaf, a limited number of times: another hook unlocks it
 * within microseconds, but a request may hold it for any time
 */
static noinline u64 *wait_for_leaf(u64 *slot, u64 *word)
{
	unsigned int spins;

	for (spins = 0; spins < SPINS; spins++) {
		if (tce2_word_trylock(slot, word))
			return slot;
		cpu_relax();
	}
	return NULL;
}

/* Locks the leaf of an entry; returns NULL if it can't be locked */
static u64 *lock_leaf(struct tce2_window *window, u64 index, u64 *word)
{
	u64 *slot = tce2_view_slot(&window->view,
				   index >> TCE2_VIEW_LEAF_SHIFT);

	if (slot && tce2_word_trylock(slot, word))
		return slot;
	if (slot && tce2_word_is_array(*word))
		return wait_for_leaf(slot, word);
	return lock_new_array(window, index, word);
}

/* Drops the page that an entry mapped; no device may still translate to it */
static __always_inline void drop_entry(struct tce2_window *window, u64 old)
{
	/* A group that has kept the window may still reach the page */
	if (likely(!window->stuck))
		tce2_page_drop(window->cache, old & ~TCE2_VIEW_PERM,
			       window->page_shift);
}

/* Clears an entry in table and view; returns false if the platform refuses */
static __always_inline bool take_out(struct tce2_window *window, u64 index,
				     u64 *word)
{
	u64 *entry = entry_of(*word, index), old = *entry;

	if (!old)
		return true;
	if (unlikely(tce2_table_take_out(&window->table, index)))
		return false;
	WRITE_ONCE(*entry, 0);
	*word -= TCE2_WORD_COUNT_1;
	drop_entry(window, old);
	return true;
}

/* Invalidates the bracket's stale entries, so that devices see the new TCEs */
static __always_inline void invalidate(struct bracket *bracket)
{
	if (bracket->stale_count)
		tce2_table_invalidate_few(&bracket->kvm->window->table,
					  bracket->stale,
					  bracket->stale_count);
	bracket->stale_count = 0;
}

/* Drops the old page of an entry that was mapped before */
static noinline void replace(struct bracket *bracket, u64 old)
{
	/* The page may be dropped only when no device can reach it */
	invalidate(bracket);
	drop_entry(bracket->kvm->window, old);
}

/* Clears an entry because KVM @asked for it, or the memory can't be mapped */
static noinline void map_nothing(struct bracket *bracket, u64 ua, bool asked)
{
	struct tce2_kvm *kvm = bracket->kvm;
	struct tce2_window *window = kvm->window;

	/* The stale entries will not be adjacent to the next one written */
	invalidate(bracket);
	take_out(window, bracket->index, &bracket->word);
	if (!asked)
		trip(kvm, "memory that only another driver has registered");
	tce2_mirror_uncount(kvm->mm, ua, window->page_shift);
}

/* Undoes KVM's count in the kernel's list for an entry that is mapped */
static __always_inline void uncount(struct bracket *bracket,
				    struct tce2_region *region, u64 ua)
{
	struct mm_iommu_table_group_mem_t *mem = READ_ONCE(region->mirror);

	/* KVM's count keeps the mirror in the list */
	if (likely(mem))
		mm_iommu_mapped_dec(mem);
	else
		tce2_mirror_uncount(bracket->kvm->mm, ua,
				    bracket->kvm->window->page_shift);
}

/* Carries out the mapping that KVM takes as done */
static __always_inline void commit(struct bracket *bracket)
{
	struct tce2_window *window = bracket->kvm->window;
	struct tce2_region *region;
	u64 ua, old, *entry;

	if (!bracket->noted)
		return;
	bracket->noted = false;
	ua = be64_to_cpup(&bracket->ua);
	/*
	 * H_PUT_TCE_INDIRECT does not validate a TCE without permissions. It
	 * reads each TCE again after validation, when the guest may have
	 * changed it.
	 */
	if (unlikely(!bracket->perm ||
		     ua & (BIT_ULL(window->page_shift) - 1))) {
		map_nothing(bracket, ua, true);
		return;
	}
	region = tce2_page_hold(window->cache, ua, window->page_shift,
				bracket->perm & TCE2_VIEW_WRITE, &bracket->hpa);
	if (unlikely(!region)) {
		map_nothing(bracket, ua, false);
		return;
	}
	*bracket->tce = cpu_to_be64(tce2_make_tce(bracket->hpa, bracket->perm));
	if (!bracket->stale_count++)
		bracket->stale = bracket->index;
	entry = entry_of(bracket->word, bracket->index);
	old = *entry;
	WRITE_ONCE(*entry, ua | bracket->perm);
	if (likely(!old))
		bracket->word += TCE2_WORD_COUNT_1;
	else
		replace(bracket, old);
	uncount(bracket, region, ua);
}

/*
 * Begins the bracket's RCU read-side section. The section ends in another hook,
 * which sparse can't see.
 */
static __always_inline void enter_rcu(void)
{
	rcu_read_lock();
	__release(RCU);
}

static __always_inline void leave_rcu(void)
{
	__acquire(RCU);
	rcu_read_unlock();
}

/* Frees the bracket, whose leaf is unlocked */
static __always_inline void put_bracket(struct bracket *bracket)
{
	leave_rcu();
	/* Pairs with get_bracket() of the next thread */
	smp_store_release(&bracket->task, NULL);
}

/*
 * Commits and frees the thread's bracket. The invalidation needs no lock of the
 * leaf: KVM's reference keeps the table until after the hook.
 */
static __always_inline void end(struct bracket *bracket)
{
	commit(bracket);
	tce2_word_unlock(bracket->slot, bracket->word);
	invalidate(bracket);
	put_bracket(bracket);
}

/* Ends the bracket because KVM has not called the expected hook */
static noinline void break_off(struct bracket *bracket, const char *why)
{
	trip(bracket->kvm, why);
	end(bracket);
}

/*
 * Locks an entry's leaf for the bracket, if KVM may map there. The caller's RCU
 * read-side section must begin before @closing is read, see close_hooks().
 */
static bool lock_entry(struct bracket *bracket, struct tce2_window *window,
		       u64 index)
{
	bracket->slot = lock_leaf(window, index, &bracket->word);
	if (!bracket->slot)
		return false;
	if (window->live && !atomic_read(&window->cache->closing) &&
	    tce2_cache_mirrors_serve(window->cache, window->page_shift)) {
		bracket->tce = tce2_table_find(&window->table, index);
		if (bracket->tce)
			return true;
	}
	tce2_word_unlock(bracket->slot, bracket->word);
	return false;
}

/* Gets the thread's bracket; spins while another thread briefly uses it */
static bool get_bracket(struct bracket *bracket)
{
	unsigned int spins;

	for (spins = 0; spins < SPINS; spins++) {
		if (!READ_ONCE(bracket->task) &&
		    !cmpxchg_acquire(&bracket->task, NULL, current))
			return true;
		cpu_relax();
	}
	return false;
}

/* Begins the following entry: a guest's page may be several IOMMU pages */
static __be64 *go_on(struct bracket *bracket, struct tce2_kvm *kvm, u64 index)
{
	if (bracket->kvm != kvm || !bracket->noted ||
	    index != bracket->index + 1) {
		break_off(bracket, "a mapping has no end");
		return NULL;
	}
	if (index >= kvm->entries) {
		end(bracket);
		return NULL;
	}
	commit(bracket);
	bracket->index = index;
	if (index & TCE2_LEAF_MASK) {
		bracket->tce++;
		return &bracket->ua;
	}
	tce2_word_unlock(bracket->slot, bracket->word);
	invalidate(bracket);
	if (lock_entry(bracket, kvm->window, index))
		return &bracket->ua;
	put_bracket(bracket);
	return NULL;
}

static __always_inline __be64 *open_bracket(struct bracket *bracket,
					    struct tce2_kvm *kvm, u64 index)
{
	bracket->kvm = kvm;
	bracket->index = index;
	bracket->noted = false;
	bracket->ua = 0;
	bracket->stale_count = 0;
	return &bracket->ua;
}

/*
 * Begins to map an entry. RCU keeps the entry of the kernel's list that KVM
 * will look up from being freed before KVM counts it.
 */
static __be64 *begin(struct bracket *bracket, struct tce2_kvm *kvm, u64 index)
{
	struct tce2_window *window = kvm->window;

	if (is_open(bracket))
		return go_on(bracket, kvm, index);
	if (!READ_ONCE(maps) || READ_ONCE(kvm->tripped) ||
	    index >= kvm->entries || current->mm != kvm->mm ||
	    !READ_ONCE(window->live) ||
	    !tce2_table_find(&window->table, index) || !is_hooked(window) ||
	    !get_bracket(bracket))
		return NULL;
	enter_rcu();
	if (lock_entry(bracket, window, index))
		return open_bracket(bracket, kvm, index);
	put_bracket(bracket);
	return NULL;
}

static void note_call(struct tce2_kvm *kvm)
{
	/* Many processors share the cache line, so write it only once */
	if (unlikely(!READ_ONCE(kvm->called)))
		WRITE_ONCE(kvm->called, true);
}

static noinline __be64 *begin_slowly(struct bracket *bracket,
				     struct tce2_kvm *kvm, u64 index)
{
	const struct iommu_table *tbl = kvm->tbl;
	__be64 *ua = begin(bracket, kvm, index);

	if (!ua) {
		note_call(kvm);
		atomic_long_inc(&declined);
		return NULL;
	}
	if (!READ_ONCE(kvm->counted) && !xchg(&kvm->counted, true)) {
		atomic_long_inc(&mapping_windows);
		WRITE_ONCE(tce2_kvm_in_use, true);
	}
	if (!tbl->it_indirect_levels && tbl->it_page_shift <= PAGE_SHIFT) {
		/*
		 * Pairs with kvm_useraddrptr(), which relies on a hooked view
		 * and a table in memory. Pairs with trip(), which may have run
		 * before.
		 */
		if (!xchg(&kvm->is_plain, true) && READ_ONCE(kvm->tripped))
			WRITE_ONCE(kvm->is_plain, false);
	}
	return ua;
}

/* The fast path of begin(), without a function call */
static __be64 *kvm_useraddrptr(struct iommu_table *tbl, long index, bool alloc)
{
	struct tce2_kvm *kvm = to_kvm(tbl);
	struct bracket *bracket = my_bracket();
	struct tce2_window *window = kvm->window;
	u64 at = index - tbl->it_offset;
	u64 *slot, word;

	if (!alloc)
		return &kvm->no_region;
	/* Pairs with begin_slowly() */
	if (unlikely(!smp_load_acquire(&kvm->is_plain) || !READ_ONCE(maps) ||
		     at >= kvm->entries || current->mm != kvm->mm))
		return begin_slowly(bracket, kvm, at);
	slot = tce2_view_slot(&window->view, at >> TCE2_VIEW_LEAF_SHIFT);
	if (unlikely(!slot || cmpxchg_acquire(&bracket->task, NULL, current)))
		return begin_slowly(bracket, kvm, at);
	if (unlikely(!tce2_word_trylock(slot, &word)))
		goto decline;
	enter_rcu();
	bracket->slot = slot;
	bracket->word = word;
	bracket->tce = (__be64 *)tbl->it_base + at;
	if (likely(window->live && !atomic_read(&window->cache->closing)))
		return open_bracket(bracket, kvm, at);
	leave_rcu();
	tce2_word_unlock(slot, word);
decline:
	/* As in put_bracket() */
	smp_store_release(&bracket->task, NULL);
	return begin_slowly(bracket, kvm, at);
}

/*
 * Clears an entry of a locked leaf, and unlocks the leaf. RCU protects the
 * table's list of groups, which the platform walks without a lock of its own.
 */
static __always_inline bool take_out_locked(struct tce2_window *window,
					    u64 index, u64 *slot, u64 word)
{
	bool done = true;

	rcu_read_lock();
	if (likely(window->live))
		done = take_out(window, index, &word);
	rcu_read_unlock();
	tce2_word_unlock(slot, word);
	return done;
}

/*
 * Unmaps an entry of a leaf without an array; false if userspace has to do it
 */
static noinline bool unmap_from_run(struct tce2_kvm *kvm, u64 index, u64 word)
{
	struct tce2_leaf_run run = tce2_word_run(word);
	unsigned int at = index & TCE2_LEAF_MASK;
	u64 *slot;

	/* Not mapped; the run of an untouched leaf has no permissions either */
	if (!run.perm || at < run.first || at > run.last)
		return true;
	if (current->mm != kvm->mm)
		return false;
	/* Makes the array, unless another thread has made it meanwhile */
	slot = lock_leaf(kvm->window, index, &word);
	return slot && take_out_locked(kvm->window, index, slot, word);
}

/*
 * Unmaps an entry; returns false if userspace has to do it. An entry that is
 * not mapped needs no lock: a request that changes it at the same time may come
 * before or after.
 */
static __always_inline bool unmap(struct tce2_kvm *kvm, u64 index)
{
	struct tce2_window *window = kvm->window;
	u64 *slot, word;

	/*
	 * The table of a small window is larger than the window. In some
	 * kernels KVM lets a guest clear more entries than the table has
	 * (iommu_tce_check_ioba()), but stops at the first declined entry.
	 */
	if (unlikely(index >= kvm->entries || !is_hooked(window)))
		return false;
	slot = tce2_view_slot(&window->view, index >> TCE2_VIEW_LEAF_SHIFT);
	if (!slot)
		return true;
	word = READ_ONCE(*slot);
	if (unlikely(!tce2_word_is_array(word)))
		return unmap_from_run(kvm, index, word);
	if (!READ_ONCE(*entry_of(word, index)))
		return true;
	if (unlikely(current->mm != kvm->mm))
		return false;
	if (unlikely(!tce2_word_trylock(slot, &word) &&
		     !wait_for_leaf(slot, &word)))
		return false;
	return take_out_locked(window, index, slot, word);
}

static __always_inline u64 perm_of(enum dma_data_direction direction)
{
	switch (direction) {
	case DMA_TO_DEVICE:
		return TCE2_VIEW_READ;
	case DMA_FROM_DEVICE:
		return TCE2_VIEW_WRITE;
	case DMA_BIDIRECTIONAL:
		return TCE2_VIEW_PERM;
	default:
		return 0;
	}
}

/* Unmaps an entry and returns "was empty"; or declines with "was readable" */
static noinline int exchange_none(struct tce2_kvm *kvm, u64 index,
				  unsigned long *hpa,
				  enum dma_data_direction *direction)
{
	*hpa = 0;
	note_call(kvm);
	if (likely(unmap(kvm, index)))
		return 0;
	atomic_long_inc(&declined);
	*direction = DMA_TO_DEVICE;
	return 0;
}

/* Ignores KVM's restore after a declined unmap; trips at an unexpected call */
static noinline int exchange_oddly(struct bracket *bracket,
				   struct tce2_kvm *kvm, unsigned long *hpa,
				   enum dma_data_direction *direction)
{
	if (is_open(bracket))
		break_off(bracket, "a mapping has no end");
	else if (*hpa)
		trip(kvm, "a mapping has no beginning");
	*hpa = 0;
	*direction = DMA_NONE;
	return 0;
}

static int kvm_xchg_no_kill(struct iommu_table *tbl, long index,
			    unsigned long *hpa,
			    enum dma_data_direction *direction)
{
	struct tce2_kvm *kvm = to_kvm(tbl);
	struct bracket *bracket = my_bracket();
	u64 entry = index - tbl->it_offset;

	if (!is_open(bracket)) {
		if (*direction == DMA_NONE)
			return exchange_none(kvm, entry, hpa, direction);
		return exchange_oddly(bracket, kvm, hpa, direction);
	}
	if (unlikely(bracket->kvm != kvm || bracket->index != entry ||
		     bracket->noted))
		return exchange_oddly(bracket, kvm, hpa, direction);
	bracket->noted = true;
	bracket->perm = perm_of(*direction);
	*hpa = 0;
	*direction = DMA_NONE;
	return 0;
}

static void kvm_tce_kill(struct iommu_table *tbl, unsigned long index,
			 unsigned long pages)
{
	struct bracket *bracket = my_bracket();

	if (!is_open(bracket))
		return;
	if (likely(bracket->kvm == to_kvm(tbl)))
		end(bracket);
	else
		break_off(bracket, "a mapping ends at another table");
}

/* Frees the hooks after both the owner and the table have dropped them */
static void finish(struct tce2_kvm *kvm)
{
	if (kvm->charge)
		account_locked_vm(kvm->mm, kvm->charge, false);
	mmdrop(kvm->mm);
	tce2_window_put(kvm->window);
	kfree(kvm);
	/* tce2_exit() waits for the rest of this function to run */
	module_put(THIS_MODULE);
}

static void finish_work(struct work_struct *work)
{
	finish(container_of(work, struct tce2_kvm, work));
}

/* May not sleep: KVM drops its last reference in an RCU callback */
static void kvm_free(struct iommu_table *tbl)
{
	struct tce2_kvm *kvm = to_kvm(tbl);

	tbl->it_ops = (struct iommu_table_ops *)kvm->platform;
	if (kvm->platform->free)
		kvm->platform->free(tbl);
	if (refcount_dec_and_test(&kvm->refs))
		schedule_work(&kvm->work);
}

/**
 * tce2_kvm_alloc() - allocate KVM's hooks for a table to be made
 *
 * Context: may sleep.
 * Return: hooks to be given to tce2_kvm_install() or kfree(); NULL without
 * memory.
 */
struct tce2_kvm *tce2_kvm_alloc(void)
{
	return kzalloc(sizeof(struct tce2_kvm), GFP_KERNEL_ACCOUNT);
}

/**
 * tce2_kvm_install() - install KVM's hooks at a window's table
 * @kvm: the hooks from tce2_kvm_alloc()
 * @window: the window, not published
 * @platform_refs: references to the window's table, without KVM's
 *
 * The hooks are installed even if this returns -EBUSY: tce2_kvm_release() has
 * to follow in either case. The module stays loaded as long as the table
 * exists.
 *
 * On powernv KVM can't find the table yet. On pseries KVM may just have found
 * it: create_table() has entered it in the table group
 * (spapr_tce_create_table()). Then KVM may have written to the table with the
 * platform's ops, and the window can't be used.
 *
 * Context: the window's owner is locked for writing.
 * Return: 0; -EBUSY if KVM found the table before the hooks were installed.
 */
int tce2_kvm_install(struct tce2_kvm *kvm, struct tce2_window *window,
		     unsigned int platform_refs)
{
	struct iommu_table *tbl = window->table.tbl;

	kvm->platform = window->table.ops;
	kvm->ops = *kvm->platform;
	kvm->ops.xchg_no_kill = kvm_xchg_no_kill;
	kvm->ops.tce_kill = kvm_tce_kill;
	kvm->ops.useraddrptr = kvm_useraddrptr;
	kvm->ops.free = kvm_free;
	kvm->tbl = tbl;
	kvm->window = window;
	kvm->mm = window->cache->mm;
	kvm->platform_refs = platform_refs;
	kvm->entries = window->size >> window->page_shift;
	kvm->no_region = cpu_to_be64(NO_REGION);
	refcount_set(&kvm->refs, 2);
	INIT_WORK(&kvm->work, finish_work);
	mmgrab(kvm->mm);
	refcount_inc(&window->refs);
	__module_get(THIS_MODULE);
	window->kvm = kvm;

	/* Pairs with iommu_tce_table_get() in KVM, which then uses it_ops */
	smp_store_mb(tbl->it_ops, &kvm->ops);
	return kref_read(&tbl->it_kref) > platform_refs ? -EBUSY : 0;
}

/**
 * tce2_kvm_release() - drop the owner's reference to the hooks at a table
 * @kvm: the hooks, whose table the owner has dropped already
 * @charge: pages of locked_vm that are charged for the table
 *
 * The pages are refunded at once if the table is gone, else when KVM has
 * dropped its last reference to the table.
 *
 * Context: may sleep.
 */
void tce2_kvm_release(struct tce2_kvm *kvm, unsigned long charge)
{
	kvm->charge = charge;
	if (kvm->counted)
		atomic_long_dec(&mapping_windows);
	if (refcount_dec_and_test(&kvm->refs))
		finish(kvm);
}

/**
 * tce2_kvm_break_off() - end the thread's bracket if it has one
 *
 * The window that the thread maps in goes through userspace from now on.
 *
 * Context: process context, no lock held.
 */
void tce2_kvm_break_off(void)
{
	struct bracket *bracket = my_bracket();

	if (unlikely(is_open(bracket)))
		break_off(bracket, "a mapping has no end");
}

/**
 * tce2_kvm_maps() - check if KVM has to find the process's regions in its list
 * @kvm: the hooks at a table in which something has been mapped
 *
 * Context: any.
 * Return: true if KVM uses the table and can map in it.
 */
bool tce2_kvm_maps(struct tce2_kvm *kvm)
{
	return tce2_kvm_attached(kvm) && READ_ONCE(maps) &&
	       !READ_ONCE(kvm->tripped) &&
	       tce2_table_in_memory(&kvm->window->table);
}

static const char *const modes[] = { "unmap-only", "on" };

static int set_mode(const char *value, const struct kernel_param *param)
{
	int mode = sysfs_match_string(modes, value);

	if (mode < 0)
		return mode;
	WRITE_ONCE(maps, mode);
	return 0;
}

static int get_mode(char *buffer, const struct kernel_param *param)
{
	return sysfs_emit(buffer, "%s\n", modes[READ_ONCE(maps)]);
}

static const struct kernel_param_ops mode_ops = {
	.set	= set_mode,
	.get	= get_mode,
};

module_param_cb(kvm, &mode_ops, NULL, 0644);
MODULE_PARM_DESC(kvm,
		 "What KVM does in the kernel for its guests: on (default) or unmap-only");

static int get_count(char *buffer, const struct kernel_param *param)
{
	return sysfs_emit(buffer, "%ld\n", atomic_long_read(param->arg));
}

static const struct kernel_param_ops count_ops = {
	.get	= get_count,
};

module_param_cb(kvm_declined, &count_ops, &declined, 0444);
MODULE_PARM_DESC(kvm_declined,
		 "How often KVM was told to let userspace map or unmap");

module_param_cb(kvm_windows, &count_ops, &mapping_windows, 0444);
MODULE_PARM_DESC(kvm_windows,
		 "Windows in which KVM maps for its guests without userspace");
