/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The simulated machine that src/ runs on in these tests: processes with their
 * page tables, page frames with their pins, the allocator, locks and RCU. It
 * counts everything, fails what it is told to fail, and ends the test as soon
 * as a rule of the kernel is broken: sleeping where that is forbidden, pinning
 * more than is charged, dirtying a page that was pinned for reading, keeping a
 * processor for too long, ...
 */
#ifndef UNIT_SIM_H
#define UNIT_SIM_H

#include <asm/page.h>
#include <linux/types.h>

struct mm_struct;
struct page;
struct vm_area_struct;

/* What can be made to fail, see sim_fail() */
enum sim_fault {
	SIM_ALLOC,		/* an allocation */
	SIM_PIN,		/* a call to pin user pages */
	SIM_CHARGE,		/* a charge to locked_vm */
	SIM_SIGNAL,		/* a look whether a fatal signal is pending */
	SIM_KILL,		/* waiting for a lock, killed meanwhile */
	SIM_FAULTS,
};

/* Where another thread can come in between, see sim_when() */
enum sim_point {
	SIM_AT_LOCK,		/* about to take a mutex */
	SIM_AT_UNLOCK,		/* having released a mutex */
	SIM_AT_READ_END,	/* having left an RCU read-side section */
	SIM_AT_LOOKUP,		/* a lockless lookup has begun */
	SIM_AT_COUNT,		/* about to count as mapped, unless it is 0 */
	SIM_AT_PIN,		/* about to pin a batch of pages */
	SIM_AT_SWAP,		/* about to replace a word, unless it changed */
	SIM_AT_READ,		/* about to read what others may write */
	SIM_AT_WRITE,		/* about to write what others may read */
	SIM_AT_PUBLISH,		/* about to write a word that leads to others */
	SIM_AT_READ_BARRIER,	/* between reads whose order matters */
	SIM_AT_RESCHED,		/* at a cond_resched() point */
	SIM_POINTS,
};

/**
 * struct sim_counts - what the machine is in the middle of
 * @pinned: pins of src/, one for each time a page is pinned
 * @kernel_pins: pins of the kernel's region list (kernel_list.c)
 * @modules: references to the module
 * @charged: pages charged to locked_vm, of all processes
 * @allocs: allocations not yet freed
 * @unaccounted: those among them that no memory cgroup is charged for
 * @bytes: what was asked for in all
 * @slab_bytes: what they take: the slab allocator rounds up
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
 * @now: see struct sim_counts
 * @pin_calls: calls to pin so far
 * @charge_calls: calls to charge so far
 * @busy: calls to firmware since others were let run
 * @rests: how often others were let run
 * @work: calls to firmware so far
 * @largest: bytes of the largest allocation so far
 * @lookups: pages of the array of descriptors that were looked up so far
 * @nofail: allocations that would not take no for an answer
 * @accounted: allocations charged to the memory cgroup
 * @unaccounted: others
 * @locked_allocs: allocations for which others wait, a mutex being held
 * @fired: whether a failure asked for with sim_fail() has happened
 * @pin_error: what a failing pin call returns
 * @pin_at_most: pages that a pin call pins at most
 * @large_shift: log2 of the size in bytes of the large pages from SIM_BIG on
 * @hugetlb: whether these are of hugetlbfs
 * @hash_mmu: the array of page descriptors is not in the kernel's page tables
 * @unordered: something was written that others read, with no barrier since
 * @charge_moves: for a moment there may be more pins than charged pages: the
 *	charge for a region moves between src/ and the kernel's region list
 * @log_lines: lines written to the kernel log, those of sim_platform.c excluded
 * @reused: bytes of allocations whose memory is used again as soon as it is
 *	freed; 0 for none
 * @mm: the process of the task that the test itself is
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
/* Ends the test if a lock is held: a process can delay a page fault for long */
void sim_may_fault(const char *what);
/* Returns a number that differs in each test, to tell what a failed test left */
unsigned int sim_era(void);
/* Time passes: whoever watches src/ looks what it has done meanwhile */
void sim_pause(void);
void sim_watch(void (*look)(void));

/*
 * Tasks. The test itself is one; it becomes another with sim_switch_to(), as if a
 * processor had gone on with that task. What a task holds stays with it.
 */

