// SPDX-License-Identifier: GPL-2.0-only
/*
 * The naive model of processes, containers, registrations and mappings. It consists of
 * plain arrays with one element a page. It uses no clever algorithm, so a reader
 * can see that its results are right.
 */
#include <stdlib.h>
#include <string.h>

#include <linux/bitops.h>

#include "model.h"
#include "unit.h"

#define PROCESSES  2
#define CONTAINERS 5
#define REGIONS	   48
#define HOLDS	   64
#define SPACE	   256 /* pages in the address space of a process */
#define FRAMES	   1024 /* page frames that back the address spaces */
#define REGION_MAX 96 /* maximum number of pages of a region */

#define BLOCKS	   512 /* real mode translates no IOMMU page of more blocks */

#define MIN_SHIFT 12 /* the smallest IOMMU page has 4 KiB */
#define MAX_SHIFT (PAGE_SHIFT + 6)

/**
 * struct page_model - a page of a process's address space
 * @mapped: the page is mapped
 * @writable: the process may write to it
 * @pinnable: the page can be pinned with FOLL_LONGTERM
 * @pfn: number of its page frame
 */
struct page_model {
	bool mapped;
	bool writable;
	bool pinnable;
	u32 pfn;
};

struct process {
	struct mm_struct *mm;
	struct tce2_cache *cache; /* NULL while no container is open */
	unsigned int containers;
	u64 base;
	u64 limit;
	struct page_model page[SPACE];
};

struct container {
	struct process *process; /* NULL while closed */
	unsigned int registered[REGIONS];
};

/**
 * struct region_model - a region
 * @real: the region of src/, or NULL if this element is free
 * @process: process to which the memory belongs
 * @first: number of its first page in the process's address space
 * @pages: number of pages
 * @used: number of registrations by containers
 * @held: number of held IOMMU pages
 * @page: copies of the pages, made when they were pinned
 * @must: pages that must be marked dirty, because a device could write to them
 * @may: pages that may be marked dirty
 */
struct region_model {
	struct tce2_region *real;
	struct process *process;
	u32 first;
	u32 pages;
	u64 used;
	u64 held;
	struct page_model page[REGION_MAX];
	bool must[REGION_MAX];
	bool may[REGION_MAX];
};

/**
 * struct hold_model - a range of memory that is held
 * @container: the container that holds it; NULL if this element is free
 * @ua: first user address
 * @shift: log2 of the IOMMU page size
 * @pages: number of IOMMU pages
 */
struct hold_model {
	struct container *container;
	u64 ua;
	unsigned int shift;
	u64 pages;
};

/* Destroyed regions have marked a page frame dirty at least @must and at most @may times */
struct frame_model {
	u32 must;
	u32 may;
};

static struct process processes[PROCESSES];
static struct container containers[CONTAINERS];
static struct region_model regions[REGIONS];
static struct hold_model holds[HOLDS];
static struct frame_model frames[FRAMES];
static struct source *source;

/*
 * Choices from the source
 */

bool exhausted(const struct source *s)
{
	return s->bytes && !s->left;
}

static u32 next_byte(struct source *s)
{
	if (!s->left)
		return 0;
	s->left--;
	return *s->bytes++;
}

/* Returns a number below @limit, or 0 if the source is exhausted */
u32 choose(struct source *s, u32 limit)
{
	if (limit <= 1)
		return 0;
	if (s->bytes)
		return (limit > 256 ? next_byte(s) | next_byte(s) << 8
				    : next_byte(s)) %
		       limit;
	s->state ^= s->state << 13;
	s->state ^= s->state >> 7;
	s->state ^= s->state << 17;
	return (s->state >> 16) % limit;
}

static u32 pick(u32 limit)
{
	return choose(source, limit);
}

static bool one_in(u32 n)
{
	return !pick(n);
}

/*
 * Address spaces
 */

static u64 ua_of(const struct process *p, u32 page)
{
	return p->base + PAGES(page);
}

static bool same_mapping(const struct page_model *a, const struct page_model *b)
{
	return a->mapped == b->mapped && a->writable == b->writable;
}

/* Sets the simulated process's page tables to the model's */
static void install(struct process *p)
{
	u32 first = 0, end;

	sim_munmap_all(p->mm);
	for (; first < SPACE; first = end) {
		const struct page_model *page = &p->page[first];
		u64 *pfn;

		for (end = first + 1; end < SPACE; end++) {
			if (!same_mapping(page, &p->page[end]))
				break;
		}
		if (!page->mapped)
			continue;
		pfn = sim_mmap(p->mm, ua_of(p, first), PAGES(end - first),
			       PAGE_SHIFT, page->writable);
		for (u32 i = 0; i < end - first; i++)
			pfn[i] = page[i].pfn |
				 (page[i].pinnable ? 0 : SIM_UNPINNABLE);
	}
}

