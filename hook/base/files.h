// SPDX-License-Identifier: Apache-2.0
//
// Thin wrappers around the *at() system calls: Result instead of -1, O_CLOEXEC always, EINTR
// retried, and the path (made printable) in the error. All functions are thread-safe. dirfd may be
// AT_FDCWD.
#ifndef ACTIONDFS_HOOK_BASE_FILES_H_
#define ACTIONDFS_HOOK_BASE_FILES_H_

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "hook/base/result.h"
#include "hook/base/unique_fd.h"

namespace actiondfs {

// openat(2) with O_CLOEXEC.
Result<UniqueFd> OpenAt(int dirfd, const std::string& path, int flags, mode_t mode = 0);
// openat2(2) with O_CLOEXEC; `resolve` are RESOLVE_* flags of <linux/openat2.h>.
Result<UniqueFd> OpenAt2(int dirfd, const std::string& path, int flags, uint64_t resolve,
                         mode_t mode = 0);
// mkdirat(2); an existing directory (not a symlink to one) is success where `exist_ok`.
Status MkdirAt(int dirfd, const std::string& path, mode_t mode, bool exist_ok = false);
// As mkdir -p: every missing component gets `mode`.
Status MakeDirectories(const std::string& path, mode_t mode);
Result<struct stat> StatFd(int fd);
// fstatat(2); by default the last component is not followed.
Result<struct stat> StatAt(int dirfd, const std::string& path, int flags = AT_SYMLINK_NOFOLLOW);
Result<std::string> ReadLinkAt(int dirfd, const std::string& path);
Status UnlinkAt(int dirfd, const std::string& path, int flags = 0);

// Reads to the end of file. More than `limit` bytes: EFBIG, and nothing is returned.
Result<std::string> ReadAll(int fd, size_t limit);
Result<std::string> ReadFileAt(int dirfd, const std::string& path, size_t limit);
// Writes all of it, or fails.
Status WriteAll(int fd, std::string_view data);
// Replaces dirfd/name with `data` so that a reader, or a crash, sees the old file or the new one,
// never a part: temporary name, fsync, rename, fsync of the directory (where `durable`).
Status WriteFileAtomically(int dirfd, const std::string& name, std::string_view data, mode_t mode,
                           bool durable);
// What RemoveTree calls directories that it moved up, at the top of the tree, followed by a number:
// where it was killed, they are found there.
inline constexpr char kMovedUp[] = ".remove.";
// rm -rf of dirfd/name: never follows symlinks and never crosses to another file system. A name
// that does not exist is success.
Status RemoveTree(int dirfd, const std::string& name);

}  // namespace actiondfs

#endif  // ACTIONDFS_HOOK_BASE_FILES_H_
