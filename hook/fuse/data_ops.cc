// SPDX-License-Identifier: Apache-2.0
//
// The bytes of open files, where the kernel does not pass them through: READ, WRITE; and what it
// never passes through: FSYNC, FALLOCATE, LSEEK, COPY_FILE_RANGE.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <utility>

#include "hook/fuse/reply.h"

namespace actiondfs::fuse {
namespace {

// The descriptor of a handle, or one that is opened for the occasion (files that are passed through
// have none).
class RealFile {
 public:
  RealFile(FileSystem& fs, Node& node, const fuse_file_info* fi, int flags) {
    if (fi != nullptr && fi->fh != 0) {
      const auto* handle = fs.handles.Find<FileHandle>(fi->fh);
      if (handle == nullptr) {
        handle = OpenAgain(fs, node, fi->fh);
      }
      if (handle != nullptr) {
        fd_ = handle->fd.get();
        return;
      }
    }
    auto opened = Open(fs, node, flags);
    if (!opened) {
      error_ = opened.error();
      return;
    }
    own_ = std::move(*opened);
    fd_ = own_.get();
  }
  int error() const { return error_; }
  int fd() const { return fd_; }

 private:
  static Errno<UniqueFd> Open(FileSystem& fs, Node& node, int flags) {
    return node.staged ? fs.stage->Open(node, flags) : fs.inputs.OpenBlob(node, flags);
  }

  // For a handle of a process that was killed. What it was opened for was the kernel's to check,
  // and it still does. Null: for the occasion only.
  static const FileHandle* OpenAgain(FileSystem& fs, Node& node, uint64_t number) {
    Claim claim;
    if (!claim.Take(fs.budget, Resource::kDescriptors, 1)) {
      return nullptr;
    }
    auto opened = Open(fs, node, node.staged ? O_RDWR : O_RDONLY);
    if (!opened) {
      return nullptr;
    }
    return &fs.handles.Adopt(
        number, std::make_unique<FileHandle>(fs.handles, std::move(claim), std::move(*opened)));
  }

