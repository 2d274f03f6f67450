// SPDX-License-Identifier: GPL-2.0-only
/*
 * Conformance: EEH_PE_OP, enhanced error handling. The tests check that the backend
 * passes a request to the platform, or refuses it. They accept most answers of the
 * platform, because the emulated platform has no frozen state.
 */
#define _GNU_SOURCE
#include "conformance.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define OP_FULL		12	/* bytes up to the end of op, without padding */
#define INJECT_FULL	sizeof(struct vfio_eeh_pe_op)

#define BAD_OP		10
#define BAD_ERR_TYPE	99
#define BAD_ERR_FUNC	20

static void need_eeh(void)
{
	if (!eeh_is_enabled())
		skip("EEH is not enabled on this machine");
}

TEST(the_eeh_state_of_a_working_device_is_normal)
{
	need_eeh();
	expect(eeh_op(v->fd, VFIO_EEH_PE_GET_STATE), VFIO_EEH_PE_STATE_NORMAL);
}

TEST(the_eeh_state_of_two_groups_is_normal, .setup = TWO_GROUPS)
{
	need_eeh();
	expect(eeh_op(v->fd, VFIO_EEH_PE_GET_STATE), VFIO_EEH_PE_STATE_NORMAL);
}

TEST(eeh_needs_no_memory_and_no_window)
{
	need_eeh();
	expect(window_remove(v->fd, 0), 0);
	expect(eeh_op(v->fd, VFIO_EEH_PE_GET_STATE), VFIO_EEH_PE_STATE_NORMAL);
}

TEST(eeh_disable_and_enable_succeed)
{
	need_eeh();
	expect(eeh_op(v->fd, VFIO_EEH_PE_DISABLE), 0);
	expect(eeh_op(v->fd, VFIO_EEH_PE_ENABLE), 0);
}

/* Check that the backend has passed a request to the platform */
static void expect_arrived(const char *op, int ret)
{
	if (ret == -EINVAL || ret == -ENOTTY || ret == -EFAULT ||
	    ret == -EPERM || ret == -ENODEV)
		fail("%s: expected the platform's answer, saw %d", op, ret);
}

TEST(eeh_unfreeze_requests_reach_the_platform)
{
	need_eeh();
	expect_arrived("UNFREEZE_IO", eeh_op(v->fd, VFIO_EEH_PE_UNFREEZE_IO));
	expect_arrived("UNFREEZE_DMA", eeh_op(v->fd, VFIO_EEH_PE_UNFREEZE_DMA));
}

struct op_row {
	const char *row;
	uint32_t argsz;
	uint32_t flags;
	uint32_t op;
	int want;
};

TEST(bad_eeh_requests_are_refused)
{
	static const struct op_row rows[] = {
		{ "argsz 0", 0, 0, VFIO_EEH_PE_GET_STATE, -EINVAL },
		{ "argsz one short", OP_FULL - 1, 0, VFIO_EEH_PE_GET_STATE,
		  -EINVAL },
		{ "flag 0", INJECT_FULL, 1, VFIO_EEH_PE_GET_STATE, -EINVAL },
		{ "all flags", INJECT_FULL, ~0U, VFIO_EEH_PE_GET_STATE,
		  -EINVAL },
		{ "first unknown op", INJECT_FULL, 0, BAD_OP, -EINVAL },
		{ "op 2^31", INJECT_FULL, 0, 1U << 31, -EINVAL },
		{ "op 2^32 - 1", INJECT_FULL, 0, ~0U, -EINVAL },
		{ "injection without its argument", OP_FULL, 0,
		  VFIO_EEH_PE_INJECT_ERR, -EINVAL },
		{ "injection one short", INJECT_FULL - 1, 0,
		  VFIO_EEH_PE_INJECT_ERR, -EINVAL },
		{ "argsz just enough", OP_FULL, 0, VFIO_EEH_PE_GET_STATE, 0 },
		{ "argsz huge", ~0U, 0, VFIO_EEH_PE_GET_STATE, 0 },
	};
	bool ok = true;

	need_eeh();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct vfio_eeh_pe_op op = {
			.argsz = rows[i].argsz,
			.flags = rows[i].flags,
			.op = rows[i].op,
		};

		ok &= row_is(rows[i].row, call(v->fd, VFIO_EEH_PE_OP, &op),
			     rows[i].want);
	}
	expect_bad_pointers_fault(v->fd, VFIO_EEH_PE_OP);
	if (!ok)
		fail("requests returned unexpected answers, see above");
}

