// SPDX-License-Identifier: GPL-2.0-only
/*
 * Functions for races: their duration and progress; struct workers, threads that run
 * freely; and struct call_race, in which each thread makes one call and the answers are
 * judged before the next round. A call_race has two sides. The side that won the last
 * round is delayed.
 */
#define _GNU_SOURCE
#include "conformance.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Where nobody says for how long; and the least that may come of it */
#define RACE_MS		1000
#define LEAST		10

/* From when on a race has lasted, so that whatever can happen has to have */
#define LASTING_S	5
#define LASTING_ROUNDS	200

/* For now_and_then(): one round in LOOK is checked by DMA, which is slow */
#define LOOK		256

struct score *score;
unsigned int race_seconds;

/* The first call starts the clock. A slow machine takes the time it needs */
bool race_goes_on(void)
{
	uint64_t now = now_ms();

	if (!score->began)
		score->began = now;
	score->ms = now - score->began;
	if (score->ms < (race_seconds ? race_seconds * 1000ULL : RACE_MS))
		return true;
	return (score->rounds && score->rounds < LEAST) ||
	       (score->threads && score->turns < LEAST);
}

/* The same for the main thread, when it does something in each round */
bool race_round(void)
{
	score->main = true;
	if (!race_goes_on())
		return false;
	score->rounds++;
	return true;
}

/* The others race, and this thread lets them */
void race_wait(void)
{
	while (race_goes_on())
		usleep(10000);
}

/* For what takes too long to be done in every round */
bool now_and_then(void)
{
	return score->rounds % LOOK == 2;
}

/* What is lost stays lost, so it is enough to look every few rounds */
void expect_in_order(const char *when, struct ledger before,
		     int64_t bytes)
{
	if (score->rounds % 8 == 1)
		expect_ledger(when, before, bytes);
}

/* More than there are processors, and room for one of another kind */
int race_threads(void)
{
	long threads = sysconf(_SC_NPROCESSORS_ONLN) + 2;

	return threads < MAX_THREADS ? threads : MAX_THREADS - 1;
}

/* Counts one turn of a thread */
void race_turn(void)
{
	__atomic_fetch_add(&score->turns, 1, __ATOMIC_RELAXED);
}

/* What must have happened in between, wherever it did */
void race_served(bool was)
{
	if (was)
		__atomic_fetch_add(&score->served, 1, __ATOMIC_RELAXED);
}

/* A test may start workers more than once: keeps the largest number of threads */
void race_has_threads(unsigned int threads)
{
	if (score->threads < threads)
		score->threads = threads;
}

/* On one processor, or with calls that are repeated, some things can't happen */
static bool race_has_lasted(void)
{
	return race_seconds >= LASTING_S &&
	       (score->rounds ?: score->turns) >= LASTING_ROUNDS &&
	       sysconf(_SC_NPROCESSORS_ONLN) > 1 && !injecting();
}

void race_saw(const char *what, unsigned long times)
{
	dprintf(STDOUT_FILENO, "# %lu %s\n", times, what);
	if (!times && race_has_lasted())
		fail("expected some in %llu rounds, saw none: %s",
		     (unsigned long long)(score->rounds ?: score->turns), what);
}

/*
 * The sides of a race
 */

/* The step doubles each time that a side wins again */
#define LEAST_STEP	16
#define MOST_STEP	65536
/* Tens of milliseconds, for kernels in which calls take that long */
#define MOST_DELAY	16000000

void sides_delay(const struct race_sides *sides, bool second)
{
	long turns = second ? -sides->delay : sides->delay;

	/* asm, so that the compiler keeps the loop */
	for (long i = 0; i < turns; i++)
		__asm__ volatile("");
}

/* Counts a win of a side, and delays this side more, or the other side less */
void sides_record(struct race_sides *sides, bool second)
{
	long delay = sides->delay;

	sides->wins[second]++;
	if (second != sides->last || !sides->step)
		sides->step = LEAST_STEP;
	else if (sides->step < MOST_STEP)
		sides->step *= 2;
	sides->last = second;
	delay += second ? -sides->step : sides->step;
	if (labs(delay) <= MOST_DELAY)
		sides->delay = delay;
}

void sides_report(const struct race_sides *sides)
{
	for (int i = 0; i < 2; i++)
		race_saw(sides->outcome[i], sides->wins[i]);
}

