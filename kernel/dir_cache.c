// SPDX-License-Identifier: GPL-2.0-only
/*
 * Parsed Directories: once for the host, for all mounts. Directories are content-addressed, and
 * their hashes were checked when they came in, so one mount may use what another has read. What was
 * not checked (verify=none) does not come in here: it belongs to the inode that asked for it.
 *
 * A Directory is kept as its bytes, and where its entries are in them: what is needed of an entry
 * is read from there each time. What no inode refers to is kept for the next mount, within a bound,
 * and goes when memory is short. Memory is accounted to who read it first, as in the page cache, and
 * goes when that control group's is short.
 */
#include <linux/hashtable.h>
#include <linux/list_lru.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/shrinker.h>
#include <linux/slab.h>

#include "actiondfs.h"

#define ADFS_DIR_CACHE_BITS 16

static unsigned long adfs_dir_cache_max;
module_param_named(dir_cache_max, adfs_dir_cache_max, ulong, 0644);
MODULE_PARM_DESC(dir_cache_max, "bytes of parsed Directories to keep (default: 1/64 of memory)");

static struct {
	struct kmem_cache *slab;
	spinlock_t lock;
	struct list_head order; /* all entries, the oldest first: for the bound */
	struct list_lru lru;	/* the same by control group and node: for the shrinker */
	unsigned long count;
	unsigned long bytes;
	DECLARE_HASHTABLE(buckets, ADFS_DIR_CACHE_BITS);
	struct shrinker *shrinker;
} adfs_dir_cache;

static size_t adfs_dir_bytes(const struct adfs_dir *dir)
{
	return sizeof(*dir) + sizeof(dir->slots[0]) * adfs_dir_count(dir) + dir->digest.size;
}

static void adfs_dir_free(struct adfs_dir *dir)
{
	kvfree(dir->blob);
	kvfree(dir->slots);
	kmem_cache_free(adfs_dir_cache.slab, dir);
}

void adfs_dir_put(struct adfs_dir *dir)
{
	if (dir && refcount_dec_and_test(&dir->refs))
		adfs_dir_free(dir);
}

/* Takes an entry out; the caller frees those on `dispose` without the lock. */
static void adfs_dir_remove(struct adfs_dir *dir, struct list_head *dispose)
{
	lockdep_assert_held(&adfs_dir_cache.lock);
	hash_del(&dir->bucket);
	adfs_dir_cache.count--;
	adfs_dir_cache.bytes -= adfs_dir_bytes(dir);
	list_move(&dir->order, dispose);
}

static void adfs_dir_dispose(struct list_head *dispose)
{
	struct adfs_dir *dir, *next;

	list_for_each_entry_safe(dir, next, dispose, order) {
		list_del_init(&dir->order);
		adfs_dir_put(dir);
	}
}

/* Entries that were used since the last time get another round. */
static bool adfs_dir_is_idle(struct adfs_dir *dir)
{
	bool idle = !dir->used && refcount_read(&dir->refs) == 1;

	dir->used = false;
	return idle;
}

/* Frees entries that nobody uses, the oldest first, until the bytes or `scan` are used up. */
static void adfs_dir_cache_trim(unsigned long target, unsigned long scan)
{
	struct adfs_dir *dir;
	LIST_HEAD(dispose);

	spin_lock(&adfs_dir_cache.lock);
	while (scan-- && adfs_dir_cache.bytes > target && !list_empty(&adfs_dir_cache.order)) {
		dir = list_first_entry(&adfs_dir_cache.order, struct adfs_dir, order);
		if (adfs_dir_is_idle(dir)) {
			list_lru_del_obj(&adfs_dir_cache.lru, &dir->lru);
			adfs_dir_remove(dir, &dispose);
		} else {
			list_move_tail(&dir->order, &adfs_dir_cache.order);
		}
	}
	spin_unlock(&adfs_dir_cache.lock);
	adfs_dir_dispose(&dispose);
}

/*
 * Pages that an entry takes, on average over the host, as a list does not know its bytes: an entry
 * may be of 200 bytes or of 64 MiB.
 */
static unsigned long adfs_dir_cache_pages(void)
{
	unsigned long pages = READ_ONCE(adfs_dir_cache.bytes) >> PAGE_SHIFT;

	return max(pages / max(READ_ONCE(adfs_dir_cache.count), 1UL), 1UL);
}

static unsigned long adfs_dir_cache_count(struct shrinker *shrinker, struct shrink_control *sc)
{
	unsigned long count = list_lru_shrink_count(&adfs_dir_cache.lru, sc);

	return count * adfs_dir_cache_pages() ?: SHRINK_EMPTY;
}

static enum lru_status adfs_dir_isolate(ADFS_ISOLATE_ARGS)
{
	struct adfs_dir *dir = container_of(item, struct adfs_dir, lru);

	if (!adfs_dir_is_idle(dir))
		return LRU_ROTATE;
	list_lru_isolate(list, item);
	adfs_dir_remove(dir, arg);
	return LRU_REMOVED;
}

