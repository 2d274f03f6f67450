// SPDX-License-Identifier: GPL-2.0-only
/*
 * Command "status": the modules, and the backend of each open container.
 *
 * The module lists its own containers. A process that has more containers open than the
 * module lists uses the in-tree driver for the others, or no backend.
 *
 * Calls: host, process, records, table, json.
 */
#include <stdlib.h>
#include <string.h>

#include "tce2ctl.h"

/* Percentage in use at which a limit or a window is worth a note */
#define NEARLY_FULL	90

struct status {
	struct host host;
	struct processes processes;
	struct records containers;
	struct records windows;
	struct records refusals;
	struct findings findings;
	size_t ours;
	size_t others;
	uint64_t in_tree_users;
};

static const char *or_unknown(const char *text)
{
	return text ?: "(unknown)";
}

static void check_upgrade(struct status *status)
{
	struct host *host = &status->host;
	bool same_name = host->version && host->disk_version &&
			 !strcmp(host->version, host->disk_version);

	if (!host->installed && !host->disk_error.text[0])
		finding_add(&status->findings, GRADE_NOTE, "installed",
			    "no module is installed for %s: after a reboot the in-tree driver handles all containers",
			    host->release);
	else if (!host->disk_version && !host->disk_srcversion)
		finding_add(&status->findings, GRADE_UNKNOWN, "installed",
			    "the version on disk is unknown: %s",
			    host->disk_error.text[0] ? host->disk_error.text :
			    "the file has no version");
	else if (host_has_upgrade(host))
		finding_add(&status->findings, GRADE_FAIL, "upgrade",
			    "version %s is loaded, but %s%s is installed on disk: end the programs that use the module (use count %s), then run: modprobe -r "
			    MODULE " && modprobe " MODULE,
			    or_unknown(host->version),
			    same_name ? "another build of " : "",
			    or_unknown(host->disk_version),
			    or_unknown(host->users));
	else
		finding_add(&status->findings, GRADE_OK, "installed",
			    "%s, as loaded", or_unknown(host->disk_version));
}

static void check_absent(struct status *status)
{
	struct host *host = &status->host;

	if (host->installed)
		finding_add(&status->findings, GRADE_FAIL, "module",
			    "version %s is installed but not loaded: modprobe "
			    MODULE, or_unknown(host->disk_version));
	else if (!strcmp(host->platform, "other"))
		finding_add(&status->findings, GRADE_UNKNOWN, "module",
			    "this machine has no POWER processor, so the module cannot run here; --from reads the state of another host");
	else if (host->disk_error.text[0])
		finding_add(&status->findings, GRADE_UNKNOWN, "module",
			    "not loaded; it is unknown whether it is installed: %s",
			    host->disk_error.text);
	else
		finding_add(&status->findings, GRADE_FAIL, "module",
			    "not installed for %s: install vfio-spapr-tce2-dkms, or build the module (Documentation/install.rst)",
			    host->release[0] ? host->release :
			    "a kernel of unknown release");
}

static void check_module(struct status *status)
{
	struct host *host = &status->host;

	if (!host->loaded) {
		check_absent(status);
		return;
	}
	finding_add(&status->findings, GRADE_OK, "module", "loaded, version %s",
		    or_unknown(host->version));
	check_upgrade(status);
	if (!host->enabled)
		finding_add(&status->findings, GRADE_NOTE, "enabled",
			    "the parameter is 0, so the in-tree driver gets new containers: echo 1 >/sys/module/"
			    MODULE "/parameters/enabled");
}

static void check_in_tree(struct status *status)
{
	if (status->host.in_tree_loaded)
		finding_add(&status->findings, GRADE_OK, "in-tree",
			    IN_TREE " is loaded, use count %llu",
			    (unsigned long long)status->in_tree_users);
	else if (status->host.loaded)
		finding_add(&status->findings, GRADE_NOTE, "in-tree",
			    IN_TREE " is not loaded, so v1 containers have no backend");
}

