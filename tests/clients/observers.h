/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Interfaces between the source files of tce2-observers: the clients whose requests are
 * observed, and the programs that observe them.
 */
#ifndef CLIENTS_OBSERVERS_H
#define CLIENTS_OBSERVERS_H

#include "lib.h"
#include "machine.h"

#include <sys/types.h>

/* File in which the client of observers_client.c writes a text for each event */
#define EXPECTED	"/tmp/expected"

/* The window that the holder fills: 2 GiB with pages of 4 KiB */
#define HOLDER_MEMORY	MIB(32)
#define HOLDER_MAPS	60
#define HOLDER_HOLE	MIB(1)
#define HOLDER_LIMIT	MIB(64)

/*
 * Clients (observers_client.c)
 */

int client_main(void);
int holder_main(const char *ready);
int busy_main(void);
pid_t holder_start(void);
pid_t guest_start(const char *log, uint64_t memlock);
bool guest_has_container(pid_t pid);
bool has_ended(pid_t pid, int *status);
void end(pid_t pid);

/*
 * Programs of administrators (observers_programs.c)
 */

#define MOST_WORDS	8

/**
 * struct look - a command, and the result that it must have
 * @claim: the true sentence that the command shows
 * @command: the command, for a shell
 * @status: exit status
 * @words: texts that the output must have
 */
struct look {
	const char *claim;
	const char *command;
	int status;
	const char *words[MOST_WORDS];
};

char *run(const char *command, int *status);
bool look(const struct look *look);
void look_at_all(const struct look *looks, size_t count);
void tap_events(const char *claim, const char *command);
void print_report(const char *name);

#endif /* CLIENTS_OBSERVERS_H */
