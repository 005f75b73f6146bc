// SPDX-License-Identifier: Apache-2.0
#include "hook/oci/state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <nlohmann/json.hpp>
#include <string>

namespace actiondfs::oci {
namespace {

using nlohmann::json;
using testing::HasSubstr;

json State() {
  return json::parse(R"({"ociVersion":"1.0.2-dev","id":"build-1","status":"creating","pid":4242,
                         "bundle":"/run/bundle","annotations":{"a":"b"}})");
}

TEST(StateTest, PrestartOfRunc) {
  const auto state = ParseState(State().dump()).value();
  EXPECT_EQ(state.id, "build-1");
  EXPECT_EQ(state.status, "creating");
  EXPECT_EQ(state.pid, 4242);
  EXPECT_EQ(state.bundle, "/run/bundle");
  EXPECT_EQ(state.annotations.at("a"), "b");
}

TEST(StateTest, PoststopHasNoPidOrZero) {
  json state = State();
  state["status"] = "stopped";
  state.erase("pid");
  EXPECT_EQ(ParseState(state.dump()).value().pid, 0);
  state["pid"] = 0;
  EXPECT_EQ(ParseState(state.dump()).value().pid, 0);
}

TEST(StateTest, UnknownMembersAreIgnored) {
  json state = State();
  state["root"] = "/var/lib/rootfs";  // crun
  state["owner"] = json::array();
  EXPECT_TRUE(ParseState(state.dump()));
}

TEST(StateTest, AnnotationsMayBeAbsentOrNull) {
  json state = State();
  state["annotations"] = nullptr;
  EXPECT_FALSE(HasActiondfsAnnotation(ParseState(state.dump()).value()));
  state.erase("annotations");
  EXPECT_FALSE(HasActiondfsAnnotation(ParseState(state.dump()).value()));
}

struct BadMember {
  const char* key;
  json value;  // null: the member is removed
  const char* expected;
};

TEST(StateTest, WrongMembersAreNamed) {
  const BadMember cases[] = {
      {"ociVersion", nullptr, "ociVersion: missing, expected a string"},
      {"ociVersion", 1, "ociVersion: expected a string, got a number"},
      {"id", nullptr, "id: missing"},
      {"id", "../../etc", "id: expected 1 to 255 letters"},
      {"id", "a\n\x1b[31mb", "got 'a\\n\\x1b[31mb'"},
      {"status", json::array(), "status: expected a string, got an array"},
      {"status", "", "status: expected a word of 1 to 64 bytes"},
      {"pid", "12", "pid: expected a whole number from 0 to 4194304, got a string"},
      {"pid", -1, "pid: expected a whole number from 0 to 4194304, got -1"},
      {"pid", 1.5, "got 1.5"},
      {"pid", 4294967297, "got 4294967297"},
      {"bundle", nullptr, "bundle: missing"},
      {"bundle", "relative/dir", "bundle: expected an absolute path; got 'relative/dir'"},
      {"bundle", std::string("/a\0b", 4), "bundle: expected an absolute path; got '/a\\x00b'"},
      {"annotations", json::array(), "annotations: expected an object, got an array"},
      {"annotations", {{"k", 7}}, "annotations.k: expected a string, got a number"},
  };
  for (const BadMember& c : cases) {
    json state = State();
    if (c.value.is_null()) {
      state.erase(c.key);
    } else {
      state[c.key] = c.value;
    }
    const auto result = ParseState(state.dump());
    ASSERT_FALSE(result) << state.dump();
    EXPECT_EQ(result.error().code(), EINVAL);
    EXPECT_THAT(result.error().what(), HasSubstr(c.expected));
    EXPECT_THAT(result.error().what(), testing::StartsWith("container state: "));
    EXPECT_THAT(result.error().what(), testing::Not(HasSubstr("\n")));
  }
}

TEST(StateTest, TruncatedSaysSo) {
  const std::string whole = State().dump();
  for (const size_t length : {size_t{0}, size_t{1}, whole.size() / 2, whole.size() - 1}) {
    const auto result = ParseState(whole.substr(0, length));
    ASSERT_FALSE(result) << length;
    EXPECT_EQ(result.error().code(), EINVAL);
    EXPECT_THAT(result.error().what(), HasSubstr("container state: malformed JSON"));
  }
}

TEST(StateTest, TopLevelMustBeAnObject) {
  EXPECT_THAT(ParseState("[]").error().what(), HasSubstr("expected an object, got an array"));
}

TEST(StateTest, DeepIsRefused) {
  const std::string deep = std::string(1'000'000, '[');
  EXPECT_EQ(ParseState(deep).error().code(), EINVAL);
  EXPECT_THAT(ParseState(deep).error().what(), HasSubstr("deep"));
}

TEST(StateTest, HugeIsRefused) {
  json state = State();
  state["annotations"]["a"] = std::string(size_t{16} << 20, 'x');
  EXPECT_EQ(ParseState(state.dump()).error().code(), EFBIG);
}

TEST(StateTest, ForeignAnnotationOfTenMegabytesIsNoneOfOurs) {
  json state = State();
  state["annotations"]["com.example.blob"] = std::string(10'000'000, 'x');
  const auto parsed = ParseState(state.dump());
  ASSERT_TRUE(parsed);
  EXPECT_FALSE(HasActiondfsAnnotation(*parsed));
}

TEST(StateTest, OnlyKeysWithThePrefixAreOurs) {
  ContainerState state;
  state.annotations = {{"dev.actiondfs", "x"}, {"dev.actiondfsx.mode", "x"}, {"zz", "x"}};
  EXPECT_FALSE(HasActiondfsAnnotation(state));
  state.annotations["dev.actiondfs.anything"] = "x";
  EXPECT_TRUE(HasActiondfsAnnotation(state));
}

TEST(StateTest, AnnotationsAreFoundInAStateThatIsRefused) {
  json state = State();
  state["id"] = "a:b";
  EXPECT_FALSE(ParseState(state.dump()));
  EXPECT_FALSE(ParseStateUnlessForeign(state.dump()).value().has_value());
  state["annotations"] = {{"dev.actiondfs.mode", "strict"}};
  EXPECT_EQ(ParseStateUnlessForeign(state.dump()).error().code(), EINVAL);
  state["annotations"] = {{"dev.actiondfs.mode", 1}};
  EXPECT_EQ(ParseStateUnlessForeign(state.dump()).error().code(), EINVAL);
  EXPECT_EQ(ParseStateUnlessForeign("{").error().code(), EINVAL);
}

}  // namespace
}  // namespace actiondfs::oci
