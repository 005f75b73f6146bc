// SPDX-License-Identifier: Apache-2.0
//
// A copy of a mount for a container with a user namespace of its own. Its root has CAP_SYS_ADMIN
// over its mount namespace, and so could remount what is attached there: writable, with set-id
// programs, with devices. The kernel locks such flags on mounts that pass from one user namespace
// to another (mount_namespaces(7)), and on those only, so the copy is made to pass through one.
#ifndef ACTIONDFS_HOOK_MOUNT_LOCKED_MOUNT_H_
#define ACTIONDFS_HOOK_MOUNT_LOCKED_MOUNT_H_

#include "hook/base/result.h"
#include "hook/mount/mount_api.h"

namespace actiondfs::mount {

// As CloneMount, and whoever gets the copy can take none of readonly, nosuid, nodev and noexec from
// it (EPERM). It can still be unmounted. `dirfd` is in a mount of the caller's mount namespace. For
// single-threaded callers: the working directory is another one meanwhile. The process that does it
// holds nothing open and has ended on return. ENOSPC: user namespaces are used up, or are turned
// off (user.max_user_namespaces).
Result<DetachedMount> CloneMountLocked(int dirfd);

}  // namespace actiondfs::mount

#endif  // ACTIONDFS_HOOK_MOUNT_LOCKED_MOUNT_H_