static unsigned long adfs_dir_cache_scan(struct shrinker *shrinker, struct shrink_control *sc)
{
	unsigned long pages = adfs_dir_cache_pages(), freed;
	unsigned long scan = DIV_ROUND_UP(sc->nr_to_scan, pages);
	LIST_HEAD(dispose);

	spin_lock(&adfs_dir_cache.lock);
	freed = list_lru_walk_one(&adfs_dir_cache.lru, sc->nid, sc->memcg, adfs_dir_isolate,
				  &dispose, &scan);
	spin_unlock(&adfs_dir_cache.lock);
	adfs_dir_dispose(&dispose);
	/* Nothing yet, if all was used of late: the next round will. */
	return freed * pages;
}

static struct adfs_dir *adfs_dir_cache_find(const struct adfs_digest *digest)
{
	struct adfs_dir *dir;

	lockdep_assert_held(&adfs_dir_cache.lock);
	hash_for_each_possible(adfs_dir_cache.buckets, dir, bucket, adfs_digest_key(digest)) {
		if (dir->digest.size == digest->size &&
		    !memcmp(dir->digest.hash, digest->hash, sizeof(digest->hash))) {
			dir->used = true;
			refcount_inc(&dir->refs);
			return dir;
		}
	}
	return NULL;
}

/* Gives the new entry to the cache, unless another was faster: then that one is returned. */
static struct adfs_dir *adfs_dir_cache_add(struct adfs_sb *sbi, struct adfs_dir *dir)
{
	struct adfs_dir *other;

	spin_lock(&adfs_dir_cache.lock);
	other = adfs_dir_cache_find(&dir->digest);
	if (!other) {
		refcount_inc(&dir->refs);
		hash_add(adfs_dir_cache.buckets, &dir->bucket, adfs_digest_key(&dir->digest));
		list_add_tail(&dir->order, &adfs_dir_cache.order);
		list_lru_add_obj(&adfs_dir_cache.lru, &dir->lru);
		adfs_dir_cache.count++;
		adfs_dir_cache.bytes += adfs_dir_bytes(dir);
	}
	spin_unlock(&adfs_dir_cache.lock);
	if (!other) {
		adfs_dir_cache_trim(READ_ONCE(adfs_dir_cache_max), 32);
		return dir;
	}
	adfs_stat_inc(sbi, dir_cache_races);
	adfs_dir_free(dir);
	return other;
}

struct adfs_dir_build {
	struct adfs_dir *dir;
	u32 next[ACTIONDFS_ENTRY_KINDS];
};

static void adfs_dir_note(void *context, enum actiondfs_entry_kind kind,
			  struct actiondfs_slice name, u32 offset)
{
	struct adfs_dir_build *build = context;
	struct adfs_slot *slot = &build->dir->slots[build->next[kind]++];

	slot->entry = offset;
	slot->name = name.data - build->dir->blob;
	slot->name_len = name.size;
}

static int adfs_dir_refuse(struct adfs_sb *sbi, const struct adfs_digest *digest,
			   const struct actiondfs_directory_result *result)
{
	char hash[ADFS_HEX_SIZE];

	adfs_digest_text(digest, hash);
	adfs_warn(sbi, "Directory %s/%llu: %s at byte %zu, name \"%*pE\"", hash, digest->size,
		  actiondfs_fault_name(result->fault), result->offset,
		  (int)min_t(size_t, result->name.size, ACTIONDFS_NAME_MAX), result->name.data);
	return -EUCLEAN;
}

/* Takes over `blob`, also when it fails. */
static struct adfs_dir *adfs_dir_parse(struct adfs_sb *sbi, const struct adfs_digest *digest,
				       u8 *blob)
{
	struct actiondfs_directory_result result;
	struct adfs_dir_build build;
	struct adfs_dir *dir;
	int err;

	/* Once to check and to count, once to note where the entries are. */
	if (actiondfs_directory_parse(blob, digest->size, NULL, NULL, &result)) {
		/* The name that it says is in there. */
		err = adfs_dir_refuse(sbi, digest, &result);
		kvfree(blob);
		return ERR_PTR(err);
	}
	dir = kmem_cache_alloc_lru(adfs_dir_cache.slab, &adfs_dir_cache.lru,
				   GFP_KERNEL | __GFP_ZERO);
	if (!dir) {
		kvfree(blob);
		return ERR_PTR(-ENOMEM);
	}
	INIT_LIST_HEAD(&dir->order);
	INIT_LIST_HEAD(&dir->lru);
	refcount_set(&dir->refs, 1);
	dir->digest = *digest;
	dir->blob = blob;
	dir->properties = result.properties;
	memcpy(dir->counts, result.counts, sizeof(dir->counts));
	dir->slots = kvmalloc_array(adfs_dir_count(dir), sizeof(dir->slots[0]), GFP_KERNEL_ACCOUNT);
	if (!dir->slots) {
		adfs_dir_free(dir);
		return ERR_PTR(-ENOMEM);
	}

	build.dir = dir;
	build.next[ACTIONDFS_ENTRY_FILE] = 0;
	build.next[ACTIONDFS_ENTRY_DIRECTORY] = dir->counts[ACTIONDFS_ENTRY_FILE];
	build.next[ACTIONDFS_ENTRY_SYMLINK] =
		dir->counts[ACTIONDFS_ENTRY_FILE] + dir->counts[ACTIONDFS_ENTRY_DIRECTORY];
	actiondfs_directory_names(blob, digest->size, adfs_dir_note, &build);
	return dir;
}

