// SPDX-License-Identifier: Apache-2.0
//
// What the hook does at each stage of a container's life (design 3.3). Single-threaded: prestart
// changes the process' mount namespace for a moment.
#ifndef ACTIONDFS_HOOK_APPS_HOOK_STAGES_H_
#define ACTIONDFS_HOOK_APPS_HOOK_STAGES_H_

#include <string>
#include <string_view>

#include "hook/base/result.h"

namespace actiondfs::hook {

// For prestart and createRuntime: gives the container its workspace, or fails and leaves nothing
// behind.
Status Prestart(const std::string& config_path, std::string_view state_json);

// Writes the record and takes everything away. Success where there is nothing to do.
Status Poststop(const std::string& config_path, std::string_view state_json);

}  // namespace actiondfs::hook

#endif  // ACTIONDFS_HOOK_APPS_HOOK_STAGES_H_
