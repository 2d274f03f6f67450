/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SIM_SHIM_SEQ_FILE_H
#define SIM_SHIM_SEQ_FILE_H

#include <stddef.h>
#include <sys/types.h>

#include <linux/fs.h>

struct seq_file;

struct seq_operations {
	void *(*start)(struct seq_file *m, loff_t *pos);
	void (*stop)(struct seq_file *m, void *v);
	void *(*next)(struct seq_file *m, void *v, loff_t *pos);
	int (*show)(struct seq_file *m, void *v);
};

/**
 * struct seq_file - an open file
 * @private: memory of the file's owner
 * @op: functions of the file's owner
 * @text: text of the records so far
 * @length: length of @text
 */
struct seq_file {
	void *private;
	const struct seq_operations *op;
	char *text;
	size_t length;
};

/**
 * struct file - an open file
 * @seq: the file's records
 */
struct file {
	struct seq_file seq;
};

void *__seq_open_private(struct file *file, const struct seq_operations *op,
			 int size);
int seq_release_private(struct inode *inode, struct file *file);
void seq_read(void);
void seq_lseek(void);

void seq_printf(struct seq_file *m, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void seq_putc(struct seq_file *m, char c);
void seq_puts(struct seq_file *m, const char *text);

#endif /* SIM_SHIM_SEQ_FILE_H */
