// SPDX-License-Identifier: Apache-2.0
//
// A mount's parts as an earlier process left them in its KeptState. Before the first request; not
// thread-safe.
#ifndef ACTIONDFS_HOOK_FUSE_RESTORE_H_
#define ACTIONDFS_HOOK_FUSE_RESTORE_H_

#include "hook/base/result.h"
#include "hook/fuse/file_system.h"

namespace actiondfs::fuse {

// The root is loaded. Fails where a Directory that was in use cannot be read any more, or a record
// makes no sense.
Status Restore(FileSystem& fs);
// Directory streams; a part of it.
void RestoreStreams(FileSystem& fs);

}  // namespace actiondfs::fuse

#endif  // ACTIONDFS_HOOK_FUSE_RESTORE_H_
