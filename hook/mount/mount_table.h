// SPDX-License-Identifier: Apache-2.0
//
// What /proc says of the calling process' mounts (proc_pid_mountinfo(5), proc_pid_mountstats(5)).
// Parsing is pure; thread-safe.
#ifndef ACTIONDFS_HOOK_MOUNT_MOUNT_TABLE_H_
#define ACTIONDFS_HOOK_MOUNT_MOUNT_TABLE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hook/base/result.h"
#include "hook/mount/tree_mount.h"

namespace actiondfs::mount {

struct MountEntry {
  uint64_t id = 0;
  std::string device;  // "major:minor": one for each superblock
  std::string point, type, source;
  std::vector<std::string> super_options;

  // The value of the superblock's option `key`; empty: it has none.
  std::string_view SuperOption(std::string_view key) const;
};

// The text of a mountinfo. Of mounts that are stacked the upper comes later.
std::vector<MountEntry> ParseMountInfo(std::string_view text);
Result<std::vector<MountEntry>> ReadMountTable(const std::string& proc = "/proc");
// The `id` of the mount that an open file is in. Asks nothing of its file system, which may be
// dead.
Result<uint64_t> MountIdOf(int fd);

// Out of the text of a mountstats: the counters of the topmost mount of `type` at `point`. nullopt:
// there is none, or it has statistics of a version that this does not know.
std::optional<Counters> FindMountStats(std::string_view text, std::string_view type,
                                       std::string_view point);

}  // namespace actiondfs::mount

#endif  // ACTIONDFS_HOOK_MOUNT_MOUNT_TABLE_H_
