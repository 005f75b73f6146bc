// SPDX-License-Identifier: Apache-2.0
#include "hook/cas/layout.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <string>

#include "hook/base/files.h"
#include "hook/cas/hasher.h"

namespace actiondfs::cas {
namespace {

using testing::HasSubstr;

const std::string kHex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

TEST(LayoutTest, PathsAreThoseOfTheStoresThatUseThem) {
  const Digest digest = DigestOf("abc");
  EXPECT_EQ(BlobPath(Layout::kSharded, digest), "ba/" + kHex);
  EXPECT_EQ(BlobPath(Layout::kFlat, digest), kHex);
  EXPECT_EQ(BlobPath(Layout::kShardedSuffix, digest), "ba/" + kHex.substr(2));
  EXPECT_EQ(BlobPath(Layout::kHashDashSize, digest), kHex + "-3");
}

TEST(LayoutTest, NamesAreReadBack) {
  for (const Layout layout :
       {Layout::kSharded, Layout::kFlat, Layout::kShardedSuffix, Layout::kHashDashSize}) {
    EXPECT_EQ(ParseLayout(ToString(layout)).value(), layout);
  }
}

TEST(LayoutTest, UnknownNameIsRefusedWithTheChoices) {
  for (const char* text : {"", "auto", "Sharded", "sharded "}) {
    const auto layout = ParseLayout(text);
    ASSERT_FALSE(layout) << text;
    EXPECT_EQ(layout.error().code(), EINVAL);
    EXPECT_THAT(layout.error().what(), HasSubstr("sharded, flat, sharded-suffix or hash-size"));
  }
}

class DetectLayoutTest : public testing::Test {
 protected:
  void SetUp() override {
    path_ = testing::TempDir() + "/layout_test.XXXXXX";
    ASSERT_NE(::mkdtemp(path_.data()), nullptr);
    dir_ = OpenAt(AT_FDCWD, path_, O_RDONLY | O_DIRECTORY).value();
  }
  void TearDown() override { std::filesystem::remove_all(path_); }

  void Touch(const std::string& name) const {
    const std::filesystem::path file = path_ + "/" + name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream{file};
  }

  std::string path_;
  UniqueFd dir_;
};

TEST_F(DetectLayoutTest, EachLayoutIsRecognised) {
  for (const Layout layout :
       {Layout::kSharded, Layout::kFlat, Layout::kShardedSuffix, Layout::kHashDashSize}) {
    const std::string blob = BlobPath(layout, DigestOf("abc"));
    Touch(blob);
    EXPECT_EQ(DetectLayout(dir_.get()).value(), layout) << blob;
    std::filesystem::remove(path_ + "/" + blob);
  }
}

TEST_F(DetectLayoutTest, EmptyStoreSaysNothing) {
  EXPECT_EQ(DetectLayout(dir_.get()).value(), std::nullopt);
}

TEST_F(DetectLayoutTest, OtherNamesSayNothing) {
  Touch("README");
  Touch("ab");          // a file where a shard would be
  Touch("cd/" + kHex);  // a full hash in another hash's shard
  Touch("ba/short");
  Touch(kHex + "-");  // no size
  Touch(kHex + "-x");
  Touch(kHex + ".tmp");
  Touch(".tmp-actiondfs/" + kHex);
  EXPECT_EQ(DetectLayout(dir_.get()).value(), std::nullopt);
}

TEST_F(DetectLayoutTest, SymlinkedShardIsNotFollowed) {
  Touch("elsewhere/" + kHex);
  std::filesystem::create_directory_symlink("elsewhere", path_ + "/ba");
  EXPECT_EQ(DetectLayout(dir_.get()).value(), std::nullopt);
}

TEST_F(DetectLayoutTest, OnlyAFileIsABlob) {
  Touch(kHex + "/x");
  std::filesystem::create_symlink("x", path_ + "/" + kHex + "-3");
  Touch("ba/" + kHex + "/x");
  EXPECT_EQ(DetectLayout(dir_.get()).value(), std::nullopt);
}

TEST_F(DetectLayoutTest, TwoLayoutsAreAnErrorThatNamesBoth) {
  Touch("ba/" + kHex);
  Touch(kHex + "-3");
  const auto layout = DetectLayout(dir_.get());
  ASSERT_FALSE(layout);
  EXPECT_EQ(layout.error().code(), EINVAL);
  EXPECT_THAT(layout.error().what(), HasSubstr("is sharded"));
  EXPECT_THAT(layout.error().what(), HasSubstr("is hash-size"));
}

TEST_F(DetectLayoutTest, TwoLayoutsInOneShardAreAnError) {
  Touch("ba/" + kHex);
  Touch("ba/" + kHex.substr(2));
  EXPECT_EQ(DetectLayout(dir_.get()).error().code(), EINVAL);
}

}  // namespace
}  // namespace actiondfs::cas
