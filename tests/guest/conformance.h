/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Interface between the conformance tests, their library and the runner.
 *
 * Define a test with TEST(name, options) { ... }, or with TEST_F(fixture, name, options)
 * { ... } if several tests share set-up and clean-up. The name is a true sentence about
 * the interface. Each test runs in a separate process with a fresh container, and passes
 * if it returns. The first unmet expectation ends the process. The runner
 * (conformance.c) then checks for leaks: locked memory, pinned pages, use count of the
 * backend.
 */
#ifndef GUEST_CONFORMANCE_H
#define GUEST_CONFORMANCE_H

#include "lib.h"

#include <errno.h>
#include <pthread.h>

/* Objects that the runner prepares for a test */
enum setup {
	ONE_GROUP,	/* container with slot 0's group, SET_IOMMU(v2) done */
	TWO_GROUPS,	/* container with the groups of both slots, SET_IOMMU(v2) done */
	BARE,		/* no object: the test opens its containers itself */
};

/* Position of a test in the run */
enum test_order {
	EARLY,
	LATE,		/* may fragment memory in which other tests need large pages */
	AFTER_OTHERS,	/* KVM may keep counts of pages until the guest ends */
	LAST,		/* if it fails, no later test can pass */
};

/* Order of the tests in a file; a file may define its own */
#ifndef TEST_ORDER
#define TEST_ORDER EARLY
#endif

/**
 * struct test - a conformance test
 * @name: a true sentence about the interface
 * @run: the body of the test
 * @setup: objects that the runner prepares
 * @intree: why the in-tree driver is known to fail the test, or NULL; "defect N" is a
 *	row of Documentation/differences.rst
 * @crashes: the test may crash the kernel with the in-tree driver, so it is skipped there
 * @race: the operations that race, if the test is a race; --stress runs only races
 * @with_others: other processes change the state during the test, so --fail-nth does
 *	not compare the state after a failure
 * @order: tests of a lower order run first
 * @next: the test that runs next
 */
struct test {
	const char *name;
	void (*run)(struct vfio *v);
	enum setup setup;
	const char *intree;
	bool crashes;
	const char *race;
	bool with_others;
	enum test_order order;
	struct test *next;
};

/* Tests of one order run in source order; files run in alphabetical order */
void register_test(struct test *test);

/*
 * TEST(name, .member = value...) { statements }: defines a test and registers it before
 * main(). The statements get the prepared container as v.
 */
#define TEST(fn, ...)							\
	static void fn(struct vfio *v);					\
	static void __attribute__((constructor)) fn##_register(void)	\
	{								\
		static struct test test = {				\
			.name = #fn, .run = fn, .order = TEST_ORDER,	\
			__VA_ARGS__					\
		};							\
									\
		register_test(&test);					\
	}								\
	static void fn(struct vfio *v)

/*
 * Fixtures, as in the kernel's kselftest_harness.h: a fixture is set-up before, and clean-up
 * after, the statements of several tests.
 *
 *	FIXTURE(name);			declares a fixture, in a file or in a header
 *	FIXTURE_SETUP(name) { }		runs before the statements, and gets v
 *	FIXTURE_TEARDOWN(name) { }	runs after the statements, and gets v
 *	TEST_F(name, test, .member = value...) { }
 *
 * A fixture keeps its data in file-scope variables, because each test is a separate
 * process. Setup may skip() the test. A failing test does not reach the tear-down: its
 * process ends, and the kernel releases its resources.
 */
#define FIXTURE(name)							\
	void name##_setup(struct vfio *v);				\
	void name##_teardown(struct vfio *v)

#define FIXTURE_SETUP(name)	void name##_setup(UNUSED struct vfio *v)
#define FIXTURE_TEARDOWN(name)	void name##_teardown(UNUSED struct vfio *v)

#define TEST_F(fixture, fn, ...)					\
	static void fn##_body(struct vfio *v);				\
	TEST(fn, __VA_ARGS__)						\
	{								\
		fixture##_setup(v);					\
		fn##_body(v);						\
		fixture##_teardown(v);					\
	}								\
	static void fn##_body(UNUSED struct vfio *v)

#define UNUSED	__attribute__((unused))

/* The backend under test, or NULL with --backend any */
extern const char *backend_module;

/* Scale a time limit, or a number of repetitions, for slow kernels (--patience) */
uint64_t patient_ms(uint64_t ms);
unsigned int fewer(unsigned int count);

/* Skip the test with one processor: it needs two threads that run at the same time */
void need_two_processors(void);

