// SPDX-License-Identifier: Apache-2.0
//
// The hook's side of the FUSE server's socket: whatever answers there, the hook ends in bounded
// time with a result or with one line, and holds no descriptor that it did not ask for.
//
// Input: a byte that says what is asked (mount, stats, list, probe), a byte with the number of
// descriptors of the answer, a byte for each of them, and the Reply.
#include <sys/socket.h>
#include <unistd.h>

#include <semaphore>
#include <string>
#include <thread>
#include <vector>

#include "hook/base/socket.h"
#include "hook/mount/fuse_client.h"
#include "tests/fuzz/check.h"
#include "tests/fuzz/descriptors.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/scratch.h"

namespace actiondfs::fuzz {
namespace {

constexpr size_t kMaxRequest = size_t{64} << 10;
constexpr std::chrono::seconds kPatience(60);

// Answers one connection after the other with what it was given.
class Impostor {
 public:
  explicit Impostor(const std::string& path)
      : listener_(ListenUnix(path, 1).value()), thread_([this] { Run(); }) {}
  ~Impostor() {
    stopping_ = true;
    go_.release();
    thread_.join();
  }
  Impostor(const Impostor&) = delete;
  Impostor& operator=(const Impostor&) = delete;

  // The next connection gets this; to be followed by Finish.
  void Prepare(std::string answer, std::vector<UniqueFd> descriptors) {
    answer_ = std::move(answer);
    descriptors_ = std::move(descriptors);
    go_.release();
  }
  // Waits until the answer was given, or nobody wanted it.
  void Finish() { done_.acquire(); }

 private:
  void Run() {
    for (go_.acquire(); !stopping_; go_.acquire()) {
      // Nothing is what a server says that was killed: it is asked once more.
      if (AnswerOne() && answer_.empty()) {
        AnswerOne();
      }
      done_.release();
    }
  }
  // Leaves nothing open. True: it was asked something.
  bool AnswerOne() {
    const UniqueFd peer(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    MUST(peer.valid());
    const auto request = ReceiveMessage(peer.get(), kMaxRequest, kPatience);
    const bool asked = request && !request->data.empty();
    if (asked) {
      (void)SendPacket(peer.get(), answer_, descriptors_);
    }
    descriptors_.clear();
    return asked;
  }

  // What go_ and done_ hand from one thread to the other.
  std::string answer_;
  std::vector<UniqueFd> descriptors_;
  bool stopping_ = false;
  std::binary_semaphore go_{0}, done_{0};
  UniqueFd listener_;
  std::thread thread_;
};

struct World {
  World() { scratch.Renew("cas"); }
  const Scratch scratch;
  const std::string socket = (scratch.path() / "socket").native();
  Impostor impostor{socket};
};

template <typename T>
const char* Judge(const Result<T>& result) {
  if (!result) {
    CheckError(result.error());
    return "refused";
  }
  return "accepted";
}

const char* AskFor(uint8_t what, const mount::FuseClient& client, const cas::BlobStore& store) {
  switch (what % 4) {
    case 0: {
      mount::TreeRequest tree;
      tree.id = "c1";
      tree.cas_name = "default";
      return Judge(client.Mount(tree, store, -1));
    }
    case 1: {
      const auto stats = client.Stats("c1");
      MUST(!stats || (stats->stage_error >= 0 && stats->stage_error < 4096));
      return Judge(stats);
    }
    case 2:
      return Judge(client.List());
    default:
      return Judge(client.Probe());
  }
}

const char* Run(Input input) {
  static World world;
  const UniqueFd directory = world.scratch.Open("cas");
  const auto store =
      cas::BlobStore::Adopt(world.scratch.Open("cas"), "fuzz", cas::Layout::kSharded).value();
  const size_t before = CountDescriptors();
  const uint8_t what = input.Byte();
  std::vector<UniqueFd> descriptors;
  const size_t count = input.Byte() % (kMostDescriptors + 1);
  for (size_t i = 0; i < count; ++i) {
    descriptors.push_back(MakeDescriptor(input.Byte(), directory.get()));
  }
  world.impostor.Prepare(input.Rest(), std::move(descriptors));
  const char* outcome = AskFor(what, mount::FuseClient(world.socket), store);
  world.impostor.Finish();
  MUST(CountDescriptors() == before);
  return outcome;
}

}  // namespace

const char* Outcome(const uint8_t* data, size_t size) {
  return Run({data, size});
}

}  // namespace actiondfs::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  (void)actiondfs::fuzz::Outcome(data, size);
  return 0;
}
