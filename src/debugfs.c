// SPDX-License-Identifier: GPL-2.0-only
/*
 * Files in debugfs: the state of all containers, for administrators and programs.
 *
 * Owns the directory vfio_spapr_tce2 of debugfs and the format of its files, which
 * Documentation/debugfs.rst describes. Programs parse the files, so the format has a
 * version. A version never changes the names or the order of its keys.
 *
 * A file has one record a line. A reader may stop in the middle of a file for any time, so
 * an open file has no lock and no reference to a container. Its position is the key of the
 * last record: the number of the container, and for example the user address of a region.
 * The next record is the record with the lowest higher key. While a record is copied, the
 * reader has a reference to the container. It takes the container's locks like a short
 * request, but takes no lock to copy mappings.
 *
 * Locks: none. struct seq_file has a lock for each open file.
 * Calls: container, ddw_group, ddw_window, ddw_emulated, view (copies of leaves), why.
 */
#include <linux/bits.h>
#include <linux/debugfs.h>
#include <linux/device.h>
#include <linux/errno.h>
#include <linux/fs.h>
#include <linux/gfp.h>
#include <linux/iommu.h>
#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/pid.h>
#include <linux/pid_namespace.h>
#include <linux/rcupdate.h>
#include <linux/resource.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/seq_file.h>
#include <linux/string.h>
#include <linux/time64.h>

#include "tce2_cache.h"
#include "tce2_container.h"
#include "tce2_ddw.h"
#include "tce2_debugfs.h"
#include "tce2_perm.h"
#include "tce2_tce_v2.h"
#include "tce2_why.h"

#define FORMAT_VERSION	1

#define NR_SLOTS	IOMMU_TABLE_GROUP_MAX_TABLES

/**
 * struct position - position of an open file
 * @at: number of the current record; record 0 is the header
 * @end: no record is left
 * @report: the file
 * @container: number of the container of the current record
 * @key: key of the current record in its container
 * @old: number of the current refusal of the released containers
 * @refusal: the current refusal
 * @refused: number of the container that refused
 * @region: the current region
 * @slot: slot of the current window
 * @window: the current window
 * @mapped: number of IOMMU pages that are mapped in the current window
 * @run: the current mapping
 * @scanning: @scan is a walk along the current window, and has not reached its end
 * @scan: walk along the leaves of the current window
 */
struct position {
	loff_t at;
	bool end;
	const struct report *report;
	u64 container;
	u64 key;
	u64 old;
	struct tce2_refusal refusal;
	u64 refused;
	struct tce2_region_info region;
	int slot;
	struct tce2_window_info window;
	u64 mapped;
	struct tce2_map_request run;
	bool scanning;
	struct tce2_scan scan;
};

/**
 * struct report - a file in the directory
 * @name: name of the file
 * @next: makes the next record the current record; returns false if no record is left
 * @show: prints the current record
 */
struct report {
	const char *name;
	bool (*next)(struct position *position);
	void (*show)(struct seq_file *m, struct position *position);
};

/*
 * Prints a string that a process or a device may have chosen. Escapes each byte that
 * could end the value or the line, or that a terminal interprets.
 */
static void show_escaped(struct seq_file *m, const char *string)
{
	for (; *string; string++) {
		unsigned char c = *string;

		if (c <= ' ' || c >= 0x7f || strchr("\\=,", c))
			seq_printf(m, "\\%03o", c);
		else
			seq_putc(m, c);
	}
}

static void show_string(struct seq_file *m, const char *key, const char *string)
{
	seq_printf(m, " %s=", key);
	if (*string)
		show_escaped(m, string);
	else
		seq_putc(m, '-');
}

static void show_bytes(struct seq_file *m, const char *key, u64 bytes)
{
	seq_printf(m, " %s=%llu", key, bytes);
}

static void show_address(struct seq_file *m, const char *key, u64 address)
{
	seq_printf(m, " %s=0x%llx", key, address);
}

