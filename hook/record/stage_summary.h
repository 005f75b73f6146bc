// SPDX-License-Identifier: Apache-2.0
//
// Counts what a container has written. Thread-safe.
#ifndef ACTIONDFS_HOOK_RECORD_STAGE_SUMMARY_H_
#define ACTIONDFS_HOOK_RECORD_STAGE_SUMMARY_H_

#include "actiondfs/run_record.pb.h"
#include "hook/base/result.h"

namespace actiondfs::record {

// Everything below the directory `dirfd` (which stays the caller's), itself left out. Symlinks are
// counted, never followed. What lies on another file system, or deeper than PATH_MAX, is not
// entered: the summary is marked incomplete. Hard links count once each.
Result<StagedSummary> SummarizeStage(int dirfd);

}  // namespace actiondfs::record

#endif  // ACTIONDFS_HOOK_RECORD_STAGE_SUMMARY_H_
