// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reading directories. Each name once, and offsets that hold while the directory changes:
 *
 *	0, 1		"." and ".."
 *	2 + i		the i-th entry of the Directory
 *	2 + n + j	the j-th of the names that the stage's mirror had when this open file first came
 *			to them (again after a rewind), without those of inputs
 *
 * The names of the mirror are kept with the open file: removing what was read skips nothing. A
 * directory that is staged has no inputs to be merged with, and is read below by its own offsets.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "actiondfs.h"

/* A name in the mirror. */
struct adfs_name {
	u64 ino;
	u16 len;
	u8 type;
	char name[];
} __packed;

/* Names in the order in which they were found. */
struct adfs_names {
	u8 *bytes;	 /* of struct adfs_name, one after the other */
	size_t size;
	size_t capacity;
	u32 *offsets;	 /* in `bytes` */
	u32 count;
	u32 offsets_capacity;
};

struct adfs_dir_file {
	struct file *real; /* of a staged directory */
	struct adfs_names names;
	bool has_names;
};

static void adfs_names_clear(struct adfs_names *names)
{
	kvfree(names->bytes);
	kvfree(names->offsets);
	memset(names, 0, sizeof(*names));
}

/* More room, at least for `need`; accounted to whoever reads. */
static int adfs_grow(void **memory, size_t have, size_t need)
{
	void *larger = kvmalloc(need, GFP_KERNEL_ACCOUNT);

	if (!larger)
		return -ENOMEM;
	if (have)
		memcpy(larger, *memory, have);
	kvfree(*memory);
	*memory = larger;
	return 0;
}

static int adfs_names_add(struct adfs_names *names, const char *name, int len, u64 ino,
			  unsigned int type)
{
	size_t need = names->size + struct_size((struct adfs_name *)NULL, name, len);
	struct adfs_name *added;

	if (need > INT_MAX)
		return -ENOMEM;
	if (need > names->capacity) {
		size_t capacity = clamp_t(size_t, 2 * names->capacity, need + PAGE_SIZE, INT_MAX);

		if (adfs_grow((void **)&names->bytes, names->size, capacity))
			return -ENOMEM;
		names->capacity = capacity;
	}
	if (names->count == names->offsets_capacity) {
		u32 capacity = max(2 * names->offsets_capacity, 256U);

		if (adfs_grow((void **)&names->offsets, names->count * sizeof(u32),
			      capacity * sizeof(u32)))
			return -ENOMEM;
		names->offsets_capacity = capacity;
	}
	names->offsets[names->count++] = names->size;
	added = (struct adfs_name *)(names->bytes + names->size);
	added->ino = ino;
	added->len = len;
	added->type = type;
	memcpy(added->name, name, len);
	names->size = need;
	return 0;
}

static bool adfs_is_dots(const char *name, int len)
{
	return name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.'));
}

/* ---- the mirror of an input directory ---- */

struct adfs_gather {
	struct dir_context ctx;
	const struct adfs_dir *dir;
	struct adfs_names *names;
	unsigned int seen; /* by this call of iterate_dir() */
	int err;
};

static bool adfs_gather_name(struct dir_context *ctx, const char *name, int len, loff_t pos,
			     u64 ino, unsigned int type)
{
	struct adfs_gather *gather = container_of(ctx, struct adfs_gather, ctx);
	struct actiondfs_entry entry;

	gather->seen++;
	if (adfs_is_dots(name, len) || adfs_dir_find(gather->dir, name, len, &entry))
		return true;
	gather->err = adfs_names_add(gather->names, name, len, ino & ADFS_INO_MASK, type);
	return !gather->err;
}

/* The callers have the mounter's credentials: FUSE and network filesystems ask who calls. */
static struct file *adfs_open_real_dir(struct adfs_sb *sbi, struct dentry *real)
{
	const struct path path = { .mnt = sbi->stage.mnt, .dentry = real };

	return adfs_open_plain(&path, O_DIRECTORY, sbi->cred);
}

static int adfs_gather_from(struct file *real, struct adfs_gather *gather)
{
	int err;

	do {
		gather->seen = 0;
		err = iterate_dir(real, &gather->ctx) ?: gather->err;
		if (fatal_signal_pending(current))
			err = -EINTR;
		cond_resched();
	} while (!err && gather->seen);
	return err;
}

