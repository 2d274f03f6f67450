// SPDX-License-Identifier: GPL-2.0-only
/*
 * Read the kernel log since log_mark(): count and print complaints and this module's lines.
 */
#define _GNU_SOURCE
#include "lib.h"
#include "machine.h"

#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>

#define READ_ALL	3	/* actions of klogctl() */
#define SIZE_OF_BUFFER	10

#define MARK		"tce2: mark"
#define FAULT_WORDS						\
	"BUG|Oops|UBSAN|memory corruption|"			\
	"INFO: (task|rcu|possible|trying)|MCE: |LOCKUP|"	\
	"DMA-API: |list_(add|del) corruption|refcount_t: "
#define COMPLAINT_WORDS	"WARNING|Call Trace|leak|" FAULT_WORDS
/* Lines that the kernel logs for every out-of-tree or unsigned module */
#define OF_ANY_MODULE						\
	"loading out-of-tree module taints|module verification failed"

#define LEVEL_WARNING	4
#define LEVEL_DEBUG	7
#define LEVELS		8

/* Regular expressions that a program uses: each is compiled once, for thousands of lines */
#define PATTERNS	4

/* Texts of log_expect() */
#define MAX_EXPECTED	2

/* Taint flags for a bad page, an oops, a warning and a soft lockup */
#define TAINTS		0x42a0

static const char *expected[MAX_EXPECTED];
static size_t nr_expected;
static uint64_t taints;

/**
 * struct line - a line of the kernel log
 * @text: the line, without its level
 * @level: its level, such as LEVEL_WARNING
 */
struct line {
	const char *text;
	int level;
};

/* A callback for each line of the log */
typedef void line_fn(const struct line *line, void *arg);

/*
 * Read the kernel's log; the caller frees it. The buffer's size does not include
 * the levels and times, so twice as much is read.
 */
static char *read_log(void)
{
	int size = klogctl(SIZE_OF_BUFFER, NULL, 0), len;
	char *log;

	if (size < 0)
		return NULL;
	size *= 2;
	log = malloc(size + 1);
	len = log ? klogctl(READ_ALL, log, size) : -1;
	if (len < 0) {
		free(log);
		return NULL;
	}
	log[len] = 0;
	return log;
}

static struct line line_of(char *text)
{
	struct line line = { .text = text, .level = LEVEL_DEBUG };
	unsigned int prefix;
	int used = 0;

	if (sscanf(text, "<%u>%n", &prefix, &used) == 1 && used) {
		line.level = prefix % LEVELS;
		line.text = text + used;
	}
	return line;
}

/* Return the text after the last mark, or the whole log if it has no mark */
static char *since_mark(char *log)
{
	char *from = log, *mark = log;

	while ((mark = strstr(mark, MARK))) {
		mark += strcspn(mark, "\n");
		from = mark;
	}
	return from;
}

/* Call a function for each line since the mark; false if the log can't be read */
static bool each_line(line_fn *fn, void *arg)
{
	char *log = read_log(), *rest = log;
	char *text;

	if (!log)
		return false;
	rest = since_mark(log);
	while ((text = strsep(&rest, "\n"))) {
		struct line line = line_of(text);

		if (*text)
			fn(&line, arg);
	}
	free(log);
	return true;
}

/* Return a compiled extended regular expression */
static const regex_t *compiled(const char *pattern)
{
	static struct {
		const char *pattern;
		regex_t regex;
	} known[PATTERNS];
	int i = 0;

	while (i < PATTERNS && known[i].pattern && strcmp(known[i].pattern, pattern))
		i++;
	if (i == PATTERNS)
		abort();
	if (!known[i].pattern && regcomp(&known[i].regex, pattern, REG_EXTENDED | REG_NOSUB))
		abort();
	known[i].pattern = pattern;
	return &known[i].regex;
}

static bool matches(const char *text, const char *pattern)
{
	return !regexec(compiled(pattern), text, 0, NULL, 0);
}

/* Check for a line of this module, except debug messages */
static bool is_own(const struct line *line)
{
	return strstr(line->text, OUR_MODULE ": ") &&
	       line->level != LEVEL_DEBUG &&
	       !matches(line->text, OF_ANY_MODULE);
}

static uint64_t taints_now(void)
{
	return read_number("/proc/sys/kernel/tainted") & TAINTS;
}

/* Write a mark to the kernel log: later checks begin there, and ignore earlier taints */
void log_mark(void)
{
	write_text("/dev/kmsg", "<4>" MARK);
	taints = taints_now();
}

/* Lines of this module that contain the text are not complaints */
void log_expect(const char *text)
{
	if (nr_expected < MAX_EXPECTED)
		expected[nr_expected++] = text;
}

/* Count the occurrences of a text in the whole log, including those before the mark */
size_t log_count(const char *text)
{
	char *log = read_log();
	size_t count = 0;

	for (char *at = log; at && (at = strstr(at, text)); at++)
		count++;
	free(log);
	return count;
}

/* Check that the log still has the mark; if not, other lines may be lost as well */
bool log_is_whole(void)
{
	return log_count(MARK);
}

bool no_new_taint(void)
{
	return taints_now() == taints;
}

struct words {
	const char *pattern;
	size_t lines;
};

static void count_words(const struct line *line, void *arg)
{
	struct words *words = arg;

	words->lines += matches(line->text, words->pattern) &&
			!matches(line->text, OF_ANY_MODULE);
}

/* Count the lines since the mark that match an extended regular expression */
size_t log_count_lines(const char *pattern)
{
	struct words words = { .pattern = pattern };

	return each_line(count_words, &words) ? words.lines : SIZE_MAX;
}

struct count {
	const char *text;
	int level;
	size_t lines;
};

static void count_own(const struct line *line, void *arg)
{
	struct count *count = arg;

	if (!is_own(line))
		return;
	printf("# <%d>%s\n", line->level, line->text);
	count->lines += line->level == count->level && strstr(line->text, count->text);
}

/* Print this module's lines; return the number with the given text and level */
size_t log_count_own(const char *text, int level)
{
	struct count count = { .text = text, .level = level };

	return each_line(count_own, &count) ? count.lines : SIZE_MAX;
}

struct complaint {
	const char *prefix;
	const char *words;
	size_t lines;
};

static bool is_expected(const char *text)
{
	for (size_t i = 0; i < nr_expected; i++) {
		if (strstr(text, expected[i]))
			return true;
	}
	return false;
}

static void print_complaint(const struct line *line, void *arg)
{
	struct complaint *complaint = arg;
	bool is_complaint = matches(line->text, complaint->words) &&
			    !matches(line->text, OF_ANY_MODULE);

	if (is_own(line) && !is_expected(line->text))
		is_complaint = true;
	if (!is_complaint)
		return;
	printf("%s%s\n", complaint->prefix, line->text);
	complaint->lines++;
}

/* Print each complaint with a prefix; return their number */
size_t log_print_complaints(const char *prefix, enum complaints which)
{
	struct complaint complaint = {
		.prefix = prefix,
		.words = which == FAULTS_ONLY ? FAULT_WORDS : COMPLAINT_WORDS,
	};

	return each_line(print_complaint, &complaint) ? complaint.lines :
							SIZE_MAX;
}
