// SPDX-License-Identifier: Apache-2.0
#include "hook/mount/mount_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace actiondfs::mount {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

TEST(MountTableTest, FieldsBehindAnyNumberOfTags) {
  const auto table = ParseMountInfo(
      "21 1 0:20 / /proc rw,nosuid - proc proc rw\n"
      "36 21 0:45 / /mnt rw,nosuid shared:7 master:1 - actiondfs actiondfs ro,root=ab,cas=/srv\n");
  ASSERT_EQ(table.size(), 2U);
  EXPECT_EQ(table[0].point, "/proc");
  EXPECT_EQ(table[0].type, "proc");
  EXPECT_EQ(table[1].device, "0:45");
  EXPECT_EQ(table[1].source, "actiondfs");
  EXPECT_EQ(table[1].SuperOption("root"), "ab");
  EXPECT_EQ(table[1].SuperOption("cas"), "/srv");
  EXPECT_EQ(table[1].SuperOption("ro"), "") << "a flag has no value";
  EXPECT_EQ(table[1].SuperOption("stage"), "");
}

TEST(MountTableTest, EscapedBytesAreWhatTheyStandForAndNoCommaOfAPathEndsAnOption) {
  const auto table =
      ParseMountInfo("36 21 0:45 / /a\\040b\\134 rw - actiondfs a\\011b rw,cas=/c\\054d,uid=1\n");
  ASSERT_EQ(table.size(), 1U);
  EXPECT_EQ(table[0].point, "/a b\\");
  EXPECT_EQ(table[0].source, "a\tb");
  EXPECT_EQ(table[0].SuperOption("cas"), "/c,d");
  EXPECT_EQ(table[0].SuperOption("uid"), "1");
}

TEST(MountTableTest, LinesThatAreNoMountsAreSkipped) {
  EXPECT_THAT(ParseMountInfo(""), IsEmpty());
  EXPECT_THAT(ParseMountInfo("36 21 0:45 /\n - \n36 21 0:45 / /mnt rw proc proc rw\n"), IsEmpty());
}

std::string Section(const std::string& point, const std::string& type, int value) {
  return "device actiondfs mounted on " + point + " with fstype " + type +
         " statvers=1\n\tmounts " + std::to_string(value) + "\n\tdir_loads 7\n\n";
}

TEST(MountTableTest, StatisticsOfTheMountAtThatPointAlone) {
  const std::string text = "device proc mounted on /proc with fstype proc\n" +
                           Section("/mn", "actiondfs", 1) + Section("/mnt", "actiondfs", 2) +
                           Section("/mnt/x", "actiondfs", 3) +
                           "no device mounted on /y with fstype tmpfs\n";
  EXPECT_THAT(FindMountStats(text, "actiondfs", "/mnt").value(),
              ElementsAre(Pair("mounts", 2U), Pair("dir_loads", 7U)));
  EXPECT_EQ(FindMountStats(text, "actiondfs", "/y"), std::nullopt);
  EXPECT_EQ(FindMountStats(text, "nfs", "/mnt"), std::nullopt);
}

TEST(MountTableTest, OfStackedMountsTheUpperIsMeant) {
  const std::string text = Section("/mnt", "actiondfs", 1) + Section("/mnt", "actiondfs", 2);
  EXPECT_THAT(FindMountStats(text, "actiondfs", "/mnt").value(),
              ElementsAre(Pair("mounts", 2U), Pair("dir_loads", 7U)));
}

TEST(MountTableTest, EscapedPointIsFound) {
  EXPECT_TRUE(FindMountStats(Section("/a\\040b", "actiondfs", 1), "actiondfs", "/a b"));
}

TEST(MountTableTest, StatisticsOfAnotherVersionAreNotGuessedAt) {
  const std::string text =
      "device actiondfs mounted on /mnt with fstype actiondfs statvers=2\n\tmounts: 1\n";
  EXPECT_EQ(FindMountStats(text, "actiondfs", "/mnt"), std::nullopt);
}

TEST(MountTableTest, ALineWithoutAPointIsSkipped) {
  const std::string text =
      "device actiondfs mounted on with fstype actiondfs statvers=1\n\tmounts 1\n";
  EXPECT_EQ(FindMountStats(text, "actiondfs", ""), std::nullopt);
}

TEST(MountTableTest, CountersThatAreNoNumbersAreSkipped) {
  const std::string text =
      "device actiondfs mounted on /mnt with fstype actiondfs statvers=1\n\tmounts\n\tlookups -1\n"
      "\treaddirs 5";
  EXPECT_THAT(FindMountStats(text, "actiondfs", "/mnt").value(), ElementsAre(Pair("readdirs", 5U)));
}

}  // namespace
}  // namespace actiondfs::mount
