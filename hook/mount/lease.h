// SPDX-License-Identifier: Apache-2.0
//
// The lease: what is on disk about a workspace from before the first thing that would have to be
// undone until after the last. Poststop and gc work from it alone. JSON, `lease.json` in the
// workspace's state directory.
#ifndef ACTIONDFS_HOOK_MOUNT_LEASE_H_
#define ACTIONDFS_HOOK_MOUNT_LEASE_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "hook/base/result.h"
#include "hook/mount/container.h"

namespace actiondfs::mount {

inline constexpr char kLeaseFile[] = "lease.json";

struct Lease {
  std::string container_id;
  std::string boot_id;
  ProcessIdentity init;
  uint64_t pid_namespace =
      0;  // in which init has its number: inode of the hook's /proc/self/ns/pid
  uint64_t mount_namespace = 0;  // inode of /proc/<pid>/ns/mnt

  std::string input_root;  // "<hash>/<size>"
  std::string action;      // the same, or empty
  std::string cas;         // name in the configuration
  std::string mode, backend, destination;
  std::string stage_dir;     // empty: none
  std::string serve_socket;  // backend fuse: where the mount's server is
  bool keep_stage = false;
  std::string records_path, prometheus_textfile;  // empty: not wanted

  bool attached = false;  // the container has its workspace
  bool recorded = false;  // its run record is written
  int64_t started_unix_ms = 0;
  std::vector<std::pair<std::string, uint64_t>> steps;  // name, microseconds
};

std::string ToJson(const Lease& lease);
// EINVAL: not a lease; the message says what is wrong with it.
Result<Lease> ParseLease(std::string_view json);

}  // namespace actiondfs::mount

#endif  // ACTIONDFS_HOOK_MOUNT_LEASE_H_