TEST(eeh_reads_only_the_short_struct_unless_it_injects)
{
	struct vfio_eeh_pe_op op = {
		.argsz = ~0U,
		.op = VFIO_EEH_PE_GET_STATE,
	}, injection = {
		.argsz = ~0U,
		.op = VFIO_EEH_PE_INJECT_ERR,
	};

	need_eeh();
	expect(call(v->fd, VFIO_EEH_PE_OP, at_page_end(&op, OP_FULL)), 0);
	expect(call(v->fd, VFIO_EEH_PE_OP, at_page_end(&injection, OP_FULL)),
	       -EFAULT);
}

static int inject(struct vfio *v, uint32_t type, uint32_t func)
{
	struct vfio_eeh_pe_op op = {
		.argsz = sizeof(op),
		.op = VFIO_EEH_PE_INJECT_ERR,
		.err = { .type = type, .func = func },
	};

	return call(v->fd, VFIO_EEH_PE_OP, &op);
}

TEST(injecting_an_unknown_error_is_refused_by_the_platform)
{
	need_eeh();
	expect(inject(v, 0, BAD_ERR_FUNC), -EINVAL);
	expect(inject(v, 0, ~0U), -EINVAL);
	expect(inject(v, BAD_ERR_TYPE, 0), -ERANGE);
}

/* Address and mask are 0, so the error hits no address that the device uses */
TEST(eeh_error_injection_reaches_the_platform)
{
	need_eeh();
	expect_arrived("INJECT_ERR", inject(v, 0, 0));
}

/* Make a client's recovery requests in the client's order; the device must then work */
TEST(a_reset_device_can_be_used_again)
{
	uint8_t *ua = mapped(v, IOVA, base_page());

	need_eeh();
	device(v, 0);
	expect_arrived("RESET_HOT", eeh_op(v->fd, VFIO_EEH_PE_RESET_HOT));
	expect_arrived("RESET_DEACTIVATE",
		       eeh_op(v->fd, VFIO_EEH_PE_RESET_DEACTIVATE));
	expect_arrived("CONFIGURE", eeh_op(v->fd, VFIO_EEH_PE_CONFIGURE));
	expect(eeh_op(v->fd, VFIO_EEH_PE_GET_STATE), VFIO_EEH_PE_STATE_NORMAL);
	expect(edu_enable(&v->edu[0]), 0);
	device_reaches(v, 0, IOVA, ua);
}

/**
 * struct long_reset - an EEH reset that takes seconds while other requests wait
 * @v: the container
 * @ua: registered memory
 * @over: set when the reset has ended
 */
struct long_reset {
	struct vfio *v;
	uint8_t *ua;
	bool over;
};

static void *reset_for_long(void *arg)
{
	struct long_reset *reset = arg;

	eeh_op(reset->v->fd, VFIO_EEH_PE_RESET_HOT);
	__atomic_store_n(&reset->over, true, __ATOMIC_SEQ_CST);
	eeh_op(reset->v->fd, VFIO_EEH_PE_RESET_DEACTIVATE);
	return NULL;
}

/* The first map must make the default window, so it waits for the reset */
static int map_first(void *arg)
{
	struct long_reset *reset = arg;

	dma_map(reset->v->fd, IOVA, reset->ua, base_page(), READ_WRITE);
	return 0;
}

/* The child shares this process's memory, but SIGKILL ends only the child */
TEST(a_first_map_that_waits_for_an_eeh_reset_can_be_killed)
{
	const size_t stack = KIB(256);
	struct long_reset reset = { .v = v, .ua = registered(v, base_page()) };
	pthread_t thread;
	pid_t child;

	need_eeh();
	if (pthread_create(&thread, NULL, reset_for_long, &reset))
		fail("pthread_create");
	usleep(patient_ms(100) * 1000);
	child = clone(map_first, (uint8_t *)memory(stack) + stack,
		      CLONE_VM | SIGCHLD, &reset);
	if (child < 0)
		fail("clone");
	usleep(patient_ms(100) * 1000);
	if (__atomic_load_n(&reset.over, __ATOMIC_SEQ_CST))
		skip("the reset ended before the map could wait for it");
	kill(child, SIGKILL);
	if (waitpid(child, NULL, 0) != child)
		fail("waitpid");
	expect(__atomic_load_n(&reset.over, __ATOMIC_SEQ_CST), false);
	pthread_join(thread, NULL);
}
