// SPDX-License-Identifier: GPL-2.0-only
/*
 * The CAS: from a digest to a path below its directory, and the bytes of Directories. What is wrong
 * with a blob goes to the log with its digest; whoever asked for it gets EIO, never ENOENT: a
 * compiler would go on to the next include path.
 */
#include <linux/file.h>
#include <linux/hex.h>
#include <linux/ktime.h>
#include <linux/mount.h>
#include <linux/namei.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "actiondfs.h"

/* A stale handle of a network filesystem is as good as new after another lookup, or never. */
#define ADFS_STALE_RETRIES 3

static DEFINE_MUTEX(adfs_cas_lock);
static LIST_HEAD(adfs_cas_list);

static const u8 adfs_empty_hash[ACTIONDFS_HASH_SIZE] = {
	0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
	0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
};

void adfs_digest_text(const struct adfs_digest *digest, char text[ADFS_HEX_SIZE])
{
	*bin2hex(text, digest->hash, ACTIONDFS_HASH_SIZE) = '\0';
}

bool adfs_digest_is_empty(const struct adfs_digest *digest)
{
	return digest->size == 0 && !memcmp(digest->hash, adfs_empty_hash, ACTIONDFS_HASH_SIZE);
}

static bool adfs_same_cred(const struct cred *a, const struct cred *b)
{
	return a == b || (!cred_fscmp(a, b) && a->user_ns == b->user_ns &&
			  cap_issubset(a->cap_effective, b->cap_effective) &&
			  cap_issubset(b->cap_effective, a->cap_effective));
}

void adfs_put_clone(struct path *path)
{
	/* Unmounting nothing waits for all processors, too. */
	if (!path->mnt)
		return;
	dput(path->dentry);
	kern_unmount_array(&path->mnt, 1);
}

struct adfs_cas *adfs_cas_get(const struct path *path, enum adfs_layout layout,
			      const struct cred *cred)
{
	struct adfs_cas *cas;
	struct vfsmount *mnt;

	mutex_lock(&adfs_cas_lock);
	list_for_each_entry(cas, &adfs_cas_list, list) {
		if (cas->path.dentry == path->dentry && cas->layout == layout &&
		    adfs_same_cred(cas->cred, cred)) {
			cas->mounts++;
			goto out;
		}
	}
	cas = kzalloc(sizeof(*cas), GFP_KERNEL);
	if (!cas) {
		cas = ERR_PTR(-ENOMEM);
		goto out;
	}
	mnt = clone_private_mount(path);
	if (IS_ERR(mnt)) {
		kfree(cas);
		cas = ERR_CAST(mnt);
		goto out;
	}
	/* Nothing is written to it through us, not even the times of reading. */
	mnt->mnt_flags |= MNT_READONLY | MNT_NOATIME | MNT_NODIRATIME;
	cas->mounts = 1;
	cas->path.mnt = mnt;
	cas->path.dentry = dget(path->dentry);
	cas->layout = layout;
	INIT_LIST_HEAD(&cas->blobs);
	cas->cred = get_cred(cred);
	list_add(&cas->list, &adfs_cas_list);
out:
	mutex_unlock(&adfs_cas_lock);
	return cas;
}

void adfs_cas_put(struct adfs_cas *cas)
{
	if (!cas)
		return;
	mutex_lock(&adfs_cas_lock);
	if (--cas->mounts) {
		mutex_unlock(&adfs_cas_lock);
		return;
	}
	list_del(&cas->list);
	mutex_unlock(&adfs_cas_lock);
	adfs_blob_cache_forget(cas);
	adfs_put_clone(&cas->path);
	put_cred(cas->cred);
	kfree(cas);
}

/* The longest: H-S. */
#define ADFS_BLOB_NAME_SIZE (ADFS_HEX_SIZE + 24)

static void adfs_blob_name(const struct adfs_cas *cas, const struct adfs_digest *digest,
			   char name[ADFS_BLOB_NAME_SIZE])
{
	char hash[ADFS_HEX_SIZE];

	adfs_digest_text(digest, hash);
	switch (cas->layout) {
	case ADFS_LAYOUT_SHARDED:
		snprintf(name, ADFS_BLOB_NAME_SIZE, "%.2s/%s", hash, hash);
		break;
	case ADFS_LAYOUT_FLAT:
		snprintf(name, ADFS_BLOB_NAME_SIZE, "%s", hash);
		break;
	case ADFS_LAYOUT_SHARDED_SUFFIX:
		snprintf(name, ADFS_BLOB_NAME_SIZE, "%.2s/%s", hash, hash + 2);
		break;
	case ADFS_LAYOUT_HASH_SIZE:
		snprintf(name, ADFS_BLOB_NAME_SIZE, "%s-%llu", hash, digest->size);
		break;
	}
}

int adfs_blob_error(struct adfs_sb *sbi, const struct adfs_digest *digest, int err,
		    const char *what)
{
	char hash[ADFS_HEX_SIZE];

	if (err == -ENOMEM || err == -EINTR || err == -ERESTARTSYS || err == -ESTALE)
		return err;
	adfs_digest_text(digest, hash);
	adfs_warn(sbi, "blob %s/%llu: %s (error %d)", hash, digest->size, what, err);
	return -EIO;
}

bool adfs_cas_again(struct adfs_sb *sbi, const struct adfs_digest *digest, unsigned int *tries,
		    int *err)
{
	char hash[ADFS_HEX_SIZE];

	if (*err != -ESTALE)
		return false;
	if (++*tries <= ADFS_STALE_RETRIES) {
		adfs_stat_inc(sbi, blob_open_stale_retries);
		return true;
	}
	adfs_digest_text(digest, hash);
	adfs_warn(sbi, "blob %s/%llu: stale, %u times", hash, digest->size, *tries);
	*err = -EIO;
	return false;
}

