// SPDX-License-Identifier: GPL-2.0-only
/*
 * Self-test of the real-mode interface. This module is only for tests, and is never
 * installed. It uses vfio_spapr_tce2 only through include/tce2_kapi.h. This file runs in
 * virtual mode, and real.S switches to real mode.
 *
 * A test program writes a command to vfio_spapr_tce2_selftest/command in debugfs, and reads
 * numbers back from this file. The command applies to the memory of the process that opened
 * the file.
 * Queries are made with the data MMU off. Each answer is compared with the answer of
 * virtual mode and with the page that get_user_pages() returns. The command "hold" holds
 * a page until the command "drop", or until the file is closed.
 *
 * Locks: a mutex for each open file. Calls: real.S, the exported functions of
 * vfio_spapr_tce2, the kernel's mm.
 */
#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/iommu.h>
#include <linux/irqflags.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include <asm/hw_irq.h>
#include <asm/iommu.h>
#include <asm/mmu_context.h>

#include "selftest.h"
#include "tce2_kapi.h"

/* Queries made in one batch, with interrupts off */
#define BATCH		64

#define RESULT_BYTES	256
#define WILD_VALUE	0x7463653277696c64ULL

/* Flags of a command */
#define FLAG_WRITE	1	/* query pages for writing */
#define FLAG_HOLD	2	/* hold pages during the comparison */
#define FLAG_RACING	4	/* other threads change the mappings; accept TCE2_RM_TOO_HARD */
#define FLAG_VIRTUAL	8	/* make the queries with the data MMU on */
#define FLAG_GOING	16	/* another thread closes containers; a second hold may fail */

/**
 * struct st_answer - one query and its answer with the data MMU off
 * @at: user or bus address of the query
 * @status: enum tce2_rm_status
 * @region: region found
 * @held: the page is held
 * @value: physical address of a user address, or user address of a bus address
 * @perm: permissions found for a bus address
 * @page: page descriptor found
 */
struct st_answer {
	u64 at;
	enum tce2_rm_status status;
	struct tce2_region *region;
	bool held;
	u64 value;
	u64 perm;
	struct page *page;
};

/**
 * struct st_job - a batch of queries, in memory that real mode can access
 * @ops: functions under test
 * @cache: region cache of the process
 * @window: window to query, or NULL
 * @base: first address to query
 * @size: bytes to query
 * @shift: log2 of the IOMMU page size
 * @write: query pages for writing
 * @hold: hold the pages found
 * @real: run with the data MMU off
 * @pages: IOMMU pages to hold or drop at once
 * @first_ua: user address to which other threads map @base; in do_refuse() a mapped bus
 *	address
 * @random: state of the random numbers
 * @count: queries in this batch
 * @answer: answers in this batch
 *
 * Allocated with kmalloc(), because real mode needs the linear mapping.
 */
struct st_job {
	struct tce2_rm_ops ops;
	struct tce2_cache *cache;
	struct tce2_window *window;
	u64 base;
	u64 size;
	unsigned int shift;
	bool write;
	bool hold;
	bool real;
	u64 pages;
	u64 first_ua;
	u64 random;
	unsigned int count;
	struct st_answer answer[BATCH];
};

typedef void st_fn(struct st_job *job);

/**
 * struct st_file - an open file
 * @lock: serializes commands
 * @job: memory that real mode may access
 * @held_ua: user address of the page held by the command "hold"
 * @held_shift: log2 of the size of the held page
 * @held: number of holds of the held page
 * @region: region that contains the held page
 * @ok: number of correct answers TCE2_RM_OK
 * @read_only: number of correct answers TCE2_RM_READ_ONLY
 * @too_hard: number of correct answers TCE2_RM_TOO_HARD
 * @wrong: number of wrong answers
 * @result: text that read() returns
 */
struct st_file {
	struct mutex lock;	/* protects all following members */
	struct st_job *job;
	u64 held_ua;
	unsigned int held_shift;
	u64 held;
	struct tce2_region *region;
	u64 ok;
	u64 read_only;
	u64 too_hard;
	u64 wrong;
	char result[RESULT_BYTES];
};

static struct dentry *directory;

