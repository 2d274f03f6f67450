// SPDX-License-Identifier: GPL-2.0-only
/*
 * Finds the processes that have files of VFIO open.
 *
 * Calls: source, text.
 */
#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tce2ctl.h"

#define CONTAINER	"/dev/vfio/vfio"
#define GROUP		"/dev/vfio/"
#define VFIO		"sys/module/vfio"
/* In addition to the first thread */
#define MOST_THREADS		7
#define PROCESSES_PER_THREAD	16

/**
 * process_comm() - read the name of a process
 * @source: the source
 * @pid: the process
 *
 * Return: the name, which the caller frees; "?" if it cannot be read
 */
char *process_comm(const struct source *source, pid_t pid)
{
	char path[64], *comm;
	size_t size;

	snprintf(path, sizeof(path), "proc/%d/comm", pid);
	if (source_read(source, path, &comm, &size))
		return copy_text("?");
	/* A name may contain newlines; the kernel adds the last one. */
	if (size && comm[size - 1] == '\n')
		comm[size - 1] = '\0';
	return comm;
}

static void count_file(void *data, const char *name, const char *to)
{
	struct process *process = data;

	(void)name;
	if (!strcmp(to, CONTAINER))
		process->containers++;
	else if (!strncmp(to, GROUP, strlen(GROUP)) &&
		 isdigit((unsigned char)to[strlen(GROUP)]))
		process->groups++;
}

/* Reads the files of a process; sets @error to 0 or a negative errno. */
static void read_process(struct process *process, const struct source *source)
{
	char path[64];

	snprintf(path, sizeof(path), "proc/%d/fd", process->pid);
	process->error = source_links(source, path, count_file, process);
}

/*
 * The kernel takes a few microseconds for each open file. A host has tens of thousands of
 * them, so several threads read the processes.
 */
struct scan {
	const struct source *source;
	struct process *process;
	size_t count;
	size_t next;
};

static void *scan_processes(void *data)
{
	struct scan *scan = data;
	size_t i;

	while ((i = __atomic_fetch_add(&scan->next, 1, __ATOMIC_RELAXED)) <
	       scan->count)
		read_process(&scan->process[i], scan->source);
	return NULL;
}

static void scan_in_threads(struct scan *scan)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	pthread_t thread[MOST_THREADS];
	size_t threads = 0;

	while (threads < MOST_THREADS && threads + 1 < processors &&
	       threads < scan->count / PROCESSES_PER_THREAD &&
	       !pthread_create(&thread[threads], NULL, scan_processes, scan))
		threads++;
	scan_processes(scan);
	while (threads)
		pthread_join(thread[--threads], NULL);
}

/*
 * True if no file of VFIO is open. Each module in "holders" has one reference to the module
 * vfio; any other reference is an open file.
 */
static bool vfio_is_unused(const struct source *source)
{
	char *line = source_line(source, VFIO "/refcnt");
	struct names holders;
	uint64_t references;
	bool is_unused;

	is_unused = line && parse_number(line, &references) &&
		    !source_list(source, VFIO "/holders", &holders);
	if (is_unused) {
		is_unused = references <= holders.count;
		names_free(&holders);
	}
	free(line);
	return is_unused;
}

/* Lists all processes, without their files. */
static int list_processes(struct scan *scan)
{
	struct names names;
	uint64_t pid;
	size_t i;
	int error = source_list(scan->source, "proc", &names);

	for (i = 0; i < names.count; i++) {
		if (!isdigit((unsigned char)names.name[i][0]) ||
		    !parse_number(names.name[i], &pid) || pid > INT32_MAX)
			continue;
		scan->process = grow(scan->process, scan->count,
				     sizeof(*scan->process));
		scan->process[scan->count++] = (struct process){ .pid = pid };
	}
	names_free(&names);
	return error;
}

static int compare(const void *a, const void *b)
{
	const struct process *first = a, *second = b;

	return (first->pid > second->pid) - (first->pid < second->pid);
}

/**
 * processes_read() - find the processes that have files of VFIO open
 * @processes: receives the processes; the caller frees them with processes_free()
 * @source: the source
 */
void processes_read(struct processes *processes, const struct source *source)
{
	struct scan scan = { .source = source };
	size_t i;

	*processes = (struct processes){ 0 };
	if (vfio_is_unused(source))
		return;
	processes->error = list_processes(&scan);
	scan_in_threads(&scan);
	for (i = 0; i < scan.count; i++) {
		struct process *process = &scan.process[i];

		processes->hidden += process->error == -EACCES ||
				     process->error == -EPERM;
		if (!process->containers && !process->groups)
			continue;
		process->comm = process_comm(source, process->pid);
		processes->process = grow(processes->process, processes->count,
					  sizeof(*process));
		processes->process[processes->count++] = *process;
	}
	free(scan.process);
	if (processes->count)
		qsort(processes->process, processes->count,
		      sizeof(*processes->process), compare);
}

/**
 * processes_free() - free the memory of processes
 * @processes: the processes
 */
void processes_free(struct processes *processes)
{
	while (processes->count)
		free(processes->process[--processes->count].comm);
	free(processes->process);
}
