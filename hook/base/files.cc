// SPDX-License-Identifier: Apache-2.0
#include "hook/base/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <memory>
#include <utility>
#include <vector>

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

struct CloseDir {
  void operator()(DIR* dir) const {
    const int saved = errno;
    ::closedir(dir);
    errno = saved;
  }
};

Status RemoveContents(UniqueFd dir, dev_t device, int depth);

Status RemoveEntry(int dirfd, const std::string& name, dev_t device, int depth) {
  if (::unlinkat(dirfd, name.c_str(), 0) == 0 || errno == ENOENT) {
    return {};
  }
  if (errno != EISDIR && errno != EPERM) {
    return ErrnoError("remove " + Quoted(name));
  }
  auto sub = OpenAt(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!sub) {
    return std::unexpected(std::move(sub).error());
  }
  ASSIGN_OR_RETURN(const struct stat st, StatFd(sub->get()));
  if (st.st_dev != device) {
    return MakeError(EXDEV, "remove " + Quoted(name) + ": another file system is mounted there");
  }
  RETURN_IF_ERROR(RemoveContents(std::move(*sub), device, depth + 1));
  if (::unlinkat(dirfd, name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) {
    return ErrnoError("remove directory " + Quoted(name));
  }
  return {};
}

Status RemoveContents(UniqueFd dir, dev_t device, int depth) {
  // Each level holds one descriptor; what a container nested deeper than this is left, and said.
  constexpr int kMaxDepth = 2000;
  if (depth > kMaxDepth) {
    return MakeError(ELOOP, "remove: nested more than 2000 directories deep");
  }
  const std::unique_ptr<DIR, CloseDir> stream(::fdopendir(dir.get()));
  if (!stream) {
    return ErrnoError("read directory");
  }
  const int fd = dir.Release();  // the stream owns it now
  // Names are gathered first: deleting under a running readdir may skip entries on some file
  // systems.
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry =
             ::readdir(stream.get())) {  // NOLINT(concurrency-mt-unsafe): own stream
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") {
      names.emplace_back(name);
    }
  }
  if (errno != 0) {
    return ErrnoError("read directory");
  }
  for (const std::string& name : names) {
    RETURN_IF_ERROR(RemoveEntry(fd, name, device, depth));
  }
  return {};
}

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
  if (::fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size >= 0) {
    if (static_cast<uint64_t>(st.st_size) > limit) {
      return MakeError(EFBIG, "read: over " + std::to_string(limit) + " bytes");
    }
    chunk = static_cast<size_t>(st.st_size) + 1;  // one read() and one that finds the end
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
  return RemoveEntry(dirfd, name, st.st_dev, 0);
}

}  // namespace actiondfs
