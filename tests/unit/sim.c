// SPDX-License-Identifier: GPL-2.0-only
/*
 * The simulated machine, see sim.h. This file owns the machine's state and
 * implements the functions that the headers of shim/sim declare.
 *
 * All simulated tasks run in one thread. At certain points a test can run a
 * function in another task, as if the scheduler had switched to it: see
 * sim_when() and sim_interrupt().
 */
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/bitops.h>
#include <linux/hashtable.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/preempt.h>
#include <linux/printk.h>
#include <linux/hugetlb_inline.h>
#include <linux/rcupdate.h>
#include <linux/sched/mm.h>
#include <linux/workqueue.h>

#include "sim.h"

#define MAX_PROCESSES 64

/**
 * struct later - an object to be freed after a grace period
 * @next: next entry of the list
 * @ptr: the object, overwritten with POISON
 */
struct later {
	struct later *next;
	void *ptr;
};

#define POISON 0x6b

/**
 * struct backing - a backing page of the array of page descriptors
 * @link: entry in the hash table of backing pages
 * @number: number of the page in the array
 * @page: the backing page, an array of page descriptors
 * @hidden: vmalloc_to_page() returns NULL for it
 */
struct backing {
	struct hlist_node link;
	u64 number;
	struct page *page;
	bool hidden;
};

#define PER_BACKING (PAGE_SIZE / sizeof(struct page))

struct hook {
	unsigned int countdown;
	void (*other)(void);
};

struct sim sim;

static struct mm_struct *processes[MAX_PROCESSES];
static struct task_struct test_task = { .group_leader = &test_task, .comm = "test" };
static struct task_struct *task;
static __thread struct sim_held thread; /* of the current task */
static unsigned int threads, era, readers;
static void (*interrupter)(void), (*others)(void);
static struct work_struct *works, *delayed_works;
static unsigned int countdown[SIM_FAULTS];
static struct hook hooks[SIM_POINTS];
static struct rcu_head *rcu_list;

/* Maximum number of objects that an RCU callback may free: a softirq must be short */
#define FEW_FREES 2
static unsigned int softirq_frees;
static struct later *later_list;
static DEFINE_HASHTABLE(backings, 10);
static void (*watcher)(void);
static void *freed; /* a freed object of sim.reused bytes, to be allocated again */

static struct sim_frame frames[SIM_FRAMES];
static struct sim_frame folios[SIM_BIG_BYTES >> SIM_BIG_SHIFT];
static u64 frames_end, folios_end; /* elements from these indices on are unused */

static void free_process(struct mm_struct *mm)
{
	sim_munmap_all(mm);
	free(mm);
}

static void free_backings(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(backings); i++) {
		while (backings[i].first) {
			struct backing *first =
				hlist_object(backings[i].first, struct backing, link);

			hash_del(&first->link);
			free(first->page);
			free(first);
		}
	}
}

/* Forgets objects that a failed test left waiting for a grace period */
static void forget_later(void)
{
	while (later_list) {
		struct later *later = later_list;

		later_list = later->next;
		free(later);
	}
}

/**
 * sim_reset() - reset the machine
 *
 * A failed test leaves state in src/'s own variables. Locks that it left held count
 * as free, because they belong to an earlier era. Its processes are not reused, so no
 * test finds their region caches.
 */
void sim_reset(void)
{
	bool clean = !sim.now.allocs;

	for (unsigned int i = 0; i < MAX_PROCESSES; i++) {
		if (clean && processes[i])
			free_process(processes[i]);
		processes[i] = NULL;
	}
	memset(frames, 0, frames_end * sizeof(*frames));
	memset(folios, 0, folios_end * sizeof(*folios));
	frames_end = 0;
	folios_end = 0;
	memset(hooks, 0, sizeof(hooks));
	memset(&sim, 0, sizeof(sim));
	sim.large_shift = SIM_BIG_SHIFT;
	sim_fail_nothing();
	rcu_list = NULL;
	forget_later();
	free_backings();
	watcher = NULL;
	interrupter = NULL;
	others = NULL;
	works = NULL;
	delayed_works = NULL;
	readers = 0;
	threads = 1;
	task = &test_task;
	thread = (struct sim_held){ .id = 1 };
	era++;
	free(freed);
	freed = NULL;
}

