/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What moves between kernels, in one place. Each HAVE_ macro comes from a probe that was compiled
 * against the kernel at hand (probes/), never from a version number: distributions carry changes
 * back.
 */
#ifndef ACTIONDFS_COMPAT_H
#define ACTIONDFS_COMPAT_H

#include <linux/backing-file.h>
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/namei.h>

#include "probes.h"

/*
 * No events for what we do below: the user's file has them. Where an open cannot ask for that (since
 * 6.14) both have them, as with overlayfs: taking them from the open file would also take those
 * that fill a file before it is read.
 */
#ifdef __FMODE_NONOTIFY
#define ADFS_OPEN_FLAGS (O_LARGEFILE | __FMODE_NONOTIFY)
#else
#define ADFS_OPEN_FLAGS O_LARGEFILE
#endif

/* The completion of a direct write is ours: where there is a flag that leaves it to the caller. */
#ifdef IOCB_DIO_CALLER_COMP
#define ADFS_WRITE_FLAGS(iocb) ((iocb)->ki_flags & ~IOCB_DIO_CALLER_COMP)
#else
#define ADFS_WRITE_FLAGS(iocb) ((iocb)->ki_flags)
#endif

#ifdef HAVE_ISOLATE_WITHOUT_LOCK
#define ADFS_ISOLATE_ARGS struct list_head *item, struct list_lru_one *list, void *arg
#else
#define ADFS_ISOLATE_ARGS \
	struct list_head *item, struct list_lru_one *list, spinlock_t *lru_lock, void *arg
#endif

#ifdef HAVE_SHA256_CTX
#define ADFS_SHA256_STATE struct sha256_ctx
#else
#define ADFS_SHA256_STATE struct sha256_state
#endif

static inline bool adfs_inode_is_new(struct inode *inode)
{
#ifdef HAVE_INODE_STATE_READ_ONCE
	return inode_state_read_once(inode) & I_NEW;
#else
	return inode->i_state & I_NEW;
#endif
}

/*
 * The VFS' own retry, which these opens are not part of, is asked for by network filesystems with an
 * error of its own.
 */
static inline struct file *adfs_open_result(struct file *file)
{
	return file == ERR_PTR(-EOPENSTALE) ? ERR_PTR(-ESTALE) : file;
}

/* Read by us, for nobody's file. The caller has the credentials for the open itself. */
static inline struct file *adfs_open_plain(const struct path *real, int flags,
					   const struct cred *cred)
{
	return adfs_open_result(dentry_open(real, O_RDONLY | flags | ADFS_OPEN_FLAGS, cred));
}

/*
 * A file for reading and writing below, which shows the path of `user_file` in /proc/<pid>/maps. The
 * open itself is with the credentials, too: FUSE and network filesystems ask who calls.
 */
static inline struct file *adfs_open_backing(struct file *user_file, const struct path *real,
					     int flags, const struct cred *cred)
{
	const struct cred *old = override_creds(cred);
	struct file *file;

#ifdef HAVE_BACKING_FILE_OPEN_FILE
	file = backing_file_open(user_file, flags | ADFS_OPEN_FLAGS, real, cred);
#else
	file = backing_file_open(&user_file->f_path, flags | ADFS_OPEN_FLAGS, real, cred);
#endif
	revert_creds(old);
	return adfs_open_result(file);
}

/* For reading; it shows its own path: it may outlive every file of the user's. */
static inline struct file *adfs_open_backing_own(const struct path *real, const struct cred *cred)
{
	const struct cred *old = override_creds(cred);
	struct file *file;

#ifdef HAVE_BACKING_FILE_OPEN_FILE
	struct file *plain = adfs_open_plain(real, 0, cred);

	file = plain;
	if (!IS_ERR(plain)) {
		file = backing_file_open(plain, O_RDONLY | ADFS_OPEN_FLAGS, real, cred);
		fput(plain);
	}
#else
	file = backing_file_open(real, O_RDONLY | ADFS_OPEN_FLAGS, real, cred);
#endif
	revert_creds(old);
	return adfs_open_result(file);
}

