// SPDX-License-Identifier: GPL-2.0-only
/*
 * A TCG plugin of QEMU that counts the instructions and the memory accesses of a guest by
 * the address of the instruction. The guest starts and stops the counting by instructions that
 * do nothing on POWER:
 *
 *	or 23,23,23	count memory accesses, too, a few milliseconds later and until the end
 *	or 22,22,22	begin the next phase; the counts begin at zero
 *	or 20,20,20	count on this processor
 *	or 21,21,21	do not count on this processor
 *
 * The argument is out=FILE. FILE has lines of these forms, with numbers in hexadecimal:
 *
 *	phase N
 *	insn CPU PC COUNT
 *	load CPU PC LINE COUNT
 *	store CPU PC LINE COUNT
 *
 * LINE is a physical address divided by the size of a cache line. Accesses to devices are
 * not counted. Counting them takes a call for each access, which would make the boot of the
 * guest several times slower, so the guest asks for it.
 *
 * A vCPU counts only in its own arrays, so vCPUs run without a lock. Phases begin while no
 * processor counts.
 */
#include "qemu.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_VCPUS	8
#define PLACES		(1 << 21)	/* instructions of the guest */
#define ACCESSES	(1 << 20)	/* pairs of an instruction and a cache line */
#define LINE_SHIFT	7		/* POWER has cache lines of 128 bytes */

/* The instruction "or reg,reg,reg" */
static uint32_t nop(unsigned int reg)
{
	return 31u << 26 | reg << 21 | reg << 16 | reg << 11 | 444u << 1;
}

/**
 * struct place - an instruction of the guest
 * @pc: its virtual address
 * @count: number of times each vCPU has run it in this phase
 */
struct place {
	uint64_t pc;
	uint64_t count[MOST_VCPUS];
};

/**
 * struct access - accesses of an instruction to a cache line
 * @place: the instruction
 * @line: the number of the cache line
 * @is_store: stores, not loads
 * @count: number of accesses in this phase; 0 in a free entry
 */
struct access {
	const struct place *place;
	uint64_t line;
	bool is_store;
	uint64_t count;
};

/* The set of known instructions, a hash table; changed with the lock held */
static struct place *places[PLACES];
static pthread_mutex_t places_lock = PTHREAD_MUTEX_INITIALIZER;

/* For each vCPU a hash table */
static struct access *accesses[MOST_VCPUS];

/*
 * The vCPUs that count. Translated code reads the scoreboard without a call. This file
 * reads the array, because QEMU refuses to read the scoreboard before it has initialized
 * the vCPU.
 */
static struct qemu_plugin_u64 counting;
static bool is_counting[MOST_VCPUS];

static void register_callbacks(qemu_plugin_id_t id);
static qemu_plugin_id_t own_id;
static bool counts_accesses;
static unsigned int phase;
static FILE *out;

static void die(const char *why)
{
	fprintf(stderr, "profile plugin: %s\n", why);
	exit(1);
}

static uint64_t hash(uint64_t x)
{
	x *= 0x9e3779b97f4a7c15;
	return x ^ x >> 32;
}

static struct place *place_at(uint64_t pc)
{
	uint64_t i, tries;
	struct place *place;

	pthread_mutex_lock(&places_lock);
	for (i = hash(pc), tries = 0; (place = places[i % PLACES]) && place->pc != pc; i++)
		if (++tries == PLACES)
			die("too many instructions");
	if (!place) {
		place = calloc(1, sizeof(*place));
		if (!place)
			die("out of memory");
		place->pc = pc;
		places[i % PLACES] = place;
	}
	pthread_mutex_unlock(&places_lock);
	return place;
}

/*
 * Counting
 */

static void insn_runs(unsigned int vcpu, void *data)
{
	struct place *place = data;

	place->count[vcpu]++;
}

static void count_access(struct access *table, const struct place *place, uint64_t line,
			 bool is_store)
{
	uint64_t i = hash(line ^ (uintptr_t)place << 8 ^ is_store);
	struct access *access;

	for (unsigned int tries = 0; tries < ACCESSES; tries++, i++) {
		access = &table[i % ACCESSES];
		if (!access->count)
			*access = (struct access){ place, line, is_store, 0 };
		if (access->place == place && access->line == line &&
		    access->is_store == is_store) {
			access->count++;
			return;
		}
	}
	die("too many memory accesses");
}

static void memory_is_accessed(unsigned int vcpu, qemu_plugin_meminfo_t info, uint64_t vaddr,
			       void *data)
{
	struct qemu_plugin_hwaddr *address;

	if (vcpu >= MOST_VCPUS || !is_counting[vcpu])
		return;
	address = qemu_plugin_get_hwaddr(info, vaddr);
	if (address && !qemu_plugin_hwaddr_is_io(address))
		count_access(accesses[vcpu], data,
			     qemu_plugin_hwaddr_phys_addr(address) >> LINE_SHIFT,
			     qemu_plugin_mem_is_store(info));
}

