// SPDX-License-Identifier: Apache-2.0
#include "hook/fuse/node_records.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <new>

namespace actiondfs::fuse {
namespace {

constexpr size_t kPointersSize = sizeof(std::atomic<Node*>) * NodeRecords::kMaxNodes;

// Pages that nobody touches cost nothing, so there is room for all from the beginning, and no lock
// is needed to find a node.
std::atomic<Node*>* MapPointers() {
  void* memory = ::mmap(nullptr, kPointersSize, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    throw std::bad_alloc();
  }
  return static_cast<std::atomic<Node*>*>(memory);
}

// From those that were used before, or else the next; 0: none is left.
uint32_t Take(std::vector<uint32_t>& free, std::atomic<uint32_t>& used, uint32_t first,
              uint32_t max) {
  if (!free.empty()) {
    const uint32_t taken = free.back();
    free.pop_back();
    return taken;
  }
  const uint32_t next = std::max(used.load(std::memory_order_relaxed), first);
  if (next >= max) {
    return 0;
  }
  used.store(next + 1, std::memory_order_release);
  return next;
}

}  // namespace

NodeRecords::NodeRecords(NodeRecord* records, NameRecord* names, RecordCounts& counts)
    : records_(records), names_(names), counts_(counts), nodes_(MapPointers()) {}

NodeRecords::~NodeRecords() {
  ::munmap(static_cast<void*>(nodes_), kPointersSize);
}

uint64_t NodeRecords::PlaceOf(const Node& node, uint32_t last) {
  return uint64_t{IdOf(*node.parent)} << 32 | last;
}

uint32_t NodeRecords::AddName(std::string_view name) {
  const uint32_t number = Take(free_names_, counts_.names, 1, kMaxNames);
  if (number != 0) {
    NameRecord& record = names_[number];
    record.size = static_cast<uint8_t>(name.size());
    std::memcpy(record.text, name.data(), name.size());
  }
  return number;
}

void NodeRecords::Add(Node& node) {
  const std::lock_guard lock(mutex_);
  uint32_t id = 0;
  uint32_t last = node.index;
  if (IdOf(*node.parent) != 0) {
    id = Take(free_nodes_, counts_.nodes, kFirst, kMaxNodes);
  }
  if (id != 0 && node.staged) {
    last = AddName(node.place->name);
    if (last == 0) {
      free_nodes_.push_back(id);
      id = 0;
    }
  }
  if (id == 0) {
    counts_.incomplete.store(true, std::memory_order_release);
    return;
  }
  NodeRecord& record = records_[id];
  record.place.store(PlaceOf(node, last), std::memory_order_relaxed);
  record.refs.store(1, std::memory_order_relaxed);
  record.ino.store(node.ino, std::memory_order_relaxed);
  record.opens.store(0, std::memory_order_relaxed);
  record.backing_id.store(0, std::memory_order_relaxed);
  record.refused.store(false, std::memory_order_relaxed);
  record.removed.store(false, std::memory_order_relaxed);
  record.writers.store(0, std::memory_order_relaxed);
  record.type.store(node.type, std::memory_order_relaxed);
  record.kind.store(node.staged ? RecordKind::kStaged : RecordKind::kInput,
                    std::memory_order_release);
  node.id = id;
  nodes_[id].store(&node, std::memory_order_release);
}

void NodeRecords::Free(uint32_t id) {
  const std::lock_guard lock(mutex_);
  NodeRecord& record = records_[id];
  if (record.kind.load(std::memory_order_relaxed) == RecordKind::kStaged) {
    free_names_.push_back(IndexOf(record));
  }
  record.kind.store(RecordKind::kFree, std::memory_order_release);
  nodes_[id].store(nullptr, std::memory_order_relaxed);
  free_nodes_.push_back(id);
}

void NodeRecords::Move(const Node& node) {
  if (node.id == 0) {
    return;
  }
  const std::lock_guard lock(mutex_);
  NodeRecord& record = records_[node.id];
  const uint32_t name = AddName(node.place->name);
  if (name == 0 || IdOf(*node.parent) == 0) {
    counts_.incomplete.store(true, std::memory_order_release);
    return;
  }
  const uint32_t old = IndexOf(record);
  record.place.store(PlaceOf(node, name), std::memory_order_release);
  record.removed.store(false, std::memory_order_release);
  free_names_.push_back(old);
}

uint32_t NodeRecords::end() const {
  return std::clamp(counts_.nodes.load(std::memory_order_acquire), kFirst, kMaxNodes);
}

uint32_t NodeRecords::ParentOf(const NodeRecord& record) {
  return static_cast<uint32_t>(record.place.load(std::memory_order_acquire) >> 32);
}

uint32_t NodeRecords::IndexOf(const NodeRecord& record) {
  return static_cast<uint32_t>(record.place.load(std::memory_order_acquire));
}

std::string_view NodeRecords::NameOf(const NodeRecord& record) const {
  const uint32_t number = IndexOf(record);
  return number < kMaxNames ? std::string_view(names_[number].text, names_[number].size)
                            : std::string_view();
}

void NodeRecords::Claim(uint32_t id, Node* node) {
  const std::lock_guard lock(mutex_);
  if (node == nullptr) {
    free_nodes_.push_back(id);
  }
  nodes_[id].store(node, std::memory_order_release);
}

void NodeRecords::FindFreeNames() {
  const std::lock_guard lock(mutex_);
  const uint32_t used = std::min(counts_.names.load(std::memory_order_acquire), kMaxNames);
  std::vector<bool> taken(used, false);
  for (uint32_t id = kFirst; id < end(); ++id) {
    const NodeRecord& record = records_[id];
    if (record.kind.load(std::memory_order_relaxed) == RecordKind::kStaged &&
        IndexOf(record) < used) {
      taken[IndexOf(record)] = true;
    }
  }
  for (uint32_t name = 1; name < used; ++name) {
    if (!taken[name]) {
      free_names_.push_back(name);
    }
  }
}

}  // namespace actiondfs::fuse