/* Maps a range again: scattered, contiguous, in aligned blocks, or not at all */
static void remap(struct process *p, u32 first, u32 count)
{
	struct page_model page = {
		.mapped = !one_in(8),
		.writable = !one_in(4),
	};
	unsigned int block = 1U << pick(7);
	bool aligned = !one_in(4);

	for (u32 i = first; i < first + count && i < SPACE; i++) {
		page.pinnable = !one_in(512);
		page.pfn++;
		if (i == first || !(i % block)) {
			page.pfn = pick(FRAMES - SPACE);
			if (aligned)
				page.pfn = page.pfn / block * block + i % block;
		}
		p->page[i] = page;
	}
}

static void new_address_space(struct process *p)
{
	static const u64 bases[] = { 0, 3, 1 << 20, (1 << 20) - 100 };
	u32 first, count;

	memset(p, 0, sizeof(*p));
	p->mm = sim_process();
	p->base = PAGES(bases[pick(ARRAY_SIZE(bases))]);
	p->limit = one_in(4) ? 100 + pick(200) : 1 << 20;
	sim_limit(p->mm, p->limit);
	for (first = 0; first < SPACE; first += count) {
		count = 1 + pick(96);
		remap(p, first, count);
	}
	install(p);
}

/*
 * Lookups in the model
 */

/* Returns the region that contains a user address, or NULL */
static struct region_model *region_of(const struct process *p, u64 ua)
{
	for (u32 i = 0; i < REGIONS; i++) {
		struct region_model *r = &regions[i];

		if (r->real && r->process == p && ua >= ua_of(p, r->first) &&
		    ua < ua_of(p, r->first + r->pages))
			return r;
	}
	return NULL;
}

static struct region_model *free_region(void)
{
	for (u32 i = 0; i < REGIONS; i++) {
		if (!regions[i].real)
			return &regions[i];
	}
	return NULL;
}

static u32 page_in(const struct region_model *r, u64 ua)
{
	return (ua - ua_of(r->process, r->first)) >> PAGE_SHIFT;
}

/* Returns log2 of the largest block size for which each block is contiguous */
static unsigned int block_shift(const struct region_model *r)
{
	unsigned int shift =
		max_t(unsigned int, PAGE_SHIFT, fls64(PAGES(r->pages) - 1));

	for (u32 i = 1; i < r->pages; i++) {
		const struct page_model *page = &r->page[i];
		u64 ua = ua_of(r->process, r->first + i);

		if (page[0].pfn != page[-1].pfn + 1 ||
		    page[0].writable != page[-1].writable)
			shift = min_t(unsigned int, shift, __ffs64(ua));
	}
	return shift;
}

/* Notes that a device may write to these addresses; dirty flags are kept for each block */
static void note_written(struct region_model *r, u64 ua, u64 bytes, bool must)
{
	unsigned int shift = block_shift(r);

	for (u32 i = 0; i < r->pages; i++) {
		u64 block = ua_of(r->process, r->first + i) >> shift;

		if (block < ua >> shift || block > (ua + bytes - 1) >> shift)
			continue;
		r->may[i] = true;
		if (must)
			r->must[i] = true;
	}
}

/* Removes a region from the model if no container has registered it and no page is held */
static void settle(struct region_model *r)
{
	if (r->used || r->held)
		return;
	for (u32 i = 0; i < r->pages; i++) {
		frames[r->page[i].pfn].must += r->must[i];
		frames[r->page[i].pfn].may += r->may[i];
	}
	memset(r, 0, sizeof(*r));
}

/* Sets *@hpa to the physical address of an IOMMU page, and returns 0 or an error */
static s64 translate(const struct process *p, u64 ua, unsigned int shift,
		     bool write, u64 *hpa)
{
	struct region_model *r = region_of(p, ua);
	bool writable = true;
	u64 bytes = 1ULL << shift;
	u32 first, last;

	if (!r || region_of(p, ua + bytes - 1) != r)
		return -EINVAL;
	first = page_in(r, ua);
	last = page_in(r, ua + bytes - 1);
	*hpa = PAGES(r->page[first].pfn) + (ua & (PAGE_SIZE - 1));
	if (*hpa & (bytes - 1))
		return -EINVAL;
	for (u32 i = first; i <= last; i++) {
		if (r->page[i].pfn != r->page[first].pfn + (i - first))
			return -EINVAL;
		if (!r->page[i].writable)
			writable = false;
	}
	return write && !writable ? -EPERM : 0;
}

