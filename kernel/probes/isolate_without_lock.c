// SPDX-License-Identifier: GPL-2.0-only
/* The callback of a walk over a list_lru is not told the lock. Elsewhere it is. */
#include <linux/list_lru.h>

unsigned long probe(struct list_lru *lru, unsigned long *count);

static enum lru_status isolate(struct list_head *item, struct list_lru_one *list, void *arg)
{
	return LRU_SKIP;
}

unsigned long probe(struct list_lru *lru, unsigned long *count)
{
	return list_lru_walk_one(lru, 0, NULL, isolate, NULL, count);
}
