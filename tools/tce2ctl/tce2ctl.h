/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * tce2ctl: types and functions that its files share.
 *
 * Data flows one way:
 *
 *	source -> records, host, process -> the commands -> table, json, text
 *
 * All names in the state may be hostile: a tenant chooses the name of its process.
 * Only the functions of table, json and text print them.
 */
#ifndef TCE2CTL_H
#define TCE2CTL_H

#include <stdarg.h>
#include <stdio.h>
#include <sys/types.h>

#include "../common/common.h"

#define MODULE		"vfio_spapr_tce2"
#define IN_TREE		"vfio_iommu_spapr_tce"
#define DEBUGFS		"sys/kernel/debug/" MODULE
/* First line of a report */
#define REPORT_FIRST	"tce2ctl report 1"
/* Entry of a report: version of the module that is installed */
#define INSTALLED	"tce2ctl/installed"
#define KIB		1024ULL
#define MIB		(1024 * KIB)
#define GIB		(1024 * MIB)
#define TIB		(1024 * GIB)

/**
 * struct source - origin of the state: this host, a saved tree, or a report
 * @root: directory of the tree; empty for this host
 * @is_live: true for this host
 * @entry: files and links of a report, in the order of the report; NULL for a tree
 * @entries: number of entries
 * @text: text of the report, in which the entries lie
 *
 * Paths of a source have no leading slash.
 */
struct source {
	char root[PATH_SIZE];
	bool is_live;
	struct source_entry *entry;
	size_t entries;
	char *text;
};

/**
 * struct names - names in a directory
 * @name: sorted names, on the heap
 * @count: number of names
 */
struct names {
	char **name;
	size_t count;
};

int source_open(struct source *source, const char *path, struct error *err);
int source_read(const struct source *source, const char *path, char **text,
		size_t *size);
typedef void (*visit_link)(void *data, const char *name, const char *to);
int source_links(const struct source *source, const char *directory,
		 visit_link visit, void *data);
int source_list(const struct source *source, const char *directory,
		struct names *names);
char *source_line(const struct source *source, const char *path);
void names_free(struct names *names);
void source_close(struct source *source);

/**
 * enum kind - kind of a value in a record
 * @KIND_NUMBER: a number
 * @KIND_BYTES: a number of bytes
 * @KIND_LIMIT: a number of bytes or "unlimited"
 * @KIND_TIME: a number of milliseconds
 * @KIND_FLAG: 0 or 1
 * @KIND_ERRNO: an errno above 0
 * @KIND_USE: percentage of TCEs in use, which is no value of the file
 * @KIND_ADDRESS: an address in hexadecimal
 * @KIND_WORD: a word of a fixed set
 * @KIND_TEXT: any text, in the worst case chosen by a tenant
 * @KIND_LIST: texts, with commas between them
 * @KIND_COUNTS: names, each with a colon and a number, with commas between them
 */
enum kind {
	KIND_NUMBER,
	KIND_BYTES,
	KIND_LIMIT,
	KIND_TIME,
	KIND_FLAG,
	KIND_ERRNO,
	KIND_USE,
	KIND_ADDRESS,
	KIND_WORD,
	KIND_TEXT,
	KIND_LIST,
	KIND_COUNTS,
};

/**
 * struct key - key of the records of a file
 * @name: name in the file and in JSON
 * @kind: kind of the value
 * @title: title of the column in a table; NULL if the table has no such column
 */
struct key {
	const char *name;
	enum kind kind;
	const char *title;
};

/* Files of the module in debugfs */
enum file_id {
	FILE_VERSION,
	FILE_CONTAINERS,
	FILE_GROUPS,
	FILE_WINDOWS,
	FILE_REGIONS,
	FILE_MAPPINGS,
	FILE_REFUSALS,
	FILES
};

/**
 * struct record - line of a file
 * @key: keys of the line
 * @value: values of the keys; a text is unescaped, a list is not
 * @count: number of keys
 */
struct record {
	const char **key;
	char **value;
	size_t count;
};

/**
 * struct records - contents of a file
 * @id: the file
 * @error: 0, or a negative errno; -EPROTO for an unknown format
 * @why: the error in words, with advice
 * @record: the records
 * @count: number of records
 */
struct records {
	enum file_id id;
	int error;
	struct error why;
	struct record *record;
	size_t count;
	char *text;
	const char **keys;
	char **values;
};

extern const char * const file_names[FILES];
const struct key *file_keys(enum file_id id);
void records_read(struct records *records, const struct source *source,
		  enum file_id id);
void records_free(struct records *records);
const char *record_get(const struct record *record, const char *key);
bool record_number(const struct record *record, const char *key,
		   uint64_t *number);
uint64_t record_value(const struct record *record, const char *key);
char *next_count(char **rest, uint64_t *number);
bool parse_number(const char *text, uint64_t *number);
char *unescape(char *text);