  UniqueFd own_;
  int fd_ = -1;
  int error_ = 0;
};

void Read(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset, fuse_file_info* fi) {
  FileSystem& fs = FileSystemOf(req);
  Node& node = fs.nodes.FromId(id);
  const RealFile file(fs, node, fi, O_RDONLY);
  if (file.error() != 0) {
    ReplyErrno(req, file.error());
    return;
  }
  size = std::min(size, wire::kMaxData);
  fs.stats.Add(node.staged ? Stat::stage_read_calls : Stat::backing_reads);
  fs.stats.Add(node.staged ? Stat::stage_read_bytes : Stat::backing_read_bytes, size);
  // NOLINTBEGIN(clang-analyzer-optin.core.EnumCastOutOfRange): libfuse's C enums are sets of flags
  fuse_bufvec data = FUSE_BUFVEC_INIT(size);
  data.buf[0].flags = static_cast<fuse_buf_flags>(FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK);
  data.buf[0].fd = file.fd();
  data.buf[0].pos = offset;
  (void)fuse_reply_data(req, &data, static_cast<fuse_buf_copy_flags>(0));
  // NOLINTEND(clang-analyzer-optin.core.EnumCastOutOfRange)
}

// As the kernel does for who may not keep set-id bits; it leaves that to the server
// (HANDLE_KILLPRIV_V2).
void DropSetId(FileSystem& fs, Node& node, int fd, uid_t caller) {
  if (caller == 0 || !node.may_be_suid.load(std::memory_order_relaxed)) {
    return;
  }
  struct stat st = {};
  if (::fstat(fd, &st) != 0) {
    return;
  }
  mode_t mode = st.st_mode & ~static_cast<mode_t>(S_ISUID);
  if ((mode & S_IXGRP) != 0) {
    mode &= ~static_cast<mode_t>(S_ISGID);
  }
  if (mode != st.st_mode && ::fchmod(fd, mode & 07777) != 0) {
    fs.stats.NoteStageError(errno);
  }
  node.may_be_suid.store((mode & (S_ISUID | S_ISGID)) != 0, std::memory_order_relaxed);
}

void Write(fuse_req_t req, fuse_ino_t id, const char* data, size_t size, off_t offset,
           fuse_file_info* fi) {
  FileSystem& fs = FileSystemOf(req);
  Node& node = fs.nodes.FromId(id);
  if (!node.staged) {
    ReplyErrno(req, EROFS);  // the kernel does not ask for it: no open for writing succeeded
    return;
  }
  const RealFile file(fs, node, fi, O_WRONLY);
  if (file.error() != 0) {
    ReplyErrno(req, file.error());
    return;
  }
  fs.stats.Add(Stat::stage_write_calls);
  DropSetId(fs, node, file.fd(), fuse_req_ctx(req)->uid);
  ssize_t written = 0;
  do {
    written = ::pwrite(file.fd(), data, size, offset);
  } while (written < 0 && errno == EINTR);
  if (written < 0) {
    fs.stats.NoteStageError(errno);
    ReplyErrno(req, errno);
    return;
  }
  fs.stats.Add(Stat::stage_write_bytes, static_cast<uint64_t>(written));
  (void)fuse_reply_write(req, static_cast<size_t>(written));
}

void Flush(fuse_req_t req, fuse_ino_t /*id*/, fuse_file_info* /*fi*/) {
  // Nothing is held back here, ever: the kernel need not ask again.
  ReplyErrno(req, ENOSYS);
}

void Sync(fuse_req_t req, fuse_ino_t id, int datasync, fuse_file_info* fi) {
  FileSystem& fs = FileSystemOf(req);
  Node& node = fs.nodes.FromId(id);
  if (!node.staged) {
    ReplyErrno(req, 0);
    return;
  }
  const RealFile file(fs, node, fi, O_RDONLY);
  if (file.error() != 0) {
    ReplyErrno(req, file.error());
    return;
  }
  const int synced = datasync != 0 ? ::fdatasync(file.fd()) : ::fsync(file.fd());
  const int code = synced == 0 ? 0 : errno;
  fs.stats.NoteStageError(code);
  ReplyErrno(req, code);
}

void Allocate(fuse_req_t req, fuse_ino_t id, int mode, off_t offset, off_t length,
              fuse_file_info* fi) {
  FileSystem& fs = FileSystemOf(req);
  Node& node = fs.nodes.FromId(id);
  if (!node.staged) {
    ReplyErrno(req, EROFS);
    return;
  }
  const RealFile file(fs, node, fi, O_WRONLY);
  if (file.error() != 0) {
    ReplyErrno(req, file.error());
    return;
  }
  DropSetId(fs, node, file.fd(), fuse_req_ctx(req)->uid);
  const int code = ::fallocate(file.fd(), mode, offset, length) == 0 ? 0 : errno;
  fs.stats.NoteStageError(code);
  ReplyErrno(req, code);
}

void Seek(fuse_req_t req, fuse_ino_t id, off_t offset, int whence, fuse_file_info* fi) {
  FileSystem& fs = FileSystemOf(req);
  const RealFile file(fs, fs.nodes.FromId(id), fi, O_RDONLY);
  if (file.error() != 0) {
    ReplyErrno(req, file.error());
    return;
  }
  const off_t found = ::lseek(file.fd(), offset, whence);
  if (found < 0) {
    ReplyErrno(req, errno);
    return;
  }
  (void)fuse_reply_lseek(req, found);
}

void CopyFileRange(fuse_req_t req, fuse_ino_t in_id, off_t in_offset, fuse_file_info* in_fi,
                   fuse_ino_t out_id, off_t out_offset, fuse_file_info* out_fi, size_t length,
                   int flags) {
  // A request holds up one of the mount's threads: the caller comes again for the rest.
  constexpr size_t kMostAtOnce = size_t{64} << 20;
  FileSystem& fs = FileSystemOf(req);
  Node& out_node = fs.nodes.FromId(out_id);
  if (!out_node.staged) {
    ReplyErrno(req, EROFS);  // as for WRITE
    return;
  }
  const RealFile in(fs, fs.nodes.FromId(in_id), in_fi, O_RDONLY);
  const RealFile out(fs, out_node, out_fi, O_WRONLY);
  if (in.error() != 0 || out.error() != 0) {
    ReplyErrno(req, in.error() != 0 ? in.error() : out.error());
    return;
  }
  fs.stats.Add(Stat::stage_copy_file_range_attempts);
  DropSetId(fs, out_node, out.fd(), fuse_req_ctx(req)->uid);
  const ssize_t copied =
      ::copy_file_range(in.fd(), &in_offset, out.fd(), &out_offset, std::min(length, kMostAtOnce),
                        static_cast<unsigned>(flags));
  if (copied < 0) {
    // EXDEV (a stage on another file system): the kernel copies by reading and writing instead.
    fs.stats.Add(Stat::stage_copy_file_range_fallbacks);
    fs.stats.NoteStageError(errno);
    ReplyErrno(req, errno);
    return;
  }
  fs.stats.Add(Stat::stage_copy_file_range_success);
  fs.stats.Add(Stat::stage_copy_file_range_bytes, static_cast<uint64_t>(copied));
  (void)fuse_reply_write(req, static_cast<size_t>(copied));
}

}  // namespace

void AddDataOps(fuse_lowlevel_ops& ops) {
  ops.read = Guarded<Read>::Call;
  ops.write = Guarded<Write>::Call;
  ops.flush = Guarded<Flush>::Call;
  ops.fsync = Guarded<Sync>::Call;
  ops.fallocate = Guarded<Allocate>::Call;
  ops.lseek = Guarded<Seek>::Call;
  ops.copy_file_range = Guarded<CopyFileRange>::Call;
}

}  // namespace actiondfs::fuse
