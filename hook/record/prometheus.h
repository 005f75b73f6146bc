// SPDX-License-Identifier: Apache-2.0
//
// Cumulative counters over all runs of this host, in Prometheus' text format, for node_exporter's
// textfile collector: the file is the state, each record is added to what it says. Thread-safe; any
// number of processes may add to one file at once (they take turns by a lock beside it,
// <path>.lock).
#ifndef ACTIONDFS_HOOK_RECORD_PROMETHEUS_H_
#define ACTIONDFS_HOOK_RECORD_PROMETHEUS_H_

#include <string>
#include <string_view>

#include "actiondfs/run_record.pb.h"
#include "hook/base/result.h"

namespace actiondfs::record {

// The text `old_text` with `record` added; "" is where it all begins. EINVAL: a line that this
// function would not have written, or a counter with a name that cannot be one of Prometheus'.
Result<std::string> AddToText(std::string_view old_text, const RunRecord& record);

// The same on a file, which a reader finds whole at any time (0644; the lock 0600). Its directory
// must exist.
Status Accumulate(const std::string& path, const RunRecord& record);

}  // namespace actiondfs::record

#endif  // ACTIONDFS_HOOK_RECORD_PROMETHEUS_H_