static void check_readable(struct status *status)
{
	if (status->containers.error && status->host.loaded)
		finding_add(&status->findings, GRADE_UNKNOWN, "state", "%s",
			    status->containers.why.text);
	if (status->processes.error)
		finding_add(&status->findings, GRADE_UNKNOWN, "processes",
			    "/proc cannot be read: %s",
			    strerror(-status->processes.error));
	else if (status->processes.hidden)
		finding_add(&status->findings, GRADE_UNKNOWN, "processes",
			    "the files of %zu processes cannot be read: run tce2ctl as root",
			    status->processes.hidden);
}

/*
 * Makes the advice for a process. The number of a process outside of this pid namespace is
 * unknown; the module writes 0.
 */
static const char *advice(const struct record *record, char text[64])
{
	uint64_t pid = record_value(record, "pid");

	if (pid)
		snprintf(text, 64, "tce2ctl explain %llu", (unsigned long long)pid);
	else
		snprintf(text, 64, "run tce2ctl in the pid namespace of the host");
	return text;
}

static void check_memlock(struct status *status, const struct record *record)
{
	uint64_t locked = record_value(record, "locked");
	uint64_t limit = record_value(record, "limit");
	char text[2][24], what[64];

	if (percent(locked, limit) < NEARLY_FULL)
		return;
	finding_add(&status->findings, GRADE_NOTE, "memlock",
		    "%s (%s): %s of its limit of %s are charged: %s",
		    record_get(record, "comm") ?: "?",
		    record_get(record, "pid") ?: "?",
		    size_text(locked, text[0]), size_text(limit, text[1]),
		    advice(record, what));
}

static void check_container(struct status *status, const struct record *record)
{
	uint64_t refused = record_value(record, "refused");
	char what[64];

	check_memlock(status, record);
	if (refused)
		finding_add(&status->findings, GRADE_NOTE, "refused",
			    "%s (%s): refused requests: %llu: %s",
			    record_get(record, "comm") ?: "?",
			    record_get(record, "pid") ?: "?",
			    (unsigned long long)refused, advice(record, what));
}

/*
 * Linux maps all memory of a guest in its 64-bit window, so that this window is normally
 * full.
 */
static bool is_full_by_design(const struct record *window)
{
	return record_value(window, "kvm") && record_value(window, "page") > 4 * KIB;
}

static void check_window(struct status *status, const struct record *record)
{
	uint64_t page = record_value(record, "page");
	uint64_t tces = page ? record_value(record, "size") / page : 0;
	uint64_t mapped = record_value(record, "mapped");

	if (percent(mapped, tces) < NEARLY_FULL || is_full_by_design(record))
		return;
	finding_add(&status->findings, GRADE_NOTE, "window",
		    "container %s, window at %s: %llu of %llu TCEs are in use: tce2ctl map",
		    record_get(record, "container") ?: "?",
		    record_get(record, "start") ?: "?",
		    (unsigned long long)mapped, (unsigned long long)tces);
}

/* Counts the containers of a process that the module handles. */
static size_t count_ours(const struct records *containers, pid_t pid)
{
	size_t i, count = 0;

	for (i = 0; i < containers->count; i++)
		count += record_value(&containers->record[i], "pid") == pid;
	return count;
}

/* Finds the last refusal of a group of a process. */
static const char *attach_refusal(const struct records *refusals, pid_t pid)
{
	const char *request, *text = NULL;
	size_t i;

	for (i = 0; i < refusals->count; i++) {
		request = record_get(&refusals->record[i], "request");
		if (request && !strcmp(request, "attach") &&
		    record_value(&refusals->record[i], "pid") == pid)
			text = record_get(&refusals->record[i], "text");
	}
	return text;
}

