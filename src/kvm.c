// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM's hooks: functions that carry out a guest's TCE hypercalls without userspace.
 *
 * KVM's H_PUT_TCE, H_PUT_TCE_INDIRECT and H_STUFF_TCE (arch/powerpc/kvm/
 * book3s_64_vio.c) write to a TCE table through its it_ops. This module gives
 * each window's table its own it_ops, which point to the hooks of this file.
 * Only KVM calls the hooks: this module calls the platform's ops directly.
 * A hook changes an entry in the same way as a client's request (src/tce_v2.c):
 * table, view and counts change together under the lock of the entry's leaf in
 * the view.
 *
 *	KVM calls			step	the hook
 *	useraddrptr(alloc = true)	begin	locks the leaf, or declines
 *	xchg_no_kill(hpa, direction)	note	records the TCE
 *	tce_kill()			commit	maps the entry, unlocks the leaf
 *
 *	xchg_no_kill(0, DMA_NONE)	unmap	unmaps the entry and reports it
 *						as empty, or declines
 *
 * After a declined unmap KVM calls useraddrptr(alloc = false), which returns a
 * pointer to a user address in no region. Then KVM calls xchg_no_kill() to
 * restore the entry, and this hook does nothing (kvmppc_tce_iommu_do_unmap()).
 *
 * The kernel has its own list of registered user memory (iommu_group_mem_list of
 * mm_context_t). In this list a mirror represents a region (src/mirror.c). Between
 * begin and note KVM looks up the user address in the list, and counts the page
 * there (kvmppc_tce_iommu_do_map()). After note KVM stores the user address
 * through the pointer from begin. So only commit can read the address, and
 * commit must not fail. Commit counts the page in its region. If KVM's count is in
 * the region's mirror, it also stays until the entry is unmapped or replaced. Then
 * both counts are decremented.
 *
 * From begin to commit KVM runs straight-line code in one thread, without
 * sleeping. During this time the thread owns a bracket (struct bracket). If a hook
 * declines, KVM returns H_TOO_HARD: the hypercall exits to userspace, which
 * then calls VFIO_IOMMU_MAP_DMA or VFIO_IOMMU_UNMAP_DMA.
 *
 * No hook returns an error, because KVM would warn. No hook returns an entry's
 * old page: KVM would undo the old mapping, and mark the page dirty without a
 * reference to the page (iommu_tce_xchg_no_kill()).
 *
 * No hook sleeps. KVM walks its list of tables while it calls the hooks. On a
 * kernel that is not preemptible, the list is protected only because no hook sleeps.
 *
 * Owns struct tce2_kvm and the brackets. Locks: the leaves of the view, RCU.
 * Calls: tce_v2 (references), table, mm_iommu, mirrors, mirror, view, dirty, range, trace.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/atomic.h>
#include <linux/build_bug.h>
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

#include "tce2_dirty.h"
#include "tce2_kvm.h"
#include "tce2_mirror.h"
#include "tce2_mirrors.h"
#include "tce2_mm_iommu.h"
#include "tce2_tce_v2.h"
#include "tce2_trace_calls.h"
#include "tce2_view_format.h"
#include "tce2_why.h"

/*
 * A user address in no region. It is above all user addresses, so that KVM's
 * lookup finds no region. It is a multiple of any page size, so that the lookup
 * can't wrap.
 */
#define NO_REGION	BIT_ULL(63)

/* Attempts to lock a leaf, or to get a bracket, before a hook declines */
#define SPINS		2000

/* Number of brackets: limits the number of threads between begin and commit */
#define BRACKETS	256

/* Direction in a bracket until note sets it */
#define NOT_NOTED	(-1)

/* User address in a bracket until KVM stores one; KVM stores multiples of 4K */
#define NOT_STORED	cpu_to_be64(1)

/* @slow_bits of struct tce2_kvm if kvm_tce_kill() must always take the slow path */
#define ALWAYS_SLOW	BIT_ULL(31)

/**
 * struct bracket - one thread's mapping for KVM, from begin to commit
 * @task: the thread between begin and commit, or NULL if the bracket is free
 * @tbl: the table in which the thread maps
 * @index: index of the entry in the table; the first entry has the index it_offset
 * @tce: pointer to the entry in the hardware's table
 * @entry: pointer to the entry in the view
 * @word: the word of the locked leaf, to be stored when the leaf is unlocked
 * @direction: DMA direction of the new TCE, or NOT_NOTED
 * @ua: the user address, stored by KVM, or NOT_STORED
 * @hpa: the host physical address
 * @slot: pointer to the word of the leaf
 * @leaf: number of the leaf
 * @cached: hooks of the window for which @slot and @leaf stay valid after the
 *	bracket is freed, or NULL. Set by the thread in @task, cleared by any
 *	thread (kvm_forget_leaves())
 * @stale: index, in the window, of the first entry written since the last
 *	invalidation
 * @stale_count: number of entries written since the last invalidation, 0 if the
 *	bracket is free
 *
 * A bracket belongs to the thread in @task.
 */
struct bracket {
	struct task_struct *task;
	struct iommu_table *tbl;
	unsigned long index;
	__be64 *tce;
	u64 *entry;
	u64 word;
	int direction;
	__be64 ua;
	u64 hpa;
	u64 *slot;
	u64 leaf;
	struct tce2_kvm *cached;
	u64 stale;
	u64 stale_count;
} ____cacheline_aligned_in_smp;

