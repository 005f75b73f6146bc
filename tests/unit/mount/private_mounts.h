// SPDX-License-Identifier: Apache-2.0
//
// A fixture for tests that mount: a mount namespace of their own, and a tmpfs to play in. Skips
// without CAP_SYS_ADMIN.
#ifndef ACTIONDFS_TESTS_UNIT_MOUNT_PRIVATE_MOUNTS_H_
#define ACTIONDFS_TESTS_UNIT_MOUNT_PRIVATE_MOUNTS_H_

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>

namespace actiondfs::mount {

class PrivateMounts : public testing::Test {
 protected:
  void SetUp() override {
    if (::unshare(CLONE_NEWNS) != 0) {
      GTEST_SKIP() << "needs CAP_SYS_ADMIN for a mount namespace of its own";
    }
    ASSERT_EQ(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    dir_ = testing::TempDir() + "mount_test.XXXXXX";
    ASSERT_NE(::mkdtemp(dir_.data()), nullptr);
    ASSERT_EQ(::mount("test", dir_.c_str(), "tmpfs", 0, nullptr), 0);
  }
  void TearDown() override {
    if (!dir_.empty()) {
      ::umount2(dir_.c_str(), MNT_DETACH);
      std::filesystem::remove(dir_);
    }
  }

  std::string Path(const std::string& name) const { return dir_ + "/" + name; }

  std::string dir_;
};

// A process in a mount namespace of its own, stopped until this object goes: a container's init, as
// far as mounts go.
class FakeInit {
 public:
  // `first_id` > 0: also in a user namespace, whose ids are those of the host from there on.
  explicit FakeInit(unsigned first_id = 0) {
    int ready[2] = {-1, -1};
    EXPECT_EQ(::pipe(ready), 0);
    EXPECT_EQ(::pipe(stop_), 0);
    // Born in its namespaces: a process that a sanitizer gave a thread may not unshare(2) its user
    // namespace.
    const unsigned long namespaces = CLONE_NEWNS | (first_id > 0 ? CLONE_NEWUSER : 0);
    pid_ = static_cast<pid_t>(::syscall(SYS_clone, namespaces | SIGCHLD, 0, 0, 0, 0));
    EXPECT_GE(pid_, 0) << "clone: " << std::strerror(errno);
    if (pid_ == 0) {
      ::close(stop_[1]);
      const bool ok = ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
      char byte = ok ? 'y' : 'n';
      if (::write(ready[1], &byte, 1) != 1) {
        ::_exit(1);
      }
      while (::read(stop_[0], &byte, 1) > 0) {
      }
      ::_exit(0);
    }
    ::close(ready[1]);
    ::close(stop_[0]);
    char byte = 0;
    EXPECT_EQ(::read(ready[0], &byte, 1), 1);
    EXPECT_EQ(byte, 'y');
    ::close(ready[0]);
    for (const char* map : {"/uid_map", "/gid_map"}) {
      if (first_id > 0) {
        std::ofstream file("/proc/" + std::to_string(pid_) + map);
        file << "0 " << first_id << " 65536\n";
        file.close();
        EXPECT_TRUE(file) << map;
      }
    }
  }
  ~FakeInit() { Stop(); }
  FakeInit(const FakeInit&) = delete;
  FakeInit& operator=(const FakeInit&) = delete;

  pid_t pid() const { return pid_; }
  void Stop() {
    if (pid_ > 0) {
      ::close(stop_[1]);
      ::waitpid(pid_, nullptr, 0);
      pid_ = -1;
    }
  }
  // A path as seen in its mount namespace.
  std::string Inside(const std::string& path) const {
    return "/proc/" + std::to_string(pid_) + "/root" + path;
  }

 private:
  int stop_[2] = {-1, -1};
  pid_t pid_ = -1;
};

}  // namespace actiondfs::mount

#endif  // ACTIONDFS_TESTS_UNIT_MOUNT_PRIVATE_MOUNTS_H_
