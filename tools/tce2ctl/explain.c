// SPDX-License-Identifier: GPL-2.0-only
/*
 * Command "explain": RLIMIT_MEMLOCK of a process, a guest or a DPDK program, the setting
 * to choose, and the last refused requests.
 *
 * Calls: need, process, host, records, list, table, json.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tce2ctl.h"

#define CAP_IPC_LOCK	14

/* A process that has a limit, and the need of it */
struct explain {
	const struct request *request;
	pid_t pid;
	char *comm;
	char *unit;
	bool is_ended;
	bool has_limit;
	bool is_unlimited;
	bool has_capability;
	uint64_t limit;
	bool has_charged;
	uint64_t charged;
	struct need charges;
	bool has_need;
	struct need need;
	struct records containers;
	struct records refusals;
	struct findings findings;
	uint64_t raise;
};

/* Finds "KEY: VALUE"; returns the value, or NULL. */
static const char *find_key(const char *text, const char *key)
{
	size_t length = strlen(key);

	while (text && *text) {
		if (!strncmp(text, key, length))
			return text + length + strspn(text + length, " \t");
		text = strchr(text, '\n');
		text += text ? 1 : 0;
	}
	return NULL;
}

static char *read_proc(const struct explain *explain, const char *name,
		       size_t *size)
{
	char path[64], *text;

	if (explain->pid)
		snprintf(path, sizeof(path), "proc/%d/%s", explain->pid, name);
	else
		snprintf(path, sizeof(path), "proc/self/%s", name);
	if (source_read(&explain->request->source, path, &text, size))
		return NULL;
	return text;
}

static void read_limit(struct explain *explain)
{
	size_t size;
	char *text = read_proc(explain, "limits", &size);
	const char *value = find_key(text, "Max locked memory");

	if (value) {
		explain->is_unlimited = !strncmp(value, "unlimited", 9);
		explain->has_limit = explain->is_unlimited ||
				     isdigit((unsigned char)*value);
		explain->limit = strtoull(value, NULL, 10);
	}
	free(text);
}

static bool read_kib(const char *text, const char *key, uint64_t *bytes)
{
	const char *value = find_key(text, key);

	if (!value || !isdigit((unsigned char)*value))
		return false;
	*bytes = strtoull(value, NULL, 10) % (1ULL << 50) * KIB;
	return true;
}

static void read_status(struct explain *explain)
{
	size_t size;
	char *text = read_proc(explain, "status", &size);
	const char *value = find_key(text, "CapEff:");

	explain->has_charged = read_kib(text, "VmLck:", &explain->charged);
	explain->has_capability = value &&
				  strtoull(value, NULL, 16) >> CAP_IPC_LOCK & 1;
	free(text);
}

/* Finds the systemd service of a process: the last part of its cgroup. */
static void read_unit(struct explain *explain)
{
	size_t size, length;
	char *text = read_proc(explain, "cgroup", &size), *slash;

	if (!text)
		return;
	text[strcspn(text, "\n")] = '\0';
	slash = strrchr(text, '/');
	length = slash ? strlen(slash + 1) : 0;
	if (length > 8 && !strcmp(slash + 1 + length - 8, ".service"))
		explain->unit = copy_text(slash + 1);
	free(text);
}

static bool is_owner(const struct explain *explain, const struct record *record)
{
	return record_value(record, "pid") == explain->pid;
}

/* Removes the refusals of other processes. The module also keeps refusals of ended processes. */
static void keep_own_refusals(struct explain *explain)
{
	struct records *refusals = &explain->refusals;
	size_t i, kept = 0;

	for (i = 0; i < refusals->count; i++) {
		if (is_owner(explain, &refusals->record[i]))
			refusals->record[kept++] = refusals->record[i];
	}
	refusals->count = kept;
}

