// SPDX-License-Identifier: Apache-2.0
#include "hook/fuse/node_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <set>
#include <string>

namespace actiondfs::fuse {
namespace {

struct stat StatusOf(uint64_t ino, mode_t mode) {
  struct stat st = {};
  st.st_ino = ino;
  st.st_mode = mode;
  return st;
}

class NodeTableTest : public testing::Test {
 protected:
  size_t freed_ = 0;
  Pool pool_;
  Budget budget_{pool_};
  NodeTable table_{7, budget_, [this](Node&) { ++freed_; }};
};

TEST_F(NodeTableTest, OneNodeForOneInput) {
  const Node& first = table_.GetInput(table_.top(), 3, 100, S_IFREG);
  const Node& second = table_.GetInput(table_.top(), 3, 100, S_IFREG);
  EXPECT_EQ(&first, &second);
  EXPECT_NE(&first, &table_.GetInput(table_.top(), 4, 101, S_IFREG));
  EXPECT_EQ(&table_.FromId(table_.IdOf(first)), &first);
}

TEST_F(NodeTableTest, ANodeGoesWithItsLastReference) {
  Node& node = table_.GetInput(table_.top(), 0, 100, S_IFREG);
  table_.GetInput(table_.top(), 0, 100, S_IFREG);
  table_.Drop(node, 1);
  EXPECT_EQ(freed_, 0U);
  table_.Drop(node, 1);
  EXPECT_EQ(freed_, 1U);
  EXPECT_EQ(table_.size(), 0U);
}

TEST_F(NodeTableTest, AChildKeepsItsParents) {
  Node& parent = table_.GetInput(table_.top(), 0, 100, S_IFDIR);
  Node& child = table_.GetInput(parent, 0, 101, S_IFREG);
  table_.Drop(parent, 1);
  EXPECT_EQ(freed_, 0U);
  table_.Drop(child, 1);
  EXPECT_EQ(freed_, 2U);
}

TEST_F(NodeTableTest, TheTopStays) {
  table_.Drop(table_.top(), 5);
  EXPECT_EQ(&table_.FromId(table_.IdOf(table_.top())), &table_.top());
  EXPECT_EQ(table_.top().ino, 7U);
}

TEST_F(NodeTableTest, HardLinksAreOneNode) {
  Node& one = table_.GetStaged(table_.top(), "one", StatusOf(5, S_IFREG));
  EXPECT_EQ(&one, &table_.GetStaged(table_.top(), "two", StatusOf(5, S_IFREG)));
  EXPECT_EQ(one.place->name, "one");
}

TEST_F(NodeTableTest, ANumberThatCameBackWithAnotherTypeIsAnotherNode) {
  const Node& file = table_.GetStaged(table_.top(), "name", StatusOf(5, S_IFREG));
  const Node& directory = table_.GetStaged(table_.top(), "name", StatusOf(5, S_IFDIR));
  EXPECT_NE(&file, &directory);
  EXPECT_EQ(table_.FindStaged(5), &directory);
}

TEST_F(NodeTableTest, MovingHandsTheParentsReferenceOn) {
  Node& from = table_.GetStaged(table_.top(), "from", StatusOf(1, S_IFDIR));
  Node& to = table_.GetStaged(table_.top(), "to", StatusOf(2, S_IFDIR));
  Node& child = table_.GetStaged(from, "child", StatusOf(3, S_IFREG));
  table_.Drop(from, 1);
  EXPECT_EQ(freed_, 0U);
  table_.Move(child, to, "renamed");
  EXPECT_EQ(freed_, 1U);  // `from`
  EXPECT_EQ(child.parent, &to);
  EXPECT_EQ(child.place->name, "renamed");
}

TEST_F(NodeTableTest, ManyNodesAreFoundAgain) {
  constexpr uint32_t kCount = 50000;
  for (uint32_t i = 0; i < kCount; ++i) {
    table_.GetInput(table_.top(), i, i, S_IFREG);
  }
  EXPECT_EQ(table_.size(), kCount);
  for (uint32_t i = 0; i < kCount; ++i) {
    Node& node = table_.GetInput(table_.top(), i, i, S_IFREG);
    ASSERT_EQ(node.index, i);
    table_.Drop(node, 2);
  }
  EXPECT_EQ(table_.size(), 0U);
  EXPECT_EQ(freed_, kCount);
}

TEST_F(NodeTableTest, NodesCountInTheBudgetWhileTheyLive) {
  Node& parent = table_.GetInput(table_.top(), 0, 100, S_IFDIR);
  Node& child = table_.GetInput(parent, 0, 101, S_IFREG);
  EXPECT_EQ(budget_.used(Resource::kNodes), 2U);
  table_.Drop(parent, 1);
  EXPECT_EQ(budget_.used(Resource::kNodes), 2U);
  table_.Drop(child, 1);
  EXPECT_EQ(budget_.used(Resource::kNodes), 0U);
}

TEST_F(NodeTableTest, ADirectoryThatManyNodesHaveCountsOnce) {
  const auto empty = *tree::Directory::Parse("");
  Node& one = table_.GetInput(table_.top(), 0, 100, S_IFDIR);
  Node& two = table_.GetInput(table_.top(), 1, 101, S_IFDIR);
  table_.SetDirectory(one, empty);
  table_.SetDirectory(two, empty);
  table_.SetDirectory(two, empty);
  EXPECT_EQ(budget_.used(Resource::kBytes), empty->MemoryUse());
  table_.Drop(one, 1);
  EXPECT_EQ(budget_.used(Resource::kBytes), empty->MemoryUse());
  table_.Drop(two, 1);
  EXPECT_EQ(budget_.used(Resource::kBytes), 0U);
}

TEST_F(NodeTableTest, ARoundVisitsEachNode) {
  constexpr uint32_t kCount = 3000;
  for (uint32_t i = 0; i < kCount; ++i) {
    table_.GetInput(table_.top(), i, 100 + i, S_IFREG);
  }
  std::set<uint32_t> seen;
  for (size_t visited = 0; visited < kCount;) {
    const size_t before = visited;
    table_.VisitNext(100, [&](const Node& node) {
      seen.insert(node.index);
      ++visited;
    });
    ASSERT_GE(visited, before + std::min<size_t>(100, kCount - before));
  }
  EXPECT_EQ(seen.size(), kCount);
}

TEST_F(NodeTableTest, WhatIsMadeAndWhatIsRefusedIsGrowth) {
  const uint64_t before = table_.growth();
  Node& node = table_.GetInput(table_.top(), 0, 100, S_IFREG);
  EXPECT_EQ(table_.growth(), before + 1);
  table_.Drop(node, 1);
  EXPECT_EQ(table_.growth(), before + 1);
  table_.NoteRefusal();
  EXPECT_GT(table_.growth(), before + 1);
}

}  // namespace
}  // namespace actiondfs::fuse
