// SPDX-License-Identifier: GPL-2.0-only
/*
 * Computes how much memory a guest or a DPDK program has charged to RLIMIT_MEMLOCK.
 *
 * Documentation/memlock.rst has the rules: registered memory; on powernv 16 bytes a TCE
 * of a window of one level (8 on pseries), at least two pages; two tables of a window of
 * several levels, and the lower tables in use; 8 bytes a TCE for KVM's copy of a table.
 *
 * Calls: source, text, json-c.
 */
#include <ctype.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "tce2ctl.h"

/* QEMU's memory without -m */
#define GUEST_DEFAULT	(512 * MIB)
/* QEMU's 32-bit window of each host bridge */
#define SMALL_WINDOW	GIB
#define SMALL_PAGE	(4 * KIB)
/* IOMMU page of a guest's 64-bit window, the smallest page size that Linux guests choose */
#define BIG_PAGE	(64 * KIB)
/* Largest page of a kernel on POWER */
#define KERNEL_PAGE	(64 * KIB)
/* Video memory, ROMs and other memory that QEMU registers */
#define GUEST_OTHER	(128 * MIB)
#define DPDK_OTHER	(64 * MIB)
/* The part of the guest's largest memory that is enough for the tables of any window */
#define TABLE_SHARE	64
/* Highest address of DPDK's memory by default, rounded up */
#define DPDK_END	TIB

/* Memory backends and host bridges of a guest */
struct guest {
	uint64_t ram;
	bool has_size;
	uint64_t largest;
	size_t devices;
	struct names bridges;
	struct names backends;
	uint64_t *sizes;
};

/**
 * need_add() - add an item
 * @need: the need
 * @bytes: size of the item
 * @format: name of the item, as for printf()
 */
void need_add(struct need *need, uint64_t bytes, const char *format, ...)
{
	struct need_item item = { .bytes = bytes };
	va_list args;

	va_start(args, format);
	item.what = format_text(format, args);
	va_end(args);
	need->item = grow(need->item, need->items, sizeof(item));
	need->item[need->items++] = item;
	if (__builtin_add_overflow(need->bytes, bytes, &need->bytes))
		need->bytes = UINT64_MAX;
}

/**
 * need_free() - free the memory of a need
 * @need: the need
 */
void need_free(struct need *need)
{
	while (need->items)
		free(need->item[--need->items].what);
	free(need->item);
	*need = (struct need){ 0 };
}

/*
 * Reads a size as QEMU does: a number, perhaps with a fraction, and a unit. Returns false
 * if the text is no size.
 */
static bool parse_size(const char *text, uint64_t unit, uint64_t *size)
{
	static const char units[] = "bkmgtpe";
	const char *found;
	char *end;
	double number;

	if (!isdigit((unsigned char)*text))
		return false;
	number = strtod(text, &end);
	if (*end) {
		found = strchr(units, tolower((unsigned char)*end));
		if (!found)
			return false;
		unit = 1ULL << 10 * (found - units);
		end++;
	}
	if ((*end && *end != ',') || number * unit >= 9e18)
		return false;
	*size = number * unit;
	return true;
}

/* Copies the value of a key in "KEY=VALUE,KEY=VALUE"; returns NULL without the key. */
static char *get_option(const char *options, const char *key)
{
	size_t length = strlen(key), end;

	while (*options) {
		end = strcspn(options, ",");
		if (end > length && !strncmp(options, key, length) &&
		    options[length] == '=')
			return copy_bytes(options + length + 1,
					  end - length - 1);
		options += end + (options[end] == ',');
	}
	return NULL;
}

/* Copies a member of JSON as a text; libvirt passes devices and objects as JSON. */
static char *get_member(const char *options, const char *key)
{
	struct json_object *object = json_tokener_parse(options), *member;
	char *value = NULL;

	if (json_object_object_get_ex(object, key, &member))
		value = copy_text(json_object_get_string(member) ?: "");
	json_object_put(object);
	return value;
}