static struct bracket brackets[BRACKETS];

bool tce2_kvm_in_use;

static bool maps = true;
static atomic_long_t declined;
static atomic_long_t mapping_windows;

static struct tce2_kvm *kvm_of(const struct iommu_table *tbl)
{
	return container_of(tbl->it_ops, struct tce2_kvm, ops);
}

/*
 * Computes the bracket from the address of the task, so no hook has to search for it.
 * Task structures are in slabs, a few in each, so the bits of the address that select the
 * cache line have only a few values. The multiplication mixes them with the bits that
 * select the slab. hash_ptr() would need 5 more instructions for its factor, in each of 4
 * hooks; this factor fits into the instruction. 25033 / 2^15 is 2 / phi^2.
 */
static __always_inline struct bracket *bracket_of_current(void)
{
	struct bracket *bracket = &brackets[((unsigned long)current * 25033 >>
					     23) % BRACKETS];

	/* Make the compiler keep the address in one register, not base and index in two */
	OPTIMIZER_HIDE_VAR(bracket);
	return bracket;
}

/* Returns true if the thread is between begin and commit */
static __always_inline bool bracket_is_open(const struct bracket *bracket)
{
	return READ_ONCE(bracket->task) == current;
}

/* Returns the index of the bracket's entry in the window; the first entry has index 0 */
static __always_inline u64 bracket_window_index(const struct bracket *bracket)
{
	return bracket->index - bracket->tbl->it_offset;
}

/*
 * Clears the cached leaf of the brackets for @kvm, or of all brackets if @kvm is
 * NULL. Before the call, the caller must change a condition that kvm_find_leaf()
 * checks, and issue a full barrier.
 */
static void kvm_forget_leaves(struct tce2_kvm *kvm)
{
	unsigned int i;

	for (i = 0; i < BRACKETS; i++) {
		struct tce2_kvm *cached = READ_ONCE(brackets[i].cached);

		if (cached && (!kvm || cached == kvm))
			cmpxchg(&brackets[i].cached, cached, NULL);
	}
}

/* Makes every later map hypercall for this window exit to userspace */
static noinline void kvm_trip(struct tce2_kvm *kvm, const char *why)
{
	if (xchg(&kvm->tripped, true))
		return;
	kvm_forget_leaves(kvm);
	pr_err("KVM uses the TCE table at %#lx in a way that is not understood (%s): the guest's maps go through userspace from now on\n",
	       kvm->tbl->it_offset << kvm->tbl->it_page_shift, why);
}

/* Returns a pointer to the entry in the array of its leaf */
static u64 *kvm_entry_of(u64 word, u64 index)
{
	return tce2_word_array(word) + (index & TCE2_LEAF_MASK);
}

/*
 * Sets the view's @hooked, so that KVM's hooks may change leaves. Fails while a
 * request holds a range of entries, if drivers may pin pages of the window, or if the window
 * was removed. Waits for requests that hold a brief lock.
 */
static noinline bool kvm_hook_view(struct tce2_window *window)
{
	struct tce2_range range;
	bool live;

	if (READ_ONCE(window->pins) ||
	    !tce2_range_trylock(&window->ranges, &range, 0,
				window->size >> window->page_shift))
		return false;
	live = window->live && !window->pins;
	if (live)
		/* Pairs with kvm_is_hooked() and kvm_find_leaf(): arrays are now kept */
		smp_store_release(&window->view.hooked, true);
	/* So that brief requests do not lock leaves that they may not change */
	WRITE_ONCE(window->serves_pages, false);
	tce2_range_unlock(&window->ranges, &range);
	return live;
}

static bool kvm_is_hooked(struct tce2_window *window)
{
	/* Pairs with kvm_hook_view() */
	return likely(smp_load_acquire(&window->view.hooked)) ||
	       kvm_hook_view(window);
}

/*
 * Makes the array that hooks need in a leaf, and locks the leaf. Returns NULL
 * if a request holds the leaf's range, if the window was removed, or if memory is
 * short. A removed window gets no new array, because all of its leaves must
 * stay locked.
 */
static noinline u64 *kvm_lock_new_array(struct tce2_window *window, u64 index,
					u64 *word)
{
	struct tce2_range range;
	u64 *slot = NULL;

	if (!tce2_range_trylock(&window->ranges, &range,
				index & ~(TCE2_VIEW_LEAF - 1), TCE2_VIEW_LEAF))
		return NULL;
	/* In a tracked window, only requests may map in leaves that were never mapped */
	if (window->live && !window->dirty)
		slot = tce2_view_make_array(&window->view, index, word);
	tce2_range_unlock(&window->ranges, &range);
	return slot;
}

/*
 * Spins until a leaf is unlocked, and locks it. Gives up after SPINS attempts: a
 * hook unlocks a leaf within microseconds, but a request may hold a leaf for any time.
 */
static noinline u64 *kvm_wait_for_leaf(u64 *slot, u64 *word)
{
	unsigned int spins;

	for (spins = 0; spins < SPINS; spins++) {
		if (tce2_word_trylock(slot, word))
			return slot;
		cpu_relax();
	}
	return NULL;
}

/*
 * Locks an entry's leaf, or returns NULL if it can't be locked. The window
 * can't be removed until the leaf is unlocked.
 */
