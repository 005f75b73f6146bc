// SPDX-License-Identifier: Apache-2.0
#include "hook/mount/fuse_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <functional>
#include <thread>

#include "actiondfs/serve.pb.h"
#include "hook/base/socket.h"

namespace actiondfs::mount {
namespace {

class FuseClientTest : public testing::Test {
 protected:
  void SetUp() override {
    dir_ = testing::TempDir() + "/fuse_client_test.XXXXXX";
    ASSERT_NE(::mkdtemp(dir_.data()), nullptr);
    path_ = dir_ + "/sock";
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  // Answers as many requests.
  std::jthread Serve(std::function<std::string(const Request&)> answer, int requests = 1) {
    listener_.Reset();
    listener_ = ListenUnix(path_, 1).value();
    return std::jthread([this, requests, answer = std::move(answer)] {
      for (int i = 0; i < requests; ++i) {
        AnswerOne(answer);
      }
    });
  }

  void AnswerOne(const std::function<std::string(const Request&)>& answer) {
    const UniqueFd peer(::accept(listener_.get(), nullptr, nullptr));
    const Message message =
        ReceiveMessage(peer.get(), 65536, std::chrono::milliseconds(10000)).value();
    Request request;
    EXPECT_TRUE(request.ParseFromString(message.data));
    const std::string reply = answer(request);
    if (!reply.empty()) {
      EXPECT_TRUE(SendMessage(peer.get(), reply, {}));
    }
  }

  std::string dir_, path_;
  UniqueFd listener_;
};

TEST_F(FuseClientTest, NoServerSaysHowToStartOne) {
  const auto status = FuseClient(path_).Probe();
  EXPECT_EQ(status.error().code(), ENOENT);
  EXPECT_THAT(status.error().what(), testing::HasSubstr("actiondfs serve --socket " + path_));
}

TEST_F(FuseClientTest, StatsKeepTheirOrder) {
  const std::jthread server = Serve([](const Request& request) {
    EXPECT_EQ(request.stats().id(), "c1");
    Reply reply;
    for (const char* name : {"mounts", "dir_loads"}) {
      Counter& counter = *reply.mutable_stats()->add_counters();
      counter.set_name(name);
      counter.set_value(7);
    }
    reply.mutable_stats()->set_stage_error(ENOSPC);
    return reply.SerializeAsString();
  });
  const Statistics stats = FuseClient(path_).Stats("c1").value();
  EXPECT_EQ(stats.counters[0], std::make_pair(std::string("mounts"), uint64_t{7}));
  EXPECT_EQ(stats.counters[1].first, "dir_loads");
  EXPECT_EQ(stats.stage_error, ENOSPC);
}

TEST_F(FuseClientTest, ServersErrorKeepsItsErrnoAndIsShownPrintable) {
  const std::jthread server = Serve([](const Request&) {
    Reply reply;
    reply.set_error(ENOENT);
    reply.set_message("no mount \x1b[31m");
    return reply.SerializeAsString();
  });
  const auto stats = FuseClient(path_).Stats("c1");
  EXPECT_EQ(stats.error().code(), ENOENT);
  EXPECT_THAT(stats.error().what(), testing::HasSubstr("\\x1b[31m"));
}

TEST_F(FuseClientTest, ListsInParts) {
  const std::jthread server = Serve(
      [](const Request& request) {
        const std::string& after = request.list().after();
        Reply reply;
        reply.mutable_list()->add_mounts()->set_id(after + "c");
        reply.mutable_list()->set_more(after.size() < 2);
        return reply.SerializeAsString();
      },
      3);
  const auto mounts = FuseClient(path_).List().value();
  ASSERT_EQ(mounts.size(), 3U);
  EXPECT_EQ(mounts[2].id, "ccc");
}

TEST_F(FuseClientTest, ListThatDoesNotGoOnIsAProtocolError) {
  const auto always = [](const char* id) {
    return [id](const Request&) {
      Reply reply;
      reply.mutable_list()->set_more(true);
      if (*id != '\0') {
        reply.mutable_list()->add_mounts()->set_id(id);
      }
      return reply.SerializeAsString();
    };
  };
  {
    const std::jthread server = Serve(always("c1"), 2);
    EXPECT_EQ(FuseClient(path_).List().error().code(), EPROTO);
  }
  const std::jthread server = Serve(always(""));
  EXPECT_EQ(FuseClient(path_).List().error().code(), EPROTO);
}

TEST_F(FuseClientTest, NonsenseIsAProtocolError) {
  const std::jthread server = Serve([](const Request&) { return std::string("\xff\xff\xff"); });
  EXPECT_EQ(FuseClient(path_).List().error().code(), EPROTO);
}

TEST_F(FuseClientTest, AnErrnoThatIsNoneIsAProtocolError) {
  for (const int code : {-EIO, 4096}) {
    const std::jthread server = Serve([code](const Request&) {
      Reply reply;
      reply.set_error(code);
      return reply.SerializeAsString();
    });
    EXPECT_EQ(FuseClient(path_).List().error().code(), EPROTO) << code;
  }
}

TEST_F(FuseClientTest, AnAnswerToAnotherQuestionIsAProtocolError) {
  const std::jthread server = Serve([](const Request&) {
    Reply reply;
    reply.mutable_list();
    return reply.SerializeAsString();
  });
  EXPECT_EQ(FuseClient(path_).Stats("c1").error().code(), EPROTO);
}

// Counters are printed, and written into files of metrics, as they are.
TEST_F(FuseClientTest, AStatisticThatIsNoneIsAProtocolError) {
  for (const bool name_is_wrong : {true, false}) {
    const std::jthread server = Serve([name_is_wrong](const Request&) {
      Reply reply;
      reply.mutable_stats()->add_counters()->set_name(name_is_wrong ? "a\x1b[2J" : "mounts");
      reply.mutable_stats()->set_stage_error(name_is_wrong ? 0 : -ENOSPC);
      return reply.SerializeAsString();
    });
    EXPECT_EQ(FuseClient(path_).Stats("c1").error().code(), EPROTO);
  }
}

TEST_F(FuseClientTest, AMountThatCannotBeShownIsAProtocolError) {
  const std::jthread server = Serve([](const Request&) {
    Reply reply;
    reply.mutable_list()->add_mounts()->set_id("c1\n");
    return reply.SerializeAsString();
  });
  EXPECT_EQ(FuseClient(path_).List().error().code(), EPROTO);
}

TEST_F(FuseClientTest, ServerThatEndsWithoutAnAnswerIsAskedAgain) {
  int requests = 0;
  const std::jthread server = Serve(
      [&requests](const Request&) {
        Reply reply;
        reply.mutable_list();
        return ++requests == 1 ? std::string() : reply.SerializeAsString();
      },
      2);
  EXPECT_TRUE(FuseClient(path_).List());
}

TEST_F(FuseClientTest, ServerThatEndsTwiceIsSaidToHaveEnded) {
  const std::jthread server = Serve([](const Request&) { return std::string(); }, 2);
  const auto list = FuseClient(path_).List();
  EXPECT_EQ(list.error().code(), ECONNRESET);
  EXPECT_THAT(list.error().what(), testing::HasSubstr("ended before it answered"));
}

}  // namespace
}  // namespace actiondfs::mount
