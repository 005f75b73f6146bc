// SPDX-License-Identifier: GPL-2.0-only
/* struct renamedata has the parents' dentries and one idmap, since 6.17; before that inodes. */
#include <linux/fs.h>

int probe(struct mnt_idmap *idmap, struct dentry *parent, struct dentry *child);
int probe(struct mnt_idmap *idmap, struct dentry *parent, struct dentry *child)
{
	struct renamedata rd = {
		.mnt_idmap = idmap,
		.old_parent = parent,
		.new_parent = parent,
		.old_dentry = child,
		.new_dentry = child,
	};

	return vfs_rename(&rd);
}
