// SPDX-License-Identifier: Apache-2.0
#include <cerrno>
#include <chrono>
#include <optional>
#include <utility>

#include "hook/apps/common/cas_facts.h"
#include "hook/apps/common/config_file.h"
#include "hook/apps/common/finish.h"
#include "hook/apps/common/step_timer.h"
#include "hook/apps/hook/log.h"
#include "hook/apps/hook/stages.h"
#include "hook/base/files.h"
#include "hook/base/text.h"
#include "hook/cas/blob_store.h"
#include "hook/mount/container.h"
#include "hook/mount/host_probe.h"
#include "hook/mount/mounter.h"
#include "hook/mount/state_dir.h"
#include "hook/mount/workspace.h"
#include "hook/oci/bundle.h"
#include "hook/oci/state.h"
#include "hook/plan/config.h"
#include "hook/plan/mount_plan.h"
#include "hook/sandbox/process.h"

namespace actiondfs::hook {
namespace {

constexpr size_t kMaxBundleConfig = size_t{16} << 20;
// Each prestart looks at some leases of other containers, so that a host without a gc timer stays
// clean too. What takes long is for gc: it is not this container that shall wait for it.
constexpr apps::ReapLimits kReapLimits = {.leases = 4,
                                          .stage_entries = 256,
                                          .time = std::chrono::seconds(1),
                                          .patience = std::chrono::seconds(60)};

// Everything that is known before anything is changed.
struct Decision {
  oci::WorkspaceRequest request;
  plan::Config config;
  plan::MountPlan plan;
  cas::BlobStore store;
  mount::Container container;
};

Result<oci::WorkspaceRequest> ReadRequest(const oci::ContainerState& state) {
  ASSIGN_OR_RETURN(const std::string text,
                   ReadFileAt(AT_FDCWD, state.bundle + "/config.json", kMaxBundleConfig));
  auto spec = oci::ParseBundleConfig(text);
  if (!spec) {
    return Wrap(std::move(spec).error(), Quoted(state.bundle + "/config.json"));
  }
  return oci::MakeRequest(state, *spec);
}

Status MapOwner(const mount::Container& container, oci::WorkspaceRequest& request) {
  if (!request.needs_id_maps) {
    return {};
  }
  ASSIGN_OR_RETURN(const std::string uid_text, container.ReadIdMap("uid_map"));
  ASSIGN_OR_RETURN(const std::string gid_text, container.ReadIdMap("gid_map"));
  ASSIGN_OR_RETURN(const auto uid_map, oci::ParseIdMap(uid_text));
  ASSIGN_OR_RETURN(const auto gid_map, oci::ParseIdMap(gid_text));
  return oci::ApplyIdMaps(request, uid_map, gid_map);
}

Result<Decision> Decide(const std::string& config_path, const oci::ContainerState& state) {
  ASSIGN_OR_RETURN(oci::WorkspaceRequest request, ReadRequest(state));
  ASSIGN_OR_RETURN(plan::Config config, apps::LoadConfig(config_path));
  ASSIGN_OR_RETURN(const std::string cas_name, plan::ChooseCas(request, config));
  const plan::CasConfig& cas_config = config.cas.at(cas_name);
  auto store = cas::BlobStore::Open(cas_config.path, cas_config.layout);
  if (!store) {
    return Wrap(std::move(store).error(), "CAS " + Quoted(cas_name));
  }
  ASSIGN_OR_RETURN(mount::Container container, mount::Container::Open(request.pid));
  RETURN_IF_ERROR(MapOwner(container, request));
  std::optional<plan::ActionFacts> action;
  if (request.annotations.action) {
    ASSIGN_OR_RETURN(action, apps::ReadActionFacts(*store, *request.annotations.action));
  }
  const plan::HostProbe host =
      mount::ProbeHost(config.serve_socket, plan::CandidateBackends(request, config));
  ASSIGN_OR_RETURN(plan::MountPlan plan, plan::MakePlan(request, action, config, host));
  // A bad digest fails here, before anything was done.
  if (auto checked = apps::CheckInputRoot(*store, plan); !checked) {
    return Wrap(std::move(checked).error(), "CAS " + Quoted(cas_name));
  }
  return Decision{std::move(request), std::move(config), std::move(plan), std::move(*store),
                  std::move(container)};
}

mount::Lease MakeLease(const Decision& decision, std::string boot_id, uint64_t pid_namespace) {
  const plan::MountPlan& plan = decision.plan;
  mount::Lease lease;
  lease.container_id = plan.container_id;
  lease.boot_id = std::move(boot_id);
  lease.init = decision.container.init();
  lease.pid_namespace = pid_namespace;
  lease.mount_namespace = decision.container.mount_namespace_inode();
  lease.input_root = plan.input_root.ToString();
  lease.action = plan.action ? plan.action->ToString() : "";
  lease.cas = plan.cas_name;
  lease.mode = oci::ToString(plan.mode);
  lease.backend = oci::ToString(plan.backend);
  lease.destination = plan.destination;
  lease.stage_dir = plan.stage_dir;
  lease.serve_socket = decision.config.serve_socket;
  lease.keep_stage = decision.config.keep_stage;
  lease.records_path = decision.config.records.path;
  lease.prometheus_textfile = decision.config.records.prometheus_textfile;
  return lease;
}

// The attached tree, held open.
Result<UniqueFd> Make(const Decision& decision, const mount::StateDir& state,
                      apps::StepTimer& timer) {
  const plan::MountPlan& plan = decision.plan;
  const oci::WorkspaceRequest& request = decision.request;
  ASSIGN_OR_RETURN(const auto mounter,
                   mount::MakeMounter(plan.backend, decision.config.serve_socket));
  RETURN_IF_ERROR(mount::MakeStage(plan));
  timer.Done("prestart.stage");
  RETURN_IF_ERROR(mount::BuildWorkspace(plan, decision.store, *mounter, decision.container,
                                        request.mount_label, state));
  timer.Done("prestart.mount");
  OpenLog();
  ASSIGN_OR_RETURN(UniqueFd tree, mount::OpenTree(plan, state));
  RETURN_IF_ERROR(mount::AttachWorkspace(state, decision.container, request.rootfs,
                                         plan.destination, !request.rootfs_readonly));
  timer.Done("prestart.attach");
  return tree;
}

// The container is there to be talked to from now on: nothing is left to the hook but to say that
// it is done, and to ask the tree for an answer, as late as can be: a container must not start on
// one whose server died while all this went on. It cannot undo anything either. The lease says that
// the workspace did not come to be, so that poststop or gc takes away what there is of it.
Status Seal(const mount::StateDir& state, mount::Lease& lease, int tree,
            const apps::StepTimer& timer) {
  RETURN_IF_ERROR(sandbox::Confine(sandbox::Profile::kAttached));
  lease.attached = true;
  lease.started_unix_ms = apps::UnixMilliseconds();
  lease.steps = timer.steps();
  RETURN_IF_ERROR(state.WriteLease(lease));
  auto answers = mount::CheckAnswers(tree);
  if (!answers) {
    lease.attached = false;
    (void)state.WriteLease(lease);  // the answer that did not come is what there is to tell
  }
  return answers;
}

// The locked, empty state directory of this container; nullopt where it has its workspace already.
Result<std::optional<mount::StateDir>> ClaimState(const Decision& decision,
                                                  const mount::StateRoot& root,
                                                  const std::string& boot_id) {
  for (;;) {
    ASSIGN_OR_RETURN(mount::StateDir state, root.Create(decision.plan.container_id));
    const auto old = state.ReadLease();
    if (!old && old.error().code() == ENOENT) {
      return state;
    }
    const bool same_container =
        old && old->boot_id == boot_id && old->init == decision.container.init();
    if (same_container && old->attached) {
      return std::nullopt;  // the hook is registered twice
    }
    if (old && !same_container) {
      ASSIGN_OR_RETURN(const bool live, apps::IsLive(*old));
      if (live) {
        return MakeError(EEXIST, "a live container of this id has a workspace already");
      }
    }
    // Left by an earlier container of this id, or by a hook that was killed.
    auto finished = apps::FinishWorkspace(state, apps::kReaped);
    if (finished) {
      continue;
    }
    const auto left = root.Peek(decision.plan.container_id);
    if (left || left.error().code() != ENOENT) {
      return std::unexpected(std::move(finished).error());
    }
    // It is gone all the same: only its record could not be written.
    Log("container " + Quoted(decision.plan.container_id) +
        ", an earlier one of this id: " + finished.error().ToString());
  }
}

Status GiveWorkspace(const Decision& decision, apps::StepTimer& timer) {
  ASSIGN_OR_RETURN(const mount::StateRoot root,
                   mount::StateRoot::Prepare(decision.config.state_root));
  // What it could not reap is for `actiondfs gc` to tell; this container's start does not hang on
  // it.
  (void)apps::ReapDead(root, kReapLimits);
  ASSIGN_OR_RETURN(std::string boot_id, mount::BootId());
  ASSIGN_OR_RETURN(auto state, ClaimState(decision, root, boot_id));
  if (!state) {
    return {};
  }
  ASSIGN_OR_RETURN(const uint64_t pid_namespace, mount::PidNamespace());
  mount::Lease lease = MakeLease(decision, std::move(boot_id), pid_namespace);
  if (auto written = state->WriteLease(lease); !written) {
    (void)state->Remove();  // there is nothing but the directory
    return written;
  }
  timer.Done("prestart.lease");
  auto tree = Make(decision, *state, timer);
  if (!tree) {
    if (auto undone = apps::AbandonWorkspace(*state, lease); !undone) {
      return Wrap(std::move(tree).error(),
                  "(not all could be undone: " + undone.error().ToString() + ")");
    }
    return std::unexpected(std::move(tree).error());
  }
  return Seal(*state, lease, tree->get(), timer);
}

}  // namespace

Status Prestart(const std::string& config_path, std::string_view state_json) {
  apps::StepTimer timer;
  ASSIGN_OR_RETURN(const auto parsed, oci::ParseStateUnlessForeign(state_json));
  if (!parsed || !oci::HasActiondfsAnnotation(*parsed)) {
    return {};
  }
  const oci::ContainerState& state = *parsed;
  auto decision = Decide(config_path, state);
  if (!decision) {
    return Wrap(std::move(decision).error(), "container " + Quoted(state.id));
  }
  timer.Done("prestart.plan");
  if (auto status = GiveWorkspace(*decision, timer); !status) {
    return Wrap(std::move(status).error(), "container " + Quoted(state.id));
  }
  return {};
}

}  // namespace actiondfs::hook
