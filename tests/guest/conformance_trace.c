// SPDX-License-Identifier: GPL-2.0-only
/*
 * Conformance: the tracepoints (Documentation/tracepoints.rst). The tests switch the events
 * on in tracefs, as trace-cmd does, and read the kernel's text of each event.
 */
#define _GNU_SOURCE
#define TEST_ORDER LATE
#include "conformance.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#define INTREE	.intree = "has no tracepoints", .crashes = true
#define TRACEFS	"/sys/kernel/tracing"
#define EVENTS	TRACEFS "/events/vfio_spapr_tce2"

static const char *const events[] = {
	"tce2_register", "tce2_unregister", "tce2_map", "tce2_unmap", "tce2_create",
	"tce2_remove", "tce2_attach", "tce2_detach", "tce2_refusal", "tce2_kvm_attach",
	"tce2_kvm_fallback", "tce2_mirror", "tce2_wait",
};

static void switch_events(bool on)
{
	if (!write_number(EVENTS "/enable", on))
		fail("cannot write " EVENTS "/enable: %s", strerror(errno));
}

FIXTURE(tracing);

FIXTURE_SETUP(tracing)
{
	if (access(TRACEFS "/trace", F_OK) && mount("tracefs", TRACEFS, "tracefs", 0, NULL))
		skip("this kernel has no tracefs");
	if (access(EVENTS, F_OK))
		fail("no directory " EVENTS);
	/* Opening the file for writing empties the buffer */
	close(open(TRACEFS "/trace", O_WRONLY | O_TRUNC | O_CLOEXEC));
	switch_events(true);
}

FIXTURE_TEARDOWN(tracing)
{
	switch_events(false);
}

/* Return the text of all events since the set-up */
static char *read_trace(void)
{
	const size_t size = MIB(4);
	char *text = malloc(size);
	int fd = open(TRACEFS "/trace", O_RDONLY | O_CLOEXEC);
	size_t length = 0;
	ssize_t got;

	if (!text || fd < 0)
		fail("cannot read " TRACEFS "/trace: %s", strerror(errno));
	while (length + 1 < size &&
	       (got = read(fd, text + length, size - length - 1)) > 0)
		length += got;
	text[length] = '\0';
	close(fd);
	return text;
}

/* Check that an event of this text was traced, and how often */
static void __attribute__((format(printf, 2, 3)))
expect_event(unsigned int times, const char *fmt, ...)
{
	char want[200], *text = read_trace(), *at;
	unsigned int seen = 0;
	va_list args;

	va_start(args, fmt);
	vsnprintf(want, sizeof(want), fmt, args);
	va_end(args);
	for (at = text; (at = strstr(at, want)); at++)
		seen++;
	if (seen != times)
		fail("\"%s\" is %u times in the trace, expected %u:\n%.3000s", want, seen,
		     times, text);
	free(text);
}

TEST_F(tracing, each_tracepoint_has_a_directory_with_its_format, .setup = BARE, INTREE)
{
	for (size_t i = 0; i < sizeof(events) / sizeof(*events); i++) {
		char path[200];

		snprintf(path, sizeof(path), EVENTS "/%s/format", events[i]);
		if (access(path, R_OK))
			fail("%s: %s", path, strerror(errno));
	}
}

TEST_F(tracing, each_request_is_an_event_with_its_result, INTREE)
{
	uint64_t p = base_page(), start;
	uint8_t *ua = memory(4 * p);

	expect(spapr_register(v->fd, ua, 4 * p), 0);
	expect(spapr_register(v->fd, ua, 4 * p), -EBUSY);
	expect(dma_map(v->fd, IOVA, ua, p, READ_WRITE), 0);
	expect(dma_unmap(v->fd, IOVA, p), 0);
	start = new_window(v, 12, GIB(1), 1);
	expect(window_remove(v->fd, start), 0);
	expect(spapr_unregister(v->fd, ua, 4 * p), 0);

	expect_event(1, " ua=0x%" PRIxPTR " size=%" PRIu64 " ret=-16\n", (uintptr_t)ua, 4 * p);
	expect_event(1, " request=register ret=-16 rule=already-registered\n");
	expect_event(2, "tce2_register: container=");
	expect_event(1, "tce2_unregister: container=");
	expect_event(1, " iova=0x%" PRIx64 " ua=0x%" PRIxPTR " size=%" PRIu64 " flags=0x3 ret=0\n",
		     IOVA, (uintptr_t)ua, p);
	expect_event(1, " iova=0x%" PRIx64 " size=%" PRIu64 " ret=0\n", IOVA, p);
	expect_event(1, " start=0x%" PRIx64 " size=%" PRIu64 " page_shift=12 levels=1 ret=0\n",
		     start, GIB(1));
	expect_event(1, "tce2_remove: container=");
	switch_events(false);
	expect(spapr_register(v->fd, ua, 4 * p), 0);
	expect_event(2, "tce2_register: container=");
}

TEST_F(tracing, attaching_and_detaching_a_group_are_events, .setup = BARE, INTREE)
{
	struct vfio b;

	open_container(&b, 0);
	vfio_close(&b);
	expect_event(1, " group=%d ret=0\n", vfio_device_group(0));
	expect_event(1, "tce2_attach: container=");
}

static void map_the_same_range(struct workers *workers, UNUSED int number)
{
	expect(dma_map(workers->v->fd, IOVA, workers->arg, MIB(4), READ_WRITE), 0);
}

TEST_F(tracing, switching_events_beside_requests_is_safe,
       .race = "switch tracepoints, map", INTREE)
{
	uint8_t *ua = registered(v, MIB(4));
	struct workers workers = { .v = v, .arg = ua };

	workers_start(&workers, race_threads(), map_the_same_range);
	while (race_round()) {
		switch_events(false);
		switch_events(true);
	}
	workers_stop(&workers);
	expect(dma_unmap(v->fd, IOVA, MIB(4)), 0);
	unregister_ok(v, ua, MIB(4));
}