/*
 * Comparisons of src/ with the model
 */

static void check_counts(void)
{
	u64 pages[PROCESSES] = {}, all = 0;

	for (u32 i = 0; i < REGIONS; i++) {
		const struct region_model *r = &regions[i];

		if (!r->real)
			continue;
		pages[r->process - processes] += r->pages;
		all += r->pages;
		expect(r->real->used, r->used);
		expect(tce2_mapped_sum(&r->real->mapped),
		       r->held + (r->used ? 1 : 0));
	}
	for (u32 i = 0; i < PROCESSES; i++)
		expect(sim_charged(processes[i].mm), pages[i]);
	expect(sim.now.pinned, all);
	expect(sim.now.charged, all);
}

static void check_frames(void)
{
	u32 pins[FRAMES] = {};

	for (u32 i = 0; i < REGIONS; i++) {
		for (u32 k = 0; regions[i].real && k < regions[i].pages; k++)
			pins[regions[i].page[k].pfn]++;
	}
	for (u32 i = 0; i < FRAMES; i++) {
		const struct sim_frame *frame = sim_frame(i);

		expect(frame->pins, pins[i]);
		expect(frame->dirtied >= frames[i].must, true);
		expect(frame->dirtied <= frames[i].may, true);
	}
}

static bool any_readonly(const struct region_model *r)
{
	for (u32 i = 0; i < r->pages; i++) {
		if (!r->page[i].writable)
			return true;
	}
	return false;
}

static void check_region(const struct region_model *r)
{
	const struct tce2_extents *ext = &r->real->extents;
	u64 ua = ua_of(r->process, r->first), end = ua + PAGES(r->pages);

	expect(r->real->ua, ua);
	expect(r->real->size, end - ua);
	expect(ext->shift, block_shift(r));
	expect(ext->flags, any_readonly(r) ? TCE2_EXTENT_READONLY : 0);
	while (ua < end) {
		u64 hpa, flags, bytes = tce2_extents_run(ext, ua, &hpa, &flags);

		expect(bytes && bytes <= end - ua, true);
		for (u32 i = page_in(r, ua); bytes; i++) {
			expect(hpa, PAGES(r->page[i].pfn));
			expect(!(flags & TCE2_EXTENT_READONLY),
			       r->page[i].writable);
			expect((flags & TCE2_EXTENT_DIRTY) || !r->must[i],
			       true);
			expect(!(flags & TCE2_EXTENT_DIRTY) || r->may[i], true);
			hpa += PAGE_SIZE;
			ua += PAGE_SIZE;
			bytes -= PAGE_SIZE;
		}
	}
}

static void check_lookups(const struct process *p)
{
	for (u32 i = 0; p->cache && i < SPACE; i++) {
		const struct region_model *r = region_of(p, ua_of(p, i));

		expect(tce2_rm_lookup(p->cache, ua_of(p, i), PAGE_SIZE) ==
			       (r ? r->real : NULL),
		       true);
	}
}

static void check_all(void)
{
	check_frames();
	for (u32 i = 0; i < REGIONS; i++) {
		if (regions[i].real)
			check_region(&regions[i]);
	}
	for (u32 i = 0; i < PROCESSES; i++)
		check_lookups(&processes[i]);
}

/*
 * Random operations on src/ and on the model
 */

static struct container *pick_open(void)
{
	u32 first = pick(CONTAINERS);

	for (u32 i = 0; i < CONTAINERS; i++) {
		struct container *c = &containers[(first + i) % CONTAINERS];

		if (c->process)
			return c;
	}
	return NULL;
}

static void do_open(void)
{
	struct container *c = &containers[pick(CONTAINERS)];
	struct process *p = &processes[pick(PROCESSES)];
	struct tce2_cache *cache;

	if (c->process)
		return;
	if (one_in(8))
		sim_fail(SIM_ALLOC, 1);
	cache = tce2_cache_get(p->mm);
	if (!cache) {
		expect(sim.fired && !p->cache, true);
		return;
	}
	expect(p->cache && p->cache != cache, false);
	p->cache = cache;
	p->containers++;
	c->process = p;
	expect(sim_mm_refs(p->mm), 2);
}

