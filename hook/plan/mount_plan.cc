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

// Empty where the backend works here; else why it does not, and what would help.
std::string WhyNot(Backend backend, const HostProbe& host, const Config& config) {
  switch (backend) {
    case Backend::kKernel:
      return host.kernel_backend ? ""
                                 : "the kernel module actiondfs is not loaded, or this build "
                                   "cannot use it: load it with "
                                   "`modprobe actiondfs`, or use backend fuse";
    case Backend::kFuse:
      if (host.fuse_server) {
        return "";
      }
      return host.fuse_hint.empty()
                 ? "the FUSE server does not answer at " + Quoted(config.serve_socket) +
                       ": start it with `systemctl start actiondfs-serve.socket` or "
                       "`actiondfs serve`"
                 : host.fuse_hint;
    case Backend::kHardlink:
      return host.hardlink_backend ? "" : "this build does not have the hardlink backend";
    case Backend::kAuto:
      break;
  }
  return "not a backend";
}

Result<Backend> FirstThatWorks(const HostProbe& host, const Config& config,
                               std::string_view source) {
  std::string reasons;
  for (const Backend backend : {Backend::kKernel, Backend::kFuse, Backend::kHardlink}) {
    if (!IsAllowed(config, backend)) {
      continue;
    }
    const std::string reason = WhyNot(backend, host, config);
    if (reason.empty()) {
      return backend;
    }
    reasons += fmt::format("{}{}: {}", reasons.empty() ? "" : "; ", oci::ToString(backend), reason);
  }
  return MakeError(EOPNOTSUPP,
                   fmt::format("{}: no backend works on this host ({})", source, reasons));
}

Result<Backend> PlanBackend(const oci::Annotations& annotations, const Config& config,
                            const HostProbe& host) {
  const Choice<Backend> backend =
      annotations.backend
          ? Choice<Backend>{*annotations.backend, "annotation dev.actiondfs.backend"}
          : Choice<Backend>{config.defaults.backend, "configuration defaults.backend"};
  if (backend.value == Backend::kAuto) {
    return FirstThatWorks(host, config, backend.source);
  }
  const std::string_view name = oci::ToString(backend.value);
  if (!IsAllowed(config, backend.value)) {
    return MakeError(EINVAL, fmt::format("{}: '{}' is not allowed on this host, expected one of {}",
                                         backend.source, name, AllowedBackends(config)));
  }
  if (const std::string reason = WhyNot(backend.value, host, config); !reason.empty()) {
    return MakeError(EOPNOTSUPP, fmt::format("{}: '{}': {}", backend.source, name, reason));
  }
  return backend.value;
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
  ASSIGN_OR_RETURN(plan.backend, PlanBackend(annotations, config, host));
  if (request.needs_id_maps) {
    return MakeError(EINVAL, "user namespace: its id maps have to be read before the plan is made");
  }
  plan.owner_uid = request.host_uid;
  plan.owner_gid = request.host_gid;
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
