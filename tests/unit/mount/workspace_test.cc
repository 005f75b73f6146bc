// SPDX-License-Identifier: Apache-2.0
#include "hook/mount/workspace.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

#include "hook/base/files.h"
#include "hook/mount/overlay.h"
#include "tests/unit/mount/private_mounts.h"

namespace actiondfs::mount {
namespace {

// A backend that shows an ordinary directory.
class FakeMounter : public Mounter {
 public:
  explicit FakeMounter(std::string dir) : dir_(std::move(dir)) {}
  Status Probe() const override { return {}; }
  Result<DetachedMount> MountTree(const TreeRequest& request, const cas::BlobStore& /*store*/,
                                  int stage_fd) const override {
    had_stage = stage_fd >= 0;
    asked = request;
    ASSIGN_OR_RETURN(const UniqueFd dir, OpenAt(AT_FDCWD, dir_, O_PATH | O_DIRECTORY));
    return CloneMount(dir.get());
  }
  Result<Statistics> ReadStatistics(const std::string& /*id*/,
                                    const std::string& /*point*/) const override {
    return Statistics{};
  }
  Result<std::vector<TreeMount>> List() const override { return std::vector<TreeMount>{}; }

  mutable bool had_stage = false;
  mutable TreeRequest asked;

 private:
  std::string dir_;
};

class WorkspaceTest : public PrivateMounts {
 protected:
  void SetUp() override {
    PrivateMounts::SetUp();
    if (IsSkipped()) {
      return;
    }
    for (const char* name : {"cas", "tree", "rootfs"}) {
      std::filesystem::create_directory(Path(name));
    }
    std::ofstream(Path("tree/input")) << "input";
    plan_.container_id = "c1";
    plan_.destination = "/workspace";
    plan_.stage_dir = Path("stages/c1");
    plan_.mode = oci::Mode::kStrict;
  }

  // Everything that prestart does with mounts.
  Status Make(const StateDir& state, const FakeInit& init) {
    ASSIGN_OR_RETURN(const cas::BlobStore store,
                     cas::BlobStore::Open(Path("cas"), cas::Layout::kSharded));
    ASSIGN_OR_RETURN(const Container container, Container::Open(init.pid()));
    RETURN_IF_ERROR(MakeStage(plan_));
    RETURN_IF_ERROR(BuildWorkspace(plan_, store, mounter_, container, "", state));
    return AttachWorkspace(state, container, Path("rootfs"), plan_.destination, true);
  }

