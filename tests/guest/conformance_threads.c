// SPDX-License-Identifier: GPL-2.0-only
/*
 * Functions for races. They control the duration and count the progress. The threads of
 * struct workers repeat their calls without a barrier. In each round of a struct call_race
 * each thread makes one call, and the test checks the answers before the next round. A
 * call_race has two sides. The side that has won a round is delayed in the next round.
 */
#define _GNU_SOURCE
#include "conformance.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Default duration of a race, and the minimum number of rounds or turns */
#define RACE_MS		1000
#define LEAST		10

/* After this time and number of rounds, a race must have shown each possible outcome */
#define LASTING_S	5
#define LASTING_ROUNDS	200

/* Rounds from one check by DMA to the next (now_and_then()), because DMA is slow */
#define LOOK		256

struct score *score;
unsigned int race_seconds;

/* Return true until the race is over. A slow machine continues to LEAST rounds or turns. */
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

/* Begin a round in which the main thread takes part */
bool race_round(void)
{
	score->main = true;
	if (!race_goes_on())
		return false;
	score->rounds++;
	return true;
}

/* Wait while other threads race */
void race_wait(void)
{
	while (race_goes_on())
		usleep(10000);
}

/* Return true once in LOOK rounds, for checks that are too slow for each round */
bool now_and_then(void)
{
	return score->rounds % LOOK == 2;
}

/* Check the ledger in every eighth round; this suffices, because a leak is permanent */
void expect_in_order(const char *when, struct ledger before,
		     int64_t bytes)
{
	if (score->rounds % 8 == 1)
		expect_ledger(when, before, bytes);
}

/* Return a number of threads greater than that of processors; one more thread may be added */
int race_threads(void)
{
	long threads = sysconf(_SC_NPROCESSORS_ONLN) + 2;

	return threads < MAX_THREADS ? threads : MAX_THREADS - 1;
}

/* Count one turn of a thread */
void race_turn(void)
{
	__atomic_fetch_add(&score->turns, 1, __ATOMIC_RELAXED);
}

/* Count an event that must happen during the race, in any thread or child */
void race_served(bool was)
{
	if (was)
		__atomic_fetch_add(&score->served, 1, __ATOMIC_RELAXED);
}

/* Keep the largest number of threads: a test may start workers more than once */
void race_has_threads(unsigned int threads)
{
	if (score->threads < threads)
		score->threads = threads;
}

/*
 * Return true if each possible outcome must have occurred. Some outcomes can't occur on one
 * processor, or while --fail-nth repeats calls.
 */
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
		fail("never seen in %llu rounds: %s",
		     (unsigned long long)(score->rounds ?: score->turns), what);
}

/*
 * Delay of the two sides of a race
 */

/* The step of the delay doubles when the same side wins again, from LEAST_STEP to MOST_STEP */
#define LEAST_STEP	16
#define MOST_STEP	65536
/* Largest delay: tens of milliseconds, because calls take that long in slow kernels */
#define MOST_DELAY	16000000

void sides_delay(const struct race_sides *sides, bool second)
{
	long turns = second ? -sides->delay : sides->delay;

	/* The asm keeps the compiler from removing the loop */
	for (long i = 0; i < turns; i++)
		__asm__ volatile("");
}

/* Count a win, and delay the winner more, or the loser less */
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
 * Threads that repeat an operation (struct workers)
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
			fail("cannot start more threads in the test");
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
 * Threads that make one call each in a round (struct call_race)
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
 * threads spin here until as many as can run at once have arrived.
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
			fail("cannot allocate memory for the test itself");
		*self = (struct racer){ race, i };
		if (pthread_create(&race->thread[i], NULL, racer_main, self))
			fail("pthread_create");
	}
	race_has_threads(threads);
}

/* Let each thread make its call once, and return when all calls have returned */
void call_race_run(struct call_race *race)
{
	race->begun = 0;
	race->done = 0;
	pthread_barrier_wait(&race->barrier);
	pthread_barrier_wait(&race->barrier);
}

/* Run another round, whose winner the caller records; return false when the race is over */
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

/* Record the winner of the last round */
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

/* Return the number of the thread whose call returned first */
int call_race_first(const struct call_race *race)
{
	int first = 0;

	while (race->place[first])
		first++;
	return first;
}

/* Count the threads first, first + step ... that had this answer */
int call_race_count(const struct call_race *race, int first, int step,
		    int answer)
{
	int count = 0;

	for (int i = first; i < race->threads; i += step)
		count += race->answer[i] == answer;
	return count;
}
