// SPDX-License-Identifier: Apache-2.0
//
// /dev/fuse and the detached mount that it serves; and the private view of a CAS. Needs
// CAP_SYS_ADMIN. Thread-safe.
#ifndef ACTIONDFS_HOOK_FUSE_MOUNT_DEVICE_H_
#define ACTIONDFS_HOOK_FUSE_MOUNT_DEVICE_H_

#include <string>

#include "hook/base/result.h"
#include "hook/base/unique_fd.h"

namespace actiondfs::fuse {

// ENOENT, with what to do about it: no /dev/fuse.
Result<UniqueFd> OpenFuseDevice();

struct DetachedMountOptions {
  bool read_only = true;
  std::string selinux_context;  // empty: none
};
// A mount that is attached nowhere yet; the device then gets its INIT request.
Result<UniqueFd> MakeDetachedMount(int device, const DetachedMountOptions& options);

// `dir` again, below a read-only detached clone of its mount: with passthrough the kernel opens a
// blob as the container's process asked, and nothing above may be all that keeps it from writing.
// Where the kernel does not allow that (another mount namespace), the descriptor itself comes back.
Result<UniqueFd> ReadOnlyView(UniqueFd dir);

}  // namespace actiondfs::fuse

#endif  // ACTIONDFS_HOOK_FUSE_MOUNT_DEVICE_H_
