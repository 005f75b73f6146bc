// SPDX-License-Identifier: Apache-2.0
//
// A backend: makes a detached mount of an input tree, says which of its mounts live, and what
// happened on them. FuseMounter asks the server; KernelMounter (kernel_mounter.h) the kernel; tests
// have fakes. Thread-safe.
#ifndef ACTIONDFS_HOOK_MOUNT_MOUNTER_H_
#define ACTIONDFS_HOOK_MOUNT_MOUNTER_H_

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "hook/base/result.h"
#include "hook/cas/blob_store.h"
#include "hook/mount/fuse_client.h"
#include "hook/mount/mount_api.h"
#include "hook/mount/tree_mount.h"
#include "hook/oci/workspace_request.h"

namespace actiondfs::mount {

// What MakeMounter makes, the best first.
inline constexpr std::array kBuiltBackends = {oci::Backend::kKernel, oci::Backend::kFuse};

class Mounter {
 public:
  virtual ~Mounter() = default;

  // Whether it works on this host; the error says what would help.
  virtual Status Probe() const = 0;
  // `stage_fd` < 0: read-only (also what stands below an overlay).
  virtual Result<DetachedMount> MountTree(const TreeRequest& request, const cas::BlobStore& store,
                                          int stage_fd) const = 0;
  // Of the mount that was asked for with `id` and is attached at `point`. ENOENT: there is none.
  virtual Result<Statistics> ReadStatistics(const std::string& id,
                                            const std::string& point) const = 0;
  // One entry a mount, however often it is attached. A backend that does not run has none.
  virtual Result<std::vector<TreeMount>> List() const = 0;
};

class FuseMounter : public Mounter {
 public:
  explicit FuseMounter(std::string socket_path) : client_(std::move(socket_path)) {}
  Status Probe() const override { return client_.Probe(); }
  Result<DetachedMount> MountTree(const TreeRequest& request, const cas::BlobStore& store,
                                  int stage_fd) const override;
  Result<Statistics> ReadStatistics(const std::string& id, const std::string& point) const override;
  Result<std::vector<TreeMount>> List() const override;

 private:
  FuseClient client_;
};

// EOPNOTSUPP: a backend that this build does not have.
Result<std::unique_ptr<Mounter>> MakeMounter(oci::Backend backend, const std::string& serve_socket);

}  // namespace actiondfs::mount

#endif  // ACTIONDFS_HOOK_MOUNT_MOUNTER_H_
