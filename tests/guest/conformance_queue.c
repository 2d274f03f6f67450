// SPDX-License-Identifier: GPL-2.0-only
/*
 * Conformance: thousands of threads map the same entries of a window, while another
 * thread detaches the group or removes a window. VFIO holds locks that all tenants
 * share while it detaches a group. So it must wait for few of the container's requests.
 * The tests count these requests, because elapsed time depends on the machine.
 */
#define _GNU_SOURCE
#include "conformance.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define WAITERS		4000
#define STACK		(64 << 10)
#define SIZE		MIB(64)		/* of each request */

/**
 * struct queue - the threads, and what they have done
 * @v: the container
 * @ua: memory that all of them map
 * @thread: the threads
 * @threads: how many there are
 * @begun: how many have made their first request
 * @done: requests that were carried out
 * @odd: an answer that no thread should get, or 0
 * @lock: guards @ended
 * @end: signalled when @ended is set
 * @ended: the threads may end
 */
struct queue {
	struct vfio *v;
	uint8_t *ua;
	pthread_t thread[WAITERS];
	int threads;
	int begun;
	int done;
	int odd;
	pthread_mutex_t lock;
	pthread_cond_t end;
	bool ended;
};

static struct queue queue;

static int counted(const int *counter)
{
	return __atomic_load_n(counter, __ATOMIC_SEQ_CST);
}

/* Keeps the threads asleep: thousands of threads that exit would take all CPUs */
static void rest_until_the_end(void)
{
	pthread_mutex_lock(&queue.lock);
	while (!queue.ended)
		pthread_cond_wait(&queue.end, &queue.lock);
	pthread_mutex_unlock(&queue.lock);
}

/* Until the group has left, and with it the backend */
static void *map_over_and_over(void *unused)
{
	int ret;

	__atomic_add_fetch(&queue.begun, 1, __ATOMIC_SEQ_CST);
	do {
		ret = dma_map(queue.v->fd, IOVA, queue.ua, SIZE, READ_WRITE);
		if (!ret)
			__atomic_add_fetch(&queue.done, 1, __ATOMIC_SEQ_CST);
	} while (!ret);
	/* The window has gone, or the container has no backend any more */
	if (ret != -ENXIO && ret != -EINVAL)
		__atomic_store_n(&queue.odd, ret, __ATOMIC_SEQ_CST);
	rest_until_the_end();
	return unused;
}

static bool all_have_begun(void *arg)
{
	struct queue *all = arg;

	return counted(&all->begun) == all->threads;
}

static void queue_up(struct vfio *v, void *(*run)(void *), void *arg)
{
	pthread_attr_t attr;

	queue = (struct queue){
		.v = v, .ua = registered(v, SIZE), .threads = fewer(WAITERS),
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.end = PTHREAD_COND_INITIALIZER,
	};
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	for (int i = 0; i < queue.threads; i++) {
		if (pthread_create(&queue.thread[i], &attr, run, arg))
			fail("no thread %d", i);
	}
	pthread_attr_destroy(&attr);
	expect_soon("all threads have begun", all_have_begun, &queue);
}

static void await_queue(void)
{
	pthread_mutex_lock(&queue.lock);
	queue.ended = true;
	pthread_cond_broadcast(&queue.end);
	pthread_mutex_unlock(&queue.lock);
	for (int i = 0; i < queue.threads; i++)
		pthread_join(queue.thread[i], NULL);
	expect(queue.odd, 0);
}

static void write_device_to(const char *path, int slot)
{
	const char *name = vfio_device_name(slot);
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, name, strlen(name)) != (ssize_t)strlen(name))
		fail("%s of %s: %s", path, name, strerror(errno));
	close(fd);
}

static void unbind(int slot)
{
	write_device_to("/sys/bus/pci/drivers/vfio-pci/unbind", slot);
}

static void bind(int slot)
{
	write_device_to("/sys/bus/pci/drivers_probe", slot);
}

/* As the administrator gives a device to another tenant */
static void *rebind_another(void *arg)
{
	uint64_t *ms = arg, began = now_ms();

	unbind(1);
	bind(1);
	*ms = now_ms() - began;
	return NULL;
}

/*
 * Each makes a window, and takes it back because its address can't be told; or finds
 * that another thread's window has the slot
 */
