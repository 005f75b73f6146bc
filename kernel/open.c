// SPDX-License-Identifier: GPL-2.0-only
/*
 * Opening and closing files: what is behind an open file.
 *
 * file->private_data of what is staged is the real struct file; of an input its struct adfs_blob
 * (NULL: an empty one), or, once it was mapped, a struct adfs_mapped with a bit set. The blob's
 * open file is shared by all; mappings of one open file share another, which shows the path in this
 * mount in /proc/<pid>/maps.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/fsnotify.h>
#include <linux/ktime.h>
#include <linux/mount.h>
#include <linux/slab.h>

#include "actiondfs.h"

/* An input that was mapped. Nothing is spent on those, the most, that only are read. */
struct adfs_mapped {
	struct adfs_blob *blob;
	struct file *file; /* open with the user's path */
};

#define ADFS_MAPPED 1UL

/*
 * What fcntl(F_SETFL) may change on a real file. Not O_APPEND: it comes with each write, which may be
 * one that shall not append.
 */
#define ADFS_SETFL_MASK (O_NONBLOCK | O_NDELAY | O_DIRECT)

/* O_DIRECT is the filesystem's below to grant; this only lets the VFS ask. */
const struct address_space_operations adfs_aops = {
	.direct_IO = noop_direct_IO,
};

static struct adfs_mapped *adfs_mapped_of(unsigned long data)
{
	return (struct adfs_mapped *)(data & ~ADFS_MAPPED);
}

static struct adfs_mapped *adfs_file_mapped(const struct file *file)
{
	unsigned long data = (unsigned long)READ_ONCE(file->private_data);

	return data & ADFS_MAPPED ? adfs_mapped_of(data) : NULL;
}

struct adfs_blob *adfs_file_blob(const struct file *file)
{
	/* Once: it changes when another maps the same open file for the first time. */
	unsigned long data = (unsigned long)READ_ONCE(file->private_data);

	return data & ADFS_MAPPED ? adfs_mapped_of(data)->blob : (struct adfs_blob *)data;
}

/* Opens the real file for a file of ours that is being opened. */
static struct file *adfs_open_staged(struct adfs_sb *sbi, struct file *file)
{
	const struct path real = { .mnt = sbi->stage.mnt,
				   .dentry = adfs_stage_of(file_inode(file)) };
	int flags = file->f_flags & ~(O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND);
	u64 start = adfs_stat_clock();
	struct file *opened;

	adfs_stat_inc(sbi, stage_backing_open_attempts);
	opened = adfs_open_backing(file, &real, flags, sbi->cred);
	if (IS_ERR(opened))
		adfs_stat_inc(sbi, stage_backing_open_failures);
	adfs_stat_add(sbi, stage_backing_open_file_ns, adfs_stat_clock() - start);
	adfs_stat_add(sbi, stage_backing_open_total_ns, adfs_stat_clock() - start);
	return opened;
}

/* Set-id bits do not count here, whether the mount is nosuid or not. */
static bool adfs_would_set_id(const struct file *file)
{
	umode_t mode = file_inode(file)->i_mode;
	bool set_id = mode & S_ISUID || (mode & (S_ISGID | 0010)) == (S_ISGID | 0010);

	return set_id && file->f_flags & __FMODE_EXEC &&
	       !(file->f_path.mnt->mnt_flags & MNT_NOSUID);
}

/* Opens the blob once more, with the user's path. The errors are those of opening below. */
static int adfs_open_mapped(struct file *file, struct adfs_blob *blob)
{
	const struct cred *cred = ADFS_SB(file_inode(file)->i_sb)->cas->cred;
	struct adfs_mapped *mapped = kmalloc(sizeof(*mapped), GFP_KERNEL_ACCOUNT);
	void *known = blob;

	if (!mapped)
		return -ENOMEM;
	mapped->blob = blob;
	mapped->file = adfs_open_backing(file, &blob->file->f_path, O_RDONLY, cred);
	if (IS_ERR(mapped->file)) {
		int err = PTR_ERR(mapped->file);

		kfree(mapped);
		return err;
	}
	if (!try_cmpxchg(&file->private_data, &known,
			 (void *)((unsigned long)mapped | ADFS_MAPPED))) {
		fput(mapped->file);
		kfree(mapped);
	}
	return 0;
}

