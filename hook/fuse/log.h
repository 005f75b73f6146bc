// SPDX-License-Identifier: Apache-2.0
//
// The server's log: one line each on stderr and in syslog. Bounded in rate, for a broken tree is
// asked for its missing blobs again and again. Thread-safe.
#ifndef ACTIONDFS_HOOK_FUSE_LOG_H_
#define ACTIONDFS_HOOK_FUSE_LOG_H_

#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

namespace actiondfs::fuse {

class Log {
 public:
  // `prefix` starts every line; it is shown as it is, so it has to be printable.
  explicit Log(std::string prefix) : prefix_(std::move(prefix)) {}

  // At most kBurst lines a kWindow; how many were held back is said with the next line.
  void Write(std::string_view line);

  static constexpr uint32_t kBurst = 50;
  static constexpr std::chrono::seconds kWindow{10};

 private:
  const std::string prefix_;
  std::mutex mutex_;
  std::chrono::steady_clock::time_point window_start_;  // mutex_
  uint32_t in_window_ = 0;                              // mutex_
  uint64_t held_back_ = 0;                              // mutex_
};

}  // namespace actiondfs::fuse

#endif  // ACTIONDFS_HOOK_FUSE_LOG_H_
