// SPDX-License-Identifier: Apache-2.0
#include "hook/base/beneath.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>
#include <climits>
#include <string>
#include <utility>

#include "hook/base/files.h"

namespace actiondfs {
namespace {

class BeneathTest : public testing::Test {
 protected:
  void SetUp() override {
    path_ = testing::TempDir() + "/beneath_test.XXXXXX";
    ASSERT_NE(::mkdtemp(path_.data()), nullptr);
    dir_ = OpenAt(AT_FDCWD, path_, O_RDONLY | O_DIRECTORY).value();
  }
  void TearDown() override { EXPECT_TRUE(RemoveTree(AT_FDCWD, path_)); }

  std::string path_;
  UniqueFd dir_;
};

TEST_F(BeneathTest, EmptyPathIsTheDirectoryItself) {
  const UniqueFd fd = OpenBeneath(dir_.get(), "", O_RDONLY | O_DIRECTORY).value();
  EXPECT_EQ(StatFd(fd.get()).value().st_ino, StatFd(dir_.get()).value().st_ino);
}

TEST_F(BeneathTest, NothingLeadsOut) {
  ASSERT_TRUE(MkdirAt(dir_.get(), "d", 0700));
  ASSERT_EQ(::symlinkat("d", dir_.get(), "link"), 0);
  EXPECT_EQ(OpenBeneath(dir_.get(), "..", O_PATH).error().code(), EXDEV);
  EXPECT_EQ(OpenBeneath(dir_.get(), "/etc", O_PATH).error().code(), EXDEV);
  EXPECT_EQ(OpenBeneath(dir_.get(), "link", O_PATH).error().code(), ELOOP);
  EXPECT_EQ(OpenBeneath(dir_.get(), "link/x", O_PATH).error().code(), ELOOP);
}

TEST_F(BeneathTest, PathMayBeLongerThanPathMax) {
  const std::string name(200, 'n');
  std::string path;
  UniqueFd at = OpenBeneath(dir_.get(), "", O_PATH).value();
  ino_t last = 0;
  while (path.size() < 3 * PATH_MAX) {
    ASSERT_TRUE(MkdirAt(at.get(), name, 0700));
    at = OpenBeneath(at.get(), name, O_PATH | O_DIRECTORY).value();
    last = StatFd(at.get()).value().st_ino;
    path += (path.empty() ? "" : "/") + name;
    ASSERT_EQ(StatFd(OpenBeneath(dir_.get(), path, O_PATH).value().get()).value().st_ino, last)
        << path.size();
  }
  EXPECT_EQ(OpenBeneath(dir_.get(), path + "/missing", O_PATH).error().code(), ENOENT);
  EXPECT_EQ(OpenBeneath(dir_.get(), std::string(2 * PATH_MAX, 'n'), O_PATH).error().code(),
            ENAMETOOLONG);
}

}  // namespace
}  // namespace actiondfs
