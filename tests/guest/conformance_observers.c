// SPDX-License-Identifier: GPL-2.0-only
/*
 * Observers of a race: a process that reads all files in debugfs, and a process that switches
 * the events of the tracepoints. Both repeat this beside the race, as an administrator could.
 * A race must have the same result with observers, only later.
 */
#define _GNU_SOURCE
#include "conformance.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEBUGFS	"/sys/kernel/debug/vfio_spapr_tce2"
#define TRACEFS	"/sys/kernel/tracing"
#define EVENTS	TRACEFS "/events/vfio_spapr_tce2"

/* Time between two rounds, in which no file is open, for cases that count open files */
#define PAUSE_US	2000

static const char *const files[] = {
	DEBUGFS "/version", DEBUGFS "/containers", DEBUGFS "/groups", DEBUGFS "/windows",
	DEBUGFS "/regions", DEBUGFS "/mappings", DEBUGFS "/refusals",
};

/* With single events on, the others are off */
static const char *const switches[] = {
	EVENTS "/enable", EVENTS "/tce2_map/enable", EVENTS "/tce2_refusal/enable",
	EVENTS "/tce2_wait/enable",
};

/* Rounds of the two observers, in memory that they share with the runner */
static struct {
	unsigned long reads;
	unsigned long turns;
	unsigned long errors;
} *rounds;

static pid_t observers[2];

/* Read a file to its end, with reads of different sizes in different rounds */
static void read_all(const char *path)
{
	static char text[65536];
	size_t size = 200 << rounds->reads % 9;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got;

	if (fd < 0) {
		rounds->errors++;
		return;
	}
	while ((got = read(fd, text, size)) > 0)
		;
	rounds->errors += got < 0;
	close(fd);
}

static void read_files(void)
{
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
		read_all(files[i]);
	rounds->reads++;
}

static void switch_events(void)
{
	const char *path = switches[rounds->turns % (sizeof(switches) / sizeof(*switches))];

	rounds->errors += !write_number(path, 1);
	usleep(PAUSE_US);
	rounds->errors += !write_number(path, 0);
	rounds->turns++;
}

static pid_t start_observer(void (*observe)(void))
{
	pid_t pid = fork();

	if (pid)
		return pid;
	/* The terminal's signals are for the runner, which ends the observers */
	setpgid(0, 0);
	for (;;) {
		observe();
		usleep(PAUSE_US);
	}
}

/* Start the observers, if the kernel has the files */
void observers_start(void)
{
	if (!rounds)
		rounds = shared_memory(sizeof(*rounds));
	memset(rounds, 0, sizeof(*rounds));
	if (!access(files[0], R_OK))
		observers[0] = start_observer(read_files);
	if (access(TRACEFS "/trace", F_OK))
		mount("tracefs", TRACEFS, "tracefs", 0, NULL);
	if (!access(switches[0], W_OK))
		observers[1] = start_observer(switch_events);
}

/* End the observers; return false if a file could not be read or written */
bool observers_stop(void)
{
	for (int i = 0; i < 2; i++) {
		if (observers[i] <= 0)
			continue;
		kill(observers[i], SIGKILL);
		while (waitpid(observers[i], NULL, 0) < 0)
			;
		if (i)
			write_number(switches[0], 0);
		observers[i] = 0;
	}
	dprintf(STDOUT_FILENO, "# observers: debugfs was read %lu times, events were switched %lu times\n",
		rounds->reads, rounds->turns);
	if (rounds->errors)
		dprintf(STDOUT_FILENO, "# observers: %lu errors\n", rounds->errors);
	return !rounds->errors;
}
