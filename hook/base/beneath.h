// SPDX-License-Identifier: Apache-2.0
//
// Opening what is below a directory, and only that. Thread-safe.
#ifndef ACTIONDFS_HOOK_BASE_BENEATH_H_
#define ACTIONDFS_HOOK_BASE_BENEATH_H_

#include <linux/openat2.h>
#include <sys/types.h>

#include <cstdint>
#include <string_view>

#include "hook/base/result.h"
#include "hook/base/unique_fd.h"

namespace actiondfs {

// RESOLVE_* flags: no way out of the directory, and no symlink followed, in any component.
inline constexpr uint64_t kResolveBeneath =
    RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;

// openat2(2) of `path` below `dirfd` with kResolveBeneath. The path may be longer than PATH_MAX (it
// is then opened piece by piece) or empty (the directory itself). ELOOP: there is a symlink in it.
Result<UniqueFd> OpenBeneath(int dirfd, std::string_view path, int flags, mode_t mode = 0);

}  // namespace actiondfs

#endif  // ACTIONDFS_HOOK_BASE_BENEATH_H_
