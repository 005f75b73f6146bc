// SPDX-License-Identifier: Apache-2.0
//
// Unix SOCK_SEQPACKET sockets: one message a packet, with file descriptors beside it. Each function
// uses only its arguments and may be called from any thread.
#ifndef ACTIONDFS_HOOK_BASE_SOCKET_H_
#define ACTIONDFS_HOOK_BASE_SOCKET_H_

#include <sys/types.h>

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "hook/base/result.h"
#include "hook/base/unique_fd.h"

namespace actiondfs {

// The most descriptors that one message carries here; more is an error on either side.
inline constexpr int kMaxFdsPerMessage = 8;

// A socket that does not block. ENOENT: no such socket; ECONNREFUSED: nobody listens; ETIMEDOUT:
// somebody does, and so many wait that there was no place; EINVAL: the path is too long for
// sockaddr_un.
Result<UniqueFd> ConnectUnix(const std::string& path, std::chrono::milliseconds timeout);
// Binds (replacing a stale socket that nobody answers; EADDRINUSE where somebody does), mode 0600,
// listens.
Result<UniqueFd> ListenUnix(const std::string& path, int backlog);
// The peer's uid, gid, pid, as the kernel attests them.
struct PeerCredentials {
  pid_t pid;
  uid_t uid;
  gid_t gid;
};
Result<PeerCredentials> GetPeerCredentials(int socket);

Status SendMessage(int socket, std::string_view data, const std::vector<int>& fds);
struct Message {
  std::string data;  // empty: the peer closed
  std::vector<UniqueFd> fds;
};
// Waits at most `timeout` (negative: for ever); ETIMEDOUT. A message over `limit` bytes, or with
// more than kMaxFdsPerMessage descriptors: EMSGSIZE.
Result<Message> ReceiveMessage(int socket, size_t limit, std::chrono::milliseconds timeout);
// The same without waiting where the socket does not block (EAGAIN); `flags`: 0 or MSG_PEEK.
Result<Message> ReceiveMessageNow(int socket, size_t limit, int flags);

}  // namespace actiondfs

#endif  // ACTIONDFS_HOOK_BASE_SOCKET_H_
