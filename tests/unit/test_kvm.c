// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of src/kvm.c with KVM's hypercalls (kvm_calls.c): random hypercalls between and
 * inside a client's requests, and chosen orders of hypercalls and requests.
 *
 * As in src/kvm.c, begin means useraddrptr(alloc = true), note means xchg_no_kill() of an
 * address, and commit means tce_kill(). A bracket (struct bracket) records a thread's mapping
 * from begin to commit. A mirror represents a region in the kernel's list. It becomes an
 * orphan if it stays in the list, because it is counted, after its region is unregistered.
 *
 * TCE2_SEED sets the random seed, TCE2_EFFORT the percentage of episodes.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <asm/mmu_context.h>
#include <linux/cache.h>
#include <linux/moduleparam.h>
#include <linux/rcupdate.h>

#include <linux/vfio.h>

#include "engine.h"
#include "kernel_list.h"
#include "kvm_calls.h"
#include "sim_trace.h"
#include "tce2_container.h"
#include "tce2_kapi.h"
#include "tce2_kvm.h"
#include "tce2_mirror.h"
#include "tce2_mirrors.h"
#include "tce2_view_format.h"

#define VCPUS	     4
#define EPISODES     30
#define STEPS	     1500 /* in each episode */
#define REGIONS	     5
#define READ_ONLY    (REGIONS - 1) /* number of the read-only region */
#define REGION_PAGES 64 /* IOMMU pages in each */

/* Spots: small ranges of entries, to which hypercalls and requests are confined to overlap */
#define SPOTS	  4
#define SPOT_SIZE 24

/*
 * A hypercall or request that has begun. If no other operation overlaps with it, it is
 * alone, and its result can be predicted.
 */
struct operation {
	u64 first;
	u64 count;
	bool going;
	bool alone;
	u64 before[KVM_MAX_TCES * 4];
};

/* A client's registrations of one range of memory */
struct memory {
	u64 ua;
	struct tce2_region *region;
	unsigned int users;
};

static struct vcpu vcpus[VCPUS];
static struct operation operations[VCPUS + 1];
static struct memory memories[REGIONS];
static struct tce2_window *window;
static struct iommu_table *table;
static u64 entries; /* of the window */
static u64 interrupt_every; /* average number of calls of come_in() for one interruption */
static u64 seed;
static bool inspecting, joined, requesting, inside_requests;
static struct {
	u64 requests, refused, unregistered, busy, inside, waits;
	u64 requests_inside;
} counts;

static void random_request(void);

static u64 chance(u64 limit)
{
	return rnd(&seed, limit);
}

/*
 * Predicted results of hypercalls and requests
 */

/* Returns the first entry of a spot. The last spot crosses the end of a leaf. */
static u64 spot_start(u64 spot)
{
	const u64 start[SPOTS] = {
		0,
		LEAF,
		entries - SPOT_SIZE,
		3 * LEAF - SPOT_SIZE / 2,
	};

	return start[spot];
}

/* Returns an entry of the view, or 0 if there is no window. No virtual CPU runs meanwhile. */
static u64 peek(u64 index)
{
	u64 entry;

	if (!window)
		return 0;
	inspecting = true;
	entry = view_at(window, index);
	inspecting = false;
	return entry;
}

static bool overlap(const struct operation *a, const struct operation *b)
{
	return a->first < b->first + b->count && b->first < a->first + a->count;
}

static void begin_operation(struct operation *operation, u64 first, u64 count)
{
	*operation = (struct operation){
		.first = first,
		.count = count,
		.going = true,
		.alone = true,
	};
	for (unsigned int i = 0; i < ARRAY_SIZE(operations); i++) {
		struct operation *other = &operations[i];

		if (other == operation || !other->going ||
		    !overlap(operation, other))
			continue;
		operation->alone = false;
		other->alone = false;
	}
	for (u64 i = 0; i < count && i < ARRAY_SIZE(operation->before); i++)
		operation->before[i] = peek(first + i);
}

static u64 perm_of(enum dma_data_direction direction)
{
	switch (direction) {
	case DMA_BIDIRECTIONAL:
		return RW;
	case DMA_TO_DEVICE:
		return TCE2_PERM_READ;
	case DMA_FROM_DEVICE:
		return TCE2_PERM_WRITE;
	default:
		return 0;
	}
}

/* Returns the view entry that a successful hypercall leaves @n entries after its first */
static u64 mapped_by(const struct vcpu *vcpu, u64 n)
{
	const struct kvm_tce *tce = &vcpu->tce[n >> vcpu->subpages_shift];
	u64 subpage = n & ((1ULL << vcpu->subpages_shift) - 1);
	u64 perm = vcpu->kind == KVM_STUFF ? 0 : perm_of(tce->direction);

	return perm ? (tce->ua + (subpage << SHIFT)) | perm : 0;
}

/*
 * A successful hypercall that was alone has changed all its entries. If the result was
 * H_TOO_HARD, it may have changed or cleared any of them.
 */
static void check_operation(struct operation *operation,
			    const struct vcpu *vcpu)
{
	operation->going = false;
	if (!operation->alone || !window)
		return;
	for (u64 i = 0; i < operation->count; i++) {
		u64 saw = peek(operation->first + i), want = mapped_by(vcpu, i);

		if (saw == want ||
		    (vcpu->hard && (!saw || saw == operation->before[i])))
			continue;
		sim_bug("entry %llu is %llx after a hypercall, not %llx (%s)",
			operation->first + i, saw, want,
			vcpu->hard ? "too hard" : "success");
	}
}

/*
 * Random hypercalls of virtual CPUs
 */

static u64 random_ua(void)
{
	return memories[chance(REGIONS)].ua +
	       (chance(REGION_PAGES + 2) << SHIFT);
}

static void random_tces(struct vcpu *vcpu)
{
	static const enum dma_data_direction directions[] = {
		DMA_BIDIRECTIONAL,
		DMA_TO_DEVICE,
		DMA_FROM_DEVICE,
		DMA_NONE,
	};

	for (u64 i = 0; i < vcpu->count; i++) {
		vcpu->tce[i].ua = random_ua();
		vcpu->tce[i].direction = directions[chance(8) ? chance(3) : 3];
	}
}

static void random_call(struct vcpu *vcpu)
{
	enum kvm_kind kind = chance(3);
	unsigned int shift = chance(3);
	u64 count = kind == KVM_PUT ? 1 : 1 + chance(4);
	u64 entry = (spot_start(chance(SPOTS)) + chance(SPOT_SIZE)) >> shift;

	entry = min(entry, (entries >> shift) - count);
	vcpu_call(vcpu, kind, table, shift, entry, count);
	random_tces(vcpu);
	begin_operation(&operations[vcpu - vcpus], entry << shift,
			count << shift);
}

static void let_step(struct vcpu *vcpu)
{
	if (vcpu->step == KVM_IDLE) {
		random_call(vcpu);
		return;
	}
	if (!chance(100))
		sim_fail(SIM_ALLOC, 1);
	vcpu_step(vcpu);
	sim_fail(SIM_ALLOC, 0);
	if (vcpu->step == KVM_IDLE)
		check_operation(&operations[vcpu - vcpus], vcpu);
}

/* Returns true between begin and commit, except in the middle of a hook */
static bool is_mapping(const struct vcpu *vcpu)
{
	return !vcpu->running && vcpu->task.held.rcu;
}

/* The guest's pages are small in this test: none crosses the end of a leaf */
static u64 leaf_of(const struct vcpu *vcpu)
{
	return ((vcpu->entry + vcpu->page) << vcpu->subpages_shift) / LEAF;
}

/* Returns true if a leaf is not locked, or the virtual CPU that locked it can unlock it */
static bool can_lock(u64 leaf)
{
	const u64 *slot = tce2_view_slot(&window->view, leaf);

	if (!slot || !tce2_word_is_array(*slot) || !(*slot & TCE2_WORD_LOCKED))
		return true;
	for (unsigned int i = 0; i < VCPUS; i++) {
		if (is_mapping(&vcpus[i]) && leaf_of(&vcpus[i]) == leaf)
			return true;
	}
	return false;
}

/* Returns true if a request would not wait for a virtual CPU in the middle of a hook */
static bool can_request(void)
{
	unsigned int readers = sim_readers();
	bool can;

	if (!window || requesting || window->ranges.last)
		return false;
	for (unsigned int i = 0; i < VCPUS; i++)
		readers -= is_mapping(&vcpus[i]);
	can = !readers;
	inspecting = true;
	for (u64 leaf = 0; can && leaf < entries / LEAF; leaf++)
		can = can_lock(leaf);
	inspecting = false;
	return can;
}

/* Runs a whole request while a virtual CPU is in the middle of a hook */
static void request_inside(void)
{
	struct task_struct *self;
	bool unordered;

	if (!can_request())
		return;
	self = sim_switch_to(NULL);
	unordered = platform_swap_unordered(false);
	counts.requests_inside++;
	/* Cancel the failure that let_step() has requested for the hook */
	sim_fail(SIM_ALLOC, 0);
	random_request();
	platform_swap_unordered(unordered);
	sim_switch_to(self);
}

/* Called wherever another task may run: in a request, or in a step of another virtual CPU */
static void come_in(void)
{
	struct vcpu *vcpu = &vcpus[chance(VCPUS)];

	if (inspecting || chance(interrupt_every))
		return;
	if (inside_requests && !chance(4)) {
		request_inside();
	} else if (!vcpu->running) {
		counts.inside++;
		let_step(vcpu);
	}
}

/* Called while a request waits: continues hypercalls */
static void go_on(void)
{
	struct vcpu *vcpu = &vcpus[chance(VCPUS)];

	counts.waits++;
	if (vcpu->step != KVM_IDLE && !vcpu->running)
		let_step(vcpu);
}

static void finish_calls(void)
{
	for (unsigned int i = 0; i < VCPUS; i++) {
		while (vcpus[i].step != KVM_IDLE)
			let_step(&vcpus[i]);
	}
}

/*
 * Random requests of a client
 */

static void register_memory(struct memory *memory)
{
	struct tce2_region *region = NULL;
	int ret = tce2_region_register(proc, memory->ua, REGION_PAGES << SHIFT,
				       &region);

	if (ret) {
		counts.refused++;
		return;
	}
	memory->region = region;
	memory->users++;
}

static void unregister_memory(struct memory *memory)
{
	int ret = tce2_region_unregister(memory->region);

	if (ret) {
		expect(ret, -EBUSY);
		counts.busy++;
		return;
	}
	counts.unregistered++;
	memory->users--;
}

static void unregister_memory_nofail(struct memory *memory)
{
	tce2_region_unregister_nofail(memory->region);
	memory->users--;
}

static void change_memory(void)
{
	struct memory *memory = &memories[chance(REGIONS)];

	if (!memory->users || !chance(6))
		register_memory(memory);
	else if (chance(4))
		unregister_memory(memory);
	else
		unregister_memory_nofail(memory);
}

/* A request that was alone has changed all its entries, or none if it failed */
static void check_request(struct operation *operation, u64 want, bool done)
{
	operation->going = false;
	for (u64 i = 0; operation->alone && i < operation->count; i++) {
		if (done || i < ARRAY_SIZE(operation->before))
			expect(peek(operation->first + i),
			       done ? want : operation->before[i]);
		want += want ? 1 << SHIFT : 0;
	}
}

static void change_entries(void)
{
	struct operation *operation = &operations[VCPUS];
	u64 first = spot_start(chance(SPOTS)) + chance(SPOT_SIZE);
	u64 count = min(1 + chance(12), entries - first);
	u64 page = (memories[chance(REGIONS)].ua - UA) >> SHIFT;
	u64 perm = 1 + chance(3);

	page += chance(REGION_PAGES - 8);
	if (!chance(16)) {
		first &= ~(LEAF - 1);
		count = LEAF;
	}
	begin_operation(operation, first, count);
	if (count < LEAF && chance(2)) {
		bool mapped = !map(window, first, page, count, perm);

		counts.refused += !mapped;
		check_request(operation, (UA + IOVA(page)) | perm, mapped);
	} else {
		expect(unmap(window, first, count), 0);
		check_request(operation, 0, true);
	}
}

/* Acts as another module, which gets the window and puts it */
static void get_window(void)
{
	struct tce2_window *got = tce2_window_get(table);

	expect(got == window, true);
	tce2_window_put(got);
}

/* A second group joins or leaves the container */
static void change_groups(void)
{
	int ret;

	if (joined)
		ret = tce2_ddw_detach(&ddw, &group[1]->group);
	else
		ret = tce2_ddw_attach(&ddw, &group[1]->group);
	expect(ret, 0);
	joined = !joined;
}

static void read_entry(void)
{
	u64 index = spot_start(chance(SPOTS)) + chance(SPOT_SIZE), ua, perm;

	index = min(index, entries - 1);
	expect(tce2_window_read_tce(window, window->start + IOVA(index), &ua,
				    &perm),
	       0);
}

