// SPDX-License-Identifier: Apache-2.0
//
// What the kernel holds as `fh` of something open, until RELEASE brings it back. A mount that ends
// drops the RELEASEs that were still on their way, so each mount knows its handles, and those that
// never came back go with it. Thread-safe.
//
// A number is an address with the count of processes above it, for the kernel may still have those
// of a process that was killed (KeptState).
#ifndef ACTIONDFS_HOOK_FUSE_OPEN_HANDLE_H_
#define ACTIONDFS_HOOK_FUSE_OPEN_HANDLE_H_

#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>

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

  // How many processes had this mount before; before the first handle.
  void SetLife(uint32_t life) { life_ = life; }

  // What the kernel gets for a handle, and back. 0: none.
  uint64_t NumberOf(const OpenHandle* handle) const;
  // Null: none, or a number from an earlier process that nothing was adopted for.
  template <typename Handle>
  Handle* Find(uint64_t number) {
    return static_cast<Handle*>(FindAny(number));
  }
  // The same, but the caller's from now on.
  std::unique_ptr<OpenHandle> Take(uint64_t number);
  // The handle stands for a number from an earlier process; where there is one already, that stays
  // and is returned.
  template <typename Handle>
  Handle& Adopt(uint64_t number, std::unique_ptr<Handle> handle) {
    return static_cast<Handle&>(AdoptAny(number, std::move(handle)));
  }

 private:
  friend class OpenHandle;
  OpenHandle* FindAny(uint64_t number);
  OpenHandle& AdoptAny(uint64_t number, std::unique_ptr<OpenHandle> handle);

  uint32_t life_ = 0;
  std::mutex mutex_;
  std::unordered_map<uint64_t, OpenHandle*> adopted_;  // mutex_
  OpenHandle* first_ = nullptr;                        // mutex_
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
