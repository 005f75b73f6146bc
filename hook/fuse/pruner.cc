// SPDX-License-Identifier: Apache-2.0
#include "hook/fuse/pruner.h"

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include "hook/fuse/wire.h"

namespace actiondfs::fuse {
namespace {

// How much has to be new before the kernel is asked, and how many nodes it is asked about for each
// new one: some are in use, and some are directories that go only after what is in them.
constexpr uint64_t kEvery = 256;
constexpr uint64_t kAskedForEach = 4;
// Node ids in one notification; the kernel takes as many at a time.
constexpr size_t kIdsAtOnce = 512;
// Names are held while they are sent.
constexpr size_t kNamesAtOnce = 256;

struct Name {
  uint64_t parent;
  std::string name;
};

}  // namespace

bool Pruner::Pressed() const {
  return budget_.used(Resource::kNodes) > budget_.share(Resource::kNodes) ||
         budget_.used(Resource::kBytes) > budget_.share(Resource::kBytes);
}

void Pruner::Work(fuse_session* session, int device) {
  if (!Pressed()) {
    done_growth_.store(nodes_.growth(), std::memory_order_relaxed);
    return;
  }
  const std::unique_lock lock(working_, std::try_to_lock);
  if (!lock) {
    return;
  }
  const uint64_t done = done_growth_.load(std::memory_order_relaxed);
  const uint64_t growth = nodes_.growth();
  if (growth < done + kEvery) {
    return;
  }
  done_growth_.store(growth, std::memory_order_relaxed);
  const size_t count = std::min<uint64_t>((growth - done) * kAskedForEach, nodes_.size());
  if (ask_.load(std::memory_order_relaxed)) {
    Ask(device, count);
  } else {
    Invalidate(session, count);
  }
}

bool Pruner::SendIds(int device, std::span<const uint64_t> ids) {
  wire::NotifyPruneOut prune = {static_cast<uint32_t>(ids.size()), 0, 0};
  fuse_out_header header = {
      static_cast<uint32_t>(sizeof(header) + sizeof(prune) + ids.size_bytes()), wire::kNotifyPrune,
      0};
  const iovec parts[3] = {{&header, sizeof(header)},
                          {&prune, sizeof(prune)},
                          {const_cast<uint64_t*>(ids.data()), ids.size_bytes()}};
  if (::writev(device, parts, 3) < 0) {
    if (errno == EINVAL) {
      ask_.store(false, std::memory_order_relaxed);  // a kernel that does not know it
    }
    return false;
  }
  return true;
}

void Pruner::Ask(int device, size_t count) {
  std::vector<uint64_t> ids;
  ids.reserve(kIdsAtOnce);
  while (count > 0) {
    ids.clear();
    const size_t some = std::min(count, kIdsAtOnce);
    // By the time the kernel reads it an id may be void, or another node's: it asks for nothing
    // but that what is unused be dropped.
    nodes_.VisitNext(some, [&](const Node& node) { ids.push_back(nodes_.IdOf(node)); });
    count -= some;
    if (!ids.empty() && !SendIds(device, ids)) {
      return;
    }
  }
}

void Pruner::Invalidate(fuse_session* session, size_t count) {
  std::vector<Name> names;
  while (count > 0) {
    names.clear();
    const size_t some = std::min(count, kNamesAtOnce);
    nodes_.VisitNext(some, [&](const Node& node) {
      if (node.IsInput() && !node.IsDirectory() && !node.is_open.load(std::memory_order_relaxed)) {
        names.push_back({nodes_.IdOf(*node.parent), inputs_.NameOf(node)});
      }
    });
    count -= some;
    for (const Name& name : names) {
      // It fails for what the kernel has dropped meanwhile.
      (void)fuse_lowlevel_notify_inval_entry(session, name.parent, name.name.c_str(),
                                             name.name.size());
    }
  }
}

}  // namespace actiondfs::fuse
