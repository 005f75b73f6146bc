// SPDX-License-Identifier: GPL-2.0-only
/* i_state is read by a function, since 6.19; before that it is a number. */
#include <linux/fs.h>

bool probe(struct inode *inode);
bool probe(struct inode *inode)
{
	return inode_state_read_once(inode) & I_NEW;
}
