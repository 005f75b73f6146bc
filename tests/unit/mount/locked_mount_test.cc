// SPDX-License-Identifier: Apache-2.0
#include "hook/mount/locked_mount.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <filesystem>

#include "hook/base/files.h"
#include "hook/mount/container.h"
#include "tests/unit/mount/private_mounts.h"

namespace actiondfs::mount {
namespace {

constexpr uint64_t kFlags = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;

class LockedMountTest : public PrivateMounts {
 protected:
  void SetUp() override {
    PrivateMounts::SetUp();
    if (IsSkipped()) {
      return;
    }
    for (const char* name : {"source", "target"}) {
      std::filesystem::create_directory(Path(name));
    }
    ASSERT_EQ(::mount("source", Path("source").c_str(), "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV,
                      nullptr),
              0);
  }

  UniqueFd Open(const std::string& path) { return OpenAt(AT_FDCWD, path, O_PATH).value(); }

  // Attaches in the namespace of `init`, at Path("target").
  void Attach(const DetachedMount& mount, const FakeInit& init) {
    const Container container = Container::Open(init.pid()).value();
    const NamespaceReturn back = NamespaceReturn::Here().value();
    ASSERT_TRUE(container.EnterMountNamespace());
    ASSERT_TRUE(AttachMount(mount, Open(Path("target")).get()));
  }

  // The errno of taking `flags` from Path("target"), as root of `init`'s user namespace.
  int TakeFlags(const FakeInit& init, uint64_t flags) {
    return AsRootOf(init, [&] {
      mount_attr attributes = {};
      attributes.attr_clr = flags;
      return ::mount_setattr(AT_FDCWD, Path("target").c_str(), 0, &attributes, sizeof(attributes));
    });
  }

  template <typename Call>
  static int AsRootOf(const FakeInit& init, Call call) {
    const UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, init.pid(), 0)));
    // Not fork(3): a sanitizer's thread would come along, and no thread may change its user
    // namespace.
    const auto child = static_cast<pid_t>(::syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
    if (child == 0) {
      if (::setns(pidfd.get(), CLONE_NEWUSER | CLONE_NEWNS) != 0) {
        ::_exit(255);
      }
      ::_exit(call() == 0 ? 0 : errno);
    }
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status));
    return WEXITSTATUS(status);
  }
};

TEST_F(LockedMountTest, NoFlagCanBeTakenAway) {
  const FakeInit init(100000);
  Attach(CloneMountLocked(Open(Path("source")).get()).value(), init);
  for (const uint64_t flag : {MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NODEV}) {
    EXPECT_EQ(TakeFlags(init, flag), EPERM) << flag;
  }
}

// What the lock is for; and that the test above could fail.
TEST_F(LockedMountTest, FlagsOfAnOrdinaryCopyCanBeTakenAway) {
  const FakeInit init(100000);
  Attach(CloneMount(Open(Path("source")).get()).value(), init);
  EXPECT_EQ(TakeFlags(init, kFlags), 0);
}

TEST_F(LockedMountTest, ItCanBeUnmounted) {
  const FakeInit init(100000);
  Attach(CloneMountLocked(Open(Path("source")).get()).value(), init);
  EXPECT_EQ(AsRootOf(init, [&] { return ::umount2(Path("target").c_str(), MNT_DETACH); }), 0);
}

TEST_F(LockedMountTest, MapOfIdsIsKept) {
  const FakeInit init(100000);
  ASSERT_EQ(::umount2(Path("source").c_str(), MNT_DETACH), 0);
  const DetachedMount mapped = CloneMount(Open(Path("source")).get()).value();
  ASSERT_TRUE(
      MapIds(mapped, OpenAt(AT_FDCWD, "/proc/" + std::to_string(init.pid()) + "/ns/user", O_RDONLY)
                         .value()
                         .get()));
  ASSERT_TRUE(AttachMount(mapped, Open(Path("source")).get()));
  const DetachedMount locked = CloneMountLocked(Open(Path("source")).get()).value();
  EXPECT_EQ(StatFd(locked.fd()).value().st_uid, 100000U);
}

TEST_F(LockedMountTest, WorkingDirectoryDescriptorsAndChildrenAreAsBefore) {
  const auto descriptors = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
  };
  const std::string before = std::filesystem::current_path();
  const auto count = descriptors();
  ASSERT_TRUE(CloneMountLocked(Open(Path("source")).get()));
  EXPECT_EQ(std::filesystem::current_path(), before);
  EXPECT_EQ(descriptors(), count);
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
}

TEST_F(LockedMountTest, DirectoryThatIsNoneIsAnError) {
  const UniqueFd file = OpenAt(AT_FDCWD, Path("file"), O_RDWR | O_CREAT, 0600).value();
  EXPECT_EQ(CloneMountLocked(file.get()).error().code(), ENOTDIR);
}

}  // namespace
}  // namespace actiondfs::mount
