// SPDX-License-Identifier: Apache-2.0
//
// The container's init process and its mount namespace, held by descriptors, so that a process
// number that is used again cannot lead elsewhere. Entering wants a single-threaded process
// (setns(2)).
#ifndef ACTIONDFS_HOOK_MOUNT_CONTAINER_H_
#define ACTIONDFS_HOOK_MOUNT_CONTAINER_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "hook/base/result.h"
#include "hook/base/unique_fd.h"

namespace actiondfs::mount {

// What tells one process from a later one of the same number.
struct ProcessIdentity {
  pid_t pid = 0;
  uint64_t start_time = 0;  // clock ticks after boot (proc(5), stat field 22)
  bool operator==(const ProcessIdentity&) const = default;
};

// nullopt where no such process is (a zombie does not count: it is past use). EACCES: there is one
// of that number, of which /proc shows nothing (hidepid=); or why it could not be read.
Result<std::optional<ProcessIdentity>> FindProcess(pid_t pid);
// True while the very process of `identity` runs. Errors as above: then it may.
Result<bool> IsAlive(const ProcessIdentity& identity);
// The inode of the pid namespace that process numbers here are of.
Result<uint64_t> PidNamespace();
// /proc/sys/kernel/random/boot_id
Result<std::string> BootId();

class Container {
 public:
  // ESRCH: the process is gone. EINVAL: it shares the caller's mount namespace; mounting there
  // would mount on the host.
  static Result<Container> Open(pid_t pid);

  const ProcessIdentity& init() const { return init_; }
  uint64_t mount_namespace_inode() const { return mount_namespace_inode_; }
  Result<UniqueFd> OpenUserNamespace() const;
  // The user namespace's uid_map or gid_map, as text.
  Result<std::string> ReadIdMap(const char* file) const;

  // Enters the container's mount namespace; root and cwd of the caller become that namespace's
  // root.
  Status EnterMountNamespace() const;

 private:
  Container() = default;

  ProcessIdentity init_;
  UniqueFd pidfd_;
  uint64_t mount_namespace_inode_ = 0;
};

// Remembers the mount namespace it is made in and goes back there in the end.
class NamespaceReturn {
 public:
  static Result<NamespaceReturn> Here();
  NamespaceReturn(NamespaceReturn&&) = default;
  NamespaceReturn& operator=(NamespaceReturn&&) = delete;
  ~NamespaceReturn();
  // It was not left.
  void Cancel() { fd_.Reset(); }

 private:
  explicit NamespaceReturn(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

}  // namespace actiondfs::mount

#endif  // ACTIONDFS_HOOK_MOUNT_CONTAINER_H_
