// SPDX-License-Identifier: GPL-2.0-only
/*
 * Main program of the differential test (differ.h): run sequences of random calls, each
 * sequence on new containers, and print the numbers of calls made.
 *
 *	differ [--seed S] [--calls N] [--sequence-length L] [--only-sequence N]
 *		[--verbose]
 *
 * The test stops after N compared calls, or at the first difference that is not
 * intended. After such a difference it prints a short sequence that shows the
 * difference; `--seed S --only-sequence N` runs the complete sequence again. Both
 * backends must be loaded, and no other client may run.
 */
#include "differ.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SETTLE_MS	5000

static uint64_t seed = 1;
static unsigned long calls = 3000;
static int length = 100;
static long only_sequence = -1;
static bool verbose;

static uint64_t sequence_seed(const struct sequence *q)
{
	return mix(q->seed, q->number);
}

/* Return the device of a side: the two sides exchange their devices after each sequence */
static int slot_of(const struct sequence *q, enum side side)
{
	return (q->number + side) % SLOTS;
}

bool sequence_begin(struct run_state *r, const struct sequence *q)
{
	uint64_t tag = sequence_seed(q) | 1;

	memset(r, 0, sizeof(*r));
	model_init(&r->m, q->limit);
	r->pins_before = pins();
	r->pins = r->pins_before;
	for (int side = 0; side < SIDES; side++)
		if (!side_open(&r->side[side], side, slot_of(q, side),
			       q->limit, mix(tag, side))) {
			differs(r, 0, "cannot open a container of %s", side_name[side]);
			return false;
		}
	/* Forget changes of the pin counter before this sequence */
	pins_moved(r);
	return true;
}

/*
 * Close the containers of both sides. No page may stay pinned, and no byte may stay
 * charged, except the bytes that the in-tree driver leaks.
 */
void sequence_end(struct run_state *r, const struct sequence *q)
{
	int64_t pinned, vmlck[SIDES];
	uint64_t until;

	for (int side = 0; side < SIDES; side++)
		if (!side_close(&r->side[side], q->kill, &vmlck[side]))
			differs(r, 0, "%s is still in use after the sequence",
				side_name[side]);
	until = now_ms() + SETTLE_MS;
	/* The in-tree driver unpins asynchronously */
	while ((pinned = pins()) != r->pins_before && now_ms() < until)
		usleep(2000);
	if (pinned != r->pins_before)
		differs(r, 0, "%lld pages are still pinned",
			(long long)(pinned - r->pins_before));
	figures.cut += r->over;
	if (q->kill)
		return;
	if (vmlck[OURS])
		differs(r, 0, "%s: %lld bytes are still charged", side_name[OURS],
			(long long)vmlck[OURS]);
	/* If the sequence ended early, the in-tree driver's leaks are unknown */
	if (!r->over && vmlck[INTREE] != r->m.leaked)
		differs(r, 0, "%s: %lld bytes are still charged instead of %lld",
			side_name[INTREE], (long long)vmlck[INTREE],
			(long long)r->m.leaked);
}

static void show_step(const struct run_state *r, const struct op *op)
{
	if (!verbose)
		return;
	print_op(op);
	if (r->failed[0])
		printf("# %s\n", r->failed);
}

/* Run a sequence again, except the steps in @without; return true if it passes */
bool replay(const struct sequence *q, const bool *without, char *failed,
	    uint32_t *nr)
{
	static struct run_state r;

	if (sequence_begin(&r, q))
		for (int i = 0; i < q->ops && !r.failed[0] && !r.over; i++)
			if (!without || !without[i])
				step(&r, &q->op[i]);
	sequence_end(&r, q);
	memcpy(failed, r.failed, sizeof(r.failed));
	*nr = r.failed_nr;
	return !r.failed[0];
}

/* The first step of most sequences: remove the default window, which is slow to clear */
static struct op remove_default(const struct model *m)
{
	return (struct op){
		.kind = CALL, .count = 1, .call = { call_remove(m, 0) },
	};
}

static void steps(struct run_state *r, struct sequence *q, struct rng *rng)
{
	bool without_default = rng_next(rng) % (q->limit ? 2 : 6);
	bool malformed = rng_next(rng) % 4 == 0;

	while (q->ops < length && !r->failed[0] && !r->over &&
	       figures.calls < calls) {
		struct op *op = &q->op[q->ops++];

		if (q->ops == 1 && malformed)
			*op = generate_malformed(rng, &r->m);
		else if (q->ops == 1 + malformed && without_default)
			*op = remove_default(&r->m);
		else
			*op = generate(rng, &r->m);
		step(r, op);
		show_step(r, op);
	}
	if (r->failed[0] || r->over)
		return;
	q->op[q->ops++] = generate_last(rng, &r->m);
	step(r, &q->op[q->ops - 1]);
	show_step(r, &q->op[q->ops - 1]);
}

/*
 * Choose RLIMIT_MEMLOCK for a sequence, or 0 for no limit. Some sequences have a low limit,
 * because the default window is charged against it, too.
 */
static int64_t a_limit(struct rng *rng)
{
	static const int64_t limits[] = { MIB(4), MIB(12), MIB(32) };

	return rng_next(rng) % 100 < 20 ?
	       limits[rng_next(rng) % ARRAY_SIZE(limits)] : 0;
}

