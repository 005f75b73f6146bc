// SPDX-License-Identifier: Apache-2.0
#include "hook/base/socket.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace actiondfs {
namespace {

using std::chrono::milliseconds;

class SocketTest : public testing::Test {
 protected:
  void SetUp() override {
    dir_ = testing::TempDir() + "/socket_test.XXXXXX";
    ASSERT_NE(::mkdtemp(dir_.data()), nullptr);
    path_ = dir_ + "/s";
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  std::string dir_, path_;
};

TEST_F(SocketTest, MessageCarriesDescriptors) {
  int pair[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
  const UniqueFd a(pair[0]);
  const UniqueFd b(pair[1]);
  ASSERT_TRUE(SendMessage(a.get(), "hello", {STDIN_FILENO, STDERR_FILENO}));
  const Message message = ReceiveMessage(b.get(), 100, milliseconds(1000)).value();
  EXPECT_EQ(message.data, "hello");
  EXPECT_EQ(message.fds.size(), 2U);
}

TEST_F(SocketTest, TimesOutAndRefusesTooMuch) {
  int pair[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
  const UniqueFd a(pair[0]);
  const UniqueFd b(pair[1]);
  EXPECT_EQ(ReceiveMessage(b.get(), 100, milliseconds(10)).error().code(), ETIMEDOUT);
  ASSERT_TRUE(SendMessage(a.get(), std::string(101, 'x'), {}));
  EXPECT_EQ(ReceiveMessage(b.get(), 100, milliseconds(1000)).error().code(), EMSGSIZE);
}

TEST_F(SocketTest, LooksAtAMessageWithoutTakingIt) {
  int pair[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
  const UniqueFd a(pair[0]);
  const UniqueFd b(pair[1]);
  EXPECT_EQ(ReceiveMessageNow(b.get(), 100, 0).error().code(), EAGAIN);
  ASSERT_TRUE(SendMessage(a.get(), "hello", {STDIN_FILENO}));
  for (const int flags : {int{MSG_PEEK}, int{MSG_PEEK}, 0}) {
    const Message message = ReceiveMessageNow(b.get(), 100, flags).value();
    EXPECT_EQ(message.data, "hello");
    EXPECT_EQ(message.fds.size(), 1U);
  }
  EXPECT_EQ(ReceiveMessageNow(b.get(), 100, 0).error().code(), EAGAIN);
}

TEST_F(SocketTest, ListenReplacesAStaleSocketOnly) {
  EXPECT_EQ(ConnectUnix(path_, milliseconds(100)).error().code(), ENOENT);
  auto first = ListenUnix(path_, 4);
  ASSERT_TRUE(first);
  struct stat st = {};
  ASSERT_EQ(::stat(path_.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0600U);
  EXPECT_EQ(ListenUnix(path_, 4).error().code(), EADDRINUSE);
  first = UniqueFd();
  EXPECT_EQ(ConnectUnix(path_, milliseconds(100)).error().code(), ECONNREFUSED);
  EXPECT_TRUE(ListenUnix(path_, 4));
}

TEST_F(SocketTest, FullQueueIsNotWaitedForWithoutEnd) {
  const auto listener = ListenUnix(path_, 0);
  ASSERT_TRUE(listener);
  std::vector<UniqueFd> waiting;
  for (int i = 0; i < 3; ++i) {
    auto fd = ConnectUnix(path_, milliseconds(20));
    if (!fd) {
      EXPECT_EQ(fd.error().code(), ETIMEDOUT);
      return;
    }
    waiting.push_back(std::move(*fd));
  }
  FAIL() << "the queue is never full";
}

TEST_F(SocketTest, PathThatDoesNotFitIsSaid) {
  EXPECT_EQ(ListenUnix(dir_ + std::string(200, 'x'), 1).error().code(), EINVAL);
}

}  // namespace
}  // namespace actiondfs
