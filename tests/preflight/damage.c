// SPDX-License-Identifier: GPL-2.0-only
/*
 * tce2-preflight's own code over damaged files, in one process under ASan and
 * UBSan: a module cut at every byte, and bits of each kind of file turned.
 *
 * usage: damage MODULE MODULES-DIR BUILD-DIR BTF VFIO SEED COUNT
 *
 * Where a file is only cut, opening it must fail with a sentence; whatever else
 * is done to one, every check runs and both reports are printed, to nowhere.
 * Prints TAP.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../tools/preflight/preflight.h"

#define RATE	16	/* bits turned at most */

static uint64_t random_state;
static int cases;

static uint64_t next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static void result(bool good, const char *name)
{
	fprintf(stderr, "%sok %d - %s\n", good ? "" : "not ", ++cases, name);
}

/* A file in memory that has a path */
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
		fprintf(stderr, "Bail out! %s\n", err.text);
		exit(1);
	}
}

/* The module with a piece of it missing at its end */
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
	fprintf(stderr, "# %zu lengths\n", file.bytes.size);
	result(!accepted, "a module cut at any byte is refused");
	result(!silent, "a module cut at any byte is refused with a reason");
	close(copy.fd);
	free(data);
	file_free(&file);
}

static void turn_bits(unsigned char *data, size_t size)
{
	int bits = 1 + next_random() % RATE;

	/* What begins or ends a file says where all else is. */
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

/* Damages the file that @member of the request names, @count times. */
static void damage(const struct request *request, const char **member,
		   const char *path, unsigned long count)
{
	struct request changed = *request;
	size_t place = (const char *)member - (const char *)request;
	struct file file;
	unsigned char *data;
	struct copy copy;

	read_or_die(&file, path);
	while (count--) {
		data = duplicate(file.bytes);
		turn_bits(data, file.bytes.size);
		copy = make_copy((struct bytes){ data, file.bytes.size });
		*(const char **)((char *)&changed + place) = copy.path;
		look(&changed);
		close(copy.fd);
		free(data);
	}
	file_free(&file);
}

/* vfio.ko has no option: it is replaced in a modules directory of its own. */
static void damage_vfio(const struct request *request, const char *path,
			unsigned long count)
{
	char good[4096], name[4200];
	struct file file;
	unsigned char *data;
	FILE *out;

	snprintf(good, sizeof(good), "%s", path);
	snprintf(name, sizeof(name), "%s/kernel/drivers/vfio/vfio.ko",
		 request->target);
	read_or_die(&file, good);
	while (count--) {
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
	file_free(&file);
}

int main(int argc, char **argv)
{
	char symvers[4096], config[4096];
	struct request request = { 0 };
	unsigned long count;

	if (argc != 8) {
		fputs("usage: damage MODULE MODULES-DIR BUILD-DIR BTF VFIO SEED COUNT\n",
		      stderr);
		return 2;
	}
	if (!freopen("/dev/null", "w", stdout))
		return 1;
	request.module = argv[1];
	request.target = argv[2];
	snprintf(symvers, sizeof(symvers), "%s/Module.symvers", argv[3]);
	snprintf(config, sizeof(config), "%s/.config", argv[3]);
	request.symvers = symvers;
	request.config = config;
	random_state = strtoull(argv[6], NULL, 0) | 1;
	count = strtoul(argv[7], NULL, 0);

	cut_module(request.module);
	damage(&request, &request.module, argv[1], count * 20);
	result(true, "a module with turned bits crashes nothing");
	damage(&request, &request.symvers, symvers, count);
	result(true, "Module.symvers with turned bits crashes nothing");
	damage(&request, &request.config, config, count);
	result(true, "a configuration with turned bits crashes nothing");
	request.vmlinux = argv[4];
	damage(&request, &request.module, argv[1], count / 4);
	damage(&request, &request.vmlinux, argv[4], count / 2);
	result(true, "BTF with turned bits crashes nothing");
	damage_vfio(&request, argv[5], count / 2);
	result(true, "vfio.ko with turned bits crashes nothing");
	fprintf(stderr, "1..%d\n", cases);
	return 0;
}
