// SPDX-License-Identifier: Apache-2.0
//
// Each digest is looked at once, however often it is in the tree: Directories that name each other
// in layers span more paths than there is time to walk.
#include "hook/apps/cli/tree_check.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <unordered_set>
#include <utility>

#include "hook/apps/cli/blob_copy.h"
#include "hook/base/files.h"
#include "hook/cas/layout.h"
#include "hook/cas/work_queue.h"
#include "hook/tree/directory.h"
#include "hook/tree/directory_cache.h"

namespace actiondfs::cli {
namespace {

constexpr std::chrono::milliseconds kProgressInterval(100);
constexpr size_t kFilesPerTask = 32;

using DigestSet = std::unordered_set<cas::Digest, cas::DigestHasher>;

struct File {
  cas::Digest digest;
  std::string path;
};

std::string Join(const std::string& path, std::string_view name) {
  return path.empty() ? std::string(name) : path + "/" + std::string(name);
}

class Checker {
 public:
  Checker(const cas::BlobStore& store, int jobs) : store_(store), jobs_(jobs) {}

  Result<TreeCheck> Run(const cas::Digest& root,
                        const std::function<void(const TreeCheck&)>& progress);

 private:
  Status StartThreads(std::vector<std::jthread>& threads);
  TreeCheck Counts();
  void CheckDirectory(const cas::Digest& digest, const std::string& path);
  void CheckFiles(const std::vector<File>& files);
  void QueueChildren(const tree::Directory& directory, const std::string& path);
  bool IsNew(DigestSet& seen, const cas::Digest& digest);
  void Count(const cas::Digest& digest, bool directory);
  void Report(const cas::Digest& digest, const std::string& path, const Error& error,
              bool malformed = false);
  std::string KindOf(const cas::Digest& digest, int code) const;

  const cas::BlobStore& store_;
  const int jobs_;
  cas::WorkQueue queue_;
  std::mutex mutex_;  // guards what follows
  DigestSet directories_;
  DigestSet files_;
  TreeCheck result_;
};

Result<TreeCheck> Checker::Run(const cas::Digest& root,
                               const std::function<void(const TreeCheck&)>& progress) {
  directories_.insert(root);
  queue_.AddBranch([this, root](int) { CheckDirectory(root, ""); });
  {
    std::vector<std::jthread> threads;
    RETURN_IF_ERROR(StartThreads(threads));
    while (!queue_.WaitUntilDone(kProgressInterval)) {
      progress(Counts());
    }
  }
  std::ranges::sort(result_.faults, {}, &Fault::path);
  return std::move(result_);
}

Status Checker::StartThreads(std::vector<std::jthread>& threads) {
  const int jobs =
      jobs_ > 0 ? jobs_ : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
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

TreeCheck Checker::Counts() {
  const std::lock_guard lock(mutex_);
  return {.blobs = result_.blobs,
          .directories = result_.directories,
          .bytes = result_.bytes,
          .faults = {}};
}

void Checker::CheckDirectory(const cas::Digest& digest, const std::string& path) {
  Count(digest, /*directory=*/true);
  auto blob = store_.ReadBlob(digest, tree::kMaxDirectorySize);
  if (!blob) {
    Report(digest, path, blob.error());
    return;
  }
  auto directory = tree::Directory::Parse(std::move(*blob));
  if (!directory) {
    Report(digest, path, std::move(directory).error().Wrap("Directory " + digest.ToString()),
           /*malformed=*/true);
    return;
  }
  QueueChildren(**directory, path);
}

void Checker::QueueChildren(const tree::Directory& directory, const std::string& path) {
  std::vector<File> files;
  const auto flush = [&] {
    if (!files.empty()) {
      queue_.AddLeaf([this, batch = std::exchange(files, {})](int) { CheckFiles(batch); });
    }
  };
  for (size_t i = 0; i < directory.size(); ++i) {
    const tree::Entry entry = directory.at(i);
    if (entry.kind == tree::EntryKind::kDirectory && IsNew(directories_, entry.digest)) {
      queue_.AddBranch([this, digest = entry.digest, below = Join(path, entry.name)](int) {
        CheckDirectory(digest, below);
      });
    }
    if (entry.kind == tree::EntryKind::kFile && IsNew(files_, entry.digest)) {
      files.push_back({entry.digest, Join(path, entry.name)});
      if (files.size() == kFilesPerTask) {
        flush();
      }
    }
  }
  flush();
}

void Checker::CheckFiles(const std::vector<File>& files) {
  for (const File& file : files) {
    Count(file.digest, /*directory=*/false);
    if (const auto status = CopyBlob(store_, file.digest, -1); !status) {
      Report(file.digest, file.path, status.error());
    }
  }
}

bool Checker::IsNew(DigestSet& seen, const cas::Digest& digest) {
  const std::lock_guard lock(mutex_);
  return seen.insert(digest).second;
}

void Checker::Count(const cas::Digest& digest, bool directory) {
  const std::lock_guard lock(mutex_);
  ++result_.blobs;
  result_.directories += directory ? 1 : 0;
  result_.bytes += static_cast<uint64_t>(digest.size);
}

void Checker::Report(const cas::Digest& digest, const std::string& path, const Error& error,
                     bool malformed) {
  Fault fault = {.kind = malformed ? "malformed" : KindOf(digest, error.code()),
                 .digest = digest,
                 .path = path,
                 .message = error.ToString()};
  const std::lock_guard lock(mutex_);
  result_.faults.push_back(std::move(fault));
}

std::string Checker::KindOf(const cas::Digest& digest, int code) const {
  if (code == ENOENT) {
    return "missing";
  }
  if (code == EUCLEAN) {
    return "wrong";
  }
  const auto st = StatAt(store_.dir_fd(), cas::BlobPath(store_.layout(), digest));
  if (code != EIO || !st || !S_ISREG(st->st_mode) || st->st_size == digest.size) {
    return "unreadable";
  }
  return st->st_size < digest.size ? "short" : "long";
}

}  // namespace

Result<TreeCheck> CheckTree(const cas::BlobStore& store, const cas::Digest& root, int jobs,
                            const std::function<void(const TreeCheck&)>& progress) {
  return Checker(store, jobs).Run(root, progress);
}

}  // namespace actiondfs::cli
