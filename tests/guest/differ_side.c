// SPDX-License-Identifier: GPL-2.0-only
/*
 * The two sides, one for each backend. Each side has a container, a device, and processes
 * that make the calls. A caller waits for commands on its channel, a structure in memory
 * that it shares with the main process.
 */
#define _GNU_SOURCE
#include "differ.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ENABLED		"/sys/module/vfio_spapr_tce2/parameters/enabled"
#define ANSWER_SECONDS	60	/* wall time, emulated machines are slow */
#define SETTLE_MS	5000
#define MAX_MARKED	5

enum command { DO_CALL, DO_FORK, DO_CLOSE, DO_CONTIGUOUS, DO_FIND };

/**
 * struct channel - commands to one caller
 * @request: posted when there is a command
 * @done: posted when the command is done
 * @command: the command
 * @call: the call, for DO_CALL
 * @answer: the call's answer; other commands set only its ret and vmlck
 * @ua: start of the range, for DO_CONTIGUOUS
 * @size: bytes of the range, for DO_CONTIGUOUS
 * @block: bytes of each block that must be contiguous, for DO_CONTIGUOUS
 * @stamp: stamp that the devices have written, for DO_FIND
 * @found: user address where each stamp was found, for DO_FIND
 */
struct channel {
	sem_t request;
	sem_t done;
	enum command command;
	struct call call;
	struct answer answer;
	uint64_t ua;
	uint64_t size;
	uint64_t block;
	uint64_t stamp;
	uint64_t found[MAX_WRITES];
};

const char *const side_name[SIDES] = { "vfio_spapr_tce2",
				       "vfio_iommu_spapr_tce" };

static struct channel *channels[SIDES];
static uint8_t *sinks[SIDES];

/* State of this process, if it is a caller */
static struct {
	int fd;
	enum side side;
	struct channel *channel;
	uint64_t tag;
	int64_t vmlck;
	pid_t child;
	struct region marked[MAX_MARKED];
	int marks;
} self;

static void *shared(size_t size)
{
	void *ua = mmap(NULL, size, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (ua == MAP_FAILED) {
		perror("differ: mmap");
		exit(2);
	}
	return ua;
}

/* Run on one CPU: THREAD2 has a CPU for bursts; the others run by turns and share a CPU */
static void stay_on(int cpu)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	sched_setaffinity(0, sizeof(cpus), &cpus);
}

void sides_prepare(void)
{
	stay_on(0);
	for (int side = 0; side < SIDES; side++) {
		channels[side] = shared(ACTORS * sizeof(struct channel));
		sinks[side] = shared(base_page());
	}
}

uint8_t *sink_of(enum side side)
{
	return sinks[side];
}

/* Return the mark of a process in its memory; a forked child has its parent's mark */
uint64_t tag_of(const struct side_state *s, enum process process)
{
	return process == STRANGER ? ~s->tag : s->tag;
}

/*
 * Memory of a caller, and its marks
 */

static uint8_t *map_at(uint64_t ua, size_t size, int flags)
{
	void *got = mmap((void *)ua, size, PROT_READ | PROT_WRITE,
			 MAP_FIXED | MAP_ANONYMOUS | flags, -1, 0);

	if (got == MAP_FAILED)
		_exit(3);
	if (!(flags & MAP_HUGETLB))
		madvise(got, size, MADV_NOHUGEPAGE);
	return got;
}

/*
 * Write the process's mark and the user address at the start of each 4 KiB. The following
 * bytes have room for the stamps that devices write.
 */
static void mark(uint64_t ua, size_t size)
{
	self.marked[self.marks++] = (struct region){ ua, size };
	for (size_t off = 0; off < size; off += TCE_4K) {
		uint64_t *word = (uint64_t *)(ua + off);

		word[0] = self.tag;
		word[1] = ua + off;
	}
}

