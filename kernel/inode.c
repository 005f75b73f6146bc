// SPDX-License-Identifier: GPL-2.0-only
/*
 * Inodes and their attributes. An input's come from its entry and never change; what is staged has
 * those of the real file, which answers for itself where it can.
 */
#include <linux/fs.h>
#include <linux/mount.h>
#include <linux/namei.h>
#include <linux/pagemap.h>
#include <linux/siphash.h>
#include <linux/slab.h>

#include "actiondfs.h"

/* Made of the tree alone, so that two mounts of one root have the same numbers. */
#define ADFS_INO_KEY 0x61637469006f6e64ULL

static u64 adfs_input_ino(u64 parent, const void *bytes, size_t size)
{
	const siphash_key_t key = { .key = { ADFS_INO_KEY, parent } };

	return ADFS_INPUT_INO | (siphash(bytes, size, &key) & ADFS_INO_MASK);
}

u64 adfs_entry_ino(const struct adfs_sb *sbi, u64 parent, const struct actiondfs_entry *entry)
{
	if (sbi->by_content && entry->kind == ACTIONDFS_ENTRY_FILE)
		return adfs_input_ino(0, entry->hash, sizeof(entry->hash));
	return adfs_input_ino(parent, entry->name.data, entry->name.size);
}

/* The mode without what inputs cannot have. */
static umode_t adfs_entry_mode(const struct actiondfs_entry *entry)
{
	umode_t permissions = entry->properties.unix_mode & 0777;

	switch (entry->kind) {
	case ACTIONDFS_ENTRY_FILE:
		if (!entry->properties.has_unix_mode)
			permissions = entry->is_executable ? 0555 : 0444;
		return S_IFREG | permissions;
	case ACTIONDFS_ENTRY_DIRECTORY:
		/* Its own Directory may say otherwise: adfs_load(). */
		return S_IFDIR | 0755;
	default:
		return S_IFLNK | 0777;
	}
}

static struct timespec64 adfs_entry_mtime(const struct actiondfs_properties *properties)
{
	struct timespec64 time = { .tv_sec = ADFS_EPOCH };

	if (properties->has_mtime) {
		time.tv_sec = properties->mtime_seconds;
		time.tv_nsec = properties->mtime_nanos;
	}
	return time;
}

static void adfs_set_times(struct inode *inode, struct timespec64 time)
{
	inode_set_atime_to_ts(inode, time);
	inode_set_mtime_to_ts(inode, time);
	inode_set_ctime_to_ts(inode, time);
}

struct adfs_input_key {
	u64 ino;
	u64 place; /* of a directory; see adfs_inode.place */
	const struct actiondfs_entry *entry;
};

/* Under RCU, of inodes on their way out, too: nothing but what is freed after a grace period. */
static int adfs_input_test(struct inode *inode, void *data)
{
	const struct adfs_input_key *key = data;
	const struct actiondfs_entry *entry = key->entry;
	const struct adfs_inode *ai = ADFS_I(inode);
	struct timespec64 mtime = adfs_entry_mtime(&entry->properties);
	struct timespec64 has;

	if (!ai->input || inode->i_ino != key->ino)
		return 0;
	switch (entry->kind) {
	case ACTIONDFS_ENTRY_FILE:
		has = inode_get_mtime(inode);
		return inode->i_mode == adfs_entry_mode(entry) && timespec64_equal(&has, &mtime) &&
		       ai->digest.size == entry->size &&
		       !memcmp(ai->digest.hash, entry->hash, sizeof(entry->hash));
	case ACTIONDFS_ENTRY_DIRECTORY:
		return S_ISDIR(inode->i_mode) && ai->place == key->place &&
		       ai->digest.size == entry->size &&
		       !memcmp(ai->digest.hash, entry->hash, sizeof(entry->hash));
	default:
		return S_ISLNK(inode->i_mode) && inode->i_size == entry->target.size &&
		       !memcmp(ai->target, entry->target.data, entry->target.size);
	}
}

