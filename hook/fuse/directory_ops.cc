// SPDX-License-Identifier: Apache-2.0
//
// OPENDIR, READDIR, READDIRPLUS, RELEASEDIR, FSYNCDIR.
//
// The stream of a directory is: ".", "..", its inputs by index, then the staged names as they were
// when the stream began. The offset of an entry is its position in that row, plus one; so deleting,
// or making, entries while reading moves nothing, and nothing is copied for the inputs.
#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "hook/fuse/reply.h"
#include "hook/fuse/restore.h"

namespace actiondfs::fuse {
namespace {

constexpr size_t kDots = 2;
// What a directory handle counts for, its names apart.
constexpr size_t kHandleBytes = 256;

struct DirectoryHandle : OpenHandle {
  explicit DirectoryHandle(FileSystem& file_system)
      : OpenHandle(file_system.handles),
        fs(file_system),
        number(file_system.handles.NumberOf(this)) {}
  // For a stream of a process that was killed.
  DirectoryHandle(FileSystem& file_system, uint64_t old_number)
      : OpenHandle(file_system.handles), fs(file_system), number(old_number) {}
  ~DirectoryHandle() override {
    if (recorded) {
      fs.kept->streams().Free(number);
    }
  }
  DirectoryHandle(const DirectoryHandle&) = delete;
  DirectoryHandle& operator=(const DirectoryHandle&) = delete;

  // The names, whose memory is claimed.
  void Hold(std::vector<stage::Listed> names, Claim claim) {
    staged = std::move(names);
    listed = std::move(claim);
    if (fs.kept && (recorded || !staged.empty())) {
      fs.kept->streams().Write(number, staged);
      recorded = true;
    }
  }
  void LetGo() {
    staged = {};
    listed.Release();
  }

  FileSystem& fs;
  const uint64_t number;  // the kernel's
  Claim itself;
  std::mutex mutex;
  bool recorded = false;              // mutex
  Claim listed;                       // mutex; for the names below
  std::vector<stage::Listed> staged;  // mutex
  std::vector<std::string> roots;     // mutex; of the top of many roots
};

// One that is not known is of a process that was killed, and had no names yet, or no room to record
// them: it begins anew.
DirectoryHandle& HandleOf(FileSystem& fs, const fuse_file_info& fi, bool& anew) {
  auto* handle = fs.handles.Find<DirectoryHandle>(fi.fh);
  anew = handle == nullptr;
  return anew ? fs.handles.Adopt(fi.fh, std::make_unique<DirectoryHandle>(fs, fi.fh)) : *handle;
}

// One READDIR: where it reads and what it has gathered.
class Reader {
 public:
  Reader(fuse_req_t req, FileSystem& fs, Node& directory, size_t size, bool plus)
      : req_(req),
        fs_(fs),
        directory_(directory),
        plus_(plus),
        buffer_(Buffer(size)),
        size_(size) {}

  // False: the buffer is full, the entry is left for the next time.
  bool AddDot(size_t position) {
    struct stat st = {};
    std::shared_lock<std::shared_mutex> lock;
    if (directory_.staged) {
      lock = std::shared_lock(fs_.stage->names);  // a rename moves it
    }
    const Node& node =
        position == 1 && directory_.parent != nullptr ? *directory_.parent : directory_;
    st.st_ino = node.ino;
    st.st_mode = S_IFDIR;
    return AddPlain(position == 0 ? "." : "..", st, position);
  }

  bool AddInput(const tree::Entry& entry, uint32_t index, size_t position) {
    char name[NAME_MAX + 1] = {};
    std::memcpy(name, entry.name.data(), entry.name.size());
    struct stat st = {};
    st.st_ino = fs_.inputs.InoOf(directory_, entry);
    st.st_mode = entry.kind == tree::EntryKind::kDirectory ? S_IFDIR
                 : entry.kind == tree::EntryKind::kSymlink ? S_IFLNK
                                                           : S_IFREG;
    if (!plus_ || entry.kind == tree::EntryKind::kDirectory || !fs_.HasRoomForNode()) {
      // A directory's attributes are in its own Directory: that is read when somebody asks for
      // them.
      return AddPlain(name, st, position);
    }
    if (!Fits(entry.name.size())) {
      return false;
    }
    Node& node = fs_.inputs.Child(directory_, index, entry);
    return AddPlus(name, node, fs_.inputs.AttributesOf(node.ino, entry), position);
  }

  bool AddStaged(const stage::Listed& entry, size_t position) {
    if (!Fits(entry.name.size())) {
      return false;
    }
    struct stat st = {};
    const std::shared_lock lock(fs_.stage->names);
    const auto dir = fs_.stage->DirectoryOf(directory_);
    const auto found = dir ? stage::Status({(*dir)->get(), entry.name.c_str()})
                           : Errno<struct stat>(Fail(dir.error()));
    if (!found) {
      return true;  // gone since the stream began: left out
    }
    st = *found;
    if (!plus_ || !fs_.HasRoomForNode()) {
      return AddPlain(entry.name.c_str(), st, position);
    }
    return AddPlus(entry.name.c_str(), fs_.nodes.GetStaged(directory_, entry.name, st), st,
                   position);
  }