static u64 *kvm_lock_leaf(struct tce2_window *window, u64 index, u64 *word)
{
	u64 *slot = tce2_view_slot(&window->view,
				   index >> TCE2_VIEW_LEAF_SHIFT);

	if (slot && tce2_word_trylock(slot, word))
		return slot;
	if (slot && tce2_word_is_array(*word))
		return kvm_wait_for_leaf(slot, word);
	return kvm_lock_new_array(window, index, word);
}

/* Marks an old entry as dirty in a tracked window. Returns true if the page must stay held. */
static noinline bool kvm_drop_slowly(struct tce2_window *window, u64 index, u64 old)
{
	if (window->dirty && old & TCE2_PERM_WRITE)
		tce2_dirty_mark(window->dirty, index, 1);
	/* Devices may still reach the page, see window_drop_leaf() */
	return window->kept_by_group;
}

/* Drops the page of an old entry, after the entry's translations were invalidated */
static __always_inline void kvm_drop_entry(struct tce2_window *window, u64 index, u64 old)
{
	u64 ua = old & ~TCE2_VIEW_FLAGS;

	if (unlikely(window->slow_drop) && kvm_drop_slowly(window, index, old))
		return;
	if (likely(old & TCE2_VIEW_COUNTED))
		tce2_page_drop_counted(window->cache, ua, window->page_shift,
				       old & TCE2_PERM_WRITE);
	else
		tce2_page_drop(window->cache, ua, window->page_shift);
}

/* Clears an entry and drops its page; returns false if the platform refuses */
static __always_inline bool kvm_take_out(struct tce2_window *window, u64 index,
					 u64 *entry)
{
	u64 old = *entry;

	if (!old)
		return true;
	if (unlikely(tce2_table_take_out(&window->table, index)))
		return false;
	WRITE_ONCE(*entry, 0);
	kvm_drop_entry(window, index, old);
	return true;
}

/* Invalidates the bracket's stale entries, so that devices see the new TCEs */
static void kvm_invalidate(struct bracket *bracket)
{
	struct tce2_window *window = kvm_of(bracket->tbl)->window;

	if (bracket->stale_count)
		tce2_table_invalidate_few(&window->table, bracket->stale,
					  bracket->stale_count);
	bracket->stale_count = 0;
}

static void kvm_add_stale(struct bracket *bracket)
{
	if (!bracket->stale_count++)
		bracket->stale = bracket_window_index(bracket);
}

/* Drops the old page of an entry that has been overwritten */
static noinline void kvm_replace(struct bracket *bracket, u64 old)
{
	/* The page may be dropped only when no device can reach it */
	kvm_add_stale(bracket);
	kvm_invalidate(bracket);
	kvm_drop_entry(kvm_of(bracket->tbl)->window, bracket_window_index(bracket), old);
}

/* Clears the entry instead of mapping it, and decrements KVM's count */
static noinline void kvm_map_nothing(struct bracket *bracket, u64 ua)
{
	struct tce2_kvm *kvm = kvm_of(bracket->tbl);

	/* Invalidate now, because later stale entries will not be adjacent to these */
	kvm_invalidate(bracket);
	kvm_take_out(kvm->window, bracket_window_index(bracket), bracket->entry);
	tce2_mirror_drop(kvm->mm, ua, kvm->window->page_shift);
}

/*
 * Returns the permissions of a direction. DMA_TO_DEVICE has the value of
 * TCE2_PERM_READ, DMA_FROM_DEVICE that of TCE2_PERM_WRITE; DMA_BIDIRECTIONAL is 0.
 */
static __always_inline u64 kvm_perm_of(int direction)
{
	BUILD_BUG_ON(DMA_TO_DEVICE ^ TCE2_PERM_READ);
	BUILD_BUG_ON(DMA_FROM_DEVICE ^ TCE2_PERM_WRITE);
	BUILD_BUG_ON(DMA_BIDIRECTIONAL);
	return direction ?: TCE2_PERM_RW;
}

/*
 * Returns true if a TCE with this direction has permissions: the direction is
 * neither DMA_NONE nor NOT_NOTED.
 */
static __always_inline bool kvm_is_mapping(int direction)
{
	return (unsigned int)direction <= DMA_FROM_DEVICE;
}

/*
 * Writes the TCE and the view's entry for a held page. @counted is
 * TCE2_VIEW_COUNTED if KVM's count stays, else 0. Returns true if the caller
 * must invalidate the entry.
 */
static __always_inline bool kvm_map_page(struct bracket *bracket, u64 ua,
					 int direction, u64 counted)
{
	u64 perm = kvm_perm_of(direction), *entry = bracket->entry, old;

	*bracket->tce = cpu_to_be64(tce2_make_tce(bracket->hpa, perm));
	old = *entry;
	WRITE_ONCE(*entry, ua | perm | counted);
	if (likely(!old))
		return true;
	kvm_replace(bracket, old);
	return false;
}

/*
 * Maps a page at the host physical address from its region, and undoes KVM's
 * count in the kernel's list. Returns false if no region contains the page.
 * The address from the kernel's list is not reliable for IOMMU pages larger
 * than the kernel's: mm_iommu_do_alloc() treats base pages after a hugepage as
 * a hugepage, too.
 */
