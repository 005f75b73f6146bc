// SPDX-License-Identifier: Apache-2.0
#include "hook/fuse/fd_store.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <utility>

#include "hook/base/socket.h"
#include "hook/base/text.h"

namespace actiondfs::fuse {
namespace {

constexpr int kFirstPassedFd = 3;
constexpr int64_t kMostPassedFds = 1 << 20;

std::string_view Environment(const char* name) {
  const char* text = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): no thread yet
  return text != nullptr ? text : "";
}

// How many there are; 0 where they are not for this process.
int CountPassed() {
  const auto pid = ParseDecimal(Environment("LISTEN_PID"));
  const auto count = ParseDecimal(Environment("LISTEN_FDS"));
  const bool ours = pid && *pid == ::getpid() && count && *count <= kMostPassedFds;
  return ours ? static_cast<int>(*count) : 0;
}

}  // namespace

std::vector<PassedFd> TakePassedFds() {
  const int count = CountPassed();
  std::string_view names = Environment("LISTEN_FDNAMES");
  std::vector<PassedFd> passed;
  for (int fd = kFirstPassedFd; fd < kFirstPassedFd + count; ++fd) {
    const std::string_view name = names.substr(0, names.find(':'));
    names.remove_prefix(std::min(names.size(), name.size() + 1));
    // It fails only for what is not open; who uses that is told.
    (void)::fcntl(fd, F_SETFD, FD_CLOEXEC);
    passed.push_back({std::string(name), UniqueFd(fd)});
  }
  for (const char* name : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}) {
    ::unsetenv(name);  // NOLINT(concurrency-mt-unsafe): no thread yet
  }
  return passed;
}

Result<FdStore> FdStore::FromEnvironment() {
  const std::string_view path = Environment("NOTIFY_SOCKET");
  if (path.empty()) {
    return FdStore();
  }
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path) || (path[0] != '/' && path[0] != '@')) {
    return MakeError(EINVAL, "NOTIFY_SOCKET " + Quoted(path) + ": expected a path, or @name");
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  if (path[0] == '@') {
    address.sun_path[0] = '\0';
  }
  UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  if (!socket.valid() ||
      ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0) {
    return ErrnoError("connect to the service manager at " + Quoted(path));
  }
  // A manager that does not listen shall not stop the mounts.
  const timeval patience = {5, 0};
  if (::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) != 0) {
    return ErrnoError("SO_SNDTIMEO");
  }
  return FdStore(std::move(socket));
}

Status FdStore::Store(const std::string& name, const std::vector<int>& fds) const {
  // Not polled by the manager: a mount that ends is ours to remove.
  return SendMessage(socket_.get(), "FDSTORE=1\nFDPOLL=0\nFDNAME=" + name, fds);
}

Status FdStore::Remove(const std::string& name) const {
  return SendMessage(socket_.get(), "FDSTOREREMOVE=1\nFDNAME=" + name, {});
}

Status FdStore::Ready() const {
  return available() ? SendMessage(socket_.get(), "READY=1", {}) : Status();
}

}  // namespace actiondfs::fuse
