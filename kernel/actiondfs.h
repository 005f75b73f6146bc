/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * actiondfs: a REAPI input tree, straight from a content-addressed store.
 *
 * An inode is an input (an entry of a Directory in the CAS, immutable) or staged (a file of the
 * stage directory, which this mount alone writes to). An input directory may have a mirror in the
 * stage: the real directory in which its staged children are.
 *
 * Locks, outermost first:
 *
 *	i_rwsem of our directories (and s_vfs_rename_mutex), taken by the VFS
 *	  adfs_inode.lock		loading a Directory, opening a blob
 *	  adfs_sb.mirror_lock		making mirrors
 *	    locks of the filesystems below (i_rwsem of real directories)
 *	      adfs_dir_cache.lock
 *	      adfs_blob_cache.lock
 *		the lock of the cache's list_lru, a leaf
 *	adfs_sb.sync_lock		a leaf
 *	adfs_cas_lock			the list of CAS directories; nothing below it but the blob cache
 *	adfs_mounts_lock		the list of mounts and its statistics; a leaf
 */
#ifndef ACTIONDFS_H
#define ACTIONDFS_H

#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/fs_parser.h>
#include <linux/list.h>
#include <linux/list_lru.h>
#include <linux/mutex.h>
#include <linux/path.h>
#include <linux/ratelimit.h>
#include <linux/refcount.h>
#include <linux/siphash.h>
#include <linux/xattr.h>

#include "compat.h"
#include "shared/directory_proto.h"
#include "stats.h"
#include "uapi/actiondfs.h"

static_assert(BITS_PER_LONG == 64, "actiondfs needs a 64-bit kernel: inode numbers have 63 bits");

/* 2000-01-01T00:00:00Z: the time of inputs that name none. */
#define ADFS_EPOCH 946684800

/* Inode numbers of inputs have this bit; those of the stage have it cleared. */
#define ADFS_INPUT_INO BIT_ULL(62)
#define ADFS_INO_MASK  (ADFS_INPUT_INO - 1)

/* Text of a hash, with its end. */
#define ADFS_HEX_SIZE (2 * ACTIONDFS_HASH_SIZE + 1)

struct adfs_digest {
	u8 hash[ACTIONDFS_HASH_SIZE];
	u64 size; /* bytes */
};

enum adfs_layout {
	ADFS_LAYOUT_SHARDED,
	ADFS_LAYOUT_FLAT,
	ADFS_LAYOUT_SHARDED_SUFFIX,
	ADFS_LAYOUT_HASH_SIZE,
};

/* A CAS directory; one for all mounts that use it with the same credentials. */
struct adfs_cas {
	struct list_head list;
	unsigned int mounts;	 /* adfs_cas_lock */
	struct path path;	 /* a private clone of the mount, read-only */
	const struct cred *cred; /* of the first of its mounts */
	enum adfs_layout layout;
	struct list_head blobs; /* adfs_blob_cache.lock: those that are in the cache */
};

/* Where an entry and its name are in a Directory's bytes. */
struct adfs_slot {
	u32 entry;
	u32 name;
	u8 name_len;
} __packed;

/* A Directory that was read, checked and parsed. Immutable. */
struct adfs_dir {
	struct hlist_node bucket; /* adfs_dir_cache.lock */
	struct list_head order;	  /* adfs_dir_cache.lock; empty: not in the cache */
	struct list_head lru;	  /* the list_lru's lock */
	refcount_t refs;	  /* one of the cache, while it is in there */
	bool used;		  /* since the cache's hand last passed */
	struct adfs_digest digest;
	u8 *blob;
	struct actiondfs_properties properties;
	u32 counts[ACTIONDFS_ENTRY_KINDS];
	struct adfs_slot *slots; /* files, directories, symlinks, each by name */
};

/*
 * A blob that was opened. `users` keep the file open: the cache is one, each open file another.
 * `refs` keep the memory: all users together are one, each inode that remembers it another.
 */
struct adfs_blob {
	struct hlist_node bucket; /* RCU; changes: adfs_blob_cache.lock */
	struct list_head order;	  /* adfs_blob_cache.lock; empty: not in the cache */
	struct list_head lru;	  /* the list_lru's lock */
	refcount_t users;
	refcount_t refs;
	bool used;
	struct list_head of_cas;  /* adfs_blob_cache.lock */
	struct adfs_cas *cas;	  /* the cache forgets a CAS before it goes */
	struct adfs_digest digest;
	struct file *file;
	struct rcu_head rcu;
};

