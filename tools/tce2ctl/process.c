// SPDX-License-Identifier: GPL-2.0-only
/*
 * Finds the processes that have files of VFIO open.
 *
 * The kernel takes a few microseconds for each open file of a process, and a host has tens
 * of thousands of them. So the processes that probably have files of VFIO open are read
 * first. No more processes are read once the files found explain the use count of the
 * module vfio. Other processes with few open files come before processes with many.
 *
 * Calls: source, records, text.
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
#define DEVICE		"anon_inode:[vfio-device]"
#define VFIO		"sys/module/vfio"
/*
 * Number by which an open file raises the use count of the module vfio. For a group the kernel
 * counts the file and the group's character device (chrdev_open()).
 */
#define CONTAINER_USES	1
#define GROUP_USES	2
#define DEVICE_USES	1
#define USES_UNKNOWN	UINT64_MAX
#define GROUP_NUMBERS	65536
/* In addition to the first thread */
#define MOST_THREADS		7
#define PROCESSES_PER_THREAD	16

/*
 * struct scan - search for processes
 * @source: the source
 * @containers: containers of the module, or NULL
 * @process: all processes
 * @count: number of processes
 * @next: index of the next process for a thread
 * @uses: number of uses to find; USES_UNKNOWN to read all chosen processes
 * @found: number of uses that were found
 * @is_chosen: chooses the processes to read
 * @seen: bit map of the groups that were found
 * @is_shared: several descriptors belong to one file, or may do so
 */
struct scan {
	const struct source *source;
	const struct records *containers;
	struct process *process;
	size_t count;
	size_t next;
	uint64_t uses;
	uint64_t found;
	bool (*is_chosen)(const struct scan *scan, struct process *process);
	uint8_t seen[GROUP_NUMBERS / 8];
	bool is_shared;
};

struct visit {
	struct scan *scan;
	struct process *process;
};

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

/* VFIO lets only one file of a group be open at a time. */
static void see_group(struct scan *scan, const char *number)
{
	uint64_t group;
	uint8_t bit;

	if (!parse_number(number, &group) || group >= GROUP_NUMBERS) {
		__atomic_store_n(&scan->is_shared, true, __ATOMIC_RELAXED);
		return;
	}
	bit = 1 << group % 8;
	if (__atomic_fetch_or(&scan->seen[group / 8], bit, __ATOMIC_RELAXED) & bit)
		__atomic_store_n(&scan->is_shared, true, __ATOMIC_RELAXED);
}

static void count_file(void *data, const char *name, const char *to)
{
	struct visit *visit = data;
	struct process *process = visit->process;

	(void)name;
	if (!strcmp(to, CONTAINER)) {
		process->containers++;
		process->uses += CONTAINER_USES;
	} else if (!strncmp(to, GROUP, strlen(GROUP)) &&
		   isdigit((unsigned char)to[strlen(GROUP)])) {
		process->groups++;
		process->uses += GROUP_USES;
		see_group(visit->scan, to + strlen(GROUP));
	} else if (!strcmp(to, DEVICE)) {
		process->uses += DEVICE_USES;
	}
}

static bool is_owner(const struct scan *scan, struct process *process)
{
	size_t i;

	for (i = 0; i < scan->containers->count; i++) {
		if (record_value(&scan->containers->record[i], "pid") ==
		    process->pid)
			return true;
	}
	return false;
}

/* Reads the files of a process; sets @error to 0 or a negative errno. */
static void read_process(struct scan *scan, struct process *process)
{
	struct visit visit = { .scan = scan, .process = process };
	char path[64];

	snprintf(path, sizeof(path), "proc/%d/fd", process->pid);
	process->error = source_links(scan->source, path, count_file, &visit);
	process->is_read = true;
	/* Processes may share the file of a container. Without a group this is not noticed. */
	if (process->containers && !process->groups &&
	    scan->is_chosen != is_owner)
		__atomic_store_n(&scan->is_shared, true, __ATOMIC_RELAXED);
	__atomic_fetch_add(&scan->found, process->uses, __ATOMIC_RELAXED);
}

static uint64_t status_number(const char *text, const char *key)
{
	const char *line = strstr(text, key);

	return line ? strtoull(line + strlen(key), NULL, 10) : 0;
}

/*
 * True if the process has locked memory, which includes the memory of all containers. Also
 * notes the size of its table of files, and whether it is a thread of the kernel, which has no
 * memory and no files.
 */
