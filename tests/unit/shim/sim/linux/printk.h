/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SIM_SHIM_PRINTK_H
#define SIM_SHIM_PRINTK_H

/* Counts a line in sim.log_lines */
void sim_log(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#define KBUILD_MODNAME "vfio_spapr_tce2"

#ifndef pr_fmt
#define pr_fmt(fmt) fmt
#endif

#define pr_err(fmt, ...)	      sim_log(pr_fmt(fmt), ##__VA_ARGS__)
#define pr_warn(fmt, ...)	      sim_log(pr_fmt(fmt), ##__VA_ARGS__)
#define pr_info(fmt, ...)	      sim_log(pr_fmt(fmt), ##__VA_ARGS__)
#define pr_debug(fmt, ...)	      ((void)0)
#define pr_warn_ratelimited(fmt, ...) sim_log(pr_fmt(fmt), ##__VA_ARGS__)
#define pr_info_ratelimited(fmt, ...) sim_log(pr_fmt(fmt), ##__VA_ARGS__)

#endif /* SIM_SHIM_PRINTK_H */