int adfs_cas_lookup(struct adfs_sb *sbi, const struct adfs_digest *digest, unsigned int tries,
		    struct path *path)
{
	unsigned int flags = LOOKUP_NO_SYMLINKS | (tries ? LOOKUP_REVAL : 0);
	struct adfs_cas *cas = sbi->cas;
	char name[ADFS_BLOB_NAME_SIZE];
	const struct cred *old;
	int err;

	adfs_blob_name(cas, digest, name);
	old = override_creds(cas->cred);
	err = vfs_path_lookup(cas->path.dentry, cas->path.mnt, name, flags, path);
	revert_creds(old);
	if (!err)
		return 0;
	return adfs_blob_error(sbi, digest, err,
			       err == -ENOENT ? "missing from the CAS" : "cannot be looked up");
}

int adfs_cas_check(struct adfs_sb *sbi, const struct adfs_digest *digest, const struct path *path)
{
	const struct inode *inode = d_inode(path->dentry);
	loff_t size = i_size_read(inode);

	if (!S_ISREG(inode->i_mode))
		return adfs_blob_error(sbi, digest, -EINVAL, "not a regular file");
	if (size == digest->size)
		return 0;
	return adfs_blob_error(sbi, digest, -EINVAL, size < digest->size ? "short" : "long");
}

static int adfs_check_hash(struct adfs_sb *sbi, const struct adfs_digest *digest, const u8 *data)
{
	u8 found[ACTIONDFS_HASH_SIZE];
	char hash[ADFS_HEX_SIZE];

	adfs_sha256(data, digest->size, found);
	if (!memcmp(found, digest->hash, sizeof(found)))
		return 0;
	adfs_digest_text(digest, hash);
	adfs_warn(sbi, "Directory %s/%llu: content has another hash", hash, digest->size);
	return -EUCLEAN;
}

/* The size of the Directory is known from here on. */
static int adfs_check_size(struct adfs_sb *sbi, struct adfs_digest *digest, bool size_known,
			   const struct path *path)
{
	char hash[ADFS_HEX_SIZE];

	if (!size_known)
		digest->size = i_size_read(d_inode(path->dentry));
	if (digest->size > ACTIONDFS_DIRECTORY_SIZE_MAX) {
		adfs_digest_text(digest, hash);
		adfs_warn(sbi, "Directory %s/%llu: %s", hash, digest->size,
			  actiondfs_fault_name(ACTIONDFS_FAULT_TOO_LARGE));
		return -EUCLEAN;
	}
	return adfs_cas_check(sbi, digest, path);
}

static ssize_t adfs_read_all(struct file *file, u8 *data, size_t size)
{
	loff_t pos = 0;

	while (pos < size) {
		ssize_t got = kernel_read(file, data + pos, size - pos, &pos);

		if (got <= 0)
			return got;
		if (fatal_signal_pending(current))
			return -EINTR;
	}
	return pos;
}

static u8 *adfs_cas_try_read(struct adfs_sb *sbi, struct adfs_digest *digest, bool size_known,
			     unsigned int tries)
{
	struct file *file;
	struct path path;
	ssize_t got;
	u8 *data;
	int err;

	err = adfs_cas_lookup(sbi, digest, tries, &path);
	if (err)
		return ERR_PTR(err);
	err = adfs_check_size(sbi, digest, size_known, &path);
	if (err)
		goto out_path;
	file = adfs_open_plain(&path, 0, sbi->cas->cred);
	if (IS_ERR(file)) {
		err = adfs_blob_error(sbi, digest, PTR_ERR(file), "cannot be opened");
		goto out_path;
	}
	err = -ENOMEM;
	data = kvmalloc(max_t(size_t, digest->size, 1), GFP_KERNEL_ACCOUNT);
	if (!data)
		goto out_file;
	got = adfs_read_all(file, data, digest->size);
	if (got != digest->size) {
		err = adfs_blob_error(sbi, digest, got < 0 ? got : -EIO, "cannot be read");
		goto out_data;
	}
	adfs_stat_inc(sbi, directory_blob_reads);
	adfs_stat_add(sbi, directory_blob_bytes, got);
	if (sbi->verify) {
		err = adfs_check_hash(sbi, digest, data);
		if (err)
			goto out_data;
	}
	fput(file);
	path_put(&path);
	return data;

out_data:
	kvfree(data);
out_file:
	fput(file);
out_path:
	path_put(&path);
	return ERR_PTR(err);
}

u8 *adfs_cas_read(struct adfs_sb *sbi, struct adfs_digest *digest, bool size_known)
{
	const struct cred *old;
	unsigned int tries = 0;
	u8 *data;
	int err;

	/* Refused before anything is asked of the CAS: no blob can help. */
	if (size_known && digest->size > ACTIONDFS_DIRECTORY_SIZE_MAX)
		return ERR_PTR(adfs_check_size(sbi, digest, true, NULL));
	/* FUSE and network filesystems ask who opens and who reads. */
	old = override_creds(sbi->cas->cred);
	do {
		data = adfs_cas_try_read(sbi, digest, size_known, tries);
		err = PTR_ERR_OR_ZERO(data);
	} while (adfs_cas_again(sbi, digest, &tries, &err));
	revert_creds(old);
	return err ? ERR_PTR(err) : data;
}
