// SPDX-License-Identifier: GPL-2.0-only
/*
 * File handles of inputs, for overlayfs above and for whoever keeps handles. A handle says all that
 * is needed to make a file's inode anew, and carries a code that only this kernel can make: a
 * handle made up by hand would otherwise open any blob of the CAS. Handles of directories and
 * symlinks are good as long as their inodes are in memory; staged files have none.
 */
#include <linux/exportfs.h>
#include <linux/fs.h>
#include <linux/siphash.h>

#include "actiondfs.h"

/* Type of our handles: none of enum fid_type. */
#define ADFS_FILEID 0xad

struct adfs_handle {
	u8 hash[ACTIONDFS_HASH_SIZE];
	u64 size;
	u64 ino;
	s64 mtime_seconds;
	u32 mtime_nanos;
	u32 mode;
	u64 code; /* of all above and of the root */
} __packed __aligned(4);

#define ADFS_HANDLE_WORDS (sizeof(struct adfs_handle) / sizeof(u32))

static u64 adfs_handle_code(const struct adfs_sb *sbi, const struct adfs_handle *handle)
{
	struct {
		u8 handle[offsetof(struct adfs_handle, code)];
		u8 root[ACTIONDFS_HASH_SIZE];
	} __packed all;

	memcpy(all.handle, handle, sizeof(all.handle));
	memcpy(all.root, sbi->root.hash, sizeof(all.root));
	return siphash(&all, sizeof(all), &adfs_secret_key);
}

static int adfs_encode_fh(struct inode *inode, u32 *fh, int *max_len, struct inode *parent)
{
	struct adfs_handle *handle = (struct adfs_handle *)fh;
	const struct adfs_inode *ai = ADFS_I(inode);
	struct timespec64 mtime = {};
	umode_t mode = inode->i_mode;

	if (!ai->input)
		return -EOPNOTSUPP;
	if (*max_len < ADFS_HANDLE_WORDS) {
		*max_len = ADFS_HANDLE_WORDS;
		return FILEID_INVALID;
	}
	*max_len = ADFS_HANDLE_WORDS;
	/* Of others nothing is made anew, and what a directory's Directory says comes when it is read. */
	if (S_ISREG(mode))
		mtime = inode_get_mtime(inode);
	else
		mode &= S_IFMT;
	memcpy(handle->hash, ai->digest.hash, sizeof(handle->hash));
	handle->size = ai->digest.size;
	handle->ino = inode->i_ino;
	handle->mtime_seconds = mtime.tv_sec;
	handle->mtime_nanos = mtime.tv_nsec;
	handle->mode = mode;
	handle->code = adfs_handle_code(ADFS_SB(inode->i_sb), handle);
	return ADFS_FILEID;
}

static int adfs_handle_test(struct inode *inode, void *data)
{
	const struct adfs_handle *handle = data;

	return adfs_is_input(inode) && inode->i_ino == handle->ino &&
	       (inode->i_mode & S_IFMT) == (handle->mode & S_IFMT);
}

static struct inode *adfs_handle_inode(struct super_block *sb, struct adfs_handle *handle)
{
	struct actiondfs_entry entry = { .kind = ACTIONDFS_ENTRY_FILE };

	if (!S_ISREG(handle->mode))
		return ilookup5(sb, handle->ino, adfs_handle_test, handle) ?: ERR_PTR(-ESTALE);
	memcpy(entry.hash, handle->hash, sizeof(entry.hash));
	entry.size = handle->size;
	entry.properties.has_unix_mode = true;
	entry.properties.unix_mode = handle->mode & 0777;
	entry.properties.has_mtime = true;
	entry.properties.mtime_seconds = handle->mtime_seconds;
	entry.properties.mtime_nanos = handle->mtime_nanos;
	return adfs_iget_input(sb, handle->ino, 0, &entry);
}

static struct dentry *adfs_fh_to_dentry(struct super_block *sb, struct fid *fid, int fh_len,
					int fh_type)
{
	struct adfs_handle *handle = (struct adfs_handle *)fid->raw;
	struct dentry *dentry;
	struct inode *inode;

	if (fh_type != ADFS_FILEID || fh_len < ADFS_HANDLE_WORDS)
		return NULL;
	if (handle->code != adfs_handle_code(ADFS_SB(sb), handle))
		return ERR_PTR(-ESTALE);
	inode = adfs_handle_inode(sb, handle);
	if (IS_ERR(inode) || !S_ISDIR(inode->i_mode))
		return d_obtain_alias(inode);
	/* A directory has one place, and is of no use without it. */
	dentry = d_find_any_alias(inode);
	iput(inode);
	return dentry ?: ERR_PTR(-ESTALE);
}

/* Only asked of directories that have no place: there are none. */
static struct dentry *adfs_get_parent(struct dentry *dentry)
{
	return ERR_PTR(-ESTALE);
}

const struct export_operations adfs_export_ops = {
	.encode_fh = adfs_encode_fh,
	.fh_to_dentry = adfs_fh_to_dentry,
	.get_parent = adfs_get_parent,
};
