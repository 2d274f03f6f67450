/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SIM_SHIM_WORKQUEUE_H
#define SIM_SHIM_WORKQUEUE_H

#include <linux/compiler.h>
#include <linux/types.h>

struct workqueue_struct;
struct work_struct;

typedef void (*work_func_t)(struct work_struct *work);

/**
 * struct work_struct - work for a kernel thread
 * @func: function to run
 * @next: the work that was queued before this work
 * @queued: the work waits in a queue; see sim_run_work()
 */
struct work_struct {
	work_func_t func;
	struct work_struct *next;
	bool queued;
};

#define INIT_WORK(work, function)                                  \
	((void)(*(work) = (struct work_struct){ .func = (function) }))

/**
 * struct delayed_work - work for a kernel thread after a delay
 * @work: the work, see sim_run_work()
 */
struct delayed_work {
	struct work_struct work;
};

#define HZ 250
#define INIT_DELAYED_WORK(delayed, function) INIT_WORK(&(delayed)->work, function)

static inline struct delayed_work *to_delayed_work(struct work_struct *work)
{
	return container_of(work, struct delayed_work, work);
}

bool schedule_delayed_work(struct delayed_work *delayed, unsigned long delay);

#define DECLARE_WORK(name, function) \
	struct work_struct name = { .func = (function) }

extern struct workqueue_struct *system_wq, *system_unbound_wq;

#define WQ_UNBOUND 2

/* sim_run_work() runs the work of all queues */
static inline struct workqueue_struct *
alloc_workqueue(const char *name, unsigned int flags, int max_active)
{
	return system_unbound_wq;
}

static inline void destroy_workqueue(struct workqueue_struct *wq)
{
}

bool queue_work(struct workqueue_struct *wq, struct work_struct *work);
bool flush_work(struct work_struct *work);

static inline bool schedule_work(struct work_struct *work)
{
	return queue_work(system_wq, work);
}

#endif /* SIM_SHIM_WORKQUEUE_H */