/* Injects a random failure, and returns the error that a failed registration must return */
static int pick_failure(void)
{
	static const struct {
		enum sim_fault fault;
		unsigned int nth;
		int pin_error, want;
	} failures[] = {
		{ SIM_ALLOC, 6, 0, -ENOMEM },
		{ SIM_PIN, 3, -ENOMEM, -ENOMEM },
		{ SIM_PIN, 3, -EINTR, -EINTR },
		{ SIM_PIN, 3, -EAGAIN, -EFAULT },
		{ SIM_CHARGE, 1, 0, -ENOMEM },
		{ SIM_SIGNAL, 3, 0, -EINTR },
		{ SIM_KILL, 1, 0, -EINTR },
	};
	u32 i = pick(ARRAY_SIZE(failures));

	sim.pin_error = failures[i].pin_error;
	sim_fail(failures[i].fault, 1 + pick(failures[i].nth));
	return failures[i].want;
}

/* Returns the expected result of a registration; *@same is the region that it would join */
static int want_register(struct process *p, u32 first, u32 pages,
			 struct region_model **same)
{
	bool pinnable = true;
	u64 charged = 0;

	*same = NULL;
	for (u32 i = 0; i < pages; i++) {
		struct region_model *r = region_of(p, ua_of(p, first + i));

		if (r && r->first == first && r->pages == pages)
			*same = r;
		else if (r)
			return -EINVAL;
	}
	if (*same)
		return 0;
	for (u32 i = 0; i < pages; i++) {
		if (first + i >= SPACE || !p->page[first + i].mapped)
			return -EFAULT;
		pinnable &= p->page[first + i].pinnable;
	}
	for (u32 i = 0; i < REGIONS; i++) {
		if (regions[i].real && regions[i].process == p)
			charged += regions[i].pages;
	}
	if (charged + pages > p->limit)
		return -ENOMEM;
	return pinnable ? 0 : -EFAULT;
}

static void pick_range(struct process *p, u32 *first, u32 *pages)
{
	const struct region_model *r = &regions[pick(REGIONS)];

	*first = pick(SPACE);
	*pages = 1 + pick(one_in(4) ? REGION_MAX : 12);
	if (r->real && r->process == p && !one_in(3)) {
		*first = r->first;
		*pages = r->pages;
	}
}

static void do_register(void)
{
	struct container *c = pick_open();
	struct region_model *r = free_region(), *same;
	struct tce2_region *real = NULL;
	u32 first, pages;
	int ret, want, failure = 0;

	if (!c || !r)
		return;
	pick_range(c->process, &first, &pages);
	want = want_register(c->process, first, pages, &same);
	if (one_in(8))
		failure = pick_failure();
	if (one_in(4))
		sim.pin_at_most = 1 + pick(10);

	sim.mm = c->process->mm;
	ret = tce2_region_register(c->process->cache, ua_of(c->process, first),
				   PAGES(pages), &real);
	if (ret != want)
		expect(ret, sim.fired ? failure : want);
	if (ret)
		return;
	if (same) {
		r = same;
		expect(real == r->real, true);
	} else {
		r->real = real;
		r->process = c->process;
		r->first = first;
		r->pages = pages;
		memcpy(r->page, &c->process->page[first],
		       pages * sizeof(r->page[0]));
	}
	r->used++;
	c->registered[r - regions]++;
}

/* Finds a registration of a random open container */
static bool pick_registration(struct container **c, struct region_model **r)
{
	u32 first = pick(REGIONS);

	*c = pick_open();
	for (u32 i = 0; *c && i < REGIONS; i++) {
		u32 k = (first + i) % REGIONS;

		if ((*c)->registered[k]) {
			*r = &regions[k];
			return true;
		}
	}
	return false;
}

static void do_unregister(void)
{
	struct region_model *r;
	struct container *c;
	int ret, want;

	if (!pick_registration(&c, &r))
		return;
	if (one_in(16))
		sim_fail(SIM_KILL, 1);
	want = r->used == 1 && r->held ? -EBUSY : 0;
	sim.mm = c->process->mm;
	ret = tce2_region_unregister(r->real);
	expect(ret, sim.fired ? -EINTR : want);
	if (ret)
		return;
	r->used--;
	c->registered[r - regions]--;
	settle(r);
}

static void unregister_nofail(struct container *c, struct region_model *r)
{
	tce2_region_unregister_nofail(r->real);
	r->used--;
	c->registered[r - regions]--;
	settle(r);
}

static void do_unregister_nofail(void)
{
	struct region_model *r;
	struct container *c;

	if (pick_registration(&c, &r))
		unregister_nofail(c, r);
}

