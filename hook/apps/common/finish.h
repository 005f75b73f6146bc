// SPDX-License-Identifier: Apache-2.0
//
// The end of a workspace, the same for the poststop hook and for `actiondfs gc`: statistics, run
// record, unmount, stage and lease removed. Works from the lease alone. Single-threaded.
#ifndef ACTIONDFS_HOOK_APPS_COMMON_FINISH_H_
#define ACTIONDFS_HOOK_APPS_COMMON_FINISH_H_

#include <chrono>
#include <cstddef>
#include <limits>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "hook/base/result.h"
#include "hook/mount/state_dir.h"

namespace actiondfs::apps {

// RunRecord.exit
inline constexpr std::string_view kStopped = "stopped";
inline constexpr std::string_view kReaped = "reaped";

// Ends the workspace of `state`, whose lock the caller has. Everything is tried, whatever fails on
// the way; the first error is returned. What could not be undone keeps its lease, so that a later
// gc finds it.
Status FinishWorkspace(mount::StateDir& state, std::string_view exit);

// Undoes a workspace that never came to be: no record is written.
Status AbandonWorkspace(mount::StateDir& state, const mount::Lease& lease);

struct ReapResult {
  std::vector<std::string> reaped;  // ids
  std::vector<std::string> errors;  // one line each
};

struct ReapLimits {
  static constexpr size_t kNone = std::numeric_limits<size_t>::max();
  // So many leases are looked at, beginning at a place that moves on with every call.
  size_t leases = kNone;
  // A workspace with more names in its stage is left for another time.
  size_t stage_entries = kNone;
  // After that much time no other one is begun.
  std::chrono::milliseconds time = std::chrono::milliseconds::max();
  // So long has it to be known that a container is dead: its poststop may be on its way, and would
  // find nothing to do.
  std::chrono::seconds patience{0};
};

// Ends workspaces whose container is gone; a live one, or one that is being made, is not touched.
ReapResult ReapDead(const mount::StateRoot& root, const ReapLimits& limits);

// Removes stage directories below `stage_root` that no workspace of `root`, no mount
// (`mounted`: ids) and no keep_stage owns: what a reboot, which empties the state directory,
// has left.
ReapResult ReapOrphanedStages(const mount::StateRoot& root, const std::string& stage_root,
                              const std::set<std::string>& mounted);

// Whether the container that the lease speaks of is there still. EXDEV: process numbers here are
// not those of its host; other errors: it cannot be told. Then it may live, and is not to be
// touched.
Result<bool> IsLive(const mount::Lease& lease);

}  // namespace actiondfs::apps

#endif  // ACTIONDFS_HOOK_APPS_COMMON_FINISH_H_
