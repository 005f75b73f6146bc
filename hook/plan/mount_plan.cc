// SPDX-License-Identifier: Apache-2.0
#include "hook/plan/mount_plan.h"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <string_view>
#include <utility>

#include "hook/base/text.h"
#include "hook/oci/annotations.h"
#include "hook/plan/allow.h"

namespace actiondfs::plan {
namespace {

using oci::Backend;
using oci::Mode;

constexpr char kDefaultCas[] = "default";

// A choice, and who made it: "annotation dev.actiondfs.mode".
template <typename T>
struct Choice {
  T value;
  std::string_view source;
};

Choice<Mode> ChooseMode(const oci::Annotations& annotations,
                        const std::optional<ActionFacts>& action, const Config& config) {
  constexpr auto kFromFlag = [](bool mutates) { return mutates ? Mode::kOverlay : Mode::kStrict; };
  if (annotations.mode) {
    return {*annotations.mode, "annotation dev.actiondfs.mode"};
  }
  if (annotations.mutates_inputs) {
    return {kFromFlag(*annotations.mutates_inputs), "annotation dev.actiondfs.mutates-inputs"};
  }
  if (action && action->mutates_inputs) {
    return {kFromFlag(*action->mutates_inputs), "the Action's platform property mutates_inputs"};
  }
  return {config.defaults.mode, "configuration defaults.mode"};
}

Result<Mode> PlanMode(const oci::Annotations& annotations, const std::optional<ActionFacts>& action,
                      const Config& config) {
  const Choice<Mode> mode = ChooseMode(annotations, action, config);
  if (!IsAllowed(config, mode.value)) {
    return MakeError(EINVAL,
                     fmt::format("{}: mode '{}' is not allowed on this host, expected one of {}",
                                 mode.source, oci::ToString(mode.value), AllowedModes(config)));
  }
  return mode.value;
}

Choice<Backend> ChooseBackend(const oci::Annotations& annotations, const Config& config) {
  return annotations.backend
             ? Choice<Backend>{*annotations.backend, "annotation dev.actiondfs.backend"}
             : Choice<Backend>{config.defaults.backend, "configuration defaults.backend"};
}

// Of one that does not work here.
std::string WhyNot(Backend backend, const HostProbe& host) {
  const auto hint = host.hints.find(backend);
  return hint == host.hints.end() ? "it does not work here" : hint->second;
}

Result<Backend> PlanBackend(const oci::WorkspaceRequest& request, const Config& config,
                            const HostProbe& host) {
  const Choice<Backend> choice = ChooseBackend(request.annotations, config);
  if (!IsAllowed(config, choice.value)) {
    return MakeError(
        EINVAL, fmt::format("{}: '{}' is not allowed on this host, expected one of {}",
                            choice.source, oci::ToString(choice.value), AllowedBackends(config)));
  }
  std::string reasons;
  for (const Backend backend : CandidateBackends(request, config)) {
    if (host.working.contains(backend)) {
      return backend;
    }
    reasons += fmt::format("{}{}: {}", reasons.empty() ? "" : "; ", oci::ToString(backend),
                           WhyNot(backend, host));
  }
  return MakeError(EOPNOTSUPP, choice.value == Backend::kAuto
                                   ? fmt::format("{}: no backend works on this host ({})",
                                                 choice.source, reasons)
                                   : fmt::format("{}: {}", choice.source, reasons));
}

// The owner of the tree. The kernel backend has its ids mapped by the mount, so that what is staged
// belongs on disk to the container's own ids, whichever range of the host's the container was
// given. Below an overlay that would be of no use: overlayfs cannot map ids, its upper layer has
// the host's.
void PlanOwner(const oci::WorkspaceRequest& request, MountPlan& plan) {
  plan.map_ids =
      request.has_user_namespace && plan.backend == Backend::kKernel && plan.mode != Mode::kOverlay;
  plan.owner_uid = plan.map_ids ? request.uid : request.host_uid;
  plan.owner_gid = plan.map_ids ? request.gid : request.host_gid;
}

Result<std::string> PlanDestination(const oci::Annotations& annotations, const Config& config) {
  const std::string destination = annotations.destination.value_or(config.defaults.destination);
  if (!IsAllowed(config, destination)) {
    return MakeError(
        EINVAL,
        fmt::format("annotation {}: {} is not allowed on this host, expected a path at or below {}",
                    oci::kDestinationKey, Quoted(destination), AllowedDestinations(config)));
  }
  return destination;
}

Result<cas::Digest> PlanInputRoot(const oci::Annotations& annotations,
                                  const std::optional<ActionFacts>& action) {
  if (annotations.action.has_value() != action.has_value()) {
    return MakeError(
        EINVAL,
        fmt::format("annotation {}: the Action has to be read from the CAS before the plan is made",
                    oci::kActionKey));
  }
  if (action) {
    return action->input_root;
  }
  if (!annotations.input_root) {
    return MakeError(EINVAL, fmt::format("annotation {}: missing, expected a digest here or in {}",
                                         oci::kInputRootKey, oci::kActionKey));
  }
  return *annotations.input_root;
}

Status CheckDigestFunction(const oci::Annotations& annotations, const std::string& cas_name,
                           const CasConfig& cas) {
  const auto& [digest, key] = annotations.action
                                  ? std::pair(annotations.action, oci::kActionKey)
                                  : std::pair(annotations.input_root, oci::kInputRootKey);
  if (digest && digest->function != cas.digest_function) {
    return MakeError(
        EINVAL,
        fmt::format("annotation {}: {}:{}: expected a {} digest, which is what the CAS {} holds",
                    key, cas::ToString(digest->function), digest->ToString(),
                    cas::ToString(cas.digest_function), Quoted(cas_name)));
  }
  return {};
}

std::string ConfiguredNames(const Config& config) {
  std::string names;
  for (const auto& [name, cas] : config.cas) {
    names += names.empty() ? "" : ", ";
    names += name;
  }
  return names;
}

}  // namespace

Result<std::string> ChooseCas(const oci::WorkspaceRequest& request, const Config& config) {
  const std::string name = request.annotations.cas.value_or(kDefaultCas);
  if (config.cas.contains(name)) {
    return name;
  }
  return MakeError(
      EINVAL, fmt::format("annotation {}: {}{} is not configured, expected one of: {}",
                          oci::kCasKey, Quoted(name), request.annotations.cas ? "" : " (absent)",
                          ConfiguredNames(config)));
}

std::vector<Backend> CandidateBackends(const oci::WorkspaceRequest& request, const Config& config) {
  const Backend asked = ChooseBackend(request.annotations, config).value;
  if (asked != Backend::kAuto) {
    return {asked};
  }
  std::vector<Backend> candidates;
  for (const Backend backend : {Backend::kKernel, Backend::kFuse, Backend::kHardlink}) {
    if (IsAllowed(config, backend)) {
      candidates.push_back(backend);
    }
  }
  return candidates;
}

Result<MountPlan> MakePlan(const oci::WorkspaceRequest& request,
                           const std::optional<ActionFacts>& action, const Config& config,
                           const HostProbe& host) {
  const oci::Annotations& annotations = request.annotations;
  MountPlan plan;
  plan.container_id = request.container_id;
  ASSIGN_OR_RETURN(plan.cas_name, ChooseCas(request, config));
  plan.cas = config.cas.at(plan.cas_name);
  RETURN_IF_ERROR(CheckDigestFunction(annotations, plan.cas_name, plan.cas));
  ASSIGN_OR_RETURN(plan.input_root, PlanInputRoot(annotations, action));
  plan.action = annotations.action;
  ASSIGN_OR_RETURN(plan.mode, PlanMode(annotations, action, config));
  ASSIGN_OR_RETURN(plan.destination, PlanDestination(annotations, config));
  ASSIGN_OR_RETURN(plan.backend, PlanBackend(request, config, host));
  if (request.needs_id_maps) {
    return MakeError(EINVAL, "user namespace: its id maps have to be read before the plan is made");
  }
  PlanOwner(request, plan);
  if (action) {
    plan.working_directory = action->working_directory;
  }
  if (plan.mode != Mode::kReadonly) {
    plan.stage_dir = config.stage_root + "/" + request.container_id;
  }
  plan.state_dir = config.state_root + "/" + request.container_id;
  return plan;
}

}  // namespace actiondfs::plan