/*
 * Copies the value of a key, or returns NULL without the key. @type is the key of the first value
 * if this value has no key. QEMU accepts the keys in any order.
 */
static char *get_value(const char *options, const char *key, const char *type)
{
	size_t first = strcspn(options, ",");

	if (*options == '{')
		return get_member(options, key);
	if (!strcmp(key, type) && first && !memchr(options, '=', first))
		return copy_bytes(options, first);
	return get_option(options, key);
}

static uint64_t get_size(const char *options, const char *key, uint64_t unit)
{
	char *value = get_value(options, key, "");
	uint64_t size = 0;

	if (value)
		parse_size(value, unit, &size);
	free(value);
	return size;
}

/* -m SIZE or -m size=SIZE,slots=N,maxmem=SIZE; MiB without a unit */
static bool parse_memory(struct guest *guest, const char *options)
{
	char *size = get_value(options, "size", "size");
	bool is_size = size ? parse_size(size, MIB, &guest->ram) : *options;

	guest->has_size |= size && is_size;
	free(size);
	guest->largest = get_size(options, "maxmem", MIB);
	return is_size;
}

static bool is_backend(const char *type)
{
	return !strncmp(type, "memory-backend-", 15);
}

static void parse_object(struct guest *guest, const char *options)
{
	char *type = get_value(options, "qom-type", "qom-type");
	char *id = get_value(options, "id", "");

	if (type && id && is_backend(type)) {
		guest->sizes = grow(guest->sizes, guest->backends.count,
				    sizeof(*guest->sizes));
		guest->sizes[guest->backends.count] =
			get_size(options, "size", 1);
		guest->backends.name = grow(guest->backends.name,
					    guest->backends.count,
					    sizeof(*guest->backends.name));
		guest->backends.name[guest->backends.count++] = id;
		id = NULL;
	}
	free(type);
	free(id);
}

/*
 * The first bus of the host bridge "pci.1" is "pci.1.0", and that of the bridge which QEMU
 * itself makes is "pci.0".
 */
static void add_bridge(struct names *bridges, const char *bus)
{
	const char *dot = strrchr(bus, '.');
	size_t length = dot ? dot - bus : strlen(bus), i;

	for (i = 0; i < bridges->count; i++) {
		if (strlen(bridges->name[i]) == length &&
		    !strncmp(bridges->name[i], bus, length))
			return;
	}
	bridges->name = grow(bridges->name, bridges->count,
			     sizeof(*bridges->name));
	bridges->name[bridges->count++] = copy_bytes(bus, length);
}

/* Returns the size of the memory backend that a key names, or 0. */
static uint64_t backend_size(const struct guest *guest, const char *options,
			     const char *key)
{
	char *id = get_value(options, key, "");
	uint64_t size = 0;
	size_t i;

	for (i = 0; id && i < guest->backends.count; i++) {
		if (!strcmp(guest->backends.name[i], id))
			size = guest->sizes[i];
	}
	free(id);
	return size;
}

/* Without -m, QEMU's memory is as large as the backend of the machine. */
static void parse_machine(struct guest *guest, const char *options)
{
	uint64_t size = backend_size(guest, options, "memory-backend");

	if (size && !guest->has_size)
		guest->ram = size;
}

static bool is_dimm(const char *driver)
{
	return !strcmp(driver, "pc-dimm") || !strcmp(driver, "nvdimm");
}

static bool is_vfio(const char *driver)
{
	return !strncmp(driver, "vfio-pci", 8);
}

static void parse_device(struct guest *guest, const char *options)
{
	char *driver = get_value(options, "driver", "driver");
	char *bus = get_value(options, "bus", "");

	if (driver && is_vfio(driver)) {
		guest->devices++;
		add_bridge(&guest->bridges, bus ?: "pci");
	}
	/* A DIMM has memory in addition to -m. */
	if (driver && is_dimm(driver) &&
	    __builtin_add_overflow(guest->ram, backend_size(guest, options, "memdev"),
				   &guest->ram))
		guest->ram = INT64_MAX;
	free(driver);
	free(bus);
}

