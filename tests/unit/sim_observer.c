// SPDX-License-Identifier: GPL-2.0-only
/* Pids, time, debugfs and seq_file of the simulated machine, see sim_observer.h. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/debugfs.h>
#include <linux/device.h>
#include <linux/iommu.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/cred.h>
#include <linux/pid.h>
#include <linux/pid_namespace.h>
#include <linux/sched.h>
#include <linux/sched/task.h>
#include <linux/seq_file.h>

#include "sim.h"
#include "sim_observer.h"
#include "sim_platform.h"

#define MAX_FILES 16

long sim_pid_refs;
kuid_t sim_user;
struct pid_namespace init_pid_ns;
struct pid_namespace *sim_pid_ns = &init_pid_ns;
unsigned long sim_memlock = ~0UL;
void (*sim_between_reads)(void);

/* The files in debugfs */
static struct {
	const char *name;
	struct inode inode;
	const struct file_operations *fops;
} files[MAX_FILES];
static unsigned int nr_files;

static void *checked(void *ptr)
{
	if (!ptr)
		abort();
	return ptr;
}

struct pid *get_task_pid(struct task_struct *task, enum pid_type type)
{
	struct pid *pid = checked(malloc(sizeof(*pid)));

	*pid = (struct pid){ .refs = 1, .nr = sim_tgid(task) };
	sim_pid_refs++;
	return pid;
}

struct pid *get_pid(struct pid *pid)
{
	if (pid) {
		pid->refs++;
		sim_pid_refs++;
	}
	return pid;
}

void put_pid(struct pid *pid)
{
	if (!pid)
		return;
	sim_pid_refs--;
	if (!--pid->refs)
		free(pid);
}

int pid_vnr(struct pid *pid)
{
	return pid ? pid->nr : 0;
}

struct task_struct *get_pid_task(struct pid *pid, enum pid_type type)
{
	return sim_memlock ? current : NULL;
}

void put_task_struct(struct task_struct *task)
{
}

int iommu_group_id(struct iommu_group *group)
{
	return group->id;
}

struct iommu_group *iommu_group_ref_get(struct iommu_group *group)
{
	return group;
}

void iommu_group_put(struct iommu_group *group)
{
}

int sim_visit_devices(struct iommu_group *group, void *data, sim_device_fn *call)
{
	sim_may_sleep("iommu_group_for_each_dev");
	for (unsigned int i = 0; i < ARRAY_SIZE(group->devices); i++) {
		struct device dev = { .name = group->devices[i] };

		if (dev.name)
			call(&dev, data);
	}
	return 0;
}

char *strim(char *text)
{
	size_t length = strlen(text);

	while (length && text[length - 1] == '\n')
		text[--length] = '\0';
	return text;
}

/* The only directory, whose contents are not used */
struct dentry *debugfs_create_dir(const char *name, struct dentry *parent)
{
	return (struct dentry *)files;
}

struct dentry *debugfs_create_file(const char *name, unsigned int mode,
				   struct dentry *parent, void *data,
				   const struct file_operations *fops)
{
	if (nr_files == MAX_FILES || mode != 0400)
		sim_bug("debugfs: wrong file %s", name);
	files[nr_files].name = name;
	files[nr_files].inode.i_private = data;
	files[nr_files++].fops = fops;
	return parent;
}

void debugfs_remove(struct dentry *dentry)
{
	nr_files = 0;
}

void *__seq_open_private(struct file *file, const struct seq_operations *op, int size)
{
	file->seq = (struct seq_file){
		.private = checked(calloc(1, size)), .op = op,
		.text = checked(calloc(1, 1)),
	};
	return file->seq.private;
}

int seq_release_private(struct inode *inode, struct file *file)
{
	free(file->seq.private);
	return 0;
}

/* sim_cat() reads in place of these functions */
void seq_read(void)
{
}

void seq_lseek(void)
{
}

static void append(struct seq_file *m, const char *text, size_t length)
{
	m->text = checked(realloc(m->text, m->length + length + 1));
	memcpy(m->text + m->length, text, length);
	m->length += length;
	m->text[m->length] = '\0';
}

void seq_puts(struct seq_file *m, const char *text)
{
	append(m, text, strlen(text));
}

void seq_putc(struct seq_file *m, char c)
{
	append(m, &c, 1);
}

void seq_printf(struct seq_file *m, const char *fmt, ...)
{
	char *text;
	va_list args;
	int length;

	va_start(args, fmt);
	length = vasprintf(&text, fmt, args);
	va_end(args);
	if (length < 0)
		abort();
	append(m, text, length);
	free(text);
}

/* Shows one record, and leaves the text as it was if @discard is set */
static void show(struct seq_file *m, void *record, bool discard)
{
	size_t length = m->length;

	m->op->show(m, record);
	if (discard)
		m->length = length;
}

/* Reads up to @records records; returns false at the end of the file */
static bool read_once(struct seq_file *m, loff_t *at, unsigned int records)
{
	void *record = m->op->start(m, at);

	/* As if the record did not fit: the kernel starts again with the same record */
	if (record) {
		show(m, record, true);
		m->op->stop(m, record);
		record = m->op->start(m, at);
	}
	while (record && records--) {
		show(m, record, false);
		record = m->op->next(m, record, at);
	}
	m->op->stop(m, record);
	return record;
}

const char *sim_cat(const char *name, unsigned int records)
{
	static char *text;
	struct file file;
	unsigned int i;
	loff_t at = 0;

	for (i = 0; i < nr_files && strcmp(files[i].name, name); i++)
		;
	if (i == nr_files || files[i].fops->open(&files[i].inode, &file))
		return NULL;
	while (read_once(&file.seq, &at, records)) {
		if (spinlocks_held)
			sim_bug("a reader that has stopped holds a lock");
		if (sim_between_reads)
			sim_between_reads();
	}
	files[i].fops->release(&files[i].inode, &file);
	free(text);
	text = file.seq.text;
	text[file.seq.length] = '\0';
	return text;
}
