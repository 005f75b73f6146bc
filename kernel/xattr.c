// SPDX-License-Identifier: GPL-2.0-only
/*
 * Extended attributes: the digest of inputs, and the user attributes of what is staged. The digest
 * can be read by name but is not listed: what is listed is copied (by overlayfs, cp, rsync), and a
 * changed copy would still claim the old digest.
 */
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/mount.h>
#include <linux/slab.h>
#include <linux/xattr.h>

#include "actiondfs.h"

#define ADFS_XATTR_OWN XATTR_USER_PREFIX "actiondfs."

static bool adfs_is_own_name(const char *name)
{
	return !strncmp(name, ADFS_XATTR_OWN, strlen(ADFS_XATTR_OWN));
}

static int adfs_copy_value(void *buffer, size_t room, const void *value, size_t size)
{
	if (!buffer)
		return size;
	if (size > room)
		return -ERANGE;
	memcpy(buffer, value, size);
	return size;
}

static int adfs_get_digest(const struct inode *inode, const char *name, void *buffer, size_t room)
{
	const struct adfs_digest *digest = &ADFS_I(inode)->digest;
	char hash[ADFS_HEX_SIZE], text[ADFS_HEX_SIZE + 24];

	if (!S_ISREG(inode->i_mode))
		return -ENODATA;
	if (!strcmp(name, ACTIONDFS_XATTR_SHA256))
		return adfs_copy_value(buffer, room, digest->hash, sizeof(digest->hash));
	if (!strcmp(name, ACTIONDFS_XATTR_DIGEST)) {
		adfs_digest_text(digest, hash);
		return adfs_copy_value(buffer, room, text,
				       scnprintf(text, sizeof(text), "%s/%llu", hash,
						 digest->size));
	}
	return -ENODATA;
}

static int adfs_xattr_get(const struct xattr_handler *handler, struct dentry *dentry,
			  struct inode *inode, const char *name, void *buffer, size_t size)
{
	const char *full = xattr_full_name(handler, name);
	struct adfs_sb *sbi = ADFS_SB(inode->i_sb);
	const struct cred *old;
	int err;

	if (adfs_is_input(inode))
		return adfs_get_digest(inode, full, buffer, size);
	if (adfs_is_own_name(full))
		return -ENODATA;
	old = override_creds(sbi->cred);
	err = vfs_getxattr(mnt_idmap(sbi->stage.mnt), adfs_stage_of(inode), full, buffer, size);
	revert_creds(old);
	return err;
}

static int adfs_xattr_set(const struct xattr_handler *handler, struct mnt_idmap *idmap,
			  struct dentry *dentry, struct inode *inode, const char *name,
			  const void *value, size_t size, int flags)
{
	const char *full = xattr_full_name(handler, name);
	struct adfs_sb *sbi = ADFS_SB(inode->i_sb);
	struct mnt_idmap *below;
	const struct cred *old;
	int err;

	if (adfs_is_input(inode))
		return -EROFS;
	if (adfs_is_own_name(full))
		return -EPERM;
	err = mnt_want_write(sbi->stage.mnt);
	if (err)
		return err;
	below = mnt_idmap(sbi->stage.mnt);
	old = override_creds(sbi->cred);
	if (value)
		err = vfs_setxattr(below, adfs_stage_of(inode), full, value, size, flags);
	else
		err = vfs_removexattr(below, adfs_stage_of(inode), full);
	revert_creds(old);
	mnt_drop_write(sbi->stage.mnt);
	if (!err)
		adfs_copy_attributes(inode);
	return err;
}

/* Only the user's; moves them to the front. Returns their size. */
static size_t adfs_keep_user_names(char *list, size_t size)
{
	size_t at = 0, kept = 0, len;

	for (; at < size; at += len) {
		len = strnlen(list + at, size - at) + 1;
		if (strncmp(list + at, XATTR_USER_PREFIX, XATTR_USER_PREFIX_LEN) ||
		    adfs_is_own_name(list + at))
			continue;
		memmove(list + kept, list + at, len);
		kept += len;
	}
	return kept;
}

ssize_t adfs_listxattr(struct dentry *dentry, char *list, size_t size)
{
	struct inode *inode = d_inode(dentry);
	struct adfs_sb *sbi = ADFS_SB(inode->i_sb);
	const struct cred *old;
	ssize_t found;
	char *all;

	if (adfs_is_input(inode))
		return 0;
	old = override_creds(sbi->cred);
	found = vfs_listxattr(adfs_stage_of(inode), NULL, 0);
	revert_creds(old);
	if (found <= 0)
		return found;
	/* The whole list, since what it has of others' is not known before. */
	all = kvmalloc(XATTR_LIST_MAX, GFP_KERNEL_ACCOUNT);
	if (!all)
		return -ENOMEM;
	old = override_creds(sbi->cred);
	found = vfs_listxattr(adfs_stage_of(inode), all, XATTR_LIST_MAX);
	revert_creds(old);
	if (found > 0) {
		found = adfs_keep_user_names(all, found);
		found = adfs_copy_value(size ? list : NULL, size, all, found);
	}
	kvfree(all);
	return found;
}

static const struct xattr_handler adfs_user_xattr_handler = {
	.prefix = XATTR_USER_PREFIX,
	.get = adfs_xattr_get,
	.set = adfs_xattr_set,
};

const struct xattr_handler *const adfs_xattr_handlers[] = {
	&adfs_user_xattr_handler,
	NULL,
};
