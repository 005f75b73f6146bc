// SPDX-License-Identifier: GPL-2.0-only
/*
 * The stage: every change to its names, with the mounter's credentials. Files are known by their
 * real dentries, never by a path, so that renaming a directory leaves nothing stale.
 *
 * The callers hold our own directories' locks, which keep two changes of one real directory apart;
 * the real locks are taken here, since the filesystem below wants them.
 */
#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/mount.h>
#include <linux/namei.h>
#include <linux/security.h>
#include <linux/slab.h>

#include "actiondfs.h"

static struct mnt_idmap *adfs_stage_idmap(const struct adfs_sb *sbi)
{
	return mnt_idmap(sbi->stage.mnt);
}

struct dentry *adfs_stage_lookup(struct adfs_sb *sbi, struct dentry *parent,
				 const struct qstr *name)
{
	const struct cred *old = override_creds(sbi->cred);
	struct dentry *real;

	adfs_stat_inc(sbi, stage_child_lookups);
	real = adfs_lookup_one_unlocked(adfs_stage_idmap(sbi), name, parent);
	revert_creds(old);
	if (IS_ERR(real)) {
		adfs_stat_inc(sbi, stage_child_lookup_errors);
		return real;
	}
	if (d_is_negative(real)) {
		adfs_stat_inc(sbi, stage_child_lookup_negative);
		dput(real);
		return NULL;
	}
	adfs_stat_inc(sbi, stage_child_lookup_hits);
	return real;
}

/* `real` with its parent locked, if it is `expected` (NULL: nothing). */
static struct dentry *adfs_stage_expect(struct dentry *real, const struct inode *expected)
{
	if (IS_ERR(real) || d_inode(real) == expected)
		return real;
	/* Somebody went behind our back. */
	adfs_end_dirop(real);
	return ERR_PTR(expected ? -ESTALE : -EEXIST);
}

int adfs_stage_set_attributes(struct adfs_sb *sbi, struct dentry *real, struct iattr *attr)
{
	struct inode *inode = d_inode(real);
	const struct cred *old;
	int err;

	err = mnt_want_write(sbi->stage.mnt);
	if (err)
		return err;
	if (attr->ia_valid & ATTR_SIZE) {
		err = get_write_access(inode);
		if (err)
			goto out;
	}
	old = override_creds(sbi->cred);
	inode_lock(inode);
	err = notify_change(adfs_stage_idmap(sbi), real, attr, NULL);
	inode_unlock(inode);
	revert_creds(old);
	if (attr->ia_valid & ATTR_SIZE)
		put_write_access(inode);
out:
	mnt_drop_write(sbi->stage.mnt);
	return err;
}

int adfs_creator_begin(struct adfs_sb *sbi, kuid_t uid, kgid_t gid, struct adfs_creator *creator)
{
	const struct cred *old = override_creds(sbi->cred);

	creator->cred = prepare_creds();
	revert_creds(old);
	if (!creator->cred)
		return -ENOMEM;
	/* The filesystem below gives a new file to whom the credentials say. */
	creator->cred->fsuid = uid;
	creator->cred->fsgid = gid;
	creator->old = override_creds(creator->cred);
	return 0;
}

void adfs_creator_end(struct adfs_creator *creator)
{
	revert_creds(creator->old);
	put_cred(creator->cred);
}

/* Ends what adfs_start_creating() began, but for a reference to the child. */
static struct dentry *adfs_stage_created(struct dentry *real)
{
	if (!IS_ERR(real))
		dget(real);
	adfs_end_dirop(real);
	return real;
}

/* Makes it where `real` is, which is negative and whose parent is locked until this fails. */
static struct dentry *adfs_stage_make_locked(struct adfs_sb *sbi, struct inode *dir,
					     struct dentry *real, const struct adfs_make *make)
{
	struct mnt_idmap *idmap = adfs_stage_idmap(sbi);
	int err = 0;

	switch (make->mode & S_IFMT) {
	case S_IFREG:
		err = adfs_vfs_create(idmap, dir, real, make->mode);
		break;
	case S_IFDIR:
		real = adfs_vfs_mkdir(idmap, dir, real, make->mode);
		if (IS_ERR(real))
			return real;
		break;
	case S_IFLNK:
		err = adfs_vfs_symlink(idmap, dir, real, make->target);
		break;
	default:
		err = adfs_vfs_mknod(idmap, dir, real, make->mode);
		break;
	}
	if (!err && d_is_negative(real))
		err = -ESTALE;
	if (!err)
		return real;
	adfs_end_dirop(real);
	return ERR_PTR(err);
}

