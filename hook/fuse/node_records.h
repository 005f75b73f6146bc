// SPDX-License-Identifier: Apache-2.0
//
// What a later process has to know of the nodes whose numbers the kernel holds: for each a record
// in memory that outlives this process (KeptState). A record's place in the table is the node's id
// for the kernel. It is written before the kernel learns the id, so a process may be killed at any
// time; what that can do is leave a count too high, never too low.
//
// Thread-safe, where the node's own fields are held as node.h says.
#ifndef ACTIONDFS_HOOK_FUSE_NODE_RECORDS_H_
#define ACTIONDFS_HOOK_FUSE_NODE_RECORDS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string_view>
#include <vector>

#include "hook/fuse/node.h"

namespace actiondfs::fuse {

enum class RecordKind : uint8_t { kFree, kInput, kStaged };

// All of it zero: free.
struct NodeRecord {
  std::atomic<uint64_t> place;  // the parent's id << 32 | index, or for what is staged, its name's
  std::atomic<uint64_t> refs;   // the kernel's lookups, and opens
  std::atomic<uint64_t> ino;
  std::atomic<uint32_t> opens;  // Backing's, with the next two
  std::atomic<int32_t> backing_id;
  std::atomic<bool> refused;
  std::atomic<RecordKind> kind;
  std::atomic<bool> removed;  // staged: its name is about to go, or has gone
  std::atomic<uint32_t> writers;
  std::atomic<uint32_t> type;
  uint32_t unused[4];
};
static_assert(sizeof(NodeRecord) == 64);

struct NameRecord {
  uint8_t size;
  char text[255];
};
static_assert(sizeof(NameRecord) == 256);

// How much of the tables was ever used.
struct RecordCounts {
  std::atomic<uint32_t> nodes;
  std::atomic<uint32_t> names;
  // Something did not fit any more: a later process cannot take over.
  std::atomic<bool> incomplete;
};

class NodeRecords {
 public:
  static constexpr uint32_t kMaxNodes = uint32_t{1} << 22;
  static constexpr uint32_t kMaxNames = uint32_t{1} << 20;
  static constexpr uint32_t kTop = 1;  // FUSE_ROOT_ID; it has no record
  static constexpr uint32_t kFirst = 2;

  // Borrowed; `records` and `names` have the sizes above.
  NodeRecords(NodeRecord* records, NameRecord* names, RecordCounts& counts);
  ~NodeRecords();
  NodeRecords(const NodeRecords&) = delete;
  NodeRecords& operator=(const NodeRecords&) = delete;

  // Gives a new node its record, with one reference, and its id; id 0 where there is no room. For
  // what is below one without a record there is none either.
  void Add(Node& node);
  // The node that was here has gone.
  void Free(uint32_t id);
  // Nodes by id; kTop is the caller's affair.
  Node* At(uint32_t id) const { return nodes_[id].load(std::memory_order_acquire); }

  // The top's too.
  static uint32_t IdOf(const Node& node) { return node.parent == nullptr ? kTop : node.id; }
  // Null for a node without a record.
  NodeRecord* Of(const Node& node) { return node.id != 0 ? &records_[node.id] : nullptr; }
  // The staged node's parent or name has changed.
  void Move(const Node& node);

  // ---- For the next process, before anything else: ----

  uint32_t end() const;  // ids are below it
  NodeRecord& record(uint32_t id) { return records_[id]; }
  static uint32_t ParentOf(const NodeRecord& record);
  static uint32_t IndexOf(const NodeRecord& record);
  // Of a staged one. Valid until it moves. Empty also where the record makes no sense.
  std::string_view NameOf(const NodeRecord& record) const;
  // The record is this node's again; null: nobody's.
  void Claim(uint32_t id, Node* node);
  // Once all are claimed.
  void FindFreeNames();

 private:
  static uint64_t PlaceOf(const Node& node, uint32_t last);
  uint32_t AddName(std::string_view name);  // 0: no room

  NodeRecord* const records_;
  NameRecord* const names_;
  RecordCounts& counts_;
  std::atomic<Node*>* nodes_;
  std::mutex mutex_;
  std::vector<uint32_t> free_nodes_;  // mutex_
  std::vector<uint32_t> free_names_;  // mutex_
};

}  // namespace actiondfs::fuse

#endif  // ACTIONDFS_HOOK_FUSE_NODE_RECORDS_H_
