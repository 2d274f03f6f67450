// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs the code of tce2-preflight on damaged files, in one process with ASan and
 * UBSan: on a module truncated at every byte, and on files with flipped bits.
 *
 * usage: damage KIND MODULE MODULES-DIR BUILD-DIR BTF VFIO SEED COUNT
 *
 * KIND is cut, module, layout, symvers, config, btf or vfio.
 *
 * "cut" opens the module truncated to every length. It counts the lengths that
 * module_open() accepted, and the lengths that it refused without a reason. Both
 * counts must be 0.
 *
 * The other kinds flip bits in COUNT copies of a file. They run every check except
 * "load-order" on each copy, and print the text and JSON reports to /dev/null. At the
 * end they print the number of copies. "layout" damages the module like "module", but
 * also reads the kernel's types.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../tools/preflight/preflight.h"

#define RATE	16	/* maximum number of bits to flip in a copy */

static uint64_t random_state;

static uint64_t next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

/* A damaged copy of a file: a memfd, and its path in /proc */
struct copy {
	int fd;
	char path[64];
};

static struct copy make_copy(struct bytes bytes)
{
	struct copy copy = { memfd_create("copy", 0), "" };

	snprintf(copy.path, sizeof(copy.path), "/proc/self/fd/%d", copy.fd);
	if (copy.fd < 0 ||
	    write(copy.fd, bytes.data, bytes.size) != (ssize_t)bytes.size) {
		perror("memfd");
		exit(1);
	}
	return copy;
}

static unsigned char *duplicate(struct bytes bytes)
{
	unsigned char *data = malloc(bytes.size);

	if (!data)
		exit(1);
	return memcpy(data, bytes.data, bytes.size);
}

static void read_or_die(struct file *file, const char *path)
{
	struct error err;

	if (file_read(file, path, &err)) {
		fprintf(stderr, "damage: %s\n", err.text);
		exit(1);
	}
}

/* Opens the module truncated to every length. */
static void cut_module(const char *path)
{
	struct file file;
	struct module module;
	struct error err;
	unsigned char *data;
	struct copy copy;
	size_t size, accepted = 0, silent = 0;

	read_or_die(&file, path);
	data = duplicate(file.bytes);
	copy = make_copy(file.bytes);
	for (size = file.bytes.size; size--; ) {
		if (ftruncate(copy.fd, size))
			exit(1);
		err.text[0] = '\0';
		accepted += !module_open(&module, copy.path, &err);
		silent += !err.text[0];
		module_close(&module);
	}
	fprintf(stderr, "%zu lengths\n%zu accepted\n%zu without a reason\n",
		file.bytes.size, accepted, silent);
	close(copy.fd);
	free(data);
	file_free(&file);
}

static void turn_bits(unsigned char *data, size_t size)
{
	int bits = 1 + next_random() % RATE;

	/* Flip one bit of four in the first 256 bytes, where most formats have a header. */
	while (bits--) {
		size_t at = next_random() % size;

		if (!(next_random() % 4))
			at %= 256;
		data[at] ^= 1 << next_random() % 8;
	}
}

static void look(struct request *request)
{
	struct report report = { 0 };
	static struct target target;
	struct module module = { 0 };
	struct types *types = NULL;
	struct error err;

	if (!target_find(&target, request, &err) &&
	    !module_open(&module, request->module, &err)) {
		types = request->vmlinux ? types_open(&target, &err) : NULL;
		check_symbols(&report, &module, &target, request);
		check_vermagic(&report, &module, &target);
		check_config(&report, &module, &target);
		check_signature(&report, &module, &target);
		check_layout(&report, &module, types, err.text);
		check_vfio(&report, &target, types, request);
		report_human(&report, &module, &target, true);
		report_json(&report, &module, &target);
		types_close(types);
	}
	module_close(&module);
	target_free(&target);
	report_free(&report);
}

/* Runs the checks @count times, with a damaged copy of @path in @member. */
static void damage(const struct request *request, const char **member,
		   const char *path, unsigned long count)
{
	struct request changed = *request;
	size_t place = (const char *)member - (const char *)request;
	struct file file;
	unsigned char *data;
	struct copy copy;
	unsigned long i;

	read_or_die(&file, path);
	for (i = 0; i < count; i++) {
		data = duplicate(file.bytes);
		turn_bits(data, file.bytes.size);
		copy = make_copy((struct bytes){ data, file.bytes.size });
		*(const char **)((char *)&changed + place) = copy.path;
		look(&changed);
		close(copy.fd);
		free(data);
	}
	fprintf(stderr, "%lu copies\n", i);
	file_free(&file);
}

/* Damages vfio.ko in a modules directory, because no option of tce2-preflight names it. */
static void damage_vfio(const struct request *request, const char *path,
			unsigned long count)
{
	char name[4200];
	struct file file;
	unsigned char *data;
	unsigned long i;
	FILE *out;

	snprintf(name, sizeof(name), "%s/kernel/drivers/vfio/vfio.ko",
		 request->target);
	read_or_die(&file, path);
	for (i = 0; i < count; i++) {
		data = duplicate(file.bytes);
		turn_bits(data, file.bytes.size);
		out = fopen(name, "w");
		if (!out || fwrite(data, file.bytes.size, 1, out) != 1 ||
		    fclose(out)) {
			perror(name);
			exit(1);
		}
		look((struct request *)request);
		free(data);
	}
	fprintf(stderr, "%lu copies\n", i);
	file_free(&file);
}

/* Input files, from the command line */
struct files {
	const char *module, *btf, *vfio;
	char symvers[4096], config[4096];
};

static bool damage_kind(const char *kind, struct request *request,
			const struct files *files, unsigned long count)
{
	if (!strcmp(kind, "cut")) {
		cut_module(files->module);
	} else if (!strcmp(kind, "module")) {
		damage(request, &request->module, files->module, count * 20);
	} else if (!strcmp(kind, "symvers")) {
		damage(request, &request->symvers, files->symvers, count);
	} else if (!strcmp(kind, "config")) {
		damage(request, &request->config, files->config, count);
	} else if (!strcmp(kind, "layout")) {
		request->vmlinux = files->btf;
		damage(request, &request->module, files->module, count / 4);
	} else if (!strcmp(kind, "btf")) {
		request->vmlinux = files->btf;
		damage(request, &request->vmlinux, files->btf, count / 2);
	} else if (!strcmp(kind, "vfio")) {
		request->vmlinux = files->btf;
		damage_vfio(request, files->vfio, count / 2);
	} else {
		return false;
	}
	return true;
}

int main(int argc, char **argv)
{
	struct request request = { 0 };
	struct files files;

	if (argc != 9) {
		fputs("usage: damage KIND MODULE MODULES-DIR BUILD-DIR BTF VFIO SEED COUNT\n",
		      stderr);
		return 2;
	}
	if (!freopen("/dev/null", "w", stdout))
		return 1;
	files.module = argv[2];
	files.btf = argv[5];
	files.vfio = argv[6];
	snprintf(files.symvers, sizeof(files.symvers), "%s/Module.symvers", argv[4]);
	snprintf(files.config, sizeof(files.config), "%s/.config", argv[4]);
	request.module = files.module;
	request.target = argv[3];
	request.symvers = files.symvers;
	request.config = files.config;
	random_state = strtoull(argv[7], NULL, 0) | 1;
	return damage_kind(argv[1], &request, &files, strtoul(argv[8], NULL, 0)) ? 0 : 2;
}
