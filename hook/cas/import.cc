// SPDX-License-Identifier: Apache-2.0
//
// How the tree is gone through. A directory is a Node from when its parent was read until its own
// Directory message is in the store, and that is so when all of its files and subdirectories are. A
// Node counts what is still to be done; whoever does the last of it writes the message, frees the
// Node, and goes on with the parent: so the stack stays flat, however deep the tree. Directories
// are opened by path below the root, one at a time and only while no file waits (see WorkQueue),
// and each stays open until its files are read: at most two for each thread.
#include "hook/cas/import.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <memory>
#include <mutex>
#include <ranges>
#include <system_error>
#include <thread>
#include <utility>

#include "build/bazel/remote/execution/v2/remote_execution.pb.h"
#include "hook/base/beneath.h"
#include "hook/base/dir_stream.h"
#include "hook/base/files.h"
#include "hook/base/text.h"
#include "hook/cas/hasher.h"
#include "hook/cas/import_file.h"
#include "hook/cas/work_queue.h"

namespace actiondfs::cas {
namespace {

namespace reapi = build::bazel::remote::execution::v2;

constexpr size_t kFilesPerTask = 32;
constexpr mode_t kPermissions = 0777;
constexpr std::chrono::hours kStaleTemporary(24);
constexpr std::chrono::milliseconds kProgressInterval(100);

struct Node {
  Node* parent = nullptr;  // lives longer: it waits for this one
  std::string name;
  reapi::DirectoryNode* slot = nullptr;  // in the parent's message; null for the root
  double weight = 1;                     // of everything below, in the progress
  reapi::Directory message;
  std::atomic<size_t> pending = 1;  // its own scan, tasks of files, subdirectories
};

// Files of one directory: of each, where its name is and its digest shall be. The messages are
// distinct, so that several threads may fill them at once.
using FileSlots = std::vector<reapi::FileNode*>;

void SetDigest(const Digest& digest, reapi::Digest* out) {
  out->set_hash(digest.HashHex());
  out->set_size_bytes(digest.size);
}

void SetMtime(const struct timespec& mtime, reapi::NodeProperties* out) {
  out->mutable_mtime()->set_seconds(mtime.tv_sec);
  out->mutable_mtime()->set_nanos(static_cast<int32_t>(mtime.tv_nsec));
}

void SetProperties(mode_t mode, const struct timespec& mtime, reapi::NodeProperties* out) {
  out->mutable_unix_mode()->set_value(mode & kPermissions);
  SetMtime(mtime, out);
}

// The path below the root.
std::string PathOf(const Node& node) {
  std::vector<const std::string*> names;
  for (const Node* at = &node; at->parent != nullptr; at = at->parent) {
    names.push_back(&at->name);
  }
  std::string path;
  for (const std::string* name : names | std::views::reverse) {
    path += path.empty() ? *name : "/" + *name;
  }
  return path;
}

Result<std::vector<DirEntry>> ReadSorted(DirStream& stream) {
  std::vector<DirEntry> entries;
  for (;;) {
    ASSIGN_OR_RETURN(auto entry, stream.Next());
    if (!entry) {
      break;
    }
    if (entry->type == DT_UNKNOWN) {
      ASSIGN_OR_RETURN(const struct stat st, StatAt(stream.fd(), entry->name));
      entry->type = static_cast<uint8_t>(IFTODT(st.st_mode));
    }
    entries.push_back(std::move(*entry));
  }
  std::ranges::sort(entries, {}, &DirEntry::name);
  return entries;
}

std::string_view KindName(uint8_t type) {
  switch (type) {
    case DT_SOCK:
      return "a socket";
    case DT_FIFO:
      return "a FIFO";
    case DT_CHR:
    case DT_BLK:
      return "a device";
    default:
      return "of an unknown kind";
  }
}

class TreeImporter {
 public:
  TreeImporter(std::string dir, const BlobStore& store, const ImportOptions& options)
      : dir_(std::move(dir)), store_(store), options_(options) {}

  std::expected<ImportResult, ImportFailure> Run();

