// SPDX-License-Identifier: GPL-2.0-only
/*
 * DMA by the devices. Each device reads at some bus addresses into its buffer, and then
 * writes the buffer to the sink, a page that is mapped temporarily. All user memory is
 * marked with its process and address, so the marks in the sink show which memory the
 * device has read.
 *
 * The device also reads stamps from the sink. After the sink is unmapped, the device
 * writes the stamps to the first few addresses, and the callers search their memory for
 * the stamps.
 *
 * A transfer takes a tenth of a second. To save time, both devices work at the same time,
 * and write to only a few of the addresses.
 */
#include "differ.h"

#include <pthread.h>
#include <string.h>

#define MARK_BYTES	16
#define STAMPS		2048	/* offset of the stamps in the sink and the buffer */

/**
 * struct prober - the work of one device in a probe
 * @r: the running sequence
 * @side: side of the device
 * @op: addresses to probe
 * @sink_iova: bus address of the sink
 * @ret: error of the device, or 0
 * @mark: mark that the device has read at each address
 * @stamp: stamp that the device writes
 * @found: for each address written, the user address where the callers found the stamp
 */
struct prober {
	struct run_state *r;
	enum side side;
	const struct op *op;
	uint64_t sink_iova;
	int ret;
	uint64_t mark[MAX_PROBES][2];
	uint64_t stamp;
	uint64_t found[MAX_WRITES];
};

/* Register the sink's page unless it is registered */
bool sink_register(struct run_state *r)
{
	if (r->m.bound == NOBODY)
		r->m.bound = OWNER;
	return find_region(&r->m, SINK, base_page()) >= 0 ||
	       both_ok(r, call_register(&r->m, SINK, base_page()));
}

/* Check for the bus addresses of 32-bit MSIs, where a write raises an interrupt */
static bool is_for_interrupts(uint64_t iova)
{
	return iova >> 16 == 0xffff;
}

/* Find a page of a window that is free for the sink */
static bool free_page(const struct model *m, const struct window *w,
		      uint64_t *iova)
{
	uint64_t one = 1ULL << w->shift;

	if (!w->live || w->shift > machine.page_shift)
		return false;
	for (int i = 1; i < 128 && one * i <= w->size; i++) {
		*iova = w->start + w->size - one * i;
		if (!any_mapped(m, *iova, one) && !is_for_interrupts(*iova))
			return true;
	}
	return false;
}

static const struct window *window_for_sink(const struct model *m,
					    uint64_t *iova)
{
	for (int slot = 0; slot < WINDOWS; slot++)
		if (free_page(m, &m->window[slot], iova))
			return &m->window[slot];
	return NULL;
}

static void *run_prober(void *arg)
{
	struct prober *p = arg;
	struct side_state *s = &p->r->side[p->side];
	struct edu *edu = &s->vfio.edu[s->slot];

	p->ret = vfio_open_device(&s->vfio, s->slot);
	for (int i = 0; i < p->op->count && !p->ret; i++)
		p->ret = edu_to_device(edu, p->op->iova[i], i * MARK_BYTES,
				       MARK_BYTES);
	return NULL;
}

static void *run_drain(void *arg)
{
	struct prober *p = arg;
	struct side_state *s = &p->r->side[p->side];
	struct edu *edu = &s->vfio.edu[s->slot];

	p->ret = edu_from_device(edu, p->sink_iova, 0,
				 p->op->count * MARK_BYTES);
	memcpy(p->mark, sink_of(p->side), sizeof(p->mark));
	if (!p->ret)
		p->ret = edu_to_device(edu, p->sink_iova + STAMPS, STAMPS,
				       MAX_WRITES * STAMP_BYTES);
	return NULL;
}

/*
 * Check that a probe may write to a bus address. Addresses of MSIs are excluded, and so
 * are addresses outside all windows, because IODA2 may translate them as addresses inside
 * a window.
 */