static bool kvm_map_uncounted(struct bracket *bracket, u64 ua)
{
	struct tce2_kvm *kvm = kvm_of(bracket->tbl);
	unsigned int shift = kvm->window->page_shift;
	int direction = bracket->direction;

	if (!tce2_page_hold(kvm->cache, ua, shift,
			    kvm_perm_of(direction) & TCE2_PERM_WRITE,
			    &bracket->hpa))
		return false;
	if (kvm_map_page(bracket, ua, direction, 0))
		kvm_add_stale(bracket);
	tce2_mirror_drop(kvm->mm, ua, shift);
	return true;
}

/* Maps the bracket's entry; does nothing if KVM has not called note */
static noinline void kvm_commit(struct bracket *bracket)
{
	struct tce2_kvm *kvm = kvm_of(bracket->tbl);
	unsigned int shift = kvm->window->page_shift;
	u64 ua = be64_to_cpu(bracket->ua);

	if (bracket->direction == NOT_NOTED)
		return;
	/*
	 * The TCE may be invalid. H_PUT_TCE_INDIRECT does not validate a TCE without
	 * permissions. It also reads each TCE again after validation, so the guest
	 * may have changed the TCE (kvmppc_h_put_tce_indirect()). LoPAR 14.5.4.2.4
	 * requires that the list is copied once.
	 */
	if (bracket->ua == NOT_STORED) {
		/* Without the address KVM's count can't be undone: the page stays pinned */
		kvm_trip(kvm, "a mapping has no user address");
	} else if (!kvm_is_mapping(bracket->direction) ||
		   ua & (BIT_ULL(shift) - 1)) {
		kvm_map_nothing(bracket, ua);
	} else if (shift <= PAGE_SHIFT &&
		   tce2_page_hold_counted(kvm->cache, ua)) {
		if (kvm_map_page(bracket, ua, bracket->direction,
				 TCE2_VIEW_COUNTED))
			kvm_add_stale(bracket);
	} else if (!kvm_map_uncounted(bracket, ua)) {
		kvm_map_nothing(bracket, ua);
		kvm_trip(kvm, "only another driver has registered the memory");
	}
}

/*
 * Begins the bracket's RCU read-side section. Sparse can't see the end of the
 * section, which is in another hook.
 */
static __always_inline void kvm_enter_rcu(void)
{
	rcu_read_lock();
	__release(RCU);
}

static __always_inline void kvm_leave_rcu(void)
{
	__acquire(RCU);
	rcu_read_unlock();
}

/* Frees the bracket; the caller has unlocked its leaf */
static __always_inline void bracket_put(struct bracket *bracket)
{
	/* Pairs with the cmpxchg_acquire() of the next thread */
	smp_store_release(&bracket->task, NULL);
}

/*
 * Commits and frees the thread's bracket. The invalidation does not need the
 * leaf's lock, because KVM's reference keeps the table until the hook returns.
 */
static noinline void kvm_end(struct bracket *bracket)
{
	kvm_commit(bracket);
	tce2_word_unlock(bracket->slot, bracket->word);
	kvm_invalidate(bracket);
	bracket_put(bracket);
	kvm_leave_rcu();
}

/* Ends the bracket because KVM has not called the expected hook */
static noinline void kvm_break_off(struct bracket *bracket, const char *why)
{
	kvm_trip(kvm_of(bracket->tbl), why);
	kvm_end(bracket);
}

/*
 * Sets up the bracket, whose leaf is locked, to map one entry. Returns the
 * pointer through which KVM stores the user address.
 */
static __always_inline __be64 *bracket_open(struct bracket *bracket,
					    struct iommu_table *tbl,
					    unsigned long index, __be64 *tce,
					    u64 *entry)
{
	bracket->tbl = tbl;
	bracket->index = index;
	bracket->tce = tce;
	bracket->entry = entry;
	bracket->direction = NOT_NOTED;
	bracket->ua = NOT_STORED;
	return &bracket->ua;
}

/*
 * Locks an entry's leaf for the bracket, if KVM may map there, and opens the
 * bracket. The caller's RCU read-side section must begin before @closing is
 * read, see mirrors_close_hooks().
 */
static __be64 *kvm_lock_entry(struct bracket *bracket, struct iommu_table *tbl,
			      unsigned long index)
{
	struct tce2_window *window = kvm_of(tbl)->window;
	u64 at = index - tbl->it_offset;
	__be64 *tce;
	u64 *slot;

	slot = kvm_lock_leaf(window, at, &bracket->word);
	if (!slot)
		return NULL;
	/* Clear @cached first: the new @slot does not match @leaf */
	WRITE_ONCE(bracket->cached, NULL);
	bracket->slot = slot;
	if (current->mm == kvm_of(tbl)->mm && !atomic_read(&window->cache->closing) &&
	    tce2_cache_mirrors_serve(window->cache, window->page_shift)) {
		tce = tce2_table_find(&window->table, at);
		if (tce)
			return bracket_open(bracket, tbl, index, tce,
					    kvm_entry_of(bracket->word, at));
	}
	tce2_word_unlock(slot, bracket->word);
	return NULL;
}

/* Gets the thread's bracket; spins while another thread with this bracket uses it */
static bool bracket_get(struct bracket *bracket)
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

/*
 * Commits the bracket's entry and begins the next entry. If an IOMMU page of the guest
 * spans several entries of the window, KVM maps all of them before it calls tce_kill().
 */
