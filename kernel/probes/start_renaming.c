// SPDX-License-Identifier: GPL-2.0-only
/* The VFS locks and finds both ends, since 6.19; later there is no lock_rename(). */
#include <linux/fs.h>
#include <linux/namei.h>

int probe(struct renamedata *rd, struct qstr *name);
int probe(struct renamedata *rd, struct qstr *name)
{
	int err = start_renaming(rd, 0, name, name);

	if (!err)
		end_renaming(rd);
	return err;
}
