// SPDX-License-Identifier: Apache-2.0
#include "hook/fuse/fd_store.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>

#include "hook/base/socket.h"

namespace actiondfs::fuse {
namespace {

// A service manager's socket; `name` as in NOTIFY_SOCKET.
UniqueFd ListenAt(const std::string& name) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, name.data(), name.size());
  if (name[0] == '@') {
    address.sun_path[0] = '\0';
  }
  UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
  EXPECT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), size), 0);
  ::setenv("NOTIFY_SOCKET", name.c_str(), 1);
  return fd;
}

std::string TestName(const char* prefix) {
  return prefix + std::string("actiondfs-fd-store-test-") + std::to_string(::getpid());
}

class FdStoreTest : public testing::Test {
 protected:
  void TearDown() override {
    for (const char* name : {"NOTIFY_SOCKET", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}) {
      ::unsetenv(name);
    }
    ::unlink(TestName("/tmp/").c_str());
  }
};

TEST_F(FdStoreTest, WithoutAManagerNothingIsKept) {
  ::unsetenv("NOTIFY_SOCKET");
  const auto store = FdStore::FromEnvironment();
  ASSERT_TRUE(store);
  EXPECT_FALSE(store->available());
  EXPECT_TRUE(store->Ready());
}

TEST_F(FdStoreTest, AnAddressThatIsNone) {
  for (const std::string& name : {std::string("relative"), std::string(200, '/')}) {
    ::setenv("NOTIFY_SOCKET", name.c_str(), 1);
    const auto store = FdStore::FromEnvironment();
    ASSERT_FALSE(store);
    EXPECT_EQ(store.error().code(), EINVAL);
  }
}

TEST_F(FdStoreTest, SpeaksTheProtocolAtPathsAndAbstractNames) {
  for (const char* prefix : {"/tmp/", "@"}) {
    const UniqueFd manager = ListenAt(TestName(prefix));
    const auto store = FdStore::FromEnvironment();
    ASSERT_TRUE(store) << store.error().ToString();
    EXPECT_TRUE(store->available());
    ASSERT_TRUE(store->Store("mount-1", {STDERR_FILENO, manager.get()}));
    ASSERT_TRUE(store->Remove("mount-1"));
    ASSERT_TRUE(store->Ready());
    const auto stored = ReceiveMessage(manager.get(), 100, std::chrono::milliseconds(0));
    ASSERT_TRUE(stored);
    EXPECT_EQ(stored->data, "FDSTORE=1\nFDPOLL=0\nFDNAME=mount-1");
    EXPECT_EQ(stored->fds.size(), 2U);
    const auto removed = ReceiveMessage(manager.get(), 100, std::chrono::milliseconds(0));
    EXPECT_EQ(removed->data, "FDSTOREREMOVE=1\nFDNAME=mount-1");
    EXPECT_EQ(ReceiveMessage(manager.get(), 100, std::chrono::milliseconds(0))->data, "READY=1");
  }
}

TEST_F(FdStoreTest, DescriptorsForAnotherProcessAreNotTaken) {
  ::setenv("LISTEN_PID", "1", 1);
  ::setenv("LISTEN_FDS", "1", 1);
  EXPECT_TRUE(TakePassedFds().empty());
  EXPECT_EQ(::getenv("LISTEN_FDS"), nullptr);
}

// In a process of its own, where the numbers are free for it.
TEST_F(FdStoreTest, DescriptorsHaveTheirNames) {
  const auto passed_well = [] {
    for (const int fd : {3, 4, 5}) {
      ::dup2(STDERR_FILENO, fd);
    }
    ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
    ::setenv("LISTEN_FDS", "3", 1);
    ::setenv("LISTEN_FDNAMES", "one:two", 1);
    const auto passed = TakePassedFds();
    return passed.size() == 3 && passed[0].name == "one" && passed[1].name == "two" &&
           passed[2].name.empty() && passed[2].fd.get() == 5 && ::fcntl(4, F_GETFD) == FD_CLOEXEC &&
           ::getenv("LISTEN_PID") == nullptr;
  };
  EXPECT_EXIT(::_exit(passed_well() ? 0 : 1), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace actiondfs::fuse
