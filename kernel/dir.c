// SPDX-License-Identifier: GPL-2.0-only
/*
 * Directories: finding a name among the inputs, then in the stage. A Directory is read when
 * somebody first looks at it or into it.
 */
#include <linux/fs.h>
#include <linux/namei.h>

#include "actiondfs.h"

static bool adfs_is_root(const struct inode *inode)
{
	return inode == d_inode(inode->i_sb->s_root);
}

/* The root's time was not known when its stage was readied. */
static void adfs_set_stage_time(struct adfs_sb *sbi, struct inode *root)
{
	struct iattr attr = { .ia_valid = ATTR_MTIME | ATTR_MTIME_SET };
	struct timespec64 now = inode_get_mtime(d_inode(sbi->stage.dentry));

	if (!sbi->new_stage || now.tv_sec != ADFS_EPOCH || now.tv_nsec)
		return;
	attr.ia_mtime = inode_get_mtime(root);
	/* Without it the root has the time of the stage: no more than a blemish. */
	(void)adfs_stage_set_attributes(sbi, sbi->stage.dentry, &attr);
}

static void adfs_apply_properties(struct inode *inode,
				  const struct actiondfs_properties *properties)
{
	if (properties->has_unix_mode)
		WRITE_ONCE(inode->i_mode, S_IFDIR | (properties->unix_mode & 0777));
	if (properties->has_mtime) {
		struct timespec64 time = { .tv_sec = properties->mtime_seconds,
					   .tv_nsec = properties->mtime_nanos };

		inode_set_atime_to_ts(inode, time);
		inode_set_mtime_to_ts(inode, time);
		inode_set_ctime_to_ts(inode, time);
	}
}

int adfs_load(struct inode *inode)
{
	struct adfs_sb *sbi = ADFS_SB(inode->i_sb);
	struct adfs_inode *ai = ADFS_I(inode);
	bool root = adfs_is_root(inode);
	struct adfs_dir *dir;
	int err = 0;

	/* Pairs with the store below. */
	if (smp_load_acquire(&ai->dir))
		return 0;
	mutex_lock(&ai->lock);
	if (ai->dir)
		goto out;
	adfs_stat_inc(sbi, dir_loads);
	if (root)
		adfs_stat_inc(sbi, root_dir_parses);
	dir = adfs_dir_get(sbi, &ai->digest, !root || sbi->root_size_known);
	if (IS_ERR(dir)) {
		err = PTR_ERR(dir);
		goto out;
	}
	adfs_apply_properties(inode, &dir->properties);
	if (root && sbi->stage.dentry && dir->properties.has_mtime)
		adfs_set_stage_time(sbi, inode);
	/* Whoever sees the Directory sees its properties, too. */
	smp_store_release(&ai->dir, dir);
out:
	mutex_unlock(&ai->lock);
	return err;
}

/* The mode of an input directory is known once it is loaded. */
static int adfs_input_dir_permission(struct mnt_idmap *idmap, struct inode *inode, int mask)
{
	/* Pairs with adfs_load(). */
	if (!smp_load_acquire(&ADFS_I(inode)->dir)) {
		int err;

		if (mask & MAY_NOT_BLOCK)
			return -ECHILD;
		err = adfs_load(inode);
		if (err)
			return err;
	}
	return generic_permission(idmap, inode, mask);
}

/* Finds the mirror that an earlier mount of this stage left behind. */
static int adfs_find_mirror(struct adfs_sb *sbi, struct inode *dir, struct inode *inode,
			    const struct qstr *name)
{
	struct dentry *parent = adfs_stage_of(dir);
	struct dentry *real;

	if (!parent) {
		adfs_stat_inc(sbi, stage_inode_lookup_unstaged_parent);
		return 0;
	}
	if (adfs_stage_of(inode))
		return 0;
	real = adfs_stage_lookup(sbi, parent, name);
	if (IS_ERR_OR_NULL(real))
		return PTR_ERR_OR_ZERO(real);
	if (d_is_dir(real) && !cmpxchg(&ADFS_I(inode)->stage, NULL, real)) {
		adfs_stat_inc(sbi, stage_inode_lookup_input_dir_merges);
		return 0;
	}
	/* An input's name counts, whatever the stage has there. */
	dput(real);
	return 0;
}

