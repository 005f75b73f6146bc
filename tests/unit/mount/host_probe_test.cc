// SPDX-License-Identifier: Apache-2.0
#include "hook/mount/host_probe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "hook/base/socket.h"

namespace actiondfs::mount {
namespace {

using oci::Backend;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class HostProbeTest : public testing::Test {
 protected:
  void SetUp() override {
    dir_ = testing::TempDir() + "/host_probe_test.XXXXXX";
    ASSERT_NE(::mkdtemp(dir_.data()), nullptr);
    socket_ = dir_ + "/sock";
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  std::string dir_, socket_;
};

TEST_F(HostProbeTest, EachThatDoesNotWorkSaysWhy) {
  const auto probe = ProbeHost(socket_, {Backend::kFuse, Backend::kHardlink});
  EXPECT_THAT(probe.working, IsEmpty());
  EXPECT_THAT(probe.hints.at(Backend::kFuse), HasSubstr("actiondfs serve --socket " + socket_));
  EXPECT_THAT(probe.hints.at(Backend::kHardlink), HasSubstr("does not have the hardlink backend"));
}

TEST_F(HostProbeTest, NothingIsTriedAfterTheFirstThatWorks) {
  const UniqueFd listener = ListenUnix(socket_, 1).value();
  const auto probe = ProbeHost(socket_, {Backend::kFuse, Backend::kHardlink});
  EXPECT_THAT(probe.working, ElementsAre(Backend::kFuse));
  EXPECT_THAT(probe.hints, IsEmpty());
}

}  // namespace
}  // namespace actiondfs::mount
