// SPDX-License-Identifier: Apache-2.0
//
// All nodes of one mount, by what they are: an input by (parent, index), something staged by its
// inode number in the stage (so hard links are one node, and a rename changes no key). Counts
// references and frees. Thread-safe.
#ifndef ACTIONDFS_HOOK_FUSE_NODE_TABLE_H_
#define ACTIONDFS_HOOK_FUSE_NODE_TABLE_H_

#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "hook/fuse/node.h"

namespace actiondfs::fuse {

class NodeTable {
 public:
  // `on_free` sees each node before it goes, with no lock of the table held.
  NodeTable(uint64_t top_ino, std::function<void(Node&)> on_free);
  ~NodeTable();
  NodeTable(const NodeTable&) = delete;
  NodeTable& operator=(const NodeTable&) = delete;

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
  // Publishes a directory that was loaded; the first one wins.
  const tree::Directory& SetDirectory(Node& node, std::shared_ptr<const tree::Directory> loaded);

  size_t size() const;

 private:
  size_t BucketOf(const Node& node) const;
  size_t InputBucket(const Node* parent, uint32_t index) const;
  size_t StagedBucket(uint64_t ino) const;
  void Insert(Node& node);
  void Remove(Node& node);
  void GrowIfFull();

  const std::function<void(Node&)> on_free_;
  Node top_;
  mutable std::mutex mutex_;
  std::vector<Node*> buckets_;  // mutex_; a power of two
  size_t count_ = 0;            // mutex_
};

}  // namespace actiondfs::fuse

#endif  // ACTIONDFS_HOOK_FUSE_NODE_TABLE_H_
