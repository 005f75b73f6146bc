// SPDX-License-Identifier: Apache-2.0
//
// What is to be known of a stage directory before it is removed. Thread-safe.
#ifndef ACTIONDFS_HOOK_APPS_COMMON_STAGE_DIR_H_
#define ACTIONDFS_HOOK_APPS_COMMON_STAGE_DIR_H_

#include <cstddef>
#include <string>
#include <vector>

#include "hook/base/dir_stream.h"
#include "hook/base/result.h"

namespace actiondfs::apps {

// Of a directory, all.
Result<std::vector<DirEntry>> ReadEntries(const std::string& path);

// Whether `path` is a directory that mount::MakeStage made, and that nobody keeps: nothing is in it
// but what has a place in a stage, also where its making or its removal was cut short. Anything
// else that lies in stage_root is not ours to remove.
bool IsStage(const std::string& path);

// Whether no more than `limit` names are below `path`; as many steps does it take to find out. What
// is not there is small.
bool IsSmallTree(const std::string& path, size_t limit);

}  // namespace actiondfs::apps

#endif  // ACTIONDFS_HOOK_APPS_COMMON_STAGE_DIR_H_
