// SPDX-License-Identifier: GPL-2.0-only
/*
 * The module's and the mount's beginning and end.
 */
#include <linux/fs_context.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/statfs.h>

#include "actiondfs.h"

siphash_key_t adfs_secret_key __read_mostly;
static struct kmem_cache *adfs_inode_cachep;

static struct inode *adfs_alloc_inode(struct super_block *sb)
{
	struct adfs_inode *ai = alloc_inode_sb(sb, adfs_inode_cachep, GFP_KERNEL);

	if (!ai)
		return NULL;
	ai->dir = NULL;
	ai->stage = NULL;
	ai->input = false;
	memset(&ai->digest, 0, sizeof(ai->digest));
	return &ai->vfs_inode;
}

/* After a grace period: path walks under RCU may have been reading a symlink's target. */
static void adfs_free_inode(struct inode *inode)
{
	struct adfs_inode *ai = ADFS_I(inode);

	if (ai->input && S_ISLNK(inode->i_mode))
		kfree(ai->target);
	kmem_cache_free(adfs_inode_cachep, ai);
}

static void adfs_inode_init_once(void *object)
{
	struct adfs_inode *ai = object;

	mutex_init(&ai->lock);
	inode_init_once(&ai->vfs_inode);
}

static int adfs_statfs(struct dentry *dentry, struct kstatfs *buf)
{
	struct adfs_sb *sbi = ADFS_SB(dentry->d_sb);
	const struct path *below = sbi->stage.dentry ? &sbi->stage : &sbi->cas->path;
	const struct cred *old = override_creds(sbi->cred);
	int err = vfs_statfs(below, buf);

	revert_creds(old);
	if (err)
		return err;
	buf->f_type = ACTIONDFS_MAGIC;
	buf->f_namelen = min_t(long, buf->f_namelen, ACTIONDFS_NAME_MAX);
	return 0;
}

/* What writing back the stage's data came to: who calls syncfs() on us is told, once an open file. */
static void adfs_pass_on_error(struct super_block *sb)
{
	struct adfs_sb *sbi = ADFS_SB(sb);
	int err;

	mutex_lock(&sbi->sync_lock);
	err = errseq_check_and_advance(&sbi->stage.dentry->d_sb->s_wb_err, &sbi->stage_error);
	if (err)
		errseq_set(&sb->s_wb_err, err);
	mutex_unlock(&sbi->sync_lock);
}

static int adfs_sync_fs(struct super_block *sb, int wait)
{
	struct adfs_sb *sbi = ADFS_SB(sb);
	struct super_block *below;
	int err;

	/* Unmounting writes nothing back: that is for the host, in its own time. */
	if (!sbi->stage.dentry || !wait || !sb->s_root)
		return 0;
	below = sbi->stage.dentry->d_sb;
	down_read(&below->s_umount);
	err = sync_filesystem(below);
	up_read(&below->s_umount);
	adfs_pass_on_error(sb);
	return err;
}

static const struct super_operations adfs_super_ops = {
	.alloc_inode = adfs_alloc_inode,
	.destroy_inode = adfs_destroy_inode,
	.free_inode = adfs_free_inode,
	.evict_inode = adfs_evict_inode,
	.statfs = adfs_statfs,
	.sync_fs = adfs_sync_fs,
	.show_options = adfs_show_options,
	.show_stats = adfs_show_stats,
};

static bool adfs_overlap(const struct dentry *a, const struct dentry *b)
{
	return a->d_sb == b->d_sb &&
	       (is_subdir((struct dentry *)a, (struct dentry *)b) ||
		is_subdir((struct dentry *)b, (struct dentry *)a));
}

