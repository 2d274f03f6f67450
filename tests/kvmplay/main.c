// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/tce2-kvmplay: plays KVM's part in TCE hypercalls, for tests only.
 *
 * Attaches IOMMU tables of VFIO containers as the VFIO device of KVM does
 * (virt/kvm/vfio.c). It uses only symbols of the kernel, so it works with the tables of
 * any backend. The hypercalls are in hcall.c.
 *
 * Locks: play_guest.lock protects attaching and detaching. Readers of a list of tables hold
 * play_srcu. KVM does not sleep while it reads its list, so it needs no lock there. This
 * module holds a lock because a call may stop, and no table may be freed while a call uses it.
 */
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/iommu.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <asm/iommu.h>
#include <asm/mmu_context.h>

#include "play.h"

DEFINE_SRCU(play_srcu);

/*
 * Attaching tables to a guest's table, and detaching them
 */

static void free_table(struct rcu_head *rcu)
{
	struct play_table *table = container_of(rcu, struct play_table, rcu);

	iommu_tce_table_put(table->tbl);
	kfree(table);
}

/* Free a table that no call uses any more. Like KVM, put its reference in an RCU callback. */
static void free_table_after_calls(struct rcu_head *rcu)
{
	call_rcu(rcu, free_table);
}

static void unlink_table(struct play_table *table)
{
	list_del_rcu(&table->next);
	call_srcu(&play_srcu, &table->rcu, free_table_after_calls);
}

static void put_table(struct kref *kref)
{
	unlink_table(container_of(kref, struct play_table, kref));
}

static void synchronize_play(void)
{
	synchronize_srcu(&play_srcu);
}

static struct iommu_group *find_group(u32 number)
{
	struct pci_dev *pdev = NULL;

	for_each_pci_dev(pdev) {
		struct iommu_group *group = iommu_group_get(&pdev->dev);

		if (group && iommu_group_id(group) == number) {
			pci_dev_put(pdev);
			return group;
		}
		iommu_group_put(group);
	}
	return NULL;
}

static bool fits(const struct play_guest *guest, const struct iommu_table *tbl)
{
	unsigned long shift = tbl->it_page_shift;

	return shift <= guest->page_shift &&
	       tbl->it_offset << shift == guest->start &&
	       tbl->it_size << shift >= guest->size;
}

/* Get a reference to the first table of the group that matches the guest's table */
static struct iommu_table *get_fitting(const struct play_guest *guest,
				       struct iommu_group *group)
{
	struct iommu_table_group *tg = iommu_group_get_iommudata(group);
	int i;

	for (i = 0; tg && i < IOMMU_TABLE_GROUP_MAX_TABLES; i++) {
		if (tg->tables[i] && fits(guest, tg->tables[i]))
			return iommu_tce_table_get(tg->tables[i]);
	}
	return NULL;
}

static struct play_table *find_table(struct play_guest *guest,
				     const struct iommu_table *tbl)
{
	struct play_table *table;

	list_for_each_entry(table, &guest->tables, next) {
		if (table->tbl == tbl)
			return table;
	}
	return NULL;
}

/*
 * If a table is attached again, KVM never puts the second reference. Here the second
 * reference is put when the file is closed.
 */
static void add_table(struct play_guest *guest, struct play_table *table)
{
	struct play_table *known = find_table(guest, table->tbl);

	kref_init(&table->kref);
	if (known) {
		kref_get(&known->kref);
		list_add(&table->next, &guest->leaked);
	} else {
		list_add_rcu(&table->next, &guest->tables);
	}
}

static int attach_group(struct play_guest *guest, struct iommu_group *group)
{
	struct play_table *table = kzalloc(sizeof(*table), GFP_KERNEL);

	if (!table)
		return -ENOMEM;
	table->tbl = get_fitting(guest, group);
	if (!table->tbl) {
		kfree(table);
		return -EINVAL;
	}
	add_table(guest, table);
	return 0;
}