static void random_request(void)
{
	u64 what = chance(100);

	counts.requests++;
	requesting = true;
	if (what < 30)
		change_memory();
	else if (what < 85)
		change_entries();
	else if (what < 89)
		read_entry();
	else if (what < 90)
		get_window();
	else if (what < 93)
		tce2_cache_mirror(proc);
	else if (what < 95 && group[1])
		change_groups();
	else if (what < 97)
		sim_grace_period();
	else
		sim_run_work();
	requesting = false;
}

/*
 * Episodes: random hypercalls and requests, and checks after them
 */

static u64 region_pages(void)
{
	return (REGION_PAGES << SHIFT) >> PAGE_SHIFT;
}

static void make_memory(void)
{
	for (unsigned int i = 0; i < REGIONS; i++) {
		u64 pfn = 16 + 1000 * i;

		memories[i] = (struct memory){ .ua = UA + MIB(1) * i };
		if (i % 2)
			map_contiguous(memories[i].ua, region_pages(), pfn,
				       i != READ_ONLY);
		else
			map_scattered(memories[i].ua, region_pages(), pfn,
				      i != READ_ONLY);
		register_memory(&memories[i]);
	}
}

/* KVM's reference to the table. KVM puts it in an RCU callback. */
struct attached {
	struct iommu_table *tbl;
	struct rcu_head rcu;
};

static void put_table(struct rcu_head *rcu)
{
	iommu_tce_table_put(container_of(rcu, struct attached, rcu)->tbl);
}

static struct attached attached;

static void attach_kvm(void)
{
	attached.tbl = iommu_tce_table_get(table);
}

static void detach_kvm(void)
{
	call_rcu(&attached.rcu, put_table);
	sim_grace_period();
	sim_run_work();
	sim_grace_period();
}

static void begin_episode(unsigned int levels)
{
	bool shared = platform_kind != PLATFORM_HYPERVISOR;

	/* A hypervisor's table has one level, and belongs to one group */
	begin(shared ? 2 : 1, shared ? 3 : 1);
	group[1] = shared ? group[1] : NULL;
	joined = shared;
	platform.no_flush = shared;
	/* With two levels there are two lowest-level tables, also with 64K pages */
	window = only_window(levels > 1 ? MIB(64) : MIB(8), levels);
	entries = window->size >> SHIFT;
	table = window->table.tbl;
	memset(operations, 0, sizeof(operations));
	make_memory();
	for (unsigned int i = 0; i < VCPUS; i++)
		vcpu_init(&vcpus[i], sim.mm);
	attach_kvm();
	sim.charge_moves = true;
	/* The table's layout is not known before an entry was written */
	for (unsigned int i = 0; i < SPOTS; i++)
		expect(map(window, spot_start(i), 0, 1, RW), 0);
}

static void begin_interrupting(void)
{
	sim_interrupt(come_in);
	sim_let_others(go_on);
}

static void end_interrupting(void)
{
	sim_interrupt(NULL);
	inside_requests = false;
	requesting = false;
	finish_calls();
	sim_let_others(NULL);
}

/* Returns the pages charged for all registered regions; does not add the charge of orphans */
static u64 charge_of_regions(void)
{
	u64 pages = 0;

	for (unsigned int i = 0; i < REGIONS; i++)
		pages += memories[i].users ? region_pages() : 0;
	return pages;
}

static u64 mapped_entries(void)
{
	u64 n = 0;

	for (u64 i = 0; i < SPOTS; i++) {
		for (u64 k = 0; k < 2 * SPOT_SIZE; k++) {
			u64 index = spot_start(i) + k;

			n += index < entries && peek(index);
		}
	}
	return n;
}

/* Counts the view's entries with TCE2_VIEW_COUNTED in a range of user memory */
static s64 counted_in(u64 ua, u64 bytes)
{
	struct tce2_view_run run;
	u64 index = 0;
	s64 n = 0;

	inspecting = true;
	while (window && tce2_view_next(&window->view, index, entries, &run)) {
		index = run.index + run.count;
		for (u64 i = 0; run.counted && i < run.count; i++)
			n += run.ua + (i << window->page_shift) - ua < bytes;
	}
	inspecting = false;
	return n;
}

static void expect_kvms_counts(void)
{
	kernel_list_expect_counts(counted_in);
}

/* Ends the test if a leaf is locked */
static void check_words(void)
{
	for (u64 leaf = 0; leaf < entries / LEAF; leaf++) {
		const u64 *slot = tce2_view_slot(&window->view, leaf);

		if (slot && tce2_word_is_array(*slot))
			expect(*slot & TCE2_WORD_LOCKED, 0);
	}
}

static void expect_quiet(void)
{
	end_interrupting();
	check_words();
	expect_kvms_counts();
	expect_in_step(window, entries);
	expect(platform_mapped(table), platform.held);
	expect(mapped_entries(), platform.held);
}

static void expect_no_count_left(void)
{
	expect(unmap(window, 0, entries), 0);
	expect(platform.held, 0);
	sim_run_work();
	sim_grace_period();
	for (unsigned int i = 0; i < REGIONS; i++) {
		if (memories[i].users)
			expect(tce2_mapped_sum(&memories[i].region->mapped), 1);
	}
	expect(sim.now.charged, charge_of_regions() + window->table.charge.pages);
	expect(sim.now.pinned, charge_of_regions());
}

static void run(unsigned long steps, bool requests)
{
	begin_interrupting();
	inside_requests = requests;
	for (unsigned long i = 0; i < steps; i++) {
		if (requests && !chance(8))
			random_request();
		else
			let_step(&vcpus[chance(VCPUS)]);
	}
}

/* Removes the window; random hypercalls continue, because KVM may still call the hooks */
static void remove_window(void)
{
	run(100, false);
	expect(tce2_ddw_remove(&ddw, 0), 0);
	window = NULL;
	expect(platform_mapped(table), 0);
	run(200, false);
	end_interrupting();
	expect(platform_mapped(table), 0);
	expect_kvms_counts();
}

static void close_container(void)
{
	tce2_ddw_destroy(&ddw);
	tce2_ddw_free(&ddw);
	for (unsigned int i = 0; i < REGIONS; i++) {
		while (memories[i].users)
			unregister_memory_nofail(&memories[i]);
	}
	tce2_cache_put(proc);
	expect(kernel_list_regions(), 0);
}

static void end_episode(void)
{
	remove_window();
	close_container();
	run(200, false);
	end_interrupting();
	detach_kvm();
	expect(sim.log_lines, 0);
	platform_expect_nothing_left();
	sim_expect_nothing_left();
}

static void run_episode(unsigned int levels)
{
	begin_episode(levels);
	for (unsigned int i = 0; i < 4; i++) {
		run(STEPS / 4, true);
		expect_quiet();
		if (i % 2)
			expect_no_count_left();
	}
	end_episode();
}

static u64 first_seed(void)
{
	const char *text = getenv("TCE2_SEED");

	if (text)
		return strtoull(text, NULL, 0);
	return (u64)time(NULL) << 20 ^ (u64)clock();
}

TEST(random_hypercalls_and_requests_keep_table_view_and_counts)
{
	unsigned long episodes = by_effort(EPISODES);
	u64 first = first_seed();

	printf("# TCE2_SEED=%llu\n", first);
	for (unsigned long i = 0; i < episodes; i++) {
		seed = (first + i) * 0x9e3779b97f4a7c15ULL;
		platform_kind =
			i % 6 == 5 ? PLATFORM_HYPERVISOR : PLATFORM_MEMORY;
		interrupt_every = 40 << i % 3;
		run_episode(i % 6 == 5 ? 1 : 1 + i % 2);
		sim_reset();
		kernel_list_reset();
	}
	printf("# hypercalls: %llu H_SUCCESS, %llu H_TOO_HARD; begin: %llu, %llu of them declined; unmap: %llu, %llu of them declined\n",
	       kvm_counts.done, kvm_counts.hard, kvm_counts.steps[KVM_BEGIN],
	       kvm_counts.declined, kvm_counts.steps[KVM_CLEAR],
	       kvm_counts.vetoed);
	printf("# requests: %llu, %llu of them inside hooks, %llu refused; unregister: %llu succeeded, %llu returned -EBUSY; %llu hypercall steps inside requests or other steps; %llu waits\n",
	       counts.requests, counts.requests_inside, counts.refused,
	       counts.unregistered, counts.busy, counts.inside, counts.waits);
}

/*
 * Chosen orders of hypercalls and requests. All regions have mirrors, except the read-only
 * region.
 */

#define PUT  KVM_PUT
#define BIDI DMA_BIDIRECTIONAL
#define A    0 /* numbers of regions */
#define B    1

static void begin_case(void)
{
	seed = 1;
	memset(&counts, 0, sizeof(counts));
	memset(&kvm_counts, 0, sizeof(kvm_counts));
	begin_episode(1);
	tce2_cache_mirror(proc);
	expect(kernel_list_regions(), REGIONS - 1);
}

static void end_case(void)
{
	expect_quiet();
	expect_no_count_left();
	expect(tce2_ddw_remove(&ddw, 0), 0);
	window = NULL;
	close_container();
	detach_kvm();
	platform_expect_nothing_left();
}

FIXTURE(guest_table);

FIXTURE_SETUP(guest_table)
{
	begin_case();
}

FIXTURE_TEARDOWN(guest_table)
{
	end_case();
}

static u64 ua_of(unsigned int memory, u64 page)
{
	return memories[memory].ua + (page << SHIFT);
}

/* Runs H_PUT_TCE of one IOMMU page up to a step */
static void put_to(struct vcpu *vcpu, u64 entry, u64 ua, enum kvm_step step)
{
	vcpu_call(vcpu, PUT, table, 0, entry, 1);
	vcpu->tce[0] = (struct kvm_tce){ ua, BIDI };
	vcpu_run_to(vcpu, step);
}

static bool put(struct vcpu *vcpu, u64 entry, u64 ua)
{
	put_to(vcpu, entry, ua, KVM_IDLE);
	return !vcpu->hard;
}

static void stuff_to(struct vcpu *vcpu, u64 entry, enum kvm_step step)
{
	vcpu_call(vcpu, KVM_STUFF, table, 0, entry, 1);
	vcpu_run_to(vcpu, step);
}

static bool stuff(struct vcpu *vcpu, u64 entry)
{
	stuff_to(vcpu, entry, KVM_IDLE);
	return !vcpu->hard;
}

/* Called while a request waits: continues the first virtual CPU */
static void finish_first(void)
{
	counts.waits++;
	if (vcpus[0].step == KVM_IDLE)
		sim_bug("a request waits, but no hypercall is running");
	vcpu_step(&vcpus[0]);
}

static s64 counts_of(unsigned int memory)
{
	return kernel_list_mapped(kernel_list_at(sim.mm, ua_of(memory, 0)));
}

static int unregister(unsigned int memory)
{
	int ret = tce2_region_unregister(memories[memory].region);

	if (!ret)
		memories[memory].users--;
	return ret;
}

TEST_F(guest_table, kvm_maps_replaces_and_unmaps_without_a_request)
{
	platform_forget_events();
	expect(put(&vcpus[0], 3, ua_of(A, 7)), true);
	expect(platform.calls[EVENT_KILL], 1);
	expect(peek(3), ua_of(A, 7) | RW);
	expect_in_step(window, entries);
	expect(put(&vcpus[1], 3, ua_of(B, 8)), true);
	expect(peek(3), ua_of(B, 8) | RW);
	expect(stuff(&vcpus[0], 3), true);
	expect(peek(3), 0);
	expect(kvm_counts.steps[KVM_UNCOUNT], 0);
}

/*
 * Emulated devices in the container of a guest. No driver is notified here, so a page must stay
 * mapped as long as it is pinned.
 */

static unsigned int notifications;

static void count_notification(struct vfio_device *device, u64 iova, u64 length)
{
	notifications++;
}

static const struct vfio_device_ops driver_ops = { .dma_unmap = count_notification };
static struct vfio_device emulated_device = { .ops = &driver_ops };
static struct iommu_group emulated_group = { .id = 100 };

static int pin_first_page(struct page **page)
{
	const struct tce2_pin_request request = {
		.iova = window->start, .count = 1, .perm = RW, .pages = page,
	};

	return tce2_errno(tce2_ddw_pin(&ddw, &request));
}

static void map_first_page(void)
{
	expect(tce2_ddw_map(&ddw, proc, REQUEST(window->start, ua_of(A, 0), PAGE_SIZE, RW)), 0);
}

TEST_F(guest_table, kvm_changes_no_entry_of_a_window_that_drivers_may_pin)
{
	struct page *page;

	notifications = 0;
	expect(tce2_ddw_attach_emulated(&ddw, &emulated_group), 0);
	tce2_ddw_add_device(&ddw, &emulated_device);
	map_first_page();
	expect(pin_first_page(&page), 0);
	expect(stuff(&vcpus[0], 0), false);
	expect(put(&vcpus[0], 0, ua_of(B, 8)), false);
	expect(put(&vcpus[1], 100, ua_of(B, 8)), false);
	expect(peek(0), ua_of(A, 0) | RW);
	expect(notifications, 0);
	tce2_access_unpin(&ddw.emulation->access, proc, window->start, 1);
	/* After the last emulated device is closed, KVM may change entries again */
	tce2_ddw_remove_device(&ddw, &emulated_device);
	expect(stuff(&vcpus[0], 0), true);
	expect(put(&vcpus[0], 0, ua_of(B, 8)), true);
	expect(stuff(&vcpus[0], 0), true);
	expect(tce2_ddw_unmap(&ddw, window->start, PAGE_SIZE), 0);
}