/* Call a function with up to five arguments, in the mode of the job */
static unsigned long call(const struct st_job *job, void *function,
			  unsigned long a, unsigned long b, unsigned long c,
			  unsigned long d, unsigned long e)
{
	unsigned long (*direct)(unsigned long a, unsigned long b,
				unsigned long c, unsigned long d,
				unsigned long e) = function;

	return job->real ? st_call_real(a, b, c, d, e, function) :
			   direct(a, b, c, d, e);
}

#define ARG(x)	((unsigned long)(x))
#define CALL1(job, fn, a)	call(job, fn, ARG(a), 0, 0, 0, 0)
#define CALL2(job, fn, a, b)	call(job, fn, ARG(a), ARG(b), 0, 0, 0)
#define CALL3(job, fn, a, b, c)	call(job, fn, ARG(a), ARG(b), ARG(c), 0, 0)
#define CALL4(job, fn, a, b, c, d) \
	call(job, fn, ARG(a), ARG(b), ARG(c), ARG(d), 0)
#define CALL5(job, fn, a, b, c, d, e) \
	call(job, fn, ARG(a), ARG(b), ARG(c), ARG(d), ARG(e))

/* Warn if the data MMU is not in the state that the job requires */
static void check_mode(const struct st_job *job)
{
	bool off = !(call(job, st_msr, 0, 0, 0, 0, 0) & MSR_DR);

	WARN_ON_ONCE(off != job->real);
}

/* Run a batch of queries with interrupts off; return the duration of the batch in ns */
static u64 run(struct st_job *job, st_fn *fn, u64 flags)
{
	unsigned long irq_flags;
	u64 began;

	job->real = ST_REAL_MODE && !(flags & FLAG_VIRTUAL);
	local_irq_save(irq_flags);
	hard_irq_disable();
	check_mode(job);
	began = ktime_get_ns();
	fn(job);
	began = ktime_get_ns() - began;
	local_irq_restore(irq_flags);
	return began;
}

/* Return a random IOMMU page of the job's range (Knuth's MMIX generator) */
static u64 random_page(struct st_job *job)
{
	job->random = job->random * 6364136223846793005ULL +
		      1442695040888963407ULL;
	return job->base + ((job->random >> 20) % (job->size >> job->shift) <<
			    job->shift);
}

/* Look up and translate random IOMMU pages, and hold them if job->hold is set */
static void translate(struct st_job *job)
{
	unsigned int i;

	for (i = 0; i < job->count; i++) {
		struct st_answer *answer = &job->answer[i];
		struct tce2_region *region;

		answer->at = random_page(job);
		answer->status = TCE2_RM_TOO_HARD;
		region = (void *)CALL3(job, job->ops.lookup, job->cache,
				       answer->at, 1ULL << job->shift);
		answer->region = region;
		answer->held = region && job->hold &&
			       !CALL2(job, job->ops.mapped_get, region,
				      job->pages);
		if (!region || answer->held != job->hold)
			continue;
		answer->status = CALL5(job, job->ops.ua_to_hpa, region,
				       answer->at, job->shift, job->write,
				       &answer->value);
	}
}

/* Drop the holds of a batch, except the last hold of each page, which real mode cannot drop */
static void drop(struct st_job *job)
{
	unsigned int i;

	for (i = 0; i < job->count; i++) {
		struct st_answer *answer = &job->answer[i];

		if (answer->held && !CALL2(job, job->ops.mapped_put,
					   answer->region, job->pages))
			answer->held = false;
	}
}

/* Mark held pages dirty */
static void mark_dirty(struct st_job *job)
{
	unsigned int i;

	for (i = 0; i < job->count; i++)
		job->answer[i].status =
			CALL3(job, job->ops.mark_dirty, job->answer[i].region,
			      job->answer[i].at, job->shift);
}

/* Read random entries of the window */
static void read_tces(struct st_job *job)
{
	unsigned int i;

	for (i = 0; i < job->count; i++) {
		struct st_answer *answer = &job->answer[i];

		answer->at = random_page(job);
		answer->status = CALL4(job, job->ops.read_tce, job->window,
				       answer->at, &answer->value,
				       &answer->perm);
	}
}