static void make_huge(void)
{
	size_t huge = HUGE_PAGES * MIB(2), tail = TAIL_BYTES;

	map_at(HUGE, huge, MAP_SHARED | MAP_HUGETLB |
			   (21 << MAP_HUGE_SHIFT));
	mark(HUGE, huge);
	map_at(HUGE + huge, tail, MAP_PRIVATE);
	mark(HUGE + huge, tail);
}

static void make_memory(enum side side, bool second)
{
	size_t p = base_page();
	uint64_t hole = ARENA + (LOW_PAGES + RO_PAGES) * p;

	map_at(ARENA, ARENA_PAGES * p, MAP_PRIVATE);
	mark(ARENA, hole - ARENA);
	mark(hole + HOLE_PAGES * p, HIGH_PAGES * p);
	mprotect((void *)(ARENA + LOW_PAGES * p), RO_PAGES * p, PROT_READ);
	munmap((void *)hole, HOLE_PAGES * p);
	if (machine.has_huge)
		make_huge();
	/* With old size 0, mremap() makes another mapping of the same page */
	if (mremap(sinks[side], 0, p, MREMAP_MAYMOVE | MREMAP_FIXED,
		   (void *)SINK) == MAP_FAILED)
		_exit(3);
	if (second)
		mark((uintptr_t)map_at(ELSEWHERE, p, MAP_PRIVATE), p);
}

/*
 * Calls. Each actor has four scratch pages for the structures of its requests: a writable
 * page, an unmapped page, a read-only page, and another unmapped page.
 */

static uint8_t *scratch_of(enum actor actor)
{
	return (uint8_t *)SCRATCH + actor * 4 * base_page();
}

static void make_scratch(void)
{
	size_t p = base_page();

	for (int actor = 0; actor < ACTORS; actor++) {
		map_at((uintptr_t)scratch_of(actor), p, MAP_PRIVATE);
		map_at((uintptr_t)scratch_of(actor) + 2 * p, p, MAP_PRIVATE);
	}
}

/* Copy the structure to its place; return the ioctl's argument */
static void *place(const struct call *call)
{
	size_t p = base_page(), size = size_of_request(call);
	uint8_t *scratch = scratch_of(call->actor), *at = scratch;

	switch (call->where) {
	case IN_MEMORY:
		memcpy(at, &call->arg, ARG_BYTES);
		return at;
	case AT_PAGE_END:
		at = scratch + p - size;
		memcpy(at, &call->arg, size);
		return at;
	case CUT_SHORT:
		at = scratch + p - size + 1;
		memcpy(at, &call->arg, size - 1);
		return at;
	case READ_ONLY_PAGE:
		at = scratch + 2 * p;
		mprotect(at, p, PROT_READ | PROT_WRITE);
		memcpy(at, &call->arg, ARG_BYTES);
		mprotect(at, p, PROT_READ);
		return at;
	case NOWHERE:
		return scratch + p;
	case IN_KERNEL:
		return (void *)0xc000000000000000ULL;
	case BY_VALUE:
		return (void *)call->arg.value;
	default:
		return NULL;
	}
}

/* Check whether the charge must be read after a call: reading it is slower than most calls */
static bool may_charge(uint32_t nr)
{
	return nr != VFIO_IOMMU_SPAPR_TCE_GET_INFO && nr != VFIO_EEH_PE_OP;
}

/*
 * Make a call as a vector of one element. Return its answer, or -EPROTO if the results of the
 * vector contradict the answer. A refused vector writes no result.
 */
static int do_vector(const struct call *call)
{
	const struct vfio_iommu_type1_dma_map *map = &call->arg.map;
	const struct unmap *unmap = &call->arg.unmap;
	struct vfio_tce2_range element;
	int32_t none = 1, result = none;
	uint32_t done;
	int ret;

	if (call->form == AS_COPY)
		element = copy_range(map->iova, call->source, map->size);
	else if (call->nr == VFIO_IOMMU_MAP_DMA)
		element = map_range(map->iova, (const void *)map->vaddr, map->size, map->flags);
	else
		element = unmap_range(unmap->iova, unmap->size);
	ret = run_ranges(self.fd, &element, 1, 0, &result, &done);
	if (done != !ret || (result != ret && (!ret || result != none)))
		return -EPROTO;
	return ret;
}