/**
 * struct parameter - parameter of a loaded module
 * @name: the name
 * @value: the value
 */
struct parameter {
	char *name;
	char *value;
};

/**
 * struct host - modules and kernel of the host
 * @release: `uname -r`; empty if unknown
 * @platform: "powernv", "pseries", "other" for a machine without POWER, or "unknown"
 * @loaded: true if the module is loaded
 * @version: version of the loaded module, or NULL
 * @srcversion: checksum of the sources of the loaded module, or NULL
 * @users: use count of the loaded module, or NULL
 * @parameter: parameters of the loaded module
 * @parameters: number of parameters
 * @enabled: true if the module handles new containers
 * @installed: true if a module is installed for the kernel
 * @path: path of the installed module
 * @disk_version: version of the installed module, or NULL
 * @disk_srcversion: checksum of the sources of the installed module, or NULL
 * @disk_error: reason why nothing is known about the installed module; empty if it is
 * @in_tree_loaded: true if the in-tree driver is loaded or built in
 */
struct host {
	char release[256];
	const char *platform;
	bool loaded;
	char *version;
	char *srcversion;
	char *users;
	struct parameter *parameter;
	size_t parameters;
	bool enabled;
	bool installed;
	char path[PATH_SIZE];
	char *disk_version;
	char *disk_srcversion;
	struct error disk_error;
	bool in_tree_loaded;
};

void host_read(struct host *host, const struct source *source);
bool host_has_upgrade(const struct host *host);
void host_free(struct host *host);
const char *host_parameter(const struct host *host, const char *name);

/**
 * struct process - process that has a file of VFIO open
 * @pid: the process
 * @comm: its name
 * @containers: number of file descriptors of containers
 * @groups: number of file descriptors of groups
 * @uses: number of uses of the module vfio by these files and by files of devices
 * @files: size of its table of files, or 0 if unknown
 * @is_kernel: it is a thread of the kernel
 * @is_read: the file descriptors were read
 * @error: 0, or the negative errno of reading its file descriptors
 */
struct process {
	pid_t pid;
	char *comm;
	size_t containers;
	size_t groups;
	uint64_t uses;
	uint64_t files;
	bool is_kernel;
	bool is_read;
	int error;
};

/**
 * struct processes - all processes that have a file of VFIO open
 * @process: the processes, sorted by number
 * @count: number of processes
 * @hidden: number of processes whose file descriptors may not be read
 * @error: 0, or the negative errno of reading /proc
 */
struct processes {
	struct process *process;
	size_t count;
	size_t hidden;
	int error;
};

void processes_read(struct processes *processes, const struct source *source,
		    const struct records *containers);
void processes_free(struct processes *processes);
char *process_comm(const struct source *source, pid_t pid);

/**
 * struct table - table that is printed with aligned columns
 * @cell: cells, row by row; the first row has the titles
 * @cells: number of cells
 * @columns: number of columns
 * @right: bit mask of the columns that are aligned to the right
 */
struct table {
	char **cell;
	size_t cells;
	size_t columns;
	uint64_t right;
};

void table_title(struct table *table, const char *title, bool right);
void table_add(struct table *table, const char *format, ...) __printf(2, 3);
void table_print(struct table *table);
char *table_text(struct table *table);
void table_end(struct table *table, bool print);
uint64_t percent(uint64_t part, uint64_t whole);
size_t terminal_width(void);
size_t text_width(const char *text);
char *size_text(uint64_t bytes, char text[24]);

struct json_object;
struct json_object *json_string_new(const char *text);
struct json_object *json_number_new(uint64_t number);
struct json_object *json_double_new(double number);
struct json_object *json_bool_new(bool value);
struct json_object *json_array_new(void);
struct json_object *json_object_start(void);
void json_append(struct json_object *array, struct json_object *value);
struct json_object *json_begin(const char *command);
void json_add(struct json_object *object, const char *name,
	      struct json_object *value);
struct json_object *json_record(const struct records *records,
				const struct record *record);
void json_end(struct json_object *object);
void json_end_line(struct json_object *object);

/**
 * enum grade - severity of a finding, as in tce2-preflight
 * @GRADE_OK: nothing to do
 * @GRADE_NOTE: information
 * @GRADE_UNKNOWN: the state could not be read
 * @GRADE_FAIL: a problem
 */
enum grade {
	GRADE_OK,
	GRADE_NOTE,
	GRADE_UNKNOWN,
	GRADE_FAIL,
};

/**
 * struct finding - a fact and advice
 * @grade: severity
 * @topic: subject in one word
 * @text: the fact and the advice
 */
struct finding {
	enum grade grade;
	const char *topic;
	char *text;
};

/**
 * struct findings - findings of a command
 * @finding: the findings
 * @count: number of findings
 */
struct findings {
	struct finding *finding;
	size_t count;
};