/*
 * Output
 */

static void print_places(void)
{
	for (size_t i = 0; i < PLACES; i++) {
		for (unsigned int v = 0; places[i] && v < MOST_VCPUS; v++) {
			if (places[i]->count[v])
				fprintf(out, "insn %x %llx %llx\n", v,
					(unsigned long long)places[i]->pc,
					(unsigned long long)places[i]->count[v]);
			places[i]->count[v] = 0;
		}
	}
}

static void print_accesses(unsigned int vcpu)
{
	struct access *table = accesses[vcpu];

	for (size_t i = 0; table && i < ACCESSES; i++) {
		if (table[i].count)
			fprintf(out, "%s %x %llx %llx %llx\n",
				table[i].is_store ? "store" : "load", vcpu,
				(unsigned long long)table[i].place->pc,
				(unsigned long long)table[i].line,
				(unsigned long long)table[i].count);
		table[i].count = 0;
	}
}

static void end_phase(void)
{
	fprintf(out, "phase %x\n", phase);
	print_places();
	for (unsigned int v = 0; v < MOST_VCPUS; v++)
		print_accesses(v);
}

static void guest_ends(qemu_plugin_id_t id, void *data)
{
	(void)id;
	(void)data;
	end_phase();
	if (fclose(out))
		die("cannot write the output");
}

/*
 * Translation of the guest's code
 */

static void phase_begins(unsigned int vcpu, void *data)
{
	(void)vcpu;
	(void)data;
	end_phase();
	phase++;
}

static void counting_begins(unsigned int vcpu, void *data)
{
	(void)data;
	if (vcpu >= MOST_VCPUS)
		die("too many vCPUs");
	is_counting[vcpu] = true;
	qemu_plugin_u64_set(counting, vcpu, 1);
}

static void counting_ends(unsigned int vcpu, void *data)
{
	(void)data;
	if (vcpu < MOST_VCPUS)
		is_counting[vcpu] = false;
	qemu_plugin_u64_set(counting, vcpu, 0);
}

/* Translates all code again, now with calls for memory accesses */
static void memory_is_wanted(unsigned int vcpu, void *data)
{
	(void)vcpu;
	(void)data;
	if (counts_accesses)
		return;
	for (unsigned int v = 0; v < MOST_VCPUS; v++) {
		accesses[v] = calloc(ACCESSES, sizeof(struct access));
		if (!accesses[v])
			die("out of memory");
	}
	counts_accesses = true;
	qemu_plugin_reset(own_id, register_callbacks);
}

static executed_t marked_by(const struct qemu_plugin_insn *insn)
{
	uint8_t byte[4] = { 0 };
	uint32_t word;

	qemu_plugin_insn_data(insn, byte, sizeof(byte));
	word = byte[0] | byte[1] << 8 | byte[2] << 16 | (uint32_t)byte[3] << 24;
	if (word == nop(20))
		return counting_begins;
	if (word == nop(21))
		return counting_ends;
	if (word == nop(22))
		return phase_begins;
	return word == nop(23) ? memory_is_wanted : NULL;
}

static void code_is_translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	size_t insns = qemu_plugin_tb_n_insns(tb);

	(void)id;
	for (size_t i = 0; i < insns; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		struct place *place = place_at(qemu_plugin_insn_vaddr(insn));
		executed_t mark = marked_by(insn);

		if (mark) {
			qemu_plugin_register_vcpu_insn_exec_cb(insn, mark,
							       QEMU_PLUGIN_CB_NO_REGS, NULL);
			continue;
		}
		qemu_plugin_register_vcpu_insn_exec_cond_cb(insn, insn_runs,
							    QEMU_PLUGIN_CB_NO_REGS,
							    QEMU_PLUGIN_COND_EQ, counting, 1,
							    place);
		if (counts_accesses)
			qemu_plugin_register_vcpu_mem_cb(insn, memory_is_accessed,
							 QEMU_PLUGIN_CB_NO_REGS,
							 QEMU_PLUGIN_MEM_RW, place);
	}
}

static void register_callbacks(qemu_plugin_id_t id)
{
	qemu_plugin_register_vcpu_tb_trans_cb(id, code_is_translated);
	qemu_plugin_register_atexit_cb(id, guest_ends, NULL);
}

int qemu_plugin_version = INTERFACE_VERSION;

int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info_t *info, int argc,
			char **argv)
{
	(void)info;
	if (argc == 1 && !strncmp(argv[0], "out=", 4))
		out = fopen(argv[0] + 4, "we");
	if (!out)
		die("the argument must be out=FILE, where FILE can be written");
	own_id = id;
	counting.score = qemu_plugin_scoreboard_new(sizeof(uint64_t));
	register_callbacks(id);
	return 0;
}
