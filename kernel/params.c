// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mount options: fsconfig(2) and mount(8) alike. Whoever asks gets a message that says what is
 * wrong with which option.
 */
#include <linux/ctype.h>
#include <linux/file.h>
#include <linux/fs_context.h>
#include <linux/fs_parser.h>
#include <linux/hex.h>
#include <linux/mount.h>
#include <linux/namei.h>
#include <linux/seq_file.h>
#include <linux/slab.h>

#include "actiondfs.h"

enum adfs_option {
	ADFS_OPT_ROOT,
	ADFS_OPT_ROOT_SIZE,
	ADFS_OPT_CAS,
	ADFS_OPT_STAGE,
	ADFS_OPT_LAYOUT,
	ADFS_OPT_UID,
	ADFS_OPT_GID,
	ADFS_OPT_INODES,
	ADFS_OPT_VERIFY,
};

static const struct constant_table adfs_layouts[] = {
	{ "sharded", ADFS_LAYOUT_SHARDED },
	{ "flat", ADFS_LAYOUT_FLAT },
	{ "sharded-suffix", ADFS_LAYOUT_SHARDED_SUFFIX },
	{ "hash-size", ADFS_LAYOUT_HASH_SIZE },
	{}
};

static const struct constant_table adfs_inodes[] = { { "path", false }, { "content", true }, {} };
static const struct constant_table adfs_verify[] = { { "none", false }, { "dirs", true }, {} };

/* A directory: by its path or by a descriptor. */
static int adfs_param_is_place(struct p_log *log, const struct fs_parameter_spec *p,
			       struct fs_parameter *param, struct fs_parse_result *result)
{
	if (param->type == fs_value_is_filename || param->type == fs_value_is_file ||
	    (param->type == fs_value_is_string && *param->string))
		return 0;
	return inval_plog(log, "%s: expected a path or a descriptor", param->key);
}

#define adfs_fsparam_place(name, option) __fsparam(adfs_param_is_place, name, option, 0, NULL)

const struct fs_parameter_spec adfs_parameters[] = {
	fsparam_string(ACTIONDFS_OPT_ROOT, ADFS_OPT_ROOT),
	fsparam_u64(ACTIONDFS_OPT_ROOT_SIZE, ADFS_OPT_ROOT_SIZE),
	adfs_fsparam_place(ACTIONDFS_OPT_CAS, ADFS_OPT_CAS),
	adfs_fsparam_place(ACTIONDFS_OPT_STAGE, ADFS_OPT_STAGE),
	fsparam_enum(ACTIONDFS_OPT_LAYOUT, ADFS_OPT_LAYOUT, adfs_layouts),
	fsparam_uid(ACTIONDFS_OPT_UID, ADFS_OPT_UID),
	fsparam_gid(ACTIONDFS_OPT_GID, ADFS_OPT_GID),
	fsparam_enum(ACTIONDFS_OPT_INODES, ADFS_OPT_INODES, adfs_inodes),
	fsparam_enum(ACTIONDFS_OPT_VERIFY, ADFS_OPT_VERIFY, adfs_verify),
	{}
};

/* Lines of the log that one mount may write at once. */
#define ADFS_LOG_BURST 20

/* What was asked for, until the mount is made. */
struct adfs_fs_context {
	struct adfs_sb *sbi; /* goes to the superblock */
	struct path cas;
	struct path stage;
	unsigned long seen; /* bits of enum adfs_option */
};

static int adfs_parse_root(struct fs_context *fc, struct adfs_digest *digest, const char *text)
{
	const char *c;

	for (c = text; *c; c++) {
		if (!isdigit(*c) && !(*c >= 'a' && *c <= 'f'))
			break;
	}
	if (*c || c - text != 2 * ACTIONDFS_HASH_SIZE)
		return invalf(fc, "root: expected 64 lowercase hex digits");
	return hex2bin(digest->hash, text, ACTIONDFS_HASH_SIZE);
}

/* The path of a descriptor that is given as a number. */
static int adfs_descriptor_path(const char *text, struct path *path)
{
	unsigned int number;
	struct file *file;
	int err = kstrtouint(text, 10, &number);

	if (err)
		return err;
	file = fget_raw(number);
	if (!file)
		return -EBADF;
	*path = file->f_path;
	path_get(path);
	fput(file);
	return 0;
}