TEST_F(guest_table, a_window_that_kvm_changes_cannot_be_pinned)
{
	struct page *page;

	expect(put(&vcpus[0], 3, ua_of(A, 7)), true);
	map_first_page();
	expect(tce2_ddw_attach_emulated(&ddw, &emulated_group), 0);
	tce2_ddw_add_device(&ddw, &emulated_device);
	expect(pin_first_page(&page), -EBUSY);
	expect(ddw.emulation->access.nr_pins, 0);
	expect(put(&vcpus[0], 0, ua_of(B, 8)), true);
	tce2_ddw_remove_device(&ddw, &emulated_device);
	expect(tce2_ddw_unmap(&ddw, window->start, PAGE_SIZE), 0);
	expect(tce2_errno(tce2_ddw_unmap(&ddw, window->start + IOVA(3), IOVA(1))), 0);
}

TEST_F(guest_table, tce_exchange_returns_no_old_page_to_kvm)
{
	for (unsigned int i = 0; i < 3; i++) {
		put_to(&vcpus[0], 3, ua_of(B, i), KVM_STORE);
		expect(vcpus[0].direction, DMA_NONE);
		expect(vcpus[0].hpa, 0);
		expect(vcpu_finish(&vcpus[0]), true);
	}
}

/* Returns true if exactly these entries were invalidated, in one call */
static bool killed(u64 first, u64 count)
{
	u64 kills = 0, right = 0;

	for (size_t i = 0; i < platform.logged; i++) {
		const struct event *event = &platform.events[i];

		if (event->what != EVENT_KILL)
			continue;
		kills++;
		right += event->first == table->it_offset + first &&
			 event->count == count;
	}
	return kills == 1 && right == 1;
}

TEST_F(guest_table, all_entries_of_a_guests_page_are_invalidated_in_one_call)
{
	for (unsigned int i = 1; i < 3; i++) {
		platform_forget_events();
		vcpu_call(&vcpus[0], PUT, table, 2, i, 1);
		vcpus[0].tce[0] = (struct kvm_tce){ ua_of(B, 8), BIDI };
		expect(vcpu_finish(&vcpus[0]), true);
		expect(killed(4 * i, 4), true);
	}
}

/* The third mapping makes the array of another leaf */
TEST_F(guest_table, bracket_does_not_mix_up_a_leaf_with_another_leaf)
{
	expect(put(&vcpus[0], 3, ua_of(B, 7)), true);
	expect(put(&vcpus[0], 4, ua_of(B, 8)), true);
	expect(put(&vcpus[0], LEAF + 3, ua_of(B, 9)), true);
	expect(put(&vcpus[0], 5, ua_of(A, 7)), true);
	expect(peek(5), ua_of(A, 7) | RW);
	expect(peek(LEAF + 5), 0);
}

TEST_F(guest_table, declined_unmap_restores_nothing_after_unregister)
{
	expect(put(&vcpus[0], 3, ua_of(B, 7)), true);
	put_to(&vcpus[0], 5, ua_of(A, 8), KVM_COMMIT);
	/* KVM unmaps an entry in the leaf that this mapping has locked, so the hook declines */
	stuff_to(&vcpus[1], 3, KVM_UNCOUNT);
	expect(vcpus[1].step, KVM_UNCOUNT);
	expect(vcpu_finish(&vcpus[0]), true);
	expect(unmap(window, 3, 1), 0);
	expect(unregister(B), 0);
	vcpu_run_to(&vcpus[1], KVM_PUT_BACK);
	expect(vcpus[1].step, KVM_PUT_BACK);
	expect(vcpu_finish(&vcpus[1]), false);
	expect(peek(3), 0);
	expect(sim.log_lines, 0);
}

TEST_F(guest_table, unregister_after_kvms_unmap_need_not_wait_for_tce_kill)
{
	expect(put(&vcpus[0], 3, ua_of(B, 7)), true);
	stuff_to(&vcpus[0], 3, KVM_CLEARED);
	expect(unregister(B), 0);
	sim_grace_period();
	expect(vcpu_finish(&vcpus[0]), true);
}

TEST(unmap_waits_for_a_mapping_that_kvm_has_begun)
{
	static const enum kvm_step steps[] = {
		KVM_LOOKUP, KVM_TRANSLATE, KVM_COUNT,
		KVM_NOTE,   KVM_STORE,	   KVM_COMMIT,
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(steps); i++) {
		begin_case();
		sim_let_others(finish_first);
		put_to(&vcpus[0], 3, ua_of(A, 7), steps[i]);
		/* Unmap another entry of the same leaf, or the entry that KVM maps */
		expect(unmap(window, i % 2 ? 3 : 4, 1), 0);
		expect(counts.waits, 1 + KVM_COMMIT - steps[i]);
		expect(vcpus[0].step, KVM_IDLE);
		expect(vcpus[0].hard, false);
		expect(peek(3), i % 2 ? 0 : ua_of(A, 7) | RW);
		end_case();
		sim_reset();
	}
}

TEST_F(guest_table, unregister_after_begin_makes_the_hypercall_too_hard)
{
	put_to(&vcpus[0], 3, ua_of(B, 7), KVM_LOOKUP);
	expect(unregister(B), 0);
	expect(vcpu_finish(&vcpus[0]), false);
	expect(peek(3), 0);
}

TEST_F(guest_table, mirror_that_kvm_has_looked_up_is_not_freed_before_tce_kill)
{
	put_to(&vcpus[0], 3, ua_of(B, 7), KVM_TRANSLATE);
	expect(unregister(B), 0);
	/* If this grace period freed the mirror, KVM's next step would use freed memory */
	sim_grace_period();
	vcpu_run_to(&vcpus[0], KVM_NOTE);
	expect(vcpu_finish(&vcpus[0]), false);
	expect(peek(3), 0);
}

TEST(unregister_waits_while_kvm_counts_and_returns_ebusy)
{
	static const enum kvm_step steps[] = { KVM_NOTE, KVM_STORE,
					       KVM_COMMIT };

	for (unsigned int i = 0; i < ARRAY_SIZE(steps); i++) {
		begin_case();
		sim_let_others(finish_first);
		put_to(&vcpus[0], 3, ua_of(B, 7), steps[i]);
		expect(unregister(B), -EBUSY);
		expect(vcpus[0].step, KVM_IDLE);
		expect(peek(3), ua_of(B, 7) | RW);
		/* After -EBUSY the region still has its mirror, so KVM can map it */
		expect(put(&vcpus[0], 4, ua_of(B, 8)), true);
		end_case();
		sim_reset();
	}
}

/* KVM has counted a page, but the TCE has no permission. So commit decrements KVM's count. */
TEST_F(guest_table, unregister_waits_while_kvm_counts_and_succeeds)
{
	sim_let_others(finish_first);
	vcpu_call(&vcpus[0], KVM_INDIRECT, table, 0, 3, 1);
	vcpus[0].tce[0] = (struct kvm_tce){ ua_of(B, 5), DMA_NONE };
	vcpu_run_to(&vcpus[0], KVM_COMMIT);
	expect(unregister(B), 0);
	expect(vcpus[0].step, KVM_IDLE);
	expect(peek(3), 0);
}

TEST_F(guest_table, mirror_that_kvm_counts_only_briefly_does_not_become_an_orphan)
{
	sim_let_others(finish_first);
	vcpu_call(&vcpus[0], KVM_INDIRECT, table, 0, 3, 1);
	vcpus[0].tce[0] = (struct kvm_tce){ ua_of(B, 5), DMA_NONE };
	vcpu_run_to(&vcpus[0], KVM_COMMIT);
	unregister_memory_nofail(&memories[B]);
	expect(!kernel_list_at(sim.mm, ua_of(B, 0)), true);
	expect(put(&vcpus[1], 4, ua_of(A, 7)), true);
}

TEST(window_removal_waits_for_a_mapping_that_kvm_has_begun)
{
	static const enum kvm_step steps[] = { KVM_LOOKUP, KVM_NOTE,
					       KVM_COMMIT };

	for (unsigned int i = 0; i < ARRAY_SIZE(steps); i++) {
		begin_case();
		sim_let_others(finish_first);
		put_to(&vcpus[0], 3, ua_of(B, 7), steps[i]);
		expect(tce2_ddw_remove(&ddw, 0), 0);
		window = NULL;
		expect(vcpus[0].step, KVM_IDLE);
		expect(platform_mapped(table), 0);
		expect(platform.held, 0);
		expect_kvms_counts();
		expect(unregister(B), 0);
		close_container();
		detach_kvm();
		platform_expect_nothing_left();
		sim_reset();
	}
}

TEST_F(guest_table, second_mapping_of_an_entry_is_too_hard_until_the_first_ends)
{
	put_to(&vcpus[0], 3, ua_of(A, 7), KVM_COMMIT);
	expect(put(&vcpus[1], 3, ua_of(B, 8)), false);
	expect(vcpu_finish(&vcpus[0]), true);
	expect(peek(3), ua_of(A, 7) | RW);
	expect(counts_of(B), 1);
}

TEST_F(guest_table, unmap_of_an_entry_that_kvm_is_replacing_is_too_hard)
{
	expect(put(&vcpus[0], 3, ua_of(B, 8)), true);
	put_to(&vcpus[0], 3, ua_of(A, 7), KVM_COMMIT);
	expect(stuff(&vcpus[1], 3), false);
	expect(vcpu_finish(&vcpus[0]), true);
	expect(peek(3), ua_of(A, 7) | RW);
	expect(stuff(&vcpus[1], 3), true);
}

TEST_F(guest_table, region_of_a_replaced_entry_can_be_unregistered)
{
	expect(put(&vcpus[0], 3, ua_of(B, 7)), true);
	put_to(&vcpus[0], 3, ua_of(A, 7), KVM_COMMIT);
	vcpu_step(&vcpus[0]);
	expect(unregister(B), 0);
	sim_grace_period();
	expect(peek(3), ua_of(A, 7) | RW);
}

/* Maps a guest's page of four IOMMU pages, of which the first @mapped are in the region */
static void put_across_the_end(struct vcpu *vcpu, u64 mapped)
{
	vcpu_call(vcpu, PUT, table, 2, 1, 1);
	vcpu->tce[0] =
		(struct kvm_tce){ ua_of(B, REGION_PAGES - mapped), BIDI };
}

TEST(kvms_cleanup_clears_entries_mapped_before_the_failure)
{
	for (u64 mapped = 1; mapped < 4; mapped++) {
		begin_case();
		expect(map(window, 4, 0, 4, RW), 0);
		put_across_the_end(&vcpus[0], mapped);
		vcpu_run_to(&vcpus[0], KVM_ZAP);
		for (u64 i = 0; i < 4; i++)
			expect(peek(4 + i),
			       i < mapped
				       ? ua_of(B, REGION_PAGES - mapped + i) |
						 RW
				       : (UA + IOVA(i)) | RW);
		expect_in_step(window, 16);
		expect(vcpu_finish(&vcpus[0]), false);
		for (u64 i = 0; i < 4; i++)
			expect(peek(4 + i), 0);
		expect(unregister(B), 0);
		end_case();
		sim_reset();
	}
}

/* The guest's page has 1024 IOMMU pages, which are in two leaves */
TEST_F(guest_table, guests_page_in_two_leaves_is_mapped_leaf_by_leaf)
{
	const u64 pages = 2 * LEAF;
	struct tce2_region *large = NULL;

	map_scattered(UA + GIB(1), (pages << SHIFT) >> PAGE_SHIFT, 20000, true);
	expect(tce2_region_register(proc, UA + GIB(1), pages << SHIFT, &large),
	       0);
	vcpu_call(&vcpus[0], PUT, table, 10, 1, 1);
	vcpus[0].tce[0] = (struct kvm_tce){ UA + GIB(1), BIDI };
	vcpu_run_to(&vcpus[0], KVM_COMMIT);
	/* The first leaf is unlocked already, the second is still locked */
	expect(put(&vcpus[1], pages + 3, ua_of(A, 7)), true);
	expect(put(&vcpus[1], pages + LEAF + 3, ua_of(A, 7)), false);
	expect(vcpu_finish(&vcpus[0]), true);
	expect_in_step(window, entries);
	expect(peek(pages + LEAF), (UA + GIB(1) + (LEAF << SHIFT)) | RW);

	/* The second leaf can't be locked, so KVM zaps the first leaf's entries */
	put_to(&vcpus[1], pages + LEAF + 3, ua_of(A, 7), KVM_COMMIT);
	vcpu_call(&vcpus[0], PUT, table, 10, 1, 1);
	expect(vcpu_finish(&vcpus[0]), false);
	expect(vcpu_finish(&vcpus[1]), true);
	expect(peek(pages), 0);
	expect(unmap(window, 0, entries), 0);
	expect(tce2_region_unregister(large), 0);
}