static struct hold_model *free_hold(void)
{
	for (u32 i = 0; i < HOLDS; i++) {
		if (!holds[i].container)
			return &holds[i];
	}
	return NULL;
}

/* Returns the expected result of a hold; *@good is the number of pages before a failure */
static int want_hold(const struct process *p, u64 ua, unsigned int shift,
		     u64 pages, bool write, u64 *good)
{
	u64 hpa;

	for (*good = 0; *good < pages; (*good)++) {
		u64 at = ua + (*good << shift);
		const struct region_model *r = region_of(p, at);
		s64 ret = r && !r->used ? -EINVAL
					: translate(p, at, shift, write, &hpa);

		if (ret)
			return ret;
	}
	return 0;
}

static void note_held(const struct process *p, u64 ua, unsigned int shift,
		      u64 pages, bool write, bool ok)
{
	for (; pages--; ua += 1ULL << shift) {
		struct region_model *r = region_of(p, ua);

		if (ok)
			r->held++;
		if (write)
			note_written(r, ua, 1ULL << shift, ok);
	}
}

static void do_hold(void)
{
	struct container *c = pick_open();
	struct hold_model *h = free_hold();
	const struct region_model *r = &regions[pick(REGIONS)];
	unsigned int shift = PAGE_SHIFT;
	bool write = !one_in(3);
	struct tce2_memory memory;
	u64 ua, pages, good;
	int ret, want;

	if (!c || !h)
		return;
	if (one_in(2))
		shift = MIN_SHIFT + pick(MAX_SHIFT - MIN_SHIFT + 1);
	ua = ua_of(c->process, pick(SPACE));
	if (r->real && r->process == c->process && !one_in(8))
		ua = ua_of(r->process, r->first + pick(r->pages));
	ua = (ua + ((u64)pick(16) << MIN_SHIFT)) >> shift << shift;
	pages = 1 + pick(one_in(4) ? 64 : 6);

	want = want_hold(c->process, ua, shift, pages, write, &good);
	memory = (struct tce2_memory){
		.ua = ua, .pages = pages, .shift = shift, .write = write,
	};
	ret = tce2_memory_hold(c->process->cache, &memory);
	expect(ret, want);
	if (!ret)
		expect(memory.region == region_of(c->process, ua)->real, true);
	note_held(c->process, ua, shift, good, write, !ret);
	if (!ret)
		*h = (struct hold_model){ c, ua, shift, pages };
}

/* Removes the first IOMMU pages from a range in the model */
static void note_dropped(struct hold_model *h, u64 pages)
{
	h->pages -= pages;
	for (; pages--; h->ua += 1ULL << h->shift) {
		struct region_model *r =
			region_of(h->container->process, h->ua);

		r->held--;
		settle(r);
	}
	if (!h->pages)
		h->container = NULL;
}

static struct hold_model *pick_hold(void)
{
	u32 first = pick(HOLDS);

	for (u32 i = 0; i < HOLDS; i++) {
		struct hold_model *h = &holds[(first + i) % HOLDS];

		if (h->container)
			return h;
	}
	return NULL;
}

static void drop_front(struct hold_model *h, u64 pages)
{
	drop_pages(h->container->process->cache, h->ua, h->shift, pages);
	note_dropped(h, pages);
}

static void do_drop(void)
{
	struct hold_model *h = pick_hold();

	if (h)
		drop_front(h, one_in(2) ? h->pages : 1 + pick(h->pages));
}

/* Drops pages of several ranges of a process in one batch, one or more at a time */
static void do_drop_pages(void)
{
	struct hold_model *h = pick_hold();
	struct tce2_drop_batch batch = {};
	struct process *p;

	if (!h)
		return;
	p = h->container->process;
	batch.cache = p->cache;
	for (u32 i = 1 + pick(40); i; i--) {
		struct region_model *r;
		u64 pages;

		if (one_in(3))
			h = pick_hold();
		if (!h || !h->container || h->container->process != p)
			continue;
		r = region_of(p, h->ua);
		expect(tce2_region_find_held(p->cache, h->ua, h->shift) ==
			       r->real,
		       true);
		pages = 1 + pick(one_in(2) ? h->pages : 1);
		tce2_drop_batch_add(&batch, MEMORY(h->ua, h->shift, pages));
		note_dropped(h, pages);
	}
	tce2_drop_batch_flush(&batch);
}