void finding_add(struct findings *findings, enum grade grade,
		 const char *topic, const char *format, ...) __printf(4, 5);
int findings_exit(const struct findings *findings);
void findings_print(const struct findings *findings);
struct json_object *findings_json(const struct findings *findings);
void findings_free(struct findings *findings);

/* The program whose arguments "explain" gets */
enum program {
	PROGRAM_RUNNING,
	PROGRAM_GUEST,
	PROGRAM_DPDK,
};

/**
 * struct need_item - part of a need or of a charge
 * @what: name of the part
 * @bytes: its size
 */
struct need_item {
	char *what;
	uint64_t bytes;
};

/**
 * struct need - memory that is charged to RLIMIT_MEMLOCK
 * @item: the parts
 * @items: number of parts
 * @bytes: sum of the parts
 * @pluggable: memory that a guest or a DPDK program can get in addition
 * @is_dpdk: the program uses DPDK
 * @devices: number of devices passed through to a guest
 */
struct need {
	struct need_item *item;
	size_t items;
	uint64_t bytes;
	uint64_t pluggable;
	bool is_dpdk;
	size_t devices;
};

void need_add(struct need *need, uint64_t bytes, const char *format,
	      ...) __printf(3, 4);
int need_guest(struct need *need, int argc, char **argv, bool is_pseries,
	       struct error *err);
int need_dpdk(struct need *need, int argc, char **argv,
	      const struct source *source, bool is_pseries, struct error *err);
enum program need_program(int argc, char **argv);
char *need_keep(const char *word, const char *next, char **value);
void need_free(struct need *need);

/**
 * struct output - file that standard output writes to
 * @path: path of the file, or NULL
 * @temporary: path of the new file until it replaces the old file
 */
struct output {
	const char *path;
	char temporary[PATH_SIZE];
};

int output_begin(struct output *output, const char *path);
int output_end(struct output *output, bool keep);

/**
 * struct cells - window, divided into cells of equal size
 * @start: first bus address of the window
 * @size: size of the window
 * @page: size of its IOMMU pages
 * @count: number of cells
 * @used: mapped bytes of each cell
 * @writable: for each cell, true if a mapping in it can be written
 */
struct cells {
	uint64_t start;
	uint64_t size;
	uint64_t page;
	size_t count;
	uint64_t *used;
	bool *writable;
};

bool cells_make(struct cells *cells, const struct record *window,
		const struct records *mappings, size_t most);
unsigned int cells_percent(const struct cells *cells, size_t i);
void cells_place(const struct cells *cells, size_t i, uint64_t *first,
		 uint64_t *last);
void cells_free(struct cells *cells);

/**
 * struct map - state that is drawn
 * @containers: all containers
 * @windows: all windows
 * @mappings: all mappings
 */
struct map {
	struct records containers;
	struct records windows;
	struct records mappings;
};

int page_color(uint64_t page);
char *window_title(const struct record *window);
char *container_title(const struct records *containers, uint64_t number);

enum color {
	COLOR_AUTO,
	COLOR_ALWAYS,
	COLOR_NEVER,
};

/**
 * struct request - command line
 * @source: origin of the state
 * @from: directory or report of @source, or NULL for this host
 * @json: true to print JSON
 * @program: program whose arguments are in @argv
 * @ascii: true to draw with ASCII
 * @color: when to use colours
 * @width: columns of the terminal, or 0
 * @svg: path of the picture, or NULL
 * @output: path of the file to write, or NULL
 * @batch: true to print text, even on a terminal
 * @delay: seconds between two pictures, or 0
 * @count: number of pictures or events to show, or 0
 * @container: number of the container to show, or -1 for all
 * @argc: number of arguments of the command
 * @argv: arguments of the command
 */
struct request {
	struct source source;
	const char *from;
	bool json;
	enum program program;
	bool ascii;
	enum color color;
	long width;
	const char *svg;
	const char *output;
	bool batch;
	double delay;
	long count;
	long container;
	int argc;
	char **argv;
};

void list_cell(struct table *table, const struct record *record,
	       const struct key *key);
bool is_chosen(const struct request *request, const struct record *record);
void list_table(const struct request *request, const struct records *records);
struct json_object *list_json(const struct request *request,
			      const struct records *records);
int report_unreadable(const struct request *request, const char *command,
		      const struct error *why);

int run_status(const struct request *request);
void svg_print(const struct request *request, const struct map *map);

void status_count(const struct source *source, size_t *ours, size_t *others);

int run_explain(const struct request *request);
int run_containers(const struct request *request);
int run_groups(const struct request *request);
int run_map(const struct request *request);
int run_windows(const struct request *request);
int run_regions(const struct request *request);
int run_mappings(const struct request *request);
int run_refusals(const struct request *request);
int run_metrics(const struct request *request);
int run_top(const struct request *request);
int run_trace(const struct request *request);
int run_report(const struct request *request);

#endif /* TCE2CTL_H */
