// SPDX-License-Identifier: Apache-2.0
#include "hook/apps/common/stage_dir.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "hook/base/files.h"

namespace actiondfs::apps {
namespace {

class StageDirTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_NE(::mkdtemp(dir_.data()), nullptr); }
  void TearDown() override { EXPECT_TRUE(RemoveTree(AT_FDCWD, dir_)); }

  void MakeFile(const std::string& name) const { std::ofstream(dir_ + "/" + name) << "x"; }
  void MakeDirectory(const std::string& name) const {
    std::filesystem::create_directories(dir_ + "/" + name);
  }

  std::string dir_ = testing::TempDir() + "stage_dir_test.XXXXXX";
};

TEST_F(StageDirTest, WhatAStageHasIsAStage) {
  EXPECT_TRUE(IsStage(dir_)) << "empty: its making was cut short";
  MakeDirectory("stage/sub");
  EXPECT_TRUE(IsStage(dir_));
  MakeDirectory("upper");
  MakeDirectory("work");
  EXPECT_TRUE(IsStage(dir_));
}

TEST_F(StageDirTest, RemovalThatWasCutShortIsAStage) {
  MakeDirectory(std::string(kMovedUp) + "0/deep");
  EXPECT_TRUE(IsStage(dir_));
}

TEST_F(StageDirTest, MarkerThatWasCutShortDoesNotKeepAStage) {
  MakeDirectory("stage");
  MakeFile("kept.tmp.17.0");
  EXPECT_TRUE(IsStage(dir_));
  MakeFile("kept");
  EXPECT_FALSE(IsStage(dir_));
}

TEST_F(StageDirTest, DirectoryOfSomebodyElseIsNone) {
  MakeDirectory("stage");
  MakeFile("notes");
  EXPECT_FALSE(IsStage(dir_));
}

TEST_F(StageDirTest, DirectoryWithNothingButForeignFilesIsNone) {
  MakeFile("precious");
  EXPECT_FALSE(IsStage(dir_));
}

TEST_F(StageDirTest, FileInAPlaceOfAStageIsNone) {
  MakeFile("stage");
  EXPECT_FALSE(IsStage(dir_));
}

TEST_F(StageDirTest, WhatIsMissingIsNoStageAndSmall) {
  EXPECT_FALSE(IsStage(dir_ + "/missing"));
  EXPECT_TRUE(IsSmallTree(dir_ + "/missing", 0));
}

TEST_F(StageDirTest, EveryNameAtEveryDepthCounts) {
  EXPECT_TRUE(IsSmallTree(dir_, 0));
  MakeDirectory("a/b/c");
  MakeFile("a/b/c/file");
  EXPECT_FALSE(IsSmallTree(dir_, 3));
  EXPECT_TRUE(IsSmallTree(dir_, 4));
  MakeFile("file");
  EXPECT_FALSE(IsSmallTree(dir_, 4));
  EXPECT_TRUE(IsSmallTree(dir_, 5));
}

TEST_F(StageDirTest, SymlinksAreNotFollowed) {
  std::filesystem::create_directory_symlink("/", dir_ + "/root");
  EXPECT_TRUE(IsSmallTree(dir_, 1));
}

}  // namespace
}  // namespace actiondfs::apps
