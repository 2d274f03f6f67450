/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TCE2_TRACK_H
#define TCE2_TRACK_H

#include <linux/bits.h>
#include <linux/types.h>

#include "tce2_range.h"

struct tce2_dirty;
struct tce2_window;

/* Largest number of entries in one request for dirty pages: the bitmap has 32 KiB */
#define TCE2_TRACK_MOST		BIT_ULL(18)

/**
 * struct tce2_track - a walk along the entries of a tracked window
 * @id: number of the window's record; 0 before the walk
 * @first: first entry
 * @end: last entry plus 1
 * @next: next entry of the walk; @first before the walk
 * @bits: bitmap of the entries; bit 0 is for @first
 * @clear: forget the entries that the walk has added to @bits
 *
 * Between two calls no lock is held.
 */
struct tce2_track {
	u64 id;
	u64 first;
	u64 end;
	u64 next;
	u64 *bits;
	bool clear;
};

int tce2_window_track(struct tce2_window *window, struct tce2_dirty *dirty);
struct tce2_dirty *tce2_window_untrack(struct tce2_window *window, u64 id);
int tce2_window_cover(struct tce2_window *window, u64 *index,
		      enum tce2_patience patience);
int tce2_window_get_dirty(struct tce2_window *window, struct tce2_track *track,
			  enum tce2_patience patience);
void tce2_window_restore_dirty(struct tce2_window *window,
			       const struct tce2_track *track);

#endif /* TCE2_TRACK_H */
