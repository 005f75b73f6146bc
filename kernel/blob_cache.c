// SPDX-License-Identifier: GPL-2.0-only
/*
 * Open blobs, by CAS and digest, for all mounts of that CAS. Finding one takes no lock. An inode
 * remembers its blob, so that opening an input again costs two reference counts.
 *
 * What the cache keeps open would keep a deleted blob's space: blobs whose name is gone are closed
 * within seconds, and found anew when they are opened again. The cache has a bound, and gives way
 * when memory is short; it holds nothing of a CAS without a mount.
 */
#include <linux/file.h>
#include <linux/hashtable.h>
#include <linux/ktime.h>
#include <linux/list_lru.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/rculist.h>
#include <linux/shrinker.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "actiondfs.h"

#define ADFS_BLOB_CACHE_BITS 14

/* How long a deleted blob may stay open for nobody. */
#define ADFS_REAP_INTERVAL (5 * HZ)

/* Blobs to look at without letting go of the lock. */
#define ADFS_REAP_STEP 256UL

static unsigned int adfs_blob_cache_max = 16384;
module_param_named(blob_cache_max, adfs_blob_cache_max, uint, 0644);
MODULE_PARM_DESC(blob_cache_max, "blobs to keep open");

static void adfs_blob_cache_reap(struct work_struct *work);

static struct {
	struct kmem_cache *slab;
	spinlock_t lock;
	struct list_head order; /* all blobs, the oldest first: for the bound */
	struct list_lru lru;	/* the same by control group and node: for the shrinker */
	unsigned long count;
	DECLARE_HASHTABLE(buckets, ADFS_BLOB_CACHE_BITS);
	struct delayed_work reap;
	struct shrinker *shrinker;
} adfs_blob_cache;

void adfs_blob_put(struct adfs_blob *blob)
{
	if (blob && refcount_dec_and_test(&blob->refs))
		kfree_rcu(blob, rcu);
}

void adfs_blob_close(struct adfs_blob *blob)
{
	if (!refcount_dec_and_test(&blob->users))
		return;
	fput(blob->file);
	adfs_blob_put(blob);
}

/* Deleted, replaced, cut: to be looked up again. */
static bool adfs_blob_is_gone(const struct adfs_blob *blob)
{
	return d_unhashed(blob->file->f_path.dentry) ||
	       i_size_read(file_inode(blob->file)) != blob->digest.size;
}

/* Takes an entry out of the cache; those on `dispose` are closed without the lock. */
static void adfs_blob_remove(struct adfs_blob *blob, struct list_head *dispose)
{
	lockdep_assert_held(&adfs_blob_cache.lock);
	hash_del_rcu(&blob->bucket);
	list_del(&blob->of_cas);
	list_move(&blob->order, dispose);
	adfs_blob_cache.count--;
}

/* The same, and from the shrinker's list. */
static void adfs_blob_drop(struct adfs_blob *blob, struct list_head *dispose)
{
	list_lru_del_obj(&adfs_blob_cache.lru, &blob->lru);
	adfs_blob_remove(blob, dispose);
}

static void adfs_blob_dispose(struct list_head *dispose)
{
	struct adfs_blob *blob, *next;

	list_for_each_entry_safe(blob, next, dispose, order) {
		list_del_init(&blob->order);
		adfs_blob_close(blob);
	}
}

/* The blob shall not be found any more. */
static void adfs_blob_forget(struct adfs_blob *blob)
{
	LIST_HEAD(dispose);

	spin_lock(&adfs_blob_cache.lock);
	if (!list_empty(&blob->order) && !hlist_unhashed(&blob->bucket))
		adfs_blob_drop(blob, &dispose);
	spin_unlock(&adfs_blob_cache.lock);
	adfs_blob_dispose(&dispose);
}

/* One more user, if the blob is still open. Under RCU. */
static bool adfs_blob_use(struct adfs_blob *blob)
{
	if (!refcount_inc_not_zero(&blob->users))
		return false;
	if (!READ_ONCE(blob->used))
		WRITE_ONCE(blob->used, true);
	return true;
}

/* Who was used since the last time gets another round. */
static bool adfs_blob_is_idle(struct adfs_blob *blob)
{
	if (!READ_ONCE(blob->used))
		return true;
	WRITE_ONCE(blob->used, false);
	return false;
}