/* A file without a name in the directory `parent`. */
static inline struct file *adfs_open_backing_tmpfile(struct file *user_file,
						     const struct path *parent, umode_t mode,
						     const struct cred *cred)
{
	int flags = (user_file->f_flags & ~(O_CREAT | O_EXCL | O_APPEND)) | ADFS_OPEN_FLAGS;

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

/*
 * Functions that take a qstr set its hash, which is the directory's own: a name that belongs to a
 * dentry of ours must not go there, only a copy.
 */
static inline struct dentry *adfs_lookup_one(struct mnt_idmap *idmap, const struct qstr *name,
					     struct dentry *parent)
{
#ifdef HAVE_LOOKUP_ONE_QSTR
	struct qstr copy = *name;

	return lookup_one(idmap, &copy, parent);
#else
	return lookup_one(idmap, name->name, parent, name->len);
#endif
}

static inline struct dentry *adfs_lookup_one_unlocked(struct mnt_idmap *idmap,
						      const struct qstr *name,
						      struct dentry *parent)
{
#ifdef HAVE_LOOKUP_ONE_QSTR
	struct qstr copy = *name;

	return lookup_one_unlocked(idmap, &copy, parent);
#else
	return lookup_one_unlocked(idmap, name->name, parent, name->len);
#endif
}

/* inode_operations.create: a name that need not be new is no business of ours anyway. */
#ifdef HAVE_IOP_CREATE_EXCL
#define ADFS_CREATE_ARGS                                                                           \
	struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry, umode_t mode, bool excl
#else
#define ADFS_CREATE_ARGS                                                                           \
	struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry, umode_t mode
#endif

/* What inode_operations.mkdir returns. */
#ifdef HAVE_IOP_MKDIR_DENTRY
typedef struct dentry *adfs_mkdir_result;
#define ADFS_MKDIR_RESULT(err) ERR_PTR(err)
#else
typedef int adfs_mkdir_result;
#define ADFS_MKDIR_RESULT(err) (err)
#endif

/*
 * The child of that name, its parent locked until adfs_end_dirop(). If that fails nothing is locked.
 * Since 6.19 the VFS does both at once, and what it locks is its own affair.
 */
static inline struct dentry *adfs_start_creating(struct mnt_idmap *idmap, struct dentry *parent,
						 const struct qstr *name)
{
#ifdef HAVE_START_CREATING
	struct qstr copy = *name;

	return start_creating(idmap, parent, &copy);
#else
	struct dentry *child;

	inode_lock_nested(d_inode(parent), I_MUTEX_PARENT);
	child = adfs_lookup_one(idmap, name, parent);
	if (IS_ERR(child))
		inode_unlock(d_inode(parent));
	return child;
#endif
}

/* The same for a child that has been seen. If it is gone: a negative one, or -ESTALE. */
static inline struct dentry *adfs_start_removing(struct mnt_idmap *idmap, struct dentry *parent,
						 const struct qstr *name)
{
#ifdef HAVE_START_CREATING
	struct qstr copy = *name;
	struct dentry *child = start_removing(idmap, parent, &copy);

	return child == ERR_PTR(-ENOENT) ? ERR_PTR(-ESTALE) : child;
#else
	return adfs_start_creating(idmap, parent, name);
#endif
}

/* Unlocks the parent and drops the child. An error has neither. */
static inline void adfs_end_dirop(struct dentry *child)
{
#ifdef HAVE_START_CREATING
	end_creating(child);
#else
	if (IS_ERR(child))
		return;
	inode_unlock(d_inode(child->d_parent));
	dput(child);
#endif
}

static inline int adfs_vfs_create(struct mnt_idmap *idmap, struct inode *dir,
				  struct dentry *dentry, umode_t mode)
{
#ifdef HAVE_VFS_DELEGATED_INODE
	return vfs_create(idmap, dentry, mode, NULL);
#else
	return vfs_create(idmap, dir, dentry, mode, true);
#endif
}

static inline int adfs_vfs_symlink(struct mnt_idmap *idmap, struct inode *dir,
				   struct dentry *dentry, const char *target)
{
#ifdef HAVE_VFS_DELEGATED_INODE
	return vfs_symlink(idmap, dir, dentry, target, NULL);
#else
	return vfs_symlink(idmap, dir, dentry, target);
#endif
}

static inline int adfs_vfs_mknod(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry,
				 umode_t mode)
{
#ifdef HAVE_VFS_DELEGATED_INODE
	return vfs_mknod(idmap, dir, dentry, mode, 0, NULL);
#else
	return vfs_mknod(idmap, dir, dentry, mode, 0);
#endif
}

static inline int adfs_vfs_rmdir(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry)
{
#ifdef HAVE_VFS_DELEGATED_INODE
	return vfs_rmdir(idmap, dir, dentry, NULL);
#else
	return vfs_rmdir(idmap, dir, dentry);
#endif
}

/*
 * The dentry, maybe another one than it was given; the reference and the lock go along. Failing is
 * an adfs_end_dirop(): so does vfs_mkdir() since the very change that made end_creating() ask for
 * the child only, which is what start_creating's probe compiles. Before, it left the lock alone.
 */
static inline struct dentry *adfs_vfs_mkdir(struct mnt_idmap *idmap, struct inode *dir,
					    struct dentry *dentry, umode_t mode)
{
#if defined(HAVE_VFS_DELEGATED_INODE)
	struct dentry *made = vfs_mkdir(idmap, dir, dentry, mode, NULL);
#elif defined(HAVE_VFS_MKDIR_DENTRY)
	struct dentry *made = vfs_mkdir(idmap, dir, dentry, mode);
#else
	int err = vfs_mkdir(idmap, dir, dentry, mode);
	struct dentry *made = dentry;

	if (err || d_unhashed(dentry)) {
		dput(dentry);
		made = ERR_PTR(err ?: -ESTALE);
	}
#endif
#ifndef HAVE_START_CREATING
	if (IS_ERR(made))
		inode_unlock(dir);
#endif
	return made;
}

struct adfs_renaming {
	struct renamedata rd;
	/* Older renamedata have inodes. */
	struct dentry *old_parent;
	struct dentry *new_parent;
};

static inline void adfs_renaming_init(struct adfs_renaming *renaming, struct mnt_idmap *idmap,
				      struct dentry *old_parent, struct dentry *new_parent,
				      unsigned int flags)
{
	*renaming = (struct adfs_renaming) {
		.rd = {
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
			.flags = flags,
		},
		.old_parent = old_parent,
		.new_parent = new_parent,
	};
}

#ifndef HAVE_START_RENAMING
/* Both names, in locked directories. */
static inline int adfs_lookup_renaming(struct adfs_renaming *renaming, struct mnt_idmap *idmap,
				       const struct qstr *old_name, const struct qstr *new_name,
				       const struct dentry *trap)
{
	struct renamedata *rd = &renaming->rd;
	int err = 0;

	rd->old_dentry = adfs_lookup_one(idmap, old_name, renaming->old_parent);
	if (IS_ERR(rd->old_dentry))
		return PTR_ERR(rd->old_dentry);
	rd->new_dentry = adfs_lookup_one(idmap, new_name, renaming->new_parent);
	if (IS_ERR(rd->new_dentry))
		err = PTR_ERR(rd->new_dentry);
	else if (rd->old_dentry == trap)
		err = -EINVAL;
	else if (rd->new_dentry == trap)
		err = rd->flags & RENAME_EXCHANGE ? -EINVAL : -ENOTEMPTY;
	if (!err)
		return 0;
	if (!IS_ERR(rd->new_dentry))
		dput(rd->new_dentry);
	dput(rd->old_dentry);
	return err;
}
#endif

/*
 * Finds what is to be renamed and what is there, in renaming->rd, both directories locked until
 * adfs_end_renaming(); neither is above the other. If that fails nothing is locked.
 */
static inline int adfs_start_renaming(struct adfs_renaming *renaming, struct mnt_idmap *idmap,
				      const struct qstr *old_name, const struct qstr *new_name)
{
#ifdef HAVE_START_RENAMING
	struct qstr old_copy = *old_name, new_copy = *new_name;
	int err = start_renaming(&renaming->rd, 0, &old_copy, &new_copy);

	/* Both have been seen. */
	return err == -ENOENT ? -ESTALE : err;
#else
	struct dentry *trap = lock_rename(renaming->old_parent, renaming->new_parent);
	int err;

	if (IS_ERR(trap))
		return PTR_ERR(trap);
	err = adfs_lookup_renaming(renaming, idmap, old_name, new_name, trap);
	if (err)
		unlock_rename(renaming->old_parent, renaming->new_parent);
	return err;
#endif
}

static inline void adfs_end_renaming(struct adfs_renaming *renaming)
{
#ifdef HAVE_START_RENAMING
	end_renaming(&renaming->rd);
#else
	dput(renaming->rd.new_dentry);
	dput(renaming->rd.old_dentry);
	unlock_rename(renaming->old_parent, renaming->new_parent);
#endif
}

#endif /* ACTIONDFS_COMPAT_H */