static __be64 *kvm_go_on(struct bracket *bracket, struct iommu_table *tbl,
			 unsigned long index)
{
	__be64 *ua;

	if (bracket->tbl != tbl || bracket->direction == NOT_NOTED ||
	    index != bracket->index + 1) {
		kvm_break_off(bracket, "a mapping was not completed");
		return NULL;
	}
	if (index - tbl->it_offset >= kvm_of(tbl)->entries) {
		kvm_end(bracket);
		return NULL;
	}
	kvm_commit(bracket);
	if ((index - tbl->it_offset) & TCE2_LEAF_MASK)
		return bracket_open(bracket, tbl, index, bracket->tce + 1,
				    bracket->entry + 1);
	tce2_word_unlock(bracket->slot, bracket->word);
	kvm_invalidate(bracket);
	ua = kvm_lock_entry(bracket, tbl, index);
	if (ua)
		return ua;
	bracket_put(bracket);
	kvm_leave_rcu();
	return NULL;
}

/*
 * Begins to map an entry. KVM will look up the page in the kernel's list. The RCU
 * read-side section keeps the list's entry from being freed before KVM counts
 * the page there.
 */
static __be64 *kvm_begin(struct bracket *bracket, struct iommu_table *tbl,
			 unsigned long index)
{
	struct tce2_kvm *kvm = kvm_of(tbl);
	struct tce2_window *window = kvm->window;
	u64 at = index - tbl->it_offset;
	__be64 *ua;

	if (bracket_is_open(bracket))
		return kvm_go_on(bracket, tbl, index);
	if (!READ_ONCE(maps) || READ_ONCE(kvm->tripped) || !kvm->kill ||
	    at >= kvm->entries || current->mm != READ_ONCE(kvm->mm) ||
	    !READ_ONCE(window->live) ||
	    !tce2_table_find(&window->table, at) || !kvm_is_hooked(window) ||
	    !bracket_get(bracket))
		return NULL;
	kvm_enter_rcu();
	ua = kvm_lock_entry(bracket, tbl, index);
	if (ua)
		return ua;
	bracket_put(bracket);
	kvm_leave_rcu();
	return NULL;
}

static void kvm_note_call(struct tce2_kvm *kvm)
{
	/* Many processors share the cache line, so write it only once */
	if (unlikely(!READ_ONCE(kvm->called)))
		WRITE_ONCE(kvm->called, true);
}

static noinline __be64 *kvm_begin_slowly(struct bracket *bracket,
					 struct iommu_table *tbl,
					 unsigned long index)
{
	struct tce2_kvm *kvm = kvm_of(tbl);
	__be64 *ua = kvm_begin(bracket, tbl, index);

	if (!ua) {
		kvm_note_call(kvm);
		atomic_long_inc(&declined);
		if (tce2_tracing_on())
			tce2_trace_kvm_fallback(tbl->it_offset << tbl->it_page_shift,
						index << tbl->it_page_shift);
		return NULL;
	}
	if (!READ_ONCE(kvm->counted) && !xchg(&kvm->counted, true)) {
		atomic_long_inc(&mapping_windows);
		WRITE_ONCE(tce2_kvm_in_use, true);
		if (tce2_tracing_on())
			tce2_trace_kvm_attach(kvm->window->start, kvm->window->size);
	}
	return ua;
}

/* Returns true if the fast path may map in all entries of a leaf */
static bool kvm_is_plain(const struct tce2_kvm *kvm, u64 leaf)
{
	const struct iommu_table *tbl = kvm->tbl;

	return READ_ONCE(kvm->counted) && READ_ONCE(maps) &&
	       !READ_ONCE(kvm->tripped) && !tbl->it_indirect_levels &&
	       tbl->it_page_shift <= PAGE_SHIFT &&
	       tce2_table_in_memory(&kvm->window->table) &&
	       leaf < kvm->entries >> TCE2_VIEW_LEAF_SHIFT;
}

/* Caches a leaf in the thread's bracket; returns false if the slow path must map */
static noinline bool kvm_find_leaf(struct bracket *bracket, struct tce2_kvm *kvm,
				   u64 leaf)
{
	const struct tce2_view *view = &kvm->window->view;
	u64 *slot;

	/* Pairs with kvm_hook_view() */
	if (!smp_load_acquire(&view->hooked) || !kvm_is_plain(kvm, leaf))
		return false;
	slot = tce2_view_slot(view, leaf);
	if (!slot || !tce2_word_is_array(READ_ONCE(*slot)))
		return false;
	bracket->slot = slot;
	bracket->leaf = leaf;
	/* Pairs with kvm_forget_leaves(): check the conditions again */
	smp_store_mb(bracket->cached, kvm);
	if (likely(kvm_is_plain(kvm, leaf)))
		return true;
	WRITE_ONCE(bracket->cached, NULL);
	return false;
}

/* Begins to map an entry of the leaf that the thread's bracket has cached */
static __always_inline __be64 *kvm_begin_in_leaf(struct bracket *bracket,
						 struct iommu_table *tbl,
						 unsigned long index,
						 struct tce2_kvm *kvm, u64 at)
{
	u64 *slot = bracket->slot, word;

