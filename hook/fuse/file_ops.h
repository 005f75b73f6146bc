// SPDX-License-Identifier: Apache-2.0
//
// What other operations, and the receive loop, need of file_ops.cc. Thread-safe.
#ifndef ACTIONDFS_HOOK_FUSE_FILE_OPS_H_
#define ACTIONDFS_HOOK_FUSE_FILE_OPS_H_

#include <cstdint>
#include <functional>

#include "hook/fuse/file_system.h"
#include "hook/fuse/stage.h"
#include "hook/fuse/wire.h"

namespace actiondfs::fuse {

struct NewFile {
  stage::NewEntry entry;
  int flags = 0;  // open(2)
};

// TMPFILE, which libfuse 3.14 does not know. `reply` sends the answer and says whether it got
// there. Returns the errno to answer where there is nothing to reply with, else 0.
int CreateUnnamed(FileSystem& fs, uint64_t parent_id, const NewFile& file,
                  const std::function<bool(const wire::CreateOut&)>& reply);

// Remembers ENOSPC for the statistics where the stage's file system has no free block.
void NoteFullStage(FileSystem& fs);

}  // namespace actiondfs::fuse

#endif  // ACTIONDFS_HOOK_FUSE_FILE_OPS_H_