struct dentry *adfs_stage_make(struct adfs_sb *sbi, struct dentry *parent, const struct qstr *name,
			       const struct adfs_make *make)
{
	struct mnt_idmap *idmap = adfs_stage_idmap(sbi);
	struct inode *dir = d_inode(parent);
	struct adfs_creator creator;
	struct timespec64 before;
	struct dentry *real;
	int err;

	err = mnt_want_write(sbi->stage.mnt);
	if (err)
		return ERR_PTR(err);
	err = adfs_creator_begin(sbi, make->uid, make->gid, &creator);
	if (err) {
		real = ERR_PTR(err);
		goto out;
	}
	real = adfs_stage_expect(adfs_start_creating(idmap, parent, name), NULL);
	if (IS_ERR(real))
		goto out_creator;
	before = inode_get_mtime(dir);
	real = adfs_stage_make_locked(sbi, dir, real, make);
	if (!IS_ERR(real) && make->unseen) {
		/* The time of a mirror tells of changes in it; a mirror below is none. */
		struct iattr attr = {
			.ia_valid = ATTR_MTIME | ATTR_MTIME_SET,
			.ia_mtime = before,
		};

		err = notify_change(idmap, parent, &attr, NULL);
		if (err) {
			adfs_end_dirop(real);
			real = ERR_PTR(err);
		}
	}
	real = adfs_stage_created(real);
out_creator:
	adfs_creator_end(&creator);
out:
	mnt_drop_write(sbi->stage.mnt);
	return real;
}

struct dentry *adfs_stage_link(struct adfs_sb *sbi, struct dentry *old_real, struct dentry *parent,
			       const struct qstr *name)
{
	struct mnt_idmap *idmap = adfs_stage_idmap(sbi);
	const struct cred *old;
	struct dentry *real;
	int err;

	err = mnt_want_write(sbi->stage.mnt);
	if (err)
		return ERR_PTR(err);
	old = override_creds(sbi->cred);
	real = adfs_stage_expect(adfs_start_creating(idmap, parent, name), NULL);
	if (!IS_ERR(real)) {
		err = vfs_link(old_real, idmap, d_inode(parent), real, NULL);
		if (err) {
			adfs_end_dirop(real);
			real = ERR_PTR(err);
		}
	}
	real = adfs_stage_created(real);
	revert_creds(old);
	mnt_drop_write(sbi->stage.mnt);
	return real;
}

int adfs_stage_remove(struct adfs_sb *sbi, struct dentry *parent, const struct qstr *name,
		      const struct inode *expected, bool directory)
{
	struct mnt_idmap *idmap = adfs_stage_idmap(sbi);
	struct inode *dir = d_inode(parent);
	const struct cred *old;
	struct dentry *real;
	int err;

	err = mnt_want_write(sbi->stage.mnt);
	if (err)
		return err;
	old = override_creds(sbi->cred);
	real = adfs_stage_expect(adfs_start_removing(idmap, parent, name), expected);
	if (IS_ERR(real))
		err = PTR_ERR(real);
	else if (directory)
		err = adfs_vfs_rmdir(idmap, dir, real);
	else
		err = vfs_unlink(idmap, dir, real, NULL);
	adfs_end_dirop(real);
	revert_creds(old);
	mnt_drop_write(sbi->stage.mnt);
	return err;
}

int adfs_stage_rename(struct adfs_sb *sbi, const struct adfs_rename_end *from,
		      const struct adfs_rename_end *to, unsigned int flags)
{
	struct mnt_idmap *idmap = adfs_stage_idmap(sbi);
	struct adfs_renaming renaming;
	const struct cred *old;
	int err;

	err = mnt_want_write(sbi->stage.mnt);
	if (err)
		return err;
	old = override_creds(sbi->cred);
	/* That nothing is there is seen below; not each filesystem knows NOREPLACE. */
	adfs_renaming_init(&renaming, idmap, from->parent, to->parent, flags & ~RENAME_NOREPLACE);
	err = adfs_start_renaming(&renaming, idmap, from->name, to->name);
	if (err)
		goto out;
	/* Somebody went behind our back. */
	if (d_inode(renaming.rd.old_dentry) != from->real)
		err = -ESTALE;
	else if (d_inode(renaming.rd.new_dentry) != to->real)
		err = to->real ? -ESTALE : -EEXIST;
	else
		err = vfs_rename(&renaming.rd);
	adfs_end_renaming(&renaming);
out:
	revert_creds(old);
	mnt_drop_write(sbi->stage.mnt);
	return err;
}

