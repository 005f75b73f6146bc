// SPDX-License-Identifier: Apache-2.0
#include "hook/apps/cli/kernel_release.h"

#include <sys/utsname.h>

#include <vector>

#include "hook/base/text.h"

namespace actiondfs::cli {

std::string KernelRelease() {
  utsname name = {};
  return ::uname(&name) == 0 ? name.release : "";
}

std::optional<KernelVersion> ParseKernelVersion(std::string_view release) {
  const std::vector<std::string> parts = Split(release, '.');
  if (parts.size() < 2) {
    return std::nullopt;
  }
  const auto major = ParseDecimal(parts[0]);
  // "6.12-rc1" has more behind the number.
  const auto minor = ParseDecimal(parts[1].substr(0, parts[1].find_first_not_of("0123456789")));
  return major && minor ? std::optional(KernelVersion(*major, *minor)) : std::nullopt;
}

}  // namespace actiondfs::cli
