/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The differential test: the same calls for a container of this module and for
 * one of the in-tree driver, one by one, and every answer compared.
 *
 *	differ.c		options, sequences, figures
 *	differ_generate.c	makes calls up, from a seed and the model
 *	differ_model.c		what both containers hold after the same calls
 *	differ_side.c		the two containers and the processes that call
 *	differ_step.c		has both sides carry a call out, and compares
 *	differ_intended.c	the intended differences, with their repair
 *	differ_never.c		the calls that the in-tree driver is spared
 *	differ_probe.c		what the devices reach
 *	differ_shrink.c		makes a failing sequence short
 *	differ_print.c		calls as C
 *
 * There is one model for both sides: where an intended difference leaves them
 * in different states, the step that found it brings them together again.
 */
#ifndef GUEST_DIFFER_H
#define GUEST_DIFFER_H

#include "lib.h"

#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <sys/types.h>

enum side { OURS, INTREE, SIDES };

/* Who calls: three threads of one process, a child that it forked, another */
enum actor { THREAD0, THREAD1, THREAD2, CHILD, SECOND, ACTORS };

/* The same by address space */
enum process { NOBODY = -1, OWNER, FORKED, STRANGER, PROCESSES };

/* Where a call's structure lies */
enum where {
	IN_MEMORY,	/* with bytes behind it that must stay as they are */
	AT_PAGE_END,	/* nothing is mapped behind it */
	CUT_SHORT,	/* its last byte is where nothing is mapped */
	READ_ONLY_PAGE,
	NOWHERE,	/* nothing is mapped there */
	AT_NULL,
	IN_KERNEL,
	BY_VALUE,	/* no structure: the argument is a number */
	PLACES,
};

#define ARG_BYTES	64

/* struct vfio_iommu_type1_dma_unmap without the data behind it: there is none */
struct unmap {
	uint32_t argsz;
	uint32_t flags;
	uint64_t iova;
	uint64_t size;
};

_Static_assert(sizeof(struct unmap) ==
	       offsetof(struct vfio_iommu_type1_dma_unmap, data) &&
	       offsetof(struct unmap, iova) ==
	       offsetof(struct vfio_iommu_type1_dma_unmap, iova) &&
	       offsetof(struct unmap, size) ==
	       offsetof(struct vfio_iommu_type1_dma_unmap, size),
	       "not what UNMAP_DMA takes");

/* Any request; all begin with the same two fields */
union request {
	uint8_t byte[ARG_BYTES];
	uint64_t value;
	struct {
		uint32_t argsz;
		uint32_t flags;
	};
	struct vfio_iommu_spapr_tce_info info;
	struct vfio_iommu_type1_dma_map map;
	struct unmap unmap;
	struct vfio_iommu_spapr_register_memory memory;
	struct vfio_iommu_spapr_tce_create create;
	struct vfio_iommu_spapr_tce_remove remove;
	struct vfio_eeh_pe_op eeh;
};

/**
 * struct call - one ioctl on the container
 * @nr: its number
 * @actor: who calls
 * @where: where the structure lies
 * @arg: the structure
 */
struct call {
	uint32_t nr;
	enum actor actor;
	enum where where;
	union request arg;
};

/**
 * struct answer - what a call has given on one side
 * @ret: 0 or more, or -errno
 * @out: the structure afterwards, and what lies behind it
 * @vmlck: locked memory of the caller's process afterwards, bytes
 */
struct answer {
	int ret;
	union request out;
	int64_t vmlck;
};

#define MAX_BURST	3
#define MAX_PROBES	5
#define MAX_WRITES	2	/* probes that are for writing, too */
#define STAMP_BYTES	16	/* what a device writes: stamp and number */

enum kind { CALL, BURST, FORK, PROBE };

