// SPDX-License-Identifier: Apache-2.0
//
// All nodes of one mount, by what they are: an input by (parent, index), something staged by its
// inode number in the stage (so hard links are one node, and a rename changes no key). Counts
// references and frees, and counts nodes and the Directories that they hold in the mount's budget.
// Thread-safe.
#ifndef ACTIONDFS_HOOK_FUSE_NODE_TABLE_H_
#define ACTIONDFS_HOOK_FUSE_NODE_TABLE_H_

#include <sys/stat.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "hook/base/result.h"
#include "hook/fuse/budget.h"
#include "hook/fuse/errno_result.h"
#include "hook/fuse/node.h"
#include "hook/fuse/node_records.h"

namespace actiondfs::fuse {

class NodeTable {
 public:
  // `on_free` sees each node before it goes, with no lock of the table held. `budget` outlives the
  // table, which does not refuse: whoever makes nodes asks the budget first.
  NodeTable(uint64_t top_ino, Budget& budget, std::function<void(Node&)> on_free);
  ~NodeTable();
  NodeTable(const NodeTable&) = delete;
  NodeTable& operator=(const NodeTable&) = delete;

  // Before the first node: each has a record from now on, and an id that outlives this process.
  void Record(NodeRecords& records) { records_ = &records; }
  // Makes the nodes that an earlier process has recorded, before anything else. Neither their
  // Directories nor their real files are looked at.
  Status Restore();
  // What nothing refers to goes: an earlier process was killed before it did that.
  void DropUnused();

  Node& top() { return top_; }
  // FUSE's nodeid and back.
  uint64_t IdOf(const Node& node) const;
  Node& FromId(uint64_t id);

  // The node of the parent's entry, made if need be; takes one reference. `ino` and `type` are for
  // a new one.
  Node& GetInput(Node& parent, uint32_t index, uint64_t ino, mode_t type);
  // The same for what the stage has at parent/name, with its status. StageTree::names is held.
  Node& GetStaged(Node& parent, std::string_view name, const struct stat& st);
  // Something staged that is known; null: it is not. Takes no reference: StageTree::names is held
  // exclusively, or the caller has a reason to know that the node stays.
  Node* FindStaged(uint64_t ino);

  void Reference(Node& node);
  void Drop(Node& node, uint64_t count);
  // `node` (staged) is at parent/name from now on. StageTree::names is held exclusively.
  void Move(Node& node, Node& parent, std::string_view name);
  // `node` (staged) is nowhere, and its inode number is free for another. StageTree::names is held
  // exclusively.
  void Lose(Node& node);
  // Publishes a directory that was loaded; the first one wins.
  const tree::Directory& SetDirectory(Node& node, std::shared_ptr<const tree::Directory> loaded);

  size_t size() const;
  // Ever larger: by one for each node that was made, and by as much for each Directory as its
  // memory would make nodes.
  uint64_t growth() const { return growth_.load(std::memory_order_relaxed); }
  // Something was refused for want of room: the pruner, which works by growth, has work.
  void NoteRefusal() { growth_.fetch_add(kGrowthOfRefusal, std::memory_order_relaxed); }
  // The next `count` nodes, at least, of an endless round, with the table's lock held: `visit` only
  // looks. Those that come and go meanwhile may be missed.
  void VisitNext(size_t count, const std::function<void(const Node&)>& visit);

 private:
  static constexpr uint64_t kGrowthOfRefusal = 64;

  size_t BucketOf(const Node& node) const;
  size_t InputBucket(const Node* parent, uint32_t index) const;
  size_t StagedBucket(uint64_t ino) const;
  void Insert(Node& node);
  void Remove(Node& node);
  void GrowIfFull();
  void CountRefs(const Node& node, int64_t change);
  // `recorded`: they are not those of children, which no record counts.
  void DropRefs(Node& node, uint64_t count, bool recorded);
  Errno<Node*> ParentOf(uint32_t id);

  void HoldDirectory(std::shared_ptr<const tree::Directory> directory, InputDirectory& of);
  void LetGoOfDirectory(Node& node);

  Budget& budget_;
  const std::function<void(Node&)> on_free_;
  Node top_;
  NodeRecords* records_ = nullptr;
  mutable std::mutex mutex_;
  std::vector<Node*> buckets_;  // mutex_; a power of two
  size_t count_ = 0;            // mutex_
  size_t next_bucket_ = 0;      // mutex_; of VisitNext
  // Each Directory counts once, however many nodes have it: how many do.
  std::unordered_map<const tree::Directory*, uint32_t> directories_;  // mutex_
  std::atomic<uint64_t> growth_ = 0;
};

}  // namespace actiondfs::fuse

#endif  // ACTIONDFS_HOOK_FUSE_NODE_TABLE_H_
