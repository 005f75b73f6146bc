// SPDX-License-Identifier: Apache-2.0
#include "hook/apps/cli/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace actiondfs::cli {
namespace {

constexpr std::chrono::milliseconds kInterval(100);
constexpr size_t kBarWidth = 30;

size_t TerminalWidth() {
  winsize size = {};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

ProgressLine::ProgressLine(bool wanted) : shown_(wanted && ::isatty(STDERR_FILENO) == 1) {}

ProgressLine::~ProgressLine() {
  if (drawn_) {
    (void)std::fputs("\r\x1b[K", stderr);
    (void)std::fflush(stderr);
  }
}

void ProgressLine::Show(std::optional<double> fraction, const std::string& text) {
  const auto now = std::chrono::steady_clock::now();
  if (!shown_ || (drawn_ && now - last_ < kInterval)) {
    return;
  }
  last_ = now;
  drawn_ = true;
  std::string line;
  if (fraction) {
    const double bounded = std::clamp(*fraction, 0.0, 1.0);
    const auto filled = static_cast<size_t>(bounded * kBarWidth);
    line = fmt::format("[{}{}] {:3.0f}%  ", std::string(filled, '#'),
                       std::string(kBarWidth - filled, ' '), bounded * 100);
  }
  line += text;
  // A line that wraps would not be wiped by the next one.
  line.resize(std::min(line.size(), TerminalWidth() - 1));
  fmt::print(stderr, "\r{}\x1b[K", line);
  (void)std::fflush(stderr);
}

}  // namespace actiondfs::cli
