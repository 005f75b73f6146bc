// SPDX-License-Identifier: Apache-2.0
#include "hook/base/files.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <string>

namespace actiondfs {
namespace {

class FilesTest : public testing::Test {
 protected:
  void SetUp() override {
    path_ = testing::TempDir() + "/files_test.XXXXXX";
    ASSERT_NE(::mkdtemp(path_.data()), nullptr);
    dir_ = OpenAt(AT_FDCWD, path_, O_RDONLY | O_DIRECTORY).value();
  }
  void TearDown() override { std::filesystem::remove_all(path_); }

  std::string path_;
  UniqueFd dir_;
};

TEST_F(FilesTest, WriteFileAtomicallyReplacesAndLeavesNothingElse) {
  ASSERT_TRUE(WriteFileAtomically(dir_.get(), "f", "one", 0600, true));
  ASSERT_TRUE(WriteFileAtomically(dir_.get(), "f", "two", 0600, true));
  EXPECT_EQ(ReadFileAt(dir_.get(), "f", 100).value(), "two");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(path_), {}), 1);
}

TEST_F(FilesTest, ReadAllHoldsItsLimit) {
  ASSERT_TRUE(WriteFileAtomically(dir_.get(), "f", "12345", 0600, false));
  EXPECT_EQ(ReadFileAt(dir_.get(), "f", 5).value(), "12345");
  EXPECT_EQ(ReadFileAt(dir_.get(), "f", 4).error().code(), EFBIG);
}

// How often this process has called read(2), as procfs counts it; -1 where it does not.
long ReadCalls() {
  std::ifstream file("/proc/self/io");
  for (std::string key; file >> key;) {
    if (key == "syscr:") {
      long count = -1;
      file >> count;
      return count;
    }
  }
  return -1;
}

TEST_F(FilesTest, FilesOfProcfsAreReadInFewCalls) {
  const long before = ReadCalls();
  if (before < 0) {
    GTEST_SKIP() << "this kernel does not count read(2)";
  }
  const auto text = ReadFileAt(AT_FDCWD, "/proc/self/status", 65536);
  const long after = ReadCalls();
  ASSERT_TRUE(text);
  ASSERT_GT(text->size(), 200U);
  EXPECT_LT(after - before, 20) << "the size that procfs tells is 0";
}

TEST_F(FilesTest, RemoveTreeDoesNotFollowSymlinks) {
  ASSERT_TRUE(MakeDirectories(path_ + "/victim", 0700));
  ASSERT_TRUE(MakeDirectories(path_ + "/tree/a/b", 0700));
  ASSERT_TRUE(WriteFileAtomically(dir_.get(), "victim/keep", "x", 0600, false));
  ASSERT_EQ(::symlinkat("../../victim", dir_.get(), "tree/a/link"), 0);
  ASSERT_TRUE(RemoveTree(dir_.get(), "tree"));
  EXPECT_EQ(StatAt(dir_.get(), "tree").error().code(), ENOENT);
  EXPECT_TRUE(StatAt(dir_.get(), "victim/keep"));
  EXPECT_TRUE(RemoveTree(dir_.get(), "tree")) << "what is not there is removed";
}

TEST_F(FilesTest, RemoveTreeGoesDeeperThanDescriptorsLast) {
  ASSERT_TRUE(MkdirAt(dir_.get(), "deep", 0700));
  UniqueFd level = OpenAt(dir_.get(), "deep", O_RDONLY | O_DIRECTORY).value();
  for (int i = 0; i < 3000; ++i) {
    ASSERT_TRUE(MkdirAt(level.get(), "d", 0700));
    ASSERT_TRUE(WriteFileAtomically(level.get(), "f", "", 0600, false));
    level = OpenAt(level.get(), "d", O_RDONLY | O_DIRECTORY).value();
  }
  ASSERT_TRUE(RemoveTree(dir_.get(), "deep"));
  EXPECT_EQ(StatAt(dir_.get(), "deep").error().code(), ENOENT);
}

TEST_F(FilesTest, RemoveTreeRemovesMoreThanOneBatch) {
  ASSERT_TRUE(MkdirAt(dir_.get(), "wide", 0700));
  const UniqueFd wide = OpenAt(dir_.get(), "wide", O_RDONLY | O_DIRECTORY).value();
  for (int i = 0; i < 5000; ++i) {
    ASSERT_TRUE(OpenAt(wide.get(), std::to_string(i), O_CREAT | O_WRONLY, 0600));
  }
  ASSERT_TRUE(RemoveTree(dir_.get(), "wide"));
  EXPECT_EQ(StatAt(dir_.get(), "wide").error().code(), ENOENT);
}

TEST_F(FilesTest, MkdirAtTellsDirectoriesFromFiles) {
  ASSERT_TRUE(MkdirAt(dir_.get(), "d", 0700));
  EXPECT_TRUE(MkdirAt(dir_.get(), "d", 0700, true));
  EXPECT_EQ(MkdirAt(dir_.get(), "d", 0700).error().code(), EEXIST);
  ASSERT_TRUE(WriteFileAtomically(dir_.get(), "f", "", 0600, false));
  EXPECT_EQ(MkdirAt(dir_.get(), "f", 0700, true).error().code(), ENOTDIR);
}

TEST_F(FilesTest, ReadLinkAtReturnsLongTargets) {
  const std::string target(3000, 't');
  ASSERT_EQ(::symlinkat(target.c_str(), dir_.get(), "l"), 0);
  EXPECT_EQ(ReadLinkAt(dir_.get(), "l").value(), target);
}

TEST_F(FilesTest, UniqueFdMoveAssignmentClosesTheOldOne) {
  UniqueFd a = OpenAt(dir_.get(), ".", O_RDONLY).value();
  const int old = a.get();
  a = OpenAt(dir_.get(), ".", O_RDONLY).value();
  EXPECT_EQ(::fcntl(old, F_GETFD), -1);
  EXPECT_NE(::fcntl(a.get(), F_GETFD) & FD_CLOEXEC, 0);
}

}  // namespace
}  // namespace actiondfs
