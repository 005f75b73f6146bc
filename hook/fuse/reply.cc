// SPDX-License-Identifier: Apache-2.0
#include "hook/fuse/reply.h"

namespace actiondfs::fuse {
namespace {

uint64_t WholeSeconds(double timeout) {
  return static_cast<uint64_t>(timeout);
}

}  // namespace

void ReplyErrno(fuse_req_t req, int code) {
  // The reply itself fails only when the request is gone (interrupted, or unmounted): nobody waits
  // then.
  (void)fuse_reply_err(req, code);
}

void ReplyStatus(fuse_req_t req, const Errno<void>& status) {
  ReplyErrno(req, status ? 0 : status.error());
}

void ReplyNegative(fuse_req_t req) {
  fuse_entry_param entry = {};
  entry.entry_timeout = kForever;
  (void)fuse_reply_entry(req, &entry);
}

fuse_entry_param EntryParam(const FileSystem& fs, const Node& node, const struct stat& st) {
  fuse_entry_param entry = {};
  entry.ino = fs.nodes.IdOf(node);
  entry.attr = st;
  entry.attr_timeout = FileSystem::AttributeTimeout(node);
  entry.entry_timeout = kForever;
  return entry;
}

fuse_entry_out EntryOut(const FileSystem& fs, const Node& node, const struct stat& st) {
  fuse_entry_out out = {};
  out.nodeid = fs.nodes.IdOf(node);
  out.entry_valid = WholeSeconds(kForever);
  out.attr_valid = WholeSeconds(FileSystem::AttributeTimeout(node));
  fuse_attr& attr = out.attr;
  attr.ino = st.st_ino;
  attr.size = static_cast<uint64_t>(st.st_size);
  attr.blocks = static_cast<uint64_t>(st.st_blocks);
  attr.atime = static_cast<uint64_t>(st.st_atim.tv_sec);
  attr.mtime = static_cast<uint64_t>(st.st_mtim.tv_sec);
  attr.ctime = static_cast<uint64_t>(st.st_ctim.tv_sec);
  attr.atimensec = static_cast<uint32_t>(st.st_atim.tv_nsec);
  attr.mtimensec = static_cast<uint32_t>(st.st_mtim.tv_nsec);
  attr.ctimensec = static_cast<uint32_t>(st.st_ctim.tv_nsec);
  attr.mode = st.st_mode;
  attr.nlink = static_cast<uint32_t>(st.st_nlink);
  attr.uid = st.st_uid;
  attr.gid = st.st_gid;
  attr.rdev = static_cast<uint32_t>(st.st_rdev);
  attr.blksize = static_cast<uint32_t>(st.st_blksize);
  return out;
}

wire::OpenOut OpenOutOf(const FileSystem& fs, const Backing::Grant& grant,
                        const FileHandle* handle) {
  wire::OpenOut out = {};
  out.open_flags = wire::kOpenNoFlush;
  if (grant.mode == OpenMode::kPassthrough) {
    out.open_flags |= wire::kOpenPassthrough;
    out.backing_id = grant.backing_id;
  } else {
    out.open_flags |= wire::kOpenKeepCache;
    out.fh = fs.handles.NumberOf(handle);
  }
  return out;
}

void ReplyEntry(fuse_req_t req, FileSystem& fs, Node& node, const struct stat& st) {
  const fuse_entry_param entry = EntryParam(fs, node, st);
  if (fuse_reply_entry(req, &entry) != 0) {
    fs.nodes.Drop(node, 1);
  }
}

void ReplyEntry(fuse_req_t req, FileSystem& fs, Node& node) {
  const auto st = fs.Attributes(node);
  if (!st) {
    fs.nodes.Drop(node, 1);
    ReplyErrno(req, st.error());
    return;
  }
  ReplyEntry(req, fs, node, *st);
}

}  // namespace actiondfs::fuse
