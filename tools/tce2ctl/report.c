// SPDX-License-Identifier: GPL-2.0-only
/*
 * Command "report": the state as a text file for a bug report, which --from reads.
 *
 * source.c describes the format. The report has no addresses of memory: the user
 * addresses of regions and mappings are replaced. It has names and limits only of
 * programs that use VFIO, and only arguments that decide how much memory they need.
 *
 * Calls: source, host, process, need, output, text.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tce2ctl.h"

static void print_escaped(const char *text, size_t size)
{
	unsigned char byte;
	size_t i;

	for (i = 0; i < size; i++) {
		byte = text[i];
		if (byte >= ' ' && byte < 127 && byte != '\\')
			putchar(byte);
		else
			printf("\\%03o", byte);
	}
}

static void print_entry(const char *type, const char *path)
{
	printf("%s ", type);
	print_escaped(path, strlen(path));
	putchar('\n');
}

static void print_line(const char *line, size_t size)
{
	putchar(' ');
	print_escaped(line, size);
	putchar('\n');
}

static void print_error(const char *path, int error)
{
	/* An absent file needs no entry. */
	if (error == -ENOENT)
		return;
	print_entry("error", path);
	printf(" %d\n", -error);
}

/* Chooses the lines of a file that the report contains. */
typedef bool (*choose_line)(const char *line);

static void print_lines(char *text, size_t size, choose_line choose)
{
	char *end = text + size, *line = text, *next;

	while (line < end) {
		next = memchr(line, '\n', end - line);
		if (!next)
			next = end;
		*next = '\0';
		if (!choose || choose(line))
			print_line(line, next - line);
		line = next + 1;
	}
}

static void report_file(const struct source *source, const char *path,
			choose_line choose)
{
	size_t size;
	char *text;
	int error = source_read(source, path, &text, &size);

	if (error) {
		print_error(path, error);
		return;
	}
	print_entry("file", path);
	print_lines(text, size, choose);
	free(text);
}

static bool begins(const char *line, const char * const *words)
{
	for (; *words; words++) {
		if (!strncmp(line, *words, strlen(*words)))
			return true;
	}
	return false;
}

static bool is_platform(const char *line)
{
	static const char * const words[] = {
		"platform", "machine", "model", NULL,
	};

	return begins(line, words);
}

static bool is_of_status(const char *line)
{
	static const char * const words[] = { "VmLck:", "CapEff:", NULL };

	return begins(line, words);
}

static bool is_locked(const char *line)
{
	static const char * const words[] = { "Locked:", NULL };

	return begins(line, words);
}

static bool is_memlock(const char *line)
{
	static const char * const words[] = { "Max locked memory", NULL };

	return begins(line, words);
}

/* Removes user addresses: "ua=0x7fff00000000" becomes "ua=-". */
static void hide_addresses(char *text)
{
	char *at = text, *to = text;

	while (*at) {
		*to++ = *at++;
		if ((at - text == 1 || at[-2] == ' ' || at[-2] == '\n') &&
		    !strncmp(at - 1, "ua=", 3)) {
			*to++ = 'a';
			*to++ = '=';
			*to++ = '-';
			at += 2;
			at += strcspn(at, "\n ");
		}
	}
	*to = '\0';
}

/* Returns false if the file may not be read. */
static bool report_debugfs(const struct source *source, enum file_id id)
{
	char path[128], *text;
	size_t size;
	int error;

	snprintf(path, sizeof(path), DEBUGFS "/%s", file_names[id]);
	error = source_read(source, path, &text, &size);
	if (error) {
		print_error(path, error);
		return error == -ENOENT;
	}
	hide_addresses(text);
	print_entry("file", path);
	print_lines(text, strlen(text), NULL);
	free(text);
	return true;
}

/* Without this entry, a reader of the report could not tell that debugfs is mounted. */
static void report_mount(const struct source *source)
{
	struct names names, ours;

	source_list(source, "sys/kernel/debug", &names);
	if (names.count && source_list(source, DEBUGFS, &ours) == -ENOENT) {
		print_entry("error", DEBUGFS);
		printf(" %d\n", ENOENT);
	} else if (names.count) {
		names_free(&ours);
	}
	names_free(&names);
}

static void report_directory(const struct source *source, const char *directory)
{
	char path[PATH_SIZE];
	struct names names;
	int error = source_list(source, directory, &names);
	size_t i;

	if (error)
		print_error(directory, error);
	for (i = 0; i < names.count; i++) {
		snprintf(path, sizeof(path), "%s/%s", directory, names.name[i]);
		report_file(source, path, NULL);
	}
	names_free(&names);
}

static void report_module(const struct source *source, const char *name)
{
	static const char * const files[] = { "version", "srcversion", "refcnt" };
	char path[128];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(files); i++) {
		snprintf(path, sizeof(path), "sys/module/%s/%s", name, files[i]);
		report_file(source, path, NULL);
	}
	snprintf(path, sizeof(path), "sys/module/%s/parameters", name);
	report_directory(source, path);
}

