// SPDX-License-Identifier: GPL-2.0-only
/*
 * What changes names: only in the stage, and never an input's. A name that an input has is taken:
 * the VFS finds it and says EEXIST before it comes here.
 */
#include <linux/backing-file.h>
#include <linux/fs.h>
#include <linux/mount.h>
#include <linux/namei.h>

#include "actiondfs.h"

/* Owner and mode of something new. That a directory hands its group down is the stage's doing. */
static int adfs_init_make(struct mnt_idmap *idmap, struct inode *dir, umode_t mode,
			  struct adfs_make *make)
{
	struct user_namespace *ns = i_user_ns(dir);

	make->mode = mode;
	make->uid = mapped_fsuid(idmap, ns);
	make->gid = mapped_fsgid(idmap, ns);
	if (!uid_valid(make->uid) || !gid_valid(make->gid))
		return -EOVERFLOW;
	return 0;
}

static int adfs_make(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry,
		     umode_t mode, const char *target)
{
	struct adfs_sb *sbi = ADFS_SB(dir->i_sb);
	struct adfs_make make = { .target = target };
	struct dentry *parent, *real;
	struct inode *inode;
	int err;

	err = adfs_init_make(idmap, dir, mode, &make);
	if (err)
		return err;
	parent = adfs_stage_directory(dentry->d_parent);
	if (IS_ERR(parent))
		return PTR_ERR(parent);
	real = adfs_stage_make(sbi, parent, &dentry->d_name, &make);
	if (IS_ERR(real))
		return PTR_ERR(real);
	inode = adfs_iget_staged(dir->i_sb, real);
	dput(real);
	if (IS_ERR(inode)) {
		/* It is there; only we have no inode for it. The next lookup finds it. */
		d_drop(dentry);
		return PTR_ERR(inode);
	}
	d_instantiate(dentry, inode);
	if (!adfs_is_input(dir))
		adfs_copy_attributes(dir);
	return 0;
}

int adfs_create(ADFS_CREATE_ARGS)
{
	return adfs_stat_result(ADFS_SB(dir->i_sb), stage_create,
				adfs_make(idmap, dir, dentry, S_IFREG | (mode & S_IALLUGO), NULL));
}

adfs_mkdir_result adfs_mkdir(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry,
			     umode_t mode)
{
	int err = adfs_make(idmap, dir, dentry, S_IFDIR | (mode & S_IALLUGO), NULL);

	return ADFS_MKDIR_RESULT(adfs_stat_result(ADFS_SB(dir->i_sb), stage_mkdir, err));
}

int adfs_mknod(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry, umode_t mode,
	       dev_t rdev)
{
	if (S_ISCHR(mode) || S_ISBLK(mode))
		return -EPERM;
	return adfs_stat_result(ADFS_SB(dir->i_sb), stage_create,
				adfs_make(idmap, dir, dentry, mode, NULL));
}

int adfs_symlink(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry,
		 const char *target)
{
	return adfs_stat_result(ADFS_SB(dir->i_sb), stage_create,
				adfs_make(idmap, dir, dentry, S_IFLNK | 0777, target));
}

int adfs_link(struct dentry *old, struct inode *dir, struct dentry *dentry)
{
	struct adfs_sb *sbi = ADFS_SB(dir->i_sb);
	struct inode *inode = d_inode(old);
	struct dentry *parent, *real;

	/* A second name of an input would be the blob's own inode. */
	if (adfs_is_input(inode))
		return -EROFS;
	parent = adfs_stage_directory(dentry->d_parent);
	if (IS_ERR(parent))
		return PTR_ERR(parent);
	real = adfs_stage_link(sbi, adfs_stage_of(inode), parent, &dentry->d_name);
	if (IS_ERR(real))
		return PTR_ERR(real);
	dput(real);
	adfs_copy_attributes(inode);
	if (!adfs_is_input(dir))
		adfs_copy_attributes(dir);
	ihold(inode);
	d_instantiate(dentry, inode);
	return 0;
}

static int adfs_remove(struct inode *dir, struct dentry *dentry, bool directory)
{
	struct adfs_sb *sbi = ADFS_SB(dir->i_sb);
	struct inode *inode = d_inode(dentry);
	struct dentry *parent;
	int err;

	if (adfs_is_input(inode))
		return -EROFS;
	parent = adfs_stage_of(dir);
	if (!parent)
		return -ESTALE;
	err = adfs_stage_remove(sbi, parent, &dentry->d_name, d_inode(adfs_stage_of(inode)),
				directory);
	if (err)
		return err;
	adfs_copy_attributes(inode);
	if (!adfs_is_input(dir))
		adfs_copy_attributes(dir);
	return 0;
}

