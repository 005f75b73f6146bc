// SPDX-License-Identifier: Apache-2.0
//
// The system calls that touch a stage directory, each on one name in one directory that is held by
// descriptor (O_PATH will do): a name is never a path (EINVAL), symlinks are never followed, no
// other file system is entered. Descriptors are O_CLOEXEC. Thread-safe. Errors are those of the
// calls.
#ifndef ACTIONDFS_HOOK_FUSE_STAGE_H_
#define ACTIONDFS_HOOK_FUSE_STAGE_H_

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "hook/base/unique_fd.h"
#include "hook/fuse/errno_result.h"

namespace actiondfs::fuse::stage {

// A name in a directory; an empty one means the descriptor itself.
struct At {
  int dir = -1;
  const char* name = "";
};

struct Owner {
  uid_t uid;
  gid_t gid;
};

// What is to be made: S_IFMT says what; `target` only for symlinks.
struct NewEntry {
  mode_t mode = 0;
  Owner owner = {};
  const char* target = nullptr;
};

// So much of a listing is held before it is asked for.
inline constexpr size_t kListingStep = size_t{1} << 20;

// What a std::string holds in itself.
inline constexpr size_t kShortName = 15;

struct Listed {
  std::string name;
  uint64_t ino;
  unsigned char type;  // DT_*

  // Roughly; short names are in the string itself.
  size_t MemoryUse() const {
    return sizeof(*this) + (name.capacity() > kShortName ? name.capacity() + 16 : 0);
  }
};

Errno<UniqueFd> OpenPath(At at);         // O_PATH, also of a symlink itself
Errno<UniqueFd> OpenDirectory(At at);    // O_PATH; ENOTDIR for anything else
Errno<UniqueFd> Open(At at, int flags);  // a regular file or directory; never blocks on a FIFO
Errno<struct stat> Status(At at);
// Without . and .. `hold` is asked, for what was read each time, whether so many bytes more may be
// held; false: ENOMEM.
Errno<std::vector<Listed>> List(int dir, const std::function<bool(size_t bytes)>& hold);
Errno<std::string> ReadLink(At at);
Errno<struct statvfs> FileSystemStatus(int dir);

// The new entry has its owner and mode (set-group-id directories hand down their group) or is not
// there. `may_be_there`: it may have been made before, and have neither yet.
Errno<void> Make(At at, const NewEntry& entry, bool may_be_there = false);
// An O_TMPFILE in `dir`, as O_PATH.
Errno<UniqueFd> MakeUnnamed(int dir, const NewEntry& entry, bool linkable);
Errno<void> Link(At from, At to);
Errno<void> Unlink(At at, bool directory);
Errno<void> Rename(At from, At to, unsigned flags);

Errno<void> ChangeMode(At at, mode_t mode);
Errno<void> ChangeOwner(At at, uid_t uid, gid_t gid);  // -1: as it is
Errno<void> ChangeTimes(At at, const std::array<timespec, 2>& times);
Errno<void> Truncate(At at, off_t size);

}  // namespace actiondfs::fuse::stage

#endif  // ACTIONDFS_HOOK_FUSE_STAGE_H_
