// SPDX-License-Identifier: Apache-2.0
//
// Finds out what this host can do, for plan::MakePlan.
#ifndef ACTIONDFS_HOOK_MOUNT_HOST_PROBE_H_
#define ACTIONDFS_HOOK_MOUNT_HOST_PROBE_H_

#include <string>

#include "hook/plan/mount_plan.h"

namespace actiondfs::mount {

plan::HostProbe ProbeHost(const std::string& serve_socket);

}  // namespace actiondfs::mount

#endif  // ACTIONDFS_HOOK_MOUNT_HOST_PROBE_H_