/* Set the range and page size of the guest's table (KVM_CREATE_SPAPR_TCE) at the first ATTACH */
static int set_shape(struct play_guest *guest, const struct kvmplay_attach *arg)
{
	u64 mask = (1ULL << arg->page_shift) - 1;

	if (guest->page_shift)
		return guest->page_shift == arg->page_shift &&
		       guest->start == arg->start && guest->size == arg->size ?
		       0 : -EINVAL;
	if (arg->page_shift < 12 || arg->page_shift > 34 || !arg->size ||
	    (arg->start | arg->size) & mask ||
	    arg->start + arg->size < arg->start)
		return -EINVAL;
	guest->start = arg->start;
	guest->size = arg->size;
	WRITE_ONCE(guest->page_shift, arg->page_shift);
	return 0;
}

static int do_attach(struct play_guest *guest, const struct kvmplay_attach *arg)
{
	struct iommu_group *group = find_group(arg->group);
	int ret;

	if (!group)
		return -ENODEV;
	mutex_lock(&guest->lock);
	ret = set_shape(guest, arg) ?: attach_group(guest, group);
	mutex_unlock(&guest->lock);
	iommu_group_put(group);
	return ret;
}

/*
 * Check whether a group still has a table. Like KVM, DETACH detaches only such tables, so
 * the table of a removed window stays attached.
 */
static bool has_table(struct iommu_group *group, const struct play_table *table)
{
	struct iommu_table_group *tg = iommu_group_get_iommudata(group);
	int i;

	for (i = 0; tg && i < IOMMU_TABLE_GROUP_MAX_TABLES; i++) {
		if (tg->tables[i] == table->tbl)
			return true;
	}
	return false;
}

static int do_detach(struct play_guest *guest, const struct kvmplay_attach *arg)
{
	struct iommu_group *group = find_group(arg->group);
	struct play_table *table, *next;

	if (!group)
		return -ENODEV;
	mutex_lock(&guest->lock);
	list_for_each_entry_safe(table, next, &guest->tables, next) {
		if (has_table(group, table))
			kref_put(&table->kref, put_table);
	}
	mutex_unlock(&guest->lock);
	iommu_group_put(group);
	return 0;
}

static void free_tables(struct list_head *tables)
{
	struct play_table *table, *next;

	list_for_each_entry_safe(table, next, tables, next)
		free_table(&table->rcu);
}

/* Put all references in the context of this process, before the return */
static int do_detach_all(struct play_guest *guest)
{
	LIST_HEAD(tables);

	mutex_lock(&guest->lock);
	list_splice_init_rcu(&guest->tables, &tables, synchronize_play);
	list_splice_init(&guest->leaked, &tables);
	free_tables(&tables);
	mutex_unlock(&guest->lock);
	return 0;
}

/*
 * Queries of tables and of registered memory
 */

static struct play_table *nth_table(struct play_guest *guest, u32 n)
{
	struct play_table *table;

	list_for_each_entry(table, &guest->tables, next) {
		if (!n--)
			return table;
	}
	return NULL;
}

static int do_read(struct play_guest *guest, struct kvmplay_read *arg)
{
	struct play_table *table;
	struct iommu_table *tbl;
	int ret = -ENOENT;
	u64 index;

	mutex_lock(&guest->lock);
	table = nth_table(guest, arg->table);
	if (!table)
		goto unlock;
	tbl = table->tbl;
	index = (arg->ioba >> tbl->it_page_shift) - tbl->it_offset;
	ret = -EINVAL;
	if (index >= tbl->it_size)
		goto unlock;
	arg->tce = tbl->it_ops->get(tbl, index + tbl->it_offset);
	arg->refs = kref_read(&tbl->it_kref);
	ret = 0;
unlock:
	mutex_unlock(&guest->lock);
	return ret;
}

static int do_lookup(struct play_guest *guest, struct kvmplay_lookup *arg)
{
	struct mm_iommu_table_group_mem_t *mem;
	unsigned long hpa = 0;

	rcu_read_lock();
	mem = mm_iommu_lookup(guest->mm, arg->ua, arg->size);
	arg->found = mem && !mm_iommu_ua_to_hpa(mem, arg->ua, 12, &hpa);
	rcu_read_unlock();
	arg->hpa = hpa;
	return 0;
}

/*
 * Waiting for a stopped call, and releasing it
 */

static int do_wait_stopped(struct play_guest *guest, unsigned long ms)
{
	u64 end = ktime_get_ns() + ms * (u64)NSEC_PER_MSEC;

	while (!play_is_set(&guest->stopped)) {
		if (ktime_get_ns() >= end)
			return -ETIME;
		if (signal_pending(current))
			return -EINTR;
		usleep_range(100, 200);
	}
	return 0;
}

