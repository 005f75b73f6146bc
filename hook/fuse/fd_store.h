// SPDX-License-Identifier: Apache-2.0
//
// The service manager's side of surviving: systemd keeps descriptors for a service and passes them
// to its next process (sd_notify(3), FDSTORE=1; sd_listen_fds(3)). The protocol is spoken here, no
// library is needed. Not thread-safe.
#ifndef ACTIONDFS_HOOK_FUSE_FD_STORE_H_
#define ACTIONDFS_HOOK_FUSE_FD_STORE_H_

#include <cstddef>
#include <string>
#include <vector>

#include "hook/base/result.h"
#include "hook/base/unique_fd.h"

namespace actiondfs::fuse {

struct PassedFd {
  std::string name;
  UniqueFd fd;
};

// What this process was started with, and close-on-exec from now on: stored descriptors and
// sockets that were listened on for it. The environment says so no more afterwards. Empty where
// there is nothing, or it is for another process.
std::vector<PassedFd> TakePassedFds();

class FdStore {
 public:
  // FileDescriptorStoreMax= of our unit: how many a manager keeps. Not more, for it gives all their
  // names to the next process in one string, and Linux starts none with one of 128 KiB: some 15
  // bytes each.
  static constexpr size_t kMost = 8192;

  FdStore() = default;  // keeps nothing
  // At NOTIFY_SOCKET; where that is not set, one that keeps nothing.
  static Result<FdStore> FromEnvironment();

  bool available() const { return socket_.valid(); }
  // All of them under one name, or none. It is in the manager's queue when this returns, so it
  // outlives this process. At most kMaxFdsPerMessage.
  Status Store(const std::string& name, const std::vector<int>& fds) const;
  // What is stored under the name is let go.
  Status Remove(const std::string& name) const;
  // This service has started.
  Status Ready() const;

 private:
  explicit FdStore(UniqueFd socket) : socket_(std::move(socket)) {}
  UniqueFd socket_;
};

}  // namespace actiondfs::fuse

#endif  // ACTIONDFS_HOOK_FUSE_FD_STORE_H_
