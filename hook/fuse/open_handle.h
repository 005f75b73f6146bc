// SPDX-License-Identifier: Apache-2.0
//
// What the kernel holds as `fh` of something open, until RELEASE brings it back. A mount that ends
// drops the RELEASEs that were still on their way, so each mount knows its handles, and those that
// never came back go with it. Thread-safe.
#ifndef ACTIONDFS_HOOK_FUSE_OPEN_HANDLE_H_
#define ACTIONDFS_HOOK_FUSE_OPEN_HANDLE_H_

#include <mutex>

namespace actiondfs::fuse {

class OpenHandle;

// The handles of one mount.
class OpenHandles {
 public:
  OpenHandles() = default;
  // Deletes those that are left; nobody may use one any more.
  ~OpenHandles();
  OpenHandles(const OpenHandles&) = delete;
  OpenHandles& operator=(const OpenHandles&) = delete;

 private:
  friend class OpenHandle;
  std::mutex mutex_;
  OpenHandle* first_ = nullptr;  // mutex_
};

// Made by new, since OpenHandles may delete it.
class OpenHandle {
 public:
  explicit OpenHandle(OpenHandles& all);
  virtual ~OpenHandle();
  OpenHandle(const OpenHandle&) = delete;
  OpenHandle& operator=(const OpenHandle&) = delete;

 private:
  friend class OpenHandles;
  OpenHandles& all_;
  OpenHandle* previous_ = nullptr;  // all_.mutex_
  OpenHandle* next_ = nullptr;      // all_.mutex_
};

}  // namespace actiondfs::fuse

#endif  // ACTIONDFS_HOOK_FUSE_OPEN_HANDLE_H_
