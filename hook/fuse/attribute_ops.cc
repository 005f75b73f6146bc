// SPDX-License-Identifier: Apache-2.0
//
// SETATTR: chmod, chown, truncate, utimes of what is staged. Permissions were checked by the
// kernel.
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <mutex>
#include <shared_mutex>

#include "hook/fuse/reply.h"

namespace actiondfs::fuse {
namespace {

timespec TimeToSet(int to_set, int now_bit, int value_bit, const timespec& value) {
  if ((to_set & now_bit) != 0) {
    return {0, UTIME_NOW};
  }
  return (to_set & value_bit) != 0 ? value : timespec{0, UTIME_OMIT};
}

Errno<void> SetSize(FileSystem& fs, Node& node, stage::At at, off_t size, uid_t caller) {
  fs.stats.Add(Stat::stage_setattr_size_calls);
  auto truncated = stage::Truncate(at, size);
  fs.stats.Add(truncated ? Stat::stage_setattr_size_success : Stat::stage_setattr_size_failures);
  if (!truncated || caller == 0 || !node.may_be_suid.load(std::memory_order_relaxed)) {
    return truncated;
  }
  // The kernel leaves it to the server to take set-id bits away (HANDLE_KILLPRIV_V2).
  const auto st = stage::Status(at);
  if (!st) {
    return Fail(st.error());
  }
  mode_t drop = S_ISUID;
  if ((st->st_mode & S_IXGRP) != 0) {
    drop |= S_ISGID;
  }
  return (st->st_mode & drop) == 0 ? truncated : stage::ChangeMode(at, st->st_mode & 07777 & ~drop);
}

Errno<void> SetMode(Node& node, stage::At at, mode_t mode) {
  if (S_ISLNK(node.type)) {
    return Fail(EOPNOTSUPP);
  }
  if ((mode & (S_ISUID | S_ISGID)) != 0) {
    node.may_be_suid.store(true, std::memory_order_relaxed);
  }
  return stage::ChangeMode(at, mode & 07777);
}

// Size and owner first: both may clear set-id bits, and a change of owner with them is followed by
// the mode.
Errno<void> Apply(FileSystem& fs, Node& node, stage::At at, const struct stat& want, int to_set,
                  uid_t caller) {
  Errno<void> done;
  if ((to_set & FUSE_SET_ATTR_SIZE) != 0) {
    done = SetSize(fs, node, at, want.st_size, caller);
  }
  if (done && (to_set & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID)) != 0) {
    const uid_t uid = (to_set & FUSE_SET_ATTR_UID) != 0 ? want.st_uid : static_cast<uid_t>(-1);
    const gid_t gid = (to_set & FUSE_SET_ATTR_GID) != 0 ? want.st_gid : static_cast<gid_t>(-1);
    done = stage::ChangeOwner(at, uid, gid);
  }
  if (done && (to_set & FUSE_SET_ATTR_MODE) != 0) {
    done = SetMode(node, at, want.st_mode);
  }
  constexpr int kTimes =
      FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_ATIME_NOW | FUSE_SET_ATTR_MTIME_NOW;
  if (done && (to_set & kTimes) != 0) {
    const std::array<timespec, 2> times = {
        TimeToSet(to_set, FUSE_SET_ATTR_ATIME_NOW, FUSE_SET_ATTR_ATIME, want.st_atim),
        TimeToSet(to_set, FUSE_SET_ATTR_MTIME_NOW, FUSE_SET_ATTR_MTIME, want.st_mtim)};
    done = stage::ChangeTimes(at, times);
  }
  return done;
}

void SetAttr(fuse_req_t req, fuse_ino_t id, struct stat* want, int to_set, fuse_file_info* /*fi*/) {
  FileSystem& fs = FileSystemOf(req);
  Node& node = fs.nodes.FromId(id);
  if (!node.staged) {
    ReplyErrno(req, EROFS);
    return;
  }
  Errno<struct stat> after = Fail(EIO);
  {
    const std::shared_lock lock(fs.stage->names);
    const auto place = fs.stage->PlaceOf(node);
    const auto done = place ? Apply(fs, node, place->at(), *want, to_set, fuse_req_ctx(req)->uid)
                            : Errno<void>(Fail(place.error()));
    after = done ? stage::Status(place->at()) : Fail(done.error());
  }
  if (!after) {
    fs.stats.NoteStageError(after.error());
    ReplyErrno(req, after.error());
    return;
  }
  (void)fuse_reply_attr(req, &*after, FileSystem::AttributeTimeout(node));
}

}  // namespace

void AddAttributeOps(fuse_lowlevel_ops& ops) {
  ops.setattr = Guarded<SetAttr>::Call;
}

}  // namespace actiondfs::fuse
