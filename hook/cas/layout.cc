// SPDX-License-Identifier: Apache-2.0
#include "hook/cas/layout.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "hook/base/dir_stream.h"
#include "hook/base/files.h"
#include "hook/base/text.h"

namespace actiondfs::cas {
namespace {

constexpr std::array kLayouts = {Layout::kSharded, Layout::kFlat, Layout::kShardedSuffix,
                                 Layout::kHashDashSize};
constexpr size_t kHexSize = 2 * kHashSize;
constexpr size_t kShardSize = 2;  // hex digits

// Bounds on looking: a store of millions of blobs must not cost more to open than a small one.
constexpr int kMaxWitnesses = 64;  // entries that fit a layout
constexpr int kMaxEntries = 1024;  // entries looked at in one directory

bool IsHex(std::string_view text, size_t size) {
  return text.size() == size && text.find_first_not_of("0123456789abcdef") == text.npos;
}

// A blob is a file; a directory or symlink may have any name.
bool MayBeBlob(const DirEntry& entry) {
  return entry.type == DT_REG || entry.type == DT_UNKNOWN;
}

// What a name in the CAS directory itself says.
std::optional<Layout> LayoutOfTopName(std::string_view name) {
  if (IsHex(name, kHexSize)) {
    return Layout::kFlat;
  }
  const size_t dash = name.find('-');
  if (dash != name.npos && IsHex(name.substr(0, dash), kHexSize) &&
      ParseDecimal(name.substr(dash + 1))) {
    return Layout::kHashDashSize;
  }
  return std::nullopt;
}

// What a name in the directory `shard` says.
std::optional<Layout> LayoutOfShardName(std::string_view shard, std::string_view name) {
  if (IsHex(name, kHexSize) && name.starts_with(shard)) {
    return Layout::kSharded;
  }
  if (IsHex(name, kHexSize - kShardSize)) {
    return Layout::kShardedSuffix;
  }
  return std::nullopt;
}

class Detector {
 public:
  // False where enough was seen.
  bool Wants() const { return witnesses_ < kMaxWitnesses; }

  Status Witness(std::optional<Layout> layout, const std::string& path) {
    if (!layout) {
      return {};
    }
    ++witnesses_;
    if (found_ && *found_ != *layout) {
      return MakeError(EINVAL, "blobs of two layouts: " + Quoted(first_path_) + " is " +
                                   std::string(ToString(*found_)) + ", " + Quoted(path) + " is " +
                                   std::string(ToString(*layout)) + " (say which layout it is)");
    }
    if (!found_) {
      found_ = layout;
      first_path_ = path;
    }
    return {};
  }

  Status LookIntoShard(int cas_dir_fd, const std::string& shard) {
    auto fd = OpenAt(cas_dir_fd, shard, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!fd) {
      return {};  // a file of that name, or not ours to read: it says nothing
    }
    ASSIGN_OR_RETURN(DirStream stream, DirStream::Adopt(std::move(*fd)));
    for (int i = 0; i < kMaxEntries && Wants(); ++i) {
      ASSIGN_OR_RETURN(const auto entry, stream.Next());
      if (!entry) {
        break;
      }
      if (MayBeBlob(*entry)) {
        RETURN_IF_ERROR(Witness(LayoutOfShardName(shard, entry->name), shard + "/" + entry->name));
      }
    }
    return {};
  }

  std::optional<Layout> found() const { return found_; }

 private:
  std::optional<Layout> found_;
  std::string first_path_;
  int witnesses_ = 0;
};

}  // namespace

std::string_view ToString(Layout layout) {
  switch (layout) {
    case Layout::kSharded:
      return "sharded";
    case Layout::kFlat:
      return "flat";
    case Layout::kShardedSuffix:
      return "sharded-suffix";
    case Layout::kHashDashSize:
      return "hash-size";
  }
  return "unknown";
}

Result<Layout> ParseLayout(std::string_view text) {
  const auto* found =
      std::ranges::find_if(kLayouts, [&](Layout layout) { return ToString(layout) == text; });
  if (found == kLayouts.end()) {
    return MakeError(EINVAL, "layout " + Quoted(text) +
                                 " (expected sharded, flat, sharded-suffix or hash-size)");
  }
  return *found;
}

std::string BlobPath(Layout layout, const Digest& digest) {
  const std::string hex = digest.HashHex();
  switch (layout) {
    case Layout::kSharded:
      return hex.substr(0, kShardSize) + "/" + hex;
    case Layout::kFlat:
      return digest.HashHex();
    case Layout::kShardedSuffix:
      return hex.substr(0, kShardSize) + "/" + hex.substr(kShardSize);
    case Layout::kHashDashSize:
      return hex + "-" + std::to_string(digest.size);
  }
  return {};
}

Result<std::optional<Layout>> DetectLayout(int cas_dir_fd) {
  ASSIGN_OR_RETURN(UniqueFd dir, OpenAt(cas_dir_fd, ".", O_RDONLY | O_DIRECTORY));
  ASSIGN_OR_RETURN(DirStream stream, DirStream::Adopt(std::move(dir)));
  Detector detector;
  for (int i = 0; i < kMaxEntries && detector.Wants(); ++i) {
    ASSIGN_OR_RETURN(const auto entry, stream.Next());
    if (!entry) {
      break;
    }
    if (IsHex(entry->name, kShardSize)) {
      RETURN_IF_ERROR(detector.LookIntoShard(cas_dir_fd, entry->name));
    } else if (MayBeBlob(*entry)) {
      RETURN_IF_ERROR(detector.Witness(LayoutOfTopName(entry->name), entry->name));
    }
  }
  return detector.found();
}

}  // namespace actiondfs::cas