TEST_F(guest_table, indirect_tce_without_permission_clears_the_entry)
{
	expect(put(&vcpus[0], 3, ua_of(B, 7)), true);
	vcpu_call(&vcpus[0], KVM_INDIRECT, table, 0, 3, 2);
	vcpu_step(&vcpus[0]);
	vcpus[0].tce[0] = (struct kvm_tce){ ua_of(A, 5), DMA_NONE };
	vcpus[0].tce[1] = (struct kvm_tce){ ua_of(A, 6), BIDI };
	expect(vcpu_finish(&vcpus[0]), true);
	expect(peek(3), 0);
	expect(peek(4), ua_of(A, 6) | RW);
	expect_kvms_counts();
	expect(unregister(B), 0);
}

TEST_F(guest_table, indirect_tce_that_changes_after_validation_maps_nothing)
{
	expect(map(window, 3, 9, 1, RW), 0);
	vcpu_call(&vcpus[0], KVM_INDIRECT, table, 0, 3, 1);
	vcpus[0].tce[0] = (struct kvm_tce){ ua_of(B, 5), BIDI };
	vcpu_run_to(&vcpus[0], KVM_BEGIN);
	vcpus[0].tce[0].ua += 0x10;
	expect(vcpu_finish(&vcpus[0]), true);
	expect(peek(3), 0);
	expect_kvms_counts();
	expect(sim.log_lines, 0);
}

TEST(hypercalls_after_window_removal_and_close_map_nothing)
{
	begin_case();
	expect(put(&vcpus[0], 3, ua_of(B, 7)), true);
	expect(tce2_ddw_remove(&ddw, 0), 0);
	window = NULL;
	expect(put(&vcpus[0], 3, ua_of(B, 7)), false);
	/* The leaf of this entry does not exist */
	expect(put(&vcpus[0], entries - LEAF, ua_of(B, 7)), false);
	expect(stuff(&vcpus[0], 3), true);
	expect(unregister(B), 0);
	close_container();
	expect(put(&vcpus[0], 3, ua_of(B, 7)), false);
	expect(stuff(&vcpus[0], 3), true);
	expect(platform_mapped(table), 0);
	detach_kvm();
	platform_expect_nothing_left();
}

/* A bracket caches the leaf of its last mapping. The hooks of that leaf may be freed later. */
TEST_F(guest_table, bracket_does_not_keep_a_leaf_of_freed_hooks)
{
	struct tce2_kvm *gone;
	u64 start;

	sim.reused = sizeof(struct tce2_kvm);
	for (u64 n = 3; n < 6; n++)
		expect(put(&vcpus[0], n, ua_of(B, n)), true);
	gone = window->kvm;
	expect(tce2_ddw_remove(&ddw, 0), 0);
	detach_kvm();
	expect(create(MIB(8), SHIFT, 1, &start), 0);
	window = ddw.window[0];
	table = window->table.tbl;
	attach_kvm();
	expect(window->kvm == gone, true);
	expect(map(window, 0, 0, 1, RW), 0);
	expect(put(&vcpus[1], 3, ua_of(B, 7)), true);
	expect(put(&vcpus[0], 4, ua_of(B, 8)), true);
	expect(peek(4), ua_of(B, 8) | RW);
}

static unsigned int chances;

/*
 * Skips @chances points at which no leaf is locked, then removes the window. While a leaf
 * is locked, the removal would wait.
 */
static void remove_inside(void)
{
	bool locked = window->ranges.last;

	for (u64 leaf = 0; leaf < entries / LEAF; leaf++) {
		const u64 *slot = tce2_view_slot(&window->view, leaf);

		locked |= slot && tce2_word_is_array(*slot) &&
			  *slot & TCE2_WORD_LOCKED;
	}
	if (locked || chances) {
		chances -= !locked;
		sim_when(SIM_AT_READ, 1, remove_inside);
		return;
	}
	expect(tce2_ddw_remove(&ddw, 0), 0);
	window = NULL;
}

/*
 * Runs a step, and removes the window at its point number @after. Returns false if the step
 * had fewer points, so that the window was not removed.
 */
static bool step_and_remove(struct vcpu *vcpu, unsigned int after)
{
	chances = after;
	sim_when(SIM_AT_READ, 1, remove_inside);
	vcpu_step(vcpu);
	sim_when(SIM_AT_READ, 0, NULL);
	finish_calls();
	expect(vcpu->hard, !window);
	return !window;
}

static void end_removed(void)
{
	expect(platform_mapped(table), 0);
	expect(platform.held, 0);
	expect_kvms_counts();
	close_container();
	detach_kvm();
	platform_expect_nothing_left();
}

/* The leaf has no array yet, so begin makes an array */
TEST(kvm_does_not_map_in_a_window_removed_during_begin)
{
	unsigned int after = 0;
	bool removed;

	do {
		begin_case();
		expect(put(&vcpus[1], 3, ua_of(B, 7)), true);
		put_to(&vcpus[0], LEAF + 3, ua_of(B, 8), KVM_BEGIN);
		removed = step_and_remove(&vcpus[0], after++);
		if (removed)
			end_removed();
		else
			end_case();
		sim_reset();
	} while (removed);
	expect(after > 4, true);
}

static struct tce2_region *register_two_leaves(void)
{
	const u64 bytes = 2 * LEAF << SHIFT;
	struct tce2_region *region = NULL;

	map_scattered(UA + GIB(1), bytes >> PAGE_SHIFT, 20000, true);
	expect(tce2_region_register(proc, UA + GIB(1), bytes, &region), 0);
	return region;
}

TEST(kvm_does_not_map_in_a_window_removed_between_two_leaves)
{
	unsigned int after = 0;
	bool removed;

	do {
		struct tce2_region *region;

		begin_case();
		region = register_two_leaves();
		vcpu_call(&vcpus[0], PUT, table, 10, 1, 1);
		vcpus[0].tce[0] = (struct kvm_tce){ UA + GIB(1), BIDI };
		while (vcpus[0].subpage < LEAF)
			vcpu_step(&vcpus[0]);
		removed = step_and_remove(&vcpus[0], after++);
		if (!removed)
			expect(unmap(window, 0, entries), 0);
		expect(tce2_region_unregister(region), 0);
		if (removed)
			end_removed();
		else
			end_case();
		sim_reset();
	} while (removed);
	expect(after > 2, true);
}

TEST(removed_window_can_still_be_read)
{
	struct tce2_window *got;
	u64 ua, perm;

	begin_case();
	expect(put(&vcpus[0], 3, ua_of(B, 7)), true);
	got = tce2_window_get(table);
	expect(tce2_ddw_remove(&ddw, 0), 0);
	window = NULL;
	expect(tce2_window_read_tce(got, got->start + IOVA(3), &ua, &perm),
	       -ENODEV);
	tce2_window_put(got);
	end_removed();
}

TEST_F(guest_table, real_mode_reads_what_kvm_has_mapped)
{
	struct tce2_window *got;
	u64 ua, perm;

	expect(put(&vcpus[0], 3, ua_of(B, 7)), true);
	got = tce2_window_get(table);
	expect(tce2_rm_read_tce(got, got->start + IOVA(3) + 8, &ua, &perm),
	       TCE2_RM_OK);
	expect(ua, ua_of(B, 7) + 8);
	expect(perm, RW);
	tce2_window_put(got);
}

TEST_F(guest_table, hooks_neither_map_nor_unmap_for_another_process)
{
	struct mm_iommu_table_group_mem_t *mem;
	struct mm_struct *own, *other;

	own = sim.mm;
	other = sim_process();
	map_contiguous(UA, region_pages(), 30000, true);
	expect(mm_iommu_new(other, UA, region_pages(), &mem), 0);
	vcpu_init(&vcpus[1], other);
	sim.mm = own;
	expect(put(&vcpus[0], 3, ua_of(B, 7)), true);
	expect(put(&vcpus[1], 4, UA), false);
	expect(stuff(&vcpus[1], 3), false);
	/* An empty entry stays empty */
	expect(stuff(&vcpus[1], 4), true);
	expect(unmap(window, LEAF, LEAF / 2), 0);
	expect(map(window, LEAF + 8, 0, 16, RW), 0);
	expect(stuff(&vcpus[1], LEAF + 10), false);
	expect(peek(LEAF + 10), (UA + IOVA(2)) | RW);
	expect(peek(3), ua_of(B, 7) | RW);
	expect(kernel_list_mapped(mem), 1);
	expect(mm_iommu_put(other, mem), 0);
}

/* A region that is as large as a leaf, so one run fills leaf 1 */
static struct tce2_region *large;

static void empty_and_fill_leaf(void)
{
	if (!can_lock(1))
		return;
	counts.requests++;
	expect(unmap(window, LEAF, LEAF), 0);
	expect(map(window, LEAF, (large->ua - UA) >> SHIFT, LEAF, RW), 0);
	expect(unmap(window, LEAF, 1), 0);
}

TEST_F(guest_table, array_that_kvm_reads_locklessly_is_not_freed_by_a_request)
{
	map_scattered(UA + GIB(1), (LEAF << SHIFT) >> PAGE_SHIFT, 20000, true);
	expect(tce2_region_register(proc, UA + GIB(1), LEAF << SHIFT, &large),
	       0);
	for (unsigned int nth = 1; nth < 8; nth++) {
		expect(put(&vcpus[0], LEAF + 3, ua_of(A, 7)), true);
		sim_when(SIM_AT_READ, nth, empty_and_fill_leaf);
		expect(stuff(&vcpus[0], LEAF + 3), true);
		sim_when(SIM_AT_READ, 0, NULL);
	}
	expect(counts.requests > 2, true);
	expect(unmap(window, 0, entries), 0);
	expect(tce2_region_unregister(large), 0);
}

static void map_beside_by_kvm(void)
{
	put(&vcpus[1], LEAF + 4, ua_of(B, 7));
}

TEST(unmap_from_a_run_sees_the_array_that_another_hook_makes)
{
	for (unsigned int nth = 1; nth < 12; nth++) {
		begin_case();
		expect(unmap(window, LEAF, LEAF / 2), 0);
		expect(map(window, LEAF + 8, 0, 16, RW), 0);
		expect(stuff(&vcpus[1], 3), true);
		sim_when(SIM_AT_READ, nth, map_beside_by_kvm);
		expect(stuff(&vcpus[0], LEAF + 10), true);
		sim_when(SIM_AT_READ, 0, NULL);
		expect(peek(LEAF + 10), 0);
		end_case();
		sim_reset();
	}
}

/* Another virtual CPU runs before each lock that the unregister takes */
static void begin_mapping_by_kvm(void)
{
	put_to(&vcpus[1], LEAF + 5, ua_of(B, 8), KVM_NOTE);
}

static void finish_both(void)
{
	for (unsigned int i = 0; i < 2; i++) {
		if (vcpus[i].step != KVM_IDLE)
			vcpu_step(&vcpus[i]);
	}
}

TEST(unregister_nofail_removes_the_mirror_although_kvm_maps_meanwhile)
{
	for (unsigned int nth = 1; nth < 8; nth++) {
		begin_case();
		sim_let_others(finish_both);
		put_to(&vcpus[0], 3, ua_of(B, 7), KVM_NOTE);
		sim_when(SIM_AT_LOCK, nth, begin_mapping_by_kvm);
		unregister_memory_nofail(&memories[B]);
		sim_when(SIM_AT_LOCK, 0, NULL);
		vcpu_finish(&vcpus[1]);
		expect(stuff(&vcpus[0], 3), true);
		expect(stuff(&vcpus[0], LEAF + 5), true);
		sim_run_work();
		expect(!kernel_list_at(sim.mm, ua_of(B, 0)), true);
		expect(sim.log_lines, 0);
		end_case();
		sim_reset();
	}
}

static bool declined;

static void unmap_by_kvm(void)
{
	declined = !stuff(&vcpus[0], 3);
}

/* A group's hardware still has the table, but the platform no longer invalidates for it */
TEST(kvm_can_not_unmap_while_the_platform_keeps_a_window)
{
	begin_case();
	expect(put(&vcpus[0], 3, ua_of(A, 7)), true);
	platform_fail(PLATFORM_UNSET, 1, 1);
	sim_when(SIM_AT_RESCHED, 1, unmap_by_kvm);
	expect(tce2_ddw_detach(&ddw, &group[1]->group), 0);
	expect(declined, true);
	expect(peek(3), ua_of(A, 7) | RW);
	/* After the detach KVM can unmap, but the pages stay pinned */
	expect(stuff(&vcpus[0], 3), true);
	expect(tce2_ddw_remove(&ddw, 0), 0);
	window = NULL;
	expect(platform.held, SPOTS + 1);
	/* The module holds these pages permanently, so the test drops them */
	tce2_page_drop_counted(proc, ua_of(A, 7), SHIFT, true);
	for (unsigned int i = 0; i < SPOTS; i++)
		drop_pages(proc, ua_of(A, 0), SHIFT, 1);
	close_container();
	detach_kvm();
	platform_forget_leaked(1);
	platform_expect_nothing_left();
}

