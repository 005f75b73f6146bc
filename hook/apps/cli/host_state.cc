// SPDX-License-Identifier: Apache-2.0
#include "hook/apps/cli/host_state.h"

#include <CLI/CLI.hpp>
#include <cerrno>
#include <utility>

#include "hook/apps/cli/mount_names.h"
#include "hook/apps/common/config_file.h"
#include "hook/base/text.h"
#include "hook/mount/mount_table.h"
#include "hook/mount/mounter.h"
#include "kernel/uapi/actiondfs.h"

namespace actiondfs::cli {

void AddConfigOption(CLI::App& command, std::string& path) {
  path = plan::kDefaultConfigPath;
  command.add_option("--config", path, "The hook's configuration")->capture_default_str();
}

Result<plan::Config> LoadConfigOrDefaults(const std::string& path) {
  auto config = apps::LoadConfig(path);
  if (!config && config.error().code() == ENOENT && path == plan::kDefaultConfigPath) {
    return plan::Config{};
  }
  return config;
}

Result<std::optional<mount::StateRoot>> OpenState(const plan::Config& config) {
  auto root = mount::StateRoot::Open(config.state_root);
  if (root) {
    return std::move(*root);
  }
  if (root.error().code() == ENOENT) {
    return std::nullopt;
  }
  return Wrap(std::move(root).error(), "state directory");
}

std::vector<mount::Lease> ReadLeases(const mount::StateRoot& root,
                                     std::vector<std::string>& errors) {
  std::vector<mount::Lease> leases;
  const auto ids = root.List();
  if (!ids) {
    errors.push_back(ids.error().ToString());
    return leases;
  }
  for (const std::string& id : *ids) {
    auto lease = root.Peek(id);
    if (lease) {
      leases.push_back(std::move(*lease));
    } else if (lease.error().code() != ENOENT) {  // ENOENT: it ended while we looked
      errors.push_back(Quoted(id) + ": " + lease.error().ToString());
    }
  }
  return leases;
}

Result<std::vector<LiveMount>> ListMounts(const plan::Config& config) {
  const std::string pins = RealPath(config.state_root).value_or(config.state_root) + "/";
  std::vector<LiveMount> mounts;
  for (const oci::Backend backend : mount::kBuiltBackends) {
    ASSIGN_OR_RETURN(const auto mounter, mount::MakeMounter(backend, config.serve_socket));
    ASSIGN_OR_RETURN(std::vector<mount::TreeMount> trees, mounter->List());
    for (mount::TreeMount& tree : trees) {
      if (tree.point.starts_with(pins)) {
        tree.id = Split(tree.point.substr(pins.size()), '/').front();
      }
      mounts.push_back({backend, std::move(tree)});
    }
  }
  return mounts;
}

Result<std::set<std::string>> StagesInUse(const std::string& stage_root) {
  const std::string below = RealPath(stage_root).value_or(stage_root) + "/";
  ASSIGN_OR_RETURN(const auto table, mount::ReadMountTable());
  std::set<std::string> names;
  for (const mount::MountEntry& entry : table) {
    for (const char* option : {ACTIONDFS_OPT_STAGE, "upperdir"}) {
      const std::string_view path = entry.SuperOption(option);
      for (const std::string& top : {below, stage_root + "/"}) {
        if (path.starts_with(top)) {
          names.insert(Split(path.substr(top.size()), '/').front());
        }
      }
    }
  }
  return names;
}

Result<mount::Statistics> ReadStatistics(const LiveMount& live, const plan::Config& config) {
  ASSIGN_OR_RETURN(const auto mounter, mount::MakeMounter(live.backend, config.serve_socket));
  return mounter->ReadStatistics(live.tree.id, live.tree.point);
}

}  // namespace actiondfs::cli