static int adfs_parse_place(struct fs_context *fc, struct fs_parameter *param, struct path *path)
{
	int err;

	switch (param->type) {
	case fs_value_is_file:
		*path = param->file->f_path;
		path_get(path);
		err = 0;
		break;
	case fs_value_is_filename:
		err = fs_lookup_param(fc, param, false, LOOKUP_FOLLOW, path);
		break;
	default:
		if (param->string[0] == '/')
			err = kern_path(param->string, LOOKUP_FOLLOW, path);
		else if (isdigit(param->string[0]))
			err = adfs_descriptor_path(param->string, path);
		else
			return invalf(fc, "%s=%s: expected an absolute path or a descriptor",
				      param->key, param->string);
	}
	if (err) {
		errorf(fc, "%s: cannot be found: error %d", param->key, err);
		path->mnt = NULL;
		path->dentry = NULL;
		return err;
	}
	if (!d_is_dir(path->dentry)) {
		errorf(fc, "%s: not a directory", param->key);
		err = -ENOTDIR;
	} else if (is_idmapped_mnt(path->mnt)) {
		err = invalf(fc, "%s: on an idmapped mount", param->key);
	}
	if (err) {
		path_put(path);
		*path = (struct path) {};
	}
	return err;
}

/* What is refused changes nothing: the context may go on without it. */
static int adfs_take_option(struct fs_context *fc, int option, struct fs_parameter *param,
			    const struct fs_parse_result *parsed)
{
	struct adfs_fs_context *ctx = fc->fs_private;
	struct adfs_sb *sbi = ctx->sbi;

	switch (option) {
	case ADFS_OPT_ROOT:
		return adfs_parse_root(fc, &sbi->root, param->string);
	case ADFS_OPT_ROOT_SIZE:
		if (parsed->uint_64 > ACTIONDFS_DIRECTORY_SIZE_MAX)
			return invalf(fc, "root_size: a Directory has %d bytes at most",
				      ACTIONDFS_DIRECTORY_SIZE_MAX);
		sbi->root.size = parsed->uint_64;
		sbi->root_size_known = true;
		return 0;
	case ADFS_OPT_CAS:
		return adfs_parse_place(fc, param, &ctx->cas);
	case ADFS_OPT_STAGE:
		return adfs_parse_place(fc, param, &ctx->stage);
	case ADFS_OPT_LAYOUT:
		sbi->layout = parsed->uint_32;
		return 0;
	case ADFS_OPT_UID:
		sbi->uid = parsed->uid;
		return 0;
	case ADFS_OPT_GID:
		sbi->gid = parsed->gid;
		return 0;
	case ADFS_OPT_INODES:
		sbi->by_content = parsed->uint_32;
		return 0;
	case ADFS_OPT_VERIFY:
		sbi->verify = parsed->uint_32;
		return 0;
	default:
		return -EINVAL;
	}
}

static int adfs_parse_param(struct fs_context *fc, struct fs_parameter *param)
{
	struct adfs_fs_context *ctx = fc->fs_private;
	struct fs_parse_result result;
	int option = fs_parse(fc, adfs_parameters, param, &result);
	int err;

	if (option < 0)
		return option;
	if (test_bit(option, &ctx->seen))
		return invalf(fc, "%s: given twice", param->key);
	err = adfs_take_option(fc, option, param, &result);
	if (!err)
		__set_bit(option, &ctx->seen);
	return err;
}

/* What show_options prints; mounts by that path again. */
static int adfs_path_name(const struct path *path, char **result)
{
	char *page = (char *)__get_free_page(GFP_KERNEL);
	int err = -ENOMEM;
	char *name;

	if (!page)
		return err;
	name = d_path(path, page, PAGE_SIZE);
	if (IS_ERR(name)) {
		err = PTR_ERR(name);
	} else {
		*result = kstrdup(name, GFP_KERNEL);
		if (*result)
			err = 0;
	}
	free_page((unsigned long)page);
	return err;
}