/* EBUSY: another mount has its stage, or its CAS, in this directory, one above or one below. */
static int adfs_claim_stage(struct adfs_sb *sbi, struct fs_context *fc)
{
	const struct dentry *stage = sbi->stage.dentry, *cas = sbi->cas->path.dentry;
	const struct adfs_sb *other;
	const char *wrong = NULL;

	mutex_lock(&adfs_mounts_lock);
	list_for_each_entry(other, &adfs_mounts, mounts) {
		if (other == sbi)
			continue;
		/* Of two that come at once one sees the other: both have been in the list since before. */
		if (stage && adfs_overlap(other->cas->path.dentry, stage))
			wrong = "stage: another mount has its CAS there";
		else if (stage && other->claimed && adfs_overlap(other->stage.dentry, stage))
			wrong = "stage: another mount has its stage there";
		else if (other->claimed && adfs_overlap(other->stage.dentry, cas))
			wrong = "cas: another mount has its stage there";
		if (wrong)
			break;
	}
	sbi->claimed = stage && !wrong;
	mutex_unlock(&adfs_mounts_lock);
	if (!wrong)
		return 0;
	errorf(fc, "%s", wrong);
	return -EBUSY;
}

struct adfs_is_empty {
	struct dir_context ctx;
	bool empty;
};

static bool adfs_saw_name(struct dir_context *ctx, const char *name, int len, loff_t pos, u64 ino,
			  unsigned int type)
{
	struct adfs_is_empty *seen = container_of(ctx, struct adfs_is_empty, ctx);

	if ((len == 1 && name[0] == '.') || (len == 2 && name[0] == '.' && name[1] == '.'))
		return true;
	seen->empty = false;
	return false;
}

/*
 * An empty stage takes the root's time, so that its time tells later whether something was made in
 * the root itself. The root's own node_properties are not known yet; see adfs_load().
 */
static int adfs_ready_stage(struct adfs_sb *sbi)
{
	struct adfs_is_empty seen = { .ctx.actor = adfs_saw_name, .empty = true };
	struct iattr attr = {
		.ia_valid = ATTR_MTIME | ATTR_MTIME_SET,
		.ia_mtime.tv_sec = ADFS_EPOCH,
	};
	const struct cred *old = override_creds(sbi->cred);
	struct file *dir = adfs_open_plain(&sbi->stage, O_DIRECTORY, sbi->cred);
	int err = PTR_ERR_OR_ZERO(dir);

	if (!err) {
		err = iterate_dir(dir, &seen.ctx);
		fput(dir);
	}
	revert_creds(old);
	if (err || !seen.empty)
		return err;
	sbi->new_stage = true;
	return adfs_stage_set_attributes(sbi, sbi->stage.dentry, &attr);
}

/* See adfs_set_lock_classes(). */
static struct lock_class_key adfs_mirror_keys[FILESYSTEM_MAX_STACK_DEPTH];

int adfs_fill_super(struct super_block *sb, struct fs_context *fc)
{
	struct adfs_sb *sbi = ADFS_SB(sb);
	struct super_block *cas_sb = sbi->cas->path.dentry->d_sb;
	struct super_block *stage_sb = sbi->stage.dentry ? sbi->stage.dentry->d_sb : NULL;
	struct inode *root;
	int err;

	sb->s_magic = ACTIONDFS_MAGIC;
	sb->s_op = &adfs_super_ops;
	sb->s_xattr = adfs_xattr_handlers;
	sb->s_export_op = &adfs_export_ops;
	sb->s_blocksize = PAGE_SIZE;
	sb->s_blocksize_bits = PAGE_SHIFT;
	sb->s_maxbytes = cas_sb->s_maxbytes;
	sb->s_time_gran = 1;
	/* sync(2) comes to the filesystem below by itself; syncfs(2) does not. */
	sb->s_iflags |= SB_I_NODEV | SB_I_SKIP_SYNC;
	sb->s_stack_depth = cas_sb->s_stack_depth;
	if (stage_sb) {
		sb->s_maxbytes = max(sb->s_maxbytes, stage_sb->s_maxbytes);
		sb->s_stack_depth = max(sb->s_stack_depth, stage_sb->s_stack_depth);
		sb->s_time_min = stage_sb->s_time_min;
		sb->s_time_max = stage_sb->s_time_max;
		sb->s_time_gran = stage_sb->s_time_gran;
	} else {
		sb->s_flags |= SB_RDONLY;
	}
	if (++sb->s_stack_depth > FILESYSTEM_MAX_STACK_DEPTH) {
		errorf(fc, "the CAS or the stage is on too many stacked filesystems");
		return -EINVAL;
	}

	lockdep_set_class(&sbi->mirror_lock, &adfs_mirror_keys[sb->s_stack_depth - 1]);
	err = adfs_claim_stage(sbi, fc);
	if (err)
		return err;
	if (stage_sb) {
		err = adfs_ready_stage(sbi);
		if (err) {
			errorf(fc, "stage=%s: cannot be used: error %d", sbi->stage_name, err);
			return err;
		}
	}
	root = adfs_iget_root(sb);
	if (IS_ERR(root))
		return PTR_ERR(root);
	sb->s_root = d_make_root(root);
	if (!sb->s_root)
		return -ENOMEM;
	adfs_stat_inc(sbi, mounts);
	return 0;
}