/*
 * Workers
 */

struct worker {
	struct workers *workers;
	worker_fn *run;
	int number;
};

static void *worker_main(void *arg)
{
	struct worker worker = *(struct worker *)arg;

	free(arg);
	while (!worker.workers->stop) {
		worker.run(worker.workers, worker.number);
		race_turn();
	}
	return NULL;
}

void workers_start(struct workers *workers, int threads, worker_fn *run)
{
	for (int i = 0; i < threads; i++) {
		struct worker *worker = malloc(sizeof(*worker));
		pthread_t thread;

		if (!worker || workers->threads == MAX_THREADS)
			fail("too many threads in a test");
		*worker = (struct worker){ workers, run, workers->threads };
		if (pthread_create(&thread, NULL, worker_main, worker))
			fail("pthread_create");
		workers->thread[workers->threads++] = thread;
	}
	race_has_threads(workers->threads);
}

void workers_stop(struct workers *workers)
{
	workers->stop = true;
	for (int i = 0; i < workers->threads; i++)
		pthread_join(workers->thread[i], NULL);
	workers->threads = 0;
}

/*
 * Races of single calls
 */

struct racer {
	struct call_race *race;
	int number;
};

static bool is_second(const struct call_race *race, int number)
{
	return race->by_turns ? number % 2 : number > 0;
}

/*
 * A barrier wakes one thread after the other, which takes longer than most calls. So
 * the first threads that have a processor spin here until all of them have one.
 */
#define MOST_TURNS	100000

static void meet(struct call_race *race)
{
	int here = __atomic_add_fetch(&race->begun, 1, __ATOMIC_SEQ_CST);

	for (int i = 0; here < race->meeting && i < MOST_TURNS; i++)
		here = race->begun;
}

static void *racer_main(void *arg)
{
	struct racer self = *(struct racer *)arg;
	struct call_race *race = self.race;

	free(arg);
	for (;;) {
		pthread_barrier_wait(&race->barrier);
		if (race->over)
			return NULL;
		meet(race);
		sides_delay(&race->sides, is_second(race, self.number));
		race->answer[self.number] = race->run(race, self.number);
		race->place[self.number] =
			__atomic_fetch_add(&race->done, 1, __ATOMIC_SEQ_CST);
		race_turn();
		pthread_barrier_wait(&race->barrier);
	}
}

void call_race_begin(struct call_race *race, int threads)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);

	race->threads = threads;
	race->meeting = processors < threads ? processors : threads;
	pthread_barrier_init(&race->barrier, NULL, threads + 1);
	for (int i = 0; i < threads; i++) {
		struct racer *self = malloc(sizeof(*self));

		if (!self)
			fail("no memory for the test itself");
		*self = (struct racer){ race, i };
		if (pthread_create(&race->thread[i], NULL, racer_main, self))
			fail("pthread_create");
	}
	race_has_threads(threads);
}

/* Runs one round, when everything is prepared */
void call_race_run(struct call_race *race)
{
	race->begun = 0;
	race->done = 0;
	pthread_barrier_wait(&race->barrier);
	pthread_barrier_wait(&race->barrier);
}

/* Runs another round, for the caller to judge; false when the race is over */
bool call_race_round(struct call_race *race)
{
	if (!race_goes_on()) {
		call_race_end(race);
		return false;
	}
	score->rounds++;
	call_race_run(race);
	return true;
}

/* Records the winner of the round that was just run */
void call_race_judge(struct call_race *race, bool second)
{
	sides_record(&race->sides, second);
}

void call_race_end(struct call_race *race)
{
	race->over = true;
	pthread_barrier_wait(&race->barrier);
	for (int i = 0; i < race->threads; i++)
		pthread_join(race->thread[i], NULL);
	pthread_barrier_destroy(&race->barrier);
	sides_report(&race->sides);
}

/* Who was done before all others */
int call_race_first(const struct call_race *race)
{
	int first = 0;

	while (race->place[first])
		first++;
	return first;
}

/* How many of the threads first, first + step ... had this answer */
int call_race_count(const struct call_race *race, int first, int step,
		    int answer)
{
	int count = 0;

	for (int i = first; i < race->threads; i += step)
		count += race->answer[i] == answer;
	return count;
}
