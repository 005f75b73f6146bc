// SPDX-License-Identifier: Apache-2.0
#include "hook/fuse/stage.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <memory>
#include <string_view>
#include <utility>

namespace actiondfs::fuse::stage {
namespace {

bool IsItself(At at) {
  return at.name[0] == '\0';
}
// The kernel sends no other names; the stage's bounds do not depend on that.
bool IsName(const char* name) {
  const std::string_view text = name;
  return text != "." && text != ".." && text.find('/') == std::string_view::npos;
}
int NoFollow(At at) {
  return IsItself(at) ? AT_EMPTY_PATH : AT_SYMLINK_NOFOLLOW;
}

// For calls that take no O_PATH descriptor: the kernel's own link to what it is open on.
struct ProcPath {
  explicit ProcPath(int fd) { (void)std::snprintf(text, sizeof(text), "/proc/self/fd/%d", fd); }
  char text[32];
};

Errno<UniqueFd> Beneath(At at, int flags) {
  open_how how = {};
  how.flags = static_cast<uint64_t>(flags | O_CLOEXEC | O_NOFOLLOW);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;
  long fd = -1;
  do {
    fd = ::syscall(SYS_openat2, at.dir, at.name, &how, sizeof(how));
  } while (fd < 0 && (errno == EINTR || errno == EAGAIN));
  if (fd < 0) {
    return FailErrno();
  }
  return UniqueFd(static_cast<int>(fd));
}

Errno<void> Check(int result) {
  if (result != 0) {
    return FailErrno();
  }
  return {};
}

struct CloseDir {
  void operator()(DIR* dir) const { ::closedir(dir); }
};

int MakeBare(At at, const NewEntry& entry) {
  switch (entry.mode & S_IFMT) {
    case S_IFDIR:
      return ::mkdirat(at.dir, at.name, entry.mode & 07777);
    case S_IFLNK:
      return ::symlinkat(entry.target, at.dir, at.name);
    default:
      return ::mknodat(at.dir, at.name, entry.mode, 0);
  }
}

// Owner first: that clears set-id bits, which then come back with the mode.
Errno<void> Dress(At at, int dir, const NewEntry& entry) {
  struct stat parent = {};
  if (::fstatat(dir, "", &parent, AT_EMPTY_PATH) != 0) {
    return FailErrno();
  }
  const bool inherits = (parent.st_mode & S_ISGID) != 0;
  const gid_t gid = inherits ? parent.st_gid : entry.owner.gid;
  if (entry.owner.uid != 0 || gid != 0) {
    if (auto changed = ChangeOwner(at, entry.owner.uid, gid); !changed) {
      return changed;
    }
    if (S_ISREG(entry.mode) && (entry.mode & (S_ISUID | S_ISGID)) != 0) {
      return ChangeMode(at, entry.mode & 07777);
    }
  }
  return {};
}

}  // namespace

Errno<UniqueFd> OpenPath(At at) {
  if (IsItself(at)) {
    UniqueFd copy(::fcntl(at.dir, F_DUPFD_CLOEXEC, 0));
    if (!copy.valid()) {
      return FailErrno();
    }
    return copy;
  }
  if (!IsName(at.name)) {
    return Fail(EINVAL);
  }
  // NO_SYMLINKS would refuse a symlink even as O_PATH; O_NOFOLLOW opens it, and a name is no path.
  UniqueFd fd(::openat(at.dir, at.name, O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!fd.valid()) {
    return FailErrno();
  }
  return fd;
}

Errno<UniqueFd> OpenDirectory(At at) {
  return Beneath(at, O_PATH | O_DIRECTORY);
}

Errno<UniqueFd> Open(At at, int flags) {
  if (!IsItself(at)) {
    return Beneath(at, flags | O_NONBLOCK | O_NOCTTY);
  }
  UniqueFd fd(::open(ProcPath(at.dir).text, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd.valid()) {
    return FailErrno();
  }
  return fd;
}

Errno<struct stat> Status(At at) {
  if (!IsName(at.name)) {
    return Fail(EINVAL);
  }
  struct stat st = {};
  if (::fstatat(at.dir, at.name, &st, NoFollow(at)) != 0) {
    return FailErrno();
  }
  return st;
}

Errno<std::vector<Listed>> List(int dir, const std::function<bool(size_t bytes)>& hold) {
  UniqueFd fd(::openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) {
    return FailErrno();
  }
  const std::unique_ptr<DIR, CloseDir> stream(::fdopendir(fd.get()));
  if (!stream) {
    return FailErrno();
  }
  (void)fd.Release();  // the stream owns it
  std::vector<Listed> names;
  size_t bytes = 0;  // not asked for yet
  errno = 0;
  while (const dirent* entry =
             ::readdir(stream.get())) {  // NOLINT(concurrency-mt-unsafe): own stream
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") {
      names.push_back({std::string(name), entry->d_ino, entry->d_type});
      bytes += names.back().MemoryUse();
      if (bytes >= kListingStep && !hold(std::exchange(bytes, 0))) {
        return Fail(ENOMEM);
      }
      errno = 0;
    }
  }
  if (errno != 0) {
    return FailErrno();
  }
  if (!hold(bytes)) {
    return Fail(ENOMEM);
  }
  return names;
}

Errno<std::string> ReadLink(At at) {
  std::string target(PATH_MAX, '\0');
  const ssize_t size = ::readlinkat(at.dir, at.name, target.data(), target.size());
  if (size < 0) {
    return FailErrno();
  }
  target.resize(static_cast<size_t>(size));
  return target;
}

Errno<struct statvfs> FileSystemStatus(int dir) {
  struct statvfs status = {};
  if (::fstatvfs(dir, &status) != 0) {
    return FailErrno();
  }
  return status;
}

Errno<void> Make(At at, const NewEntry& entry, bool may_be_there) {
  if (!IsName(at.name)) {
    return Fail(EINVAL);
  }
  if (MakeBare(at, entry) != 0 && !(may_be_there && errno == EEXIST)) {
    return FailErrno();
  }
  auto dressed = Dress(at, at.dir, entry);
  if (!dressed) {
    (void)Unlink(at, S_ISDIR(entry.mode));
  }
  return dressed;
}

Errno<UniqueFd> MakeUnnamed(int dir, const NewEntry& entry, bool linkable) {
  const UniqueFd file(::openat(dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC | (linkable ? 0 : O_EXCL),
                               entry.mode & 07777));
  if (!file.valid()) {
    return FailErrno();
  }
  if (auto dressed = Dress({file.get(), ""}, dir, entry); !dressed) {
    return Fail(dressed.error());
  }
  UniqueFd path(::open(ProcPath(file.get()).text, O_PATH | O_CLOEXEC));
  if (!path.valid()) {
    return FailErrno();
  }
  return path;
}

Errno<void> Link(At from, At to) {
  if (!IsName(to.name)) {
    return Fail(EINVAL);
  }
  if (IsItself(from)) {
    return Check(::linkat(AT_FDCWD, ProcPath(from.dir).text, to.dir, to.name, AT_SYMLINK_FOLLOW));
  }
  return Check(::linkat(from.dir, from.name, to.dir, to.name, 0));
}

Errno<void> Unlink(At at, bool directory) {
  if (!IsName(at.name)) {
    return Fail(EINVAL);
  }
  return Check(::unlinkat(at.dir, at.name, directory ? AT_REMOVEDIR : 0));
}

Errno<void> Rename(At from, At to, unsigned flags) {
  if (!IsName(from.name) || !IsName(to.name)) {
    return Fail(EINVAL);
  }
  return Check(::renameat2(from.dir, from.name, to.dir, to.name, flags));
}

Errno<void> ChangeMode(At at, mode_t mode) {
  auto path = OpenPath(at);
  if (!path) {
    return Fail(path.error());
  }
  return Check(::chmod(ProcPath(path->get()).text, mode));
}

Errno<void> ChangeOwner(At at, uid_t uid, gid_t gid) {
  return Check(::fchownat(at.dir, at.name, uid, gid, NoFollow(at)));
}

Errno<void> ChangeTimes(At at, const std::array<timespec, 2>& times) {
  return Check(::utimensat(at.dir, at.name, times.data(), NoFollow(at)));
}

Errno<void> Truncate(At at, off_t size) {
  auto file = Open(at, O_WRONLY);
  if (!file) {
    return Fail(file.error());
  }
  return Check(::ftruncate(file->get(), size));
}

}  // namespace actiondfs::fuse::stage