/*
 * Prints the process that sent a refused request. The refusal has the number in the initial
 * pid namespace, which means nothing in the other namespaces.
 */
static void show_caller(struct seq_file *m, const struct tce2_refusal *refusal)
{
	bool initial = task_active_pid_ns(current) == &init_pid_ns;

	seq_printf(m, " pid=%d", initial ? refusal->pid : 0);
	show_string(m, "comm", refusal->comm);
}

/* Returns the current container with a reference, or NULL if it was released */
static struct tce2_container *position_container(const struct position *position)
{
	struct tce2_container *container;

	if (!position->container)
		return NULL;
	container = tce2_container_next(position->container - 1);
	if (container && container->id != position->container) {
		tce2_container_put(container);
		return NULL;
	}
	return container;
}

/* Makes the next container current; returns false if no container is left */
static bool position_next_container(struct position *position)
{
	struct tce2_container *container = tce2_container_next(position->container);

	if (!container)
		return false;
	position->container = container->id;
	tce2_container_put(container);
	position->key = 0;
	position->slot = -1;
	position->scanning = false;
	/* Drop the rest of a leaf: its container may have been released meanwhile */
	position->scan.copy.word = 0;
	return true;
}

/*
 * Calls @next_in, which searches the current container for the next record, for each
 * container until @next_in finds a record
 */
static bool next_in_containers(struct position *position,
			       bool (*next_in)(struct position *position,
					       struct tce2_container *container))
{
	do {
		struct tce2_container *container = position_container(position);
		bool found = container && next_in(position, container);

		if (container)
			tce2_container_put(container);
		if (found)
			return true;
		if (fatal_signal_pending(current))
			return false;
		cond_resched();
	} while (position_next_container(position));
	return false;
}

static bool next_container(struct position *position)
{
	return position_next_container(position);
}

/* Prints the process's limit of locked memory, if the process still exists */
static void show_limit(struct seq_file *m, const struct tce2_owner *owner)
{
	struct task_struct *task = get_pid_task(owner->pid, PIDTYPE_TGID);
	unsigned long limit;

	if (!task) {
		seq_puts(m, " limit=-");
		return;
	}
	limit = task_rlimit(task, RLIMIT_MEMLOCK);
	put_task_struct(task);
	if (limit == RLIM_INFINITY)
		seq_puts(m, " limit=unlimited");
	else
		seq_printf(m, " limit=%lu", limit);
}

/* Returns the locked memory of a container's process in bytes, or 0 */
static u64 locked_bytes(const struct tce2_container *container)
{
	struct tce2_cache *cache = READ_ONCE(container->cache);
	u64 pages = 0;

	/* tce2_owner_take() puts the old mm after a grace period */
	rcu_read_lock();
	if (cache)
		pages = READ_ONCE(READ_ONCE(cache->mm)->locked_vm);
	rcu_read_unlock();
	return pages << PAGE_SHIFT;
}

/* Prints the number of groups, windows and regions, and the charges */
static void show_charges(struct seq_file *m, struct tce2_container *container)
{
	u64 charged = READ_ONCE(container->registered);
	unsigned int windows = 0;
	int slot;

	for (slot = 0; slot < NR_SLOTS; slot++) {
		struct tce2_window_info info;

		if (!tce2_ddw_window_info(&container->ddw, slot, &info))
			continue;
		charged += (u64)info.table_pages << PAGE_SHIFT;
		windows++;
	}
	seq_printf(m, " groups=%u windows=%u regions=%lu",
		   READ_ONCE(container->ddw.nr_groups), windows,
		   READ_ONCE(container->regions));
	show_bytes(m, "charged", charged);
	show_bytes(m, "locked", locked_bytes(container));
}