  plan::MountPlan plan_;
  FakeMounter mounter_{testing::TempDir()};
};

TEST_F(WorkspaceTest, StrictIsSeenInTheContainerAndNowhereElse) {
  mounter_ = FakeMounter(Path("tree"));
  const StateRoot root = StateRoot::Prepare(Path("state")).value();
  const FakeInit init;
  StateDir state = root.Create("c1").value();
  const auto made = Make(state, init);
  ASSERT_TRUE(made) << made.error().ToString();
  EXPECT_TRUE(mounter_.had_stage);
  EXPECT_TRUE(std::filesystem::exists(init.Inside(Path("rootfs/workspace/input"))));
  EXPECT_FALSE(std::filesystem::exists(Path("rootfs/workspace/input")));
  EXPECT_TRUE(std::filesystem::exists(state.PinPath(kPin) + "/input"));

  EXPECT_TRUE(ReleaseWorkspace(state));
  EXPECT_TRUE(RemoveStage(plan_.stage_dir, false));
  EXPECT_TRUE(ReleaseWorkspace(state)) << "idempotent";
  EXPECT_TRUE(RemoveStage(plan_.stage_dir, false)) << "idempotent";
  EXPECT_TRUE(state.Remove());
  EXPECT_FALSE(std::filesystem::exists(plan_.stage_dir));
}

TEST_F(WorkspaceTest, PlanBecomesTheRequest) {
  mounter_ = FakeMounter(Path("tree"));
  plan_.cas_name = "eu";
  plan_.input_root.hash.fill(7);
  plan_.owner_uid = 1000;
  plan_.owner_gid = 1001;
  const StateRoot root = StateRoot::Prepare(Path("state")).value();
  const FakeInit init;
  StateDir state = root.Create("c1").value();
  ASSERT_TRUE(Make(state, init));
  EXPECT_EQ(mounter_.asked.id, "c1");
  EXPECT_EQ(mounter_.asked.cas_name, "eu");
  EXPECT_EQ(mounter_.asked.root, plan_.input_root);
  EXPECT_EQ(mounter_.asked.uid, 1000U);
  EXPECT_EQ(mounter_.asked.gid, 1001U);
  EXPECT_TRUE(ReleaseWorkspace(state));
  EXPECT_TRUE(state.Remove());
}

TEST_F(WorkspaceTest, MappedIdsAreTheContainersOwnOnDisk) {
  mounter_ = FakeMounter(Path("tree"));
  plan_.map_ids = true;
  const StateRoot root = StateRoot::Prepare(Path("state")).value();
  const FakeInit init(100000);
  StateDir state = root.Create("c1").value();
  const auto made = Make(state, init);
  ASSERT_TRUE(made) << made.error().ToString();
  // Seen from the host's user namespace, through the container's mount and through the pin.
  for (const std::string& path :
       {init.Inside(Path("rootfs/workspace/input")), state.PinPath(kPin) + "/input"}) {
    const struct stat input = StatAt(AT_FDCWD, path).value();
    EXPECT_EQ(input.st_uid, 100000U) << path;
    EXPECT_EQ(input.st_gid, 100000U) << path;
  }
  EXPECT_EQ(StatAt(AT_FDCWD, Path("tree/input")).value().st_uid, 0U);
  EXPECT_TRUE(ReleaseWorkspace(state));
  EXPECT_TRUE(state.Remove());
}

TEST_F(WorkspaceTest, UserNamespaceThatIsTheHostsNeedsNoMap) {
  mounter_ = FakeMounter(Path("tree"));
  plan_.map_ids = true;
  const StateRoot root = StateRoot::Prepare(Path("state")).value();
  const FakeInit init;
  StateDir state = root.Create("c1").value();
  const auto made = Make(state, init);
  ASSERT_TRUE(made) << made.error().ToString();
  EXPECT_EQ(StatAt(AT_FDCWD, init.Inside(Path("rootfs/workspace/input"))).value().st_uid, 0U);
  EXPECT_TRUE(ReleaseWorkspace(state));
  EXPECT_TRUE(state.Remove());
}

TEST_F(WorkspaceTest, StatisticsOfALeaseWithABackendThatIsNotBuilt) {
  Lease lease;
  lease.backend = "hardlink";
  EXPECT_EQ(ReadStatistics(lease, Path("state")).error().code(), EOPNOTSUPP);
  lease.backend = "nonsense";
  EXPECT_EQ(ReadStatistics(lease, Path("state")).error().code(), EINVAL);
}

TEST_F(WorkspaceTest, TreeThatIsServedAnswers) {
  mounter_ = FakeMounter(Path("tree"));
  plan_.mode = oci::Mode::kOverlay;
  const StateRoot root = StateRoot::Prepare(Path("state")).value();
  const FakeInit init;
  StateDir state = root.Create("c1").value();
  ASSERT_TRUE(Make(state, init));
  const UniqueFd tree = OpenTree(plan_, state).value();
  EXPECT_TRUE(CheckAnswers(tree.get()));
  struct statfs fs = {};
  ASSERT_EQ(::fstatfs(tree.get(), &fs), 0);
  EXPECT_NE(fs.f_type, OVERLAYFS_SUPER_MAGIC) << "overlayfs answers whatever is below it";
  EXPECT_TRUE(ReleaseWorkspace(state));
  EXPECT_TRUE(state.Remove());
}

TEST_F(WorkspaceTest, TreeWhoseServerHasEndedIsAnError) {
  const StateRoot root = StateRoot::Prepare(Path("state")).value();
  const StateDir state = root.Create("c1").value();
  ASSERT_TRUE(state.MakePin(kPin));
  auto device = OpenAt(AT_FDCWD, "/dev/fuse", O_RDWR);
  if (!device) {
    GTEST_SKIP() << "needs /dev/fuse";
  }
  const std::string options =
      "fd=" + std::to_string(device->get()) + ",rootmode=40000,user_id=0,group_id=0";
  ASSERT_EQ(::mount("x", state.PinPath(kPin).c_str(), "fuse", 0, options.c_str()), 0);
  const UniqueFd tree = OpenTree(plan_, state).value();
  device->Reset();
  const auto answers = CheckAnswers(tree.get());
  ASSERT_FALSE(answers);
  EXPECT_EQ(answers.error().code(), ENOTCONN);
  EXPECT_THAT(answers.error().what(), testing::HasSubstr("FUSE server"));
  EXPECT_TRUE(ReleaseWorkspace(state));
}

TEST_F(WorkspaceTest, OverlayTakesChangesAndLeavesTheTree) {
  mounter_ = FakeMounter(Path("tree"));
  plan_.mode = oci::Mode::kOverlay;
  plan_.owner_uid = 1000;
  plan_.owner_gid = 1001;
  const StateRoot root = StateRoot::Prepare(Path("state")).value();
  const FakeInit init;
  StateDir state = root.Create("c1").value();
  const auto made = Make(state, init);
  ASSERT_TRUE(made) << made.error().ToString();
  EXPECT_FALSE(mounter_.had_stage);

  const std::string workspace = init.Inside(Path("rootfs/workspace"));
  std::ofstream(workspace + "/input") << "changed";
  std::ifstream file(Path("tree/input"));
  std::string content;
  file >> content;
  EXPECT_EQ(content, "input");
  EXPECT_TRUE(std::filesystem::exists(plan_.stage_dir + "/upper/input"));
  const struct stat top = StatAt(AT_FDCWD, workspace, 0).value();
  EXPECT_EQ(top.st_uid, 1000U);
  EXPECT_EQ(top.st_gid, 1001U);

  EXPECT_TRUE(ReleaseWorkspace(state));
  EXPECT_TRUE(RemoveStage(plan_.stage_dir, false));
  EXPECT_TRUE(state.Remove());
}

TEST_F(WorkspaceTest, FailedAttachLeavesTheContainersRootAsItWas) {
  mounter_ = FakeMounter(Path("tree"));
  plan_.destination = "/made/link/workspace";
  std::filesystem::create_directory(Path("rootfs/made"));
  std::filesystem::create_directory_symlink("/", Path("rootfs/made/link"));
  const StateRoot root = StateRoot::Prepare(Path("state")).value();
  const FakeInit init;
  StateDir state = root.Create("c1").value();
  EXPECT_FALSE(Make(state, init));
  EXPECT_TRUE(ReleaseWorkspace(state));
  EXPECT_TRUE(RemoveStage(plan_.stage_dir, false));
  EXPECT_TRUE(state.Remove());
  EXPECT_TRUE(std::filesystem::is_empty(Path("state")));
}

TEST_F(WorkspaceTest, StageOfAnEarlierContainerIsReplaced) {
  std::filesystem::create_directories(plan_.stage_dir + "/stage/old");
  ASSERT_TRUE(MakeStage(plan_));
  EXPECT_TRUE(std::filesystem::is_empty(plan_.stage_dir));
}

TEST_F(WorkspaceTest, StageRootThatOthersMayWriteIsRefused) {
  std::filesystem::create_directories(Path("stages"));
  for (const mode_t mode : {0777, 01777, 0770}) {
    ASSERT_EQ(::chmod(Path("stages").c_str(), mode), 0);
    EXPECT_EQ(MakeStage(plan_).error().code(), EPERM) << mode;
  }
  ASSERT_EQ(::chmod(Path("stages").c_str(), 0755), 0);
  ASSERT_EQ(::chown(Path("stages").c_str(), 1000, 1000), 0);
  EXPECT_EQ(MakeStage(plan_).error().code(), EPERM);
}

TEST_F(WorkspaceTest, KeptStageIsMarked) {
  ASSERT_TRUE(MakeStage(plan_));
  ASSERT_TRUE(RemoveStage(plan_.stage_dir, true));
  EXPECT_TRUE(std::filesystem::exists(plan_.stage_dir + "/" + kKeptMarker));
}

TEST_F(WorkspaceTest, OverlayOnAStageThatCannotBeAnUpperLayerIsAnError) {
  std::filesystem::create_directory(Path("stage"));
  ASSERT_EQ(::mount("proc", Path("stage").c_str(), "proc", 0, nullptr), 0);
  EXPECT_FALSE(MakeOverlay({Path("tree"), Path("stage"), 0, 0, ""}));
}

}  // namespace
}  // namespace actiondfs::mount