/* Ends the test if it has left a pin, charge, allocation, lock or reference */
void sim_expect_nothing_left(void)
{
	sim_run_work();
	sim_grace_period();
	if (task != &test_task || thread.atomic || thread.unpreemptible)
		sim_bug("left behind: another task is the current one, or the task is atomic");
	if (works || delayed_works)
		sim_bug("left behind: work");
	if (rcu_list || later_list || readers || thread.rcu || thread.mutexes)
		sim_bug("left behind: locks or readers");
	if (sim.now.pinned)
		sim_bug("left behind: %llu pins", sim.now.pinned);
	if (sim.now.kernel_pins)
		sim_bug("left behind: %llu pins of the kernel's region list",
			sim.now.kernel_pins);
	if (sim.now.modules)
		sim_bug("left behind: %llu references to the module",
			sim.now.modules);
	if (sim.now.charged)
		sim_bug("left behind: a charge of %llu pages", sim.now.charged);
	if (sim.now.allocs)
		sim_bug("left behind: %llu allocations, %llu bytes",
			sim.now.allocs, sim.now.bytes);
	for (unsigned int i = 0; i < MAX_PROCESSES; i++) {
		if (processes[i] && processes[i]->refs != 1)
			sim_bug("left behind: %d references to an mm",
				processes[i]->refs - 1);
	}
	for (unsigned int i = 0; i < SIM_POINTS; i++) {
		if (hooks[i].countdown)
			sim_bug("a point of sim_when() was not reached often enough");
	}
	for (u64 i = 0; i < frames_end; i++) {
		if (frames[i].pins)
			sim_bug("left behind: page frame %llu is pinned", i);
	}
	for (u64 i = 0; i < folios_end; i++) {
		if (folios[i].pins)
			sim_bug("left behind: folio %llu is pinned", i);
	}
}

/*
 * Injected failures, and functions that run as other threads
 */

/* Makes the @nth call from now fail, once. If @nth is 0, no call fails. */
void sim_fail(enum sim_fault fault, unsigned int nth)
{
	countdown[fault] = nth;
}

void sim_fail_nothing(void)
{
	memset(countdown, 0, sizeof(countdown));
	sim.fired = false;
	sim.pin_error = -ENOMEM;
	sim.pin_at_most = 1 << 30;
}

bool sim_fails(enum sim_fault fault)
{
	if (!countdown[fault] || --countdown[fault])
		return false;
	sim.fired = true;
	return true;
}

/* Runs @other as another thread when a thread reaches @point for the @nth time from now */
void sim_when(enum sim_point point, unsigned int nth, void (*other)(void))
{
	hooks[point] = (struct hook){ nth, other };
}

void sim_point(enum sim_point point)
{
	struct hook *hook = &hooks[point];
	struct task_struct other, *self;

	/* Other threads would wait for the spinlock */
	if (spinlocks_held)
		return;
	if (interrupter && !thread.unpreemptible)
		interrupter();
	if (!hook->countdown || --hook->countdown)
		return;
	sim_task_init(&other, sim.mm);
	self = sim_switch_to(&other);
	hook->other();
	if (thread.rcu || thread.mutexes || thread.mmap_locks)
		sim_bug("the other thread returned with a lock held");
	sim_switch_to(self);
}

void sim_may_sleep(const char *what)
{
	if (thread.rcu)
		sim_bug("%s: sleeps in an RCU read-side section", what);
	if (thread.atomic || thread.unpreemptible || thread.softirq)
		sim_bug("%s: sleeps in atomic context", what);
	if (spinlocks_held)
		sim_bug("%s: sleeps with a spinlock held", what);
}

void sim_may_fault(const char *what)
{
	sim_may_sleep(what);
	if (thread.mutexes || thread.mmap_locks)
		sim_bug("%s: faults with a lock held", what);
}

unsigned int sim_era(void)
{
	return era;
}

/*
 * Tasks
 */

void sim_task_init(struct task_struct *new, struct mm_struct *mm)
{
	*new = (struct task_struct){
		.mm = mm, .group_leader = new, .comm = "test",
		.held = { .id = ++threads },
	};
}

int sim_tgid(const struct task_struct *of)
{
	return of->mm ? 1 + ((uintptr_t)of->mm >> 4) % 30000 : 0;
}

struct task_struct *sim_task(void)
{
	if (task == &test_task)
		task->mm = sim.mm;
	return task;
}

