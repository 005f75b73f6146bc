// SPDX-License-Identifier: Apache-2.0
//
// A backend: makes a detached mount of an input tree, and says afterwards what happened on it. The
// interface has one implementation in this build (FuseMounter); tests have fakes. Thread-safe.
#ifndef ACTIONDFS_HOOK_MOUNT_MOUNTER_H_
#define ACTIONDFS_HOOK_MOUNT_MOUNTER_H_

#include <memory>
#include <string>

#include "hook/base/result.h"
#include "hook/cas/blob_store.h"
#include "hook/mount/fuse_client.h"
#include "hook/mount/mount_api.h"
#include "hook/plan/mount_plan.h"

namespace actiondfs::mount {

class Mounter {
 public:
  virtual ~Mounter() = default;

  // The tree of plan.input_root. `stage_fd` < 0: read-only (also what stands below an overlay).
  virtual Result<DetachedMount> MountTree(const plan::MountPlan& plan, const cas::BlobStore& store,
                                          int stage_fd, const std::string& selinux_context) = 0;
};

class FuseMounter : public Mounter {
 public:
  explicit FuseMounter(std::string socket_path) : client_(std::move(socket_path)) {}
  Result<DetachedMount> MountTree(const plan::MountPlan& plan, const cas::BlobStore& store,
                                  int stage_fd, const std::string& selinux_context) override;

 private:
  FuseClient client_;
};

// EOPNOTSUPP: a backend that this build does not have.
Result<std::unique_ptr<Mounter>> MakeMounter(oci::Backend backend, const std::string& serve_socket);

}  // namespace actiondfs::mount

#endif  // ACTIONDFS_HOOK_MOUNT_MOUNTER_H_
