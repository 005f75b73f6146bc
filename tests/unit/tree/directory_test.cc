// SPDX-License-Identifier: Apache-2.0
#include "hook/tree/directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/unit/shared/wire_writer.h"

namespace actiondfs::tree {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::kDirectories;
using testing::kExecutable;
using testing::kFileProperties;
using testing::kFiles;
using testing::kProperties;
using testing::kSymlinkProperties;
using testing::kSymlinks;
using testing::ModeProperties;
using testing::MtimeProperties;
using testing::Node;
using testing::SymlinkNode;
using testing::WireWriter;

std::shared_ptr<const Directory> Parse(std::string blob) {
  auto directory = Directory::Parse(std::move(blob));
  EXPECT_TRUE(directory.has_value()) << directory.error().ToString();
  return directory.value_or(nullptr);
}

std::string Mixed() {
  return WireWriter()
      .Bytes(kSymlinks, SymlinkNode("a-link", "target"))
      .Bytes(kFiles, Node("b-file", 'b', 5))
      .Bytes(kFiles, Node("c-tool", 'c', 6).Varint(kExecutable, 1))
      .Bytes(kDirectories, Node("d-dir", 'd', 7))
      .str();
}

TEST(DirectoryTest, EmptyBlobIsTheEmptyDirectory) {
  const auto directory = Parse("");
  EXPECT_EQ(directory->size(), 0U);
  EXPECT_EQ(directory->Find("a"), std::nullopt);
}

TEST(DirectoryTest, OrderIsFilesDirectoriesSymlinksWhateverTheWire) {
  const auto directory = Parse(Mixed());
  std::vector<std::string> names;
  for (size_t i = 0; i < directory->size(); ++i) names.emplace_back(directory->at(i).name);
  EXPECT_THAT(names, ElementsAre("b-file", "c-tool", "d-dir", "a-link"));
}

TEST(DirectoryTest, FindReturnsTheIndexOfEachName) {
  const auto directory = Parse(Mixed());
  for (size_t i = 0; i < directory->size(); ++i) {
    EXPECT_EQ(directory->Find(directory->at(i).name), i);
  }
}

TEST(DirectoryTest, FindDoesNotTakePrefixesOrNeighbours) {
  const auto directory = Parse(Mixed());
  for (const std::string_view name : {"", "a", "b-fil", "b-file2", "zzz", ".", "B-FILE"}) {
    EXPECT_EQ(directory->Find(name), std::nullopt) << name;
  }
}

TEST(DirectoryTest, FindInLongListsFindsEachAndNothingBetween) {
  WireWriter writer;
  std::vector<std::string> names;
  for (int i = 10000; i < 11000; ++i) names.push_back("n" + std::to_string(i));
  for (const std::string& name : names) writer.Bytes(kFiles, Node(name));
  const auto directory = Parse(writer.str());
  for (size_t i = 0; i < names.size(); ++i) {
    EXPECT_EQ(directory->Find(names[i]), i);
    EXPECT_EQ(directory->Find(names[i] + "x"), std::nullopt);
  }
}

TEST(DirectoryTest, EntriesHaveDigestSizeAndTarget) {
  const auto directory = Parse(Mixed());
  const Entry dir = directory->at(*directory->Find("d-dir"));
  EXPECT_EQ(dir.kind, EntryKind::kDirectory);
  EXPECT_EQ(dir.digest.ToString(), std::string(64, 'd') + "/7");
  const Entry link = directory->at(*directory->Find("a-link"));
  EXPECT_EQ(link.kind, EntryKind::kSymlink);
  EXPECT_EQ(link.symlink_target, "target");
}

TEST(DirectoryTest, PermissionsFollowKindAndExecutableBit) {
  const auto directory = Parse(Mixed());
  EXPECT_EQ(directory->at(0).Permissions(), 0444U);
  EXPECT_EQ(directory->at(1).Permissions(), 0555U);
  EXPECT_EQ(directory->at(2).Permissions(), 0755U);
  EXPECT_EQ(directory->at(3).Permissions(), 0777U);
}

TEST(DirectoryTest, MtimeIsTheYear2000WithoutProperties) {
  const Entry entry = Parse(Mixed())->at(0);
  EXPECT_EQ(entry.mtime, std::nullopt);
  EXPECT_EQ(entry.Mtime(), (Timestamp{946684800, 0}));
}

TEST(DirectoryTest, UnixModeLosesSetuidSetgidStickyAndType) {
  const auto directory = Parse(
      WireWriter().Bytes(kFiles, Node("f").Bytes(kFileProperties, ModeProperties(0107751))).str());
  EXPECT_EQ(directory->at(0).unix_mode, 0751U);
  EXPECT_EQ(directory->at(0).Permissions(), 0751U);
}

TEST(DirectoryTest, UnixModeZeroIsNotTheDefault) {
  const auto directory =
      Parse(WireWriter().Bytes(kFiles, Node("f").Bytes(kFileProperties, ModeProperties(0))).str());
  EXPECT_EQ(directory->at(0).Permissions(), 0U);
}

TEST(DirectoryTest, MtimeOfPropertiesIsKept) {
  const auto directory =
      Parse(WireWriter()
                .Bytes(kSymlinks,
                       SymlinkNode("l", "t").Bytes(kSymlinkProperties, MtimeProperties(12, 34)))
                .str());
  EXPECT_EQ(directory->at(0).Mtime(), (Timestamp{12, 34}));
}

TEST(DirectoryTest, OwnPropertiesAreThoseOfTheMessage) {
  EXPECT_EQ(Parse(Mixed())->unix_mode(), std::nullopt);
  EXPECT_EQ(Parse(Mixed())->mtime(), std::nullopt);
  const auto directory = Parse(
      WireWriter()
          .Bytes(kProperties, WireWriter().Raw(ModeProperties(02750)).Raw(MtimeProperties(1, 2)))
          .str());
  EXPECT_EQ(directory->unix_mode(), 0750U);
  EXPECT_EQ(directory->mtime(), (Timestamp{1, 2}));
}

TEST(DirectoryTest, RefusalIsEucleanAndNamesFaultOffsetAndName) {
  const auto directory =
      Directory::Parse(WireWriter().Bytes(kFiles, Node("a")).Bytes(kFiles, Node("b/\n")).str());
  ASSERT_FALSE(directory.has_value());
  EXPECT_EQ(directory.error().code(), EUCLEAN);
  EXPECT_THAT(directory.error().what(), HasSubstr("slash-in-name at byte 75"));
  EXPECT_THAT(directory.error().what(), HasSubstr("'b/\\n'"));
}

TEST(DirectoryTest, RefusesWhatIsNoMessage) {
  const auto directory = Directory::Parse("#include <stdio.h>\n");
  ASSERT_FALSE(directory.has_value());
  EXPECT_EQ(directory.error().code(), EUCLEAN);
}

TEST(DirectoryTest, MemoryIsASmallMultipleOfTheBlob) {
  WireWriter writer;
  for (int i = 100000; i < 200000; ++i) writer.Bytes(kFiles, Node("f" + std::to_string(i)));
  const size_t blob_size = writer.str().size();
  const auto directory = Parse(writer.str());
  EXPECT_EQ(directory->size(), 100000U);
  EXPECT_GE(directory->MemoryUse(), blob_size);
  EXPECT_LT(directory->MemoryUse(), blob_size + blob_size / 10);
}

}  // namespace
}  // namespace actiondfs::tree
