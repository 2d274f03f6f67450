// SPDX-License-Identifier: GPL-2.0-only
/*
 * Clients of job_reload.c. One client for each device repeatedly opens a container, maps
 * memory and closes the container during another call. A container must work with each
 * backend. Only SET_IOMMU may fail, and only while no backend is loaded. Other clients call
 * CHECK_EXTENSION on containers without a group, for which VFIO asks all backends.
 *
 * Each client is a process, which exits at the first wrong result.
 */
#include "job_reload.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE		KIB(512)
#define IOVA		MIB(16)
/* Large enough that registration takes a while */
#define IN_FLIGHT_SIZE	MIB(32)

/**
 * struct shared - memory shared by the clients and their parent
 * @over: set by the parent when the clients must end
 * @failed: a client failed and printed the reason
 * @served: number of containers that each backend has handled, for each device's client
 * @asked: number of CHECK_EXTENSION calls by all clients without a group
 */
struct shared {
	volatile bool over;
	volatile bool failed;
	unsigned long served[SLOTS][SERVERS];
	unsigned long asked;
};

static struct shared *shared;
static pid_t clients[SLOTS + ASKERS];

static void need(int ret, int want, const char *what)
{
	if (ret == want)
		return;
	printf("# client: %s: expected %d, saw %d (%s)\n", what, want, ret,
	       ret < 0 ? strerror(-ret) : "no error");
	fflush(stdout);
	shared->failed = true;
	/* server_of_next() reads the status as an enum server, so return an invalid value */
	_exit(SERVERS);
}

static uint8_t *memory(void)
{
	uint8_t *ua = mem_base(SIZE + IN_FLIGHT_SIZE);

	need(ua ? 0 : -ENOMEM, 0, "memory of the client");
	return ua;
}

/*
 * Return the backend of a container. After SET_IOMMU, VFIO passes CHECK_EXTENSION only to
 * the container's backend, and only the in-tree driver has the v1 extension.
 */
static enum server server_of(struct vfio *v)
{
	return check_extension(v->fd, VFIO_SPAPR_TCE_IOMMU) > 0 ? IN_TREE :
								  OURS;
}

/* Make calls that both backends answer alike; the close of the container undoes the last two */
static void work(struct vfio *v, uint8_t *ua)
{
	struct vfio_iommu_spapr_tce_info info;

	need(get_info(v->fd, &info), 0, "GET_INFO");
	need(spapr_register(v->fd, ua, SIZE), 0, "REGISTER");
	need(dma_map(v->fd, IOVA, ua, SIZE, READ_WRITE), 0, "MAP");
	need(dma_unmap(v->fd, IOVA, SIZE), 0, "UNMAP");
	need(spapr_unregister(v->fd, ua, SIZE), 0, "UNREGISTER");
	need(spapr_unregister(v->fd, ua, SIZE), -ENOENT, "UNREGISTER again");
	need(spapr_register(v->fd, ua, SIZE), 0, "REGISTER again");
	need(dma_map(v->fd, IOVA, ua, SIZE, READ_WRITE), 0, "MAP again");
}

/* Calls that run while the container loses its backend */
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
 * Close the container's last group while another thread is in a call. The call may then
 * hold the only reference to the backend. The in-tree driver would crash here.
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

static void open_until_over(int slot)
{
	uint8_t *ua = memory();
	int64_t locked = vmlck();

	while (!shared->over) {
		shared->served[slot][one_container(slot, ua)]++;
		/* Pause without a container: a module in use cannot be unloaded */
		usleep(rand() % 5000);
	}
	need(vmlck() - locked, 0, "locked memory at the end");
}

/* Call CHECK_EXTENSION without a group; SET_IOMMU must then fail, whatever the answer was */
static void ask_until_over(int number)
{
	(void)number;
	while (!shared->over) {
		struct vfio v;
		int v2;

		need(vfio_open(&v), 0, "opening a container");
		v2 = check_extension(v.fd, VFIO_SPAPR_TCE_v2_IOMMU);
		if (v2 != 0 && v2 != 1)
			need(v2, 1, "CHECK_EXTENSION");
		if (!vfio_set_iommu(&v, VFIO_SPAPR_TCE_v2_IOMMU))
			need(0, -EINVAL, "SET_IOMMU without a group");
		vfio_close(&v);
		__atomic_fetch_add(&shared->asked, 1, __ATOMIC_RELAXED);
		usleep(rand() % 2000);
	}
}

static pid_t start_client(void (*run)(int), int number)
{
	pid_t pid = fork();

	if (!pid) {
		run(number);
		fflush(stdout);
		_exit(0);
	}
	return pid;
}

/* Start one client for each device, and the clients without a group */
bool clients_start(void)
{
	bool ok = true;

	if (!shared) {
		shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		if (shared == MAP_FAILED)
			exit(2);
	}
	memset(shared, 0, sizeof(*shared));
	fflush(stdout);
	for (int i = 0; i < SLOTS + ASKERS; i++) {
		clients[i] = start_client(i < SLOTS ? open_until_over : ask_until_over, i);
		ok &= clients[i] > 0;
	}
	return ok;
}

bool clients_failed(void)
{
	return shared->failed;
}

/* Return the bit mask of the backends that have handled a container in this race */
unsigned int clients_seen(void)
{
	unsigned int seen = 0;

	for (int slot = 0; slot < SLOTS; slot++)
		for (int i = 0; i < SERVERS; i++)
			seen |= __atomic_load_n(&shared->served[slot][i], __ATOMIC_RELAXED) ?
				1 << i : 0;
	return seen;
}

/* Stop the clients and print their counts; return false if a client failed */
bool clients_stop(void)
{
	bool ok = true;

	shared->over = true;
	for (int i = 0; i < SLOTS + ASKERS; i++) {
		int status;

		ok &= clients[i] > 0 && waitpid(clients[i], &status, 0) == clients[i] &&
		      !status;
	}
	for (int slot = 0; slot < SLOTS; slot++)
		printf("# containers: ours %lu, in-tree %lu, refused %lu, slot %d\n",
		       shared->served[slot][OURS], shared->served[slot][IN_TREE],
		       shared->served[slot][NOBODY], slot);
	printf("# CHECK_EXTENSION without a group: %lu calls\n", shared->asked);
	return ok;
}

/* Open a container after the clients have ended; return which backend handles it */
enum server server_of_next(void)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid)
		_exit(one_container(0, memory()));
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return SERVERS;
	return WEXITSTATUS(status);
}