/* ---- mirrors of input directories ---- */

/* The mirror looks like the input; what was made is not yet a change. */
static int adfs_dress_mirror(struct adfs_sb *sbi, struct inode *inode, struct dentry *mirror)
{
	struct iattr attr = {
		.ia_valid = ATTR_MODE | ATTR_MTIME | ATTR_MTIME_SET,
		.ia_mode = inode->i_mode,
		.ia_mtime = inode_get_mtime(inode),
	};

	return adfs_stage_set_attributes(sbi, mirror, &attr);
}

/* What is there although no lookup has found it: most likely one that could not be dressed. */
static struct dentry *adfs_adopt_mirror(struct adfs_sb *sbi, struct dentry *parent,
					const struct qstr *name)
{
	struct dentry *real = adfs_stage_lookup(sbi, parent, name);

	if (IS_ERR(real))
		return real;
	if (real && d_is_dir(real))
		return real;
	dput(real);
	return ERR_PTR(-EEXIST);
}

/* Under mirror_lock: the mirror of `dentry`, below that of its parent. */
static int adfs_make_mirror(struct adfs_sb *sbi, struct dentry *dentry, struct dentry *parent)
{
	struct inode *inode = d_inode(dentry);
	const struct adfs_make make = {
		.mode = S_IFDIR | 0755,
		.uid = sbi->uid,
		.gid = sbi->gid,
		.unseen = true,
	};
	struct dentry *mirror;
	bool made;
	int err;

	adfs_stat_inc(sbi, stage_ensure_dir_components);
	if (adfs_stage_of(inode)) {
		adfs_stat_inc(sbi, stage_ensure_dir_existing);
		return 0;
	}
	mirror = adfs_stage_make(sbi, parent, &dentry->d_name, &make);
	made = mirror != ERR_PTR(-EEXIST);
	if (!made)
		mirror = adfs_adopt_mirror(sbi, parent, &dentry->d_name);
	if (IS_ERR(mirror))
		return PTR_ERR(mirror);
	err = adfs_dress_mirror(sbi, inode, mirror);
	if (err || cmpxchg(&ADFS_I(inode)->stage, NULL, mirror))
		dput(mirror);
	else if (made)
		adfs_stat_inc(sbi, stage_ensure_dir_created);
	else
		adfs_stat_inc(sbi, stage_ensure_dir_existing);
	return err;
}

/* The nearest directory above that has a mirror, and those between, the lowest first. */
static struct dentry **adfs_unmirrored(struct dentry *dentry, unsigned int *count)
{
	struct dentry **list, *at;
	unsigned int depth = 0;

	for (at = dentry; !adfs_stage_of(d_inode(at)); at = at->d_parent)
		depth++;
	list = kvmalloc_array(depth + 1, sizeof(*list), GFP_KERNEL_ACCOUNT);
	if (!list)
		return NULL;
	*count = 0;
	for (at = dentry; *count < depth; at = at->d_parent)
		list[(*count)++] = at;
	list[depth] = at;
	return list;
}

struct dentry *adfs_stage_directory(struct dentry *dentry)
{
	struct adfs_sb *sbi = ADFS_SB(dentry->d_sb);
	struct dentry *real = adfs_stage_of(d_inode(dentry));
	struct dentry **list;
	unsigned int count;
	int err = 0;

	if (real) {
		adfs_stat_inc(sbi, stage_parent_dentry_hits);
		return real;
	}
	if (!sbi->stage.dentry)
		return ERR_PTR(-EROFS);
	/* Staged, yet without a place in the stage: no such thing. */
	if (WARN_ON_ONCE(!adfs_is_input(d_inode(dentry))))
		return ERR_PTR(-ESTALE);
	adfs_stat_inc(sbi, stage_ensure_dir_calls);
	/* Inputs are never renamed: d_parent and d_name of what is listed stay as they are. */
	mutex_lock(&sbi->mirror_lock);
	list = adfs_unmirrored(dentry, &count);
	if (!list)
		err = -ENOMEM;
	while (!err && count--)
		err = adfs_make_mirror(sbi, list[count], adfs_stage_of(d_inode(list[count + 1])));
	mutex_unlock(&sbi->mirror_lock);
	kvfree(list);
	if (err) {
		adfs_stat_inc(sbi, stage_ensure_dir_errors);
		return ERR_PTR(err);
	}
	return adfs_stage_of(d_inode(dentry));
}