/* Under the lock of the inode hash: all that adfs_input_test() looks at, but for the target. */
static int adfs_input_set(struct inode *inode, void *data)
{
	const struct adfs_input_key *key = data;
	const struct actiondfs_entry *entry = key->entry;
	struct adfs_inode *ai = ADFS_I(inode);

	ai->input = true;
	ai->place = key->place;
	inode->i_ino = key->ino;
	inode->i_mode = adfs_entry_mode(entry);
	adfs_set_times(inode, adfs_entry_mtime(&entry->properties));
	if (entry->kind == ACTIONDFS_ENTRY_SYMLINK) {
		inode->i_size = entry->target.size;
		ai->target = kmemdup_nul((const char *)entry->target.data, entry->target.size,
					 GFP_ATOMIC | __GFP_ACCOUNT);
		return ai->target ? 0 : -ENOMEM;
	}
	memcpy(ai->digest.hash, entry->hash, sizeof(ai->digest.hash));
	ai->digest.size = entry->size;
	return 0;
}

/*
 * Lookups here take locks of the filesystem below, which may have this one below itself: each depth
 * of the stack is a class of its own, or lockdep would see one lock inside itself.
 */
static void adfs_set_lock_classes(struct inode *inode)
{
	static struct lock_class_key dir_key[FILESYSTEM_MAX_STACK_DEPTH];
	static struct lock_class_key file_key[FILESYSTEM_MAX_STACK_DEPTH];
	static struct lock_class_key load_key[FILESYSTEM_MAX_STACK_DEPTH];
	int depth = inode->i_sb->s_stack_depth - 1;

	if (S_ISDIR(inode->i_mode))
		lockdep_set_class(&inode->i_rwsem, &dir_key[depth]);
	else
		lockdep_set_class(&inode->i_rwsem, &file_key[depth]);
	lockdep_set_class(&ADFS_I(inode)->lock, &load_key[depth]);
}

/* What is the same for each inode of the kind. */
static void adfs_input_init(struct inode *inode)
{
	struct adfs_sb *sbi = ADFS_SB(inode->i_sb);
	struct adfs_inode *ai = ADFS_I(inode);

	inode->i_uid = sbi->uid;
	inode->i_gid = sbi->gid;
	inode->i_flags |= S_NOATIME | S_NOCMTIME;
	switch (inode->i_mode & S_IFMT) {
	case S_IFREG:
		inode->i_size = ai->digest.size;
		inode->i_blocks = DIV_ROUND_UP_ULL(ai->digest.size, SECTOR_SIZE);
		inode->i_op = &adfs_file_iops;
		inode->i_fop = &adfs_file_fops;
		inode->i_mapping->a_ops = &adfs_aops;
		break;
	case S_IFDIR:
		inode->i_size = PAGE_SIZE;
		inode->i_op = &adfs_input_dir_iops;
		inode->i_fop = &adfs_dir_fops;
		break;
	default:
		inode->i_op = &adfs_input_symlink_iops;
		inode->i_blocks = DIV_ROUND_UP_ULL(inode->i_size, SECTOR_SIZE);
		inode->i_link = ai->target;
		break;
	}
}

/*
 * Numbers can be forced to collide by who makes trees. A directory that had two places would be
 * moved from one to the other, so its place is told by a key that nobody knows.
 */
u64 adfs_place(u64 parent_place, const struct actiondfs_entry *entry)
{
	siphash_key_t key;

	if (entry->kind != ACTIONDFS_ENTRY_DIRECTORY)
		return 0;
	key = adfs_secret_key;
	key.key[1] ^= parent_place;
	return siphash(entry->name.data, entry->name.size, &key);
}

struct inode *adfs_iget_input(struct super_block *sb, u64 ino, u64 place,
			      const struct actiondfs_entry *entry)
{
	struct adfs_input_key key = { .ino = ino, .place = place, .entry = entry };
	struct inode *inode = iget5_locked_rcu(sb, ino, adfs_input_test, adfs_input_set, &key);

	if (!inode)
		return ERR_PTR(-ENOMEM);
	if (adfs_inode_is_new(inode)) {
		adfs_input_init(inode);
		adfs_set_lock_classes(inode);
		unlock_new_inode(inode);
	}
	return inode;
}

struct inode *adfs_iget_root(struct super_block *sb)
{
	struct adfs_sb *sbi = ADFS_SB(sb);
	struct actiondfs_entry entry = { .kind = ACTIONDFS_ENTRY_DIRECTORY };
	struct inode *inode;

	memcpy(entry.hash, sbi->root.hash, sizeof(entry.hash));
	entry.size = sbi->root.size;
	inode = adfs_iget_input(sb, adfs_input_ino(0, entry.hash, sizeof(entry.hash)), 0,
				&entry);
	if (!IS_ERR(inode) && sbi->stage.dentry)
		ADFS_I(inode)->stage = dget(sbi->stage.dentry);
	return inode;
}