/* Says why the module does not handle a container of a process. */
static char *why_other(const struct status *status,
		       const struct process *process)
{
	const char *refusal = attach_refusal(&status->refusals, process->pid);
	char *text = NULL;
	int length = 0;

	if (!process->groups)
		return copy_text("no group is open, so no backend is chosen yet");
	if (!status->host.loaded)
		return copy_text(MODULE " is not loaded");
	if (!status->host.enabled)
		return copy_text("the parameter enabled is 0");
	if (refusal)
		length = asprintf(&text, "the module refused a group: %s", refusal);
	else
		length = asprintf(&text, "opened before the module was loaded, or a v1 container, or inherited from another process");
	return length < 0 ? copy_text("?") : text;
}

static const char *other_backend(const struct status *status,
				 const struct process *process)
{
	if (!process->groups || !status->in_tree_users)
		return "none";
	return IN_TREE;
}

/* Number of containers of a process that the module does not list */
static size_t count_others(const struct status *status,
			   const struct process *process)
{
	size_t ours = count_ours(&status->containers, process->pid);

	return process->containers > ours ? process->containers - ours : 0;
}

static void check_process(struct status *status, const struct process *process)
{
	size_t others = count_others(status, process);
	enum grade grade = GRADE_FAIL;
	char *why;

	if (!others || (status->host.loaded && status->containers.error))
		return;
	if (!process->groups || (status->host.loaded && !status->host.enabled))
		grade = GRADE_NOTE;
	why = why_other(status, process);
	finding_add(&status->findings, grade, "container",
		    "%s (%d): backend %s for %zu of %zu containers: %s",
		    process->comm, process->pid, other_backend(status, process),
		    others, process->containers, why);
	free(why);
}

static bool has_ended(const struct source *source, uint64_t pid)
{
	char path[64], *comm;
	bool is_running;

	snprintf(path, sizeof(path), "proc/%llu/comm", (unsigned long long)pid);
	comm = source_line(source, path);
	is_running = comm;
	free(comm);
	return !is_running;
}

/* True for requests that a program makes to clean up after an error */
static bool is_cleanup(const struct record *refusal)
{
	const char *request = record_get(refusal, "request");

	return request && (!strcmp(request, "unregister") ||
			   !strcmp(request, "unmap") || !strcmp(request, "remove"));
}

/*
 * True if a process ended because of this refusal, as far as can be known: its last refusal,
 * except of a request to clean up. QEMU, for example, unregisters memory that it failed to
 * register.
 */
static bool is_cause(const struct records *refusals, size_t at)
{
	const struct record *record = &refusals->record[at];
	uint64_t pid = record_value(record, "pid");
	bool cleanup = is_cleanup(record), other;
	size_t i;

	for (i = 0; i < refusals->count; i++) {
		if (i == at || record_value(&refusals->record[i], "pid") != pid)
			continue;
		other = is_cleanup(&refusals->record[i]);
		if (other == cleanup ? i > at : cleanup)
			return false;
	}
	return true;
}

/* A program often ends after a refused request. */
static void check_ended(struct status *status, const struct source *source)
{
	const struct records *refusals = &status->refusals;
	size_t i;

	for (i = 0; i < refusals->count; i++) {
		const struct record *record = &refusals->record[i];

		if (!record_value(record, "released") ||
		    !record_value(record, "pid") || !is_cause(refusals, i) ||
		    !has_ended(source, record_value(record, "pid")))
			continue;
		finding_add(&status->findings, GRADE_NOTE, "ended",
			    "%s (%s) ended after a refused request: %s: tce2ctl explain %s",
			    record_get(record, "comm") ?: "?",
			    record_get(record, "pid") ?: "?",
			    record_get(record, "text") ?: "?",
			    record_get(record, "pid") ?: "PID");
	}
}

static void check_all(struct status *status, const struct source *source)
{
	size_t i;

	check_module(status);
	check_in_tree(status);
	check_readable(status);
	for (i = 0; i < status->processes.count; i++)
		check_process(status, &status->processes.process[i]);
	for (i = 0; i < status->containers.count; i++)
		check_container(status, &status->containers.record[i]);
	for (i = 0; i < status->windows.count; i++)
		check_window(status, &status->windows.record[i]);
	check_ended(status, source);
}

