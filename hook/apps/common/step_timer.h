// SPDX-License-Identifier: Apache-2.0
//
// How long each step of a hook took, for the run record. Not synchronised.
#ifndef ACTIONDFS_HOOK_APPS_COMMON_STEP_TIMER_H_
#define ACTIONDFS_HOOK_APPS_COMMON_STEP_TIMER_H_

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace actiondfs::apps {

class StepTimer {
 public:
  // Ends the step that began at the last call, or when this object was made.
  void Done(std::string name) {
    const auto now = std::chrono::steady_clock::now();
    const auto took = std::chrono::duration_cast<std::chrono::microseconds>(now - last_);
    steps_.emplace_back(std::move(name), static_cast<uint64_t>(took.count()));
    last_ = now;
  }
  const std::vector<std::pair<std::string, uint64_t>>& steps() const { return steps_; }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
  std::vector<std::pair<std::string, uint64_t>> steps_;
};

inline int64_t UnixMilliseconds() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace actiondfs::apps

#endif  // ACTIONDFS_HOOK_APPS_COMMON_STEP_TIMER_H_
