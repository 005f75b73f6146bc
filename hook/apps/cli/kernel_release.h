// SPDX-License-Identifier: Apache-2.0
//
// Which kernel runs. Thread-safe.
#ifndef ACTIONDFS_HOOK_APPS_CLI_KERNEL_RELEASE_H_
#define ACTIONDFS_HOOK_APPS_CLI_KERNEL_RELEASE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace actiondfs::cli {

using KernelVersion = std::pair<int64_t, int64_t>;  // major, minor

// uname(2): "6.12.43+deb12-amd64".
std::string KernelRelease();
// nullopt: it does not begin with two numbers.
std::optional<KernelVersion> ParseKernelVersion(std::string_view release);

}  // namespace actiondfs::cli

#endif  // ACTIONDFS_HOOK_APPS_CLI_KERNEL_RELEASE_H_
