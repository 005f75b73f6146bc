// SPDX-License-Identifier: Apache-2.0
#include "kernel/shared/directory_proto.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "tests/unit/shared/wire_writer.h"

namespace actiondfs::testing {
namespace {

using ::testing::ElementsAre;

const uint8_t* Bytes(std::string_view blob) {
  return reinterpret_cast<const uint8_t*>(blob.data());
}

std::string ToString(const actiondfs_slice& slice) {
  return {reinterpret_cast<const char*>(slice.data), slice.size};
}

struct Seen {
  actiondfs_entry entry;
  uint32_t offset;
};

struct Parsed {
  actiondfs_directory_result result;
  std::vector<Seen> entries;
};

int Record(void* context, const actiondfs_entry* entry, uint32_t offset) {
  static_cast<std::vector<Seen>*>(context)->push_back({*entry, offset});
  return 0;
}

Parsed Parse(std::string_view blob) {
  Parsed parsed;
  actiondfs_directory_parse(Bytes(blob), blob.size(), Record, &parsed.entries, &parsed.result);
  EXPECT_STREQ(actiondfs_fault_name(parsed.result.fault), "none");
  return parsed;
}

std::vector<std::string> Names(const Parsed& parsed) {
  std::vector<std::string> names;
  for (const Seen& seen : parsed.entries) names.push_back(ToString(seen.entry.name));
  return names;
}

actiondfs_entry OnlyEntry(std::string_view blob) {
  const Parsed parsed = Parse(blob);
  EXPECT_EQ(parsed.entries.size(), 1U);
  return parsed.entries.empty() ? actiondfs_entry{} : parsed.entries[0].entry;
}

TEST(DirectoryProtoTest, EmptyMessageIsTheEmptyDirectory) {
  actiondfs_directory_result result;
  EXPECT_EQ(actiondfs_directory_parse(nullptr, 0, nullptr, nullptr, &result), ACTIONDFS_FAULT_NONE);
  EXPECT_THAT(result.counts, ElementsAre(0, 0, 0));
  EXPECT_FALSE(result.properties.has_mtime);
  EXPECT_FALSE(result.properties.has_unix_mode);
}

TEST(DirectoryProtoTest, FileHasAllItsFields) {
  const WireWriter properties = WireWriter()
                                    .Bytes(1, WireWriter().Bytes(1, "key").Bytes(2, "value"))
                                    .Raw(MtimeProperties(1234567890, 999999999))
                                    .Raw(ModeProperties(0104755));
  const std::string blob =
      WireWriter()
          .Bytes(kFiles,
                 Node("f", 'b', 42).Varint(kExecutable, 1).Bytes(kFileProperties, properties))
          .str();
  const actiondfs_entry entry = OnlyEntry(blob);
  EXPECT_EQ(entry.kind, ACTIONDFS_ENTRY_FILE);
  EXPECT_EQ(ToString(entry.name), "f");
  EXPECT_THAT(entry.hash, ::testing::Each(0xbb));
  EXPECT_EQ(entry.size, 42);
  EXPECT_TRUE(entry.is_executable);
  EXPECT_EQ(entry.target.size, 0U);
  EXPECT_TRUE(entry.properties.has_mtime);
  EXPECT_EQ(entry.properties.mtime_seconds, 1234567890);
  EXPECT_EQ(entry.properties.mtime_nanos, 999999999U);
  EXPECT_TRUE(entry.properties.has_unix_mode);
  EXPECT_EQ(entry.properties.unix_mode, 0104755U);
}

TEST(DirectoryProtoTest, HashIsDecodedInOrder) {
  const std::string hex = "0123456789abcdef" + std::string(46, '0') + "fe";
  const std::string blob =
      WireWriter()
          .Bytes(kDirectories, WireWriter().Bytes(kName, "d").Bytes(kDigest, DigestMessage(hex, 0)))
          .str();
  const actiondfs_entry entry = OnlyEntry(blob);
  EXPECT_EQ(entry.kind, ACTIONDFS_ENTRY_DIRECTORY);
  EXPECT_EQ(entry.hash[0], 0x01);
  EXPECT_EQ(entry.hash[7], 0xef);
  EXPECT_EQ(entry.hash[31], 0xfe);
}

TEST(DirectoryProtoTest, SymlinkHasTargetAndProperties) {
  const std::string blob =
      WireWriter()
          .Bytes(kSymlinks,
                 SymlinkNode("l", "../t").Bytes(kSymlinkProperties, ModeProperties(0700)))
          .str();
  const actiondfs_entry entry = OnlyEntry(blob);
  EXPECT_EQ(entry.kind, ACTIONDFS_ENTRY_SYMLINK);
  EXPECT_EQ(ToString(entry.target), "../t");
  EXPECT_EQ(entry.properties.unix_mode, 0700U);
}

TEST(DirectoryProtoTest, OwnPropertiesAreInTheResult) {
  const std::string blob =
      WireWriter()
          .Bytes(kProperties, WireWriter().Raw(MtimeProperties(5, 6)).Raw(ModeProperties(0711)))
          .str();
  const actiondfs_properties properties = Parse(blob).result.properties;
  EXPECT_EQ(properties.mtime_seconds, 5);
  EXPECT_EQ(properties.mtime_nanos, 6U);
  EXPECT_EQ(properties.unix_mode, 0711U);
}

TEST(DirectoryProtoTest, LimitsThemselvesAreAccepted) {
  const std::string name(255, 'x');
  const std::string target(4095, 't');
  const auto first_second = static_cast<uint64_t>(-62135596800);
  const std::string blob =
      WireWriter()
          .Bytes(
              kFiles,
              Node(name, 'a', INT64_MAX).Bytes(kFileProperties, MtimeProperties(first_second, 0)))
          .Bytes(
              kSymlinks,
              SymlinkNode("l", target).Bytes(kSymlinkProperties, MtimeProperties(253402300799, 0)))
          .str();
  const Parsed parsed = Parse(blob);
  ASSERT_EQ(parsed.entries.size(), 2U);
  EXPECT_EQ(parsed.entries[0].entry.name.size, 255U);
  EXPECT_EQ(parsed.entries[0].entry.size, INT64_MAX);
  EXPECT_EQ(parsed.entries[0].entry.properties.mtime_seconds, -62135596800);
  EXPECT_EQ(parsed.entries[1].entry.target.size, 4095U);
}

TEST(DirectoryProtoTest, NamesBeginningWithDotsAreNames) {
  const std::string blob = WireWriter()
                               .Bytes(kFiles, Node("..."))
                               .Bytes(kFiles, Node("..a"))
                               .Bytes(kFiles, Node(".a"))
                               .str();
  EXPECT_THAT(Names(Parse(blob)), ElementsAre("...", "..a", ".a"));
}

TEST(DirectoryProtoTest, Utf8OfAllLengthsIsAccepted) {
  const std::string names[] = {"\x7f",         "\xc2\x80",         "\xdf\xbf",
                               "\xe0\xa0\x80", "\xed\x9f\xbf",     "\xee\x80\x80",
                               "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"};
  WireWriter directory;
  for (const std::string& name : names) directory.Bytes(kFiles, Node(name));
  EXPECT_THAT(Names(Parse(directory)), ::testing::ElementsAreArray(names));
}

TEST(DirectoryProtoTest, EachListHasItsOwnOrder) {
  const std::string blob = WireWriter()
                               .Bytes(kFiles, Node("c"))
                               .Bytes(kDirectories, Node("b"))
                               .Bytes(kSymlinks, SymlinkNode("a", "t"))
                               .str();
  const Parsed parsed = Parse(blob);
  EXPECT_THAT(Names(parsed), ElementsAre("c", "b", "a"));
  EXPECT_THAT(parsed.result.counts, ElementsAre(1, 1, 1));
}

TEST(DirectoryProtoTest, ListsMayBeInterleaved) {
  const std::string blob = WireWriter()
                               .Bytes(kSymlinks, SymlinkNode("a", "t"))
                               .Bytes(kFiles, Node("b"))
                               .Bytes(kDirectories, Node("c"))
                               .Bytes(kFiles, Node("d"))
                               .Bytes(kSymlinks, SymlinkNode("e", "t"))
                               .str();
  const Parsed parsed = Parse(blob);
  EXPECT_THAT(Names(parsed), ElementsAre("a", "b", "c", "d", "e"));
  EXPECT_THAT(parsed.result.counts, ElementsAre(2, 1, 2));
}

TEST(DirectoryProtoTest, UnknownFieldsAreSkippedEverywhere) {
  const std::string unknown = WireWriter()
                                  .Varint(100, UINT64_MAX)
                                  .Tag(101, 1)
                                  .Raw("12345678")
                                  .Bytes(102, "\xff")
                                  .Tag(103, 5)
                                  .Raw("1234")
                                  .Varint((1U << 29) - 1, 0)
                                  .str();
  const WireWriter digest = WireWriter().Raw(unknown).Raw(DigestMessage(HexHash('1'), 3));
  const WireWriter mtime = WireWriter().Raw(unknown).Varint(1, 9);
  const WireWriter mode = WireWriter().Raw(unknown).Varint(1, 0600);
  const WireWriter properties =
      WireWriter().Raw(unknown).Bytes(1, unknown).Bytes(2, mtime).Bytes(3, mode);
  const WireWriter node = WireWriter()
                              .Raw(unknown)
                              .Bytes(kName, "n")
                              .Bytes(kDigest, digest)
                              .Bytes(kFileProperties, properties);
  const std::string blob = WireWriter().Raw(unknown).Bytes(kFiles, node).Raw(unknown).str();
  const actiondfs_entry entry = OnlyEntry(blob);
  EXPECT_EQ(entry.size, 3);
  EXPECT_EQ(entry.properties.mtime_seconds, 9);
  EXPECT_EQ(entry.properties.unix_mode, 0600U);
}

TEST(DirectoryProtoTest, LastOfSeveralScalarsCounts) {
  const std::string blob = WireWriter()
                               .Bytes(kFiles, WireWriter()
                                                  .Bytes(kName, "..")
                                                  .Varint(kExecutable, 1)
                                                  .Raw(Node("n"))
                                                  .Varint(kExecutable, 0))
                               .str();
  const actiondfs_entry entry = OnlyEntry(blob);
  EXPECT_EQ(ToString(entry.name), "n");
  EXPECT_FALSE(entry.is_executable);
}

TEST(DirectoryProtoTest, SubmessagesGivenTwiceAreMerged) {
  const WireWriter hash = WireWriter().Bytes(1, HexHash('c'));
  const WireWriter size = WireWriter().Varint(2, 8);
  const std::string blob = WireWriter()
                               .Bytes(kFiles, WireWriter()
                                                  .Bytes(kName, "n")
                                                  .Bytes(kDigest, hash)
                                                  .Bytes(kFileProperties, MtimeProperties(1, 2))
                                                  .Bytes(kDigest, size)
                                                  .Bytes(kFileProperties, ModeProperties(0640)))
                               .str();
  const actiondfs_entry entry = OnlyEntry(blob);
  EXPECT_EQ(entry.hash[0], 0xcc);
  EXPECT_EQ(entry.size, 8);
  EXPECT_EQ(entry.properties.mtime_nanos, 2U);
  EXPECT_EQ(entry.properties.unix_mode, 0640U);
}

TEST(DirectoryProtoTest, VarintsMayBeLongerThanNeeded) {
  using namespace std::string_literals;  // NOLINT: bytes with NULs
  const std::string node = Node("n").str();
  ASSERT_LT(node.size(), 0x80U);
  const std::string length = static_cast<char>(node.size() | 0x80) + "\x80\x80\x80\x00"s;
  EXPECT_EQ(OnlyEntry("\x8a\x80\x80\x80\x00"s + length + node).size, 7);
}

TEST(DirectoryProtoTest, EmptyPropertiesArePresentWithZeros) {
  const WireWriter properties = WireWriter().Bytes(2, "").Bytes(3, "");
  const std::string blob =
      WireWriter().Bytes(kFiles, Node("n").Bytes(kFileProperties, properties)).str();
  const actiondfs_entry entry = OnlyEntry(blob);
  EXPECT_TRUE(entry.properties.has_mtime);
  EXPECT_EQ(entry.properties.mtime_seconds, 0);
  EXPECT_TRUE(entry.properties.has_unix_mode);
  EXPECT_EQ(entry.properties.unix_mode, 0U);
}

TEST(DirectoryProtoTest, VisitorCanStop) {
  const std::string blob =
      WireWriter().Bytes(kFiles, Node("a")).Bytes(kFiles, Node("b")).Bytes(kFiles, Node("c")).str();
  int calls = 0;
  const auto stop_at_second = [](void* context, const actiondfs_entry*, uint32_t) {
    return ++*static_cast<int*>(context) == 2 ? 1 : 0;
  };
  actiondfs_directory_result result;
  EXPECT_EQ(actiondfs_directory_parse(Bytes(blob), blob.size(), stop_at_second, &calls, &result),
            ACTIONDFS_FAULT_STOPPED);
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(ToString(result.name), "b");
}

TEST(DirectoryProtoTest, OffsetsLeadBackToTheEntries) {
  const std::string blob = WireWriter()
                               .Varint(100, 1)
                               .Bytes(kFiles, Node("a", '1', 11))
                               .Bytes(kSymlinks, SymlinkNode("l", "t"))
                               .Bytes(kDirectories, Node("d", '2', 22))
                               .str();
  for (const Seen& seen : Parse(blob).entries) {
    actiondfs_entry entry;
    ASSERT_EQ(actiondfs_directory_entry(Bytes(blob), blob.size(), seen.offset, &entry),
              ACTIONDFS_FAULT_NONE);
    EXPECT_EQ(entry.kind, seen.entry.kind);
    EXPECT_EQ(entry.size, seen.entry.size);
    EXPECT_EQ(entry.hash[0], seen.entry.hash[0]);
    EXPECT_EQ(ToString(entry.name), ToString(seen.entry.name));
    EXPECT_EQ(ToString(entry.target), ToString(seen.entry.target));
    EXPECT_EQ(ToString(actiondfs_directory_name(Bytes(blob), blob.size(), seen.offset)),
              ToString(seen.entry.name));
  }
}

struct Name {
  actiondfs_entry_kind kind;
  std::string name;
  uint32_t offset;
};

void RecordName(void* context, actiondfs_entry_kind kind, actiondfs_slice name, uint32_t offset) {
  static_cast<std::vector<Name>*>(context)->push_back({kind, ToString(name), offset});
}

TEST(DirectoryProtoTest, NamesAreThoseOfTheEntries) {
  // The last of two names counts, and lists may be interleaved.
  const std::string twice = WireWriter().Bytes(kName, "no").str() + Node("b", '3', 33).str();
  const std::string blob = WireWriter()
                               .Bytes(kFiles, Node("a", '1', 11))
                               .Varint(100, 1)
                               .Bytes(kSymlinks, SymlinkNode("l", "t"))
                               .Bytes(kFiles, twice)
                               .Bytes(kDirectories, Node("d", '2', 22))
                               .str();
  const Parsed parsed = Parse(blob);
  std::vector<Name> names;
  actiondfs_directory_names(Bytes(blob), blob.size(), RecordName, &names);
  ASSERT_EQ(names.size(), 4U);
  ASSERT_EQ(parsed.entries.size(), 4U);
  for (size_t i = 0; i < names.size(); ++i) {
    EXPECT_EQ(names[i].kind, parsed.entries[i].entry.kind);
    EXPECT_EQ(names[i].name, ToString(parsed.entries[i].entry.name));
    EXPECT_EQ(names[i].offset, parsed.entries[i].offset);
  }
}

TEST(DirectoryProtoTest, NamesOfWhatWasNotAcceptedAreSafe) {
  const std::string blob = WireWriter().Bytes(kFiles, Node("a")).Bytes(kFiles, "\x0a\x7f").str();
  for (size_t size = 0; size <= blob.size(); ++size) {
    // A copy, so that a sanitizer sees what is read behind its end.
    const std::vector<uint8_t> part(blob.begin(), blob.begin() + static_cast<ptrdiff_t>(size));
    std::vector<Name> names;
    actiondfs_directory_names(part.data(), part.size(), RecordName, &names);
    EXPECT_LE(names.size(), 2U);
  }
}

TEST(DirectoryProtoTest, NotUtf8IsSeenAtEachPlaceOfALongName) {
  for (size_t size = 1; size < 40; ++size) {
    for (size_t at = 0; at < size; ++at) {
      std::string name(size, 'n');
      name[at] = '\xff';
      const std::string blob = WireWriter().Bytes(kFiles, Node(name)).str();
      actiondfs_directory_result result;
      EXPECT_EQ(actiondfs_directory_parse(Bytes(blob), blob.size(), nullptr, nullptr, &result),
                ACTIONDFS_FAULT_NOT_UTF8)
          << at << " of " << size;
    }
  }
}

TEST(DirectoryProtoTest, EachDigitOfAHashIsRead) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  for (size_t value = 0; value < 256; ++value) {
    const std::string pair = {kDigits[value / 16], kDigits[value % 16]};
    std::string hash;
    for (int i = 0; i < 32; ++i) hash += pair;
    const std::string digest = WireWriter().Bytes(1, hash).Varint(2, 1).str();
    const std::string node = WireWriter().Bytes(1, "n").Bytes(2, digest).str();
    EXPECT_EQ(OnlyEntry(WireWriter().Bytes(kFiles, node).str()).hash[31], value);
  }
}

TEST(DirectoryProtoTest, ForeignOffsetsAreSafe) {
  const std::string blob = WireWriter().Bytes(kFiles, Node("a")).Varint(100, 1).str();
  for (uint32_t offset = 1; offset < blob.size() + 10; ++offset) {
    actiondfs_entry entry;
    EXPECT_NE(actiondfs_directory_entry(Bytes(blob), blob.size(), offset, &entry),
              ACTIONDFS_FAULT_NONE);
  }
  EXPECT_EQ(
      actiondfs_directory_name(Bytes(blob), blob.size(), static_cast<uint32_t>(blob.size())).size,
      0U);
}

}  // namespace
}  // namespace actiondfs::testing
