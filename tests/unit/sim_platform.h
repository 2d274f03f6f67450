/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The simulated platform: TCE tables, the groups for which they are programmed, and
 * devices that may cache any translation until it is invalidated.
 *
 * Tables are in memory, where src/ may store entries directly. The platform compares the
 * memory with its previous content whenever src/ calls the platform, holds or drops
 * memory, calls mb() or lets time pass.
 *
 * For each IOMMU page the platform counts the holds, which src/tce_v2.c adds with
 * tce2_memory_hold() and drops with tce2_memory_drop(). It also counts how many TCEs, in
 * tables or cached by devices, map the page. It ends the test if a page has more TCEs than
 * holds, because memory that a device still reaches could then be unpinned. It also ends
 * the test if
 *
 *	- a table is made without being charged,
 *	- a table is freed that has mapped entries or that a group's hardware walks,
 *	- a request would hang the firmware,
 *	- a TCE is stored outside a table,
 *	- a TCE is invalidated before a barrier orders its store.
 */
#ifndef UNIT_PLATFORM_H
#define UNIT_PLATFORM_H

#include <linux/types.h>

#include <asm/iommu.h>

/**
 * enum platform_kind - location and format of TCE tables
 * @PLATFORM_MEMORY: in memory, in the format of IODA2; src/ may store there
 * @PLATFORM_HYPERVISOR: in the hypervisor, which only hypercalls reach (pseries)
 * @PLATFORM_ODD_FORMAT: in memory, but entries have another format
 * @PLATFORM_ODD_PLACE: in memory, but not at it_base
 */
enum platform_kind {
	PLATFORM_MEMORY,
	PLATFORM_HYPERVISOR,
	PLATFORM_ODD_FORMAT,
	PLATFORM_ODD_PLACE,
	PLATFORM_KINDS,
};

/* Kind of tables made from now on; the runner sets PLATFORM_MEMORY before each test */
extern enum platform_kind platform_kind;

/* An error of a hypervisor that the functions of Linux handle specially */
#define H_NOT_ENOUGH_RESOURCES (-44)

/* Operations that can be made to fail, see platform_fail() */
enum platform_fault {
	PLATFORM_XCHG, /* writing an entry */
	PLATFORM_CLEAR, /* clearing entries: they stay mapped, and no error is returned */
	PLATFORM_USERADDR, /* making the kernel's copy of a table */
	PLATFORM_CREATE, /* making a table */
	PLATFORM_SET, /* programming a table for a group */
	PLATFORM_LINK, /* pnv_pci_link_table_and_group(); set_window() still succeeds */
	PLATFORM_UNSET, /* removing a table from a group: it stays programmed */
	PLATFORM_FAULTS,
};

enum platform_event {
	EVENT_WRITE, /* src/ writes entries in memory, or the platform writes entries */
	EVENT_ERASE, /* src/ clears entries in memory */
	EVENT_CLEAR, /* the platform clears entries */
	EVENT_KILL,
	EVENT_FLUSH,
	EVENT_DROP,
	EVENTS,
};

/**
 * struct event - an event in the platform's log
 * @what: kind of event
 * @first: first entry, counted from bus address 0; for a drop the user address
 * @count: number of entries
 */
struct event {
	enum platform_event what;
	u64 first;
	u64 count;
};

#define MAX_EVENTS 4096

