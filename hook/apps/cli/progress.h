// SPDX-License-Identifier: Apache-2.0
//
// One line on stderr that says how far long work is: only where stderr is a terminal, and wiped
// when the work ends. Single-threaded.
#ifndef ACTIONDFS_HOOK_APPS_CLI_PROGRESS_H_
#define ACTIONDFS_HOOK_APPS_CLI_PROGRESS_H_

#include <chrono>
#include <optional>
#include <string>

namespace actiondfs::cli {

class ProgressLine {
 public:
  // Never shown where not `wanted`.
  explicit ProgressLine(bool wanted);
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  // With a fraction (0 to 1) a bar is drawn before the text. Called more often than ten times a
  // second it shows every tenth of a second.
  void Show(std::optional<double> fraction, const std::string& text);

 private:
  const bool shown_;
  bool drawn_ = false;
  std::chrono::steady_clock::time_point last_;
};

}  // namespace actiondfs::cli

#endif  // ACTIONDFS_HOOK_APPS_CLI_PROGRESS_H_
