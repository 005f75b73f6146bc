// SPDX-License-Identifier: Apache-2.0
#include "hook/sandbox/capabilities.h"

#include <gmock/gmock.h>
#include <linux/capability.h>
#include <sys/prctl.h>

#include <cstdint>
#include <string>

#include "hook/sandbox/profile.h"
#include "tests/unit/sandbox/child.h"

namespace actiondfs::sandbox {
namespace {

constexpr char kNone[] = "0000000000000000";

// As /proc/PID/status shows a set.
uint64_t Shown(const char* key) {
  return std::stoull(StatusField(key), nullptr, 16);
}

uint64_t Bits(std::span<const int> capabilities) {
  uint64_t bits = 0;
  for (const int capability : capabilities) {
    bits |= uint64_t{1} << capability;
  }
  return bits;
}

class CapabilitiesTest : public testing::Test {
 protected:
  void SetUp() override {
    if (StatusField("CapEff") == kNone) {
      GTEST_SKIP() << "this process has no capabilities";
    }
  }
};

TEST_F(CapabilitiesTest, EachProfileKeepsItsOwnAndNothingElse) {
  const uint64_t had = Shown("CapPrm");
  for (const Profile profile : kProfiles) {
    EXPECT_EQ(InChild([&] {
                if (!ReduceCapabilities(CapabilitiesOf(profile))) {
                  return 1;
                }
                const uint64_t expected = Bits(CapabilitiesOf(profile)) & had;
                return Shown("CapPrm") == expected && Shown("CapEff") == expected ? 0 : 2;
              }),
              0)
        << NameOf(profile);
  }
}

TEST_F(CapabilitiesTest, NothingIsLeftThatAProgramCouldBeStartedWith) {
  if ((Shown("CapEff") & (uint64_t{1} << CAP_SETPCAP)) == 0) {
    GTEST_SKIP() << "this process has no CAP_SETPCAP";
  }
  EXPECT_EQ(InChild([] {
              const int keep[] = {CAP_SYS_ADMIN};
              if (!ReduceCapabilities(keep)) {
                return 1;
              }
              for (const char* set : {"CapInh", "CapBnd", "CapAmb"}) {
                if (StatusField(set) != kNone) {
                  return 2;
                }
              }
              return 0;
            }),
            0);
}

TEST_F(CapabilitiesTest, ReducesOnceMoreWithoutTheRightToChangeTheBoundingSet) {
  EXPECT_EQ(InChild([] {
              const int keep[] = {CAP_SYS_ADMIN};
              if (!ReduceCapabilities(keep) || !ReduceCapabilities({})) {
                return 1;
              }
              return StatusField("CapPrm") == kNone && StatusField("CapEff") == kNone ? 0 : 2;
            }),
            0);
}

TEST_F(CapabilitiesTest, WhatTheProcessNeverHadIsReportedAndNotRaised) {
  EXPECT_EQ(InChild([] {
              const int first[] = {CAP_SYS_ADMIN};
              const int second[] = {CAP_SYS_ADMIN, CAP_CHOWN};
              if (!ReduceCapabilities(first)) {
                return 1;
              }
              const auto missing = ReduceCapabilities(second);
              if (!missing || *missing != std::vector<int>{CAP_CHOWN}) {
                return 2;
              }
              return Shown("CapEff") == Bits(first) ? 0 : 3;
            }),
            0);
}

TEST(CapabilityNameTest, IsTheOneOfTheManual) {
  EXPECT_EQ(CapabilityName(CAP_SYS_ADMIN), "CAP_SYS_ADMIN");
  EXPECT_THAT(CapabilityName(63), testing::HasSubstr("63"));
}

}  // namespace
}  // namespace actiondfs::sandbox
