// SPDX-License-Identifier: Apache-2.0
#include "hook/tree/walk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <string>
#include <string_view>
#include <vector>

#include "tests/unit/tree/store_fixture.h"

namespace actiondfs::tree {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::kDirectories;
using testing::kFiles;
using testing::kSymlinks;
using testing::Node;
using testing::SymlinkNode;
using testing::WireWriter;

// root: a.c (file), lib -> sub, sub/: deep/: x (file); z.c (file)
class WalkTest : public StoreFixture {
 protected:
  void SetUp() override {
    StoreFixture::SetUp();
    deep_ = Put(WireWriter().Bytes(kFiles, Node("x", 'e', 1)).str());
    sub_ = Put(WireWriter().Bytes(kDirectories, NodeOf("deep", deep_)).str());
    root_ = Put(WireWriter()
                    .Bytes(kFiles, Node("a.c"))
                    .Bytes(kFiles, Node("z.c"))
                    .Bytes(kDirectories, NodeOf("sub", sub_))
                    .Bytes(kSymlinks, SymlinkNode("lib", "sub"))
                    .str());
  }

  Result<Resolved> Find(std::string_view path) { return Resolve(cache_, store(), root_, path); }

  int FindError(std::string_view path) {
    const auto found = Find(path);
    return found.has_value() ? 0 : found.error().code();
  }

  // Appends each path that is visited to paths_.
  Visitor Recorder() {
    return {.entry = [this](const std::string& path, const Entry&) -> Result<Visit> {
              paths_.push_back(path);
              return Visit::kContinue;
            },
            .leave = nullptr,
            .failure = nullptr};
  }

