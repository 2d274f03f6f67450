// SPDX-License-Identifier: GPL-2.0-only
/*
 * What races are made of: how long one goes on and how far it has got, crowds of
 * threads that run freely, and contests, in which each thread makes one call and
 * the answers are judged before the next round. A contest has two sides, and is
 * kept a close one.
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

/* In a contest, one round of so many is worth a look by the slow device */
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

/* What each thread of a race does when it has done its part once */
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

/* A test may have one crowd after the other: the largest counts */
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
 * Balances
 */

/* The same side has to win several times in a row for larger steps */
#define LEAST_STEP	16
#define MOST_STEP	65536
/* Tens of milliseconds, for kernels that take so long */
#define MOST_HANDICAP	16000000

void balance_wait(const struct balance *balance, bool second)
{
	long turns = second ? -balance->handicap : balance->handicap;

	/* Not one that the compiler does without */
	for (long i = 0; i < turns; i++)
		__asm__ volatile("");
}

/* One side has won, and is now that much worse off */
void balance_tip(struct balance *balance, bool second)
{
	long handicap = balance->handicap;

	balance->wins[second]++;
	if (second != balance->last || !balance->step)
		balance->step = LEAST_STEP;
	else if (balance->step < MOST_STEP)
		balance->step *= 2;
	balance->last = second;
	handicap += second ? -balance->step : balance->step;
	if (labs(handicap) <= MOST_HANDICAP)
		balance->handicap = handicap;
}

void balance_end(const struct balance *balance)
{
	for (int i = 0; i < 2; i++)
		race_saw(balance->outcome[i], balance->wins[i]);
}

/*
 * Crowds
 */

struct member {
	struct crowd *crowd;
	crowd_fn *run;
	int number;
};

static void *member_main(void *arg)
{
	struct member member = *(struct member *)arg;

	free(arg);
	while (!member.crowd->stop) {
		member.run(member.crowd, member.number);
		race_turn();
	}
	return NULL;
}

void crowd_start(struct crowd *crowd, int threads, crowd_fn *run)
{
	for (int i = 0; i < threads; i++) {
		struct member *member = malloc(sizeof(*member));
		pthread_t thread;

		if (!member || crowd->threads == MAX_THREADS)
			fail("too many threads in a test");
		*member = (struct member){ crowd, run, crowd->threads };
		if (pthread_create(&thread, NULL, member_main, member))
			fail("pthread_create");
		crowd->thread[crowd->threads++] = thread;
	}
	race_has_threads(crowd->threads);
}

void crowd_stop(struct crowd *crowd)
{
	crowd->stop = true;
	for (int i = 0; i < crowd->threads; i++)
		pthread_join(crowd->thread[i], NULL);
	crowd->threads = 0;
}

/*
 * Contests
 */

struct contestant {
	struct contest *contest;
	int number;
};

static bool is_second(const struct contest *contest, int number)
{
	return contest->by_turns ? number % 2 : number > 0;
}

/*
 * A barrier wakes one thread after the other, which takes longer than most calls
 * do. So those that are the first to have a processor wait for each other there.
 */
#define MOST_TURNS	100000

static void meet(struct contest *contest)
{
	int here = __atomic_add_fetch(&contest->begun, 1, __ATOMIC_SEQ_CST);

	for (int i = 0; here < contest->meeting && i < MOST_TURNS; i++)
		here = contest->begun;
}

static void *contestant_main(void *arg)
{
	struct contestant self = *(struct contestant *)arg;
	struct contest *contest = self.contest;

	free(arg);
	for (;;) {
		pthread_barrier_wait(&contest->barrier);
		if (contest->over)
			return NULL;
		meet(contest);
		balance_wait(&contest->balance,
			     is_second(contest, self.number));
		contest->answer[self.number] = contest->run(contest,
							    self.number);
		contest->place[self.number] =
			__atomic_fetch_add(&contest->done, 1, __ATOMIC_SEQ_CST);
		race_turn();
		pthread_barrier_wait(&contest->barrier);
	}
}

void contest_begin(struct contest *contest, int threads)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);

	contest->threads = threads;
	contest->meeting = processors < threads ? processors : threads;
	pthread_barrier_init(&contest->barrier, NULL, threads + 1);
	for (int i = 0; i < threads; i++) {
		struct contestant *self = malloc(sizeof(*self));

		if (!self)
			fail("no memory for the test itself");
		*self = (struct contestant){ contest, i };
		if (pthread_create(&contest->thread[i], NULL, contestant_main,
				   self))
			fail("pthread_create");
	}
	race_has_threads(threads);
}

/* Once, when everything is prepared */
void contest_run(struct contest *contest)
{
	contest->begun = 0;
	contest->done = 0;
	pthread_barrier_wait(&contest->barrier);
	pthread_barrier_wait(&contest->barrier);
}

/* Runs it once more, for the caller to judge; false when it is over */
bool contest_round(struct contest *contest)
{
	if (!race_goes_on()) {
		contest_end(contest);
		return false;
	}
	score->rounds++;
	contest_run(contest);
	return true;
}

/* Of the round that was just run: whether it was the second side that won */
void contest_judge(struct contest *contest, bool second)
{
	balance_tip(&contest->balance, second);
}

void contest_end(struct contest *contest)
{
	contest->over = true;
	pthread_barrier_wait(&contest->barrier);
	for (int i = 0; i < contest->threads; i++)
		pthread_join(contest->thread[i], NULL);
	pthread_barrier_destroy(&contest->barrier);
	balance_end(&contest->balance);
}

/* Who was done before all others */
int contest_first(const struct contest *contest)
{
	int first = 0;

	while (contest->place[first])
		first++;
	return first;
}

/* How many of the threads first, first + step ... had this answer */
int contest_count(const struct contest *contest, int first, int step,
		  int answer)
{
	int count = 0;

	for (int i = first; i < contest->threads; i += step)
		count += contest->answer[i] == answer;
	return count;
}
