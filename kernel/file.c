// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is done with open files. Data never passes through here: reads, writes, splices and mappings
 * go to the blob or to the stage file, and use its page cache.
 */
#include <linux/backing-file.h>
#include <linux/fadvise.h>
#include <linux/falloc.h>
#include <linux/filelock.h>
#include <linux/fs.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/splice.h>

#include "actiondfs.h"

/* ---- reading ---- */

static struct backing_file_ctx adfs_context(struct file *file)
{
	/* Also for inputs: their blobs are open, and a mount's own credentials are less shared. */
	struct backing_file_ctx ctx = {
		.cred = ADFS_SB(file_inode(file)->i_sb)->cred,
		ADFS_CTX_FILE(file)
	};

	return ctx;
}

ssize_t adfs_input_error(struct inode *inode, ssize_t err)
{
	const char *what = err ? "cannot be read" : "became short";

	switch (err) {
	case -EAGAIN:
	case -EFAULT:
	case -EIOCBQUEUED:
		return err;
	case -ESTALE: /* of what was opened anew for it */
	case 0:
		err = -EIO;
	}
	return adfs_blob_error(ADFS_SB(inode->i_sb), &ADFS_I(inode)->digest, err, what);
}

static ssize_t adfs_read_input(struct kiocb *iocb, struct iov_iter *to)
{
	struct file *file = iocb->ki_filp;
	struct inode *inode = file_inode(file);
	struct adfs_sb *sbi = ADFS_SB(inode->i_sb);
	struct backing_file_ctx ctx = adfs_context(file);
	struct adfs_blob *blob = adfs_file_blob(file), *again;
	size_t cut = iov_iter_count(to);
	ssize_t got;

	/* Most who read a file to its end ask once more there, and an input does not grow. */
	if (!blob || iocb->ki_pos >= i_size_read(inode))
		return 0;
	/* Of a blob that has grown since it was opened, no more than there should be. */
	iov_iter_truncate(to, i_size_read(inode) - iocb->ki_pos);
	cut -= iov_iter_count(to);
	/* The page cache has it, or will have it for the next one. */
	iocb->ki_flags &= ~IOCB_DIRECT;
	got = backing_file_read_iter(blob->file, to, iocb, iocb->ki_flags, &ctx);
	if (got == -ESTALE) {
		adfs_stat_inc(sbi, backing_read_stale_retries);
		again = adfs_blob_reopen(inode, blob);
		if (IS_ERR(again)) {
			got = PTR_ERR(again);
			goto out;
		}
		got = backing_file_read_iter(again->file, to, iocb, iocb->ki_flags, &ctx);
		adfs_blob_close(again);
	}
	adfs_stat_inc(sbi, backing_reads);
	if (got > 0)
		adfs_stat_add(sbi, backing_read_bytes, got);
	else
		got = adfs_input_error(inode, got);
out:
	iov_iter_reexpand(to, iov_iter_count(to) + cut);
	return got;
}

static ssize_t adfs_read_staged(struct kiocb *iocb, struct iov_iter *to)
{
	struct file *file = iocb->ki_filp;
	struct adfs_sb *sbi = ADFS_SB(file_inode(file)->i_sb);
	struct backing_file_ctx ctx = adfs_context(file);
	struct file *real = adfs_real_file(file);
	u64 start = adfs_stat_clock();
	ssize_t got;

	if (IS_ERR(real))
		return PTR_ERR(real);
	got = backing_file_read_iter(real, to, iocb, iocb->ki_flags, &ctx);
	adfs_stat_inc(sbi, stage_read_calls);
	if (got > 0)
		adfs_stat_add(sbi, stage_read_bytes, got);
	adfs_stat_add(sbi, stage_read_total_ns, adfs_stat_clock() - start);
	return got;
}

static ssize_t adfs_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	if (!iov_iter_count(to))
		return 0;
	return adfs_is_input(file_inode(iocb->ki_filp)) ? adfs_read_input(iocb, to) :
							  adfs_read_staged(iocb, to);
}

/* From the real file to a pipe, at *pos, which moves on. */
static ssize_t adfs_splice_from(struct file *real, struct file *file, loff_t *pos,
				struct pipe_inode_info *pipe, size_t size, unsigned int flags)
{
	struct backing_file_ctx ctx = adfs_context(file);
	struct kiocb iocb;
	ssize_t got;

	init_sync_kiocb(&iocb, file);
	iocb.ki_pos = *pos;
	got = adfs_splice_read(real, &iocb, pipe, size, flags, &ctx);
	*pos = iocb.ki_pos;
	return got;
}

