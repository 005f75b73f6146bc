// SPDX-License-Identifier: Apache-2.0
#include "hook/fuse/backing.h"

#include <sys/ioctl.h>

#include <iterator>
#include <memory>
#include <utility>

#include "hook/fuse/wire.h"

namespace actiondfs::fuse {

void Backing::Enable() {
  const std::lock_guard lock(mutex_);
  enabled_ = true;
}

bool Backing::enabled() const {
  const std::lock_guard lock(mutex_);
  return enabled_;
}

OpenState& Backing::StateOf(Node& node) {
  if (!node.open) {
    node.open = std::make_unique<OpenState>();
  }
  return *node.open;
}

void Backing::LeaveIdle(OpenState& state) {
  if (state.idle) {
    idle_.erase(state.idle_position);
    state.idle = false;
  }
}

void Backing::BecomeIdle(Node& node) {
  idle_.push_back(&node);
  node.open->idle_position = std::prev(idle_.end());
  node.open->idle = true;
}

void Backing::Note(const Node& node) {
  NodeRecord* record = records_ != nullptr ? records_->Of(node) : nullptr;
  if (record != nullptr) {
    record->refused.store(node.open->refused, std::memory_order_relaxed);
    record->backing_id.store(node.open->backing_id, std::memory_order_relaxed);
    record->opens.store(node.open->opens, std::memory_order_release);
  }
}

void Backing::Restore(Node& node) {
  const NodeRecord& record = *records_->Of(node);
  const uint32_t opens = record.opens.load(std::memory_order_acquire);
  const int32_t id = record.backing_id.load(std::memory_order_relaxed);
  const bool refused = record.refused.load(std::memory_order_relaxed);
  if (opens == 0 && id == 0 && !refused) {
    return;
  }
  const std::lock_guard lock(mutex_);
  OpenState& state = StateOf(node);
  state.backing_id = id;
  state.refused = refused;
  state.opens = opens;
  if (opens > 0) {
    node.is_open.store(true, std::memory_order_relaxed);
    state.mode = id != 0 ? OpenMode::kPassthrough : OpenMode::kCached;
  } else if (id != 0) {
    BecomeIdle(node);
  }
}

void Backing::CloseId(Node& node) {
  auto id = static_cast<uint32_t>(std::exchange(node.open->backing_id, 0));
  Note(node);  // first: a later process may not use an id that is closed
  // It fails only for an id that the kernel does not know: nothing is left to close then.
  (void)::ioctl(device_, wire::kIoctlBackingClose, &id);
}

Backing::Grant Backing::Count(Node& node) {
  OpenState& state = *node.open;
  LeaveIdle(state);
  ++state.opens;
  Note(node);
  return {state.mode, state.backing_id};
}

Errno<Backing::Grant> Backing::Acquire(Node& node,
                                       const std::function<Errno<UniqueFd>()>& open_path) {
  {
    const std::lock_guard lock(mutex_);
    OpenState& state = StateOf(node);
    node.is_open.store(true, std::memory_order_relaxed);
    if (state.opens == 0) {
      if (state.backing_id != 0) {
        state.mode = OpenMode::kPassthrough;
      } else {
        state.mode = !enabled_ || state.refused ? OpenMode::kCached : OpenMode::kClosed;
      }
    }
    if (state.mode != OpenMode::kClosed) {
      return Count(node);
    }
  }
  // Without the lock: this may have to wait for a disk.
  auto file = open_path();
  if (!file) {
    return Fail(file.error());
  }
  const std::lock_guard lock(mutex_);
  OpenState& state = StateOf(node);
  if (state.opens > 0 || state.backing_id != 0) {
    state.mode = state.opens > 0 ? state.mode : OpenMode::kPassthrough;
    return Count(node);  // somebody else was faster
  }
  wire::BackingMap map = {file->get(), 0, 0};
  const int id = ::ioctl(device_, wire::kIoctlBackingOpen, &map);
  if (id > 0) {
    state.backing_id = id;
    state.mode = OpenMode::kPassthrough;
  } else {
    // A file that cannot be backed (on overlayfs, say) or a process that may not: it works all the
    // same.
    state.refused = true;
    state.mode = OpenMode::kCached;
    enabled_ = enabled_ && errno != EPERM && errno != ENOTTY;
  }
  return Count(node);
}

void Backing::Release(Node& node) {
  const std::lock_guard lock(mutex_);
  OpenState& state = StateOf(node);
  --state.opens;
  Note(node);
  if (state.opens > 0) {
    return;
  }
  node.is_open.store(false, std::memory_order_relaxed);
  state.mode = OpenMode::kClosed;
  if (state.backing_id == 0) {
    return;
  }
  BecomeIdle(node);
  if (idle_.size() > kMaxIdle) {
    Node& oldest = *idle_.front();
    LeaveIdle(*oldest.open);
    CloseId(oldest);
  }
}

void Backing::Forget(Node& node) {
  const std::lock_guard lock(mutex_);
  if (node.open) {
    LeaveIdle(*node.open);
    if (node.open->backing_id != 0) {
      CloseId(node);
    }
  }
}

}  // namespace actiondfs::fuse
