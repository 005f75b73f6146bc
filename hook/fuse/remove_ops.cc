// SPDX-License-Identifier: Apache-2.0
//
// UNLINK, RMDIR, RENAME of what is staged; inputs stay where they are.
#include <linux/fs.h>

#include <cerrno>

#include "hook/fuse/reply.h"

namespace actiondfs::fuse {
namespace {

// 0 where `name` in the directory is nothing that an input has; else what to answer.
int RefusalFor(FileSystem& fs, Node& directory, const char* name) {
  if (!fs.strict()) {
    return EROFS;
  }
  if (directory.staged) {
    return 0;
  }
  const auto inputs = fs.inputs.DirectoryOf(directory);
  if (!inputs) {
    return inputs.error();
  }
  return (*inputs)->Find(name) ? EROFS : 0;
}

Errno<void> Remove(FileSystem& fs, Node& directory, const char* name, bool is_directory) {
  if (const int refusal = RefusalFor(fs, directory, name); refusal != 0) {
    return Fail(refusal);
  }
  return fs.stage->Remove(directory, name, is_directory);
}

void Unlink(fuse_req_t req, fuse_ino_t parent, const char* name) {
  FileSystem& fs = FileSystemOf(req);
  fs.stats.Add(Stat::stage_unlink_calls);
  const auto done = Remove(fs, fs.nodes.FromId(parent), name, false);
  fs.stats.Add(done ? Stat::stage_unlink_success : Stat::stage_unlink_failures);
  ReplyStatus(req, done);
}

void RemoveDirectory(fuse_req_t req, fuse_ino_t parent, const char* name) {
  FileSystem& fs = FileSystemOf(req);
  fs.stats.Add(Stat::stage_rmdir_calls);
  const auto done = Remove(fs, fs.nodes.FromId(parent), name, true);
  fs.stats.Add(done ? Stat::stage_rmdir_success : Stat::stage_rmdir_failures);
  ReplyStatus(req, done);
}

Errno<void> RenameStaged(FileSystem& fs, Node& from, const char* name, Node& to,
                         const char* new_name, unsigned flags) {
  if ((flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE)) != 0) {
    return Fail(EINVAL);
  }
  if (const int refusal = RefusalFor(fs, from, name); refusal != 0) {
    return Fail(refusal);
  }
  if (const int refusal = RefusalFor(fs, to, new_name); refusal != 0) {
    return Fail(refusal);
  }
  return fs.stage->Rename(from, name, to, new_name, flags);
}

void Rename(fuse_req_t req, fuse_ino_t from, const char* name, fuse_ino_t to, const char* new_name,
            unsigned flags) {
  FileSystem& fs = FileSystemOf(req);
  fs.stats.Add(Stat::stage_rename_calls);
  const auto done =
      RenameStaged(fs, fs.nodes.FromId(from), name, fs.nodes.FromId(to), new_name, flags);
  fs.stats.Add(done ? Stat::stage_rename_success : Stat::stage_rename_failures);
  ReplyStatus(req, done);
}

}  // namespace

void AddRemoveOps(fuse_lowlevel_ops& ops) {
  ops.unlink = Guarded<Unlink>::Call;
  ops.rmdir = Guarded<RemoveDirectory>::Call;
  ops.rename = Guarded<Rename>::Call;
}

}  // namespace actiondfs::fuse