struct adfs_sb {
	struct list_head mounts; /* adfs_mounts_lock */
	struct adfs_stats __percpu *stats;
	struct adfs_cas *cas;
	struct path stage;	 /* a private clone; no dentry: read-only */
	const struct cred *cred; /* the mounter's: for all that is done to the stage */
	struct adfs_digest root;
	bool root_size_known;
	bool by_content; /* inodes=content */
	bool verify;	 /* verify=dirs */
	bool new_stage;	 /* it was empty at mount */
	bool claimed;	 /* adfs_mounts_lock: `stage` is nobody else's */
	kuid_t uid;
	kgid_t gid;
	struct mutex mirror_lock;
	struct mutex sync_lock;
	errseq_t stage_error; /* sync_lock: of the stage's filesystem, as far as it was passed on */
	enum adfs_layout layout;
	struct ratelimit_state log_limit;
	char *cas_name; /* as show_options prints them */
	char *stage_name;
};

struct adfs_inode {
	union {
		struct adfs_dir *dir;	      /* input directory: set once, under `lock` */
		struct adfs_blob __rcu *blob; /* input file: under `lock` */
		char *target;		      /* input symlink */
	};
	/*
	 * Staged: the real dentry. Of files with several names any of them, maybe one that is gone.
	 * Input directory: the mirror; set once, under mirror_lock or by the first lookup.
	 */
	struct dentry *stage;
	struct adfs_digest digest; /* input files and directories */
	u64 place;		   /* input directories: parent's place and name, adfs_place() */
	struct mutex lock;
	bool input;
	struct inode vfs_inode;
};

static inline struct adfs_sb *ADFS_SB(const struct super_block *sb)
{
	return sb->s_fs_info;
}

static inline struct adfs_inode *ADFS_I(const struct inode *inode)
{
	return container_of(inode, struct adfs_inode, vfs_inode);
}

static inline bool adfs_is_input(const struct inode *inode)
{
	return ADFS_I(inode)->input;
}

/* The staged file, or the mirror if there is one. Borrowed: it lives as long as the inode. */
static inline struct dentry *adfs_stage_of(const struct inode *inode)
{
	/* Pairs with where it is set: whoever sees it sees what it points to. */
	return smp_load_acquire(&ADFS_I(inode)->stage);
}

static inline u32 adfs_dir_count(const struct adfs_dir *dir)
{
	return dir->counts[ACTIONDFS_ENTRY_FILE] + dir->counts[ACTIONDFS_ENTRY_DIRECTORY] +
	       dir->counts[ACTIONDFS_ENTRY_SYMLINK];
}