	if (unlikely(!tce2_word_trylock_array(slot, &word)))
		goto decline;
	kvm_enter_rcu();
	bracket->word = word;
	if (likely(!atomic_read(&kvm->cache->closing)) && likely(current->mm == kvm->mm))
		return bracket_open(bracket, tbl, index,
				    (__be64 *)tbl->it_base + at,
				    kvm_entry_of(word, at));
	kvm_leave_rcu();
	tce2_word_unlock(slot, word);
decline:
	bracket_put(bracket);
	return kvm_begin_slowly(bracket, tbl, index);
}

static noinline __be64 *kvm_begin_in_new_leaf(struct bracket *bracket,
					      struct iommu_table *tbl,
					      unsigned long index)
{
	struct tce2_kvm *kvm = kvm_of(tbl);
	u64 at = index - tbl->it_offset;

	if (kvm_find_leaf(bracket, kvm, at >> TCE2_VIEW_LEAF_SHIFT))
		return kvm_begin_in_leaf(bracket, tbl, index, kvm, at);
	bracket_put(bracket);
	return kvm_begin_slowly(bracket, tbl, index);
}

/*
 * The fast path of kvm_begin(), without a function call. The bracket caches the leaf
 * of the thread's last mapping, because the next mapping is usually in the same leaf.
 */
static __be64 *kvm_useraddrptr(struct iommu_table *tbl, long index, bool alloc)
{
	struct tce2_kvm *kvm = kvm_of(tbl);
	struct bracket *bracket = bracket_of_current();
	u64 at = index - tbl->it_offset;

	if (!alloc)
		return &kvm->no_region;
	if (unlikely(cmpxchg_acquire(&bracket->task, NULL, current)))
		return kvm_begin_slowly(bracket, tbl, index);
	if (unlikely(READ_ONCE(bracket->cached) != kvm ||
		     bracket->leaf != at >> TCE2_VIEW_LEAF_SHIFT))
		return kvm_begin_in_new_leaf(bracket, tbl, index);
	return kvm_begin_in_leaf(bracket, tbl, index, kvm, at);
}

/*
 * Clears an entry of a locked leaf, and unlocks the leaf. Returns false if the entry belongs
 * to another process. RCU protects the table's list of groups, which the platform walks
 * without a lock.
 */
static __always_inline bool kvm_take_out_locked(struct tce2_kvm *kvm, u64 index, u64 *slot,
						u64 word)
{
	bool done = false;

	rcu_read_lock();
	if (likely(current->mm == kvm->mm))
		done = kvm_take_out(kvm->window, index, kvm_entry_of(word, index));
	rcu_read_unlock();
	tce2_word_unlock(slot, word);
	return done;
}

/*
 * Unmaps an entry of a leaf without an array; returns false if userspace must
 * unmap it
 */
static noinline bool kvm_unmap_from_run(struct tce2_kvm *kvm, u64 index, u64 word)
{
	struct tce2_leaf_run run = tce2_word_run(word);
	unsigned int at = index & TCE2_LEAF_MASK;
	u64 *slot;

	/* The entry is not mapped. The run of an untouched leaf has no permissions */
	if (!run.perm || at < run.first || at > run.last)
		return true;
	if (current->mm != READ_ONCE(kvm->mm))
		return false;
	/* Makes the array, unless another thread has made it meanwhile */
	slot = kvm_lock_leaf(kvm->window, index, &word);
	return slot && kvm_take_out_locked(kvm, index, slot, word);
}

/*
 * Unmaps an entry; returns false if userspace must unmap it. An entry that is not
 * mapped needs no lock: if a request changes the entry at the same time, either
 * order is valid.
 */
static __always_inline bool kvm_unmap(struct tce2_kvm *kvm, u64 index)
{
	struct tce2_window *window = kvm->window;
	u64 *slot, word;

	/*
	 * The table of a small window is larger than the window. In some
	 * kernels KVM lets a guest clear entries past the end of the table
	 * (iommu_tce_check_ioba()), but stops at the first declined entry.
	 */
	if (unlikely(index >= kvm->entries))
		return false;
	/* In a removed window no entry is mapped, so the unmap succeeds */
	if (unlikely(!kvm_is_hooked(window)))
		return !READ_ONCE(window->live);
	slot = tce2_view_slot(&window->view, index >> TCE2_VIEW_LEAF_SHIFT);
	if (!slot)
		return true;
	word = READ_ONCE(*slot);
	if (unlikely(!tce2_word_is_array(word)))
		return kvm_unmap_from_run(kvm, index, word);
	if (!READ_ONCE(*kvm_entry_of(word, index)))
		return true;
	if (unlikely(!tce2_word_trylock(slot, &word) &&
		     !kvm_wait_for_leaf(slot, &word)))
		return false;
	return kvm_take_out_locked(kvm, index, slot, word);
}

/*
 * Unmaps an entry, and reports to KVM that the entry was empty. To decline,
 * reports that the entry was readable.
 */
static noinline int kvm_exchange_none(struct tce2_kvm *kvm, u64 index,
				      unsigned long *hpa,
				      enum dma_data_direction *direction)
{
	*hpa = 0;
	kvm_note_call(kvm);
	if (likely(kvm_unmap(kvm, index)))
		return 0;
	atomic_long_inc(&declined);
	*direction = DMA_TO_DEVICE;
	return 0;
}

/*
 * Handles a call of xchg_no_kill() that is neither note nor unmap. Ignores KVM's restore
 * after a declined unmap; trips at any other call.
 */
