/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The simulated machine on which the tests run src/: processes with their page
 * tables, page frames with their pins, the allocator, locks and RCU. The machine
 * counts all of these, and injects the failures that a test requests. It ends the test
 * as soon as src/ breaks a rule of the kernel: for example, if it sleeps in atomic
 * context, pins more than is charged, marks a page dirty that was pinned for reading,
 * or runs for too long without cond_resched().
 */
#ifndef UNIT_SIM_H
#define UNIT_SIM_H

#include <asm/page.h>
#include <linux/types.h>

struct mm_struct;
struct page;
struct vm_area_struct;

/* Calls that can be made to fail, see sim_fail() */
enum sim_fault {
	SIM_ALLOC,		/* an allocation */
	SIM_PIN,		/* a call to pin user pages */
	SIM_CHARGE,		/* a charge to locked_vm */
	SIM_SIGNAL,		/* fatal_signal_pending() returns true */
	SIM_KILL,		/* a wait for a lock ends with a fatal signal */
	SIM_FAULTS,
};

/* Points where another thread can run, see sim_when() */
enum sim_point {
	SIM_AT_LOCK,		/* before a mutex is locked */
	SIM_AT_UNLOCK,		/* after a mutex was unlocked */
	SIM_AT_READ_END,	/* after rcu_read_unlock() */
	SIM_AT_LOOKUP,		/* after read_seqcount_begin() */
	SIM_AT_COUNT,		/* before atomic64_add_unless() */
	SIM_AT_PIN,		/* before a batch of pages is pinned */
	SIM_AT_SWAP,		/* before a word is exchanged atomically */
	SIM_AT_READ,		/* before READ_ONCE() */
	SIM_AT_WRITE,		/* before WRITE_ONCE() */
	SIM_AT_PUBLISH,		/* before smp_store_release() */
	SIM_AT_READ_BARRIER,	/* at smp_rmb() */
	SIM_AT_RESCHED,		/* at a cond_resched() point */
	SIM_AT_PREEMPT,		/* after preempt_enable(), if the thread can be preempted */
	SIM_POINTS,
};

/**
 * struct sim_counts - the machine's current counts
 * @pinned: pins by src/, one for each time a page is pinned
 * @kernel_pins: pins by the kernel's region list (kernel_list.c)
 * @modules: references to the module
 * @charged: pages charged to locked_vm, of all processes
 * @allocs: allocations not yet freed
 * @unaccounted: allocations not yet freed that no memory cgroup is charged for
 * @bytes: bytes requested by the allocations not yet freed
 * @slab_bytes: bytes these allocations take, rounded up as by the slab allocator
 */
struct sim_counts {
	u64 pinned;
	u64 kernel_pins;
	u64 modules;
	u64 charged;
	u64 allocs;
	u64 unaccounted;
	u64 bytes;
	u64 slab_bytes;
};

/**
 * struct sim - the state of the machine
 * @now: current counts, see struct sim_counts
 * @pin_calls: calls to pin so far
 * @charge_calls: calls to charge so far
 * @busy: calls to firmware since the last cond_resched() point
 * @rests: cond_resched() points passed so far
 * @work: calls to firmware so far
 * @largest: bytes of the largest allocation so far
 * @lookups: calls to vmalloc_to_page() for page descriptors so far
 * @nofail: allocations with __GFP_NOFAIL so far
 * @accounted: allocations charged to the memory cgroup so far
 * @unaccounted: allocations not charged to the memory cgroup so far
 * @locked_allocs: allocations with a mutex held so far
 * @fired: a failure requested with sim_fail() has happened
 * @pin_error: error that a failing pin call returns
 * @pin_at_most: maximum number of pages that a pin call pins
 * @large_shift: log2 of the size in bytes of the large pages from SIM_BIG on
 * @hugetlb: the large pages are hugepages
 * @stays_dirty: dirty pages stay dirty; otherwise they are written back at once
 * @hash_mmu: the array of page descriptors is not in the kernel's page tables
 * @unordered: there was a store that other threads may read, and no barrier since
 * @charge_moves: there may briefly be more pins than charged pages, because the
 *	charge for a region moves between src/ and the kernel's region list
 * @log_lines: lines written to the kernel log, except by sim_platform.c
 * @reused: an allocation of this size gets the memory of the last freed object of
 *	this size; 0 for no size
 * @mm: process of the test's own task
 */
struct sim {
	struct sim_counts now;
	u64 pin_calls;
	u64 charge_calls;
	u64 busy;
	u64 rests;
	u64 work;
	u64 largest;
	u64 lookups;
	u64 nofail;
	u64 accounted;
	u64 unaccounted;
	u64 locked_allocs;
	bool fired;
	int pin_error;
	int pin_at_most;
	unsigned int large_shift;
	bool hugetlb;
	bool stays_dirty;
	bool hash_mmu;
	bool unordered;
	bool charge_moves;
	u64 log_lines;
	u64 reused;
	struct mm_struct *mm;
};

extern struct sim sim;

void sim_reset(void);
void sim_expect_nothing_left(void);
void sim_grace_period(void);

void sim_fail(enum sim_fault fault, unsigned int nth);
void sim_fail_nothing(void);
bool sim_fails(enum sim_fault fault);
void sim_when(enum sim_point point, unsigned int nth, void (*other)(void));
void sim_point(enum sim_point point);
void sim_may_sleep(const char *what);
/* Ends the test if a lock is held, because a process can delay a page fault for long */
void sim_may_fault(const char *what);
/* Returns a number that differs in each test, to recognize state that a failed test left */
unsigned int sim_era(void);
/* Lets time pass: calls the function given to sim_watch() */
void sim_pause(void);
void sim_watch(void (*look)(void));