static int do_ioctl(const struct call *call, void *at)
{
	int ret;

	if (call->form != AS_IOCTL && self.side == OURS)
		return do_vector(call);
	ret = ioctl(self.fd, call->nr, at);
	return ret < 0 ? -errno : ret;
}

static void do_call(struct channel *channel)
{
	const struct call *call = &channel->call;
	struct answer *answer = &channel->answer;
	void *at = place(call);

	memset(answer, 0, sizeof(*answer));
	answer->ret = do_ioctl(call, at);
	if (call->where == IN_MEMORY || call->where == READ_ONLY_PAGE)
		memcpy(&answer->out, at, ARG_BYTES);
	else if (call->where == AT_PAGE_END)
		memcpy(&answer->out, at, size_of_request(call));
	answer->vmlck = may_charge(call->nr) ? vmlck() : self.vmlck;
	self.vmlck = answer->vmlck;
}

static bool in_blocks(uint64_t ua, uint64_t size, uint64_t block)
{
	for (uint64_t at = ua; at < ua + size; at += block)
		if (!mem_contiguous((void *)at, block))
			return false;
	return true;
}

/* Return the offset of stamp @i in each 4 KiB; the stamps follow the mark */
uint64_t place_of_stamp(int i)
{
	return (i + 1) * STAMP_BYTES;
}

static void find_in(struct channel *channel, uint64_t ua)
{
	for (int i = 0; i < MAX_WRITES; i++) {
		uint64_t *word = (uint64_t *)(ua + place_of_stamp(i));

		if (word[0] == channel->stamp && word[1] == (uint64_t)i)
			channel->found[i] = ua;
	}
}

/* Search all memory except the sink for the stamps that devices have written */
static void find_stamps(struct channel *channel)
{
	memset(channel->found, 0, sizeof(channel->found));
	for (int i = 0; i < self.marks; i++) {
		uint64_t ua = self.marked[i].ua;

		for (; ua < self.marked[i].ua + self.marked[i].size;
		     ua += TCE_4K)
			find_in(channel, ua);
	}
}

static void serve(enum actor actor);

static int fork_child(void)
{
	if (self.child > 0) {
		kill(self.child, SIGKILL);
		waitpid(self.child, NULL, 0);
	}
	self.child = fork();
	if (self.child)
		return self.child < 0 ? -errno : 0;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	self.vmlck = 0;
	serve(CHILD);
	_exit(0);
}

static void obey(struct channel *channel)
{
	switch (channel->command) {
	case DO_CALL:
		do_call(channel);
		break;
	case DO_FORK:
		channel->answer.ret = fork_child();
		break;
	case DO_CLOSE:
		if (self.fd >= 0)
			close(self.fd);
		self.fd = -1;
		channel->answer.ret = 0;
		channel->answer.vmlck = vmlck();
		break;
	case DO_CONTIGUOUS:
		channel->answer.ret = in_blocks(channel->ua, channel->size,
						channel->block);
		break;
	case DO_FIND:
		find_stamps(channel);
		break;
	}
}

static void serve(enum actor actor)
{
	struct channel *channel = &self.channel[actor];

	for (;;) {
		while (sem_wait(&channel->request))
			;
		obey(channel);
		sem_post(&channel->done);
	}
}

static void *serve_thread(void *arg)
{
	if ((uintptr_t)arg == THREAD2)
		stay_on(1);
	serve((enum actor)(uintptr_t)arg);
	return NULL;
}

