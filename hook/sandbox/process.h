// SPDX-License-Identifier: Apache-2.0
//
// What the hook does to its own process, since it runs as root for containers that it does not
// trust: it inherits nothing from whoever started it, and keeps no privilege that it does not need
// any more. Single-threaded.
#ifndef ACTIONDFS_HOOK_SANDBOX_PROCESS_H_
#define ACTIONDFS_HOOK_SANDBOX_PROCESS_H_

#include "hook/base/result.h"

namespace actiondfs::sandbox {

// At start: descriptors above 2 closed, environment cleared, cwd `/`, umask 0 (modes are given in
// full where files are made), no new privileges by exec.
Status ForgetInheritance();

// After the last step that needs one: every capability dropped from all sets of the calling thread.
Status DropCapabilities();

}  // namespace actiondfs::sandbox

#endif  // ACTIONDFS_HOOK_SANDBOX_PROCESS_H_
