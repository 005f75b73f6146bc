// SPDX-License-Identifier: Apache-2.0
//
// One malformed Directory for each way to be refused; the test's name is the fault's.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <set>
#include <string>
#include <vector>

#include "kernel/shared/directory_proto.h"
#include "tests/unit/shared/wire_writer.h"

namespace actiondfs::testing {
namespace {

struct Case {
  std::string name;  // of the test
  std::string blob;
  actiondfs_fault fault = ACTIONDFS_FAULT_NONE;
  size_t offset = 0;            // of the refused field or entry
  std::string entry_name = "";  // as the result has it
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << c.name;
}

actiondfs_directory_result Parse(std::string_view blob) {
  actiondfs_directory_result result;
  const auto fault = actiondfs_directory_parse(reinterpret_cast<const uint8_t*>(blob.data()),
                                               blob.size(), nullptr, nullptr, &result);
  EXPECT_EQ(fault, result.fault);
  return result;
}

std::string Files(const std::vector<std::string>& names) {
  WireWriter directory;
  for (const std::string& name : names) directory.Bytes(kFiles, Node(name));
  return directory.str();
}

std::string File(const WireWriter& node) {
  return WireWriter().Bytes(kFiles, node).str();
}
std::string Symlink(const WireWriter& node) {
  return WireWriter().Bytes(kSymlinks, node).str();
}
WireWriter Named() {
  return WireWriter().Bytes(kName, "n");
}

std::string WithHash(std::string_view hash) {
  return File(Named().Bytes(kDigest, DigestMessage(hash, 1)));
}

std::vector<Case> WireFaults() {
  using namespace std::string_literals;  // NOLINT: bytes with NULs
  const std::string tag_of_files = "\x0a";
  return {
      {"TagCutOff", "\x80"s, ACTIONDFS_FAULT_TRUNCATED},
      {"LengthMissing", tag_of_files, ACTIONDFS_FAULT_TRUNCATED, 1},
      {"VarintCutOff", WireWriter().Tag(9, 0).Raw("\xff").str(), ACTIONDFS_FAULT_TRUNCATED, 1},
      {"Fixed64CutOff", WireWriter().Tag(9, 1).Raw("1234567").str(), ACTIONDFS_FAULT_TRUNCATED},
      {"Fixed32CutOff", WireWriter().Tag(9, 5).Raw("123").str(), ACTIONDFS_FAULT_TRUNCATED},
      {"VarintOf11Bytes", WireWriter().Tag(9, 0).Raw(std::string(10, '\x80') + "\x01").str(),
       ACTIONDFS_FAULT_VARINT_OVERLONG, 1},
      {"VarintOf65Bits", WireWriter().Tag(9, 0).Raw(std::string(9, '\xff') + "\x02").str(),
       ACTIONDFS_FAULT_VARINT_OVERLONG, 1},
      {"TagOf6Bytes", "\x8a\x80\x80\x80\x80\x00\x00"s, ACTIONDFS_FAULT_VARINT_OVERLONG},
      {"TagOf33Bits", "\x8a\x80\x80\x80\x10\x00"s, ACTIONDFS_FAULT_VARINT_OVERLONG},
      {"LengthOf6Bytes", tag_of_files + "\x80\x80\x80\x80\x80\x00"s,
       ACTIONDFS_FAULT_VARINT_OVERLONG, 1},
      {"LengthPastEnd", tag_of_files + "\x05" + "abcd", ACTIONDFS_FAULT_LENGTH_PAST_END},
      {"LengthOf4GiB", tag_of_files + "\xff\xff\xff\xff\x0f", ACTIONDFS_FAULT_LENGTH_PAST_END},
      {"LengthPastEndOfNode", File(WireWriter().Tag(kName, 2).RawVarint(9)) + Files({"after"}),
       ACTIONDFS_FAULT_LENGTH_PAST_END, 2},
      {"FieldNumberZero", WireWriter().Varint(0, 1).str(), ACTIONDFS_FAULT_FIELD_NUMBER_ZERO},
      {"FieldNumberZeroInNode", File(Named().Bytes(0, "x")), ACTIONDFS_FAULT_FIELD_NUMBER_ZERO, 5,
       "n"},
      {"GroupStart", WireWriter().Tag(9, 3).Tag(9, 4).str(), ACTIONDFS_FAULT_GROUP},
      {"GroupEnd", WireWriter().Tag(9, 4).str(), ACTIONDFS_FAULT_GROUP},
      {"WireType6", WireWriter().Tag(9, 6).str(), ACTIONDFS_FAULT_WIRE_TYPE_UNKNOWN},
      {"WireType7", WireWriter().Tag(kFiles, 7).str(), ACTIONDFS_FAULT_WIRE_TYPE_UNKNOWN},
  };
}

std::vector<Case> MismatchFaults() {
  constexpr auto kFault = ACTIONDFS_FAULT_WIRE_TYPE_MISMATCH;
  const auto properties = [](const WireWriter& message) {
    return WireWriter().Bytes(kProperties, message).str();
  };
  return {
      {"FilesAsNumber", WireWriter().Varint(kFiles, 1).str(), kFault},
      {"DirectoriesAsNumber", WireWriter().Varint(kDirectories, 1).str(), kFault},
      {"SymlinksAsNumber", WireWriter().Varint(kSymlinks, 1).str(), kFault},
      {"PropertiesAsNumber", WireWriter().Varint(kProperties, 1).str(), kFault},
      {"NameAsNumber", File(WireWriter().Varint(kName, 1)), kFault, 2},
      {"DigestAsNumber", File(Named().Varint(kDigest, 1)), kFault, 5, "n"},
      {"HashAsNumber", File(Named().Bytes(kDigest, WireWriter().Varint(1, 1))), kFault, 7, "n"},
      {"SizeAsBytes", File(Named().Bytes(kDigest, WireWriter().Bytes(2, "1"))), kFault, 7, "n"},
      {"SizeAsFixed64", File(Named().Bytes(kDigest, WireWriter().Tag(2, 1).Raw("12345678"))),
       kFault, 7, "n"},
      {"ExecutableAsBytes", File(Named().Bytes(kExecutable, "")), kFault, 5, "n"},
      {"FilePropertiesAsNumber", File(Named().Varint(kFileProperties, 1)), kFault, 5, "n"},
      {"TargetAsNumber", Symlink(Named().Varint(kTarget, 1)), kFault, 5, "n"},
      {"SymlinkPropertiesAsNumber", Symlink(Named().Varint(kSymlinkProperties, 1)), kFault, 5, "n"},
      {"PropertyAsNumber", properties(WireWriter().Varint(1, 1)), kFault, 2},
      {"PropertyNameAsNumber", properties(WireWriter().Bytes(1, WireWriter().Varint(1, 1))), kFault,
       4},
      {"MtimeAsNumber", properties(WireWriter().Varint(2, 1)), kFault, 2},
      {"SecondsAsBytes", properties(WireWriter().Bytes(2, WireWriter().Bytes(1, ""))), kFault, 4},
      {"NanosAsBytes", properties(WireWriter().Bytes(2, WireWriter().Bytes(2, ""))), kFault, 4},
      {"ModeAsNumber", properties(WireWriter().Varint(3, 0644)), kFault, 2},
      {"ModeValueAsBytes", properties(WireWriter().Bytes(3, WireWriter().Bytes(1, ""))), kFault, 4},
  };
}

std::vector<Case> Utf8Faults() {
  constexpr auto kFault = ACTIONDFS_FAULT_NOT_UTF8;
  std::vector<Case> cases = {
      {"TargetNotUtf8", Symlink(SymlinkNode("n", "\xff")), kFault, 5, "n"},
      {"HashNotUtf8", WithHash(std::string(64, '\xff')), kFault, 7, "n"},
      {"PropertyNameNotUtf8",
       WireWriter().Bytes(kProperties, WireWriter().Bytes(1, WireWriter().Bytes(1, "\xc0"))).str(),
       kFault, 4},
      {"PropertyValueNotUtf8",
       File(Node("n").Bytes(kFileProperties, WireWriter().Bytes(1, WireWriter().Bytes(2, "\x80")))),
       kFault, 79, "n"},
      {"FirstOfTwoNamesNotUtf8", File(WireWriter().Bytes(kName, "\xff").Bytes(kName, "n")), kFault,
       2, "\xff"},
  };
  const std::vector<std::pair<std::string, std::string>> names = {
      {"Continuation", "\x80"},
      {"Overlong2", "\xc0\xaf"},
      {"Overlong2c1", "\xc1\xbf"},
      {"Cut2", "\xc3"},
      {"Bad2", "\xc3("},
      {"Overlong3", "\xe0\x9f\xbf"},
      {"Surrogate", "\xed\xa0\x80"},
      {"Cut3", "\xe2\x82"},
      {"Bad3", "\xe2\x82("},
      {"Overlong4", "\xf0\x8f\xbf\xbf"},
      {"PastLast", "\xf4\x90\x80\x80"},
      {"Cut4", "\xf0\x9f\x98"},
      {"Bad4", "\xf0\x9f\x98("},
      {"Lead5", "\xf8\x88\x80\x80\x80"},
  };
  for (const auto& [what, name] : names) {
    cases.push_back({"Name" + what, Files({name}), kFault, 2, name});
  }
  return cases;
}

std::vector<Case> NameFaults() {
  using namespace std::string_literals;  // NOLINT: bytes with NULs
  const std::string long_name(256, 'x');
  const size_t second = Files({"b"}).size();
  const std::string file_b = Files({"b"});
  const std::string dir_b = WireWriter().Bytes(kDirectories, Node("b")).str();
  const std::string link_b = Symlink(SymlinkNode("b", "t"));
  constexpr auto kDuplicate = ACTIONDFS_FAULT_NAME_DUPLICATE;
  return {
      {"NameEmpty", Files({""}), ACTIONDFS_FAULT_NAME_EMPTY},
      {"NameMissing", File(WireWriter().Bytes(kDigest, DigestMessage(HexHash('0'), 1))),
       ACTIONDFS_FAULT_NAME_EMPTY},
      {"NodeEmpty", File(WireWriter()), ACTIONDFS_FAULT_NAME_EMPTY},
      {"NameDot", Files({"."}), ACTIONDFS_FAULT_NAME_DOT, 0, "."},
      {"NameDotDot", Files({".."}), ACTIONDFS_FAULT_NAME_DOT_DOT, 0, ".."},
      {"NameSlash", Files({"a/b"}), ACTIONDFS_FAULT_NAME_SLASH, 0, "a/b"},
      {"NameNul", Files({"a\0b"s}), ACTIONDFS_FAULT_NAME_NUL, 0, "a\0b"s},
      {"Name256Bytes", Files({long_name}), ACTIONDFS_FAULT_NAME_TOO_LONG, 0, long_name},
      {"DirectoryNameDotDot", WireWriter().Bytes(kDirectories, Node("..")).str(),
       ACTIONDFS_FAULT_NAME_DOT_DOT, 0, ".."},
      {"SymlinkNameSlash", Symlink(SymlinkNode("/", "t")), ACTIONDFS_FAULT_NAME_SLASH, 0, "/"},
      {"DuplicateFile", Files({"b", "b"}), kDuplicate, second, "b"},
      {"DuplicateFileDirectory", file_b + dir_b, kDuplicate, file_b.size(), "b"},
      {"DuplicateFileSymlink", file_b + link_b, kDuplicate, file_b.size(), "b"},
      {"DuplicateDirectorySymlink", dir_b + link_b, kDuplicate, dir_b.size(), "b"},
      {"DuplicateAcrossInterleavedLists", Files({"a"}) + dir_b + file_b, kDuplicate, second, "b"},
      {"UnsortedFiles", Files({"b", "a"}), ACTIONDFS_FAULT_NAME_UNSORTED, second, "a"},
      {"UnsortedPrefix", Files({"ab", "a"}), ACTIONDFS_FAULT_NAME_UNSORTED, second + 1, "a"},
      {"UnsortedBytesAreUnsigned", Files({"\xc3\xa9", "z"}), ACTIONDFS_FAULT_NAME_UNSORTED,
       second + 1, "z"},
      {"UnsortedFilesApart", Files({"b"}) + link_b + Files({"a"}), ACTIONDFS_FAULT_NAME_UNSORTED,
       second + link_b.size(), "a"},
  };
}

std::vector<Case> EntryFaults() {
  using namespace std::string_literals;  // NOLINT: bytes with NULs
  const std::string hash = HexHash('a');
  const auto mtime = [](uint64_t seconds, uint64_t nanos) {
    return File(Node("n").Bytes(kFileProperties, MtimeProperties(seconds, nanos)));
  };
  const uint64_t before_year_1 = static_cast<uint64_t>(-62135596801);
  return {
      {"DigestMissing", File(Named()), ACTIONDFS_FAULT_DIGEST_MISSING, 0, "n"},
      {"DirectoryDigestMissing", WireWriter().Bytes(kDirectories, Named()).str(),
       ACTIONDFS_FAULT_DIGEST_MISSING, 0, "n"},
      {"DigestEmpty", File(Named().Bytes(kDigest, "")), ACTIONDFS_FAULT_HASH_MALFORMED, 0, "n"},
      {"HashUppercase", WithHash(HexHash('A')), ACTIONDFS_FAULT_HASH_MALFORMED, 0, "n"},
      {"HashNotHex", WithHash(HexHash('g')), ACTIONDFS_FAULT_HASH_MALFORMED, 0, "n"},
      {"HashLastDigitNotHex", WithHash(hash.substr(1) + "/"), ACTIONDFS_FAULT_HASH_MALFORMED, 0,
       "n"},
      {"Hash63Digits", WithHash(hash.substr(1)), ACTIONDFS_FAULT_HASH_MALFORMED, 0, "n"},
      {"Hash65Digits", WithHash(hash + "a"), ACTIONDFS_FAULT_HASH_MALFORMED, 0, "n"},
      {"HashSha1", WithHash(hash.substr(24)), ACTIONDFS_FAULT_HASH_MALFORMED, 0, "n"},
      {"SizeNegative", Files({"a"}) + File(Node("n", 'a', static_cast<uint64_t>(-1))),
       ACTIONDFS_FAULT_SIZE_NEGATIVE, Files({"a"}).size(), "n"},
      {"SizeMostNegative", WireWriter().Bytes(kDirectories, Node("n", 'a', 1ULL << 63)).str(),
       ACTIONDFS_FAULT_SIZE_NEGATIVE, 0, "n"},
      {"TargetEmpty", Symlink(SymlinkNode("n", "")), ACTIONDFS_FAULT_TARGET_EMPTY, 0, "n"},
      {"TargetMissing", Symlink(Named()), ACTIONDFS_FAULT_TARGET_EMPTY, 0, "n"},
      {"TargetNul", Symlink(SymlinkNode("n", "a\0"s)), ACTIONDFS_FAULT_TARGET_NUL, 0, "n"},
      {"Target4096Bytes", Symlink(SymlinkNode("n", std::string(4096, 't'))),
       ACTIONDFS_FAULT_TARGET_TOO_LONG, 0, "n"},
      {"MtimeYear0", mtime(before_year_1, 0), ACTIONDFS_FAULT_MTIME_SECONDS, 0, "n"},
      {"MtimeYear10000", mtime(253402300800, 0), ACTIONDFS_FAULT_MTIME_SECONDS, 0, "n"},
      {"MtimeNanosNegative", mtime(0, static_cast<uint64_t>(-1)), ACTIONDFS_FAULT_MTIME_NANOS, 0,
       "n"},
      {"MtimeNanosOfASecond", mtime(0, 1000000000), ACTIONDFS_FAULT_MTIME_NANOS, 0, "n"},
      {"SymlinkMtimeYear10000",
       Symlink(SymlinkNode("n", "t").Bytes(kSymlinkProperties, MtimeProperties(253402300800, 0))),
       ACTIONDFS_FAULT_MTIME_SECONDS, 0, "n"},
      {"OwnMtimeNanosOfASecond",
       Files({"n"}) + WireWriter().Bytes(kProperties, MtimeProperties(0, 1000000000)).str(),
       ACTIONDFS_FAULT_MTIME_NANOS},
  };
}

class DirectoryProtoFaultTest : public ::testing::TestWithParam<Case> {};

TEST_P(DirectoryProtoFaultTest, IsRefused) {
  const Case& c = GetParam();
  const actiondfs_directory_result result = Parse(c.blob);
  EXPECT_STREQ(actiondfs_fault_name(result.fault), actiondfs_fault_name(c.fault));
  EXPECT_EQ(result.offset, c.offset);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(result.name.data), result.name.size),
            c.entry_name);
}

