// SPDX-License-Identifier: Apache-2.0
#include "hook/record/prometheus.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <cstdint>
#include <limits>
#include <string>

#include "tests/unit/record/test_dir.h"

namespace actiondfs::record {
namespace {

using testing::HasSubstr;
using testing::Not;

RunRecord SomeRecord() {
  RunRecord record;
  record.set_mode("strict");
  record.set_backend("fuse");
  for (const auto& [name, microseconds] :
       {std::pair("prestart.plan", 1'000'100), {"prestart.mount", 5}, {"poststop.unmount", 999}}) {
    StepTiming& step = *record.add_steps();
    step.set_name(name);
    step.set_microseconds(static_cast<uint64_t>(microseconds));
  }
  record.mutable_staged()->set_files(3);
  record.mutable_staged()->set_bytes(1000);
  (*record.mutable_counters())["lookups"] = 40;
  return record;
}

TEST(PrometheusTest, FirstRecord) {
  const std::string text = AddToText("", SomeRecord()).value();
  for (const char* line :
       {"\nactiondfs_containers_total{mode=\"strict\",backend=\"fuse\"} 1\n",
        "\nactiondfs_prestart_seconds_sum 1.000105\n", "\nactiondfs_prestart_seconds_count 1\n",
        "# TYPE actiondfs_prestart_seconds summary\n", "\nactiondfs_staged_files_total 3\n",
        "\nactiondfs_staged_bytes_total 1000\n", "\nactiondfs_stage_errors_total 0\n",
        "# TYPE actiondfs_lookups_total counter\nactiondfs_lookups_total 40\n"}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
}

TEST(PrometheusTest, RecordsAddUp) {
  std::string text = AddToText("", SomeRecord()).value();
  RunRecord other = SomeRecord();
  other.set_mode("overlay");
  other.set_stage_error("ENOSPC");
  text = AddToText(text, other).value();
  text = AddToText(text, SomeRecord()).value();
  EXPECT_THAT(text, HasSubstr("actiondfs_containers_total{mode=\"overlay\",backend=\"fuse\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("actiondfs_containers_total{mode=\"strict\",backend=\"fuse\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("actiondfs_prestart_seconds_sum 3.000315\n"));
  EXPECT_THAT(text, HasSubstr("actiondfs_stage_errors_total 1\n"));
  EXPECT_THAT(text, HasSubstr("actiondfs_lookups_total 120\n"));
}

// One that went on to count from zero, or that could not be read again, would be worse.
TEST(PrometheusTest, ASumStaysAtTheLargestNumberThatCanBeRead) {
  RunRecord record = SomeRecord();
  (*record.mutable_counters())["lookups"] = std::numeric_limits<uint64_t>::max();
  record.mutable_steps(0)->set_microseconds(std::numeric_limits<uint64_t>::max());
  std::string text = AddToText("", record).value();
  EXPECT_THAT(text, HasSubstr("actiondfs_lookups_total 9223372036854775807\n"));
  EXPECT_THAT(text, HasSubstr("actiondfs_prestart_seconds_sum 9223372036854.775807\n"));
  text = AddToText(text, record).value();
  EXPECT_THAT(text, HasSubstr("actiondfs_lookups_total 9223372036854775807\n"));
  EXPECT_TRUE(AddToText(text, record).has_value());
}

TEST(PrometheusTest, EachFamilyIsDeclaredOnce) {
  RunRecord other = SomeRecord();
  other.set_mode("overlay");
  const std::string text = AddToText(AddToText("", SomeRecord()).value(), other).value();
  const std::string type = "# TYPE actiondfs_containers_total counter\n";
  EXPECT_EQ(text.find(type), text.rfind(type));
  EXPECT_NE(text.find(type), std::string::npos);
}

TEST(PrometheusTest, LabelsThatWouldBreakTheTextAreNotWritten) {
  RunRecord record = SomeRecord();
  record.set_mode("x\"} 1\nevil 2");
  const std::string text = AddToText("", record).value();
  EXPECT_THAT(text, HasSubstr("{mode=\"unknown\",backend=\"fuse\"} 1\n"));
  EXPECT_THAT(text, Not(HasSubstr("evil")));
}

TEST(PrometheusTest, CounterNamesThatCannotBeMetricsAreRefused) {
  RunRecord record = SomeRecord();
  (*record.mutable_counters())["a\nb"] = 1;
  const auto text = AddToText("", record);
  ASSERT_FALSE(text);
  EXPECT_EQ(text.error().code(), EINVAL);
  EXPECT_THAT(text.error().what(), HasSubstr("counter 'a\\nb'"));
}

TEST(PrometheusTest, ForeignTextIsNotOverwritten) {
  for (const char* foreign :
       {"node_load1 0.5\n", "actiondfs_x\n", "actiondfs_lookups_total 1.5\n",
        "actiondfs_prestart_seconds_sum 1\n", "actiondfs_lookups_total -1\n"}) {
    const auto text = AddToText(foreign, SomeRecord());
    ASSERT_FALSE(text) << foreign;
    EXPECT_EQ(text.error().code(), EINVAL);
  }
  const TestDir dir;
  ASSERT_TRUE(WriteFileAtomically(AT_FDCWD, dir / "a.prom", "node_load1 1\n", 0644, false));
  EXPECT_FALSE(Accumulate(dir / "a.prom", SomeRecord()));
  EXPECT_EQ(ReadFileAt(AT_FDCWD, dir / "a.prom", 4096).value(), "node_load1 1\n");
}

TEST(PrometheusTest, MissingDirectory) {
  const TestDir dir;
  EXPECT_EQ(Accumulate(dir / "absent/a.prom", SomeRecord()).error().code(), ENOENT);
}

TEST(PrometheusTest, TwoProcessesAtOnceLoseNothing) {
  const TestDir dir;
  constexpr int kRecords = 50;
  const auto add_many = [&] {
    for (int i = 0; i < kRecords; ++i) {
      if (!Accumulate(dir / "a.prom", SomeRecord())) {
        return false;
      }
    }
    return true;
  };
  const pid_t first = InChild(add_many);
  const pid_t second = InChild(add_many);
  EXPECT_TRUE(Succeeded(first));
  EXPECT_TRUE(Succeeded(second));
  const std::string text = ReadFileAt(AT_FDCWD, dir / "a.prom", 65536).value();
  EXPECT_THAT(text,
              HasSubstr("actiondfs_containers_total{mode=\"strict\",backend=\"fuse\"} 100\n"));
  EXPECT_THAT(text, HasSubstr("actiondfs_lookups_total 4000\n"));
}

}  // namespace
}  // namespace actiondfs::record