/**
 * struct sim_held - what a task holds
 * @id: number of the task
 * @rcu: RCU read-side sections it is in
 * @mutexes: mutexes
 * @mmap_locks: mmap_locks
 * @atomic: reasons why it must not sleep, other than locks
 * @unpreemptible: sections in which no other task can come in between
 * @softirq: it is a softirq
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
 * @mm: its process, NULL for a thread of the kernel
 * @held: what it holds while it is not the current one
 * @unordered: sim.unordered while it is not the current one
 */
struct task_struct {
	struct mm_struct *mm;
	struct sim_held held;
	bool unordered;
};

/* A new task */
void sim_task_init(struct task_struct *task, struct mm_struct *mm);
struct task_struct *sim_task(void);
/* NULL is the test itself. Returns the task that was the current one. */
struct task_struct *sim_switch_to(struct task_struct *task);
/* The current task must not sleep from now on, or may again; this nests */
void sim_atomic(bool on);
/* Spinlocks that the current thread holds (threads.c) */
extern __thread unsigned int spinlocks_held;

/* A softirq interrupts the current task, or returns to it */
void sim_softirq(bool on);
void sim_preempt_disable(void);
void sim_preempt_enable(void);

/* RCU read-side sections that any task is in */
unsigned int sim_readers(void);

/* At every point where a task can be preempted @other is called first */
void sim_interrupt(void (*other)(void));
/* While a task waits for others, @others is called: one of them goes on */
void sim_let_others(void (*others)(void));
void sim_wait(const char *what);

/* Runs what was handed to a workqueue */
void sim_run_work(void);

/*
 * What takes its time, in calls to firmware: there may be SIM_BUSY of them before
 * others are let run, or the request has ended
 */
#define SIM_BUSY 4096

void sim_work(u64 calls);
void sim_rest(void);

/* Ends the test. Defined by the program: unit.c or fuzz.c */
void sim_bug(const char *fmt, ...)
	__attribute__((format(printf, 1, 2), noreturn));

/*
 * Processes
 */

/* In a page frame's number: mapped, but it can't be pinned for long */
#define SIM_UNPINNABLE BIT_ULL(63)

struct mm_struct *sim_process(void);
void sim_limit(struct mm_struct *mm, u64 pages);
u64 sim_charged(const struct mm_struct *mm);
int sim_mm_refs(const struct mm_struct *mm);

u64 *sim_mmap(struct mm_struct *mm, u64 ua, u64 bytes, unsigned int shift,
	      bool writable);
void sim_munmap_all(struct mm_struct *mm);
struct vm_area_struct *sim_vma(struct mm_struct *mm, u64 ua);

/*
 * Page frames. Those below SIM_FRAMES have their own counters. From SIM_BIG on
 * there are large folios, whose 2 MiB share one, as the kernel counts a large
 * folio's pins in its first page.
 */

#define SIM_FRAMES    0x10000ULL
#define SIM_BIG	      (1ULL << 36 >> (PAGE_SHIFT - 12))
#define SIM_BIG_SHIFT 21
#define SIM_BIG_BYTES (1ULL << 41)

/**
 * struct sim_frame - what is known of a page frame
 * @pins: times pinned now
 * @writers: pins for writing since it was last free of pins
 * @dirtied: times marked dirty at unpinning, since sim_reset()
 */
struct sim_frame {
	u32 pins;
	u32 writers;
	u32 dirtied;
};

struct sim_frame *sim_frame(u64 pfn);
/* For the kernel's region list: a page of the current process, or NULL */
struct page *sim_kernel_pin(u64 ua);
void sim_kernel_unpin(u64 pfn);
/* SetPageDirty() by somebody else than src/: the frame must be pinned */
void sim_set_dirty(u64 pfn);

/*
 * Page descriptors: an array at SIM_VMEMMAP, of which each page is in a page of
 * its own, anywhere. It comes to be when it is first asked for.
 */

/* Where the descriptor of a page frame is in the linear mapping */
struct page *sim_descriptor(u64 pfn);
/* The page that has the descriptor goes, another takes its place */
void sim_move_descriptor(u64 pfn);
/* Nobody can tell where it is, or everybody again */
void sim_hide_descriptor(u64 pfn, bool hidden);

#endif /* UNIT_SIM_H */