 private:
  Status Prepare();
  Status StartThreads(std::vector<std::jthread>& threads);
  ImportProgress Progress() const;

  void Scan(Node* node);
  Status ScanDirectory(Node* node, double* done);
  void AddEntry(Node* node, int dirfd, const DirEntry& entry, FileSlots* files);
  Status AddSymlink(Node* node, int dirfd, const std::string& name);
  void QueueFiles(Node* node, std::shared_ptr<const UniqueFd> dir, const FileSlots& files,
                  double share);
  void ImportFiles(const Node& node, int dirfd, const FileSlots& files, FileImporter& importer);
  void Done(Node* node, double share);
  void Finish(Node& node);
  Result<Digest> WriteMessage(const reapi::Directory& message);
  void CountNew(int64_t bytes);

  std::string Shown(const Node& node, std::string_view name = {}) const;
  void Fail(const std::string& shown_path, Error error, bool stop = false);

  const std::string dir_;
  const BlobStore& store_;
  const ImportOptions& options_;
  UniqueFd root_;
  struct stat store_stat_ = {};

  WorkQueue queue_;
  std::vector<std::unique_ptr<FileImporter>> importers_;  // one a thread

  std::atomic<uint64_t> files_ = 0, directories_ = 0, symlinks_ = 0, bytes_ = 0;
  std::atomic<uint64_t> new_blobs_ = 0, new_bytes_ = 0;
  std::atomic<double> fraction_ = 0;
  Digest result_;  // written by the thread that finishes the root