/* Set the caller's RLIMIT_MEMLOCK, and give up CAP_IPC_LOCK, which overrides the limit */
static void be_limited(int64_t limit)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2];
	struct rlimit rlimit = { limit, limit };

	if (setrlimit(RLIMIT_MEMLOCK, &rlimit) ||
	    syscall(SYS_capget, &header, data))
		_exit(3);
	data[0].effective &= ~(1U << CAP_IPC_LOCK);
	if (syscall(SYS_capset, &header, data))
		_exit(3);
}

/*
 * Close all descriptors except @fd. Inherited descriptors would keep a group or the
 * container of the other side open.
 */
static void keep_only(int fd)
{
	for (int other = STDERR_FILENO + 1; other < 256; other++)
		if (other != fd)
			close(other);
}

static pid_t start(enum side side, struct side_state *s, bool second,
		   int64_t limit)
{
	pid_t pid = fork();
	pthread_t thread;

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	keep_only(s->vfio.fd);
	self.fd = s->vfio.fd;
	self.side = side;
	self.channel = s->channel;
	self.tag = tag_of(s, second ? STRANGER : OWNER);
	make_scratch();
	make_memory(side, second);
	if (limit)
		be_limited(limit);
	if (second)
		serve(SECOND);
	for (int actor = THREAD1; actor <= THREAD2; actor++)
		if (pthread_create(&thread, NULL, serve_thread,
				   (void *)(uintptr_t)actor))
			_exit(3);
	serve(THREAD0);
	return 0;
}

/*
 * Functions that the main process calls
 */

static void post(struct side_state *s, enum actor actor, enum command command)
{
	s->channel[actor].command = command;
	sem_post(&s->channel[actor].request);
}

static bool wait_done(struct side_state *s, enum actor actor)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += ANSWER_SECONDS;
	while (sem_timedwait(&s->channel[actor].done, &until))
		if (errno != EINTR)
			return false;
	return true;
}

static bool command(struct side_state *s, enum actor actor, enum command what)
{
	post(s, actor, what);
	return wait_done(s, actor);
}

static void take_answer(struct side_state *s, const struct call *call,
			struct answer *answer)
{
	*answer = s->channel[call->actor].answer;
	s->vmlck[process_of(call->actor)] = answer->vmlck;
}

/* Make a call on one side; return false if it does not return in time */
bool side_call(struct side_state *s, const struct call *call,
	       struct answer *answer)
{
	s->channel[call->actor].call = *call;
	if (!command(s, call->actor, DO_CALL))
		return false;
	take_answer(s, call, answer);
	return true;
}

/*
 * Make all calls at the same time. The VmLck in an answer may have been read before the
 * other calls ended.
 */
bool side_burst(struct side_state *s, const struct op *op,
		struct answer *answer)
{
	bool ok = true;

	for (int i = 0; i < op->count; i++) {
		s->channel[op->call[i].actor].call = op->call[i];
		post(s, op->call[i].actor, DO_CALL);
	}
	for (int i = 0; i < op->count; i++)
		ok &= wait_done(s, op->call[i].actor);
	for (int i = 0; i < op->count; i++)
		take_answer(s, &op->call[i], &answer[i]);
	return ok;
}

bool side_fork(struct side_state *s)
{
	struct channel *child = &s->channel[CHILD];

	/* Reset the semaphores: the previous child may have been killed while it waited */
	sem_init(&child->request, 1, 0);
	sem_init(&child->done, 1, 0);
	s->vmlck[FORKED] = 0;
	return command(s, THREAD0, DO_FORK) &&
	       !s->channel[THREAD0].answer.ret;
}

/* Return true if memory consists of physically contiguous blocks of 2^shift bytes */
bool side_contiguous(struct side_state *s, enum actor actor, uint64_t ua,
		     uint64_t size, unsigned int shift)
{
	struct channel *channel = &s->channel[actor];

	channel->ua = ua;
	channel->size = size;
	channel->block = 1ULL << shift;
	return command(s, actor, DO_CONTIGUOUS) && channel->answer.ret == 1;
}

