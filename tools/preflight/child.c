// SPDX-License-Identifier: GPL-2.0-only
/*
 * A process of its own for libkmod.
 *
 * libkmod trusts the indexes that depmod writes: a damaged one makes it read
 * where nothing is, or never end, and it waits for the other end of a FIFO. What
 * it is asked is therefore asked in a child that may die of it, and the answer is
 * a text.
 *
 * Calls: nothing.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "preflight.h"

/* An honest question takes some milliseconds. */
#define CPU_SECONDS	1
/* Of which a busy machine may make many more, but not without an end. */
#define WALL_SECONDS	5

static void __attribute__((__noreturn__))
be_child(int end, void (*ask)(const void *question, char *text, size_t room),
	 const void *question, char *text, size_t room)
{
	const struct rlimit limit = { CPU_SECONDS, CPU_SECONDS };
	ssize_t length;

	setrlimit(RLIMIT_CPU, &limit);
	alarm(WALL_SECONDS);
	text[0] = '\0';
	ask(question, text, room);
	length = write(end, text, strlen(text) + 1);
	_exit(length < 1);
}

/* All that the child writes, and its end is in it */
static bool read_answer(int end, char *text, size_t room)
{
	size_t used = 0;
	ssize_t length;

	do {
		length = read(end, text + used, room - used);
		used += length > 0 ? length : 0;
	} while (length > 0 && used < room);
	return used && !text[used - 1];
}

/**
 * ask_in_child() - ask something that may not survive it
 * @ask: what to do; leaves a text of less than @room bytes
 * @question: for @ask
 * @text: gets the text
 * @room: bytes there
 *
 * Return: whether there was an answer
 */
bool ask_in_child(void (*ask)(const void *question, char *text, size_t room),
		  const void *question, char *text, size_t room)
{
	int ends[2], status;
	pid_t child;
	bool good;

	if (pipe(ends))
		return false;
	child = fork();
	if (!child)
		be_child(ends[1], ask, question, text, room);
	close(ends[1]);
	good = child > 0 && read_answer(ends[0], text, room);
	close(ends[0]);
	if (child < 0 || waitpid(child, &status, 0) != child)
		return false;
	return good && WIFEXITED(status) && !WEXITSTATUS(status);
}
