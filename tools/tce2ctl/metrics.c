// SPDX-License-Identifier: GPL-2.0-only
/*
 * Command "metrics": the state as OpenMetrics, for the textfile collector of the
 * Prometheus node exporter and for other collectors.
 *
 * The output uses only what OpenMetrics and Prometheus' older text format have in
 * common, because the node exporter reads the older format: gauges and counters.
 *
 * Calls: host, records, status (for counts), output, text.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tce2ctl.h"

#define PREFIX	MODULE "_"

struct metrics {
	struct host host;
	struct records containers;
	struct records windows;
	size_t ours;
	size_t others;
};

static void print_family(const char *name, const char *type, const char *unit,
			 const char *help)
{
	printf("# TYPE " PREFIX "%s %s\n", name, type);
	if (unit)
		printf("# UNIT " PREFIX "%s %s\n", name, unit);
	printf("# HELP " PREFIX "%s %s\n", name, help);
}

static void print_single(const char *name, const char *help, uint64_t value)
{
	print_family(name, "gauge", NULL, help);
	printf(PREFIX "%s %llu\n", name, (unsigned long long)value);
}

static void print_label(const char *name, const char *value)
{
	char *text = metric_text(value ?: "");

	printf("%s=\"%s\"", name, text);
	free(text);
}

static void print_module(const struct metrics *metrics)
{
	const struct host *host = &metrics->host;
	uint64_t declined;

	print_family("module", "gauge", NULL,
		     "Versions of the module; the value is always 1.");
	fputs(PREFIX "module{", stdout);
	print_label("version", host->version);
	putchar(',');
	print_label("installed_version", host->disk_version);
	putchar(',');
	print_label("release", host->release);
	puts("} 1");
	print_single("loaded", "1 if the module is loaded.", host->loaded);
	print_single("enabled", "1 if the module handles new containers.",
		     host->enabled);
	print_single("upgrade_pending",
		     "1 if another version is installed than is loaded.",
		     host_has_upgrade(host));
	print_single("state_readable", "1 if the state could be read.",
		     !metrics->containers.error);
	if (parse_number(host_parameter(host, "kvm_declined") ?: "", &declined)) {
		print_family("kvm_declined", "counter", NULL,
			     "Maps and unmaps that KVM left to userspace.");
		printf(PREFIX "kvm_declined_total %llu\n",
		       (unsigned long long)declined);
	}
}

static void print_counts(const struct metrics *metrics)
{
	if (metrics->containers.error && metrics->host.loaded)
		return;
	print_single("containers", "Containers that the module handles.",
		     metrics->ours);
	print_single("other_containers",
		     "Containers that the module does not handle.",
		     metrics->others);
}

static void print_owner(const struct record *record)
{
	print_label("container", record_get(record, "container"));
	putchar(',');
	print_label("pid", record_get(record, "pid"));
	putchar(',');
	print_label("comm", record_get(record, "comm"));
}

/* Prints a sample of a record, unless its value is unknown. */
static void print_sample(const struct records *records,
			 const struct record *record, const char *name,
			 const char *request, const char *key)
{
	const char *value = record_get(record, key);
	uint64_t number = 0;
	bool is_infinite = value && !strcmp(value, "unlimited");

	if (!is_infinite && !record_number(record, key, &number))
		return;
	printf(PREFIX "%s{", name);
	if (records->id == FILE_CONTAINERS) {
		print_owner(record);
	} else {
		print_label("container", record_get(record, "container"));
		putchar(',');
		print_label("slot", record_get(record, "slot"));
	}
	if (request) {
		putchar(',');
		print_label("request", request);
	}
	if (is_infinite)
		puts("} +Inf");
	else
		printf("} %llu\n", (unsigned long long)number);
}

struct gauge {
	const char *name;
	const char *unit;
	const char *key;
	const char *help;
};

static const struct gauge container_gauges[] = {
	{ "container_charged_bytes", "bytes", "charged",
	  "Memory charged for regions and tables of the container." },
	{ "container_locked_bytes", "bytes", "locked",
	  "Memory of the owner that counts against RLIMIT_MEMLOCK." },
	{ "container_limit_bytes", "bytes", "limit",
	  "RLIMIT_MEMLOCK of the owner." },
	{ "container_groups", NULL, "groups", "IOMMU groups in the container." },
	{ "container_regions", NULL, "regions", "Registered regions." },
};

