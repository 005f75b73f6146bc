// SPDX-License-Identifier: Apache-2.0
#include "hook/record/stage_summary.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "tests/unit/record/test_dir.h"

namespace actiondfs::record {
namespace {

UniqueFd OpenDir(const std::string& path) {
  return OpenAt(AT_FDCWD, path, O_RDONLY | O_DIRECTORY).value();
}

void Write(const std::string& path, size_t size) {
  ASSERT_TRUE(WriteFileAtomically(AT_FDCWD, path, std::string(size, 'x'), 0600, false));
}

TEST(StageSummaryTest, CountsByKind) {
  const TestDir dir;
  ASSERT_TRUE(MakeDirectories(dir / "stage/a/b", 0700));
  Write(dir / "stage/f", 10);
  Write(dir / "stage/a/b/g", 5);
  Write(dir / "stage/a/empty", 0);
  ASSERT_EQ(::mkfifo((dir / "stage/a/fifo").c_str(), 0600), 0);
  ASSERT_EQ(::symlink("f", (dir / "stage/link").c_str()), 0);
  const StagedSummary summary = SummarizeStage(OpenDir(dir / "stage").get()).value();
  EXPECT_EQ(summary.files(), 3U);
  EXPECT_EQ(summary.directories(), 2U);
  EXPECT_EQ(summary.others(), 2U);
  EXPECT_EQ(summary.bytes(), 15U);
  EXPECT_FALSE(summary.incomplete());
}

TEST(StageSummaryTest, EmptyStage) {
  const TestDir dir;
  const StagedSummary summary = SummarizeStage(OpenDir(dir / ".").get()).value();
  EXPECT_EQ(summary.files() + summary.directories() + summary.others() + summary.bytes(), 0U);
}

TEST(StageSummaryTest, SymlinksAreNotFollowed) {
  const TestDir dir;
  ASSERT_TRUE(MakeDirectories(dir / "outside", 0700));
  ASSERT_TRUE(MakeDirectories(dir / "stage", 0700));
  Write(dir / "outside/secret", 1000);
  ASSERT_EQ(::symlink("../outside", (dir / "stage/out").c_str()), 0);
  ASSERT_EQ(::symlink("..", (dir / "stage/loop").c_str()), 0);
  const StagedSummary summary = SummarizeStage(OpenDir(dir / "stage").get()).value();
  EXPECT_EQ(summary.files(), 0U);
  EXPECT_EQ(summary.others(), 2U);
}

TEST(StageSummaryTest, NestedDeeperThanPathMaxIsSaidToBeIncomplete) {
  const TestDir dir;
  ASSERT_TRUE(MakeDirectories(dir / "stage", 0700));
  UniqueFd here = OpenDir(dir / "stage");
  const std::string name(200, 'd');
  for (int i = 0; i < 30; ++i) {  // 6,000 bytes of path
    ASSERT_TRUE(MkdirAt(here.get(), name, 0700));
    here = OpenAt(here.get(), name, O_RDONLY | O_DIRECTORY).value();
  }
  const StagedSummary summary = SummarizeStage(OpenDir(dir / "stage").get()).value();
  EXPECT_TRUE(summary.incomplete());
  EXPECT_EQ(summary.directories(), 21U);
}

TEST(StageSummaryTest, MoreThanTheMostIsSaidToBeIncomplete) {
  const TestDir dir;
  ASSERT_TRUE(MakeDirectories(dir / "stage/a", 0700));
  Write(dir / "stage/a/f", 1);
  Write(dir / "stage/a/g", 1);
  const UniqueFd stage = OpenDir(dir / "stage");
  EXPECT_FALSE(SummarizeStage(stage.get(), 3).value().incomplete());
  const StagedSummary two = SummarizeStage(stage.get(), 2).value();
  EXPECT_TRUE(two.incomplete());
  EXPECT_EQ(two.directories() + two.files(), 2U);
  const StagedSummary one = SummarizeStage(stage.get(), 1).value();
  EXPECT_TRUE(one.incomplete());
  EXPECT_EQ(one.files(), 0U);
}

TEST(StageSummaryTest, NotADirectory) {
  const TestDir dir;
  Write(dir / "f", 1);
  const UniqueFd file = OpenAt(AT_FDCWD, dir / "f", O_RDONLY).value();
  EXPECT_FALSE(SummarizeStage(file.get()));
}

}  // namespace
}  // namespace actiondfs::record