static ssize_t adfs_splice_read_input(struct file *file, loff_t *pos, struct pipe_inode_info *pipe,
				      size_t size, unsigned int flags)
{
	struct inode *inode = file_inode(file);
	struct adfs_sb *sbi = ADFS_SB(inode->i_sb);
	struct adfs_blob *blob = adfs_file_blob(file), *again;
	ssize_t got;

	if (!blob || *pos >= i_size_read(inode))
		return 0;
	size = min_t(u64, size, i_size_read(inode) - *pos);
	got = adfs_splice_from(blob->file, file, pos, pipe, size, flags);
	if (got == -ESTALE) {
		adfs_stat_inc(sbi, splice_read_stale_retries);
		again = adfs_blob_reopen(inode, blob);
		if (IS_ERR(again))
			return PTR_ERR(again);
		got = adfs_splice_from(again->file, file, pos, pipe, size, flags);
		adfs_blob_close(again);
	}
	adfs_stat_inc(sbi, splice_reads);
	if (got > 0)
		adfs_stat_add(sbi, splice_read_bytes, got);
	else if (got || size)
		got = adfs_input_error(inode, got);
	return got;
}

static ssize_t adfs_splice_read_file(struct file *file, loff_t *pos, struct pipe_inode_info *pipe,
				     size_t size, unsigned int flags)
{
	struct adfs_sb *sbi = ADFS_SB(file_inode(file)->i_sb);
	u64 start = adfs_stat_clock();
	struct file *real;
	ssize_t got;

	if (adfs_is_input(file_inode(file)))
		return adfs_splice_read_input(file, pos, pipe, size, flags);
	real = adfs_real_file(file);
	if (IS_ERR(real))
		return PTR_ERR(real);
	got = adfs_splice_from(real, file, pos, pipe, size, flags);
	adfs_stat_inc(sbi, stage_splice_read_calls);
	if (got > 0)
		adfs_stat_add(sbi, stage_splice_read_bytes, got);
	adfs_stat_add(sbi, stage_splice_read_total_ns, adfs_stat_clock() - start);
	return got;
}

/* ---- mapping ---- */

static vm_fault_t adfs_no_page(struct vm_fault *vmf)
{
	return VM_FAULT_SIGBUS;
}

/* An empty file can be mapped; there is nothing in it. */
static const struct vm_operations_struct adfs_empty_vm_ops = {
	.fault = adfs_no_page,
};

static int adfs_mmap_input(struct file *file, struct vm_area_struct *vma)
{
	struct backing_file_ctx ctx = adfs_context(file);
	struct adfs_blob *blob = adfs_file_blob(file);
	struct file *real;

	if (!blob) {
		vma->vm_ops = &adfs_empty_vm_ops;
		return 0;
	}
	real = adfs_file_for_mapping(file, blob);
	return IS_ERR(real) ? PTR_ERR(real) : backing_file_mmap(real, vma, &ctx);
}

static int adfs_mmap_staged(struct file *file, struct vm_area_struct *vma)
{
	struct adfs_sb *sbi = ADFS_SB(file_inode(file)->i_sb);
	struct backing_file_ctx ctx = adfs_context(file);
	size_t size = vma->vm_end - vma->vm_start;
	u64 start = adfs_stat_clock();
	int err = backing_file_mmap(file->private_data, vma, &ctx);

	adfs_stat_inc(sbi, stage_mmap_calls);
	if (err)
		adfs_stat_inc(sbi, stage_mmap_failures);
	else
		adfs_stat_add(sbi, stage_mmap_bytes, size);
	adfs_stat_add(sbi, stage_mmap_total_ns, adfs_stat_clock() - start);
	return err;
}

static int adfs_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct adfs_sb *sbi = ADFS_SB(file_inode(file)->i_sb);
	size_t size = vma->vm_end - vma->vm_start;
	int err;

	if (!adfs_is_input(file_inode(file)))
		return adfs_mmap_staged(file, vma);
	err = adfs_mmap_input(file, vma);
	adfs_stat_inc(sbi, mmaps);
	if (err)
		adfs_stat_inc(sbi, mmap_failures);
	else
		adfs_stat_add(sbi, mmap_bytes, size);
	return err;
}

/* ---- writing: only what is staged can be open for it ---- */

static void adfs_end_write(ADFS_END_WRITE_ARGS)
{
	adfs_copy_attributes(file_inode(ADFS_END_WRITE_FILE));
}

static void adfs_count_write(struct adfs_sb *sbi, ssize_t done, u64 start)
{
	adfs_stat_inc(sbi, stage_write_calls);
	if (done > 0)
		adfs_stat_add(sbi, stage_write_bytes, done);
	adfs_stat_add(sbi, stage_write_total_ns, adfs_stat_clock() - start);
}

/* NFS does not append directly: two that do at once would write to the same place. */
static bool adfs_is_refused_append(const struct file *real, const struct kiocb *iocb)
{
	return iocb->ki_flags & IOCB_APPEND && iocb->ki_flags & IOCB_DIRECT &&
	       real->f_op->check_flags && real->f_op->check_flags(O_APPEND | O_DIRECT);
}

static ssize_t adfs_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	struct file *file = iocb->ki_filp, *real;
	struct inode *inode = file_inode(file);
	struct adfs_sb *sbi = ADFS_SB(inode->i_sb);
	struct backing_file_ctx ctx = adfs_context(file);
	u64 start = adfs_stat_clock();
	ssize_t done;

	if (!iov_iter_count(from))
		return 0;
	ctx.end_write = adfs_end_write;
	inode_lock(inode);
	real = adfs_real_file(file);
	if (IS_ERR(real))
		done = PTR_ERR(real);
	else if (adfs_is_refused_append(real, iocb))
		done = -EINVAL;
	else
		done = backing_file_write_iter(real, from, iocb, ADFS_WRITE_FLAGS(iocb), &ctx);
	inode_unlock(inode);
	adfs_count_write(sbi, done, start);
	return done;
}