/* Find the descriptors of translated pages */
static void find_pages(struct st_job *job)
{
	unsigned int i;

	for (i = 0; i < job->count; i++) {
		struct st_answer *answer = &job->answer[i];

		answer->status = CALL3(job, job->ops.find_page, job->cache,
				       PHYS_PFN(answer->value), &answer->page);
	}
}

/* Put a reference to each page found */
static void put_pages(struct st_job *job)
{
	unsigned int i;

	for (i = 0; i < job->count; i++)
		job->answer[i].status =
			CALL2(job, job->ops.put_page_unless_one, job->cache,
			      job->answer[i].page);
}

/* Check with get_user_pages() that @hpa is the physical address of @ua */
static bool is_at(u64 ua, u64 hpa)
{
	struct page *page;
	bool same;

	if (get_user_pages_fast(ua, 1, 0, &page) != 1)
		return false;
	same = page_to_phys(page) + offset_in_page(ua) == hpa;
	put_page(page);
	return same;
}

static void drop_memory(struct tce2_cache *cache, u64 ua, unsigned int shift, u64 pages)
{
	const struct tce2_memory memory = { .ua = ua, .pages = pages, .shift = shift };

	tce2_memory_drop(cache, &memory);
}

/* Look up a user address in virtual mode; return the status that real mode must have returned */
static enum tce2_rm_status virtual_status(struct st_job *job, u64 ua,
					  struct tce2_region **region)
{
	struct tce2_memory memory = {
		.ua = ua, .pages = 1, .shift = job->shift, .write = job->write,
	};
	int ret = tce2_memory_hold(job->cache, &memory);

	if (!ret) {
		*region = memory.region;
		tce2_memory_drop(job->cache, &memory);
	}
	return !ret ? TCE2_RM_OK :
	       ret == -EPERM ? TCE2_RM_READ_ONLY : TCE2_RM_TOO_HARD;
}

static bool is_right(struct st_job *job, const struct st_answer *answer,
		     u64 flags)
{
	struct tce2_region *region = NULL;
	u64 offset;

	if (answer->status == TCE2_RM_OK) {
		/* Compare a random byte of the page */
		offset = (answer->at * 0x9e3779b97f4a7c15ULL + job->random) &
			 ((1ULL << job->shift) - 1);
		if (!is_at(answer->at + offset, answer->value + offset))
			return false;
		if ((flags & FLAG_RACING) && !(flags & FLAG_HOLD))
			return true;
		if (virtual_status(job, answer->at, &region) != TCE2_RM_OK)
			return flags & FLAG_GOING;
		return region == answer->region;
	}
	if (flags & FLAG_RACING)
		return true;
	return virtual_status(job, answer->at, &region) == answer->status;
}

static void note(struct st_file *file, enum tce2_rm_status status, bool right)
{
	if (!right)
		file->wrong++;
	else if (status == TCE2_RM_OK)
		file->ok++;
	else if (status == TCE2_RM_READ_ONLY)
		file->read_only++;
	else
		file->too_hard++;
}

static void say_counts(struct st_file *file)
{
	snprintf(file->result, sizeof(file->result),
		 "ok %llu read_only %llu too_hard %llu wrong %llu\n", file->ok,
		 file->read_only, file->too_hard, file->wrong);
}

/* Drop the holds of all answers; drop the last hold of a page in virtual mode */
static void drop_answers(struct st_job *job, u64 flags)
{
	unsigned int i;

	run(job, drop, flags);
	for (i = 0; i < job->count; i++) {
		if (job->answer[i].held)
			drop_memory(job->cache, job->answer[i].at, job->shift,
				    job->pages);
	}
}

/* Make one batch of queries and compare the answers */
static void translate_batch(struct st_file *file, u64 flags)
{
	struct st_job *job = file->job;
	unsigned int i;

	run(job, translate, flags);
	for (i = 0; i < job->count; i++)
		note(file, job->answer[i].status,
		     is_right(job, &job->answer[i], flags));
	drop_answers(job, flags);
}

/**
 * struct st_args - arguments of a command
 * @base: first address of the range to query
 * @size: bytes of the range
 * @shift: log2 of the IOMMU page size
 * @count: number of queries
 * @flags: FLAG_*
 * @extra: number, used differently by each command
 * @device: name of a PCI device
 */
