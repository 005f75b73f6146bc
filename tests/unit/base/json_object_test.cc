// SPDX-License-Identifier: Apache-2.0
#include "hook/base/json_object.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <nlohmann/json.hpp>

namespace actiondfs {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class JsonObjectTest : public testing::Test {
 protected:
  const json value_ = json::parse(
      R"({"s":"x","b":true,"n":7,"big":4294967296,"neg":-1,"frac":1.5,"null":null,
          "o":{"k":1},"strings":["a","b"],"mixed":["a",2],"objects":[{"k":"v"},{"k":3}]})");
  const JsonObject object_ = JsonObject::From(value_, "top").value();
};

TEST_F(JsonObjectTest, ReadsMembersOfTheRightType) {
  EXPECT_EQ(object_.RequiredString("s").value(), "x");
  EXPECT_EQ(object_.Bool("b").value(), true);
  EXPECT_EQ(object_.Integer("n", 0, 7).value(), 7U);
  EXPECT_EQ(object_.Strings("strings").value().value(), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(object_.Object("o").value().value().Integer("k", 1, 1).value(), 1U);
}

TEST_F(JsonObjectTest, AbsentAndNullAreNoValue) {
  EXPECT_EQ(object_.String("absent").value(), std::nullopt);
  EXPECT_EQ(object_.String("null").value(), std::nullopt);
  EXPECT_EQ(object_.RequiredString("null").error().what(), "top.null: missing, expected a string");
}

TEST_F(JsonObjectTest, WrongTypeNamesThePath) {
  EXPECT_EQ(object_.String("n").error().what(), "top.n: expected a string, got a number");
  EXPECT_EQ(object_.Bool("s").error().what(), "top.s: expected true or false, got a string");
  EXPECT_EQ(object_.Strings("mixed").error().what(),
            "top.mixed[1]: expected a string, got a number");
  const auto objects = object_.Objects("objects").value().value();
  EXPECT_EQ(objects[1].String("k").error().what(),
            "top.objects[1].k: expected a string, got a number");
  EXPECT_EQ(object_.Object("strings").error().code(), EINVAL);
  EXPECT_EQ(JsonObject::From(json::array(), "").error().what(),
            "top level: expected an object, got an array");
}

TEST_F(JsonObjectTest, IntegersAreBoundedAndWhole) {
  for (const char* key : {"big", "neg", "frac", "s"}) {
    const auto result = object_.Integer(key, 0, 4294967295);
    ASSERT_FALSE(result) << key;
    EXPECT_EQ(result.error().code(), EINVAL);
    EXPECT_THAT(result.error().what(),
                HasSubstr("expected a whole number from 0 to 4294967295, got "));
  }
}

TEST_F(JsonObjectTest, UnknownKeyListsTheKnownOnes) {
  EXPECT_EQ(object_.Object("o").value().value().CheckKeys({"a", "b"}).error().what(),
            "top.o.k: unknown key, expected one of: a, b");
  const json null = json::parse(R"({"a":null})");
  EXPECT_EQ(JsonObject::From(null, "").value().CheckKeys({"a"}).error().what(),
            "a: expected a value, got null");
}

TEST_F(JsonObjectTest, KeysAreShownSafely) {
  const json value = {{"a\n\x1b[31m", 1}};
  EXPECT_EQ(JsonObject::From(value, "").value().StringMap().error().what(),
            "a\\n\\x1b[31m: expected a string, got a number");
}

}  // namespace
}  // namespace actiondfs