static ssize_t adfs_splice_write_file(struct pipe_inode_info *pipe, struct file *file, loff_t *pos,
				      size_t size, unsigned int flags)
{
	struct inode *inode = file_inode(file);
	struct adfs_sb *sbi = ADFS_SB(inode->i_sb);
	struct backing_file_ctx ctx = adfs_context(file);
	u64 start = adfs_stat_clock();
	struct kiocb iocb;
	struct file *real;
	ssize_t done;

	init_sync_kiocb(&iocb, file);
	iocb.ki_pos = *pos;
	ctx.end_write = adfs_end_write;
	inode_lock(inode);
	real = adfs_real_file(file);
	if (IS_ERR(real))
		done = PTR_ERR(real);
	else
		done = adfs_splice_write(pipe, real, &iocb, size, flags, &ctx);
	inode_unlock(inode);
	*pos = iocb.ki_pos;
	adfs_count_write(sbi, done, start);
	return done;
}

static long adfs_fallocate(struct file *file, int mode, loff_t offset, loff_t len)
{
	struct inode *inode = file_inode(file);
	struct adfs_sb *sbi = ADFS_SB(inode->i_sb);
	const struct cred *old;
	struct file *real;
	long err;

	inode_lock(inode);
	err = file_remove_privs(file);
	real = adfs_real_file(file);
	if (!err && IS_ERR(real))
		err = PTR_ERR(real);
	if (!err) {
		old = override_creds(sbi->cred);
		err = vfs_fallocate(real, mode, offset, len);
		revert_creds(old);
		adfs_copy_attributes(inode);
	}
	inode_unlock(inode);
	return err;
}

static int adfs_fsync(struct file *file, loff_t start, loff_t end, int datasync)
{
	const struct cred *old;
	int err;

	/* Nothing of an input is ever dirty. */
	if (adfs_is_input(file_inode(file)))
		return 0;
	old = override_creds(ADFS_SB(file_inode(file)->i_sb)->cred);
	err = vfs_fsync_range(file->private_data, start, end, datasync);
	revert_creds(old);
	return err;
}

static int adfs_flush(struct file *file, fl_owner_t id)
{
	const struct cred *old;
	struct file *real;
	int err;

	if (adfs_is_input(file_inode(file)))
		return 0;
	real = file->private_data;
	if (!real->f_op->flush)
		return 0;
	old = override_creds(ADFS_SB(file_inode(file)->i_sb)->cred);
	err = real->f_op->flush(real, id);
	revert_creds(old);
	return err;
}

/* ---- the rest ---- */

static loff_t adfs_llseek(struct file *file, loff_t offset, int whence)
{
	struct inode *inode = file_inode(file);
	struct adfs_sb *sbi = ADFS_SB(inode->i_sb);
	const struct cred *old;
	struct file *real;
	loff_t at;

	if (whence != SEEK_HOLE && whence != SEEK_DATA)
		return generic_file_llseek(file, offset, whence);
	real = adfs_real_file(file);
	if (IS_ERR_OR_NULL(real))
		return real ? PTR_ERR(real) : -ENXIO;
	/* These two do not depend on where the real file stands, which is of no use to anybody. */
	old = override_creds(sbi->cred);
	at = vfs_llseek(real, offset, whence);
	revert_creds(old);
	return at < 0 ? at : vfs_setpos(file, at, inode->i_sb->s_maxbytes);
}

static int adfs_fadvise(struct file *file, loff_t offset, loff_t len, int advice)
{
	struct file *real = adfs_real_file(file);
	const struct cred *old;
	int err;

	if (IS_ERR_OR_NULL(real))
		return PTR_ERR_OR_ZERO(real);
	/* How one reader reads must not change how all read a shared blob. */
	if (adfs_is_input(file_inode(file)) && advice != POSIX_FADV_WILLNEED)
		return 0;
	old = override_creds(ADFS_SB(file_inode(file)->i_sb)->cred);
	err = vfs_fadvise(real, offset, len, advice);
	revert_creds(old);
	return err;
}

const struct file_operations adfs_file_fops = {
	.open = adfs_open,
	.release = adfs_release,
	.llseek = adfs_llseek,
	.read_iter = adfs_read_iter,
	.write_iter = adfs_write_iter,
	.splice_read = adfs_splice_read_file,
	.splice_write = adfs_splice_write_file,
	.mmap = adfs_mmap,
	/* As the filesystem below: large folios are mapped whole where addresses allow. */
	.get_unmapped_area = thp_get_unmapped_area,
	.fallocate = adfs_fallocate,
	.fsync = adfs_fsync,
	.flush = adfs_flush,
	.fadvise = adfs_fadvise,
	.copy_file_range = adfs_copy_file_range,
	.remap_file_range = adfs_remap_file_range,
	/* What it has been without a word; in 7.x that means none. */
	.setlease = generic_setlease,
};