static void do_translate(void)
{
	const struct region_model *r = &regions[pick(REGIONS)];
	unsigned int shift = MIN_SHIFT + pick(MAX_SHIFT - MIN_SHIFT + 1);
	bool write = one_in(2);
	u64 ua, want_hpa = 0, hpa = 0;
	s64 want;

	if (!r->real)
		return;
	ua = ua_of(r->process, r->first + pick(r->pages)) >> shift << shift;
	if (region_of(r->process, ua) != r ||
	    region_of(r->process, ua + (1ULL << shift) - 1) != r) {
		expect(tce2_rm_lookup(r->process->cache, ua, 1ULL << shift) ==
			       r->real,
		       false);
		return;
	}
	want = translate(r->process, ua, shift, write, &want_hpa);
	expect(tce2_rm_ua_to_hpa(r->real, ua, shift, write, &hpa),
	       want == 0	? TCE2_RM_OK
	       : want == -EPERM ? TCE2_RM_READ_ONLY
				: TCE2_RM_TOO_HARD);
	if (!want)
		expect(hpa, want_hpa);
}

/* Maps memory again that may be registered; a registered region keeps the old pages */
static void do_remap(void)
{
	struct process *p = &processes[pick(PROCESSES)];

	remap(p, pick(SPACE), 1 + pick(64));
	install(p);
}

static void do_grace_period(void)
{
	sim_grace_period();
}

static void close_container(struct container *c)
{
	struct process *p = c->process;
	bool registrations_first = one_in(2);

	for (int pass = 0; pass < 2; pass++) {
		for (u32 i = 0; i < HOLDS && pass == registrations_first; i++) {
			if (holds[i].container == c)
				drop_front(&holds[i], holds[i].pages);
		}
		for (u32 i = 0; i < REGIONS && pass != registrations_first;
		     i++) {
			while (c->registered[i])
				unregister_nofail(c, &regions[i]);
		}
	}
	tce2_cache_put(p->cache);
	c->process = NULL;
	if (!--p->containers)
		p->cache = NULL;
}

static void do_close(void)
{
	struct container *c = pick_open();

	if (c && one_in(6))
		close_container(c);
}

/* The operations and their relative frequency */
static const struct {
	void (*run)(void);
	u32 weight;
} operations[] = {
	{ do_open, 1 },	      { do_close, 1 },	      { do_register, 7 },
	{ do_unregister, 2 }, { do_hold, 6 },	      { do_unregister_nofail, 1 },
	{ do_drop, 2 },	      { do_drop_pages, 1 },   { do_translate, 1 },
	{ do_remap, 1 },      { do_grace_period, 1 },
};

static void do_something(void)
{
	u32 all = 0, at, i;

	for (i = 0; i < ARRAY_SIZE(operations); i++)
		all += operations[i].weight;
	at = pick(all);
	for (i = 0; at >= operations[i].weight; i++)
		at -= operations[i].weight;
	operations[i].run();
}

/**
 * model_run() - run random operations on src/ and the model, and compare them
 * @s: source of the choices
 * @count: number of operations
 *
 * At the end all containers are closed, and nothing may be left.
 */
void model_run(struct source *s, unsigned int count)
{
	source = s;
	memset(containers, 0, sizeof(containers));
	memset(regions, 0, sizeof(regions));
	memset(holds, 0, sizeof(holds));
	memset(frames, 0, sizeof(frames));
	for (u32 i = 0; i < PROCESSES; i++)
		new_address_space(&processes[i]);

	for (u32 i = 1; i <= count && !exhausted(s); i++) {
		do_something();
		sim_fail_nothing();
		check_counts();
		if (!(i % 64))
			check_all();
	}
	check_all();
	for (u32 i = 0; i < CONTAINERS; i++) {
		if (containers[i].process)
			close_container(&containers[i]);
		check_counts();
	}
	check_frames();
	sim_expect_nothing_left();
}

/*
 * Tests of extents without a process. The ranges are longer and the memory is less regular
 * than in the processes above.
 */

#define STORE_MAX (5 * PAGE_SIZE / 8 / 2) /* pages; their extents need several nodes */

struct store {
	struct tce2_region region;
	u64 hpa[STORE_MAX];
	bool writable[STORE_MAX];
	bool dirty[STORE_MAX];
};

static struct store store;

/* Returns a physical address for the next range, mostly not adjacent to the last range */
static u64 pick_hpa(u64 ua, u64 next)
{
	unsigned int shift = pick(12);
	u64 frame = pick(1 << 16);

	switch (pick(5)) {
	case 0:
		return next;
	case 1:
		return next + PAGES(pick(3));
	case 2: /* with the user address's alignment */
		return PAGES((frame << shift) +
			     ((ua >> PAGE_SHIFT) & ((1 << shift) - 1)));
	case 3: /* so low that the start of its block would be below 0 */
		return PAGES(pick(8));
	default:
		return PAGES((u64)frame << pick(30));
	}
}

