// SPDX-License-Identifier: Apache-2.0
//
// The decision: from what the container asks, what the operator allows and what the host has, to
// what is to be mounted where. Pure: no system call, the same input gives the same plan; `actiondfs
// plan` prints it.
#ifndef ACTIONDFS_HOOK_PLAN_MOUNT_PLAN_H_
#define ACTIONDFS_HOOK_PLAN_MOUNT_PLAN_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "hook/base/result.h"
#include "hook/cas/digest.h"
#include "hook/oci/workspace_request.h"
#include "hook/plan/config.h"

namespace actiondfs::plan {

// What this host can do, as far as a plan depends on it (found by mount::ProbeHost).
struct HostProbe {
  std::set<oci::Backend> working;
  std::map<oci::Backend, std::string> hints;  // of those that were tried: why not, what would help
};

// What the CAS says of an Action, where the request names one.
struct ActionFacts {
  cas::Digest input_root;
  std::optional<bool> mutates_inputs;  // platform property of the Action, else of its Command
  std::string working_directory;       // relative to the input root; may be empty
};

struct MountPlan {
  std::string container_id;
  cas::Digest input_root;
  std::optional<cas::Digest> action;
  std::string cas_name;
  CasConfig cas;
  oci::Mode mode = oci::Mode::kStrict;
  oci::Backend backend = oci::Backend::kFuse;  // never kAuto
  std::string destination;                     // inside the container
  std::string working_directory;               // of the Action, below the destination; may be empty
  // Of everything in the tree: host ids; with map_ids those inside the container, and the mount is
  // to map them by the container's user namespace.
  uint32_t owner_uid = 0, owner_gid = 0;
  bool map_ids = false;
  std::string stage_dir;  // <stage_root>/<container id>; empty for readonly
  std::string state_dir;  // <state_root>/<container id>
};

// Names the CAS of a request: needed before the Action can be read. EINVAL: not configured (the
// message lists the names that are).
Result<std::string> ChooseCas(const oci::WorkspaceRequest& request, const Config& config);

// The backends that a plan may choose, the best first: what is worth probing. One that is asked for
// by name stands alone.
std::vector<oci::Backend> CandidateBackends(const oci::WorkspaceRequest& request,
                                            const Config& config);

// EINVAL: contradictions, what is not allowed; EOPNOTSUPP: a backend that this build or host lacks.
// `action` is set iff the request has an Action digest.
Result<MountPlan> MakePlan(const oci::WorkspaceRequest& request,
                           const std::optional<ActionFacts>& action, const Config& config,
                           const HostProbe& host);

}  // namespace actiondfs::plan

#endif  // ACTIONDFS_HOOK_PLAN_MOUNT_PLAN_H_
