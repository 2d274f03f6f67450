// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of src/why.c: the table of rules, and the refusals of open and released
 * containers. The tests send real requests, so they also test which rule each place names.
 */
#include <string.h>

#include <linux/cred.h>
#include <linux/ktime.h>
#include <linux/pid.h>
#include <linux/sched.h>
#include <linux/vfio.h>

#include "client.h"
#include "sim_user.h"
#include "tce2_uapi.h"
#include "tce2_why.h"

#define PAST_DEFAULT GIB(1) /* the first bus address after the default window */

/* Each function sends a request, and returns the result of the ioctl */

static long register_memory(u64 ua, u64 size)
{
	struct vfio_iommu_spapr_register_memory request = {
		.argsz = sizeof(request), .vaddr = ua, .size = size,
	};

	return tce2_uapi_ioctl(cookie, VFIO_IOMMU_SPAPR_REGISTER_MEMORY,
			       user_place(&request, sizeof(request)));
}

static long unregister_memory(u64 ua, u64 size)
{
	struct vfio_iommu_spapr_register_memory request = {
		.argsz = sizeof(request), .vaddr = ua, .size = size,
	};

	return tce2_uapi_ioctl(cookie, VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY,
			       user_place(&request, sizeof(request)));
}

static long map_memory(u64 iova, u64 ua, u64 size, u32 flags)
{
	struct vfio_iommu_type1_dma_map request = {
		.argsz = sizeof(request), .flags = flags, .vaddr = ua,
		.iova = iova, .size = size,
	};

	return tce2_uapi_ioctl(cookie, VFIO_IOMMU_MAP_DMA,
			       user_place(&request, sizeof(request)));
}

static long create_window(u32 page_shift, u64 size, u32 levels)
{
	struct vfio_iommu_spapr_tce_create request = {
		.argsz = sizeof(request), .page_shift = page_shift,
		.window_size = size, .levels = levels,
	};

	return tce2_uapi_ioctl(cookie, VFIO_IOMMU_SPAPR_TCE_CREATE,
			       user_place(&request, sizeof(request)));
}

static long remove_window(u64 start)
{
	struct vfio_iommu_spapr_tce_remove request = {
		.argsz = sizeof(request), .start_addr = start,
	};

	return tce2_uapi_ioctl(cookie, VFIO_IOMMU_SPAPR_TCE_REMOVE,
			       user_place(&request, sizeof(request)));
}

/* Checks that the newest refusal of the container has a rule, and that the client got @ret */
static void expect_refused(const char *name, long ret, enum tce2_request request,
			   int error, enum tce2_why why)
{
	u64 newest = tce2_journal_refused(&container->journal);
	struct tce2_refusal refusal;

	row = name;
	/* A bare errno: expect() would accept a refusal, too */
	expect(ret == -error, true);
	expect(tce2_journal_next(&container->journal, newest - 1, &refusal), true);
	expect(refusal.seq, newest);
	expect(refusal.request, request);
	expect(refusal.error, error);
	expect(refusal.why, why);
	row = NULL;
}