static u32 dirtied(unsigned int memory, u64 page)
{
	return sim_frame(hpa_at(ua_of(memory, page)) >> PAGE_SHIFT)->dirtied;
}

/* With entries that are unmapped by a request, and by KVM */
TEST(memory_that_kvm_maps_writable_is_dirty_when_unregistered)
{
	const u64 step = PAGE_SIZE >> SHIFT;
	/* This memory is scattered, so each page has its own dirty flag */
	const unsigned int memory = 2;

	for (unsigned int i = 0; i < 2; i++) {
		begin_case();
		vcpu_call(&vcpus[0], KVM_INDIRECT, table, 0, 3, 2);
		vcpus[0].tce[0] = (struct kvm_tce){ ua_of(memory, step),
						    DMA_FROM_DEVICE };
		vcpus[0].tce[1] =
			(struct kvm_tce){ ua_of(memory, 0), DMA_TO_DEVICE };
		expect(vcpu_finish(&vcpus[0]), true);
		if (i) {
			expect(stuff(&vcpus[0], 3), true);
			expect(stuff(&vcpus[0], 4), true);
		}
		expect(unmap(window, 3, 2), 0);
		expect(unregister(memory), 0);
		expect(dirtied(memory, step) > 0, true);
		expect(dirtied(memory, 0), 0);
		end_case();
		sim_reset();
	}
}

/* The adjacent run maps pages of two regions, and each page has its own dirty flag */
TEST_F(guest_table, request_unmaps_a_run_that_kvm_has_mapped)
{
	const u64 step = PAGE_SIZE >> SHIFT, ua = UA + GIB(1);
	struct tce2_region *region[2];

	map_scattered(ua, 4, 20000, true);
	for (u64 i = 0; i < 2; i++)
		expect(tce2_region_register(proc, ua + 2 * i * PAGE_SIZE,
					    2 * PAGE_SIZE, &region[i]),
		       0);
	for (u64 i = 0; i < 4 * step; i++)
		expect(put(&vcpus[0], 3 + i, ua + IOVA(i)), true);
	expect(unmap(window, 3, 4 * step), 0);
	for (u64 i = 0; i < 2; i++)
		expect(tce2_region_unregister(region[i]), 0);
	for (u64 i = 0; i < 4; i++)
		expect(sim_frame(PHYS_PFN(hpa_at(ua + i * PAGE_SIZE)))->dirtied,
		       1);
}

/* The worker that destroys regions runs while the last unmap drops the page */
TEST(page_is_marked_dirty_before_its_region_is_destroyed)
{
	for (unsigned int nth = 1; nth < 40; nth++) {
		begin_case();
		expect(put(&vcpus[0], 3, ua_of(B, 7)), true);
		unregister_memory_nofail(&memories[B]);
		sim_when(SIM_AT_READ, nth, sim_run_work);
		expect(stuff(&vcpus[0], 3), true);
		sim_when(SIM_AT_READ, 0, NULL);
		sim_run_work();
		expect(dirtied(B, 7) > 0, true);
		end_case();
		sim_reset();
	}
}

/*
 * The charge for a table that KVM still uses
 */

TEST(charge_of_a_table_that_kvm_keeps_is_refunded_with_its_last_reference)
{
	u64 of_table;

	begin_case();
	expect(map(window, 0, 0, 4, RW), 0);
	of_table = window->table.charge.pages;
	expect(sim.now.charged, charge_of_regions() + of_table);
	expect(tce2_ddw_remove(&ddw, 0), 0);
	window = NULL;
	expect(sim.now.charged, charge_of_regions() + of_table);
	close_container();
	expect(sim.now.charged, of_table);
	call_rcu(&attached.rcu, put_table);
	expect(sim.now.charged, of_table);
	/* The RCU callback can't sleep, so a worker refunds the charge */
	sim_grace_period();
	expect(platform.tables, 0);
	expect(sim.now.charged, 0);
	expect(sim.now.modules, 0);
	platform_expect_nothing_left();
}

TEST(charge_is_refunded_with_the_window_if_kvm_is_gone)
{
	begin_case();
	expect(put(&vcpus[0], 3, ua_of(B, 7)), true);
	detach_kvm();
	expect(sim.now.modules, 1);
	expect(tce2_ddw_remove(&ddw, 0), 0);
	window = NULL;
	expect(sim.now.charged, charge_of_regions());
	expect(sim.now.modules, 0);
	close_container();
	platform_expect_nothing_left();
}

TEST(kvms_reference_is_noticed_after_groups_join_or_leave)
{
	begin(2, 3);
	joined = true;
	window = only_window(MIB(8), 1);
	table = window->table.tbl;
	for (unsigned int i = 0; i < 3; i++) {
		expect(tce2_kvm_attached(window->kvm), false);
		change_groups();
	}
	attach_kvm();
	for (unsigned int i = 0; i < 3; i++) {
		expect(tce2_kvm_attached(window->kvm), true);
		change_groups();
	}
	detach_kvm();
	expect(tce2_kvm_attached(window->kvm), false);
	/* A declined call also shows that KVM uses the table */
	vcpu_init(&vcpus[0], sim.mm);
	vcpu_call(&vcpus[0], KVM_INDIRECT, table, 0, 0, 1);
	vcpus[0].tce[0] = (struct kvm_tce){ UA, DMA_NONE };
	vcpu_run_to(&vcpus[0], KVM_COMMIT);
	expect(tce2_kvm_attached(window->kvm), true);
	expect(vcpu_finish(&vcpus[0]), false);
	window = NULL;
	finish();
}

/*
 * Mirrors of regions in the kernel's list
 */

TEST(mirrors_are_charged_once_and_pinned_twice)
{
	u64 before;

	begin_episode(1);
	before = sim.now.charged;
	tce2_cache_mirror(proc);
	expect(sim.now.charged, before);
	expect(sim.now.kernel_pins, (REGIONS - 1) * region_pages());
	expect(unregister(B), 0);
	sim_grace_period();
	expect(sim.now.charged, before - region_pages());
	expect(sim.now.kernel_pins, (REGIONS - 2) * region_pages());
	/* From now on each region gets its mirror when it is registered */
	register_memory(&memories[B]);
	expect(sim.now.charged, before);
	expect(kernel_list_regions(), REGIONS - 1);
	end_case();
}

TEST(failed_mirror_keeps_charge_and_pins_unchanged)
{
	for (unsigned int nth = 1; nth < 4 * (REGIONS - 1); nth++) {
		enum sim_fault fault = nth % 2 ? SIM_ALLOC : SIM_PIN;
		u64 charged;

		begin_episode(1);
		charged = sim.now.charged;
		sim_fail(fault, nth);
		tce2_cache_mirror(proc);
		sim_fail_nothing();
		expect(sim.now.charged, charged);
		expect(sim.now.pinned, charge_of_regions());
		expect(sim.now.kernel_pins % region_pages(), 0);
		end_case();
		sim_reset();
	}
}

TEST(mirror_over_the_limit_keeps_the_charge_unchanged)
{
	u64 charged;

	begin_episode(1);
	charged = sim.now.charged;
	sim_fail(SIM_CHARGE, 1);
	tce2_cache_mirror(proc);
	expect(sim.now.charged, charged);
	expect(kernel_list_regions(), REGIONS - 2);
	end_case();
}

TEST(memory_mapped_again_since_it_was_registered_gets_no_mirror)
{
	struct vm_area_struct *vma;
	u64 last;

	begin_episode(1);
	vma = sim_vma(sim.mm, ua_of(B, 0));
	last = vma->pfn[region_pages() - 1]++;
	tce2_cache_mirror(proc);
	expect(kernel_list_regions(), REGIONS - 2);
	expect(put(&vcpus[0], 3, ua_of(B, 7)), false);
	vma->pfn[region_pages() - 1] = last;
	end_case();
}

TEST_F(guest_table, mirror_shared_with_the_in_tree_driver_stays_in_the_list)
{
	struct mm_iommu_table_group_mem_t *mem;

	mem = mm_iommu_get(sim.mm, ua_of(B, 0), region_pages());
	expect(mem == kernel_list_at(sim.mm, ua_of(B, 0)), true);
	expect(mm_iommu_mapped_inc(mem), 0);
	expect(put(&vcpus[0], 3, ua_of(B, 7)), true);
	expect(kernel_list_mapped(mem), 3);
	expect(unmap(window, 3, 1), 0);
	expect(kernel_list_mapped(mem), 2);
	expect(unregister(B), 0);
	expect(kernel_list_users(mem), 1);
	mm_iommu_mapped_dec(mem);
	expect(mm_iommu_put(sim.mm, mem), 0);
}

TEST_F(guest_table, mirror_that_the_in_tree_driver_counts_outlives_the_registration)
{
	struct mm_iommu_table_group_mem_t *mem;

	mem = kernel_list_at(sim.mm, ua_of(B, 0));
	expect(mm_iommu_mapped_inc(mem), 0);
	expect(unregister(B), -EBUSY);
	unregister_memory_nofail(&memories[B]);
	sim_run_work();
	expect(kernel_list_at(sim.mm, ua_of(B, 0)) == mem, true);
	expect(sim.now.charged,
	       charge_of_regions() + region_pages() + window->table.charge.pages);
	expect(sim.now.modules, 2);
	mm_iommu_mapped_dec(mem);
	sim_run_work();
	expect(!kernel_list_at(sim.mm, ua_of(B, 0)), true);
	expect(sim.now.modules, 1);
}

TEST_F(guest_table, memory_that_only_the_in_tree_driver_registered_is_not_mapped)
{
	struct mm_iommu_table_group_mem_t *mem;

	expect(unregister(B), 0);
	expect(mm_iommu_new(sim.mm, ua_of(B, 0), region_pages(), &mem), 0);
	expect(map(window, 3, 9, 1, RW), 0);
	put(&vcpus[0], 3, ua_of(B, 7));
	expect(peek(3), 0);
	expect(kernel_list_mapped(mem), 1);
	expect(sim.log_lines, 1);
	/* The tripwire was triggered, so KVM can only unmap in this window */
	expect(put(&vcpus[0], 4, ua_of(A, 7)), false);
	expect(map(window, 3, 9, 1, RW), 0);
	expect(stuff(&vcpus[0], 3), true);
	expect(mm_iommu_put(sim.mm, mem), 0);
}

/* The overlap prevents a mirror of the region, so KVM finds the in-tree driver's entry */
TEST_F(guest_table, region_that_overlaps_an_in_tree_entry_is_mapped_uncounted)
{
	struct mm_iommu_table_group_mem_t *mem;

	expect(unregister(B), 0);
	expect(mm_iommu_new(sim.mm, ua_of(B, 0), region_pages() / 2, &mem), 0);
	register_memory(&memories[B]);
	expect(put(&vcpus[0], 3, ua_of(B, 7)), true);
	expect(peek(3), ua_of(B, 7) | RW);
	expect(kernel_list_mapped(mem), 1);
	expect(unregister(B), -EBUSY);
	expect(put(&vcpus[0], 4, ua_of(B, REGION_PAGES - 1)), false);
	expect(mm_iommu_put(sim.mm, mem), 0);
	expect(stuff(&vcpus[0], 3), true);
	expect(unregister(B), 0);
	expect(dirtied(B, 7) > 0, true);
	expect(sim.log_lines, 0);
}

TEST_F(guest_table, region_gets_a_mirror_after_the_orphan_in_its_range_is_removed)
{
	expect(put(&vcpus[0], 3, ua_of(B, 7)), true);
	unregister_memory_nofail(&memories[B]);
	register_memory(&memories[B]);
	/* Makes no mirror, because the orphan is still in the list */
	tce2_cache_mirror(proc);
	expect(proc->mirrors_due, false);
	expect(unmap(window, 3, 1), 0);
	sim_run_work();
	expect(!kernel_list_at(sim.mm, ua_of(B, 0)), true);
	expect(proc->mirrors_due, true);
	tce2_cache_mirror(proc);
	expect(put(&vcpus[0], 4, ua_of(B, 8)), true);
	expect(counts_of(B), 2);
}

static void register_again(void)
{
	register_memory(&memories[B]);
}

TEST_F(guest_table, unregister_succeeds_if_another_container_registers_meanwhile)
{
	struct mm_iommu_table_group_mem_t *mem;

	mem = kernel_list_at(sim.mm, ua_of(B, 0));
	/* This count keeps the mirror in the list */
	expect(mm_iommu_mapped_inc(mem), 0);
	sim_when(SIM_AT_LOCK, 2, register_again);
	expect(unregister(B), 0);
	expect(memories[B].region->used, 1);
	mm_iommu_mapped_dec(mem);
}

TEST_F(guest_table, region_registered_during_mirror_removal_gets_another_mirror)
{
	/* The other container registers just before the mirror is removed from the list */
	sim_when(SIM_AT_LOCK, 2, register_again);
	expect(unregister(B), 0);
	expect(memories[B].region->used, 1);
	expect(!kernel_list_at(sim.mm, ua_of(B, 0)), true);
	expect(proc->mirrors_due, true);
	tce2_cache_mirror(proc);
	expect(put(&vcpus[0], 3, ua_of(B, 7)), true);
	expect(counts_of(B), 2);
}