struct task_struct *sim_switch_to(struct task_struct *next)
{
	struct task_struct *previous = task;

	if (spinlocks_held)
		sim_bug("a task is preempted with a spinlock held");
	task->held = thread;
	task->unordered = sim.unordered;
	task = next ? next : &test_task;
	thread = task->held;
	sim.unordered = task->unordered;
	return previous;
}

void sim_atomic(bool on)
{
	thread.atomic += on ? 1 : -1;
}

void sim_softirq(bool on)
{
	thread.softirq = on;
}

void sim_preempt_disable(void)
{
	thread.unpreemptible++;
}

void sim_preempt_enable(void)
{
	thread.unpreemptible--;
	if (!thread.unpreemptible)
		sim_point(SIM_AT_PREEMPT);
}

bool sim_preemptible(void)
{
	return !thread.unpreemptible;
}

unsigned int sim_readers(void)
{
	return readers;
}

void sim_interrupt(void (*other)(void))
{
	interrupter = other;
}

void sim_let_others(void (*other)(void))
{
	others = other;
}

void sim_wait(const char *what)
{
	sim_may_sleep(what);
	if (!others)
		sim_bug("%s: deadlock: no other task can end the wait", what);
	others();
}

bool in_interrupt(void)
{
	return thread.softirq;
}

/* Runs the works that were queued after @older */
static void run_works(struct work_struct **list, struct work_struct *older)
{
	while (*list != older) {
		struct work_struct *work = *list;
		struct task_struct worker, *self;

		*list = work->next;
		work->queued = false;
		sim_task_init(&worker, NULL);
		self = sim_switch_to(&worker);
		work->func(work);
		sim_switch_to(self);
	}
}

/* Runs all work in a kernel thread. Delayed work that queues itself again runs once. */
void sim_run_work(void)
{
	struct work_struct *due = delayed_works;

	delayed_works = NULL;
	run_works(&works, NULL);
	run_works(&due, NULL);
}

/* There is one queue for all work */
struct workqueue_struct {
	int unused;
};

static struct workqueue_struct every_queue;
struct workqueue_struct *system_wq = &every_queue;
struct workqueue_struct *system_unbound_wq = &every_queue;

static bool queue(struct work_struct *work, struct work_struct **list)
{
	if (work->queued)
		return false;
	work->queued = true;
	work->next = *list;
	*list = work;
	return true;
}

bool queue_work(struct workqueue_struct *wq, struct work_struct *work)
{
	return queue(work, &works);
}

bool schedule_delayed_work(struct delayed_work *work, unsigned long delay)
{
	return queue(&work->work, &delayed_works);
}

bool flush_work(struct work_struct *work)
{
	bool queued = work->queued;

	sim_may_sleep("flush_work");
	run_works(&works, NULL);
	return queued;
}

struct module sim_module = { .srcversion = "0123456789ABCDEF" };

void __module_get(struct module *module)
{
	sim.now.modules++;
}

bool try_module_get(struct module *module)
{
	sim.now.modules++;
	return true;
}

void module_put(struct module *module)
{
	if (!sim.now.modules--)
		sim_bug("a reference to the module is put that was not taken");
}

