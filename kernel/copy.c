// SPDX-License-Identifier: GPL-2.0-only
/*
 * From one file to another without passing through user space: between the real files, by
 * reference where the filesystem below can (an output that is a copy of an input costs nothing).
 */
#include <linux/fs.h>
#include <linux/ktime.h>
#include <linux/splice.h>

#include "actiondfs.h"

/* Both real files. */
static int adfs_real_pair(struct file *in, struct file *out, struct file **real_in,
			  struct file **real_out)
{
	*real_in = adfs_real_file(in);
	if (IS_ERR(*real_in))
		return PTR_ERR(*real_in);
	*real_out = adfs_real_file(out);
	return PTR_ERR_OR_ZERO(*real_out);
}

static ssize_t adfs_copy_real(struct adfs_sb *sbi, struct file *in, loff_t pos_in,
			      struct file *out, loff_t pos_out, size_t size, unsigned int flags)
{
	ssize_t done = vfs_copy_file_range(in, pos_in, out, pos_out, size, flags);

	if (done != -EXDEV && done != -EOPNOTSUPP)
		return done;
	/* CAS and stage are on two filesystems: through the page cache. */
	adfs_stat_inc(sbi, stage_copy_file_range_fallbacks);
	return vfs_copy_file_range(in, pos_in, out, pos_out, size, COPY_FILE_SPLICE);
}

/* The same from an input, as one who reads it: what is stale is tried again. */
static ssize_t adfs_copy_input(struct adfs_sb *sbi, struct file *in, loff_t pos_in,
			       struct file *out, loff_t pos_out, size_t size, unsigned int flags)
{
	struct inode *inode = file_inode(in);
	struct adfs_blob *blob = adfs_file_blob(in), *again;
	ssize_t done = adfs_copy_real(sbi, blob->file, pos_in, out, pos_out, size, flags);

	if (done == -ESTALE) {
		again = adfs_blob_reopen(inode, blob);
		if (IS_ERR(again))
			return PTR_ERR(again);
		done = adfs_copy_real(sbi, again->file, pos_in, out, pos_out, size, flags);
		adfs_blob_close(again);
	}
	/* The VFS asks for nothing beyond the input's end. Other errors may be the staged file's. */
	if (!done || done == -ESTALE || done == -ENOENT)
		done = adfs_input_error(inode, done);
	return done;
}

ssize_t adfs_copy_file_range(struct file *in, loff_t pos_in, struct file *out, loff_t pos_out,
			     size_t size, unsigned int flags)
{
	struct inode *inode = file_inode(out);
	struct adfs_sb *sbi = ADFS_SB(inode->i_sb);
	struct file *real_in, *real_out;
	u64 start = adfs_stat_clock();
	const struct cred *old;
	ssize_t done;

	adfs_stat_inc(sbi, stage_copy_file_range_attempts);
	inode_lock(inode);
	done = file_remove_privs(out);
	if (!done)
		done = adfs_real_pair(in, out, &real_in, &real_out);
	/* An empty input has no real file, and nothing to copy. */
	if (!done && real_in) {
		old = override_creds(sbi->cred);
		if (adfs_is_input(file_inode(in)))
			done = adfs_copy_input(sbi, in, pos_in, real_out, pos_out, size, flags);
		else
			done = adfs_copy_real(sbi, real_in, pos_in, real_out, pos_out, size, flags);
		revert_creds(old);
		adfs_copy_attributes(inode);
	}
	inode_unlock(inode);
	if (done >= 0) {
		adfs_stat_inc(sbi, stage_copy_file_range_success);
		adfs_stat_add(sbi, stage_copy_file_range_bytes, done);
	}
	adfs_stat_add(sbi, stage_copy_file_range_total_ns, adfs_stat_clock() - start);
	return done;
}

loff_t adfs_remap_file_range(struct file *in, loff_t pos_in, struct file *out, loff_t pos_out,
			     loff_t size, unsigned int flags)
{
	struct inode *inode = file_inode(out);
	struct adfs_sb *sbi = ADFS_SB(inode->i_sb);
	struct file *real_in, *real_out;
	const struct cred *old;
	loff_t done;

	if (flags & ~(REMAP_FILE_DEDUP | REMAP_FILE_ADVISORY))
		return -EINVAL;
	/* To share blocks with an equal file would still be a change of the blob's file. */
	if (adfs_is_input(inode))
		return -EROFS;
	inode_lock(inode);
	/* Sharing the blocks of an equal file changes nothing that set-id bits would be lost for. */
	done = flags & REMAP_FILE_DEDUP ? 0 : file_remove_privs(out);
	if (!done)
		done = adfs_real_pair(in, out, &real_in, &real_out);
	/* A clone to the end is one to the end of the blob: it must be the input's. */
	if (!done && real_in && adfs_is_input(file_inode(in)))
		done = adfs_cas_check(sbi, &ADFS_I(file_inode(in))->digest, &real_in->f_path);
	if (!done && real_in) {
		old = override_creds(sbi->cred);
		if (flags & REMAP_FILE_DEDUP)
			done = vfs_dedupe_file_range_one(real_in, pos_in, real_out, pos_out, size,
							 flags);
		else
			done = vfs_clone_file_range(real_in, pos_in, real_out, pos_out, size,
						    flags);
		revert_creds(old);
		adfs_copy_attributes(inode);
	}
	inode_unlock(inode);
	return done;
}
