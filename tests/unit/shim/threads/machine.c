// SPDX-License-Identifier: GPL-2.0-only
/*
 * The simulated machine for real threads. It implements the functions of ../../sim.c that
 * test_kvm_threads.c needs. It uses real locks, so that ThreadSanitizer sees the order
 * of the threads.
 *
 * There is one process. Its user addresses from MACHINE_UA on map page frames 0, 1, ...
 */
#include <malloc.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <linux/atomic.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/preempt.h>
#include <linux/hugetlb_inline.h>
#include <linux/rcupdate.h>
#include <linux/rwsem.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "machine.h"
#include "sim.h"

struct sim sim;
unsigned long sim_linear_end = 1UL << 51;
struct workqueue_struct *system_wq, *system_unbound_wq;

static __thread struct task_struct *task;
static __thread struct sim_held held;
static __thread unsigned int preempt_in;
static __thread u64 preempt_seed;

static struct machine_counts counts;
static pthread_mutex_t counts_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct mm_struct process;
static u32 pins[MACHINE_FRAMES];

/*
 * Tasks
 */

static unsigned int next_random(unsigned int limit)
{
	if (!preempt_seed)
		preempt_seed = (uintptr_t)&preempt_seed;
	preempt_seed =
		preempt_seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (preempt_seed >> 33) % limit;
}

void machine_preempt(void)
{
	if (preempt_in--)
		return;
	preempt_in = next_random(400);
	sched_yield();
}

/*
 * ThreadSanitizer treats a failed comparison as a write. It would report a race with the
 * thread that holds a lock and reads the lock's word. So this function is not instrumented.
 */