std::string NameOf(const ::testing::TestParamInfo<Case>& info) {
  return info.param.name;
}

INSTANTIATE_TEST_SUITE_P(Wire, DirectoryProtoFaultTest, ::testing::ValuesIn(WireFaults()), NameOf);
INSTANTIATE_TEST_SUITE_P(Mismatch, DirectoryProtoFaultTest, ::testing::ValuesIn(MismatchFaults()),
                         NameOf);
INSTANTIATE_TEST_SUITE_P(Utf8, DirectoryProtoFaultTest, ::testing::ValuesIn(Utf8Faults()), NameOf);
INSTANTIATE_TEST_SUITE_P(Name, DirectoryProtoFaultTest, ::testing::ValuesIn(NameFaults()), NameOf);
INSTANTIATE_TEST_SUITE_P(Entry, DirectoryProtoFaultTest, ::testing::ValuesIn(EntryFaults()),
                         NameOf);

TEST(DirectoryProtoFaultsTest, DirectoryOver64MiBIsRefused) {
  // A valid message but for its size: one unknown field.
  const std::string filler(64 << 20, 'x');
  const std::string blob = WireWriter().Bytes(9, filler).str();
  const actiondfs_directory_result result = Parse(blob);
  EXPECT_EQ(result.fault, ACTIONDFS_FAULT_TOO_LARGE);
  EXPECT_EQ(result.offset, size_t{64} << 20);
}