static struct mm_iommu_table_group_mem_t *in_trees;

static void map_from_an_entry_of_the_in_tree_driver(void)
{
	expect(mm_iommu_new(sim.mm, ua_of(B, 0), region_pages(), &in_trees), 0);
	expect(put(&vcpus[0], 3, ua_of(B, 7)), true);
}

/* KVM maps after the mirror was removed from the list, before the region is destroyed */
TEST_F(guest_table, in_tree_entry_that_replaces_the_mirror_keeps_no_count)
{
	sim_when(SIM_AT_LOCK, 3, map_from_an_entry_of_the_in_tree_driver);
	unregister_memory_nofail(&memories[B]);
	expect(peek(3), ua_of(B, 7) | RW);
	expect(kernel_list_mapped(in_trees), 1);
	expect(mm_iommu_put(sim.mm, in_trees), 0);
	expect(stuff(&vcpus[0], 3), true);
	sim_run_work();
	expect(sim.log_lines, 0);
}

/* The process has changed its memory, so the in-tree driver's entry has other pages */
TEST_F(guest_table, uncounted_page_is_mapped_at_the_address_in_the_region)
{
	struct mm_iommu_table_group_mem_t *mem;
	u64 *pfn;

	expect(unregister(B), 0);
	pfn = &sim_vma(sim.mm, ua_of(B, 0))->pfn[(8 << SHIFT) >> PAGE_SHIFT];
	*pfn += 500;
	expect(mm_iommu_new(sim.mm, ua_of(B, 0), region_pages() / 2, &mem), 0);
	*pfn -= 500;
	register_memory(&memories[B]);
	platform_forget_events();
	vcpu_call(&vcpus[0], PUT, table, 2, 1, 1);
	vcpus[0].tce[0] = (struct kvm_tce){ ua_of(B, 8), BIDI };
	expect(vcpu_finish(&vcpus[0]), true);
	expect(killed(4, 4), true);
	expect(peek(4), ua_of(B, 8) | RW);
	expect_in_step(window, 16);
	expect(kernel_list_mapped(mem), 1);
	expect(mm_iommu_put(sim.mm, mem), 0);
}

/* Only the in-tree driver has registered the second base page of the guest's page */
TEST_F(guest_table, pages_after_an_unmapped_page_are_invalidated)
{
	const u64 step = PAGE_SIZE >> SHIFT, first = 4 * step, ua = UA + GIB(1);
	struct mm_iommu_table_group_mem_t *mem;
	struct tce2_region *before, *after;

	map_contiguous(ua, 4, 20000, true);
	expect(tce2_region_register(proc, ua, PAGE_SIZE, &before), 0);
	expect(tce2_region_register(proc, ua + 2 * PAGE_SIZE, 2 * PAGE_SIZE,
				    &after),
	       0);
	expect(mm_iommu_new(sim.mm, ua + PAGE_SIZE, 1, &mem), 0);
	/* The third base page replaces a mapping */
	expect(map(window, first + 2 * step, 0, step, RW), 0);
	vcpu_call(&vcpus[0], PUT, table, 2 + PAGE_SHIFT - SHIFT, 1, 1);
	vcpus[0].tce[0] = (struct kvm_tce){ ua, BIDI };
	expect(vcpu_finish(&vcpus[0]), true);
	expect(sim.log_lines, 1);
	for (u64 i = 0; i < 4 * step; i++)
		expect(peek(first + i),
		       i / step == 1 ? 0 : (ua + IOVA(i)) | RW);
	expect_in_step(window, entries);
	expect(kernel_list_mapped(mem), 1);
	expect(mm_iommu_put(sim.mm, mem), 0);
	expect(unmap(window, 0, entries), 0);
	expect(tce2_region_unregister(before), 0);
	expect(tce2_region_unregister(after), 0);
}

/* The memory was writable only when the in-tree driver registered it */
TEST_F(guest_table, read_only_region_is_not_written_through_an_in_tree_entry)
{
	struct mm_iommu_table_group_mem_t *mem;
	struct vm_area_struct *vma;

	vma = sim_vma(sim.mm, ua_of(READ_ONLY, 0));
	vma->vm_flags |= VM_WRITE;
	expect(mm_iommu_new(sim.mm, ua_of(READ_ONLY, 0), region_pages(), &mem),
	       0);
	vma->vm_flags &= ~VM_WRITE;
	vcpu_call(&vcpus[0], PUT, table, 0, 3, 1);
	vcpus[0].tce[0] =
		(struct kvm_tce){ ua_of(READ_ONLY, 7), DMA_TO_DEVICE };
	expect(vcpu_finish(&vcpus[0]), true);
	expect(peek(3), ua_of(READ_ONLY, 7) | TCE2_PERM_READ);
	expect(sim.log_lines, 0);
	put(&vcpus[0], 3, ua_of(READ_ONLY, 7));
	expect(peek(3), 0);
	expect(sim.log_lines, 1);
	expect(kernel_list_mapped(mem), 1);
	expect(mm_iommu_put(sim.mm, mem), 0);
}

/* An orphan keeps the region cache after the container is gone */
TEST(orphan_outlives_the_container)
{
	struct mm_iommu_table_group_mem_t *mem;

	begin_case();
	mem = kernel_list_at(sim.mm, ua_of(B, 0));
	expect(mm_iommu_mapped_inc(mem), 0);
	expect(tce2_ddw_remove(&ddw, 0), 0);
	window = NULL;
	tce2_ddw_destroy(&ddw);
	for (unsigned int i = 0; i < REGIONS; i++)
		unregister_memory_nofail(&memories[i]);
	tce2_cache_put(proc);
	sim_run_work();
	expect(kernel_list_regions(), 1);
	/* All memory that is left is charged to the memory cgroup */
	expect(sim.now.unaccounted, 0);
	mm_iommu_mapped_dec(mem);
	sim_run_work();
	expect(kernel_list_regions(), 0);
	detach_kvm();
	platform_expect_nothing_left();
}

/* A fatal signal is injected at each point where the request checks for one */
TEST_F(guest_table, failed_request_restores_entries_that_kvm_mapped)
{
	unsigned int nth = 0;
	u64 first = LEAF - 4;
	int ret;

	expect(put(&vcpus[0], first + 1, ua_of(B, 7)), true);
	expect(put(&vcpus[0], first + 2, ua_of(B, 9)), true);
	do {
		sim_fail(SIM_SIGNAL, ++nth);
		ret = map(window, first, (ua_of(A, 0) - UA) >> SHIFT, 8, RW);
		sim_fail_nothing();
		expect(peek(first + 1), (ret ? ua_of(B, 7) : ua_of(A, 1)) | RW);
		expect_in_step(window, entries);
	} while (ret == -EINTR);
	expect(ret, 0);
	expect(nth > 3, true);
	expect(unmap(window, first, 8), 0);
	expect(counts_of(B), 1);
}

TEST_F(guest_table, last_unmap_of_an_unregistered_region_destroys_it_later)
{
	expect(map(window, 3, (ua_of(B, 7) - UA) >> SHIFT, 1, RW), 0);
	unregister_memory_nofail(&memories[B]);
	expect(stuff(&vcpus[0], 3), true);
	expect(sim.now.pinned, charge_of_regions() + region_pages());
	sim_run_work();
	expect(sim.now.pinned, charge_of_regions());
}

/* KVM may have mapped the memory in another container's window */
TEST_F(guest_table, mirror_of_an_unregistered_region_stays_until_kvms_last_unmap)
{
	expect(put(&vcpus[0], 3, ua_of(B, 7)), true);
	expect(unregister(B), -EBUSY);
	unregister_memory_nofail(&memories[B]);
	sim_run_work();
	expect(!kernel_list_at(sim.mm, ua_of(B, 0)), false);
	/*
	 * Until KVM's last unmap, region and mirror are both charged, and KVM
	 * maps nothing
	 */
	expect(sim.now.charged, charge_of_regions() + 2 * region_pages() +
					window->table.charge.pages);
	expect(put(&vcpus[0], 4, ua_of(A, 7)), false);
	expect(stuff(&vcpus[0], 3), true);
	sim_run_work();
	expect(put(&vcpus[0], 4, ua_of(A, 7)), true);
	expect(!kernel_list_at(sim.mm, ua_of(B, 0)), true);
	expect(sim.now.charged, charge_of_regions() + window->table.charge.pages);
}

/*
 * The tripwire: an unexpected order of hooks disables mapping by KVM. The module parameter
 * kvm, which limits KVM to unmapping.
 */

static void call_begin(u64 index)
{
	table->it_ops->useraddrptr(table, table->it_offset + index, true);
}

static void call_note(u64 index, unsigned long hpa)
{
	enum dma_data_direction direction = BIDI;

	table->it_ops->xchg_no_kill(table, table->it_offset + index, &hpa,
				    &direction);
}

static void begins_twice(void)
{
	call_begin(3);
	call_begin(3);
}

static void skips_an_entry(void)
{
	call_begin(3);
	call_begin(5);
}

static void goes_on_without_note(void)
{
	call_begin(3);
	call_begin(4);
}

static void skips_an_entry_after_note(void)
{
	call_begin(3);
	call_note(3, 0x4000);
	call_begin(5);
}

static void notes_another_entry(void)
{
	call_begin(3);
	call_note(4, 0x4000);
}

static void notes_twice(void)
{
	call_begin(3);
	call_note(3, 0x4000);
	call_note(3, 0x4000);
}

static void notes_without_begin(void)
{
	call_note(3, 0x4000);
}

static void stores_no_address(void)
{
	call_begin(3);
	call_note(3, 0x4000);
	table->it_ops->tce_kill(table, table->it_offset + 3, 1);
}

static void makes_a_request(void)
{
	call_begin(3);
	tce2_kvm_settle();
}

static void looks_for_a_container(void)
{
	call_begin(3);
	expect(!tce2_container_get(NULL), true);
}

static void closes_a_container(void)
{
	void *cookie = tce2_container_open();

	call_begin(3);
	tce2_container_release(cookie);
}

TEST(unexpected_order_of_hooks_disables_mapping_by_kvm)
{
	static void (*const orders[])(void) = {
		begins_twice,	      skips_an_entry,
		goes_on_without_note, skips_an_entry_after_note,
		notes_another_entry,  notes_twice,
		notes_without_begin,  stores_no_address,
		makes_a_request,      looks_for_a_container,
		closes_a_container,
	};

	for (unsigned int i = 0; i < 2 * ARRAY_SIZE(orders); i++) {
		struct task_struct *self;

		begin_case();
		expect(put(&vcpus[1], 6, ua_of(B, 8)), true);
		/* In every second run, let the bracket cache this leaf */
		if (i % 2)
			expect(put(&vcpus[0], 7, ua_of(B, 9)), true);
		self = sim_switch_to(&vcpus[0].task);
		orders[i / 2]();
		sim_switch_to(self);
		expect(sim.log_lines, 1);
		expect(peek(3), 0);
		/* The tripwire has unlocked the leaf and RCU: waiting for both succeeds */
		expect(map(window, 3, 0, 1, RW), 0);
		synchronize_rcu();
		expect(put(&vcpus[1], 4, ua_of(A, 7)), false);
		expect(put(&vcpus[0], 4, ua_of(A, 7)), false);
		expect(stuff(&vcpus[1], 6), true);
		expect(stuff(&vcpus[0], 3), true);
		expect(sim.log_lines, 1);
		end_case();
		sim_reset();
	}
}

/*
 * Tables of two containers, with the same entry numbers
 */

static struct tce2_ddw other_ddw;
static struct tce2_window *windows[2];

static void begin_two(void)
{
	struct tce2_window_spec spec = { MIB(8), SHIFT, 1 };
	struct tce2_creation creation;

	begin(1, 3);
	joined = false;
	group[1] = platform_group(3);
	tce2_ddw_init(&other_ddw, &page_counts);
	expect(tce2_ddw_attach(&other_ddw, &group[1]->group), 0);
	expect(tce2_ddw_remove(&other_ddw, 0), 0);
	platform.no_flush = true;
	memory(UA, 64);
	windows[0] = only_window(MIB(8), 1);
	expect(tce2_ddw_create(&other_ddw, proc, &spec, &creation), 0);
	expect(tce2_ddw_publish(&other_ddw, &creation), 0);
	windows[1] = other_ddw.window[0];
	for (unsigned int i = 0; i < VCPUS; i++)
		vcpu_init(&vcpus[i], sim.mm);
	sim.charge_moves = true;
	for (unsigned int i = 0; i < 2; i++) {
		iommu_tce_table_get(windows[i]->table.tbl);
		expect(map(windows[i], 0, 0, 1, RW), 0);
	}
	tce2_cache_mirror(proc);
}

static void in_table(unsigned int i)
{
	window = windows[i];
	table = window->table.tbl;
}

