// SPDX-License-Identifier: Apache-2.0
#include "hook/sandbox/process.h"

#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <memory>

namespace actiondfs::sandbox {

Status ForgetInheritance() {
  if (::close_range(STDERR_FILENO + 1, ~0U, 0) != 0) {
    return ErrnoError("close inherited descriptors");
  }
  if (::clearenv() != 0) {  // NOLINT(concurrency-mt-unsafe): single-threaded
    return MakeError(ENOMEM, "clear the environment");
  }
  if (::chdir("/") != 0) {
    return ErrnoError("chdir to /");
  }
  ::umask(0);
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return ErrnoError("no_new_privs");
  }
  return {};
}

Status DropCapabilities() {
  const std::unique_ptr<std::remove_pointer_t<cap_t>, int (*)(void*)> none(::cap_init(),
                                                                           &::cap_free);
  if (!none) {
    return ErrnoError("drop capabilities");
  }
  if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0) {
    return ErrnoError("drop ambient capabilities");
  }
  if (::cap_set_proc(none.get()) != 0) {
    return ErrnoError("drop capabilities");
  }
  return {};
}

}  // namespace actiondfs::sandbox
