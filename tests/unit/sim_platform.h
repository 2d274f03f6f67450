/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The simulated platform: TCE tables, the groups they are programmed for, and
 * devices that may have cached any translation until they are told otherwise.
 *
 * Tables are in memory, where src/ may store entries without a word: what has
 * changed there is found by comparing it with what was there, whenever src/ calls
 * the platform, holds or drops memory, says mb() or lets time pass.
 *
 * It counts how often each IOMMU page is held (from the calls of src/tce_v2.c to hold
 * and drop) and how many TCEs, in tables or cached by devices, map the page. It ends
 * the test when there are more TCEs than holds, because memory that a device still
 * reaches could then be unpinned. It also ends the test when
 *
 *	- a table is made that nobody was charged for, or is freed while entries are
 *	  mapped or a group's hardware walks it,
 *	- a request would hang the firmware,
 *	- a TCE is stored outside a table, or invalidated before it is sure to be in
 *	  memory.
 */
#ifndef UNIT_PLATFORM_H
#define UNIT_PLATFORM_H

#include <linux/types.h>

#include <asm/iommu.h>

/**
 * enum platform_kind - where TCE tables are
 * @PLATFORM_MEMORY: in memory, as IODA2 wants them; src/ may store there
 * @PLATFORM_HYPERVISOR: in a hypervisor, which is asked (pseries)
 * @PLATFORM_ODD_FORMAT: in memory, but entries look different
 * @PLATFORM_ODD_PLACE: in memory, but not where they say they are
 */
enum platform_kind {
	PLATFORM_MEMORY,
	PLATFORM_HYPERVISOR,
	PLATFORM_ODD_FORMAT,
	PLATFORM_ODD_PLACE,
	PLATFORM_KINDS,
};

/* What tables made from now on are like; stays until it is set again */
extern enum platform_kind platform_kind;

/* The code of a hypervisor that Linux's own functions know */
#define H_NOT_ENOUGH_RESOURCES (-44)

/* What can be made to fail, see platform_fail() */
enum platform_fault {
	PLATFORM_XCHG, /* writing an entry */
	PLATFORM_CLEAR, /* a call to clear entries: they stay, and nobody says so */
	PLATFORM_USERADDR, /* making the kernel's copy of a table */
	PLATFORM_CREATE, /* making a table */
	PLATFORM_SET, /* programming a table for a group */
	PLATFORM_LINK, /* noting with it for which group, and nobody says so */
	PLATFORM_UNSET, /* taking it from a group: it stays programmed */
	PLATFORM_FAULTS,
};

enum platform_event {
	EVENT_WRITE, /* of entries, by src/ in memory or by the platform */
	EVENT_ERASE, /* of entries, by src/ in memory */
	EVENT_CLEAR, /* of entries, by the platform */
	EVENT_KILL,
	EVENT_FLUSH,
	EVENT_DROP,
	EVENTS,
};

/**
 * struct event - something that happened
 * @what: kind of event
 * @first: first entry, counted from bus address 0; the user address of a drop
 * @count: entries
 */
struct event {
	enum platform_event what;
	u64 first;
	u64 count;
};

#define MAX_EVENTS 4096

/**
 * struct platform - the state of the platform
 * @hypervisor: tables are a hypervisor's; it makes and programs them at once
 * @elsewhere: a hypervisor's window that is unlike the default window begins at
 *	1 << 59 in either slot, as on pseries
 * @no_flush: new tables behave as on powernv: tce_kill() returns after devices
 *	have forgotten the entries, and there is no flush()
 * @features: FW_FEATURE_* of asm/firmware.h. Without them a hypervisor takes
 *	entries, or clears them, one by one, and may leave out any
 * @taken: exchanges from now on of which KVM takes the entry out at once, for
 *	a moment
 * @refused: an address for which no entry is taken, 0 for none
 * @error: what a failing hook returns
 * @fired: whether a failure asked for with platform_fail() has happened
 * @tables: tables that exist
 * @pages: pages they take, with the copies
 * @held: IOMMU pages held now
 * @owned: groups taken from the platform
 * @complaints: lines written to the kernel log
 * @kill_most: the most entries src/ had invalidated at a time
 * @calls: how often each event happened
 * @calls_to: how often what can fail was asked for
 * @events: the first events
 * @logged: how many of them
 */
struct platform {
	bool hypervisor;
	bool elsewhere;
	bool no_flush;
	unsigned long features;
	unsigned int taken;
	u64 refused;
	int error;
	bool fired;
	u64 tables;
	u64 pages;
	u64 held;
	u64 owned;
	u64 complaints;
	u64 kill_most;
	u64 calls[EVENTS];
	u64 calls_to[PLATFORM_FAULTS];
	struct event events[MAX_EVENTS];
	size_t logged;
};

extern struct platform platform;

struct iommu_group {
	void *data;
};

/**
 * struct fake_group - a group of devices
 * @tg: what src/ knows of it
 * @group: the same for the IOMMU core
 * @walks: the tables that its hardware walks
 * @owned: whether it is taken from the platform
 * @left: the slots in which hardware may have what the platform left there
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
/* One is plugged in while the group is in use */
void platform_add_device(struct fake_group *g);
unsigned int platform_users(const struct iommu_table *tbl);
/* Frees tables that can't be got rid of otherwise */
void platform_forget_leaked(u64 tables);

/* The @nth time from now it fails, and the next @times - 1 times, too */
void platform_fail(enum platform_fault fault, unsigned int nth,
		   unsigned int times);
void platform_fail_nothing(void);
bool platform_fails(enum platform_fault fault);

/* Ends the test if any thread holds a rwsem */
void platform_expect_unlocked(const char *what);

/* Looks what src/ has stored into tables; it is done at every turn */
void platform_sync(void);

/*
 * Another task goes on: whether its stores into tables are followed by mb() is its
 * own affair. Returns what to call this with when the first task goes on.
 */
bool platform_swap_unordered(bool now);

/*
 * KVM has counted an IOMMU page in the kernel's list: a TCE may point to the
 * page from now on
 */
void platform_hold_page(u64 hpa, unsigned int shift);

#define TCE_READ  1ULL
#define TCE_WRITE 2ULL
/* In a TCE: not of ours, so it is not looked at whether memory is held */
#define TCE_ALIEN (1ULL << 62)

u64 platform_tce(struct iommu_table *tbl, u64 index);
void platform_poke(struct iommu_table *tbl, u64 index, u64 tce);
/* All entries that are not 0: how many, and a sum by which to compare them */
u64 platform_mapped(struct iommu_table *tbl);
u64 platform_sum(struct iommu_table *tbl);
/* Tables in memory that it consists of */
u64 platform_made(struct iommu_table *tbl);

void platform_forget_events(void);

#endif /* UNIT_PLATFORM_H */
