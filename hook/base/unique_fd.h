// SPDX-License-Identifier: Apache-2.0
//
// A file descriptor that is closed when its owner goes. Move-only. Closing never changes errno, so
// that an error path can report the errno of what failed. Not synchronised: one owner, one thread
// at a time.
#ifndef ACTIONDFS_HOOK_BASE_UNIQUE_FD_H_
#define ACTIONDFS_HOOK_BASE_UNIQUE_FD_H_

#include <utility>

namespace actiondfs {

class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}  // takes ownership; negative means none
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.Release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    const UniqueFd old(std::exchange(fd_, other.Release()));
    return *this;
  }
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  ~UniqueFd() { Reset(); }

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  // Gives up ownership; the caller closes.
  [[nodiscard]] int Release() { return std::exchange(fd_, -1); }
  void Reset();

 private:
  int fd_ = -1;
};

}  // namespace actiondfs

#endif  // ACTIONDFS_HOOK_BASE_UNIQUE_FD_H_
