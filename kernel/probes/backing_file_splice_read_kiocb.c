// SPDX-License-Identifier: GPL-2.0-only
/* backing_file_splice_read() takes a kiocb, since 6.13; before that a position. */
#include <linux/backing-file.h>

ssize_t probe(struct file *in, struct kiocb *iocb, struct pipe_inode_info *pipe,
	      struct backing_file_ctx *ctx);
ssize_t probe(struct file *in, struct kiocb *iocb, struct pipe_inode_info *pipe,
	      struct backing_file_ctx *ctx)
{
	return backing_file_splice_read(in, iocb, pipe, 0, 0, ctx);
}
