// SPDX-License-Identifier: GPL-2.0-only
/* lookup_one() takes a qstr, since 6.16; before that a string and a length. */
#include <linux/namei.h>

struct dentry *probe(struct mnt_idmap *idmap, struct qstr *name, struct dentry *parent);
struct dentry *probe(struct mnt_idmap *idmap, struct qstr *name, struct dentry *parent)
{
	return lookup_one(idmap, name, parent);
}
