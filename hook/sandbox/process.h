// SPDX-License-Identifier: Apache-2.0
//
// What a program of actiondfs does to its own process, since it runs as root for containers that it
// does not trust: it inherits nothing from whoever started it, and keeps no privilege that it does
// not need. Both are for before there is a second thread.
#ifndef ACTIONDFS_HOOK_SANDBOX_PROCESS_H_
#define ACTIONDFS_HOOK_SANDBOX_PROCESS_H_

#include <vector>

#include "hook/base/result.h"
#include "hook/sandbox/profile.h"

namespace actiondfs::sandbox {

// At start: standard descriptors that are closed become /dev/null (what is opened later must not
// get their numbers), those above 2 are closed, environment cleared, cwd `/`, umask 0 (modes are
// given in full where files are made), signals unblocked and a broken pipe no reason to die, and no
// other process may trace this one or read its memory.
Status ForgetInheritance();

// no_new_privs, and then the capabilities and system calls of `profile`; none of it can be undone.
// Returns what the profile has and the process lacks, as ReduceCapabilities does.
Result<std::vector<int>> Confine(Profile profile);

}  // namespace actiondfs::sandbox

#endif  // ACTIONDFS_HOOK_SANDBOX_PROCESS_H_
