// SPDX-License-Identifier: Apache-2.0
//
// actiondfs ps: the workspaces of this host, from their leases, and other mounts of ours.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "hook/apps/cli/command.h"
#include "hook/apps/cli/host_state.h"
#include "hook/apps/common/finish.h"
#include "hook/apps/common/step_timer.h"
#include "hook/base/text.h"

namespace actiondfs::cli {
namespace {

struct Options {
  std::string config;
  bool json = false;
};

struct Row {
  std::string id, state, mode, backend, root, destination;
  int64_t seconds = 0;  // since it was made; 0: not known
  pid_t pid = 0;
};

// "made": prestart is at work, or was killed; "dead": its container is gone, and gc would end it;
// "hidden": whether its container lives cannot be told from here.
std::string StateOf(const mount::Lease& lease) {
  const auto live = apps::IsLive(lease);
  if (!live) {
    return "hidden";
  }
  if (!*live) {
    return "dead";
  }
  return lease.attached ? "live" : "made";
}

Result<std::vector<Row>> Collect(const plan::Config& config, std::vector<std::string>& errors) {
  ASSIGN_OR_RETURN(const auto root, OpenState(config));
  const int64_t now = apps::UnixMilliseconds() / 1000;
  std::map<std::string, Row> rows;
  for (const mount::Lease& lease : root ? ReadLeases(*root, errors) : std::vector<mount::Lease>()) {
    const int64_t started = lease.started_unix_ms / 1000;
    rows[lease.container_id] = {lease.container_id,
                                StateOf(lease),
                                lease.mode,
                                lease.backend,
                                lease.input_root,
                                lease.destination,
                                started > 0 ? now - started : 0,
                                lease.init.pid};
  }
  ASSIGN_OR_RETURN(const auto mounts, ListMounts(config));
  for (const auto& [backend, tree] : mounts) {
    if (!rows.contains(tree.id)) {
      rows[tree.id] = {tree.id,
                       "mount",
                       tree.strict ? "strict" : "readonly",
                       std::string(oci::ToString(backend)),
                       tree.root,
                       "",
                       tree.since_unix_seconds > 0 ? now - tree.since_unix_seconds : 0,
                       0};
    }
  }
  std::vector<Row> list;
  list.reserve(rows.size());
  for (auto& [id, row] : rows) {
    list.push_back(std::move(row));
  }
  return list;
}

void PrintJson(const std::vector<Row>& rows) {
  nlohmann::json list = nlohmann::json::array();
  for (const Row& row : rows) {
    list.push_back({{"id", row.id},
                    {"state", row.state},
                    {"mode", row.mode},
                    {"backend", row.backend},
                    {"input_root", row.root},
                    {"destination", row.destination},
                    {"age_seconds", row.seconds},
                    {"pid", row.pid}});
  }
  fmt::print("{}\n", list.dump(1, ' ', false, nlohmann::json::error_handler_t::replace));
}

void PrintTable(const std::vector<Row>& rows) {
  fmt::print("{:<24} {:<6} {:<9} {:<8} {:>8} {:>8}  {:<16} {}\n", "ID", "STATE", "MODE", "BACKEND",
             "AGE", "PID", "ROOT", "DESTINATION");
  for (const Row& row : rows) {
    const std::string age = row.seconds > 0 ? fmt::format("{}s", row.seconds) : "-";
    fmt::print("{:<24} {:<6} {:<9} {:<8} {:>8} {:>8}  {:<16} {}\n", Printable(row.id), row.state,
               row.mode, row.backend, age, row.pid, row.root.substr(0, 16),
               Printable(row.destination));
  }
}

Result<int> Run(const Options& options) {
  ASSIGN_OR_RETURN(const plan::Config config, LoadConfigOrDefaults(options.config));
  std::vector<std::string> errors;
  ASSIGN_OR_RETURN(const std::vector<Row> rows, Collect(config, errors));
  options.json ? PrintJson(rows) : PrintTable(rows);
  for (const std::string& error : errors) {
    fmt::print(stderr, "actiondfs: ps: {}\n", error);
  }
  return errors.empty() ? kSuccess : kFailure;
}

}  // namespace

void RegisterPs(CLI::App& app, Outcome& outcome) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("ps", "List the workspaces of this host");
  AddConfigOption(*command, options->config);
  command->add_flag("--json", options->json, "As a JSON array");
  command->callback([options, &outcome] {
    const auto code = Run(*options);
    outcome.code = code ? *code : Report(std::unexpected(code.error()));
  });
}

}  // namespace actiondfs::cli