__attribute__((no_sanitize("thread"), __noinline__)) static u64
compare_and_swap(void *ptr, size_t size, u64 old, u64 new)
{
	u32 old4 = old;

	if (size == 4) {
		__atomic_compare_exchange_n((u32 *)ptr, &old4, new, false,
					    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
		return old4;
	}
	__atomic_compare_exchange_n((u64 *)ptr, &old, new, false,
				    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	return old;
}

u64 machine_cmpxchg(void *ptr, size_t size, u64 old, u64 new)
{
	u64 saw;

	machine_preempt();
	saw = size == 4 ? __atomic_load_n((u32 *)ptr, __ATOMIC_SEQ_CST)
			: __atomic_load_n((u64 *)ptr, __ATOMIC_SEQ_CST);
	if (saw != old)
		return saw;
	__tsan_release(ptr);
	saw = compare_and_swap(ptr, size, old, new);
	if (saw == old)
		__tsan_acquire(ptr);
	return saw;
}

void sim_point(enum sim_point point)
{
	machine_preempt();
}

void sim_task_init(struct task_struct *new, struct mm_struct *mm)
{
	*new = (struct task_struct){ .mm = mm };
}

struct task_struct *sim_task(void)
{
	return task;
}

struct task_struct *sim_switch_to(struct task_struct *next)
{
	struct task_struct *previous = task;

	task = next;
	return previous;
}

void sim_atomic(bool on)
{
	held.atomic += on ? 1 : -1;
}

void sim_may_sleep(const char *what)
{
	if (held.rcu || held.atomic || spinlocks_held)
		sim_bug("%s: sleeps in atomic context", what);
}

void sim_wait(const char *what)
{
	sim_may_sleep(what);
	usleep(50);
}

bool in_interrupt(void)
{
	return false;
}

void sim_pause(void)
{
}

void sim_rest(void)
{
}

bool sim_fails(enum sim_fault fault)
{
	return false;
}

void sim_preempt_disable(void)
{
}

void sim_preempt_enable(void)
{
}

/*
 * Locks
 */

void mutex_init(struct mutex *lock)
{
	*lock = (struct mutex){ .mutex = PTHREAD_MUTEX_INITIALIZER };
}

void mutex_lock(struct mutex *lock)
{
	sim_may_sleep("mutex_lock");
	pthread_mutex_lock(&lock->mutex);
	lock->owner = pthread_self();
	lock->held = true;
}

int mutex_lock_killable(struct mutex *lock)
{
	mutex_lock(lock);
	return 0;
}

void mutex_unlock(struct mutex *lock)
{
	lock->held = false;
	pthread_mutex_unlock(&lock->mutex);
}

/* Parentheses avoid the macro of held.h, which dispatches on the type of the lock */
void(lockdep_assert_held)(const struct mutex *lock)
{
	if (!lock->held || !pthread_equal(lock->owner, pthread_self()))
		sim_bug("a lock that should be held is not");
}

void init_rwsem(struct rw_semaphore *sem)
{
	pthread_rwlock_init(&sem->lock, NULL);
}

void down_read(struct rw_semaphore *sem)
{
	sim_may_sleep("down_read");
	pthread_rwlock_rdlock(&sem->lock);
}

int down_read_killable(struct rw_semaphore *sem)
{
	down_read(sem);
	return 0;
}

int down_read_trylock(struct rw_semaphore *sem)
{
	return !pthread_rwlock_tryrdlock(&sem->lock);
}

void up_read(struct rw_semaphore *sem)
{
	pthread_rwlock_unlock(&sem->lock);
}

void down_write(struct rw_semaphore *sem)
{
	sim_may_sleep("down_write");
	pthread_rwlock_wrlock(&sem->lock);
}

int down_write_killable(struct rw_semaphore *sem)
{
	down_write(sem);
	return 0;
}

void up_write(struct rw_semaphore *sem)
{
	pthread_rwlock_unlock(&sem->lock);
}

void rwsem_assert_held(struct rw_semaphore *sem)
{
}

void rwsem_assert_held_write(struct rw_semaphore *sem)
{
}

/*
 * RCU: a reader-writer lock that readers take for reading, and a grace period for writing
 */

static pthread_rwlock_t rcu_lock =
	PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
static pthread_mutex_t later_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct rcu_head *later;
static struct work_struct *works, *delayed_works;

void rcu_read_lock(void)
{
	if (!held.rcu++)
		pthread_rwlock_rdlock(&rcu_lock);
}

void rcu_read_unlock(void)
{
	if (!--held.rcu)
		pthread_rwlock_unlock(&rcu_lock);
}

void synchronize_rcu(void)
{
	sim_may_sleep("synchronize_rcu");
	pthread_rwlock_wrlock(&rcu_lock);
	pthread_rwlock_unlock(&rcu_lock);
}

void call_rcu(struct rcu_head *head, void (*func)(struct rcu_head *head))
{
	head->func = func;
	pthread_mutex_lock(&later_mutex);
	head->next = later;
	later = head;
	pthread_mutex_unlock(&later_mutex);
}

struct late_free {
	struct rcu_head rcu;
	void *ptr;
};

static void free_late(struct rcu_head *head)
{
	struct late_free *late = container_of(head, struct late_free, rcu);

	kfree(late->ptr);
	free(late);
}

/* The kernel keeps the struct rcu_head in the object, over its first words */
void sim_free_later(void *ptr)
{
	struct late_free *late = calloc(1, sizeof(*late));

	late->ptr = ptr;
	WRITE_ONCE(((u64 *)ptr)[0], (u64)late);
	WRITE_ONCE(((u64 *)ptr)[1], (u64)free_late);
	call_rcu(&late->rcu, free_late);
}

static void run_callbacks(void)
{
	struct rcu_head *head;

	pthread_mutex_lock(&later_mutex);
	head = later;
	later = NULL;
	pthread_mutex_unlock(&later_mutex);
	if (!head)
		return;
	synchronize_rcu();
	while (head) {
		struct rcu_head *next = head->next;

		sim_atomic(true);
		head->func(head);
		sim_atomic(false);
		head = next;
	}
}

static bool queue(struct work_struct *work, struct work_struct **list)
{
	bool queued;

	pthread_mutex_lock(&later_mutex);
	queued = work->queued;
	if (!queued) {
		work->queued = true;
		work->next = *list;
		*list = work;
	}
	pthread_mutex_unlock(&later_mutex);
	return !queued;
}

bool queue_work(struct workqueue_struct *wq, struct work_struct *work)
{
	return queue(work, &works);
}

bool schedule_delayed_work(struct delayed_work *work, unsigned long delay)
{
	return queue(&work->work, &delayed_works);
}

static struct work_struct *next_work(struct work_struct **list)
{
	struct work_struct *work;

	pthread_mutex_lock(&later_mutex);
	work = *list;
	if (work) {
		*list = work->next;
		work->queued = false;
	}
	pthread_mutex_unlock(&later_mutex);
	return work;
}

static void run_works(struct work_struct **list)
{
	struct work_struct *work;

	while ((work = next_work(list)))
		work->func(work);
}

static void run_delayed_works(void)
{
	struct work_struct *delayed;

	pthread_mutex_lock(&later_mutex);
	delayed = delayed_works;
	delayed_works = NULL;
	pthread_mutex_unlock(&later_mutex);
	run_works(&delayed);
}

/* Held by the thread that runs queued work; other threads wait for it */
static pthread_mutex_t worker_mutex = PTHREAD_MUTEX_INITIALIZER;

void machine_run_later(void)
{
	pthread_mutex_lock(&worker_mutex);
	run_delayed_works();
	run_works(&works);
	run_callbacks();
	pthread_mutex_unlock(&worker_mutex);
}

bool flush_work(struct work_struct *work)
{
	sim_may_sleep("flush_work");
	machine_run_later();
	return true;
}

/*
 * Counts of pins, charges and allocations
 */

static void add(u64 *count, s64 n)
{
	pthread_mutex_lock(&counts_mutex);
	*count += n;
	pthread_mutex_unlock(&counts_mutex);
}

struct machine_counts machine_counts(void)
{
	struct machine_counts now;

	pthread_mutex_lock(&counts_mutex);
	now = counts;
	pthread_mutex_unlock(&counts_mutex);
	return now;
}

struct module sim_module;

void __module_get(struct module *module)
{
	add(&counts.modules, 1);
}

void module_put(struct module *module)
{
	add(&counts.modules, -1);
}

void sim_log(const char *fmt, ...)
{
	add(&counts.log_lines, 1);
}

void *kmalloc(size_t size, gfp_t gfp)
{
	bool power = size >= 16 && !(size & (size - 1));
	void *ptr;

	if (!(gfp & (GFP_ATOMIC | GFP_NOWAIT)))
		sim_may_sleep("kmalloc");
	ptr = power ? aligned_alloc(size, size) : malloc(size);
	if (!ptr)
		abort();
	__builtin_memset(ptr, gfp & __GFP_ZERO ? 0 : 0xa5, size);
	add(&counts.allocs, 1);
	return ptr;
}

void kfree(const void *ptr)
{
	if (!ptr)
		return;
	add(&counts.allocs, -1);
	free((void *)ptr);
}

struct page *alloc_pages_node(int node, gfp_t gfp, unsigned int order)
{
	return kmalloc(PAGE_SIZE << order, gfp);
}

void __free_pages(struct page *page, unsigned int order)
{
	kfree(page);
}

void *page_address(const struct page *page)
{
	return (void *)page;
}

/*
 * The process
 */

struct mm_struct *sim_process(void)
{
	INIT_LIST_HEAD(&process.context.iommu_group_mem_list);
	process.vma[0] = (struct vm_area_struct){
		.vm_start = MACHINE_UA,
		.vm_end = MACHINE_UA + (MACHINE_FRAMES << PAGE_SHIFT),
		.vm_flags = VM_READ | VM_WRITE,
		.shift = PAGE_SHIFT,
	};
	sim.mm = &process;
	return sim.mm;
}

void mmgrab(struct mm_struct *mm)
{
	add(&counts.mm_refs, 1);
}

void mmdrop(struct mm_struct *mm)
{
	add(&counts.mm_refs, -1);
}

void mmap_read_lock(struct mm_struct *mm)
{
	sim_may_sleep("mmap_read_lock");
}

void mmap_read_unlock(struct mm_struct *mm)
{
}

void mmap_write_lock(struct mm_struct *mm)
{
	sim_may_sleep("mmap_write_lock");
}

void mmap_write_unlock(struct mm_struct *mm)
{
}

struct vm_area_struct *find_vma(struct mm_struct *mm, unsigned long ua)
{
	return ua < mm->vma[0].vm_end ? &mm->vma[0] : NULL;
}

int account_locked_vm(struct mm_struct *mm, unsigned long pages, bool inc)
{
	sim_may_sleep("account_locked_vm");
	add(&counts.charged, inc ? (s64)pages : -(s64)pages);
	return 0;
}

int __account_locked_vm(struct mm_struct *mm, unsigned long pages, bool inc,
			struct task_struct *who, bool bypass_rlim)
{
	return account_locked_vm(mm, pages, inc);
}

/*
 * Page frames
 */

static void pin_frame(u64 pfn)
{
	pthread_mutex_lock(&counts_mutex);
	pins[pfn]++;
	counts.pinned++;
	pthread_mutex_unlock(&counts_mutex);
}

static void unpin_frame(u64 pfn)
{
	bool last;

	pthread_mutex_lock(&counts_mutex);
	if (!pins[pfn])
		sim_bug("page frame %llx is unpinned but was not pinned", pfn);
	last = !--pins[pfn];
	counts.pinned--;
	pthread_mutex_unlock(&counts_mutex);
	if (last)
		machine_unpinned(pfn);
}

static u64 frame_of(u64 ua)
{
	return (ua - MACHINE_UA) >> PAGE_SHIFT;
}

int pin_user_pages_fast(unsigned long ua, int want, unsigned int gup_flags,
			struct page **pages)
{
	sim_may_sleep("pin_user_pages_fast");
	for (int i = 0; i < want; i++) {
		pin_frame(frame_of(ua) + i);
		pages[i] = pfn_to_page(frame_of(ua) + i);
	}
	return want;
}

void unpin_user_page(struct page *page)
{
	unpin_frame(page_to_pfn(page));
}

void unpin_user_pages(struct page **page, unsigned long count)
{
	while (count--)
		unpin_user_page(*page++);
}

void unpin_user_page_range_dirty_lock(struct page *page, unsigned long count,
				      bool dirty)
{
	u64 pfn = page_to_pfn(page);

	while (count--)
		unpin_frame(pfn++);
}

struct page *sim_kernel_pin(u64 ua)
{
	pin_frame(frame_of(ua));
	return pfn_to_page(frame_of(ua));
}

void sim_kernel_unpin(u64 pfn)
{
	unpin_frame(pfn);
}

void sim_set_dirty(u64 pfn)
{
	bool pinned;

	pthread_mutex_lock(&counts_mutex);
	pinned = pfn < MACHINE_FRAMES && pins[pfn];
	pthread_mutex_unlock(&counts_mutex);
	if (!pinned)
		sim_bug("page frame %llx is marked dirty but not pinned", pfn);
}

struct folio *page_folio(struct page *page)
{
	return (struct folio *)page;
}

bool is_vm_hugetlb_page(const struct vm_area_struct *vma)
{
	return false;
}

bool folio_test_dirty(const struct folio *folio)
{
	return false;
}

bool folio_test_hugetlb(const struct folio *folio)
{
	return false;
}

unsigned long folio_nr_pages(const struct folio *folio)
{
	return 1;
}

struct page *compound_head(struct page *page)
{
	return page;
}

struct page *vmalloc_to_page(const void *address)
{
	return NULL;
}
