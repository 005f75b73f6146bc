// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "kernel/uapi/actiondfs_stats.h"

namespace {

using ::testing::Each;
using ::testing::MatchesRegex;

#define STAT_NAME(name) #name,
const std::vector<std::string> kNames = {ACTIONDFS_STATS(STAT_NAME)};
#undef STAT_NAME

TEST(StatsTest, NamesAre102AsTheSeedHasThem) {
  EXPECT_EQ(kNames.size(), 102U);
  EXPECT_EQ(kNames.front(), "mounts");
  EXPECT_EQ(kNames.back(), "stage_copy_file_range_total_ns");
}

TEST(StatsTest, NoNameComesTwice) {
  EXPECT_EQ(std::set<std::string>(kNames.begin(), kNames.end()).size(), kNames.size());
}

TEST(StatsTest, NamesAreIdentifiers) {
  EXPECT_THAT(kNames, Each(MatchesRegex("[a-z_]+")));
}

}  // namespace
