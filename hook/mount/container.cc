// SPDX-License-Identifier: Apache-2.0
#include "hook/mount/container.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <utility>
#include <vector>

#include "hook/base/files.h"
#include "hook/base/text.h"

namespace actiondfs::mount {
namespace {

std::string ProcPath(pid_t pid, const char* file) {
  return "/proc/" + std::to_string(pid) + "/" + file;
}

Result<uint64_t> NamespaceInode(const std::string& path) {
  ASSIGN_OR_RETURN(const struct stat st, StatAt(AT_FDCWD, path, 0));
  return st.st_ino;
}

}  // namespace

Result<std::optional<ProcessIdentity>> FindProcess(pid_t pid) {
  const auto stat = ReadFileAt(AT_FDCWD, ProcPath(pid, "stat"), 4096);
  if (!stat) {
    const int code = stat.error().code();
    if (code != ENOENT && code != ESRCH) {
      return std::unexpected(stat.error());
    }
    // Hidden processes are hidden from /proc only.
    if (::kill(pid, 0) != 0 && errno == ESRCH) {
      return std::nullopt;
    }
    return MakeError(EACCES, "process " + std::to_string(pid) + ": /proc shows nothing of it");
  }
  // "pid (comm) state ppid ...": comm may hold anything, so fields are counted from its last
  // parenthesis.
  const size_t comm_end = stat->rfind(')');
  if (comm_end == std::string::npos || comm_end + 2 >= stat->size()) {
    return MakeError(EPROTO, ProcPath(pid, "stat"));
  }
  const std::vector<std::string> fields = Split(std::string_view(*stat).substr(comm_end + 2), ' ');
  constexpr size_t kState = 0;       // field 3 of proc(5)
  constexpr size_t kThreads = 17;    // field 20
  constexpr size_t kStartTime = 19;  // field 22
  const auto start = fields.size() > kStartTime ? ParseDecimal(fields[kStartTime]) : std::nullopt;
  if (!start) {
    return MakeError(EPROTO, ProcPath(pid, "stat"));
  }
  if (fields[kState] == "X") {
    return std::nullopt;
  }
  // A zombie with threads is a live process whose first thread has ended.
  if (fields[kState] == "Z" && ParseDecimal(fields[kThreads]).value_or(0) <= 1) {
    return std::nullopt;
  }
  return ProcessIdentity{pid, static_cast<uint64_t>(*start)};
}

Result<bool> IsAlive(const ProcessIdentity& identity) {
  if (identity.pid <= 0) {
    return false;
  }
  ASSIGN_OR_RETURN(const auto found, FindProcess(identity.pid));
  return found == identity;
}

Result<uint64_t> PidNamespace() {
  return NamespaceInode("/proc/self/ns/pid");
}

Result<std::string> BootId() {
  ASSIGN_OR_RETURN(std::string id, ReadFileAt(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 128));
  while (id.ends_with('\n')) {
    id.pop_back();
  }
  return id;
}

Result<Container> Container::Open(pid_t pid) {
  const std::string who = "container's init, pid " + std::to_string(pid);
  Container container;
  // glibc 2.36 declares pidfd_open() without C linkage.
  container.pidfd_ = UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!container.pidfd_.valid()) {
    return ErrnoError(who);
  }
  const auto init = FindProcess(pid);
  auto its = NamespaceInode(ProcPath(pid, "ns/mnt"));
  // The pidfd still being alive proves that what was read of /proc was this process'.
  pollfd poll_fd = {container.pidfd_.get(), POLLIN, 0};
  if (!its && its.error().code() == EACCES) {
    return Wrap(its.error(), who);
  }
  if (!init && init.error().code() == EACCES) {
    return Wrap(init.error(), who);
  }
  if (!init || !*init || !its || ::poll(&poll_fd, 1, 0) != 0) {
    return MakeError(ESRCH, who);
  }
  ASSIGN_OR_RETURN(const uint64_t own, NamespaceInode("/proc/self/ns/mnt"));
  if (own == *its) {
    return MakeError(EINVAL,
                     who +
                         ": has no mount namespace of its own; the workspace would be mounted on "
                         "the host");
  }
  container.init_ = **init;
  container.mount_namespace_inode_ = *its;
  return container;
}

Result<UniqueFd> Container::OpenUserNamespace() const {
  auto fd = OpenAt(AT_FDCWD, ProcPath(init_.pid, "ns/user"), O_RDONLY);
  // Opened or not: what is in /proc is another process' if this one has ended.
  pollfd poll_fd = {pidfd_.get(), POLLIN, 0};
  if (::poll(&poll_fd, 1, 0) != 0) {
    return MakeError(ESRCH, "container's init, pid " + std::to_string(init_.pid));
  }
  return fd;
}

Result<std::string> Container::ReadIdMap(const char* file) const {
  return ReadFileAt(AT_FDCWD, ProcPath(init_.pid, file), 65536);
}

Status Container::EnterMountNamespace() const {
  if (::setns(pidfd_.get(), CLONE_NEWNS) != 0) {
    return ErrnoError("enter the container's mount namespace");
  }
  return {};
}

Result<NamespaceReturn> NamespaceReturn::Here() {
  ASSIGN_OR_RETURN(UniqueFd fd, OpenAt(AT_FDCWD, "/proc/self/ns/mnt", O_RDONLY));
  return NamespaceReturn(std::move(fd));
}

NamespaceReturn::~NamespaceReturn() {
  if (fd_.valid() && ::setns(fd_.get(), CLONE_NEWNS) != 0) {
    // Nothing that is done from here on could be trusted to be done on the host.
    ::abort();
  }
}

}  // namespace actiondfs::mount
