// SPDX-License-Identifier: Apache-2.0
#include "hook/mount/state_dir.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <sstream>

#include "tests/unit/mount/private_mounts.h"

namespace actiondfs::mount {
namespace {

class StateDirTest : public PrivateMounts {};

// The line of /proc/self/mountinfo for what is mounted at `path`; empty where nothing is.
std::string MountInfo(const std::string& path) {
  std::ifstream file("/proc/self/mountinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.find(" " + path + " ") != std::string::npos) {
      return line;
    }
  }
  return "";
}

TEST_F(StateDirTest, RootIsAPrivateMountEvenBelowASharedOne) {
  ASSERT_EQ(::mount(nullptr, dir_.c_str(), nullptr, MS_SHARED, nullptr), 0);
  ASSERT_TRUE(StateRoot::Prepare(Path("state")));
  const std::string line = MountInfo(Path("state"));
  EXPECT_NE(line, "");
  EXPECT_THAT(line, testing::Not(testing::HasSubstr("shared:")));
  ASSERT_TRUE(StateRoot::Prepare(Path("state")));
  ::umount2(Path("state").c_str(), MNT_DETACH);
  EXPECT_EQ(MountInfo(Path("state")), "") << "mounted more than once";
}

TEST_F(StateDirTest, RootThatOthersCanWriteIsRefused) {
  ASSERT_EQ(::mkdir(Path("state").c_str(), 0700), 0);
  ASSERT_EQ(::chmod(Path("state").c_str(), 0777), 0);
  EXPECT_EQ(StateRoot::Prepare(Path("state")).error().code(), EPERM);
}

TEST_F(StateDirTest, LeaseIsWrittenReadListedAndRemoved) {
  const StateRoot root = StateRoot::Prepare(Path("state")).value();
  Lease lease;
  lease.container_id = "c1";
  StateDir state = root.Create("c1").value();
  EXPECT_EQ(state.ReadLease().error().code(), ENOENT);
  ASSERT_TRUE(state.WriteLease(lease));
  EXPECT_EQ(root.Peek("c1")->container_id, "c1");
  EXPECT_THAT(*root.List(), testing::ElementsAre("c1"));
  ASSERT_TRUE(state.MakePin(kPin));
  ASSERT_TRUE(state.Remove());
  EXPECT_THAT(*root.List(), testing::IsEmpty());
  EXPECT_EQ(root.Lock("c1", false).error().code(), ENOENT);
}

TEST_F(StateDirTest, LockKeepsOthersOut) {
  const StateRoot root = StateRoot::Prepare(Path("state")).value();
  const StateDir state = root.Create("c1").value();
  EXPECT_EQ(root.Lock("c1", false).error().code(), EWOULDBLOCK);
}

TEST_F(StateDirTest, RemoveLeavesAMountedPinAndItsLease) {
  const StateRoot root = StateRoot::Prepare(Path("state")).value();
  StateDir state = root.Create("c1").value();
  ASSERT_TRUE(state.WriteLease({}));
  ASSERT_TRUE(state.MakePin(kPin));
  ASSERT_EQ(::mount("pin", state.PinPath(kPin).c_str(), "tmpfs", 0, nullptr), 0);
  EXPECT_EQ(state.Remove().error().code(), EBUSY);
  EXPECT_TRUE(state.ReadLease());
}

}  // namespace
}  // namespace actiondfs::mount
