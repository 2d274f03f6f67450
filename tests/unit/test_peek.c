// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of tce2_view_peek(), which reads the userspace view without a lock while other
 * threads change it. At any point the reader must get the old or the new entry, or false,
 * which asks it to try again.
 */
#include <string.h>

#include <linux/rcupdate.h>

#include "tce2_view_format.h"
#include "unit.h"

#define L	(unsigned int)TCE2_VIEW_LEAF
#define ENTRIES (4 * L)
#define RW	TCE2_PERM_RW
#define SHIFT	12

/* Marks an expected entry in a leaf in which nothing was ever mapped */
#define NEVER (~0ULL)

static struct tce2_view view;
static u64 plain[ENTRIES], before[ENTRIES];

static void begin(bool external)
{
	tce2_view_init(&view, ENTRIES, SHIFT);
	view.has_external_readers = external;
	memset(plain, 0xff, sizeof(plain));
}

static void end(void)
{
	sim_grace_period();
	expect(tce2_view_put(&view), true);
	expect(sim.now.allocs, 0);
}

/**
 * struct step - a request in one leaf
 * @first: first entry
 * @count: number of entries, 0 for no request
 * @page: number of the first user page, 0 to clear
 * @perm: permissions
 */
struct step {
	unsigned int first, count, page, perm;
};

/* The first mapping in a leaf changes its other entries from NEVER to empty */
static void touch(u64 index)
{
	u64 leaf = index & ~(u64)(L - 1);

	for (u64 i = leaf; i < leaf + L; i++)
		plain[i] = plain[i] == NEVER ? 0 : plain[i];
}

static void forget(u64 *entry)
{
	if (*entry != NEVER)
		*entry = 0;
}

static void make(const struct step *s)
{
	struct tce2_view_run run = {
		s->first, s->count, UA + ((u64)s->page << SHIFT), s->perm,
		false,
	};

	if (!s->page) {
		tce2_view_clear(&view, s->first, s->count);
		for (u64 i = 0; i < s->count; i++)
			forget(&plain[s->first + i]);
		return;
	}
	expect(tce2_view_prepare(&view, &run) < 0, false);
	tce2_view_set(&view, &run);
	touch(s->first);
	for (u64 i = 0; i < s->count; i++)
		plain[s->first + i] = (run.ua + (i << SHIFT)) | s->perm;
}

static bool peek(u64 index, u64 *entry)
{
	bool told;

	rcu_read_lock();
	told = tce2_view_peek(&view, index, entry);
	rcu_read_unlock();
	return told;
}

static void expect_plain(void)
{
	for (u64 i = 0; i < ENTRIES; i++) {
		u64 entry = NEVER;

		expect(peek(i, &entry), plain[i] != NEVER);
		expect(entry, plain[i]);
	}
}

/*
 * Changes of a leaf from each form to each other form: the requests that make the old form,
 * and the request that changes it
 */
static const struct {
	const char *row;
	struct step first[3];
	struct step step;
} changes[] = {
	{ "the first run", { { 0 } }, { 5, 9, 5, RW } },
	{ "the first run, a full leaf", { { 0 } }, { 0, 512, 5, RW } },
	{ "empty to run", { { 5, 9, 5, RW }, { 5, 9, 0, 0 } }, { 3, 4, 7, 1 } },
	{ "run grows", { { 5, 9, 5, RW } }, { 14, 3, 14, RW } },
	{ "run is replaced", { { 5, 9, 5, RW } }, { 4, 11, 90, 1 } },
	{ "run shrinks", { { 5, 9, 5, RW } }, { 10, 9, 0, 0 } },
	{ "run to empty", { { 5, 9, 5, RW } }, { 0, 512, 0, 0 } },
	{ "run to array", { { 5, 9, 5, RW } }, { 30, 9, 5, RW } },
	{ "run to array, overlapping", { { 5, 9, 5, RW } }, { 10, 9, 5, RW } },
	{ "run to array, split", { { 5, 9, 5, RW } }, { 9, 1, 0, 0 } },
	{ "full leaf to array, split", { { 0, 512, 5, RW } }, { 9, 400, 0, 0 } },
	{ "array to run",
	  { { 0, 512, 1, RW }, { 9, 30, 0, 0 } }, { 9, 30, 10, RW } },
	{ "array to run, replacing all",
	  { { 5, 9, 5, RW }, { 9, 1, 0, 0 } }, { 0, 512, 70, 1 } },
	{ "array to empty",
	  { { 5, 9, 5, RW }, { 9, 1, 0, 0 } }, { 0, 512, 0, 0 } },
	{ "array to empty, last entry",
	  { { 5, 1, 5, RW }, { 9, 1, 5, RW }, { 5, 1, 0, 0 } },
	  { 9, 1, 0, 0 } },
	{ "array gains an entry",
	  { { 5, 9, 5, RW }, { 9, 1, 0, 0 } }, { 9, 2, 7, 1 } },
	{ "array loses entries",
	  { { 5, 9, 5, RW }, { 9, 1, 0, 0 } }, { 4, 4, 0, 0 } },
	{ "array entries are replaced",
	  { { 5, 9, 5, RW }, { 9, 1, 0, 0 } }, { 0, 12, 90, TCE2_PERM_READ } },
};