/* Returns an option of QEMU with one dash. */
static const char *qemu_option(const char *argument)
{
	return argument + !strncmp(argument, "--", 2);
}

static bool is_machine(const char *option)
{
	return !strcmp(option, "-machine") || !strcmp(option, "-M");
}

/* Memory backends may follow the devices that use them, so objects come first. */
static int parse_guest(struct guest *guest, int argc, char **argv,
		       struct error *err)
{
	const char *option;
	int i;

	guest->ram = GUEST_DEFAULT;
	for (i = 0; i + 1 < argc; i++) {
		option = qemu_option(argv[i]);
		if (!strcmp(option, "-m") && !parse_memory(guest, argv[++i]))
			return fail(err, "-m %s is no size of QEMU", argv[i]);
		if (!strcmp(option, "-object"))
			parse_object(guest, argv[++i]);
	}
	for (i = 0; i + 1 < argc; i++) {
		if (is_machine(qemu_option(argv[i])))
			parse_machine(guest, argv[++i]);
	}
	for (i = 0; i + 1 < argc; i++) {
		if (!strcmp(qemu_option(argv[i]), "-device"))
			parse_device(guest, argv[++i]);
	}
	if (guest->largest < guest->ram)
		guest->largest = guest->ram;
	return 0;
}

static uint64_t round_up_to_power(uint64_t size)
{
	uint64_t power = 1;

	while (power < size && power << 1)
		power <<= 1;
	return power;
}

static uint64_t table_bytes(uint64_t window, uint64_t page, bool is_pseries)
{
	uint64_t bytes = window / page * (is_pseries ? 8 : 16);
	uint64_t least = is_pseries ? KERNEL_PAGE : 2 * KERNEL_PAGE;

	return bytes > least ? bytes : least;
}

static void guest_need(struct need *need, const struct guest *guest,
		       bool is_pseries)
{
	size_t bridges = guest->bridges.count ?: 1;
	uint64_t window = round_up_to_power(guest->largest);
	uint64_t enough, tces;
	char text[24];

	need_add(need, guest->ram, "guest's RAM (-m)");
	need_add(need, bridges * table_bytes(SMALL_WINDOW, SMALL_PAGE,
					     is_pseries),
		 "tables of 32-bit windows (1 GiB, pages of 4 KiB), host bridges: %zu",
		 bridges);
	need_add(need, bridges * table_bytes(window, BIG_PAGE, is_pseries),
		 "tables of 64-bit windows (%s, pages of 64 KiB), host bridges: %zu",
		 size_text(window, text), bridges);
	tces = SMALL_WINDOW / SMALL_PAGE + window / BIG_PAGE;
	need_add(need, bridges * tces * 8, "KVM's copies of these tables");
	need_add(need, GUEST_OTHER, "video memory, ROMs and others");
	enough = guest->ram + bridges * (guest->largest / TABLE_SHARE) +
		 GUEST_OTHER;
	if (enough > need->bytes)
		need_add(need, enough - need->bytes,
			 "reserve for windows with smaller pages");
	need->pluggable = guest->largest - guest->ram;
}

/**
 * need_guest() - compute the need of a guest
 * @need: receives the need; the caller frees it with need_free()
 * @argc: number of arguments of QEMU
 * @argv: the arguments
 * @is_pseries: true if the host is a hypervisor's guest itself
 * @err: receives the reason for a failure
 *
 * Return: 0, or -1
 */
int need_guest(struct need *need, int argc, char **argv, bool is_pseries,
	       struct error *err)
{
	struct guest guest = { 0 };
	int ret;

	*need = (struct need){ 0 };
	ret = parse_guest(&guest, argc, argv, err);
	if (!ret) {
		guest_need(need, &guest, is_pseries);
		need->devices = guest.devices;
	}
	names_free(&guest.bridges);
	names_free(&guest.backends);
	free(guest.sizes);
	return ret;
}

