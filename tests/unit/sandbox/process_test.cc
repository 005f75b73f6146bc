// SPDX-License-Identifier: Apache-2.0
#include "hook/sandbox/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <string>

#include "hook/sandbox/filter.h"
#include "tests/unit/sandbox/child.h"

namespace actiondfs::sandbox {
namespace {

TEST(ProcessTest, ForgetInheritanceClosesClearsAndMoves) {
  EXPECT_EQ(InChild([] {
              const int leaked = ::open("/", O_RDONLY);
              ::setenv("LD_PRELOAD", "/evil.so", 1);
              if (!ForgetInheritance()) {
                return 1;
              }
              char cwd[64] = "";
              const bool gone = ::fcntl(leaked, F_GETFD) == -1;
              const bool at_root = ::getcwd(cwd, sizeof(cwd)) != nullptr && std::string(cwd) == "/";
              const bool undumpable = ::prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0 || !kFiltersBuilt;
              const mode_t mask = ::umask(0);
              return gone && at_root && undumpable && mask == 0 && ::getenv("LD_PRELOAD") == nullptr
                         ? 0
                         : 2;
            }),
            0);
}

TEST(ProcessTest, ForgetInheritanceFillsClosedStandardDescriptors) {
  EXPECT_EQ(InChild([] {
              ::close(STDIN_FILENO);
              ::close(STDERR_FILENO);
              if (!ForgetInheritance()) {
                return 1;
              }
              struct stat in = {};
              struct stat err = {};
              const bool filled =
                  ::fstat(STDIN_FILENO, &in) == 0 && ::fstat(STDERR_FILENO, &err) == 0;
              return filled && S_ISCHR(in.st_mode) && in.st_rdev == err.st_rdev ? 0 : 2;
            }),
            0);
}

TEST(ProcessTest, ForgetInheritanceResetsSignals) {
  EXPECT_EQ(InChild([] {
              sigset_t all;
              ::sigfillset(&all);
              ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
              if (!ForgetInheritance()) {
                return 1;
              }
              sigset_t now;
              ::pthread_sigmask(SIG_SETMASK, nullptr, &now);
              struct sigaction pipe = {};
              ::sigaction(SIGPIPE, nullptr, &pipe);
              return ::sigismember(&now, SIGTERM) == 0 && pipe.sa_handler == SIG_IGN ? 0 : 2;
            }),
            0);
}

TEST(ProcessTest, ConfineForbidsNewPrivileges) {
  EXPECT_EQ(
      InChild([] {
        return Confine(Profile::kPrestart) && ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 0 : 1;
      }),
      0);
}

}  // namespace
}  // namespace actiondfs::sandbox
