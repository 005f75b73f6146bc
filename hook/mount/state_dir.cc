// SPDX-License-Identifier: Apache-2.0
#include "hook/mount/state_dir.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "hook/base/dir_stream.h"
#include "hook/base/files.h"
#include "hook/base/text.h"
#include "hook/mount/mount_api.h"

namespace actiondfs::mount {
namespace {

constexpr int kOpenDir = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
constexpr size_t kMaxLease = size_t{1} << 20;

// A bind mount of the directory on itself, private: what is mounted below spreads nowhere.
Status MountOnItself(const std::string& path) {
  ASSIGN_OR_RETURN(const UniqueFd dir, OpenAt(AT_FDCWD, path, kOpenDir));
  if (::flock(dir.get(), LOCK_EX) != 0) {
    return ErrnoError("lock " + Quoted(path));
  }
  // Somebody else may have done it while we waited: then the path leads to the new mount's root.
  ASSIGN_OR_RETURN(const UniqueFd now, OpenAt(AT_FDCWD, path, kOpenDir));
  ASSIGN_OR_RETURN(const bool mounted, IsMountRoot(now.get()));
  if (mounted) {
    return {};
  }
  ASSIGN_OR_RETURN(const DetachedMount self, CloneMount(dir.get()));
  RETURN_IF_ERROR(MakePrivate(self.fd()));
  return AttachMount(self, dir.get());
}

Result<UniqueFd> LockedDirectory(int root, const std::string& id, bool wait) {
  for (;;) {
    ASSIGN_OR_RETURN(UniqueFd dir, OpenAt(root, id, kOpenDir));
    if (::flock(dir.get(), LOCK_EX | (wait ? 0 : LOCK_NB)) != 0) {
      return ErrnoError("lock workspace " + Quoted(id));
    }
    // Who held the lock before may have removed the directory.
    ASSIGN_OR_RETURN(const struct stat locked, StatFd(dir.get()));
    ASSIGN_OR_RETURN(const struct stat named, StatAt(root, id));
    if (locked.st_ino == named.st_ino && locked.st_dev == named.st_dev) {
      return dir;
    }
  }
}

}  // namespace

Result<UniqueFd> OpenOwnDirectory(const std::string& path) {
  ASSIGN_OR_RETURN(UniqueFd dir, OpenAt(AT_FDCWD, path, kOpenDir));
  ASSIGN_OR_RETURN(const struct stat st, StatFd(dir.get()));
  if (st.st_uid != ::geteuid() || (st.st_mode & 022) != 0) {
    return MakeError(EPERM, Quoted(path) + ": must belong to uid " + std::to_string(::geteuid()) +
                                " and not be writable by others");
  }
  return dir;
}

Result<Lease> StateDir::ReadLease() const {
  ASSIGN_OR_RETURN(const std::string text, ReadFileAt(dir_.get(), kLeaseFile, kMaxLease));
  auto lease = ParseLease(text);
  if (!lease) {
    return Wrap(std::move(lease).error(), Quoted(path_ + "/" + kLeaseFile));
  }
  return lease;
}

Status StateDir::WriteLease(const Lease& lease) const {
  return WriteFileAtomically(dir_.get(), kLeaseFile, ToJson(lease), 0600, /*durable=*/true);
}

Result<std::chrono::seconds> StateDir::SinceFoundDead() const {
  const std::string name = std::string(kLeaseFile) + ".dead";  // goes with the lease's own files
  ASSIGN_OR_RETURN(const UniqueFd fd,
                   OpenAt(dir_.get(), name, O_RDONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0600));
  ASSIGN_OR_RETURN(const struct stat st, StatFd(fd.get()));
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::seconds>(now) -
         std::chrono::seconds(st.st_mtim.tv_sec);
}

Result<UniqueFd> StateDir::MakePin(const char* pin) const {
  RETURN_IF_ERROR(MkdirAt(dir_.get(), pin, 0700, /*exist_ok=*/true));
  return OpenAt(dir_.get(), pin, kOpenDir);
}

Status StateDir::Remove() {
  for (const char* pin : {kPin, kLowerPin}) {
    if (::unlinkat(dir_.get(), pin, AT_REMOVEDIR) != 0 && errno != ENOENT) {
      return ErrnoError("remove " + Quoted(PinPath(pin)));
    }
  }
  // The lease goes last: as long as something is left, gc finds it by the lease. And never a tree:
  // what else is in the directory is not ours.
  RETURN_IF_ERROR(RemoveLeaseFiles());
  return UnlinkAt(root_.get(), name_, AT_REMOVEDIR);
}

// The lease, and what a killed writer of it has left.
Status StateDir::RemoveLeaseFiles() const {
  ASSIGN_OR_RETURN(UniqueFd fd, OpenAt(dir_.get(), ".", kOpenDir));
  ASSIGN_OR_RETURN(DirStream stream, DirStream::Adopt(std::move(fd)));
  for (;;) {
    ASSIGN_OR_RETURN(const std::optional<DirEntry> entry, stream.Next());
    if (!entry) {
      return {};
    }
    if (entry->name.starts_with(kLeaseFile)) {
      RETURN_IF_ERROR(UnlinkAt(dir_.get(), entry->name));
    }
  }
}

Result<StateRoot> StateRoot::Prepare(const std::string& path) {
  RETURN_IF_ERROR(MakeDirectories(path, 0700));
  ASSIGN_OR_RETURN(UniqueFd dir, OpenOwnDirectory(path));
  ASSIGN_OR_RETURN(const bool mounted, IsMountRoot(dir.get()));
  if (!mounted) {
    RETURN_IF_ERROR(MountOnItself(path));
    ASSIGN_OR_RETURN(dir, OpenOwnDirectory(path));
  }
  // Also where the administrator has put a (shared) file system of its own there.
  RETURN_IF_ERROR(MakePrivate(dir.get()));
  return StateRoot(path, std::move(dir));
}

Result<StateRoot> StateRoot::Open(const std::string& path) {
  ASSIGN_OR_RETURN(UniqueFd dir, OpenOwnDirectory(path));
  return StateRoot(path, std::move(dir));
}

Result<StateDir> StateRoot::Create(const std::string& id) const {
  for (;;) {
    RETURN_IF_ERROR(MkdirAt(dir_.get(), id, 0700, /*exist_ok=*/true));
    auto dir = Lock(id, /*wait=*/true);
    // Removed between mkdir and lock by the workspace's previous user: once more.
    if (dir || dir.error().code() != ENOENT) {
      return dir;
    }
  }
}

Result<StateDir> StateRoot::Lock(const std::string& id, bool wait) const {
  ASSIGN_OR_RETURN(UniqueFd dir, LockedDirectory(dir_.get(), id, wait));
  ASSIGN_OR_RETURN(UniqueFd root, OpenAt(dir_.get(), ".", kOpenDir));
  return StateDir(path_ + "/" + id, id, std::move(root), std::move(dir));
}

Result<std::vector<std::string>> StateRoot::List() const {
  ASSIGN_OR_RETURN(UniqueFd fd, OpenAt(dir_.get(), ".", kOpenDir));
  ASSIGN_OR_RETURN(DirStream stream, DirStream::Adopt(std::move(fd)));
  std::vector<std::string> ids;
  for (;;) {
    ASSIGN_OR_RETURN(std::optional<DirEntry> entry, stream.Next());
    if (!entry) {
      break;
    }
    const auto is_directory = [&] {
      const auto st = StatAt(dir_.get(), entry->name);
      return st && S_ISDIR(st->st_mode);
    };
    if (entry->type == DT_DIR || (entry->type == DT_UNKNOWN && is_directory())) {
      ids.push_back(std::move(entry->name));
    }
  }
  std::ranges::sort(ids);
  return ids;
}

Result<Lease> StateRoot::Peek(const std::string& id) const {
  ASSIGN_OR_RETURN(const std::string text,
                   ReadFileAt(dir_.get(), id + "/" + kLeaseFile, kMaxLease));
  return ParseLease(text);
}

}  // namespace actiondfs::mount