/* Splits VmLck into containers of the module, mlock() and others. */
static void read_charges(struct explain *explain)
{
	uint64_t ours = 0, locked = 0, known;
	char *rollup;
	size_t size, i;

	for (i = 0; i < explain->containers.count; i++) {
		if (is_owner(explain, &explain->containers.record[i]))
			ours += record_value(&explain->containers.record[i],
					     "charged");
	}
	rollup = read_proc(explain, "smaps_rollup", &size);
	read_kib(rollup, "Locked:", &locked);
	free(rollup);
	if (!explain->has_charged)
		return;
	/* Several containers may have the same memory, which is charged once. */
	known = locked < explain->charged ? explain->charged - locked : 0;
	if (ours > known)
		ours = known;
	need_add(&explain->charges, ours,
		 "containers of this module: registered memory and tables");
	need_add(&explain->charges, locked,
		 "memory that the process locks itself (mlock)");
	known = explain->charges.bytes;
	need_add(&explain->charges,
		 explain->charged > known ? explain->charged - known : 0,
		 "others: KVM's tables, the in-tree driver, io_uring");
}

/* Splits a command line of /proc at its NULs. */
static char **split_arguments(char *text, size_t size, int *argc)
{
	char **argv = NULL;
	size_t at;

	*argc = 0;
	for (at = 0; at < size; at += strlen(text + at) + 1) {
		argv = grow(argv, *argc, sizeof(*argv));
		argv[(*argc)++] = text + at;
	}
	return argv;
}

static bool is_pseries(const struct explain *explain)
{
	struct host host;
	bool answer;

	host_read(&host, &explain->request->source);
	answer = !strcmp(host.platform, "pseries");
	host_free(&host);
	return answer;
}

/* Computes the need of a running guest or DPDK program from its command line. */
static void read_need(struct explain *explain)
{
	size_t size;
	char *text = read_proc(explain, "cmdline", &size), **argv;
	struct error err;
	enum program program;
	int argc;

	if (!text)
		return;
	argv = split_arguments(text, size, &argc);
	program = need_program(argc, argv);
	if (program == PROGRAM_DPDK)
		explain->has_need = !need_dpdk(&explain->need, argc - 1, argv + 1,
					       &explain->request->source,
					       is_pseries(explain), &err);
	else if (program == PROGRAM_GUEST)
		explain->has_need = !need_guest(&explain->need, argc - 1, argv + 1,
						is_pseries(explain), &err);
	free(argv);
	free(text);
}

/* Rounds up to MiB, so that each setting has the same value. */
static uint64_t round_up(uint64_t bytes)
{
	return bytes > UINT64_MAX - MIB ? bytes : (bytes + MIB - 1) / MIB * MIB;
}

static unsigned long long in_mib(uint64_t bytes)
{
	return round_up(bytes) / MIB;
}

static const char *find_memlock_refusal(const struct explain *explain)
{
	const char *rule, *text = NULL;
	size_t i;

	for (i = 0; i < explain->refusals.count; i++) {
		rule = record_get(&explain->refusals.record[i], "rule");
		if (rule && strstr(rule, "memlock"))
			text = record_get(&explain->refusals.record[i], "text");
	}
	return text;
}