/* A line in the log, unless this mount has written too many of late. */
#define adfs_warn(sbi, fmt, ...)                                              \
	do {                                                                  \
		if (__ratelimit(&(sbi)->log_limit))                           \
			pr_warn("actiondfs: " fmt "\n", ##__VA_ARGS__);       \
	} while (0)

/* super.c */
extern siphash_key_t adfs_secret_key; /* of this load of the module; there before the caches */
extern struct file_system_type adfs_fs_type;
int adfs_fill_super(struct super_block *sb, struct fs_context *fc);
void adfs_free_sb(struct adfs_sb *sbi);

/* params.c */
int adfs_init_fs_context(struct fs_context *fc);
extern const struct fs_parameter_spec adfs_parameters[];
int adfs_show_options(struct seq_file *m, struct dentry *root);

/* inode.c */
extern const struct inode_operations adfs_file_iops;
extern const struct inode_operations adfs_input_symlink_iops;
extern const struct inode_operations adfs_staged_symlink_iops;
void adfs_evict_inode(struct inode *inode);
void adfs_destroy_inode(struct inode *inode);
/* The number of an entry of the directory `parent`. */
u64 adfs_entry_ino(const struct adfs_sb *sbi, u64 parent, const struct actiondfs_entry *entry);
/* The inode with that number and what the entry says of it; new or known. */
u64 adfs_place(u64 parent_place, const struct actiondfs_entry *entry);
struct inode *adfs_iget_input(struct super_block *sb, u64 ino, u64 place,
			      const struct actiondfs_entry *entry);
struct inode *adfs_iget_root(struct super_block *sb);
/* The inode of a real file. The dentry is borrowed. */
struct inode *adfs_iget_staged(struct super_block *sb, struct dentry *real);
/* Takes over what the real inode says now. */
void adfs_copy_attributes(struct inode *inode);
int adfs_getattr(struct mnt_idmap *idmap, const struct path *path, struct kstat *stat,
		 u32 request_mask, unsigned int flags);
int adfs_setattr(struct mnt_idmap *idmap, struct dentry *dentry, struct iattr *attr);

/* dir.c */
extern const struct inode_operations adfs_input_dir_iops;
extern const struct inode_operations adfs_staged_dir_iops;
/* Reads and parses the Directory of an input directory unless that was done. EIO, EUCLEAN. */
int adfs_load(struct inode *inode);

/* readdir.c */
extern const struct file_operations adfs_dir_fops;

/* namei.c: what changes names */
int adfs_create(ADFS_CREATE_ARGS);
adfs_mkdir_result adfs_mkdir(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry,
			     umode_t mode);
int adfs_mknod(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry, umode_t mode,
	       dev_t rdev);
int adfs_symlink(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry,
		 const char *target);
int adfs_link(struct dentry *old, struct inode *dir, struct dentry *dentry);
int adfs_unlink(struct inode *dir, struct dentry *dentry);
int adfs_rmdir(struct inode *dir, struct dentry *dentry);
int adfs_rename(struct mnt_idmap *idmap, struct inode *old_dir, struct dentry *old,
		struct inode *new_dir, struct dentry *new, unsigned int flags);
int adfs_tmpfile(struct mnt_idmap *idmap, struct inode *dir, struct file *file, umode_t mode);

/* stage.c: the only caller of what changes the stage's names */
struct adfs_make {
	umode_t mode; /* with the type */
	const char *target;
	kuid_t uid;
	kgid_t gid;
	bool unseen; /* the directory keeps its time */
};
/* The real directory of a directory's staged children, made if there is none. Borrowed. */
struct dentry *adfs_stage_directory(struct dentry *dentry);
/* The staged child, with a reference; NULL: there is none. */
struct dentry *adfs_stage_lookup(struct adfs_sb *sbi, struct dentry *parent,
				 const struct qstr *name);
/* The mounter's credentials, with the owner of what is to be made: from begin to end. ENOMEM. */
struct adfs_creator {
	const struct cred *old;
	struct cred *cred;
};
int adfs_creator_begin(struct adfs_sb *sbi, kuid_t uid, kgid_t gid, struct adfs_creator *creator);
void adfs_creator_end(struct adfs_creator *creator);
struct dentry *adfs_stage_make(struct adfs_sb *sbi, struct dentry *parent, const struct qstr *name,
			       const struct adfs_make *make);
struct dentry *adfs_stage_link(struct adfs_sb *sbi, struct dentry *old, struct dentry *parent,
			       const struct qstr *name);
int adfs_stage_remove(struct adfs_sb *sbi, struct dentry *parent, const struct qstr *name,
		      const struct inode *real, bool directory);
struct adfs_rename_end {
	struct dentry *parent;
	const struct qstr *name;
	const struct inode *real; /* what should be there; NULL: nothing */
};
int adfs_stage_rename(struct adfs_sb *sbi, const struct adfs_rename_end *from,
		      const struct adfs_rename_end *to, unsigned int flags);
/* For times and modes that are not a user's wish. */
int adfs_stage_set_attributes(struct adfs_sb *sbi, struct dentry *real, struct iattr *attr);

/* open.c */
extern const struct address_space_operations adfs_aops;
int adfs_open(struct inode *inode, struct file *file);
int adfs_release(struct inode *inode, struct file *file);
/* The blob of an input that is open; NULL: it is empty. */
struct adfs_blob *adfs_file_blob(const struct file *file);
/*
 * The file for mappings of an input that is open: made by the first of them, if not when it was
 * opened. EIO with a line in the log, ENOMEM.
 */
struct file *adfs_file_for_mapping(struct file *file, struct adfs_blob *blob);
/*
 * The real file of an open file, with flags that fcntl() may have changed since. NULL: an empty
 * input, which has none.
 */
struct file *adfs_real_file(struct file *file);

/* file.c */
extern const struct file_operations adfs_file_fops;
/*
 * What reading an input answered when it was no bytes. 0: before the end; with a blob that was cut
 * it would look like a shorter file. EIO with a line in the log, unless it is the caller's trouble.
 */
ssize_t adfs_input_error(struct inode *inode, ssize_t err);

/* copy.c: between two files */
ssize_t adfs_copy_file_range(struct file *in, loff_t pos_in, struct file *out, loff_t pos_out,
			     size_t size, unsigned int flags);
loff_t adfs_remap_file_range(struct file *in, loff_t pos_in, struct file *out, loff_t pos_out,
			     loff_t size, unsigned int flags);

/* xattr.c */
extern const struct xattr_handler *const adfs_xattr_handlers[];
ssize_t adfs_listxattr(struct dentry *dentry, char *list, size_t size);

/* export.c */
extern const struct export_operations adfs_export_ops;

/* cas.c */
/* Of what clone_private_mount() made: a plain mntput() would leave the mount there for ever. */
void adfs_put_clone(struct path *path);
struct adfs_cas *adfs_cas_get(const struct path *path, enum adfs_layout layout,
			      const struct cred *cred);
void adfs_cas_put(struct adfs_cas *cas);
void adfs_digest_text(const struct adfs_digest *digest, char text[ADFS_HEX_SIZE]);
bool adfs_digest_is_empty(const struct adfs_digest *digest);
/*
 * A path below the CAS; `tries` is how often what was found before was stale. EIO: there is none, or
 * it cannot be looked up; the log says what and why. ESTALE: adfs_cas_again().
 */
int adfs_cas_lookup(struct adfs_sb *sbi, const struct adfs_digest *digest, unsigned int tries,
		    struct path *path);
/*
 * After looking up and opening a blob gave *err: true if that was ESTALE and another try, from the
 * lookup on, is worth it. One that is stale each time is EIO with a line in the log.
 */
bool adfs_cas_again(struct adfs_sb *sbi, const struct adfs_digest *digest, unsigned int *tries,
		    int *err);
/*
 * The error for whoever asked: EIO with a line in the log, unless it is the caller's trouble, or
 * ESTALE.
 */
int adfs_blob_error(struct adfs_sb *sbi, const struct adfs_digest *digest, int err,
		    const char *what);
/* EIO, with a line in the log: not a regular file, or another size. */
int adfs_cas_check(struct adfs_sb *sbi, const struct adfs_digest *digest, const struct path *path);
/*
 * The bytes of a Directory: kvmalloc()ed, `digest->size` of them; where the size is not known it is
 * set. EIO: cannot be had. EUCLEAN: not what the digest says, or over 64 MiB.
 */
u8 *adfs_cas_read(struct adfs_sb *sbi, struct adfs_digest *digest, bool size_known);

/* hash.c */
int adfs_hash_init(void);
void adfs_hash_exit(void);
/* For hash tables: digests can be made so that they begin alike. */
u32 adfs_digest_key(const struct adfs_digest *digest);
void adfs_sha256(const u8 *data, size_t size, u8 hash[ACTIONDFS_HASH_SIZE]);

/* lru.c */
/*
 * A shrinker for `lru`, which is made with it, and needs list_lru_destroy() once it is freed. To be
 * registered by the caller. NULL: no memory.
 */
struct shrinker *adfs_shrinker_alloc(const char *name, struct list_lru *lru);

/* dir_cache.c */
int adfs_dir_cache_init(void);
void adfs_dir_cache_exit(void);
/* The parsed Directory, with a reference. EIO, EUCLEAN. */
struct adfs_dir *adfs_dir_get(struct adfs_sb *sbi, const struct adfs_digest *digest,
			      bool size_known);
void adfs_dir_put(struct adfs_dir *dir);
/* True, and `entry`: the directory has that name. */
bool adfs_dir_find(const struct adfs_dir *dir, const char *name, size_t len,
		   struct actiondfs_entry *entry);
/* False: no such index, counted over all three lists. */
bool adfs_dir_entry(const struct adfs_dir *dir, u32 index, struct actiondfs_entry *entry);

/* blob_cache.c */
int adfs_blob_cache_init(void);
void adfs_blob_cache_exit(void);
/* The input's blob, open, with a user. EIO. */
struct adfs_blob *adfs_blob_open(struct inode *inode);
/* The same after ESTALE: what is known of it is forgotten. */
struct adfs_blob *adfs_blob_reopen(struct inode *inode, struct adfs_blob *stale);
void adfs_blob_close(struct adfs_blob *blob);
/* Lets go of what an inode remembers. */
void adfs_blob_put(struct adfs_blob *blob);
/* Closes all that is open of a CAS for the cache's sake. */
void adfs_blob_cache_forget(struct adfs_cas *cas);

/* stats.c: what is printed in /proc */
int adfs_stats_init(void);
void adfs_stats_exit(void);
int adfs_stats_add_mount(struct adfs_sb *sbi);
void adfs_stats_remove_mount(struct adfs_sb *sbi);
int adfs_show_stats(struct seq_file *m, struct dentry *root);
extern struct mutex adfs_mounts_lock;
extern struct list_head adfs_mounts;

#endif /* ACTIONDFS_H */