/* The oldest go first. */
static void adfs_blob_cache_trim(unsigned long target, unsigned long scan)
{
	unsigned long evicted = 0;
	struct adfs_blob *blob;
	LIST_HEAD(dispose);

	spin_lock(&adfs_blob_cache.lock);
	while (scan-- && adfs_blob_cache.count > target) {
		blob = list_first_entry(&adfs_blob_cache.order, struct adfs_blob, order);
		if (adfs_blob_is_idle(blob)) {
			adfs_blob_drop(blob, &dispose);
			evicted++;
		} else {
			list_move_tail(&blob->order, &adfs_blob_cache.order);
		}
	}
	spin_unlock(&adfs_blob_cache.lock);
	adfs_blob_dispose(&dispose);
	adfs_module_stat_add(blob_path_cache_evictions, evicted);
}

static unsigned long adfs_blob_cache_count(struct shrinker *shrinker, struct shrink_control *sc)
{
	return list_lru_shrink_count(&adfs_blob_cache.lru, sc) ?: SHRINK_EMPTY;
}

static enum lru_status adfs_blob_isolate(ADFS_ISOLATE_ARGS)
{
	struct adfs_blob *blob = container_of(item, struct adfs_blob, lru);

	if (!adfs_blob_is_idle(blob))
		return LRU_ROTATE;
	list_lru_isolate(list, item);
	adfs_blob_remove(blob, arg);
	return LRU_REMOVED;
}

static unsigned long adfs_blob_cache_scan(struct shrinker *shrinker, struct shrink_control *sc)
{
	unsigned long evicted;
	LIST_HEAD(dispose);

	spin_lock(&adfs_blob_cache.lock);
	evicted = list_lru_shrink_walk(&adfs_blob_cache.lru, sc, adfs_blob_isolate, &dispose);
	spin_unlock(&adfs_blob_cache.lock);
	adfs_blob_dispose(&dispose);
	adfs_module_stat_add(blob_path_cache_evictions, evicted);
	/* 0 if all was used of late: the next round will. */
	return evicted;
}

/* Looks at a few and puts them last. Returns how many it has closed. */
static unsigned long adfs_blob_cache_reap_some(unsigned long scan)
{
	unsigned long reaped = 0;
	struct adfs_blob *blob;
	LIST_HEAD(dispose);

	spin_lock(&adfs_blob_cache.lock);
	while (scan-- && !list_empty(&adfs_blob_cache.order)) {
		blob = list_first_entry(&adfs_blob_cache.order, struct adfs_blob, order);
		if (adfs_blob_is_gone(blob)) {
			adfs_blob_drop(blob, &dispose);
			reaped++;
		} else {
			list_move_tail(&blob->order, &adfs_blob_cache.order);
		}
	}
	spin_unlock(&adfs_blob_cache.lock);
	adfs_blob_dispose(&dispose);
	return reaped;
}

static void adfs_blob_cache_reap(struct work_struct *work)
{
	unsigned long reaped = 0, looked, count = READ_ONCE(adfs_blob_cache.count);

	for (looked = 0; looked < count; looked += ADFS_REAP_STEP) {
		reaped += adfs_blob_cache_reap_some(min(count - looked, ADFS_REAP_STEP));
		cond_resched();
	}
	adfs_module_stat_add(blob_path_cache_evictions, reaped);
	if (READ_ONCE(adfs_blob_cache.count))
		queue_delayed_work(system_unbound_wq, &adfs_blob_cache.reap, ADFS_REAP_INTERVAL);
}

static struct adfs_blob *adfs_blob_find(const struct adfs_cas *cas,
					const struct adfs_digest *digest)
{
	struct adfs_blob *blob;

	hash_for_each_possible_rcu(adfs_blob_cache.buckets, blob, bucket, adfs_digest_key(digest)) {
		if (blob->cas == cas && blob->digest.size == digest->size &&
		    !memcmp(blob->digest.hash, digest->hash, sizeof(digest->hash)) &&
		    adfs_blob_use(blob))
			return blob;
	}
	return NULL;
}

