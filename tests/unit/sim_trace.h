/* SPDX-License-Identifier: GPL-2.0-only */
/* Replaces src/trace.c: the events are text, which tests compare */
#ifndef UNIT_SIM_TRACE_H
#define UNIT_SIM_TRACE_H

#include <stdbool.h>

/* Switches all tracepoints on or off, and forgets the events */
void sim_trace(bool on);

/* The events since sim_trace(), each with a newline at its end */
extern char sim_events[4096];

#endif /* UNIT_SIM_TRACE_H */
