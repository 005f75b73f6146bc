// SPDX-License-Identifier: Apache-2.0
//
// What ps, stats and gc look at: the configuration, the leases and the mounts of this host.
// Single-threaded.
#ifndef ACTIONDFS_HOOK_APPS_CLI_HOST_STATE_H_
#define ACTIONDFS_HOOK_APPS_CLI_HOST_STATE_H_

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "hook/base/result.h"
#include "hook/mount/lease.h"
#include "hook/mount/state_dir.h"
#include "hook/mount/tree_mount.h"
#include "hook/oci/workspace_request.h"
#include "hook/plan/config.h"

namespace CLI {
class App;
}

namespace actiondfs::cli {

// Declares --config on `command`; `path` must outlive its parsing.
void AddConfigOption(CLI::App& command, std::string& path);

// The configuration; what a host without the file has (only defaults) where `path` is the default
// one and missing.
Result<plan::Config> LoadConfigOrDefaults(const std::string& path);

// nullopt: there is no state directory, so no workspace either.
Result<std::optional<mount::StateRoot>> OpenState(const plan::Config& config);

// All leases that can be read, ordered by id; what cannot be read is named in `errors`.
std::vector<mount::Lease> ReadLeases(const mount::StateRoot& root,
                                     std::vector<std::string>& errors);

struct LiveMount {
  oci::Backend backend = oci::Backend::kFuse;
  mount::TreeMount tree;  // its id is the container's where it is a workspace
};

// What every backend has mounted.
Result<std::vector<LiveMount>> ListMounts(const plan::Config& config);
// The names below `stage_root` that a kernel mount or an overlay of this mount namespace writes to,
// whoever made it.
Result<std::set<std::string>> StagesInUse(const std::string& stage_root);
// ENOENT: it ended while we looked.
Result<mount::Statistics> ReadStatistics(const LiveMount& live, const plan::Config& config);

}  // namespace actiondfs::cli

#endif  // ACTIONDFS_HOOK_APPS_CLI_HOST_STATE_H_