static bool has_locked_memory(const struct scan *scan, struct process *process)
{
	char path[64], *text;
	bool is_locked;
	size_t size;

	snprintf(path, sizeof(path), "proc/%d/status", process->pid);
	if (source_read(scan->source, path, &text, &size))
		return false;
	is_locked = status_number(text, "\nVmLck:");
	process->files = status_number(text, "\nFDSize:");
	process->is_kernel = process->files && !strstr(text, "\nVmLck:");
	free(text);
	return is_locked;
}

static bool is_any(const struct scan *scan, struct process *process)
{
	(void)scan;
	return !process->is_kernel;
}

/* True if the files that were found are all open files of VFIO. */
static bool is_complete(const struct scan *scan)
{
	return __atomic_load_n(&scan->found, __ATOMIC_RELAXED) == scan->uses &&
	       !__atomic_load_n(&scan->is_shared, __ATOMIC_RELAXED);
}

static void *scan_processes(void *data)
{
	struct scan *scan = data;
	size_t i;

	while (!is_complete(scan) &&
	       (i = __atomic_fetch_add(&scan->next, 1, __ATOMIC_RELAXED)) <
	       scan->count) {
		if (!scan->process[i].is_read &&
		    scan->is_chosen(scan, &scan->process[i]))
			read_process(scan, &scan->process[i]);
	}
	return NULL;
}

static void scan_in_threads(struct scan *scan)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	pthread_t thread[MOST_THREADS];
	size_t threads = 0;

	scan->next = 0;
	while (threads < MOST_THREADS && threads + 1 < processors &&
	       threads < scan->count / PROCESSES_PER_THREAD &&
	       !pthread_create(&thread[threads], NULL, scan_processes, scan))
		threads++;
	scan_processes(scan);
	while (threads)
		pthread_join(thread[--threads], NULL);
}

/*
 * Number of uses of the module vfio by its own file system, whose only mount exists while a
 * device is bound to a VFIO driver. Newer kernels have this file system, some older ones as
 * well. It is not registered, so its function is looked up in the module's types.
 */
static uint64_t count_mounts(const struct source *source)
{
	static const char function[] = "vfio_fs_init_fs_context";
	struct names devices;
	uint64_t mounts = 0;
	size_t size;
	char *types;

	if (source_list(source, "sys/class/vfio-dev", &devices))
		return 0;
	if (devices.count &&
	    !source_read(source, "sys/kernel/btf/vfio", &types, &size)) {
		mounts = memmem(types, size, function, sizeof(function)) ? 1 : 0;
		free(types);
	}
	names_free(&devices);
	return mounts;
}

/*
 * Number of uses of the module vfio by open files, or USES_UNKNOWN. Each module in "holders"
 * has one use.
 */
static uint64_t count_uses(const struct source *source)
{
	char *line = source_line(source, VFIO "/refcnt");
	uint64_t uses = USES_UNKNOWN, others;
	struct names holders;

	if (line && parse_number(line, &uses) &&
	    !source_list(source, VFIO "/holders", &holders)) {
		others = holders.count + count_mounts(source);
		uses = uses > others ? uses - others : 0;
		names_free(&holders);
	} else {
		uses = USES_UNKNOWN;
	}
	free(line);
	return uses;
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

static int compare_files(const void *a, const void *b)
{
	const struct process *first = a, *second = b;

	return (first->files > second->files) - (first->files < second->files);
}

/* Reads the processes most likely to have files of VFIO open, until all are found. */
static void scan_in_order(struct scan *scan)
{
	if (scan->uses != USES_UNKNOWN) {
		scan->is_chosen = is_owner;
		scan_processes(scan);
		scan->is_chosen = has_locked_memory;
		scan_in_threads(scan);
		if (is_complete(scan))
			return;
		if (scan->count)
			qsort(scan->process, scan->count, sizeof(*scan->process),
			      compare_files);
	}
	scan->is_chosen = is_any;
	scan_in_threads(scan);
	/* A thread may have stopped before another thread found a shared file. */
	if (!is_complete(scan)) {
		scan->uses = USES_UNKNOWN;
		scan_in_threads(scan);
	}
}

/**
 * processes_read() - find the processes that have files of VFIO open
 * @processes: receives the processes; the caller frees them with processes_free()
 * @source: the source
 * @containers: the containers of the module; NULL also finds each process that only has a
 *	file open that another process has open, too
 */
void processes_read(struct processes *processes, const struct source *source,
		    const struct records *containers)
{
	struct scan scan = { .source = source, .containers = containers };
	uint64_t uses = count_uses(source);
	size_t i;

	*processes = (struct processes){ 0 };
	if (!uses)
		return;
	scan.uses = containers ? uses : USES_UNKNOWN;
	processes->error = list_processes(&scan);
	scan_in_order(&scan);
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