static struct adfs_blob *adfs_blob_try_make(struct adfs_sb *sbi, const struct adfs_digest *digest,
					    unsigned int tries)
{
	u64 start = adfs_stat_clock(), found;
	struct adfs_blob *blob;
	struct path path;
	int err;

	err = adfs_cas_lookup(sbi, digest, tries, &path);
	if (err)
		return ERR_PTR(err);
	found = adfs_stat_clock();
	adfs_stat_add(sbi, blob_open_backing_path_ns, found - start);
	err = adfs_cas_check(sbi, digest, &path);
	if (err)
		goto out;
	err = -ENOMEM;
	blob = kmem_cache_alloc_lru(adfs_blob_cache.slab, &adfs_blob_cache.lru,
				    GFP_KERNEL | __GFP_ZERO);
	if (!blob)
		goto out;
	INIT_LIST_HEAD(&blob->order);
	INIT_LIST_HEAD(&blob->lru);
	refcount_set(&blob->users, 1);
	refcount_set(&blob->refs, 1);
	blob->cas = sbi->cas;
	blob->digest = *digest;
	blob->file = adfs_open_backing_own(&path, sbi->cas->cred);
	if (IS_ERR(blob->file)) {
		err = adfs_blob_error(sbi, digest, PTR_ERR(blob->file), "cannot be opened");
		kmem_cache_free(adfs_blob_cache.slab, blob);
		goto out;
	}
	path_put(&path);
	adfs_stat_add(sbi, blob_open_backing_file_ns, adfs_stat_clock() - found);
	adfs_stat_add(sbi, blob_open_backing_total_ns, adfs_stat_clock() - start);
	return blob;

out:
	path_put(&path);
	return ERR_PTR(err);
}

/* Opens it; nobody else knows of it yet. */
static struct adfs_blob *adfs_blob_make(struct adfs_sb *sbi, const struct adfs_digest *digest)
{
	struct adfs_blob *blob;
	unsigned int tries = 0;
	int err;

	do {
		blob = adfs_blob_try_make(sbi, digest, tries);
		err = PTR_ERR_OR_ZERO(blob);
	} while (adfs_cas_again(sbi, digest, &tries, &err));
	return err ? ERR_PTR(err) : blob;
}

static struct adfs_blob *adfs_blob_cache_add(struct adfs_sb *sbi, struct adfs_blob *blob)
{
	struct adfs_blob *other;

	spin_lock(&adfs_blob_cache.lock);
	rcu_read_lock();
	other = adfs_blob_find(blob->cas, &blob->digest);
	rcu_read_unlock();
	if (!other) {
		refcount_inc(&blob->users);
		hash_add_rcu(adfs_blob_cache.buckets, &blob->bucket, adfs_digest_key(&blob->digest));
		list_add_tail(&blob->order, &adfs_blob_cache.order);
		list_lru_add_obj(&adfs_blob_cache.lru, &blob->lru);
		list_add(&blob->of_cas, &blob->cas->blobs);
		adfs_blob_cache.count++;
	}
	spin_unlock(&adfs_blob_cache.lock);
	if (other) {
		adfs_stat_inc(sbi, blob_path_cache_races);
		adfs_blob_close(blob);
		return other;
	}
	adfs_stat_inc(sbi, blob_path_cache_inserts);
	adfs_blob_cache_trim(READ_ONCE(adfs_blob_cache_max), 32);
	queue_delayed_work(system_unbound_wq, &adfs_blob_cache.reap, ADFS_REAP_INTERVAL);
	return blob;
}

static struct adfs_blob *adfs_blob_get(struct adfs_sb *sbi, const struct adfs_digest *digest)
{
	struct adfs_blob *blob;

	rcu_read_lock();
	blob = adfs_blob_find(sbi->cas, digest);
	rcu_read_unlock();
	if (blob && !adfs_blob_is_gone(blob)) {
		adfs_stat_inc(sbi, blob_path_cache_hits);
		return blob;
	}
	if (blob) {
		adfs_blob_forget(blob);
		adfs_blob_close(blob);
	}
	adfs_stat_inc(sbi, blob_path_cache_misses);
	blob = adfs_blob_make(sbi, digest);
	return IS_ERR(blob) ? blob : adfs_blob_cache_add(sbi, blob);
}

