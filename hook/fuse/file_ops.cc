// SPDX-License-Identifier: Apache-2.0
//
// OPEN, CREATE, TMPFILE and RELEASE: which real file an open file stands for, and who reads it (see
// Backing).
#include "hook/fuse/file_ops.h"

#include <fcntl.h>

#include <memory>
#include <utility>

#include "hook/fuse/reply.h"

namespace actiondfs::fuse {
namespace {

bool Writes(int flags) {
  return (flags & O_ACCMODE) != O_RDONLY;
}

Errno<UniqueFd> OpenReal(FileSystem& fs, Node& node, int flags) {
  if (!node.staged) {
    return fs.inputs.OpenBlob(node, flags);
  }
  return (flags & O_PATH) != 0 ? fs.stage->OpenPath(node) : fs.stage->Open(node, flags);
}

void CountWriters(FileSystem& fs, Node& node, int change) {
  const auto difference = static_cast<uint32_t>(change);
  node.writers.fetch_add(difference, std::memory_order_relaxed);
  if (fs.kept && node.id != 0) {
    fs.kept->nodes().Of(node)->writers.fetch_add(difference, std::memory_order_relaxed);
  }
}

// What the kernel is told of an open file.
struct Opened {
  Backing::Grant grant = {};
  std::unique_ptr<FileHandle> handle;  // of files that are not passed through
};

// Counts as an open of `node` (and a writer, by `flags`) until Close.
Errno<Opened> Open(FileSystem& fs, Node& node, int flags) {
  const auto grant = fs.backing.Acquire(node, [&] { return OpenReal(fs, node, O_PATH); });
  if (!grant) {
    return Fail(grant.error());
  }
  Opened opened = {*grant, nullptr};
  if (grant->mode == OpenMode::kCached) {
    Claim claim;
    auto fd = claim.Take(fs.budget, Resource::kDescriptors, 1)
                  ? OpenReal(fs, node, flags & O_ACCMODE)
                  : Fail(ENFILE);
    if (!fd) {
      fs.backing.Release(node);
      return Fail(fd.error());
    }
    opened.handle = std::make_unique<FileHandle>(fs.handles, std::move(claim), std::move(*fd));
  }
  fs.nodes.Reference(node);
  if (node.staged) {
    fs.stage->KeepOpen(node);
  }
  if (node.staged && Writes(flags)) {
    CountWriters(fs, node, 1);
    if ((flags & O_ACCMODE) == O_RDWR) {
      node.mapped_writable.store(true, std::memory_order_relaxed);
    }
  }
  return opened;
}

void Close(FileSystem& fs, Node& node, int flags, uint64_t fh) {
  const std::unique_ptr<OpenHandle> handle = fs.handles.Take(fh);
  if (node.staged && Writes(flags)) {
    CountWriters(fs, node, -1);
    NoteFullStage(fs);
  }
  fs.backing.Release(node);
  fs.nodes.Drop(node, 1);
}

void OpenFile(fuse_req_t req, fuse_ino_t id, fuse_file_info* fi) {
  FileSystem& fs = FileSystemOf(req);
  Node& node = fs.nodes.FromId(id);
  if (!node.staged && Writes(fi->flags)) {
    ReplyErrno(req, EROFS);
    return;
  }
  if (node.staged) {
    fs.stats.Add(Stat::stage_backing_open_attempts);
  }
  auto opened = Open(fs, node, fi->flags);
  if (!opened) {
    if (node.staged) {
      fs.stats.Add(Stat::stage_backing_open_failures);
    }
    ReplyErrno(req, opened.error());
    return;
  }
  if (node.staged && Writes(fi->flags)) {
    // What the kernel knows of size and times is about to become wrong without its noticing. It
    // fails for an inode that the kernel does not have: nothing is cached then.
    (void)fuse_lowlevel_notify_inval_inode(fs.session, id, -1, 0);
  }
  const wire::OpenOut out = OpenOutOf(fs, opened->grant, opened->handle.get());
  if (fuse_reply_buf(req, reinterpret_cast<const char*>(&out), sizeof(out)) != 0) {
    // Nobody will release what nobody got.
    opened->handle.reset();
    Close(fs, node, fi->flags, 0);
    return;
  }
  (void)opened->handle.release();  // RELEASE brings it back
}

void Release(fuse_req_t req, fuse_ino_t id, fuse_file_info* fi) {
  FileSystem& fs = FileSystemOf(req);
  Close(fs, fs.nodes.FromId(id), fi->flags, fi->fh);
  ReplyErrno(req, 0);
}

// The new file as CREATE and TMPFILE answer it; on failure nothing stays referenced.
struct Created {
  wire::CreateOut out = {};
  Node* node = nullptr;
  std::unique_ptr<FileHandle> handle;
};

Errno<Created> OpenNew(FileSystem& fs, Errno<Node*> made, const struct stat& st, int flags) {
  if (!made) {
    return Fail(made.error());
  }
  Node& node = **made;
  auto opened = Open(fs, node, flags);
  if (!opened) {
    fs.nodes.Drop(node, 1);
    return Fail(opened.error());
  }
  Created created;
  created.out.entry = EntryOut(fs, node, st);
  created.out.open = OpenOutOf(fs, opened->grant, opened->handle.get());
  created.node = &node;
  created.handle = std::move(opened->handle);
  return created;
}

void Undo(FileSystem& fs, Created& created, int flags) {
  created.handle.reset();
  Close(fs, *created.node, flags, 0);
  fs.nodes.Drop(*created.node, 1);
}

Errno<Created> CreateNamed(FileSystem& fs, Node& parent, const char* name, const NewFile& file) {
  fs.stats.Add(Stat::stage_create_calls);
  struct stat st = {};
  auto made = fs.strict() ? fs.stage->Make(parent, name, file.entry, st) : Fail(EROFS);
  auto created = OpenNew(fs, made, st, file.flags);
  if (made && !created) {
    // The kernel has the directory locked until the answer: nobody else knows of the file.
    (void)fs.stage->Remove(parent, name, false);
  }
  fs.stats.Add(created ? Stat::stage_create_success : Stat::stage_create_failures);
  return created;
}

void Create(fuse_req_t req, fuse_ino_t parent_id, const char* name, mode_t mode,
            fuse_file_info* fi) {
  FileSystem& fs = FileSystemOf(req);
  const fuse_ctx* caller = fuse_req_ctx(req);
  const NewFile file = {{.mode = S_IFREG | (mode & 07777), .owner = {caller->uid, caller->gid}},
                        fi->flags};
  auto created = CreateNamed(fs, fs.nodes.FromId(parent_id), name, file);
  if (!created) {
    ReplyErrno(req, created.error());
    return;
  }
  if (fuse_reply_buf(req, reinterpret_cast<const char*>(&created->out), sizeof(created->out)) !=
      0) {
    Undo(fs, *created, fi->flags);
    return;
  }
  (void)created->handle.release();  // RELEASE brings it back
}

}  // namespace

void NoteFullStage(FileSystem& fs) {
  // Writes that are passed through fail without the server's knowledge; a file system without a
  // free block is what it can see of that.
  const auto status = stage::FileSystemStatus(fs.stage->root_fd());
  if (status && status->f_bavail == 0 && status->f_blocks > 0) {
    fs.stats.NoteStageError(ENOSPC);
  }
}

int CreateUnnamed(FileSystem& fs, uint64_t parent_id, const NewFile& file,
                  const std::function<bool(const wire::CreateOut&)>& reply) {
  fs.stats.Add(Stat::stage_create_calls);
  struct stat st = {};
  auto made = fs.strict() ? fs.stage->MakeUnnamed(fs.nodes.FromId(parent_id), file.entry,
                                                  (file.flags & O_EXCL) == 0, st)
                          : Errno<Node*>(Fail(EROFS));
  auto created = OpenNew(fs, made, st, file.flags);
  fs.stats.Add(created ? Stat::stage_create_success : Stat::stage_create_failures);
  if (!created) {
    return created.error();
  }
  if (reply(created->out)) {
    (void)created->handle.release();
  } else {
    Undo(fs, *created, file.flags);
  }
  return 0;
}

void AddFileOps(fuse_lowlevel_ops& ops) {
  ops.open = Guarded<OpenFile>::Call;
  ops.create = Guarded<Create>::Call;
  ops.release = Guarded<Release>::Call;
}

}  // namespace actiondfs::fuse
