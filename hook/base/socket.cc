// SPDX-License-Identifier: Apache-2.0
#include "hook/base/socket.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "hook/base/text.h"

namespace actiondfs {
namespace {

Result<sockaddr_un> Address(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path)) {
    return MakeError(EINVAL, "socket path " + Quoted(path) + " is empty or over " +
                                 std::to_string(sizeof(address.sun_path) - 1) + " bytes");
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

Result<UniqueFd> NewSocket(int flags = 0) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | flags, 0));
  if (!fd.valid()) {
    return ErrnoError("socket");
  }
  return fd;
}

const sockaddr* Generic(const sockaddr_un& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

}  // namespace

Result<UniqueFd> ConnectUnix(const std::string& path, std::chrono::milliseconds timeout) {
  ASSIGN_OR_RETURN(const sockaddr_un address, Address(path));
  // Where the listener's queue is full a socket that blocks waits for ever.
  ASSIGN_OR_RETURN(UniqueFd fd, NewSocket(SOCK_NONBLOCK));
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  while (::connect(fd.get(), Generic(address), sizeof(address)) != 0) {
    if (errno != EAGAIN && errno != EINTR) {
      return ErrnoError("connect to " + Quoted(path));
    }
    if (std::chrono::steady_clock::now() >= deadline) {
      return MakeError(ETIMEDOUT, "connect to " + Quoted(path));
    }
    constexpr int kPause = 2;  // milliseconds
    ::poll(nullptr, 0, kPause);
  }
  return fd;
}

Result<UniqueFd> ListenUnix(const std::string& path, int backlog) {
  ASSIGN_OR_RETURN(const sockaddr_un address, Address(path));
  ASSIGN_OR_RETURN(UniqueFd fd, NewSocket());
  // The mode of the inode is set before anyone can connect: bind, chmod, and only then listen.
  int bound = ::bind(fd.get(), Generic(address), sizeof(address));
  if (bound != 0 && errno == EADDRINUSE) {
    if (ConnectUnix(path, std::chrono::seconds(1))) {
      return MakeError(EADDRINUSE,
                       "listen at " + Quoted(path) + ": a server answers there already");
    }
    ::unlink(path.c_str());
    bound = ::bind(fd.get(), Generic(address), sizeof(address));
  }
  if (bound != 0) {
    return ErrnoError("bind " + Quoted(path));
  }
  if (::chmod(path.c_str(), 0600) != 0) {
    return ErrnoError("chmod " + Quoted(path));
  }
  if (::listen(fd.get(), backlog) != 0) {
    return ErrnoError("listen at " + Quoted(path));
  }
  return fd;
}

Result<PeerCredentials> GetPeerCredentials(int socket) {
  ucred credentials = {};
  socklen_t size = sizeof(credentials);
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
    return ErrnoError("SO_PEERCRED");
  }
  return PeerCredentials{credentials.pid, credentials.uid, credentials.gid};
}

Status SendMessage(int socket, std::string_view data, const std::vector<int>& fds) {
  if (fds.size() > kMaxFdsPerMessage) {
    return MakeError(EMSGSIZE, "send: too many descriptors");
  }
  iovec iov = {};
  iov.iov_base = const_cast<char*>(data.data());
  iov.iov_len = data.size();
  msghdr message = {};
  message.msg_iov = &iov;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxFdsPerMessage)] = {};
  if (!fds.empty()) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * fds.size());
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * fds.size());
    std::memcpy(CMSG_DATA(header), fds.data(), sizeof(int) * fds.size());
  }
  ssize_t sent = 0;
  do {
    sent = ::sendmsg(socket, &message, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) {
    return ErrnoError("send");
  }
  return {};
}

Result<Message> ReceiveMessage(int socket, size_t limit, std::chrono::milliseconds timeout) {
  pollfd poll_fd = {socket, POLLIN, 0};
  int ready = 0;
  do {
    ready = ::poll(&poll_fd, 1, timeout.count() < 0 ? -1 : static_cast<int>(timeout.count()));
  } while (ready < 0 && errno == EINTR);
  if (ready < 0) {
    return ErrnoError("poll");
  }
  if (ready == 0) {
    return MakeError(ETIMEDOUT, "receive");
  }
  return ReceiveMessageNow(socket, limit, 0);
}

Result<Message> ReceiveMessageNow(int socket, size_t limit, int flags) {
  Message result;
  result.data.resize(limit);
  iovec iov = {result.data.data(), result.data.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxFdsPerMessage)] = {};
  msghdr message = {};
  message.msg_iov = &iov;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  ssize_t received = 0;
  do {
    received = ::recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);
  } while (received < 0 && errno == EINTR);
  if (received < 0) {
    return ErrnoError("receive");
  }
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) {
      continue;
    }
    const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
      result.fds.emplace_back(fd);
    }
  }
  if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
    return MakeError(EMSGSIZE, "receive: a message over the limit");
  }
  result.data.resize(static_cast<size_t>(received));
  return result;
}

}  // namespace actiondfs