/*
 * Tasks. The test itself is a task. sim_switch_to() makes another task the current
 * one, as the scheduler does. Held locks and sections stay with their task.
 */

/**
 * struct sim_held - locks held by a task, and sections it is in
 * @id: number of the task
 * @rcu: number of nested RCU read-side sections
 * @mutexes: number of mutexes held
 * @mmap_locks: number of mmap_locks held
 * @atomic: number of nested sim_atomic() sections
 * @unpreemptible: number of nested sections with preemption disabled
 * @softirq: the task is a softirq
 */
struct sim_held {
	unsigned int id;
	unsigned int rcu;
	unsigned int mutexes;
	unsigned int mmap_locks;
	unsigned int atomic;
	unsigned int unpreemptible;
	bool softirq;
};

/**
 * struct task_struct - a task
 * @mm: the task's process, NULL for a kernel thread
 * @group_leader: the first thread of the process; here always the task itself
 * @comm: the task's name
 * @held: its locks and sections while it is not the current task
 * @unordered: sim.unordered while it is not the current task
 */
struct task_struct {
	struct mm_struct *mm;
	struct task_struct *group_leader;
	char comm[16];
	struct sim_held held;
	bool unordered;
};

/* Initializes a task of a process; @mm is NULL for a kernel thread */
void sim_task_init(struct task_struct *task, struct mm_struct *mm);
struct task_struct *sim_task(void);
/* Number of the task's process, different for each process of a test */
int sim_tgid(const struct task_struct *task);
/* Makes @task the current task; NULL is the test's own. Returns the previous task. */
struct task_struct *sim_switch_to(struct task_struct *task);
/* Enters or leaves an atomic section, in which the task must not sleep; this nests */
void sim_atomic(bool on);
/* Number of spinlocks that the current thread holds (threads.c) */
extern __thread unsigned int spinlocks_held;

/* Enters or leaves a softirq that interrupts the current task */
void sim_softirq(bool on);
void sim_preempt_disable(void);
void sim_preempt_enable(void);
/* Set by a test in which the scheduler wants the processor for another thread */
extern bool sim_resched;
/* Returns true if the thread may be preempted */
bool sim_preemptible(void);

/* Returns the number of RCU read-side sections of all tasks */
unsigned int sim_readers(void);

/* Calls @other at every point where a task can be preempted */
void sim_interrupt(void (*other)(void));
/* Calls @others whenever a task waits: it runs one of the other tasks for a while */
void sim_let_others(void (*others)(void));
void sim_wait(const char *what);

/* Runs all queued work */
void sim_run_work(void);

/*
 * The cost of requests is measured in calls to firmware. A request may make at most
 * SIM_BUSY calls between two cond_resched() points.
 */
#define SIM_BUSY 4096

void sim_work(u64 calls);
void sim_rest(void);

/* Prints a message and ends the test. Defined by the program: unit.c or fuzz.c */
void sim_bug(const char *fmt, ...)
	__attribute__((format(printf, 1, 2), noreturn));

/*
 * Processes
 */

/* Flag in a page frame number: the page is mapped, but can't be pinned for long */
#define SIM_UNPINNABLE BIT_ULL(63)

struct mm_struct *sim_process(void);
void sim_exit(struct mm_struct *mm);
void sim_limit(struct mm_struct *mm, u64 pages);
u64 sim_charged(const struct mm_struct *mm);
int sim_mm_refs(const struct mm_struct *mm);

u64 *sim_mmap(struct mm_struct *mm, u64 ua, u64 bytes, unsigned int shift,
	      bool writable);
void sim_munmap_all(struct mm_struct *mm);
struct vm_area_struct *sim_vma(struct mm_struct *mm, u64 ua);

/*
 * Page frames. Each frame below SIM_FRAMES has its own counts. From SIM_BIG on
 * there are large folios. Each 2 MiB of a folio share one set of counts. This
 * suffices, because the kernel counts all pins of a folio in its first page.
 */

#define SIM_FRAMES    0x10000ULL
#define SIM_BIG	      (1ULL << 36 >> (PAGE_SHIFT - 12))
#define SIM_BIG_SHIFT 21
#define SIM_BIG_BYTES (1ULL << 41)

/**
 * struct sim_frame - counts of a page frame
 * @pins: current number of pins
 * @writers: pins for writing since @pins was last 0
 * @dirtied: times marked dirty at unpinning, since sim_reset()
 * @dirty: marked dirty since sim_reset()
 */
struct sim_frame {
	u32 pins;
	u32 writers;
	u32 dirtied;
	bool dirty;
};

struct sim_frame *sim_frame(u64 pfn);
/* Pins a page of the current process for the kernel's region list, or returns NULL */
struct page *sim_kernel_pin(u64 ua);
void sim_kernel_unpin(u64 pfn);
/* Acts as KVM's SetPageDirty(): ends the test unless the frame is pinned */
void sim_set_dirty(u64 pfn);

/*
 * Page descriptors: an array at SIM_VMEMMAP. Each page of the array has a backing
 * page. A backing page may have any physical address, and is made at its first use.
 */

/* Returns the linear-mapping address of a page frame's descriptor */
struct page *sim_descriptor(u64 pfn);
/* Replaces the backing page that contains the descriptor of a page frame */
void sim_move_descriptor(u64 pfn);
/* Makes vmalloc_to_page() fail for the descriptor of a page frame, or succeed again */
void sim_hide_descriptor(u64 pfn, bool hidden);

#endif /* UNIT_SIM_H */
