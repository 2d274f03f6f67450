// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of src/debugfs.c: the records of each file, the escapes, and readers that stop
 * between two records while other threads change the containers.
 */
#include <stdlib.h>
#include <string.h>

#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/pid_namespace.h>
#include <linux/sched.h>
#include <linux/string.h>

#include "client.h"
#include "sim_observer.h"
#include "tce2_debugfs.h"
#include "tce2_kvm.h"
#include "tce2_why.h"

/* The text of a file is @want, where #I stands for the container's number, #P for the pid */
static void expect_file(const char *name, const char *want)
{
	char *text = NULL;
	const char *saw;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	fprintf(out, "vfio_spapr_tce2 %s 1\n", name);
	for (; *want; want++) {
		if (!strncmp(want, "#I", 2))
			fprintf(out, "%llu", container->id);
		else if (!strncmp(want, "#P", 2))
			fprintf(out, "%d", sim_tgid(current));
		else
			fputc(*want, out);
		want += *want == '#';
	}
	fclose(out);
	/* Reads of one record, and one read of the whole file */
	for (unsigned int records = 1; records <= 1000; records += 999) {
		saw = sim_cat(name, records);
		if (!saw || strcmp(saw, text))
			sim_bug("%s: expected\n%ssaw\n%s", name, text, saw ? saw : "nothing\n");
	}
	free(text);
}

/* The text of a file contains @part */
static void expect_in(const char *name, const char *part)
{
	const char *text = sim_cat(name, 1);

	if (!text || !strstr(text, part))
		sim_bug("%s: expected\n%s\nsaw\n%s", name, part, text ? text : "nothing");
}

static void begin_reading(unsigned int groups)
{
	begin_client(groups);
	sim_between_reads = NULL;
	sim_memlock = ~0UL;
	tce2_debugfs_init();
}

static void end_reading(void)
{
	tce2_debugfs_exit();
	expect(!sim_cat("containers", 1), true);
	end_client();
}

FIXTURE(reader);

FIXTURE_SETUP(reader)
{
	begin_reading(1);
}

FIXTURE_TEARDOWN(reader)
{
	end_reading();
}

static int map_at(u64 iova, u64 ua, u64 size, u64 perm)
{
	return tce2_container_map(container, REQUEST(iova, ua, size, perm));
}

TEST_F(reader, a_new_container_is_unbound_and_has_no_records)
{
	expect_file("containers",
		    "container=#I pid=#P comm=test state=unbound groups=1 windows=0 regions=0 charged=0 locked=0 limit=unlimited register=0 unregister=0 map=0 unmap=0 create=0 remove=0 refused=0 ranges=0 copy=0 pin=0 access=0 pinned=0 notified=0 rules=-\n");
	expect_file("groups", "container=#I group=0 devices=-\n");
	expect_file("windows", "");
	expect_file("regions", "");
	expect_file("mappings", "");
	expect_file("refusals", "");
}

static void be_called(const char *comm)
{
	snprintf(current->comm, sizeof(current->comm), "%s", comm);
	tce2_journal_own(&container->journal);
}

TEST_F(reader, names_are_escaped)
{
	group[0]->group.devices[0] = "0000:01:00.0";
	group[0]->group.devices[2] = "a=b,c\\d \033[2J\n\x7f\xff";
	expect_file("groups",
		    "container=#I group=0 devices=0000:01:00.0,a\\075b\\054c\\134d\\040\\033[2J\\012\\177\\377\n");
	be_called("x=1 y\033[0m\n");
	expect_in("containers", " comm=x\\0751\\040y\\033[0m\\012 state=");
	be_called("");
	expect_in("containers", " comm=- state=");
	be_called("test");
}

TEST(containers_and_groups_are_ordered_by_number)
{
	void *others[2];
	const char *text, *last = NULL;
	u64 id = 0;

	begin_reading(3);
	expect_in("groups", "group=0 devices=-\n");
	expect_in("groups", "group=1 devices=-\n");
	expect_in("groups", "group=2 devices=-\n");
	others[0] = tce2_container_open();
	others[1] = tce2_container_open();
	text = sim_cat("containers", 2);
	for (int i = 0; i < 3; i++) {
		u64 next;

		text = strstr(text, "\ncontainer=");
		expect(!text, false);
		next = atoi(text + strlen("\ncontainer="));
		expect(next > id, true);
		id = next;
		last = text++;
	}
	expect(!strstr(last + 1, "\ncontainer="), true);
	tce2_container_release(others[0]);
	tce2_container_release(others[1]);
	end_reading();
}

