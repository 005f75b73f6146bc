// SPDX-License-Identifier: Apache-2.0
//
// The FUSE server's other end (proto/actiondfs/serve.proto): asks it for mounts and statistics. One
// request, one reply, one connection each; every wait is bounded. Thread-safe.
#ifndef ACTIONDFS_HOOK_MOUNT_FUSE_CLIENT_H_
#define ACTIONDFS_HOOK_MOUNT_FUSE_CLIENT_H_

#include <string>
#include <vector>

#include "hook/base/result.h"
#include "hook/cas/blob_store.h"
#include "hook/mount/mount_api.h"
#include "hook/mount/tree_mount.h"

namespace actiondfs::mount {

class FuseClient {
 public:
  explicit FuseClient(std::string socket_path) : socket_path_(std::move(socket_path)) {}

  // Whether a server listens. ENOENT, ECONNREFUSED: none runs; the message says how to start one.
  Status Probe() const;
  // `stage_fd` < 0: read-only. Errors are the server's: EEXIST for an id in use, EIO and EUCLEAN
  // for the root.
  Result<DetachedMount> Mount(const TreeRequest& tree, const cas::BlobStore& store,
                              int stage_fd) const;
  // ENOENT: the server has no such mount.
  Result<Statistics> Stats(const std::string& id) const;
  Result<std::vector<TreeMount>> List() const;

 private:
  Result<bool> ListMore(std::vector<TreeMount>& mounts) const;

  std::string socket_path_;
};

}  // namespace actiondfs::mount

#endif  // ACTIONDFS_HOOK_MOUNT_FUSE_CLIENT_H_
