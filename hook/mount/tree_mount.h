// SPDX-License-Identifier: Apache-2.0
//
// What is said to a backend, and by it: the mount of one tree. Plain values.
#ifndef ACTIONDFS_HOOK_MOUNT_TREE_MOUNT_H_
#define ACTIONDFS_HOOK_MOUNT_TREE_MOUNT_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "hook/cas/digest.h"

namespace actiondfs::mount {

struct TreeRequest {
  std::string id;        // unique among the mounts of a FUSE server
  std::string cas_name;  // for messages
  cas::Digest root;
  uint32_t uid = 0, gid = 0;  // owner of the inputs: host ids, or those before an id map
  bool inodes_by_content = false;
  bool verify_directories = true;  // false: kernel only
  std::string selinux_context;
  // FUSE only.
  bool no_passthrough = false;
  bool many_roots = false, list_roots = false;
};

// In the order of kernel/uapi/actiondfs_stats.h.
using Counters = std::vector<std::pair<std::string, uint64_t>>;

struct Statistics {
  Counters counters;
  int stage_error = 0;  // errno, 0 for none
};

// One that lives.
struct TreeMount {
  std::string id;              // of a kernel mount: its mount point
  std::string point;           // where it is attached; empty: the backend does not know
  std::string root, cas_name;  // "<hash>/<size>"
  bool strict = false, passthrough = false;
  int64_t since_unix_seconds = 0;  // 0: not known
};

}  // namespace actiondfs::mount

#endif  // ACTIONDFS_HOOK_MOUNT_TREE_MOUNT_H_
