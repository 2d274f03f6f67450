// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads whole files, and decompresses them.
 *
 * Kernel modules may be compressed with gzip, xz or zstd. The first bytes of
 * a file tell the format; its name is ignored. libkmod can decompress modules
 * as well, but gives no access to their sections, and Debian builds it without
 * support for gzip.
 *
 * Calls: zlib, liblzma, libzstd.
 */
#include <errno.h>
#include <fcntl.h>
#include <lzma.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "common.h"

/*
 * Limit of the decompressed size, larger than any module or kernel. A damaged
 * file could otherwise exhaust the memory.
 */
#define MIB		1048576UL
#define UNPACKED_MAX	(1024 * MIB)
#define FIRST_SIZE	MIB

/**
 * fail() - store the reason for a failure
 * @err: receives the reason
 * @format: the reason, as for printf()
 *
 * Return: -1
 */
int fail(struct error *err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(err->text, sizeof(err->text), format, args);
	va_end(args);
	return -1;
}

/**
 * get_le16() - read a 16-bit little-endian number
 * @at: the first byte of the number
 *
 * Return: the number
 */
uint16_t get_le16(const unsigned char *at)
{
	return at[0] | at[1] << 8;
}

/**
 * get_le32() - read a 32-bit little-endian number
 * @at: the first byte of the number
 *
 * Return: the number
 */
uint32_t get_le32(const unsigned char *at)
{
	return get_le16(at) | (uint32_t)get_le16(at + 2) << 16;
}

/**
 * get_le64() - read a 64-bit little-endian number
 * @at: the first byte of the number
 *
 * Return: the number
 */
uint64_t get_le64(const unsigned char *at)
{
	return get_le32(at) | (uint64_t)get_le32(at + 4) << 32;
}

/* Output of a decompressor: bytes in use, and bytes allocated */
struct unpacked {
	unsigned char *data;
	size_t used;
	size_t room;
};

static int make_room(struct unpacked *out, struct error *err)
{
	size_t room = out->room ? out->room * 2 : FIRST_SIZE;
	unsigned char *data;

	if (room > UNPACKED_MAX)
		return fail(err, "larger than %lu MiB after decompression",
			    UNPACKED_MAX / MIB);
	data = realloc(out->data, room);
	if (!data)
		return fail(err, "out of memory");
	out->data = data;
	out->room = room;
	return 0;
}

static int unpack_xz(struct unpacked *out, struct bytes in, struct error *err)
{
	lzma_stream stream = LZMA_STREAM_INIT;
	lzma_ret ret;

	ret = lzma_stream_decoder(&stream, UNPACKED_MAX, LZMA_CONCATENATED);
	stream.next_in = in.data;
	stream.avail_in = in.size;
	while (ret == LZMA_OK) {
		if (out->used == out->room && make_room(out, err)) {
			lzma_end(&stream);
			return -1;
		}
		stream.next_out = out->data + out->used;
		stream.avail_out = out->room - out->used;
		ret = lzma_code(&stream, LZMA_FINISH);
		out->used = out->room - stream.avail_out;
	}
	lzma_end(&stream);
	if (ret == LZMA_STREAM_END)
		return 0;
	return fail(err, ret == LZMA_BUF_ERROR ?
		    "truncated xz data" : "damaged xz data");
}

static int unpack_gzip(struct unpacked *out, struct bytes in,
		       struct error *err)
{
	z_stream stream = {
		.next_in = (unsigned char *)in.data,
		.avail_in = in.size,
	};
	int ret;

	/* Adding 16 makes zlib expect a gzip header. */
	ret = inflateInit2(&stream, 16 + MAX_WBITS);
	while (ret == Z_OK) {
		if (out->used == out->room && make_room(out, err)) {
			inflateEnd(&stream);
			return -1;
		}
		stream.next_out = out->data + out->used;
		stream.avail_out = out->room - out->used;
		ret = inflate(&stream, Z_NO_FLUSH);
		out->used = out->room - stream.avail_out;
	}
	inflateEnd(&stream);
	if (ret == Z_STREAM_END)
		return 0;
	return fail(err, ret == Z_BUF_ERROR ?
		    "truncated gzip data" : "damaged gzip data");
}

