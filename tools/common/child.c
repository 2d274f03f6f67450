// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs libkmod in a child process.
 *
 * libkmod trusts the indexes that depmod writes. A damaged index makes libkmod
 * read out of bounds or loop without end, and libkmod blocks on a FIFO. So only a
 * child process with a time limit calls libkmod. The child returns its answer as
 * text through a pipe.
 *
 * Calls: nothing.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common.h"

/* With valid indexes the child needs some milliseconds of CPU time. */
#define CPU_SECONDS	1
/* Time limit of a child that blocks, long enough for a busy machine. */
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

/* Returns false if the answer is incomplete, that is, not NUL-terminated. */
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
 * ask_in_child() - call a function that may crash, in a child process
 * @ask: function to call; stores a NUL-terminated answer of at most @room bytes
 * @question: argument of @ask
 * @text: receives the answer
 * @room: size of @text in bytes
 *
 * Return: true if the child exited normally with a complete answer
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