struct adfs_dir *adfs_dir_get(struct adfs_sb *sbi, const struct adfs_digest *wanted,
			      bool size_known)
{
	struct adfs_digest digest = *wanted;
	struct adfs_dir *dir = NULL;
	u8 *blob;

	adfs_stat_inc(sbi, cached_dir_requests);
	if (size_known && sbi->verify) {
		spin_lock(&adfs_dir_cache.lock);
		dir = adfs_dir_cache_find(&digest);
		spin_unlock(&adfs_dir_cache.lock);
	}
	if (dir) {
		adfs_stat_inc(sbi, dir_cache_hits);
		return dir;
	}
	adfs_stat_inc(sbi, dir_cache_misses);
	blob = adfs_cas_read(sbi, &digest, size_known);
	if (IS_ERR(blob))
		return ERR_CAST(blob);
	dir = adfs_dir_parse(sbi, &digest, blob);
	if (IS_ERR(dir))
		return dir;
	adfs_stat_inc(sbi, cached_dir_builds);
	adfs_stat_add(sbi, cached_dir_bytes, adfs_dir_bytes(dir));
	adfs_stat_add(sbi, cached_file_records, dir->counts[ACTIONDFS_ENTRY_FILE]);
	adfs_stat_add(sbi, cached_dir_records, dir->counts[ACTIONDFS_ENTRY_DIRECTORY]);
	return sbi->verify ? adfs_dir_cache_add(sbi, dir) : dir;
}

bool adfs_dir_entry(const struct adfs_dir *dir, u32 index, struct actiondfs_entry *entry)
{
	if (index >= adfs_dir_count(dir))
		return false;
	/* The blob was accepted as a whole, so this cannot fail. */
	return !actiondfs_directory_entry(dir->blob, dir->digest.size, dir->slots[index].entry, entry);
}

static int adfs_compare_names(const char *name, size_t len, const struct adfs_dir *dir,
			      const struct adfs_slot *slot)
{
	int order = memcmp(name, dir->blob + slot->name, min_t(size_t, len, slot->name_len));

	return order ?: (len > slot->name_len) - (len < slot->name_len);
}

bool adfs_dir_find(const struct adfs_dir *dir, const char *name, size_t len,
		   struct actiondfs_entry *entry)
{
	u32 begin = 0;
	int kind;

	for (kind = 0; kind < ACTIONDFS_ENTRY_KINDS; kind++) {
		u32 low = begin, high = begin + dir->counts[kind];

		begin = high;
		while (low < high) {
			u32 middle = low + (high - low) / 2;
			int order = adfs_compare_names(name, len, dir, &dir->slots[middle]);

			if (!order)
				return adfs_dir_entry(dir, middle, entry);
			if (order < 0)
				high = middle;
			else
				low = middle + 1;
		}
	}
	return false;
}

int adfs_dir_cache_init(void)
{
	spin_lock_init(&adfs_dir_cache.lock);
	INIT_LIST_HEAD(&adfs_dir_cache.order);
	hash_init(adfs_dir_cache.buckets);
	if (!adfs_dir_cache_max)
		adfs_dir_cache_max = (totalram_pages() << PAGE_SHIFT) / 64;
	adfs_dir_cache.slab = kmem_cache_create("actiondfs_directory", sizeof(struct adfs_dir), 0,
						SLAB_RECLAIM_ACCOUNT | SLAB_ACCOUNT, NULL);
	if (!adfs_dir_cache.slab)
		return -ENOMEM;
	adfs_dir_cache.shrinker = adfs_shrinker_alloc("actiondfs-directories", &adfs_dir_cache.lru);
	if (!adfs_dir_cache.shrinker) {
		kmem_cache_destroy(adfs_dir_cache.slab);
		return -ENOMEM;
	}
	adfs_dir_cache.shrinker->count_objects = adfs_dir_cache_count;
	adfs_dir_cache.shrinker->scan_objects = adfs_dir_cache_scan;
	shrinker_register(adfs_dir_cache.shrinker);
	return 0;
}

void adfs_dir_cache_exit(void)
{
	shrinker_free(adfs_dir_cache.shrinker);
	adfs_dir_cache_trim(0, ULONG_MAX);
	list_lru_destroy(&adfs_dir_cache.lru);
	kmem_cache_destroy(adfs_dir_cache.slab);
}
