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
  lease.mount_namespace = 4026531840;
  lease.stage_dir = "/stage/c1";
  lease.attached = true;
  lease.steps = {{"prestart.plan", 17}};
  const Lease back = ParseLease(ToJson(lease)).value();
  EXPECT_EQ(back.container_id, "c1");
  EXPECT_EQ(back.init, lease.init);
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

}  // namespace
}  // namespace actiondfs::mount