static void begin_change(size_t c)
{
	row = changes[c].row;
	begin(true);
	for (size_t i = 0; i < 3 && changes[c].first[i].count; i++)
		make(&changes[c].first[i]);
	sim_grace_period();
}

/*
 * If the reader was told an entry, it must be the old or the new entry. In a leaf in which
 * nothing was mapped before, the old entry is 0.
 */
static void expect_either(u64 index, bool told, u64 entry,
			  const u64 *old, const u64 *new)
{
	u64 was = old[index] == NEVER ? 0 : old[index];

	if (told && entry != was)
		expect(entry, new[index]);
	if (told)
		expect(new[index] == NEVER, false);
}

TEST(every_form_of_a_leaf_is_read)
{
	for (size_t c = 0; c < ARRAY_SIZE(changes); c++) {
		begin_change(c);
		expect_plain();
		make(&changes[c].step);
		expect_plain();
		sim_grace_period();
		expect_plain();
		end();
	}
}

static size_t change;

static void change_it(void)
{
	make(&changes[change].step);
	/* The grace period ends only after readers that are active now */
	sim_grace_period();
}

/* Reads an entry while the step is made at the @nth @point */
static bool peek_under_change(enum sim_point point, unsigned int nth,
			      u64 index, u64 *entry)
{
	bool told;

	memcpy(before, plain, sizeof(before));
	sim_when(point, nth, change_it);
	rcu_read_lock();
	told = tce2_view_peek(&view, index, entry);
	rcu_read_unlock();
	return told;
}

/* The reader may not reach the @nth @point: some forms need fewer steps */
static void change_under_reader(enum sim_point point, unsigned int nth,
				u64 index)
{
	u64 entry = NEVER;
	bool told;

	begin_change(change);
	told = peek_under_change(point, nth, index, &entry);
	sim_when(point, 0, NULL);
	expect_either(index, told, entry, before, plain);
	end();
}

TEST(a_change_between_two_steps_of_a_reader_tears_no_entry)
{
	static const u64 entries[] = { 0,  1,  3,  4,  5,   8,   9,  10,
				       13, 14, 16, 30, 408, 409, 511 };

	for (change = 0; change < ARRAY_SIZE(changes); change++) {
		for (size_t i = 0; i < ARRAY_SIZE(entries); i++) {
			for (unsigned int nth = 1; nth < 8; nth++)
				change_under_reader(SIM_AT_READ, nth,
						    entries[i]);
			change_under_reader(SIM_AT_READ_BARRIER, 1, entries[i]);
		}
	}
}

/* Overwrites all entries, which removes the array, and splits the run, which makes a new array */
static void make_another_array(void)
{
	static const struct step all = { 0, 512, 70, 1 }, hole = { 9, 1, 0, 0 };

	make(&all);
	make(&hole);
	sim_grace_period();
}

TEST(a_reader_notices_that_an_array_is_replaced_by_another_array)
{
	for (unsigned int nth = 1; nth < 8; nth++) {
		u64 entry = NEVER;
		bool told;

		begin(true);
		make_another_array();
		memcpy(before, plain, sizeof(before));
		rcu_read_lock();
		sim_when(SIM_AT_READ, nth, make_another_array);
		told = tce2_view_peek(&view, 7, &entry);
		sim_when(SIM_AT_READ, 0, NULL);
		rcu_read_unlock();
		expect_either(7, told, entry, before, plain);
		end();
	}
}

static void begin_change_called(const char *name)
{
	for (change = 0; strcmp(changes[change].row, name); change++)
		;
	begin_change(change);
}

/* Detects a removal of the array after the read, but ignores changes of its other entries */
TEST(a_reader_notices_that_an_array_goes_away)
{
	u64 entry = NEVER;

	begin_change_called("array to empty");
	expect(peek_under_change(SIM_AT_READ_BARRIER, 1, 7, &entry), false);
	end();
	begin_change_called("array to run");
	expect(peek_under_change(SIM_AT_READ_BARRIER, 1, 7, &entry), false);
	end();
	begin_change_called("array loses entries");
	expect(peek_under_change(SIM_AT_READ_BARRIER, 1, 13, &entry), true);
	expect(entry, plain[13]);
	end();
}

