// SPDX-License-Identifier: GPL-2.0-only
/* What the two caches share: their lists by control group, for the shrinkers that walk them. */
#include <linux/list_lru.h>
#include <linux/shrinker.h>

#include "actiondfs.h"

struct shrinker *adfs_shrinker_alloc(const char *name, struct list_lru *lru)
{
	struct shrinker *shrinker =
		shrinker_alloc(SHRINKER_NUMA_AWARE | SHRINKER_MEMCG_AWARE, "%s", name);

	if (!shrinker)
		return NULL;
	if (list_lru_init_memcg(lru, shrinker)) {
		shrinker_free(shrinker);
		return NULL;
	}
	return shrinker;
}
