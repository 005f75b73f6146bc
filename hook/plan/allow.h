// SPDX-License-Identifier: Apache-2.0
//
// The operator's lists of what containers may ask for (Config::allow). Pure functions, thread-safe.
#ifndef ACTIONDFS_HOOK_PLAN_ALLOW_H_
#define ACTIONDFS_HOOK_PLAN_ALLOW_H_

#include <string>
#include <string_view>

#include "hook/plan/config.h"

namespace actiondfs::plan {

bool IsAllowed(const Config& config, oci::Mode mode);
// kAuto always is: it chooses among those that are.
bool IsAllowed(const Config& config, oci::Backend backend);
// A destination that is equal to, or below, one of the list.
bool IsAllowed(const Config& config, const std::string& destination);

// What would be: "strict, readonly". For messages.
std::string AllowedModes(const Config& config);
std::string AllowedBackends(const Config& config);
std::string AllowedDestinations(const Config& config);

}  // namespace actiondfs::plan

#endif  // ACTIONDFS_HOOK_PLAN_ALLOW_H_
