// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writes the output of a command to a file, which other programs never see half written.
 *
 * Calls: text.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tce2ctl.h"

static int refuse(const char *path, const char *temporary)
{
	char *clean = clean_text(path);

	fprintf(stderr, "tce2ctl: %s: %s\n", clean, strerror(errno));
	free(clean);
	if (temporary)
		unlink(temporary);
	return -1;
}

/* The file is standard output already if the caller had closed standard output. */
static int write_to(int fd)
{
	int ret;

	if (fd < 0 || fd == STDOUT_FILENO)
		return fd < 0 ? -1 : 0;
	ret = dup2(fd, STDOUT_FILENO);
	close(fd);
	return ret < 0 ? -1 : 0;
}

/* True for a path that cannot be replaced by another file, such as /dev/stdout */
static bool is_special(const char *path)
{
	struct stat info;

	return !lstat(path, &info) && !S_ISREG(info.st_mode);
}

/**
 * output_begin() - make standard output write to a file
 * @output: receives the state
 * @path: path of the file; NULL to leave standard output unchanged
 *
 * A new file of a temporary name replaces the old file in output_end().
 *
 * Return: 0; -1 after a message
 */
int output_begin(struct output *output, const char *path)
{
	mode_t mask = umask(0);
	int fd;

	umask(mask);
	*output = (struct output){ .path = path };
	if (!path)
		return 0;
	if (is_special(path)) {
		output->path = NULL;
		fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
		return write_to(fd) ? refuse(path, NULL) : 0;
	}
	if (snprintf(output->temporary, PATH_SIZE, "%s.XXXXXX", path) >= PATH_SIZE) {
		errno = ENAMETOOLONG;
		return refuse(path, NULL);
	}
	fd = mkostemp(output->temporary, O_CLOEXEC);
	if (fd < 0)
		return refuse(path, NULL);
	if (fchmod(fd, 0644 & ~mask) || write_to(fd))
		return refuse(path, output->temporary);
	return 0;
}

/**
 * output_end() - finish the file
 * @output: the state
 * @keep: true to replace the old file, false to leave it
 *
 * Return: 0; -1 after a message
 */
int output_end(struct output *output, bool keep)
{
	if (!output->path)
		return 0;
	if (!keep) {
		unlink(output->temporary);
		return 0;
	}
	if (fflush(stdout) || ferror(stdout) ||
	    rename(output->temporary, output->path))
		return refuse(output->path, output->temporary);
	return 0;
}
