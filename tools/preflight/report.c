// SPDX-License-Identifier: GPL-2.0-only
/*
 * Collects the results, and prints them as text or as JSON.
 *
 * Strings in the results may come from a damaged file. The text therefore has
 * no control characters, and the JSON is always valid and in UTF-8.
 * tce2-preflight(8) documents the JSON. Later versions may add members to it,
 * but must not change existing members.
 *
 * Calls: text.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "preflight.h"

#define JSON_FORMAT	1

static const char * const status_names[] = { "ok", "note", "unknown", "fail" };

static const char * const symbol_names[] = {
	[SYMBOL_NOT_LOOKED_UP]	= "not-looked-up",
	[SYMBOL_OK]		= "ok",
	[SYMBOL_NO_CRC]		= "crc-unknown",
	[SYMBOL_WEAK_ABSENT]	= "weak-absent",
	[SYMBOL_MISSING]	= "missing",
	[SYMBOL_CRC_DIFFERS]	= "crc-differs",
	[SYMBOL_CRC_ABSENT]	= "crc-absent",
	[SYMBOL_GPL_ONLY]	= "gpl-only",
	[SYMBOL_NAMESPACE]	= "namespace",
};

/**
 * report_add() - add a finding
 * @report: the report
 * @status: result of the check
 * @check: name of the check
 * @format: the result in words, as for printf()
 */
void report_add(struct report *report, enum status status, const char *check,
		const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	text = format_text(format, args);
	va_end(args);

	report->finding = grow(report->finding, report->findings,
			       sizeof(*report->finding));
	report->finding[report->findings++] = (struct finding){
		.check = check,
		.status = status,
		.text = text,
	};
}

/**
 * report_row() - add the comparison of a layout record
 * @report: the report
 * @row: the comparison
 */
void report_row(struct report *report, const struct layout_row *row)
{
	report->row = grow(report->row, report->rows, sizeof(*report->row));
	report->row[report->rows++] = *row;
}

/**
 * report_free() - free the memory of a report
 * @report: the report
 */
void report_free(struct report *report)
{
	size_t i;

	for (i = 0; i < report->findings; i++)
		free(report->finding[i].text);
	free(report->finding);
	free(report->row);
}

/**
 * report_verdict() - find the worst status of all findings
 * @report: the report
 *
 * A note counts as STATUS_OK.
 *
 * Return: STATUS_OK, STATUS_UNKNOWN or STATUS_FAIL
 */
enum status report_verdict(const struct report *report)
{
	enum status worst = STATUS_OK;
	size_t i;

	for (i = 0; i < report->findings; i++) {
		if (report->finding[i].status > worst)
			worst = report->finding[i].status;
	}
	return worst == STATUS_NOTE ? STATUS_OK : worst;
}

static size_t count_findings(const struct report *report, enum status status)
{
	size_t i, count = 0;

	for (i = 0; i < report->findings; i++)
		count += report->finding[i].status == status;
	return count;
}

static void print_findings(const struct report *report, enum status status)
{
	size_t i;

	for (i = 0; i < report->findings; i++) {
		if (report->finding[i].status != status)
			continue;
		printf("  %-8s %-11s ", status_names[status],
		       report->finding[i].check);
		print_clean(report->finding[i].text);
		putchar('\n');
	}
}

static bool all_ok(const struct report *report, const char *check)
{
	size_t i;

	for (i = 0; i < report->findings; i++) {
		if (!strcmp(report->finding[i].check, check) &&
		    report->finding[i].status != STATUS_OK)
			return false;
	}
	return true;
}

/* Prints the names of the checks that have only "ok" findings, in one line. */
static void print_good(const struct report *report)
{
	const char *before = "";
	size_t i;

	for (i = 0; i < report->findings; i++) {
		const char *check = report->finding[i].check;

		if (!all_ok(report, check) || !strcmp(before, check))
			continue;
		if (*before)
			printf(", %s", check);
		else
			printf("  %-8s %s", status_names[STATUS_OK], check);
		before = check;
	}
	if (*before)
		putchar('\n');
}

static void print_verdict(const struct report *report,
			  const struct module *module,
			  const struct target *target)
{
	static const char * const verdicts[] = {
		[STATUS_OK]		= "will work",
		[STATUS_UNKNOWN]	= "unknown",
		[STATUS_FAIL]		= "will not work",
	};
	enum status verdict = report_verdict(report);

	print_clean(module->name);
	putchar(' ');
	print_clean(module->version ? module->version : "(no version)");
	fputs(" on ", stdout);
	print_clean(target->release[0] ? target->release :
		    "a kernel of unknown release");
	printf(": %s", verdicts[verdict]);
	if (verdict == STATUS_FAIL)
		printf(" (%zu reason%s)", count_findings(report, verdict),
		       count_findings(report, verdict) == 1 ? "" : "s");
	putchar('\n');
}

static void print_symbols(const struct module *module)
{
	const struct import *import = module->import;
	size_t i;

	printf("\n%-40s %-14s %-11s %s\n", "symbol", "built against", "kernel",
	       "result");
	for (i = 0; i < module->imports; i++, import++) {
		char built[16] = "-", kernel[16] = "-";

		if (import->has_crc)
			snprintf(built, sizeof(built), "0x%08x", import->crc);
		if (import->target_crc)
			snprintf(kernel, sizeof(kernel), "0x%08x",
				 import->target_crc);
		print_clean(import->name);
		printf("%*s %-14s %-11s %s\n",
		       strlen(import->name) < 40 ?
		       (int)(40 - strlen(import->name)) : 0, "",
		       built, kernel, symbol_names[import->status]);
	}
}

