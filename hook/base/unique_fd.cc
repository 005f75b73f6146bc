// SPDX-License-Identifier: Apache-2.0
#include "hook/base/unique_fd.h"

#include <unistd.h>

#include <cerrno>

namespace actiondfs {

void UniqueFd::Reset() {
  if (fd_ >= 0) {
    const int saved = errno;
    ::close(std::exchange(fd_, -1));
    errno = saved;
  }
}

}  // namespace actiondfs