static void count_containers(struct status *status)
{
	size_t i;

	status->ours += status->containers.count;
	for (i = 0; i < status->processes.count; i++)
		status->others += count_others(status,
					       &status->processes.process[i]);
}

static void status_read(struct status *status, const struct source *source)
{
	char *users = source_line(source, "sys/module/" IN_TREE "/refcnt");

	*status = (struct status){ 0 };
	host_read(&status->host, source);
	records_read(&status->containers, source, FILE_CONTAINERS);
	records_read(&status->windows, source, FILE_WINDOWS);
	records_read(&status->refusals, source, FILE_REFUSALS);
	processes_read(&status->processes, source, &status->containers);
	if (users)
		parse_number(users, &status->in_tree_users);
	free(users);
	count_containers(status);
	check_all(status, source);
}

static void status_free(struct status *status)
{
	host_free(&status->host);
	processes_free(&status->processes);
	records_free(&status->containers);
	records_free(&status->windows);
	records_free(&status->refusals);
	findings_free(&status->findings);
}

/**
 * status_count() - count the open containers
 * @source: the source
 * @ours: receives the number of containers that the module handles
 * @others: receives the number of other containers
 */
void status_count(const struct source *source, size_t *ours, size_t *others)
{
	struct status status;

	status_read(&status, source);
	*ours = status.ours;
	*others = status.others;
	status_free(&status);
}

static void print_first(const struct status *status)
{
	const struct host *host = &status->host;

	fputs(MODULE " ", stdout);
	print_clean(host->version ?: host->disk_version ?: "(no version)");
	fputs(" on ", stdout);
	print_clean(host->release[0] ? host->release :
		    "a kernel of unknown release");
	if (!host->loaded)
		puts(": not loaded");
	else if (status->containers.error)
		puts(": loaded, containers unknown");
	else
		printf(": handles %zu of %zu containers\n", status->ours,
		       status->ours + status->others);
}

static void print_parameters(const struct host *host)
{
	struct table table = { 0 };
	size_t i;

	if (!host->parameters)
		return;
	putchar('\n');
	table_title(&table, "PARAMETER", false);
	table_title(&table, "VALUE", false);
	for (i = 0; i < host->parameters; i++) {
		table_add(&table, "%s", host->parameter[i].name);
		table_add(&table, "%s", host->parameter[i].value);
	}
	table_print(&table);
}

static void add_row(struct table *table, const char *pid, const char *comm,
		    const char *container, const char *backend, const char *why)
{
	table_add(table, "%s", pid);
	table_add(table, "%s", comm);
	table_add(table, "%s", container);
	table_add(table, "%s", backend);
	table_add(table, "%s", why);
}

static void print_backends(const struct status *status)
{
	static const char * const titles[] = {
		"PID", "COMMAND", "CONTAINER", "BACKEND", "REASON",
	};
	struct table table = { 0 };
	char pid[16], *why;
	size_t i, left;

	if (!(status->ours + status->others) ||
	    (status->host.loaded && status->containers.error))
		return;
	putchar('\n');
	for (i = 0; i < ARRAY_SIZE(titles); i++)
		table_title(&table, titles[i], !i || i == 2);
	for (i = 0; i < status->containers.count; i++) {
		const struct record *record = &status->containers.record[i];

		add_row(&table, record_get(record, "pid") ?: "?",
			record_get(record, "comm") ?: "?",
			record_get(record, "container") ?: "?", MODULE,
			record_get(record, "state") ?: "");
	}
	for (i = 0; i < status->processes.count; i++) {
		const struct process *process = &status->processes.process[i];

		snprintf(pid, sizeof(pid), "%d", process->pid);
		why = why_other(status, process);
		for (left = count_others(status, process); left; left--)
			add_row(&table, pid, process->comm, "-",
				other_backend(status, process), why);
		free(why);
	}
	table_print(&table);
}

