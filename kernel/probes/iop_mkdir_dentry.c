// SPDX-License-Identifier: GPL-2.0-only
/* inode_operations.mkdir returns a dentry, since 6.15; before that an error. */
#include <linux/fs.h>

struct dentry *probe(const struct inode_operations *ops, struct mnt_idmap *idmap,
		     struct inode *dir, struct dentry *dentry);
struct dentry *probe(const struct inode_operations *ops, struct mnt_idmap *idmap,
		     struct inode *dir, struct dentry *dentry)
{
	return ops->mkdir(idmap, dir, dentry, 0700);
}
