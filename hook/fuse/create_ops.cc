// SPDX-License-Identifier: Apache-2.0
//
// MKNOD, MKDIR, SYMLINK, LINK: new names in the stage. CREATE is in file_ops.cc.
#include <sys/stat.h>

#include "hook/fuse/reply.h"

namespace actiondfs::fuse {
namespace {

void Make(fuse_req_t req, fuse_ino_t parent_id, const char* name, mode_t mode, const char* target) {
  FileSystem& fs = FileSystemOf(req);
  if (!fs.strict()) {
    ReplyErrno(req, EROFS);
    return;
  }
  const fuse_ctx* caller = fuse_req_ctx(req);
  struct stat st = {};
  const auto made =
      fs.stage->Make(fs.nodes.FromId(parent_id), name,
                     {.mode = mode, .owner = {caller->uid, caller->gid}, .target = target}, st);
  if (!made) {
    ReplyErrno(req, made.error());
    return;
  }
  ReplyEntry(req, fs, **made, st);
}

void MakeNode(fuse_req_t req, fuse_ino_t parent, const char* name, mode_t mode, dev_t /*rdev*/) {
  if (S_ISREG(mode) || S_ISFIFO(mode) || S_ISSOCK(mode)) {
    Make(req, parent, name, mode, nullptr);
  } else {
    ReplyErrno(req, EPERM);
  }
}

void MakeDirectory(fuse_req_t req, fuse_ino_t parent_id, const char* name, mode_t mode) {
  FileSystem& fs = FileSystemOf(req);
  fs.stats.Add(Stat::stage_mkdir_calls);
  if (!fs.strict()) {
    fs.stats.Add(Stat::stage_mkdir_failures);
    ReplyErrno(req, EROFS);
    return;
  }
  const fuse_ctx* caller = fuse_req_ctx(req);
  struct stat st = {};
  const auto made =
      fs.stage->Make(fs.nodes.FromId(parent_id), name,
                     {.mode = S_IFDIR | (mode & 07777), .owner = {caller->uid, caller->gid}}, st);
  fs.stats.Add(made ? Stat::stage_mkdir_success : Stat::stage_mkdir_failures);
  if (!made) {
    ReplyErrno(req, made.error());
    return;
  }
  ReplyEntry(req, fs, **made, st);
}

void MakeSymlink(fuse_req_t req, const char* target, fuse_ino_t parent, const char* name) {
  Make(req, parent, name, S_IFLNK | 0777, target);
}

void Link(fuse_req_t req, fuse_ino_t id, fuse_ino_t parent_id, const char* name) {
  FileSystem& fs = FileSystemOf(req);
  Node& node = fs.nodes.FromId(id);
  if (!node.staged) {
    // A second name would be a second inode: the blob's own cannot be shared with a container.
    ReplyErrno(req, EROFS);
    return;
  }
  const auto st = fs.stage->Link(node, fs.nodes.FromId(parent_id), name);
  if (!st) {
    ReplyErrno(req, st.error());
    return;
  }
  ReplyEntry(req, fs, node, *st);
}

}  // namespace

void AddCreateOps(fuse_lowlevel_ops& ops) {
  ops.mknod = Guarded<MakeNode>::Call;
  ops.mkdir = Guarded<MakeDirectory>::Call;
  ops.symlink = Guarded<MakeSymlink>::Call;
  ops.link = Guarded<Link>::Call;
}

}  // namespace actiondfs::fuse
