// SPDX-License-Identifier: Apache-2.0
//
// Stock overlayfs above a read-only tree, for actions that change their inputs (mode overlay).
// Thread-safe.
#ifndef ACTIONDFS_HOOK_MOUNT_OVERLAY_H_
#define ACTIONDFS_HOOK_MOUNT_OVERLAY_H_

#include <cstdint>
#include <string>

#include "hook/base/result.h"
#include "hook/mount/mount_api.h"

namespace actiondfs::mount {

// Names below a stage directory.
inline constexpr char kUpper[] = "upper";
inline constexpr char kWork[] = "work";

struct OverlayOptions {
  std::string lower;          // path of the attached read-only tree
  std::string stage_dir;      // upper/ and work/ are made in it
  uint32_t uid = 0, gid = 0;  // host ids of the workspace's top directory
  std::string selinux_context;
};

// EROFS: overlayfs found the stage unfit and would have mounted read-only.
Result<DetachedMount> MakeOverlay(const OverlayOptions& options);

}  // namespace actiondfs::mount

#endif  // ACTIONDFS_HOOK_MOUNT_OVERLAY_H_