#define REFUSED(call, request, error, why)                           \
	expect_refused(#call, call, TCE2_REQUEST_##request, error, \
		       TCE2_WHY_##why)

TEST(each_rule_has_a_unique_name_and_a_text)
{
	for (unsigned int i = 0; i < TCE2_WHY_RULES; i++) {
		expect(strspn(tce2_why_name(i), "abcdefghijklmnopqrstuvwxyz-"),
		       strlen(tce2_why_name(i)));
		expect(strlen(tce2_why_name(i)) > 0, true);
		expect(strlen(tce2_why_text(i)) > 0, true);
		for (unsigned int k = 0; k < i; k++)
			expect(!strcmp(tce2_why_name(i), tce2_why_name(k)), false);
	}
	for (unsigned int i = 0; i < TCE2_REQUESTS; i++)
		expect(strlen(tce2_request_name(i)) > 0, true);
}

TEST(a_refusal_keeps_its_errno_and_its_rule)
{
	for (unsigned int why = 1; why < TCE2_WHY_RULES; why++) {
		int ret = tce2_refuse(-EINVAL, why);

		expect(ret < 0, true);
		expect(tce2_errno(ret) == -EINVAL, true);
		expect(tce2_why_of(ret), why);
		expect(tce2_refuse_unless_ruled(ret, TCE2_WHY_PLATFORM) == ret, true);
	}
	expect(tce2_errno(0), 0);
	expect(tce2_errno(7), 7);
	expect(tce2_refuse_unless_ruled(3, TCE2_WHY_PLATFORM), 3);
	expect(tce2_why_of(tce2_refuse_unless_ruled(-EBUSY, TCE2_WHY_PLATFORM)),
	       TCE2_WHY_PLATFORM);
	expect(tce2_why_of(tce2_refuse_unless_ruled(-EINTR, TCE2_WHY_PLATFORM)),
	       TCE2_WHY_SIGNAL);
	expect(tce2_why_of(-ENOMEM), TCE2_WHY_NO_MEMORY);
	expect(tce2_why_of(-EIO), TCE2_WHY_PLATFORM);
	expect(tce2_why_of(-EFAULT), TCE2_WHY_BAD_POINTER);
	expect(tce2_why_of(-EBUSY), TCE2_WHY_UNKNOWN);
	expect(tce2_why_of(-(1 << 30)), TCE2_WHY_UNKNOWN);
}

TEST_F(client, requests_about_memory_name_the_rule_that_refuses_them)
{
	REFUSED(map_memory(0, UA, PAGES(1), 3), MAP, EPERM, NOTHING_REGISTERED);
	REFUSED(register_memory(UA, 0), REGISTER, EINVAL, EMPTY);
	REFUSED(register_memory(UA + 1, PAGES(1)), REGISTER, EINVAL,
		MEMORY_MISALIGNED);
	REFUSED(register_memory(-PAGE_SIZE, PAGES(2)), REGISTER, EINVAL, WRAPS);
	REFUSED(register_memory(1ULL << 60, PAGES(1)), REGISTER, EFAULT,
		NOT_USER_MEMORY);
	REFUSED(register_memory(UA + PAGES(MEMORY_PAGES), PAGES(1)), REGISTER,
		EFAULT, NOT_MAPPED);
	expect(register_memory(UA, PAGES(4)), 0);
	REFUSED(register_memory(UA, PAGES(4)), REGISTER, EBUSY, ALREADY_REGISTERED);
	REFUSED(register_memory(UA, PAGES(2)), REGISTER, EINVAL, OVERLAPS);
	REFUSED(register_memory(UA + PAGES(1), PAGES(2)), REGISTER, EINVAL,
		OVERLAPS);
	REFUSED(unregister_memory(UA, PAGES(2)), UNREGISTER, ENOENT, NOT_REGISTERED);
	REFUSED(unregister_memory(UA + 1, PAGES(2)), UNREGISTER, EINVAL,
		MEMORY_MISALIGNED);
	sim_fail(SIM_CHARGE, 1);
	REFUSED(register_memory(UA + PAGES(8), PAGES(1)), REGISTER, ENOMEM, MEMLOCK);
	sim_fail(SIM_ALLOC, 1);
	REFUSED(register_memory(UA + PAGES(8), PAGES(1)), REGISTER, ENOMEM,
		NO_MEMORY);
	sim_fail_nothing();
	expect(map_memory(0, UA, PAGES(1), 3), 0);
	REFUSED(unregister_memory(UA, PAGES(4)), UNREGISTER, EBUSY, MEMORY_IN_USE);
}

TEST_F(client, map_requests_name_the_rule_that_refuses_them)
{
	expect(register_memory(UA, PAGES(4)), 0);
	REFUSED(map_memory(PAST_DEFAULT * 4, UA, PAGES(1), 3), MAP, ENXIO, NO_WINDOW);
	REFUSED(map_memory(0, UA, 0, 3), MAP, EINVAL, EMPTY);
	REFUSED(map_memory(0, -PAGES(1), PAGES(2), 3), MAP, EINVAL, WRAPS);
	REFUSED(map_memory(1, UA, PAGES(1), 3), MAP, EINVAL, MISALIGNED);
	REFUSED(map_memory(0, UA, TIB(4), 3), MAP, EINVAL, PAST_WINDOW);
	REFUSED(map_memory(0, UA, PAGES(1), 0), MAP, EINVAL, NO_PERMISSION);
	REFUSED(map_memory(0, UA, PAGES(1), 8), MAP, EINVAL, FLAGS);
	REFUSED(map_memory(0, UA, PAGES(5), 3), MAP, EINVAL, MEMORY_NOT_REGISTERED);
	be_another_process();
	REFUSED(map_memory(0, UA, PAGES(1), 3), MAP, EPERM, OTHER_PROCESS);
	be_first_process();
}

TEST_F(client, requests_about_windows_name_the_rule_that_refuses_them)
{
	REFUSED(create_window(13, MIB(64), 1), CREATE, EINVAL, PAGE_SIZE);
	REFUSED(create_window(16, MIB(64), 9), CREATE, EINVAL, LEVELS);
	REFUSED(create_window(16, MIB(65), 1), CREATE, EINVAL, WINDOW_SIZE);
	REFUSED(create_window(16, 1ULL << 62, 1), CREATE, EINVAL, WINDOW_TOO_LARGE);
	REFUSED(create_window(12, 1ULL << 46, 1), CREATE, ENOMEM, LEVEL_TOO_LARGE);
	REFUSED(remove_window(NOWHERE), REMOVE, EINVAL, NO_SUCH_WINDOW);
	sim_fail(SIM_CHARGE, 1);
	REFUSED(create_window(16, MIB(64), 1), CREATE, ENOMEM, MEMLOCK);
	sim_fail_nothing();
	expect(create_window(16, MIB(64), 1), 0);
	REFUSED(create_window(16, MIB(64), 1), CREATE, ENOSPC, NO_SLOT);
}

TEST(a_container_without_a_group_names_that_as_the_rule)
{
	begin_client(0);
	REFUSED(create_window(16, MIB(64), 1), CREATE, ENXIO, NO_GROUP);
	REFUSED(tce2_uapi_ioctl(cookie, 0x1234, 0), OTHER, ENOTTY, UNKNOWN_IOCTL);
	end_client();
}

TEST_F(client, the_newest_16_refusals_are_kept_with_their_time)
{
	struct tce2_refusal refusal;
	u64 seq = 0;

	for (u64 i = 1; i <= 20; i++) {
		sim_ns = i * 1000;
		expect(register_memory(UA, 0), -EINVAL);
	}
	expect(tce2_journal_refused(&container->journal), 20);
	for (u64 want = 5; want <= 20; want++) {
		expect(tce2_journal_next(&container->journal, seq, &refusal), true);
		expect(refusal.seq, want);
		expect(refusal.when, want * 1000);
		seq = refusal.seq;
	}
	expect(tce2_journal_next(&container->journal, seq, &refusal), false);
}

TEST_F(client, each_request_is_counted_refused_or_not)
{
	expect(register_memory(UA, PAGES(4)), 0);
	expect(register_memory(UA, 0), -EINVAL);
	expect(map_memory(0, UA, PAGES(1), 3), 0);
	expect(tce2_journal_requests(&container->journal, TCE2_REQUEST_REGISTER), 2);
	expect(tce2_journal_requests(&container->journal, TCE2_REQUEST_MAP), 1);
	expect(tce2_journal_requests(&container->journal, TCE2_REQUEST_UNMAP), 0);
	expect(tce2_journal_refused(&container->journal), 1);
	expect(tce2_journal_ruled(&container->journal, TCE2_WHY_EMPTY), 1);
	expect(tce2_journal_ruled(&container->journal, TCE2_WHY_MEMLOCK), 0);
}

/* No process pays for the counts, and a client can open containers without end */
TEST_F(client, the_counts_are_freed_before_the_grace_period)
{
	struct tce2_counts *counts = container->journal.counts;
	u64 bytes = sim.now.bytes;
	void *other = tce2_container_open();

	expect(counts == container->journal.counts, true);
	tce2_container_release(other);
	/* Only the structure itself waits for the grace period */
	expect(sim.now.bytes, bytes + sizeof(*container));
	sim_grace_period();
	expect(sim.now.bytes, bytes);
}

/* Opens a container, sends @times requests that are refused, and closes the container */
static u64 refuse_in_another_container(unsigned int times)
{
	struct tce2_container *first = container;
	void *first_cookie = cookie;
	u64 id;

	cookie = tce2_container_open();
	container = tce2_container_get(cookie);
	id = container->id;
	while (times--)
		expect(create_window(16, MIB(64), 1), -ENXIO);
	tce2_container_release(cookie);
	tce2_container_put(container);
	sim_grace_period();
	container = first;
	cookie = first_cookie;
	return id;
}

TEST(refusals_outlive_their_container)
{
	struct tce2_old_refusal old;
	u64 seq = 0, id = 0;

	begin_client(1);
	for (unsigned int i = 0; i <= TCE2_OLD_REFUSALS; i++)
		id = refuse_in_another_container(1);
	for (unsigned int i = 0; i < TCE2_OLD_REFUSALS; i++) {
		expect(tce2_journal_next_old(seq, &old), true);
		expect(old.seq, i + 2);
		expect(old.refusal.seq, 1);
		expect(old.refusal.why, TCE2_WHY_NO_GROUP);
		expect(old.refusal.pid, sim_tgid(current));
		expect(strcmp(old.refusal.comm, "test"), 0);
		seq = old.seq;
	}
	expect(old.container, id);
	expect(tce2_journal_next_old(seq, &old), false);
	end_client();
	expect(sim_pid_refs, 0);
	expect(tce2_journal_next_old(0, &old), false);
}

TEST_F(client, one_container_keeps_4_refusals_after_its_release)
{
	struct tce2_old_refusal old = {};
	u64 other, id;

	other = refuse_in_another_container(1);
	id = refuse_in_another_container(TCE2_REFUSALS + 3);
	expect(tce2_journal_next_old(old.seq, &old), true);
	expect(old.container, other);
	for (u64 i = 0; i < 4; i++) {
		expect(tce2_journal_next_old(old.seq, &old), true);
		expect(old.container, id);
		expect(old.refusal.seq, TCE2_REFUSALS + i);
	}
	expect(tce2_journal_next_old(old.seq, &old), false);
	id = refuse_in_another_container(2);
	expect(tce2_journal_next_old(old.seq, &old), true);
	expect(old.container, id);
	expect(old.refusal.seq, 1);
}

/* A client with many containers replaces its own refusals, not refusals of other users */
TEST_F(client, a_user_with_many_old_refusals_replaces_no_refusal_of_another_user)
{
	struct tce2_old_refusal old = {};
	u64 first, others = 0, ours = 0;

	sim_user.val = 7;
	first = refuse_in_another_container(1);
	sim_user.val = 8;
	for (unsigned int i = 0; i < TCE2_OLD_REFUSALS; i++)
		refuse_in_another_container(TCE2_OLD_OF_ONE);
	expect(tce2_journal_next_old(0, &old), true);
	expect(old.container, first);
	/* Each of two users gets half of the places, whatever the order of their refusals is */
	for (sim_user.val = 7; sim_user.val <= 8; sim_user.val++) {
		for (unsigned int i = 0; i < TCE2_OLD_REFUSALS; i++)
			refuse_in_another_container(1);
	}
	for (old.seq = 0; tce2_journal_next_old(old.seq, &old);) {
		others += old.user.val == 7;
		ours += old.user.val == 8;
	}
	expect(others, TCE2_OLD_REFUSALS / 2);
	expect(ours, TCE2_OLD_REFUSALS / 2);
	sim_user.val = 0;
}

/* The user is known after the release, when the container has no owner */
TEST_F(client, an_old_refusal_has_the_user_of_the_bound_process)
{
	struct tce2_old_refusal old;

	sim_user.val = 9;
	expect(register_memory(UA, PAGES(4)), 0);
	sim_user.val = 10;
	REFUSED(register_memory(UA, PAGES(4)), REGISTER, EBUSY, ALREADY_REGISTERED);
	close_container();
	tce2_container_put(container);
	sim_grace_period();
	expect(tce2_journal_next_old(0, &old), true);
	expect(old.user.val, 9);
	sim_user.val = 0;
	/* end_client() puts a container */
	cookie = tce2_container_open();
	container = tce2_container_get(cookie);
}

/* The references to pids and pid namespaces end with the container */
TEST_F(client, a_released_container_has_no_reference_to_a_pid)
{
	refuse_in_another_container(3);
	expect(sim_pid_refs, 1);
	/* The request that still runs keeps the container, but not its owner's pid */
	close_container();
	expect(sim_pid_refs, 0);
	tce2_journal_own(&container->journal);
	expect(sim_pid_refs, 1);
	tce2_container_put(container);
	expect(sim_pid_refs, 0);
	/* end_client() puts a container */
	cookie = tce2_container_open();
	container = tce2_container_get(cookie);
}

TEST_F(client, a_refusal_names_the_process_that_sent_the_request)
{
	struct tce2_refusal refusal;
	int owner = sim_tgid(current), caller;

	expect(register_memory(UA, PAGES(1)), 0);
	be_another_process();
	memcpy(current->comm, "stranger", sizeof("stranger"));
	caller = sim_tgid(current);
	REFUSED(map_memory(0, UA, PAGES(1), 3), MAP, EPERM, OTHER_PROCESS);
	be_first_process();
	REFUSED(register_memory(UA, PAGES(1)), REGISTER, EBUSY, ALREADY_REGISTERED);
	expect(tce2_journal_next(&container->journal, 0, &refusal), true);
	expect(caller == owner, false);
	expect(refusal.pid, caller);
	expect(strcmp(refusal.comm, "stranger"), 0);
	expect(tce2_journal_next(&container->journal, 1, &refusal), true);
	expect(refusal.pid, owner);
	expect(strcmp(refusal.comm, "test"), 0);
}

TEST_F(client, binding_a_container_changes_its_owner)
{
	struct tce2_owner opener, owner;

	tce2_journal_owner(&container->journal, &opener);
	be_another_process();
	memcpy(current->comm, "bind me", sizeof("bind me"));
	expect(create_window(13, MIB(64), 1), -EINVAL);
	be_first_process();
	tce2_journal_owner(&container->journal, &owner);
	expect(owner.pid->nr == opener.pid->nr, false);
	expect(strcmp(owner.comm, "bind me"), 0);
	put_pid(opener.pid);
	put_pid(owner.pid);
}