/* Prints a list of rules, each with the number of requests that it refused */
static void show_rules(struct seq_file *m, struct tce2_journal *journal)
{
	bool is_empty = true;
	enum tce2_why why;

	seq_puts(m, " rules=");
	for (why = 0; why < TCE2_WHY_RULES; why++) {
		u64 ruled = tce2_journal_ruled(journal, why);

		if (!ruled)
			continue;
		seq_printf(m, "%s%s:%llu", is_empty ? "" : ",", tce2_why_name(why), ruled);
		is_empty = false;
	}
	if (is_empty)
		seq_putc(m, '-');
}

static void show_container(struct seq_file *m, struct position *position)
{
	struct tce2_container *container = position_container(position);
	unsigned long pinned, notified;
	enum tce2_request request;
	struct tce2_owner owner;

	if (!container)
		return;
	tce2_journal_owner(&container->journal, &owner);
	seq_printf(m, "container=%llu pid=%d", container->id, pid_vnr(owner.pid));
	show_string(m, "comm", owner.comm);
	seq_printf(m, " state=%s", READ_ONCE(container->cache) ? "bound" : "unbound");
	show_charges(m, container);
	show_limit(m, &owner);
	for (request = TCE2_REQUEST_REGISTER; request <= TCE2_REQUEST_REMOVE; request++)
		seq_printf(m, " %s=%llu", tce2_request_name(request),
			   tce2_journal_requests(&container->journal, request));
	seq_printf(m, " refused=%llu", tce2_journal_refused(&container->journal));
	for (request = TCE2_REQUEST_RANGES; request < TCE2_REQUESTS; request++)
		seq_printf(m, " %s=%llu", tce2_request_name(request),
			   tce2_journal_requests(&container->journal, request));
	tce2_ddw_count_pins(&container->ddw, &pinned, &notified);
	seq_printf(m, " pinned=%lu notified=%lu", pinned, notified);
	show_rules(m, &container->journal);
	seq_putc(m, '\n');
	put_pid(owner.pid);
	tce2_container_put(container);
}

/* The key of a group is its number plus 1, because there is a group number 0 */
static bool next_group_in(struct position *position, struct tce2_container *container)
{
	struct iommu_group *group = tce2_ddw_next_group(&container->ddw,
							(int)position->key - 1);

	if (!group)
		return false;
	position->key = iommu_group_id(group) + 1;
	iommu_group_put(group);
	return true;
}

static bool next_group(struct position *position)
{
	return next_in_containers(position, next_group_in);
}

/**
 * struct device_list - a list of devices that is being printed
 * @m: the file
 * @nr: number of devices so far
 */
struct device_list {
	struct seq_file *m;
	unsigned int nr;
};

static int show_device(struct device *dev, void *data)
{
	struct device_list *list = data;

	if (list->nr++)
		seq_putc(list->m, ',');
	show_escaped(list->m, dev_name(dev));
	return 0;
}

static void show_group(struct seq_file *m, struct position *position)
{
	struct tce2_container *container = position_container(position);
	struct device_list list = { .m = m };
	struct iommu_group *group;

	if (!container)
		return;
	group = tce2_ddw_next_group(&container->ddw, (int)position->key - 2);
	tce2_container_put(container);
	if (!group)
		return;
	/* The group was detached, and this is a later one */
	if (iommu_group_id(group) != (int)position->key - 1)
		goto put;
	seq_printf(m, "container=%llu group=%d devices=", position->container,
		   iommu_group_id(group));
	iommu_group_for_each_dev(group, &list, show_device);
	seq_puts(m, list.nr ? "\n" : "-\n");
put:
	iommu_group_put(group);
}

/* Begins a walk along the current window */
static void position_begin_scan(struct position *position)
{
	struct tce2_scan *scan = &position->scan;

	/* Set single members: a compound literal of the structure would need 4 KiB of the stack */
	scan->id = position->window.id;
	scan->leaf = 0;
	scan->previous = ~0ULL;
	scan->bytes = 0;
	scan->copy.word = 0;
	position->scanning = true;
}