/* The stage as a private mount, so that nothing that is mounted over it later is in the way. */
static int adfs_take_stage(struct fs_context *fc, struct adfs_sb *sbi, const struct path *stage)
{
	const struct path *cas = &sbi->cas->path;
	struct vfsmount *mnt;

	if (stage->dentry->d_sb == cas->dentry->d_sb) {
		if (is_subdir(stage->dentry, cas->dentry))
			return invalf(fc, "stage: inside the CAS");
		if (is_subdir(cas->dentry, stage->dentry))
			return invalf(fc, "stage: the CAS is inside");
	}
	if (stage->dentry->d_sb->s_magic == ACTIONDFS_MAGIC)
		return invalf(fc, "stage: on actiondfs");
	if (sb_rdonly(stage->dentry->d_sb) || __mnt_is_readonly(stage->mnt)) {
		errorf(fc, "stage: on a read-only filesystem");
		return -EROFS;
	}
	mnt = clone_private_mount(stage);
	if (IS_ERR(mnt)) {
		errorf(fc, "stage: cannot clone its mount: error %ld", PTR_ERR(mnt));
		return PTR_ERR(mnt);
	}
	sbi->stage.mnt = mnt;
	sbi->stage.dentry = dget(stage->dentry);
	sbi->stage_error = errseq_sample(&stage->dentry->d_sb->s_wb_err);
	return 0;
}

static int adfs_get_tree(struct fs_context *fc)
{
	struct adfs_fs_context *ctx = fc->fs_private;
	struct adfs_sb *sbi = ctx->sbi;
	struct adfs_cas *cas;
	int err;

	if (!test_bit(ADFS_OPT_ROOT, &ctx->seen))
		return invalf(fc, "root: missing");
	if (!ctx->cas.dentry)
		return invalf(fc, "cas: missing");
	if (sbi->layout == ADFS_LAYOUT_HASH_SIZE && !sbi->root_size_known)
		return invalf(fc, "root_size: needed with layout=hash-size");

	err = adfs_path_name(&ctx->cas, &sbi->cas_name);
	if (!err && ctx->stage.dentry)
		err = adfs_path_name(&ctx->stage, &sbi->stage_name);
	if (err)
		return err;
	if (ctx->cas.dentry->d_sb->s_magic == ACTIONDFS_MAGIC)
		return invalf(fc, "cas: on actiondfs");
	cas = adfs_cas_get(&ctx->cas, sbi->layout, sbi->cred);
	if (IS_ERR(cas)) {
		errorf(fc, "cas: cannot clone its mount: error %ld", PTR_ERR(cas));
		return PTR_ERR(cas);
	}
	sbi->cas = cas;
	if (ctx->stage.dentry) {
		err = adfs_take_stage(fc, sbi, &ctx->stage);
		if (err)
			return err;
	}
	err = adfs_stats_add_mount(sbi);
	if (err)
		return err;

	/* From here on it is the superblock's, or put back if there is to be none. */
	fc->s_fs_info = sbi;
	ctx->sbi = NULL;
	return get_tree_nodev(fc, adfs_fill_super);
}

/* Only MS_RDONLY may change; what mount(8) repeats must be what is there. */
static int adfs_reconfigure(struct fs_context *fc)
{
	struct adfs_fs_context *ctx = fc->fs_private;
	struct adfs_sb *sbi = ADFS_SB(fc->root->d_sb);
	const struct adfs_sb *asked = ctx->sbi;

	if ((test_bit(ADFS_OPT_ROOT, &ctx->seen) &&
	     memcmp(asked->root.hash, sbi->root.hash, sizeof(sbi->root.hash))) ||
	    (asked->root_size_known && asked->root.size != sbi->root.size) ||
	    (test_bit(ADFS_OPT_LAYOUT, &ctx->seen) && asked->layout != sbi->layout) ||
	    (test_bit(ADFS_OPT_UID, &ctx->seen) && !uid_eq(asked->uid, sbi->uid)) ||
	    (test_bit(ADFS_OPT_GID, &ctx->seen) && !gid_eq(asked->gid, sbi->gid)) ||
	    (test_bit(ADFS_OPT_INODES, &ctx->seen) && asked->by_content != sbi->by_content) ||
	    (test_bit(ADFS_OPT_VERIFY, &ctx->seen) && asked->verify != sbi->verify) ||
	    (ctx->cas.dentry && ctx->cas.dentry != sbi->cas->path.dentry) ||
	    (ctx->stage.dentry && ctx->stage.dentry != sbi->stage.dentry))
		return invalf(fc, "only ro and rw can be changed");
	if (fc->sb_flags_mask & SB_RDONLY && !(fc->sb_flags & SB_RDONLY) && !sbi->stage.dentry) {
		errorf(fc, "rw: the mount has no stage");
		return -EROFS;
	}
	return 0;
}

