// SPDX-License-Identifier: Apache-2.0
#include "hook/fuse/node_table.h"

#include <linux/fuse.h>

#include <utility>

namespace actiondfs::fuse {
namespace {

constexpr size_t kFirstBuckets = 1024;
// So many bytes of a Directory count as one more node.
constexpr size_t kBytesOfGrowth = 512;

uint64_t Mix(uint64_t x) {
  x ^= x >> 32;
  x *= 0x9e3779b97f4a7c15;
  x ^= x >> 29;
  return x;
}

}  // namespace

NodeTable::NodeTable(uint64_t top_ino, Budget& budget, std::function<void(Node&)> on_free)
    : budget_(budget), on_free_(std::move(on_free)), buckets_(kFirstBuckets, nullptr) {
  top_.refs = 1;  // for ever
  top_.ino = top_ino;
  top_.type = S_IFDIR;
  top_.directory = std::make_unique<InputDirectory>();
}

NodeTable::~NodeTable() {
  for (Node* node : buckets_) {
    while (node != nullptr) {
      Node* next = node->next_in_bucket;
      on_free_(*node);
      delete node;
      node = next;
    }
  }
}

uint64_t NodeTable::IdOf(const Node& node) const {
  if (&node == &top_) {
    return FUSE_ROOT_ID;
  }
  return node.id != 0 ? node.id : ToNumber(&node);
}

Node& NodeTable::FromId(uint64_t id) {
  if (id == FUSE_ROOT_ID) {
    return top_;
  }
  // No address is as low as a record's id.
  return id < NodeRecords::kMaxNodes ? *records_->At(static_cast<uint32_t>(id))
                                     : *FromNumber<Node>(id);
}

size_t NodeTable::InputBucket(const Node* parent, uint32_t index) const {
  return Mix(ToNumber(parent) + (uint64_t{index} << 32)) & (buckets_.size() - 1);
}

size_t NodeTable::StagedBucket(uint64_t ino) const {
  return Mix(ino) & (buckets_.size() - 1);
}

size_t NodeTable::BucketOf(const Node& node) const {
  return node.staged ? StagedBucket(node.ino) : InputBucket(node.parent, node.index);
}

void NodeTable::Insert(Node& node) {
  Node*& head = buckets_[BucketOf(node)];
  node.next_in_bucket = head;
  head = &node;
  ++count_;
  budget_.Add(Resource::kNodes, 1);
}

void NodeTable::Remove(Node& node) {
  for (Node** link = &buckets_[BucketOf(node)]; *link != nullptr; link = &(*link)->next_in_bucket) {
    if (*link == &node) {
      *link = node.next_in_bucket;
      --count_;
      budget_.Give(Resource::kNodes, 1);
      LetGoOfDirectory(node);
      return;
    }
  }
}

void NodeTable::GrowIfFull() {
  if (count_ < buckets_.size()) {
    return;
  }
  std::vector<Node*> old(buckets_.size() * 2, nullptr);
  old.swap(buckets_);
  for (Node* node : old) {
    while (node != nullptr) {
      Node* next = node->next_in_bucket;
      Node*& head = buckets_[BucketOf(*node)];
      node->next_in_bucket = head;
      head = node;
      node = next;
    }
  }
}

Node& NodeTable::GetInput(Node& parent, uint32_t index, uint64_t ino, mode_t type) {
  const std::lock_guard lock(mutex_);
  for (Node* node = buckets_[InputBucket(&parent, index)]; node != nullptr;
       node = node->next_in_bucket) {
    if (!node->staged && node->parent == &parent && node->index == index) {
      ++node->refs;
      CountRefs(*node, 1);
      return *node;
    }
  }
  GrowIfFull();
  auto node = std::make_unique<Node>();
  node->parent = &parent;
  node->refs = 1;
  node->ino = ino;
  node->index = index;
  node->type = type;
  if (S_ISDIR(type)) {
    node->directory = std::make_unique<InputDirectory>();
  }
  ++parent.refs;
  Insert(*node);
  if (records_ != nullptr) {
    records_->Add(*node);
  }
  growth_.fetch_add(1, std::memory_order_relaxed);
  return *node.release();
}

Node* NodeTable::FindStaged(uint64_t ino) {
  const std::lock_guard lock(mutex_);
  for (Node* node = buckets_[StagedBucket(ino)]; node != nullptr; node = node->next_in_bucket) {
    if (node->staged && node->ino == ino) {
      return node;
    }
  }
  return nullptr;
}

Node& NodeTable::GetStaged(Node& parent, std::string_view name, const struct stat& st) {
  const mode_t type = st.st_mode & S_IFMT;
  const std::lock_guard lock(mutex_);
  for (Node* node = buckets_[StagedBucket(st.st_ino)]; node != nullptr;
       node = node->next_in_bucket) {
    // Another type: somebody else has removed the file from the stage, and its number came back.
    // Both nodes stay, and the newer one, at the head, is found.
    if (node->staged && node->ino == st.st_ino && node->type == type) {
      ++node->refs;
      CountRefs(*node, 1);
      return *node;
    }
  }
  GrowIfFull();
  auto node = std::make_unique<Node>();
  node->parent = &parent;
  node->refs = 1;
  node->ino = st.st_ino;
  node->type = type;
  node->staged = true;
  node->may_be_suid = (st.st_mode & (S_ISUID | S_ISGID)) != 0;
  node->place = std::make_unique<StagedPlace>();
  node->place->name = name;
  ++parent.refs;
  Insert(*node);
  if (records_ != nullptr) {
    records_->Add(*node);
  }
  growth_.fetch_add(1, std::memory_order_relaxed);
  return *node.release();
}

void NodeTable::CountRefs(const Node& node, int64_t change) {
  if (node.id != 0) {
    records_->Of(node)->refs.fetch_add(static_cast<uint64_t>(change), std::memory_order_relaxed);
  }
}

void NodeTable::Reference(Node& node) {
  const std::lock_guard lock(mutex_);
  ++node.refs;
  CountRefs(node, 1);
}

void NodeTable::Drop(Node& node, uint64_t count) {
  DropRefs(node, count, true);
}

void NodeTable::DropRefs(Node& node, uint64_t count, bool recorded) {
  Node* current = &node;
  while (current != nullptr && current != &top_) {
    {
      const std::lock_guard lock(mutex_);
      current->refs -= count;
      if (recorded) {
        CountRefs(*current, -static_cast<int64_t>(count));
      }
      if (current->refs > 0) {
        return;
      }
      Remove(*current);
    }
    Node* parent = current->parent;
    on_free_(*current);
    if (current->id != 0) {
      records_->Free(current->id);
    }
    delete current;
    // The child's own reference goes now, and with it perhaps the parent.
    current = parent;
    count = 1;
    recorded = false;
  }
  if (current != nullptr && &node != &top_) {
    const std::lock_guard lock(mutex_);
    --top_.refs;
  }
}

void NodeTable::Move(Node& node, Node& parent, std::string_view name) {
  Node* old_parent = nullptr;
  {
    const std::lock_guard lock(mutex_);
    ++parent.refs;
    old_parent = std::exchange(node.parent, &parent);
  }
  node.place->name = name;
  node.place->held.reset();
  if (records_ != nullptr) {
    records_->Move(node);
  }
  if (old_parent == &top_) {
    const std::lock_guard lock(mutex_);
    --top_.refs;
  } else {
    DropRefs(*old_parent, 1, false);
  }
}

void NodeTable::Lose(Node& node) {
  node.place->held = std::make_shared<const UniqueFd>();
  const std::lock_guard lock(mutex_);
  Remove(node);
  node.ino = 0;
  Insert(node);
  records_->Of(node)->ino.store(0, std::memory_order_relaxed);
}

const tree::Directory& NodeTable::SetDirectory(Node& node,
                                               std::shared_ptr<const tree::Directory> loaded) {
  const std::lock_guard lock(mutex_);
  InputDirectory& directory = *node.directory;
  if (!directory.owner) {
    HoldDirectory(std::move(loaded), directory);
  }
  return *directory.owner;
}

void NodeTable::HoldDirectory(std::shared_ptr<const tree::Directory> directory,
                              InputDirectory& of) {
  const auto [position, first] = directories_.try_emplace(directory.get(), 0);
  if (first) {
    const size_t size = directory->MemoryUse();
    budget_.Add(Resource::kBytes, size);
    growth_.fetch_add(size / kBytesOfGrowth, std::memory_order_relaxed);
  }
  ++position->second;
  of.owner = std::move(directory);
  of.loaded.store(of.owner.get(), std::memory_order_release);
}

void NodeTable::LetGoOfDirectory(Node& node) {
  if (!node.directory || !node.directory->owner) {
    return;
  }
  const auto found = directories_.find(node.directory->owner.get());
  if (--found->second == 0) {
    budget_.Give(Resource::kBytes, found->first->MemoryUse());
    directories_.erase(found);
  }
}

void NodeTable::VisitNext(size_t count, const std::function<void(const Node&)>& visit) {
  const std::lock_guard lock(mutex_);
  size_t seen = 0;
  for (size_t i = 0; i < buckets_.size() && seen < count; ++i) {
    next_bucket_ = (next_bucket_ + 1) & (buckets_.size() - 1);
    for (const Node* node = buckets_[next_bucket_]; node != nullptr; node = node->next_in_bucket) {
      visit(*node);
      ++seen;
    }
  }
}

Errno<Node*> NodeTable::ParentOf(uint32_t id) {
  Node* parent = id == NodeRecords::kTop ? &top_
                 : id < records_->end()  ? records_->At(id)
                                         : nullptr;
  if (parent == nullptr || !parent->IsDirectory()) {
    return Fail(EPROTO);
  }
  return parent;
}

Status NodeTable::Restore() {
  std::vector<std::unique_ptr<Node>> made;
  for (uint32_t id = NodeRecords::kFirst; id < records_->end(); ++id) {
    const NodeRecord& record = records_->record(id);
    if (record.kind.load(std::memory_order_acquire) == RecordKind::kFree) {
      records_->Claim(id, nullptr);
      continue;
    }
    auto node = std::make_unique<Node>();
    node->id = id;
    node->refs = record.refs.load(std::memory_order_relaxed);
    node->ino = record.ino.load(std::memory_order_relaxed);
    node->type = record.type.load(std::memory_order_relaxed);
    node->staged = record.kind.load(std::memory_order_relaxed) == RecordKind::kStaged;
    if (node->staged) {
      node->place = std::make_unique<StagedPlace>();
      node->place->name = records_->NameOf(record);
    } else {
      node->index = NodeRecords::IndexOf(record);
      if (node->IsDirectory()) {
        node->directory = std::make_unique<InputDirectory>();
      }
    }
    records_->Claim(id, node.get());
    made.push_back(std::move(node));
  }
  records_->FindFreeNames();
  for (const auto& node : made) {
    const auto parent = ParentOf(NodeRecords::ParentOf(records_->record(node->id)));
    if (!parent) {
      return MakeError(parent.error(), "a node whose parent is none");
    }
    node->parent = *parent;
    ++node->parent->refs;
  }
  const std::lock_guard lock(mutex_);
  for (auto& node : made) {
    GrowIfFull();
    Insert(*node.release());
  }
  return {};
}

void NodeTable::DropUnused() {
  for (uint32_t id = NodeRecords::kFirst; id < records_->end(); ++id) {
    Node* node = records_->At(id);
    if (node != nullptr && node->refs == 0) {
      Reference(*node);
      Drop(*node, 1);
    }
  }
}

size_t NodeTable::size() const {
  const std::lock_guard lock(mutex_);
  return count_;
}

}  // namespace actiondfs::fuse