struct st_args {
	u64 base;
	u64 size;
	u64 shift;
	u64 count;
	u64 flags;
	u64 extra;
	char device[32];
};

typedef int st_command(struct st_file *file, const struct st_args *args);

/* Make @args->count queries, in batches */
static int ask(struct st_file *file, const struct st_args *args,
	       void (*batch)(struct st_file *file, u64 flags))
{
	struct st_job *job = file->job;
	u64 left;

	for (left = args->count; left; left -= job->count) {
		if (fatal_signal_pending(current))
			return -EINTR;
		job->count = min_t(u64, left, BATCH);
		batch(file, args->flags);
		cond_resched();
	}
	say_counts(file);
	return 0;
}

/* Translate random pages of a range */
static int do_translate(struct st_file *file, const struct st_args *args)
{
	return ask(file, args, translate_batch);
}

/* Read entries in real mode; compare them with virtual mode and with the client's mapping */
static void window_batch(struct st_file *file, u64 flags)
{
	struct st_job *job = file->job;
	unsigned int i;

	run(job, read_tces, flags);
	for (i = 0; i < job->count; i++) {
		const struct st_answer *answer = &job->answer[i];
		u64 ua, perm;
		int ret;

		ret = tce2_window_read_tce(job->window, answer->at, &ua, &perm);
		if (answer->status == TCE2_RM_TOO_HARD)
			note(file, TCE2_RM_TOO_HARD,
			     (flags & FLAG_RACING) || ret || !perm);
		else if (flags & FLAG_RACING)
			/*
			 * The entry must be unmapped, or map the page at
			 * the same offset from first_ua. An unmapped entry
			 * is counted as TCE2_RM_READ_ONLY
			 */
			note(file, answer->perm ? TCE2_RM_OK :
						  TCE2_RM_READ_ONLY,
			     !answer->perm ||
			     answer->value == job->first_ua +
					      (answer->at - job->base));
		else
			note(file, TCE2_RM_OK, !ret && perm == answer->perm &&
			     ua == answer->value);
	}
}

/* Get the window of a device's group in a slot */
static struct tce2_window *find_window(const char *name, u64 slot)
{
	struct device *dev = bus_find_device_by_name(&pci_bus_type, NULL, name);
	struct iommu_group *group = dev ? iommu_group_get(dev) : NULL;
	struct tce2_window *window = NULL;

	if (group && slot < IOMMU_TABLE_GROUP_MAX_TABLES) {
		struct iommu_table_group *tg = iommu_group_get_iommudata(group);

		if (tg && tg->tables[slot])
			window = tce2_window_get(tg->tables[slot]);
	}
	iommu_group_put(group);
	put_device(dev);
	return window;
}

/*
 * Read entries of a device's window. If other threads change the entries meanwhile, the
 * entry at an offset from @args->base must be unmapped, or map the user memory at the same
 * offset from @args->extra.
 */
static int do_window(struct st_file *file, const struct st_args *args)
{
	struct st_job *job = file->job;
	int ret;

	/* Bit 59 of the bus addresses is the slot */
	job->window = find_window(args->device, args->base >> 59);
	if (!job->window)
		return -ENODEV;
	job->first_ua = args->extra;
	ret = ask(file, args, window_batch);
	tce2_window_put(job->window);
	job->window = NULL;
	return ret;
}

/* Hold a page @args->extra times until "drop", or until the file is closed */
static int do_hold(struct st_file *file, const struct st_args *args)
{
	struct st_job *job = file->job;

	if (file->held)
		return -EBUSY;
	job->count = 1;
	job->hold = true;
	job->pages = args->extra;
	run(job, translate, args->flags);
	if (job->answer[0].held) {
		file->held_ua = args->base;
		file->held_shift = args->shift;
		file->held = args->extra;
		file->region = job->answer[0].region;
	}
	note(file, job->answer[0].status, true);
	say_counts(file);
	return 0;
}

/* Drop all held pages, in real mode where possible */
static int do_drop(struct st_file *file, const struct st_args *args)
{
	struct st_job *job = file->job;

	job->count = 1;
	job->pages = 1;
	for (; file->held; file->held--) {
		job->answer[0] = (struct st_answer){
			.region = file->region, .held = true,
		};
		run(job, drop, args->flags);
		if (!job->answer[0].held) {
			file->ok++;
			continue;
		}
		drop_memory(job->cache, file->held_ua, file->held_shift, 1);
		file->too_hard++;
	}
	say_counts(file);
	return 0;
}