/* Makes the next window of the container current */
static bool next_slot(struct position *position, struct tce2_container *container)
{
	while (++position->slot < NR_SLOTS) {
		if (tce2_ddw_window_info(&container->ddw, position->slot,
					 &position->window)) {
			position_begin_scan(position);
			return true;
		}
	}
	return false;
}

/*
 * Copies the next leaf of the current window. Returns false if the walk has ended: at the end
 * of the window, if the window was removed, or after a fatal signal.
 */
static bool next_leaf(struct position *position, struct tce2_container *container)
{
	while (position->scanning && !fatal_signal_pending(current)) {
		int ret = tce2_ddw_scan(&container->ddw, position->slot,
					&position->scan);

		cond_resched();
		if (ret == 1)
			return true;
		position->scanning = ret == -EAGAIN;
	}
	position->scanning = false;
	return false;
}

/* Finds the next mapping in the leaf that was copied last */
static bool next_copied(struct position *position, struct tce2_map_request *mapping)
{
	struct tce2_scan *scan = &position->scan;
	const unsigned int shift = position->window.page_shift;
	struct tce2_view_run run;

	if (!tce2_view_next_copied(&scan->copy, scan->index, &run))
		return false;
	*mapping = (struct tce2_map_request){
		.iova = position->window.start + (run.index << shift),
		.ua = run.ua,
		.size = run.count << shift,
		.perm = run.perm,
	};
	return true;
}

/* Moves on to the entry after a mapping that next_copied() has found */
static void position_pass(struct position *position, const struct tce2_map_request *mapping)
{
	position->scan.index = (mapping->iova + mapping->size - position->window.start) >>
			       position->window.page_shift;
}

/*
 * Counts the mapped pages of the current window, and the memory of its view. Returns false if
 * the window was removed meanwhile, so that the sum has no meaning.
 */
static bool count_mappings(struct position *position, struct tce2_container *container)
{
	struct tce2_map_request mapping;
	struct tce2_window_info now;

	position->mapped = 0;
	while (next_leaf(position, container)) {
		while (next_copied(position, &mapping)) {
			position->mapped += mapping.size >> position->window.page_shift;
			position_pass(position, &mapping);
		}
	}
	return tce2_ddw_window_info(&container->ddw, position->slot, &now) &&
	       now.id == position->window.id;
}

static bool next_window_in(struct position *position, struct tce2_container *container)
{
	while (next_slot(position, container)) {
		if (count_mappings(position, container))
			return true;
	}
	return false;
}

static bool next_window(struct position *position)
{
	return next_in_containers(position, next_window_in);
}

static void show_window(struct seq_file *m, struct position *position)
{
	const struct tce2_window_info *window = &position->window;

	seq_printf(m, "container=%llu slot=%d", position->container, position->slot);
	show_address(m, "start", window->start);
	show_bytes(m, "size", window->size);
	show_bytes(m, "page", BIT_ULL(window->page_shift));
	seq_printf(m, " levels=%u mapped=%llu", window->levels, position->mapped);
	show_bytes(m, "table", (u64)window->table_pages << PAGE_SHIFT);
	show_bytes(m, "view", position->scan.bytes);
	seq_printf(m, " kvm=%u published=%d tracked=%d\n", window->kvm,
		   window->published, window->tracked);
}

/* The key of a region is its first user address plus 1, which no region has as address */
static bool next_region_in(struct position *position, struct tce2_container *container)
{
	if (!tce2_container_next_region(container, position->key, &position->region))
		return false;
	position->key = position->region.ua + 1;
	return true;
}

static bool next_region(struct position *position)
{
	return next_in_containers(position, next_region_in);
}