  void Reply() {
    fs_.stats.Add(Stat::readdir_entries, entries_);
    if (fuse_reply_buf(req_, buffer_.data(), used_) != 0 && plus_) {
      DropNodes();
    }
  }

 private:
  // Nobody got the entries: nobody will forget them.
  void DropNodes() {
    for (size_t at = 0; at < used_;) {
      const auto* entry = reinterpret_cast<const fuse_direntplus*>(buffer_.data() + at);
      if (entry->entry_out.nodeid != 0) {
        fs_.nodes.Drop(fs_.nodes.FromId(entry->entry_out.nodeid), 1);
      }
      at += FUSE_DIRENTPLUS_SIZE(entry);
    }
  }

  // One buffer a thread, so that nothing is allocated for a request.
  static std::vector<char>& Buffer(size_t size) {
    thread_local std::vector<char> buffer;
    if (buffer.size() < size) {
      buffer.resize(size);
    }
    return buffer;
  }

  bool Fits(size_t name_size) const {
    const size_t header = plus_ ? FUSE_NAME_OFFSET_DIRENTPLUS : FUSE_NAME_OFFSET;
    return used_ + FUSE_DIRENT_ALIGN(header + name_size) <= size_;
  }

  bool AddPlain(const char* name, const struct stat& st, size_t position) {
    if (!Fits(std::strlen(name))) {
      return false;
    }
    const auto next = static_cast<off_t>(position + 1);
    if (plus_) {
      fuse_entry_param entry = {};  // no node: the kernel looks it up itself
      entry.attr = st;
      used_ +=
          fuse_add_direntry_plus(req_, buffer_.data() + used_, size_ - used_, name, &entry, next);
    } else {
      used_ += fuse_add_direntry(req_, buffer_.data() + used_, size_ - used_, name, &st, next);
    }
    ++entries_;
    return true;
  }

  bool AddPlus(const char* name, Node& node, const struct stat& st, size_t position) {
    const fuse_entry_param entry = EntryParam(fs_, node, st);
    used_ += fuse_add_direntry_plus(req_, buffer_.data() + used_, size_ - used_, name, &entry,
                                    static_cast<off_t>(position + 1));
    ++entries_;
    return true;
  }

