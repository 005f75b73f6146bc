// SPDX-License-Identifier: Apache-2.0
#include "hook/record/stage_summary.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>

#include <cerrno>
#include <climits>
#include <string>
#include <utility>
#include <vector>

#include "hook/base/dir_stream.h"
#include "hook/base/files.h"

namespace actiondfs::record {
namespace {

constexpr int kOpenFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
constexpr char kRoot[] = ".";
constexpr uint64_t kResolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;

// Directories wait as paths, not as descriptors: neither depth nor width costs one.
class Walk {
 public:
  Walk(int root, uint64_t most) : root_(root), left_(most) {}

  Result<StagedSummary> Run() {
    waiting_.emplace_back(kRoot);
    while (!waiting_.empty() && left_ > 0) {
      const std::string path = std::move(waiting_.back());
      waiting_.pop_back();
      RETURN_IF_ERROR(Visit(path));
    }
    if (!waiting_.empty()) {
      summary_.set_incomplete(true);
    }
    return std::move(summary_);
  }

 private:
  Status Visit(const std::string& path) {
    auto dir = OpenAt2(root_, path, kOpenFlags, kResolve);
    if (!dir) {
      // A mount, or gone or replaced since it was listed (a container may still be writing).
      const int code = dir.error().code();
      const bool root = path == kRoot;
      if (!root && (code == EXDEV || code == ENOENT || code == ELOOP || code == ENOTDIR)) {
        summary_.set_incomplete(true);
        return {};
      }
      return std::unexpected(std::move(dir).error());
    }
    ASSIGN_OR_RETURN(DirStream stream, DirStream::Adopt(std::move(*dir)));
    for (;;) {
      ASSIGN_OR_RETURN(const auto entry, stream.Next());
      if (!entry) {
        return {};
      }
      if (left_ == 0) {
        summary_.set_incomplete(true);
        return {};
      }
      --left_;
      RETURN_IF_ERROR(Count(stream.fd(), path, entry->name));
    }
  }

  Status Count(int dirfd, const std::string& parent, const std::string& name) {
    const auto st = StatAt(dirfd, name);
    if (!st) {
      if (st.error().code() == ENOENT) {
        summary_.set_incomplete(true);
        return {};
      }
      return std::unexpected(st.error());
    }
    if (S_ISREG(st->st_mode)) {
      summary_.set_files(summary_.files() + 1);
      summary_.set_bytes(summary_.bytes() + static_cast<uint64_t>(st->st_size));
    } else if (S_ISDIR(st->st_mode)) {
      summary_.set_directories(summary_.directories() + 1);
      Enter(parent + "/" + name);
    } else {
      summary_.set_others(summary_.others() + 1);
    }
    return {};
  }

  void Enter(std::string path) {
    if (path.size() >= PATH_MAX || waiting_.size() >= kMaxWaiting) {
      summary_.set_incomplete(true);
      return;
    }
    waiting_.push_back(std::move(path));
  }

  // A container decides how many directories there are; the hook does not hold a name of each.
  static constexpr size_t kMaxWaiting = 65536;

  int root_;
  uint64_t left_;
  std::vector<std::string> waiting_;
  StagedSummary summary_;
};

}  // namespace

Result<StagedSummary> SummarizeStage(int dirfd, uint64_t most) {
  return Walk(dirfd, most).Run();
}

}  // namespace actiondfs::record