static int do_release(struct play_guest *guest)
{
	if (!play_is_set(&guest->stopped))
		return -ENOENT;
	play_set(&guest->release, true);
	return 0;
}

/*
 * The file operations of /dev/tce2-kvmplay
 */

/* Copy an ioctl's argument from the user, evaluate the expression, copy the argument back */
#define COPIED(type, expression) ({					\
	struct type *arg = memdup_user(user, sizeof(*arg));		\
	long ret = PTR_ERR_OR_ZERO(arg);				\
									\
	if (!ret) {							\
		ret = (expression);					\
		if (!ret && copy_to_user(user, arg, sizeof(*arg)))	\
			ret = -EFAULT;					\
		kfree(arg);						\
	}								\
	ret;								\
})

static long run_hcalls(struct play_guest *guest, unsigned int cmd,
		       void __user *user)
{
	int idx = srcu_read_lock(&play_srcu);
	long result = -ENOTTY;

	switch (cmd) {
	case KVMPLAY_CALL:
		result = COPIED(kvmplay_call, play_call(guest, arg));
		break;
	case KVMPLAY_STORM:
		result = COPIED(kvmplay_storm, play_storm(guest, arg));
		break;
	case KVMPLAY_RAW:
		result = COPIED(kvmplay_raw, play_raw(guest, arg));
		break;
	}
	srcu_read_unlock(&play_srcu, idx);
	return result;
}

static long play_ioctl(struct file *filp, unsigned int cmd, unsigned long value)
{
	struct play_guest *guest = filp->private_data;
	void __user *user = (void __user *)value;

	switch (cmd) {
	case KVMPLAY_ATTACH:
		return COPIED(kvmplay_attach, do_attach(guest, arg));
	case KVMPLAY_DETACH:
		return COPIED(kvmplay_attach, do_detach(guest, arg));
	case KVMPLAY_DETACH_ALL:
		return do_detach_all(guest);
	case KVMPLAY_READ:
		return COPIED(kvmplay_read, do_read(guest, arg));
	case KVMPLAY_LOOK:
		return COPIED(kvmplay_lookup, do_lookup(guest, arg));
	case KVMPLAY_WAIT_STOPPED:
		return do_wait_stopped(guest, value);
	case KVMPLAY_RELEASE:
		return do_release(guest);
	default:
		return run_hcalls(guest, cmd, user);
	}
}

static int play_open(struct inode *inode, struct file *filp)
{
	struct play_guest *guest = kzalloc(sizeof(*guest), GFP_KERNEL);

	if (!guest)
		return -ENOMEM;
	mutex_init(&guest->lock);
	INIT_LIST_HEAD(&guest->tables);
	INIT_LIST_HEAD(&guest->leaked);
	guest->mm = current->mm;
	mmgrab(guest->mm);
	filp->private_data = guest;
	return 0;
}

static int play_release(struct inode *inode, struct file *filp)
{
	struct play_guest *guest = filp->private_data;
	struct play_table *table, *next;

	list_for_each_entry_safe(table, next, &guest->tables, next)
		unlink_table(table);
	list_for_each_entry_safe(table, next, &guest->leaked, next)
		unlink_table(table);
	mmdrop(guest->mm);
	kfree(guest);
	return 0;
}

static const struct file_operations play_fops = {
	.owner		= THIS_MODULE,
	.open		= play_open,
	.release	= play_release,
	.unlocked_ioctl	= play_ioctl,
};

static struct miscdevice play_device = {
	.minor		= MISC_DYNAMIC_MINOR,
	.name		= "tce2-kvmplay",
	.fops		= &play_fops,
	.mode		= 0600,
};

static int __init play_init(void)
{
	return misc_register(&play_device);
}

static void __exit play_exit(void)
{
	misc_deregister(&play_device);
	/* SRCU callbacks queue RCU callbacks, so wait for the SRCU callbacks first */
	srcu_barrier(&play_srcu);
	rcu_barrier();
}

module_init(play_init);
module_exit(play_exit);

MODULE_LICENSE("GPL");
MODULE_AUTHOR("The vfio-spapr-tce2 authors");
MODULE_DESCRIPTION("Plays KVM's part in TCE hypercalls, for tests of vfio_spapr_tce2");