  const fuse_req_t req_;
  FileSystem& fs_;
  Node& directory_;
  const bool plus_;
  std::vector<char>& buffer_;
  const size_t size_;
  size_t used_ = 0;
  size_t entries_ = 0;
};

// What a stream of `directory` reads after its inputs, as it is now.
Errno<void> TakeSnapshot(FileSystem& fs, Node& directory, DirectoryHandle& handle) {
  if (fs.IsTopOfManyRoots(directory)) {
    handle.roots = fs.inputs.RootNames();
    if (!handle.listed.Take(fs.budget, Resource::kBytes,
                            handle.roots.size() * Inputs::kRootBytes)) {
      handle.roots.clear();
      return Fail(ENOMEM);
    }
    return {};
  }
  if (!fs.strict()) {
    return {};
  }
  handle.LetGo();  // not both the old ones and the new
  Claim claim;
  const std::shared_lock lock(fs.stage->names);
  auto listed = fs.stage->List(directory, claim);
  if (!listed) {
    return Fail(listed.error());
  }
  handle.Hold(std::move(*listed), std::move(claim));
  return {};
}

bool HasStaged(FileSystem& fs, Node& directory) {
  if (!fs.strict()) {
    return false;
  }
  const std::shared_lock lock(fs.stage->names);
  // Where it cannot be told, reading will say why.
  return fs.stage->HasMirror(directory).value_or(true);
}

void OpenDir(fuse_req_t req, fuse_ino_t id, fuse_file_info* fi) {
  FileSystem& fs = FileSystemOf(req);
  Node& node = fs.nodes.FromId(id);
  if (fs.IsTopOfManyRoots(node) && !fs.options.list_roots) {
    ReplyErrno(req, EPERM);
    return;
  }
  if (!fs.strict() && !fs.options.inputs.many_roots) {
    // Always so for this mount: the kernel opens, and caches, directories by itself from now on.
    ReplyErrno(req, ENOSYS);
    return;
  }
  // The kernel throws its copy away when it changes something in the directory itself.
  const bool cache = !fs.options.inputs.many_roots && !HasStaged(fs, node);
  fi->cache_readdir = cache ? 1 : 0;
  fi->keep_cache = cache ? 1 : 0;
  auto handle = std::make_unique<DirectoryHandle>(fs);
  if (!handle->itself.Take(fs.budget, Resource::kBytes, kHandleBytes)) {
    ReplyErrno(req, ENOMEM);
    return;
  }
  fi->fh = handle->number;
  if (fuse_reply_open(req, fi) == 0) {
    (void)handle.release();  // RELEASEDIR brings it back
  }
}

void ReleaseDir(fuse_req_t req, fuse_ino_t /*id*/, fuse_file_info* fi) {
  FileSystem& fs = FileSystemOf(req);
  fs.handles.Take(fi->fh).reset();
  ReplyErrno(req, 0);
}

void ReadInputs(FileSystem& fs, Node& node, DirectoryHandle* handle, const tree::Directory* inputs,
                Reader& reader, size_t position) {
  const size_t input_count = inputs != nullptr ? inputs->size() : 0;
  for (; position < kDots; ++position) {
    if (!reader.AddDot(position)) {
      return;
    }
  }
  for (; position < kDots + input_count; ++position) {
    const size_t index = position - kDots;
    if (!reader.AddInput(inputs->at(index), static_cast<uint32_t>(index), position)) {
      return;
    }
  }
  if (handle == nullptr) {
    return;
  }
  if (fs.IsTopOfManyRoots(node)) {
    for (size_t i = position - kDots; i < handle->roots.size(); ++i) {
      tree::Entry entry;
      entry.kind = tree::EntryKind::kDirectory;
      entry.name = handle->roots[i];
      if (!reader.AddInput(entry, static_cast<uint32_t>(i), kDots + i)) {
        return;
      }
    }
    return;
  }
  for (size_t i = position - kDots - input_count; i < handle->staged.size(); ++i) {
    if (!reader.AddStaged(handle->staged[i], kDots + input_count + i)) {
      return;
    }
  }
}

void Read(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset, fuse_file_info* fi, bool plus) {
  FileSystem& fs = FileSystemOf(req);
  Node& node = fs.nodes.FromId(id);
  fs.stats.Add(offset == 0 ? Stat::readdirs : Stat::readdir_resumes);
  const tree::Directory* inputs = nullptr;
  if (!node.staged && !fs.IsTopOfManyRoots(node)) {
    const auto loaded = fs.inputs.DirectoryOf(node);
    if (!loaded) {
      ReplyErrno(req, loaded.error());
      return;
    }
    inputs = *loaded;
  }
  int error = 0;
  Reader reader(req, fs, node, std::min(size, wire::kMaxData), plus);
  if (fi->fh == 0) {
    ReadInputs(fs, node, nullptr, inputs, reader, static_cast<size_t>(offset));
    reader.Reply();
    return;
  }
  {
    bool anew = false;
    DirectoryHandle& handle = HandleOf(fs, *fi, anew);
    const std::lock_guard lock(handle.mutex);
    if (offset == 0 || anew) {  // the first time, or rewinddir(3)
      if (auto taken = TakeSnapshot(fs, node, handle); !taken) {
        error = taken.error();
      }
    }
    if (error == 0) {
      ReadInputs(fs, node, &handle, inputs, reader, static_cast<size_t>(offset));
    }
  }
  // Only now: once there is a reply, another thread may be told to release the handle.
  if (error != 0) {
    ReplyErrno(req, error);
  } else {
    reader.Reply();
  }
}

void ReadDir(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset, fuse_file_info* fi) {
  Read(req, id, size, offset, fi, false);
}

void ReadDirPlus(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset, fuse_file_info* fi) {
  Read(req, id, size, offset, fi, true);
}

void SyncDir(fuse_req_t req, fuse_ino_t id, int datasync, fuse_file_info* /*fi*/) {
  FileSystem& fs = FileSystemOf(req);
  Node& node = fs.nodes.FromId(id);
  if (!fs.strict()) {
    ReplyErrno(req, 0);
    return;
  }
  const auto fd = fs.stage->Open(node, O_RDONLY | O_DIRECTORY);
  if (!fd) {
    // An input directory in which nothing was made has nothing to sync.
    ReplyErrno(req, fd.error() == ENOENT && !node.staged ? 0 : fd.error());
    return;
  }
  const int synced = datasync != 0 ? ::fdatasync(fd->get()) : ::fsync(fd->get());
  ReplyErrno(req, synced == 0 ? 0 : errno);
}

}  // namespace

void RestoreStreams(FileSystem& fs) {
  for (StreamRecords::Stream& stream : fs.kept->streams().Read()) {
    auto handle = std::make_unique<DirectoryHandle>(fs, stream.fh);
    handle->recorded = true;
    size_t size = 0;
    for (const stage::Listed& entry : stream.names) {
      size += entry.MemoryUse();
    }
    Claim claim;
    claim.Add(fs.budget, Resource::kBytes, size);  // not refused: the earlier process held them
    handle->Hold(std::move(stream.names), std::move(claim));
    fs.handles.Adopt(stream.fh, std::move(handle));
  }
}

void AddDirectoryOps(fuse_lowlevel_ops& ops) {
  ops.opendir = Guarded<OpenDir>::Call;
  ops.readdir = Guarded<ReadDir>::Call;
  ops.readdirplus = Guarded<ReadDirPlus>::Call;
  ops.releasedir = Guarded<ReleaseDir>::Call;
  ops.fsyncdir = Guarded<SyncDir>::Call;
}

}  // namespace actiondfs::fuse
