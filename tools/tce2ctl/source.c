// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads the state of this host, of a saved tree, or of a report.
 *
 * A report is a text file that `tce2ctl report` writes (report.c). Its first line is
 * "tce2ctl report 1". A line "file PATH", "link PATH" or "error PATH" begins an entry.
 * Each following line of the entry begins with a space: the contents of the file, the
 * target of the link, or the number of the error. A backslash and three octal digits
 * stand for a byte.
 *
 * Calls: records (for escapes), text.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tce2ctl.h"

/* Larger than any state; a damaged tree could otherwise exhaust the memory */
#define SIZE_MAX_FILE	(512 * MIB)

struct source_entry {
	enum { ENTRY_FILE, ENTRY_LINK, ENTRY_ERROR } type;
	char *path;
	char *text;
	size_t size;
};

static int full_path(const struct source *source, const char *path, char *full)
{
	if (snprintf(full, PATH_SIZE, "%s/%s", source->root, path) >= PATH_SIZE)
		return -ENAMETOOLONG;
	return 0;
}

/* Files of procfs have the size 0, so read until the end. */
static int read_fd(int fd, char **text, size_t *size)
{
	size_t room = 4096, used = 0;
	char *data = malloc(room), *more;
	ssize_t length = 0;
	int error;

	while (data && (length = read(fd, data + used, room - used - 1)) > 0) {
		used += length;
		if (used < room - 1)
			continue;
		if (room > SIZE_MAX_FILE) {
			free(data);
			return -EFBIG;
		}
		more = realloc(data, room *= 2);
		if (!more)
			free(data);
		data = more;
	}
	if (!data)
		return -ENOMEM;
	if (length < 0) {
		error = -errno;
		free(data);
		return error;
	}
	data[used] = '\0';
	*text = data;
	*size = used;
	return 0;
}

static int read_path(const char *path, char **text, size_t *size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat info;
	int error;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &info))
		error = -errno;
	else if (!S_ISREG(info.st_mode))
		error = S_ISDIR(info.st_mode) ? -EISDIR : -EINVAL;
	else
		error = read_fd(fd, text, size);
	close(fd);
	return error;
}

static const struct source_entry *find_entry(const struct source *source,
					     const char *path)
{
	size_t i;

	for (i = 0; i < source->entries; i++) {
		if (!strcmp(source->entry[i].path, path))
			return &source->entry[i];
	}
	return NULL;
}

static int entry_error(const struct source_entry *entry, int type)
{
	int error;

	if (!entry)
		return -ENOENT;
	if (entry->type == type)
		return 0;
	error = entry->type == ENTRY_ERROR ? atoi(entry->text) : 0;
	return error > 0 ? -error : -EINVAL;
}

/**
 * source_read() - read a file
 * @source: the source
 * @path: path of the file
 * @text: receives the contents and a NUL; the caller frees them
 * @size: receives the size
 *
 * Return: 0, or a negative errno
 */
int source_read(const struct source *source, const char *path, char **text,
		size_t *size)
{
	const struct source_entry *entry;
	char full[PATH_SIZE];
	int error;

	*text = NULL;
	if (!source->entry)
		return full_path(source, path, full) ?:
		       read_path(full, text, size);
	entry = find_entry(source, path);
	error = entry_error(entry, ENTRY_FILE);
	if (error)
		return error;
	*text = grow(NULL, 0, entry->size + 1);
	memcpy(*text, entry->text, entry->size + 1);
	*size = entry->size;
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char * const *)a, *(char * const *)b);
}

static void add_name(struct names *names, const char *name, size_t length)
{
	if (names->count && !strncmp(names->name[names->count - 1], name, length) &&
	    !names->name[names->count - 1][length])
		return;
	names->name = grow(names->name, names->count, sizeof(*names->name));
	names->name[names->count++] = copy_bytes(name, length);
}

static int list_report(const struct source *source, const char *directory,
		       struct names *names)
{
	int error = entry_error(find_entry(source, directory), -1);
	size_t length = strlen(directory), i;
	const char *path;

	for (i = 0; i < source->entries; i++) {
		path = source->entry[i].path;
		if (!strncmp(path, directory, length) && path[length] == '/')
			add_name(names, path + length + 1,
				 strcspn(path + length + 1, "/"));
	}
	return names->count ? 0 : error;
}

static int list_tree(const char *path, struct names *names)
{
	DIR *directory = opendir(path);
	struct dirent *entry;

	if (!directory)
		return -errno;
	while ((entry = readdir(directory))) {
		if (entry->d_name[0] != '.')
			add_name(names, entry->d_name, strlen(entry->d_name));
	}
	closedir(directory);
	return 0;
}

/**
 * source_list() - list a directory
 * @source: the source
 * @directory: path of the directory
 * @names: receives the names; the caller frees them with names_free()
 *
 * Names that begin with a dot are left out.
 *
 * Return: 0, or a negative errno
 */
int source_list(const struct source *source, const char *directory,
		struct names *names)
{
	char full[PATH_SIZE];
	int error;

	*names = (struct names){ 0 };
	if (source->entry)
		error = list_report(source, directory, names);
	else
		error = full_path(source, directory, full) ?:
			list_tree(full, names);
	if (names->count)
		qsort(names->name, names->count, sizeof(*names->name),
		      compare_names);
	return error;
}

