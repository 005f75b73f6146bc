// SPDX-License-Identifier: Apache-2.0
#include "hook/sandbox/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <functional>
#include <string>

namespace actiondfs::sandbox {
namespace {

// Runs `body` in a child, since what is tested cannot be undone; its exit code.
int InChild(const std::function<int()>& body) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::_exit(body());
  }
  int status = 0;
  EXPECT_EQ(::waitpid(pid, &status, 0), pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

std::string StatusField(const std::string& key) {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(key + ":\t")) {
      return line.substr(key.size() + 2);
    }
  }
  return "";
}

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
              const bool no_new_privs = ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
              return gone && at_root && no_new_privs && ::getenv("LD_PRELOAD") == nullptr ? 0 : 2;
            }),
            0);
}

TEST(ProcessTest, DropCapabilitiesLeavesNone) {
  EXPECT_EQ(InChild([] {
              if (!DropCapabilities()) {
                return 1;
              }
              for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapAmb"}) {
                if (StatusField(set) != "0000000000000000") {
                  return 2;
                }
              }
              return 0;
            }),
            0);
}

}  // namespace
}  // namespace actiondfs::sandbox
