// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads the kernel's types from the BTF of vmlinux and of vfio.ko. The latter is
 * split BTF, whose types refer to types of vmlinux.
 *
 * One pass over each BTF finds all types that the checks look up. libbpf parses
 * the format. This file still checks the results of libbpf, because a damaged
 * BTF may refer to any type or string.
 *
 * Calls: file, elf, libbpf.
 */
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "preflight.h"

/*
 * Names of structures and enumerations, in one array, because C has one name space for
 * both. Only the check "vfio" looks up the first name; the module uses all others.
 */
static const char * const objects[] = {
	"pci_controller",
#define TCE2_API_ALL
#define KERNEL_STRUCT(kind, name)	#name,
#define KERNEL_ENUM(name)		#name,
#include "../../include/tce2_kernel_api.h"
};

static const char * const functions[] = {
	"spapr_tce_iommu_probe_device", "spapr_tce_create_table",
	"iommu_group_claim_dma_owner",
};

/**
 * struct types - types of a kernel
 * @base: BTF of vmlinux
 * @vfio: split BTF of vfio.ko, or NULL
 * @why_no_vfio: the reason if @vfio is NULL
 * @object: BTF ids of objects[], or 0 for objects that were not found
 * @in: BTF to which each id in @object belongs
 * @function: true for each of functions[] that the kernel has
 */
struct types {
	struct btf *base;
	struct btf *vfio;
	struct error why_no_vfio;
	uint32_t object[ARRAY_SIZE(objects)];
	const struct btf *in[ARRAY_SIZE(objects)];
	bool function[ARRAY_SIZE(functions)];
};

static bool is_object(const struct btf_type *type)
{
	return btf_is_struct(type) || btf_is_enum(type);
}

static void note_type(struct types *types, const struct btf *btf, uint32_t id)
{
	const struct btf_type *type = btf__type_by_id(btf, id);
	const char *name;
	size_t i;

	if (!type || !(is_object(type) || btf_is_func(type)))
		return;
	name = btf__name_by_offset(btf, type->name_off);
	if (!name)
		return;
	for (i = 0; is_object(type) && i < ARRAY_SIZE(objects); i++) {
		if (types->object[i] || strcmp(name, objects[i]))
			continue;
		types->object[i] = id;
		types->in[i] = btf;
	}
	for (i = 0; btf_is_func(type) && i < ARRAY_SIZE(functions); i++)
		types->function[i] |= !strcmp(name, functions[i]);
}

static void note_types(struct types *types, const struct btf *btf,
		       uint32_t first)
{
	uint32_t id;

	for (id = first; id < btf__type_cnt(btf); id++)
		note_type(types, btf, id);
}

/*
 * Checks that vmlinux has the release of the kernel. The split BTF of vfio.ko
 * refers to types of its vmlinux by id, but does not identify this vmlinux.
 */
static int check_release(const struct elf *elf, const struct target *target,
			 struct error *err)
{
	static const char banner[] = "Linux version ";
	struct bytes rodata;
	const char *at;
	size_t length, left;

	if (!target->release[0] || !elf_section(elf, ".rodata", &rodata))
		return 0;
	at = memmem(rodata.data, rodata.size, banner, strlen(banner));
	if (!at)
		return 0;
	at += strlen(banner);
	left = rodata.size - ((const unsigned char *)at - rodata.data);
	length = strlen(target->release);
	if (left > length && !memcmp(at, target->release, length) &&
	    at[length] == ' ')
		return 0;
	for (length = 0; length < left && length < 64; length++) {
		if (at[length] == ' ' || !at[length])
			break;
	}
	return fail(err, "for kernel %.*s, not for %s", (int)length, at,
		    target->release);
}

/* Finds the BTF in an ELF file, or in a file with only BTF. */
static int find_btf(const struct target *target, struct bytes file,
		    struct bytes *btf, struct error *err)
{
	struct elf elf;

	if (file.size > 2 && get_le16(file.data) == BTF_MAGIC) {
		*btf = file;
		return 0;
	}
	if (elf_open(&elf, file, err))
		return -1;
	if (!elf_section(&elf, ".BTF", btf))
		return fail(err, "no BTF");
	return target ? check_release(&elf, target, err) : 0;
}

static int damaged_btf(struct error *err)
{
	return fail(err, "the BTF is damaged, or in a format too new for this program (libbpf: %s)",
		    strerror(errno));
}

