// SPDX-License-Identifier: Apache-2.0
#include "hook/fuse/open_handle.h"

namespace actiondfs::fuse {

OpenHandles::~OpenHandles() {
  for (OpenHandle* handle = first_; handle != nullptr;) {
    OpenHandle* next = handle->next_;
    delete handle;
    handle = next;
  }
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
