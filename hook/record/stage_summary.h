// SPDX-License-Identifier: Apache-2.0
//
// Counts what a container has written. Thread-safe.
#ifndef ACTIONDFS_HOOK_RECORD_STAGE_SUMMARY_H_
#define ACTIONDFS_HOOK_RECORD_STAGE_SUMMARY_H_

#include <cstdint>

#include "actiondfs/run_record.pb.h"
#include "hook/base/result.h"

namespace actiondfs::record {

// Everything below the directory `dirfd` (which stays the caller's), itself left out. Symlinks are
// counted, never followed. What lies on another file system, or deeper than PATH_MAX, is not
// entered: the summary is marked incomplete. So it is after `most` entries, of which a container
// makes as many as it likes, while its end waits for the count. Hard links count once each.
inline constexpr uint64_t kMostEntries = uint64_t{1} << 20;
Result<StagedSummary> SummarizeStage(int dirfd, uint64_t most = kMostEntries);

}  // namespace actiondfs::record

#endif  // ACTIONDFS_HOOK_RECORD_STAGE_SUMMARY_H_