static void print_pair(const char *key, const char *value)
{
	if (!value || !*value)
		return;
	printf(" %s=", key);
	print_escaped(value, strlen(value));
	putchar('\n');
}

static void report_installed(const struct source *source)
{
	size_t root = strlen(source->root);
	struct host host;

	host_read(&host, source);
	print_entry("file", INSTALLED);
	if (host.installed && !strncmp(host.path, source->root, root))
		print_pair("path", host.path + root);
	print_pair("version", host.disk_version);
	print_pair("srcversion", host.disk_srcversion);
	print_pair("error", host.disk_error.text);
	host_free(&host);
}

static void print_argument(const char *argument)
{
	print_escaped(argument, strlen(argument) + 1);
}

/*
 * The arguments that decide the need for memory, without their other data. An entry has one line,
 * so that the NULs stay adjacent.
 */
static void report_arguments(const struct source *source, pid_t pid)
{
	char path[64], *text, *name, *word, *value, *at, *next;
	size_t size;

	snprintf(path, sizeof(path), "proc/%d/cmdline", pid);
	if (source_read(source, path, &text, &size))
		return;
	print_entry("file", path);
	putchar(' ');
	name = strrchr(text, '/');
	print_argument(name ? name + 1 : text);
	for (at = text + strlen(text) + 1; at < text + size; at = next) {
		next = at + strlen(at) + 1;
		word = need_keep(at, next < text + size ? next : NULL, &value);
		if (word)
			print_argument(word);
		if (value) {
			print_argument(value);
			next += strlen(next) + 1;
		}
		free(word);
		free(value);
	}
	putchar('\n');
	free(text);
}

static void report_link(void *data, const char *name, const char *to)
{
	char path[128];

	if (strncmp(to, "/dev/vfio/", 10))
		return;
	snprintf(path, sizeof(path), "%s/%.20s", (const char *)data, name);
	print_entry("link", path);
	print_line(to, strlen(to));
}

static void report_files(const struct source *source, pid_t pid)
{
	char directory[64];

	snprintf(directory, sizeof(directory), "proc/%d/fd", pid);
	source_links(source, directory, report_link, directory);
}

static void report_process(const struct source *source, pid_t pid)
{
	static const struct {
		const char *name;
		choose_line choose;
	} files[] = {
		{ "comm", NULL },
		{ "limits", is_memlock },
		{ "status", is_of_status },
		{ "smaps_rollup", is_locked },
		{ "cgroup", NULL },
	};
	char path[64];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(files); i++) {
		snprintf(path, sizeof(path), "proc/%d/%s", pid, files[i].name);
		report_file(source, path, files[i].choose);
	}
	report_arguments(source, pid);
	report_files(source, pid);
}

static void report_hugepages(const struct source *source)
{
	static const char directory[] = "sys/kernel/mm/hugepages";
	char path[PATH_SIZE];
	struct names names;
	size_t i;

	source_list(source, directory, &names);
	for (i = 0; i < names.count; i++) {
		snprintf(path, sizeof(path), "%s/%s/nr_hugepages", directory,
			 names.name[i]);
		report_file(source, path, NULL);
	}
	names_free(&names);
}

/* Returns false if files could not be read, so that the report is incomplete. */
static bool print_report(const struct source *source)
{
	struct processes processes;
	bool is_complete = true;
	size_t i;
	int id;

	puts(REPORT_FIRST);
	puts("# Read this file with: tce2ctl --from FILE status");
	report_file(source, "proc/sys/kernel/osrelease", NULL);
	report_file(source, "proc/cpuinfo", is_platform);
	report_module(source, MODULE);
	report_module(source, IN_TREE);
	report_installed(source);
	report_hugepages(source);
	report_mount(source);
	for (id = 0; id < FILES; id++)
		is_complete &= report_debugfs(source, id);
	processes_read(&processes, source, NULL);
	for (i = 0; i < processes.count; i++)
		report_process(source, processes.process[i].pid);
	if (processes.hidden)
		print_error("proc/0/fd", -EACCES);
	is_complete &= !processes.hidden;
	processes_free(&processes);
	return is_complete;
}

/**
 * run_report() - write the state for a bug report
 * @request: the command line
 *
 * Return: the exit status
 */
int run_report(const struct request *request)
{
	struct output output;
	bool is_complete;

	if (output_begin(&output, request->output))
		return EXIT_UNKNOWN;
	is_complete = print_report(&request->source);
	if (!is_complete)
		fputs("tce2ctl: the report is incomplete: run tce2ctl as root\n",
		      stderr);
	return output_end(&output, true) || !is_complete ? EXIT_UNKNOWN :
							   EXIT_OK;
}
