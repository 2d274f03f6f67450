/* SPDX-License-Identifier: GPL-2.0-only */
/* What a test program hands to its runner (unit.c): its suites, NULL at the end */
#ifndef UNIT_SUITES_H
#define UNIT_SUITES_H

#include "unit.h"

extern const struct suite *const suites[];

/* Before each test */
void suites_reset(void);

#endif /* UNIT_SUITES_H */
