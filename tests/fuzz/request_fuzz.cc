// SPDX-License-Identifier: Apache-2.0
//
// The FUSE server's requests with hostile arguments, on a real store and a real stage. Whatever is
// asked: nothing outside of the stage changes, the inputs stay, nothing stays behind, and every
// reply is one that the kernel takes.
//
// Input: a byte that chooses the mount, then requests: see TakeRequest.
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <memory>
#include <string>

#include "build/bazel/remote/execution/v2/remote_execution.pb.h"
#include "tests/fuzz/check.h"
#include "tests/fuzz/fuse_peer.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/fuzz/scratch.h"

namespace actiondfs::fuzz {
namespace {

namespace reapi = ::build::bazel::remote::execution::v2;

constexpr int kMostRequests = 64;
// Bits of the first byte; what is below them is the kind of the mount.
constexpr unsigned kByContent = 0x80, kTight = 0x40, kKinds = 0x3f;
// Of one file: what is allocated is memory.
constexpr rlim_t kLargestFile = rlim_t{1} << 20;

void SetDigest(const cas::Digest& digest, reapi::Digest* message) {
  message->set_hash(digest.HashHex());
  message->set_size_bytes(digest.size);
}

// Adds what `name` says to a Directory; names have to come in order.
void AddFile(reapi::Directory& directory, const char* name, const cas::Digest& digest) {
  auto* file = directory.add_files();
  file->set_name(name);
  SetDigest(digest, file->mutable_digest());
}

void AddDirectory(reapi::Directory& directory, const char* name, const cas::Digest& digest) {
  auto* child = directory.add_directories();
  child->set_name(name);
  SetDigest(digest, child->mutable_digest());
}

void AddSymlink(reapi::Directory& directory, const char* name, const char* target) {
  auto* link = directory.add_symlinks();
  link->set_name(name);
  link->set_target(target);
}

// The directories that all inputs use: cas, stage, and a canary beside them.
class World {
 public:
  World() {
    scratch_.Renew("cas");
    scratch_.Renew("canary");
    std::ofstream(scratch_.path() / "canary" / "file") << "sings";
    auto store = OpenStore();
    root_ = MakeTree(store);
    untouched_ = Snapshot(scratch_.path(), "stage");
  }

  cas::BlobStore OpenStore() const {
    return cas::BlobStore::Adopt(scratch_.Open("cas"), "fuzz", cas::Layout::kSharded).value();
  }
  UniqueFd NewStage() const {
    scratch_.Renew("stage");
    return scratch_.Open("stage");
  }
  bool IsUntouched() const { return Snapshot(scratch_.path(), "stage") == untouched_; }
  const cas::Digest& root() const { return root_; }
  tree::DirectoryCache& cache() { return cache_; }

 private:
  static cas::Digest MakeTree(const cas::BlobStore& store) {
    const cas::Digest blob = store.Put("eight by").value();
    cas::Digest gone = blob;
    gone.hash[0] ^= 1;
    cas::Digest another_size = blob;
    another_size.size = 1 << 20;

    reapi::Directory inner;
    AddFile(inner, "inner", blob);
    AddSymlink(inner, "up", "../../canary");
    reapi::Directory top;
    AddFile(top, "empty", cas::EmptyDigest());
    AddFile(top, "file", blob);
    AddFile(top, "missing", gone);
    AddFile(top, "short", another_size);
    AddDirectory(top, "broken", blob);
    AddDirectory(top, "dir", store.Put(inner.SerializeAsString()).value());
    AddDirectory(top, "gone", gone);
    AddSymlink(top, "link", "file");
    AddSymlink(top, "out", "/etc/passwd");
    return store.Put(top.SerializeAsString()).value();
  }

  const Scratch scratch_;
  cas::Digest root_;
  std::string untouched_;
  tree::DirectoryCache cache_{size_t{1} << 20};
};

World& TheWorld() {
  static World world;
  return world;
}

// For the time of a session: files stay small, and a test's umask is not in the way.
class Limits {
 public:
  Limits() : umask_(::umask(0)) {
    MUST(::getrlimit(RLIMIT_FSIZE, &before_) == 0);
    const rlimit small = {kLargestFile, before_.rlim_max};
    MUST(::setrlimit(RLIMIT_FSIZE, &small) == 0);
  }
  ~Limits() {
    (void)::umask(umask_);
    (void)::setrlimit(RLIMIT_FSIZE, &before_);
  }
  Limits(const Limits&) = delete;
  Limits& operator=(const Limits&) = delete;

 private:
  mode_t umask_;
  rlimit before_ = {};
};

void Quieten() {
  // EFBIG instead of a signal; and the server's log, which says which blobs are missing.
  (void)std::signal(SIGXFSZ, SIG_IGN);
  stderr = std::fopen("/dev/null", "w");
  MUST(stderr != nullptr);
}

enum class Kind : uint8_t { kStrict, kReadonly, kManyRoots };

// Of a mount that may hold next to nothing: many requests fail, and have to be undone.
constexpr fuse::Limits kTightLimits = {{{.share = 8}, {.share = 4096}, {.share = 2}}};

std::unique_ptr<fuse::FileSystem> NewFileSystem(World& world, Kind kind, bool by_content,
                                                fuse::Pool& pool) {
  fuse::FileSystemOptions options;
  options.id = "fuzz";
  options.inputs = {.root = world.root(),
                    .uid = 0,
                    .gid = 0,
                    .inodes_by_content = by_content,
                    .many_roots = kind == Kind::kManyRoots};
  options.list_roots = by_content;
  auto stage = kind == Kind::kStrict ? world.NewStage() : UniqueFd();
  auto fs = std::make_unique<fuse::FileSystem>(std::move(options), -1, world.OpenStore(),
                                               std::move(stage), world.cache(), pool, nullptr);
  MUST(fs->Start().has_value());
  return fs;
}

void Play(Input input) {
  World& world = TheWorld();
  const unsigned choice = input.Byte();
  const auto kind = static_cast<Kind>((choice & kKinds) % 3);
  const bool tight = (choice & kTight) != 0;
  const size_t descriptors = CountDescriptors();
  fuse::Pool pool(tight ? kTightLimits : fuse::kDefaultLimits);
  {
    const Limits limits;
    FusePeer peer(NewFileSystem(world, kind, (choice & kByContent) != 0, pool));
    if (kind == Kind::kManyRoots) {
      MUST(peer.LookupTop(world.root().HashHex()) == 0);
    }
    for (int i = 0; i < kMostRequests && !input.empty(); ++i) {
      (void)peer.Play(input);
    }
    if (kind != Kind::kManyRoots) {
      for (const char* name : {"file", "dir", "link", "missing"}) {
        const int error = peer.LookupTop(name);
        MUST(error == 0 || (tight && error == ENOMEM));
      }
    }
  }
  for (const fuse::Resource resource :
       {fuse::Resource::kNodes, fuse::Resource::kBytes, fuse::Resource::kDescriptors}) {
    MUST(pool.used(resource) == 0);
  }
  MUST(CountDescriptors() == descriptors);
  MUST(world.IsUntouched());
}

}  // namespace

const char* Outcome(const uint8_t* data, size_t size) {
  static const bool quiet = (Quieten(), true);
  (void)quiet;
  Play({data, size});
  return "played";
}

}  // namespace actiondfs::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  (void)actiondfs::fuzz::Outcome(data, size);
  return 0;
}