static void *create_over_and_over(void *arg)
{
	struct vfio_iommu_spapr_tce_create *create = arg;
	int ret;

	__atomic_add_fetch(&queue.begun, 1, __ATOMIC_SEQ_CST);
	do {
		ret = call(queue.v->fd, VFIO_IOMMU_SPAPR_TCE_CREATE, create);
		__atomic_add_fetch(&queue.done, 1, __ATOMIC_SEQ_CST);
	} while (ret == -EFAULT || ret == -ENOSPC);
	/* No group, or no backend */
	if (ret != -ENXIO && ret != -EINVAL)
		__atomic_store_n(&queue.odd, ret, __ATOMIC_SEQ_CST);
	rest_until_the_end();
	return NULL;
}

/* Unbinds the group's device, and the other device at the same time */
static void unbind_both(struct vfio *v)
{
	uint64_t began = now_ms(), ms, other_ms;
	pthread_t other;

	if (pthread_create(&other, NULL, rebind_another, &other_ms))
		fail("pthread_create");
	unbind(0);
	ms = now_ms() - began;
	pthread_join(other, NULL);
	printf("# unbound in %d ms, the other device unbound and bound in %d ms\n",
	       (int)ms, (int)other_ms);
	/* The group's file is of no use any more */
	close(v->group[0]);
	v->group[0] = -1;
}

static void detach(struct vfio *v)
{
	expect(vfio_detach(v, 0), 0);
}

static void remove_window(struct vfio *v)
{
	expect(window_remove(v->fd, 0), 0);
}

/*
 * Makes this thread SCHED_FIFO, so that the test measures how long locks are waited
 * for, not how long thousands of threads share the CPUs.
 */
static void come_first(void)
{
	const struct sched_param param = { .sched_priority = 1 };

	if (sched_setscheduler(0, SCHED_FIFO, &param))
		fail("SCHED_FIFO: %s", strerror(errno));
}

/* act() ends all requests of the queue, and has to wait for few of them */
static void waits_for_few(struct vfio *v, const char *name,
			  void (*act)(struct vfio *v))
{
	uint64_t began;
	int waited;

	come_first();
	waited = -counted(&queue.done);
	began = now_ms();
	act(v);
	waited += counted(&queue.done);
	printf("# %s with %d threads in a queue: %d requests later, %d ms\n",
	       name, queue.threads, waited, (int)(now_ms() - began));
	expect(waited < queue.threads / 10, true);
	await_queue();
}

static void queue_maps(struct vfio *v)
{
	if (injecting())
		skip("it counts requests that are carried out");
	queue_up(v, map_over_and_over, NULL);
}

TEST(unbinding_does_not_wait_for_queued_maps, .intree = "waits for all of them")
{
	queue_maps(v);
	waits_for_few(v, "two devices unbound, one bound", unbind_both);
	bind(0);
}

TEST(detach_does_not_wait_for_queued_maps, .intree = "waits for all of them")
{
	queue_maps(v);
	waits_for_few(v, "group detached", detach);
}

/* Locks for writing over and over, to find that no window begins there */
static void *remove_over_and_over(void *unused)
{
	while (!__atomic_load_n(&queue.ended, __ATOMIC_SEQ_CST))
		window_remove(queue.v->fd, IOVA + 1);
	return unused;
}

TEST(detach_does_not_wait_for_maps_behind_a_writer, .intree = "waits for all of them")
{
	pthread_t writer;

	queue_maps(v);
	if (pthread_create(&writer, NULL, remove_over_and_over, NULL))
		fail("pthread_create");
	/* By then the maps have been turned away by this writer before */
	usleep(patient_ms(500) * 1000);
	waits_for_few(v, "group detached beside TCE_REMOVE", detach);
	pthread_join(writer, NULL);
}

TEST(removing_a_window_does_not_wait_for_queued_maps, .intree = "waits for all of them")
{
	queue_maps(v);
	waits_for_few(v, "window removed", remove_window);
}

TEST(detach_does_not_wait_for_queued_tce_creates, .intree = "waits for all of them")
{
	struct vfio_iommu_spapr_tce_create *create =
		(void *)memory(base_page());

	if (injecting())
		skip("it counts requests that are carried out");
	*create = (struct vfio_iommu_spapr_tce_create){
		.argsz = sizeof(*create), .page_shift = 12,
		.window_size = GIB(1), .levels = 1,
	};
	mprotect(create, base_page(), PROT_READ);
	queue_up(v, create_over_and_over, create);
	waits_for_few(v, "group detached beside TCE_CREATE", detach);
}