/* Mark a page dirty */
static int do_dirty(struct st_file *file, const struct st_args *args)
{
	struct st_job *job = file->job;

	job->count = 1;
	job->hold = true;
	run(job, translate, args->flags);
	if (job->answer[0].held) {
		run(job, mark_dirty, args->flags);
		note(file, job->answer[0].status, true);
		drop_answers(job, args->flags);
	}
	say_counts(file);
	return 0;
}

/* Return the page at a translated address */
static struct page *page_of(const struct st_answer *answer)
{
	return pfn_to_page(PHYS_PFN(answer->value));
}

/* Check that @found, an address in the linear mapping, is the descriptor of @page */
static bool is_descriptor(struct page *page, struct page *found)
{
	struct page *backing = vmalloc_to_page(page);

	return backing && page_to_phys(backing) + offset_in_page(page) ==
			  __pa(found);
}

/* Get a reference to each page, put it in real mode, and count the errors */
static unsigned int wrong_puts(struct st_job *job, u64 flags)
{
	const unsigned int count = job->count;
	unsigned int i, wrong = 0;
	int before[BATCH];

	/* Read all counts first: several pages may belong to one large page with a single count */
	for (i = 0; i < count; i++)
		before[i] = page_count(page_of(&job->answer[i]));
	for (i = 0; i < count; i++)
		get_page(page_of(&job->answer[i]));
	run(job, put_pages, flags);
	for (i = 0; i < count; i++) {
		struct page *page = page_of(&job->answer[i]);

		if (job->answer[i].status != TCE2_RM_OK)
			put_page(page);
		if (job->answer[i].status != TCE2_RM_OK ||
		    page_count(page) != before[i])
			wrong++;
	}
	return wrong;
}

static void pages_batch(struct st_file *file, u64 flags)
{
	struct st_job *job = file->job;
	unsigned int i, tries = 3;

	job->hold = true;
	run(job, translate, flags);
	for (i = 0; i < job->count; i++) {
		if (job->answer[i].status != TCE2_RM_OK)
			file->wrong++;
	}
	if (file->wrong)
		goto drop;
	run(job, find_pages, flags);
	for (i = 0; i < job->count; i++)
		note(file, job->answer[i].status,
		     job->answer[i].status == TCE2_RM_OK &&
		     is_descriptor(page_of(&job->answer[i]),
				   job->answer[i].page));
	if (file->wrong)
		goto drop;
	/* The kernel may put other references meanwhile, so try again */
	while (wrong_puts(job, flags)) {
		if (!--tries) {
			file->wrong++;
			goto drop;
		}
	}
	file->ok += job->count;
drop:
	drop_answers(job, flags);
}

/* Enable the lookup of page descriptors */
static int do_index(struct st_file *file, const struct st_args *args)
{
	say_counts(file);
	return tce2_cache_find_pages(file->job->cache);
}

static int do_pages(struct st_file *file, const struct st_args *args)
{
	int ret = tce2_cache_find_pages(file->job->cache);

	return ret ?: ask(file, args, pages_batch);
}

/*
 * Check that real mode does not drop the last reference to a page. @found is set to whether
 * real mode finds the descriptor: it does if the page, or a page near it, was registered
 * before.
 */
static bool last_reference_stays(struct st_job *job, struct page *page,
				 bool *found)
{
	job->count = 1;
	job->answer[0].value = page_to_phys(page);
	run(job, find_pages, 0);
	*found = job->answer[0].status == TCE2_RM_OK;
	if (!*found)
		return true;
	run(job, put_pages, 0);
	if (job->answer[0].status != TCE2_RM_TOO_HARD || page_count(page) != 1)
		return false;
	get_page(page);
	run(job, put_pages, 0);
	return job->answer[0].status == TCE2_RM_OK && page_count(page) == 1;
}