static int unpack_zstd_stream(struct unpacked *out, ZSTD_DStream *stream,
			      struct bytes in, struct error *err)
{
	ZSTD_inBuffer input = { in.data, in.size, 0 };
	ZSTD_outBuffer output;
	size_t left = 1;

	while (left) {
		if (out->used == out->room && make_room(out, err))
			return -1;
		output = (ZSTD_outBuffer){ out->data, out->room, out->used };
		left = ZSTD_decompressStream(stream, &output, &input);
		if (ZSTD_isError(left))
			return fail(err, "damaged zstd data (%s)",
				    ZSTD_getErrorName(left));
		if (left && input.pos == input.size &&
		    output.pos == out->used)
			return fail(err, "truncated zstd data");
		out->used = output.pos;
	}
	return 0;
}

static int unpack_zstd(struct unpacked *out, struct bytes in,
		       struct error *err)
{
	ZSTD_DStream *stream = ZSTD_createDStream();
	int ret;

	if (!stream)
		return fail(err, "out of memory");
	ret = unpack_zstd_stream(out, stream, in, err);
	ZSTD_freeDStream(stream);
	return ret;
}

static const struct {
	unsigned char magic[6];
	size_t length;
	int (*unpack)(struct unpacked *out, struct bytes in,
		      struct error *err);
} formats[] = {
	{ { 0xfd, '7', 'z', 'X', 'Z', 0 }, 6, unpack_xz },
	{ { 0x1f, 0x8b }, 2, unpack_gzip },
	{ { 0x28, 0xb5, 0x2f, 0xfd }, 4, unpack_zstd },
};

static void unmap(struct bytes bytes)
{
	if (bytes.size)
		munmap((void *)bytes.data, bytes.size);
}

static int unpack(struct file *file, struct error *err)
{
	struct bytes packed = file->bytes;
	struct unpacked out = { 0 };
	size_t i;
	int ret;

	for (i = 0; i < ARRAY_SIZE(formats); i++) {
		if (packed.size < formats[i].length ||
		    memcmp(packed.data, formats[i].magic, formats[i].length))
			continue;
		ret = formats[i].unpack(&out, packed, err);
		unmap(packed);
		*file = (struct file){ .bytes = { out.data, out.used } };
		return ret;
	}
	return 0;
}

static int map(struct file *file, int fd, struct error *err)
{
	struct stat stat;
	void *data;

	if (fstat(fd, &stat))
		return fail(err, "%s", strerror(errno));
	if (S_ISDIR(stat.st_mode))
		return fail(err, "is a directory");
	if (!S_ISREG(stat.st_mode))
		return fail(err, "not a regular file");
	if (!stat.st_size)
		return fail(err, "the file is empty");
	data = mmap(NULL, stat.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (data == MAP_FAILED)
		return fail(err, "%s", strerror(errno));
	file->bytes = (struct bytes){ data, stat.st_size };
	file->mapped = true;
	return 0;
}

/**
 * file_read() - read a file, and decompress it if necessary
 * @file: receives the contents; the caller frees them with file_free()
 * @path: path of the file
 * @err: receives the reason for a failure, which begins with the path
 *
 * Return: 0, or -1 with @file empty
 */
int file_read(struct file *file, const char *path, struct error *err)
{
	struct error why;
	int fd, ret;

	*file = (struct file){ 0 };
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return fail(err, "%s: %s", path, strerror(errno));
	ret = map(file, fd, &why);
	close(fd);
	if (!ret)
		ret = unpack(file, &why);
	if (!ret)
		return 0;
	file_free(file);
	return fail(err, "%s: %.200s", path, why.text);
}

/**
 * file_free() - free the contents of a file
 * @file: the file; may be empty
 */
void file_free(struct file *file)
{
	if (file->mapped)
		unmap(file->bytes);
	else
		free((void *)file->bytes.data);
	*file = (struct file){ 0 };
}

/**
 * file_exists() - check that a path exists and is readable
 * @path: the path
 *
 * Return: true if it exists and is readable
 */
bool file_exists(const char *path)
{
	return !access(path, R_OK);
}