TEST_F(reader, a_container_shows_its_charges_and_limit)
{
	char want[400];

	sim_memlock = MIB(8);
	expect(tce2_container_register(container, UA, PAGES(4)), 0);
	expect(map_at(0, UA, PAGES(1), RW), 0);
	snprintf(want, sizeof(want),
		 "container=#I pid=#P comm=test state=bound groups=1 windows=1 regions=1 charged=%llu locked=%llu limit=%llu register=0 unregister=0 map=0 unmap=0 create=0 remove=0 refused=0 ranges=0 copy=0 pin=0 access=0 pinned=0 notified=0 rules=-\n",
		 PAGES(sim.mm->locked), PAGES(sim.mm->locked), MIB(8));
	expect_file("containers", want);
	sim_memlock = 0;
	expect_in("containers", " limit=- register=");
	sim_memlock = ~0UL;
	expect(tce2_container_unmap(container, 0, PAGES(1)), 0);
	expect(tce2_container_unregister(container, UA, PAGES(4)), 0);
	expect_in("containers", " regions=0 ");
}

/* Leaves 1 and 2 are full, and their mappings are adjacent in bus and user addresses */
TEST_F(reader, adjacent_mappings_are_one_record)
{
	const u64 leaf = 512ULL << 12;
	char want[400];

	map_contiguous(UA + GIB(1), (4 * leaf) >> PAGE_SHIFT, 4096, true);
	expect(tce2_container_register(container, UA + GIB(1), 4 * leaf), 0);
	expect(map_at(leaf, UA + GIB(1), 2 * leaf, RW), 0);
	expect(map_at(3 * leaf, UA + GIB(1) + 2 * leaf, PAGES(1), RW), 0);
	expect(map_at(3 * leaf + PAGES(1), UA + GIB(1) + 2 * leaf + PAGES(1),
		      PAGES(1), TCE2_PERM_READ), 0);
	expect(map_at(3 * leaf + PAGES(3), UA + GIB(1), PAGES(1), TCE2_PERM_WRITE),
	       0);
	snprintf(want, sizeof(want),
		 "container=#I slot=0 iova=0x%llx size=%llu ua=0x%llx perm=rw\n"
		 "container=#I slot=0 iova=0x%llx size=%llu ua=0x%llx perm=r\n"
		 "container=#I slot=0 iova=0x%llx size=%llu ua=0x%llx perm=w\n",
		 leaf, 2 * leaf + PAGES(1), UA + GIB(1),
		 3 * leaf + PAGES(1), PAGES(1), UA + GIB(1) + 2 * leaf + PAGES(1),
		 3 * leaf + PAGES(3), PAGES(1), UA + GIB(1));
	expect_file("mappings", want);
	expect_in("windows", " published=1 tracked=0\n");
}

/* A request that still runs has a reference to the container, which no reader finds */
TEST_F(reader, a_released_container_has_no_record)
{
	expect(tce2_container_register(container, UA, PAGES(4)), 0);
	expect(map_at(0, UA, PAGES(1), RW), 0);
	close_container();
	expect_file("containers", "");
	expect_file("groups", "");
	expect_file("windows", "");
	expect_file("regions", "");
	expect_file("mappings", "");
}

/* Mappings in many leaves, some with an array */
TEST_F(reader, many_mappings_are_all_shown)
{
	const u64 leaf = 512ULL << 12;
	unsigned int lines = 0;
	char want[100];

	expect(tce2_container_register(container, UA, PAGES(4)), 0);
	for (u64 i = 0; i < 300; i++)
		expect(map_at(i * leaf / 4, UA, PAGES(1), RW), 0);
	for (const char *c = sim_cat("mappings", 1); *c; c++)
		lines += *c == '\n';
	expect(lines, 301);
	snprintf(want, sizeof(want), " levels=1 mapped=%llu table=", 300 * PAGES(1) >> 12);
	expect_in("windows", want);
}

/* A request and VFIO hold all locks of a window and of its owner */
TEST_F(reader, mappings_are_read_without_a_lock)
{
	struct tce2_window *window;
	struct tce2_range range;

	expect(tce2_container_register(container, UA, PAGES(4)), 0);
	expect(map_at(0, UA, PAGES(1), RW), 0);
	expect(map_at(PAGES(2), UA, PAGES(1), RW), 0);
	window = container->ddw.window[0];
	down_write(&container->ddw.lock);
	expect(tce2_window_lock_leaves(window, &range, 0, 1, TCE2_STAYS), 0);
	expect_in("windows", " slot=0 start=0x0 ");
	expect_in("mappings", " iova=0x0 ");
	tce2_window_unlock_leaves(window, &range);
	up_write(&container->ddw.lock);
}

