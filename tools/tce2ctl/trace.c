// SPDX-License-Identifier: GPL-2.0-only
/*
 * Command "trace": the module's tracepoints as lines.
 *
 * The kernel formats each event as text, so that no other library is needed. A
 * private instance keeps the settings and buffers of other users of tracefs unchanged. For a
 * saved tree, the command prints the saved file "trace".
 *
 * Calls: source, json, text.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tce2ctl.h"

#define TRACEFS		"sys/kernel/tracing"
#define EVENTS		"events/" MODULE "/enable"
/* "%16s-%-7d [%03d] ...": trace_print_context(), kernel/trace/trace_output.c */
#define COMM_WIDTH	16

/* Set by a signal handler */
static int is_stopped;

static void stop(int signal)
{
	(void)signal;
	__atomic_store_n(&is_stopped, 1, __ATOMIC_RELAXED);
}

/* Parts of a line; NULL if the line has another format */
struct event {
	char *comm;
	char *pid;
	char *time;
	char *name;
	char *text;
};

static char *skip_blanks(char *text)
{
	return text + strspn(text, " ");
}

/* Splits "COMM-PID [CPU] FLAGS TIME: NAME: TEXT". Returns false for another line. */
static bool split_line(char *line, struct event *event)
{
	char *at, *bracket;

	if (strlen(line) <= COMM_WIDTH || line[COMM_WIDTH] != '-')
		return false;
	bracket = strstr(line + COMM_WIDTH, " [");
	at = bracket ? strchr(bracket, ']') : NULL;
	event->time = at ? strpbrk(at + 1, "0123456789") : NULL;
	/* The flags may contain digits; the time follows the last blank before ": ". */
	at = event->time ? strstr(event->time, ": ") : NULL;
	if (!at)
		return false;
	*at = '\0';
	event->name = at + 2;
	at = strrchr(event->time, ' ');
	event->time = at ? at + 1 : event->time;
	at = strstr(event->name, ": ");
	if (!at)
		return false;
	*at = '\0';
	event->text = at + 2;
	*bracket = '\0';
	line[COMM_WIDTH] = '\0';
	event->comm = skip_blanks(line);
	event->pid = skip_blanks(line + COMM_WIDTH + 1);
	event->pid[strcspn(event->pid, " ")] = '\0';
	return true;
}

static void print_json(const char *line)
{
	char *copy = copy_text(line);
	struct event event = { 0 };
	struct json_object *object;

	if (!split_line(copy, &event))
		event = (struct event){ .text = copy };
	object = json_begin("trace");
	json_add(object, "error", NULL);
	json_add(object, "comm", json_string_new(event.comm));
	json_add(object, "pid", json_string_new(event.pid));
	json_add(object, "time", json_string_new(event.time));
	json_add(object, "event", json_string_new(event.name));
	json_add(object, "text", json_string_new(event.text));
	json_end_line(object);
	free(copy);
}

/* True if a line is of the container that the user chose */
static bool is_chosen_line(const struct request *request, const char *line)
{
	const char *at = line;
	char want[48];
	size_t length;

	if (request->container < 0)
		return true;
	length = snprintf(want, sizeof(want), "container=%ld",
			  request->container);
	while ((at = strstr(at, want))) {
		at += length;
		if (!strspn(at, "0123456789"))
			return true;
	}
	return false;
}

/* Returns the number of lines printed: 0 or 1. */
static int print_line(const struct request *request, const char *line)
{
	if (!*line || *line == '#' || !is_chosen_line(request, line))
		return 0;
	if (request->json) {
		print_json(line);
	} else {
		print_clean(line);
		putchar('\n');
	}
	return 1;
}

static int print_saved(const struct request *request)
{
	char *text, *rest, *line;
	struct error err;
	long shown = 0;
	size_t size;
	int error = source_read(&request->source, TRACEFS "/trace", &text, &size);

	if (error) {
		fail(&err, "/" TRACEFS "/trace: %s", strerror(-error));
		return report_unreadable(request, "trace", &err);
	}
	rest = text;
	while ((line = strsep(&rest, "\n")) && (!request->count ||
						shown < request->count))
		shown += print_line(request, line);
	free(text);
	return EXIT_OK;
}

static int write_text(const char *directory, const char *name, const char *text)
{
	char path[PATH_SIZE];
	int fd, ret;

	snprintf(path, sizeof(path), "%.1000s/%.1000s", directory, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ret = write(fd, text, strlen(text)) < 0 ? -errno : 0;
	close(fd);
	return ret;
}

/* Prints lines until the user stops the program. */
static void follow(const struct request *request, FILE *pipe)
{
	char *line = NULL;
	size_t room = 0;
	long shown = 0;

	while (!__atomic_load_n(&is_stopped, __ATOMIC_RELAXED) &&
	       getline(&line, &room, pipe) > 0) {
		line[strcspn(line, "\n")] = '\0';
		shown += print_line(request, line);
		if (fflush(stdout) || (request->count && shown >= request->count))
			break;
	}
	free(line);
}

static int follow_instance(const struct request *request, const char *instance,
			   struct error *err)
{
	char path[PATH_SIZE];
	FILE *pipe;
	int error;

	error = write_text(instance, EVENTS, "1");
	if (error == -ENOENT)
		return fail(err, "the kernel has no tracepoints of " MODULE ": load the module, of version %s or later",
			    TCE2_VERSION);
	if (error)
		return fail(err, "%.1000s/" EVENTS ": %s", instance,
			    strerror(-error));
	snprintf(path, sizeof(path), "%.1000s/trace_pipe", instance);
	pipe = fopen(path, "re");
	if (!pipe)
		return fail(err, "%.1000s: %s", path, strerror(errno));
	follow(request, pipe);
	fclose(pipe);
	write_text(instance, EVENTS, "0");
	return 0;
}

/* A signal must interrupt the read of trace_pipe, so that the instance is removed. */
static void catch_signals(void)
{
	const struct sigaction action = { .sa_handler = stop };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
}

/**
 * run_trace() - print the events of the module
 * @request: the command line
 *
 * Return: the exit status
 */
int run_trace(const struct request *request)
{
	char instance[64];
	struct error err;
	int ret;

	if (!request->source.is_live)
		return print_saved(request);
	catch_signals();
	snprintf(instance, sizeof(instance), "/" TRACEFS "/instances/tce2ctl-%d",
		 getpid());
	if (mkdir(instance, 0700)) {
		if (errno == EACCES || errno == EPERM)
			fail(&err, "/" TRACEFS " cannot be used: %s", geteuid() ?
			     "run tce2ctl as root" :
			     "root has no permission; is this a container, or is the kernel locked down?");
		else
			fail(&err, "/" TRACEFS ": %s; is tracefs mounted?",
			     strerror(errno));
		return report_unreadable(request, "trace", &err);
	}
	ret = follow_instance(request, instance, &err);
	rmdir(instance);
	return ret ? report_unreadable(request, "trace", &err) : EXIT_OK;
}
