// SPDX-License-Identifier: GPL-2.0-only
/* vfs_mkdir() returns a dentry, since 6.15; before that an error. */
#include <linux/fs.h>

struct dentry *probe(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry);
struct dentry *probe(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry)
{
	return vfs_mkdir(idmap, dir, dentry, 0700);
}
