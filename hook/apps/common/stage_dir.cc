// SPDX-License-Identifier: Apache-2.0
#include "hook/apps/common/stage_dir.h"

#include <fcntl.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "hook/base/beneath.h"
#include "hook/base/files.h"
#include "hook/mount/overlay.h"
#include "hook/mount/workspace.h"

namespace actiondfs::apps {
namespace {

constexpr int kOpenDir = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;

bool MayBeDirectory(const DirEntry& entry) {
  return entry.type == DT_DIR || entry.type == DT_UNKNOWN;
}

bool HasPlaceInStage(const DirEntry& entry) {
  if (!MayBeDirectory(entry)) {
    // What a killed writer of the marker has left.
    return entry.name.starts_with(std::string(mount::kKeptMarker) + ".");
  }
  return entry.name == mount::kStage || entry.name == mount::kUpper || entry.name == mount::kWork ||
         entry.name.starts_with(kMovedUp);
}

// At most `limit` entries; nullopt where there are more, or it cannot be read.
std::optional<std::vector<DirEntry>> ReadAtMost(UniqueFd dir, size_t limit) {
  auto stream = DirStream::Adopt(std::move(dir));
  std::vector<DirEntry> entries;
  while (stream && entries.size() <= limit) {
    auto entry = stream->Next();
    if (!entry) {
      return std::nullopt;
    }
    if (!*entry) {
      return entries;
    }
    entries.push_back(std::move(**entry));
  }
  return std::nullopt;
}

}  // namespace

Result<std::vector<DirEntry>> ReadEntries(const std::string& path) {
  ASSIGN_OR_RETURN(UniqueFd dir, OpenAt(AT_FDCWD, path, kOpenDir));
  ASSIGN_OR_RETURN(DirStream stream, DirStream::Adopt(std::move(dir)));
  std::vector<DirEntry> entries;
  for (;;) {
    ASSIGN_OR_RETURN(std::optional<DirEntry> entry, stream.Next());
    if (!entry) {
      return entries;
    }
    entries.push_back(std::move(*entry));
  }
}

bool IsStage(const std::string& path) {
  const auto entries = ReadEntries(path);
  return entries && std::ranges::all_of(*entries, HasPlaceInStage);
}

bool IsSmallTree(const std::string& path, size_t limit) {
  const auto top = OpenAt(AT_FDCWD, path, kOpenDir);
  if (!top) {
    return true;
  }
  // A name that cannot be looked into counts for itself: whoever removes it finds the same.
  std::vector<std::string> waiting = {""};
  while (!waiting.empty()) {
    const std::string directory = std::move(waiting.back());
    waiting.pop_back();
    auto dir = OpenBeneath(top->get(), directory, kOpenDir);
    if (!dir) {
      continue;
    }
    const auto entries = ReadAtMost(std::move(*dir), limit);
    if (!entries) {
      return false;
    }
    limit -= entries->size();
    for (const DirEntry& entry : *entries) {
      if (MayBeDirectory(entry)) {
        waiting.push_back(directory.empty() ? entry.name : directory + "/" + entry.name);
      }
    }
  }
  return true;
}

}  // namespace actiondfs::apps
