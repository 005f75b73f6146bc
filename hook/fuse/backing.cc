// SPDX-License-Identifier: Apache-2.0
#include "hook/fuse/backing.h"

#include <sys/ioctl.h>

#include <iterator>
#include <memory>

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

void Backing::CloseId(OpenState& state) {
  auto id = static_cast<uint32_t>(state.backing_id);
  // It fails only for an id that the kernel does not know: nothing is left to close then.
  (void)::ioctl(device_, wire::kIoctlBackingClose, &id);
  state.backing_id = 0;
}

Backing::Grant Backing::Count(OpenState& state) {
  LeaveIdle(state);
  ++state.opens;
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
      return Count(state);
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
    return Count(state);  // somebody else was faster
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
  return Count(state);
}

void Backing::Release(Node& node) {
  const std::lock_guard lock(mutex_);
  OpenState& state = StateOf(node);
  if (--state.opens > 0) {
    return;
  }
  node.is_open.store(false, std::memory_order_relaxed);
  state.mode = OpenMode::kClosed;
  if (state.backing_id == 0) {
    return;
  }
  idle_.push_back(&node);
  state.idle_position = std::prev(idle_.end());
  state.idle = true;
  if (idle_.size() > kMaxIdle) {
    OpenState& oldest = *idle_.front()->open;
    LeaveIdle(oldest);
    CloseId(oldest);
  }
}

void Backing::Forget(Node& node) {
  const std::lock_guard lock(mutex_);
  if (node.open) {
    LeaveIdle(*node.open);
    if (node.open->backing_id != 0) {
      CloseId(*node.open);
    }
  }
}

}  // namespace actiondfs::fuse
