// SPDX-License-Identifier: Apache-2.0
//
// actiondfs gc: ends workspaces whose container is gone, and removes stages that nobody owns.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <set>

#include "hook/apps/cli/command.h"
#include "hook/apps/cli/host_state.h"
#include "hook/apps/common/finish.h"
#include "hook/base/text.h"
#include "hook/sandbox/process.h"

namespace actiondfs::cli {
namespace {

struct Options {
  std::string config;
  bool quiet = false;
};

// True where nothing went wrong.
bool Show(const apps::ReapResult& result, const char* what, const Options& options) {
  if (!options.quiet) {
    for (const std::string& name : result.reaped) {
      fmt::print("{} {}\n", what, Printable(name));
    }
  }
  for (const std::string& error : result.errors) {
    fmt::print(stderr, "actiondfs: gc: {}\n", error);
  }
  return result.errors.empty();
}

Result<int> Run(const Options& options) {
  ASSIGN_OR_RETURN(const plan::Config config, LoadConfigOrDefaults(options.config));
  // Prepared, not only opened: after a reboot the state directory is gone, and the stages are still
  // there.
  ASSIGN_OR_RETURN(const mount::StateRoot root, mount::StateRoot::Prepare(config.state_root));
  RETURN_IF_ERROR(sandbox::Confine(sandbox::Profile::kGc));
  bool ok = Show(apps::ReapDead(root, {}), "workspace", options);
  if (!config.stage_root.empty()) {
    ASSIGN_OR_RETURN(const auto mounts, ListMounts(config));
    ASSIGN_OR_RETURN(auto mounted, StagesInUse(config.stage_root));
    for (const LiveMount& live : mounts) {
      mounted.insert(live.tree.id);
    }
    ok &= Show(apps::ReapOrphanedStages(root, config.stage_root, mounted), "stage", options);
  }
  return ok ? kSuccess : kFailure;
}

}  // namespace

void RegisterGc(CLI::App& app, Outcome& outcome) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(
      "gc", "End workspaces whose container is gone; remove stages that nobody owns");
  AddConfigOption(*command, options->config);
  command->add_flag("-q,--quiet", options->quiet, "Do not name what was removed");
  command->callback([options, &outcome] {
    const auto code = Run(*options);
    outcome.code = code ? *code : Report(std::unexpected(code.error()));
  });
}

}  // namespace actiondfs::cli