void sim_log(const char *fmt, ...)
{
	char line[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	sim.log_lines++;
}

void sim_pause(void)
{
	if (watcher)
		watcher();
}

void sim_work(u64 calls)
{
	sim.work += calls;
	sim.busy += calls;
	if (sim.busy > SIM_BUSY)
		sim_bug("%llu calls to firmware without cond_resched()",
			sim.busy);
}

void sim_rest(void)
{
	sim.busy = 0;
	sim.rests++;
}

void sim_watch(void (*look)(void))
{
	watcher = look;
}

/*
 * Locks
 */

static bool is_held(const struct mutex *lock)
{
	return lock->owner && lock->era == era;
}

void mutex_init(struct mutex *lock)
{
	lock->owner = 0;
}

void mutex_lock(struct mutex *lock)
{
	sim_may_sleep("mutex_lock");
	sim_point(SIM_AT_LOCK);
	if (is_held(lock))
		sim_bug("deadlock: thread %u locks a mutex that thread %u holds",
			thread.id, lock->owner);
	lock->owner = thread.id;
	lock->era = era;
	thread.mutexes++;
}

int mutex_lock_killable(struct mutex *lock)
{
	if (sim_fails(SIM_KILL))
		return -EINTR;
	mutex_lock(lock);
	return 0;
}

void mutex_unlock(struct mutex *lock)
{
	lockdep_assert_held(lock);
	lock->owner = 0;
	thread.mutexes--;
	sim_point(SIM_AT_UNLOCK);
}

void lockdep_assert_held(const struct mutex *lock)
{
	if (!is_held(lock) || lock->owner != thread.id)
		sim_bug("a lock that should be held is not");
}

void rcu_read_lock(void)
{
	thread.rcu++;
	readers++;
}

void rcu_read_unlock(void)
{
	if (!thread.rcu)
		sim_bug("rcu_read_unlock without rcu_read_lock");
	thread.rcu--;
	readers--;
	sim_point(SIM_AT_READ_END);
}

void synchronize_rcu(void)
{
	sim_may_sleep("synchronize_rcu");
	while (readers)
		sim_wait("synchronize_rcu");
}

void call_rcu(struct rcu_head *head, void (*func)(struct rcu_head *head))
{
	head->func = func;
	head->next = rcu_list;
	rcu_list = head;
}

void sim_free_later(void *ptr)
{
	struct later *later = malloc(sizeof(*later));

	if (!later)
		abort();
	if (sim.unordered)
		sim_bug("an object is freed by RCU before a barrier orders its removal");
	memset(ptr, POISON, malloc_usable_size(ptr));
	*later = (struct later){ later_list, ptr };
	later_list = later;
}

static void free_first_later(void)
{
	struct later *later = later_list;
	unsigned char *bytes = later->ptr;

	for (size_t i = 0; i < malloc_usable_size(bytes); i++) {
		if (bytes[i] != POISON)
			sim_bug("an object was written to after it was passed to kfree_rcu()");
	}
	kfree(bytes);
	later_list = later->next;
	free(later);
}

/*
 * Ends a grace period unless a reader is active, and runs the works that its
 * callbacks queued
 */
void sim_grace_period(void)
{
	struct work_struct *older = works;

	while (later_list && !readers)
		free_first_later();
	while (rcu_list && !readers) {
		struct rcu_head *head = rcu_list;

		rcu_list = head->next;
		softirq_frees = 0;
		sim_softirq(true);
		head->func(head);
		sim_softirq(false);
		run_works(&works, older);
	}
}

/*
 * Allocator
 */

/* Returns the size of the slab object for an allocation */
static size_t slab_size(size_t size)
{
	size_t power = 8;

	if (size > 64 && size <= 96)
		return 96;
	if (size > 128 && size <= 192)
		return 192;
	while (power < size)
		power *= 2;
	return power;
}

static void count_alloc(size_t size)
{
	sim.now.allocs++;
	sim.now.bytes += size;
	sim.now.slab_bytes += slab_size(size);
	sim.largest = max_t(u64, sim.largest, size);
}

/* Allocations that are not charged to a memory cgroup, in no order */
#define MAX_UNACCOUNTED 64
static const void *unaccounted[MAX_UNACCOUNTED];

static void note_unaccounted(const void *ptr)
{
	if (sim.now.unaccounted == MAX_UNACCOUNTED)
		sim_bug("too many allocations that no memory cgroup is charged for");
	unaccounted[sim.now.unaccounted++] = ptr;
}

static void forget_unaccounted(const void *ptr)
{
	for (u64 i = 0; i < sim.now.unaccounted; i++) {
		if (unaccounted[i] != ptr)
			continue;
		unaccounted[i] = unaccounted[--sim.now.unaccounted];
		return;
	}
}

static void *allocate(size_t size)
{
	bool power = size && !(size & (size - 1));
	void *ptr = freed;

	if (ptr && size == sim.reused) {
		freed = NULL;
		return ptr;
	}
	/* As the kernel, align an allocation to its size if this is a power of 2 */
	return power && size >= 16 ? aligned_alloc(size, size) : malloc(size);
}

void *kmalloc(size_t size, gfp_t gfp)
{
	bool power = size && !(size & (size - 1));
	void *ptr;

	if (!(gfp & (GFP_ATOMIC | GFP_NOWAIT)))
		sim_may_sleep("kmalloc");
	if (gfp & GFP_KERNEL_ACCOUNT)
		sim.accounted++;
	else
		sim.unaccounted++;
	if (thread.mutexes)
		sim.locked_allocs++;
	if (gfp & __GFP_NOFAIL)
		sim.nofail++;
	else if (sim_fails(SIM_ALLOC))
		return NULL;
	ptr = allocate(size);
	if (!ptr)
		abort();
	if (power && ((uintptr_t)ptr & (size - 1)))
		sim_bug("%zu bytes are not aligned", size);
	/* Without __GFP_ZERO the memory must not be zero by chance */
	memset(ptr, gfp & __GFP_ZERO ? 0 : 0xa5, size);
	count_alloc(malloc_usable_size(ptr));
	if (!(gfp & GFP_KERNEL_ACCOUNT))
		note_unaccounted(ptr);
	return ptr;
}

void kfree(const void *ptr)
{
	size_t size = malloc_usable_size((void *)ptr);

	if (!ptr)
		return;
	if (thread.softirq && ++softirq_frees > FEW_FREES)
		sim_bug("an RCU callback freed more than %u objects", FEW_FREES);
	sim.now.allocs--;
	sim.now.bytes -= size;
	sim.now.slab_bytes -= slab_size(size);
	forget_unaccounted(ptr);
	if (size == sim.reused && !freed)
		freed = (void *)ptr;
	else
		free((void *)ptr);
}

/*
 * Processes
 */

struct mm_struct *sim_process(void)
{
	struct mm_struct *mm = calloc(1, sizeof(*mm));
	unsigned int i = 0;

	while (i < MAX_PROCESSES && processes[i])
		i++;
	if (!mm || i == MAX_PROCESSES)
		abort();
	processes[i] = mm;
	INIT_LIST_HEAD(&mm->context.iommu_group_mem_list);
	mm->refs = 1;
	atomic_set(&mm->mm_users, 1);
	mm->limit = 1ULL << 50;
	sim.mm = mm;
	return mm;
}

/* Ends a process, or makes it execute another program: its mm has no memory any more */
void sim_exit(struct mm_struct *mm)
{
	sim_munmap_all(mm);
	atomic_set(&mm->mm_users, 0);
}

void sim_limit(struct mm_struct *mm, u64 pages)
{
	mm->limit = pages;
}

u64 sim_charged(const struct mm_struct *mm)
{
	return mm->locked;
}

int sim_mm_refs(const struct mm_struct *mm)
{
	return mm->refs;
}

void mmgrab(struct mm_struct *mm)
{
	mm->refs++;
}

void mmdrop(struct mm_struct *mm)
{
	if (!--mm->refs)
		sim_bug("the process's own reference to its mm is put");
}

/**
 * sim_mmap() - map memory
 * @mm: the process
 * @ua: first user address, not mapped yet
 * @bytes: length of the mapping
 * @shift: log2 of the size in bytes of the backing pages
 * @writable: PROT_WRITE
 *
 * Return: an array for the first frame number of each backing page, which the
 * caller fills in.
 */
u64 *sim_mmap(struct mm_struct *mm, u64 ua, u64 bytes, unsigned int shift,
	      bool writable)
{
	unsigned int at = mm->vmas;
	u64 *pfn = calloc((bytes >> shift) + 1, sizeof(*pfn));

	if (!pfn || mm->vmas == SIM_MAX_VMAS)
		abort();
	while (at && mm->vma[at - 1].vm_start > ua)
		at--;
	memmove(&mm->vma[at + 1], &mm->vma[at],
		(mm->vmas - at) * sizeof(mm->vma[0]));
	mm->vmas++;
	mm->vma[at] = (struct vm_area_struct){
		.vm_start = ua,
		.vm_end = ua + bytes,
		.vm_flags = VM_READ | (writable ? VM_WRITE : 0),
		.shift = shift,
		.pfn = pfn,
	};
	return pfn;
}

void sim_munmap_all(struct mm_struct *mm)
{
	while (mm->vmas)
		free(mm->vma[--mm->vmas].pfn);
}

/* Returns the first mapping that ends after @ua, or NULL */
static struct vm_area_struct *first_vma(struct mm_struct *mm, u64 ua)
{
	unsigned int low = 0, high = mm->vmas;

	while (low < high) {
		unsigned int mid = (low + high) / 2;

		if (mm->vma[mid].vm_end > ua)
			high = mid;
		else
			low = mid + 1;
	}
	return low < mm->vmas ? &mm->vma[low] : NULL;
}

/* Returns the mapping of a user address, or NULL */
struct vm_area_struct *sim_vma(struct mm_struct *mm, u64 ua)
{
	struct vm_area_struct *vma = first_vma(mm, ua);

	return vma && vma->vm_start <= ua ? vma : NULL;
}

void mmap_read_lock(struct mm_struct *mm)
{
	sim_may_sleep("mmap_read_lock");
	if (thread.mmap_locks++)
		sim_bug("mmap_lock is taken twice");
	mm->readers++;
}

void mmap_read_unlock(struct mm_struct *mm)
{
	mm->readers--;
	thread.mmap_locks--;
}

void mmap_write_lock(struct mm_struct *mm)
{
	mmap_read_lock(mm);
	mm->writer = true;
}

void mmap_write_unlock(struct mm_struct *mm)
{
	mm->writer = false;
	mmap_read_unlock(mm);
}

struct vm_area_struct *find_vma(struct mm_struct *mm, unsigned long ua)
{
	if (!mm->readers || !thread.mmap_locks)
		sim_bug("find_vma without mmap_lock");
	return first_vma(mm, ua);
}

static int account(struct mm_struct *mm, unsigned long pages, bool inc,
		   bool bypass)
{
	if (!inc) {
		if (mm->locked < pages)
			sim_bug("more pages are refunded than were charged");
		mm->locked -= pages;
		sim.now.charged -= pages;
		if (sim.now.pinned > sim.now.charged && !sim.charge_moves)
			sim_bug("a charge is refunded while the pages are still pinned");
		return 0;
	}
	sim.charge_calls++;
	if (!bypass &&
	    (sim_fails(SIM_CHARGE) || mm->locked + pages > mm->limit))
		return -ENOMEM;
	mm->locked += pages;
	sim.now.charged += pages;
	return 0;
}

/* Takes mmap_lock, as the kernel's function does */
int account_locked_vm(struct mm_struct *mm, unsigned long pages, bool inc)
{
	sim_may_sleep("account_locked_vm");
	if (thread.mmap_locks)
		sim_bug("account_locked_vm with mmap_lock held");
	return account(mm, pages, inc, false);
}

int __account_locked_vm(struct mm_struct *mm, unsigned long pages, bool inc,
			struct task_struct *who, bool bypass_rlim)
{
	if (!mm->writer || !thread.mmap_locks)
		sim_bug("__account_locked_vm without mmap_lock for writing");
	return account(mm, pages, inc, bypass_rlim);
}

/*
 * Page frames
 */

struct sim_frame *sim_frame(u64 pfn)
{
	u64 folio;

	if (pfn < SIM_FRAMES) {
		frames_end = max_t(u64, frames_end, pfn + 1);
		return &frames[pfn];
	}
	folio = (pfn - SIM_BIG) >> (SIM_BIG_SHIFT - PAGE_SHIFT);
	if (pfn < SIM_BIG || folio >= SIM_BIG_BYTES >> SIM_BIG_SHIFT)
		sim_bug("page frame %llx does not exist", pfn);
	folios_end = max_t(u64, folios_end, folio + 1);
	return &folios[folio];
}

/* Returns how many frames from @pfn on share one struct sim_frame */
static u64 frames_together(u64 pfn)
{
	u64 all = 1ULL << (SIM_BIG_SHIFT - PAGE_SHIFT);

	return pfn < SIM_FRAMES ? 1 : all - ((pfn - SIM_BIG) & (all - 1));
}

struct folio *page_folio(struct page *page)
{
	u64 pfn = page_to_pfn(page);

	if (pfn >= SIM_BIG)
		pfn -= (pfn - SIM_BIG) &
		       ((1ULL << (sim.large_shift - PAGE_SHIFT)) - 1);
	return (struct folio *)pfn_to_page(pfn);
}

/* A driver may map hugetlbfs pages as base pages: its mapping is no hugetlbfs mapping */
bool is_vm_hugetlb_page(const struct vm_area_struct *vma)
{
	return sim.hugetlb && vma->shift > PAGE_SHIFT;
}

bool folio_test_dirty(const struct folio *folio)
{
	return sim.stays_dirty && sim_frame(page_to_pfn(&folio->page))->dirty;
}

bool folio_test_hugetlb(const struct folio *folio)
{
	return sim.hugetlb && page_to_pfn(&folio->page) >= SIM_BIG;
}

unsigned long folio_nr_pages(const struct folio *folio)
{
	if (page_to_pfn(&folio->page) < SIM_BIG)
		return 1;
	return 1UL << (sim.large_shift - PAGE_SHIFT);
}

static void pin_frame(u64 pfn, bool write)
{
	struct sim_frame *frame = sim_frame(pfn);

	frame->pins++;
	frame->writers += write;
	if (++sim.now.pinned > sim.now.charged && !sim.charge_moves)
		sim_bug("a page is pinned without being charged");
}

/* Unpins @count frames from @pfn on, which share one struct sim_frame */
static void unpin_frames(u64 pfn, u64 count, bool dirty)
{
	struct sim_frame *frame = sim_frame(pfn);

	if (frame->pins < count)
		sim_bug("page frame %llx is unpinned but was not pinned", pfn);
	if (dirty && !frame->writers)
		sim_bug("page frame %llx is marked dirty but was pinned for reading", pfn);
	frame->dirtied += dirty ? count : 0;
	frame->dirty |= dirty;
	frame->pins -= count;
	if (!frame->pins)
		frame->writers = 0;
	sim.now.pinned -= count;
}

static void unpin_frame(u64 pfn, bool dirty)
{
	unpin_frames(pfn, 1, dirty);
}

/* Returns the current process's mapping of a user address, NULL if it can't be pinned */
static struct vm_area_struct *pinned_vma(u64 ua, bool write)
{
	struct mm_struct *mm = sim_task()->mm;
	struct vm_area_struct *vma;

	if (!mm)
		sim_bug("a kernel thread pins user memory");
	vma = sim_vma(mm, ua);
	return vma && (!write || vma->vm_flags & VM_WRITE) ? vma : NULL;
}

/* Returns the page frame number of a user address, with its flag SIM_UNPINNABLE */
static u64 frame_behind(const struct vm_area_struct *vma, u64 ua)
{
	u64 offset = ua - vma->vm_start;

	return vma->pfn[offset >> vma->shift] +
	       ((offset & ((1ULL << vma->shift) - 1)) >> PAGE_SHIFT);
}

struct page *sim_kernel_pin(u64 ua)
{
	struct vm_area_struct *vma = pinned_vma(ua, true);
	struct sim_frame *frame;
	u64 pfn;

	if (!vma || sim_fails(SIM_PIN))
		return NULL;
	pfn = frame_behind(vma, ua);
	if (pfn & SIM_UNPINNABLE)
		return NULL;
	frame = sim_frame(pfn);
	frame->pins++;
	frame->writers++;
	sim.now.kernel_pins++;
	return pfn_to_page(pfn);
}

void sim_kernel_unpin(u64 pfn)
{
	unpin_frame(pfn, false);
	sim.now.pinned++;
	sim.now.kernel_pins--;
}

void sim_set_dirty(u64 pfn)
{
	if (!sim_frame(pfn)->pins)
		sim_bug("page frame %llx is marked dirty but not pinned", pfn);
}

/*
 * Pins at most @want pages of one mapping. Like the kernel's function, it may pin
 * fewer pages, and returns an error only if it pins no page.
 */
int pin_user_pages_fast(unsigned long ua, int want, unsigned int gup_flags,
			struct page **pages)
{
	bool write = gup_flags & FOLL_WRITE;
	struct vm_area_struct *vma;
	int got = 0;

	sim_may_sleep("pin_user_pages_fast");
	sim_point(SIM_AT_PIN);
	sim.pin_calls++;
	if (thread.mmap_locks)
		sim_bug("pin_user_pages_fast with mmap_lock held");
	if (!(gup_flags & FOLL_LONGTERM))
		sim_bug("pages are pinned without FOLL_LONGTERM");
	if (sim_fails(SIM_PIN))
		return sim.pin_error;
	vma = pinned_vma(ua, write);
	if (!vma)
		return -EFAULT;

	want = min(want, sim.pin_at_most);
	for (; got < want && ua < vma->vm_end; got++, ua += PAGE_SIZE) {
		u64 pfn = frame_behind(vma, ua);

		if (pfn & SIM_UNPINNABLE)
			return got ? got : -EFAULT;
		pin_frame(pfn, write);
		pages[got] = pfn_to_page(pfn);
	}
	return got;
}

void unpin_user_page(struct page *page)
{
	unpin_user_pages_dirty_lock(&page, 1, false);
}

void unpin_user_pages(struct page **pages, unsigned long count)
{
	unpin_user_pages_dirty_lock(pages, count, false);
}

void unpin_user_pages_dirty_lock(struct page **pages, unsigned long count,
				 bool dirty)
{
	sim_may_sleep("unpin_user_pages_dirty_lock");
	while (count--)
		unpin_frame(page_to_pfn(*pages++), dirty);
}

void unpin_user_page_range_dirty_lock(struct page *page, unsigned long count,
				      bool dirty)
{
	u64 pfn = page_to_pfn(page);

	sim_may_sleep("unpin_user_page_range_dirty_lock");
	while (count) {
		u64 n = min_t(u64, count, frames_together(pfn));

		unpin_frames(pfn, n, dirty);
		pfn += n;
		count -= n;
	}
}

/*
 * Page descriptors
 */

static void describe(struct backing *backing)
{
	for (u64 i = 0; i < PER_BACKING; i++) {
		u64 pfn = backing->number * PER_BACKING + i;
		struct page *page = pfn_to_page(pfn);
		struct folio *folio = page_folio(page);

		backing->page[i] = (struct page){ ._refcount = { 1 } };
		if (&folio->page != page)
			backing->page[i].head = (uintptr_t)folio + 1;
	}
}

static struct page *new_backing_page(void)
{
	struct page *page = aligned_alloc(PAGE_SIZE, PAGE_SIZE);

	if (!page)
		abort();
	return page;
}

static struct backing *backing_at(u64 number)
{
	struct backing *backing;

	hash_for_each_possible(backings, backing, link, number) {
		if (backing->number == number)
			return backing;
	}
	backing = calloc(1, sizeof(*backing));
	if (!backing)
		abort();
	backing->number = number;
	backing->page = new_backing_page();
	describe(backing);
	hash_add(backings, &backing->link, number);
	return backing;
}

struct page *sim_descriptor(u64 pfn)
{
	return &backing_at(pfn / PER_BACKING)->page[pfn % PER_BACKING];
}

void sim_move_descriptor(u64 pfn)
{
	struct backing *backing = backing_at(pfn / PER_BACKING);
	struct page *page = new_backing_page();

	memcpy(page, backing->page, PAGE_SIZE);
	free(backing->page);
	backing->page = page;
}

void sim_hide_descriptor(u64 pfn, bool hidden)
{
	backing_at(pfn / PER_BACKING)->hidden = hidden;
}

struct page *compound_head(struct page *page)
{
	const struct page *real = page;

	if ((uintptr_t)page >= SIM_VMEMMAP)
		real = sim_descriptor(page_to_pfn(page));
	return real->head & 1 ? (struct page *)(real->head - 1) : page;
}

/* Returns true if the base page, or any page of its large page, is pinned */
static bool is_pinned(u64 pfn)
{
	struct folio *folio = page_folio(pfn_to_page(pfn));
	u64 first = page_to_pfn(&folio->page);
	u64 end = first + folio_nr_pages(folio);

	if (pfn >= SIM_FRAMES && pfn < SIM_BIG)
		return false;
	for (; first < end; first += 1ULL << (SIM_BIG_SHIFT - PAGE_SHIFT)) {
		if (sim_frame(first)->pins)
			return true;
	}
	return false;
}

/* Ends the test if @address is outside the descriptor array, or no described page is pinned */
struct page *vmalloc_to_page(const void *address)
{
	u64 number = ((uintptr_t)address - SIM_VMEMMAP) >> PAGE_SHIFT;
	struct backing *backing;
	bool pinned = false;

	sim.lookups++;
	if ((uintptr_t)address < SIM_VMEMMAP || sim.hash_mmu)
		sim_bug("%p is not in the kernel's page tables", address);
	for (u64 i = 0; i < PER_BACKING && !pinned; i++)
		pinned = is_pinned(number * PER_BACKING + i);
	if (!pinned)
		sim_bug("descriptors are looked up, but their pages are not pinned");
	backing = backing_at(number);
	if (backing->hidden)
		return NULL;
	return pfn_to_page((uintptr_t)backing->page >> PAGE_SHIFT);
}
