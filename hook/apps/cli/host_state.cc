// SPDX-License-Identifier: Apache-2.0
#include "hook/apps/cli/host_state.h"

#include <CLI/CLI.hpp>
#include <cerrno>
#include <utility>

#include "hook/apps/common/config_file.h"
#include "hook/base/text.h"

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

Result<std::vector<mount::FuseMountInfo>> ListFuseMounts(const plan::Config& config) {
  auto mounts = mount::FuseClient(config.serve_socket).List();
  if (!mounts && (mounts.error().code() == ENOENT || mounts.error().code() == ECONNREFUSED)) {
    return std::vector<mount::FuseMountInfo>{};
  }
  return mounts;
}

}  // namespace actiondfs::cli
