// SPDX-License-Identifier: GPL-2.0-only
/*
 * /proc/actiondfs_stats and the statistics of one mount. The module's figures are those of the
 * mounts that are gone plus those that live: nothing is counted twice.
 */
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/slab.h>

#include "actiondfs.h"

DEFINE_MUTEX(adfs_mounts_lock);
LIST_HEAD(adfs_mounts);

DEFINE_PER_CPU(struct adfs_stats, adfs_module_stats);

static const char *const adfs_stat_names[] = {
#define ADFS_STAT_NAME(name) #name,
	ACTIONDFS_STATS(ADFS_STAT_NAME)
#undef ADFS_STAT_NAME
};

void adfs_stats_sum(struct adfs_stats *sum, const struct adfs_stats __percpu *stats)
{
	int cpu, i;

	for_each_possible_cpu(cpu) {
		const struct adfs_stats *one = per_cpu_ptr(stats, cpu);

		for (i = 0; i < ADFS_STAT_COUNT; i++)
			sum->value[i] += READ_ONCE(one->value[i]);
	}
}

void adfs_stats_print(struct seq_file *m, const struct adfs_stats *sum, const char *prefix)
{
	int i;

	for (i = 0; i < ADFS_STAT_COUNT; i++)
		seq_printf(m, "%s%s %llu\n", prefix, adfs_stat_names[i], sum->value[i]);
}

static int adfs_stats_show(struct seq_file *m, void *v)
{
	struct adfs_stats *sum = kzalloc(sizeof(*sum), GFP_KERNEL);
	struct adfs_sb *sbi;

	if (!sum)
		return -ENOMEM;
	mutex_lock(&adfs_mounts_lock);
	adfs_stats_sum(sum, &adfs_module_stats);
	list_for_each_entry(sbi, &adfs_mounts, mounts) {
		adfs_stats_sum(sum, sbi->stats);
		cond_resched();
	}
	mutex_unlock(&adfs_mounts_lock);
	adfs_stats_print(m, sum, "");
	kfree(sum);
	return 0;
}

int adfs_show_stats(struct seq_file *m, struct dentry *root)
{
	struct adfs_stats *sum = kzalloc(sizeof(*sum), GFP_KERNEL);

	if (!sum)
		return -ENOMEM;
	adfs_stats_sum(sum, ADFS_SB(root->d_sb)->stats);
	seq_puts(m, "statvers=1\n");
	adfs_stats_print(m, sum, "\t");
	kfree(sum);
	return 0;
}

int adfs_stats_add_mount(struct adfs_sb *sbi)
{
	sbi->stats = alloc_percpu(struct adfs_stats);
	if (!sbi->stats)
		return -ENOMEM;
	mutex_lock(&adfs_mounts_lock);
	list_add(&sbi->mounts, &adfs_mounts);
	mutex_unlock(&adfs_mounts_lock);
	return 0;
}

void adfs_stats_remove_mount(struct adfs_sb *sbi)
{
	int cpu, i;

	if (!sbi->stats)
		return;
	/* Where the mount ends and where its figures are added is one step for who reads them. */
	mutex_lock(&adfs_mounts_lock);
	list_del(&sbi->mounts);
	for_each_possible_cpu(cpu) {
		const struct adfs_stats *one = per_cpu_ptr(sbi->stats, cpu);

		for (i = 0; i < ADFS_STAT_COUNT; i++)
			this_cpu_add(adfs_module_stats.value[i], READ_ONCE(one->value[i]));
	}
	mutex_unlock(&adfs_mounts_lock);
	free_percpu(sbi->stats);
}

int adfs_stats_init(void)
{
	if (!proc_create_single(ACTIONDFS_PROC_STATS, 0444, NULL, adfs_stats_show))
		return -ENOMEM;
	return 0;
}

void adfs_stats_exit(void)
{
	remove_proc_entry(ACTIONDFS_PROC_STATS, NULL);
}
