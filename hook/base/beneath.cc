// SPDX-License-Identifier: Apache-2.0
#include "hook/base/beneath.h"

#include <fcntl.h>

#include <climits>
#include <string>
#include <utility>

#include "hook/base/files.h"

namespace actiondfs {

Result<UniqueFd> OpenBeneath(int dirfd, std::string_view path, int flags, mode_t mode) {
  UniqueFd at;
  while (path.size() >= PATH_MAX) {
    const size_t slash = path.rfind('/', PATH_MAX - 1);
    if (slash == std::string_view::npos) {
      break;  // a component that is too long: the kernel says so
    }
    ASSIGN_OR_RETURN(at, OpenAt2(at.valid() ? at.get() : dirfd, std::string(path.substr(0, slash)),
                                 O_PATH | O_DIRECTORY, kResolveBeneath));
    path.remove_prefix(slash + 1);
  }
  return OpenAt2(at.valid() ? at.get() : dirfd, path.empty() ? "." : std::string(path), flags,
                 kResolveBeneath, mode);
}

}  // namespace actiondfs
