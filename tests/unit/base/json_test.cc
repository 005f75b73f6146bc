// SPDX-License-Identifier: Apache-2.0
#include "hook/base/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <nlohmann/json.hpp>
#include <string>

namespace actiondfs {
namespace {

TEST(JsonTest, ParsesWithinTheLimits) {
  EXPECT_EQ(ParseJson(R"({"a":[1,2]})").value()["a"][1], 2);
}

TEST(JsonTest, TruncatedSaysWhere) {
  const auto result = ParseJson("{\n\"a\": ");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), EINVAL);
  EXPECT_THAT(result.error().what(), testing::HasSubstr("line 2"));
}

TEST(JsonTest, DepthIsBounded) {
  const std::string deep = std::string(100'000, '[') + std::string(100'000, ']');
  EXPECT_EQ(ParseJson(deep).error().code(), EINVAL);
  EXPECT_TRUE(ParseJson("[[[1]]]", {.bytes = 100, .depth = 3}));
  EXPECT_FALSE(ParseJson("[[[[1]]]]", {.bytes = 100, .depth = 3}));
}

TEST(JsonTest, SizeIsBounded) {
  EXPECT_EQ(ParseJson(std::string(101, ' '), {.bytes = 100, .depth = 3}).error().code(), EFBIG);
}

}  // namespace
}  // namespace actiondfs
