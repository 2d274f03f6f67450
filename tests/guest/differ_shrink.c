// SPDX-License-Identifier: GPL-2.0-only
/*
 * Shorten a failing sequence: leave out many steps at a time, then fewer and fewer. A
 * step stays out only if the remaining sequence still fails with the same ioctl.
 */
#include "differ.h"

#include <stdlib.h>
#include <string.h>

#define MAX_TRIES	400
#define MAX_MS		240000

/* Remove the steps in @without from the sequence */
static void take_out(struct sequence *q, const bool *without)
{
	int kept = 0;

	for (int i = 0; i < q->ops; i++)
		if (!without[i])
			q->op[kept++] = q->op[i];
	q->ops = kept;
}

static bool still_fails(const struct sequence *q, const bool *without,
			uint32_t nr, char *failed)
{
	uint32_t other;

	return !replay(q, without, failed, &other) && other == nr;
}

/* Try to leave out @count steps at a time; return true if steps were removed */
static bool pass(struct sequence *q, int count, uint32_t nr, char *failed,
		 int *tries, uint64_t until)
{
	bool *without = calloc(q->ops + 1, sizeof(*without));
	char said[FAILED_BYTES];
	bool any = false;

	for (int from = q->ops - 1; without && from >= 0; from -= count) {
		int first = from - count + 1 < 0 ? 0 : from - count + 1;

		if (++*tries > MAX_TRIES || now_ms() > until)
			break;
		memset(&without[first], true, from - first + 1);
		if (still_fails(q, without, nr, said)) {
			memcpy(failed, said, sizeof(said));
			any = true;
		} else {
			memset(&without[first], false, from - first + 1);
		}
	}
	if (without)
		take_out(q, without);
	free(without);
	return any;
}

void shrink(struct sequence *q, const char *failed, uint32_t nr)
{
	uint64_t until = now_ms() + MAX_MS;
	char said[FAILED_BYTES];
	int tries = 0;

	snprintf(said, sizeof(said), "%s", failed);
	if (!still_fails(q, NULL, nr, said)) {
		printf("# the failure does not repeat; the complete sequence follows\n");
	} else {
		for (int count = (q->ops + 1) / 2; count >= 1; ) {
			bool any = pass(q, count, nr, said, &tries, until);

			if (tries > MAX_TRIES || now_ms() > until ||
			    (count == 1 && !any))
				break;
			count = count > 1 ? count / 2 : 1;
		}
	}
	printf("# %d steps after %d tries, the last step fails:\n", q->ops,
	       tries);
	for (int i = 0; i < q->ops; i++)
		print_op(&q->op[i]);
	printf("# %s\n", said);
}
