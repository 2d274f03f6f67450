// SPDX-License-Identifier: GPL-2.0-only
/*
 * Finds the processes that have files of VFIO open.
 *
 * Calls: source, text.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tce2ctl.h"

#define CONTAINER	"/dev/vfio/vfio"
#define GROUP		"/dev/vfio/"

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

/* Returns 0, or a negative errno. */
static int read_process(struct process *process, const struct source *source)
{
	char path[64];

	snprintf(path, sizeof(path), "proc/%d/fd", process->pid);
	return source_links(source, path, count_file, process);
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
	struct process process;
	struct names names;
	uint64_t pid;
	size_t i;
	int error;

	*processes = (struct processes){ 0 };
	processes->error = source_list(source, "proc", &names);
	for (i = 0; i < names.count; i++) {
		if (!isdigit((unsigned char)names.name[i][0]) ||
		    !parse_number(names.name[i], &pid) || pid > INT32_MAX)
			continue;
		process = (struct process){ .pid = pid };
		error = read_process(&process, source);
		processes->hidden += error == -EACCES || error == -EPERM;
		if (!process.containers && !process.groups)
			continue;
		process.comm = process_comm(source, pid);
		processes->process = grow(processes->process, processes->count,
					  sizeof(process));
		processes->process[processes->count++] = process;
	}
	names_free(&names);
	if (processes->count)
		qsort(processes->process, processes->count, sizeof(process),
		      compare);
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
