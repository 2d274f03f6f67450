/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Interface between the conformance tests, their library and the runner.
 *
 * A test is TEST(name, options) { ... }, or TEST_F(fixture, name, options) { ... } if
 * other tests begin and end in the same way. Its name is a true sentence about the
 * interface. A test runs in a process of its own on a fresh container, and ends by
 * returning. The first expectation that isn't met ends the whole process. The
 * runner (conformance.c) then checks that the test has left nothing behind: locked
 * memory, pinned pages, use count of the backend.
 */
#ifndef GUEST_CONFORMANCE_H
#define GUEST_CONFORMANCE_H

#include "lib.h"

#include <errno.h>
#include <pthread.h>

/* What the runner prepares for a test */
enum setup {
	ONE_GROUP,	/* container with slot 0's group, SET_IOMMU(v2) done */
	TWO_GROUPS,	/* the same with the groups of both slots */
	BARE,		/* nothing: the test opens its own */
};

/* When a test runs */
enum test_order {
	EARLY,
	LATE,		/* it may take memory of which others need large pages */
	AFTER_OTHERS,	/* KVM may keep what it has counted until the guest ends */
	LAST,		/* if it fails, no later test can pass */
};

/* The order of the tests that follow; a file may define another one */
#ifndef TEST_ORDER
#define TEST_ORDER EARLY
#endif

/**
 * struct test - a conformance test
 * @name: a true sentence about the interface
 * @run: the body of the test
 * @setup: what the runner prepares
 * @intree: why the in-tree driver is known to answer otherwise, or NULL;
 *	"defect N" is that of Documentation/differences.rst
 * @crashes: the in-tree driver may take the kernel down, so it isn't tried
 * @race: what races against what, for a race; --stress runs these alone
 * @with_others: other processes do something meanwhile: with --fail-nth, the
 *	state after a failure can't be compared
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

/* Tests of one order run as they stand in a file, files in alphabetical order */
void register_test(struct test *test);

/*
 * TEST(name, .member = value...) { statements }: defines a test and registers it before
 * main(). The statements find the prepared container in v.
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
 * Fixtures, as in the kernel's kselftest_harness.h: set-up before and clean-up after the
 * statements of several tests.
 *
 *	FIXTURE(name);			declares a fixture, in a file or in a header
 *	FIXTURE_SETUP(name) { }		runs before the statements, and finds v
 *	FIXTURE_TEARDOWN(name) { }	runs after the statements, and finds v
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

/* A wall time, or a number of repetitions, for a kernel that may be slow */
uint64_t patient_ms(uint64_t ms);
unsigned int fewer(unsigned int count);

/* Skips a test in which something has to happen while another thread is in the kernel */
void need_two_processors(void);

/*
 * Failures injected into every call (conformance_failnth.c): between these two,
 * in this process and its children. What was done is printed, and counts unless
 * the test was skipped.
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
/* The same for a row of a table: says which row, and goes on */
bool row_is(const char *row, long saw, long want);

/* Skips the test where there is but one device */
void need_two_devices(void);

/* Skips the test where two groups can't have a window in common */
void need_groups_that_share(void);

/* What is charged to this process and pinned in the system, at some moment */
struct ledger {
	int64_t vmlck;
	int64_t pins;
};

struct ledger ledger(void);
void expect_ledger(const char *when, struct ledger before, int64_t bytes);

/* Use count of the backend and pins, of all processes together */
struct found {
	int64_t pins;
	int refs;
};

struct found found(void);
/* For expect_soon(): it is again as in the struct found that arg points to */
bool as_found(void *arg);

/* The kernel's log, from now on: the next of its records */
#define LOG_RECORD	8192

int follow_log(void);
bool next_record(int log, char record[LOG_RECORD]);

/*
 * Containers, memory and user pointers
 */

#define IOVA		MIB(16)		/* where tests map, default window */
#define SINK_IOVA	MIB(512)	/* where a sink is, default window */

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
 * Checks by DMA. A sink is a page that the device is known to reach. The test sends
 * known bytes to the device through it, and reads the bytes back that the device has
 * read elsewhere.
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
 * Children
 */

int start_child(void (*run)(void *), void *arg);
int start_child_with_files(void (*run)(void *), void *arg);
void expect_child_ok(int pid);
void kill_child(int pid);
void in_child(void (*run)(void *), void *arg);
void expect_soon(const char *what, bool (*so)(void *), void *arg);

/*
 * Races (conformance_threads.c). One lasts as long as --seconds says, or else
 * about a second, and on a slow machine until it has come to something.
 */

#define MAX_THREADS	8

/**
 * struct score - how far a race has got, for the runner as well
 * @began: when, 0 before
 * @ms: how long it has been going on
 * @threads: number of threads of struct workers or struct call_race
 * @turns: turns of all these threads together
 * @rounds: begun by the test's main thread
 * @main: and in these it does a part of its own
 * @served: what a test counts, also in its children (race_served())
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

/* In memory that the runner, the test and its children share */
extern struct score *score;
/* How long each race lasts; 0 if nobody has said so */
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

/* How often a race ended so: printed, and in one that lasts it has to be some */
void race_saw(const char *what, unsigned long times);

/**
 * struct race_sides - the two sides of a race, and the delay between their starts
 * @outcome: names of the outcomes when the first and when the second side wins
 * @wins: how often each side has won
 * @delay: how long the first side waits before its call, or the second side if
 *	negative; in iterations of an empty loop
 * @step: the last change of @delay
 * @order: tests of a lower order run first
 *
 * The side that wins starts later in the next round. So both outcomes stay
 * frequent, and the calls overlap where one outcome turns into the other.
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
 * @v: the container that they work on
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

/* Each thread calls run() with its number again and again until workers_stop() */
typedef void worker_fn(struct workers *workers, int number);

void workers_start(struct workers *workers, int threads, worker_fn *run);
void workers_stop(struct workers *workers);

/**
 * struct call_race - threads that make one call each, all at the same moment
 * @v: the container that they work on
 * @arg: the test's own data, shared by all threads
 * @run: the call of each thread
 * @by_turns: the sides are the even and the odd threads, not the first thread
 *	and the others
 * @sides: the two sides, and the delay between them
 * @answer: return value of each thread's call
 * @place: for each thread, how many calls were done before its own
 * @done: calls done in this round
 * @begun: threads that have begun this round
 * @meeting: threads that can run at once
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

/* All memory that is neither free nor a user's, also what tables take */
int64_t taken_memory(void);
/* false where KASAN and its like keep slabs when they were freed */
bool has_plain_slabs(void);

/* From now on this process is charged against RLIMIT_MEMLOCK */
void drop_ipc_lock(void);
/* Sets that limit, or takes it away: RLIM_INFINITY */
void limit_memlock(uint64_t bytes);

#endif /* GUEST_CONFORMANCE_H */