static int do_last(struct st_file *file, const struct st_args *args)
{
	struct page *page;
	LIST_HEAD(pages);
	u64 i;

	for (i = 0; i < args->count && !file->ok; i++) {
		bool found;

		/* Allocate like user memory, to get pages that were just freed */
		page = alloc_page(GFP_HIGHUSER_MOVABLE);
		if (!page)
			break;
		if (!last_reference_stays(file->job, page, &found))
			file->wrong++;
		else if (found)
			file->ok++;
		list_add(&page->lru, &pages);
	}
	while (!list_empty(&pages)) {
		page = list_first_entry(&pages, struct page, lru);
		list_del(&page->lru);
		put_page(page);
	}
	say_counts(file);
	return 0;
}

static void read_wild(struct st_job *job)
{
	job->answer[0].value = CALL1(job, st_read, job->answer[0].at);
}

/* Read a vmalloc() address; no kernel code may do this with the data MMU off */
static int do_wild(struct st_file *file, const struct st_args *args)
{
	struct st_job *job = file->job;
	u64 *wild = vmalloc(PAGE_SIZE);

	if (!wild)
		return -ENOMEM;
	*wild = WILD_VALUE;
	job->answer[0].at = ARG(wild);
	run(job, read_wild, args->flags);
	if (job->answer[0].value == WILD_VALUE)
		file->ok++;
	else
		file->wrong++;
	say_counts(file);
	vfree(wild);
	return 0;
}

/*
 * Call each function with a vmalloc() address in place of each pointer argument in turn,
 * with all other arguments valid. Store the result of each call in an answer. On entry the
 * first answer has a valid page, and the last answer has the vmalloc() address.
 */
static void pass_wild(struct st_job *job)
{
	const struct tce2_rm_ops *ops = &job->ops;
	struct st_answer *answer = job->answer, *last = &answer[BATCH - 1];
	struct tce2_region *region = answer->region;
	u64 wild = last->at, pfn = PHYS_PFN(answer->value), base = job->base;
	struct page *page = answer->page;
	unsigned int i = 0, shift = job->shift;

	answer[i++].status = CALL3(job, ops->lookup, wild, base, 1) ?
			     TCE2_RM_OK : TCE2_RM_TOO_HARD;
	answer[i++].status = CALL5(job, ops->ua_to_hpa, wild, base, shift, 0,
				   &last->value);
	answer[i++].status = CALL5(job, ops->ua_to_hpa, region, base, shift, 0,
				   wild);
	answer[i++].status = CALL2(job, ops->mapped_get, wild, 1);
	answer[i++].status = CALL2(job, ops->mapped_put, wild, 1);
	answer[i++].status = CALL3(job, ops->mark_dirty, wild, base, shift);
	answer[i++].status = CALL4(job, ops->read_tce, wild, job->first_ua,
				   &last->value, &last->perm);
	answer[i++].status = CALL4(job, ops->read_tce, job->window,
				   job->first_ua, wild, &last->perm);
	answer[i++].status = CALL4(job, ops->read_tce, job->window,
				   job->first_ua, &last->value, wild);
	answer[i++].status = CALL3(job, ops->find_page, wild, pfn, &last->page);
	answer[i++].status = CALL3(job, ops->find_page, job->cache, pfn, wild);
	answer[i++].status = CALL2(job, ops->put_page_unless_one, wild, page);
	answer[i++].status = CALL2(job, ops->put_page_unless_one, job->cache,
				   wild);
	job->count = i;
}

/* Check that the functions succeed if all arguments are valid */
static bool all_answered(struct st_job *job)
{
	struct st_answer *answer = job->answer;

	run(job, find_pages, 0);
	if (answer->status != TCE2_RM_OK)
		return false;
	job->answer[1].at = job->first_ua;
	return !CALL4(job, job->ops.read_tce, job->window, job->first_ua,
		      &answer[1].value, &answer[1].perm);
}

/*
 * Check that the functions refuse vmalloc() addresses. @args->extra is a bus address that
 * is mapped in the device's window.
 */
