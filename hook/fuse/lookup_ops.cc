// SPDX-License-Identifier: Apache-2.0
//
// Names to nodes and what is known of them without opening: LOOKUP, FORGET, GETATTR, READLINK,
// STATFS.
#include <linux/limits.h>

#include <cerrno>
#include <cstring>
#include <shared_mutex>
#include <string>

#include "hook/fuse/reply.h"

namespace actiondfs::fuse {
namespace {

void ReplyMissing(fuse_req_t req, FileSystem& fs, const Node& parent) {
  fs.stats.Add(Stat::lookup_negative);
  if (fs.IsTopOfManyRoots(parent)) {
    ReplyErrno(req, ENOENT);  // not for ever: a root may be added to the CAS
  } else {
    ReplyNegative(req);
  }
}

void Lookup(fuse_req_t req, fuse_ino_t parent_id, const char* name) {
  FileSystem& fs = FileSystemOf(req);
  Node& parent = fs.nodes.FromId(parent_id);
  fs.stats.Add(Stat::lookups);
  if (std::strlen(name) > NAME_MAX) {
    ReplyErrno(req, ENAMETOOLONG);  // the kernel's own limit for FUSE is above that
    return;
  }
  if (!fs.HasRoomForNode()) {
    ReplyErrno(req, ENOMEM);
    return;
  }
  if (!parent.staged) {
    const auto input = fs.inputs.Lookup(parent, name);
    if (!input) {
      ReplyErrno(req, input.error());
      return;
    }
    if (*input != nullptr) {
      fs.stats.Add(Stat::lookup_hits);
      ReplyEntry(req, fs, **input);
      return;
    }
  }
  if (!fs.strict()) {
    ReplyMissing(req, fs, parent);
    return;
  }
  struct stat st = {};
  Errno<Node*> staged = nullptr;
  {
    const std::shared_lock lock(fs.stage->names);
    staged = fs.stage->Lookup(parent, name, st);
  }
  if (!staged) {
    ReplyErrno(req, staged.error());
  } else if (*staged == nullptr) {
    ReplyMissing(req, fs, parent);
  } else {
    fs.stats.Add(Stat::lookup_hits);
    ReplyEntry(req, fs, **staged, st);
  }
}

void Forget(fuse_req_t req, fuse_ino_t id, uint64_t count) {
  FileSystem& fs = FileSystemOf(req);
  fs.nodes.Drop(fs.nodes.FromId(id), count);
  fuse_reply_none(req);
}

void ForgetMany(fuse_req_t req, size_t count, fuse_forget_data* forgets) {
  FileSystem& fs = FileSystemOf(req);
  for (size_t i = 0; i < count; ++i) {
    fs.nodes.Drop(fs.nodes.FromId(forgets[i].ino), forgets[i].nlookup);
  }
  fuse_reply_none(req);
}

void GetAttr(fuse_req_t req, fuse_ino_t id, fuse_file_info* /*fi*/) {
  FileSystem& fs = FileSystemOf(req);
  Node& node = fs.nodes.FromId(id);
  const auto st = fs.Attributes(node);
  if (!st) {
    ReplyErrno(req, st.error());
    return;
  }
  (void)fuse_reply_attr(req, &*st, FileSystem::AttributeTimeout(node));
}

void ReadLink(fuse_req_t req, fuse_ino_t id) {
  FileSystem& fs = FileSystemOf(req);
  Node& node = fs.nodes.FromId(id);
  if (!node.staged) {
    (void)fuse_reply_readlink(req, std::string(fs.inputs.EntryOf(node).symlink_target).c_str());
    return;
  }
  const auto target = fs.stage->ReadLink(node);
  if (!target) {
    ReplyErrno(req, target.error());
    return;
  }
  (void)fuse_reply_readlink(req, target->c_str());
}

void StatFs(fuse_req_t req, fuse_ino_t /*id*/) {
  FileSystem& fs = FileSystemOf(req);
  const auto status =
      stage::FileSystemStatus(fs.strict() ? fs.stage->root_fd() : fs.inputs.store().dir_fd());
  if (!status) {
    ReplyErrno(req, status.error());
    return;
  }
  (void)fuse_reply_statfs(req, &*status);
}

}  // namespace

void AddLookupOps(fuse_lowlevel_ops& ops) {
  ops.lookup = Guarded<Lookup>::Call;
  ops.forget = Guarded<Forget>::Call;
  ops.forget_multi = Guarded<ForgetMany>::Call;
  ops.getattr = Guarded<GetAttr>::Call;
  ops.readlink = Guarded<ReadLink>::Call;
  ops.statfs = Guarded<StatFs>::Call;
}

}  // namespace actiondfs::fuse
