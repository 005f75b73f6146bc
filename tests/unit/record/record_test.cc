// SPDX-License-Identifier: Apache-2.0
#include "hook/record/record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "hook/base/text.h"
#include "tests/unit/record/test_dir.h"

namespace actiondfs::record {
namespace {

using testing::HasSubstr;

RunRecord SomeRecord() {
  RunRecord record;
  record.set_schema(1);
  record.set_container_id("c1");
  record.set_input_root("aa/42");
  record.set_mode("strict");
  record.set_backend("fuse");
  record.set_destination("/work\n\"space\"\x1b[31m");
  record.set_started_unix_ms(1'700'000'000'000);
  record.set_finished_unix_ms(std::numeric_limits<int64_t>::max());
  StepTiming& step = *record.add_steps();
  step.set_name("prestart.plan");
  step.set_microseconds(7);
  (*record.mutable_counters())["lookups"] = std::numeric_limits<uint64_t>::max();
  (*record.mutable_counters())["dir_loads"] = 2;
  record.mutable_staged()->set_files(3);
  record.mutable_staged()->set_incomplete(true);
  record.set_stage_error("ENOSPC");
  record.set_exit("stopped");
  record.set_version("0.1.0");
  return record;
}

std::string Read(const std::string& path) {
  return ReadFileAt(AT_FDCWD, path, 1 << 20).value();
}

TEST(RecordTest, LineComesBackAsTheSameRecord) {
  const std::string line = ToJsonLine(SomeRecord());
  EXPECT_EQ(line.find('\n'), std::string::npos);
  EXPECT_EQ(line.find('\x1b'), std::string::npos);
  EXPECT_EQ(ToJsonLine(FromJsonLine(line).value()), line);
  EXPECT_EQ(FromJsonLine(line).value().destination(), SomeRecord().destination());
}

TEST(RecordTest, IntegersArePlainNumbersAndCountersSorted) {
  const std::string line = ToJsonLine(SomeRecord());
  EXPECT_THAT(line, HasSubstr(R"("counters":{"dir_loads":2,"lookups":18446744073709551615})"));
  EXPECT_THAT(line, HasSubstr(R"("steps":[{"name":"prestart.plan","microseconds":7}])"));
  EXPECT_THAT(line, testing::StartsWith(R"({"schema":1,"container_id":"c1",)"));
}

TEST(RecordTest, EveryFieldIsWrittenAlsoWhenEmpty) {
  const auto object = nlohmann::json::parse(ToJsonLine(RunRecord()));
  EXPECT_EQ(object.size(), 17U);
  EXPECT_EQ(object["action"], "");
  EXPECT_EQ(object["staged"]["bytes"], 0);
}

TEST(RecordTest, BytesThatAreNotUtf8AreReplaced) {
  RunRecord record;
  record.set_counters_error("\xff\xfe");
  EXPECT_THAT(ToJsonLine(record), HasSubstr("\"counters_error\":\"\xef\xbf\xbd\xef\xbf\xbd\""));
}

TEST(RecordTest, UnknownFieldsAreIgnoredAndAbsentOnesEmpty) {
  const auto record = FromJsonLine(R"({"schema":2,"container_id":"x","later":[1,{}]})").value();
  EXPECT_EQ(record.container_id(), "x");
  EXPECT_EQ(record.steps_size(), 0);
}

TEST(RecordTest, WrongFieldsAreNamed) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"mode":1})", "mode: expected a string, got a number"},
      {R"({"schema":-1})", "schema: expected a whole number"},
      {R"({"steps":[{"name":"a"},{"microseconds":1}]})", "steps[1].name: missing"},
      {R"({"counters":{"a":"1"}})", "counters.a: expected a whole number"},
      {R"({"staged":{"files":1.5}})", "staged.files: expected a whole number"},
      {R"({"schema":1)", "malformed JSON"},
  };
  for (const auto& [line, expected] : cases) {
    const auto record = FromJsonLine(line);
    ASSERT_FALSE(record) << line;
    EXPECT_EQ(record.error().code(), EINVAL);
    EXPECT_THAT(record.error().what(), HasSubstr(expected));
  }
}

TEST(RecordAppendTest, MakesTheFileForOwnerAndGroupOnly) {
  const TestDir dir;
  ASSERT_TRUE(Append(dir / "runs", "{}"));
  ASSERT_TRUE(Append(dir / "runs", "[]"));
  EXPECT_EQ(Read(dir / "runs"), "{}\n[]\n");
  EXPECT_EQ(StatAt(AT_FDCWD, dir / "runs").value().st_mode & 0137U, 0U);
}

TEST(RecordAppendTest, MissingDirectorySymlinkAndFifo) {
  const TestDir dir;
  EXPECT_EQ(Append(dir / "absent/runs", "{}").error().code(), ENOENT);
  ASSERT_EQ(::symlink("runs", (dir / "link").c_str()), 0);
  EXPECT_EQ(Append(dir / "link", "{}").error().code(), ELOOP);
  ASSERT_EQ(::mkfifo((dir / "fifo").c_str(), 0600), 0);
  EXPECT_EQ(Append(dir / "fifo", "{}").error().code(), EINVAL);
}

TEST(RecordAppendTest, PartOfALineDoesNotSwallowTheNext) {
  const TestDir dir;
  ASSERT_TRUE(WriteFileAtomically(AT_FDCWD, dir / "runs", "{\"cut", 0640, false));
  ASSERT_TRUE(Append(dir / "runs", "{}"));
  EXPECT_EQ(Read(dir / "runs"), "{\"cut\n{}\n");
}

TEST(RecordAppendTest, TwoProcessesAtOnceLoseNoLine) {
  const TestDir dir;
  constexpr int kLines = 200;
  const auto append_many = [&](char mark) {
    const std::string line = "\"" + std::string(500, mark) + "\"";
    for (int i = 0; i < kLines; ++i) {
      if (!Append(dir / "runs", line)) {
        return false;
      }
    }
    return true;
  };
  const pid_t first = InChild([&] { return append_many('a'); });
  const pid_t second = InChild([&] { return append_many('b'); });
  EXPECT_TRUE(Succeeded(first));
  EXPECT_TRUE(Succeeded(second));
  int whole = 0;
  for (const std::string& line : Split(Read(dir / "runs"), '\n')) {
    whole +=
        line == "\"" + std::string(500, 'a') + "\"" || line == "\"" + std::string(500, 'b') + "\"";
  }
  EXPECT_EQ(whole, 2 * kLines);
}

// A line over several pages is not all there at once, and must not be taken for what a crash left.
TEST(RecordAppendTest, LongLinesOfSeveralProcessesHaveNoEmptyOnesBetween) {
  const TestDir dir;
  constexpr int kLines = 300;
  const std::string line(20000, 'x');
  const auto append_many = [&] {
    for (int i = 0; i < kLines; ++i) {
      if (!Append(dir / "runs", line)) {
        return false;
      }
    }
    return true;
  };
  const pid_t first = InChild(append_many);
  const pid_t second = InChild(append_many);
  EXPECT_TRUE(Succeeded(first));
  EXPECT_TRUE(Succeeded(second));
  const auto size = static_cast<size_t>(StatAt(AT_FDCWD, dir / "runs").value().st_size);
  EXPECT_EQ(size, 2 * kLines * (line.size() + 1));
}

}  // namespace
}  // namespace actiondfs::record