static const struct gauge window_gauges[] = {
	{ "window_size_bytes", "bytes", "size", "Size of the window." },
	{ "window_page_bytes", "bytes", "page", "Size of the IOMMU pages." },
	{ "window_mapped_tces", "tces", "mapped", "TCEs in use." },
	{ "window_table_bytes", "bytes", "table", "Memory of the TCE table." },
	{ "window_view_bytes", "bytes", "view",
	  "Memory of the module's view of the table." },
	{ "window_kvm_tables", "tables", "kvm",
	  "KVM tables that use the window." },
};

static void print_gauges(const struct records *records,
			 const struct gauge *gauge, size_t count)
{
	size_t i, j;

	for (i = 0; i < count; i++) {
		print_family(gauge[i].name, "gauge", gauge[i].unit,
			     gauge[i].help);
		for (j = 0; j < records->count; j++)
			print_sample(records, &records->record[j],
				     gauge[i].name, NULL, gauge[i].key);
	}
}

static void print_requests(const struct records *records)
{
	static const char * const requests[] = {
		"register", "unregister", "map", "unmap", "create", "remove",
		"ranges", "copy", "pin", "access",
	};
	size_t i, j;

	print_family("container_requests", "counter", NULL,
		     "Requests of the container; elements of vectors (ranges) also count as map, unmap or copy.");
	for (i = 0; i < records->count; i++) {
		for (j = 0; j < ARRAY_SIZE(requests); j++)
			print_sample(records, &records->record[i],
				     "container_requests_total", requests[j],
				     requests[j]);
	}
	print_family("container_refused", "counter", NULL,
		     "Requests that returned an error.");
	for (i = 0; i < records->count; i++)
		print_sample(records, &records->record[i],
			     "container_refused_total", NULL, "refused");
}

/* Prints how many requests each rule refused, unless the module is too old. */
static void print_rules(const struct records *records)
{
	size_t i;

	print_family("container_refusals", "counter", NULL,
		     "Requests that each rule refused.");
	for (i = 0; i < records->count; i++) {
		char *list = copy_text(record_get(&records->record[i], "rules") ?: "");
		char *rest = list, *rule;
		uint64_t number;

		while ((rule = next_count(&rest, &number))) {
			printf(PREFIX "container_refusals_total{");
			print_owner(&records->record[i]);
			putchar(',');
			print_label("rule", rule);
			printf("} %llu\n", (unsigned long long)number);
		}
		free(list);
	}
}

static void print_all(const struct metrics *metrics)
{
	print_module(metrics);
	print_counts(metrics);
	if (!metrics->containers.error) {
		print_gauges(&metrics->containers, container_gauges,
			     ARRAY_SIZE(container_gauges));
		print_requests(&metrics->containers);
		print_rules(&metrics->containers);
	}
	if (!metrics->windows.error)
		print_gauges(&metrics->windows, window_gauges,
			     ARRAY_SIZE(window_gauges));
	puts("# EOF");
}

/**
 * run_metrics() - print the state as OpenMetrics
 * @request: the command line
 *
 * Return: the exit status
 */
int run_metrics(const struct request *request)
{
	const struct source *source = &request->source;
	struct metrics metrics = { 0 };
	struct output output;
	int ret = EXIT_OK;

	text_is_ascii = false;
	host_read(&metrics.host, source);
	records_read(&metrics.containers, source, FILE_CONTAINERS);
	records_read(&metrics.windows, source, FILE_WINDOWS);
	status_count(source, &metrics.ours, &metrics.others);
	if (output_begin(&output, request->output)) {
		ret = EXIT_UNKNOWN;
	} else {
		print_all(&metrics);
		if (output_end(&output, true))
			ret = EXIT_UNKNOWN;
	}
	if (metrics.containers.error && metrics.host.loaded)
		ret = report_unreadable(request, "metrics",
					&metrics.containers.why);
	host_free(&metrics.host);
	records_free(&metrics.containers);
	records_free(&metrics.windows);
	return ret;
}
