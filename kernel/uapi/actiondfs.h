/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Names and limits that the kernel module and user space must agree on. No types, no functions: any
 * C or C++ source may include it.
 */
#ifndef ACTIONDFS_KERNEL_UAPI_ACTIONDFS_H_
#define ACTIONDFS_KERNEL_UAPI_ACTIONDFS_H_

/* statfs(2) f_type: "ADFS". */
#define ACTIONDFS_MAGIC	  0x41444653
#define ACTIONDFS_FS_TYPE "actiondfs"

/* Mount options, for fsconfig(2) and mount(8) alike. */
#define ACTIONDFS_OPT_ROOT	"root"	    /* 64 lowercase hex digits */
#define ACTIONDFS_OPT_ROOT_SIZE "root_size" /* bytes, decimal */
#define ACTIONDFS_OPT_CAS	"cas"	    /* path or fd */
#define ACTIONDFS_OPT_STAGE	"stage"	    /* path or fd; absent: read-only */
#define ACTIONDFS_OPT_LAYOUT	"layout"    /* sharded, flat, sharded-suffix, hash-size */
#define ACTIONDFS_OPT_UID	"uid"
#define ACTIONDFS_OPT_GID	"gid"
#define ACTIONDFS_OPT_INODES	"inodes" /* path, content */
#define ACTIONDFS_OPT_VERIFY	"verify" /* dirs, none */

/* Extended attributes of input files. */
#define ACTIONDFS_XATTR_SHA256 "user.actiondfs.sha256" /* 32 raw bytes */
#define ACTIONDFS_XATTR_DIGEST "user.actiondfs.digest" /* text, hash/size */

/* One `name value` line for each of actiondfs_stats.h. */
#define ACTIONDFS_PROC_STATS "actiondfs_stats"

/* Limits of a Directory, bytes. */
#define ACTIONDFS_DIRECTORY_SIZE_MAX (64 << 20)
#define ACTIONDFS_NAME_MAX	     255
#define ACTIONDFS_TARGET_MAX	     4095

#define ACTIONDFS_HASH_SIZE 32

#endif /* ACTIONDFS_KERNEL_UAPI_ACTIONDFS_H_ */