/**
 * struct platform - the state of the platform
 * @hypervisor: tables are in the hypervisor, which makes and programs them at once
 * @elsewhere: in each slot, a hypervisor's window that differs from the default window
 *	begins at 1 << 59, as on pseries
 * @no_flush: new tables behave as on powernv: tce_kill() returns after devices
 *	have discarded the entries from their caches, and there is no flush()
 * @features: FW_FEATURE_* of asm/firmware.h. Without a feature, each hypercall writes
 *	or clears one entry, and Linux skips an entry that is refused
 * @taken: number of exchanges from now on that are each followed by a clear of the same
 *	entry, as if KVM unmapped it
 * @lost: number of lists from now on of which the hypervisor stores nothing, although it
 *	returns no error
 * @refused: a physical address for which writing an entry fails, 0 for none
 * @error: error that a failing hook returns
 * @fired: a failure requested with platform_fail() has happened
 * @tables: number of tables
 * @pages: number of pages that tables and their copies take
 * @held: current number of holds of IOMMU pages
 * @owned: number of groups whose ownership src/ has taken
 * @complaints: lines written to the kernel log with pr_err_ratelimited()
 * @walked: number of links to lower tables that src/ has followed
 * @kill_most: the most entries that src/ invalidated with one call
 * @calls: number of events of each kind; for drops, number of dropped pages
 * @calls_to: number of calls of each operation that can be made to fail
 * @events: log of the first events
 * @logged: number of events in @events
 */
struct platform {
	bool hypervisor;
	bool elsewhere;
	bool no_flush;
	unsigned long features;
	unsigned int taken;
	unsigned int lost;
	u64 refused;
	int error;
	bool fired;
	u64 tables;
	u64 pages;
	u64 held;
	u64 owned;
	u64 complaints;
	u64 walked;
	u64 kill_most;
	u64 calls[EVENTS];
	u64 calls_to[PLATFORM_FAULTS];
	struct event events[MAX_EVENTS];
	size_t logged;
};

extern struct platform platform;

struct iommu_group {
	void *data;
	int id;
	const char *devices[3];
};

/**
 * struct fake_group - a group of devices
 * @tg: its table group
 * @group: its IOMMU group
 * @walks: the tables that its hardware walks
 * @owned: src/ has taken its ownership
 * @left: bit mask of the slots in which the platform may have left a table
 */
struct fake_group {
	struct iommu_table_group tg;
	struct iommu_group group;
	struct iommu_table *walks[IOMMU_TABLE_GROUP_MAX_TABLES];
	bool owned;
	unsigned int left;
};

#define MAX_GROUPS 3

void platform_reset(void);
void platform_expect_nothing_left(void);
struct fake_group *platform_group(u32 max_levels);
/* Plugs a device into a group in use */
void platform_add_device(struct fake_group *g);
/* Returns the number of references to a table */
unsigned int platform_users(const struct iommu_table *tbl);
/* Frees tables that src/ has leaked on purpose; their number must be @tables */
void platform_forget_leaked(u64 tables);

/* Makes the @nth call from now fail, and the following @times - 1 calls */
void platform_fail(enum platform_fault fault, unsigned int nth,
		   unsigned int times);
void platform_fail_nothing(void);
bool platform_fails(enum platform_fault fault);

/* Ends the test if any thread holds a rwsem */
void platform_expect_unlocked(const char *what);

/* Notes the entries that src/ has stored into tables since the last call */
void platform_sync(void);

/*
 * Saves and restores a flag of each task when tasks are switched: the task has stored a
 * TCE, and no mb() followed. @now is the flag of the next task. Returns the flag of the
 * previous task.
 */
bool platform_swap_unordered(bool now);

/*
 * Counts a hold of an IOMMU page, because KVM has counted the page in the kernel's list.
 * A TCE may map the page from now on.
 */
void platform_hold_page(u64 hpa, unsigned int shift);

#define TCE_READ  1ULL
#define TCE_WRITE 2ULL
/* Flag in a foreign TCE: src/ did not map the page, and need not hold it */
#define TCE_ALIEN (1ULL << 62)

/* Returns the TCE that devices see */
u64 platform_tce(struct iommu_table *tbl, u64 index);
/* Writes a foreign TCE */
void platform_poke(struct iommu_table *tbl, u64 index, u64 tce);
/* Returns the number of entries that are not 0 */
u64 platform_mapped(struct iommu_table *tbl);
/* Returns a hash of all entries, which shows whether an entry has changed */
u64 platform_sum(struct iommu_table *tbl);
/* Returns the number of nodes of the tree that the table consists of */
u64 platform_made(struct iommu_table *tbl);

/* Clears the log of events and the counts of events */
void platform_forget_events(void);

#endif /* UNIT_PLATFORM_H */
