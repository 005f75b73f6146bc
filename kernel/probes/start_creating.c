// SPDX-License-Identifier: GPL-2.0-only
/*
 * The VFS locks and finds at once, and end_creating() is told the child only, since 6.19. For a short
 * time it was told the parent, too: until the change that lets vfs_mkdir() unlock when it fails.
 */
#include <linux/namei.h>

struct dentry *probe(struct mnt_idmap *idmap, struct dentry *parent, struct qstr *name);
struct dentry *probe(struct mnt_idmap *idmap, struct dentry *parent, struct qstr *name)
{
	end_creating(start_creating(idmap, parent, name));
	return start_removing(idmap, parent, name);
}
