/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Statistics: one set of per-CPU counters for each mount, always on. An event costs one addition on
 * the CPU's own cache line; the sums are made when somebody reads.
 */
#ifndef ACTIONDFS_STATS_H
#define ACTIONDFS_STATS_H

#include <linux/ktime.h>
#include <linux/percpu.h>
#include <linux/seq_file.h>
#include <linux/types.h>

#include "uapi/actiondfs_stats.h"

enum adfs_stat {
#define ADFS_STAT_ENUM(name) ADFS_STAT_##name,
	ACTIONDFS_STATS(ADFS_STAT_ENUM)
#undef ADFS_STAT_ENUM
		ADFS_STAT_COUNT
};

struct adfs_stats {
	u64 value[ADFS_STAT_COUNT];
};

/* Without, only so that tests/bench can measure what they cost. */
#ifndef ACTIONDFS_NO_STATISTICS
#define adfs_stat_add(sbi, name, n) this_cpu_add((sbi)->stats->value[ADFS_STAT_##name], (n))
#define adfs_stat_clock()           ktime_get_ns()
#else
#define adfs_stat_add(sbi, name, n) ((void)(sbi), (void)(n))
#define adfs_stat_clock()           0ULL
#endif
#define adfs_stat_inc(sbi, name)    adfs_stat_add(sbi, name, 1)

/* What happens on no mount's behalf, and what mounts that are gone have counted. */
DECLARE_PER_CPU(struct adfs_stats, adfs_module_stats);
#define adfs_module_stat_add(name, n) this_cpu_add(adfs_module_stats.value[ADFS_STAT_##name], (n))

/* For the groups of <op>_calls, _success and _failures. Returns the error it was given. */
#define adfs_stat_result(sbi, op, err)                            \
	({                                                        \
		int __err = (err);                                \
		adfs_stat_inc(sbi, op##_calls);                   \
		if (__err)                                        \
			adfs_stat_inc(sbi, op##_failures);        \
		else                                              \
			adfs_stat_inc(sbi, op##_success);         \
		__err;                                            \
	})

/* Adds what `stats` has counted to `sum`. */
void adfs_stats_sum(struct adfs_stats *sum, const struct adfs_stats __percpu *stats);

/* One line for each counter, with `prefix` before the name. */
void adfs_stats_print(struct seq_file *m, const struct adfs_stats *sum, const char *prefix);

#endif /* ACTIONDFS_STATS_H */
