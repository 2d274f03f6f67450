/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The differential test: make the same calls on a container of this module and on a
 * container of the in-tree driver, one by one, and compare all answers.
 *
 *	differ.c		options, sequences, figures
 *	differ_generate.c	generates calls from a seed and the model
 *	differ_model.c		the state of both containers after the same calls
 *	differ_side.c		the two containers and the processes that call
 *	differ_step.c		makes a call on both sides and compares the answers
 *	differ_intended.c	the intended differences and their repairs
 *	differ_never.c		calls that are not made on the in-tree driver
 *	differ_probe.c		DMA by the devices
 *	differ_shrink.c		shortens a failing sequence
 *	differ_print.c		prints calls as C
 *
 * The container of a backend, with its device and its callers, is a side. One model has
 * the state in which both sides should be. An intended difference may leave the sides in
 * different states. The step that finds the difference then repairs it: it makes calls
 * that bring both sides back to the state of the model.
 */
#ifndef GUEST_DIFFER_H
#define GUEST_DIFFER_H

#include "lib.h"

#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <sys/types.h>

enum side { OURS, INTREE, SIDES };

/* The callers: three threads of one process, its forked child, a second process */
enum actor { THREAD0, THREAD1, THREAD2, CHILD, SECOND, ACTORS };

/* The processes of the callers, each with a separate address space */
enum process { NOBODY = -1, OWNER, FORKED, STRANGER, PROCESSES };

/* Possible locations of a request's structure in memory */
enum where {
	IN_MEMORY,	/* followed by bytes that must not change */
	AT_PAGE_END,	/* followed by an unmapped page */
	CUT_SHORT,	/* the last byte is in an unmapped page */
	READ_ONLY_PAGE,
	NOWHERE,	/* in an unmapped page */
	AT_NULL,
	IN_KERNEL,
	BY_VALUE,	/* no structure: the argument is a number */
	PLACES,
};

#define ARG_BYTES	64

/* struct vfio_iommu_type1_dma_unmap without the array "data", which no call uses */
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
	       "struct unmap must match the request of UNMAP_DMA");

/* The structure of any request; all begin with argsz and flags */
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

/* How a call is made on this module; the in-tree driver gets the ioctl */
enum form {
	AS_IOCTL,
	AS_VECTOR,	/* as the only element of a vector */
	AS_COPY,	/* MAP_DMA: as a copy, the only element of a vector */
};

/**
 * struct call - one ioctl on the container
 * @nr: number of the ioctl
 * @actor: caller
 * @where: location of the structure in memory
 * @form: how the call is made on this module
 * @source: AS_COPY: bus address where the memory of the request is mapped
 * @arg: the structure, or the number that is passed instead of an address (BY_VALUE)
 */
struct call {
	uint32_t nr;
	enum actor actor;
	enum where where;
	enum form form;
	uint64_t source;
	union request arg;
};

/**
 * struct answer - result of a call on one side
 * @ret: return value of the ioctl, or -errno
 * @out: the structure and the following bytes after the call
 * @vmlck: locked memory of the caller's process after the call, in bytes
 */
struct answer {
	int ret;
	union request out;
	int64_t vmlck;
};

#define MAX_BURST	3
#define MAX_PROBES	5
#define MAX_WRITES	2	/* number of addresses of a probe to which devices also write */
#define STAMP_BYTES	16	/* size of a device's write: stamp and number */

enum kind { CALL, BURST, FORK, PROBE };

/**
 * struct op - one step of a sequence
 * @kind: CALL makes one call, BURST makes calls by several threads at the same time.
 *	FORK lets the owner of the container fork a new child. PROBE lets the devices
 *	read at all bus addresses of the step and write at the first MAX_WRITES of them.
 * @count: number of calls, or of bus addresses to probe
 * @call: the calls to make
 * @iova: bus addresses to probe
 */
struct op {
	enum kind kind;
	int count;
	struct call call[MAX_BURST];
	uint64_t iova[MAX_PROBES];
};

/*
 * User memory. All processes have the same layout, which begins at ARENA and is in
 * units of base pages.
 */
#define ARENA		0x100000000000ULL
#define HUGE		(ARENA + MIB(64))	/* hugepages, then base pages */
#define SINK		(ARENA + MIB(128))
#define SCRATCH		(ARENA + MIB(192))
#define ELSEWHERE	(ARENA + MIB(256))	/* mapped in SECOND only */

