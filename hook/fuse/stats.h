// SPDX-License-Identifier: Apache-2.0
//
// One mount's counters, under the names of kernel/uapi/actiondfs_stats.h. With passthrough the
// kernel reads and writes without asking: backing_reads, stage_read_*, stage_write_* and mmaps
// count only what came here. Thread-safe, relaxed: a snapshot is not a point in time.
#ifndef ACTIONDFS_HOOK_FUSE_STATS_H_
#define ACTIONDFS_HOOK_FUSE_STATS_H_

#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>

#include "kernel/uapi/actiondfs_stats.h"

namespace actiondfs::fuse {

enum class Stat : size_t {
#define ACTIONDFS_STAT_ENUMERATOR(name) name,
  ACTIONDFS_STATS(ACTIONDFS_STAT_ENUMERATOR)
#undef ACTIONDFS_STAT_ENUMERATOR
      kCount
};

inline constexpr size_t kStatCount = static_cast<size_t>(Stat::kCount);
inline constexpr std::array<const char*, kStatCount> kStatNames = {
#define ACTIONDFS_STAT_NAME(name) #name,
    ACTIONDFS_STATS(ACTIONDFS_STAT_NAME)
#undef ACTIONDFS_STAT_NAME
};

class Stats {
 public:
  void Add(Stat stat, uint64_t count = 1) {
    counters_[static_cast<size_t>(stat)].fetch_add(count, std::memory_order_relaxed);
  }
  uint64_t Get(Stat stat) const {
    return counters_[static_cast<size_t>(stat)].load(std::memory_order_relaxed);
  }

  // Remembers the first error that says that the stage's file system is full or broken; others are
  // ignored.
  void NoteStageError(int code) {
    if (code == ENOSPC || code == EDQUOT || code == EIO) {
      int none = 0;
      stage_error_.compare_exchange_strong(none, code, std::memory_order_relaxed);
    }
  }
  int stage_error() const { return stage_error_.load(std::memory_order_relaxed); }

 private:
  std::array<std::atomic<uint64_t>, kStatCount> counters_ = {};
  std::atomic<int> stage_error_ = 0;
};

}  // namespace actiondfs::fuse

#endif  // ACTIONDFS_HOOK_FUSE_STATS_H_