/* Reads the mirror's names, if there is a mirror. */
static int adfs_gather(struct inode *inode, struct adfs_names *names)
{
	struct adfs_sb *sbi = ADFS_SB(inode->i_sb);
	struct adfs_gather gather = {
		.ctx.actor = adfs_gather_name,
		.dir = ADFS_I(inode)->dir,
		.names = names,
	};
	struct dentry *mirror = adfs_stage_of(inode);
	const struct cred *old;
	struct file *real;
	int err;

	adfs_stat_inc(sbi, stage_readdir_calls);
	if (!mirror) {
		adfs_stat_inc(sbi, stage_readdir_misses);
		return 0;
	}
	old = override_creds(sbi->cred);
	real = adfs_open_real_dir(sbi, mirror);
	err = PTR_ERR_OR_ZERO(real);
	if (!err) {
		err = adfs_gather_from(real, &gather);
		fput(real);
	}
	revert_creds(old);
	if (err)
		adfs_stat_inc(sbi, stage_readdir_errors);
	else
		adfs_stat_inc(sbi, stage_readdir_hits);
	return err;
}

static unsigned int adfs_entry_type(const struct actiondfs_entry *entry)
{
	switch (entry->kind) {
	case ACTIONDFS_ENTRY_FILE:
		return DT_REG;
	case ACTIONDFS_ENTRY_DIRECTORY:
		return DT_DIR;
	default:
		return DT_LNK;
	}
}

/* False: the reader has no more room. */
static bool adfs_emit_inputs(struct adfs_sb *sbi, struct inode *inode, struct dir_context *ctx)
{
	const struct adfs_dir *dir = ADFS_I(inode)->dir;
	struct actiondfs_entry entry;

	for (; ctx->pos - 2 < adfs_dir_count(dir); ctx->pos++) {
		if (!adfs_dir_entry(dir, ctx->pos - 2, &entry))
			continue;
		if (!dir_emit(ctx, (const char *)entry.name.data, entry.name.size,
			      adfs_entry_ino(sbi, inode->i_ino, &entry), adfs_entry_type(&entry)))
			return false;
		adfs_stat_inc(sbi, readdir_entries);
	}
	return true;
}

static int adfs_read_input_dir(struct file *file, struct dir_context *ctx)
{
	struct adfs_dir_file *open = file->private_data;
	struct inode *inode = file_inode(file);
	struct adfs_sb *sbi = ADFS_SB(inode->i_sb);
	loff_t first;
	int err;

	err = adfs_load(inode);
	if (err)
		return err;
	if (ctx->pos == 0) {
		adfs_names_clear(&open->names);
		open->has_names = false;
	}
	/* What is before the position is not gone through. */
	if (ctx->pos > 2)
		adfs_stat_add(sbi, readdir_skipped_entries_avoided,
			      min_t(u64, ctx->pos - 2, adfs_dir_count(ADFS_I(inode)->dir)));
	if (!dir_emit_dots(file, ctx) || !adfs_emit_inputs(sbi, inode, ctx))
		return 0;
	if (!open->has_names) {
		err = adfs_gather(inode, &open->names);
		if (err) {
			adfs_names_clear(&open->names);
			return err;
		}
		open->has_names = true;
	}
	first = 2 + adfs_dir_count(ADFS_I(inode)->dir);
	for (; ctx->pos - first < open->names.count; ctx->pos++) {
		const struct adfs_name *name = (const struct adfs_name *)
			(open->names.bytes + open->names.offsets[ctx->pos - first]);

		if (!dir_emit(ctx, name->name, name->len, name->ino, name->type))
			return 0;
		adfs_stat_inc(sbi, readdir_entries);
	}
	return 0;
}

/* ---- a staged directory ---- */

struct adfs_forward {
	struct dir_context ctx;
	struct dir_context *to;
	struct file *file;
	struct adfs_sb *sbi;
};

static bool adfs_forward_name(struct dir_context *ctx, const char *name, int len, loff_t pos,
			      u64 ino, unsigned int type)
{
	struct adfs_forward *forward = container_of(ctx, struct adfs_forward, ctx);
	bool dots = adfs_is_dots(name, len);

	if (dots) {
		const struct dentry *dentry = forward->file->f_path.dentry;

		/* The numbers of directories above may be inputs'. */
		ino = len == 1 ? d_inode(dentry)->i_ino : d_parent_ino((struct dentry *)dentry);
	} else {
		ino &= ADFS_INO_MASK;
	}
	forward->to->pos = pos;
	if (!dir_emit(forward->to, name, len, ino, type))
		return false;
	if (!dots)
		adfs_stat_inc(forward->sbi, readdir_entries);
	return true;
}