/* Appends pages that are contiguous in memory */
static int append_run(struct tce2_extents *ext, u64 hpa, u32 count, u64 flags,
		      unsigned long *done)
{
	static struct page *pages[STORE_MAX];

	for (u32 i = 0; i < count; i++)
		pages[i] = pfn_to_page(PHYS_PFN(hpa) + i);
	return tce2_extents_append_pages(ext, pages, count, flags, false,
					 done);
}

/* Returns the number of pages appended, which is less than @pages after a failure */
static u32 fill_store(u32 pages)
{
	struct tce2_extents *ext = &store.region.extents;
	unsigned int longest = pick(12);
	bool writable = true;
	u64 hpa = 0;
	u32 filled = 0;

	while (filled < pages) {
		u32 run = 1 + pick(1 << pick(longest + 1));
		unsigned long done;
		int ret;

		run = min(run, pages - filled);
		hpa = pick_hpa(ext->ua + PAGES(filled), hpa);
		if (one_in(8))
			writable = !writable;
		ret = append_run(ext, hpa, run,
				 writable ? 0 : TCE2_EXTENT_READONLY, &done);
		expect(ext->filled, PAGES(filled + done));
		for (; done; done--, run--, hpa += PAGE_SIZE) {
			store.hpa[filled] = hpa;
			store.writable[filled++] = writable;
		}
		if (ret) {
			expect(ret, -ENOMEM);
			expect(sim.fired, true);
			break;
		}
		expect(run, 0);
	}
	return filled;
}

static void check_store(u32 pages)
{
	const struct tce2_extents *ext = &store.region.extents;
	u64 ua = ext->ua, bytes;

	for (u32 i = 0; i < pages;) {
		u64 hpa, flags;

		bytes = tce2_extents_run(ext, ua, &hpa, &flags);
		expect(bytes && !(bytes & (PAGE_SIZE - 1)), true);
		expect(i + (bytes >> PAGE_SHIFT) <= pages, true);
		for (ua += bytes; bytes; bytes -= PAGE_SIZE, i++) {
			expect(hpa, store.hpa[i]);
			expect(!(flags & TCE2_EXTENT_READONLY),
			       store.writable[i]);
			expect((flags & TCE2_EXTENT_DIRTY) || !store.dirty[i],
			       true);
			hpa += PAGE_SIZE;
		}
	}
}

static void check_store_flags(u32 pages)
{
	bool readonly = false;

	for (u32 i = 0; i < pages; i++)
		readonly |= !store.writable[i];
	/* A failed append may or may not have set the read-only flag of its pages */
	if (readonly || PAGES(pages) == store.region.size)
		expect(store.region.extents.flags,
		       readonly ? TCE2_EXTENT_READONLY : 0);
}

static void check_store_page(u32 pages)
{
	u32 shift = MIN_SHIFT + pick(18), first = pick(pages), last;
	u64 base = store.region.ua, hpa, want;
	u64 ua = (base + PAGES(first)) >> shift << shift;
	bool contiguous, writable = true, write = one_in(2);
	enum tce2_rm_status status;
	struct tce2_memory memory = {
		.ua = ua, .pages = 1, .shift = shift, .write = write,
		.region = &store.region,
	};
	s64 run;

	if (ua < base || ua + (1ULL << shift) > base + PAGES(pages))
		return;
	first = (ua - base) >> PAGE_SHIFT;
	last = (ua + (1ULL << shift) - 1 - base) >> PAGE_SHIFT;
	want = store.hpa[first] + (ua & (PAGE_SIZE - 1));
	contiguous = !(want & ((1ULL << shift) - 1));
	for (u32 i = first; i <= last; i++) {
		contiguous &=
			store.hpa[i] == store.hpa[first] + PAGES(i - first);
		writable &= store.writable[i];
	}
	/* Unlike real mode, virtual mode checks any number of blocks */
	run = tce2_memory_run(&memory, &hpa);
	expect(run, !contiguous ? -EINVAL : write && !writable ? -EPERM : 1);
	status = tce2_rm_ua_to_hpa(&store.region, ua, shift, write, &hpa);
	if (!contiguous ||
	    (1ULL << shift) >> store.region.extents.shift > BLOCKS)
		expect(status, TCE2_RM_TOO_HARD);
	else if (write && !writable)
		expect(status, TCE2_RM_READ_ONLY);
	else
		expect(status, TCE2_RM_OK);
	if (status == TCE2_RM_OK)
		expect(hpa, want);
}

