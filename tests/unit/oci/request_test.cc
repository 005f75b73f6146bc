// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <string>

#include "hook/oci/workspace_request.h"

namespace actiondfs::oci {
namespace {

using testing::HasSubstr;

TEST(RequestTest, NamesRoundTrip) {
  for (const Mode mode : {Mode::kStrict, Mode::kOverlay, Mode::kReadonly}) {
    EXPECT_EQ(ParseMode(ToString(mode)).value(), mode);
  }
  for (const Backend backend :
       {Backend::kAuto, Backend::kKernel, Backend::kFuse, Backend::kHardlink}) {
    EXPECT_EQ(ParseBackend(ToString(backend)).value(), backend);
  }
}

TEST(RequestTest, UnknownNamesListTheChoices) {
  EXPECT_EQ(ParseMode("Strict").error().what(),
            "expected one of strict, overlay, readonly; got 'Strict'");
  EXPECT_EQ(ParseBackend("nfs\n").error().what(),
            "expected one of auto, kernel, fuse, hardlink; got 'nfs\\n'");
}

TEST(RequestTest, Flags) {
  for (const char* yes : {"1", "true", "yes"}) {
    EXPECT_TRUE(ParseFlag(yes).value());
  }
  for (const char* no : {"0", "false", "no"}) {
    EXPECT_FALSE(ParseFlag(no).value());
  }
  for (const char* bad : {"", "True", "on", "2", " 1"}) {
    ASSERT_FALSE(ParseFlag(bad)) << bad;
    EXPECT_EQ(ParseFlag(bad).error().code(), EINVAL);
  }
}

struct PathCase {
  std::string path;
  std::string expected;  // part of the message
};

TEST(RequestTest, DestinationsThatAreRefused) {
  const PathCase cases[] = {
      {"", "expected an absolute path; got ''"},
      {"workspace", "expected an absolute path; got 'workspace'"},
      {"/", "expected a directory below '/'; got '/'"},
      {"//", "without empty, '.' or '..' components; got '//'"},
      {"/a//b", "without empty"},
      {"/a/", "without empty"},
      {"/a/./b", "without empty"},
      {"/a/../b", "without empty"},
      {"/..", "without empty"},
      {"/proc", "outside of /proc, /sys and /dev; got '/proc'"},
      {"/proc/self", "outside of /proc"},
      {"/sys/fs", "outside of /proc"},
      {"/dev/shm", "outside of /proc"},
      {"/a\nb", "without control characters; got '/a\\nb'"},
      {"/a\x1b[2J", "without control characters; got '/a\\x1b[2J'"},
      {std::string("/a\0b", 4), "without control characters; got '/a\\x00b'"},
      {"/" + std::string(4095, 'a'), "under 4096 bytes"},
      {"/" + std::string(256, 'a'), "components of at most 255 bytes"},
  };
  for (const PathCase& c : cases) {
    const auto status = ValidateDestination(c.path);
    ASSERT_FALSE(status) << c.path;
    EXPECT_EQ(status.error().code(), EINVAL);
    EXPECT_THAT(status.error().what(), HasSubstr(c.expected));
  }
}

TEST(RequestTest, DestinationsThatAreFine) {
  for (const char* path : {"/workspace", "/a/b.c/...", "/process", "/systems/dev", "/päth"}) {
    EXPECT_TRUE(ValidateDestination(path)) << path;
  }
}

TEST(RequestTest, RelativePaths) {
  for (const char* path : {"", "a", "a/b", "proc"}) {
    EXPECT_TRUE(ValidateRelativePath(path)) << path;
  }
  for (const char* path : {"/a", "..", "a/..", "a//b", "a/", ".", "a\nb"}) {
    ASSERT_FALSE(ValidateRelativePath(path)) << path;
    EXPECT_EQ(ValidateRelativePath(path).error().code(), EINVAL);
  }
}

TEST(RequestTest, ContainerIdsBecomeDirectoryNames) {
  for (const std::string& id : {std::string("a"), std::string("A_b.c+d-9"), std::string(255, 'x'),
                                std::string("..."), std::string("-")}) {
    EXPECT_TRUE(ValidateContainerId(id)) << id;
  }
  for (const std::string& id :
       {std::string(), std::string("."), std::string(".."), std::string("a/b"), std::string("a b"),
        std::string("ä"), std::string("a\n"), std::string(256, 'x')}) {
    ASSERT_FALSE(ValidateContainerId(id)) << id;
    EXPECT_EQ(ValidateContainerId(id).error().code(), EINVAL);
  }
}

TEST(RequestTest, CasNames) {
  EXPECT_TRUE(ValidateCasName("default"));
  EXPECT_TRUE(ValidateCasName("eu.west-1_a"));
  for (const std::string& name :
       {std::string(), std::string("a/b"), std::string("a b"), std::string(65, 'x')}) {
    EXPECT_FALSE(ValidateCasName(name)) << name;
  }
}

}  // namespace
}  // namespace actiondfs::oci