  std::mutex errors_mutex_;
  std::vector<Error> errors_;          // guarded by errors_mutex_
  std::atomic<bool> failed_ = false;   // there are errors: no Directory is written any more
  std::atomic<bool> stopped_ = false;  // and no more of them are looked for
};

std::expected<ImportResult, ImportFailure> TreeImporter::Run() {
  if (auto status = Prepare(); !status) {
    return std::unexpected(ImportFailure{{std::move(status).error()}});
  }
  queue_.AddBranch([this, root = std::make_unique<Node>().release()](int) { Scan(root); });
  {
    std::vector<std::jthread> threads;
    if (auto status = StartThreads(threads); !status) {
      Fail("", std::move(status).error(), /*stop=*/true);
      queue_.Run(0);  // frees the root
    }
    while (!queue_.WaitUntilDone(kProgressInterval)) {
      if (options_.progress) {
        options_.progress(Progress());
      }
    }
  }
  if (options_.progress) {
    options_.progress(Progress());
  }
  if (failed_) {
    std::ranges::sort(errors_, {}, &Error::what);
    return std::unexpected(ImportFailure{std::move(errors_)});
  }
  return ImportResult{result_, Progress().counts};
}

Status TreeImporter::Prepare() {
  ASSIGN_OR_RETURN(root_, OpenAt(AT_FDCWD, dir_, O_RDONLY | O_DIRECTORY));
  ASSIGN_OR_RETURN(store_stat_, StatFd(store_.dir_fd()));
  // Tidying is a courtesy: what is wrong with the store is said when a blob is added.
  (void)store_.RemoveStaleTemporaries(kStaleTemporary);
  return {};
}

Status TreeImporter::StartThreads(std::vector<std::jthread>& threads) {
  const int jobs = options_.jobs > 0
                       ? options_.jobs
                       : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  for (int i = 0; i < jobs; ++i) {
    importers_.push_back(std::make_unique<FileImporter>(store_));
  }
  for (int i = 0; i < jobs; ++i) {
    try {
      threads.emplace_back([this, i] { queue_.Run(i); });
    } catch (const std::system_error& error) {
      if (threads.empty()) {
        return MakeError(error.code().value(), "start a thread");
      }
      break;  // fewer do it as well
    }
  }
  return {};
}

ImportProgress TreeImporter::Progress() const {
  return {.fraction = std::min(1.0, fraction_.load()),
          .counts = {.files = files_,
                     .directories = directories_,
                     .symlinks = symlinks_,
                     .bytes = bytes_,
                     .new_blobs = new_blobs_,
                     .new_bytes = new_bytes_}};
}

void TreeImporter::Scan(Node* node) {
  double done = 0;
  if (!stopped_) {
    if (auto status = ScanDirectory(node, &done); !status) {
      Fail(Shown(*node), std::move(status).error());
    }
  }
  Done(node, done);
}

// Reads the directory and queues what is in it. `done` gets the directory's own weight where
// nothing is.
Status TreeImporter::ScanDirectory(Node* node, double* done) {
  ASSIGN_OR_RETURN(UniqueFd fd, OpenBeneath(root_.get(), PathOf(*node), O_RDONLY | O_DIRECTORY));
  ASSIGN_OR_RETURN(const struct stat st, StatFd(fd.get()));
  if (st.st_dev == store_stat_.st_dev && st.st_ino == store_stat_.st_ino) {
    return MakeError(ELOOP, "this is the CAS that the tree is imported into");
  }
  if (options_.node_properties) {
    SetProperties(st.st_mode, st.st_mtim, node->message.mutable_node_properties());
  }
  const auto dir = std::make_shared<const UniqueFd>(std::move(fd));
  ASSIGN_OR_RETURN(UniqueFd again, OpenAt(dir->get(), ".", O_RDONLY | O_DIRECTORY));
  ASSIGN_OR_RETURN(DirStream stream, DirStream::Adopt(std::move(again)));
  ASSIGN_OR_RETURN(const std::vector<DirEntry> entries, ReadSorted(stream));
  FileSlots files;
  for (const DirEntry& entry : entries) {
    AddEntry(node, dir->get(), entry, &files);
  }
  ++directories_;

  const auto subdirectories = static_cast<size_t>(node->message.directories_size());
  const size_t parts = subdirectories + files.size();
  *done = parts == 0 ? node->weight : 0;
  const double share = node->weight / static_cast<double>(std::max<size_t>(parts, 1));
  node->pending += subdirectories;
  for (reapi::DirectoryNode& slot : *node->message.mutable_directories()) {
    auto child = std::make_unique<Node>();
    child->parent = node;
    child->name = slot.name();
    child->slot = &slot;
    child->weight = share;
    queue_.AddBranch([this, owned = child.release()](int) { Scan(owned); });
  }
  QueueFiles(node, dir, files, share);
  return {};
}

void TreeImporter::AddEntry(Node* node, int dirfd, const DirEntry& entry, FileSlots* files) {
  if (!IsUtf8(entry.name)) {
    Fail(Shown(*node, entry.name), Error(EILSEQ, "the name is not UTF-8, as REAPI wants it"));
    return;
  }
  switch (entry.type) {
    case DT_REG:
      files->push_back(node->message.add_files());
      files->back()->set_name(entry.name);
      return;
    case DT_DIR:
      node->message.add_directories()->set_name(entry.name);
      return;
    case DT_LNK:
      if (auto status = AddSymlink(node, dirfd, entry.name); !status) {
        Fail(Shown(*node, entry.name), std::move(status).error());
      }
      return;
    default:
      Fail(Shown(*node, entry.name),
           Error(EOPNOTSUPP, "this is " + std::string(KindName(entry.type)) +
                                 "; a tree has files, directories and symlinks only"));
  }
}

Status TreeImporter::AddSymlink(Node* node, int dirfd, const std::string& name) {
  ASSIGN_OR_RETURN(std::string target, ReadLinkAt(dirfd, name));
  if (!IsUtf8(target)) {
    return MakeError(EILSEQ, "the target is not UTF-8, as REAPI wants it");
  }
  reapi::SymlinkNode* symlink = node->message.add_symlinks();
  symlink->set_name(name);
  symlink->set_target(std::move(target));
  if (options_.node_properties) {
    ASSIGN_OR_RETURN(const struct stat st, StatAt(dirfd, name));
    SetMtime(st.st_mtim, symlink->mutable_node_properties());
  }
  ++symlinks_;
  return {};
}

void TreeImporter::QueueFiles(Node* node, std::shared_ptr<const UniqueFd> dir,
                              const FileSlots& files, double share) {
  for (size_t at = 0; at < files.size(); at += kFilesPerTask) {
    const size_t end = std::min(files.size(), at + kFilesPerTask);
    FileSlots slots(files.begin() + static_cast<ptrdiff_t>(at),
                    files.begin() + static_cast<ptrdiff_t>(end));
    ++node->pending;
    queue_.AddLeaf([this, node, dir, share, slots = std::move(slots)](int thread) {
      ImportFiles(*node, dir->get(), slots, *importers_[static_cast<size_t>(thread)]);
      Done(node, share * static_cast<double>(slots.size()));
    });
  }
}

void TreeImporter::ImportFiles(const Node& node, int dirfd, const FileSlots& files,
                               FileImporter& importer) {
  for (reapi::FileNode* slot : files) {
    if (stopped_) {
      return;
    }
    auto file = importer.Import(dirfd, slot->name());
    if (!file) {
      Fail(Shown(node, slot->name()), std::move(file).error(), importer.store_failed());
      continue;
    }
    SetDigest(file->digest, slot->mutable_digest());
    slot->set_is_executable((file->mode & S_IXUSR) != 0);
    if (options_.node_properties) {
      SetProperties(file->mode, file->mtime, slot->mutable_node_properties());
    }
    ++files_;
    bytes_ += static_cast<uint64_t>(file->digest.size);
    if (file->is_new) {
      CountNew(file->digest.size);
    }
  }
}

void TreeImporter::Done(Node* node, double share) {
  fraction_ += share;
  while (node != nullptr && --node->pending == 0) {
    const std::unique_ptr<Node> owned(node);
    Finish(*owned);
    node = owned->parent;
  }
}

void TreeImporter::Finish(Node& node) {
  if (failed_) {
    return;
  }
  const auto digest = WriteMessage(node.message);
  if (!digest) {
    Fail(Shown(node), digest.error(), /*stop=*/true);
  } else if (node.slot != nullptr) {
    SetDigest(*digest, node.slot->mutable_digest());
  } else {
    result_ = *digest;
  }
}

Result<Digest> TreeImporter::WriteMessage(const reapi::Directory& message) {
  if (message.ByteSizeLong() > kMaxDirectoryBytes) {
    return MakeError(EFBIG, "its Directory message has " + HumanBytes(message.ByteSizeLong()) +
                                ", over " + HumanBytes(kMaxDirectoryBytes));
  }
  // Canonical: fields in the order of their numbers (the messages have no maps), lists sorted by
  // ReadSorted.
  const std::string bytes = message.SerializeAsString();
  const Digest digest = DigestOf(bytes);
  ASSIGN_OR_RETURN(const bool is_new,
                   store_.Add(digest, [&](int fd) { return WriteAll(fd, bytes); }));
  if (is_new) {
    CountNew(digest.size);
  }
  return digest;
}

void TreeImporter::CountNew(int64_t bytes) {
  ++new_blobs_;
  new_bytes_ += static_cast<uint64_t>(bytes);
}

std::string TreeImporter::Shown(const Node& node, std::string_view name) const {
  std::string path = PathOf(node);
  if (!name.empty()) {
    path += path.empty() ? "" : "/";
    path += name;
  }
  return Quoted(path.empty() ? dir_ : dir_ + (dir_.ends_with('/') ? "" : "/") + path, PATH_MAX);
}

void TreeImporter::Fail(const std::string& shown_path, Error error, bool stop) {
  const std::lock_guard lock(errors_mutex_);
  if (errors_.size() < kMaxImportErrors) {
    errors_.push_back(shown_path.empty() ? std::move(error) : std::move(error).Wrap(shown_path));
  }
  failed_ = true;
  if (stop || errors_.size() == kMaxImportErrors) {
    stopped_ = true;
  }
}

}  // namespace

std::expected<ImportResult, ImportFailure> ImportTree(const std::string& dir,
                                                      const BlobStore& store,
                                                      const ImportOptions& options) {
  return TreeImporter(dir, store, options).Run();
}

}  // namespace actiondfs::cas