int adfs_unlink(struct inode *dir, struct dentry *dentry)
{
	return adfs_stat_result(ADFS_SB(dir->i_sb), stage_unlink,
				adfs_remove(dir, dentry, false));
}

int adfs_rmdir(struct inode *dir, struct dentry *dentry)
{
	return adfs_stat_result(ADFS_SB(dir->i_sb), stage_rmdir, adfs_remove(dir, dentry, true));
}

static int adfs_do_rename(struct inode *old_dir, struct dentry *old, struct inode *new_dir,
			  struct dentry *new, unsigned int flags)
{
	struct adfs_sb *sbi = ADFS_SB(old_dir->i_sb);
	struct inode *moved = d_inode(old), *there = d_inode(new);
	struct adfs_rename_end from = { .name = &old->d_name }, to = { .name = &new->d_name };
	int err;

	if (flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE))
		return -EINVAL;
	if (adfs_is_input(moved) || (there && adfs_is_input(there)))
		return -EROFS;
	from.parent = adfs_stage_of(old_dir);
	if (!from.parent)
		return -ESTALE;
	to.parent = adfs_stage_directory(new->d_parent);
	if (IS_ERR(to.parent))
		return PTR_ERR(to.parent);
	from.real = d_inode(adfs_stage_of(moved));
	to.real = there ? d_inode(adfs_stage_of(there)) : NULL;
	err = adfs_stage_rename(sbi, &from, &to, flags);
	if (err)
		return err;
	adfs_copy_attributes(moved);
	if (there)
		adfs_copy_attributes(there);
	if (!adfs_is_input(old_dir))
		adfs_copy_attributes(old_dir);
	if (!adfs_is_input(new_dir))
		adfs_copy_attributes(new_dir);
	return 0;
}

int adfs_rename(struct mnt_idmap *idmap, struct inode *old_dir, struct dentry *old,
		struct inode *new_dir, struct dentry *new, unsigned int flags)
{
	return adfs_stat_result(ADFS_SB(old_dir->i_sb), stage_rename,
				adfs_do_rename(old_dir, old, new_dir, new, flags));
}

/* The real file is open already; nothing is left to be done. */
static int adfs_opened(struct inode *inode, struct file *file)
{
	return 0;
}

static struct file *adfs_make_unnamed(struct adfs_sb *sbi, struct dentry *parent,
				      struct file *file, const struct adfs_make *make)
{
	const struct path below = { .mnt = sbi->stage.mnt, .dentry = parent };
	struct adfs_creator creator;
	struct file *real;
	int err;

	err = adfs_creator_begin(sbi, make->uid, make->gid, &creator);
	if (err)
		return ERR_PTR(err);
	real = adfs_open_backing_tmpfile(file, &below, make->mode, current_cred());
	adfs_creator_end(&creator);
	return real;
}

int adfs_tmpfile(struct mnt_idmap *idmap, struct inode *dir, struct file *file, umode_t mode)
{
	struct dentry *dentry = file->f_path.dentry, *parent;
	struct adfs_sb *sbi = ADFS_SB(dir->i_sb);
	struct adfs_make make = {};
	struct inode *inode;
	struct file *real;
	int err;

	err = adfs_init_make(idmap, dir, mode, &make);
	if (err)
		return err;
	parent = adfs_stage_directory(dentry->d_parent);
	if (IS_ERR(parent))
		return PTR_ERR(parent);
	err = mnt_want_write(sbi->stage.mnt);
	if (err)
		return err;
	real = adfs_make_unnamed(sbi, parent, file, &make);
	mnt_drop_write(sbi->stage.mnt);
	if (IS_ERR(real))
		return PTR_ERR(real);
	inode = adfs_iget_staged(dir->i_sb, real->f_path.dentry);
	if (IS_ERR(inode)) {
		fput(real);
		return PTR_ERR(inode);
	}
	d_mark_tmpfile(file, inode);
	d_instantiate(dentry, inode);
	file->private_data = real;
	err = finish_open(file, dentry, adfs_opened);
	/* Unless it counts as opened there will be no release. */
	if (!(file->f_mode & FMODE_OPENED))
		fput(real);
	return err;
}
