// SPDX-License-Identifier: Apache-2.0
//
// What one process leaves of a mount, and the next one makes of it: file systems without a device,
// on the same memory. The earlier one is not ended first, as where it is killed.
#include "hook/fuse/restore.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <shared_mutex>
#include <string>
#include <utility>
#include <vector>

#include "hook/base/files.h"
#include "hook/fuse/file_system.h"
#include "tests/unit/tree/store_fixture.h"

namespace actiondfs::fuse {
namespace {

using testing::kDirectories;
using testing::kFiles;
using testing::WireWriter;
using tree::NodeOf;

UniqueFd Copy(int fd) {
  return UniqueFd(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
}

stage::NewEntry Own(mode_t mode) {
  return {.mode = mode, .owner = {::geteuid(), ::getegid()}, .target = nullptr};
}

class RestoreTest : public tree::StoreFixture {
 protected:
  void SetUp() override {
    StoreFixture::SetUp();
    ASSERT_NE(::mkdtemp(stage_path_.data()), nullptr);
    stage_ = *OpenAt(AT_FDCWD, stage_path_, O_RDONLY | O_DIRECTORY);
  }
  void TearDown() override {
    EXPECT_TRUE(RemoveTree(AT_FDCWD, stage_path_));
    StoreFixture::TearDown();
  }

  std::unique_ptr<FileSystem> Make(std::unique_ptr<KeptState> kept) {
    FileSystemOptions options;
    options.id = "test";
    options.inputs.root = root_;
    auto blobs =
        cas::BlobStore::Adopt(Copy(store().dir_fd()), "test's store", cas::Layout::kSharded);
    EXPECT_TRUE(blobs) << blobs.error().ToString();
    return std::make_unique<FileSystem>(std::move(options), -1, std::move(*blobs),
                                        Copy(stage_.get()), cache_, *pool_, std::move(kept));
  }
  std::unique_ptr<FileSystem> First() {
    auto kept = KeptState::Create();
    EXPECT_TRUE(kept) << kept.error().ToString();
    auto made = Make(std::move(*kept));
    const Status started = made->Start();
    EXPECT_TRUE(started) << started.error().ToString();
    return made;
  }
  // Made, and not started.
  std::unique_ptr<FileSystem> Adopt(FileSystem& before) {
    auto kept =
        KeptState::Adopt(Copy(before.kept->memory()), Copy(before.kept->descriptors().one()),
                         Copy(before.kept->descriptors().other()));
    EXPECT_TRUE(kept) << kept.error().ToString();
    return Make(std::move(*kept));
  }
  std::unique_ptr<FileSystem> Next(FileSystem& before) {
    auto next = Adopt(before);
    const Status started = next->StartAgain();
    EXPECT_TRUE(started) << started.error().ToString();
    return next;
  }

  // What it says of the node now: an errno, or 0.
  static int StatusOf(FileSystem& fs, uint64_t id, struct stat& st) {
    const std::shared_lock lock(fs.stage->names);
    const auto status = fs.stage->StatusOf(fs.nodes.FromId(id));
    st = status.value_or(st);
    return status ? 0 : status.error();
  }
  static Node& MakeUnnamed(FileSystem& fs) {
    struct stat st = {};
    const auto made = fs.stage->MakeUnnamed(fs.nodes.top(), Own(S_IFREG | 0600), true, st);
    EXPECT_TRUE(made) << made.error();
    fs.stage->KeepOpen(**made);
    return **made;
  }
  static Node& MakeNamed(FileSystem& fs, const char* name) {
    struct stat st = {};
    const auto made = fs.stage->Make(fs.nodes.top(), name, Own(S_IFREG | 0600), st);
    EXPECT_TRUE(made) << made.error();
    return **made;
  }
  static Node& Lookup(FileSystem& fs, Node& directory, const char* name) {
    const auto found = fs.inputs.Lookup(directory, name);
    EXPECT_TRUE(found && *found != nullptr) << name;
    return **found;
  }

  cas::Digest root_ = cas::EmptyDigest();
  std::string stage_path_ = ::testing::TempDir() + "actiondfs-restore-XXXXXX";
  UniqueFd stage_;
  tree::DirectoryCache cache_{size_t{256} << 20};
  std::unique_ptr<Pool> pool_ = std::make_unique<Pool>();
};

// The deepest node has the lowest id, so that all above it are loaded for it.
TEST_F(RestoreTest, ADeepTreeTakesNoStack) {
  constexpr int kDepth = 8000;
  constexpr size_t kStack = size_t{512} << 10;
  cas::Digest below = cas::EmptyDigest();
  for (int i = 0; i < kDepth; ++i) {
    below = Put(WireWriter().Bytes(kDirectories, NodeOf("d", below)).str());
  }
  root_ = Put(WireWriter()
                  .Bytes(kFiles, NodeOf("file", cas::EmptyDigest()))
                  .Bytes(kDirectories, NodeOf("d", below))
                  .str());
  const auto first = First();
  Node& file = Lookup(*first, first->nodes.top(), "file");
  const uint64_t low = first->nodes.IdOf(file);
  Node* node = &first->nodes.top();
  for (int i = 0; i < kDepth; ++i) {
    node = &Lookup(*first, *node, "d");
  }
  first->nodes.Drop(file, 1);
  ASSERT_EQ(first->nodes.IdOf(Lookup(*first, *node, "d")), low);

  const auto next = Adopt(*first);
  pthread_attr_t attributes;
  ASSERT_EQ(::pthread_attr_init(&attributes), 0);
  ASSERT_EQ(::pthread_attr_setstacksize(&attributes, kStack), 0);
  pthread_t thread = {};
  const auto start = [](void* fs) -> void* {
    return static_cast<FileSystem*>(fs)->StartAgain() ? fs : nullptr;
  };
  ASSERT_EQ(::pthread_create(&thread, &attributes, start, next.get()), 0);
  void* started = nullptr;
  ::pthread_join(thread, &started);
  EXPECT_EQ(started, next.get());
  EXPECT_EQ(next->nodes.size(), first->nodes.size());
  ::pthread_attr_destroy(&attributes);
}

TEST_F(RestoreTest, ADescriptorThatIsNoNodesTakesNobodysPlace) {
  const auto first = First();
  const Node& file = MakeNamed(*first, "file");
  const uint64_t id = first->nodes.IdOf(file);
  // Of a node before it, and killed before that was let go.
  const UniqueFd other(::memfd_create("other", MFD_CLOEXEC));
  ASSERT_TRUE(first->kept->descriptors().Put(static_cast<uint32_t>(id), other.get()));

  const auto second = Next(*first);
  Node& same = second->nodes.FromId(id);
  ASSERT_TRUE(second->backing.Acquire(same, [] { return Errno<UniqueFd>(Fail(EIO)); }));
  ASSERT_TRUE(second->stage->Remove(second->nodes.top(), "file", false));
  struct stat before = {};
  struct stat after = {};
  ASSERT_EQ(StatusOf(*second, id, before), 0);
  const auto third = Next(*second);
  EXPECT_EQ(StatusOf(*third, id, after), 0);
  EXPECT_EQ(after.st_ino, before.st_ino);
  EXPECT_TRUE(third->nodes.FromId(id).is_open);
}

TEST_F(RestoreTest, AFileThatGotANameNeedsNoDescriptor) {
  const auto first = First();
  struct stat st = {};
  std::vector<uint64_t> named;
  for (size_t i = 0; i < DescriptorKeep::kMax + 10; ++i) {
    Node& node = MakeUnnamed(*first);
    named.push_back(first->nodes.IdOf(node));
    const std::string name = "file" + std::to_string(i);
    ASSERT_TRUE(first->stage->Link(node, first->nodes.top(), name.c_str()));
  }
  const uint64_t unnamed = first->nodes.IdOf(MakeUnnamed(*first));
  const auto second = Next(*first);
  EXPECT_EQ(StatusOf(*second, unnamed, st), 0);
  EXPECT_EQ(st.st_nlink, 0U);
  for (const uint64_t id : named) {
    EXPECT_EQ(StatusOf(*second, id, st), 0);
    EXPECT_EQ(st.st_nlink, 1U);
    EXPECT_FALSE(second->nodes.FromId(id).place->held);
  }
}

TEST_F(RestoreTest, AFileThatWasMadeWithoutANameAndNotKeptIsGone) {
  const auto first = First();
  struct stat st = {};
  const auto made = first->stage->MakeUnnamed(first->nodes.top(), Own(S_IFREG | 0600), true, st);
  ASSERT_TRUE(made);
  // As if it were killed when the node had been recorded, and no more.
  first->kept->nodes().Of(**made)->removed = false;
  const auto second = Next(*first);
  EXPECT_EQ(StatusOf(*second, first->nodes.IdOf(**made), st), ESTALE);
}

TEST_F(RestoreTest, WhatWasHeldIsNotRefused) {
  root_ = Put(
      WireWriter()
          .Bytes(kDirectories,
                 NodeOf("d",
                        Put(WireWriter().Bytes(kFiles, NodeOf("file", cas::EmptyDigest())).str())))
          .str());
  std::unique_ptr<Pool> large;  // outlives the file system that takes from it
  const auto first = First();
  Node& directory = Lookup(*first, first->nodes.top(), "d");
  const uint64_t id = first->nodes.IdOf(Lookup(*first, directory, "file"));
  const uint64_t stream = uint64_t{1} << 40;
  first->kept->streams().Write(stream, {{"name", 3, 8}});

  large = std::exchange(pool_, std::make_unique<Pool>(Limits{{{.share = 10, .pool = 10}, {}, {}}}));
  const auto second = Next(*first);
  EXPECT_GT(second->budget.used(Resource::kBytes), 0U);
  EXPECT_FALSE(second->budget.HasRoom(Resource::kBytes));
  EXPECT_EQ(second->inputs.NameOf(second->nodes.FromId(id)), "file");
  EXPECT_NE(second->handles.Find<OpenHandle>(stream), nullptr);
}

}  // namespace
}  // namespace actiondfs::fuse
