/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Types and functions that tce2-preflight and tce2ctl share.
 *
 * Every input may be damaged or hostile. A function that finds damage returns -1
 * and stores the reason in a struct error. Strings of the input are printed only by
 * the functions of text.c.
 */
#ifndef TCE2_COMMON_H
#define TCE2_COMMON_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define PATH_SIZE	4096

#define __printf(at, from)	__attribute__((__format__(printf, at, from)))

/**
 * struct error - reason for a failure
 * @text: the reason, without a full stop
 */
struct error {
	char text[PATH_SIZE + 256];
};

int fail(struct error *err, const char *format, ...) __printf(2, 3);

/**
 * struct bytes - range of memory; another structure owns the memory
 * @data: the first byte, or NULL
 * @size: number of bytes
 */
struct bytes {
	const unsigned char *data;
	size_t size;
};

uint16_t get_le16(const unsigned char *at);
uint32_t get_le32(const unsigned char *at);
uint64_t get_le64(const unsigned char *at);

/**
 * struct file - uncompressed contents of a file
 * @bytes: the contents
 * @mapped: true if @bytes is an mmap() of the file, false if it is on the heap
 */
struct file {
	struct bytes bytes;
	bool mapped;
};

int file_read(struct file *file, const char *path, struct error *err);
void file_free(struct file *file);
bool file_exists(const char *path);

/**
 * struct elf - 64-bit little-endian POWER ELF file
 * @bytes: the file; every section lies within it
 * @type: e_type of the ELF header
 * @sections: number of section headers
 * @headers: file offset of the section headers
 * @names: contents of the section that has the section names
 * @end: end of the last section or of the section headers, whichever is higher
 */
struct elf {
	struct bytes bytes;
	unsigned int type;
	unsigned int sections;
	uint64_t headers;
	struct bytes names;
	uint64_t end;
};

int elf_open(struct elf *elf, struct bytes bytes, struct error *err);
bool elf_section(const struct elf *elf, const char *name, struct bytes *out);
int elf_symbols(const struct elf *elf, struct bytes *symbols,
		struct bytes *strings, struct error *err);
const char *string_at(struct bytes strings, uint64_t offset);
const char *modinfo_next(struct bytes modinfo, const char *key,
			 const char *after);
const char *modinfo_get(struct bytes modinfo, const char *key);

void *grow(void *array, size_t count, size_t size);
char *copy_bytes(const char *text, size_t length);
char *copy_text(const char *text);
char *format_text(const char *format, va_list args) __printf(1, 0);
size_t utf8_length(const unsigned char *at);

/* True to print only ASCII, because the terminal has no UTF-8 */
extern bool text_is_ascii;
FILE *open_string(char **string, size_t *size);
void print_clean(const char *text);
char *clean_text(const char *text);
void json_string(const char *text);
char *json_text(const char *text);
char *xml_text(const char *text);
char *metric_text(const char *text);

bool ask_in_child(void (*ask)(const void *question, char *text, size_t room),
		  const void *question, char *text, size_t room);

#define KMOD_DAMAGED	"libkmod cannot read the module indexes in %s: run depmod for this kernel"

/* Documented in tce2ctl(8) and tce2-preflight(8); scripts rely on the values. */
enum {
	EXIT_OK,
	EXIT_PROBLEM,
	EXIT_UNKNOWN,
	EXIT_USAGE,
};

/**
 * struct option_row - option of a program
 * @letter: short name, or 0
 * @name: long name, with two dashes
 * @value: name of its value, or NULL for an option without a value
 * @help: text for the usage, or NULL to leave the option out of it
 * @member: offset of a member of the request: const char * for an option with a value,
 *	bool for an option without one
 * @take: function to call instead of setting @member, or NULL
 * @is_last: true if no further option is parsed after this one
 */
struct option_row {
	char letter;
	const char *name;
	const char *value;
	const char *help;
	size_t member;
	void (*take)(void *request, const char *value);
	bool is_last;
};

/**
 * struct tool - a program and its options
 * @name: name of the program
 * @options: options, which an empty row ends; --help and --version are added
 * @width: column of the help texts in the usage
 * @print_usage: prints the usage
 */
struct tool {
	const char *name;
	const struct option_row *options;
	int width;
	void (*print_usage)(FILE *out);
};

void options_print(const struct tool *tool, FILE *out);
int options_parse(const struct tool *tool, void *request,
		  bool first_word_ends, int argc, char **argv);
int finish(const char *name, int status);

struct kmod_ctx;
char *kmod_index_path(struct kmod_ctx *ctx, const char *name);
int kmod_find_file(const char *modules, const char *name,
		   char path[PATH_SIZE], struct error *err);

#endif /* TCE2_COMMON_H */
