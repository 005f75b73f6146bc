// SPDX-License-Identifier: Apache-2.0
//
// The configuration file (docs/configuration.md): it says which directories of the host containers
// get to see, so it is only believed where nobody but its owner could have written it. Thread-safe.
#ifndef ACTIONDFS_HOOK_APPS_COMMON_CONFIG_FILE_H_
#define ACTIONDFS_HOOK_APPS_COMMON_CONFIG_FILE_H_

#include <string>

#include "hook/base/result.h"
#include "hook/plan/config.h"

namespace actiondfs::apps {

// ENOENT: no such file. ELOOP: a symlink. EPERM: not a regular file, not root's (for a caller who
// is not root: not the caller's either), or writable by group or others; the message says how to
// mend it. EFBIG: over 1 MiB. EINVAL: as plan::ParseConfig.
Result<plan::Config> LoadConfig(const std::string& path);

}  // namespace actiondfs::apps

#endif  // ACTIONDFS_HOOK_APPS_COMMON_CONFIG_FILE_H_
