// SPDX-License-Identifier: Apache-2.0
#include "hook/tree/directory.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "hook/base/text.h"
#include "kernel/shared/directory_proto.h"

namespace actiondfs::tree {
namespace {

constexpr uint32_t kPermissionMask = 0777;

constexpr std::array kKinds = {EntryKind::kFile, EntryKind::kDirectory, EntryKind::kSymlink};
static_assert(static_cast<int>(EntryKind::kFile) == ACTIONDFS_ENTRY_FILE);
static_assert(static_cast<int>(EntryKind::kDirectory) == ACTIONDFS_ENTRY_DIRECTORY);
static_assert(static_cast<int>(EntryKind::kSymlink) == ACTIONDFS_ENTRY_SYMLINK);
static_assert(kKinds.size() == ACTIONDFS_ENTRY_KINDS);

const uint8_t* Bytes(std::string_view blob) {
  return reinterpret_cast<const uint8_t*>(blob.data());
}

std::string_view View(const actiondfs_slice& slice) {
  return {reinterpret_cast<const char*>(slice.data), slice.size};
}

std::optional<uint32_t> UnixMode(const actiondfs_properties& properties) {
  if (!properties.has_unix_mode) return std::nullopt;
  return properties.unix_mode & kPermissionMask;
}

std::optional<Timestamp> Mtime(const actiondfs_properties& properties) {
  if (!properties.has_mtime) return std::nullopt;
  return Timestamp{properties.mtime_seconds, properties.mtime_nanos};
}

Entry ToEntry(const actiondfs_entry& raw) {
  Entry entry;
  entry.kind = kKinds[raw.kind];
  entry.name = View(raw.name);
  entry.symlink_target = View(raw.target);
  std::memcpy(entry.digest.hash.data(), raw.hash, entry.digest.hash.size());
  entry.digest.size = raw.size;
  entry.is_executable = raw.is_executable;
  entry.unix_mode = UnixMode(raw.properties);
  entry.mtime = Mtime(raw.properties);
  return entry;
}

// One list's elements: where each begins in the blob. An entry is decoded anew each time it is
// asked for, so that a Directory costs four bytes an entry beside its blob.
using Offsets = std::array<std::vector<uint32_t>, ACTIONDFS_ENTRY_KINDS>;

int Gather(void* context, const actiondfs_entry* entry, uint32_t offset) {
  auto& offsets = *static_cast<Offsets*>(context);
  try {
    offsets[entry->kind].push_back(offset);
  } catch (const std::bad_alloc&) {
    return ENOMEM;
  }
  return 0;
}

std::string Describe(const actiondfs_directory_result& result) {
  std::string text = fmt::format("Directory refused: {} at byte {}",
                                 actiondfs_fault_name(result.fault), result.offset);
  if (result.name.size != 0) text += ", name " + Quoted(View(result.name));
  return text;
}

}  // namespace

uint32_t Entry::Permissions() const {
  if (unix_mode.has_value()) return *unix_mode;
  switch (kind) {
    case EntryKind::kFile:
      return is_executable ? 0555 : 0444;
    case EntryKind::kDirectory:
      return 0755;
    case EntryKind::kSymlink:
      return 0777;
  }
  std::unreachable();
}

struct Directory::Index {
  std::vector<uint32_t> offsets;                              // of all entries, list after list
  std::array<size_t, ACTIONDFS_ENTRY_KINDS + 1> begins = {};  // of each list in `offsets`; its end
  std::optional<uint32_t> unix_mode;
  std::optional<Timestamp> mtime;
};

Directory::Directory(std::string blob, std::unique_ptr<Index> index)
    : blob_(std::move(blob)), index_(std::move(index)) {}

Directory::~Directory() = default;

Result<std::shared_ptr<const Directory>> Directory::Parse(std::string blob) {
  Offsets offsets;
  actiondfs_directory_result result;
  actiondfs_directory_parse(Bytes(blob), blob.size(), Gather, &offsets, &result);
  if (result.fault == ACTIONDFS_FAULT_STOPPED) return MakeError(ENOMEM, "index Directory");
  if (result.fault != ACTIONDFS_FAULT_NONE) return MakeError(EUCLEAN, Describe(result));

  auto index = std::make_unique<Index>();
  for (size_t kind = 0; kind < offsets.size(); ++kind) {
    index->begins[kind + 1] = index->begins[kind] + offsets[kind].size();
  }
  index->offsets.reserve(index->begins.back());
  for (const std::vector<uint32_t>& list : offsets) {
    index->offsets.insert(index->offsets.end(), list.begin(), list.end());
  }
  index->unix_mode = UnixMode(result.properties);
  index->mtime = tree::Mtime(result.properties);
  blob.shrink_to_fit();
  return std::shared_ptr<const Directory>(new Directory(std::move(blob), std::move(index)));
}

size_t Directory::size() const {
  return index_->offsets.size();
}

Entry Directory::at(size_t index) const {
  actiondfs_entry raw;
  // Cannot fail: the offset is the parser's own.
  actiondfs_directory_entry(Bytes(blob_), blob_.size(), index_->offsets[index], &raw);
  return ToEntry(raw);
}

std::optional<size_t> Directory::Find(std::string_view name) const {
  const auto name_at = [this](uint32_t offset) {
    return View(actiondfs_directory_name(Bytes(blob_), blob_.size(), offset));
  };
  const auto all = index_->offsets.begin();
  for (size_t kind = 0; kind < kKinds.size(); ++kind) {
    const auto begin = all + static_cast<ptrdiff_t>(index_->begins[kind]);
    const auto end = all + static_cast<ptrdiff_t>(index_->begins[kind + 1]);
    const auto found = std::ranges::lower_bound(begin, end, name, {}, name_at);
    if (found != end && name_at(*found) == name) return static_cast<size_t>(found - all);
  }
  return std::nullopt;
}

size_t Directory::MemoryUse() const {
  return sizeof(Directory) + sizeof(Index) + blob_.capacity() +
         index_->offsets.capacity() * sizeof(uint32_t);
}

std::optional<uint32_t> Directory::unix_mode() const {
  return index_->unix_mode;
}
std::optional<Timestamp> Directory::mtime() const {
  return index_->mtime;
}

}  // namespace actiondfs::tree
