// SPDX-License-Identifier: Apache-2.0
//
// A directory for one test, removed with it; and a process that does one thing. Test code,
// single-threaded.
#ifndef ACTIONDFS_TESTS_UNIT_RECORD_TEST_DIR_H_
#define ACTIONDFS_TESTS_UNIT_RECORD_TEST_DIR_H_

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "hook/base/files.h"

namespace actiondfs::record {

class TestDir {
 public:
  TestDir() : path_(testing::TempDir() + "actiondfs-record.XXXXXX") {
    EXPECT_NE(::mkdtemp(path_.data()), nullptr);
  }
  ~TestDir() { EXPECT_TRUE(RemoveTree(AT_FDCWD, path_)); }
  TestDir(const TestDir&) = delete;
  TestDir& operator=(const TestDir&) = delete;

  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// Runs `work` in a child, whose exit code is 0 where it returns true.
template <typename Work>
pid_t InChild(Work work) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::_exit(work() ? 0 : 1);
  }
  return child;
}

inline bool Succeeded(pid_t child) {
  int status = 0;
  return ::waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace actiondfs::record

#endif  // ACTIONDFS_TESTS_UNIT_RECORD_TEST_DIR_H_
