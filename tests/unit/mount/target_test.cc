// SPDX-License-Identifier: Apache-2.0
#include "hook/mount/target.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "hook/base/files.h"
#include "tests/unit/mount/private_mounts.h"

namespace actiondfs::mount {
namespace {

class TargetTest : public PrivateMounts {
 protected:
  void SetUp() override {
    PrivateMounts::SetUp();
    if (!IsSkipped()) {
      root_ = Path("rootfs");
      ASSERT_TRUE(MakeDirectories(root_, 0755));
    }
  }
  int ErrorOf(const std::string& destination, bool may_create = true) {
    const auto target = Target::Open(root_, destination, may_create);
    return target ? 0 : target.error().code();
  }

  std::string root_;
};

TEST_F(TargetTest, MissingDirectoriesAreMade) {
  ASSERT_TRUE(Target::Open(root_, "/a/b/c", true));
  EXPECT_TRUE(std::filesystem::is_directory(root_ + "/a/b/c"));
}

TEST_F(TargetTest, CreatedDirectoriesCanBeRemovedAgain) {
  std::filesystem::create_directory(root_ + "/a");
  Target::Open(root_, "/a/b/c", true)->RemoveCreated();
  EXPECT_TRUE(std::filesystem::is_directory(root_ + "/a"));
  EXPECT_FALSE(std::filesystem::exists(root_ + "/a/b"));
}

TEST_F(TargetTest, MissingOnAReadOnlyRootIsRefusedAndSaid) {
  const auto target = Target::Open(root_, "/workspace", false);
  EXPECT_EQ(target.error().code(), ENOENT);
  EXPECT_THAT(target.error().what(), testing::HasSubstr("read-only"));
  EXPECT_FALSE(std::filesystem::exists(root_ + "/workspace"));
}

TEST_F(TargetTest, SymlinkAnywhereOnTheWayIsRefused) {
  std::filesystem::create_directories(Path("outside/b"));
  std::filesystem::create_directory_symlink(Path("outside"), root_ + "/absolute");
  std::filesystem::create_directory_symlink("../outside", root_ + "/relative");
  std::filesystem::create_directory(root_ + "/a");
  std::filesystem::create_directory_symlink("a", root_ + "/harmless");
  for (const char* path :
       {"/absolute", "/absolute/b", "/absolute/new", "/relative/b", "/harmless"}) {
    EXPECT_EQ(ErrorOf(path), ELOOP) << path;
  }
  EXPECT_FALSE(std::filesystem::exists(Path("outside/new")));
}

// No such destination comes this far; if one does, it stays inside.
TEST_F(TargetTest, DotDotStaysInTheRoot) {
  std::filesystem::create_directory(Path("outside"));
  EXPECT_EQ(ErrorOf("/../outside/new"), 0);
  EXPECT_EQ(ErrorOf("/a/../../outside/new"), 0);
  EXPECT_TRUE(std::filesystem::is_empty(Path("outside")));
}

TEST_F(TargetTest, AnotherMountOnTheWayIsRefused) {
  std::filesystem::create_directories(root_ + "/volume");
  ASSERT_EQ(::mount("volume", (root_ + "/volume").c_str(), "tmpfs", 0, nullptr), 0);
  EXPECT_EQ(ErrorOf("/volume"), EXDEV);
  EXPECT_EQ(ErrorOf("/volume/deeper"), EXDEV);
}

TEST_F(TargetTest, FileOnTheWayIsRefusedAndNothingIsLeft) {
  const UniqueFd dir = OpenAt(AT_FDCWD, root_, O_RDONLY | O_DIRECTORY).value();
  ASSERT_TRUE(WriteFileAtomically(dir.get(), "file", "", 0600, false));
  EXPECT_EQ(ErrorOf("/file"), ENOTDIR);
  EXPECT_EQ(ErrorOf("/file/below"), ENOTDIR);
}

TEST_F(TargetTest, ReadOnlyFileSystemIsSaid) {
  ASSERT_EQ(::mount(nullptr, dir_.c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr), 0);
  EXPECT_EQ(ErrorOf("/workspace"), EROFS);
}

}  // namespace
}  // namespace actiondfs::mount
