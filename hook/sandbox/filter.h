// SPDX-License-Identifier: Apache-2.0
//
// The system calls that are left to the process.
#ifndef ACTIONDFS_HOOK_SANDBOX_FILTER_H_
#define ACTIONDFS_HOOK_SANDBOX_FILTER_H_

#include "hook/base/result.h"
#include "hook/sandbox/profile.h"

namespace actiondfs::sandbox {

// Sanitizers make system calls of their own, other ones with every release: a build with them has
// no filter.
#ifdef ACTIONDFS_SANITIZED
inline constexpr bool kFiltersBuilt = false;
#else
inline constexpr bool kFiltersBuilt = true;
#endif

// For all threads, and for good. The native architecture's calls only: another one's (x32 too)
// kill. Wants no_new_privs. A profile without a filter is success.
Status InstallFilter(Profile profile);

}  // namespace actiondfs::sandbox

#endif  // ACTIONDFS_HOOK_SANDBOX_FILTER_H_