static noinline int kvm_exchange_oddly(struct bracket *bracket,
				       struct tce2_kvm *kvm, unsigned long *hpa,
				       enum dma_data_direction *direction)
{
	if (bracket_is_open(bracket))
		kvm_break_off(bracket, "a mapping was not completed");
	else if (*hpa)
		kvm_trip(kvm, "a mapping was not begun");
	*hpa = 0;
	*direction = DMA_NONE;
	return 0;
}

static int kvm_xchg_no_kill(struct iommu_table *tbl, long index,
			    unsigned long *hpa,
			    enum dma_data_direction *direction)
{
	struct bracket *bracket = bracket_of_current();

	if (!bracket_is_open(bracket)) {
		struct tce2_kvm *kvm = kvm_of(tbl);

		if (*direction == DMA_NONE)
			return kvm_exchange_none(kvm, index - tbl->it_offset, hpa,
						 direction);
		return kvm_exchange_oddly(bracket, kvm, hpa, direction);
	}
	if (unlikely(bracket->tbl != tbl || bracket->index != index ||
		     bracket->direction != NOT_NOTED))
		return kvm_exchange_oddly(bracket, kvm_of(tbl), hpa, direction);
	bracket->direction = *direction;
	bracket->hpa = *hpa;
	*hpa = 0;
	*direction = DMA_NONE;
	return 0;
}

static noinline void kvm_end_slowly(struct bracket *bracket,
				    struct iommu_table *tbl)
{
	if (likely(bracket->tbl == tbl))
		kvm_end(bracket);
	else
		kvm_break_off(bracket, "a mapping was completed at another table");
}

/* The fast path of kvm_end(), for one entry */
static void kvm_tce_kill(struct iommu_table *tbl, unsigned long index,
			 unsigned long pages)
{
	struct tce2_kvm *kvm = kvm_of(tbl);
	struct bracket *bracket = bracket_of_current();
	int direction;
	bool stale;
	u64 ua;

	if (!bracket_is_open(bracket))
		return;
	direction = bracket->direction;
	if (unlikely(bracket->tbl != tbl || bracket->index != index ||
		     !kvm_is_mapping(direction)))
		return kvm_end_slowly(bracket, tbl);
	ua = be64_to_cpup(&bracket->ua);
	if (unlikely((ua | ALWAYS_SLOW) & kvm->slow_bits ||
		     !tce2_page_hold_counted(kvm->cache, ua)))
		return kvm_end_slowly(bracket, tbl);
	stale = kvm_map_page(bracket, ua, direction, TCE2_VIEW_COUNTED);
	tce2_word_unlock(bracket->slot, bracket->word);
	bracket_put(bracket);
	if (likely(stale)) {
		/* The new TCE must be visible before firmware invalidates */
		mb();
		kvm->kill(tbl, index, 1);
	}
	kvm_leave_rcu();
}

/* Frees the hooks after the references of the owner and of the table are put */
static void kvm_finish(struct tce2_kvm *kvm)
{
	tce2_charge_refund(&kvm->charge);
	/* Hooks for another table may be allocated at the same address */
	kvm_forget_leaves(kvm);
	mmdrop(kvm->mm);
	tce2_window_put(kvm->window);
	kfree(kvm);
	/* tce2_exit() waits until this function has returned */
	module_put(THIS_MODULE);
}

static void kvm_finish_work(struct work_struct *work)
{
	kvm_finish(container_of(work, struct tce2_kvm, work));
}

/* Must not sleep, because KVM puts its last reference to a table in an RCU callback */
static void kvm_free(struct iommu_table *tbl)
{
	struct tce2_kvm *kvm = kvm_of(tbl);

	tbl->it_ops = (struct iommu_table_ops *)kvm->platform;
	if (kvm->platform->free)
		kvm->platform->free(tbl);
	if (refcount_dec_and_test(&kvm->refs))
		schedule_work(&kvm->work);
}

/**
 * tce2_kvm_alloc() - allocate KVM's hooks for a new table
 *
 * Context: may sleep.
 * Return: the hooks, which the caller passes to tce2_kvm_install() or kfree(); NULL if
 * memory is short.
 */
struct tce2_kvm *tce2_kvm_alloc(void)
{
	return kzalloc(sizeof(struct tce2_kvm), GFP_KERNEL_ACCOUNT);
}