/* The blob that the inode remembers, if it can still be used. */
static struct adfs_blob *adfs_blob_remembered(struct adfs_inode *ai)
{
	struct adfs_blob *blob;

	rcu_read_lock();
	blob = rcu_dereference(ai->blob);
	if (blob && !adfs_blob_use(blob))
		blob = NULL;
	rcu_read_unlock();
	if (blob && adfs_blob_is_gone(blob)) {
		adfs_blob_forget(blob);
		adfs_blob_close(blob);
		blob = NULL;
	}
	return blob;
}

struct adfs_blob *adfs_blob_open(struct inode *inode)
{
	struct adfs_sb *sbi = ADFS_SB(inode->i_sb);
	struct adfs_inode *ai = ADFS_I(inode);
	struct adfs_blob *blob, *old = NULL;

	adfs_stat_inc(sbi, blob_open_attempts);
	blob = adfs_blob_remembered(ai);
	if (blob) {
		adfs_stat_inc(sbi, node_blob_cache_hits);
		return blob;
	}
	adfs_stat_inc(sbi, node_blob_cache_misses);
	mutex_lock(&ai->lock);
	blob = adfs_blob_get(sbi, &ai->digest);
	if (!IS_ERR(blob)) {
		refcount_inc(&blob->refs);
		old = rcu_replace_pointer(ai->blob, blob, lockdep_is_held(&ai->lock));
	}
	mutex_unlock(&ai->lock);
	adfs_blob_put(old);
	return blob;
}

struct adfs_blob *adfs_blob_reopen(struct inode *inode, struct adfs_blob *stale)
{
	struct adfs_inode *ai = ADFS_I(inode);
	struct adfs_blob *old = NULL;

	adfs_blob_forget(stale);
	mutex_lock(&ai->lock);
	if (rcu_access_pointer(ai->blob) == stale)
		old = rcu_replace_pointer(ai->blob, NULL, lockdep_is_held(&ai->lock));
	mutex_unlock(&ai->lock);
	adfs_blob_put(old);
	return adfs_blob_open(inode);
}

void adfs_blob_cache_forget(struct adfs_cas *cas)
{
	struct adfs_blob *blob;
	LIST_HEAD(dispose);

	spin_lock(&adfs_blob_cache.lock);
	while (!list_empty(&cas->blobs)) {
		blob = list_first_entry(&cas->blobs, struct adfs_blob, of_cas);
		adfs_blob_drop(blob, &dispose);
		cond_resched_lock(&adfs_blob_cache.lock);
	}
	spin_unlock(&adfs_blob_cache.lock);
	adfs_blob_dispose(&dispose);
}

int adfs_blob_cache_init(void)
{
	spin_lock_init(&adfs_blob_cache.lock);
	INIT_LIST_HEAD(&adfs_blob_cache.order);
	hash_init(adfs_blob_cache.buckets);
	INIT_DELAYED_WORK(&adfs_blob_cache.reap, adfs_blob_cache_reap);
	adfs_blob_cache.slab = kmem_cache_create("actiondfs_blob", sizeof(struct adfs_blob), 0,
						 SLAB_RECLAIM_ACCOUNT | SLAB_ACCOUNT, NULL);
	if (!adfs_blob_cache.slab)
		return -ENOMEM;
	adfs_blob_cache.shrinker = adfs_shrinker_alloc("actiondfs-blobs", &adfs_blob_cache.lru);
	if (!adfs_blob_cache.shrinker) {
		kmem_cache_destroy(adfs_blob_cache.slab);
		return -ENOMEM;
	}
	adfs_blob_cache.shrinker->count_objects = adfs_blob_cache_count;
	adfs_blob_cache.shrinker->scan_objects = adfs_blob_cache_scan;
	shrinker_register(adfs_blob_cache.shrinker);
	return 0;
}

void adfs_blob_cache_exit(void)
{
	cancel_delayed_work_sync(&adfs_blob_cache.reap);
	shrinker_free(adfs_blob_cache.shrinker);
	/* No mount is left, so nothing is in it; `used` gives each entry one round more. */
	adfs_blob_cache_trim(0, ULONG_MAX);
	list_lru_destroy(&adfs_blob_cache.lru);
	kmem_cache_destroy(adfs_blob_cache.slab);
}