struct file *adfs_file_for_mapping(struct file *file, struct adfs_blob *blob)
{
	struct adfs_mapped *mapped = adfs_file_mapped(file);
	int err;

	if (mapped)
		return mapped->file;
	err = adfs_open_mapped(file, blob);
	if (err)
		return ERR_PTR(adfs_input_error(file_inode(file), err));
	return adfs_file_mapped(file)->file;
}

/*
 * Where opening asks somebody else, a server or a scanner, the file for mappings is not opened by
 * the first mapping: that one has mmap_lock, which whoever answers may need. Not seen here: 9p
 * without a cache, which revalidates nothing, and a scanner that comes after the open.
 */
static bool adfs_is_asked(const struct file *blob)
{
#ifndef __FMODE_NONOTIFY
	if (fsnotify_sb_has_priority_watchers(file_inode(blob)->i_sb, FSNOTIFY_PRIO_CONTENT))
		return true;
#endif
	return blob->f_path.dentry->d_flags & DCACHE_OP_REVALIDATE;
}

static int adfs_open_input(struct inode *inode, struct file *file)
{
	struct adfs_blob *blob, *stale;
	int err;

	if (file->f_mode & FMODE_WRITE || file->f_flags & O_TRUNC)
		return -EROFS;
	if (adfs_digest_is_empty(&ADFS_I(inode)->digest))
		return 0;
	blob = adfs_blob_open(inode);
	if (IS_ERR(blob))
		return PTR_ERR(blob);
	file->private_data = blob;
	if (!adfs_is_asked(blob->file))
		return 0;
	err = adfs_open_mapped(file, blob);
	if (err == -ESTALE) {
		stale = blob;
		blob = adfs_blob_reopen(inode, stale);
		adfs_blob_close(stale);
		if (IS_ERR(blob))
			return PTR_ERR(blob);
		file->private_data = blob;
		err = adfs_open_mapped(file, blob);
	}
	if (!err)
		return 0;
	adfs_blob_close(blob);
	return adfs_input_error(inode, err);
}

int adfs_open(struct inode *inode, struct file *file)
{
	struct file *real;

	if (adfs_is_input(inode))
		return adfs_open_input(inode, file);
	if (adfs_would_set_id(file))
		return -EACCES;
	real = adfs_open_staged(ADFS_SB(inode->i_sb), file);
	if (IS_ERR(real))
		return PTR_ERR(real);
	file->f_flags &= ~(O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC);
	file->private_data = real;
	adfs_copy_attributes(inode);
	return 0;
}

int adfs_release(struct inode *inode, struct file *file)
{
	struct adfs_mapped *mapped;
	struct adfs_blob *blob;

	if (!adfs_is_input(inode)) {
		fput(file->private_data);
		return 0;
	}
	mapped = adfs_file_mapped(file);
	blob = adfs_file_blob(file);
	if (mapped) {
		fput(mapped->file);
		kfree(mapped);
	}
	if (blob)
		adfs_blob_close(blob);
	return 0;
}

static void adfs_change_flags(struct file *real, unsigned int flags)
{
	spin_lock(&real->f_lock);
	real->f_flags = (real->f_flags & ~ADFS_SETFL_MASK) | (flags & ADFS_SETFL_MASK);
	real->f_iocb_flags = iocb_flags(real);
	spin_unlock(&real->f_lock);
}

struct file *adfs_real_file(struct file *file)
{
	struct adfs_blob *blob;
	struct file *real;

	if (adfs_is_input(file_inode(file))) {
		blob = adfs_file_blob(file);
		return blob ? blob->file : NULL;
	}
	real = file->private_data;
	if (unlikely((file->f_flags ^ real->f_flags) & ADFS_SETFL_MASK)) {
		if (file->f_flags & O_DIRECT && !(real->f_mode & FMODE_CAN_ODIRECT))
			return ERR_PTR(-EINVAL);
		adfs_change_flags(real, file->f_flags);
	}
	return real;
}
