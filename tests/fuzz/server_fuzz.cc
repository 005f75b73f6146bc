// SPDX-License-Identifier: Apache-2.0
//
// The FUSE server's socket, from a client that sends what it likes, with the descriptors that it
// likes. Each request has one reply that a hook can work with, and when the client is gone so is
// all that it had the server make. As root with FUSE, mounts that are asked for properly are made.
//
// Input: packets: a byte with the number of descriptors, a byte for each that says of which kind,
// two bytes with the length of what follows, the lower first, and a Request.
#include <sys/socket.h>

#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "actiondfs/serve.pb.h"
#include "hook/base/socket.h"
#include "hook/fuse/server.h"
#include "tests/fuzz/check.h"
#include "tests/fuzz/descriptors.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/scratch.h"

namespace actiondfs::fuzz {
namespace {

constexpr int kMostRequests = 4;
constexpr size_t kLongestMessage = 2100;
constexpr std::chrono::seconds kPatience(60);

class World {
 public:
  World() {
    scratch_.Renew("cas");
    scratch_.Renew("canary");
    std::ofstream(scratch_.path() / "canary" / "file") << "sings";
    untouched_ = Snapshot(scratch_.path(), "stage");
  }
  UniqueFd Cas() const { return scratch_.Open("cas"); }
  UniqueFd NewStage() const {
    scratch_.Renew("stage");
    return scratch_.Open("stage");
  }
  bool IsUntouched() const { return Snapshot(scratch_.path(), "stage") == untouched_; }

 private:
  const Scratch scratch_;
  std::string untouched_;
};

void CheckReply(const Message& message) {
  Reply reply;
  MUST(reply.ParseFromString(message.data));
  if (reply.error() != 0) {
    MUST(reply.error() > 0 && reply.error() < 4096);
    MUST(!reply.message().empty() && IsPrintableLine(reply.message(), kLongestMessage));
    MUST(reply.kind_case() == Reply::KIND_NOT_SET);
    MUST(message.fds.empty());
    return;
  }
  MUST(reply.kind_case() != Reply::KIND_NOT_SET);
  MUST(message.fds.size() == (reply.kind_case() == Reply::kMount ? 1U : 0U));
}

// Asks until the server, or the input, has enough. The mounts live as long.
void Ask(const UniqueFd& socket, Input& input, int cas, int stage) {
  std::vector<Message> answers;
  for (int i = 0; i < kMostRequests && !input.empty(); ++i) {
    std::vector<UniqueFd> descriptors;
    const size_t count = input.Byte() % (kMostDescriptors + 1);
    for (size_t n = 0; n < count; ++n) {
      descriptors.push_back(MakeDescriptor(input.Byte(), n == 0 ? cas : stage));
    }
    const std::string request = input.Bytes(input.Short());
    if (!SendPacket(socket.get(), request, descriptors)) {
      return;
    }
    auto answer = ReceiveMessage(socket.get(), size_t{1} << 20, kPatience);
    MUST(answer || answer.error().code() == ECONNRESET);
    if (!answer || answer->data.empty()) {
      return;  // a packet that is cut off in any way ends the connection
    }
    CheckReply(*answer);
    answers.push_back(std::move(*answer));
  }
}

void Serve(Input input) {
  static const World world;
  const size_t descriptors = CountDescriptors();
  {
    int ends[2] = {-1, -1};
    MUST(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
    fuse::ServerOptions options;
    options.connection = UniqueFd(ends[0]);
    options.exit_when_idle = true;
    options.version = "fuzz";
    const UniqueFd cas = world.Cas(), stage = world.NewStage();
    const std::jthread client([&input, &cas, &stage, socket = UniqueFd(ends[1])] {
      Ask(socket, input, cas.get(), stage.get());
    });
    fuse::Server server(std::move(options));
    MUST(server.Run().has_value());
  }
  MUST(CountDescriptors() == descriptors);
  MUST(world.IsUntouched());
}

}  // namespace

const char* Outcome(const uint8_t* data, size_t size) {
  Serve({data, size});
  return "served";
}

}  // namespace actiondfs::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  (void)actiondfs::fuzz::Outcome(data, size);
  return 0;
}