/* The real directory, at `pos`. */
static int adfs_seek_real_dir(struct adfs_dir_file *open, struct inode *inode, loff_t pos)
{
	loff_t at = pos;

	if (!open->real) {
		struct file *real = adfs_open_real_dir(ADFS_SB(inode->i_sb), adfs_stage_of(inode));

		if (IS_ERR(real))
			return PTR_ERR(real);
		open->real = real;
	}
	if (open->real->f_pos != pos)
		at = vfs_llseek(open->real, pos, SEEK_SET);
	return at < 0 ? at : 0;
}

static int adfs_read_staged_dir(struct file *file, struct dir_context *ctx)
{
	struct adfs_dir_file *open = file->private_data;
	struct inode *inode = file_inode(file);
	struct adfs_sb *sbi = ADFS_SB(inode->i_sb);
	struct adfs_forward forward = {
		.ctx.actor = adfs_forward_name,
		.to = ctx,
		.file = file,
		.sbi = sbi,
	};
	const struct cred *old = override_creds(sbi->cred);
	int err;

	err = adfs_seek_real_dir(open, inode, ctx->pos);
	if (err) {
		revert_creds(old);
		return err;
	}
	adfs_stat_inc(sbi, stage_readdir_calls);
	err = iterate_dir(open->real, &forward.ctx);
	revert_creds(old);
	if (err)
		adfs_stat_inc(sbi, stage_readdir_errors);
	else
		adfs_stat_inc(sbi, stage_readdir_hits);
	ctx->pos = open->real->f_pos;
	return err;
}

static int adfs_iterate(struct file *file, struct dir_context *ctx)
{
	struct inode *inode = file_inode(file);
	struct adfs_sb *sbi = ADFS_SB(inode->i_sb);

	adfs_stat_inc(sbi, readdirs);
	if (ctx->pos)
		adfs_stat_inc(sbi, readdir_resumes);
	return adfs_is_input(inode) ? adfs_read_input_dir(file, ctx) :
				      adfs_read_staged_dir(file, ctx);
}

static int adfs_dir_open(struct inode *inode, struct file *file)
{
	file->private_data = kzalloc(sizeof(struct adfs_dir_file), GFP_KERNEL_ACCOUNT);
	return file->private_data ? 0 : -ENOMEM;
}

static int adfs_dir_release(struct inode *inode, struct file *file)
{
	struct adfs_dir_file *open = file->private_data;

	adfs_names_clear(&open->names);
	if (open->real)
		fput(open->real);
	kfree(open);
	return 0;
}

/* Offsets of the filesystem below may be anything that is not negative. */
static loff_t adfs_dir_llseek(struct file *file, loff_t offset, int whence)
{
	switch (whence) {
	case SEEK_SET:
		return vfs_setpos(file, offset, LLONG_MAX);
	case SEEK_CUR:
		return vfs_setpos(file, file->f_pos + offset, LLONG_MAX);
	default:
		return -EINVAL;
	}
}

static int adfs_dir_fsync(struct file *file, loff_t start, loff_t end, int datasync)
{
	struct inode *inode = file_inode(file);
	struct adfs_sb *sbi = ADFS_SB(inode->i_sb);
	struct dentry *below = adfs_stage_of(inode);
	const struct cred *old;
	struct file *real;
	int err;

	if (!below)
		return 0;
	old = override_creds(sbi->cred);
	real = adfs_open_real_dir(sbi, below);
	err = PTR_ERR_OR_ZERO(real);
	if (!err) {
		err = vfs_fsync_range(real, start, end, datasync);
		fput(real);
	}
	revert_creds(old);
	return err;
}

const struct file_operations adfs_dir_fops = {
	.open = adfs_dir_open,
	.release = adfs_dir_release,
	.llseek = adfs_dir_llseek,
	.read = generic_read_dir,
	.iterate_shared = adfs_iterate,
	.fsync = adfs_dir_fsync,
};
