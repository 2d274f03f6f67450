// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the devices reach. Each reads at some bus addresses into its buffer, and
 * then writes that to the sink, a page that is mapped for it meanwhile. Memory
 * is marked with whose it is and where, so what comes tells what was reached.
 * From the sink it has read stamps besides, which it writes to a few of the
 * addresses once the sink is gone; the callers look where those have come to.
 * A transfer takes the device a tenth of a second, hence both work at once, and
 * only a few of the addresses are written to.
 */
#include "differ.h"

#include <pthread.h>
#include <string.h>

#define MARK_BYTES	16
#define STAMPS		2048	/* where they are in the sink and the buffer */

/**
 * struct prober - what one device does
 * @r: the sequence
 * @side: which
 * @op: where to read
 * @sink_iova: where the sink is
 * @ret: the device's failure, or 0
 * @mark: what was read
 * @stamp: what is written
 * @found: where it was found
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

/* Registers the sink's page, unless it still is */
bool sink_register(struct run_state *r)
{
	if (r->m.bound == NOBODY)
		r->m.bound = OWNER;
	return find_region(&r->m, SINK, base_page()) >= 0 ||
	       both_ok(r, call_register(&r->m, SINK, base_page()));
}

/* PCI's 32-bit message interrupts: whatever is written there is one */
static bool is_for_interrupts(uint64_t iova)
{
	return iova >> 16 == 0xffff;
}

/* A page of a window that is free for the sink */
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
 * Not where there is no window, which on IODA2 may lead into one after all, and
 * not what the machine would take for an interrupt
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

/* Where a mark says that the device has been, 0 if it isn't one of ours */
static uint64_t reached(struct run_state *r, const struct prober *p, int i)
{
	uint64_t tag = tag_of(&r->side[p->side], r->m.bound);

	return p->mark[i][0] == tag ? p->mark[i][1] : 0;
}

/* What a device must reach there; the sink isn't marked, so nothing of that */
static uint64_t expected(const struct model *m, uint64_t iova)
{
	const struct run *run = run_at(m, iova);
	uint64_t ua;

	if (!run)
		return 0;
	/* IODA2 lets them read what is mapped for writing only */
	if (machine.hypervisor && !(run->perm & READ_ONLY))
		return 0;
	ua = run->ua + (iova - run->iova);
	return ua - SINK < base_page() ? 0 : ua;
}

/*
 * Where there is no window, IODA2 may take an address for one inside a window,
 * of which it ignores the upper bits: what is there must be the same for both.
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
			"at %#lx the device reads memory of %#lx with %s, %#lx with %s, and should of %#lx",
			prober->op->iova[i], saw[OURS], side_name[OURS],
			saw[INTREE], side_name[INTREE], want);
}

static void check(struct run_state *r, const struct prober *prober)
{
	for (int side = 0; side < SIDES; side++)
		if (prober[side].ret)
			differs(r, 0, "%s: the device fails: %d",
				side_name[side], prober[side].ret);
	for (int i = 0; i < prober->op->count && !r->failed[0]; i++)
		check_one(r, prober, i);
}

/* Smaller pages than a window's can't be mapped in it */
static struct call call_for_room(const struct model *m)
{
	unsigned int shift = machine.page_shift < 16 ? DEFAULT_SHIFT : 16;

	return call_create(m, shift, machine.hypervisor ? GIB(2) : MIB(64), 1);
}

/* No window has room for the sink: the sequence's last probe makes one */
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

/* Has both devices write to the sink what they have read */
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

/* What a device must be able to write there; the sink isn't looked through */
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
				"at %#lx the device writes to memory of %#lx with %s, and should to %#lx",
				iova, prober[side].found[i], side_name[side],
				want);
}

/* Has both devices write, and looks for it */
static void probe_writes(struct run_state *r, struct prober *prober)
{
	on_both(prober, run_writer);
	for (int side = 0; side < SIDES; side++)
		if (prober[side].ret ||
		    !side_find(&r->side[side], actor_of(r->m.bound),
			       prober[side].stamp, prober[side].found)) {
			differs(r, 0, "%s: no writing: %d", side_name[side],
				prober[side].ret);
			return;
		}
	for (int i = 0; i < MAX_WRITES; i++)
		check_write(r, prober, i);
}

/* Stamps are new each time, as those of before stay where they are */
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
	/* What they must have reached is what was there then */
	then = *r;
	if (drain(r, prober)) {
		check(&then, prober);
		if (then.failed[0])
			differs(r, 0, "%s", then.failed);
		else
			probe_writes(r, prober);
		return;
	}
	/* In a tight limit there may be no room */
	r->over = true;
	if (!r->m.limit)
		differs(r, 0, "the sink can't be mapped");
}
