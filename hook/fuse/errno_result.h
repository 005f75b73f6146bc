// SPDX-License-Identifier: Apache-2.0
//
// Errno<T>: a value or a bare positive errno. A FUSE reply carries nothing else, and most stage
// lookups fail (compilers ask for names that are not there): no message is built for them. Only
// inside this room.
#ifndef ACTIONDFS_HOOK_FUSE_ERRNO_RESULT_H_
#define ACTIONDFS_HOOK_FUSE_ERRNO_RESULT_H_

#include <cerrno>
#include <expected>

namespace actiondfs::fuse {

template <typename T>
using Errno = std::expected<T, int>;

inline std::unexpected<int> Fail(int code) {
  return std::unexpected(code);
}
inline std::unexpected<int> FailErrno() {
  return std::unexpected(errno);
}

}  // namespace actiondfs::fuse

#endif  // ACTIONDFS_HOOK_FUSE_ERRNO_RESULT_H_