static void end_two(void)
{
	struct iommu_table *tbl[2];

	for (unsigned int i = 0; i < 2; i++) {
		in_table(i);
		tbl[i] = table;
		expect_in_step(window, 2 * LEAF);
		expect(unmap(window, 0, window->size >> SHIFT), 0);
	}
	window = NULL;
	expect(platform.held, 0);
	kernel_list_expect_counts(NULL);
	tce2_ddw_destroy(&other_ddw);
	expect(tce2_ddw_remove(&ddw, 0), 0);
	for (unsigned int i = 0; i < 2; i++)
		iommu_tce_table_put(tbl[i]);
	sim_run_work();
	finish();
	sim_grace_period();
}

/* Each table gets two successive mappings, because the second mapping takes the fast path */
TEST(thread_that_maps_in_two_tables_changes_the_right_entries)
{
	begin_two();
	for (u64 n = 2; n < 10; n++) {
		in_table(n / 2 % 2);
		expect(put(&vcpus[0], n, UA + IOVA(n)), true);
	}
	for (u64 n = 2; n < 10; n++) {
		for (unsigned int i = 0; i < 2; i++) {
			in_table(i);
			expect(peek(n),
			       n / 2 % 2 == i ? (UA + IOVA(n)) | RW : 0);
		}
	}
	expect(sim.log_lines, 0);
	end_two();
}

/* If KVM has stored the user address, the first table's mapping is committed */
TEST(changing_the_table_inside_a_mapping_triggers_the_tripwire)
{
	static const enum kvm_step steps[] = { KVM_NOTE, KVM_BEGIN,
					       KVM_COMMIT };

	for (unsigned int i = 0; i < 2 * ARRAY_SIZE(steps); i++) {
		enum kvm_step step = steps[i / 2];
		bool stored = step != KVM_NOTE;

		begin_two();
		in_table(0);
		if (i % 2) {
			expect(put(&vcpus[0], 1, UA), true);
			expect(put(&vcpus[0], 2, UA), true);
		}
		put_to(&vcpus[0], 3, UA + IOVA(3),
		       stored ? KVM_COMMIT : KVM_NOTE);
		in_table(1);
		vcpus[0].tbl = table;
		vcpus[0].step = step;
		/* Continue as if the guest's page had several IOMMU pages */
		vcpus[0].subpage = step == KVM_BEGIN;
		expect(vcpu_finish(&vcpus[0]), step != KVM_BEGIN);
		expect(sim.log_lines, 1);
		/* KVM stored no user address, so the hooks could not decrement KVM's count */
		if (!stored)
			tce2_mirror_drop(sim.mm, UA + IOVA(3), SHIFT);
		for (unsigned int k = 0; k < 2; k++) {
			in_table(k);
			expect(peek(3), !k && stored ? (UA + IOVA(3)) | RW : 0);
			expect(peek(4), 0);
			expect(put(&vcpus[1], 5, UA), k);
		}
		end_two();
		sim_reset();
	}
}

/* The entry numbers of the second window do not begin with 0 */
TEST_F(guest_table, kvm_maps_and_invalidates_in_the_second_window)
{
	struct iommu_table *second;
	u64 start;

	expect(create(MIB(8), SHIFT, 1, &start), 0);
	expect(start > 0, true);
	window = ddw.window[1];
	second = window->table.tbl;
	table = iommu_tce_table_get(second);
	expect(map(window, 0, 0, 1, RW), 0);
	for (u64 n = 3; n < 6; n++) {
		platform_forget_events();
		expect(put(&vcpus[0], n, ua_of(B, n)), true);
		expect(peek(n), ua_of(B, n) | RW);
		expect(killed(n, 1), true);
	}
	expect_in_step(window, 16);
	expect(unmap(window, 0, window->size >> SHIFT), 0);
	expect(tce2_ddw_remove(&ddw, start), 0);
	iommu_tce_table_put(second);
	sim_run_work();
	window = ddw.window[0];
	table = window->table.tbl;
}

extern const struct kernel_param sim_parameter_kvm, sim_parameter_kvm_windows;

static void set_mode(const char *mode, int want)
{
	expect(sim_parameter_kvm.ops->set(mode, &sim_parameter_kvm), want);
}

TEST(unmap_only_mode_declines_every_mapping)
{
	char *text = malloc(PAGE_SIZE);

	begin_case();
	set_mode("unmap-only\n", 0);
	expect(put(&vcpus[0], 3, ua_of(B, 7)), false);
	expect(map(window, 3, 0, 1, RW), 0);
	expect(stuff(&vcpus[0], 3), true);
	sim_parameter_kvm.ops->get(text, &sim_parameter_kvm);
	expect(strcmp(text, "unmap-only\n"), 0);
	set_mode("off", -EINVAL);
	set_mode("on", 0);
	expect(put(&vcpus[0], 3, ua_of(B, 7)), true);
	free(text);
	end_case();
}

TEST(kvms_first_map_and_each_declined_map_are_traced)
{
	char want[100];

	begin_case();
	sim_trace(true);
	expect(put(&vcpus[0], 3, ua_of(B, 7)), true);
	expect(put(&vcpus[0], 3, ua_of(B, 7)), true);
	snprintf(want, sizeof(want), "kvm_attach %llx %llx\n", window->start, window->size);
	expect(strcmp(sim_events, want), 0);
	sim_trace(true);
	set_mode("unmap-only\n", 0);
	expect(put(&vcpus[0], 3, ua_of(B, 7)), false);
	snprintf(want, sizeof(want), "kvm_fallback %llx %llx\n", window->start,
		 window->start + IOVA(3));
	expect(strcmp(sim_events, want), 0);
	set_mode("on", 0);
	sim_trace(false);
	end_case();
}

static bool switched_off;

static void switch_off(void)
{
	set_mode("unmap-only", 0);
	switched_off = true;
}

TEST(unmap_only_mode_set_during_a_mapping_applies_to_the_next_mapping)
{
	unsigned int nth = 0;

	do {
		begin_case();
		expect(put(&vcpus[0], 3, ua_of(B, 7)), true);
		switched_off = false;
		sim_when(SIM_AT_READ, ++nth, switch_off);
		put(&vcpus[0], 4, ua_of(B, 8));
		sim_when(SIM_AT_READ, 0, NULL);
		expect(put(&vcpus[0], 5, ua_of(B, 9)), !switched_off);
		set_mode("on", 0);
		end_case();
		sim_reset();
	} while (switched_off);
	expect(nth > 10, true);
}

static u64 mapping_windows(void)
{
	const struct kernel_param *parameter = &sim_parameter_kvm_windows;
	char *text = malloc(PAGE_SIZE);
	u64 n;

	parameter->ops->get(text, parameter);
	n = strtoull(text, NULL, 0);
	free(text);
	return n;
}

/* Each window is counted once, even if an unmap has set @hooked before the first mapping */
TEST(windows_that_kvm_maps_in_are_counted)
{
	begin_case();
	/* The unmap sets @hooked, and the map request makes an array */
	expect(window->serves_pages, true);
	expect(stuff(&vcpus[0], 3), true);
	/* Brief requests do not lock leaves any more */
	expect(window->serves_pages, false);
	expect(map(window, 8, 5, 1, RW), 0);
	expect(mapping_windows(), 0);
	expect(put(&vcpus[0], 3, ua_of(B, 7)), true);
	expect(mapping_windows(), 1);
	expect(put(&vcpus[1], LEAF + 3, ua_of(B, 7)), true);
	expect(mapping_windows(), 1);
	end_case();
	expect(mapping_windows(), 0);
}

TEST_F(guest_table, unmap_within_a_run_without_memory_is_too_hard)
{
	expect(unmap(window, LEAF, LEAF / 2), 0);
	expect(map(window, LEAF + 8, 0, 16, RW), 0);
	sim_fail(SIM_ALLOC, 1);
	expect(stuff(&vcpus[0], LEAF + 10), false);
	expect(peek(LEAF + 10), (UA + IOVA(2)) | RW);
	expect(stuff(&vcpus[0], LEAF + 10), true);
	expect(peek(LEAF + 9), (UA + IOVA(1)) | RW);
	expect(peek(LEAF + 10), 0);
}

TEST(hooks_that_begin_during_a_request_decline)
{
	struct tce2_range range;

	begin_episode(1);
	tce2_cache_mirror(proc);
	expect(tce2_range_lock(&window->ranges, &range, 0, LEAF), 0);
	/* The first hook must lock the whole view, to set @hooked */
	expect(put(&vcpus[0], LEAF + 3, ua_of(B, 7)), false);
	expect(stuff(&vcpus[0], LEAF), false);
	expect(peek(LEAF), UA | RW);
	tce2_range_unlock(&window->ranges, &range);
	expect(put(&vcpus[0], LEAF + 3, ua_of(B, 7)), true);
	expect(tce2_range_lock(&window->ranges, &range, 2 * LEAF, LEAF), 0);
	expect(put(&vcpus[0], 2 * LEAF + 3, ua_of(B, 7)), false);
	expect(put(&vcpus[0], LEAF + 4, ua_of(B, 7)), true);
	tce2_range_unlock(&window->ranges, &range);
	end_case();
}

/* The address of a thread's task_struct selects its bracket, so threads may share a bracket */
TEST_F(guest_table, virtual_cpus_with_the_same_bracket_exclude_each_other)
{
	/* There are 256 brackets, so some of the virtual CPUs share a bracket with the first one */
	static struct {
		struct vcpu vcpu ____cacheline_aligned_in_smp;
	} many[2000];
	unsigned int other = 1, collides = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(many); i++)
		vcpu_init(&many[i].vcpu, sim.mm);
	put_to(&many[0].vcpu, 3, ua_of(B, 7), KVM_COMMIT);
	for (; other < ARRAY_SIZE(many); other++) {
		if (put(&many[other].vcpu, LEAF + 3, ua_of(A, 7)))
			continue;
		collides++;
		/* Unmapping takes no bracket */
		expect(stuff(&many[other].vcpu, LEAF + 3), true);
	}
	expect(!collides, false);
	expect(vcpu_finish(&many[0].vcpu), true);
	expect(peek(3), ua_of(B, 7) | RW);
}

/* Slabs are as large as a 64K page, and each has the same offsets of task structures */
TEST_F(guest_table, virtual_cpus_of_different_slabs_seldom_share_a_bracket)
{
	enum { SLABS = 64, SLAB = 0x10000, IN_SLAB = 6, TASK = 9856 };
	static char slabs[SLABS][SLAB] __attribute__((aligned(SLAB)));
	struct vcpu *first = (struct vcpu *)slabs[0];
	unsigned int collides = 0;

	vcpu_init(first, sim.mm);
	put_to(first, 3, ua_of(B, 7), KVM_COMMIT);
	for (int i = 1; i < SLABS * IN_SLAB; i++) {
		struct vcpu *vcpu = (void *)&slabs[i / IN_SLAB][i % IN_SLAB * TASK];

		vcpu_init(vcpu, sim.mm);
		if (put(vcpu, LEAF + 3, ua_of(A, 7)))
			continue;
		collides++;
		/* Unmapping takes no bracket */
		expect(stuff(vcpu, LEAF + 3), true);
	}
	/* 383 virtual CPUs and 256 brackets: 1.5 on average */
	expect(collides <= 6, true);
	expect(vcpu_finish(first), true);
}

/*
 * Other platforms and page sizes
 */

static void begin_other(u64 size, u32 shift, u32 max_levels)
{
	u64 start;

	begin(1, max_levels);
	joined = false;
	expect(tce2_ddw_remove(&ddw, 0), 0);
	platform.no_flush = true;
	expect(create(size, shift, 1, &start), 0);
	window = ddw.window[0];
	table = window->table.tbl;
	entries = window->size >> shift;
	for (unsigned int i = 0; i < VCPUS; i++)
		vcpu_init(&vcpus[i], sim.mm);
	attach_kvm();
	sim.charge_moves = true;
}

static void end_other(void)
{
	finish_calls();
	expect_kvms_counts();
	expect(tce2_window_unmap(window, window->start, window->size, TCE2_STAYS), 0);
	expect(tce2_ddw_remove(&ddw, 0), 0);
	window = NULL;
	detach_kvm();
	finish();
}

TEST(kvm_maps_no_large_iommu_page_if_a_mirror_has_smaller_pages)
{
	const unsigned int shift = PAGE_SHIFT + 4;

	begin_other(GIB(1), PAGE_SHIFT == 12 ? 16 : 24, 3);
	/* These 240 pages begin at frame 16, so the next region begins at the aligned frame 256 */
	memory(UA + GIB(1), 240);
	memory(UA, 1 << (window->page_shift - PAGE_SHIFT) << 2);
	expect(tce2_window_map(window, REQUEST(0, UA, 1ULL << window->page_shift, RW),
			       TCE2_STAYS),
	       0);
	tce2_cache_mirror(proc);
	expect(kernel_list_regions(), 2);
	/* KVM does not validate a TCE without permission */
	vcpu_call(&vcpus[0], KVM_INDIRECT, table, 0, 1, 1);
	vcpus[0].tce[0] = (struct kvm_tce){ UA, DMA_NONE };
	expect(vcpu_finish(&vcpus[0]), false);
	expect(put(&vcpus[0], 1, UA + (1ULL << shift)), false);
	expect(stuff(&vcpus[0], 0), true);
	end_other();
}

