/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What moves between kernels, in one place. Each HAVE_ macro comes from a probe that was compiled
 * against the kernel at hand (probes/), never from a version number: distributions carry changes
 * back.
 */
#ifndef ACTIONDFS_COMPAT_H
#define ACTIONDFS_COMPAT_H

#include <linux/backing-file.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/namei.h>

#include "probes.h"

/* No events for what we do below: the user's file has them. */
#define ADFS_OPEN_FLAGS (O_LARGEFILE | (__force int)FMODE_NONOTIFY)

/*
 * A file for reading and writing below, which shows the path of `user_file` in /proc/<pid>/maps.
 */
static inline struct file *adfs_open_backing(struct file *user_file, const struct path *real,
					     int flags, const struct cred *cred)
{
#ifdef HAVE_BACKING_FILE_OPEN_FILE
	return backing_file_open(user_file, flags | ADFS_OPEN_FLAGS, real, cred);
#else
	return backing_file_open(&user_file->f_path, flags | ADFS_OPEN_FLAGS, real, cred);
#endif
}

/* One that shows its own path: it may outlive every file of the user's. */
static inline struct file *adfs_open_backing_own(const struct path *real, int flags,
						 const struct cred *cred)
{
#ifdef HAVE_BACKING_FILE_OPEN_FILE
	struct file *plain = dentry_open(real, flags, cred);
	struct file *file;

	if (IS_ERR(plain))
		return plain;
	file = backing_file_open(plain, flags | ADFS_OPEN_FLAGS, real, cred);
	fput(plain);
	return file;
#else
	return backing_file_open(real, flags | ADFS_OPEN_FLAGS, real, cred);
#endif
}

/* A file without a name in the directory `parent`. */
static inline struct file *adfs_open_backing_tmpfile(struct file *user_file,
						     const struct path *parent, umode_t mode,
						     const struct cred *cred)
{
	int flags = (user_file->f_flags & ~(O_CREAT | O_EXCL)) | ADFS_OPEN_FLAGS;

#ifdef HAVE_BACKING_FILE_OPEN_FILE
	return backing_tmpfile_open(user_file, flags, parent, mode, cred);
#else
	return backing_tmpfile_open(&user_file->f_path, flags, parent, mode, cred);
#endif
}

static inline ssize_t adfs_splice_read(struct file *real, struct kiocb *iocb,
				       struct pipe_inode_info *pipe, size_t size,
				       unsigned int flags, struct backing_file_ctx *ctx)
{
#ifdef HAVE_BACKING_FILE_SPLICE_READ_KIOCB
	return backing_file_splice_read(real, iocb, pipe, size, flags, ctx);
#else
	return backing_file_splice_read(real, &iocb->ki_pos, pipe, size, flags, ctx);
#endif
}

static inline ssize_t adfs_splice_write(struct pipe_inode_info *pipe, struct file *real,
					struct kiocb *iocb, size_t size, unsigned int flags,
					struct backing_file_ctx *ctx)
{
#ifdef HAVE_BACKING_FILE_SPLICE_READ_KIOCB
	return backing_file_splice_write(pipe, real, iocb, size, flags, ctx);
#else
	return backing_file_splice_write(pipe, real, &iocb->ki_pos, size, flags, ctx);
#endif
}

/* The callback after a write got the kiocb where splice_read did. */
#ifdef HAVE_BACKING_FILE_SPLICE_READ_KIOCB
#define ADFS_END_WRITE_ARGS struct kiocb *iocb, ssize_t done
#define ADFS_END_WRITE_FILE (iocb->ki_filp)
#define ADFS_CTX_FILE(file)
#else
#define ADFS_END_WRITE_ARGS struct file *file, loff_t pos, ssize_t done
#define ADFS_END_WRITE_FILE (file)
#define ADFS_CTX_FILE(file) .user_file = (file),
#endif

static inline struct dentry *adfs_lookup_one(struct mnt_idmap *idmap, const struct qstr *name,
					     struct dentry *parent)
{
#ifdef HAVE_LOOKUP_ONE_QSTR
	return lookup_one(idmap, (struct qstr *)name, parent);
#else
	return lookup_one(idmap, name->name, parent, name->len);
#endif
}

static inline struct dentry *adfs_lookup_one_unlocked(struct mnt_idmap *idmap,
						      const struct qstr *name,
						      struct dentry *parent)
{
#ifdef HAVE_LOOKUP_ONE_QSTR
	return lookup_one_unlocked(idmap, (struct qstr *)name, parent);
#else
	return lookup_one_unlocked(idmap, name->name, parent, name->len);
#endif
}

/* What inode_operations.mkdir returns. */
#ifdef HAVE_IOP_MKDIR_DENTRY
typedef struct dentry *adfs_mkdir_result;
#define ADFS_MKDIR_RESULT(err) ERR_PTR(err)
#else
typedef int adfs_mkdir_result;
#define ADFS_MKDIR_RESULT(err) (err)
#endif

/* The dentry, maybe another one than it was given; the reference goes along. */
static inline struct dentry *adfs_vfs_mkdir(struct mnt_idmap *idmap, struct inode *dir,
					    struct dentry *dentry, umode_t mode)
{
#ifdef HAVE_VFS_MKDIR_DENTRY
	return vfs_mkdir(idmap, dir, dentry, mode);
#else
	int err = vfs_mkdir(idmap, dir, dentry, mode);

	if (!err && !d_unhashed(dentry))
		return dentry;
	dput(dentry);
	return ERR_PTR(err ?: -ESTALE);
#endif
}

static inline int adfs_vfs_rename(struct mnt_idmap *idmap, struct dentry *old_parent,
				  struct dentry *old, struct dentry *new_parent, struct dentry *new,
				  unsigned int flags)
{
	struct renamedata rd = {
#ifdef HAVE_RENAMEDATA_PARENTS
		.mnt_idmap = idmap,
		.old_parent = old_parent,
		.new_parent = new_parent,
#else
		.old_mnt_idmap = idmap,
		.old_dir = d_inode(old_parent),
		.new_mnt_idmap = idmap,
		.new_dir = d_inode(new_parent),
#endif
		.old_dentry = old,
		.new_dentry = new,
		.flags = flags,
	};

	return vfs_rename(&rd);
}

#endif /* ACTIONDFS_COMPAT_H */
