// SPDX-License-Identifier: Apache-2.0
//
// actiondfs plan: what the hook would do for the container whose state is on stdin, without doing
// it.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "hook/apps/cli/command.h"
#include "hook/apps/cli/host_state.h"
#include "hook/apps/common/cas_facts.h"
#include "hook/apps/common/config_file.h"
#include "hook/base/files.h"
#include "hook/base/text.h"
#include "hook/cas/blob_store.h"
#include "hook/mount/host_probe.h"
#include "hook/oci/bundle.h"
#include "hook/oci/state.h"
#include "hook/plan/mount_plan.h"

namespace actiondfs::cli {
namespace {

constexpr size_t kMaxInput = size_t{16} << 20;
constexpr size_t kMaxIdMap = size_t{64} << 10;

struct Options {
  std::string config;
  bool json = false;
};

Result<std::vector<oci::IdMapping>> ReadIdMap(pid_t pid, const char* file) {
  const std::string path = fmt::format("/proc/{}/{}", pid, file);
  ASSIGN_OR_RETURN(const std::string text, ReadFileAt(AT_FDCWD, path, kMaxIdMap));
  return oci::ParseIdMap(text);
}

Result<oci::WorkspaceRequest> ReadRequest(const oci::ContainerState& state) {
  ASSIGN_OR_RETURN(const std::string text,
                   ReadFileAt(AT_FDCWD, state.bundle + "/config.json", kMaxInput));
  ASSIGN_OR_RETURN(const oci::BundleSpec spec, oci::ParseBundleConfig(text));
  ASSIGN_OR_RETURN(oci::WorkspaceRequest request, oci::MakeRequest(state, spec));
  if (request.needs_id_maps) {
    ASSIGN_OR_RETURN(const auto uids, ReadIdMap(request.pid, "uid_map"));
    ASSIGN_OR_RETURN(const auto gids, ReadIdMap(request.pid, "gid_map"));
    RETURN_IF_ERROR(oci::ApplyIdMaps(request, uids, gids));
  }
  return request;
}

Result<plan::MountPlan> MakePlan(const oci::ContainerState& state, const plan::Config& config) {
  ASSIGN_OR_RETURN(const oci::WorkspaceRequest request, ReadRequest(state));
  ASSIGN_OR_RETURN(const std::string name, plan::ChooseCas(request, config));
  const plan::CasConfig& cas = config.cas.at(name);
  auto store = cas::BlobStore::Open(cas.path, cas.layout);
  if (!store) {
    return Wrap(std::move(store).error(), "CAS " + Quoted(name));
  }
  std::optional<plan::ActionFacts> action;
  if (request.annotations.action) {
    ASSIGN_OR_RETURN(action, apps::ReadActionFacts(*store, *request.annotations.action));
  }
  const plan::HostProbe host =
      mount::ProbeHost(config.serve_socket, plan::CandidateBackends(request, config));
  ASSIGN_OR_RETURN(plan::MountPlan plan, plan::MakePlan(request, action, config, host));
  RETURN_IF_ERROR(apps::CheckInputRoot(*store, plan));
  return plan;
}

nlohmann::ordered_json ToJson(const plan::MountPlan& plan) {
  return {{"container_id", plan.container_id},
          {"input_root", plan.input_root.ToString()},
          {"action", plan.action ? plan.action->ToString() : ""},
          {"cas", plan.cas_name},
          {"cas_path", plan.cas.path},
          {"layout", plan.cas.layout ? cas::ToString(*plan.cas.layout) : "auto"},
          {"mode", oci::ToString(plan.mode)},
          {"backend", oci::ToString(plan.backend)},
          {"destination", plan.destination},
          {"working_directory", plan.working_directory},
          {"owner_uid", plan.owner_uid},
          {"owner_gid", plan.owner_gid},
          {"map_ids", plan.map_ids},
          {"stage_dir", plan.stage_dir},
          {"state_dir", plan.state_dir}};
}

void PrintText(const nlohmann::ordered_json& plan) {
  for (const auto& [key, value] : plan.items()) {
    const std::string text = value.is_string() ? value.get<std::string>() : value.dump();
    fmt::print("{:<18} {}\n", key, text.empty() ? "-" : Printable(text, 4096));
  }
}

Status Run(const Options& options) {
  ASSIGN_OR_RETURN(const std::string input, ReadAll(STDIN_FILENO, kMaxInput));
  ASSIGN_OR_RETURN(const oci::ContainerState state, oci::ParseState(input));
  if (!oci::HasActiondfsAnnotation(state)) {
    options.json ? fmt::print("null\n")
                 : fmt::print("no dev.actiondfs. annotation: the hook does nothing\n");
    return {};
  }
  ASSIGN_OR_RETURN(const plan::Config config, apps::LoadConfig(options.config));
  ASSIGN_OR_RETURN(const plan::MountPlan plan, MakePlan(state, config));
  const nlohmann::ordered_json json = ToJson(plan);
  if (options.json) {
    fmt::print("{}\n", json.dump(1, ' ', false, nlohmann::json::error_handler_t::replace));
  } else {
    PrintText(json);
  }
  return {};
}

}  // namespace

void RegisterPlan(CLI::App& app, Outcome& outcome) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(
      "plan", "Show what the hook would mount for the OCI state on stdin, without doing it");
  AddConfigOption(*command, options->config);
  command->add_flag("--json", options->json, "As a JSON object");
  command->callback([options, &outcome] { outcome.code = Report(Run(*options)); });
}

}  // namespace actiondfs::cli