/*
 * Parses split BTF. libbpf 1.1 declares btf__new_split(), but does not export
 * it. btf__parse_raw_split() requires a file, so the BTF is copied to a memfd.
 */
static struct btf *parse_split(struct bytes bytes, struct btf *base,
			       struct error *err)
{
	struct btf *btf = NULL;
	char path[64];
	int fd;

	fd = memfd_create("btf", MFD_CLOEXEC);
	if (fd < 0 || write(fd, bytes.data, bytes.size) != bytes.size) {
		fail(err, "cannot copy the BTF to a memfd: %s", strerror(errno));
	} else {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		btf = btf__parse_raw_split(path, base);
		if (!btf)
			damaged_btf(err);
	}
	if (fd >= 0)
		close(fd);
	return btf;
}

static void open_vfio(struct types *types, const struct target *target)
{
	struct error *err = &types->why_no_vfio, why;
	struct file file;
	struct bytes bytes;

	if (!target->vfio[0]) {
		fail(err, "the kernel's vfio.ko was not found");
		return;
	}
	if (file_read(&file, target->vfio, err))
		return;
	if (!find_btf(NULL, file.bytes, &bytes, &why))
		types->vfio = parse_split(bytes, types->base, &why);
	if (!types->vfio)
		fail(err, "%s: %.200s", target->vfio, why.text);
	file_free(&file);
}

static int open_base(struct types *types, const struct target *target,
		     struct error *err)
{
	struct bytes bytes;
	struct error why;
	struct file file;

	if (file_read(&file, target->vmlinux, err))
		return -1;
	if (!find_btf(target, file.bytes, &bytes, &why)) {
		if (bytes.size < UINT32_MAX)
			types->base = btf__new(bytes.data, bytes.size);
		if (!types->base)
			damaged_btf(&why);
	}
	file_free(&file);
	if (!types->base)
		return fail(err, "%s: %.200s", target->vmlinux, why.text);
	return 0;
}

static int no_messages(enum libbpf_print_level level, const char *format,
		       va_list args)
{
	(void)level;
	(void)format;
	(void)args;
	return 0;
}

/**
 * types_open() - read the types of a kernel
 * @target: the kernel
 * @err: receives the reason for a failure
 *
 * Return: the types, which the caller frees with types_close(), or NULL
 */
struct types *types_open(const struct target *target, struct error *err)
{
	struct types *types;

	if (!target->vmlinux[0]) {
		fail(err, "the kernel's image was not found; name an image with BTF with --vmlinux");
		return NULL;
	}
	types = grow(NULL, 0, sizeof(*types));
	memset(types, 0, sizeof(*types));
	libbpf_set_print(no_messages);
	if (open_base(types, target, err)) {
		types_close(types);
		return NULL;
	}
	note_types(types, types->base, 1);
	open_vfio(types, target);
	if (types->vfio)
		note_types(types, types->vfio, btf__type_cnt(types->base));
	return types;
}

/**
 * types_btf() - find a structure or an enumeration
 * @types: the kernel's types
 * @name: one of the names in objects[]
 * @id: receives the BTF id
 *
 * Return: the BTF to which the id belongs, or NULL
 */
const struct btf *types_btf(const struct types *types, const char *name,
			    uint32_t *id)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(objects); i++) {
		if (strcmp(objects[i], name))
			continue;
		*id = types->object[i];
		return types->in[i];
	}
	return NULL;
}

/**
 * types_have_function() - check that the kernel has a function
 * @types: the kernel's types
 * @name: one of the names in functions[]
 *
 * Return: true if the kernel has the function
 */
bool types_have_function(const struct types *types, const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(functions); i++) {
		if (!strcmp(functions[i], name))
			return types->function[i];
	}
	return false;
}

/**
 * types_vfio_error() - get the reason why the types of vfio.ko are unknown
 * @types: the kernel's types
 *
 * Return: the reason, or NULL if the types are known
 */
const char *types_vfio_error(const struct types *types)
{
	return types->vfio ? NULL : types->why_no_vfio.text;
}

/**
 * types_close() - free the types of a kernel
 * @types: the types, or NULL
 */
void types_close(struct types *types)
{
	if (!types)
		return;
	btf__free(types->vfio);
	btf__free(types->base);
	free(types);
}
