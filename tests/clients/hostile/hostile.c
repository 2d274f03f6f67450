// SPDX-License-Identifier: GPL-2.0-only
/*
 * A module for a KVM guest. It makes random TCE hypercalls for one LIOBN on every CPU.
 *
 * A write of "SECONDS SEED" to /sys/kernel/debug/hostile makes hypercalls and returns
 * when the time is over. A read returns the number of calls by hypercall and result.
 * Many hypercalls are invalid. They have addresses outside the guest's RAM, TCEs without
 * permissions, lists that another CPU changes during the call, lists that cross a page,
 * or entries beyond the window. The parameters `first` and `entries` limit the bus
 * addresses that are used.
 */
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/of.h>
#include <linux/prandom.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <asm/hvcall.h>

#define TCE_SHIFT	12
#define LIST_ENTRIES	512
#define HOT_ENTRIES	64
#define MAX_THREADS	8

static unsigned long first;
module_param(first, ulong, 0444);
MODULE_PARM_DESC(first, "first entry of the window to use");

static unsigned long entries = 1UL << 16;
module_param(entries, ulong, 0444);
MODULE_PARM_DESC(entries, "number of entries to use");

static unsigned long memory = 512UL << 20;
module_param(memory, ulong, 0444);
MODULE_PARM_DESC(memory, "end of the guest's RAM, hotpluggable memory included");

enum call { PUT, INDIRECT, STUFF, CALLS };

static const char * const call_names[CALLS] = { "put", "indirect", "stuff" };
enum answer { SUCCEEDED, PARAMETER, OTHER, ANSWERS };

struct attacker {
	struct task_struct *task;
	struct rnd_state random;
	unsigned long end;
	unsigned long counts[CALLS][ANSWERS];
};

static struct attacker attackers[MAX_THREADS];
static u32 liobn;
/* Shared by all CPUs, so the list changes while the hypervisor reads it. */
static __be64 *list;
static struct dentry *file;

static unsigned long below(struct attacker *me, unsigned long limit)
{
	return prandom_u32_state(&me->random) % limit;
}

/* Choose one of a few entries for half of the calls, so that CPUs use the same entries. */
static unsigned long pick_entry(struct attacker *me)
{
	switch (below(me, 64)) {
	case 0:
		/* Beyond every window */
		return (1UL << 40) + below(me, 64);
	case 1 ... 32:
		return first + below(me, HOT_ENTRIES);
	default:
		return first + below(me, entries);
	}
}

static unsigned long pick_tce(struct attacker *me)
{
	unsigned long address = below(me, memory >> TCE_SHIFT) << TCE_SHIFT;

	switch (below(me, 16)) {
	case 0:
		/* Beyond RAM */
		address += memory;
		break;
	case 1:
		address |= 1UL << 60;
		break;
	case 2:
		/* Set bits that are neither address nor permission */
		address |= below(me, 1UL << TCE_SHIFT);
		break;
	}
	return address | below(me, 4);
}

static unsigned long pick_count(struct attacker *me)
{
	switch (below(me, 32)) {
	case 0:
		return LIST_ENTRIES + 1;
	case 1:
		return LIST_ENTRIES;
	case 2:
		return 0;
	default:
		return 1 + below(me, 16);
	}
}

static void rewrite_list(struct attacker *me)
{
	unsigned int changes = 1 + below(me, 32);

	while (changes--)
		WRITE_ONCE(list[below(me, LIST_ENTRIES)], cpu_to_be64(pick_tce(me)));
}

static long make_call(struct attacker *me, enum call call)
{
	unsigned long address = pick_entry(me) << TCE_SHIFT;
	unsigned long where = __pa(list);

	switch (call) {
	case PUT:
		return plpar_hcall_norets(H_PUT_TCE, liobn, address, pick_tce(me));
	case INDIRECT:
		rewrite_list(me);
		switch (below(me, 64)) {
		case 0:
			/* Outside RAM */
			where = memory + (below(me, 16) << TCE_SHIFT);
			break;
		case 1:
			/* The list crosses a page. */
			where += 8 * below(me, LIST_ENTRIES);
			break;
		}
		return plpar_hcall_norets(H_PUT_TCE_INDIRECT, liobn, address, where,
					  pick_count(me));
	default:
		return plpar_hcall_norets(H_STUFF_TCE, liobn, address,
					  below(me, 4) ? 0 : pick_tce(me),
					  below(me, 256) ? pick_count(me) : entries);
	}
}

