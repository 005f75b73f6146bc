// SPDX-License-Identifier: Apache-2.0
//
// The immutable model of one REAPI Directory, made by kernel/shared's parser. A Directory owns the
// bytes of its blob; entries borrow names and targets from them. Once made it never changes: share
// it between threads freely by shared_ptr<const Directory>.
#ifndef ACTIONDFS_HOOK_TREE_DIRECTORY_H_
#define ACTIONDFS_HOOK_TREE_DIRECTORY_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "hook/base/result.h"
#include "hook/cas/digest.h"

namespace actiondfs::tree {

enum class EntryKind : uint8_t { kFile, kDirectory, kSymlink };

struct Timestamp {
  int64_t seconds = 0;
  uint32_t nanoseconds = 0;
  bool operator==(const Timestamp&) const = default;
};

// 2000-01-01T00:00:00Z: the time of everything whose node_properties name none (design 3.4).
inline constexpr Timestamp kDefaultMtime = {946684800, 0};

// One child, by value; the views borrow from the Directory it came from.
struct Entry {
  EntryKind kind = EntryKind::kFile;
  std::string_view name;
  cas::Digest digest;               // files and directories
  bool is_executable = false;       // files
  std::string_view symlink_target;  // symlinks
  std::optional<uint32_t>
      unix_mode;                   // node_properties; permission bits only (07777 masked to 0777)
  std::optional<Timestamp> mtime;  // node_properties

  // Permission bits as design 3.4 has them: 0444 or 0555, 0755, 0777, unless unix_mode says
  // otherwise.
  uint32_t Permissions() const;
  Timestamp Mtime() const { return mtime.value_or(kDefaultMtime); }
};

class Directory {
 public:
  // EUCLEAN: refused by the parser; the message names the fault, the offset and the offending name.
  static Result<std::shared_ptr<const Directory>> Parse(std::string blob);

  // Entries in the order files, directories, symlinks, each list sorted by name: the index of an
  // entry is stable for a digest, for ever.
  size_t size() const;
  Entry at(size_t index) const;  // index < size()
  // Binary search in the three lists; nullopt where there is no such name.
  std::optional<size_t> Find(std::string_view name) const;
  // What this object holds in memory, bytes.
  size_t MemoryUse() const;

  // node_properties of the Directory message itself.
  std::optional<uint32_t> unix_mode() const;
  std::optional<Timestamp> mtime() const;

  ~Directory();
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;

 private:
  struct Index;
  Directory(std::string blob, std::unique_ptr<Index> index);

  std::string blob_;
  std::unique_ptr<Index> index_;
};

}  // namespace actiondfs::tree

#endif  // ACTIONDFS_HOOK_TREE_DIRECTORY_H_
