// SPDX-License-Identifier: Apache-2.0
#include "hook/sandbox/process.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>

#include "hook/sandbox/capabilities.h"
#include "hook/sandbox/filter.h"

namespace actiondfs::sandbox {
namespace {

// Lowest first: open(2) takes the lowest number that is free.
Status FillStandardDescriptors() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(fd, F_GETFD) == -1 && ::open("/dev/null", O_RDWR) != fd) {
      return ErrnoError("open /dev/null");
    }
  }
  return {};
}

// A runtime's SIGCHLD that is ignored would leave no child to wait for.
void HeedSignals() {
  for (int number = 1; number < NSIG; ++number) {
    struct sigaction action = {};
    if (::sigaction(number, nullptr, &action) == 0 && action.sa_handler == SIG_IGN) {
      (void)::signal(number, SIG_DFL);
    }
  }
}

Status ResetSignals() {
  HeedSignals();
  sigset_t none;
  ::sigemptyset(&none);
  if (::pthread_sigmask(SIG_SETMASK, &none, nullptr) != 0 ||
      ::signal(SIGPIPE, SIG_IGN) == SIG_ERR) {
    return ErrnoError("reset signals");
  }
  return {};
}

}  // namespace

Status ForgetInheritance() {
  RETURN_IF_ERROR(FillStandardDescriptors());
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
  RETURN_IF_ERROR(ResetSignals());
  // LeakSanitizer traces its own process.
  if (kFiltersBuilt && ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) {
    return ErrnoError("make the process undumpable");
  }
  return {};
}

Result<std::vector<int>> Confine(Profile profile) {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return ErrnoError("no_new_privs");
  }
  ASSIGN_OR_RETURN(std::vector<int> missing, ReduceCapabilities(CapabilitiesOf(profile)));
  RETURN_IF_ERROR(InstallFilter(profile));
  return missing;
}

}  // namespace actiondfs::sandbox