/* Returns true if an IOMMU page is contiguous and aligned in physical memory */
static bool store_page_is_whole(u64 ua, unsigned int shift)
{
	u64 at = ua - store.region.ua, bytes;
	u64 hpa = store.hpa[at >> PAGE_SHIFT] + (ua & (PAGE_SIZE - 1));

	for (bytes = PAGE_SIZE; bytes < 1ULL << shift; bytes += PAGE_SIZE) {
		if (store.hpa[(at + bytes) >> PAGE_SHIFT] != hpa + bytes)
			return false;
	}
	return !(hpa & ((1ULL << shift) - 1));
}

/* Translates the first pages of a window of blocks, removes some, and repeats this */
static void check_window_of_blocks(struct tce2_blocks blocks, u64 ua, unsigned int shift)
{
	while (blocks.pages) {
		u64 left = blocks.pages, i, skip = 1 + pick(left);

		for (i = 0; i < min(left, 40ULL); i++) {
			u64 at = ua + (i << shift) - store.region.ua;

			expect(tce2_blocks_hpa(&blocks, i),
			       store.hpa[at >> PAGE_SHIFT] + (at & (PAGE_SIZE - 1)));
		}
		tce2_blocks_skip(&blocks, skip);
		expect(blocks.pages, left - skip);
		ua += skip << shift;
	}
}

/* Returns true if no earlier IOMMU page begins in the node in which this page begins */
static bool begins_in_next_node(const struct tce2_extents *ext, u64 ua, unsigned int shift)
{
	u64 block = (ua >> ext->shift) - (ext->ua >> ext->shift);

	return block % TCE2_EXTENT_NODE < max(1ULL, (1ULL << shift) >> ext->shift);
}

/* Translates adjacent IOMMU pages from a random one on, node by node */
static void check_store_blocks(u32 pages)
{
	const struct tce2_extents *ext = &store.region.extents;
	unsigned int shift = MIN_SHIFT + pick(one_in(2) ? 6 : 18);
	u64 base = store.region.ua, end = base + PAGES(pages), count = 0;
	u64 step = 1ULL << shift;
	u64 ua = ((base + PAGES(pick(pages)) + step - 1) >> shift << shift) +
		 pick(16) * step;

	while (ua + ((count + 1) << shift) <= end &&
	       store_page_is_whole(ua + (count << shift), shift))
		count++;
	while (count) {
		struct tce2_blocks blocks = tce2_extents_blocks(ext, ua, count, shift);

		expect(blocks.pages && blocks.pages <= count, true);
		check_window_of_blocks(blocks, ua, shift);
		ua += blocks.pages << shift;
		count -= blocks.pages;
		if (count)
			expect(begins_in_next_node(ext, ua, shift), true);
	}
}

/**
 * model_extents() - fill random extents, and compare them with the model
 * @s: source of the choices
 */
void model_extents(struct source *s)
{
	struct tce2_extents *ext = &store.region.extents;
	u32 pages, filled;

	source = s;
	pages = 1 + pick(one_in(64) ? STORE_MAX : 1 << (1 + pick(9)));
	pages = min_t(u32, pages, STORE_MAX);
	memset(&store.region, 0, sizeof(store.region));
	memset(store.dirty, 0, pages);
	store.region.ua = PAGES(((u64)pick(1 << 16) << pick(20)) +
				(one_in(2) ? pick(1024) : 0));
	store.region.size = PAGES(pages);

	tce2_extents_init(ext, store.region.ua, store.region.size);
	if (one_in(4))
		sim_fail(SIM_ALLOC, 1 + pick(12));
	filled = fill_store(pages);
	sim_fail_nothing();
	check_store(filled);
	check_store_flags(filled);

	for (u32 n = pick(4); n && filled == pages; n--) {
		u32 first = pick(pages), count = 1 + pick(pages - first);

		tce2_extents_mark_dirty(ext, store.region.ua + PAGES(first),
					PAGES(count));
		memset(store.dirty + first, true, count);
	}
	check_store(filled);
	for (u32 n = filled == pages ? 100 : 0; n && !exhausted(s); n--)
		check_store_page(pages);
	for (u32 n = filled == pages ? 20 : 0; n && !exhausted(s); n--)
		check_store_blocks(pages);
	tce2_extents_free(ext);
	expect(sim.now.allocs, 0);
}