/* Find the user address to which the devices have written each stamp, 0 if not found */
bool side_find(struct side_state *s, enum actor actor, uint64_t stamp,
	       uint64_t *found)
{
	struct channel *channel = &s->channel[actor];

	channel->stamp = stamp;
	if (!command(s, actor, DO_FIND))
		return false;
	memcpy(found, channel->found, sizeof(channel->found));
	return true;
}

static bool choose_backend(enum side side)
{
	int fd = open(ENABLED, O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 && write(fd, side == OURS ? "1" : "0", 1) == 1;

	if (fd >= 0)
		close(fd);
	return ok;
}

/* Open the container of a side; the side's backend must handle it */
static bool open_served(struct side_state *s, enum side side)
{
	int before = module_refs(side_name[side]);
	int ret = vfio_open(&s->vfio);

	if (!ret)
		ret = vfio_attach(&s->vfio, s->slot);
	if (!ret && !choose_backend(side))
		ret = -EIO;
	if (!ret)
		ret = vfio_set_iommu(&s->vfio, VFIO_SPAPR_TCE_v2_IOMMU);
	choose_backend(OURS);
	if (ret)
		printf("# cannot open a container of %s: %s\n", side_name[side],
		       strerror(-ret));
	else if (module_refs(side_name[side]) != before + 1)
		printf("# the container is not handled by %s\n",
		       side_name[side]);
	else
		return true;
	return false;
}

bool side_open(struct side_state *s, enum side side, int slot, int64_t limit,
	       uint64_t tag)
{
	memset(s, 0, sizeof(*s));
	s->slot = slot;
	s->tag = tag;
	s->channel = channels[side];
	for (int actor = 0; actor < ACTORS; actor++) {
		memset(&s->channel[actor], 0, sizeof(struct channel));
		sem_init(&s->channel[actor].request, 1, 0);
		sem_init(&s->channel[actor].done, 1, 0);
	}
	vfio_init(&s->vfio);
	if (!open_served(s, side))
		return false;
	s->owner = start(side, s, false, limit);
	s->second = start(side, s, true, limit);
	return s->owner > 0 && s->second > 0 && side_fork(s);
}

static void end_process(pid_t pid)
{
	if (pid <= 0)
		return;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void end_processes(struct side_state *s)
{
	end_process(s->owner);
	end_process(s->second);
	s->owner = 0;
	s->second = 0;
}

/* Close the container in all processes; return the bytes still charged to them, or -1 */
static int64_t vmlck_after_close(struct side_state *s)
{
	static const enum actor one_each[] = { THREAD0, CHILD, SECOND };
	int64_t sum = 0;

	for (size_t i = 0; i < ARRAY_SIZE(one_each); i++)
		if (!command(s, one_each[i], DO_CLOSE))
			return -1;
	vfio_close(&s->vfio);
	for (size_t i = 0; i < ARRAY_SIZE(one_each); i++) {
		if (!command(s, one_each[i], DO_CLOSE))
			return -1;
		sum += s->channel[one_each[i]].answer.vmlck;
	}
	return sum;
}

/*
 * End a side. *@vmlck is set to the bytes that are still charged after the container was
 * closed, or to -1 if the processes ended first. Return false if the backend is still in
 * use after a timeout.
 */
bool side_close(struct side_state *s, bool kill_first, int64_t *vmlck)
{
	enum side side = s->channel == channels[OURS] ? OURS : INTREE;
	uint64_t until;

	*vmlck = -1;
	if (!kill_first && s->owner > 0 && s->second > 0)
		*vmlck = vmlck_after_close(s);
	end_processes(s);
	vfio_close(&s->vfio);
	until = now_ms() + SETTLE_MS;
	while (module_refs(side_name[side]) > 0 && now_ms() < until)
		usleep(5000);
	return module_refs(side_name[side]) == 0;
}