/* NULL: no input has the name. */
static struct inode *adfs_lookup_input(struct inode *dir, const struct qstr *name)
{
	struct adfs_sb *sbi = ADFS_SB(dir->i_sb);
	struct actiondfs_entry entry;
	struct inode *inode;
	int err;

	err = adfs_load(dir);
	if (err)
		return ERR_PTR(err);
	if (!adfs_dir_find(ADFS_I(dir)->dir, name->name, name->len, &entry))
		return NULL;
	inode = adfs_iget_input(dir->i_sb, adfs_entry_ino(sbi, dir->i_ino, &entry),
				adfs_place(ADFS_I(dir)->place, &entry), &entry);
	if (IS_ERR(inode) || !S_ISDIR(inode->i_mode) || !sbi->stage.dentry)
		return inode;
	err = adfs_find_mirror(sbi, dir, inode, name);
	if (err) {
		iput(inode);
		return ERR_PTR(err);
	}
	return inode;
}

/* NULL: the stage does not have it either. */
static struct inode *adfs_lookup_staged(struct inode *dir, const struct qstr *name)
{
	struct adfs_sb *sbi = ADFS_SB(dir->i_sb);
	struct dentry *parent = adfs_stage_of(dir);
	struct dentry *real;
	struct inode *inode;

	if (!parent) {
		if (sbi->stage.dentry)
			adfs_stat_inc(sbi, stage_inode_lookup_unstaged_parent);
		return NULL;
	}
	adfs_stat_inc(sbi, stage_inode_lookups);
	real = adfs_stage_lookup(sbi, parent, name);
	if (!real) {
		adfs_stat_inc(sbi, stage_inode_lookup_negative);
		return NULL;
	}
	if (IS_ERR(real)) {
		adfs_stat_inc(sbi, stage_inode_lookup_errors);
		return ERR_CAST(real);
	}
	adfs_stat_inc(sbi, stage_inode_lookup_hits);
	inode = adfs_iget_staged(dir->i_sb, real);
	dput(real);
	return inode;
}

/*
 * Overlayfs above takes the mode from the inode, without asking for attributes or permission, as
 * soon as it has looked up a name. No walk of a path that goes on or follows comes without flags.
 */
static struct inode *adfs_with_mode(struct inode *inode)
{
	int err;

	if (IS_ERR(inode) || !S_ISDIR(inode->i_mode))
		return inode;
	err = adfs_load(inode);
	/* A broken one is there all the same, and lets nobody in. */
	if (!err || err == -EIO || err == -EUCLEAN)
		return inode;
	iput(inode);
	return ERR_PTR(err);
}

static struct dentry *adfs_lookup(struct inode *dir, struct dentry *dentry, unsigned int flags)
{
	struct adfs_sb *sbi = ADFS_SB(dir->i_sb);
	struct inode *inode = NULL;

	if (dentry->d_name.len > ACTIONDFS_NAME_MAX)
		return ERR_PTR(-ENAMETOOLONG);
	adfs_stat_inc(sbi, lookups);
	if (adfs_is_input(dir))
		inode = adfs_lookup_input(dir, &dentry->d_name);
	if (!inode)
		inode = adfs_lookup_staged(dir, &dentry->d_name);
	else if (!flags)
		inode = adfs_with_mode(inode);
	if (!inode)
		adfs_stat_inc(sbi, lookup_negative);
	else if (!IS_ERR(inode))
		adfs_stat_inc(sbi, lookup_hits);
	return d_splice_alias(inode, dentry);
}

#define ADFS_DIR_OPERATIONS                                                                        \
	.lookup = adfs_lookup, .create = adfs_create, .mkdir = adfs_mkdir, .mknod = adfs_mknod,    \
	.symlink = adfs_symlink, .link = adfs_link, .unlink = adfs_unlink, .rmdir = adfs_rmdir,    \
	.rename = adfs_rename, .tmpfile = adfs_tmpfile, .getattr = adfs_getattr,                   \
	.setattr = adfs_setattr, .listxattr = adfs_listxattr

const struct inode_operations adfs_input_dir_iops = {
	ADFS_DIR_OPERATIONS,
	.permission = adfs_input_dir_permission,
};

const struct inode_operations adfs_staged_dir_iops = {
	ADFS_DIR_OPERATIONS,
};