static void show_region(struct seq_file *m, struct position *position)
{
	const struct tce2_region_info *region = &position->region;

	seq_printf(m, "container=%llu", position->container);
	show_address(m, "ua", region->ua);
	show_bytes(m, "size", region->size);
	seq_printf(m, " extents=%llu", region->blocks);
	show_bytes(m, "page", BIT_ULL(region->page_shift));
	seq_printf(m, " used=%lu mapped=%llu readonly=%d mirrored=%d\n",
		   region->used, region->mapped, region->readonly,
		   region->mirrored);
}

/* Adds a mapping to the current mapping; returns false if they are not adjacent */
static bool position_join_run(struct position *position,
			      const struct tce2_map_request *run)
{
	struct tce2_map_request *sum = &position->run;

	if (!sum->size) {
		*sum = *run;
		return true;
	}
	if (sum->iova + sum->size != run->iova || sum->ua + sum->size != run->ua ||
	    sum->perm != run->perm)
		return false;
	sum->size += run->size;
	return true;
}

/* Finds the next mapping in the current slot, and joins adjacent mappings */
static bool next_mapping_in_slot(struct position *position,
				 struct tce2_container *container)
{
	struct tce2_map_request mapping;

	position->run.size = 0;
	do {
		while (next_copied(position, &mapping)) {
			if (!position_join_run(position, &mapping))
				return true;
			position_pass(position, &mapping);
		}
	} while (next_leaf(position, container));
	return position->run.size;
}

static bool next_mapping_in(struct position *position, struct tce2_container *container)
{
	do {
		if (next_mapping_in_slot(position, container))
			return true;
	} while (!fatal_signal_pending(current) && next_slot(position, container));
	return false;
}

static bool next_mapping(struct position *position)
{
	return next_in_containers(position, next_mapping_in);
}

static void show_mapping(struct seq_file *m, struct position *position)
{
	static const char *const perms[] = {
		[0]			= "none",
		[TCE2_PERM_READ]	= "r",
		[TCE2_PERM_WRITE]	= "w",
		[TCE2_PERM_RW]		= "rw",
	};
	const struct tce2_map_request *run = &position->run;

	seq_printf(m, "container=%llu slot=%d", position->container, position->slot);
	show_address(m, "iova", run->iova);
	show_bytes(m, "size", run->size);
	show_address(m, "ua", run->ua);
	seq_printf(m, " perm=%s\n", perms[run->perm & TCE2_PERM_RW]);
}

static bool next_refusal_in(struct position *position, struct tce2_container *container)
{
	if (!tce2_journal_next(&container->journal, position->key, &position->refusal))
		return false;
	position->key = position->refusal.seq;
	position->refused = container->id;
	return true;
}

/* The refusals of released containers come first, the oldest refusal before all others */
static bool next_refusal(struct position *position)
{
	struct tce2_old_refusal old;

	if (position->container || !tce2_journal_next_old(position->old, &old))
		return next_in_containers(position, next_refusal_in);
	position->old = old.seq;
	position->refusal = old.refusal;
	position->refused = old.container;
	return true;
}

static void show_refusal(struct seq_file *m, struct position *position)
{
	const struct tce2_refusal *refusal = &position->refusal;
	u64 now = ktime_get_ns();

	seq_printf(m, "container=%llu seq=%llu", position->refused, refusal->seq);
	seq_printf(m, " age=%llu", now > refusal->when ?
		   (now - refusal->when) / NSEC_PER_MSEC : 0);
	seq_printf(m, " request=%s errno=%d rule=%s",
		   tce2_request_name(refusal->request), refusal->error,
		   tce2_why_name(refusal->why));
	show_string(m, "text", tce2_why_text(refusal->why));
	show_caller(m, refusal);
	seq_printf(m, " released=%d\n", !position->container);
}

/* Record 1 of the file is the module, the others are its parameters */
static bool next_version(struct position *position)
{
	return position->key++ <= THIS_MODULE->num_kp;
}