/* The reader must not show the mappings of two windows in one listing */
static void replace_the_window(void)
{
	const struct tce2_window_spec spec = { GIB(1), 12, 1 };
	struct tce2_creation creation;

	sim_between_reads = NULL;
	expect(tce2_container_remove_window(container, 0), 0);
	expect(tce2_container_create_window(container, &spec, &creation), 0);
	expect(creation.slot, 0);
	expect(tce2_container_publish_window(container, &creation), 0);
	expect(map_at(GIB(1) / 2, UA, PAGES(1), TCE2_PERM_READ), 0);
}

TEST_F(reader, the_listing_of_a_window_ends_when_another_window_replaces_it)
{
	const char *text;

	expect(tce2_container_register(container, UA, PAGES(4)), 0);
	for (u64 i = 0; i < 3; i++)
		expect(map_at(2 * i * MIB(4), UA, PAGES(1), RW), 0);
	sim_between_reads = replace_the_window;
	text = sim_cat("mappings", 2);
	expect(!strstr(text, " perm=rw\n"), false);
	expect(!strstr(text, " perm=r\n"), true);
	expect_in("mappings", " perm=r\n");
}

static void close_the_first_container(void)
{
	sim_between_reads = NULL;
	close_container();
}

/* The first leaf has many mappings, and its container is released while they are read */
TEST_F(reader, no_mapping_of_a_released_container_is_listed_under_the_next_one)
{
	void *other = tce2_container_open();
	struct tce2_container *next = tce2_container_get(other);
	char number[40];
	const char *text;

	snprintf(number, sizeof(number), "container=%llu ", next->id);
	expect(tce2_container_register(container, UA, PAGES(4)), 0);
	for (u64 i = 0; i < 3; i++)
		expect(map_at(2 * i * PAGES(1), UA, PAGES(1), RW), 0);
	sim_between_reads = close_the_first_container;
	text = sim_cat("mappings", 2);
	expect(!strstr(text, " perm=rw\n"), false);
	expect(!strstr(text, number), true);
	tce2_container_put(next);
	tce2_container_release(other);
}

static unsigned int changes;

static void replace_it_once(void)
{
	changes++;
	replace_the_window();
}

/* The record of a window has all of its mappings, or does not exist */
static void expect_a_whole_window(const char *text)
{
	char before[40], after[40];

	snprintf(before, sizeof(before), " mapped=%llu ", PAGES(4) >> 12);
	snprintf(after, sizeof(after), " mapped=%llu ", PAGES(1) >> 12);
	if (strstr(text, "\ncontainer=") && !strstr(text, before) && !strstr(text, after))
		sim_bug("saw\n%s", text);
}

/* The copy of a leaf, and the nodes, must outlive the window while the reader uses them */
TEST(a_window_may_be_replaced_at_any_moment_while_it_is_read)
{
	static const char *const names[] = { "windows", "mappings" };
	const char *text;

	for (unsigned int nth = 1; nth < 600; nth += nth < 16 ? 1 : 61) {
		for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
			begin_reading(1);
			expect(tce2_container_register(container, UA, PAGES(4)), 0);
			expect(map_at(0, UA, PAGES(1), RW), 0);
			expect(map_at(PAGES(2), UA, PAGES(1), RW), 0);
			expect(map_at(MIB(16), UA, PAGES(1), RW), 0);
			expect(map_at(MIB(32), UA, PAGES(1), RW), 0);
			sim_when(SIM_AT_READ, nth, replace_it_once);
			text = sim_cat(names[i], 1);
			if (!i)
				expect_a_whole_window(text);
			sim_when(SIM_AT_READ, 0, NULL);
			end_reading();
		}
	}
	expect(changes > 40, true);
}

/* Both changes retire the array of the leaf */
static bool fills;

static void unmap_or_fill_the_leaf(void)
{
	changes++;
	if (fills)
		expect(map_at(0, UA + GIB(1), MIB(2), RW), 0);
	else
		expect(tce2_container_unmap(container, 0, MIB(2)), 0);
}