static bool run_sequence(unsigned int number)
{
	static struct run_state r;
	struct sequence q = { .seed = seed, .number = number };
	struct rng rng = { sequence_seed(&q) };

	q.op = calloc(length + 1, sizeof(*q.op));
	if (!q.op)
		return false;
	q.limit = a_limit(&rng);
	q.kill = rng_next(&rng) % 2;
	if (verbose)
		printf("# sequence %u%s%s\n", number,
		       q.limit ? ", limited" : "", q.kill ? ", killed" : "");
	if (sequence_begin(&r, &q))
		steps(&r, &q, &rng);
	sequence_end(&r, &q);
	figures.sequences++;
	if (r.failed[0]) {
		struct figures tried = figures;

		printf("# seed %llu, sequence %u, step %d: %s\n",
		       (unsigned long long)seed, number, q.ops, r.failed);
		if (q.ops)
			print_op(&q.op[q.ops - 1]);
		fflush(stdout);
		shrink(&q, r.failed, r.failed_nr);
		/* Do not count the calls that shrink() has made */
		figures = tried;
	}
	free(q.op);
	return !r.failed[0];
}

/* Read the properties of the machine, which determine the generated calls */
static bool look_at_machine(void)
{
	struct vfio_iommu_spapr_tce_info info = { .argsz = sizeof(info) };
	struct vfio v;
	void *huge;
	int ret = vfio_open(&v);

	if (!ret)
		ret = vfio_attach(&v, 0);
	if (!ret)
		ret = vfio_set_iommu(&v, VFIO_SPAPR_TCE_v2_IOMMU);
	if (!ret)
		ret = get_info(v.fd, &info);
	vfio_close(&v);
	machine.hypervisor = under_hypervisor();
	machine.page_shift = __builtin_ctzll(base_page());
	machine.pgsizes = info.ddw.pgsizes;
	machine.max_levels = info.ddw.levels;
	machine.default_size = info.dma32_window_size;
	/* Five sets of hugepages: one for each of two processes on each side, and a spare set */
	huge = mem_hugetlb(MIB(2), 5 * HUGE_PAGES);
	machine.has_huge = huge;
	if (huge)
		munmap(huge, 5 * HUGE_PAGES * MIB(2));
	if (ret)
		printf("# cannot open a v2 container: %s\n", strerror(-ret));
	return !ret;
}

static void print_figures(uint64_t begin)
{
	uint64_t ms = now_ms() - begin;

	printf("# %lu calls compared (%lu bursts), %lu made on %s only, %lu sequences, seed %llu\n",
	       figures.calls, figures.bursts, figures.only_ours,
	       side_name[OURS], figures.sequences, (unsigned long long)seed);
	printf("# %lu successful calls were vectors on %s, %lu were copies\n",
	       figures.vectors, side_name[OURS], figures.copies);
	printf("# %lu probes by the devices, %lu of mapped memory\n",
	       figures.probes, figures.reached);
	printf("# %lu writes by the devices, %lu to memory mapped for writing, %lu to memory mapped read-only\n",
	       figures.writes, figures.written, figures.refused);
	printf("# %lu forks; %llu ms, %llu calls a second\n", figures.forks,
	       (unsigned long long)ms,
	       (unsigned long long)(figures.calls * 1000 / (ms ? ms : 1)));
	intended_print();
	never_print();
	printf("# differ: seed=%llu calls=%lu bursts=%lu alone=%lu sequences=%lu cut=%lu probes=%lu reached=%lu writes=%lu written=%lu refused=%lu\n",
	       (unsigned long long)seed, figures.calls, figures.bursts,
	       figures.only_ours, figures.sequences, figures.cut,
	       figures.probes, figures.reached, figures.writes,
	       figures.written, figures.refused);
}

static int run_all(void)
{
	uint64_t begin = now_ms();
	unsigned int number = 0;
	bool ok = true;

	if (vfio_devices() < SLOTS) {
		printf("# this test needs two edu devices\n");
		return 1;
	}
	if (!look_at_machine())
		return 1;
	printf("# seed %llu, %zu KiB pages, %s\n", (unsigned long long)seed,
	       base_page() / 1024,
	       machine.hypervisor ? "under a hypervisor" : "bare metal");
	if (only_sequence >= 0)
		ok = run_sequence(only_sequence);
	else
		while (ok && figures.calls < calls)
			ok = run_sequence(number++);
	print_figures(begin);
	return !ok || !figures.calls;
}

static void usage(void)
{
	fputs("usage: differ [--seed S] [--calls N] [--sequence-length L] [--only-sequence N] [--verbose]\n",
	      stderr);
	exit(2);
}

static uint64_t take_number(const char *text)
{
	uint64_t number;

	if (!number_of(text, &number)) {
		fprintf(stderr, "differ: '%s' is not a number\n", text);
		usage();
	}
	return number;
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : "";

		if (!strcmp(argv[i], "--verbose")) {
			verbose = true;
			continue;
		}
		if (!strcmp(argv[i], "--seed"))
			seed = take_number(value);
		else if (!strcmp(argv[i], "--calls"))
			calls = take_number(value);
		else if (!strcmp(argv[i], "--sequence-length"))
			length = take_number(value);
		else if (!strcmp(argv[i], "--only-sequence"))
			only_sequence = take_number(value);
		else
			usage();
		i++;
	}
	if (length < 1 || length > 100000)
		usage();
	setvbuf(stdout, NULL, _IOLBF, 0);
	sides_prepare();
	return run_all();
}
