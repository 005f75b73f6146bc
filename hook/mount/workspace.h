// SPDX-License-Identifier: Apache-2.0
//
// One container's workspace: built and pinned on the host, attached in the container, released.
// Each step can be undone by Release and RemoveStage, whatever came of the others; both are
// idempotent. The caller holds the StateDir's lock, and has written the lease before Build.
// Single-threaded.
#ifndef ACTIONDFS_HOOK_MOUNT_WORKSPACE_H_
#define ACTIONDFS_HOOK_MOUNT_WORKSPACE_H_

#include <string>

#include "hook/base/result.h"
#include "hook/base/unique_fd.h"
#include "hook/cas/blob_store.h"
#include "hook/mount/container.h"
#include "hook/mount/mounter.h"
#include "hook/mount/state_dir.h"
#include "hook/plan/mount_plan.h"

namespace actiondfs::mount {

// Below a stage directory in strict mode; overlay.h has the names for overlay mode.
inline constexpr char kStage[] = "stage";
// A file below a stage directory that was kept (keep_stage): gc leaves it alone.
inline constexpr char kKeptMarker[] = "kept";

// Makes an empty stage directory (0700) for the plan. What an earlier container of that id left is
// removed.
Status MakeStage(const plan::MountPlan& plan);

// Mounts the tree, and overlayfs above it where the plan says so, and pins the result in the state
// directory.
Status BuildWorkspace(const plan::MountPlan& plan, const cas::BlobStore& store,
                      const Mounter& mounter, const Container& container,
                      const std::string& selinux_context, const StateDir& state);

// What happened on the lease's tree, whose state directory is `state_path`; the backend says it.
Result<Statistics> ReadStatistics(const Lease& lease, const std::string& state_path);

// Attaches a copy of the pinned mount in the container, at `destination` below `rootfs`. The caller
// is back in its own mount namespace afterwards. Errors of Container and Target.
Status AttachWorkspace(const StateDir& state, const Container& container, const std::string& rootfs,
                       const std::string& destination, bool may_create_target);

// The tree of a workspace that was built, held open for CheckAnswers.
Result<UniqueFd> OpenTree(const plan::MountPlan& plan, const StateDir& state);
// Whether who serves the tree still does. ENOTCONN: the FUSE server has ended since.
Status CheckAnswers(int tree);

// Unmounts the pins.
Status ReleaseWorkspace(const StateDir& state);

// Removes the stage directory, or marks it where it is kept. An empty path is success.
Status RemoveStage(const std::string& stage_dir, bool keep);

}  // namespace actiondfs::mount

#endif  // ACTIONDFS_HOOK_MOUNT_WORKSPACE_H_