static uint64_t count_hugepages(const struct source *source, uint64_t *least)
{
	static const char directory[] = "sys/kernel/mm/hugepages";
	uint64_t page, count, bytes = 0;
	char path[128], *line, *end;
	struct names names;
	size_t i;

	source_list(source, directory, &names);
	for (i = 0; i < names.count; i++) {
		if (strncmp(names.name[i], "hugepages-", 10))
			continue;
		page = strtoull(names.name[i] + 10, &end, 10) * KIB;
		snprintf(path, sizeof(path), "%s/%.40s/nr_hugepages", directory,
			 names.name[i]);
		line = source_line(source, path);
		if (line && parse_number(line, &count) && count && page &&
		    count < UINT64_MAX / page / 64) {
			bytes += count * page;
			if (!*least || page < *least)
				*least = page;
		}
		free(line);
	}
	names_free(&names);
	return bytes;
}

/* Adds the numbers of MiB in "1024,1024". */
static bool parse_list(const char *list, uint64_t *bytes)
{
	uint64_t mib;
	char *end;

	*bytes = 0;
	do {
		if (!isdigit((unsigned char)*list))
			return false;
		mib = strtoull(list, &end, 10);
		list = end + 1;
		if (mib >= 1ULL << 40 ||
		    __builtin_add_overflow(*bytes, mib * MIB, bytes))
			return false;
	} while (*end == ',');
	return !*end;
}

/* True for "-m1024", which DPDK reads as "-m 1024" */
static bool is_joined(const char *word, const char *name)
{
	return strlen(name) == 2 && !strncmp(word, name, 2) &&
	       isdigit((unsigned char)word[2]);
}

static const char *dpdk_option(int argc, char **argv, const char *name)
{
	size_t length = strlen(name);
	int i;

	for (i = 0; i < argc && argv[i] && strcmp(argv[i], "--"); i++) {
		if (!strncmp(argv[i], name, length) && argv[i][length] == '=')
			return argv[i] + length + 1;
		if (!strcmp(argv[i], name) && i + 1 < argc)
			return argv[i + 1];
		if (is_joined(argv[i], name))
			return argv[i] + length;
	}
	return NULL;
}

/* Finds an option that only DPDK has: "NAME", or "NAME=VALUE". Returns NULL for another word. */
static const char *dpdk_name(const char *word)
{
	static const char * const names[] = {
		"--socket-mem", "--socket-limit", "--legacy-mem", "--file-prefix",
		"--in-memory", "--huge-dir", "--huge-unlink", "--single-file-segments",
	};
	size_t length = strcspn(word, "="), i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		if (strlen(names[i]) == length && !strncmp(word, names[i], length))
			return names[i];
	}
	return NULL;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/**
 * need_program() - recognize QEMU and DPDK
 * @argc: number of words of the command line
 * @argv: the words, with the name of the program
 *
 * Return: PROGRAM_GUEST for QEMU, PROGRAM_DPDK for DPDK, PROGRAM_RUNNING for another program
 */
enum program need_program(int argc, char **argv)
{
	int i;

	if (argc && strstr(base_name(argv[0]), "qemu"))
		return PROGRAM_GUEST;
	if (argc && !strncmp(base_name(argv[0]), "dpdk-", 5))
		return PROGRAM_DPDK;
	for (i = 1; i < argc && strcmp(argv[i], "--"); i++) {
		if (dpdk_name(argv[i]))
			return PROGRAM_DPDK;
	}
	return PROGRAM_RUNNING;
}

/* Adds ",KEY=VALUE" of the options of QEMU to a text. */
static char *keep_option(char *text, const char *options, const char *key)
{
	char *value = get_value(options, key, ""), *longer;

	if (value && !strchr(value, ',') &&
	    asprintf(&longer, "%s,%s=%s", text, key, value) >= 0) {
		free(text);
		text = longer;
	}
	free(value);
	return text;
}

