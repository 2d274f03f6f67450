// SPDX-License-Identifier: GPL-2.0-only
/*
 * Start and stop the processes of clients, count their ioctls (ioctls.c), and print their
 * logs.
 */
#define _GNU_SOURCE
#include "lib.h"
#include "scenarios.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void redirect(int to, const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0644);

	if (fd < 0 || dup2(fd, to) < 0)
		_exit(127);
}

/*
 * Start a program that writes to a log, and count its ioctls in a file. Remove the log of
 * the previous program first: otherwise a caller could read the old log.
 */
bool client_start(struct client *client, char *const argv[], const char *log,
		  const char *ioctls)
{
	unlink(log);
	fflush(stdout);
	client->status = 0;
	client->pid = fork();
	if (!client->pid) {
		setenv("LD_PRELOAD", "/lib/ioctls.so", 1);
		setenv("TCE2_IOCTLS", ioctls, 1);
		redirect(STDIN_FILENO, "/dev/null", O_RDONLY);
		redirect(STDOUT_FILENO, log, O_WRONLY | O_CREAT | O_TRUNC);
		dup2(STDOUT_FILENO, STDERR_FILENO);
		execvp(argv[0], argv);
		_exit(127);
	}
	if (client->pid < 0)
		client->pid = 0;
	return client->pid;
}

static void wait_for_end(struct client *client, int flags)
{
	pid_t pid;

	if (!client->pid)
		return;
	do
		pid = waitpid(client->pid, &client->status, flags);
	while (pid < 0 && errno == EINTR);
	if (pid)
		client->pid = 0;
}

bool client_runs(struct client *client)
{
	wait_for_end(client, WNOHANG);
	return client->pid;
}

void client_wait(struct client *client)
{
	wait_for_end(client, 0);
}

void client_kill(struct client *client)
{
	if (client->pid)
		kill(client->pid, SIGKILL);
	client_wait(client);
}

/* Return a number of /proc/PID/status, such as VmRSS, or -1 if the process does not exist */
long long client_kilobytes(const struct client *client, const char *name)
{
	char path[32], line[128];
	long long kilobytes = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", client->pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, name, strlen(name)) && line[strlen(name)] == ':')
			sscanf(line + strlen(name) + 1, "%lld kB", &kilobytes);
	if (f)
		fclose(f);
	return kilobytes;
}

/* Return the last lines of a text */
char *last_lines(char *text, size_t lines)
{
	char *at = text + strlen(text);

	while (at > text && (at[-1] != '\n' || !at[0] || --lines))
		at--;
	return at;
}

/*
 * Print a line of a log. QEMU's monitor redraws the line after each input character, so
 * print only the text after the last cursor movement.
 */
static void print_line(const char *name, const char *line)
{
	static const char left[] = "\033[D", clear[] = "\033[K";
	const char *at;

	while ((at = strstr(line, left)))
		line = at + strlen(left);
	printf("# %s: ", name);
	while (*line) {
		if (!strncmp(line, clear, strlen(clear)))
			line += strlen(clear);
		else if (*line++ != '\r')
			putchar(line[-1]);
	}
	putchar('\n');
}

/* Print the last lines of a log, except empty lines */
void print_tail(const char *path, const char *name, size_t lines)
{
	char *text, *rest, *line;

	if (!read_whole(path, &text))
		return;
	rest = last_lines(text, lines);
	while ((line = strsep(&rest, "\n")))
		if (*line)
			print_line(name, line);
	free(text);
}
