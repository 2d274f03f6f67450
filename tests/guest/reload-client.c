// SPDX-License-Identifier: GPL-2.0-only
/*
 * tce2-reload-client SLOT [once]: a client that runs while reload.sh loads and unloads
 * backends. Until SIGTERM it opens a container on the edu device of SLOT, maps memory
 * and closes the container in the middle of a call. With "once" it does so a single
 * time and prints which backend handled the container. A container must work with
 * either backend. Only SET_IOMMU may fail, if no backend is loaded. At the end the
 * client prints how many containers each backend handled. Status 0 if no call failed.
 *
 * tce2-reload-client ask: calls CHECK_EXTENSION on containers without a group, for
 * which VFIO asks all backends.
 */
#include "lib.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SIZE		KIB(512)
#define IOVA		MIB(16)
/* Takes a while to register */
#define IN_FLIGHT_SIZE	MIB(32)

enum server { OURS, IN_TREE, NOBODY, SERVERS };

static const char *const names[SERVERS] = { "ours", "in-tree", "nobody" };

static volatile sig_atomic_t over;

static void stop(int signal)
{
	(void)signal;
	over = 1;
}

static void need(int ret, int want, const char *what)
{
	if (ret == want)
		return;
	printf("# tce2-reload-client: %s: expected %d, saw %d (%s)\n", what, want,
	       ret, ret < 0 ? strerror(-ret) : "no error");
	exit(1);
}

/* Only the container's own backend is asked now, and only one has v1 */
static enum server server_of(struct vfio *v)
{
	return check_extension(v->fd, VFIO_SPAPR_TCE_IOMMU) > 0 ? IN_TREE :
								  OURS;
}

/* What both backends answer alike */
static void work(struct vfio *v, uint8_t *ua)
{
	struct vfio_iommu_spapr_tce_info info;

	need(get_info(v->fd, &info), 0, "GET_INFO");
	need(spapr_register(v->fd, ua, SIZE), 0, "REGISTER");
	need(dma_map(v->fd, IOVA, ua, SIZE, READ_WRITE), 0, "MAP");
	need(dma_unmap(v->fd, IOVA, SIZE), 0, "UNMAP");
	need(spapr_unregister(v->fd, ua, SIZE), 0, "UNREGISTER");
	need(spapr_unregister(v->fd, ua, SIZE), -ENOENT, "UNREGISTER again");
	/* This one is the backend's to clean up */
	need(spapr_register(v->fd, ua, SIZE), 0, "REGISTER again");
	need(dma_map(v->fd, IOVA, ua, SIZE, READ_WRITE), 0, "MAP again");
}

/* Calls that are under way when the container loses its backend */
struct in_flight {
	struct vfio *v;
	uint8_t *ua;
	volatile bool over;
};

static void *register_until_over(void *arg)
{
	struct in_flight *calls = arg;

	while (!calls->over) {
		spapr_register(calls->v->fd, calls->ua, IN_FLIGHT_SIZE);
		spapr_unregister(calls->v->fd, calls->ua, IN_FLIGHT_SIZE);
	}
	return NULL;
}

/*
 * The last group is closed in the middle of a call, which may then be the only
 * one that still needs the backend. (The in-tree backend wouldn't survive that.)
 */
static void lose_backend(struct vfio *v, int slot, uint8_t *ua)
{
	struct in_flight calls = { .v = v, .ua = ua + SIZE };
	pthread_t thread;

	need(-pthread_create(&thread, NULL, register_until_over, &calls), 0,
	     "starting a thread");
	usleep(rand() % 20000);
	close(v->group[slot]);
	v->group[slot] = -1;
	usleep(rand() % 20000);
	calls.over = true;
	pthread_join(thread, NULL);
}

static enum server one_container(int slot, uint8_t *ua)
{
	enum server server = NOBODY;
	struct vfio v;

	need(vfio_open(&v), 0, "opening a container");
	need(vfio_attach(&v, slot), 0, "attaching a group");
	if (!vfio_set_iommu(&v, VFIO_SPAPR_TCE_v2_IOMMU)) {
		server = server_of(&v);
		work(&v, ua);
	}
	if (server == OURS)
		lose_backend(&v, slot, ua);
	vfio_close(&v);
	return server;
}

static int open_until_stopped(int slot, uint8_t *ua)
{
	unsigned long served[SERVERS] = {};
	int64_t locked = vmlck();

	while (!over) {
		enum server server = one_container(slot, ua);

		if (!served[server]++)
			printf("served by %s\n", names[server]);
		/* A backend in use can't go */
		usleep(rand() % 5000);
	}
	for (int i = 0; i < SERVERS; i++)
		printf("%s %lu ", names[i], served[i]);
	printf("by slot %d\n", slot);
	need(vmlck() - locked, 0, "locked memory left");
	return 0;
}

/* Without a group no backend may be set, whatever it says it can do */
static int ask_until_stopped(void)
{
	unsigned long asked = 0;

	for (; !over; asked++) {
		int v2;
		struct vfio v;

		need(vfio_open(&v), 0, "opening a container");
		v2 = check_extension(v.fd, VFIO_SPAPR_TCE_v2_IOMMU);
		if (v2 != 0 && v2 != 1)
			need(v2, 1, "CHECK_EXTENSION");
		if (!vfio_set_iommu(&v, VFIO_SPAPR_TCE_v2_IOMMU))
			need(0, -EINVAL, "SET_IOMMU without a group");
		vfio_close(&v);
		usleep(rand() % 2000);
	}
	printf("asked %lu\n", asked);
	return 0;
}

int main(int argc, char **argv)
{
	uint8_t *ua = mem_base(SIZE + IN_FLIGHT_SIZE);
	uint64_t slot = 0;
	bool ask;

	ask = argc == 2 && !strcmp(argv[1], "ask");
	if (!ua || argc < 2 || argc > 3 ||
	    (argc == 3 && strcmp(argv[2], "once")) ||
	    (!ask && (!number_of(argv[1], &slot) || slot >= SLOTS))) {
		fputs("usage: tce2-reload-client ask | SLOT [once]\n", stderr);
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGTERM, stop);
	if (ask)
		return ask_until_stopped();
	if (argc == 2)
		return open_until_stopped(slot, ua);
	puts(names[one_container(slot, ua)]);
	return 0;
}
