// SPDX-License-Identifier: GPL-2.0-only
/*
 * Prints strings that may come from a damaged or hostile input.
 *
 * A text has no control characters, and JSON is always valid and in UTF-8. Each
 * format has its function: plain text, JSON, XML and OpenMetrics.
 *
 * Calls: nothing.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common.h"

bool text_is_ascii;

/**
 * grow() - make room for one more element in an array
 * @array: the array, or NULL
 * @count: number of elements in the array
 * @size: size of an element
 *
 * If no memory is available, ends the program with exit status 2.
 *
 * Return: the array, which may have moved
 */
void *grow(void *array, size_t count, size_t size)
{
	/* The capacity is always a power of two. */
	if (array && count & (count - 1))
		return array;
	array = reallocarray(array, count ? count * 2 : 1, size);
	if (array)
		return array;
	fprintf(stderr, "%s: out of memory\n", program_invocation_short_name);
	exit(2);
}

/**
 * copy_bytes() - copy the first bytes of a text
 * @text: the text
 * @length: number of bytes to copy, at most the length of @text
 *
 * Return: the copy, which the caller frees
 */
char *copy_bytes(const char *text, size_t length)
{
	char *copy = grow(NULL, 0, length + 1);

	memcpy(copy, text, length);
	copy[length] = '\0';
	return copy;
}

/**
 * copy_text() - copy a text
 * @text: the text
 *
 * Return: the copy, which the caller frees
 */
char *copy_text(const char *text)
{
	return copy_bytes(text, strlen(text));
}

/**
 * format_text() - print to a new string
 * @format: as for printf()
 * @args: the arguments of @format
 *
 * Return: the string, or "?" if memory is short; the caller frees it
 */
char *format_text(const char *format, va_list args)
{
	char *text;

	return vasprintf(&text, format, args) < 0 ? copy_text("?") : text;
}

/**
 * utf8_length() - find the length of a UTF-8 character
 * @at: the character, in a NUL-terminated string
 *
 * Return: the number of bytes, or 0 if they are not valid UTF-8
 */
size_t utf8_length(const unsigned char *at)
{
	size_t length, i;

	if (at[0] < 0x80)
		return 1;
	if (at[0] < 0xc2 || at[0] > 0xf4)
		return 0;
	length = at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;
	for (i = 1; i < length; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	}
	/* An overlong form, a surrogate, or a code point above U+10FFFF */
	if ((at[0] == 0xe0 && at[1] < 0xa0) ||
	    (at[0] == 0xed && at[1] > 0x9f) ||
	    (at[0] == 0xf0 && at[1] < 0x90) ||
	    (at[0] == 0xf4 && at[1] > 0x8f))
		return 0;
	return length;
}

/* Decodes a valid UTF-8 character of a length. */
static unsigned int code_point(const unsigned char *at, size_t length)
{
	unsigned int code = length == 1 ? *at : *at & (0x7f >> length);
	size_t i;

	for (i = 1; i < length; i++)
		code = code << 6 | (at[i] & 0x3f);
	return code;
}

/*
 * True for characters that move or hide other characters: line and paragraph separators,
 * controls of the direction, characters without a width, noncharacters.
 */
static bool is_invisible(unsigned int code)
{
	static const struct {
		unsigned int first;
		unsigned int last;
	} ranges[] = {
		{ 0x7f, 0x9f }, { 0xad, 0xad }, { 0x34f, 0x34f }, { 0x61c, 0x61c },
		{ 0x115f, 0x1160 }, { 0x17b4, 0x17b5 }, { 0x180b, 0x180f },
		{ 0x200b, 0x200f }, { 0x2028, 0x202e }, { 0x2060, 0x206f },
		{ 0x3164, 0x3164 }, { 0xfe00, 0xfe0f }, { 0xfeff, 0xfeff },
		{ 0xffa0, 0xffa0 }, { 0xfff0, 0xfffb }, { 0xfffe, 0xffff },
		{ 0x1d173, 0x1d17a }, { 0xe0000, 0xe0fff },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(ranges); i++) {
		if (code >= ranges[i].first && code <= ranges[i].last)
			return true;
	}
	return false;
}