static int do_refuse(struct st_file *file, const struct st_args *args)
{
	struct st_job *job = file->job;
	struct st_answer held;
	unsigned int i;
	u64 *wild;
	int ret;

	ret = tce2_cache_find_pages(job->cache);
	if (ret)
		return ret;
	job->window = find_window(args->device, args->extra >> 59);
	wild = vzalloc(PAGE_SIZE);
	if (!job->window || !wild) {
		ret = -ENODEV;
		goto free;
	}
	job->first_ua = args->extra;
	job->count = 1;
	job->hold = true;
	run(job, translate, args->flags);
	held = job->answer[0];
	if (held.held && all_answered(job)) {
		job->answer[BATCH - 1].at = ARG(wild);
		run(job, pass_wild, args->flags);
		for (i = 0; i < job->count; i++)
			note(file, job->answer[i].status,
			     job->answer[i].status == TCE2_RM_TOO_HARD);
	}
	if (memchr_inv(wild, 0, PAGE_SIZE))
		file->wrong++;
	job->count = 1;
	job->answer[0] = held;
	drop_answers(job, args->flags);
	say_counts(file);
free:
	vfree(wild);
	if (job->window)
		tce2_window_put(job->window);
	job->window = NULL;
	return ret;
}

/* Translate with the kernel's own list of regions, which does not support real mode */
static void translate_kernel(struct st_job *job)
{
	struct mm_iommu_table_group_mem_t *mem;
	unsigned long hpa;
	unsigned int i;

	for (i = 0; i < job->count; i++) {
		u64 ua = random_page(job);

		mem = mm_iommu_lookup(current->mm, ua, 1UL << job->shift);
		if (mem && !mm_iommu_ua_to_hpa(mem, ua, job->shift, &hpa))
			job->answer[i].value = hpa;
	}
}

/* Do the same as translate_kernel() with empty functions, to measure the overhead */
static void translate_nothing(struct st_job *job)
{
	unsigned int i;

	for (i = 0; i < job->count; i++) {
		u64 ua = random_page(job);

		if (!st_nothing(ARG(job), ua, 1UL << job->shift) ||
		    st_nothing(ARG(job), ua, job->shift, &job->answer[i].value))
			job->answer[i].value = ua;
	}
}

/* Register pages @args->extra bytes apart in the kernel's list, or unregister them */
static int kernel_regions(const struct st_args *args, bool add)
{
	u64 ua, step = args->extra;
	int ret;

	for (ua = args->base; ua < args->base + args->size; ua += step) {
		struct mm_iommu_table_group_mem_t *mem;

		if (add) {
			ret = mm_iommu_new(current->mm, ua, 1, &mem);
			if (ret)
				return ret;
			continue;
		}
		mem = mm_iommu_get(current->mm, ua, 1);
		if (mem) {
			mm_iommu_put(current->mm, mem);
			mm_iommu_put(current->mm, mem);
		}
	}
	return 0;
}

/*
 * Measure @args->count translations of random pages in nanoseconds, minus the time of
 * empty functions. The benchmark runs on a machine where a nanosecond is an instruction.
 */
static int do_time(struct st_file *file, const struct st_args *args)
{
	struct tce2_rm_ops ops = file->job->ops;
	struct st_job *job = file->job;
	u64 real = 0, virtual = 0, kernel = 0, left;
	int ret = args->extra ? kernel_regions(args, true) : -EINVAL;

	for (left = args->count; !ret && left; left -= job->count) {
		job->count = min_t(u64, left, BATCH);
		real += run(job, translate, 0);
		virtual += run(job, translate, FLAG_VIRTUAL);
		job->ops.lookup = (void *)st_nothing;
		job->ops.ua_to_hpa = (void *)st_nothing;
		real -= run(job, translate, 0);
		virtual -= run(job, translate, FLAG_VIRTUAL);
		job->ops = ops;
		kernel += run(job, translate_kernel, FLAG_VIRTUAL);
		kernel -= run(job, translate_nothing, FLAG_VIRTUAL);
		cond_resched();
	}
	if (args->extra)
		kernel_regions(args, false);
	snprintf(file->result, sizeof(file->result),
		 "real %lld virtual %lld kernel %lld\n", real, virtual, kernel);
	return ret;
}

/*
 * Print the state of the process (state.c). If @args->count is 0, no TCE is read.
 */
static int do_state(struct st_file *file, const struct st_args *args)
{
	st_state(file->job->cache, args->base, args->count ? args->size : 0,
		 file->result, sizeof(file->result));
	return 0;
}

