// SPDX-License-Identifier: Apache-2.0
#include "hook/base/dir_stream.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>

#include "hook/base/files.h"

namespace actiondfs {
namespace {

class DirStreamTest : public testing::Test {
 protected:
  void SetUp() override {
    path_ = testing::TempDir() + "/dir_stream_test.XXXXXX";
    ASSERT_NE(::mkdtemp(path_.data()), nullptr);
  }
  void TearDown() override { std::filesystem::remove_all(path_); }

  std::string path_;
};

TEST_F(DirStreamTest, GivesEachNameOnceAndNoDots) {
  std::filesystem::create_directory(path_ + "/sub");
  std::ofstream(path_ + "/file");
  auto stream = DirStream::Adopt(OpenAt(AT_FDCWD, path_, O_RDONLY | O_DIRECTORY).value()).value();
  std::map<std::string, int> seen;
  for (auto entry = stream.Next().value(); entry; entry = stream.Next().value()) {
    ++seen[entry->name];
  }
  EXPECT_EQ(seen, (std::map<std::string, int>{{"sub", 1}, {"file", 1}}));
}

TEST_F(DirStreamTest, RefusesWhatIsNotADirectory) {
  std::ofstream(path_ + "/file");
  const auto stream = DirStream::Adopt(OpenAt(AT_FDCWD, path_ + "/file", O_RDONLY).value());
  ASSERT_FALSE(stream);
  EXPECT_EQ(stream.error().code(), ENOTDIR);
}

}  // namespace
}  // namespace actiondfs
