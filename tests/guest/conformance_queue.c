// SPDX-License-Identifier: GPL-2.0-only
/*
 * Conformance: thousands of threads map the same entries of a window, while another
 * thread detaches the group or removes a window. While VFIO detaches a group, it holds
 * locks that the containers of all users share. So VFIO must wait for only a few of the
 * container's requests. The tests count these requests, because elapsed time depends on
 * the machine.
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
#define STACK		(128 << 10)	/* the smallest that pthread_attr_setstack() accepts */
#define SIZE		MIB(64)		/* of each request */

/**
 * struct queue - threads that make requests, and their progress
 * @v: the container
 * @ua: memory that all threads map
 * @thread: the threads
 * @threads: number of threads
 * @begun: number of threads that have made their first request
 * @done: number of completed requests
 * @odd: an unexpected answer that a thread got, or 0
 * @lock: protects @ended
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

/* Sleep until the end of the test: thousands of exiting threads would use all CPUs */
static void rest_until_the_end(void)
{
	pthread_mutex_lock(&queue.lock);
	while (!queue.ended)
		pthread_cond_wait(&queue.end, &queue.lock);
	pthread_mutex_unlock(&queue.lock);
}

/* Map until the group is detached and the container loses its backend */
static void *map_over_and_over(void *unused)
{
	int ret;

	__atomic_add_fetch(&queue.begun, 1, __ATOMIC_SEQ_CST);
	do {
		ret = dma_map(queue.v->fd, IOVA, queue.ua, SIZE, READ_WRITE);
		if (!ret)
			__atomic_add_fetch(&queue.done, 1, __ATOMIC_SEQ_CST);
	} while (!ret);
	/* ENXIO: no window is at this address any more. EINVAL: the container has no backend. */
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

/*
 * Start all threads. Their stacks are parts of one mapping: if each thread had its own, the
 * kernel would flush the TLBs when the thread begins and when it ends.
 */
static void queue_up(struct vfio *v, void *(*run)(void *), void *arg)
{
	uint8_t *stack = memory((size_t)fewer(WAITERS) * STACK);
	pthread_attr_t attr;

	queue = (struct queue){
		.v = v, .ua = registered(v, SIZE), .threads = fewer(WAITERS),
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.end = PTHREAD_COND_INITIALIZER,
	};
	pthread_attr_init(&attr);
	for (int i = 0; i < queue.threads; i++) {
		if (pthread_attr_setstack(&attr, stack + (size_t)i * STACK, STACK) ||
		    pthread_create(&queue.thread[i], &attr, run, arg))
			fail("cannot create thread %d", i);
	}
	pthread_attr_destroy(&attr);
	expect_soon("each thread has begun", all_have_begun, &queue);
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

/* Unbind and bind the other device, as an administrator does for another user */
static void *rebind_another(void *arg)
{
	uint64_t *ms = arg, began = now_ms();

	unbind(1);
	bind(1);
	*ms = now_ms() - began;
	return NULL;
}

/*
 * Create a window whose address can't be written, so that the window is removed again and
 * TCE_CREATE returns EFAULT. It returns ENOSPC if another thread's window uses the slot.
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
	/* ENXIO: the container has no group any more. EINVAL: it has no backend any more. */
	if (ret != -ENXIO && ret != -EINVAL)
		__atomic_store_n(&queue.odd, ret, __ATOMIC_SEQ_CST);
	rest_until_the_end();
	return NULL;
}

/* Unbind the group's device; at the same time unbind and bind the other device */
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
	/* The group's file can't be used after the unbind */
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
 * Run this thread as SCHED_FIFO, so that the test measures the wait for locks, not the time
 * in which thousands of threads share the CPUs.
 */
static void come_first(void)
{
	const struct sched_param param = { .sched_priority = 1 };

	if (sched_setscheduler(0, SCHED_FIFO, &param))
		fail("SCHED_FIFO: %s", strerror(errno));
}

/* Check that act(), which ends all requests of the queue, waits for few of them */
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
	printf("# %s with %d queued threads: done after %d requests, %d ms\n",
	       name, queue.threads, waited, (int)(now_ms() - began));
	expect(waited < queue.threads / 10, true);
	await_queue();
}

static void queue_maps(struct vfio *v)
{
	if (injecting())
		skip("--fail-nth repeats calls, which would count as requests");
	queue_up(v, map_over_and_over, NULL);
}

TEST(unbinding_does_not_wait_for_queued_maps, .intree = "waits for all queued requests")
{
	queue_maps(v);
	waits_for_few(v, "two devices unbound, one bound", unbind_both);
	bind(0);
}

TEST(detach_does_not_wait_for_queued_maps, .intree = "waits for all queued requests")
{
	queue_maps(v);
	waits_for_few(v, "group detached", detach);
}

/* Make TCE_REMOVE lock for writing again and again; no window begins at this address */
static void *remove_over_and_over(void *unused)
{
	while (!__atomic_load_n(&queue.ended, __ATOMIC_SEQ_CST))
		window_remove(queue.v->fd, IOVA + 1);
	return unused;
}

TEST(detach_does_not_wait_for_maps_that_backed_off_for_a_writer,
     .intree = "waits for all queued requests")
{
	pthread_t writer;

	queue_maps(v);
	if (pthread_create(&writer, NULL, remove_over_and_over, NULL))
		fail("pthread_create");
	/* After this time the writer has made each map back off at least once */
	usleep(patient_ms(500) * 1000);
	waits_for_few(v, "group detached beside TCE_REMOVE", detach);
	pthread_join(writer, NULL);
}

TEST(removing_a_window_does_not_wait_for_queued_maps, .intree = "waits for all queued requests")
{
	queue_maps(v);
	waits_for_few(v, "window removed", remove_window);
}

TEST(detach_does_not_wait_for_queued_tce_creates, .intree = "waits for all queued requests")
{
	struct vfio_iommu_spapr_tce_create *create =
		(void *)memory(base_page());

	if (injecting())
		skip("--fail-nth repeats calls, which would count as requests");
	*create = (struct vfio_iommu_spapr_tce_create){
		.argsz = sizeof(*create), .page_shift = 12,
		.window_size = GIB(1), .levels = 1,
	};
	mprotect(create, base_page(), PROT_READ);
	queue_up(v, create_over_and_over, create);
	waits_for_few(v, "group detached beside TCE_CREATE", detach);
}
