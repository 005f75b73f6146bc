// SPDX-License-Identifier: Apache-2.0
#include "hook/mount/lease.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>

namespace actiondfs::mount {
namespace {

TEST(LeaseTest, ComesBackAsItWas) {
  Lease lease;
  lease.container_id = "c1";
  lease.boot_id = "b";
  lease.init = {42, 123456789};
  lease.pid_namespace = 4026531836;
  lease.mount_namespace = 4026531840;
  lease.stage_dir = "/stage/c1";
  lease.attached = true;
  lease.steps = {{"prestart.plan", 17}};
  const Lease back = ParseLease(ToJson(lease)).value();
  EXPECT_EQ(back.container_id, "c1");
  EXPECT_EQ(back.init, lease.init);
  EXPECT_EQ(back.pid_namespace, lease.pid_namespace);
  EXPECT_EQ(back.mount_namespace, lease.mount_namespace);
  EXPECT_EQ(back.stage_dir, lease.stage_dir);
  EXPECT_TRUE(back.attached);
  EXPECT_EQ(back.steps, lease.steps);
}

TEST(LeaseTest, RefusesWhatIsNoLease) {
  for (const char* bad : {"", "{", "[]", "{}", R"({"version":2})", R"({"version":1})"}) {
    EXPECT_EQ(ParseLease(bad).error().code(), EINVAL) << bad;
  }
}

// What does not fit would be cut to the number of another process.
TEST(LeaseTest, RefusesNumbersThatAreNoneForTheMember) {
  Lease lease;
  lease.init = {42, 1};
  lease.steps = {{"prestart.plan", 17}};
  const std::string good = ToJson(lease);
  ASSERT_TRUE(ParseLease(good).has_value());
  for (const auto& [text, key] : std::vector<std::pair<std::string, std::string>>{
           {"\"init_pid\": 4294967338", "init_pid"},
           {"\"init_pid\": 42.5", "init_pid"},
           {"\"init_pid\": true", "init_pid"},
           {"\"init_start_time\": -1", "init_start_time"},
           {"\"started_unix_ms\": 9223372036854775808", "started_unix_ms"},
           {"\"steps\": [[\"a\", 1, 2]]", "steps"},
           {"\"keep_stage\": 1", "keep_stage"}}) {
    // The last one of two members of one name counts.
    std::string bad = good;
    bad.replace(bad.rfind('}'), 1, ", " + text + "}");
    const auto parsed = ParseLease(bad);
    ASSERT_FALSE(parsed.has_value()) << text;
    EXPECT_EQ(parsed.error().code(), EINVAL);
    EXPECT_THAT(parsed.error().what(), testing::HasSubstr(key));
  }
}

}  // namespace
}  // namespace actiondfs::mount