/* Returns the length of a character that a terminal prints, or 0. */
static size_t printable_length(const unsigned char *at)
{
	size_t length = utf8_length(at);

	if (length == 1)
		return *at >= ' ' && *at != 127;
	if (!length || text_is_ascii || is_invisible(code_point(at, length)))
		return 0;
	return length;
}

/**
 * print_clean() - print a text without control characters
 * @text: the text
 *
 * Prints a question mark for each byte that is not part of a printable character.
 */
void print_clean(const char *text)
{
	const unsigned char *at = (const unsigned char *)text;
	size_t length;

	for (; *at; at += length ? length : 1) {
		length = printable_length(at);
		if (length)
			fwrite(at, 1, length, stdout);
		else
			putchar('?');
	}
}

/**
 * open_string() - open a stream that writes to a string on the heap
 * @string: receives the string when the stream is closed; the caller frees it
 * @size: receives the length of the string
 *
 * Return: the stream
 */
FILE *open_string(char **string, size_t *size)
{
	FILE *out = open_memstream(string, size);

	if (out)
		return out;
	fprintf(stderr, "%s: out of memory\n", program_invocation_short_name);
	exit(2);
}

/**
 * clean_text() - copy a text without control characters
 * @text: the text
 *
 * Return: the copy, as print_clean() prints it; the caller frees it
 */
char *clean_text(const char *text)
{
	const unsigned char *at = (const unsigned char *)text;
	char *copy = grow(NULL, 0, strlen(text) + 1), *to = copy;
	size_t length;

	for (; *at; at += length ? length : 1) {
		length = printable_length(at);
		if (length)
			to = mempcpy(to, at, length);
		else
			*to++ = '?';
	}
	*to = '\0';
	return copy;
}

/* Writes an escape of JSON: a character above U+FFFF has two. */
static void json_escape(FILE *out, unsigned int code)
{
	if (code > 0xffff) {
		code -= 0x10000;
		fprintf(out, "\\u%04x", 0xd800 | code >> 10);
		code = 0xdc00 | (code & 0x3ff);
	}
	fprintf(out, "\\u%04x", code);
}

static void json_write(FILE *out, const char *text)
{
	const unsigned char *at = (const unsigned char *)text;
	size_t length;

	putc('"', out);
	for (; *at; at += length ? length : 1) {
		length = utf8_length(at);
		if (!length)
			fputs("\\ufffd", out);
		else if (*at == '"' || *at == '\\')
			fprintf(out, "\\%c", *at);
		else if (*at < ' ' || is_invisible(code_point(at, length)))
			json_escape(out, code_point(at, length));
		else
			fwrite(at, 1, length, out);
	}
	putc('"', out);
}

/**
 * json_string() - print a string of JSON
 * @text: the string, or NULL for null
 */
void json_string(const char *text)
{
	if (text)
		json_write(stdout, text);
	else
		fputs("null", stdout);
}

/**
 * json_text() - make a string of JSON
 * @text: the string
 *
 * Return: the string with quotes, in valid UTF-8; the caller frees it
 */
char *json_text(const char *text)
{
	char *string;
	size_t size;
	FILE *out = open_string(&string, &size);

	json_write(out, text);
	fclose(out);
	return string;
}

/**
 * xml_text() - make a text of XML, for an element or an attribute
 * @text: the text
 *
 * Return: the text in valid UTF-8, with only characters that XML allows; the caller
 * frees it
 */
char *xml_text(const char *text)
{
	char *clean = clean_text(text), *string;
	const char *at;
	size_t size;
	FILE *out = open_string(&string, &size);

	for (at = clean; *at; at++) {
		if (strchr("<>&\"'", *at))
			fprintf(out, "&#%d;", *at);
		else
			putc(*at, out);
	}
	fclose(out);
	free(clean);
	return string;
}

/**
 * metric_text() - make the value of a label of OpenMetrics
 * @text: the text
 *
 * Return: the value without quotes, in valid UTF-8; the caller frees it
 */
char *metric_text(const char *text)
{
	char *clean = clean_text(text), *string;
	const char *at;
	size_t size;
	FILE *out = open_string(&string, &size);

	for (at = clean; *at; at++) {
		if (*at == '"' || *at == '\\')
			putc('\\', out);
		putc(*at, out);
	}
	fclose(out);
	free(clean);
	return string;
}
