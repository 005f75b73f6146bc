// SPDX-License-Identifier: Apache-2.0
//
// One inode as the kernel knows it: an entry of an input Directory, or something in the stage.
// Small, for there may be ten million; what only few need hangs off by pointer. Each field says
// what guards it.
//
// Locks of one mount, in the order in which they are taken (no two mounts share one, but for the
// directory cache):
//   StageTree::names (shared by all that uses stage paths; exclusive for what changes or removes
//   them)
//     Backing's mutex
//     StageTree's mutex of cached directory descriptors
//     NodeTable's mutex
//       NodeRecords' mutex
//     DescriptorKeep's mutex
#ifndef ACTIONDFS_HOOK_FUSE_NODE_H_
#define ACTIONDFS_HOOK_FUSE_NODE_H_

#include <sys/stat.h>

#include <atomic>
#include <cstdint>
#include <list>
#include <memory>
#include <string>

#include "hook/base/unique_fd.h"
#include "hook/tree/directory.h"

namespace actiondfs::fuse {

struct Node;

// What the kernel holds for us as a number, and gives back: node ids and file handles.
template <typename T>
T* FromNumber(uint64_t number) {
  // NOLINTNEXTLINE(performance-no-int-to-ptr): it came from ToNumber
  return reinterpret_cast<T*>(static_cast<uintptr_t>(number));
}
inline uint64_t ToNumber(const void* pointer) {
  return reinterpret_cast<uintptr_t>(pointer);
}

using SharedFd = std::shared_ptr<const UniqueFd>;

enum class Mirror : uint8_t { kUnknown, kAbsent, kPresent };

// What an input directory has beyond other inputs.
struct InputDirectory {
  std::atomic<const tree::Directory*> loaded = nullptr;  // set once, when first needed
  std::shared_ptr<const tree::Directory> owner;          // keeps `loaded`; NodeTable's mutex
  // Whether the stage has a directory for it. Leaves kAbsent only under StageTree::names,
  // exclusive.
  std::atomic<Mirror> mirror = Mirror::kUnknown;
};

// Where something staged is: at parent/name, or, once that name is gone, only at a descriptor.
// Guarded by StageTree::names.
struct StagedPlace {
  std::string name;
  // O_PATH; set: `name` means nothing any more. An invalid one: a file that was removed, and not
  // kept for the process after that (KeptState).
  SharedFd held;
};

enum class OpenMode : uint8_t { kClosed, kPassthrough, kCached };

// Of files that are or were open; guarded by Backing's mutex.
struct OpenState {
  int32_t backing_id = 0;  // 0: none
  uint32_t opens = 0;
  OpenMode mode = OpenMode::kClosed;
  bool refused = false;  // the kernel takes no backing file for it: ordinary reads and writes
  bool idle = false;     // has an id and no opens: is in the list of what may be closed
  std::list<Node*>::iterator idle_position;
};

struct Node {
  Node* parent = nullptr;  // counted; null: the top. Input: never changes. Staged: StageTree::names
  Node* next_in_bucket = nullptr;  // NodeTable's mutex
  uint64_t refs = 0;               // kernel's lookups + children + opens; NodeTable's mutex
  uint64_t ino = 0;                // st_ino
  uint32_t id = 0;                 // of its record in NodeRecords; 0: it has none
  uint32_t index = 0;  // input: in the parent's Directory (below many roots: of the root)
  mode_t type = 0;     // S_IFMT bits
  bool staged = false;
  std::atomic<bool> is_open = false;          // set by Backing; for whoever only wants a hint
  std::atomic<bool> may_be_suid = false;      // staged file: a set-id bit was seen
  std::atomic<bool> mapped_writable = false;  // staged file: was open for reading and writing
  std::atomic<uint32_t> writers = 0;          // staged file: handles that may write
  std::unique_ptr<InputDirectory> directory;
  std::unique_ptr<StagedPlace> place;
  std::unique_ptr<OpenState> open;

  bool IsDirectory() const { return S_ISDIR(type); }
  bool IsInput() const { return !staged; }
};

}  // namespace actiondfs::fuse

#endif  // ACTIONDFS_HOOK_FUSE_NODE_H_
