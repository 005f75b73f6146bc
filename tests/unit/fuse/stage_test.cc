// SPDX-License-Identifier: Apache-2.0
#include "hook/fuse/stage.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <string>

#include "hook/base/files.h"

namespace actiondfs::fuse::stage {
namespace {

constexpr size_t kAny = size_t{1} << 20;

class StageTest : public testing::Test {
 protected:
  StageTest() : path_(testing::TempDir() + "actiondfs-stage-XXXXXX") {
    EXPECT_NE(::mkdtemp(path_.data()), nullptr);
    dir_ = *OpenAt(AT_FDCWD, path_, O_RDONLY | O_DIRECTORY);
  }
  ~StageTest() override { EXPECT_TRUE(RemoveTree(AT_FDCWD, path_)); }

  At Name(const char* name) const { return {dir_.get(), name}; }
  static NewEntry Own(mode_t mode) {
    return {.mode = mode, .owner = {::geteuid(), ::getegid()}, .target = nullptr};
  }

  std::string path_;
  UniqueFd dir_;
};

TEST_F(StageTest, ASymlinkIsNotFollowed) {
  ASSERT_EQ(::symlinkat("/", dir_.get(), "link"), 0);
  EXPECT_EQ(OpenDirectory(Name("link")).error(), ENOTDIR);
  EXPECT_EQ(Open(Name("link"), O_RDONLY).error(), ELOOP);
  EXPECT_EQ(Status(Name("link"))->st_mode & S_IFMT, static_cast<mode_t>(S_IFLNK));
  EXPECT_TRUE(OpenPath(Name("link")));
}

TEST_F(StageTest, NothingAboveIsReached) {
  EXPECT_EQ(OpenDirectory(Name("..")).error(), EXDEV);
}

// FUSE's kernel side sends no such names; who else talks to the server gets nowhere with them.
TEST_F(StageTest, ANameIsNeverAPath) {
  ASSERT_TRUE(Make(Name("dir"), Own(S_IFDIR | 0700)));
  ASSERT_TRUE(Make(Name("file"), Own(S_IFREG | 0600)));
  const auto inner = OpenDirectory(Name("dir"));
  ASSERT_TRUE(inner);
  const auto at = [&](const char* name) { return At{inner->get(), name}; };
  for (const char* path : {"..", ".", "../file", "/", "a/b"}) {
    EXPECT_EQ(Status(at(path)).error(), EINVAL) << path;
    EXPECT_EQ(OpenPath(at(path)).error(), EINVAL) << path;
    EXPECT_EQ(Make(at(path), Own(S_IFREG | 0600)).error(), EINVAL) << path;
    EXPECT_EQ(Unlink(at(path), /*directory=*/false).error(), EINVAL) << path;
    EXPECT_EQ(Link(Name("file"), at(path)).error(), EINVAL) << path;
    EXPECT_EQ(Rename(Name("file"), at(path), 0).error(), EINVAL) << path;
    EXPECT_EQ(Rename(at(path), at("new"), 0).error(), EINVAL) << path;
  }
  EXPECT_TRUE(Status(Name("file")));
  EXPECT_TRUE(List(inner->get(), kAny)->empty());
}

TEST_F(StageTest, AFifoDoesNotBlock) {
  ASSERT_TRUE(Make(Name("fifo"), Own(S_IFIFO | 0600)));
  EXPECT_TRUE(Open(Name("fifo"), O_RDONLY));
}

TEST_F(StageTest, WhatExistsIsNotReplaced) {
  ASSERT_TRUE(Make(Name("file"), Own(S_IFREG | 0640)));
  EXPECT_EQ(Make(Name("file"), Own(S_IFREG | 0600)).error(), EEXIST);
  EXPECT_EQ(Make(Name("file"), Own(S_IFDIR | 0700)).error(), EEXIST);
}

TEST_F(StageTest, AnUnnamedFileCanBeLinkedOnce) {
  const auto file = MakeUnnamed(dir_.get(), Own(S_IFREG | 0600), /*linkable=*/true);
  ASSERT_TRUE(file);
  EXPECT_TRUE(List(dir_.get(), kAny)->empty());
  EXPECT_TRUE(Link({file->get(), ""}, Name("named")));
  ASSERT_EQ(List(dir_.get(), kAny)->size(), 1U);
  EXPECT_EQ(List(dir_.get(), kAny)->front().name, "named");
}

TEST_F(StageTest, AListingOverItsBytesIsRefused) {
  for (const char* name : {"a", "b", "c"}) {
    ASSERT_TRUE(Make(Name(name), Own(S_IFREG | 0600)));
  }
  EXPECT_EQ(List(dir_.get(), 2 * sizeof(Listed)).error(), ENOMEM);
  EXPECT_EQ(List(dir_.get(), 3 * sizeof(Listed))->size(), 3U);
}

TEST_F(StageTest, ModeAndSizeOfADescriptorWithoutAName) {
  ASSERT_TRUE(Make(Name("file"), Own(S_IFREG | 0600)));
  const auto held = OpenPath(Name("file"));
  ASSERT_TRUE(held);
  ASSERT_TRUE(Unlink(Name("file"), /*directory=*/false));
  EXPECT_TRUE(ChangeMode({held->get(), ""}, 0400));
  EXPECT_TRUE(Truncate({held->get(), ""}, 10) || ::geteuid() != 0);
  const auto st = Status({held->get(), ""});
  ASSERT_TRUE(st);
  EXPECT_EQ(st->st_mode & 07777, 0400U);
  EXPECT_EQ(st->st_nlink, 0U);
}

}  // namespace
}  // namespace actiondfs::fuse::stage