/* Prints a parameter, as its file in /sys/module shows it */
static void show_parameter(struct seq_file *m, const struct kernel_param *param)
{
	/* The parameter's function expects a page */
	char *value = (char *)get_zeroed_page(GFP_KERNEL);

	if (!value)
		return;
	kernel_param_lock(THIS_MODULE);
	if (param->ops->get)
		param->ops->get(value, param);
	kernel_param_unlock(THIS_MODULE);
	seq_printf(m, "parameter=%s", param->name);
	show_string(m, "value", strim(value));
	seq_putc(m, '\n');
	free_page((unsigned long)value);
}

static void show_version(struct seq_file *m, struct position *position)
{
	if (position->key > 1) {
		show_parameter(m, &THIS_MODULE->kp[position->key - 2]);
		return;
	}
	seq_puts(m, "module=" TCE2_VERSION);
	if (THIS_MODULE->srcversion)
		show_string(m, "srcversion", THIS_MODULE->srcversion);
	seq_putc(m, '\n');
}

static const struct report reports[] = {
	{ "version", next_version, show_version },
	{ "containers", next_container, show_container },
	{ "groups", next_group, show_group },
	{ "windows", next_window, show_window },
	{ "regions", next_region, show_region },
	{ "mappings", next_mapping, show_mapping },
	{ "refusals", next_refusal, show_refusal },
};

static void position_reset(struct position *position)
{
	const struct report *report = position->report;

	memset(position, 0, sizeof(*position));
	position->report = report;
	position->slot = -1;
}

/*
 * A read begins with the current record: debugfs_next() has made it current, but it did
 * not fit into the buffer of the previous read (seq_read_iter()).
 */
static void *debugfs_start(struct seq_file *m, loff_t *at)
{
	struct position *position = m->private;

	if (!*at)
		position_reset(position);
	return position->end || *at != position->at ? NULL : position;
}

static void *debugfs_next(struct seq_file *m, void *record, loff_t *at)
{
	struct position *position = m->private;

	position->at = ++*at;
	position->end = !position->report->next(position);
	return position->end ? NULL : position;
}

static void debugfs_stop(struct seq_file *m, void *record)
{
}

static int debugfs_show(struct seq_file *m, void *record)
{
	struct position *position = m->private;

	if (position->at)
		position->report->show(m, position);
	else
		seq_printf(m, KBUILD_MODNAME " %s %d\n", position->report->name,
			   FORMAT_VERSION);
	return 0;
}

static const struct seq_operations debugfs_seq_ops = {
	.start	= debugfs_start,
	.next	= debugfs_next,
	.stop	= debugfs_stop,
	.show	= debugfs_show,
};

static int debugfs_open(struct inode *inode, struct file *file)
{
	struct position *position = __seq_open_private(file, &debugfs_seq_ops,
						       sizeof(*position));

	if (!position)
		return -ENOMEM;
	position->report = inode->i_private;
	position_reset(position);
	return 0;
}

/*
 * Without ioctl and mmap, and with mode 0400, the files can be read under kernel lockdown
 * (debugfs_locked_down()). The owner gives each open file a reference to the module.
 */
static const struct file_operations debugfs_fops = {
	.owner		= THIS_MODULE,
	.open		= debugfs_open,
	.read		= seq_read,
	.llseek		= seq_lseek,
	.release	= seq_release_private,
};

static struct dentry *directory;

/**
 * tce2_debugfs_init() - make the directory and its files
 *
 * A failure has no effect except that files are missing.
 *
 * Context: may sleep.
 */
void tce2_debugfs_init(void)
{
	unsigned int i;

	directory = debugfs_create_dir(KBUILD_MODNAME, NULL);
	for (i = 0; i < ARRAY_SIZE(reports); i++)
		debugfs_create_file(reports[i].name, 0400, directory,
				    (void *)&reports[i], &debugfs_fops);
}

/**
 * tce2_debugfs_exit() - remove the directory
 *
 * Waits for running reads.
 *
 * Context: may sleep.
 */
void tce2_debugfs_exit(void)
{
	debugfs_remove(directory);
}
