// SPDX-License-Identifier: Apache-2.0
#include "hook/mount/mounter.h"

#include <cerrno>

#include "hook/mount/kernel_mounter.h"

namespace actiondfs::mount {

Result<DetachedMount> FuseMounter::MountTree(const TreeRequest& request,
                                             const cas::BlobStore& store, int stage_fd) const {
  if (!request.verify_directories) {
    return MakeError(EOPNOTSUPP, "verify=none: the FUSE server hashes every Directory");
  }
  return client_.Mount(request, store, stage_fd);
}

Result<Statistics> FuseMounter::ReadStatistics(const std::string& id,
                                               const std::string& /*point*/) const {
  return client_.Stats(id);
}

Result<std::vector<TreeMount>> FuseMounter::List() const {
  auto mounts = client_.List();
  if (!mounts && (mounts.error().code() == ENOENT || mounts.error().code() == ECONNREFUSED)) {
    return std::vector<TreeMount>{};  // no server runs
  }
  return mounts;
}

Result<std::unique_ptr<Mounter>> MakeMounter(oci::Backend backend,
                                             const std::string& serve_socket) {
  switch (backend) {
    case oci::Backend::kKernel:
      return std::make_unique<KernelMounter>();
    case oci::Backend::kFuse:
      return std::make_unique<FuseMounter>(serve_socket);
    case oci::Backend::kHardlink:
    case oci::Backend::kAuto:
      break;
  }
  return MakeError(EOPNOTSUPP, "this build does not have the " +
                                   std::string(oci::ToString(backend)) + " backend");
}

}  // namespace actiondfs::mount
