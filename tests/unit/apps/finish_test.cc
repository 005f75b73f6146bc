// SPDX-License-Identifier: Apache-2.0
#include "hook/apps/common/finish.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include "hook/base/files.h"
#include "tests/unit/mount/private_mounts.h"

namespace actiondfs::apps {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class FinishTest : public mount::PrivateMounts {
 protected:
  void SetUp() override {
    PrivateMounts::SetUp();
    if (!IsSkipped()) {
      root_.emplace(mount::StateRoot::Prepare(Path("state")).value());
    }
  }

  // A workspace whose container is gone, with `files` files in its stage.
  void LeaveDead(const std::string& id, int files, bool attached = true) {
    mount::Lease lease;
    lease.container_id = id;
    lease.boot_id = "another";
    lease.attached = attached;
    lease.mode = "strict";
    lease.backend = "fuse";
    lease.stage_dir = Path("stages/" + id);
    std::filesystem::create_directories(lease.stage_dir + "/stage");
    for (int i = 0; i < files; ++i) {
      std::ofstream(lease.stage_dir + "/stage/" + std::to_string(i)) << i;
    }
    ASSERT_TRUE(root_->Create(id)->WriteLease(lease));
  }

  // A workspace that nobody can tell anything of.
  void LeaveUnreadable(const std::string& id, const std::string& text) {
    ASSERT_TRUE(root_->Create(id)->MakePin(mount::kPin));
    std::ofstream(Path("state/" + id + "/" + mount::kLeaseFile)) << text;
  }

  std::optional<mount::StateRoot> root_;
};

TEST_F(FinishTest, LargeStagesAreLeftWhereAContainerWaits) {
  LeaveDead("large", 20);
  LeaveDead("small", 3);
  const ReapResult some = ReapDead(*root_, {.leases = ReapLimits::kNone, .stage_entries = 10});
  EXPECT_THAT(some.reaped, ElementsAre("small"));
  EXPECT_THAT(some.errors, IsEmpty());
  EXPECT_TRUE(std::filesystem::exists(Path("stages/large/stage/0")));
  EXPECT_FALSE(std::filesystem::exists(Path("stages/small")));

  EXPECT_THAT(ReapDead(*root_, {}).reaped, ElementsAre("large"));
  EXPECT_FALSE(std::filesystem::exists(Path("stages/large")));
}

TEST_F(FinishTest, PoststopThatMayBeOnItsWayIsWaitedFor) {
  LeaveDead("dead", 0);
  const ReapLimits limits = {.patience = std::chrono::seconds(60)};
  EXPECT_THAT(ReapDead(*root_, limits).reaped, IsEmpty());
  EXPECT_THAT(ReapDead(*root_, limits).reaped, IsEmpty());
  for (const auto& file : std::filesystem::directory_iterator(Path("state/dead"))) {
    std::filesystem::last_write_time(file, file.last_write_time() - std::chrono::seconds(61));
  }
  EXPECT_THAT(ReapDead(*root_, limits).reaped, ElementsAre("dead"));
  EXPECT_TRUE(std::filesystem::is_empty(Path("state"))) << "with all that was noted of it";
}

TEST_F(FinishTest, NothingIsWaitedForWhereNoContainerStarted) {
  LeaveDead("made", 0, /*attached=*/false);
  const ReapLimits limits = {.patience = std::chrono::seconds(60)};
  EXPECT_THAT(ReapDead(*root_, limits).reaped, ElementsAre("made"));
}

TEST_F(FinishTest, NoMoreLeasesAreLookedAtThanAsked) {
  for (const char* id : {"a", "b", "c", "d"}) {
    LeaveDead(id, 0);
  }
  EXPECT_EQ(ReapDead(*root_, {.leases = 3}).reaped.size(), 3U);
}

TEST_F(FinishTest, UnreadableLeaseWithoutAWorkspaceIsRemoved) {
  LeaveUnreadable("empty", "");
  LeaveUnreadable("half", R"({"version": 1, "container_id": "ha)");
  LeaveUnreadable("newer", R"({"version": 2})");
  const ReapResult result = ReapDead(*root_, {});
  EXPECT_THAT(result.reaped, ElementsAre("empty", "half", "newer"));
  EXPECT_THAT(result.errors, IsEmpty());
  EXPECT_TRUE(std::filesystem::is_empty(Path("state")));
}

TEST_F(FinishTest, UnreadableLeaseOfAMountedWorkspaceIsToldAndLeftAlone) {
  LeaveUnreadable("half", "{");
  const std::string pin = Path("state/half/") + mount::kPin;
  ASSERT_EQ(::mount("workspace", pin.c_str(), "tmpfs", 0, nullptr), 0);
  std::ofstream(pin + "/output") << "precious";
  const ReapResult result = ReapDead(*root_, {});
  EXPECT_THAT(result.reaped, IsEmpty());
  ASSERT_EQ(result.errors.size(), 1U);
  EXPECT_THAT(result.errors[0], testing::HasSubstr("umount -l " + pin));
  EXPECT_TRUE(std::filesystem::exists(pin + "/output"));
  EXPECT_TRUE(std::filesystem::exists(Path("state/half/") + mount::kLeaseFile));

  ASSERT_EQ(::umount2(pin.c_str(), 0), 0);
  EXPECT_THAT(ReapDead(*root_, {}).reaped, ElementsAre("half"));
}

TEST_F(FinishTest, DirectoryOfSomebodyElseInTheStateDirectoryIsLeftAlone) {
  std::filesystem::create_directory(Path("state/foreign"));
  std::ofstream(Path("state/foreign/file")) << "x";
  std::ofstream(Path("state/socket")) << "x";
  const ReapResult result = ReapDead(*root_, {});
  EXPECT_THAT(result.reaped, IsEmpty());
  EXPECT_TRUE(std::filesystem::exists(Path("state/foreign/file")));
  EXPECT_TRUE(std::filesystem::exists(Path("state/socket")));
}

}  // namespace
}  // namespace actiondfs::apps