  cas::Digest deep_, sub_, root_;
  DirectoryCache cache_{size_t{1} << 20};
  std::vector<std::string> paths_;
};

TEST_F(WalkTest, ResolveFindsTheRootWithoutReadingIt) {
  Remove(root_);
  for (const std::string_view path : {"", "/", ".", "./", "//"}) {
    const auto found = Find(path);
    ASSERT_TRUE(found.has_value()) << path;
    EXPECT_EQ(found->entry.kind, EntryKind::kDirectory);
    EXPECT_EQ(found->entry.digest, root_);
    EXPECT_EQ(found->parent, nullptr);
  }
}

TEST_F(WalkTest, ResolveFindsFilesDirectoriesAndSymlinks) {
  EXPECT_EQ(Find("a.c")->entry.kind, EntryKind::kFile);
  EXPECT_EQ(Find("sub")->entry.digest, sub_);
  EXPECT_EQ(Find("lib")->entry.symlink_target, "sub");
  EXPECT_EQ(Find("sub/deep/x")->entry.digest.size, 1);
}

TEST_F(WalkTest, ResolveSkipsSlashesAndDots) {
  EXPECT_EQ(Find("//sub/./deep///x/")->entry.name, "x");
}

TEST_F(WalkTest, ResolveEntryOutlivesTheCache) {
  const auto found = Find("sub/deep/x");
  DirectoryCache other(0);
  const auto again = Resolve(other, store(), root_, "sub/deep/x");
  EXPECT_EQ(again->entry.name, found->entry.name);
}

TEST_F(WalkTest, ResolveOfMissingNameIsEnoentAndShowsThePath) {
  const auto found = Find("sub/none/x");
  ASSERT_FALSE(found.has_value());
  EXPECT_EQ(found.error().code(), ENOENT);
  EXPECT_THAT(found.error().what(), HasSubstr("'sub/none'"));
  EXPECT_EQ(FindError("sub/.."), ENOENT);
}

TEST_F(WalkTest, ResolveThroughFileOrSymlinkIsEnotdir) {
  EXPECT_EQ(FindError("a.c/x"), ENOTDIR);
  EXPECT_EQ(FindError("lib/deep"), ENOTDIR);
}

TEST_F(WalkTest, ResolveThroughMissingDirectoryIsEio) {
  Remove(sub_);
  const auto found = Find("sub/deep");
  ASSERT_FALSE(found.has_value());
  EXPECT_EQ(found.error().code(), EIO);
  EXPECT_THAT(found.error().what(), HasSubstr("'sub"));
  EXPECT_THAT(found.error().what(), HasSubstr(sub_.ToString()));
}

TEST_F(WalkTest, WalkVisitsAllInOrderOfNamesParentsFirst) {
  ASSERT_TRUE(Walk(cache_, store(), root_, Recorder()).has_value());
  EXPECT_THAT(paths_, ElementsAre("a.c", "lib", "sub", "sub/deep", "sub/deep/x", "z.c"));
}

TEST_F(WalkTest, WalkLeavesEachDirectoryAfterItsContents) {
  Visitor visitor = Recorder();
  visitor.leave = [this](const std::string& path) -> Status {
    paths_.push_back("leave:" + path);
    return {};
  };
  ASSERT_TRUE(Walk(cache_, store(), root_, visitor).has_value());
  EXPECT_THAT(paths_, ElementsAre("a.c", "lib", "sub", "sub/deep", "sub/deep/x", "leave:sub/deep",
                                  "leave:sub", "z.c", "leave:"));
}

TEST_F(WalkTest, SkippedDirectoryIsNotLoaded) {
  Remove(sub_);
  Visitor visitor = Recorder();
  visitor.entry = [this](const std::string& path, const Entry&) -> Result<Visit> {
    paths_.push_back(path);
    return path == "sub" ? Visit::kSkip : Visit::kContinue;
  };
  ASSERT_TRUE(Walk(cache_, store(), root_, visitor).has_value());
  EXPECT_THAT(paths_, ElementsAre("a.c", "lib", "sub", "z.c"));
}

TEST_F(WalkTest, StopEndsTheWalkWithSuccess) {
  Visitor visitor = Recorder();
  visitor.entry = [this](const std::string& path, const Entry&) -> Result<Visit> {
    paths_.push_back(path);
    return path == "sub" ? Visit::kStop : Visit::kContinue;
  };
  ASSERT_TRUE(Walk(cache_, store(), root_, visitor).has_value());
  EXPECT_THAT(paths_, ElementsAre("a.c", "lib", "sub"));
}

TEST_F(WalkTest, VisitorsErrorEndsTheWalk) {
  Visitor visitor = Recorder();
  visitor.entry = [](const std::string&, const Entry&) -> Result<Visit> {
    return MakeError(ENOSPC, "write");
  };
  EXPECT_EQ(Walk(cache_, store(), root_, visitor).error().code(), ENOSPC);
}

TEST_F(WalkTest, MissingDirectoryEndsTheWalkWithItsPath) {
  Remove(deep_);
  const Status status = Walk(cache_, store(), root_, Recorder());
  ASSERT_FALSE(status.has_value());
  EXPECT_EQ(status.error().code(), EIO);
  EXPECT_THAT(status.error().what(), HasSubstr("'sub/deep'"));
}

TEST_F(WalkTest, FailureVisitorMayGoOnPastABrokenDirectory) {
  Replace(sub_, std::string(static_cast<size_t>(sub_.size), 'x'));
  std::vector<std::string> failed;
  Visitor visitor = Recorder();
  visitor.failure = [&](const std::string& path, const cas::Digest& digest, Error error) -> Status {
    EXPECT_EQ(error.code(), EUCLEAN);
    EXPECT_EQ(digest, sub_);
    EXPECT_THAT(error.what(), HasSubstr(sub_.ToString()));
    failed.push_back(path);
    return {};
  };
  ASSERT_TRUE(Walk(cache_, store(), root_, visitor).has_value());
  EXPECT_THAT(failed, ElementsAre("sub"));
  EXPECT_THAT(paths_, ElementsAre("a.c", "lib", "sub", "z.c"));
}

TEST_F(WalkTest, TreeOverMaxDepthIsEloop) {
  cas::Digest digest = Put("");
  for (size_t i = 1; i < kMaxDepth; ++i) {
    digest = Put(WireWriter().Bytes(kDirectories, NodeOf("d", digest)).str());
  }
  EXPECT_TRUE(Walk(cache_, store(), digest, Recorder()).has_value());
  EXPECT_EQ(paths_.size(), kMaxDepth - 1);

  digest = Put(WireWriter().Bytes(kDirectories, NodeOf("d", digest)).str());
  EXPECT_EQ(Walk(cache_, store(), digest, Recorder()).error().code(), ELOOP);
}

}  // namespace
}  // namespace actiondfs::tree