static int attack(void *data)
{
	struct attacker *me = data;

	while (time_before(jiffies, me->end)) {
		enum call call = below(me, CALLS);
		enum answer answer;

		switch (make_call(me, call)) {
		case H_SUCCESS:
			answer = SUCCEEDED;
			break;
		case H_PARAMETER:
			answer = PARAMETER;
			break;
		default:
			answer = OTHER;
		}
		me->counts[call][answer]++;
		cond_resched();
	}
	while (!kthread_should_stop())
		msleep(20);
	return 0;
}

static int run_attackers(unsigned int seconds, u64 seed)
{
	unsigned int cpu, n = 0;

	for_each_online_cpu(cpu) {
		struct attacker *me = &attackers[n];

		if (n == MAX_THREADS)
			break;
		memset(me, 0, sizeof(*me));
		prandom_seed_state(&me->random, seed + n);
		me->end = jiffies + seconds * HZ;
		me->task = kthread_create_on_cpu(attack, me, cpu, "hostile/%u");
		if (IS_ERR(me->task))
			break;
		n++;
	}
	for (cpu = 0; cpu < n; cpu++)
		wake_up_process(attackers[cpu].task);
	msleep(seconds * 1000);
	for (cpu = 0; cpu < n; cpu++)
		kthread_stop(attackers[cpu].task);
	return n ? 0 : -EAGAIN;
}

static ssize_t hostile_write(struct file *unused, const char __user *buffer,
			     size_t count, loff_t *position)
{
	unsigned int seconds;
	char text[64] = "";
	u64 seed;
	int ret;

	if (copy_from_user(text, buffer, min(count, sizeof(text) - 1)))
		return -EFAULT;
	if (sscanf(text, "%u %llu", &seconds, &seed) != 2)
		return -EINVAL;
	ret = run_attackers(seconds, seed);
	return ret ?: count;
}

static int hostile_show(struct seq_file *out, void *unused)
{
	unsigned int call, answer, n;

	for (call = 0; call < CALLS; call++) {
		unsigned long sums[ANSWERS] = {};

		for (n = 0; n < MAX_THREADS; n++)
			for (answer = 0; answer < ANSWERS; answer++)
				sums[answer] += attackers[n].counts[call][answer];
		seq_printf(out, "CALLS %s %lu %lu %lu\n", call_names[call],
			   sums[SUCCEEDED], sums[PARAMETER], sums[OTHER]);
	}
	return 0;
}

static int hostile_open(struct inode *inode, struct file *opened)
{
	return single_open(opened, hostile_show, NULL);
}

static const struct file_operations hostile_operations = {
	.owner = THIS_MODULE,
	.open = hostile_open,
	.read = seq_read,
	.write = hostile_write,
	.llseek = seq_lseek,
	.release = single_release,
};

/* Get the LIOBN from the host bridge's ibm,dma-window: LIOBN, start and size */
static int find_liobn(void)
{
	struct device_node *node;
	int ret = -ENODEV;

	for_each_node_with_property(node, "ibm,dma-window") {
		if (of_node_is_type(node, "pci")) {
			ret = of_property_read_u32(node, "ibm,dma-window", &liobn);
			of_node_put(node);
			break;
		}
	}
	return ret;
}

static int __init hostile_init(void)
{
	int ret = find_liobn();

	if (ret)
		return ret;
	list = (void *)get_zeroed_page(GFP_KERNEL);
	if (!list)
		return -ENOMEM;
	file = debugfs_create_file("hostile", 0600, NULL, NULL, &hostile_operations);
	pr_info("LIOBN %#x\n", liobn);
	return 0;
}
module_init(hostile_init);

static void __exit hostile_exit(void)
{
	debugfs_remove(file);
	free_page((unsigned long)list);
}
module_exit(hostile_exit);

MODULE_DESCRIPTION("Random TCE hypercalls on one LIOBN");
MODULE_LICENSE("GPL");