void adfs_free_sb(struct adfs_sb *sbi)
{
	if (!sbi)
		return;
	/* Says how many lines there were no room for. */
	ratelimit_state_exit(&sbi->log_limit);
	adfs_stats_remove_mount(sbi);
	adfs_cas_put(sbi->cas);
	adfs_put_clone(&sbi->stage);
	if (sbi->cred)
		put_cred(sbi->cred);
	kfree(sbi->cas_name);
	kfree(sbi->stage_name);
	kfree(sbi);
}

static void adfs_kill_sb(struct super_block *sb)
{
	struct adfs_sb *sbi = ADFS_SB(sb);

	kill_anon_super(sb);
	adfs_free_sb(sbi);
}

struct file_system_type adfs_fs_type = {
	.owner = THIS_MODULE,
	.name = ACTIONDFS_FS_TYPE,
	.init_fs_context = adfs_init_fs_context,
	.parameters = adfs_parameters,
	.kill_sb = adfs_kill_sb,
	.fs_flags = FS_ALLOW_IDMAP,
};

static int __init adfs_init(void)
{
	int err;

	adfs_inode_cachep = kmem_cache_create("actiondfs_inode", sizeof(struct adfs_inode), 0,
					      SLAB_RECLAIM_ACCOUNT | SLAB_ACCOUNT,
					      adfs_inode_init_once);
	if (!adfs_inode_cachep)
		return -ENOMEM;
	get_random_bytes(&adfs_secret_key, sizeof(adfs_secret_key));
	err = adfs_hash_init();
	if (err)
		goto out_inodes;
	err = adfs_dir_cache_init();
	if (err)
		goto out_hash;
	err = adfs_blob_cache_init();
	if (err)
		goto out_dirs;
	err = adfs_stats_init();
	if (err)
		goto out_blobs;
	err = register_filesystem(&adfs_fs_type);
	if (err)
		goto out_stats;
	return 0;

out_stats:
	adfs_stats_exit();
out_blobs:
	adfs_blob_cache_exit();
out_dirs:
	adfs_dir_cache_exit();
out_hash:
	adfs_hash_exit();
out_inodes:
	kmem_cache_destroy(adfs_inode_cachep);
	return err;
}

static void __exit adfs_exit(void)
{
	unregister_filesystem(&adfs_fs_type);
	adfs_stats_exit();
	adfs_blob_cache_exit();
	adfs_dir_cache_exit();
	adfs_hash_exit();
	/* Inodes are freed by RCU. */
	rcu_barrier();
	kmem_cache_destroy(adfs_inode_cachep);
}

module_init(adfs_init);
module_exit(adfs_exit);
MODULE_ALIAS_FS(ACTIONDFS_FS_TYPE);
MODULE_DESCRIPTION("REAPI input trees from a content-addressed store");
MODULE_LICENSE("GPL");
