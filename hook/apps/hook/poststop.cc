// SPDX-License-Identifier: Apache-2.0
#include <cerrno>
#include <utility>

#include "hook/apps/common/config_file.h"
#include "hook/apps/common/finish.h"
#include "hook/apps/hook/stages.h"
#include "hook/base/text.h"
#include "hook/mount/state_dir.h"
#include "hook/oci/state.h"

namespace actiondfs::hook {

Status Poststop(const std::string& config_path, std::string_view state_json) {
  ASSIGN_OR_RETURN(const auto parsed, oci::ParseStateUnlessForeign(state_json));
  if (!parsed) {
    return {};
  }
  const oci::ContainerState& container = *parsed;
  // Only where the state is: everything else is in the lease. A configuration that was broken since
  // prestart must not keep the workspace from being ended.
  const auto config = apps::LoadConfig(config_path);
  const auto root = mount::StateRoot::Open(config ? config->state_root : plan::kDefaultStateRoot);
  if (!root) {
    return root.error().code() == ENOENT ? Status() : std::unexpected(root.error());
  }
  auto state = root->Lock(container.id, /*wait=*/true);
  if (!state) {
    // A container without a workspace, or one that was ended before: stages are idempotent.
    return state.error().code() == ENOENT ? Status() : std::unexpected(std::move(state).error());
  }
  // Another runtime, or another namespace of containerd's, may have a live container of this id.
  // What this stage would have ended, if it was that one, gc ends when it is dead.
  if (const auto lease = state->ReadLease(); lease) {
    const auto live = apps::IsLive(*lease);
    if (!live) {
      return Wrap(live.error(), "container " + Quoted(container.id) + ": whether it lives");
    }
    if (*live) {
      return MakeError(EBUSY, "container " + Quoted(container.id) +
                                  ": the workspace of this id belongs to a live container");
    }
  }
  if (auto status = apps::FinishWorkspace(*state, apps::kStopped); !status) {
    return Wrap(std::move(status).error(), "container " + Quoted(container.id));
  }
  return {};
}

}  // namespace actiondfs::hook