#define LOW_PAGES	48	/* read and write */
#define RO_PAGES	8
#define HOLE_PAGES	4
#define HIGH_PAGES	16
#define ARENA_PAGES	(LOW_PAGES + RO_PAGES + HOLE_PAGES + HIGH_PAGES)
#define HUGE_PAGES	2
#define TAIL_BYTES	MIB(2)	/* base pages after the hugepages */

bool is_huge(uint64_t ua);
bool is_mapped(uint64_t ua, uint64_t size);
bool is_writable(uint64_t ua, uint64_t size);
uint64_t writable_pages(uint64_t ua, uint64_t size);

/*
 * Properties of the machine
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
 * The model: the state of the containers
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
	int64_t grown;	/* bytes that this module charged for levels that mappings made */
};

/* A range of entries for which a mapping has made a table level, with this module */
struct grown {
	int slot;
	uint64_t first;
	uint64_t last;
};

struct region {
	uint64_t ua;
	uint64_t size;
};

/* A mapped range of bus addresses, and its user memory */
struct run {
	uint64_t iova;
	uint64_t size;
	uint64_t ua;
	uint32_t perm;
};

/**
 * struct model - state of both containers
 * @bound: process to which the container is bound, negative if unbound
 * @enabled: memory was registered at least once
 * @pending: the default window exists for callers, but its table has not been made yet
 * @window: windows, by slot
 * @region: registered regions
 * @run: mapped ranges
 * @grown: entries for which this module made table levels after TCE_CREATE
 * @leaked: bytes that the in-tree driver never uncharges
 * @limit: RLIMIT_MEMLOCK of the callers, 0 for no limit
 * @gone: first and last bus addresses of the latest unmapped ranges
 * @gone_next: index of the next entry in @gone
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
 * The sides: a container of each backend
 */

/**
 * struct side_state - one container and its callers
 * @vfio: container, group and device
 * @slot: number of the device
 * @channel: channels to the callers, by actor
 * @owner: process with the callers THREAD0 to THREAD2
 * @second: process with the caller SECOND
 * @vmlck: locked memory of each process after its last call
 * @tag: mark of this side's memory, see tag_of()
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
 * A running sequence, and its results
 */

/**
 * struct run_state - a running sequence
 * @m: model of the state of both sides
 * @side: containers and callers of both sides
 * @pins_before: pinned pages of the system before the sequence
 * @pins: pinned pages of the system at the last reading
 * @promised: change of the pinned pages since the last reading, as implied by the answers
 * @late: the in-tree driver may still have to unpin some of these pages
 * @over: the sides cannot be repaired, so the sequence ends without a failure
 * @failed: text about the first difference, or ""
 * @failed_nr: ioctl number of the differing call, to tell failures apart
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
 * struct result - results of one call on both sides
 * @r: the running sequence; during the comparison its model has the state before the call
 * @call: the call
 * @a: answers of both sides
 * @before: locked memory of the caller's process before the call, in bytes
 * @charged: increase of the locked memory during the call
 * @skew: bytes by which the in-tree driver's charge should exceed this module's charge
 * @explained: the difference between the answers is intended
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
 * struct intended - an intended difference
 * @name: name in the table that is printed at the end
 * @row: beginning of the row in Documentation/differences.rst that has the reason
 * @is: check whether a result shows the difference; set @explained and @skew of the result
 * @repair: bring both sides to the same state again, or NULL
 * @count: number of results that showed the difference
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
 * struct never - calls that are not made on the in-tree driver
 * @name: name of these calls
 * @reason: effect of these calls on the in-tree driver
 * @is: check whether a call belongs to these calls
 * @may_be: errors that this module may return; the call must not change this module's state
 * @count: number of such calls
 */
struct never {
	const char *name;
	const char *reason;
	bool (*is)(const struct model *m, const struct call *call);
	int may_be[3];
	bool nobody;	/* made on no side: on this module the calls would harm the test, too */
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
 * struct sequence - the complete input of a sequence
 * @number: number of the sequence in the run
 * @seed: seed of the run
 * @limit: RLIMIT_MEMLOCK of the callers, 0 for no limit
 * @kill: kill the processes before the containers are closed
 * @op: steps
 * @ops: number of steps
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
	unsigned long vectors;	/* calls that were vectors on this module, and succeeded */
	unsigned long copies;
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
