// SPDX-License-Identifier: Apache-2.0
#include "hook/fuse/open_handle.h"

#include <utility>

#include "hook/fuse/node.h"

namespace actiondfs::fuse {
namespace {

// No user address is as high on a 64-bit machine, unless mmap(2) is asked for it.
constexpr int kAddressBits = 48;
constexpr uint64_t kAddressMask = (uint64_t{1} << kAddressBits) - 1;

}  // namespace

OpenHandles::~OpenHandles() {
  for (OpenHandle* handle = first_; handle != nullptr;) {
    OpenHandle* next = handle->next_;
    delete handle;
    handle = next;
  }
}

uint64_t OpenHandles::NumberOf(const OpenHandle* handle) const {
  return handle == nullptr ? 0 : ToNumber(handle) | uint64_t{life_} << kAddressBits;
}

OpenHandle* OpenHandles::FindAny(uint64_t number) {
  if (number >> kAddressBits == life_) {
    return FromNumber<OpenHandle>(number & kAddressMask);
  }
  const std::lock_guard lock(mutex_);
  const auto found = adopted_.find(number);
  return found != adopted_.end() ? found->second : nullptr;
}

std::unique_ptr<OpenHandle> OpenHandles::Take(uint64_t number) {
  std::unique_ptr<OpenHandle> handle(FindAny(number));
  const std::lock_guard lock(mutex_);
  adopted_.erase(number);
  return handle;
}

OpenHandle& OpenHandles::AdoptAny(uint64_t number, std::unique_ptr<OpenHandle> handle) {
  const std::unique_lock lock(mutex_);
  const auto [position, added] = adopted_.try_emplace(number, handle.get());
  if (added) {
    (void)handle.release();
  }
  return *position->second;
}

OpenHandle::OpenHandle(OpenHandles& all) : all_(all) {
  const std::lock_guard lock(all_.mutex_);
  next_ = all_.first_;
  if (next_ != nullptr) {
    next_->previous_ = this;
  }
  all_.first_ = this;
}

OpenHandle::~OpenHandle() {
  const std::lock_guard lock(all_.mutex_);
  (previous_ != nullptr ? previous_->next_ : all_.first_) = next_;
  if (next_ != nullptr) {
    next_->previous_ = previous_;
  }
}

}  // namespace actiondfs::fuse
