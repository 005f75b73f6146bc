// SPDX-License-Identifier: Apache-2.0
#include "hook/base/files.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <optional>
#include <utility>
#include <vector>

#include "hook/base/dir_stream.h"
#include "hook/base/text.h"

namespace actiondfs {
namespace {

// A few retries: the process is full of signals only in tests, and openat2 says EAGAIN while a
// rename races.
template <typename Call>
auto Retry(Call call, int retryable) {
  auto result = call();
  for (int i = 0; result < 0 && (errno == EINTR || (errno == retryable && i < 64)); ++i) {
    result = call();
  }
  return result;
}

// Neither through a symlink nor into another mount, be it of the same file system.
Result<UniqueFd> OpenDirectory(int dirfd, const std::string& name) {
  auto dir = OpenAt2(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW,
                     RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
  if (!dir && dir.error().code() == EXDEV) {
    return Wrap(std::move(dir).error(), "another mount is in what is to be removed");
  }
  return dir;
}

// rm -rf below one directory. A container may have nested directories as deep, and made as many, as
// it liked: what is deeper than kMaxDepth is renamed up to the top, and removed from there in a
// later round; names are read in batches. What fails is passed over, and the first error told.
class TreeRemover {
 public:
  explicit TreeRemover(int top) : top_(top) {}

  Status Run() {
    do {
      moved_up_ = 0;
      RemoveContents(top_, 0);
    } while (moved_up_ > 0 && first_error_);
    return first_error_;
  }

 private:
  static constexpr int kMaxDepth = 64;
  static constexpr size_t kBatch = 4096;

  void Note(Status status) {
    if (!status && first_error_) {
      first_error_ = std::move(status);
    }
  }

  // True where the name is gone.
  bool RemoveEntry(int dirfd, const std::string& name, int depth) {
    if (::unlinkat(dirfd, name.c_str(), 0) == 0 || errno == ENOENT) {
      return true;
    }
    // EPERM is what others say of a directory than Linux' own file systems.
    auto refused = ErrnoError("remove " + Quoted(name));
    const int code = refused.error().code();
    if (code != EISDIR && code != EPERM) {
      Note(std::move(refused));
      return false;
    }
    if (depth >= kMaxDepth) {
      return MoveUp(dirfd, name);
    }
    auto sub = OpenDirectory(dirfd, name);
    if (!sub) {
      Note(sub.error().code() == ENOTDIR ? std::move(refused)
                                         : std::unexpected(std::move(sub).error()));
      return false;
    }
    RemoveContents(sub->get(), depth + 1);
    if (::unlinkat(dirfd, name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) {
      Note(ErrnoError("remove directory " + Quoted(name)));
      return false;
    }
    return true;
  }

  bool MoveUp(int dirfd, const std::string& name) {
    for (;;) {
      const std::string higher = kMovedUp + std::to_string(counter_++);
      if (::renameat2(dirfd, name.c_str(), top_, higher.c_str(), RENAME_NOREPLACE) == 0) {
        ++moved_up_;
        return true;
      }
      if (errno != EEXIST) {
        Note(ErrnoError("remove directory " + Quoted(name)));
        return false;
      }
    }
  }

  void RemoveContents(int dir, int depth) {
    for (;;) {
      const auto names = SomeNames(dir);
      if (!names) {
        Note(std::unexpected(names.error()));
        return;
      }
      size_t removed = 0;
      for (const std::string& name : *names) {
        removed += RemoveEntry(dir, name, depth) ? 1 : 0;
      }
      if (removed == 0) {
        return;
      }
    }
  }

  // Names are gathered first: deleting under a running readdir skips entries on some file systems.
  static Result<std::vector<std::string>> SomeNames(int dir) {
    ASSIGN_OR_RETURN(UniqueFd fd, OpenAt(dir, ".", O_RDONLY | O_DIRECTORY));
    ASSIGN_OR_RETURN(DirStream stream, DirStream::Adopt(std::move(fd)));
    std::vector<std::string> names;
    while (names.size() < kBatch) {
      ASSIGN_OR_RETURN(std::optional<DirEntry> entry, stream.Next());
      if (!entry) {
        break;
      }
      names.push_back(std::move(entry->name));
    }
    return names;
  }

  const int top_;
  Status first_error_;
  size_t moved_up_ = 0;
  uint64_t counter_ = 0;
};

}  // namespace

Result<UniqueFd> OpenAt(int dirfd, const std::string& path, int flags, mode_t mode) {
  const int fd =
      Retry([&] { return ::openat(dirfd, path.c_str(), flags | O_CLOEXEC, mode); }, EINTR);
  if (fd < 0) {
    return ErrnoError("open " + Quoted(path));
  }
  return UniqueFd(fd);
}

Result<UniqueFd> OpenAt2(int dirfd, const std::string& path, int flags, uint64_t resolve,
                         mode_t mode) {
  open_how how = {};
  how.flags = static_cast<uint64_t>(flags) | O_CLOEXEC;
  how.mode = mode;
  how.resolve = resolve;
  const long fd =
      Retry([&] { return ::syscall(SYS_openat2, dirfd, path.c_str(), &how, sizeof(how)); }, EAGAIN);
  if (fd < 0) {
    return ErrnoError("open " + Quoted(path));
  }
  return UniqueFd(static_cast<int>(fd));
}

Status MkdirAt(int dirfd, const std::string& path, mode_t mode, bool exist_ok) {
  if (::mkdirat(dirfd, path.c_str(), mode) == 0) {
    return {};
  }
  if (errno == EEXIST && exist_ok) {
    ASSIGN_OR_RETURN(const struct stat st, StatAt(dirfd, path));
    if (S_ISDIR(st.st_mode)) {
      return {};
    }
    errno = ENOTDIR;
  }
  return ErrnoError("make directory " + Quoted(path));
}

Status MakeDirectories(const std::string& path, mode_t mode) {
  for (size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    const std::string part = path.substr(0, end);
    struct stat st = {};
    // A parent may well be a symlink to a directory; only what is missing is made.
    if (!part.empty() && (::stat(part.c_str(), &st) != 0 || !S_ISDIR(st.st_mode))) {
      RETURN_IF_ERROR(MkdirAt(AT_FDCWD, part, mode, /*exist_ok=*/true));
    }
    if (end == std::string::npos) {
      return {};
    }
  }
}

Result<struct stat> StatFd(int fd) {
  struct stat st = {};
  if (::fstat(fd, &st) != 0) {
    return ErrnoError("stat");
  }
  return st;
}

Result<struct stat> StatAt(int dirfd, const std::string& path, int flags) {
  struct stat st = {};
  if (::fstatat(dirfd, path.c_str(), &st, flags) != 0) {
    return ErrnoError("stat " + Quoted(path));
  }
  return st;
}

Result<std::string> ReadLinkAt(int dirfd, const std::string& path) {
  std::string target(256, '\0');
  for (;;) {
    const ssize_t n = ::readlinkat(dirfd, path.c_str(), target.data(), target.size());
    if (n < 0) {
      return ErrnoError("read link " + Quoted(path));
    }
    if (static_cast<size_t>(n) < target.size()) {
      target.resize(static_cast<size_t>(n));
      return target;
    }
    target.resize(target.size() * 2);
  }
}

Status UnlinkAt(int dirfd, const std::string& path, int flags) {
  if (::unlinkat(dirfd, path.c_str(), flags) != 0) {
    return ErrnoError("remove " + Quoted(path));
  }
  return {};
}

Result<std::string> ReadAll(int fd, size_t limit) {
  std::string data;
  struct stat st = {};
  size_t chunk = size_t{64} << 10;
  // Files of procfs say 0 whatever is in them.
  if (::fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0) {
    if (static_cast<uint64_t>(st.st_size) > limit) {
      return MakeError(EFBIG, "read: over " + std::to_string(limit) + " bytes");
    }
    // One read() and one that finds the end; what procfs makes up as it is read has size 0.
    chunk = std::max(static_cast<size_t>(st.st_size) + 1, size_t{4} << 10);
  }
  for (;;) {
    const size_t have = data.size();
    data.resize(have + chunk);
    const ssize_t n =
        Retry([&] { return ::read(fd, data.data() + have, data.size() - have); }, EINTR);
    if (n < 0) {
      return ErrnoError("read");
    }
    data.resize(have + static_cast<size_t>(n));
    if (n == 0) {
      return data;
    }
    if (data.size() > limit) {
      return MakeError(EFBIG, "read: over " + std::to_string(limit) + " bytes");
    }
  }
}

Result<std::string> ReadFileAt(int dirfd, const std::string& path, size_t limit) {
  ASSIGN_OR_RETURN(const UniqueFd fd, OpenAt(dirfd, path, O_RDONLY | O_NOCTTY));
  auto data = ReadAll(fd.get(), limit);
  if (!data) {
    return Wrap(std::move(data).error(), Quoted(path));
  }
  return data;
}

Status WriteAll(int fd, std::string_view data) {
  while (!data.empty()) {
    const ssize_t n = Retry([&] { return ::write(fd, data.data(), data.size()); }, EINTR);
    if (n < 0) {
      return ErrnoError("write");
    }
    data.remove_prefix(static_cast<size_t>(n));
  }
  return {};
}

Status WriteFileAtomically(int dirfd, const std::string& name, std::string_view data, mode_t mode,
                           bool durable) {
  static std::atomic<unsigned> counter = 0;
  const std::string temporary =
      name + ".tmp." + std::to_string(::getpid()) + "." + std::to_string(counter++);
  ASSIGN_OR_RETURN(const UniqueFd fd,
                   OpenAt(dirfd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode));
  auto write = [&]() -> Status {
    RETURN_IF_ERROR(WriteAll(fd.get(), data));
    if (durable && ::fsync(fd.get()) != 0) {
      return ErrnoError("fsync");
    }
    if (::renameat(dirfd, temporary.c_str(), dirfd, name.c_str()) != 0) {
      return ErrnoError("rename");
    }
    return {};
  };
  if (auto status = write(); !status) {
    ::unlinkat(dirfd, temporary.c_str(), 0);
    return Wrap(std::move(status).error(), "write " + Quoted(name));
  }
  if (durable && dirfd != AT_FDCWD && ::fsync(dirfd) != 0) {
    return ErrnoError("fsync the directory of " + Quoted(name));
  }
  return {};
}

Status RemoveTree(int dirfd, const std::string& name) {
  struct stat st = {};
  if (::fstatat(dirfd, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) {
      return {};
    }
    return ErrnoError("stat " + Quoted(name));
  }
  if (!S_ISDIR(st.st_mode)) {
    return UnlinkAt(dirfd, name);
  }
  ASSIGN_OR_RETURN(const UniqueFd top, OpenAt(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  RETURN_IF_ERROR(TreeRemover(top.get()).Run());
  return UnlinkAt(dirfd, name, AT_REMOVEDIR);
}

}  // namespace actiondfs