/*
 * Injected failures (conformance_failnth.c). Failures are injected between
 * failnth_begin() and failnth_end(), in this process and its children. failnth_end()
 * prints the number of failures, and adds it to the totals unless the test was skipped.
 */
bool injecting(void);
bool failnth_init(unsigned int budget);
void failnth_begin(const struct test *test);
void failnth_end(bool counts);
bool failnth_report(bool all_tests);

/*
 * Expectations
 */

void fail(const char *fmt, ...)
	__attribute__((format(printf, 1, 2), noreturn));
void skip(const char *reason) __attribute__((noreturn));
void expect_at(const char *file, int line, const char *what, long saw,
	       long want);
void expect_either_at(const char *file, int line, const char *what, long saw,
		      long want, long or_else);

#define expect(what, want) \
	expect_at(__FILE__, __LINE__, #what, (what), (want))
#define expect_either(what, want, or_else) \
	expect_either_at(__FILE__, __LINE__, #what, (what), (want), (or_else))
/* Check a row of a table: print the row and return false on a mismatch */
bool row_is(const char *row, long saw, long want);

/* Skip the test if the machine has only one edu device */
void need_two_devices(void);

/* Skip the test if two groups can't share a window */
void need_groups_that_share(void);

/* locked_vm of this process, and pinned pages of the system */
struct ledger {
	int64_t vmlck;
	int64_t pins;
};

struct ledger ledger(void);
void expect_ledger(const char *when, struct ledger before, int64_t bytes);

/* Pinned pages of the system, and the use count of the backend */
struct found {
	int64_t pins;
	int refs;
};

struct found found(void);
/* A condition for expect_soon(): the state equals the struct found at arg */
bool as_found(void *arg);

/* follow_log() opens the kernel log at its end; next_record() reads one record */
#define LOG_RECORD	8192

int follow_log(void);
bool next_record(int log, char record[LOG_RECORD]);

/*
 * Containers, memory and user pointers
 */

#define IOVA		MIB(16)		/* iova of most mappings, in the default window */
#define SINK_IOVA	MIB(512)	/* iova of a sink, in the default window */

void open_container(struct vfio *v, int slot);
struct vfio_iommu_spapr_tce_info info_of(struct vfio *v);
bool has_page_shift(struct vfio *v, unsigned int shift);
uint64_t new_window(struct vfio *v, unsigned int shift, uint64_t size,
		    unsigned int levels);

uint64_t first_start(struct vfio *v, unsigned int shift, uint64_t size);
unsigned int up_to_levels(struct vfio *v, unsigned int levels);

uint8_t *memory(size_t size);
void *shared_memory(size_t size);
uint8_t *contiguous_memory(size_t size);
uint8_t *registered(struct vfio *v, size_t size);
uint8_t *mapped(struct vfio *v, uint64_t iova, size_t size);
void unregister_ok(struct vfio *v, const void *ua, size_t size);
bool is_dirty(const uint8_t *ua);
void *at_page_end(const void *data, size_t len);
void expect_bad_pointers_fault(int fd, unsigned long nr);

/*
 * Checks by DMA. A sink is a mapped page that the device can read and write. Through the
 * sink a test fills the device's buffer with known bytes, or reads the bytes that the
 * device has read at another iova.
 */

struct sink {
	uint64_t iova;
	uint8_t *ua;
};

#define PROBE		256		/* bytes that a check transfers */

struct sink sink_at(struct vfio *v, uint64_t iova);
struct edu *device(struct vfio *v, int slot);
void device_reaches(struct vfio *v, int slot, uint64_t iova, uint8_t *ua);
void device_reads(struct vfio *v, int slot, uint64_t iova, const uint8_t *ua,
		  struct sink *sink);
void device_cannot_read(struct vfio *v, int slot, uint64_t iova, uint8_t *ua,
			struct sink *sink);
void device_cannot_write(struct vfio *v, int slot, uint64_t iova,
			 const uint8_t *ua, struct sink *sink);
void device_cannot_reach(struct vfio *v, int slot, uint64_t iova, uint8_t *ua,
			 struct sink *sink);

/*
 * Child processes
 */

int start_child(void (*run)(void *), void *arg);
int start_child_with_files(void (*run)(void *), void *arg);
void expect_child_ok(int pid);
void kill_child(int pid);
void in_child(void (*run)(void *), void *arg);
void expect_soon(const char *what, bool (*so)(void *), void *arg);

/*
 * Races (conformance_threads.c). --seconds sets the duration of each race. Without this
 * option a race takes about a second, and longer on a slow machine.
 */

#define MAX_THREADS	8

/**
 * struct score - progress of a race; the runner reads it, too
 * @began: start time in milliseconds, 0 before the start
 * @ms: time since the start
 * @threads: number of threads of struct workers or struct call_race
 * @turns: sum of the turns of all these threads
 * @rounds: rounds begun by the test's main thread
 * @main: the main thread takes part in each round, so it counts as a thread
 * @served: events that race_served() has counted in the test and its children
 */
struct score {
	uint64_t began;
	uint64_t ms;
	unsigned int threads;
	uint64_t turns;
	uint64_t rounds;
	bool main;
	uint64_t served;
};

/* Processes that read debugfs and switch tracepoints beside a race */
void observers_start(void);
bool observers_stop(void);

/* Shared by the runner, the test and its children */
extern struct score *score;
/* Duration of each race in seconds; 0 without --seconds and --stress */
extern unsigned int race_seconds;

bool race_goes_on(void);
bool race_round(void);
void race_wait(void);
bool now_and_then(void);
void expect_in_order(const char *when, struct ledger before, int64_t bytes);
int race_threads(void);
void race_has_threads(unsigned int threads);
void race_turn(void);
void race_served(bool was);

/* Print how often an outcome was seen; fail if a long race never saw it */
void race_saw(const char *what, unsigned long times);

/**
 * struct race_sides - the two sides of a race, and the delay between their starts
 * @outcome: names of the outcomes when the first and when the second side wins
 * @wins: number of rounds that each side has won
 * @delay: iterations of an empty loop before the first side's call; if negative, before
 *	the second side's call
 * @step: the last change of @delay
 * @last: the second side has won the previous round
 *
 * The winning side starts later in the next round. So both outcomes stay frequent, and
 * the two calls overlap in time.
 */
struct race_sides {
	const char *outcome[2];
	unsigned long wins[2];
	volatile long delay;
	long step;
	bool last;
};

void sides_delay(const struct race_sides *sides, bool second);
void sides_record(struct race_sides *sides, bool second);
void sides_report(const struct race_sides *sides);

/**
 * struct workers - threads that repeat one operation until they are stopped
 * @v: the container that the threads use
 * @arg: the test's own data, shared by all threads
 * @stop: set to make the threads end
 * @thread: the running threads
 * @threads: number of running threads
 */
struct workers {
	struct vfio *v;
	void *arg;
	volatile bool stop;
	pthread_t thread[MAX_THREADS];
	int threads;
};

/* The operation that each thread repeats until workers_stop(), with the number of the thread */
typedef void worker_fn(struct workers *workers, int number);

void workers_start(struct workers *workers, int threads, worker_fn *run);
void workers_stop(struct workers *workers);

/**
 * struct call_race - threads that make one call each, all at the same moment
 * @v: the container that the threads use
 * @arg: the test's own data, shared by all threads
 * @run: the call of each thread
 * @by_turns: even threads are the first side, odd threads the second. Otherwise thread 0
 *	is the first side, and all other threads are the second.
 * @sides: the two sides, and the delay between them
 * @answer: return value of each thread's call
 * @place: for each thread, how many other calls had returned before its own
 * @done: calls done in this round
 * @begun: threads that have begun this round
 * @meeting: threads that spin until all of them have begun; at most one for each CPU
 * @threads: number of threads
 * @over: set when there is no further round
 */
struct call_race {
	struct vfio *v;
	void *arg;
	int (*run)(struct call_race *race, int number);
	bool by_turns;
	struct race_sides sides;
	int answer[MAX_THREADS];
	int place[MAX_THREADS];
	volatile int done;
	volatile int begun;
	int meeting;
	int threads;
	bool over;
	pthread_t thread[MAX_THREADS];
	pthread_barrier_t barrier;
};

void call_race_begin(struct call_race *race, int threads);
bool call_race_round(struct call_race *race);
void call_race_run(struct call_race *race);
void call_race_judge(struct call_race *race, bool second);
int call_race_first(const struct call_race *race);
void call_race_end(struct call_race *race);
int call_race_count(const struct call_race *race, int first, int step,
		    int answer);

bool eeh_is_enabled(void);
int after_exec(int argc, char **argv);
int after_update(int argc, char **argv);

/* Bytes of memory except free memory, page cache and user memory; includes TCE tables */
int64_t taken_memory(void);
/* Return false if slab debugging, such as KASAN, enlarges slabs or keeps freed slabs */
bool has_plain_slabs(void);

/* Make the kernel enforce RLIMIT_MEMLOCK for this process */
void drop_ipc_lock(void);
/* Set RLIMIT_MEMLOCK; RLIM_INFINITY removes the limit */
void limit_memlock(uint64_t bytes);

#endif /* GUEST_CONFORMANCE_H */