static void adfs_free_fc(struct fs_context *fc)
{
	struct adfs_fs_context *ctx = fc->fs_private;

	if (fc->s_fs_info)
		adfs_free_sb(fc->s_fs_info);
	if (!ctx)
		return;
	adfs_free_sb(ctx->sbi);
	path_put(&ctx->cas);
	path_put(&ctx->stage);
	kfree(ctx);
}

static const struct fs_context_operations adfs_context_ops = {
	.free = adfs_free_fc,
	.parse_param = adfs_parse_param,
	.get_tree = adfs_get_tree,
	.reconfigure = adfs_reconfigure,
};

int adfs_init_fs_context(struct fs_context *fc)
{
	struct adfs_fs_context *ctx = kzalloc(sizeof(*ctx), GFP_KERNEL);
	struct adfs_sb *sbi;
	struct cred *cred;

	if (!ctx)
		return -ENOMEM;
	sbi = kzalloc(sizeof(*sbi), GFP_KERNEL);
	if (!sbi) {
		kfree(ctx);
		return -ENOMEM;
	}
	mutex_init(&sbi->mirror_lock);
	mutex_init(&sbi->sync_lock);
	ratelimit_state_init(&sbi->log_limit, DEFAULT_RATELIMIT_INTERVAL, ADFS_LOG_BURST);
	ratelimit_set_flags(&sbi->log_limit, RATELIMIT_MSG_ON_RELEASE);
	cred = prepare_creds();
	if (!cred) {
		kfree(sbi);
		kfree(ctx);
		return -ENOMEM;
	}
	/* Containers get no more of the stage's disk than their quota: not root's reserve. */
	cap_lower(cred->cap_effective, CAP_SYS_RESOURCE);
	sbi->cred = cred;
	sbi->uid = GLOBAL_ROOT_UID;
	sbi->gid = GLOBAL_ROOT_GID;
	sbi->verify = true;
	ctx->sbi = sbi;
	fc->fs_private = ctx;
	fc->ops = &adfs_context_ops;
	return 0;
}

static const char *adfs_constant_name(const struct constant_table *table, int value)
{
	for (; table->name; table++) {
		if (table->value == value)
			return table->name;
	}
	return "?";
}

int adfs_show_options(struct seq_file *m, struct dentry *root)
{
	const struct adfs_sb *sbi = ADFS_SB(root->d_sb);
	char hash[ADFS_HEX_SIZE];

	adfs_digest_text(&sbi->root, hash);
	seq_show_option(m, ACTIONDFS_OPT_ROOT, hash);
	if (sbi->root_size_known)
		seq_printf(m, "," ACTIONDFS_OPT_ROOT_SIZE "=%llu", sbi->root.size);
	seq_show_option(m, ACTIONDFS_OPT_CAS, sbi->cas_name);
	if (sbi->stage_name)
		seq_show_option(m, ACTIONDFS_OPT_STAGE, sbi->stage_name);
	seq_show_option(m, ACTIONDFS_OPT_LAYOUT, adfs_constant_name(adfs_layouts, sbi->layout));
	seq_printf(m, "," ACTIONDFS_OPT_UID "=%u," ACTIONDFS_OPT_GID "=%u",
		   from_kuid_munged(&init_user_ns, sbi->uid),
		   from_kgid_munged(&init_user_ns, sbi->gid));
	seq_show_option(m, ACTIONDFS_OPT_INODES, adfs_constant_name(adfs_inodes, sbi->by_content));
	seq_show_option(m, ACTIONDFS_OPT_VERIFY, adfs_constant_name(adfs_verify, sbi->verify));
	return 0;
}
