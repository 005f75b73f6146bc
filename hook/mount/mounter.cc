// SPDX-License-Identifier: Apache-2.0
#include "hook/mount/mounter.h"

#include <cerrno>

namespace actiondfs::mount {

Result<DetachedMount> FuseMounter::MountTree(const plan::MountPlan& plan,
                                             const cas::BlobStore& store, int stage_fd,
                                             const std::string& selinux_context) {
  FuseMountOptions options;
  options.id = plan.container_id;
  options.cas_name = plan.cas_name;
  options.root = plan.input_root;
  options.uid = plan.owner_uid;
  options.gid = plan.owner_gid;
  options.selinux_context = selinux_context;
  return client_.Mount(options, store, stage_fd);
}

Result<std::unique_ptr<Mounter>> MakeMounter(oci::Backend backend,
                                             const std::string& serve_socket) {
  if (backend != oci::Backend::kFuse) {
    return MakeError(EOPNOTSUPP, "this build does not have the " +
                                     std::string(oci::ToString(backend)) + " backend");
  }
  return std::make_unique<FuseMounter>(serve_socket);
}

}  // namespace actiondfs::mount