/**
 * struct op - one step of a sequence
 * @kind: a call; calls by threads at once; the owner forks a new child; the
 *	devices are asked what they reach, to read at all addresses and to write
 *	at the first few
 * @count: calls, or bus addresses
 * @call: the calls
 * @iova: bus addresses to probe
 */
struct op {
	enum kind kind;
	int count;
	struct call call[MAX_BURST];
	uint64_t iova[MAX_PROBES];
};

/*
 * Memory: every process has the same at the same addresses, in units of the
 * base page from ARENA on.
 */
#define ARENA		0x100000000000ULL
#define HUGE		(ARENA + MIB(64))	/* huge, then base pages */
#define SINK		(ARENA + MIB(128))
#define SCRATCH		(ARENA + MIB(192))
#define ELSEWHERE	(ARENA + MIB(256))	/* mapped in SECOND only */

#define LOW_PAGES	48	/* read and write */
#define RO_PAGES	8
#define HOLE_PAGES	4
#define HIGH_PAGES	16
#define ARENA_PAGES	(LOW_PAGES + RO_PAGES + HOLE_PAGES + HIGH_PAGES)
#define HUGE_PAGES	2
#define TAIL_BYTES	MIB(2)	/* base pages behind the huge ones */

bool is_huge(uint64_t ua);
bool is_mapped(uint64_t ua, uint64_t size);
bool is_writable(uint64_t ua, uint64_t size);
uint64_t writable_pages(uint64_t ua, uint64_t size);

/*
 * The machine
 */

struct machine {
	bool hypervisor;
	bool has_huge;
	unsigned int page_shift;
	uint64_t pgsizes;
	uint64_t default_size;
	unsigned int max_levels;
};

extern struct machine machine;

/*
 * The model
 */

#define WINDOWS		2
#define MAX_REGIONS	64
#define MAX_RUNS	512
#define MAX_GONE	16
#define MAX_GROWN	512
#define DEFAULT_SHIFT	12

struct window {
	bool live;
	uint64_t start;
	uint64_t size;
	unsigned int shift;
	unsigned int levels;
	int64_t grown;	/* bytes charged here for levels that came later */
};

/* Entries of a window that this module has made levels of its table for */
struct grown {
	int slot;
	uint64_t first;
	uint64_t last;
};

struct region {
	uint64_t ua;
	uint64_t size;
};

/* A mapped range of bus addresses, and the user memory that it maps */
struct run {
	uint64_t iova;
	uint64_t size;
	uint64_t ua;
	uint32_t perm;
};

/**
 * struct model - what both containers hold
 * @bound: process that the container is bound to, or NOBODY
 * @enabled: memory was registered, be it gone again
 * @pending: the default window is still to be made
 * @window: by slot
 * @region: registered
 * @run: mapped
 * @grown: where tables of several levels have grown
 * @leaked: bytes that the in-tree driver won't give back
 * @limit: RLIMIT_MEMLOCK that holds for the calls, or 0
 * @gone: bus addresses, first and last ones, that were unmapped last
 * @gone_next: where the next one goes
 */
struct model {
	enum process bound;
	bool enabled;
	bool pending;
	struct window window[WINDOWS];
	struct region region[MAX_REGIONS];
	int regions;
	struct run run[MAX_RUNS];
	int runs;
	struct grown grown[MAX_GROWN];
	int growns;
	int64_t leaked;
	int64_t limit;
	uint64_t gone[MAX_GONE];
	unsigned int gone_next;
};

enum process process_of(enum actor actor);
enum actor actor_of(enum process process);
void model_init(struct model *m, int64_t limit);
bool may_call(const struct model *m, const struct call *call);
size_t size_of_request(const struct call *call);
bool is_read(const struct call *call);
bool head_is_valid(const struct call *call);

struct window window_of_default(void);
int window_at(const struct model *m, uint64_t iova, struct window *w);
uint64_t window_span(const struct window *w);
int free_slot(const struct model *m);
unsigned int level_shift(const struct window *w);
bool spans_too_much(const struct window *w);
int64_t charge_in_tree(const struct window *w);
int64_t charge_ours(const struct window *w);
uint64_t clear_steps(const struct window *w);
int64_t growth(const struct model *m, int slot, uint64_t iova, uint64_t size);

