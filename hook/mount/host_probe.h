// SPDX-License-Identifier: Apache-2.0
//
// Finds out what this host can do, for plan::MakePlan. Thread-safe.
#ifndef ACTIONDFS_HOOK_MOUNT_HOST_PROBE_H_
#define ACTIONDFS_HOOK_MOUNT_HOST_PROBE_H_

#include <string>
#include <vector>

#include "hook/plan/mount_plan.h"

namespace actiondfs::mount {

// Tries the candidates in turn up to the first that works (plan::CandidateBackends has them).
plan::HostProbe ProbeHost(const std::string& serve_socket,
                          const std::vector<oci::Backend>& candidates);

}  // namespace actiondfs::mount

#endif  // ACTIONDFS_HOOK_MOUNT_HOST_PROBE_H_
