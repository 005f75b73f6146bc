// SPDX-License-Identifier: Apache-2.0
//
// What is tested here cannot be undone: it happens in a child.
#ifndef ACTIONDFS_TESTS_UNIT_SANDBOX_CHILD_H_
#define ACTIONDFS_TESTS_UNIT_SANDBOX_CHILD_H_

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <string>

namespace actiondfs::sandbox {

// The exit code of `body` in a child, or minus the signal that ended it.
inline int InChild(const std::function<int()>& body) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::_exit(body());
  }
  int status = 0;
  EXPECT_EQ(::waitpid(pid, &status, 0), pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

// A field of /proc/self/status, or of another file like it.
inline std::string StatusField(const std::string& key,
                               const std::string& path = "/proc/self/status") {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(key + ":\t")) {
      return line.substr(key.size() + 2);
    }
  }
  return "";
}

}  // namespace actiondfs::sandbox

#endif  // ACTIONDFS_TESTS_UNIT_SANDBOX_CHILD_H_