static bool may_be_written(const struct model *m, uint64_t iova)
{
	struct window w;

	return window_at(m, iova, &w) >= 0 && !is_for_interrupts(iova) &&
	       !(iova & (TCE_4K - 1));
}

static void *run_writer(void *arg)
{
	struct prober *p = arg;
	struct side_state *s = &p->r->side[p->side];
	struct edu *edu = &s->vfio.edu[s->slot];

	for (int i = 0; i < MAX_WRITES && !p->ret; i++)
		if (may_be_written(&p->r->m, p->op->iova[i]))
			p->ret = edu_from_device(edu, p->op->iova[i] +
						 place_of_stamp(i),
						 STAMPS + i * STAMP_BYTES,
						 STAMP_BYTES);
	return NULL;
}

static void on_both(struct prober *prober, void *(*run)(void *))
{
	pthread_t thread;
	bool threaded = !pthread_create(&thread, NULL, run, &prober[INTREE]);

	run(&prober[OURS]);
	if (threaded)
		pthread_join(thread, NULL);
	else
		run(&prober[INTREE]);
}

/* Return the user address in a mark, or 0 if the mark is not from the bound process */
static uint64_t reached(struct run_state *r, const struct prober *p, int i)
{
	uint64_t tag = tag_of(&r->side[p->side], r->m.bound);

	return p->mark[i][0] == tag ? p->mark[i][1] : 0;
}

/* Return the user address that a device must read, 0 for none or for the sink without marks */
static uint64_t expected(const struct model *m, uint64_t iova)
{
	const struct run *run = run_at(m, iova);
	uint64_t ua;

	if (!run)
		return 0;
	/* Unlike a hypervisor, IODA2 lets devices read memory that is mapped write-only */
	if (machine.hypervisor && !(run->perm & READ_ONLY))
		return 0;
	ua = run->ua + (iova - run->iova);
	return ua - SINK < base_page() ? 0 : ua;
}

/*
 * Return the user address that both devices must read. Outside all windows IODA2 ignores
 * upper bits of the bus address, and may translate it as an address inside a window. Both
 * devices must then read the same memory.
 */
static uint64_t wanted(struct run_state *r, const struct prober *prober, int i)
{
	uint64_t iova = prober->op->iova[i];
	struct window w;

	if (window_at(&r->m, iova, &w) < 0 || is_for_interrupts(iova))
		return reached(r, &prober[INTREE], i);
	return expected(&r->m, iova);
}

static void check_one(struct run_state *r, const struct prober *prober, int i)
{
	uint64_t want = wanted(r, prober, i), saw[SIDES];

	for (int side = 0; side < SIDES; side++)
		saw[side] = reached(r, &prober[side], i);
	figures.probes++;
	figures.reached += want != 0;
	if (saw[OURS] != want || saw[INTREE] != want)
		differs(r, 0,
			"at %#lx the device reads the memory at %#lx with %s, at %#lx with %s, expected %#lx",
			prober->op->iova[i], saw[OURS], side_name[OURS],
			saw[INTREE], side_name[INTREE], want);
}

static void check(struct run_state *r, const struct prober *prober)
{
	for (int side = 0; side < SIDES; side++)
		if (prober[side].ret)
			differs(r, 0, "%s: the device failed: %d",
				side_name[side], prober[side].ret);
	for (int i = 0; i < prober->op->count && !r->failed[0]; i++)
		check_one(r, prober, i);
}

/* Create a window for the sink; its IOMMU pages must not be larger than the sink, a base page */
static struct call call_for_room(const struct model *m)
{
	unsigned int shift = machine.page_shift < 16 ? DEFAULT_SHIFT : 16;

	return call_create(m, shift, machine.hypervisor ? GIB(2) : MIB(64), 1);
}

/* Replace all windows by a window with room for the sink; the sequence ends afterwards */
static bool make_room(struct run_state *r)
{
	struct model *m = &r->m;

	if (m->pending && !both_ok(r, call_remove(m, 0)))
		return false;
	for (int slot = 0; slot < WINDOWS; slot++)
		if (m->window[slot].live &&
		    !both_ok(r, call_remove(m, m->window[slot].start)))
			return false;
	return both_ok(r, call_for_room(m));
}