static u64 old_plain[ENTRIES], new_plain[ENTRIES];
static bool looked;

static void look(void)
{
	rcu_read_lock();
	for (u64 i = 0; i < L; i++) {
		u64 entry = NEVER;
		bool told = tce2_view_peek(&view, i, &entry);

		expect_either(i, told, entry, old_plain, new_plain);
	}
	rcu_read_unlock();
	looked = true;
}

TEST(a_reader_between_two_steps_of_a_change_sees_no_torn_entry)
{
	for (size_t c = 0; c < ARRAY_SIZE(changes); c++) {
		unsigned int nth = 0;

		begin_change(c);
		memcpy(old_plain, plain, sizeof(plain));
		make(&changes[c].step);
		memcpy(new_plain, plain, sizeof(plain));
		end();
		do {
			begin_change(c);
			looked = false;
			sim_when(SIM_AT_WRITE, ++nth, look);
			make(&changes[c].step);
			sim_when(SIM_AT_WRITE, 0, NULL);
			end();
		} while (looked);
		expect(nth > 1, true);
	}
}

/*
 * Publishing and freeing of arrays
 */

/* Stores to the array's entries are ordered before the store of the word that points to it */
TEST(an_array_is_published_after_its_entries_are_written)
{
	static const char *const made[] = {
		"run to array", "run to array, overlapping", "run to array, split",
		"full leaf to array, split",
	};

	for (size_t i = 0; i < ARRAY_SIZE(made); i++) {
		begin_change_called(made[i]);
		memcpy(old_plain, plain, sizeof(plain));
		memcpy(new_plain, plain, sizeof(plain));
		looked = false;
		sim_when(SIM_AT_PUBLISH, 1, look);
		make(&changes[change].step);
		expect(looked, true);
		end();
	}
}

/* Requests that free an array. Entry i of the array maps page i + 1, except entry 9. */
static const struct {
	const char *row;
	struct step step;
} ends_of_an_array[] = {
	{ "cleared", { 0, 512, 0, 0 } },
	{ "collapsed", { 9, 1, 10, RW } },
	{ "overwritten", { 0, 512, 3, 1 } },
};

static void make_array(void)
{
	const struct step all = { 0, 512, 1, RW }, hole = { 9, 1, 0, 0 };

	make(&all);
	make(&hole);
}

TEST(an_array_is_freed_at_once_only_without_external_readers)
{
	for (size_t i = 0; i < ARRAY_SIZE(ends_of_an_array); i++) {
		for (int external = 0; external < 2; external++) {
			u64 allocs;

			row = ends_of_an_array[i].row;
			begin(external);
			make_array();
			allocs = sim.now.allocs;
			rcu_read_lock();
			make(&ends_of_an_array[i].step);
			sim_grace_period();
			expect(sim.now.allocs, allocs - !external);
			rcu_read_unlock();
			sim_grace_period();
			expect(sim.now.allocs, allocs - 1);
			expect_plain();
			end();
		}
	}
}

static struct step random_step;

static void make_random_step(void)
{
	make(&random_step);
	sim_grace_period();
}

static void choose_step(u64 *state)
{
	u64 index = rnd(state, ENTRIES);
	u64 most = rnd(state, 4) ? 12 : L;
	u64 count = min(1 + rnd(state, most), L - index % L);

	/* Often choose a run that continues its neighbours */
	random_step = (struct step){
		index, count, rnd(state, 3) ? 1 + index : 1 + rnd(state, 5000),
		rnd(state, 4) ? RW : 1 + rnd(state, 3),
	};
	if (rnd(state, 9) < 4)
		random_step.page = 0;
}

TEST(random_changes_under_a_reader_tear_no_entry)
{
	u64 state = 5;

	begin(true);
	for (int i = 0; i < 20000; i++) {
		u64 index, entry = NEVER;
		enum sim_point point = i % 5 ? SIM_AT_READ :
					       SIM_AT_READ_BARRIER;
		bool told;

		choose_step(&state);
		index = (random_step.first & ~(L - 1)) +
			(rnd(&state, 2) ? rnd(&state, L) :
					  random_step.first % L);
		memcpy(before, plain, sizeof(before));
		sim_when(point, point == SIM_AT_READ ? 1 + rnd(&state, 4) : 1,
			 make_random_step);
		told = peek(index, &entry);
		sim_when(point, 0, NULL);
		expect_either(index, told, entry, before, plain);
		if (!(i % 200))
			expect_plain();
	}
	end();
}