static struct json_object *module_json(const struct host *host)
{
	struct json_object *object = json_object_start();
	struct json_object *parameters = json_object_start();
	size_t i;

	json_add(object, "loaded", json_bool_new(host->loaded));
	json_add(object, "version", json_string_new(host->version));
	json_add(object, "srcversion", json_string_new(host->srcversion));
	json_add(object, "enabled", json_bool_new(host->enabled));
	json_add(object, "installed_path",
		 json_string_new(host->installed ? host->path : NULL));
	json_add(object, "installed_version",
		 json_string_new(host->disk_version));
	json_add(object, "installed_srcversion",
		 json_string_new(host->disk_srcversion));
	json_add(object, "upgrade_pending",
		 json_bool_new(host_has_upgrade(host)));
	for (i = 0; i < host->parameters; i++) {
		char *name = clean_text(host->parameter[i].name);

		json_add(parameters, name,
			 json_string_new(host->parameter[i].value));
		free(name);
	}
	json_add(object, "parameters", parameters);
	return object;
}

static struct json_object *other_json(const struct status *status,
				      const struct process *process)
{
	struct json_object *object = json_object_start();
	char *why = why_other(status, process);

	json_add(object, "container", NULL);
	json_add(object, "pid", json_number_new(process->pid));
	json_add(object, "comm", json_string_new(process->comm));
	json_add(object, "backend",
		 json_string_new(other_backend(status, process)));
	json_add(object, "reason", json_string_new(why));
	free(why);
	return object;
}

static struct json_object *our_json(const struct record *record)
{
	struct json_object *object = json_object_start();

	json_add(object, "container",
		 json_number_new(record_value(record, "container")));
	json_add(object, "pid", json_number_new(record_value(record, "pid")));
	json_add(object, "comm", json_string_new(record_get(record, "comm")));
	json_add(object, "backend", json_string_new(MODULE));
	json_add(object, "reason", NULL);
	return object;
}

static struct json_object *backends_json(const struct status *status)
{
	struct json_object *array = json_array_new();
	size_t i, left;

	if (status->host.loaded && status->containers.error)
		return array;
	for (i = 0; i < status->containers.count; i++)
		json_append(array, our_json(&status->containers.record[i]));
	for (i = 0; i < status->processes.count; i++) {
		const struct process *process = &status->processes.process[i];

		for (left = count_others(status, process); left; left--)
			json_append(array, other_json(status, process));
	}
	return array;
}

static void print_json(const struct status *status)
{
	static const char * const results[] = {
		[EXIT_OK]	= "ok",
		[EXIT_PROBLEM]	= "fail",
		[EXIT_UNKNOWN]	= "unknown",
	};
	struct json_object *object = json_begin("status");
	const struct host *host = &status->host;

	json_add(object, "result",
		 json_string_new(results[findings_exit(&status->findings)]));
	json_add(object, "release",
		 json_string_new(host->release[0] ? host->release : NULL));
	json_add(object, "platform", json_string_new(host->platform));
	json_add(object, "module", module_json(host));
	json_add(object, "in_tree_loaded", json_bool_new(host->in_tree_loaded));
	json_add(object, "findings", findings_json(&status->findings));
	json_add(object, "containers", backends_json(status));
	json_end(object);
}

/**
 * run_status() - print the modules, and the backend of each open container
 * @request: the command line
 *
 * Return: the exit status
 */
int run_status(const struct request *request)
{
	struct status status;
	int ret;

	status_read(&status, &request->source);
	ret = findings_exit(&status.findings);
	if (request->json) {
		print_json(&status);
	} else {
		print_first(&status);
		findings_print(&status.findings);
		print_parameters(&status.host);
		print_backends(&status);
	}
	status_free(&status);
	return ret;
}