static void judge_need(struct explain *explain)
{
	struct findings *findings = &explain->findings;
	uint64_t need = explain->need.bytes, other = 0;
	char text[24];

	/* Memory that the process locks itself comes in addition. */
	if (explain->charges.items > 1)
		other = explain->charges.item[1].bytes;
	need = need > UINT64_MAX - other ? need : need + other;
	if (explain->is_unlimited || explain->has_capability) {
		finding_add(findings, GRADE_OK, "memlock",
			    "no limit applies: %s", explain->has_capability ?
			    "the process has CAP_IPC_LOCK" :
			    "RLIMIT_MEMLOCK is unlimited");
	} else if (!explain->has_limit) {
		explain->raise = round_up(need);
		finding_add(findings, GRADE_NOTE, "memlock",
			    "set memlock to at least %llu MiB", in_mib(need));
	} else if (explain->limit >= need) {
		finding_add(findings, GRADE_OK, "memlock",
			    "the limit of %s is enough",
			    size_text(explain->limit, text));
	} else {
		explain->raise = round_up(need);
		finding_add(findings, GRADE_FAIL, "memlock",
			    "the limit is %s: raise memlock to at least %llu MiB",
			    size_text(explain->limit, text), in_mib(need));
	}
	if (explain->need.pluggable && explain->need.is_dpdk)
		finding_add(findings, GRADE_NOTE, "hugepages",
			    "add %llu MiB if the program may use all hugepages of the host: neither --legacy-mem nor --socket-limit is given",
			    in_mib(explain->need.pluggable));
	else if (explain->need.pluggable)
		finding_add(findings, GRADE_NOTE, "maxmem",
			    "add %llu MiB to be able to plug in all memory up to maxmem",
			    in_mib(explain->need.pluggable));
	if (!explain->need.devices)
		finding_add(findings, GRADE_NOTE, "devices",
			    "the arguments have no device vfio-pci: without one, nothing is charged");
}

static void judge_unknown(struct explain *explain)
{
	struct findings *findings = &explain->findings;
	char text[2][24];

	if (explain->is_ended)
		finding_add(findings, GRADE_NOTE, "process",
			    "the process has ended; --guest or --dpdk with its arguments computes its need");
	else if (explain->is_unlimited || explain->has_capability)
		finding_add(findings, GRADE_OK, "memlock",
			    "no limit applies: %s", explain->has_capability ?
			    "the process has CAP_IPC_LOCK" :
			    "RLIMIT_MEMLOCK is unlimited");
	else if (!explain->has_limit || !explain->has_charged)
		finding_add(findings, GRADE_UNKNOWN, "memlock",
			    "limit and charge cannot be read from /proc/%d: run tce2ctl as root",
			    explain->pid);
	else
		finding_add(findings, GRADE_OK, "memlock",
			    "%s of %s are charged; the need of this program is unknown: try --guest or --dpdk with its arguments",
			    size_text(explain->charged, text[0]),
			    size_text(explain->limit, text[1]));
}

/* The limit may have been raised after the refusal. */
static void judge_refusal(struct explain *explain, const char *refusal)
{
	bool is_free = explain->is_unlimited || explain->has_capability;
	char text[24];

	if (explain->has_limit && !is_free && !explain->raise)
		finding_add(&explain->findings, GRADE_FAIL, "refused",
			    "a request was refused because of the limit: %s; raise it above %s, unless it was raised since",
			    refusal, size_text(explain->limit, text));
	else
		finding_add(&explain->findings, is_free ? GRADE_NOTE : GRADE_FAIL,
			    "refused",
			    "a request was refused because of the limit%s: %s",
			    is_free ? " that applied then" : "", refusal);
}

static void judge(struct explain *explain)
{
	const char *refusal = find_memlock_refusal(explain);

	if (explain->has_need)
		judge_need(explain);
	else
		judge_unknown(explain);
	if (refusal)
		judge_refusal(explain, refusal);
	if (explain->pid && explain->containers.error)
		finding_add(&explain->findings, GRADE_UNKNOWN, "state", "%s",
			    explain->containers.why.text);
}

static void print_items(const char *title, const struct need *need)
{
	struct table table = { 0 };
	char text[24];
	size_t i;

	if (!need->items)
		return;
	putchar('\n');
	table_title(&table, "SIZE", true);
	table_title(&table, title, false);
	for (i = 0; i < need->items; i++) {
		table_add(&table, "%s", size_text(need->item[i].bytes, text));
		table_add(&table, "%s", need->item[i].what);
	}
	table_add(&table, "%s", size_text(need->bytes, text));
	table_add(&table, "sum");
	table_print(&table);
}

/* Settings for the limit, each with the program or file that it is for */
struct setting {
	const char *name;
	const char *where;
	char *text;
};

static char *format(const char *format, ...) __printf(1, 2);
static char *format(const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	text = format_text(format, args);
	va_end(args);
	return text;
}

