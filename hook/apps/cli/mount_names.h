// SPDX-License-Identifier: Apache-2.0
//
// What `mount` and `umount` agree on. Thread-safe.
#ifndef ACTIONDFS_HOOK_APPS_CLI_MOUNT_NAMES_H_
#define ACTIONDFS_HOOK_APPS_CLI_MOUNT_NAMES_H_

#include <string>

#include "hook/base/result.h"

namespace actiondfs::cli {

// The read-only tree below an overlay, in the stage directory.
inline constexpr char kLowerName[] = "lower";
inline constexpr char kFuseType[] = "fuse.actiondfs";
inline constexpr char kOverlayType[] = "overlay";
inline constexpr char kSource[] = "actiondfs";

// realpath(3).
Result<std::string> RealPath(const std::string& path);

}  // namespace actiondfs::cli

#endif  // ACTIONDFS_HOOK_APPS_CLI_MOUNT_NAMES_H_
