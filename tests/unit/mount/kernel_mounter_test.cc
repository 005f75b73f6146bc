// SPDX-License-Identifier: Apache-2.0
//
// What KernelMounter makes of /proc, on one of our own. Mounting itself is tests/runtime's, in the
// VM.
#include "hook/mount/kernel_mounter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <string>

namespace actiondfs::mount {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

class KernelMounterTest : public testing::Test {
 protected:
  void SetUp() override {
    dir_ = testing::TempDir() + "/kernel_mounter_test.XXXXXX";
    ASSERT_NE(::mkdtemp(dir_.data()), nullptr);
    std::filesystem::create_directories(dir_ + "/self");
    std::filesystem::create_directory(dir_ + "/mnt");
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  void Write(const std::string& name, const std::string& text) const {
    std::ofstream(dir_ + "/" + name) << text;
  }

  std::string dir_;
};

TEST_F(KernelMounterTest, ModuleIsLoadedWhereTheKernelKnowsTheType) {
  Write("filesystems", "nodev\tsysfs\n\text4\nnodev\tactiondfs\n");
  EXPECT_TRUE(KernelMounter(dir_).Probe());
}

TEST_F(KernelMounterTest, ModuleThatIsNotLoadedIsNamedWithWhatHelps) {
  Write("filesystems", "nodev\tsysfs\nnodev\tactiondfs2\nnodev\tnotactiondfs\n");
  const auto status = KernelMounter(dir_).Probe();
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code(), ENODEV);
  EXPECT_THAT(status.error().what(), HasSubstr("modprobe actiondfs"));
}

TEST_F(KernelMounterTest, MountIsListedOnceHoweverOftenItIsAttached) {
  Write("self/mountinfo",
        "30 1 0:20 / /proc rw - proc proc rw\n"
        "31 1 0:45 / /run/actiondfs/c1/mnt rw - actiondfs actiondfs "
        "rw,root=ab,root_size=17,cas=/srv/cas,stage=/srv/stage/c1/stage,uid=0\n"
        "32 1 0:45 / /elsewhere rw - actiondfs actiondfs rw,root=ab,root_size=17,cas=/srv/cas\n"
        "33 1 0:46 / /mnt ro - actiondfs actiondfs ro,root=cd,root_size=0,cas=/srv/cas\n");
  const auto mounts = KernelMounter(dir_).List().value();
  ASSERT_EQ(mounts.size(), 2U);
  EXPECT_EQ(mounts[0].id, "/run/actiondfs/c1/mnt");
  EXPECT_EQ(mounts[0].point, "/run/actiondfs/c1/mnt");
  EXPECT_EQ(mounts[0].root, "ab/17");
  EXPECT_TRUE(mounts[0].strict);
  EXPECT_EQ(mounts[1].root, "cd/0");
  EXPECT_FALSE(mounts[1].strict);
}

TEST_F(KernelMounterTest, StatisticsByTheRealPathOfTheMountPoint) {
  std::filesystem::create_directory_symlink("mnt", dir_ + "/link");
  const std::string real = std::filesystem::canonical(dir_ + "/mnt");
  Write("self/mountstats", "device actiondfs mounted on " + real +
                               " with fstype actiondfs statvers=1\n\tmounts 1\n\tlookups 12\n\n");
  const auto stats = KernelMounter(dir_).ReadStatistics("any", dir_ + "/link");
  ASSERT_TRUE(stats) << stats.error().ToString();
  EXPECT_THAT(stats->counters, ElementsAre(Pair("mounts", 1U), Pair("lookups", 12U)));
  EXPECT_EQ(stats->stage_error, 0);
}

TEST_F(KernelMounterTest, StatisticsOfWhatIsNotMounted) {
  Write("self/mountstats", "device x mounted on / with fstype ext4\n");
  const auto stats = KernelMounter(dir_).ReadStatistics("any", dir_ + "/mnt");
  ASSERT_FALSE(stats);
  EXPECT_EQ(stats.error().code(), ENOENT);
  EXPECT_EQ(KernelMounter(dir_).ReadStatistics("any", dir_ + "/none").error().code(), ENOENT);
}

TEST_F(KernelMounterTest, RequestsThatAreNotTheKernelsAreRefusedBeforeAnyMount) {
  const auto store = cas::BlobStore::Open(dir_, cas::Layout::kSharded).value();
  TreeRequest blake3;
  blake3.root.function = cas::HashFunction::kBlake3;
  EXPECT_EQ(KernelMounter(dir_).MountTree(blake3, store, -1).error().code(), EOPNOTSUPP);
  TreeRequest roots;
  roots.many_roots = true;
  EXPECT_EQ(KernelMounter(dir_).MountTree(roots, store, -1).error().code(), EOPNOTSUPP);
}

}  // namespace
}  // namespace actiondfs::mount