TEST(hugepages_are_mapped_by_kvm_in_one_entry_each)
{
	begin_other(GIB(1), 24, 3);
	sim.hugetlb = true;
	large_memory(MIB(64));
	expect(tce2_window_map(window, REQUEST(0, UA, MIB(16), RW), TCE2_STAYS), 0);
	tce2_cache_mirror(proc);
	expect(put(&vcpus[0], 1, UA + MIB(32)), true);
	expect(view_at(window, 1), (UA + MIB(32)) | RW);
	expect(!platform_tce(table, 1), false);
	expect(stuff(&vcpus[0], 0), true);
	end_other();
}

/* A kernel defect: its list treats the base pages as huge (mm_iommu_do_alloc()) */
TEST(base_pages_after_a_hugepage_are_not_mapped_as_a_hugepage)
{
	begin_other(GIB(1), 24, 3);
	sim.hugetlb = true;
	sim.large_shift = 24;
	mixed_memory();
	expect(tce2_window_map(window, REQUEST(0, UA, MIB(16), RW), TCE2_STAYS), 0);
	expect(tce2_window_map(window, REQUEST(MIB(16), UA + MIB(16), MIB(16), RW),
			       TCE2_STAYS),
	       -EINVAL);
	tce2_cache_mirror(proc);
	put(&vcpus[0], 1, UA + MIB(16));
	expect(platform_tce(table, 1), 0);
	expect(view_at(window, 1), 0);
	end_other();
}

/* The kernel's list has one huge page, where the region has a block for each base page */
TEST(hugepage_of_many_blocks_is_marked_dirty_as_a_whole)
{
	begin_other(GIB(1), 24, 3);
	sim.hugetlb = true;
	sim.large_shift = 24;
	mixed_memory();
	expect(tce2_window_map(window, REQUEST(0, UA, MIB(16), TCE2_PERM_READ), TCE2_STAYS), 0);
	tce2_cache_mirror(proc);
	expect(put(&vcpus[0], 1, UA), true);
	expect(view_at(window, 1), UA | RW);
	end_other();
	expect(sim_frame(SIM_BIG + (MIB(8) >> PAGE_SHIFT))->dirtied > 0, true);
}

/* Regions are registered and unregistered after KVM has mapped hugepages */
TEST(kvm_maps_hugepages_while_all_mirrors_have_hugepages)
{
	struct tce2_region *region;
	u64 *pfn;

	/* The window has a whole leaf of entries */
	begin_other(GIB(8), 24, 3);
	sim.hugetlb = true;
	large_memory(MIB(64));
	expect(tce2_window_map(window, REQUEST(0, UA, MIB(16), RW), TCE2_STAYS), 0);
	tce2_cache_mirror(proc);
	expect(put(&vcpus[0], 1, UA + MIB(32)), true);
	pfn = sim_mmap(sim.mm, UA + GIB(1), MIB(16), 24, true);
	*pfn = SIM_BIG + (MIB(256) >> PAGE_SHIFT);
	expect(tce2_region_register(proc, UA + GIB(1), MIB(16), &region), 0);
	expect(put(&vcpus[0], 2, UA + GIB(1)), true);
	expect(stuff(&vcpus[0], 2), true);
	expect(tce2_region_unregister(region), 0);
	expect(put(&vcpus[0], 2, UA + MIB(16)), true);
	/* KVM does not validate a TCE without permission */
	memory(UA + GIB(2), MIB(16) >> PAGE_SHIFT);
	vcpu_call(&vcpus[0], KVM_INDIRECT, table, 0, 2, 1);
	vcpus[0].tce[0] = (struct kvm_tce){ UA + GIB(2), DMA_NONE };
	expect(vcpu_finish(&vcpus[0]), false);
	expect(put(&vcpus[0], 3, UA + MIB(32)), false);
	end_other();
}

static struct tce2_region *of_small_pages;

/* Registers memory, unless a hook is in an RCU section, for which the request would wait */
static void register_small_pages(void)
{
	if (!sim_readers())
		expect(tce2_region_register(proc, UA + GIB(2), MIB(16),
					    &of_small_pages),
		       0);
}

TEST(base_pages_registered_inside_begin_are_not_found)
{
	unsigned int registered = 0;

	for (unsigned int nth = 1; nth < 40; nth++) {
		begin_other(GIB(1), 24, 3);
		sim.hugetlb = true;
		large_memory(MIB(64));
		expect(tce2_window_map(window, REQUEST(0, UA, MIB(16), RW), TCE2_STAYS), 0);
		tce2_cache_mirror(proc);
		map_contiguous(UA + GIB(2), MIB(16) >> PAGE_SHIFT, 16, true);
		of_small_pages = NULL;
		/* KVM does not validate a TCE without permission */
		vcpu_call(&vcpus[0], KVM_INDIRECT, table, 0, 1, 1);
		vcpus[0].tce[0] = (struct kvm_tce){ UA + GIB(2), DMA_NONE };
		vcpu_run_to(&vcpus[0], KVM_BEGIN);
		sim_when(SIM_AT_READ, nth, register_small_pages);
		vcpu_step(&vcpus[0]);
		sim_when(SIM_AT_READ, 0, NULL);
		expect(vcpu_finish(&vcpus[0]), false);
		if (of_small_pages) {
			expect(tce2_region_unregister(of_small_pages), 0);
			registered++;
		}
		end_other();
		sim_grace_period();
		sim_reset();
	}
	expect(registered > 3, true);
}

/* The base pages are contiguous, but not aligned to the size of a hugepage */
TEST(base_pages_that_are_not_aligned_are_not_mapped_as_a_hugepage)
{
	struct tce2_region *region;
	u64 *pfn;

	begin_other(GIB(1), 24, 3);
	sim.hugetlb = true;
	sim.large_shift = 24;
	pfn = sim_mmap(sim.mm, UA, MIB(16), 24, true);
	*pfn = SIM_BIG;
	map_contiguous(UA + MIB(16), MIB(16) >> PAGE_SHIFT, 17, true);
	expect(tce2_region_register(proc, UA, MIB(32), &region), 0);
	expect(tce2_window_map(window, REQUEST(0, UA, MIB(16), RW), TCE2_STAYS), 0);
	tce2_cache_mirror(proc);
	put(&vcpus[0], 1, UA + MIB(16));
	expect(view_at(window, 1), 0);
	expect(platform_tce(table, 1), 0);
	expect(tce2_window_unmap(window, 0, MIB(16), TCE2_STAYS), 0);
	expect(tce2_region_unregister(region), 0);
	end_other();
}

/* Entries that the hypervisor has not cleared are ignored by the hooks */
TEST(hooks_change_no_entry_of_a_removed_window)
{
	platform_kind = PLATFORM_HYPERVISOR;
	begin_other(MIB(8), SHIFT, 1);
	memory(UA, 64);
	/* The first leaf has two runs, which need an array. The second leaf has one run. */
	expect(map(window, 0, 0, 1, RW), 0);
	expect(map(window, 2, 5, 1, RW), 0);
	expect(map(window, LEAF, 0, 1, RW), 0);
	platform_fail(PLATFORM_CLEAR, 1, 1U << 20);
	platform_fail(PLATFORM_XCHG, 1, 1U << 20);
	expect(tce2_ddw_remove(&ddw, 0), 0);
	window = NULL;
	expect(stuff(&vcpus[0], 0), true);
	expect(stuff(&vcpus[0], LEAF), true);
	expect(put(&vcpus[0], 4, UA), false);
	expect(platform.held, 3);
	detach_kvm();
	platform_fail_nothing();
	/* The module holds these pages permanently, so the test drops them */
	drop_pages(proc, UA, SHIFT, 1);
	drop_pages(proc, UA, SHIFT, 1);
	drop_pages(proc, UA + IOVA(5), SHIFT, 1);
	finish();
}

static void begin_levels(unsigned int levels, bool no_flush)
{
	begin(1, 3);
	joined = false;
	platform.no_flush = no_flush;
	window = only_window(levels > 1 ? MIB(64) : MIB(8), levels);
	table = window->table.tbl;
	entries = window->size >> SHIFT;
	for (unsigned int i = 0; i < VCPUS; i++)
		vcpu_init(&vcpus[i], sim.mm);
	attach_kvm();
	sim.charge_moves = true;
}

/* The hooks can't call flush(), so they could not invalidate */
TEST(kvm_does_not_map_where_invalidation_needs_a_flush)
{
	begin_levels(1, false);
	memory(UA, 64);
	expect(map(window, 0, 0, 1, RW), 0);
	tce2_cache_mirror(proc);
	expect(put(&vcpus[0], 3, UA), false);
	expect(put(&vcpus[0], 3, UA), false);
	expect(stuff(&vcpus[0], 0), true);
	end_other();
}

/* The entries of the page's second half have no lowest-level table yet */
TEST(guests_page_that_needs_a_missing_lower_table_is_too_hard)
{
	u64 half, made;

	begin_levels(2, true);
	half = table->it_level_size;
	memory(UA, (2 * half << SHIFT) >> PAGE_SHIFT);
	expect(map(window, 0, 0, 1, RW), 0);
	tce2_cache_mirror(proc);
	made = platform_made(table);
	vcpu_call(&vcpus[0], PUT, table, __builtin_ctzll(2 * half), 0, 1);
	vcpus[0].tce[0] = (struct kvm_tce){ UA, BIDI };
	expect(vcpu_finish(&vcpus[0]), false);
	platform_sync();
	expect(platform_mapped(table), 0);
	expect(platform_made(table), made);
	expect(put(&vcpus[0], half - 1, UA), true);
	expect(put(&vcpus[0], half, UA), false);
	end_other();
}

/* The window's leaf and its table in memory have more entries than the window */
TEST(kvm_can_not_map_after_the_end_of_a_small_window)
{
	begin_other(KIB(64), SHIFT, 3);
	memory(UA, 64);
	expect(map(window, 0, 0, 1, RW), 0);
	tce2_cache_mirror(proc);
	expect(put(&vcpus[0], 15, UA), true);
	expect(put(&vcpus[0], 16, UA), false);
	expect(put(&vcpus[0], LEAF + 1, UA), false);
	/* Map a guest's page that is larger than the window */
	vcpu_call(&vcpus[0], PUT, table, 5, 0, 1);
	vcpus[0].tce[0] = (struct kvm_tce){ UA, BIDI };
	expect(vcpu_finish(&vcpus[0]), false);
	expect(view_at(window, 15), 0);
	expect(put(&vcpus[0], 0, UA), true);
	expect(put(&vcpus[0], 15, UA), true);
	expect(stuff(&vcpus[0], 16), false);
	expect(stuff(&vcpus[0], LEAF + 1), false);
	platform_sync();
	expect(platform_mapped(table), 2);
	end_other();
}

TEST(kvm_unmaps_but_does_not_map_in_a_hypervisors_table)
{
	platform_kind = PLATFORM_HYPERVISOR;
	begin_other(MIB(8), 12, 1);
	memory(UA, 64);
	expect(tce2_window_map(window, REQUEST(0, UA, PAGE_SIZE, RW), TCE2_STAYS), 0);
	tce2_cache_mirror(proc);
	expect(put(&vcpus[0], 40, UA), false);
	platform_fail(PLATFORM_XCHG, 1, 1);
	expect(stuff(&vcpus[0], 0), false);
	platform_fail_nothing();
	expect(view_at(window, 0), UA | RW);
	expect(stuff(&vcpus[0], 0), true);
	expect(view_at(window, 0), 0);
	expect(platform_tce(table, 0), 0);
	end_other();
}

static void find_table(void)
{
	table = group[0]->tg.tables[0];
	if (table)
		attach_kvm();
}

/* A hypervisor's table can be found in its group as soon as it is made */
TEST(create_fails_if_kvm_finds_the_table_before_it_has_hooks)
{
	unsigned int created = 0, refused = 0;

	platform_kind = PLATFORM_HYPERVISOR;
	for (unsigned int nth = 1; nth < 12; nth++) {
		struct sim_counts before;
		u64 start;
		int ret;

		begin(1, 1);
		vcpu_init(&vcpus[0], sim.mm);
		expect(tce2_ddw_remove(&ddw, 0), 0);
		before = sim.now;
		table = NULL;
		sim_when(SIM_AT_WRITE, nth, find_table);
		ret = create(MIB(8), SHIFT, 1, &start);
		sim_when(SIM_AT_WRITE, 0, NULL);
		created += !ret;
		if (ret) {
			expect(ret, -EBUSY);
			refused++;
			expect(!ddw.window[0], true);
			/* KVM still calls the hooks until it puts the table */
			expect(put(&vcpus[0], 3, UA), false);
			expect(stuff(&vcpus[0], 3), true);
		}
		if (table)
			detach_kvm();
		if (ret)
			expect_counts(before);
		finish();
		sim_grace_period();
		sim_reset();
	}
	expect(refused > 0, true);
	expect(created > 0, true);
}