/* Let both devices write the data that they have read to the sink */
static bool drain(struct run_state *r, struct prober *prober)
{
	const struct window *w;
	uint64_t iova;

	w = window_for_sink(&r->m, &iova);
	if (!w) {
		r->over = true;
		if (!make_room(r))
			return false;
		w = window_for_sink(&r->m, &iova);
	}
	if (!w || !both_ok(r, call_map(&r->m, iova, SINK, 1ULL << w->shift,
				       READ_WRITE)))
		return false;
	for (int side = 0; side < SIDES; side++)
		prober[side].sink_iova = iova;
	if (!prober[OURS].ret && !prober[INTREE].ret)
		on_both(prober, run_drain);
	return both_ok(r, call_unmap(&r->m, iova, 1ULL << w->shift));
}

/* Return the user address that a device must write, 0 for none or for the sink (not searched) */
static uint64_t writable(const struct model *m, uint64_t iova)
{
	const struct run *run = run_at(m, iova);
	uint64_t ua;

	if (!run || !may_be_written(m, iova) || !(run->perm & WRITE_ONLY))
		return 0;
	ua = run->ua + (iova - run->iova);
	return ua - SINK < base_page() ? 0 : ua;
}

static void check_write(struct run_state *r, const struct prober *prober, int i)
{
	uint64_t iova = prober->op->iova[i], want = writable(&r->m, iova);
	const struct run *run = run_at(&r->m, iova);

	if (!may_be_written(&r->m, iova))
		return;
	figures.writes++;
	figures.written += want != 0;
	figures.refused += run && run->perm == READ_ONLY;
	for (int side = 0; side < SIDES; side++)
		if (prober[side].found[i] != want)
			differs(r, 0,
				"at %#lx the device writes to the memory at %#lx with %s, expected %#lx",
				iova, prober[side].found[i], side_name[side],
				want);
}

/* Let both devices write their stamps, and search the callers' memory for them */
static void probe_writes(struct run_state *r, struct prober *prober)
{
	on_both(prober, run_writer);
	for (int side = 0; side < SIDES; side++)
		if (prober[side].ret ||
		    !side_find(&r->side[side], actor_of(r->m.bound),
			       prober[side].stamp, prober[side].found)) {
			differs(r, 0, "%s: cannot write or find stamps: %d", side_name[side],
				prober[side].ret);
			return;
		}
	for (int i = 0; i < MAX_WRITES; i++)
		check_write(r, prober, i);
}

/* Make new stamps for each probe, because the old stamps stay in memory */
static void make_stamps(struct prober *p)
{
	static uint64_t number;
	uint64_t *word = (uint64_t *)(sink_of(p->side) + STAMPS);

	p->stamp = mix(p->r->side[p->side].tag, ++number) | 1;
	memset(sink_of(p->side), 0, base_page());
	for (int i = 0; i < MAX_WRITES; i++) {
		word[2 * i] = p->stamp;
		word[2 * i + 1] = i;
	}
}

void probe(struct run_state *r, const struct op *op)
{
	struct prober prober[SIDES] = {
		{ .r = r, .side = OURS, .op = op },
		{ .r = r, .side = INTREE, .op = op },
	};
	static struct run_state then;

	if (!sink_register(r)) {
		r->over = true;
		return;
	}
	for (int side = 0; side < SIDES; side++)
		make_stamps(&prober[side]);
	on_both(prober, run_prober);
	/* Compare the reads with the state before the sink was mapped */
	then = *r;
	if (drain(r, prober)) {
		check(&then, prober);
		if (then.failed[0])
			differs(r, 0, "%s", then.failed);
		else
			probe_writes(r, prober);
		return;
	}
	/* Under a low limit there may be no room for the sink */
	r->over = true;
	if (!r->m.limit)
		differs(r, 0, "cannot map the sink");
}
