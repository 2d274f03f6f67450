// SPDX-License-Identifier: GPL-2.0-only
/*
 * tce2-job_reload [SECONDS]: load and unload backends while containers are opened. Prints
 * TAP. Runs one race after the other, each for SECONDS (default: 5) and until every
 * expected backend has handled a container. The races reload this module, reload
 * the in-tree driver, and toggle this module's parameter "enabled". Meanwhile clients
 * open containers (job_reload_client.c).
 */
#include "job_reload.h"
#include "lib.h"
#include "machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SWITCH		"/sys/module/" OUR_MODULE "/parameters/enabled"
#define LEAST_ROUNDS	5
#define MOST_SECONDS	86400
#define SETTLE_MS	20000	/* the in-tree driver unpins asynchronously */

static unsigned int seconds = 5;
static int64_t pins_before;
static struct {
	unsigned int races;
	uint64_t ms;
	unsigned int rounds;
} total;

/**
 * struct race - an operation that is repeated while clients open containers
 * @name: name in the report
 * @round: function that runs the operation once
 * @wanted: bit mask (enum server) of the backends that must each handle a container
 */
struct race {
	const char *name;
	bool (*round)(void);
	unsigned int wanted;
};

/* Retry while an open container keeps the module from being unloaded */
static bool unload_soon(const char *module)
{
	while (!unload_module(module)) {
		if (!module_is_loaded(module))
			return false;
		usleep(1000);
	}
	return true;
}

/* Give the clients time to open containers with the loaded backend */
static bool leave_it_loaded(void)
{
	usleep(100000 + rand() % 300000);
	return true;
}

static bool round_of_this_module(void)
{
	return unload_soon(OUR_MODULE) && load_ours() && leave_it_loaded();
}

/* This module must handle all containers during these rounds */
static bool round_of_the_in_tree_backend(void)
{
	return unload_soon(IN_TREE_MODULE) && load_module(IN_TREE_MODULE) &&
	       leave_it_loaded();
}

static bool switch_to(bool on)
{
	return write_text(SWITCH, on ? "1" : "0");
}

static bool round_of_the_switch(void)
{
	if (!switch_to(false))
		return false;
	usleep(20000);
	if (!switch_to(true))
		return false;
	usleep(20000);
	return true;
}

/* Run rounds until the time is over and each wanted backend has handled a container */
static bool run_race(const struct race *race)
{
	uint64_t begin = now_ms(), ms;
	unsigned int rounds = 0;
	bool ok = clients_start();

	while (ok && (now_ms() - begin < seconds * 1000ULL || rounds < LEAST_ROUNDS ||
		      (clients_seen() & race->wanted) != race->wanted)) {
		ok = !clients_failed() && race->round();
		rounds += ok;
	}
	ms = now_ms() - begin;
	ok = clients_stop() && ok;
	printf("# race: %s: %llu seconds, %u threads, %u rounds\n", race->name,
	       (unsigned long long)ms / 1000, CLIENT_THREADS + 1, rounds);
	total.races++;
	total.ms += ms;
	total.rounds += rounds;
	return ok;
}

/* True if no closed container kept a reference to a backend */
static bool are_unused(void)
{
	return !module_refs(OUR_MODULE) && !module_refs(IN_TREE_MODULE);
}

static bool are_all_unpinned(void)
{
	uint64_t deadline = now_ms() + SETTLE_MS;

	while (pins() != pins_before) {
		if (now_ms() > deadline)
			return false;
		usleep(100000);
	}
	return true;
}

static bool both_served(void)
{
	return !(~clients_seen() & (1 << OURS | 1 << IN_TREE));
}

static bool only_ours_served(void)
{
	return (clients_seen() & (1 << OURS | 1 << NOBODY)) == 1 << OURS;
}

static void tap_race_of_this_module(void)
{
	static const struct race race = {
		"rmmod_and_open", round_of_this_module, 1 << OURS | 1 << IN_TREE,
	};

	tap("this module can be reloaded while containers are opened", run_race(&race));
	tap("both backends handled containers while this module was reloaded", both_served());
	tap("neither backend is in use after this module was reloaded", are_unused());
	tap("every page is unpinned after this module was reloaded", are_all_unpinned());
	tap("this module handles a container after it was reloaded", server_of_next() == OURS);
}

static void tap_race_of_the_in_tree_backend(void)
{
	static const struct race race = {
		"rmmod_in_tree_and_open", round_of_the_in_tree_backend, 1 << OURS,
	};

	tap("the in-tree driver can be reloaded while containers are opened", run_race(&race));
	tap("this module handled every container during these reloads", only_ours_served());
	tap("neither backend is in use after the in-tree driver was reloaded", are_unused());
	tap("every page is unpinned after the in-tree driver was reloaded", are_all_unpinned());
	tap("this module handles a container after the in-tree driver was reloaded",
	    server_of_next() == OURS);
}

static void tap_race_of_the_switch(void)
{
	static const struct race race = {
		"enabled_and_open", round_of_the_switch, 1 << OURS | 1 << IN_TREE,
	};

	tap("this module can be disabled and enabled while containers are opened", run_race(&race));
	tap("both backends handled containers while enabled was toggled", both_served());
	tap("neither backend is in use after enabled was toggled", are_unused());
	tap("every page is unpinned after enabled was toggled", are_all_unpinned());
	tap("this module handles a container after enabled was toggled", server_of_next() == OURS);
	tap("with enabled=0 the next container falls through to the in-tree driver",
	    switch_to(false) && server_of_next() == IN_TREE);
	tap("with enabled=1 this module handles the next container",
	    switch_to(true) && server_of_next() == OURS);
}

static bool take_seconds(int argc, char **argv)
{
	uint64_t number = seconds;

	if (argc > 2 || (argc == 2 && !number_of(argv[1], &number)))
		return false;
	seconds = number;
	return number && number <= MOST_SECONDS;
}

int main(int argc, char **argv)
{
	if (!take_seconds(argc, argv)) {
		fputs("usage: tce2-job_reload [SECONDS]\n", stderr);
		return 2;
	}
	tap_begin();
	if (!load_backends())
		return 1;
	tap_bind_edus();
	pins_before = pins();
	tap_race_of_this_module();
	tap_race_of_the_in_tree_backend();
	tap_race_of_the_switch();
	tap_unload_without_leaks();
	tap_no_complaints();
	printf("# races: %u tests, %.1f minutes, %u rounds\n", total.races,
	       total.ms / 60000.0, total.rounds);
	return tap_end();
}
