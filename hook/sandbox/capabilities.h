// SPDX-License-Identifier: Apache-2.0
//
// The capabilities of the calling thread. A process has them per thread, so this is for before
// there is a second one.
#ifndef ACTIONDFS_HOOK_SANDBOX_CAPABILITIES_H_
#define ACTIONDFS_HOOK_SANDBOX_CAPABILITIES_H_

#include <span>
#include <string>
#include <vector>

#include "hook/base/result.h"

namespace actiondfs::sandbox {

// "CAP_SYS_ADMIN"
std::string CapabilityName(int capability);

// Keeps `keep` permitted and effective, and nothing else: inheritable, ambient and bounding set
// become empty, since nothing is ever executed. The bounding set stays as it is where there is no
// CAP_SETPCAP to change it. Returns what of `keep` the thread never had: that is no error, for it
// may not be needed.
Result<std::vector<int>> ReduceCapabilities(std::span<const int> keep);

}  // namespace actiondfs::sandbox

#endif  // ACTIONDFS_HOOK_SANDBOX_CAPABILITIES_H_