const struct run *run_at(const struct model *m, uint64_t iova);
bool overlaps_region(const struct model *m, uint64_t ua, uint64_t size);
int find_region(const struct model *m, uint64_t ua, uint64_t size);
const struct region *region_at(const struct model *m, uint64_t ua,
			       uint64_t size);
unsigned int largest_shift_in_tree(const struct region *r);
bool all_registered(const struct model *m, uint64_t ua, uint64_t size,
		    unsigned int shift);
bool region_is_mapped(const struct model *m, const struct region *r);
bool any_mapped(const struct model *m, uint64_t iova, uint64_t size);

void model_make_default(struct model *m);
void model_grow(struct model *m, int slot, uint64_t iova, uint64_t size);
void model_unmap(struct model *m, uint64_t iova, uint64_t size);
void model_apply(struct model *m, const struct call *call,
		 const struct answer *a);

/*
 * The sides
 */

/**
 * struct side_state - one container and those who call it
 * @vfio: the container with its group and device
 * @slot: which of the devices
 * @channel: how the callers are told what to do, by actor
 * @owner: the owner's process
 * @second: the other process
 * @vmlck: locked memory of each process after its last call
 * @tag: what this side's memory is marked with, by process
 */
struct side_state {
	struct vfio vfio;
	int slot;
	struct channel *channel;
	pid_t owner;
	pid_t second;
	int64_t vmlck[PROCESSES];
	uint64_t tag;
};

extern const char *const side_name[SIDES];

void sides_prepare(void);
bool side_open(struct side_state *s, enum side side, int slot, int64_t limit,
	       uint64_t tag);
bool side_close(struct side_state *s, bool kill_first, int64_t *vmlck);
bool side_call(struct side_state *s, const struct call *call,
	       struct answer *answer);
bool side_burst(struct side_state *s, const struct op *op,
		struct answer *answer);
bool side_fork(struct side_state *s);
bool side_contiguous(struct side_state *s, enum actor actor, uint64_t ua,
		     uint64_t size, unsigned int shift);
bool side_find(struct side_state *s, enum actor actor, uint64_t stamp,
	       uint64_t *found);
uint64_t tag_of(const struct side_state *s, enum process process);
uint64_t place_of_stamp(int i);
uint8_t *sink_of(enum side side);

/*
 * Running
 */

/**
 * struct run_state - a sequence that is being run
 * @m: what both sides hold
 * @side: the sides
 * @pins_before: pinned pages of the system when nothing had begun
 * @pins: and when they were last looked at
 * @promised: by how much the answers since then say that those have grown
 * @late: the in-tree driver has some of these to unpin
 * @over: the sides can't be brought together again: the sequence ends, and that
 *	is no failure
 * @failed: what differed, or ""
 * @failed_nr: the call that did, to tell failures apart
 */
struct run_state {
	struct model m;
	struct side_state side[SIDES];
	int64_t pins_before;
	int64_t pins;
	int64_t promised;
	bool late;
	bool over;
	char failed[512];
	uint32_t failed_nr;
};

