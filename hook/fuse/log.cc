// SPDX-License-Identifier: Apache-2.0
#include "hook/fuse/log.h"

#include <fmt/format.h>
#include <syslog.h>

#include <cstdio>
#include <utility>

namespace actiondfs::fuse {

void Log::Write(std::string_view line) {
  uint64_t held_back = 0;
  {
    const std::lock_guard lock(mutex_);
    const auto now = std::chrono::steady_clock::now();
    if (now - window_start_ >= kWindow) {
      window_start_ = now;
      in_window_ = 0;
    }
    if (in_window_ >= kBurst) {
      ++held_back_;
      return;
    }
    ++in_window_;
    held_back = std::exchange(held_back_, 0);
  }
  std::string text = fmt::format("{}: {}", prefix_, line);
  if (held_back > 0) {
    text += fmt::format(" ({} lines before this one were held back)", held_back);
  }
  ::syslog(LOG_DAEMON | LOG_ERR, "%s", text.c_str());
  text += '\n';
  // One write, so that lines of several threads do not mix. Nothing can be done about a failure.
  (void)std::fwrite(text.data(), 1, text.size(), stderr);
}

}  // namespace actiondfs::fuse