TEST(an_array_may_be_freed_at_any_moment_while_it_is_read)
{
	char before[200], after[200];

	for (unsigned int nth = 1; nth < 600; nth += nth < 16 ? 1 : 61) {
		const char *text;

		fills = !fills;
		begin_reading(1);
		map_contiguous(UA + GIB(1), MIB(2) >> PAGE_SHIFT, 4096, true);
		expect(tce2_container_register(container, UA, PAGES(4)), 0);
		expect(tce2_container_register(container, UA + GIB(1), MIB(2)), 0);
		expect(map_at(0, UA, PAGES(1), RW), 0);
		expect(map_at(PAGES(2), UA, PAGES(2), RW), 0);
		sim_when(SIM_AT_READ, nth, unmap_or_fill_the_leaf);
		text = strchr(sim_cat("mappings", 100), '\n') + 1;
		sim_when(SIM_AT_READ, 0, NULL);
		/* All of the leaf before or after the change, because the change was atomic */
		snprintf(before, sizeof(before),
			 "container=%llu slot=0 iova=0x0 size=%lu ua=0x%llx perm=rw\n"
			 "container=%llu slot=0 iova=0x%llx size=%llu ua=0x%llx perm=rw\n",
			 container->id, PAGE_SIZE, UA, container->id, PAGES(2), PAGES(2), UA);
		snprintf(after, sizeof(after),
			 "container=%llu slot=0 iova=0x0 size=%llu ua=0x%llx perm=rw\n",
			 container->id, MIB(2), UA + GIB(1));
		if (strcmp(text, before) && strcmp(text, fills ? after : ""))
			sim_bug("%u: saw\n%s", nth, text);
		end_reading();
	}
	expect(changes > 20, true);
}

TEST_F(reader, a_window_shows_its_memory_and_its_users)
{
	const struct tce2_window_spec spec = { GIB(64), 16, 1 };
	struct tce2_creation creation;
	char want[400];
	u64 bytes;

	expect(tce2_container_create_window(container, &spec, &creation), 0);
	expect_in("windows",
		  "slot=1 start=0x800000000000000 size=68719476736 page=65536 levels=1 mapped=0 ");
	expect_in("windows", " view=0 kvm=0 published=0 tracked=0\n");
	expect(tce2_container_publish_window(container, &creation), 0);
	expect(tce2_container_register(container, UA, PAGES(64)), 0);
	bytes = sim.now.bytes;
	/* Two runs in one leaf need an array, and the last leaf needs more nodes */
	expect(map_at(creation.start, UA, KIB(64), RW), 0);
	expect(map_at(creation.start + KIB(128), UA, KIB(64), RW), 0);
	expect(map_at(creation.start + GIB(64) - KIB(64), UA, KIB(64), RW), 0);
	snprintf(want, sizeof(want), " mapped=3 table=%llu view=%llu kvm=2 published=1 tracked=0\n",
		 PAGES(container->ddw.window[1]->table.charge.pages),
		 sim.now.bytes - bytes);
	/* As if KVM had two references */
	tce2_kvm_expect(container->ddw.window[1]->kvm,
			platform_users(container->ddw.window[1]->table.tbl) - 2);
	expect_in("windows", want);
}

TEST_F(reader, a_region_shows_the_largest_page_that_it_can_back)
{
	const u64 at = UA + GIB(1), size = 4 * MIB(1);
	char want[600];

	map_contiguous(at, size >> PAGE_SHIFT, MIB(8) >> PAGE_SHIFT, true);
	map_contiguous(at + GIB(1), size >> PAGE_SHIFT,
		       (MIB(16) + MIB(1)) >> PAGE_SHIFT, true);
	expect(tce2_container_register(container, UA, PAGES(1)), 0);
	expect(tce2_container_register(container, at, size), 0);
	expect(tce2_container_register(container, at + GIB(1), size), 0);
	expect(map_at(0, at, PAGES(2), RW), 0);
	snprintf(want, sizeof(want),
		 "container=#I ua=0x%llx size=%lu extents=1 page=%lu used=0 mapped=0 readonly=0 mirrored=0\n"
		 "container=#I ua=0x%llx size=%llu extents=1 page=%llu used=0 mapped=%llu readonly=0 mirrored=0\n"
		 "container=#I ua=0x%llx size=%llu extents=1 page=%llu used=0 mapped=0 readonly=0 mirrored=0\n",
		 UA, PAGE_SIZE, PAGE_SIZE, at, size, MIB(4), PAGES(2) >> 12,
		 at + GIB(1), size, MIB(1));
	expect_file("regions", want);
}