/* Copies the parts of the value of an option of QEMU that decide the need; NULL without any. */
static char *keep_qemu(const char *option, const char *options)
{
	char *type, *kept = NULL;

	option = qemu_option(option);
	if (is_machine(option))
		return keep_option(copy_text("pseries"), options, "memory-backend");
	if (!strcmp(option, "-device"))
		type = get_value(options, "driver", "driver");
	else if (!strcmp(option, "-object"))
		type = get_value(options, "qom-type", "qom-type");
	else
		return NULL;
	if (type && !strcmp(option, "-object") && is_backend(type)) {
		kept = keep_option(copy_text(type), options, "id");
		kept = keep_option(kept, options, "size");
	} else if (type && !strcmp(option, "-device") &&
		   (is_dimm(type) || is_vfio(type))) {
		kept = keep_option(copy_text(type), options, "memdev");
		kept = keep_option(kept, options, "bus");
	}
	free(type);
	return kept;
}

/**
 * need_keep() - copy an argument that decides the need, without its other data
 * @word: the argument
 * @next: the next argument, or NULL
 * @value: receives a copy of the part of @next that decides the need, which the caller frees;
 *	NULL if @next is a separate argument
 *
 * Return: a copy of the part of @word that decides the need, which the caller frees, or NULL
 */
char *need_keep(const char *word, const char *next, char **value)
{
	const char *name = dpdk_name(word);

	*value = NULL;
	if (!strcmp(word, "--") || is_joined(word, "-m"))
		return copy_text(word);
	if (name && strncmp(name, "--socket-", 9))
		return copy_text(name);
	if (name && word[strlen(name)])
		return copy_text(word);
	if (!next)
		return NULL;
	*value = name || !strcmp(qemu_option(word), "-m") ? copy_text(next) :
							 keep_qemu(word, next);
	return *value ? copy_text(word) : NULL;
}

/* DPDK may allocate more hugepages than -m or --socket-mem says, unless an option forbids it. */
static bool can_grow(int argc, char **argv)
{
	int i;

	for (i = 0; i < argc && strcmp(argv[i], "--"); i++) {
		if (!strcmp(argv[i], "--legacy-mem") ||
		    !strncmp(argv[i], "--socket-limit", 14))
			return false;
	}
	return true;
}

/**
 * need_dpdk() - compute the need of a DPDK program
 * @need: receives the need; the caller frees it with need_free()
 * @argc: number of arguments of the program
 * @argv: the arguments; those after "--" are not DPDK's
 * @source: the host, whose hugepages DPDK may use
 * @is_pseries: true if the host is a hypervisor's guest itself
 * @err: receives the reason for a failure
 *
 * Return: 0, or -1
 */
int need_dpdk(struct need *need, int argc, char **argv,
	      const struct source *source, bool is_pseries, struct error *err)
{
	const char *memory = dpdk_option(argc, argv, "--socket-mem") ?:
			     dpdk_option(argc, argv, "-m");
	uint64_t page = 0, all = count_hugepages(source, &page), bytes = all;
	char text[24];

	*need = (struct need){ 0 };
	if (memory && !parse_list(memory, &bytes))
		return fail(err, "%.200s is no size in MiB", memory);
	if (!bytes)
		return fail(err, "the host has no hugepages, and neither -m nor --socket-mem is given");
	page = page ?: 2 * MIB;
	need_add(need, bytes, memory ? "hugepages of the program" :
		 "all hugepages of the host, because neither -m nor --socket-mem is given");
	need_add(need, table_bytes(DPDK_END, page, is_pseries),
		 "table of the window (up to 1 TiB, pages of %s)", size_text(page, text));
	need_add(need, DPDK_OTHER, "other memory");
	need->devices = 1;
	need->is_dpdk = true;
	if (all > bytes && can_grow(argc, argv))
		need->pluggable = all - bytes;
	return 0;
}