/**
 * tce2_kvm_install() - install KVM's hooks at a window's table
 * @kvm: the hooks from tce2_kvm_alloc()
 * @window: the window, not published
 * @platform_refs: number of references to the window's table, except KVM's
 *
 * The hooks are installed even if this function returns -EBUSY. So the caller must
 * call tce2_kvm_release() in either case. The module stays loaded as long as the
 * table exists.
 *
 * On powernv KVM can't find the table yet. On pseries KVM may have found the
 * table already, because create_table() has entered it in the table group
 * (spapr_tce_create_table()). Then KVM may have written to the table with the
 * platform's ops, and the window can't be used.
 *
 * Context: the caller holds the lock of the window's owner (struct tce2_ddw) for writing.
 * Return: 0, or -EBUSY if KVM found the table before the hooks were installed.
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
	/* kvm_begin() declines all maps if @kill is NULL */
	kvm->kill = kvm->platform->flush ? NULL : kvm->platform->tce_kill;
	kvm->tbl = tbl;
	kvm->window = window;
	kvm->mm = window->cache->mm;
	kvm->platform_refs = platform_refs;
	kvm->cache = window->cache;
	kvm->entries = window->size >> window->page_shift;
	kvm->slow_bits = window->page_shift <= PAGE_SHIFT ?
			 BIT_ULL(window->page_shift) - 1 : ALWAYS_SLOW;
	kvm->no_region = cpu_to_be64(NO_REGION);
	refcount_set(&kvm->refs, 2);
	INIT_WORK(&kvm->work, kvm_finish_work);
	mmgrab(kvm->mm);
	refcount_inc(&window->refs);
	__module_get(THIS_MODULE);
	window->kvm = kvm;

	/* Pairs with iommu_tce_table_get() in KVM, which then uses it_ops */
	smp_store_mb(tbl->it_ops, &kvm->ops);
	return kref_read(&tbl->it_kref) > platform_refs ?
	       tce2_refuse(-EBUSY, TCE2_WHY_KVM_FOUND_TABLE) : 0;
}

/**
 * tce2_kvm_move() - make a window the window of another process
 * @kvm: the hooks at the window's table
 * @mm: the process's mm, to which the caller has charged the pages of the table
 *
 * With all leaves locked, no hook runs between its check of the process and the change of
 * an entry. The caller moves the region cache of the window, too. It has a reference to the
 * old mm, and refunds the charge there.
 *
 * Context: may sleep; the caller holds the lock of the window's owner for writing.
 * Return: number of pages that are charged for the table.
 */
u64 tce2_kvm_move(struct tce2_kvm *kvm, struct mm_struct *mm)
{
	struct tce2_window *window = kvm->window;
	struct mm_struct *old = kvm->mm;
	struct tce2_range range;
	u64 pages;

	mmgrab(mm);
	tce2_window_lock_all(window, &range);
	WRITE_ONCE(kvm->mm, mm);
	pages = tce2_table_move(&window->table, mm);
	tce2_window_unlock_leaves(window, &range);
	mmdrop(old);
	return pages;
}

/**
 * tce2_kvm_release() - put the owner's reference to the hooks at a table
 * @kvm: the hooks; the owner has put its reference to their table already
 * @charge: the charge for the table
 *
 * Refunds @charge at once if the table has been freed. Otherwise @charge is refunded
 * after KVM has put its last reference to the table.
 *
 * Context: may sleep.
 */
void tce2_kvm_release(struct tce2_kvm *kvm, struct tce2_charge charge)
{
	kvm->charge = charge;
	if (kvm->counted)
		atomic_long_dec(&mapping_windows);
	if (refcount_dec_and_test(&kvm->refs))
		kvm_finish(kvm);
}

/**
 * tce2_kvm_break_off() - end the current thread's bracket, if it has an open bracket
 *
 * All later maps in the bracket's window go through userspace.
 *
 * Context: process context, no lock held.
 */
void tce2_kvm_break_off(void)
{
	struct bracket *bracket = bracket_of_current();

	if (unlikely(bracket_is_open(bracket)))
		kvm_break_off(bracket, "a mapping was not completed");
}

/**
 * tce2_kvm_maps() - check whether KVM maps in a table without userspace
 * @kvm: the hooks at the table, in which at least one entry has been mapped
 *
 * KVM maps only memory for which it finds a mirror in the kernel's list.
 *
 * Context: any.
 * Return: true if KVM seems to use the table, and can map there.
 */
bool tce2_kvm_maps(struct tce2_kvm *kvm)
{
	return tce2_kvm_attached(kvm) && READ_ONCE(maps) &&
	       !READ_ONCE(kvm->tripped) &&
	       tce2_table_in_memory(&kvm->window->table);
}

static const char *const modes[] = { "unmap-only", "on" };

static int kvm_set_mode(const char *value, const struct kernel_param *param)
{
	int mode = sysfs_match_string(modes, value);

	if (mode < 0)
		return mode;
	WRITE_ONCE(maps, mode);
	/* Pairs with kvm_find_leaf() */
	smp_mb();
	kvm_forget_leaves(NULL);
	return 0;
}

static int kvm_get_mode(char *buffer, const struct kernel_param *param)
{
	return sysfs_emit(buffer, "%s\n", modes[READ_ONCE(maps)]);
}

static const struct kernel_param_ops mode_ops = {
	.set	= kvm_set_mode,
	.get	= kvm_get_mode,
};

module_param_cb(kvm, &mode_ops, NULL, 0644);
MODULE_PARM_DESC(kvm,
		 "TCE hypercalls that KVM carries out in the kernel: on (default, maps and unmaps) or unmap-only");

static int kvm_get_count(char *buffer, const struct kernel_param *param)
{
	return sysfs_emit(buffer, "%ld\n", atomic_long_read(param->arg));
}

static const struct kernel_param_ops count_ops = {
	.get	= kvm_get_count,
};

module_param_cb(kvm_declined, &count_ops, &declined, 0444);
MODULE_PARM_DESC(kvm_declined,
		 "Number of maps and unmaps that KVM left to userspace");

module_param_cb(kvm_windows, &count_ops, &mapping_windows, 0444);
MODULE_PARM_DESC(kvm_windows,
		 "Number of windows in which KVM maps without userspace");