static int adfs_staged_test(struct inode *inode, void *data)
{
	const struct adfs_inode *ai = ADFS_I(inode);

	return !ai->input && d_inode(ai->stage) == d_inode(data);
}

static int adfs_staged_set(struct inode *inode, void *data)
{
	ADFS_I(inode)->stage = dget(data);
	inode->i_ino = d_inode(data)->i_ino & ADFS_INO_MASK;
	return 0;
}

void adfs_copy_attributes(struct inode *inode)
{
	const struct inode *real = d_inode(adfs_stage_of(inode));

	/* Asynchronous writes come here when they are done, without i_rwsem. */
	spin_lock(&inode->i_lock);
	inode->i_mode = real->i_mode;
	inode->i_uid = real->i_uid;
	inode->i_gid = real->i_gid;
	i_size_write(inode, i_size_read(real));
	inode_set_atime_to_ts(inode, inode_get_atime(real));
	inode_set_mtime_to_ts(inode, inode_get_mtime(real));
	inode_set_ctime_to_ts(inode, inode_get_ctime(real));
	/* Directories have one link: inputs' subdirectories are not counted either. */
	if (S_ISDIR(inode->i_mode))
		set_nlink(inode, real->i_nlink ? 1 : 0);
	else
		set_nlink(inode, real->i_nlink);
	spin_unlock(&inode->i_lock);
}

static void adfs_staged_init(struct inode *inode)
{
	adfs_copy_attributes(inode);
	inode->i_flags |= S_NOATIME | S_NOCMTIME;
	switch (inode->i_mode & S_IFMT) {
	case S_IFREG:
		inode->i_op = &adfs_file_iops;
		inode->i_fop = &adfs_file_fops;
		inode->i_mapping->a_ops = &adfs_aops;
		break;
	case S_IFDIR:
		inode->i_op = &adfs_staged_dir_iops;
		inode->i_fop = &adfs_dir_fops;
		break;
	case S_IFLNK:
		inode->i_op = &adfs_staged_symlink_iops;
		break;
	default:
		inode->i_op = &adfs_file_iops;
		init_special_inode(inode, inode->i_mode, d_inode(ADFS_I(inode)->stage)->i_rdev);
		break;
	}
}

struct inode *adfs_iget_staged(struct super_block *sb, struct dentry *real)
{
	unsigned long key = (unsigned long)d_inode(real);
	struct inode *inode = iget5_locked(sb, key, adfs_staged_test, adfs_staged_set, real);

	if (!inode)
		return ERR_PTR(-ENOMEM);
	if (adfs_inode_is_new(inode)) {
		adfs_staged_init(inode);
		adfs_set_lock_classes(inode);
		unlock_new_inode(inode);
	}
	return inode;
}

void adfs_evict_inode(struct inode *inode)
{
	struct adfs_inode *ai = ADFS_I(inode);

	truncate_inode_pages_final(&inode->i_data);
	clear_inode(inode);
	if (ai->input && S_ISDIR(inode->i_mode))
		adfs_dir_put(ai->dir);
	else if (ai->input && S_ISREG(inode->i_mode))
		adfs_blob_put(rcu_dereference_protected(ai->blob, true));
}

/* Not before the inode is out of the hash, where adfs_staged_test() looks at the dentry. */
void adfs_destroy_inode(struct inode *inode)
{
	dput(ADFS_I(inode)->stage);
}

/* ---- attributes ---- */

static void adfs_input_getattr(struct mnt_idmap *idmap, struct inode *inode, struct kstat *stat,
			       u32 request_mask)
{
	const struct dentry *mirror;
	struct timespec64 mtime, own;

	generic_fillattr(idmap, request_mask, inode, stat);
	if (!S_ISDIR(inode->i_mode))
		return;
	/* A mirror has its input's time until something in that directory changes. */
	mirror = adfs_stage_of(inode);
	if (!mirror)
		return;
	mtime = inode_get_mtime(d_inode(mirror));
	own = timestamp_truncate(stat->mtime, d_inode(mirror));
	if (!timespec64_equal(&mtime, &own)) {
		stat->mtime = mtime;
		stat->ctime = inode_get_ctime(d_inode(mirror));
	}
}