static void print_rows(const struct report *report)
{
	const struct layout_row *row = report->row;
	size_t i;

	printf("\n%-56s %-11s %-11s %s\n", "member (offset, size)",
	       "built with", "kernel", "result");
	for (i = 0; i < report->rows; i++, row++) {
		char name[72], built[24], kernel[24] = "-";

		snprintf(name, sizeof(name), "%s%s%s", row->object,
			 row->member[0] ? "." : "", row->member);
		snprintf(built, sizeof(built), "%u, %u", row->offset,
			 row->size);
		if (row->found)
			snprintf(kernel, sizeof(kernel), "%u, %u",
				 row->target_offset, row->target_size);
		print_clean(name);
		printf("%*s %-11s %-11s %s\n",
		       strlen(name) < 56 ? (int)(56 - strlen(name)) : 0, "",
		       built, kernel, status_names[row->status]);
	}
}

/**
 * report_human() - print the results as text
 * @report: the report
 * @module: the module
 * @target: the kernel
 * @verbose: true to also print each "ok" finding, each symbol and each member
 */
void report_human(const struct report *report, const struct module *module,
		  const struct target *target, bool verbose)
{
	print_verdict(report, module, target);
	print_findings(report, STATUS_FAIL);
	print_findings(report, STATUS_UNKNOWN);
	print_findings(report, STATUS_NOTE);
	if (!verbose) {
		print_good(report);
		return;
	}
	print_findings(report, STATUS_OK);
	print_symbols(module);
	if (report->rows)
		print_rows(report);
}

/* Prints a member with a string value, after another member. */
static void json_member(const char *name, const char *value)
{
	printf(",\"%s\":", name);
	json_string(value);
}

/* Prints a member with a path, or with null if the path is empty. */
static void json_path(const char *name, const char *path)
{
	json_member(name, path[0] ? path : NULL);
}

static void json_crc(const char *name, bool known, uint32_t crc)
{
	char text[16];

	snprintf(text, sizeof(text), "0x%08x", crc);
	json_member(name, known ? text : NULL);
}

static void json_module(const struct module *module)
{
	fputs(",\n\"module\":{\"file\":", stdout);
	json_string(module->path);
	json_member("name", module->name);
	json_member("version", module->version);
	json_member("vermagic", module->vermagic);
	fputs("}", stdout);
}

static void json_target(const struct target *target)
{
	fputs(",\n\"target\":{\"release\":", stdout);
	json_string(target->release[0] ? target->release : NULL);
	json_path("modules", target->modules);
	json_path("symvers", target->symvers);
	json_path("config", target->config);
	json_path("vmlinux", target->vmlinux);
	json_member("vermagic", target->vermagic);
	fputs("}", stdout);
}

static void json_findings(const struct report *report)
{
	size_t i;

	fputs(",\n\"checks\":[", stdout);
	for (i = 0; i < report->findings; i++) {
		fputs(i ? ",\n{\"check\":" : "\n{\"check\":", stdout);
		json_string(report->finding[i].check);
		json_member("status", status_names[report->finding[i].status]);
		json_member("text", report->finding[i].text);
		fputs("}", stdout);
	}
	fputs("]", stdout);
}

static void json_symbols(const struct module *module)
{
	const struct import *import = module->import;
	size_t i;

	fputs(",\n\"symbols\":[", stdout);
	for (i = 0; i < module->imports; i++, import++) {
		fputs(i ? ",\n{\"name\":" : "\n{\"name\":", stdout);
		json_string(import->name);
		json_member("status", symbol_names[import->status]);
		json_crc("built", import->has_crc, import->crc);
		json_crc("kernel", import->target_crc, import->target_crc);
		json_path("owner", import->owner);
		json_path("namespace", import->space);
		fputs("}", stdout);
	}
	fputs("]", stdout);
}

static void json_place(const char *name, bool known, uint32_t offset,
		       uint32_t size)
{
	if (known)
		printf(",\"%s\":{\"offset\":%u,\"size\":%u}", name, offset,
		       size);
	else
		printf(",\"%s\":null", name);
}

static void json_rows(const struct report *report)
{
	const struct layout_row *row = report->row;
	size_t i;

	fputs(",\n\"layout\":[", stdout);
	for (i = 0; i < report->rows; i++, row++) {
		fputs(i ? ",\n{\"struct\":" : "\n{\"struct\":", stdout);
		json_string(row->object);
		json_path("member", row->member);
		json_member("status", status_names[row->status]);
		json_place("built", true, row->offset, row->size);
		json_place("kernel", row->found, row->target_offset,
			   row->target_size);
		fputs("}", stdout);
	}
	fputs("]", stdout);
}

static void json_begin(enum status verdict, const char *error)
{
	printf("{\"format\":%d,\"verdict\":\"%s\"", JSON_FORMAT,
	       status_names[verdict]);
	json_member("error", error);
}

/**
 * report_json() - print the results as JSON
 * @report: the report
 * @module: the module
 * @target: the kernel
 */
void report_json(const struct report *report, const struct module *module,
		 const struct target *target)
{
	json_begin(report_verdict(report), NULL);
	json_module(module);
	json_target(target);
	json_findings(report);
	json_symbols(module);
	json_rows(report);
	puts("}");
}

/**
 * report_json_error() - print an error as JSON, instead of results
 * @text: the reason
 */
void report_json_error(const char *text)
{
	json_begin(STATUS_UNKNOWN, text);
	puts("}");
}