void differs(struct run_state *r, uint32_t nr, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

void step(struct run_state *r, const struct op *op);
bool burst_may_be(const struct model *m, const struct op *op);
int64_t pins_moved(struct run_state *r);
int call_on(struct run_state *r, enum side side, const struct call *call,
	    struct answer *answer);
bool both_ok(struct run_state *r, struct call call);
bool binds(const struct call *call);
void check_bound(struct run_state *r, enum side side, bool bound);

struct call call_register(const struct model *m, uint64_t ua, uint64_t size);
struct call call_unregister(const struct model *m, uint64_t ua, uint64_t size);
struct call call_map(const struct model *m, uint64_t iova, uint64_t ua,
		     uint64_t size, uint32_t perm);
struct call call_unmap(const struct model *m, uint64_t iova, uint64_t size);
struct call call_create(const struct model *m, unsigned int shift,
			uint64_t size, unsigned int levels);
struct call call_remove(const struct model *m, uint64_t start);

/**
 * struct result - what one call gave on both sides
 * @r: the sequence; its model is as before the call until it is repaired
 * @call: the call
 * @a: the answers
 * @before: locked memory of the caller's process, bytes
 * @charged: by how much that grew
 * @skew: bytes that the in-tree driver charges more, as far as explained
 * @explained: that the answers differ
 */
struct result {
	struct run_state *r;
	const struct call *call;
	struct answer a[SIDES];
	int64_t before[SIDES];
	int64_t charged[SIDES];
	int64_t skew;
	bool explained;
};

/**
 * struct intended - a difference that is intended
 * @name: its name in the table at the end
 * @row: the row of Documentation/differences.rst, and why
 * @is: whether it is what a result shows; explains answers and charges
 * @repair: brings both sides to the same state again, or NULL
 * @count: how often it was met
 */
struct intended {
	const char *name;
	const char *row;
	bool (*is)(struct result *res);
	void (*repair)(struct result *res);
	unsigned long count;
};

#define MAX_INTENDED	40

bool fits(const struct result *res, enum side side, int64_t bytes);
void intended_explain(struct result *res, bool *applies);
void intended_repair(struct result *res, const bool *applies);
void intended_late_unpin(void);
void intended_print(void);

/**
 * struct never - calls that the in-tree driver is spared
 * @name: which
 * @reason: what they would do to it
 * @is: whether a call is one
 * @may_be: what this module may answer, where it is asked alone; it must change
 *	nothing
 * @nobody: it isn't asked either: what is lost is not the in-tree driver's
 * @count: how often there was one
 */
struct never {
	const char *name;
	const char *reason;
	bool (*is)(const struct model *m, const struct call *call);
	int may_be[3];
	bool nobody;
	unsigned long count;
};

struct never *never_for(const struct model *m, const struct call *call);
void never_print(void);

void probe(struct run_state *r, const struct op *op);
bool sink_register(struct run_state *r);

struct rng {
	uint64_t state;
};

uint64_t mix(uint64_t a, uint64_t b);
uint64_t rng_next(struct rng *rng);
struct op generate(struct rng *rng, const struct model *m);
struct op generate_malformed(struct rng *rng, const struct model *m);
struct op generate_last(struct rng *rng, const struct model *m);

/**
 * struct sequence - all that a sequence's course depends on
 * @number: its number in the run
 * @seed: of the run
 * @limit: RLIMIT_MEMLOCK, or 0
 * @kill: the processes are killed before the containers are closed
 * @op: the steps
 * @ops: how many
 */
struct sequence {
	uint64_t seed;
	unsigned int number;
	int64_t limit;
	bool kill;
	struct op *op;
	int ops;
};

#define FAILED_BYTES	sizeof(((struct run_state *)0)->failed)

bool sequence_begin(struct run_state *r, const struct sequence *q);
void sequence_end(struct run_state *r, const struct sequence *q);
bool replay(const struct sequence *q, const bool *without, char *failed,
	    uint32_t *nr);
void shrink(struct sequence *q, const char *failed, uint32_t nr);

void print_op(const struct op *op);
void print_call(const struct call *call);
const char *name_of(uint32_t nr);

struct figures {
	unsigned long calls;
	unsigned long bursts;
	unsigned long only_ours;
	unsigned long sequences;
	unsigned long cut;
	unsigned long probes;
	unsigned long reached;
	unsigned long writes;
	unsigned long written;
	unsigned long refused;
	unsigned long forks;
};

extern struct figures figures;

#endif /* GUEST_DIFFER_H */