static int adfs_staged_getattr(struct mnt_idmap *idmap, struct inode *inode, struct kstat *stat,
			       u32 request_mask, unsigned int flags)
{
	struct adfs_sb *sbi = ADFS_SB(inode->i_sb);
	const struct path real = { .mnt = sbi->stage.mnt, .dentry = adfs_stage_of(inode) };
	const struct cred *old = override_creds(sbi->cred);
	int err = vfs_getattr_nosec(&real, stat, request_mask, flags);

	revert_creds(old);
	if (err)
		return err;
	stat->dev = inode->i_sb->s_dev;
	stat->ino = inode->i_ino;
	stat->uid = vfsuid_into_kuid(make_vfsuid(idmap, i_user_ns(inode), stat->uid));
	stat->gid = vfsgid_into_kgid(make_vfsgid(idmap, i_user_ns(inode), stat->gid));
	if (S_ISDIR(inode->i_mode))
		stat->nlink = min(stat->nlink, 1U);
	return 0;
}

int adfs_getattr(struct mnt_idmap *idmap, const struct path *path, struct kstat *stat,
		 u32 request_mask, unsigned int flags)
{
	struct inode *inode = d_inode(path->dentry);

	if (!adfs_is_input(inode))
		return adfs_staged_getattr(idmap, inode, stat, request_mask, flags);
	if (S_ISDIR(inode->i_mode) && request_mask & (STATX_MODE | STATX_MTIME | STATX_CTIME)) {
		/* Its mode and time are in its own Directory; a broken one is there all the same. */
		int err = adfs_load(inode);

		if (err && err != -EIO && err != -EUCLEAN)
			return err;
	}
	adfs_input_getattr(idmap, inode, stat, request_mask);
	return 0;
}

/* From the ids of the caller's mount to those of the stage's. */
static struct iattr adfs_stage_attr(struct mnt_idmap *idmap, const struct inode *inode,
				    const struct iattr *attr)
{
	struct iattr real = *attr;

	/* The VFS has made a mode of what is to be killed, by the caller's credentials. */
	real.ia_valid &= ~(ATTR_KILL_SUID | ATTR_KILL_SGID | ATTR_KILL_PRIV | ATTR_FILE | ATTR_OPEN);
	if (attr->ia_valid & ATTR_UID)
		real.ia_vfsuid = VFSUIDT_INIT(
			from_vfsuid(idmap, i_user_ns(inode), attr->ia_vfsuid));
	if (attr->ia_valid & ATTR_GID)
		real.ia_vfsgid = VFSGIDT_INIT(
			from_vfsgid(idmap, i_user_ns(inode), attr->ia_vfsgid));
	return real;
}

int adfs_setattr(struct mnt_idmap *idmap, struct dentry *dentry, struct iattr *attr)
{
	struct inode *inode = d_inode(dentry);
	struct adfs_sb *sbi = ADFS_SB(inode->i_sb);
	struct iattr real;
	int err;

	if (adfs_is_input(inode))
		return -EROFS;
	err = setattr_prepare(idmap, dentry, attr);
	if (err)
		return err;
	real = adfs_stage_attr(idmap, inode, attr);
	err = adfs_stage_set_attributes(sbi, adfs_stage_of(inode), &real);
	if (attr->ia_valid & ATTR_SIZE)
		adfs_stat_result(sbi, stage_setattr_size, err);
	if (!err)
		adfs_copy_attributes(inode);
	return err;
}

static const char *adfs_get_link(struct dentry *dentry, struct inode *inode,
				 struct delayed_call *done)
{
	struct adfs_sb *sbi = ADFS_SB(inode->i_sb);
	const struct cred *old;
	const char *target;

	if (!dentry)
		return ERR_PTR(-ECHILD);
	old = override_creds(sbi->cred);
	target = vfs_get_link(adfs_stage_of(inode), done);
	revert_creds(old);
	return target;
}

const struct inode_operations adfs_file_iops = {
	.getattr = adfs_getattr,
	.setattr = adfs_setattr,
	.listxattr = adfs_listxattr,
};

const struct inode_operations adfs_input_symlink_iops = {
	.get_link = simple_get_link,
	.getattr = adfs_getattr,
	.setattr = adfs_setattr,
	.listxattr = adfs_listxattr,
};

const struct inode_operations adfs_staged_symlink_iops = {
	.get_link = adfs_get_link,
	.getattr = adfs_getattr,
	.setattr = adfs_setattr,
	.listxattr = adfs_listxattr,
};
