// SPDX-License-Identifier: Apache-2.0
//
// <state_root>, one directory a workspace below it (design 3.3). The root is a private mount of its
// own, so that pins are seen nowhere else. A workspace's directory is locked (flock) by whoever
// makes or unmakes the workspace; the lock ends with the StateDir, or the process.
// Thread-compatible.
#ifndef ACTIONDFS_HOOK_MOUNT_STATE_DIR_H_
#define ACTIONDFS_HOOK_MOUNT_STATE_DIR_H_

#include <chrono>
#include <string>
#include <vector>

#include "hook/base/result.h"
#include "hook/base/unique_fd.h"
#include "hook/mount/lease.h"

namespace actiondfs::mount {

// Where the container's mount is pinned, and the read-only tree below an overlay.
inline constexpr char kPin[] = "mnt";
inline constexpr char kLowerPin[] = "lower";

// A directory that nobody but the caller may change, nor put something else in the place of what is
// in it. EPERM: it is another's, or others may write.
Result<UniqueFd> OpenOwnDirectory(const std::string& path);

class StateDir {
 public:
  StateDir(StateDir&&) = default;
  StateDir& operator=(StateDir&&) = default;

  const std::string& path() const { return path_; }
  std::string PinPath(const char* pin) const { return path_ + "/" + pin; }

  // ENOENT: there is no lease.
  Result<Lease> ReadLease() const;
  Status WriteLease(const Lease& lease) const;
  // How long ago this was asked first: by who has found the container dead. Kept beside the lease,
  // and removed with it.
  Result<std::chrono::seconds> SinceFoundDead() const;
  // An empty directory for a pin, opened.
  Result<UniqueFd> MakePin(const char* pin) const;
  // Removes the lease, the pins' directories (which must not be mounted any more) and the directory
  // itself.
  Status Remove();

 private:
  friend class StateRoot;
  StateDir(std::string path, std::string name, UniqueFd root, UniqueFd dir)
      : path_(std::move(path)),
        name_(std::move(name)),
        root_(std::move(root)),
        dir_(std::move(dir)) {}

  Status RemoveLeaseFiles() const;

  std::string path_, name_;
  UniqueFd root_, dir_;
};

class StateRoot {
 public:
  // Makes the directory (0700) and its private mount where they are missing. EPERM: it belongs to
  // somebody else, or others may write there.
  static Result<StateRoot> Prepare(const std::string& path);
  // Only opens it. ENOENT: it is not there, so no workspace is.
  static Result<StateRoot> Open(const std::string& path);

  // Makes or opens the directory of `id`, and locks it. Waits for the lock.
  Result<StateDir> Create(const std::string& id) const;
  // ENOENT: none; EWOULDBLOCK: somebody else has the lock and `wait` is false.
  Result<StateDir> Lock(const std::string& id, bool wait) const;
  // Ids of all workspaces, sorted.
  Result<std::vector<std::string>> List() const;
  // The lease of `id` without its lock: for looking only.
  Result<Lease> Peek(const std::string& id) const;

 private:
  StateRoot(std::string path, UniqueFd dir) : path_(std::move(path)), dir_(std::move(dir)) {}

  std::string path_;
  UniqueFd dir_;
};

}  // namespace actiondfs::mount

#endif  // ACTIONDFS_HOOK_MOUNT_STATE_DIR_H_
