// SPDX-License-Identifier: Apache-2.0
//
// The backend `kernel`: mounts of the filesystem actiondfs (kernel/), by fsopen(2). The store and
// the stage are given by descriptor; the kernel's own words go into the errors. A mount is known by
// where it is attached, and what /proc says is what the calling process' mount namespace has: pins
// are there on the host. Thread-safe.
#ifndef ACTIONDFS_HOOK_MOUNT_KERNEL_MOUNTER_H_
#define ACTIONDFS_HOOK_MOUNT_KERNEL_MOUNTER_H_

#include <string>
#include <vector>

#include "hook/base/result.h"
#include "hook/mount/mounter.h"

namespace actiondfs::mount {

class KernelMounter : public Mounter {
 public:
  // `proc`: where procfs is; tests have one of their own.
  explicit KernelMounter(std::string proc = "/proc") : proc_(std::move(proc)) {}

  // ENODEV: the module is not loaded. It is not loaded from here: that is the operator's decision.
  Status Probe() const override;
  Result<DetachedMount> MountTree(const TreeRequest& request, const cas::BlobStore& store,
                                  int stage_fd) const override;
  Result<Statistics> ReadStatistics(const std::string& id, const std::string& point) const override;
  Result<std::vector<TreeMount>> List() const override;

 private:
  std::string proc_;
};

}  // namespace actiondfs::mount

#endif  // ACTIONDFS_HOOK_MOUNT_KERNEL_MOUNTER_H_