enum { SETTINGS = 5 };

static void make_settings(const struct explain *explain,
			  struct setting setting[SETTINGS])
{
	unsigned long long mib = in_mib(explain->raise);

	setting[0] = (struct setting){
		"systemd", "systemctl edit, below [Service]",
		format("LimitMEMLOCK=%lluM", mib) };
	setting[1] = (struct setting){
		"libvirt", "virsh edit",
		format("<memtune><hard_limit unit='MiB'>%llu</hard_limit></memtune>",
		       mib) };
	setting[2] = (struct setting){
		"shell", "before the program, as root",
		format("ulimit -l %llu", mib * 1024) };
	setting[3] = (struct setting){
		"limits", "/etc/security/limits.d/memlock.conf",
		format("USER - memlock %llu", mib * 1024) };
	setting[4] = (struct setting){
		"prlimit", "for a running process, as root",
		explain->pid ?
		format("prlimit --pid %d --memlock=%llu", explain->pid,
		       (unsigned long long)explain->raise) :
		format("prlimit --pid PID --memlock=%llu",
		       (unsigned long long)explain->raise) };
}

static void print_settings(const struct explain *explain)
{
	struct setting setting[SETTINGS];
	struct table table = { 0 };
	int i;

	if (!explain->raise)
		return;
	make_settings(explain, setting);
	putchar('\n');
	table_title(&table, "FOR", false);
	table_title(&table, "SETTING", false);
	table_title(&table, "WHERE", false);
	for (i = 0; i < SETTINGS; i++) {
		table_add(&table, "%s", setting[i].name);
		table_add(&table, "%s", setting[i].text);
		if (!i && explain->unit)
			table_add(&table, "systemctl edit %s, below [Service]",
				  explain->unit);
		else
			table_add(&table, "%s", setting[i].where);
		free(setting[i].text);
	}
	table_print(&table);
}

static void print_refusals(const struct explain *explain)
{
	if (!explain->refusals.count)
		return;
	putchar('\n');
	list_table(explain->request, &explain->refusals);
}

static void print_first(const struct explain *explain)
{
	char text[24];

	if (explain->pid) {
		print_clean(explain->comm);
		printf(" (%d): ", explain->pid);
	}
	if (!explain->has_need)
		puts("need unknown");
	else
		printf("needs %s (%llu MiB)\n",
		       size_text(explain->need.bytes, text),
		       in_mib(explain->need.bytes));
}

static struct json_object *need_json(const struct need *need)
{
	struct json_object *object = json_object_start();
	struct json_object *array = json_array_new(), *item;
	size_t i;

	json_add(object, "bytes", json_number_new(need->bytes));
	for (i = 0; i < need->items; i++) {
		item = json_object_start();
		json_add(item, "what", json_string_new(need->item[i].what));
		json_add(item, "bytes", json_number_new(need->item[i].bytes));
		json_append(array, item);
	}
	json_add(object, "items", array);
	return object;
}

static struct json_object *settings_json(const struct explain *explain)
{
	struct json_object *object;
	struct setting setting[SETTINGS];
	int i;

	if (!explain->raise)
		return NULL;
	object = json_object_start();
	make_settings(explain, setting);
	for (i = 0; i < SETTINGS; i++) {
		json_add(object, setting[i].name,
			 json_string_new(setting[i].text));
		free(setting[i].text);
	}
	return object;
}

static struct json_object *limit_json(const struct explain *explain)
{
	if (!explain->has_limit)
		return NULL;
	if (explain->is_unlimited || explain->has_capability)
		return json_string_new("unlimited");
	return json_number_new(explain->limit);
}

