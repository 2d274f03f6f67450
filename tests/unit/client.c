// SPDX-License-Identifier: GPL-2.0-only
/* A process with an open container, see client.h. */
#include <linux/mm.h>
#include <linux/sched.h>

#include "client.h"
#include "sim_eeh.h"

void *cookie;
struct tce2_container *container;

static struct task_struct other_task;
static struct mm_struct *first_mm;

void begin_client(unsigned int groups)
{
	platform_reset();
	eeh_reset();
	first_mm = sim_process();
	map_contiguous(UA, MEMORY_PAGES, 16, true);
	expect(tce2_container_init(), 0);
	cookie = tce2_container_open();
	expect(IS_ERR(cookie), false);
	for (unsigned int i = 0; i < MAX_GROUPS; i++)
		group[i] = NULL;
	container = tce2_container_get(cookie);
	expect(!container, false);
	for (unsigned int i = 0; i < groups; i++) {
		group[i] = platform_group(3);
		expect(tce2_container_attach(container, &group[i]->group), 0);
	}
}

void close_container(void)
{
	tce2_container_release(cookie);
	cookie = NULL;
}

void end_client(void)
{
	sim_fail_nothing();
	platform_fail_nothing();
	if (cookie)
		close_container();
	tce2_container_put(container);
	platform_expect_nothing_left();
	sim_grace_period();
	tce2_container_exit();
}

void be_another_process(void)
{
	struct mm_struct *mm = sim_process();

	/* sim_process() has given @mm to the test's own task: undo this */
	sim.mm = first_mm;
	sim_task_init(&other_task, mm);
	sim_switch_to(&other_task);
}

void be_first_process(void)
{
	sim_switch_to(NULL);
}

FIXTURE_SETUP(client)
{
	begin_client(1);
}

FIXTURE_TEARDOWN(client)
{
	end_client();
}