TEST(DirectoryProtoFaultsTest, EveryFaultHasACase) {
  std::set<actiondfs_fault> seen = {ACTIONDFS_FAULT_NONE, ACTIONDFS_FAULT_STOPPED,
                                    ACTIONDFS_FAULT_TOO_LARGE};  // have tests of their own
  for (const auto& cases :
       {WireFaults(), MismatchFaults(), Utf8Faults(), NameFaults(), EntryFaults()}) {
    for (const Case& c : cases) seen.insert(c.fault);
  }
  for (int fault = 0; fault < ACTIONDFS_FAULT_COUNT; ++fault) {
    EXPECT_TRUE(seen.contains(static_cast<actiondfs_fault>(fault)))
        << actiondfs_fault_name(static_cast<actiondfs_fault>(fault));
  }
}

TEST(DirectoryProtoFaultsTest, FaultNamesAreDistinct) {
  std::set<std::string> names;
  for (int fault = 0; fault < ACTIONDFS_FAULT_COUNT; ++fault) {
    names.insert(actiondfs_fault_name(static_cast<actiondfs_fault>(fault)));
  }
  EXPECT_EQ(names.size(), size_t{ACTIONDFS_FAULT_COUNT});
  EXPECT_STREQ(actiondfs_fault_name(ACTIONDFS_FAULT_COUNT), "unknown-fault");
}

// A part of a good message is never read past its end: run under ASan, each prefix is its own
// allocation.
TEST(DirectoryProtoFaultsTest, EveryPrefixIsRefusedOrEndsBetweenFields) {
  const std::string file =
      File(Node("f").Varint(kExecutable, 1).Bytes(kFileProperties, MtimeProperties(1, 2)));
  const std::string link = Symlink(SymlinkNode("l", "target"));
  const std::string whole = file + link;
  for (size_t size = 0; size <= whole.size(); ++size) {
    const std::vector<char> prefix(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(size));
    const bool between = size == 0 || size == file.size() || size == whole.size();
    EXPECT_EQ(Parse({prefix.data(), prefix.size()}).fault == ACTIONDFS_FAULT_NONE, between) << size;
  }
}

}  // namespace
}  // namespace actiondfs::testing