static int visit_report(const struct source *source, const char *directory,
			visit_link visit, void *data)
{
	int error = entry_error(find_entry(source, directory), -1);
	size_t length = strlen(directory), i;

	for (i = 0; i < source->entries; i++) {
		const struct source_entry *entry = &source->entry[i];

		if (strncmp(entry->path, directory, length) ||
		    entry->path[length] != '/')
			continue;
		error = 0;
		if (entry->type == ENTRY_LINK)
			visit(data, entry->path + length + 1, entry->text);
	}
	return error;
}

static int visit_tree(const char *path, visit_link visit, void *data)
{
	DIR *directory = opendir(path);
	struct dirent *entry;
	int fd = directory ? dirfd(directory) : -1;
	ssize_t length;
	char to[64];

	if (fd < 0)
		return -errno;
	while ((entry = readdir(directory))) {
		if (entry->d_type != DT_LNK && entry->d_type != DT_UNKNOWN)
			continue;
		length = readlinkat(fd, entry->d_name, to, sizeof(to) - 1);
		if (length < 0)
			continue;
		to[length] = '\0';
		visit(data, entry->d_name, to);
	}
	closedir(directory);
	return 0;
}

/**
 * source_links() - call a function for each symbolic link in a directory
 * @source: the source
 * @directory: path of the directory
 * @visit: the function, which gets @data, the name and the first 63 bytes of the target
 * @data: argument of @visit
 *
 * A host has very many open files. This function avoids a lookup of the whole path for
 * each of them.
 *
 * Return: 0, or a negative errno
 */
int source_links(const struct source *source, const char *directory,
		 visit_link visit, void *data)
{
	char full[PATH_SIZE];

	if (source->entry)
		return visit_report(source, directory, visit, data);
	return full_path(source, directory, full) ?:
	       visit_tree(full, visit, data);
}

/**
 * names_free() - free the names of a directory
 * @names: the names
 */
void names_free(struct names *names)
{
	while (names->count)
		free(names->name[--names->count]);
	free(names->name);
	names->name = NULL;
}

/**
 * source_line() - read the first line of a file
 * @source: the source
 * @path: path of the file
 *
 * Return: the line, which the caller frees; NULL if it cannot be read
 */
char *source_line(const struct source *source, const char *path)
{
	char *text;
	size_t size;

	if (source_read(source, path, &text, &size))
		return NULL;
	text[strcspn(text, "\n")] = '\0';
	return text;
}

static int entry_type(char *line, char **path)
{
	static const char * const types[] = {
		[ENTRY_FILE] = "file ",
		[ENTRY_LINK] = "link ",
		[ENTRY_ERROR] = "error ",
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(types); i++) {
		*path = line + strlen(types[i]);
		if (!strncmp(line, types[i], strlen(types[i])) && **path)
			return i;
	}
	return -1;
}

/* Adds a line of a report to the contents of an entry; a link has no newline. */
static void add_line(struct source_entry *entry, char *line)
{
	char *end = unescape(line);

	if (entry->type == ENTRY_FILE)
		*end++ = '\n';
	memmove(entry->text + entry->size, line, end - line);
	entry->size += end - line;
	entry->text[entry->size] = '\0';
}

/*
 * The contents of each entry replace the lines of the entry in the text of the report,
 * because they are never longer.
 */
static int parse_report(struct source *source, char *text, struct error *err)
{
	struct source_entry *entry = NULL;
	char *line, *path;
	int type;

	while ((line = strsep(&text, "\n"))) {
		if (line[0] == ' ' && entry) {
			add_line(entry, line + 1);
			continue;
		}
		if (!*line || *line == '#')
			continue;
		type = entry_type(line, &path);
		if (type < 0)
			return fail(err, "damaged report: unknown line");
		source->entry = grow(source->entry, source->entries,
				     sizeof(*source->entry));
		entry = &source->entry[source->entries++];
		*entry = (struct source_entry){ .type = type, .path = path };
		unescape(path);
		/* The next line follows the NUL of this line */
		entry->text = text ? text : line + strlen(line);
		if (text && text[0] != ' ')
			entry->text = path + strlen(path);
	}
	return 0;
}

static int open_report(struct source *source, const char *path,
		       struct error *err)
{
	size_t first = strlen(REPORT_FIRST), size;
	struct error why;
	char *text = NULL;
	int error = read_path(path, &text, &size);

	if (error || !text)
		return fail(err, "%s: %s", path, strerror(-error));
	source->text = text;
	if (strncmp(text, REPORT_FIRST, first) || text[first] != '\n')
		return fail(err, "%s: neither a directory nor a report of tce2ctl",
			    path);
	if (parse_report(source, text + first + 1, &why))
		return fail(err, "%s: %.200s", path, why.text);
	if (!source->entries)
		return fail(err, "%s: the report is empty", path);
	return 0;
}

/**
 * source_open() - choose where the state is read
 * @source: receives the source
 * @path: a directory or a report; NULL for this host
 * @err: receives the reason for a failure
 *
 * The caller calls source_close(), also after a failure.
 *
 * Return: 0, or -1
 */
int source_open(struct source *source, const char *path, struct error *err)
{
	struct stat info;

	*source = (struct source){ .is_live = !path };
	if (!path)
		return 0;
	if (stat(path, &info))
		return fail(err, "%s: %s", path, strerror(errno));
	if (!S_ISDIR(info.st_mode))
		return open_report(source, path, err);
	if (snprintf(source->root, PATH_SIZE, "%s", path) >= PATH_SIZE)
		return fail(err, "%s: %s", path, strerror(ENAMETOOLONG));
	return 0;
}

/**
 * source_close() - free the memory of a source
 * @source: the source; source_open() may have failed
 */
void source_close(struct source *source)
{
	free(source->entry);
	free(source->text);
}