TEST_F(reader, refusals_show_rule_process_and_age)
{
	sim_ns = 5000000;
	expect(tce2_journal_refuse(&container->journal, TCE2_REQUEST_MAP,
				   tce2_refuse(-EINVAL, TCE2_WHY_PAST_WINDOW)),
	       -EINVAL);
	sim_ns = 12500000;
	expect_file("refusals",
		    "container=#I seq=1 age=7 request=map errno=22 rule=past-window text=the\\040range\\040begins\\040in\\040a\\040window\\040and\\040reaches\\040past\\040its\\040end pid=#P comm=test released=0\n");
	close_container();
	tce2_container_put(container);
	expect_in("refusals", "rule=past-window");
	expect_in("refusals", " released=1\n");
	/* end_client() puts a container */
	cookie = tce2_container_open();
	container = tce2_container_get(cookie);
}

TEST_F(reader, a_container_shows_how_many_requests_each_rule_refused)
{
	for (int i = 0; i < 20; i++)
		tce2_journal_refuse(&container->journal, TCE2_REQUEST_MAP,
				    tce2_refuse(-EINVAL, TCE2_WHY_PAST_WINDOW));
	tce2_journal_refuse(&container->journal, TCE2_REQUEST_MAP, -ENOMEM);
	expect_in("containers", " refused=21 ");
	expect_in("containers", " rules=no-memory:1,past-window:20\n");
}

/* A number of the initial pid namespace may belong to any process of another one */
TEST_F(reader, the_pid_of_a_refusal_is_shown_in_the_initial_pid_namespace)
{
	static struct pid_namespace inner = { .level = 1 };
	char want[40];

	expect(tce2_journal_refuse(&container->journal, TCE2_REQUEST_MAP, -EINVAL),
	       -EINVAL);
	snprintf(want, sizeof(want), " pid=%d comm=test released=0\n", sim_tgid(current));
	expect_in("refusals", want);
	sim_pid_ns = &inner;
	expect_in("refusals", " pid=0 comm=test released=0\n");
	sim_pid_ns = &init_pid_ns;
}

static unsigned int parameter;

static int get_parameter(char *buffer, const struct kernel_param *param)
{
	return sysfs_emit(buffer, "a b %u\n", parameter);
}

TEST_F(reader, version_shows_the_module_and_its_parameters)
{
	static const struct kernel_param_ops ops = { .get = get_parameter };
	const struct kernel_param params[] = {
		{ &ops, NULL, "first" }, { &ops, NULL, "second" },
	};

	expect_file("version", "module=1.2 srcversion=0123456789ABCDEF\n");
	sim_module.kp = params;
	sim_module.num_kp = 2;
	parameter = 7;
	expect_file("version", "module=1.2 srcversion=0123456789ABCDEF\n"
		    "parameter=first value=a\\040b\\0407\n"
		    "parameter=second value=a\\040b\\0407\n");
	sim_module.num_kp = 0;
}

/* The thread that changes the container between two reads */
static void unregister_all(void)
{
	sim_between_reads = NULL;
	expect(tce2_container_unregister(container, UA, PAGES(1)), 0);
	expect(tce2_container_unregister(container, UA + PAGES(2), PAGES(1)), 0);
	expect(tce2_container_register(container, UA + PAGES(1), PAGES(1)), 0);
}

TEST_F(reader, a_record_that_disappears_does_not_hide_later_records)
{
	char want[40];

	expect(tce2_container_register(container, UA, PAGES(1)), 0);
	expect(tce2_container_register(container, UA + PAGES(2), PAGES(1)), 0);
	expect(tce2_container_register(container, UA + PAGES(4), PAGES(1)), 0);
	sim_between_reads = unregister_all;
	sim_cat("regions", 2);
	snprintf(want, sizeof(want), "ua=0x%llx ", UA + PAGES(4));
	expect(!strstr(sim_cat("regions", 2), want), false);
}

TEST_F(reader, a_fatal_signal_ends_the_walk_along_a_window)
{
	expect(tce2_container_register(container, UA, PAGES(1)), 0);
	expect(map_at(0, UA, PAGES(1), RW), 0);
	sim_fail(SIM_SIGNAL, 1);
	expect(!strstr(sim_cat("mappings", 1), "iova="), true);
	expect(sim.fired, true);
	sim_fail_nothing();
}

static void release_the_container(void)
{
	sim_between_reads = NULL;
	close_container();
}

TEST(a_reader_survives_the_release_of_its_container)
{
	static const char *const names[] = {
		"containers", "groups", "windows", "regions", "mappings", "refusals",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		row = names[i];
		begin_reading(1);
		expect(tce2_container_register(container, UA, PAGES(4)), 0);
		expect(map_at(0, UA, PAGES(1), RW), 0);
		sim_between_reads = release_the_container;
		expect(!strncmp(sim_cat(names[i], 1), "vfio_spapr_tce2 ", 16), true);
		end_reading();
	}
}
