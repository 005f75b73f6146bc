// SPDX-License-Identifier: Apache-2.0
//
// The run record as one line of JSON (proto/actiondfs/run_record.proto says what is in it), and the
// file that such lines are appended to. Thread-safe; any number of processes may append to one file
// at once.
#ifndef ACTIONDFS_HOOK_RECORD_RECORD_H_
#define ACTIONDFS_HOOK_RECORD_RECORD_H_

#include <string>
#include <string_view>

#include "actiondfs/run_record.pb.h"
#include "hook/base/result.h"
#include "hook/record/stage_summary.h"

namespace actiondfs::record {

// All fields, in the order of the proto, without a newline anywhere: field names as in the proto,
// plain numbers for integers. Bytes that are not UTF-8 become U+FFFD. The same record always gives
// the same line.
std::string ToJsonLine(const RunRecord& record);

// EINVAL: malformed, or a field of a wrong type (its path is in the message). Absent fields have
// their defaults, and fields that are not known are ignored: lines of other versions can be read.
Result<RunRecord> FromJsonLine(std::string_view line);

// Appends `line` and a newline with one write. Not synced: a container's end does not wait for a
// disk, and what a power failure takes is a line of statistics. The file is made where it is
// missing (0640), its directory is not. ELOOP: a symlink; EINVAL: not a regular file; ENOSPC, EIO:
// of the file system.
Status Append(const std::string& path, std::string_view line);

}  // namespace actiondfs::record

#endif  // ACTIONDFS_HOOK_RECORD_RECORD_H_
