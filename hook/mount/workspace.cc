// SPDX-License-Identifier: Apache-2.0
#include "hook/mount/workspace.h"

#include <fcntl.h>
#include <sys/vfs.h>

#include <cerrno>
#include <utility>

#include "hook/base/files.h"
#include "hook/base/text.h"
#include "hook/mount/locked_mount.h"
#include "hook/mount/overlay.h"
#include "hook/mount/target.h"

namespace actiondfs::mount {
namespace {

constexpr int kOpenDir = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;

// "/a/b/c" -> {"/a/b", "c"}
std::pair<std::string, std::string> SplitLast(const std::string& path) {
  const size_t slash = path.rfind('/');
  return {path.substr(0, slash), path.substr(slash + 1)};
}

// Attached pins, not detached mounts, are what overlayfs and open_tree(2) take on kernels
// before 6.15.
Status Pin(const DetachedMount& mount, const StateDir& state, const char* pin) {
  ASSIGN_OR_RETURN(const UniqueFd dir, state.MakePin(pin));
  return AttachMount(mount, dir.get());
}

Result<UniqueFd> OpenStage(const plan::MountPlan& plan) {
  const std::string path = plan.stage_dir + "/" + kStage;
  RETURN_IF_ERROR(MkdirAt(AT_FDCWD, path, 0700));
  return OpenAt(AT_FDCWD, path, kOpenDir);
}

// Invalid where the container has none of its own: it is in the hook's.
Result<UniqueFd> OwnUserNamespace(const Container& container) {
  ASSIGN_OR_RETURN(UniqueFd fd, container.OpenUserNamespace());
  ASSIGN_OR_RETURN(const struct stat its, StatFd(fd.get()));
  ASSIGN_OR_RETURN(const struct stat own, StatAt(AT_FDCWD, "/proc/self/ns/user", 0));
  const bool same = its.st_dev == own.st_dev && its.st_ino == own.st_ino;
  return same ? UniqueFd() : std::move(fd);
}

Status MapContainerIds(const DetachedMount& tree, const Container& container) {
  ASSIGN_OR_RETURN(const UniqueFd user_namespace, OwnUserNamespace(container));
  if (!user_namespace.valid()) {
    return {};  // it joined the host's: ids are the same there, and the kernel takes no such map
  }
  return MapIds(tree, user_namespace.get());
}

// What the container gets. Locking takes a process and a mount namespace, half a millisecond or
// more: only where it stops somebody. Who has capabilities over the host's own user namespace has
// other ways.
Result<DetachedMount> ContainersCopy(const StateDir& state, const Container& container) {
  ASSIGN_OR_RETURN(const UniqueFd pin, OpenAt(AT_FDCWD, state.PinPath(kPin), O_PATH | O_DIRECTORY));
  ASSIGN_OR_RETURN(const UniqueFd user_namespace, OwnUserNamespace(container));
  return user_namespace.valid() ? CloneMountLocked(pin.get()) : CloneMount(pin.get());
}

TreeRequest MakeRequest(const plan::MountPlan& plan, const std::string& selinux_context) {
  TreeRequest request;
  request.id = plan.container_id;
  request.cas_name = plan.cas_name;
  request.root = plan.input_root;
  request.uid = plan.owner_uid;
  request.gid = plan.owner_gid;
  request.selinux_context = selinux_context;
  return request;
}

Status BuildOverlay(const plan::MountPlan& plan, const std::string& selinux_context,
                    const DetachedMount& tree, const StateDir& state) {
  RETURN_IF_ERROR(Pin(tree, state, kLowerPin));
  OverlayOptions options;
  options.lower = state.PinPath(kLowerPin);
  options.stage_dir = plan.stage_dir;
  options.uid = plan.owner_uid;
  options.gid = plan.owner_gid;
  options.selinux_context = selinux_context;
  ASSIGN_OR_RETURN(const DetachedMount overlay, MakeOverlay(options));
  return Pin(overlay, state, kPin);
}

}  // namespace

Status MakeStage(const plan::MountPlan& plan) {
  if (plan.stage_dir.empty()) {
    return {};
  }
  const auto [parent, name] = SplitLast(plan.stage_dir);
  RETURN_IF_ERROR(MakeDirectories(parent, 0700));
  auto dir = OpenOwnDirectory(parent);
  if (!dir) {
    return Wrap(std::move(dir).error(), "stage_root");
  }
  RETURN_IF_ERROR(RemoveTree(dir->get(), name));
  return MkdirAt(dir->get(), name, 0700);
}

Status BuildWorkspace(const plan::MountPlan& plan, const cas::BlobStore& store,
                      const Mounter& mounter, const Container& container,
                      const std::string& selinux_context, const StateDir& state) {
  UniqueFd stage;
  if (plan.mode == oci::Mode::kStrict) {
    ASSIGN_OR_RETURN(stage, OpenStage(plan));
  }
  const bool overlay = plan.mode == oci::Mode::kOverlay;
  // A label belongs on the container's own superblock: with an overlay, on that one alone.
  ASSIGN_OR_RETURN(
      const DetachedMount tree,
      mounter.MountTree(MakeRequest(plan, overlay ? "" : selinux_context), store, stage.get()));
  if (plan.map_ids) {
    RETURN_IF_ERROR(MapContainerIds(tree, container));
  }
  return overlay ? BuildOverlay(plan, selinux_context, tree, state) : Pin(tree, state, kPin);
}

Result<Statistics> ReadStatistics(const Lease& lease, const std::string& state_path) {
  ASSIGN_OR_RETURN(const oci::Backend backend, oci::ParseBackend(lease.backend));
  ASSIGN_OR_RETURN(const auto mounter, MakeMounter(backend, lease.serve_socket));
  const bool overlay = lease.mode == oci::ToString(oci::Mode::kOverlay);
  return mounter->ReadStatistics(lease.container_id,
                                 state_path + "/" + (overlay ? kLowerPin : kPin));
}

Status AttachWorkspace(const StateDir& state, const Container& container, const std::string& rootfs,
                       const std::string& destination, bool may_create_target) {
  ASSIGN_OR_RETURN(const DetachedMount copy, ContainersCopy(state, container));
  ASSIGN_OR_RETURN(NamespaceReturn back, NamespaceReturn::Here());
  if (auto entered = container.EnterMountNamespace(); !entered) {
    back.Cancel();
    return entered;
  }
  ASSIGN_OR_RETURN(Target target, Target::Open(rootfs, destination, may_create_target));
  if (auto attached = AttachMount(copy, target.fd()); !attached) {
    target.RemoveCreated();
    return Wrap(std::move(attached).error(), "destination " + Quoted(destination));
  }
  return {};
}

Result<UniqueFd> OpenTree(const plan::MountPlan& plan, const StateDir& state) {
  // overlayfs would answer for itself.
  const char* pin = plan.mode == oci::Mode::kOverlay ? kLowerPin : kPin;
  return OpenAt(AT_FDCWD, state.PinPath(pin), O_PATH | O_DIRECTORY);
}

Status CheckAnswers(int tree) {
  struct statfs fs = {};
  if (::fstatfs(tree, &fs) == 0) {
    return {};
  }
  if (errno == ENOTCONN || errno == ECONNABORTED) {
    return MakeError(errno, "the FUSE server has ended, and the workspace with it");
  }
  return ErrnoError("the workspace does not answer");
}

Status ReleaseWorkspace(const StateDir& state) {
  RETURN_IF_ERROR(DetachAll(state.PinPath(kPin)));
  return DetachAll(state.PinPath(kLowerPin));
}

Status RemoveStage(const std::string& stage_dir, bool keep) {
  if (stage_dir.empty()) {
    return {};
  }
  const auto [parent, name] = SplitLast(stage_dir);
  auto dir = OpenAt(AT_FDCWD, parent, kOpenDir);
  if (!dir) {
    // Where there is no such directory, there is no stage in it.
    const int code = dir.error().code();
    return code == ENOENT || code == ENOTDIR ? Status() : std::unexpected(std::move(dir).error());
  }
  if (!keep) {
    return RemoveTree(dir->get(), name);
  }
  const auto stage = OpenAt(dir->get(), name, kOpenDir);
  if (!stage) {
    // An operator may have removed what was to be kept.
    return stage.error().code() == ENOENT ? Status() : std::unexpected(stage.error());
  }
  return WriteFileAtomically(stage->get(), kKeptMarker, "", 0600, /*durable=*/false);
}

}  // namespace actiondfs::mount
