// SPDX-License-Identifier: Apache-2.0
//
// The mount system calls that actiondfs uses, as Results. A mount is built detached and attached by
// descriptor: no path is looked up twice. Functions only use their arguments; those that change the
// calling thread's namespaces are in namespace.h.
#ifndef ACTIONDFS_HOOK_MOUNT_MOUNT_API_H_
#define ACTIONDFS_HOOK_MOUNT_MOUNT_API_H_

#include <cstdint>
#include <string>

#include "hook/base/result.h"
#include "hook/base/unique_fd.h"

namespace actiondfs::mount {

// A mount that is attached nowhere yet (fsmount(2), open_tree(2) with OPEN_TREE_CLONE). It goes
// when this object does, unless AttachMount put it somewhere.
class DetachedMount {
 public:
  DetachedMount() = default;
  explicit DetachedMount(UniqueFd fd) : fd_(std::move(fd)) {}
  int fd() const { return fd_.get(); }
  bool valid() const { return fd_.valid(); }

 private:
  UniqueFd fd_;
};

// Of the value of a mount option: fs/fsopen.c, FSCONFIG_SET_STRING.
inline constexpr size_t kMaxMountOption = 255;

// A file system that is being configured (fsopen(2)). What the kernel has to say goes into the
// errors.
class FsContext {
 public:
  static Result<FsContext> Open(const char* type);
  // ENAMETOOLONG: over what fsconfig(2) takes, kMaxMountOption bytes.
  Status SetString(const char* key, const std::string& value) const;
  Status SetFlag(const char* key) const;
  Status SetFd(const char* key, int fd) const;
  // `attributes` are MOUNT_ATTR_* flags.
  Result<DetachedMount> Create(unsigned attributes) const;

 private:
  FsContext(UniqueFd fd, const char* type) : fd_(std::move(fd)), type_(type) {}
  std::unexpected<Error> KernelError(const std::string& what) const;

  UniqueFd fd_;
  const char* type_;
};

// Attaches at the directory (or file) that `target_fd` is open on.
Status AttachMount(const DetachedMount& mount, int target_fd);
// A detached copy of the one mount (not of those below it) that `dirfd` is in the root of.
Result<DetachedMount> CloneMount(int dirfd);
// Has the mount show ids as the user namespace of `user_namespace_fd` maps them: what is owned by
// its 0 in the file system is owned by its root there. EINVAL: the file system cannot, or the mount
// is attached already.
Status MapIds(const DetachedMount& mount, int user_namespace_fd);
// Makes the mount at `fd` private: nothing that happens on it is seen elsewhere, nor the reverse.
Status MakePrivate(int fd);
// Whether `fd` is open on the root of a mount (STATX_ATTR_MOUNT_ROOT, Linux >= 5.8).
Result<bool> IsMountRoot(int fd);
// Ends every mount stacked at `path`: detached lazily, and FUSE's connection cut. EINVAL (nothing
// is mounted there) and ENOENT are success.
Status DetachAll(const std::string& path);

}  // namespace actiondfs::mount

#endif  // ACTIONDFS_HOOK_MOUNT_MOUNT_API_H_