static void print_json(const struct explain *explain)
{
	struct json_object *object = json_begin("explain");

	json_add(object, "error", NULL);
	json_add(object, "pid",
		 explain->pid ? json_number_new(explain->pid) : NULL);
	json_add(object, "comm", json_string_new(explain->comm));
	json_add(object, "limit", limit_json(explain));
	json_add(object, "charged", explain->has_charged && explain->pid ?
		 json_number_new(explain->charged) : NULL);
	json_add(object, "charges", explain->charges.items ?
		 need_json(&explain->charges) : NULL);
	json_add(object, "need",
		 explain->has_need ? need_json(&explain->need) : NULL);
	json_add(object, "raise_to",
		 explain->raise ? json_number_new(explain->raise) : NULL);
	json_add(object, "settings", settings_json(explain));
	json_add(object, "findings", findings_json(&explain->findings));
	json_add(object, "refusals", list_json(explain->request, &explain->refusals));
	json_end(object);
}

static int print_explain(struct explain *explain)
{
	judge(explain);
	if (explain->request->json) {
		print_json(explain);
	} else {
		print_first(explain);
		findings_print(&explain->findings);
		print_items("NEEDED FOR", &explain->need);
		print_items("CHARGED FOR", &explain->charges);
		print_settings(explain);
		print_refusals(explain);
	}
	return findings_exit(&explain->findings);
}

static void explain_free(struct explain *explain)
{
	free(explain->comm);
	free(explain->unit);
	need_free(&explain->need);
	need_free(&explain->charges);
	records_free(&explain->containers);
	records_free(&explain->refusals);
	findings_free(&explain->findings);
}

/* Explains a process that has ended; the module keeps its last refusals. */
static int explain_ended(struct explain *explain)
{
	const char *comm = record_get(&explain->refusals.record[0], "comm");

	explain->comm = copy_text(comm ?: "?");
	explain->is_ended = true;
	return print_explain(explain);
}

static int explain_process(struct explain *explain)
{
	const struct source *source = &explain->request->source;
	struct error err;
	struct names names;
	char path[64];
	int error;

	snprintf(path, sizeof(path), "proc/%d", explain->pid);
	error = source_list(source, path, &names);
	names_free(&names);
	records_read(&explain->containers, source, FILE_CONTAINERS);
	records_read(&explain->refusals, source, FILE_REFUSALS);
	keep_own_refusals(explain);
	if (error == -ENOENT && explain->refusals.count)
		return explain_ended(explain);
	if (error) {
		fail(&err, "process %d: %s", explain->pid,
		     error == -ENOENT ? "no such process" : strerror(-error));
		return report_unreadable(explain->request, "explain", &err);
	}
	explain->comm = process_comm(source, explain->pid);
	read_limit(explain);
	read_status(explain);
	read_unit(explain);
	read_charges(explain);
	read_need(explain);
	return print_explain(explain);
}

/* Explains arguments of a program that does not run, so it has no limit yet. */
static int explain_arguments(struct explain *explain)
{
	const struct request *request = explain->request;
	struct error err;
	int ret;

	if (request->program == PROGRAM_GUEST)
		ret = need_guest(&explain->need, request->argc, request->argv,
				 is_pseries(explain), &err);
	else
		ret = need_dpdk(&explain->need, request->argc, request->argv,
				&request->source, is_pseries(explain), &err);
	if (ret)
		return report_unreadable(request, "explain", &err);
	explain->has_need = true;
	return print_explain(explain);
}

/**
 * run_explain() - explain RLIMIT_MEMLOCK and the last refused requests
 * @request: the command line
 *
 * Return: the exit status
 */
int run_explain(const struct request *request)
{
	struct explain explain = { .request = request };
	uint64_t pid = 0;
	int ret;

	if (request->program == PROGRAM_RUNNING &&
	    (request->argc != 1 || !parse_number(request->argv[0], &pid) ||
	     !pid || pid > INT32_MAX)) {
		fputs("tce2ctl: explain needs a process, or --guest or --dpdk with arguments; try tce2ctl --help\n",
		      stderr);
		return EXIT_USAGE;
	}
	explain.pid = pid;
	if (pid)
		ret = explain_process(&explain);
	else
		ret = explain_arguments(&explain);
	explain_free(&explain);
	return ret;
}
