// SPDX-License-Identifier: Apache-2.0
//
// The FUSE server's other end (proto/actiondfs/serve.proto): asks it for mounts and statistics. One
// request, one reply, one connection each; every wait is bounded. Thread-safe.
#ifndef ACTIONDFS_HOOK_MOUNT_FUSE_CLIENT_H_
#define ACTIONDFS_HOOK_MOUNT_FUSE_CLIENT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "hook/base/result.h"
#include "hook/cas/blob_store.h"
#include "hook/cas/digest.h"
#include "hook/mount/mount_api.h"

namespace actiondfs::mount {

struct FuseMountOptions {
  std::string id;        // unique among the server's mounts
  std::string cas_name;  // for messages
  cas::Digest root;
  uint32_t uid = 0, gid = 0;  // host ids
  bool inodes_by_content = false;
  bool no_passthrough = false;
  bool many_roots = false, list_roots = false;
  std::string selinux_context;
};

struct FuseStats {
  std::vector<std::pair<std::string, uint64_t>> counters;
  int stage_error = 0;  // errno, 0 for none
};

struct FuseMountInfo {
  std::string id, root, cas_name;
  bool strict = false, passthrough = false;
  int64_t since_unix_seconds = 0;
};

class FuseClient {
 public:
  explicit FuseClient(std::string socket_path) : socket_path_(std::move(socket_path)) {}

  // Whether a server listens. ENOENT, ECONNREFUSED: none runs; the message says how to start one.
  Status Probe() const;
  // `stage_fd` < 0: read-only. Errors are the server's: EEXIST for an id in use, EIO and EUCLEAN
  // for the root.
  Result<DetachedMount> Mount(const FuseMountOptions& options, const cas::BlobStore& store,
                              int stage_fd) const;
  // ENOENT: the server has no such mount.
  Result<FuseStats> Stats(const std::string& id) const;
  Result<std::vector<FuseMountInfo>> List() const;

 private:
  std::string socket_path_;
};

}  // namespace actiondfs::mount

#endif  // ACTIONDFS_HOOK_MOUNT_FUSE_CLIENT_H_