static const struct {
	const char *name;
	st_command *run;
} commands[] = {
	{ "translate", do_translate },
	{ "window", do_window },
	{ "hold", do_hold },
	{ "drop", do_drop },
	{ "dirty", do_dirty },
	{ "index", do_index },
	{ "pages", do_pages },
	{ "last", do_last },
	{ "wild", do_wild },
	{ "refuse", do_refuse },
	{ "time", do_time },
	{ "state", do_state },
};

static int check_args(const struct st_args *args)
{
	if (args->shift < 12 || args->shift > 40 ||
	    args->size >> args->shift == 0 ||
	    args->base & ((1ULL << args->shift) - 1))
		return -EINVAL;
	return 0;
}

static int run_command(struct st_file *file, const char *name,
		       const struct st_args *args)
{
	struct st_job *job = file->job;
	unsigned int i;

	file->ok = 0;
	file->read_only = 0;
	file->too_hard = 0;
	file->wrong = 0;
	job->base = args->base;
	job->size = args->size;
	job->shift = args->shift;
	job->write = args->flags & FLAG_WRITE;
	job->hold = args->flags & FLAG_HOLD;
	job->pages = 1;
	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		if (!strcmp(name, commands[i].name))
			return commands[i].run(file, args);
	}
	return -ENOENT;
}

/* Run a command "NAME BASE SIZE SHIFT COUNT FLAGS EXTRA DEVICE", numbers in hexadecimal */
static ssize_t command_write(struct file *filp, const char __user *buf,
			     size_t len, loff_t *pos)
{
	struct st_file *file = filp->private_data;
	char text[RESULT_BYTES] = "", name[16];
	struct st_args args = {};
	int ret;

	if (len >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, buf, len))
		return -EFAULT;
	if (sscanf(text, "%15s %llx %llx %llx %llx %llx %llx %31s", name,
		   &args.base, &args.size, &args.shift, &args.count,
		   &args.flags, &args.extra, args.device) < 7)
		return -EINVAL;
	ret = check_args(&args);
	if (ret)
		return ret;
	mutex_lock(&file->lock);
	ret = run_command(file, name, &args);
	mutex_unlock(&file->lock);
	return ret ?: len;
}

static ssize_t command_read(struct file *filp, char __user *buf, size_t len,
			    loff_t *pos)
{
	struct st_file *file = filp->private_data;
	ssize_t ret;

	mutex_lock(&file->lock);
	ret = simple_read_from_buffer(buf, len, pos, file->result,
				      strlen(file->result));
	mutex_unlock(&file->lock);
	return ret;
}

static int command_open(struct inode *inode, struct file *filp)
{
	struct st_file *file = kzalloc(sizeof(*file), GFP_KERNEL);

	if (!file)
		return -ENOMEM;
	file->job = kzalloc(sizeof(*file->job), GFP_KERNEL);
	if (!file->job)
		goto free;
	file->job->cache = tce2_cache_get(current->mm);
	if (!file->job->cache)
		goto free_job;
	tce2_rm_ops_init(&file->job->ops);
	file->job->random = ktime_get_ns();
	mutex_init(&file->lock);
	filp->private_data = file;
	return 0;

free_job:
	kfree(file->job);
free:
	kfree(file);
	return -ENOMEM;
}

static int command_release(struct inode *inode, struct file *filp)
{
	struct st_file *file = filp->private_data;

	if (file->held)
		drop_memory(file->job->cache, file->held_ua, file->held_shift,
			    file->held);
	tce2_cache_put(file->job->cache);
	kfree(file->job);
	kfree(file);
	return 0;
}

static const struct file_operations command_fops = {
	.owner		= THIS_MODULE,
	.open		= command_open,
	.release	= command_release,
	.read		= command_read,
	.write		= command_write,
};

static int __init selftest_init(void)
{
	directory = debugfs_create_dir(KBUILD_MODNAME, NULL);
	debugfs_create_file("command", 0600, directory, NULL, &command_fops);
	return 0;
}

static void __exit selftest_exit(void)
{
	debugfs_remove(directory);
}

module_init(selftest_init);
module_exit(selftest_exit);

MODULE_LICENSE("GPL");
MODULE_AUTHOR("The vfio-spapr-tce2 authors");
MODULE_DESCRIPTION("Self-test of vfio_spapr_tce2's real-mode interface");
