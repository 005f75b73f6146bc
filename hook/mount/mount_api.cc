// SPDX-License-Identifier: Apache-2.0
#include "hook/mount/mount_api.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "hook/base/text.h"

namespace actiondfs::mount {

Result<FsContext> FsContext::Open(const char* type) {
  UniqueFd fd(::fsopen(type, FSOPEN_CLOEXEC));
  if (!fd.valid()) {
    return ErrnoError(std::string("fsopen ") + type);
  }
  return FsContext(std::move(fd), type);
}

// Reading the context's descriptor gives the kernel's messages, one a read: "e text", "w text", "i
// text".
std::unexpected<Error> FsContext::KernelError(const std::string& what) const {
  const int code = errno;
  std::string text = std::string(type_) + ": " + what;
  char line[512];
  for (ssize_t n = 0; (n = ::read(fd_.get(), line, sizeof(line))) > 0;) {
    std::string_view message(line, static_cast<size_t>(n));
    if (message.starts_with("e ")) {
      message.remove_prefix(2);
      // It begins with the type, which is said already.
      if (const std::string type = std::string(type_) + ": "; message.starts_with(type)) {
        message.remove_prefix(type.size());
      }
      while (message.ends_with('\n')) {
        message.remove_suffix(1);
      }
      text += ": " + Printable(message);
    }
  }
  return MakeError(code, std::move(text));
}

Status FsContext::SetString(const char* key, const std::string& value) const {
  // fsconfig(2) says no more than EINVAL.
  if (value.size() > kMaxMountOption) {
    return MakeError(ENAMETOOLONG, std::string("mount option ") + key + ": " + Quoted(value) +
                                       " has " + std::to_string(value.size()) + " bytes, at most " +
                                       std::to_string(kMaxMountOption) + " are possible");
  }
  if (::fsconfig(fd_.get(), FSCONFIG_SET_STRING, key, value.c_str(), 0) != 0) {
    return KernelError(std::string(key) + "=" + Quoted(value));
  }
  return {};
}

Status FsContext::SetFlag(const char* key) const {
  if (::fsconfig(fd_.get(), FSCONFIG_SET_FLAG, key, nullptr, 0) != 0) {
    return KernelError(key);
  }
  return {};
}

Status FsContext::SetFd(const char* key, int fd) const {
  if (::fsconfig(fd_.get(), FSCONFIG_SET_FD, key, nullptr, fd) != 0) {
    return KernelError(key);
  }
  return {};
}

Result<DetachedMount> FsContext::Create(unsigned attributes) const {
  if (::fsconfig(fd_.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    return KernelError("create");
  }
  UniqueFd mount(::fsmount(fd_.get(), FSMOUNT_CLOEXEC, attributes));
  if (!mount.valid()) {
    return KernelError("fsmount");
  }
  return DetachedMount(std::move(mount));
}

Status AttachMount(const DetachedMount& mount, int target_fd) {
  if (::move_mount(mount.fd(), "", target_fd, "",
                   MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0) {
    return ErrnoError("attach mount");
  }
  return {};
}

Result<DetachedMount> CloneMount(int dirfd) {
  UniqueFd mount(::open_tree(dirfd, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  if (!mount.valid()) {
    return ErrnoError("clone mount");
  }
  return DetachedMount(std::move(mount));
}

Status MapIds(const DetachedMount& mount, int user_namespace_fd) {
  mount_attr attributes = {};
  attributes.attr_set = MOUNT_ATTR_IDMAP;
  attributes.userns_fd = static_cast<uint64_t>(user_namespace_fd);
  if (::mount_setattr(mount.fd(), "", AT_EMPTY_PATH, &attributes, sizeof(attributes)) != 0) {
    return ErrnoError("map the ids of the mount");
  }
  return {};
}

Status MakePrivate(int fd) {
  mount_attr attributes = {};
  attributes.propagation = MS_PRIVATE;
  if (::mount_setattr(fd, "", AT_EMPTY_PATH, &attributes, sizeof(attributes)) != 0) {
    return ErrnoError("make mount private");
  }
  return {};
}

Result<bool> IsMountRoot(int fd) {
  struct statx st = {};
  if (::statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &st) != 0) {
    return ErrnoError("statx");
  }
  if ((st.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) == 0) {
    return MakeError(ENOSYS, "statx: STATX_ATTR_MOUNT_ROOT (Linux 5.8) is missing");
  }
  return (st.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

Status DetachAll(const std::string& path) {
  // Forced, so that FUSE's connection ends even where some other mount namespace has got a copy.
  while (::umount2(path.c_str(), MNT_FORCE | MNT_DETACH | UMOUNT_NOFOLLOW) == 0) {
  }
  if (errno == EINVAL || errno == ENOENT) {
    return {};
  }
  return ErrnoError("unmount " + Quoted(path));
}

}  // namespace actiondfs::mount
