// SPDX-License-Identifier: GPL-2.0-only
/* inode_operations.create is told whether the name must be new. In 7.3 it always must. */
#include <linux/fs.h>

int probe(const struct inode_operations *ops, struct mnt_idmap *idmap, struct inode *dir,
	  struct dentry *dentry);
int probe(const struct inode_operations *ops, struct mnt_idmap *idmap, struct inode *dir,
	  struct dentry *dentry)
{
	return ops->create(idmap, dir, dentry, 0600, true);
}
