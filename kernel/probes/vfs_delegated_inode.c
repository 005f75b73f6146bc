// SPDX-License-Identifier: GPL-2.0-only
/*
 * What changes a directory tells of a delegation to break, since 6.19; vfs_create() lost its
 * directory in the same series.
 */
#include <linux/fs.h>

struct dentry *probe(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry);
struct dentry *probe(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry)
{
	int err = vfs_create(idmap, dentry, 0600, NULL);

	if (!err)
		err = vfs_symlink(idmap, dir, dentry, "", NULL);
	if (!err)
		err = vfs_mknod(idmap, dir, dentry, S_IFIFO, 0, NULL);
	if (!err)
		err = vfs_rmdir(idmap, dir, dentry, NULL);
	return err ? ERR_PTR(err) : vfs_mkdir(idmap, dir, dentry, 0700, NULL);
}
