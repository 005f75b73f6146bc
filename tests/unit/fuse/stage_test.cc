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

bool Any(size_t /*bytes*/) {
  return true;
}

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
  EXPECT_TRUE(List(inner->get(), Any)->empty());
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
  EXPECT_TRUE(List(dir_.get(), Any)->empty());
  EXPECT_TRUE(Link({file->get(), ""}, Name("named")));
  ASSERT_EQ(List(dir_.get(), Any)->size(), 1U);
  EXPECT_EQ(List(dir_.get(), Any)->front().name, "named");
}

TEST_F(StageTest, AListingOverItsBytesIsRefused) {
  for (const char* name : {"a", "b", "c"}) {
    ASSERT_TRUE(Make(Name(name), Own(S_IFREG | 0600)));
  }
  const auto most = [](size_t limit) { return [limit](size_t bytes) { return bytes <= limit; }; };
  EXPECT_EQ(List(dir_.get(), most(2 * sizeof(Listed))).error(), ENOMEM);
  EXPECT_EQ(List(dir_.get(), most(3 * sizeof(Listed)))->size(), 3U);
}

TEST_F(StageTest, AListingAsksBeforeItIsLarge) {
  constexpr size_t kNameSize = 255;
  const size_t count = 2 * kListingStep / kNameSize;
  for (size_t i = 0; i < count; ++i) {
    const std::string number = std::to_string(i);
    ASSERT_TRUE(Make(Name((std::string(kNameSize - number.size(), 'x') + number).c_str()),
                     Own(S_IFREG | 0600)));
  }
  size_t held = 0;
  size_t asked = 0;
  const auto names = List(dir_.get(), [&](size_t bytes) {
    EXPECT_LT(bytes, kListingStep + 1000);
    held += bytes;
    ++asked;
    return true;
  });
  ASSERT_EQ(names->size(), count);
  EXPECT_GE(asked, 3U);
  size_t size = 0;
  for (const Listed& entry : *names) {
    size += entry.MemoryUse();
  }
  EXPECT_EQ(held, size);
  // The first refusal ends it.
  EXPECT_EQ(List(dir_.get(), [&](size_t) { return asked++ == 0; }).error(), ENOMEM);
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
